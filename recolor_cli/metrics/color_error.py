"""How far the colours are from the true ones in Lab: l1-ab, pixel-accuracy, delta-e2000."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from recolor_cli.color.lab import rgb_to_lab
from recolor_cli.metrics.base import Metric, Pixels, first_column

CHANNEL_RANGE = 255  # of a and of b as 8-bit Lab stores them, -128..127


def l1_ab(coloured: Pixels, true: Pixels) -> tuple[float]:
    """Mean |difference| of the a and b values, in Lab units."""
    return (float(_ab_difference(coloured, true).mean(dtype=np.float64)),)


def pixel_accuracy(coloured: Pixels, true: Pixels, *, percent: float) -> tuple[float]:
    """Share of a and b values within `percent` % of the channel's range of the true ones."""
    near = _ab_difference(coloured, true) <= percent / 100 * CHANNEL_RANGE
    return (float(near.mean()),)


def delta_e2000(coloured: Pixels, true: Pixels) -> tuple[float]:
    """Mean CIEDE2000 colour difference (Sharma et al. 2005), as scikit-image computes it."""
    from skimage.color import deltaE_ciede2000

    lab = (rgb_to_lab(pixels).astype(np.float64) for pixels in (true, coloured))
    return (float(deltaE_ciede2000(*lab).mean()),)  # type: ignore[no-untyped-call]


def _ab_difference(coloured: Pixels, true: Pixels) -> NDArray[np.float32]:
    difference: NDArray[np.float32] = rgb_to_lab(coloured)[..., 1:] - rgb_to_lab(true)[..., 1:]
    return np.abs(difference)


_LAB = "8-bit sRGB -> CIE Lab (D65, 2°)"

L1_AB = Metric(
    name="l1-ab",
    definition="Mean absolute error of the a and b values, mean over pictures.",
    preprocessing=_LAB,
    unit="Lab units",
    better="lower",
    update=l1_ab,
    each=first_column,
)


def _pixel_accuracy(percent: int) -> Metric:
    return Metric(
        name=f"pixel-accuracy@{percent}",
        definition=f"Share of a and b values that lie within {percent} % of the channel's range "
        "(255) of the true ones, mean over pictures. Barusco and Rampon 2022, equations 10 and 11.",
        preprocessing=_LAB,
        unit="",
        better="higher",
        update=partial(pixel_accuracy, percent=percent),
        each=first_column,
    )


PIXEL_ACCURACY_2 = _pixel_accuracy(2)
PIXEL_ACCURACY_5 = _pixel_accuracy(5)
DELTA_E2000 = Metric(
    name="delta-e2000",
    definition="CIEDE2000 colour difference, mean over pixels, then over pictures. About 1 is "
    "just noticeable.",
    preprocessing=_LAB,
    unit="ΔE00",
    better="lower",
    update=delta_e2000,
    each=first_column,
)
