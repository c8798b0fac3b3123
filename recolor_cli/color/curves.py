"""The curves of sRGB and Lab: tables over pixel values, and plain float32 arithmetic between them.

Names follow CIE 15: X, Y, Z are linear light relative to white, f is the cube root with a straight
foot, fy = f(Y) = (L + 16) / 116, a = 500 (f(X) - f(Y)), b = 200 (f(Y) - f(Z)). Everything works
element by element with operations that IEEE 754 rounds exactly (no fused multiply-add, no BLAS):
a pixel's result does not depend on its neighbours, on strips or on threads.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

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


def f_to_linear(
    fy: Floats, y: Floats, f_steps: Floats, *, white: float = 1.0, work: Workspace | None = None
) -> Floats:
    """Linear light from f(Y), Y and the steps to f(X) and f(Z): the inner part of Lab -> RGB.

    The matrix acts on X - Y and Z - Y: its rows sum to 1, so greys come out as Y to the last bit.

    Args:
        fy: any shape, (L + 16) / 116.
        y: same shape, `cube(fy)`.
        f_steps: (2, *shape), a / 500 and -b / 200; becomes f(X) and f(Z).
        white: the value that white gets in the result.
        work: memory to reuse.

    Returns:
        (3, *shape), not clipped; lives in `work` if that is given.
    """
    work = work or Workspace()
    f_steps += fy
    xz = cube(f_steps, work=work)
    xz -= y
    matrix = (XYZ_TO_RGB * white).astype(np.float32)
    x_column, z_column = (matrix[:, i].reshape(3, *[1] * fy.ndim) for i in (0, 2))
    shape = (3, *fy.shape)
    rgb: Floats = np.multiply(xz[0], x_column, out=work.get("rgb", shape))
    rgb += np.multiply(xz[1], z_column, out=work.get("term", shape))
    rgb += y if white == 1 else np.multiply(y, np.float32(white), out=work.get("y", y.shape))
    return rgb


def cube(f: Floats, *, work: Workspace | None = None) -> Floats:
    """The inverse of CIE's f: the cube, and below `F_EPSILON` its tangent.

    Without a branch: with m = max(f, F_EPSILON) both parts are m^3 + (f - m) / KAPPA.

    Args:
        f: any shape.
        work: memory to reuse; the result lives in it.
    """
    work = work or Workspace()
    m = np.maximum(f, work.floor(f.shape), out=work.get("m", f.shape))
    out = np.multiply(m, m, out=work.get("cube", f.shape))
    out -= np.float32(1 / KAPPA)
    out *= m
    out += np.multiply(f, np.float32(1 / KAPPA), out=m)
    return out


def encode(rgb: Floats, out: Pixels) -> None:
    """Linear light (3, rows, W) -> sRGB pixels, rounded, written into out (rows, W, 3).

    Args:
        rgb: 0 .. `white_of(out.dtype)`. Overwritten.
        out: uint8 or uint16.
    """
    if out.dtype == np.uint8:
        planes = lookup(_encode_table8(), rgb.astype(np.uint16))
    else:
        planes = _encode16(rgb)
    cv2.merge(list(planes), dst=out)


def white_of(dtype: Any) -> float:
    """The linear light of white that `encode` expects for a dtype."""
    return float(INDEX_MAX) if _levels(dtype) == 256 else float(INDEX_MAX) ** 2


class Workspace:
    """Float arrays that one strip after the other uses: memory that stays in the cache."""

    def __init__(self) -> None:
        """Start empty."""
        self._arrays: dict[str, Floats] = {}

    def get(self, name: str, shape: tuple[int, ...]) -> Floats:
        """An array of that name and shape; what is in it is undefined."""
        size = math.prod(shape)
        array = self._arrays.get(name)
        if array is None or array.size < size:
            array = self._arrays[name] = np.empty(size, np.float32)
        return array[:size].reshape(shape)

    def floor(self, shape: tuple[int, ...]) -> Floats:
        """An array full of `F_EPSILON`: NumPy's maximum of two arrays is its fast one."""
        size = math.prod(shape)
        array = self._arrays.get("floor")
        if array is None or array.size < size:
            array = self._arrays["floor"] = np.full(size, F_EPSILON, np.float32)
        return array[:size].reshape(shape)


