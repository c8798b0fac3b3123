"""The merge: the photograph's own luminance, no seams, no hue shifts, any size and depth.

Every promise is held by both ways of computing it; tests/test_color_compiled.py compares them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from color_fixtures import NeverCalm, merge_ways
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recolor_cli.color import merge
from recolor_cli.color.lab import luminance, rgb_to_lab
from recolor_cli.color.merge import merge_ab
from recolor_cli.color.upsample import Upsampler

GENTLE = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SIDES = st.integers(1, 40)


@pytest.fixture(params=["numpy", "compiled"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "compiled_merge", lambda: merge_ways()[request.param])


def _photo(height: int, width: int, dtype: type = np.uint8, channels: int = 0) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    top = np.iinfo(dtype).max
    shape = (height, width, channels) if channels else (height, width)
    smooth = cv2.resize(rng.random((7, 9)), (width, height), interpolation=cv2.INTER_CUBIC)
    noise = rng.normal(0, 0.03, shape)
    value = (smooth[..., None] if channels else smooth) * 1.2 - 0.1 + noise
    return (np.clip(value, 0, 1) * top).astype(dtype)


def _ab(height: int = 12, width: int = 17, spread: float = 25, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, (height, width, 2)).astype(np.float32)


@st.composite
def photos(draw: st.DrawFn) -> np.ndarray:
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    shape = (draw(SIDES), draw(SIDES), *draw(st.sampled_from([(), (3,)])))
    return draw(arrays.arrays(dtype, shape))


@st.composite
def maps(draw: st.DrawFn) -> np.ndarray:
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 12)), 2)
    return draw(arrays.arrays(np.float32, shape, elements=st.floats(-128, 128, width=32)))


@GENTLE
@given(photos(), maps(), st.integers(1, 900))
def test_any_picture_keeps_its_luminance_and_shows_no_seam(
    pixels: np.ndarray, ab: np.ndarray, strip: int
) -> None:
    result = merge_ab(pixels, ab)
    assert result.shape == (*pixels.shape[:2], 3)
    assert result.dtype == pixels.dtype
    # One step of a channel is up to 0.3 L at 8 bits (a dark green), 0.004 at 16 bits for tables.
    limit = 0.6 if pixels.dtype == np.uint8 else 0.01
    assert np.abs(luminance(result) - luminance(pixels)).max() < limit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "STRIP_PIXELS", strip)
        np.testing.assert_array_equal(merge_ab(pixels, ab), result)


@pytest.mark.parametrize("chroma", [15, 30, 50, 75, 100, 130, 170])
def test_every_hue_keeps_every_lightness(chroma: int) -> None:
    # Light yellow is the hard one: within a degree of hue, rays leave the gamut and come back.
    gray = np.linspace(0, 65535, 1200).astype(np.uint16)
    hues = np.radians(np.arange(0, 360, 0.75))
    pixels = np.broadcast_to(gray[:, None], (len(gray), len(hues)))
    ab = chroma * np.stack((np.cos(hues), np.sin(hues)), axis=-1).astype(np.float32)[None]
    result = merge_ab(np.ascontiguousarray(pixels), ab)
    assert np.abs(luminance(result) - luminance(pixels)).max() < 0.01


@GENTLE
@given(photos(), maps())
def test_black_and_white_stay(pixels: np.ndarray, ab: np.ndarray) -> None:
    top = np.iinfo(pixels.dtype).max
    pixels[0], pixels[-1] = 0, top
    result = merge_ab(pixels, ab)
    assert (result[-1] == top).all()
    assert len(pixels) == 1 or (result[0] == 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [0, 3])
def test_luminance_of_a_photo_is_kept(dtype: type, channels: int) -> None:
    pixels = _photo(211, 307, dtype, channels)
    error = np.abs(luminance(merge_ab(pixels, _ab())) - luminance(pixels))
    assert error.mean() < (0.12 if dtype == np.uint8 else 0.001)
    assert np.quantile(error, 0.999) < (0.3 if dtype == np.uint8 else 0.004)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("saturation", [0.0, 1.0])
def test_no_chroma_gives_the_gray_photo_back_bit_for_bit(dtype: type, saturation: float) -> None:
    top = np.iinfo(dtype).max
    pixels = np.arange(0, top + 1, max(1, top // 4000)).astype(dtype).reshape(1, -1)
    ab = _ab() * 0 if saturation else _ab()
    result = merge_ab(pixels, ab, saturation=saturation)
    np.testing.assert_array_equal(result, np.repeat(pixels[..., None], 3, axis=2))


@pytest.mark.parametrize("shape", [(1, 1), (1, 20000), (20000, 1), (2, 3), (331, 517)])
def test_odd_shapes(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = _photo(*shape)
    ab = _ab(64, 64, spread=12)
    result = merge_ab(pixels, ab)
    for strip in (1, 1000, 7777):
        monkeypatch.setattr(merge, "STRIP_PIXELS", strip)
        np.testing.assert_array_equal(merge_ab(pixels, ab), result)


def test_a_flat_map_colors_every_pixel_with_it() -> None:
    pixels = np.full((50, 60), 140, np.uint8)
    ab = np.broadcast_to(np.array([12, -20], np.float32), (4, 5, 2))
    result = rgb_to_lab(merge_ab(pixels, ab))
    assert np.ptp(result.reshape(-1, 3), axis=0).max() == 0
    np.testing.assert_allclose(result[0, 0, 1:], (12, -20), atol=0.5)
    doubled = rgb_to_lab(merge_ab(pixels, ab, saturation=0.5))
    np.testing.assert_allclose(doubled[0, 0, 1:], (6, -10), atol=0.5)


def test_hue_is_kept_where_chroma_must_shrink() -> None:
    pixels = np.full((8, 360), 33000, np.uint16)
    angle = np.radians(np.arange(360.0))
    ab = np.broadcast_to(
        np.stack((150 * np.cos(angle), 150 * np.sin(angle)), axis=-1)[None], (8, 360, 2)
    )
    result = rgb_to_lab(merge_ab(pixels, ab.astype(np.float32)))
    turn = np.degrees(np.arctan2(result[0, :, 2], result[0, :, 1])) - np.arange(360)
    assert np.abs((turn + 180) % 360 - 180).max() < 0.3


def test_the_rgb_of_the_original_does_not_matter_only_its_luminance() -> None:
    pixels = _photo(40, 50, np.uint16, 3)
    result = rgb_to_lab(merge_ab(pixels, np.zeros((2, 2, 2), np.float32)))
    assert np.abs(result[..., 1:]).max() < 0.05


def test_same_bytes_for_any_number_of_threads() -> None:
    pixels, ab = _photo(300, 400, channels=3), _ab()
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        expected = merge_ab(pixels, ab)
        cv2.setNumThreads(4)
        with ThreadPoolExecutor(4) as pool:
            for result in pool.map(lambda _: merge_ab(pixels, ab), range(8)):
                np.testing.assert_array_equal(result, expected)
    finally:
        cv2.setNumThreads(before)


def test_nothing_above_the_knee_escapes_compression(monkeypatch: pytest.MonkeyPatch) -> None:
    # The cells' intervals are a short cut: looking at every pixel gives the same picture.
    for seed, spread in ((0, 8), (1, 20), (2, 45)):
        ab = cv2.GaussianBlur(_ab(24, 32, spread * 3, seed), (0, 0), 1)
        pixels = _photo(480, 640)
        fast = merge_ab(pixels, ab)
        with monkeypatch.context() as patch:
            patch.setattr(merge, "_Calm", NeverCalm)
            slow = merge_ab(pixels, ab)
        assert (fast != slow).mean() < 2e-4
        assert np.abs(fast.astype(int) - slow).max() <= 3


def test_writes_into_out_which_may_be_the_photo() -> None:
    pixels, ab = _photo(90, 80, channels=3), _ab()
    expected = merge_ab(pixels, ab)
    out = np.empty_like(pixels)
    assert merge_ab(pixels, ab, out=out) is out
    np.testing.assert_array_equal(out, expected)
    merge_ab(pixels, ab, out=pixels)
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [0, 3])
def test_blue_may_come_first_in_memory(channels: int, dtype: type) -> None:
    pixels, ab = _photo(90, 80, dtype, channels), _ab()
    expected = merge_ab(pixels, ab)
    assert (expected[..., 0] != expected[..., 2]).any()
    memory = np.empty(expected.shape, dtype)
    np.testing.assert_array_equal(merge_ab(pixels, ab, out=memory[..., ::-1]), expected)
    np.testing.assert_array_equal(memory, expected[..., ::-1])
    if channels == 3:
        merge_ab(pixels, ab, out=pixels[..., ::-1])  # over the photo itself
        np.testing.assert_array_equal(pixels, expected[..., ::-1])


def test_a_gray_photo_stored_as_rgb_may_be_written_in_place() -> None:
    gray, ab = _photo(90, 80), _ab()
    pixels = np.repeat(gray[..., None], 3, axis=2)
    merge_ab(pixels, ab, out=pixels)
    np.testing.assert_array_equal(pixels, merge_ab(gray, ab))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ab": np.zeros((3, 3), np.float32)}, "ab must be"),
        ({"ab": np.zeros((0, 3, 2), np.float32)}, "ab must be"),
        ({"ab": np.full((3, 3, 2), np.nan, np.float32)}, "finite"),
        ({"saturation": -1.0}, "saturation"),
        ({"saturation": float("nan")}, "saturation"),
        ({"out": np.zeros((9, 9), np.uint8)}, "out must be"),
        ({"out": np.zeros((9, 9, 3), np.uint16)}, "out must be"),
        ({"pixels": np.zeros((9, 9), np.float32)}, "pixels must be"),
    ],
)
def test_wrong_arguments_are_refused(change: dict, message: str) -> None:
    arguments = {"pixels": np.zeros((9, 9), np.uint8), "ab": np.zeros((3, 3, 2), np.float32)}
    arguments |= change
    with pytest.raises(ValueError, match=message):
        merge_ab(arguments.pop("pixels"), arguments.pop("ab"), **arguments)


@pytest.mark.parametrize("times", [2, 10])
def test_upsampling_reproduces_slopes_exactly(times: int) -> None:
    small = np.add.outer(np.arange(12.0), 3 * np.arange(9.0))[..., None].astype(np.float32)
    height, width = 12 * times, 9 * times
    large = Upsampler(small, (height, width)).rows(0, height)[0]
    y, x = (np.arange(height) + 0.5) / times - 0.5, (np.arange(width) + 0.5) / times - 0.5
    inner = slice(2 * times, -2 * times)
    expected = np.add.outer(y, 3 * x)[inner, inner]
    np.testing.assert_allclose(large[inner, inner], expected, atol=1e-4)


@pytest.mark.parametrize("times", [2, 10])
def test_upsampling_gives_any_rows_the_same_bits(times: int) -> None:
    small = np.random.default_rng(0).random((7, 9, 2), dtype=np.float32)
    upsampler = Upsampler(small, (7 * times, 9 * times))
    whole = upsampler.rows(0, 7 * times)
    for top, bottom in ((0, 1), (3, 5), (6, 7 * times)):
        np.testing.assert_array_equal(upsampler.rows(top, bottom), whole[:, top:bottom])


def test_upsampling_is_keys_cubic() -> None:
    rng = np.random.default_rng(0)
    small = rng.random((1, 8, 1), dtype=np.float32)
    large = Upsampler(small, (1, 80)).rows(0, 1)[0, 0]
    at = 37  # of the picture: 3.25 of the map
    t, (p0, p1, p2, p3) = 0.25, small[0, 2:6, 0]
    expected = 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    assert large[at] == pytest.approx(expected, abs=1e-6)


def test_upsampling_to_the_same_or_a_smaller_size() -> None:
    small = np.random.default_rng(0).random((6, 8, 2), dtype=np.float32)
    same = Upsampler(small, (6, 8)).rows(0, 6)
    np.testing.assert_array_equal(same, small.transpose(2, 0, 1))
    mean = Upsampler(small, (1, 1)).rows(0, 1)
    np.testing.assert_allclose(mean[:, 0, 0], small.mean(axis=(0, 1)), atol=1e-6)
