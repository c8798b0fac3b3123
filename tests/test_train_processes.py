"""Several processes: who takes which device, what they tell each other, what all leave out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pretend_cuda import is_possible, pretended_gpu
from train_fixtures import small, write_photos

from recolor_cli.errors import DataError, UsageError
from recolor_cli.recipes import RECIPES
from recolor_cli.train import train
from recolor_cli.training import distributed
from recolor_cli.training.distributed import Ranks, device_of, join
from recolor_cli.training.keeper import Silent
from recolor_cli.training.memory import cache_bytes, check_cache_fits
from recolor_cli.training.players import Player, Players


class Messages:
    """What a process says to the others, who always say the same as it."""

    ReduceOp = torch.distributed.ReduceOp

    def __init__(self) -> None:
        self.flags: list[list[float]] = []
        self.devices: set[str] = set()

    def is_initialized(self) -> bool:
        return False

    def get_world_size(self) -> int:
        return 2

    def all_reduce(self, values: torch.Tensor, op: Any = None) -> None:
        self.devices.add(values.device.type)
        if op is None:
            values.mul_(2)
        else:
            assert values.device.type == "cpu", "a GPU that has to answer is waited for"
            self.flags.append(values.reshape(-1).tolist())


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> Messages:
    said = Messages()
    monkeypatch.setattr(distributed, "dist", said)
    monkeypatch.setattr("recolor_cli.training.keeper.draw_curves", lambda *_: None)
    return said


@pytest.mark.parametrize(
    ("name", "ranks", "gpus", "wanted"),
    [
        ("auto", Ranks(), True, "auto"),
        ("cuda:1", Ranks(), True, "cuda:1"),
        ("auto", Ranks(3, 4, 1, 2), True, "cuda:1"),
        ("cuda", Ranks(3, 4, 1, 2), True, "cuda:1"),
        ("cpu", Ranks(3, 4, 1, 2), True, "cpu"),
        ("cuda:1", Ranks(1, 2, 0, 1), True, "cuda:1"),  # one process on each of two machines
        ("auto", Ranks(1, 2, 1, 2), False, "cpu"),  # also where Apple's GPU is: it cannot talk
        ("cuda", Ranks(1, 2, 1, 2), False, "cuda"),  # `choose_device` says what is missing
    ],
)
def test_each_process_takes_a_device_of_its_own(
    name: str, ranks: Ranks, gpus: bool, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus)
    assert device_of(name, ranks) == wanted


@pytest.mark.parametrize(("name", "words"), [("cuda:0", "type --device cuda"), ("mps", "torchrun")])
def test_a_device_for_one_process_is_refused_for_two(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        device_of(name, Ranks(0, 2, 0, 2))


def test_networks_on_the_processor_can_talk_where_there_are_gpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda backend, **_: asked.append(backend)
    )
    environment = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert join() == Ranks(1, 4, 1, 2)
    assert asked == ["cpu:gloo,cuda:nccl"]


@pytest.mark.skipif(not is_possible(), reason="no GPU can be pretended")
def test_flags_of_hosts_do_not_wait_for_gpus(tmp_path: Path, messages: Messages) -> None:
    photos = write_photos(tmp_path / "photos", 10)
    quiet = {"log_every_images": "1000", "validate_every_images": "1000", "batch": "8"}
    recipe = small("tiny", tmp_path, total_images="16", **quiet)
    counts: list[int] = []

    class Counting(Silent):
        def step(self, images: int, total: int, values: object) -> None:
            if not values:
                counts.append(len(gpu.waits))

    with pytest.MonkeyPatch.context() as patch, pretended_gpu() as gpu:
        patch.setattr("recolor_cli.train.join", lambda: Ranks(0, 2, 0, 1))
        train(recipe, [photos], tmp_path / "run", device="cuda:0", watcher=Counting())
        assert gpu.waits[counts[0] : counts[1]] == []
    assert len(messages.flags) == 2
    assert messages.devices == {"cuda", "cpu"}  # gradients, and what hosts have to say


def test_the_clock_of_a_process_that_saves_nothing_asks_for_no_checkpoints(
    tmp_path: Path, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write_photos(tmp_path / "photos", 10)
    recipe = small("tiny", tmp_path, batch="8", total_images="24", checkpoint_minutes="1e-9")
    monkeypatch.setattr("recolor_cli.train.join", lambda: Ranks(1, 2, 1, 1))
    train(recipe, [photos], tmp_path / "run", device="cpu")
    assert len(messages.flags) >= 3
    assert not any(map(any, messages.flags))


def test_what_overflowed_in_another_process_moves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = torch.nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    group = {"params": list(layer.parameters()), "lr_scale": 1.0}
    player = Player(layer, torch.optim.SGD([group], lr=0.1), lr=0.1, clip_norm=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    nobody: Any = None
    players = Players(
        SimpleNamespace(accumulate=1),  # type: ignore[arg-type]
        nobody, Ranks(0, 2), player, None, None, nobody, None, scaler, {},
    )  # fmt: skip

    def mean_with_theirs(parameters: list[torch.nn.Parameter], _ranks: Ranks) -> None:
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad[0] = torch.inf

    monkeypatch.setattr("recolor_cli.training.players.average_gradients", mean_with_theirs)
    players.backward(layer(torch.ones(1, 2)).sum())
    players.move(player, 1.0)
    assert torch.equal(layer.weight, before)
    assert scaler.get_scale() == 4.0


def test_each_process_of_a_machine_needs_memory_for_its_photographs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = RECIPES["tiny"]
    monkeypatch.setattr(
        "recolor_cli.training.memory.free_bytes", lambda: 2.5 * cache_bytes(recipe, 100)
    )
    for processes in ("1", "2"):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        check_cache_fits(recipe, 100)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(DataError, match=r"in 3 processes, .* use --set cache=none"):
        check_cache_fits(recipe, 100)
