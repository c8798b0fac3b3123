"""What does `recolor colorize` do before its first photograph is finished?

    python benchmarks/start.py [--rounds 5] [--model default]

Alternating in each round, each in a process of its own: `import torch` alone, and the command on
one tiny photograph. Then its steps one by one, and once with `-X importtime`: how long each
package's own modules take to load, torch and what torch loads counted as torch. The goal: nothing
but torch takes above 0.3 s.
"""

from __future__ import annotations

import argparse
import compileall
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import children
import cv2
import numpy as np

import recolor_cli

GOAL_S = 0.3
STEPS = """
import gc, sys, time
gc.disable()  # while torch is imported, as the command does
times = [("", time.process_time())]
def mark(what):
    times.append((what, time.process_time()))
import torch
mark("import torch")
from recolor_cli.cli.app import main
from recolor_cli.colorize.colorizer import Colorizer
from recolor_cli.colorize.files import Run
gc.freeze()
gc.enable()
mark("import the rest of the program")
colorizer = Colorizer(sys.argv[1], offline=True)
mark("load the weights")
colorizer.colorize(sys.argv[2])
mark("colour the photograph")
for (_, before), (what, after) in zip(times, times[1:]):
    print(f"{what}|{after - before}")
"""
LEAST_S = 0.02  # packages below this are added up
_LINE = re.compile(r"import time:\s*(\d+) \|\s*(\d+) \|( *)(\S+)")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    compileall.compile_dir(Path(recolor_cli.__file__).parent, quiet=1)  # as pip does
    with tempfile.TemporaryDirectory() as name:
        photo = Path(name) / "one.png"
        cv2.imwrite(str(photo), np.full((64, 64), 128, np.uint8))
        words = ("colorize", photo, "-o", Path(name) / "out", "--overwrite", "--quiet",
                 "--offline", "--model", options.model)  # fmt: skip
        command = children.recolor(*words)
        ways = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
            "recolor --version": children.recolor("--version"),
            "one tiny photograph in colour": command,
        }
        taken = defaultdict(list)
        for turn in range(options.rounds + 1):
            for way, line in ways.items():
                used = children.run(line)
                if turn:
                    taken[way].append(used.seconds)
        steps = defaultdict(list)
        for _ in range(options.rounds):
            line = [sys.executable, "-c", STEPS, options.model, str(photo)]
            said = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout
            for step, _, seconds in (text.partition("|") for text in said.splitlines()):
                steps[step].append(float(seconds))
        told = subprocess.run(
            [command[0], "-X", "importtime", *command[1:]],
            stderr=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    median = {way: statistics.median(many) for way, many in taken.items()}
    for way, seconds in median.items():
        print(f"{way:40}{seconds:8.2f} s")
    whole, torch = (median[list(ways)[number]] for number in (3, 1))
    print(f"{'beyond torch':40}{whole - torch:8.2f} s")
    print("\nstep by step, processor time")
    for step, many in steps.items():
        print(f"{step:40}{statistics.median(many):8.2f} s")
    print("\nown time of imports, with -X importtime, which makes all of them slower")
    small = 0.0
    for package, seconds in sorted(packages(told.stderr).items(), key=lambda item: -item[1]):
        if seconds < LEAST_S:
            small += seconds
            continue
        over = f"   above {GOAL_S} s" if seconds > GOAL_S and package != "torch" else ""
        print(f"{package:40}{seconds:8.2f} s{over}")
    print(f"{f'others, each below {LEAST_S} s':40}{small:8.2f} s")
    return 0


def packages(text: str) -> dict[str, float]:
    """Seconds by top-level package; what is imported from within torch is torch's.

    Python writes a module after the modules that it imported, indented by depth: read backwards,
    each module comes before what it imported.
    """
    seconds: dict[str, float] = defaultdict(float)
    stack: list[tuple[int, str]] = []
    for line in reversed(text.splitlines()):
        match = _LINE.match(line)
        if not match:
            continue
        depth, package = len(match[3]), match[4].partition(".")[0]
        while stack and stack[-1][0] >= depth:
            stack.pop()
        owner = "torch" if stack and stack[-1][1] == "torch" else package
        stack.append((depth, owner))
        seconds[owner] += int(match[1]) / 1e6
    return seconds


if __name__ == "__main__":
    sys.exit(main())
