"""Recipes: what they hold, and how text becomes one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from recolor_cli.errors import RecipeError, UsageError
from recolor_cli.models.base import BinsUNet
from recolor_cli.models.encoders import ResNet18Encoder
from recolor_cli.recipes import (
    BASE,
    RECIPES,
    TINY,
    Recipe,
    get_recipe,
    override,
    parse_name_weights,
    read_settings,
)
from recolor_cli.training.estimate import count_parameters
from recolor_cli.training.networks import build_generator

REPORTS = {
    "000": {"simple-adam", "simple-sgd", "normal", "complex", "wgan-clip"},
    "001": {"unet128-rgb", "unet128-lab", "autoencoder128", "resnet128"},
    "002": {"vanilla", "vanilla-augmented", "vanilla-perceptual", "advanced"},
    "003": {"pix2pix", "pix2pix-lpips", "wgan-gp"},
    "004": {"cgan", "cgan-resnet18"},
}


@pytest.mark.parametrize("paper", REPORTS)
def test_every_system_of_a_report_is_a_recipe(paper: str) -> None:
    assert {name for name, recipe in RECIPES.items() if recipe.paper == paper} == REPORTS[paper]


def test_nothing_else_is_a_recipe_but_ours() -> None:
    assert set(RECIPES) - set().union(*REPORTS.values()) == {"base", "tiny"}


# What the reports state; a changed default must not change a report's system.
STATED = [
    ("simple-adam", {"batch": 128, "crop_px": 200, "epochs": 30, "lr": 1e-4, "optimizer": "adam"}),
    ("simple-adam", {"reconstruction_weight": 0.005, "gan": "bce", "beta1": 0.9}),
    ("simple-adam", {"network_arguments": {"variant": "simple"}, "network": "cropped-unet"}),
    ("simple-adam", {"discriminator_arguments": {"variant": "simple"}, "val_share": 0.1}),
    ("simple-sgd", {"optimizer": "sgd", "lr": 1e-4, "epochs": 30, "batch": 128, "crop_px": 200}),
    ("normal", {"epochs": 30, "batch": 128, "optimizer": "adam", "lr": 1e-4, "crop_px": 200}),
    ("normal", {"network_arguments": {"variant": "normal"}, "reconstruction_weight": 0.005}),
    ("normal", {"discriminator_arguments": {"variant": "normal"}, "gan": "bce"}),
    ("complex", {"epochs": 60, "crop_px": 256, "batch": 128, "lr": 1e-4, "optimizer": "adam"}),
    ("complex", {"reconstruction_weight": 0.005, "network_arguments": {}, "gan": "bce"}),
    ("wgan-clip", {"critic_steps": 5, "optimizer": "rmsprop", "epochs": 10, "gan": "wgan-clip"}),
    ("wgan-clip", {"clip_value": 0.01, "reconstruction_weight": 0.005, "d_loss_scale": 1.0}),
    ("unet128-rgb", {"crop_px": 128, "flip": 0.5, "flip_vertical": 0.5, "train_images": 10_000}),
    ("unet128-rgb", {"reconstruction_weight": 1.0, "epochs": 45, "gan": "bce", "lr": 2e-4}),
    ("unet128-rgb", {"network_arguments": {"levels": 7, "out_channels": 3}, "beta1": 0.5}),
    ("unet128-lab", {"network_arguments": {"levels": 7, "out_channels": 2}, "crop_px": 128}),
    ("autoencoder128", {"network": "autoencoder", "crop_px": 128, "epochs": 45}),
    ("resnet128", {"network": "resnet-generator", "crop_px": 128, "flip_vertical": 0.5}),
    ("vanilla", {"batch": 16, "epochs": 80, "crop_px": 256, "flip": 0.0, "lr": 1e-3}),
    ("vanilla", {"reconstruction_weight": 100.0, "beta1": 0.9, "initialization": "normal"}),
    ("vanilla", {"optimizer": "adam", "beta2": 0.999, "d_loss_scale": 0.5, "gan": "bce"}),
    ("vanilla-augmented", {"flip": 0.5, "flip_vertical": 0.5, "lr": 1e-3, "epochs": 80}),
    ("vanilla-perceptual", {"perceptual_weight": 1.0, "flip": 0.0}),
    ("advanced", {"network": "resnet18-unet", "encoder_weights": "torchvision", "batch": 16}),
    ("advanced", {"freeze_encoder_to_stride": 0, "reconstruction_weight": 100.0, "lr": 1e-3}),
    ("pix2pix", {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999, "d_loss_scale": 0.5}),
    ("pix2pix", {"train_images": 5000, "val_images": 900, "crop_px": 256}),
    ("pix2pix-lpips", {"lpips_weight": 1.0, "reconstruction_weight": 100.0}),
    ("wgan-gp", {"critic_steps": 3, "lr": 5e-5, "gradient_penalty": 10.0, "optimizer": "rmsprop"}),
    ("pix2pix-lpips", {"train_images": 5000, "gan": "bce", "optimizer": "adam"}),
    ("wgan-gp", {"reconstruction_weight": 100.0, "gan": "wgan-gp", "d_loss_scale": 1.0}),
    ("cgan", {"epochs": 45, "train_images": 4000, "val_images": 1000, "beta1": 0.5}),
    ("cgan", {"lr": 2e-4, "crop_px": 256, "reconstruction_weight": 100.0, "d_loss_scale": 0.5}),
    ("cgan", {"network": "pix2pix-unet", "network_arguments": {}, "gan": "bce", "val_share": 0.2}),
    ("cgan-resnet18", {"epochs": 40, "gan_from_epoch": 20.0, "rotate_degrees": 10.0}),
    ("cgan-resnet18", {"network": "resnet18-unet", "encoder_weights": "torchvision"}),
]


@pytest.mark.parametrize(("name", "values"), STATED)
def test_recipes_have_what_their_report_states(name: str, values: dict[str, object]) -> None:
    recipe = RECIPES[name]
    assert {key: getattr(recipe, key) for key in values} == values
    assert recipe.resize == "squash"


# Habits of ours that no report has: they must not creep in with a changed default.
OURS = {
    "ema_halflife_images": 0, "warmup_images": 0, "schedule": "constant", "weight_decay": 0,
    "clip_norm": 0, "encoder_lr_scale": 1, "accumulate": 1, "init": "", "name_weights": "",
    "objective": "l1", "gan_weight": 1, "d_lr": 0, "beta2": 0.999, "initialization": "normal",
    **{f.name: 0 for f in dataclasses.fields(Recipe) if f.name.startswith("age_")},
}  # fmt: skip


@pytest.mark.parametrize("name", [name for names in REPORTS.values() for name in sorted(names)])
def test_a_reports_recipe_has_none_of_our_habits(name: str) -> None:
    assert {key: getattr(RECIPES[name], key) for key in OURS} == OURS


@pytest.mark.parametrize(
    ("name", "generator", "discriminator"),
    [
        ("complex", 54_409_858, 2_765_633),
        ("cgan", 54_409_858, 2_765_633),
        ("normal", 2_327_558, None),
    ],
)
def test_networks_have_the_stated_number_of_parameters(
    name: str, generator: int, discriminator: int | None
) -> None:
    found = count_parameters(RECIPES[name])
    assert found[0] == generator
    if discriminator is not None:
        assert found[1] == discriminator


@pytest.mark.parametrize("name", ["tyni", "nothing-like-it"])
def test_what_is_not_known_is_told_in_one_sentence(name: str) -> None:
    for wrong in (lambda: get_recipe(name), lambda: override(BASE, {name: "1"})):
        with pytest.raises(RecipeError, match=r"; (did you mean|'recolor recipes)") as caught:
            wrong()
        assert "  " not in str(caught.value)


def test_an_override_changes_its_field_alone() -> None:
    changed = override(BASE, {"lr": "1e-3", "batch": "64", "network.widths": "[32,32,32,32]"})
    assert changed == dataclasses.replace(
        BASE,
        lr=1e-3,
        batch=64,
        network_arguments={**BASE.network_arguments, "widths": (32, 32, 32, 32)},
    )
    assert override(BASE, {"total_images": "2e6"}).total_images == 2_000_000
    assert override(BASE, {"tensorboard": "true"}).tensorboard is True
    assert override(TINY, {"network.base": "8"}).network_arguments == {"base": 8}


@pytest.mark.parametrize("widths", ["320,256,128,96", "(320, 256, 128, 96)", "[320,256,128,96]"])
def test_tuples_and_names_reach_the_network(widths: str) -> None:
    recipe = override(
        BASE, {"network.encoder": "resnet18", "network.tail": "384", "network.widths": widths}
    )
    with torch.device("meta"):
        network = build_generator(recipe)
    assert isinstance(network, BinsUNet)
    assert isinstance(network.encoder, ResNet18Encoder)
    assert network.head.in_channels == 96
    assert network.bottleneck[0].out_channels == 320
    assert network.stride == 32
    assert override(BASE, {"network.encoder": "a,b"}).network_arguments["encoder"] == "a,b"


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("lrr", "1", "no field 'lrr'; did you mean 'lr'?"),
        ("network.", "1", "network. needs a name"),
        ("lr", "fast", "lr must be a number, got 'fast'"),
        ("lr", "-1", "lr must be between 0 and 10, got '-1.0'"),
        ("lr", "NaN", "lr must be a finite number"),
        ("batch", "1.5", "batch must be a whole number"),
        ("batch", "true", "batch must be a whole number"),
        ("tensorboard", "1", "tensorboard must be true or false"),
        ("objective", "bin", "objective cannot be 'bin'; did you mean 'bins'?"),
        ("accumulate", "5", "batch '32' must be a multiple of accumulate '5'"),
        ("scale_min", "4", "scale_max '1.6' is below scale_min '4.0'"),
        ("gan", "bce", "set both"),
        ("objective", "none", "nothing to learn"),
        ("epochs", "0", "no length"),
        ("val_share", "0.9", "leave nothing to train on"),
        ("name_weights", "coco", "write PREFIX=WEIGHT"),
        ("name_weights", "coco=-1", "write PREFIX=WEIGHT"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(field: str, value: str, text: str) -> None:
    recipe = dataclasses.replace(BASE, batch=32, scale_max=1.6)
    with pytest.raises(RecipeError) as refused:
        override(recipe, {field: value})
    assert text in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_recipe_gets_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match="did you mean 'pix2pix'"):
        get_recipe("pixpix")


def test_name_weights() -> None:
    assert parse_name_weights("coco=1.5,lfw=0") == {"coco": 1.5, "lfw": 0.0}
    assert parse_name_weights("") == {}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(
        json.dumps({"name": name, "recipe": json.loads(RECIPES[name].to_json())})
    )
    recipe, settings = read_settings(tmp_path)
    assert recipe == RECIPES[name]
    assert settings == {"name": name}


def test_settings_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        read_settings(tmp_path)
    (tmp_path / "recipe.json").write_text('{"recipe": {"no_such_field": 1}}')
    with pytest.raises(RecipeError, match="not a recipe of this version"):
        read_settings(tmp_path)


def test_recipes_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.lr = 1.0  # type: ignore[misc]


def test_epochs_and_images_both_give_a_length() -> None:
    assert dataclasses.replace(TINY, epochs=2.5).images(1000) == 2500
    assert dataclasses.replace(TINY, total_images=77).images(1000) == 77


def test_the_command_lists_and_prints(capsys: pytest.CaptureFixture[str]) -> None:
    from recolor_cli.cli.app import main

    with pytest.raises(SystemExit):
        main(["recipes"])
    listed = capsys.readouterr().out
    assert all(name in listed for name in RECIPES)
    assert "54409858" in listed
    assert "100 l1 + lpips + bce" in listed
    with pytest.raises(SystemExit):
        main(["recipes", "wgan-gp", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["critic_steps"] == 3
