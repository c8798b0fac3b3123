"""The defects of `aging.py` on a batch of greys on the device.

The same formulas on tensors; each is computed for those samples only which have the defect. Grain
alone has other random numbers than there: its noise is a hash of sample and place, because drawing
it for every pixel on the processor is what takes longest there. JPEG is what of it loses anything:
blocks, cosine transform, quantisation and back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recolor_cli.color.tensors import linear_to_srgb, srgb_to_linear
from recolor_cli.data.aging import FINE_GRAIN, LUMINANCE
from recolor_cli.data.defects import Defects, Grain, Halftone, Scratches, Shading, Tone
from recolor_cli.devices import sent

BLUR_RADIUS = 6  # covers four sigma of the widest blur
BLOCK = 8
# ITU-T T.81, table K.1: how coarsely JPEG stores the luminance's frequencies at quality 50.
QUANTISATION = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def aged_grays(rgb: Tensor, defects: Sequence[Defects]) -> Tensor:
    """The grey inputs: (B, H, W, 3) uint8 and what each has -> (B, H, W) uint8, sRGB-encoded."""
    linear = srgb_to_linear(rgb.float() / 255)
    sensitivity = sent([has.sensitivity or LUMINANCE for has in defects], linear)
    gray = linear_to_srgb(torch.einsum("bhwc,bc->bhw", linear, sensitivity))
    steps: tuple[tuple[str, Callable[[Tensor, list[Any]], Tensor]], ...] = (
        ("blur", _blurred),
        ("tone", _toned),
        ("grain", _grained),
        ("shading", _shaded),
        ("scratches", _scratched),
        ("halftone", _halftoned),
    )
    for name, apply in steps:
        gray = _where(gray, [getattr(has, name) for has in defects], apply)
    result = (gray.clamp(0, 1) * 255 + 0.5).floor()
    return _where(result, [has.jpeg for has in defects], _compressed).to(torch.uint8)


def _where(
    gray: Tensor, values: Sequence[Any], apply: Callable[[Tensor, list[Any]], Tensor]
) -> Tensor:
    """The greys, with `apply` on those whose value is not None."""
    chosen = [index for index, value in enumerate(values) if value is not None]
    if not chosen:
        return gray
    which = sent(chosen, gray, torch.int64)
    changed = apply(gray[which], [values[index] for index in chosen])
    return gray.index_copy(0, which, changed)


def _each(gray: Tensor, values: Sequence[float]) -> Tensor:
    """One number a sample, as (B, 1, 1)."""
    return sent(values, gray)[:, None, None]


def _blurred(gray: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Gaussians, edges mirrored without repeating them."""
    reach = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=gray.device)
    kernels = torch.exp(-(reach**2) / (2 * sent(sigmas, gray)[:, None] ** 2))
    kernels = kernels / kernels.sum(1, keepdim=True)
    for _ in range(2):  # along the rows, then along the columns
        padded = F.pad(gray[:, None], (BLUR_RADIUS, BLUR_RADIUS, 0, 0), mode="reflect")[:, 0]
        width = gray.shape[2]
        total = torch.zeros_like(gray)
        for tap in range(2 * BLUR_RADIUS + 1):
            total += kernels[:, tap, None, None] * padded[:, :, tap : tap + width]
        gray = total.transpose(1, 2)
    return gray


def _toned(gray: Tensor, tones: Sequence[Tone]) -> Tensor:
    gamma, bend, black, white = (_each(gray, column) for column in zip(*tones, strict=True))
    value = gray**gamma
    value = value + bend * (value * value * (3 - 2 * value) - value)
    return black + (white - black) * value


def _grained(gray: Tensor, grains: Sequence[Grain]) -> Tensor:
    noise = normal_noise([grain.key for grain in grains], gray)

    def widen(noise: Tensor, widths: list[float]) -> Tensor:
        noise = _blurred(noise, widths)
        return noise / (noise.std((1, 2), correction=0, keepdim=True) + 1e-6)

    widths = [grain.width if grain.width > FINE_GRAIN else None for grain in grains]
    noise = _where(noise, widths, widen)
    strength = _each(gray, [grain.strength for grain in grains])
    return gray + noise * (strength * (0.35 + 2.6 * gray * (1 - gray)))


