"""The residual U-Net of report 003: stride-2 residual blocks down, bilinear upsampling up."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recolor_cli.models.heads import space_of
from recolor_cli.models.layers import HalvingPointwise
from recolor_cli.models.noise import NoisyDropout
from recolor_cli.models.sizes import check_multiple


class ResidualUNet(nn.Module):
    """gray (B, in, H, W) in -1..1 -> RGB or ab / 110 (B, out, H, W) in -1..1.

    Report 003, section V.A.1: residual blocks, downsampling by convolutions of stride 2, dropout
    after each encoder level and the bridge, bilinear upsampling and concatenation. Widths are those
    of the U-Net it cites (figure 3): 64 to 512, bridge 1024. The dropout rate is not stated.

    Args:
        levels: encoder levels before the bridge; the first keeps the size, the others halve it.
        in_channels: 1 for L or grey.
        out_channels: 2 for ab, 3 for RGB.
        base: channels of the first level.
        dropout: rate after each encoder level and the bridge.
    """

    space = "rgb"
    stride = 16

    def __init__(
        self,
        levels: int = 4,
        in_channels: int = 1,
        out_channels: int = 3,
        base: int = 64,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"levels must be 1 or more, got {levels}")
        self.space = space_of(out_channels)
        self.stride = 2**levels
        widths = [base * 2**level for level in range(levels + 1)]  # the last is the bridge
        self.down = nn.ModuleList(
            ResidualBlock(before, width, stride=1 if level == 0 else 2)
            for level, (before, width) in enumerate(
                zip([in_channels, *widths], widths, strict=False)
            )
        )
        self.dropout = NoisyDropout(dropout)
        self.up = nn.ModuleList(
            ResidualBlock(widths[level + 1] + widths[level], widths[level])
            for level in reversed(range(levels))
        )
        self.head = nn.Conv2d(base, out_channels, 1)

    def forward(self, gray: Tensor) -> Tensor:
        check_multiple(gray, self.stride)
        skips: list[Tensor] = []
        x = gray
        for down in self.down:
            x = self.dropout(down(x))
            skips.append(x)
        skips.pop()  # the bridge's map is x itself
        for up in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = up(torch.cat((x, skips.pop()), dim=1))
        return torch.tanh(self.head(x))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, and a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2:
            self.shortcut = nn.Sequential(
                HalvingPointwise(inputs, outputs), nn.BatchNorm2d(outputs)
            )
        elif inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.convs(x) + self.shortcut(x))
