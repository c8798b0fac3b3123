"""Every network: sizes, counts, determinism, gradients; and what each report's network promises."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from recolor_cli.color.spaces import SPACES, predict
from recolor_cli.errors import UsageError
from recolor_cli.models import DISCRIMINATORS, MODELS, create_discriminator, create_model
from recolor_cli.models.initialization import INITIALIZERS, normal_init, xavier_init
from recolor_cli.models.layers import HalvingPointwise, PixelShuffleUp
from recolor_cli.models.noise import NoisyDropout, set_noise
from recolor_cli.models.patch_critic import cut_patches
from recolor_cli.models.sizes import center_crop

# Narrow versions that run in milliseconds; networks without a width run as they are.
SMALL = {
    "pix2pix-unet": {"levels": 5, "base": 4},
    "cropped-unet": {"base": 8},
    "vanilla-unet": {"base": 4},
    "residual-unet": {"base": 4},
    "autoencoder": {"base": 4},
    "resnet-generator": {"base": 4, "blocks": 2},
    "patchgan": {"base": 4},
    "divisor-critic": {"base": 4},
    "feature-critic": {"base": 4},
}
SIDE = 64  # a multiple of every small network's stride
GENERATORS = sorted(MODELS)
REPORTS = sorted({"resnet18-unet", *SMALL} - set(DISCRIMINATORS))


def build(name: str, seed: int = 0, **arguments: object) -> nn.Module:
    torch.manual_seed(seed)
    create = create_model if name in MODELS else create_discriminator
    return create(name, **{**SMALL.get(name, {}), **arguments})


@cache
def ready(name: str) -> nn.Module:
    """One network in eval mode, shared by the tests that only look."""
    return build(name).eval()


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def luminance(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 100


# --- Parameter counts, without memory for the parameters ---


@pytest.mark.parametrize(
    ("name", "arguments", "stated"),
    [
        ("pix2pix-unet", {}, 54_409_858),  # 000 table 7
        ("cropped-unet", {"variant": "simple", "out_channels": 3}, 570_825),  # 000 table 4
        ("cropped-unet", {"variant": "normal"}, 2_327_558),  # 000 table 5
        ("patchgan", {}, 2_765_633),  # 000 table 6
    ],
)
def test_parameter_counts_are_those_of_the_reports(name, arguments, stated):
    create = create_model if name in MODELS else create_discriminator
    with torch.device("meta"):
        assert count(create(name, **arguments)) == stated


def test_the_simple_unet_with_the_channels_of_its_table_is_291_parameters_short():
    # Table 4 ends in (32, 2), its total is that of (32, 3): 288 weights, a bias, two of the norm.
    with torch.device("meta"):
        assert 570_825 - count(create_model("cropped-unet", variant="simple")) == 3 * 3 * 32 + 1 + 2


def test_seven_levels_are_eight_without_one_inner_level():
    with torch.device("meta"):
        eight, seven = (count(create_model("pix2pix-unet", levels=n)) for n in (8, 7))
    level = 4 * 4 * 512 * 512 + 4 * 4 * 1024 * 512 + 2 * 2 * 512  # down, up, two norms
    assert eight - seven == level


# --- Every generator ---


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_answer_for_the_whole_picture_in_lab(name):
    network = ready(name)
    L = luminance(2, 1, SIDE, SIDE * 2)
    answer = predict(network, L, SPACES[network.space])
    assert torch.isfinite(answer.ab).all()
    scale = SIDE / answer.ab.shape[2]
    assert answer.ab.shape == (2, 2, SIDE / scale, SIDE * 2 / scale)
    assert SIDE % network.stride == 0


@pytest.mark.parametrize("name", GENERATORS)
def test_the_same_seed_gives_the_same_network_and_the_same_answer(name):
    x = torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        first, again = build(name, seed=3).eval()(x), build(name, seed=3).eval()(x)
        other = build(name, seed=4).eval()(x)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", GENERATORS)
def test_pictures_of_a_batch_do_not_touch_each_other_in_eval_mode(name):
    x = torch.randn(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        together, alone = ready(name)(x), ready(name)(x[:1])
    torch.testing.assert_close(together[:1], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [*GENERATORS, *sorted(DISCRIMINATORS)])
def test_gradients_reach_every_parameter(name):
    network = build(name).train()
    with torch.no_grad():
        for parameter in network.parameters():  # layers that start at zero hide those before them
            parameter.add_(torch.randn_like(parameter) * 0.02)
    channels = 1 if name in MODELS else 3
    output = network(torch.randn(2, channels, SIDE, SIDE))
    (output * torch.randn_like(output)).mean().backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert torch.isfinite(parameter.grad).all(), path
        if parameter.ndim > 1:  # a bias before a batch norm has no effect, by definition
            assert parameter.grad.abs().max() > 0, path


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize(("channels", "space"), [(2, "lab"), (3, "rgb")])
def test_output_channels_choose_the_color_space(name, channels, space):
    with torch.device("meta"):
        network = build(name, out_channels=channels)
        output = network.eval()(torch.zeros(1, 1, SIDE, SIDE))
    assert network.space == space
    assert output.shape == (1, channels, SIDE, SIDE)


@pytest.mark.parametrize("name", sorted(set(REPORTS) - {"resnet18-unet"}))
def test_networks_that_end_in_tanh_stay_in_range_and_refuse_sizes_that_do_not_fit(name):
    network = ready(name)
    with torch.no_grad():
        assert network(torch.randn(1, 1, SIDE, SIDE) * 50).abs().max() <= 1
    with pytest.raises(ValueError, match=f"multiples of {network.stride}, got {SIDE} x {SIDE + 1}"):
        network(torch.zeros(1, 1, SIDE, SIDE + 1))


def test_the_resnet18_unet_takes_any_size():
    with torch.no_grad():
        assert ready("resnet18-unet")(torch.randn(1, 1, 65, 47)).shape == (1, 2, 65, 47)


# --- Single promises ---


def test_dropout_is_the_noise_z_only_when_asked_for():
    network = build("pix2pix-unet").eval()
    x = torch.randn(1, 1, SIDE, SIDE)
    with torch.no_grad():
        assert torch.equal(network(x), network(x))
        assert set_noise(network, True) == 3
        draws = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            draws.append(network(x))
        assert torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])
        set_noise(network, False)
        assert torch.equal(network(x), network(x))
    assert set_noise(ready("vanilla-unet"), True) == 0


def test_pix2pix_drops_out_in_its_three_innermost_up_steps():
    network = create_model("pix2pix-unet", base=2)
    rates = [[m.p for m in step if isinstance(m, NoisyDropout)] for step in network.up]
    assert rates == [[0.5], [0.5], [0.5], [], [], [], []]


@pytest.mark.parametrize(("variant", "side", "left"), [("simple", 200, 176), ("normal", 200, 154)])
def test_unpadded_unets_crop_in_training_and_cover_the_picture_after_it(variant, side, left):
    network = build("cropped-unet", variant=variant, base=2)
    x = torch.randn(2, 1, side, side)
    with torch.no_grad():
        assert network.train()(x).shape == (2, 2, left, left)
        assert network.eval()(x).shape == (2, 2, side, side)
    assert side - 2 * network.margin == left


@pytest.mark.parametrize("variant", ["simple", "normal"])
def test_the_mirrored_border_does_not_change_or_move_the_middle(variant):
    network = build("cropped-unet", variant=variant, base=4).eval()
    x = torch.randn(1, 1, 96, 96)
    with torch.no_grad():
        whole, middle = network(x), network._valid(x)
    torch.testing.assert_close(center_crop(whole, *middle.shape[-2:]), middle)


def test_mirroring_needs_a_picture_larger_than_the_margin():
    with pytest.raises(ValueError, match="a mirrored margin of 12 pixels needs more than 12"):
        build("cropped-unet").eval()(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("start", sorted(INITIALIZERS))
def test_upsampling_is_constant_in_each_block_at_the_start(start):
    network = build("resnet18-unet")
    INITIALIZERS[start](network)
    layers = [module for module in network.modules() if isinstance(module, PixelShuffleUp)]
    assert len(layers) == 5
    for layer in layers:
        with torch.no_grad():
            up = layer(torch.randn(1, layer.conv.in_channels, 5, 3))
        assert up.shape[-2:] == (10, 6)
        blocks = up.unfold(2, 2, 2).unfold(3, 2, 2)
        assert torch.equal(blocks, blocks[..., :1, :1].expand_as(blocks))
        assert up.std() > 0


def test_normal_and_xavier_start_have_their_standard_deviation():
    network = create_model("pix2pix-unet", levels=5, base=32)
    inner = network.up[0][1].weight
    normal_init(network)
    assert inner.std().item() == pytest.approx(0.02, rel=0.02)
    assert network.down[1][2].weight.mean().item() == pytest.approx(1, abs=0.02)
    assert network.head[1].bias.abs().max() == 0
    xavier_init(network, gain=1.0)
    fans = (inner.shape[0] + inner.shape[1]) * 16
    assert inner.std().item() == pytest.approx((2 / fans) ** 0.5, rel=0.02)


def test_the_backbone_of_the_resnet18_unet_is_torchvisions_resnet18():
    from recolor_cli.torchvision_import import import_torchvision

    import_torchvision()
    from torchvision.models import resnet18

    torch.manual_seed(0)
    theirs = resnet18(weights=None).eval()
    network = build("resnet18-unet").eval()
    network.load_backbone(theirs.state_dict())
    gray = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(gray.expand(-1, 3, -1, -1)))))
        for stage, ours in zip("1234", network.backbone(gray)[1:], strict=True):
            x = getattr(theirs, f"layer{stage}")(x)
            torch.testing.assert_close(ours, x, atol=1e-4, rtol=1e-4)


def test_a_backbone_that_lacks_tensors_is_refused():
    network = ready("resnet18-unet")
    tensors = dict(network.backbone.state_dict()) | {"conv1.weight": torch.zeros(64, 3, 7, 7)}
    before = network.backbone.conv1.weight.clone()
    del tensors["layer4.1.conv2.weight"]
    with pytest.raises(ValueError, match=r"not a resnet18 .* 'layer4.1.conv2.weight' is missing"):
        network.load_backbone(tensors)
    tensors["layer4.1.conv2.weight"] = torch.zeros(512, 512, 1, 1)
    with pytest.raises(ValueError, match=r"'layer4.1.conv2.weight' is \(512, 512, 1, 1\), not"):
        network.load_backbone(tensors)
    assert torch.equal(before, network.backbone.conv1.weight)


@pytest.mark.parametrize(("height", "width"), [(8, 6), (7, 5), (1, 1)])
def test_a_pointwise_convolution_of_stride_two_is_one(height, width):
    ours = HalvingPointwise(3, 5)
    theirs = nn.Conv2d(3, 5, 1, 2, bias=False)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, height, width)  # not channels last, where the other one may die
    found = []
    for conv in (ours, theirs):
        inside = x.clone().requires_grad_(True)
        y = conv(inside)
        y.square().sum().backward()
        found.append((y, inside.grad, conv.weight.grad))
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other)


# --- Discriminators ---


@pytest.mark.parametrize(("side", "verdicts"), [(256, 30), (128, 14)])
def test_the_patchgan_gives_one_verdict_a_patch(side, verdicts):
    with torch.device("meta"):
        network = create_discriminator("patchgan")
        assert network(torch.zeros(1, 3, side, side)).shape == (1, 1, verdicts, verdicts)


def test_a_verdict_of_the_patchgan_sees_70_by_70_pixels():
    network = ready("patchgan")
    picture = torch.randn(1, 3, 256, 256, requires_grad=True)
    network(picture)[0, 0, 15, 15].backward()
    seen = picture.grad.abs().amax((0, 1)) > 0
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (70, 70)


@pytest.mark.parametrize(("norm", "apart"), [("instance", True), ("none", True), ("batch", False)])
def test_only_batch_norm_lets_pictures_of_a_batch_judge_each_other(norm, apart):
    network = build("patchgan", norm=norm).train()
    pictures = torch.randn(2, 3, SIDE, SIDE)
    alone, together = network(pictures[:1]), network(pictures)[:1]
    assert torch.allclose(alone, together, atol=1e-4) == apart


def test_spectral_norm_bounds_every_convolution_of_the_patchgan():
    network = build("patchgan", norm="spectral", base=8).train()
    pictures = torch.randn(2, 3, SIDE, SIDE)
    for _ in range(50):  # each pass is a step of the power iteration
        network(pictures)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            largest = torch.linalg.matrix_norm(module.weight.detach().flatten(1), 2)
            assert largest.item() == pytest.approx(1, 0.05)


def test_patches_are_squares_of_the_picture_row_by_row():
    picture = torch.arange(2 * 3 * 9 * 13).reshape(2, 3, 9, 13).float()
    patches = cut_patches(picture, 3)
    assert patches.shape == (18, 3, 3, 4)
    middle = center_crop(picture, 9, 12)
    assert torch.equal(patches[1], middle[0, :, 0:3, 4:8])
    assert torch.equal(patches[9 + 5], middle[1, :, 3:6, 8:12])
    with pytest.raises(ValueError, match="cannot cut 2 x 9 pixels into 3 x 3 patches"):
        cut_patches(torch.zeros(1, 3, 2, 9), 3)


@pytest.mark.parametrize("variant", ["simple", "normal"])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_a_divisor_critic_is_the_mean_of_its_verdicts_on_patches(variant, sigmoid):
    network = build("divisor-critic", variant=variant, sigmoid=sigmoid, divisor=2).eval()
    picture = torch.randn(3, 3, 38, 38)
    with torch.no_grad():
        verdict = network(picture)
        network.divisor = 1
        quarters = [picture[..., y : y + 19, x : x + 19] for y in (0, 19) for x in (0, 19)]
        mean = torch.stack([network(quarter) for quarter in quarters]).mean(0)
    assert verdict.shape == (3, 1)
    torch.testing.assert_close(verdict, mean)


def test_simple_and_normal_critics_have_three_and_five_convolutions():
    for variant, convs in (("simple", 3), ("normal", 5)):
        network = build("divisor-critic", variant=variant)
        assert sum(isinstance(m, nn.Conv2d) for m in network.modules()) == convs
        assert sum(isinstance(m, nn.Linear) for m in network.modules()) == 1


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_verdicts_are_bounded_only_with_a_sigmoid(name):
    picture = torch.randn(2, 3, SIDE, SIDE) * 1000
    for sigmoid in (False, True):
        network = build(name, sigmoid=sigmoid, norm="none")
        normal_init(network, std=1.0)
        with torch.no_grad():
            verdicts = network(picture)
        assert (verdicts.abs().max() <= 1) == sigmoid


# --- Errors ---


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("pix2pix-unit", {}, "no network named 'pix2pix-unit'; did you mean 'pix2pix-unet'?"),
        ("?", {}, r"no network named '\?'; known: bins-unet, pix2pix-unet"),
        ("pix2pix-unet", {"level": 3}, "network 'pix2pix-unet' cannot be built; .*'level'"),
        ("pix2pix-unet", {"levels": 1}, "levels must be 2 or more, got 1"),
        ("vanilla-unet", {"levels": 0}, "levels must be 1 or more, got 0"),
        ("cropped-unet", {"variant": "big"}, r"variant must be one of \['normal', 'simple'\]"),
        ("autoencoder", {"out_channels": 4}, r"out_channels must be 2 \(ab\) or 3 \(RGB\), got 4"),
    ],
)
def test_networks_that_cannot_be_built_say_why(name, arguments, text):
    with pytest.raises(UsageError, match=text):
        create_model(name, **arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("patchgen", {}, "no discriminator named 'patchgen'; did you mean 'patchgan'?"),
        (
            "patchgan",
            {"norm": "layer"},
            "norm must be one of batch, instance, spectral, none, got 'layer'",
        ),
        ("divisor-critic", {"divisor": 0}, "divisor must be 1 or more, got 0"),
        ("divisor-critic", {"norm": "instance"}, "norm must be one of batch, none"),
        ("divisor-critic", {"variant": "big"}, "variant must be one of"),
    ],
)
def test_discriminators_that_cannot_be_built_say_why(name, arguments, text):
    with pytest.raises(UsageError, match=text):
        create_discriminator(name, **arguments)


def test_cropping_to_more_than_there_is_fails():
    with pytest.raises(ValueError, match=r"cannot crop \(3, 4\) to \(4, 4\)"):
        center_crop(torch.zeros(1, 1, 3, 4), 4, 4)
