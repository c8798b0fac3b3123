"""WebP files as RIFF chunks. WebP container specification (Google, RFC 9649)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from recolor_cli.errors import PhotoError
from recolor_cli.images.photo import Metadata

MAX_SIDE = 16_383
_PICTURE = (b"VP8 ", b"VP8L", b"ALPH")
_HAS_ICC, _HAS_ALPHA, _HAS_EXIF, _HAS_XMP, _ANIMATED = 0x20, 0x10, 0x08, 0x04, 0x02
_TRUNCATED = "truncated: the webp ends before its picture does; copy it again from its source"


@dataclass(frozen=True)
class Head:
    """What a WebP says around its picture data."""

    width: int
    height: int
    lossless: bool
    metadata: Metadata


def read_head(data: bytes) -> Head:
    """Read all chunks of a WebP.

    Raises:
        PhotoError: Cut short, damaged, or animated.
    """
    chunks = dict(reversed(_chunks(data)))
    extended = chunks.get(b"VP8X", b"")
    if b"ANIM" in chunks or (extended and extended[0] & _ANIMATED):
        raise PhotoError("animated webp: recolor colours still pictures; export its frames first")
    lossless = b"VP8L" in chunks
    width, height = _size(chunks[b"VP8L"] if lossless else chunks.get(b"VP8 ", b""), lossless)
    exif = chunks.get(b"EXIF")
    metadata = Metadata(
        icc=chunks.get(b"ICCP") or None,
        exif=exif.removeprefix(b"Exif\0\0") if exif else None,
        xmp=chunks.get(b"XMP ") or None,
    )
    return Head(width, height, lossless, metadata)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise PhotoError(_TRUNCATED)
    chunks, at = [], 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            raise PhotoError(_TRUNCATED)
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return chunks


def _size(picture: bytes, lossless: bool) -> tuple[int, int]:
    if lossless and len(picture) >= 5:
        bits = int.from_bytes(picture[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if len(picture) >= 10 and not lossless:
        width, height = struct.unpack_from("<HH", picture, 6)
        if width & 0x3FFF and height & 0x3FFF:
            return width & 0x3FFF, height & 0x3FFF
    raise PhotoError("damaged: the webp holds no picture; copy it again from its source")


def assemble(picture: bytes, metadata: Metadata, *, same: bool, warnings: list[str]) -> bytes:
    """Put metadata into a freshly encoded WebP; see `jpeg.assemble` for the arguments."""
    del same
    if metadata.iptc:
        warnings.append("webp has no place for iptc records; left out")
    if metadata.text:
        warnings.append("webp has no place for comments; left out")
    if metadata.dpi and not metadata.exif:
        warnings.append("webp has no place for the resolution; left out")
    parts = _chunks(picture)
    head = read_head(picture)
    by_kind = dict(parts)
    alpha = b"ALPH" in by_kind or (head.lossless and bool(by_kind[b"VP8L"][4] & 0x10))
    flags = _HAS_ALPHA if alpha else 0
    chunks = [(kind, body) for kind, body in parts if kind in _PICTURE]
    if metadata.icc:
        flags |= _HAS_ICC
        chunks.insert(0, (b"ICCP", metadata.icc))
    if metadata.exif:
        flags |= _HAS_EXIF
        chunks.append((b"EXIF", metadata.exif))
    if metadata.xmp:
        flags |= _HAS_XMP
        chunks.append((b"XMP ", metadata.xmp))
    extended = bytes([flags, 0, 0, 0])
    extended += (head.width - 1).to_bytes(3, "little") + (head.height - 1).to_bytes(3, "little")
    body = b"".join(_chunk(kind, part) for kind, part in [(b"VP8X", extended), *chunks])
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
