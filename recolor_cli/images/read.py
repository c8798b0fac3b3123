"""How a file becomes a `Photo`, or a `PhotoError` that says in one line why it cannot."""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image

from recolor_cli.errors import PhotoError
from recolor_cli.images import codec, icc, ifd, jp2, jpeg, png, tiff, webp, xmp
from recolor_cli.images.orientation import orient, unorient
from recolor_cli.images.photo import Frame, Metadata, Photo, Pixels, Provenance
from recolor_cli.images.remote import RemotePath, is_remote
from recolor_cli.images.sniff import SNIFF_BYTES, sniff

__all__ = [
    "MAX_PIXELS",
    "format_of",
    "orient",
    "read_bytes",
    "read_photo",
    "read_provenance",
    "unorient",
]

MAX_PIXELS = 500_000_000
"""Pixels in one file, all pages together, that are unpacked unless the user says otherwise."""

_REASONS = {
    errno.ENOENT: "no such file; check the spelling",
    errno.EACCES: "permission denied; make the file readable",
    errno.EPERM: "permission denied; make the file readable",
    errno.EISDIR: "this is a folder, not a file",
    errno.ELOOP: "a link that leads to itself",
    errno.EIO: "the disk cannot read it; copy the file from its source again",
}


def read_photo(source: str | Path | bytes, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photograph at its full size and depth, with everything it carries.

    Pixels stay as the file stores them, not turned by the orientation (HEIF alone is decoded
    upright, and then says so). 8 bits stay 8, more than 8 become 16. Palettes, single bits, ink
    (CMYK) and inverted grey are converted; alpha stays beside the pixels. A profile for RGB is
    kept and the values under it are not converted.

    Args:
        source: A path, or a file's content.
        max_pixels: The largest width x height to unpack, all pages together.

    Raises:
        PhotoError: The file cannot be read as a photograph; the text is one line.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    kind = sniff(data[:SNIFF_BYTES])
    try:
        return _with_notes(_with_metadata(_READERS[kind](data, max_pixels)))
    except MemoryError as error:
        raise PhotoError("not enough memory for this picture; close other programs") from error


def read_bytes(path: str | Path) -> bytes:
    """Read a file whole, after a look at its first bytes.

    Raises:
        PhotoError: It is not a readable file, or begins like no photograph.
    """
    with _opened(path) as file:
        sniff(file.read(SNIFF_BYTES))
        file.seek(0)
        return file.read()


def format_of(path: str | Path) -> str:
    """Name a file's format from its first bytes, for planning; the rest may still be damaged.

    Raises:
        PhotoError: As `read_bytes`.
    """
    with _opened(path) as file:
        return sniff(file.read(SNIFF_BYTES))


@contextmanager
def _opened(path: str | Path) -> Iterator[BinaryIO]:
    """Open a regular file, and turn every failure to read it into one line."""
    try:
        if isinstance(path, RemotePath):
            with path.open("rb") as file:
                yield file  # type: ignore[misc]  # of bytes, as the mode says
            return
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise PhotoError(_REASONS[errno.EISDIR])
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            raise PhotoError("not a file but a pipe, socket or device")
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        if error.errno == errno.ENOENT and not is_remote(path) and os.path.islink(path):
            raise PhotoError("a link to a file that does not exist") from error
        reason = _REASONS.get(error.errno or 0) or (error.strerror or str(error)).lower()
        raise PhotoError(reason) from error
    except ValueError as error:  # a name with a NUL in it
        raise PhotoError(f"not a file name: {error}") from error


def read_provenance(source: str | Path | bytes) -> Provenance | None:
    """Read what recolor wrote into one of its results; None for every other photograph.

    Only the file's structure is read, no pixels.

    Raises:
        PhotoError: As `read_photo`.
    """
    data = source if isinstance(source, bytes) else read_bytes(source)
    kind = sniff(data[:SNIFF_BYTES])
    if kind == "tiff":
        try:
            page = ifd.parse(data).pages[0]
        except ifd.IfdError as error:
            raise PhotoError(f"truncated or damaged: {error}; copy the tiff again") from None
        return xmp.read(page[tiff.XMP].value) if tiff.XMP in page else None
    heads = {"jpeg": jpeg, "png": png, "webp": webp, "jp2": jp2}
    if kind not in heads:
        return None  # formats that recolor does not write
    return xmp.read(heads[kind].read_head(data).metadata.xmp)


def _with_notes(photo: Photo) -> Photo:
    """Add what nobody expects of the result: pure black and white stay what they are."""
    if not any(_is_only_black_and_white(frame.pixels) for frame in photo.frames):
        return photo
    note = "only black and white: there is no room for colour; a scan with greys has some"
    return replace(photo, warnings=(*photo.warnings, note))


def _is_only_black_and_white(pixels: Pixels) -> bool:
    top = np.iinfo(pixels.dtype).max
    # A few pixels tell at once that a photograph is none of these; an empty page is none either.
    pure = all(bool(((few == 0) | (few == top)).all()) for few in (pixels[::16, ::16], pixels))
    return pure and bool(pixels.min() != pixels.max())


def _with_metadata(photo: Photo) -> Photo:
    """Add what the EXIF block says: orientation, and the resolution if nothing else does."""
    exif = photo.metadata.exif
    if photo.format == "tiff" or not exif:
        return photo
    try:
        tags = ifd.parse(exif).pages[0]
    except ifd.IfdError:
        return replace(
            photo, warnings=(*photo.warnings, "the exif block is damaged; kept as it is")
        )
    orientation = photo.orientation
    if ifd.ORIENTATION in tags and photo.format not in ("heif", "jp2"):
        numbers = tags[ifd.ORIENTATION].integers
        orientation = numbers[0] if numbers and 1 <= numbers[0] <= 8 else 1
    metadata = photo.metadata
    if metadata.dpi is None:
        metadata = replace(metadata, dpi=tiff.dpi(tags))
    return replace(photo, orientation=orientation, metadata=metadata)


def _read_jpeg(data: bytes, max_pixels: int) -> Photo:
    head = jpeg.read_head(data)
    codec.check_size(head.width, head.height, max_pixels)
    warnings, metadata = [*head.warnings, *jpeg.check_scans(data)], head.metadata
    if head.components == 4:
        suspicious = True  # Pillow has libjpeg say nothing
        with codec.open_pillow(data, "JPEG") as image:
            frame = codec.frame_from_pillow(image, metadata.icc, warnings)
        metadata = replace(metadata, icc=icc.srgb() if metadata.icc else None)
    else:
        gray = head.components == 1
        flags = cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR_RGB
        pixels, suspicious = codec.decode_jpeg(data, flags)
        frame = Frame(pixels)
    _expect(frame, head.width, head.height, "jpeg")
    if suspicious:
        warnings += jpeg.judge(codec.complaint(jpeg.bare(data)), data)
    return Photo((frame,), "jpeg", metadata=metadata, warnings=tuple(warnings))


def _read_png(data: bytes, max_pixels: int) -> Photo:
    head = png.read_head(data)
    codec.check_size(head.width, head.height, max_pixels)
    frame = codec.frame_of(
        codec.decode(png.bare(data), cv2.IMREAD_UNCHANGED, "png"), gray=head.color_type in (0, 4)
    )
    _expect(frame, head.width, head.height, "png")
    if head.color_type == 0 and head.transparent and len(head.transparent) == 2:
        clear = int.from_bytes(head.transparent, "big")
        if head.depth < 8:  # the decoder has spread the values over 0..255
            clear = clear * 255 // ((1 << head.depth) - 1)
        top = np.iinfo(frame.pixels.dtype).max
        alpha = np.where(frame.pixels == clear, 0, top).astype(frame.pixels.dtype)
        frame = replace(frame, alpha=alpha)
    return Photo((frame,), "png", metadata=head.metadata, warnings=head.warnings, lossless=True)


def _read_webp(data: bytes, max_pixels: int) -> Photo:
    head = webp.read_head(data)
    codec.check_size(head.width, head.height, max_pixels)
    frame = codec.frame_of(codec.decode(data, cv2.IMREAD_UNCHANGED, "webp"))
    _expect(frame, head.width, head.height, "webp")
    return Photo((frame,), "webp", metadata=head.metadata, lossless=head.lossless)


def _read_jp2(data: bytes, max_pixels: int) -> Photo:
    head = jp2.read_head(data)
    codec.check_size(head.width, head.height, max_pixels)
    if head.components == 2:
        if head.depth > 8:
            raise PhotoError("16-bit jpeg 2000 of grey and alpha is not supported; convert to png")
        with codec.open_pillow(data, "JPEG2000") as image:
            frame = codec.frame_from_pillow(image, None, [])
    else:
        pixels = codec.decode(data, cv2.IMREAD_UNCHANGED, "jpeg 2000 file")
        frame = codec.frame_of(_spread(pixels, head.depth))
    _expect(frame, head.width, head.height, "jpeg 2000 file")
    return Photo(
        (frame,), "jp2", metadata=head.metadata, warnings=head.warnings, lossless=head.lossless
    )


def _read_simple(data: bytes, max_pixels: int, name: str) -> Photo:
    """Read BMP, which carries nothing but a resolution, or GIF."""
    with codec.open_pillow(data, name.upper()) as image:
        codec.check_size(*image.size, max_pixels)
        if getattr(image, "n_frames", 1) > 1:
            raise PhotoError(
                f"animated {name}: recolor colours still pictures; export its frames first"
            )
        frame = codec.frame_from_pillow(image, None, [])
        dpi = image.info.get("dpi")
    found = (float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 else None
    metadata = _gif_metadata(data) if name == "gif" else Metadata()
    return Photo((frame,), name, metadata=replace(metadata, dpi=found), lossless=True)


def _gif_metadata(data: bytes) -> Metadata:
    """Take XMP, profile and comments from the extensions of a GIF (XMP part 3, 1.1.2; GIF89a)."""
    xmp_packet = profile = None
    comments = []
    for label, whole in _gif_extensions(data):
        blocks, at = [], 0
        while at < len(whole):
            blocks.append(whole[at + 1 : at + 1 + whole[at]])
            at += 1 + whole[at]
        content = b"".join(blocks[1:])
        if label == 0xFE:
            text = b"".join(blocks).rstrip(b"\0")
            try:
                comments.append(text.decode("utf-8"))
            except UnicodeDecodeError:
                comments.append(text.decode("latin-1"))
        elif blocks[:1] == [b"XMP DataXMP"] and xmp_packet is None:
            # Not cut into blocks: it ends in bytes that lead those who expect blocks out again.
            packet, magic, _ = whole[12:].partition(b"\x01\xff\xfe\xfd")
            xmp_packet = packet if magic else content
        elif blocks[:1] == [b"ICCRGBG1012"] and profile is None:
            profile = content
    words = {"Comment": "\n".join(comments)} if comments else {}
    return Metadata(icc=profile or None, xmp=xmp_packet or None, text=words)


def _gif_extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield label and blocks, each behind its length, of all extensions, wherever they stand."""

    def palette(at: int) -> int:
        flags = int.from_bytes(data[at : at + 1], "big")
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    at = 13 + palette(10)
    while data[at : at + 1] in (b"!", b","):
        label = int.from_bytes(data[at + 1 : at + 2], "big") if data[at] == 0x21 else None
        at += 2 if label is not None else 11 + palette(at + 9)
        start = at
        while at < len(data) and data[at]:
            at += 1 + data[at]
        if label is not None:
            yield label, data[start:at]
        at += 1


def _read_avif(data: bytes, max_pixels: int) -> Photo:
    with codec.open_pillow(data, "AVIF") as image:
        codec.check_size(*image.size, max_pixels)
        if getattr(image, "n_frames", 1) > 1:
            raise PhotoError(
                "animated avif: recolor colours still pictures; export its frames first"
            )
        metadata = replace(_pillow_metadata(image.info), exif=_avif_exif(image))
        size, depth = image.size, _avif_depth(data)
        # Pillow gives 8 bits only; OpenCV gives all, as the camera wrote them.
        if depth == 8:
            frame = codec.frame_from_pillow(image, None, [])
    if depth > 8:
        frame = codec.frame_of(_spread(codec.decode(data, cv2.IMREAD_UNCHANGED, "avif"), depth))
    _expect(frame, *size, "avif")
    return Photo((frame,), "avif", metadata=metadata)


def _avif_exif(image: Image.Image) -> bytes | None:
    """Take the EXIF block as it lies in the file, with the turn that the file's own boxes say.

    They decide in AVIF. Pillow puts their turn into the block too, but by writing all of it anew,
    and text that is not ASCII does not survive that.
    """
    *_, exif, turn, _ = image._decoder.get_info()  # type: ignore[attr-defined]
    if not exif:
        return _pillow_metadata(image.info).exif
    return _set_orientation(bytes(exif).removeprefix(jpeg.EXIF), int(turn))


def _avif_depth(data: bytes) -> int:
    """Read the bits of a sample from the AV1 configuration box (AV1-ISOBMFF 2.3.3)."""
    match = re.search(rb"av1C(.)(.)(.)", data, re.DOTALL)
    flags = match[3][0] if match else 0
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def _read_heif(data: bytes, max_pixels: int) -> Photo:
    try:
        import pillow_heif
    except ImportError as error:
        raise PhotoError(
            "heic needs an optional package; install it with: pip install 'recolor-cli[heif]'"
        ) from error
    try:
        file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
        image = file[file.primary_index]
        codec.check_size(*image.size, max_pixels)
        if image.mode == "BGR" or image.mode.startswith("I"):
            raise PhotoError(f"heic of kind {image.mode!r} is not supported; convert it to png")
        planes = np.asarray(image)
        info = dict(image.info)
        more = len(file) > 1 or bool(info.get("depth_images"))
    except PhotoError:
        raise
    except (OSError, EOFError, ValueError, SyntaxError, RuntimeError, LookupError) as error:
        raise codec.damaged("heic") from error
    if planes.ndim == 2 or planes.shape[2] <= 2:
        planes = planes[..., None] if planes.ndim == 2 else planes
        frame = Frame(
            np.ascontiguousarray(planes[..., 0]),
            np.ascontiguousarray(planes[..., 1]) if planes.shape[2] == 2 else None,
        )
    else:
        alpha = np.ascontiguousarray(planes[..., 3]) if planes.shape[2] == 4 else None
        frame = Frame(np.ascontiguousarray(planes[..., :3]), alpha)
    warnings = ("the further pictures in this heic (series or depth) are left out",) if more else ()
    return Photo((frame,), "heif", metadata=_pillow_metadata(info, upright=True), warnings=warnings)


def _pillow_metadata(info: Mapping[Any, object], *, upright: bool = False) -> Metadata:
    """Take profile, EXIF and XMP from Pillow; `upright` marks pixels that are already turned."""

    def block(name: str) -> bytes | None:
        value = info.get(name)
        return bytes(value) if isinstance(value, (bytes, bytearray)) and value else None

    exif = block("exif")
    exif = exif.removeprefix(jpeg.EXIF) if exif else None
    if exif and upright:
        exif = _set_orientation(exif, 1)
    return Metadata(icc=block("icc_profile"), exif=exif, xmp=block("xmp"))


def _set_orientation(exif: bytes, number: int) -> bytes:
    """Change the orientation in an EXIF block, and no other byte of what it says."""
    try:
        structure = ifd.parse(exif)
    except ifd.IfdError:
        return exif
    tag, order = structure.pages[0].get(ifd.ORIENTATION), structure.order
    if tag is not None:
        value = number.to_bytes(len(tag.value), "little" if order == "<" else "big")
        return exif[: tag.offset] + value + exif[tag.offset + len(value) :]
    if number == 1 or exif[2:4] not in (b"*\0", b"\0*"):
        return exif
    # Only the directory is written anew, behind the rest: nothing that it points to moves.
    (at,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, at)
    end = at + 2 + 12 * count
    entries = [exif[start : start + 12] for start in range(at + 2, end, 12)]
    entries.append(struct.pack(order + "HHIHH", ifd.ORIENTATION, ifd.SHORT, 1, number, 0))
    entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
    even = exif + b"\0" * (len(exif) % 2)
    link = exif[end : end + 4].ljust(4, b"\0")  # some writers forget it at the very end
    directory = struct.pack(order + "H", count + 1) + b"".join(entries) + link
    return exif[:4] + struct.pack(order + "I", len(even)) + even[8:] + directory


def _spread(pixels: Pixels, depth: int) -> Pixels:
    """Spread values of 9 to 15 bits over all 16, so that white is 65535."""
    if pixels.dtype != np.uint16 or depth >= 16:
        return pixels
    return (pixels << (16 - depth)) | (pixels >> max(0, 2 * depth - 16))


def _expect(frame: Frame, width: int, height: int, what: str) -> None:
    if frame.pixels.shape[:2] != (height, width):
        raise codec.damaged(what)


_READERS = {
    "jpeg": _read_jpeg,
    "png": _read_png,
    "tiff": tiff.read,
    "webp": _read_webp,
    "jp2": _read_jp2,
    "bmp": lambda data, limit: _read_simple(data, limit, "bmp"),
    "gif": lambda data, limit: _read_simple(data, limit, "gif"),
    "avif": _read_avif,
    "heif": _read_heif,
}
