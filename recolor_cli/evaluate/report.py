"""The record of one evaluation: all that is needed to repeat it, or to refuse comparing it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recolor_cli.errors import DataError, OutputError
from recolor_cli.images.atomic import write_atomic
from recolor_cli.metrics import METRICS

if TYPE_CHECKING:
    from recolor_cli.evaluate.page import Panel

FORMAT = "recolor-eval/1"
REPORT, IMAGES, PAGE = "report.json", "images.csv", "report.html"


@dataclass(frozen=True, kw_only=True)
class Report:
    """One evaluation.

    Attributes:
        protocol: every field of the `Protocol`.
        n: pictures measured.
        limit: as asked for; None means the whole set.
        data: {"sources", "sha256" of the set of files, "which" for a run's held-out set, "grey":
            how many truths are, if any}.
        coloured: what coloured: kind, name, sha256, settings.
        metrics: name -> value, low, high, truth, unit, better, definition, preprocessing, interval,
            weights (sha256 of the network's file, "" without one).
        device: where it ran.
        code: version of recolor.
        created: UTC time.
        seconds: it took.
    """

    protocol: Mapping[str, Any]
    n: int
    limit: int | None
    data: Mapping[str, Any]
    coloured: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    device: str
    code: str
    created: str
    seconds: float
    format: str = FORMAT
    names: tuple[str, ...] = field(default=(), repr=False)
    each: Mapping[str, Sequence[float]] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Without the single pictures, which are in images.csv."""
        record = asdict(self)
        del record["names"], record["each"]
        return record

    def to_csv(self) -> str:
        """One line a picture, one column a metric that single pictures have."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["picture", *self.each])
        columns = list(self.each.values())
        for number, name in enumerate(self.names):
            writer.writerow([name, *(repr(float(column[number])) for column in columns)])
        return out.getvalue()


def read_report(path: str | Path) -> Report:
    """Read report.json and, where it stands beside it, images.csv.

    Args:
        path: the file, or the folder that holds it.

    Raises:
        DataError: it is no report.
    """
    path = Path(path)
    path = path / REPORT if path.is_dir() else path
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        names, each = _read_images(path.with_name(IMAGES))
        if names and len(names) != record["n"]:
            raise ValueError(f"{IMAGES} has {len(names)} pictures, and it {record['n']}")
        _check(record)
        return Report(**record, names=names, each=each)
    except FileNotFoundError:
        raise DataError(f"no report '{path}'; 'recolor eval --out FOLDER' writes one") from None
    except KeyError as error:
        why = f"it lacks {error}"
    except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
        why = str(error)
    raise DataError(f"'{path}' is not an evaluation report ({why}); evaluate again with --out")


def write_report(report: Report, folder: Path, panels: Sequence[Panel] = ()) -> None:
    """Write report.json, images.csv and report.html.

    Raises:
        OutputError: the folder cannot be written.
    """
    from recolor_cli.evaluate.page import page

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write '{folder}': {error.strerror}") from None
    write_atomic(folder / REPORT, (json.dumps(report.to_json(), indent=1) + "\n").encode())
    write_atomic(folder / IMAGES, report.to_csv().encode())
    write_atomic(folder / PAGE, page(report, panels).encode())


def _check(record: Mapping[str, Any]) -> None:
    """Hold a record to what comparing takes from it, so that damage is told as such."""
    for part, name in (("protocol", "name"), ("data", "sha256"), ("coloured", "name")):
        if not isinstance(record[part][name], str):
            raise ValueError(f"{name} of {part} is no text")
    for metric, entry in record["metrics"].items():
        for key in ("better", "definition", "preprocessing", "weights"):
            if not isinstance(entry[key], str):
                raise ValueError(f"{key} of {metric} is no text")
        for key in ("value", "low", "high", "truth"):
            missing = entry[key] is None and key != "value"  # too few pictures; or no such thing
            if not missing and not isinstance(entry[key], int | float):
                raise ValueError(f"{key} of {metric} is no number")


def _read_images(path: Path) -> tuple[tuple[str, ...], dict[str, list[float]]]:
    if not path.is_file():
        return (), {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    if not rows or not rows[0]:
        raise ValueError(f"{path.name} beside it is empty")
    columns = list(zip(*rows[1:], strict=True)) or [()] * len(rows[0])
    each = {
        name: [float(cell) for cell in column]
        for name, column in zip(rows[0][1:], columns[1:], strict=True)
    }
    return tuple(columns[0]), each


def number(value: float | None) -> str:
    """Four digits that matter; "-" for none."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    if value == 0 or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.4g}"


def table(report: Report) -> list[tuple[str, str, str, str, str]]:
    """(metric, value, 95 % interval, truth, better) for people."""
    arrows = {"higher": "higher", "lower": "lower", "truth": "as truth"}
    return [
        (
            name,
            number(entry["value"]) + (f" {entry['unit']}" if entry["unit"] else ""),
            "-" if entry["low"] is None else f"{number(entry['low'])} .. {number(entry['high'])}",
            number(entry["truth"]),
            arrows[entry["better"]],
        )
        for name, entry in report.metrics.items()
    ]


def first_sentence(name: str) -> str:
    """What a metric is, in one sentence."""
    definition = METRICS[name].definition
    return definition.partition(". ")[0].rstrip(".") + "."
