"""Blocks used by two or more networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def icnr_(weight: Tensor, scale: int = 2, gain: float = 1.0) -> Tensor:
    """Fill a convolution's weight so that PixelShuffle starts as nearest-neighbour upsampling.

    Aitken et al., "Checkerboard artifact free sub-pixel convolution" (2017), algorithm 1.

    Args:
        weight: (C * scale^2, I, kH, kW), changed in place.
    """
    out_channels = weight.shape[0] // scale**2
    with torch.no_grad():
        kernel = nn.init.kaiming_normal_(weight.new_empty(out_channels, *weight.shape[1:]))
        weight.copy_(kernel.repeat_interleave(scale**2, dim=0))
        if gain != 1:
            weight.mul_(gain)
    return weight


def zero_(conv: nn.Conv2d, *, weight: bool = True) -> None:
    """Start a convolution at zero: its bias and, unless told otherwise, its weight."""
    if weight:
        nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def dense_gradient(x: Tensor) -> Tensor:
    """The same tensor; its gradient will lie in memory as it does itself.

    The gradient of one part of a concatenation is a slice of the whole's. Batch norm's backward
    pass takes ten times as long over such a slice on a CPU as over a copy of it.
    """
    if x.requires_grad:
        dense = x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if dense else torch.contiguous_format
        x.register_hook(lambda gradient: gradient.contiguous(memory_format=layout))
    return x


class PixelShuffleUp(nn.Module):
    """1x1 convolution + PixelShuffle: (B, I, H, W) -> (B, O, 2H, 2W), ICNR-initialised."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels * 4, 1)
        icnr_(self.conv.weight)
        zero_(self.conv, weight=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)


class HalvingPointwise(nn.Conv2d):
    """1x1 convolution of stride 2, no bias: (B, I, H, W) -> (B, O, H / 2, W / 2), rounded up.

    On a processor every other pixel is taken first, which gives the same sums. oneDNN's own way
    to the weight's gradient writes beyond its memory where there are 4 channels in and the
    processor has AVX2 without AVX-512 (torch 2.13): the process dies, hangs, or computes on.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        return F.conv2d(x[:, :, ::2, ::2], self.weight)


class ConvNormReLU(nn.Sequential):
    """3x3 convolution, batch norm, ReLU; keeps H and W."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight)
        super().__init__(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class GlobalAttention(nn.Module):
    """Self-attention over all positions of a coarse map, then a 1x1 MLP, both residual.

    Lets the far ends of one object, or of one sky, agree on a colour. The last layer of each branch
    starts at zero, so that the block starts as the identity. No position code: any size works.

    Args:
        channels: C; a multiple of `head_channels`.
    """

    def __init__(self, channels: int, head_channels: int = 32) -> None:
        super().__init__()
        if channels % head_channels:
            raise ValueError(f"channels {channels} must be a multiple of {head_channels}")
        self.heads = channels // head_channels
        self.norm_attention = nn.GroupNorm(1, channels)
        self.qkv = nn.Conv2d(channels, channels * 3, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        self.norm_mlp = nn.GroupNorm(1, channels)
        last = nn.Conv2d(channels * 2, channels, 1)
        self.mlp = nn.Sequential(nn.Conv2d(channels, channels * 2, 1), nn.GELU(), last)
        zero_(self.project)
        zero_(last)

    def forward(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        qkv = self.qkv(self.norm_attention(x)).reshape(B, 3, self.heads, C // self.heads, H * W)
        query, key, value = qkv.transpose(-1, -2).unbind(1)  # (B, heads, HW, C / heads)
        mixed = F.scaled_dot_product_attention(query, key, value)
        x = x + self.project(mixed.transpose(-1, -2).reshape(B, C, H, W))
        mixed_twice: Tensor = x + self.mlp(self.norm_mlp(x))
        return mixed_twice
