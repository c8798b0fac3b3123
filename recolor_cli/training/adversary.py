"""The adversarial regimes: what a discriminator and a generator are told by each other."""

from __future__ import annotations

from torch import Tensor, nn

from recolor_cli.devices import Machine
from recolor_cli.losses import ADVERSARIES, clip_weights, gradient_penalty
from recolor_cli.recipes import Recipe
from recolor_cli.training.precision import autocast


class Game:
    """What a discriminator and a generator are told by each other.

    Args:
        recipe: names the regime and its constants.
        machine: decides the number format.
    """

    def __init__(self, recipe: Recipe, machine: Machine) -> None:
        self.recipe = recipe
        self.machine = machine
        self.sides = ADVERSARIES[recipe.gan]

    def d_losses(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Losses of the discriminator: d (their sum, scaled), d_real, d_fake, d_penalty.

        Args:
            discriminator: judges (B, C, H, W): the grey input first, then the colours.
            real: true colours. fake: generated ones, without gradient.
        """
        d_real, d_fake = self.sides.discriminator(
            self._verdict(discriminator, real), self._verdict(discriminator, fake)
        )
        losses = {"d": (d_real + d_fake) * self.recipe.d_loss_scale}
        losses |= {"d_real": d_real, "d_fake": d_fake}
        if self.recipe.gan == "wgan-gp":
            gray, colors = real[:, :1], real[:, 1:]
            losses["d_penalty"] = gradient_penalty(discriminator, gray, colors, fake[:, 1:])
            losses["d"] = losses["d"] + self.recipe.gradient_penalty * losses["d_penalty"]
        return losses

    def g_loss(self, discriminator: nn.Module, fake: Tensor) -> Tensor:
        """The generator's loss for not having fooled the discriminator."""
        return self.sides.generator(self._verdict(discriminator, fake))

    def after_d_step(self, discriminator: nn.Module) -> None:
        """Keep the critic in its bounds, where the regime has some."""
        if self.recipe.gan == "wgan-clip":
            clip_weights(discriminator, self.recipe.clip_value)

    def _verdict(self, discriminator: nn.Module, pictures: Tensor) -> Tensor:
        with autocast(self.machine):
            verdict: Tensor = discriminator(pictures)
        return verdict.float()
