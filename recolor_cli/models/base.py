"""The default network: an ImageNet encoder, a PixelShuffle up path, a distribution over ab bins.

The up path is that of the reports' ResNet18 + PixelShuffle U-Net (Barusco and Rampon 2022, section
V.C); what it predicts is Zhang, Isola, Efros (ECCV 2016). The map is decided at a quarter of the
input size, which is as fine as chroma needs to be, and upsampled with the photograph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recolor_cli.color.bins import ab_bins
from recolor_cli.models.encoders import ENCODERS, Encoder
from recolor_cli.models.layers import ConvNormReLU, GlobalAttention, PixelShuffleUp


class UpStep(nn.Module):
    """Double the size, join the encoder's map of that size, mix with 3x3 convolutions."""

    def __init__(self, inputs: int, skip: int, width: int, convs: int) -> None:
        super().__init__()
        self.up = PixelShuffleUp(inputs, width)
        self.skip_norm = nn.BatchNorm2d(skip)
        self.mix = nn.Sequential(
            ConvNormReLU(width + skip, width),
            *(ConvNormReLU(width, width) for _ in range(convs - 1)),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        mixed: Tensor = self.mix(torch.cat((F.relu(self.up(x)), self.skip_norm(skip)), dim=1))
        return mixed


class Tail(nn.Module):
    """Halve the size, then one residual block: (B, I, H, W) -> (B, O, H / 2, W / 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )
        self.mix = nn.Sequential(ConvNormReLU(outputs, outputs), ConvNormReLU(outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        mixed: Tensor = x + self.mix(x)
        return mixed


class EdgeAwareMean(nn.Module):
    """Each place's features, averaged with those of neighbours as light as it: (B, C, h, w).

    A bilateral filter (Tomasi and Manduchi 1998) with the input's luminance as guide. The head is
    linear, so this is the mean of the neighbours' log-probabilities: a surface is decided as one,
    where single cells would each be sure of another colour. Nothing in it is trained.

    Args:
        reach_cells: standard deviation of the distance, in cells of the map, above 0. The 21 places
            that are asked lie up to 1.6 times as far.
        lightness: standard deviation of the difference in L, 0..100, above 0.

    Raises:
        ValueError: one of them is not above 0.
    """

    def __init__(self, reach_cells: float, lightness: float) -> None:
        super().__init__()
        if not (reach_cells > 0 and lightness > 0):
            raise ValueError(
                f"calm_cells and calm_lightness must be above 0, got {reach_cells}, {lightness}"
            )
        self.lightness = lightness
        self.step = max(1, round(reach_cells / math.sqrt(2)))
        self.taps = [
            (row, column, math.exp(-(row**2 + column**2) * (self.step / reach_cells) ** 2 / 2))
            for row in range(-2, 3)
            for column in range(-2, 3)
            if row**2 + column**2 <= 5
        ]

    def forward(self, x: Tensor, gray: Tensor) -> Tensor:
        # sRGB grey from -1..1 to -50..50: about L - 50.
        guide = F.avg_pool2d(gray.float() * 50, gray.shape[-1] // x.shape[-1])
        height, width = x.shape[-2:]
        margin = 2 * self.step
        features = F.pad(x.float(), (margin,) * 4, mode="replicate")
        lights = F.pad(guide, (margin,) * 4, mode="replicate")
        total, weights = torch.zeros_like(x, dtype=torch.float32), torch.zeros_like(guide)
        for row, column, nearness in self.taps:
            top, left = margin + row * self.step, margin + column * self.step
            window = (..., slice(top, top + height), slice(left, left + width))
            apart = (lights[window] - guide) / self.lightness
            weight = nearness * torch.exp(-apart * apart / 2)
            total = total + features[window] * weight
            weights = weights + weight
        return total / weights


class BinsUNet(nn.Module):
    """gray (B, 1, H, W) in -1..1 -> logits (B, K, H / 4, W / 4) over the ab bins.

    Args:
        encoder: a key of `ENCODERS`.
        second_encoder: another one, whose two coarsest maps join the first one's at strides 16 and
            32, where what things are counts for more than where their edges run; "" is none.
        tail: width of a residual stage added after the encoder at twice its stride; 0 adds none.
        widths: channels of the bottleneck, then of each up step down to stride 4.
        attention: global attention blocks at the bottleneck.
        mid_attention: the same after the first up step.
        convs: 3x3 convolutions in each up step.
        bin_step: cell width of the ab grid.
        calm_cells: reach of an `EdgeAwareMean` before the head; 0 is none.
        calm_lightness: its standard deviation in L.
        calm_near_lightness: the same of a second `EdgeAwareMean` over the nearest cells, which
            takes away the speckle that the first one's sparse places leave; 0 is none.

    Attributes:
        bins: (K, 2) centres of the bins, stored with the weights.
    """

    space = "lab-bins"
    # float32 where the rest is bf16: a cold decode magnifies what the head rounds away, and
    # MobileNetV2's thin layers lose most of what is lost (docs/explanation/speed.md).
    full_precision = ("second_encoder", "head")

    def __init__(
        self,
        *,
        encoder: str = "mobilenetv2",
        second_encoder: str = "",
        tail: int = 0,
        widths: Sequence[int] = (320, 256, 160, 128),
        attention: int = 2,
        mid_attention: int = 1,
        convs: int = 2,
        bin_step: int = 10,
        calm_cells: float = 0.0,
        calm_lightness: float = 10.0,
        calm_near_lightness: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = ENCODERS[encoder]()
        skips = list(self.encoder.channels[1:])  # strides 4, 8, 16 (, 32); stride 2 is not used
        self.tail = Tail(skips[-1], tail) if tail else None
        if tail:
            skips.append(tail)
        self.second_encoder = ENCODERS[second_encoder]() if second_encoder else None
        if self.second_encoder is not None:
            if len(skips) != 4 or len(self.second_encoder.channels) != 5:
                raise ValueError("two encoders join at strides 16 and 32, which both must have")
            skips[-2] += self.second_encoder.channels[-2]
            skips[-1] += self.second_encoder.channels[-1]
        self.stride = 2 ** (len(skips) + 1)
        if len(widths) != len(skips):
            raise ValueError(f"{encoder} needs {len(skips)} widths, got {len(widths)}")
        self.bins: Tensor
        self.register_buffer("bins", ab_bins(bin_step))
        self.bottleneck = nn.Sequential(
            nn.Conv2d(skips.pop(), widths[0], 1, bias=False), nn.BatchNorm2d(widths[0])
        )
        self.attention = nn.Sequential(*(GlobalAttention(widths[0]) for _ in range(attention)))
        steps = []
        for before, width in pairwise(widths):
            steps.append(UpStep(before, skips.pop(), width, convs))
        self.steps = nn.ModuleList(steps)
        self.mid_attention = nn.Sequential(
            *(GlobalAttention(widths[1]) for _ in range(mid_attention))
        )
        self.calm = EdgeAwareMean(calm_cells, calm_lightness) if calm_cells else None
        near = calm_near_lightness
        self.calm_near = EdgeAwareMean(math.sqrt(2), near) if near else None
        self.head = nn.Conv2d(widths[-1], len(self.bins), 1)

    def forward(self, gray: Tensor) -> Tensor:
        maps = self.encoder(gray)
        if self.tail is not None:
            maps.append(self.tail(maps[-1]))
        if self.second_encoder is not None:
            exact = gray.to(next(self.second_encoder.parameters()).dtype)
            seconds = self.second_encoder(exact)[-2:]
            maps[-2:] = [
                torch.cat((own, second.to(own.dtype)), 1)
                for own, second in zip(maps[-2:], seconds, strict=True)
            ]
        x = self.attention(F.relu(self.bottleneck(maps.pop())))
        for index, step in enumerate(self.steps):
            x = step(x, maps.pop())
            if index == 0:
                x = self.mid_attention(x)
        for calm in (self.calm, self.calm_near):
            if calm is not None:
                x = calm(x, gray)
        logits: Tensor = self.head(x.to(self.head.weight.dtype))
        return logits

    def encoders(self) -> list[Encoder]:
        """The first, and the second if there is one."""
        return [e for e in (self.encoder, self.second_encoder) if e is not None]

    def freeze_encoder(self, to_stride: int) -> None:
        """Train all but the encoders' blocks up to `to_stride` (0 trains everything)."""
        self.requires_grad_(True)
        for encoder in self.encoders():
            for block, stride in encoder.staged_blocks():
                if stride <= to_stride:
                    block.requires_grad_(False)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters by group, so that each can have its own learning rate."""
        given = [p for encoder in self.encoders() for p in encoder.parameters()]
        encoder = [p for p in given if p.requires_grad]
        own = {id(p) for p in given}
        decoder = [p for p in self.parameters() if p.requires_grad and id(p) not in own]
        return {"encoder": encoder, "decoder": decoder}
