"""Convolutions that are matrix products in training: the same sums, where they apply, how fast."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from recolor_cli.models.coarse import MOST_ROWS, DoublingConv, HalvingConv
from recolor_cli.models.layers import dense_gradient
from recolor_cli.models.pix2pix import Pix2PixUNet

CASES = [(HalvingConv, F.conv2d), (DoublingConv, F.conv_transpose2d)]


class Calls(TorchDispatchMode):
    """The names of all operators that ran."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def convolved(module: nn.Module, x: Tensor) -> bool:
    with Calls() as calls:
        module(x)
    return any("convolution" in name for name in calls.names)


@pytest.mark.parametrize(("kind", "reference"), CASES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(2, 2), (4, 6), (8, 2)])
def test_sums_and_gradients_are_the_convolutions(kind, reference, layout, size) -> None:
    torch.manual_seed(0)
    module = kind(3, 5).double().to(memory_format=layout)
    x = torch.randn(2, 3, *size, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    assert not convolved(module, x)
    output = module(x)
    expected = reference(x, module.weight, stride=2, padding=1)
    torch.testing.assert_close(output, expected)
    direction = torch.randn_like(expected)
    inputs = (x, module.weight)
    torch.testing.assert_close(
        torch.autograd.grad(output, inputs, direction),
        torch.autograd.grad(expected, inputs, direction),
    )


@pytest.mark.parametrize("kind", [HalvingConv, DoublingConv])
def test_gradients_of_gradients(kind) -> None:
    torch.manual_seed(0)
    module = kind(2, 2).double()
    x = torch.randn(1, 2, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(module, (x,))


@pytest.mark.parametrize(("kind", "reference"), CASES)
def test_only_in_training_and_only_of_small_maps(kind, reference) -> None:
    torch.manual_seed(0)
    module = kind(2, 4)
    small = torch.randn(1, 2, 4, 4)
    side = int(MOST_ROWS**0.5) * (2 if kind is HalvingConv else 1)
    most, more = torch.randn(1, 2, side, side), torch.randn(2, 2, side, side)
    assert [convolved(module, x) for x in (small, most, more)] == [False, False, True]
    module.eval()
    assert convolved(module, small)
    assert torch.equal(module(small), reference(small, module.weight, stride=2, padding=1))


@pytest.mark.parametrize(("kind", "reference"), CASES)
def test_bfloat16_is_as_near_as_a_convolution_in_it(kind, reference) -> None:
    torch.manual_seed(0)
    module = kind(64, 32)
    x = torch.randn(2, 64, 8, 8).relu()
    exact = reference(x.double(), module.weight.detach().double(), stride=2, padding=1)

    def error(y: Tensor) -> float:
        assert y.dtype == torch.bfloat16
        return ((y.detach().double() - exact).norm() / exact.norm()).item()

    with torch.autocast("cpu", torch.bfloat16):
        direct = error(reference(x, module.weight, stride=2, padding=1))
        assert error(module(x)) < 1.5 * direct


def test_a_concatenation_gives_back_a_dense_gradient() -> None:
    seen: list[Tensor] = []
    for layout in (torch.channels_last, torch.contiguous_format):
        x = torch.randn(2, 8, 4, 4).to(memory_format=layout).requires_grad_()
        inner = x * 1
        y = torch.cat((dense_gradient(inner), x.detach()), dim=1)
        inner.register_hook(seen.append)
        y.backward(torch.arange(y.numel()).view_as(y).float())
        assert seen[-1].is_contiguous(memory_format=layout)
        assert torch.equal(x.grad, torch.arange(y.numel()).view_as(y).float()[:, :8])
    with torch.no_grad():
        assert dense_gradient(x) is x


def test_the_unet_trains_through_products_as_through_convolutions(monkeypatch) -> None:
    torch.manual_seed(0)
    network = Pix2PixUNet(levels=5, base=4, dropout=0.0).double()
    assert list(network.state_dict()) == list(Pix2PixUNet(levels=5, base=4).state_dict())
    gray = torch.randn(2, 1, 32, 32, dtype=torch.float64)

    def gradients() -> tuple[Tensor, ...]:
        return torch.autograd.grad(network(gray).square().sum(), list(network.parameters()))

    products = gradients()
    monkeypatch.setattr("recolor_cli.models.coarse.MOST_ROWS", 0)
    assert convolved(network, gray)
    torch.testing.assert_close(gradients(), products)
