"""Photographs for the benchmarks: from a tar shard or a folder, cropped to squares."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from recolor_cli.errors import DataError

Item = TypeVar("Item")
Pixels = NDArray[np.uint8]
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}


def photographs(data: Path, limit: int | None = None) -> Iterator[tuple[str, Pixels]]:
    """Yield (name, sRGB pixels (H, W, 3)) in the order of the names.

    Args:
        data: folder, or tar shard.
        limit: at most so many, spread evenly over the names, so that every pool has its share.
    """
    for name, encoded in _files(data, limit):
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise DataError(f"'{name}' in '{data}' is not a readable photograph; remove it")
        yield name, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _files(data: Path, limit: int | None) -> Iterator[tuple[str, bytes]]:
    if data.is_dir():
        paths = sorted(p for p in data.rglob("*") if p.suffix.lower() in _SUFFIXES)
        if not paths:
            raise DataError(f"no photographs in '{data}'; give a folder or a tar of photographs")
        for path in _spread(paths, limit):
            yield path.relative_to(data).as_posix(), path.read_bytes()
        return
    if not data.is_file():
        raise DataError(f"'{data}' does not exist; give a folder or a tar of photographs")
    with tarfile.open(data) as archive:
        members = [m for m in archive if m.isfile() and Path(m.name).suffix.lower() in _SUFFIXES]
        for member in _spread(sorted(members, key=lambda m: m.name), limit):
            content = archive.extractfile(member)
            assert content is not None  # isfile() above
            yield member.name, content.read()


def _spread(items: list[Item], limit: int | None) -> list[Item]:
    if limit is None or limit >= len(items):
        return items
    return [items[number * len(items) // limit] for number in range(limit)]


def centre_square(pixels: Pixels, size: int) -> Pixels:
    """Shorter side scaled to `size` by area, then the centre square (size, size, 3)."""
    height, width = pixels.shape[:2]
    if min(height, width) != size:
        scale = size / min(height, width)
        pixels = cv2.resize(
            pixels,
            (max(size, round(width * scale)), max(size, round(height * scale))),
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
        )
        height, width = pixels.shape[:2]
    top, left = (height - size) // 2, (width - size) // 2
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items, the last one shorter (itertools.batched needs Python 3.12)."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
