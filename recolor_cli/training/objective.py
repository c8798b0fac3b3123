"""What the generator is asked for, and the pictures that a discriminator sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recolor_cli.backbones import TORCHVISION, load_lpips, load_vgg
from recolor_cli.color.bins import (
    SoftEncoder,
    decode,
    rebalancing_weights,
    soft_cross_entropy,
)
from recolor_cli.color.spaces import Space
from recolor_cli.color.tensors import lab_to_rgb
from recolor_cli.data.batches import Batch
from recolor_cli.data.crops import center_crop, cut
from recolor_cli.data.photos import Photo
from recolor_cli.data.tensors import LabCrops
from recolor_cli.losses import huber, l1, lpips_distance, perceptual
from recolor_cli.recipes import Recipe
from recolor_cli.training.networks import bins_of, space_of

FREQUENCY_PHOTOS = 2000  # how often a colour occurs is counted on so many photographs
HUBER_DELTA = 5 / 110  # five ab units: below, errors are noise
BINS_STRIDE = 4  # ... at a quarter of their size


class Objective:
    """The generator's task, whatever its space.

    Args:
        recipe: names the objective.
        network: the generator, for its space and bins.
        frequency: (K,) how often each bin occurs; only for bins, with `encode`.
        encode: ab -> the bins' soft encoding.
        full_size: the discriminator sees pictures of the crop's size, not of the output's.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        frequency: Tensor | None = None,
        encode: SoftEncoder | None = None,
        *,
        full_size: bool = False,
    ) -> None:
        self.recipe, self.full_size = recipe, full_size
        self.space: Space = space_of(network)
        self.frequency = frequency
        device = next(network.parameters()).device
        self.features = self.lpips = None
        if recipe.perceptual_weight:
            self.features = load_vgg(recipe.perceptual_weights or TORCHVISION).to(device)
        if recipe.lpips_weight:
            self.lpips = load_lpips(recipe.perceptual_weights or TORCHVISION).to(device)
        if self.space.output == "bins":
            assert frequency is not None
            assert encode is not None
            self.bins = bins_of(network)
            self.encode = encode
            self.rebalance = rebalancing_weights(frequency.to(self.bins), recipe.rebalance_uniform)

    def losses(self, output: Tensor, crops: LabCrops) -> dict[str, Tensor]:
        """All that the generator is asked for but fooling somebody, each before its weight."""
        losses = {}
        if self.recipe.objective != "none":
            losses["g_reconstruction"] = self.loss(output, crops)
        if self.features is not None:
            ab = self.ab(output, crops)
            losses["g_perceptual"] = perceptual(self.features, ab, crops.small_ab(ab.shape[-2:]))
        if self.lpips is not None:
            painted, truth = self._rgb(output, crops)
            losses["g_lpips"] = lpips_distance(self.lpips, painted, truth)
        return losses

    def weighted_sum(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The generator's loss from its parts."""
        weights = {
            "g_reconstruction": self.recipe.reconstruction_weight,
            "g_perceptual": self.recipe.perceptual_weight,
            "g_lpips": self.recipe.lpips_weight,
            "g_adversarial": self.recipe.gan_weight,
        }
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()

    def loss(self, output: Tensor, crops: LabCrops) -> Tensor:
        """How far the network's output is from the truth (before its weight, lambda)."""
        output = output.float()
        if self.recipe.objective == "bins":
            index, weight = self.encode(crops.small_ab(output.shape[-2:]))
            return soft_cross_entropy(output, index, weight, self.rebalance)
        target = self._target(output, crops)
        if self.recipe.objective == "huber":
            return huber(output, target, delta=HUBER_DELTA)
        return l1(output, target)

    def ab(self, output: Tensor, crops: LabCrops, *, learn_broad: bool = True) -> Tensor:
        """The output as ab (B, 2, h, w); for `learn_broad` see `decode`."""
        output = output.float()
        if self.space.decode is None:
            return decode(output, self.bins, self.recipe.decoding, learn_broad=learn_broad)
        return self.space.decode(output, crops.small_luminance(output.shape[-2:]))

    def fake(self, output: Tensor, crops: LabCrops) -> Tensor:
        """What a discriminator sees of the output: grey and colours, (B, 3 or 4, h, w), -1..1."""
        if self.space.output == "bins":
            colors = self.ab(output, crops, learn_broad=False) / 110
        else:
            colors = output.float()
        return self._picture(colors, crops)

    def real(self, crops: LabCrops, size: Sequence[int]) -> Tensor:
        """The same of the truth, as sharp as an output of this size (h, w) could be at best."""
        if self.space.output == "rgb":
            colors = _averaged(crops.rgb, size) * 2 - 1
        else:
            colors = crops.small_ab(tuple(size)) / 110
        return self._picture(colors, crops)

    def _rgb(self, output: Tensor, crops: LabCrops) -> tuple[Tensor, Tensor]:
        """Output and truth as RGB (B, 3, h, w), -1..1; ab joins the input's L."""
        size = output.shape[-2:]
        truth = _averaged(crops.rgb, size) * 2 - 1
        if self.space.output == "rgb":
            return output.float(), truth
        lab = torch.cat((crops.small_luminance(size), self.ab(output, crops)), dim=1)
        return lab_to_rgb(lab, clamp=False) * 2 - 1, truth

    def _picture(self, colors: Tensor, crops: LabCrops) -> Tensor:
        size = crops.luminance.shape[-2:] if self.full_size else colors.shape[-2:]
        if size != colors.shape[-2:]:
            colors = F.interpolate(colors, size, mode="bicubic", align_corners=False)
        return torch.cat((self._condition(crops, size), colors), dim=1)

    def _condition(self, crops: LabCrops, size: Sequence[int]) -> Tensor:
        luminance = crops.small_luminance(tuple(size))
        return luminance / 50 - 1 if self.space.output == "bins" else self.space.encode(luminance)

    def _target(self, output: Tensor, crops: LabCrops) -> Tensor:
        if self.space.output == "rgb":
            return _averaged(crops.rgb, output.shape[-2:]) * 2 - 1
        return crops.small_ab(output.shape[-2:]) / 110


def measure_frequency(
    photos: Sequence[Photo], recipe: Recipe, encode: SoftEncoder, count: int, device: torch.device
) -> Tensor:
    """How often each of `count` bins occurs, from the middles of some photographs; sums to 1."""
    counts = torch.zeros(count, dtype=torch.float64)
    chosen = photos[:: max(1, len(photos) // FREQUENCY_PHOTOS)][:FREQUENCY_PHOTOS]
    side = recipe.crop_px
    for photo in chosen:
        pixels = photo.load()
        rgb = cut(pixels, center_crop(pixels, recipe), side)
        crops = LabCrops(Batch(rgb[None], None), device)
        index, weight = encode(crops.small_ab((side // BINS_STRIDE, side // BINS_STRIDE)))
        counts.index_add_(0, index.flatten().cpu(), weight.flatten().cpu().double())
    return (counts / counts.sum()).float()


def _averaged(pictures: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(size) == tuple(pictures.shape[-2:]):
        return pictures
    return F.adaptive_avg_pool2d(pictures, (size[0], size[1]))
