"""What is evaluated against what: truths, predictions beside them, a run's held-out set."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from recolor_cli.data.sources import Item, find_items
from recolor_cli.data.split import Split
from recolor_cli.errors import DataError, PhotoError, UsageError
from recolor_cli.images.find import normal
from recolor_cli.images.read import orient, read_photo

Pixels = NDArray[np.uint8]
LISTED = 20  # names that an error shows
SPLIT, RECIPE = "split.json", "recipe.json"  # in a run's folder


@dataclass(frozen=True)
class Pair:
    """A true picture and, for other tools' results, the prediction that belongs to it."""

    name: str
    true: Item
    predicted: Item | None = None


@dataclass(frozen=True)
class Decoded:
    """A picture in memory.

    Attributes:
        pixels: (H, W, 3) sRGB uint8, upright.
        sha256: of the file.
    """

    pixels: Pixels
    sha256: str


def decode(item: Item) -> Decoded:
    """Read one picture strictly: what is cut off or damaged does not count as a picture.

    Raises:
        PhotoError: it cannot be read.
    """
    try:
        encoded = item.read()
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror}") from None
    photo = read_photo(encoded)
    pixels = orient(photo.pixels, photo.orientation)
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return Decoded(np.ascontiguousarray(pixels), hashlib.sha256(encoded).hexdigest())


def truths(data: Sequence[str | Path]) -> list[Pair]:
    """Every photograph below the sources, in the order of their names.

    Raises:
        DataError: there are none.
    """
    return [Pair(item.name, item) for item in _named(find_items(list(data)), "--data")]


def matched(data: Sequence[str | Path], predictions: str | Path) -> list[Pair]:
    """Truths and predictions that have the same relative path, whatever their suffix.

    Raises:
        DataError: a truth has no prediction, or a prediction no truth; all are listed.
    """
    true = {_stem(item.name): item for item in _named(find_items(list(data)), "--data")}
    predicted = {_stem(i.name): i for i in _named(find_items([predictions]), "--pred")}
    missing = [true[name].name for name in true if name not in predicted]
    extra = [predicted[name].name for name in predicted if name not in true]
    if missing or extra:
        parts = [
            f"{len(names)} {what}: {_list(names)}"
            for what, names in (("without a prediction", missing), ("without a truth", extra))
            if names
        ]
        raise DataError(
            f"'{predictions}' does not match the truth; {'; '.join(parts)}; "
            "give folders with the same relative paths"
        )
    return [Pair(item.name, item, predicted[name]) for name, item in true.items()]


@dataclass(frozen=True)
class Run:
    """A training run, as far as evaluation needs it."""

    folder: Path
    data: tuple[str, ...]
    held_out: frozenset[str]
    which: str

    def pairs(self) -> list[Pair]:
        """Its held-out photographs: the test set, or where it has none the validation set.

        Raises:
            DataError: the run's photographs are not where they were.
        """
        unique: dict[str, Item] = {}
        for item in find_items(self.data):
            if (digest := _digest(item)) in self.held_out:
                unique.setdefault(digest, item)
        if len(unique) != len(self.held_out):
            raise DataError(
                f"of the {len(self.held_out)} photographs that '{self.folder}' held out, "
                f"{len(unique)} are in {_list(list(self.data))}; name others with --data"
            )
        pairs = [
            Pair(name, item)
            for name, item in zip(_distinct_names(unique), unique.values(), strict=True)
        ]
        return sorted(pairs, key=lambda pair: pair.name)


def run_around(path: str | Path) -> Path | None:
    """The folder of the run that this is, or that this file or folder belongs to."""
    path = Path(path)
    if not path.exists():
        return None
    return next((p for p in (path, *path.parents) if _is_run(p)), None)


def newest_run(runs: Path = Path("runs")) -> Run:
    """The run whose best weights were written last.

    Raises:
        UsageError: there is no run.
        DataError: the run's files are damaged.
    """
    weights = list(runs.glob("*/best/model.safetensors"))
    if not weights:
        raise UsageError(
            f"nothing to evaluate: no run in '{runs}/'; type 'recolor eval --model NAME "
            "--data FOLDER' or 'recolor eval --pred FOLDER --data FOLDER'"
        )
    return read_run(max(weights, key=lambda path: path.stat().st_mtime).parents[1])


def read_run(folder: Path) -> Run:
    """What a run's folder says about its photographs.

    Raises:
        DataError: files are missing or damaged.
    """
    split_path, recipe_path = folder / SPLIT, folder / RECIPE
    try:
        split = Split.from_json(split_path.read_text(encoding="utf-8"), split_path)
        settings = json.loads(recipe_path.read_text(encoding="utf-8"))
        data = [*settings["data"], *(settings.get("val") or ())]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{folder}' is not a complete run ({error}); name --data") from None
    sets = {name: [d for d, s in split.sets.items() if s == name] for name in ("test", "val")}
    which = "test" if sets["test"] else "val"
    if not sets[which]:
        raise DataError(f"'{folder}' held out no photographs; name some with --data")
    return Run(folder, tuple(data), frozenset(sets[which]), which)


def set_hash(hashes: Sequence[tuple[str, str]]) -> str:
    """One hash for a set of pictures: of the files' hashes, whatever their names and order."""
    joined = "\n".join(sorted(sha256 for _, sha256 in hashes))
    return hashlib.sha256(joined.encode()).hexdigest()


def _digest(item: Item) -> str:
    return hashlib.sha256(item.read()).hexdigest()[:16]  # as `data.photos` names them


def _is_run(folder: Path) -> bool:
    return (folder / SPLIT).is_file() and (folder / RECIPE).is_file()


def _distinct_names(items: Mapping[str, Item]) -> list[str]:
    """A name for each: short where it is the only one, else with its source and, last, digest."""
    names = [item.name for item in items.values()]
    names = _instead_of_repeated(names, [_with_source(item) for item in items.values()])
    return _instead_of_repeated(names, [f"{n} ({d})" for n, d in zip(names, items, strict=True)])


def _instead_of_repeated(names: list[str], others: list[str]) -> list[str]:
    count = Counter(names)
    return [o if count[n] > 1 else n for n, o in zip(names, others, strict=True)]


def _with_source(item: Item) -> str:
    path = item.path.as_posix()
    return path if path.endswith(item.name) else f"{path}/{item.name}"  # the latter in a tar


def _named(items: list[Item], option: str) -> list[Item]:
    seen: dict[str, Item] = {}
    for item in items:
        other = seen.setdefault(_stem(item.name), item)
        if other is not item:
            raise DataError(
                f"two pictures of {option} are called '{_stem(item.name)}': '{other.name}' and "
                f"'{item.name}'; keep one"
            )
    return sorted(items, key=lambda item: item.name)


def _stem(name: str) -> str:
    return normal(PurePosixPath(name).with_suffix("").as_posix())


def _list(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:LISTED])
    return shown + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
