"""The vanilla U-Net of report 002: Ronneberger's, padded, with batch norm and a tanh head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recolor_cli.models.heads import space_of
from recolor_cli.models.layers import ConvNormReLU
from recolor_cli.models.sizes import check_multiple


class VanillaUNet(nn.Module):
    """gray (B, in, H, W) in -1..1 -> ab / 110 or RGB (B, out, H, W) in -1..1.

    Report 002, section V: 3x3 convolutions with batch norm and ReLU, 2x2 max-pooling, channels
    doubled a level, 2x2 transposed convolutions, skips, a 1x1 head, tanh; no dropout. Depth and
    width are Ronneberger et al. 2015 (figure 1): four halvings, 64 to 1024 channels.

    Args:
        levels: halvings.
        in_channels: 1 for L or grey.
        out_channels: 2 for ab, 3 for RGB.
        base: channels of the first level.
    """

    space = "lab"
    stride = 16

    def __init__(
        self, levels: int = 4, in_channels: int = 1, out_channels: int = 2, base: int = 64
    ) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"levels must be 1 or more, got {levels}")
        self.space = space_of(out_channels)
        self.stride = 2**levels
        widths = [base * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(
            _double_conv(before, width)
            for before, width in zip([in_channels, *widths], widths, strict=False)
        )
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(widths[level + 1], widths[level], 2, 2)
            for level in reversed(range(levels))
        )
        self.up = nn.ModuleList(
            _double_conv(widths[level] * 2, widths[level]) for level in reversed(range(levels))
        )
        self.head = nn.Conv2d(base, out_channels, 1)

    def forward(self, gray: Tensor) -> Tensor:
        check_multiple(gray, self.stride)
        skips: list[Tensor] = []
        x = gray
        for level, down in enumerate(self.down):
            x = down(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()  # the bottom's map is x itself
        for enlarge, up in zip(self.enlarge, self.up, strict=True):
            x = up(torch.cat((skips.pop(), enlarge(x)), dim=1))
        return torch.tanh(self.head(x))


def _double_conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(ConvNormReLU(inputs, outputs), ConvNormReLU(outputs, outputs))
