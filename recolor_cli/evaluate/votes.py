"""What people's votes come to: fooling rate and preference, with binomial intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recolor_cli.errors import DataError
from recolor_cli.evaluate.judge import KEY, KEY_FORMAT, REAL, B

VOTES_FORMAT = "recolor-votes/1"
_Z_95 = 1.959964


@dataclass(frozen=True)
class Share:
    """A share of votes.

    Attributes:
        name: what it is the share of.
        count: votes for it.
        n: votes in all.
        value: count / n.
        low: lower end of Wilson's 95 % interval.
        high: upper end.
    """

    name: str
    count: int
    n: int
    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def count_votes(files: Sequence[Path], key: Path | None = None) -> list[Share]:
    """Fooling rate of each colouring (0.5 is perfect), and preference for the second, if any.

    Args:
        files: what the page saved, one for each judge.
        key: the study's key.json, or its folder; None looks beside and above the first file.

    Raises:
        DataError: files are missing or damaged, belong to another study, or count twice.
    """
    where = _find_key(files, key)
    record = _read(where, KEY_FORMAT)
    try:
        return _count(files, record)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise DataError(
            f"'{where}' or a file of votes is damaged ({type(error).__name__}: {error}); "
            "save the votes again"
        ) from error


def _count(files: Sequence[Path], record: dict[str, Any]) -> list[Share]:
    trials: dict[str, dict[str, str]] = record["trials"]
    answers: dict[str, list[bool]] = {}
    seen: set[tuple[str, str]] = set()
    for path in files:
        votes = _read(path, VOTES_FORMAT)
        if votes["study"] != record["study"]:
            raise DataError(f"'{path}' holds votes of another study; leave it out")
        for vote in votes["votes"]:
            trial, choice = vote.get("trial"), vote.get("choice")
            if trial not in trials or choice not in ("left", "right"):
                raise DataError(f"'{path}' is damaged: it has a vote {vote}")
            if (votes["judge"], trial) in seen:
                raise DataError(
                    f"'{path}' repeats votes of '{votes['judge']}'; give each file once, and each "
                    "judge a name of their own"
                )
            seen.add((votes["judge"], trial))
            name, hit = _answer(trials[trial], trials[trial][choice])
            answers.setdefault(name, []).append(hit)
    if not answers:
        raise DataError("there are no votes in these files; open judge.html and vote")
    names = {side: entry["name"] for side, entry in record["coloured"].items()}
    return [
        share(name.format(**names), sum(hits), len(hits)) for name, hits in sorted(answers.items())
    ]


def share(name: str, count: int, n: int) -> Share:
    """A share with Wilson's score interval (1927), which also holds near 0 and 1."""
    value = count / n
    scale = 1 + _Z_95**2 / n
    middle = (value + _Z_95**2 / (2 * n)) / scale
    half = _Z_95 / scale * math.sqrt(value * (1 - value) / n + _Z_95**2 / (4 * n * n))
    return Share(name, count, n, value, max(0.0, middle - half), min(1.0, middle + half))


def _answer(trial: dict[str, str], chosen: str) -> tuple[str, bool]:
    if trial["question"] == "prefer":
        return "preference for {b} over {a}", chosen == B
    coloured = trial["left"] if trial["right"] == REAL else trial["right"]
    return f"fooling rate of {{{coloured}}}", chosen != REAL


def _find_key(files: Sequence[Path], key: Path | None) -> Path:
    if key is not None:
        return key / KEY if key.is_dir() else key
    folders = [files[0].resolve().parent, *list(files[0].resolve().parents)[1:2]]
    for folder in folders:
        if (folder / KEY).is_file():
            return folder / KEY
    raise DataError(f"no '{KEY}' beside '{files[0]}'; name the study's folder with --export")


def _read(path: Path, format_: str) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != format_:
            raise ValueError(f"its format is not {format_}")
        return dict(record)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"'{path}' cannot be read: {reason}") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"'{path}' cannot be counted: it is no {format_} file") from None
