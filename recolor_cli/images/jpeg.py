"""JPEG files as segments: what is in front of the picture, and how it is put back.

ITU-T T.81 annex B; JFIF 1.02; EXIF 2.3 section 4.5.4; XMP part 3; ICC.1:2010 annex B.4.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from recolor_cli.errors import PhotoError
from recolor_cli.images import codec, iptc, overheard, xmp
from recolor_cli.images.photo import Metadata

EXIF = b"Exif\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
ICC = b"ICC_PROFILE\0"
_JFIF, _MPF, _ADOBE, _C2PA = b"JFIF\0", b"MPF\0", b"Adobe", b"JP"
_APP0, _APP1, _APP2, _APP11, _APP13, _APP14, _COM = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xFE
_SOS, _EOI = 0xDA, 0xD9
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (0xC2, 0xCA)
_TIFF = (b"II*\0", b"MM\0*")
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_FEW = 8  # bytes beyond those read ahead; some cameras leave as many behind a whole picture
_ROOM = 65_533  # bytes that one segment holds
_XMP_PART = 65_400  # bytes of a packet in one extension segment (XMP part 3, 1.1.3.1)
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

    libjpeg pads a file that was cut short with grey, so the end marker is looked for here: inside
    picture data `FF D9` cannot occur by chance (T.81 B.1.1.5). What else may be wrong with picture
    data is for `check_scans` and `judge`.

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


def check_scans(data: bytes) -> list[str]:
    """See that a picture that comes in several scans has all of them; return notes.

    libjpeg finds nothing wrong with scans that are missing. A picture in one scan, as nearly all
    are, costs no pass over its data, unless what libjpeg says cannot be heard here.

    Raises:
        PhotoError: Picture data ends in something else than more of it, or lacks a component.
    """
    segments, at = _segments(data)
    kind, frame = next((marker, body) for marker, body in segments if marker in _FRAMES)
    scan = segments[-1][1]
    if kind not in _PROGRESSIVE and scan[:1] == frame[5:6] and overheard.can_hear():
        return []
    ends = _ends_of_data(data, at)
    # By component: how many low bits of each coefficient are yet to come; 99 is all of them.
    missing = {frame[6 + 3 * k]: [99] * 64 for k in range(frame[5]) if 6 + 3 * k < len(frame)}
    while True:
        count = scan[0] if scan else 0
        if len(scan) < 4 + 2 * count:
            raise codec.damaged("jpeg")
        first, last, low = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count] & 15
        if kind not in _PROGRESSIVE:
            first, last, low = 0, 63, 0
        for component in scan[1 : 1 + 2 * count : 2]:
            if component in missing:
                missing[component][first : last + 1] = [low] * (min(last, 63) + 1 - first)
        marker, scan, at = _next_scan(data, at, ends)
        if marker == _EOI:
            break
    if any(bits[0] == 99 for bits in missing.values()):
        raise PhotoError(_TRUNCATED)
    if any(any(bits) for bits in missing.values()):
        return [
            "the jpeg lacks its last scans, so that its picture is coarse; look whether its source "
            "is whole"
        ]
    return []


def _ends_of_data(data: bytes, start: int) -> list[int]:
    """Find what may end a run of picture data: markers that are no stuffed byte and no restart."""
    values = np.frombuffer(data, np.uint8, offset=start)
    at = np.flatnonzero(values[:-1] == 0xFF)
    after = values[at + 1]
    kept = (after != 0x00) & (after != 0xFF) & ((after < 0xD0) | (after > 0xD7))
    return [int(place) + start for place in at[kept]]


def _next_scan(data: bytes, at: int, ends: list[int]) -> tuple[int, bytes, int]:
    """From inside picture data, go to the next scan's header or to the end of the picture."""
    while True:
        number = bisect_left(ends, at)
        if number == len(ends):
            raise PhotoError(_TRUNCATED)
        marker, at = data[ends[number] + 1], ends[number] + 2
        if marker == _EOI:
            return marker, b"", at
        if marker == 0xD8 or marker in _FRAMES or marker < 0xC0:  # of another picture, or of none
            raise codec.damaged("jpeg")
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            raise codec.damaged("jpeg")
        body, at = data[at + 2 : at + length], at + length
        if marker == _SOS:
            return marker, body, at


def bare(data: bytes) -> bytes:
    """Return a JPEG with only what its pixels need.

    libjpeg prints its first complaint alone; one about metadata would hide one about the picture.
    """
    segments, start = _segments(data)
    pieces = [data[:2]]
    sequential = not any(marker in _PROGRESSIVE for marker, _ in segments)
    for marker, body in segments:
        if marker == _SOS and sequential and len(body) >= 4 + 2 * body[0]:
            # What some programs write here has no meaning; libjpeg would complain of it first.
            body = body[: 1 + 2 * body[0]] + b"\0\x3f\0"
        if not 0xE0 <= marker <= 0xEF and marker != _COM:
            pieces.append(b"\xff%c%b%b" % (marker, struct.pack(">H", len(body) + 2), body))
    return b"".join([*pieces, data[start:]])


