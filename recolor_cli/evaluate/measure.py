"""Collects the rows of all metrics picture by picture, and turns them into values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recolor_cli.errors import UsageError
from recolor_cli.metrics import Metric
from recolor_cli.metrics.base import Pixels, Rows
from recolor_cli.metrics.networks import Network
from recolor_cli.metrics.resampling import interval_95


@dataclass(frozen=True)
class Value:
    """What one metric came to.

    Attributes:
        value: the number.
        low: lower end of its 95 % interval; None with too few pictures.
        high: upper end.
        truth: the true pictures' own value, for metrics that have one.
    """

    value: float
    low: float | None
    high: float | None
    truth: float | None


def of_truth(name: str) -> str:
    """The name under which a metric's values of the true pictures are kept."""
    return f"{name} of truth"


class Measurement:
    """The state of an evaluation: for each metric the rows of the pictures seen so far.

    Args:
        metrics: what is measured.
        networks: those that the metrics need, by name.
    """

    def __init__(self, metrics: Iterable[Metric], networks: Mapping[str, Network]) -> None:
        self.metrics = {metric.name: metric for metric in metrics}
        self.names: list[str] = []
        self._networks = networks
        self._rows: dict[str, list[Rows]] = {}

    def pixel_rows(self, coloured: Pixels, true: Pixels) -> dict[str, tuple[float, ...]]:
        """One picture's rows for the metrics without a network; safe from several threads."""
        rows = {}
        shared: dict[object, tuple[float, ...]] = {}
        for name, metric in self.metrics.items():
            if metric.update is not None:
                if metric.update not in shared:
                    shared[metric.update] = metric.update(coloured, true)
                rows[name] = shared[metric.update]
        return rows

    def add(
        self,
        names: Sequence[str],
        pixel_rows: Sequence[Mapping[str, tuple[float, ...]]],
        coloured: Sequence[Pixels],
        true: Sequence[Pixels],
    ) -> None:
        """Take in a batch; `pixel_rows` are from the method of that name."""
        self.names += names
        for row in pixel_rows:
            for name, values in row.items():
                self._keep(name, np.array(values)[None])
        wanted = {metric.stream for metric in self.metrics.values() if metric.stream}
        for network in sorted({stream.partition("/")[0] for stream in wanted}):
            for output, rows in self._networks[network](coloured, true).items():
                if f"{network}/{output}" in wanted:  # logits are not kept for nothing
                    self._keep(f"{network}/{output}", rows)

    def _keep(self, key: str, rows: Rows) -> None:
        self._rows.setdefault(key, []).append(rows)

    def rows(self, metric: Metric) -> Rows:
        """All rows of a metric, (n, k)."""
        parts = self._rows[metric.stream or metric.name]
        if len(parts) > 1:
            parts[:] = [np.concatenate(parts)]
        return parts[0]

    def values(self) -> dict[str, Value]:
        """Every metric's value with its interval.

        Raises:
            UsageError: there are too few pictures for a metric.
        """
        return {name: self._value(metric) for name, metric in self.metrics.items()}

    def _value(self, metric: Metric) -> Value:
        rows = self.rows(metric)
        if len(rows) < metric.least:
            raise UsageError(
                f"{metric.name} needs at least {metric.least} pictures, and there are "
                f"{len(rows)}; leave it out or give more"
            )
        value = metric.compute(rows)
        low, high = interval_95(metric, rows, value) or (None, None)
        truth = metric.of_truth(rows) if metric.of_truth else None
        return Value(value, low, high, truth)

    def each(self) -> dict[str, Rows]:
        """For metrics of single pictures: the value of each, in the order of `names`.

        Where true pictures have values of their own, those follow under `of_truth(NAME)`.
        """
        columns = {}
        for name, metric in self.metrics.items():
            if metric.each is not None:
                columns[name] = metric.each(self.rows(metric))
            if metric.each_of_truth is not None:
                columns[of_truth(name)] = metric.each_of_truth(self.rows(metric))
        return columns
