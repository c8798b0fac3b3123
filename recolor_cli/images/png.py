"""PNG files as chunks: what is around the picture, and how it is put back.

PNG specification, third edition; `Raw profile type` texts as ImageMagick and ExifTool write them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from recolor_cli.errors import PhotoError
from recolor_cli.images.photo import Metadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEY = b"XML:com.adobe.xmp"
_IPTC_KEY = b"Raw profile type iptc"
# A few bytes can unpack to a thousand times as many: these bounds keep the memory small.
_MAX_PACKED, _MAX_WORD, _MAX_WORDS = 16 << 20, 1 << 20, 4 << 20
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
    warnings, native = [], []
    xmp = records = icc = dpi = None
    words: dict[str, str] = {}
    if b"iCCP" in by_kind:
        icc = _inflate(by_kind[b"iCCP"].partition(b"\0")[2][1:])
        if icc is None:
            warnings.append("the colour profile is damaged; left out")
    if len(by_kind.get(b"pHYs", b"")) == 9:
        x, y, unit = struct.unpack(">IIB", by_kind[b"pHYs"])
        if unit == 1 and x and y:
            dpi = (x * 0.0254, y * 0.0254)
        elif unit == 0:
            native.append((b"pHYs", by_kind[b"pHYs"]))  # only a shape of pixels, no size
    for kind, body in chunks:
        key = body.split(b"\0", 1)[0] if kind in (b"tEXt", b"zTXt", b"iTXt") else b""
        if kind == b"iTXt" and key == _XMP_KEY and xmp is None:
            xmp = _text_body(kind, body)
        elif key == _IPTC_KEY and records is None:
            records = _raw_profile(_text_body(kind, body) or b"")
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
    metadata = Metadata(icc, by_kind.get(b"eXIf"), xmp, records, dpi, words, tuple(native))
    return metadata, tuple(warnings)


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
    """Decode a `Raw profile type` text: name, length, hex digits."""
    parts = value.split(None, 2)
    try:
        return bytes.fromhex(parts[2].decode("ascii"))[: int(parts[1])]
    except (IndexError, ValueError):
        return None


def assemble(picture: bytes, metadata: Metadata, *, same: bool, warnings: list[str]) -> bytes:
    """Put metadata into a freshly encoded PNG; see `jpeg.assemble` for the arguments."""
    del warnings  # PNG has room for everything
    front: list[tuple[bytes, bytes]] = []
    native = list(metadata.native) if same else []
    if metadata.icc:
        front.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc, 9)))
        native = [part for part in native if part[0] != b"sRGB"]  # the two exclude each other
    front += [part for part in native if part[0] in _BEFORE_PICTURE]
    if metadata.dpi:
        x, y = (max(1, round(value / 0.0254)) for value in metadata.dpi)
        front.append((b"pHYs", struct.pack(">IIB", x, y, 1)))
    if metadata.exif:
        front.append((b"eXIf", metadata.exif))
    front += [part for part in native if part[0] not in _BEFORE_PICTURE]
    if not same:
        for key, value in metadata.text.items():
            body = _keyword(key) + b"\0\0\0\0\0" + value.encode()
            front.append((b"iTXt", body))
    if metadata.iptc:
        digits = metadata.iptc.hex()
        lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
        profile = f"\niptc\n{len(metadata.iptc):8d}\n{lines}\n".encode()
        front.append((b"zTXt", _IPTC_KEY + b"\0\0" + zlib.compress(profile, 9)))
    if metadata.xmp:
        front.append((b"iTXt", _XMP_KEY + b"\0\0\0\0\0" + metadata.xmp))
    behind_header = len(SIGNATURE) + 12 + 13
    made = b"".join(_chunk(kind, body) for kind, body in front)
    return b"".join([picture[:behind_header], made, memoryview(picture)[behind_header:]])


def _keyword(key: str) -> bytes:
    return key.encode("latin-1", "replace")[:79] or b"Comment"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
