"""Images/s of `complex` + PatchGAN trained by recolor, and the way public pix2pix code does it.

    python benchmarks/train_step.py [--images 64] [--batch 4] [--size 256] [--base 64] [--quick]

Both train the same networks on the same files with the same losses, from file to optimiser step:

    theirs   each epoch every file is opened with Pillow, resized, and turned to Lab by
             scikit-image, one at a time, by one worker process; float32, NCHW; the discriminator
             judges three times and collects gradients in the generator's step, which are thrown
             away
    ours     decoded once, crops cut ahead of the loop (or on the device: --cache device), Lab on
             the device, channels last, bf16 where the device multiplies it faster; the
             discriminator rests in the generator's step

Three things are measured, each alternating between the two, so that a busy machine is unfair to
both alike: the data path alone, the step alone (on a batch that is there), and both as they run. An
epoch is driven before, which fills the caches. Medians of all rounds, and their ratios.

On a machine that does other things as well, `--processor-time` compares the step alone: on one
thread, by the time that it had the processor.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2lab
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from recolor_cli.data.batches import Samples
from recolor_cli.data.device import DeviceSamples
from recolor_cli.data.tensors import LabCrops
from recolor_cli.devices import Machine, choose_machine
from recolor_cli.models import create_discriminator, create_model
from recolor_cli.models.initialization import normal_init
from recolor_cli.recipes import RECIPES, Recipe
from recolor_cli.train import d_step, g_step
from recolor_cli.training.distributed import Ranks
from recolor_cli.training.material import load_material
from recolor_cli.training.players import assemble

READY = 4  # batches that may be there already when the data path alone is timed


def write_files(folder: Path, first: int, count: int) -> None:
    """JPEG photographs of ImageNet's usual size, 500 x 375."""
    folder.mkdir()
    for index in range(first, first + count):
        rng = np.random.default_rng(index)
        coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
        pixels = cv2.resize(coarse, (500, 375), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        pixels += rng.integers(-12, 13, pixels.shape, np.int16)
        cv2.imwrite(str(folder / f"{index:04d}.jpg"), pixels.clip(0, 255).astype(np.uint8))


class LabFiles(Dataset[tuple[Tensor, Tensor]]):
    """Files as public pix2pix colourisers read them: L and ab, -1..1."""

    def __init__(self, files: list[Path], side: int) -> None:
        self.files, self.side = files, side

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture = Image.open(self.files[index]).convert("RGB")
        picture = picture.resize((self.side, self.side), Image.Resampling.BICUBIC)
        lab = torch.from_numpy(rgb2lab(np.array(picture)).astype("float32")).permute(2, 0, 1)
        return lab[:1] / 50 - 1, lab[1:] / 110


class Theirs:
    """Public pix2pix code."""

    def __init__(self, folder: Path, recipe: Recipe, machine: Machine) -> None:
        self.device = machine.device
        self.generator = create_model("pix2pix-unet", **recipe.network_arguments).to(self.device)
        width = recipe.discriminator_arguments
        self.discriminator = create_discriminator("patchgan", **width).to(self.device)
        for network in (self.generator, self.discriminator):
            normal_init(network)
            network.train()
        adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), **adam)
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), **adam)
        self.bce, self.l1 = nn.BCEWithLogitsLoss(), nn.L1Loss()
        self.loader = DataLoader(
            LabFiles(sorted(folder.iterdir()), recipe.crop_px), recipe.batch, shuffle=True,
            num_workers=1, drop_last=True, persistent_workers=True,
            pin_memory=self.device.type == "cuda",
        )  # fmt: skip
        self.batches: Iterator[tuple[Tensor, Tensor]] = self._endless()

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def load(self) -> tuple[Tensor, Tensor]:
        """The next batch, on the device."""
        gray, ab = next(self.batches)
        return gray.to(self.device), ab.to(self.device)

    def step(self, batch: tuple[Tensor, Tensor]) -> None:
        """One step of each network."""
        gray, ab = batch
        fake = self.generator(gray)
        verdict_fake = self.discriminator(torch.cat((gray, fake.detach()), 1))
        verdict_real = self.discriminator(torch.cat((gray, ab), 1))
        loss_fake = self.bce(verdict_fake, torch.zeros_like(verdict_fake))
        loss_d = (loss_fake + self.bce(verdict_real, torch.ones_like(verdict_real))) * 0.5
        self.d_optimizer.zero_grad()
        loss_d.backward()
        self.d_optimizer.step()
        verdict = self.discriminator(torch.cat((gray, fake), 1))
        loss_g = self.bce(verdict, torch.ones_like(verdict)) + 100 * self.l1(fake, ab)
        self.g_optimizer.zero_grad()
        loss_g.backward()
        self.g_optimizer.step()
        loss_g.item()  # what their loops print

    def close(self) -> None:
        """Stop the worker."""
        del self.batches, self.loader


