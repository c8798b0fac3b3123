"""A run's weights -> model.safetensors, config.json and a model card, in a folder or on the Hub."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recolor_cli.checkpoints import ColorModel, load_weights
from recolor_cli.checkpoints.files import relabel, write_file
from recolor_cli.errors import UsageError, WeightsError
from recolor_cli.weights.find import find_weights
from recolor_cli.weights.manifest import is_commit, is_repo_id, parse_entry

FILE = "model.safetensors"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Publication:
    """What was written or uploaded.

    Attributes:
        name: of the entry, `network.tag`.
        entry: its value for `weights.json`; `revision` is None as long as nothing is on the Hub.
        folder: where the files are, if they were kept.
    """

    name: str
    entry: dict[str, Any]
    folder: Path | None


def publish(
    run: str | Path,
    *,
    name: str | None = None,
    repo_id: str | None = None,
    export: Path | None = None,
    private: bool = False,
    note: str = "",
    licence: str | None = None,
    trained_on: str | None = None,
    progress: Progress | None = None,
) -> Publication:
    """Write the files that a stranger needs, and upload them unless `export` is given.

    Terms that are given here are written into the published file; the run's own stays as it is.

    Args:
        run: a run folder or weights file of ours.
        name: of the entry, `network.tag`; by default network and run.
        repo_id: owner/name on the Hub.
        export: a folder to write to; no network is used then.
        private: create the repository as a private one.
        note: one line for users.
        licence: of the weights, SPDX name or a sentence; None is what the file says.
        trained_on: the photographs, in words; None is what the file says.
        progress: receives lines of text.

    Raises:
        UsageError: neither a repository nor a folder, a name that cannot be one, or a folder in
            which the run's own file would be written over.
        WeightsError: the weights are damaged, say nothing about licence or training data, or the
            Hub refuses them.
        OutputError: the folder cannot be written.
    """
    if repo_id is None and export is None:
        raise UsageError("nowhere to publish to; pass --repo owner/name or --export DIR")
    if repo_id is not None and not is_repo_id(repo_id):
        raise UsageError(f"'{repo_id}' is no repository; it must look like 'owner/name'")
    found = find_weights(run, offline=True)
    if found.entry is not None and found.entry.foreign:
        raise UsageError(f"'{found.name}' are another project's weights; publish your own runs")
    model = load_weights(found.path, name=found.name)
    data = found.path.read_bytes()
    card = replace(
        model.card,
        license=model.card.license if licence is None else licence,
        trained_on=model.card.trained_on if trained_on is None else trained_on,
    )
    changed = card != model.card
    if changed:
        data = relabel(data, card, str(found.path))
        model = replace(model, card=card, sha256=hashlib.sha256(data).hexdigest())
    for key, option, example in (
        ("license", "--license", "MIT"),
        ("trained_on", "--trained-on", "'4,000 photographs of the city archive, CC BY 4.0'"),
    ):
        if not getattr(model.card, key):
            raise WeightsError(
                f"'{found.path}' does not say its {key}, and weights are published with it; pass "
                f"{option}, such as {option} {example}"
            )
    if export is not None and changed and _is_same(export / FILE, found.path):
        raise UsageError(
            f"'{found.path}' itself would be written over; choose another folder for --export"
        )
    name = name or f"{_slug(model.card.network)}.{_slug(model.name)}"
    entry = _entry(model, len(data), name, repo_id, note)
    # A commit is put in later; everything else is checked as weights.json is.
    parse_entry(name, entry | ({"revision": "0" * 40} if "revision" in entry else {}))
    if export is not None:
        _write_files(export, data, model, name, entry)
        return Publication(name, entry, export)
    assert repo_id is not None
    with tempfile.TemporaryDirectory() as folder:
        _write_files(Path(folder), data, model, name, entry)
        entry["revision"] = _upload(Path(folder), repo_id, name, private, progress)
    return Publication(name, entry, None)


def model_card(model: ColorModel, name: str, entry: Mapping[str, Any]) -> str:
    """README.md: front matter for the Hub, then what people ask of weights."""
    card = model.card
    repo_id = entry.get("repo_id")
    used = f"hf://{repo_id}/{FILE}@main" if repo_id else FILE
    figures = "".join(f"| {key} | {value:g} |\n" for key, value in sorted(card.metrics.items()))
    measured = f"| figure | value |\n| --- | --- |\n{figures}" if figures else "None yet.\n"
    return f"""---
