"""The note that colours are estimated gets into a packet, harms nothing in it, and is found."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import numpy as np
import photo_factory as factory
import pytest
from PIL import Image

from recolor_cli.images import jpeg, xmp
from recolor_cli.images.photo import Frame, Photo, Provenance
from recolor_cli.images.read import read_photo, read_provenance
from recolor_cli.images.write import encode_photo

PROVENANCE = Provenance(
    "unet.base", "0123456789abcdef" * 4, {"saturation": 1.0, "input_size": 256}, "0.1.0"
)


def colored(photo: Photo) -> list[Frame]:
    """Give every frame three channels, as the network does."""
    return [
        frame.recolored(np.dstack([frame.pixels] * 3) if frame.pixels.ndim == 2 else frame.pixels)
        for frame in photo.frames
    ]


def _pillow(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    "name", ["gray.jpg", "documented.jpg", "documented.png", "gray16.tif", "documented.tif",
             "pages.tif", "rgb.webp", "gray.jp2", "rgb.bmp", "rgb.avif"],
)  # fmt: skip
def test_provenance_is_written_and_read_back(name: str) -> None:
    source = factory.GOOD[name]()
    assert read_provenance(source) is None
    photo = read_photo(source)
    data = encode_photo(photo, colored(photo), provenance=PROVENANCE)
    assert read_provenance(data) == PROVENANCE
    assert xmp.SOURCE_TYPE.encode() in data  # plain to any reader, not packed


def test_provenance_leaves_the_rest_of_the_packet_alone() -> None:
    photo = read_photo(factory.GOOD["documented.jpg"]())
    data = encode_photo(photo, colored(photo), provenance=PROVENANCE)
    found = _pillow(data).getxmp()["xmpmeta"]["RDF"]["Description"]
    first, added = found
    assert first["Rating"] == "4"
    assert first["title"]["Alt"]["li"]["text"] == "Harbour at dusk, 1911 \u2603"
    assert added["DigitalSourceType"] == xmp.SOURCE_TYPE
    assert added["AISystemUsed"] == "recolor, unet.base"
    assert added["ColorsEstimated"] == "True"


def test_writing_twice_leaves_one_note() -> None:
    photo = read_photo(factory.GOOD["documented.png"]())
    once = read_photo(encode_photo(photo, colored(photo), provenance=PROVENANCE))
    newer = replace(PROVENANCE, model="unet.large")
    twice = encode_photo(once, provenance=newer)
    assert read_provenance(twice) == newer
    packet = read_photo(twice).metadata.xmp or b""
    assert packet.count(b"DigitalSourceType=") == 1
    assert packet.count(b"<rdf:Description") == 2
    assert b"unet.base" not in packet


@pytest.mark.parametrize("form", ["attribute", "element", "resource"])
def test_an_earlier_source_type_is_kept_as_the_original_one(form: str) -> None:
    film = "http://cv.iptc.org/newscodes/digitalsourcetype/negativeFilm"
    forms = {
        "attribute": f'<rdf:Description rdf:about="uuid:1" xmlns:e="{xmp._IPTC_EXT}" '
        f'e:DigitalSourceType="{film}"/>',
        "element": f'<rdf:Description rdf:about="uuid:1" xmlns:e="{xmp._IPTC_EXT}">'
        f"<e:DigitalSourceType>{film}</e:DigitalSourceType></rdf:Description>",
        "resource": f'<rdf:Description rdf:about="uuid:1" xmlns:e="{xmp._IPTC_EXT}">'
        f'<e:DigitalSourceType rdf:resource="{film}"/></rdf:Description>',
    }
    packet = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{xmp._RDF}">{forms[form]}'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()
    merged = xmp.merge(packet, PROVENANCE, [])
    assert merged.count(b"DigitalSourceType") == 2  # the new one and the original one
    assert f'recolor:OriginalDigitalSourceType="{film}"'.encode() in merged
    assert b'about="uuid:1"' in merged
    again = xmp.merge(merged, PROVENANCE, [])
    assert f'recolor:OriginalDigitalSourceType="{film}"'.encode() in again


@pytest.mark.parametrize(
    "packet",
    [
        b"<x:xmpmeta", b"plain words", b"<a/>", b"\xff\xfe\x00", b"\0\0",
        b'<!DOCTYPE a [<!ENTITY b "c">]><x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
        factory.XMP.replace(b"</rdf:RDF>", b""),
    ],
)  # fmt: skip
def test_a_damaged_packet_gives_way_with_a_word(packet: bytes) -> None:
    photo = read_photo(factory.jpeg(xmp=packet))
    warnings: list[str] = []
    data = encode_photo(photo, colored(photo), provenance=PROVENANCE, warnings=warnings)
    assert warnings == ["the xmp packet is damaged and cannot be added to; replaced by a new one"]
    assert read_provenance(data) == PROVENANCE


def test_a_packet_in_utf16_is_understood() -> None:
    packet = factory.XMP.decode().strip().encode("utf-16")
    warnings: list[str] = []
    merged = xmp.merge(packet, PROVENANCE, warnings)
    assert warnings == []
    assert "Harbour at dusk, 1911 \u2603".encode() in merged


def test_a_packet_nested_too_deep_gives_way() -> None:
    deep = b"<a>" * 5000 + b"</a>" * 5000
    packet = factory.XMP.replace(b"</rdf:Description>", deep + b"</rdf:Description>")
    warnings: list[str] = []
    assert xmp.read(xmp.merge(packet, PROVENANCE, warnings)) == PROVENANCE
    assert len(warnings) == 1


def test_xmp_beyond_one_segment_stays_in_jpeg_and_is_missed_elsewhere() -> None:
    source = factory.jpeg(xmp=factory.XMP)
    body = jpeg.MORE_XMP + b"0" * 32 + struct.pack(">II", 5, 0) + b"<a/>\n"
    source = source[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + source[2:]
    photo = read_photo(source)
    assert body in encode_photo(photo, colored(photo), provenance=PROVENANCE)
    warnings: list[str] = []
    encode_photo(photo, colored(photo), format="png", warnings=warnings)
    assert any("beyond 64 KiB" in line for line in warnings)


def test_odd_characters_in_the_note_survive() -> None:
    odd = Provenance('a<b>&"c"\u2603', "0" * 64, {"path": "x&y<z>'\u00e9"}, "0.1")
    assert xmp.read(xmp.merge(None, odd, [])) == odd
