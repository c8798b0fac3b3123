"""The variants of a photograph side by side: one labelled sheet beside their files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from recolor_cli.colorize.files import Run
from recolor_cli.colorize.plan import Target
from recolor_cli.errors import PhotoError
from recolor_cli.gallery.pictures import look_at, shrink, three_channels
from recolor_cli.gallery.sheet import CELL_PX, Sheet, check_place, lay_out, write_sheet
from recolor_cli.images.photo import Provenance
from recolor_cli.images.read import read_provenance


def write_variant_sheets(run: Run) -> Iterator[Path]:
    """Write NAME.variants.jpg for each photograph of a run whose variants are all there.

    Sheets are made from the files, so that they show what a run left as it was, too. The one of
    a photograph that failed, or had colour already, is left out.

    Yields:
        Each sheet, once it is written.

    Raises:
        OutputError: A file that is no sheet is in the way, or a sheet cannot be written.
    """
    groups: dict[Path, list[Target]] = {}
    for target in run.plan.targets:
        groups.setdefault(_place(target), []).append(target)
    for place, targets in groups.items():
        # os.path: a name that the system does not take is no file; `Path.is_file` raises.
        if not all(os.path.isfile(target.output) for target in targets):
            continue
        check_place(place, targets[0].source, overwrite=run.settings.overwrite)
        sheet = _sheet(targets)
        if sheet is not None:
            write_sheet(place, sheet)
            yield place


def _place(target: Target) -> Path:
    name = target.output.stem.removesuffix(f".variant-{target.variant}")
    return target.output.with_name(f"{name}.variants.jpg")


def _sheet(targets: list[Target]) -> Sheet | None:
    try:
        gray = look_at(targets[0].source, CELL_PX).without_color()
        cells = [("as it was", three_channels(gray.pixels))]
        height, width = gray.pixels.shape[:2]
        for target in targets:
            pixels = three_channels(shrink(look_at(target.output, CELL_PX).pixels, CELL_PX))
            cells.append((f"variant {target.variant}", np.ascontiguousarray(pixels)))
            assert abs(pixels.shape[0] - height) <= 1
            assert abs(pixels.shape[1] - width) <= 1
        provenance = read_provenance(targets[0].output)
    except PhotoError:  # the input has gone in the meantime; its variants are there all the same
        return None
    if provenance is None:  # not ours: a file that a run refused to replace
        return None
    settings = {**provenance.settings, "sheet": "variants", "values": [t.variant for t in targets]}
    note = Provenance(provenance.model, provenance.weights_sha256, settings, provenance.version)
    return Sheet(lay_out(cells), tuple(label for label, _ in cells), note)
