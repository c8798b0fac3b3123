"""Coloured photographs are written with everything the original carried, and always alike."""

from __future__ import annotations

import io
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath

import numpy as np
import photo_factory as factory
import pytest
from PIL import Image, ImageCms

from recolor_cli.errors import PhotoError, UsageError
from recolor_cli.images import icc, ifd, iptc, jpeg, png, tiff_write
from recolor_cli.images.photo import Frame, Photo, Provenance
from recolor_cli.images.read import read_photo
from recolor_cli.images.write import (
    OutputFormat,
    encode_parts,
    encode_photo,
    output_format,
    output_name,
)

PROVENANCE = Provenance(
    "unet.base", "0123456789abcdef" * 4, {"saturation": 1.0, "input_size": 256}, "0.1.0"
)
LOSSLESS = ("png", "tiff")
SAMPLES = {
    "gray8": (factory.gray_pixels(), None),
    "gray16": (factory.gray_pixels(dtype=np.uint16), None),
    "gray8 alpha": (factory.gray_pixels(), factory.alpha_pixels()),
    "gray16 alpha": (
        factory.gray_pixels(dtype=np.uint16),
        factory.alpha_pixels(dtype=np.uint16),
    ),
}


def colored(photo: Photo) -> list[Frame]:
    """Stand in for the network: lay some colour over every frame."""
    frames = []
    for frame in photo.frames:
        pixels = frame.pixels if frame.pixels.ndim == 3 else np.dstack([frame.pixels] * 3)
        tint = np.array([0.9, 1.0, 0.8])
        frames.append(frame.recolored((pixels * tint).astype(pixels.dtype)))
    return frames


# Pixels


@pytest.mark.parametrize("compression", ["none", "lzw", "packbits", "deflate"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (300, 40), (90, 3000)])
def test_bytes_of_a_tiff_do_not_depend_on_how_much_of_it_is_packed_at_a_time(
    compression: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for sample in SAMPLES.values():
        pixels, alpha = (None if one is None else np.resize(one, shape) for one in sample)
        assert pixels is not None
        for frame in (Frame(pixels, alpha), Frame(np.dstack([pixels] * 3), alpha)):
            photo = Photo((frame, frame), "tiff", compression=compression)
            monkeypatch.setattr(tiff_write, "_BAND_BYTES", 1 << 40)
            whole = encode_photo(photo)
            monkeypatch.setattr(tiff_write, "_BAND_BYTES", 50_000)  # two rows
            assert b"".join(encode_parts(photo)) == whole


def test_a_large_tiff_is_in_memory_once_beside_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (2000, 2000, 3)).astype(np.uint16)
    photo = Photo((Frame(pixels),), "tiff", compression="deflate")
    tracemalloc.start()
    parts = encode_parts(photo)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = sum(map(len, parts))
    assert size > pixels.nbytes  # noise cannot be packed
    assert peak < 1.7 * size  # joined, or packed in one piece, it would be there two or three times


