"""One worker of a cluster: a process that holds the network and colours batches of photographs.

It is an actor of Ray, made by `driver.py`. Files are read and written here, on storage that all
machines share; the manifest is written by the driver only.
"""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

from recolor_cli.checkpoints import ColorModel
from recolor_cli.checkpoints.card import code_version
from recolor_cli.colorize.cluster.connection import import_ray
from recolor_cli.colorize.colorizer import Colorizer
from recolor_cli.colorize.manifest import Event, Line, Stamp
from recolor_cli.colorize.orders import Order
from recolor_cli.colorize.plan import Target
from recolor_cli.colorize.results import PhotoResult
from recolor_cli.colorize.settings import Settings
from recolor_cli.colorize.stages import Stages, Work
from recolor_cli.devices import choose_machine
from recolor_cli.images.atomic import mark


@dataclass(frozen=True)
class Introduction:
    """What a worker says of itself.

    Attributes:
        node: Its machine, for people.
        node_id: Ray's name for that.
        kind: Device type and number format; the same for all workers, as the bytes depend on it.
        version: Of recolor.
        window: Photographs of a batch that it can have begun and not finished.
        mark: In the names of the files that it has half-written.
        sees_output: Whether it sees the driver's output folder.
    """

    node: str
    node_id: str
    kind: tuple[str, str]
    version: str
    window: int
    mark: str
    sees_output: bool


@dataclass(frozen=True)
class Job:
    """One photograph as it travels to a worker.

    Attributes:
        number: In the run.
        target: With absolute paths.
        order: What is asked for it.
        line: What the manifest knows about the output.
        fresh: There was no output when the run began.
    """

    number: int
    target: Target
    order: Order
    line: Line | None
    fresh: bool


@dataclass(frozen=True)
class Entry:
    """One line for the driver's manifest."""

    event: Event
    key: str
    settings: str
    input: Stamp | None
    output: Stamp | None
    reason: str
    more: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a job, as it travels back.

    Attributes:
        number: Of the job.
        result: With absolute paths.
        entries: For the manifest, in order.
        remarks: For people.
    """

    number: int
    result: PhotoResult
    entries: tuple[Entry, ...]
    remarks: tuple[str, ...] = ()


class Slip:
    """Stands in for the manifest: knows its lines for one batch, and collects new ones."""

    def __init__(self, lines: Mapping[str, Line | None]) -> None:
        self._lines = lines
        self._entries: dict[str, list[Entry]] = {}

    def get(self, key: str) -> Line | None:
        """What the manifest knows about the output at `key`."""
        return self._lines.get(key)

    def append(
        self,
        event: Event,
        key: str,
        *,
        settings: str,
        source: Path,  # noqa: ARG002  the driver has it, as it was typed
        input: Stamp | None = None,
        output: Stamp | None = None,
        reason: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Note a line; lines of one key come from one thread at a time."""
        entry = Entry(event, key, settings, input, output, reason, more or {})
        self._entries.setdefault(key, []).append(entry)

    def take(self, key: str) -> tuple[Entry, ...]:
        """The lines for one output, once."""
        return tuple(self._entries.pop(key, ()))


class Worker:
    """Holds the network from batch to batch.

    Args:
        settings: Of the run.
        model: Its weights, in the processor's memory.
        threads: Processor cores that are this worker's.
    """

    def __init__(self, settings: Settings, model: ColorModel, threads: int) -> None:
        torch.set_num_threads(1)  # as `devices.one_thread` says; this process does nothing else
        cv2.setNumThreads(1)
        warnings.filterwarnings("ignore", module=r"PIL\.")
        self._settings, self._threads = settings, threads
        self._remarks: list[str] = []
        machine = choose_machine(settings.device, settings.precision)
        self._colorizer = Colorizer.from_settings(
            settings, self._remarks.append, model=model.to(machine.device, machine.dtype)
        )
        self._stopping = False

    def introduce(self, token: Path, text: str, patience_s: float) -> Introduction:
        """Say who this is, and whether it sees the file that the driver has put into OUT."""
        machine = self._colorizer.machine
        painters = self._colorizer.painters(self._threads)
        return Introduction(
            node=platform.node(),
            node_id=import_ray().get_runtime_context().get_node_id(),
            kind=(machine.device.type, machine.precision),
            version=code_version(),
            window=4 * self._threads + self._colorizer.batch_size * (1 + painters),
            mark=mark(),
            sees_output=_appears(token, text, patience_s),
        )

    def colorize(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Colour a batch; an outcome for each job, in the order in which they finish."""
        slip = Slip({job.target.key: job.line for job in jobs})
        stages = Stages(self._colorizer, self._settings, slip)
        numbers = {job.target.key: job.number for job in jobs}
        works = (Work(job.target, job.order, fresh=job.fresh) for job in self._until_stopped(jobs))
        for work in stages.pipeline(works, self._threads):
            assert work.result is not None
            key = work.target.key
            remarks, self._remarks[:] = tuple(self._remarks), []
            yield Outcome(numbers[key], work.result, slip.take(key), remarks)

    def stop(self) -> None:
        """Begin no other photograph; those that are begun are finished."""
        self._stopping = True

    def _until_stopped(self, jobs: Sequence[Job]) -> Iterator[Job]:
        for job in jobs:
            if self._stopping:
                return
            yield job


def _appears(token: Path, text: str, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            if token.read_text(encoding="ascii") == text:
                return True
        except (OSError, ValueError):
            pass
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
