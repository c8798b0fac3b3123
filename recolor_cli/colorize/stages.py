"""The three stages of `colorize`, for one photograph each; what fails, fails alone."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from recolor_cli.color.hints import Hint
from recolor_cli.colorize.colorizer import Colorizer, Prepared
from recolor_cli.colorize.hint_entries import to_entries
from recolor_cli.colorize.manifest import FACTS, Event, Line, Stamp, hash_file
from recolor_cli.colorize.network import Answer
from recolor_cli.colorize.orders import Order
from recolor_cli.colorize.pipeline import Pipeline
from recolor_cli.colorize.plan import Target
from recolor_cli.colorize.results import PhotoResult
from recolor_cli.colorize.room import Room
from recolor_cli.colorize.settings import Settings
from recolor_cli.colorize.variants import Draw, draw_of
from recolor_cli.errors import OutputError, PhotoError
from recolor_cli.images import tiff
from recolor_cli.images.atomic import write_atomic
from recolor_cli.images.ifd import Piece
from recolor_cli.images.photo import Provenance
from recolor_cli.images.read import read_bytes, read_photo, read_provenance
from recolor_cli.images.remote import absolute, as_path, is_remote
from recolor_cli.images.write import encode_parts

# With these the next photograph would fail as well.
FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}
DONE_BEFORE = "done before"
KEPT = "kept in a review; --overwrite makes it again"
EDITED = "changed after it was made, so it stays as it is; --overwrite makes it again"
ALONE = sys.maxsize
BYTES_PER_WORKER = 128 << 20  # pictures under way: decoded, coloured and encoded


@dataclass(eq=False)
class Work:
    """One photograph under way.

    Attributes:
        target: Input and output.
        order: What is asked for it beyond the run's settings.
        fresh: There was no output when the run began, so that what is there now is none either.
        result: Once it is known, the rest is skipped.
        data: The file, from when it is measured to when it is decoded.
        stamp: The input's size, time and hash.
        prepared: Its pixels and what the network sees; dropped as soon as possible.
        answers: The network's, one for each frame that is coloured.
        seconds: Spent in stages.
        hints: What is known about it, with places as fractions.
    """

    target: Target
    order: Order
    fresh: bool = False
    result: PhotoResult | None = None
    data: bytes = b""
    stamp: Stamp | None = None
    prepared: Prepared | None = None
    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    hints: tuple[Hint, ...] = ()


class Ledger(Protocol):
    """What the stages need of a manifest."""

    def get(self, key: str) -> Line | None:
        """See `Manifest.get`."""

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
        """See `Manifest.append`."""


class Stages:
    """decode, paint and encode, as `Pipeline` wants them.

    Args:
        colorizer: Loaded.
        settings: Of the run.
        manifest: Open for appending; None if OUT is one file.
    """

    def __init__(self, colorizer: Colorizer, settings: Settings, manifest: Ledger | None) -> None:
        self._colorizer, self._settings = colorizer, settings
        self._manifest = manifest
        self._room = Room()

    def pipeline(self, works: Iterable[Work], workers: int) -> Pipeline[Work]:
        """Lay the stages one behind the other; `workers` threads decode and encode."""
        return Pipeline(
            works,
            decode=self.decode,
            paint=self.paint,
            encode=self.encode,
            cost=cost,
            is_finished=lambda work: work.result is not None,
            workers=workers,
            group=self._colorizer.batch_size,
            budget=BYTES_PER_WORKER * (workers + 1),
            painters=self._colorizer.painters(workers),
        )

    def decode(self, work: Work) -> None:
        """Read a photograph, unless it turns out that nothing has changed."""
        with _Attempt(work, self):
            target, settings = work.target, self._settings
            data, work.data = work.data or _read(work), b""
            assert work.stamp is not None
            known = not (settings.overwrite or work.fresh)
            if known and self._is_there_already(work, work.stamp.sha256):
                line = self._manifest.get(target.key) if self._manifest else None
                same = line is None or line.settings == work.order.digest
                work.result = skipped(target, DONE_BEFORE if same else KEPT)
                return
            self._refuse_another_input(work)
            photo = read_photo(data, max_pixels=settings.max_pixels)
            work.prepared = self._colorizer.prepare(
                photo, force=settings.force, hints=work.order.hints, draw=self._draw(work)
            )
            work.hints = work.prepared.hints
            if work.prepared.has_color:
                reason = "has colour already; --force recolours it"
                self._log("skipped", work, reason=reason)
                work.result = replace(skipped(target, reason), size=photo.size)

    def paint(self, works: Sequence[Work]) -> None:
        """Run the network for several photographs."""
        begun = time.perf_counter()
        maps = [
            (work, luminance, work.prepared.seed)
            for work in works
            if work.prepared is not None
            for luminance in work.prepared.luminances
            if luminance is not None
        ]
        answers = self._colorizer.paint(
            [luminance for _, luminance, _ in maps], [seed for _, _, seed in maps]
        )
        for (work, _, _), answer in zip(maps, answers, strict=True):
            if isinstance(answer, Answer):
                work.answers.append(answer)
            elif work.result is None:
                self.fail(work, str(answer))
        for work in works:
            work.seconds += (time.perf_counter() - begun) / len(works)

    def encode(self, work: Work) -> None:
        """Bring the colours onto the photograph and write it."""
        begun = time.perf_counter()
        with _Attempt(work, self):
            assert work.prepared is not None
            target, photo = work.target, work.prepared.photo
            assert work.stamp is not None
            size, notes = photo.size, [*photo.warnings, *notes_of(work.answers)]
            if target.format is not None and target.format != photo.format:
                notes.append(f"the input is {photo.format}; written as {target.format}")
            name = target.format or photo.format
            frames = self._colorizer.finish(
                work.prepared, work.answers, self._room, blue_first=name != "tiff"
            )
            # The grey pixels go: of a very large photograph they are a quarter of all there is.
            photo, work.prepared = replace(photo, frames=frames), None
            pieces = encode_parts(
                photo,
                format=target.format or "keep",
                quality=self._settings.quality,
                provenance=self._colorizer.provenance(
                    work.stamp.sha256,
                    self._settings.quality,
                    min(answer.input_px for answer in work.answers),
                    work.order.more,
                ),
                warnings=notes,
                spend=True,
            )
            written = _stamp_of_pieces(pieces)
            # Said before the file has its name: killed in between, the next run still knows it.
            self._log("writing", work, output=written)
            write_atomic(target.output, pieces)
            work.result = PhotoResult(
                "done",
                target.source,
                target.output,
                size=size,
                confidence=mean_confidence(work.answers),
                notes=tuple(notes),
                seconds=work.seconds + time.perf_counter() - begun,
            )
            self._log("done", work, output=_stamp_of_file(target.output, written.sha256))
        work.prepared, work.answers = None, []  # results may wait for a slow reader; these need not

    def fail(self, work: Work, reason: str, trace: str = "") -> None:
        """Give up on one photograph."""
        target = work.target
        work.result = PhotoResult("failed", target.source, target.output, reason, traceback=trace)
        work.prepared, work.answers = None, []
        self._log("failed", work, reason=reason)

    def _is_there_already(self, work: Work, source_sha256: str) -> bool:
        """Whether the output is what this run would make, though times or the manifest are new."""
        target = work.target
        line = self._manifest.get(target.key) if self._manifest else None
        if line is not None and line.output is not None and line.output.matches(target.output):
            if not line.is_current(work.order.digest):
                return False
            if line.input is None or line.input.sha256 != source_sha256:
                return False
        else:  # the manifest was lost, or lines of it: the output tells where it comes from
            wanted = self._colorizer.provenance(
                source_sha256,
                self._settings.quality,
                self._draw(work).input_size,
                work.order.more,
            )
            if provenance_of(target.output) != wanted:
                return False
            if not is_whole(target.output, self._settings.max_pixels):
                return False
        sha256 = hash_file(target.output)
        made_with = line.settings if line is not None and line.kept else work.order.digest
        self._log("done", work, output=_stamp_of_file(target.output, sha256), settings=made_with)
        return True

    def _draw(self, work: Work) -> Draw:
        colorizer, order = self._colorizer, work.order
        return draw_of(colorizer.model, colorizer.input_size, order.variant, order.seed)

    def _refuse_another_input(self, work: Work) -> None:
        """Keep a second folder with the same names from replacing the first one's results."""
        line = self._manifest.get(work.target.key) if self._manifest else None
        if line is None or not line.ours or self._settings.overwrite:
            return
        other, own = as_path(line.source), absolute(work.target.source)
        if other == own or _is_one(other, own):
            return
        assert work.stamp is not None
        moved = line.input is not None and line.input.sha256 == work.stamp.sha256
        # That the other one is not there says nothing, unless its folder is: its disk may be away.
        gone = other.parent.exists() and not other.exists()
        if not moved and not gone:
            raise PhotoError(
                f"the output belongs to {line.source!r}; choose another -o, or --overwrite"
            )

    def _log(
        self,
        event: Event,
        work: Work,
        *,
        output: Stamp | None = None,
        reason: str = "",
        settings: str | None = None,
    ) -> None:
        if self._manifest is None:
            return
        more: dict[str, object] = {}
        if work.result is not None and work.result.status == "done":
            line = work.result.to_json()
            more = {name: line[name] for name in FACTS}
        if work.hints:
            more["hints"] = to_entries(work.hints)
        if work.order.hints_from:
            more["hints_from"] = work.order.hints_from
        self._manifest.append(
            event,
            work.target.key,
            settings=settings or work.order.digest,
            source=work.target.source,
            input=work.stamp,
            output=output,
            reason=reason,
            more=more,
        )


