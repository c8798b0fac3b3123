"""Warmth: colours as if the light had been warmer or cooler, luminance as it was.

The amount is in mireds (10^6 / colour temperature), the unit of photographers' filters: equal steps
look equally large. The change is from daylight of 6504 K (D65), along the CIE daylight locus, by
scaling X and Z (von Kries in XYZ). In Lab that is a scale and a shift that grows with lightness:

    a' = s a + 500 (s - 1) f(Y),  s = cbrt(X' / X)
    b' = t b + 200 (1 - t) f(Y),  t = cbrt(Z' / Z)

so whites take on the light's colour, and black hardly does. CIE 15:2018, section 4.1.2 (daylight
locus) and 8.2.1 (Lab).
"""

from __future__ import annotations

import numpy as np

from recolor_cli.color.curves import Floats

NEUTRAL_MIRED = 1e6 / 6504
MOST = 80.0  # mireds either way: 4280 K, and 13560 K


def warm(lightness: Floats, ab: Floats, mired: float) -> Floats:
    """Warm an ab map.

    Args:
        lightness: (h, w) float32, L 0..100.
        ab: (h, w, 2) float32, Lab units.
        mired: -80..80; above 0 is warmer, as towards evening; 0 changes nothing.

    Returns:
        ab (h, w, 2) float32; what leaves the gamut is for `merge_ab` to bring back.

    Raises:
        ValueError: More than 80 mireds.
    """
    if not -MOST <= mired <= MOST:
        raise ValueError(f"warmth must be within {-MOST:g}..{MOST:g} mireds, got {mired}")
    white, light = _white(NEUTRAL_MIRED), _white(NEUTRAL_MIRED + mired)
    s, t = (float(np.cbrt(new / old)) for new, old in zip(light, white, strict=True))
    f = (lightness + np.float32(16)) / np.float32(116)
    a = ab[..., 0] * np.float32(s) + np.float32(500 * (s - 1)) * f
    b = ab[..., 1] * np.float32(t) + np.float32(200 * (1 - t)) * f
    return np.ascontiguousarray(np.dstack([a, b]), np.float32)


def _white(mired: float) -> tuple[float, float]:
    """X and Z of daylight, at Y = 1."""
    kelvin = 1e6 / mired
    if kelvin <= 7000:
        x = -4.6070e9 / kelvin**3 + 2.9678e6 / kelvin**2 + 0.09911e3 / kelvin + 0.244063
    else:
        x = -2.0064e9 / kelvin**3 + 1.9018e6 / kelvin**2 + 0.24748e3 / kelvin + 0.237040
    y = -3.000 * x**2 + 2.870 * x - 0.275
    return x / y, (1 - x - y) / y
