"""Figures on the validation set: is it learning, and which checkpoint is the best?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recolor_cli.color.tensors import lab_to_rgb
from recolor_cli.data.batches import validation_batches
from recolor_cli.data.photos import Photo
from recolor_cli.data.tensors import LabCrops
from recolor_cli.devices import Machine
from recolor_cli.models.sizes import center_crop
from recolor_cli.recipes import Recipe
from recolor_cli.training.adversary import Game
from recolor_cli.training.objective import Objective
from recolor_cli.training.precision import autocast

BATCH = 16


@dataclass(frozen=True)
class Judgement:
    """What validation found.

    Attributes:
        figures: means over the photographs, see `validate`.
        each: those of them that single photographs have, in the order of the photographs.
        losses: what training asks for beside the objective, on these photographs.
    """

    figures: dict[str, float]
    each: dict[str, list[float]]
    losses: dict[str, float] = field(default_factory=dict)


@torch.no_grad()
def validate(
    network: nn.Module,
    photos: Sequence[Photo],
    recipe: Recipe,
    objective: Objective,
    machine: Machine,
    rivals: tuple[Game, nn.Module] | None = None,
) -> Judgement:
    """Figures over the middles of the photographs, and the losses of training (001, "Evaluation").

    Args:
        network: what is judged; it and the discriminator are left in eval mode.
        photos: nobody learns from them.
        recipe: sizes. objective: what the network is asked for.
        machine: where it computes.
        rivals: the game and the discriminator, once it has joined.

    Returns:
        loss: the objective's (what `best_by=loss` looks at).
        ab_error: mean distance of a and of b from the truth, at full size; ab_error_gray: of grey.
        colorfulness, colorfulness_truth: Hasler and Suesstrunk 2003, on 0..255.
        Among the losses, as in training: g_perceptual, g_lpips, g_adversarial, d, d_real, d_fake.
    """
    network.eval()
    each: dict[str, list[float]] = defaultdict(list)
    losses: dict[str, float] = defaultdict(float)
    for batch in validation_batches(photos, recipe, BATCH):
        crops = LabCrops(batch, machine.device)
        with autocast(machine):
            output = network(objective.space.encode(crops.luminance)).float()
        ab = F.interpolate(objective.ab(output, crops), batch.rgb.shape[1:3], mode="bicubic")
        painted = lab_to_rgb(torch.cat((crops.luminance, ab), dim=1))
        rows = {
            "ab_error": (ab - crops.lab[:, 1:]).abs().mean((1, 2, 3)),
            "ab_error_gray": crops.lab[:, 1:].abs().mean((1, 2, 3)),
            "colorfulness": _colorfulness(painted),
            "colorfulness_truth": _colorfulness(crops.rgb),
        }
        for name, values in rows.items():
            each[name] += values.tolist()
        found = objective.losses(output, crops)
        if rivals is not None:
            found |= _losses_of_rivals(network, output, crops, objective, rivals)
        for name, loss in found.items():
            losses[name] += float(loss) * len(crops) / len(photos)
    figures = {name: sum(values) / len(values) for name, values in each.items()}
    if recipe.objective != "none":
        figures["loss"] = losses.pop("g_reconstruction")
    return Judgement(figures, dict(each), dict(losses))


def _losses_of_rivals(
    network: nn.Module,
    output: Tensor,
    crops: LabCrops,
    objective: Objective,
    rivals: tuple[Game, nn.Module],
) -> dict[str, Tensor]:
    game, discriminator = rivals
    if margin := getattr(network, "margin", 0):  # in training it is shown the middle alone
        crops = crops.middle(margin)
        output = center_crop(output, *crops.luminance.shape[-2:])
    real = objective.real(crops, output.shape[-2:])
    return game.losses_of_both(discriminator.eval(), real, objective.fake(output, crops))


def _colorfulness(rgb: Tensor) -> Tensor:
    """Hasler and Suesstrunk 2003, section 6, of (B, 3, H, W) 0..1 -> (B,)."""
    red, green, blue = (rgb * 255).unbind(1)
    rg, yb = (red - green).flatten(1), ((red + green) / 2 - blue).flatten(1)
    spread = (rg.var(1, unbiased=False) + yb.var(1, unbiased=False)).sqrt()
    return spread + 0.3 * (rg.mean(1) ** 2 + yb.mean(1) ** 2).sqrt()
