"""`weights.json`: the one list of weights, and the rules that every entry must keep."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from recolor_cli.color.decoding import LIMITS, wrong_decoding
from recolor_cli.errors import WeightsError

MANIFEST_VARIABLE = "RECOLOR_WEIGHTS_JSON"  # another list instead of ours
PACKAGE = Path(__file__).parents[1]
SOURCES = ("package", "hub", "url")
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+([.-][a-z0-9]+)*")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_HEX40 = re.compile(r"[0-9a-f]{40}")
_HEX64 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One set of weights.

    Attributes:
        name: `network.tag`.
        source: "package" (shipped with recolor), "hub" (Hugging Face Hub) or "url" (a web server).
        repo_id: owner/name, for "hub".
        revision: the commit, 40 hex digits, for "hub".
        url: https address of the file, for "url".
        file: path inside the repository or inside `recolor_cli/pretrained`; for "url" the name
            that the file gets here.
        sha256: of the file; what it must be, whoever serves it.
        bytes: its length; None where the publisher's figure is not known, with a note saying so.
        network: name in `models.MODELS` or `models.foreign.FOREIGN`.
        arguments: of the network's class.
        color: {"space": ..., "temperature": ...}, see `color.spaces`.
        input_size: long side in pixels that the network sees by default.
        parameters: how many numbers the network has.
        license: of the weights.
        trained_on: the photographs.
        recipe: the training recipe, or the paper.
        metrics: figures measured by this project; empty for weights that were not measured here.
        note: what a user should know, in one or two sentences.
    """

    name: str
    source: str
    repo_id: str | None = None
    revision: str | None = None
    url: str | None = None
    file: str
    sha256: str
    bytes: int | None
    network: str
    arguments: Mapping[str, Any]
    color: Mapping[str, Any]
    input_size: int
    parameters: int
    license: str
    trained_on: str
    recipe: str
    metrics: Mapping[str, float]
    note: str

    @property
    def foreign(self) -> bool:
        """Whether the file is another project's checkpoint and not a safetensors file of ours."""
        return not self.file.endswith(".safetensors")

    def to_json(self) -> dict[str, Any]:
        """The entry as it stands in `weights.json`, without its name."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "name"}
        return {key: v for key, v in values.items() if v is not None or key == "bytes"}


@dataclass(frozen=True)
class Manifest:
    """All entries by name, and which of them is the default."""

    default: str | None
    entries: Mapping[str, Entry]

    def get(self, name: str) -> Entry | None:
        """The entry of that name; "default"; or a network's name if it has exactly one entry."""
        if name == "default":
            return self.entries[self.default] if self.default else None
        if name in self.entries:
            return self.entries[name]
        siblings = [entry for key, entry in self.entries.items() if key.split(".")[0] == name]
        return siblings[0] if len(siblings) == 1 else None

    def require(self, name: str) -> Entry:
        """Like `get`.

        Raises:
            WeightsError: there is no such entry; names that look like it are given.
        """
        entry = self.get(name)
        if entry is not None:
            return entry
        if name == "default":
            raise WeightsError(
                "weights.json names no default weights; pass --model, "
                "'recolor models list' shows what there is"
            )
        siblings = sorted(key for key in self.entries if key.split(".")[0] == name)
        siblings = siblings or sorted(key for key in self.entries if key.startswith(name))[:3]
        close = siblings or get_close_matches(name, self.entries, n=3)
        hint = f"did you mean {' or '.join(repr(key) for key in close)}? " if close else ""
        raise WeightsError(f"no weights named '{name}'; {hint}'recolor models list' shows all")

    def by_sha256(self, sha256: str) -> Entry | None:
        """The entry whose file has that hash."""
        return next((e for e in self.entries.values() if e.sha256 == sha256), None)


def manifest_path() -> Path:
    """Where the list is: beside the package's modules in a wheel, at the root of a clone.

    Raises:
        WeightsError: it is nowhere.
    """
    chosen = os.environ.get(MANIFEST_VARIABLE)
    places = (
        [Path(chosen)] if chosen else [PACKAGE / "weights.json", PACKAGE.parent / "weights.json"]
    )
    for path in places:
        if path.is_file():
            return path
    advice = f"correct {MANIFEST_VARIABLE}" if chosen else "install again"
    raise WeightsError(f"the list of weights is missing: no file '{places[-1]}'; {advice}")


def read_manifest(path: Path | None = None) -> Manifest:
    """Read and check the list.

    Args:
        path: another file than the one that `manifest_path` finds.

    Raises:
        WeightsError: the first thing that is wrong, with entry, field and value.
    """
    path = path or manifest_path()
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"cannot read the list of weights '{path}': {error}") from None
    try:
        return parse_manifest(content)
    except WeightsError as error:
        raise WeightsError(f"the list of weights '{path}' is wrong: {error}") from None


