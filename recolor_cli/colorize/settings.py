"""What decides how a photograph comes out, and what only decides how the work is done."""

from __future__ import annotations

import os
from dataclasses import dataclass

from recolor_cli.errors import UsageError
from recolor_cli.images.read import MAX_PIXELS
from recolor_cli.images.write import CHOICES
from recolor_cli.ranges import check_shard, checked

FLAGS = ("overwrite", "force", "offline")
NAMES = ("device", "precision", "format")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a user can choose for `colorize_files`.

    Attributes:
        model: Name in `weights.json`, run folder, file, or hf:// address.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, fp32, bf16 or fp16.
        input_size: Long side in pixels that the network sees; None is the weights' own.
        batch_size: Photographs that go to the device together; None leaves it to the device.
        workers: Threads that decode and encode; None is one per core.
        saturation: Factor on chroma; 1 is what the network says.
        warmth: Mireds by which the light is made warmer, below 0 cooler; 0 leaves it.
        temperature: Of networks that predict a distribution: low is vivid, 1 the plain mean; None
            is the weights' own.
        format: keep, jpg, png, tiff or webp.
        quality: 1..100 of JPEG and lossy WebP.
        overwrite: Make everything again, replacing what is there.
        force: Also recolour photographs that have colour.
        shard: (I, N): of N equal parts of the work do only part I, counted from 1.
        offline: Never use the network for weights.
        max_pixels: Larger pictures are refused before they are decoded.
        hints: File with hints or a palette, instead of what lies beside the photographs; "none"
            leaves all hints out.
        variants: Plausible colourings of each photograph; 0 is the one.
        seed: Of the variants from the second on.
        cluster: A Ray cluster that does the work: auto, local, or HOST:PORT; None is this machine
            without Ray. `workers` are then the cores of each worker.
        cluster_workers: How many workers to ask the cluster for; None is what it has room for.
    """

    model: str = "default"
    device: str = "auto"
    precision: str = "auto"
    input_size: int | None = None
    batch_size: int | None = None
    workers: int | None = None
    saturation: float = 1.0
    warmth: float = 0.0
    temperature: float | None = None
    format: str = "keep"
    quality: int = 95
    overwrite: bool = False
    force: bool = False
    shard: tuple[int, int] = (1, 1)
    offline: bool = False
    max_pixels: int = MAX_PIXELS
    hints: str | None = None
    variants: int = 0
    seed: int = 0
    cluster: str | None = None
    cluster_workers: int | None = None

    def __post_init__(self) -> None:
        """Check every value; NumPy's numbers become Python's.

        Raises:
            TypeError: A value is of another type; the text names it.
            UsageError: A value is out of range; the text names it.
        """
        for name in FLAGS:
            check_flag(name, getattr(self, name))
        for name in NAMES:
            check_text(name, getattr(self, name))
        check_text("model", self.model, paths=True)
        if self.hints is not None:
            check_text("hints", self.hints, paths=True)
        if self.cluster is not None:
            check_text("cluster", self.cluster)
        if self.format not in CHOICES:
            raise UsageError(f"no format {self.format!r}; use {', '.join(CHOICES)}")
        for name in ("saturation", "warmth", "quality", "max_pixels", "variants", "seed"):
            self._put(name, checked(name, getattr(self, name)))
        for name in ("input_size", "batch_size", "workers", "temperature", "cluster_workers"):
            if getattr(self, name) is not None:
                self._put(name, checked(name, getattr(self, name)))
        if self.cluster_workers is not None and self.cluster is None:
            raise UsageError("--cluster-workers is for clusters; type --cluster auto as well")
        self._put("shard", check_shard(self.shard))

    def _put(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen for everybody else


def deciding(settings: Settings) -> dict[str, object]:
    """The settings that change what a file holds, as they were asked for."""
    names = ("input_size", "saturation", "temperature", "precision", "format", "quality")
    values = {name: getattr(settings, name) for name in names}
    if settings.warmth:  # else as if there were none: results of before stay what they are
        values["warmth"] = settings.warmth
    return values


def check_flag(name: str, value: object) -> None:
    """Raise TypeError unless it is True or False: any text, "no" too, would count as true."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r:.60}")


def check_text(name: str, value: object, *, paths: bool = False) -> None:
    """Raise TypeError unless it is text, or also a path where those are taken."""
    if not isinstance(value, (str, os.PathLike) if paths else str):
        kind = "text or a path" if paths else "text"
        raise TypeError(f"{name} must be {kind}, got {value!r:.60}")
