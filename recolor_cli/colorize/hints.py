"""Hints as people write them: JSON beside a photograph, or a palette for a folder of them.

`photo.hints.json` (or `photo.jpg.hints.json`) beside a photograph:

    {"hints": [{"point": [0.42, 0.61], "color": "#3b4a6b"},
               {"box": [0.1, 0.5, 0.3, 0.9], "color": "navy"}]}

`palette.json` in the photographs' folder, or in one above it up to the input:

    {"colors": {"coat": "#3b4a6b"},
     "photos": [{"files": "1943/*.jpg", "hints": [{"point": [0.5, 0.6], "color": "coat"}]}]}

Every mistake is one line that names the file, the entry, and what to type.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from PIL import ImageColor

from recolor_cli.color.hints import Hint
from recolor_cli.errors import UsageError

SUFFIX = ".hints.json"
PALETTE = "palette.json"
NONE = "none"  # --hints none: leave every hint out
KEEP = "keep"  # the colour that means: the network's own is right here
MOST = 200  # hints for one photograph: each costs a fraction of a second

Colors = Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True)
class PhotoHints:
    """The hints for the photographs that some patterns name.

    Attributes:
        files: Patterns; paths relative to the palette's folder, or bare names.
        hints: What is known about each of them.
    """

    files: tuple[str, ...]
    hints: tuple[Hint, ...]


@dataclass(frozen=True)
class Palette:
    """A `palette.json`: names for colours, and hints by file pattern."""

    path: Path
    colors: Colors
    photos: tuple[PhotoHints, ...]

    def hints_for(self, source: Path, root: Path) -> tuple[Hint, ...]:
        """The hints for one photograph.

        Args:
            source: The photograph.
            root: The input folder; patterns count from there if the palette lies elsewhere.
        """
        name = _below(source, self.path.parent) or _below(source, root) or source.name
        return tuple(
            hint
            for photos in self.photos
            if any(_matches(name, pattern) for pattern in photos.files)
            for hint in photos.hints
        )


class HintBook:
    """All hints of a run: finds, for each photograph, what people said about it.

    Args:
        asked: A file that replaces what lies beside the photographs; "none" leaves all hints out;
            None looks beside the photographs.

    Raises:
        UsageError: The file that was named is not there, or is wrong.
    """

    def __init__(self, asked: str | Path | None = None) -> None:
        self._off = asked is not None and str(asked) == NONE
        self._palettes: dict[Path, Palette | None] = {}
        self._folders: dict[Path, frozenset[str]] = {}
        self._asked: Palette | None = None
        self._single: tuple[Hint, ...] | None = None
        if asked is None or self._off:
            return
        path = Path(asked)
        record = _load(path)
        if "photos" in record:
            self._asked = _palette(path, record)
        else:
            self._single = _hints_of_file(path, record, {})

    def check(self, photos: Sequence[Path]) -> None:
        """Refuse one photograph's hints for several photographs.

        Raises:
            UsageError: As said.
        """
        if self._single is not None and len(set(photos)) > 1:
            raise UsageError(
                f"--hints names hints for one photograph, and there are {len(set(photos))}; put "
                f'them beside it as NAME{SUFFIX}, or write a palette with "photos"'
            )

    def of(self, source: Path, root: Path) -> tuple[Hint, ...]:
        """What is known about one photograph.

        Args:
            source: The photograph.
            root: The input folder that it was found in.

        Raises:
            UsageError: A file of hints is wrong.
        """
        if self._off:
            return ()
        if self._single is not None:
            return self._single
        palettes = [self._asked] if self._asked else self._palettes_above(source, root)
        hints = [hint for palette in palettes for hint in palette.hints_for(source, root)]
        beside = None if self._asked else self._beside(source)
        if beside is not None:
            colors = {name: rgb for palette in palettes for name, rgb in palette.colors.items()}
            hints += _hints_of_file(beside, _load(beside), colors)
        if len(hints) > MOST:
            raise UsageError(
                f"{len(hints)} hints for {str(source)!r}; at most {MOST} are used, leave some out"
            )
        return tuple(hints)

    def without_photo(self) -> list[str]:
        """Lines on hints that no photograph has: names that were mistyped, most likely.

        Only of folders and palettes that `of` has come across.
        """
        lines = []
        for folder, names in self._folders.items():
            for name in sorted(n for n in names if n.endswith(SUFFIX)):
                stem = name.removesuffix(SUFFIX)
                if not any(_is_photo_of(other, stem) for other in names):
                    lines.append(f"{str(folder / name)!r} lies beside no photograph {stem!r}")
        for palette in [*self._palettes.values(), self._asked]:
            for photos in palette.photos if palette else ():
                lines += [
                    f"{str(palette.path)!r}: no file matches {pattern!r}"  # type: ignore[union-attr]
                    for pattern in photos.files
                    if not _exists(palette.path.parent, pattern)  # type: ignore[union-attr]
                    and palette is not self._asked
                ]
        return lines

    def _palettes_above(self, source: Path, root: Path) -> list[Palette]:
        """From the input folder down to the photograph's own: the nearer has the last word."""
        folders = [source.parent]
        while folders[-1] != root and root in folders[-1].parents:
            folders.append(folders[-1].parent)
        found = []
        for folder in reversed(folders):
            if folder not in self._palettes:
                path = folder / PALETTE
                there = PALETTE in self._names(folder)
                self._palettes[folder] = _palette(path, _load(path)) if there else None
            palette = self._palettes[folder]
            if palette is not None:
                found.append(palette)
        return found

    def _beside(self, source: Path) -> Path | None:
        names = self._names(source.parent)
        both = [n + SUFFIX for n in (source.name, source.stem) if n + SUFFIX in names]
        if len(both) > 1:
            raise UsageError(f"both {both[0]!r} and {both[1]!r} are there; keep one of them")
        return source.parent / both[0] if both else None

    def _names(self, folder: Path) -> frozenset[str]:
        if folder not in self._folders:
            try:
                self._folders[folder] = frozenset(os.listdir(folder))
            except OSError:  # may be entered but not listed; then there is nothing to be found
                self._folders[folder] = frozenset()
        return self._folders[folder]


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


