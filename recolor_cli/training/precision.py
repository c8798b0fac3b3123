"""Where networks compute in fewer bits, and where nothing else does."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from recolor_cli.devices import Machine


def autocast(machine: Machine) -> AbstractContextManager[object]:
    """The machine's number format, for networks alone: colours and losses stay float32."""
    enabled = machine.precision != "fp32"
    return torch.autocast(
        machine.device.type, dtype=machine.dtype if enabled else None, enabled=enabled
    )
