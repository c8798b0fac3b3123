"""What each setting may be, in one place: for options, files, variables, reviews, Python."""

from __future__ import annotations

import math
import re
from numbers import Integral, Real
from typing import Any, NamedTuple

from recolor_cli.errors import UsageError

MAX_INPUT_SIZE = 4096
MOST_VARIANTS = 23  # with the photograph as it was they fill a contact sheet
MAX_SEED = 2**31 - 1
LONGEST = 60  # characters of a value in an error


class Range(NamedTuple):
    """Numbers of a kind, int or float, from `low` to `high`, both included."""

    kind: type
    low: float
    high: float


RANGES = {
    "input_size": Range(int, 16, MAX_INPUT_SIZE),
    "batch_size": Range(int, 1, 4096),
    "workers": Range(int, 1, 1024),
    "saturation": Range(float, 0, 10),
    "temperature": Range(float, 0.01, 10),
    "quality": Range(int, 1, 100),
    "max_pixels": Range(int, 1, math.inf),
    "variants": Range(int, 2, MOST_VARIANTS),  # or 0
    "variant": Range(int, 1, MOST_VARIANTS),
    "seed": Range(int, 0, MAX_SEED),
    "training_seed": Range(int, 0, 2**63 - 1),  # --seed of `recolor train`: what torch takes
    "threads": Range(int, 1, 512),  # of `recolor train`; torch dies of very many
    "cluster_workers": Range(int, 1, 65536),
    "megapixels": Range(float, 0.01, 500),
    "photos": Range(int, 1, math.inf),
    "preview_size": Range(int, 256, 16384),
}
LISTS = {  # of `recolor compare`, and the setting that each part of one is
    "sizes": "input_size", "saturations": "saturation",
    "warmths": "warmth", "temperatures": "temperature",
}  # fmt: skip
DEVICE = re.compile(r"auto|cpu|mps|cuda(?::(\d+))?")
_DOOR = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/]+)):(\d{1,5})")


def range_of(name: str) -> Range | None:
    """The numbers that a setting may be; None for what is no number, or is judged elsewhere."""
    if name == "warmth":
        # Here, since it brings NumPy: commands that only look at settings do without.
        from recolor_cli.color.warmth import MOST

        return Range(float, -MOST, MOST)
    return RANGES.get(name)


def misfit(name: str, value: Any) -> str:
    """How a value of the right type does not fit, such as "must be 0 to 10"; "" if it does.

    Args:
        name: Of the setting, such as `input_size`; one without a rule fits.
        value: A number, or text.
    """
    if name == "device":
        return "" if DEVICE.fullmatch(value) else "must be auto, cpu, cuda, cuda:N or mps"
    if name == "cluster":
        known = value in ("auto", "local") or cluster_door(value)
        return "" if known else "must be auto, local, or HOST:PORT such as 10.0.0.1:6379"
    if name == "shard":
        try:
            parse_shard(value)
        except UsageError:
            return "must be I/N, from 1/N to N/N, such as 1/4"
        return ""
    if name in LISTS:
        try:
            parts = parse_list(name, value)
        except UsageError:
            return "must be numbers with commas between them"
        return next(filter(None, (misfit(LISTS[name], part) for part in parts)), "")
    allowed = range_of(name)
    if allowed is None or (name == "variants" and not value):
        return ""
    kind, low, high = allowed
    if low <= value <= high:  # not so for NaN
        return ""
    if high == math.inf:
        return f"must be {low:g} or more"
    return f"must be {low} to {high}" if kind is int else f"must be {low:g} to {high:g}"


def cluster_door(address: str) -> tuple[str, int] | None:
    """Host and port of HOST:PORT; None if it is none.

    >>> cluster_door("[::1]:6379")
    ('::1', 6379)
    """
    match = _DOOR.fullmatch(address)
    if not match or not 0 < int(match[3]) < 65536:
        return None
    return match[1] or match[2], int(match[3])


