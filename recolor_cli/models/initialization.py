"""How the reports start their networks: normal(0, 0.02) or Xavier."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from recolor_cli.models.layers import PixelShuffleUp


def normal_init(network: nn.Module, std: float = 0.02) -> None:
    """Weights from normal(0, std), biases 0, batch norm scales from normal(1, std).

    Isola et al. 2017, appendix 6.2 (scales as in their code). PixelShuffle layers keep ICNR, which
    is what they are there for. Load a pretrained backbone after this, not before.

    Args:
        network: changed in place.
        std: of weights and of batch norm scales.
    """
    _fill(network, lambda weight: nn.init.normal_(weight, 0.0, std), scale_std=std)


def xavier_init(network: nn.Module, gain: float = 0.02) -> None:
    """Weights from Xavier's normal (Glorot and Bengio 2010, equation 12), times `gain`; biases 0.

    The gain of 0.02 and the batch norm scales from normal(1, 0.02) are those of pix2pix's code,
    which offers this beside the normal start. PixelShuffle layers keep ICNR.

    Args:
        network: changed in place.
        gain: factor on Xavier's standard deviation.
    """
    _fill(network, lambda weight: nn.init.xavier_normal_(weight, gain), scale_std=0.02)


def keep_init(network: nn.Module) -> None:
    """Leave the network as its own file starts it."""


INITIALIZERS: dict[str, Callable[[nn.Module], None]] = {
    "default": keep_init,
    "normal": normal_init,
    "xavier": xavier_init,
}


def _fill(network: nn.Module, fill: Callable[[Tensor], object], scale_std: float) -> None:
    """Fill convolutions and linear layers by `fill`, norms by normal(1, scale_std), biases by 0."""
    kept = {
        part
        for module in network.modules()
        if isinstance(module, PixelShuffleUp)
        for part in module.modules()
    }
    for module in network.modules():
        if module in kept:
            continue
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            fill(module.weight)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, scale_std)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
