"""Ctrl-C and SIGTERM that end the work where it can be ended."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

WANTED = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupting(interrupt: Callable[[], bool], *, unheard_too: bool = False) -> Iterator[None]:
    """Let the first signal call `interrupt`; what it does not take, and any second one, acts.

    An ignored signal stays ignored, as for what a script started in the background.

    Args:
        interrupt: Asks the work to raise KeyboardInterrupt soon; says whether it will.
        unheard_too: Also take a signal that would kill the process without a word, as SIGTERM
            does where Python is as it comes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may have handlers
        return
    before = {int(number): signal.getsignal(number) for number in WANTED}
    heard: list[int] = []

    def as_before(number: int, frame: Any) -> None:
        handler = before[number]
        if callable(handler):
            handler(number, frame)
        else:
            signal.raise_signal(number)  # there is no other handler any more

    def hear(number: int, frame: Any) -> None:
        for wanted in ours:
            signal.signal(wanted, before[wanted])
        if interrupt():
            heard.append(number)
        else:
            as_before(number, frame)

    kinds = (signal.SIG_IGN, None) if unheard_too else (signal.SIG_IGN, signal.SIG_DFL, None)
    ours = [number for number, handler in before.items() if handler not in kinds]
    for number in ours:
        signal.signal(number, hear)
    try:
        yield
    except KeyboardInterrupt:
        if heard and callable(before[heard[0]]):
            as_before(heard[0], None)  # so that the exit status tells which it was
        raise
    finally:
        for number in ours:
            signal.signal(number, before[number])


@contextmanager
def insisting() -> Iterator[None]:
    """Let a signal act at once, and again at the end for a library that made something else of it.

    Some take the KeyboardInterrupt that reaches them for a failure of their own, or drop it.
    """
    heard = threading.Event()

    def note() -> bool:
        heard.set()
        return False  # it acts as it would have

    try:
        with interrupting(note):
            yield
    except Exception:
        if heard.is_set():
            raise KeyboardInterrupt from None
        raise
    if heard.is_set():
        raise KeyboardInterrupt
