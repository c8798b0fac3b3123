"""How colourful photographs are, and what a training set of the colourful ones would be.

The study of report 000, section IV.B: its measure on RGB in 0..1, the distribution over a folder,
and a cut: training photographs below it go to validation and test in equal parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recolor_cli.data.photos import Photo, Pixels
from recolor_cli.data.split import Split, hash_share

CUTS = (0.04, 0.08, 0.12)  # of the report's measure; figure 3 weighs some, and it chose 0.08


@dataclass(frozen=True)
class Colorfulness:
    """Two measures of one photograph.

    Attributes:
        report: 0.3 mu + sigma of rg = |R - G| and yb = |(R + G) / 2 - B| on 0..1 (report 000).
        hasler: Hasler and Suesstrunk 2003, equation 7, signed differences on 0..255: 0 grey,
            15 slightly, 33 moderately, 45 averagely, 59 quite, 82 highly, 109 extremely colourful.
    """

    report: float
    hasler: float


def colorfulness(pixels: Pixels) -> Colorfulness:
    """Measure (H, W, 3) uint8 sRGB."""
    red, green, blue = np.moveaxis(pixels.astype(np.float32), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    return Colorfulness(_combine(np.abs(rg) / 255, np.abs(yb) / 255), _combine(rg, yb))


def _combine(rg: NDArray[np.float32], yb: NDArray[np.float32]) -> float:
    mean = np.hypot(rg.mean(dtype=np.float64), yb.mean(dtype=np.float64))
    spread = np.hypot(rg.std(dtype=np.float64), yb.std(dtype=np.float64))
    return float(0.3 * mean + spread)


def measure(photos: Sequence[Photo]) -> dict[str, Colorfulness]:
    """Digest -> both measures."""
    return {photo.digest: colorfulness(photo.load()) for photo in photos}


def cut_dull(split: Split, measured: dict[str, Colorfulness], minimum: float) -> Split:
    """Move training photographs below `minimum` to val and test, half and half by content hash.

    Args:
        split: of everything. measured: of at least its training photographs.
        minimum: of the report's measure; the report chose 0.08.
    """
    sets = dict(split.sets)
    dull = [d for d, s in sets.items() if s == "train" and measured[d].report < minimum]
    for index, digest in enumerate(sorted(dull, key=hash_share)):
        sets[digest] = ("val", "test")[index % 2]
    return Split(sets, split.names, split.left_out)
