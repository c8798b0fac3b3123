"""XMP packets: how the note that colours are estimated gets in, and out again.

XMP part 1 (ISO 16684-1); IPTC Photo Metadata 2025.1; IPTC Digital Source Type NewsCodes.
"""

from __future__ import annotations

import hashlib
import json
from xml.dom import Node, minidom
from xml.parsers.expat import ExpatError

from recolor_cli.errors import PhotoError
from recolor_cli.images.photo import Provenance

# "Edited using generative AI": the photograph is real, what was added to it comes out of a
# trained model. The milder `algorithmicallyEnhanced` is for filters that add no content.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
NAMESPACE = "urn:x-recolor:1.0/"
_IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_META = "adobe:ns:meta/"
_NOTE = "http://ns.adobe.com/xmp/note/"
_NOTE_NAME = "HasExtendedXMP"
_OURS = {
    _IPTC_EXT: {"DigitalSourceType", "AISystemUsed", "AISystemVersionUsed"},
    NAMESPACE: {
        "ColorsEstimated", "Model", "WeightsSHA256", "Settings", "Version",
        "OriginalDigitalSourceType",
    },
}  # fmt: skip
# Far beyond what programs write, with their masks and previews; a tree of more would need more
# memory than most computers have.
_MAX_BYTES = 64 << 20
_MAX_TAGS = 1_000_000
_SPECIAL = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_IN_TEXT = str.maketrans(_SPECIAL)
_IN_ATTRIBUTE = str.maketrans(_SPECIAL | {'"': "&quot;", "\n": "&#10;", "\t": "&#9;"})
_EMPTY = (
    f'<x:xmpmeta xmlns:x="{_META}"><rdf:RDF xmlns:rdf="{_RDF}"></rdf:RDF></x:xmpmeta>'
).encode()
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = '\n<?xpacket end="w"?>'


def merge(packet: bytes | None, provenance: Provenance, warnings: list[str]) -> bytes:
    """Add `provenance` to an XMP packet and leave everything else in it as it was.

    An earlier digital source type is kept as `recolor:OriginalDigitalSourceType`. A packet that
    is not well-formed cannot be added to: a fresh one takes its place, and `warnings` says so.

    Raises:
        PhotoError: The packet is too large to add to.
    """
    if packet and _is_too_large(packet):
        raise PhotoError(
            f"its xmp of {len(packet) / 1e6:.0f} MB is too large to add the note that colours are "
            "estimated; remove the xmp from a copy: exiftool -xmp:all= COPY"
        )
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


def digest(extension: bytes) -> str:
    """Name an extended packet, as the main packet and each of its segments do."""
    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()


def is_packet(packet: bytes) -> bool:
    """Tell whether this is XMP that can be read."""
    return _parse(packet) is not None


def split(packet: bytes, extension: bytes | None, room: int) -> tuple[bytes, bytes] | None:
    """Move the largest properties into an extended packet, so that the rest fits into `room`.

    Recolor's own properties stay in the main packet (XMP part 3, 1.1.3.1).

    Args:
        packet: What `merge` made.
        extension: The extended packet that it has already, which grows then.
        room: Bytes for the main packet.

    Returns:
        The main and the extended packet; None if it cannot be split so.
    """
    document, extended = _parse(packet), _parse(extension or _EMPTY)
    if document is None or extended is None:
        return None
    rdf = document.getElementsByTagNameNS(_RDF, "RDF")[0]
    target_rdf = extended.getElementsByTagNameNS(_RDF, "RDF")[0]
    movable: list[tuple[int, int, minidom.Element, minidom.Attr | minidom.Element]] = []
    for description in _descriptions(rdf):
        _own_namespaces(description)
        for node in list(description.childNodes):
            if node.nodeType != Node.ELEMENT_NODE:
                description.removeChild(node)  # blanks, and comments of no program's
            elif not _stays(node):
                movable.append((len(_xml(node).encode()), len(movable), description, node))
        for item in list(description.attributes.values()):
            if not _stays(item):
                size = len(item.value.translate(_IN_ATTRIBUTE).encode()) + len(item.name)
                movable.append((size, len(movable), description, item))
    _point_at(document, rdf, "0" * 32)  # takes as much room as the name will
    excess = len(_serialise(document)) - room
    targets: dict[int, minidom.Element] = {}
    for size, _, source, moved in sorted(movable, key=lambda each: each[:2], reverse=True):
        if excess <= 0:
            break
        excess -= size
        if id(source) not in targets:
            targets[id(source)] = target_rdf.appendChild(_bare_copy(extended, source))
        if moved.nodeType == Node.ATTRIBUTE_NODE:
            source.removeAttributeNode(moved)
            targets[id(source)].setAttributeNS(moved.namespaceURI, moved.name, moved.value)
        else:
            targets[id(source)].appendChild(source.removeChild(moved))
    root = extended.documentElement
    assert root is not None
    more = _xml(root).encode("utf-8", "replace")
    _point_at(document, rdf, digest(more))
    main = _serialise(document)
    return (main, more) if len(main) <= room else None


