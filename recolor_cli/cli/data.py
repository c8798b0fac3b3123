"""`recolor data stats|split`: how colourful photographs are, and a split by it."""

from __future__ import annotations

import shlex
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recolor_cli.cli.console import Console
from recolor_cli.cli.options import JsonOpt, QuietOpt, examples, typed
from recolor_cli.errors import UsageError

if TYPE_CHECKING:
    from recolor_cli.data.colorfulness import Colorfulness
    from recolor_cli.data.photos import LeftOut, Photo

app = typer.Typer(no_args_is_help=True, help="Look at training data and split it.")

DataArg = Annotated[
    list[Path], typer.Argument(metavar="DIR", help="Folder trees, tar shards, images.")
]
EDGES = (0, 5, 25, 50, 75, 95, 100)  # percentiles that are printed


@app.command(
    "stats",
    epilog=examples("recolor data stats photos    (and a plot)"),
)
def stats(
    ctx: typer.Context,
    data: DataArg,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where the plot goes.")
    ] = Path("colorfulness.png"),
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Print and plot how colourful photographs are.

    Two measures: 0.3 mu + sigma on RGB in 0..1 (report 000), and Hasler and Suesstrunk's.
    """
    console = Console(json=json, quiet=quiet)
    photos, left_out, measured = _measure(console, data)

    import numpy as np

    from recolor_cli.training.plots import draw_histograms

    series = {
        "report": np.array([measured[p.digest].report for p in photos]),
        "hasler": np.array([measured[p.digest].hasler for p in photos]),
    }
    _say_left_out(console, left_out)
    rows = []
    for name, values in series.items():
        percentiles = [round(float(v), 4) for v in np.percentile(values, EDGES)]
        rows.append([name, round(float(values.mean()), 4), *percentiles])
        names = [f"p{edge}" for edge in EDGES]
        console.record(
            {"measure": name, "mean": rows[-1][1], **dict(zip(names, percentiles, strict=True))}
        )
    console.table(["measure", "mean", *(f"p{edge}" for edge in EDGES)], rows)
    count = f"{len(photos)} photographs"
    if find_spec("matplotlib") is None and not typed(ctx, out=out):
        console.record({"event": "summary", "photos": len(photos), "plot": None})
        console.message(f"{count}; no plot without matplotlib, pip install 'recolor-cli[train]'")
        return
    draw_histograms(series, out)
    console.record({"event": "summary", "photos": len(photos), "plot": str(out)})
    console.message(f"{count}; plot in {out}")


@app.command(
    "split",
    epilog=examples(
        "recolor data split photos --min-colorfulness 0.08",
        "recolor train --data photos --split split.json --recipe complex",
    ),
)
def split(
    data: DataArg,
    min_colorfulness: Annotated[
        float,
        typer.Option(
            "--min-colorfulness",
            min=0,
            metavar="X",
            help="Training photographs below this (report 000's measure; it chose 0.08) go to "
            "validation and test in equal parts. 0 moves none.",
        ),
    ] = 0.0,
    val_share: Annotated[float, typer.Option(min=0, max=0.9, help="Share to validate on.")] = 0.1,
    test_share: Annotated[float, typer.Option(min=0, max=0.9, help="Share to test on.")] = 0.1,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where the split goes.")
    ] = Path("split.json"),
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Split photographs into train, val and test by content; `recolor train --split` takes it.

    Grey and tiny ones, which recipes do not train on, are left out.
    """
    console = Console(json=json, quiet=quiet)
    if val_share + test_share >= 1:
        raise UsageError(
            f"--val-share '{val_share}' and --test-share '{test_share}' leave nothing to train on; "
            "lower one"
        )

    from recolor_cli.checkpoints.files import write_file
    from recolor_cli.data.colorfulness import cut_dull
    from recolor_cli.data.split import SETS, split_by_hash
    from recolor_cli.recipes import Recipe

    photos, left_out, measured = _measure(
        console, data, min_side=Recipe.min_side_px, min_chroma=Recipe.min_chroma
    )
    before = split_by_hash(photos, left_out, val_share=val_share, test_share=test_share)
    after = cut_dull(before, measured, min_colorfulness)
    write_file(out, after.to_json().encode())
    _say_left_out(console, left_out)
    rows = []
    for name in SETS:
        count = after.counts()[name]
        share = round(count / len(photos), 3)
        row = {"set": name, "before": before.counts()[name], "after": count, "share": share}
        console.record(row)
        rows.append(list(row.values()))
    console.table(["set", "before the cut", "after", "share"], rows)
    console.record({"event": "summary", "photos": len(photos), "split": str(out)})
    named = " ".join(f"--data {shlex.quote(str(path))}" for path in data)
    console.message(f"recolor train {named} --split {shlex.quote(str(out))}")


def _measure(
    console: Console, data: list[Path], *, min_side: int = 1, min_chroma: float = 0.0
) -> tuple[list[Photo], list[LeftOut], dict[str, Colorfulness]]:
    from recolor_cli.data.colorfulness import measure
    from recolor_cli.data.photos import load_photos
    from recolor_cli.data.sources import find_items
    from recolor_cli.errors import DataError

    items = find_items(data)
    with console.progress(len(items), "files") as progress:
        done = 0

        def tell(now: int, total: int) -> None:  # noqa: ARG001
            nonlocal done
            progress.advance("", now - done)
            done = now

        photos, left_out = load_photos(
            items, keep=False, min_side=min_side, min_chroma=min_chroma, progress=tell
        )
    if not photos:
        reasons = Counter(one.reason for one in left_out)
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        raise DataError(f"none of {len(items)} files can be used ({counts}); check '{data[0]}'")
    return photos, left_out, measure(photos)


def _say_left_out(console: Console, left_out: list[LeftOut]) -> None:
    for one in left_out:
        console.record({"event": "left_out", "file": one.item.name, "reason": one.reason})
        console.message(f"left out ({one.reason}): {one.item.name}")
