"""The samples of `batches.py`, cut and aged on the device from photographs that are kept there.

The processor draws what each sample is, with the same dice, and sends a few numbers; pixels do not
travel. The crops are those of `batches.py` but for rounding.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from recolor_cli.data.batches import Batch, Samples
from recolor_cli.data.crops import draw_crop
from recolor_cli.data.defects import ages, draw_defects
from recolor_cli.data.device_aging import aged_grays
from recolor_cli.data.photos import Photo
from recolor_cli.data.resampling import Album
from recolor_cli.devices import is_out_of_memory
from recolor_cli.errors import DataError
from recolor_cli.recipes import Recipe

GIB = 2**30


class DeviceSamples:
    """The endless, numbered samples of a run, made on the device.

    Args:
        photos: the training set; copied to the device here.
        recipe: how they are drawn, cut and aged.
        seed: of the run.
        device: where the network is.

    Raises:
        DataError: The photographs do not fit on the device.
    """

    def __init__(
        self, photos: Sequence[Photo], recipe: Recipe, seed: int, device: torch.device
    ) -> None:
        self.recipe = recipe
        self._numbered = Samples(photos, recipe, seed)
        self._ages = ages(recipe)
        self._album = load_album(photos, device)

    def batch(self, first: int, count: int) -> Batch:
        """Samples first .. first + count - 1."""
        numbers, crops, defects = [], [], []
        side = self.recipe.crop_px
        for number in range(first, first + count):
            rng = self._numbered.dice(number)
            numbers.append(self._numbered.photo_of(number))
            crops.append(draw_crop(rng, self._album.sizes[numbers[-1]], self.recipe))
            if self._ages:
                defects.append(draw_defects(rng, self.recipe, (side, side), noise=False))
        rgb = self._album.cut(numbers, crops, side)
        return Batch(rgb, aged_grays(rgb, defects) if self._ages else None)

    def batches(
        self, first: int, count: int, stride: int, workers: int = 0
    ) -> Generator[Batch, None, None]:
        """Batches of `count` samples from `first`, every `stride` samples, without end.

        Args:
            workers: not needed; a GPU is told what to do far ahead of its doing it.
        """
        del workers
        while True:
            yield self.batch(first, count)
            first += stride


def load_album(photos: Sequence[Photo], device: torch.device) -> Album:
    """Copy the photographs to the device, one after the other.

    Raises:
        DataError: They do not fit.
    """
    sizes = []
    for photo in photos:
        height, width, _ = photo.load().shape
        sizes.append((height, width))
    total = sum(height * width for height, width in sizes)
    try:
        pixels = torch.empty((total, 3), dtype=torch.uint8, device=device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise DataError(
            f"{len(photos)} decoded photographs ({3 * total / GIB:.1f} GiB) do not fit on "
            f"'{device}'; use --set cache=ram, a smaller crop_px, or fewer photographs"
        ) from error
    start = 0
    for photo, (height, width) in zip(photos, sizes, strict=True):
        part: Tensor = torch.from_numpy(photo.load()).view(-1, 3)
        pixels[start : start + height * width].copy_(part)
        start += height * width
    return Album(pixels, sizes)
