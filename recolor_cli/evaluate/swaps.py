"""Finds predictions that show another picture than their name says."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.color.lab import small_luminance

SIDE = 16
UNLIKE = 0.8  # correlation below which a prediction hardly shows its truth
ALIKE = 0.95  # and above which it surely shows that picture


class Swaps:
    """Remembers a thumbnail of every pair (1 KB each)."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._true: list[NDArray[np.float32]] = []
        self._predicted: list[NDArray[np.float32]] = []

    def add(self, name: str, true: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Take in a pair."""
        self._names.append(name)
        self._true.append(_thumbnail(true))
        self._predicted.append(_thumbnail(predicted))

    def found(self) -> list[tuple[str, str]]:
        """(name of the prediction, name of the truth that it shows)."""
        if not self._names:
            return []
        true = np.stack(self._true)
        found = []
        for index, predicted in enumerate(self._predicted):
            if float(true[index] @ predicted) >= UNLIKE:
                continue
            likeness = true @ predicted
            best = int(likeness.argmax())
            if best != index and likeness[best] > ALIKE:
                found.append((self._names[index], self._names[best]))
        return found


def _thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = cv2.GaussianBlur(small_luminance(pixels, (SIDE, SIDE)), (3, 3), 0).ravel()
    centred = small - small.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6), np.float32)
