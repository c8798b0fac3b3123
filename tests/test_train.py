"""The loop: exact resumption, many processes as one, what a run leaves, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from train_fixtures import NARROW_RESNET18, StopAfter, small, write_photos

from recolor_cli.checkpoints import load_weights
from recolor_cli.errors import DataError, RecipeError, RecolorError, UsageError, WeightsError
from recolor_cli.recipes import RECIPES
from recolor_cli.train import train
from recolor_cli.training.keeper import DivergedError, Silent
from recolor_cli.training.memory import check_cache_fits

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 20)


@pytest.fixture(autouse=True)
def no_curves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing them takes longer than the training; one test looks at them."""
    if "promised" not in request.node.name:
        monkeypatch.setattr("recolor_cli.training.keeper.draw_curves", lambda *_: None)


def state_of(run: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "last/state.pt", weights_only=True)
    return state


def assert_same_weights(one: Path, other: Path, tolerance: float = 0.0) -> None:
    expected, found = state_of(one), state_of(other)
    for key in ("generator", "discriminator", "average"):
        for name, value in (expected[key] or {}).items():
            torch.testing.assert_close(
                found[key][name], value, rtol=tolerance, atol=tolerance, msg=f"{key}.{name}"
            )


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def test_a_run_leaves_everything_that_was_promised(photos: Path, tmp_path: Path) -> None:
    recipe = small("complex", tmp_path, log_every_images="4", sample_every_images="4")
    run = train(recipe, [photos], tmp_path / "run", name="complex", seed=3)

    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = [entry for entry in entries if "g" in entry]
    assert [entry["images"] for entry in losses] == [4, 8]
    parts = {"g", "g_adversarial", "g_reconstruction", "d", "d_real", "d_fake", "lr", "epoch"}
    assert all(parts <= entry.keys() for entry in losses)
    judged = next(entry for entry in entries if "val_ab_error" in entry)
    assert judged["val_ab_error_gray"] > 0

    panel = cv2.imread(str(run / "samples/000000000.png"))
    columns = min(4, json.loads((run / "split.json").read_text())["counts"]["val"])
    assert panel.shape == (3 * recipe.crop_px, columns * recipe.crop_px, 3)
    assert (panel[: recipe.crop_px].std(axis=2) < 2).all()  # the first row is grey
    assert (run / "samples/000000008.png").exists()
    assert cv2.imread(str(run / "curves.png")).std() > 1

    for folder in ("best", "last"):
        model = load_weights(run / folder / "model.safetensors")
        assert model.name == "run"
        assert model.card.recipe == "complex"
        config = json.loads((run / folder / "config.json").read_text())
        assert config["sha256"] == model.sha256
    settings = json.loads((run / "recipe.json").read_text())
    assert settings["seed"] == 3
    assert settings["recipe"]["lr"] == recipe.lr
    split = json.loads((run / "split.json").read_text())
    assert split["counts"]["train"] + split["counts"]["val"] == 20


def test_same_seed_same_weights_other_seed_others(photos: Path, tmp_path: Path) -> None:
    recipe = small("complex", tmp_path, total_images="4")
    one = train(recipe, [photos], tmp_path / "one", seed=1)
    same = train(replace(recipe, workers=3), [photos], tmp_path / "same", seed=1)
    assert_same_weights(one, same)
    other = train(recipe, [photos], tmp_path / "other", seed=2)
    with pytest.raises(AssertionError):
        assert_same_weights(one, other)


def test_killed_and_resumed_equals_uninterrupted(photos: Path, tmp_path: Path) -> None:
    changes = {"total_images": "16", "ema_halflife_images": "8", "checkpoint_every_images": "8"}
    recipe = small("complex", tmp_path, **changes)  # dropout, Adam, batch norm, average
    whole = train(recipe, [photos], tmp_path / "whole", name="complex")

    script = f"""
import os, signal, torch
from pathlib import Path
from train_fixtures import small
from recolor_cli.train import train
from recolor_cli.training.keeper import Silent

class KillAt(Silent):
    def step(self, images, total, values):
        if images == 12:
            os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
recipe = small("complex", Path({str(tmp_path)!r}), **{changes!r})
train(recipe, [Path({str(photos)!r})], Path({str(tmp_path)!r}) / "cut", name="complex",
      watcher=KillAt())
"""
    ended = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert state_of(tmp_path / "cut")["seen"] == 8
    cut = train(recipe, [photos], tmp_path / "cut", name="complex", resume=True)
    assert_same_weights(whole, cut)
    images = [json.loads(line)["images"] for line in (cut / "log.jsonl").read_text().splitlines()]
    assert images == sorted(images)
    assert images[-1] == 16


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def ways_to_start_two() -> dict[str, list[list[str]]]:
    """How torchrun starts two processes: on one machine, or one on each of two."""
    meet = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "t"]
    meet += ["--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--local-addr", "127.0.0.1"]
    return {"one machine": [["--standalone", "--nproc-per-node", "2"]], "two machines": [meet] * 2}


