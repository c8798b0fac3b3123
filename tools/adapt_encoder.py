"""Teach MobileNetV2 to say of a grey picture what it says of the same picture in colour.

    python tools/adapt_encoder.py --weights MOBILENETV2 --data DATA --val VAL --out FILE

ImageNet encoders learnt from colour; of grey pictures MobileNetV2 names the class that it names in
colour only half of the time, and a quarter of what varies in its coarsest map is left. No labels
are needed to mend that: the network as published looks at a crop in colour, a copy looks at its
grey, aged as in training, and is asked for the same maps at strides 16 and 32 and the same classes
(distillation: Hinton et al. 2015). FILE is then what `recolor train --set
second_encoder_weights=FILE` takes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recolor_cli.color.spaces import SPACES
from recolor_cli.data.batches import Samples, validation_batches
from recolor_cli.data.tensors import LabCrops
from recolor_cli.models.encoders import MobileNetV2Encoder
from recolor_cli.recipes import RECIPES
from recolor_cli.recipes.settings import override
from recolor_cli.training.material import load_material
from recolor_cli.training.optimization import (
    MovingAverage,
    build_optimizer,
    decay_groups,
    lr_factor,
    set_lr,
)

CPU = torch.device("cpu")
CLASSES_WEIGHT = 0.2  # of the classes' divergence beside the maps' errors, which begin near 1
FIXED_TO_STRIDE = 4  # edges are edges in grey as well
JUDGE_EVERY_IMAGES = 9_600


class Colored(MobileNetV2Encoder):
    """As published: three channels in, -1..1."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.load_imagenet(tensors)
        stem = self.blocks[0]
        assert isinstance(stem, nn.Conv2d)
        stem.weight = nn.Parameter(tensors["f.0.c.weight"].float())
        self.eval().requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Comparison:
    """How far what is said of grey is from what is said of colour.

    Args:
        tensors: as published, with the classifier.
        crops: whose maps of colour say what a large error is: the variance over pictures, so that
            their mean has error 1.
    """

    def __init__(self, tensors: Mapping[str, Tensor], crops: list[LabCrops]) -> None:
        self._weight = tensors["fc.weight"].float().flatten(1)
        self._bias = tensors["fc.bias"].float()
        self._teacher = Colored(tensors)
        seen = zip(*map(self._of_color, crops), strict=True)
        self._variance = [float(torch.cat(maps).var(0).mean()) for maps in seen]

    def errors(self, student: nn.Module, crops: LabCrops) -> Tensor:
        """(3,): of the maps at strides 16 and 32, in parts of their variance; the classes' KL."""
        theirs, ours = self._of_color(crops), self._of_grey(student, crops)
        maps = [
            (a - b).pow(2).mean() / v for a, b, v in zip(ours, theirs, self._variance, strict=True)
        ]
        wanted, said = self._classes(theirs[1]), self._classes(ours[1])
        divergence = F.kl_div(said, wanted, log_target=True, reduction="batchmean")
        return torch.stack([*maps, divergence])

    @torch.no_grad()
    def agreement(self, student: nn.Module, crops: LabCrops) -> float:
        """On how many of the crops both name the same class, 0..1."""
        theirs = self._classes(self._of_color(crops)[1]).argmax(1)
        ours = self._classes(self._of_grey(student, crops)[1]).argmax(1)
        return float((theirs == ours).float().mean())

    @torch.no_grad()
    def _of_color(self, crops: LabCrops) -> list[Tensor]:
        return _maps(self._teacher, crops.rgb * 2 - 1)

    def _of_grey(self, student: nn.Module, crops: LabCrops) -> list[Tensor]:
        return _maps(student, SPACES["lab-bins"].encode(crops.luminance))

    def _classes(self, coarsest: Tensor) -> Tensor:
        return F.linear(coarsest.mean((2, 3)), self._weight, self._bias).log_softmax(1)


