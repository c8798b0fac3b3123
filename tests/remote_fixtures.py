"""What the tests of addresses share: photographs, and a store in memory that has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import photo_factory as factory
from photo_factory import put


def write_photos(folder: Path) -> Path:
    """31 photographs in three folders, and a file that is none."""
    for n in range(30):
        put(folder, f"{n % 3}/{n}.jpg", factory.jpeg(factory.gray_pixels(30 + n, 40, seed=n)))
    put(folder, "0/16.png", factory.png(factory.gray_pixels(30, 20, seed=5)))
    put(folder, "notes.txt", b"no photograph")
    return folder


@contextmanager
def store_of(photos: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """A store with the photographs under memory://archive/in."""
    system = fsspec.filesystem("memory")
    system.put(str(photos), "/archive/in", recursive=True)
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def below(system: fsspec.AbstractFileSystem, folder: str) -> dict[str, bytes]:
    found = system.find(folder)
    return {
        name.removeprefix(folder + "/"): system.cat_file(name) for name in found if "/." not in name
    }