def f_of_gray(pixels: Pixels) -> Floats:
    """The f(Y) of grey uint8 or uint16 pixels, any shape."""
    f: Floats = lookup(_gray_tables(_levels(pixels.dtype))[0], pixels)
    return f


def f_of_linear(light: Floats) -> Floats:
    """The f of linear light X, Y or Z, 0..1, by a table over its square root: within 0.002 of L."""
    f: Floats = lookup(_f_tables()[0], _index(np.sqrt(light)))
    return f


def f_and_y(pixels: Pixels) -> tuple[Floats, Floats]:
    """The f(Y) and linear light Y = `cube(f(Y))` (rows, W) of a strip of grey or RGB pixels."""
    if pixels.ndim == 2:
        tables, index = _gray_tables(_levels(pixels.dtype)), pixels
    else:
        light = linear_xyz(pixels, 1)
        tables, index = _f_tables(), _index(np.sqrt(light, out=light))
    return lookup(tables[0], index), lookup(tables[1], index)


def linear_xyz(pixels: Pixels, channel: int) -> Floats:
    """Linear light X, Y or Z (channel 0, 1, 2), white = 1, of RGB pixels (rows, W, 3)."""
    tables = _weighted_tables(_levels(pixels.dtype), channel)
    red, green, blue = cv2.split(pixels)
    light: Floats = lookup(tables[0], red)
    light += lookup(tables[1], green)
    light += lookup(tables[2], blue)
    return np.minimum(light, np.float32(1), out=light)


def lookup(table: NDArray[Any], index: Pixels) -> Any:
    """table[index] for uint8 and uint16 indices."""
    if index.dtype == np.uint16 and not _lut_takes_16_bits():
        return np.take(table, index)
    return cv2.LUT(np.ascontiguousarray(index), table).reshape(index.shape)


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
    np.abs(linear, out=linear)  # black is -1e-9
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


# The tables: computed in float64 once for a process (a few milliseconds), kept as float32.


@lru_cache(maxsize=2)
def _gray_tables(levels: int) -> tuple[Floats, Floats]:
    return _f_and_cube(_to_linear(np.linspace(0, 1, levels)))


@lru_cache(maxsize=1)
def _f_tables() -> tuple[Floats, Floats]:
    return _f_and_cube(np.linspace(0, 1, INDEX_MAX + 1) ** 2)


def _f_and_cube(linear: NDArray[np.float64]) -> tuple[Floats, Floats]:
    # Y is the cube of f, not linear light: so X - Y of a grey pixel is 0 to the last bit.
    f = _f(linear).astype(np.float32)
    return f, cube(f)


@lru_cache(maxsize=6)
def _weighted_tables(levels: int, row: int) -> list[Floats]:
    linear = _to_linear(np.linspace(0, 1, levels))
    return [(weight * linear).astype(np.float32) for weight in RGB_TO_XYZ[row]]


@lru_cache(maxsize=1)
def _encode_table8() -> NDArray[np.uint8]:
    # Entry i stands for linear light i .. i + 1: cutting the fraction off is all it takes.
    linear = (np.arange(INDEX_MAX + 1) + 0.5) / INDEX_MAX
    return np.rint(_to_srgb(np.minimum(linear, 1)) * 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _encode_table16() -> tuple[Floats, Floats]:
    # Half a unit is added so that cutting the fraction off rounds.
    value = _to_srgb(np.linspace(0, 1, INDEX_MAX + 1) ** 2) * 65535 + 0.5
    slope = np.append(np.diff(value), 0)
    return value.astype(np.float32), slope.astype(np.float32)


@lru_cache(maxsize=1)
def _lut_takes_16_bits() -> bool:
    """Whether this OpenCV has 16-bit tables (5.0 has, 4.10 has not); NumPy is as exact, slower."""
    table = np.arange(65536, dtype=np.float32)
    try:
        return bool(cv2.LUT(np.full((1, 1), 65535, np.uint16), table)[0, 0] == 65535)
    except cv2.error:
        return False
