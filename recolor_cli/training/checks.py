"""What can be refused before anything is read or downloaded: a recipe whose parts do not fit."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from recolor_cli.backbones import TORCHVISION, load_lpips, load_vgg
from recolor_cli.errors import MissingExtraError, RecipeError
from recolor_cli.recipes import Recipe, read_settings
from recolor_cli.training.keeper import NO_TENSORBOARD
from recolor_cli.training.networks import (
    build_discriminator,
    build_generator,
    freeze_generator,
    init_is_remote,
    space_of,
    start_discriminator,
    start_generator,
)

# What decides the state that a resumed run goes on with, and what was used up at the start.
FIXED = (
    "network", "optimizer", "freeze_encoder_to_stride",
    "initialization", "init", "init_grow",
    "encoder_weights", "second_encoder_weights", "discriminator_weights",
    "val_share", "test_share",
)  # fmt: skip


def check_networks(recipe: Recipe) -> tuple[nn.Module, nn.Module | None]:
    """Try the recipe's networks on one micro-batch of nothing: shapes without memory or values.

    Returns:
        Generator and discriminator on the meta device.

    Raises:
        UsageError: They cannot be built, or do not take crops of this size.
    """
    with torch.device("meta"), torch.no_grad():
        generator = build_generator(recipe)
        freeze_generator(recipe, generator)
        space = space_of(generator)
        discriminator = build_discriminator(recipe, space)
        side, batch = recipe.crop_px, recipe.batch // recipe.accumulate
        try:
            output = generator.train()(torch.empty(batch, 1, side, side))
        except (ValueError, RuntimeError) as error:
            raise _misfit(recipe, "crop_px", f"network '{recipe.network}'", error) from error
        judged = None
        if recipe.val_px:
            try:
                judged = generator.eval()(torch.empty(1, 1, recipe.val_px, recipe.val_px))
            except (ValueError, RuntimeError) as error:
                raise _misfit(recipe, "val_px", f"network '{recipe.network}'", error) from error
        if discriminator is not None:
            margin = getattr(generator, "margin", 0)
            full_size, who = getattr(discriminator, "full_size", False), recipe.discriminator
            seen = {"crop_px": side - 2 * margin if full_size else output.shape[-1]}
            if judged is not None:  # the whole picture, of which it is shown the middle
                whole = recipe.val_px if full_size else judged.shape[-1]
                seen["val_px"] = whole - 2 * margin
            for field, size in seen.items():
                discriminator.train(field == "crop_px")
                count = batch if field == "crop_px" else 1
                try:
                    discriminator(torch.empty(count, 4 if space.output == "rgb" else 3, size, size))
                except (ValueError, RuntimeError) as error:
                    raise _misfit(recipe, field, f"discriminator '{who}'", error) from error
    return generator, discriminator


def _misfit(recipe: Recipe, field: str, who: str, error: Exception) -> RecipeError:
    if "more than 1 value per channel" in str(error):  # torch's batch norm
        of = f"batch '{recipe.batch}'"
        if recipe.accumulate > 1:
            of += f" in accumulate '{recipe.accumulate}' parts"
        return RecipeError(
            f"{of} with crop_px '{recipe.crop_px}' leaves batch norm in the {who} a single value "
            "to learn from; raise batch or crop_px"
        )
    first = " ".join(str(error).split())[:200]
    return RecipeError(
        f"{field} '{getattr(recipe, field)}' does not fit the {who} ({first}); "
        f"choose another {field}, or change its arguments"
    )


def check_start(
    recipe: Recipe,
    generator: nn.Module,
    discriminator: nn.Module | None,
    *,
    fetch: bool = False,
) -> None:
    """Refuse what a new run would start from, or needs, and what is not there or does not fit.

    Args:
        recipe: names it.
        generator, discriminator: from `check_networks`.
        fetch: without it nothing is downloaded, and published weights that are not on this machine
            count as there.

    Raises:
        UsageError: The networks have no place for such weights; or a package is missing.
        WeightsError: A file is missing or does not fit.
    """
    with warnings.catch_warnings():
        # Tensors without memory take shapes, not values: torch warns of each of them.
        warnings.filterwarnings("ignore", message=".*copying from a non-meta parameter")
        start_generator(recipe, generator, fetch=fetch)
        if discriminator is not None:
            start_discriminator(recipe, discriminator, fetch=fetch)
    file = recipe.perceptual_weights not in ("", TORCHVISION)
    if recipe.perceptual_weight and (file or fetch):
        load_vgg(recipe.perceptual_weights or TORCHVISION)
    if recipe.lpips_weight and find_spec("lpips") is None:
        raise MissingExtraError(
            "lpips_weight needs the package 'lpips'; pip install 'recolor-cli[eval]'"
        )
    if recipe.lpips_weight and (file or fetch):
        load_lpips(recipe.perceptual_weights or TORCHVISION)
    if recipe.tensorboard and find_spec("tensorboard") is None:
        raise MissingExtraError(NO_TENSORBOARD)


def unchecked(recipe: Recipe) -> list[str]:
    """The fields whose weights `check_start` may have left to a download."""
    named = [
        name
        for name in ("encoder_weights", "discriminator_weights")
        if getattr(recipe, name) == TORCHVISION and not (name[0] == "e" and recipe.init)
    ]
    if recipe.init and init_is_remote(recipe.init):
        named.append("init")
    if recipe.perceptual_weights in ("", TORCHVISION):
        named += [n for n in ("perceptual_weight", "lpips_weight") if getattr(recipe, n)]
    return named


def check_resumed(run: Path, recipe: Recipe) -> None:
    """Refuse changes that a run cannot take in its middle.

    Args:
        run: its folder.
        recipe: what it is to go on with.

    Raises:
        RecipeError: A field would have to be what it was; says which.
        UsageError: The folder holds no run.
    """
    before, _ = read_settings(run)
    if before == recipe:
        return
    for name in FIXED:
        old, new = getattr(before, name), getattr(recipe, name)
        if old != new:
            raise _fixed(run, name, old, new)
    if recipe.ema_halflife_images and not before.ema_halflife_images:
        raise _fixed(run, "ema_halflife_images", 0, recipe.ema_halflife_images)
    if recipe.discriminator and recipe.discriminator != before.discriminator:
        raise _fixed(run, "discriminator", before.discriminator, recipe.discriminator)
    olds, news = check_networks(before), check_networks(recipe)
    for part, old, new in zip(("network", "discriminator"), olds, news, strict=True):
        if old is None or new is None or _shapes(old) == _shapes(new):
            continue
        was, now = (getattr(r, f"{part}_arguments") for r in (before, recipe))
        changed = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        name = changed[0]
        raise _fixed(run, f"{part}.{name}", was.get(name, "its default"), now.get(name))


def _fixed(run: Path, name: str, old: object, new: object) -> RecipeError:
    advice = f"start a new run from its weights with --set init={run}"
    if name.startswith("network"):  # other weights: only a larger network can take them
        advice = (
            f"start a new run (--set init={run} --set init_grow=true gives a larger network of "
            "the same kind its weights)"
        )
    return RecipeError(
        f"{name} cannot change from '{old}' to '{new}' in a resumed run; leave it, or {advice}"
    )


def _shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in network.state_dict().items()}