def judge(complaint: str, data: bytes) -> list[str]:
    """Tell damage from oddities by libjpeg's complaint about the bare picture; return notes.

    Raises:
        PhotoError: Part of the picture is lost or in the wrong place.
    """
    found = _EXTRANEOUS.search(complaint)
    if found:
        count, marker = int(found[1]), int(found[2], 16)
        end = data.find(b"\xff\xd9", _segments(data)[1])
        filler = not data[max(0, end - count) : end].strip(b"\0\xff")
        if (count <= _FEW and not 0xD0 <= marker <= 0xD7) or (marker == _EOI and filler):
            return ["the jpeg has bytes too many in its picture data; look at the result"]
    elif not complaint or complaint.startswith("Invalid SOS"):  # the latter changes no pixel
        return []
    elif complaint.startswith("Inconsistent progression"):
        return ["the scans of this progressive jpeg are in an odd order; look at the result"]
    raise codec.damaged("jpeg")


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
    goes_on = False  # whether the segment before was a part of `exif`
    for marker, body in segments:
        was_exif, goes_on = goes_on, False
        if marker == _APP0 and body.startswith(_JFIF) and len(body) >= 12:
            native.append((marker, body[:12]))
            unit, x, y = struct.unpack_from(">BHH", body, 7)
            if unit in (1, 2) and x and y:
                scale = 1.0 if unit == 1 else 2.54
                dpi = (x * scale, y * scale)
        elif marker == _APP1 and body.startswith(EXIF) and exif is None:
            exif, goes_on = body[len(EXIF) :], True
        elif was_exif and exif and marker == _APP1 and _continues_exif(body):
            exif, goes_on = exif + body[len(EXIF) :], True
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
                comments.append(_comment(body.rstrip(b"\0")))
            if marker == _APP13 and body.startswith(iptc.PHOTOSHOP) and records is None:
                records = iptc.unwrap(body[len(iptc.PHOTOSHOP) :])
    icc = b"".join(profile[number] for number in sorted(profile)) or None
    words = {"Comment": "\n".join(comments)} if comments else {}
    metadata = Metadata(icc, exif, xmp, records, dpi, words, tuple(native))
    return metadata, tuple(dict.fromkeys(warnings))


def _continues_exif(body: bytes) -> bool:
    """Tell whether a segment right behind EXIF is more of it, as ExifTool splits large blocks."""
    return body.startswith(EXIF) and not body.startswith(_TIFF, len(EXIF))


def _comment(body: bytes) -> str:
    """Decode a comment, for which JPEG names no coding: UTF-8, or else what cameras wrote."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("latin-1")


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
    room = _ROOM - len(EXIF)
    exif = metadata.exif or b""
    front += [(_APP1, EXIF + exif[at : at + room]) for at in range(0, len(exif), room)]
    if metadata.xmp:
        packets, rest = _xmp_segments(metadata.xmp, rest, warnings)
        front += packets
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
            what = "xmp" if body.startswith(XMP) else "a segment"
            warnings.append(f"{what} is larger than the 64 KiB that jpeg allows; left out")
            continue
        pieces += [b"\xff", bytes([marker]), struct.pack(">H", len(body) + 2), body]
    pieces.append(memoryview(picture)[start:])  # type: ignore[arg-type]
    return b"".join(pieces)


def _xmp_segments(
    packet: bytes, rest: list[tuple[int, bytes]], warnings: list[str]
) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]:
    """Lay a packet into segments; also return `rest` without an extension that went into it."""
    if len(packet) <= _ROOM - len(XMP):
        return [(_APP1, XMP + packet)], rest
    earlier = [body for marker, body in rest if is_more_xmp((marker, body))]
    extension = _join_xmp(earlier)
    parts = xmp.split(packet, extension, _ROOM - len(XMP))
    if parts is None:
        return [(_APP1, XMP + packet)], rest
    if earlier and extension is None:
        warnings.append("the part of the xmp beyond 64 KiB is damaged; left out")
    main, more = parts
    segments = [(_APP1, XMP + main)]
    for at in range(0, len(more), _XMP_PART):
        head = MORE_XMP + xmp.digest(more).encode() + struct.pack(">II", len(more), at)
        segments.append((_APP1, head + more[at : at + _XMP_PART]))
    return segments, [part for part in rest if not is_more_xmp(part)]


def _join_xmp(bodies: list[bytes]) -> bytes | None:
    """Join the segments of an extended packet; None if there is none or it is not whole."""
    name, start = len(MORE_XMP), len(MORE_XMP) + 40  # past its digest, length and place
    by_place = {body[start - 4 : start]: body[start:] for body in bodies if len(body) >= start}
    joined = b"".join(by_place[place] for place in sorted(by_place))
    names = {body[name : name + 32] for body in bodies}
    return joined if names == {xmp.digest(joined).encode()} and xmp.is_packet(joined) else None


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
