"""`recolor train`: a recipe, photographs and a folder -> a trained colouriser."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from recolor_cli.cli.console import Console, Progress
from recolor_cli.cli.options import (
    MACHINE,
    OUTPUT,
    SETTINGS,
    DeviceOpt,
    DryRunOpt,
    JsonOpt,
    QuietOpt,
    typed,
)
from recolor_cli.cli.recipes import recipe_names
from recolor_cli.errors import UsageError
from recolor_cli.ranges import check_given, checked
from recolor_cli.recipes import Recipe, get_recipe, override
from recolor_cli.recipes.settings import read_run

EPILOG = "\n\n".join(
    (
        "[bold]Examples[/]",
        "recolor train --data photos --recipe tiny --dry-run    (every number, nothing done)",
        "recolor train --data photos --recipe tiny    (makes runs/tiny; open its index.html)",
        "recolor train --data photos --set init=default --set lr=1e-4    (fine-tune)",
        "recolor train --resume runs/tiny",
        "torchrun --nproc-per-node 2 -m recolor_cli train --data photos --recipe cgan",
    )
)


def train(
    ctx: typer.Context,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Photographs to learn from: a folder tree, a tar shard, an image; repeatable.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    val: Annotated[
        list[Path] | None,
        typer.Option(
            "--val",
            metavar="PATH",
            help="Photographs to validate on; by default a tenth of --data, chosen by content.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            "--split",
            metavar="FILE",
            help="Which photograph is in which set, from `recolor data split` or another run.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            "-r",
            metavar="NAME",
            autocompletion=recipe_names,
            help="Which system to train; `recolor recipes` lists them.",
            rich_help_panel=SETTINGS,
        ),
    ] = "base",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="FIELD=VALUE",
            help="Change a field of the recipe; `recolor recipes NAME` prints all. Repeatable.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            min=0,
            help="Start of all random numbers; 0 by default.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="RUN",
            help="Folder of the run; by default runs/RECIPE.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            help="Go on with a run from its last checkpoint, with its recipe, data and seed.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    device: DeviceOpt = "auto",
    dry_run: DryRunOpt = False,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            metavar="N",
            min=1,
            help="Processor threads of the network; by default all cores.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Train a colouriser on photographs.

    Interrupt it when you like: Ctrl-C writes a checkpoint, and --resume goes on from there.
    """
    console = Console(json=json, quiet=quiet)
    if resume is not None:  # what a file or the environment says is for new runs
        data, val, split = typed(ctx, data=data), typed(ctx, val=val), typed(ctx, split=split)
        set_, seed, out = typed(ctx, set_=set_), typed(ctx, seed=seed), typed(ctx, out=out)
    plan = _plan(data, val, recipe, set_, seed, out, resume)
    if seed is not None:
        checked("training_seed", seed, "--seed")
    check_given(threads=threads)
    if split is not None and (val or resume):
        raise UsageError("--split says what is validated on; drop --val, and --resume has its own")

    if dry_run:
        from recolor_cli.training.estimate import estimate

        for line in estimate(
            plan.recipe, plan.data, plan.val, device, split=split, resume=resume, out=plan.out
        ):
            console.data(line)
        return

    import torch

    from recolor_cli.devices import cores
    from recolor_cli.train import train as train_recipe

    if threads or cores() < torch.get_num_threads():  # torch does not see what a container gets
        torch.set_num_threads(threads or cores())
    # Adam's moments of quiet weights fade into numbers too small for a processor's fast path. It
    # is this process's choice, not the library's, and comes before torch starts its threads.
    torch.set_flush_denormal(True)
    with ExitStack() as stack:
        stack.callback(torch.set_flush_denormal, False)  # who called `main` goes on as before
        run = train_recipe(
            plan.recipe,
            plan.data,
            plan.out,
            val=plan.val,
            split=split,
            name=plan.name,
            seed=plan.seed,
            device=device,
            resume=resume is not None,
            watcher=_Watcher(console, stack, plan.out),
        )
    if int(os.environ.get("RANK", "0")) == 0:
        console.record({"event": "summary", "run": str(run)})
        named = shlex.quote(str(run))
        console.data(f"recolor colorize x.jpg -o out --model {named}")
        console.data(f"recolor eval --model {named}")


class _Plan(NamedTuple):
    recipe: Recipe
    name: str
    data: list[Path]
    val: list[Path]
    seed: int
    out: Path


def _plan(
    data: list[Path] | None,
    val: list[Path] | None,
    name: str,
    changes: list[str] | None,
    seed: int | None,
    out: Path | None,
    resume: Path | None,
) -> _Plan:
    """What to train; a resumed run brings its own answers."""
    settings = _settings(changes or [])
    if resume is None:
        if not data:
            raise UsageError("nothing to train on; pass photographs with --data")
        recipe = override(get_recipe(name), settings)
        return _Plan(recipe, name, data, val or [], seed or 0, out or Path("runs", name))
    if seed is not None or out is not None:
        raise UsageError("--resume brings the run's own seed and folder; drop --seed and --out")
    recipe, stored = read_run(resume)
    return _Plan(
        recipe=override(recipe, settings),
        name=stored["name"],
        data=data or [Path(path) for path in stored["data"]],
        val=val or [Path(path) for path in stored["val"]],
        seed=stored["seed"],
        out=resume,
    )


def _settings(changes: Sequence[str]) -> dict[str, str]:
    settings = {}
    for change in changes:
        field, equals, value = change.partition("=")
        if not equals:
            raise UsageError(f"--set wants FIELD=VALUE, got '{change}'")
        settings[field] = value
    return settings


class _Watcher:
    """Shows a run on the console."""

    def __init__(self, console: Console, stack: ExitStack, out: Path) -> None:
        self._console, self._stack, self._out = console, stack, out
        self._loading: Progress | None = None
        self._training: Progress | None = None
        self._loaded = self._seen = 0
        self._shown = ""

    def message(self, text: str) -> None:
        if self._training is not None and not self._console.quiet:
            self._training.message(text)
        else:
            self._console.message(text)

    def loading(self, done: int, total: int) -> None:
        if self._loading is None or done < self._loaded:
            self._stack.close()
            self._loading, self._loaded = self._progress(total, "files"), 0
        self._loading.advance("", done - self._loaded)
        self._loaded = done

    def step(self, images: int, total: int, values: Mapping[str, float]) -> None:
        if self._training is None:
            self._stack.close()
            # Now that there is a run: what is refused before leaves no page.
            page = self._out / "index.html"
            self._console.message(f"curves, samples and figures as they come: {page}")
            self._training = self._progress(total, "images")
        if values:
            self._shown = ", ".join(f"{k} {v:.4g}" for k, v in values.items())
            self._console.record({"event": "log", "images": images, **values})
        self._training.advance(self._shown, images - self._seen)
        self._seen = images

    def _progress(self, total: int, unit: str) -> Progress:
        return self._stack.enter_context(self._console.progress(total, unit))
