"""A photograph's own luminance + a small ab map -> a full-size colour photograph.

One pass over parts that stay in the cache: f(Y) and Y of the original by table, ab stretched over
the part, chroma brought into the gamut where a pixel may need it, the cubes of Lab -> XYZ, one
matrix, sRGB by table. Nothing of the picture's size is held but the result.

This is written down twice: here, in NumPy, for strips of rows; and in `strip.c`, four times as fast
and optional. The tests hold both to the same promises, and to each other.

Whether a pixel may need it is asked once for a cell of the map, as an interval of lightness within
which all of the cell is below the knee of `gamut.py`: two comparisons of the pixel's own value.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.color.compiled import CompiledMerge, compiled_merge
from recolor_cli.color.curves import (
    Floats,
    Pixels,
    Workspace,
    check_pixels,
    f_to_pixels,
    lookup,
    luminance_index,
    reading,
    writing,
)
from recolor_cli.color.gamut import (
    KNEE,
    LIGHTNESS_STEPS,
    SIDE,
    calm_lightness,
    chroma_scale,
    chroma_table,
)
from recolor_cli.color.lab import gray_plane, strips
from recolor_cli.color.upsample import Upsampler, fitted, places

STRIP_PIXELS = 64_000
SAMPLES = 2  # of the colour's range, for each pixel of the map along each axis
CHUNK = 8192  # pixels compressed at a time: a dozen planes of them in the cache
DENSE = 0.5  # of a strip; where more may need compression, all of it goes through


def merge_ab(
    pixels: Pixels, ab: Floats, *, saturation: float = 1.0, out: Pixels | None = None
) -> Pixels:
    """Colour a photograph: its luminance is kept at full size and depth, ab comes from a small map.

    ab is stretched by cubic convolution, multiplied by `saturation`, and compressed into sRGB at
    constant hue and lightness. The same bytes whatever the strips and threads; NumPy and the
    compiled merge differ by rounding, where `compiled.merge_state` says which one it is.

    Args:
        pixels: (H, W) grey or (H, W, 3) RGB (its own chroma is dropped), uint8 or uint16.
        ab: (h, w, 2) float32, Lab units, covering exactly the picture's extent, same orientation.
        saturation: factor on chroma before it is compressed; 0 gives grey.
        out: (H, W, 3) of the pixels' dtype to write into, C-contiguous, or a view from the end
            (`memory[..., ::-1]`: as OpenCV encodes it, blue first); may be `pixels` itself.

    Returns:
        RGB (H, W, 3), the dtype of pixels; `out` if given.

    Raises:
        ValueError: wrong shapes or dtypes, ab that is not finite, or a negative saturation.
    """
    check_pixels(pixels)
    out = _checked_out(pixels, out)
    source = gray_plane(pixels)
    f_steps = _f_steps(ab, saturation)
    compiled = compiled_merge()
    if compiled is None:
        _merge_strips(source, f_steps, out)
    else:
        _merge_compiled(compiled, source, f_steps, out)
    return out


def _merge_compiled(compiled: CompiledMerge, source: Pixels, f_steps: Floats, out: Pixels) -> None:
    height, width = source.shape[:2]
    calm = _Calm(f_steps, source)
    small = fitted(f_steps, (height, width))
    h, w, _ = small.shape
    row_cell, row_keys = places(h, height)
    column_cell, column_keys = places(w, width)
    blue_first = not out.flags.c_contiguous
    compiled(
        source,
        out[..., ::-1] if blue_first else out,
        **reading(source),
        **writing(out, blue_first=blue_first),
        steps=np.ascontiguousarray(small.transpose(2, 0, 1)),
        map_height=h,
        map_width=w,
        row_cell=row_cell,
        row_keys=row_keys,
        column_start=np.searchsorted(column_cell, np.arange(-1, w + 1)).astype(np.int64),
        column_keys=np.ascontiguousarray(column_keys.T),
        low=calm.low.astype(np.uint16),
        count=calm.count.astype(np.uint16),
        calm_row=calm.row,
        calm_column=calm.column,
        calm_width=calm.low.shape[1],
        chroma=chroma_table(),
        lightness_steps=LIGHTNESS_STEPS,
        side=SIDE,
        knee=KNEE,
    )


def _merge_strips(source: Pixels, f_steps: Floats, out: Pixels) -> None:
    upsampler = Upsampler(f_steps, source.shape[:2])
    calm = _Calm(f_steps, source)
    work = Workspace()
    for rows in strips(source, STRIP_PIXELS):
        index, (f_table, y_table) = luminance_index(source[rows])
        shape = index.shape
        fy = lookup(f_table, index, work.get("fy", shape))
        f_xz = upsampler.rows(rows.start, rows.stop, work.get("f_xz", (2, *shape)))
        spot = calm.outside(index, rows)
        if len(spot):
            _compress(fy, f_xz, spot)
        y = lookup(y_table, index, work.get("y", shape))
        f_to_pixels(fy, y, f_xz, out[rows], work)


class _Calm:
    """For each part of a picture the values between which no pixel needs compression.

    Args:
        f_steps: As of `_f_steps`.
        source: (H, W) grey or (H, W, 3).

    Attributes:
        low: For each cell the first value, as a number of `luminance_index`.
        count: And how many.
        row: (H,) the cells' row of a row of the picture.
        column: (W,) the same of columns.
    """

    def __init__(self, f_steps: Floats, source: Pixels) -> None:
        height, width = source.shape[:2]
        h, w = (
            min(SAMPLES * small, large)
            for small, large in zip(f_steps.shape, (height, width), strict=False)
        )
        x, z = Upsampler(f_steps, (h, w)).rows(0, h)
        low, high = calm_lightness(x * np.float32(500), z * np.float32(-200))
        # Between two samples a colour lies between theirs, but for the margin.
        around = np.ones((3, 3), np.uint8)
        low, high = np.asarray(cv2.dilate(low, around)), np.asarray(cv2.erode(high, around))
        _, (f_table, _) = luminance_index(source[:1, :1])
        kind = np.uint8 if len(f_table) == 256 else np.uint16
        # The steps as values of pixels: the first one at or above, the last one at or below.
        f = (np.linspace(0, 100, LIGHTNESS_STEPS + 1) + 16) / 116
        first = np.searchsorted(f_table, f).astype(np.int32).take(low)
        last = (np.searchsorted(f_table, f, side="right") - 1).astype(np.int32).take(high)
        # Black and white are never calm: the numbers of the calm ones fit into their type.
        count = np.where((low > high) | (first > last), 0, last - first + 1)
        self.low: NDArray[Any] = np.minimum(first, len(f_table) - 1).astype(kind)
        self.count: NDArray[Any] = count.astype(kind)
        self.row = np.arange(height, dtype=np.int64) * h // height
        self.column = np.arange(width, dtype=np.int64) * w // width

    def outside(self, index: Pixels, rows: slice) -> NDArray[np.intp]:
        """Flat positions, within a strip, of pixels that may have to be compressed."""
        outside = np.empty(index.shape, bool)
        numbers = self.row[rows]
        top = 0
        while top < len(numbers):
            bottom = int(np.searchsorted(numbers, numbers[top], side="right"))
            low = self.low[numbers[top]].take(self.column)
            count = self.count[numbers[top]].take(self.column)
            # Unsigned numbers: what is below `low` wraps to the largest ones.
            np.greater_equal(np.subtract(index[top:bottom], low), count, out=outside[top:bottom])
            top = bottom
        return np.flatnonzero(outside)


def _compress(fy: Floats, f_xz: Floats, spot: NDArray[np.intp]) -> None:
    """Bring the steps of the pixels at `spot` of a strip into the gamut."""
    fy, x, z = (plane.reshape(-1) for plane in (fy, *f_xz))
    dense = len(spot) > DENSE * fy.size
    for start in range(0, fy.size if dense else len(spot), CHUNK):
        part = slice(start, start + CHUNK)
        where: Any = part if dense else spot[part]
        lightness = fy[where] * np.float32(116)
        lightness -= np.float32(16)
        scale = chroma_scale(lightness, x[where] * np.float32(500), z[where] * np.float32(-200))
        x[where] *= scale
        z[where] *= scale


def _f_steps(ab: Floats, saturation: float) -> Floats:
    """What ab adds to f(X) and f(Z): a / 500 and -b / 200, times the saturation."""
    if ab.ndim != 3 or ab.shape[2] != 2 or ab.size == 0:
        raise ValueError(f"ab must be (h, w, 2), got {ab.shape}")
    if not np.isfinite(ab).all():
        raise ValueError("ab must be finite")
    if not 0 <= saturation < np.inf:
        raise ValueError(f"saturation must be 0 or more, got {saturation}")
    return ab.astype(np.float32) * np.array([saturation / 500, -saturation / 200], np.float32)


def _checked_out(pixels: Pixels, out: Pixels | None) -> Pixels:
    shape = (*pixels.shape[:2], 3)
    if out is None:
        return np.empty(shape, pixels.dtype)
    dense = out.flags.c_contiguous or (out.ndim == 3 and out[..., ::-1].flags.c_contiguous)
    if out.shape != shape or out.dtype != pixels.dtype or not dense:
        raise ValueError(f"out must be {shape} {pixels.dtype}, got {out.shape} {out.dtype}")
    return out
