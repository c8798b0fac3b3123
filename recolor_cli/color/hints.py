"""Colours that a person knows, spread over the objects they belong to.

The photograph is a net of pixels. A step between neighbours costs little where L and the network's
ab stay as they are, and much across an edge: its cost is quadratic, so that a fold of cloth, whose
tones change step by step, is cheap, and the outline of the cloth is dear. A hint reaches as far as
its budget of cost goes (geodesic distance, as Criminisi, Sharp and Blake 2008 use it to edit
pictures along edges); where hints meet, the nearer one wins.

SciPy finds the cheapest ways; it is imported when the first hint is applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.color.curves import Floats
from recolor_cli.color.gamut import KNEE, max_chroma
from recolor_cli.color.lab import rgb_to_lab
from recolor_cli.errors import PhotoError

FULL = 0.5  # share of the budget up to which a hint has full force; from there it fades to none
REACHED = 0.95  # of the largest chroma of a lightness and hue: as far as hints are taken

_LENGTH_COST = 0.3  # of crossing the long side of the picture where nothing changes
_EDGE_L = 9.0  # a step of L between neighbours that costs a whole budget
_EDGE_AB = 20.0  # the same of the network's ab
_UNLIKE_L = 20.0  # difference from the hinted place in L that counts as unlike
_UNLIKE_AB = 45.0  # the same in ab
_UNLIKE_COST = 5.0  # of crossing the long side through unlike pixels
_UNLIKE_MOST = 6.0  # differences count up to this many times
_GRAIN_PX = 5  # of the filter that takes grain off L and leaves edges
_GRAIN_L = 12.0  # differences of L that it takes for grain
_SPECK_PX = 5  # of the filter that closes specks which a hint went around
_REACH_PX = 1  # pixels around a point that are its place too: the map is interpolated later


@dataclass(frozen=True)
class Hint:
    """A colour that is known at a place of the upright picture.

    Attributes:
        box: left, top, right, bottom as fractions of width and height, 0..1; a point has
            left = right and top = bottom. All of the box has the colour.
        rgb: sRGB 0..255; None says that the network's own colour is right here.
        page: of a file with several pictures, counted from 1.
        in_pixels: whether the box is in pixels: a box from edge to edge, a point as the pixel's
            column and row, counted from 0.
    """

    box: tuple[float, float, float, float]
    rgb: tuple[int, int, int] | None
    page: int = 1
    in_pixels: bool = False

    def in_fractions(self, size: tuple[int, int]) -> Hint:
        """This hint for a picture of (height, width), with its place as fractions.

        Raises:
            PhotoError: The place is outside the picture.
        """
        if not self.in_pixels:
            return self
        height, width = size
        left, top, right, bottom = self.box
        point = left == right
        if right > width - point or bottom > height - point:
            place = self.box[:2] if point else self.box
            raise PhotoError(
                f"hint at {[round(value, 1) for value in place]} is outside the picture of "
                f"{width} x {height} pixels, upright; count from its upper left corner"
            )
        shift = 0.5 if point else 0.0
        box = (
            (left + shift) / width,
            (top + shift) / height,
            (right + shift) / width,
            (bottom + shift) / height,
        )
        return replace(self, box=box, in_pixels=False)


def apply_hints(lightness: Floats, ab: Floats, hints: Sequence[Hint]) -> Floats:
    """Bring hints into an ab map.

    At a hint's place the map gets the a and b of its colour; L is not touched, so that a hint says
    hue and chroma, not how light a thing is. What is out of the gamut at the photograph's L comes
    as close as its hue allows.

    Args:
        lightness: (h, w) float32 0..100, upright.
        ab: (h, w, 2) float32, Lab units: what the network says, saturation included.
        hints: at least one.

    Returns:
        ab (h, w, 2) for `merge_ab` with saturation 1.
    """
    height, width = lightness.shape
    smooth = cv2.bilateralFilter(lightness, _GRAIN_PX, _GRAIN_L, _GRAIN_PX / 2)
    net = _Net(np.dstack([smooth, ab]).astype(np.float32))
    total = np.zeros((height, width), np.float32)
    blend = np.zeros((height, width, 2), np.float32)
    force = np.zeros((height, width), np.float32)
    placed = []
    places = [_place(hint, (height, width)) for hint in hints]
    for number, (hint, place) in enumerate(zip(hints, places, strict=True)):
        if any(_covers(later, place) for later in places[number + 1 :]):
            continue  # it was corrected
        distance = net.distance(place)
        # Exact at each hint's own place; between two hints a mixture only where both are near.
        weight = np.where(distance < 1, 1 / (distance**2 + 1e-3) ** 2, 0).astype(np.float32)
        wanted = ab if hint.rgb is None else _wanted(hint.rgb, lightness)
        blend += weight[..., None] * wanted
        total += weight
        np.maximum(force, _fade(distance), out=force)
        placed.append((place, wanted))
    blend /= np.maximum(total, 1e-12)[..., None]
    force = np.asarray(cv2.medianBlur(force, _SPECK_PX), np.float32)
    result = ab + force[..., None] * (blend - ab)
    for place, wanted in placed:  # the last word where places overlap is the last hint's
        result[place] = wanted[place]
    return np.ascontiguousarray(result, np.float32)


def reachable(lightness: Floats, a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The a and b that a hint comes to at a lightness: its own, or the gamut's edge of its hue."""
    limit = max_chroma(lightness, a, b) * np.float32(REACHED)
    scale = np.minimum(1, limit / np.maximum(np.hypot(a, b), np.float32(1e-6)))
    return a * scale, b * scale


