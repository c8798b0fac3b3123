"""Pictures of Pillow, for those who call from Python: to arrays, and back to 8 bits."""

from __future__ import annotations

import numpy as np
from PIL import Image

from recolor_cli.images.photo import Pixels


def to_8_bits(pixels: Pixels) -> Pixels:
    """uint8 or uint16 -> uint8, rounded."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def from_pillow(image: Image.Image) -> tuple[Pixels, Image.Image | None]:
    """Pixels (H, W) or (H, W, 3), and the alpha channel if there is one.

    Raises:
        ValueError: The mode does not say which value is white.
    """
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
    gray = image.mode in ("1", "L", "LA", "La")
    return np.asarray(image.convert("L" if gray else "RGB")), alpha
