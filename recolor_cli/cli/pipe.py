"""`recolor colorize -`: one photograph from standard input or to standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from recolor_cli.cli.console import Console
from recolor_cli.errors import UsageError

if TYPE_CHECKING:
    from recolor_cli.colorize import Settings


def pipe(
    inputs: list[str], out: Path, settings: Settings, console: Console, *, dry_run: bool
) -> None:
    """Do it.

    Raises:
        UsageError: It is not one photograph, or a terminal stands where bytes should go.
    """
    to_stdout = str(out) == "-"
    if len(inputs) != 1:
        raise UsageError("standard input and output take one photograph; name one input")
    if to_stdout and console.json:
        raise UsageError("-o - and --json both want standard output; leave one of them out")
    # A stream that was closed before the program began is None, whatever its type says.
    if to_stdout and getattr(sys.stdout, "closed", True):
        raise UsageError("standard output is closed; redirect it, or name a file with -o")
    if to_stdout and sys.stdout.isatty():
        raise UsageError("standard output is a terminal; redirect it, or name a file with -o")
    if inputs[0] == "-" and getattr(sys.stdin, "closed", True):
        raise UsageError("standard input is closed; redirect it, or name a file")
    if inputs[0] == "-" and sys.stdin.isatty():
        raise UsageError("standard input is a terminal; redirect it, or name a file")
    from recolor_cli.colorize.pipe import colorize_pipe

    source = None if inputs[0] == "-" else Path(inputs[0])
    target = None if to_stdout else out
    if dry_run:
        console.message(f"would colour  {inputs[0]} -> {out}")
        return
    result = colorize_pipe(source, target, settings, report=console.message)
    console.record(result.to_json())
    console.record({"event": "summary", "total": 1, "done": 1, "skipped": 0, "failed": 0})
