"""Exact sRGB <-> CIE Lab (D65, 2 degree observer) on NumPy pictures, in strips that fit the cache.

OpenCV's own float conversion interpolates a coarse table (0.19 L and 0.47 ab off, greys become
tinted), so the curves here are tables of our own, the arithmetic is plain float32, and a grey pixel
has a = b = 0 exactly. Constants as in scikit-image, with the white point normalised so that
R = G = B is neutral; held to scikit-image in the tests. Every operation works element by element:
results do not depend on how a picture is cut into strips, nor on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]  # (H, W) or (H, W, 3), uint8 or uint16
Floats = NDArray[np.float32]

STRIP_PIXELS = 24_000  # a dozen float planes of a strip stay in a 1 MB cache
INDEX_MAX = 65535  # the largest index of the 16-bit tables

EPSILON = 0.008856  # CIE 15: where the cube root gives way to a line
KAPPA = 7.787
OFFSET = 16.0 / 116.0
F_EPSILON = 0.2068966  # the cube root of EPSILON

_TO_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
# Linear sRGB -> XYZ relative to white. Each row sums to 1, so white is (1, 1, 1) to the last bit.
RGB_TO_XYZ = _TO_XYZ / _TO_XYZ.sum(axis=1, keepdims=True)
XYZ_TO_RGB = np.linalg.inv(RGB_TO_XYZ)


def luminance(pixels: Pixels) -> Floats:
    """L of every pixel.

    Args:
        pixels: (H, W) grey or (H, W, 3) RGB, uint8 or uint16.

    Returns:
        (H, W) float32, 0..100; within 0.002 of scikit-image.

    Raises:
        ValueError: another shape or dtype.
    """
    check_pixels(pixels)
    out = np.empty(pixels.shape[:2], np.float32)
    for rows in strips(pixels):
        _lightness(pixels[rows], out[rows])
    return out


def small_luminance(pixels: Pixels, size: tuple[int, int]) -> Floats:
    """L averaged over equal areas: what a network sees of a photograph.

    Only rows of L are held at full width, never the whole picture.

    Args:
        pixels: (H, W) grey or (H, W, 3) RGB, uint8 or uint16.
        size: (h, w) of the result; an axis that grows is interpolated linearly.

    Returns:
        (h, w) float32, 0..100.

    Raises:
        ValueError: wrong pixels, or a size below 1.
    """
    check_pixels(pixels)
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"size must be at least (1, 1), got {size}")
    rows_out = min(height, pixels.shape[0])
    tall = np.empty((rows_out, pixels.shape[1]), np.float32)
    for row, mean in enumerate(_row_means(pixels, rows_out)):
        tall[row] = mean
    columns_out = min(width, pixels.shape[1])
    small = cv2.resize(tall, (columns_out, rows_out), interpolation=cv2.INTER_AREA)
    if (rows_out, columns_out) != (height, width):
        small = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(small, np.float32).reshape(height, width)


def rgb_to_lab(pixels: Pixels) -> Floats:
    """Lab of every pixel.

    Args:
        pixels: (H, W) grey or (H, W, 3) RGB, uint8 or uint16.

    Returns:
        (H, W, 3) float32: L 0..100, a and b about -110..110; within 0.02 of scikit-image.
    """
    check_pixels(pixels)
    out = np.zeros((*pixels.shape[:2], 3), np.float32)
    if pixels.ndim == 2:
        out[..., 0] = luminance(pixels)
        return out
    for rows in strips(pixels):
        f = _f_of_rgb(pixels[rows])
        out[rows, :, 0] = np.float32(116) * f[1] - np.float32(16)
        out[rows, :, 1] = np.float32(500) * (f[0] - f[1])
        out[rows, :, 2] = np.float32(200) * (f[1] - f[2])
    return out


def lab_to_rgb(lab: Floats, dtype: Any = np.uint8) -> Pixels:
    """Lab -> sRGB; colours outside the gamut are clipped channel by channel (see `gamut.py`).

    Args:
        lab: (H, W, 3) float32.
        dtype: np.uint8 or np.uint16.

    Returns:
        (H, W, 3) RGB of that dtype.
    """
    if lab.ndim != 3 or lab.shape[2] != 3:
        raise ValueError(f"lab must be (H, W, 3), got {lab.shape}")
    out = np.empty(lab.shape, dtype)
    for rows in strips(out):
        strip = lab[rows].astype(np.float32, copy=False)
        rgb = lab_to_linear(strip[..., 0], strip[..., 1], strip[..., 2])
        for channel in rgb:
            np.clip(channel, 0, 1, out=channel)
        encode(rgb, out[rows])
    return out


def lab_to_linear(lightness: Floats, a: Floats, b: Floats) -> list[Floats]:
    """Lab, three arrays of one shape -> linear R, G, B, not clipped: below 0 or above 1 outside."""
    fy = (lightness + np.float32(16)) * np.float32(1 / 116)
    return f_to_linear(fy, cube(fy), a * np.float32(1 / 500), b * np.float32(1 / 200))


def f_to_linear(fy: Floats, y: Floats, a: Floats, b: Floats) -> list[Floats]:
    """Linear R, G, B from f(Y), Y, a / 500 and b / 200: the inner step of Lab -> RGB.

    The matrix acts on X - Y and Z - Y: its rows sum to 1, so greys come out as Y to the last bit.
    """
    x = cube(fy + a)
    x -= y
    z = cube(fy - b)
    z -= y
    rgb = []
    scratch = np.empty_like(x)
    for row in XYZ_TO_RGB:
        channel = x * np.float32(row[0])
        channel += np.multiply(z, np.float32(row[2]), out=scratch)
        channel += y
        rgb.append(channel)
    return rgb


def cube(f: Floats) -> Floats:
    """The inverse of CIE's f: the cube, and below `F_EPSILON` its tangent.

    Without a branch: with m = max(f, F_EPSILON) both parts are m^3 + (f - m) / KAPPA.
    """
    m = np.maximum(f, _floor(f.shape))
    out = m * m
    out -= np.float32(1 / KAPPA)
    out *= m
    m = np.multiply(f, np.float32(1 / KAPPA), out=m)
    out += m
    return out


def encode(rgb: list[Floats], out: Pixels) -> None:
    """Linear R, G, B in 0..1 -> sRGB pixels, rounded, written into out (rows, W, 3)."""
    if out.dtype == np.uint8:
        table = _encode_table8()
        planes = [lookup(table, _index(channel, INDEX_MAX)) for channel in rgb]
    else:
        planes = [_encode16(channel) for channel in rgb]
    cv2.merge(planes, dst=out)


def decode_tables(dtype: Any) -> tuple[Floats, Floats]:
    """For each value of a grey uint8 or uint16 pixel: its f(Y) and its linear light Y."""
    return _gray_tables(_levels(dtype))


def f_of_luminance(y: Floats) -> Floats:
    """f(Y) of linear light 0..1, by a table over sqrt(Y): within 0.002 L of the true curve."""
    f: Floats = lookup(_f_table(), _index(np.sqrt(y), INDEX_MAX))
    return f


def linear_y(pixels: Pixels) -> Floats:
    """Linear light Y, 0..1, of RGB pixels (rows, W, 3)."""
    levels = _levels(pixels.dtype)
    planes = [
        lookup(table, plane)
        for table, plane in zip(_weighted_tables(levels, 1), cv2.split(pixels), strict=True)
    ]
    y: Floats = planes[0]
    y += planes[1]
    y += planes[2]
    return np.minimum(y, np.float32(1), out=y)


def lookup(table: NDArray[Any], index: Pixels) -> Any:
    """table[index] for uint8 and uint16 indices."""
    if index.dtype == np.uint16 and not _lut_takes_16_bits():
        return np.take(table, index)
    return cv2.LUT(np.ascontiguousarray(index), table).reshape(index.shape)


def strips(pixels: Pixels, pixels_each: int | None = None) -> Iterator[slice]:
    """Cut a picture into slices of whole rows of about `STRIP_PIXELS` pixels."""
    height, width = pixels.shape[:2]
    step = max(1, (pixels_each or STRIP_PIXELS) // max(width, 1))
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def check_pixels(pixels: Pixels) -> None:
    """Raise ValueError unless pixels are (H, W) or (H, W, 3), uint8 or uint16, and not empty."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels must be uint8 or uint16, got {pixels.dtype}")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"pixels must be (H, W) or (H, W, 3), got {pixels.shape}")
    if pixels.size == 0:
        raise ValueError(f"pixels must not be empty, got {pixels.shape}")


