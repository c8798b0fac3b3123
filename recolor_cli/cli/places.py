"""Which options and arguments name files and folders, and what each of them cannot be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from recolor_cli.errors import UsageError
from recolor_cli.ranges import LONGEST, misplaced

TEXT = {"inputs", "out", "data", "hints"}  # also where a command takes them as text
ADDRESSES = {"inputs", "out", "hints"}  # of `recolor colorize`, wherever they lie
WEIGHTS = {"model", "against"}
MADE = {"out", "export"}


def place_rule(words: Sequence[str], name: str, kind: type) -> Callable[[str], str] | None:
    """How a command judges text for a place, as `ranges.misfit`; None for what is no place.

    Args:
        words: That call the command, such as ("data", "split").
        name: Of the option or argument.
        kind: Of its values.
    """
    if kind is str and name in WEIGHTS:
        return partial(misplaced, taken="hf")
    if kind is not Path and not (kind is str and name in TEXT):
        return None
    if words[0] == "colorize" and name in ADDRESSES:
        return partial(misplaced, taken="*")
    return partial(misplaced, made=name in MADE and words[0] != "gallery")  # which reads its OUT


def check_typed(parameter: Any, rule: Callable[[str], str]) -> None:
    """Have a parameter judge what was typed, before a `Path` makes other text of it."""
    process = parameter.process_value

    def judge_first(ctx: Any, value: Any) -> Any:
        for text in value if isinstance(value, list | tuple) else (value,):
            if isinstance(text, str) and (wrong := rule(text)):
                raise UsageError(f"{_shown(parameter)} is {text!r:.{LONGEST}}, and {wrong}")
        return process(ctx, value)

    parameter.process_value = judge_first


def _shown(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        return next(str(opt) for opt in parameter.opts if opt.startswith("--"))
    return str(parameter.metavar or parameter.name.upper()).rstrip(".")
