"""A recipe: every field, its default, its range and its meaning.

Units are in the names; 0 or "" switches a part off.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, get_origin, get_type_hints

from recolor_cli.color.decoding import Decoding
from recolor_cli.errors import RecipeError

Argument = bool | int | float | str | tuple[int, ...]
MANY = 1e9  # epochs that nobody waits for: a run until Ctrl-C


def _field(default: Any, *, low: float = -math.inf, high: float = math.inf, of: str = "") -> Any:
    """A field with its range, or with its choices separated by spaces."""
    metadata = {"low": low, "high": high, "of": tuple(of.split()) if of else ()}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a training run; the comment beside a field is its documentation."""

    # What it is.
    title: str = _field("")  # one line for `recolor recipes`
    paper: str = _field("ours")  # which report it reproduces

    # Networks.
    network: str = _field("bins-unet")  # a name in MODELS
    network_arguments: dict[str, Argument] = field(default_factory=dict)  # --set network.NAME=VALUE
    discriminator: str = _field("")  # a name in DISCRIMINATORS; "" = none is built
    discriminator_arguments: dict[str, Argument] = field(
        default_factory=dict
    )  # --set discriminator.NAME=VALUE
    discriminator_weights: str = _field("")  # of a feature critic: a file or "torchvision"
    initialization: str = _field("default", of="default normal xavier")  # normal: N(0, 0.02)
    init: str = _field("")  # weights file or run folder whose generator the run starts from
    init_grow: bool = _field(False)  # init may be of a smaller network: what it lacks starts fresh
    encoder_weights: str = _field("")  # of the encoder: a file, "torchvision" or "shipped"
    second_encoder_weights: str = _field("")  # of the second encoder: a file or "shipped"
    freeze_encoder_to_stride: int = _field(0, low=0, high=64)  # blocks up to this stride stay fixed

    # Data.
    crop_px: int = _field(128, low=8, high=4096)  # side of the square that the network sees
    resize: str = _field("crop", of="crop squash")  # crop: scale, then cut; squash: whole picture
    scale_min: float = _field(1.0, low=1, high=8)  # crop: short side before cutting, in crop_px
    scale_max: float = _field(1.125, low=1, high=8)  # drawn evenly from scale_min to this
    flip: float = _field(0.5, low=0, high=1)  # probability of a mirror image
    flip_vertical: float = _field(0.0, low=0, high=1)  # the same, upside down
    rotate_degrees: float = _field(0.0, low=0, high=180)  # random rotation by up to this much
    train_images: int = _field(0, low=0)  # use so many of the training set; 0 = all
    name_weights: str = _field("")  # "coco=1.5,lfw=0.5": sampling weight by file-name prefix
    val_share: float = _field(0.1, low=0, high=0.9)  # of the photographs, to validate on
    test_share: float = _field(0.1, low=0, high=0.9)  # to test on; never seen in training
    min_side_px: int = _field(64, low=1)  # smaller pictures are left out
    min_chroma: float = _field(
        2.0, low=0, high=100
    )  # greyer pictures (mean ab radius) are left out
    cache: str = _field("ram", of="ram device none")  # where pictures are kept and cut
    workers: int = _field(1, low=0, high=256)  # threads that cut crops in ram; 0 = in the loop

    # The grey input as history would have made it: probability of each defect.
    age_spectral: float = _field(0.0, low=0, high=1)  # film that sees colours differently
    age_tone: float = _field(0.0, low=0, high=1)  # gamma, contrast, fading
    age_shading: float = _field(0.0, low=0, high=1)  # uneven light, vignette, fading in patches
    age_blur: float = _field(0.0, low=0, high=1)  # lens out of focus
    age_grain: float = _field(0.0, low=0, high=1)  # silver grain of the film
    age_scratches: float = _field(0.0, low=0, high=1)  # scratches and dust
    age_halftone: float = _field(0.0, low=0, high=1)  # printed dots
    age_jpeg: float = _field(0.0, low=0, high=1)  # compression of the scan

    # What the generator is asked for.
    objective: str = _field("l1", of="bins l1 huber none")  # bins: a distribution; else one colour
    reconstruction_weight: float = _field(1.0, low=0)  # of the objective beside the others (lambda)
    rebalance_uniform: float = _field(
        0.85, low=0, high=1
    )  # bins: Zhang 2016's lambda; 1 = no rebalancing
    temperature: float = _field(0.3, low=1e-3, high=10)  # bins: of the decoding
    broad_temperature: float = _field(0.0, low=0, high=10)  # of its broad part; 0 = there is none
    broad_cells: float = _field(3.0, low=0.1, high=16)  # how broad, in cells of the output
    broad_gain: float = _field(1.0, low=0.1, high=4)  # what the broad part is multiplied by
    fine_gain: float = _field(1.0, low=0.1, high=4)  # and the rest
    second_size: float = _field(0.0, low=0, high=1)  # of a second, smaller look in use; 0 = none
    second_weight: float = _field(0.5, low=0.01, high=1)  # what the second look counts
    perceptual_weight: float = _field(0.0, low=0)  # VGG features of pictures whose L is 0
    lpips_weight: float = _field(0.0, low=0)  # LPIPS, on AlexNet
    perceptual_weights: str = _field("")  # VGG / LPIPS weights: a file; "" = torchvision or lpips

    # The adversary.
    gan: str = _field("none", of="none bce bce-sigmoid hinge wgan-clip wgan-gp")  # adversarial loss
    gan_weight: float = _field(1.0, low=0)  # of the adversarial loss
    gan_from_epoch: float = _field(0.0, low=0, high=MANY)  # no adversary before this epoch
    d_loss_scale: float = _field(0.5, low=0)  # pix2pix halves the discriminator's loss
    critic_steps: int = _field(1, low=1, high=100)  # discriminator steps for each generator step
    clip_value: float = _field(0.01, low=0)  # wgan-clip: bound of the critic's weights
    gradient_penalty: float = _field(10.0, low=0)  # wgan-gp: lambda_gp

    # Optimisation.
    optimizer: str = _field("adam", of="adamw adam sgd rmsprop")  # for both networks
    lr: float = _field(2e-4, low=0, high=10)  # learning rate
    d_lr: float = _field(0.0, low=0, high=10)  # of the discriminator; 0 = lr
    beta1: float = _field(0.9, low=0, high=0.9999)  # adam, adamw: memory of the gradient
    beta2: float = _field(0.999, low=0, high=0.999999)  # adam, adamw: memory of its square
    weight_decay: float = _field(0.0, low=0)  # of kernels and matrices
    encoder_lr_scale: float = _field(1.0, low=0)  # of lr, for a pretrained encoder
    schedule: str = _field("constant", of="constant cosine")  # cosine: lr falls to 0
    warmup_images: int = _field(0, low=0)  # lr rises to its value over so many
    clip_norm: float = _field(0.0, low=0)  # of the generator's gradient; 0 = not clipped
    ema_halflife_images: float = _field(0.0, low=0)  # of the generator's moving average; 0 = none
    batch: int = _field(16, low=1, high=65536)  # images of one optimiser step, over all processes
    accumulate: int = _field(1, low=1, high=4096)  # backward passes that share one step
    epochs: float = _field(0.0, low=0, high=MANY)  # rounds over the training photographs
    total_images: int = _field(0, low=0)  # length of the run; 0 = epochs x training images
    precision: str = _field("auto", of="auto fp32 bf16 fp16")  # auto: bf16 where it is faster

    # Upkeep, in images seen; `Upkeep` says what 0 comes to.
    log_every_images: int = _field(0, low=0)  # 0 = about 400 times in a run
    validate_every_images: int = _field(0, low=0)  # 0 = about 40 times
    sample_every_images: int = _field(0, low=0)  # panels of samples/; 0 = at validations
    checkpoint_every_images: int = _field(0, low=0)  # 0 = at validations and by the clock
    checkpoint_minutes: float = _field(5.0, low=0)  # and when so old; 0 = never by the clock
    val_images: int = _field(512, low=1)  # at most so many are validated on
    val_px: int = _field(0, low=0, high=4096)  # side of validation pictures; 0 = crop_px
    best_by: str = _field("loss", of="loss ab_error")  # what best/ minimises
    divergence_factor: float = _field(
        50.0, low=0
    )  # stop at so many times the first loss; 0 = never
    tensorboard: bool = _field(False)  # write events/ too

    def __post_init__(self) -> None:
        """Check every field's type and range, then how fields go together."""
        for f in fields(self):
            object.__setattr__(self, f.name, _checked(f, getattr(self, f.name)))
        if self.scale_max < self.scale_min:
            raise RecipeError(
                f"scale_max '{self.scale_max}' is below scale_min '{self.scale_min}'; raise it"
            )
        if self.val_share + self.test_share >= 1:
            raise RecipeError("val_share and test_share leave nothing to train on; lower one")
        if self.batch % self.accumulate:
            raise RecipeError(
                f"batch '{self.batch}' must be a multiple of accumulate '{self.accumulate}'"
            )
        if (self.gan != "none") != bool(self.discriminator):
            raise RecipeError(
                f"gan '{self.gan}' and discriminator '{self.discriminator}' contradict each other; "
                "set both, or gan=none and discriminator="
            )
        if self.gan == "bce-sigmoid" and not self.discriminator_arguments.get("sigmoid"):
            raise RecipeError(
                "gan 'bce-sigmoid' takes probabilities, and the discriminator returns logits; add "
                "--set discriminator.sigmoid=true"
            )
        if self.gan == "wgan-clip" and not self.clip_value:
            raise RecipeError(
                "clip_value '0.0' leaves the critic of gan 'wgan-clip' no weights; set 0.01, as "
                "its inventors do"
            )
        if self.objective == "none" and self.gan == "none":
            raise RecipeError("objective 'none' without a gan leaves nothing to learn; set one")
        alone = self.objective == "none" and not (self.perceptual_weight or self.lpips_weight)
        if alone and self.gan_from_epoch:
            raise RecipeError(
                f"objective 'none' leaves nothing to learn before gan_from_epoch "
                f"'{self.gan_from_epoch}'; set an objective, or gan_from_epoch=0"
            )
        if not (self.epochs or self.total_images):
            raise RecipeError("the run has no length; set epochs or total_images")
        parse_name_weights(self.name_weights)

    @property
    def decoding(self) -> Decoding:
        """How a predicted distribution becomes ab."""
        return Decoding(
            temperature=self.temperature,
            broad_temperature=self.broad_temperature or None,
            broad_cells=self.broad_cells,
            broad_gain=self.broad_gain,
            fine_gain=self.fine_gain,
            second_size=self.second_size or None,
            second_weight=self.second_weight,
        )

    def images(self, train_images: int) -> int:
        """Length of the run in images: `total_images`, or `epochs` over so many photographs.

        Raises:
            RecipeError: That is less than one.
        """
        images = self.total_images or round(self.epochs * train_images)
        if not images:
            raise RecipeError(
                f"epochs '{self.epochs}' of {train_images} photographs are less than one image; "
                "raise epochs, or set total_images"
            )
        return images

    def gan_from(self, train_images: int) -> int:
        """After how many images the adversary joins, of so many photographs."""
        return round(self.gan_from_epoch * train_images)

    def to_json(self) -> str:
        """Every value, readable."""
        return json.dumps(asdict(self), indent=2) + "\n"


