"""Which options can be set outside of the command line, and what each of them takes."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from typer.models import OptionInfo

from recolor_cli.cli import options
from recolor_cli.cli.config_file import against
from recolor_cli.cli.places import place_rule
from recolor_cli.errors import UsageError
from recolor_cli.ranges import LONGEST, misfit
from recolor_cli.recipes import RECIPES, did_you_mean

# Of one call only; in a file they would do again and again what was wanted once.
TYPED_ONLY = {"config", "help", "version", "install-completion", "show-completion", "dry-run",
              "redo", "resume", "all", "from", "votes"}  # fmt: skip
PLACES = {"out", "data"}  # paths also where a command takes addresses there, as text
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
KINDS: dict[type, tuple[str, str]] = {  # what it should be, and what to write
    bool: ("true or false", "true"),
    int: ("a whole number", "4"),
    float: ("a number", "1.1"),
    str: ("text", '"text"'),
    Path: ("a path", '"folder/file"'),
}


@dataclass(frozen=True)
class Key:
    """One option that can be set outside of the command line.

    Attributes:
        name: in files, such as `input-size`.
        parameter: in code, such as `input_size`.
        kind: bool, int, float, str or Path; of its items, where it is a list.
        many: whether it is a list.
        choices: all that it can be; () if it is free.
        low, high: its range; None if open.
        rule: how a value does not fit the command beyond that, as `ranges.misfit`; "" if it does.
        variables: of the environment, the one that wins first.
        help: what it does.
        default: without any of this.
    """

    name: str
    parameter: str
    kind: type
    many: bool
    choices: tuple[str, ...]
    low: float | None
    high: float | None
    rule: Callable[[Any], str]
    variables: tuple[str, ...]
    help: str
    default: Any

    def check(self, value: Any, place: str, path: Path | None = None) -> Any:
        """The value as the command takes it.

        Args:
            value: from TOML.
            place: where it stands, for errors: "'FILE' has KEY = VALUE".
            path: of the file, for values that are paths.

        Raises:
            UsageError: It has another type, or is out of range.
        """
        if not self.many:
            return self._check_one(value, place, path)
        if not isinstance(value, list):
            raise UsageError(f"{place}, which should be a list; write [{self._example()}]")
        return [self._check_one(item, place, path) for item in value]

    def _check_one(self, value: Any, place: str, path: Path | None) -> Any:
        wanted: Any = str if self.kind is Path else self.kind
        if self.kind is float and type(value) is int:
            value = float(value) if abs(value) < 1e300 else math.inf  # which is in no range
        if type(value) is not wanted:
            raise UsageError(
                f"{place}, which should be {KINDS[self.kind][0]}; write {self._example()}"
            )
        if isinstance(value, str) and "\0" in value:
            raise UsageError(f"{place}; no file or option can have the character of number 0")
        if self.choices and value not in self.choices:
            near = did_you_mean(value, self.choices)
            known = f"one of {', '.join(self.choices)}"
            raise UsageError(f"{place}; {near or known}")
        if (self.low is not None and not value >= self.low) or (  # NaN is neither
            self.high is not None and not value <= self.high
        ):
            raise UsageError(f"{place}; it must be {self._range()}")
        if wrong := self.rule(value):
            raise UsageError(f"{place}; it {wrong}")
        if path is not None and self._is_path(value):
            return against(path, value)
        return value

    def parse(self, text: str, variable: str) -> Any:
        """A variable's text as a value of TOML would be; lists as Typer splits them."""
        shown = text if text == text.strip() else f"'{text}'"  # so that blanks can be seen
        place = f"the environment has {variable}={short(shown)}"
        if not self.many:
            return self.check(_number(text, self.kind), place)
        between = f"{os.pathsep}(?!//)"  # so that an address, which is refused, is told whole
        parts = re.split(between, text) if self.kind is Path else text.split()
        return self.check([_number(part, self.kind) for part in parts], place)

    def _is_path(self, value: Any) -> bool:
        """Whether a value is relative to its file: a path, not a name, an address or a pipe."""
        if self.kind is Path or not isinstance(value, str):
            return self.kind is Path
        if self.name in PLACES:
            return "://" not in value and value != "-"
        return value.startswith(("./", "../", "~/"))

    def _example(self) -> str:
        return f'"{self.choices[0]}"' if self.choices else KINDS[self.kind][1]

    def _range(self) -> str:
        if self.high is None:
            return f"at least {self.low:g}"
        return f"at most {self.high:g}" if self.low is None else f"{self.low:g} to {self.high:g}"


