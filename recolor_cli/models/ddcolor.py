"""DDColor: the network of spandrel_extra_arches, with the sizes of the published weights.

Kang et al., "DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders", ICCV 2023.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import Tensor, nn

from recolor_cli.errors import MissingExtraError
from recolor_cli.torchvision_import import import_torchvision

ENCODERS = ("convnext-t", "convnext-s", "convnext-b", "convnext-l")


def build_ddcolor(
    *,
    encoder: str = "convnext-l",
    queries: int = 100,
    scales: int = 3,
    layers: int = 9,
) -> nn.Module:
    """Grey sRGB (B, 3, H, W) 0..1, three equal channels -> ab (B, 2, H, W), not scaled.

    The defaults are the published `config.json`; its other fields are fixed here: two output
    channels, spectral norm at the end, no normalisation of the output.

    Args:
        encoder: one of `ENCODERS`.
        queries: learned colour queries.
        scales: feature maps that the colour decoder attends to.
        layers: of the colour decoder.

    Raises:
        MissingExtraError: spandrel_extra_arches is not installed.
        ValueError: an encoder that DDColor does not have.
    """
    if encoder not in ENCODERS:
        raise ValueError(f"encoder is '{encoder}'; known: {', '.join(ENCODERS)}")
    network: nn.Module = _network_class()(
        encoder_name=encoder,
        decoder_name="MultiScaleColorDecoder",
        input_size=(256, 256),  # only for working out channel counts; any multiple of 32 fits
        num_output_channels=2,
        last_norm="Spectral",
        do_normalize=False,
        num_queries=queries,
        num_scales=scales,
        dec_layers=layers,
    )
    # Places are told in float32, which layers of another number format do not take.
    for name, module in network.named_modules():
        if name.endswith("pe_layer"):
            module.register_forward_hook(_as_its_input)
    network.space = "gray01-ab"  # type: ignore[assignment]
    network.stride = 32  # type: ignore[assignment]
    # The classifier of the ConvNeXt, which the authors trained without but some files still hold.
    network.spare = {"encoder.arch.head_cls.weight": None, "encoder.arch.head_cls.bias": None}  # type: ignore[assignment]
    return network


def _as_its_input(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output.to(inputs[0].dtype)


def _network_class() -> Any:
    if find_spec("spandrel_extra_arches") is None:
        raise MissingExtraError(
            "DDColor needs the package 'spandrel_extra_arches'; pip install 'recolor-cli[foreign]'"
        )
    import_torchvision()  # which spandrel imports, and which may need repair
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # spandrel's other networks use deprecated names of torch
        return import_module("spandrel_extra_arches.architectures.DDColor").DDColor
