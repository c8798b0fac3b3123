"""Makes the photographs, good and broken, that the tests feed to recolor; none is stored.

`GOOD` maps a name to a builder of a readable file, `BROKEN` to a builder and a piece of the reason
that `read_photo` must give. `put_tree` lays all of them out as a folder.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin

Pixels = np.ndarray
Builder = Callable[[], bytes]

XMP_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="factory">\n'
    ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    '  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4">\n'
    '   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Harbour at dusk, 1911 \u2603</rdf:li>'
    "</rdf:Alt></dc:title>\n"
    "  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n" + " " * 200 + '\n<?xpacket end="w"?>'
).encode()
IPTC = (
    b"\x1c\x01\x5a\x00\x03\x1b%G"  # coded character set: UTF-8
    + b"\x1c\x02\x00\x00\x02\x00\x04"
    + b"\x1c\x02\x78\x00\x0fHarbour at dusk"
    + b"\x1c\x02\x50\x00\x0bAnna Muster"
)


# Pictures


def gray_pixels(
    height: int = 48, width: int = 64, *, dtype: type = np.uint8, seed: int = 0
) -> Pixels:
    """Make a smooth grey picture (H, W) with texture, using the whole range of its type."""
    rng = np.random.default_rng(seed)
    small = rng.random((max(2, height // 8), max(2, width // 8))).astype(np.float32)
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    smooth += rng.normal(0, 0.02, smooth.shape).astype(np.float32)
    top = np.iinfo(dtype).max
    return (np.clip(smooth, 0, 1) * top).round().astype(dtype)


def rgb_pixels(
    height: int = 48, width: int = 64, *, dtype: type = np.uint8, seed: int = 0
) -> Pixels:
    """Make a grey picture stored as RGB (H, W, 3), the three channels equal."""
    return np.repeat(gray_pixels(height, width, dtype=dtype, seed=seed)[..., None], 3, axis=2)


def color_pixels(
    height: int = 48, width: int = 64, *, dtype: type = np.uint8, seed: int = 0
) -> Pixels:
    """Make a colourful picture (H, W, 3)."""
    channels = [gray_pixels(height, width, dtype=dtype, seed=seed * 3 + k) for k in range(3)]
    return np.stack(channels, axis=2)


def alpha_pixels(height: int = 48, width: int = 64, *, dtype: type = np.uint8) -> Pixels:
    """Make an alpha channel (H, W): a ramp from clear to opaque."""
    top = np.iinfo(dtype).max
    ramp = np.linspace(0, top, width).round().astype(dtype)
    return np.repeat(ramp[None], height, axis=0)


# Metadata


def exif_bytes(orientation: int = 1) -> bytes:
    """Make an EXIF block (TIFF structure, no `Exif` prefix): camera, date, GPS, orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Voigtländer"
    exif[0x0110] = "Bessa"
    exif[0x013B] = "Anna Muster"
    details = exif.get_ifd(0x8769)
    details[0x9003] = "1911:05:04 18:30:00"
    details[0x829A] = TiffImagePlugin.IFDRational(1, 60)
    exif[0x8769] = details
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (53.0, 32.0, 30.0)
    exif[0x8825] = gps
    return exif.tobytes().removeprefix(b"Exif\0\0")


def photoshop_block(iptc: bytes = IPTC) -> bytes:
    """Wrap IPTC records as a Photoshop image resource, the body of a JPEG APP13 segment."""
    padded = iptc + b"\0" * (len(iptc) % 2)
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + padded


