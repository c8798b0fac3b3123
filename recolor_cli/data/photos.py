"""Photographs decoded once, checked, and kept: what training and validation cut from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.data.sources import Item
from recolor_cli.devices import cores

Pixels = NDArray[np.uint8]
CHROMA_PROBE_PX = 48  # grey or not is judged on a picture this small


@dataclass(frozen=True)
class Photo:
    """One usable photograph.

    Attributes:
        item: where it is.
        digest: first 16 hex digits of the sha256 of its bytes.
        pixels: (H, W, 3) uint8 sRGB, or None when pictures are not kept.
        max_side: pictures with a longer short side are reduced to this on decoding; 0 = never.
    """

    item: Item
    digest: str
    pixels: Pixels | None
    max_side: int = 0

    def load(self) -> Pixels:
        """The pixels, from memory or from the file."""
        if self.pixels is not None:
            return self.pixels
        return _reduced(_decode(self.item.read()), self.max_side)


@dataclass(frozen=True)
class LeftOut:
    """A file that is not trained on.

    Attributes:
        item: where it is.
        reason: "unreadable", "tiny", "grey" or "duplicate".
        digest: as a photograph's; "" where the file itself could not be read.
    """

    item: Item
    reason: str
    digest: str = ""


def load_photos(
    items: Sequence[Item],
    *,
    keep: bool,
    max_side: int = 0,
    min_side: int = 1,
    min_chroma: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Photo], list[LeftOut]]:
    """Decode every item once, leave out what cannot be trained on.

    Args:
        items: what `find_items` found.
        keep: hold the pixels in memory.
        max_side: reduce kept pictures to this short side, area-averaged; 0 keeps their size.
        min_side: shorter pictures are "tiny".
        min_chroma: pictures whose mean ab radius is below are "grey".
        progress: called with (done, total).

    Returns:
        The photographs in the order of `items`, and what was left out.
    """

    def load(item: Item) -> Photo | LeftOut:
        try:
            encoded = item.read()
        except OSError:
            return LeftOut(item, "unreadable")
        digest = hashlib.sha256(encoded).hexdigest()[:16]
        try:
            pixels = _decode(encoded)
        except ValueError:
            return LeftOut(item, "unreadable", digest)
        if min(pixels.shape[:2]) < min_side:
            return LeftOut(item, "tiny", digest)
        if mean_chroma(pixels) < min_chroma:
            return LeftOut(item, "grey", digest)
        return Photo(item, digest, _reduced(pixels, max_side) if keep else None, max_side)

    photos: list[Photo] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    with ThreadPoolExecutor(cores()) as pool:
        for done, result in enumerate(pool.map(load, items, chunksize=1), 1):
            if isinstance(result, LeftOut):
                left_out.append(result)
            elif result.digest in seen:
                left_out.append(LeftOut(result.item, "duplicate", result.digest))
            else:
                seen.add(result.digest)
                photos.append(result)
            if progress and (done % 256 == 0 or done == len(items)):
                progress(done, len(items))
    return photos, left_out


def mean_chroma(pixels: Pixels) -> float:
    """Mean distance from grey in the ab plane, on a small copy."""
    size = (CHROMA_PROBE_PX, CHROMA_PROBE_PX)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean())


def _decode(encoded: bytes) -> Pixels:
    """8-bit sRGB (H, W, 3), turned as EXIF says."""
    bgr = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) if encoded else None
    if bgr is None:
        raise ValueError("not an image that OpenCV reads")
    return np.ascontiguousarray(bgr[..., ::-1])


def _reduced(pixels: Pixels, max_side: int) -> Pixels:
    height, width = pixels.shape[:2]
    if not max_side or min(height, width) <= max_side:
        return pixels
    scale = max_side / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
