"""Colourfulness of a photograph (Hasler and Suesstrunk 2003, metric M3), in both readings.

The published formula takes the spread and the mean of the signed opponent channels. The code of
most colourisation papers takes absolute values first, which gives about 0.92 times as much; the two
must never stand in one column, so they have two names.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recolor_cli.metrics.base import Metric, Pixels, Rows, first_column, second_column


def colorfulness(pixels: NDArray[np.uint8], *, absolute: bool = False) -> float:
    """sqrt(var rg + var yb) + 0.3 sqrt(mean rg^2 + mean yb^2); rg = R - G, yb = (R + G) / 2 - B.

    Args:
        pixels: sRGB (H, W, 3), 0..255.
        absolute: take |rg| and |yb| first, as the code of DDColor, CT2 and ColorFormer does.

    Returns:
        0 for a grey picture, about 40 for an average photograph, above 100 for a very bright one.
    """
    red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
    # Twice each channel, so that sums stay whole numbers and the result does not depend on order.
    rg, yb = 2 * (red - green), red + green - 2 * blue
    if absolute:
        rg, yb = np.abs(rg), np.abs(yb)
    spread = np.sqrt(rg.var() + yb.var())
    offset = np.sqrt(rg.mean() ** 2 + yb.mean() ** 2)
    return float(spread + 0.3 * offset) / 2


def both(coloured: Pixels, true: Pixels) -> tuple[float, float]:
    """Colourfulness of the coloured picture and of its truth."""
    return colorfulness(coloured), colorfulness(true)


def both_absolute(coloured: Pixels, true: Pixels) -> tuple[float, float]:
    """The same by the absolute reading."""
    return colorfulness(coloured, absolute=True), colorfulness(true, absolute=True)


def mean_of_truth(rows: Rows) -> float:
    """Mean of the second column."""
    return float(rows[:, 1].mean())


def difference_of_means(rows: Rows) -> float:
    """|mean of the coloured - mean of the true|: errors of single pictures cancel."""
    return abs(float(rows[:, 0].mean() - rows[:, 1].mean()))


def image_differences(rows: Rows) -> Rows:
    """|coloured - true| of each picture."""
    return np.asarray(np.abs(rows[:, 0] - rows[:, 1]))


def mean_of_differences(rows: Rows) -> float:
    """Mean of |coloured - true|: nothing cancels."""
    return float(image_differences(rows).mean())


_SIGNED = (
    "sqrt(var rg + var yb) + 0.3 sqrt(mean rg² + mean yb²) with rg = R - G, yb = (R + G) / 2 - B; "
    "Hasler and Süsstrunk 2003, M3."
)

COLORFULNESS = Metric(
    name="colorfulness",
    definition=f"Colourfulness with signed opponent channels, mean over pictures. {_SIGNED}",
    preprocessing="8-bit sRGB, 0..255",
    unit="",
    better="truth",
    update=both,
    of_truth=mean_of_truth,
    each=first_column,
    each_of_truth=second_column,
)
COLORFULNESS_ABS = Metric(
    name="colorfulness-abs",
    definition="Colourfulness with |rg| and |yb|, mean over pictures: what the code of DDColor, "
    "CT2 and ColorFormer computes, about 0.92 of the signed one. Never in one column with it.",
    preprocessing="8-bit sRGB, 0..255",
    unit="",
    better="truth",
    update=both_absolute,
    of_truth=mean_of_truth,
    each=first_column,
    each_of_truth=second_column,
)
DELTA_COLORFULNESS = Metric(
    name="delta-colorfulness",
    definition="Difference of the mean colourfulness (signed) of coloured and true pictures. "
    "Errors of single pictures cancel; papers that print values near 0 mean this one.",
    preprocessing="8-bit sRGB, 0..255",
    unit="",
    better="lower",
    compute=difference_of_means,
    update=both,
)
DELTA_COLORFULNESS_IMAGE = Metric(
    name="delta-colorfulness-image",
    definition="Mean of the pictures' differences in colourfulness (signed). Nothing cancels.",
    preprocessing="8-bit sRGB, 0..255",
    unit="",
    better="lower",
    compute=mean_of_differences,
    update=both,
    each=image_differences,
)
