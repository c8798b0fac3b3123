"""Makes the page on which people judge: blind pairs, one question each, all inside one file.

The page does not know which picture is which; that is in key.json, which stays with whoever asks.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recolor_cli.errors import OutputError, UsageError
from recolor_cli.evaluate.colouring import Colouring
from recolor_cli.evaluate.evaluation import pictures_of
from recolor_cli.evaluate.page import jpeg
from recolor_cli.evaluate.protocols import Protocol
from recolor_cli.evaluate.sources import Pair
from recolor_cli.images.atomic import write_atomic

Pixels = NDArray[np.uint8]

PAGE, KEY = "judge.html", "key.json"
KEY_FORMAT = "recolor-judge-key/1"
SIDE_PX = 640  # longer side of the pictures on the page
QUALITY = 95  # of both sides alike, so that the compression tells nothing
BATCH = 8
REAL, A, B = "real", "a", "b"
QUESTIONS = {
    "real": "Which one is the real photograph?",
    "prefer": "Which one has the better colours?",
}


def export_study(
    folder: Path,
    pairs: Sequence[Pair],
    first: Colouring,
    protocol: Protocol,
    *,
    second: Colouring | None = None,
    seed: int = 0,
    advance: Callable[[str], None] = lambda _name: None,
) -> Path:
    """Write judge.html and key.json.

    Every picture gives one trial "coloured by `first`, or the truth?"; with `second` also one for
    it, and one "`first` or `second`?". Sides are drawn by `seed`, the order by the browser.

    Returns:
        The page.

    Raises:
        UsageError: there is no picture.
        OutputError: the folder holds a study already, or cannot be written.
    """
    if not pairs:
        raise UsageError("a study needs pictures; name some with --data")
    if (folder / KEY).exists():
        raise OutputError(f"'{folder}' holds a study already; choose another --export")
    draw = random.Random(seed)
    trials: list[dict[str, str]] = []
    key: dict[str, dict[str, str]] = {}
    for start in range(0, len(pairs), BATCH):
        some = pairs[start : start + BATCH]
        ours = pictures_of(some, first, protocol)
        theirs = pictures_of(some, second, protocol) if second else [None] * len(some)
        for pair, (coloured, true), other in zip(some, ours, theirs, strict=True):
            shown = {REAL: true, A: coloured} | ({B: other[0]} if other else {})
            kinds = [("real", REAL, A)]
            if other:
                kinds += [("real", REAL, B), ("prefer", A, B)]
            for question, *sides in kinds:
                draw.shuffle(sides)
                trial = _id(seed, len(trials), pair.name)
                left, right = (_data(shown[side]) for side in sides)
                trials.append({"id": trial, "question": question, "left": left, "right": right})
                key[trial] = {
                    "picture": pair.name,
                    "question": question,
                    "left": sides[0],
                    "right": sides[1],
                }
            advance(pair.name)
    study = hashlib.sha256(json.dumps([trials, key], sort_keys=True).encode()).hexdigest()[:32]
    coloured_by = {A: first.describe()} | ({B: second.describe()} if second else {})
    _write(folder, study, trials, key, coloured_by, protocol)
    return folder / PAGE


def _write(
    folder: Path,
    study: str,
    trials: Sequence[dict[str, str]],
    key: dict[str, dict[str, str]],
    coloured_by: dict[str, dict[str, object]],
    protocol: Protocol,
) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write '{folder}': {error.strerror}") from None
    template = files("recolor_cli.evaluate").joinpath("judge.html").read_text(encoding="utf-8")
    content = {"study": study, "questions": QUESTIONS, "trials": trials}
    # "</" would end the script element in which the study stands.
    embedded = json.dumps(content, ensure_ascii=True).replace("</", "<\\/")
    write_atomic(folder / PAGE, template.replace("@STUDY@", embedded).encode())
    record = {
        "format": KEY_FORMAT,
        "study": study,
        "protocol": protocol.to_json(),
        "coloured": coloured_by,
        "trials": key,
    }
    write_atomic(folder / KEY, (json.dumps(record, indent=1) + "\n").encode())


def _id(seed: int, number: int, name: str) -> str:
    """Tells neither the picture nor its place; the key does."""
    return hashlib.sha256(f"{seed}/{number}/{name}".encode()).hexdigest()[:12]


def _data(pixels: Pixels) -> str:
    encoded = jpeg(pixels, SIDE_PX, QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded).decode()}"
