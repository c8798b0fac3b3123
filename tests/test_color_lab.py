"""sRGB <-> Lab on pictures: held to scikit-image, at both depths, whatever the strips."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from color_fixtures import merge_ways
from skimage.color import rgb2lab

from recolor_cli.color import curves, lab

DEPTHS = [(np.uint8, 255), (np.uint16, 65535)]


def _random_rgb(dtype: type, top: int, shape: tuple[int, ...] = (90, 70, 3)) -> np.ndarray:
    rng = np.random.default_rng(7)
    rgb = rng.integers(0, top + 1, shape).astype(dtype)
    rgb[:20] //= 40  # the straight foot of both curves
    rgb[0, 0], rgb[0, 1] = 0, top
    return rgb


@pytest.mark.parametrize(("dtype", "top"), DEPTHS)
def test_lab_agrees_with_scikit_image(dtype: type, top: int) -> None:
    rgb = _random_rgb(dtype, top)
    error = np.abs(lab.rgb_to_lab(rgb) - rgb2lab(rgb / top)).reshape(-1, 3).max(axis=0)
    assert error[0] < 0.002
    assert error[1:].max() < 0.02


@pytest.mark.parametrize(("dtype", "top"), DEPTHS)
def test_luminance_agrees_with_scikit_image(dtype: type, top: int) -> None:
    rgb = _random_rgb(dtype, top)
    expected = rgb2lab(rgb / top)[..., 0]
    np.testing.assert_allclose(lab.luminance(rgb), expected, atol=0.002)
    gray = rgb[..., 0]
    expected = rgb2lab(np.repeat(gray[..., None], 3, axis=2) / top)[..., 0]
    np.testing.assert_allclose(lab.luminance(gray), expected, atol=0.0005)


def test_every_8_bit_color_survives_the_round_trip() -> None:
    axis = np.arange(0, 256, 5, dtype=np.uint8)
    rgb = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(52, -1, 3)
    np.testing.assert_array_equal(lab.lab_to_rgb(lab.rgb_to_lab(rgb)), rgb)


@pytest.mark.parametrize(("dtype", "top"), DEPTHS)
def test_gray_pixels_are_neutral_and_survive_to_the_last_bit(dtype: type, top: int) -> None:
    gray = np.arange(0, top + 1, dtype=np.uint32).astype(dtype).reshape(16, -1)
    there = lab.rgb_to_lab(gray)
    assert there[..., 1:].max() == there[..., 1:].min() == 0
    back = lab.lab_to_rgb(there, dtype)
    np.testing.assert_array_equal(back, np.repeat(gray[..., None], 3, axis=2))


def test_gray_stored_as_rgb_is_the_same_as_gray() -> None:
    gray = _random_rgb(np.uint8, 255)[..., 0]
    rgb = np.repeat(gray[..., None], 3, axis=2)
    np.testing.assert_array_equal(lab.luminance(rgb), lab.luminance(gray))
    assert lab.gray_plane(rgb).ndim == 2
    rgb[-1, -1, 2] ^= 1
    assert lab.gray_plane(rgb) is rgb


def _area_matrix(n: int, m: int) -> np.ndarray:
    left, right = np.arange(m)[:, None] * n / m, (np.arange(m)[:, None] + 1) * n / m
    k = np.arange(n)
    overlap = np.clip(np.minimum(right, k + 1) - np.maximum(left, k), 0, None)
    return overlap / overlap.sum(axis=1, keepdims=True)


@pytest.fixture(params=["numpy", "compiled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "compiled_merge", lambda: merge_ways()[request.param])


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("strip", [30, 200, 100_000])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (13, 31), (89, 70), (90, 70)])
def test_small_luminance_is_the_mean_over_areas(
    size: tuple[int, int],
    strip: int,
    channels: int,
    dtype: type,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lab, "STRIP_PIXELS", strip)
    rgb = _random_rgb(dtype, np.iinfo(dtype).max)
    rgb = rgb if channels == 3 else rgb[..., 0]
    expected = _area_matrix(90, size[0]) @ lab.luminance(rgb) @ _area_matrix(70, size[1]).T
    np.testing.assert_allclose(lab.small_luminance(rgb, size), expected, atol=0.002)


@pytest.mark.usefixtures("way")
def test_small_luminance_may_grow_one_axis() -> None:
    strip = np.linspace(0, 255, 2000).astype(np.uint8)[None]
    small = lab.small_luminance(strip, (4, 50))
    assert small.shape == (4, 50)
    np.testing.assert_allclose(small, np.repeat(small[:1], 4, axis=0), atol=1e-5)
    assert (np.diff(small[0]) > 0).all()


def test_strips_do_not_change_luminance(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = _random_rgb(np.uint16, 65535)
    whole = lab.luminance(rgb)
    monkeypatch.setattr(lab, "STRIP_PIXELS", 100)
    np.testing.assert_array_equal(lab.luminance(rgb), whole)


def test_tables_without_16_bit_lut_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = _random_rgb(np.uint16, 65535)
    expected = lab.rgb_to_lab(rgb)
    monkeypatch.setattr(curves, "_lut_takes_16_bits", lambda: False)
    np.testing.assert_array_equal(lab.rgb_to_lab(rgb), expected)


def test_rows_that_are_not_contiguous_are_read_right() -> None:
    rgb = _random_rgb(np.uint8, 255)
    turned = rgb[::-1, ::2]
    np.testing.assert_array_equal(lab.luminance(turned), lab.luminance(turned.copy()))
    flipped = cv2.flip(rgb, 0)[:, ::2]
    np.testing.assert_array_equal(lab.rgb_to_lab(turned), lab.rgb_to_lab(flipped))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((3, 4), np.float32),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((3,), np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pixels must"):
        lab.luminance(pixels)
    with pytest.raises(ValueError, match="pixels must"):
        lab.small_luminance(pixels, (1, 1))


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        lab.small_luminance(np.zeros((3, 4), np.uint8), (0, 4))
