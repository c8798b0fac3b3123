"""How the grey or RGB pixels of a TIFF page are unpacked, with alpha and extra channels, exactly.

Decoders differ in which layouts they know: separate planes, pairs, five channels, 16 bits. All of
them know one grey plane. So what they have no word for is given to them as such planes, or as one
grey picture that is as wide as all channels together.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from recolor_cli.errors import PhotoError
from recolor_cli.images import codec, ifd, tiff_pieces
from recolor_cli.images import tiff_tags as tags
from recolor_cli.images.ifd import Tag
from recolor_cli.images.photo import Frame, Pixels

_UNSPECIFIED, _ASSOCIATED = 0, 1  # kinds of extra channels, TIFF 6.0 section 18
_BAND_BYTES = 4 << 20  # that colours are divided by alpha in at once
_OPENCV_SIDE = 1 << 20


def pieces(data: bytes, page: Mapping[int, Tag]) -> list[memoryview]:
    """The strips or tiles of a page, where they lie."""
    whole = memoryview(data)
    offsets = (page.get(ifd.TILES) or page[ifd.STRIPS]).integers
    sizes = page.get(ifd.TILE_SIZES) or page.get(tags.STRIP_SIZES)
    if sizes is None and len(offsets) == 1:  # some old writers leave it out
        return [whole[offsets[0] :]]
    if sizes is None or len(sizes.integers) != len(offsets):
        raise codec.damaged("tiff")
    return [whole[at : at + size] for at, size in zip(offsets, sizes.integers, strict=True)]


def rebuild(page: Mapping[int, Tag], parts: list[memoryview], order: str) -> bytes:
    """Make a file of one page that says how its pixels are packed and nothing else.

    So a decoder has nothing to turn, and nothing to stumble over.
    """
    number = ifd.TILE_SIZES if tags.TILE_WIDTH in page else tags.STRIP_SIZES
    lengths = ifd.long(number, *(len(part) for part in parts))
    packing = [page[number] for number in tags.PACKING if number in page]
    try:
        return ifd.build([([*packing, lengths], parts)], order)
    except ifd.IfdError:
        raise PhotoError("a tiff page of more than 4 GiB is not supported; cut it up") from None


def is_needed(page: Mapping[int, Tag]) -> bool:
    """Tell whether `read` must unpack the page, and not Pillow as it is."""
    bits, samples = tags.first(page, tags.BITS, 1), tags.first(page, tags.SAMPLES, 1)
    compression = tags.first(page, tags.COMPRESSION, 1)
    if bits == 16 or compression in tags.PICTURES:
        return True
    if bits != 8 or tags.first(page, tags.PHOTOMETRIC, 1) > tags.RGB:
        return False
    separate = samples > 1 and tags.first(page, tags.PLANAR, 1) == 2
    # JPEG packs channels together, so that they cannot be taken for one wide picture.
    return separate or (samples > _colors(page) and compression not in tags.JPEG)


def read(data: bytes, page: Mapping[int, Tag], order: str, warnings: list[str]) -> Frame:
    """Unpack a page of 8 or 16 bits, grey or RGB, with as many extra channels as there are."""
    photometric, samples = tags.first(page, tags.PHOTOMETRIC, 1), tags.first(page, tags.SAMPLES, 1)
    bits, colors = tags.first(page, tags.BITS, 1), _colors(page)
    if photometric > tags.RGB:
        raise PhotoError(f"{bits}-bit tiff of this colour space is not supported; convert to rgb")
    if samples < colors:
        raise codec.damaged("tiff")
    planes = _planes(page, pieces(data, page), order, samples)
    if planes.dtype != np.dtype(f"u{bits // 8}") or planes.shape[2] != samples:
        raise codec.damaged("tiff")
    pixels = np.ascontiguousarray(planes[..., 0] if colors == 1 else planes[..., :3])
    alpha = None
    at, kind = _alpha_channel(page)
    if at is not None:
        alpha = np.ascontiguousarray(planes[..., colors + at])
        if kind == _ASSOCIATED:
            pixels = _divided(pixels, alpha)
    tell_extra(page, alpha is not None, warnings)
    if photometric == tags.WHITE_IS_ZERO:
        pixels = np.iinfo(pixels.dtype).max - pixels
    return Frame(pixels, alpha)


def _colors(page: Mapping[int, Tag]) -> int:
    """How many channels are colours; the others are extra."""
    photometric = tags.first(page, tags.PHOTOMETRIC, 1)
    return {2: 3, 5: 4, 6: 3, 8: 3}.get(photometric, 1)


def _extra(page: Mapping[int, Tag]) -> list[int]:
    """The kinds of the extra channels; one that nobody says anything about counts as alpha."""
    count = max(0, tags.first(page, tags.SAMPLES, 1) - _colors(page))
    if tags.EXTRA not in page:
        return [2] if count == 1 else [_UNSPECIFIED] * count
    kinds = list(page[tags.EXTRA].integers)[:count]
    return kinds + [_UNSPECIFIED] * (count - len(kinds))


def _alpha_channel(page: Mapping[int, Tag]) -> tuple[int | None, int]:
    """Which of the extra channels is transparency, and of which kind; None for none."""
    for at, kind in enumerate(_extra(page)):
        if kind != _UNSPECIFIED:
            return at, kind
    return None, _UNSPECIFIED


def tell_extra(page: Mapping[int, Tag], has_alpha: bool, warnings: list[str]) -> None:
    """Say that extra channels are not read, if there are any but the alpha that was."""
    count = len(_extra(page)) - has_alpha
    if count > 0:
        what = "an extra channel" if count == 1 else f"{count} extra channels"
        warnings.append(f"{what} beside the picture (infrared, a mask or the like): left out")


def _planes(page: Mapping[int, Tag], parts: list[memoryview], order: str, samples: int) -> Pixels:
    """Unpack to (H, W, samples), as stored."""
    if tags.first(page, tags.COMPRESSION, 1) in tags.PICTURES:
        return tiff_pieces.planes(page, parts, samples)
    if tags.first(page, tags.PLANAR, 1) == 2 and samples > 1:
        each = len(parts) // samples
        apart = (parts[k * each : (k + 1) * each] for k in range(samples))
        return np.stack([_gray(page, some, order) for some in apart], axis=2)
    if samples == 1:
        return _gray(page, parts, order)[..., None]
    if _colors(page) == 1 or samples > 4 or not _is_for_opencv(page):
        return _unpack_wide(page, parts, order, samples)
    planes = codec.decode(rebuild(page, parts, order), cv2.IMREAD_UNCHANGED, "tiff")
    if planes.ndim != 3:
        raise codec.damaged("tiff")
    if planes.shape[2] == 3:
        return codec.swap_red_and_blue(planes)
    return cv2.cvtColor(planes, cv2.COLOR_BGRA2RGBA)


def _is_for_opencv(page: Mapping[int, Tag]) -> bool:
    """Tell whether OpenCV unpacks a page faithfully: only 16 bits, as of 8 it makes a picture."""
    plain = tags.first(page, tags.COMPRESSION, 1) in tags.PLAIN
    wide = tags.first(page, tags.WIDTH, 0) > _OPENCV_SIDE
    return plain and not wide and tags.first(page, tags.BITS, 1) == 16


def _gray(page: Mapping[int, Tag], parts: list[memoryview], order: str) -> Pixels:
    """Unpack one plane as a grey picture of its own."""
    bits = tags.first(page, tags.BITS, 1)
    plain = {**page}
    plain.pop(tags.EXTRA, None)
    plain.pop(tags.SAMPLE_FORMAT, None)
    # As black is zero, since a decoder would turn the other kind round.
    for number, value in (
        (tags.BITS, bits), (tags.PHOTOMETRIC, tags.BLACK_IS_ZERO), (tags.SAMPLES, 1),
        (tags.PLANAR, 1),
    ):  # fmt: skip
        plain[number] = ifd.short(number, value)
    file = rebuild(plain, parts, order)
    if _is_for_opencv(plain):
        pixels = codec.decode(file, cv2.IMREAD_UNCHANGED, "tiff")
    else:
        with codec.open_pillow(file, "TIFF") as image:
            image.load()
            pixels = np.asarray(image)
    if pixels.shape != (tags.first(page, tags.HEIGHT, 0), tags.first(page, tags.WIDTH, 0)):
        raise codec.damaged("tiff")
    if pixels.dtype.kind != "u" or pixels.itemsize * 8 != bits:
        raise codec.damaged("tiff")
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _unpack_wide(
    page: Mapping[int, Tag], parts: list[memoryview], order: str, samples: int
) -> Pixels:
    """Unpack channels that lie beside each other as grey of several times the width."""
    width = tags.first(page, tags.WIDTH, 0)
    wide = {**page}
    for number in (tags.WIDTH, tags.TILE_WIDTH):
        if number in page:
            wide[number] = ifd.long(number, samples * tags.first(page, number, 0))
    # With several channels each value is stored as the step from the one of its own channel, which
    # the decoder of one channel cannot know (TIFF 6.0 section 14).
    wide[tags.PREDICTOR] = ifd.short(tags.PREDICTOR, 1)
    flat = _gray(wide, parts, order)
    planes = flat.reshape(flat.shape[0], width, samples)
    if tags.first(page, tags.PREDICTOR, 1) != 2:
        return planes
    step = tags.first(page, tags.TILE_WIDTH, width) or width
    whole = [
        np.cumsum(planes[:, at : at + step], axis=1, dtype=planes.dtype)
        for at in range(0, width, step)
    ]
    return np.concatenate(whole, axis=1)


def _divided(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Take the alpha out of colours that were multiplied with it, to the nearest value."""
    top = int(np.iinfo(pixels.dtype).max)
    out = np.empty_like(pixels)
    step = max(1, _BAND_BYTES // (4 * max(1, pixels[0].size)))
    for at in range(0, len(pixels), step):
        band = pixels[at : at + step].astype(np.uint32)  # 65535 x 65535 and a half have room
        by = alpha[at : at + step].astype(np.uint32)
        by = by if band.ndim == 2 else by[..., None]
        # Where all is clear any colour is right: the stored one.
        straight = (band * np.uint32(top) + by // 2) // np.maximum(by, 1)
        out[at : at + step] = np.where(by == 0, band, np.minimum(straight, top))
    return out
