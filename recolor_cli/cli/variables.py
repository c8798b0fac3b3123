"""Variables that look like ours and that nothing reads: mistyped, most likely."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from typing import Any

from recolor_cli.cli.config_file import CHOICE
from recolor_cli.cli.keys import TYPED_ONLY, Key, general_names, keys_of, leaves

PREFIX = "RECOLOR_"
MERGE = "RECOLOR_MERGE"
OTHERS = {CHOICE, "RECOLOR_CACHE", "RECOLOR_WEIGHTS_JSON", MERGE}  # of no option
CUTOFF = 0.6  # of difflib; below it, names have little more in common than their letters


def unread(root: Any) -> str:
    """One line about what nothing reads, with what was meant if that can be said; or "".

    Commands are imported only where a variable may be theirs: without any this costs nothing.

    Args:
        root: the context of the program.
    """
    found = sorted(
        name
        for name, text in os.environ.items()
        if name.startswith(PREFIX) and text and name not in OTHERS
    )
    found = [name for name in found if not _is_read(name, root)]
    if not found:
        return ""
    known = _keys(root.command.list_commands(root), root)
    meant = [_meant(name, known) for name in found]
    if len(found) == 1:
        return f"nothing reads {found[0]} of the environment; {meant[0] or 'unset it'}"
    told = [name + (f" ({near})" if near else "") for name, near in zip(found, meant, strict=True)]
    return f"nothing reads {', '.join(told)} of the environment; correct or unset them"


def _is_read(name: str, root: Any) -> bool:
    if name.removeprefix(PREFIX).lower().replace("_", "-") in general_names():
        return True
    commands = [
        command
        for command in root.command.list_commands(root)
        if name.startswith(f"{PREFIX}{command.upper()}_")
    ]
    return any(name in key.variables for key in _keys(commands, root))


def _keys(commands: Iterable[str], root: Any) -> list[Key]:
    return [
        key
        for command in commands
        for words, leaf in leaves(root.command.get_command(root, command), (command,))
        for key in keys_of(leaf, words)
    ]


def _meant(name: str, known: list[Key]) -> str:
    """What to do instead; "" if nobody can say."""
    rest = name.removeprefix(PREFIX)
    for option in sorted(TYPED_ONLY):
        if f"_{rest}".endswith(f"_{option}".upper().replace("-", "_")):
            return f"type --{option}"
    variables: dict[str, str] = {}
    for key in known:  # by option alone, then with its command
        variables.setdefault(key.name.upper().replace("-", "_"), key.variables[-1])
    for key in known:
        variables.update({one.removeprefix(PREFIX): one for one in key.variables})
    near = difflib.get_close_matches(rest, variables, 1, CUTOFF)
    return f"did you mean '{variables[near[0]]}'?" if near else ""
