"""Coloured, grey or toned: on pictures drawn here, so that the answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.data import astronaut, camera, chelsea, coffee

from recolor_cli.color.lab import lab_to_rgb, luminance
from recolor_cli.color.tint import describe_color


def _scene(seed: int = 0) -> np.ndarray:
    """A grey scene, L 0..100: shapes over a sky, with grain."""
    rng = np.random.default_rng(seed)
    scene = cv2.resize(rng.random((5, 6)).astype(np.float32), (320, 240)) * 60 + 20
    for _ in range(25):
        center = tuple(int(v) for v in rng.integers(0, 240, 2))
        cv2.circle(scene, center, int(rng.integers(5, 40)), float(rng.uniform(3, 97)), -1)
    return np.clip(scene + rng.normal(0, 2, scene.shape), 0, 100).astype(np.float32)


def _toned(lightness: np.ndarray, hue: float, chroma: np.ndarray | float) -> np.ndarray:
    a, b = chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))
    planes = np.broadcast_arrays(lightness, a, b)
    return lab_to_rgb(np.stack(planes, axis=-1).astype(np.float32))


def _jpeg(rgb: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def _midtones(lightness: np.ndarray) -> np.ndarray:
    return 4 * (lightness / 100) * (1 - lightness / 100)


def test_one_channel_and_equal_channels_are_gray() -> None:
    assert describe_color(camera()).kind == "gray"
    assert describe_color(np.repeat(camera()[..., None], 3, axis=2)).kind == "gray"
    verdict = describe_color(camera().astype(np.uint16) * 257)
    assert (verdict.kind, verdict.mean_chroma) == ("gray", 0.0)


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_chroma_noise_of_jpeg_is_gray(quality: int) -> None:
    rng = np.random.default_rng(1)
    gray = np.repeat(camera()[..., None].astype(np.float32), 3, axis=2)
    noisy = np.clip(gray + rng.normal(0, 4, gray.shape), 0, 255).astype(np.uint8)
    assert describe_color(_jpeg(noisy, quality)).kind == "gray"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("hue", "chroma"),
    [(75, 20), (75, 8), (240, 30), (350, 10), (95, 14), (130, 9)],
    ids=["sepia", "weak sepia", "cyanotype", "selenium", "yellowed", "greenish"],
)
def test_tones_are_toned(hue: float, chroma: float, seed: int) -> None:
    scene = _scene(seed)
    verdict = describe_color(_jpeg(_toned(scene, hue, chroma * _midtones(scene)), 75))
    assert verdict.kind == "toned"
    tint_hue = np.degrees(np.arctan2(verdict.tint[1], verdict.tint[0]))
    assert abs((tint_hue - hue + 180) % 360 - 180) < 15


def test_two_tones_by_lightness_are_toned() -> None:
    scene = _scene()
    hue = np.where(scene > 50, 85, 330)  # warm lights, selenium shadows
    assert describe_color(_toned(scene, hue, 9.0)).kind == "toned"


@pytest.mark.parametrize("seed", range(4))
def test_an_archive_print_with_vignette_fading_stains_and_mount_is_toned(seed: int) -> None:
    scene = _scene(seed)
    y, x = np.mgrid[-1:1:240j, -1:1:320j]
    scene = scene * (1 - 0.3 * (x * x + y * y) / 2)
    chroma = (18 + 5 * x - 4 * y) * (0.3 + 0.7 * _midtones(scene))
    for cx, cy in ((-0.6, 0.5), (0.7, -0.3)):  # glue and foxing: more yellow, darker
        spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 0.02)
        chroma = chroma + 7 * spot
        scene = scene * (1 - 0.15 * spot)
    rgb = _toned(scene, 72, chroma)
    rgb[:, :6] = (120, 30, 30)  # the album's cover at the edge of the scan
    assert describe_color(_jpeg(rgb, 70)).kind == "toned"


@pytest.mark.parametrize("photo", [astronaut, chelsea, coffee])
@pytest.mark.parametrize("saturation", [1.0, 0.5])
def test_color_photographs_are_color(photo: object, saturation: float) -> None:
    rgb = photo().astype(np.float32)
    gray = rgb.mean(axis=2, keepdims=True)
    faded = np.clip(gray + (rgb - gray) * saturation, 0, 255).astype(np.uint8)
    assert describe_color(faded).kind == "color"


def test_fog_with_one_small_car_is_color() -> None:
    scene = cv2.GaussianBlur(_scene(), (0, 0), 12)
    rgb = _toned(scene, 250, 3.0)
    cv2.rectangle(rgb, (150, 120), (190, 150), (150, 40, 35), -1)
    assert describe_color(_jpeg(rgb, 85)).kind == "color"


def test_a_hand_colored_part_of_a_toned_print_is_color() -> None:
    scene = _scene()
    hue = np.full(scene.shape, 75.0)
    hue[100:180, 120:220] = 210
    assert describe_color(_toned(scene, hue, 12.0)).kind == "color"


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 2), (7, 400)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_size_gets_a_verdict(shape: tuple[int, int], dtype: type) -> None:
    pixels = np.zeros((*shape, 3), dtype)
    pixels[..., 0] = np.iinfo(dtype).max
    assert describe_color(pixels).mean_chroma == pytest.approx(104.5, abs=1)


def test_both_depths_and_sizes_agree() -> None:
    small = chelsea()
    deep = small.astype(np.uint16) * 257
    assert describe_color(deep).object_chroma == pytest.approx(
        describe_color(small).object_chroma, abs=0.2
    )
    large = cv2.resize(small, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    assert describe_color(large).object_chroma == pytest.approx(
        describe_color(small).object_chroma, rel=0.05
    )


def test_the_tone_is_what_neutralising_takes_away() -> None:
    scene = _scene()
    rgb = _toned(scene, 75, 15 * _midtones(scene))
    assert np.abs(luminance(rgb) - scene).mean() < 0.5
    assert describe_color(rgb).object_chroma < 2
