"""The ResNet generator of report 001: 7x7 stem, down, residual blocks, up, tanh."""

from __future__ import annotations

from torch import Tensor, nn

from recolor_cli.models.heads import space_of
from recolor_cli.models.sizes import check_multiple


class ResnetGenerator(nn.Module):
    """gray (B, in, H, W) in -1..1 -> RGB or ab / 110 (B, out, H, W) in -1..1.

    Johnson et al. 2016 as pix2pix's and CycleGAN's code builds it; the report names its parts but
    no sizes. Six residual blocks are what CycleGAN uses at 128 px (Zhu et al. 2017, appendix 7.2).

    Args:
        in_channels: 1 for L or grey.
        out_channels: 2 for ab, 3 for RGB.
        base: channels of the stem.
        blocks: residual blocks at a quarter of the size.
    """

    space = "rgb"
    stride = 4

    def __init__(
        self, in_channels: int = 1, out_channels: int = 3, base: int = 64, blocks: int = 6
    ) -> None:
        super().__init__()
        self.space = space_of(out_channels)
        parts: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(in_channels, base, 7, bias=False),
            nn.BatchNorm2d(base),
            nn.ReLU(),
        ]
        for width in (base, base * 2):
            parts += [
                nn.Conv2d(width, width * 2, 3, 2, 1, bias=False),
                nn.BatchNorm2d(width * 2),
                nn.ReLU(),
            ]
        parts += [ReflectedResidualBlock(base * 4) for _ in range(blocks)]
        for width in (base * 4, base * 2):
            parts += [
                nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1, bias=False),
                nn.BatchNorm2d(width // 2),
                nn.ReLU(),
            ]
        parts += [nn.ReflectionPad2d(3), nn.Conv2d(base, out_channels, 7), nn.Tanh()]
        self.layers = nn.Sequential(*parts)

    def forward(self, gray: Tensor) -> Tensor:
        check_multiple(gray, self.stride)
        color: Tensor = self.layers(gray)
        return color


class ReflectedResidualBlock(nn.Module):
    """Two 3x3 convolutions with mirrored borders and batch norm, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = x + self.convs(x)
        return mixed