def to_json(hints: Iterable[Hint]) -> list[dict[str, Any]]:
    """Hints as tables that JSON can hold, for digests."""
    return [
        {"box": hint.box, "rgb": hint.rgb, "page": hint.page, "pixels": hint.in_pixels}
        for hint in hints
    ]


_EXAMPLE = 'such as [{"point": [0.5, 0.5], "color": "navy"}]'


def _load(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{str(path)!r} cannot be read: {reason}") from error
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{str(path)!r} is not JSON: line {error.lineno}, column {error.colno}: "
            f"{error.msg.lower()}; mend it there"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{str(path)!r} is not JSON in UTF-8; save it as such") from error
    if not isinstance(record, dict) or not {"hints", "photos", "colors"} & set(record):
        raise UsageError(
            f'{str(path)!r} says nothing about colours; type {{"hints": [...]}}, or for a folder '
            f'{{"colors": {{...}}, "photos": [...]}} (--hints none leaves it out)'
        )
    return record


def _hints_of_file(path: Path, record: dict[str, Any], colors: Colors) -> tuple[Hint, ...]:
    where = repr(str(path))
    _refuse_unknown(record, ("hints", "units", "note"), where)
    return tuple(parse_hints(record.get("hints"), where, colors, record.get("units")))


def _palette(path: Path, record: dict[str, Any]) -> Palette:
    where = repr(str(path))
    _refuse_unknown(record, ("colors", "photos", "units", "note"), where)
    named = record.get("colors", {})
    if not isinstance(named, dict):
        raise UsageError(f'{where}: "colors" is a table, such as {{"coat": "#3b4a6b"}}')
    colors = {}
    for name, text in named.items():
        rgb = _color(text, f"{where}: colour {name!r}", {})
        if rgb is None:
            raise UsageError(f"{where}: colour {name!r} has to be a colour, not {KEEP!r}")
        colors[name] = rgb
    photos = record.get("photos", [])
    if not isinstance(photos, list):
        raise UsageError(f'{where}: "photos" is a list of {{"files": ..., "hints": [...]}}')
    parsed = []
    for number, entry in enumerate(photos, 1):
        here = f"{where}: photos entry {number}"
        if not isinstance(entry, dict):
            raise UsageError(f'{here} is a table, {{"files": "*.jpg", "hints": [...]}}')
        _refuse_unknown(entry, ("files", "hints", "units", "note"), here)
        files = entry.get("files")
        files = [files] if isinstance(files, str) else files
        if not isinstance(files, list) or not files or not all(isinstance(f, str) for f in files):
            raise UsageError(
                f'{here}: "files" is a pattern or a list of them, such as "1943/*.jpg"'
            )
        units = entry.get("units", record.get("units"))
        parsed.append(
            PhotoHints(tuple(files), tuple(parse_hints(entry.get("hints"), here, colors, units)))
        )
    return Palette(path, colors, tuple(parsed))


def _hint(entry: object, where: str, colors: Colors, in_pixels: bool) -> Hint:
    if not isinstance(entry, Mapping):
        raise UsageError(f'{where} is a table, {{"point": [0.5, 0.5], "color": "navy"}}')
    _refuse_unknown(entry, ("point", "box", "color", "page", "note"), where)
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
    rgb = _color(entry["color"], where, colors)
    left, top = float(place[0]), float(place[1])
    right, bottom = (float(place[2]), float(place[3])) if kind == "box" else (left, top)
    return Hint((left, top, right, bottom), rgb, page, in_pixels)


def _color(text: object, where: str, colors: Colors) -> tuple[int, int, int] | None:
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
        f'name from "colors" of {PALETTE}'
    )


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            instead = f"did you mean {near[0]!r}?" if near else f"use {', '.join(known)}"
            raise UsageError(f"{where}: no field {key!r}; {instead}")


def _matches(name: str, pattern: str) -> bool:
    """A pattern without a slash is about names in any folder; else `*` stays within a folder."""
    if "/" not in pattern:
        return fnmatchcase(name.rpartition("/")[2], pattern)
    parts, wanted = name.split("/"), pattern.removeprefix("./").split("/")
    if "**" in wanted:
        return fnmatchcase(name, pattern)
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _exists(folder: Path, pattern: str) -> bool:
    if not any(sign in pattern for sign in "*?[") and (folder / pattern).is_file():
        return True
    return any(
        _matches(path.relative_to(folder).as_posix(), pattern)
        for path in folder.rglob("*")
        if not path.name.endswith(".json")
    )


def _below(source: Path, folder: Path) -> str | None:
    source, folder = Path(os.path.abspath(source)), Path(os.path.abspath(folder))
    return source.relative_to(folder).as_posix() if folder in source.parents else None


def _is_photo_of(name: str, stem: str) -> bool:
    return not name.endswith(".json") and (name == stem or name.rpartition(".")[0] == stem)


def _numbers(place: Sequence[float]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in place) + "]"
