"""How good are these weights? The figures that decide between candidates, in one command.

    python benchmarks/validate.py --model runs/base/best --data val.tar --features FOLDER

Protocol: shorter side 256 px, centre 256 x 256; luminance reduced to the network's input size; ab
merged with the true luminance as `recolor colorize` does. FD-M and FD-R are Frechet distances on
the networks of feature_networks.py: comparable for the same photographs and the same number only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from feature_networks import FeatureNetworks
from numpy.typing import NDArray
from photographs import batched, centre_square, photographs

from recolor_cli.color.lab import rgb_to_lab
from recolor_cli.errors import RecolorError
from recolor_cli.metrics.colorfulness import colorfulness
from recolor_cli.metrics.frechet import frechet_distance

Pixels = NDArray[np.uint8]
Pair = tuple[str, Pixels, Pixels]  # name, coloured, true
Colour = Callable[[Pixels], Pixels]  # true (B, H, W, 3) -> coloured (B, H, W, 3)

CROP_PX = 256
CHANNEL_RANGE = 255  # of a and b: -128..127


def score(
    pairs: Iterable[Pair],
    features: FeatureNetworks,
    *,
    cache: Path | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Score coloured against true pictures (H, W, 3), all of one size.

    Args:
        pairs: (name, coloured, true); a name's part before "_" is its pool.
        features: the networks of FD-M and FD-R.
        cache: folder that keeps the features of the true pictures between runs.
        groups: name -> pools that get a line together.

    Returns:
        {"all": figures, "pools": {pool: figures}}; small pools have no Frechet distances.
    """
    rows: dict[str, list[float]] = defaultdict(list)
    drawn: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    pools: list[str] = []
    for batch in batched(pairs, 16):
        names, coloured, true = zip(*batch, strict=True)
        pools += [Path(name).name.split("_")[0] for name in names]
        for predicted_pixels, true_pixels in zip(coloured, true, strict=True):
            for name, value in _compare(predicted_pixels, true_pixels).items():
                rows[name].append(value)
        for name, values in features(np.stack(coloured)).items():
            drawn[name].append(values)
        for name, values in _remembered(np.stack(true), features, cache).items():
            drawn[f"{name} true"].append(values)
    columns = {name: np.array(values) for name, values in rows.items()}
    vectors = {name: np.concatenate(values) for name, values in drawn.items()}
    everything = np.arange(len(pools))
    wanted = {**(groups or {}), **{pool: [pool] for pool in sorted(set(pools))}}
    members = {name: everything[np.isin(pools, chosen)] for name, chosen in wanted.items()}
    return {
        "all": _figures(columns, vectors, everything),
        "pools": {
            name: _figures(columns, vectors, index) for name, index in members.items() if len(index)
        },
    }


def _compare(predicted: Pixels, true: Pixels) -> dict[str, float]:
    error = np.abs(rgb_to_lab(predicted)[..., 1:] - rgb_to_lab(true)[..., 1:])
    squared = np.square(predicted.astype(np.float64) - true).mean()
    return {
        "ab error": float(error.mean()),
        "acc@2": float((error <= 0.02 * CHANNEL_RANGE).mean()),
        "acc@5": float((error <= 0.05 * CHANNEL_RANGE).mean()),
        "PSNR": 10 * math.log10(255**2 / max(squared, 1e-10)),
        "CF": colorfulness(predicted),
        "CF true": colorfulness(true),
    }


def _figures(
    columns: dict[str, NDArray[np.float64]],
    vectors: dict[str, NDArray[np.float32]],
    index: NDArray[np.int64],
) -> dict[str, float]:
    figures = {"n": len(index)} | {name: float(c[index].mean()) for name, c in columns.items()}
    figures["CF ratio"] = figures["CF"] / figures["CF true"]
    if len(index) >= 100:  # below that the distance is mostly bias
        for name in ("FD-R", "FD-M"):
            figures[name] = frechet_distance(vectors[name][index], vectors[f"{name} true"][index])
    return figures


