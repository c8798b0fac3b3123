"""review.json: what a person marked on a gallery page, read with suspicion.

{"format": "recolor-review/1", "out": "/photos/colored", "saved": "2026-03-01T12:00:00Z",
 "photos": [{"output": "1931/harbour.jpg", "sha256": "9f...", "mark": "keep"},
            {"output": "1931/market.jpg", "sha256": "51...", "mark": "redo",
             "settings": {"model": "ddcolor.artistic", "saturation": 0.8},
             "hints": [{"point": [0.42, 0.61], "color": "#3b4a6b"}]}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recolor_cli.color.hints import Hint
from recolor_cli.colorize.hint_entries import parse_hints
from recolor_cli.colorize.settings import Settings
from recolor_cli.errors import UsageError

FORMAT = "recolor-review/1"
CHOICES: dict[str, tuple[type, ...]] = {  # settings that a mark may choose, and their types
    "model": (str,),
    "saturation": (int, float),
    "warmth": (int, float),
    "temperature": (int, float),
    "input_size": (int,),
}


@dataclass(frozen=True)
class Mark:
    """What a person wants for one photograph.

    Attributes:
        key: The output's place below the folder of results.
        keep: Leave it as it is, also in later runs; else make it again.
        sha256: Of the output that was looked at; empty if there was none.
        settings: For making it again: some of `CHOICES`; the rest stays as it was.
        hints: All that is known about its colours, for making it again; None leaves it as it was.
    """

    key: str
    keep: bool
    sha256: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    hints: tuple[Hint, ...] | None = None


@dataclass(frozen=True)
class Review:
    """A file of marks.

    Attributes:
        out: The folder of results that was looked at, where it was then.
        marks: In the order of the page.
    """

    out: Path
    marks: tuple[Mark, ...]


def read_review(path: Path) -> Review:
    """Read and check a file that a gallery page saved.

    Raises:
        UsageError: It cannot be read, is another kind of file, or holds a value that is not
            possible; the text names it.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"cannot read {str(path)!r}: {reason}; save review.json from the gallery page"
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{str(path)!r} is no JSON; save review.json from the gallery page again"
        ) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UsageError(f"{str(path)!r} is no {FORMAT} file; save one from a gallery page")
    out, photos = record.get("out"), record.get("photos")
    if not isinstance(out, str) or not out or not isinstance(photos, list):
        raise UsageError(f"{str(path)!r} names no folder or no photos; save it again")
    marks = tuple(_mark(photo, f"{str(path)!r}, photo {n}") for n, photo in enumerate(photos, 1))
    seen: set[str] = set()
    for mark in marks:
        if mark.key in seen:
            raise UsageError(f"{str(path)!r} marks {mark.key!r} twice; leave one of them out")
        seen.add(mark.key)
    return Review(Path(out), marks)


def _mark(photo: object, where: str) -> Mark:
    if not isinstance(photo, dict) or not isinstance(photo.get("output"), str):
        raise UsageError(f"{where} names no output; save the review again")
    kind, sha256, settings = photo.get("mark"), photo.get("sha256", ""), photo.get("settings", {})
    if kind not in ("keep", "redo"):
        raise UsageError(f"{where} has the mark {kind!r}; use 'keep' or 'redo'")
    if not isinstance(sha256, str) or not isinstance(settings, dict):
        raise UsageError(f"{where} is damaged; save the review again")
    for name, value in settings.items():
        if name not in CHOICES:
            raise UsageError(f"{where} has the setting {name!r}; use {', '.join(CHOICES)}")
        if not isinstance(value, CHOICES[name]) or isinstance(value, bool):
            raise UsageError(f"{where} has {value!r} as {name}; that is not possible")
    try:
        Settings(**settings)  # the ranges
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    hints = photo.get("hints")
    if hints is not None:
        hints = tuple(parse_hints(hints, where, {}))
    return Mark(photo["output"], kind == "keep", sha256, settings, hints)
