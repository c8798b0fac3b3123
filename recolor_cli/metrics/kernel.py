"""The kernel distance between two sets of features: kid (Binkowski et al. 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recolor_cli.metrics.base import Metric, Rows

SUBSETS, SUBSET_SIZE, SEED = 100, 1000, 2020  # torch-fidelity's

Features = NDArray[np.floating]


def kernel_distance(
    coloured: Features, true: Features, *, subsets: int = SUBSETS, size: int = SUBSET_SIZE
) -> float:
    """Unbiased squared MMD with the kernel (x'y / d + 1)^3, mean over random subsets.

    Args:
        coloured: features (n, d).
        true: features (m, d).
        subsets: how many subsets are drawn, as torch-fidelity draws them.
        size: pictures in each; fewer when there are fewer.
    """
    size = min(size, len(coloured), len(true))
    random = np.random.RandomState(SEED)  # the generator that torch-fidelity's figures come from
    distances = []
    for _ in range(subsets):
        x = coloured[random.choice(len(coloured), size, replace=False)].astype(np.float64)
        y = true[random.choice(len(true), size, replace=False)].astype(np.float64)
        distances.append(_mmd(x, y))
    return float(np.mean(distances))


def _mmd(x: Features, y: Features) -> float:
    n, d = x.shape
    xx, yy, xy = ((a @ b.T / d + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    within = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (n * (n - 1))
    return float(within - 2 * xy.mean())


def distance_of_rows(rows: Rows) -> float:
    """Rows hold the features of the coloured picture, then those of the true one."""
    half = rows.shape[1] // 2
    return kernel_distance(rows[:, :half], rows[:, half:])


def quick_distance_of_rows(rows: Rows) -> float:
    """The same from ten subsets, for intervals."""
    half = rows.shape[1] // 2
    return kernel_distance(rows[:, :half], rows[:, half:], subsets=10)


KID = Metric(
    name="kid",
    definition="Kernel Inception distance: unbiased squared MMD of the 2048 pooled features with "
    f"the kernel (x·y / 2048 + 1)³, mean over {SUBSETS} subsets of {SUBSET_SIZE} pictures (of all, "
    "where there are fewer), as torch-fidelity. Values slightly below 0 are possible.",
    preprocessing="as fid",
    unit="",
    better="lower",
    compute=distance_of_rows,
    stream="inception/features",
    spread=quick_distance_of_rows,
    interval="jackknife",
    least=2,
)
