"""Two reports side by side, with how sure the difference is; or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recolor_cli.errors import UsageError
from recolor_cli.evaluate.report import Report
from recolor_cli.metrics.base import mean
from recolor_cli.metrics.resampling import LEAST, paired_difference


@dataclass(frozen=True)
class Difference:
    """One metric of two evaluations.

    Attributes:
        name: of the metric.
        a: value of the first.
        b: value of the second.
        low: lower end of the 95 % interval of b - a; None if it is not known.
        high: upper end.
        verdict: "a better", "b better", "no clear difference", or "unknown" without intervals.
        how: "pictures" if the same pictures were compared one by one, "intervals" if the two
            intervals were combined as if independent (too wide for equal pictures, never too
            narrow), "" if there are none.
    """

    name: str
    a: float
    b: float
    low: float | None
    high: float | None
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
    low, high, how = _interval(name, a, b)
    value_a, value_b = float(entry_a["value"]), float(entry_b["value"])
    verdict = _verdict(entry_a, value_a, value_b, low, high)
    return Difference(name, value_a, value_b, low, high, verdict, how)


def _interval(name: str, a: Report, b: Report) -> tuple[float | None, float | None, str]:
    if name in a.each and name in b.each and len(a.names) >= LEAST:
        ours, theirs = (dict(zip(r.names, r.each[name], strict=True)) for r in (a, b))
        if ours.keys() == theirs.keys():
            pairs = np.array([(ours[key], theirs[key]) for key in ours])
            low, high = paired_difference(pairs[:, :1], pairs[:, 1:], mean)
            return low, high, "pictures"
    ends = [report.metrics[name][key] for report in (a, b) for key in ("low", "high")]
    if any(end is None for end in ends):
        return None, None, ""
    a_low, a_high, b_low, b_high = (float(end) for end in ends)
    middle = float(b.metrics[name]["value"]) - float(a.metrics[name]["value"])
    half = float(np.hypot(a_high - a_low, b_high - b_low)) / 2
    return middle - half, middle + half, "intervals"


def _verdict(
    entry: Mapping[str, Any], a: float, b: float, low: float | None, high: float | None
) -> str:
    if low is None or high is None:
        return "unknown"
    if low <= 0 <= high:
        return "no clear difference"
    if entry["better"] == "truth":
        truth = entry["truth"]
        if truth is None:
            return "different"
        return "b better" if abs(b - truth) < abs(a - truth) else "a better"
    return "b better" if (low > 0) == (entry["better"] == "higher") else "a better"
