"""`recolor benchmark`: how fast this machine colours photographs, and what holds it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recolor_cli.cli.console import Console
from recolor_cli.cli.options import (
    BatchSizeOpt,
    DeviceOpt,
    InputSizeOpt,
    JsonOpt,
    ModelOpt,
    OfflineOpt,
    PrecisionOpt,
    QuietOpt,
    WorkersOpt,
)
from recolor_cli.ranges import check_given

if TYPE_CHECKING:
    from recolor_cli.colorize.benchmark import Benchmark

SAMPLES = "The photographs"

EPILOG = "\n\n".join(
    (
        "[bold]Examples[/]",
        "recolor benchmark",
        "recolor benchmark --device cuda --precision fp16 --batch-size 16",
        "recolor benchmark --megapixels 50 --format tiff --json",
    )
)


def benchmark(
    model: ModelOpt = "default",
    megapixels: Annotated[
        float,
        typer.Option(metavar="N", help="Size of each photograph.", rich_help_panel=SAMPLES),
    ] = 12.0,
    format: Annotated[
        Literal["jpg", "tiff", "png"],
        typer.Option("--format", "-f", help="tiff and png have 16 bits.", rich_help_panel=SAMPLES),
    ] = "jpg",
    photos: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="How many; by default as many as take some seconds.",
            rich_help_panel=SAMPLES,
        ),
    ] = None,
    device: DeviceOpt = "auto",
    precision: PrecisionOpt = "auto",
    batch_size: BatchSizeOpt = None,
    workers: WorkersOpt = None,
    input_size: InputSizeOpt = None,
    offline: OfflineOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Measure how fast this machine colours photographs.

    Draws photographs in a temporary folder, and times decoding and encoding alone, the network
    alone, and both together as `recolor colorize` does it. Takes less than a minute.
    """
    from recolor_cli.colorize.settings import Settings

    check_given(megapixels=megapixels, photos=photos)
    settings = Settings(
        model=model,
        device=device,
        precision=precision,
        batch_size=batch_size,
        workers=workers,
        input_size=input_size,
        offline=offline,
    )
    from recolor_cli.colorize.benchmark import run_benchmark

    console = Console(json=json, quiet=quiet)
    measured = run_benchmark(
        settings, megapixels=megapixels, format=format, photos=photos, report=console.message
    )
    _tell(measured, console)


def _tell(measured: Benchmark, console: Console) -> None:
    for timing in measured.timings:
        console.record({"event": "timing", **timing.to_json()})
    ratio = round(measured.ratio, 3)
    console.record(
        {
            "event": "benchmark",
            "machine": measured.machine,
            "merge": measured.merged_by.removeprefix("merge: "),
            "workers": measured.workers,
            "painters": measured.painters,
            "start_seconds": round(measured.start_seconds, 3),
            "start_bytes": measured.start_bytes,
            "peak_bytes": measured.peak_bytes,
            "ratio": ratio,
        }
    )
    if console.json:
        return
    rows = []
    for timing in measured.timings:
        line = timing.to_json()
        rows.append(
            [
                timing.name,
                f"{timing.seconds:.2f}",
                f"{line['photos_per_second']:.2f}",
                f"{line['megapixels_per_second']:.1f}",
                f"{line['cores_busy']:.2f}",
            ]
        )
    heads = ("", "seconds", "photos/s", "megapixels/s", "cores busy")
    console.table(heads, rows)
    console.data(
        f"{measured.machine}; {measured.workers} threads for files, {measured.painters} for the "
        f"network; weights loaded in {measured.start_seconds:.1f} s"
    )
    console.data(measured.merged_by)
    console.data(f"colorize takes {ratio:.2f} times as long as codec and network together")
    if measured.start_bytes is not None and measured.peak_bytes is not None:
        beyond = measured.peak_bytes - measured.start_bytes
        console.data(
            f"peak memory {measured.peak_bytes / 1e6:.0f} MB, {beyond / 1e6:.0f} MB beyond the "
            "loaded program"
        )
