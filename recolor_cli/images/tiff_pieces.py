"""TIFF pages whose strips or tiles are complete pictures of another format: WebP, JPEG 2000.

No build of the TIFF library that comes with OpenCV or Pillow unpacks them, but both unpack the
pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from recolor_cli.errors import PhotoError
from recolor_cli.images import codec, jp2, webp
from recolor_cli.images import tiff_tags as tags
from recolor_cli.images.ifd import Tag
from recolor_cli.images.photo import Pixels

_MAX_TILE = 4096  # that a tile may stand out over the picture


def planes(page: Mapping[int, Tag], parts: Sequence[memoryview], samples: int) -> Pixels:
    """Unpack the pieces of a page to (H, W, samples).

    Raises:
        PhotoError: A piece is damaged or has another size than its place, or the kind of pixels
            is one that the pieces' decoder does not have.
    """
    if samples not in (1, 3, 4) or tags.first(page, tags.PLANAR, 1) == 2:
        raise PhotoError("a tiff of this layout is not supported; convert it to grey or rgb")
    height, width = tags.first(page, tags.HEIGHT, 0), tags.first(page, tags.WIDTH, 0)
    wide = tags.first(page, tags.TILE_WIDTH, width)
    high = tags.first(page, tags.TILE_HEIGHT, 0) or tags.first(page, tags.ROWS, height)
    if tags.TILE_WIDTH not in page:  # "all rows" may be said with a very large number
        high = min(high, height)
    if wide <= 0 or high <= 0 or wide > width + _MAX_TILE or high > height + _MAX_TILE:
        raise codec.damaged("tiff")
    kind = np.dtype(f"u{tags.first(page, tags.BITS, 8) // 8}")
    out = np.full((height, width, samples), np.iinfo(kind).max, kind)  # alpha left out is opaque
    places = [(y, x) for y in range(0, height, high) for x in range(0, width, wide)]
    if len(places) != len(parts):
        raise codec.damaged("tiff")
    for (y, x), part in zip(places, parts, strict=True):
        place = out[y : y + high, x : x + wide]
        piece = _decoded(page, bytes(part), wide, high)
        piece = piece[: place.shape[0], : place.shape[1]]
        found = piece.shape[2]
        if piece.dtype != kind or piece.shape[:2] != place.shape[:2]:
            raise codec.damaged("tiff")
        if found != samples and (found, samples) != (3, 4):
            raise codec.damaged("tiff")
        place[..., :found] = piece
    return out


def _decoded(page: Mapping[int, Tag], part: bytes, width: int, height: int) -> Pixels:
    """Unpack one piece to (H, W, C), if its own header says that it is no larger than its place."""
    compression = tags.first(page, tags.COMPRESSION, 1)
    name = tags.PICTURES[compression]
    head = webp.read_head(part) if name == "webp" else jp2.read_head(part)
    if head.width > width or head.height > height:
        raise codec.damaged("tiff")
    pixels = codec.decode(part, cv2.IMREAD_UNCHANGED, "tiff")
    if pixels.ndim == 2:
        return pixels[..., None]
    code = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return cv2.cvtColor(pixels, code)
