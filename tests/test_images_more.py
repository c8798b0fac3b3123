"""Metadata in unusual places is read, written where it belongs, or its loss is told."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import photo_factory as factory
import pytest
from PIL import Image

from recolor_cli.images import icc, ifd, iptc
from recolor_cli.images.photo import Metadata, Photo, Provenance
from recolor_cli.images.read import _set_orientation, read_photo, read_provenance
from recolor_cli.images.write import encode_photo

PROVENANCE = Provenance("unet.base", "0123456789abcdef" * 4, {}, "0.1.0")
EXIF = factory.exif_bytes(6)
APP1_XMP = factory.XMP_NAMESPACE + factory.XMP
RESOURCES = iptc.wrap(b"")[:4] + b"\x03\xed\0\0" + struct.pack(">I", 3) + b"abc\0"
TARGETS = ("png", "jpg", "tiff")


def raw_text(payload: bytes, style: str = "magick", name: str = "any") -> bytes:
    """Write a profile as hex digits, as different programs do."""
    digits = payload.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return {
        "magick": f"\n{name}\n{len(payload):8d}\n{lines}\n",
        "exiftool": f"\n{name.upper()} profile\n{len(payload):8d}\n{lines}\n",
        "dos": f"\r\n{name}\r\n{len(payload)}\r\n{lines.upper()}\r\n",
    }[style].encode()


def text_chunk(name: str, text: bytes, kind: bytes = b"zTXt") -> tuple[bytes, bytes]:
    key = f"Raw profile type {name}".encode()
    body = {
        b"tEXt": b"\0" + text,
        b"zTXt": b"\0\0" + zlib.compress(text),
        b"iTXt": b"\0\1\0\0\0" + zlib.compress(text),
    }[kind]
    return kind, key + body


def with_chunks(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Put chunks right behind the header."""
    made = factory.png_from_chunks(chunks)[8:]
    return data[:33] + made + data[33:]


def png_with(name: str, payload: bytes, style: str = "magick", kind: bytes = b"zTXt") -> bytes:
    return with_chunks(factory.png(), text_chunk(name, raw_text(payload, style, name), kind))


def texts(data: bytes) -> dict[str, str]:
    return factory.png_text(data)


def through(photo: Photo, target: str) -> tuple[Metadata, list[str]]:
    notes: list[str] = []
    return read_photo(encode_photo(photo, format=target, warnings=notes)).metadata, notes


# IPTC in a PNG


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize("style", ["magick", "exiftool", "dos"])
@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("iptc", factory.IPTC),
        ("iptc", iptc.wrap(factory.IPTC)),
        ("iptc", factory.photoshop_block()),
        ("iptc", RESOURCES + iptc.wrap(factory.IPTC)),
        ("8bim", RESOURCES + iptc.wrap(factory.IPTC)),
        ("IPTC", iptc.wrap(factory.IPTC)),
    ],
)
def test_iptc_of_a_png_crosses_into_every_format_that_holds_it(
    name: str, payload: bytes, style: str, kind: bytes
) -> None:
    source = png_with(name, payload, style, kind)
    photo = read_photo(source)
    assert (photo.warnings, photo.metadata.iptc) == ((), factory.IPTC)
    for target in TARGETS:
        metadata, notes = through(photo, target)
        assert (metadata.iptc, notes) == (factory.IPTC, [])
        assert metadata.text == {}  # no hex digits as a comment
    assert any("iptc" in line for line in through(photo, "webp")[1])
    assert texts(encode_photo(photo)) == texts(source)  # once, with all that stood around it


@pytest.mark.parametrize("name", ["iptc", "8bim", "exif", "app1", "xmp"])
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\niptc\n",
        b"\niptc\n many\n1c0250",
        b"\niptc\n 3\n1c02zz",
        b"\niptc\n 300\n1c0250",
        b"\niptc\n -1\n1c0250",
        b"\niptc\n 0\n\n",
        "\niptc\n 3\nüü".encode(),
    ],
)
def test_a_raw_profile_that_cannot_be_read_stays_in_png_and_is_told_of(
    name: str, text: bytes
) -> None:
    chunk = text_chunk(name, text)
    photo = read_photo(with_chunks(factory.png(), chunk))
    assert len(photo.warnings) == 1
    assert f"raw {name} profile" in photo.warnings[0]
    assert photo.metadata == Metadata(native=(chunk,))
    assert factory.png_from_chunks([chunk])[8:] in encode_photo(photo)
    assert through(photo, "jpg")[0].text == {}


