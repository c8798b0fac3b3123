"""The tags of TIFF by number, what they are good for, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import ExifTags, TiffTags

from recolor_cli.images import ifd
from recolor_cli.images.ifd import Tag
from recolor_cli.images.photo import Photo

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
SAMPLES, ROWS, STRIP_SIZES, PLANAR, PREDICTOR = 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT = 322, 323
X_DPI, Y_DPI, DPI_UNIT = 282, 283, 296
EXTRA, SAMPLE_FORMAT, XMP, IPTC, ICC = 338, 339, 700, 33723, 34675
LAYERS, SUB_IFDS, DNG_VERSION = 37724, 330, 50706
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
# Tags that describe how the old pixels were packed; everything else stays with its page.
STRUCTURE = {
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, ROWS, STRIP_SIZES, PLANAR, PREDICTOR,
    ifd.TILES, ifd.TILE_SIZES, EXTRA, SAMPLE_FORMAT, LAYERS, SUB_IFDS, ifd.STRIPS,
    255, 263, 264, 265, 266, 280, 281, 288, 289, 290, 291, 292, 293, 301, 318, 319, 320, 321, 322,
    323, 326, 327, 328, 332, 333, 334, 336, 340, 341, 342, 347, *range(512, 522), 529, 530, 531,
    532, 37679, 50838, 50839,
}  # fmt: skip
# Those of them that a decoder needs; the places of strips and tiles are made anew.
PACKING = (
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, ROWS, PLANAR, PREDICTOR, EXTRA,
    SAMPLE_FORMAT, 266, 292, 293, 320, TILE_WIDTH, TILE_HEIGHT, 332, 334, 347, 529, 530, 531, 532,
)  # fmt: skip
# Tags that an EXIF block of another format may carry as well (EXIF 2.3, table 4), and three of
# TIFF 6.0 that say which page of which document this is: every reader of EXIF finds them there.
EXIF_TAGS = {
    269, 270, 271, 272, ifd.ORIENTATION, X_DPI, Y_DPI, DPI_UNIT, 285, 297, 305, 306, 315, 316,
    33432, 40091, 40092, 40093, 40094, 40095, 18246, 18249, ifd.EXIF_IFD, ifd.GPS_IFD,
}  # fmt: skip
# Those that alone are no reason for an EXIF block: the formats say it in their own ways, or it
# speaks of the file.
COMMON = {X_DPI, Y_DPI, DPI_UNIT, ifd.ORIENTATION, 297}
# What every format gets in a place of its own, and a bit field about the file's pages.
_ELSEWHERE = {XMP, IPTC, ICC, 254}
_NAMES = {
    **dict.fromkeys((33550, 33922, 34264, 34735, 34736, 34737), "GeoTIFF"),
    34377: "Photoshop resources", 42112: "GDAL metadata", 42113: "GDAL nodata",
}  # fmt: skip

PLAIN = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 32773: "packbits"}
"""Ways of compression that both OpenCV and Pillow unpack, at every depth."""
RARE = {34925: "lzma", 50000: "zstd"}
"""Those that only Pillow unpacks, at every depth."""
JPEG = {7: "jpeg"}
PICTURES = {33005: "jpeg 2000", 34712: "jpeg 2000", 50001: "webp"}
"""Those of which every strip or tile is a picture of its own."""
_FAX = {2: "ccitt", 3: "ccitt", 4: "ccitt", 32771: "ccitt", 32809: "thunderscan"}
_UNREADABLE = {
    6: "old jpeg", 32766: "next", 32908: "pixar film", 32909: "pixar log", 33003: "jpeg 2000",
    33004: "jpeg 2000", 34661: "jbig", 34676: "sgi log", 34677: "sgi log",
    34887: "lerc", 34892: "lossy jpeg", 34933: "png", 34934: "jpeg xr",
    50002: "jpeg xl", 52546: "jpeg xl",
}  # fmt: skip
COMPRESSIONS = {**_UNREADABLE, **_FAX, **JPEG, **PICTURES, **RARE, **PLAIN}
"""The name of each compression that is known, readable or not."""


def readable(compression: int, bits: int) -> bool:
    """Tell whether a decoder for this compression is here."""
    if compression in PLAIN or compression in RARE:
        return True
    if compression in PICTURES:
        return bits == 8 or (bits == 16 and PICTURES[compression] != "webp")
    return compression in (JPEG if bits == 8 else _FAX if bits < 8 else ())


def first(page: Mapping[int, Tag], tag: int, default: int) -> int:
    """Return the first number of a tag."""
    numbers = page[tag].integers if tag in page else ()
    return numbers[0] if numbers else default


def name(number: int) -> str:
    """Name a tag as ExifTool does, more or less.

    >>> name(285), name(34735), name(65000)
    ('PageName', 'GeoTIFF', 'tag 65000')
    """
    known = ExifTags.TAGS.get(number) or TiffTags.lookup(number).name
    return _NAMES.get(number) or (known if known != "unknown" else f"tag {number}")


def left_out(photo: Photo, output: str) -> list[str]:
    """Say what of a TIFF's own tags does not get into an output of another format.

    Args:
        photo: As read; of a photo that was no TIFF nothing is said.
        output: The name of the other format.
    """
    if photo.format != "tiff" or output == "tiff":
        return []
    page: dict[int, Tag] = {tag.number: tag for tag in photo.frames[0].tags}
    names = dict.fromkeys(name(number) for number in sorted(page.keys() - EXIF_TAGS - _ELSEWHERE))
    notes = []
    if names:
        notes.append(f"left out, which {output} cannot hold: {', '.join(names)}")
    note = ifd.maker_note(page)
    if note and photo.metadata.exif:
        copy = ifd.maker_note(ifd.parse(photo.metadata.exif).pages[0])
        notes += moved_notes([note] if copy is None or copy.offset != note.offset else [])
    return notes


def moved_notes(moved: Sequence[Tag]) -> list[str]:
    """Say that maker notes got another place, if any did."""
    line = "the maker note of the camera had to move; what it says by offsets may be unreadable"
    return [line] if moved else []
