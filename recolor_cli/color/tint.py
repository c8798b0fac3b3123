"""Is a photograph already coloured, grey, or toned all over like sepia?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from recolor_cli.color.curves import Pixels
from recolor_cli.color.lab import rgb_to_lab

GRAY_CHROMA = 2.0  # mean chroma that compression noise leaves in a grey photograph


@dataclass(frozen=True)
class ColorVerdict:
    """What `describe_color` found.

    Attributes:
        kind: "gray", "toned" or "color". Toned counts as grey: only its luminance is used.
        mean_chroma: mean chroma in Lab units.
    """

    kind: Literal["gray", "toned", "color"]
    mean_chroma: float


def describe_color(pixels: Pixels) -> ColorVerdict:
    """Say whether a photograph already has colour.

    Args:
        pixels: (H, W) or (H, W, 3), uint8 or uint16; a downsampled copy is enough.
    """
    if pixels.ndim == 2:
        return ColorVerdict("gray", 0.0)
    lab = rgb_to_lab(pixels)
    chroma = float(np.hypot(lab[..., 1], lab[..., 2]).mean())
    return ColorVerdict("gray" if chroma < GRAY_CHROMA else "color", chroma)
