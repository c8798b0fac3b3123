"""How much memory does one very large photograph take?

    python benchmarks/large.py [--side 20000] [--format jpg|png|tiff] [--channels 1|3] [--bits 8|16]
                               [--model default]

Writes a photograph of side x side pixels, colours it with the command, and prints the peak memory
beyond the decoded image. The goal for 20,000 x 20,000 pixels is 2 GB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import children
import cv2
import numpy as np

GOAL_BYTES = 2e9


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--format", choices=("jpg", "png", "tiff"), default="jpg")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=1)
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        photo = Path(name) / f"large.{options.format}"
        image_bytes = write(photo, options)
        how = ("--max-pixels", f"{2 * options.side**2}", "--model", options.model, "--offline")
        out = Path(name) / "out"
        used = children.run(children.recolor("colorize", photo, "-o", out, "--quiet", *how))
        written = (out / photo.name).stat().st_size
        file = photo.stat().st_size
    loaded = children.loaded(options.model).peak_bytes
    beyond = used.peak_bytes - image_bytes
    print(
        f"{options.side} x {options.side}, {options.channels} channel(s) of {options.bits} bits, "
        f"{options.format}: file {file / 1e6:.0f} MB, result {written / 1e6:.0f} MB"
    )
    print(f"{used.seconds:.1f} s, {used.cpu_seconds:.1f} s of processor time")
    print(
        f"peak {used.peak_bytes / 1e9:.2f} GB; the decoded image is {image_bytes / 1e9:.2f} GB, "
        f"the loaded interpreter {loaded / 1e9:.2f} GB"
    )
    print(
        f"beyond the decoded image: {beyond / 1e9:.2f} GB, {(beyond - loaded) / 1e9:.2f} GB "
        f"of it beyond the loaded interpreter; the goal is {GOAL_BYTES / 1e9:g} GB"
    )
    return 0


def write(path: Path, options: argparse.Namespace) -> int:
    """Write a photograph of smooth shapes; return the bytes of its pixels."""
    random = np.random.default_rng(0)
    coarse = random.random((40, 40), np.float32) * (2**options.bits - 1)
    kind = np.uint8 if options.bits == 8 else np.uint16
    size = (options.side, options.side)
    pixels = cv2.resize(coarse.astype(kind), size, interpolation=cv2.INTER_LINEAR)
    if options.channels == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f"cannot write {path}")
    return pixels.nbytes


if __name__ == "__main__":
    sys.exit(main())
