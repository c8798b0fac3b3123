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

from recolor_cli.color.curves import Floats
from recolor_cli.color.lab import lab_to_linear

KNEE = 0.8  # share of the largest chroma that is left alone
_LIGHTNESS_STEPS = 128  # of the table, over L 0..100
_HUE_STEPS = 192  # of the table, half round
_CHROMA_LIMIT = 140.0  # above the chroma of every sRGB colour (blue: 133)
_HALVINGS = 16  # of the limit: to 0.002
_TOLERANCE = 1e-6  # of linear light, for the rounding of float32


def max_chroma(lightness: Floats, a: Floats, b: Floats) -> Floats:
    """The largest chroma inside sRGB at a lightness 0..100 and the hue of (a, b).

    Args:
        lightness: any shape, 0..100.
        a: same shape; only the hue of (a, b) counts. Grey (0, 0) counts as the hue of red.
        b: same shape.

    Returns:
        Chroma in Lab units, by bilinear look-up in a table over lightness and hue.
    """
    # Hue is the position on |a| + |b| = 1, two sides (a >= 0, a < 0) of `_HUE_STEPS` steps in b:
    # plain arithmetic, an eighth of the time of arctan2.
    column = np.abs(a)
    column += np.abs(b)
    np.maximum(column, np.float32(1e-12), out=column)
    np.divide(b, column, out=column)
    column += np.float32(1)
    column *= np.float32(_HUE_STEPS / 2)
    row = lightness * np.float32(_LIGHTNESS_STEPS / 100)
    corner = np.clip(row.astype(np.int32), 0, _LIGHTNESS_STEPS - 1)
    row -= corner
    column_index = np.minimum(column.astype(np.int32), _HUE_STEPS - 1)
    column -= column_index
    corner *= 2
    corner += a < 0
    corner *= _HUE_STEPS + 1
    corner += column_index
    table = _table()
    below = _between(table, corner, column)
    corner += 2 * (_HUE_STEPS + 1)
    above = _between(table, corner, column)
    above -= below
    above *= row
    above += below
    return np.maximum(above, np.float32(0), out=above)


def _between(table: Floats, index: NDArray[np.int32], share: Floats) -> Floats:
    left: Floats = table.take(index)
    right: Floats = table.take(index + 1)
    right -= left
    right *= share
    right += left
    return right


def chroma_scale(lightness: Floats, a: Floats, b: Floats) -> Floats:
    """The factor, 0..1, by which a and b are scaled to lie inside sRGB; 1 below the knee."""
    limit = max_chroma(lightness, a, b)
    chroma = a * a
    chroma += b * b
    np.sqrt(chroma, out=chroma)
    # over / (over + room) is x / (1 + x). Black and white have limit 0: every colour goes to grey.
    over = chroma - limit * np.float32(KNEE)
    np.maximum(over, np.float32(0), out=over)
    room = limit * np.float32(1 - KNEE)
    inside = over + room
    np.maximum(inside, np.float32(1e-12), out=inside)
    np.divide(over, inside, out=inside)
    inside *= room
    inside += limit * np.float32(KNEE)
    np.maximum(chroma, np.float32(1e-12), out=chroma)
    inside /= chroma
    return np.where(over > 0, inside, np.float32(1))


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


@lru_cache(maxsize=1)
def _table() -> Floats:
    """Largest chroma (lightness steps + 1, 2 sides, hue steps + 1), flat; 15 ms to compute.

    By halving, as if no ray left the gamut twice. One does, in yellow at L 96, by half a percent of
    linear light: less than a step of 8 bits, so it is not worth a search.
    """
    b = np.linspace(-1, 1, _HUE_STEPS + 1)
    a = np.stack((1 - np.abs(b), np.abs(b) - 1))
    length = np.hypot(a, b)
    unit_a, unit_b = (
        (a / length).astype(np.float32).ravel(),
        (b / length).astype(np.float32).ravel(),
    )
    shape = (_LIGHTNESS_STEPS - 1, unit_a.size)  # black and white have no chroma
    lightness = np.linspace(0, 100, _LIGHTNESS_STEPS + 1, dtype=np.float32)[1:-1, None]
    lightness = np.broadcast_to(lightness, shape)
    low = np.zeros(shape, np.float32)
    step = np.float32(_CHROMA_LIMIT)
    for _ in range(_HALVINGS):
        step = step / np.float32(2)
        middle = low + step
        rgb = lab_to_linear(lightness, middle * unit_a, middle * unit_b)
        inside = (rgb.min(axis=0) >= -_TOLERANCE) & (rgb.max(axis=0) <= 1 + _TOLERANCE)
        low += step * inside
    edge = np.zeros((1, shape[1]), np.float32)
    table: Floats = np.concatenate((edge, low, edge)).ravel()
    table.setflags(write=False)
    return table
