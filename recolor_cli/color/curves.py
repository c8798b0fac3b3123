"""The curves of sRGB and Lab: tables over pixel values, and plain float32 arithmetic between them.

Names follow CIE 15: X, Y, Z are linear light relative to white, f is the cube root with a straight
foot, fy = f(Y) = (L + 16) / 116, a = 500 (f(X) - f(Y)), b = 200 (f(Y) - f(Z)). Everything works
element by element (no BLAS, no running sums): a pixel's result does not depend on its neighbours,
on strips or on threads.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.color.polynomials import at_eights, at_exponents, by_eights, by_exponent

Pixels = NDArray[Any]  # (H, W) or (H, W, 3), uint8 or uint16
Floats = NDArray[np.float32]

INDEX_MAX = 65535  # the largest index of the 16-bit tables

F_EPSILON = 6 / 29  # CIE 15: the value of f where the cube root gives way to its tangent
KAPPA = 1 / (3 * F_EPSILON**2)  # 7.787, the slope of that tangent
OFFSET = 16 / 116  # f of black

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


def f_to_linear(fy: Floats, y: Floats, f_steps: Floats) -> Floats:
    """Linear light from f(Y), Y and the steps to f(X) and f(Z): the inner part of Lab -> RGB.

    Args:
        fy: any shape, (L + 16) / 116.
        y: same shape, `cube(fy)`.
        f_steps: (2, *shape), a / 500 and -b / 200; becomes f(X) and f(Z).

    Returns:
        (3, *shape), white = 1, not clipped.
    """
    f_steps += fy
    x, z = cube(f_steps)
    of_x, of_y, of_z = XYZ_TO_RGB.T.astype(np.float32)
    return np.stack([x * of_x[i] + z * of_z[i] + y * of_y[i] for i in range(3)])


def f_to_pixels(fy: Floats, y: Floats, f_steps: Floats, out: Pixels, work: Workspace) -> None:
    """As `f_to_linear`, but on to sRGB pixels: few passes, each over memory that is in the cache.

    What lies outside 0..1 is clipped.

    Args:
        fy: (rows, W), (L + 16) / 116.
        y: same shape, `cube(fy)`.
        f_steps: (2, rows, W), a / 500 and -b / 200; overwritten.
        out: (rows, W, 3), uint8 or uint16, to write into; in memory blue may come first.
        work: memory to reuse.
    """
    f_steps += fy
    x, z = cube(f_steps, work=work)
    white, eight = white_of(out.dtype), out.dtype == np.uint8
    planes = []
    for number, (of_x, of_y, of_z) in enumerate(XYZ_TO_RGB * white):
        light = cv2.addWeighted(x, of_x, z, of_z, 0, dst=work.get("light", y.shape))
        if eight:
            index = work.get("index", y.shape, np.uint16)
            cv2.addWeighted(light, 1, y, of_y, 0, dst=index, dtype=cv2.CV_16U)  # rounds, saturates
            plane = work.get(f"plane{number}", y.shape, np.uint8)
            planes.append(lookup(_encode_table8(), index, plane))
        else:
            cv2.addWeighted(light, 1, y, of_y, 0, dst=light)
            planes.append(_encode16(light))
    if out.strides[2] < 0:
        planes, out = planes[::-1], out[..., ::-1]
    cv2.merge(planes, dst=out)


def cube(f: Floats, *, work: Workspace | None = None) -> Floats:
    """The inverse of CIE's f: the cube, and below `F_EPSILON` its tangent.

    Args:
        f: any shape.
        work: memory to reuse; the result lives in it.
    """
    work = work or Workspace()
    cubed = f
    if f.size and f.min() < F_EPSILON:
        # The tangent as what is added to the cube of F_EPSILON: no choice for each value.
        cubed, least = work.get("cubed", f.shape), cast("Any", F_EPSILON)
        cv2.max(f.reshape(1, -1), least, dst=cubed.reshape(1, -1))
    out: Floats = np.multiply(cubed, cubed, out=work.get("cube", f.shape))
    out *= cubed
    if cubed is not f:
        below: Floats = np.subtract(f, cubed, out=cubed)
        below *= np.float32(1 / KAPPA)
        out += below
    return out


def encode(rgb: Floats, out: Pixels) -> None:
    """Linear light (3, rows, W) -> sRGB pixels, clipped, rounded, written into out (rows, W, 3).

    Args:
        rgb: 0 .. `white_of(out.dtype)`. Overwritten.
        out: uint8 or uint16.
    """
    if out.dtype == np.uint8:
        index: Any = cv2.addWeighted(rgb, 1, rgb, 0, 0, dtype=cv2.CV_16U)
        planes = lookup(_encode_table8(), index)
    else:
        planes = _encode16(rgb)
    cv2.merge(list(planes), dst=out)


def white_of(dtype: Any) -> float:
    """The linear light of white that `encode` expects for a dtype."""
    return float(INDEX_MAX) if _levels(dtype) == 256 else float(INDEX_MAX) ** 2


class Workspace:
    """Arrays that one strip after the other uses: memory that stays in the cache."""

    def __init__(self) -> None:
        """Start empty."""
        self._arrays: dict[str, NDArray[Any]] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
        """An array of that name, shape and type; what is in it is undefined."""
        size = math.prod(shape)
        array = self._arrays.get(name)
        if array is None or array.size < size:
            array = self._arrays[name] = np.empty(size, dtype)
        return array[:size].reshape(shape)


def lightness_of_gray(pixels: Pixels, out: Floats | None = None) -> Floats:
    """The L of grey uint8 or uint16 pixels, any shape; `out` to write into."""
    lightness: Floats = lookup(_lightness_table(_levels(pixels.dtype)), pixels, out)
    return lightness


def f_of_linear(light: Floats) -> Floats:
    """The f of linear light X, Y or Z, 0..1, by a table over its square root: within 0.002 of L."""
    f: Floats = lookup(_f_tables()[0], _index(np.sqrt(light)))
    return f


def luminance_index(pixels: Pixels) -> tuple[Pixels, tuple[Floats, Floats]]:
    """What stands for the luminance of a strip of grey or RGB pixels, and tables over it.

    Returns:
        Numbers (rows, W), uint8 or uint16, that grow with luminance; the f(Y) of each number, and
        its linear Y = `cube(f(Y))`.
    """
    if pixels.ndim == 2:
        return pixels, _gray_tables(_levels(pixels.dtype))
    light = linear_xyz(pixels, 1)
    return _index(np.sqrt(light, out=light)), _f_tables()


def reading(pixels: Pixels) -> dict[str, Any]:
    """What compiled code needs to read f(Y) from (H, W) or (H, W, 3) pixels.

    Returns:
        Fields of `Job` in `strip.c`, by name.
    """
    levels = _levels(pixels.dtype)
    curves = {"f_curve8": _f_curve8(), "linear_curve8": _linear_curve8(), "f_curve": _f_curve()}
    if pixels.ndim == 2:
        return {"f": _gray_tables(levels)[0], **curves}
    red, green, blue = _weighted_tables(levels, 1)
    tables = {"of_red": red, "of_green": green, "of_blue": blue, "f": _f_tables()[0]}
    weights = tuple(RGB_TO_XYZ[1])
    return {**tables, **curves, "index_max": INDEX_MAX, "y_of_rgb": weights}


def writing(pixels: Pixels, *, blue_first: bool = False) -> dict[str, Any]:
    """What compiled code needs to get from f(X), f(Y), f(Z) to sRGB of the pixels' dtype.

    Args:
        pixels: What is written, for its dtype.
        blue_first: Whether blue, green, red is the order in memory.

    Returns:
        Fields of `Job` in `strip.c`, by name.
    """
    white, eight = white_of(pixels.dtype), pixels.itemsize == 1
    tables: dict[str, Any] = {"encode16": _encode_pairs16()}
    if eight:
        tables = {"encode8": _encode_table8(), "encode_curve8": _encode_curve8()}
    return {
        "f_epsilon": F_EPSILON,
        "of_tangent": 1 / KAPPA,
        "to_rgb": tuple((XYZ_TO_RGB * white)[:: -1 if blue_first else 1].ravel()),
        "white": white,
        **tables,
    }


def linear_xyz(pixels: Pixels, channel: int) -> Floats:
    """Linear light X, Y or Z (channel 0, 1, 2), white = 1, of RGB pixels (rows, W, 3)."""
    tables = _weighted_tables(_levels(pixels.dtype), channel)
    red, green, blue = cv2.split(pixels)
    light: Floats = lookup(tables[0], red)
    light += lookup(tables[1], green)
    light += lookup(tables[2], blue)
    return np.minimum(light, np.float32(1), out=light)


def lookup(table: NDArray[Any], index: Pixels, out: NDArray[Any] | None = None) -> Any:
    """table[index] for uint8 and uint16 indices; `out` (of index's shape) to write into."""
    if index.dtype == np.uint16 and not _lut_takes_16_bits():
        return np.take(table, index, out=out)
    index = np.ascontiguousarray(index)
    return cv2.LUT(index, table, dst=out).reshape(index.shape)


def check_pixels(pixels: Pixels) -> None:
    """Raise ValueError unless pixels are (H, W) or (H, W, 3), uint8 or uint16, and not empty."""
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels must be uint8 or uint16, got {pixels.dtype}")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"pixels must be (H, W) or (H, W, 3), got {pixels.shape}")
    if pixels.size == 0:
        raise ValueError(f"pixels must not be empty, got {pixels.shape}")


def _index(values: Floats) -> NDArray[np.uint16]:
    """Round values of 0..1 to an index of a 16-bit table; overwrites values."""
    values *= np.float32(INDEX_MAX)
    values += np.float32(0.5)
    return values.astype(np.uint16)


def _encode16(linear: Floats) -> NDArray[np.uint16]:
    # 65536 entries over sqrt(linear) and a straight line between them: within 0.02 of 65535.
    np.clip(linear, 0, np.float32(float(INDEX_MAX) ** 2), out=linear)
    position = np.sqrt(linear, out=linear)
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
    return np.where(xyz > F_EPSILON**3, np.cbrt(xyz), KAPPA * xyz + OFFSET)


# The tables: computed in float64 once for a process (a few milliseconds), kept as float32. Where
# there is a curve of polynomials, the table is what that one gives: see polynomials.py.


@lru_cache(maxsize=2)
def _gray_tables(levels: int) -> tuple[Floats, Floats]:
    # Y is the cube of f, not linear light: so X - Y of a grey pixel is 0 to the last bit.
    if levels == 256:
        f = at_eights(_f_curve8())
    else:
        f = _f(_to_linear(np.linspace(0, 1, levels))).astype(np.float32)
    return f, cube(f)


@lru_cache(maxsize=2)
def _lightness_table(levels: int) -> Floats:
    f, _ = _gray_tables(levels)
    return f * np.float32(116) - np.float32(16)


@lru_cache(maxsize=1)
def _f_tables() -> tuple[Floats, Floats]:
    f = at_exponents(_f_curve(), _indices())
    return f, cube(f)


@lru_cache(maxsize=6)
def _weighted_tables(levels: int, row: int) -> list[Floats]:
    if levels == 256:
        linear = at_eights(_linear_curve8())
    else:
        linear = _to_linear(np.linspace(0, 1, levels)).astype(np.float32)
    return [linear * np.float32(weight) for weight in RGB_TO_XYZ[row]]


@lru_cache(maxsize=1)
def _encode_table8() -> NDArray[np.uint8]:
    return at_exponents(_encode_curve8(), _indices()).astype(np.uint8)


@lru_cache(maxsize=1)
def _f_curve8() -> Floats:
    return by_eights(_f(_to_linear(np.linspace(0, 1, 256))))


@lru_cache(maxsize=1)
def _linear_curve8() -> Floats:
    return by_eights(_to_linear(np.linspace(0, 1, 256)))


@lru_cache(maxsize=1)
def _f_curve() -> Floats:
    """Over the root of linear light times `INDEX_MAX`."""
    return by_exponent(lambda index: _f((index / INDEX_MAX) ** 2), 5)


@lru_cache(maxsize=1)
def _encode_curve8() -> Floats:
    """Over linear light times `INDEX_MAX`; half a level more, so that cutting it off rounds."""
    return by_exponent(lambda light: _to_srgb(light / INDEX_MAX) * 255 + 0.5, 4)


def _indices() -> Floats:
    return np.arange(INDEX_MAX + 1, dtype=np.float32)


@lru_cache(maxsize=1)
def _encode_table16() -> tuple[Floats, Floats]:
    # Half a unit is added so that cutting the fraction off rounds.
    value = _to_srgb(np.linspace(0, 1, INDEX_MAX + 1) ** 2) * 65535 + 0.5
    slope = np.append(np.diff(value), 0)
    return value.astype(np.float32), slope.astype(np.float32)


@lru_cache(maxsize=1)
def _encode_pairs16() -> Floats:
    return np.stack(_encode_table16(), axis=1)


@lru_cache(maxsize=1)
def _lut_takes_16_bits() -> bool:
    """Whether this OpenCV has 16-bit tables (5.0 has, 4.10 has not); NumPy is as exact, slower."""
    table = np.arange(65536, dtype=np.float32)
    try:
        return bool(cv2.LUT(np.full((1, 1), 65535, np.uint16), table)[0, 0] == 65535)
    except cv2.error:
        return False
