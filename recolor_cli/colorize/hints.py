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

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from recolor_cli.color.hints import Hint
from recolor_cli.colorize.hint_entries import (
    KEEP,
    MOST,
    Colors,
    color_of,
    parse_hints,
    refuse_unknown,
)
from recolor_cli.errors import UsageError
from recolor_cli.images.find import normal
from recolor_cli.images.remote import RemotePath, absolute, as_path, names_in

SUFFIX = ".hints.json"
PALETTE = "palette.json"
NONE = "none"  # --hints none: leave every hint out


@dataclass(frozen=True)
class PhotoHints:
    """The hints for the photographs that some patterns name.

    Attributes:
        files: Patterns; paths relative to the palette's folder, or bare names.
        hints: What is known about each of them.
    """

    files: tuple[str, ...]
    hints: tuple[Hint, ...]

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        """The files in normal form, made once and not for each photograph."""
        return tuple(map(normal, self.files))


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
        name = normal(_below(source, self.path.parent) or _below(source, root) or source.name)
        return tuple(
            hint
            for photos in self.photos
            if any(_matches(name, pattern) for pattern in photos.patterns)
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
        self._folders: dict[Path, dict[str, str]] = {}  # see _by_normal_form
        self._asked: Palette | None = None
        self._single: tuple[Hint, ...] | None = None
        self._shared: tuple[Path, set[str]] | None = None  # of the folder that was asked about last
        if asked is None or self._off:
            return
        path = as_path(asked)
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

    def name_for(self, source: Path) -> str:
        """The name of a file of hints beside a photograph that is about this photograph alone.

        That of the one which is there, else the short one unless another photograph shares it.
        """
        names = self._names(source.parent)
        full, short = source.name + SUFFIX, source.stem + SUFFIX
        if there := _there(names, full):
            return there
        if self._shared is None or self._shared[0] != source.parent:
            stems = Counter(n.rpartition(".")[0] for n in names if not n.endswith(".json"))
            self._shared = (source.parent, {stem for stem, count in stems.items() if count > 1})
        if normal(source.stem) in self._shared[1]:
            return full
        return _there(names, short) or short

    def without_photo(self) -> list[str]:
        """Lines on hints that no photograph has: names that were mistyped, most likely.

        Only of folders and palettes that `of` has come across.
        """
        lines = []
        for folder, names in self._folders.items():
            for name in sorted(n for n in names if n.endswith(SUFFIX)):
                stem = name.removesuffix(SUFFIX)
                if not any(_is_photo_of(other, stem) for other in names):
                    there = str(folder / names[name])
                    lines.append(f"{there!r} lies beside no photograph {stem!r}")
        objects = cache(_objects_below)
        for palette in [*self._palettes.values(), self._asked]:
            for photos in palette.photos if palette else ():
                lines += [
                    f"{str(palette.path)!r}: no file matches {pattern!r}"  # type: ignore[union-attr]
                    for pattern in photos.files
                    if not _exists(palette.path.parent, pattern, objects)  # type: ignore[union-attr]
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
        wanted = [_there(names, name + SUFFIX) for name in (source.name, source.stem)]
        both = [name for name in wanted if name]
        if len(both) > 1:
            raise UsageError(f"both {both[0]!r} and {both[1]!r} are there; keep one of them")
        return source.parent / both[0] if both else None

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self._folders:
            try:
                self._folders[folder] = _by_normal_form(names_in(folder))
            except OSError:  # may be entered but not listed; then there is nothing to be found
                self._folders[folder] = {}
        return self._folders[folder]


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
    refuse_unknown(record, ("hints", "units", "note"), where)
    return tuple(parse_hints(record.get("hints"), where, colors, record.get("units")))


def _palette(path: Path, record: dict[str, Any]) -> Palette:
    where = repr(str(path))
    refuse_unknown(record, ("colors", "photos", "units", "note"), where)
    named = record.get("colors", {})
    if not isinstance(named, dict):
        raise UsageError(f'{where}: "colors" is a table, such as {{"coat": "#3b4a6b"}}')
    colors = {}
    for name, text in named.items():
        rgb = color_of(text, f"{where}: colour {name!r}", {})
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
        refuse_unknown(entry, ("files", "hints", "units", "note"), here)
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


def _matches(name: str, pattern: str) -> bool:
    """A pattern without a slash is about names in any folder; else `*` stays within a folder.

    Args:
        name: In normal form.
        pattern: In normal form.
    """
    if "/" not in pattern:
        return fnmatchcase(name.rpartition("/")[2], pattern)
    parts, wanted = name.split("/"), pattern.removeprefix("./").split("/")
    if "**" in wanted:
        return fnmatchcase(name, pattern)
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _objects_below(folder: RemotePath) -> list[Path]:
    return [*map(RemotePath, folder.below())]


def _exists(folder: Path, pattern: str, objects: Callable[[RemotePath], Iterable[Path]]) -> bool:
    if not any(sign in pattern for sign in "*?[") and (folder / pattern).is_file():
        return True
    paths = objects(folder) if isinstance(folder, RemotePath) else folder.rglob("*")
    return any(
        _matches(normal(path.relative_to(folder).as_posix()), normal(pattern))
        for path in paths
        if not path.name.endswith(".json")
    )


def _below(source: Path, folder: Path) -> str | None:
    source, folder = absolute(source), absolute(folder)
    return source.relative_to(folder).as_posix() if folder in source.parents else None


def _by_normal_form(names: list[str]) -> dict[str, str]:
    """Names by their normal form; where two have the same, the other one by itself."""
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (normal(name) != name, name)):
        found[name if normal(name) in found else normal(name)] = name
    return found


def _there(names: dict[str, str], name: str) -> str | None:
    return names.get(name) or names.get(normal(name))


def _is_photo_of(name: str, stem: str) -> bool:
    return not name.endswith(".json") and (name == stem or name.rpartition(".")[0] == stem)
