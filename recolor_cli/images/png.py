"""PNG files as chunks: what is around the picture, and how it is put back.

PNG specification, third edition. `Raw profile type` texts are how ImageMagick, ExifTool and others
put into a PNG what it had no chunk for when they began to: a profile's bytes as hex digits.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from recolor_cli.errors import PhotoError
from recolor_cli.images import iptc, jpeg
from recolor_cli.images.photo import Metadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEY = b"XML:com.adobe.xmp"
_RAW_KEY = b"Raw profile type "
_RAW_PROFILES = {b"exif", b"app1", b"xmp", b"icc", b"icm", b"iptc", b"8bim"}
# A few bytes can unpack to a thousand times as many: these bounds keep the memory small.
_MAX_PACKED, _MAX_WORD, _MAX_WORDS = 16 << 20, 1 << 20, 4 << 20
_MAX_NUMBER = 0x7FFF_FFFF  # the largest that a chunk may hold
_TRUNCATED = "truncated: the png ends before its picture does; copy it again from its source"
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
# What speaks of the old pixels or the old palette, or is made anew.
_MADE_ANEW = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"iCCP", b"eXIf", b"pHYs"}
_OF_OLD_PIXELS = {b"sBIT", b"bKGD", b"hIST", b"sPLT", b"acTL", b"fcTL", b"fdAT"}
_BEFORE_PICTURE = {b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"mDCv", b"cLLi"}


@dataclass(frozen=True)
class Head:
    """What a PNG says around its picture data."""

    width: int
    height: int
    depth: int
    color_type: int  # 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGBA
    transparent: bytes | None  # tRNS
    metadata: Metadata
    warnings: tuple[str, ...]


def read_head(data: bytes) -> Head:
    """Read all chunks but the picture's own.

    Raises:
        PhotoError: Cut short, damaged, or animated.
    """
    chunks = _chunks(data)
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise PhotoError("damaged: the png does not begin with its header; copy it again")
    width, height, depth, color_type = struct.unpack_from(">IIBB", chunks[0][1])
    if not width or not height:
        raise PhotoError("damaged: the png says that it has no pixels; copy it again")
    by_kind = {kind: body for kind, body in reversed(chunks)}
    if int.from_bytes(by_kind.get(b"acTL", b"")[:4], "big") > 1:
        raise PhotoError("animated png: recolor colours still pictures; export its frames first")
    metadata, warnings = _metadata(chunks, by_kind)
    return Head(width, height, depth, color_type, by_kind.get(b"tRNS"), metadata, warnings)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Split a PNG and hold every chunk to its checksum; picture data stays where it is."""
    chunks = []
    for kind, at, end in _places(data):
        whole = memoryview(data)[at + 4 : end - 4]
        if zlib.crc32(whole) != int.from_bytes(data[end - 4 : end], "big"):
            raise PhotoError(f"damaged: a checksum in the png is wrong (chunk {kind!r})")
        if kind != b"IDAT":
            chunks.append((kind, bytes(whole[4:])))
    return chunks


