"""Arrays and pictures of Pillow, from those who call from Python; and back to 8 bits."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from recolor_cli.images.photo import Pixels


def to_8_bits(pixels: Pixels) -> Pixels:
    """uint8 or uint16 -> uint8, rounded."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def check_path(source: object) -> None:
    """Raise TypeError unless what is no array and no Pillow image is a path."""
    if not isinstance(source, str | os.PathLike):
        kind = type(source).__name__
        raise TypeError(f"a photograph is an array, a Pillow image or a path, got a {kind}")


def from_array(array: Pixels) -> Pixels:
    """Pixels (H, W) or (H, W, 3), uint8 or uint16 in this machine's byte order.

    Raises:
        ValueError: It is none; says what would be, and how to come to it.
    """
    kind = array.dtype
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        advice = ""
        if array.ndim == 3 and array.shape[2] in (1, 2, 4):  # grey, with alpha, or RGB with it
            advice = f"; pass array[..., {':3' if array.shape[2] == 4 else '0'}]"
        raise ValueError(f"an array must be (H, W) or (H, W, 3), got {array.shape}{advice}")
    if array.size == 0:
        raise ValueError(f"an array must not be empty, got {array.shape}")
    if kind.newbyteorder("=") not in (np.uint8, np.uint16):
        advice = ""
        if kind.kind == "b":
            advice = "; pass array * np.uint8(255)"
        elif kind.kind == "f":
            advice = ", whose white may be 1 or 255; for 1 pass np.uint16(array * 65535 + 0.5)"
        raise ValueError(f"an array must be uint8 or uint16, got {kind}{advice}")
    return np.asarray(array).astype(kind.newbyteorder("="), copy=False)


def from_pillow(image: Image.Image) -> tuple[Pixels, Image.Image | None]:
    """Pixels (H, W) or (H, W, 3), and the alpha channel if there is one.

    Raises:
        ValueError: The mode does not say which value is white.
    """
    if image.mode == "La":  # Pillow knows no other way out of it
        image = image.convert("LA")
    alpha = None
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16), alpha
    if image.mode in ("I", "F"):
        raise ValueError(
            f"a Pillow image of mode {image.mode!r} does not say its range; convert it to 'L' or "
            "'I;16'"
        )
    gray = image.mode in ("1", "L", "LA")
    return np.asarray(image.convert("L" if gray else "RGB")), alpha
