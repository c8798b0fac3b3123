"""A network and its card, ready to predict ab from L."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recolor_cli.checkpoints.card import Card
from recolor_cli.color.decoding import Decoding
from recolor_cli.color.spaces import SPACES, Prediction, look, predict
from recolor_cli.models.noise import noise


@dataclass
class ColorModel:
    """Weights in memory.

    Attributes:
        network: in eval mode, without gradients.
        card: what the file, or its entry in `weights.json`, says.
        sha256: of the file.
        name: of the weights: `network.tag`, or the run's or file's name.
    """

    network: nn.Module
    card: Card
    sha256: str
    name: str

    @property
    def stride(self) -> int:
        """The network's input height and width must be multiples of this."""
        stride = self.network.stride
        assert isinstance(stride, int)
        return stride

    @property
    def input_size(self) -> int:
        """Long side in pixels that the network sees by default."""
        return self.card.input_size

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.network.parameters()).device

    @property
    def precision(self) -> str:
        """Number format of the parameters: "fp32", "bf16" or "fp16"."""
        kinds = {torch.bfloat16: "bf16", torch.float16: "fp16"}
        return kinds.get(next(self.network.parameters()).dtype, "fp32")

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> ColorModel:
        """Move in place and return self; what decides colours in the end stays float32.

        That is the ab bins, and the parts that a network names in `full_precision`.
        """
        bins = getattr(self.network, "bins", None)
        # Copies only where something would be rounded: a device that is full has no room for them.
        exact = {
            name: copy.deepcopy(getattr(self.network, name))
            for name in getattr(self.network, "full_precision", ())
            if getattr(self.network, name) is not None and dtype is not None
        }
        self.network.to(device=device, dtype=dtype)
        if isinstance(bins, Tensor):
            self.network.bins = bins.to(device=self.device)
        for name, part in exact.items():
            setattr(self.network, name, part.to(device=self.device))
        return self

    @torch.no_grad()
    def paint(self, luminance: Tensor) -> Tensor:
        """L -> the whole picture as a network of RGB painted it, its luminance too.

        What is coloured keeps the photograph's own luminance; this is for measuring what others
        measured.

        Args:
            luminance: (B, 1, H, W) 0..100; H and W multiples of `stride`.

        Returns:
            sRGB (B, 3, H, W) 0..1.

        Raises:
            ValueError: the network paints no RGB; see `paints`.
        """
        space = SPACES[self.card.color["space"]]
        if space.picture is None:
            raise ValueError(f"'{self.card.network}' paints colours alone, no luminance")
        return space.picture(look(self.network, luminance.to(self.device), space))

    @property
    def paints(self) -> bool:
        """Whether the network returns whole pictures, with a luminance of its own."""
        return SPACES[self.card.color["space"]].picture is not None

    def predict(
        self, luminance: Tensor, *, temperature: float | None = None, seed: int | None = None
    ) -> Prediction:
        """L -> ab, and confidence if the network has one.

        Args:
            luminance: (B, 1, H, W) 0..100; H and W multiples of `stride`.
            temperature: of the annealed mean; None is the card's.
            seed: draw one plausible colouring instead of the mean: from the distribution that the
                network predicts, or with its dropout as noise; no other network draws.
        """
        with noise(self.network, seed):
            return predict(
                self.network,
                luminance.to(self.device),
                SPACES[self.card.color["space"]],
                decoding=Decoding.of(self.card.color, temperature),
                seed=seed,
            )
