"""TIFF files read page by page: every layout of pixels that photographs come in, every tag kept.

The decoders behind OpenCV and Pillow turn pixels by the orientation, multiply colours by alpha,
ignore inverted 16-bit grey and confuse separate planes. So the tags are read here, and a decoder
gets a page of its own that holds nothing but what it needs to unpack.
"""

from __future__ import annotations

import cv2
import numpy as np

from recolor_cli.errors import PhotoError
from recolor_cli.images import codec, icc, ifd
from recolor_cli.images.ifd import Tag
from recolor_cli.images.photo import Frame, Metadata, Photo, Pixels

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
SAMPLES, ROWS, STRIP_SIZES, PLANAR, PREDICTOR = 277, 278, 279, 284, 317
X_DPI, Y_DPI, DPI_UNIT = 282, 283, 296
EXTRA, SAMPLE_FORMAT, XMP, IPTC, ICC = 338, 339, 700, 33723, 34675
LAYERS, SUB_IFDS, DNG_VERSION = 37724, 330, 50706
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = 0, 1, 2, 3
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
    SAMPLE_FORMAT, 266, 292, 293, 320, 322, 323, 332, 334, 347, 529, 530, 531, 532,
)  # fmt: skip
# Tags that an EXIF block of another format may carry as well (EXIF 2.3, table 4).
EXIF_TAGS = {
    270, 271, 272, ifd.ORIENTATION, X_DPI, Y_DPI, DPI_UNIT, 305, 306, 315, 316, 33432,
    40091, 40092, 40093, 40094, 40095, 18246, 18249, ifd.EXIF_IFD, ifd.GPS_IFD,
}  # fmt: skip
_NAMES = {
    1: "none", 2: "ccitt", 3: "ccitt", 4: "ccitt", 5: "lzw", 6: "jpeg", 7: "jpeg", 8: "deflate",
    32946: "deflate", 32773: "packbits", 34712: "jpeg2000", 50000: "zstd", 50001: "webp",
}  # fmt: skip
_TRUNCATED = "truncated: the tiff ends before its picture does; copy it again from its source"


def read(data: bytes, max_pixels: int) -> Photo:
    """Read a TIFF with all its pages.

    Raises:
        PhotoError: Cut short, damaged, too large, or of a kind of pixels that is not supported.
    """
    try:
        structure = ifd.parse(data)
    except ifd.IfdError as error:
        raise PhotoError(f"truncated or damaged: {error}; copy the tiff again") from None
    pages = structure.pages
    warnings: list[str] = []
    for page in pages:
        _check(page, len(data))
    _check_total(pages, max_pixels)
    frames = tuple(_read_page(data, page, structure.order, warnings) for page in pages)
    first = pages[0]
    name = _NAMES.get(_number(first, COMPRESSION, 1), "other")
    return Photo(
        frames=frames,
        format="tiff",
        orientation=_orientation(first),
        metadata=_metadata(first),
        warnings=tuple(dict.fromkeys(warnings)),
        lossless=name not in ("jpeg", "webp"),
        compression=name,
    )


def _number(page: dict[int, Tag], tag: int, default: int) -> int:
    numbers = page[tag].integers if tag in page else ()
    return numbers[0] if numbers else default


