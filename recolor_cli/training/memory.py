"""Not enough memory: said before it is spent where that can be known, and in one line where not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from recolor_cli.cgroups import memory_left
from recolor_cli.devices import is_out_of_memory
from recolor_cli.errors import DataError, RecolorError
from recolor_cli.recipes import Recipe

GIB = 2**30
NOT_SQUARE = 1.25  # photographs have about so many pixels more than a square of their short side


def cache_bytes(recipe: Recipe, photos: int) -> float:
    """Memory that so many decoded photographs take."""
    if recipe.cache == "none":
        return 0.0
    side = max(recipe.crop_px * recipe.scale_max, recipe.val_px)
    return 3 * NOT_SQUARE * side * side * photos


def free_bytes() -> float:
    """Memory that is not in use, or infinity where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024.0 * int(line.split()[1])
        return float("inf")
    except OSError:  # not Linux
        try:
            return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        except (AttributeError, ValueError, OSError):
            return float("inf")


def check_cache_fits(recipe: Recipe, photos: int) -> None:
    """Refuse to fill the memory with pictures.

    Raises:
        DataError: So many photographs will not fit.
    """
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's; each decodes for itself
    needed, free = processes * cache_bytes(recipe, photos), min(free_bytes(), memory_left())
    if needed > free:
        each = f" in {processes} processes" if processes > 1 else ""
        raise DataError(
            f"{photos} decoded photographs need {needed / GIB:.1f} GiB of memory{each}, "
            f"{free / GIB:.1f} GiB are free; use --set cache=none, a smaller crop_px, or fewer "
            "photographs"
        )


@contextmanager
def explain_lack_of_memory(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Turn the allocator's error into a line that says what to change.

    Raises:
        RecolorError: A step does not fit.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RecolorError(
            f"not enough memory on '{device}' for batch '{recipe.batch}' at {recipe.crop_px} px; "
            f"use --set accumulate={2 * recipe.accumulate}, or a smaller batch or crop_px"
        ) from error
