"""The stages and the queues between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from recolor_cli.colorize.pipeline import Pipeline


@dataclass(eq=False)
class Item:
    number: int
    cost: int = 1
    trail: list[str] = field(default_factory=list)
    finished: bool = False


class Stages:
    """Record what happens, and how much is under way at the worst moment."""

    def __init__(self, end_at_decode: set[int] | None = None) -> None:
        self.lock = threading.Lock()
        self.ends = end_at_decode or set()
        self.cost = self.worst_cost = self.count = self.worst_count = 0
        self.groups: list[int] = []

    def decode(self, item: Item) -> None:
        with self.lock:
            self.cost += item.cost
            self.count += 1
            self.worst_cost = max(self.worst_cost, self.cost)
            self.worst_count = max(self.worst_count, self.count)
        time.sleep(0.001)
        item.trail.append("decode")
        if item.number in self.ends:
            self.end(item)

    def paint(self, items: Sequence[Item]) -> None:
        self.groups.append(len(items))
        time.sleep(0.001)
        for item in items:
            item.trail.append("paint")

    def encode(self, item: Item) -> None:
        item.trail.append("encode")
        self.end(item)

    def end(self, item: Item) -> None:
        item.finished = True
        with self.lock:
            self.cost -= item.cost
            self.count -= 1


def pipeline(items: list[Item], stages: Stages, **changes: object) -> Pipeline[Item]:
    options: dict[str, object] = {
        "decode": stages.decode,
        "paint": stages.paint,
        "encode": stages.encode,
        "cost": lambda item: item.cost,
        "is_finished": lambda item: item.finished,
        "workers": 3,
        "group": 4,
        "budget": 10,
    }
    return Pipeline(items, **(options | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("painters", [1, 3])
def test_every_item_passes_every_stage_once(workers: int, group: int, painters: int) -> None:
    stages = Stages(end_at_decode={3, 4, 39})
    items = [Item(n) for n in range(40)]
    out = list(pipeline(items, stages, workers=workers, group=group, painters=painters))
    assert sorted(item.number for item in out) == list(range(40))
    for item in items:
        whole = ["decode"] if item.number in stages.ends else ["decode", "paint", "encode"]
        assert item.trail == whole
    assert max(stages.groups) <= group


def test_bytes_under_way_stay_within_the_budget() -> None:
    stages = Stages()
    items = [Item(n, cost=1 + n % 5) for n in range(60)]
    assert len(list(pipeline(items, stages, workers=4, budget=10))) == 60
    assert 5 < stages.worst_cost <= 10


def test_an_item_larger_than_the_budget_goes_alone() -> None:
    stages = Stages()
    items = [Item(n, cost=100 if n in (3, 7) else 2) for n in range(10)]
    assert len(list(pipeline(items, stages, workers=4, budget=10))) == 10
    assert stages.worst_cost == 100, "nothing else was under way beside it"


def test_the_count_under_way_is_bounded_whatever_the_cost() -> None:
    stages = Stages()
    list(pipeline([Item(n, cost=0) for n in range(100)], stages, workers=2, group=3))
    assert stages.worst_count <= 2 * 2 + 3


def test_nothing_to_do_ends_at_once() -> None:
    assert list(pipeline([], Stages())) == []


@pytest.mark.parametrize("stage", ["decode", "paint", "encode", "cost"])
def test_an_error_in_a_stage_ends_the_pipeline_and_is_raised(stage: str) -> None:
    def fail(_: object) -> None:
        raise ValueError(stage)

    with pytest.raises(ValueError, match=stage):
        list(pipeline([Item(n) for n in range(20)], Stages(), **{stage: fail}))
    assert not [t for t in threading.enumerate() if t.name.startswith(("codec", "network"))]


def test_stopping_ends_the_threads_and_keeps_what_was_finished() -> None:
    stages = Stages()
    items = [Item(n) for n in range(200)]
    line = pipeline(items, stages)
    iterator = iter(line)
    seen = [next(iterator) for _ in range(5)]
    late = line.stop()
    assert not [t for t in threading.enumerate() if t.name.startswith(("codec", "network"))]
    ended = [item for item in items if item.finished]
    assert len(ended) < 200
    assert {item.number for item in ended} == {item.number for item in [*seen, *late]}
    iterator.close()  # type: ignore[attr-defined]


def test_a_slow_reader_does_not_lose_results() -> None:
    out = []
    for item in pipeline([Item(n) for n in range(20)], Stages()):
        time.sleep(0.003)
        out.append(item.number)
    assert sorted(out) == list(range(20))


def test_who_waits_looks_up_now_and_then_where_ctrl_c_wakes_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On Windows the handler of Ctrl-C runs only when the main thread's wait is over.
    monkeypatch.setattr("recolor_cli.colorize.pipeline._LONGEST_WAIT_S", 0.01)
    begun, over, in_time = threading.Event(), threading.Event(), []

    def decode(_item: Item) -> None:
        begun.set()
        in_time.append(over.wait(3))

    def interrupt_unheard() -> None:
        begun.wait(3)
        time.sleep(0.05)
        run._interrupted = True

    def stop() -> list[Item]:
        over.set()
        return Pipeline.stop(run)

    run = pipeline([Item(0)], Stages(), decode=decode)
    monkeypatch.setattr(run, "stop", stop)
    thread = threading.Thread(target=interrupt_unheard)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(run)
    thread.join()
    assert in_time == [True]
