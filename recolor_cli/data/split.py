"""Train, val and test by content hash: adding files never moves one from train to test."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from recolor_cli.data.photos import LeftOut, Photo
from recolor_cli.errors import DataError

SETS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Which photograph is in which set.

    Attributes:
        sets: digest -> "train", "val" or "test".
        names: digest -> file name, for people.
        left_out: (file name, reason).
        source: the file that it was read from.
    """

    sets: dict[str, str]
    names: dict[str, str]
    left_out: tuple[tuple[str, str], ...] = ()
    source: Path | None = field(default=None, compare=False)

    def counts(self) -> dict[str, int]:
        """Photographs in each set, then files left out by reason."""
        sets = Counter(self.sets.values())
        reasons = Counter(reason for _, reason in self.left_out)
        return {name: sets[name] for name in SETS} | dict(sorted(reasons.items()))

    def choose(self, photos: Sequence[Photo], name: str) -> list[Photo]:
        """The photographs of one set, ordered by digest (so a prefix is a random subset)."""
        chosen = [photo for photo in photos if self.sets.get(photo.digest) == name]
        return sorted(chosen, key=lambda photo: photo.digest)

    def to_json(self) -> str:
        """Readable: sets of {digest: name}, and what was left out."""
        value: dict[str, object] = {"counts": self.counts()}
        for name in SETS:
            value[name] = {d: self.names[d] for d, s in sorted(self.sets.items()) if s == name}
        value["left_out"] = [list(pair) for pair in self.left_out]
        return json.dumps(value, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, source: Path) -> Split:
        """What `to_json` wrote.

        Raises:
            DataError: It is something else.
        """
        try:
            value = json.loads(text)
            sets = {digest: name for name in SETS for digest in value[name]}
            names = {digest: text for name in SETS for digest, text in value[name].items()}
            left_out = tuple((name, reason) for name, reason in value["left_out"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"'{source}' is not a split ({error}); take one from a run") from error
        return cls(sets, names, left_out, source)

    def held_to(
        self, photos: Sequence[Photo], left_out: Sequence[LeftOut], data: Sequence[str | Path]
    ) -> Split:
        """This split for the files of `data`, as they were loaded now.

        Its photographs that are there but were left out are left out of it too: whoever made it may
        have known other limits. Files that came later are not used.

        Raises:
            DataError: Some of its photographs are not in `data` at all.
        """
        usable = {photo.digest for photo in photos}
        reasons = {o.digest: o.reason for o in left_out if o.digest not in usable}
        missing = self.sets.keys() - usable - reasons.keys()
        if missing:
            places = ", ".join(f"'{place}'" for place in data)
            raise DataError(
                f"{len(missing)} photographs of {self._origin()} are not in {places}, "
                f"'{self.names[min(missing)]}' among them; restore them, or name their folder with "
                "one more --data"
            )
        sets = {digest: name for digest, name in self.sets.items() if digest in usable}
        dropped = [(self.names[d], reasons[d]) for d in sorted(self.sets.keys() - sets.keys())]
        return replace(self, sets=sets, left_out=(*self.left_out, *dropped))

    def _origin(self) -> str:
        if self.source is None:
            return "the split"
        run = self.source.parent
        return f"the run '{run}'" if (run / "recipe.json").is_file() else f"'{self.source}'"


def read_split(path: str | Path | None) -> Split | None:
    """A split.json, or that of a run's folder; None for None.

    Raises:
        DataError: There is none, or it is something else.
    """
    if path is None:
        return None
    path = Path(path)
    if path.is_dir():
        path /= "split.json"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")  # then it is no JSON, told below
    except OSError as error:
        raise DataError(
            f"cannot read the split '{path}': {error.strerror}; name a split.json, or a run that "
            "has one"
        ) from None
    return Split.from_json(text, path)


def hash_share(digest: str) -> float:
    """A digest as an even number in 0..1."""
    return int(digest[:12], 16) / 16**12


def split_by_hash(
    photos: Sequence[Photo],
    left_out: Sequence[LeftOut] = (),
    *,
    val_share: float,
    test_share: float,
) -> Split:
    """Each photograph's set follows from its bytes alone."""
    sets = {}
    for photo in photos:
        share = hash_share(photo.digest)
        if share < test_share:
            sets[photo.digest] = "test"
        else:
            sets[photo.digest] = "val" if share < test_share + val_share else "train"
    return _split(photos, sets, left_out)


def split_given(
    train: Sequence[Photo], val: Sequence[Photo], left_out: Sequence[LeftOut] = ()
) -> Split:
    """Everything to train on, and a validation set of its own; shared photographs are validated."""
    sets = {photo.digest: "train" for photo in train} | {photo.digest: "val" for photo in val}
    return _split([*train, *val], sets, left_out)


def _split(photos: Sequence[Photo], sets: dict[str, str], left_out: Sequence[LeftOut]) -> Split:
    names = {photo.digest: photo.item.name for photo in photos}
    return Split(sets, names, tuple((one.item.name, one.reason) for one in left_out))
