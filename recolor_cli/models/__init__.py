"""The networks: torch in, torch out; no files, no printing, no options.

`MODELS` is the list of generators by name; every test of networks runs over it. A generator is an
`nn.Module` with two class attributes: `space`, the row of `color.spaces.SPACES` that it speaks, and
`stride`, of which the height and width of its input must be multiples.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from torch import nn

from recolor_cli.errors import UsageError
from recolor_cli.models.base import BinsUNet

MODELS: dict[str, type[nn.Module]] = {
    "bins-unet": BinsUNet,
}


def create_model(name: str, **arguments: Any) -> nn.Module:
    """Build a generator with fresh weights.

    Raises:
        UsageError: no such network, or it does not take these arguments.
    """
    if name not in MODELS:
        near = get_close_matches(name, MODELS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(MODELS)}"
        raise UsageError(f"no network named '{name}'; {hint}")
    try:
        return MODELS[name](**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"network '{name}' cannot be built; {error}") from error
