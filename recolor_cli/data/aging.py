"""A grey picture of a colour crop as old film, paper, dust and scanners would have made it.

Only the network's input ages; the colours asked for stay those of the photograph. Film before
about 1905 was blind to red and green (ordinary), then to red (orthochromatic); panchromatic film
became usual in the 1920s: so the same scene gives very different greys.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.data.defects import Grain, Gray, Halftone, Scratches, Shading, Tone, draw_defects
from recolor_cli.data.photos import Pixels
from recolor_cli.recipes import Recipe

LUMINANCE = (0.212671, 0.715160, 0.072169)  # of linear sRGB (IEC 61966-2-1)
FINE_GRAIN = 0.3  # grain narrower than this is not blurred
_STEPS = 4095  # of the table from linear light to sRGB


def _srgb_tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    srgb = np.arange(256) / 255
    linear = np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    light = np.arange(_STEPS + 1) / _STEPS
    encoded = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    return linear.astype(np.float32), encoded.astype(np.float32)


_TO_LINEAR, _TO_SRGB = _srgb_tables()


def gray_of(rgb: Pixels, sensitivity: tuple[float, float, float] = LUMINANCE) -> Gray:
    """Film with that sensitivity to linear red, green and blue: (H, W, 3) uint8 -> grey."""
    linear = cv2.LUT(rgb, _TO_LINEAR)
    light = cv2.transform(linear, np.asarray([sensitivity], np.float32))
    return _TO_SRGB[(light * _STEPS + 0.5).astype(np.uint16)]


def aged_gray(rgb: Pixels, rng: np.random.Generator, recipe: Recipe) -> NDArray[np.uint8]:
    """The grey input for one crop: (H, W, 3) uint8 -> (H, W) uint8, sRGB-encoded."""
    has = draw_defects(rng, recipe, (rgb.shape[0], rgb.shape[1]))
    gray = gray_of(rgb, has.sensitivity or LUMINANCE)
    if has.blur is not None:
        gray = _blurred(gray, has.blur)
    if has.tone is not None:
        gray = _toned(gray, has.tone)
    if has.grain is not None:
        gray = _grained(gray, has.grain)
    if has.shading is not None:
        gray = _shaded(gray, has.shading)
    if has.scratches is not None:
        gray = _scratched(gray, has.scratches)
    if has.halftone is not None:
        gray = _halftoned(gray, has.halftone)
    result = (gray.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    if has.jpeg is not None:
        encoded = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, has.jpeg])[1]
        result = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)
    return result


def _blurred(gray: Gray, sigma: float) -> Gray:
    return np.asarray(cv2.GaussianBlur(gray, (0, 0), sigma), np.float32)


def _toned(gray: Gray, tone: Tone) -> Gray:
    value = gray**tone.gamma
    value += tone.bend * (value * value * (3 - 2 * value) - value)
    return tone.black + (tone.white - tone.black) * value


def _grained(gray: Gray, grain: Grain) -> Gray:
    """Strongest in the middle tones."""
    assert grain.noise is not None
    noise = grain.noise
    if grain.width > FINE_GRAIN:
        noise = _blurred(noise, grain.width)
        noise /= noise.std() + 1e-6
    return gray + noise * (grain.strength * (0.35 + 2.6 * gray * (1 - gray)))


def _shaded(gray: Gray, shading: Shading) -> Gray:
    field = cv2.resize(shading.coarse, gray.shape[::-1], interpolation=cv2.INTER_CUBIC)
    if shading.multiplies:
        return gray * (1 + shading.depth * field)
    return gray + (0.5 - gray) * shading.depth * np.abs(field)  # fading pulls towards grey


def _scratched(gray: Gray, scratches: Scratches) -> Gray:
    return np.asarray(gray + scratches.marks * (scratches.color - gray), np.float32)


def _halftoned(gray: Gray, halftone: Halftone) -> Gray:
    """The dots' size follows the tone."""
    height, width = gray.shape
    pitch, angle, mix = halftone
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u = (x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / pitch)
    v = (y * np.cos(angle) - x * np.sin(angle)) * (2 * np.pi / pitch)
    screen = 0.5 + 0.25 * (np.cos(u) + np.cos(v))
    dots = 1 / (1 + np.exp(-8 * (gray - screen)))
    return np.asarray((1 - mix) * gray + mix * dots, np.float32)
