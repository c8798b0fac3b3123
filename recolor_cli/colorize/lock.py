"""Who may write to one output folder at the same time.

A run takes the whole folder; shards share it, each taking its own part. Locks belong to the open
file, so they end with the process, however it ends.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import IO

from recolor_cli.errors import OutputError
from recolor_cli.images.atomic import output_error


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
            if parts == 1:
                self.alone = _take(whole, exclusive=True)
                if not self.alone:
                    raise _busy(folder, "wait for it, or share the work with --shard I/N")
                return
            self.alone = _take(whole, exclusive=True)
            if not _take(whole, exclusive=False):
                raise _busy(folder, "wait for it")
            if not _take(self._open(f"lock-{part}-of-{parts}"), exclusive=True):
                raise _busy(folder, f"it does part {part} of {parts} already")
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
            file = path.open("ab")
        except OSError as error:
            raise output_error(path, error) from error
        self._files.append(file)
        return file


def _take(file: IO[bytes], *, exclusive: bool) -> bool:
    if sys.platform == "win32":
        import msvcrt

        # Byte locks cannot be shared there: shards are told apart by their own lock only.
        if not exclusive:
            return True
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # Some network disks know no locks. Every file is still written whole or not at all; two
        # runs would only do the same work twice.
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
    return True


def _busy(folder: Path, hint: str) -> OutputError:
    return OutputError(f"another recolor is writing to {str(folder.parent)!r}; {hint}")
