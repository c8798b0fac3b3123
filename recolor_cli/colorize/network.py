"""How small luminance maps become small ab maps: padding, batches, and too little memory.

The network always sees one picture at a time, also on a GPU: the kernels that a library picks for
a batch of eight add in another order than those for one, and a photograph's colours would depend on
its neighbours in the folder. A batch here is a group of pictures that are sent to the device and
started one after the other, and awaited together, so that the device never waits for the host.
On a processor each picture has one thread, and several pictures are under way in several threads.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from recolor_cli.checkpoints import ColorModel
from recolor_cli.color.spaces import Prediction
from recolor_cli.colorize.variants import way_of
from recolor_cli.devices import carried, cores, is_out_of_memory, one_thread
from recolor_cli.errors import PhotoError

Floats = NDArray[np.float32]
Report = Callable[[str], None]
Wish = tuple[Floats, int | None]  # a picture's luminance, and the seed of its draw

SMALLEST_PX = 64  # below this long side a network sees nothing; the CPU comes next


@dataclass(frozen=True)
class Answer:
    """What the network says about one picture.

    Attributes:
        ab: (h, w, 2) float32, Lab units, covering exactly the picture's extent.
        confidence: 0..1, mean over the picture; None if the network does not tell.
        input_px: Long side that the network saw.
        notes: What had to be given up for lack of memory, one line each.
    """

    ab: Floats
    confidence: float | None
    input_px: int
    notes: tuple[str, ...] = ()


class Painter:
    """Runs a network over pictures of any shape.

    Args:
        model: On the device and in the number format it is to be used with.
        temperature: Of the decoding of a distribution; None is the card's.
        seed: Draw one plausible colouring instead of the mean, where `paint` is told no other;
            None takes the mean.
        batch_size: Most pictures that are in the device's memory at a time.
        report: Receives a line whenever memory runs out and something is given up.
    """

    def __init__(
        self,
        model: ColorModel,
        *,
        temperature: float | None = None,
        seed: int | None = None,
        batch_size: int = 1,
        report: Report = lambda _text: None,
    ) -> None:
        self.model = model
        self.temperature, self.seed = temperature, seed
        self.batch_size = batch_size
        self.report = report
        self._cpu: ColorModel | None = None

    @property
    def at_a_time(self) -> int:
        """How many threads may call `paint` at the same time and be faster for it."""
        # Dropout as noise is switched on in the network itself: nobody else may use it meanwhile.
        noisy = way_of(self.model) == "dropout"
        return 1 if noisy or self._device.type != "cpu" else cores()

    def paint(
        self, luminances: Sequence[Floats], seeds: Sequence[int | None] | None = None
    ) -> list[Answer | PhotoError]:
        """Colour maps for pictures of any shapes; each answer is the same in whatever company.

        Args:
            luminances: (h, w) float32 each, 0..100, upright.
            seeds: For each picture the seed of its draw, None for the mean.

        Returns:
            For each picture its answer, or why there is none.
        """
        answers: list[Answer | PhotoError] = []
        wishes = list(zip(luminances, seeds or [self.seed] * len(luminances), strict=True))
        start = 0
        with one_thread():
            while start < len(wishes):
                group = wishes[start : start + self.batch_size]
                start += len(group)
                answers += self._paint_group(group)
        return answers

    def _paint_group(self, group: Sequence[Wish]) -> list[Answer | PhotoError]:
        try:
            return _predict(self.model, group, self.temperature)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self._free()
        if len(group) == 1:
            return [self._paint_with_less(*group[0])]
        half = len(group) // 2
        self.batch_size = min(self.batch_size, half)
        note = f"out of memory: batch size {len(group)} -> {half}"
        self.report(note)
        parts = (group[:half], group[half : 2 * half], group[2 * half :])
        answers = [answer for part in parts if part for answer in self._paint_group(part)]
        return [_with_note(answer, note) for answer in answers]

    def _paint_with_less(self, luminance: Floats, seed: int | None) -> Answer | PhotoError:
        """One picture that does not fit: a smaller one, then the CPU."""
        notes: list[str] = []
        size = max(luminance.shape)
        while size // 2 >= SMALLEST_PX:
            notes.append(f"out of memory: input size {size} -> {size // 2}")
            self.report(notes[-1])
            size //= 2
            answer = self._try(self.model, (_shrink(luminance, size), seed))
            if answer is not None:
                return _with_note(answer, *notes)
        if self._device.type == "cpu":
            return PhotoError(
                f"out of memory, even with an input size of {size}; close other programs, or type "
                "a smaller --input-size"
            )
        notes.append(f"out of memory: {self._device} -> cpu")
        self.report(notes[-1])
        answer = self._try(self._on_cpu(), (luminance, seed))
        if answer is None:
            return PhotoError("out of memory on the device and on the CPU; close other programs")
        return _with_note(answer, *notes)

    def _try(self, model: ColorModel, wish: Wish) -> Answer | PhotoError | None:
        try:
            return _predict(model, [wish], self.temperature)[0]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self._free()
        return None

    def _on_cpu(self) -> ColorModel:
        if self._cpu is None:
            # Copied in the host's memory: the device has none to spare for a second network.
            home = self.model.device
            network = copy.deepcopy(self.model.to("cpu").network)
            self.model.to(home)
            self._cpu = replace(self.model, network=network).to("cpu", torch.float32)
        return self._cpu

    @property
    def _device(self) -> torch.device:
        return self.model.device

    def _free(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        elif self._device.type == "mps":
            torch.mps.empty_cache()


def fit(shape: tuple[int, ...], long_side: int) -> tuple[int, int]:
    """Height and width with the long side as given and the aspect of `shape`.

    >>> fit((300, 400), 256)
    (192, 256)
    """
    height, width = shape[:2]
    longest = max(height, width)
    return (
        max(1, (height * long_side + longest // 2) // longest),
        max(1, (width * long_side + longest // 2) // longest),
    )


def pad(luminance: Floats, stride: int) -> Floats:
    """Mirror a picture (h, w) at its lower and right edge up to multiples of `stride`."""
    height, width = luminance.shape
    return np.pad(luminance, ((0, -height % stride), (0, -width % stride)), mode="reflect")


def _predict(
    model: ColorModel, group: Sequence[Wish], temperature: float | None
) -> list[Answer | PhotoError]:
    padded = [pad(luminance, model.stride) for luminance, _ in group]
    with torch.inference_mode():
        # On a GPU each line only queues work; the first .cpu() below waits for all of it.
        predictions = [
            model.predict(
                carried(torch.from_numpy(one)[None, None], model.device),
                temperature=temperature,
                seed=seed,
            )
            for one, (_, seed) in zip(padded, group, strict=True)
        ]
        arrays = [_to_arrays(prediction) for prediction in predictions]
    return [
        _crop(ab, confidence, inside.shape, whole.shape)
        for (ab, confidence), (inside, _), whole in zip(arrays, group, padded, strict=True)
    ]


def _to_arrays(prediction: Prediction) -> tuple[Floats, Floats | None]:
    ab = prediction.ab[0].permute(1, 2, 0).float().cpu().numpy()
    confidence = prediction.confidence
    return ab, None if confidence is None else confidence[0].float().cpu().numpy()


def _crop(
    ab: Floats, confidence: Floats | None, inside: tuple[int, ...], whole: tuple[int, ...]
) -> Answer | PhotoError:
    """Take the padding off; maps coarser than the input are brought to its size first."""
    if not np.isfinite(ab).all():
        return PhotoError(
            "the network returned values that are no numbers; type --precision fp32, or check the "
            "weights with 'recolor models verify'"
        )
    ab = _to_size(ab, whole)[: inside[0], : inside[1]]
    mean = None
    if confidence is not None:
        inner = _to_size(confidence, whole)[: inside[0], : inside[1]]
        mean = float(np.clip(inner, 0, 1).mean())
    return Answer(np.ascontiguousarray(ab), mean, max(inside))


def _to_size(values: Floats, size: tuple[int, ...]) -> Floats:
    if values.shape[:2] == size:
        return values
    values = np.ascontiguousarray(values)
    resized: Any = cv2.resize(values, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return resized  # type: ignore[no-any-return]


def _shrink(luminance: Floats, long_side: int) -> Floats:
    height, width = fit(luminance.shape, long_side)
    small: Any = cv2.resize(luminance, (width, height), interpolation=cv2.INTER_AREA)
    return small.reshape(height, width)  # type: ignore[no-any-return]


def _with_note(answer: Answer | PhotoError, *notes: str) -> Answer | PhotoError:
    if isinstance(answer, PhotoError):
        return answer
    return replace(answer, notes=(*notes, *answer.notes))
