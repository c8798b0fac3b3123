"""Pooled features of two small ImageNet networks, for the Frechet distances FD-M and FD-R.

Neither network is part of a loss of ours, so the distances cannot be trained towards. Both weights
files hold convolutions with the batch norm folded in (float16 safetensors) and are not shipped:

    FD-M  MobileNetV2 1.0, its last convolution (1280), from TensorFlow: RGB -1..1, SAME padding
    FD-R  torchvision's ResNet18, layer3 (256): RGB with ImageNet mean and spread
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from recolor_cli.errors import WeightsError

FILES = {
    "FD-M": (
        "mobilenet_v2-imagenet-bnfolded-fp16.safetensors",
        "c1fe3812d393d6a16136dc4a69195d40d4b0bd221d99e2db192671a114fea5a8",
    ),
    "FD-R": (
        "resnet18-imagenet-bnfolded-no-layer4-3x3-fp16.safetensors",
        "a3a7097f431536c7f5f617e73818da0ba0ea58f78f11c8b7c771ea0b8039653e",
    ),
}

# Expansion, channels, blocks, first stride (Sandler 2018, table 2).
_MOBILENET = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class FeatureNetworks:
    """Both networks, loaded from a folder and checked."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.device = device
        self._weights = {name: self._load(folder, name) for name in FILES}

    def _load(self, folder: Path, name: str) -> dict[str, Tensor]:
        file, sha256 = FILES[name]
        path = folder / file
        if not path.is_file():
            raise WeightsError(f"no '{file}' in '{folder}'; name its folder with --features")
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise WeightsError(f"'{path}' is not the file with sha256 {sha256}; get it again")
        weights = {key: value.float() for key, value in load_file(path).items()}
        return {
            key: value.to(self.device, memory_format=torch.channels_last)
            if value.ndim == 4
            else value.to(self.device)
            for key, value in weights.items()
        }

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Features of sRGB pictures (B, H, W, 3) 0..255: {"FD-M": (B, 1280), "FD-R": (B, 256)}."""
        rgb = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255
        networks = {"FD-M": _mobilenet, "FD-R": _resnet}
        return {
            name: network(rgb, self._weights[name]).mean((2, 3)).float().cpu().numpy()
            for name, network in networks.items()
        }


def _relu6(x: Tensor) -> Tensor:
    return x.clamp_(0, 6)  # in place: most of the time goes into memory, not arithmetic


def _mobilenet(rgb: Tensor, w: dict[str, Tensor]) -> Tensor:
    def conv(x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = w[f"{name}.weight"]
        if weight.shape[-1] == 3 and stride == 2:
            x = F.pad(x, (0, 1, 0, 1))  # TensorFlow's SAME at stride 2 and even sizes
        padding = 1 if weight.shape[-1] == 3 and stride == 1 else 0
        return F.conv2d(x, weight, w[f"{name}.bias"], stride, padding, groups=groups)

    x = _relu6(conv(rgb * 2 - 1, "f.0.c", stride=2))
    index = 1
    for expansion, _, blocks, first_stride in _MOBILENET:
        for block in range(blocks):
            name, step, y = f"f.{index}.b", 0, x
            if expansion > 1:
                y, step = _relu6(conv(y, f"{name}.0.c")), 1
            stride = first_stride if block == 0 else 1
            y = _relu6(conv(y, f"{name}.{step}.c", stride, groups=y.shape[1]))
            y = conv(y, f"{name}.{step + 1}.c")
            x = x + y if y.shape == x.shape else y
            index += 1
    return _relu6(conv(x, "f.18.c"))


def _resnet(rgb: Tensor, w: dict[str, Tensor]) -> Tensor:
    mean = rgb.new_tensor((0.485, 0.456, 0.406))[:, None, None]
    spread = rgb.new_tensor((0.229, 0.224, 0.225))[:, None, None]

    def conv(x: Tensor, name: str, stride: int = 1, padding: int = 1) -> Tensor:
        return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, padding)

    x = F.max_pool2d(torch.relu_(conv((rgb - mean) / spread, "conv1", 2, 3)), 3, 2, 1)
    for layer in (1, 2, 3):
        for block in (0, 1):
            name = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            y = conv(torch.relu_(conv(x, f"{name}.conv1", stride)), f"{name}.conv2")
            if f"{name}.downsample.0.weight" in w:
                x = conv(x, f"{name}.downsample.0", stride, 0)
            x = torch.relu_(x + y)
    return x
