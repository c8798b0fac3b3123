"""The Frechet distance between two sets of features, exact also where covariances are singular.

Heusel et al. 2017 (FID), equation 6, with the unbiased (n - 1) covariance that every FID tool uses.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Features = NDArray[np.float32]


def frechet_distance(predicted: Features, true: Features) -> float:
    """|mu_p - mu_t|^2 + tr(C_p + C_t - 2 (C_p C_t)^(1/2)) of features (n, d) and (m, d).

    With C = F'F, the trace of (C_p C_t)^(1/2) is the sum of the singular values of F_p F_t'. This
    needs no matrix square root, so fewer images than feature dimensions, or constant features,
    give the exact value, where the usual square root turns complex or needs a correction.

    Returns:
        The distance, at least 0 up to rounding; 0 for equal sets.
    """
    if predicted.ndim != 2 or true.ndim != 2 or predicted.shape[1] != true.shape[1]:
        raise ValueError(f"features must be (n, d) and (m, d), got {predicted.shape}, {true.shape}")
    if min(len(predicted), len(true)) < 2:
        raise ValueError("a covariance needs at least 2 images on each side")
    mean_p, factor_p = _mean_and_factor(predicted)
    mean_t, factor_t = _mean_and_factor(true)
    cross = torch.linalg.svdvals(factor_p @ factor_t.T).sum()
    distance = (mean_p - mean_t).square().sum() + factor_p.square().sum() + factor_t.square().sum()
    return float(distance - 2 * cross)


def _mean_and_factor(features: Features) -> tuple[Tensor, Tensor]:
    """Mean (d,) and a factor F (min(n, d), d) with F'F = the covariance, in float64."""
    x = torch.from_numpy(features).double()
    mean = x.mean(0)
    centred = (x - mean) / (len(x) - 1) ** 0.5
    if len(x) > x.shape[1]:
        # R of a QR decomposition has the same product R'R and only d rows.
        centred = torch.linalg.qr(centred, mode="r").R
    return mean, centred
