"""A run on many machines: batches go out to Ray's workers, results come back to one manifest.

Workers die; machines are taken away. Every photograph that has no result yet is then given to
another worker, and one that ends worker after worker fails alone. This side alone writes the
manifest, so it is the same as that of a run on one machine.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recolor_cli.checkpoints import ColorModel
from recolor_cli.checkpoints.card import code_version
from recolor_cli.colorize.cluster.batches import Batch, Batches
from recolor_cli.colorize.cluster.connection import connect, disconnect
from recolor_cli.colorize.cluster.worker import Introduction, Job, Outcome, Worker
from recolor_cli.colorize.manifest import FOLDER, Manifest
from recolor_cli.colorize.network import Report
from recolor_cli.colorize.results import PhotoResult
from recolor_cli.colorize.settings import Settings
from recolor_cli.colorize.stages import Work
from recolor_cli.devices import cores
from recolor_cli.errors import OutputError, RecolorError, UsageError
from recolor_cli.images.atomic import remove_left_by, write_atomic
from recolor_cli.images.remote import absolute, names_in

CORES_PER_WORKER = 4  # decoding and encoding scale to about that many threads of one process
MOST_STARTS = 3  # workers in a row that die before they have begun: then it is not chance
LOOK_EVERY_S = 5.0  # at the cluster, which may have grown
WAIT_S = 1.0
SIGHT_S = 10.0  # for a new file to be seen: network disks remember that it was not there
PATIENCE_S = 30.0  # before people are told that no worker can start
ANSWER_S = 20.0  # for the head of the cluster; after 60 Ray gives up, and this process with it
FAREWELL_S = 60.0  # for photographs that are under way when the run is stopped
LEAST_STORE_BYTES = 128 << 20


@dataclass(eq=False)
class _Hand:
    """A worker as the driver sees it.

    Attributes:
        actor: Ray's handle.
        greeting: Its introduction, promised.
        about: Its introduction, once it is here.
        batch: What it has, if it is at work.
        stream: Outcomes of that.
    """

    actor: Any
    greeting: Any
    about: Introduction | None = None
    batch: Batch | None = None
    stream: Any = None


class Cluster:
    """Leads photographs through workers on other machines, as `Pipeline` does through threads.

    Args:
        works: What to do.
        settings: Of the run; `settings.cluster` is the address.
        model: The weights, in the processor's memory; workers need neither a cache nor a network.
        manifest: Open for appending.
        folder: OUT, on storage that all machines see.
        report: Receives lines for people.
    """

    def __init__(
        self,
        works: Sequence[Work],
        settings: Settings,
        model: ColorModel,
        manifest: Manifest,
        folder: Path,
        report: Report,
    ) -> None:
        self._works = works
        self._settings, self._model, self._manifest = settings, model, manifest
        self._folder, self._report = folder, report
        self._batches = Batches(len(works))
        self._hands: list[_Hand] = []
        self._kind: tuple[str, str] | None = None
        self._failed_starts = 0
        self._looked = self._idle_since = 0.0
        self._told_to_wait = self._closed = self._interrupted = False
        self._late: list[Work] = []
        self._token: Path | None = None
        self._ray: Any = None

    def __iter__(self) -> Iterator[Work]:
        """Connect, and yield photographs as they finish.

        Raises:
            MissingExtraError: Ray is not installed.
            UsageError: There is no such cluster, or its machines do not fit together.
            OutputError: Nothing more can be written, or the cluster is gone.
        """
        try:
            self._open()
            while self._batches.left or self._at_work():
                if self._interrupted:
                    raise KeyboardInterrupt
                self._hire()
                self._assign()
                yield from self._collect(WAIT_S)
        except KeyboardInterrupt:
            self.stop()  # here, where the manifest is open still
            raise
        except BaseException:
            self._leave()
            raise
        self._leave()

    def interrupt(self) -> None:
        """Let the iteration raise KeyboardInterrupt, within a moment, when it holds no result."""
        self._interrupted = True

    def stop(self) -> list[Work]:
        """Begin nothing more, wait for what is under way, and leave the cluster.

        Returns:
            Photographs that were finished and never yielded.
        """
        if self._ray is not None and not self._closed:
            try:
                self._say_farewell()
            finally:
                self._leave()
        return self._late

    def _say_farewell(self) -> None:
        for hand in self._at_work():
            hand.actor.stop.remote()
        deadline = time.monotonic() + FAREWELL_S
        while self._at_work() and time.monotonic() < deadline:
            self._late.extend(self._collect(WAIT_S))

    def _leave(self) -> None:
        if self._closed or self._ray is None:
            return
        self._closed = True
        disconnect()
        for hand in self._hands:
            self._clean_up_after(hand)
        if self._token is not None:
            self._token.unlink(missing_ok=True)

    # Workers

    def _open(self) -> None:
        settings = self._settings
        assert settings.cluster is not None
        weights = sum(tensor.nbytes for tensor in self._model.network.state_dict().values())
        self._ray = connect(settings.cluster, cores(), max(LEAST_STORE_BYTES, 3 * weights))
        nodes = self._nodes()
        self._gpus = settings.device.startswith("cuda") or (
            settings.device == "auto" and any(node.get("GPU") for node in nodes.values())
        )
        if self._gpus and not any(node.get("GPU") for node in nodes.values()):
            raise UsageError(f"no machine of {settings.cluster!r} has a GPU; type --device auto")
        most = max((int(node.get("CPU", 0)) for node in nodes.values()), default=0)
        self._cores = settings.workers or max(1, min(CORES_PER_WORKER, most))
        self._handle = self._ray.put(self._model)
        self._actor = self._ray.remote(Worker).options(
            num_cpus=self._cores, num_gpus=int(self._gpus), max_concurrency=2, max_restarts=0
        )
        # Only a worker that sees this file writes to the same folder.
        self._text = os.urandom(8).hex()
        name = "cluster-{}-of-{}-".format(*settings.shard)
        self._token = absolute(self._folder) / FOLDER / (name + self._text)
        for left in names_in(self._token.parent):
            if left.startswith(name):  # by a run that was killed: of this part there is no other
                self._token.with_name(left).unlink(missing_ok=True)
        self._show_token()
        self._idle_since = time.monotonic()

    def _show_token(self) -> None:
        """Have the file there for the next worker: where locks are unknown there may be another."""
        assert self._token is not None
        if not self._token.exists():
            write_atomic(self._token, self._text.encode())

    def _nodes(self) -> dict[str, dict[str, float]]:
        """The machines that are there, each with what it has.

        Raises:
            OutputError: The cluster's head is gone. Ray waits for it, and ends the process then.
        """
        nodes: list[dict[str, Any]] = []
        failure: list[Exception] = []

        def ask() -> None:
            try:
                nodes.extend(self._ray.nodes())
            except Exception as error:
                failure.append(error)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(ANSWER_S)
        if not nodes:
            raise OutputError(
                f"the head of the cluster {self._settings.cluster!r} does not answer; "
                "start it again, and run this again to go on"
            ) from (failure[0] if failure else None)
        return {n["NodeID"]: n["Resources"] for n in nodes if n["Alive"]}

    def _room(self) -> int:
        """How many workers the cluster has room for."""
        nodes = self._nodes().values()
        if self._gpus:
            return sum(int(node.get("GPU", 0)) for node in nodes)
        return sum(int(node.get("CPU", 0)) // self._cores for node in nodes)

    def _hire(self) -> None:
        """Have as many workers as there is room or, with --cluster-workers, demand for."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S and self._hands:
            return
        self._looked = now
        # At least one is asked for, so that an autoscaling cluster without machines starts one.
        wanted = self._settings.cluster_workers or max(1, self._room())
        wanted = min(wanted, self._batches.left + len(self._at_work()))
        if len(self._hands) < wanted:
            self._show_token()
        while len(self._hands) < wanted:
            worker = replace(self._settings, shard=(1, 1), hints=None)
            actor = self._actor.remote(worker, self._handle, self._cores)
            greeting = actor.introduce.remote(self._token, self._text, SIGHT_S)
            self._hands.append(_Hand(actor, greeting))
        if any(hand.about for hand in self._hands):
            self._idle_since = now
        elif now - self._idle_since > PATIENCE_S and not self._told_to_wait:
            self._told_to_wait = True
            self._report(
                f"no worker has started for {PATIENCE_S:.0f} s: the cluster has no {self._needs()} "
                "free; waiting for it (Ctrl-C ends)"
            )

    def _needs(self) -> str:
        each = f"{self._cores} cores" if self._cores > 1 else "1 core"
        return f"1 GPU with {each}" if self._gpus else each

    def _greet(self, hand: _Hand) -> None:
        """Take a worker in, if it fits to the others.

        Raises:
            UsageError: It does not.
        """
        about: Introduction = self._ray.get(hand.greeting)
        hand.about, hand.greeting = about, None
        self._failed_starts = 0
        if about.version != code_version():
            raise UsageError(
                f"{about.node!r} has recolor {about.version}, and this machine {code_version()}; "
                "install the same on all"
            )
        if not about.sees_output:
            raise UsageError(
                f"{about.node!r} does not see {str(self._folder)!r}; name a folder, by its full "
                "path, on a disk that all machines share"
            )
        if self._kind is None:
            self._kind = about.kind
            self._report(
                f"cluster  {self._settings.cluster}: each worker has {self._needs()}, "
                f"{' '.join(about.kind)}"
            )
        if about.kind != self._kind:
            ours, other = " ".join(self._kind), " ".join(about.kind)
            raise UsageError(
                f"some workers have {ours} and {about.node!r} has {other}, which gives other "
                "bytes; type --device and --precision that all have"
            )

    # Work

    def _at_work(self) -> list[_Hand]:
        return [hand for hand in self._hands if hand.batch is not None]

    def _assign(self) -> None:
        for hand in self._hands:
            if hand.about is None or hand.batch is not None:
                continue
            batch = self._batches.take(len(self._hands))
            if batch is None:
                return
            jobs = [self._job(number) for number in batch.items]
            hand.batch = batch
            hand.stream = hand.actor.colorize.options(num_returns="streaming").remote(jobs)

    def _job(self, number: int) -> Job:
        work = self._works[number]
        target = work.target
        there = replace(target, source=absolute(target.source), output=absolute(target.output))
        return Job(number, there, work.order, self._manifest.get(target.key), work.fresh)

    def _collect(self, wait_s: float) -> Iterator[Work]:
        """Wait for news of any worker, and yield what has finished."""
        pending = {
            hand.stream or hand.greeting: hand
            for hand in self._hands
            if hand.stream or hand.greeting
        }
        if not pending:
            time.sleep(wait_s)
            return
        ready, _ = self._ray.wait(list(pending), num_returns=1, timeout=wait_s, fetch_local=False)
        for promise in ready:
            hand = pending[promise]
            try:
                if hand.batch is None:
                    self._greet(hand)
                    continue
                outcome = self._ray.get(next(hand.stream))
            except StopIteration:
                assert hand.batch is not None
                self._batches.put_back(hand.batch)  # it has all its results, if it was not stopped
                hand.batch = hand.stream = None
            except self._ray.exceptions.RayTaskError as error:
                raise _as_it_was(error) from None
            except self._ray.exceptions.RayError as error:
                yield from self._died(hand, error)
            else:
                yield self._finish(hand, outcome)

    def _finish(self, hand: _Hand, outcome: Outcome) -> Work:
        assert hand.batch is not None
        hand.batch.items.remove(outcome.number)
        work = self._works[outcome.number]
        target = work.target
        work.result = replace(outcome.result, source=target.source, output=target.output)
        for entry in outcome.entries:
            self._manifest.append(
                entry.event,
                entry.key,
                settings=entry.settings,
                source=target.source,
                input=entry.input,
                output=entry.output,
                reason=entry.reason,
                more=entry.more,
            )
        for remark in outcome.remarks:
            self._report(remark)
        return work

    def _died(self, hand: _Hand, error: Exception) -> Iterator[Work]:
        """Share out again what a dead worker had, and yield what is given up on."""
        self._hands.remove(hand)
        self._looked = 0.0  # its place is free
        self._clean_up_after(hand)
        reason = _cause(error)
        if hand.about is None:
            self._failed_starts += 1
            if self._failed_starts >= MOST_STARTS:
                raise OutputError(
                    f"workers of {self._settings.cluster!r} do not start: {reason}; install the "
                    "same Python, Ray and recolor on all machines, with enough memory"
                )
            return
        node = hand.about.node
        self._report(f"a worker on {node!r} died; its photographs go to another: {reason}")
        if hand.batch is None:
            return
        machine = hand.about.node_id not in self._nodes()
        gone = self._batches.died(hand.batch, window=hand.about.window, machine=machine)
        for number in gone:
            work = self._works[number]
            target = work.target
            text = f"its worker died each time that it was tried alone: {reason}"
            work.result = PhotoResult("failed", target.source, target.output, text)
            self._manifest.append(
                "failed",
                target.key,
                settings=work.order.digest,
                source=target.source,
                reason=text,
            )
            yield work

    def _clean_up_after(self, hand: _Hand) -> None:
        """Remove what a worker may have left half-written."""
        if hand.batch is None or hand.about is None:
            return
        outputs = [self._works[number].target.output for number in hand.batch.items]
        for folder in {output.parent for output in outputs}:
            remove_left_by(hand.about.mark, folder)


def _as_it_was(error: Any) -> BaseException:
    """What a worker raised, as if it had been raised here."""
    cause = error.cause
    return cause if isinstance(cause, RecolorError) else error


def _cause(error: Exception) -> str:
    """Why a worker died, in a few words; Ray tells it in many."""
    text = str(error)
    if "creation task" in text:
        return text.strip().splitlines()[-1].strip()
    if "memory pressure" in text:
        return "its machine ran out of memory"
    if "node has died" in text or "node died" in text:
        return "its machine is gone"
    return "its process was killed, or crashed"