def _remembered(
    true: Pixels, features: FeatureNetworks, cache: Path | None
) -> dict[str, NDArray[np.float32]]:
    if cache is None:
        return features(true)
    path = cache / f"{hashlib.sha256(true.tobytes()).hexdigest()[:32]}.npz"
    if path.is_file():
        with np.load(path) as stored:
            return dict(stored)
    computed = features(true)
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(partial, **computed)
    partial.replace(path)
    return computed


def coloured_pairs(
    photos: Iterable[tuple[str, Pixels]], colour: Colour, batch_size: int
) -> Iterator[Pair]:
    """Crop each photograph and colour it from its luminance alone."""
    squares = ((name, centre_square(pixels, CROP_PX)) for name, pixels in photos)
    for batch in batched(squares, batch_size):
        true = np.stack([pixels for _, pixels in batch])
        yield from zip([name for name, _ in batch], colour(true), true, strict=True)


def colour_with(model: str, arguments: argparse.Namespace) -> Colour:
    """What the named weights, or "grey", make of true pictures."""
    from recolor_cli.color.lab import small_luminance
    from recolor_cli.color.merge import merge_ab

    if model in ("grey", "gray"):
        none = np.zeros((8, 8, 2), np.float32)
        return lambda true: np.stack([merge_ab(pixels, none) for pixels in true])

    from recolor_cli.weights import load_model

    network = load_model(model, device=arguments.device)
    size = arguments.input_size

    def colour(true: Pixels) -> Pixels:
        luminance = np.stack([small_luminance(pixels, (size, size)) for pixels in true])
        prediction = network.predict(
            torch.from_numpy(luminance)[:, None].to(arguments.device),
            temperature=arguments.temperature,
        )
        ab = prediction.ab.permute(0, 2, 3, 1).float().cpu().numpy()
        return np.stack(
            [
                merge_ab(pixels, chroma, saturation=arguments.saturation)
                for pixels, chroma in zip(true, ab, strict=True)
            ]
        )

    return colour


def _print(result: dict[str, Any]) -> None:
    names = ("n", "FD-R", "FD-M", "CF", "CF true", "acc@5", "acc@2", "ab error", "PSNR")
    print(f"{'pool':<10}" + "".join(f"{name:>10}" for name in names))
    for pool, figures in {"all": result["all"], **result["pools"]}.items():
        cells = ("-" if name not in figures else f"{figures[name]:.4g}" for name in names)
        print(f"{pool:<10}" + "".join(f"{cell:>10}" for cell in cells))


def main() -> None:
    """Read the options, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="weights, run folder, name, or 'grey'")
    parser.add_argument("--data", required=True, type=Path, help="tar or folder of photographs")
    parser.add_argument("--features", required=True, type=Path, help="folder of the two networks")
    parser.add_argument("--input-size", type=int, default=192, help="of the network, in pixels")
    parser.add_argument("--temperature", type=float, help="default: what the weights say")
    parser.add_argument("--saturation", type=float, default=1.0)
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME=POOL,POOL",
        help="pools to be reported together, such as people=coco,bnat,sysu",
    )
    parser.add_argument("--limit", type=int)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/recolor/validate")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        colour = colour_with(arguments.model, arguments)
        photos = photographs(arguments.data, arguments.limit)
        result = score(
            coloured_pairs(photos, colour, arguments.batch_size),
            FeatureNetworks(arguments.features, arguments.device),
            cache=arguments.cache,
            groups={
                name: pools.split(",")
                for name, _, pools in (group.partition("=") for group in arguments.group)
            },
        )
    except RecolorError as error:
        print(f"validate: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    result["seconds"] = round(time.monotonic() - started, 1)
    options = ("model", "data", "input_size", "temperature", "saturation")
    result["options"] = {name: str(getattr(arguments, name)) for name in options}
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        _print(result)


if __name__ == "__main__":
    main()
