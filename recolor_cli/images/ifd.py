"""The structure that TIFF files and EXIF blocks share: tags in image file directories.

TIFF 6.0 (Adobe, 1992), section 2; BigTIFF for reading. Values are held little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

SHORT = 3
ORIENTATION = 274
STRIPS, TILES, TILE_SIZES = 273, 324, 325
EXIF_IFD, GPS_IFD, INTEROP_IFD = 34665, 34853, 40965
_CHILDREN = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
_SIZES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
    16: 8, 17: 8, 18: 8,
}  # fmt: skip
_UNITS = {5: 4, 10: 4}
_LETTERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q"}
_MAX_PAGES = 10_000


class IfdError(ValueError):
    """The structure points outside the file, or in circles."""


@dataclass(frozen=True)
class Tag:
    """One tag.

    Attributes:
        number: What it says, such as 274 for the orientation.
        kind: TIFF type, such as 3 for 16-bit numbers.
        value: All its bytes, little-endian.
        children: The tags of the directory it points to, for the EXIF, GPS and interop pointers.
        offset: Where the value lies in the file that was read.
    """

    number: int
    kind: int
    value: bytes
    children: tuple[Tag, ...] = ()
    offset: int = 0

    @property
    def numbers(self) -> tuple[float, ...]:
        """The value as numbers; rationals divided (0 for a zero denominator); () for text."""
        if self.kind in (5, 10):
            parts = struct.unpack(
                f"<{len(self.value) // 4}{'I' if self.kind == 5 else 'i'}", self.value
            )
            return tuple(n / d if d else 0.0 for n, d in zip(parts[::2], parts[1::2], strict=True))
        letter = _LETTERS.get(self.kind)
        if letter is None:
            return ()
        return struct.unpack(f"<{len(self.value) // _SIZES[self.kind]}{letter}", self.value)

    @property
    def integers(self) -> tuple[int, ...]:
        """The value as whole numbers."""
        return tuple(int(number) for number in self.numbers)


@dataclass(frozen=True)
class Structure:
    """A TIFF file's pages and its byte order (`<` or `>`)."""

    pages: tuple[dict[int, Tag], ...]
    order: str


def short(number: int, *values: int) -> Tag:
    """Make a tag of 16-bit numbers."""
    return Tag(number, SHORT, struct.pack(f"<{len(values)}H", *values))


def long(number: int, *values: int) -> Tag:
    """Make a tag of 32-bit numbers."""
    return Tag(number, 4, struct.pack(f"<{len(values)}I", *values))


def rational(number: int, value: float) -> Tag:
    """Make a tag of one fraction, to a thousandth."""
    return Tag(number, 5, struct.pack("<2I", round(value * 1000), 1000))


def text(number: int, value: str) -> Tag:
    """Make a tag of text; what ASCII lacks is written as UTF-8, which readers expect today."""
    return Tag(number, 2, value.encode("utf-8", "replace") + b"\0")


def raw(number: int, value: bytes) -> Tag:
    """Make a tag of bytes without meaning."""
    return Tag(number, 7, value)


