"""`recolor colorize`: photographs in, coloured photographs out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recolor_cli.cli.console import Console, printable
from recolor_cli.cli.options import (
    MACHINE,
    OUTPUT,
    SETTINGS,
    BatchSizeOpt,
    DeviceOpt,
    DryRunOpt,
    JsonOpt,
    ModelOpt,
    OfflineOpt,
    OverwriteOpt,
    PrecisionOpt,
    QuietOpt,
    VerboseOpt,
    WorkersOpt,
)
from recolor_cli.errors import RecolorError, UsageError

if TYPE_CHECKING:
    from recolor_cli.colorize import PhotoResult, Run, Settings

Format = Literal["keep", "jpg", "png", "tiff", "webp"]

FEW = 10  # photographs; each is told

EPILOG = "\n\n".join(
    (
        "[bold]Examples[/]",
        "recolor colorize grandmother.jpg -o colored.jpg",
        "recolor colorize scans/ -o colored/    (the tree is kept; run again to go on)",
        "recolor colorize scans/ -o colored/ --dry-run",
        "recolor colorize 'scans/*.tif' -o out/ --format png --saturation 1.2",
        "recolor colorize scans/ -o colored/ --shard 1/4    (a quarter, on one of four machines)",
        "recolor colorize - -o - < gray.jpg > color.jpg",
        "[bold]Exit status[/]: 0 all done or skipped, 1 some failed, 2 wrong usage, 3 weights, "
        "4 output, 130 interrupted",
    )
)


def colorize(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT", help="Photographs, folders, patterns; - is standard input."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "--output",
            "-o",
            help="A folder; a file for one photograph; - is standard output.",
            rich_help_panel=OUTPUT,
        ),
    ],
    model: ModelOpt = "default",
    input_size: Annotated[
        int | None,
        typer.Option(
            "--input-size",
            metavar="N",
            help="Long side in pixels that the network sees; by default what the weights name.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    saturation: Annotated[
        float,
        typer.Option(
            help="Factor on colourfulness; 1 is what the network says.", rich_help_panel=SETTINGS
        ),
    ] = 1.0,
    temperature: Annotated[
        float | None,
        typer.Option(
            metavar="T",
            help="Low is vivid, 1 the plain mean; for networks that predict a distribution.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also recolour photographs that have colour already.",
            rich_help_panel=SETTINGS,
        ),
    ] = False,
    format: Annotated[
        Format,
        typer.Option(
            "--format", "-f", help="What is written; keep is the input's.", rich_help_panel=OUTPUT
        ),
    ] = "keep",
    quality: Annotated[
        int,
        typer.Option(metavar="1..100", help="Of JPEG and lossy WebP.", rich_help_panel=OUTPUT),
    ] = 95,
    overwrite: OverwriteOpt = False,
    dry_run: DryRunOpt = False,
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N",
            help="Of N equal parts do part I only, counted from 1.",
            rich_help_panel=MACHINE,
        ),
    ] = "1/1",
    device: DeviceOpt = "auto",
    precision: PrecisionOpt = "auto",
    batch_size: BatchSizeOpt = None,
    workers: WorkersOpt = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Refuse larger pictures before they are decoded; by default 500 million pixels.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    offline: OfflineOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Give photographs colours.

    What is grey, or toned like sepia, is coloured; what has colour is skipped.
    Size, depth, detail and metadata stay; inputs are never changed.
    A second run does only what is missing or has changed.
    """
    from recolor_cli.colorize.settings import Settings, parse_shard
    from recolor_cli.images.read import MAX_PIXELS

    console = Console(json=json, quiet=quiet, verbose=verbose)
    settings = Settings(
        model=model,
        device=device,
        precision=precision,
        input_size=input_size,
        batch_size=batch_size,
        workers=workers,
        saturation=saturation,
        temperature=temperature,
        format=format,
        quality=quality,
        overwrite=overwrite,
        force=force,
        shard=parse_shard(shard),
        offline=offline,
        max_pixels=MAX_PIXELS if max_pixels is None else max_pixels,
    )
    if "-" in inputs or str(out) == "-":
        _pipe(inputs, out, settings, console, dry_run=dry_run)
        return
    from recolor_cli.colorize.plan import make_plan

    plan = make_plan(inputs, out, format=format, shard=settings.shard)
    from recolor_cli.colorize.files import Run  # torch loads here, not for a wrong command line

    run = Run(plan, settings, console.message)
    if dry_run:
        _preview(run, console)
    else:
        _work(run, console)
    raise typer.Exit(run.summary.exit_code)


