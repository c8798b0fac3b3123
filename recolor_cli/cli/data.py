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
    from recolor_cli.data.photos import LeftOut, Photo
    from recolor_cli.data.split import Split

app = typer.Typer(no_args_is_help=True, help="Look at training data and split it.")

DataArg = Annotated[
    list[Path], typer.Argument(metavar="DIR", help="Folder trees, tar shards, images.")
]
EDGES = (0, 5, 25, 50, 75, 95, 100)  # percentiles that are printed


@app.command(
    "stats",
    epilog=examples(
        "recolor data stats photos    (and a plot)",
        "recolor data stats photos --split split.json",
        "recolor data stats photos --split runs/tiny",
    ),
)
def stats(
    ctx: typer.Context,
    data: DataArg,
    split: Annotated[
        Path | None,
        typer.Option(
            "--split",
            metavar="FILE",
            help="Tell training, validation and test set apart: by a split.json, or by the run "
            "that has one.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where the plot goes.")
    ] = Path("colorfulness.png"),
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Print and plot how colourful photographs are.

    Two measures: 0.3 mu + sigma on RGB in 0..1 (report 000), and Hasler and Suesstrunk's.
    With --split also how many training photographs a cut would move (recolor data split).
    """
    console = Console(json=json, quiet=quiet)

    import numpy as np

    from recolor_cli.data.colorfulness import CUTS, measure
    from recolor_cli.data.split import read_split
    from recolor_cli.training.plots import draw_histograms

    known = read_split(split)
    found, left_out = _load(console, data)
    sets = {"": found} if known is None else _sets(known, found, data)
    photos = [photo for chosen in sets.values() for photo in chosen]
    measured = measure(photos)
    _say_left_out(console, left_out)
    summary: dict[str, object] = {"event": "summary", "photos": len(photos)}
    count = f"{len(photos)} photographs"
    if known is not None:
        summary |= _say_unknown(console, known, found, photos, data)
        summary["sets"] = {name: len(chosen) for name, chosen in sets.items()}
        count += f" ({', '.join(f'{len(chosen)} {name}' for name, chosen in sets.items())})"

    series, rows = {}, []
    for name, chosen in sets.items():
        if not chosen:  # nothing to take a mean of; the summary says 0
            continue
        series[name] = {
            "report": np.array([measured[p.digest].report for p in chosen]),
            "hasler": np.array([measured[p.digest].hasler for p in chosen]),
        }
        of = {} if known is None else {"set": name, "photos": len(chosen)}
        for which, values in series[name].items():
            percentiles = [round(float(v), 4) for v in np.percentile(values, EDGES)]
            named = dict(zip((f"p{edge}" for edge in EDGES), percentiles, strict=True))
            row = {**of, "measure": which, "mean": round(float(values.mean()), 4), **named}
            console.record(row)
            rows.append(row)
    console.table(list(rows[0]), [list(row.values()) for row in rows])

    marks = {}
    if "train" in series:
        values = series["train"]["report"]
        below = {cut: int((values < cut).sum()) for cut in CUTS}
        shares = {cut: round(n / len(values), 4) for cut, n in below.items()}
        for cut, n in below.items():
            console.record({"set": "train", "cut": cut, "below": n, "share": shares[cut]})
        console.data()
        heads = ["cut", "train below (report)", "share"]
        console.table(heads, [[cut, n, shares[cut]] for cut, n in below.items()])
        marks["train", "report"] = {f"cut {c}: {shares[c]:.1%} below": c for c in CUTS}

    if find_spec("matplotlib") is None and not typed(ctx, out=out):
        console.record({**summary, "plot": None})
        console.message(f"{count}; no plot without matplotlib, pip install 'recolor-cli[train]'")
        return
    draw_histograms(series, out, marks)
    console.record({**summary, "plot": str(out)})
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
    from recolor_cli.data.colorfulness import cut_dull, measure
    from recolor_cli.data.split import SETS, split_by_hash
    from recolor_cli.recipes import Recipe

    photos, left_out = _load(
        console, data, min_side=Recipe.min_side_px, min_chroma=Recipe.min_chroma
    )
    measured = measure(photos)
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


def _load(
    console: Console, data: list[Path], *, min_side: int = 1, min_chroma: float = 0.0
) -> tuple[list[Photo], list[LeftOut]]:
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
    return photos, left_out


def _sets(split: Split, photos: list[Photo], data: list[Path]) -> dict[str, list[Photo]]:
    """The photographs of each set; some set has some."""
    from recolor_cli.data.split import SETS
    from recolor_cli.errors import DataError

    sets = {name: split.choose(photos, name) for name in SETS}
    if not any(sets.values()):
        places = " ".join(shlex.quote(str(path)) for path in data)
        raise DataError(
            f"'{split.source}' knows none of {len(photos)} photographs in {places}; name those "
            f"that it was made of, or type 'recolor data split {places} -o new.json' and name that"
        )
    return sets


def _say_unknown(
    console: Console, split: Split, found: list[Photo], known: list[Photo], data: list[Path]
) -> dict[str, int]:
    """Tell where split and folder are not the same photographs, and how many on each side."""
    missing = split.sets.keys() - {photo.digest for photo in known}
    unknown = len(found) - len(known)
    if unknown:
        console.message(f"not counted: {unknown} photographs that no set of '{split.source}' has")
    if missing:
        places = ", ".join(f"'{path}'" for path in data)
        console.message(
            f"not counted: {len(missing)} photographs of '{split.source}' that are not in {places}"
            f", '{split.names[min(missing)]}' among them"
        )
    return {"unknown": unknown, "missing": len(missing)}


def _say_left_out(console: Console, left_out: list[LeftOut]) -> None:
    for one in left_out:
        console.record({"event": "left_out", "file": one.item.name, "reason": one.reason})
        console.message(f"left out ({one.reason}): {one.item.name}")
