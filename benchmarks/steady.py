"""Is a folder of 5,000 photographs done at the same rate at its end as at its start?

    python benchmarks/steady.py [--photos 5000] [--few 50] [--megapixels 0.3] [--model default]
                                [--input-size N]

Runs `recolor colorize --json` on a folder of few photographs and on one of many, and prints
photos/s for each tenth of the many, and the peak memory of both. Memory must not grow with the
folder, and neither must the time for a photograph.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import children

from recolor_cli.colorize import benchmark

PARTS = 10


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--few", type=int, default=50)
    parser.add_argument("--megapixels", type=float, default=0.3)
    parser.add_argument("--model", default="default")
    parser.add_argument("--input-size", type=int)
    options = parser.parse_args()
    how = ["--model", options.model, "--offline"]
    if options.input_size:
        how += ["--input-size", str(options.input_size)]
    peaks = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        motifs = benchmark.make_photographs(folder / "motifs", 4, options.megapixels, "jpg")
        for count in (options.few, options.photos):
            source = folder / f"in-{count}"
            benchmark.copies(motifs, source, count)
            times, peaks[count] = follow(source, folder / f"out-{count}", how)
            assert len(times) == count + 1, f"{len(times) - 1} of {count} photographs were done"
    # `times` is of the many: its first item is the start, before torch is there.
    first, *rest = times
    print(f"{options.photos} photographs of {options.megapixels:g} megapixels")
    print(f"first photograph after {rest[0] - first:.1f} s")
    edges = [len(rest) * part // PARTS for part in range(PARTS)] + [len(rest) - 1]
    rates = []
    for start, end in pairwise(edges):
        rates.append((end - start) / (rest[end] - rest[start]))
        print(f"  photographs {start:6} to {end:6}: {rates[-1]:6.1f} photos/s")
    half = PARTS // 2
    early, late = statistics.median(rates[:half]), statistics.median(rates[half:])
    print(f"median of the second half / of the first: {late / early:.2f}")
    few, many = peaks[options.few], peaks[options.photos]
    print(f"peak memory: {few / 1e6:.0f} MB with {options.few} photographs, "
          f"{many / 1e6:.0f} MB with {options.photos}")  # fmt: skip
    return 0


def follow(source: Path, out: Path, how: list[str]) -> tuple[list[float], int]:
    """Run the command; when it began and when each photograph was done, and its peak memory."""
    command = children.recolor("colorize", source, "-o", out, "--json", *how)
    times = [time.perf_counter()]
    child = children.Child(command)
    for line in child.stdout:
        if json.loads(line).get("status") == "done":
            times.append(time.perf_counter())
    return times, child.end().peak_bytes


if __name__ == "__main__":
    sys.exit(main())
