"""How a distribution over ab becomes ab: the colour of a thing, and what plays on it.

One temperature for all is a bad bargain. Cold, the likeliest bin wins (Zhang et al. 2016, section
2.3): colours are lively, and wrong ones are as lively as right ones. Warm, the mean is nearest to
the truth, and drab. But errors are broad and liveliness is fine: a wrong tint covers a coat, while
what tells a photograph from a wash is how colour changes from place to place. So the broad part of
the picture is decoded warm and the fine part cold:

    ab = broad_gain * blur(mean at broad_temperature)
       + fine_gain * (m - blur(m)),  m = mean at temperature

with a Gaussian blur of `broad_cells` cells of the map. `bins.decode` computes it.

And one look is a bad witness. A blotch that the network sees in a picture is often gone when it
sees the same picture smaller; what a thing is, is not. So the distribution may be the (geometric)
mean of that of the picture and that of a smaller one; `spaces.predict` looks twice.

Nothing here needs torch, so that lists of weights and recipes open at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

DEFAULT_TEMPERATURE = 0.3

# name -> the largest value; all are numbers above 0.
LIMITS = {
    "temperature": 10.0,
    "broad_temperature": 10.0,
    "broad_cells": 16.0,
    "broad_gain": 4.0,
    "fine_gain": 4.0,
    "second_size": 1.0,
    "second_weight": 1.0,
}


@dataclass(frozen=True)
class Decoding:
    """How ab is made of a distribution; what weights say of it stands in their card's `color`.

    Attributes:
        temperature: of the annealed mean; of its fine part, if there is a broad one.
        broad_temperature: of the broad part; None decodes all at `temperature`.
        broad_cells: standard deviation of the blur that parts broad from fine, in cells.
        broad_gain, fine_gain: what the parts are multiplied by.
        second_size: of a second, smaller look, as a share of the first one's sides; None is none.
        second_weight: share of the second look in the mean of both.
    """

    temperature: float = DEFAULT_TEMPERATURE
    broad_temperature: float | None = None
    broad_cells: float = 3.0
    broad_gain: float = 1.0
    fine_gain: float = 1.0
    second_size: float | None = None
    second_weight: float = 0.5

    @classmethod
    def of(cls, color: Mapping[str, Any], temperature: float | None = None) -> Decoding:
        """What a card's `color` says; `temperature` overrules its own."""
        said = {f.name: color[f.name] for f in fields(cls) if f.name in color}
        return cls(**said if temperature is None else {**said, "temperature": temperature})

    def to_color(self) -> dict[str, float]:
        """For a card's `color`: the temperature, and the rest if it plays a part."""
        said = {"temperature": self.temperature}
        if self.broad_temperature is not None:
            names = ("broad_temperature", "broad_cells", "broad_gain", "fine_gain")
            said |= {name: getattr(self, name) for name in names}
        if self.second_size is not None:
            said |= {"second_size": self.second_size, "second_weight": self.second_weight}
        return said


def wrong_decoding(color: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first of a card's figures that cannot be, with what it must be; None if all can."""
    for name, most in LIMITS.items():
        value = color.get(name, most)
        if type(value) not in (int, float) or not 0 < value <= most:
            return name, f"a number above 0, at most {most:g}"
    return None