def side_by_side(commands: list[list[str]], folder: Path, limit_s: float, **env: str) -> str:
    """What commands that need each other say; all must succeed.

    They write to files, which are never full, and whose ends tell where one was that did not end.
    """
    env = ENVIRONMENT | {"PYTHONFAULTHANDLER": "1"} | env
    outs = [folder / f"{number}.out" for number in range(len(commands))]
    errs = [folder / f"{number}.err" for number in range(len(commands))]
    running = []
    with ExitStack() as stack:
        for command, out, err in zip(commands, outs, errs, strict=True):
            files = {"stdout": out, "stderr": err}
            opened = {name: stack.enter_context(path.open("w")) for name, path in files.items()}
            running.append(subprocess.Popen(command, env=env, **opened))
    end = time.monotonic() + limit_s
    try:
        ended = [process.wait(max(0.1, end - time.monotonic())) for process in running]
    except subprocess.TimeoutExpired:
        for process in running:
            process.send_signal(signal.SIGABRT)  # shows where each of its threads is
        ended = [process.wait() for process in running]
    assert ended == [0] * len(commands), [err.read_text()[:4000] for err in errs]
    return "".join(out.read_text() for out in outs)


@pytest.mark.parametrize("where", ["one machine", "two machines"])
def test_torchrun_with_two_processes_equals_one(photos: Path, tmp_path: Path, where: str) -> None:
    recipe = small("complex", tmp_path, **{"network.dropout": "0", "batch": "8"})
    recipe = replace(recipe, total_images=16)
    alone = train(recipe, [photos], tmp_path / "alone")

    values = {"batch": 8, "total_images": 16, "epochs": 0, "crop_px": 32, "val_px": 0}
    values |= {"network.dropout": 0, "network.base": 4, "network.levels": 3, "val_images": 4}
    values |= {"discriminator.base": 4, "discriminator.layers": 2, "precision": "fp32"}
    values |= {"min_side_px": 16, "val_share": 0.2, "test_share": 0, "validate_every_images": 8}
    command = ["-m", "recolor_cli", "train", "--recipe", "complex", "--quiet"]
    command += ["--data", str(photos), "--out", str(tmp_path / "both"), "--device", "cpu"]
    command += [f"--set={name}={value}" for name, value in values.items()]
    ways = [
        [sys.executable, "-m", "torch.distributed.run", *way, *command]
        for way in ways_to_start_two()[where]
    ]
    stdout = side_by_side(ways, tmp_path, limit_s=120)
    assert_same_weights(alone, tmp_path / "both", tolerance=2e-5)
    assert f"--model {tmp_path / 'both'}" in stdout
    assert stdout.count("recolor colorize") == 1  # one process speaks


@pytest.mark.skipif(sys.platform != "linux", reason="threads are read from /proc")
def test_no_thread_of_the_process_group_is_left_to_disturb_the_exit(tmp_path: Path) -> None:
    script = """
import torch
from pathlib import Path
from recolor_cli.training.distributed import average_gradients, join, leave

def threads_of_the_group():
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    return sum("gloo" in name for name in names)

ranks = join()
weight = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.Adam([weight])
weight.grad = torch.ones(2)
average_gradients([weight], ranks)
optimizer.step()
while_there = threads_of_the_group()
leave(ranks)
print(while_there > 0, threads_of_the_group())
"""
    meet = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    meet |= {"MASTER_PORT": str(free_port()), "CUDA_VISIBLE_DEVICES": ""}
    commands = [["env", f"RANK={rank}", sys.executable, "-c", script] for rank in (0, 1)]
    assert side_by_side(commands, tmp_path, limit_s=60, **meet) == "True 0\n" * 2


