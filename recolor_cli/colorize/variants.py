"""Several plausible colourings of one photograph: what each network has to offer, by seed.

A network that predicts a distribution is sampled from; a pix2pix network keeps its dropout, the
noise z of Isola et al. 2017; any other looks at the photograph in another size. Variant 1 is what
`recolor colorize` gives without `--variants`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recolor_cli.checkpoints import ColorModel
from recolor_cli.color.spaces import SPACES
from recolor_cli.errors import UsageError
from recolor_cli.models.noise import NoisyDropout
from recolor_cli.ranges import MAX_INPUT_SIZE

SIZES = (1.5, 0.75, 2.0, 0.5, 1.25, 0.625, 1.75, 0.875)  # times the input size: variants 2 to 9
SMALLEST_PX = 32
SEED_STEP = 1000  # numbers of one seed; more than there are variants


@dataclass(frozen=True)
class Draw:
    """How one variant is made.

    Attributes:
        input_size: Long side in pixels that the network sees.
        seed: Of the draw; None is the plain answer.
    """

    input_size: int
    seed: int | None = None


def way_of(model: ColorModel) -> Literal["samples", "dropout", "sizes"]:
    """Where a network's variants come from."""
    if SPACES[model.card.color["space"]].output == "bins":
        return "samples"
    dropouts = [m for m in model.network.modules() if isinstance(m, NoisyDropout) and m.p > 0]
    return "dropout" if dropouts else "sizes"


def draw_of(model: ColorModel, input_size: int, variant: int, seed: int = 0) -> Draw:
    """What to do for a variant, counted from 1.

    Raises:
        UsageError: The weights do not give that many.
    """
    if variant <= 1:
        return Draw(input_size)
    if way_of(model) != "sizes":
        return Draw(input_size, seed * SEED_STEP + variant)
    if variant > len(SIZES) + 1:
        raise UsageError(
            f"{model.name!r} gives at most {len(SIZES) + 1} variants, by input size; type "
            f"--variants {len(SIZES) + 1}, or choose weights that predict a distribution"
        )
    size = round(input_size * SIZES[variant - 2])
    return Draw(min(max(size, SMALLEST_PX), MAX_INPUT_SIZE))
