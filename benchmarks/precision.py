"""What does a number format save, and what does it cost in colour?

    python benchmarks/precision.py [--rounds 8] [--model default] [--device cpu]
                                   [--precisions fp32,bf16]

Runs the network on scikit-image's samples, one picture at a time as `recolor colorize` does it,
alternating between the number formats. Prints processor milliseconds for a picture (on a GPU: wall
clock), and how far a and b are from those of the first format: mean and 99th percentile over
pixels, and the largest mean of any picture, in Lab units.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict

import cv2
import numpy as np
from skimage import data

from recolor_cli.color.lab import small_luminance
from recolor_cli.colorize.colorizer import Colorizer
from recolor_cli.colorize.network import Answer, fit

SAMPLES = (data.astronaut, data.chelsea, data.coffee, data.rocket)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precisions", default="fp32,bf16")
    options = parser.parse_args()
    names = options.precisions.split(",")
    colorizers = {
        name: Colorizer(options.model, options.device, name, offline=True) for name in names
    }
    first = colorizers[names[0]]
    maps = []
    for sample in SAMPLES:
        gray = cv2.cvtColor(sample(), cv2.COLOR_RGB2GRAY)
        maps.append(small_luminance(gray, fit(gray.shape, first.input_size)))
    clock = time.process_time if first.machine.device.type == "cpu" else time.perf_counter
    spent, answers = defaultdict(list), {}
    for turn in range(options.rounds + 1):
        for name, colorizer in colorizers.items():
            begun = clock()
            answers[name] = [one for one in colorizer.paint(maps) if isinstance(one, Answer)]
            if turn:
                spent[name].append((clock() - begun) / len(maps))
    print(f"{len(maps)} pictures, long side {first.input_size}, {first.machine}")
    print(f"{'':8}{'ms':>8}{'mean':>8}{'99 %':>8}{'worst picture':>16}")
    for name in names:
        off = [
            np.hypot(*np.moveaxis(one.ab - other.ab, 2, 0))
            for one, other in zip(answers[name], answers[names[0]], strict=True)
        ]
        every = np.concatenate([one.ravel() for one in off])
        worst = max(one.mean() for one in off)
        print(
            f"{name:8}{statistics.median(spent[name]) * 1e3:8.1f}{every.mean():8.2f}"
            f"{np.percentile(every, 99):8.2f}{worst:16.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
