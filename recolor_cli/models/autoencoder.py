"""The autoencoder of report 001: shallower than its U-Net, max-pooling, no skip connections."""

from __future__ import annotations

from torch import Tensor, nn

from recolor_cli.models.heads import space_of
from recolor_cli.models.noise import NoisyDropout
from recolor_cli.models.sizes import check_multiple

DROPOUT_LEVELS = 2  # the inner half of the up steps


class Autoencoder(nn.Module):
    """gray (B, in, H, W) in -1..1 -> RGB or ab / 110 (B, out, H, W) in -1..1.

    Report 001 gives no table: 3x3 convolution, batch norm, LeakyReLU and 2x2 max-pooling down;
    transposed convolution, batch norm, ReLU and dropout up, as in its U-Net, at four levels
    instead of seven.

    Args:
        levels: halvings.
        in_channels: 1 for L or grey.
        out_channels: 2 for ab, 3 for RGB.
        base: channels of the first level, doubled at each.
        dropout: rate in the first two up steps.
    """

    space = "rgb"
    stride = 16

    def __init__(
        self,
        levels: int = 4,
        in_channels: int = 1,
        out_channels: int = 3,
        base: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"levels must be 1 or more, got {levels}")
        self.space = space_of(out_channels)
        self.stride = 2**levels
        widths = [base * 2**level for level in range(levels)]
        parts: list[nn.Module] = []
        for before, width in zip([in_channels, *widths], widths, strict=False):
            parts += [
                nn.Conv2d(before, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.LeakyReLU(0.2),
                nn.MaxPool2d(2),
            ]
        self.down = nn.Sequential(*parts)
        parts = []
        for step, (before, width) in enumerate(
            zip(reversed(widths), reversed([base, *widths[:-1]]), strict=True)
        ):
            parts += [
                nn.ConvTranspose2d(before, width, 4, 2, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            if dropout and step < DROPOUT_LEVELS:
                parts.append(NoisyDropout(dropout))
        self.up = nn.Sequential(*parts)
        self.head = nn.Sequential(nn.Conv2d(base, out_channels, 3, padding=1), nn.Tanh())

    def forward(self, gray: Tensor) -> Tensor:
        check_multiple(gray, self.stride)
        color: Tensor = self.head(self.up(self.down(gray)))
        return color
