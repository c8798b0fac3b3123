"""The ResNet18 U-Net of reports 002 ("Advanced") and 004: fastai's DynamicUnet, written out.

The backbone keeps batch norm and torchvision's names, because the reports fine-tune it; the folded
encoder of the default network is in `encoders.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recolor_cli.models.heads import space_of
from recolor_cli.models.layers import HalvingPointwise, PixelShuffleUp
from recolor_cli.models.sizes import check_tensors

WIDTHS = (64, 64, 128, 256, 512)  # at strides 2, 4, 8, 16, 32


class ResNet18UNet(nn.Module):
    """gray (B, in, H, W) in -1..1 -> ab / 110 or RGB (B, out, H, W), unbounded; any H and W.

    As fastai builds it from resnet18 without its last two layers: batch norm and a two-convolution
    bridge, four up steps of PixelShuffle with ICNR that join the backbone's maps, a last
    PixelShuffle to full size that joins the input, a residual block, a 1x1 head without activation.
    Sizes that are not multiples of 32 are met by nearest-neighbour resizing, as there.

    The backbone starts random: `load_backbone` (weights from `backbones.read_backbone`) makes it an
    ImageNet network. Whoever builds the network for training decides, aloud.

    Args:
        in_channels: 1 for L or grey.
        out_channels: 2 for ab, 3 for RGB.
    """

    space = "lab"
    stride = 32

    def __init__(self, in_channels: int = 1, out_channels: int = 2) -> None:
        super().__init__()
        self.space = space_of(out_channels)
        self.backbone = ResNet18Backbone(in_channels)
        bottom = WIDTHS[-1]
        self.bridge = nn.Sequential(
            nn.BatchNorm2d(bottom),
            nn.ReLU(),
            nn.Conv2d(bottom, bottom * 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(bottom * 2, bottom, 3, padding=1),
            nn.ReLU(),
        )
        steps: list[UpStep] = []
        inputs = bottom
        for skip in reversed(WIDTHS[:-1]):
            steps.append(UpStep(inputs, skip, last=len(steps) == len(WIDTHS) - 2))
            inputs = steps[-1].out_channels
        self.up = nn.ModuleList(steps)
        self.enlarge = PixelShuffleUp(inputs, inputs)
        inputs += in_channels
        self.cross = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(inputs, inputs, 3, padding=1),
        )
        self.head = nn.Conv2d(inputs, out_channels, 1)
        for conv in [*self.bridge, *self.up.modules(), *self.cross, self.head]:
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3):
                nn.init.kaiming_normal_(conv.weight)
            if isinstance(conv, nn.Conv2d) and conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, gray: Tensor) -> Tensor:
        skips: list[Tensor] = self.backbone(gray)
        x = self.bridge(skips.pop())
        for up in self.up:
            x = up(x, skips.pop())
        x = _fit(F.relu(self.enlarge(x)), gray)
        x = torch.cat((x, gray), dim=1)
        color: Tensor = self.head(F.relu(x + self.cross(x)))
        return color

    def load_backbone(self, tensors: Mapping[str, Tensor]) -> None:
        """Start the backbone from torchvision's resnet18 state dict (three-channel stem)."""
        self.backbone.load_imagenet(tensors)


class ResNet18Backbone(nn.Module):
    """ResNet18 without pooling and classifier: x (B, in, H, W) -> maps at strides 2, 4, 8, 16, 32.

    Parameter names are torchvision's, so that its state dict fits.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = _stage(WIDTHS[0], WIDTHS[1], stride=1)
        self.layer2 = _stage(WIDTHS[1], WIDTHS[2], stride=2)
        self.layer3 = _stage(WIDTHS[2], WIDTHS[3], stride=2)
        self.layer4 = _stage(WIDTHS[3], WIDTHS[4], stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [F.relu(self.bn1(self.conv1(x)))]
        x = F.max_pool2d(maps[0], 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps

    def load_imagenet(self, tensors: Mapping[str, Tensor]) -> None:
        """Take torchvision's resnet18 tensors; for grey the stem is summed over RGB, as in fastai.

        Raises:
            ValueError: a tensor is missing or has another shape.
        """
        state = {name: t.float() for name, t in tensors.items() if not name.startswith("fc.")}
        stem = self.conv1.weight
        if "conv1.weight" in state and stem.shape[1] != 3:
            summed = state["conv1.weight"].sum(1, keepdim=True)
            state["conv1.weight"] = summed.expand(-1, stem.shape[1], -1, -1) / stem.shape[1]
        check_tensors(self, state, "resnet18")
        self.load_state_dict(state)


class UpStep(nn.Module):
    """fastai's UnetBlock: PixelShuffle up to half the channels, join a skip, two convolutions."""

    def __init__(self, inputs: int, skip: int, *, last: bool) -> None:
        super().__init__()
        self.enlarge = PixelShuffleUp(inputs, inputs // 2)
        self.skip_norm = nn.BatchNorm2d(skip)
        joined = inputs // 2 + skip
        self.out_channels = joined // 2 if last else joined
        self.mix = nn.Sequential(
            nn.Conv2d(joined, self.out_channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(self.out_channels, self.out_channels, 3, padding=1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = _fit(self.enlarge(x), skip)
        mixed: Tensor = self.mix(F.relu(torch.cat((x, self.skip_norm(skip)), dim=1)))
        return mixed


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut (He et al. 2016), torchvision's names."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1:
            self.downsample = nn.Sequential(
                HalvingPointwise(inputs, outputs), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


def _fit(x: Tensor, like: Tensor) -> Tensor:
    """Resize x to the height and width of `like` where an odd size made them differ."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, like.shape[-2:], mode="nearest")
