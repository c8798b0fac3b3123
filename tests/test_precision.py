"""Colours in bf16 are those of fp32, within the tolerance that docs/explanation/speed.md states."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from recolor_cli.color.lab import small_luminance
from recolor_cli.colorize.colorizer import Colorizer
from recolor_cli.colorize.network import Answer, fit

MEAN_AB = 0.5  # Lab units, over a picture
MOST_AB = 3.0  # for 99 of 100 pixels


@pytest.fixture(scope="module")
def colorizers() -> tuple[Colorizer, Colorizer]:
    """The default weights in both number formats."""
    return Colorizer(precision="fp32", offline=True), Colorizer(precision="bf16", offline=True)


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_bf16_stays_within_the_stated_tolerance(
    colorizers: tuple[Colorizer, Colorizer], name: str
) -> None:
    gray = cv2.cvtColor(getattr(data, name)(), cv2.COLOR_RGB2GRAY)
    seen = small_luminance(gray, fit(gray.shape, colorizers[0].input_size))

    def ab(colorizer: Colorizer) -> NDArray[np.float32]:
        (answer,) = colorizer.paint([seen])
        assert isinstance(answer, Answer)
        return answer.ab

    exact, short = (ab(colorizer) for colorizer in colorizers)
    off = np.hypot(*np.moveaxis(short - exact, 2, 0))
    assert 0 < off.mean() < MEAN_AB
    assert np.percentile(off, 99) < MOST_AB
    assert np.hypot(*np.moveaxis(exact, 2, 0)).mean() > 5 * MEAN_AB, "there are colours to lose"
