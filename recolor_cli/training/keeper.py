"""What a run leaves behind while it goes on: log lines, judgements, pictures, checkpoints."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from torch import Tensor

from recolor_cli.checkpoints import Card
from recolor_cli.data.batches import validation_batches
from recolor_cli.data.photos import Photo
from recolor_cli.data.tensors import LabCrops
from recolor_cli.errors import MissingExtraError, OutputError, RecolorError, WeightsError
from recolor_cli.recipes import Recipe
from recolor_cli.training.material import Material
from recolor_cli.training.networks import space_name
from recolor_cli.training.page import Status, write_page
from recolor_cli.training.players import Players
from recolor_cli.training.plots import draw_curves, draw_samples
from recolor_cli.training.precision import autocast
from recolor_cli.training.run import RunFolder
from recolor_cli.training.validation import Judgement, validate

SAMPLE_COLUMNS = 8
SHOW_EVERY_S = 10.0  # index.html; less often than a judgement for most runs
NO_TENSORBOARD = "tensorboard=true needs the package; pip install 'recolor-cli[tensorboard]'"
LOGS, JUDGEMENTS = 400, 40  # about so many in a run, where the recipe does not say


class DivergedError(RecolorError):
    """The losses are not finite, or have exploded; the last good checkpoint is kept."""


class Watcher(Protocol):
    """Whoever is told how a run goes."""

    def message(self, text: str) -> None:
        """One line for people."""

    def loading(self, done: int, total: int) -> None:
        """So many of the files are read."""

    def step(self, images: int, total: int, values: Mapping[str, float]) -> None:
        """So many images are seen; the latest figures."""


class Silent:
    """A watcher that says nothing."""

    def message(self, text: str) -> None:
        """Ignore it."""

    def loading(self, done: int, total: int) -> None:
        """Ignore it."""

    def step(self, images: int, total: int, values: Mapping[str, float]) -> None:
        """Ignore it."""


@dataclass(frozen=True)
class Upkeep:
    """How often things are done, in images seen.

    Attributes:
        log, judge, sample, save: every so many images; save may be 0: at judgements and by clock.
    """

    log: int
    judge: int
    sample: int
    save: int

    @classmethod
    def of(cls, recipe: Recipe, total: int) -> Upkeep:
        """The recipe's intervals, or fitting ones for a run of that length."""
        log = recipe.log_every_images or max(recipe.batch, total // LOGS)
        judge = recipe.validate_every_images or max(recipe.batch, total // JUDGEMENTS)
        return cls(log, judge, recipe.sample_every_images or judge, recipe.checkpoint_every_images)


def due(every: int, seen: int, batch: int) -> bool:
    """Whether a multiple of `every` lies in the last batch."""
    return every > 0 and seen // every != (seen - batch) // every


class Sums:
    """Means of losses since they were last asked for; kept on the device until then."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Take one micro-batch's losses."""
        for name, loss in losses.items():
            # Apple's GPUs have no float64.
            value = loss.detach().to(torch.float32 if loss.is_mps else torch.float64)
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """So far; {} before the first."""
        return {name: float(total) / self._counts[name] for name, total in self._sums.items()}

    def clear(self) -> None:
        """Start again."""
        self._sums.clear()
        self._counts.clear()


def upkeep(method: Callable[[Keeper, int], None]) -> Callable[[Keeper, int], None]:
    """A method of the keeper whose time is not training, and does not count in images/s."""

    @wraps(method)
    def timed(self: Keeper, seen: int) -> None:
        begun = time.monotonic()
        method(self, seen)
        self.since += time.monotonic() - begun

    return timed


class Keeper:
    """Writes a run's folder; only the first process has one that writes.

    Args:
        run: the folder.
        players: what is kept.
        material: what is validated on.
        name: of the recipe.
        watcher: is told what happens.
        state: of the run that is resumed.
        total: images of the whole run.
        speaker: whether this process is the one that writes.

    As a context it leaves index.html as the run ended: done, interrupted, or stopped and why.
    """

    def __init__(
        self,
        run: RunFolder,
        players: Players,
        material: Material,
        name: str,
        watcher: Watcher,
        state: Mapping[str, Any] | None,
        *,
        total: int,
        speaker: bool = True,
    ) -> None:
        self.run, self.players, self.material = run, players, material
        self.recipe, self.name, self.watcher = players.recipe, name, watcher
        self.best: float = state["best"] if state else math.inf
        self.first: float | None = state["first"] if state else None
        self.seconds: float = state["seconds"] if state else 0.0
        self.figures: dict[str, float] = {}  # of the latest judgement
        self._total, self._speaker = total, speaker
        self._seen: int = state["seen"] if state else 0
        self._shown = 0.0
        # Speed is counted since the last line of the log, later by what upkeep took in between.
        self.since = self._begun = self._saved = time.monotonic()
        self._plots = find_spec("matplotlib") is not None
        if speaker and not self._plots:
            watcher.message(
                "no curves.png without matplotlib, pip install 'recolor-cli[train]'; "
                "index.html has the same curves"
            )
        self._events: Any = None
        if self.recipe.tensorboard:
            # What a killed run wrote after its last checkpoint is not shown.
            self._events = _open_events(run, state["seen"] + 1 if state else None)

    def check(self, values: Mapping[str, float], seen: int) -> None:
        """Refuse losses that training cannot come back from.

        Raises:
            DivergedError: One is not finite, or the reconstruction exploded.
        """
        for name, value in values.items():
            if not math.isfinite(value):
                raise self._diverged(f"'{name}' is {value}", seen)
        if "g_reconstruction" not in values:
            return
        value = values["g_reconstruction"]
        if self.first is None:
            self.first = value
        factor = self.recipe.divergence_factor
        if factor and value > factor * max(self.first, 1e-6):
            raise self._diverged(
                f"'g_reconstruction' rose from {self.first:.4g} to {value:.4g}", seen
            )

    def _diverged(self, what: str, seen: int) -> DivergedError:
        kept = "there is no checkpoint yet"
        if self.run.has_state():
            kept = f"the last good checkpoint is kept in '{self.run.file('last')}'"
        return DivergedError(f"{what} after {seen} images; {kept}; try a lower lr")

    def log(self, seen: int, values: Mapping[str, float], lr: float, images: int) -> None:
        """One line of losses.

        Args:
            images: how many since the last line.
        """
        now = time.monotonic()
        rate, self.since = images / max(now - self.since, 1e-9), now
        epoch = seen / len(self.material.train)
        values = {"epoch": round(epoch, 4), "lr": lr, **values, "images_per_s": round(rate, 2)}
        self._write(seen, values)

    @upkeep
    def judge(self, seen: int) -> None:
        """Validate, and keep the best; draw the curves."""
        players, recipe = self.players, self.recipe
        joined = seen - recipe.batch >= recipe.gan_from(len(self.material.train))
        rivals = (players.game, players.d.network) if players.d and players.game else None
        judgement = validate(
            players.judged, self.material.val, recipe, players.objective,
            players.machine, rivals if joined else None,
        )  # fmt: skip
        # The step after the last good loss may have broken the weights: nothing of it is kept.
        found = judgement.figures | judgement.losses
        self.check({f"val_{name}": value for name, value in found.items()}, seen)
        self.figures = judgement.figures
        self._keep_each(seen, judgement)
        for player in filter(None, (players.g, players.d)):
            player.network.train()
        self._write(seen, {f"val_{name}": value for name, value in found.items()})
        shown = ", ".join(f"{name} {value:.4g}" for name, value in self.figures.items())
        self.watcher.message(f"{seen} images: {shown}")
        figure = "ab_error" if recipe.objective == "none" else recipe.best_by
        if self.figures[figure] < self.best:
            self.best = self.figures[figure]
            self._save_model("best", seen)
        if self._plots:
            draw_curves(self.run.read_log(), self.run.file("curves.png"))

    def _keep_each(self, seen: int, judgement: Judgement) -> None:
        """validation.json, and panels/ of the best and worst photographs."""
        val, each = self.material.val, judgement.each
        names = [photo.item.name for photo in val]
        record = {"images": seen, "names": names, "each": each}
        self.run.write("validation.json", json.dumps(record, allow_nan=False) + "\n")
        order = sorted(range(len(val)), key=lambda index: each["ab_error"][index])
        for name, chosen in (("best", order), ("worst", order[::-1])):
            count = max(1, min(SAMPLE_COLUMNS, len(val) // 2))  # nobody is both
            photos = [val[index] for index in chosen[:count]]
            self._draw(photos, f"panels/{name}.png")

    @upkeep
    def draw_samples(self, seen: int) -> None:
        """samples/NUMBER.png: the first validation photographs."""
        self._draw(self.material.val[:SAMPLE_COLUMNS], f"samples/{seen:09d}.png")

    def _draw(self, chosen: Sequence[Photo], name: str) -> None:
        players = self.players
        crops = LabCrops(
            next(validation_batches(chosen, self.recipe, SAMPLE_COLUMNS)), players.machine.device
        )
        players.judged.eval()
        with torch.no_grad():
            with autocast(players.machine):
                output = players.judged(players.objective.space.encode(crops.luminance))
            ab = players.objective.ab(output.float(), crops)
        players.g.network.train()
        draw_samples(ab, crops, self.run.file(name))

    @upkeep
    def save(self, seen: int) -> None:
        """last/: the model, then the state that a resumed run starts from."""
        self.seconds += time.monotonic() - self._begun
        self._begun = self._saved = time.monotonic()
        self._save_model("last", seen)
        self.run.save_state(
            {
                **self.players.state(),
                "seen": seen,
                "best": self.best,
                "first": self.first,
                "seconds": self.seconds,
            }
        )

    def _save_model(self, folder: str, seen: int) -> None:
        # Weights can be broken by a step whose losses were still numbers; the file refuses them.
        try:
            self.run.save_model(folder, self.players.judged, self.card(seen))
        except WeightsError as error:
            raise self._diverged(str(error), seen) from error

    @upkeep
    def show(self, seen: int) -> None:
        """index.html, if it has not been written just now."""
        self._seen = seen
        if time.monotonic() - self._shown >= SHOW_EVERY_S:
            self._write_page("running")

    def _write_page(self, state: str) -> None:
        status = Status(state, self._seen, self._total, len(self.material.train), time.time())
        write_page(self.run, status)
        self._shown = time.monotonic()

    def __enter__(self) -> Keeper:
        if self._speaker:
            self._write_page("running")
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # A folder that could not be written a moment ago is not written to again.
        if not self._speaker or isinstance(error, OutputError):
            return
        if error is None:
            self._write_page("done")
        elif isinstance(error, KeyboardInterrupt):
            self._write_page("interrupted")
        else:
            text = str(error).partition("\n")[0] or type(error).__name__
            self._write_page(f"stopped: {text}")

    def clock_says_save(self) -> bool:
        """Whether the last checkpoint is older than the recipe allows."""
        minutes = self.recipe.checkpoint_minutes
        # Who does not save does not know when it was done: its clock would say so for ever.
        return self._speaker and minutes > 0 and time.monotonic() - self._saved > 60 * minutes

    def card(self, seen: int) -> Card:
        """What the weights say about themselves."""
        recipe, space = self.recipe, space_name(self.players.g.network)
        color: dict[str, Any] = {"space": space}
        if self.players.objective.space.output == "bins":
            color |= recipe.decoding.to_color()
        return Card(
            network=recipe.network,
            arguments=recipe.network_arguments,
            color=color,
            input_size=max(16, recipe.val_px or recipe.crop_px),
            recipe=self.name,
            trained_on=f"{len(self.material.train)} photographs",
            step=seen // recipe.batch,
            metrics={name: round(value, 6) for name, value in self.figures.items()},
        )

    def _write(self, seen: int, values: Mapping[str, float]) -> None:
        self.run.log({"images": seen, **values})
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(name, value, seen)
            self._events.flush()


def _open_events(run: RunFolder, purge_from: int | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError(NO_TENSORBOARD) from None
    return SummaryWriter(str(run.file("events")), purge_step=purge_from)
