"""A discriminator that looks through an ImageNet network's eyes: small heads on frozen features."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from recolor_cli.color.tensors import constant, lab_to_rgb

# SqueezeNet 1.1 (Iandola et al. 2016; the variant of its authors' repository):
# fire -> (inputs, squeezed, expanded by 1x1 and by 3x3 each).
_FIRES = {
    "fire2": (64, 16, 64),
    "fire3": (128, 16, 64),
    "fire4": (128, 32, 128),
    "fire5": (256, 32, 128),
    "fire6": (256, 48, 192),
    "fire7": (384, 48, 192),
    "fire8": (384, 64, 256),
    "fire9": (512, 64, 256),
}
_PLACES = dict(zip(_FIRES, (3, 4, 6, 7, 9, 10, 11, 12), strict=True))  # torchvision's features.N
_POOLED = ("fire2", "fire4", "fire6")  # 3x3 max-pooling of stride 2 before these
_TAPS = {"fire3": 128, "fire5": 256, "fire9": 512}  # strides 4, 8, 16; what the heads see
_LAYERS = ("squeeze", "expand1x1", "expand3x3")


class FeatureCritic(nn.Module):
    """L and ab (B, 3, H, W), or grey and RGB (B, 4, H, W), -1..1 -> verdicts (B, 3, h, w).

    The idea is Projected GANs' (Sauer et al. 2021, section 3): a frozen network that knows objects
    turns the picture into maps, and only small heads on them are trained, so that the generator is
    told what a thing of this kind does not look like after a few thousand pictures. Without their
    random mixing of channels and scales. One head a stride (4, 8, 16), each with spectral norm
    (Miyato et al. 2018); coarse verdicts are repeated, so that each stride has the same say.

    Its colours are compared at the size of the crop, where the frozen network knows what it sees.

    Args:
        in_channels: 3 for L + ab, 4 for grey + RGB (whose grey is not looked at).
        base: channels of a head are twice this, then this.
        norm: of the heads: "spectral" or "none".
        sigmoid: return probabilities instead of logits.
    """

    full_size = True  # wants pictures of the crop's size, whatever the generator's

    def __init__(
        self,
        in_channels: int = 3,
        base: int = 64,
        norm: str = "spectral",
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        if norm not in ("spectral", "none"):
            raise ValueError(f"norm must be one of spectral, none, got {norm!r}")
        # Buffers, not parameters: nothing trains them, whoever asks this network for gradients.
        for name, shape in _shapes().items():
            self.register_buffer(name, 0.1 * torch.randn(shape))
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("std", torch.ones(3, 1, 1))
        self.mean: Tensor
        self.std: Tensor
        heads = {}
        for tap, channels in _TAPS.items():
            convs: list[nn.Module] = [
                nn.Conv2d(channels, 2 * base, 1),
                nn.Conv2d(2 * base, base, 3, padding=1),
                nn.Conv2d(base, 1, 1),
            ]
            if norm == "spectral":
                convs = [spectral_norm(conv) for conv in convs]
            first, second, last = convs
            heads[tap] = nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), last)
        self.heads = nn.ModuleDict(heads)
        self.in_channels, self.sigmoid = in_channels, sigmoid

    def forward(self, picture: Tensor) -> Tensor:
        maps = self.features(self._rgb(picture))
        verdicts: list[Tensor] = [self.heads[tap](maps[tap]) for tap in _TAPS]
        finest = verdicts[0].shape[-2:]
        together = torch.cat([F.interpolate(v, finest, mode="nearest") for v in verdicts], 1)
        return together.sigmoid() if self.sigmoid else together

    def features(self, rgb: Tensor) -> dict[str, Tensor]:
        """RGB (B, 3, H, W) 0..1 -> {tap: (B, C, h, w)}, each position's vector of length sqrt(C).

        Unit length, as LPIPS has it (Zhang et al. 2018, equation 1): one head then suits maps of
        any scale, and the spectral norm bounds the whole critic.
        """
        x = F.relu(self._conv("conv1", (rgb - self.mean) / self.std, stride=2))
        maps = {}
        for fire in _FIRES:
            if fire in _POOLED:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            x = F.relu(self._conv(f"{fire}_squeeze", x))
            wide = self._conv(f"{fire}_expand3x3", x, padding=1)
            x = F.relu(torch.cat((self._conv(f"{fire}_expand1x1", x), wide), 1))
            if fire in _TAPS:
                maps[fire] = F.normalize(x, dim=1, eps=1e-6) * x.shape[1] ** 0.5
        return maps

    def load_features(self, tensors: Mapping[str, Tensor]) -> None:
        """Take published SqueezeNet 1.1 weights, and the scale of the pictures they are for.

        Args:
            tensors: named as torchvision's squeezenet1_1 ("features.3.squeeze.weight": RGB with
                ImageNet's mean and deviation), or by layer ("fire2.squeeze1x1.weight": BGR 0..255
                minus ImageNet's mean, as Caffe and Keras have it).

        Raises:
            ValueError: a tensor is missing or has another shape.
        """
        by_layer = "conv1.weight" in tensors
        state = {}
        for name, shape in _shapes().items():
            theirs = _published_name(name, by_layer=by_layer)
            if theirs not in tensors or tuple(tensors[theirs].shape) != shape:
                raise ValueError(f"squeezenet1_1 needs '{theirs}' of shape {shape}")
            state[name] = tensors[theirs].float()
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        if by_layer:
            state["conv1_weight"] = state["conv1_weight"].flip(1)
            mean, std = [123.68 / 255, 116.779 / 255, 103.939 / 255], [1 / 255] * 3
        state["mean"] = torch.tensor(mean).reshape(3, 1, 1)
        state["std"] = torch.tensor(std).reshape(3, 1, 1)
        self.load_state_dict(state, strict=False)  # the heads keep theirs

    def _rgb(self, picture: Tensor) -> Tensor:
        if self.in_channels == 4:
            return (picture[:, 1:] + 1) / 2
        scale = constant((50.0, 110.0, 110.0), picture)[:, None, None]
        shift = constant((50.0, 0.0, 0.0), picture)[:, None, None]
        # Lab needs float32. Tensors without memory, as in an estimate, know no autocast.
        device = "cpu" if picture.is_meta else picture.device.type
        with torch.autocast(device, enabled=False):
            return lab_to_rgb((picture * scale + shift).float(), clamp=False)

    def _conv(self, name: str, x: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
        return F.conv2d(x, weight, bias, stride, padding)


def _shapes() -> dict[str, tuple[int, ...]]:
    """Every tensor of SqueezeNet's features by our name."""
    shapes: dict[str, tuple[int, ...]] = {"conv1_weight": (64, 3, 3, 3), "conv1_bias": (64,)}
    for fire, (inputs, squeezed, expanded) in _FIRES.items():
        kernels = ((squeezed, inputs, 1), (expanded, squeezed, 1), (expanded, squeezed, 3))
        for layer, (outputs, ins, side) in zip(_LAYERS, kernels, strict=True):
            shapes[f"{fire}_{layer}_weight"] = (outputs, ins, side, side)
            shapes[f"{fire}_{layer}_bias"] = (outputs,)
    return shapes


def _published_name(name: str, *, by_layer: bool) -> str:
    *layer, part = name.split("_")
    if layer == ["conv1"]:
        return f"conv1.{part}" if by_layer else f"features.0.{part}"
    fire, kind = layer
    if by_layer:
        kind = {"squeeze": "squeeze1x1"}.get(kind, kind)
        return f"{fire}.{kind}.{part}"
    return f"features.{_PLACES[fire]}.{kind}.{part}"
