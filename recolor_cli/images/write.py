"""How a coloured photograph becomes a file again, with everything the original carried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import cv2
import numpy as np

from recolor_cli.errors import PhotoError, UsageError
from recolor_cli.images import codec, icc, jp2, jpeg, png, tiff_tags, tiff_write, webp, xmp
from recolor_cli.images.atomic import remove_stale, write_atomic
from recolor_cli.images.find import SUFFIXES
from recolor_cli.images.ifd import Piece
from recolor_cli.images.orientation import orient, unorient
from recolor_cli.images.photo import Frame, Metadata, Photo, Pixels, Provenance

__all__ = [
    "CHOICES", "OutputFormat", "encode_parts", "encode_photo", "orient", "output_format",
    "output_name", "remove_stale", "unorient", "write_atomic",
]  # fmt: skip

CHOICES = ("keep", "jpg", "png", "tiff", "webp")
"""What a user may ask for."""

_SUFFIX = {"jpeg": ".jpg", "png": ".png", "tiff": ".tif", "webp": ".webp", "jp2": ".jp2"}
_INSTEAD = {
    "bmp": "bmp cannot hold the note that colours are estimated; written as png",
    "gif": "gif holds 256 colours; written as png",
    "avif": "avif would lose quality and depth once more; written as png",
    "heif": "heic would lose quality and depth once more; written as png",
}


@dataclass(frozen=True)
class OutputFormat:
    """What a photograph is written as.

    Attributes:
        name: `jpeg`, `png`, `tiff`, `webp` or `jp2`.
        suffix: The usual suffix, with its dot.
        reason: Why it is not the format that was kept, or None if it is.
    """

    name: str
    suffix: str
    reason: str | None = None


def output_format(photo_format: str, requested: str = "keep") -> OutputFormat:
    """Say what a photo of `photo_format` is written as when the user asks for `requested`.

    Raises:
        UsageError: `requested` is not one of `CHOICES`.

    >>> output_format("bmp").name
    'png'
    """
    if requested not in CHOICES and requested not in _SUFFIX:
        raise UsageError(f"no output format {requested!r}; choose one of {', '.join(CHOICES)}")
    if requested != "keep":
        name = "jpeg" if requested == "jpg" else requested
        return OutputFormat(name, _SUFFIX[name])
    if photo_format in _INSTEAD:
        return OutputFormat("png", ".png", _INSTEAD[photo_format])
    return OutputFormat(photo_format, _SUFFIX[photo_format])


def output_name(name: PurePath, output: OutputFormat) -> PurePath:
    """Give a file the suffix of what it holds; one that already says so stays as it is spelled.

    >>> output_name(PurePath("a/b.JPEG"), OutputFormat("jpeg", ".jpg")).as_posix()
    'a/b.JPEG'
    >>> output_name(PurePath("a/b.bmp"), OutputFormat("png", ".png")).as_posix()
    'a/b.png'
    """
    suffix = name.suffix.lower()
    if SUFFIXES.get(suffix) == output.name:
        return name
    if suffix in SUFFIXES:
        return name.with_suffix(output.suffix)
    return name.with_name(name.name + output.suffix)


def encode_photo(
    photo: Photo,
    frames: Sequence[Frame | Pixels] | None = None,
    *,
    format: str = "keep",
    quality: int = 95,
    provenance: Provenance | None = None,
    warnings: list[str] | None = None,
    spend: bool = False,
) -> bytes:
    """Pack new pixels together with everything that `photo` carried.

    The same arguments always give the same bytes: no date is written. An EXIF block stays as it
    is, with the small grey preview that some cameras put into it. `encode_parts` gives the same in
    pieces.

    Args:
        photo: The photograph as it was read; its metadata goes along as far as the format allows.
        frames: One for each frame of `photo`: pixels (H, W, 3) or (H, W), uint8 or uint16, of the
            same height and width, not turned; a bare array keeps the frame's alpha. None writes
            the photo as it is.
        format: As for `output_format`.
        quality: 1 to 100 for JPEG and lossy WebP. JPEG is written without chroma subsampling.
        provenance: The note to write into the XMP packet.
        warnings: Receives one line for each thing that the format cannot hold.
        spend: Whether pixels may be left in disorder, because nobody looks at them afterwards; a
            very large picture needs less memory then.

    Raises:
        PhotoError: The format cannot hold this picture at all.
        UsageError: `format` or `quality` is not possible.
    """
    return b"".join(
        encode_parts(
            photo,
            frames,
            format=format,
            quality=quality,
            provenance=provenance,
            warnings=warnings,
            spend=spend,
        )
    )


def encode_parts(
    photo: Photo,
    frames: Sequence[Frame | Pixels] | None = None,
    *,
    format: str = "keep",
    quality: int = 95,
    provenance: Provenance | None = None,
    warnings: list[str] | None = None,
    spend: bool = False,
) -> list[Piece]:
    """Do as `encode_photo`; the file is its pieces, one behind the other.

    Joined they would be in memory twice: large TIFFs are better hashed and written as they are.
    """
    if not 1 <= quality <= 100:
        raise UsageError(f"quality must be 1 to 100, got {quality}; 95 is the usual one")
    notes = warnings if warnings is not None else []
    output = output_format(photo.format, format)
    same = output.name == photo.format
    given = [
        _frame(new, old) for new, old in zip(frames or photo.frames, photo.frames, strict=True)
    ]
    if len(given) > 1 and output.name != "tiff":
        raise PhotoError(
            f"{output.name} holds one picture, this tiff has {len(given)} pages; use --format tiff"
        )
    metadata = photo.metadata
    notes += tiff_tags.left_out(photo, output.name)
    if not same and any(jpeg.is_more_xmp(part) for part in metadata.native):
        notes.append("the part of the xmp beyond 64 KiB is left out; jpeg keeps it")
    if any(frame.pixels.ndim == 3 for frame in given):
        metadata = replace(metadata, icc=icc.for_color(metadata.icc, notes))
    if provenance is not None:
        metadata = replace(metadata, xmp=xmp.merge(metadata.xmp, provenance, notes))
    if output.name == "tiff":
        return tiff_write.encode(photo, given, metadata, same=same, warnings=notes)
    return [_encode_single(photo, given[0], metadata, output.name, quality, same, notes, spend)]


def _frame(new: Frame | Pixels, old: Frame) -> Frame:
    frame = new if isinstance(new, Frame) else replace(old, pixels=np.asarray(new))
    pixels = frame.pixels
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.shape[:2] != old.pixels.shape[:2]:
        raise ValueError(f"frame of {pixels.shape} {pixels.dtype} for one of {old.pixels.shape}")
    return frame


def _encode_single(
    photo: Photo,
    frame: Frame,
    metadata: Metadata,
    name: str,
    quality: int,
    same: bool,
    warnings: list[str],
    spend: bool,
) -> bytes:
    height, width = frame.pixels.shape[:2]
    if name == "png":
        picture = codec.encode(".png", frame, [], spend=spend)
        return png.assemble(picture, metadata, same=same, warnings=warnings)
    if name == "jp2":
        # 1000 thousandths: without loss, as what the colours are laid over must not suffer.
        options = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
        picture = codec.encode(".jp2", frame, options, spend=spend)
        return jp2.assemble(picture, metadata, same=same, warnings=warnings)
    frame = _to_eight_bits(frame, name, warnings)
    if name == "webp":
        if max(width, height) > webp.MAX_SIDE:
            raise PhotoError(f"{width} x {height} pixels do not fit into webp; use --format png")
        if photo.lossless and same:
            picture = codec.encode_exact_webp(frame)
        else:
            picture = codec.encode(".webp", frame, [cv2.IMWRITE_WEBP_QUALITY, quality], spend=spend)
        return webp.assemble(picture, metadata, same=same, warnings=warnings)
    if frame.alpha is not None:
        warnings.append("jpeg has no transparency; left out (png, tiff and webp keep it)")
        frame = replace(frame, alpha=None)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    picture = codec.encode(".jpg", frame, options, spend=spend)
    return jpeg.assemble(picture, metadata, same=same, warnings=warnings)


def _to_eight_bits(frame: Frame, name: str, warnings: list[str]) -> Frame:
    def narrow(values: Pixels) -> Pixels:
        return cv2.convertScaleAbs(values, alpha=1 / 257) if values.dtype == np.uint16 else values

    if frame.pixels.dtype == np.uint16:
        warnings.append(f"{name} holds 8 bits per channel; the 16 of this photo were rounded")
    alpha = None if frame.alpha is None else narrow(frame.alpha)
    return replace(frame, pixels=narrow(frame.pixels), alpha=alpha)
