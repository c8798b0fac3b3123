"""TIFF pages are read as they are meant, in every layout that photographs come in."""

from __future__ import annotations

import io

import numpy as np
import photo_factory as factory
import pytest
import tifffile

from recolor_cli.errors import PhotoError
from recolor_cli.images.read import read_photo

GRAY8, GRAY16 = factory.gray_pixels(), factory.gray_pixels(dtype=np.uint16)
COLOR8, COLOR16 = factory.color_pixels(), factory.color_pixels(dtype=np.uint16)
ALPHA8, ALPHA16 = factory.alpha_pixels(), factory.alpha_pixels(dtype=np.uint16)

# TIFF layouts that the decoders behind us get wrong when they are simply trusted.


def _tiff(array: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, array, **options)
    return out.getvalue()


def _with_alpha(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, alpha])


BLACK, RGB = {"photometric": "minisblack"}, {"photometric": "rgb"}
LAYOUTS = {
    "white is zero, 8 bits": (255 - GRAY8, {"photometric": "miniswhite"}, GRAY8, None),
    "white is zero, 16 bits": (65535 - GRAY16, {"photometric": "miniswhite"}, GRAY16, None),
    "big-endian grey": (GRAY16, {**BLACK, "byteorder": ">"}, GRAY16, None),
    "big-endian colour": (COLOR16, {**RGB, "byteorder": ">"}, COLOR16, None),
    "big-endian, turned": (
        COLOR16,
        {**RGB, "byteorder": ">", "extratags": [(274, 3, 1, 6, True)]},
        COLOR16,
        None,
    ),
    "planes, 8 bits": (
        COLOR8.transpose(2, 0, 1).copy(),
        {**RGB, "planarconfig": "separate"},
        COLOR8,
        None,
    ),
    "planes, 16 bits": (
        COLOR16.transpose(2, 0, 1).copy(),
        {**RGB, "planarconfig": "separate"},
        COLOR16,
        None,
    ),
    "planes, 16 bits, deflate with differences, big-endian": (
        COLOR16.transpose(2, 0, 1).copy(),
        {**RGB, "planarconfig": "separate", "compression": "zlib", "predictor": True,
         "byteorder": ">"},
        COLOR16,
        None,
    ),
    "tiles, 8 bits": (COLOR8, {**RGB, "tile": (16, 16)}, COLOR8, None),
    "tiles, 16 bits": (COLOR16, {**RGB, "tile": (16, 16)}, COLOR16, None),
    "alpha, 8 bits": (
        _with_alpha(COLOR8, ALPHA8), {**RGB, "extrasamples": ["unassalpha"]}, COLOR8, ALPHA8,
    ),
    "alpha, 16 bits": (
        _with_alpha(COLOR16, ALPHA16), {**RGB, "extrasamples": ["unassalpha"]}, COLOR16, ALPHA16,
    ),
    "grey and alpha, 8 bits": (
        _with_alpha(GRAY8, ALPHA8), {**BLACK, "extrasamples": ["unassalpha"]}, GRAY8, ALPHA8,
    ),
    "grey and alpha, 16 bits": (
        _with_alpha(GRAY16, ALPHA16), {**BLACK, "extrasamples": ["unassalpha"]}, GRAY16, ALPHA16,
    ),
    "grey and alpha, 16 bits, deflate with differences": (
        _with_alpha(GRAY16, ALPHA16),
        {**BLACK, "extrasamples": ["unassalpha"], "compression": "zlib", "predictor": True},
        GRAY16,
        ALPHA16,
    ),
    "bigtiff": (COLOR16, {**RGB, "bigtiff": True}, COLOR16, None),
    "deflate with differences": (
        COLOR16, {**RGB, "compression": "zlib", "predictor": True}, COLOR16, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_tiff_layouts(name: str) -> None:
    stored, options, pixels, alpha = LAYOUTS[name]
    photo = read_photo(_tiff(stored, **options))
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.pixels.dtype == pixels.dtype
    if alpha is None:
        assert photo.alpha is None
    else:
        np.testing.assert_array_equal(photo.alpha, alpha)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "pixels", [GRAY8, COLOR8, GRAY16, COLOR16], ids=["l8", "rgb8", "l16", "rgb16"]
)
def test_tiff_pixels_stay_unturned(orientation: int, pixels: np.ndarray) -> None:
    kind = BLACK if pixels.ndim == 2 else RGB
    photo = read_photo(_tiff(pixels, **kind, extratags=[(274, 3, 1, orientation, True)]))
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.orientation == orientation


def test_every_page_of_a_tiff_is_read() -> None:
    photo = read_photo(factory.multipage_tiff(4))
    assert [frame.pixels.shape for frame in photo.frames] == [(40 + 8 * k, 64) for k in range(4)]
    for k, frame in enumerate(photo.frames):
        np.testing.assert_array_equal(frame.pixels, factory.gray_pixels(40 + 8 * k, 64, seed=k))


def test_pages_in_a_circle_are_refused() -> None:
    data = bytearray(factory.multipage_tiff(1))
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * count : first + 6 + 12 * count] = data[4:8]
    with pytest.raises(PhotoError, match="circle"):
        read_photo(bytes(data))
