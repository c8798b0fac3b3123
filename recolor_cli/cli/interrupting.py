"""Ctrl-C and SIGTERM that end the work where it can be ended."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

WANTED = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupting(interrupt: Callable[[], bool]) -> Iterator[None]:
    """Let the first signal call `interrupt`; what it does not take, and any second one, raises.

    Args:
        interrupt: Asks the work to raise KeyboardInterrupt soon; says whether it will.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may have handlers
        return
    before = {int(number): signal.getsignal(number) for number in WANTED}
    heard: list[int] = []

    def as_before(number: int, frame: Any) -> None:
        handler = before[number]
        assert callable(handler)
        handler(number, frame)

    def hear(number: int, frame: Any) -> None:
        for wanted in ours:
            signal.signal(wanted, before[wanted])
        if interrupt():
            heard.append(number)
        else:
            as_before(number, frame)

    # One that is ignored, or kills without a word, stays so.
    ours = [number for number, handler in before.items() if callable(handler)]
    for number in ours:
        signal.signal(number, hear)
    try:
        yield
    except KeyboardInterrupt:
        if heard:
            as_before(heard[0], None)  # so that the exit status tells which it was
        raise
    finally:
        for number in ours:
            signal.signal(number, before[number])
