"""Images/s of `complex` + PatchGAN trained by recolor, and the way public pix2pix code does it.

    python benchmarks/train_step.py [--images 64] [--batch 4] [--size 256] [--device auto]

Both train the same networks on the same files with the same losses, from file to optimiser step:

    theirs   every epoch each file is opened with Pillow, resized, and turned to Lab by
             scikit-image, one at a time, in the loop; float32, NCHW; the discriminator's
             weights collect gradients in the generator's step, which are thrown away
    ours     decoded once, crops cut by threads ahead of the loop, Lab on the device, channels last,
             bf16 where the device multiplies it faster; the discriminator rests in the generator's
             step

The second epoch is timed (the first fills caches), and the phases of both are printed, so that the
data path and the networks can be told apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2lab
from torch import Tensor, nn

from recolor_cli.data.batches import Samples
from recolor_cli.data.tensors import LabCrops
from recolor_cli.devices import choose_machine
from recolor_cli.models import create_discriminator, create_model
from recolor_cli.models.initialization import normal_init
from recolor_cli.recipes import RECIPES, Recipe
from recolor_cli.train import d_step, g_step
from recolor_cli.training.distributed import Ranks
from recolor_cli.training.material import load_material
from recolor_cli.training.players import assemble


def write_files(folder: Path, count: int) -> None:
    """JPEG photographs of ImageNet's usual size, 500 x 375."""
    for index in range(count):
        rng = np.random.default_rng(index)
        coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
        pixels = cv2.resize(coarse, (500, 375), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        pixels += rng.integers(-12, 13, pixels.shape, np.int16)
        cv2.imwrite(str(folder / f"{index:04d}.jpg"), pixels.clip(0, 255).astype(np.uint8))


def theirs(files: list[Path], recipe: Recipe, device: torch.device) -> dict[str, float]:
    """Seconds an image in data and in networks, as public pix2pix colourisers train."""
    generator = create_model("pix2pix-unet").to(device)
    discriminator = create_discriminator("patchgan").to(device)
    for network in (generator, discriminator):
        normal_init(network)
        network.train()
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    bce, l1 = nn.BCEWithLogitsLoss(), nn.L1Loss()
    seconds = {"data": 0.0, "networks": 0.0}

    def load(path: Path) -> tuple[Tensor, Tensor]:
        picture = Image.open(path).convert("RGB")
        picture = picture.resize((recipe.crop_px, recipe.crop_px), Image.Resampling.BICUBIC)
        lab = torch.from_numpy(rgb2lab(np.array(picture)).astype("float32")).permute(2, 0, 1)
        return lab[:1] / 50 - 1, lab[1:] / 110

    for epoch in range(2):
        for first in range(0, len(files), recipe.batch):
            start = time.perf_counter()
            pairs = [load(path) for path in files[first : first + recipe.batch]]
            gray = torch.stack([pair[0] for pair in pairs]).to(device)
            ab = torch.stack([pair[1] for pair in pairs]).to(device)
            loaded = time.perf_counter()

            fake = generator(gray)
            verdict_fake = discriminator(torch.cat((gray, fake.detach()), 1))
            verdict_real = discriminator(torch.cat((gray, ab), 1))
            loss_fake = bce(verdict_fake, torch.zeros_like(verdict_fake))
            loss_d = (loss_fake + bce(verdict_real, torch.ones_like(verdict_real))) * 0.5
            d_optimizer.zero_grad()
            loss_d.backward()
            d_optimizer.step()
            verdict = discriminator(torch.cat((gray, fake), 1))
            loss_g = bce(verdict, torch.ones_like(verdict)) + 100 * l1(fake, ab)
            g_optimizer.zero_grad()
            loss_g.backward()
            g_optimizer.step()
            loss_g.item()  # what their loops print
            if epoch == 1:
                seconds["data"] += (loaded - start) / len(files)
                seconds["networks"] += (time.perf_counter() - loaded) / len(files)
    return seconds


def ours(folder: Path, recipe: Recipe, device: str) -> dict[str, float]:
    """The same with recolor's parts, in the order of its loop."""
    machine = choose_machine(device, recipe.precision)
    material = load_material(recipe, [folder], stored=None)
    players = assemble(recipe, material, machine, Ranks(), 0, None)
    samples = Samples(material.train, recipe, 0)
    batches = samples.batches(0, recipe.batch, recipe.batch, recipe.workers)
    steps = len(material.train) // recipe.batch
    seconds = {"data": 0.0, "networks": 0.0}
    assert players.d is not None
    assert players.game is not None
    for step in range(2 * steps):
        start = time.perf_counter()
        crops = LabCrops(next(batches), machine.device)
        loaded = time.perf_counter()
        output, crops = players.paint(crops)
        with torch.no_grad():
            fake = players.objective.fake(output.detach(), crops)
            real = players.objective.real(crops, fake.shape[-2:])
        d_step(players.d, real, fake, players.game, players.backward)
        players.move(players.d, 1.0)
        losses = g_step(output, crops, players.objective, players.d, players.game, players.backward)
        players.move(players.g, 1.0)
        losses["g"].item()
        if step >= steps:
            seconds["data"] += (loaded - start) / (steps * recipe.batch)
            seconds["networks"] += (time.perf_counter() - loaded) / (steps * recipe.batch)
    batches.close()
    return seconds


def show(name: str, seconds: dict[str, float]) -> float:
    """Print one row; returns images/s."""
    rate = 1 / sum(seconds.values())
    parts = "  ".join(f"{part} {1000 * value:8.2f} ms" for part, value in seconds.items())
    print(f"{name:<8} {rate:8.2f} images/s   {parts}", flush=True)
    return rate


def main() -> None:
    """Train both ways and print them side by side."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    recipe = replace(
        RECIPES["complex"], crop_px=options.size, batch=options.batch, initialization="normal",
        reconstruction_weight=100.0, lr=2e-4, beta1=0.5, val_share=0.0, test_share=0.0,
        min_chroma=0.0, precision=options.precision,
    )  # fmt: skip
    machine = choose_machine(options.device, recipe.precision)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, options.images)
        print(f"{options.images} JPEG files, {options.size} px, batch {options.batch}, {machine}")
        runs: dict[str, Callable[[], dict[str, float]]] = {
            "theirs": lambda: theirs(sorted(folder.iterdir()), recipe, machine.device),
            "ours": lambda: ours(folder, recipe, options.device),
        }
        rates = {name: show(name, run()) for name, run in runs.items()}
    print(f"ours / theirs: {rates['ours'] / rates['theirs']:.2f}")


if __name__ == "__main__":
    main()
