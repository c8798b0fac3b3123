"""Networks that paint RGB, measured as reports 001 and 003 did: with the luminance they painted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from evaluate_fixtures import folder_of, picture

from recolor_cli.checkpoints import Card, load_weights, save_weights
from recolor_cli.cli.app import main
from recolor_cli.color.lab import luminance
from recolor_cli.color.tensors import luminance_to_gray
from recolor_cli.evaluate.protocols import PROTOCOLS
from recolor_cli.models import create_model

SIDE = 256


def weights(folder: Path, network: str, space: str) -> Path:
    """Random weights of a narrow network that sees pictures at their own size."""
    torch.manual_seed(0)
    path = folder / f"{network}.safetensors"
    card = Card(
        network=network, arguments={"base": 4}, color={"space": space}, input_size=SIDE,
        recipe="", trained_on="nothing", step=0, metrics={},
    )  # fmt: skip
    save_weights(path, create_model(network, base=4).eval(), card)
    return path


def read(
    model: Path, data: Path, protocol: str, capfd: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """The report of `recolor eval` on one picture."""
    command = ["eval", "--model", str(model), "--data", str(data), "--protocol", protocol]
    command += ["--metric", "psnr", "--limit", "1", "--device", "cpu", "--precision", "fp32"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--json"])
    assert ended.value.code == 0
    report: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])
    return report


def value(report: dict[str, Any]) -> float:
    return float(report["metrics"]["psnr"]["value"])


def squashed() -> np.ndarray:
    return np.asarray(cv2.resize(picture(0), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


def test_a_network_of_rgb_is_measured_with_the_luminance_that_it_painted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, data = weights(tmp_path, "residual-unet", "rgb"), folder_of(tmp_path / "true", 1)
    true = squashed()
    gray = luminance_to_gray(torch.from_numpy(luminance(true))[None, None]) * 2 - 1
    with torch.no_grad():
        painted = (load_weights(model).network.eval()(gray)[0].permute(1, 2, 0) + 1) / 2 * 255
    error = np.square(painted.numpy().round() - true).mean()

    found = read(model, data, "paper-003-7000", capfd)
    assert found["coloured"]["as_painted"] is True
    assert value(found) == pytest.approx(10 * np.log10(255**2 / error), abs=0.01)
    kept = read(model, data, "native256-stretch", capfd)  # as `recolor colorize` gives it
    assert "as_painted" not in kept["coloured"]
    assert value(kept) > value(found)


def test_a_network_of_ab_has_no_luminance_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, data = weights(tmp_path, "vanilla-unet", "lab"), folder_of(tmp_path / "true", 1)
    found, kept = (
        read(model, data, name, capfd) for name in ("paper-003-7000", "native256-stretch")
    )
    assert value(found) == value(kept)
    assert "as_painted" not in found["coloured"]


def test_saturation_does_not_reach_a_picture_as_it_is_painted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, data = weights(tmp_path, "residual-unet", "rgb"), folder_of(tmp_path / "true", 1)
    command = ["eval", "--model", str(model), "--data", str(data), "--limit", "1"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--protocol", "paper-003-7000", "--saturation", "1.2"])
    assert ended.value.code == 2
    assert "--saturation does not reach 'residual-unet'" in capfd.readouterr().err


def test_only_the_reports_of_rgb_are_measured_so() -> None:
    painted = {name for name, protocol in PROTOCOLS.items() if protocol.as_painted}
    assert painted == {"paper-001-coco", "paper-003-7000", "paper-003-27000"}
    # Reports that were written before there was the word stay comparable.
    assert {name for name in PROTOCOLS if "as_painted" in PROTOCOLS[name].to_json()} == painted
