"""Structural similarity of the coloured and the true picture (Wang et al. 2004)."""

from __future__ import annotations

import cv2
import numpy as np

from recolor_cli.metrics.base import Metric, Pixels, first_column

SIGMA = 1.5
WINDOW = 11
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(coloured: Pixels, true: Pixels) -> tuple[float]:
    """SSIM with the paper's Gaussian window, mean over the three channels and all whole windows.

    Raises:
        ValueError: a side is shorter than the window of 11 pixels.
    """
    if min(true.shape[:2]) < WINDOW:
        raise ValueError(f"ssim needs pictures of at least {WINDOW} pixels, got {true.shape[:2]}")
    x, y = coloured.astype(np.float64), true.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    # Population moments, as in the paper: no correction by n - 1.
    var_x = _blur(x * x) - mean_x * mean_x
    var_y = _blur(y * y) - mean_y * mean_y
    cov = _blur(x * y) - mean_x * mean_y
    quality = ((2 * mean_x * mean_y + _C1) * (2 * cov + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2)
    )
    edge = WINDOW // 2  # windows that reach over the border do not count
    return (float(quality[edge:-edge, edge:-edge].mean()),)


def _blur(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REFLECT)


SSIM = Metric(
    name="ssim",
    definition="Structural similarity (Wang et al. 2004), mean over pictures. Gaussian window "
    "11 × 11 with σ = 1.5, K1 = 0.01, K2 = 0.03, data range 255, mean over R, G and B and over "
    "all windows that lie inside the picture; CT2's code passes a data range of 225 instead.",
    preprocessing="8-bit sRGB",
    unit="",
    better="higher",
    update=ssim,
    each=first_column,
)
