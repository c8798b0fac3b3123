"""Large XMP packets, and what stands in attributes."""

from __future__ import annotations

import hashlib
import struct
import subprocess
from pathlib import Path
from shutil import which
from xml.dom import minidom

import photo_factory as factory
import pytest

from recolor_cli.errors import PhotoError
from recolor_cli.images import jpeg, xmp
from recolor_cli.images.photo import Provenance
from recolor_cli.images.read import read_photo, read_provenance
from recolor_cli.images.write import encode_photo

PROVENANCE = Provenance("unet.base", "0123456789abcdef" * 4, {"saturation": 1.0}, "0.1.0")
NOTE = "http://ns.adobe.com/xmp/note/"
DC = "http://purl.org/dc/elements/1.1/"


def packet(inner: str = "", attributes: str = "") -> bytes:
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{xmp._RDF}" xmlns:dc="{DC}">'
        f'<rdf:Description rdf:about="uuid:7" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
        f' dc:format="image/jpeg"{attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def title(size: int, letter: str = "t") -> str:
    return f"<dc:title>{letter * size}</dc:title>"


def extension(data: bytes) -> tuple[bytes, bytes]:
    """Read the extended packet as XMP part 3 says, and the main one's name for it."""
    bodies = [body for kind, body in jpeg._segments(data)[0] if kind == 0xE1]
    parts = [body[len(jpeg.MORE_XMP) :] for body in bodies if body.startswith(jpeg.MORE_XMP)]
    main = next(body[len(jpeg.XMP) :] for body in bodies if body.startswith(jpeg.XMP))
    found = minidom.parseString(main).getElementsByTagNameNS(xmp._RDF, "Description")
    names = {each.getAttributeNS(NOTE, "HasExtendedXMP") for each in found} - {""}
    assert len(names) == 1
    name = names.pop().encode()
    joined = b""
    for part in parts:
        assert part[:32] == name
        length, at = struct.unpack(">II", part[32:40])
        assert at == len(joined)
        joined += part[40:]
        assert length == sum(len(each) - 40 for each in parts)
    return joined, name


@pytest.mark.parametrize("size", [64_800, 65_000])
def test_a_packet_that_fills_its_segment_is_extended(size: int) -> None:
    source = factory.jpeg(xmp=packet(title(size)))
    photo, warnings = read_photo(source), list[str]()
    data = encode_photo(photo, provenance=PROVENANCE, warnings=warnings)
    assert warnings == []
    assert read_provenance(data) == PROVENANCE
    joined, name = extension(data)
    assert hashlib.md5(joined).hexdigest().upper().encode() == name
    assert b"t" * size in joined
    main = read_photo(data).metadata.xmp or b""
    assert b'dc:format="image/jpeg"' in main  # small things stay where every program looks
    assert main.count(b'about="uuid:7"') == joined.count(b'about="uuid:7"') + 2


def test_a_large_packet_of_a_png_goes_into_jpeg_whole() -> None:
    marks = ' photoshop:Instructions="a&#10;b' + "i" * 90_000 + '"'
    source = factory.png(xmp=packet(title(300_000), marks))
    warnings: list[str] = []
    data = encode_photo(read_photo(source), format="jpg", provenance=PROVENANCE, warnings=warnings)
    assert warnings == []
    assert read_provenance(data) == PROVENANCE
    joined, _ = extension(data)
    element = minidom.parseString(joined).getElementsByTagNameNS(xmp._RDF, "Description")[0]
    instructions = element.getAttributeNS("http://ns.adobe.com/photoshop/1.0/", "Instructions")
    assert instructions == "a\nb" + "i" * 90_000
    assert b"t" * 300_000 in joined


