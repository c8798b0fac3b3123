"""Grey | colour in one picture beside each result: scan.jpg gets scan.compare.jpg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from recolor_cli.colorize.manifest import hash_file
from recolor_cli.colorize.plan import Target
from recolor_cli.errors import PhotoError, UsageError
from recolor_cli.gallery.pictures import Pixels, look_at, three_channels
from recolor_cli.images.atomic import write_atomic
from recolor_cli.images.read import read_provenance

SIDE_PX = 1600  # long side of each half: a screen's width, and small enough to send
GAP_PX = 12
QUALITY = 92
SUFFIX = ".compare.jpg"


def comparison_of(output: Path) -> Path:
    """Where the picture beside a result lies; its name keeps the result's suffix unless jpg.

    >>> comparison_of(Path("a/scan.jpg")).name, comparison_of(Path("a/scan.tif")).name
    ('scan.compare.jpg', 'scan.tif.compare.jpg')
    """
    stem = output.stem if output.suffix == ".jpg" else output.name
    return output.with_name(stem + SUFFIX)


def check_comparisons(targets: Sequence[Target]) -> None:
    """Refuse, before work, results and comparisons that would have one name.

    Raises:
        UsageError: There are such; the text names the two.
    """
    taken = {target.output: target.output for target in targets}
    for target in targets:
        place = comparison_of(target.output)
        if place in taken:
            raise UsageError(
                f"the comparison of {str(target.output)!r} would have the name {str(place)!r}, "
                f"as has that of {str(taken[place])!r}; leave out --compare, or rename an input"
                if taken[place] != place
                else f"the comparison of {str(target.output)!r} would be written over the result "
                f"{str(place)!r}; leave out --compare, or rename that input"
            )
        taken[place] = target.output


def write_comparison(source: Path, output: Path) -> Path | None:
    """Write grey | colour beside a result, upright, at most `SIDE_PX` for each half.

    It carries the result's note that its colours are estimated, and by that note is known again.

    Args:
        source: The input.
        output: The coloured photograph.

    Returns:
        The picture's place, or None if it is there already and shows this very result.

    Raises:
        PhotoError: One of the two cannot be read, or a file of somebody else is in the way.
        OutputError: The picture cannot be written.
    """
    place = comparison_of(output)
    sha256 = hash_file(output)
    provenance = read_provenance(output)
    if provenance is None:
        raise PhotoError(f"{str(output)!r} is no result of recolor; nothing to compare with")
    settings = {**provenance.settings, "comparison_of": sha256}
    if _is_there(place):
        before = read_provenance(place)
        if before is None or "comparison_of" not in before.settings:
            raise PhotoError(f"{str(place)!r} exists and is not ours; move it away")
        if before.settings["comparison_of"] == sha256:
            return None
    gray, color = look_at(source, SIDE_PX), look_at(output, SIDE_PX)
    pixels = join(gray.pixels, color.pixels)
    data = replace(color, pixels=pixels).jpeg(QUALITY, replace(provenance, settings=settings))
    write_atomic(place, data)
    return place


def _is_there(place: Path) -> bool:
    """Whether a comparison's name is taken.

    Raises:
        PhotoError: The system takes no such name; it is longer than the result's.
    """
    try:
        return place.exists()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PhotoError(f"{str(place)!r} cannot be written: {reason}") from None


def join(left: Pixels, right: Pixels) -> Pixels:
    """Two pictures of the same shape, side by side with a white gap between them."""
    left, right = three_channels(left), three_channels(right)
    if left.shape != right.shape:
        raise PhotoError("the input is not the size of its result; it was changed since")
    gap = np.full((left.shape[0], GAP_PX, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)
