"""XMP packets: how the note that colours are estimated gets in, and out again.

XMP part 1 (ISO 16684-1); IPTC Photo Metadata 2025.1; IPTC Digital Source Type NewsCodes.
"""

from __future__ import annotations

import json
from xml.dom import Node, minidom
from xml.parsers.expat import ExpatError

from recolor_cli.images.photo import Provenance

# "Edited using generative AI": the photograph is real, what was added to it comes out of a
# trained model. The milder `algorithmicallyEnhanced` is for filters that add no content.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
NAMESPACE = "urn:x-recolor:1.0/"
_IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_META = "adobe:ns:meta/"
_OURS = {
    _IPTC_EXT: {"DigitalSourceType", "AISystemUsed", "AISystemVersionUsed"},
    NAMESPACE: {
        "ColorsEstimated", "Model", "WeightsSHA256", "Settings", "Version",
        "OriginalDigitalSourceType",
    },
}  # fmt: skip
_MAX_BYTES = 4 << 20
_EMPTY = (
    f'<x:xmpmeta xmlns:x="{_META}"><rdf:RDF xmlns:rdf="{_RDF}"></rdf:RDF></x:xmpmeta>'
).encode()
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = '\n<?xpacket end="w"?>'


def merge(packet: bytes | None, provenance: Provenance, warnings: list[str]) -> bytes:
    """Add `provenance` to an XMP packet and leave everything else in it as it was.

    An earlier digital source type is kept as `recolor:OriginalDigitalSourceType`. A packet that
    is not well-formed cannot be added to: a fresh one takes its place, and `warnings` says so.
    """
    document = _parse(packet or _EMPTY)
    if document is None:
        warnings.append("the xmp packet is damaged and cannot be added to; replaced by a new one")
        document = _parse(_EMPTY)
    assert document is not None
    rdf = document.getElementsByTagNameNS(_RDF, "RDF")[0]
    earlier = _take_out(rdf)
    values = {
        (_IPTC_EXT, "DigitalSourceType"): SOURCE_TYPE,
        (_IPTC_EXT, "AISystemUsed"): f"recolor, {provenance.model}",
        (_IPTC_EXT, "AISystemVersionUsed"): provenance.version,
        (NAMESPACE, "ColorsEstimated"): "True",
        (NAMESPACE, "Model"): provenance.model,
        (NAMESPACE, "WeightsSHA256"): provenance.weights_sha256,
        (NAMESPACE, "Settings"): json.dumps(dict(provenance.settings), sort_keys=True),
        (NAMESPACE, "Version"): provenance.version,
        (NAMESPACE, "OriginalDigitalSourceType"): earlier,
    }
    _add(document, rdf, values)
    return _serialise(document)


def read(packet: bytes | None) -> Provenance | None:
    """Read back what `merge` wrote; None if recolor did not write it."""
    document = _parse(packet) if packet else None
    if document is None:
        return None
    found = {}
    for description in _descriptions(document.getElementsByTagNameNS(_RDF, "RDF")[0]):
        for name in _OURS[NAMESPACE]:
            value = _value(description, NAMESPACE, name)
            if value is not None:
                found[name] = value
    if found.get("ColorsEstimated", "").strip().lower() != "true":
        return None
    try:
        settings = json.loads(found.get("Settings", "{}"))
    except ValueError:
        settings = None
    return Provenance(
        model=found.get("Model", ""),
        weights_sha256=found.get("WeightsSHA256", ""),
        settings=settings if isinstance(settings, dict) else {},
        version=found.get("Version", ""),
    )


def _parse(packet: bytes) -> minidom.Document | None:
    """Parse a packet; None if it is not XMP. No document types: they are how XML explodes."""
    if len(packet) > _MAX_BYTES:
        return None
    packet = _as_utf8(packet).strip(b"\0 \t\r\n")
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return None
    try:
        document = minidom.parseString(packet)
        root = document.documentElement
        # Written out once, as that goes as deep as the packet is nested.
        found = root is not None and root.toxml() and root.getElementsByTagNameNS(_RDF, "RDF")
    except (ExpatError, ValueError, LookupError, RecursionError):
        return None
    return document if found else None


def _as_utf8(packet: bytes) -> bytes:
    """Recode the UTF-16 that XMP allows; what is neither stays, for the parser to refuse."""
    for start, code in (
        (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
        (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"),
    ):  # fmt: skip
        if packet.startswith(start):
            return packet.decode(code, "replace").encode("utf-8", "replace")
    return packet.removeprefix(b"\xef\xbb\xbf")


def _descriptions(rdf: minidom.Element) -> list[minidom.Element]:
    return [
        node
        for node in rdf.childNodes
        if node.nodeType == Node.ELEMENT_NODE
        and (node.namespaceURI, node.localName) == (_RDF, "Description")
    ]


def _value(description: minidom.Element, namespace: str, name: str) -> str | None:
    if description.hasAttributeNS(namespace, name):
        return str(description.getAttributeNS(namespace, name))
    for node in description.childNodes:
        if node.nodeType == Node.ELEMENT_NODE and (node.namespaceURI, node.localName) == (
            namespace,
            name,
        ):
            resource = node.getAttributeNS(_RDF, "resource")
            return str(resource) or "".join(
                child.data for child in node.childNodes if child.nodeType == Node.TEXT_NODE
            )
    return None


def _take_out(rdf: minidom.Element) -> str | None:
    """Remove the properties that recolor writes; return the source type that was there first."""
    first = earlier = None
    for description in _descriptions(rdf):
        first = first or _value(description, NAMESPACE, "OriginalDigitalSourceType")
        kind = _value(description, _IPTC_EXT, "DigitalSourceType")
        if kind and kind != SOURCE_TYPE:
            earlier = kind
        for namespace, names in _OURS.items():
            for name in names:
                if description.hasAttributeNS(namespace, name):
                    description.removeAttributeNS(namespace, name)
        for node in list(description.childNodes):
            if node.nodeType == Node.ELEMENT_NODE and node.localName in _OURS.get(
                node.namespaceURI or "", ()
            ):
                description.removeChild(node)
    return earlier or first


def _add(
    document: minidom.Document, rdf: minidom.Element, values: dict[tuple[str, str], str | None]
) -> None:
    prefix = rdf.prefix or "rdf"
    about = ""
    for description in _descriptions(rdf):
        about = about or description.getAttributeNS(_RDF, "about")
        if not description.hasChildNodes() and not _says_something(description):
            rdf.removeChild(description)  # left empty by `_take_out`: our own of last time
    added = document.createElementNS(_RDF, f"{prefix}:Description")
    added.setAttributeNS(_RDF, f"{prefix}:about", about)
    added.setAttribute("xmlns:Iptc4xmpExt", _IPTC_EXT)
    added.setAttribute("xmlns:recolor", NAMESPACE)
    for (namespace, name), value in values.items():
        if value is not None:
            short = "recolor" if namespace == NAMESPACE else "Iptc4xmpExt"
            added.setAttributeNS(namespace, f"{short}:{name}", value)
    if rdf.prefix is None:  # the packet declares RDF as its default namespace
        added.setAttribute(f"xmlns:{prefix}", _RDF)
    rdf.appendChild(added)


def _says_something(description: minidom.Element) -> bool:
    return any(
        not item.name.startswith("xmlns") and (item.namespaceURI, item.localName) != (_RDF, "about")
        for item in description.attributes.values()
    )


def _serialise(document: minidom.Document) -> bytes:
    root = document.documentElement
    assert root is not None
    return (_BEGIN + root.toxml() + _END).encode("utf-8", "replace")
