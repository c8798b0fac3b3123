"""Recipes from text: `--set FIELD=VALUE`, and recipe.json of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_origin

from recolor_cli.errors import RecipeError, UsageError
from recolor_cli.recipes.recipe import TYPES, Recipe, did_you_mean


def parse_value(text: str, kind: type | None) -> Any:
    """The text of `--set` as a value of the field's type.

    None, for a network's argument: as JSON where it is JSON; 320,256 is a tuple, resnet18 is text.
    """
    if kind is str:
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        if kind is None:
            return _numbers(text)
        try:  # 1e-3 is JSON, but 1_000 and .5 are what people also write
            value = int(text) if kind is int else float(text)
        except ValueError:
            return text
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)  # 2e6
    return tuple(value) if isinstance(value, list) else value


def _numbers(text: str) -> str | tuple[int, ...]:
    """320,256,128 as numbers; whatever else there is, as it stands."""
    parts = text.strip("()").split(",")
    numbers = [part.strip() for part in parts if part.strip()]
    if len(parts) > 1 and numbers and all(number.isdecimal() for number in numbers):
        return tuple(map(int, numbers))
    return text


def override(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    """The recipe with `--set` values put in.

    Args:
        settings: field -> text; "network.NAME" and "discriminator.NAME" reach the arguments.

    Raises:
        RecipeError: A field is unknown, or a value has the wrong type or range.
    """
    changes: dict[str, Any] = {}
    for name, text in settings.items():
        part, dot, argument = name.partition(".")
        home = f"{part}_arguments"
        if dot and home in TYPES and not argument:
            raise RecipeError(f"{name} needs a name; write {name}NAME=VALUE")
        if dot and home in TYPES:
            arguments = changes.setdefault(home, dict(getattr(recipe, home)))
            arguments[argument] = parse_value(text, None)
        elif name in TYPES and get_origin(TYPES[name]) is None:
            changes[name] = parse_value(text, TYPES[name])
        elif name in TYPES:
            part = name.removesuffix("_arguments")
            raise RecipeError(f"{name} are set one at a time; use --set {part}.NAME=VALUE")
        else:
            near = did_you_mean(name, TYPES)
            prints = "'recolor recipes NAME' prints every field"
            raise RecipeError(
                f"recipes have no field '{name}'; {f'{near} {prints}' if near else prints}"
            )
    return replace(recipe, **changes)


def read_settings(run: Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a run, and what else it was started with: name, seed, data, val, loaded.

    `earlier`, where it was resumed with changes, lists what held before them.

    Args:
        run: the run folder.

    Raises:
        UsageError: The folder holds no run.
        RecipeError: Its recipe is damaged, or of another version.
    """
    path = Path(run, "recipe.json")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        return Recipe(**settings.pop("recipe")), settings
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"'{run}' holds no run; --resume wants the folder of one") from None
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
        raise RecipeError(
            f"'{path}' is not a recipe of this version ({error}); start a new run"
        ) from error


def read_run(run: Path) -> tuple[Recipe, dict[str, Any]]:
    """What `read_settings` reads, with everything in it that a resumed run needs.

    Raises:
        UsageError: The folder holds no run.
        RecipeError: Something is missing or is not what it should be.
    """
    recipe, settings = read_settings(run)
    for name, (fits, words) in _NEEDED.items():
        if name not in settings or not fits(settings[name]):
            found = f"says '{settings[name]}' for" if name in settings else "lacks"
            raise RecipeError(
                f"'{run / 'recipe.json'}' {found} '{name}', which must be {words}; "
                "put it back, or start a new run"
            )
    return recipe, settings


def _are_paths(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(path, str) for path in value)


_NEEDED: dict[str, tuple[Callable[[object], bool], str]] = {
    "name": (lambda value: isinstance(value, str), "text"),
    "seed": (lambda value: type(value) is int and value >= 0, "a whole number from 0"),
    "data": (lambda value: _are_paths(value) and bool(value), "a list of paths"),
    "val": (_are_paths, "a list of paths, or []"),
}
