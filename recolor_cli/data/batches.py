"""Numbered samples, each seeded by its number, cut by threads ahead of the loop.

Sample n of a run is the same crop of the same photograph whatever came before, however many
threads or processes cut it: that is what makes runs repeatable and exactly resumable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recolor_cli.data.aging import aged_gray
from recolor_cli.data.crops import center_crop, cut, draw_crop
from recolor_cli.data.defects import ages
from recolor_cli.data.photos import Photo, Pixels
from recolor_cli.errors import RecipeError
from recolor_cli.recipes import Recipe, parse_name_weights

AHEAD = 3  # batches that each thread may be ahead


@dataclass(frozen=True)
class Batch:
    """Crops as the loop takes them: arrays, or tensors that are on the device already.

    Attributes:
        rgb: (B, H, W, 3) uint8 sRGB: the truth.
        gray: (B, H, W) uint8 sRGB-encoded grey: the aged input; None where the input is the truth's
            own luminance.
    """

    rgb: Pixels | Tensor
    gray: Pixels | Tensor | None


class Samples:
    """The endless, numbered samples of a run.

    Args:
        photos: the training set.
        recipe: how they are drawn, cut and aged.
        seed: of the run.
    """

    def __init__(self, photos: Sequence[Photo], recipe: Recipe, seed: int) -> None:
        self.photos = photos
        self.recipe = recipe
        self.seed = seed
        self._aged = ages(recipe)
        self._weights = sampling_weights(photos, recipe)
        self.order = lru_cache(maxsize=3)(self._order)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Photo numbers of one epoch: each once, or as often as its weight says, shuffled."""
        rng = np.random.default_rng((self.seed, epoch, 1))
        count = len(self.photos)
        if self._weights is None:
            return rng.permutation(count)
        edges = np.cumsum(self._weights) / self._weights.sum()
        ticks = (np.arange(count) + rng.random()) / count  # systematic: no photo far off its share
        return rng.permutation(np.searchsorted(edges, ticks).clip(0, count - 1))

    def photo_of(self, number: int) -> int:
        """Which photograph sample `number` is cut from."""
        epoch, position = divmod(number, len(self.photos))
        return int(self.order(epoch)[position])

    def dice(self, number: int) -> np.random.Generator:
        """What decides everything else about sample `number`."""
        return np.random.default_rng((self.seed, number, 2))

    def sample(self, number: int) -> tuple[Pixels, Pixels | None]:
        """Sample `number`: its crop (H, W, 3) and, where the recipe ages, its grey (H, W)."""
        pixels = self.photos[self.photo_of(number)].load()
        rng = self.dice(number)
        crop = draw_crop(rng, (pixels.shape[0], pixels.shape[1]), self.recipe)
        rgb = cut(pixels, crop, self.recipe.crop_px)
        return rgb, aged_gray(rgb, rng, self.recipe) if self._aged else None

    def batch(self, first: int, count: int) -> Batch:
        """Samples first .. first + count - 1."""
        return _stack([self.sample(number) for number in range(first, first + count)])

    def batches(
        self, first: int, count: int, stride: int, workers: int
    ) -> Generator[Batch, None, None]:
        """Batches of `count` samples from `first`, every `stride` samples, without end.

        Args:
            workers: threads; the results do not depend on it. 0 cuts when asked.
        """
        if workers == 0:
            while True:
                yield self.batch(first, count)
                first += stride
        cv2.setNumThreads(
            1
        )  # our threads are the parallelism; OpenCV's own would fight the network
        pool = ThreadPoolExecutor(workers, thread_name_prefix="crops")
        waiting: deque[Future[Batch]] = deque()
        try:
            while True:
                while len(waiting) < workers * AHEAD:
                    waiting.append(pool.submit(self.batch, first, count))
                    first += stride
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def validation_batches(
    photos: Sequence[Photo], recipe: Recipe, count: int
) -> Generator[Batch, None, None]:
    """The middle of every photograph, `count` at a time; never aged, never random."""
    side = recipe.val_px or recipe.crop_px
    for first in range(0, len(photos), count):
        crops = []
        for photo in photos[first : first + count]:
            pixels = photo.load()
            crops.append(cut(pixels, center_crop(pixels, recipe), side))
        yield Batch(np.stack(crops), None)


def _stack(samples: Sequence[tuple[Pixels, Pixels | None]]) -> Batch:
    grays = [gray for _, gray in samples if gray is not None]
    return Batch(np.stack([rgb for rgb, _ in samples]), np.stack(grays) if grays else None)


def sampling_weights(photos: Sequence[Photo], recipe: Recipe) -> NDArray[np.float64] | None:
    """How often each photograph is drawn, beside the others; None where all are equal.

    Raises:
        RecipeError: None of them would ever be drawn.
    """
    by_prefix = parse_name_weights(recipe.name_weights)
    if not by_prefix:
        return None
    weights = np.ones(len(photos))
    for index, photo in enumerate(photos):
        name = photo.item.name.rpartition("/")[2]
        for prefix, weight in by_prefix.items():
            if name.startswith(prefix):
                weights[index] = weight
    with np.errstate(over="ignore"):
        together = weights.sum()
    if not 0 < together < np.inf:
        raise RecipeError(
            f"name_weights '{recipe.name_weights}' gives the {len(photos)} training photographs "
            f"the weight {together:g} together; choose some above 0, around 1"
        )
    return weights
