"""The structure that TIFF files and EXIF blocks share: tags in image file directories.

TIFF 6.0 (Adobe, 1992), section 2; BigTIFF for reading. Values are held little-endian.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SHORT = 3
ORIENTATION = 274
STRIPS, TILES, TILE_SIZES = 273, 324, 325
EXIF_IFD, GPS_IFD, INTEROP_IFD = 34665, 34853, 40965
MAKER_NOTE = 37500
_CHILDREN = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
_IPTC = 33723
# XMP, IPTC, Photoshop's resources, profile, maker note: bytes in an order of their own, although
# some writers call them numbers.
_OPAQUE = (700, _IPTC, 34377, 34675, MAKER_NOTE)
_IPTC_MARK = b"\x1c"  # every IPTC record begins with it (IIM 4.2, section 1.5)
_SIZES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
    16: 8, 17: 8, 18: 8,
}  # fmt: skip
_UNITS = {5: 4, 10: 4}
_LETTERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q"}
_MOST = 2**32 - 1
_MAX_PAGES = 10_000
_MAX_GAP = 65_536  # bytes that a file may grow by so that a maker note stays where it was


class IfdError(ValueError):
    """The structure points outside the file, or in circles."""


@dataclass(frozen=True)
class Tag:
    """One tag.

    Attributes:
        number: What it says, such as 274 for the orientation.
        kind: TIFF type, such as 3 for 16-bit numbers.
        value: All its bytes, little-endian; those of an opaque tag as they lie in the file.
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
    """Make a tag of one fraction, to a thousandth; at most the largest that a fraction holds."""
    parts = 1000 if value * 1000 < _MOST else 1
    return Tag(number, 5, struct.pack("<2I", round(min(value * parts, _MOST)), parts))


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
            kind, value = _held(number, kind, self.data[place : place + size], self.order)
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


def _held(number: int, kind: int, value: bytes, order: str) -> tuple[int, bytes]:
    """Return type and bytes of a value as they are held, whatever the byte order of the file."""
    if number not in _OPAQUE or _UNITS.get(kind, _SIZES[kind]) == 1:
        return kind, _swap(value, kind, order)
    if number == _IPTC and not value.startswith(_IPTC_MARK):
        swapped = _swap(value, kind, ">")  # some programs did swap them on writing
        if swapped.startswith(_IPTC_MARK):
            value = swapped
    return 7, value  # nobody swaps bytes


def _swap(value: bytes, kind: int, order: str) -> bytes:
    unit = _UNITS.get(kind, _SIZES[kind])
    if order == "<" or unit == 1:
        return value
    return np.frombuffer(value, f">u{unit}").byteswap().tobytes()


Piece = bytes | bytearray | memoryview
Page = tuple[Iterable[Tag], Sequence[Piece]]
"""What a page is written from: its tags, and its strips or tiles."""


def build(pages: Sequence[Page], order: str = "<", *, keep_places: bool = True) -> bytes:
    """Write a TIFF file in one piece; see `build_parts`."""
    return b"".join(build_parts(pages, order, keep_places=keep_places))


def build_parts(
    pages: Sequence[Page],
    order: str = "<",
    *,
    keep_places: bool = True,
    moved: list[Tag] | None = None,
) -> list[Piece]:
    """Write a TIFF file as the pieces that it consists of; strips and tiles are not copied.

    The caller gives their lengths (tag 279 or 325); the tag that points to them is made here. A
    page without either is what an EXIF block consists of.

    Args:
        pages: What to write.
        order: `<` or `>`.
        keep_places: Whether a maker note stays at the place where it was read, if that costs no
            more than 64 KiB: it may hold offsets that count from the start of the file.
        moved: Receives the maker notes that get another place.

    Raises:
        IfdError: The file would be larger than the 4 GiB that TIFF can address.
    """
    full = [({tag.number: tag for tag in tags}, strips) for tags, strips in pages]
    fixed = _fixed(full) if keep_places else {}
    if moved is not None:
        notes = filter(None, (maker_note(tags) for tags, _ in full))
        moved += [note for note in notes if fixed.get(note.offset) != note.value]
    head = bytearray((b"II*\0" if order == "<" else b"MM\0*") + b"\0\0\0\0")
    layout = _Layout(fixed)
    layout.add(head)
    before, link = head, 4  # where the pointer to the next directory stands
    for tags, strips in full:
        offsets = [layout.add(strip) for strip in strips]
        kept = {number: tag for number, tag in tags.items() if number not in (STRIPS, TILES)}
        if offsets:
            pointer = TILES if TILE_SIZES in kept else STRIPS
            kept[pointer] = long(pointer, *offsets)
        sorted_tags = [kept[number] for number in sorted(kept)]
        at = layout.make_room(len(_directory(sorted_tags, 0, order, fixed)))
        struct.pack_into(order + "I", before, link, at)
        before, link = bytearray(_directory(sorted_tags, at, order, fixed)), 2 + 12 * len(kept)
        layout.add(before)
    layout.finish()
    return layout.out


