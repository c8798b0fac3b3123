"""The run folder: what is in it, and how it is written so that a killed run loses nothing.

    recipe.json   the resolved recipe, its name, the seed, the data; what held before a resumed run
                  was given other values                              split.json   who is where
    log.jsonl     one JSON object a line                              bins.json    colour frequency
    last/         model.safetensors, config.json, state.pt            curves.png, samples/*.png
    best/         model.safetensors, config.json                      events/      TensorBoard
    index.html    all of it on one page                               status.json  how far it is
    panels/       best.png and worst.png of the latest validation, whose figures are validation.json

`last/state.pt` alone decides where a resumed run goes on; it is replaced in one step.
"""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from recolor_cli.checkpoints import Card, save_weights
from recolor_cli.checkpoints.files import write_file
from recolor_cli.colorize.plan import check_writable
from recolor_cli.errors import OutputError, UsageError, WeightsError
from recolor_cli.recipes import Recipe, read_settings

MODEL, CONFIG, STATE = "model.safetensors", "config.json", "state.pt"
FOLDERS, LOG = ("samples", "last", "best", "panels", "events"), "log.jsonl"


class RunFolder:
    """Paths and files of one run.

    Args:
        path: the folder; made when first written to.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def file(self, name: str) -> Path:
        """A file or folder of the run."""
        return self.path / name

    def has_state(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return (self.file("last") / STATE).exists()

    def check_new(self) -> None:
        """Refuse a folder that a new run cannot have, without writing.

        Raises:
            UsageError: It holds a run that can be resumed.
            OutputError: It cannot be made, or what is in it is in the way.
        """
        if self.has_state():
            raise UsageError(
                f"'{self.path}' holds a run already; go on with --resume {self.path}, "
                "or choose another --out"
            )
        check_writable(self.path)
        for name in (*FOLDERS, LOG):
            place = self.file(name)
            if os.path.lexists(place) and place.is_dir() != (name != LOG):
                found = "folder" if name == LOG else "file"
                raise OutputError(
                    f"cannot write '{self.path}': '{name}' in it is a {found}; move it away, or "
                    "choose another --out"
                )

    def try_new(self) -> None:
        """`check_new`, and by making it elsewhere that the folder can be made; nothing stays.

        Raises:
            UsageError: It holds a run that can be resumed.
            OutputError: It cannot be made, or what is in it is in the way.
        """
        self.check_new()
        place = self.file("samples").absolute()
        there = next(folder for folder in place.parents if folder.is_dir())
        try:
            # Under a name of its own: runs that begin together may share what is above them.
            with TemporaryDirectory(prefix=".recolor-", dir=there) as trial:
                Path(trial, place.relative_to(there)).mkdir(parents=True)
        except OSError as error:
            raise OutputError(
                f"cannot write '{self.path}': {error.strerror}; choose another --out"
            ) from None

    def start(self) -> None:
        """Begin a new run: what one logged that never got to a checkpoint is forgotten.

        Raises:
            OutputError: It cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.file(LOG).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write '{self.path}': {error.strerror}") from None

    def write(self, name: str, text: str) -> None:
        """Write one text file completely or not at all."""
        write_file(self.file(name), text.encode())

    def write_settings(
        self,
        recipe: Recipe,
        *,
        name: str,
        seed: int,
        data: Sequence[str | Path],
        val: Sequence[str | Path],
        loaded: Mapping[str, str],
    ) -> None:
        """recipe.json: what was asked for, enough to start again."""
        settings = {
            "name": name,
            "seed": seed,
            "data": [str(path) for path in data],
            "val": [str(path) for path in val],
            "loaded": dict(loaded),
            "recipe": json.loads(recipe.to_json()),
        }
        self.write("recipe.json", json.dumps(settings, indent=2) + "\n")

    def change_settings(
        self,
        recipe: Recipe,
        *,
        data: Sequence[str | Path],
        val: Sequence[str | Path],
        seen_images: int,
    ) -> None:
        """recipe.json of a resumed run: what holds now, and in `earlier` what held before.

        An entry of `earlier` is {"until_images", "data", "val", "recipe"}, oldest first.
        """
        before, settings = read_settings(self.path)
        now = {"data": [str(path) for path in data], "val": [str(path) for path in val]}
        old = {name: settings.get(name) or [] for name in now}
        moved = any(list(map(Path, old[name])) != list(map(Path, now[name])) for name in now)
        if before == recipe and not moved:
            return
        earlier = settings.get("earlier", [])
        # What held for no image, in a run that was resumed and stopped at once, is not history.
        if not earlier or earlier[-1]["until_images"] < seen_images:
            record = {"until_images": seen_images, **old, "recipe": json.loads(before.to_json())}
            earlier = [*earlier, record]
        settings |= {**now, "recipe": json.loads(recipe.to_json()), "earlier": earlier}
        self.write("recipe.json", json.dumps(settings, indent=2) + "\n")

    def log(self, entry: Mapping[str, Any]) -> None:
        """Append one line to log.jsonl."""
        try:
            with self.file("log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, allow_nan=False) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write '{self.path}/log.jsonl': {error.strerror}") from None

    def read_log(self) -> list[dict[str, Any]]:
        """The lines of log.jsonl; a half-written last line does not count."""
        entries = []
        path = self.file("log.jsonl")
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in lines:
            try:
                entries.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return entries

    def trim_log(self, seen_images: int) -> None:
        """Forget what was logged after the state that a resumed run starts from."""
        kept = [entry for entry in self.read_log() if entry["images"] <= seen_images]
        self.write("log.jsonl", "".join(json.dumps(entry) + "\n" for entry in kept))

    def save_model(self, folder: str, network: nn.Module, card: Card) -> None:
        """`folder`/model.safetensors and config.json."""
        sha256 = save_weights(self.file(folder) / MODEL, network, card)
        config = {"file": MODEL, "sha256": sha256, **card.to_header()}
        for key in ("arguments", "color", "metrics"):
            config[key] = json.loads(config[key])
        self.write(f"{folder}/{CONFIG}", json.dumps(config, indent=2) + "\n")

    def save_state(self, state: Mapping[str, Any]) -> None:
        """last/state.pt: everything that the next step depends on."""
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        write_file(self.file("last") / STATE, buffer.getvalue())

    def load_state(self, device: torch.device) -> dict[str, Any]:
        """What `save_state` wrote.

        Raises:
            UsageError: There is no checkpoint yet.
            WeightsError: It cannot be read.
        """
        path = self.file("last") / STATE
        if not self.has_state():
            raise UsageError(f"'{self.path}' has no checkpoint yet; start the run again")
        try:
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        except OSError as error:
            raise WeightsError(f"'{path}' cannot be read: {error.strerror}; restore it") from error
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            # What torch says is a page about versions of torch.
            raise WeightsError(f"'{path}' is damaged; restore it, or start a new run") from error
        return state
