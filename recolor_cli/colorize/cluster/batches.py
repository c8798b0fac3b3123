"""Which photographs go to a worker together, and what is done with those whose worker died.

Photographs are known by number. Nothing here knows of Ray.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

BATCH = 32  # photographs; of 12 megapixels, some seconds of work for one worker
MOST_DEATHS = 3  # of workers that had one photograph only: then it is the photograph
MOST_LOSSES = 8  # the same, where the whole machine went: machines go for many reasons
MOST_RETURNS = 4  # of a batch that is not alone: then each of its photographs goes alone


@dataclass(eq=False)
class Batch:
    """Photographs that one worker gets in one call.

    Attributes:
        items: Numbers of those that have no result yet, in order.
        deaths: How many workers died with this batch.
        losses: How many machines did.
    """

    items: list[int]
    deaths: int = 0
    losses: int = 0


@dataclass
class Batches:
    """All photographs of a run: not given out, or in one batch that is.

    A worker that dies takes its batch with it. What it can have had under way is tried again one by
    one, so that a photograph which ends every process that opens it is found, and fails alone.

    Args:
        count: Photographs, numbered from 0.
        most: Photographs in a batch.
    """

    count: int
    most: int = BATCH
    _next: int = 0
    _again: deque[Batch] = field(default_factory=deque)

    @property
    def left(self) -> int:
        """Photographs that are not given out."""
        return self.count - self._next + sum(len(batch.items) for batch in self._again)

    def take(self, workers: int) -> Batch | None:
        """The next batch; smaller towards the end, so that `workers` end at the same time."""
        if self._again:
            return self._again.popleft()
        left = self.count - self._next
        if not left:
            return None
        size = min(self.most, max(1, left // (2 * max(1, workers))))
        batch = Batch(list(range(self._next, self._next + size)))
        self._next += size
        return batch

    def put_back(self, batch: Batch) -> None:
        """Take a batch back of which nothing was begun."""
        if batch.items:
            self._again.appendleft(batch)

    def died(self, batch: Batch, *, window: int, machine: bool) -> Sequence[int]:
        """Take a batch back whose worker died.

        Args:
            batch: With the items that have no result.
            window: How many of them it can have begun; it begins them in order.
            machine: Whether its whole machine is gone.

        Returns:
            Photographs to give up on.
        """
        deaths, losses = batch.deaths + (not machine), batch.losses + machine
        if not batch.items:
            return ()
        if len(batch.items) == 1 and (deaths >= MOST_DEATHS or losses >= MOST_LOSSES):
            return batch.items
        begun = len(batch.items) if deaths + losses >= MOST_RETURNS else window
        alone, rest = batch.items[:begun], batch.items[begun:]
        # The rest first: what is probably sound does not wait for what is probably not.
        if rest:
            self._again.append(Batch(rest, deaths, losses))
        self._again.extend(Batch([item], deaths, losses) for item in alone)
        return ()
