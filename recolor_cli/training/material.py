"""From `--data` and `--val` to a training and a validation set, the same each time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recolor_cli.data.batches import sampling_weights
from recolor_cli.data.photos import LeftOut, Photo, load_photos
from recolor_cli.data.sources import find_items
from recolor_cli.data.split import SETS, Split, split_by_hash, split_given
from recolor_cli.errors import DataError
from recolor_cli.recipes import Recipe
from recolor_cli.training.memory import check_cache_fits


@dataclass(frozen=True)
class Material:
    """What a run learns from and is judged on.

    Attributes:
        train: after `train_images`. val: after `val_images`.
        split: of everything that was found, and what was left out.
    """

    train: list[Photo]
    val: list[Photo]
    split: Split

    def describe(self) -> str:
        """One line: how many photographs, and how many files were left out and why."""
        counts = self.split.counts()
        reasons = [f"{counts[r]} {r}" for r in counts if r not in SETS]
        out = f" ({', '.join(reasons)} left out)" if reasons else ""
        return f"training on {len(self.train)} photographs, validating on {len(self.val)}{out}"

    def forget_training_pixels(self) -> None:
        """Give the memory back once the device has them; they can still be read again."""
        self.train[:] = [replace(photo, pixels=None) for photo in self.train]


def load_material(
    recipe: Recipe,
    data: Sequence[str | Path],
    val: Sequence[str | Path] = (),
    *,
    stored: Split | None = None,
    keep: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Material:
    """Find, decode, check and split the photographs.

    Args:
        recipe: sizes, shares, limits and cache.
        data: folders, tar shards, images.
        val: the same for validation; without it, a share of `data` is validated on.
        stored: of the run that is resumed, or of a file: it decides, and must still fit the files.
        keep: hold pictures in memory where the recipe says so.
        progress: called with (done, total) while decoding.

    Raises:
        DataError: Nothing is left to train or validate on, or the files are not those of `stored`.
        RecipeError: `name_weights` leaves nothing to draw.
    """
    need = max(recipe.crop_px * recipe.scale_max, recipe.val_px)

    def load(sources: Sequence[str | Path]) -> tuple[list[Photo], list[LeftOut]]:
        items = find_items(sources)
        if keep:
            check_cache_fits(recipe, len(items))
        return load_photos(
            items,
            keep=keep and recipe.cache != "none",
            max_side=math.ceil(need),
            min_side=recipe.min_side_px,
            min_chroma=recipe.min_chroma,
            progress=progress,
        )

    photos, left_out = load(data)
    if val:
        val_photos, val_left_out = load(val)
        left_out = [*left_out, *val_left_out]
        split = split_given(photos, val_photos, left_out)
        photos = [*photos, *val_photos]
    else:
        split = split_by_hash(
            photos, left_out, val_share=recipe.val_share, test_share=recipe.test_share
        )
    if stored is not None:
        split = stored.held_to(photos, left_out, [*data, *val])
    train = split.choose(photos, "train")
    if recipe.train_images:
        train = train[: recipe.train_images]
    chosen_val = split.choose(photos, "val")[: recipe.val_images]
    for name, chosen in (("train", train), ("validate", chosen_val)):
        if not chosen:
            counts = ", ".join(f"{n} {reason}" for reason, n in split.counts().items() if n)
            more = "add some"
            if name == "validate" and stored is None and not val:
                more = f"raise val_share '{recipe.val_share:g}'"
            raise DataError(
                f"no photographs to {name} on (found: {counts or 'none'}); {more}, or name a "
                "validation set with --val"
            )
    sampling_weights(train, recipe)  # said here, before networks are built and weights fetched
    return Material(train, chosen_val, split)
