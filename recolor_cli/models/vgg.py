"""The first convolutions of VGG19, whose activations the perceptual loss compares."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recolor_cli.models.sizes import check_tensors

# Simonyan and Zisserman 2015, table 1, configuration E: name -> (inputs, outputs), to conv3_1.
_CONVS = {
    "conv1_1": (3, 64),
    "conv1_2": (64, 64),
    "conv2_1": (64, 128),
    "conv2_2": (128, 128),
    "conv3_1": (128, 256),
}
_TORCHVISION = dict(zip(_CONVS, (0, 2, 5, 7, 10), strict=True))  # place in vgg19().features
_TAPS = ("conv1_2", "conv2_2", "conv3_1")  # relu1_2, relu2_2, relu3_1 are returned
_POOLED = ("conv2_1", "conv3_1")  # 2x2 max-pooling before these
OXFORD_UNIT = 0.226 * 255  # grey levels in ImageNet's deviation, mean of its three channels


class VGGFeatures(nn.Module):
    """rgb (B, 3, H, W) in 0..1 -> activations relu1_2, relu2_2, relu3_1 at strides 1, 2, 4.

    Frozen; gradients pass through to the picture. Random until `load_imagenet`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleDict(
            {name: nn.Conv2d(*channels, 3, padding=1) for name, channels in _CONVS.items()}
        )
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("std", torch.ones(3, 1, 1))
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False)

    def forward(self, rgb: Tensor) -> list[Tensor]:
        x = (rgb - self.mean) / self.std
        maps: list[Tensor] = []
        for name, conv in self.convs.items():
            if name in _POOLED:
                x = F.max_pool2d(x, 2)
            x = F.relu(conv(x))
            if name in _TAPS:
                maps.append(x)
        return maps

    def load_imagenet(self, tensors: Mapping[str, Tensor]) -> None:
        """Take published weights, and the scale of the pictures that they were trained on.

        Args:
            tensors: named as torchvision's vgg19 ("features.0.weight": mean and deviation of
                ImageNet), or as Oxford's ("conv1_1.weight": RGB 0..255 minus the mean). Oxford's
                pictures and biases are divided by ImageNet's deviation, and so all activations
                are: one weight of the loss suits both.

        Raises:
            ValueError: a tensor is missing or has another shape.
        """
        if "conv1_1.weight" in tensors:
            names = {name: name for name in _CONVS}
            mean, std = [123.68 / 255, 116.78 / 255, 103.94 / 255], [OXFORD_UNIT / 255] * 3
            shrink = OXFORD_UNIT
        else:
            names = {name: f"features.{place}" for name, place in _TORCHVISION.items()}
            mean, std, shrink = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 1.0
        state: dict[str, Tensor] = {
            "mean": torch.tensor(mean).reshape(3, 1, 1),
            "std": torch.tensor(std).reshape(3, 1, 1),
        }
        for ours, theirs in names.items():
            for part in ("weight", "bias"):
                if f"{theirs}.{part}" in tensors:
                    tensor = tensors[f"{theirs}.{part}"].float()
                    state[f"convs.{ours}.{part}"] = tensor / shrink if part == "bias" else tensor
        check_tensors(self, state, "vgg19")
        self.load_state_dict(state)
