"""What a folder of results holds, photograph by photograph, as its manifest tells it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recolor_cli.colorize.manifest import FOLDER, Line, Manifest, hash_file
from recolor_cli.errors import UsageError

Status = Literal["done", "failed", "skipped"]


@dataclass(frozen=True)
class Entry:
    """One photograph of a folder of results.

    Attributes:
        key: The output's place below the folder, with forward slashes.
        status: done, failed or skipped.
        reason: Why it failed or was skipped, one line.
        source: The input, which may have been moved away since.
        output: The coloured photograph; None if there is none.
        sha256: Of the output; empty if there is none.
        line: All that the manifest knows.
    """

    key: str
    status: Status
    reason: str
    source: Path
    output: Path | None
    sha256: str
    line: Line


def read_entries(out: Path) -> tuple[list[Entry], Manifest]:
    """Read what is in a folder of results, in the order of names, numbers by their value.

    Raises:
        UsageError: The folder is none, or recolor never wrote into it.
        OutputError: Its manifest cannot be read.
    """
    if not out.is_dir():
        raise UsageError(f"no such folder: {str(out)!r}; name one that recolor colorize wrote to")
    manifest = Manifest(out)
    entries = [_entry(out, key, line) for key, line in manifest]
    if not entries:
        raise UsageError(
            f"{str(out)!r} holds no results (no {FOLDER}/manifest.jsonl); "
            "name a folder that recolor colorize wrote to"
        )
    return sorted(entries, key=lambda entry: natural(entry.key)), manifest


def natural(text: str) -> list[tuple[int, str]]:
    """Sort key by which scan-9 comes before scan-10.

    >>> sorted(["scan-10", "scan-9"], key=natural)
    ['scan-9', 'scan-10']
    """
    parts = re.split(r"(\d+)", text.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _entry(out: Path, key: str, line: Line) -> Entry:
    path, source = out / key, Path(line.source)
    if line.event in ("failed", "skipped"):
        return Entry(key, line.event, line.reason, source, None, "", line)
    if not os.path.exists(path):
        if line.event == "writing":
            reason = "the run was stopped while writing it; run it again"
        else:
            reason = "the coloured photograph was removed since; run again to make it"
        return Entry(key, "failed", reason, source, None, "", line)
    known = line.output is not None and line.output.looks_like(path)
    sha256 = line.output.sha256 if known and line.output is not None else hash_file(path)
    return Entry(key, "done", "", source, path, sha256, line)
