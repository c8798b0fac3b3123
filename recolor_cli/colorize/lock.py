"""Who may write to one output folder at the same time.

A run takes the whole folder; shards share it, each taking its own part. Locks belong to the open
file, so they end with the process, however it ends.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from recolor_cli.errors import OutputError
from recolor_cli.images.atomic import output_error

# Shards that begin together find each other in the moment in which one asks whether it is alone.
_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
_ALL = 2**31 - 1  # bytes, the longest lock of Windows; it may lie beyond the end of the file


class FolderLock:
    """A lock on OUT, held until `close`.

    Args:
        folder: Where lock files are kept; it exists.
        shard: (I, N). (1, 1) excludes everybody, others exclude the same part and whole runs.

    Attributes:
        alone: Whether nobody else was writing to OUT when the lock was taken.

    Raises:
        OutputError: Another run holds the folder or the part.
    """

    def __init__(self, folder: Path, shard: tuple[int, int]) -> None:
        self._files: list[IO[bytes]] = []
        self._folder = folder
        part, parts = shard
        try:
            whole = self._open("lock")
            if parts > 1 and not _take(self._open(f"lock-{part}-of-{parts}")):
                raise _busy(folder, f"it does part {part} of {parts} already")
            self.alone = _take(whole)
            if parts == 1:
                if not self.alone:
                    raise _busy(folder, "wait for it, or share the work with --shard I/N")
                return
            own = parts * (parts - 1) // 2 + part
            for pause in (*_PAUSES_S, None):
                if _share(whole, own, taken=self.alone):
                    return
                if pause is not None:
                    time.sleep(pause)
            raise _busy(folder, "wait for it")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others in."""
        while self._files:
            self._files.pop().close()

    def _open(self, name: str) -> IO[bytes]:
        path = self._folder / name
        try:
            file = path.open("a+b")  # readable: NFS shares no lock on a file that is not
        except OSError as error:
            raise output_error(path, error) from error
        self._files.append(file)
        return file


def _take(file: IO[bytes]) -> bool:
    """Lock everybody else out; whether that was possible."""
    if sys.platform == "win32":
        return _lock_bytes(file, 0, _ALL)
    return _flock(file, shared=False)


def _share(file: IO[bytes], own: int, *, taken: bool) -> bool:
    """Lock out those who want to be alone, and nobody else; whether that was possible.

    Args:
        file: Of the lock.
        own: A number that nobody else has who shares. Python knows no shared locks of Windows, but
            locks of single bytes: each takes another one, and who wants to be alone takes all.
        taken: Whether this file locks everybody out until now.
    """
    if sys.platform == "win32":
        if taken:
            _lock_bytes(file, 0, _ALL, free=True)
        return _lock_bytes(file, own % _ALL, 1)
    return _flock(file, shared=True)


def _flock(file: IO[bytes], *, shared: bool) -> bool:
    import fcntl

    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # Some network disks know no locks. Every file is still written whole or not at all; two
        # runs would only do the same work twice.
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    return True


def _lock_bytes(file: IO[bytes], first: int, count: int, *, free: bool = False) -> bool:
    msvcrt: Any = import_module("msvcrt")  # whose functions type checkers know on Windows only
    os.lseek(file.fileno(), first, os.SEEK_SET)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK if free else msvcrt.LK_NBLCK, count)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EDEADLK):
            return False
        if error.errno not in (errno.EINVAL, errno.ENOSYS):  # a disk without locks, as above
            raise
    return True


def _busy(folder: Path, hint: str) -> OutputError:
    return OutputError(f"another recolor is writing to {str(folder.parent)!r}; {hint}")
