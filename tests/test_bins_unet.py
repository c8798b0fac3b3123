"""The default network: its encoders, what joins them, and growing it from a smaller one."""

import re
from dataclasses import replace

import pytest
import torch

from recolor_cli.checkpoints import Card, load_weights, save_weights
from recolor_cli.errors import RecipeError, UsageError, WeightsError
from recolor_cli.models import create_model
from recolor_cli.models.encoders import ResNet18Encoder
from recolor_cli.recipes import get_recipe
from recolor_cli.training.networks import (
    build_generator,
    freeze_generator,
    generator_groups,
    start_generator,
)

THIN = {"encoder": "resnet18", "tail": 32, "widths": (32, 32, 16, 16)}
PAIR = THIN | {"second_encoder": "mobilenetv2"}


def recipe(arguments=PAIR, **fields):
    plain = {"encoder_weights": "", "second_encoder_weights": "", "init": ""}
    return replace(get_recipe("base"), network_arguments=arguments, **(plain | fields))


def saved(path, network, arguments):
    card = Card(
        network="bins-unet", arguments=arguments, color={"space": "lab-bins"}, input_size=64
    )
    save_weights(path, network, card)
    return str(path)


@pytest.mark.parametrize("side", [(64, 96), (32, 32)])
def test_two_encoders_give_logits_at_a_quarter_of_the_size(side):
    network = create_model("bins-unet", **PAIR).eval()
    logits = network(torch.randn(2, 1, *side))
    assert logits.shape == (2, len(network.bins), side[0] // 4, side[1] // 4)


def test_two_encoders_need_maps_at_the_same_strides():
    with pytest.raises(UsageError, match="two encoders join at strides 16 and 32"):
        create_model("bins-unet", **(PAIR | {"tail": 0, "widths": (32, 32, 16)}))


@pytest.mark.parametrize("arguments", [THIN, PAIR])
def test_in_bf16_the_head_and_the_second_encoder_stay_exact(tmp_path, arguments):
    path = saved(tmp_path / "w.safetensors", create_model("bins-unet", **arguments), arguments)
    luminance = torch.rand(1, 1, 64, 96) * 100
    exact = load_weights(path).predict(luminance).ab
    model = load_weights(path).to(dtype=torch.bfloat16)
    kept = {
        name.split(".")[0] for name, p in model.network.named_parameters() if p.dtype.itemsize == 4
    }
    assert kept == {"head"} | ({"second_encoder"} & arguments.keys())
    torch.testing.assert_close(model.predict(luminance).ab, exact, atol=4, rtol=0)


def test_freezing_stops_both_encoders_at_the_stride():
    network = create_model("bins-unet", **PAIR)
    freeze_generator(recipe(freeze_encoder_to_stride=16), network)
    for encoder in network.encoders():
        for block, stride in encoder.staged_blocks():
            assert all(p.requires_grad == (stride > 16) for p in block.parameters())
    groups = generator_groups(recipe(freeze_encoder_to_stride=16), network)
    moved = {id(p) for params, _ in groups for p in params}
    assert moved == {id(p) for p in network.parameters() if p.requires_grad}


def test_a_grown_network_begins_with_what_the_smaller_one_said(tmp_path):
    torch.manual_seed(1)
    small = create_model("bins-unet", **THIN).eval()
    path = saved(tmp_path / "small.safetensors", small, THIN)
    grown = build_generator(recipe(init=path, init_grow=True)).eval()
    start_generator(recipe(init=path, init_grow=True), grown)
    gray = torch.rand(2, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(grown(gray), small(gray), atol=1e-4, rtol=1e-4)
    grown.train()(gray).square().mean().backward()  # and what is new has something to learn
    assert grown.bottleneck[0].weight.grad[:, 32:].abs().max() > 0


def test_growing_is_asked_for_and_never_shrinks(tmp_path):
    small = saved(tmp_path / "small.safetensors", create_model("bins-unet", **THIN), THIN)
    large = saved(tmp_path / "large.safetensors", create_model("bins-unet", **PAIR), PAIR)
    with pytest.raises(WeightsError, match="does not fit"):
        start_generator(recipe(init=small), build_generator(recipe()))
    with pytest.raises(WeightsError, match="does not fit"):
        start_generator(recipe(THIN, init=large, init_grow=True), build_generator(recipe(THIN)))


@pytest.mark.parametrize(
    ("arguments", "weights", "text"),
    [
        (THIN, "shipped", "no second encoder"),
        (PAIR, "torchvision", "must be a file or 'shipped'"),
        (PAIR, "absent.safetensors", "absent.safetensors"),
    ],
)
def test_second_encoder_weights_that_cannot_be_had(arguments, weights, text):
    wanted = recipe(arguments, second_encoder_weights=weights)
    with pytest.raises((RecipeError, WeightsError), match=re.escape(text)):
        start_generator(wanted, build_generator(wanted))


def test_batch_norm_of_published_resnet18_weights_is_folded():
    from recolor_cli.torchvision_import import import_torchvision

    import_torchvision()
    from torchvision.models import resnet18

    torch.manual_seed(0)
    theirs = resnet18(weights=None).train()
    with torch.no_grad():
        theirs(torch.randn(8, 3, 64, 64))  # running statistics that are not 0 and 1
    theirs.eval()
    ours = ResNet18Encoder().eval()
    ours.load_imagenet(theirs.state_dict())
    x = torch.randn(1, 64, 16, 16)
    with torch.no_grad():
        for stage, layer in zip("123", ours.layers, strict=True):
            wanted = getattr(theirs, f"layer{stage}")(x)
            torch.testing.assert_close(layer(x), wanted, atol=1e-4, rtol=1e-4)
            x = wanted
        gray = torch.rand(1, 1, 64, 64)
        mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        wanted = theirs.bn1(theirs.conv1((gray - mean) / std))
        inside = (..., slice(2, -2), slice(2, -2))  # the padding is mid-grey here, the mean there
        torch.testing.assert_close(
            ours.conv1(gray * 2 - 1)[inside], wanted[inside], atol=1e-4, rtol=1e-4
        )


def test_the_edge_aware_mean_stays_on_its_side_of_an_edge():
    from recolor_cli.models.base import EdgeAwareMean

    gray = torch.full((1, 1, 128, 128), -0.8)
    gray[..., 64:] = 0.8
    features = torch.randn(1, 3, 32, 32)
    features[..., 16:] += 50
    calm = EdgeAwareMean(4.0, 10.0)(features, gray)
    left, right = calm[..., :16], calm[..., 16:]
    assert left.abs().max() < 3, "nothing of the 50 comes over the edge"
    assert (right - 50).abs().max() < 3
    assert left.std() < 0.5 * features[..., :16].std(), "neighbours agree better than before"
    flat = EdgeAwareMean(4.0, 10.0)(torch.ones(1, 3, 32, 32), torch.randn(1, 1, 128, 128))
    torch.testing.assert_close(flat, torch.ones_like(flat))


def test_the_nearest_cells_take_away_what_sparse_places_leave():
    from recolor_cli.models.base import EdgeAwareMean

    gray = torch.zeros(1, 1, 128, 128)
    features = torch.zeros(1, 1, 32, 32)
    features[..., 16, 16] = 1.0  # one cell that is sure of another colour
    far = EdgeAwareMean(7.0, 3.0)(features, gray)
    near = EdgeAwareMean(2**0.5, 4.0)(far, gray)

    def roughness(x: torch.Tensor) -> float:
        return float(x.diff(dim=-1).abs().sum() / x.sum())

    assert (far[0, 0] > 0).sum() == 21, "as many single specks as there are places"
    assert roughness(near) < 0.5 * roughness(far)


def test_the_calm_adds_no_numbers_to_the_file():
    plain = create_model("bins-unet", encoder="mobilenetv2")
    calm = create_model("bins-unet", encoder="mobilenetv2", calm_cells=4.2, calm_near_lightness=4.0)
    assert set(calm.state_dict()) == set(plain.state_dict())
    calm.load_state_dict(plain.state_dict())
    gray = torch.rand(1, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        one, two = plain.eval()(gray), calm.eval()(gray)
    assert one.shape == two.shape
    assert not torch.allclose(one, two)


@pytest.mark.parametrize("arguments", [{"calm_cells": -1}, {"calm_cells": 4, "calm_lightness": 0}])
def test_a_calm_without_reach_is_refused(arguments):
    with pytest.raises(UsageError, match="calm_cells and calm_lightness must be above 0"):
        create_model("bins-unet", **arguments)