class _Attempt:
    """Turns what goes wrong with one photograph into its result; the rest of the folder goes on.

    Only a disk on which nothing more can be written ends the run.
    """

    def __init__(self, work: Work, stages: Stages) -> None:
        self._work, self._stages = work, stages
        self._begun = time.perf_counter()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        work = self._work
        work.seconds += time.perf_counter() - self._begun
        foreseen = isinstance(error, Exception) and not is_fatal(error)
        if isinstance(error, Exception) and foreseen:
            self._stages.fail(work, *_reason(error))
        if work.result is not None:
            work.result = replace(work.result, seconds=work.seconds)
        return foreseen


def is_fatal(error: BaseException) -> bool:
    """Whether nothing more can be written after this."""
    cause = error.__cause__
    return isinstance(error, OutputError) and isinstance(cause, OSError) and cause.errno in FATAL


def mean_confidence(answers: Sequence[Answer]) -> float | None:
    """The mean over a photograph's frames; None if the network does not tell."""
    values = [answer.confidence for answer in answers if answer.confidence is not None]
    return sum(values) / len(values) if values else None


def notes_of(answers: Sequence[Answer]) -> tuple[str, ...]:
    """What had to be given up for a photograph, each thing once."""
    return tuple(dict.fromkeys(note for answer in answers for note in answer.notes))


