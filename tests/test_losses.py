"""Losses against values worked out by hand, and the gradient penalty against numeric gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from recolor_cli.color.tensors import lab_to_rgb
from recolor_cli.losses import (
    ADVERSARIES,
    clip_weights,
    gradient_penalty,
    huber,
    l1,
    lpips_distance,
    perceptual,
)

REAL = torch.tensor([[2.0], [0.5]])
FAKE = torch.tensor([[-1.0], [3.0]])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


# kind -> (real verdicts, fake verdicts, real part, fake part, generator loss)
BY_HAND = {
    "bce": (
        REAL,
        FAKE,
        (softplus(-2) + softplus(-0.5)) / 2,
        (softplus(-1) + softplus(3)) / 2,
        (softplus(1) + softplus(-3)) / 2,
    ),
    "bce-sigmoid": (
        torch.tensor([[0.9], [0.5]]),
        torch.tensor([[0.2], [0.75]]),
        -(math.log(0.9) + math.log(0.5)) / 2,
        -(math.log(0.8) + math.log(0.25)) / 2,
        -(math.log(0.2) + math.log(0.75)) / 2,
    ),
    "hinge": (REAL, FAKE, (0 + 0.5) / 2, (0 + 4) / 2, -(-1 + 3) / 2),
    "wgan-clip": (REAL, FAKE, -(2 + 0.5) / 2, (-1 + 3) / 2, -(-1 + 3) / 2),
    "wgan-gp": (REAL, FAKE, -(2 + 0.5) / 2, (-1 + 3) / 2, -(-1 + 3) / 2),
}


@pytest.mark.parametrize("kind", sorted(ADVERSARIES))
def test_adversarial_losses_have_their_values(kind):
    real, fake, real_part, fake_part, generator = BY_HAND[kind]
    parts = ADVERSARIES[kind].discriminator(real, fake)
    assert [part.item() for part in parts] == pytest.approx([real_part, fake_part], rel=1e-5)
    assert ADVERSARIES[kind].generator(fake).item() == pytest.approx(generator, rel=1e-5)


@pytest.mark.parametrize("kind", sorted(ADVERSARIES))
def test_both_sides_pull_verdicts_on_fakes_opposite_ways(kind):
    fake = BY_HAND[kind][1].clone().requires_grad_(True)
    down = torch.autograd.grad(ADVERSARIES[kind].discriminator(BY_HAND[kind][0], fake)[1], fake)[0]
    up = torch.autograd.grad(ADVERSARIES[kind].generator(fake), fake)[0]
    assert (down >= 0).all()
    assert down.sum() > 0
    assert (up < 0).all()


@pytest.mark.parametrize("kind", sorted(ADVERSARIES))
def test_half_precision_verdicts_give_full_precision_losses(kind):
    real, fake = (verdict.bfloat16() for verdict in BY_HAND[kind][:2])
    losses = [*ADVERSARIES[kind].discriminator(real, fake), ADVERSARIES[kind].generator(fake)]
    assert [loss.dtype for loss in losses] == [torch.float32] * 3
    wide = [*ADVERSARIES[kind].discriminator(real.float(), fake.float())]
    assert losses[:2] == wide


def test_cross_entropy_from_logits_is_torchs():
    logits = torch.randn(2, 1, 3, 3) * 30
    real, fake = ADVERSARIES["bce"].discriminator(logits, logits)
    loss = nn.BCEWithLogitsLoss()
    torch.testing.assert_close(real, loss(logits, torch.ones_like(logits)))
    torch.testing.assert_close(fake, loss(logits, torch.zeros_like(logits)))
    assert ADVERSARIES["bce"].generator(logits) == real


def test_certain_probabilities_cost_a_finite_amount():
    game = ADVERSARIES["bce-sigmoid"]
    parts = game.discriminator(torch.zeros(1, 1), torch.ones(1, 1))
    assert [part.item() for part in parts] == [100, 100]
    reference = nn.BCELoss()(torch.zeros(1, 1), torch.ones(1, 1))
    assert game.generator(torch.zeros(1, 1)) == reference


def test_logits_are_refused_where_probabilities_are_meant():
    for call in (lambda v: ADVERSARIES["bce-sigmoid"].discriminator(v, v),
                 ADVERSARIES["bce-sigmoid"].generator):  # fmt: skip
        with pytest.raises(ValueError, match="takes probabilities; build the discriminator with s"):
            call(torch.tensor([1.5]))


def test_verdicts_that_are_no_numbers_are_told_as_a_loss_that_is_none():
    # As of a discriminator that diverges: whoever watches the losses says so, in one line.
    assert ADVERSARIES["bce-sigmoid"].generator(torch.tensor([torch.nan])).isnan()


def test_reconstruction_losses_have_their_values():
    output, target = torch.tensor([0.0, 0.5, 3.0]), torch.tensor([0.0, 1.0, 1.0])
    assert l1(output, target).item() == pytest.approx((0 + 0.5 + 2) / 3)
    assert huber(output, target).item() == pytest.approx((0 + 0.125 + 1.5) / 3)
    assert huber(output, target, delta=0.5).item() == pytest.approx((0.125 + 0.5 * 1.75) / 3)


def test_clipping_bounds_every_parameter_and_nothing_else():
    critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    small = critic[0].weight.detach().clone().clamp(-0.1, 0.1)
    clip_weights(critic, 0.1)
    assert max(p.abs().max().item() for p in critic.parameters()) == pytest.approx(0.1)
    assert torch.equal(critic[0].weight, small)
    assert torch.equal(critic[1].running_var, torch.ones(4))
    with pytest.raises(ValueError, match="bound must be above 0, got 0"):
        clip_weights(critic, 0)


# --- Gradient penalty ---


def smooth_critic() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 1, 2)).double()


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(6)
    return (
        torch.randn(2, 1, 6, 5).double(),
        torch.randn(2, 2, 6, 5).double(),
        torch.randn(2, 2, 6, 5).double(),
    )


def seeded_penalty(critic: nn.Module) -> Tensor:
    return gradient_penalty(critic, *pictures(), generator=torch.Generator().manual_seed(7))


def numeric_penalty(critic: nn.Module, step: float = 1e-5) -> float:
    """The definition, with central differences for every pixel of every colour channel."""
    gray, real, fake = pictures()
    weight = torch.rand(2, 1, 1, 1, generator=torch.Generator().manual_seed(7)).double()
    between = weight * real + (1 - weight) * fake
    total = 0.0
    with torch.no_grad():
        for picture in range(2):
            squares = 0.0
            for place in range(between[picture].numel()):
                scores = []
                for sign in (1, -1):
                    moved = between[picture].clone()
                    moved.view(-1)[place] += sign * step
                    pair = torch.cat((gray[picture], moved))[None]
                    scores.append(critic(pair).mean().item())
                squares += ((scores[0] - scores[1]) / (2 * step)) ** 2
            total += (math.sqrt(squares) - 1) ** 2
    return total / 2


def test_the_gradient_penalty_is_that_of_numeric_gradients():
    critic = smooth_critic()
    assert seeded_penalty(critic).item() == pytest.approx(numeric_penalty(critic), rel=1e-7)


def test_the_penalty_trains_the_critic_along_its_numeric_gradient():
    critic, step = smooth_critic(), 1e-6
    seeded_penalty(critic).backward()
    for parameter, place in ((critic[0].weight, 3), (critic[0].bias, 1), (critic[2].weight, 7)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.view(-1)[place] += sign * step
            values.append(seeded_penalty(critic).item())
            with torch.no_grad():
                parameter.view(-1)[place] -= sign * step
        numeric = (values[0] - values[1]) / (2 * step)
        assert parameter.grad.view(-1)[place].item() == pytest.approx(numeric, rel=1e-5, abs=1e-9)


def test_a_critic_of_slope_one_pays_nothing_and_of_slope_three_pays_four():
    def critic(slope: float):
        return lambda picture: slope * picture[:, 1, 0, 0]

    for slope, penalty in ((1.0, 0.0), (-1.0, 0.0), (3.0, 4.0)):
        assert gradient_penalty(critic(slope), *pictures()).item() == pytest.approx(penalty)


def test_the_penalty_sends_no_gradient_into_the_generator_and_works_under_no_grad():
    critic = smooth_critic()
    gray, real, fake = pictures()
    fake.requires_grad_(True)
    gradient_penalty(critic, gray, real, fake).backward()
    assert fake.grad is None
    assert critic[0].weight.grad.abs().max() > 0
    with torch.no_grad():
        assert gradient_penalty(critic, gray, real, fake) > 0


# --- Perceptual ---


def test_the_perceptual_loss_compares_colors_at_one_lightness():
    ab, other = torch.tensor([20.0, -30.0]), torch.tensor([-10.0, 5.0])
    ab, other = (color.reshape(1, 2, 1, 1).expand(1, 2, 4, 4) for color in (ab, other))

    def rgb(color: Tensor) -> Tensor:
        return lab_to_rgb(torch.cat((torch.full((1, 1, 4, 4), 50.0), color), dim=1))

    def features(picture: Tensor) -> list[Tensor]:
        return [picture, picture.mean((2, 3)) * 2]

    loss = perceptual(features, ab, other)
    assert loss.item() == pytest.approx(2.5 * (rgb(ab) - rgb(other)).square().mean().item())
    assert perceptual(features, ab, ab) == 0
    assert perceptual(features, ab, other, lightness=80.0) != loss


def test_colors_outside_the_gamut_keep_a_perceptual_gradient():
    ab = torch.full((1, 2, 2, 2), 105.0, requires_grad=True)
    perceptual(lambda picture: [picture], ab, torch.zeros(1, 2, 2, 2)).backward()
    assert (ab.grad.abs() > 0).all()


def test_lpips_is_averaged_over_pictures():
    class Distance(nn.Module):
        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            return (first - second).mean((1, 2, 3), keepdim=True)

    first = torch.stack((torch.zeros(3, 2, 2), torch.ones(3, 2, 2)))
    assert lpips_distance(Distance(), first, torch.zeros(2, 3, 2, 2)).item() == 0.5
