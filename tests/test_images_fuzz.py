"""Whatever is done to a file, reading it gives a Photo or a PhotoError and nothing else."""

from __future__ import annotations

import contextlib

import numpy as np
import photo_factory as factory
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recolor_cli.errors import PhotoError
from recolor_cli.images import icc, ifd, iptc, xmp
from recolor_cli.images.photo import FORMATS, Photo, Provenance
from recolor_cli.images.read import read_photo, read_provenance
from recolor_cli.images.write import encode_photo

PROVENANCE = Provenance("unet.base", "0" * 64, {}, "0.1.0")
# Small pictures, so that a change often falls on structure.
SEEDS = [
    build()
    for name, build in factory.GOOD.items()
    if name not in ("thin.png", "wide.jpg") and not name.startswith("turned")
]
QUICK = settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["flip", "cut", "drop", "insert", "zero", "number"]))
        at = draw(st.one_of(st.integers(0, min(len(data), 300)), st.integers(0, len(data))))
        at = min(at, max(0, len(data) - 1))
        length = draw(st.integers(1, 40))
        if kind == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + length]
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=20))
        elif kind == "zero":
            data[at : at + length] = bytes(len(data[at : at + length]))
        else:
            data[at : at + 4] = draw(
                st.sampled_from([b"\xff" * 4, b"\0\0\0\1", b"\x7f\xff\xff\xff"])
            )
    return bytes(data)


@QUICK
@given(mutated())
@example(b"\xff\xd8\xff")
@example(b"II*\0\x08\0\0\0\0\0")
@example(b"II+\0\x08\0\0\0" + b"\xff" * 8)
@example(b"\x89PNG\r\n\x1a\n")
@example(b"RIFF\0\0\0\0WEBP")
@example(b"\0\0\0\x18ftypavif")
@example(b"\xff\x4f\xff\x51")
def test_a_mutated_file_is_a_photo_or_a_photo_error(data: bytes) -> None:
    try:
        photo = read_photo(data, max_pixels=2_000_000)
    except PhotoError as error:
        text = str(error)
        assert text
        assert "\n" not in text
        return
    assert isinstance(photo, Photo)
    assert photo.format in FORMATS
    assert 1 <= photo.orientation <= 8
    for frame in photo.frames:
        assert frame.pixels.dtype in (np.uint8, np.uint16)
        assert frame.pixels.ndim == 2 or frame.pixels.shape[2] == 3
        assert frame.alpha is None or frame.alpha.shape == frame.pixels.shape[:2]
        assert frame.alpha is None or frame.alpha.dtype == frame.pixels.dtype
    # Whatever was read can be written, and what was written can be read.
    again = read_photo(encode_photo(photo, provenance=PROVENANCE))
    assert len(again.frames) == len(photo.frames)


@QUICK
@given(mutated())
def test_provenance_of_a_mutated_file(data: bytes) -> None:
    try:
        found = read_provenance(data)
    except PhotoError:
        found = None
    assert found is None


@QUICK
@given(st.binary(max_size=200))
def test_small_parsers_survive_anything(data: bytes) -> None:
    assert xmp.read(xmp.merge(data, PROVENANCE, [])) == PROVENANCE
    iptc.unwrap(data)
    iptc.unwrap(b"8BIM" + data)
    icc.for_color(data, [])
    profile = bytearray(factory.gray_icc())
    profile[128 : 128 + len(data)] = data
    made = icc.for_color(bytes(profile), [])
    assert made is None or icc.color_space(made) == "rgb"
    for head in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0\x10" + bytes(7)):
        with contextlib.suppress(ifd.IfdError):
            assert ifd.parse(head + data).pages
