"""What a run would be and cost, before anything is spent: `recolor train --dry-run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from recolor_cli.colorize.plan import check_writable
from recolor_cli.data.split import read_split
from recolor_cli.devices import choose_machine
from recolor_cli.recipes import Recipe
from recolor_cli.training.checks import check_networks, check_resumed, check_start, unchecked
from recolor_cli.training.material import load_material
from recolor_cli.training.memory import cache_bytes
from recolor_cli.training.networks import (
    build_discriminator,
    build_generator,
    freeze_generator,
    space_of,
)
from recolor_cli.training.run import RunFolder

MIB = 2**20
_OPTIMIZER_COPIES = {"adamw": 2, "adam": 2, "rmsprop": 1, "sgd": 0}


def count_parameters(recipe: Recipe) -> tuple[int, int]:
    """Parameters of generator and discriminator, without memory for them."""
    with torch.device("meta"):
        generator = build_generator(recipe)
        discriminator = build_discriminator(recipe, space_of(generator))
    return _size(generator), _size(discriminator) if discriminator else 0


def estimate(
    recipe: Recipe,
    data: Sequence[str | Path],
    val: Sequence[str | Path],
    device: str = "auto",
    *,
    split: Path | None = None,
    resume: Path | None = None,
    out: Path | None = None,
) -> list[str]:
    """The resolved recipe, the split, steps and memory, a line each.

    Args:
        recipe, data, val, device, split: as for `train`.
        resume: the run that would go on.
        out: folder of the run that would begin; None asks for the numbers alone.

    Raises:
        RecolorError: As training would at its start; but nothing is downloaded, so that weights
            which would be can still be refused then, and this machine's memory is not asked.
    """
    machine = choose_machine(device, recipe.precision)
    if out is not None and resume is None:
        RunFolder(out).check_new()
    generator, discriminator = check_networks(recipe)
    if resume is None:
        check_start(recipe, generator, discriminator)
    else:
        check_resumed(resume, recipe)
        split = RunFolder(resume).file("split.json")
    material = load_material(recipe, data, val, stored=read_split(split), keep=False)
    done = ""
    if resume is not None:
        seen = RunFolder(resume).load_state(torch.device("cpu"))["seen"]
        done = f"; {seen} images are done"
        check_writable(resume)
    total = recipe.images(len(material.train))
    photos = len(material.train) + len(material.val)
    lines = [f"{name} = {value}" for name, value in asdict(recipe).items()]
    counts = ", ".join(f"{count} {name}" for name, count in material.split.counts().items())
    fetched = unchecked(recipe) if resume is None else []
    network_bytes, activation_bytes = _memory(recipe, machine.precision)
    return [
        *lines,
        "",
        f"split: {counts}",
        f"{material.describe()}; {machine}",
        f"length: {total} images, {-(-total // recipe.batch)} steps of {recipe.batch}, "
        f"{total / len(material.train):.1f} epochs{done}",
        f"parameters: {_size(generator):,} generator, "
        f"{_size(discriminator) if discriminator else 0:,} discriminator",
        f"memory: about {(network_bytes + activation_bytes) / MIB:,.0f} MiB for networks, "
        f"optimisers and activations, {cache_bytes(recipe, photos) / MIB:,.0f} MiB for pictures",
        *([f"not checked here, may be downloaded: {', '.join(fetched)}"] if fetched else []),
    ]


def _memory(recipe: Recipe, precision: str) -> tuple[float, float]:
    """Bytes of networks with optimisers and average, and of one step's activations."""
    with torch.device("meta"):
        generator = build_generator(recipe)
        space = space_of(generator)
        discriminator = build_discriminator(recipe, space)
        freeze_generator(recipe, generator)
        batch = recipe.batch // recipe.accumulate
        gray = torch.empty(batch, 1, recipe.crop_px, recipe.crop_px)
        output, kept = _activations(generator, gray)
        if discriminator is not None:
            channels = 4 if space.output == "rgb" else 3
            _, more = _activations(discriminator, torch.empty(batch, channels, *output.shape[-2:]))
            kept += 2 * more  # real and fake
    per_number = 4 if precision == "fp32" else 2
    copies = _OPTIMIZER_COPIES[recipe.optimizer] + 1  # and the gradient
    fixed = 4.0 * _size(generator) * (2 if recipe.ema_halflife_images else 1)
    for network in filter(None, (generator, discriminator)):
        fixed += 4 * copies * sum(p.numel() for p in network.parameters() if p.requires_grad)
    fixed += 4 * (_size(discriminator) if discriminator else 0)
    return fixed, float(kept * per_number)


def _activations(network: nn.Module, x: Tensor) -> tuple[Tensor, int]:
    """The network's output and how many numbers its trained layers keep for the way back."""
    kept = 0

    def count(module: nn.Module, inputs: object, output: object) -> None:  # noqa: ARG001
        nonlocal kept
        if isinstance(output, Tensor) and output.requires_grad:
            kept += output.numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if not list(m.children())]
    output: Tensor = network(x)
    for hook in hooks:
        hook.remove()
    return output, kept


def _size(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())
