"""Who takes part in a run: generator, discriminator, their optimisers, the moving average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recolor_cli.color.bins import SoftEncoder
from recolor_cli.data.tensors import LabCrops
from recolor_cli.devices import Machine, layout
from recolor_cli.errors import WeightsError
from recolor_cli.recipes import Recipe
from recolor_cli.training.adversary import Game
from recolor_cli.training.distributed import Ranks, average_gradients, synchronize_norms
from recolor_cli.training.material import Material
from recolor_cli.training.networks import (
    bins_of,
    build_discriminator,
    build_generator,
    freeze_generator,
    generator_groups,
    space_of,
    start_discriminator,
    start_generator,
)
from recolor_cli.training.objective import Objective, measure_frequency
from recolor_cli.training.optimization import (
    MovingAverage,
    build_optimizer,
    decay_groups,
    load_optimizer,
    set_lr,
)
from recolor_cli.training.precision import autocast


@dataclass
class Player:
    """A network and who moves it.

    Attributes:
        lr: its learning rate before the schedule.
        clip_norm: bound of the gradient's norm; 0 = none.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    lr: float
    clip_norm: float = 0.0

    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser moves."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]


@dataclass
class Players:
    """Everybody, and how they compute on this machine.

    Attributes:
        g, d: generator and discriminator; d is None without a gan.
        average: of the generator; None where the recipe has none.
        objective: what the generator is asked for. game: how it is judged by the discriminator.
        loaded: what the generator started from, for the record.
    """

    recipe: Recipe
    machine: Machine
    ranks: Ranks
    g: Player
    d: Player | None
    average: MovingAverage | None
    objective: Objective
    game: Game | None
    scaler: torch.amp.GradScaler
    loaded: dict[str, str]

    @property
    def judged(self) -> nn.Module:
        """What is validated and saved: the average, or the generator itself."""
        return self.average.network if self.average else self.g.network

    def paint(self, crops: LabCrops) -> tuple[Tensor, LabCrops]:
        """What the generator makes of the crops' grey, in float32, and the crops that it covers.

        A network of unpadded convolutions (report 000) returns the middle of the picture in
        training; it says by how much smaller in its attribute `margin`.
        """
        gray = self.objective.space.encode(crops.luminance)
        with autocast(self.machine):
            output: Tensor = self.g.network(gray)
        margin = getattr(self.g.network, "margin", 0)
        return output.float(), crops.middle(margin) if margin else crops

    def backward(self, loss: Tensor) -> None:
        """Add one micro-batch's share of the gradients."""
        self.scaler.scale(loss / self.recipe.accumulate).backward()

    def move(self, player: Player, lr_factor: float) -> None:
        """One step of a player's optimiser with the gradients of all processes."""
        # Averaged first: what overflowed in one process must be seen, and left out, by all.
        average_gradients(player.parameters(), self.ranks)
        self.scaler.unscale_(player.optimizer)
        if player.clip_norm:
            nn.utils.clip_grad_norm_(player.parameters(), player.clip_norm)
        set_lr(player.optimizer, player.lr * lr_factor)
        self.scaler.step(player.optimizer)
        self.scaler.update()
        player.optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        device = self.machine.device
        return {
            "generator": self.g.network.state_dict(),
            "g_optimizer": self.g.optimizer.state_dict(),
            "discriminator": self.d.network.state_dict() if self.d else None,
            "d_optimizer": self.d.optimizer.state_dict() if self.d else None,
            "average": self.average.network.state_dict() if self.average else None,
            "scaler": self.scaler.state_dict(),
            "frequency": self.objective.frequency,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            "mps_rng": torch.mps.get_rng_state() if device.type == "mps" else None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Put everybody where `state` found them.

        Raises:
            WeightsError: It is the state of other players.
        """
        try:
            self.g.network.load_state_dict(state["generator"])
            load_optimizer(self.g.optimizer, state["g_optimizer"])
            if self.d is not None:
                self.d.network.load_state_dict(state["discriminator"])
                load_optimizer(self.d.optimizer, state["d_optimizer"])
            if self.average is not None:
                self.average.network.load_state_dict(state["average"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            first = str(error).splitlines()[-1].strip()
            raise WeightsError(
                f"last/state.pt does not fit the run's recipe.json ({first}); restore the two, or "
                "start a new run from its weights with --set init=RUN"
            ) from error
        if state["scaler"]:  # empty of a run that computed in another number format
            self.scaler.load_state_dict(state["scaler"])
        if self.ranks.rank == 0:  # the others' dice are thrown anew
            torch.set_rng_state(state["rng"].cpu())
            if self.machine.device.type == "cuda" and state["cuda_rng"] is not None:
                torch.cuda.set_rng_state(state["cuda_rng"].cpu(), self.machine.device)
            # Checkpoints of before have none.
            if self.machine.device.type == "mps" and state.get("mps_rng") is not None:
                torch.mps.set_rng_state(state["mps_rng"].cpu())


def assemble(
    recipe: Recipe,
    material: Material,
    machine: Machine,
    ranks: Ranks,
    seed: int,
    state: dict[str, Any] | None,
) -> Players:
    """Build everybody; equal in every process, but for the dice that dropout throws.

    Args:
        recipe: who plays, and how.
        material: for the frequency of colours.
        machine: where the networks are.
        ranks: this process among all.
        seed: of the fresh weights.
        state: of the run that is resumed, which then decides instead of fresh or loaded weights.
    """
    device = machine.device
    torch.manual_seed(seed)
    generator = build_generator(recipe)
    loaded = start_generator(recipe, generator) if state is None else {}
    freeze_generator(recipe, generator)
    discriminator = build_discriminator(recipe, space_of(generator))
    if discriminator is not None and state is None:
        loaded |= start_discriminator(recipe, discriminator)
    torch.manual_seed(seed + 1 + ranks.rank)
    for network in (generator, discriminator):
        if network is not None:
            network.to(device).train()
            network.to(memory_format=layout(device))  # type: ignore[call-overload]
            synchronize_norms(network, ranks)

    groups = [
        group
        for parameters, scale in generator_groups(recipe, generator)
        for group in decay_groups(parameters, scale)
    ]
    g = Player(generator, build_optimizer(recipe, groups, recipe.lr), recipe.lr, recipe.clip_norm)
    d = None
    if discriminator is not None:
        lr = recipe.d_lr or recipe.lr
        d_groups = decay_groups(discriminator.parameters(), 1.0)
        d = Player(discriminator, build_optimizer(recipe, d_groups, lr), lr)
    halflife = recipe.ema_halflife_images

    frequency = encode = None
    if recipe.objective == "bins":
        encode, count = SoftEncoder(bins_of(generator)), len(bins_of(generator))
        if state is not None:
            frequency = state["frequency"]
        else:
            frequency = measure_frequency(material.train, recipe, encode, count, device)
    players = Players(
        recipe=recipe,
        machine=machine,
        ranks=ranks,
        g=g,
        d=d,
        average=MovingAverage(generator, halflife) if halflife else None,
        objective=Objective(
            recipe,
            generator,
            frequency,
            encode,
            full_size=getattr(discriminator, "full_size", False),
        ),
        game=Game(recipe, machine) if d is not None else None,
        scaler=torch.amp.GradScaler(device.type, enabled=machine.precision == "fp16"),
        loaded=loaded,
    )
    if state is not None:
        players.load_state(state)
    return players
