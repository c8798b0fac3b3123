"""Runs a command and says what it used: seconds, processor time, peak memory.

Between this process and the command stands a small one: Linux counts what a process had before it
became the command to the command's peak, and a benchmark with photographs in memory has much.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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


class Child:
    """A command that runs.

    Attributes:
        stdout: What it writes, as text.
    """

    def __init__(self, command: Sequence[str | Path]) -> None:
        here, there = os.pipe()
        words = [sys.executable, "-S", __file__, str(there), *map(str, command)]
        self._pipe = os.fdopen(here)
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, pass_fds=[there])
        os.close(there)
        assert self._process.stdout is not None
        self.stdout = self._process.stdout

    def end(self) -> Used:
        """Wait for its end; an exit status other than 0 is an error."""
        self.stdout.read()
        status = self._process.wait()
        if status:
            raise subprocess.CalledProcessError(status, self._process.args)
        return Used(**json.loads(self._pipe.read()))


def run(command: Sequence[str | Path]) -> Used:
    """Run a command to its end, stdout dropped; an exit status other than 0 is an error."""
    return Child(command).end()


def recolor(*words: str | Path) -> list[str]:
    """A command line of recolor, in this Python."""
    return [sys.executable, "-m", "recolor_cli", *map(str, words)]


def loaded(model: str) -> Used:
    """What a process uses that loads the weights and ends."""
    code = "import sys; from recolor_cli import Colorizer; Colorizer(sys.argv[1], offline=True)"
    return run([sys.executable, "-c", code, model])


def _measure(pipe: int, command: list[str]) -> int:
    """Run the command, and write what it used to the pipe."""
    os.set_inheritable(pipe, False)
    begun = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024
    used = Used(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)
    os.write(pipe, json.dumps(asdict(used)).encode())
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_measure(int(sys.argv[1]), sys.argv[2:]))