def _places(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk, from length to checksum."""
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise PhotoError(_TRUNCATED)
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data):
            raise PhotoError(_TRUNCATED)
        yield kind, at, end
        at = end


def bare(data: bytes) -> bytes:
    """Leave of a readable PNG only what pixels are made of.

    The rest is `read_head`'s: libpng would look at it as well, and print to standard error what it
    thinks of it.
    """
    places = list(_places(data))
    if all(kind in _PIXELS for kind, _, _ in places):
        return data
    view = memoryview(data)
    parts = [view[at:end] for kind, at, end in places if kind in _PIXELS]
    return b"".join([SIGNATURE, *parts])


def _metadata(
    chunks: list[tuple[bytes, bytes]], by_kind: dict[bytes, bytes]
) -> tuple[Metadata, tuple[str, ...]]:
    warnings, native, raw = [], [], []
    dpi = None
    blocks: dict[str, bytes] = {}
    words: dict[str, str] = {}
    if b"iCCP" in by_kind:
        icc = _inflate(by_kind[b"iCCP"].partition(b"\0")[2][1:])
        if icc is None:
            warnings.append("the colour profile is damaged; left out")
        else:
            blocks["icc"] = icc
    if b"eXIf" in by_kind:
        blocks["exif"] = by_kind[b"eXIf"]
    if len(by_kind.get(b"pHYs", b"")) == 9:
        x, y, unit = struct.unpack(">IIB", by_kind[b"pHYs"])
        if unit == 1 and x and y:
            dpi = (x * 0.0254, y * 0.0254)
        elif unit == 0:
            native.append((b"pHYs", by_kind[b"pHYs"]))  # only a shape of pixels, no size
    for kind, body in chunks:
        key = body.split(b"\0", 1)[0] if kind in (b"tEXt", b"zTXt", b"iTXt") else b""
        if kind == b"iTXt" and key == _XMP_KEY and "xmp" not in blocks:
            packet = _text_body(kind, body)
            if packet is None:
                warnings.append("the xmp packet is damaged; left out")
            else:
                blocks["xmp"] = packet
        elif key.startswith(_RAW_KEY) and key[len(_RAW_KEY) :].lower() in _RAW_PROFILES:
            raw.append((kind, body))
        elif kind == b"caBX":
            warnings.append("the content credentials (c2pa) do not fit the new picture; left out")
        elif kind in _MADE_ANEW or kind in _OF_OLD_PIXELS:
            continue
        elif key or kind in _BEFORE_PICTURE or kind == b"tIME" or kind[3:4].islower():
            native.append((kind, body))
            if key and sum(map(len, words.values())) < _MAX_WORDS:
                code = "utf-8" if kind == b"iTXt" else "latin-1"
                value = _text_body(kind, body, _MAX_WORD)
                if value is not None:
                    words[key.decode("latin-1")] = value.decode(code, "replace")
    # Behind the loop, as a chunk of its own goes before a raw profile wherever it stands.
    native += [part for part in raw if _stays(*part, blocks, warnings)]
    metadata = Metadata(
        icc=blocks.get("icc"),
        exif=blocks.get("exif"),
        xmp=blocks.get("xmp"),
        iptc=blocks.get("iptc"),
        dpi=dpi,
        text=words,
        native=tuple(native),
    )
    return metadata, tuple(dict.fromkeys(warnings))


def _stays(kind: bytes, body: bytes, blocks: dict[str, bytes], warnings: list[str]) -> bool:
    """Add a raw profile to `blocks` where there is none yet, and tell whether its text stays too.

    It goes where the proper chunk is written instead, and stays where that would lose something.
    """
    name = body.split(b"\0", 1)[0][len(_RAW_KEY) :].lower().decode("ascii")
    found = _profile_in(name, _raw_profile(_text_body(kind, body) or b""))
    if name in ("icc", "icm"):
        if found is None and "icc" not in blocks:
            warnings.append("the colour profile is damaged; left out")
        elif found is not None:
            blocks.setdefault(*found)
        return False  # it speaks of the old colours
    if found is None:
        warnings.append(f"the raw {name} profile of this png cannot be read; only png keeps it")
        return True
    what, value = found
    is_new = what not in blocks
    blocks.setdefault(what, value)
    # Around the records there may be more that belongs to Photoshop.
    return what == "iptc" or not is_new


def _profile_in(name: str, payload: bytes | None) -> tuple[str, bytes] | None:
    """Say which field of `Metadata` a raw profile belongs into, and its value there."""
    if not payload:
        return None
    if name in ("icc", "icm"):
        return ("icc", payload) if payload[36:40] == b"acsp" else None
    if name in ("iptc", "8bim"):
        records = iptc.records_in(payload)
        return ("iptc", records) if records else None
    if name == "xmp" or payload.startswith(jpeg.XMP):
        return "xmp", payload.removeprefix(jpeg.XMP)
    block = payload.removeprefix(jpeg.EXIF)
    return ("exif", block) if block[:4] in (b"II*\0", b"MM\0*") else None


def _text_body(kind: bytes, body: bytes, limit: int = _MAX_PACKED) -> bytes | None:
    rest = body.partition(b"\0")[2]
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        return _inflate(rest[1:], limit)
    packed, rest = rest[:1], rest[2:]
    value = rest.partition(b"\0")[2].partition(b"\0")[2]
    return _inflate(value, limit) if packed == b"\1" else value


def _inflate(packed: bytes, limit: int = _MAX_PACKED) -> bytes | None:
    """Unpack a zlib stream; None if it is damaged or unpacks to more than `limit` bytes."""
    stream = zlib.decompressobj()
    try:
        value = stream.decompress(packed, limit)
    except zlib.error:
        return None
    return value if stream.eof else None


def _raw_profile(value: bytes) -> bytes | None:
    """Decode a `Raw profile type` text: a line of name, one of length, lines of hex digits."""
    lines = value.strip().split(b"\n", 2)
    try:
        size, payload = int(lines[1]), bytes.fromhex(lines[2].decode("ascii"))
    except (IndexError, ValueError):
        return None
    return payload[:size] if 0 < size <= len(payload) else None


def assemble(picture: bytes, metadata: Metadata, *, same: bool, warnings: list[str]) -> bytes:
    """Put metadata into a freshly encoded PNG; see `jpeg.assemble` for the arguments."""
    front: list[tuple[bytes, bytes]] = []
    native = list(metadata.native) if same else []
    if metadata.icc:
        front.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc, 9)))
        native = [part for part in native if part[0] != b"sRGB"]  # the two exclude each other
    front += [part for part in native if part[0] in _BEFORE_PICTURE]
    if metadata.dpi:
        per_metre = [value / 0.0254 for value in metadata.dpi]
        if all(value <= _MAX_NUMBER for value in per_metre):  # no number at all is not, either
            x, y = (max(1, round(value)) for value in per_metre)
            front.append((b"pHYs", struct.pack(">IIB", x, y, 1)))
        else:
            largest = max(metadata.dpi)
            warnings.append(f"a resolution of {largest:.0f} dpi is more than png holds; left out")
    if metadata.exif:
        front.append((b"eXIf", metadata.exif))
    front += [part for part in native if part[0] not in _BEFORE_PICTURE]
    if not same:
        for key, value in metadata.text.items():
            body = _keyword(key) + b"\0\0\0\0\0" + value.encode()
            front.append((b"iTXt", body))
    if metadata.iptc and not same:  # else they are among `native`
        digits = metadata.iptc.hex()
        lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
        profile = f"\niptc\n{len(metadata.iptc):8d}\n{lines}\n".encode()
        front.append((b"zTXt", _RAW_KEY + b"iptc\0\0" + zlib.compress(profile, 9)))
    if metadata.xmp:
        front.append((b"iTXt", _XMP_KEY + b"\0\0\0\0\0" + metadata.xmp))
    behind_header = len(SIGNATURE) + 12 + 13
    made = b"".join(_chunk(kind, body) for kind, body in front)
    return b"".join([picture[:behind_header], made, memoryview(picture)[behind_header:]])


def _keyword(key: str) -> bytes:
    return key.encode("latin-1", "replace")[:79] or b"Comment"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
