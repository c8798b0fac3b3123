"""How well are old photographs coloured whose true colours are known?

    python benchmarks/history.py --model runs/base/best --data history

The folder holds colour photographs put together from three plates taken through three filters (as
Prokudin-Gorskii did, 1905 to 1916). Three grey inputs are made of each: its luminance, the mean of
its green and blue plates (orthochromatic film, blind to red) and its blue plate (the oldest film).
The truth is the colour photograph's ab.

Reported for each input, as means over the photographs:
    error / grey   mean |ab| error divided by that of leaving the picture grey; below 1 is nearer
    chroma         mean chroma of the coloured picture divided by that of the truth
    hue within 30  share of pixels whose hue is within 30 degrees, where both are coloured
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from photographs import photographs

from recolor_cli.color.lab import rgb_to_lab, small_luminance
from recolor_cli.errors import RecolorError

if TYPE_CHECKING:
    from recolor_cli.checkpoints import ColorModel

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

COLOURED = 10.0  # chroma from which a pixel has a hue worth comparing


def grey_inputs(true: Pixels) -> dict[str, Pixels]:
    """What three kinds of film would have kept of a scene, each (H, W, 3) or (H, W)."""
    plates = true.astype(np.uint16)
    orthochromatic = ((plates[..., 1] + plates[..., 2] + 1) // 2).astype(np.uint8)
    blue = np.ascontiguousarray(true[..., 2])
    return {"luminance": true, "green + blue": orthochromatic, "blue": blue}


def compare(ab: Floats, true_ab: Floats) -> dict[str, float]:
    """Figures for one photograph; ab and true_ab are (H, W, 2)."""
    chroma, true_chroma = np.hypot(*np.moveaxis(ab, -1, 0)), np.hypot(*np.moveaxis(true_ab, -1, 0))
    both = (chroma > COLOURED) & (true_chroma > COLOURED)
    turn = np.arctan2(ab[..., 1], ab[..., 0]) - np.arctan2(true_ab[..., 1], true_ab[..., 0])
    near = np.cos(turn) >= np.cos(np.radians(30))
    return {
        "error / grey": float(np.abs(ab - true_ab).mean() / np.abs(true_ab).mean()),
        "chroma": float(chroma.mean() / true_chroma.mean()),
        "hue within 30": float(near[both].mean()) if both.any() else float("nan"),
    }


def predict_ab(model: ColorModel, grey: Pixels, arguments: argparse.Namespace) -> Floats:
    """What the network sees in a grey picture: ab (H, W, 2)."""
    height, width = grey.shape[:2]
    scale = arguments.input_size / max(height, width)
    size = tuple(
        max(model.stride, round(side * scale / model.stride) * model.stride)
        for side in (height, width)
    )
    luminance = torch.from_numpy(small_luminance(grey, size))[None, None]
    prediction = model.predict(luminance, temperature=arguments.temperature)
    ab = prediction.ab[0].permute(1, 2, 0).float().cpu().numpy() * arguments.saturation
    return cv2.resize(ab, (width, height), interpolation=cv2.INTER_CUBIC)


def main() -> None:
    """Read the options, colour, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="weights, run folder, name, or 'grey'")
    parser.add_argument("--data", required=True, type=Path, help="folder of colour photographs")
    parser.add_argument("--input-size", type=int, default=256, help="long side, in pixels")
    parser.add_argument("--temperature", type=float, help="default: what the weights say")
    parser.add_argument("--saturation", type=float, default=1.0)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--each", action="store_true", help="also print every photograph")
    arguments = parser.parse_args()
    try:
        rows = _rows(arguments)
    except RecolorError as error:
        print(f"history: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    films = list(rows[0][1])
    means = {
        film: {
            figure: float(np.nanmean([row[film][figure] for _, row in rows]))
            for figure in rows[0][1][film]
        }
        for film in films
    }
    if arguments.json:
        print(json.dumps({"n": len(rows), "means": means, "each": dict(rows)}, indent=1))
        return
    print(f"{len(rows)} photographs" + "".join(f"{film:>16}" for film in films))
    for figure in means[films[0]]:
        print(f"{figure:<15}" + "".join(f"{means[film][figure]:>16.3f}" for film in films))
    for name, row in rows if arguments.each else ():
        cells = ("  ".join(f"{value:5.2f}" for value in row[film].values()) for film in films)
        print(f"{name:<32} " + "  |  ".join(cells))


def _rows(arguments: argparse.Namespace) -> list[tuple[str, dict[str, dict[str, float]]]]:
    model = None
    if arguments.model not in ("grey", "gray"):
        from recolor_cli.weights import load_model

        model = load_model(arguments.model)
    rows = []
    for name, true in photographs(arguments.data, arguments.limit):
        true_ab = rgb_to_lab(true)[..., 1:]
        row = {}
        for film, grey in grey_inputs(true).items():
            ab = np.zeros_like(true_ab) if model is None else predict_ab(model, grey, arguments)
            row[film] = compare(ab, true_ab)
        rows.append((name, row))
    return rows


if __name__ == "__main__":
    main()
