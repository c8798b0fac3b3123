"""`recolor eval`: how good are these colours, in numbers that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recolor_cli.cli.console import Console
from recolor_cli.cli.options import (
    MACHINE,
    OUTPUT,
    SETTINGS,
    BatchSizeOpt,
    DeviceOpt,
    InputSizeOpt,
    JsonOpt,
    OfflineOpt,
    PrecisionOpt,
    QuietOpt,
    WorkersOpt,
    typed,
    weights_names,
)
from recolor_cli.errors import UsageError, WeightsError
from recolor_cli.ranges import check_given

if TYPE_CHECKING:
    from recolor_cli.evaluate.protocols import Protocol
    from recolor_cli.evaluate.report import Report
    from recolor_cli.evaluate.setup import Asked, Setup

HUMAN = "human"
PEOPLE = "Comparing, and asking people"

# What changes colours; of no use where a network does not make them.
COLOURING = ("input_size", "temperature", "saturation")
# What says which pictures are measured and how; of no use where nothing is measured.
MEASURING = ("model", "pred", "data", "protocol", "limit", *COLOURING, "out", "metric_weights")

EPILOG = "\n\n".join(
    (
        "[bold]Examples[/]",
        "recolor eval    (the newest run, on the photographs that it held out)",
        "recolor eval --model default --data runs/tiny    (other weights, on the same)",
        "recolor eval --model default --data photos/ --out evaluation/",
        "recolor eval --pred other-tool/ --data photos/ --metric psnr --metric fid",
        "recolor eval --compare a/report.json b/report.json",
        "recolor eval --metric human --data photos/ --limit 50 --export judge/",
        "recolor eval --metric human --export judge/ --votes votes/*.json",
    )
)


def evaluate(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="More files for --compare and --votes.", hidden=True),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="What to measure; once for each. By default all that need no download. "
            "human asks people.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|PATH|hf://…|grey",
            autocompletion=weights_names,
            help="Weights to evaluate; grey leaves pictures without colour, the baseline.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    pred: Annotated[
        Path | None,
        typer.Option(
            help="Another tool's results, with the same relative paths as --data.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="True colour photographs: a folder or tar, once for each; or a run, for those "
            "that it held out.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Which pictures at which geometry.", rich_help_panel=SETTINGS
        ),
    ] = "native256-crop",
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Only N pictures, for a trial.", rich_help_panel=SETTINGS
        ),
    ] = None,
    input_size: InputSizeOpt = None,
    temperature: Annotated[
        float | None,
        typer.Option(metavar="T", help="As for colorize.", rich_help_panel=SETTINGS),
    ] = None,
    saturation: Annotated[
        float, typer.Option(metavar="X", help="As for colorize.", rich_help_panel=SETTINGS)
    ] = 1.0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for report.json, images.csv, report.html, best.png, worst.png.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="A.json B.json",
            help="Two reports side by side, if they can be compared.",
            rich_help_panel=PEOPLE,
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="With --metric human: the page on which people judge, and its key.",
            rich_help_panel=PEOPLE,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="With --export: other weights, to be preferred or not.",
            rich_help_panel=PEOPLE,
        ),
    ] = None,
    votes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE…", help="With --metric human: count these votes.", rich_help_panel=PEOPLE
        ),
    ] = None,
    metric_weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the published networks behind fid, kid, is and lpips lie.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    device: DeviceOpt = "auto",
    precision: PrecisionOpt = "auto",
    batch_size: BatchSizeOpt = None,
    workers: WorkersOpt = None,
    offline: OfflineOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Measure how good colours are, beside photographs whose colours are known.

    Without --data it takes what the run of --model held out, or else the newest run in runs/.
    Figures come with 95 % intervals and with all that is needed to compare them.
    """
    console = Console(json=json, quiet=quiet)
    names = list(metric or ())
    more = list(files or ())
    if more and compare is None and votes is None:
        raise UsageError(
            f"what is '{more[0]}'? name photographs with --data and results with --pred"
        )
    if compare is not None:
        _refuse_idle(ctx, "--compare", ("metric", *MEASURING, "export", "against", "votes"))
        _compare([compare, *more], console)
        return
    if (export or votes or against) and names != [HUMAN]:
        raise UsageError("--export, --against and --votes belong to --metric human alone")
    if votes is not None:
        _refuse_idle(ctx, "--votes", (*MEASURING, "against"))
        _count([votes, *more], export, console)
        return
    from recolor_cli.evaluate.colouring import GREY
    from recolor_cli.evaluate.protocols import get_protocol
    from recolor_cli.evaluate.setup import Asked

    if against is None or against in GREY:  # else they are for the other weights
        if pred is not None:
            _refuse_idle(ctx, "--pred", COLOURING)
        if model in GREY:
            _refuse_idle(ctx, f"--model {model}", COLOURING)
    check_given(
        input_size=input_size,
        temperature=temperature,
        saturation=saturation,
        batch_size=batch_size,
        workers=workers,
    )
    chosen = get_protocol(protocol)
    asked = Asked(
        model=model,
        predictions=pred,
        data=tuple(data or ()),
        device=device,
        precision=precision,
        batch_size=batch_size,
        input_size=input_size,
        temperature=temperature,
        saturation=saturation,
        metric_weights=metric_weights,
        offline=offline,
        as_painted=chosen.as_painted,
    )
    if HUMAN in names:
        if names != [HUMAN]:
            raise UsageError("--metric human stands alone; people judge in another run")
        _refuse_idle(ctx, "--metric human", ("out", "metric_weights"))
        _export(asked, chosen, export, against, limit, console)
        return
    _measure(asked, chosen, names, out, limit, workers, console)


