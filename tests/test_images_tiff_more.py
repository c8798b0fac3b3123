"""TIFF files that other programs write: byte orders, alpha, extra channels, tags, maker notes."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import cv2
import numpy as np
import photo_factory as factory
import pytest
import tifffile
from PIL import Image, IptcImagePlugin, TiffImagePlugin

from recolor_cli.errors import PhotoError
from recolor_cli.images import ifd, tiff_tags
from recolor_cli.images.photo import Photo
from recolor_cli.images.read import read_photo
from recolor_cli.images.write import encode_photo

COLOR, GRAY = factory.color_pixels, factory.gray_pixels
PIXELS = {"rgb": COLOR, "minisblack": GRAY, "miniswhite": GRAY}


def _tiff(array: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, array, **options)
    return out.getvalue()


def _colored(photo: Photo) -> np.ndarray:
    pixels = photo.pixels
    return pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)


def _packed(pixels: np.ndarray, compression: int, strip: bytes, samples: int = 1) -> bytes:
    """Put one strip that some encoder made into a TIFF."""
    height, width = pixels.shape[:2]
    tags = [
        ifd.long(256, width), ifd.long(257, height), ifd.short(259, compression),
        ifd.short(258, *[8 * pixels.itemsize] * samples), ifd.short(262, 2 if samples > 2 else 1),
        ifd.short(277, samples), ifd.long(278, height), ifd.long(279, len(strip)),
    ]  # fmt: skip
    return ifd.build([(tags, [strip])])


# IPTC is bytes, whatever type and byte order a writer gave it


@pytest.mark.parametrize("letter", ["<", ">"])
@pytest.mark.parametrize("swapped", [False, True], ids=["in order", "swapped by its writer"])
def test_iptc_that_is_called_numbers_stays_bytes(letter: str, swapped: bool) -> None:
    records = factory.IPTC + b"\0" * (-len(factory.IPTC) % 4)
    stored = letter if not swapped else {"<": ">", ">": "<"}[letter]
    numbers = struct.unpack(f"{stored}{len(records) // 4}I", records)
    extra = [(33723, "I", len(numbers), numbers, True)]
    data = _tiff(GRAY(), photometric="minisblack", byteorder=letter, extratags=extra)
    photo = read_photo(data)
    assert photo.metadata.iptc == records
    for output in ("tiff", "jpg", "png"):
        result = encode_photo(photo, [_colored(photo)], format=output)
        assert read_photo(result).metadata.iptc == records
        if output != "png":
            with Image.open(io.BytesIO(result)) as image:
                info = IptcImagePlugin.getiptcinfo(image)
            assert info is not None
            assert info[2, 80] == b"Anna Muster"


# Alpha and extra channels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", PIXELS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"tile": (16, 16)},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "tile": (32, 16), "byteorder": ">"},
        {"compression": "zlib", "predictor": True},
        {"compression": "zlib", "predictor": True, "tile": (16, 16), "byteorder": ">"},
        {"compression": "lzma"},
    ],
    ids=lambda options: " ".join(map(str, options)) or "plain",
)
@pytest.mark.parametrize(
    "extra",
    [["unassalpha"], ["assocalpha"], ["unspecified"], ["unspecified", "unassalpha"]],
    ids=" and ".join,
)
def test_extra_channels(
    dtype: type, photometric: str, options: dict[str, object], extra: list[str]
) -> None:
    pixels, alpha = PIXELS[photometric](dtype=dtype), factory.alpha_pixels(dtype=dtype)
    top = np.iinfo(dtype).max
    stored = top - pixels if photometric == "miniswhite" else pixels
    stored = stored if stored.ndim == 3 else stored[..., None]
    if "assocalpha" in extra:
        stored = np.round(stored * (alpha / top)[..., None]).astype(dtype)
    other = GRAY(dtype=dtype, seed=9)
    channels = [other if kind == "unspecified" else alpha for kind in extra]
    whole = np.dstack([stored, *channels])
    if options.get("planarconfig"):
        whole = whole.transpose(2, 0, 1).copy()
    layout = {"planarconfig": "contig", **options, "photometric": photometric}
    photo = read_photo(_tiff(whole, **layout, extrasamples=extra))

    known = alpha > top // 4 if "assocalpha" in extra else np.ones_like(alpha, bool)
    off = np.abs(photo.pixels.astype(int) - pixels.astype(int))[known]
    assert off.max() <= (2 if "assocalpha" in extra else 0)
    if extra == ["unspecified"]:
        assert photo.alpha is None
    else:
        np.testing.assert_array_equal(photo.alpha, alpha)
    assert any("extra channel" in line for line in photo.warnings) == ("unspecified" in extra)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_multiplied_alpha_is_written_as_what_it_says(dtype: type, photometric: str) -> None:
    pixels, top = PIXELS[photometric](dtype=dtype), np.iinfo(dtype).max
    alpha = factory.alpha_pixels(dtype=dtype) // 2 + top // 3
    share = (alpha / top)[..., None] if pixels.ndim == 3 else alpha / top
    stored = np.dstack([np.round(pixels * share).astype(dtype), alpha])
    options = {"photometric": photometric, "planarconfig": "contig"}
    photo = read_photo(_tiff(stored, **options, extrasamples=["assocalpha"]))
    with tifffile.TiffFile(io.BytesIO(encode_photo(photo, [_colored(photo)]))) as file:
        assert [int(kind) for kind in file.pages[0].extrasamples] == [2]
        result = file.asarray()
    assert np.abs(result[..., 0].astype(int) - _colored(photo)[..., 0].astype(int)).max() == 0
    assert np.abs(photo.pixels.astype(int) - pixels.astype(int)).max() <= 2
    np.testing.assert_array_equal(result[..., -1], alpha)


def test_clear_pixels_of_multiplied_alpha_are_no_error() -> None:
    stored = np.zeros((4, 5, 4), np.uint16)
    stored[0, 0] = 65535, 65535, 65535, 1  # brighter than its alpha allows
    options = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    photo = read_photo(_tiff(stored, **options))
    assert photo.pixels[0, 0].tolist() == [65535] * 3
    assert not photo.pixels[1:].any()


def test_an_extra_channel_beside_ink_is_told() -> None:
    ink = np.asarray(Image.fromarray(factory.rgb_pixels()).convert("CMYK"))
    stored = np.dstack([ink, GRAY(seed=9)])
    photo = read_photo(_tiff(stored, photometric="separated", extrasamples=["unspecified"]))
    assert photo.pixels.shape == (48, 64, 3)
    assert len(photo.warnings) == 1


def test_an_extra_channel_that_is_no_alpha_does_not_make_the_result_see_through() -> None:
    stored = np.dstack([COLOR(dtype=np.uint16), GRAY(dtype=np.uint16)])
    photo = read_photo(_tiff(stored, photometric="rgb", extrasamples=["unspecified"]))
    with tifffile.TiffFile(io.BytesIO(encode_photo(photo))) as file:
        assert file.pages[0].samplesperpixel == 3
    assert len(photo.warnings) == 1


# Compression


@pytest.mark.parametrize("name", ["zstd", "lzma"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_compressions_that_only_one_decoder_knows(name: str, dtype: type, samples: int) -> None:
    channels = [GRAY(dtype=dtype, seed=k) for k in range(samples)]
    wide = np.dstack(channels).reshape(48, 64 * samples)
    out = io.BytesIO()
    try:
        Image.fromarray(wide).save(out, "TIFF", compression=name, tiffinfo={278: 48})
    except OSError:
        pytest.skip(f"this Pillow has no {name}")
    strips = read_strips(out.getvalue())
    photo = read_photo(_packed(channels[0], {"zstd": 50000, "lzma": 34925}[name], strips, samples))
    found = photo.pixels if photo.pixels.ndim == 3 else photo.pixels[..., None]
    for k in range(found.shape[2]):
        np.testing.assert_array_equal(found[..., k], channels[k])
    assert (photo.alpha is None) == (samples in (1, 3))
    assert photo.compression == name


def read_strips(data: bytes) -> bytes:
    page = ifd.parse(data).pages[0]
    places = zip(page[ifd.STRIPS].integers, page[tiff_tags.STRIP_SIZES].integers, strict=True)
    (strip,) = [data[at : at + size] for at, size in places]
    return strip


@pytest.mark.parametrize(
    ("number", "dtype", "words"),
    [
        (50002, np.uint8, "(jpeg xl)"), (50002, np.uint16, "(jpeg xl)"),
        (34887, np.uint8, "(lerc)"), (34887, np.uint16, "(lerc)"),
        (33003, np.uint8, "(jpeg 2000)"), (50001, np.uint16, "(webp) is not supported at 16 bits"),
        (7, np.uint16, "(jpeg) is not supported at 16 bits"), (4242, np.uint8, "(number 4242)"),
    ],
)  # fmt: skip
def test_a_compression_without_a_decoder_is_named(
    number: int, dtype: type, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PhotoError) as error:
        read_photo(_packed(COLOR(dtype=dtype), number, b"RIFF" + bytes(400), 3))
    line = str(error.value)
    assert words in line
    assert "convert it" in line
    assert "damaged" not in line
    assert "\n" not in line
    assert capfd.readouterr().err == ""


def _piece(pixels: np.ndarray, name: str) -> bytes:
    if name == "webp":
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "WEBP", lossless=True, exact=True)
        return out.getvalue()
    flipped = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    options = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    done, data = cv2.imencode(".jp2", np.ascontiguousarray(flipped), options)
    assert done
    start = data.tobytes().index(b"\xff\x4f\xff\x51")
    return data.tobytes()[start:]


def _of_pieces(pixels: np.ndarray, name: str, side: int | None = None) -> bytes:
    """Make a TIFF of strips of 40 rows or of square tiles, each a picture of its own."""
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    number = {"webp": 50001, "jpeg 2000": 34712}[name]
    page = {**ifd.parse(_packed(pixels, number, b"", samples)).pages[0]}
    page[338] = ifd.short(338, 2)
    height, width = pixels.shape[:2]
    if side:
        padded = np.pad(pixels, [(0, side), (0, side)] + [(0, 0)] * (pixels.ndim - 2))
        parts = [
            _piece(np.ascontiguousarray(padded[y : y + side, x : x + side]), name)
            for y in range(0, height, side)
            for x in range(0, width, side)
        ]
        page[322], page[323] = ifd.long(322, side), ifd.long(323, side)
        del page[278], page[279]
    else:
        parts = [_piece(pixels[y : y + 40], name) for y in range(0, height, 40)]
        page[278] = ifd.long(278, 40)
    lengths = ifd.long(ifd.TILE_SIZES if side else 279, *map(len, parts))
    return ifd.build([([*page.values(), lengths], parts)])


@pytest.mark.parametrize("side", [None, 32])
@pytest.mark.parametrize(
    ("name", "dtype", "samples"),
    [
        ("webp", np.uint8, 3), ("webp", np.uint8, 4), ("jpeg 2000", np.uint8, 1),
        ("jpeg 2000", np.uint8, 3), ("jpeg 2000", np.uint16, 1), ("jpeg 2000", np.uint16, 3),
        ("jpeg 2000", np.uint16, 4),
    ],
)  # fmt: skip
def test_strips_and_tiles_that_are_pictures(
    name: str, dtype: type, samples: int, side: int | None
) -> None:
    pixels = (GRAY if samples == 1 else COLOR)(72, 64, dtype=dtype)
    alpha = factory.alpha_pixels(72, 64, dtype=dtype)
    photo = read_photo(
        _of_pieces(np.dstack([pixels, alpha]) if samples == 4 else pixels, name, side)
    )
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert (photo.alpha is not None) == (samples == 4)
    if photo.alpha is not None:
        np.testing.assert_array_equal(photo.alpha, alpha)
    assert photo.compression == name


@pytest.mark.parametrize("name", ["webp", "jpeg 2000"])
def test_pieces_larger_than_their_place_are_not_unpacked(name: str) -> None:
    small = COLOR(48, 64)
    part = _piece(COLOR(480, 640), name)
    number = {"webp": 50001, "jpeg 2000": 34712}[name]
    with pytest.raises(PhotoError, match="damaged"):
        read_photo(_packed(small, number, part, 3))


def test_a_layout_that_no_decoder_knows_is_not_called_damaged() -> None:
    pairs = np.dstack([GRAY() >> 4, GRAY() >> 4])  # 4 bits of grey and 4 of alpha in each byte
    data = _packed(pairs[..., 0], 1, bytes(48 * 64), 2)
    page = {**ifd.parse(data).pages[0], 258: ifd.short(258, 4, 4)}
    with pytest.raises(PhotoError, match="layout is not supported; convert it"):
        read_photo(ifd.build([(page.values(), [bytes(48 * 64)])]))


# Tags

DOCUMENT = [(269, "s", 0, "Album 12", True), (285, "s", 0, "Page 7", True)]
PRIVATE = [
    (65000, "H", 1, 7, True), (33550, "d", 3, (1.0, 1.0, 0.0), True),
    (34735, "H", 4, (1, 1, 0, 0), True), (34377, "B", 12, b"8BIM\x04\x25\0\0\0\0\0\0", True),
]  # fmt: skip


@pytest.mark.parametrize("output", ["jpg", "png", "webp", "tiff"])
def test_document_and_page_name_go_along(output: str) -> None:
    photo = read_photo(_tiff(GRAY(), photometric="minisblack", extratags=DOCUMENT))
    result = read_photo(encode_photo(photo, [_colored(photo)], format=output))
    page = ifd.parse(result.metadata.exif or b"").pages[0]
    assert page[269].value.rstrip(b"\0") == b"Album 12"
    assert page[285].value.rstrip(b"\0") == b"Page 7"
    assert not tiff_tags.left_out(photo, "jpeg")


@pytest.mark.parametrize("build", [factory.jpeg, factory.png])
def test_document_and_page_name_reach_a_tiff(build: factory.Builder) -> None:
    tags = [ifd.text(269, "Album 12"), ifd.text(285, "Page 7"), ifd.short(65000, 7)]
    photo = read_photo(build(exif=ifd.build([(tags, [])])))  # type: ignore[call-arg]
    page = ifd.parse(encode_photo(photo, format="tiff")).pages[0]
    assert [page[tag.number].value for tag in tags] == [tag.value for tag in tags]


def test_a_jpeg_with_the_mark_of_camera_raw_gives_a_tiff_that_can_be_read() -> None:
    block = ifd.build([([ifd.text(271, "Maker"), ifd.short(50706, 1)], [])])
    notes: list[str] = []
    written = encode_photo(read_photo(factory.jpeg(exif=block)), format="tiff", warnings=notes)
    assert read_photo(written).format == "tiff"
    assert any("DNGVersion" in line for line in notes)


def test_tags_that_another_format_cannot_hold_are_named_once() -> None:
    photo = read_photo(_tiff(GRAY(), photometric="minisblack", extratags=DOCUMENT + PRIVATE))
    assert tiff_tags.left_out(photo, "tiff") == []
    assert tiff_tags.left_out(photo, "jpeg") == [
        "left out, which jpeg cannot hold: GeoTIFF, Photoshop resources, tag 65000"
    ]
    assert tiff_tags.left_out(replace(photo, format="png"), "jpeg") == []
    kept = ifd.parse(encode_photo(photo, [_colored(photo)])).pages[0]
    assert {tag[0] for tag in PRIVATE} <= set(kept)


# Maker notes: their offsets count from the start of the file


def _maker_note(start: int) -> bytes:
    """Make a note in Canon's way that only makes sense where it was made: one tag, the owner."""
    head = struct.pack("<HHHIII", 1, 9, 2, 32, start + 18, 0)
    return head + b"Anna Muster".ljust(32, b"\0")