def _wanted(rgb: tuple[int, int, int], lightness: Floats) -> Floats:
    """The ab (h, w, 2) that `merge_ab` turns into the colour, once it has compressed chroma."""
    _, a, b = rgb_to_lab(np.array([[rgb]], np.uint8))[0, 0]
    a, b = reachable(lightness, np.full_like(lightness, a), np.full_like(lightness, b))
    chroma, limit = np.hypot(a, b), max_chroma(lightness, a, b)
    # The knee of `gamut.py` undone: from C' = K + (1 - K) x / (1 + x) back to C.
    over = (chroma / np.maximum(limit, 1e-6) - KNEE) / (1 - KNEE)
    before = limit * (KNEE + (1 - KNEE) * over / np.maximum(1 - over, 1e-6))
    scale = np.where(over > 0, before / np.maximum(chroma, 1e-6), 1)
    return np.asarray(np.dstack([a * scale, b * scale]), np.float32)


def _place(hint: Hint, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the map that a hint is about; never empty."""
    sides = []
    for size, low, high in (
        (shape[0], hint.box[1], hint.box[3]),
        (shape[1], hint.box[0], hint.box[2]),
    ):
        # Pixel i covers i / size .. (i + 1) / size.
        first = min(int(low * size), size - 1)
        last = min(max(int(np.ceil(high * size)) - 1, first), size - 1)
        if low == high:
            first, last = max(first - _REACH_PX, 0), min(last + _REACH_PX, size - 1)
        sides.append(slice(first, last + 1))
    return sides[0], sides[1]


def _covers(outer: tuple[slice, slice], inner: tuple[slice, slice]) -> bool:
    return all(o.start <= i.start and i.stop <= o.stop for o, i in zip(outer, inner, strict=True))


def _fade(distance: NDArray[np.float64]) -> Floats:
    """1 up to `FULL`, 0 from 1, a smooth step between."""
    t = np.clip((1 - distance) / (1 - FULL), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


class _Net:
    """The pixels of a picture with the cost of each step to one of eight neighbours.

    Args:
        looks: (h, w, 3): L without grain, and the network's ab.
    """

    def __init__(self, looks: Floats) -> None:
        self._looks = looks
        self._shape = looks.shape[:2]
        height, width = self._shape
        number = np.arange(height * width, dtype=np.int32).reshape(self._shape)
        scale = np.array([_EDGE_L, _EDGE_AB, _EDGE_AB], np.float32)
        starts, ends, costs, lengths = [], [], [], []
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            here = (slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
            there = (slice(dy, height), slice(max(0, dx), width + min(0, dx)))
            step = ((looks[here] - looks[there]) / scale) ** 2
            length = float(np.hypot(dy, dx)) / max(height, width)
            starts.append(number[here].ravel())
            ends.append(number[there].ravel())
            costs.append(step.sum(axis=2).ravel())
            lengths.append(np.full(starts[-1].size, length, np.float32))
        start, end = np.concatenate(starts), np.concatenate(ends)
        order = np.argsort(np.concatenate([start, end]), kind="stable")
        self._from = np.concatenate([start, end])[order]
        self._to = np.concatenate([end, start])[order]
        self._cost = np.tile(np.concatenate(costs), 2)[order]
        self._length = np.tile(np.concatenate(lengths), 2)[order]
        self._row_starts = np.searchsorted(self._from, np.arange(height * width + 1))

    def distance(self, place: tuple[slice, slice]) -> NDArray[np.float64]:
        """(h, w): the cost of the cheapest way from a place, in budgets; inf beyond one."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import dijkstra

        there = self._looks[place].reshape(-1, 3)
        typical = np.median(there, axis=0)
        scale = np.array([_UNLIKE_L, _UNLIKE_AB, _UNLIKE_AB], np.float32)
        unlike = (((self._looks - typical) / scale) ** 2).sum(axis=2).ravel()
        unlike = np.minimum(unlike, _UNLIKE_MOST)
        step = _LENGTH_COST + _UNLIKE_COST * unlike[self._to]
        cost = self._cost + self._length * step
        size = self._looks[..., 0].size
        graph = csr_array((cost, self._to, self._row_starts), shape=(size, size))
        number = np.arange(size).reshape(self._shape)[place].ravel()
        found = dijkstra(graph, indices=number, min_only=True, limit=1.0)
        return np.asarray(found).reshape(self._shape)
