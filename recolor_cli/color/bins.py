"""Distributions over ab: the in-gamut bins, soft encoding, rebalancing, and the one decoder.

After Zhang, Isola, Efros, "Colorful Image Colorization" (ECCV 2016): sections 2.1 (quantised ab
space), 2.2 (class rebalancing, equation 4) and 2.3 (annealed mean, equation 5). The bins are
computed here from the sRGB gamut, not copied from anybody's table.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from recolor_cli.color.decoding import Decoding
from recolor_cli.color.tensors import rgb_to_lab

AB_LIMIT = 110  # |a| and |b| of sRGB colours stay below this
_ROW = 1024  # more than there are cells along b, of one ab unit or wider
NEIGHBOURS = 8  # bins that share one colour's probability mass
SIGMA = 5.0  # of the Gaussian that shares it, in ab units
_REACH = 2.5  # standard deviations at which `blur` cuts its Gaussian off

# Of `sample_ab`, chosen by eye on photographs.
TILT = 0.9  # standard deviation of what a draw adds to log-probabilities
TILT_WIDTH = 15.0  # ab units over which it stays alike
REGIONS = 7
ALIKE_AB = 12.0  # difference of mean colour or spread, in ab units, that separates regions
ALIKE_PLACE = 0.6  # the same of place, in parts of the height and width
BLEND = 0.45  # softness of their borders
CALM = 2.0  # times the temperature: a tilt sharpens the odds, and would flip single patches


@lru_cache(maxsize=4)
def ab_bins(step: int = 10) -> Tensor:
    """Centres (K, 2) of the cells of an ab grid that hold at least one sRGB colour.

    Args:
        step: width of a cell in ab units; 10 gives about 300 bins.
    """
    axis = torch.linspace(0, 1, 52, device="cpu")  # every fifth of 256 values; real even on "meta"
    rgb = torch.cartesian_prod(axis, axis, axis).T.reshape(3, -1, 1)
    cells = torch.round(rgb_to_lab(rgb)[1:, :, 0].T / step).to(torch.int64)
    # As one number each: finding rows that differ takes twenty times as long.
    key: Tensor = torch.unique(cells[:, 0] * _ROW + cells[:, 1] + _ROW // 2)
    occupied = torch.stack([key // _ROW, key % _ROW - _ROW // 2], 1)
    return (occupied * step).float()


class SoftEncoder:
    """ab -> the nearest bins and their weights, from a table over integer ab.

    Args:
        bins: (K, 2) bin centres.
    """

    def __init__(self, bins: Tensor) -> None:
        side = 2 * AB_LIMIT + 1
        axis = torch.arange(-AB_LIMIT, AB_LIMIT + 1, device="cpu").float()
        points = torch.cartesian_prod(axis, axis)
        # On the processor, wherever the bins are: one point in nine has two nearest ones, and which
        # of them comes first is left to each device.
        distance, index = torch.cdist(points, bins.cpu().float()).topk(
            min(NEIGHBOURS, len(bins)), largest=False
        )
        weight = torch.exp(-(distance**2) / (2 * SIGMA**2)).clamp_min(1e-12)
        weight = weight / weight.sum(1, keepdim=True)
        self._index = index.reshape(side, side, -1).to(bins.device)
        self._weight = weight.reshape(side, side, -1).to(bins.device)

    def __call__(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """Ab (B, 2, H, W) -> bin numbers and weights, (B, H, W, NEIGHBOURS), which sum to 1."""
        cell = (ab.round() + AB_LIMIT).long().clamp_(0, 2 * AB_LIMIT)
        return self._index[cell[:, 0], cell[:, 1]], self._weight[cell[:, 0], cell[:, 1]]


def rebalancing_weights(frequency: Tensor, uniform: float) -> Tensor:
    """Class weights (K,) that make rare colours count more (Zhang 2016, equation 4).

    Args:
        frequency: (K,) how often each bin occurs; any positive scale.
        uniform: share of the uniform distribution mixed in; 0 weighs by 1 / frequency, 1 evenly.

    Returns:
        Weights with mean 1 under `frequency`.
    """
    p = frequency / frequency.sum()
    weight = 1.0 / ((1 - uniform) * p + uniform / len(p))
    return weight / (weight * p).sum()


def soft_cross_entropy(logits: Tensor, index: Tensor, weight: Tensor, rebalance: Tensor) -> Tensor:
    """Mean rebalanced cross-entropy between logits and a soft encoding (Zhang 2016, equation 2).

    Args:
        logits: (B, K, H, W).
        index: (B, H, W, N) bin numbers. weight: (B, H, W, N), sums to 1 over N.
        rebalance: (K,) class weights; a pixel counts with that of its nearest bin.
    """
    log_p = torch.log_softmax(logits.permute(0, 2, 3, 1).float(), dim=-1)
    pixel_loss = -(log_p.gather(-1, index) * weight).sum(-1)
    return (pixel_loss * rebalance[index[..., 0]]).mean()


def annealed_mean(logits: Tensor, bins: Tensor, temperature: float) -> Tensor:
    """Mean bin centre under softmax(logits / temperature) (Zhang 2016, equation 5).

    Args:
        logits: (B, K, H, W). bins: (K, 2).
        temperature: 1 is the plain mean (drab); towards 0 the likeliest bin (lively, patchy).

    Returns:
        ab (B, 2, H, W).
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    p = torch.softmax(logits.float() / temperature, dim=1)
    return torch.einsum("bkhw,kc->bchw", p, bins.to(p))


