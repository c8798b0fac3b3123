"""Networks, training and crops on a GPU that is not there: nothing on two devices, no waiting."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretend_cuda import DEVICE, OnDevice, PretendedGpu, is_possible, pretended_gpu
from test_data_device import YOUNG
from test_models import GENERATORS, build, luminance
from torch import Tensor
from train_fixtures import NARROW_RESNET18, picture, small, write_photos

from recolor_cli.checkpoints import Card, ColorModel
from recolor_cli.colorize.colorizer import Colorizer
from recolor_cli.colorize.network import Answer, Painter
from recolor_cli.data.batches import Samples
from recolor_cli.data.defects import CHANCES
from recolor_cli.data.device import DeviceSamples
from recolor_cli.data.photos import Photo
from recolor_cli.data.sources import Item
from recolor_cli.devices import Machine
from recolor_cli.metrics.networks import Features, ct2_input
from recolor_cli.models.foreign import create_foreign
from recolor_cli.models.noise import noise
from recolor_cli.train import train
from recolor_cli.training.keeper import Silent

pytestmark = pytest.mark.skipif(
    not is_possible(), reason="there is a GPU, or this torch has no table of devices"
)
MPS = torch.device("mps", 0)
FOREIGN = ["eccv16", "siggraph17", "deoldify"]


# --- the pretended GPU itself ---


def test_what_cuda_refuses_is_refused_and_what_it_waits_for_is_counted() -> None:
    numbers = torch.arange(6.0)
    with pretended_gpu() as gpu:
        there = numbers.pin_memory().to(DEVICE, non_blocking=True)
        assert (there.device, there.is_cuda) == (DEVICE, True)
        assert ((there + 1) * numbers[2]).device == DEVICE  # a single number may be anywhere
        assert gpu.waits == []
        with pytest.raises(RuntimeError, match="two devices, cuda:0 and cpu"):
            there + numbers
        with pytest.raises(RuntimeError, match="same device as the indexed tensor"):
            numbers[there.long()]
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(2, device=DEVICE, generator=torch.Generator())
        there[torch.tensor([1, 2])]
        there.new_tensor([1.0])
        assert float(there.sum()) == 15
        assert there.cpu().numpy().tolist() == numbers.tolist()
        assert len(gpu.waits) == 4
    with pretended_gpu(MPS), pytest.raises(TypeError, match="float64"):
        numbers.to(MPS).double()


# --- networks ---


def model_of(name: str) -> ColorModel:
    torch.manual_seed(0)
    if name in FOREIGN:
        network: Any = create_foreign(name)
    else:
        narrow = {"encoder": "resnet18", "second_encoder": "mobilenetv2", "tail": 16,
                  "widths": (32, 32, 32, 32), "calm_cells": 3.0}  # fmt: skip
        network = build(name, **(narrow if name == "bins-unet" else {}))
    network.eval().requires_grad_(False)
    color = {"space": network.space}
    if network.space == "lab-bins":
        color |= {"broad_temperature": 0.65, "second_size": 0.625}
    card = Card(network=name, arguments={}, color=color, input_size=64)
    return ColorModel(network, card, "0" * 64, name)


CASES = [
    *[(name, None, torch.float32) for name in [*GENERATORS, *FOREIGN]],
    *[(name, 3, torch.float32) for name in ("bins-unet", "pix2pix-unet")],
    *[(name, None, torch.bfloat16) for name in ("bins-unet", "resnet-generator")],
]


@pytest.mark.parametrize(("name", "seed", "dtype"), CASES)
def test_every_network_predicts_on_a_gpu(
    name: str, seed: int | None, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*NARROW_RESNET18)
    side = 32 if name in FOREIGN else 64  # those are as wide as published
    light = luminance(1, 1, side, side)
    model = model_of(name).to("cpu", dtype)
    wanted = model.predict(light, seed=seed)
    with pretended_gpu() as gpu, torch.inference_mode():
        model.to(DEVICE, dtype)
        on_device = light.to(DEVICE)
        model.predict(on_device)  # what never changes goes there once
        gpu.waits.clear()
        found = model.predict(on_device, seed=seed)
        assert found.ab.device == DEVICE
        assert gpu.waits == [] or (seed is not None and name == "bins-unet")
        ab = found.ab.float().cpu()
        sure = None if found.confidence is None else found.confidence.cpu()
    assert torch.isfinite(ab).all()
    if dtype == torch.float32:
        torch.testing.assert_close(ab, wanted.ab, rtol=1e-3, atol=1e-2)
    assert (sure is None) == (wanted.confidence is None)


def test_the_default_colours_on_a_gpu_what_it_colours_on_a_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = [np.random.default_rng(n).random((40 + n, 64), np.float32) * 100 for n in range(3)]
    seeds = [None, 5, None]
    wanted = Colorizer(device="cpu", precision="fp32", offline=True).paint(seen, seeds)
    for switch, usual in (("deterministic", False), ("allow_tf32", True)):
        monkeypatch.setattr(torch.backends.cudnn, switch, usual)  # whoever was here before
    with pretended_gpu() as gpu:
        colorizer = Colorizer(precision="fp32", offline=True)
        assert colorizer.machine.device == DEVICE
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.allow_tf32  # float32 is float32: it decides colours
        gpu.waits.clear()
        colorizer.paint(seen[:1])  # the answer alone is waited for
        assert set(gpu.waits) == {"aten::_to_copy from the device"}
        found = colorizer.paint(seen, seeds)
    for one, other in zip(wanted, found, strict=True):
        assert isinstance(one, Answer)
        assert isinstance(other, Answer)
        np.testing.assert_allclose(other.ab, one.ab, atol=0.02)


def test_a_draw_by_dropout_seeds_its_own_gpu_alone() -> None:
    seeded: list[tuple[str, int]] = []
    with pretended_gpu(), pytest.MonkeyPatch.context() as patch:
        network = build("pix2pix-unet").to(DEVICE)
        for name in ("manual_seed", "manual_seed_all"):
            patch.setattr(torch.cuda, name, lambda seed, name=name: seeded.append((name, seed)))
        with noise(network, 3):
            pass
    assert seeded == [("manual_seed", 3)]


def test_a_draw_by_dropout_puts_the_state_of_apples_gpu_back() -> None:
    state = torch.tensor([7], dtype=torch.uint8)
    seen: list[object] = []
    with pretended_gpu(MPS), pytest.MonkeyPatch.context() as patch:
        network = build("pix2pix-unet").to(MPS)
        patch.setattr(torch.mps, "get_rng_state", lambda: state)
        patch.setattr(torch.mps, "set_rng_state", seen.append)
        patch.setattr(torch.mps, "manual_seed", seen.append)
        with noise(network, 3):
            pass
    assert len(seen) == 2
    assert seen[0] == 3
    assert seen[1] is state


def test_a_gpu_without_memory_leaves_the_picture_to_the_processor() -> None:
    seen = [np.random.default_rng(0).random((64, 64), np.float32) * 100]
    told: list[str] = []
    (wanted,) = Painter(model_of("bins-unet")).paint(seen)
    with pretended_gpu(), pytest.MonkeyPatch.context() as patch:
        model = model_of("bins-unet").to(DEVICE, torch.float32)

        def full(network: torch.nn.Module, *inputs: Tensor) -> None:
            if inputs[0][0].is_cuda:
                raise torch.OutOfMemoryError("CUDA out of memory")

        model.network.register_forward_pre_hook(full)
        patch.setattr(OnDevice, "__deepcopy__", full_of_copies, raising=False)
        (found,) = Painter(model, report=told.append).paint(seen)
        assert model.device == DEVICE
    assert told == ["out of memory: cuda:0 -> cpu"]
    assert isinstance(found, Answer)
    assert isinstance(wanted, Answer)
    np.testing.assert_allclose(found.ab, wanted.ab, atol=1e-3)


def full_of_copies(_tensor: Tensor, _memo: object) -> None:
    raise AssertionError("a copy was made on the device that has no memory")


def test_features_of_pictures_come_from_the_gpu() -> None:
    pictures = [picture(n, 40, 50) for n in range(3)]
    wanted = Features(lambda x: {"f": ct2_input(x).mean((2, 3))})(pictures, pictures)
    with pretended_gpu():
        features = Features(lambda x: {"f": ct2_input(x).mean((2, 3))}, device=DEVICE)
        found = features(pictures, pictures)
    np.testing.assert_allclose(found["f"], wanted["f"], rtol=1e-5)


# --- training ---

AGED = dict.fromkeys(CHANCES, "0.5")
STEPS: dict[str, tuple[str, dict[str, str]]] = {
    "base": (
        "base",
        {"cache": "device", "precision": "bf16", "network.second_encoder": "", **AGED},
    ),
    "turned, accumulated, average": (
        "tiny",
        {"cache": "device", "rotate_degrees": "10", "accumulate": "2"},
    ),
    "rgb, gan": ("unet128-rgb", {}),
    "lab, gan, fp16": ("complex", {"precision": "fp16"}),
    "clipped critic": ("wgan-clip", {}),
    "gradient penalty": (
        "unet128-lab",
        {"gan": "wgan-gp", "discriminator.norm": "instance", "optimizer": "sgd"},
    ),
    "probabilities": ("complex", {"gan": "bce-sigmoid", "discriminator.sigmoid": "true"}),
    "perceptual": ("vanilla-perceptual", {}),
}


class Counting(Silent):
    """Notes how often the host had waited by the end of each step."""

    def __init__(self, gpu: PretendedGpu | None) -> None:
        self.gpu = gpu
        self.counts: list[int] = []

    def step(self, images: int, total: int, values: object) -> None:
        if self.gpu is not None and not values:
            self.counts.append(len(self.gpu.waits))


def losses_of(run: Path) -> list[dict[str, float]]:
    lines = (run / "log.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return [{k: v for k, v in entry.items() if k != "images_per_s"} for entry in entries]


@pytest.mark.parametrize("case", STEPS)
def test_steps_on_a_gpu_lose_what_they_lose_on_a_processor_and_never_wait(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recolor_cli.training.keeper.draw_curves", lambda *_: None)
    monkeypatch.setattr(*NARROW_RESNET18)
    name, changes = STEPS[case]
    photos = write_photos(tmp_path / "photos", 10)
    quiet = {"log_every_images": "1000", "validate_every_images": "1000"}
    recipe = small(name, tmp_path, **(quiet | changes))
    with pretended_gpu() as gpu:
        counting = Counting(gpu)
        run = train(recipe, [photos], tmp_path / "gpu", device="cuda", watcher=counting)
    assert len(counting.counts) == 2
    first, second = counting.counts
    assert gpu.waits[first:second] == []
    if recipe.precision != "fp32":
        return
    on_cpu = train(recipe, [photos], tmp_path / "cpu", device="cpu")
    for found, wanted in zip(losses_of(run), losses_of(on_cpu), strict=True):
        assert found == pytest.approx(wanted, rel=0.02, abs=1e-3)


def test_a_run_on_a_gpu_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recolor_cli.training.keeper.draw_curves", lambda *_: None)
    photos = write_photos(tmp_path / "photos", 10)
    recipe = small("complex", tmp_path, total_images="4", ema_halflife_images="8")
    longer = small("complex", tmp_path, total_images="8", ema_halflife_images="8")
    with pretended_gpu():
        train(longer, [photos], tmp_path / "whole", device="cuda")
        train(recipe, [photos], tmp_path / "cut", device="cuda")
        train(longer, [photos], tmp_path / "cut", device="cuda", resume=True)
    whole, cut = (
        torch.load(tmp_path / name / "last/state.pt", weights_only=True)
        for name in ("whole", "cut")
    )
    assert whole["cuda_rng"] is not None
    for name, value in whole["generator"].items():
        torch.testing.assert_close(cut["generator"][name], value, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("name", ["base", "unet128-rgb"])
def test_apples_gpus_train_without_float64_and_with_networks_as_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recolor_cli.training.keeper.draw_curves", lambda *_: None)
    monkeypatch.setattr("recolor_cli.train.choose_machine", lambda *_: Machine(MPS, "fp32"))
    seen: list[bool] = []
    convolve = torch.nn.Conv2d.forward

    def look(conv: torch.nn.Conv2d, x: Tensor) -> Tensor:
        # Of one row or one column both layouts are the same.
        if min(conv.weight.shape[1:]) > 1 and isinstance(x, OnDevice):
            seen.append(conv.weight.is_contiguous())
        return convolve(conv, x)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", look)
    photos = write_photos(tmp_path / "photos", 10)
    smaller = {"network.second_encoder": "", "cache": "device"} if name == "base" else {}
    recipe = small(name, tmp_path, total_images="4", **smaller)
    with pretended_gpu(MPS):
        run = train(recipe, [photos], tmp_path / "run", device="mps")
        if name != "base":
            dice: list[Tensor] = []
            longer = replace(recipe, total_images=8)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch.mps, "set_rng_state", dice.append)
                train(longer, [photos], tmp_path / "run", device="mps", resume=True)
            assert [tuple(state.shape) for state in dice] == [(16,)]  # it goes on with its dice
    assert losses_of(run)
    assert seen
    assert all(seen)


def test_crops_and_defects_are_made_without_waiting() -> None:
    pixels = [picture(index, 60, 70 + index) for index in range(4)]
    photos = [Photo(Item(Path("x"), f"{n}", 0, 0), f"{n}", p) for n, p in enumerate(pixels)]
    recipe = YOUNG.__class__(**{**vars(YOUNG), **dict.fromkeys(CHANCES, 0.5), "flip": 0.5})
    wanted = DeviceSamples(photos, recipe, 7, torch.device("cpu")).batch(3, 12)
    with pretended_gpu() as gpu:
        samples = DeviceSamples(photos, recipe, 7, DEVICE)
        gpu.waits.clear()
        found = samples.batch(3, 12)
        assert gpu.waits == []
        assert isinstance(found.rgb, torch.Tensor)
        assert isinstance(found.gray, torch.Tensor)
        assert isinstance(wanted.gray, torch.Tensor)
        assert torch.equal(found.rgb.cpu(), torch.as_tensor(wanted.rgb))
        assert torch.equal(found.gray.cpu(), wanted.gray)
    assert Samples(photos, recipe, 7).batch(3, 12).gray is not None