def _stays(node: minidom.Attr | minidom.Element) -> bool:
    """Tell whether an attribute or element is not to leave the main packet's description."""
    namespace, name = node.namespaceURI or "", node.localName or ""
    if node.nodeType == Node.ATTRIBUTE_NODE and (
        namespace == _RDF or node.nodeName.startswith(("xml:", "xmlns"))
    ):
        return True
    return name in _OURS.get(namespace, ()) or (namespace, name) == (_NOTE, _NOTE_NAME)


def _own_namespaces(description: minidom.Element) -> None:
    """Declare on a description what those around it declare, so that its parts can move."""
    around = description.parentNode
    while around is not None and around.nodeType == Node.ELEMENT_NODE:
        for item in list(around.attributes.values()):
            if item.name.startswith("xmlns") and not description.hasAttribute(item.name):
                description.setAttribute(item.name, item.value)
        around = around.parentNode


def _bare_copy(document: minidom.Document, description: minidom.Element) -> minidom.Element:
    copy = document.importNode(description, False)
    for item in list(copy.attributes.values()):
        is_about = (item.namespaceURI, item.localName) == (_RDF, "about")
        if not is_about and not item.name.startswith("xmlns"):
            copy.removeAttributeNode(item)
    return copy


def _point_at(document: minidom.Document, rdf: minidom.Element, name: str) -> None:
    """Say in the main packet which extended packet belongs to it."""
    for description in _descriptions(rdf):
        if description.hasAttributeNS(_NOTE, _NOTE_NAME):
            description.removeAttributeNS(_NOTE, _NOTE_NAME)
        for node in list(description.childNodes):
            if (node.namespaceURI, node.localName) == (_NOTE, _NOTE_NAME):
                description.removeChild(node)
    added = document.createElementNS(_RDF, f"{rdf.prefix or 'rdf'}:Description")
    added.setAttribute(f"xmlns:{rdf.prefix or 'rdf'}", _RDF)
    abouts = [each.getAttributeNS(_RDF, "about") for each in _descriptions(rdf)]
    added.setAttributeNS(_RDF, f"{rdf.prefix or 'rdf'}:about", next(filter(None, abouts), ""))
    added.setAttribute("xmlns:xmpNote", _NOTE)
    added.setAttributeNS(_NOTE, f"xmpNote:{_NOTE_NAME}", name)
    for description in _descriptions(rdf):
        if not description.hasChildNodes() and not _says_something(description):
            rdf.removeChild(description)
    rdf.appendChild(added)


def _is_too_large(packet: bytes) -> bool:
    return len(packet) > _MAX_BYTES or packet.count(b"<") > _MAX_TAGS


def _parse(packet: bytes) -> minidom.Document | None:
    """Parse a packet; None if it is not XMP. No document types: they are how XML explodes."""
    if _is_too_large(packet):
        return None
    packet = _as_utf8(packet).strip(b"\0 \t\r\n")
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return None
    try:
        document = minidom.parseString(packet)
        root = document.documentElement
        # Written out once, as that goes as deep as the packet is nested.
        found = root is not None and _xml(root) and root.getElementsByTagNameNS(_RDF, "RDF")
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
    return (_BEGIN + _xml(root) + _END).encode("utf-8", "replace")


def _xml(node: minidom.Node) -> str:
    """Write a node out; minidom's own way loses line breaks in attributes before Python 3.13."""
    parts: list[str] = []
    _write(node, parts)
    return "".join(parts)


def _write(node: minidom.Node, parts: list[str]) -> None:
    if isinstance(node, minidom.Element):
        parts.append(f"<{node.tagName}")
        for name, value in node.attributes.items():
            parts.append(f' {name}="{value.translate(_IN_ATTRIBUTE)}"')
        parts.append(">" if node.childNodes else "/>")
        for child in node.childNodes:
            _write(child, parts)
        if node.childNodes:
            parts.append(f"</{node.tagName}>")
    elif isinstance(node, minidom.Text) and node.nodeType == Node.TEXT_NODE:  # no CDATA
        parts.append(node.data.translate(_IN_TEXT))
    else:
        parts.append(node.toxml())
