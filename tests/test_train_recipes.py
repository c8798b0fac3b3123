"""Every recipe trains two steps on a CPU; stopped after the first, it goes on unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from train_fixtures import NARROW_RESNET18, StopAfter, small, write_photos

from recolor_cli.checkpoints import load_weights
from recolor_cli.recipes import RECIPES
from recolor_cli.train import train


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing them takes longer than the training; test_train.py looks at them."""
    monkeypatch.setattr("recolor_cli.training.keeper.draw_curves", lambda *_: None)


@pytest.fixture(autouse=True)
def narrow_resnet18(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state is 370 MB with Adam's, and is written four times for each recipe."""
    monkeypatch.setattr(*NARROW_RESNET18)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 20)


@pytest.mark.parametrize("name", RECIPES)
def test_two_steps_and_one_step_resumed_are_the_same(
    name: str, photos: Path, tmp_path: Path
) -> None:
    recipe = small(name, tmp_path)
    whole = train(recipe, [photos], tmp_path / "whole", name=name)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, [photos], tmp_path / "cut", name=name, watcher=StopAfter(4))
    cut = train(recipe, [photos], tmp_path / "cut", name=name, resume=True)

    expected = torch.load(whole / "last/state.pt", weights_only=True)
    found = torch.load(cut / "last/state.pt", weights_only=True)
    for key in ("generator", "average", "discriminator"):
        if expected[key] is None:
            assert found[key] is None
            continue
        for tensor, value in expected[key].items():
            assert torch.equal(value, found[key][tensor]), f"{key}.{tensor}"
    model = load_weights(cut / "last/model.safetensors")
    luminance = torch.rand(1, 1, recipe.crop_px, recipe.crop_px) * 100
    assert torch.isfinite(model.predict(luminance).ab).all()
    assert model.card.recipe == name
