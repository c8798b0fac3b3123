"""What training refuses, in one line and before it costs much; what a resumed run may change."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from train_fixtures import StopAfter, small, write_photos

from recolor_cli.data.batches import sampling_weights
from recolor_cli.errors import RecipeError, UsageError, WeightsError
from recolor_cli.models import create_discriminator, create_model
from recolor_cli.recipes import RECIPES, Recipe
from recolor_cli.recipes.settings import read_run
from recolor_cli.train import train
from recolor_cli.training.checks import check_networks
from recolor_cli.training.estimate import estimate
from recolor_cli.training.keeper import DivergedError
from recolor_cli.training.validation import Judgement, validate


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 12)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing them takes longer than the training."""
    monkeypatch.setattr("recolor_cli.training.keeper.draw_curves", lambda *_: None)


def refused(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status and the one line that a command ends with."""
    from recolor_cli.cli.app import main

    with pytest.raises(SystemExit) as ended:
        main(["train", "--quiet", *arguments])
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert isinstance(ended.value.code, int)
    return ended.value.code, lines[0]


TINY = ["crop_px=32", "min_side_px=16", "batch=4", "test_share=0", "val_share=0.2"]
TINY += ["network.base=4", "total_images=8", "precision=fp32"]
GAN = ["gan=bce", "discriminator=patchgan"]

# Settings -> exit status, part of the line. The same with --dry-run.
REFUSED: list[tuple[list[str], int, str]] = [
    ([*GAN, "objective=none", "gan_from_epoch=1"], 2, "nothing to learn before gan_from_epoch"),
    (["total_images=0", "epochs=0.001"], 2, "photographs are less than one image; raise epochs"),
    (["total_images=0", "epochs=1e308"], 2, "epochs must be between 0 and 1e+09"),
    (["gan_from_epoch=1e308"], 2, "gan_from_epoch must be between 0 and 1e+09"),
    (["name_weights=photo=0"], 2, "the weight 0 together; choose some above 0"),
    (["name_weights=photo=1e308"], 2, "the weight inf together"),
    (["network.base=0"], 2, "base must be 1 or more, got 0"),
    (["network.base=-3"], 2, "base must be 1 or more, got -3"),
    (["network.base=abc"], 2, "base must be a whole number, got 'abc'"),
    (["network.base=true"], 2, "base must be a whole number, got True"),
    (["network.bas=4"], 2, "it has no argument 'bas'; did you mean 'base'?"),
    (["network.base=1000000000"], 2, "torch refuses base=1000000000"),
    (["network.in_channels=3"], 2, "network.in_channels '3' must be 1"),
    ([*GAN, "discriminator.in_channels=5"], 2, "discriminator.in_channels '5' must be 3"),
    (["crop_px=16", "batch=1"], 2, "batch '1' with crop_px '16' leaves batch norm"),
    (["crop_px=16", "batch=2", "accumulate=2"], 2, "batch '2' in accumulate '2' parts"),
    ([*GAN, "crop_px=16"], 2, "crop_px '16' does not fit the discriminator 'patchgan'"),
    ([*GAN, "crop_px=64", "val_px=16"], 2, "val_px '16' does not fit the discriminator"),
    (["init=nonexistent"], 3, "no weights named 'nonexistent'"),
    (["init=default"], 3, "'default' is for the network 'bins-unet'"),
    (["encoder_weights=nofile"], 2, "has no encoder; use --set encoder_weights="),
    ([*GAN, "crop_px=64", "discriminator_weights=x"], 2, "starts from nothing"),
    ([*GAN, "gan=bce-sigmoid", "crop_px=64"], 2, "add --set discriminator.sigmoid=true"),
    (
        [*GAN, "gan=wgan-clip", "clip_value=0", "crop_px=64"],
        2,
        "clip_value '0.0' leaves the critic",
    ),
    (["perceptual_weight=1", "perceptual_weights=nofile"], 3, "no vgg19 weights file 'nofile'"),
    (["precision=fp16"], 2, "use bf16, fp32 or auto as precision"),
    (["network_arguments={}"], 2, "use --set network.NAME=VALUE"),
]


@pytest.mark.parametrize("dry", [False, True], ids=["train", "dry-run"])
@pytest.mark.parametrize(("settings", "status", "text"), REFUSED, ids=lambda v: str(v)[:40])
def test_what_cannot_be_trained_is_refused_in_one_line(
    settings: list[str], status: int, text: str, dry: bool, photos: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command = ["--data", str(photos), "--recipe", "tiny", "--out", str(tmp_path / "run")]
    command += ["--device", "cpu", *(f"--set={setting}" for setting in (*TINY, *settings))]
    found, line = refused([*command, "--dry-run"] if dry else command, capfd)
    assert text in line
    assert found == status
    assert list(tmp_path.iterdir()) == []


def test_a_refused_run_leaves_what_was_there_and_no_more(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/log.jsonl").write_text("of a run that never got to a checkpoint\n")
    command = ["--recipe", "tiny", "--device", "cpu", *(f"--set={setting}" for setting in TINY)]
    for out in ("new/run", "there"):
        place = ["--out", str(tmp_path / out)]
        few = ["--data", str(photos / "photo000.png"), *place]  # one: nothing to validate on
        assert refused([*command, *few], capfd)[0] == 1
        status, line = refused([*command, "--data", str(tmp_path / "none"), *place], capfd)
        assert status == 1, line
        split = ["--data", str(photos), "--split", str(tmp_path / "none.json"), *place]
        assert refused([*command, *split], capfd)[0] == 1
    assert {path.name for path in tmp_path.rglob("*")} == {"there", "log.jsonl"}
    assert (tmp_path / "there/log.jsonl").read_text() != ""


def test_a_name_that_no_disk_takes_is_told_before_photographs_are_read(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("thousands of photographs were decoded first")

    monkeypatch.setattr("recolor_cli.train.load_material", refuse)
    command = ["--data", str(photos), "--recipe", "tiny", *(f"--set={setting}" for setting in TINY)]
    status, line = refused([*command, "--out", str(tmp_path / "new" / ("a" * 300))], capfd)
    assert status == 4
    assert line.endswith("File name too long; choose another --out")
    assert list(tmp_path.iterdir()) == []


def a_run(folder: Path) -> None:
    (folder / "last").mkdir(parents=True)
    (folder / "last/state.pt").write_bytes(b"")


def a_file(folder: Path) -> None:
    folder.write_text("a letter")


def a_file_called(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / name).write_text("a letter")

    return make


@pytest.mark.parametrize("dry", [False, True], ids=["train", "dry-run"])
@pytest.mark.parametrize(
    ("make", "out", "status", "text"),
    [
        (a_run, "there", 2, "there' holds a run already; go on with --resume "),
        (a_file, "there", 4, "there': a part of the path is a file"),
        (a_file, "there/run", 4, "there/run': a part of the path is a file"),
        (a_file_called("samples"), "there", 4, "there': 'samples' in it is a file; move it away"),
        (lambda folder: (folder / "log.jsonl").mkdir(parents=True), "there", 4,
         "there': 'log.jsonl' in it is a folder; move it away"),
    ],
    ids=["a run", "a file", "below a file", "a file for a folder", "a folder for a file"],
)  # fmt: skip
def test_a_folder_that_no_run_can_have_is_refused_and_left_as_it_is(
    make: Callable[[Path], None], out: str, status: int, text: str, dry: bool, photos: Path,
    tmp_path: Path, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    make(tmp_path / "there")
    before = sorted(tmp_path.rglob("*"))
    command = ["--data", str(photos), "--recipe", "tiny", "--out", str(tmp_path / out)]
    command += ["--device", "cpu", *(f"--set={setting}" for setting in TINY)]
    found, line = refused([*command, "--dry-run"] if dry else command, capfd)
    assert text in line
    assert found == status
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_leaves_no_folder(photos: Path, tmp_path: Path) -> None:
    from recolor_cli.cli.app import main

    command = ["train", "--data", str(photos), "--recipe", "tiny", "--dry-run"]
    for out in (tmp_path / "new" / "run", tmp_path):  # not there; empty
        with pytest.raises(SystemExit) as ended:
            main([*command, "--out", str(out), *(f"--set={setting}" for setting in TINY)])
        assert ended.value.code == 0
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dry", [False, True], ids=["train", "dry-run"])
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--seed", str(2**63)], f"--seed must be 0 to {2**63 - 1}, got {2**63}"),
        (["--threads", "100000"], "--threads must be 1 to 512, got 100000"),
    ],
)  # fmt: skip
def test_numbers_that_torch_does_not_take_are_refused(
    options: list[str], text: str, dry: bool, photos: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command = ["--data", str(photos), "--recipe", "tiny", "--out", str(tmp_path / "run"), *options]
    found, line = refused([*command, "--dry-run"] if dry else command, capfd)
    assert (found, line) == (2, f"recolor: {text}")


@pytest.mark.parametrize("dry", [False, True], ids=["train", "dry-run"])
@pytest.mark.parametrize(
    ("content", "status", "text"),
    [
        (None, 2, "has no checkpoint yet; start the run again"),
        (b"", 3, "state.pt' is damaged; restore it, or start a new run"),
        (b"no checkpoint", 3, "state.pt' is damaged; restore it, or start a new run"),
        (b"PK\x03\x04", 3, "state.pt' is damaged; restore it, or start a new run"),
    ],
)
def test_a_run_that_cannot_go_on_is_refused(
    content: bytes | None, status: int, text: str, dry: bool, cut: Path, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = tmp_path / "run"
    shutil.copytree(cut, run)
    (run / "last/state.pt").unlink()
    if content is not None:
        (run / "last/state.pt").write_bytes(content)
    command = ["--resume", str(run), "--device", "cpu"]
    found, line = refused([*command, "--dry-run"] if dry else command, capfd)
    assert line.endswith(text)
    assert found == status


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fits_itself(name: str) -> None:
    check_networks(RECIPES[name])


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("bins-unet", {"encoder": "vgg"}, "encoder must be one of mobilenetv2, resnet18"),
        ("bins-unet", {"widths": 32}, "widths must be whole numbers with commas between them"),
        ("bins-unet", {"widths": (32, 0, 32, 32)}, "widths must be whole numbers"),
        ("bins-unet", {"calm_cells": math.nan}, "calm_cells must be a number, got nan"),
        ("cropped-unet", {"variant": 3}, "variant must be text, got 3"),
        ("patchgan", {"sigmoid": 1}, "sigmoid must be true or false, got 1"),
        ("resnet-generator", {"blocks": -1}, "blocks must be 0 or more, got -1"),
        ("resnet-generator", {"dropout": 0.5}, "no argument 'dropout'"),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(
    name: str, arguments: dict[str, Any], text: str
) -> None:
    create = create_discriminator if name == "patchgan" else create_model
    with pytest.raises(UsageError, match=text):
        create(name, **arguments)


def test_a_perceptual_loss_is_enough_for_a_first_stage() -> None:
    wanted = {"gan": "bce", "discriminator": "patchgan", "gan_from_epoch": 1.0, "epochs": 2.0}
    recipe = Recipe(objective="none", perceptual_weight=1.0, **wanted)  # type: ignore[arg-type]
    assert recipe.gan_from_epoch == 1.0


def test_photographs_that_no_prefix_names_keep_their_weight(photos: Path, tmp_path: Path) -> None:
    recipe = small("tiny", tmp_path, name_weights="photo00=0")
    found: list[Any] = []

    class Look(StopAfter):
        def message(self, text: str) -> None:
            found.append(text)

    train(recipe, [photos], tmp_path / "run", watcher=Look(10**9))
    assert found
    assert sampling_weights([], replace(recipe, name_weights="")) is None


def test_what_would_be_downloaded_is_named_and_not_fetched(photos: Path, tmp_path: Path) -> None:
    if find_spec("lpips") is None:
        pytest.skip("lpips is not installed")
    recipe = small("tiny", tmp_path, lpips_weight="1")
    assert estimate(recipe, [photos], [], "cpu")[-1].endswith("may be downloaded: lpips_weight")
    assert "downloaded" not in estimate(small("tiny", tmp_path), [photos], [], "cpu")[-1]


@pytest.mark.parametrize(
    ("name", "field"),
    [("advanced", "encoder_weights"), ("vanilla-perceptual", "perceptual_weights"),
     ("pix2pix-lpips", "perceptual_weights"), ("tiny", "init")],
)  # fmt: skip
def test_weights_that_are_not_there_are_told_before_photographs_are_read(
    name: str, field: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("thousands of photographs were decoded first")

    if name == "pix2pix-lpips" and find_spec("lpips") is None:
        pytest.skip("lpips is not installed")
    recipe = small(name, tmp_path, **{field: str(tmp_path / "absent.pth")})
    monkeypatch.setattr("recolor_cli.train.load_material", refuse)
    with pytest.raises(WeightsError, match=r"absent\.pth"):
        train(recipe, [photos], tmp_path / "run")


# --- Divergence ---


def test_validation_that_is_no_number_stops_the_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def poisoned(*arguments: Any) -> Judgement:
        calls.append(1)
        judgement = validate(*arguments)
        if len(calls) > 1:
            judgement.figures["loss"] = math.nan
        return judgement

    monkeypatch.setattr("recolor_cli.training.keeper.validate", poisoned)
    recipe = small("tiny", tmp_path, total_images="24")
    with pytest.raises(DivergedError, match=r"'val_loss' is nan after 16 .* kept in '.*last'"):
        train(recipe, [photos], tmp_path / "run")
    record = json.loads((tmp_path / "run/validation.json").read_text())
    assert record["images"] == 8, "what was judged last holds numbers"
    assert "stopped" in (tmp_path / "run/status.json").read_text()


def test_weights_that_are_no_numbers_are_not_kept(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The step after the last good loss breaks them, and a checkpoint is due before the next loss.
    from recolor_cli.training.players import Player, Players

    move = Players.move

    def break_weights(self: Players, player: Player, lr_factor: float) -> None:
        move(self, player, lr_factor)
        with torch.no_grad():
            next(player.network.parameters()).fill_(torch.nan)

    monkeypatch.setattr(Players, "move", break_weights)
    recipe = small("tiny", tmp_path, checkpoint_every_images="4", ema_halflife_images="0")
    with pytest.raises(DivergedError, match=r"NaN .* after 4 images; there is no checkpoint yet"):
        train(recipe, [photos], tmp_path / "run")


def test_a_checkpoint_that_does_not_exist_is_not_named(photos: Path, tmp_path: Path) -> None:
    recipe = small("tiny", tmp_path, reconstruction_weight="1e39")
    with pytest.raises(DivergedError, match="'g' is inf after 4 images; there is no checkpoint"):
        train(recipe, [photos], tmp_path / "run")


# --- Resumed with changes ---


def test_a_dry_run_says_how_much_of_a_resumed_run_is_done(cut: Path, photos: Path) -> None:
    recipe, _ = read_run(cut)
    [length] = [
        line
        for line in estimate(recipe, [photos], [], "cpu", resume=cut)
        if line.startswith("length: ")
    ]
    assert length.endswith("epochs; 4 images are done")
    assert "done" not in "\n".join(estimate(recipe, [photos], [], "cpu"))


@pytest.fixture(scope="module")
def cut(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after its first step; tests only look at it."""
    folder = tmp_path_factory.mktemp("cut")
    recipe = small("tiny", folder, ema_halflife_images="0")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [photos], folder / "run", name="tiny", watcher=StopAfter(4))
    return folder / "run"