@pytest.mark.parametrize("target", ["png", "tiff", "webp", "jpg"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_only_pixels_that_may_be_spent_are_changed_and_the_bytes_are_the_same(
    sample: str, target: str
) -> None:
    photo = read_photo(factory.png(*SAMPLES[sample]))
    frames, kept = colored(photo), [frame.pixels for frame in colored(photo)]
    data = encode_photo(photo, frames, format=target)
    assert np.array_equal(frames[0].pixels, kept[0])
    assert encode_photo(photo, frames, format=target, spend=True) == data


@pytest.mark.parametrize("target", ["png", "tiff", "webp", "jpg", "jp2"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_how_pixels_lie_in_memory_changes_no_byte(sample: str, target: str) -> None:
    photo = read_photo(factory.png(*SAMPLES[sample]))
    frames = colored(photo)
    turned = [
        frame.recolored(np.ascontiguousarray(frame.pixels[..., ::-1])[..., ::-1])
        for frame in frames
    ]
    kept = [frame.pixels.copy() for frame in frames]
    for spend in (False, True):
        data = b"".join(encode_parts(photo, turned, format=target, spend=spend))
        assert data == b"".join(encode_parts(photo, frames, format=target))
    assert np.array_equal(turned[0].pixels, kept[0]), "these need no turning, so they stay"


@pytest.mark.parametrize("target", ["png", "tiff", "webp", "jpg"])
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("source", ["png", "tiff", "webp", "jp2"])
def test_pixels_depth_and_alpha_survive_in_every_format(
    source: str, sample: str, target: str
) -> None:
    pixels, alpha = SAMPLES[sample]
    start = read_photo(factory.png(pixels, alpha))
    if source != "png":
        start = read_photo(encode_photo(start, colored(start), format=source))
    frames = colored(start)
    warnings: list[str] = []
    result = read_photo(encode_photo(start, frames, format=target, warnings=warnings))
    deep = start.pixels.dtype == np.uint16
    loses_depth = deep and target in ("webp", "jpg")
    assert result.pixels.shape == frames[0].pixels.shape
    assert result.pixels.dtype == (np.uint8 if loses_depth else start.pixels.dtype)
    assert any("8 bits" in line for line in warnings) == loses_depth
    if target in LOSSLESS:
        np.testing.assert_array_equal(result.pixels, frames[0].pixels)
    else:
        scale = 257 if deep else 1
        seen = slice(8, None)  # lossy webp does not keep colours under clear pixels
        difference = result.pixels[:, seen].astype(float) - frames[0].pixels[:, seen] / scale
        assert np.abs(difference).mean() < 8
    if alpha is None or target == "jpg":
        assert result.alpha is None
        assert any("no transparency" in line for line in warnings) == (alpha is not None)
    else:
        assert start.alpha is not None
        assert result.alpha is not None
        expected = (start.alpha / 257).round() if loses_depth else start.alpha
        np.testing.assert_array_equal(result.alpha, expected)


@pytest.mark.parametrize("name", [n for n in factory.GOOD if n.endswith((".tif", ".png", ".jp2"))])
def test_formats_without_loss_give_back_the_same_values(name: str) -> None:
    photo = read_photo(factory.GOOD[name]())
    frames = colored(photo)
    result = read_photo(encode_photo(photo, frames))
    assert result.format == photo.format
    assert result.orientation == photo.orientation
    for new, old in zip(result.frames, frames, strict=True):
        np.testing.assert_array_equal(new.pixels, old.pixels)
        assert new.pixels.dtype == old.pixels.dtype
        assert (new.alpha is None) == (old.alpha is None)
        if new.alpha is not None:
            np.testing.assert_array_equal(new.alpha, old.alpha)


def test_lossless_webp_stays_lossless_and_lossy_stays_lossy() -> None:
    exact = read_photo(factory.GOOD["lossless.webp"]())
    frames = colored(exact)
    np.testing.assert_array_equal(read_photo(encode_photo(exact, frames)).pixels, frames[0].pixels)
    assert not read_photo(encode_photo(read_photo(factory.GOOD["rgb.webp"]()))).lossless


def test_jpeg_is_written_without_subsampling_and_by_quality() -> None:
    photo = read_photo(factory.jpeg())
    data = encode_photo(photo, colored(photo))
    with Image.open(io.BytesIO(data)) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
        tables = image.quantization
    with Image.open(io.BytesIO(factory.jpeg(factory.rgb_pixels(), quality=95))) as image:
        assert tables == image.quantization
    assert len(encode_photo(photo, colored(photo), quality=60)) < len(data)


def test_grey_can_be_written_as_grey() -> None:
    photo = read_photo(factory.png(icc=factory.gray_icc()))
    result = read_photo(encode_photo(photo))
    np.testing.assert_array_equal(result.pixels, photo.pixels)
    assert result.metadata.icc == factory.gray_icc()


def test_bare_arrays_keep_the_frames_alpha() -> None:
    photo = read_photo(factory.GOOD["la8.png"]())
    result = read_photo(encode_photo(photo, [colored(photo)[0].pixels]))
    np.testing.assert_array_equal(result.alpha, photo.alpha)


@pytest.mark.parametrize("source", ["none", "lzw", "packbits", "deflate", "jpeg", "ccitt"])
def test_tiff_compression_is_kept_when_it_loses_nothing(source: str) -> None:
    names = {
        "none": "gray16-plain.tif", "lzw": "gray16.tif", "packbits": "packbits.tif",
        "deflate": "rgb16-deflate.tif", "jpeg": "jpeg-in.tif", "ccitt": "fax.tif",
    }  # fmt: skip
    photo = read_photo(factory.GOOD[names[source]]())
    assert photo.compression == source
    kept = read_photo(encode_photo(photo, colored(photo))).compression
    assert kept == (source if source not in ("jpeg", "ccitt") else "deflate")


# Metadata, seen by Pillow


def _pillow(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_jpeg_keeps_every_segment() -> None:
    source = factory.jpeg(
        exif=factory.exif_bytes(6), icc=factory.gray_icc(), xmp=factory.XMP, iptc=factory.IPTC,
        dpi=(300, 200), comment=b"hello",
    )  # fmt: skip
    private = b"\xff\xe5\x00\x08secret"
    source = source[:2] + private + source[2:]
    photo = read_photo(source)
    image = _pillow(encode_photo(photo, colored(photo), provenance=PROVENANCE))
    assert image.info["exif"] == b"Exif\0\0" + factory.exif_bytes(6)  # byte for byte
    assert image.info["dpi"] == (300, 200)
    assert image.info["comment"] == b"hello"
    segments = dict(image.applist)
    assert segments["APP5"] == b"secret"
    assert segments["APP13"] == factory.photoshop_block()


def test_a_profile_larger_than_a_segment_is_split() -> None:
    profile = factory.srgb_icc() + bytes(200_000)
    profile = struct.pack(">I", len(profile)) + profile[4:]
    photo = read_photo(factory.jpeg(factory.rgb_pixels(), icc=profile))
    assert photo.metadata.icc == profile
    assert _pillow(encode_photo(photo)).info["icc_profile"] == profile


def test_exif_without_jfif_stays_without() -> None:
    data = factory.jpeg(exif=factory.exif_bytes(6))
    assert data[2:4] == b"\xff\xe0"
    bare = data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]
    written = encode_photo(read_photo(bare))
    assert written[2:4] == b"\xff\xe1"
    assert _pillow(written).info["exif"] == b"Exif\0\0" + factory.exif_bytes(6)


def test_what_cannot_be_true_any_more_is_left_out_with_a_word() -> None:
    source = factory.jpeg()
    for marker, body in ((0xEB, b"JP\0\1 jumb c2pa"), (0xE2, b"MPF\0II*\0")):
        segment = b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
        photo = read_photo(source[:2] + segment + source[2:])
        assert len(photo.warnings) == 1
        assert body not in encode_photo(photo, colored(photo))


def test_png_keeps_every_chunk() -> None:
    photo = read_photo(
        factory.png(
            exif=factory.exif_bytes(3),
            icc=factory.srgb_icc(),
            xmp=factory.XMP,
            dpi=(300, 150),
            text={"Title": "Harbour", "Author": "Anna Muster"},
        )
    )
    data = encode_photo(photo, colored(photo))
    image = _pillow(data)
    assert image.info["exif"] == b"Exif\0\0" + factory.exif_bytes(3)
    assert image.info["icc_profile"] == factory.srgb_icc()
    assert [round(value) for value in image.info["dpi"]] == [300, 150]
    texts = factory.png_text(data)
    assert (texts["Title"], texts["Author"]) == ("Harbour", "Anna Muster")
    assert texts["XML:com.adobe.xmp"].encode() == factory.XMP


def test_tiff_keeps_the_tags_of_every_page() -> None:
    photo = read_photo(factory.documented_tiff())
    image = _pillow(encode_photo(photo, colored(photo), provenance=PROVENANCE))
    tags = image.tag_v2
    assert (tags[270], tags[315]) == ("Harbour at dusk", "Anna Muster")
    assert tags[33723] == factory.IPTC
    assert (tags[282], tags[283], tags[296]) == (600, 600, 2)
    assert ifd.parse(encode_photo(photo)).pages[0][274].integers == (6,)
    exif = ifd.parse(encode_photo(photo)).pages[0][ifd.EXIF_IFD].children
    assert {tag.number: tag.value for tag in exif}[0x9003] == b"1911:05:04 18:30:00\0"
    pages = [Frame(f.pixels, None, (ifd.text(285, f"page {k}"),))
             for k, f in enumerate(read_photo(factory.multipage_tiff()).frames)]  # fmt: skip
    several = replace(read_photo(factory.multipage_tiff()), frames=tuple(pages))
    written = ifd.parse(encode_photo(several, colored(several), provenance=PROVENANCE)).pages
    assert [page[285].value for page in written] == [b"page 0\0", b"page 1\0", b"page 2\0"]


def test_webp_and_jpeg2000_keep_what_they_can_hold() -> None:
    start = read_photo(factory.GOOD["documented.jpg"]())
    for target in ("webp", "jp2"):
        first = read_photo(encode_photo(start, colored(start), format=target))
        again = read_photo(encode_photo(first, colored(first)))
        assert again.metadata.exif == factory.exif_bytes(6)
        assert again.metadata.xmp == factory.XMP
        assert again.metadata.icc == first.metadata.icc
        assert first.metadata.icc is not None
        if target == "jp2":
            assert again.metadata.iptc == factory.IPTC
            assert again.metadata.dpi == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("target", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize("source", ["documented.jpg", "documented.png", "documented.tif"])
def test_metadata_crosses_from_format_to_format(source: str, target: str) -> None:
    photo = read_photo(factory.GOOD[source]())
    warnings: list[str] = []
    data = encode_photo(photo, colored(photo), format=target, warnings=warnings)
    result = read_photo(data)
    assert result.orientation == photo.orientation
    assert result.metadata.xmp == factory.XMP
    assert icc.color_space(result.metadata.icc or b"") == "rgb"
    if photo.metadata.iptc and target != "webp":
        assert result.metadata.iptc == factory.IPTC
    assert any("iptc" in line for line in warnings) == bool(
        photo.metadata.iptc and target == "webp"
    )
    if target != "webp":
        assert result.metadata.dpi == pytest.approx(photo.metadata.dpi, abs=0.5)
    exif = _pillow(data).getexif()
    assert exif[0x0112 if target != "tiff" else 315] in (3, 6, "Anna Muster")
    details = exif.get_ifd(ifd.EXIF_IFD)
    assert details[0x9003] == "1911:05:04 18:30:00"


def test_big_endian_exif_crosses_into_tiff() -> None:
    tags = ifd.parse(factory.exif_bytes(6)).pages[0].values()
    big = ifd.build([(tags, [])], ">")
    photo = read_photo(factory.jpeg(exif=big))
    assert photo.orientation == 6
    result = ifd.parse(encode_photo(photo, colored(photo), format="tiff")).pages[0]
    assert result[274].integers == (6,)
    exposure = {tag.number: tag for tag in result[ifd.EXIF_IFD].children}[0x829A]
    assert exposure.numbers == pytest.approx((1 / 60,))


def test_too_much_for_a_jpeg_segment_is_left_out_with_a_word() -> None:
    photo = read_photo(factory.png(text={"Title": "t" * 70_000}))
    warnings: list[str] = []
    data = encode_photo(photo, colored(photo), format="jpg", warnings=warnings)
    assert any("'Title' is larger" in line for line in warnings)
    assert read_photo(data).metadata.text == {}


# Colour profiles


@pytest.mark.parametrize("name", ["documented.jpg", "documented.png", "documented.tif"])
def test_a_grey_profile_becomes_an_rgb_one_that_shows_the_same_greys(name: str) -> None:
    photo = read_photo(factory.GOOD[name]())
    assert icc.color_space(photo.metadata.icc or b"") == "gray"
    data = encode_photo(photo, colored(photo))
    profile = _pillow(data).info["icc_profile"]
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    srgb = ImageCms.createProfile("sRGB")
    gray = ImageCms.profileToProfile(
        ramp, io.BytesIO(factory.gray_icc()), srgb, outputMode="RGB", renderingIntent=1
    )
    rgb = ImageCms.profileToProfile(
        ramp.convert("RGB"), io.BytesIO(profile), srgb, outputMode="RGB", renderingIntent=1
    )
    assert gray is not None
    assert rgb is not None
    assert np.abs(np.asarray(gray).astype(int) - np.asarray(rgb)).max() <= 1


@pytest.mark.parametrize("make", [factory.srgb_icc, factory.wide_icc])
@pytest.mark.parametrize("file_format", ["jpeg", "png"])
def test_an_rgb_profile_stays_byte_for_byte(make: Callable[[], bytes], file_format: str) -> None:
    build = factory.jpeg if file_format == "jpeg" else factory.png
    photo = read_photo(build(factory.rgb_pixels(), icc=make()))
    warnings: list[str] = []
    data = encode_photo(photo, colored(photo), provenance=PROVENANCE, warnings=warnings)
    assert read_photo(data).metadata.icc == make()
    assert any("wider than srgb" in line for line in warnings) == (make is factory.wide_icc)


def test_greys_under_a_wide_profile_stay_the_values_they_are() -> None:
    photo = read_photo(factory.png(factory.rgb_pixels(), icc=factory.wide_icc()))
    np.testing.assert_array_equal(photo.pixels, factory.rgb_pixels())
    profile = io.BytesIO(read_photo(encode_photo(photo)).metadata.icc or b"")
    shown = ImageCms.profileToProfile(
        Image.fromarray(photo.pixels), profile, ImageCms.createProfile("sRGB")
    )
    channels = np.asarray(shown).astype(int)
    assert (channels.max(axis=2) - channels.min(axis=2)).max() <= 1  # neutral on the screen too


def test_our_srgb_profile_is_srgb_and_always_the_same() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc.srgb()))
    assert profile.tobytes()[24:36] == icc.srgb()[24:36]
    cube = Image.fromarray(factory.color_pixels())
    shown = ImageCms.profileToProfile(cube, profile, ImageCms.createProfile("sRGB"))
    assert np.abs(np.asarray(shown).astype(int) - factory.color_pixels()).max() <= 1


def test_curves_of_grey_profiles() -> None:
    at = np.linspace(0, 1, 5)
    gamma = b"para\0\0\0\0" + struct.pack(">HHi", 0, 0, round(2.2 * 65536))
    np.testing.assert_allclose(icc.curve_values(gamma, at), at**2.2, atol=1e-4)
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    srgb = b"para\0\0\0\0" + struct.pack(">HH5i", 3, 0, *(round(n * 65536) for n in numbers))
    assert icc.curve_values(srgb, np.array([0.5]))[0] == pytest.approx(0.21404, abs=1e-4)
    assert icc.curve_values(b"curv\0\0\0\0\0\0\0\0", at) is at
    assert icc.curve_values(b"curv\0\0\0\0\0\0\xff\xff", at) is None
    profile = factory.gray_icc().replace(b"curv\0\0\0\0\0\0\0\x01\x01\xcd", gamma[:14])
    warnings: list[str] = []
    assert icc.for_color(profile, warnings) is None or not warnings


def test_a_damaged_or_foreign_profile_is_left_out_with_a_word() -> None:
    for profile in (b"no profile at all", bytes(200)):
        photo = read_photo(factory.jpeg(icc=profile))
        warnings: list[str] = []
        data = encode_photo(photo, colored(photo), warnings=warnings)
        assert "icc_profile" not in _pillow(data).info
        assert any("colour profile" in line for line in warnings)


@pytest.mark.parametrize("name", factory.GOOD)
def test_the_same_input_gives_the_same_bytes(name: str) -> None:
    source = factory.GOOD[name]()
    first, second = (
        encode_photo(photo, colored(photo), provenance=PROVENANCE)
        for photo in (read_photo(source), read_photo(source))
    )
    assert first == second


# Choices


@pytest.mark.parametrize(
    ("source", "requested", "name", "has_reason"),
    [
        ("jpeg", "keep", "jpeg", False), ("png", "keep", "png", False),
        ("tiff", "keep", "tiff", False), ("webp", "keep", "webp", False),
        ("jp2", "keep", "jp2", False), ("bmp", "keep", "png", True),
        ("gif", "keep", "png", True), ("heif", "keep", "png", True),
        ("avif", "keep", "png", True), ("heif", "jpg", "jpeg", False),
        ("jpeg", "tiff", "tiff", False),
    ],
)  # fmt: skip
def test_output_formats(source: str, requested: str, name: str, has_reason: bool) -> None:
    output = output_format(source, requested)
    assert output.name == name
    assert (output.reason is not None) == has_reason


@pytest.mark.parametrize(
    ("name", "output", "expected"),
    [
        ("a.JPG", OutputFormat("jpeg", ".jpg"), "a.JPG"),
        ("a.jpe", OutputFormat("jpeg", ".jpg"), "a.jpe"),
        ("sub/a.jpg", OutputFormat("png", ".png"), "sub/a.png"),
        ("no suffix", OutputFormat("jpeg", ".jpg"), "no suffix.jpg"),
        ("v1.2 final", OutputFormat("tiff", ".tif"), "v1.2 final.tif"),
    ],
)
def test_output_names(name: str, output: OutputFormat, expected: str) -> None:
    assert output_name(PurePath(name), output) == PurePath(expected)


def test_impossible_wishes_are_refused() -> None:
    photo = read_photo(factory.jpeg())
    with pytest.raises(UsageError, match="choose one of"):
        encode_photo(photo, format="tga")
    with pytest.raises(UsageError, match="quality must be 1 to 100"):
        encode_photo(photo, quality=0)
    with pytest.raises(ValueError, match="frame of"):
        encode_photo(photo, [np.zeros((3, 3, 3), np.uint8)])
    pages = read_photo(factory.multipage_tiff())
    with pytest.raises(PhotoError, match="has 3 pages; use --format tiff"):
        encode_photo(pages, format="png")
    wide = read_photo(factory.GOOD["wide.jpg"]())
    with pytest.raises(PhotoError, match="do not fit into webp"):
        encode_photo(wide, format="webp")
    tall = read_photo(factory.png(factory.gray_pixels(70_000, 1)))
    with pytest.raises(PhotoError, match="do not fit into jpg; use --format png"):
        encode_photo(tall, format="jpg")


def test_iptc_wrapping_is_undone() -> None:
    other = b"8BIM\x03\xed\x04name\0" + struct.pack(">I", 3) + b"abc\0"
    assert iptc.unwrap(other + iptc.wrap(b"odd")) == b"odd"
    assert iptc.unwrap(other) is None
    assert iptc.unwrap(b"8BIM\x04\x04\0\0\xff\xff\xff\xff") is None


def test_heads_are_read_without_pixels() -> None:
    assert jpeg.read_head(factory.jpeg()).components == 1
    assert png.read_head(factory.png()).depth == 8
