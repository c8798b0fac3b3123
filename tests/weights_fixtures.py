"""A network of a few hundred numbers and its weights: what the tests of weights are made with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recolor_cli.checkpoints import Card, save_weights
from recolor_cli.weights import Entry, Manifest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_COMMIT = "fedcba9876543210fedcba9876543210fedcba98"
REPO = "somebody/colours"


class TinyNet(nn.Module):
    """Grey in, logits over four bins out, at half the size."""

    space = "lab-bins"
    stride = 4

    def __init__(self, *, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, 4, 1)
        self.register_buffer("bins", torch.tensor([[0.0, 0], [40, 30], [-40, 30], [0, -60]]))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(torch.relu(self.norm(self.first(x)))[..., ::2, ::2])
        return y


def tiny_card(**changes: Any) -> Card:
    values: dict[str, Any] = {
        "network": "tiny",
        "arguments": {"width": 8},
        "color": {"space": "lab-bins", "temperature": 0.4},
        "input_size": 64,
        "recipe": "none",
        "trained_on": "nothing",
        "step": 7,
        "metrics": {"psnr": 21.5},
        "license": "CC0-1.0",
        "created": "2026-01-02T03:04:05Z",
        "code": "test",
    }
    return Card(**(values | changes))


def tiny_network(seed: int = 0) -> TinyNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TinyNet().eval()


def tiny_file(path: Path, seed: int = 0, **changes: Any) -> bytes:
    """Save weights of the tiny network; their bytes."""
    save_weights(path, tiny_network(seed), tiny_card(**changes))
    return path.read_bytes()


def tiny_entry(data: bytes, **changes: Any) -> Entry:
    """An entry for `data` in a repository on the Hub."""
    values: dict[str, Any] = {
        "name": "tiny.first",
        "source": "hub",
        "repo_id": REPO,
        "revision": COMMIT,
        "file": "model.safetensors",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "network": "tiny",
        "arguments": {"width": 8},
        "color": {"space": "lab-bins", "temperature": 0.4},
        "input_size": 64,
        "parameters": 132,
        "license": "CC0-1.0",
        "trained_on": "nothing",
        "recipe": "none",
        "metrics": {},
        "note": "",
    }
    return Entry(**(values | changes))


def manifest_of(*entries: Entry, default: str | None = None) -> Manifest:
    return Manifest(default, {entry.name: entry for entry in entries})
