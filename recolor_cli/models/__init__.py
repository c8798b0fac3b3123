"""The networks: torch in, torch out; no files, no printing, no options.

`MODELS` lists the generators by name, `DISCRIMINATORS` what judges them in training; every test of
networks runs over the two. A generator is an `nn.Module` with two attributes: `space`, the row of
`color.spaces.SPACES` that it speaks, and `stride`, of which the height and width of its input must
be multiples.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from torch import nn

from recolor_cli.errors import UsageError
from recolor_cli.models.autoencoder import Autoencoder
from recolor_cli.models.base import BinsUNet
from recolor_cli.models.cropped_unet import CroppedUNet
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
    try:
        return known[name](**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{kind} '{name}' cannot be built; {error}") from error