@pytest.mark.parametrize("dry", [False, True], ids=["train", "dry-run"])
@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (["network.base=8"], "network.base"),
        (["network=residual-unet"], "network"),
        (["optimizer=sgd"], "optimizer"),
        (["optimizer=rmsprop"], "optimizer"),
        ([*GAN, "discriminator.layers=2"], "discriminator"),
        (["ema_halflife_images=8"], "ema_halflife_images"),
        (["init=default"], "init"),
        (["val_share=0.3"], "val_share"),
    ],
)
def test_fields_that_the_checkpoint_depends_on_cannot_change(
    settings: list[str], field: str, dry: bool, cut: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (cut / "recipe.json").read_bytes()
    command = ["--resume", str(cut), *(f"--set={setting}" for setting in settings)]
    status, line = refused([*command, "--dry-run"] if dry else command, capfd)
    assert line.startswith(f"recolor: {field} cannot change from '")
    assert f"--set init={cut}" in line
    assert status == 2
    assert (cut / "recipe.json").read_bytes() == before


def test_what_was_changed_holds_from_then_on_and_what_was_before_is_kept(
    photos: Path, tmp_path: Path
) -> None:
    recipe = small("tiny", tmp_path, total_images="12")
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [photos], run, name="tiny", seed=3, watcher=StopAfter(4))
    train(replace(recipe, total_images=12), [photos], run, resume=True, watcher=StopAfter(10**9))
    assert "earlier" not in json.loads((run / "recipe.json").read_text()), "nothing was changed"

    longer = replace(recipe, total_images=20)
    with pytest.raises(KeyboardInterrupt):
        train(longer, [photos], run, resume=True, watcher=StopAfter(16))
    found, settings = read_run(run)
    assert found == longer
    assert (settings["name"], settings["seed"]) == ("tiny", 3)
    [entry] = settings["earlier"]
    assert entry["until_images"] == 12
    assert Recipe(**entry["recipe"]) == recipe
    assert "total_images 12 → 20" in (run / "index.html").read_text(encoding="utf-8")

    train(replace(longer, lr=1e-5), [photos], run, resume=True)
    _, settings = read_run(run)
    assert [entry["until_images"] for entry in settings["earlier"]] == [12, 16]


