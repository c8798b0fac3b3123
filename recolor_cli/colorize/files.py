"""colorize_files: a list of inputs becomes a folder of coloured photographs, photo by photo.

The order of precautions: what is wrong with the command line, then with OUT, then with the weights;
only then is anything written.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import cv2

from recolor_cli.checkpoints import ColorModel
from recolor_cli.colorize.cluster.connection import import_ray
from recolor_cli.colorize.colorizer import Colorizer
from recolor_cli.colorize.lock import FolderLock
from recolor_cli.colorize.manifest import Manifest
from recolor_cli.colorize.network import Report
from recolor_cli.colorize.orders import Order, make_orders
from recolor_cli.colorize.pipeline import Pipeline
from recolor_cli.colorize.plan import Plan, Target, check_writable, make_plan
from recolor_cli.colorize.results import PhotoResult, Summary
from recolor_cli.colorize.settings import Settings, deciding
from recolor_cli.colorize.stages import (
    DONE_BEFORE,
    EDITED,
    KEPT,
    Stages,
    Work,
    is_whole,
    provenance_of,
    skipped,
)
from recolor_cli.colorize.variants import draw_of
from recolor_cli.devices import choose_machine, cores, one_thread
from recolor_cli.errors import UsageError
from recolor_cli.images.atomic import output_error, remove_stale
from recolor_cli.images.remote import is_remote, listed
from recolor_cli.weights import find_weights, load_model, read_manifest

if TYPE_CHECKING:
    from recolor_cli.colorize.cluster.driver import Cluster

WORTH_LISTING = 20  # photographs of one remote folder: below, each is asked after


class Run:
    """A folder's way through `colorize`: iterate over it, then look at `summary`.

    Attributes:
        plan: Inputs and outputs.
        summary: Grows with each result.
        colorizer: Loaded if there is anything to do, else None.

    Args:
        anew: Somebody looked at these very results and wants them made again: that they chose or
            changed them before is no reason to leave them.
    """

    def __init__(
        self, plan: Plan, settings: Settings, report: Report, *, anew: bool = False
    ) -> None:
        if settings.cluster is not None and plan.folder is None:
            raise UsageError("--cluster is for folders; leave it out for one photograph")
        if settings.cluster is not None and re.fullmatch(r"cuda:0*[1-9]\d*", settings.device):
            raise UsageError(
                f"--device {settings.device} names a GPU of one machine, and each worker of a "
                "cluster sees its own alone; type --device cuda"
            )
        self.plan, self.settings, self.report, self._anew = plan, settings, report, anew
        total = len(plan.targets) + len(plan.repeated) + len(plan.unreadable)
        self.summary = Summary(total, ignored=plan.ignored)
        self.colorizer: Colorizer | None = None
        self.workers = settings.workers or cores()
        self._begun = time.monotonic()
        self._manifest: Manifest | None = None
        self._orders: dict[str, Order] = {}
        self._pipeline: Pipeline[Work] | Cluster | None = None
        self._careful = self._interrupted = False

    def __iter__(self) -> Generator[PhotoResult, None, None]:
        """Do the work; a result for every input, in the order in which they finish.

        Raises:
            OutputError: Nothing more can be written; what is done is done.
            WeightsError: The weights are missing, or are not what they should be.
            KeyboardInterrupt: `interrupt` was called.
        """
        results = self._iterate()
        for result in results:
            careful, self._careful = self._careful, True
            self.summary.add(result)
            self.summary.seconds = time.monotonic() - self._begun
            yield result
            self._careful = careful
            if self._interrupted:
                results.throw(KeyboardInterrupt())

    def interrupt(self) -> bool:
        """End early, but never between counting a result and handing it out.

        For a handler of Ctrl-C: an exception that strikes just there would make a photograph of
        the summary that no line tells of. The iteration raises KeyboardInterrupt when it can.

        Returns:
            Whether it will; if not, there is nothing to be careful with now, so raise.
        """
        if not self._careful:
            return False
        self._interrupted = True
        if self._pipeline is not None:
            self._pipeline.interrupt()
        return True

    def stop(self) -> list[PhotoResult]:
        """End early: photographs that are nearly there are finished, others not begun.

        Returns:
            Results that were not yielded; they are counted.
        """
        self.summary.interrupted = True
        late = self._pipeline.stop() if self._pipeline else []
        results = [work.result for work in late if work.result is not None]
        for result in results:
            self.summary.add(result)
        self.summary.seconds = time.monotonic() - self._begun
        return results

    def preview(self) -> Iterator[PhotoResult]:
        """Say what would happen, without weights being loaded or anything being written."""
        entry = read_manifest().get(self.settings.model)
        sha256 = entry.sha256 if entry else self._find_weights()
        self._read_manifest(sha256)
        for result in self._known_from_names():
            self.summary.add(result)
            yield result
        for target in self.plan.targets:
            result = self._assess(target) or PhotoResult("planned", target.source, target.output)
            self.summary.add(result)
            yield result
        self.summary.seconds = time.monotonic() - self._begun

    def _iterate(self) -> Generator[PhotoResult, None, None]:
        settings, plan = self.settings, self.plan
        if settings.cluster is None:
            choose_machine(settings.device, settings.precision)
        else:
            import_ray()
        check_writable(plan.folder or plan.targets[0].output.parent)
        sha256 = self._find_weights()
        yield from self._known_from_names()
        self._read_manifest(sha256)
        with self._listed():
            known = [self._assess(target) for target in plan.targets]
        if all(known):
            yield from (result for result in known if result is not None)
            return
        model = self._load()
        # So that weights which do not give as many are named before anything is written.
        draw_of(model, settings.input_size or model.input_size, settings.variants)
        lock = self._lock()
        threads = cv2.getNumThreads()
        try:
            cv2.setNumThreads(1)  # the workers are the threads
            # Pillow only opens headers here; what it finds odd is judged, and told, while decoding.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            self._open_manifest(sha256, alone=lock is None or lock.alone)
            with one_thread():
                yield from self._work(model)
        finally:
            cv2.setNumThreads(threads)
            if self._manifest is not None:
                self._manifest.close()
            if lock is not None:
                lock.close()

    def _load(self) -> ColorModel:
        """The weights where they are used; for a cluster in memory, from where they are sent."""
        settings = self.settings
        if settings.cluster is not None:
            return load_model(settings.model, offline=settings.offline, progress=self.report)
        self.colorizer = Colorizer.from_settings(settings, self.report)
        return self.colorizer.model

    def _work(self, model: ColorModel) -> Generator[PhotoResult, None, None]:
        todo, known = [], []
        with self._listed():
            for target in self.plan.targets:
                result = self._assess(target)
                if result is None:
                    fresh = not _is_taken(target.output)
                    todo.append(Work(target, self._orders[target.key], fresh))
                else:
                    known.append(result)
        yield from known
        self._pipeline = self._lead(todo, model)
        self._careful = True
        for work in self._pipeline:
            assert work.result is not None
            yield work.result
        self._careful = False
        if self._interrupted:
            raise KeyboardInterrupt

    def _lead(self, todo: list[Work], model: ColorModel) -> Pipeline[Work] | Cluster:
        """Who leads photographs through the stages: threads of this process, or a cluster."""
        if self.settings.cluster is None:
            assert self.colorizer is not None
            stages = Stages(self.colorizer, self.settings, self._manifest)
            return stages.pipeline(_each_once(todo), self.workers)
        from recolor_cli.colorize.cluster.driver import Cluster

        assert self._manifest is not None
        assert self.plan.folder is not None
        return Cluster(todo, self.settings, model, self._manifest, self.plan.folder, self.report)

    # Before the work

    def _listed(self) -> AbstractContextManager[None]:
        """One listing of remote folders, instead of questions for each photograph."""
        plan = self.plan
        roots = Counter(t.source.parents[len(PurePosixPath(t.key).parts) - 1] for t in plan.targets)
        often = [root for root, count in roots.items() if count >= WORTH_LISTING]
        return listed([*often, *([plan.folder] if plan.folder else [])])

    def _find_weights(self) -> str:
        settings = self.settings
        return find_weights(settings.model, offline=settings.offline, progress=self.report).sha256

    def _known_from_names(self) -> Iterator[PhotoResult]:
        for path in self.plan.repeated:
            yield PhotoResult("skipped", path, reason="the same file as another input")
        for path, reason in self.plan.unreadable:
            what = "" if is_remote(path) else "the folder cannot be opened: "
            yield PhotoResult("failed", path, reason=what + reason)

    def _read_manifest(self, sha256: str) -> None:
        if not self._orders:
            wishes = {"weights_sha256": sha256, **deciding(self.settings)}
            self._orders, remarks = make_orders(self.plan.targets, self.settings, wishes)
            for remark in remarks:
                self.report(f"hints: {remark}")
        if self.plan.folder is not None:
            let_go = [target.key for target in self.plan.targets] if self._anew else []
            self._manifest = Manifest(self.plan.folder, self.settings.shard, let_go)

    def _lock(self) -> FolderLock | None:
        if self.plan.folder is None or is_remote(self.plan.folder):
            return None
        folder = self.plan.folder / ".recolor"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(folder, error) from error
        return FolderLock(folder, self.settings.shard)

    def _open_manifest(self, sha256: str, *, alone: bool) -> None:
        if alone:
            for folder in {target.output.parent for target in self.plan.targets}:
                remove_stale(folder)
        if self.plan.folder is None:
            return
        self._read_manifest(sha256)  # again: another run may have ended between reading and locking
        assert self._manifest is not None
        self._manifest.open()
        for order in {order.digest: order for order in self._orders.values()}.values():
            self._manifest.note(
                {
                    "event": "run",
                    "settings": order.digest,
                    "model": _again(self.settings.model),
                    "weights_sha256": sha256,
                    **deciding(self.settings),
                    **order.more,
                }
            )

    def _assess(self, target: Target) -> PhotoResult | None:
        """What is known without reading the photograph; None if it has to be read."""
        order = self._orders[target.key]
        if order.mistake:
            return PhotoResult("failed", target.source, target.output, order.mistake)
        if self.settings.overwrite:
            return None
        line = self._manifest.get(target.key) if self._manifest else None
        if line is not None and line.input is not None and line.input.looks_like(target.source):
            if (
                line.is_current(order.digest)
                and line.output
                and line.output.looks_like(target.output)
            ):
                same = line.settings == order.digest
                return skipped(target, DONE_BEFORE if same else KEPT)
            if line.event == "skipped" and not self.settings.force:
                return skipped(target, line.reason)
        if not _is_taken(target.output):
            return None
        known = self._manifest is not None and self._manifest.owns(target.key, target.output)
        if not known and provenance_of(target.output) is None:
            reason = "the output exists and is not ours; --overwrite replaces it"
            return PhotoResult("failed", target.source, target.output, reason)
        if self._was_edited(target):
            return skipped(target, EDITED)
        return None

    def _was_edited(self, target: Target) -> bool:
        """Whether somebody worked on a result: a caption, a retouched spot. It is not ours alone.

        What can no longer be read, such as half a file, is nobody's work and made again. And what
        says that it was made in another way than the manifest tells is a result of ours that the
        manifest has lost, by a kill or because it was brought back from a copy.
        """
        if self._manifest is None or self._anew:
            return False
        if not self._manifest.finds_changed(target.key, target.output):
            return False
        if not is_whole(target.output, self.settings.max_pixels):
            return False
        provenance = provenance_of(target.output)
        return provenance is None or self._manifest.tells_of(target.key, provenance)


def _each_once(works: list[Work]) -> Iterator[Work]:
    """Hand out works and forget them, so that finished ones take no memory."""
    works.reverse()
    while works:
        yield works.pop()


def _is_taken(path: Path) -> bool:
    """Whether something has this name, a broken link included."""
    return path.exists() if is_remote(path) else os.path.lexists(path)


def _again(model: str) -> str:
    """The weights' name so that it means the same in another folder."""
    return os.path.abspath(model) if os.path.exists(model) else model


def colorize_files(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: Settings | None = None,
    *,
    report: Report = lambda _text: None,
) -> Run:
    """Colour files and folders.

        run = colorize_files(["scans/"], "colored/")
        for result in run:
            print(result.status, result.source)
        print(run.summary)

    Args:
        inputs: Files, folders and patterns.
        out: A folder; or a file, for one input file.
        settings: How.
        report: Receives lines for people: downloads, memory that ran out.

    Returns:
        The run; nothing is read, loaded or written before it is iterated.

    Raises:
        UsageError: An input does not exist, two would write one output, or an output is an input.
        OutputError: OUT cannot be what it would have to be.
    """
    settings = settings or Settings()
    plan = make_plan(
        inputs, out, format=settings.format, shard=settings.shard, variants=settings.variants
    )
    return Run(plan, settings, report)
