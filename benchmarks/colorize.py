"""How far is `recolor colorize` from what decoding and encoding alone would take?

    python benchmarks/colorize.py [--photos 48] [--megapixels 12] [--format jpg|tiff] [--rounds 3]
                                  [--model default] [--device auto] [--precision auto] [--loops 2]

Makes photographs of that size from scikit-image's samples (grey, with grain; TIFFs have 16 bits)
and times, alternating in each round, after one round that does not count:

    codec        decode every photograph, encode and write a coloured one; same libraries, same
                 number of threads, and nothing else
    network      the weights on as many small luminance maps
    colorize     the command `recolor colorize` on the folder, less its start on one tiny photograph
    float loop, double loop
                 the loops of public colourisers (loops.py) with the same network on the first
                 photographs (--loops), network loaded; JPEG only

The goal is colorize <= 1.25 x (codec + network) and less than 600 MB beyond the loaded interpreter.
Medians over rounds are what is compared; on a machine with other work to do, processor seconds say
more than seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import children
import cv2
import loops
import numpy as np
from children import Used
from rich.console import Console
from rich.table import Table
from skimage import data

from recolor_cli.colorize import benchmark
from recolor_cli.colorize.colorizer import Colorizer
from recolor_cli.colorize.settings import Settings
from recolor_cli.devices import cores
from recolor_cli.weights import load_model

SAMPLES = (data.astronaut, data.chelsea, data.coffee, data.rocket)
GOAL = 1.25
MOST_BYTES = 600e6


def main() -> int:
    """Measure and print."""
    options = parse()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        photos = make_photographs(folder / "photos", options)
        ways = make_ways(photos, folder, options)
        used: dict[str, list[Used]] = {way: [] for way in ways}
        for turn in range(options.rounds + 1):
            for way, go in ways.items():
                seen = go()
                if turn:
                    used[way].append(seen)
    report(used, options)
    return 0


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Compare recolor colorize with its floor.")
    parser.add_argument("--photos", type=int, default=48)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--format", choices=("jpg", "tiff"), default="jpg")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--loops", type=int, default=2, help="photographs for the loops; 0: none")
    parser.add_argument("--folder", type=Path, help="where the files go; a temporary folder")
    return parser.parse_args()


def make_photographs(folder: Path, options: argparse.Namespace) -> list[Path]:
    """Write grey photographs of the wanted size; return their paths."""
    motifs = folder.with_name("motifs")
    motifs.mkdir()
    paths = []
    for number, sample in enumerate(SAMPLES):
        small = cv2.cvtColor(sample(), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        paths.append(motifs / f"{number}.{options.format}")
        random = np.random.default_rng(number)
        benchmark.write_scan(paths[-1], small, options.megapixels, random)
    return benchmark.copies(paths, folder, options.photos)


def make_ways(
    photos: list[Path], folder: Path, options: argparse.Namespace
) -> dict[str, Callable[[], Used]]:
    """Every way through the folder, by its name."""
    settings = Settings(
        model=options.model, device=options.device, precision=options.precision, offline=True
    )
    colorizer = Colorizer.from_settings(settings)
    answered = [benchmark.answer_for(colorizer, path) for path in photos[: len(SAMPLES)]]
    seen, colored = [one for one, _ in answered], [one for _, one in answered]
    tiny = folder / "tiny" / "one.png"
    tiny.parent.mkdir()
    cv2.imwrite(str(tiny), np.full((64, 64), 128, np.uint8))

    def command(source: Path, target: str) -> Used:
        how = ("--device", options.device, "--precision", options.precision, "--model",
               options.model, "--overwrite", "--quiet", "--offline")  # fmt: skip
        return children.run(children.recolor("colorize", source, "-o", folder / target, *how))

    ways: dict[str, Callable[[], Used]] = {
        "codec": lambda: here(lambda: benchmark.codec(photos, colored, cores(), settings)),
        "network": lambda: here(
            lambda: benchmark.network(colorizer, seen, len(photos), colorizer.painters(cores()))
        ),
        "loaded": lambda: children.loaded(options.model),
        "start": lambda: command(tiny.parent, "started"),
        "colorize": lambda: command(folder / "photos", "colored"),
    }
    if options.loops and options.format == "jpg":
        model, some = load_model(options.model, offline=True), photos[: options.loops]
        ways["float loop"] = lambda: here(lambda: loops.float_loop(some, folder / "float", model))
        ways["double loop"] = lambda: here(
            lambda: loops.double_loop(some, folder / "double", model)
        )
    return ways


def here(way: Callable[[], object]) -> Used:
    """What a way uses in this process; its memory is not told apart from what others left."""
    used, begun = os.times(), time.perf_counter()
    way()
    now = os.times()
    return Used(time.perf_counter() - begun, now.user + now.system - used.user - used.system, 0)


def report(used: dict[str, list[Used]], options: argparse.Namespace) -> None:
    """Print the table and the comparison with the goals."""
    median = {name: statistics.median(one.seconds for one in many) for name, many in used.items()}
    cpu = {name: statistics.median(one.cpu_seconds for one in many) for name, many in used.items()}
    for figures in (median, cpu):
        figures["colorize"] -= figures["start"]
    table = Table(
        title=f"{options.photos} photographs of {options.megapixels:g} megapixels, "
        f"{options.format}, {cores()} cores; medians of {options.rounds}"
    )
    for head in ("", "seconds", "photos/s", "megapixels/s", "cores busy"):
        table.add_column(head, justify="right")
    photos = dict.fromkeys(median, options.photos)
    photos |= {"loaded": 0, "start": 0, "float loop": options.loops, "double loop": options.loops}
    for name, seconds in median.items():
        rate = photos[name] / seconds
        rates = (f"{rate:.2f}", f"{rate * options.megapixels:.1f}") if rate else ("-", "-")
        table.add_row(name, f"{seconds:.2f}", *rates, f"{cpu[name] / seconds:.2f}")
    console = Console()
    console.print(table)
    for figures, what in ((median, "seconds"), (cpu, "processor seconds")):
        ratio = figures["colorize"] / (figures["codec"] + figures["network"])
        console.print(f"colorize / (codec + network), {what}: {ratio:.2f}; the goal is {GOAL}")
    peak = max(one.peak_bytes for one in used["colorize"])
    beyond = peak - statistics.median(one.peak_bytes for one in used["loaded"])
    console.print(
        f"peak memory {peak / 1e6:.0f} MB, {beyond / 1e6:.0f} MB beyond the loaded interpreter; "
        f"the goal is {MOST_BYTES / 1e6:.0f} MB"
    )
    for name in ("float loop", "double loop"):
        if name in median:
            each = median[name] / options.loops * options.photos
            console.print(
                f"{name} / colorize = {each / median['colorize']:.1f} for each photograph"
            )


if __name__ == "__main__":
    sys.exit(main())
