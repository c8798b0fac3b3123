"""Optimisers, learning rate over the run, and the moving average of the generator."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from recolor_cli.recipes import Recipe


def build_optimizer(
    recipe: Recipe, groups: Iterable[dict[str, object]], lr: float
) -> torch.optim.Optimizer:
    """The recipe's optimiser over parameter groups; each group may bring an "lr_scale".

    Args:
        recipe: names the optimiser and its constants.
        groups: dicts with "params" and, optionally, "lr_scale".
        lr: of a group whose scale is 1.
    """
    groups = [{**group, "lr_scale": group.get("lr_scale", 1.0)} for group in groups]
    betas = (recipe.beta1, recipe.beta2)
    decay = recipe.weight_decay
    # Fused: one pass over the parameters instead of ten; a quarter of a step on a CPU.
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=lr, betas=betas, weight_decay=decay, fused=True)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=lr, betas=betas, weight_decay=decay, fused=True)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=lr, weight_decay=decay)
    return torch.optim.SGD(groups, lr=lr, weight_decay=decay)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Give an optimiser the moments of `state`, and keep its own constants.

    torch would bring back the constants too: those of a recipe that may have been changed since.

    Raises:
        ValueError: The moments are those of other parameters, or of another optimiser.
    """
    constants = [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, constants, strict=True):
        group.update(own)
    wanted = _MOMENTS[type(optimizer)]
    for moments in optimizer.state.values():
        if not moments.keys() <= wanted:
            raise ValueError(f"moments of another optimizer than {type(optimizer).__name__}")


_MOMENTS: dict[type[torch.optim.Optimizer], set[str]] = {
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.RMSprop: {"step", "square_avg"},
    torch.optim.SGD: {"momentum_buffer"},
}


def decay_groups(parameters: Iterable[nn.Parameter], lr_scale: float) -> list[dict[str, object]]:
    """Two groups: kernels and matrices decay; biases and norms do not."""
    parameters = list(parameters)
    groups: list[dict[str, object]] = [
        {"params": [p for p in parameters if p.ndim > 1], "lr_scale": lr_scale},
        {
            "params": [p for p in parameters if p.ndim <= 1],
            "lr_scale": lr_scale,
            "weight_decay": 0.0,
        },
    ]
    return [group for group in groups if group["params"]]


def lr_factor(recipe: Recipe, seen_images: int, total_images: int) -> float:
    """What the learning rate is multiplied by after so many images: warm-up, then the schedule."""
    warmup = (
        min(1.0, (seen_images + recipe.batch) / recipe.warmup_images)
        if recipe.warmup_images
        else 1.0
    )
    if recipe.schedule == "constant":
        return warmup
    done = min(1.0, seen_images / total_images)
    return warmup * 0.5 * (1 + math.cos(math.pi * done))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


class MovingAverage:
    """An exponential moving average of a network, itself a network ready for use.

    Args:
        network: the network that is trained.
        halflife_images: after so many images an old value counts half.
    """

    def __init__(self, network: nn.Module, halflife_images: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.halflife_images = halflife_images

    @torch.no_grad()
    def update(self, network: nn.Module, images: int, seen_images: int) -> None:
        """Move towards `network`; faster in the beginning, when the start is not worth keeping.

        Args:
            network: the trained one.
            images: seen since the last update. seen_images: since the start of the run.
        """
        halflife = min(self.halflife_images, max(images, 0.1 * seen_images))
        keep = 0.5 ** (images / halflife)
        pairs = list(zip(self.network.parameters(), network.parameters(), strict=True))
        moving = [(mine, theirs) for mine, theirs in pairs if theirs.requires_grad]
        torch._foreach_lerp_([m for m, _ in moving], [t.detach() for _, t in moving], 1 - keep)
        # Norms' running statistics belong to the weights that they were measured with: averaged
        # alike. (Copied, they made the average worse than grey in the middle of a run.)
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - keep)
            else:
                mine.copy_(theirs)
