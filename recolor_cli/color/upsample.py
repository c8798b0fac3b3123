"""A small map stretched over a large picture by cubic convolution, any rows of it on demand.

Catmull-Rom (Keys 1981, a = -1/2): it passes through the map's values and reproduces straight slopes
exactly, which OpenCV's cubic (a = -3/4) does not. Sample i of n lies at (i + 1/2) / n of the
extent, in the map as in the picture; outside, the border value goes on. A value is a sum of four
products, always in the same order: strips cannot show seams.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FEW = 3  # rows of the result for one of the map: for so few, products of matrices take longer


class Upsampler:
    """Channels of a small map at the size of a picture, by rows.

    Args:
        small: (h, w, C) float32.
        size: (H, W) of the picture. An axis along which the map is the larger one is averaged.
    """

    def __init__(self, small: Floats, size: tuple[int, int]) -> None:
        """Stretch the columns; rows follow on demand."""
        height, width = size
        small = fitted(small, size)
        h, _, channels = small.shape
        self.size = size
        self.channels = channels
        # Columns first, as rows of the turned map: (C, w, h) -> (C, W, h), and back to (C, h, W).
        turned = _Cubic(np.ascontiguousarray(small.transpose(2, 1, 0)), width)
        wide = turned.rows(0, width, np.empty((channels, width, h), np.float32))
        self._rows = _Cubic(np.ascontiguousarray(wide.transpose(0, 2, 1)), height)

    def rows(self, top: int, bottom: int, out: Floats | None = None) -> Floats:
        """Rows top .. bottom of the picture: (C, bottom - top, W) float32."""
        if out is None:
            out = np.empty((self.channels, bottom - top, self.size[1]), np.float32)
        return self._rows.rows(top, bottom, out)


class _Cubic:
    """Rows of (C, n, M) interpolated to `count` rows."""

    def __init__(self, source: Floats, count: int) -> None:
        """Place every row of the result between two rows of the source."""
        self._source = source
        n = source.shape[1]
        self._same = n == count
        self._cell, self._weights = places(n, count)

    def rows(self, top: int, bottom: int, out: Floats) -> Floats:
        """Rows top .. bottom, written to out."""
        if self._same:
            out[:] = self._source[:, top:bottom]
        elif len(self._cell) <= FEW * self._source.shape[1]:
            self._by_neighbour(top, bottom, out)
        else:
            self._by_cell(top, bottom, out)
        return out

    def _by_neighbour(self, top: int, bottom: int, out: Floats) -> None:
        """All rows at once, one of their four neighbours after the other."""
        cells, last = self._cell[top:bottom], self._source.shape[1] - 1
        for i in range(4):
            around = self._source.take(np.clip(cells + (i - 1), 0, last), axis=1)
            around *= self._weights[top:bottom, i, None]
            if i == 0:
                out[:] = around
            else:
                out += around

    def _by_cell(self, top: int, bottom: int, out: Floats) -> None:
        """One product of matrices for the rows that have the same four neighbours."""
        last = self._source.shape[1] - 1
        row = top
        while row < bottom:
            cell = int(self._cell[row])
            end = min(int(np.searchsorted(self._cell, cell, side="right")), bottom)
            around = self._source[:, [min(max(cell + i, 0), last) for i in (-1, 0, 1, 2)]]
            weights, target = self._weights[row:end], out[:, row - top : end - top]
            if end - row == 1:
                # BLAS has another routine for one row, and another order of adding.
                target[:] = np.matmul(weights[[0, 0]], around)[:, :1]
            else:
                np.matmul(weights, around, out=target)
            row = end


def fitted(small: Floats, size: tuple[int, int]) -> Floats:
    """The map (h, w, C), averaged along each axis along which it is larger than the picture."""
    h, w, channels = small.shape
    height, width = min(h, size[0]), min(w, size[1])
    if (height, width) == (h, w):
        return small
    averaged = cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(averaged, np.float32).reshape(height, width, channels)


def places(n: int, count: int) -> tuple[NDArray[np.int64], Floats]:
    """Where `count` samples lie between n, over the same extent.

    Returns:
        For each, (count,), the one of the n that it lies after, from -1 on; and the weights of the
        four around it, (count, 4). Where one is outside, the border's value stands for it.
    """
    position = (np.arange(count) + 0.5) * (n / count) - 0.5
    cell = np.floor(position)
    return cell.astype(np.int64), _weights_of_keys(position - cell)


def _weights_of_keys(t: NDArray[np.float64]) -> Floats:
    """The weights (n, 4) of the samples at -1, 0, 1 and 2, for places t in 0..1 between two."""
    powers = np.stack([np.ones_like(t), t, t * t, t * t * t], axis=1)
    keys = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    return (powers @ keys).astype(np.float32)
