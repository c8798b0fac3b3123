"""make_gallery: a folder of results becomes one page that needs no network and no server.

The page is OUT/gallery.html: markup, style and script in one file (page.html, page.css, script/
here) with the facts of all photographs. Small copies lie beside the manifest in
OUT/.recolor/gallery/ rather than in the page, so that it opens at once with thousands of
photographs; full-size pictures are linked where they are.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from recolor_cli.colorize.hints import HintBook
from recolor_cli.colorize.manifest import FOLDER, Manifest
from recolor_cli.errors import OutputError
from recolor_cli.gallery.entries import Entry, read_entries
from recolor_cli.gallery.review import FORMAT
from recolor_cli.gallery.thumbnails import Facts, Thumbnails
from recolor_cli.images.atomic import output_error, write_atomic
from recolor_cli.ranges import checked
from recolor_cli.weights import read_manifest

NAME = "gallery.html"
SCRIPTS = (  # in this order, as one script: the later ones use what the earlier ones define
    "data", "marks", "grid", "viewer", "hint-colors", "hints", "hint-panel", "pointer", "facts",
    "dialogs", "keys", "start",
)  # fmt: skip
PREVIEW_PX = 2048  # long side of copies of TIFF and JPEG 2000 pictures

# Mean chroma in Lab units. Of 300 results of the default weights 4 % lie below the one, 8 % above
# the other: among them those that missed all colours, and those with an orange cast. Photographs
# taken in colour are beyond them in 6 % and 14 %.
NEARLY_GRAY, VERY_SATURATED = 6.0, 28.0
LEAST_SURE = 0.1  # of a folder's photographs are worth a look for that reason,
ENOUGH = 10  # if there are so many that the comparison says something


@dataclass(frozen=True)
class Gallery:
    """What was written.

    Attributes:
        page: The file to open.
        photos: How many photographs it shows.
        suspicious: How many of them are worth a look first.
    """

    page: Path
    photos: int
    suspicious: int


def make_gallery(
    out: str | Path,
    *,
    preview_px: int = PREVIEW_PX,
    workers: int | None = None,
    advance: Callable[[str], None] = lambda _name: None,
) -> Gallery:
    """Write OUT/gallery.html and the small copies that it shows.

    Args:
        out: A folder that `colorize` wrote to.
        preview_px: Long side of JPEG copies of what browsers do not show (TIFF, JPEG 2000, HEIC).
        workers: Threads; None is one per core.
        advance: Called with each photograph's name when it is ready.

    Raises:
        UsageError: The folder holds no results.
        OutputError: The page cannot be written.
    """
    out = Path(out)
    checked("preview_size", preview_px)
    entries, manifest = read_entries(out)
    if (out / NAME).exists() and not _is_ours(out / NAME):
        raise OutputError(f"{str(out / NAME)!r} exists and is no gallery of ours; move it away")
    facts = Thumbnails(out, preview_px).make(entries, advance, workers)
    book = HintBook()
    photos = [
        _photo(out, entry, found, manifest, book)
        for entry, found in zip(entries, facts, strict=True)
    ]
    _flag(photos)
    where = os.path.abspath(out)
    content = {
        "id": hashlib.sha256(os.fsencode(where)).hexdigest()[:16],
        "format": FORMAT,
        "out": where,
        "title": _readable(os.path.basename(where)),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": sorted(read_manifest().entries),
        "photos": photos,
    }
    write_atomic(out / NAME, page_of(content).encode())
    return Gallery(out / NAME, len(photos), sum(bool(photo["flags"]) for photo in photos))


def _is_ours(page: Path) -> bool:
    """Whether a page is a gallery: it says so in the data that it shows."""
    try:
        text = page.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise output_error(page, error) from error
    return f'"format": "{FORMAT}"' in text


def page_of(content: Mapping[str, Any]) -> str:
    """The page as text, everything in it."""
    markup, style = _part("page.html"), _part("page.css")
    script = "\n".join(['"use strict";', *(_part(f"script/{name}.js") for name in SCRIPTS)])
    data = json.dumps(content, ensure_ascii=True, allow_nan=False)
    for sign in "<>&":  # nothing in a file's name can end the element in which the data stands
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    page = markup.replace("@STYLE@", style)
    return page.replace("@SCRIPT@", script).replace("@DATA@", data)


def _part(name: str) -> str:
    return files("recolor_cli.gallery").joinpath(name).read_text(encoding="utf-8")


def _photo(
    out: Path, entry: Entry, facts: Facts, manifest: Manifest, book: HintBook
) -> dict[str, Any]:
    status = "failed" if facts["problem"] else entry.status
    folder, _, name = entry.key.rpartition("/")
    asked = manifest.runs.get(entry.line.settings, {})
    line = entry.line
    made = datetime.fromtimestamp(line.at / 1e9, UTC).isoformat(timespec="seconds")
    record: dict[str, Any] = {
        "id": facts["id"],
        "key": entry.key,
        "name": _readable(name),
        "folder": _readable(folder),
        "source": _readable(str(entry.source)),
        "status": status,
        "reason": _readable(facts["problem"] or entry.reason),
        "sha256": entry.sha256,
        "kept": line.kept,
        "size": facts.get("size"),
        "pages": facts["pages"],
        "derived": facts.get("derived", False),
        "chroma": _rounded(facts.get("chroma"), 1),
        "confidence": _rounded(line.facts.get("confidence"), 3),
        "seconds": _rounded(line.facts.get("seconds"), 2),
        "notes": [_readable(str(note)) for note in line.facts.get("notes") or ()],
        "made": made,
        "model": facts.get("model") or asked.get("model"),
        "weights": (facts.get("weights") or "")[:12],
        "settings": _shown(facts.get("settings") or asked),
        "hints": line.facts.get("hints") or [],
        "pick": _copy(facts.get("pick")),
        "pick_id": facts["id"],
        "hints_file": _readable(book.name_for(entry.source)),
        "flags": [],
    }
    for kind in ("before", "after"):
        thumbnail, full = facts.get(kind), facts.get(f"{kind}_full")
        record[f"{kind}_thumb"] = _copy(thumbnail)
        record[f"{kind}_is_copy"] = full is not None
        file = entry.source if kind == "before" else entry.output
        record[kind] = None if thumbnail is None else _copy(full) or link(file, out)
    return record


def _flag(photos: Sequence[dict[str, Any]]) -> None:
    """Say of each photograph why it is worth a look first."""
    done = [photo for photo in photos if photo["status"] == "done"]
    sure = sorted(photo["confidence"] for photo in done if photo["confidence"] is not None)
    limit = sure[int(len(sure) * LEAST_SURE)] if len(sure) >= ENOUGH else -1.0
    for photo in done:
        chroma, confidence = photo["chroma"], photo["confidence"]
        if chroma is not None and chroma < NEARLY_GRAY:
            photo["flags"].append("gray")
        if chroma is not None and chroma > VERY_SATURATED:
            photo["flags"].append("vivid")
        if confidence is not None and confidence < limit:
            photo["flags"].append("unsure")


def link(file: Path | None, out: Path) -> str | None:
    """A relative address for a file, which also works for names that are no UTF-8."""
    if file is None:
        return None
    try:
        relative = os.path.relpath(file, out)
    except ValueError:  # another drive
        return Path(os.path.abspath(file)).as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))


def _copy(file: str | None) -> str | None:
    return None if file is None else f"{FOLDER}/gallery/{quote(file)}"


def _shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    names = ("input_size", "saturation", "warmth", "temperature", "precision", "quality")
    return {name: settings[name] for name in names if settings.get(name) is not None}


def _rounded(value: object, digits: int) -> float | None:
    return round(float(value), digits) if isinstance(value, int | float) else None


def _readable(text: str) -> str:
    """Text that every browser shows; bytes that are no UTF-8 as their numbers."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
