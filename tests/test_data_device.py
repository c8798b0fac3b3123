"""Crops and defects made on the device are those that the processor makes, one by one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from train_fixtures import picture

from recolor_cli.data.aging import aged_gray
from recolor_cli.data.batches import Samples
from recolor_cli.data.crops import Crop
from recolor_cli.data.defects import CHANCES, Defects, Grain
from recolor_cli.data.device import DeviceSamples, load_album
from recolor_cli.data.device_aging import aged_grays, normal_noise
from recolor_cli.data.photos import Photo
from recolor_cli.data.sources import Item
from recolor_cli.errors import DataError
from recolor_cli.recipes import BASE, Recipe

CPU = torch.device("cpu")
YOUNG = dataclasses.replace(BASE, crop_px=40, val_px=0, **dict.fromkeys(CHANCES, 0.0))
SIZES = ((72, 72), (50, 91), (64, 41), (40, 40))


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    """Smooth pictures with some noise, of different shapes."""
    made = []
    for index, (height, width) in enumerate(SIZES):
        noise = np.random.default_rng(index).integers(-20, 20, (height, width, 3))
        pixels = (picture(index, height, width).astype(int) + noise).clip(0, 255).astype(np.uint8)
        made.append(Photo(Item(Path("x"), f"{index}", 0, 0), f"{index}", pixels))
    return made


def both(photos: list[Photo], recipe: Recipe, count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """The same samples from the processor and from the device: aged grey, or colours."""
    expected = Samples(photos, recipe, 7).batch(3, count)
    found = DeviceSamples(photos, recipe, 7, CPU).batch(3, count)
    assert isinstance(found.rgb, torch.Tensor)
    if expected.gray is None:
        assert found.gray is None
        return np.asarray(expected.rgb).astype(int), found.rgb.numpy().astype(int)
    assert isinstance(found.gray, torch.Tensor)
    return np.asarray(expected.gray).astype(int), found.gray.numpy().astype(int)


# --- crops ---


@pytest.mark.parametrize(
    "changes",
    [
        {"scale_max": 1.0},
        {"scale_max": 1.8, "flip": 0.5, "flip_vertical": 0.5},
        {"resize": "squash"},
        {"crop_px": 56, "flip": 0.0},  # cubic: most photographs are smaller
        {"crop_px": 16, "scale_max": 3.0},
    ],
)
def test_crops_are_the_processors_but_for_rounding(
    changes: dict[str, object], photos: list[Photo]
) -> None:
    expected, found = both(photos, dataclasses.replace(YOUNG, **changes))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 0.1


def test_turned_crops_differ_by_interpolation_alone(photos: list[Photo]) -> None:
    # OpenCV turns with positions rounded to 1/32 of a pixel.
    expected, found = both(photos, dataclasses.replace(YOUNG, rotate_degrees=30.0, flip=0.5))
    assert np.abs(found - expected).max() <= 6
    assert np.abs(found - expected).mean() < 0.5


def test_the_whole_photograph_at_its_size_is_itself(photos: list[Photo]) -> None:
    album = load_album(photos, CPU)
    crops = [Crop(0, 0, 40, 40), Crop(0, 0, 40, 40, flip=True, degrees=180.0)]
    one, turned = album.cut([3, 3], crops, 40).numpy()
    pixels = photos[3].load()
    assert np.array_equal(one, pixels)
    assert np.abs(turned.astype(int) - pixels[::-1].astype(int)).max() <= 1


def test_a_photograph_does_not_depend_on_its_neighbours(photos: list[Photo]) -> None:
    samples = DeviceSamples(photos, dataclasses.replace(BASE, crop_px=32, val_px=0), 1, CPU)
    whole = samples.batch(8, 8)
    stream = samples.batches(10, 2, 2)
    again = next(stream)
    assert torch.equal(whole.rgb[2:4], again.rgb)
    assert torch.equal(whole.gray[2:4], again.gray)
    assert torch.equal(whole.rgb[4:6], next(stream).rgb)
    assert torch.is_grad_enabled()
    stream.close()


# --- defects ---


@pytest.mark.parametrize("name", [name for name in CHANCES if name != "age_grain"])
def test_each_defect_is_the_processors(name: str, photos: list[Photo]) -> None:
    expected, found = both(photos, dataclasses.replace(YOUNG, scale_max=1.0, **{name: 1.0}))
    difference = np.abs(found - expected)
    # A level that is rounded the other way before JPEG may move a coefficient by one step.
    most = 25 if name == "age_jpeg" else 2
    assert difference.max() <= most
    assert difference.mean() < (1.0 if name == "age_jpeg" else 0.4)


def test_jpeg_is_that_of_the_library_where_the_grey_is_the_same() -> None:
    rgb = np.stack([picture(index, 44, 44)[..., :1].repeat(3, -1) for index in range(3)])
    for quality in (20, 50, 84):
        has = Defects(jpeg=quality)
        plain = aged_grays(torch.from_numpy(rgb), [Defects()] * 3).numpy()
        found = aged_grays(torch.from_numpy(rgb), [has] * 3).numpy().astype(int)
        for index in range(3):
            options = [cv2.IMWRITE_JPEG_QUALITY, quality]
            encoded = cv2.imencode(".jpg", plain[index], options)[1]
            expected = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE).astype(int)
            difference = np.abs(found[index] - expected)  # a tie may be rounded the other way
            assert difference.max() <= 8
            assert (difference <= 1).mean() > 0.95
            assert (expected != plain[index]).any()


def test_grain_is_as_strong_and_as_wide_as_asked_and_repeatable() -> None:
    rgb = torch.full((2, 96, 96, 3), 128, dtype=torch.uint8)

    def grained(width: float, key: int) -> np.ndarray:
        has = Defects(grain=Grain(None, key, width, 0.05))
        return aged_grays(rgb, [has, Defects()])[0].numpy().astype(float) / 255

    middle = 128 / 255
    strength = 0.05 * (0.35 + 2.6 * middle * (1 - middle))
    fine, wide = grained(0.1, 1), grained(1.0, 1)
    for noise in (fine, wide):
        assert abs(noise.mean() - middle) < 0.006
        assert noise.std() == pytest.approx(strength, rel=0.06)

    def likeness(noise: np.ndarray) -> float:
        return float(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1])

    assert abs(likeness(fine)) < 0.05
    assert likeness(wide) > 0.6
    assert np.array_equal(fine, grained(0.1, 1))
    assert not np.array_equal(fine, grained(0.1, 2))


def test_noise_is_normal_and_independent_from_key_to_key() -> None:
    noise = normal_noise([0, 1, 2**31 - 1], torch.empty(3, 128, 128))
    assert torch.isfinite(noise).all()
    assert (noise.mean((1, 2)).abs() < 0.03).all()
    assert ((noise.std((1, 2)) - 1).abs() < 0.03).all()
    within = (noise.abs() < 1).float().mean((1, 2))
    assert ((within - 0.6827).abs() < 0.015).all()
    likeness = torch.corrcoef(noise.view(3, -1)) - torch.eye(3)
    assert likeness.abs().max() < 0.03


def test_all_defects_together_leave_the_same_scene(photos: list[Photo]) -> None:
    recipe = dataclasses.replace(YOUNG, **(dict.fromkeys(CHANCES, 0.5) | {"age_spectral": 0.0}))
    samples = DeviceSamples(photos, recipe, 0, CPU)
    aged = samples.batch(0, 32)
    plain = DeviceSamples(photos, YOUNG, 0, CPU).batch(0, 32)
    assert torch.equal(aged.rgb, plain.rgb)
    assert aged.gray is not None
    assert aged.gray.dtype == torch.uint8
    lights = plain.rgb.float().mean(-1).flatten(1)
    likeness = [
        np.corrcoef(gray.numpy().ravel(), light.numpy())[0, 1]
        for gray, light in zip(aged.gray, lights, strict=True)
    ]
    assert np.median(likeness) > 0.6
    one = aged_gray(aged.rgb[0].numpy(), np.random.default_rng(0), recipe)
    assert one.shape == aged.gray[0].shape


# --- the device's memory ---


def test_photographs_that_do_not_fit_on_the_device_are_refused(
    photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("recolor_cli.data.device.torch.empty", refuse)
    with pytest.raises(DataError, match=r"4 decoded photographs .* use --set cache=ram"):
        load_album(photos, CPU)
