"""ImageNet weights: read from files and the cache, never random; each failure says what to do."""

from __future__ import annotations

import hashlib
import sys
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from recolor_cli import backbones
from recolor_cli.backbones import load_into, load_lpips, load_vgg, read_backbone
from recolor_cli.errors import MissingExtraError, WeightsError
from recolor_cli.losses import lpips_distance, perceptual
from recolor_cli.models.vgg import OXFORD_UNIT, VGGFeatures
from recolor_cli.torchvision_import import import_torchvision

VGG19 = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256)}
ALEXNET = {0: (3, 64, 11), 3: (64, 192, 5), 6: (192, 384, 3), 8: (384, 256, 3), 10: (256, 256, 3)}


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """An empty hub cache, and no way out."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.hub.set_dir(str(tmp_path / "torch" / "hub"))

    def unreachable(url, path, digits, *, progress):
        raise URLError(f"no route to {url}")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    yield tmp_path / "torch" / "hub" / "checkpoints"
    torch.hub._hub_dir = None


def random_convs(layers: dict[int, tuple[int, ...]], size: int | None = None) -> dict[str, Tensor]:
    tensors = {}
    for number, (inputs, outputs, *kernel) in layers.items():
        side = kernel[0] if kernel else size
        tensors[f"features.{number}.weight"] = torch.randn(outputs, inputs, side, side) * 0.05
        tensors[f"features.{number}.bias"] = torch.randn(outputs) * 0.05
    return tensors


# --- Reading ---


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_named_file_is_read(tmp_path, suffix):
    path, tensors = tmp_path / f"net{suffix}", {"a": torch.arange(3.0)}
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    assert torch.equal(read_backbone("resnet18", path)["a"], tensors["a"])


def test_the_published_file_is_taken_from_the_cache_when_its_hash_is_right(hub, monkeypatch):
    hub.mkdir(parents=True)
    torch.save({"a": torch.ones(2)}, hub / "x.pth")
    digits = hashlib.sha256((hub / "x.pth").read_bytes()).hexdigest()[:8]
    (hub / "x.pth").rename(hub / f"net-{digits}.pth")
    monkeypatch.setitem(backbones.PUBLISHED, "resnet18", f"net-{digits}.pth")
    assert read_backbone("resnet18")["a"].sum() == 2


def test_a_published_file_is_downloaded_with_its_hash(hub, monkeypatch):
    asked = []

    def download(url, path, digits, *, progress):
        asked.append((url, digits))
        torch.save({"a": torch.ones(2)}, path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    assert read_backbone("resnet18")["a"].sum() == 2
    assert asked == [("https://download.pytorch.org/models/resnet18-f37072fd.pth", "f37072fd")]


def test_offline_says_which_file_to_put_where(hub):
    with pytest.raises(WeightsError) as failure:
        read_backbone("vgg19")
    text = str(failure.value)
    assert "weights of vgg19 are not on this machine and cannot be downloaded" in text
    assert (
        f"put 'vgg19-dcbb9e9d.pth' from https://download.pytorch.org/models/ into '{hub}'" in text
    )
    assert "\n" not in text
    assert not list(hub.iterdir())


def test_a_damaged_cache_is_not_used(hub):
    hub.mkdir(parents=True)
    (hub / "resnet18-f37072fd.pth").write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=r"is damaged: its sha256 starts with .* delete it"):
        read_backbone("resnet18")


@pytest.mark.parametrize(
    ("content", "suffix", "text"),
    [
        (b"nonsense", ".pth", "cannot be read as weights"),
        (b"nonsense", ".safetensors", "cannot be read as weights"),
        (b"", ".pth", "cannot be read as weights"),
    ],
)
def test_files_that_are_no_weights_are_refused_in_one_line(tmp_path, content, suffix, text):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=text) as failure:
        read_backbone("resnet18", path)
    assert "\n" not in str(failure.value)


class Surprise:
    def __reduce__(self):
        return (sys.exit, (3,))


def test_pickles_that_would_run_code_are_refused(tmp_path):
    torch.save({"a": Surprise()}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_backbone("resnet18", tmp_path / "net.pth")


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"a": 1}}])
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"is no state dict; save network.state_dict\(\)"):
        read_backbone("resnet18", tmp_path / "net.pth")


def test_missing_files_and_unknown_networks_say_what_is_known(tmp_path):
    with pytest.raises(WeightsError, match=r"no resnet18 weights file '.*no.pth'; name a state"):
        read_backbone("resnet18", tmp_path / "no.pth")
    with pytest.raises(WeightsError, match="no backbone named 'resnet50'; known: resnet18, vgg19"):
        read_backbone("resnet50")


# --- Networks ---


def test_vgg_features_are_those_of_the_published_layout(tmp_path):
    tensors = random_convs(VGG19, 3)
    torch.save(tensors, tmp_path / "vgg.pth")
    layers: list[nn.Module] = []
    for number, channels in VGG19.items():
        layers += [nn.MaxPool2d(2)] * (number in (5, 10))
        layers += [nn.Conv2d(*channels, 3, padding=1), nn.ReLU()]
    theirs = nn.Sequential(*layers)
    theirs.load_state_dict({k.removeprefix("features."): v for k, v in tensors.items()})
    rgb = torch.rand(1, 3, 16, 16)
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    maps = load_vgg(tmp_path / "vgg.pth")(rgb)
    x, wanted = (rgb - mean) / std, []
    for number, layer in enumerate(theirs):
        x = layer(x)
        if number in (3, 8, 11):  # relu1_2, relu2_2, relu3_1
            wanted.append(x)
    for ours, reference in zip(maps, wanted, strict=True):
        torch.testing.assert_close(ours, reference)
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 16, 16), (128, 8, 8), (256, 4, 4)]


def test_oxfords_layout_is_read_with_its_own_scale(tmp_path):
    names = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")
    torchvision = random_convs(VGG19, 3)
    oxford = {
        f"{name}.{part}": torchvision[f"features.{number}.{part}"]
        for name, number in zip(names, VGG19, strict=True)
        for part in ("weight", "bias")
    }
    save_file(oxford, tmp_path / "vgg.safetensors")
    network = load_vgg(tmp_path / "vgg.safetensors")
    rgb = torch.rand(1, 3, 8, 8)
    scaled = rgb * 255 - torch.tensor([123.68, 116.78, 103.94]).reshape(3, 1, 1)
    first = nn.functional.conv2d(
        scaled, oxford["conv1_1.weight"], oxford["conv1_1.bias"], padding=1
    )
    second = nn.functional.conv2d(
        first.relu(), oxford["conv1_2.weight"], oxford["conv1_2.bias"], padding=1
    )
    torch.testing.assert_close(network(rgb)[0] * OXFORD_UNIT, second.relu(), atol=1e-3, rtol=1e-4)


def test_the_vgg_perceptual_loss_trains_colors_and_not_vgg(tmp_path):
    torch.save(random_convs(VGG19, 3), tmp_path / "vgg.pth")
    network = load_vgg(tmp_path / "vgg.pth")
    ab = torch.zeros(1, 2, 16, 16, requires_grad=True)
    perceptual(network, ab, torch.full((1, 2, 16, 16), 40.0)).backward()
    assert ab.grad.abs().max() > 0
    assert all(p.grad is None for p in network.parameters())


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(random_convs(ALEXNET), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"does not hold the weights of vgg19 .*vgg19-dcbb9e9d"):
        load_vgg(tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"'convs.conv1_1.weight' is \(64, 3, 11, 11\), not"):
        load_into(VGGFeatures().load_imagenet, "vgg19", tmp_path / "net.pth")


def test_lpips_takes_alexnet_from_a_file_and_its_heads_from_the_package(tmp_path):
    tensors = random_convs(ALEXNET)
    torch.save(tensors, tmp_path / "alexnet.pth")
    network = load_lpips(tmp_path / "alexnet.pth")
    assert torch.equal(network.net.slice3[1].weight, tensors["features.6.weight"])
    assert network.lin0.model[-1].weight.min() >= 0  # trained heads are not negative
    rgb = torch.rand(2, 3, 64, 64) * 2 - 1
    other = torch.rand(2, 3, 64, 64).requires_grad_(True)
    assert lpips_distance(network, rgb, rgb) == 0
    distance = lpips_distance(network, other, rgb)
    distance.backward()
    assert distance > 0
    assert other.grad.abs().max() > 0
    assert not any(p.requires_grad for p in network.parameters())


def test_lpips_without_alexnet_or_without_the_package_says_what_to_do(monkeypatch):
    with pytest.raises(WeightsError, match="weights of alexnet are not on this machine"):
        load_lpips()
    monkeypatch.setitem(sys.modules, "lpips", None)
    monkeypatch.delitem(sys.modules, "lpips.lpips", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'recolor-cli\[eval\]'"):
        load_lpips()


# --- torchvision ---


def test_torchvision_imports_beside_any_torch_and_its_transforms_work():
    torchvision = import_torchvision()
    assert import_torchvision() is torchvision
    from torchvision.transforms.v2.functional import horizontal_flip

    assert horizontal_flip(torch.tensor([[[1, 2]]])).tolist() == [[[2, 1]]]


def test_a_missing_torchvision_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingExtraError, match=r"torchvision is not installed; pip install"):
        import_torchvision()


def test_a_torchvision_that_is_broken_otherwise_is_not_hidden(monkeypatch):
    def broken(name):
        raise RuntimeError("another reason")

    monkeypatch.setattr("recolor_cli.torchvision_import.import_module", broken)
    with pytest.raises(RuntimeError, match="another reason"):
        import_torchvision()
