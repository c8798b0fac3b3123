"""find_weights: a name, path, run folder or hf:// address -> a verified file on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recolor_cli.errors import WeightsError
from recolor_cli.ranges import misplaced
from recolor_cli.weights.manifest import (
    PACKAGE,
    Entry,
    Manifest,
    is_repo_id,
    is_safe_file,
    read_manifest,
)
from recolor_cli.weights.verify import find_difference, hash_file

Progress = Callable[[str], None]  # receives one line of text for people


@dataclass(frozen=True)
class WeightsFile:
    """A file that is there and is what it should be.

    Attributes:
        path: on this machine.
        sha256: of its bytes.
        name: of the weights.
        entry: its entry in `weights.json`, if it has one.
    """

    path: Path
    sha256: str
    name: str
    entry: Entry | None


def find_weights(
    name_or_path: str | os.PathLike[str] = "default",
    *,
    offline: bool = False,
    progress: Progress | None = None,
    manifest: Manifest | None = None,
) -> WeightsFile:
    """Find weights, download them if they have to be, and verify them.

    Args:
        name_or_path: a name in `weights.json` or "default"; a safetensors file; a run folder;
            another project's checkpoint that an entry pins; or hf://owner/repo/file@revision.
        offline: make no request, whatever happens.
        progress: receives a line before a download, and warnings.
        manifest: another list than the installed one.

    Raises:
        WeightsError: the weights are missing, or are not what they should be.
    """
    manifest = manifest or read_manifest()
    text = os.fspath(name_or_path)
    if wrong := misplaced(text, taken="hf"):
        raise WeightsError(f"the weights {text!r} {wrong}")
    if text.startswith("hf://"):
        return _find_on_hub(text, manifest, offline=offline, progress=progress)
    if manifest.get(text) is not None or text == "default":
        return _find_entry(manifest.require(text), offline=offline, progress=progress)
    path = Path(os.path.expanduser(text))  # as it is where there is no such user
    if path.is_dir():
        path = _find_in_folder(path)
    if os.path.isfile(path):
        return _check_local(path, manifest)
    if len(path.parts) > 1 or path.suffix in (".safetensors", ".pth", ".pt", ".bin", ".ckpt"):
        raise WeightsError(
            f"no weights file or run folder '{text}'; 'recolor models list' shows the names "
            "that can be used instead"
        )
    manifest.require(text)
    raise AssertionError("unreachable: require raises")


def cached_path(entry: Entry) -> Path | None:
    """Where an entry's file is on this machine, unverified; None if it is not here."""
    if entry.source == "package":
        path = PACKAGE / "pretrained" / entry.file
        return path if os.path.isfile(path) else None
    from recolor_cli.weights.download import stored_path

    path = stored_path(entry)
    if os.path.isfile(path) or entry.source == "url":
        return path if os.path.isfile(path) else None
    from recolor_cli.weights.hub import find_cached

    assert entry.repo_id is not None
    assert entry.revision is not None
    return find_cached(entry.repo_id, entry.revision, entry.file)


def _find_entry(entry: Entry, *, offline: bool, progress: Progress | None) -> WeightsFile:
    if entry.source == "package":
        path = PACKAGE / "pretrained" / entry.file
        if not os.path.isfile(path):
            raise WeightsError(
                f"the weights '{entry.name}' are shipped with recolor, but '{path}' is missing; "
                "install recolor again"
            )
        if difference := find_difference(path, entry.sha256, entry.bytes):
            raise WeightsError(
                f"the weights '{entry.name}' at '{path}' are damaged: {difference}; "
                "install recolor again"
            )
    elif entry.source == "url":
        from recolor_cli.weights.download import fetch_url

        path = fetch_url(entry, offline=offline, progress=progress)
    else:
        from recolor_cli.weights.download import check_stored, stored_path

        path = stored_path(entry)  # a file that was brought by hand comes first
        if os.path.isfile(path):
            check_stored(entry, path)
        else:
            from recolor_cli.weights.hub import fetch_pinned

            path = fetch_pinned(entry, offline=offline, progress=progress)
    return WeightsFile(path, entry.sha256, entry.name, entry)


def _find_on_hub(
    address: str, manifest: Manifest, *, offline: bool, progress: Progress | None
) -> WeightsFile:
    """hf://owner/repo/path/to/file@revision; the revision is a commit, or a branch or tag."""
    from recolor_cli.weights.hub import fetch_unpinned

    location, _, revision = address.removeprefix("hf://").partition("@")
    parts = location.split("/")
    repo_id, file = "/".join(parts[:2]), "/".join(parts[2:])
    sound = re.fullmatch(r"[\w][\w./-]{0,120}", revision or "main") and ".." not in revision
    if not is_repo_id(repo_id) or not is_safe_file(file) or not sound:
        raise WeightsError(
            f"'{address}' is no address of weights; it must look like "
            "'hf://owner/repo/model.safetensors@revision'"
        )
    path = fetch_unpinned(repo_id, revision or "main", file, offline=offline, progress=progress)
    return _check_local(path, manifest, name=f"{repo_id}/{file}")


def _find_in_folder(folder: Path) -> Path:
    """The weights of a run: the best so far, else the last, else those of a published folder."""
    for place in ("best", "last", "."):
        path = folder / place / "model.safetensors"
        if os.path.isfile(path):
            return path
    raise WeightsError(
        f"the folder '{folder}' holds no weights: no model.safetensors in it, nor in best/ or last/"
    )


def _check_local(path: Path, manifest: Manifest, name: str | None = None) -> WeightsFile:
    """A file that the user points at: ours explain themselves, others must be pinned."""
    sha256 = hash_file(path)
    entry = manifest.by_sha256(sha256)
    if path.suffix != ".safetensors" and entry is None:
        raise WeightsError(
            f"'{path}' is not a safetensors file, and its sha256 {sha256} is pinned by no entry of "
            "weights.json; only pinned checkpoints of other projects are opened"
        )
    if name is None:
        name = entry.name if entry else _name_of(path)
    return WeightsFile(path, sha256, name, entry)


def _name_of(path: Path) -> str:
    if path.name != "model.safetensors":
        return path.stem
    folder = path.absolute().parent
    return folder.parent.name if folder.name in ("best", "last") else folder.name
