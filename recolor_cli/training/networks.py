"""Generator and discriminator as a recipe wants them: built, initialised, loaded, partly frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recolor_cli.backbones import TORCHVISION, load_into, read_backbone
from recolor_cli.checkpoints import load_weights
from recolor_cli.color.spaces import SPACES, Space
from recolor_cli.errors import RecipeError, WeightsError
from recolor_cli.models import create_discriminator, create_model
from recolor_cli.models.encoders import Encoder
from recolor_cli.models.initialization import INITIALIZERS
from recolor_cli.recipes import Recipe
from recolor_cli.weights import find_weights, read_manifest
from recolor_cli.weights.find import cached_path

SHIPPED = "shipped"  # as encoder_weights: the encoder of the weights that come with recolor


def space_name(network: nn.Module) -> str:
    """The generator's row of `SPACES`."""
    assert isinstance(network.space, str)
    return network.space


def space_of(network: nn.Module) -> Space:
    """What the generator eats and returns."""
    return SPACES[space_name(network)]


def bins_of(network: nn.Module) -> Tensor:
    """Centres (K, 2) of the ab bins of a network that predicts a distribution."""
    assert isinstance(network.bins, Tensor)
    return network.bins


def build_generator(recipe: Recipe) -> nn.Module:
    """The recipe's network with fresh weights; the torch seed decides them.

    Raises:
        UsageError: There is no such network, or crops do not fit it.
    """
    network = create_model(recipe.network, **recipe.network_arguments)
    _check_channels("network", recipe.network_arguments, 1)
    INITIALIZERS[recipe.initialization](network)
    stride = network.stride
    assert isinstance(stride, int)
    for name in ("crop_px", "val_px"):
        side = getattr(recipe, name)
        if side % stride:
            raise RecipeError(
                f"{name} '{side}' must be a multiple of {stride} for the network "
                f"'{recipe.network}'; use {max(stride, round(side / stride) * stride)}"
            )
    if (space_of(network).output == "bins") != (recipe.objective == "bins"):
        raise RecipeError(
            f"objective '{recipe.objective}' does not fit the network '{recipe.network}', which "
            f"speaks '{space_name(network)}'; use {'bins' if recipe.objective != 'bins' else 'l1'}"
        )
    return network


def start_generator(recipe: Recipe, network: nn.Module, *, fetch: bool = True) -> dict[str, str]:
    """Load what the recipe starts from, in place.

    Args:
        recipe: names it.
        network: the generator.
        fetch: without it, what may have to be downloaded is left out.

    Returns:
        What was loaded, for the run's record: {"init": ..., "encoder_weights": ...} with sha256.

    Raises:
        WeightsError: A file is missing or does not fit; says which file to put where.
        UsageError: The network has no encoder.
    """
    loaded = {}
    if recipe.init and (fetch or not init_is_remote(recipe.init)):
        found = find_weights(recipe.init)
        model = load_weights(found.path)
        if model.card.network != recipe.network:
            raise WeightsError(
                f"'{recipe.init}' is for the network '{model.card.network}', the recipe's is "
                f"'{recipe.network}'; choose other weights or set network"
            )
        tensors = model.network.state_dict()
        _load_same(network, _grown(network, tensors) if recipe.init_grow else tensors, recipe.init)
        loaded["init"] = f"{recipe.init} sha256:{found.sha256}"
    elif recipe.encoder_weights and not recipe.init:
        loaded["encoder_weights"] = _load_encoder(recipe, network, fetch=fetch)
    if recipe.second_encoder_weights:
        loaded["second_encoder_weights"] = _load_second_encoder(recipe, network)
    return loaded


def init_is_remote(name: str) -> bool:
    """Whether these are published weights that may have to be downloaded."""
    if name.startswith("hf://"):
        return True
    entry = read_manifest().get(name)
    return entry is not None and entry.source != "package" and cached_path(entry) is None


def freeze_generator(recipe: Recipe, network: nn.Module) -> None:
    """Fix the encoder blocks that the recipe does not train, in place.

    Raises:
        RecipeError: The network has no encoder.
    """
    freeze = getattr(network, "freeze_encoder", None)
    if freeze is not None:
        freeze(recipe.freeze_encoder_to_stride)
    elif recipe.freeze_encoder_to_stride:
        raise RecipeError(
            f"the network '{recipe.network}' has no encoder to freeze; "
            "use --set freeze_encoder_to_stride=0"
        )


def start_discriminator(
    recipe: Recipe, network: nn.Module, *, fetch: bool = True
) -> dict[str, str]:
    """Load the frozen features that a discriminator looks through, in place.

    Args:
        recipe: names them.
        network: the discriminator.
        fetch: without it, what may have to be downloaded is left out.

    Returns:
        What was loaded, for the run's record.

    Raises:
        RecipeError: It has such features and the recipe names no weights, or the other way round.
        WeightsError: The file is missing or does not fit.
    """
    load, source = getattr(network, "load_features", None), recipe.discriminator_weights
    if load is None and source:
        raise RecipeError(
            f"the discriminator '{recipe.discriminator}' starts from nothing; "
            "use --set discriminator_weights="
        )
    if load is None:
        return {}
    if not source:
        raise RecipeError(
            f"the discriminator '{recipe.discriminator}' needs ImageNet's SqueezeNet 1.1; "
            f"--set discriminator_weights=FILE, or ={TORCHVISION}"
        )
    if source == TORCHVISION and not fetch:
        return {}
    load_into(load, "squeezenet1_1", source)
    return {"discriminator_weights": _describe(source, "squeezenet1_1")}