@cache
def srgb_icc() -> bytes:
    """Return an sRGB profile as other programs embed it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _icc(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = bytearray(128)
    head[8:12] = b"\x02\x40\0\0"
    head[12:24] = b"mntr" + space + b"XYZ "
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    head[0:4] = struct.pack(">I", start + len(body))
    return bytes(head) + struct.pack(">I", len(tags)) + table + body


def _icc_text(text: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + b"\0" * 78


def _icc_gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def _icc_xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (x, y, z)))


def gray_icc(gamma: float = 1.8) -> bytes:
    """Make a grey profile with a plain gamma curve."""
    white = _icc_xyz(0.9642, 1.0, 0.8249)
    return _icc(b"GRAY", {b"desc": _icc_text(b"Gray"), b"wtpt": white, b"kTRC": _icc_gamma(gamma)})


def wide_icc() -> bytes:
    """Make an RGB profile with the primaries of Adobe RGB (1998) and gamma 2.2."""
    return _icc(
        b"RGB ",
        {
            b"desc": _icc_text(b"Wide RGB"),
            b"wtpt": _icc_xyz(0.9642, 1.0, 0.8249),
            b"rXYZ": _icc_xyz(0.60974, 0.31111, 0.01947),
            b"gXYZ": _icc_xyz(0.20528, 0.62567, 0.06087),
            b"bXYZ": _icc_xyz(0.14919, 0.06322, 0.74457),
            b"rTRC": _icc_gamma(2.19921875),
            b"gTRC": _icc_gamma(2.19921875),
            b"bTRC": _icc_gamma(2.19921875),
        },
    )


def cmyk_icc() -> bytes:
    """Make an ink profile: every ink darkens alike, so that equal inks stay neutral grey."""
    identity = bytes(range(256))
    nodes = bytearray()
    for corner in range(16):  # the first ink changes slowest
        inks = [corner >> shift & 1 for shift in (3, 2, 1, 0)]
        light = (1 - inks[3]) * (1 - sum(inks[:3]) / 3)
        nodes += bytes([round(255 * light), 128, 128])
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1\0\0\0\0\4\3\2\0" + matrix + identity * 4 + bytes(nodes) + identity * 3
    parts = {b"desc": _icc_text(b"Ink"), b"wtpt": _icc_xyz(0.9642, 1.0, 0.8249), b"A2B0": table}
    profile = bytearray(_icc(b"CMYK", parts))
    profile[12:16], profile[20:24] = b"prtr", b"Lab "
    return bytes(profile)


# Files by format


def jpeg(
    pixels: Pixels | None = None,
    *,
    quality: int = 92,
    exif: bytes | None = None,
    icc: bytes | None = None,
    xmp: bytes | None = None,
    iptc: bytes | None = None,
    dpi: tuple[int, int] | None = None,
    comment: bytes | None = None,
    progressive: bool = False,
) -> bytes:
    """Encode a baseline or progressive JPEG; grey pixels give one component."""
    pixels = gray_pixels() if pixels is None else pixels
    options: dict[str, object] = {"quality": quality, "progressive": progressive}
    if icc:
        options["icc_profile"] = icc
    if exif:
        options["exif"] = b"Exif\0\0" + exif
    if dpi:
        options["dpi"] = dpi
    if comment:
        options["comment"] = comment
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", **options)
    data = out.getvalue()
    extra = b""
    for marker, body in (
        (0xE1, xmp and XMP_NAMESPACE + xmp),
        (0xED, iptc and photoshop_block(iptc)),
    ):
        if body:
            extra += b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
    # After APP0 when there is one, else right behind the start marker.
    at = 4 + struct.unpack(">H", data[4:6])[0] if data[3] == 0xE0 else 2
    return data[:at] + extra + data[at:]


def cmyk_jpeg(*, icc: bytes | None = None) -> bytes:
    """Encode an Adobe CMYK JPEG of a grey ramp."""
    out = io.BytesIO()
    options = {"icc_profile": icc} if icc else {}
    Image.fromarray(rgb_pixels()).convert("CMYK").save(out, "JPEG", quality=92, **options)
    return out.getvalue()


def png(
    pixels: Pixels | None = None,
    alpha: Pixels | None = None,
    *,
    exif: bytes | None = None,
    icc: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[int, int] | None = None,
    text: dict[str, str] | None = None,
) -> bytes:
    """Encode a PNG of 8 or 16 bits: grey, grey with alpha, RGB or RGBA, exactly as given."""
    pixels = gray_pixels() if pixels is None else pixels
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    if alpha is not None:
        planes = np.concatenate([planes, alpha[..., None]], axis=2)
    height, width, channels = planes.shape
    depth = planes.dtype.itemsize * 8
    rows = planes.astype(f">u{depth // 8}").reshape(height, -1).view(np.uint8)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows.reshape(height, -1)], axis=1)
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))]
    if icc:
        chunks.append((b"iCCP", b"icc\0\0" + zlib.compress(icc)))
    if dpi:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(d / 0.0254) for d in dpi), 1)))
    if exif:
        chunks.append((b"eXIf", exif))
    for key, value in (text or {}).items():
        chunks.append((b"tEXt", key.encode("latin-1") + b"\0" + value.encode("latin-1")))
    if xmp:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
    chunks += [(b"IDAT", zlib.compress(raw.tobytes(), 3)), (b"IEND", b"")]
    return png_from_chunks(chunks)


def png_from_chunks(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Join PNG chunks, each with its length and checksum."""
    out = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        out += (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )
    return out


