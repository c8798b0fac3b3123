"""The critic on frozen features: what it loads, what it trains, what size it looks at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from train_fixtures import small, write_photos

from recolor_cli.color.spaces import SPACES
from recolor_cli.errors import RecipeError, WeightsError
from recolor_cli.models import create_discriminator
from recolor_cli.models.feature_critic import FeatureCritic
from recolor_cli.recipes import override
from recolor_cli.torchvision_import import import_torchvision
from recolor_cli.train import train
from recolor_cli.training.networks import build_discriminator, start_discriminator

SIDE = 64


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """torchvision's names and shapes, random values."""
    import_torchvision()
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    network = squeezenet1_1(weights=None)
    return {name: tensor.detach() for name, tensor in network.state_dict().items()}


def by_layer(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same network for BGR pictures of 0..255 minus the mean, by the names of its layers."""
    places = {3: 2, 4: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8, 12: 9}
    named = {}
    for name, tensor in published.items():
        if not name.startswith("features."):
            continue
        _, place, *rest = name.split(".")
        layer = "conv1" if place == "0" else f"fire{places[int(place)]}"
        rest = ["squeeze1x1" if part == "squeeze" else part for part in rest]
        named[".".join((layer, *rest))] = tensor
    return named


def test_features_are_those_of_the_published_network(published: dict[str, Tensor]) -> None:
    from torchvision.models import squeezenet1_1

    theirs = squeezenet1_1(weights=None).eval()
    theirs.load_state_dict(published)
    critic = FeatureCritic(base=4)
    critic.load_features(published)
    rgb = torch.rand(2, 3, SIDE, SIDE)
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    with torch.no_grad():
        found = critic.features(rgb)
        x = (rgb - mean) / std
        for place, layer in enumerate(theirs.features):
            x = layer(x)
            tap = {4: "fire3", 7: "fire5", 12: "fire9"}.get(place)
            if tap:
                expected = x / x.norm(dim=1, keepdim=True) * x.shape[1] ** 0.5
                torch.testing.assert_close(found[tap], expected, atol=1e-4, rtol=1e-4)


def test_weights_by_layer_are_for_blue_first_and_255_levels(published: dict[str, Tensor]) -> None:
    critic, other = FeatureCritic(base=4), FeatureCritic(base=4)
    critic.load_features(by_layer(published))
    rgb = torch.rand(1, 3, SIDE, SIDE)
    caffe_mean = torch.tensor([123.68, 116.779, 103.939]).reshape(3, 1, 1)
    # torchvision's convention undone by hand: the same numbers must reach the first convolution.
    other.load_features(published | {"features.0.weight": published["features.0.weight"].flip(1)})
    same = (rgb * 255 - caffe_mean) * other.std + other.mean
    for tap, found in critic.features(rgb).items():
        torch.testing.assert_close(found, other.features(same)[tap], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("channels", [3, 4])
def test_only_the_heads_are_trained_and_colours_get_a_gradient(channels: int) -> None:
    critic = create_discriminator("feature-critic", in_channels=channels, base=4)
    assert {name.partition(".")[0] for name, _ in critic.named_parameters()} == {"heads"}
    picture = (torch.rand(2, channels, SIDE, SIDE) - 0.5).requires_grad_()
    critic.requires_grad_(True)
    verdicts = critic(picture)
    assert verdicts.shape[:2] == (2, 3)
    verdicts.mean().backward()
    assert picture.grad is not None
    assert picture.grad[:, 1:].abs().min(dim=1).values.max() > 0
    if channels == 4:
        assert picture.grad[:, 0].abs().max() == 0  # grey is in the colours already


def test_each_stride_has_the_same_say() -> None:
    critic = FeatureCritic(base=4, norm="none")
    for head in critic.heads.values():  # verdicts 1, 2, 3 everywhere
        for parameter in head.parameters():
            parameter.data.zero_()
    for value, head in enumerate(critic.heads.values(), 1):
        head[-1].bias.data.fill_(value)
    verdicts = critic(torch.zeros(1, 3, SIDE, SIDE))
    assert verdicts.mean().item() == pytest.approx(2)


def test_without_its_weights_it_does_not_start(
    published: dict[str, Tensor], tmp_path: Path
) -> None:
    recipe = small("cgan", tmp_path)
    recipe = replace(recipe, discriminator="feature-critic", discriminator_arguments={"base": 4})
    critic = build_discriminator(recipe, SPACES["lab"])
    assert critic is not None
    with pytest.raises(RecipeError, match=r"--set discriminator_weights=FILE, or =torchvision"):
        start_discriminator(recipe, critic)
    missing = override(recipe, {"discriminator_weights": str(tmp_path / "none.pth")})
    with pytest.raises(WeightsError, match="no squeezenet1_1 weights file"):
        start_discriminator(missing, critic)
    torch.save(published | {"features.12.squeeze.bias": torch.zeros(3)}, tmp_path / "bad.pth")
    bad = override(recipe, {"discriminator_weights": str(tmp_path / "bad.pth")})
    with pytest.raises(WeightsError, match=r"features\.12\.squeeze\.bias"):
        start_discriminator(bad, critic)
    plain = override(small("cgan", tmp_path), {"discriminator_weights": str(tmp_path / "bad.pth")})
    patchgan = build_discriminator(plain, SPACES["lab"])
    assert patchgan is not None
    with pytest.raises(RecipeError, match="'patchgan' starts from nothing"):
        start_discriminator(plain, patchgan)


def test_a_network_of_bins_is_judged_at_the_size_of_the_crop(
    published: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "squeezenet.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in published.items()}, path)
    recipe = override(
        small("base", tmp_path),
        {
            "gan": "hinge",
            "gan_weight": "0.05",
            "discriminator": "feature-critic",
            "discriminator.base": "4",
            "discriminator_weights": str(path),
        },
    )
    sizes = set()
    forward = FeatureCritic.forward

    def spy(critic: FeatureCritic, picture: Tensor) -> Tensor:
        sizes.add(tuple(picture.shape[-2:]))
        return forward(critic, picture)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureCritic, "forward", spy)
        run = train(recipe, [write_photos(tmp_path / "photos", 20)], tmp_path / "run")
    assert sizes == {(recipe.crop_px, recipe.crop_px)}
    state = torch.load(run / "last/state.pt", weights_only=True)["discriminator"]
    assert torch.equal(state["conv1_bias"], published["features.0.bias"])
    assert "squeezenet" in (run / "recipe.json").read_text()
