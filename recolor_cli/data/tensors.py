"""uint8 crops -> what networks and losses need, on the device."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from recolor_cli.color.tensors import linear_to_srgb, rgb_to_lab, srgb_to_linear
from recolor_cli.data.batches import Batch
from recolor_cli.data.photos import Pixels
from recolor_cli.devices import carried


class LabCrops:
    """A batch on the device, as L and ab; every conversion is made once, when first asked for.

    Args:
        batch: uint8 crops, on the device or not.
        device: where the network is.
    """

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self._rgb = _moved(batch.rgb, device)
        self._gray = None if batch.gray is None else _moved(batch.gray, device)
        self._lab: Tensor | None = None
        self._luminance: Tensor | None = None
        self._small_ab: dict[tuple[int, int], Tensor] = {}

    def __len__(self) -> int:
        return len(self._rgb)

    def middle(self, margin: int) -> LabCrops:
        """The same crops without `margin` pixels on each side."""
        inner = copy.copy(self)
        height, width = self._rgb.shape[1:3]
        rows, columns = slice(margin, height - margin), slice(margin, width - margin)
        inner._rgb = self._rgb[:, rows, columns]
        inner._gray = None if self._gray is None else self._gray[:, rows, columns]
        inner._lab = inner._luminance = None
        inner._small_ab = {}
        return inner

    @property
    def rgb(self) -> Tensor:
        """The truth (B, 3, H, W), 0..1."""
        return self._rgb.permute(0, 3, 1, 2).float() / 255

    @property
    def lab(self) -> Tensor:
        """The truth (B, 3, H, W) at full size."""
        if self._lab is None:
            self._lab = rgb_to_lab(self.rgb)
        return self._lab

    @property
    def luminance(self) -> Tensor:
        """The network's input (B, 1, H, W), 0..100: aged where the batch says so."""
        if self._gray is None:
            return self.lab[:, :1]
        if self._luminance is None:
            table = _gray_to_luminance(self._gray.device)
            self._luminance = table[self._gray.int()][:, None]
        return self._luminance

    def small_luminance(self, size: Sequence[int]) -> Tensor:
        """The input's L (B, 1, h, w), averaged over the cells of a smaller grid."""
        luminance, cells = self.luminance, (size[0], size[1])
        if cells == tuple(luminance.shape[-2:]):
            return luminance
        return F.adaptive_avg_pool2d(luminance, cells)

    def small_ab(self, size: Sequence[int]) -> Tensor:
        """The truth's ab (B, 2, h, w): the colour of the light of each cell of a smaller grid."""
        size = (size[0], size[1])
        if size == tuple(self._rgb.shape[1:3]):
            return self.lab[:, 1:]
        if size not in self._small_ab:
            linear = _linear_table(self._rgb.device)[self._rgb.int()].permute(0, 3, 1, 2)
            cells = linear_to_srgb(F.adaptive_avg_pool2d(linear, size))
            self._small_ab[size] = rgb_to_lab(cells)[:, 1:]
        return self._small_ab[size]


def _moved(values: Pixels | Tensor, device: torch.device) -> Tensor:
    return carried(values if isinstance(values, Tensor) else torch.from_numpy(values), device)


_TABLES: dict[tuple[str, torch.device], Tensor] = {}


def _linear_table(device: torch.device) -> Tensor:
    key = ("linear", device)
    if key not in _TABLES:
        _TABLES[key] = srgb_to_linear(torch.arange(256) / 255).to(device)
    return _TABLES[key]


def _gray_to_luminance(device: torch.device) -> Tensor:
    key = ("luminance", device)
    if key not in _TABLES:
        grays = (torch.arange(256) / 255).expand(3, 1, 256)
        _TABLES[key] = rgb_to_lab(grays)[0, 0].to(device)
    return _TABLES[key]
