"""decode | network | encode, joined by bounded queues.

`workers` threads decode and encode; what is nearest to its end goes first. `painters` others run
the network, one on a GPU. How much is between the stages is bounded by count and by the bytes of
the pictures, so that memory depends neither on the folder nor on how sizes are mixed; a picture
that is larger than the whole bound goes alone.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
# On Windows, Python hears of Ctrl-C only when a wait is over.
_LONGEST_WAIT_S = 0.2 if os.name == "nt" else None


class Pipeline(Generic[T]):
    """Leads items through three stages and yields them in the order in which they finish.

    The stages change items in place. An item for which `is_finished` says yes skips the rest. What
    a stage raises ends the whole pipeline and is raised to whoever iterates.

    Args:
        items: What to do; taken one by one, when there is room.
        decode: First stage; called in several threads.
        paint: Second stage; gets up to `group` items at a time, in `painters` threads.
        encode: Third stage; called in several threads.
        cost: Bytes that an item will hold while it is under way; called in several threads.
        is_finished: Whether an item's result is known.
        workers: Threads for the first and third stage.
        group: Most items for one call of `paint`.
        budget: Most bytes under way.
        painters: Threads for the second stage.
    """

    def __init__(
        self,
        items: Iterable[T],
        *,
        decode: Callable[[T], None],
        paint: Callable[[Sequence[T]], None],
        encode: Callable[[T], None],
        cost: Callable[[T], int],
        is_finished: Callable[[T], bool],
        workers: int,
        group: int,
        budget: int,
        painters: int = 1,
    ) -> None:
        self._source = iter(items)
        self._decode, self._paint, self._encode = decode, paint, encode
        self._cost, self._is_finished = cost, is_finished
        self._group, self._budget = group, budget
        self._most = 2 * workers + group * painters

        self._changed = threading.Condition()  # guards all that follows
        self._waiting: deque[tuple[T, int]] = deque()  # measured, but there was no room
        self._decoded: deque[tuple[T, int]] = deque()
        self._painted: deque[tuple[T, int]] = deque()
        self._finished: deque[T] = deque()
        self._exhausted = False
        self._measuring = 0
        self._under_way = 0
        self._bytes = 0
        self._stopping = self._interrupted = False
        self._error: BaseException | None = None

        self._threads = [
            threading.Thread(target=self._guard, args=(self._work,), name=f"codec-{n}", daemon=True)
            for n in range(workers)
        ]
        self._threads += [
            threading.Thread(
                target=self._guard, args=(self._run_network,), name=f"network-{n}", daemon=True
            )
            for n in range(painters)
        ]

    def __iter__(self) -> Iterator[T]:
        """Start, and yield items as they finish; whoever stops early must call `stop`."""
        for thread in self._threads:
            thread.start()
        try:
            while True:
                with self._changed:
                    while not self._has_news():
                        self._changed.wait(_LONGEST_WAIT_S)
                    if self._interrupted:
                        raise KeyboardInterrupt
                    if self._error is not None:
                        raise self._error
                    if not self._finished:
                        return
                    item = self._finished.popleft()
                yield item
        finally:
            self.stop()

    def interrupt(self) -> None:
        """Let the iteration raise KeyboardInterrupt as soon as it holds no item.

        A signal's handler may call it, in whatever the main thread is: the lock is re-entrant.
        """
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def stop(self) -> list[T]:
        """Let each thread end the call it is in, start no other, and wait for them.

        Returns:
            Items that were finished and never yielded.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        return list(self._finished)

    def _has_news(self) -> bool:
        ended = self._interrupted or self._error is not None or self._is_done()
        return ended or bool(self._finished)

    def _is_done(self) -> bool:
        return self._exhausted and not (self._under_way or self._waiting or self._measuring)

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._stopping = True
                self._changed.notify_all()

    # Codec threads

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._stopping or self._painted or self._may_start() or self._is_done()
                )
                if self._stopping or not (self._painted or self._may_start()):
                    return
                if self._painted:
                    item, cost = self._painted.popleft()
                    stage = self._encode
                elif self._waiting:
                    item, cost = self._start(*self._waiting.popleft())
                    stage = self._decode
                else:
                    try:
                        item = next(self._source)
                    except StopIteration:
                        self._exhausted = True
                        self._changed.notify_all()
                        continue
                    self._measuring += 1
                    stage = None
            if stage is None:
                self._measure(item)
                continue
            stage(item)
            with self._changed:
                if stage is self._encode or self._is_finished(item):
                    self._finish(item, cost)
                else:
                    self._decoded.append((item, cost))
                self._changed.notify_all()

    def _measure(self, item: T) -> None:
        cost = self._cost(item)
        with self._changed:
            self._measuring -= 1
            self._waiting.append((item, cost))
            self._changed.notify_all()

    def _may_start(self) -> bool:
        """Whether there is an item to decode, and room for it."""
        if self._under_way + self._measuring >= self._most:
            return False
        if not self._waiting:
            return not self._exhausted
        return not self._under_way or self._bytes + self._waiting[0][1] <= self._budget

    def _start(self, item: T, cost: int) -> tuple[T, int]:
        self._under_way += 1
        self._bytes += cost
        return item, cost

    def _finish(self, item: T, cost: int) -> None:
        self._under_way -= 1
        self._bytes -= cost
        self._finished.append(item)

    # The network's threads

    def _run_network(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._decoded or self._is_done())
                if self._stopping or not self._decoded:
                    return
                # What is there is taken; waiting for a full group could wait for ever.
                count = min(self._group, len(self._decoded))
                taken = [self._decoded.popleft() for _ in range(count)]
            self._paint([item for item, _ in taken])
            with self._changed:
                for item, cost in taken:
                    if self._is_finished(item):
                        self._finish(item, cost)
                    else:
                        self._painted.append((item, cost))
                self._changed.notify_all()