class Ours:
    """recolor's parts in the order of its loop."""

    def __init__(self, folder: Path, recipe: Recipe, machine: Machine) -> None:
        self.device = machine.device
        material = load_material(recipe, [folder], [folder.with_name("val")])
        self.players = assemble(recipe, material, machine, Ranks(), 0, None)
        samples: Samples | DeviceSamples
        if recipe.cache == "device":
            samples = DeviceSamples(material.train, recipe, 0, machine.device)
        else:
            samples = Samples(material.train, recipe, 0)
        self.batches = samples.batches(0, recipe.batch, recipe.batch, recipe.workers)

    def load(self) -> LabCrops:
        """The next batch, on the device, with its Lab."""
        crops = LabCrops(next(self.batches), self.device)
        crops.lab.flatten()[0].item()
        return crops

    def step(self, crops: LabCrops) -> None:
        """One step of each network."""
        players, d, game = self.players, self.players.d, self.players.game
        assert d is not None
        assert game is not None
        output, crops = players.paint(crops)
        with torch.no_grad():
            fake = players.objective.fake(output.detach(), crops)
            real = players.objective.real(crops, output.shape[-2:])
        d_step(d, real, fake, game, players.backward)
        players.move(d, 1.0)
        losses = g_step(output, crops, players.objective, d, game, players.backward)
        players.move(players.g, 1.0)
        losses["g"].item()

    def close(self) -> None:
        """Stop the threads."""
        self.batches.close()


def measure(side: Any, steps: int, batch: int, device: torch.device) -> dict[str, float]:
    """Seconds an image: the data path, the step, both."""

    def timed(action: Callable[[], object]) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - start) / (steps * batch)

    for _ in range(READY):
        side.load()
    data = timed(side.load)
    ready = side.load()
    step = timed(lambda: side.step(ready))
    return {"data": data, "step": step, "both": timed(lambda: side.step(side.load()))}


def measure_processor(side: Any, steps: int, batch: int, device: torch.device) -> dict[str, float]:
    """Seconds an image that the step alone has the processor; on one thread that is its work."""
    assert device.type == "cpu", "an accelerator's work is not the processor's"
    ready = side.load()
    start = time.process_time()
    for _ in range(steps):
        side.step(ready)
    return {"step": (time.process_time() - start) / (steps * batch)}


def main() -> None:
    """Train both ways, in turns, and print them side by side."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base", type=int, default=64, help="width; 64 is pix2pix's")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--cache", default="ram", choices=("ram", "device"))
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--quick", action="store_true", help="4 files, thin networks, 1 round")
    options = parser.parse_args()
    if options.quick:
        options.images, options.batch, options.rounds, options.base = 4, 2, 1, 8
    recipe = replace(
        RECIPES["complex"], crop_px=options.size, batch=options.batch, initialization="normal",
        reconstruction_weight=100.0, lr=2e-4, beta1=0.5, val_share=0.0, test_share=0.0,
        min_chroma=0.0, precision=options.precision, cache=options.cache,
        network_arguments={"base": options.base}, discriminator_arguments={"base": options.base},
    )  # fmt: skip
    machine = choose_machine(options.device, recipe.precision)
    steps = options.images // options.batch
    measured = measure_processor if options.processor_time else measure
    if options.processor_time:
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "train")
        write_files(folder, 0, options.images)
        write_files(folder.with_name("val"), options.images, 1)
        load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
        print(f"{options.images} JPEG files, {options.size} px, batch {options.batch}, {machine}")
        print(f"width {options.base}, {options.rounds} rounds, cache {options.cache}{load}")
        sides: dict[str, Any] = {
            "theirs": Theirs(folder, recipe, machine),
            "ours": Ours(folder, recipe, machine),
        }
        seconds: dict[str, dict[str, list[float]]] = {name: {} for name in sides}
        warm_up = [side for side in sides.values() for _ in range(steps)]
        for side in warm_up:
            side.load()
        for side in sides.values():
            side.step(side.load())
        turns = cycle([list(sides), list(reversed(sides))])  # nobody always comes first
        for _, turn in zip(range(options.rounds), turns, strict=False):
            for name in turn:
                found = measured(sides[name], steps, options.batch, machine.device)
                for part, value in found.items():
                    seconds[name].setdefault(part, []).append(value)
        for side in sides.values():
            side.close()
    report(seconds)


def report(seconds: dict[str, dict[str, list[float]]]) -> None:
    """Medians in ms an image and images/s, and how many times faster ours are."""
    print(f"{'':<8}" + "".join(f"{part:>22}" for part in seconds["ours"]))
    medians = {
        name: {part: statistics.median(values) for part, values in parts.items()}
        for name, parts in seconds.items()
    }
    for name, parts in medians.items():
        row = "".join(f"{1000 * s:>10.2f} ms {1 / s:>7.2f}/s" for s in parts.values())
        print(f"{name:<8}{row}")
    ratios = {part: medians["theirs"][part] / medians["ours"][part] for part in seconds["ours"]}
    print(f"{'ratio':<8}" + "".join(f"{ratio:>21.2f}x" for ratio in ratios.values()))


if __name__ == "__main__":
    main()
