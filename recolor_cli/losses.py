"""Losses: functions of tensors, each with the report and equation that it comes from.

The reports are cited as in docs/papers.md: 000 Borella, 001 Canderle et al., 002 Barusco and
Rampon, 003 Wahba et al., 004 Roshana et al. Discriminator losses return their real and their fake
part apart, because the reports plot them apart; halving the sum (003, equation 4) is the caller's.
Verdicts are whatever a discriminator returns: (B, 1, h, w) for patches, (B, 1) for pictures. Every
loss is computed in float32, whatever the networks' precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recolor_cli.color.tensors import lab_to_rgb
from recolor_cli.devices import carried

REAL_LABEL, FAKE_LABEL = -1.0, 1.0  # of report 000's Wasserstein loss
MID_LIGHTNESS = 50.0  # L whose value in the networks' range is 0

# --- Reconstruction ---


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference (002 equation 6, 004 equation 3, 003 equations 2 and 8, 001 MAE).

    The mean, not 003's sum: with a lambda of 100 only the mean balances the other terms, and it is
    what pix2pix computes. The weight (100; 0.005 in 000; 1 in 001) is the recipe's.
    """
    return F.l1_loss(output.float(), target.float())


def huber(output: Tensor, target: Tensor, delta: float = 1.0) -> Tensor:
    """Quadratic below `delta`, linear above, mean over elements (Huber 1964)."""
    return F.huber_loss(output.float(), target.float(), delta=delta)


# --- Adversaries: discriminator -> (real part, fake part), generator -> scalar ---