def skipped(target: Target, reason: str) -> PhotoResult:
    """A result for a photograph with which nothing is done."""
    return PhotoResult("skipped", target.source, target.output, reason)


def _reason(error: Exception) -> tuple[str, str]:
    """One line for people, and the traceback if nobody foresaw this."""
    if isinstance(error, PhotoError | OutputError):
        return str(error), ""
    if isinstance(error, MemoryError):
        return "not enough memory for this photograph; close other programs", ""
    if isinstance(error, OSError):
        return f"cannot be read: {(error.strerror or str(error)).lower()}", ""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unforeseen {text}; please report this", "".join(traceback.format_exception(error))


def provenance_of(path: Path) -> Provenance | None:
    """What recolor wrote into an output; None if there is none, or it is not one of ours."""
    if not path.is_file():
        return None
    try:
        return read_provenance(path)
    except PhotoError:
        return None


def is_whole(path: Path, max_pixels: int) -> bool:
    """Whether all of a result can be read."""
    try:
        read_photo(read_bytes(path), max_pixels=max_pixels)
    except (PhotoError, OSError):
        return False
    return True


def cost(work: Work) -> int:
    """Read a file; bytes that its photograph will hold while it is under way.

    That is the file, its pixels, their colours if they need room of their own, and the result.
    Only the header is looked at; where it cannot be, the stage that decodes says why.
    """
    try:
        work.data = _read(work)
    except (PhotoError, OSError, MemoryError):
        return 0
    try:
        with Image.open(io.BytesIO(work.data)) as image:
            pixels = image.width * image.height * getattr(image, "n_frames", 1)
            gray = image.mode in ("1", "L", "LA", "I;16", "I;16B")
            tags = getattr(image, "tag_v2", {})  # the mode of a TIFF of three channels says 8 bits
            deep = image.mode.startswith("I;16") or 16 in tags.get(tiff.BITS, ())
    except Image.DecompressionBombError:  # larger than Pillow likes; --max-pixels has the say
        return ALONE
    except Exception:  # whatever a damaged header makes Pillow do, it is told while decoding
        return 4 * len(work.data)
    if image.format == "PNG":
        deep = work.data[24] == 16
    channels = 4 if gray else 3
    return pixels * channels * (2 if deep else 1) + 2 * len(work.data)


def _is_one(path: Path, other: Path) -> bool:
    """Whether a photograph has two names, as two spellings of one where a disk takes both."""
    if is_remote(path) or is_remote(other):
        return False
    with contextlib.suppress(OSError):
        return os.path.samefile(path, other)
    return False


def _read(work: Work) -> bytes:
    path = work.target.source
    data = read_bytes(path)
    work.stamp = Stamp(len(data), path.stat().st_mtime_ns, hashlib.sha256(data).hexdigest())
    return data


def _stamp_of_pieces(pieces: Sequence[Piece]) -> Stamp:
    """What a file will be, before it has a time."""
    sha256 = hashlib.sha256()
    for piece in pieces:
        sha256.update(piece)
    return Stamp(sum(map(len, pieces)), 0, sha256.hexdigest())


def _stamp_of_file(path: Path, sha256: str) -> Stamp:
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns, sha256)
