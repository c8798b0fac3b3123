"""The metrics: one file a family, one row of `METRICS` a metric.

base.py              what a metric is: name, definition, preprocessing, unit, update, compute
difference.py        psnr, mae                      ssim.py         ssim
color_error.py       l1-ab, pixel-accuracy, delta-e2000
colorfulness.py      colorfulness and its differences
frechet.py           fid, fid-clean, fid-ct2        kernel.py       kid
inception_score.py   is                             lpips.py        lpips
networks.py          the networks behind the last four
resampling.py        intervals
"""

from recolor_cli.metrics.base import Metric
from recolor_cli.metrics.color_error import (
    DELTA_E2000,
    L1_AB,
    PIXEL_ACCURACY_2,
    PIXEL_ACCURACY_5,
)
from recolor_cli.metrics.colorfulness import (
    COLORFULNESS,
    COLORFULNESS_ABS,
    DELTA_COLORFULNESS,
    DELTA_COLORFULNESS_IMAGE,
)
from recolor_cli.metrics.difference import MAE, PSNR
from recolor_cli.metrics.frechet import FID, FID_CLEAN, FID_CT2
from recolor_cli.metrics.inception_score import INCEPTION_SCORE
from recolor_cli.metrics.kernel import KID
from recolor_cli.metrics.lpips import LPIPS
from recolor_cli.metrics.ssim import SSIM

__all__ = ["METRICS", "OFFLINE", "Metric"]

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        FID,
        FID_CLEAN,
        FID_CT2,
        KID,
        INCEPTION_SCORE,
        LPIPS,
        PSNR,
        SSIM,
        MAE,
        L1_AB,
        DELTA_E2000,
        PIXEL_ACCURACY_2,
        PIXEL_ACCURACY_5,
        COLORFULNESS,
        COLORFULNESS_ABS,
        DELTA_COLORFULNESS,
        DELTA_COLORFULNESS_IMAGE,
    )
}
OFFLINE = tuple(name for name, metric in METRICS.items() if not metric.stream)
"""Metrics that need no network's weights: what is measured when nothing is asked for."""
