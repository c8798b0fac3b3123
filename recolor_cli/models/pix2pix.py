"""The pix2pix U-Net: 4x4 convolutions of stride 2 down to one pixel and up again, with skips.

Isola et al. 2017, appendix 6.1.1. "Complex" in report 000, the U-Net of 001, the main model of 004.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recolor_cli.models.coarse import DoublingConv, HalvingConv
from recolor_cli.models.heads import space_of
from recolor_cli.models.layers import dense_gradient
from recolor_cli.models.noise import NoisyDropout
from recolor_cli.models.sizes import check_multiple

MAX_WIDENING = 8  # the widest level has this many times `base` channels
DROPOUT_LEVELS = 3  # CD512-CD512-CD512: the first three up steps drop out


class Pix2PixUNet(nn.Module):
    """gray (B, in, H, W) in -1..1 -> ab / 110 or RGB (B, out, H, W) in -1..1.

    Dropout doubles as the noise z: `noise.set_noise(network, True)` keeps it on in eval mode.

    Args:
        levels: halvings; 8 for 256 px, 7 for 128 px. 54,409,858 parameters at 8, 1 -> 2.
        in_channels: 1 for L or grey.
        out_channels: 2 for ab (space "lab"), 3 for RGB (space "rgb").
        base: channels of the first level.
        dropout: rate in the first three up steps.

    Raises:
        ValueError: from `forward`, when H or W is not a multiple of 2 ** levels.
    """

    space = "lab"
    stride = 256

    def __init__(
        self,
        levels: int = 8,
        in_channels: int = 1,
        out_channels: int = 2,
        base: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if levels < 2:
            raise ValueError(f"levels must be 2 or more, got {levels}")
        self.space = space_of(out_channels)
        self.stride = 2**levels
        widths = [base * min(2**level, MAX_WIDENING) for level in range(levels)]
        self.down = nn.ModuleList(
            _down_step(before, width, norm=0 < level < levels - 1, first=level == 0)
            for level, (before, width) in enumerate(
                zip([in_channels, *widths], widths, strict=False)
            )
        )
        steps: list[nn.Module] = []
        for step, level in enumerate(range(levels - 1, 0, -1)):
            inputs = widths[level] * (1 if step == 0 else 2)  # all but the innermost join a skip
            rate = dropout if step < DROPOUT_LEVELS else 0.0
            steps.append(_up_step(inputs, widths[level - 1], rate))
        self.up = nn.ModuleList(steps)
        self.head = nn.Sequential(
            nn.ReLU(), nn.ConvTranspose2d(widths[0] * 2, out_channels, 4, 2, 1), nn.Tanh()
        )

    def forward(self, gray: Tensor) -> Tensor:
        check_multiple(gray, self.stride)
        skips: list[Tensor] = []
        x = gray
        for down in self.down:
            x = down(x)
            skips.append(x)
        skips.pop()  # the innermost map is x itself
        for up in self.up:
            x = torch.cat((dense_gradient(up(x)), skips.pop()), dim=1)
        color: Tensor = self.head(x)
        return color


def _down_step(inputs: int, outputs: int, *, norm: bool, first: bool) -> nn.Sequential:
    """LeakyReLU, 4x4 convolution of stride 2, batch norm; the first and innermost lack some."""
    parts: list[nn.Module] = [] if first else [nn.LeakyReLU(0.2)]
    parts.append(HalvingConv(inputs, outputs))
    if norm:
        parts.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*parts)


def _up_step(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """ReLU, 4x4 transposed convolution of stride 2, batch norm, dropout where the rate is not 0."""
    parts: list[nn.Module] = [
        nn.ReLU(),
        DoublingConv(inputs, outputs),
        nn.BatchNorm2d(outputs),
    ]
    if dropout:
        parts.append(NoisyDropout(dropout))
    return nn.Sequential(*parts)
