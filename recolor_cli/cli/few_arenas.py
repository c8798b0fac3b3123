"""Less memory that the C library keeps for threads which will not need it again."""

from __future__ import annotations

import ctypes
import sys

_M_ARENA_MAX = -8  # of mallopt, in glibc's malloc.h
_ARENAS = 2


def use_few_arenas() -> bool:
    """Have glibc serve all threads from two arenas, instead of up to eight a core.

    Each keeps what was freed in it, pages of compressed pictures above all: 100 MB of 16-bit TIFFs.
    Large arrays do not come from arenas, so threads do not wait for each other.

    Returns:
        Whether the C library took it; other ones than glibc have no arenas.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl
        return False
    return bool(mallopt(_M_ARENA_MAX, _ARENAS))
