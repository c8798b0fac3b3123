"""Who may write to one output folder at the same time, whatever the system calls a lock."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from recolor_cli.colorize.lock import FolderLock
from recolor_cli.errors import OutputError

fcntl = pytest.importorskip("fcntl")
UNLOCK, LOCK = 0, 2


def locking(handle: int, mode: int, count: int) -> None:
    """As msvcrt.locking: bytes from where the file is, for one opening of it, never shared."""
    kind = fcntl.F_UNLCK if mode == UNLOCK else fcntl.F_WRLCK
    begin = os.lseek(handle, 0, os.SEEK_CUR)
    lock = struct.pack("hhqqi4x", kind, os.SEEK_SET, begin, count, 0)
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, lock)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None


@pytest.fixture(params=["here", "windows"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("recolor_cli.colorize.lock._PAUSES_S", (0,))
    if request.param == "windows":
        if not hasattr(fcntl, "F_OFD_SETLK") or sys.maxsize < 2**32:
            pytest.skip("locks of Windows are played with those of Linux")
        msvcrt = SimpleNamespace(LK_UNLCK=UNLOCK, LK_NBLCK=LOCK, locking=locking)
        monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
        monkeypatch.setattr("sys.platform", "win32")
    return str(request.param)


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize(
    ("first", "second", "allowed"),
    [
        ((1, 1), (1, 1), False),
        ((1, 1), (1, 2), False),
        ((1, 2), (1, 1), False),
        ((1, 2), (2, 2), True),
        ((1, 2), (1, 2), False),
        ((1, 2), (1, 3), True),
    ],
)
def test_who_may_write_beside_whom(
    tmp_path: Path, first: tuple[int, int], second: tuple[int, int], allowed: bool
) -> None:
    one = FolderLock(tmp_path, first)
    assert one.alone
    if allowed:
        two = FolderLock(tmp_path, second)
        assert not two.alone
        two.close()
    else:
        with pytest.raises(OutputError, match="another recolor"):
            FolderLock(tmp_path, second)
    one.close()
    again = FolderLock(tmp_path, second)
    assert again.alone
    again.close()


@pytest.mark.usefixtures("system")
def test_a_whole_run_waits_for_the_shard_that_came_last(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path, (1, 2)), FolderLock(tmp_path, (2, 2))
    first.close()
    with pytest.raises(OutputError, match="another recolor"):
        FolderLock(tmp_path, (1, 1))
    second.close()
    FolderLock(tmp_path, (1, 1)).close()


@pytest.mark.usefixtures("system")
def test_a_shard_waits_for_another_that_asks_whether_it_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = FolderLock(tmp_path, (1, 1))  # as it has the folder for a moment
    monkeypatch.setattr("time.sleep", lambda _pause: asking.close())
    FolderLock(tmp_path, (2, 2)).close()


def test_nfs_shares_locks_on_files_that_are_open_for_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # flock(2), "NFS details": there it is a lock of fcntl(2), which wants the file open for it.
    monkeypatch.setattr(fcntl, "flock", fcntl.lockf)
    FolderLock(tmp_path, (1, 2)).close()
