"""Distributions over ab bins: encoding, rebalancing, the annealed mean and sampling."""

from __future__ import annotations

import math

import pytest
import torch

from recolor_cli.color.bins import (
    SoftEncoder,
    ab_bins,
    annealed_mean,
    blur,
    confidence,
    decode,
    rebalancing_weights,
    sample_ab,
    soft_cross_entropy,
)
from recolor_cli.color.decoding import Decoding


def _logits(seed: int = 0, count: int | None = None) -> torch.Tensor:
    bins = count or len(ab_bins())
    return torch.randn(2, bins, 3, 4, generator=torch.Generator().manual_seed(seed)) * 3


def test_bins_cover_the_gamut_and_nothing_twice() -> None:
    bins = ab_bins()
    assert 250 <= len(bins) <= 270  # all 16.7 million 8-bit colours fall into 261 such cells
    assert len(torch.unique(bins, dim=0)) == len(bins)
    assert (bins % 10 == 0).all()
    assert bins.abs().max() <= 110
    assert (bins == 0).all(dim=1).any()


def test_soft_encoding_sums_to_one_and_means_the_color() -> None:
    bins = ab_bins()
    encode = SoftEncoder(bins)
    ab = torch.rand(2, 2, 6, 7, generator=torch.Generator().manual_seed(0)) * 40 - 20
    index, weight = encode(ab)
    torch.testing.assert_close(weight.sum(-1), torch.ones(2, 6, 7))
    mean = (bins[index] * weight[..., None]).sum(-2)
    assert (mean.permute(0, 3, 1, 2) - ab).abs().max() < 3


def test_the_heaviest_bin_is_the_nearest() -> None:
    bins = ab_bins()
    ab = torch.rand(1, 2, 9, 9, generator=torch.Generator().manual_seed(2)) * 60 - 30
    index, weight = SoftEncoder(bins)(ab)
    assert (weight.argmax(-1) == 0).all()
    points = ab.round().permute(0, 2, 3, 1).reshape(-1, 2)
    nearest = torch.cdist(points, bins).min(dim=1).values
    chosen = (bins[index[..., 0]].reshape(-1, 2) - points).norm(dim=1)
    torch.testing.assert_close(chosen, nearest, atol=1e-3, rtol=0)


def test_colors_outside_the_table_are_encoded_at_its_edge() -> None:
    encode = SoftEncoder(ab_bins())
    far = encode(torch.full((1, 2, 1, 1), 500.0))
    edge = encode(torch.full((1, 2, 1, 1), 110.0))
    torch.testing.assert_close(far[1], edge[1])
    assert (far[0] == edge[0]).all()


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1.0])
def test_rebalancing_has_mean_one(uniform: float) -> None:
    frequency = torch.rand(50, generator=torch.Generator().manual_seed(0)) + 0.01
    weight = rebalancing_weights(frequency, uniform)
    assert (weight * frequency / frequency.sum()).sum().item() == pytest.approx(1, abs=1e-5)
    if uniform == 1:
        torch.testing.assert_close(weight, torch.ones(50))
    else:
        assert weight[frequency.argmin()] == weight.max()


def test_annealed_mean_limits() -> None:
    bins, logits = ab_bins(), _logits()
    likeliest = bins[logits.argmax(1)].permute(0, 3, 1, 2)
    torch.testing.assert_close(annealed_mean(logits, bins, 1e-5), likeliest, atol=0.1, rtol=0)
    plain = torch.einsum("bkhw,kc->bchw", logits.softmax(1), bins)
    torch.testing.assert_close(annealed_mean(logits, bins, 1.0), plain)
    flat = bins.mean(0).reshape(1, 2, 1, 1).expand(2, 2, 3, 4)
    torch.testing.assert_close(annealed_mean(logits, bins, 1e6), flat, atol=0.01, rtol=0)
    with pytest.raises(ValueError, match="temperature"):
        annealed_mean(logits, bins, 0.0)


TWO = Decoding(
    temperature=0.2, broad_temperature=1.0, broad_cells=1.5, broad_gain=0.9, fine_gain=1.3
)


def test_one_temperature_is_the_annealed_mean() -> None:
    bins, logits = ab_bins(), _logits()
    one = decode(logits, bins, Decoding(temperature=0.4))
    torch.testing.assert_close(one, annealed_mean(logits, bins, 0.4))


def test_a_plain_surface_has_the_warm_mean() -> None:
    bins = ab_bins()
    logits = _logits()[:, :, :1, :1].expand(-1, -1, 12, 15)
    expected = 0.9 * annealed_mean(logits, bins, 1.0)
    torch.testing.assert_close(decode(logits, bins, TWO), expected, atol=1e-3, rtol=0)


def test_what_varies_from_cell_to_cell_is_cold() -> None:
    bins = ab_bins()
    board = (torch.arange(40)[:, None] + torch.arange(40)) % 2 == 1
    logits = torch.where(board, _logits()[:, :, :1, :1], _logits(1)[:, :, :1, :1])
    ab, cold = decode(logits, bins, TWO), annealed_mean(logits, bins, 0.2)
    varies, varies_cold = (x[..., 20, 20] - x[..., 20, 21] for x in (ab, cold))
    torch.testing.assert_close(varies, 1.3 * varies_cold, atol=0.1, rtol=0.02)


