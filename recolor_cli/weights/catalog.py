"""What there is, where it is, and whether it is sound: the answers of `recolor models`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recolor_cli.errors import OutputError, UsageError, WeightsError
from recolor_cli.weights.find import cached_path, find_weights
from recolor_cli.weights.manifest import Entry, Manifest, read_manifest
from recolor_cli.weights.verify import find_difference


@dataclass(frozen=True)
class Finding:
    """One entry on this machine.

    Attributes:
        entry: in `weights.json`.
        path: of its file, if it is here.
        problem: what is wrong with it; None if nothing is, or was not looked for.
    """

    entry: Entry
    path: Path | None
    problem: str | None = None

    @property
    def place(self) -> str:
        """Where the file is, in one word: "package", "cache", "hub", "web", or "broken"."""
        if self.problem:
            return "broken"
        if self.entry.source == "package":
            return "package" if self.path else "missing"
        if self.path:
            return "cache"
        return "hub" if self.entry.source == "hub" else "web"

    def to_json(self) -> dict[str, Any]:
        """Everything about it as plain JSON values."""
        path = str(self.path) if self.path else None
        return {
            "name": self.entry.name,
            "where": self.place,
            "path": path,
            "problem": self.problem,
            **self.entry.to_json(),
        }


def look_up(entry: Entry, *, verify: bool = False) -> Finding:
    """Where an entry's file is.

    Args:
        entry: in `weights.json`.
        verify: hash it, whatever was checked before.
    """
    try:
        path = cached_path(entry)
        problem = None
        if path is not None and verify:
            problem = find_difference(path, entry.sha256, entry.bytes, remember=False)
    except WeightsError as error:  # a link out of the cache, or a file that cannot be read
        return Finding(entry, None, str(error))
    return Finding(entry, path, problem)


def look_up_all(
    names: list[str] | None = None, *, verify: bool = False, manifest: Manifest | None = None
) -> list[Finding]:
    """The same for the named entries, or all.

    Raises:
        WeightsError: there is no entry of that name.
    """
    manifest = manifest or read_manifest()
    entries = [manifest.require(name) for name in names or manifest.entries]
    return [look_up(entry, verify=verify) for entry in entries]


def remove(entry: Entry) -> int:
    """Remove an entry's file from the cache; how many bytes that freed.

    Raises:
        UsageError: it is not in the cache.
        OutputError: it cannot be removed.
    """
    if entry.source == "package":
        raise UsageError(f"'{entry.name}' is part of recolor itself; only downloads are removed")
    from recolor_cli.weights.download import stored_path

    path = cached_path(entry)
    if path is None:
        raise UsageError(f"'{entry.name}' is not in the cache; nothing to remove")
    size = path.stat().st_size
    try:
        if path == stored_path(entry):
            path.unlink()
        else:
            from recolor_cli.weights.hub import remove_cached

            remove_cached(path)
    except OSError as error:
        raise OutputError(f"cannot remove '{path}': {error.strerror}") from None
    return size


def describe(name_or_path: str) -> dict[str, Any]:
    """Everything that an entry, or the header of a file of ours, says.

    Raises:
        WeightsError: no such weights, or the file is damaged.
    """
    manifest = read_manifest()
    entry = manifest.get(name_or_path)
    if entry is not None or name_or_path == "default":
        return look_up(manifest.require(name_or_path)).to_json()
    found = find_weights(name_or_path, manifest=manifest)
    if found.entry is not None:
        return Finding(found.entry, found.path).to_json()
    from recolor_cli.checkpoints import load_weights

    model = load_weights(found.path, name=found.name)
    return {
        "name": model.name,
        "where": "file",
        "path": str(found.path),
        "problem": None,
        "sha256": model.sha256,
        "bytes": found.path.stat().st_size,
        "parameters": sum(p.numel() for p in model.network.parameters()),
        **model.card.to_config(),
    }
