"""Runs a command and says what it used: seconds, processor time, peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Used:
    """What one process used, from its start to its end.

    Attributes:
        seconds: Wall clock.
        cpu_seconds: Of all its threads.
        peak_bytes: The most memory it had.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(command: Sequence[str | Path], *, stdout: int | None = None) -> Used:
    """Run a command to its end; an exit status other than 0 is an error."""
    begun = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=stdout)
    # Not `process.wait()`: only this tells of one child what it used.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    unit = 1 if sys.platform == "darwin" else 1024
    return Used(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def recolor(*words: str | Path) -> list[str]:
    """A command line of recolor, in this Python."""
    return [sys.executable, "-m", "recolor_cli", *map(str, words)]


def loaded(model: str) -> Used:
    """What a process uses that loads the weights and ends."""
    code = "import sys; from recolor_cli import Colorizer; Colorizer(sys.argv[1], offline=True)"
    return run([sys.executable, "-c", code, model])
