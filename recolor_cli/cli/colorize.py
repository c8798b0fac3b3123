"""`recolor colorize`: photographs in, coloured photographs out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from recolor_cli.cli.console import Console, printable
from recolor_cli.cli.few_arenas import use_few_arenas
from recolor_cli.cli.options import (
    MACHINE,
    OUTPUT,
    SETTINGS,
    BatchSizeOpt,
    DeviceOpt,
    DryRunOpt,
    InputSizeOpt,
    JsonOpt,
    ModelOpt,
    OfflineOpt,
    OverwriteOpt,
    PrecisionOpt,
    QuietOpt,
    VerboseOpt,
    WorkersOpt,
    typed,
)
from recolor_cli.cli.pipe import pipe
from recolor_cli.cli.quick_import import quick_import
from recolor_cli.errors import PhotoError, RecolorError, UsageError
from recolor_cli.interrupting import interrupting

if TYPE_CHECKING:
    from recolor_cli.colorize import PhotoResult, Run, Settings
    from recolor_cli.gallery.redo import Redo

Format = Literal["keep", "jpg", "png", "tiff", "webp"]

_TYPED = ("COMMANDLINE", "ENVIRONMENT")  # where an option came from, if not from its default
FEW = 10  # photographs; each is told

EPILOG = "\n\n".join(
    (
        "[bold]Examples[/]",
        "recolor colorize grandmother.jpg -o colored.jpg",
        "recolor colorize scans/ -o colored/    (the tree is kept; run again to go on)",
        "recolor colorize scans/ -o colored/ --dry-run",
        "recolor colorize 'scans/*.tif' -o out/ --format png --saturation 1.2",
        "recolor colorize scans/ -o colored/ --shard 1/4    (a quarter, on one of four machines)",
        "recolor colorize scans/ -o colored/ --cluster auto    (on all machines of a Ray cluster)",
        "recolor colorize coat.jpg -o out/ --variants 6    (six colourings to choose from)",
        "recolor colorize coat.jpg -o out/ --hints coat.json    (colours that you know)",
        "recolor colorize scans/ -o colored/ --gallery    (a page to look at and mark results)",
        "recolor colorize --redo ~/Downloads/review.json    (does what was marked)",
        "recolor colorize - -o - < gray.jpg > color.jpg",
        "[bold]Exit status[/]: 0 all done or skipped, 1 some failed, 2 wrong usage, 3 weights, "
        "4 output, 130 interrupted, 143 terminated",
    )
)


def colorize(
    ctx: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Photographs, folders, patterns, addresses such as s3://bucket/in; - is "
            "standard input.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "--output",
            "-o",
            metavar="PATH",
            help="A folder; a file for one photograph; an address such as s3://bucket/out; - is "
            "standard output.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    model: ModelOpt = "default",
    input_size: InputSizeOpt = None,
    saturation: Annotated[
        float,
        typer.Option(
            help="Factor on colourfulness; 1 is what the network says.", rich_help_panel=SETTINGS
        ),
    ] = 1.0,
    warmth: Annotated[
        float,
        typer.Option(
            metavar="-80..80",
            help="Make the light warmer, by so many mireds; below 0 cooler.",
            rich_help_panel=SETTINGS,
        ),
    ] = 0.0,
    temperature: Annotated[
        float | None,
        typer.Option(
            metavar="T",
            help="Low is vivid, 1 the plain mean; for networks that predict a distribution.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    hints: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|none",
            help="Colours that you know, as JSON, or a palette for many photographs; by default "
            "NAME.hints.json and palette.json beside them.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    variants: Annotated[
        int,
        typer.Option(
            metavar="2..23",
            help="Plausible colourings of each photograph, and a sheet of them side by side.",
            rich_help_panel=SETTINGS,
        ),
    ] = 0,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Other variants.", rich_help_panel=SETTINGS),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also recolour photographs that have colour already.",
            rich_help_panel=SETTINGS,
        ),
    ] = False,
    format: Annotated[
        Format,
        typer.Option(
            "--format", "-f", help="What is written; keep is the input's.", rich_help_panel=OUTPUT
        ),
    ] = "keep",
    quality: Annotated[
        int,
        typer.Option(metavar="1..100", help="Of JPEG and lossy WebP.", rich_help_panel=OUTPUT),
    ] = 95,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Also write grey and colour side by side: scan.compare.jpg beside scan.jpg.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    gallery: Annotated[
        bool,
        typer.Option(
            "--gallery",
            help="Also make OUT/gallery.html, to look at results and mark them.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    redo: Annotated[
        Path | None,
        typer.Option(
            metavar="REVIEW.JSON",
            help="Do what was marked on a gallery page; no INPUT, and no -o unless OUT moved.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: OverwriteOpt = False,
    dry_run: DryRunOpt = False,
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N",
            help="Of N equal parts do part I only, counted from 1.",
            rich_help_panel=MACHINE,
        ),
    ] = "1/1",
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="auto|local|HOST:PORT",
            help="Work on a Ray cluster: the one this machine is in, one started here, or another.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    cluster_workers: Annotated[
        int | None,
        typer.Option(
            "--cluster-workers",
            min=1,
            metavar="N",
            help="How many workers to ask the cluster for; by default as many as have room.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    device: DeviceOpt = "auto",
    precision: PrecisionOpt = "auto",
    batch_size: BatchSizeOpt = None,
    workers: WorkersOpt = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Refuse larger pictures before they are decoded; by default 500 million pixels.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    offline: OfflineOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
    verbose: VerboseOpt = False,
) -> None:
    """Give photographs colours.

    What is grey, or toned like sepia, is coloured; what has colour is skipped.
    Size, depth, detail and metadata stay; inputs are never changed.
    A second run does only what is missing or has changed.
    """
    from recolor_cli.colorize.settings import Settings
    from recolor_cli.images.read import MAX_PIXELS
    from recolor_cli.ranges import parse_shard

    console = Console(json=json, quiet=quiet, verbose=verbose)
    piped = "-" in (*(inputs or ()), str(out))
    # What a file or the environment says is for those runs that have a use for it.
    cluster = typed(ctx, cluster=cluster) if piped or redo is not None else cluster
    if redo is not None:
        format, shard = typed(ctx, format=format) or "keep", typed(ctx, shard=shard) or "1/1"
        variants = typed(ctx, variants=variants) or 0
    seed = seed if variants else typed(ctx, seed=seed)
    cluster_workers = cluster_workers if cluster else typed(ctx, cluster_workers=cluster_workers)
    settings = Settings(
        model=model,
        device=device,
        precision=precision,
        input_size=input_size,
        batch_size=batch_size,
        workers=workers,
        saturation=saturation,
        warmth=warmth,
        temperature=temperature,
        format=format,
        quality=quality,
        overwrite=overwrite,
        force=force,
        shard=parse_shard(shard),
        offline=offline,
        max_pixels=MAX_PIXELS if max_pixels is None else max_pixels,
        hints=hints,
        variants=_checked(variants, seed),
        seed=seed or 0,
        cluster=cluster,
        cluster_workers=cluster_workers,
    )
    if cluster is not None and (redo is not None or piped):
        raise UsageError("--cluster is for folders; leave it out with --redo and with -")
    if redo is not None:
        job = _redo(ctx, redo, inputs, None if out is None else Path(out), settings, console)
        page = job.out if gallery or (job.out / "gallery.html").exists() else None
        _do(job, console, dry_run=dry_run, compare=compare, page=page)
        return
    if not inputs:
        raise UsageError("no input; name photographs or folders, or --redo review.json")
    if out is None:
        raise UsageError("no output; name a folder with --out (-o)")
    if piped:
        if compare or gallery:
            raise UsageError("--compare and --gallery need files; leave out -")
        _refuse_addresses("standard input and output need", [*inputs, out])
        pipe(inputs, Path(out), settings, console, dry_run=dry_run)
        return
    from recolor_cli.colorize.plan import make_plan

    plan = make_plan(inputs, out, format=format, shard=settings.shard, variants=variants)
    if gallery or compare or variants:
        _refuse_addresses("--gallery, --compare and --variants need", [*inputs, out])
    if gallery and plan.folder is None:
        raise UsageError(f"--gallery shows a folder; {str(out)!r} is one file")
    if compare:
        from recolor_cli.gallery.side_by_side import check_comparisons

        check_comparisons(plan.targets)
    use_few_arenas()
    with quick_import():
        from recolor_cli.colorize.files import Run  # torch loads here, not for a wrong command line

    run = Run(plan, settings, console.message)
    page = plan.folder if gallery else None
    _do(run, console, dry_run=dry_run, compare=compare, page=page)


def _do(
    run: Run | Redo, console: Console, *, dry_run: bool, compare: bool, page: Path | None
) -> None:
    """Work or preview, and leave with the exit status."""
    if dry_run:
        _preview(run, console)
        raise typer.Exit(run.summary.exit_code)
    compared = _work(run, console, compare=compare, page=page)
    raise typer.Exit(run.summary.exit_code if compared else 1)


def _work(
    run: Run | Redo, console: Console, *, compare: bool = False, page: Path | None = None
) -> bool:
    """Colour and tell; whether all comparisons that were wanted are there."""
    compared = True
    try:
        with interrupting(run.interrupt), console.progress(run.summary.total) as progress:
            told = False
            for result in run:
                if run.colorizer is not None and not told:
                    painters = run.colorizer.painters(run.workers)
                    console.detail(
                        f"{run.colorizer.machine}, {run.workers} workers, "
                        f"{painters} for the network; {run.colorizer.merged_by}"
                    )
                    told = True
                _show(result, run, console)
                if compare:
                    compared &= _compare(result, console)
                progress.advance(str(result.source))
        if run.settings.variants:
            _write_sheets(cast("Run", run), console)  # a redo never has variants of its own
        if page is not None:
            from recolor_cli.cli.gallery import write_gallery

            write_gallery(page, console)
    except KeyboardInterrupt:
        for result in run.stop():
            _show(result, run, console)
        _conclude(run, console)
        raise
    except RecolorError as error:
        _conclude(run, console, str(error))
        raise
    _conclude(run, console)
    return compared


def _compare(result: PhotoResult, console: Console) -> bool:
    """Grey beside colour for one result; whether it is there, or there is nothing to compare."""
    if result.output is None or result.status == "failed" or not result.output.exists():
        return True
    from recolor_cli.gallery.side_by_side import write_comparison

    try:
        place = write_comparison(result.source, result.output)
    except PhotoError as error:
        console.warning(f"failed   comparison of {printable(result.output)}: {error}")
        return False
    if place is not None:
        console.record({"event": "comparison", "output": str(result.output), "file": str(place)})
        console.detail(f"compared {printable(place)}")
    return True


def _redo(
    ctx: typer.Context,
    path: Path,
    inputs: list[str] | None,
    out: Path | None,
    settings: Settings,
    console: Console,
) -> Redo:
    if inputs:
        raise UsageError("--redo takes its photographs from the review; leave out INPUT")
    if settings.format != "keep" or settings.shard != (1, 1) or settings.variants:
        raise UsageError("--redo keeps formats, parts and variants; leave such options out")
    from recolor_cli.gallery.review import read_review

    review = read_review(path)
    from recolor_cli.gallery.redo import TYPED, Redo

    sources = {name: ctx.get_parameter_source(name) for name in TYPED}
    given = [name for name in TYPED if getattr(sources[name], "name", "DEFAULT") in _TYPED]
    return Redo(review, out, settings, given, console.message)


def _checked(variants: int, seed: int | None) -> int:
    if variants in (0, 1) and seed is not None:
        raise UsageError("--seed is for variants; type --variants N as well, such as --variants 4")
    if variants == 1:
        raise UsageError("one variant is what there is without --variants; type 2 to 23")
    return variants


def _refuse_addresses(what: str, places: list[str]) -> None:
    from recolor_cli.images.remote import as_path, is_remote

    if any(is_remote(as_path(place)) for place in places):
        raise UsageError(f"{what} files of this machine; copy what lies at an address there first")


def _write_sheets(run: Run, console: Console) -> None:
    from recolor_cli.gallery.variants import write_variant_sheets

    for path in write_variant_sheets(run):
        console.message(f"sheet    {printable(path)}")


def _preview(run: Run | Redo, console: Console) -> None:
    for result in run.preview():
        console.record(result.to_json())
        if result.status == "planned":
            console.data(f"would colour  {_names(result)}")
        else:
            verb = "skip  " if result.status == "skipped" else "refuse"
            console.data(f"would {verb}  {printable(result.source)}: {result.reason}")
    console.record(run.summary.to_json())
    console.message(str(run.summary))


def _show(result: PhotoResult, run: Run | Redo, console: Console) -> None:
    console.record(result.to_json())
    name = printable(result.source)
    if result.status == "done":
        # In a small job people look for where the result went; in a large one at the bar.
        (console.message if run.summary.total <= FEW else console.detail)(
            f"done     {_names(result)}"
        )
    elif result.status == "skipped":
        again = result.reason == "done before"
        (console.detail if again else console.message)(f"skipped  {name}: {result.reason}")
    else:
        console.detail(f"failed   {name}: {result.reason}")
        if result.traceback:
            console.detail(result.traceback)
    for note in result.notes:
        console.message(f"note     {name}: {note}")


def _conclude(run: Run | Redo, console: Console, error: str | None = None) -> None:
    summary = run.summary
    console.record(summary.to_json(error))
    if console.json:
        return
    for failure in summary.failures:
        console.warning(f"failed   {printable(failure.source)}: {failure.reason}")
    if error is None or summary.left < summary.total:
        console.message(str(summary))


def _names(result: PhotoResult) -> str:
    return f"{printable(result.source)} -> {printable(result.output or '')}"
