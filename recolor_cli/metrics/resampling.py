"""How sure a measured number is: 95 % intervals from the pictures themselves."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from recolor_cli.metrics.base import Compute, Metric, Rows

DRAWS = 1000
GROUPS = 10
SEED = 0
LEAST = 10  # fewer pictures say nothing about their spread
_T_95 = 2.262  # Student's t for GROUPS - 1 degrees of freedom
Interval = tuple[float, float]


def interval_95(metric: Metric, rows: Rows, value: float) -> Interval | None:
    """The metric's own kind of interval; None with too few pictures for one."""
    if len(rows) < max(LEAST, 2 * metric.least):
        return None
    if metric.interval == "jackknife":
        return jackknife(metric.spread or metric.compute, rows, value)
    return bootstrap(metric.compute, rows)


def bootstrap(compute: Compute, rows: Rows, *, draws: int = DRAWS) -> Interval:
    """Percentiles 2.5 and 97.5 of the value over sets drawn from the pictures with replacement."""
    random = np.random.default_rng(SEED)
    n = len(rows)
    values = [compute(rows[random.integers(0, n, n)]) for _ in range(draws)]
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def jackknife(compute: Compute, rows: Rows, value: float) -> Interval:
    """Value ± t · standard error from leaving out each of ten random groups of pictures.

    A bootstrap repeats pictures, and a Frechet distance of fewer different pictures is larger:
    its interval would not hold the value. Leaving a tenth out moves all ten values alike.
    """
    random = np.random.default_rng(SEED)
    group = random.permutation(np.arange(len(rows)) % GROUPS)
    values = np.array([compute(rows[group != left_out]) for left_out in range(GROUPS)])
    error = math.sqrt((GROUPS - 1) / GROUPS * np.square(values - values.mean()).sum())
    return value - _T_95 * error, value + _T_95 * error


def paired_difference(each_a: Rows, each_b: Rows, compute: Callable[[Rows], float]) -> Interval:
    """Interval of compute(b) - compute(a) for rows (n, k) of the same pictures, drawn together."""
    width = each_a.shape[1]

    def difference(rows: Rows) -> float:
        return compute(rows[:, width:]) - compute(rows[:, :width])

    return bootstrap(difference, np.concatenate((each_a, each_b), axis=1))
