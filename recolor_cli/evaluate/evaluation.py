"""The verb: pictures in, measured report out; decoding, network and measuring overlap."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from recolor_cli.checkpoints.card import code_version, now
from recolor_cli.devices import cores
from recolor_cli.errors import DataError, PhotoError, UsageError
from recolor_cli.evaluate.colouring import Colouring, Ready, prepare
from recolor_cli.evaluate.measure import Measurement
from recolor_cli.evaluate.protocols import Protocol
from recolor_cli.evaluate.report import Report
from recolor_cli.evaluate.sources import LISTED, Pair, set_hash
from recolor_cli.evaluate.swaps import Swaps
from recolor_cli.metrics import METRICS, Metric
from recolor_cli.metrics.networks import NETWORKS, Network
from recolor_cli.recipes import did_you_mean

Pixels = NDArray[np.uint8]
T = TypeVar("T")
Finished = tuple[Pixels, dict[str, tuple[float, ...]]]
Advance = Callable[[str], None]


def evaluate(
    pairs: Sequence[Pair],
    colouring: Colouring,
    metrics: Iterable[Metric],
    protocol: Protocol,
    *,
    networks: Mapping[str, Network] | None = None,
    sources: Mapping[str, Any] | None = None,
    limit: int | None = None,
    batch_size: int = 8,
    workers: int | None = None,
    device: str = "cpu",
    advance: Advance = lambda _name: None,
) -> Report:
    """Measure coloured against true pictures.

        setup = set_up(Asked(model="default", data=("photos",)))
        report = evaluate(
            setup.pairs, setup.colouring, [METRICS["psnr"]], get_protocol("native256-crop")
        )
        print(report.metrics["psnr"]["value"])

    Memory holds a few batches of pictures and the metrics' rows, however many pictures there are.

    Args:
        pairs: what to measure, as of `set_up`.
        colouring: where the coloured pictures come from.
        metrics: what is measured.
        protocol: the geometry; the names and number of the pairs are held to it.
        networks: those that the metrics need, by name.
        sources: where the pairs come from, for the report.
        limit: only so many, spread evenly over the pairs.
        batch_size: pictures that go to the networks together; changes no figure.
        workers: threads; None is one per core.
        device: for the report.
        advance: called with the name of each picture that is done.

    Raises:
        DataError: pictures cannot be read or do not belong together, and all of them are listed; or
            all of the truths are grey.
        UsageError: there are too few pictures for a metric.
    """
    begun = time.monotonic()
    protocol.check([pair.name for pair in pairs], limit=limit)
    chosen = spread(pairs, limit)
    measurement = Measurement(metrics, networks or {})
    _check_enough(measurement, len(chosen))
    hashes: list[tuple[str, str]] = []
    predicted: list[tuple[str, str]] = []
    failures: list[str] = []
    swaps = Swaps()
    grey = 0

    def absorb(batch: Sequence[Ready], futures: Sequence[Future[Finished]]) -> None:
        finished = [future.result() for future in futures]
        measurement.add(
            [ready.pair.name for ready in batch],
            [rows for _, rows in finished],
            [coloured for coloured, _ in finished],
            [ready.true for ready in batch],
        )
        for ready in batch:
            advance(ready.pair.name)

    with ThreadPoolExecutor(workers or cores()) as pool:
        waiting: tuple[Sequence[Ready], Sequence[Future[Finished]]] | None = None
        ready = _decoded(chosen, protocol, pool, 3 * batch_size, failures)
        while batch := list(islice(ready, batch_size)):
            for one in batch:
                hashes.append((one.pair.name, one.sha256))
                grey += _is_grey(one.true)
                if one.predicted is not None:
                    predicted.append((one.pair.name, one.predicted_sha256))
                    swaps.add(one.pair.name, one.true, one.predicted)
            if failures:
                continue  # nothing will be reported but what is wrong: only complete that list
            # The pool finishes and measures this batch while the last one goes through networks.
            finishers = colouring.start(batch)
            futures = [
                pool.submit(_finish, measurement, one.true, finisher)
                for one, finisher in zip(batch, finishers, strict=True)
            ]
            if waiting is not None:
                absorb(*waiting)
            waiting = batch, futures
        if waiting is not None and not failures:
            absorb(*waiting)
    _refuse(failures, swaps)
    if grey == len(chosen):
        raise DataError(
            f"all {grey} true photographs are grey, so there are no colours to compare with; "
            "name colour photographs with --data"
        )

    coloured = dict(colouring.describe())
    if predicted:
        coloured["sha256"] = set_hash(predicted)
    values = measurement.values()
    return Report(
        protocol=protocol.to_json(),
        n=len(chosen),
        limit=limit,
        data={
            **(sources or {}),
            "sha256": set_hash(hashes),
            **({"grey": grey} if grey else {}),
        },
        coloured=coloured,
        metrics={
            name: {
                "value": found.value,
                "low": found.low,
                "high": found.high,
                "truth": found.truth,
                **_describe(measurement.metrics[name]),
            }
            for name, found in values.items()
        },
        device=device,
        code=code_version(),
        created=now(),
        seconds=round(time.monotonic() - begun, 2),
        names=tuple(measurement.names),
        each={name: [float(v) for v in column] for name, column in measurement.each().items()},
    )


def _is_grey(pixels: Pixels) -> bool:
    """Whether a picture has no colour anywhere; every fourth row and column tells."""
    some = pixels[::4, ::4].astype(np.int16)
    return int((some.max(axis=2) - some.min(axis=2)).max()) <= 1


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """At most `limit` items, evenly over all of them, so that every subfolder has its share."""
    if limit is None or limit >= len(items):
        return list(items)
    if limit < 1:
        raise UsageError(f"--limit must be at least 1, got {limit}")
    return [items[number * len(items) // limit] for number in range(limit)]


def pictures_of(
    pairs: Sequence[Pair], colouring: Colouring, protocol: Protocol
) -> list[tuple[Pixels, Pixels]]:
    """(coloured, true) of a few pairs, made again: an evaluation keeps no pictures."""
    batch = [prepare(pair, protocol) for pair in pairs]
    finishers = colouring.start(batch)
    return [(finish(), one.true) for one, finish in zip(batch, finishers, strict=True)]


def _decoded(
    pairs: Sequence[Pair],
    protocol: Protocol,
    pool: ThreadPoolExecutor,
    ahead: int,
    failures: list[str],
) -> Iterator[Ready]:
    """Decode in the pool, a bounded number of pictures ahead, and hand over in order."""
    remaining = iter(pairs)
    queue = deque(pool.submit(prepare, p, protocol) for p in islice(remaining, ahead))
    while queue:
        future = queue.popleft()
        following = next(remaining, None)
        if following is not None:
            queue.append(pool.submit(prepare, following, protocol))
        try:
            yield future.result()
        except PhotoError as error:
            failures.append(str(error))


def _finish(measurement: Measurement, true: Pixels, finish: Callable[[], Pixels]) -> Finished:
    coloured = finish()
    return coloured, measurement.pixel_rows(coloured, true)


def _refuse(failures: Sequence[str], swaps: Swaps) -> None:
    if failures:
        shown = "; ".join(failures[:LISTED])
        more = f"; and {len(failures) - LISTED} more" if len(failures) > LISTED else ""
        raise DataError(
            f"{len(failures)} pictures cannot be evaluated: {shown}{more}; "
            "mend or remove them on both sides"
        )
    if found := swaps.found():
        shown = ", ".join(f"'{name}' shows '{other}'" for name, other in found[:LISTED])
        raise DataError(f"{len(found)} predictions show other pictures: {shown}; rename them")


def _check_enough(measurement: Measurement, n: int) -> None:
    for name, metric in measurement.metrics.items():
        if n < metric.least:
            raise UsageError(
                f"{name} needs at least {metric.least} pictures, and there are {n}; "
                "leave it out or give more"
            )


def _describe(metric: Metric) -> dict[str, Any]:
    return {
        "unit": metric.unit,
        "better": metric.better,
        "definition": metric.definition,
        "preprocessing": metric.preprocessing,
        "interval": metric.interval,
        "weights": NETWORKS[metric.network][0].sha256 if metric.network else "",
    }


def choose_metrics(names: Sequence[str]) -> list[Metric]:
    """Look metrics up.

    Raises:
        UsageError: there is none of a name.
    """
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        known = [*METRICS, "human"]
        near = f"{did_you_mean(unknown[0], known)} known:".lstrip()
        raise UsageError(f"no metric '{unknown[0]}'; {near} {', '.join(known)}")
    return [METRICS[name] for name in dict.fromkeys(names)]
