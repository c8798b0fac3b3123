"""JPEG 2000 files as boxes, and the bare codestream inside. ISO/IEC 15444-1, annexes A and I."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from recolor_cli.errors import PhotoError
from recolor_cli.images.photo import Metadata

_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_EXIF = b"JpgTiffExif->JP2"
_IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_SIZ = b"\xff\x4f\xff\x51"
_TRUNCATED = "truncated: the jpeg 2000 file ends before its picture does; copy it again"


@dataclass(frozen=True)
class Head:
    """What a JPEG 2000 file says around its picture data."""

    width: int
    height: int
    components: int
    depth: int  # bits of the deepest component
    lossless: bool
    metadata: Metadata
    warnings: tuple[str, ...]


def read_head(data: bytes) -> Head:
    """Read the boxes and the size marker.

    Raises:
        PhotoError: Cut short or damaged.
    """
    metadata, start = Metadata(), 0
    warnings: tuple[str, ...] = ()
    if not data.startswith(_SIZ):
        boxes = list(_boxes(data, 0, len(data)))
        stream = next((box for box in boxes if box[0] == b"jp2c"), None)
        if stream is None:
            raise PhotoError(_TRUNCATED)
        start = stream[1]
        metadata, warnings = _metadata(data, boxes)
    if data[start : start + 4] != _SIZ or len(data) < start + 44:
        raise PhotoError("damaged: the jpeg 2000 file does not say how large it is; copy it again")
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    components = int.from_bytes(data[start + 40 : start + 42], "big")
    sizes = data[start + 42 : start + 42 + 3 * components : 3]
    if right <= left or bottom <= top or not 1 <= components <= 4 or len(sizes) != components:
        raise PhotoError("damaged: the jpeg 2000 file does not say how large it is; copy it again")
    depth = max((size & 0x7F) + 1 for size in sizes)
    if depth > 16 or any(size & 0x80 for size in sizes):
        raise PhotoError(f"{depth}-bit or signed jpeg 2000 is not supported; convert it to tiff")
    style = data.find(b"\xff\x52", start)  # COD: its last but one number names the wavelet
    lossless = style >= 0 and data[style + 13 : style + 14] == b"\x01"
    return Head(right - left, bottom - top, components, depth, lossless, metadata, warnings)


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start of the content and end of each box."""
    while at + 8 <= end:
        size, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        stop = end if size == 0 else at + size
        if stop > end or stop < start:
            raise PhotoError(_TRUNCATED)
        yield kind, start, stop
        at = stop


def _metadata(data: bytes, boxes: list[tuple[bytes, int, int]]) -> tuple[Metadata, tuple[str, ...]]:
    icc = dpi = None
    uuids: dict[bytes, bytes] = {}
    for kind, start, end in boxes:
        if kind == b"uuid":
            uuids.setdefault(data[start : start + 16], data[start + 16 : end])
        if kind != b"jp2h":
            continue
        for inner, first, last in _boxes(data, start, end):
            if inner == b"colr" and data[first : first + 1] == b"\x02" and icc is None:
                icc = data[first + 3 : last]
            if inner == b"res ":
                dpi = _resolution(data, first, last)
    exif = uuids.get(_EXIF)
    warnings: tuple[str, ...] = ()
    if _C2PA in uuids:
        warnings = ("the content credentials (c2pa) do not fit the new picture; left out",)
    metadata = Metadata(
        icc=icc,
        exif=exif.removeprefix(b"Exif\0\0") if exif else None,
        xmp=uuids.get(_XMP),
        iptc=uuids.get(_IPTC),
        dpi=dpi,
    )
    return metadata, warnings


def _resolution(data: bytes, start: int, end: int) -> tuple[float, float] | None:
    for kind, first, last in _boxes(data, start, end):
        if kind in (b"resc", b"resd") and last - first == 10:
            vn, vd, hn, hd, ve, he = struct.unpack_from(">4H2b", data, first)
            if vn and vd and hn and hd and abs(ve) < 20 and abs(he) < 20:
                return hn / hd * 10.0**he * 0.0254, vn / vd * 10.0**ve * 0.0254
    return None


def assemble(picture: bytes, metadata: Metadata, *, same: bool, warnings: list[str]) -> bytes:
    """Put metadata into a freshly encoded JP2; see `jpeg.assemble` for the arguments."""
    if metadata.text and not same:
        warnings.append("jpeg 2000 has no place for comments; left out")
    out = []
    for kind, start, end in _boxes(picture, 0, len(picture)):
        body = picture[start:end]
        if kind == b"jp2h":
            body = _header(body, metadata)
        if kind == b"jp2c":
            for name, value in (
                (_EXIF, metadata.exif), (_IPTC, metadata.iptc), (_XMP, metadata.xmp),
            ):  # fmt: skip
                if value:
                    out.append(_box(b"uuid", name + value))
        out.append(_box(kind, body))
    return b"".join(out)


def _header(body: bytes, metadata: Metadata) -> bytes:
    out = []
    for kind, start, end in _boxes(body, 0, len(body)):
        inner = body[start:end]
        if kind == b"colr" and metadata.icc:
            inner = b"\x02\0\0" + metadata.icc
        out.append(_box(kind, inner))
    if metadata.dpi:
        x, y = (min(65_535, max(1, round(value))) for value in metadata.dpi)
        # Dots per inch as dots per metre: n / 254 x 10^4.
        out.append(_box(b"res ", _box(b"resc", struct.pack(">4H2b", y, 254, x, 254, 4, 4))))
    return b"".join(out)


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body
