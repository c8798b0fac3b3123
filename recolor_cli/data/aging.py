"""A grey picture of a colour crop as old film, paper, dust and scanners would have made it.

Only the network's input ages; the colours asked for stay those of the photograph. Film before
about 1905 was blind to red and green (ordinary), then to red (orthochromatic); panchromatic film
became usual in the 1920s: so the same scene gives very different greys.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.data.photos import Pixels
from recolor_cli.recipes import Recipe

Gray = NDArray[np.float32]  # (H, W), 0..1, sRGB-encoded unless said otherwise

LUMINANCE = (0.212671, 0.715160, 0.072169)  # of linear sRGB (IEC 61966-2-1)
_STEPS = 4095  # of the table from linear light to sRGB


def _srgb_tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    srgb = np.arange(256) / 255
    linear = np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    light = np.arange(_STEPS + 1) / _STEPS
    encoded = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    return linear.astype(np.float32), encoded.astype(np.float32)


_TO_LINEAR, _TO_SRGB = _srgb_tables()


def ages(recipe: Recipe) -> bool:
    """Whether the recipe ages its input at all."""
    return any(getattr(recipe, name) > 0 for name in _CHANCES)


_CHANCES = (
    "age_spectral",
    "age_tone",
    "age_shading",
    "age_blur",
    "age_grain",
    "age_scratches",
    "age_halftone",
    "age_jpeg",
)


def gray_of(rgb: Pixels, sensitivity: tuple[float, float, float] = LUMINANCE) -> Gray:
    """Film with that sensitivity to linear red, green and blue: (H, W, 3) uint8 -> grey."""
    linear = cv2.LUT(rgb, _TO_LINEAR)
    light = cv2.transform(linear, np.asarray([sensitivity], np.float32))
    return _TO_SRGB[(light * _STEPS + 0.5).astype(np.uint16)]


def aged_gray(rgb: Pixels, rng: np.random.Generator, recipe: Recipe) -> NDArray[np.uint8]:
    """The grey input for one crop: (H, W, 3) uint8 -> (H, W) uint8, sRGB-encoded."""
    happens = rng.random(len(_CHANCES)) < [getattr(recipe, name) for name in _CHANCES]
    spectral, tone, shading, blur, grain, scratches, halftone, jpeg = (bool(h) for h in happens)
    gray = gray_of(rgb, draw_sensitivity(rng) if spectral else LUMINANCE)
    if blur:
        gray = _blurred(gray, 0.3 + 1.2 * float(rng.random()) ** 2)
    if tone:
        gray = _toned(gray, rng)
    if grain:
        gray = _grained(gray, rng)
    if shading:
        gray = _shaded(gray, rng)
    if scratches:
        gray = _scratched(gray, rng)
    if halftone:
        gray = _halftoned(gray, rng)
    result = (gray.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    if jpeg:
        quality = int(rng.integers(20, 85))
        encoded = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        result = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)
    return result


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


def _blurred(gray: Gray, sigma: float) -> Gray:
    return np.asarray(cv2.GaussianBlur(gray, (0, 0), sigma), np.float32)


def _toned(gray: Gray, rng: np.random.Generator) -> Gray:
    """Development and age: gamma, an S or a flat curve, blacks that fade, whites that yellow."""
    gamma = float(np.exp(rng.uniform(-0.5, 0.5)))
    bend = float(rng.uniform(-0.5, 0.9))
    black, white = 0.25 * float(rng.random()) ** 2, 1 - 0.3 * float(rng.random()) ** 2
    value = gray**gamma
    value += bend * (value * value * (3 - 2 * value) - value)
    return black + (white - black) * value


def _grained(gray: Gray, rng: np.random.Generator) -> Gray:
    """Silver grain, strongest in the middle tones; from one to a few pixels wide."""
    noise = rng.standard_normal(gray.shape, dtype=np.float32)
    width = float(rng.uniform(0.0, 1.0))
    if width > 0.3:
        noise = _blurred(noise, width)
        noise /= noise.std() + 1e-6
    strength = float(rng.uniform(0.005, 0.06))
    return gray + noise * (strength * (0.35 + 2.6 * gray * (1 - gray)))


def _shaded(gray: Gray, rng: np.random.Generator) -> Gray:
    """Uneven light and patches that faded: a smooth field lightens or darkens."""
    coarse = rng.uniform(-1, 1, (3, 3)).astype(np.float32)
    field = cv2.resize(coarse, gray.shape[::-1], interpolation=cv2.INTER_CUBIC)
    depth = float(rng.uniform(0.05, 0.35))
    if rng.random() < 0.5:  # an uneven exposure multiplies
        return gray * (1 + depth * field)
    return gray + (0.5 - gray) * depth * np.abs(field)  # fading pulls towards grey


def _scratched(gray: Gray, rng: np.random.Generator) -> Gray:
    """Scratches, hairs and dust: thin lines and specks, mostly lighter, some dark."""
    height, width = gray.shape
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
    marks = np.minimum(marks, 1)
    return np.asarray(gray + marks * (color - gray), np.float32)


def _halftoned(gray: Gray, rng: np.random.Generator) -> Gray:
    """Newspaper print: a turned screen of dots whose size follows the tone, partly blurred out."""
    height, width = gray.shape
    pitch, angle = float(rng.uniform(2.5, 5)), float(rng.uniform(0, np.pi / 2))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u = (x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / pitch)
    v = (y * np.cos(angle) - x * np.sin(angle)) * (2 * np.pi / pitch)
    screen = 0.5 + 0.25 * (np.cos(u) + np.cos(v))
    dots = 1 / (1 + np.exp(-8 * (gray - screen)))
    mix = float(rng.uniform(0.2, 0.7))
    return np.asarray((1 - mix) * gray + mix * dots, np.float32)