license: {_spdx(card.license)}
library_name: recolor
pipeline_tag: image-to-image
tags:
- image-colorization
- {card.network}
---

# {name}

Colours for black-and-white photographs, with `recolor`:

    recolor colorize photos/ -o colored/ --model {used}

The colours are plausible guesses; nothing in a grey photograph says what they were.

| | |
| --- | --- |
| network | `{card.network}`, {entry["parameters"]:,} parameters |
| arguments | `{json.dumps(dict(card.arguments), sort_keys=True)}` |
| colour space | `{json.dumps(dict(card.color), sort_keys=True)}` |
| input | long side {card.input_size} pixels, multiples of {model.stride} |
| trained on | {card.trained_on} |
| recipe | {card.recipe or "none"} |
| optimiser steps | {card.step:,} |
| made | {card.created}, recolor {card.code} |
| licence | {card.license} |
| sha256 | `{model.sha256}` |

## Measured

{measured}
## Known failures

{entry["note"] or "Not written down yet: look at pictures of your own kind before you rely on it."}
"""


def _entry(
    model: ColorModel, size: int, name: str, repo_id: str | None, note: str
) -> dict[str, Any]:
    card = model.card
    place: dict[str, Any] = {"source": "package", "file": f"{name}.safetensors"}
    if repo_id is not None:
        place = {"source": "hub", "repo_id": repo_id, "revision": None, "file": FILE}
    return place | {
        "sha256": model.sha256,
        "bytes": size,
        "network": card.network,
        "arguments": dict(card.arguments),
        "color": dict(card.color),
        "input_size": card.input_size,
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "license": card.license,
        "trained_on": card.trained_on,
        "recipe": card.recipe or "none",
        "metrics": dict(card.metrics),
        "note": note,
    }


def _write_files(
    folder: Path, data: bytes, model: ColorModel, name: str, entry: Mapping[str, Any]
) -> None:
    config = {"name": name, **model.card.to_config(), "sha256": model.sha256}
    write_file(folder / FILE, data)
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    write_file(folder / "config.json", text.encode())
    write_file(folder / "README.md", model_card(model, name, entry).encode())


def _is_same(target: Path, weights: Path) -> bool:
    return target.exists() and target.samefile(weights)


def _upload(folder: Path, repo_id: str, name: str, private: bool, progress: Progress | None) -> str:
    """Create the repository if need be, add the files in one commit; its 40 hex digits."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    from recolor_cli.weights.hub import NETWORK_ERRORS

    if constants.HF_HUB_OFFLINE:
        raise UsageError("publishing needs a network, and HF_HUB_OFFLINE is set; use --export DIR")
    if progress:
        progress(f"uploading '{name}' to {constants.ENDPOINT}/{repo_id}")
    try:
        api = HfApi()
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=[FILE, "config.json", "README.md"],
            commit_message=f"Publish {name}",
        ).oid
    except HfHubHTTPError as error:
        status = error.response.status_code
        hint = "set HF_TOKEN to a token that may write" if status in (401, 403) else "try later"
        raise WeightsError(f"the Hub answers {status} for '{repo_id}'; {hint}") from None
    except NETWORK_ERRORS as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise WeightsError(
            f"cannot upload to '{repo_id}' ({reason}); --export DIR writes the files here"
        ) from None
    if not is_commit(commit):
        raise WeightsError(f"the Hub does not name the commit of '{repo_id}'; look at the upload")
    return commit


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "weights"


def _spdx(license_name: str) -> str:
    """The Hub's spelling of a licence; it knows lower-case SPDX names and 'other'."""
    slug = license_name.lower()
    return slug if re.fullmatch(r"[a-z0-9.-]+", slug) else "other"
