"""A photograph's own luminance + a small ab map -> a full-size colour photograph.

One pass over strips that stay in the cache: f(Y) and Y of the original by table, ab stretched over
the strip, the cubes of Lab -> XYZ, one matrix, chroma brought into the gamut where a pixel needs
it, sRGB by table. Nothing of the picture's size is held but the result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recolor_cli.color.curves import (
    Floats,
    Pixels,
    Workspace,
    check_pixels,
    encode,
    f_and_y,
    f_to_linear,
    white_of,
)
from recolor_cli.color.gamut import chroma_scale
from recolor_cli.color.lab import gray_plane, strips
from recolor_cli.color.upsample import Upsampler

STRIP_PIXELS = 48_000  # fewer and longer strips than this leave a 1 MB cache, more cost calls

# A pixel with less chroma than the knee of `gamut.py` is left alone and need not be looked up. Its
# linear R, G, B (grey: all equal to Y) stay within these bounds at every lightness and hue; a test
# computes them.
LOWEST_RED = 0.30  # times Y
LOWEST_GREEN_BLUE = 0.26  # times Y
HIGHEST_BLUE = 3.0  # times Y: dark violets reach the wall there first
HIGHEST_RISE = 0.66  # of the way from Y to 1


def merge_ab(
    pixels: Pixels, ab: Floats, *, saturation: float = 1.0, out: Pixels | None = None
) -> Pixels:
    """Colour a photograph: its luminance is kept at full size and depth, ab comes from a small map.

    ab is stretched by cubic convolution, multiplied by `saturation`, and compressed into sRGB at
    constant hue and lightness. The same bytes whatever the strips and threads.

    Args:
        pixels: (H, W) grey or (H, W, 3) RGB (its own chroma is dropped), uint8 or uint16.
        ab: (h, w, 2) float32, Lab units, covering exactly the picture's extent, same orientation.
        saturation: factor on chroma before it is compressed; 0 gives grey.
        out: (H, W, 3) of the pixels' dtype, C-contiguous, to write into; may be `pixels` itself.

    Returns:
        RGB (H, W, 3), the dtype of pixels; `out` if given.

    Raises:
        ValueError: wrong shapes or dtypes, ab that is not finite, or a negative saturation.
    """
    check_pixels(pixels)
    out = _checked_out(pixels, out)
    steps = Upsampler(_f_steps(ab, saturation), pixels.shape[:2])
    white = white_of(pixels.dtype)
    work = Workspace()
    source = gray_plane(pixels)
    for rows in strips(pixels, STRIP_PIXELS):
        fy, y = f_and_y(source[rows])
        f_xz = steps.rows(rows.start, rows.stop, work.get("f_xz", (2, *fy.shape)))
        rgb = f_to_linear(fy, y, f_xz, white=white, work=work)
        spot = _far_from_gray(rgb, y, white, work)
        if len(spot):
            _compress(rgb, fy, y, f_xz, spot, white)
        encode(rgb, out[rows])
    return out


def _far_from_gray(rgb: Floats, y: Floats, white: float, work: Workspace) -> NDArray[np.intp]:
    """Flat positions, within the strip, of pixels that may have more chroma than the knee."""
    red, green, blue = rgb
    bound, extreme = work.get("bound", y.shape), work.get("extreme", y.shape)
    far = red < np.multiply(y, np.float32(white * LOWEST_RED), out=bound)
    far |= blue > np.multiply(y, np.float32(white * HIGHEST_BLUE), out=bound)
    np.minimum(green, blue, out=extreme)
    far |= extreme < np.multiply(y, np.float32(white * LOWEST_GREEN_BLUE), out=bound)
    np.maximum(green, blue, out=extreme)
    np.maximum(extreme, red, out=extreme)
    np.multiply(y, np.float32(white * (1 - HIGHEST_RISE)), out=bound)
    bound += np.float32(white * HIGHEST_RISE)
    far |= extreme > bound
    return np.flatnonzero(far)


def _compress(
    rgb: Floats, fy: Floats, y: Floats, f_xz: Floats, spot: NDArray[np.intp], white: float
) -> None:
    """Bring the pixels at `spot` of a strip into the gamut."""
    center = fy.take(spot)
    step = np.stack([plane.take(spot) for plane in f_xz])
    step -= center
    lightness = center * np.float32(116)
    lightness -= np.float32(16)
    scale = chroma_scale(lightness, step[0] * np.float32(500), step[1] * np.float32(-200))
    over = np.flatnonzero(scale < 1)
    if not len(over):
        return
    spot = spot[over]
    inside = f_to_linear(center[over], y.take(spot), step[:, over] * scale[over], white=white)
    np.clip(inside, 0, white, out=inside)
    for plane, values in zip(rgb, inside, strict=True):
        plane.reshape(-1)[spot] = values


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
    if out.shape != shape or out.dtype != pixels.dtype or not out.flags.c_contiguous:
        raise ValueError(f"out must be {shape} {pixels.dtype}, got {out.shape} {out.dtype}")
    return out
