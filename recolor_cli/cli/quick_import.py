"""How torch is imported without waiting for the garbage collector."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_import() -> Iterator[None]:
    """Import torch without looking for garbage among its objects, now or at any later time.

    There is none, and looking takes a sixth of the import, again and again.
    """
    if "torch" in sys.modules:  # somebody's program that calls the command
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
