"""recolor: colour for black-and-white photographs; train and evaluate the networks that do it.

Names load on first use, so that `recolor --help` never imports torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recolor_cli.colorize import Colorizer
    from recolor_cli.errors import RecolorError

__all__ = ["Colorizer", "RecolorError", "__version__"]

_HOME = {"Colorizer": "colorize", "RecolorError": "errors"}  # public name -> module that defines it

try:
    __version__ = version("recolor-cli")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
