"""TIFF files read page by page: every layout of pixels that photographs come in, every tag kept.

The decoders behind OpenCV and Pillow turn pixels by the orientation, multiply colours by alpha,
ignore inverted 16-bit grey and confuse separate planes. So the tags are read here, and a decoder
gets a page of its own that holds nothing but what it needs to unpack.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from recolor_cli.errors import PhotoError
from recolor_cli.images import codec, icc, ifd, tiff_planes
from recolor_cli.images import tiff_tags as tags
from recolor_cli.images.ifd import Tag
from recolor_cli.images.photo import Frame, Metadata, Photo
from recolor_cli.images.tiff_tags import BITS, XMP

__all__ = ["BITS", "XMP", "dpi", "read"]

_EXIF_ROOM = 60_000  # of the 64 KiB that a JPEG has for its EXIF block
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
    name = tags.COMPRESSIONS.get(tags.first(first, tags.COMPRESSION, 1), "other")
    return Photo(
        frames=frames,
        format="tiff",
        orientation=_orientation(first),
        metadata=_metadata(first),
        warnings=tuple(dict.fromkeys(warnings)),
        lossless=name not in ("jpeg", "webp", "jpeg 2000"),
        compression=name,
    )


def _orientation(page: dict[int, Tag]) -> int:
    value = tags.first(page, ifd.ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def _check(page: dict[int, Tag], size: int) -> None:
    width, height = tags.first(page, tags.WIDTH, 0), tags.first(page, tags.HEIGHT, 0)
    if width <= 0 or height <= 0:
        raise PhotoError("damaged: the tiff does not say how large it is; copy it again")
    if tags.DNG_VERSION in page or tags.first(page, tags.PHOTOMETRIC, 1) in (32803, 34892):
        raise PhotoError("a camera raw file; develop it to tiff first")
    bits = set(page[BITS].integers) if BITS in page else {1}
    kind = set(page[tags.SAMPLE_FORMAT].integers) if tags.SAMPLE_FORMAT in page else {1}
    deepest = max(bits, default=1)
    if kind & {3, 6}:
        raise PhotoError(f"{deepest}-bit float tiff is not supported; convert it to 16 bits")
    if kind & {2, 5}:
        raise PhotoError("a tiff of signed numbers is not supported; convert it to 16 bits")
    if tags.first(page, tags.COMPRESSION, 1) == 6:
        raise PhotoError("the outdated kind of jpeg in tiff is not supported; save it anew")
    if len(bits) > 1 or deepest not in (1, 2, 4, 8, 16):
        raise PhotoError(f"{deepest}-bit tiff is not supported; convert it to 8 or 16 bits")
    compression = tags.first(page, tags.COMPRESSION, 1)
    if not tags.readable(compression, deepest):
        name = tags.COMPRESSIONS.get(compression, f"number {compression}")
        depth = " at 16 bits" if tags.readable(compression, 8) and deepest == 16 else ""
        raise PhotoError(
            f"this tiff's compression ({name}) is not supported{depth}; convert it, "
            "e.g. with: magick IN.tif -compress zip OUT.tif"
        )
    offsets = page.get(ifd.TILES) or page.get(ifd.STRIPS)
    sizes = page.get(ifd.TILE_SIZES) or page.get(tags.STRIP_SIZES)
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
        width, height = tags.first(page, tags.WIDTH, 0), tags.first(page, tags.HEIGHT, 0)
        codec.check_size(width, height, max_pixels)
        total += width * height
    if total > max_pixels:
        raise PhotoError(
            f"{len(pages)} pages hold {total / 1e6:.0f} megapixels, the limit is "
            f"{max_pixels / 1e6:.0f}; raise it with --max-pixels {total}"
        )


def _read_page(data: bytes, page: dict[int, Tag], order: str, warnings: list[str]) -> Frame:
    if tags.LAYERS in page:
        warnings.append("the photoshop layers hold the old picture; left out")
    if tiff_planes.is_needed(page):
        frame = tiff_planes.read(data, page, order, warnings)
    else:
        profile = page[tags.ICC].value if tags.ICC in page else None
        alone = tiff_planes.rebuild(page, tiff_planes.pieces(data, page), order)
        with codec.open_pillow(alone, "TIFF") as image:
            frame = codec.frame_from_pillow(image, profile, warnings)
        tiff_planes.tell_extra(page, frame.alpha is not None, warnings)
    height, width = tags.first(page, tags.HEIGHT, 0), tags.first(page, tags.WIDTH, 0)
    if frame.pixels.shape[:2] != (height, width):
        raise codec.damaged("tiff")
    kept = tuple(tag for tag in page.values() if tag.number not in tags.STRUCTURE)
    return Frame(frame.pixels, frame.alpha, kept, _orientation(page))


def _metadata(page: dict[int, Tag]) -> Metadata:
    profile = page[tags.ICC].value if tags.ICC in page else None
    if profile and icc.color_space(profile) == "cmyk":
        profile = icc.srgb()  # the pixels were converted
    says = any(tag in page for tag in tags.EXIF_TAGS - tags.COMMON)
    turned = _orientation(page) != 1
    return Metadata(
        icc=profile,
        exif=_exif(page) if says or turned else None,
        xmp=page[XMP].value if XMP in page else None,
        iptc=page[tags.IPTC].value if tags.IPTC in page else None,
        dpi=dpi(page),
    )


def _exif(page: Mapping[int, Tag]) -> bytes:
    """Make an EXIF block for other formats, with the maker note in its place if that is near."""
    kept = [tag for tag in page.values() if tag.number in tags.EXIF_TAGS]
    block = ifd.build([(kept, [])])
    return block if len(block) <= _EXIF_ROOM else ifd.build([(kept, [])], keep_places=False)


def dpi(page: Mapping[int, Tag]) -> tuple[float, float] | None:
    """Read the resolution out of TIFF or EXIF tags, in dots per inch."""
    scale = {2: 1.0, 3: 2.54}.get(tags.first(page, tags.DPI_UNIT, 2))
    x = page[tags.X_DPI].numbers if tags.X_DPI in page else ()
    y = page[tags.Y_DPI].numbers if tags.Y_DPI in page else ()
    if scale is None or not x or not y or not (0 < x[0] < math.inf and 0 < y[0] < math.inf):
        return None
    return x[0] * scale, y[0] * scale