def address_kind(text: str) -> str:
    """What stands before the :// of an address, such as s3; "" for a path of this machine."""
    kind, slashes, _ = text.partition("://")
    # One letter is a drive of Windows, whatever follows.
    sound = len(kind) > 1 and kind.replace("+", "").replace("-", "").isalnum()
    return kind if slashes and sound else ""


def misplaced(text: str, *, taken: str = "", made: bool = False) -> str:
    """How text cannot name a file or folder of this machine; "" if it can.

    Addresses are for what `recolor colorize` reads and writes: as a path of the local disk
    "s3://a/b" would be a folder s3: with a folder a. Nothing would be the folder one stands in.

    Args:
        text: As it was typed; a `Path` has lost what is looked for here.
        taken: The one kind of address that is taken all the same, such as hf; "*" for all.
        made: Whether the command writes it.
    """
    if not text:
        return "must name a file or folder"
    kind = address_kind(text)
    if kind in ("", taken) or taken == "*":
        return ""
    if kind == "file":
        return "must be a path; type it without file://"
    way = "write it here, then copy it there" if made else "copy it here first"
    return f"must be on this machine: such addresses are for colorize's input and -o; {way}"


def checked(name: str, value: Any, shown: str = "") -> Any:
    """A number as Python has it, of NumPy's kind or not.

    Args:
        name: Of the setting, such as `input_size`.
        value: For it, from wherever.
        shown: How an error names it; by default as an option.

    Raises:
        TypeError: It is no number, or no whole one.
        UsageError: It is out of range.
    """
    allowed = range_of(name)
    assert allowed is not None, name
    wanted: type = Integral if allowed.kind is int else Real
    if isinstance(value, bool) or not isinstance(value, wanted):
        kind = "a whole number" if allowed.kind is int else "a number"
        raise TypeError(f"{name} must be {kind}, got {value!r:.{LONGEST}}")
    if type(value) not in (int, float):
        value = allowed.kind(value)
    if wrong := misfit(name, value):
        got = f"{value:g}" if isinstance(value, float) else f"{value!s:.{LONGEST}}"
        raise UsageError(f"{shown or '--' + name.replace('_', '-')} {wrong}, got {got}")
    return value


def check_given(**values: float | None) -> None:
    """Check options by name, before the work begins; None is one that was not given.

    Raises:
        UsageError: One is out of range.
    """
    for name, value in values.items():
        if value is not None:
            checked(name, value)


def parse_list(name: str, text: str) -> list[Any]:
    """The numbers of one of `LISTS`.

    >>> parse_list("sizes", "256, 384")
    [256, 384]

    Raises:
        UsageError: A part is no number, or no whole one.
    """
    allowed = range_of(LISTS[name])
    assert allowed is not None, name
    numbers = []
    for part in filter(None, map(str.strip, text.split(","))):
        try:
            numbers.append(allowed.kind(part))
        except ValueError:
            raise UsageError(f"--{name} has {part!r}, which is no number") from None
    return numbers


def parse_shard(text: str) -> tuple[int, int]:
    """Read `I/N`.

    >>> parse_shard("2/8")
    (2, 8)

    Raises:
        UsageError: It is no part of so many.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not match:
        raise UsageError(f"no shard {text!r}; type --shard I/N, such as --shard 1/4")
    return check_shard((int(match[1]), int(match[2])))


def check_shard(shard: Any) -> tuple[int, int]:
    """(I, N) as it came.

    Raises:
        TypeError: It is no pair of whole numbers.
        UsageError: There is no such part.
    """
    if (
        not isinstance(shard, tuple)
        or len(shard) != 2
        or not all(isinstance(part, Integral) and not isinstance(part, bool) for part in shard)
    ):
        raise TypeError(f"shard must be two whole numbers, (I, N), got {shard!r:.{LONGEST}}")
    part, parts = map(int, shard)
    if not 1 <= part <= parts:
        raise UsageError(f"no part {part} of {parts}; --shard counts from 1/N to N/N")
    return part, parts
