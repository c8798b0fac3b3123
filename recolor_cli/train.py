"""Training: the loop, read from top to bottom. Its parts are in `training/`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from recolor_cli.data.batches import Samples
from recolor_cli.data.device import DeviceSamples
from recolor_cli.data.split import read_split
from recolor_cli.data.tensors import LabCrops
from recolor_cli.devices import choose_machine
from recolor_cli.errors import UsageError
from recolor_cli.interrupting import interrupting
from recolor_cli.recipes import Recipe
from recolor_cli.training.adversary import Game
from recolor_cli.training.checks import check_networks, check_resumed, check_start
from recolor_cli.training.distributed import (
    Ranks,
    any_rank,
    average_values,
    device_of,
    join,
    leave,
)
from recolor_cli.training.keeper import Keeper, Silent, Sums, Upkeep, Watcher, due
from recolor_cli.training.material import load_material
from recolor_cli.training.memory import explain_lack_of_memory
from recolor_cli.training.objective import Objective
from recolor_cli.training.optimization import lr_factor
from recolor_cli.training.players import Player, assemble
from recolor_cli.training.run import RunFolder

Losses = dict[str, Tensor]
Backward = Callable[[Tensor], None]


def d_step(d: Player, real: Tensor, fake: Tensor, game: Game, backward: Backward) -> Losses:
    """The discriminator's backward pass on one micro-batch.

    Args:
        d: the discriminator.
        real: grey and true colours (B, C, h, w).
        fake: grey and generated colours, without gradient.
        game: the losses of the regime.
        backward: adds a loss's gradients to the parameters'.
    """
    d.network.requires_grad_(True)
    losses = game.d_losses(d.network, real, fake)
    backward(losses["d"])
    return losses


def g_step(
    output: Tensor,
    crops: LabCrops,
    objective: Objective,
    d: Player | None,
    game: Game | None,
    backward: Backward,
) -> Losses:
    """The generator's backward pass on one micro-batch.

    Args:
        output: what the generator made of the crops, with gradient.
        crops: the truth.
        objective: what it is asked for beside fooling the discriminator.
        d: the discriminator, which stays as it is; None before it joins.
        game: the losses of the regime.
        backward: adds a loss's gradients to the parameters'.
    """
    losses = objective.losses(output, crops)
    if d is not None and game is not None:
        d.network.requires_grad_(False)
        losses["g_adversarial"] = game.g_loss(d.network, objective.fake(output, crops))
    losses["g"] = objective.weighted_sum(losses)
    backward(losses["g"])
    return losses


def train(
    recipe: Recipe,
    data: Sequence[str | Path],
    out: str | Path,
    *,
    val: Sequence[str | Path] = (),
    split: str | Path | None = None,
    name: str = "",
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    watcher: Watcher | None = None,
) -> Path:
    """Train a colouriser; the run folder holds everything that comes of it.

    The same recipe, data and seed give the same run; a run that was interrupted, or killed, and
    resumed ends with the same weights (bit for bit on a CPU with as many threads).

    Args:
        recipe: everything that decides the run.
        data: folders, tar shards, image files to train on.
        out: the run folder; new, unless `resume`.
        val: what to validate on; by default a share of `data`, by content hash.
        split: a split.json that decides who is in which set.
        name: of the recipe, for the record.
        seed: of every random number.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        resume: go on with the run in `out` from its last checkpoint.
        watcher: is told how it goes.

    Returns:
        The run folder.

    Raises:
        DataError: There is nothing to train or validate on.
        UsageError: The recipe does not fit itself, the data or the device.
        WeightsError: Weights to start from are missing or do not fit.
        DivergedError: The losses are not finite or have exploded.
        KeyboardInterrupt: SIGINT or SIGTERM came; a checkpoint was written.
    """
    # Who and where.
    ranks = join()
    machine = choose_machine(device_of(device, ranks), recipe.precision)
    if ranks.world > 1 and machine.device.type == "cuda":
        torch.cuda.set_device(machine.device)  # else each would take some of the first one's memory
    speaker = ranks.rank == 0
    watcher = watcher if watcher is not None and speaker else Silent()
    local_batch = _share_of_batch(recipe, ranks)
    run = RunFolder(out)
    if speaker and not resume:
        run.try_new()
    if resume:
        check_resumed(run.path, recipe)
    networks = check_networks(recipe)
    if not resume:  # said now, not after an hour of decoding
        check_start(recipe, *networks, fetch=True)
    del networks

    # Photographs, and the numbered crops that are this process's share.
    stored = read_split(run.file("split.json") if resume else split)
    material = load_material(recipe, data, val, stored=stored, progress=watcher.loading)
    watcher.message(f"{material.describe()}; {machine}")
    total = recipe.images(len(material.train))
    gan_from = recipe.gan_from(len(material.train))
    upkeep = Upkeep.of(recipe, total)

    # Networks and optimisers; begin, or go on where the last checkpoint is.
    state = run.load_state(machine.device) if resume else None
    with explain_lack_of_memory(recipe, machine.device):
        players = assemble(recipe, material, machine, ranks, seed, state)
    g, d, game, objective = players.g, players.d, players.game, players.objective
    if speaker and not resume:
        run.start()  # what is refused, is refused before: it leaves nothing
    keeper = Keeper(run, players, material, name, watcher, state, total=total, speaker=speaker)
    seen = state["seen"] if state else 0
    if speaker and state:
        run.trim_log(seen)
        run.change_settings(recipe, data=data, val=val, seen_images=seen)
    elif speaker:
        run.write("split.json", material.split.to_json())
        run.write_settings(recipe, name=name, seed=seed, data=data, val=val, loaded=players.loaded)
        if objective.frequency is not None:
            run.write("bins.json", json.dumps({"frequency": objective.frequency.tolist()}) + "\n")
        keeper.draw_samples(seen)
    del state
    samples: Samples | DeviceSamples
    if recipe.cache == "device":
        samples = DeviceSamples(material.train, recipe, seed, machine.device)
        material.forget_training_pixels()
    else:
        samples = Samples(material.train, recipe, seed)
    first = seen + ranks.rank * local_batch
    batches = samples.batches(first, local_batch, local_batch * ranks.world, recipe.workers)

    # Train.
    sums, logged = Sums(), seen
    frugal = explain_lack_of_memory(recipe, machine.device)
    stop = threading.Event()

    def interrupt() -> bool:
        stop.set()
        return True

    with interrupting(interrupt, unheard_too=True), frugal, closing(batches), keeper:
        while seen < total:
            micro = [LabCrops(next(batches), machine.device) for _ in range(recipe.accumulate)]
            opponent = d if seen >= gan_from else None
            factor = lr_factor(recipe, seen, total)

            # The generator paints once for both; with several micro-batches, again for its step.
            painted = [players.paint(micro[0])] if len(micro) == 1 else []

            # Discriminator: `critic_steps` steps on what the generator paints now.
            if opponent is not None and game is not None:
                pairs = []
                with torch.no_grad():
                    for output, crops in painted or map(players.paint, micro):
                        fake = objective.fake(output.detach(), crops)
                        pairs.append((objective.real(crops, output.shape[-2:]), fake))
                for _ in range(recipe.critic_steps):
                    for real, fake in pairs:
                        sums.add(d_step(opponent, real, fake, game, players.backward))
                    players.move(opponent, factor)
                    game.after_d_step(opponent.network)

            # Generator: one step, and its moving average after it.
            for output, crops in painted or map(players.paint, micro):
                sums.add(g_step(output, crops, objective, opponent, game, players.backward))
            del output, painted
            players.move(g, factor)
            seen += recipe.batch
            if players.average:
                players.average.update(g.network, recipe.batch, seen)
            watcher.step(min(seen, total), total, {})

            # Upkeep, when it is due: log, judge, draw, save.
            stopping, late = any_rank((stop.is_set(), keeper.clock_says_save()), ranks)
            ending = stopping or seen >= total
            judging = due(upkeep.judge, seen, recipe.batch) or seen >= total
            saving = judging or ending or late or due(upkeep.save, seen, recipe.batch)
            logging = ending or due(upkeep.log, seen, recipe.batch)
            if not (logging or saving):
                continue
            values = average_values(sums.means(), ranks)
            keeper.check(values, seen)
            if speaker and logging:
                keeper.log(seen, values, g.lr * factor, seen - logged)
                shown = {"epoch": seen / len(material.train), **values}
                watcher.step(min(seen, total), total, shown)
            if logging:
                logged = seen
                sums.clear()
            if speaker and judging:
                keeper.judge(seen)
            if speaker and (due(upkeep.sample, seen, recipe.batch) or seen >= total):
                keeper.draw_samples(seen)
            if speaker and saving:
                keeper.save(seen)
            if speaker:
                keeper.show(seen)
            if stopping:
                raise KeyboardInterrupt
    leave(ranks)
    return run.path


def _share_of_batch(recipe: Recipe, ranks: Ranks) -> int:
    local_batch, rest = divmod(recipe.batch, recipe.accumulate * ranks.world)
    if rest or not local_batch:
        raise UsageError(
            f"batch '{recipe.batch}' must be a multiple of accumulate x processes "
            f"({recipe.accumulate} x {ranks.world}); change batch"
        )
    return local_batch
