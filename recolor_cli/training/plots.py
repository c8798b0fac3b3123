"""Pictures of a run: curves.png from log.jsonl, and panels of grey, generated and true colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from recolor_cli.checkpoints.files import write_file
from recolor_cli.color.tensors import lab_to_rgb, luminance_to_gray
from recolor_cli.data.tensors import LabCrops
from recolor_cli.errors import MissingExtraError

# One panel each: what the reports plot, and the same losses on the validation set (001).
PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("generator and discriminator", ("g", "d")),  # 000 figure 5, 004 figure 7; g alone: 002, 6
    ("adversarial: generator and discriminator", ("g_adversarial", "d")),  # 002, 5; 004, 8
    ("discriminator: real and fake", ("d_real", "d_fake", "val_d_real", "val_d_fake")),  # 000, 12
    ("generator: adversarial", ("g_adversarial", "val_g_adversarial")),  # 000 figure 13
    ("generator: reconstruction", ("g_reconstruction",)),  # the same
    # Before its weight VGG's is some fifty times as large: the two need an axis each.
    ("generator: perceptual", ("g_perceptual", "val_g_perceptual", "g_lpips", "val_g_lpips")),
    ("critic: gradient penalty", ("d_penalty",)),
    ("validation: loss", ("val_loss",)),
    ("validation: ab error", ("val_ab_error", "val_ab_error_gray")),
    ("validation: colourfulness", ("val_colorfulness", "val_colorfulness_truth")),
)


def draw_curves(entries: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Plot the lines of log.jsonl over images seen; panels without data are left out.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    series: dict[str, tuple[list[float], list[float]]] = {}
    for entry in entries:
        for name, value in entry.items():
            if isinstance(value, int | float) and name != "images":
                xs, ys = series.setdefault(name, ([], []))
                xs.append(entry["images"])
                ys.append(value)
    panels = [(title, [n for n in names if n in series]) for title, names in PANELS]
    panels = [(title, names) for title, names in panels if names]
    if not panels:
        return
    rows = -(-len(panels) // 2)
    figure, canvas = _figure(11, 3.2 * rows)
    axes = figure.subplots(rows, 2, squeeze=False).ravel()
    for axis, (title, names) in zip(axes, panels, strict=False):
        for name in names:
            axis.plot(*series[name], label=name, marker="." if len(series[name][0]) < 40 else "")
        axis.set(title=title, xlabel="images seen")
        axis.grid(alpha=0.3)
        axis.legend()
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    _write_canvas(canvas, path)


def draw_histograms(
    sets: Mapping[str, Mapping[str, np.ndarray[Any, Any]]],
    path: Path,
    marks: Mapping[tuple[str, str], Mapping[str, float]] | None = None,
) -> None:
    """A row of histograms for each set of photographs, one for each measure.

    Args:
        sets: name of a set, "" where there is but one -> measure -> numbers, never none.
        path: of the PNG.
        marks: (set, measure) -> words -> the number that a line stands at.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    measures = list(next(iter(sets.values())))
    # The same bars for all sets, or a small one would look unlike a large one of the same kind.
    edges = {
        measure: np.histogram_bin_edges(np.concatenate([s[measure] for s in sets.values()]), 50)
        for measure in measures
    }
    figure, canvas = _figure(5.5 * len(measures), 3.5 if len(sets) == 1 else 2.8 * len(sets))
    rows = figure.subplots(len(sets), len(measures), squeeze=False, sharex="col")
    for row, (name, series) in zip(rows, sets.items(), strict=True):
        for axis, (measure, values) in zip(row, series.items(), strict=True):
            axis.hist(values, bins=edges[measure])
            axis.axvline(float(values.mean()), color="k", linestyle="--", label="mean")
            for number, (words, at) in enumerate((marks or {}).get((name, measure), {}).items(), 1):
                axis.axvline(at, color=f"C{number}", linestyle=":", linewidth=2, label=words)
            title = f"{name}: {measure}, {len(values)} photographs" if name else measure
            axis.set(title=title, ylabel="photographs")
            axis.yaxis.get_major_locator().set_params(integer=True)
            axis.legend()
    for axis in rows[-1]:
        axis.set(xlabel="colourfulness")
    _write_canvas(canvas, path)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("plots need matplotlib; pip install 'recolor-cli[train]'") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, FigureCanvasAgg(figure)


def _write_canvas(canvas: Any, path: Path) -> None:
    canvas.draw()
    _write_png(path, np.asarray(canvas.buffer_rgba())[..., :3])


@torch.no_grad()
def draw_samples(ab: torch.Tensor, crops: LabCrops, path: Path) -> None:
    """A panel with rows grey, generated and truth, one column a photograph.

    Args:
        ab: (B, 2, h, w), generated; enlarged to the crops' size.
        crops: the photographs.
        path: of the PNG.
    """
    size = crops.luminance.shape[-2:]
    lab = torch.cat((crops.luminance, F.interpolate(ab, size, mode="bicubic")), dim=1)
    gray = luminance_to_gray(crops.luminance).expand(-1, 3, -1, -1)
    rows = torch.stack((gray, lab_to_rgb(lab), crops.rgb))  # (3, B, 3, H, W)
    panel = rows.permute(0, 3, 1, 4, 2).reshape(3 * size[0], -1, 3)
    _write_png(path, (panel.clamp(0, 1) * 255 + 0.5).byte().cpu().numpy())


def _write_png(path: Path, rgb: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    encoded = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))[1]
    write_file(path, encoded.tobytes())
