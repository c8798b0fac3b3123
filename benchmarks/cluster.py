"""What does a second worker of a Ray cluster bring?

    python benchmarks/cluster.py [--photos 48] [--megapixels 12] [--workers 2] [--rounds 3]
                                 [--model default]

Colours the same photographs, alternating in each round, by a run without Ray and one worker, by a
cluster on this machine with one worker, with two, and so on. Each has one thread for files and one
for the network, and takes up to one core and a half where it may. What counts is the time from the
first finished photograph to the last: starting Ray and its workers takes some seconds and is
printed apart. Checks that every way gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import children

from recolor_cli.colorize import benchmark


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=48)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    ways = {"no cluster, --workers 1": ["--workers", "1"]}
    for count in range(1, options.workers + 1):
        name = f"cluster, {count} worker{'s' if count > 1 else ''}"
        ways[name] = ["--workers", "1", "--cluster", "local", "--cluster-workers", str(count)]
    rates, starts = defaultdict(list), defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        motifs = benchmark.make_photographs(folder / "motifs", 4, options.megapixels, "jpg")
        benchmark.copies(motifs, folder / "in", options.photos)
        made = set()
        for turn in range(options.rounds):
            for number, (way, words) in enumerate(ways.items()):
                out = folder / f"out-{turn}-{number}"
                times = follow(folder / "in", out, [*words, "--model", options.model])
                assert len(times) == options.photos + 1, f"{way}: {len(times) - 1} done"
                rates[way].append((len(times) - 2) / (times[-1] - times[1]))
                starts[way].append(times[1] - times[0])
                made.add(digest(out))
    assert len(made) == 1, "the ways give different bytes"
    print(f"{options.photos} photographs of {options.megapixels:g} megapixels; medians of "
          f"{options.rounds}; all ways gave the same bytes")  # fmt: skip
    print(f"{'':24}{'first after':>12}{'photos/s':>10}{'megapixels/s':>14}{'of the first':>14}")
    base = 0.0
    for way in ways:
        rate, start = statistics.median(rates[way]), statistics.median(starts[way])
        base = base or rate
        pixels = rate * options.megapixels
        print(f"{way:24}{start:10.1f} s{rate:10.2f}{pixels:14.1f}{rate / base:14.2f}")
    return 0


def follow(source: Path, out: Path, words: list[str]) -> list[float]:
    """Run the command; when it began, and when each photograph was done."""
    times = [time.perf_counter()]
    command = children.recolor("colorize", source, "-o", out, "--json", "--offline", *words)
    child = children.Child(command)
    for line in child.stdout:
        if json.loads(line).get("status") == "done":
            times.append(time.perf_counter())
    child.end()
    return times


def digest(folder: Path) -> str:
    """One hash of all photographs in a folder."""
    whole = hashlib.sha256()
    for path in sorted(folder.glob("*.jpg")):
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