def test_a_damaged_raw_profile_does_not_hide_a_whole_one() -> None:
    chunks = [text_chunk("iptc", b"?"), text_chunk("iptc", raw_text(factory.IPTC))]
    photo = read_photo(with_chunks(factory.png(), *chunks))
    assert photo.metadata.iptc == factory.IPTC
    assert len(photo.warnings) == 1


def test_a_damaged_packet_in_a_png_is_told_of() -> None:
    chunk = (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no zlib stream")
    photo = read_photo(with_chunks(factory.png(), chunk))
    assert photo.warnings == ("the xmp packet is damaged; left out",)


# EXIF, XMP and profiles that stand in a PNG as text


@pytest.mark.parametrize("style", ["magick", "exiftool", "dos"])
@pytest.mark.parametrize("name", ["exif", "APP1", "app1"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_exif_as_text_is_exif(name: str, style: str, prefix: bytes) -> None:
    photo = read_photo(png_with(name, prefix + EXIF, style))
    assert (photo.metadata.exif, photo.orientation, photo.warnings) == (EXIF, 6, ())
    assert (photo.metadata.text, photo.metadata.native) == ({}, ())
    for target in TARGETS:
        data = encode_photo(photo, format=target)
        result = read_photo(data)
        assert (result.orientation, result.metadata.text) == (6, {})
        tags = ifd.parse(result.metadata.exif or b"").pages[0]
        assert tags[315].value == b"Anna Muster\0"
    written = encode_photo(photo)
    assert b"eXIf" in written
    assert texts(written) == {}


@pytest.mark.parametrize(
    ("name", "payload"), [("xmp", factory.XMP), ("xmp", APP1_XMP), ("APP1", APP1_XMP)]
)
def test_xmp_as_text_is_xmp(name: str, payload: bytes) -> None:
    photo = read_photo(png_with(name, payload))
    assert photo.metadata == Metadata(xmp=factory.XMP)
    for target in (*TARGETS, "webp"):
        data = encode_photo(photo, format=target, provenance=PROVENANCE)
        assert b"Harbour at dusk, 1911" in (read_photo(data).metadata.xmp or b"")
        assert read_provenance(data) == PROVENANCE


@pytest.mark.parametrize("name", ["icc", "icm"])
def test_a_colour_profile_as_text_is_the_colour_profile(name: str) -> None:
    photo = read_photo(png_with(name, factory.gray_icc()))
    assert photo.metadata == Metadata(icc=factory.gray_icc())
    color = np.dstack([photo.pixels] * 3)
    data = encode_photo(photo, [color])
    assert texts(data) == {}  # the profile for grey would be wrong now
    assert icc.color_space(read_photo(data).metadata.icc or b"") == "rgb"


def test_a_damaged_colour_profile_as_text_is_left_out_with_a_word() -> None:
    photo = read_photo(png_with("icc", b"no profile"))
    assert photo.warnings == ("the colour profile is damaged; left out",)
    assert texts(encode_photo(photo)) == {}


def test_chunks_of_their_own_go_before_texts() -> None:
    data = factory.png(exif=factory.exif_bytes(3), icc=factory.srgb_icc(), xmp=factory.XMP)
    other = {"exif": EXIF, "xmp": b"<other/>", "icc": factory.gray_icc()}
    photo = read_photo(
        with_chunks(data, *(text_chunk(name, raw_text(value)) for name, value in other.items()))
    )
    assert (photo.orientation, photo.warnings) == (3, ())
    assert photo.metadata.exif == factory.exif_bytes(3)
    assert photo.metadata.icc == factory.srgb_icc()
    assert photo.metadata.xmp == factory.XMP
    assert photo.metadata.text == {}
    kept = set(texts(encode_photo(photo)))
    assert kept == {"Raw profile type exif", "Raw profile type xmp", "XML:com.adobe.xmp"}


# Resolution


@pytest.mark.parametrize(
    ("dpi", "fits"),
    [
        ((300.0, 300.0), True),
        ((54_545_454.0, 0.001), True),
        ((4_294_967_295.0, 300.0), False),
        ((300.0, float("inf")), False),
        ((float("nan"), 300.0), False),
    ],
)
def test_a_resolution_beyond_png_is_left_out_with_a_word(
    dpi: tuple[float, float], fits: bool
) -> None:
    photo = Photo(read_photo(factory.png()).frames, "tiff", metadata=Metadata(dpi=dpi))
    metadata, notes = through(photo, "png")
    assert (metadata.dpi is not None) == fits
    assert len(notes) == (not fits)
    assert all("dpi" in line for line in notes)


# GIF


def gif_with(*extensions: bytes, behind: bool = False) -> bytes:
    data = factory.pillow_file("L", "GIF")
    at = len(data) - 1 if behind else 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    return data[:at] + b"".join(extensions) + data[at:]


def in_blocks(body: bytes) -> bytes:
    parts = [body[at : at + 255] for at in range(0, len(body), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def gif_xmp(packet: bytes) -> bytes:
    magic = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    return b"!\xff\x0bXMP DataXMP" + packet + magic


def gif_comment(text: bytes) -> bytes:
    return b"!\xfe" + in_blocks(text)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ([], Metadata()),
        ([gif_xmp(factory.XMP)], Metadata(xmp=factory.XMP)),
        ([b"!\xff\x0bXMP DataXMP" + in_blocks(b"<x/>" * 99)], Metadata(xmp=b"<x/>" * 99)),
        ([gif_comment("Gruß".encode())], Metadata(text={"Comment": "Gruß"})),
        ([gif_comment("Gruß".encode("latin-1"))], Metadata(text={"Comment": "Gruß"})),
        ([gif_comment(b"x" * 700 + b"\0")], Metadata(text={"Comment": "x" * 700})),
        ([gif_comment(b"a"), gif_comment(b"b")], Metadata(text={"Comment": "a\nb"})),
        (
            [b"!\xff\x0bICCRGBG1012" + in_blocks(factory.srgb_icc())],
            Metadata(icc=factory.srgb_icc()),
        ),
        ([b"!\xff\x0bSOMEPROG1.0" + in_blocks(b"x" * 400)], Metadata()),
    ],
)
def test_extensions_of_a_gif_are_read(
    extensions: list[bytes], expected: Metadata, behind: bool
) -> None:
    photo = read_photo(gif_with(*extensions, behind=behind))
    assert photo.metadata == expected
    assert photo.size == (64, 48)


@pytest.mark.parametrize("target", ["keep", *TARGETS, "webp"])
def test_what_a_gif_says_crosses_into_every_format(target: str) -> None:
    photo = read_photo(gif_with(gif_xmp(factory.XMP), gif_comment("Gruß".encode())))
    notes: list[str] = []
    data = encode_photo(photo, format=target, provenance=PROVENANCE, warnings=notes)
    assert b"Harbour at dusk, 1911" in (read_photo(data).metadata.xmp or b"")
    assert ("Gruß".encode() in data) != any("comments" in line for line in notes)


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_gif_cut_short_behind_its_picture_is_still_read(cut: int) -> None:
    data = gif_with(gif_comment(b"twenty letters or so"), behind=True)
    assert read_photo(data[:-cut]).size == (64, 48)


# AVIF


ARTIST = "Ångström".encode()


def avif(turn: int, said: int | None) -> tuple[bytes, bytes]:
    """Encode an AVIF that its boxes turn and whose EXIF block says `said`; return it and both."""
    exif = Image.Exif()
    exif[ifd.ORIENTATION] = turn  # Pillow makes boxes of it and leaves it out of the block
    exif[315] = "x" * len(ARTIST)
    if said is not None:
        exif[ifd.ORIENTATION + 1] = said
    out = io.BytesIO()
    Image.fromarray(factory.rgb_pixels()).save(out, "AVIF", exif=exif)
    data = out.getvalue()
    start, end = data.rindex(b"Exif\0\0MM\0*") + 6, data.index(b"x" * len(ARTIST))
    block = data[start : end + len(ARTIST) + 2]  # closed and filled to an even length
    written = block.replace(b"x" * len(ARTIST), ARTIST)
    written = written.replace(b"\x01\x13\0\3\0\0\0\1", b"\x01\x12\0\3\0\0\0\1")
    assert len(written) == len(block)
    return data.replace(block, written), written


@pytest.mark.parametrize("said", [None, 1, 3, 6])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_of_a_turned_avif_keeps_its_bytes(turn: int, said: int | None) -> None:
    data, block = avif(turn, said)
    photo = read_photo(data)
    assert photo.orientation == turn  # the boxes decide
    exif = photo.metadata.exif or b""
    tags = ifd.parse(exif).pages[0]
    assert tags[315].value == ARTIST + b"\0"
    if said is None:
        # The directory is the only thing that is new.
        assert exif[8 : len(block)] == block[8:]
        assert (len(exif) == len(block)) == (turn == 1)
    else:
        assert len(exif) == len(block)
        changed = [at for at in range(len(block)) if exif[at] != block[at]]
        assert len(changed) == (said != turn)
    for target in TARGETS:
        result = read_photo(encode_photo(photo, format=target))
        assert result.orientation == turn
        written = ifd.parse(result.metadata.exif or b"").pages[0]
        assert written[315].value == ARTIST + b"\0"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("following", [0, 8])
def test_an_orientation_is_added_without_moving_anything(order: str, following: int) -> None:
    tags = [ifd.text(270, "Harbour"), ifd.short(296, 2), ifd.text(315, "Anna")]
    block = ifd.build([(tags, [])] * (2 if following else 1), order)
    more = _set_orientation(block, 8)
    assert more[8 : len(block)] == block[8:]
    pages = ifd.parse(more).pages
    assert len(pages) == len(ifd.parse(block).pages)
    assert sorted(pages[0]) == [270, 274, 296, 315]
    assert pages[0][ifd.ORIENTATION].integers == (8,)
    for number, tag in ifd.parse(block).pages[0].items():
        assert pages[0][number] == (tag if len(tag.value) > 4 else pages[0][number])
        assert pages[0][number].value == tag.value
    again = _set_orientation(more, 3)
    assert ifd.parse(again).pages[0][ifd.ORIENTATION].integers == (3,)
    assert len(again) == len(more)
    # Some writers forget the pointer to the next directory at the very end.
    short = _set_orientation(ifd.build([([ifd.short(296, 2)], [])], order)[:-4], 6)
    assert ifd.parse(short).pages[0][ifd.ORIENTATION].integers == (6,)


@pytest.mark.parametrize("block", [b"", b"II", b"not tiff at all", b"II*\0\xff\0\0\0"])
def test_a_damaged_block_is_left_as_it_is(block: bytes) -> None:
    assert _set_orientation(block, 6) == block


def test_a_turned_avif_without_exif_stays_turned() -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[ifd.ORIENTATION] = 6
    Image.fromarray(factory.rgb_pixels()).save(out, "AVIF", exif=exif)
    photo = read_photo(out.getvalue())
    assert photo.orientation == 6
    assert read_photo(encode_photo(photo)).orientation == 6


# HEIC


@pytest.mark.parametrize("count", [1, 2, 3])
def test_further_pictures_of_a_heic_are_told_of(count: int) -> None:
    heif = pytest.importorskip("pillow_heif")
    file = heif.HeifFile()
    for k in range(count):
        file.add_from_pillow(Image.fromarray(factory.rgb_pixels(seed=k)))
    out = io.BytesIO()
    file.save(out, quality=90, primary_index=count - 1)
    photo = read_photo(out.getvalue())
    assert np.abs(photo.pixels.astype(int) - factory.rgb_pixels(seed=count - 1)).mean() < 4
    assert len(photo.warnings) == (count > 1)
    assert all("further pictures" in line for line in photo.warnings)


# Standard input and output that are not there


@pytest.mark.parametrize(
    ("arguments", "closed", "reason"),
    [
        ("- -o -", "<&-", "standard input is closed"),
        ("- -o out.png", "<&-", "standard input is closed"),
        ("photo.png -o -", ">&-", "standard output is closed"),
    ],
)
def test_a_closed_stream_is_one_line(
    arguments: str, closed: str, reason: str, tmp_path: Path
) -> None:
    factory.put(tmp_path, "photo.png", factory.png())
    script = f'exec "{sys.executable}" -m recolor_cli colorize {arguments} {closed}'
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.png").exists()
