"""Where does the time of one photograph go?

    python benchmarks/where_time_goes.py [--photos 8] [--megapixels 12] [--format jpg|tiff]
                                 [--model default] [--precision auto]

Runs the stages of `recolor colorize` on drawn photographs, on one thread, and adds up the processor
time of each step, without what it calls that is a step of its own. Median over photographs.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from recolor_cli.color import compiled, merge
from recolor_cli.colorize import benchmark, colorizer, stages
from recolor_cli.colorize.files import Run
from recolor_cli.colorize.plan import make_plan
from recolor_cli.colorize.settings import Settings

STEPS: tuple[tuple[Any, str, str], ...] = (
    (stages, "read_bytes", "read the file"),
    (stages, "read_photo", "decode"),
    (stages, "encode_parts", "encode, metadata"),
    (stages, "write_atomic", "write"),
    (colorizer, "small_luminance", "small luminance map"),
    (colorizer, "kind_of", "has it colour already"),
    (colorizer.Colorizer, "paint", "network"),
    (colorizer, "merge_ab", "merge: the rest"),
    (compiled.CompiledMerge, "__call__", "merge: compiled"),
    (merge._Calm, "__init__", "merge: where is the gamut's edge"),
    # With RECOLOR_MERGE=numpy:
    (merge, "_compress", "merge: gamut"),
    (merge, "f_to_pixels", "merge: Lab to sRGB"),
    (merge, "lookup", "merge: tables"),
    (merge.Upsampler, "rows", "merge: enlarge ab"),
    (merge._Calm, "outside", "merge: where is the gamut's edge"),
)


class Clock:
    """Adds up processor time by step."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.spent: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, with its time counted as `name`'s, less that of timed calls within."""

        def timing(*values: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            begun = time.process_time()
            try:
                return call(*values, **named)
            finally:
                took = time.process_time() - begun
                self.spent[name] += took - self._inner.pop()
                self._inner[-1] += took

        return timing


class Hashes:
    """Stands in for hashlib, timed."""

    def __init__(self, clock: Clock) -> None:
        """Count on `clock`."""
        self.sha256 = clock.timed("hashes of input and output", hashlib.sha256)


class OneByOne(Run):
    """A run without threads."""

    def photograph(self, number: int) -> None:
        """Colour one, from file to file."""
        if self.colorizer is None:
            self._read_manifest(self._find_weights())
            self._load()
            assert self.colorizer is not None
            self.line = stages.Stages(self.colorizer, self.settings, None)
        line, target = self.line, self.plan.targets[number]
        work = stages.Work(target, self._orders[target.key], fresh=True)
        stages.cost(work)
        line.decode(work)
        line.paint([work])
        line.encode(work)
        assert work.result is not None
        assert work.result.status == "done", work.result.reason


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--format", choices=benchmark.FORMATS, default="jpg")
    parser.add_argument("--model", default="default")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    clock, each = Clock(), defaultdict(list)
    for owner, name, step in STEPS:
        setattr(owner, name, clock.timed(step, getattr(owner, name)))
    stages.hashlib = Hashes(clock)  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        motifs = benchmark.make_photographs(
            folder / "motifs", benchmark.MOTIFS, options.megapixels, options.format
        )
        benchmark.copies(motifs, folder / "in", options.photos + 1)
        settings = Settings(model=options.model, precision=options.precision, offline=True)
        run = OneByOne(make_plan([folder / "in"], folder / "out"), settings, print)
        whole = clock.timed("everything else", run.photograph)
        for number in range(options.photos + 1):
            clock.spent.clear()
            whole(number)
            if number:  # the first one loads weights and fills tables
                for step, seconds in clock.spent.items():
                    each[step].append(seconds)
        assert run.colorizer is not None
        machine = f"{run.colorizer.machine}; {run.colorizer.merged_by}"
    median = {step: statistics.median(many) for step, many in each.items()}
    total = sum(median.values())
    print(f"one photograph of {options.megapixels:g} megapixels, {options.format}, {machine}")
    for step, seconds in sorted(median.items(), key=lambda item: -item[1]):
        print(f"{step:36}{seconds * 1e3:8.1f} ms{seconds / total:8.0%}")
    print(f"{'together':36}{total * 1e3:8.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