def test_an_earlier_extension_grows_and_nothing_is_lost() -> None:
    first = read_photo(
        encode_photo(read_photo(factory.png(xmp=packet(title(70_000, "u")))), format="jpg")
    )
    grown = (first.metadata.xmp or b"").replace(
        b"</rdf:RDF>",
        b'<rdf:Description rdf:about="uuid:7" xmlns:n="urn:n"><n:n>%b</n:n></rdf:Description>'
        b"</rdf:RDF>" % (b"v" * 65_100),
    )
    second = jpeg.assemble(
        factory.jpeg(), type(first.metadata)(xmp=grown, native=first.metadata.native), same=True,
        warnings=[],
    )  # fmt: skip
    joined, _ = extension(second)
    assert b"u" * 70_000 in joined
    assert b"v" * 65_100 in joined


def test_a_damaged_extension_is_told() -> None:
    body = jpeg.MORE_XMP + b"0" * 32 + struct.pack(">II", 5, 0) + b"<a/>\n"
    source = factory.jpeg(xmp=packet(title(65_000)))
    source = source[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + source[2:]
    warnings: list[str] = []
    data = encode_photo(read_photo(source), provenance=PROVENANCE, warnings=warnings)
    assert warnings == ["the part of the xmp beyond 64 KiB is damaged; left out"]
    assert read_provenance(data) == PROVENANCE


@pytest.mark.skipif(not which("exiftool"), reason="needs exiftool")
def test_exiftool_reads_both_parts(tmp_path: Path) -> None:
    photo = read_photo(factory.jpeg(xmp=packet(title(65_000))))
    path = factory.put(tmp_path, "a.jpg", encode_photo(photo, provenance=PROVENANCE))
    run = subprocess.run(
        ["exiftool", "-validate", "-warning", "-a", "-XMP:Title", "-XMP:Format", "-XMP-recolor:all",
         "-XMP:DigitalSourceType", "-s3", str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "t" * 65_000 in run.stdout
    assert "image/jpeg" in run.stdout
    assert xmp.SOURCE_TYPE.rsplit("/", 1)[1] in run.stdout
    assert "extended" not in run.stdout.lower()


@pytest.mark.parametrize("target", ["png", "tiff", "webp"])
def test_a_packet_of_five_megabytes_is_kept(target: str) -> None:
    photo = read_photo(factory.png(xmp=packet(title(5_000_000))))
    warnings: list[str] = []
    data = encode_photo(photo, format=target, provenance=PROVENANCE, warnings=warnings)
    assert warnings == []
    assert read_provenance(data) == PROVENANCE
    assert b"t" * 5_000_000 in (read_photo(data).metadata.xmp or xmp_of_tiff(data))


def xmp_of_tiff(data: bytes) -> bytes:
    return data[data.index(b"<x:xmpmeta") :]


@pytest.mark.parametrize("limit", ["_MAX_BYTES", "_MAX_TAGS"])
def test_a_packet_that_is_too_large_is_said_to_be_and_not_replaced(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xmp, limit, 3)
    photo, warnings = read_photo(factory.png(xmp=factory.XMP)), list[str]()
    with pytest.raises(PhotoError, match="too large") as caught:
        encode_photo(photo, provenance=PROVENANCE, warnings=warnings)
    assert "damaged" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert read_photo(encode_photo(photo)).metadata.xmp == factory.XMP


def test_line_breaks_and_tabs_survive() -> None:
    source = packet(
        '<dc:title>a&#13;b"c]]&gt;<![CDATA[<&>]]></dc:title><!-- c -->',
        ' photoshop:Instructions="line1&#10;line2&#9;x&#13;&quot;&lt;&amp;\'"',
    )
    merged = xmp.merge(xmp.merge(source, PROVENANCE, []), PROVENANCE, [])
    found = minidom.parseString(merged).getElementsByTagNameNS(xmp._RDF, "Description")[0]
    instructions = found.getAttributeNS("http://ns.adobe.com/photoshop/1.0/", "Instructions")
    assert instructions == "line1\nline2\tx\r\"<&'"
    parts = found.getElementsByTagName("dc:title")[0].childNodes
    text = "".join(part.data for part in parts if isinstance(part, minidom.Text))
    assert text == 'a\rb"c]]><&>'
    assert b"<!-- c -->" in merged
    assert b"line1&#10;line2&#9;x&#13;" in merged