def test_an_adversary_moves_only_what_is_fine() -> None:
    bins = ab_bins()

    def push(learn_broad: bool) -> float:
        """How far one place's colour follows when all places change alike."""
        logits = _logits()[:, :, :1, :1].repeat(1, 1, 25, 25).requires_grad_()
        decode(logits, bins, TWO, learn_broad=learn_broad)[..., 12, 12].sum().backward()
        assert logits.grad is not None
        assert logits.grad.abs().max() > 1e-3
        return logits.grad.sum((2, 3)).abs().max().item()

    assert push(learn_broad=False) < 1e-4
    assert push(learn_broad=True) > 0.1


def test_blur_keeps_level_and_spreads_a_point_as_a_gaussian() -> None:
    point = torch.zeros(1, 2, 31, 31)
    point[..., 15, 15] = 1
    blurred = blur(point, 2.0)
    torch.testing.assert_close(blurred.sum((2, 3)), torch.ones(1, 2))
    falls = blurred[0, 0, 15, 17] / blurred[0, 0, 15, 15]
    assert falls.item() == pytest.approx(math.exp(-(2**2) / (2 * 2**2)), rel=1e-4)
    torch.testing.assert_close(
        blur(torch.full((1, 3, 2, 1), 7.0), 4.0), torch.full((1, 3, 2, 1), 7.0)
    )


def test_confidence_is_0_for_no_idea_and_1_for_certain() -> None:
    assert confidence(torch.zeros(1, 9, 2, 2)).abs().max() < 1e-6
    certain = torch.zeros(1, 9, 2, 2)
    certain[:, 4] = 200
    torch.testing.assert_close(confidence(certain), torch.ones(1, 2, 2))


def test_sampling_repeats_by_seed_and_differs_between_seeds() -> None:
    bins, logits = ab_bins(), _logits()
    first = sample_ab(logits, bins, Decoding(temperature=0.3), seed=1)
    torch.testing.assert_close(first, sample_ab(logits, bins, Decoding(temperature=0.3), seed=1))
    assert (first - sample_ab(logits, bins, Decoding(temperature=0.3), seed=2)).abs().max() > 1


def test_sampling_follows_the_distribution() -> None:
    """Likelier colours are drawn more often, and what is certain stays as it is."""
    bins = torch.tensor([[0.0, 0.0], [60.0, 0.0], [0.0, 60.0]])
    p = torch.tensor([0.6, 0.3, 0.1])
    logits = p.log().reshape(1, 3, 1, 1).expand(300, 3, 1, 1)
    drawn = sample_ab(logits, bins, Decoding(temperature=1e-3), seed=0)[:, :, 0, 0]
    share = (torch.cdist(drawn, bins).argmin(1)[:, None] == torch.arange(3)).float().mean(0)
    assert share[0] > share[1] > share[2] > 0.02
    certain = torch.tensor([30.0, 0.0, 0.0]).reshape(1, 3, 1, 1).expand(50, 3, 1, 1)
    assert sample_ab(certain, bins, Decoding(temperature=0.3), seed=0).abs().max() < 1e-3


def test_sampling_gives_objects_a_colour_each_and_no_confetti() -> None:
    bins = ab_bins()
    logits = -((bins - torch.tensor([20.0, 0.0])) ** 2).sum(1) / 3000  # broad: anything goes
    logits = logits.reshape(1, -1, 1, 1).repeat(1, 1, 24, 24)
    other = -((bins - torch.tensor([-20.0, 0.0])) ** 2).sum(1) / 3000
    logits[..., 12:] = other.reshape(1, -1, 1, 1)
    draws = [sample_ab(logits, bins, Decoding(temperature=0.3), seed=seed) for seed in range(8)]
    shift = [draw - annealed_mean(logits, bins, 0.3) for draw in draws]
    left = torch.stack([s[0, :, :, 2:10].mean((1, 2)) for s in shift])
    right = torch.stack([s[0, :, :, 14:22].mean((1, 2)) for s in shift])
    assert (left - right).norm(dim=1).mean() > 5  # two objects, two draws
    rough = torch.stack([d[0, :, :, :10].diff(dim=2).abs().mean() for d in draws])
    assert rough.mean() < 4  # neighbours agree


def test_cross_entropy_is_that_of_torch_and_has_right_gradients() -> None:
    logits = _logits(count=20).double().requires_grad_()
    generator = torch.Generator().manual_seed(3)
    index = torch.rand(2, 3, 4, 20, generator=generator).argsort(-1)[..., :5]
    weight = torch.rand(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    weight = weight / weight.sum(-1, keepdim=True)
    target = torch.zeros(2, 3, 4, 20, dtype=torch.float64).scatter(-1, index, weight)
    expected = torch.nn.functional.cross_entropy(logits, target.permute(0, 3, 1, 2))
    loss = soft_cross_entropy(logits, index, weight, torch.ones(20, dtype=torch.float64))
    torch.testing.assert_close(loss.double(), expected, atol=1e-5, rtol=1e-5)
    ours = torch.autograd.grad(loss, logits)[0]
    logits2 = logits.detach().clone().requires_grad_()
    reference = torch.nn.functional.cross_entropy(logits2, target.permute(0, 3, 1, 2))
    torch.testing.assert_close(
        ours, torch.autograd.grad(reference, logits2)[0], atol=1e-6, rtol=1e-4
    )
