"""Photographs are read at full depth, unturned, with all they carry; bad files say why."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import photo_factory as factory
import pytest
from PIL import Image

from recolor_cli.errors import PhotoError
from recolor_cli.images import icc, ifd
from recolor_cli.images.orientation import orient, unorient
from recolor_cli.images.read import _spread, format_of, read_bytes, read_photo

GRAY8, GRAY16 = factory.gray_pixels(), factory.gray_pixels(dtype=np.uint16)
COLOR8, COLOR16 = factory.color_pixels(), factory.color_pixels(dtype=np.uint16)
ALPHA8, ALPHA16 = factory.alpha_pixels(), factory.alpha_pixels(dtype=np.uint16)


@pytest.mark.parametrize("name", factory.GOOD)
def test_every_good_photo_is_read(name: str) -> None:
    photo = read_photo(factory.GOOD[name]())
    assert bool(photo.warnings) == (name in ("bits.png", "fax.tif"))  # no room for colour
    assert photo.pixels.dtype == (np.uint16 if "16" in name else np.uint8)
    assert photo.pixels.flags.c_contiguous
    has_alpha = any(word in name for word in ("la8", "la16", "rgba", "lossless.webp"))
    assert (photo.alpha is not None) == has_alpha
    if has_alpha:
        assert photo.alpha is not None
        expected = ALPHA16 if "16" in name else ALPHA8
        np.testing.assert_array_equal(photo.alpha, expected)


@pytest.mark.parametrize("name", factory.BROKEN)
def test_every_broken_photo_says_why_in_one_line(name: str) -> None:
    build, reason = factory.BROKEN[name]
    with pytest.raises(PhotoError) as caught:
        read_photo(build())
    text = str(caught.value)
    assert reason in text
    assert "\n" not in text
    assert len(text) < 160


def test_decoders_print_nothing_of_their_own(capfd: pytest.CaptureFixture[str]) -> None:
    files = {name: build() for name, build in factory.GOOD.items()}
    files |= {name: build() for name, (build, _) in factory.BROKEN.items()}
    # libpng has an opinion about this one: an RGB profile on grey pixels.
    files["odd profile.png"] = factory.png(icc=factory.srgb_icc())
    for name, data in files.items():
        with contextlib.suppress(PhotoError):
            read_photo(data)
        assert capfd.readouterr() == ("", ""), name


def test_a_png_keeps_its_pixels_and_profile_whatever_stands_around_them() -> None:
    data = factory.png(
        GRAY16, ALPHA16, icc=factory.srgb_icc(), exif=factory.exif_bytes(6), text={"Title": "x"}
    )
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels, GRAY16)
    np.testing.assert_array_equal(photo.alpha, ALPHA16)
    assert (photo.metadata.icc, photo.orientation) == (factory.srgb_icc(), 6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gray8.png", GRAY8),
        ("gray16.png", GRAY16),
        ("la8.png", GRAY8),
        ("la16.png", GRAY16),
        ("rgb16.png", factory.rgb_pixels(dtype=np.uint16)),
        ("rgba16.png", factory.rgb_pixels(dtype=np.uint16)),
        ("gray16.tif", GRAY16),
        ("gray16-plain.tif", GRAY16),
        ("rgb16-deflate.tif", factory.rgb_pixels(dtype=np.uint16)),
        ("packbits.tif", GRAY8),
        ("documented.tif", GRAY8),
        ("gray.bmp", GRAY8),
        ("gray.jp2", GRAY8),
        ("gray16.jp2", GRAY16),
        ("lossless.webp", factory.rgb_pixels()),
    ],
)
def test_lossless_files_give_their_exact_values(name: str, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(read_photo(factory.GOOD[name]()).pixels, expected)


def test_colors_come_in_the_order_red_green_blue() -> None:
    for data in (factory.png(COLOR8), factory.tiff16(COLOR8)):
        np.testing.assert_array_equal(read_photo(data).pixels, COLOR8)
    for data in (factory.png(COLOR16), factory.tiff16(COLOR16)):
        np.testing.assert_array_equal(read_photo(data).pixels, COLOR16)
    jpeg = read_photo(factory.jpeg(COLOR8, quality=100)).pixels
    assert np.abs(jpeg.astype(int) - COLOR8).mean() < 6  # its colours are stored at half size
    for file_format in ("WEBP", "JPEG2000", "BMP"):
        out = io.BytesIO()
        Image.fromarray(COLOR8).save(out, file_format, lossless=True)
        np.testing.assert_array_equal(read_photo(out.getvalue()).pixels, COLOR8)


# Turns


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orient_agrees_with_pillow_and_unorient_undoes_it(orientation: int) -> None:
    data = factory.png(COLOR8, exif=factory.exif_bytes(orientation))
    photo = read_photo(data)
    assert photo.orientation == orientation
    np.testing.assert_array_equal(photo.pixels, COLOR8)
    from PIL import ImageOps

    with Image.open(io.BytesIO(data)) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(orient(COLOR8, orientation), shown)
    np.testing.assert_array_equal(unorient(shown, orientation), COLOR8)


@pytest.mark.parametrize("orientation", [0, 9])
def test_orient_refuses_other_numbers(orientation: int) -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        orient(GRAY8, orientation)


# Odd kinds of pixels


def test_ink_is_converted_plainly_without_a_profile() -> None:
    photo = read_photo(factory.cmyk_jpeg())
    assert photo.pixels.shape == (48, 64, 3)
    assert np.abs(photo.pixels.astype(int) - factory.rgb_pixels()).mean() < 3
    assert photo.metadata.icc is None


def test_ink_is_converted_through_its_profile() -> None:
    photo = read_photo(factory.cmyk_jpeg(icc=factory.cmyk_icc()))
    assert photo.warnings == ()
    assert photo.metadata.icc == icc.srgb()  # what the values now mean
    # The profile says that lightness falls evenly with ink: L* = 100 v / 255 for grey v.
    light = factory.rgb_pixels().astype(np.float64) / 255 * 100
    linear = np.where(light > 8, ((light + 16) / 116) ** 3, light / 903.3)
    expected = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )  # IEC 61966-2-1
    assert np.abs(photo.pixels - expected * 255).mean() < 4
    assert np.abs(photo.pixels.astype(int) - factory.rgb_pixels()).mean() > 4  # not the plain way


def test_a_damaged_ink_profile_is_reported() -> None:
    profile = bytearray(factory.gray_icc())
    profile[16:20] = b"CMYK"
    photo = read_photo(factory.cmyk_jpeg(icc=bytes(profile)))
    assert photo.warnings == ("the cmyk profile is damaged; converted without it",)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_spread_over_the_whole_range(bits: int) -> None:
    levels = np.arange(1 << bits, dtype=np.uint8)
    rows = np.packbits(np.unpackbits(levels[:, None], axis=1)[:, -bits:].reshape(-1))
    import struct
    import zlib

    head = struct.pack(">IIBBBBB", len(levels), 1, bits, 0, 0, 0, 0)
    clear = (b"tRNS", struct.pack(">H", 1))
    chunks = [
        (b"IHDR", head),
        clear,
        (b"IDAT", zlib.compress(b"\0" + rows.tobytes())),
        (b"IEND", b""),
    ]
    photo = read_photo(factory.png_from_chunks(chunks))
    expected = levels.astype(int) * 255 // (len(levels) - 1)
    np.testing.assert_array_equal(photo.pixels[0], expected)
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha[0], np.where(levels == 1, 0, 255))


def test_avif_of_ten_bits_becomes_sixteen() -> None:
    ten = (GRAY16 >> 6).astype(np.uint16)
    options = [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 100]
    done, data = cv2.imencode(".avif", np.repeat(ten[..., None], 3, axis=2), options)
    assert done
    photo = read_photo(data.tobytes())
    assert photo.pixels.dtype == np.uint16
    assert np.abs(photo.pixels[..., 1].astype(int) - GRAY16).mean() < 400  # 0.6 % of the range


@pytest.mark.parametrize("depth", range(9, 17))
def test_odd_depths_reach_black_and_white(depth: int) -> None:
    ends = np.array([[0, (1 << depth) - 1]], np.uint16)
    np.testing.assert_array_equal(_spread(ends, depth), [[0, 65_535]])


def test_heic_is_read_upright_at_its_depth() -> None:
    pytest.importorskip("pillow_heif")
    photo = read_photo(factory.heic())
    assert (photo.format, photo.pixels.shape, photo.orientation) == ("heif", (48, 64, 3), 1)
    assert np.abs(photo.pixels.astype(int) - factory.rgb_pixels()).mean() < 4


def test_heic_of_ten_bits_becomes_sixteen() -> None:
    heif = pytest.importorskip("pillow_heif")
    out = io.BytesIO()
    heif.from_bytes("RGB;16", (64, 48), COLOR16.tobytes()).save(out, quality=100, chroma=444)
    photo = read_photo(out.getvalue())
    assert photo.pixels.dtype == np.uint16
    assert np.abs(photo.pixels.astype(int) - COLOR16).mean() < 1000  # 1.5 % of the range


def test_a_turned_heic_says_that_it_is_upright() -> None:
    heif = pytest.importorskip("pillow_heif")
    out = io.BytesIO()
    picture = heif.from_pillow(Image.fromarray(factory.rgb_pixels()))
    picture.info["exif"] = b"Exif\0\0" + factory.exif_bytes(6)
    picture.save(out, quality=90)
    photo = read_photo(out.getvalue())
    exif = ifd.parse(photo.metadata.exif or b"").pages[0]
    assert photo.orientation == 1
    assert exif[ifd.ORIENTATION].integers == (1,)
    assert exif[315].value == b"Anna Muster\0"


def test_photos_are_read_alike_by_several_threads() -> None:
    names = [name for name in factory.GOOD if name not in ("thin.png", "wide.jpg")] * 3
    files = [factory.GOOD[name]() for name in names]
    alone = [read_photo(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(read_photo, files))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_heic_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100
    with pytest.raises(PhotoError, match=r"recolor-cli\[heif\]"):
        read_photo(data)


# Limits


def test_a_bomb_is_refused_at_once_and_with_little_memory(tmp_path: Path) -> None:
    path = factory.put(tmp_path, "bomb.png", factory.bomb_png())
    script = (
        "import resource, sys, time\n"
        "from recolor_cli.images.read import read_photo\n"
        "from recolor_cli.errors import PhotoError\n"
        "from pathlib import Path\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = time.perf_counter()\n"
        "try:\n    read_photo(Path(sys.argv[1]))\n"
        "except PhotoError as error:\n    print(error)\n"
        "taken = time.perf_counter() - start\n"
        "more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "print(taken < 1.0, more < 20_000)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    message, verdict = result.stdout.splitlines()
    assert "900 megapixels, the limit is 500; raise it with --max-pixels 900000000" in message
    assert verdict == "True True"


def test_the_limit_can_be_raised_and_lowered() -> None:
    data = factory.large_png(4000, 3000)
    assert read_photo(data, max_pixels=12_000_000).size == (4000, 3000)
    with pytest.raises(PhotoError, match="--max-pixels 12000000"):
        read_photo(data, max_pixels=11_999_999)


def test_all_pages_count_against_the_limit() -> None:
    data = factory.multipage_tiff(3)
    assert len(read_photo(data, max_pixels=64 * (40 + 48 + 56)).frames) == 3
    with pytest.raises(PhotoError, match="3 pages hold"):
        read_photo(data, max_pixels=64 * (40 + 48 + 56) - 1)


@pytest.mark.parametrize("file_format", ["BMP", "GIF", "WEBP", "AVIF", "JPEG2000", "TIFF", "JPEG"])
def test_every_format_holds_the_limit(file_format: str) -> None:
    with pytest.raises(PhotoError, match="--max-pixels 3072"):
        read_photo(factory.pillow_file("L", file_format), max_pixels=3071)


def test_a_photo_of_108_megapixels_is_within_the_default() -> None:
    assert read_photo(factory.large_png(12_000, 9_000)).size == (12_000, 9_000)


# Paths


def test_a_path_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    path = factory.put(tmp_path, "a.jpg", factory.jpeg())
    np.testing.assert_array_equal(read_photo(path).pixels, read_photo(path.read_bytes()).pixels)
    assert read_photo(str(path)).format == "jpeg"


def test_the_format_is_told_by_content_alone(tmp_path: Path) -> None:
    for name in ("gray.jpg", "png-called.jpg", "no-suffix", "pages.tif", "rgb.avif", "gray.jp2"):
        path = factory.put(tmp_path, name, factory.GOOD[name]())
        assert format_of(path) == read_photo(path).format
    half = factory.put(tmp_path, "half.jpg", factory.BROKEN["half.jpg"][0]())
    assert format_of(half) == "jpeg"  # only reading it shows the damage
    with pytest.raises(PhotoError, match="no such file"):
        format_of(tmp_path / "missing.jpg")


def test_odd_names_are_read(tmp_path: Path) -> None:
    for path in factory.put_odd_names(tmp_path):
        assert read_photo(path).size == (64, 48)


def test_paths_that_are_no_photographs_say_so(tmp_path: Path) -> None:
    factory.put_traps(tmp_path / "traps")
    cases = {
        "traps/deep": "folder",
        "traps/pipe.jpg": "pipe",
        "traps/nowhere.jpg": "a link to a file that does not exist",
        "traps/self": "a link that leads to itself",
        "missing.jpg": "no such file",
        "nul\0name.jpg": "not a file name",
    }
    for name, reason in cases.items():
        start = time.perf_counter()
        with pytest.raises(PhotoError, match=reason):
            read_photo(tmp_path / name)
        assert time.perf_counter() - start < 1  # a pipe must not be waited for


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    path = factory.put(tmp_path, "a.jpg", factory.jpeg())
    with factory.unreadable(path), pytest.raises(PhotoError, match="permission denied"):
        read_bytes(path)


def test_permission_denied_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = factory.put(tmp_path, "a.jpg", factory.jpeg())

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PhotoError, match="permission denied; make the file readable"):
        read_bytes(path)


def test_a_large_file_that_is_no_photograph_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(8 << 30)  # takes no room on the disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PhotoError, match="not an image"):
        read_photo(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_small_files_cannot_fill_the_memory() -> None:
    """Neither through texts that unpack to thousands of times their size, nor overlapping tags."""
    import struct
    import tracemalloc
    import zlib

    packed = b"k\0\0" + zlib.compress(bytes(15 << 20))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))]
    chunks += [(b"zTXt", packed)] * 50
    chunks += [(b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b"")]
    count = 2000
    tags = b"".join(struct.pack("<HHII", 40_000 + k, 7, 30_000, 8) for k in range(count))
    overlapping = b"II*\0\x08\0\0\0" + struct.pack("<H", count) + tags + bytes(4 + 30_000)
    tracemalloc.start()
    try:
        assert read_photo(factory.png_from_chunks(chunks)).size == (1, 1)
        with pytest.raises(PhotoError):
            read_photo(overlapping)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
