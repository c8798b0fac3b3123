"""The tool that teaches an ImageNet encoder to see grey as it sees colour."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from train_fixtures import write_photos

from recolor_cli.models.encoders import MobileNetV2Encoder

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("adapt_encoder", ROOT / "tools/adapt_encoder.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def published(tool: ModuleType) -> dict[str, Tensor]:
    """Random numbers under published names; the stem weighs the channels unlike."""
    torch.manual_seed(3)
    tensors = tool.as_published(MobileNetV2Encoder().state_dict())
    tensors["f.0.c.weight"] = tensors["f.0.c.weight"] * torch.tensor([0.5, 2.0, 0.5])[:, None, None]
    tensors["fc.weight"] = torch.randn(11, 1280) / 30
    tensors["fc.bias"] = torch.zeros(11)
    return tensors


def test_what_is_written_is_read_as_the_same_encoder(tool: ModuleType) -> None:
    encoder, again = MobileNetV2Encoder(), MobileNetV2Encoder()
    again.load_imagenet(tool.as_published(encoder.state_dict()))
    for name, tensor in encoder.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor)


def test_of_grey_pictures_teacher_and_pupil_say_the_same(tool: ModuleType, published) -> None:
    pupil = MobileNetV2Encoder()
    pupil.load_imagenet(published)
    grey = torch.rand(2, 1, 64, 64) * 2 - 1
    for theirs, ours in zip(
        tool.Colored(published)(grey.expand(-1, 3, -1, -1)), pupil(grey), strict=True
    ):
        torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=1e-3)


def test_pictures_in_colour_teach_it(
    tool: ModuleType,
    published: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_photos(tmp_path / "photos", 24)
    write_photos(tmp_path / "others", 8, start=24)
    weights, out = tmp_path / "published.safetensors", tmp_path / "out.safetensors"
    save_file(published, weights)
    monkeypatch.setattr(
        sys,
        "argv",
        ["adapt_encoder.py", "--weights", str(weights), "--data", str(tmp_path / "photos"),
         "--val", str(tmp_path / "others"), "--out", str(out), "--images", "160",
         "--set", "crop_px=64", "--set", "batch=8", "--set", "warmup_images=16",
         "--set", "min_side_px=16"],
    )  # fmt: skip
    tool.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if "crops" in line]
    errors = [[float(x) for x in re.findall(r"(?:16|32) (\d+\.\d+)", text)] for text in lines]
    assert len(errors) == 2
    assert errors[1][0] < errors[0][0]
    assert errors[1][1] < errors[0][1]
    pupil = MobileNetV2Encoder()
    pupil.load_imagenet(load_file(out))
    first = published["f.1.b.0.c.weight"]
    torch.testing.assert_close(pupil.state_dict()["blocks.1.convs.0.weight"], first)
