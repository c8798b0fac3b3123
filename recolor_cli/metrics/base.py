"""What a metric is: name and definition, what it keeps of each picture, the number it gives.

A metric is two pure functions. `update` turns a coloured picture and its truth into a few numbers
(a row), `compute` turns the rows of all pictures into the value. The state between them is nothing
but the rows, so batches, order of arrival and resampling cannot change what is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3) sRGB, 0..255
Rows = NDArray[np.floating]  # (n, k): one row a picture
Update = Callable[[Pixels, Pixels], tuple[float, ...]]  # coloured, true -> a row
Compute = Callable[[Rows], float]

Better = Literal["higher", "lower", "truth"]


def mean(rows: Rows) -> float:
    """The mean of the first column: what a metric of single pictures comes to."""
    return float(rows[:, 0].astype(np.float64).mean())


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that tells about a set of coloured pictures and their truths.

    Attributes:
        name: what `--metric` and reports call it.
        definition: formula and source; its first sentence stands in tables.
        preprocessing: what is done to pictures before; part of the definition.
        unit: of the value; "" if it has none.
        better: "higher", "lower", or "truth" where the value should be that of the truth.
        compute: rows of all pictures -> value.
        update: coloured and true pixels -> row; None if the rows come from a network.
        stream: which of a network's outputs its rows are, see `networks.py`; "" without one.
        of_truth: rows -> the value of the true pictures themselves, where that means something.
        each: row -> the value of one picture, if it has one: for tables and for best and worst.
        each_of_truth: the same for the true picture, where that means something.
        spread: a cheaper `compute` for intervals, where the real one is slow.
        interval: "bootstrap" over pictures, or "jackknife" over groups of pictures for metrics
            whose value depends on how many different pictures there are.
        least: fewest pictures it can be computed of.
    """

    name: str
    definition: str
    preprocessing: str
    unit: str
    better: Better
    compute: Compute = mean
    update: Update | None = None
    stream: str = ""
    of_truth: Compute | None = None
    each: Callable[[Rows], Rows] | None = None
    each_of_truth: Callable[[Rows], Rows] | None = None
    spread: Compute | None = None
    interval: Literal["bootstrap", "jackknife"] = "bootstrap"
    least: int = 1

    @property
    def network(self) -> str:
        """The network that makes its rows, or ""."""
        return self.stream.partition("/")[0]


def first_column(rows: Rows) -> Rows:
    """Value of each picture where that is the row's first number."""
    return rows[:, 0]


def second_column(rows: Rows) -> Rows:
    """The same where it is the second."""
    return rows[:, 1]
