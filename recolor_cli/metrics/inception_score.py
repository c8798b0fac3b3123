"""The Inception score of coloured pictures, beside that of the true ones (Salimans et al. 2016)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from recolor_cli.metrics.base import Metric, Rows

SPLITS, SEED = 10, 2020  # torch-fidelity's


def inception_score(logits: NDArray[np.floating]) -> float:
    """exp(mean KL(p(y | x) || p(y))), mean over ten random parts; logits (n, classes)."""
    order = np.random.RandomState(SEED).permutation(len(logits))
    shuffled = torch.from_numpy(logits[order]).double()
    p, log_p = shuffled.softmax(1), shuffled.log_softmax(1)
    scores = []
    for part in range(SPLITS):
        rows = slice(part * len(p) // SPLITS, (part + 1) * len(p) // SPLITS)
        divergence = p[rows] * (log_p[rows] - p[rows].mean(0, keepdim=True).log())
        scores.append(divergence.sum(1).mean().exp().item())
    return float(np.mean(scores))


def score_of_coloured(rows: Rows) -> float:
    """Rows hold the logits of the coloured picture, then those of the true one."""
    return inception_score(rows[:, : rows.shape[1] // 2])


def score_of_true(rows: Rows) -> float:
    """The score of the true pictures: what a perfect colouring gets."""
    return inception_score(rows[:, rows.shape[1] // 2 :])


INCEPTION_SCORE = Metric(
    name="is",
    definition="Inception score, exp of the mean KL divergence between a picture's classes and all "
    "pictures' classes, mean over 10 random parts, as torch-fidelity (logits without bias). Stands "
    "beside that of the true pictures; near it is good.",
    preprocessing="as fid",
    unit="",
    better="truth",
    compute=score_of_coloured,
    stream="inception/logits",
    of_truth=score_of_true,
    interval="jackknife",
    least=20,
)
