"""`recolor.toml` and `[tool.recolor]`: where they are looked for, and what they say as TOML."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import typer

from recolor_cli.errors import UsageError
from recolor_cli.ranges import misplaced

FILE, PROJECT_FILE = "recolor.toml", "pyproject.toml"
CHOICE = "RECOLOR_CONFIG"  # this file instead of those that would be found; "none" for no file


class ConfigFile(NamedTuple):
    """A file with settings.

    Attributes:
        path: absolute.
        settings: what it says: option -> value for all commands, command -> table of options.
    """

    path: Path
    settings: Mapping[str, Any]

    @property
    def shown(self) -> str:
        """The path as people know it: relative where that is shorter."""
        try:
            return str(self.path.relative_to(Path.cwd()))
        except ValueError:
            return str(self.path)


def user_file() -> Path:
    """The file for everything that one person does, such as ~/.config/recolor/recolor.toml."""
    return Path(typer.get_app_dir("recolor")) / FILE


def find_files(folder: Path, choice: str | None = None) -> list[ConfigFile]:
    """The files that count in a folder, the one that wins first.

    The nearest `recolor.toml`, or `pyproject.toml` with a `[tool.recolor]`, in the folder or above
    it; then the user's own.

    Args:
        folder: where the command was typed.
        choice: a file to take instead; "none" for no file.

    Raises:
        UsageError: A file is chosen and not there, cannot be read, or is not TOML.
    """
    if choice is not None and (wrong := misplaced(choice)):
        raise UsageError(f"--config (or {CHOICE}) is {choice!r}, and {wrong}")
    if choice == "none":
        return []
    if choice:
        path = Path(os.path.expanduser(choice)).absolute()
        _refuse_folder(path)
        if not os.path.isfile(path):  # False where nobody may look, too
            raise UsageError(f"no file '{choice}'; --config (or {CHOICE}) names a file, or none")
        return [ConfigFile(path, _settings(path) or {})]
    found = []
    for place in (folder.absolute(), *folder.absolute().parents):
        project = next(filter(None, map(_read, (place / FILE, place / PROJECT_FILE))), None)
        if project is not None:
            found.append(project)
            break
    own = user_file()
    _refuse_folder(own)
    if os.path.isfile(own) and own not in [file.path for file in found]:
        found.append(ConfigFile(own, _settings(own) or {}))
    return found


def _refuse_folder(path: Path) -> None:
    """What is named like a file with settings and is none was meant to be one."""
    if os.path.isdir(path):
        raise UsageError(f"'{path}' is a folder, and should be a file; rename it, or {CHOICE}=none")
    if os.path.islink(path) and not os.path.exists(path):
        raise UsageError(f"'{path}' is a link to nothing; mend it, or {CHOICE}=none")


def _read(path: Path) -> ConfigFile | None:
    if path.name == FILE:
        _refuse_folder(path)
    settings = _settings(path) if os.path.isfile(path) else None
    return None if settings is None else ConfigFile(path, settings)


def _settings(path: Path) -> Mapping[str, Any] | None:
    """What a file says; None for a pyproject.toml that says nothing about recolor."""
    import tomllib

    try:
        content = path.read_bytes()
        if path.name == PROJECT_FILE and b"recolor" not in content:
            return None  # other people's projects need not even be TOML
        everything = tomllib.loads(content.decode("utf-8-sig"))  # some editors put a mark first
    except OSError as error:
        raise UsageError(
            f"'{path}' cannot be read: {error.strerror}; mend it, or {CHOICE}=none"
        ) from None
    except UnicodeDecodeError:
        raise UsageError(
            f"'{path}' is not TOML: it is not in UTF-8; save it so, or {CHOICE}=none"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"'{path}' is not TOML: {error}; mend it, or {CHOICE}=none") from None
    if path.name != PROJECT_FILE:
        return everything
    tool = everything.get("tool", {})
    table = tool.get("recolor") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"'{path}' has tool.recolor, which should be a table; [tool.recolor]")
    return table


def against(path: Path, text: str) -> str:
    """A path of a file, as that file means it: `~/` is home, the rest is relative to the file."""
    return os.path.normpath(path.parent / os.path.expanduser(text))