def short(text: str) -> str:
    """A value in an error; the end of a very long one says nothing."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def general_names() -> set[str]:
    """Options that mean the same in every command that has them; they need no table."""
    found = set()
    for shared in vars(options).values():
        for info in getattr(shared, "__metadata__", ()):
            if isinstance(info, OptionInfo) and isinstance(info.envvar, str):
                found.add(info.envvar.removeprefix("RECOLOR_").lower().replace("_", "-"))
    return found


def leaves(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command, or all commands of a group, with the words that call it."""
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, part in command.commands.items():
        yield from leaves(part, (*words, name))


def keys_of(command: Any, words: Sequence[str]) -> list[Key]:
    """The keys of one command.

    Args:
        command: as Typer made it.
        words: that call it, such as ("data", "split").
    """
    function = inspect.unwrap(command.callback)
    hints = get_type_hints(function, include_extras=True)
    keys = []
    for parameter in command.params:
        if parameter.param_type_name != "option" or parameter.hidden:
            continue
        name = next(opt for opt in parameter.opts if opt.startswith("--"))
        if plain(name) in TYPED_ONLY:
            continue
        hint, info = _split(hints[_parameter_of(function, parameter.name)])
        kind, many, choices = _kind(hint)
        own = "_".join(("RECOLOR", *words, plain(name))).upper().replace("-", "_")
        shared = info.envvar if info is not None and isinstance(info.envvar, str) else None
        keys.append(
            Key(
                name=plain(name),
                parameter=parameter.name,
                kind=kind,
                many=many,
                choices=choices,
                low=info.min if info else None,
                high=info.max if info else None,
                rule=place_rule(words, plain(name), kind) or _rule(words, plain(name)),
                variables=(own, shared) if shared else (own,),
                help=parameter.help or "",
                default=parameter.default,
            )
        )
    return keys


def kinds_of(command: Any) -> dict[str, type]:
    """What the values of all options and arguments of a command are, by parameter."""
    function = inspect.unwrap(command.callback)
    hints = get_type_hints(function, include_extras=True)
    names = {p.name: _parameter_of(function, p.name) for p in command.params}
    return {name: _kind(_split(hints[own])[0])[0] for name, own in names.items() if own in hints}


def _rule(words: Sequence[str], name: str) -> Callable[[Any], str]:
    """How a command judges a value, so that a file hears the same before it runs."""
    if words[0] == "train":
        own: dict[str, Callable[[Any], str]] = {
            "recipe": _no_recipe,
            "set": _no_field,
            "seed": partial(misfit, "training_seed"),
        }
        if name in own:
            return own[name]
    return partial(misfit, name.replace("-", "_"))


def _no_recipe(name: str) -> str:
    if name in RECIPES:
        return ""
    return f"must be a recipe; {did_you_mean(name, RECIPES) or 'recolor recipes lists them'}"


def _no_field(change: str) -> str:
    return "" if "=" in change else 'must be "FIELD=VALUE"'


def plain(name: str) -> str:
    """An option's name as files spell it: `--input-size` and `input_size` are `input-size`."""
    return name.lstrip("-").replace("_", "-")


def _parameter_of(function: Any, name: str) -> str:
    """Typer calls `set_` by its option's name in some versions."""
    return name if name in inspect.signature(function).parameters else f"{name}_"


def _split(hint: Any) -> tuple[Any, OptionInfo | None]:
    """Annotated[type, Option(...)] -> both; of an argument, the type."""
    about = getattr(hint, "__metadata__", ())
    infos = [part for part in about if isinstance(part, OptionInfo)]
    return (get_args(hint)[0] if about else hint), (infos[0] if infos else None)


def _kind(hint: Any) -> tuple[type, bool, tuple[str, ...]]:
    """(type, whether a list of it, choices)."""
    parts = [part for part in get_args(hint) if part is not NoneType]
    if get_origin(hint) is Literal:
        return str, False, tuple(map(str, parts))
    if get_origin(hint) is list:
        return parts[0], True, ()
    if len(parts) == 1:
        return _kind(parts[0])
    return hint, False, ()


def _number(text: str, kind: type) -> Any:
    """A variable's text; as it is, where it is not of that kind, to be refused."""
    if kind is bool:
        lowered = text.strip().lower()  # as Typer does
        return True if lowered in TRUE else False if lowered in FALSE else text
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text
