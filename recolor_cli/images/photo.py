"""What a photograph is once it is read: pixels at native depth, alpha, pages, metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

Pixels = NDArray[Any]
"""(H, W) or (H, W, 3) RGB, uint8 or uint16, in the order and turn in which the file stores them."""

FORMATS = ("jpeg", "png", "tiff", "webp", "bmp", "jp2", "heif", "avif", "gif")
"""Every format that `read_photo` reads."""


@dataclass(frozen=True)
class Metadata:
    """What a file says about its picture. Bytes are kept exactly as they were found.

    Attributes:
        icc: Colour profile.
        exif: EXIF block: a TIFF structure without the `Exif` prefix of JPEG.
        xmp: XMP packet.
        iptc: IPTC-IIM records, without their Photoshop wrapping.
        dpi: Horizontal and vertical resolution in dots per inch.
        text: Text chunks and comments, by keyword; a JPEG comment is under `Comment`.
        native: Segments, chunks or tags that only the same format can hold, for its own writer.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    native: tuple[tuple[Any, bytes], ...] = ()


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a file: its only one, or one page of a TIFF.

    Attributes:
        pixels: (H, W) grey or (H, W, 3) RGB, uint8 or uint16, NOT turned by the orientation.
        alpha: (H, W) of the same type, or None.
        tags: A TIFF page's own descriptive tags, for the TIFF writer.
        orientation: A TIFF page's own, 1 to 8; None where the photo's holds (`Photo.orientations`).
    """

    pixels: Pixels
    alpha: Pixels | None = None
    tags: tuple[Any, ...] = ()
    orientation: int | None = None

    def recolored(self, pixels: Pixels) -> Frame:
        """Return this frame with other pixels, and all else as it was."""
        return replace(self, pixels=pixels)


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph as read from a file.

    Attributes:
        frames: At least one frame; several for a TIFF of several pages.
        format: One of `FORMATS`, by content, whatever the file is called.
        orientation: 1 to 8 as in EXIF: how a viewer turns the stored pixels.
        metadata: Everything else the file carried.
        warnings: What could not be kept, one line each; empty for nearly every photo.
        lossless: Whether the stored pixels were compressed without loss.
        compression: TIFF only: the name of the first page's compression.
    """

    frames: tuple[Frame, ...]
    format: str
    orientation: int = 1
    metadata: Metadata = field(default_factory=Metadata)
    warnings: tuple[str, ...] = ()
    lossless: bool = False
    compression: str | None = None

    @property
    def pixels(self) -> Pixels:
        """The first frame's pixels."""
        return self.frames[0].pixels

    @property
    def orientations(self) -> tuple[int, ...]:
        """Each frame's orientation: the pages of one TIFF may lie in different turns."""
        return tuple(frame.orientation or self.orientation for frame in self.frames)

    @property
    def alpha(self) -> Pixels | None:
        """The first frame's alpha."""
        return self.frames[0].alpha

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first frame as stored, in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True)
class Provenance:
    """What is written into an output so that everybody can see that its colours are estimated.

    Attributes:
        model: Name of the weights, such as `unet.base`.
        weights_sha256: 64 hex digits.
        settings: What else decided the result; values that JSON can hold.
        version: Version of recolor.
    """

    model: str
    weights_sha256: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