def bce_discriminator(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """-log D(real), -log(1 - D(fake)) from logits (002 equation 4, 003 equation 4, 004 equation 2).

    Also the "cross entropy" of 002 equation 8: with one logit a patch its softmax is a sigmoid.
    """
    return (
        F.softplus(-real.float()).mean(),
        F.softplus(fake.float()).mean(),
    )


def bce_generator(fake: Tensor) -> Tensor:
    """-log D(fake) from logits: the non-saturating form (000 section V.C, 003 equation 3)."""
    return F.softplus(-fake.float()).mean()


def probability_bce_discriminator(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy on probabilities 0..1: the BCELoss that 000 tried (section V.C).

    Saturates where the logits' form does not; 000 reports that it mostly diverged.
    """
    _check_probabilities(real, fake)
    return _minus_log(real), _minus_log(1 - fake.float())


def probability_bce_generator(fake: Tensor) -> Tensor:
    """-log D(fake) from probabilities 0..1 (000 section V.C)."""
    _check_probabilities(fake)
    return _minus_log(fake)


def hinge_discriminator(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """max(0, 1 - D(real)), max(0, 1 + D(fake)) (Lim and Ye 2017, equations 10 and 11)."""
    return F.relu(1 - real.float()).mean(), F.relu(1 + fake.float()).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """-D(fake) (Lim and Ye 2017, equation 11)."""
    return -fake.float().mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Label times score, mean; labels -1 real, +1 fake (000 section V.C, 003 equation 6).

    A lower sum is a wider gap between real and fake: minus the Wasserstein estimate.
    """
    return REAL_LABEL * real.float().mean(), FAKE_LABEL * fake.float().mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """The fake scores under the real label: -mean (000 section V.C, 003 equation 7)."""
    return REAL_LABEL * fake.float().mean()


@dataclass(frozen=True)
class Adversary:
    """The two sides of one game.

    Attributes:
        discriminator: (verdicts on real, verdicts on fake) -> (real part, fake part).
        generator: verdicts on fake -> loss.
    """

    discriminator: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    generator: Callable[[Tensor], Tensor]


ADVERSARIES: dict[str, Adversary] = {
    "bce": Adversary(bce_discriminator, bce_generator),
    "bce-sigmoid": Adversary(probability_bce_discriminator, probability_bce_generator),
    "hinge": Adversary(hinge_discriminator, hinge_generator),
    "wgan-clip": Adversary(wasserstein_critic, wasserstein_generator),
    "wgan-gp": Adversary(wasserstein_critic, wasserstein_generator),
}

# --- What keeps a critic Lipschitz ---


@torch.no_grad()
def clip_weights(critic: nn.Module, bound: float) -> None:
    """Clip every parameter to -bound..bound after a step (Arjovsky et al. 2017, algorithm 1).

    000 speaks of "clipped gradients" here; what makes a critic of a network is clipped weights.
    """
    if not bound > 0:
        raise ValueError(f"bound must be above 0, got {bound}")
    for parameter in critic.parameters():
        parameter.clamp_(-bound, bound)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    gray: Tensor,
    color_real: Tensor,
    color_fake: Tensor,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean of (|critic's gradient| - 1)^2 between real and fake (Gulrajani et al. 2017, eq. 3).

    003 equation 6 prints it as a factor; it is a term: fake - real + lambda_gp * penalty. The
    gradient is that of a picture's mean score, by its colour; the condition stays as it is.

    Args:
        critic: (B, C1 + C2, H, W), condition and colour -> scores, one or more a picture.
        gray: condition (B, C1, H, W), joined before the colour.
        color_real: (B, C2, H, W).
        color_fake: (B, C2, H, W); no gradient flows into the generator.
        generator: of the random points; None is torch's own.
    """
    batch = len(color_real)
    weight = torch.rand(batch, 1, 1, 1, generator=generator, dtype=torch.float32, device="cpu")
    weight = carried(weight.to(color_real.dtype), color_real.device)
    between = torch.lerp(color_fake.detach(), color_real.detach(), weight).requires_grad_(True)
    with torch.enable_grad():
        scores = critic(torch.cat((gray.detach(), between), dim=1)).reshape(batch, -1).mean(1)
        (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
    # Batch norm would let one picture's score depend on another's; then this is not |gradient|.
    penalty: Tensor = ((slope.reshape(batch, -1).norm(dim=1) - 1) ** 2).mean()
    return penalty


# --- Perceptual ---


def perceptual(
    features: Callable[[Tensor], list[Tensor]],
    ab_output: Tensor,
    ab_target: Tensor,
    *,
    lightness: float = MID_LIGHTNESS,
) -> Tensor:
    """Mean squared difference of activations of two pictures that have colour only (002 eq. 9).

    002 replaces L by "constant value (0)" in both, so that only colour is compared. That is 0 in
    its networks' range, L = 50: at L = 0 of Lab every colour is black. Colours outside the gamut
    are not clipped, so that they keep a gradient.

    Args:
        features: rgb (B, 3, H, W) 0..1 -> activations; `backbones.load_vgg`.
        ab_output: (B, 2, H, W), in Lab units.
        ab_target: (B, 2, H, W), in Lab units.
        lightness: the constant L, 0..100.
    """
    rgb = [_at_lightness(ab, lightness) for ab in (ab_output, ab_target)]
    pairs = zip(features(rgb[0]), features(rgb[1]), strict=True)
    return torch.stack([F.mse_loss(output, target) for output, target in pairs]).mean()


def lpips_distance(network: nn.Module, rgb_output: Tensor, rgb_target: Tensor) -> Tensor:
    """LPIPS, mean over pictures (003 equation 5; Zhang et al. 2018, equation 1).

    Args:
        network: `backbones.load_lpips`.
        rgb_output: (B, 3, H, W) in -1..1.
        rgb_target: (B, 3, H, W) in -1..1.
    """
    distance: Tensor = network(rgb_output, rgb_target)
    return distance.mean()


def _at_lightness(ab: Tensor, lightness: float) -> Tensor:
    constant = torch.full_like(ab[:, :1], lightness)
    return lab_to_rgb(torch.cat((constant, ab), dim=1), clamp=False)


def _check_probabilities(*verdicts: Tensor) -> None:
    """Raise ValueError for logits.

    A GPU is not asked: it would be waited for each time, and training has asked the recipe.
    """
    for verdict in verdicts:
        if verdict.device.type == "cpu" and bool(((verdict < 0) | (verdict > 1)).any()):
            raise ValueError("this loss takes probabilities; build the discriminator with sigmoid")


def _minus_log(probability: Tensor) -> Tensor:
    """Mean of -log, at most 100, as BCELoss has it; that function refuses half precision."""
    return -probability.float().log().clamp_min(-100).mean()
