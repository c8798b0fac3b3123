"""JPEG files as segments: what is in front of the picture, and how it is put back.

ITU-T T.81 annex B; JFIF 1.02; EXIF 2.3 section 4.5.4; XMP part 3; ICC.1:2010 annex B.4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from recolor_cli.errors import PhotoError
from recolor_cli.images import iptc
from recolor_cli.images.photo import Metadata

EXIF = b"Exif\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
ICC = b"ICC_PROFILE\0"
_JFIF, _MPF, _ADOBE, _C2PA = b"JFIF\0", b"MPF\0", b"Adobe", b"JP"
_APP0, _APP1, _APP2, _APP11, _APP13, _APP14, _COM = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xFE
_SOS, _EOI = 0xDA, 0xD9
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_ROOM = 65_533  # bytes that one segment holds
_TRUNCATED = "truncated: the jpeg ends before its picture does; copy it again from its source"


@dataclass(frozen=True)
class Head:
    """What a JPEG says before its picture data."""

    width: int
    height: int
    components: int
    metadata: Metadata
    warnings: tuple[str, ...]


def read_head(data: bytes) -> Head:
    """Read all segments up to the picture, and see that the picture has its end.

    libjpeg pads a file that was cut short with grey and says nothing, so the end marker is looked
    for here: inside picture data `FF D9` cannot occur by chance (T.81 B.1.1.5).

    Raises:
        PhotoError: Cut short, without a picture, or of a kind that cannot be decoded.
    """
    segments, start = _segments(data)
    frame = next((body for marker, body in segments if marker in _FRAMES), None)
    if frame is None or len(frame) < 6:
        raise PhotoError("damaged: the jpeg does not say how large it is; copy it again")
    kind = next(marker for marker, _ in segments if marker in _FRAMES)
    precision, height, width, components = struct.unpack_from(">BHHB", frame)
    if precision != 8:
        raise PhotoError(f"{precision}-bit jpeg is not supported; convert it to 16-bit tiff or png")
    if kind not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA):
        raise PhotoError("lossless or hierarchical jpeg is not supported; convert it to tiff")
    if components not in (1, 3, 4):
        raise PhotoError(f"a jpeg of {components} components is not supported; convert it to png")
    if not width or not height:
        raise PhotoError("damaged: the jpeg does not say how large it is; copy it again")
    if data.rfind(b"\xff\xd9", start) < 0:  # from the end, where it is: no pass over the picture
        raise PhotoError(_TRUNCATED)
    metadata, warnings = _metadata(segments)
    return Head(width, height, components, metadata, warnings)


def _segments(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    segments, at, size = [], 2, len(data)
    while True:
        at = data.find(b"\xff", at)  # over stray bytes between segments
        if at < 0:
            raise PhotoError(_TRUNCATED)
        while at < size and data[at] == 0xFF:
            at += 1
        if at + 3 > size:
            raise PhotoError(_TRUNCATED)
        marker = data[at]
        if marker == _EOI:
            raise PhotoError("damaged: the jpeg holds no picture; copy it again from its source")
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 1
            continue
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        if length < 2 or at + 1 + length > size:
            raise PhotoError(_TRUNCATED)
        segments.append((marker, data[at + 3 : at + 1 + length]))
        at += 1 + length
        if marker == _SOS:
            return segments, at


def _metadata(segments: list[tuple[int, bytes]]) -> tuple[Metadata, tuple[str, ...]]:
    exif = xmp = records = None
    dpi = None
    profile: dict[int, bytes] = {}
    native, warnings, comments = [], [], []
    for marker, body in segments:
        if marker == _APP0 and body.startswith(_JFIF) and len(body) >= 12:
            native.append((marker, body[:12]))
            unit, x, y = struct.unpack_from(">BHH", body, 7)
            if unit in (1, 2) and x and y:
                scale = 1.0 if unit == 1 else 2.54
                dpi = (x * scale, y * scale)
        elif marker == _APP1 and body.startswith(EXIF) and exif is None:
            exif = body[len(EXIF) :]
        elif marker == _APP1 and body.startswith(XMP) and xmp is None:
            xmp = body[len(XMP) :]
        elif marker == _APP2 and body.startswith(ICC) and len(body) > 14:
            profile.setdefault(body[12], body[14:])
        elif marker == _APP2 and body.startswith(_MPF):
            warnings.append("the further pictures in this jpeg (preview or depth) are left out")
        elif marker == _APP11 and body.startswith(_C2PA):
            warnings.append("the content credentials (c2pa) do not fit the new picture; left out")
        elif marker == _APP14 and body.startswith(_ADOBE):
            pass  # says how the colours of the old picture data were coded
        elif marker == _COM or 0xE0 <= marker <= 0xEF:
            native.append((marker, body))
            if marker == _COM:
                comments.append(body.rstrip(b"\0").decode("utf-8", "replace"))
            if marker == _APP13 and body.startswith(iptc.PHOTOSHOP) and records is None:
                records = iptc.unwrap(body[len(iptc.PHOTOSHOP) :])
    icc = b"".join(profile[number] for number in sorted(profile)) or None
    words = {"Comment": "\n".join(comments)} if comments else {}
    metadata = Metadata(icc, exif, xmp, records, dpi, words, tuple(native))
    return metadata, tuple(dict.fromkeys(warnings))


def is_more_xmp(part: tuple[object, bytes]) -> bool:
    """Tell whether one of `Metadata.native` continues an XMP packet that fills its segment."""
    return part[0] == _APP1 and part[1].startswith(MORE_XMP)


def assemble(picture: bytes, metadata: Metadata, *, same: bool, warnings: list[str]) -> bytes:
    """Put metadata into a freshly encoded JPEG.

    Args:
        picture: A complete JPEG without metadata, as OpenCV encodes it.
        metadata: What to put in.
        same: Whether the photo was read from a JPEG, so that `native` holds JPEG segments.
        warnings: Receives a line for everything that found no room.
    """
    start = 4 + int.from_bytes(picture[4:6], "big") if picture[3] == _APP0 else 2
    native = list(metadata.native) if same else _foreign(metadata, warnings)
    jfif = [part for part in native if part[0] == _APP0 and part[1].startswith(_JFIF)]
    rest = [part for part in native if part not in jfif]
    front = list(jfif)
    if metadata.exif:
        front.append((_APP1, EXIF + metadata.exif))
    if metadata.xmp:
        front.append((_APP1, XMP + metadata.xmp))
    if metadata.icc:
        room = _ROOM - 14
        parts = [metadata.icc[at : at + room] for at in range(0, len(metadata.icc), room)]
        front += [
            (_APP2, ICC + bytes([number, len(parts)]) + part)
            for number, part in enumerate(parts[:255], start=1)
        ]
    pieces = [picture[:2]]
    for marker, body in front + rest:
        if len(body) > _ROOM:
            what = (
                "exif" if body.startswith(EXIF) else "xmp" if body.startswith(XMP) else "a segment"
            )
            warnings.append(f"{what} is larger than the 64 KiB that jpeg allows; left out")
            continue
        pieces += [b"\xff", bytes([marker]), struct.pack(">H", len(body) + 2), body]
    pieces.append(memoryview(picture)[start:])  # type: ignore[arg-type]
    return b"".join(pieces)


def _foreign(metadata: Metadata, warnings: list[str]) -> list[tuple[int, bytes]]:
    """Make the segments for what came out of another format."""
    parts = []
    dpi = metadata.dpi
    x, y = (min(65_535, max(1, round(value))) for value in dpi) if dpi else (1, 1)
    parts.append((_APP0, _JFIF + struct.pack(">HBHH", 0x0101, 1 if dpi else 0, x, y)))
    if metadata.iptc:
        parts.append((_APP13, iptc.PHOTOSHOP + iptc.wrap(metadata.iptc)))
    for key, value in metadata.text.items():
        line = value if key == "Comment" else f"{key}: {value}"
        body = line.encode()
        if len(body) > _ROOM:
            warnings.append(f"the text {key!r} is larger than jpeg allows; left out")
        else:
            parts.append((_COM, body))
    return parts
