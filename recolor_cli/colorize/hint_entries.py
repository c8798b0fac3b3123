"""Entries of hints as people write them, checked: places, colours, and what to type instead.

{"point": [0.42, 0.61], "color": "#3b4a6b"}
{"box": [0.1, 0.5, 0.3, 0.9], "color": "navy"}
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import ImageColor

from recolor_cli.color.hints import Hint
from recolor_cli.errors import UsageError

KEEP = "keep"  # the colour that means: the network's own is right here
MOST = 200  # hints for one photograph: each costs a fraction of a second
DIGITS = 5  # of places that are written: a tenth of a pixel in the largest photographs

Colors = Mapping[str, tuple[int, int, int]]


def parse_hints(entries: object, where: str, colors: Colors, units: object = None) -> list[Hint]:
    """Check a list of hints, as in a file or from Python.

    Args:
        entries: A list of tables with "point" or "box", and "color"; `Hint`s pass through.
        where: Names the list in messages.
        colors: Names that a palette gives to colours.
        units: "fractions", which is meant by None, or "pixels", of the upright picture.

    Raises:
        UsageError: In one line, which entry is wrong, and what to type.
    """
    if units not in (None, "fractions", "pixels"):
        raise UsageError(f'{where}: no units {units!r}; type "fractions" or "pixels"')
    if not isinstance(entries, list | tuple):
        raise UsageError(f'{where}: "hints" is a list, {_EXAMPLE}')
    if len(entries) > MOST:
        raise UsageError(f"{where}: {len(entries)} hints; at most {MOST} are used, leave some out")
    return [
        entry
        if isinstance(entry, Hint)
        else _hint(entry, f"{where}: hint {number}", colors, units == "pixels")
        for number, entry in enumerate(entries, 1)
    ]


def listed(entries: object) -> object:
    """A list of what comes one by one; the rest as it is, for its mistake to be told."""
    if isinstance(entries, Iterable) and not isinstance(entries, str | bytes | Mapping):
        return list(entries)
    return entries


def to_json(hints: Iterable[Hint]) -> list[dict[str, Any]]:
    """Hints as tables that JSON can hold, for digests."""
    return [
        {"box": hint.box, "rgb": hint.rgb, "page": hint.page, "pixels": hint.in_pixels}
        for hint in hints
    ]


def to_entries(hints: Iterable[Hint]) -> list[dict[str, Any]]:
    """Hints as `parse_hints` reads them; all places are fractions.

    Raises:
        ValueError: A hint is in pixels, which mean nothing without the photograph.
    """
    entries = []
    for hint in hints:
        if hint.in_pixels:
            raise ValueError("the hint is in pixels; use Hint.in_fractions first")
        left, top, right, bottom = (round(value, DIGITS) for value in hint.box)
        point = hint.box[:2] == hint.box[2:]
        entry: dict[str, Any] = (
            {"point": [left, top]} if point else {"box": [left, top, right, bottom]}
        )
        entry["color"] = KEEP if hint.rgb is None else "#{:02x}{:02x}{:02x}".format(*hint.rgb)
        if hint.page > 1:
            entry["page"] = hint.page
        entries.append(entry)
    return entries


_EXAMPLE = 'such as [{"point": [0.5, 0.5], "color": "navy"}]'


def _hint(entry: object, where: str, colors: Colors, in_pixels: bool) -> Hint:
    if not isinstance(entry, Mapping):
        raise UsageError(f'{where} is a table, {{"point": [0.5, 0.5], "color": "navy"}}')
    refuse_unknown(entry, ("point", "box", "color", "page", "note"), where)
    if ("point" in entry) == ("box" in entry):
        raise UsageError(f'{where} needs "point": [x, y] or "box": [left, top, right, bottom]')
    kind, count = ("point", 2) if "point" in entry else ("box", 4)
    place = entry[kind]
    if (
        not isinstance(place, list | tuple)
        or len(place) != count
        or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in place)
    ):
        form = "[x, y]" if kind == "point" else "[left, top, right, bottom]"
        raise UsageError(f'{where}: "{kind}" is {count} numbers, {form}')
    for value in place:
        if in_pixels and not 0 <= value < 1e9:
            raise UsageError(f"{where}: {kind} {_numbers(place)} is not in the picture")
        if not in_pixels and not 0 <= value <= 1:
            raise UsageError(
                f"{where}: {kind} {_numbers(place)} is not within 0..1; type fractions of width "
                'and height, or add "units": "pixels"'
            )
    if kind == "box" and not (place[0] < place[2] and place[1] < place[3]):
        raise UsageError(
            f"{where}: box {_numbers(place)} is empty; type left, top, right, bottom in this order"
        )
    page = entry.get("page", 1)
    if not isinstance(page, int) or isinstance(page, bool) or page < 1:
        raise UsageError(f'{where}: "page" counts from 1, got {page!r}')
    if "color" not in entry:
        raise UsageError(f'{where} has no "color"; type one such as "#3b4a6b" or "navy"')
    rgb = color_of(entry["color"], where, colors)
    left, top = float(place[0]), float(place[1])
    right, bottom = (float(place[2]), float(place[3])) if kind == "box" else (left, top)
    return Hint((left, top, right, bottom), rgb, page, in_pixels)


def color_of(text: object, where: str, colors: Colors) -> tuple[int, int, int] | None:
    """The sRGB of a colour as it is written; None for `KEEP`.

    Raises:
        UsageError: It is no colour.
    """
    if isinstance(text, str):
        if text in colors:
            return colors[text]
        name = text.strip().lower()
        if name == KEEP:
            return None
        known = ImageColor.colormap
        if re.fullmatch(r"#([0-9a-f]{3}|[0-9a-f]{6})", name) or name in known:
            red, green, blue = ImageColor.getrgb(name)[:3]
            return red, green, blue
        near = difflib.get_close_matches(name, [*colors, *known], 1, 0.75)
        if near:
            raise UsageError(f"{where}: no colour {text!r}; did you mean {near[0]!r}?")
    raise UsageError(
        f'{where}: no colour {text!r}; type "#rrggbb", a CSS name such as "navy", "{KEEP}", or a '
        f'name from "colors" of palette.json'
    )


def refuse_unknown(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Name a field that means nothing, which was mistyped most likely.

    Raises:
        UsageError: There is one.
    """
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            instead = f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}"
            raise UsageError(f"{where}: no field {key!r}; {instead}")


def _numbers(place: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in place) + "]"
