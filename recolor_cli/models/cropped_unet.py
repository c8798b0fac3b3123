"""The "Simple" and "Normal" U-Nets of report 000: no padding, so skips and pictures are cropped.

Tables 4 and 5 list the convolutions; kernel 3, stride 1, padding 0 and dropout 0.2 are stated,
norm placement and the change of size between levels are not. The stated parameter totals settle
them: 2x2 transposed convolutions (after 2x2 max-pooling, as in the U-Net that the report cites) and
batch norm after every convolution, the last included; docs/papers.md has the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recolor_cli.models.heads import space_of
from recolor_cli.models.noise import NoisyDropout
from recolor_cli.models.sizes import center_crop, check_multiple, mirror_pad


@dataclass(frozen=True)
class _Plan:
    """One table, in multiples of the first width.

    Attributes:
        down: output widths of the convolutions of each shrinking level, the last the bottom.
        up: for each growing level, the transposed convolution's width, then the convolutions'.
        head: kernel of the last convolution.
    """

    down: tuple[tuple[float, ...], ...]
    up: tuple[tuple[float, ...], ...]
    head: int


PLANS = {
    "simple": _Plan(down=((1, 1, 1), (2, 2, 2)), up=((1, 1, 0.5),), head=3),
    "normal": _Plan(down=((1, 1), (2, 2), (4, 4, 4)), up=((2, 2, 1), (1, 1)), head=1),
}


class CroppedUNet(nn.Module):
    """gray (B, in, H, W) in -1..1 -> ab / 110 or RGB in -1..1; H and W multiples of `stride`.

    In training mode the output is what unpadded convolutions leave: the middle of the picture,
    `margin` pixels smaller on each side; crop the target with `sizes.center_crop`, as the report
    does. In eval mode the input is mirrored at its borders first, so that the output covers the
    whole picture: (B, out, H, W).

    Args:
        variant: "simple" (table 4) or "normal" (table 5).
        in_channels: 1 for L or grey.
        out_channels: 2 for ab, 3 for RGB.
        base: channels of the first convolution; the tables' is 64.
        dropout: rate after every convolution but the last.

    Attributes:
        margin: pixels lost on each side in training mode: 12 (simple) or 23 (normal).
    """

    space = "lab"
    stride = 4

    def __init__(
        self,
        variant: str = "simple",
        in_channels: int = 1,
        out_channels: int = 2,
        base: int = 64,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if variant not in PLANS:
            raise ValueError(f"variant must be one of {sorted(PLANS)}, got {variant!r}")
        plan = PLANS[variant]
        self.space = space_of(out_channels)
        self.stride = 2 ** len(plan.up)
        self.margin = _margin(plan)
        inputs = in_channels
        down: list[nn.Module] = []
        for level in plan.down:
            widths = [int(base * width) for width in level]
            down.append(_convs(inputs, widths, dropout))
            inputs = widths[-1]
        self.down = nn.ModuleList(down)
        enlarge: list[nn.Module] = []
        up: list[nn.Module] = []
        skips = [int(base * level[-1]) for level in plan.down[:-1]]
        for step in plan.up:
            first, *widths = (int(base * width) for width in step)
            enlarge.append(nn.ConvTranspose2d(inputs, first, 2, 2))
            up.append(_convs(first + skips.pop(), widths, dropout))
            inputs = widths[-1]
        self.enlarge = nn.ModuleList(enlarge)
        self.up = nn.ModuleList(up)
        self.head = nn.Sequential(
            nn.Conv2d(inputs, out_channels, plan.head), nn.BatchNorm2d(out_channels), nn.Tanh()
        )

    def forward(self, gray: Tensor) -> Tensor:
        check_multiple(gray, self.stride)
        if self.training:
            return self._valid(gray)
        height, width = gray.shape[-2:]
        margin = -(-self.margin // self.stride) * self.stride  # the padded size must divide too
        return center_crop(self._valid(mirror_pad(gray, margin)), height, width)

    def _valid(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level, down in enumerate(self.down):
            x = down(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()  # the bottom's map is x itself
        for enlarge, up in zip(self.enlarge, self.up, strict=True):
            x = enlarge(x)
            x = up(torch.cat((x, center_crop(skips.pop(), x.shape[-2], x.shape[-1])), dim=1))
        color: Tensor = self.head(x)
        return color


def _convs(inputs: int, widths: list[int], dropout: float) -> nn.Sequential:
    """Unpadded 3x3 convolutions, each with batch norm, LeakyReLU and dropout."""
    parts: list[nn.Module] = []
    for width in widths:
        parts += [nn.Conv2d(inputs, width, 3), nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
        parts.append(NoisyDropout(dropout))
        inputs = width
    return nn.Sequential(*parts)


def _margin(plan: _Plan) -> int:
    """Pixels lost on each side: one for each 3x3 convolution, times its level's pixel size."""
    lost = plan.head // 2
    for index, level in enumerate(plan.down):
        lost += len(level) << index
    for index, step in enumerate(reversed(plan.up)):
        lost += (len(step) - 1) << index  # the first of a step is its transposed convolution
    return lost
