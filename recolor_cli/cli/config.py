"""`recolor config`: which settings hold here, and where each of them comes from."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from recolor_cli.cli.config_file import CHOICE, FILE, find_files, user_file
from recolor_cli.cli.configured import Setting, check_names, known_names, resolve
from recolor_cli.cli.console import Console, printable
from recolor_cli.cli.keys import keys_of, leaves
from recolor_cli.cli.options import JsonOpt
from recolor_cli.cli.variables import MERGE
from recolor_cli.errors import UsageError
from recolor_cli.recipes import did_you_mean

EPILOG = "\n\n".join(
    (
        "[bold]Examples[/]",
        "recolor config    (what is not as it was delivered)",
        "recolor config colorize    (every option of one command)",
        "recolor --config none config colorize    (the defaults)",
        "[bold]Precedence[/]: typed options, then RECOLOR_... variables, then recolor.toml or "
        "pyproject.toml's tool.recolor here or above, then your own file, then defaults",
    )
)


def config(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="Show every option of it, such as data split."),
    ] = None,
    json: JsonOpt = False,
) -> None:
    """Show which settings hold here, and where each comes from.

    Checks all files and variables; a mistake is told in one line.
    """
    console = Console(json=json)
    if os.environ.get(MERGE):
        from recolor_cli.color.compiled import merge_state

        merge_state()  # says what is wrong with it
    root: Any = ctx.find_root()
    files = find_files(Path.cwd(), root.obj)
    wanted = tuple(command or ())
    shown: list[tuple[str, Setting]] = []
    names = []
    for name in root.command.list_commands(root):
        group = root.command.get_command(root, name)
        for words, leaf in leaves(group, (name,)):
            keys = keys_of(leaf, words)
            for file in files:
                check_names(
                    file, known_names(root.command.list_commands(root), group, words), words, keys
                )
            names.append(" ".join(words))
            for setting in resolve(keys, words, files):
                if words[: len(wanted)] == wanted and (wanted or setting.origin):
                    shown.append((" ".join(words), setting))
    asked = " ".join(wanted)
    if wanted and not any(f"{name} ".startswith(f"{asked} ") for name in names):
        near = (
            did_you_mean(asked, [*names, *(name.split()[0] for name in names)])
            or "'recolor --help' lists them"
        )
        raise UsageError(f"no command '{asked}'; {near}")
    _show(shown, console, everything=bool(wanted))
    read = [file.shown for file in files]
    console.record({"event": "files", "files": read})
    if read:
        console.message(f"files: {', '.join(map(printable, read))}")
    elif root.obj == "none":
        console.message(f"no files: --config or {CHOICE} says none")
    else:
        own = printable(user_file())
        console.message(f"no files; {FILE} here or above, or {own}, would be read")


def _show(shown: list[tuple[str, Setting]], console: Console, *, everything: bool) -> None:
    for name, setting in shown:
        value = setting.value
        console.record(
            {
                "command": name,
                "option": setting.key.name,
                "value": [*map(str, value)] if isinstance(value, list | tuple) else _plain(value),
                "from": setting.origin or "default",
                "variables": list(setting.key.variables),
            }
        )
    rows = [(name, s.key.name, _text(s.value), s.origin or "default") for name, s in shown]
    if rows:
        console.table(("command", "option", "value", "from"), rows)
    elif not everything:
        console.message("everything is as it was delivered")


def _plain(value: Any) -> Any:
    """As JSON has it, which knows no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _text(value: Any) -> str:
    if value is None or value == ():
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
