"""One photograph made in several ways, as a labelled contact sheet: which settings suit it?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from recolor_cli.colorize.colorizer import Colorizer
from recolor_cli.colorize.network import Answer, Report
from recolor_cli.colorize.settings import Settings
from recolor_cli.errors import OutputError, PhotoError, UsageError
from recolor_cli.gallery.pictures import Pixels, shrink, three_channels, to_8_bits
from recolor_cli.images.atomic import write_atomic
from recolor_cli.images.orientation import orient
from recolor_cli.images.photo import Frame, Photo, Provenance
from recolor_cli.images.read import read_photo, read_provenance
from recolor_cli.images.write import encode_photo
from recolor_cli.ranges import LISTS

CELL_PX = 640  # long side of each picture
MARGIN_PX, LABEL_PX, FONT_PX = 16, 34, 22
QUALITY = 92
MOST = 24  # values; more do not fit into anybody's eye
PAPER, INK = (250, 250, 248), (20, 20, 20)

AXES = {"models": "model", **LISTS}
"""What can be varied, and the setting that each is."""


@dataclass(frozen=True)
class Sheet:
    """A contact sheet.

    Attributes:
        pixels: (H, W, 3) uint8.
        labels: Of the cells, in reading order; the first is the photograph as it was.
        provenance: Of the first coloured cell; its settings tell what was varied.
    """

    pixels: Pixels
    labels: tuple[str, ...]
    provenance: Provenance


def make_sheet(
    photo: Path,
    axis: str,
    values: Sequence[Any],
    settings: Settings,
    *,
    report: Report = lambda _text: None,
    advance: Callable[[str], None] = lambda _name: None,
) -> Sheet:
    """Colour one photograph once for each value.

    The network sees the photograph as `recolor colorize` would show it; only the pictures on the
    sheet are small.

    Args:
        photo: The file; colours that it has are dropped.
        axis: One of `AXES`.
        values: For that setting.
        settings: All others.
        report: Receives lines for people.
        advance: Called with each label when its picture is ready.

    Raises:
        UsageError: A value is out of range, or the weights know no temperature.
        PhotoError: The photograph cannot be read.
        WeightsError: Weights are missing, or are not what they should be.
    """
    if axis not in AXES:
        raise UsageError(f"no axis {axis!r}; use {', '.join(AXES)}")
    if not 2 <= len(values) <= MOST:
        raise UsageError(f"--{axis} takes 2 to {MOST} values, got {len(values)}")
    name = AXES[axis]
    for value in values:
        Settings(**{name: value})  # the ranges, before weights are loaded
    read = read_photo(photo, max_pixels=settings.max_pixels)
    small = orient(shrink(to_8_bits(read.pixels), CELL_PX), read.orientation)
    small = np.ascontiguousarray(small)
    cells = [("as it was", three_channels(small))]
    provenance = None
    for colorizer, value in _colorizers(name, values, settings, report):
        if name == "temperature" and colorizer.temperature is None:
            raise UsageError(
                f"{colorizer.model.name!r} predicts no distribution, so --temperatures changes "
                "nothing; choose other weights with --model"
            )
        prepared = colorizer.prepare(read, force=True)
        (answer,) = colorizer.paint([prepared.luminances[0]])  # type: ignore[list-item]
        if not isinstance(answer, Answer):
            raise answer
        colored = colorizer.merge(small, answer.ab)
        label = f"{name.replace('_', ' ')} {_text(value)}"
        if name == "model":
            label = colorizer.model.name
        elif answer.input_px != colorizer.input_size:
            label += f" (seen at {answer.input_px})"
        cells.append((label, colored))
        provenance = provenance or colorizer.provenance("", QUALITY)
        advance(label)
    assert provenance is not None
    varied = {**provenance.settings, "sheet": axis, "values": [_text(value) for value in values]}
    note = Provenance(provenance.model, provenance.weights_sha256, varied, provenance.version)
    return Sheet(lay_out(cells), tuple(label for label, _ in cells), note)


def check_place(path: Path, photo: Path, *, overwrite: bool = False) -> None:
    """Find out before the work whether a sheet may be written there.

    Raises:
        UsageError: The name is no JPEG's, or it is the photograph itself.
        OutputError: A file that is no sheet is in the way.
    """
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        raise UsageError(f"a sheet is a jpeg; name {str(path.with_suffix('.jpg'))!r}")
    if not path.exists():
        return
    if photo.exists() and path.samefile(photo):
        raise UsageError(f"{str(path)!r} is the photograph itself; choose another -o")
    if not overwrite and not _is_sheet(path):
        raise OutputError(f"{str(path)!r} exists and is no sheet of ours; --overwrite replaces it")


def write_sheet(path: Path, sheet: Sheet) -> None:
    """Write a sheet as JPEG, with the note that its colours are estimated.

    Raises:
        OutputError: It cannot be written.
    """
    photo = Photo((Frame(sheet.pixels),), "jpeg")
    write_atomic(path, encode_photo(photo, quality=QUALITY, provenance=sheet.provenance))


def lay_out(cells: Sequence[tuple[str, Pixels]]) -> Pixels:
    """Labelled pictures of one shape in rows, as near to a screen's shape as they go."""
    height, width = cells[0][1].shape[:2]
    columns = _columns(len(cells), width + MARGIN_PX, height + MARGIN_PX + LABEL_PX)
    rows = math.ceil(len(cells) / columns)
    size = (
        columns * (width + MARGIN_PX) + MARGIN_PX,
        rows * (height + LABEL_PX + MARGIN_PX) + MARGIN_PX,
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (label, pixels) in enumerate(cells):
        row, column = divmod(number, columns)
        x = MARGIN_PX + column * (width + MARGIN_PX)
        y = MARGIN_PX + row * (height + LABEL_PX + MARGIN_PX)
        sheet.paste(Image.fromarray(pixels), (x, y))
        draw.text((x, y + height + 6), label, INK, _font(label, width))
    return np.asarray(sheet)


def _columns(count: int, width: int, height: int) -> int:
    """The number of columns that comes nearest to 16 : 10."""

    def strangeness(columns: int) -> float:
        rows = math.ceil(count / columns)
        empty = columns * rows - count
        return abs(math.log(columns * width / (rows * height) / 1.6)) + 0.2 * empty

    return min(range(1, count + 1), key=strangeness)


def _font(label: str, width: int) -> Any:
    """Pillow's own font, smaller where a label would not fit below its picture."""
    size = FONT_PX
    while size > 9 and ImageFont.load_default(size).getlength(label) > width:
        size -= 1
    return ImageFont.load_default(size)


def _colorizers(
    name: str, values: Sequence[Any], settings: Settings, report: Report
) -> Iterator[tuple[Colorizer, Any]]:
    """A colourizer for each value; weights are loaded once where they do not change."""
    first = None
    for value in values:
        changed: dict[str, Any] = {
            key: getattr(settings, key)
            for key in ("model", "device", "precision", "input_size", "saturation", "warmth",
                        "temperature", "offline")
        } | {name: value}  # fmt: skip
        if first is not None and name != "model":
            changed["model"] = first.model
        colorizer = Colorizer(**changed, report=report)
        first = first or colorizer
        yield colorizer, value


def _is_sheet(path: Path) -> bool:
    try:
        provenance = read_provenance(path)
    except PhotoError:  # whatever it is, it is no sheet
        return False
    return provenance is not None and "sheet" in provenance.settings


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
