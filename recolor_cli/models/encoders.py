"""ImageNet encoders that eat grey: batch norm folded into the convolutions, one input channel.

Each encoder maps gray (B, 1, H, W) in -1..1 to a list of feature maps, one a stride: 2, 4, 8, 16
(and 32). `load_imagenet` takes the published three-channel weights with batch norm folded and sums
the stem over its input channels: on a grey picture the result is the same number.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
NORM_EPSILON = 1e-5  # of batch norm in torchvision's ResNets


class Encoder(nn.Module):
    """What every encoder offers beside `forward`: gray (B, 1, H, W) -> maps, finest first.

    Attributes:
        channels: widths of the returned maps at strides 2, 4, 8, 16 (, 32).
    """

    channels: tuple[int, ...]

    def staged_blocks(self) -> list[tuple[nn.Module, int]]:
        """The blocks in order, each with the stride of its output."""
        raise NotImplementedError

    def load_imagenet(self, tensors: Mapping[str, Tensor]) -> None:
        """Take published ImageNet weights."""
        raise NotImplementedError

    def _start(self) -> None:
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_normal_(conv.weight)
                if conv.bias is not None:
                    nn.init.zeros_(conv.bias)


class SamePadConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: at stride 2 only right and bottom are padded."""

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            x = F.pad(x, (0, 1, 0, 1))
        y: Tensor = self._conv_forward(x, self.weight, self.bias)
        return y


