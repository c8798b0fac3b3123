"""Every recipe by name."""

from __future__ import annotations

from recolor_cli.errors import RecipeError
from recolor_cli.recipes.ours import BASE, TINY
from recolor_cli.recipes.recipe import Recipe, did_you_mean
from recolor_cli.recipes.reports import REPORTS

RECIPES: dict[str, Recipe] = {"base": BASE, "tiny": TINY, **REPORTS}


def get_recipe(name: str) -> Recipe:
    """The recipe with that name.

    Raises:
        RecipeError: There is none.
    """
    if name not in RECIPES:
        near = did_you_mean(name, RECIPES)
        lists = "'recolor recipes' lists all"
        raise RecipeError(f"no recipe named '{name}'; {f'{near} {lists}' if near else lists}")
    return RECIPES[name]
