"""DeOldify's generators (J. Antic, 2018-2020), as their published weights need them.

A self-attention U-Net over a ResNet, in two builds: "deep" (ResNet34, artistic) and "wide"
(ResNet101, stable). The published files store most convolutions with spectral norm (Miyato et al.,
ICLR 2018) and one with weight norm; `weights.foreign` folds both into plain kernels, which is what
they amount to outside of training. Parameter names are otherwise those of the files.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recolor_cli.color.tensors import constant

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet
_RANGE = 3.0  # the output is squeezed into -3..3 standard deviations


class _Residual(nn.Module):
    """A ResNet block (He et al., 2016): basic with expansion 1, bottleneck with expansion 4."""

    def __init__(self, inputs: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        outputs = width * expansion
        if expansion == 1:
            self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
        else:
            self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)
        self.expansion = expansion
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.expansion > 1:
            y = self.bn3(self.conv3(F.relu(y)))
        return F.relu(y + self.downsample(x))


def _resnet(depths: tuple[int, ...], expansion: int) -> nn.Sequential:
    """A ResNet without its classifier: stem, pool, four groups of blocks."""
    groups, inputs = [], 64
    for index, depth in enumerate(depths):
        width, blocks = 64 * 2**index, []
        for number in range(depth):
            stride = 2 if number == 0 and index > 0 else 1
            blocks.append(_Residual(inputs, width, stride, expansion))
            inputs = width * expansion
        groups.append(nn.Sequential(*blocks))
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
        *groups,
    )


class _SelfAttention(nn.Module):
    """Attention between all places of the map (Zhang et al., SAGAN, ICML 2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv1d(width, width // 8, 1, bias=False)
        self.key = nn.Conv1d(width, width // 8, 1, bias=False)
        self.value = nn.Conv1d(width, width, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        weight = torch.softmax(self.query(flat).transpose(1, 2) @ self.key(flat), dim=1)
        mixed: Tensor = self.gamma * (self.value(flat) @ weight) + flat
        return mixed.view_as(x)


def _conv(
    inputs: int, width: int, kernel: int = 3, *, relu: bool = True, attention: bool = False
) -> nn.Sequential:
    """Convolution, ReLU, batch norm, attention."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, width, kernel, padding=kernel // 2, bias=False)]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    layers.append(nn.BatchNorm2d(width))
    if attention:
        layers.append(_SelfAttention(width))
    return nn.Sequential(*layers)


class _Shuffle(nn.Module):
    """Twice the size by PixelShuffle, with a 2x2 mean against its checkerboard."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv = _conv(inputs, width * 4, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pixel_shuffle(F.relu(self.conv(x)), 2)
        return F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode="replicate"), 2, stride=1)


class _Up(nn.Module):
    """Double the size, join the encoder's map of that size, convolve once ("wide") or twice."""

    def __init__(
        self, inputs: int, skip: int, up: int, width: int, *, twice: bool, attention: bool
    ) -> None:
        super().__init__()
        self.shuf = _Shuffle(inputs, up)
        self.bn = nn.BatchNorm2d(skip)
        self.twice = twice
        if twice:
            self.conv1 = _conv(up + skip, width)
            self.conv2 = _conv(width, width, attention=attention)
        else:
            self.conv = _conv(up + skip, width, attention=attention)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.shuf(x)
        if x.shape[-2:] != skip.shape[-2:]:
            x = F.interpolate(x, skip.shape[-2:], mode="nearest")
        x = F.relu(torch.cat((x, self.bn(skip)), dim=1))
        joined: Tensor = self.conv2(self.conv1(x)) if self.twice else self.conv(x)
        return joined


class _LastShuffle(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(width, width * 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(F.relu(self.conv(x)), 2)


class _Refine(nn.Module):
    """A residual block at full size, over the features and the picture itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True))
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers[1](self.layers[0](x))
        return y + x


class DeOldify(nn.Module):
    """Grey sRGB (B, 3, H, W) 0..1, three equal channels -> sRGB (B, 3, H, W) 0..1.

    Args:
        build: "deep" (the artistic weights) or "wide" (the stable weights).
    """

    space = "rgb01"
    stride = 16
    spare: ClassVar[dict[str, tuple[int, ...] | None]] = {}

    def __init__(self, *, build: str = "deep") -> None:
        super().__init__()
        if build not in ("deep", "wide"):
            raise ValueError(f"build is '{build}'; known: deep, wide")
        deep = build == "deep"
        encoder = _resnet((3, 4, 6, 3), 1) if deep else _resnet((3, 4, 23, 3), 4)
        expansion = 1 if deep else 4
        width = 512 * expansion
        middle = nn.Sequential(_conv(width, width * 2), _conv(width * 2, width))
        steps = []
        for index, skip in enumerate((256 * expansion, 128 * expansion, 64 * expansion, 64)):
            last = index == 3
            if deep:
                up = width // 2
                joined = up + skip
                outputs = int((joined // 2 if last else joined) * 1.5)
            else:
                outputs = up = (1024 // 2 if last else 1024) // 2
            steps.append(_Up(width, skip, up, outputs, twice=deep, attention=index == 1))
            width = outputs
        # Numbered as in the files; 2, 9 and 12 have no parameters there.
        self.layers = nn.ModuleList(
            [
                encoder,
                nn.BatchNorm2d(512 * expansion),
                nn.ReLU(),
                middle,
                *steps,
                _LastShuffle(width),
                nn.Identity(),
                _Refine(width + 3),
                nn.Sequential(nn.Conv2d(width + 3, 3, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Normalise as ImageNet, U-Net, refine, undo the normalisation."""
        mean, std = (constant(values, x)[:, None, None] for values in (_MEAN, _STD))
        x = picture = (x - mean) / std
        skips = []
        for index, layer in enumerate(cast(nn.Sequential, self.layers[0])):
            x = layer(x)
            if index in (2, 4, 5, 6):
                skips.append(x)
        x = self.layers[3](F.relu(self.layers[1](x)))
        for step in self.layers[4:8]:
            x = step(x, skips.pop())
        x = torch.cat((self.layers[8](x), picture), dim=1)
        x = self.layers[11](self.layers[10](x))
        return (torch.sigmoid(x) * (2 * _RANGE) - _RANGE) * std + mean
