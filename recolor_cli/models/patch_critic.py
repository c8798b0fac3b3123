"""The `divisor` discriminators of report 000: a picture cut into squares, each judged alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recolor_cli.models.sizes import center_crop

WIDENINGS = {"simple": (1, 2, 4), "normal": (1, 2, 4, 8, 8)}  # output widths in multiples of base


class DivisorCritic(nn.Module):
    """gray and colour (B, in, H, W) -> one verdict a picture (B, 1): the mean over its patches.

    Report 000, section V.B: the picture is cut into divisor x divisor patches without overlap, each
    goes through 3 (simple) or 5 (normal) convolutions and one linear layer, and the mean over the
    patches is the verdict. The report gives no sizes: 3x3 convolutions of stride 2, LeakyReLU and
    batch norm as elsewhere in it; features are averaged over a patch before the linear layer, so
    that any picture size fits. Pixels that do not divide are cut off at the borders.

    Args:
        variant: "simple" or "normal".
        in_channels: channels of condition and colour: 3 for L + ab, 4 for grey + RGB.
        divisor: patches along each side.
        base: channels of the first convolution.
        norm: "batch" or "none".
        sigmoid: return probabilities 0..1; without it logits, or a critic's scores.
    """

    def __init__(
        self,
        variant: str = "simple",
        in_channels: int = 3,
        divisor: int = 4,
        base: int = 64,
        norm: str = "batch",
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        if variant not in WIDENINGS:
            raise ValueError(f"variant must be one of {sorted(WIDENINGS)}, got {variant!r}")
        if divisor < 1:
            raise ValueError(f"divisor must be 1 or more, got {divisor}")
        if norm not in ("batch", "none"):
            raise ValueError(f"norm must be one of batch, none, got {norm!r}")
        self.divisor = divisor
        parts: list[nn.Module] = []
        before = in_channels
        for index, widening in enumerate(WIDENINGS[variant]):
            normed = norm == "batch" and index > 0
            parts.append(nn.Conv2d(before, base * widening, 3, 2, 1, bias=not normed))
            if normed:
                parts.append(nn.BatchNorm2d(base * widening))
            parts.append(nn.LeakyReLU(0.2))
            before = base * widening
        self.convs = nn.Sequential(*parts)
        self.linear = nn.Linear(before, 1)
        self.sigmoid = sigmoid

    def forward(self, picture: Tensor) -> Tensor:
        features = self.convs(cut_patches(picture, self.divisor)).mean((2, 3))
        verdicts: Tensor = self.linear(features)
        if self.sigmoid:
            verdicts = torch.sigmoid(verdicts)
        return verdicts.reshape(len(picture), -1).mean(1, keepdim=True)


def cut_patches(picture: Tensor, divisor: int) -> Tensor:
    """Cut (B, C, H, W) into divisor^2 patches each: (B * divisor^2, C, H // divisor, W // divisor).

    Patches of one picture are neighbours along the first axis, row by row.
    """
    B, C, H, W = picture.shape
    height, width = H // divisor, W // divisor
    if not height or not width:
        raise ValueError(f"cannot cut {H} x {W} pixels into {divisor} x {divisor} patches")
    picture = center_crop(picture, height * divisor, width * divisor)
    grid = picture.reshape(B, C, divisor, height, divisor, width).permute(0, 2, 4, 1, 3, 5)
    return grid.reshape(B * divisor**2, C, height, width)
