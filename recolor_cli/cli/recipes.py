"""`recolor recipes [NAME]`: what can be trained, and every value of one recipe."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from recolor_cli.cli.console import Console
from recolor_cli.cli.options import JsonOpt
from recolor_cli.recipes import RECIPES, Recipe, get_recipe

EPILOG = "\n\n".join(
    (
        "[bold]Examples[/]",
        "recolor recipes",
        "recolor recipes base    (every value)",
        "recolor recipes --json",
    )
)


def recipe_names(incomplete: str) -> list[tuple[str, str]]:
    """For shells: the names that begin like this, with what they are."""
    return [(name, r.title) for name, r in RECIPES.items() if name.startswith(incomplete)]


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            autocompletion=recipe_names,
            help="Print every value of this recipe.",
        ),
    ] = None,
    json: JsonOpt = False,
) -> None:
    """List the recipes that `recolor train` knows, or print one."""
    console = Console(json=json)
    if name is not None:
        values = asdict(get_recipe(name))
        console.record({"name": name, **values})
        width = max(map(len, values))
        for field, value in values.items():
            console.data(f"{field:<{width}}  {value if value != '' else '-'}")
        return
    from recolor_cli.training.estimate import count_parameters

    rows = []
    for known, recipe in RECIPES.items():
        generator, discriminator = count_parameters(recipe)
        row = {
            "name": known,
            "paper": recipe.paper,
            "network": recipe.network,
            "parameters": generator,
            "discriminator": discriminator,
            "losses": losses(recipe),
            "epochs": recipe.epochs,
            "title": recipe.title,
        }
        console.record(row)
        rows.append(list(row.values()))
    if not json:
        heads = ["recipe", "paper", "network", "parameters", "discriminator", "losses", "epochs"]
        console.table([*heads, "what it is"], rows)


def losses(recipe: Recipe) -> str:
    """The generator's losses with their weights, such as `100 l1 + bce`."""
    parts = [
        (recipe.reconstruction_weight * (recipe.objective != "none"), recipe.objective),
        (recipe.perceptual_weight, "vgg"),
        (recipe.lpips_weight, "lpips"),
        (recipe.gan_weight * (recipe.gan != "none"), recipe.gan),
    ]
    return " + ".join(n if w == 1 else f"{w:g} {n}" for w, n in parts if w)
