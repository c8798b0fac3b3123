"""colorize_pipe: one photograph through standard input or standard output."""

from __future__ import annotations

import hashlib
import os
import select
import sys
import time
from pathlib import Path

from recolor_cli.colorize.colorizer import Colorizer
from recolor_cli.colorize.hints import HintBook
from recolor_cli.colorize.network import Answer, Report
from recolor_cli.colorize.orders import Order
from recolor_cli.colorize.plan import check_writable, format_of_file
from recolor_cli.colorize.results import PhotoResult
from recolor_cli.colorize.settings import Settings
from recolor_cli.colorize.stages import mean_confidence, notes_of
from recolor_cli.errors import PhotoError, UsageError
from recolor_cli.images.atomic import output_error, write_atomic
from recolor_cli.images.find import find_photos
from recolor_cli.images.read import read_bytes, read_photo
from recolor_cli.images.write import encode_photo


def colorize_pipe(
    source: Path | None,
    output: Path | None,
    settings: Settings,
    *,
    report: Report = lambda _text: None,
) -> PhotoResult:
    """Colour one photograph; nothing is written unless all of it can be.

    Args:
        source: A file, or None for standard input.
        output: A file, or None for standard output.
        settings: How; `format` keep is the input's for standard output, else the file name's.
        report: Receives lines for people.

    Raises:
        PhotoError: It cannot be read or coloured, or has colour already.
        UsageError: The output exists and may not be replaced, or its name says no format.
        OutputError: It cannot be written.
        WeightsError: The weights are missing, or are not what they should be.
    """
    begun = time.perf_counter()
    if source is not None:
        found = find_photos([source])
        if len(found) != 1 or source.is_dir():
            raise UsageError(
                f"standard output takes one photograph; {str(source)!r} is not one file"
            )
        source = found[0].path
    format = settings.format
    if output is not None:
        format = format_of_file(output, settings.format)
        check_writable(output.parent)
        if os.path.lexists(output) and not settings.overwrite:
            raise UsageError(f"{str(output)!r} exists; --overwrite replaces it")
    if settings.variants:
        raise UsageError("--variants writes several files; name a photograph and a folder")
    book = HintBook(settings.hints)
    place = source or Path("-")
    hints = book.of(place, place.parent) if source or settings.hints else ()
    colorizer = Colorizer.from_settings(settings, report)
    data = sys.stdin.buffer.read() if source is None else read_bytes(source)
    photo = read_photo(data, max_pixels=settings.max_pixels)
    size = photo.size
    prepared = colorizer.prepare(photo, force=settings.force, hints=hints)
    if prepared.has_color:
        raise PhotoError("the photograph has colour already; --force recolours it")
    answers: list[Answer] = []
    for answer in colorizer.paint([one for one in prepared.luminances if one is not None]):
        if isinstance(answer, PhotoError):
            raise answer
        answers.append(answer)
    notes = [*photo.warnings, *notes_of(answers)]
    encoded = encode_photo(
        photo,
        colorizer.finish(prepared, answers),
        format=format,
        quality=settings.quality,
        provenance=colorizer.provenance(
            hashlib.sha256(data).hexdigest(),
            settings.quality,
            min(answer.input_px for answer in answers),
            Order(hints).more,
        ),
        warnings=notes,
    )
    if output is None:
        _to_standard_output(encoded)
    else:
        write_atomic(output, encoded)
    return PhotoResult(
        "done",
        source or Path("-"),
        output or Path("-"),
        size=size,
        confidence=mean_confidence(answers),
        notes=tuple(notes),
        seconds=time.perf_counter() - begun,
    )


def _to_standard_output(data: bytes) -> None:
    """Write all of `data`, past Python's buffer: what cannot be written must not stay in it.

    Raises:
        OutputError: The disk behind it is full, or the like.
    """
    sys.stdout.flush()
    stream = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    rest = memoryview(data)
    try:
        while rest:  # one call may take only a part, or nothing if the pipe is made not to wait
            count = stream.write(rest)
            if not count:
                select.select((), (stream,), ())
            rest = rest[count or 0 :]
    except BrokenPipeError:
        raise
    except OSError as error:
        raise output_error("standard output", error) from error