TYPES = get_type_hints(Recipe)


def _checked(f: Field[Any], value: Any) -> Any:
    kind = TYPES[f.name]
    if get_origin(kind) is dict:
        if not isinstance(value, Mapping):
            raise RecipeError(f"{f.name} must be a mapping, got '{value}'")
        return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise RecipeError(f"{f.name} must be {_KINDS[kind]}, got '{value}'")
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"{f.name} must be a finite number, got '{value}'")
    low, high, choices = f.metadata["low"], f.metadata["high"], f.metadata["of"]
    if choices and value not in choices:
        near = did_you_mean(str(value), choices)
        raise RecipeError(f"{f.name} cannot be '{value}'; {near or 'one of ' + ', '.join(choices)}")
    if kind in (int, float) and not low <= value <= high:
        raise RecipeError(f"{f.name} must be {_span(low, high)}, got '{value}'")
    return value


_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _span(low: float, high: float) -> str:
    if math.isinf(high):
        return f"at least {low:g}"
    return f"between {low:g} and {high:g}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names as the end of an error text, or ""."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else ""


def parse_name_weights(text: str) -> dict[str, float]:
    """Sampling weights by prefix: "coco=1.5,lfw=0.5" -> {"coco": 1.5, "lfw": 0.5}."""
    weights = {}
    for part in filter(None, text.split(",")):
        prefix, equals, value = part.partition("=")
        try:
            weights[prefix] = float(value)
        except ValueError:
            weights[prefix] = math.nan
        if not equals or not 0 <= weights[prefix] < math.inf:
            raise RecipeError(f"name_weights has '{part}'; write PREFIX=WEIGHT, e.g. coco=1.5")
    return weights
