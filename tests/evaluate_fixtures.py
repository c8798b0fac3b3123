"""Small photographs and colourings for the evaluation tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from recolor_cli.evaluate.colouring import LeftGrey
from recolor_cli.evaluate.evaluation import evaluate
from recolor_cli.evaluate.protocols import PROTOCOLS
from recolor_cli.evaluate.report import Report
from recolor_cli.evaluate.sources import Pair, truths
from recolor_cli.metrics import METRICS, OFFLINE


def picture(seed: int, height: int = 60, width: int = 80) -> np.ndarray:
    """A smooth coloured picture, unlike those of other seeds."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (5, 7, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0, 255).astype(np.uint8)


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


def folder_of(path: Path, count: int, *, suffix: str = ".png", first: int = 0) -> Path:
    for number in range(count):
        write(path / f"set{number % 2}" / f"{number:03}{suffix}", picture(first + number))
    return path


def measure(
    data: Path | list[Pair],
    colouring: object = None,
    names: Iterable[str] = OFFLINE,
    **options: object,
) -> Report:
    pairs = truths([data]) if isinstance(data, Path) else data
    protocol = PROTOCOLS[options.pop("protocol", "native")]
    metrics = [METRICS[name] for name in names]
    return evaluate(pairs, colouring or LeftGrey(), metrics, protocol, **options)
