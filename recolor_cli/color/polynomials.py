"""Curves as 32 polynomials each: few enough to lie in the registers of a processor with AVX-512.

There `strip.c` computes a curve for 16 pixels at a time instead of looking every pixel up. All
others read tables, which are made here by the same steps in float32: so both give the same bytes.

Two ways to choose the polynomial of a value x:

- by its exponent and the highest bit of its mantissa, for whole numbers 0 .. 65535: (1, 1.5, 2, 3,
  4, 6, ...). The number that AVX-512 reads is `bits(x) >> 22`, modulo 32.
- by eights, for whole numbers 0 .. 255: `x >> 3`. Both curves over these have a straight foot up to
  10 (sRGB's), for which there is a line of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

SEGMENTS = 32
LAST_OF_FOOT = 10  # of 255; the next one is beyond sRGB's 0.04045
EIGHTS_TERMS = 4  # of each polynomial by eights; the foot's two numbers are a row of their own


def by_exponent(curve: Callable[[Doubles], Doubles], terms: int) -> Floats:
    """Fit a curve over 1 .. 65535.

    Args:
        curve: float64, any shape, element by element.
        terms: of each polynomial; they go through as many of Chebyshev's places.

    Returns:
        (terms, 32), the constants first; column `bits(x) >> 22` modulo 32 belongs to x.
    """
    start = 2.0 ** np.repeat(np.arange(16), 2)
    half = start / 4
    start[1::2] *= 1.5
    place = np.cos((np.arange(terms) + 0.5) * np.pi / terms)
    x = (start + half)[:, None] + half[:, None] * place
    powers = (x / start[:, None])[..., None] ** np.arange(terms)  # near 1, so that it is solvable
    fitted: Doubles = np.asarray(np.linalg.solve(powers, curve(x)[..., None])[..., 0], float)
    fitted /= start[:, None] ** np.arange(terms)
    return _columns(fitted, _exponent_segment(start.astype(np.float32)))


def at_exponents(coefficients: Floats, x: Floats) -> Floats:
    """The fitted curve at whole numbers x: 0 .. 65535, float32; 0 shares a polynomial with 2."""
    return _horner(coefficients, _exponent_segment(x), x)


def by_eights(values: Doubles) -> Floats:
    """Fit a curve over 0 .. 255 whose first values lie on a line.

    Args:
        values: (256,) float64.

    Returns:
        (5, 32): four terms, the constants first, column `x >> 3` belongs to x; and the line: its
        value at 0 and its slope.
    """
    powers = np.arange(8.0)[:, None] ** np.arange(EIGHTS_TERMS)
    parts = values.reshape(SEGMENTS, 8)
    local = parts @ np.linalg.pinv(powers).T
    beyond = slice(LAST_OF_FOOT - 7, None)  # the foot ends within the second eight
    local[1] = parts[1, beyond] @ np.linalg.pinv(powers[beyond]).T
    # From x - 8 s to x: sums of binomials.
    back = -8.0 * np.arange(SEGMENTS)
    fitted = np.zeros_like(local)
    for i in range(EIGHTS_TERMS):
        for j in range(i + 1):
            fitted[:, j] += local[:, i] * comb(i, j) * back ** (i - j)
    line = np.zeros(SEGMENTS)
    line[:2] = values[0], (values[LAST_OF_FOOT] - values[0]) / LAST_OF_FOOT
    return np.vstack([fitted.T, line]).astype(np.float32, order="C")


def at_eights(coefficients: Floats) -> Floats:
    """The fitted curve at 0 .. 255: (256,) float32."""
    x = np.arange(256)
    value = x.astype(np.float32)
    polynomial = _horner(coefficients[:EIGHTS_TERMS], x >> 3, value)
    line = coefficients[-1, 1] * value + coefficients[-1, 0]
    return np.where(x > LAST_OF_FOOT, polynomial, line)


def _exponent_segment(x: Floats) -> NDArray[Any]:
    return x.view(np.uint32) >> 22 & (SEGMENTS - 1)


def _columns(fitted: Doubles, place: NDArray[Any]) -> Floats:
    columns = np.empty(fitted.T.shape, np.float32)
    columns[:, place] = fitted.T
    return columns


def _horner(coefficients: Floats, segment: NDArray[Any], x: Floats) -> Floats:
    total: Floats = coefficients[-1][segment]
    for row in coefficients[-2::-1]:
        total *= x
        total += row[segment]
    return total
