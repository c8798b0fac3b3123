"""Photographs that lie on no disk of this machine: s3://bucket/folder and whatever fsspec knows.

A `RemotePath` is a path whose methods go to fsspec. Functions of `os` refuse it, loudly, so that no
code takes the address for a name on the local disk.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PosixPath, PurePosixPath
from typing import IO, Any, NoReturn

from recolor_cli.errors import MissingExtraError, RecolorError, StorageError, UsageError
from recolor_cli.ranges import address_kind

# There an object is put whole or not at all, and folders are only parts of names.
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"}
ROOTED = {"local"}  # what follows the two slashes is a path from the root, not a host
PACKAGES = {  # what fsspec wants for the stores that people have
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs",
}  # fmt: skip
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")

_listed: dict[str, dict[str, dict[str, Any]]] = {}  # addresses of folders -> what they hold


def as_path(text: str | os.PathLike[str]) -> Path:
    """A path for what was typed: an address becomes a `RemotePath`, file:// a path of this machine.

    Raises:
        UsageError: The address names no place.
        MissingExtraError: The package for this kind of storage is not installed.
    """
    if isinstance(text, Path):
        return text
    text = os.fspath(text)
    kind = address_kind(text)
    if not kind:
        return Path(text)
    _, _, rest = text.partition("://")
    if kind == "file":
        return Path("/" + rest.lstrip("/"))
    if os.name == "nt":
        raise UsageError(f"addresses such as {text!r} do not work on Windows; use a folder")
    if not rest.strip("/") or (rest.startswith("/") and kind not in ROOTED):
        raise UsageError(f"{text!r} names no place; type {kind}://BUCKET/FOLDER")
    path = RemotePath(text)
    path.system()
    return path


def is_remote(path: object) -> bool:
    """Whether a path is an address."""
    return isinstance(path, RemotePath)


def absolute(path: Path) -> Path:
    """The same for a process that was started in another folder."""
    return path if is_remote(path) else Path(os.path.abspath(path))


def names_in(folder: Path) -> list[str]:
    """What lies directly in a folder, here or at an address.

    Raises:
        OSError: It cannot be listed.
    """
    return folder.names() if isinstance(folder, RemotePath) else os.listdir(folder)


class RemotePath(PosixPath):
    """An address, such as s3://bucket/scans/1.jpg.

    Raises:
        FileNotFoundError: From all methods that look at the storage: it is not there.
        StorageError: From the same: not allowed, no answer, whatever else a package has to say.
    """

    def __str__(self) -> str:
        """The address."""
        kind, _, rest = super().__str__().partition(":")
        return f"{kind}://{rest if kind in ROOTED else rest[1:]}"

    def __fspath__(self) -> NoReturn:
        """Refuse to be a name on a local disk."""
        raise TypeError(f"{str(self)!r} lies on no local disk")

    def relative_to(self, *other: str | os.PathLike[str]) -> PurePosixPath:  # type: ignore[override]
        """What follows `other`: part of an address, and none itself."""
        return PurePosixPath(*super().relative_to(*other).parts)

    @property
    def kind(self) -> str:
        """What stands before the colon."""
        return self.parts[0].removesuffix(":")

    def system(self) -> Any:
        """The file system of fsspec, which keeps connections from call to call."""
        try:
            from fsspec.core import url_to_fs

            # Not of the whole address: in a name, "::" is no chain of file systems.
            return url_to_fs(str(RemotePath(*self.parts[:2])))[0]
        except ImportError as error:
            wanted = ["fsspec"] if (error.name or "").startswith("fsspec") else []
            wanted += [PACKAGES[self.kind]] if self.kind in PACKAGES else []
            install = f"pip install {' '.join(wanted)}" if wanted else "install it with pip"
            raise MissingExtraError(
                f"{self.kind}:// needs a package: {str(error).lower()}; {install}"
            ) from error
        except Exception as error:  # keys are looked for here, or a server is called already
            if isinstance(error, ValueError) and "Protocol not known" in str(error):
                text = f"no storage {self.kind}://; fsspec names those that there are"
                raise UsageError(text) from error
            raise StorageError(None, _first_line(error), str(self)) from error

    def _ask(self, method: str, *args: Any, **more: Any) -> Any:
        """Call a method of the file system; packages raise errors of all kinds."""
        try:
            return getattr(self.system(), method)(*args, **more)
        except (FileNotFoundError, RecolorError):
            raise
        except Exception as error:
            number = error.errno if isinstance(error, OSError) else None
            raise StorageError(number, _first_line(error), str(self)) from error

    def real(self) -> Path:
        """The one name of what several addresses name: local:// is a disk's, s3a:// is s3://."""
        _, _, rest = str(self).partition("://")
        if self.kind in ROOTED:
            return Path(os.path.realpath(rest))
        return RemotePath(f"{_first_kind(RemotePath(*self.parts[:2]))}://{rest}")

    def info(self) -> dict[str, Any]:
        """What the storage says about it: "type", "size" and more."""
        text = str(self)
        for folder, entries in _listed.items():
            if text.startswith(folder + "/"):
                if text not in entries:
                    raise FileNotFoundError(2, "no such object", text)
                return entries[text]
        return self._ask("info", text)  # type: ignore[no-any-return]

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:  # noqa: ARG002
        """Its size, and its time where the storage tells it."""
        info = self.info()
        kind = stat.S_IFDIR if info["type"] == "directory" else stat.S_IFREG
        when = next((info[name] for name in _TIMES if info.get(name)), 0)
        if isinstance(when, str):
            when = datetime.fromisoformat(when)
        if isinstance(when, datetime):
            when = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        ns = round(when * 1_000_000) * 1000  # storages tell no more than microseconds
        seconds = ns // 1_000_000_000
        size = int(info.get("size") or 0)
        fields = (kind | 0o644, 0, 0, 1, 0, 0, size, seconds, seconds, seconds)
        return os.stat_result(fields, {"st_mtime_ns": ns})

    def exists(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002
        """Whether there is such an object or folder."""
        try:
            self.info()
        except FileNotFoundError:
            return False
        return True

    def is_file(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002
        """Whether it is an object."""
        return self.exists() and self.info()["type"] == "file"

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:  # noqa: ARG002
        """Whether it is a folder, or the beginning of objects' names."""
        return self.exists() and self.info()["type"] == "directory"

    def open(  # type: ignore[override]
        self,
        mode: str = "r",
        buffering: int = -1,  # noqa: ARG002
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Open it for reading."""
        if mode not in ("r", "rb"):
            raise ValueError("an object is written whole, by `put`")
        raw = io.BytesIO(self.read_bytes())
        return raw if mode == "rb" else io.TextIOWrapper(raw, encoding, errors, newline)

    def read_bytes(self) -> bytes:
        """All of it."""
        return self._ask("cat_file", str(self))  # type: ignore[no-any-return]

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove it."""
        try:
            self._ask("rm_file", str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def put(self, data: bytes, temporary: str) -> None:
        """Write all of it; what was there is replaced in one step.

        Args:
            data: All of it.
            temporary: A name in the same folder, where the storage shows files that grow.
        """
        if not self.shows_growing_files:
            self._ask("pipe_file", str(self), data)
            return
        self._ask("makedirs", str(self.parent), exist_ok=True)
        part = self.with_name(temporary)
        try:
            self._ask("pipe_file", str(part), data)
            self._ask("mv", str(part), str(self))
        except BaseException:
            with suppress(OSError):  # the connection may be what failed; a later run removes it
                part.unlink()
            raise

    @property
    def shows_growing_files(self) -> bool:
        """Whether a file is there before all of it is."""
        return self.kind not in OBJECT_STORES

    def names(self) -> list[str]:
        """What lies directly in this folder now, whatever a package remembers of it."""
        try:
            self._ask("invalidate_cache", self.system()._strip_protocol(str(self)))
            found = self._ask("ls", str(self), detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in found)

    def below(self) -> dict[str, dict[str, Any]]:
        """All objects below this folder in one listing: address -> what is said about it."""
        try:
            found = self._ask("find", str(self), detail=True)
        except FileNotFoundError:
            return {}
        inside = len(self.system()._strip_protocol(str(self)).rstrip("/")) + 1
        kept = ("type", "size", *_TIMES)  # of a million objects the rest would fill the memory
        return {
            f"{self}/{name[inside:]}": {key: info[key] for key in kept if key in info}
            for name, info in found.items()
            if not (name.endswith("/") and not info.get("size"))  # stands for an empty folder
        }

    def matching(self) -> list[str]:
        """The addresses that this one, as a pattern, stands for."""
        found = self._ask("glob", str(self))
        rest = (n if self.kind in ROOTED else n.lstrip("/") for n in found)
        return sorted(f"{self.kind}://{name}" for name in rest)


@contextmanager
def listed(folders: list[Path]) -> Iterator[None]:
    """List folders once; meanwhile questions about what they hold ask the storage no more."""
    try:
        for folder in folders:
            if isinstance(folder, RemotePath):
                _listed[str(folder)] = folder.below()
        yield
    finally:
        _listed.clear()


@cache
def _first_kind(place: RemotePath) -> str:
    kinds = place.system().protocol
    return str(kinds if isinstance(kinds, str) else kinds[0])


def _first_line(error: Exception) -> str:
    if isinstance(error, NotImplementedError):
        return "this kind of storage cannot do that"
    text = (getattr(error, "strerror", None) or str(error)).strip().partition("\n")[0]
    return text[:1].lower() + text[1:].rstrip(".") or type(error).__name__
