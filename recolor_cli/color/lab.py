"""Exact sRGB <-> CIE Lab (D65, 2 degree observer) on NumPy pictures, in strips that fit the cache.

OpenCV's own float conversion interpolates a coarse table (0.19 L and 0.47 ab off, greys become
tinted), so this one goes through the tables of `curves.py`: held to scikit-image in the tests, and
a grey pixel has a = b = 0 exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from recolor_cli.color.compiled import compiled_merge
from recolor_cli.color.curves import (
    Floats,
    Pixels,
    check_pixels,
    cube,
    encode,
    f_of_linear,
    f_to_linear,
    lightness_of_gray,
    linear_xyz,
    reading,
    white_of,
)

STRIP_PIXELS = 24_000  # the float planes of a strip stay in a 1 MB cache


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
    source = gray_plane(pixels)
    for rows in strips(pixels):
        _lightness(source[rows], out[rows])
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
    rows_out, columns_out = min(height, pixels.shape[0]), min(width, pixels.shape[1])
    source = gray_plane(pixels)
    compiled = compiled_merge()
    if compiled is None:
        tall = np.stack(list(_row_means(source, rows_out)))
        small = cv2.resize(tall, (columns_out, rows_out), interpolation=cv2.INTER_AREA)
    else:  # means of f are as good: L = 116 f - 16
        tall = compiled.bands(source, rows_out, **reading(source))
        small = cv2.resize(tall, (columns_out, rows_out), interpolation=cv2.INTER_AREA)
        small = np.float32(116) * np.asarray(small) - np.float32(16)
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
    if gray_plane(pixels).ndim == 2:
        out[..., 0] = luminance(pixels)
        return out
    for rows in strips(pixels):
        f = [f_of_linear(linear_xyz(pixels[rows], channel)) for channel in range(3)]
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
        np.clip(rgb, 0, 1, out=rgb)
        rgb *= np.float32(white_of(dtype))
        encode(rgb, out[rows])
    return out


def lab_to_linear(lightness: Floats, a: Floats, b: Floats) -> Floats:
    """Lab, three arrays of one shape -> linear R, G, B (3, *shape); not in 0..1 outside sRGB."""
    fy = (lightness + np.float32(16)) * np.float32(1 / 116)
    f_steps = np.stack((a * np.float32(1 / 500), b * np.float32(-1 / 200)))
    return f_to_linear(fy, cube(fy), f_steps)


def gray_plane(pixels: Pixels) -> Pixels:
    """One channel (H, W), a view, where all three are equal everywhere; else the pixels as given.

    Most scans stored as RGB are grey, and one channel is a third of the work.
    """
    if pixels.ndim == 2:
        return pixels
    compiled = compiled_merge()
    is_gray = compiled.is_gray(pixels) if compiled else None
    if is_gray is not None:
        return pixels[..., 0] if is_gray else pixels
    for rows in strips(pixels):
        red, green, blue = cv2.split(pixels[rows])
        if not (np.array_equal(red, green) and np.array_equal(green, blue)):
            return pixels
    return pixels[..., 0]


def strips(pixels: Pixels, pixels_each: int | None = None) -> Iterator[slice]:
    """Cut a picture into slices of whole rows, each of about so many pixels."""
    height, width = pixels.shape[:2]
    step = max(1, (pixels_each or STRIP_PIXELS) // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def _lightness(pixels: Pixels, out: Floats | None = None) -> Floats:
    if pixels.ndim == 2:
        return lightness_of_gray(pixels, out)
    f = f_of_linear(linear_xyz(pixels, 1))
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
