"""Two reports side by side, with how sure the difference is; or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recolor_cli.errors import UsageError
from recolor_cli.evaluate.measure import of_truth
from recolor_cli.evaluate.report import Report
from recolor_cli.metrics.base import Rows, mean
from recolor_cli.metrics.colorfulness import difference_of_means
from recolor_cli.metrics.resampling import LEAST, paired_difference


@dataclass(frozen=True)
class Difference:
    """One metric of two evaluations.

    Attributes:
        name: of the metric.
        a: value of the first.
        b: value of the second.
        truth: the true pictures' own value, for metrics that have one.
        low: lower end of the 95 % interval of what `of` says; None if it is not known.
        high: upper end.
        of: "value" for b - a; "distance" for |b - truth| - |a - truth|, which the verdict is about
            where the value should be the truth's.
        verdict: "a better", "b better", "no clear difference", or "unknown" without intervals, or
            where it would need those of distances.
        how: "pictures" if the same pictures were compared one by one, "intervals" if the two
            intervals were combined as if independent (too wide for equal pictures, never too
            narrow), "" if there are none.
    """

    name: str
    a: float
    b: float
    truth: float | None
    low: float | None
    high: float | None
    of: str
    verdict: str
    how: str


def compare(a: Report, b: Report) -> list[Difference]:
    """Compare what both reports measured.

    Raises:
        UsageError: they are not about the same pictures, geometry, number or definitions.
    """
    if reasons := why_not(a, b):
        raise UsageError(
            f"these reports cannot be compared: {'; '.join(reasons)}; evaluate both in the same way"
        )
    shared = [name for name in a.metrics if name in b.metrics]
    return [_difference(name, a, b) for name in shared]


def why_not(a: Report, b: Report) -> list[str]:
    """Every reason against putting two reports into one table; empty if there is none."""
    reasons = []
    if a.protocol["name"] != b.protocol["name"]:
        reasons.append(f"the protocols are '{a.protocol['name']}' and '{b.protocol['name']}'")
    elif a.protocol != b.protocol:
        fields = [key for key in a.protocol if a.protocol[key] != b.protocol.get(key)]
        reasons.append(f"the protocol '{a.protocol['name']}' differs in {', '.join(fields)}")
    if a.n != b.n:
        reasons.append(f"there are {a.n} and {b.n} pictures")
    elif a.data["sha256"] != b.data["sha256"]:
        reasons.append("the pictures are not the same (their files' hashes differ)")
    for which, report in (("first", a), ("second", b)):
        if repeated := len(report.names) - len(set(report.names)):
            reasons.append(f"{repeated} pictures of the {which} have the name of another")
    shared = [name for name in a.metrics if name in b.metrics]
    if not shared:
        reasons.append("they have no metric in common")
    for name in shared:
        for key in ("definition", "preprocessing", "weights"):
            if a.metrics[name][key] != b.metrics[name][key]:
                reasons.append(f"'{name}' has another {key}")
    return reasons


def _difference(name: str, a: Report, b: Report) -> Difference:
    entry_a, entry_b = a.metrics[name], b.metrics[name]
    low, high, of, how = _interval(name, a, b)
    return Difference(
        name=name,
        a=float(entry_a["value"]),
        b=float(entry_b["value"]),
        truth=entry_a["truth"],
        low=low,
        high=high,
        of=of,
        verdict=_verdict(entry_a["better"], low, high, of),
        how=how,
    )


def _interval(name: str, a: Report, b: Report) -> tuple[float | None, float | None, str, str]:
    if a.metrics[name]["better"] == "truth":
        if (rows := _paired(a, b, (name, of_truth(name)))) is not None:
            return *paired_difference(*rows, difference_of_means), "distance", "pictures"
    elif (rows := _paired(a, b, (name,))) is not None:
        return *paired_difference(*rows, mean), "value", "pictures"
    ends = [report.metrics[name][key] for report in (a, b) for key in ("low", "high")]
    if any(end is None for end in ends):
        return None, None, "value", ""
    a_low, a_high, b_low, b_high = (float(end) for end in ends)
    middle = float(b.metrics[name]["value"]) - float(a.metrics[name]["value"])
    half = float(np.hypot(a_high - a_low, b_high - b_low)) / 2
    return middle - half, middle + half, "value", "intervals"


def _paired(a: Report, b: Report, columns: tuple[str, ...]) -> tuple[Rows, Rows] | None:
    """These columns of both, a line for each picture in the same order; None if they lack some."""
    if len(a.names) < LEAST or set(a.names) != set(b.names):
        return None
    if any(column not in report.each for report in (a, b) for column in columns):
        return None
    place = {name: number for number, name in enumerate(b.names)}
    order = [place[name] for name in a.names]
    ours, theirs = (np.array([r.each[column] for column in columns]).T for r in (a, b))
    return ours, theirs[order]


def _verdict(better: str, low: float | None, high: float | None, of: str) -> str:
    if low is None or high is None:
        return "unknown"
    if low <= 0 <= high:
        # Of values too: two that may be equal may be equally far from any truth.
        return "no clear difference"
    if better == "truth" and of == "value":
        return "unknown"  # which is nearer depends on how sure the truth's own value is
    grows = better == "higher"  # of distances, as of errors, the smaller is better
    return "b better" if (low > 0) == grows else "a better"
