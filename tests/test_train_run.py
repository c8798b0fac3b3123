"""What a run does beside learning: caches, signals, events, speed, where it starts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from train_fixtures import StopAfter, small, write_photos

from recolor_cli.checkpoints import load_weights, save_weights
from recolor_cli.color.spaces import SPACES
from recolor_cli.data.batches import Batch, validation_batches
from recolor_cli.data.device import DeviceSamples
from recolor_cli.data.photos import load_photos
from recolor_cli.data.sources import find_items
from recolor_cli.data.tensors import LabCrops
from recolor_cli.losses import gradient_penalty
from recolor_cli.models import create_discriminator
from recolor_cli.train import train
from recolor_cli.training.distributed import Ranks, synchronize_norms
from recolor_cli.training.keeper import Silent
from recolor_cli.training.networks import build_discriminator
from recolor_cli.training.plots import PANELS

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 20)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing them takes longer than the training."""
    monkeypatch.setattr("recolor_cli.training.keeper.draw_curves", lambda *_: None)


def state_of(run: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "last/state.pt", weights_only=True)
    return state


def entries_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


# --- cache=device ---


def test_a_run_on_cached_photographs_resumes_bit_for_bit(photos: Path, tmp_path: Path) -> None:
    recipe = small("tiny", tmp_path, total_images="16", cache="device", rotate_degrees="10")
    recipe = replace(recipe, age_grain=0.5, age_jpeg=0.5, age_tone=0.5, ema_halflife_images=8.0)
    whole = train(recipe, [photos], tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [photos], tmp_path / "cut", watcher=StopAfter(8))
    cut = train(recipe, [photos], tmp_path / "cut", resume=True)
    expected, found = state_of(whole), state_of(cut)
    for key in ("generator", "average"):
        for name, value in expected[key].items():
            assert torch.equal(value, found[key][name]), name


