"""How a file comes to be there completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from recolor_cli.errors import OutputError, StorageError
from recolor_cli.images.ifd import Piece
from recolor_cli.images.remote import RemotePath, is_remote, names_in

PREFIX = ".recolor-"
_TEMPORARY = re.compile(r"\.recolor-([0-9a-f]{8})-(\d+)-[0-9a-f]{16}\.part")
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_DAY_S = 86_400
# Windows renames no file that is open, as a new one is to virus scanners for a moment.
_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8) if os.name == "nt" else ()
_in_work: set[str] = set()
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and run again to go on",
    errno.EDQUOT: "the disk quota is used up; free some space and run again to go on",
    errno.EFBIG: "the file is larger than the disk allows; choose another output folder",
    errno.EROFS: "the disk is read-only; choose another output folder",
    errno.EACCES: (
        "permission denied, or a program has it open; close that, or choose another output folder"
        if os.name == "nt"
        else "permission denied; choose another output folder"
    ),
    errno.EPERM: "not permitted; choose another output folder",
    errno.ENAMETOOLONG: "the name is too long for this disk; choose a shorter one",
    errno.ENOTDIR: "a part of the path is a file; choose another output folder",
    errno.EISDIR: "a folder is in the way; choose another output",
}


def write_atomic(path: str | Path, data: bytes | Sequence[Piece]) -> None:
    """Write `data` as `path`, which at every moment holds the old content or all of the new.

    Missing folders are made. The bytes go to a hidden file in the same folder, reach the disk,
    and then take the name. Permissions are those of a new file. Pieces are written one behind the
    other; a local file never has them joined in memory.

    Raises:
        OutputError: The file cannot be written. Nothing is left behind.
    """
    pieces: Sequence[Piece] = [data] if isinstance(data, bytes) else data
    # A short random name: the target's own may already be as long as the disk allows.
    name = f"{PREFIX}{mark()}-{os.urandom(8).hex()}.part"
    if isinstance(path, RemotePath):
        _in_work.add(name)
        try:
            path.put(b"".join(pieces), name)
        except OSError as error:
            raise output_error(path, error) from error
        finally:
            _in_work.discard(name)
        return
    path = Path(path)
    temporary = path.parent / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _in_work.add(name)
        try:
            with temporary.open("xb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            take_name(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        finally:
            _in_work.discard(name)
        _sync_folder(path.parent)
    except OSError as error:
        raise output_error(path, error) from error


def take_name(temporary: Path, path: Path) -> None:
    """Rename a finished file, over the one that has the name.

    Raises:
        OSError: It cannot be done, also after a while.
    """
    for pause in _PAUSES_S:
        try:
            temporary.replace(path)
            return
        except PermissionError:
            time.sleep(pause)
    temporary.replace(path)


def output_error(path: str | Path, error: OSError) -> OutputError:
    """Turn a failure of the operating system into one line about `path`."""
    number = error.errno or 0
    place = "address, keys and network" if is_remote(path) else "the disk"
    reason = _REASONS.get(number) or f"{(error.strerror or str(error)).lower()}; check {place}"
    failure = OutputError(f"cannot write {str(path)!r}: {reason}")
    failure.__cause__ = error
    return failure


def mark() -> str:
    """What the names of this process's half-written files have in common."""
    return f"{_HOST}-{os.getpid()}"


def remove_left_by(mark: str, folder: Path) -> None:
    """Remove what one process, which is known to be gone, left half-written in `folder` itself."""
    with contextlib.suppress(FileNotFoundError, StorageError):
        for path in _growing(folder):
            if path.name.startswith(f"{PREFIX}{mark}-"):
                with contextlib.suppress(OSError):  # the next run tries again
                    path.unlink()


def remove_stale(folder: str | Path) -> list[Path]:
    """Remove what runs that were killed left half-written in `folder` itself (not below it).

    A file is taken only if its name is one that `write_atomic` makes, and the process in that
    name is gone from this machine or, on a disk shared by machines, the file is a day old.

    Returns:
        The removed paths, sorted.
    """
    removed: list[Path] = []
    folder = folder if isinstance(folder, Path) else Path(folder)
    try:
        found = sorted(path for path in _growing(folder) if _is_stale(path))
    except StorageError:
        raise
    except FileNotFoundError:
        return []
    except OSError as error:
        raise output_error(folder, error) from error
    for path in found:
        with contextlib.suppress(FileNotFoundError):  # another run cleans the same folder
            try:
                path.unlink()
            except PermissionError as error:
                raise output_error(path, error) from error
            removed.append(path)
    return removed


def _growing(folder: Path) -> list[Path]:
    """What looks as if `write_atomic` were at it, or had been; in an object store nothing does."""
    if isinstance(folder, RemotePath) and not folder.shows_growing_files:
        return []
    return [folder / name for name in names_in(folder) if _TEMPORARY.fullmatch(name)]


def _is_stale(path: Path) -> bool:
    match = _TEMPORARY.fullmatch(path.name)
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:  # it has just become what it was to be
        return False
    if not match or not stat.S_ISREG(status.st_mode):
        return False
    if match[1] == _HOST and not _is_writing(int(match[2]), path.name):
        return True
    # 0 is what a storage says that knows no times: then nobody can tell its age.
    return 0 < status.st_mtime < time.time() - _DAY_S


def _is_writing(process: int, name: str) -> bool:
    # In a container every run may have the same number: our own files are known by name.
    if process == os.getpid():
        return name in _in_work
    if os.name == "nt":  # there os.kill(pid, 0) would end the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Make the new name itself reach the disk, where the system can do that."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network and FUSE disks cannot sync folders; the file itself is already safe.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)
