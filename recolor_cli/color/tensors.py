"""sRGB <-> CIE Lab (D65, 2 degree observer) on torch tensors, as scikit-image defines it.

Used where colours meet networks. Full-size photographs go through `lab.py`, which is faster on a
CPU. Constants: IEC 61966-2-1 (sRGB) and CIE 15 (Lab); held to scikit-image in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps

import torch
from torch import Tensor

WHITE_D65 = (0.95047, 1.0, 1.08883)
_RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_EPSILON = 0.008856  # CIE 15: where the cube root gives way to a line
_KAPPA = 7.787


def srgb_to_linear(srgb: Tensor) -> Tensor:
    """Undo the sRGB transfer curve; any shape, 0..1 in and out."""
    return torch.where(srgb > 0.04045, ((srgb.clamp_min(0) + 0.055) / 1.055) ** 2.4, srgb / 12.92)


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Apply the sRGB transfer curve; any shape, 0..1 in and out."""
    return torch.where(
        linear > 0.0031308, 1.055 * linear.clamp_min(1e-12) ** (1 / 2.4) - 0.055, 12.92 * linear
    )


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """SRGB (*, 3, H, W) in 0..1 -> Lab (*, 3, H, W): L 0..100, a and b about -110..110."""
    _check_three_channels(rgb, "rgb")
    to_xyz = _rgb_to_white(rgb.dtype, rgb.device)
    xyz = torch.einsum("ij,...jhw->...ihw", to_xyz, srgb_to_linear(rgb))
    f = torch.where(xyz > _EPSILON, xyz.clamp_min(_EPSILON) ** (1 / 3), _KAPPA * xyz + 16.0 / 116.0)
    fx, fy, fz = f.unbind(-3)
    return torch.stack((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), dim=-3)


def lab_to_rgb(lab: Tensor, *, clamp: bool = True) -> Tensor:
    """Lab (*, 3, H, W) -> sRGB (*, 3, H, W) in 0..1.

    Args:
        clamp: cut values outside the gamut to 0..1; without it they show how far outside they are.
    """
    _check_three_channels(lab, "lab")
    lightness, a, b = lab.unbind(-3)
    fy = (lightness + 16) / 116
    f = torch.stack((fy + a / 500, fy, fy - b / 200), dim=-3)
    xyz = torch.where(f > 0.2068966, f**3, (f - 16.0 / 116.0) / _KAPPA)
    to_rgb = _white_to_rgb(lab.dtype, lab.device)
    rgb = linear_to_srgb(torch.einsum("ij,...jhw->...ihw", to_rgb, xyz))
    return rgb.clamp(0, 1) if clamp else rgb


def luminance_to_gray(luminance: Tensor) -> Tensor:
    """L (any shape) 0..100 -> the sRGB value 0..1 of the grey with that lightness."""
    fy = (luminance + 16) / 116
    return linear_to_srgb(torch.where(fy > 0.2068966, fy**3, (fy - 16.0 / 116.0) / _KAPPA))


def resize_area(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Make (..., H, W) smaller, to `size` (h, w): each pixel is the mean of the area it stands for.

    As two matrix products: torch's own ways want whole numbers, or a device that knows them.
    """
    rows, columns = (
        _areas(large, small, maps) for large, small in zip(maps.shape[-2:], size, strict=True)
    )
    return rows @ maps @ columns.mT


# Numbers on their way to a GPU are waited for until it has done all that it was told before, and so
# is the check of an inverse: what never changes is made once, by the processor. Not as part of
# inference, even if that comes first: gradients could not pass there later. Nor while a graph is
# exported: tensors hold no numbers then, and would be all that everybody finds afterwards.


def _made_once(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    kept = lru_cache(maxsize=64)(make)

    @wraps(make)
    def given(*arguments: object) -> Tensor:
        return make(*arguments) if torch.compiler.is_compiling() else kept(*arguments)

    return given


def constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Numbers that never change, of the type and on the device of `like`; not to be written to."""
    return _constant(values, like.dtype, like.device)


@_made_once
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device="cpu").to(device)


@_made_once
def _rgb_to_white(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Linear sRGB -> XYZ in parts of the white point's."""
    with torch.inference_mode(False):
        to_xyz = torch.tensor(_RGB_TO_XYZ, dtype=dtype, device="cpu")
        return (to_xyz / torch.tensor(WHITE_D65, dtype=dtype, device="cpu")[:, None]).to(device)


@_made_once
def _white_to_rgb(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The way back."""
    with torch.inference_mode(False):
        to_rgb = torch.linalg.inv(torch.tensor(_RGB_TO_XYZ, dtype=dtype, device="cpu"))
        scaled: Tensor = to_rgb * torch.tensor(WHITE_D65, dtype=dtype, device="cpu")
        return scaled.to(device)


def _areas(large: int, small: int, like: Tensor) -> Tensor:
    """(small, large) shares of the old pixels in the new ones; each row sums to 1."""
    edges = torch.arange(small + 1, dtype=like.dtype, device=like.device) * (large / small)
    pixels = torch.arange(large, dtype=like.dtype, device=like.device)
    overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    return overlap.clamp_min(0) * (small / large)


def _check_three_channels(tensor: Tensor, name: str) -> None:
    if tensor.ndim < 3 or tensor.shape[-3] != 3:
        raise ValueError(f"{name} must be (*, 3, H, W), got {tuple(tensor.shape)}")
