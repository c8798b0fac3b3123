"""The best and the worst pictures of an evaluation, side by side with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.evaluate.colouring import Colouring
from recolor_cli.evaluate.evaluation import pictures_of
from recolor_cli.evaluate.page import Panel
from recolor_cli.evaluate.protocols import Protocol
from recolor_cli.evaluate.report import Report, number
from recolor_cli.evaluate.sources import Pair
from recolor_cli.images.atomic import write_atomic

Pixels = NDArray[np.uint8]
PICTURES = 16
CELL_PX, CAPTION_PX, COLUMNS = 160, 18, 4
PREFERRED = ("lpips", "delta-e2000", "l1-ab", "psnr")  # what best and worst are decided by


def panels(
    report: Report, pairs: Sequence[Pair], colouring: Colouring, protocol: Protocol
) -> list[Panel]:
    """Best and worst 16 by the first metric of `PREFERRED` that was measured; [] if none was.

    Fewer of both where there are few: no picture is among the best and the worst.
    """
    metric = next((name for name in PREFERRED if name in report.each), None)
    if metric is None:
        return []
    values = np.array(report.each[metric])
    order = np.argsort(values, kind="stable")
    if report.metrics[metric]["better"] == "higher":
        order = order[::-1]
    by_name = {pair.name: pair for pair in pairs}
    made: list[Panel] = []
    worst = min(PICTURES, len(order) // 2)
    best = max(worst, 1)  # the only picture is the best, and there is no worst
    for title, chosen in (("Best", order[:best]), ("Worst", order[::-1][:worst])):
        if not len(chosen):
            continue
        names = [report.names[index] for index in chosen]
        pictures = pictures_of([by_name[name] for name in names], colouring, protocol)
        made.append(
            (
                f"{title} {len(names)} by {metric}",
                [
                    (f"{metric} {number(float(values[index]))}  {name}", coloured, true)
                    for index, name, (coloured, true) in zip(chosen, names, pictures, strict=True)
                ],
            )
        )
    return made


def write_panel(path: Path, pictures: Sequence[tuple[str, Pixels, Pixels]]) -> None:
    """A PNG of four columns: coloured, true, and the metric under each pair."""
    cells = [_cell(*picture) for picture in pictures]
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % COLUMNS)
    rows = [np.hstack(cells[start : start + COLUMNS]) for start in range(0, len(cells), COLUMNS)]
    encoded = cv2.imencode(".png", cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))[1]
    write_atomic(path, encoded.tobytes())


def _cell(caption: str, coloured: Pixels, true: Pixels) -> Pixels:
    cell = np.full((CELL_PX + CAPTION_PX, 2 * CELL_PX + 8, 3), 255, np.uint8)
    for column, pixels in enumerate((coloured, true)):
        scale = CELL_PX / max(pixels.shape[:2])
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        cell[: size[1], column * CELL_PX : column * CELL_PX + size[0]] = small
    text = caption.encode("ascii", "replace").decode()[:48]  # OpenCV's font has no more
    where = (2, CELL_PX + CAPTION_PX - 5)
    cv2.putText(cell, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return cell