def decode(logits: Tensor, bins: Tensor, how: Decoding, *, learn_broad: bool = True) -> Tensor:
    """Ab (B, 2, H, W) of logits (B, K, H, W) over bins (K, 2).

    Args:
        learn_broad: False stops the gradient of the broad part. An adversary is to teach how
            colours vary, not which ones to be bold with: of these the mean knows the odds.
    """
    fine = annealed_mean(logits, bins, how.temperature)
    if how.broad_temperature is None:
        return fine
    broad = annealed_mean(logits if learn_broad else logits.detach(), bins, how.broad_temperature)
    blurred = blur(torch.cat((broad, fine), dim=1), how.broad_cells)
    return how.broad_gain * blurred[:, :2] + how.fine_gain * (fine - blurred[:, 2:])


def blur(maps: Tensor, cells: float) -> Tensor:
    """Gaussian of standard deviation `cells` over (B, C, H, W); edges count on and on."""
    reach = math.ceil(_REACH * cells)
    places = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    weights = torch.exp(-(places**2) / (2 * cells**2))
    weights = (weights / weights.sum()).expand(maps.shape[1], 1, -1)
    wide = F.pad(maps, (reach,) * 4, mode="replicate")
    rows = F.conv2d(wide, weights[:, :, None], groups=maps.shape[1])
    return F.conv2d(rows, weights[..., None], groups=maps.shape[1])


def confidence(logits: Tensor) -> Tensor:
    """1 - normalised entropy of the distribution: (B, K, H, W) -> (B, H, W), 0 (no idea) .. 1."""
    log_p = torch.log_softmax(logits.float(), dim=1)
    return 1 + (log_p.exp() * log_p).sum(1) / math.log(logits.shape[1])


def sample_ab(logits: Tensor, bins: Tensor, how: Decoding, *, seed: int) -> Tensor:
    """One plausible colouring, by seed: (B, K, H, W) -> ab (B, 2, H, W).

    Independent draws for each pixel would be confetti, and one draw for the whole picture a tint.
    Here a few regions, each alike in what the network says and in place, draw for themselves: the
    log-probabilities of a region are tilted by a random function over ab, smooth so that hues win
    or lose together. Where the network is sure, the tilt changes little; where it is not, a coat
    is green in one draw and blue in another. A batch's pictures draw independently.
    """
    generator = torch.Generator().manual_seed(seed)
    centers = bins.float().cpu()
    kernel = torch.exp(-(torch.cdist(centers, centers) ** 2) / (2 * TILT_WIDTH**2))
    kernel = kernel / kernel.pow(2).sum(1, keepdim=True).sqrt()  # tilts have variance 1
    log_p = torch.log_softmax(logits.float(), dim=1)
    tilts = []
    for one in log_p.exp().cpu():
        share = _regions(one, centers, generator)
        tilt = kernel @ torch.randn(len(centers), share.shape[0], generator=generator)
        tilts.append((tilt @ share.flatten(1)).reshape(one.shape))
    tilted = log_p + TILT * torch.stack(tilts).to(log_p)
    return decode(tilted, bins, replace(how, temperature=CALM * how.temperature))


def _regions(p: Tensor, bins: Tensor, generator: torch.Generator) -> Tensor:
    """How much each pixel belongs to each random region, (R, H, W); squares sum to 1.

    Pixels are alike if the mean colour of their distribution, its spread and their place are.
    Centres are drawn far from each other (k-means++: Arthur and Vassilvitskii 2007).
    """
    mean = torch.einsum("khw,kc->chw", p, bins)
    square = torch.einsum("khw,k->hw", p, bins.pow(2).sum(1))
    spread = (square - mean.pow(2).sum(0)).clamp_min(0).sqrt()
    _, height, width = p.shape
    y = torch.linspace(0, 1, height, device="cpu")[:, None].expand(height, width)
    x = torch.linspace(0, 1, width, device="cpu").expand(height, width)
    looks = torch.stack((*(mean / ALIKE_AB), spread / ALIKE_AB, x / ALIKE_PLACE, y / ALIKE_PLACE))
    looks = looks.flatten(1).T
    chosen = [int(torch.randint(len(looks), (1,), generator=generator))]
    for _ in range(REGIONS - 1):
        far = torch.cdist(looks, looks[chosen]).amin(1) ** 2 + 1e-6
        # By the cumulative sum: torch.multinomial takes no more than 2^24 pixels.
        mark = torch.rand(1, generator=generator) * far.sum()
        chosen.append(min(int(torch.searchsorted(far.cumsum(0), mark)), len(looks) - 1))
    share = torch.softmax(-(torch.cdist(looks, looks[chosen]) ** 2) / (2 * BLEND**2), dim=1)
    share = share / share.pow(2).sum(1, keepdim=True).sqrt()
    return share.T.reshape(REGIONS, height, width)
