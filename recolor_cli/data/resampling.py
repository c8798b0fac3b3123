"""Many crops of many photographs at once on the device, as `crops.cut` cuts them one by one.

A resized axis is a matrix: each output pixel is a weighted mean of input pixels. Its weights are
those of OpenCV's INTER_AREA where a crop shrinks and INTER_CUBIC where it grows, so both ways give
the same pixels but for rounding; and two batched matrix products resize a whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from recolor_cli.data.crops import Crop, region_of
from recolor_cli.devices import sent

CUBIC = -0.75  # OpenCV's (and torch's) constant of the cubic kernel


class Album:
    """Photographs of different sizes in one flat tensor on the device.

    Args:
        pixels: (P, 3) uint8, one photograph after the other, row by row.
        sizes: height and width of each.
    """

    def __init__(self, pixels: Tensor, sizes: Sequence[tuple[int, int]]) -> None:
        self.pixels = pixels
        self.sizes = sizes
        areas = [height * width for height, width in sizes]
        self._starts = np.concatenate(([0], np.cumsum(areas, dtype=np.int64)))

    def cut(self, numbers: Sequence[int], crops: Sequence[Crop], side: int) -> Tensor:
        """Crop i of photograph numbers[i], as (B, side, side, 3) uint8."""
        boxes = np.array(
            [region_of(crop, self.sizes[n]) for n, crop in zip(numbers, crops, strict=True)]
        )
        regions, heights, widths = self._regions(numbers, boxes)
        shrinks: list[bool] = ((boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= side).tolist()
        rows = _weights(heights, regions.shape[1], side, shrinks)
        columns = _weights(widths, regions.shape[2], side, shrinks)
        pictures = regions.permute(0, 3, 1, 2).float()
        pictures = rows[:, None] @ pictures @ columns[:, None].mT
        pictures = _rounded(pictures)
        turned = [index for index, crop in enumerate(crops) if crop.degrees]
        if turned:
            which = sent(turned, pictures, torch.int64)
            degrees = [crops[index].degrees for index in turned]
            pictures[which] = _rounded(_turn(pictures[which], degrees))
        for axis, name in ((3, "flip"), (2, "flip_vertical")):
            flags = [getattr(crop, name) for crop in crops]
            flipped = sent(flags, pictures, torch.bool)[:, None, None, None]
            pictures = torch.where(flipped, pictures.flip(axis), pictures)
        return pictures.permute(0, 2, 3, 1).to(torch.uint8).contiguous()

    def _regions(
        self, numbers: Sequence[int], boxes: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The boxes' own pixels (B, H, W, 3), padded to the largest; their heights and widths."""
        top, left, bottom, right = boxes.T
        pitch = np.array([self.sizes[number][1] for number in numbers])
        first = self._starts[list(numbers)] + top * pitch + left
        table = np.stack((first, pitch, bottom - top, right - left))
        starts, pitches, heights, widths = sent(table, self.pixels, torch.int64)
        y = torch.arange(int((bottom - top).max()), device=self.pixels.device)
        x = torch.arange(int((right - left).max()), device=self.pixels.device)
        y = torch.minimum(y, heights[:, None] - 1)  # what is read beyond has the weight 0
        x = torch.minimum(x, widths[:, None] - 1)
        places = (starts[:, None] + y * pitches[:, None])[:, :, None] + x[:, None, :]
        return self.pixels[places], heights, widths


def _weights(lengths: Tensor, longest: int, side: int, shrinks: list[bool]) -> Tensor:
    """(B, side, longest): what each input pixel of an axis gives to each output pixel."""
    scale = (lengths.float() / side)[:, None, None]  # input pixels for one output pixel
    place = torch.arange(longest, device=lengths.device)
    out = torch.arange(side, device=lengths.device)[None, :, None]

    # Area: how much of the output pixel lies over the input pixel.
    area = scale.new_zeros(())
    if any(shrinks):
        begin, end = out * scale, (out + 1) * scale
        covered = torch.minimum(end, place + 1.0) - torch.maximum(begin, place.float())
        area = (covered.clamp_min(0) / scale) * (place < lengths[:, None, None])

    # Cubic: four taps around the output pixel's middle; edges repeat.
    if all(shrinks):
        return area
    middle = (out + 0.5) * scale - 0.5
    base = middle.floor()
    cubic = scale.new_zeros(())
    last = lengths[:, None, None] - 1
    for tap in (-1, 0, 1, 2):
        index = torch.minimum((base + tap).long().clamp_min(0), last)
        cubic = cubic + torch.where(place == index, _cubic(middle - (base + tap)), 0.0)
    return torch.where(sent(shrinks, place, torch.bool)[:, None, None], area, cubic)


def _cubic(distance: Tensor) -> Tensor:
    """Keys 1981, equation 4, with the constant `CUBIC`."""
    d = distance.abs()
    near = ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1
    far = ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


def _turn(pictures: Tensor, degrees: Sequence[float]) -> Tensor:
    """Turned counter-clockwise about their middles, bilinear; edges are mirrored in."""
    matrices = []
    for angle in degrees:
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        matrices.append(((cosine, -sine, 0.0), (sine, cosine, 0.0)))  # from result to source
    theta = sent(matrices, pictures)
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=True)
    return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=True)


def _rounded(pictures: Tensor) -> Tensor:
    return (pictures + 0.5).floor().clamp(0, 255)