def _owner(data: bytes) -> bytes:
    """Read the owner's name as a camera's own program does."""
    note = ifd.maker_note(ifd.parse(data).pages[0])
    assert note is not None
    at = struct.unpack_from("<I", note.value, 10)[0]
    return data[at : at + 32].rstrip(b"\0")


def _with_note(start: int) -> bytes:
    pixels = GRAY(100, 120)
    note = ifd.Tag(ifd.MAKER_NOTE, 7, _maker_note(start), (), start)
    details = ifd.Tag(ifd.EXIF_IFD, 4, bytes(4), (ifd.text(36867, "1911:05:04 18:30:00"), note))
    tags = [
        ifd.short(256, 120), ifd.short(257, 100), ifd.short(258, 8), ifd.short(259, 1),
        ifd.short(262, 1), ifd.short(277, 1), ifd.short(278, 1), ifd.long(279, *[120] * 100),
        details, ifd.text(271, "Canon"),
    ]  # fmt: skip
    return ifd.build([(tags, [row.tobytes() for row in pixels])])


@pytest.mark.parametrize("start", [8, 300, 301, 3001, 11_999, 12_700, 40_000])
@pytest.mark.parametrize("output", ["tiff", "jpg", "png", "webp"])
def test_a_maker_note_stays_readable(start: int, output: str) -> None:
    data = _with_note(start)
    assert _owner(data) == b"Anna Muster"
    photo = read_photo(data)
    np.testing.assert_array_equal(photo.pixels, GRAY(100, 120))
    notes: list[str] = []
    result = encode_photo(photo, [_colored(photo)], format=output, warnings=notes)
    again = read_photo(result)
    assert _owner(result if output == "tiff" else again.metadata.exif or b"") == b"Anna Muster"
    assert not notes
    assert not tiff_tags.left_out(photo, "jpeg")
    if output in ("tiff", "png"):
        np.testing.assert_array_equal(again.pixels, _colored(photo))
    if output == "jpg":
        assert _owner(encode_photo(again, format="tiff", warnings=notes)) == b"Anna Muster"
        assert not notes


