"""Colourfulness of a photograph (Hasler and Suesstrunk 2003, metric M3), in both readings.

The published formula takes the spread and the mean of the signed opponent channels. The code of
most colourisation papers takes absolute values first, which gives about 0.92 times as much; the two
must never stand in one column, so they have two names.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
