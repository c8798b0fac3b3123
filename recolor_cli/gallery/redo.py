"""Redo: what a person marked in a review is kept, or made again with the settings chosen.

A photograph is made again as it was made before, except for what the command line says, except for
what its mark says. That holds for hints as well: those of the mark, else those of the command line,
else those that were used before, read again where they lie in a file. What is marked keep, and what
was made again, then stays as it is in later runs with other settings; the manifest notes that.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from recolor_cli.color.hints import Hint
from recolor_cli.colorize.colorizer import Colorizer
from recolor_cli.colorize.files import Run
from recolor_cli.colorize.hint_entries import parse_hints
from recolor_cli.colorize.hints import NONE
from recolor_cli.colorize.lock import FolderLock
from recolor_cli.colorize.manifest import Line, Manifest, hash_file
from recolor_cli.colorize.network import Report
from recolor_cli.colorize.orders import REVIEW
from recolor_cli.colorize.plan import Plan, Target, check_writable
from recolor_cli.colorize.results import PhotoResult, Summary
from recolor_cli.colorize.settings import Settings
from recolor_cli.colorize.stages import DONE_BEFORE
from recolor_cli.errors import UsageError
from recolor_cli.gallery.review import Mark, Review
from recolor_cli.images.find import SUFFIXES

TYPED = (
    "model", "input_size", "saturation", "warmth", "temperature", "precision", "quality", "hints"
)  # fmt: skip
RECORDED = (*(name for name in TYPED if name != "hints"), "format", "seed")
CHANGED = "has changed since the review; look at it again"
KEPT = "kept, as marked"
UNCHANGED = "made like this already; type other settings, such as --saturation 0.8"


class Redo:
    """A review's way through `colorize`: iterate over it, then look at `summary`, like a `Run`.

    Args:
        review: The marks.
        out: The folder of results; None is where it was when it was looked at.
        settings: Of the command line.
        typed: Names of those settings that were typed, and so win over how a photograph was made.
        report: Receives lines for people.

    Attributes:
        out: The folder of results.
        runs: One for each set of settings.
        summary: Grows with each result.

    Raises:
        UsageError: A mark is for a photograph that is not among the results.
    """

    def __init__(
        self,
        review: Review,
        out: Path | None,
        settings: Settings,
        typed: Sequence[str] = (),
        report: Report = lambda _text: None,
    ) -> None:
        self.out = out or review.out
        if not self.out.is_dir():
            raise UsageError(f"no such folder: {str(self.out)!r}; name where it is now with -o")
        manifest = Manifest(self.out)
        for mark in review.marks:
            if manifest.get(mark.key) is None:
                raise UsageError(
                    f"{str(self.out)!r} has no result {mark.key!r}; name the folder that the "
                    "review is about with -o"
                )
        self._keep = [mark for mark in review.marks if mark.keep]
        self._edited = [
            mark for mark in review.marks if not mark.keep and self._was_edited(mark, manifest)
        ]
        again = [mark for mark in review.marks if not mark.keep and mark not in self._edited]
        chosen = {name: getattr(settings, name) for name in typed}
        groups: dict[Settings, list[Target]] = {}
        for mark in again:
            line = manifest.get(mark.key)
            assert line is not None
            values = {**_recorded(manifest, line), **chosen, **mark.settings}
            wanted = replace(settings, **values, force=True, shard=(1, 1))
            target = _target(self.out, mark.key, manifest, line)
            if mark.hints is not None:
                target = replace(target, hints=mark.hints)
            elif "hints" not in chosen:
                asked, hints = _hints_before(line)
                wanted, target = replace(wanted, hints=asked), replace(target, hints=hints)
            groups.setdefault(wanted, []).append(target)
        self.runs = [
            Run(Plan(targets, self.out), wanted, report, anew=True)
            for wanted, targets in groups.items()
        ]
        self.summary = Summary(len(review.marks))
        self.settings = settings
        self._now: Run | None = None
        self._results: Generator[PhotoResult, None, None] | None = None
        self._ready: list[str] = []  # keys of the part that is under way
        self._careful = self._interrupted = False

    @property
    def colorizer(self) -> Colorizer | None:
        """Of the part that is under way."""
        return self._now.colorizer if self._now else None

    @property
    def workers(self) -> int:
        """Threads of the part that is under way."""
        return self._now.workers if self._now else 0

    def __iter__(self) -> Iterator[PhotoResult]:
        """Do what was marked; a result for every mark.

        Raises:
            OutputError: Nothing more can be written; what is done is done.
            WeightsError: The weights are missing, or are not what they should be.
            KeyboardInterrupt: `interrupt` was called.
        """
        check_writable(self.out)
        kept = [*self._keep_marked(), *self._refused()]
        for result in kept:
            self._careful = True
            yield self._count(result)
            self._careful = False
            if self._interrupted:
                raise KeyboardInterrupt
        for run in self.runs:
            self._now = run
            self._ready = []
            self._results = iter(run)
            for result in self._results:
                yield self._count(_told(result))
            self._keep_ready()

    def interrupt(self) -> bool:
        """End early, but never between counting a result and handing it out: `Run.interrupt`."""
        if not self._careful:
            return self._now is not None and self._now.interrupt()
        self._interrupted = True
        return True

    def stop(self) -> list[PhotoResult]:
        """End early, as `Run.stop` does."""
        self.summary.interrupted = True
        late = self._now.stop() if self._now else []
        results = [self._count(result) for result in late]
        if self._results is not None:
            self._results.close()  # it lets go of the folder
        self._keep_ready()
        return results

    def preview(self) -> Iterator[PhotoResult]:
        """Say what would happen; nothing is written."""
        manifest = Manifest(self.out)
        for mark in self._keep:
            yield self._count(self._kept(mark, manifest.get(mark.key)))
        for result in self._refused():
            yield self._count(result)
        for run in self.runs:
            for result in run.preview():
                yield self._count(_told(result))

    def _count(self, result: PhotoResult) -> PhotoResult:
        self.summary.add(result)
        self.summary.seconds += result.seconds
        if result.output is not None and result.status in ("done", "skipped"):
            self._ready.append(result.output.relative_to(self.out).as_posix())
        return result

    def _keep_ready(self) -> None:
        """What was made again stays, and what was so already."""
        self._note_kept(self._ready)
        self._ready = []

    def _was_edited(self, mark: Mark, manifest: Manifest) -> bool:
        """Whether somebody worked on a result after it was looked at."""
        output = self.out / mark.key
        if not output.is_file() or not manifest.finds_changed(mark.key, output):
            return False
        return hash_file(output) != mark.sha256

    def _refused(self) -> list[PhotoResult]:
        manifest = Manifest(self.out)
        results = []
        for mark in self._edited:
            line = manifest.get(mark.key)
            assert line is not None
            results.append(PhotoResult("failed", Path(line.source), self.out / mark.key, CHANGED))
        return results

    def _keep_marked(self) -> Iterator[PhotoResult]:
        manifest = Manifest(self.out)
        results = [(mark, self._kept(mark, manifest.get(mark.key))) for mark in self._keep]
        sound = [mark.key for mark, result in results if result.reason == KEPT]
        self._note_kept(sound)
        yield from (result for _, result in results)

    def _kept(self, mark: Mark, line: Line | None) -> PhotoResult:
        assert line is not None
        output = self.out / mark.key
        if not output.is_file():
            reason = "marked keep, but there is no coloured photograph; mark it redo"
            return PhotoResult("failed", Path(line.source), output, reason)
        known = line.output if line.output and line.output.looks_like(output) else None
        if (known.sha256 if known else hash_file(output)) != mark.sha256:
            return PhotoResult("failed", Path(line.source), output, CHANGED)
        return PhotoResult("skipped", Path(line.source), output, KEPT)

    def _note_kept(self, keys: Sequence[str]) -> None:
        """Write into the manifest what was chosen, while nobody else writes to the folder."""
        if not keys:
            return
        manifest = Manifest(self.out)
        lock = FolderLock(manifest.folder, (1, 1))
        try:
            manifest.open()
            for key in keys:
                line = manifest.get(key)
                if line is not None and not line.kept:
                    manifest.keep(key)
        finally:
            manifest.close()
            lock.close()


def _told(result: PhotoResult) -> PhotoResult:
    """Who marks redo expects a change, so it is said why there is none."""
    return replace(result, reason=UNCHANGED) if result.reason == DONE_BEFORE else result


def _recorded(manifest: Manifest, line: Line) -> Mapping[str, Any]:
    """The settings with which a photograph was made, as they were asked for."""
    run = manifest.runs.get(line.settings, {})
    return {name: run[name] for name in RECORDED if name in run}


def _hints_before(line: Line) -> tuple[str | None, tuple[Hint, ...] | None]:
    """What --hints was for a photograph, and hints that are to be found nowhere but here."""
    asked = str(line.facts.get("hints_from") or "")
    if not asked:
        return None, None
    if asked == NONE or (asked != REVIEW and Path(asked).exists()):
        return asked, None
    where = f"the manifest's line on {line.source!r}"
    return None, tuple(parse_hints(line.facts.get("hints", []), where, {}))


def _target(out: Path, key: str, manifest: Manifest, line: Line) -> Target:
    format = SUFFIXES.get(PurePosixPath(key).suffix.lower())
    variant = manifest.runs.get(line.settings, {}).get("variant", 0)
    return Target(Path(line.source), out / key, key, format, variant)
