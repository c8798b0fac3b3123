"""The learned perceptual distance between the coloured and the true picture: lpips."""

from __future__ import annotations

from recolor_cli.metrics.base import Metric, first_column

LPIPS = Metric(
    name="lpips",
    definition="Learned perceptual image patch similarity (Zhang et al. 2018), version 0.1 on "
    "AlexNet, by the authors' package, mean over pictures.",
    preprocessing="8-bit sRGB -> -1..1",
    unit="",
    better="lower",
    stream="lpips/distance",
    each=first_column,
)
