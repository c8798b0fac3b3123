"""Other projects' checkpoints: opened safely, fitted strictly, fed what they were trained on.

The real files are not here. Names and shapes are held to the published configurations, and to the
published lengths in bytes, which leave room for a few hundred bytes of names for each tensor only.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import color, data
from torch import nn
from weights_fixtures import tiny_entry

from recolor_cli.checkpoints.files import fill_network
from recolor_cli.color.lab import small_luminance
from recolor_cli.color.merge import merge_ab
from recolor_cli.color.spaces import SPACES
from recolor_cli.errors import MissingExtraError, UsageError, WeightsError
from recolor_cli.models.foreign import create_foreign
from recolor_cli.weights import find_weights, foreign, load, load_model, read_manifest
from recolor_cli.weights.foreign import adapt_tensors, read_tensors
from recolor_cli.weights.manifest import MANIFEST_VARIABLE

OURS = read_manifest()


def pin(path: Path, name: str, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Make `path` the pinned file of our entry `name`."""
    content = path.read_bytes()
    entry = OURS.entries[name].to_json() | {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        **changes,
    }
    listed = path.with_name("weights.json")
    listed.write_text(json.dumps({"default": None, "weights": {name: entry}}))
    monkeypatch.setenv(MANIFEST_VARIABLE, str(listed))


def colour(model: Any, size: int) -> np.ndarray:
    """A photograph of scikit-image, coloured through our own pipeline."""
    pixels = data.astronaut()[::4, ::4]
    luminance = small_luminance(pixels, (size, size))
    prediction = model.predict(torch.from_numpy(luminance)[None, None])
    assert torch.isfinite(prediction.ab).all()
    return merge_ab(pixels, prediction.ab[0].permute(1, 2, 0).numpy())