def normal_noise(keys: Sequence[int], like: Tensor) -> Tensor:
    """Standard normal numbers (B, H, W) that depend on each sample's key and the place alone."""
    _, height, width = like.shape
    place = torch.arange(height * width, device=like.device) * 2
    key = sent(list(keys), like, torch.int64)[:, None]
    one, two = (_hashed(_hashed(place + part) ^ key) for part in (0, 1))
    radius = torch.sqrt(-2 * torch.log((one.float() + 1) / (2**32 + 1)).clamp_max(0))
    return (radius * torch.cos(two.float() * (2 * math.pi / 2**32))).view(-1, height, width)


def _hashed(number: Tensor) -> Tensor:
    """Spread whole numbers over 0 .. 2**32 - 1 (the finaliser of MurmurHash3)."""
    mask = 2**32 - 1
    number = number & mask
    number = ((number ^ (number >> 16)) * 0x85EBCA6B) & mask
    number = ((number ^ (number >> 13)) * 0xC2B2AE35) & mask
    return number ^ (number >> 16)


def _shaded(gray: Tensor, shadings: Sequence[Shading]) -> Tensor:
    coarse = torch.stack([torch.from_numpy(shading.coarse) for shading in shadings])
    size = (gray.shape[1], gray.shape[2])
    field = F.interpolate(sent(coarse, gray)[:, None], size, mode="bicubic")[:, 0]
    depth = _each(gray, [shading.depth for shading in shadings])
    multiplies = _each(gray, [shading.multiplies for shading in shadings]) > 0
    faded = gray + (0.5 - gray) * depth * field.abs()
    return torch.where(multiplies, gray * (1 + depth * field), faded)


def _scratched(gray: Tensor, scratches: Sequence[Scratches]) -> Tensor:
    marks = sent(torch.stack([torch.from_numpy(one.marks) for one in scratches]), gray)
    return gray + marks * (_each(gray, [one.color for one in scratches]) - gray)


def _halftoned(gray: Tensor, halftones: Sequence[Halftone]) -> Tensor:
    pitch, angle, mix = (_each(gray, column) for column in zip(*halftones, strict=True))
    y = torch.arange(gray.shape[1], device=gray.device)[:, None]
    x = torch.arange(gray.shape[2], device=gray.device)
    u = (x * torch.cos(angle) + y * torch.sin(angle)) * (2 * math.pi / pitch)
    v = (y * torch.cos(angle) - x * torch.sin(angle)) * (2 * math.pi / pitch)
    dots = torch.sigmoid(8 * (gray - (0.5 + 0.25 * (torch.cos(u) + torch.cos(v)))))
    return (1 - mix) * gray + mix * dots


def _compressed(gray: Tensor, qualities: Sequence[int]) -> Tensor:
    """What baseline JPEG makes of 0..255 greys (ITU-T T.81, libjpeg's scale of quality)."""
    batch, height, width = gray.shape
    down, right = -height % BLOCK, -width % BLOCK
    padded = F.pad(gray[:, None], (0, right, 0, down), mode="replicate")[:, 0] - 128
    blocks = padded.unfold(1, BLOCK, BLOCK).unfold(2, BLOCK, BLOCK)  # (B, rows, columns, 8, 8)
    tables = []
    for quality in qualities:
        percent = 5000 // quality if quality < 50 else 200 - 2 * quality
        tables.append(
            [[min(255, max(1, (q * percent + 50) // 100)) for q in row] for row in QUANTISATION]
        )
    table = sent(tables, gray)[:, None, None]
    cosines = _cosines(gray)
    stored = cosines @ blocks @ cosines.T / table
    stored = stored.sign() * (stored.abs() + 0.5).floor()  # halves away from zero, as libjpeg
    blocks = cosines.T @ (stored * table) @ cosines
    whole = blocks.permute(0, 1, 3, 2, 4).reshape(batch, height + down, width + right)
    return (whole[:, :height, :width] + 128.5).floor().clamp(0, 255)


def _cosines(like: Tensor) -> Tensor:
    """The orthonormal 8-point cosine transform, a row a frequency."""
    frequency = torch.arange(BLOCK, device=like.device)[:, None]
    place = torch.arange(BLOCK, device=like.device)
    matrix = torch.cos((2 * place + 1) * frequency * (math.pi / (2 * BLOCK))) / 2
    matrix[0] /= math.sqrt(2)
    return matrix.to(like)