def test_accumulated_micro_batches_equal_one_batch(photos: Path, tmp_path: Path) -> None:
    # Without batch norm, whose statistics are those of a micro-batch.
    recipe = small("base", tmp_path, batch="8", total_images="8", clip_norm="0")
    recipe = replace(recipe, optimizer="sgd", warmup_images=0, weight_decay=0.0, lr=1e-3)
    whole = state_of(train(recipe, [photos], tmp_path / "whole"))["generator"]
    parts = train(replace(recipe, accumulate=2), [photos], tmp_path / "parts")
    found = state_of(parts)["generator"]
    # The head comes after the last batch norm: its bias has the mean of both halves' gradients.
    moved = [name for name in whole if name == "head.bias"]
    assert moved == ["head.bias"]
    torch.testing.assert_close(found["head.bias"], whole["head.bias"], rtol=0, atol=2e-5)


def test_ctrl_c_writes_a_checkpoint_and_resume_needs_only_the_folder(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from recolor_cli.cli.app import main

    recipe = small("tiny", tmp_path, total_images="12")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [photos], tmp_path / "run", name="tiny", watcher=StopAfter(4))
    assert state_of(tmp_path / "run")["seen"] == 4
    with pytest.raises(SystemExit) as ended:
        main(["train", "--resume", str(tmp_path / "run")])
    assert ended.value.code == 0
    assert state_of(tmp_path / "run")["seen"] == 12
    assert torch.tensor(1e-40) * 1 > 0  # the command's arithmetic is not left behind
    out = capfd.readouterr().out
    assert f"recolor colorize x.jpg -o out --model {tmp_path / 'run'}" in out
    assert f"recolor eval --model {tmp_path / 'run'}\n" in out


def test_interrupted_command_exits_with_130(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recolor_cli.cli.app import main

    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recolor_cli.train.train", interrupt)
    with pytest.raises(SystemExit) as ended:
        main(["train", "--data", str(photos), "--out", str(tmp_path / "run")])
    assert ended.value.code == 130


def test_losses_that_are_no_numbers_stop_the_run_and_keep_the_last_checkpoint(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small("tiny", tmp_path, total_images="64", log_every_images="4")
    recipe = replace(recipe, checkpoint_every_images=8)

    class Poison(Silent):
        def step(self, images: int, total: int, values: object) -> None:
            if images == 12:
                monkeypatch.setattr(
                    "recolor_cli.training.objective.huber",
                    lambda output, *_, **__: output.sum() * torch.nan,
                )

    with pytest.raises(DivergedError, match="'g_reconstruction' is nan after 16 images"):
        train(recipe, [photos], tmp_path / "run", watcher=Poison())
    state = state_of(tmp_path / "run")
    assert state["seen"] == 8
    assert all(
        torch.isfinite(t).all() for t in state["generator"].values() if t.is_floating_point()
    )


def test_exploding_losses_stop_the_run(photos: Path, tmp_path: Path) -> None:
    recipe = small("tiny", tmp_path, total_images="400", log_every_images="4", clip_norm="0")
    recipe = replace(recipe, objective="l1", optimizer="sgd", lr=10.0, divergence_factor=1.05)
    recipe = replace(recipe, warmup_images=0, schedule="constant")
    with pytest.raises(DivergedError, match="rose from"):
        train(recipe, [photos], tmp_path / "run")


def test_training_beats_grey_on_pictures_with_a_rule(photos: Path, tmp_path: Path) -> None:
    recipe = small("tiny", tmp_path, total_images="400", batch="8", validate_every_images="400")
    watcher = Notes()
    run = train(replace(recipe, warmup_images=0), [photos], tmp_path / "run", watcher=watcher)
    metrics = load_weights(run / "best/model.safetensors").card.metrics
    assert metrics["ab_error"] < 0.7 * metrics["ab_error_gray"]
    assert any("400 images: ab_error" in line for line in watcher.lines)


def test_the_adversary_joins_at_its_epoch(photos: Path, tmp_path: Path) -> None:
    recipe = small("complex", tmp_path, total_images="32", log_every_images="4")
    recipe = replace(recipe, validate_every_images=32)
    run = train(replace(recipe, gan_from_epoch=1.2), [photos], tmp_path / "run")
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    train_images = json.loads((run / "split.json").read_text())["counts"]["train"]
    for entry in entries:
        if "g" in entry:
            assert ("d" in entry) == (entry["images"] - 4 >= round(1.2 * train_images))


def test_a_network_of_unpadded_convolutions_learns_the_middle(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recolor_cli.training.objective import Objective

    sizes = []
    losses = Objective.losses

    def note(self: Objective, output: torch.Tensor, crops: Any) -> dict[str, torch.Tensor]:
        if output.requires_grad:  # validation looks at the whole picture
            sizes.append((output.shape[-1], crops.rgb.shape[-1]))
        return losses(self, output, crops)

    monkeypatch.setattr(Objective, "losses", note)
    train(small("simple-adam", tmp_path, total_images="4"), [photos], tmp_path / "run")
    assert sizes == [(32 - 2 * 12, 32 - 2 * 12)]


def test_a_clipped_critic_stays_in_its_bounds(photos: Path, tmp_path: Path) -> None:
    run = train(small("wgan-clip", tmp_path), [photos], tmp_path / "run")
    state = state_of(run)["discriminator"]
    weights = [value for name, value in state.items() if "running" not in name and value.ndim]
    assert max(float(w.abs().max()) for w in weights) <= 0.0100001


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"crop_px": "33"}, RecipeError, "crop_px '33' must be a multiple of 16"),
        ({"network": "no-such"}, UsageError, "no network named 'no-such'"),
        ({"network.base": "x"}, UsageError, "cannot be built"),
        ({"objective": "bins"}, RecipeError, "use l1"),
        ({"freeze_encoder_to_stride": "4"}, RecipeError, "no encoder to freeze"),
        ({"encoder_weights": "torchvision"}, RecipeError, "has no encoder"),
        ({"init": "nowhere/model.safetensors"}, WeightsError, "nowhere/model.safetensors"),
        ({"val_share": "0"}, DataError, "no photographs to validate on .*; raise val_share '0'"),
        ({"min_side_px": "100"}, DataError, "20 tiny"),
        ({"min_chroma": "90"}, DataError, "20 grey"),
    ],
)
def test_what_cannot_be_trained_says_why(
    changes: dict[str, str], error: type[Exception], text: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=text):
        train(small("tiny", tmp_path, **changes), [photos], tmp_path / "run")


