"""Which photographs go out together, and what becomes of those whose worker died."""

from __future__ import annotations

import random

import pytest

from recolor_cli.colorize.cluster.batches import MOST_DEATHS, MOST_LOSSES, Batch, Batches

WINDOW = 6


def test_every_photograph_is_given_out_once_and_the_last_batches_are_small() -> None:
    batches = Batches(1000)
    sizes, items = [], []
    while (batch := batches.take(workers=4)) is not None:
        sizes.append(len(batch.items))
        items += batch.items
    assert items == list(range(1000))
    assert max(sizes) == 32
    assert sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)
    assert batches.left == 0


def test_what_is_put_back_comes_next() -> None:
    batches = Batches(100, most=10)
    batch = batches.take(1)
    assert batch is not None
    batch.items = batch.items[4:]
    batches.put_back(batch)
    assert batches.left == 96
    assert batches.take(1) is batch


def test_after_a_death_only_what_was_begun_goes_alone() -> None:
    batches = Batches(32)
    assert batches.died(Batch(list(range(20))), window=WINDOW, machine=False) == ()
    rest = batches.take(1)
    assert rest is not None
    assert rest.items == list(range(6, 20))
    for number in range(6):
        alone = batches.take(1)
        assert alone is not None
        assert alone.items == [number]


@pytest.mark.parametrize(("machine", "most"), [(False, MOST_DEATHS), (True, MOST_LOSSES)])
def test_a_photograph_that_kills_alone_is_given_up(machine: bool, most: int) -> None:
    batches, batch = Batches(1), Batch([0])
    for _ in range(most - 1):
        assert batches.died(batch, window=WINDOW, machine=machine) == ()
        again = batches.take(1)
        assert again is not None
        batch = again
    assert batches.died(batch, window=WINDOW, machine=machine) == [0]


def test_a_batch_that_was_finished_when_its_worker_died_costs_nothing() -> None:
    batches = Batches(0)
    assert batches.died(Batch([]), window=WINDOW, machine=False) == ()
    assert batches.take(1) is None


@pytest.mark.parametrize("seed", range(20))
def test_poison_fails_alone_wherever_it_lies_and_the_run_ends(seed: int) -> None:
    """Workers that begin in order, finish in any order, and die of some photographs."""
    chance = random.Random(seed)
    poison = set(chance.sample(range(300), chance.randrange(6)))
    batches = Batches(300)
    done: list[int] = []
    failed: list[int] = []
    deaths = 0
    while (batch := batches.take(workers=3)) is not None:
        waiting, under_way = list(batch.items), []
        while waiting or under_way:
            while waiting and len(under_way) < chance.randrange(1, WINDOW + 1):
                under_way.append(waiting.pop(0))
            if poison & set(under_way) or chance.random() < 0.002:  # or the machine's bad luck
                deaths += 1
                failed += batches.died(batch, window=WINDOW, machine=False)
                break
            item = chance.choice(under_way)
            under_way.remove(item)
            batch.items.remove(item)
            done.append(item)
    assert set(failed) == poison
    assert sorted(done + failed) == list(range(300))
    assert deaths < 40
