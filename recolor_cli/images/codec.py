"""How pixels are unpacked and packed: OpenCV for speed and 16 bits, Pillow for the odd kinds."""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from recolor_cli.errors import PhotoError
from recolor_cli.images import icc, overheard
from recolor_cli.images.photo import Frame, Pixels

# What OpenCV logs about a damaged file is no more than "cannot read"; the error we raise says it.
if hasattr(cv2, "setLogLevel"):  # until OpenCV 4.12
    cv2.setLogLevel(0)
else:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_OPENCV_LIMIT = int(os.environ.get("OPENCV_IO_MAX_IMAGE_PIXELS") or 1 << 30)
_OPENCV_SIDE = 1 << 20
_SWAPPED_AT_ONCE = 1 << 18  # bytes, which stay in the cache
_pillow_limit = threading.Lock()
# What Pillow raises over damaged files, as found by feeding it many; an error that says that our
# own code is wrong (AttributeError, AssertionError, ...) is not among them.
_PILLOW_ERRORS = (
    OSError, EOFError, ValueError, SyntaxError, TypeError, LookupError, OverflowError, RuntimeError,
    struct.error, Image.DecompressionBombError,
)  # fmt: skip


def decode(data: bytes, flags: int, what: str) -> Pixels:
    """Unpack with OpenCV: (H, W), BGR or BGRA, unturned.

    Raises:
        PhotoError: The picture data of this `what` is damaged.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise damaged(what)
    return pixels


def decode_jpeg(data: bytes, flags: int) -> tuple[Pixels, bool]:
    """Do as `decode`, and tell whether libjpeg complained, about this or a picture beside it.

    Raises:
        PhotoError: The picture data is damaged beyond decoding.
    """
    pixels, words = overheard.listen(lambda: decode(data, flags, "jpeg"))
    return pixels, bool(words)


def complaint(data: bytes) -> str:
    """Say what libjpeg complains about in a JPEG, "" if nothing; this decodes it at 1/8.

    Raises:
        PhotoError: The picture data is damaged beyond decoding.
    """
    _, words = overheard.listen(
        lambda: decode(data, cv2.IMREAD_REDUCED_GRAYSCALE_8, "jpeg"), alone=True
    )
    return words


def damaged(what: str) -> PhotoError:
    """Make the error for picture data that no decoder accepts."""
    return PhotoError(f"damaged: the picture in this {what} cannot be decoded; copy it again")


def frame_of(pixels: Pixels, *, gray: bool = False) -> Frame:
    """Split what OpenCV unpacked into RGB (or grey, if all channels are known equal) and alpha."""
    if pixels.ndim == 2:
        return Frame(pixels)
    alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
    if gray:
        return Frame(np.ascontiguousarray(pixels[..., 0]), alpha)
    if alpha is None:
        return Frame(swap_red_and_blue(pixels))
    return Frame(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB), alpha)


def swap_red_and_blue(pixels: Pixels) -> Pixels:
    """RGB <-> BGR (H, W, 3) in the pixels' own memory; returns them.

    In strips: in place, OpenCV copies what it is given first, and of a large picture that is much.
    """
    step = max(1, _SWAPPED_AT_ONCE // pixels[0].nbytes)
    for top in range(0, len(pixels), step):
        strip = pixels[top : top + step]
        cv2.cvtColor(strip, cv2.COLOR_RGB2BGR, dst=strip)
    return pixels


def check_size(width: int, height: int, max_pixels: int, count: int = 1) -> None:
    """Refuse a picture that would need more memory than the user allowed, before unpacking it.

    Raises:
        PhotoError: Too many pixels.
    """
    total = width * height * count
    if total > max_pixels:
        pages = f" on {count} pages" if count > 1 else ""
        raise PhotoError(
            f"{width} x {height} pixels{pages} are {total / 1e6:.0f} megapixels, the limit is "
            f"{max_pixels / 1e6:.0f}; raise it with --max-pixels {total}"
        )
    if width * height > _OPENCV_LIMIT or max(width, height) > _OPENCV_SIDE:
        raise PhotoError(
            f"{width} x {height} pixels are more than opencv unpacks; cut the picture in parts"
        )


@contextmanager
def open_pillow(data: bytes, pillow_format: str) -> Iterator[Image.Image]:
    """Open with Pillow, this format and no other, under recolor's own limit on size.

    Raises:
        PhotoError: Pillow cannot read it, now or while the caller works with it.
    """
    what = pillow_format.lower()
    try:
        with _no_limit():
            image = Image.open(io.BytesIO(data), formats=[pillow_format])
        with image:
            yield image
    except PhotoError:
        raise
    except _PILLOW_ERRORS as error:
        if isinstance(error, OSError) and "truncated" in str(error).lower():
            raise PhotoError(
                f"truncated: the {what} ends before its picture does; copy it again from its source"
            ) from error
        unknown = isinstance(error, UnidentifiedImageError) or "unknown raw mode" in str(error)
        if unknown and pillow_format == "TIFF":  # not damaged: its tags were written anew
            raise PhotoError(
                "a tiff of this layout is not supported; convert it to grey or rgb of 8 or 16 bits"
            ) from error
        raise damaged(what) from error


@contextmanager
def _no_limit() -> Iterator[None]:
    """Lift Pillow's limit while a header is read; `check_size` holds ours right after."""
    with _pillow_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            # What Pillow finds odd in metadata is no matter here: recolor keeps those bytes as is.
            with python_warnings.catch_warnings():
                python_warnings.simplefilter("ignore")
                yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def frame_from_pillow(image: Image.Image, profile: bytes | None, warnings: list[str]) -> Frame:
    """Unpack a picture of 8 bits or fewer that Pillow has open, whatever its mode."""
    image.load()
    mode = image.mode
    if mode == "CMYK":
        return Frame(_cmyk_to_rgb(image, profile, warnings))
    if mode == "1":
        return Frame(np.asarray(image.convert("L")))
    if mode == "PA" or (mode in ("P", "L", "RGB") and "transparency" in image.info):
        image = image.convert("RGBA" if mode != "L" else "LA")
    elif mode == "La":
        image = image.convert("LA")
    elif mode == "RGBa":
        image = image.convert("RGBA")
    elif mode not in ("L", "LA", "RGB", "RGBA"):
        if mode not in ("P", "RGBX", "YCbCr", "HSV"):
            raise PhotoError(f"pixels of kind {mode!r} are not supported; convert it to rgb")
        image = image.convert("RGB")
    pixels = np.asarray(image)
    if image.mode == "LA":
        return Frame(np.ascontiguousarray(pixels[..., 0]), np.ascontiguousarray(pixels[..., 1]))
    if image.mode == "RGBA":
        return Frame(np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3]))
    return Frame(pixels)