def pillow_file(mode: str, file_format: str, **options: object) -> bytes:
    """Encode the grey picture through Pillow in `mode` (L, LA, P, 1, RGB, RGBA, CMYK, I;16)."""
    image = Image.fromarray(gray_pixels())
    if mode == "I;16":
        image = Image.fromarray(gray_pixels(dtype=np.uint16))
    elif mode in ("LA", "RGBA"):
        image = image.convert(mode)
        image.putalpha(Image.fromarray(alpha_pixels()))
    elif mode != "L":
        image = image.convert("RGB").convert(mode)
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def tiff16(pixels: Pixels, *, compression: int = cv2.IMWRITE_TIFF_COMPRESSION_LZW) -> bytes:
    """Encode a TIFF of any depth with OpenCV (RGB or grey in, order taken care of)."""
    if pixels.ndim == 3:
        order = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        pixels = cv2.cvtColor(pixels, order)
    done, data = cv2.imencode(".tif", pixels, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert done
    return data.tobytes()


def multipage_tiff(pages: int = 3) -> bytes:
    """Encode a TIFF of several grey pages, each of its own size and content."""
    images = [Image.fromarray(gray_pixels(40 + 8 * k, 64, seed=k)) for k in range(pages)]
    out = io.BytesIO()
    images[0].save(
        out, "TIFF", save_all=True, append_images=images[1:], compression="tiff_adobe_deflate"
    )
    return out.getvalue()


def documented_tiff(pixels: Pixels | None = None) -> bytes:
    """Encode a plain TIFF with XMP, IPTC, ICC, resolution, orientation, EXIF and a caption."""
    image = Image.fromarray(gray_pixels() if pixels is None else pixels)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = "Harbour at dusk"
    tags[274] = 6
    tags[315] = "Anna Muster"
    tags.tagtype[700] = 1
    tags[700] = XMP
    tags.tagtype[33723] = 7
    tags[33723] = IPTC
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + exif_bytes(6))
    tags[34665] = dict(exif.get_ifd(0x8769))
    out = io.BytesIO()
    icc = gray_icc() if image.mode == "L" else srgb_icc()
    image.save(out, "TIFF", tiffinfo=tags, dpi=(600, 600), icc_profile=icc)
    return out.getvalue()


def animated(file_format: str) -> bytes:
    """Encode three frames as GIF, WEBP or PNG (APNG)."""
    images = [Image.fromarray(rgb_pixels(seed=k)) for k in range(3)]
    out = io.BytesIO()
    images[0].save(out, file_format, save_all=True, append_images=images[1:], duration=100)
    return out.getvalue()