def _work(run: Run, console: Console) -> None:
    try:
        with console.progress(run.summary.total) as progress:
            told = False
            for result in run:
                if run.colorizer is not None and not told:
                    console.detail(f"{run.colorizer.machine}, {run.workers} workers")
                    told = True
                _show(result, run, console)
                progress.advance(str(result.source))
    except KeyboardInterrupt:
        for result in run.stop():
            _show(result, run, console)
        _conclude(run, console)
        raise
    except RecolorError as error:
        _conclude(run, console, str(error))
        raise
    _conclude(run, console)


def _preview(run: Run, console: Console) -> None:
    for result in run.preview():
        console.record(result.to_json())
        if result.status == "planned":
            console.data(f"would colour  {_names(result)}")
        else:
            verb = "skip  " if result.status == "skipped" else "refuse"
            console.data(f"would {verb}  {printable(result.source)}: {result.reason}")
    console.record(run.summary.to_json())
    console.message(str(run.summary))


def _show(result: PhotoResult, run: Run, console: Console) -> None:
    console.record(result.to_json())
    name = printable(result.source)
    if result.status == "done":
        # In a small job people look for where the result went; in a large one at the bar.
        (console.message if run.summary.total <= FEW else console.detail)(
            f"done     {_names(result)}"
        )
    elif result.status == "skipped":
        again = result.reason == "done before"
        (console.detail if again else console.message)(f"skipped  {name}: {result.reason}")
    else:
        console.detail(f"failed   {name}: {result.reason}")
        if result.traceback:
            console.detail(result.traceback)
    for note in result.notes:
        console.message(f"note     {name}: {note}")


def _conclude(run: Run, console: Console, error: str | None = None) -> None:
    summary = run.summary
    console.record(summary.to_json(error))
    if console.json:
        return
    for failure in summary.failures:
        console.warning(f"failed   {printable(failure.source)}: {failure.reason}")
    if error is None or summary.left < summary.total:
        console.message(str(summary))


def _names(result: PhotoResult) -> str:
    return f"{printable(result.source)} -> {printable(result.output or '')}"


def _pipe(
    inputs: list[str], out: Path, settings: Settings, console: Console, *, dry_run: bool
) -> None:
    """One photograph, from standard input or to standard output."""
    to_stdout = str(out) == "-"
    if len(inputs) != 1:
        raise UsageError("standard input and output take one photograph; name one input")
    if to_stdout and console.json:
        raise UsageError("-o - and --json both want standard output; leave one of them out")
    if to_stdout and sys.stdout.isatty():
        raise UsageError("standard output is a terminal; redirect it, or name a file with -o")
    if inputs[0] == "-" and sys.stdin.isatty():
        raise UsageError("standard input is a terminal; redirect it, or name a file")
    from recolor_cli.colorize.pipe import colorize_pipe

    source = None if inputs[0] == "-" else Path(inputs[0])
    target = None if to_stdout else out
    if dry_run:
        console.message(f"would colour  {inputs[0]} -> {out}")
        return
    result = colorize_pipe(source, target, settings, report=console.message)
    console.record(result.to_json())
    console.record({"event": "summary", "total": 1, "done": 1, "skipped": 0, "failed": 0})
