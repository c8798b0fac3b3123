"""What OUT already holds, so that a second run does only what is missing or has changed.

OUT/.recolor/manifest.jsonl (manifest-I-of-N.jsonl for a shard) gets one line before a photograph's
output takes its name and one after. A line that was cut short by a kill is passed over; the line
before it still says whose the file is. Nothing is ever rewritten, only appended.

What a person has looked at and chosen to keep is noted too: it stays as it is when later runs have
other settings.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from recolor_cli.errors import StorageError
from recolor_cli.images.atomic import output_error, write_atomic
from recolor_cli.images.find import normal
from recolor_cli.images.photo import Provenance
from recolor_cli.images.remote import RemotePath, absolute, is_remote

FOLDER = ".recolor"
FILES = "manifest*.jsonl"
PART_S, PART_BYTES = 10.0, 1 << 20  # how often an object store gets what is new
Event = Literal["writing", "done", "skipped", "failed"]
FACTS = ("confidence", "notes", "width", "height", "seconds")
# Of a run's settings: what says nothing of a single file, and values that others stand for in it.
_OF_THE_RUN = {"event", "settings", "model", "format"}
_LEFT_OPEN = (None, "auto")
WISHES = ("hints", "hints_from")  # what a person said about the photograph, and where


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a file is recognised: by size and time at a glance, by its hash for certain."""

    bytes: int
    mtime_ns: int
    sha256: str

    def looks_like(self, path: Path) -> bool:
        """Whether size and time are the same; no content is read."""
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.bytes, self.mtime_ns)

    def matches(self, path: Path) -> bool:
        """Whether the file has the same content."""
        if self.looks_like(path):
            return True
        try:
            return path.stat().st_size == self.bytes and hash_file(path) == self.sha256
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Line:
    """What the manifest knows about one output.

    Attributes:
        event: writing (about to take its name), done, skipped or failed.
        settings: Digest of all settings that decide the result.
        source: Absolute path of the input.
        input: The input as it was.
        output: The output as it was written; None if there is none.
        reason: Why it was skipped or failed.
        ours: Whether a file was completed under this name at any time.
        at: Time of the line in nanoseconds.
        kept: Whether a person chose this very output; other settings then do not replace it.
        facts: What else was noted: confidence, notes, width, height, seconds; and hints as in a
            file, in fractions, with where they came from.
        before: While a result is about to take the name: the one that has it until then.
    """

    event: Event
    settings: str
    source: str
    input: Stamp | None
    output: Stamp | None
    reason: str
    ours: bool
    at: int
    kept: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    before: Line | None = None

    def is_current(self, settings: str) -> bool:
        """Whether the output, if it is still as described, is not to be made again.

        That is when it is what `settings` would give, or was chosen by a person.
        """
        return self.event in ("done", "writing") and (self.kept or self.settings == settings)


