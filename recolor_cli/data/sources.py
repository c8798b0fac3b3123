"""Where photographs come from: folders, tar shards and single files, as one list of items."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from recolor_cli.errors import DataError

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".jp2", ".ppm", ".pgm")
)


@dataclass(frozen=True)
class Item:
    """One image file, or one member of a tar shard.

    Attributes:
        path: the file that holds the bytes.
        name: path below the source, with "/" between parts; what `name_weights` and reports use.
        offset: where the bytes begin in `path`.
        size: how many there are.
    """

    path: Path
    name: str
    offset: int
    size: int

    def read(self) -> bytes:
        """The file's bytes; safe from several threads.

        Raises:
            OSError: It cannot be read.
        """
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def find_items(sources: Sequence[str | Path]) -> list[Item]:
    """Every image below the sources, in a fixed order.

    Args:
        sources: folders and .tar files (to the bottom, hidden parts skipped), image files.

    Raises:
        DataError: A source does not exist, cannot be read, or none holds an image.
    """
    items: list[Item] = []
    for source in sources:
        path = Path(source)
        try:
            if path.is_dir():
                items += _folder_items(path)
            elif path.suffix.lower() == ".tar":
                items += _tar_items(path)
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                items.append(Item(path, path.name, 0, path.stat().st_size))
            else:
                path.stat()
                raise DataError(f"'{path}' is no folder, tar shard or image; pass one of these")
        except FileNotFoundError:
            raise DataError(f"'{path}' does not exist; check the spelling") from None
        except PermissionError as error:
            raise DataError(f"'{error.filename}' may not be read; check its permissions") from None
        except (OSError, tarfile.TarError) as error:
            raise DataError(f"'{path}' cannot be read ({error}); copy it again") from error
    if not items:
        names = ", ".join(f"'{source}'" for source in sources)
        raise DataError(f"no images in {names}; pass a folder of images or tar shards with --data")
    return items


def _folder_items(folder: Path) -> list[Item]:
    def refuse(error: OSError) -> None:
        raise error

    items = []
    for here, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                path = Path(here, name)
                relative = path.relative_to(folder).as_posix()
                items.append(Item(path, relative, 0, path.stat().st_size))
    return items


def _tar_items(path: Path) -> list[Item]:
    with tarfile.open(path, "r:") as shard:  # never compressed: members are read in place
        return [
            Item(path, member.name, member.offset_data, member.size)
            for member in shard
            if member.isfile() and _is_image(PurePosixPath(member.name))
        ]


def _is_image(path: PurePosixPath) -> bool:
    """By its name; hidden ones are no photographs, as the ._scan.jpg of a Mac beside each file."""
    hidden = any(part.startswith(".") and part not in (".", "..") for part in path.parts)
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden
