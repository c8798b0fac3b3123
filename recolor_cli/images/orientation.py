"""How EXIF orientations turn arrays, and back."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def orient(array: Array, orientation: int) -> Array:
    """Turn stored pixels the way a viewer shows them.

    Args:
        array: (H, W, ...) as stored in the file.
        orientation: 1 to 8 (EXIF tag 274, TIFF 6.0 page 36).

    Returns:
        A view of `array`, (H, W, ...) or (W, H, ...).

    >>> import numpy as np
    >>> orient(np.array([[1, 2]]), 6).tolist()
    [[1], [2]]
    """
    _check(orientation)
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    # In the turned frame: which axes run backwards.
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def unorient(array: Array, orientation: int) -> Array:
    """Turn an array in viewing direction back to the stored one; the inverse of `orient`.

    >>> import numpy as np
    >>> unorient(orient(np.array([[1, 2]]), 6), 6).tolist()
    [[1, 2]]
    """
    _check(orientation)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array.swapaxes(0, 1) if orientation >= 5 else array


def _check(orientation: int) -> None:
    if not 1 <= orientation <= 8:
        raise ValueError(f"orientation must be 1 to 8, got {orientation}")
