"""Which defects of old film, paper and scanners a sample gets, and how strong: drawn, not applied.

One generator of random numbers decides all of it, so that a sample's defects depend on its number
alone, whether arrays (`aging.py`) or tensors on the device (`device_aging.py`) age.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.recipes import Recipe

Gray = NDArray[np.float32]  # (H, W), 0..1, sRGB-encoded unless said otherwise

CHANCES = (
    "age_spectral",
    "age_tone",
    "age_shading",
    "age_blur",
    "age_grain",
    "age_scratches",
    "age_halftone",
    "age_jpeg",
)


class Tone(NamedTuple):
    """Development and age: gamma, an S or a flat curve, blacks that fade, whites that yellow."""

    gamma: float
    bend: float
    black: float
    white: float


class Grain(NamedTuple):
    """Silver grain: its size in pixels, its strength, and the noise or the key to make it from."""

    noise: Gray | None
    key: int
    width: float
    strength: float


class Shading(NamedTuple):
    """Uneven light (multiplies) or patches that faded: a smooth field, given as 3 x 3 values."""

    coarse: Gray
    depth: float
    multiplies: bool


class Scratches(NamedTuple):
    """Scratches, hairs and dust: how much (0..1) of which grey covers each pixel."""

    marks: Gray
    color: float


class Halftone(NamedTuple):
    """Newspaper print: a turned screen of dots, partly blurred out."""

    pitch: float
    angle: float
    mix: float


@dataclass(frozen=True)
class Defects:
    """One sample's; None: it has not got that one."""

    sensitivity: tuple[float, float, float] | None = None
    blur: float | None = None  # sigma in pixels
    tone: Tone | None = None
    grain: Grain | None = None
    shading: Shading | None = None
    scratches: Scratches | None = None
    halftone: Halftone | None = None
    jpeg: int | None = None  # quality


def ages(recipe: Recipe) -> bool:
    """Whether the recipe ages its input at all."""
    return any(getattr(recipe, name) > 0 for name in CHANCES)


def draw_defects(
    rng: np.random.Generator, recipe: Recipe, size: tuple[int, int], *, noise: bool = True
) -> Defects:
    """One sample's defects.

    Args:
        rng: of the sample.
        recipe: how probable each defect is.
        size: height and width of the sample.
        noise: draw the grain's noise; otherwise a key of which the device makes its own.
    """
    happens = rng.random(len(CHANCES)) < [getattr(recipe, name) for name in CHANCES]
    spectral, tone, shading, blur, grain, scratches, halftone, jpeg = (bool(h) for h in happens)
    return Defects(  # in this order, which is also the order in which they are applied
        sensitivity=draw_sensitivity(rng) if spectral else None,
        blur=0.3 + 1.2 * float(rng.random()) ** 2 if blur else None,
        tone=_draw_tone(rng) if tone else None,
        grain=_draw_grain(rng, size, noise=noise) if grain else None,
        shading=_draw_shading(rng) if shading else None,
        scratches=_draw_scratches(rng, size) if scratches else None,
        halftone=_draw_halftone(rng) if halftone else None,
        jpeg=int(rng.integers(20, 85)) if jpeg else None,
    )


def draw_sensitivity(rng: np.random.Generator) -> tuple[float, float, float]:
    """Film's share of red, green and blue light; sums to 1."""
    kind = rng.random()
    if kind < 0.35:  # orthochromatic: little or no red
        red = 0.08 * rng.random()
        green = (1 - red) * (0.35 + 0.55 * rng.random())
    elif kind < 0.5:  # ordinary plates: blue and a little green
        red, green = 0.0, 0.25 * rng.random()
    else:  # anything, early panchromatic film and tinted filters among it
        red, green, _ = rng.dirichlet((1.0, 1.0, 1.0))
    return float(red), float(green), float(1 - red - green)


def _draw_tone(rng: np.random.Generator) -> Tone:
    gamma = float(np.exp(rng.uniform(-0.5, 0.5)))
    bend = float(rng.uniform(-0.5, 0.9))
    black, white = 0.25 * float(rng.random()) ** 2, 1 - 0.3 * float(rng.random()) ** 2
    return Tone(gamma, bend, black, white)


def _draw_grain(rng: np.random.Generator, size: tuple[int, int], *, noise: bool) -> Grain:
    drawn = rng.standard_normal(size, dtype=np.float32) if noise else None
    key = 0 if noise else int(rng.integers(2**31))
    return Grain(drawn, key, float(rng.uniform(0.0, 1.0)), float(rng.uniform(0.005, 0.06)))


def _draw_shading(rng: np.random.Generator) -> Shading:
    coarse = rng.uniform(-1, 1, (3, 3)).astype(np.float32)
    return Shading(coarse, float(rng.uniform(0.05, 0.35)), bool(rng.random() < 0.5))


def _draw_scratches(rng: np.random.Generator, size: tuple[int, int]) -> Scratches:
    """Thin lines and specks, mostly lighter, some dark."""
    height, width = size
    marks = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        start = rng.uniform((0, 0), (width, height))
        angle = rng.uniform(0, np.pi) if rng.random() < 0.4 else np.pi / 2 + rng.normal(0, 0.05)
        length = rng.uniform(0.2, 1.2) * height
        bends = np.cumsum(rng.normal(0, 0.02 * height, 6))
        along = np.linspace(-0.5, 0.5, 6) * length
        x = start[0] + along * np.cos(angle) - bends * np.sin(angle)
        y = start[1] + along * np.sin(angle) + bends * np.cos(angle)
        points = np.stack((x, y), -1).round().astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(marks, [points], False, float(rng.uniform(0.3, 1)), 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 20))):
        at = (int(rng.integers(width)), int(rng.integers(height)))
        radius = int(rng.integers(0, max(2, height // 64)))
        cv2.circle(marks, at, radius, float(rng.uniform(0.3, 1)), -1, cv2.LINE_AA)
    color = float(rng.uniform(0.8, 1) if rng.random() < 0.75 else rng.uniform(0, 0.2))
    return Scratches(np.minimum(marks, 1), color)


def _draw_halftone(rng: np.random.Generator) -> Halftone:
    pitch, angle = float(rng.uniform(2.5, 5)), float(rng.uniform(0, np.pi / 2))
    return Halftone(pitch, angle, float(rng.uniform(0.2, 0.7)))
