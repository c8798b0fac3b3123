"""4x4 convolutions of stride 2 that are matrix products where maps are small and weights are many.

The inner levels of a U-Net have few pixels and most of the weights. There a convolution's time on
a processor is not arithmetic: oneDNN brings the weights, and their gradients, into blocks of its
own and back, in every step. A product of matrices takes them as they lie (channels last), computes
the same sums, and is two to five times as fast forwards and backwards together.

Only in training on a CPU: anywhere else these are `nn.Conv2d` and `nn.ConvTranspose2d`, bit for
bit.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Of a batch's coarse pixels. Above, arithmetic counts more than weights: 1024 are slower than the
# convolution on Zen 4, 256 are faster, in float32 and in bfloat16 (docs/log.md, 2026-11-21).
MOST_ROWS = 256


class HalvingConv(nn.Conv2d):
    """(B, C, H, W) -> (B, D, H / 2, W / 2); H and W are even; no bias."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 4, 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if not _is_product(self, x, x.shape[-2] // 2 * (x.shape[-1] // 2)):
            return super().forward(x)
        B, C, H, W = x.shape
        h, w = H // 2, W // 2
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        windows = padded.unfold(1, 4, 2).unfold(2, 4, 2)  # (B, h, w, C, 4, 4)
        rows = windows.permute(0, 1, 2, 4, 5, 3).reshape(B * h * w, 16 * C)
        matrix = self.weight.permute(0, 2, 3, 1).reshape(self.out_channels, 16 * C)
        y = F.linear(rows, matrix)
        return y.view(B, h, w, self.out_channels).permute(0, 3, 1, 2)


class DoublingConv(nn.ConvTranspose2d):
    """(B, C, H, W) -> (B, D, 2 H, 2 W); no bias."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 4, 2, 1, bias=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is not None or not _is_product(self, x, x.shape[-2] * x.shape[-1]):
            return super().forward(x, output_size)
        (B, C, H, W), D = x.shape, self.out_channels
        rows = x.permute(0, 2, 3, 1).reshape(B * H * W, C)
        patches = rows @ self.weight.permute(0, 2, 3, 1).reshape(C, 16 * D)
        patches = patches.view(B, H, W, 4, 4, D)
        # Each pixel paints 4 x 4 of the finer map, two pixels apart: four layers of 2 x 2, which
        # overlap with their neighbours'; never summed in bfloat16.
        exact = torch.promote_types(patches.dtype, torch.float32)
        y = x.new_zeros((B, H + 1, 2, W + 1, 2, D), dtype=exact)
        for i in (0, 1):
            for j in (0, 1):
                layer = patches[:, :, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                y[:, i : i + H, :, j : j + W] += layer.permute(0, 1, 3, 2, 4, 5)
        y = y.view(B, 2 * H + 2, 2 * W + 2, D)[:, 1:-1, 1:-1].to(patches.dtype)
        return y.permute(0, 3, 1, 2)


def _is_product(module: nn.Module, x: Tensor, pixels: int) -> bool:
    return module.training and x.device.type == "cpu" and x.shape[0] * pixels <= MOST_ROWS
