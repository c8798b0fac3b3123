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
        losses = self._d_parts(
            self._verdict(discriminator, real), self._verdict(discriminator, fake)
        )
        if self.recipe.gan == "wgan-gp":
            gray, colors = real[:, :1], real[:, 1:]
            losses["d_penalty"] = gradient_penalty(discriminator, gray, colors, fake[:, 1:])
            losses["d"] = losses["d"] + self.recipe.gradient_penalty * losses["d_penalty"]
        return losses

    def g_loss(self, discriminator: nn.Module, fake: Tensor) -> Tensor:
        """The generator's loss for not having fooled the discriminator."""
        return self.sides.generator(self._verdict(discriminator, fake))

    def losses_of_both(
        self, discriminator: nn.Module, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """What both lose on photographs that neither learns from: as in training, but no penalty.

        Args:
            discriminator: in eval mode, so that no photograph leaves traces in it.
            real, fake: as for `d_losses`.
        """
        verdicts = [self._verdict(discriminator, pictures) for pictures in (real, fake)]
        return {"g_adversarial": self.sides.generator(verdicts[1]), **self._d_parts(*verdicts)}

    def after_d_step(self, discriminator: nn.Module) -> None:
        """Keep the critic in its bounds, where the regime has some."""
        if self.recipe.gan == "wgan-clip":
            clip_weights(discriminator, self.recipe.clip_value)

    def _d_parts(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        d_real, d_fake = self.sides.discriminator(real, fake)
        losses = {"d": (d_real + d_fake) * self.recipe.d_loss_scale}
        return losses | {"d_real": d_real, "d_fake": d_fake}

    def _verdict(self, discriminator: nn.Module, pictures: Tensor) -> Tensor:
        with autocast(self.machine):
            verdict: Tensor = discriminator(pictures)
        return verdict.float()
