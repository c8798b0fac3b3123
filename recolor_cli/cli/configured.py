"""How files and the environment reach a command, and how their mistakes are told.

Flags win over the environment, that over files, those over defaults. What is found is checked here,
so that an error names its file or variable; Typer then takes it as `default_map` and `envvar`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recolor_cli.cli.config_file import ConfigFile, find_files
from recolor_cli.cli.console import Console
from recolor_cli.cli.keys import (
    TYPED_ONLY,
    Key,
    general_names,
    keys_of,
    kinds_of,
    leaves,
    plain,
    short,
)
from recolor_cli.cli.places import check_typed, place_rule
from recolor_cli.cli.variables import unread
from recolor_cli.errors import UsageError
from recolor_cli.recipes import did_you_mean

ORIGINS = "recolor_cli.origins"  # in the context: parameter -> file or variable


@dataclass(frozen=True)
class Setting:
    """A key with its value and where that comes from; "" for the default."""

    key: Key
    value: Any
    origin: str


def prepare(command: Any, words: Sequence[str]) -> None:
    """Make a command's options ready for files and the environment.

    Each gets its variables, which `--help` is not to list one by one, and each flag a `--no-FLAG`,
    which takes back what a file says; nothing else needs it, so `--help` does not show it either.
    An error about an option that was not typed says who asked for it, and a variable that nothing
    reads is told.
    """
    for path, leaf in leaves(command, tuple(words)):
        keys = {key.parameter: key for key in keys_of(leaf, path)}
        kinds = kinds_of(leaf)
        for parameter in leaf.params:
            name = parameter.name
            if name in kinds and (rule := place_rule(path, plain(name), kinds[name])):
                check_typed(parameter, rule)
            if (key := keys.get(parameter.name)) is not None:
                parameter.envvar, parameter.show_envvar = list(key.variables), False
                if key.kind is bool:
                    _let_take_back(parameter, f"--no-{key.name}")
        leaf.invoke = _blaming(leaf.invoke, keys)


def _let_take_back(parameter: Any, flag: str) -> None:
    add = parameter.add_to_parser

    def add_both(parser: Any, ctx: Any) -> None:
        parameter.secondary_opts = [flag]
        try:
            add(parser, ctx)
        finally:
            parameter.secondary_opts = []

    parameter.add_to_parser = add_both


def _blaming(invoke: Callable[[Any], Any], keys: Mapping[str, Key]) -> Callable[[Any], Any]:
    def invoked(ctx: Any) -> Any:
        _tell_unread(ctx)
        try:
            return invoke(ctx)
        except UsageError as error:
            text, origins = str(error), ctx.meta.get(ORIGINS, {})
            guilty = [
                f"--{key.name} comes from '{origins[name]}'"
                for name, key in keys.items()
                if re.search(rf"--{re.escape(key.name)}(?![\w-])", text)
                and name in origins
                and ctx.get_parameter_source(name).name in ("DEFAULT_MAP", "ENVIRONMENT")
            ]
            if not guilty:
                raise
            raise type(error)(f"{text} ({', '.join(guilty)})") from None

    return invoked


def _tell_unread(ctx: Any) -> None:
    """Of several processes that train together the first one tells."""
    root = ctx.find_root()
    if ctx.params.get("quiet") or os.environ.get("RANK", "0") != "0":
        return
    if line := unread(root):
        Console().warning(line)


def configure(ctx: Any, command: Any, words: Sequence[str], choice: str | None) -> None:
    """Give a command that is about to run what files and the environment say.

    Args:
        ctx: of the program; its `default_map` is set.
        command: that will run, or the group that it is in.
        words: that call `command`.
        choice: a file instead of those that would be found; "none" for no file.

    Raises:
        UsageError: A file or variable says what cannot be.
    """
    files = find_files(Path.cwd(), choice)
    tables: dict[str, Any] = {}
    origins: dict[str, str] = {}
    known = known_names(ctx.command.list_commands(ctx), command, words)
    for path, leaf in leaves(command, tuple(words)):
        keys = keys_of(leaf, path)
        for file in files:
            check_names(file, known, path, keys)
        table = tables
        for word in path:
            table = table.setdefault(word, {})
        for setting in resolve(keys, path, files):
            if setting.origin:
                origins[setting.key.parameter] = setting.origin
                if setting.origin not in setting.key.variables:  # Typer reads variables itself
                    table[setting.key.parameter] = setting.value
    ctx.default_map = tables
    ctx.meta[ORIGINS] = origins


def known_names(commands: Sequence[str], command: Any, words: Sequence[str]) -> dict[str, set[str]]:
    """All commands, and the subcommands of this one."""
    names: dict[str, set[str]] = {name: set() for name in commands}
    return names | {words[0]: set(getattr(command, "commands", ()))}


def resolve(
    keys: Sequence[Key], words: Sequence[str], files: Sequence[ConfigFile]
) -> list[Setting]:
    """The value of each key without flags, and where it comes from.

    Raises:
        UsageError: A file or variable has a value that does not fit.
    """
    settings = []
    for key in keys:
        setting = Setting(key, key.default, "")
        for file in reversed(files):
            for table, name in _tables(file, words, key):
                if key.name in table:
                    written = f"'{file.shown}' has {name} = {short(_toml(table[key.name]))}"
                    value = key.check(table[key.name], written, file.path)
                    setting = Setting(key, value, file.shown)
        for variable in key.variables:
            if text := os.environ.get(variable):
                setting = Setting(key, key.parse(text, variable), variable)
                break
        settings.append(setting)
    return settings


def check_names(
    file: ConfigFile, known: Mapping[str, set[str]], words: Sequence[str], keys: Sequence[Key]
) -> None:
    """Refuse what nothing reads in a command's tables, and at the top of a file.

    Args:
        file: what was found.
        known: all commands, and the subcommands of those that are looked at now.
        words: of the command whose table is checked.
        keys: of that command.

    Raises:
        UsageError: A command or option of that name does not exist.
    """
    general = general_names()
    _refuse_twice(file, file.settings, "")
    for name, value in file.settings.items():
        if isinstance(value, dict):
            if name not in known:
                near = did_you_mean(name, known) or "recolor --help lists them"
                if name == "tool":
                    near = "here [colorize] stands without tool.recolor"
                raise UsageError(f"'{file.shown}' has [{name}], which is no command; {near}")
        elif name in known:
            raise UsageError(f"'{file.shown}' has {name} = ..., which is a table; write [{name}]")
        elif plain(name) not in general:
            near = did_you_mean(name, general) or "options of one command stand in its table, "
            raise UsageError(
                f"'{file.shown}' has {name}, which is not for all commands; {near}"
                + ("" if near.startswith("did") else "such as [colorize]")
            )
    table: Any = file.settings
    for depth, word in enumerate(words):
        table = table.get(word, {})
        place = ".".join(words[: depth + 1])
        if not isinstance(table, dict):
            raise UsageError(f"'{file.shown}' has {place} = ..., which is a table; write [{place}]")
        _refuse_twice(file, table, f"{place}.")
        parts = known.get(word, set()) if depth == 0 and len(words) > 1 else set()
        names = parts or {key.name for key in keys}
        for name in table:
            if plain(name) in names:
                continue
            if plain(name) in TYPED_ONLY and not parts:
                raise UsageError(
                    f"'{file.shown}' has {place}.{name}, which is for one run; type --{name}"
                )
            lists = "recolor config lists them" if parts else f"recolor config {place} lists them"
            raise UsageError(
                f"'{file.shown}' has {place}.{name}, which is no option; "
                f"{did_you_mean(plain(name), names) or lists}"
            )


def _refuse_twice(file: ConfigFile, table: Mapping[str, Any], place: str) -> None:
    """`batch-size` and `batch_size` in one table: nobody can say which was meant."""
    seen: dict[str, str] = {}
    for name in table:
        if (other := seen.setdefault(plain(name), name)) != name:
            raise UsageError(
                f"'{file.shown}' has {place}{other} and {place}{name}, which are one; drop either"
            )


def _tables(
    file: ConfigFile, words: Sequence[str], key: Key
) -> Iterator[tuple[dict[str, Any], str]]:
    """Where a file may say a key, the place that wins last, with the key's full name there."""
    if len(key.variables) > 1:
        yield _with_dashes(file.settings), key.name
    table: Any = file.settings
    for word in words:
        table = table.get(word, {}) if isinstance(table, dict) else {}
    if isinstance(table, dict):
        yield _with_dashes(table), ".".join((*words, key.name))


def _with_dashes(table: Mapping[str, Any]) -> dict[str, Any]:
    return {plain(name): value for name, value in table.items()}


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
