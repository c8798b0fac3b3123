"""One photograph, from its luminance to a coloured picture of full size and depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recolor_cli.checkpoints import ColorModel
from recolor_cli.checkpoints.card import code_version
from recolor_cli.color.compiled import merge_state
from recolor_cli.color.decoding import Decoding
from recolor_cli.color.hints import Hint, apply_hints
from recolor_cli.color.lab import small_luminance
from recolor_cli.color.merge import merge_ab
from recolor_cli.color.spaces import SPACES
from recolor_cli.color.tint import describe_color
from recolor_cli.color.warmth import warm
from recolor_cli.colorize.hint_entries import listed, parse_hints
from recolor_cli.colorize.network import Answer, Floats, Painter, Report, fit
from recolor_cli.colorize.pillow import check_path, from_array, from_pillow, to_8_bits
from recolor_cli.colorize.room import Room, memory_for
from recolor_cli.colorize.settings import Settings
from recolor_cli.colorize.variants import Draw, draw_of
from recolor_cli.devices import Machine, choose_machine, exact, layout, one_thread
from recolor_cli.errors import PhotoError
from recolor_cli.images.orientation import orient, unorient
from recolor_cli.images.photo import Frame, Photo, Provenance
from recolor_cli.images.read import read_photo
from recolor_cli.images.remote import as_path
from recolor_cli.ranges import checked
from recolor_cli.weights import load_model

Pixels = NDArray[Any]

LOOK_PX = 256  # long side of the copy on which a photograph is judged grey, toned or coloured
GPU_BATCH = 8
HINT_PX = 512  # long side of the map on which hints spread: finer than a network's, for sharp edges

Hints = Sequence[Hint | Mapping[str, Any]]


@dataclass(frozen=True)
class Prepared:
    """A photograph whose small luminance maps are ready for the network.

    Attributes:
        photo: As read.
        luminances: For each frame (h, w) float32 0..100, upright; None where a frame has colour
            already and is left alone.
        kinds: For each frame "gray", "toned" or "color".
        hints: What people know about it, with places as fractions.
        seed: Of its draw; None for the plain answer.
    """

    photo: Photo
    luminances: tuple[Floats | None, ...]
    kinds: tuple[str, ...]
    hints: tuple[Hint, ...] = ()
    seed: int | None = None

    @property
    def has_color(self) -> bool:
        """Whether there is nothing to do, because every frame is coloured."""
        return all(luminance is None for luminance in self.luminances)


class Colorizer:
    """Gives photographs colours. The command line uses this very object.

        from recolor_cli import Colorizer

        colorizer = Colorizer()
        colorizer.colorize("grandmother.jpg").save("colored.png")

    Args:
        model: Name in `weights.json`, run folder, file, hf:// address, or a loaded model (used
            where it is, `device` and `precision` notwithstanding).
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32, bf16 or fp16.
        input_size: Long side in pixels that the network sees; None is the weights' own.
        saturation: Factor on chroma; 1 is what the network says.
        warmth: Mireds by which the light is made warmer, below 0 cooler; 0 leaves it.
        temperature: Of networks that predict a distribution; None is the weights' own.
        seed: Draw one plausible colouring instead of the mean; for the same networks; 0 or more.
        batch_size: Pictures sent to the device together; None is 8 on a GPU and 1 on a CPU.
        offline: Make no request for weights.
        report: Receives lines for people: downloads, memory that ran out.

    Attributes:
        model: The `ColorModel` in use.
        machine: Device and number format.
        merged_by: What merges colour and luminance, compiled code or NumPy, for people.

    Raises:
        WeightsError: The weights are missing, or are not what they should be.
        UsageError: The device is not there, or a value is out of range.
        TypeError: A value is of another type, such as text for a number.
    """

    def __init__(
        self,
        model: str | Path | ColorModel = "default",
        device: str = "auto",
        precision: str = "auto",
        *,
        input_size: int | None = None,
        saturation: float = 1.0,
        warmth: float = 0.0,
        temperature: float | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        offline: bool = False,
        report: Report = lambda _text: None,
    ) -> None:
        asked = Settings(  # checks types and ranges
            model="" if isinstance(model, ColorModel) else model,  # type: ignore[arg-type]
            device=device,
            precision=precision,
            input_size=input_size,
            saturation=saturation,
            warmth=warmth,
            temperature=temperature,
            seed=0 if seed is None else seed,
            batch_size=batch_size,
            offline=offline,
        )
        if not callable(report):
            raise TypeError(f"report must be a function, got {report!r:.60}")
        self.merged_by = merge_state()
        if isinstance(model, ColorModel):
            self.model = model
            self.machine = Machine(model.device, model.precision)
        else:
            self.machine = choose_machine(device, precision)
            # Small sums and copies: threads would wait for each other longer than they work.
            with one_thread():
                self.model = load_model(
                    str(model),
                    device=self.machine.device,
                    dtype=self.machine.dtype,
                    offline=offline,
                    progress=report,
                )
        # Convolutions read a pixel's channels together: measured twice as fast on CPUs.
        with one_thread():
            self.model.network.to(memory_format=layout(self.machine.device))  # type: ignore[call-overload]
        exact(self.machine.device)
        self.input_size = asked.input_size or self.model.input_size
        self.saturation, self.warmth = asked.saturation, asked.warmth
        self.temperature = resolve_temperature(self.model.card.color, asked.temperature)
        self.seed = None if seed is None else asked.seed
        usual = GPU_BATCH if self.machine.device.type == "cuda" else 1
        self.batch_size = asked.batch_size or usual
        self._painter = Painter(
            self.model,
            temperature=self.temperature,
            seed=self.seed,
            batch_size=self.batch_size,
            report=report,
        )

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        report: Report = lambda _text: None,
        *,
        model: ColorModel | None = None,
    ) -> Colorizer:
        """Make one as the command line's settings say; `model` if it is loaded already."""
        return cls(
            model or settings.model,
            settings.device,
            settings.precision,
            input_size=settings.input_size,
            saturation=settings.saturation,
            warmth=settings.warmth,
            temperature=settings.temperature,
            batch_size=settings.batch_size,
            offline=settings.offline,
            report=report,
        )

    @overload
    def colorize(
        self, source: Pixels, *, hints: Hints = (), variant: int = 1, seed: int = 0
    ) -> Pixels: ...
    @overload
    def colorize(
        self,
        source: Image.Image | str | Path,
        *,
        hints: Hints = (),
        variant: int = 1,
        seed: int = 0,
    ) -> Image.Image: ...

    def colorize(
        self,
        source: Pixels | Image.Image | str | Path,
        *,
        hints: Hints = (),
        variant: int = 1,
        seed: int = 0,
    ) -> Pixels | Image.Image:
        """Colour one picture; whatever colour it had is replaced.

        Args:
            source: An array (H, W) or (H, W, 3) RGB, uint8 or uint16 in either byte order; or a
                Pillow image; or the path of a photograph.
            hints: Colours that are known, as in the files of hints: `{"point": [x, y], "color":
                "#3b4a6b"}` or `{"box": [left, top, right, bottom], "color": "navy"}`, in fractions
                of the upright picture. Files beside a photograph are not looked for.
            variant: Which plausible colouring, counted from 1, which is the plain answer.
            seed: Of the variants from the second on; 0 or more.

        Returns:
            An array gives an array (H, W, 3) of its type, in this machine's byte order. A
            Pillow image gives one, RGB or RGBA, turned as it was. A path gives an upright Pillow
            image of 8 bits a channel; for 16 bits, metadata and folders there is `colorize_files`.

        Raises:
            PhotoError: The file cannot be read, or the network gave no colours.
            UsageError: A hint or number is not as it should be, or the weights give fewer variants.
            ValueError: An array of another shape or type, or an image that does not say its range.
            TypeError: What is given is no photograph, or what should be a number is none.
        """
        variant, seed = checked("variant", variant, "variant"), checked("seed", seed, "seed")
        wish = _Wish(
            tuple(parse_hints(listed(hints), "hints", {})),
            draw_of(self.model, self.input_size, variant, seed),
        )
        if isinstance(source, np.ndarray):
            return self._colorize_array(from_array(source), 1, wish)
        if isinstance(source, Image.Image):
            return self._colorize_image(source, wish)
        check_path(source)
        photo = read_photo(as_path(source))
        colored = self._colorize_array(photo.pixels, photo.orientation, wish)
        image = Image.fromarray(orient(to_8_bits(colored), photo.orientation))
        if photo.alpha is not None:
            image.putalpha(Image.fromarray(orient(to_8_bits(photo.alpha), photo.orientation)))
        return image

    def prepare(
        self,
        photo: Photo,
        *,
        force: bool = False,
        hints: Sequence[Hint] = (),
        draw: Draw | None = None,
    ) -> Prepared:
        """Judge a photograph's colour and reduce it to what the network sees.

        Args:
            photo: As read.
            force: Also recolour frames that have colour.
            hints: What people know about it.
            draw: Which of several colourings; None is the plain answer.

        Raises:
            PhotoError: A hint is outside the photograph.
        """
        draw = draw or Draw(self.input_size, self.seed)
        for hint in hints:
            if hint.page > len(photo.frames):
                raise PhotoError(f"a hint is for page {hint.page} of {len(photo.frames)}; mend it")
        kinds = tuple(kind_of(frame.pixels) for frame in photo.frames)
        luminances = tuple(
            None if kind == "color" and not force else _look(frame.pixels, turn, draw.input_size)
            for kind, frame, turn in zip(kinds, photo.frames, photo.orientations, strict=True)
        )
        upright = [
            _upright(frame.pixels, turn)
            for frame, turn in zip(photo.frames, photo.orientations, strict=True)
        ]
        placed = tuple(hint.in_fractions(upright[hint.page - 1]) for hint in hints)
        return Prepared(photo, luminances, kinds, placed, draw.seed)

    def painters(self, workers: int) -> int:
        """How many threads should call `paint` beside so many that decode and encode."""
        return min(workers, self._painter.at_a_time)

    def paint(
        self, luminances: Sequence[Floats], seeds: Sequence[int | None] | None = None
    ) -> list[Answer | PhotoError]:
        """Run the network; see `Painter.paint`."""
        return self._painter.paint(luminances, seeds)

    def finish(
        self,
        prepared: Prepared,
        answers: Sequence[Answer],
        room: Room | None = None,
        *,
        blue_first: bool = False,
    ) -> tuple[Frame, ...]:
        """Bring the network's answers, one for each luminance map, onto the photograph.

        The photograph's own pixels may be overwritten: they are of no use afterwards.

        Args:
            prepared: As of `prepare`.
            answers: As of `paint`.
            room: Where the picture may lie until this thread finishes the next one; None makes an
                array of its own.
            blue_first: Whether pixels of 8 bits lie in memory as OpenCV encodes them. They are
                RGB all the same, a view from the end.
        """
        remaining = iter(answers)
        frames = []
        photo = prepared.photo
        pages = zip(photo.frames, prepared.luminances, photo.orientations, strict=True)
        for page, (frame, luminance, turn) in enumerate(pages, 1):
            if luminance is None:
                frames.append(frame)
                continue
            # Pages are needed together.
            own = room if len(photo.frames) == 1 else None
            out = memory_for(frame, own, blue_first=blue_first)
            ab = next(remaining).ab
            hints = [hint for hint in prepared.hints if hint.page == page]
            merged = self._merge(frame.pixels, ab, turn, out, hints)
            frames.append(frame.recolored(merged))
        return tuple(frames)

    def provenance(
        self,
        source_sha256: str,
        quality: int,
        input_px: int = 0,
        more: Mapping[str, Any] | None = None,
    ) -> Provenance:
        """What an output says about where its colours come from, and how to make it again.

        Args:
            source_sha256: Of the input file.
            quality: Of the encoder.
            input_px: Long side that the network saw; 0 is what it was to see.
            more: What else decided the result: hints, the variant.
        """
        return Provenance(
            model=self.model.name,
            weights_sha256=self.model.sha256,
            settings={
                "input_size": input_px or self.input_size,
                "saturation": self.saturation,
                "temperature": self.temperature,
                "precision": self.machine.precision,
                "quality": quality,
                "source_sha256": source_sha256,
                **({"warmth": self.warmth} if self.warmth else {}),
                **(more or {}),
            },
            version=code_version(),
        )

    def merge(self, pixels: Pixels, ab: Floats) -> Pixels:
        """Bring an answer's ab (h, w, 2) onto upright pixels, as saturation and warmth say."""
        return self._merge(pixels, ab, 1)

    def _merge(
        self,
        pixels: Pixels,
        ab: Floats,
        orientation: int,
        out: Pixels | None = None,
        hints: Sequence[Hint] = (),
    ) -> Pixels:
        saturation = self.saturation
        if hints or self.warmth:
            # What a person knows is not to be saturated or warmed; what the network says is.
            side = max(min(HINT_PX, max(pixels.shape[:2])), *ab.shape[:2])
            lightness = _look(pixels, orientation, side)
            height, width = lightness.shape
            wide: Any = cv2.resize(ab, (width, height), interpolation=cv2.INTER_CUBIC)
            ab, saturation = wide * np.float32(saturation), 1.0
            if self.warmth:
                ab = warm(lightness, ab, self.warmth)
            if hints:
                ab = apply_hints(lightness, ab, hints)
        turned = np.ascontiguousarray(unorient(ab, orientation))
        return merge_ab(pixels, turned, saturation=saturation, out=out)

    def _colorize_array(self, pixels: Pixels, orientation: int, wish: _Wish) -> Pixels:
        hints = [hint.in_fractions(_upright(pixels, orientation)) for hint in wish.hints]
        seed = self.seed if wish.draw.seed is None else wish.draw.seed
        (answer,) = self.paint([_look(pixels, orientation, wish.draw.input_size)], [seed])
        if isinstance(answer, PhotoError):
            raise answer
        return self._merge(pixels, answer.ab, orientation, hints=hints)

    def _colorize_image(self, image: Image.Image, wish: _Wish) -> Image.Image:
        pixels, alpha = from_pillow(image)
        orientation = image.getexif().get(0x0112, 1)
        if orientation not in range(1, 9):
            orientation = 1
        colored = Image.fromarray(to_8_bits(self._colorize_array(pixels, orientation, wish)))
        if alpha is not None:
            colored.putalpha(alpha)
        colored.info = {
            key: value
            for key, value in image.info.items()
            if key != "transparency" and (key != "icc_profile" or pixels.ndim == 3)
        }
        return colored


@dataclass(frozen=True)
class _Wish:
    hints: tuple[Hint, ...]
    draw: Draw


def kind_of(pixels: Pixels) -> str:
    """Judge whether full-size pixels are "gray", "toned" or in "color"."""
    if pixels.ndim == 2:
        return "gray"
    height, width = fit(pixels.shape, min(LOOK_PX, max(pixels.shape[:2])))
    small: Any = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return describe_color(small.reshape(height, width, 3)).kind


def resolve_temperature(color: Any, asked: float | None) -> float | None:
    """The decoding temperature in effect; None for networks that predict no distribution."""
    if SPACES[color["space"]].output != "bins":
        return None
    return Decoding.of(color, asked).temperature


def _look(pixels: Pixels, orientation: int, long_side: int) -> Floats:
    size = fit(pixels.shape, long_side)
    return np.ascontiguousarray(orient(small_luminance(pixels, size), orientation))


def _upright(pixels: Pixels, orientation: int) -> tuple[int, int]:
    """Height and width as a viewer shows them."""
    height, width = pixels.shape[:2]
    return (width, height) if orientation >= 5 else (height, width)
