"""What each kind of network eats and returns, in Lab terms: the one place that scales.

Everything outside speaks Lab: L 0..100, a and b about -110..110. A weights file names its space
in the header field `color`, e.g. {"space": "lab-bins", "temperature": 0.3}; the space turns L into
the network's input and the network's output into ab. New kinds of network are a new row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recolor_cli.color.bins import confidence, decode, sample_ab
from recolor_cli.color.decoding import Decoding
from recolor_cli.color.tensors import lab_to_rgb, luminance_to_gray, resize_area, rgb_to_lab


@dataclass(frozen=True)
class Space:
    """How one kind of network sees colour.

    Attributes:
        output: what the network returns: "ab", "rgb" or "bins".
        encode: L (B, 1, H, W) 0..100 -> the network's input.
        decode: (output, L) -> ab (B, 2, h, w); None for "bins", which `decode_bins` handles.
        target: Lab (B, 3, H, W) -> what the output should be; None for "bins" (see `bins.py`).
        picture: output -> RGB 0..1, with the luminance that was painted; None unless it is "rgb".
    """

    output: str
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor, Tensor], Tensor] | None
    target: Callable[[Tensor], Tensor] | None
    picture: Callable[[Tensor], Tensor] | None = None


def _gray(luminance: Tensor) -> Tensor:
    return luminance_to_gray(luminance) * 2 - 1


def _gray_rgb(luminance: Tensor) -> Tensor:
    return luminance_to_gray(luminance).expand(-1, 3, -1, -1)


def _picture(rgb: Tensor) -> Tensor:
    return (rgb.clamp(-1, 1) + 1) / 2


def _rgb_to_ab(rgb: Tensor, luminance: Tensor) -> Tensor:  # noqa: ARG001  the photo's own L is merged later
    return rgb_to_lab(_picture(rgb))[:, 1:]


SPACES: dict[str, Space] = {
    # L / 50 - 1 in; ab / 110 out, for networks that end in tanh (pix2pix and the reports).
    "lab": Space(
        output="ab",
        encode=lambda luminance: luminance / 50 - 1,
        decode=lambda output, luminance: output * 110,  # noqa: ARG005
        target=lambda lab: lab[:, 1:] / 110,
    ),
    # sRGB grey with the same lightness, -1..1 in; sRGB -1..1 out.
    "rgb": Space(
        output="rgb",
        encode=_gray,
        decode=_rgb_to_ab,
        target=lambda lab: lab_to_rgb(lab) * 2 - 1,
        picture=_picture,
    ),
    # sRGB grey -1..1 in (what ImageNet encoders know); logits over ab bins out.
    "lab-bins": Space(output="bins", encode=_gray, decode=None, target=None),
    # (L - 50) / 100 in; ab / 110 out: the networks of Zhang et al.
    "zhang": Space(
        output="ab",
        encode=lambda luminance: (luminance - 50) / 100,
        decode=lambda output, luminance: output * 110,  # noqa: ARG005
        target=lambda lab: lab[:, 1:] / 110,
    ),
    # sRGB grey 0..1 in, three equal channels; ab out, not scaled: DDColor.
    "gray01-ab": Space(
        output="ab",
        encode=_gray_rgb,
        decode=lambda output, luminance: output,  # noqa: ARG005
        target=lambda lab: lab[:, 1:],
    ),
    # sRGB grey 0..1 in, three equal channels; sRGB 0..1 out: DeOldify.
    "rgb01": Space(
        output="rgb",
        encode=_gray_rgb,
        decode=lambda output, luminance: rgb_to_lab(output.clamp(0, 1))[:, 1:],  # noqa: ARG005
        target=lab_to_rgb,
        picture=lambda output: output.clamp(0, 1),
    ),
    # sRGB grey -1..1 in; ab / 110 out: an ImageNet encoder that regresses.
    "gray-ab": Space(
        output="ab",
        encode=_gray,
        decode=lambda output, luminance: output * 110,  # noqa: ARG005
        target=lambda lab: lab[:, 1:] / 110,
    ),
}


@dataclass(frozen=True)
class Prediction:
    """What a network says about a batch.

    Attributes:
        ab: (B, 2, h, w) float32; h and w may be smaller than the network's input.
        confidence: (B, h, w) 0..1 for networks that predict a distribution, else None.
    """

    ab: Tensor
    confidence: Tensor | None


@torch.no_grad()
def predict(
    network: torch.nn.Module,
    luminance: Tensor,
    space: Space,
    *,
    decoding: Decoding | None = None,
    seed: int | None = None,
) -> Prediction:
    """Run a network on L (B, 1, H, W) 0..100 and decode its answer, whatever its kind.

    Args:
        decoding: of networks that predict a distribution; None is `Decoding()`.
        seed: draw one plausible colouring instead of the mean; only for the same.
    """
    output = look(network, luminance, space)
    if space.decode is not None:
        return Prediction(space.decode(output, luminance), None)
    bins, decoding = network.get_buffer("bins"), decoding or Decoding()
    if decoding.second_size is not None:
        output = _look_again(network, luminance, space, output, decoding)
    if seed is None:
        ab = decode(output, bins, decoding)
    else:
        ab = sample_ab(output, bins, decoding, seed=seed)
    return Prediction(ab, confidence(output))


def look(network: torch.nn.Module, luminance: Tensor, space: Space) -> Tensor:
    """What the network returns for L (B, 1, H, W) 0..100, in float32."""
    dtype = next(network.parameters()).dtype
    output: Tensor = network(space.encode(luminance.float()).to(dtype))
    return output.float()


def _look_again(
    network: torch.nn.Module, luminance: Tensor, space: Space, first: Tensor, decoding: Decoding
) -> Tensor:
    """The mean log-probabilities of a first look and of one at a smaller picture."""
    assert decoding.second_size is not None
    stride = network.stride
    assert isinstance(stride, int)
    height, width = luminance.shape[-2:]
    size = [
        min(side, max(stride, round(side * decoding.second_size / stride) * stride))
        for side in (height, width)
    ]
    if size == [height, width]:
        return first
    second = torch.log_softmax(look(network, resize_area(luminance, size), space), dim=1)
    second = F.interpolate(second, first.shape[-2:], mode="bilinear", align_corners=False)
    return torch.log_softmax(first, dim=1).lerp(second, decoding.second_weight)