def parse(data: bytes) -> Structure:
    """Read all directories of a TIFF file or EXIF block.

    Raises:
        IfdError: The header is not TIFF, or a directory lies outside the data or repeats.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        raise IfdError("no tiff header")
    version = struct.unpack_from(order + "H", data, 2)[0]
    if version not in (42, 43):
        raise IfdError("no tiff header")
    reader = _Reader(data, order, big=version == 43)
    pages: list[dict[int, Tag]] = []
    seen: set[int] = set()
    at = reader.unpack("Q", 8) if reader.big else reader.unpack("I", 4)
    while at:
        if at in seen or len(pages) >= _MAX_PAGES:
            raise IfdError("directories in a circle")
        seen.add(at)
        tags, at = reader.directory(at, depth=0)
        pages.append({tag.number: tag for tag in tags})
    if not pages:
        raise IfdError("no directory")
    return Structure(tuple(pages), order)


class _Reader:
    def __init__(self, data: bytes, order: str, *, big: bool) -> None:
        self.data, self.order, self.big = data, order, big
        self.room = 2 * len(data) + 65_536  # values that overlap could multiply a small file

    def unpack(self, letter: str, at: int) -> int:
        if at + struct.calcsize(f"={letter}") > len(self.data):
            raise IfdError("directory outside the file")
        return int(struct.unpack_from(self.order + letter, self.data, at)[0])

    def directory(self, at: int, depth: int) -> tuple[list[Tag], int]:
        count_size, entry_size, inline = (8, 20, 8) if self.big else (2, 12, 4)
        pointer = "Q" if self.big else "I"
        count = self.unpack("Q" if self.big else "H", at)
        end = at + count_size + count * entry_size
        if count > 65_535 or end > len(self.data):
            raise IfdError("directory outside the file")
        tags = []
        for start in range(at + count_size, end, entry_size):
            number, kind = self.unpack("H", start), self.unpack("H", start + 2)
            items = self.unpack(pointer, start + 4)
            size = items * _SIZES.get(kind, 0)
            if not size:
                continue
            place = start + entry_size - inline
            if size > inline:
                place = self.unpack(pointer, place)
                self.room -= size
                if place + size > len(self.data) or self.room < 0:
                    raise IfdError(f"tag {number} outside the file")
            value = _swap(self.data[place : place + size], kind, self.order)
            children: tuple[Tag, ...] = ()
            if number in _CHILDREN and depth < 2 and kind in (4, 13, 16, 18):
                target = int.from_bytes(value, "little")
                try:
                    children = tuple(self.directory(target, depth + 1)[0])
                except IfdError:
                    continue  # a pointer to nowhere says nothing; the picture is not touched by it
            tags.append(Tag(number, kind, value, children, place))
        # Some writers forget the pointer to the next directory at the very end of the file.
        following = self.unpack(pointer, end) if end + inline <= len(self.data) else 0
        return tags, following


def _swap(value: bytes, kind: int, order: str) -> bytes:
    unit = _UNITS.get(kind, _SIZES[kind])
    if order == "<" or unit == 1:
        return value
    return np.frombuffer(value, f">u{unit}").byteswap().tobytes()


Piece = bytes | bytearray | memoryview
Page = tuple[Iterable[Tag], Sequence[Piece]]
"""What a page is written from: its tags, and its strips or tiles."""


def build(pages: Sequence[Page], order: str = "<") -> bytes:
    """Write a TIFF file in one piece; see `build_parts`."""
    return b"".join(build_parts(pages, order))


def build_parts(pages: Sequence[Page], order: str = "<") -> list[Piece]:
    """Write a TIFF file as the pieces that it consists of; strips and tiles are not copied.

    The caller gives their lengths (tag 279 or 325); the tag that points to them is made here. A
    page without either is what an EXIF block consists of.

    Raises:
        IfdError: The file would be larger than the 4 GiB that TIFF can address.
    """
    head = bytearray((b"II*\0" if order == "<" else b"MM\0*") + b"\0\0\0\0")
    out: list[Piece] = [head]
    before, link = head, 4  # where the pointer to the next directory stands
    at = len(head)
    for tags, strips in pages:
        offsets = []
        for strip in strips:
            offsets.append(at)
            out.append(strip)
            if len(strip) % 2:
                out.append(b"\0")
            at += len(strip) + len(strip) % 2
            if at > 0xFFFF_FF00:
                raise IfdError("larger than the 4 GiB that tiff can hold")
        kept = {tag.number: tag for tag in tags if tag.number not in (STRIPS, TILES)}
        if offsets:
            pointer = TILES if TILE_SIZES in kept else STRIPS
            kept[pointer] = long(pointer, *offsets)
        struct.pack_into(order + "I", before, link, at)
        before = bytearray(_directory([kept[number] for number in sorted(kept)], at, order))
        link = 2 + 12 * len(kept)
        out.append(before)
        at += len(before)
    return out


def _directory(tags: Sequence[Tag], at: int, order: str) -> bytes:
    head = struct.pack(order + "H", len(tags))
    body = b""
    start = at + 2 + 12 * len(tags) + 4
    for tag in tags:
        kind, value = tag.kind, _swap(tag.value, tag.kind, order)
        if tag.children:
            kind, value = 4, struct.pack(order + "I", start + len(body))
            body += _directory(tag.children, start + len(body), order)
        items = len(value) // _SIZES[kind]
        if len(value) > 4:
            place = struct.pack(order + "I", start + len(body))
            body += value + b"\0" * (len(value) % 2)
        else:
            place = value.ljust(4, b"\0")
        head += struct.pack(order + "HHI", tag.number, kind, items) + place
    return head + b"\0\0\0\0" + body
