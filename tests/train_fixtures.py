"""Small colourful photographs, and recipes cut down to seconds."""

from __future__ import annotations

import signal
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from recolor_cli.models.resnet18_unet import ResNet18UNet
from recolor_cli.recipes import RECIPES, Recipe, override
from recolor_cli.training.keeper import Silent

SIDE = 72

# Recipe -> what makes it small: narrow networks, the smallest pictures that they take.
SMALL: dict[str, dict[str, str]] = {
    "base": {
        "crop_px": "64",
        "network.encoder": "resnet18",
        "network.tail": "16",
        "network.widths": "32,32,32,32",
        "network.bin_step": "25",
    },
    "tiny": {"network.base": "4", "crop_px": "32"},
    "simple-adam": {"crop_px": "32", "network.base": "4", "discriminator.divisor": "2"},
    "simple-sgd": {"crop_px": "32", "network.base": "4", "discriminator.divisor": "2"},
    "normal": {"crop_px": "48", "network.base": "4", "discriminator.divisor": "1"},
    "complex": {"crop_px": "32", "network.base": "4", "network.levels": "3"},
    "wgan-clip": {"crop_px": "32", "network.base": "4", "discriminator.divisor": "2"},
    "unet128-rgb": {"crop_px": "32", "network.base": "4", "network.levels": "3"},
    "unet128-lab": {"crop_px": "32", "network.base": "4", "network.levels": "3"},
    "cgan": {"crop_px": "32", "network.base": "4", "network.levels": "3"},
    "cgan-resnet18": {"crop_px": "32"},
    "advanced": {"crop_px": "32"},
}


NARROW_RESNET18 = ("recolor_cli.models.resnet18_unet.WIDTHS", (8, 8, 8, 16, 16))


class StopAfter(Silent):
    """Interrupts a run as Ctrl-C does, after so many images."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.done = False

    def step(self, images: int, total: int, values: object) -> None:
        if images >= self.images and not self.done:
            self.done = True
            signal.raise_signal(signal.SIGINT)


def picture(seed: int, height: int = SIDE, width: int = SIDE) -> NDArray[np.uint8]:
    """Blurred colour noise (H, W, 3) with a rule in it: bright is warm, dark is cold."""
    rng = np.random.default_rng(seed)
    light = cv2.GaussianBlur(rng.random((height, width), dtype=np.float32), (0, 0), 6)
    light = (light - light.min()) / (light.max() - light.min())
    rgb = np.stack((light, 0.5 * np.ones_like(light), 1 - light), -1)
    rgb = (0.3 + 0.5 * light)[..., None] * rgb * 1.6
    return (rgb.clip(0, 1) * 255).astype(np.uint8)


def write_photos(folder: Path, count: int, start: int = 0) -> Path:
    """So many of these pictures as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(start, start + count):
        cv2.imwrite(str(folder / f"photo{index:03d}.png"), picture(index)[..., ::-1])
    return folder


def small(name: str, folder: Path, **changes: str) -> Recipe:
    """The recipe at a size for tests; ImageNet weights are random files in `folder`."""
    settings = {
        "batch": "4",
        "epochs": "0",
        "total_images": "8",
        "train_images": "0",
        "val_images": "4",
        "val_px": "0",
        "val_share": "0.2",
        "test_share": "0.0",
        "min_side_px": "16",
        "precision": "fp32",
        "workers": "1",
        "validate_every_images": "8",
        **SMALL.get(name, {"crop_px": "32", "network.base": "4"}),
    }
    if RECIPES[name].discriminator == "patchgan":
        settings["discriminator.base"] = "4"
        if settings["crop_px"] == "32":
            settings["discriminator.layers"] = "2"
    if RECIPES[name].encoder_weights == "shipped":
        settings["encoder_weights"] = settings["second_encoder_weights"] = ""
    elif RECIPES[name].encoder_weights:
        settings["encoder_weights"] = str(resnet18_file(folder))
    if RECIPES[name].perceptual_weight:
        settings["perceptual_weights"] = str(vgg19_file(folder))
    if RECIPES[name].lpips_weight:
        settings["perceptual_weights"] = str(alexnet_file(folder))
    if RECIPES[name].gan_from_epoch:
        settings["gan_from_epoch"] = "0.1"
    return override(RECIPES[name], settings | changes)


def resnet18_file(folder: Path) -> Path:
    """torchvision's names and shapes, random values."""
    state = dict(ResNet18UNet().backbone.state_dict())
    state["conv1.weight"] = torch.randn(len(state["conv1.weight"]), 3, 7, 7) * 0.05
    return _save(folder / "resnet18.pth", state)


def vgg19_file(folder: Path) -> Path:
    """The same for VGG19's first layers."""
    shapes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128)}
    return _save(folder / "vgg19.pth", _convs(shapes, dict.fromkeys(shapes, 3)))


def alexnet_file(folder: Path) -> Path:
    """The same for AlexNet's features."""
    shapes = {0: (64, 3), 3: (192, 64), 6: (384, 192), 8: (256, 384), 10: (256, 256)}
    return _save(folder / "alexnet.pth", _convs(shapes, {0: 11, 3: 5, 6: 3, 8: 3, 10: 3}))


def _convs(shapes: dict[int, tuple[int, int]], kernels: dict[int, int]) -> dict[str, torch.Tensor]:
    state = {}
    for number, (outputs, inputs) in shapes.items():
        kernel = kernels[number]
        scale = (inputs * kernel * kernel) ** -0.5
        state[f"features.{number}.weight"] = torch.randn(outputs, inputs, kernel, kernel) * scale
        state[f"features.{number}.bias"] = torch.zeros(outputs)
    return state


def _save(path: Path, state: dict[str, torch.Tensor]) -> Path:
    torch.save(state, path)
    return path
