"""Where words go: data on stdout, messages on stderr, and what --json and --quiet change.

File names may hold anything a file system allows: bytes that are no UTF-8, line feeds, terminal
control codes. `printable` makes one safe line of any text; everything printed here goes through it.
"""

from __future__ import annotations

import json as json_format
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from typing import TextIO


def printable(text: str | PurePath) -> str:
    """One line that every terminal and every encoding of stderr can show."""
    try:
        raw = (
            os.fsencode(str(text))
            if isinstance(text, PurePath)
            else text.encode("utf-8", "surrogateescape")
        )
    except UnicodeEncodeError:  # half a character, as JSON can say it
        raw = str(text).encode("utf-8", "backslashreplace")
    decoded = raw.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in decoded)


LEAST_LAST = 24  # characters that the last column of a table needs to wrap into


class Progress(Protocol):
    """What a command tells about a long job."""

    def advance(self, name: str, count: int = 1) -> None:
        """Another `count` items are finished; `name` is the latest."""

    def message(self, text: str) -> None:
        """A line that stays on the screen while the bar goes on below it."""


class Console:
    """The voice of one command.

    Args:
        json: stdout carries JSON lines only; progress is off.
        quiet: messages are off; warnings and errors stay.
        verbose: details are on.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.json, self.quiet, self.verbose = json, quiet, verbose
        self._progress: Progress | None = None

    def data(self, text: str = "") -> None:
        """A line of the answer, to stdout; not in --json mode, where `record` is the answer."""
        if not self.json:
            _answer(text)

    def record(self, record: Mapping[str, Any]) -> None:
        """A JSON object on a line of its own, to stdout, in --json mode only."""
        if self.json:
            _answer(json_format.dumps(record, allow_nan=False))

    def message(self, text: str) -> None:
        """For people, to stderr; silenced by --quiet."""
        if not self.quiet:
            self.warning(text)

    def detail(self, text: str) -> None:
        """For the curious, to stderr, with --verbose only."""
        if self.verbose:
            self.warning(text)

    def warning(self, text: str) -> None:
        """Something went wrong and the work goes on: to stderr, also with --quiet."""
        if self._progress is not None:
            self._progress.message(text)
        else:
            _write(sys.stderr, text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Aligned columns, as data; numbers stand right.

        On a terminal the heads are bold, and cells wrap where the window is narrow. In a pipe, and
        on a terminal that can do nothing, it is plain lines, however long.
        """
        if self.json:
            return
        cells = [[printable(str(cell)) for cell in row] for row in rows]
        right = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
        if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            _rich_table(columns, cells, right)
            return
        lines = [list(columns), *cells]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        for line in lines:
            padded = (
                cell.rjust(width) if is_number else cell.ljust(width)
                for cell, width, is_number in zip(line, widths, right, strict=True)
            )
            self.data("  ".join(padded).rstrip())

    @contextmanager
    def progress(self, total: int, unit: str = "photos") -> Iterator[Progress]:
        """A bar on a terminal, a line now and then into a pipe, nothing when quiet or --json."""
        bar: AbstractContextManager[Progress]
        if self.quiet or self.json:
            bar = nullcontext(_Silent())
        elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            bar = _bar(total, unit)
        else:
            bar = nullcontext(_Lines(total, unit))
        with bar as self._progress:
            try:
                yield self._progress
            finally:
                self._progress = None


def _rich_table(
    columns: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]
) -> None:
    """A table without lines, as wide as the terminal allows; NO_COLOR is Rich's to honour.

    Names stay whole, since people type them again, and the last column wraps. Where not even that
    fits, each row becomes a paragraph with a line for each column.
    """
    from rich.console import Console as RichConsole
    from rich.markup import escape
    from rich.table import Table

    console = RichConsole(highlight=False)
    widths = [max(map(len, (name, *(row[i] for row in cells)))) for i, name in enumerate(columns)]
    if sum(widths[:-1]) + 2 * len(columns) + min(widths[-1], LEAST_LAST) > console.width:
        indent = max(map(len, columns[1:]), default=0) + 4
        for row in cells:
            console.print(escape(row[0]), style="bold", overflow="fold")
            for name, cell in zip(columns[1:], row[1:], strict=True):
                line = Table.grid(padding=(0, 0))
                line.add_column(width=indent)
                line.add_column(overflow="fold")
                line.add_row(f"  {escape(name)}", escape(cell))
                console.print(line)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, (name, is_number) in enumerate(zip(columns, right, strict=True), 1):
        justify: Literal["left", "right"] = "right" if is_number else "left"
        last = number == len(columns)
        table.add_column(escape(name), justify=justify, overflow="fold", no_wrap=not last)
    for row in cells:
        table.add_row(*map(escape, row))
    console.print(table)


def discard_stdout() -> None:
    """Lead stdout nowhere: Python flushes it once more on its way out, and would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _answer(text: str) -> None:
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:  # the reader has gone, as after `| head`
        raise
    except OSError as error:
        from recolor_cli.images.atomic import output_error

        discard_stdout()
        raise output_error("standard output", error) from error


def _write(stream: TextIO, text: str) -> None:
    line = "\n".join(printable(part) for part in text.split("\n")) + "\n"
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


class _Silent:
    def advance(self, name: str, count: int = 1) -> None:
        pass

    def message(self, text: str) -> None:
        _write(sys.stderr, text)


class _Lines:
    """Plain lines, at most one every `EVERY_S` seconds, and one at the end."""

    EVERY_S = 10.0
    MEASURABLE_S = 0.1  # what took less has no rate worth telling

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._done = 0
        self._begun = self._last = time.monotonic()

    def advance(self, name: str, count: int = 1) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last < self.EVERY_S and self._done < self._total:
            return
        self._last = now
        took = now - self._begun
        told = f"{self._done}/{self._total} {self._unit}"
        if took >= self.MEASURABLE_S:
            told += f", {self._done / took:.1f}/s"
        if 0 < self._done < self._total:
            told += f", {_duration(took * (self._total - self._done) / self._done)} left"
        _write(sys.stderr, f"{told}  {printable(name)}".rstrip())

    def message(self, text: str) -> None:
        _write(sys.stderr, text)


@contextmanager
def _bar(total: int, unit: str) -> Iterator[Progress]:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn(unit + " {task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", markup=False),
    )
    begun = time.monotonic()
    with RichProgress(*columns, console=RichConsole(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, name="", rate="")

        class _Bar:
            done = 0

            def advance(self, name: str, count: int = 1) -> None:
                self.done += count
                rate = self.done / max(time.monotonic() - begun, 1e-9)
                bar.update(task, advance=count, name=printable(name), rate=f"{rate:.1f}/s")

            def message(self, text: str) -> None:
                bar.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

        yield _Bar()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
