"""How far is `recolor colorize` from what decoding and encoding alone would take?

    python benchmarks/colorize.py [--photos 12] [--megapixels 12] [--format jpg|tiff] [--rounds 3]
                                  [--model default]

Makes photographs of that size from scikit-image's samples (grey, with grain; TIFFs have 16 bits)
and times, alternating in each round:

    codec      read every photograph and write an RGB one, with the program's own code and workers
    network    the weights on as many small luminance maps
    colorize   `recolor colorize` on the folder, less its start on one tiny photograph

The goal is colorize <= 1.25 x (codec + network). Medians over rounds are what is compared.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from skimage import data

from recolor_cli.color.lab import small_luminance
from recolor_cli.devices import cores
from recolor_cli.images.read import read_photo
from recolor_cli.images.write import encode_photo
from recolor_cli.weights import load_model

SAMPLES = (data.astronaut, data.chelsea, data.coffee, data.rocket)
GOAL = 1.25
GRAIN = 0.02  # standard deviation of film grain, of full scale: JPEGs of scans are never smooth


@dataclass(frozen=True)
class Timing:
    """One way of going through the folder: seconds of each round, and what it used."""

    name: str
    seconds: list[float]
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


def main() -> int:
    """Measure and print."""
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = make_photographs(folder / "photos", options)
        tiny = folder / "tiny" / "one.png"
        tiny.parent.mkdir()
        cv2.imwrite(str(tiny), np.full((64, 64), 128, np.uint8))
        ways: dict[str, Callable[[], object]] = {
            "codec": lambda: codec(photos, folder / "copied"),
            "network": network(photos, options.model),
            "start": lambda: colorize(tiny.parent, folder / "started", options.model),
            "colorize": lambda: colorize(folder / "photos", folder / "colored", options.model),
        }
        timings = measure(ways, options.rounds)
    report(timings, options)
    return 0


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Compare recolor colorize with its floor.")
    parser.add_argument("--photos", type=int, default=12)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--format", choices=("jpg", "tiff"), default="jpg")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="default")
    return parser.parse_args()


def make_photographs(folder: Path, options: argparse.Namespace) -> list[Path]:
    """Write grey photographs of the wanted size; return their paths."""
    folder.mkdir()
    random = np.random.default_rng(0)
    paths = []
    for number in range(options.photos):
        small = cv2.cvtColor(SAMPLES[number % len(SAMPLES)](), cv2.COLOR_RGB2GRAY)
        scale = (options.megapixels * 1e6 / small.size) ** 0.5
        large = cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        noise = random.normal(0, GRAIN, large.shape).astype(np.float32)
        scan = np.clip(large.astype(np.float32) / 255 + noise, 0, 1)
        path = folder / f"{number:04}.{options.format}"
        if options.format == "tiff":
            cv2.imwrite(str(path), (scan * 65535).astype(np.uint16))
        else:
            cv2.imwrite(str(path), (scan * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 92])
        paths.append(path)
    return paths


def codec(photos: list[Path], folder: Path) -> None:
    """Read every photograph and write it as RGB: what cannot be saved."""
    folder.mkdir(exist_ok=True)

    def copy(path: Path) -> None:
        photo = read_photo(path)
        frame = photo.frames[0]
        # The same number of channels as a coloured result; stacking is cheap beside encoding.
        rgb = replace(frame, pixels=cv2.cvtColor(frame.pixels, cv2.COLOR_GRAY2RGB))
        coded = encode_photo(photo, (rgb,), format=photo.format, quality=95, provenance=None)
        (folder / path.name).write_bytes(coded)

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # as in the program: the workers are the threads
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(copy, photos))
    cv2.setNumThreads(threads)


def network(photos: list[Path], name: str) -> Callable[[], object]:
    """A function that answers for each photograph's small luminance map (1, 1, h, w)."""
    model = load_model(name)
    model.network.to(memory_format=torch.channels_last)
    maps = []
    for path in photos[: len(SAMPLES)]:
        pixels = read_photo(path).pixels
        scale = model.input_size / max(pixels.shape)
        height, width = (max(1, round(side * scale / model.stride)) * model.stride
                         for side in pixels.shape[:2])  # fmt: skip
        maps.append(torch.from_numpy(small_luminance(pixels, (height, width)))[None, None])

    def answer() -> None:
        with torch.inference_mode():
            for number in range(len(photos)):
                model.predict(maps[number % len(maps)])

    return answer


def colorize(source: Path, target: Path, name: str) -> None:
    """Run the command as a user would."""
    command = [sys.executable, "-m", "recolor_cli", "colorize", str(source), "-o", str(target)]
    subprocess.run([*command, "--model", name, "--overwrite", "--quiet", "--offline"], check=True)


def measure(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Go through the folder in every way, alternating, after one round that does not count."""
    timings = {name: Timing(name, []) for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            used, begun = os.times(), time.perf_counter()
            way()
            seconds, now = time.perf_counter() - begun, os.times()
            if not turn:
                continue
            old = timings[name]
            timings[name] = replace(
                old,
                seconds=[*old.seconds, seconds],
                cpu_seconds=sum(now[:4]) - sum(used[:4]),
                # Of the largest process so far; `colorize` comes last and is the largest child.
                peak_bytes=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
            )
    return timings


def report(timings: dict[str, Timing], options: argparse.Namespace) -> None:
    """Print the table and the comparison with the goal."""
    median = {name: statistics.median(timing.seconds) for name, timing in timings.items()}
    median["colorize"] -= median["start"]
    floor = median["codec"] + median["network"]
    ratio = median["colorize"] / floor
    table = Table(
        title=f"{options.photos} photographs of {options.megapixels:g} megapixels, "
        f"{options.format}, {cores()} cores; medians of {options.rounds}"
    )
    for head in ("", "seconds", "photos/s", "megapixels/s", "cores busy"):
        table.add_column(head, justify="right")
    for name, seconds in median.items():
        count = 1 if name == "start" else options.photos
        pixels = "-" if name == "start" else f"{count * options.megapixels / seconds:.1f}"
        busy = timings[name].cpu_seconds / timings[name].seconds[-1]
        table.add_row(name, f"{seconds:.2f}", f"{count / seconds:.2f}", pixels, f"{busy:.2f}")
    console = Console()
    console.print(table)
    console.print(f"largest process: {timings['colorize'].peak_bytes / 1e6:.0f} MB, torch included")
    console.print(f"colorize / (codec + network) = {ratio:.2f}; the goal is {GOAL}")


if __name__ == "__main__":
    sys.exit(main())