def test_the_cache_decides_where_crops_are_cut_and_not_what_is_learnt(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_on_device = []
    batch = DeviceSamples.batch

    def note(self: DeviceSamples, first: int, count: int) -> Batch:
        cut_on_device.append(first)
        return batch(self, first, count)

    monkeypatch.setattr(DeviceSamples, "batch", note)
    recipe = small("tiny", tmp_path, total_images="16", log_every_images="4", lr="1e-4")
    losses = []
    for cache in ("ram", "device", "none"):
        run = train(replace(recipe, cache=cache), [photos], tmp_path / cache, seed=5)
        losses.append([entry["g"] for entry in entries_of(run) if "g" in entry])
    assert losses[0] == losses[2]
    assert losses[0] == pytest.approx(losses[1], rel=0.01)  # some pixels are rounded elsewise
    assert cut_on_device == [0, 4, 8, 12]


# --- signals ---


def test_signals_end_a_real_command_with_a_checkpoint(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = ["batch=4", "crop_px=32", "network.base=4", "min_side_px=16", "total_images=999999"]
    settings += ["epochs=0", "val_share=0.2", "validate_every_images=900000", "log_every_images=40"]
    settings += ["checkpoint_minutes=0", "precision=fp32"]
    begin = ["--recipe", "tiny", "--data", str(photos), "--out", str(run)]
    begin += [f"--set={setting}" for setting in settings]
    seen = 0
    for number, arguments in ((signal.SIGINT, begin), (signal.SIGTERM, ["--resume", str(run)])):
        command = [sys.executable, "-m", "recolor_cli", "train", "--quiet", "--threads", "1"]
        process = subprocess.Popen(
            [*command, "--device", "cpu", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _wait_until_it_trains(process, run, seen)
            process.send_signal(number)
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 128 + number, errors
        assert "Traceback" not in errors
        assert state_of(run)["seen"] > seen
        seen = state_of(run)["seen"]
        assert seen % 4 == 0
        assert load_weights(run / "last/model.safetensors").card.step == seen // 4


def test_training_started_in_the_background_hears_no_ctrl_c(photos: Path, tmp_path: Path) -> None:
    # A script's `recolor train ... &` ignores SIGINT: Ctrl-C is meant for another command.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        recipe = small("tiny", tmp_path, total_images="12")
        run = train(recipe, [photos], tmp_path / "run", watcher=StopAfter(4))
    finally:
        signal.signal(signal.SIGINT, before)
    assert state_of(run)["seen"] == 12


def test_sigterm_in_a_program_that_has_no_handler_writes_a_checkpoint(
    photos: Path, tmp_path: Path
) -> None:
    class Terminated(StopAfter):
        def step(self, images: int, total: int, values: object) -> None:
            if images >= self.images and not self.done:
                self.done = True
                signal.raise_signal(signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    recipe = small("tiny", tmp_path, total_images="12")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [photos], tmp_path / "run", watcher=Terminated(4))
    assert state_of(tmp_path / "run")["seen"] == 4
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def _wait_until_it_trains(process: subprocess.Popen[str], run: Path, seen: int) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if (run / "log.jsonl").exists() and any(e["images"] > seen for e in entries_of(run)):
            return
        time.sleep(0.05)
    raise AssertionError(f"it did not train: {process.poll()}")


# --- TensorBoard ---


def test_events_hold_what_the_log_holds(photos: Path, tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    recipe = small("tiny", tmp_path, total_images="16", log_every_images="4", tensorboard="true")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [photos], tmp_path / "run", watcher=StopAfter(8))
    run = train(recipe, [photos], tmp_path / "run", resume=True)
    events = accumulators.EventAccumulator(str(run / "events"))
    events.Reload()
    entries = entries_of(run)
    for name in ("g", "lr", "val_ab_error"):
        logged = {entry["images"]: entry[name] for entry in entries if name in entry}
        shown = {event.step: event.value for event in events.Scalars(name)}
        assert shown == pytest.approx(logged, rel=1e-6)
        assert logged
    assert [event.step for event in events.Scalars("g")] == [4, 8, 12, 16]


# --- speed ---


def test_speed_is_that_of_training_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("recolor_cli.training.keeper.time.monotonic", lambda: clock[0])

    class Ticking(StopAfter):
        """A second for each image; half an hour for whatever is not training."""

        def step(self, images: int, total: int, values: object) -> None:
            if not values:
                clock[0] += 4.0

    def slow(*_: object, **__: object) -> None:
        clock[0] += 1800.0

    # Judged between two lines of the log, which once made the next line far too fast.
    recipe = small("tiny", tmp_path, total_images="48", log_every_images="16")
    recipe = replace(recipe, validate_every_images=12, checkpoint_minutes=0)
    monkeypatch.setattr("recolor_cli.training.keeper.draw_curves", slow)
    monkeypatch.setattr("recolor_cli.training.keeper.draw_samples", slow)
    run = train(recipe, [photos], tmp_path / "run", watcher=Ticking(10**9))
    rates = [entry["images_per_s"] for entry in entries_of(run) if "images_per_s" in entry]
    assert rates == [1.0, 1.0, 1.0]


# --- the losses of training on photographs that nobody learns from (report 001) ---


def test_validation_has_the_losses_of_training(photos: Path, tmp_path: Path) -> None:
    recipe = small("complex", tmp_path)
    run = train(recipe, [photos], tmp_path / "run")
    judged = next(entry for entry in entries_of(run) if "val_d" in entry)

    chosen = json.loads((run / "split.json").read_text())["val"]
    found, _ = load_photos(find_items([photos]), keep=True)
    val = sorted((p for p in found if p.digest in chosen), key=lambda p: p.digest)[:4]
    crops = LabCrops(next(validation_batches(val, recipe, 4)), torch.device("cpu"))
    discriminator = build_discriminator(recipe, SPACES["lab"])
    assert discriminator is not None
    discriminator.load_state_dict(state_of(run)["discriminator"])
    gray = crops.luminance / 50 - 1
    bce = torch.nn.BCEWithLogitsLoss()
    with torch.no_grad():
        painted = load_weights(run / "last/model.safetensors").network.eval()(gray)
        real = discriminator.eval()(torch.cat((gray, crops.lab[:, 1:] / 110), 1))
        fake = discriminator(torch.cat((gray, painted), 1))
    ones, zeros = torch.ones_like(fake), torch.zeros_like(fake)
    expected = {"d_real": bce(real, ones), "d_fake": bce(fake, zeros)}
    expected |= {"g_adversarial": bce(fake, ones)}
    expected |= {"d": (expected["d_real"] + expected["d_fake"]) / 2}
    for name, value in expected.items():
        assert judged[f"val_{name}"] == pytest.approx(value.item(), rel=1e-4), name


def test_being_judged_leaves_no_trace_in_the_networks(photos: Path, tmp_path: Path) -> None:
    states = []
    for every in ("4", "8"):
        recipe = small("complex", tmp_path, validate_every_images=every, total_images="16")
        states.append(state_of(train(recipe, [photos], tmp_path / every)))
    for key in ("generator", "discriminator"):
        for name, value in states[0][key].items():
            assert torch.equal(value, states[1][key][name]), f"{key}.{name}"


def test_a_discriminator_is_judged_once_it_has_joined(photos: Path, tmp_path: Path) -> None:
    recipe = small("simple-adam", tmp_path, total_images="32", validate_every_images="8")
    run = train(replace(recipe, gan_from_epoch=1.0), [photos], tmp_path / "run")
    joined = json.loads((run / "split.json").read_text())["counts"]["train"]
    entries = [entry for entry in entries_of(run) if "val_ab_error" in entry]
    assert [("val_d" in e) for e in entries] == [e["images"] - 4 >= joined for e in entries]
    assert len({("val_d" in entry) for entry in entries}) == 2


FIGURES = [
    ("000, 5; 004, 7: both in whole", {"g", "d"}),
    ("002, 5; 004, 8: the game alone", {"g_adversarial", "d"}),
    ("000, 12; 004, 6", {"d_real", "d_fake"}),
    ("000, 13: the adversarial term", {"g_adversarial"}),
    ("000, 13: the other one", {"g_reconstruction"}),
    ("001: on the test set", {"val_d_real", "val_d_fake"}),
    ("001: on the test set", {"val_g_adversarial"}),
    ("001: on the test set", {"val_loss"}),
]


@pytest.mark.parametrize(("figure", "names"), FIGURES)
def test_each_figure_of_the_reports_is_a_panel(figure: str, names: set[str]) -> None:
    assert any(names <= set(shown) for _, shown in PANELS), figure


def test_perceptual_losses_do_not_flatten_the_reconstruction() -> None:
    panels = [shown for _, shown in PANELS if "g_reconstruction" in shown]
    assert panels
    assert not any({"g_perceptual", "g_lpips"} & set(shown) for shown in panels)


def test_a_gradient_penalty_sees_the_norms_of_all_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Two processes with the same pictures: their sums are twice one's, their means are one's. As
    # the real one, this sum leaves no trace that could be differentiated.
    monkeypatch.setattr("torch.distributed.all_reduce", lambda x: x.detach().mul_(2))
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    gradients = []
    for world in (1, 2):
        torch.manual_seed(0)
        critic = create_discriminator("patchgan", base=4, layers=2, norm="batch")
        synchronize_norms(critic, Ranks(world=world))
        gray, real, fake = (torch.randn(3, channels, 32, 32) for channels in (1, 2, 2))
        weights = torch.Generator().manual_seed(1)
        gradient_penalty(critic, gray, real, fake, generator=weights).backward()
        gradients.append([p.grad for p in critic.parameters() if p.grad is not None])
    for one, both in zip(*gradients, strict=True):
        torch.testing.assert_close(both, one, rtol=1e-3, atol=1e-5)


def test_the_watcher_is_told_the_epoch_and_the_losses(photos: Path, tmp_path: Path) -> None:
    class Notes(Silent):
        told: ClassVar[list[dict[str, float]]] = []

        def step(self, images: int, total: int, values: Mapping[str, float]) -> None:
            self.told += [dict(values)] if values else []

    run = train(small("tiny", tmp_path), [photos], tmp_path / "run", watcher=Notes())
    told = Notes.told[-1]
    count = json.loads((run / "split.json").read_text())["counts"]["train"]
    assert told["epoch"] == pytest.approx(8 / count)
    assert told["g"] > 0


# --- where a run starts ---


def test_a_run_starts_from_the_best_weights_of_another_or_else_its_last(
    photos: Path, tmp_path: Path
) -> None:
    recipe = small("tiny", tmp_path, total_images="4")
    first = train(recipe, [photos], tmp_path / "first")
    best, last = (first / f"{name}/model.safetensors" for name in ("best", "last"))
    damaged = load_weights(best)
    with torch.no_grad():
        next(damaged.network.parameters()).add_(1)  # so that the two can be told apart
    save_weights(best, damaged.network, damaged.card)
    for folder, expected in (("from-best", best), ("from-last", last)):
        wanted = load_weights(expected)
        started = replace(recipe, init=str(first), lr=0.0, ema_halflife_images=0.0)
        second = train(started, [photos], tmp_path / folder)
        found = load_weights(second / "last/model.safetensors").network
        for name, value in wanted.network.named_parameters():
            assert torch.equal(value, found.get_parameter(name)), name
        said = json.loads((second / "recipe.json").read_text())["loaded"]["init"]
        assert said.endswith(f"sha256:{wanted.sha256}")
        shutil.rmtree(first / "best", ignore_errors=True)