def test_a_maker_note_that_has_to_move_is_told() -> None:
    data = bytearray(_with_note(300))
    note = ifd.maker_note(ifd.parse(bytes(data)).pages[0])
    assert note is not None
    entry = data.index(struct.pack("<HHII", ifd.MAKER_NOTE, 7, len(note.value), 300))
    far = 2_000_000
    data += bytes(far - len(data)) + note.value
    struct.pack_into("<I", data, entry + 8, far)
    photo = read_photo(bytes(data))
    notes: list[str] = []
    result = encode_photo(photo, [_colored(photo)], warnings=notes)
    assert len(result) < far // 2
    assert len(notes) == 1
    assert "maker note" in notes[0]
    assert "maker note" in tiff_tags.left_out(photo, "jpeg")[0]
    assert len(photo.metadata.exif or b"") < 2000


# Pages


def test_each_page_has_its_own_orientation() -> None:
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        for turn in (6, None, 3):
            tags = [(274, "H", 1, turn, True)] if turn else []
            file.write(GRAY(), photometric="minisblack", extratags=tags)
    photo = read_photo(out.getvalue())
    assert photo.orientation == 6
    assert photo.orientations == (6, 1, 3)
    assert photo.frames[2].recolored(COLOR()).orientation == 3
    assert read_photo(factory.jpeg(exif=factory.exif_bytes(8))).orientations == (8,)


def test_what_another_format_cannot_hold_is_told_when_it_is_written() -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, GRAY(), photometric="minisblack", extratags=[(65_000, "H", 1, 7, True)])
    photo, notes = read_photo(out.getvalue()), list[str]()
    encode_photo(photo, format="jpg", warnings=notes)
    assert [note for note in notes if "65000" in note], notes


def test_a_resolution_beyond_all_sense_is_written_as_far_as_it_goes() -> None:
    image = Image.fromarray(GRAY())
    exif = Image.Exif()
    exif[282] = exif[283] = TiffImagePlugin.IFDRational(2**32 - 1, 1)
    exif[296] = 2
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    for format in ("tiff", "png", "jpg"):
        encode_photo(read_photo(out.getvalue()), format=format)
