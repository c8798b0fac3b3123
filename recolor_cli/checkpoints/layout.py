"""The safetensors layout, byte by byte: what a file holds, or exactly what is wrong with it.

    8 bytes   length N of the header, little endian
    N bytes   JSON: {"__metadata__": {str: str}, tensor: {"dtype", "shape", "data_offsets"}, ...}
    the rest  the tensors' bytes, without gaps

Read here and not by the safetensors library, for two reasons: a damaged file deserves a sentence
that names the byte or tensor, and the library writes metadata in random order, while the same
weights must give the same bytes. Format: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from recolor_cli.errors import WeightsError

MAX_HEADER_BYTES = 16 * 2**20  # ours are below 100 kB; a larger claim is damage or an attack
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}

_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive, which is how torch.save pickles look"),
    (b"\x80", "a Python pickle"),
    (b"version https://git-lfs", "a git-lfs pointer; fetch the file itself with 'git lfs pull'"),
    (b"\x89HDF", "an HDF5 file"),
    (b"<", "a web page"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xff\xd8\xff", "a JPEG photograph"),
    (b"\x89PNG", "a PNG photograph"),
)


@dataclass(frozen=True)
class TensorEntry:
    """Where one tensor lies: bytes start..stop, counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Layout:
    """A checked header: `tensors` in file order, `metadata` as stored, first data byte."""

    tensors: dict[str, TensorEntry]
    metadata: dict[str, str]
    data_start: int


def read_layout(head: bytes | bytearray, size: int, name: str) -> Layout:
    """Parse and check the header.

    Args:
        head: the first bytes of the file, at least the whole header if it is sound.
        size: length of the whole file in bytes.
        name: what to call the file in errors.

    Raises:
        WeightsError: one line that names the wrong byte count, key or tensor.
    """
    _refuse_other_formats(head, size, name)
    length = int.from_bytes(head[:8], "little")
    if length > MAX_HEADER_BYTES:
        raise WeightsError(
            f"'{name}' is not a safetensors file: it claims a header of {length} bytes, and "
            f"{MAX_HEADER_BYTES} is the most; fetch it again or pass another file"
        )
    if 8 + length > size:
        raise WeightsError(
            f"'{name}' is cut off inside its header: byte {size} is the last of {8 + length} "
            "or more; fetch it again"
        )
    header = _parse_json(head[8 : 8 + length], name)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise WeightsError(f"'{name}' is damaged: '__metadata__' does not map text to text")
    tensors = {key: _entry(key, value, name) for key, value in header.items()}
    _check_cover(tensors, size - 8 - length, name)
    return Layout(tensors, metadata, 8 + length)


def write_layout(
    tensors: dict[str, tuple[str, tuple[int, ...], bytes]], metadata: dict[str, str]
) -> bytes:
    """Serialise; the same input gives the same bytes.

    Args:
        tensors: name -> (dtype as in `SIZES`, shape, little-endian bytes).
        metadata: header texts.
    """
    order = sorted(tensors, key=lambda key: (-SIZES[tensors[key][0]], key))  # keeps data aligned
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    position = 0
    for key in order:
        dtype, shape, data = tensors[key]
        header[key] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [position, position + len(data)],
        }
        position += len(data)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *(tensors[key][2] for key in order)])


def _refuse_other_formats(head: bytes | bytearray, size: int, name: str) -> None:
    if size < 8:
        raise WeightsError(
            f"'{name}' is cut off: {size} bytes, and a safetensors file has 8 before its header; "
            "fetch it again"
        )
    # A sound header starts with '{' at byte 8; anything else is recognised by its first bytes.
    if head[8:9] != b"{":
        for signature, kind in _SIGNATURES:
            if head.startswith(signature):
                raise WeightsError(f"'{name}' is not a safetensors file: it is {kind}")


def _parse_json(text: bytes | bytearray, name: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise WeightsError(f"'{name}' is damaged: its header has the key '{twice}' twice")
        return dict(pairs)

    try:
        header = json.loads(text.decode(), object_pairs_hook=unique)
    except UnicodeDecodeError as error:
        raise WeightsError(
            f"'{name}' is not a safetensors file: byte {8 + error.start} of its header is no text"
        ) from None
    except json.JSONDecodeError as error:
        raise WeightsError(
            f"'{name}' is not a safetensors file: its header stops being JSON at byte "
            f"{8 + len(error.doc[: error.pos].encode())}"
        ) from None
    except RecursionError:
        raise WeightsError(f"'{name}' is damaged: its header is nested too deeply") from None
    if not isinstance(header, dict):
        raise WeightsError(f"'{name}' is not a safetensors file: its header is no JSON object")
    return header


def _is_counts(value: object) -> bool:
    """Whether value is a list of whole numbers from 0 to 2**48."""
    return isinstance(value, list) and all(type(n) is int and 0 <= n <= 2**48 for n in value)


def _entry(key: str, value: object, name: str) -> TensorEntry:
    wrong = f"'{name}' is damaged: tensor '{key}'"
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise WeightsError(f"{wrong} is not described by 'dtype', 'shape' and 'data_offsets'")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if dtype not in SIZES:
        raise WeightsError(f"{wrong} has dtype '{dtype}'; known are {', '.join(SIZES)}")
    if not _is_counts(shape) or len(shape) > 8:
        raise WeightsError(f"{wrong} has the shape {shape}")
    if not _is_counts(offsets) or len(offsets) != 2:
        raise WeightsError(f"{wrong} has the data offsets {offsets}")
    needed = math.prod(shape) * SIZES[dtype]
    if offsets[1] - offsets[0] != needed:
        raise WeightsError(
            f"{wrong} of shape {shape} takes {needed} bytes, but its offsets "
            f"{offsets} hold {offsets[1] - offsets[0]}"
        )
    return TensorEntry(dtype, tuple(shape), offsets[0], offsets[1])


def _check_cover(tensors: dict[str, TensorEntry], data_bytes: int, name: str) -> None:
    """The tensors must fill the data exactly: no gap, no overlap, nothing cut, nothing hidden."""
    position = 0
    for key, entry in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != position:
            kind = "leaves a gap before" if entry.start > position else "overlaps the tensor before"
            raise WeightsError(f"'{name}' is damaged: tensor '{key}' {kind} byte {entry.start}")
        position = entry.stop
        if position > data_bytes:
            raise WeightsError(
                f"'{name}' is cut off inside tensor '{key}': it ends at data byte {position}, the "
                f"file at {data_bytes}; fetch it again"
            )
    if position < data_bytes:
        raise WeightsError(
            f"'{name}' has {data_bytes - position} bytes after its last tensor; fetch it again"
        )
