"""How to import torchvision where its compiled operators do not load; libraries need it, we do not.

torchvision's wheels on PyPI are built for CUDA. Beside a CPU-only torch their compiled part does
not load, and `import torchvision` ends in "operator torchvision::nms does not exist", although all
its Python code would work. Declaring the two operators that it asks for is enough.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from types import ModuleType

from recolor_cli.errors import MissingExtraError

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")  # what torchvision's Python code describes whether they load or not


def import_torchvision() -> ModuleType:
    """Import torchvision, repaired where needed; call this before importing what depends on it.

    After a repair `torchvision.ops.nms` and `torchvision.io` raise when called; models and
    transforms work. A torchvision whose operators load is left alone.

    Raises:
        MissingExtraError: torchvision is not installed.
        RuntimeError: torchvision fails for another reason than its missing operators.
    """
    with warnings.catch_warnings():
        # Says that JPEG decoding does not load; nothing here decodes with torchvision.
        warnings.filterwarnings("ignore", "Failed to load image Python extension", UserWarning)
        try:
            return import_module("torchvision")
        except ModuleNotFoundError as error:
            if error.name != "torchvision":
                raise
            raise MissingExtraError(
                "torchvision is not installed; pip install 'recolor-cli[eval]'"
            ) from error
        except RuntimeError as error:
            if "torchvision::nms does not exist" not in str(error):
                raise
        _declare_operators()
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]  # half imported
        return import_module("torchvision")


def _declare_operators() -> None:
    import torch

    for operator in _OPERATORS:
        if not hasattr(torch.ops.torchvision, operator):
            torch.library.define(f"torchvision::{operator}", _SCHEMA)
