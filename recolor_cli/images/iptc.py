"""IPTC records and the Photoshop image resources that wrap them in JPEG."""

from __future__ import annotations

import struct

PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC = 0x0404


def unwrap(resources: bytes) -> bytes | None:
    """Take the IPTC-IIM records out of Photoshop image resources, or None if there are none."""
    at = 0
    while resources[at : at + 4] == b"8BIM" and at + 7 <= len(resources):
        kind = int.from_bytes(resources[at + 4 : at + 6], "big")
        name = 1 + resources[at + 6]
        start = at + 6 + name + name % 2 + 4
        size = int.from_bytes(resources[start - 4 : start], "big")
        if start + size > len(resources):
            return None
        if kind == _IPTC:
            return resources[start : start + size]
        at = start + size + size % 2
    return None


def records_in(payload: bytes) -> bytes | None:
    """Take the records out of what programs store as IPTC: bare, or in Photoshop resources.

    >>> records_in(PHOTOSHOP + wrap(b"abc")), records_in(b"abc")
    (b'abc', b'abc')
    """
    payload = payload.removeprefix(PHOTOSHOP)
    return unwrap(payload) if payload.startswith(b"8BIM") else payload


def wrap(records: bytes) -> bytes:
    """Wrap IPTC-IIM records as one Photoshop image resource.

    >>> unwrap(wrap(b"abc"))
    b'abc'
    """
    body = records + b"\0" * (len(records) % 2)
    return b"8BIM" + struct.pack(">HHI", _IPTC, 0, len(records)) + body