def _same_pad_conv(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> SamePadConv:
    padding = kernel // 2 if stride == 1 else 0
    return SamePadConv(inputs, outputs, kernel, stride, padding=padding, groups=groups)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand, 3x3 depthwise, project (Sandler et al. 2018, table 1)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        convs = [] if expansion == 1 else [nn.Conv2d(inputs, width, 1)]
        convs += [_same_pad_conv(width, width, 3, stride, width), nn.Conv2d(width, outputs, 1)]
        self.convs = nn.ModuleList(convs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for conv in self.convs[:-1]:
            y = F.relu6(conv(y))
        projected: Tensor = self.convs[-1](y)
        return x + projected if self.residual else projected


class MobileNetV2Encoder(Encoder):
    """MobileNetV2 1.0 up to its last convolution.

    Attributes:
        channels: widths of the returned maps at strides 2, 4, 8, 16, 32.
    """

    SETTINGS = (  # expansion, channels, blocks, stride: Sandler et al. 2018, table 2
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self) -> None:
        super().__init__()
        self.channels = (16, 24, 32, 96, 1280)
        blocks: list[nn.Module] = [_same_pad_conv(1, 32, 3, 2, 1)]
        strides, inputs, stride_now = [2], 32, 2
        for expansion, channels, count, stride in self.SETTINGS:
            for index in range(count):
                step = stride if index == 0 else 1
                blocks.append(InvertedResidual(inputs, channels, step, expansion))
                inputs, stride_now = channels, stride_now * step
                strides.append(stride_now)
        blocks.append(nn.Conv2d(inputs, 1280, 1))
        strides.append(stride_now)
        self.blocks = nn.ModuleList(blocks)
        self._strides = tuple(strides)  # of each block's output
        self._start()

    def forward(self, gray: Tensor) -> list[Tensor]:
        maps: dict[int, Tensor] = {}
        x = gray
        for index, (block, stride) in enumerate(self.staged_blocks()):
            x = block(x)
            if index in (0, len(self.blocks) - 1):
                x = F.relu6(x)
            maps[stride] = x  # the last block of each stride stays
        return list(maps.values())

    def staged_blocks(self) -> list[tuple[nn.Module, int]]:
        """The stem, the inverted residuals and the last convolution."""
        return list(zip(self.blocks, self._strides, strict=True))

    def load_imagenet(self, tensors: Mapping[str, Tensor]) -> None:
        """Take folded three-channel weights named `f.N[.b.M].c.weight|bias` (RGB in -1..1)."""
        state = {}
        for name, tensor in tensors.items():
            if not name.startswith("f."):
                continue  # the classifier
            parts = name.split(".")
            here = f"blocks.{parts[1]}."
            if parts[2] == "b":
                here += f"convs.{parts[3]}."
            value = tensor.float()
            state[here + parts[-1]] = (
                value.sum(1, keepdim=True) if name == "f.0.c.weight" else value
            )
        self.load_state_dict(state)


class BasicBlock(nn.Module):
    """ResNet's two 3x3 convolutions with a shortcut (He et al. 2016), batch norm folded."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.downsample = nn.Conv2d(inputs, outputs, 1, stride) if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(shortcut + self.conv2(F.relu(self.conv1(x))))


class ResNet18Encoder(Encoder):
    """ResNet18 up to layer3, or to layer4.

    Args:
        layers: 3 (stride 16) or 4 (stride 32).

    Attributes:
        channels: widths of the returned maps at strides 2, 4, 8, 16 (, 32).
    """

    def __init__(self, layers: int = 3) -> None:
        super().__init__()
        self.channels = (64, 64, 128, 256, 512)[: layers + 1]
        self.conv1 = nn.Conv2d(1, 64, 7, 2, 3)
        stages = []
        for index, width in enumerate(self.channels[1:]):
            first = BasicBlock(self.channels[index], width, 1 if index == 0 else 2)
            stages.append(nn.Sequential(first, BasicBlock(width, width, 1)))
        self.layers = nn.ModuleList(stages)
        self._start()

    def forward(self, gray: Tensor) -> list[Tensor]:
        x = F.relu(self.conv1(gray))
        maps = [x]
        x = F.max_pool2d(x, 3, 2, 1)
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return maps

    def staged_blocks(self) -> list[tuple[nn.Module, int]]:
        """The stem (stride 2) and the stages (4, 8, 16, ...)."""
        blocks = [self.conv1, *self.layers]
        return [(block, 2 ** (index + 1)) for index, block in enumerate(blocks)]

    def load_imagenet(self, tensors: Mapping[str, Tensor]) -> None:
        """Take folded three-channel weights with torchvision's names.

        They expect RGB 0..1, normalised by ImageNet's mean and standard deviation. Published
        files have batch norm beside the convolutions; it is folded here.
        """
        tensors = _fold_norms(tensors)
        state = {}
        for name, tensor in tensors.items():
            value = tensor.float()
            if name == "conv1.weight":  # (gray + 1) / 2, normalised, as one channel
                std, mean = value.new_tensor(IMAGENET_STD), value.new_tensor(IMAGENET_MEAN)
                state[name] = (value / (2 * std[:, None, None])).sum(1, keepdim=True)
                shift = ((0.5 - mean) / std)[:, None, None]
                state["conv1.bias"] = tensors["conv1.bias"].float() + (value * shift).sum((1, 2, 3))
            elif name.startswith("layer") and int(name[5]) <= len(self.layers):
                here = f"layers.{int(name[5]) - 1}{name[6:]}"
                state[here.replace("downsample.0.", "downsample.")] = value
        self.load_state_dict(state)


def _fold_norms(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A ResNet's batch norms (`bnN`, `downsample.1`) folded into the convolutions before them."""
    folded = dict(tensors)
    for name in tensors:
        if not name.endswith(".running_var"):
            continue
        norm = name.removesuffix(".running_var")
        conv = norm[:-1] + "0" if norm.endswith("downsample.1") else norm.replace("bn", "conv")
        scale = folded.pop(f"{norm}.weight").float()
        scale = scale / (folded.pop(name).float() + NORM_EPSILON).sqrt()
        shift = (
            folded.pop(f"{norm}.bias").float() - folded.pop(f"{norm}.running_mean").float() * scale
        )
        folded.pop(f"{norm}.num_batches_tracked", None)
        folded[f"{conv}.weight"] = folded[f"{conv}.weight"].float() * scale[:, None, None, None]
        folded[f"{conv}.bias"] = shift
    return folded


ENCODERS: dict[str, type[Encoder]] = {
    "mobilenetv2": MobileNetV2Encoder,
    "resnet18": ResNet18Encoder,
}
