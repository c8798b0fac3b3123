"""The frame of an HTML page without libraries: head, style for light and dark, tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

STYLE = Path(__file__).with_name("document.css").read_text(encoding="utf-8")


def document(title: str, body: Sequence[str], *, style: str = "", head: str = "") -> str:
    """A whole page.

    Args:
        title: of the window, as plain text.
        body: parts in HTML.
        style: more of it, after the common one.
        head: more for the head, in HTML.
    """
    return "\n".join(
        (
            "<!doctype html><html lang=en><meta charset=utf-8>",
            "<meta name=viewport content='width=device-width,initial-scale=1'>",
            f"<title>{escape(title)}</title>{head}<style>{STYLE}{style}</style>",
            *body,
            "",
        )
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, best: int | None = None) -> str:
    """A table; all but the first column are numbers and stand right.

    Args:
        head: names of the columns, as plain text.
        rows: as plain text.
        best: number of the row that stands out.
    """
    columns = ["", *[" class=n"] * (len(head) - 1)]
    top = "".join(f"<th{c}>{escape(n)}" for c, n in zip(columns, head, strict=True))
    lines = []
    for number, row in enumerate(rows):
        cells = "".join(f"<td{c}>{escape(n)}" for c, n in zip(columns, row, strict=True))
        lines.append(f"<tr{' class=best' if number == best else ''}>{cells}")
    return f"<div class=wide><table><tr>{top}{''.join(lines)}</table></div>"