def test_a_frozen_encoder_needs_weights_and_says_which(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*NARROW_RESNET18)
    recipe = small("advanced", tmp_path, encoder_weights=str(tmp_path / "absent.pth"))
    with pytest.raises(WeightsError, match=r"absent\.pth"):
        train(recipe, [photos], tmp_path / "run")


def test_too_many_photographs_for_the_memory_are_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recolor_cli.training.memory.free_bytes", lambda: 1000.0)
    recipe = small("tiny", tmp_path, total_images="4")
    with pytest.raises(DataError, match=r"20 decoded photographs need .* use --set cache=none"):
        train(recipe, [photos], tmp_path / "run")
    train(replace(recipe, cache="none"), [photos], tmp_path / "other")


def test_a_containers_memory_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recolor_cli.training.memory.memory_left", lambda: 1000.0)
    with pytest.raises(DataError, match=r"need .* are free"):
        check_cache_fits(RECIPES["tiny"], 20)


def test_a_step_that_does_not_fit_says_what_to_change(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("recolor_cli.train.g_step", refuse)
    with pytest.raises(RecolorError, match="batch '4' at 32 px; use --set accumulate=2"):
        train(small("tiny", tmp_path), [photos], tmp_path / "run")


def test_a_folder_that_holds_a_run_is_not_overwritten(photos: Path, tmp_path: Path) -> None:
    recipe = small("tiny", tmp_path, total_images="4")
    train(recipe, [photos], tmp_path / "run")
    with pytest.raises(UsageError, match="--resume"):
        train(recipe, [photos], tmp_path / "run")


def test_photographs_that_are_gone_stop_a_resumed_run(photos: Path, tmp_path: Path) -> None:
    recipe = small("tiny", tmp_path, total_images="8")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [photos], tmp_path / "run", watcher=StopAfter(4))
    fewer = write_photos(tmp_path / "fewer", 19)
    with pytest.raises(DataError, match=r"1 photographs of the run .* are not in"):
        train(recipe, [fewer], tmp_path / "run", resume=True)
    more = write_photos(tmp_path / "more", 22)
    train(recipe, [more], tmp_path / "run", resume=True)  # new files change nothing
