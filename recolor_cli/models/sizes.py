"""How networks treat picture borders: centre crops, mirrored margins, sizes that must divide."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def center_crop(x: Tensor, height: int, width: int) -> Tensor:
    """Cut the middle out of x (*, H, W) -> (*, height, width); an odd pixel is lost at the end."""
    top = (x.shape[-2] - height) // 2
    left = (x.shape[-1] - width) // 2
    if top < 0 or left < 0:
        raise ValueError(f"cannot crop {tuple(x.shape[-2:])} to {(height, width)}")
    return x[..., top : top + height, left : left + width]


def mirror_pad(x: Tensor, margin: int) -> Tensor:
    """Continue x (B, C, H, W) by its mirror image: (B, C, H + 2 margin, W + 2 margin).

    What U-Net does where an output pixel lacks context (Ronneberger et al. 2015, section 2).
    """
    if margin >= min(x.shape[-2:]):
        raise ValueError(
            f"a mirrored margin of {margin} pixels needs more than {margin} pixels each way, "
            f"got {tuple(x.shape[-2:])}"
        )
    return F.pad(x, (margin, margin, margin, margin), mode="reflect")


def check_multiple(x: Tensor, stride: int) -> None:
    """Raise ValueError unless height and width of x (B, C, H, W) are multiples of `stride`."""
    height, width = x.shape[-2:]
    if height % stride or width % stride or not height or not width:
        raise ValueError(f"height and width must be multiples of {stride}, got {height} x {width}")
