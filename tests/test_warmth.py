"""Warmth: the light changes along daylight, luminance and black stay, hints are not warmed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_fixtures import fake_model, save_tiny_weights
from gallery_fixtures import data_of, put_gray, recolor

from recolor_cli import Colorizer
from recolor_cli.color.lab import luminance, rgb_to_lab
from recolor_cli.color.warmth import warm
from recolor_cli.colorize.settings import Settings, deciding
from recolor_cli.errors import UsageError
from recolor_cli.images.read import read_provenance


def plain(gray: torch.Tensor) -> torch.Tensor:
    return torch.zeros(1, 2, *gray.shape[2:])


def white_in_lab(kelvin: float, size: tuple[int, int] = (1, 1)) -> np.ndarray:
    """L = 100 warmed to a colour temperature."""
    lightness = np.full(size, 100, np.float32)
    none = np.zeros((*size, 2), np.float32)
    return warm(lightness, none, 1e6 / kelvin - 1e6 / 6504)[0, 0]


@pytest.mark.parametrize(
    ("kelvin", "xy"),  # CIE illuminants D50, D55, D75
    [(5003, (0.3457, 0.3585)), (5503, (0.3324, 0.3474)), (7504, (0.2990, 0.3149))],
)
def test_white_becomes_the_illuminant_of_its_temperature(
    kelvin: float, xy: tuple[float, float]
) -> None:
    x, y = xy
    d65 = np.array([0.9504, 1.0888])
    s, t = np.cbrt(np.array([x / y, (1 - x - y) / y]) / d65)
    expected = [500 * (s - 1), 200 * (1 - t)]
    assert white_in_lab(kelvin) == pytest.approx(expected, abs=0.15)


def test_zero_changes_nothing_and_back_is_back() -> None:
    random = np.random.default_rng(0)
    lightness = random.uniform(0, 100, (5, 7)).astype(np.float32)
    ab = random.uniform(-40, 40, (5, 7, 2)).astype(np.float32)
    assert warm(lightness, ab, 0) == pytest.approx(ab, abs=1e-4)
    warmer = warm(lightness, ab, 20)
    assert (warmer[..., 1] > ab[..., 1]).mean() > 0.9
    with pytest.raises(ValueError, match="mireds"):
        warm(lightness, ab, 81)


def test_a_photograph_gets_warmer_with_its_luminance_as_it_was() -> None:
    gray = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    by_warmth = {w: Colorizer(fake_model(plain), warmth=w).colorize(gray) for w in (-30, 0, 30)}
    means = [float(rgb_to_lab(by_warmth[w])[..., 2].mean()) for w in (-30, 0, 30)]
    assert means[0] < -3 < -0.5 < means[1] < 0.5 < 3 < means[2]
    for colored in by_warmth.values():
        assert np.abs(luminance(colored) - luminance(gray)).mean() < 0.6
        assert colored[:, 0].max() <= 2  # black is black in any light


def test_a_hint_is_not_warmed() -> None:
    gray = np.full((64, 96), 128, np.uint8)
    hint = [{"box": [0, 0, 0.4, 1], "color": "#808080"}]
    colored = Colorizer(fake_model(plain), warmth=40).colorize(gray, hints=hint)
    ab = rgb_to_lab(colored)[..., 1:]
    assert np.abs(ab[:, :30]).max() < 1.5


def test_without_warmth_results_of_before_stay_current() -> None:
    assert "warmth" not in deciding(Settings())
    assert deciding(Settings(warmth=5))["warmth"] == 5
    with pytest.raises(UsageError, match="--warmth must be -80 to 80"):
        Settings(warmth=81)


def test_a_redo_with_warmth_and_a_sheet_of_them(tmp_path: Path) -> None:
    weights = save_tiny_weights(tmp_path / "tiny.safetensors")
    photo = put_gray(tmp_path / "in/a.jpg", 1)
    out = tmp_path / "out"
    recolor("colorize", photo.parent, "-o", out, "-m", weights, "--warmth", "10", "--gallery")
    made = read_provenance(out / "a.jpg")
    assert made is not None
    assert made.settings["warmth"] == 10
    assert data_of(out / "gallery.html")["photos"][0]["settings"]["warmth"] == 10
    marks = [{"output": "a.jpg", "mark": "redo", "settings": {"warmth": -25}}]
    review = tmp_path / "review.json"
    review.write_text(json.dumps({"format": "recolor-review/1", "out": str(out), "photos": marks}))
    status, _, err = recolor("colorize", "--redo", review)
    assert status == 0, err
    made = read_provenance(out / "a.jpg")
    assert made is not None
    assert made.settings["warmth"] == -25
    sheet = tmp_path / "sheet.jpg"
    status, _, err = recolor("compare", photo, "--warmths=-40,0,40", "-m", weights, "-o", sheet)
    assert (status, sheet.exists()) == (0, True), err
