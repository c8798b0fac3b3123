"""Curves of 32 polynomials are the curves that they stand for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recolor_cli.color import curves
from recolor_cli.color.polynomials import (
    SEGMENTS,
    at_eights,
    at_exponents,
    by_eights,
    by_exponent,
)

BYTES = np.linspace(0, 1, 256)
INDICES = np.arange(65536, dtype=np.float32)


def f_of_root(index: np.ndarray) -> np.ndarray:
    return curves._f((index / 65535) ** 2)


def srgb_levels(light: np.ndarray) -> np.ndarray:
    return curves._to_srgb(light / 65535) * 255


# What a table holds, what it should hold, and how far apart they may be.
TABLES: dict[str, tuple[Callable[[], np.ndarray], np.ndarray, float]] = {
    "L of a grey byte": (
        lambda: at_eights(curves._f_curve8()) * 116.0,
        curves._f(curves._to_linear(BYTES)) * 116,
        2e-5,
    ),
    "linear light of a byte": (
        lambda: at_eights(curves._linear_curve8()),
        curves._to_linear(BYTES),
        2e-7,
    ),
    "L of the root of light": (
        lambda: at_exponents(curves._f_curve(), INDICES) * 116.0,
        f_of_root(INDICES.astype(float)) * 116,
        2e-4,
    ),
    "sRGB level of light": (
        lambda: at_exponents(curves._encode_curve8(), INDICES) - 0.5,
        srgb_levels(INDICES.astype(float)),
        0.003,
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_curve_is_what_it_stands_for_and_never_falls(name: str) -> None:
    make, expected, most = TABLES[name]
    made = make()
    assert np.abs(made - expected).max() < most
    assert (np.diff(made) >= 0).all()


def test_levels_are_rounded_as_they_should_be_but_for_a_few() -> None:
    exact = np.rint(srgb_levels(INDICES.astype(float)))
    table = curves._encode_table8()
    assert (table != exact).sum() < 100  # of 65,536: halves that lie within 0.003 of a level
    assert (table[0], table[-1]) == (0, 255)


def test_every_grey_byte_comes_back() -> None:
    fy = curves._gray_tables(256)[0].reshape(1, -1)
    out = np.empty((1, 256, 3), np.uint8)
    no_color = np.zeros((2, 1, 256), np.float32)
    curves.f_to_pixels(fy, curves.cube(fy).copy(), no_color, out, curves.Workspace())
    np.testing.assert_array_equal(out[0], np.repeat(np.arange(256)[:, None], 3, axis=1))


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_a_cubic_is_met(terms: list[float]) -> None:
    def cubic(x: np.ndarray) -> np.ndarray:
        return np.polyval(terms, x / 65536)

    curve = by_exponent(cubic, 4)
    assert curve.shape == (4, SEGMENTS)
    x = np.array([1, 2, 3, 4, 7, 1000, 40_000, 65_535], np.float32)
    np.testing.assert_allclose(at_exponents(curve, x), cubic(x.astype(float)), atol=2e-5)


@given(st.floats(0.01, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_a_line_and_what_follows_it_are_met(slope: float, square: float, cube: float) -> None:
    x = np.arange(256) / 255
    beyond = np.maximum(x - 10 / 255, 0)
    values = slope * x + square * beyond**2 + cube * beyond**3
    curve = by_eights(values)
    assert curve.shape == (5, SEGMENTS)
    np.testing.assert_allclose(at_eights(curve), values, atol=2e-5)
