"""Colour profiles: what a grey photograph's profile becomes once the photograph has colours.

ICC.1:2001-04 (version 2 profiles), which every program reads.
"""

from __future__ import annotations

import struct
from functools import cache

import numpy as np
from numpy.typing import NDArray

# sRGB's primaries and white adapted to D50 (IEC 61966-2-1; Bradford), as columns of XYZ.
_PRIMARIES = {
    b"rXYZ": (0.43607, 0.22249, 0.01392),
    b"gXYZ": (0.38515, 0.71687, 0.09708),
    b"bXYZ": (0.14307, 0.06061, 0.71410),
}
_D50 = (0.9642, 1.0, 0.8249)
_HEADER, _ENTRY = 128, 12


def color_space(profile: bytes) -> str:
    """Name what a profile describes: `rgb`, `gray`, `cmyk`, another word, or `` if it is none."""
    if len(profile) < _HEADER + 4 or profile[36:40] != b"acsp":
        return ""
    return profile[16:20].decode("latin-1").strip().lower()


def for_color(profile: bytes | None, warnings: list[str]) -> bytes | None:
    """Return the profile for an RGB picture made of a photo that carried `profile`.

    A grey profile becomes an RGB profile of the same tone curve with the primaries of sRGB: every
    grey value then looks as it did before.

    An RGB profile stays, byte for byte, and so do the values under it: a grey photo is neutral in
    every RGB profile whose three curves are equal, so its lightness is not touched. Only the
    estimated colours, which are estimated for sRGB, show more vivid in a wider one such as Adobe
    RGB; `warnings` then says so.
    """
    if profile is None:
        return None
    kind = color_space(profile)
    if kind == "rgb":
        if is_wide(profile):
            warnings.append("the colour profile is wider than srgb; colours show more vivid there")
        return profile
    if kind == "gray":
        curve = _gray_curve(profile)
        if curve is not None:
            return _matrix_profile(curve, "RGB with the tone curve of the grey profile")
    warnings.append(f"the colour profile ({kind or 'damaged'}) does not fit rgb; left out")
    return None


def is_wide(profile: bytes) -> bool:
    """Tell whether an RGB profile's primaries lie clearly outside sRGB."""
    found = tags(profile)
    for name, (x, y, z) in _PRIMARIES.items():
        tag = found.get(name, b"")
        if len(tag) < 20:
            return False  # built of tables: its primaries cannot be told
        values = [number / 65536 for number in struct.unpack_from(">3i", tag, 8)]
        if max(abs(a - b) for a, b in zip(values, (x, y, z), strict=True)) > 0.03:
            return True
    return False


@cache
def srgb() -> bytes:
    """Return an sRGB profile, always of the same bytes."""
    return _matrix_profile(_sampled(_srgb_to_linear(np.linspace(0, 1, 1024))), "sRGB")


def tags(profile: bytes) -> dict[bytes, bytes]:
    """Split a profile into its tags; those outside the profile are passed over."""
    count = int.from_bytes(profile[_HEADER : _HEADER + 4], "big")
    found = {}
    for number in range(min(count, 100)):
        at = _HEADER + 4 + _ENTRY * number
        name, start, size = profile[at : at + 4], *_pair(profile[at + 4 : at + 12])
        if size >= 8 and start + size <= len(profile):
            found[name] = profile[start : start + size]
    return found


def _pair(raw: bytes) -> tuple[int, int]:
    return int.from_bytes(raw[:4], "big"), int.from_bytes(raw[4:8], "big")


def _gray_curve(profile: bytes) -> bytes | None:
    """Return a grey profile's tone curve as a `curv` tag from values to linear light."""
    tag = tags(profile).get(b"kTRC")
    if tag is None:
        return None
    if tag[:4] == b"curv" and profile[20:24] == b"XYZ ":
        count = int.from_bytes(tag[8:12], "big")
        return tag[: 12 + 2 * count] if len(tag) >= 12 + 2 * count else None
    values = curve_values(tag, np.linspace(0, 1, 4096))
    if values is None:
        return None
    if profile[20:24] == b"Lab ":  # there the curve leads to L*, not to light
        values = np.where(values > 0.08, ((values + 0.16) / 1.16) ** 3, values / 9.033)
    return _sampled(values)


def curve_values(tag: bytes, at: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Evaluate a `curv` or `para` tag at values in 0..1; None if it is damaged."""
    if tag[:4] == b"curv" and len(tag) >= 12:
        count = int.from_bytes(tag[8:12], "big")
        if len(tag) < 12 + 2 * count:
            return None
        points = np.frombuffer(tag, ">u2", count, 12).astype(np.float64)
        if count == 0:
            return at
        if count == 1:
            return _floats(at ** (points[0] / 256))
        return _floats(np.interp(at, np.linspace(0, 1, count), points / 65535))
    if tag[:4] == b"para" and len(tag) >= 16:
        return _parametric(tag, at)
    return None


def _parametric(tag: bytes, at: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Evaluate a parametric curve (ICC.1:2010, table 65)."""
    kind = int.from_bytes(tag[8:10], "big")
    sizes = (1, 3, 4, 5, 7)
    if kind >= len(sizes) or len(tag) < 12 + 4 * sizes[kind]:
        return None
    numbers = [n / 65536 for n in struct.unpack_from(f">{sizes[kind]}i", tag, 12)]
    g, a, b, c, d, e, f = (numbers + [0.0] * 7)[:7]
    if kind == 0:
        return _floats(at**g)
    power = np.maximum(a * at + b, 0) ** g
    if kind == 1:
        return _floats(np.where(a * at + b >= 0, power, 0.0))
    if kind == 2:
        return _floats(np.where(a * at + b >= 0, power + c, c))
    if kind == 3:
        return _floats(np.where(at >= d, power, c * at))
    return _floats(np.where(at >= d, power + e, c * at + f))


def _floats(values: object) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)


def _srgb_to_linear(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return _floats(np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4))


def _sampled(values: NDArray[np.float64]) -> bytes:
    points = np.round(np.clip(values, 0, 1) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(points)) + points.tobytes()


def _matrix_profile(curve: bytes, name: str) -> bytes:
    """Build a version 2 display profile: sRGB's primaries, one curve for all three channels."""
    words = name.encode("ascii")
    described = b"desc\0\0\0\0" + struct.pack(">I", len(words) + 1) + words + b"\0" + b"\0" * 78
    parts = {
        b"cprt": b"text\0\0\0\0No copyright, use freely\0",
        b"desc": described,
        b"wtpt": _xyz(_D50),
        **{key: _xyz(value) for key, value in _PRIMARIES.items()},
        b"rTRC": curve,
    }
    table, body = b"", b""
    start = _HEADER + 4 + _ENTRY * (len(parts) + 2)
    for key, value in parts.items():
        entry = struct.pack(">II", start + len(body), len(value))
        # The three channels share one curve.
        keys = (b"rTRC", b"gTRC", b"bTRC") if key == b"rTRC" else (key,)
        table += b"".join(k + entry for k in keys)
        body += value + b"\0" * (-len(value) % 4)
    header = bytearray(_HEADER)
    header[0:4] = struct.pack(">I", start + len(body))
    header[8:24] = b"\x02\x40\0\0mntrRGB XYZ "
    # A fixed date: the same photo must always give the same bytes.
    header[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", *(round(v * 65536) for v in _D50))
    return bytes(header) + struct.pack(">I", len(parts) + 2) + table + body


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in value))
