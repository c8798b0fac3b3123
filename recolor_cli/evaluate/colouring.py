"""Where the coloured picture of a pair comes from: a network, another tool's file, or nowhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.color.lab import small_luminance
from recolor_cli.color.merge import merge_ab
from recolor_cli.errors import PhotoError
from recolor_cli.evaluate.protocols import Protocol as EvaluationProtocol
from recolor_cli.evaluate.sources import Decoded, Pair, decode

if TYPE_CHECKING:
    from recolor_cli.colorize import Colorizer

Pixels = NDArray[np.uint8]
GREY = ("grey", "gray")  # the name of the baseline that leaves everything grey
ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class Ready:
    """One pair, decoded and brought to the protocol's geometry."""

    pair: Pair
    true: Pixels
    sha256: str
    predicted: Pixels | None
    predicted_sha256: str = ""


class Colouring(Protocol):
    """Makes the coloured pictures of a batch."""

    def describe(self) -> dict[str, Any]:
        """For the report: what coloured, with which settings."""

    def start(self, batch: Sequence[Ready]) -> list[Callable[[], Pixels]]:
        """Do the network's part now; what is returned finishes one picture, in any thread."""


class ByModel:
    """Colours from the true picture's luminance alone, in memory: no file in between.

    Args:
        colorizer: the same that `recolor colorize` uses.
    """

    def __init__(self, colorizer: Colorizer) -> None:
        self._colorizer = colorizer

    def describe(self) -> dict[str, Any]:
        """See `Colouring`."""
        return {
            "kind": "model",
            "name": self._colorizer.model.name,
            "sha256": self._colorizer.model.sha256,
            "input_size": self._colorizer.input_size,
            "temperature": self._colorizer.temperature,
            "saturation": self._colorizer.saturation,
            "precision": self._colorizer.machine.precision,
        }

    def start(self, batch: Sequence[Ready]) -> list[Callable[[], Pixels]]:
        """See `Colouring`."""
        from recolor_cli.colorize.network import fit

        luminances = [
            small_luminance(ready.true, fit(ready.true.shape, self._colorizer.input_size))
            for ready in batch
        ]
        finishers: list[Callable[[], Pixels]] = []
        for ready, answer in zip(batch, self._colorizer.paint(luminances), strict=True):
            if isinstance(answer, PhotoError):
                raise PhotoError(f"'{ready.pair.name}': {answer}") from answer
            saturation = self._colorizer.saturation
            finishers.append(partial(merge_ab, ready.true, answer.ab, saturation=saturation))
        return finishers


class AsPainted(ByModel):
    """Whole pictures of a network that paints RGB, with the luminance that it painted."""

    def describe(self) -> dict[str, Any]:
        """See `Colouring`."""
        return {**super().describe(), "as_painted": True}

    def start(self, batch: Sequence[Ready]) -> list[Callable[[], Pixels]]:
        """See `Colouring`."""
        import torch

        from recolor_cli.colorize.network import fit, pad

        model, size = self._colorizer.model, self._colorizer.input_size
        finishers: list[Callable[[], Pixels]] = []
        for ready in batch:
            luminance = small_luminance(ready.true, fit(ready.true.shape, size))
            padded = torch.from_numpy(pad(luminance, model.stride))[None, None]
            painted = model.paint(padded)[0].permute(1, 2, 0).cpu().numpy()
            height, width = luminance.shape
            finishers.append(partial(_to_pixels, painted[:height, :width], ready.true.shape))
        return finishers


def _to_pixels(rgb: NDArray[np.float32], shape: tuple[int, ...]) -> Pixels:
    """RGB 0..1 of any size -> 8 bits at the height and width of `shape`."""
    if rgb.shape != shape:
        enlarged = cv2.resize(
            np.ascontiguousarray(rgb), (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC
        )
        rgb = np.asarray(enlarged, np.float32)
    return (rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)


class LeftGrey:
    """The baseline that every colouring must beat."""

    def describe(self) -> dict[str, Any]:
        """See `Colouring`."""
        return {"kind": "grey", "name": "grey", "sha256": ""}

    def start(self, batch: Sequence[Ready]) -> list[Callable[[], Pixels]]:
        """See `Colouring`."""
        none = np.zeros((2, 2, 2), np.float32)
        return [partial(merge_ab, ready.true, none) for ready in batch]


class ByFiles:
    """Another tool's results, as they are.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def describe(self) -> dict[str, Any]:
        """See `Colouring`."""
        return {"kind": "files", "name": self._folder, "sha256": ""}

    def start(self, batch: Sequence[Ready]) -> list[Callable[[], Pixels]]:
        """See `Colouring`."""
        return [partial(_given, ready) for ready in batch]


def _given(ready: Ready) -> Pixels:
    assert ready.predicted is not None
    return ready.predicted


def prepare(pair: Pair, protocol: EvaluationProtocol) -> Ready:
    """Decode a pair and bring both sides to the same geometry.

    Raises:
        PhotoError: one of them cannot be read, or they cannot show the same picture.
    """
    true = _decode(pair.name, pair.true)
    if pair.predicted is None:
        return Ready(pair, protocol.frame(true.pixels), true.sha256, None)
    predicted = _decode(pair.predicted.name, pair.predicted)
    _check_shape(pair, true.pixels, predicted.pixels, protocol)
    return Ready(
        pair,
        protocol.frame(true.pixels),
        true.sha256,
        protocol.frame(predicted.pixels),
        predicted.sha256,
    )


def _decode(name: str, item: Any) -> Decoded:
    try:
        return decode(item)
    except PhotoError as error:
        raise PhotoError(f"'{name}' {error}") from None


def _check_shape(pair: Pair, true: Pixels, predicted: Pixels, protocol: EvaluationProtocol) -> None:
    (h, w), (ph, pw) = true.shape[:2], predicted.shape[:2]
    if protocol.geometry == "native":
        wrong = (h, w) != (ph, pw)
    else:
        # A prediction that is in the protocol's square already may be of any original aspect.
        square = (protocol.size_px, protocol.size_px)
        ready_made = (ph, pw) == square and protocol.geometry != "crop"
        wrong = not ready_made and abs(np.log((pw / ph) / (w / h))) > ASPECT_TOLERANCE
    if wrong:
        raise PhotoError(f"'{pair.name}' is {pw} x {ph} and its truth {w} x {h}")