def _orientation(page: dict[int, Tag]) -> int:
    value = _number(page, ifd.ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def _check(page: dict[int, Tag], size: int) -> None:
    width, height = _number(page, WIDTH, 0), _number(page, HEIGHT, 0)
    if width <= 0 or height <= 0:
        raise PhotoError("damaged: the tiff does not say how large it is; copy it again")
    if DNG_VERSION in page or _number(page, PHOTOMETRIC, 1) in (32803, 34892):
        raise PhotoError("a camera raw file; develop it to tiff first")
    bits = set(page[BITS].integers) if BITS in page else {1}
    kind = set(page[SAMPLE_FORMAT].integers) if SAMPLE_FORMAT in page else {1}
    deepest = max(bits, default=1)
    if kind & {3, 6}:
        raise PhotoError(f"{deepest}-bit float tiff is not supported; convert it to 16 bits")
    if kind & {2, 5}:
        raise PhotoError("a tiff of signed numbers is not supported; convert it to 16 bits")
    if _number(page, COMPRESSION, 1) == 6:
        raise PhotoError("the outdated kind of jpeg in tiff is not supported; save it anew")
    if len(bits) > 1 or deepest not in (1, 2, 4, 8, 16):
        raise PhotoError(f"{deepest}-bit tiff is not supported; convert it to 8 or 16 bits")
    offsets = page.get(ifd.TILES) or page.get(ifd.STRIPS)
    sizes = page.get(ifd.TILE_SIZES) or page.get(STRIP_SIZES)
    if offsets is None:
        raise PhotoError("damaged: the tiff does not say where its picture is; copy it again")
    if sizes is not None and any(
        offset + length > size
        for offset, length in zip(offsets.integers, sizes.integers, strict=False)
    ):
        raise PhotoError(_TRUNCATED)
    if any(offset > size for offset in offsets.integers):
        raise PhotoError(_TRUNCATED)


def _check_total(pages: tuple[dict[int, Tag], ...], max_pixels: int) -> None:
    total = 0
    for page in pages:
        width, height = _number(page, WIDTH, 0), _number(page, HEIGHT, 0)
        codec.check_size(width, height, max_pixels)
        total += width * height
    if total > max_pixels:
        raise PhotoError(
            f"{len(pages)} pages hold {total / 1e6:.0f} megapixels, the limit is "
            f"{max_pixels / 1e6:.0f}; raise it with --max-pixels {total}"
        )


def _read_page(data: bytes, page: dict[int, Tag], order: str, warnings: list[str]) -> Frame:
    if LAYERS in page:
        warnings.append("the photoshop layers hold the old picture; left out")
    if _number(page, BITS, 1) == 16:
        frame = _read_deep(data, page, order)
    else:
        profile = page[ICC].value if ICC in page else None
        alone = _rebuild({n: page[n] for n in PACKING if n in page}, _pieces(data, page), order)
        with codec.open_pillow(alone, "TIFF") as image:
            frame = codec.frame_from_pillow(image, profile, warnings)
    if frame.pixels.shape[:2] != (_number(page, HEIGHT, 0), _number(page, WIDTH, 0)):
        raise codec.damaged("tiff")
    kept = tuple(tag for tag in page.values() if tag.number not in STRUCTURE)
    return Frame(frame.pixels, frame.alpha, kept)


def _pieces(data: bytes, page: dict[int, Tag]) -> list[memoryview]:
    """The strips or tiles of a page, where they lie."""
    whole = memoryview(data)
    offsets = (page.get(ifd.TILES) or page[ifd.STRIPS]).integers
    sizes = page.get(ifd.TILE_SIZES) or page.get(STRIP_SIZES)
    if sizes is None and len(offsets) == 1:  # some old writers leave it out
        return [whole[offsets[0] :]]
    if sizes is None or len(sizes.integers) != len(offsets):
        raise codec.damaged("tiff")
    return [whole[at : at + size] for at, size in zip(offsets, sizes.integers, strict=True)]


def _rebuild(tags: dict[int, Tag], pieces: list[memoryview], order: str) -> bytes:
    """Make a file of one page that says how its pixels are packed and nothing else.

    So a decoder has nothing to turn, and nothing to stumble over.
    """
    number = ifd.TILE_SIZES if 322 in tags else STRIP_SIZES
    lengths = ifd.long(number, *(len(piece) for piece in pieces))
    try:
        return ifd.build([([*tags.values(), lengths], pieces)], order)
    except ifd.IfdError:
        raise PhotoError("a tiff page of more than 4 GiB is not supported; cut it up") from None


def _read_deep(data: bytes, page: dict[int, Tag], order: str) -> Frame:
    """Unpack a page of 16 bits."""
    photometric, samples = _number(page, PHOTOMETRIC, 1), _number(page, SAMPLES, 1)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise PhotoError("16-bit tiff of this colour space is not supported; convert it to rgb")
    colors = 3 if photometric == _RGB else 1
    if samples not in (colors, colors + 1):
        raise PhotoError(f"a tiff of {samples} channels is not supported; convert it to rgb")
    tags = {n: page[n] for n in PACKING if n in page}
    pieces = _pieces(data, page)
    if _number(page, PLANAR, 1) == 2 and samples > 1:
        each = len(pieces) // samples
        parts = [pieces[k * each : (k + 1) * each] for k in range(samples)]
        planes = np.stack([_unpack_gray(tags, part, order) for part in parts], axis=2)
    elif samples == 2:
        planes = _unpack_pairs(tags, pieces, order)
    else:
        planes = codec.decode(_rebuild(tags, pieces, order), cv2.IMREAD_UNCHANGED, "tiff")
        if planes.ndim == 3 and planes.shape[2] == 3:
            planes = codec.swap_red_and_blue(planes)
        elif planes.ndim == 3:
            planes = cv2.cvtColor(planes, cv2.COLOR_BGRA2RGBA)
        planes = planes[..., None] if planes.ndim == 2 else planes
    if planes.dtype != np.uint16 or planes.shape[2] != samples:
        raise codec.damaged("tiff")
    pixels = planes[..., 0] if colors == 1 else planes[..., :3]
    if photometric == _WHITE_IS_ZERO:
        pixels = 65_535 - pixels
    alpha = np.ascontiguousarray(planes[..., -1]) if samples > colors else None
    return Frame(np.ascontiguousarray(pixels), alpha)


def _unpack_gray(tags: dict[int, Tag], pieces: list[memoryview], order: str) -> Pixels:
    """Unpack one 16-bit plane as a grey picture of its own."""
    plain = {number: tag for number, tag in tags.items() if number != EXTRA}
    for number, value in ((BITS, 16), (PHOTOMETRIC, 1), (SAMPLES, 1), (PLANAR, 1)):
        plain[number] = ifd.short(number, value)
    plain.pop(SAMPLE_FORMAT, None)
    pixels = codec.decode(_rebuild(plain, pieces, order), cv2.IMREAD_UNCHANGED, "tiff")
    if pixels.shape != (_number(tags, HEIGHT, 0), _number(plain, WIDTH, 0)):
        raise codec.damaged("tiff")
    if pixels.dtype != np.uint16:
        raise codec.damaged("tiff")
    return pixels


def _unpack_pairs(tags: dict[int, Tag], pieces: list[memoryview], order: str) -> Pixels:
    """Unpack 16-bit grey with alpha as grey of double width, for want of a decoder for pairs."""
    if 322 in tags:
        raise PhotoError("tiled 16-bit grey with alpha is not supported; save it without tiles")
    width, differences = _number(tags, WIDTH, 0), _number(tags, PREDICTOR, 1) == 2
    double = {**tags, WIDTH: ifd.long(WIDTH, 2 * width), PREDICTOR: ifd.short(PREDICTOR, 1)}
    flat = _unpack_gray(double, pieces, order)
    planes = flat.reshape(flat.shape[0], width, 2)
    if differences:  # TIFF 6.0 section 14: each value is stored as the step from its neighbour
        planes = np.cumsum(planes, axis=1, dtype=np.uint16)
    return planes


def _metadata(page: dict[int, Tag]) -> Metadata:
    profile = page[ICC].value if ICC in page else None
    if profile and icc.color_space(profile) == "cmyk":
        profile = icc.srgb()  # the pixels were converted
    exif = ifd.build([([tag for tag in page.values() if tag.number in EXIF_TAGS], [])])
    says = any(tag in page for tag in EXIF_TAGS - {X_DPI, Y_DPI, DPI_UNIT, ifd.ORIENTATION})
    turned = _orientation(page) != 1
    return Metadata(
        icc=profile,
        exif=exif if says or turned else None,
        xmp=page[XMP].value if XMP in page else None,
        iptc=page[IPTC].value if IPTC in page else None,
        dpi=dpi(page),
    )


def dpi(tags: dict[int, Tag]) -> tuple[float, float] | None:
    """Read the resolution out of TIFF or EXIF tags, in dots per inch."""
    scale = {2: 1.0, 3: 2.54}.get(_number(tags, DPI_UNIT, 2))
    x = tags[X_DPI].numbers if X_DPI in tags else ()
    y = tags[Y_DPI].numbers if Y_DPI in tags else ()
    if scale is None or not x or not y or x[0] <= 0 or y[0] <= 0:
        return None
    return x[0] * scale, y[0] * scale
