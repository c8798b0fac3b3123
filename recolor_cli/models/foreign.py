"""Networks of other projects, for their published weights; never trained here.

Not in `MODELS`: they have no recipe, and DDColor needs a package that most people do not have.
Each is an `nn.Module` with `space` and `stride` like ours, and `spare`: tensors that its published
file may hold beyond the network (name -> shape), and that are not used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from recolor_cli.errors import UsageError
from recolor_cli.models.ddcolor import build_ddcolor
from recolor_cli.models.deoldify import DeOldify
from recolor_cli.models.zhang import Eccv16, Siggraph17

FOREIGN: dict[str, Callable[..., nn.Module]] = {
    "ddcolor": build_ddcolor,
    "deoldify": DeOldify,
    "eccv16": Eccv16,
    "siggraph17": Siggraph17,
}


def create_foreign(name: str, **arguments: Any) -> nn.Module:
    """Build a foreign network.

    Raises:
        UsageError: no such network, or it does not take these arguments.
        MissingExtraError: it needs a package that is not installed.
    """
    if name not in FOREIGN:
        raise UsageError(f"no foreign network named '{name}'; known: {', '.join(FOREIGN)}")
    try:
        return FOREIGN[name](**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"network '{name}' cannot be built; {error}") from error
