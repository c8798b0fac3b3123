"""The Frechet distance between two sets of features, exact also where covariances are singular.

Heusel et al. 2017 (FID), equation 6, with the unbiased (n - 1) covariance that every FID tool uses.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recolor_cli.metrics.base import Metric, Rows

Features = NDArray[np.floating]
_CHUNK = 4096  # rows in float64 at a time


def frechet_distance(coloured: Features, true: Features) -> float:
    """|mu_c - mu_t|^2 + tr(C_c + C_t - 2 (C_c C_t)^(1/2)) of features (n, d) and (m, d).

    With C = F'F, the trace of (C_c C_t)^(1/2) is the sum of the singular values of F_c F_t'. This
    needs no matrix square root, so fewer images than feature dimensions, or constant features,
    give the exact value, where the usual square root turns complex or needs a correction.

    Returns:
        The distance, at least 0 up to rounding; 0 for equal sets.

    Raises:
        ValueError: wrong shapes, or fewer than 2 pictures on a side.
    """
    if coloured.ndim != 2 or true.ndim != 2 or coloured.shape[1] != true.shape[1]:
        raise ValueError(f"features must be (n, d) and (m, d), got {coloured.shape}, {true.shape}")
    if min(len(coloured), len(true)) < 2:
        raise ValueError("a covariance needs at least 2 images on each side")
    mean_c, factor_c = _mean_and_factor(coloured)
    mean_t, factor_t = _mean_and_factor(true)
    cross = torch.linalg.svdvals(factor_c @ factor_t.T).sum()
    distance = (mean_c - mean_t).square().sum() + factor_c.square().sum() + factor_t.square().sum()
    return float(distance - 2 * cross)


def _mean_and_factor(features: Features) -> tuple[Tensor, Tensor]:
    """Mean (d,) and a factor F (at most d rows) with F'F = the covariance, in float64."""
    mean = torch.from_numpy(features.mean(0, dtype=np.float64))
    factor = mean.new_empty((0, len(mean)))
    for start in range(0, len(features), _CHUNK):
        rows = torch.from_numpy(features[start : start + _CHUNK]).double() - mean
        factor = torch.cat((factor, rows))
        if len(factor) > len(mean):
            # R of a QR decomposition has the same product R'R, and only d rows.
            factor = torch.linalg.qr(factor, mode="r").R
    return mean, factor / (len(features) - 1) ** 0.5


def distance_of_rows(rows: Rows) -> float:
    """Rows hold the features of the coloured picture, then those of the true one."""
    half = rows.shape[1] // 2
    return frechet_distance(rows[:, :half], rows[:, half:])


def _fid(name: str, definition: str, preprocessing: str, stream: str) -> Metric:
    return Metric(
        name=name,
        definition=f"{definition} Frechet distance of the 2048 pooled features, coloured against "
        "true pictures of the same set. It falls with the number of pictures: never compare "
        "across different n.",
        preprocessing=preprocessing,
        unit="",
        better="lower",
        compute=distance_of_rows,
        stream=stream,
        interval="jackknife",
        least=2,
    )


FID = _fid(
    "fid",
    "Frechet Inception distance, TensorFlow's Inception of 2015 as torch-fidelity ports it.",
    "8-bit sRGB -> 299 × 299 by TensorFlow 1's bilinear, no antialiasing -> (x - 128) / 128",
    "inception/features",
)
FID_CLEAN = _fid(
    "fid-clean",
    "Frechet Inception distance after Parmar et al. 2022 (clean-fid), same network as fid.",
    "8-bit sRGB -> 299 × 299 by Pillow's antialiased bicubic in float, each channel by itself, "
    "not rounded -> (x - 128) / 128",
    "inception-clean/features",
)
FID_CT2 = _fid(
    "fid-ct2",
    "Frechet Inception distance as the code of colourisation papers computes it (CT2, ColorMNet): "
    "torchvision's ImageNet Inception, fed a wrong range. For comparing with their tables only.",
    "8-bit sRGB -> -1..1 -> 299 × 299 bilinear, no antialiasing -> x / 2 + 0.5 -> "
    "x · (0.229, 0.224, 0.225) / 0.5 + ((0.485, 0.456, 0.406) - 0.5) / 0.5",
    "inception-ct2/features",
)
