"""Figures on the validation set: is it learning, and which checkpoint is the best?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recolor_cli.color.tensors import lab_to_rgb
from recolor_cli.data.batches import validation_batches
from recolor_cli.data.photos import Photo
from recolor_cli.data.tensors import LabCrops
from recolor_cli.devices import Machine
from recolor_cli.recipes import Recipe
from recolor_cli.training.objective import Objective
from recolor_cli.training.precision import autocast

BATCH = 16


@dataclass(frozen=True)
class Judgement:
    """What validation found.

    Attributes:
        figures: means over the photographs, see `validate`.
        each: those of them that single photographs have, in the order of the photographs.
    """

    figures: dict[str, float]
    each: dict[str, list[float]]


@torch.no_grad()
def validate(
    network: nn.Module,
    photos: Sequence[Photo],
    recipe: Recipe,
    objective: Objective,
    machine: Machine,
) -> Judgement:
    """Figures over the middles of the photographs.

    Returns:
        loss: the objective's (what `best_by=loss` looks at).
        ab_error: mean distance of a and of b from the truth, at full size; ab_error_gray: of grey.
        colorfulness, colorfulness_truth: Hasler and Suesstrunk 2003, on 0..255.
    """
    network.eval()
    each: dict[str, list[float]] = defaultdict(list)
    loss = 0.0
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
        if recipe.objective != "none":
            loss += float(objective.loss(output, crops)) * len(crops)
    figures = {name: sum(values) / len(values) for name, values in each.items()}
    if recipe.objective != "none":
        figures["loss"] = loss / len(photos)
    return Judgement(figures, dict(each))


def _colorfulness(rgb: Tensor) -> Tensor:
    """Hasler and Suesstrunk 2003, section 6, of (B, 3, H, W) 0..1 -> (B,)."""
    red, green, blue = (rgb * 255).unbind(1)
    rg, yb = (red - green).flatten(1), ((red + green) / 2 - blue).flatten(1)
    spread = (rg.var(1, unbiased=False) + yb.var(1, unbiased=False)).sqrt()
    return spread + 0.3 * (rg.mean(1) ** 2 + yb.mean(1) ** 2).sqrt()