def test_the_optimisers_constants_are_those_of_the_recipe(photos: Path, tmp_path: Path) -> None:
    recipe = small("tiny", tmp_path, total_images="8")
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [photos], run, watcher=StopAfter(4))
    train(replace(recipe, weight_decay=0.25, beta1=0.5), [photos], run, resume=True)
    state = torch.load(run / "last/state.pt", weights_only=True)
    first, second = state["g_optimizer"]["param_groups"]
    assert (first["weight_decay"], second["weight_decay"]) == (0.25, 0.0)
    assert first["betas"] == (0.5, 0.999)


def test_arguments_that_change_no_layer_can_change(photos: Path, tmp_path: Path) -> None:
    recipe = small("complex", tmp_path)
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [photos], run, watcher=StopAfter(4))
    arguments = {**recipe.network_arguments, "dropout": 0.1}
    train(replace(recipe, network_arguments=arguments), [photos], run, resume=True)
    found, _ = read_run(run)
    assert found.network_arguments["dropout"] == 0.1


@pytest.mark.parametrize("change", [{"network_arguments": {"base": 8}}, {"optimizer": "rmsprop"}])
def test_a_checkpoint_of_another_recipe_is_refused_in_one_line(
    change: dict[str, Any], photos: Path, tmp_path: Path
) -> None:
    recipe = small("tiny", tmp_path)
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [photos], run, watcher=StopAfter(4))
    settings = json.loads((run / "recipe.json").read_text())
    settings["recipe"] |= change  # by hand
    (run / "recipe.json").write_text(json.dumps(settings))
    with pytest.raises(WeightsError, match=r"last/state\.pt does not fit") as error:
        train(replace(recipe, **change), [photos], run, resume=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("seed", None, "lacks 'seed', which must be a whole number from 0"),
        ("seed", "one", "says 'one' for 'seed'"),
        ("data", "photos", "says 'photos' for 'data'"),
        ("data", None, "lacks 'data'"),
        ("name", None, "lacks 'name'"),
    ],
)
def test_a_recipe_json_without_what_a_run_needs_is_refused(
    name: str, value: object, text: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"name": "tiny", "seed": 0, "data": ["p"], "val": []}
    settings |= {"recipe": json.loads(RECIPES["tiny"].to_json()), name: value}
    if value is None:
        del settings[name]
    (tmp_path / "recipe.json").write_text(json.dumps(settings))
    with pytest.raises(RecipeError, match=text):
        read_run(tmp_path)
