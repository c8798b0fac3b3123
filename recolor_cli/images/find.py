"""Which files a command line means: files, folders, patterns."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from recolor_cli.errors import UsageError
from recolor_cli.images.remote import RemotePath, as_path

SUFFIXES = {
    ".jpg": "jpeg", ".jpeg": "jpeg", ".jpe": "jpeg", ".jfif": "jpeg",
    ".png": "png", ".apng": "png",
    ".tif": "tiff", ".tiff": "tiff",
    ".webp": "webp",
    ".bmp": "bmp", ".dib": "bmp",
    ".jp2": "jp2", ".j2k": "jp2", ".jpx": "jp2", ".jpf": "jp2", ".j2c": "jp2", ".jpc": "jp2",
    ".heic": "heif", ".heif": "heif", ".hif": "heif",
    ".avif": "avif",
    ".gif": "gif",
}  # fmt: skip
"""The suffixes by which a folder's photographs are known, and the format each one claims."""


@dataclass(frozen=True)
class Found:
    """One input file.

    Attributes:
        path: Where it is.
        relative: Where its result goes under the output folder: the file's name, or for a file
            found in a folder its place below that folder.
    """

    path: Path
    relative: PurePath


@dataclass(frozen=True)
class Findings:
    """What a command line's inputs came to.

    Attributes:
        photos: What to colour, in the order given; inside a folder sorted by name.
        ignored: Files in folders that are not photographs by their suffix, and what is not a
            file at all (a pipe); hidden files are not counted.
        repeated: Names that lead to a file which is already among `photos`.
        unreadable: Folders below an input that may not be opened, each with the reason.
    """

    photos: list[Found] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)
    repeated: list[Path] = field(default_factory=list)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)


def find_photos(inputs: Sequence[str | Path]) -> list[Found]:
    """Find the photographs that `inputs` name; `survey` also says what was left out.

    Raises:
        UsageError: An input does not exist, or a pattern matches nothing.
    """
    return survey(inputs).photos


def survey(inputs: Sequence[str | Path]) -> Findings:
    """Find the photographs that `inputs` name, and what else was met on the way.

    A file that is named is always taken, whatever it is called. A folder is walked to its end,
    links included, each real folder and file once; hidden names are passed over. A pattern is
    expanded here when the shell did not.

    Raises:
        UsageError: An input does not exist, or a pattern matches nothing.
    """
    findings = Findings()
    seen: set[object] = set()
    for given in inputs:
        for path in _expand(given):
            if isinstance(path, RemotePath):
                _take_remote(path, findings, seen)
            elif path.is_dir():
                _walk(path, path, findings, seen, ())
            else:
                _take(path, PurePath(path.name), findings, seen)
    return findings


def normal(name: str) -> str:
    """A name in the form that most people type, to be compared with others.

    A Mac may write an accent as a letter of its own, and then so does every disk and archive that
    the file is copied to; on the screen the two look the same.
    """
    return unicodedata.normalize("NFC", name)


def _expand(given: str | Path) -> list[Path]:
    path = as_path(given)
    if isinstance(path, RemotePath):
        return _expand_remote(path)
    # lexists: a broken link that is named must fail later, with a reason of its own.
    if os.path.lexists(path):
        return [path]
    text = os.fspath(given)
    if glob.has_magic(text):
        matches = sorted(glob.glob(text, recursive=True), key=os.fsencode)
        if matches:
            return [Path(match) for match in matches]
        raise UsageError(f"nothing matches {text!r}; check the folder and the spelling")
    raise UsageError(f"no such file or folder: {text!r}; check the spelling")


def _expand_remote(path: RemotePath) -> list[Path]:
    try:
        if path.exists():
            return [path]
        matches = path.matching() if glob.has_magic(str(path)) else []
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{str(path)!r} cannot be read: {reason}") from error
    if not matches:
        raise UsageError(f"nothing at {str(path)!r}; check the spelling")
    return [as_path(match) for match in matches]


def _take_remote(path: RemotePath, findings: Findings, seen: set[object]) -> None:
    if not path.is_dir():
        _take(path, PurePath(path.name), findings, seen)
        return
    for address in sorted(path.below()):
        found = RemotePath(address)
        relative = found.relative_to(path)
        if str(found) != address or ".." in relative.parts:  # s3 allows a//b and a/../b
            findings.unreadable.append((found, "its name has empty parts; rename it"))
        elif any(part.startswith(".") for part in relative.parts):
            continue
        elif found.suffix.lower() not in SUFFIXES:
            findings.ignored.append(found)
        else:
            _take(found, relative, findings, seen)


def _walk(
    folder: Path, top: Path, findings: Findings, seen: set[object], above: tuple[object, ...]
) -> None:
    try:
        here = _identity(folder)
        if here in above:  # a link back to a folder that we are in
            return
        if here in seen and above:
            findings.repeated.append(folder)
            return
        seen.add(here)
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        findings.unreadable.append((folder, (error.strerror or str(error)).lower()))
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if path.is_dir():
            _walk(path, top, findings, seen, (*above, here))
        elif path.suffix.lower() not in SUFFIXES or (path.exists() and not path.is_file()):
            findings.ignored.append(path)
        else:
            _take(path, path.relative_to(top), findings, seen)


def _take(path: Path, relative: PurePath, findings: Findings, seen: set[object]) -> None:
    identity = _identity(path)
    if identity in seen:
        findings.repeated.append(path)
        return
    seen.add(identity)
    findings.photos.append(Found(path, relative))


def _identity(path: Path) -> object:
    """Tell one real file or folder from another; hard links stay apart, as two files."""
    if isinstance(path, RemotePath):
        path = path.real()
        if isinstance(path, RemotePath):
            return str(path)
    if path.is_dir():
        status = path.stat()
        if status.st_ino:  # 0 where a disk does not number its files, as of some clouds
            return (status.st_dev, status.st_ino)
    return os.path.realpath(path)