def bomb_png(width: int = 30_000, height: int = 30_000) -> bytes:
    """Make a PNG of a few hundred bytes whose header claims 900 megapixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000)
    return png_from_chunks([(b"IHDR", head), (b"IDAT", body), (b"IEND", b"")])


def large_png(width: int, height: int, *, value: int = 128) -> bytes:
    """Encode a flat grey PNG of any size in a few milliseconds."""
    done, data = cv2.imencode(".png", np.full((height, width), value, np.uint8))
    assert done
    return data.tobytes()


def heic() -> bytes:
    """Encode a HEIC file; needs the extra `heif` (pillow-heif)."""
    import pillow_heif

    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(rgb_pixels())).save(out, quality=90)
    return out.getvalue()


# The whole shelf


def _gray16() -> Pixels:
    return gray_pixels(dtype=np.uint16)


def _rgb16() -> Pixels:
    return rgb_pixels(dtype=np.uint16)


GOOD: dict[str, Builder] = {
    "gray.jpg": jpeg,
    "rgb.jpg": lambda: jpeg(rgb_pixels()),
    "progressive.jpeg": lambda: jpeg(progressive=True),
    "cmyk.jpg": cmyk_jpeg,
    "documented.jpg": lambda: jpeg(
        exif=exif_bytes(6), icc=gray_icc(), xmp=XMP, iptc=IPTC, dpi=(300, 300), comment=b"hello"
    ),
    **{f"turned{k}.jpg": (lambda k=k: jpeg(exif=exif_bytes(k))) for k in range(1, 9)},  # type: ignore[misc]
    "gray8.png": png,
    "gray16.png": lambda: png(_gray16()),
    "rgb8.png": lambda: png(rgb_pixels()),
    "rgb16.png": lambda: png(_rgb16()),
    "la8.png": lambda: png(gray_pixels(), alpha_pixels()),
    "la16.png": lambda: png(_gray16(), alpha_pixels(dtype=np.uint16)),
    "rgba8.png": lambda: png(rgb_pixels(), alpha_pixels()),
    "rgba16.png": lambda: png(_rgb16(), alpha_pixels(dtype=np.uint16)),
    "palette.png": lambda: pillow_file("P", "PNG"),
    "bits.png": lambda: pillow_file("1", "PNG"),
    "documented.png": lambda: png(
        exif=exif_bytes(3), icc=gray_icc(), xmp=XMP, dpi=(300, 300), text={"Title": "Harbour"}
    ),
    "gray8.tif": lambda: pillow_file("L", "TIFF"),
    "gray16.tif": lambda: tiff16(_gray16()),
    "rgb8-lzw.tif": lambda: pillow_file("RGB", "TIFF", compression="tiff_lzw"),
    "rgb16-deflate.tif": lambda: tiff16(
        _rgb16(), compression=cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE
    ),
    "gray16-plain.tif": lambda: tiff16(_gray16(), compression=cv2.IMWRITE_TIFF_COMPRESSION_NONE),
    "jpeg-in.tif": lambda: pillow_file("RGB", "TIFF", compression="jpeg"),
    "packbits.tif": lambda: pillow_file("L", "TIFF", compression="packbits"),
    "fax.tif": lambda: pillow_file("1", "TIFF", compression="group4"),
    "palette.tif": lambda: pillow_file("P", "TIFF"),
    "cmyk.tif": lambda: pillow_file("CMYK", "TIFF"),
    "la8.tif": lambda: pillow_file("LA", "TIFF"),
    "rgba8.tif": lambda: pillow_file("RGBA", "TIFF"),
    "pages.tif": multipage_tiff,
    "documented.tif": documented_tiff,
    "rgb.webp": lambda: pillow_file("RGB", "WEBP", quality=90),
    "lossless.webp": lambda: pillow_file("RGBA", "WEBP", lossless=True, exact=True),
    "gray.bmp": lambda: pillow_file("L", "BMP"),
    "rgb.bmp": lambda: pillow_file("RGB", "BMP"),
    "gray.jp2": lambda: pillow_file("L", "JPEG2000"),
    "gray16.jp2": lambda: pillow_file("I;16", "JPEG2000"),
    "rgb.jp2": lambda: pillow_file("RGB", "JPEG2000"),
    "rgb.avif": lambda: pillow_file("RGB", "AVIF", quality=90),
    "one-pixel.png": lambda: png(np.full((1, 1), 77, np.uint8)),
    "thin.png": lambda: png(gray_pixels(20_000, 1)),
    "wide.jpg": lambda: jpeg(gray_pixels(1, 20_000)),
    "png-called.jpg": png,
    "no-suffix": jpeg,
}

BROKEN: dict[str, tuple[Builder, str]] = {
    "zero.jpg": (lambda: b"", "empty"),
    "text.jpg": (lambda: b"Dear diary, today I took a photograph.\n" * 20, "not an image"),
    "zeros.png": (lambda: b"\0" * 4096, "not an image"),
    "half.jpg": (lambda: _half(jpeg(gray_pixels(200, 300))), "truncated"),
    "half-progressive.jpg": (
        lambda: _half(jpeg(gray_pixels(200, 300), progressive=True)),
        "truncated",
    ),
    "head-only.jpg": (lambda: jpeg()[:60], "truncated"),
    "two-bytes.jpg": (lambda: b"\xff\xd8", ""),
    "half.png": (lambda: _half(png(gray_pixels(200, 300))), "truncated"),
    "flipped.png": (lambda: _flip(png(gray_pixels(200, 300))), "damaged"),
    "half.tif": (lambda: _half(tiff16(gray_pixels(200, 300))), "truncated"),
    "half-plain.tif": (lambda: _half(documented_tiff(gray_pixels(200, 300))), "truncated"),
    "half.webp": (lambda: _half(pillow_file("RGB", "WEBP", quality=90)), "truncated"),
    "half.bmp": (lambda: _half(pillow_file("RGB", "BMP")), "truncated"),
    "half.jp2": (lambda: _half(pillow_file("L", "JPEG2000")), "truncated"),
    "bomb.png": (bomb_png, "--max-pixels"),
    "moving.gif": (lambda: animated("GIF"), "animated"),
    "moving.webp": (lambda: animated("WEBP"), "animated"),
    "moving.png": (lambda: animated("PNG"), "animated"),
    "float.tif": (lambda: _cv2_tiff(gray_pixels().astype(np.float32) / 255), "float"),
    "deep.tif": (lambda: _cv2_tiff(gray_pixels().astype(np.int32) * 1000), "signed numbers"),
    "page.pdf.jpg": (lambda: b"%PDF-1.7\n" + b"0" * 400, "pdf"),
    "twelve-bit.jpg": (lambda: _twelve_bit(jpeg()), "12-bit"),
}


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x55]) + data[middle + 1 :]


def _cv2_tiff(pixels: Pixels) -> bytes:
    done, data = cv2.imencode(".tif", pixels)
    assert done
    return data.tobytes()


def _twelve_bit(data: bytes) -> bytes:
    at = data.index(b"\xff\xc0")
    return data[: at + 4] + b"\x0c" + data[at + 5 :]


# Names and folders

ODD_NAMES: tuple[bytes, ...] = (
    "emoji \U0001f4f7 photo.jpg".encode(),
    b"latin-1 caf\xe9.jpg",
    b"line\nbreak.jpg",
    b" leading and trailing .jpg",
    b"-dash.jpg",
    b"star*[1]?.jpg",
    b"UPPER.JPG",
    "nfc \u00e9.jpg".encode(),
    "nfd e\u0301.jpg".encode(),
    b"n" * 196 + b".jpg",
    b"m" * 251 + b".jpg",
)


def put(folder: Path, name: str | bytes, data: bytes) -> Path:
    """Write `data` under `folder` and return its path; `name` may be any bytes and hold folders."""
    path = folder / (os.fsdecode(name) if isinstance(name, bytes) else name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def put_odd_names(folder: Path) -> list[Path]:
    """Write one good photo under every odd name."""
    data = jpeg()
    return [put(folder, name, data) for name in ODD_NAMES]


def put_tree(folder: Path) -> tuple[list[Path], list[Path]]:
    """Write every good photo under `folder/good` and every broken one under `folder/broken`.

    Returns:
        The good paths and the broken paths, each in the order of the tables above.
    """
    good = [put(folder / "good", name, build()) for name, build in GOOD.items()]
    broken = [put(folder / "broken", name, build()) for name, (build, _) in BROKEN.items()]
    return good, broken


def put_traps(folder: Path) -> None:
    """Add what a folder walk can trip over: link loops, links to nowhere, a FIFO, hidden files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "deep").mkdir()
    put(folder, "deep/photo.jpg", jpeg())
    put(folder, ".hidden.jpg", jpeg())
    put(folder, ".cache/photo.jpg", jpeg())
    put(folder, "notes.txt", b"no photo")
    (folder / "deep" / "up").symlink_to("..", target_is_directory=True)
    (folder / "self").symlink_to("self")
    (folder / "nowhere.jpg").symlink_to("missing.jpg")
    (folder / "same.jpg").symlink_to("deep/photo.jpg")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()


@contextmanager
def unreadable(path: Path) -> Iterator[Path]:
    """Take all permissions from `path` for a while (has no effect for root: check `os.geteuid`)."""
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        yield path
    finally:
        path.chmod(mode)


def png_text(data: bytes) -> dict[str, str]:
    """Read a PNG's text chunks through Pillow, as a second opinion."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return {str(k): str(v) for k, v in getattr(image, "text", {}).items()}