class Manifest:
    """The manifest of one output folder.

    Args:
        out: The output folder; need not exist to be read.
        shard: (I, N); lines of all shards are read, those of this one are written.
        let_go: Outputs that a person chose and now wants to be made again. Only this reader
            forgets the choice: should the work fail, it still stands.

    Attributes:
        runs: What each digest of settings stands for, with the weights' name as it was asked for.
    """

    def __init__(
        self, out: Path, shard: tuple[int, int] = (1, 1), let_go: Collection[str] = ()
    ) -> None:
        self.folder = out / FOLDER
        part, parts = shard
        name = "manifest.jsonl" if parts == 1 else f"manifest-{part}-of-{parts}.jsonl"
        self._path = self.folder / name
        self._parts: _Parts | None = None
        self._file: int | None = None
        self._writing = threading.Lock()
        self.runs: dict[str, Mapping[str, Any]] = {}
        self._lines = _read_all(self.folder, self.runs)
        self._spellings: dict[str, str] | None = None
        for key in map(self._known, let_go):
            if key in self._lines:
                self._lines[key] = replace(self._lines[key], kept=False)

    def __iter__(self) -> Iterator[tuple[str, Line]]:
        """Every output that is known, with the latest that is known about it."""
        return iter(self._lines.items())

    def get(self, key: str) -> Line | None:
        """What is known about the output at `key`."""
        return self._lines.get(self._known(key))

    def _known(self, key: str) -> str:
        """How the manifest spells the name of the file at `key`.

        Some disks take names for one that differ in case, or in how accents are written: what is
        known about a result must not be lost where its photograph was renamed so.
        """
        if key in self._lines or is_remote(self.folder):
            return key
        if self._spellings is None:
            known_by_now = list(self._lines)  # at once: other threads add to them
            self._spellings = {_folded(known): known for known in known_by_now}
        known = self._spellings.setdefault(_folded(key), key)
        if known == key:  # new: no disk needs to be asked
            return key
        try:
            same = os.path.samefile(self.folder.parent / known, self.folder.parent / key)
        except OSError:  # nothing is there
            return key
        return known if same else key

    def owns(self, key: str, output: Path) -> bool:
        """Whether the file that is at `output` was written by recolor."""
        line = self.get(key)
        if line is None or line.ours:
            return line is not None
        return line.output is not None and line.output.matches(output)

    def finds_changed(self, key: str, output: Path) -> bool:
        """Whether the file that is at `output` is not the result that this manifest tells of.

        Not after a kill: then nobody knows which of two results has the name.
        """
        line = self.get(key)
        known = line.output if line is not None and line.event == "done" else None
        return known is not None and not known.matches(output)

    def tells_of(self, key: str, provenance: Provenance) -> bool:
        """Whether the latest result at `key` was made as this provenance says."""
        line = self.get(key)
        run = self.runs.get(line.settings) if line is not None else None
        if line is None or line.input is None or run is None:
            return False
        said = {**provenance.settings, "weights_sha256": provenance.weights_sha256}
        if said.get("source_sha256") != line.input.sha256:
            return False
        asked = {name: value for name, value in run.items() if name not in _OF_THE_RUN}
        return said.get("warmth") == asked.get("warmth") and all(
            said.get(name) == value for name, value in asked.items() if value not in _LEFT_OPEN
        )

    def open(self) -> None:
        """Make ready to append.

        Raises:
            OutputError: The manifest cannot be written.
        """
        if isinstance(self._path, RemotePath):
            self._parts = _Parts(self._path)
            return
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            size = os.fstat(self._file).st_size
            if size:
                os.lseek(self._file, size - 1, os.SEEK_SET)
                if os.read(self._file, 1) != b"\n":
                    os.write(self._file, b"\n")  # ends a line that a kill cut short
        except OSError as error:
            raise output_error(self._path, error) from error

    def append(
        self,
        event: Event,
        key: str,
        *,
        settings: str,
        source: Path,
        input: Stamp | None = None,
        output: Stamp | None = None,
        reason: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a line and remember it.

        The line outlives this process from then on. It may not outlive a loss of power; outputs
        say themselves where they come from, so no more than a second look at them is lost.

        Raises:
            OutputError: The disk is full, or the like.
        """
        key = self._known(key)
        record: dict[str, Any] = {"event": event, "output": key, "at": time.time_ns()}
        record |= {"settings": settings, "input": str(absolute(source))}
        if reason:
            record["reason"] = reason
        record["input_stamp"] = asdict(input) if input else None
        record["output_stamp"] = asdict(output) if output else None
        record.update(more or {})
        line = _parse(record, self._lines.get(key))
        assert line is not None
        self._append(record)
        self._lines[key] = line

    def keep(self, key: str) -> None:
        """Note that a person chose the output at `key` as it is.

        Raises:
            OutputError: The disk is full, or the like.
        """
        key = self._known(key)
        record = {"event": "kept", "output": key, "at": time.time_ns(), "kept": True}
        line = _parse(record, self._lines[key])
        assert line is not None
        self._append(record)
        self._lines[key] = line

    def note(self, record: Mapping[str, Any]) -> None:
        """Add a line that is for people: which settings a digest stands for."""
        self._append(record)

    def close(self) -> None:
        """Let go of the file."""
        if self._parts is not None:
            self._parts.flush()
            self._parts = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, record: Mapping[str, Any]) -> None:
        data = json.dumps(record).encode() + b"\n"
        if self._parts is not None:
            self._parts.add(data)
            return
        assert self._file is not None, "open() comes first"
        try:
            with self._writing:
                # One write call: lines of two writers do not mix.
                if os.write(self._file, data) != len(data):
                    raise OSError(28, "No space left on device")
        except OSError as error:
            raise output_error(self._path, error) from error


class _Parts:
    """A manifest where nothing can be appended: every few seconds another object with new lines.

    It takes in the one before it, which then goes, until that is large: later runs read them all.
    What a kill takes away is found out again: outputs say themselves where they come from.

    Args:
        path: Whose name the parts' names begin with.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[bytes] = []
        self._bytes = self._put = 0  # of the lines; of those that are in `_latest`
        self._latest: Path | None = None
        self._due = 0.0  # the first lines at once: whether OUT can be written shows before the work
        self._lock = threading.Lock()

    def add(self, line: bytes) -> None:
        with self._lock:
            self._lines.append(line)
            self._bytes += len(line)
            if self._bytes - self._put > PART_BYTES or time.monotonic() > self._due:
                self._flush()

    def flush(self) -> None:
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._bytes > self._put:
            name = f"{self._path.stem}-{time.time_ns()}{self._path.suffix}"
            part, before = self._path.with_name(name), self._latest
            write_atomic(part, b"".join(self._lines))
            self._latest, self._put = part, self._bytes
            if not _is_gone(before) or self._bytes > PART_BYTES:
                self._lines, self._bytes, self._put, self._latest = [], 0, 0, None
        self._due = time.monotonic() + PART_S


def _is_gone(part: Path | None) -> bool:
    """Whether a part that another holds as well could be removed; some stores keep everything."""
    try:
        if part is not None:
            part.unlink(missing_ok=True)
    except StorageError:
        return False
    return True


def hash_file(path: Path) -> str:
    """The sha256 of a file, without holding it in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folded(key: str) -> str:
    return normal(key).casefold()


def digest(settings: Mapping[str, Any]) -> str:
    """A short name for a table of settings.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _read_all(folder: Path, runs: dict[str, Mapping[str, Any]]) -> dict[str, Line]:
    """The latest line for each output over all shards' files; `runs` receives their settings."""
    lines: dict[str, Line] = {}
    origin: dict[str, int] = {}  # the file of each line
    read: set[Path] = set()
    while files := [path for path in _files(folder) if path not in read]:
        for number, path in enumerate(files, len(read)):
            read.add(path)
            try:
                with path.open("rb") as file:
                    for raw in file:
                        record = _load(raw)
                        if record is None:
                            continue
                        if record.get("event") == "run":
                            runs[str(record.get("settings"))] = record
                        elif isinstance(record.get("output"), str):
                            _remember(lines, origin, number, record)
            except OSError as error:
                # A run that goes on may have put this part into another: then list again.
                if not (is_remote(path) and isinstance(error, FileNotFoundError)):
                    raise output_error(path, error) from error
    return lines


def _files(folder: Path) -> list[Path]:
    if isinstance(folder, RemotePath):
        return [folder / name for name in folder.names() if fnmatch(name, FILES)]
    return sorted(folder.glob(FILES))


def _remember(
    lines: dict[str, Line], origin: dict[str, int], file: int, record: Mapping[str, Any]
) -> None:
    if not isinstance(record.get("at"), int):
        return
    key = record["output"]
    before = lines.get(key)
    line = _parse(record, before)
    if line is None:
        return
    # Another shard's file said more later. Within a file its order tells, and not the clock, which
    # may have been wrong.
    if before is not None and origin[key] != file and before.at > line.at:
        lines[key] = replace(before, ours=before.ours or line.ours)
    else:
        lines[key], origin[key] = line, file


def _load(raw: bytes) -> dict[str, Any] | None:
    """One line as a record; None if a kill cut it short, or it is nothing of ours."""
    try:
        record = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    return record if isinstance(record.get("at"), int) or record.get("event") == "run" else None


def _parse(record: Mapping[str, Any], before: Line | None) -> Line | None:
    event = record.get("event")
    if event == "kept" and before is not None:
        return replace(before, kept=record.get("kept") is True, at=record["at"])
    if event not in ("writing", "done", "skipped", "failed"):
        return None
    try:
        before_input, output = (
            Stamp(**record[name]) if record.get(name) else None
            for name in ("input_stamp", "output_stamp")
        )
    except TypeError:
        return None
    if event == "failed" and before is not None and before.ours:
        # The attempt left the earlier result as it was, how far it may have come.
        return replace(before.before or before, at=record["at"])
    ours = event == "done" or (before is not None and before.ours)
    settings, path, reason = (str(record.get(name, "")) for name in ("settings", "input", "reason"))
    same = before is not None and before.output is not None and output is not None
    same = same and before.output.sha256 == output.sha256  # type: ignore[union-attr]
    kept = same and before is not None and before.kept
    facts = {name: record[name] for name in (*FACTS, *WISHES) if name in record}
    if same and before is not None and "seconds" not in record:
        facts = dict(before.facts)  # the same output as before, under another time
    earlier = None
    if event == "writing" and before is not None:
        earlier = before.before if before.event == "writing" else before
    return Line(
        event, settings, path, before_input, output, reason, ours,
        record["at"], kept, facts, earlier,
    )  # fmt: skip
