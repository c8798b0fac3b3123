"""Lab on tensors: scikit-image's numbers, and gradients that training can use."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab

from recolor_cli.color.lab import rgb_to_lab as picture_to_lab
from recolor_cli.color.tensors import (
    constant,
    lab_to_rgb,
    luminance_to_gray,
    resize_area,
    rgb_to_lab,
)


def _rgb(height: int = 40, width: int = 30) -> torch.Tensor:
    rgb = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    rgb[:, :5] *= 0.03  # the straight foot of both curves
    rgb[:, 0, 0], rgb[:, 0, 1] = 0, 1
    return rgb


def test_lab_agrees_with_scikit_image() -> None:
    rgb = _rgb()
    expected = rgb2lab(rgb.permute(1, 2, 0).double().numpy())
    np.testing.assert_allclose(rgb_to_lab(rgb).permute(1, 2, 0), expected, atol=2e-3)


def test_rgb_agrees_with_scikit_image() -> None:
    lab = rgb_to_lab(_rgb())
    expected = lab2rgb(lab.permute(1, 2, 0).double().numpy())
    np.testing.assert_allclose(lab_to_rgb(lab).permute(1, 2, 0), expected, atol=1e-4)


def test_round_trip() -> None:
    rgb = _rgb()
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(rgb)), rgb, atol=1e-4, rtol=0)


def test_tensors_and_pictures_agree() -> None:
    pixels = (np.random.default_rng(0).random((20, 30, 3)) * 255).astype(np.uint8)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    difference = rgb_to_lab(tensor).permute(1, 2, 0).numpy() - picture_to_lab(pixels)
    assert np.abs(difference).max() < 0.03


def test_luminance_to_gray_is_the_gray_of_that_lightness() -> None:
    lightness = torch.linspace(0, 100, 101).reshape(1, 1, 101)
    gray = luminance_to_gray(lightness).expand(3, 1, 101)
    torch.testing.assert_close(rgb_to_lab(gray)[0], lightness[0], atol=1e-3, rtol=0)


def test_without_clamp_colors_outside_show_how_far() -> None:
    lab = torch.tensor([50.0, 0.0, -110.0]).reshape(3, 1, 1)
    assert lab_to_rgb(lab, clamp=False).max() > 1 or lab_to_rgb(lab, clamp=False).min() < 0
    assert 0 <= lab_to_rgb(lab).min() <= lab_to_rgb(lab).max() <= 1


def test_gradients_are_right() -> None:
    generator = torch.Generator().manual_seed(1)
    rgb = torch.rand(1, 3, 2, 2, generator=generator, dtype=torch.float64) * 0.8 + 0.1
    rgb.requires_grad_()
    assert torch.autograd.gradcheck(rgb_to_lab, (rgb,))
    lab = rgb_to_lab(rgb).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: lab_to_rgb(x, clamp=False), (lab,))


def test_gradients_are_finite_at_black_and_white() -> None:
    rgb = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2).repeat(1, 3, 1, 1).requires_grad_()
    lab_to_rgb(rgb_to_lab(rgb)).sum().backward()
    assert torch.isfinite(rgb.grad).all()


@pytest.mark.parametrize("shape", [(4, 5), (2, 5, 5), (1, 1, 8, 8)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        rgb_to_lab(torch.zeros(shape))
    with pytest.raises(ValueError, match="must be"):
        lab_to_rgb(torch.zeros(shape))


@pytest.mark.parametrize(("large", "small"), [((256, 192), (160, 128)), ((7, 5), (3, 5))])
def test_resize_area_is_that_of_opencv(large: tuple[int, int], small: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).random(large).astype(np.float32) * 100
    expected = cv2.resize(picture, small[::-1], interpolation=cv2.INTER_AREA)
    resized = resize_area(torch.from_numpy(picture)[None, None], small)[0, 0]
    np.testing.assert_allclose(resized, expected, atol=1e-3)


def test_what_an_exported_graph_met_first_still_has_its_numbers() -> None:
    class Halves(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * constant((0.5, 0.125), x)  # nobody else asks for these

    x = torch.tensor([8.0, 8.0])
    exported = torch.export.export(Halves(), (x,)).module()
    for network in (exported, Halves()):
        assert network(x).tolist() == [4.0, 1.0]