def _maps(encoder: nn.Module, pictures: Tensor) -> list[Tensor]:
    """At strides 16 and 32."""
    with torch.autocast("cpu", torch.bfloat16):
        maps = encoder(pictures.contiguous(memory_format=torch.channels_last))
    return [map.float() for map in maps[-2:]]


def main() -> None:
    """Train, judge now and then, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, help="MobileNetV2, batch norm folded in")
    parser.add_argument("--data", required=True, nargs="+", help="folders or shards to learn from")
    parser.add_argument("--val", required=True, nargs="+", help="the same to judge by")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--images", type=int, default=48_000, help="length, in crops")
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], help="of the recipe base")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    settings = dict(pair.split("=", 1) for pair in options.set)
    recipe = override(replace(RECIPES["base"], lr=options.lr, weight_decay=0.0), settings)
    material = load_material(recipe, options.data, options.val)
    print(material.describe(), flush=True)
    published = load_file(options.weights)
    judged = [LabCrops(batch, CPU) for batch in validation_batches(material.val, recipe, 64)]
    comparison = Comparison(published, judged)

    student = MobileNetV2Encoder()
    student.load_imagenet(published)
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for block, stride in student.staged_blocks():
        block.requires_grad_(stride > FIXED_TO_STRIDE)
    moving = [p for p in student.parameters() if p.requires_grad]
    optimizer = build_optimizer(recipe, decay_groups(moving, 1.0), recipe.lr)
    average = MovingAverage(student, recipe.ema_halflife_images)
    print(report(comparison, student, judged, 0, 0.0), flush=True)
    begun = time.monotonic()
    for seen, crops in drawn(Samples(material.train, recipe, options.seed), recipe.batch):
        errors = comparison.errors(student, crops)
        (errors * errors.new_tensor([1, 1, CLASSES_WEIGHT])).sum().backward()
        nn.utils.clip_grad_norm_(moving, recipe.clip_norm)
        set_lr(optimizer, recipe.lr * lr_factor(recipe, seen, options.images))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        now = seen + recipe.batch
        average.update(student, recipe.batch, now)
        if now % JUDGE_EVERY_IMAGES < recipe.batch or now >= options.images:
            rate = now / (time.monotonic() - begun)
            print(report(comparison, average.network, judged, now, rate), flush=True)
            save_file(as_published(average.network.state_dict()), options.out)
        if now >= options.images:
            return


def drawn(samples: Samples, batch: int) -> Iterator[tuple[int, LabCrops]]:
    """How many crops came before, and the next ones, without end."""
    for number, crops in enumerate(samples.batches(0, batch, batch, 1)):
        yield number * batch, LabCrops(crops, CPU)


def report(
    comparison: Comparison, student: nn.Module, judged: list[LabCrops], seen: int, rate: float
) -> str:
    """One line on the photographs that are not learnt from."""
    with torch.no_grad():
        errors = torch.stack([comparison.errors(student, crops) for crops in judged]).mean(0)
    same = sum(comparison.agreement(student, crops) * len(crops) for crops in judged)
    share = same / sum(map(len, judged))
    stride16, stride32, classes = errors.tolist()
    return (
        f"{seen} crops, {rate:.0f}/s: error at stride 16 {stride16:.3f}, at 32 {stride32:.3f}, "
        f"classes {classes:.3f}; same class {share:.3f}"
    )


def as_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors under published names; the stem's grey is shared among channels."""
    tensors = {}
    for name, tensor in state.items():
        parts = name.removeprefix("blocks.").split(".")
        block = f"b.{parts[2]}.c" if parts[1] == "convs" else "c"
        value = tensor.expand(-1, 3, -1, -1) / 3 if name == "blocks.0.weight" else tensor
        tensors[f"f.{parts[0]}.{block}.{parts[-1]}"] = value.contiguous().clone()
    return tensors


if __name__ == "__main__":
    main()