def _cmyk_to_rgb(image: Image.Image, profile: bytes | None, warnings: list[str]) -> Pixels:
    """Convert ink to sRGB through the photo's own profile, or plainly where it has none."""
    if profile and icc.color_space(profile) == "cmyk":
        try:
            converted = ImageCms.profileToProfile(
                image, io.BytesIO(profile), io.BytesIO(icc.srgb()), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError):
            warnings.append("the cmyk profile is damaged; converted without it")
        else:
            assert converted is not None
            return np.asarray(converted)
    return np.asarray(image.convert("RGB"))


def encode(suffix: str, frame: Frame, options: list[int], *, spend: bool = False) -> bytes:
    """Pack with OpenCV.

    Args:
        suffix: Of the format.
        frame: What to pack.
        options: As OpenCV wants them.
        spend: Whether the frame's pixels may be left in disorder, which saves a copy of them.

    Raises:
        PhotoError: The format cannot hold such a picture.
    """
    try:
        done, data = cv2.imencode(suffix, _for_opencv(frame, spend), options)
    except cv2.error:
        done = False
    if not done:
        height, width = frame.pixels.shape[:2]
        raise PhotoError(
            f"{width} x {height} pixels do not fit into {suffix[1:]}; use --format png"
        )
    return bytes(data.data)


def encode_exact_webp(frame: Frame) -> bytes:
    """Pack as lossless WebP with Pillow: OpenCV blackens what lies under clear pixels."""
    pixels = frame.pixels if frame.pixels.ndim == 3 else np.dstack([frame.pixels] * 3)
    if frame.alpha is not None:
        pixels = np.dstack([pixels, frame.alpha])
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "WEBP", lossless=True, exact=True)
    return out.getvalue()


def _for_opencv(frame: Frame, spend: bool) -> Pixels:
    blue_first = frame.pixels[..., ::-1]
    if frame.alpha is None and frame.pixels.ndim == 3 and blue_first.flags.c_contiguous:
        return blue_first
    pixels = np.ascontiguousarray(frame.pixels)
    if spend and frame.alpha is None and pixels.ndim == 3 and pixels.flags.writeable:
        return swap_red_and_blue(pixels)
    if frame.alpha is None:
        return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    code = cv2.COLOR_GRAY2BGRA if pixels.ndim == 2 else cv2.COLOR_RGB2BGRA
    joined = cv2.cvtColor(pixels, code)
    joined[..., 3] = frame.alpha
    return joined
