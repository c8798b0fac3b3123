"""What decides how a photograph comes out, and what only decides how the work is done."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from recolor_cli.color.warmth import MOST as MOST_WARMTH
from recolor_cli.errors import UsageError
from recolor_cli.images.read import MAX_PIXELS
from recolor_cli.images.write import CHOICES

MAX_INPUT_SIZE = 4096
MOST_VARIANTS = 23  # with the photograph as it was they fill a contact sheet
MAX_SEED = 2**31 - 1


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
        """Check every value.

        Raises:
            UsageError: A value is out of range; the text names it.
        """
        if self.format not in CHOICES:
            raise UsageError(f"no format {self.format!r}; use {', '.join(CHOICES)}")
        if self.input_size is not None:
            _check("--input-size", self.input_size, 16, MAX_INPUT_SIZE)
        if self.batch_size is not None:
            _check("--batch-size", self.batch_size, 1, 4096)
        if self.workers is not None:
            _check("--workers", self.workers, 1, 1024)
        _check("--saturation", self.saturation, 0, 10)
        _check("--warmth", self.warmth, -MOST_WARMTH, MOST_WARMTH)
        if self.temperature is not None:
            _check("--temperature", self.temperature, 0.01, 10)
        _check("--quality", self.quality, 1, 100)
        _check("--max-pixels", self.max_pixels, 1, math.inf)
        if self.variants:
            _check("--variants", self.variants, 2, MOST_VARIANTS)
        _check("--seed", self.seed, 0, MAX_SEED)
        if self.cluster_workers is not None:
            _check("--cluster-workers", self.cluster_workers, 1, 65536)
            if self.cluster is None:
                raise UsageError("--cluster-workers is for clusters; type --cluster auto as well")
        part, parts = self.shard
        if not 1 <= part <= parts:
            raise UsageError(f"no part {part} of {parts}; --shard counts from 1/N to N/N")


def deciding(settings: Settings) -> dict[str, object]:
    """The settings that change what a file holds, as they were asked for."""
    names = ("input_size", "saturation", "temperature", "precision", "format", "quality")
    values = {name: getattr(settings, name) for name in names}
    if settings.warmth:  # else as if there were none: results of before stay what they are
        values["warmth"] = settings.warmth
    return values


def parse_shard(text: str) -> tuple[int, int]:
    """Read `I/N`.

    >>> parse_shard("2/8")
    (2, 8)
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not match:
        raise UsageError(f"no shard {text!r}; type --shard I/N, such as --shard 1/4")
    return int(match[1]), int(match[2])


def _check(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also refuses NaN
        bounds = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
        raise UsageError(f"{option} must be {bounds}, got {value:g}")
