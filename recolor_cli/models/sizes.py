"""What must fit: picture borders, sizes that must divide, tensors that a network is given."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn


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


def check_tensors(network: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Raise ValueError unless `tensors` has every tensor of the network, in the same shape.

    Args:
        network: stays as it is.
        tensors: by the network's own names; batch norm's counters may be missing.
        name: of the published network, for the error.
    """
    for key, own in network.state_dict().items():
        if key not in tensors:
            if key.endswith("num_batches_tracked"):  # unknown to files older than torch 0.4.1
                continue
            raise ValueError(f"not a {name} state dict: '{key}' is missing")
        if tensors[key].shape != own.shape:
            found, wanted = tuple(tensors[key].shape), tuple(own.shape)
            raise ValueError(f"not a {name} state dict: '{key}' is {found}, not {wanted}")
