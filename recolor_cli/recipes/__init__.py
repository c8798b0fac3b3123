"""Recipes: everything that decides a training run, as frozen values; only differences are written.

recipe.py    the fields: defaults, ranges, meanings
settings.py  --set FIELD=VALUE, and recipe.json
ours.py      base and tiny
reports.py   the systems of the five reports
catalog.py   all of them by name
"""

from recolor_cli.recipes.catalog import RECIPES, get_recipe
from recolor_cli.recipes.ours import BASE, TINY
from recolor_cli.recipes.recipe import Recipe, did_you_mean, parse_name_weights
from recolor_cli.recipes.settings import override, read_settings

__all__ = [
    "BASE",
    "RECIPES",
    "TINY",
    "Recipe",
    "did_you_mean",
    "get_recipe",
    "override",
    "parse_name_weights",
    "read_settings",
]
