"""Dropout that can stay on at test time: the only noise z that pix2pix has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NoisyDropout(nn.Dropout):
    """Dropout that is on in training, and in eval mode too while `noise` is true.

    Isola et al. 2017, section 3.2.1: "we provide noise only in the form of dropout, applied on
    several layers of our generator at both training and test time". Off by default, because the
    same photograph must give the same colours; `set_noise` turns it on.
    """

    noise: bool = False

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, training=self.training or self.noise)


def set_noise(network: nn.Module, enabled: bool) -> int:
    """Turn dropout as noise z at test time on or off; `torch.manual_seed` picks the draw.

    Returns:
        How many dropout layers were switched: 0 means the network has no noise to offer.
    """
    layers = [module for module in network.modules() if isinstance(module, NoisyDropout)]
    for layer in layers:
        layer.noise = enabled
    return len(layers)


@contextmanager
def noise(network: nn.Module, seed: int | None) -> Iterator[None]:
    """Dropout as noise within the block, drawn by seed; the generators' states are put back.

    None, or a network without such dropout, changes nothing.
    """
    if seed is None or not set_noise(network, True):
        yield
        return
    device = next(network.parameters()).device
    apple = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            # Not torch.manual_seed, which would change all other GPUs' states for good.
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            elif apple is not None:
                torch.mps.manual_seed(seed)
            yield
    finally:
        if apple is not None:
            torch.mps.set_rng_state(apple)
        set_noise(network, False)
