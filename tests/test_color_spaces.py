"""What a network says of a picture: one look, or two."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from recolor_cli.color.bins import annealed_mean
from recolor_cli.color.decoding import Decoding
from recolor_cli.color.spaces import SPACES, predict

ONE = Decoding(temperature=1.0)
TWO = replace(ONE, second_size=0.5, second_weight=0.25)


class Sees(nn.Module):
    """Sure of one colour in large pictures, of another in small ones; keeps what it saw."""

    stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.anything = nn.Parameter(torch.zeros(1))
        self.register_buffer("bins", torch.tensor([[40.0, 0.0], [0.0, 40.0]]))
        self.shown: list[Tensor] = []

    def forward(self, gray: Tensor) -> Tensor:
        self.shown.append(gray)
        logits = torch.zeros(len(gray), 2, gray.shape[2] // 4, gray.shape[3] // 4)
        logits[:, 0 if gray.shape[-1] > 40 else 1] = 3.0
        return logits


def test_the_second_look_is_smaller_and_has_its_share() -> None:
    network = Sees()
    luminance = torch.rand(2, 1, 32, 64) * 100
    ab = predict(network, luminance, SPACES["lab-bins"], decoding=TWO).ab
    assert [tuple(gray.shape[-2:]) for gray in network.shown] == [(32, 64), (16, 32)]
    assert ab.shape == (2, 2, 8, 16)
    log_p = torch.log_softmax(torch.tensor([3.0, 0.0]), 0)
    mean = 0.75 * log_p + 0.25 * log_p.flip(0)
    expected = annealed_mean(mean.reshape(1, 2, 1, 1), network.get_buffer("bins"), 1.0)
    torch.testing.assert_close(ab, expected.expand_as(ab))


@pytest.mark.parametrize(
    ("side", "share", "again"), [(8, 0.5, None), (24, 0.625, 16), (24, 1.0, None), (64, 0.1, 8)]
)
def test_second_looks_fit_the_network(side: int, share: float, again: int | None) -> None:
    network = Sees()
    how = replace(TWO, second_size=share)
    predict(network, torch.full((1, 1, side, side), 50.0), SPACES["lab-bins"], decoding=how)
    assert [gray.shape[-1] for gray in network.shown] == [side] + ([again] if again else [])


def test_confidence_is_that_of_both_looks() -> None:
    luminance = torch.full((1, 1, 32, 64), 50.0)
    sure = predict(Sees(), luminance, SPACES["lab-bins"], decoding=ONE).confidence
    torn = predict(Sees(), luminance, SPACES["lab-bins"], decoding=TWO).confidence
    assert sure is not None
    assert torn is not None
    assert torn.max() < sure.min()
