"""A photograph's own luminance + a small ab map -> a full-size colour photograph.

One pass over strips that stay in the cache: f(Y) and Y of the original by table, ab stretched over
the strip, the cubes of Lab -> XYZ, one matrix, chroma brought into the gamut where a pixel needs
it, sRGB by table. Nothing of the picture's size is held but the result.
"""

from __future__ import annotations

import numpy as np

from recolor_cli.color.gamut import chroma_scale
from recolor_cli.color.lab import (
    Floats,
    Pixels,
    check_pixels,
    decode_tables,
    encode,
    f_of_luminance,
    f_to_linear,
    linear_y,
    lookup,
    strips,
)
from recolor_cli.color.upsample import Upsampler

# A pixel whose linear R, G, B all lie within this share of the way from grey to the gamut's wall
# has less chroma than the knee of `gamut.py` at every lightness and hue (a test computes the
# bound, 0.44): its scale is 1 and need not be looked up.
SAFE_SHARE = 0.42


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
    chroma = Upsampler(_checked_ab(ab, saturation), pixels.shape[:2])
    for rows in strips(pixels):
        fy, y = _f_and_y(pixels[rows])
        planes = chroma.rows(rows.start, rows.stop)
        encode(_colored(fy, y, planes[:, 0], planes[:, 1]), out[rows])
    return out


def _colored(fy: Floats, y: Floats, a: Floats, b: Floats) -> list[Floats]:
    """Linear R, G, B inside the gamut, from f(Y), Y, a / 500 and b / 200."""
    rgb = f_to_linear(fy, y, a, b)
    spot = _far_from_gray(rgb, y)
    if len(spot):
        fy, y, a, b = (plane.reshape(-1)[spot] for plane in (fy, y, a, b))
        scale = chroma_scale(fy * np.float32(116) - np.float32(16), a * 500, b * 200)
        inside = f_to_linear(fy, y, a * scale, b * scale)
        for channel, values in zip(rgb, inside, strict=True):
            channel.reshape(-1)[spot] = np.clip(values, 0, 1)
    return rgb


def _far_from_gray(rgb: list[Floats], y: Floats) -> np.ndarray:
    """Flat positions of the pixels that may have more chroma than the knee."""
    red, green, blue = rgb
    extreme = np.minimum(red, green)
    np.minimum(extreme, blue, out=extreme)
    bound = y * np.float32(1 - SAFE_SHARE)
    far = extreme < bound
    np.maximum(red, green, out=extreme)
    np.maximum(extreme, blue, out=extreme)
    bound += np.float32(SAFE_SHARE)  # y + SAFE_SHARE (1 - y)
    far |= extreme > bound
    return np.flatnonzero(far)


def _f_and_y(pixels: Pixels) -> tuple[Floats, Floats]:
    if pixels.ndim == 2:
        f_table, y_table = decode_tables(pixels.dtype)
        return lookup(f_table, pixels), lookup(y_table, pixels)
    y = linear_y(pixels)
    return f_of_luminance(y), y


def _checked_ab(ab: Floats, saturation: float) -> Floats:
    if ab.ndim != 3 or ab.shape[2] != 2 or ab.size == 0:
        raise ValueError(f"ab must be (h, w, 2), got {ab.shape}")
    if not np.isfinite(ab).all():
        raise ValueError("ab must be finite")
    if not 0 <= saturation < np.inf:
        raise ValueError(f"saturation must be 0 or more, got {saturation}")
    return ab.astype(np.float32) * np.array([saturation / 500, saturation / 200], np.float32)


def _checked_out(pixels: Pixels, out: Pixels | None) -> Pixels:
    shape = (*pixels.shape[:2], 3)
    if out is None:
        return np.empty(shape, pixels.dtype)
    if out.shape != shape or out.dtype != pixels.dtype or not out.flags.c_contiguous:
        raise ValueError(f"out must be {shape} {pixels.dtype}, got {out.shape} {out.dtype}")
    return out
