"""Small copies of photographs for looking at, upright, 8 bits, whatever the format of the file."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from recolor_cli.color.lab import rgb_to_lab
from recolor_cli.color.merge import merge_ab
from recolor_cli.images.orientation import orient
from recolor_cli.images.photo import Frame, Metadata, Photo, Provenance
from recolor_cli.images.read import read_bytes, read_photo
from recolor_cli.images.sniff import SNIFF_BYTES, sniff
from recolor_cli.images.write import encode_photo

Pixels = NDArray[np.uint8]

VIEWABLE = frozenset({"jpeg", "png", "webp", "bmp", "gif", "avif"})
"""Formats that every browser shows; of others a page needs JPEG copies."""

VIVID_SHARE = 0.02  # of the picture; what is beyond in chroma may be a lamp or a sign


@dataclass(frozen=True, eq=False)
class Look:
    """A photograph, reduced for looking at.

    Attributes:
        pixels: (h, w) or (h, w, 3) uint8, upright.
        size: Width and height of the photograph itself, upright.
        format: Of the file, by its content.
        pages: How many pictures the file holds; the first is shown.
        icc: Its colour profile, which the copy needs as well.
    """

    pixels: Pixels
    size: tuple[int, int]
    format: str
    pages: int = 1
    icc: bytes | None = None

    def shrunk(self, side: int) -> Look:
        """This one with at most `side` pixels on the long side."""
        return replace(self, pixels=shrink(self.pixels, side))

    def without_color(self) -> Look:
        """Its luminance alone: what was grey before colours came over it."""
        if self.pixels.ndim == 2:
            return self
        none = np.zeros((1, 1, 2), np.float32)
        return replace(self, pixels=merge_ab(np.ascontiguousarray(self.pixels), none))

    def jpeg(self, quality: int, provenance: Provenance | None = None) -> bytes:
        """The copy as a file."""
        frame = Frame(np.ascontiguousarray(self.pixels))
        photo = Photo((frame,), "jpeg", metadata=Metadata(icc=self.icc))
        return encode_photo(photo, quality=quality, provenance=provenance)


def look_at(source: Path | bytes, side: int) -> Look:
    """Read a photograph and reduce it to `side` pixels on the long side at most.

    Args:
        source: A path, or a file's content.
        side: Long side of the copy in pixels; smaller photographs stay as they are.

    Raises:
        PhotoError: The file cannot be read as a photograph.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    if sniff(data[:SNIFF_BYTES]) == "jpeg":
        quick = _quick_jpeg(data, side)
        if quick is not None:
            return quick
    photo = read_photo(data)
    pixels = shrink(to_8_bits(photo.pixels), side)
    width, height = photo.size if photo.orientation < 5 else photo.size[::-1]
    upright = np.ascontiguousarray(orient(pixels, photo.orientation))
    return Look(upright, (width, height), photo.format, len(photo.frames), photo.metadata.icc)


def shrink(pixels: Pixels, side: int) -> Pixels:
    """Reduce by averaging to `side` pixels on the long side; never enlarge."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def chroma_of(pixels: Pixels) -> tuple[float, float]:
    """How colourful a small picture is: mean chroma, and what 2 % of it exceed, in Lab units."""
    if pixels.ndim == 2:
        return 0.0, 0.0
    ab = rgb_to_lab(np.ascontiguousarray(pixels))[..., 1:]
    chroma = np.hypot(ab[..., 0], ab[..., 1])
    return float(chroma.mean()), float(np.quantile(chroma, 1 - VIVID_SHARE))


def to_8_bits(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Pixels:
    """16 bits rounded to 8; 8 as they are."""
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=1 / 257), np.uint8)


def three_channels(pixels: Pixels) -> Pixels:
    """(h, w) or (h, w, 3) -> (h, w, 3)."""
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def _quick_jpeg(data: bytes, side: int) -> Look | None:
    """A JPEG decoded at a fraction of its size, which takes a fraction of the time.

    None where only the full reader knows the kind (ink), or says what is wrong.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if image.mode not in ("L", "RGB"):
                return None
            size = image.size
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            image.draft(image.mode, (2 * side, 2 * side))
            upright = ImageOps.exif_transpose(image)
            pixels = shrink(np.asarray(upright, np.uint8), side)
            icc = image.info.get("icc_profile")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None
    return Look(pixels, size[::-1] if turned else size, "jpeg", icc=icc)
