"""What libjpeg says about a damaged picture, and OpenCV does not pass on.

libjpeg fills what it cannot decode with grey, goes on, and prints one line to C's `stderr`. That
line is all that tells such a picture from a whole one, so it is caught here: glibc documents
`stderr` as a variable that a program may set (manual, "Standard Streams"). Python's `sys.stderr`
and file descriptor 2 stay as they are. With another C library nothing is heard.

The price: what a C library says in the moment in which it ends the whole process is lost, if a JPEG
is being decoded then.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")
_UNBUFFERED = 2  # _IONBF of glibc
_ROOM = 1 << 20  # bytes between two moments when nobody listens; thousands of lines
# How lines of libjpeg's begin (jerror.h); what else a C library prints meanwhile is handed on.
_LIBJPEG = (
    b"Corrupt JPEG data", b"Premature end of JPEG", b"Inconsistent progression", b"Invalid SOS",
    b"Warning: unknown JFIF", b"Unknown Adobe color", b"Application transferred",
)  # fmt: skip


class _Ear:
    """A stream that can stand in for C's `stderr`, and the threads that listen to it now."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._stderr = ctypes.c_void_p.in_dll(library, "stderr")
        self._usual = self._stderr.value
        # In memory: a file descriptor may be closed by a process that becomes a service, and be
        # another file's the next moment.
        self._memory = ctypes.create_string_buffer(_ROOM)
        library.fmemopen.restype = ctypes.c_void_p
        self._file = library.fmemopen(self._memory, ctypes.c_size_t(_ROOM), b"w")
        if not self._file:
            raise OSError("fmemopen failed")
        self._stream = ctypes.c_void_p(self._file)
        library.setvbuf(self._stream, None, _UNBUFFERED, ctypes.c_size_t(0))
        library.ftell.restype = ctypes.c_long
        self._library = library
        self._turn = threading.Condition()
        self._listeners: list[list[str]] = []
        self._alone = False
        self._waiting = 0  # who want to be alone; others let them go first, or they never would be
        self._told = 0  # bytes

    def listen(self, work: Callable[[], _Result], alone: bool) -> tuple[_Result, str]:
        heard: list[str] = []
        entered = False
        try:
            with self._turn:
                self._wait_for_turn(alone)
                entered, self._alone = True, alone
                if not self._listeners:
                    self._usual = self._stderr.value
                    self._stderr.value = self._file
                self._listeners.append(heard)
            result = work()
        finally:
            if entered:
                self._leave(heard)
        return result, "\n".join(heard)

    def _wait_for_turn(self, alone: bool) -> None:
        self._waiting += alone
        try:
            self._turn.wait_for(
                lambda: not self._alone and not (self._listeners if alone else self._waiting)
            )
        finally:  # also where Ctrl-C ends the waiting
            self._waiting -= alone
            self._turn.notify_all()

    def _leave(self, heard: list[str]) -> None:
        with self._turn:
            self._tell()
            self._listeners = [other for other in self._listeners if other is not heard]
            self._alone = False
            if not self._listeners:  # not before: another thread may be speaking right now
                self.restore()
                self._library.rewind(self._stream)
                self._told = 0
            self._turn.notify_all()

    def restore(self) -> None:
        self._stderr.value = self._usual

    def _tell(self) -> None:
        """Give what was said to all who listen: nobody knows whose picture it was about."""
        length = self._library.ftell(self._stream)
        said = ctypes.string_at(ctypes.addressof(self._memory) + self._told, length - self._told)
        self._told = length
        for line in said.splitlines(keepends=True):
            if line.startswith(_LIBJPEG):
                for listener in self._listeners:
                    listener.append(line.decode("ascii", "replace").strip())
            else:
                with contextlib.suppress(OSError):  # a program may run without a stderr
                    os.write(2, line)


def _make() -> _Ear | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl's `stderr` must not be written to
        return None
    try:
        return _Ear(library)
    except (ValueError, OSError):  # no such variable; no memory
        return None


def _make_anew() -> None:
    """Let a forked process listen for itself: what other threads held is held for ever."""
    global _ear
    if _ear is not None:
        _ear.restore()
        _ear = _make()


def can_hear() -> bool:
    """Tell whether `listen` hears anything on this system."""
    return _ear is not None


def listen(work: Callable[[], _Result], *, alone: bool = False) -> tuple[_Result, str]:
    """Do `work`, and return its result and the lines that libjpeg printed meanwhile.

    Pictures may be decoded in several threads at once, and all of them are told what is said about
    any of them; with `alone`, no other is decoded meanwhile, so that it is about this one.
    """
    if _ear is None:
        return work(), ""
    return _ear.listen(work, alone)


_ear = _make()
if _ear is not None:
    os.register_at_fork(after_in_child=_make_anew)
