"""`recolor gallery`: a page on which results are looked at, compared and marked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recolor_cli.cli.console import Console, printable
from recolor_cli.cli.options import OUTPUT, JsonOpt, QuietOpt, WorkersOpt
from recolor_cli.ranges import check_given

EPILOG = "\n\n".join(
    (
        "[bold]Examples[/]",
        "recolor gallery colored/    (then open colored/gallery.html)",
        "recolor colorize scans/ -o colored/ --gallery",
        "recolor colorize --redo ~/Downloads/review.json    (does what was marked on the page)",
    )
)


def gallery(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A folder that `recolor colorize` wrote to.")
    ],
    preview_size: Annotated[
        int,
        typer.Option(
            "--preview-size",
            metavar="N",
            help="Long side in pixels of copies of what browsers do not show: TIFF, JPEG 2000.",
            rich_help_panel=OUTPUT,
        ),
    ] = 2048,
    workers: WorkersOpt = None,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Make a page to look at results: before and after, what is suspicious, marks.

    The page is OUT/gallery.html and works offline. Small copies lie in OUT/.recolor/gallery/.
    """
    check_given(preview_size=preview_size, workers=workers)
    write_gallery(out, Console(json=json, quiet=quiet), preview_px=preview_size, workers=workers)


def write_gallery(
    out: Path, console: Console, *, preview_px: int = 2048, workers: int | None = None
) -> None:
    """Make the page and tell where it is."""
    from recolor_cli.gallery.entries import read_entries
    from recolor_cli.gallery.page import make_gallery

    with console.progress(len(read_entries(out)[0])) as progress:
        made = make_gallery(out, preview_px=preview_px, workers=workers, advance=progress.advance)
    console.data(printable(made.page))
    console.record(
        {
            "event": "gallery",
            "page": str(made.page),
            "photos": made.photos,
            "suspicious": made.suspicious,
        }
    )
    noun = "photograph" if made.photos == 1 else "photographs"
    console.message(f"{made.photos} {noun}, {made.suspicious} suspicious; open it in a browser")
