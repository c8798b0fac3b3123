"""Chroma compressed into the sRGB gamut along constant hue and lightness.

A network may ask for a blue that the screen does not have at that lightness. Clipping R, G and B
would change hue and lightness; here a and b are scaled together, towards grey, by a soft knee: a
colour below `KNEE` of the largest chroma of its hue and lightness is left alone, and the rest of
the way is shared by everything above it, in order: C' = K + (1 - K) x / (1 + x) with
x = (C - K) / (1 - K), in units of the largest chroma. The curve and its slope are continuous; the
largest chroma itself is only reached by infinite chroma.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.color.curves import Floats
from recolor_cli.color.lab import lab_to_linear

Steps = NDArray[np.uint8]

KNEE = 0.8  # share of the largest chroma that is left alone
LIGHTNESS_STEPS = 128  # of the table, over L 0..100
_HUE_STEPS = 192  # of the table, half round
SIDE = _HUE_STEPS + 1  # columns of the table for half the hues
_ROW = 512
_CHROMA_LIMIT = 140.0  # above the chroma of every sRGB colour (blue: 133)
_HALVINGS = 16  # of the limit: to 0.002
_TOLERANCE = 1e-6  # of linear light, for the rounding of float32

# Where rays leave the gamut, come back and leave again: light yellow, in a wedge a degree wide.
_WEDGE_ROWS = slice(117, 128)  # of the table: L 91 .. 99.2
_WEDGE_COLUMNS = slice(SIDE + 162, SIDE + 188)  # hues of 94 to 113 degrees
_FINER = 2  # so many samples a step of the table there
_WEDGE_STEP = 4.0  # of chroma; an exit shorter than that is less than 0.0001 of linear light
# Where the largest chroma has a fold that runs between two hues of the table: nearly black blue.
_FOLD_ROWS = slice(1, 6)
_FOLD_COLUMNS = slice(20, 42)


def max_chroma(lightness: Floats, a: Floats, b: Floats) -> Floats:
    """The largest chroma inside sRGB at a lightness 0..100 and the hue of (a, b).

    Args:
        lightness: any shape, 0..100.
        a: same shape; only the hue of (a, b) counts. Grey (0, 0) counts as the hue of red.
        b: same shape.

    Returns:
        Chroma in Lab units, by bilinear look-up in a table over lightness and hue.
    """
    # OpenCV's remap takes pictures with sides under 32767: the values go as rows of one.
    size = math.prod(a.shape)
    shape = (-(-size // _ROW), _ROW)
    row, column = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    np.multiply(lightness.ravel(), np.float32(LIGHTNESS_STEPS / 100), out=row.reshape(-1)[:size])
    column.reshape(-1)[:size] = _hue_column(a.ravel(), b.ravel())
    limit: Any = cv2.remap(
        chroma_table(), column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return limit.reshape(-1)[:size].reshape(a.shape)  # type: ignore[no-any-return]


def calm_lightness(a: Floats, b: Floats, margin: float = 1.0) -> tuple[Steps, Steps]:
    """Between which lightnesses a colour is surely below the knee, even if it is a little off.

    Args:
        a: any shape.
        b: same shape.
        margin: of chroma, in Lab units; the hue may be off by a step of the table.

    Returns:
        The lowest and the highest such lightness, of a's shape, in steps: 0 is black,
        `LIGHTNESS_STEPS` white. Where there is none, the lowest is the higher one.
    """
    low, high = _calm_table()
    row = np.asarray(np.sqrt(a * a + b * b), np.float32)
    row += np.float32(margin + 1)  # cut off below: rounds up
    np.minimum(row, np.float32(len(low) - 1), out=row)
    place = row.astype(np.int32)
    place *= low.shape[1]
    place += (_hue_column(a, b) + np.float32(0.5)).astype(np.int32)
    return low.take(place), high.take(place)


def _hue_column(a: Floats, b: Floats) -> Floats:
    """Where the hue of (a, b) stands in the table, 0 .. 2 * `SIDE` - 1."""
    # Hue is the position on |a| + |b| = 1, two sides (a >= 0, a < 0) of `_HUE_STEPS` steps in b:
    # plain arithmetic, an eighth of the time of arctan2.
    column = np.abs(a)
    column += np.abs(b)
    np.maximum(column, np.float32(1e-12), out=column)
    np.divide(b, column, out=column)
    column += np.float32(1)
    column *= np.float32(_HUE_STEPS / 2)
    column += np.multiply(a < 0, np.float32(SIDE), dtype=np.float32)
    return column


def chroma_scale(lightness: Floats, a: Floats, b: Floats) -> Floats:
    """The factor, 0..1, by which a and b are scaled to lie inside sRGB; 1 below the knee."""
    limit = max_chroma(lightness, a, b)
    # Black and white have limit 0: every colour goes to grey.
    np.maximum(limit, np.float32(1e-9), out=limit)
    share = a * a
    share += b * b
    np.sqrt(share, out=share)
    share /= limit
    np.maximum(share, np.float32(KNEE), out=share)
    # C' / C of the curve above, as one fraction: 1 - (C - K)^2 / (C (C + 1 - 2 K)).
    over = np.subtract(share, np.float32(KNEE), out=limit)
    over *= over
    over /= share
    share += np.float32(1 - 2 * KNEE)
    over /= share
    scale: Floats = np.subtract(np.float32(1), over, out=over)
    return scale


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
def chroma_table() -> Floats:
    """Largest chroma (lightness steps + 1, 2 sides of hue steps + 1); 20 ms to compute.

    By halving, which takes for granted that a ray leaves the gamut once. In light yellow (L 93 to
    98) some leave it, by up to 2.5 % of linear light, come back and leave it for good: red is at
    its top there. They end where they first leave: a yellow as light as that gets less chroma, but
    keeps its lightness. There, and at a fold in nearly black blue, entries are also lowered until
    no look-up between them is outside.
    """
    rows = np.arange(LIGHTNESS_STEPS + 1, dtype=np.float32)
    table = _first_exit(rows, np.arange(2 * SIDE, dtype=np.float32))
    table[_WEDGE_ROWS, _WEDGE_COLUMNS] = _lowered(_WEDGE_ROWS, _WEDGE_COLUMNS)
    table[_FOLD_ROWS, _FOLD_COLUMNS] = _lowered(_FOLD_ROWS, _FOLD_COLUMNS)
    table.setflags(write=False)
    return table


def _lowered(rows: slice, columns: slice) -> Floats:
    """A part of the table, lower where a look-up between its entries would come out too large."""
    fine_rows, fine_columns = _finer(rows), _finer(columns)
    right = _first_exit(fine_rows, fine_columns, start=_WEDGE_STEP)
    x, y = np.meshgrid(fine_columns - fine_columns[0], fine_rows - fine_rows[0])
    entries = right[::_FINER, ::_FINER]
    looked_up = cv2.remap(entries, x, y, cv2.INTER_LINEAR)
    share = np.minimum(right / np.maximum(looked_up, np.float32(1e-9)), np.float32(1))
    # Every sample between four entries is at most their share of what it was.
    share = cv2.erode(share, np.ones((2 * _FINER - 1,) * 2, np.uint8))
    return (entries * share[::_FINER, ::_FINER])[1:-1, 1:-1]


def _finer(part: slice) -> Floats:
    """Rows or columns of the table and those between them, one entry further to both sides."""
    places = np.arange((part.start - 1) * _FINER, part.stop * _FINER + 1, dtype=np.float32)
    places /= np.float32(_FINER)
    return places


def _first_exit(rows: Floats, columns: Floats, start: float = _CHROMA_LIMIT) -> Floats:
    """How far the rays of the table's rows and columns (whole or between) are inside sRGB.

    Args:
        rows: (R,) 0 .. `LIGHTNESS_STEPS`.
        columns: (C,) 0 .. 2 * `SIDE` - 1.
        start: a ray is followed in steps of so much chroma, the last one halved until 0.002.

    Returns:
        Chroma (R, C).
    """
    second = columns >= SIDE
    b = (columns - SIDE * second) * np.float32(2 / _HUE_STEPS) - 1
    a = np.where(second, np.abs(b) - 1, 1 - np.abs(b))
    length = np.hypot(a, b)
    unit_a, unit_b = (a / length).astype(np.float32), (b / length).astype(np.float32)
    lightness = (rows * np.float32(100 / LIGHTNESS_STEPS))[:, None]
    lightness = np.repeat(lightness, len(columns), axis=1)

    def inside(chroma: Floats) -> NDArray[np.bool_]:
        rgb = lab_to_linear(lightness, chroma * unit_a, chroma * unit_b)
        within: NDArray[np.bool_] = rgb.min(axis=0) >= -_TOLERANCE
        within &= rgb.max(axis=0) <= 1 + _TOLERANCE
        return within

    low = np.zeros_like(lightness)
    going = np.ones(low.shape, bool)
    for _ in range(round(_CHROMA_LIMIT / start) - 1):
        going &= inside(low + np.float32(start))
        low += np.float32(start) * going
    step = np.float32(start)
    while step > _CHROMA_LIMIT / 2**_HALVINGS:
        step = step / np.float32(2)
        low += step * inside(low + step)
    low[(rows == 0) | (rows == LIGHTNESS_STEPS)] = 0  # black and white have no chroma
    return low


@lru_cache(maxsize=1)
def _calm_table() -> tuple[Steps, Steps]:
    """Lowest and highest step of L below the knee: (chroma 0 .. `_CHROMA_LIMIT`, hue columns).

    Each column is the narrowest of the hues around it.
    """
    limit = chroma_table() * np.float32(KNEE)
    chroma = np.arange(_CHROMA_LIMIT + 1)
    low = np.empty((len(chroma), limit.shape[1]), np.uint8)
    high = np.empty_like(low)
    for column, line in enumerate(limit.T):
        peak = int(line.argmax())
        # What is below the smallest on the way to the peak is below all of it.
        rising = np.minimum.accumulate(line[peak::-1])[::-1]
        falling = np.minimum.accumulate(line[peak:])
        low[:, column] = np.searchsorted(rising, chroma)
        high[:, column] = peak + np.searchsorted(-falling, -chroma, side="right") - 1
    # Round the circle: up the side of red, down the side of green. An end stands in both.
    circle = np.r_[0:SIDE, 2 * SIDE - 1 : SIDE - 1 : -1]
    for extreme, table in ((np.maximum, low), (np.minimum, high)):
        turned = table[:, circle]
        table[:, circle] = extreme.reduce([np.roll(turned, turn, axis=1) for turn in range(-2, 3)])
    return low, high
