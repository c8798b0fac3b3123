"""TIFF files written: OpenCV packs the strips, the tags around them are put together here."""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from recolor_cli.errors import PhotoError
from recolor_cli.images import codec, icc, ifd
from recolor_cli.images import tiff_tags as tiff
from recolor_cli.images.ifd import Piece, Tag
from recolor_cli.images.photo import Frame, Metadata, Photo

_DEFLATE = cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE
_PACKERS = {
    "none": cv2.IMWRITE_TIFF_COMPRESSION_NONE,
    "lzw": cv2.IMWRITE_TIFF_COMPRESSION_LZW,
    "packbits": cv2.IMWRITE_TIFF_COMPRESSION_PACKBITS,
    "deflate": _DEFLATE,
}
_PACKED = (
    tiff.WIDTH, tiff.BITS, tiff.COMPRESSION, tiff.PHOTOMETRIC, tiff.SAMPLES, tiff.ROWS, tiff.PLANAR,
    tiff.PREDICTOR,
)  # fmt: skip
_STRIP_BYTES = 8192  # unpacked, as TIFF 6.0 section 7 recommends; a strip is at least one row
_BAND_BYTES = 4 << 20  # of pixels that OpenCV packs in one call
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
) -> list[Piece]:
    """Pack all frames as the pages of one TIFF, in pieces to be written one after the other.

    Args:
        photo: What was read; its compression is used again if it is one without loss.
        frames: The new pages.
        metadata: What to write on the first page; profile and XMP already made to fit.
        same: Whether `photo` was a TIFF, so that its pages have tags of their own.
        warnings: Receives a line for everything that found no room.

    Raises:
        PhotoError: Larger than the 4 GiB of a TIFF.
    """
    packer = _PACKERS.get(photo.compression or "", _DEFLATE)
    pages = []
    for number, frame in enumerate(frames):
        structure, strips = _pack(frame, packer)
        tags = list(frame.tags) if same else _foreign_tags(metadata, warnings)
        pages.append(([*_descriptive(tags, frame, metadata, number, warnings), *structure], strips))
    moved: list[Tag] = []
    try:
        parts = ifd.build_parts(pages, moved=moved)
    except ifd.IfdError as error:
        raise PhotoError(f"the tiff would be {error}; use --format png") from None
    warnings += tiff.moved_notes(moved)
    return parts


def _pack(frame: Frame, packer: int) -> tuple[list[Tag], list[bytes]]:
    """Pack a page band by band, so that no more than one band of it exists twice."""
    height, width = frame.pixels.shape[:2]
    samples = 1 if frame.pixels.ndim == 2 and frame.alpha is None else 3
    samples += frame.alpha is not None
    row_bytes = width * samples * frame.pixels.itemsize
    rows = min(max(1, _STRIP_BYTES // row_bytes), height)
    step = rows * max(1, _BAND_BYTES // (rows * row_bytes))
    options = [cv2.IMWRITE_TIFF_COMPRESSION, packer, cv2.IMWRITE_TIFF_ROWSPERSTRIP, rows]
    first: dict[int, Tag] = {}
    strips: list[bytes] = []
    for top in range(0, height, step):
        packed = codec.encode(".tif", _rows(frame, top, top + step), options)
        page = ifd.parse(packed).pages[0]
        places = zip(page[ifd.STRIPS].integers, page[tiff.STRIP_SIZES].integers, strict=True)
        strips += [packed[at : at + size] for at, size in places]
        first = first or page
    tags = [first[number] for number in _PACKED if number in first]
    tags.append((ifd.short if height <= 0xFFFF else ifd.long)(tiff.HEIGHT, height))
    narrow = first[tiff.STRIP_SIZES].kind == ifd.SHORT
    tags.append((ifd.short if narrow else ifd.long)(tiff.STRIP_SIZES, *map(len, strips)))
    tags.append(ifd.short(tiff.SAMPLE_FORMAT, *[1] * samples))
    if frame.alpha is not None:
        tags.append(ifd.short(tiff.EXTRA, 2))  # alpha that the colours are not multiplied with
    return tags, strips


def _rows(frame: Frame, top: int, end: int) -> Frame:
    alpha = None if frame.alpha is None else frame.alpha[top:end]
    return Frame(frame.pixels[top:end], alpha)


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
            kept = {n: tag for n, tag in block.items() if n not in tiff.STRUCTURE}
            if kept.pop(tiff.DNG_VERSION, None):
                warnings.append("DNGVersion would make the tiff a camera raw file; left out")
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
