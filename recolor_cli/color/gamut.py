"""Chroma compressed into the sRGB gamut along constant hue and lightness.

A network may ask for a blue that the screen does not have at that lightness. Clipping R, G and B
would change hue and lightness; here a and b are scaled together, towards grey, by a soft knee: a
colour below `KNEE` of the largest chroma of its hue and lightness is left alone, and the rest of
the way is shared by everything above it, in order: C' = K + (1 - K) x / (1 + x) with
x = (C - K) / (1 - K), in units of the largest chroma. The curve and its slope are continuous; the
largest chroma itself is only reached by infinite chroma.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recolor_cli.color.lab import Floats, lab_to_linear

KNEE = 0.8  # share of the largest chroma that is left alone
_LIGHTNESS_STEPS = 256  # of the table, over L 0..100
_HUE_STEPS = 512  # of the table, once round
_CHROMA_LIMIT = 140.0  # above the chroma of every sRGB colour (blue: 133)
_HALVINGS = 18  # of the limit: to 0.0005


def max_chroma(lightness: Floats, a: Floats, b: Floats) -> Floats:
    """The largest chroma inside sRGB at a lightness 0..100 and the hue of (a, b).

    Args:
        lightness: any shape, 0..100.
        a: same shape; only the hue of (a, b) counts. Grey (0, 0) counts as the hue of red.
        b: same shape.

    Returns:
        Chroma in Lab units; a bilinear look-up in a table of 257 lightnesses x 512 hues.
    """
    table = _table()
    row = np.clip(lightness, 0, 100) * np.float32(_LIGHTNESS_STEPS / 100)
    row_index = np.minimum(row.astype(np.int32), _LIGHTNESS_STEPS - 1)
    row -= row_index
    column = _hue(a, b) * np.float32(_HUE_STEPS / 4)
    column_index = np.minimum(column.astype(np.int32), _HUE_STEPS - 1)
    column -= column_index
    corner = (row_index * (_HUE_STEPS + 1) + column_index).astype(np.intp)
    flat = table.reshape(-1)
    upper: Floats = flat[corner]
    upper += (flat[corner + 1] - upper) * column
    corner += _HUE_STEPS + 1
    lower: Floats = flat[corner]
    lower += (flat[corner + 1] - lower) * column
    lower -= upper
    lower *= row
    lower += upper
    return lower


def chroma_scale(lightness: Floats, a: Floats, b: Floats) -> Floats:
    """The factor, 0..1, by which a and b are scaled to lie inside sRGB; 1 below the knee."""
    chroma = np.sqrt(a * a + b * b)
    limit = max_chroma(lightness, a, b)
    # Black and white have limit 0 and only grey may stay: the factor is then 0.
    over = chroma - np.float32(KNEE) * limit
    np.maximum(over, np.float32(0), out=over)
    room = np.float32(1 - KNEE) * limit
    inside = np.float32(KNEE) * limit + room * over / np.maximum(over + room, np.float32(1e-12))
    scale = inside / np.maximum(chroma, np.float32(1e-12))
    return np.where(over > 0, scale, np.float32(1)).astype(np.float32, copy=False)


def compress_chroma(lightness: Floats, a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Bring colours into sRGB at constant lightness and hue.

    Args:
        lightness: any shape, 0..100.
        a: same shape, any range.
        b: same shape, any range.

    Returns:
        The new a and b.
    """
    scale = chroma_scale(lightness, a, b)
    return a * scale, b * scale


def _hue(a: Floats, b: Floats) -> Floats:
    """A monotone stand-in for the hue angle, 0..4 once round: the position on |a| + |b| = 1.

    Plain arithmetic, an eighth of the time of arctan2.
    """
    total = np.abs(a) + np.abs(b)
    hue = b / np.maximum(total, np.float32(1e-12))
    hue = np.where(a < 0, np.float32(2) - hue, hue)
    return np.where(hue < 0, hue + np.float32(4), hue).astype(np.float32, copy=False)


@lru_cache(maxsize=1)
def _table() -> NDArray[np.float32]:
    """Largest chroma (257, 513) over lightness and `_hue`; the last column repeats the first."""
    lightness = np.linspace(0, 100, _LIGHTNESS_STEPS + 1, dtype=np.float32)[:, None]
    hue = np.linspace(0, 4, _HUE_STEPS + 1, dtype=np.float32)
    b = np.where(hue < 1, hue, np.where(hue < 3, 2 - hue, hue - 4))
    a = np.where((hue <= 1) | (hue >= 3), 1 - np.abs(b), np.abs(b) - 1)
    length = np.hypot(a, b)
    a, b = (a / length).astype(np.float32), (b / length).astype(np.float32)
    low = np.zeros((len(lightness), len(hue)), np.float32)
    high = np.full_like(low, _CHROMA_LIMIT)
    shape = low.shape
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rgb = lab_to_linear(np.repeat(lightness, shape[1], axis=1), middle * a, middle * b)
        inside = np.ones(shape, bool)
        for channel in rgb:
            inside &= (channel >= -1e-6) & (channel <= 1 + 1e-6)
        low = np.where(inside, middle, low)
        high = np.where(inside, high, middle)
    low[[0, -1]] = 0
    low[:, -1] = low[:, 0]
    return low