def _refuse_idle(ctx: typer.Context, beside: str, names: Sequence[str]) -> None:
    """What is typed and would change nothing is a mistake; what a file says is for other runs."""
    for name in names:
        if typed(ctx, **{name: True}):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} changes nothing with {beside}; drop one of them")


def _measure(
    asked: Asked,
    protocol: Protocol,
    names: list[str],
    out: Path | None,
    limit: int | None,
    workers: int | None,
    console: Console,
) -> None:
    from recolor_cli.evaluate.evaluation import choose_metrics, evaluate
    from recolor_cli.evaluate.setup import load_networks, set_up
    from recolor_cli.metrics import OFFLINE

    metrics = choose_metrics(names or OFFLINE)
    setup = set_up(asked, console.message)
    networks, missing = load_networks(metrics, asked, console.message)
    metrics = [metric for metric in metrics if metric.name not in missing]
    if not metrics:
        raise WeightsError(next(iter(missing.values())))
    for name, why in missing.items():
        console.warning(f"{name} is not measured: {why}")
    total = len(setup.pairs) if limit is None else min(limit, len(setup.pairs))
    with console.progress(total, "pictures") as progress:
        report = evaluate(
            setup.pairs,
            setup.colouring,
            metrics,
            protocol,
            networks=networks,
            sources=setup.sources,
            limit=limit,
            batch_size=setup.batch_size,
            workers=workers,
            device=setup.device,
            advance=progress.advance,
        )
    _show(report, console)
    if grey := report.data.get("grey"):
        console.warning(
            f"{grey} of the {report.n} true photographs are grey: there any colour counts as wrong"
        )
    if out is not None:
        _write(report, setup, protocol, out, console)
    console.record({**report.to_json(), "not_measured": missing})
    if missing:
        raise WeightsError(f"not measured for lack of weights: {', '.join(missing)}; see above")


def _show(report: Report, console: Console) -> None:
    from recolor_cli.evaluate.report import table

    limited = "" if report.limit is None else f" (a trial of {report.data['files']})"
    console.data(f"{report.coloured['name']}: {report.protocol['name']}, n = {report.n}{limited}")
    console.table(("metric", "value", "95 % interval", "truth", "better"), table(report))


def _write(report: Report, setup: Setup, protocol: Protocol, out: Path, console: Console) -> None:
    from recolor_cli.evaluate.panels import panels, write_panel
    from recolor_cli.evaluate.report import write_report

    made = panels(report, setup.pairs, setup.colouring, protocol)
    write_report(report, out, made)
    for title, pictures in made:
        write_panel(out / f"{title.split()[0].lower()}.png", pictures)
    console.message(f"wrote {out / 'report.html'}, report.json and images.csv")
    from recolor_cli.training.page import refresh_page

    if refresh_page(out.parent):  # of the run that the evaluation was put into
        console.message(f"linked from {out.parent / 'index.html'}")


def _compare(paths: list[Path], console: Console) -> None:
    if len(paths) != 2:
        raise UsageError(f"--compare takes two reports, and there are {len(paths)}")
    from dataclasses import asdict

    from recolor_cli.evaluate.compare import compare
    from recolor_cli.evaluate.report import number, read_report

    a, b = (read_report(path) for path in paths)
    rows = compare(a, b)
    console.data(
        f"a: {a.coloured['name']}   b: {b.coloured['name']}   {a.protocol['name']}, n = {a.n}"
    )
    console.table(
        ("metric", "a", "b", "truth", "b - a, 95 %", "verdict"),
        [
            (
                row.name,
                number(row.a),
                number(row.b),
                number(row.truth),
                ("-" if row.low is None else f"{number(row.low)} .. {number(row.high)}")
                + (" in distance" if row.of == "distance" else ""),
                row.verdict,
            )
            for row in rows
        ],
    )
    if any(row.of == "distance" for row in rows):
        console.message("in distance: of |b - truth| - |a - truth|; below 0, b is nearer")
    console.record({"differences": [asdict(row) for row in rows]})


def _export(
    asked: Asked,
    protocol: Protocol,
    folder: Path | None,
    against: str | None,
    limit: int | None,
    console: Console,
) -> None:
    if folder is None:
        raise UsageError("--metric human needs --export FOLDER for the page, or --votes FILES")
    from recolor_cli.evaluate.evaluation import spread
    from recolor_cli.evaluate.judge import export_study
    from recolor_cli.evaluate.setup import load_colouring, set_up

    setup = set_up(asked, console.message)
    second = load_colouring(against, asked, setup.batch_size, console.message) if against else None
    pairs = spread(setup.pairs, limit)
    with console.progress(len(pairs), "pictures") as progress:
        page = export_study(
            folder, pairs, setup.colouring, protocol, second=second, advance=progress.advance
        )
    console.data(f"{page}")
    console.message("open it in a browser; key.json says which is which: keep it from the judges")
    console.record({"page": str(page), "pictures": len(pairs)})


def _count(files: list[Path], key: Path | None, console: Console) -> None:
    from recolor_cli.evaluate.report import number
    from recolor_cli.evaluate.votes import count_votes

    shares = count_votes(files, key)
    console.table(
        ("what", "votes", "of", "share", "95 % interval"),
        [
            (s.name, s.count, s.n, number(s.value), f"{number(s.low)} .. {number(s.high)}")
            for s in shares
        ],
    )
    console.record({"judges": len(files), "shares": [s.to_json() for s in shares]})
