"""How far the coloured pixels are from the true ones in RGB: psnr and mae.

Grey gets good marks here: of all answers it is the least wrong one. Report, never choose by them.
"""

from __future__ import annotations

import math

import numpy as np

from recolor_cli.metrics.base import Metric, Pixels, first_column

PSNR_LIMIT = 100.0  # of equal pictures, whose ratio is infinite; a mean needs a number


def psnr(coloured: Pixels, true: Pixels) -> tuple[float]:
    """Peak signal-to-noise ratio in dB: 10 log10(255^2 / mean squared error), at most 100."""
    error = np.square(coloured.astype(np.float64) - true).mean()
    return (min(10 * math.log10(255**2 / error), PSNR_LIMIT) if error else PSNR_LIMIT,)


def mae(coloured: Pixels, true: Pixels) -> tuple[float]:
    """Mean absolute difference of RGB values, 0..1."""
    return (float(np.abs(coloured.astype(np.int16) - true).mean()) / 255,)


PSNR = Metric(
    name="psnr",
    definition="Peak signal-to-noise ratio, 10 log10(255² / MSE), mean over pictures. "
    "The mean squared error is over all pixels and channels of a picture; 100 dB stands for "
    "equal pictures.",
    preprocessing="8-bit sRGB",
    unit="dB",
    better="higher",
    update=psnr,
    each=first_column,
)
MAE = Metric(
    name="mae",
    definition="Mean absolute error of the RGB values as shares of 255, mean over pictures.",
    preprocessing="8-bit sRGB",
    unit="",
    better="lower",
    update=mae,
    each=first_column,
)
