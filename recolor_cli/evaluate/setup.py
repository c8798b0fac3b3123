"""From what a person asked for to the pieces of an evaluation: pairs, colouring, networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recolor_cli.colorize import Colorizer
from recolor_cli.devices import choose_machine, exact
from recolor_cli.errors import MissingExtraError, UsageError, WeightsError
from recolor_cli.evaluate.colouring import (
    GREY,
    AsPainted,
    ByFiles,
    ByModel,
    Colouring,
    LeftGrey,
)
from recolor_cli.evaluate.network_files import load_network
from recolor_cli.evaluate.sources import (
    Pair,
    Run,
    matched,
    newest_run,
    read_run,
    run_around,
    truths,
)
from recolor_cli.metrics import Metric
from recolor_cli.metrics.networks import Network

GPU_BATCH, CPU_BATCH = 16, 4


@dataclass(frozen=True)
class Asked:
    """What an evaluation was asked to be.

    Attributes:
        model: name of weights, or "grey"; None with predictions or a run.
        predictions: folder of another tool's results.
        data: true photographs: folders, tar shards, files; or one run, for what it held out.
        device: as for `choose_machine`.
        precision: the same.
        batch_size: None leaves it to the device.
        input_size: long side that the network sees; None is the weights' own.
        temperature: None is the weights' own.
        saturation: factor on chroma.
        metric_weights: folder of the files behind fid and lpips.
        offline: make no request.
        as_painted: measure networks that paint RGB with the luminance that they painted.
    """

    model: str | None = None
    predictions: Path | None = None
    data: tuple[str, ...] = ()
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    input_size: int | None = None
    temperature: float | None = None
    saturation: float = 1.0
    metric_weights: Path | None = None
    offline: bool = False
    as_painted: bool = False


@dataclass(frozen=True)
class Setup:
    """The pieces.

    Attributes:
        pairs: all of them, before any limit.
        colouring: where the coloured pictures come from.
        sources: for the report.
        device: for the report.
        batch_size: pictures that go together.
    """

    pairs: Sequence[Pair]
    colouring: Colouring
    sources: Mapping[str, Any]
    device: str
    batch_size: int


def set_up(asked: Asked, report: Callable[[str], None] = lambda _text: None) -> Setup:
    """Find the pictures and load what colours them.

    Raises:
        UsageError: nothing, or too much, was named.
        DataError: pictures are missing.
        WeightsError: the weights are missing, or are not what they should be.
    """
    if asked.model is not None and asked.predictions is not None:
        raise UsageError("--model and --pred exclude each other; name one")
    if not asked.data and asked.predictions is not None:
        raise UsageError("--pred needs the true photographs; add --data FOLDER")
    machine = choose_machine(asked.device, asked.precision)
    model, which = asked.model, "all"
    run = _run(asked)
    if run is not None:
        which = f"{run.which} set of {run.folder}"
        report(f"the photographs are the {which}")
        pairs = run.pairs()
        if not asked.data:
            model = model or str(run.folder)
    elif asked.predictions is not None:
        pairs = matched(asked.data, asked.predictions)
    else:
        pairs = truths(asked.data)
    batch_size = asked.batch_size or (GPU_BATCH if machine.device.type == "cuda" else CPU_BATCH)
    colouring = (
        ByFiles(str(asked.predictions))
        if asked.predictions is not None
        else load_colouring(model or "default", asked, batch_size, report)
    )
    return Setup(
        pairs,
        colouring,
        {"sources": list(asked.data), "which": which, "files": len(pairs)},
        str(machine),
        batch_size,
    )


def _run(asked: Asked) -> Run | None:
    """The run whose held-out photographs are measured on; None with photographs in `data`."""
    if not asked.data:
        own = run_around(asked.model) if asked.model else None
        return read_run(own) if own else newest_run()
    runs = [place for place in asked.data if run_around(place) == Path(place)]
    if not runs:
        return None
    if len(asked.data) > 1 or asked.predictions is not None:
        raise UsageError(
            f"'{runs[0]}' is a run, which stands alone in --data and goes with --model; name "
            "folders of photographs"
        )
    return read_run(Path(runs[0]))


def load_colouring(
    model: str, asked: Asked, batch_size: int, report: Callable[[str], None]
) -> Colouring:
    """Load weights, or take the grey baseline.

    Raises:
        WeightsError: the weights are missing, or are not what they should be.
    """
    if model in GREY:
        return LeftGrey()
    colorizer = Colorizer(
        model,
        asked.device,
        asked.precision,
        input_size=asked.input_size,
        temperature=asked.temperature,
        saturation=asked.saturation,
        batch_size=batch_size,
        offline=asked.offline,
        report=report,
    )
    if not (asked.as_painted and colorizer.model.paints):
        return ByModel(colorizer)
    if asked.saturation != 1:
        raise UsageError(
            f"--saturation does not reach '{colorizer.model.name}' under this protocol, which "
            "measures whole pictures as they are painted; drop it"
        )
    return AsPainted(colorizer)


def load_networks(
    metrics: Sequence[Metric], asked: Asked, report: Callable[[str], None]
) -> tuple[dict[str, Network], dict[str, str]]:
    """The networks that these metrics need, before any picture is read.

    Returns:
        The networks by name; and for each metric whose network cannot be had, why.
    """
    device = choose_machine(asked.device, asked.precision).device
    exact(device)  # other tools' results are measured as ours are
    networks: dict[str, Network] = {}
    missing: dict[str, str] = {}
    for name in sorted({metric.network for metric in metrics if metric.network}):
        try:
            networks[name] = load_network(
                name, device, folder=asked.metric_weights, offline=asked.offline, report=report
            )
        except (WeightsError, MissingExtraError) as error:
            missing |= {metric.name: str(error) for metric in metrics if metric.network == name}
    return networks, missing
