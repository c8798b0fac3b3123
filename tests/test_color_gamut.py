"""Chroma compression: constant hue and lightness, nothing outside sRGB, nothing touched below."""

from __future__ import annotations

import numpy as np
from skimage.color import lab2rgb

from recolor_cli.color import gamut
from recolor_cli.color.lab import lab_to_linear, lab_to_rgb, rgb_to_lab


def _grid(chroma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    hue, lightness = np.meshgrid(np.radians(np.arange(0, 360, 1.5)), np.linspace(0.5, 99.5, 100))
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    return tuple(plane.astype(np.float32) for plane in (lightness, a, b))


def test_nothing_stays_outside_the_gamut() -> None:
    for chroma in (20, 60, 110, 180):
        lightness, a, b = _grid(chroma)
        rgb = lab_to_linear(lightness, *gamut.compress_chroma(lightness, a, b))
        assert rgb.min() > -0.0005
        assert rgb.max() < 1.005  # half an 8-bit step, in the dent of yellow at L 96
        assert (rgb.max(axis=0) > 1.001).mean() < 0.001


def test_the_largest_chroma_is_the_wall_of_srgb() -> None:
    lightness, a, b = _grid(1)
    limit = gamut.max_chroma(lightness, a, b)
    y = lab_to_linear(lightness, a * 0, b * 0)[0]

    def inside(share: float) -> np.ndarray:
        rgb = lab_to_linear(lightness, a * limit * share, b * limit * share)
        slack = 0.005 * np.minimum(y, 1 - y)
        return (rgb.min(axis=0) >= -slack) & (rgb.max(axis=0) <= 1 + slack)

    assert inside(0.96).mean() > 0.999
    assert inside(1.04).mean() < 0.002


def test_hue_is_kept() -> None:
    lightness, a, b = _grid(90)
    new_a, new_b = gamut.compress_chroma(lightness, a, b)
    kept = np.hypot(new_a, new_b) > 0.1
    turn = np.arctan2(new_b, new_a) - np.arctan2(b, a)
    assert np.abs(np.angle(np.exp(1j * turn)))[kept].max() < 1e-5


def test_hue_and_lightness_survive_to_the_pixels() -> None:
    lightness, a, b = (plane[20:80] for plane in _grid(110))
    new_a, new_b = gamut.compress_chroma(lightness, a, b)
    pixels = lab_to_rgb(np.stack((lightness, new_a, new_b), axis=-1), np.uint16)
    back = rgb_to_lab(pixels)
    assert np.abs(back[..., 0] - lightness).max() < 0.1
    turn = np.degrees(np.arctan2(back[..., 2], back[..., 1]) - np.arctan2(b, a))
    assert np.abs((turn + 180) % 360 - 180).max() < 0.3


def test_clipping_would_have_turned_the_hue() -> None:
    # Why the module exists: the same colours, clipped channel by channel as scikit-image does.
    blue = np.array([[[30.0, 30.0, -110.0]]])
    clipped = rgb_to_lab((lab2rgb(blue) * 255).round().astype(np.uint8))[0, 0]
    assert abs(clipped[0] - 30) > 1


def test_colors_under_the_knee_are_untouched() -> None:
    lightness, a, b = _grid(1)
    limit = gamut.max_chroma(lightness, a, b) * np.float32(gamut.KNEE * 0.999)
    new_a, new_b = gamut.compress_chroma(lightness, a * limit, b * limit)
    np.testing.assert_array_equal(new_a, a * limit)
    np.testing.assert_array_equal(new_b, b * limit)


def test_more_chroma_stays_more_chroma() -> None:
    chroma = np.linspace(0, 200, 400, dtype=np.float32)
    for lightness in (3, 30, 55, 80, 97):
        for hue in np.radians(range(0, 360, 15)):
            a = chroma * np.float32(np.cos(hue))
            b = chroma * np.float32(np.sin(hue))
            new = np.hypot(*gamut.compress_chroma(np.full_like(chroma, lightness), a, b))
            step = np.diff(new)
            assert step.min() > -1e-4
            assert step.max() <= np.diff(chroma).max() + 1e-4


def test_black_and_white_become_neutral() -> None:
    lightness = np.array([0, 0, 100, 100], np.float32)
    a = np.array([50, -3, 50, 1], np.float32)
    new_a, new_b = gamut.compress_chroma(lightness, a, -a)
    assert not new_a.any()
    assert not new_b.any()


def test_calm_lightnesses_are_below_the_knee_for_all_colors_nearby() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(0, 35, (2, 3000)).astype(np.float32)
    low, high = gamut.calm_lightness(a, b)
    assert 0.3 < (low <= high).mean() < 0.9999
    for share in (0.0, 0.02, 0.5, 0.98, 1.0):
        step = low + (high.astype(np.float32) - low) * np.float32(share)
        lightness = step * np.float32(100 / gamut.LIGHTNESS_STEPS)
        for turn in np.radians((-0.4, 0, 0.4)).astype(np.float32):
            near_a = np.cos(turn) * a - np.sin(turn) * b
            near_b = np.sin(turn) * a + np.cos(turn) * b
            scale = gamut.chroma_scale(lightness, near_a, near_b)
            assert (scale[low <= high] == 1).all()


def test_calm_lightnesses_are_not_much_fewer_than_there_are() -> None:
    hue = np.radians(np.arange(0, 360, 3))
    a, b = (20 * np.cos(hue)).astype(np.float32), (20 * np.sin(hue)).astype(np.float32)
    low, high = (step * (100 / gamut.LIGHTNESS_STEPS) for step in gamut.calm_lightness(a, b))
    assert (high - low).mean() > 60
    for lightness in (low - 3, high + 3):
        assert (gamut.chroma_scale(lightness.astype(np.float32), a, b) < 1).mean() > 0.5
