"""TIFF files written: OpenCV packs the strips, the tags around them are put together here."""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from recolor_cli.errors import PhotoError
from recolor_cli.images import codec, icc, ifd, tiff
from recolor_cli.images.ifd import Tag
from recolor_cli.images.photo import Frame, Metadata, Photo

_DEFLATE = cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE
_PACKERS = {
    "none": cv2.IMWRITE_TIFF_COMPRESSION_NONE,
    "lzw": cv2.IMWRITE_TIFF_COMPRESSION_LZW,
    "packbits": cv2.IMWRITE_TIFF_COMPRESSION_PACKBITS,
    "deflate": _DEFLATE,
}
_PACKED = (
    tiff.WIDTH, tiff.HEIGHT, tiff.BITS, tiff.COMPRESSION, tiff.PHOTOMETRIC, tiff.SAMPLES,
    tiff.ROWS, tiff.STRIP_SIZES, tiff.PLANAR, tiff.PREDICTOR,
)  # fmt: skip
# Text of other formats that TIFF has a tag for.
_TEXT_TAGS = {
    "Description": 270, "Title": 269, "Comment": 270, "Author": 315, "Software": 305,
    "Copyright": 33432,
}  # fmt: skip


def encode(
    photo: Photo,
    frames: Sequence[Frame],
    metadata: Metadata,
    *,
    same: bool,
    warnings: list[str],
    spend: bool = False,
) -> bytes:
    """Pack all frames as the pages of one TIFF.

    Args:
        photo: What was read; its compression is used again if it is one without loss.
        frames: The new pages.
        metadata: What to write on the first page; profile and XMP already made to fit.
        same: Whether `photo` was a TIFF, so that its pages have tags of their own.
        warnings: Receives a line for everything that found no room.
        spend: As for `encode_photo`.

    Raises:
        PhotoError: Larger than the 4 GiB of a TIFF.
    """
    packer = _PACKERS.get(photo.compression or "", _DEFLATE)
    pages = []
    for number, frame in enumerate(frames):
        structure, strips = _pack(frame, packer, spend)
        tags = list(frame.tags) if same else _foreign_tags(metadata, warnings)
        pages.append(([*_descriptive(tags, frame, metadata, number, warnings), *structure], strips))
    try:
        return ifd.build(pages)
    except ifd.IfdError as error:
        raise PhotoError(f"the tiff would be {error}; use --format png") from None


def _pack(frame: Frame, packer: int, spend: bool) -> tuple[list[Tag], list[bytes]]:
    packed = codec.encode(".tif", frame, [cv2.IMWRITE_TIFF_COMPRESSION, packer], spend=spend)
    page = ifd.parse(packed).pages[0]
    tags = [page[number] for number in _PACKED if number in page]
    samples = (1 if frame.pixels.ndim == 2 and frame.alpha is None else 3) + (
        frame.alpha is not None
    )
    tags.append(ifd.short(tiff.SAMPLE_FORMAT, *[1] * samples))
    if frame.alpha is not None:
        tags.append(ifd.short(tiff.EXTRA, 2))  # alpha that the colours are not multiplied with
    offsets, sizes = page[273].integers, page[tiff.STRIP_SIZES].integers
    return tags, [packed[at : at + size] for at, size in zip(offsets, sizes, strict=True)]


def _descriptive(
    tags: list[Tag], frame: Frame, metadata: Metadata, number: int, warnings: list[str]
) -> list[Tag]:
    """Return a page's tags with the profile that fits and, on the first page, the new XMP."""
    kept = {tag.number: tag for tag in tags}
    profile = metadata.icc
    if number and tiff.ICC in kept:
        profile = kept[tiff.ICC].value
        if icc.color_space(profile) == "cmyk":
            profile = icc.srgb()
        elif frame.pixels.ndim == 3:
            profile = icc.for_color(profile, warnings)
    elif number:
        profile = None
    kept.pop(tiff.ICC, None)
    if profile:
        kept[tiff.ICC] = ifd.raw(tiff.ICC, profile)
    if number == 0 and metadata.xmp:
        kept[tiff.XMP] = Tag(tiff.XMP, 1, metadata.xmp)
    return list(kept.values())


def _foreign_tags(metadata: Metadata, warnings: list[str]) -> list[Tag]:
    """Make tags of what came out of another format."""
    kept: dict[int, Tag] = {}
    if metadata.exif:
        try:
            block = ifd.parse(metadata.exif).pages[0]
        except ifd.IfdError:
            warnings.append("the exif block is damaged; left out")
        else:
            kept = {number: block[number] for number in block if number in tiff.EXIF_TAGS}
    for key, value in metadata.text.items():
        tag = _TEXT_TAGS.get(key)
        if tag is None:
            warnings.append(f"tiff has no tag for the text {key!r}; left out")
        elif tag not in kept:
            kept[tag] = ifd.text(tag, value)
    if metadata.iptc:
        kept[tiff.IPTC] = ifd.raw(tiff.IPTC, metadata.iptc)
    if metadata.dpi:
        kept[tiff.X_DPI] = ifd.rational(tiff.X_DPI, metadata.dpi[0])
        kept[tiff.Y_DPI] = ifd.rational(tiff.Y_DPI, metadata.dpi[1])
        kept[tiff.DPI_UNIT] = ifd.short(tiff.DPI_UNIT, 2)
    return list(kept.values())
