"""A JPEG whose picture is destroyed is refused, an odd one has a note, a good one is read."""

from __future__ import annotations

import io
import os
import random
import struct
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import photo_factory as factory
import pytest
from PIL import Image

from recolor_cli.errors import PhotoError
from recolor_cli.images import jpeg, overheard
from recolor_cli.images.ifd import parse
from recolor_cli.images.read import read_photo
from recolor_cli.images.write import encode_photo

GRAY = factory.gray_pixels(300, 400)
COLOR = factory.color_pixels(300, 400)
hears = pytest.mark.skipif(not overheard.can_hear(), reason="libjpeg cannot be heard here")


def encode(pixels: np.ndarray, mode: str | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(out, "JPEG", **options)
    return out.getvalue()


GOOD: dict[str, bytes] = {
    "grey": encode(GRAY),
    "best": encode(GRAY, quality=100),
    "restarts": encode(GRAY, restart_marker_blocks=7),
    "4:2:0": encode(COLOR, subsampling=2),
    "4:4:4": encode(COLOR, subsampling=0, optimize=True),
    "progressive": encode(GRAY, progressive=True),
    "progressive colour": encode(COLOR, progressive=True, restart_marker_rows=1),
    "ink": encode(COLOR, "CMYK"),
    "thumbnail": encode(COLOR, exif=b"Exif\0\0" + factory.exif_bytes() + encode(GRAY[:80, :80])),
}
PLAIN = {
    "black": encode(np.zeros((300, 400), np.uint8), optimize=True),
    "black progressive": encode(np.zeros((300, 400, 3), np.uint8), progressive=True),
    "middle grey": encode(np.full((299, 397), 128, np.uint8)),
    "white": encode(np.full((300, 400, 3), 255, np.uint8)),
    "one pixel": encode(np.zeros((1, 1), np.uint8)),
}


def picture_start(data: bytes) -> int:
    return jpeg._segments(data)[1]


def zeroed(data: bytes) -> bytes:
    """Overwrite the third quarter with zeros, as a bad disk or card does."""
    half, quarter = len(data) // 2, len(data) // 4
    return data[:half] + bytes(quarter) + data[half + quarter :]


def scrambled(data: bytes) -> bytes:
    noise = random.Random(1).randbytes(4096)
    half = len(data) // 2
    return data[:half] + noise + data[half + 4096 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "zeros": zeroed,
    "noise": scrambled,
    "end marker after half": lambda data: data[: len(data) // 2] + b"\xff\xd9",
    "half and whole": lambda data: data[: len(data) // 2] + data,
    "a piece is missing": lambda data: data[: len(data) // 3] + data[len(data) // 3 + 3000 :],
}


@pytest.mark.parametrize("name", [*GOOD, *PLAIN])
@pytest.mark.parametrize("behind", [b"", b"\0" * 3000, b"junk" * 99, GOOD["grey"]], ids=len)
def test_good_pictures_are_read_without_a_note(
    name: str, behind: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert read_photo((GOOD | PLAIN)[name] + behind).warnings == ()
    assert capfd.readouterr() == ("", "")


@hears
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", GOOD)
def test_destroyed_pictures_are_refused_and_nothing_is_printed(
    name: str, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PhotoError, match=r"damaged|truncated"):
        read_photo(DAMAGES[damage](GOOD[name]))
    assert capfd.readouterr() == ("", "")


def test_half_and_whole_is_refused_where_libjpeg_is_not_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overheard, "_ear", None)
    assert read_photo(GOOD["grey"]).warnings == ()
    with pytest.raises(PhotoError, match="damaged"):
        read_photo(DAMAGES["half and whole"](GOOD["grey"]))


@hears
@pytest.mark.parametrize(
    ("extra", "notes"),
    [(b"\x17", 0), (b"abcdefghijkl", 1), (b"\0" * 700, 1)],
    ids=["1", "12", "700"],
)
def test_bytes_behind_a_whole_picture_are_a_note_at_most(extra: bytes, notes: int) -> None:
    data = GOOD["grey"]
    photo = read_photo(data[:-2] + extra + b"\xff\xd9")
    assert ["bytes too many" in line for line in photo.warnings] == [True] * notes
    assert np.array_equal(photo.pixels, read_photo(data).pixels)


@hears
def test_much_data_behind_the_picture_is_damage() -> None:
    data = GOOD["grey"]
    with pytest.raises(PhotoError, match="damaged"):
        read_photo(data[:-2] + data[-800:-2] + b"\xff\xd9")


@hears
def test_stray_bytes_before_the_picture_hide_no_damage_and_are_no_news() -> None:
    data = GOOD["grey"]
    stray = data[:20] + b"stray" + data[20:]
    assert read_photo(stray).warnings == ()
    with pytest.raises(PhotoError, match="damaged"):
        read_photo(zeroed(stray))


def test_a_progressive_picture_without_its_last_scans_has_a_note() -> None:
    data = GOOD["progressive"]
    last = data.rindex(b"\xff\xda")
    table = data.rindex(b"\xff\xc4", 0, last)
    photo = read_photo(data[:table] + b"\xff\xd9")
    assert ["lacks its last scans" in line for line in photo.warnings] == [True]


def test_a_component_without_a_scan_is_refused() -> None:
    data = GOOD["progressive colour"]
    first = data.index(b"\xff\xda")
    one = data[:first] + b"\xff\xda\0\x08\x01\x01\0\0\0\0" + data[first + 14 :]
    with pytest.raises(PhotoError, match=r"truncated|damaged"):
        read_photo(one[: one.index(b"\xff\xc4", first)] + b"\xff\xd9")


@hears
def test_damage_in_one_thread_is_not_blamed_on_another() -> None:
    files = [GOOD["grey"], zeroed(GOOD["grey"]), GOOD["4:2:0"], GOOD["progressive"]] * 40

    def verdict(data: bytes) -> object:
        try:
            return read_photo(data).warnings
        except PhotoError as error:
            return str(error)[:7]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(verdict, files)) == [(), "damaged", (), ()] * 40


@hears
def test_what_others_print_meanwhile_is_handed_on(capfd: pytest.CaptureFixture[str]) -> None:
    import ctypes

    library = ctypes.CDLL(None)
    stream = ctypes.c_void_p.in_dll(library, "stderr")
    before = stream.value

    def chatter() -> None:
        library.fputs(b"libpng warning: x\n", ctypes.c_void_p(stream.value))
        os.write(2, b"plain\n")
        print("python", file=sys.stderr, flush=True)

    _, words = overheard.listen(chatter)
    assert words == ""
    assert stream.value == before
    assert sorted(capfd.readouterr().err.split("\n")) == [
        "",
        "libpng warning: x",
        "plain",
        "python",
    ]


@hears
def test_an_error_while_listening_restores_everything() -> None:
    for alone in (False, True):
        with pytest.raises(ZeroDivisionError):
            overheard.listen(lambda: 1 // 0, alone=alone)
    assert threading.active_count() < 50
    assert overheard.listen(lambda: 7, alone=True) == (7, "")


@hears
def test_a_process_that_closed_all_its_files_still_hears() -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        os.closerange(2, 256)
        try:
            read_photo(zeroed(GOOD["grey"]))
        except PhotoError as error:
            os.write(1, str(error).encode()[:7])
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    assert os.read(read, 99) == b"damaged"
    os.close(read)


# EXIF in several segments


def segments(data: bytes, marker: int, start: bytes) -> list[bytes]:
    return [
        body
        for kind, body in jpeg._segments(data)[0]
        if kind == marker and body[: len(start)] == start
    ]


def with_exif(parts: list[bytes]) -> bytes:
    data = factory.jpeg()
    extra = b"".join(
        b"\xff\xe1" + struct.pack(">H", len(part) + 8) + jpeg.EXIF + part for part in parts
    )
    at = 4 + struct.unpack(">H", data[4:6])[0]
    return data[:at] + extra + data[at:]


BIG = factory.exif_bytes(6) + random.Random(2).randbytes(150_000)
SPLIT = [BIG[at : at + 65_527] for at in range(0, len(BIG), 65_527)]


@pytest.mark.parametrize("target", ["jpg", "png", "webp"])
def test_exif_of_several_segments_is_one_block(target: str) -> None:
    photo = read_photo(with_exif(SPLIT))
    assert photo.metadata.exif == BIG
    assert photo.orientation == 6
    warnings: list[str] = []
    data = encode_photo(photo, format=target, warnings=warnings)
    assert warnings == []
    assert read_photo(data).metadata.exif == BIG
    if target == "jpg":
        assert segments(data, 0xE1, jpeg.EXIF) == [jpeg.EXIF + part for part in SPLIT]
        with Image.open(io.BytesIO(data)) as image:
            assert image.info["exif"] == jpeg.EXIF + BIG


def test_a_second_exif_block_is_not_joined_to_the_first() -> None:
    first, second = factory.exif_bytes(6), factory.exif_bytes(3)
    photo = read_photo(with_exif([first, second, b"more of the second"]))
    assert photo.metadata.exif == first
    assert parse(photo.metadata.exif).pages
    assert segments(encode_photo(photo), 0xE1, jpeg.EXIF)[1:] == [
        jpeg.EXIF + second, jpeg.EXIF + b"more of the second",
    ]  # fmt: skip


# Comments


@pytest.mark.parametrize("code", ["utf-8", "latin-1"])
def test_a_comment_is_understood_and_kept_byte_for_byte(code: str) -> None:
    comment = "Gr\u00fc\u00dfe aus K\u00f6ln".encode(code)
    photo = read_photo(factory.jpeg(comment=comment))
    assert photo.metadata.text == {"Comment": "Gr\u00fc\u00dfe aus K\u00f6ln"}
    assert (
        factory.png_text(encode_photo(photo, format="png"))["Comment"]
        == "Gr\u00fc\u00dfe aus K\u00f6ln"
    )
    assert segments(encode_photo(photo), 0xFE, b"") == [comment]
