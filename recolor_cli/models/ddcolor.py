"""DDColor: the network of spandrel_extra_arches, with the sizes of the published weights.

Kang et al., "DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders", ICCV 2023.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import Any

import torch
from torch import nn

from recolor_cli.errors import MissingExtraError

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
    network.space = "gray01-ab"  # type: ignore[assignment]
    network.stride = 32  # type: ignore[assignment]
    # The classifier of the ConvNeXt, which the authors trained without but some files still hold.
    network.spare = {"encoder.arch.head_cls.weight": None, "encoder.arch.head_cls.bias": None}  # type: ignore[assignment]
    return network


def _network_class() -> Any:
    name = "spandrel_extra_arches.architectures.DDColor"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # spandrel's other networks use deprecated torch names
            try:
                return import_module(name).DDColor
            except RuntimeError as error:
                if "torchvision::" not in str(error):
                    raise
                _repair_torchvision()
                return import_module(name).DDColor
    except ImportError as error:
        raise MissingExtraError(
            f"DDColor needs the package '{error.name}'; pip install 'recolor-cli[foreign]'"
        ) from None


def _repair_torchvision() -> None:
    """Let spandrel import torchvision where its binary operators do not load.

    PyPI's torchvision is built for CUDA and does not find its operators beside a CPU-only torch;
    its import then stops at two of them, which DDColor never calls. Declared, they let the import
    pass; if somebody called them, they would still raise.
    """
    for module in [
        name
        for name in sys.modules
        if name.split(".")[0] in ("torchvision", "spandrel", "spandrel_extra_arches")
    ]:
        del sys.modules[module]  # half imported
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{operator}", schema)
