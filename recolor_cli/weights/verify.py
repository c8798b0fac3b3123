"""Is a file what its pin says? sha256 and size, and the memory of files that were checked.

Hashing 900 MB takes seconds at each start, so a successful check is remembered in
`<recolor cache>/verified/`: path, size, inode, modification and change time. Any write to the
file, or another file in its place, changes one of them and it is hashed again. The memory saves
time, it is no defence against somebody who can already write to your cache; `recolor models
verify` always hashes.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path

from recolor_cli.errors import WeightsError

CACHE_VARIABLE = "RECOLOR_CACHE"


def cache_folder() -> Path:
    """Our own cache: $RECOLOR_CACHE, else $XDG_CACHE_HOME/recolor, else ~/.cache/recolor.

    Raises:
        WeightsError: nobody knows where home is, as in a container for a user without a name.
    """
    try:
        if chosen := os.environ.get(CACHE_VARIABLE):
            return Path(chosen).expanduser()
        base = os.environ.get("XDG_CACHE_HOME")
        return (Path(base) if base else Path.home() / ".cache") / "recolor"
    except RuntimeError:
        raise WeightsError(
            f"there is no home folder to keep weights in; set {CACHE_VARIABLE} to a folder"
        ) from None


def hash_file(path: Path) -> str:
    """The file's sha256, read in pieces.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read the weights '{path}': {error.strerror}") from None


def find_difference(
    path: Path, sha256: str, size: int | None, *, remember: bool = True
) -> str | None:
    """Compare a file with its pin.

    Args:
        path: the file.
        sha256: what its hash must be.
        size: what its length in bytes must be; None if that is not known.
        remember: use and update the memory of checked files; without it the file is always hashed.

    Returns:
        None if it is as it should be, else the difference in words, expected and actual.

    Raises:
        WeightsError: the file cannot be read.
    """
    marks = marks_of(path)
    if size is not None and marks["size"] != size:
        return f"it has {marks['size']} bytes, and should have {size}"
    memory = _memory_of(sha256) if remember else None
    if memory is not None and _read_marks(memory) == marks:
        return None
    actual = hash_file(path)
    if actual != sha256:
        return f"its sha256 is {actual}, and should be {sha256}"
    if memory is not None:
        _write_marks(memory, marks)
    return None


def _memory_of(sha256: str) -> Path | None:
    try:
        return cache_folder() / "verified" / f"{sha256}.json"
    except WeightsError:  # no place for it: the file is sound all the same, and hashed each time
        return None


def marks_of(path: Path) -> dict[str, object]:
    """What tells a file from itself after a write, and from another one in its place.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise WeightsError(f"cannot read the weights '{path}': {error.strerror}") from None
    return {
        "path": str(path.resolve()),
        "size": stat.st_size,
        "inode": stat.st_ino,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
    }


def _read_marks(memory: Path) -> object:
    try:
        return json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # never checked, or not readable: check again
        return None


def _write_marks(memory: Path, marks: dict[str, object]) -> None:
    temporary = memory.with_suffix(f".{secrets.token_hex(4)}.tmp")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(marks), encoding="utf-8")
        temporary.replace(memory)
    except OSError:  # a read-only home: the file is sound all the same, and hashed again next time
        return