def parse_manifest(content: object) -> Manifest:
    """Check the list's content.

    Raises:
        WeightsError: the first thing that is wrong, with entry, field and value.
    """
    if not isinstance(content, dict) or set(content) != {"default", "weights"}:
        raise WeightsError("it must have exactly the keys 'default' and 'weights'")
    if not isinstance(content["weights"], dict):
        raise WeightsError("'weights' must map names to entries")
    entries = {name: parse_entry(name, value) for name, value in content["weights"].items()}
    default = content["default"]
    if default is not None and default not in entries:
        raise WeightsError(f"'default' is '{default}', which has no entry")
    return Manifest(default, entries)


def parse_entry(name: str, value: object) -> Entry:
    """Check one entry.

    Raises:
        WeightsError: the first thing that is wrong, with entry, field and value.
    """
    if not _NAME.fullmatch(name):
        raise WeightsError(f"'{name}' is no name for weights; it must look like 'network.tag'")
    if not isinstance(value, dict):
        raise WeightsError(f"'{name}' must be a table")
    if value.get("source") not in SOURCES:
        raise WeightsError(
            f"'{name}': source is '{value.get('source')}'; it must be one of {', '.join(SOURCES)}"
        )
    wanted = {f.name for f in fields(Entry)} - {"name", "repo_id", "revision", "url"}
    wanted |= {"hub": {"repo_id", "revision"}, "url": {"url"}, "package": set()}[value["source"]]
    for keys, kind in (
        (wanted - set(value), "lacks the field"),
        (set(value) - wanted, "has no use for the field"),
    ):
        if keys:
            raise WeightsError(f"'{name}' {kind} '{min(keys)}'")
    for key, item in value.items():
        if not _RULES[key][0](item):
            raise WeightsError(f"'{name}': {key} is {item!r}; it must be {_RULES[key][1]}")
    if value["source"] == "package" and not value["file"].endswith(".safetensors"):
        raise WeightsError(f"'{name}': only safetensors files are shipped, not '{value['file']}'")
    if value["source"] == "url" and "/" in value["file"]:
        raise WeightsError(f"'{name}': file is '{value['file']}'; it must be a plain file name")
    if value["bytes"] is None and not value["note"]:
        raise WeightsError(f"'{name}': bytes is null, and note must say why")
    return Entry(name=name, **value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands in it twice")
    return table


def is_safe_file(file: object) -> bool:
    """Whether a path stays inside its repository on every system: relative, plain, no '..'."""
    if not isinstance(file, str) or not 0 < len(file) <= 200 or not file.endswith(SUFFIXES):
        return False
    if not re.fullmatch(
        r"[A-Za-z0-9_./+-]+", file
    ):  # also no backslash, colon or control character
        return False
    parts = file.split("/")
    return not PurePosixPath(file).is_absolute() and not any(
        part in ("", ".", "..") for part in parts
    )


def is_repo_id(value: object) -> bool:
    """Whether value looks like owner/name on the Hub."""
    return isinstance(value, str) and bool(_REPO.fullmatch(value)) and ".." not in value


def is_commit(value: object) -> bool:
    """Whether value is a full commit: 40 lower-case hex digits."""
    return isinstance(value, str) and bool(_HEX40.fullmatch(value))


def _is_https(value: object) -> bool:
    if not isinstance(value, str):
        return False
    parts = urlsplit(value)
    return parts.scheme == "https" and bool(parts.hostname) and parts.username is None


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _is_figures(value: object) -> bool:
    return isinstance(value, dict) and all(
        type(v) in (int, float) and math.isfinite(v) for v in value.values()
    )


def _is_color(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("space"), str)
        and set(value) <= {"space", *LIMITS}
        and wrong_decoding(value) is None
    )


def _is_line(value: object) -> bool:
    return isinstance(value, str) and value.strip() == value and "\n" not in value


_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "source": (lambda v: v in SOURCES, "a known source"),
    "repo_id": (is_repo_id, "owner/name"),
    "revision": (is_commit, "a commit of 40 lower-case hex digits"),
    "url": (_is_https, "an https address without a password"),
    "file": (is_safe_file, f"a relative path without '..', ending in {', '.join(SUFFIXES)}"),
    "sha256": (
        lambda v: isinstance(v, str) and bool(_HEX64.fullmatch(v)),
        "64 lower-case hex digits",
    ),
    "bytes": (lambda v: v is None or (type(v) is int and v > 0), "a whole number above 0, or null"),
    "network": (lambda v: _is_line(v) and v != "", "the name of a network"),
    "arguments": (_is_table, "a table"),
    "color": (_is_color, f"{{'space': name}} with at most, above 0: {', '.join(LIMITS)}"),
    "input_size": (lambda v: type(v) is int and 16 <= v <= 4096, "a whole number, 16..4096"),
    "parameters": (lambda v: type(v) is int and v > 0, "a whole number above 0"),
    "license": (lambda v: _is_line(v) and v != "", "one line of text"),
    "trained_on": (lambda v: _is_line(v) and v != "", "one line of text"),
    "recipe": (lambda v: _is_line(v) and v != "", "one line of text"),
    "metrics": (_is_figures, "a table of finite numbers"),
    "note": (_is_line, "one line of text"),
}
