"""The networks: torch in, torch out; no files, no printing, no options.

`MODELS` lists the generators by name, `DISCRIMINATORS` what judges them in training; every test of
networks runs over the two. A generator is an `nn.Module` with two attributes: `space`, the row of
`color.spaces.SPACES` that it speaks, and `stride`, of which the height and width of its input must
be multiples.
"""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import Any, get_type_hints

from torch import nn

from recolor_cli.errors import UsageError
from recolor_cli.models.autoencoder import Autoencoder
from recolor_cli.models.base import BinsUNet
from recolor_cli.models.cropped_unet import CroppedUNet
from recolor_cli.models.encoders import ENCODERS
from recolor_cli.models.feature_critic import FeatureCritic
from recolor_cli.models.patch_critic import DivisorCritic
from recolor_cli.models.patchgan import PatchGAN
from recolor_cli.models.pix2pix import Pix2PixUNet
from recolor_cli.models.residual_unet import ResidualUNet
from recolor_cli.models.resnet18_unet import ResNet18UNet
from recolor_cli.models.resnet_generator import ResnetGenerator
from recolor_cli.models.vanilla_unet import VanillaUNet

MODELS: dict[str, type[nn.Module]] = {
    "bins-unet": BinsUNet,
    "pix2pix-unet": Pix2PixUNet,
    "cropped-unet": CroppedUNet,
    "vanilla-unet": VanillaUNet,
    "residual-unet": ResidualUNet,
    "resnet18-unet": ResNet18UNet,
    "autoencoder": Autoencoder,
    "resnet-generator": ResnetGenerator,
}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "patchgan": PatchGAN,
    "divisor-critic": DivisorCritic,
    "feature-critic": FeatureCritic,
}


def create_model(name: str, **arguments: Any) -> nn.Module:
    """Build a generator with fresh weights.

    Raises:
        UsageError: no such network, or it does not take these arguments.
    """
    return _create("network", MODELS, name, arguments)


def create_discriminator(name: str, **arguments: Any) -> nn.Module:
    """Build a discriminator, or a critic, with fresh weights.

    Raises:
        UsageError: no such discriminator, or it does not take these arguments.
    """
    return _create("discriminator", DISCRIMINATORS, name, arguments)


def _create(
    kind: str, known: dict[str, type[nn.Module]], name: str, arguments: dict[str, Any]
) -> nn.Module:
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        raise UsageError(f"no {kind} named '{name}'; {hint}")
    prefix = f"{kind} '{name}' cannot be built; "
    for argument, value in arguments.items():
        if reason := _what_is_wrong(known[name], argument, value):
            raise UsageError(prefix + reason)
    try:
        return known[name](**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(prefix + str(error)) from error
    except (RuntimeError, ArithmeticError, LookupError, MemoryError) as error:
        # Of torch, for sizes that it cannot have: it does not say whose they are.
        given = ", ".join(f"{argument}={value!r}" for argument, value in arguments.items())
        first = str(error).partition("\n")[0] or type(error).__name__
        raise UsageError(f"{prefix}torch refuses {given or 'its defaults'} ({first})") from error


# Whole numbers that may be 0, which leaves the part out; of everything else there must be some.
_MAY_BE_NONE = {"attention", "blocks", "layers", "mid_attention", "tail"}


def _what_is_wrong(network: type[nn.Module], argument: str, value: object) -> str:
    """Why the network cannot take an argument, or ""."""
    kinds = get_type_hints(network.__init__)
    kinds.pop("return", None)
    if argument not in kinds:
        near = get_close_matches(argument, kinds, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(kinds) or 'none'}"
        return f"it has no argument '{argument}'; {hint}"
    kind, got = kinds[argument], f"got {value!r}"
    if kind is bool or isinstance(value, bool):
        right = kind is bool and isinstance(value, bool)
        return "" if right else f"{argument} must be {_KINDS.get(kind, 'numbers')}, {got}"
    if kind is int:
        least = 0 if argument in _MAY_BE_NONE else 1
        if not isinstance(value, int):
            return f"{argument} must be {_KINDS[int]}, {got}"
        return "" if value >= least else f"{argument} must be {least} or more, {got}"
    if kind is float:
        right = isinstance(value, int | float) and math.isfinite(value)
        return "" if right else f"{argument} must be {_KINDS[float]}, {got}"
    if kind is str:
        if not isinstance(value, str):
            return f"{argument} must be {_KINDS[str]}, {got}"
        encoders = argument.endswith("encoder") and (value or argument == "encoder")
        if encoders and value not in ENCODERS:
            return f"{argument} must be one of {', '.join(ENCODERS)}, {got}"
        return ""
    right = isinstance(value, tuple | list) and all(type(n) is int and n > 0 for n in value)
    return "" if right else f"{argument} must be whole numbers with commas between them, {got}"


_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