def randomised(network: nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    """The network's state with every tensor different from a fresh one, and tame."""
    generator = torch.Generator().manual_seed(seed)
    return OrderedDict(
        (
            key,
            value + torch.rand(value.shape, generator=generator) * 0.01
            if value.is_floating_point()
            else value + 1,
        )
        for key, value in network.state_dict().items()
    )


# Published layers of Zhang's networks: name -> (outputs, inputs, kernel), and batch norms.
def _stages(first: int, counts: list[int]) -> dict[str, tuple[int, int, int]]:
    widths = [64, 128, 256, 512, 512, 512, 512]
    layers, inputs = {}, first
    for stage, (width, count) in enumerate(zip(widths, counts, strict=True), 1):
        for index in range(count):
            layers[f"model{stage}.{2 * index}"] = (width, inputs, 3)
            inputs = width
    return layers


ECCV16 = _stages(1, [2, 2, 3, 3, 3, 3, 3]) | {
    "model8.0": (512, 256, 4),  # transposed: inputs first
    "model8.2": (256, 256, 3),
    "model8.4": (256, 256, 3),
    "model8.6": (313, 256, 1),
}
SIGGRAPH17 = _stages(4, [2, 2, 3, 3, 3, 3, 3]) | {
    "model8up.0": (512, 256, 4),
    "model3short8.0": (256, 256, 3),
    "model8.1": (256, 256, 3),
    "model8.3": (256, 256, 3),
    "model9up.0": (256, 128, 4),
    "model2short9.0": (128, 128, 3),
    "model9.1": (128, 128, 3),
    "model10up.0": (128, 128, 4),
    "model1short10.0": (128, 64, 3),
    "model10.1": (128, 128, 3),
    "model_out.0": (2, 128, 1),
}
NORMS = {"model1.4": 64, "model2.4": 128} | {f"model{n}.6": 512 for n in (4, 5, 6, 7)}
NORMS |= {"model3.6": 256}


def published(
    layers: dict[str, tuple[int, int, int]], norms: dict[str, int]
) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (outputs, inputs, kernel) in layers.items():
        shapes[f"{name}.weight"] = (outputs, inputs, kernel, kernel)
        shapes[f"{name}.bias"] = (inputs if kernel == 4 else outputs,)
    for name, width in norms.items():
        parts = ("weight", "bias", "running_mean", "running_var")
        shapes |= {f"{name}.{part}": (width,) for part in parts}
        shapes[f"{name}.num_batches_tracked"] = ()
    return shapes


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


class TestZhang:
    def test_eccv16_has_the_published_tensors(self) -> None:
        wanted = published(ECCV16, NORMS) | {"model_out.weight": (2, 313, 1, 1)}
        assert shapes_of(create_foreign("eccv16")) == wanted

    def test_siggraph17_has_the_published_tensors(self) -> None:
        wanted = published(SIGGRAPH17, NORMS | {"model8.5": 256, "model9.3": 128})
        assert shapes_of(create_foreign("siggraph17")) == wanted

    @pytest.mark.parametrize("name", ["eccv16.release-v2", "siggraph17.release"])
    def test_a_file_in_the_published_form_colours_a_photograph(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        network = create_foreign(OURS.entries[name].network)
        state = randomised(network)
        state |= {key: torch.zeros(shape) for key, shape in network.spare.items()}
        path = tmp_path / "file.pth"
        torch.save(state, path, _use_new_zipfile_serialization=False)
        # The published file says "cuda:0" where this one says "cpu"; otherwise byte for byte.
        difference = (OURS.entries[name].bytes or 0) - path.stat().st_size
        assert 0 <= difference < 20 * len(state)
        pin(path, name, monkeypatch)
        model = load_model(str(path))
        assert (model.name, model.input_size, model.stride) == (name, 256, 8)
        for key, value in model.network.state_dict().items():
            assert torch.equal(value, state[key])
        assert colour(model, 64).shape == (128, 128, 3)

    def test_the_input_is_centred_lightness_and_the_output_ab(self) -> None:
        space = SPACES["zhang"]
        assert space.decode is not None
        lightness = torch.tensor([[[[0.0, 50.0, 100.0]]]])
        assert space.encode(lightness).flatten().tolist() == [-0.5, 0.0, 0.5]
        assert space.decode(torch.tensor([0.5]), lightness).tolist() == [55.0]


def settle_spectral_norms(network: nn.Module) -> None:
    """Power iteration, as training does it; without it a fresh network returns astronomic ab."""
    for module in network.modules():
        if not hasattr(module, "weight_orig"):
            continue
        matrix = module.weight_orig.detach().flatten(1)
        for _ in range(5):
            module.weight_v = nn.functional.normalize(matrix.T @ module.weight_u, dim=0)
            module.weight_u = nn.functional.normalize(matrix @ module.weight_v, dim=0)


class TestDDColor:
    NAME = "ddcolor-tiny.paper"

    def test_it_computes_in_bf16_where_that_is_chosen(self) -> None:
        torch.manual_seed(0)
        network = create_foreign("ddcolor", encoder="convnext-t", layers=3).eval()
        settle_spectral_norms(network)
        gray = torch.rand(1, 3, 32, 64)
        with torch.no_grad():
            exact = network(gray)
            short = network.to(torch.bfloat16)(gray.bfloat16())
        assert short.dtype == torch.bfloat16
        assert (short.float() - exact).norm() < 0.2 * exact.norm()

    def test_a_file_in_the_published_form_colours_a_photograph(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        network = create_foreign("ddcolor", encoder="convnext-t")
        settle_spectral_norms(network)
        state = OrderedDict((k, v.clone()) for k, v in network.state_dict().items())
        path = tmp_path / "ddcolor_paper_tiny.pth"
        torch.save({"params": state}, path)
        difference = (OURS.entries[self.NAME].bytes or 0) - path.stat().st_size
        assert abs(difference) < 200 * len(state)
        pin(path, self.NAME, monkeypatch)
        model = load_model(str(path))
        assert (model.name, model.input_size, model.stride) == (self.NAME, 512, 32)
        luminance = torch.rand(2, 1, 32, 64) * 100
        both = model.predict(luminance).ab
        assert both.shape == (2, 2, 32, 64)
        torch.testing.assert_close(both[1:], model.predict(luminance[1:]).ab, atol=1e-3, rtol=1e-3)
        assert colour(model, 64).shape == (128, 128, 3)
        # As spandrel itself runs this network on its own detection of the same file.
        from spandrel_extra_arches.architectures.DDColor import DDColorArch

        detected = DDColorArch().load(OrderedDict(state)).model.eval()
        with torch.no_grad():
            wanted = detected(SPACES["gray01-ab"].encode(luminance))
        torch.testing.assert_close(both, wanted)

    @pytest.mark.parametrize(
        ("name", "parameters"), [("ddcolor-tiny.paper", 55.0), ("ddcolor.modelscope", 227.9)]
    )
    def test_the_size_is_the_published_one(self, name: str, parameters: float) -> None:
        """Millions of parameters as the paper's authors and their users count them."""
        entry = OURS.entries[name]
        assert round(entry.parameters / 1e6, 1) == parameters
        assert 0 < (entry.bytes or 0) - 4 * entry.parameters < 4_000_000

    def test_the_input_is_what_lab_without_chroma_gives(self) -> None:
        lightness = torch.linspace(0, 100, 12).reshape(1, 1, 3, 4)
        lab = np.zeros((3, 4, 3))
        lab[..., 0] = lightness[0, 0].numpy()
        wanted = color.lab2rgb(lab)
        found = SPACES["gray01-ab"].encode(lightness)[0].permute(1, 2, 0).numpy()
        assert np.abs(found - wanted).max() < 1e-3

    def test_without_spandrel_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("recolor_cli.models.ddcolor.find_spec", lambda _: None)
        with pytest.raises(MissingExtraError, match=r"pip install 'recolor-cli\[foreign\]'"):
            create_foreign("ddcolor")

    def test_an_unknown_encoder_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"encoder is 'vgg'; known: convnext-t"):
            create_foreign("ddcolor", encoder="vgg")


def with_norms(network: nn.Module) -> dict[str, torch.Tensor]:
    """A state as DeOldify stores it: spectral norm beyond the encoder, weight norm at layer 8."""
    state = OrderedDict(network.state_dict())
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv1d | nn.Conv2d) or name.startswith("layers.0."):
            continue
        weight = state.pop(f"{name}.weight")
        if name.startswith("layers.8."):
            state[f"{name}.weight_g"] = weight.flatten(1).norm(dim=1)[:, None, None, None]
            state[f"{name}.weight_v"] = weight * 3
            continue
        left = nn.functional.normalize(torch.ones(weight.shape[0]), dim=0)
        right = nn.functional.normalize(torch.ones(weight[0].numel()), dim=0)
        scale = torch.dot(left, weight.flatten(1) @ right)
        weight = weight + (0.5 - scale) * torch.outer(left, right).reshape(weight.shape)
        state[f"{name}.weight_orig"] = weight  # whose spectral norm, so estimated, is 0.5
        state[f"{name}.weight_u"], state[f"{name}.weight_v"] = left, right
    return state


class TestDeOldify:
    def test_spectral_norm_folds_as_torch_applies_it(self) -> None:
        original = torch.nn.utils.spectral_norm(nn.Conv2d(3, 5, 3))
        for _ in range(3):
            original(torch.rand(1, 3, 8, 8))
        original.eval()
        plain = nn.Conv2d(3, 5, 3)
        plain.spare = {}
        plain = nn.Sequential(plain)
        plain.spare = {}
        state = {f"0.{key}": value for key, value in original.state_dict().items()}
        plain.load_state_dict(adapt_tensors(state, plain, "file"))
        picture = torch.rand(1, 3, 8, 8)
        torch.testing.assert_close(plain(picture), original(picture))

    def test_weight_norm_folds_as_torch_applies_it(self) -> None:
        plain = nn.Sequential(nn.Conv2d(3, 5, 1))
        plain.spare = {}
        v, g = torch.rand(5, 3, 1, 1), torch.rand(5, 1, 1, 1)
        state = {"0.weight_v": v, "0.weight_g": g, "0.bias": torch.zeros(5)}
        adapted = adapt_tensors(state, plain, "file")
        torch.testing.assert_close(adapted["0.weight"], torch._weight_norm(v, g, 0))

    def test_a_part_of_a_norm_that_is_missing_is_named(self) -> None:
        plain = nn.Sequential(nn.Conv2d(3, 5, 1))
        plain.spare = {}
        state = {"0.weight_orig": torch.rand(5, 3, 1, 1), "0.weight_u": torch.rand(5)}
        with pytest.raises(WeightsError, match=r"'file': tensor '0.weight_v' is missing"):
            adapt_tensors(state, plain, "file")

    def test_a_file_in_the_published_form_colours_a_photograph(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        network = create_foreign("deoldify", build="deep")
        state = with_norms(network)
        path = tmp_path / "file.pth"
        torch.save({"model": state, "opt": slice(1, 2)}, path, _use_new_zipfile_serialization=False)
        difference = (OURS.entries["deoldify.artistic"].bytes or 0) - path.stat().st_size
        assert abs(difference) < 50 * len(state)
        pin(path, "deoldify.artistic", monkeypatch)
        model = load_model(str(path))
        assert (model.input_size, model.stride) == (560, 16)
        torch.testing.assert_close(
            model.network.layers[8].conv[0].weight, network.layers[8].conv[0].weight
        )
        torch.testing.assert_close(
            model.network.layers[11][0].weight, state["layers.11.0.weight_orig"] / 0.5
        )
        assert model.predict(torch.rand(1, 1, 48, 80) * 100).ab.shape == (1, 2, 48, 80)
        assert colour(model, 64).shape == (128, 128, 3)

    @pytest.mark.parametrize(("tag", "build"), [("artistic", "deep"), ("stable", "wide")])
    def test_every_published_byte_is_accounted_for(self, tag: str, build: str) -> None:
        entry = OURS.entries[f"deoldify.{tag}"]
        with torch.device("meta"):
            network = create_foreign("deoldify", build=build)
            assert sum(p.numel() for p in network.parameters()) == entry.parameters
            total, count = 0, 0
            for key, value in network.state_dict().items():
                total, count = total + value.numel() * value.element_size(), count + 1
                folded = key.endswith("weight") and value.ndim >= 3 and key[:9] != "layers.0."
                if folded and key.startswith("layers.8."):
                    total, count = total + 4 * value.shape[0], count + 1
                elif folded:
                    total, count = total + 4 * (value.shape[0] + value[0].numel()), count + 2
        assert 190 < ((entry.bytes or 0) - total) / count < 200  # names and shapes of the pickle


class Payload:
    """Pickles into a call that would create a folder."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


def hostile(kind: str, path: Path, canary: Path) -> None:
    if kind == "plain pickle":
        path.write_bytes(pickle.dumps(Payload(canary)))
    elif kind == "old pickle":
        path.write_bytes(pickle.dumps(Payload(canary), protocol=2))
    elif kind == "torch zip":
        torch.save({"params": {"model1.0.weight": Payload(canary)}}, path)
    elif kind == "torch legacy":
        torch.save({"a": Payload(canary)}, path, _use_new_zipfile_serialization=False)
    elif kind == "whole module":
        torch.save(nn.Conv2d(1, 1, 1), path)
    else:
        path.write_bytes({"empty": b"", "noise": bytes(range(256)) * 40}[kind])


KINDS = [
    "plain pickle",
    "old pickle",
    "torch zip",
    "torch legacy",
    "whole module",
    "empty",
    "noise",
]


class TestHostileFiles:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin"])
    def test_what_is_not_pinned_is_not_opened(self, tmp_path: Path, kind: str, suffix: str) -> None:
        path, canary = tmp_path / f"file{suffix}", tmp_path / "canary"
        hostile(kind, path, canary)
        with pytest.raises(WeightsError) as caught:
            load_model(str(path))
        assert not canary.exists()
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("kind", KINDS)
    def test_even_what_is_pinned_runs_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        path, canary = tmp_path / "file.pth", tmp_path / "canary"
        hostile(kind, path, canary)
        content = path.read_bytes() or b"x"
        path.write_bytes(content)
        pin(path, "eccv16.release-v2", monkeypatch)
        with pytest.raises(WeightsError, match=r"file.pth' is not opened: ") as caught:
            load_model(str(path))
        assert not canary.exists()
        assert "\n" not in str(caught.value)
        assert "Re-running" not in str(caught.value), "nobody is told how to open it all the same"

    def test_the_call_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "file.pth"
        hostile("torch zip", path, tmp_path / "canary")
        with pytest.raises(WeightsError, match=r"it wants to call '\w+\.mkdir'"):
            read_tensors(path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ([1, 2], "holds a list and no tensors by name"),
            ({}, "holds a dict and no tensors by name"),
            ({"params": {"a": 3}}, "'a' is a int and no tensor"),
            ({"a": torch.zeros(1), 4: torch.zeros(1)}, "holds a tensor without a name, under 4"),
        ],
    )
    def test_content_that_is_no_state(self, tmp_path: Path, content: Any, message: str) -> None:
        torch.save(content, tmp_path / "file.pth")
        with pytest.raises(WeightsError, match=message):
            read_tensors(tmp_path / "file.pth")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda s: s.pop("model1.0.weight"), "tensor 'model1.0.weight' is missing"),
            (lambda s: s.update(more=torch.zeros(1)), "tensor 'more' is not part of the network"),
            (
                lambda s: s.update({"model1.0.bias": torch.zeros(65)}),
                r"tensor 'model1.0.bias' has the shape \(65,\), the network needs \(64,\)",
            ),
            (
                lambda s: s["model8.6.bias"].fill_(torch.nan),
                "tensor 'model8.6.bias' holds NaN or infinity",
            ),
        ],
    )
    def test_tensors_that_do_not_fit_are_named(self, change: Any, message: str) -> None:
        network = create_foreign("eccv16")
        state = {key: value.clone() for key, value in network.state_dict().items()}
        change(state)
        with pytest.raises(WeightsError, match=message):
            fill_network(network, adapt_tensors(state, network, "file"), "file")

    def test_a_spare_tensor_of_another_shape_is_named(self) -> None:
        network = create_foreign("siggraph17")
        state = dict(network.state_dict()) | {"model_class.0.bias": torch.zeros(3)}
        with pytest.raises(WeightsError, match=r"'model_class.0.bias' has the shape \(3,\)"):
            adapt_tensors(state, network, "file")


def test_a_local_file_that_is_pinned_is_known_by_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "renamed.bin"
    path.write_bytes(b"anything")
    pin(path, "eccv16.release-v2", monkeypatch)
    found = find_weights(path)
    assert found.name == "eccv16.release-v2"
    assert found.entry is not None
    assert tiny_entry(b"anything").sha256 == found.sha256


class Two(nn.Linear):
    """A foreign network of two numbers."""

    spare: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__(1, 1)


@pytest.mark.parametrize("how", ["renamed", "written", "gone"])
@pytest.mark.parametrize("when", ["find_weights", "read_tensors", "adapt_tensors"])
def test_a_file_that_changes_after_it_was_hashed_is_not_taken_for_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, how: str
) -> None:
    path, other = tmp_path / "file.pth", tmp_path / "other.pth"
    torch.save(Two().state_dict(), path)
    torch.save(Two().state_dict(), other)
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    pin(path, "eccv16.release-v2", monkeypatch)
    monkeypatch.setattr(foreign, "create_foreign", lambda *_args, **_more: Two())
    assert load_model(str(path)).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    def change() -> None:
        if how == "renamed":
            other.replace(path)
        elif how == "written":
            path.write_bytes(other.read_bytes())
        else:
            path.unlink()

    module: Any = load if when == "find_weights" else foreign
    original = getattr(module, when)

    def and_then_it_changes(*args: Any, **more: Any) -> Any:
        if when == "read_tensors":
            change()  # between the hash and the reader
        result = original(*args, **more)
        if when != "read_tensors":
            change()
        return result

    monkeypatch.setattr(module, when, and_then_it_changes)
    with pytest.raises(WeightsError, match=r"file\.pth' changed while|cannot read .*file\.pth'"):
        load_model(str(path))