def build_discriminator(recipe: Recipe, space: Space) -> nn.Module | None:
    """The recipe's discriminator with fresh weights; None without a gan.

    It sees the grey input and the colours together: 3 channels for ab, 4 for RGB.

    Raises:
        UsageError: There is no such network.
    """
    if not recipe.discriminator:
        return None
    channels = 4 if space.output == "rgb" else 3
    arguments: dict[str, Any] = {"in_channels": channels, **recipe.discriminator_arguments}
    network = create_discriminator(recipe.discriminator, **arguments)
    _check_channels("discriminator", arguments, channels)
    INITIALIZERS[recipe.initialization](network)
    return network


def _check_channels(part: str, arguments: Mapping[str, Any], channels: int) -> None:
    if arguments.get("in_channels", channels) != channels:
        raise RecipeError(
            f"{part}.in_channels '{arguments['in_channels']}' must be {channels}, which is what "
            "it is shown; leave it out"
        )


def generator_groups(recipe: Recipe, network: nn.Module) -> list[tuple[list[nn.Parameter], float]]:
    """Trainable parameters with their share of the learning rate."""
    by_name = getattr(network, "parameter_groups", None)
    if by_name is None:
        return [([p for p in network.parameters() if p.requires_grad], 1.0)]
    scales = {"encoder": recipe.encoder_lr_scale}
    groups = [(params, scales.get(name, 1.0)) for name, params in by_name().items()]
    return [(params, scale) for params, scale in groups if params]


def _load_same(network: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise WeightsError(
            f"'{name}' does not fit the recipe's network ({first}); match its arguments"
        ) from None


def _grown(network: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a smaller network as the first channels of a larger one's.

    What the file lacks keeps its start; a convolution's further input channels are zero, so that
    at first the larger network says what the smaller one did.
    """
    grown = dict(tensors)
    for name, own in network.state_dict().items():
        theirs = grown.setdefault(name, own)
        if theirs.shape != own.shape and theirs.dim() == own.dim():
            if any(a > b for a, b in zip(theirs.shape, own.shape, strict=True)):
                continue  # smaller here than there: `_load_same` says so
            padded = torch.zeros_like(own) if own.dim() > 1 else own.clone()
            padded[tuple(slice(side) for side in theirs.shape)] = theirs
            grown[name] = padded
    return grown


def _load_encoder(recipe: Recipe, network: nn.Module, *, fetch: bool) -> str:
    load = getattr(network, "load_backbone", None)
    encoder = getattr(network, "encoder", None)
    if load is None and isinstance(encoder, Encoder):
        if recipe.encoder_weights == SHIPPED:
            return _load_shipped(network, "encoder")
        load = encoder.load_imagenet
    if load is None:
        raise RecipeError(
            f"the network '{recipe.network}' has no encoder; use --set encoder_weights="
        )
    if recipe.encoder_weights == TORCHVISION and not fetch:
        return ""
    return _load_imagenet(load, recipe.encoder_weights, "encoder_weights", recipe.network)


def _load_second_encoder(recipe: Recipe, network: nn.Module) -> str:
    encoder = getattr(network, "second_encoder", None)
    if not isinstance(encoder, Encoder):
        raise RecipeError(
            f"the network '{recipe.network}' has no second encoder with these arguments; "
            "use --set second_encoder_weights="
        )
    source = recipe.second_encoder_weights
    if source == SHIPPED:
        return _load_shipped(network, "second_encoder")
    if source == TORCHVISION:
        raise RecipeError("second_encoder_weights must be a file or 'shipped'; name a state dict")
    return _load_imagenet(encoder.load_imagenet, source, "second_encoder_weights", recipe.network)


def _load_imagenet(
    load: Callable[[dict[str, Tensor]], None], source: str, field: str, network: str
) -> str:
    tensors = read_backbone("resnet18", source)
    try:
        load(tensors)
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        first = str(error).splitlines()[-1].strip()
        raise WeightsError(
            f"'{source}' does not fit the encoder of '{network}' ({first}); "
            f"choose other weights with --set {field}=FILE"
        ) from None
    return _describe(source, "resnet18")


def _describe(source: str, backbone: str) -> str:
    if source == TORCHVISION:
        return f"{source} {backbone}"
    digest = hashlib.sha256(Path(source).expanduser().read_bytes()).hexdigest()
    return f"{source} sha256:{digest}"


def _load_shipped(network: nn.Module, part: str) -> str:
    found = find_weights("default", offline=True)
    theirs = getattr(load_weights(found.path).network, part, None)
    ours = network.get_submodule(part)
    if type(theirs) is not type(ours):
        raise WeightsError(
            f"the shipped weights '{found.name}' have another {part.replace('_', ' ')} than the "
            f"recipe's network; --set {part}_weights=FILE names ImageNet weights for it"
        )
    assert isinstance(theirs, nn.Module)
    _load_same(ours, theirs.state_dict(), found.name)
    return f"the {part.replace('_', ' ')} of {found.name} sha256:{found.sha256}"