def maker_note(page: Mapping[int, Tag]) -> Tag | None:
    """Return a page's maker note, of whose inner structure only its maker knows."""
    details = page[EXIF_IFD].children if EXIF_IFD in page else ()
    note = next((tag for tag in details if tag.number == MAKER_NOTE), None)
    return note if note and len(note.value) > 4 else None


def _fixed(pages: Sequence[tuple[Mapping[int, Tag], Sequence[Piece]]]) -> dict[int, bytes]:
    """Say which maker notes stay in place, by their offset."""
    notes: dict[int, bytes] = {}
    for note in filter(None, (maker_note(tags) for tags, _ in pages)):
        notes.setdefault(note.offset, note.value)
    if not notes:
        return {}
    size = 8
    for tags, strips in pages:
        size += sum(map(len, strips)) + len(_directory(list(tags.values()), 0, "<", {}))
    fixed: dict[int, bytes] = {}
    free = 8
    for start in sorted(notes):
        end = start + len(notes[start])
        if start >= free and start <= size + _MAX_GAP:
            fixed[start], free = notes[start], end + end % 2
    return fixed


class _Layout:
    """The pieces of a file, laid one behind the other around those whose place is fixed."""

    def __init__(self, fixed: Mapping[int, bytes]) -> None:
        self.out: list[Piece] = []
        self.at = 0
        self.fixed = deque(sorted(fixed.items()))

    def make_room(self, size: int) -> int:
        """Go on behind everything fixed that `size` bytes would run into; return the place."""
        while self.fixed and self.at + size > self.fixed[0][0]:
            start, value = self.fixed.popleft()
            self._put(bytes(start - self.at))
            self._put(value + b"\0" * ((start + len(value)) % 2))
        return self.at

    def add(self, piece: Piece) -> int:
        """Add a piece at an even place; return the place."""
        odd = len(piece) % 2
        place = self.make_room(len(piece) + odd)
        self._put(piece)
        if odd:
            self._put(b"\0")
        return place

    def finish(self) -> None:
        """Add what is fixed behind the end."""
        while self.fixed:
            self.make_room(self.fixed[0][0] - self.at + 1)

    def _put(self, piece: Piece) -> None:
        if piece:
            self.out.append(piece)
        self.at += len(piece)
        if self.at > 0xFFFF_FF00:
            raise IfdError("larger than the 4 GiB that tiff can hold")


def _directory(tags: Sequence[Tag], at: int, order: str, fixed: Mapping[int, bytes]) -> bytes:
    head = struct.pack(order + "H", len(tags))
    body = b""
    start = at + 2 + 12 * len(tags) + 4
    for tag in tags:
        kind, value = tag.kind, _swap(tag.value, tag.kind, order)
        if tag.children:
            kind, value = 4, struct.pack(order + "I", start + len(body))
            body += _directory(tag.children, start + len(body), order, fixed)
        items = len(value) // _SIZES[kind]
        if tag.number == MAKER_NOTE and fixed.get(tag.offset) == value:
            place = struct.pack(order + "I", tag.offset)
        elif len(value) > 4:
            place = struct.pack(order + "I", start + len(body))
            body += value + b"\0" * (len(value) % 2)
        else:
            place = value.ljust(4, b"\0")
        head += struct.pack(order + "HHI", tag.number, kind, items) + place
    return head + b"\0\0\0\0" + body