def _lightness(pixels: Pixels, out: Floats | None = None) -> Floats:
    if pixels.ndim == 2:
        f = lookup(decode_tables(pixels.dtype)[0], pixels)
    else:
        f = f_of_luminance(linear_y(pixels))
    out = np.multiply(f, np.float32(116), out=out)
    return np.subtract(out, np.float32(16), out=out)


def _row_means(pixels: Pixels, count: int) -> Iterator[Floats]:
    """The picture's L, averaged over `count` equal bands of rows: rows (W,) from top to bottom."""
    height = pixels.shape[0]
    band = height / count
    step = max(1, STRIP_PIXELS // pixels.shape[1])
    last, last_row = -1, np.zeros(0, np.float32)  # the row that two bands share
    for number in range(count):
        top, bottom = number * band, (number + 1) * band
        first, end = int(top), min(int(np.ceil(bottom - 1e-9)), height)
        total = np.zeros(pixels.shape[1], np.float32)
        for start in range(first, end, step):
            stop = min(start + step, end)
            begin = start
            if start == last:
                total += last_row * np.float32(min(bottom, start + 1) - top)
                begin = start + 1
            if begin == stop:
                continue
            rows = _lightness(pixels[begin:stop])
            last, last_row = stop - 1, rows[-1].copy()
            share = np.ones(stop - begin, np.float32)
            share[0] -= np.float32(max(top - begin, 0))
            share[-1] -= np.float32(max(stop - bottom, 0))
            if share[0] != 1:
                rows[0] *= share[0]
            if len(rows) > 1 and share[-1] != 1:
                rows[-1] *= share[-1]
            total += rows.sum(axis=0)
        yield total * np.float32(1 / band)


def _f_of_rgb(pixels: Pixels) -> list[Floats]:
    levels = _levels(pixels.dtype)
    channels = cv2.split(pixels)
    out = []
    for row in range(3):
        tables = _weighted_tables(levels, row)
        total = lookup(tables[0], channels[0])
        total += lookup(tables[1], channels[1])
        total += lookup(tables[2], channels[2])
        np.minimum(total, np.float32(1), out=total)
        out.append(f_of_luminance(total))
    return out


def _index(values: Floats, scale: int) -> NDArray[np.uint16]:
    """Round values of 0..1 to a 16-bit table index; overwrites values."""
    values *= np.float32(scale)
    values += np.float32(0.5)
    return values.astype(np.uint16)


def _encode16(linear: Floats) -> NDArray[np.uint16]:
    # 65536 entries over sqrt(linear) and a straight line between them: within 0.02 of 65535.
    position = np.sqrt(linear)
    position *= np.float32(INDEX_MAX)
    index = position.astype(np.uint16)
    value, slope = _encode_table16()
    position -= index
    position *= lookup(slope, index)
    position += lookup(value, index)
    return position.astype(np.uint16)


def _levels(dtype: Any) -> int:
    return 256 if np.dtype(dtype) == np.uint8 else 65536


def _to_linear(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)


def _to_srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(
        linear > 0.0031308, 1.055 * np.maximum(linear, 1e-12) ** (1 / 2.4) - 0.055, 12.92 * linear
    )


def _f(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(xyz > EPSILON, np.cbrt(xyz), KAPPA * xyz + OFFSET)


# The tables: computed in float64 once for a process (a few milliseconds), kept as float32.


@lru_cache(maxsize=2)
def _gray_tables(levels: int) -> tuple[Floats, Floats]:
    linear = _to_linear(np.linspace(0, 1, levels))
    return _f(linear).astype(np.float32), linear.astype(np.float32)


@lru_cache(maxsize=6)
def _weighted_tables(levels: int, row: int) -> list[Floats]:
    linear = _to_linear(np.linspace(0, 1, levels))
    return [(weight * linear).astype(np.float32) for weight in RGB_TO_XYZ[row]]


@lru_cache(maxsize=1)
def _f_table() -> Floats:
    return _f(np.linspace(0, 1, INDEX_MAX + 1) ** 2).astype(np.float32)


@lru_cache(maxsize=1)
def _encode_table8() -> NDArray[np.uint8]:
    return np.rint(_to_srgb(np.linspace(0, 1, INDEX_MAX + 1)) * 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _encode_table16() -> tuple[Floats, Floats]:
    # Half a unit is added so that cutting the fraction off rounds.
    value = _to_srgb(np.linspace(0, 1, INDEX_MAX + 1) ** 2) * 65535 + 0.5
    slope = np.append(np.diff(value), 0)
    return value.astype(np.float32), slope.astype(np.float32)


@lru_cache(maxsize=8)
def _floor(shape: tuple[int, ...]) -> Floats:
    # NumPy takes the maximum of two arrays three times as fast as of an array and a number.
    floor = np.full(shape, F_EPSILON, np.float32)
    floor.setflags(write=False)
    return floor


@lru_cache(maxsize=1)
def _lut_takes_16_bits() -> bool:
    """Whether this OpenCV has 16-bit tables (5.0 has, 4.10 has not); NumPy is as exact, slower."""
    table = np.arange(65536, dtype=np.float32)
    try:
        return bool(cv2.LUT(np.full((1, 1), 65535, np.uint16), table)[0, 0] == 65535)
    except cv2.error:
        return False
