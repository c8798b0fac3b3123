"""Other projects' checkpoints, opened the safe way: pinned, `weights_only`, named types, strict.

A `.pth` is a Python pickle, which can run anything when it is opened. So a file is opened only if
its sha256 is pinned in `weights.json`, only by torch's restricted reader, only with the types named
here beyond those that tensors need; there is no second try without these rules.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recolor_cli.checkpoints import Card, ColorModel
from recolor_cli.checkpoints.files import fill_network
from recolor_cli.errors import WeightsError
from recolor_cli.models.foreign import create_foreign
from recolor_cli.weights.manifest import Entry
from recolor_cli.weights.verify import find_difference, marks_of

# Beyond torch's own list (tensors, storages, OrderedDict). A slice is three numbers; DeOldify's
# files mention it.
ALLOWED_TYPES: list[Any] = [slice]
CONTAINERS = ("params", "model", "state_dict")  # where projects put the tensors in the file
_AGAIN = "run again when nothing writes to it"


def load_foreign(path: Path, entry: Entry) -> ColorModel:
    """Build the entry's network and fill it from its file, which stays the pinned one meanwhile.

    Raises:
        WeightsError: the file is not what the entry pins, or no checkpoint of plain tensors, or
            they do not fit the network.
        MissingExtraError: the network needs a package that is not installed.
    """
    # Whoever found the file has hashed it, and it may have been replaced since. A check that is
    # remembered costs nothing; marks that are the same at the end say that this file was read.
    marks = marks_of(path)
    if difference := find_difference(path, entry.sha256, entry.bytes):
        raise WeightsError(f"'{path}' changed while it was read: {difference}; {_AGAIN}")
    with torch.random.fork_rng(devices=[]):
        network = create_foreign(entry.network, **entry.arguments)
    card = Card(
        network=entry.network,
        arguments=entry.arguments,
        color=entry.color,
        input_size=entry.input_size,
        recipe=entry.recipe,
        trained_on=entry.trained_on,
        metrics=entry.metrics,
        license=entry.license,
        created="",
        code="",
    )
    tensors = adapt_tensors(read_tensors(path), network, str(path))
    fill_network(network, tensors, str(path))
    if marks_of(path) != marks:
        raise WeightsError(f"'{path}' changed while it was read; {_AGAIN}")
    return ColorModel(network, card, entry.sha256, entry.name)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a `torch.save` file, by name, without running anything from it.

    Raises:
        WeightsError: it is damaged, or holds something else than tensors.
    """
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
        with torch.serialization.safe_globals(ALLOWED_TYPES), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old formats; what is wrong becomes one line
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip or None)
    except OSError as error:
        raise WeightsError(f"cannot read the weights '{path}': {error.strerror}") from None
    except Exception as error:  # whatever a damaged file makes the reader stumble over
        raise WeightsError(f"'{path}' is not opened: {_why(error)}") from None
    if isinstance(content, Mapping):
        for key in CONTAINERS:
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"'{path}' holds a {type(content).__name__} and no tensors by name")
    for key, value in content.items():
        if not isinstance(key, str):
            raise WeightsError(f"'{path}' holds a tensor without a name, under {key!r}")
        if not isinstance(value, Tensor):
            raise WeightsError(f"'{path}': '{key}' is a {type(value).__name__} and no tensor")
    return dict(content)


def adapt_tensors(
    tensors: Mapping[str, Tensor], network: nn.Module, name: str
) -> dict[str, Tensor]:
    """Drop what the network declares as spare; fold spectral and weight norm where it has neither.

    Args:
        tensors: of the file.
        network: with `spare`, see `models.foreign`.
        name: what to call the file in errors.

    Raises:
        WeightsError: a spare tensor has another shape than published, or a norm lacks a part.
    """
    wanted = network.state_dict().keys()
    rest = dict(tensors)
    spare: Mapping[str, tuple[int, ...] | None] = network.spare  # type: ignore[assignment]
    for key, shape in spare.items():
        value = rest.pop(key, None)
        if value is not None and shape is not None and tuple(value.shape) != shape:
            raise WeightsError(
                f"'{name}': tensor '{key}' has the shape {tuple(value.shape)}, published is {shape}"
            )
    adapted: dict[str, Tensor] = {}
    for key in tensors:
        stem, _, part = key.rpartition(".")
        weight = f"{stem}.weight"
        if key in wanted or key not in rest or weight not in wanted:
            continue
        if part == "weight_orig":
            adapted[weight] = _fold_spectral(*_take(rest, stem, ("orig", "u", "v"), name))
        elif part == "weight_g":
            adapted[weight] = _fold_norm(*_take(rest, stem, ("g", "v"), name))
    return rest | adapted


def _take(rest: dict[str, Tensor], stem: str, parts: tuple[str, ...], name: str) -> list[Tensor]:
    keys = [f"{stem}.weight_{part}" for part in parts]
    for key in keys:
        if key not in rest:
            raise WeightsError(f"'{name}': tensor '{key}' is missing")
    return [rest.pop(key).float() for key in keys]


def _fold_spectral(weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Spectral norm, W / (u . W v), u and v as they were when training ended (Miyato 2018)."""
    matrix = weight.flatten(1)
    if left.shape != matrix.shape[:1] or right.shape != matrix.shape[1:]:
        return weight[:0]  # of no shape that fits: the strict check names the tensor
    return weight / torch.dot(left, matrix @ right)


def _fold_norm(length: Tensor, direction: Tensor) -> Tensor:
    """Weight norm, g v / |v|, for each output channel (Salimans and Kingma 2016)."""
    norm = direction.flatten(1).norm(dim=1).reshape(-1, *[1] * (direction.ndim - 1))
    folded: Tensor = length * direction / norm
    return folded


def _why(error: Exception) -> str:
    """What torch's reader objected to, in words of one line."""
    text = str(error)
    found = re.search(r"GLOBAL ([\w.]+)", text) or re.search(
        r"`?([\w.]+)`? was not an allowed", text
    )
    if found:
        return f"it wants to call '{found[1]}', which a file of tensors has no need of"
    # What torch's reader says before this is advice on how to do without its rules.
    text = text.rpartition("WeightsUnpickler error:")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    reason = lines[0][:160] if lines else type(error).__name__
    return f"it is no sound checkpoint of tensors ({reason})"
