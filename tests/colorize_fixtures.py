"""What the tests of `recolor colorize` share: tiny weights, fake networks, running the CLI."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn

from recolor_cli.checkpoints import Card, ColorModel, save_weights
from recolor_cli.cli.app import main
from recolor_cli.models import create_model

TINY = {"levels": 2, "base": 4, "out_channels": 2}
INPUT_PX = 64


def tiny_card(**changes: object) -> Card:
    values: dict[str, object] = {
        "network": "residual-unet",
        "arguments": TINY,
        "color": {"space": "lab"},
        "input_size": INPUT_PX,
    }
    return Card(**(values | changes))  # type: ignore[arg-type]


def save_tiny_weights(path: Path, seed: int = 0) -> Path:
    """Random weights of a network so small that a photo takes milliseconds."""
    torch.manual_seed(seed)
    network = create_model("residual-unet", **TINY)
    with torch.no_grad():
        network.head.weight.mul_(3)  # colours that can be seen
    save_weights(path, network, tiny_card())
    return path


class FakeNetwork(nn.Module):
    """Does to every picture what a function says.

    Args:
        answer: (B, 1, H, W) -> (B, 2, H, W), or raises.
    """

    space = "lab"

    def __init__(self, answer: Callable[[Tensor], Tensor], stride: int = 4) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1), requires_grad=False)
        self.answer = answer
        self.stride = stride
        self.seen: list[tuple[int, ...]] = []

    def forward(self, gray: Tensor) -> Tensor:
        self.seen.append(tuple(gray.shape))
        return self.answer(gray)


def fake_model(answer: Callable[[Tensor], Tensor], stride: int = 4) -> ColorModel:
    network = FakeNetwork(answer, stride).eval()
    return ColorModel(network=network, card=tiny_card(), sha256="0" * 64, name="fake")


def in_a_child(
    *argv: object,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    before: Callable[[], object] = lambda: None,
) -> multiprocessing.Process:
    """The command in a process of its own, without the cost of importing torch once more.

    Args:
        stdin: file descriptor; None is nowhere. So are `stdout` and `stderr`.
        before: called in the new process before the command.
    """

    def child() -> None:
        # As from a terminal: a run that a script put into the background inherits a deaf ear.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        null = os.open(os.devnull, os.O_WRONLY)
        if stdin is not None:
            os.dup2(stdin, 0)
            sys.stdin = os.fdopen(0)
        os.dup2(null if stdout is None else stdout, 1)
        os.dup2(null if stderr is None else stderr, 2)
        os.closerange(3, 256)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        before()
        main(["colorize", *map(str, argv)])

    # OpenCV's threads do not survive a fork, and it would wait for them for ever: it has none then.
    cv2.setNumThreads(1)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    return process


def tree(folder: Path) -> dict[str, bytes]:
    """Every visible file below a folder, with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    }


def temporary_files(folder: Path) -> list[Path]:
    return list(folder.rglob(".recolor-*.part"))
