"""How fast is this machine: decoding and encoding alone, the network alone, and `colorize`.

The three go over the same photographs with the same threads, so that what `colorize` costs beyond
its parts can be seen, and which part a faster device, number format or disk would help.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.checkpoints import ColorModel
from recolor_cli.colorize.colorizer import Colorizer, Prepared
from recolor_cli.colorize.files import Run
from recolor_cli.colorize.network import Answer
from recolor_cli.colorize.plan import make_plan
from recolor_cli.colorize.settings import Settings
from recolor_cli.devices import cores, one_thread
from recolor_cli.errors import PhotoError
from recolor_cli.images.photo import Frame
from recolor_cli.images.read import read_photo
from recolor_cli.images.write import encode_photo

FORMATS = ("jpg", "tiff", "png")  # tiff and png with 16 bits
GRAIN = 0.02  # standard deviation of film grain, of full scale: scans are never smooth
MOTIFS = 4  # different photographs; more are copies of them
SECONDS_EACH = 8.0  # of each measurement, if nobody says how many photographs
MOST_PHOTOS = 64

Report = Callable[[str], None]


@dataclass(frozen=True)
class Timing:
    """One way over the photographs.

    Attributes:
        name: "codec", "network" or "colorize".
        photos: How many.
        megapixels: Of all together.
        seconds: Wall clock.
        cpu_seconds: Of all threads.
    """

    name: str
    photos: int
    megapixels: float
    seconds: float
    cpu_seconds: float

    def to_json(self) -> dict[str, object]:
        """The figures and their quotients, for `--json`."""
        return {
            "name": self.name,
            "photos": self.photos,
            "seconds": round(self.seconds, 4),
            "photos_per_second": round(self.photos / self.seconds, 4),
            "megapixels_per_second": round(self.megapixels / self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 4),
            "cores_busy": round(self.cpu_seconds / self.seconds, 3),
        }


@dataclass(frozen=True)
class Benchmark:
    """What was measured.

    Attributes:
        machine: Device and number format, for people.
        merged_by: What merges colour and luminance, for people.
        workers: Threads that decode and encode.
        painters: Threads that run the network.
        start_seconds: Loading the weights.
        start_bytes: Memory of the process with the weights loaded, before the first photograph;
            None where the system does not tell.
        peak_bytes: The most that it had while `colorize` ran; None as before.
        timings: Codec, network and colorize.
    """

    machine: str
    merged_by: str
    workers: int
    painters: int
    start_seconds: float
    start_bytes: int | None
    peak_bytes: int | None
    timings: tuple[Timing, ...]

    @property
    def ratio(self) -> float:
        """Time of `colorize` over that of codec and network one after the other."""
        codec, network, whole = (timing.seconds / timing.photos for timing in self.timings)
        return whole / (codec + network)


def run_benchmark(
    settings: Settings,
    *,
    megapixels: float = 12.0,
    format: str = "jpg",
    photos: int | None = None,
    report: Report = lambda _text: None,
) -> Benchmark:
    """Measure in a folder of its own, which is gone afterwards.

    Args:
        settings: As for `colorize_files`.
        megapixels: Of each photograph.
        format: One of `FORMATS`.
        photos: How many; None takes as many as fill about `SECONDS_EACH`.
        report: Receives lines for people.

    Raises:
        PhotoError: A photograph of the benchmark failed; the text says why.
        WeightsError: As `Colorizer`.
    """
    with tempfile.TemporaryDirectory(prefix="recolor-benchmark-") as name:
        folder = Path(name)
        begun = time.perf_counter()
        colorizer = Colorizer.from_settings(settings, report)
        start = time.perf_counter() - begun
        workers = settings.workers or cores()
        painters = colorizer.painters(workers)
        motifs = make_photographs(folder / "motifs", MOTIFS, megapixels, format)
        start_bytes = memory_now()
        answer_for(colorizer, motifs[0])  # warms up: tables, caches, kernels
        begun = time.perf_counter()
        answer_for(colorizer, motifs[0])
        each = (time.perf_counter() - begun) / workers
        if photos is None:
            photos = min(max(round(SECONDS_EACH / each), 2 * workers, MOTIFS), MOST_PHOTOS)
        report(f"{photos} photographs of {megapixels:g} megapixels, {format}")
        paths = copies(motifs, folder / "photos", photos)

        def timed(name: str, way: Callable[[], object]) -> Timing:
            report(f"measuring: {name}")
            return time_of(name, way, photos, megapixels)

        # This one first: what the others hold in memory would be in its peak.
        run = _Loaded([folder / "photos"], folder / "colored", settings, colorizer)
        whole = timed("colorize", run.finish)
        peak_bytes = peak_memory()
        answered = [answer_for(colorizer, path) for path in motifs]
        seen, colored = [one for one, _ in answered], [one for _, one in answered]
        parts = (
            timed("codec", lambda: codec(paths, colored, workers, settings)),
            timed("network", lambda: network(colorizer, seen, photos, painters)),
        )
        machine, merged_by = str(colorizer.machine), colorizer.merged_by
    memory = (start_bytes, peak_bytes)
    return Benchmark(machine, merged_by, workers, painters, start, *memory, (*parts, whole))


class _Loaded(Run):
    """A run with weights that are in memory already."""

    def __init__(
        self, inputs: Sequence[Path], out: Path, settings: Settings, colorizer: Colorizer
    ) -> None:
        super().__init__(make_plan(inputs, out), settings, lambda _text: None)
        self._given = colorizer

    def _load(self) -> ColorModel:
        self.colorizer = self._given
        return self._given.model

    def finish(self) -> None:
        """Colour everything, or say what failed."""
        for result in self:
            if result.status != "done":
                raise PhotoError(f"{result.source.name} {result.status}: {result.reason}")


# Photographs


def make_photographs(folder: Path, count: int, megapixels: float, format: str) -> list[Path]:
    """Draw grey photographs, shapes with soft and hard edges under grain, 4:3; return paths."""
    folder.mkdir(parents=True)
    paths = []
    for number in range(count):
        random = np.random.default_rng(number)
        coarse = random.random((9, 12), np.float32)
        drawn = np.asarray(cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC))
        for _ in range(40):
            center = tuple(int(value) for value in random.integers(0, (640, 480)))
            radius = int(random.integers(8, 90))
            cv2.circle(drawn, center, radius, float(random.random()), -1, cv2.LINE_AA)
        path = folder / f"{number:04}.{format}"
        write_scan(path, np.asarray(drawn, np.float32), megapixels, random)
        paths.append(path)
    return paths


def write_scan(
    path: Path, picture: NDArray[np.float32], megapixels: float, random: np.random.Generator
) -> None:
    """Enlarge a grey picture (h, w), 0..1, lay grain over it and write it as scanners do."""
    scale = (megapixels * 1e6 / picture.size) ** 0.5
    size = tuple(max(1, round(side * scale)) for side in reversed(picture.shape))
    scan = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.float32)
    scan += random.standard_normal(scan.shape, np.float32) * np.float32(GRAIN)
    np.clip(scan, 0, 1, out=scan)
    if path.suffix == ".jpg":
        cv2.imwrite(str(path), (scan * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 92])
    else:
        cv2.imwrite(str(path), (scan * 65535).astype(np.uint16))


def copies(motifs: Sequence[Path], folder: Path, count: int) -> list[Path]:
    """As many files as wanted, each a copy of one of the motifs."""
    folder.mkdir()
    paths = []
    for number in range(count):
        motif = motifs[number % len(motifs)]
        paths.append(Path(shutil.copy(motif, folder / f"{number:05}{motif.suffix}")))
    return paths


# The three ways


def answer_for(colorizer: Colorizer, path: Path) -> tuple[Prepared, NDArray[Any]]:
    """What the network sees of a photograph, and the coloured picture (H, W, 3)."""
    prepared = colorizer.prepare(read_photo(path))
    answers = colorizer.paint([seen for seen in prepared.luminances if seen is not None])
    good = [answer for answer in answers if isinstance(answer, Answer)]
    if not good:
        raise PhotoError(str(answers[0]) if answers else "the photograph has colour already")
    (frame,) = colorizer.finish(prepared, good)
    pixels = frame.pixels
    return replace(prepared, photo=replace(prepared.photo, frames=())), pixels


def codec(
    paths: Sequence[Path], colored: Sequence[NDArray[Any]], workers: int, settings: Settings
) -> None:
    """Decode every photograph, and encode and write a coloured one: what no program can save.

    Args:
        paths: Photographs; number i looks like `colored[i % len(colored)]`.
        colored: Pictures (H, W, 3) as `colorize` makes them: grey ones would be cheaper to encode.
        workers: Threads.
        settings: For the output's format and quality.
    """
    out = paths[0].parent.with_name("copied")
    out.mkdir(exist_ok=True)

    def copy(number: int) -> None:
        photo = read_photo(paths[number])
        frame = Frame(colored[number % len(colored)])
        data = encode_photo(photo, [frame], format=settings.format, quality=settings.quality)
        (out / paths[number].name).write_bytes(data)

    with _opencv_on_one_thread(), ThreadPoolExecutor(workers) as pool:
        list(pool.map(copy, range(len(paths))))


def network(colorizer: Colorizer, seen: Sequence[Prepared], photos: int, painters: int) -> None:
    """Answer for so many photographs that are already small."""
    maps = [one for prepared in seen for one in prepared.luminances if one is not None]
    size = colorizer.batch_size
    groups = [
        [maps[number % len(maps)] for number in range(start, min(start + size, photos))]
        for start in range(0, photos, size)
    ]
    with one_thread(), ThreadPoolExecutor(painters) as pool:
        list(pool.map(colorizer.paint, groups))


@contextmanager
def _opencv_on_one_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # as in the program: the workers are the threads
    try:
        yield
    finally:
        cv2.setNumThreads(before)


# Figures


def time_of(name: str, way: Callable[[], object], photos: int, megapixels: float) -> Timing:
    """Go one way over so many photographs of so many megapixels."""
    used, begun = time.process_time(), time.perf_counter()
    way()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    return Timing(name, photos, photos * megapixels, seconds, cpu)


def peak_memory() -> int | None:
    """The most memory, in bytes, that this process ever had; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_now() -> int | None:
    """The memory, in bytes, that this process has; None where the system does not tell so."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
