"""The two colourisers of Zhang et al., as their published weights need them.

Eccv16: "Colorful Image Colorization", ECCV 2016: table 4's layers, as in the PyTorch release, whose
last convolution maps the 313 probabilities to ab. Siggraph17: "Real-Time User-Guided Image
Colorization with Learned Deep Priors", SIGGRAPH 2017: a U-Net over L, colour hints and a mask of
where hints are; without hints it colours by itself. Parameter names are those of the release, so
that its files fit.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


def _stage(
    inputs: int, width: int, convs: int, *, dilation: int = 1, stride: int = 1
) -> list[nn.Module]:
    """3x3 convolutions, a ReLU behind each, batch norm at the end; the last one has the stride."""
    layers: list[nn.Module] = []
    for index in range(convs):
        step = stride if index == convs - 1 else 1
        layers += [
            nn.Conv2d(
                inputs if index == 0 else width, width, 3, step, padding=dilation, dilation=dilation
            ),
            nn.ReLU(inplace=True),
        ]
    return [*layers, nn.BatchNorm2d(width)]


class Eccv16(nn.Module):
    """(L - 50) / 100 (B, 1, H, W) -> ab / 110 (B, 2, H / 4, W / 4)."""

    space = "zhang"
    stride = 8
    spare: ClassVar[dict[str, tuple[int, ...] | None]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.model1 = nn.Sequential(*_stage(1, 64, 2, stride=2))
        self.model2 = nn.Sequential(*_stage(64, 128, 2, stride=2))
        self.model3 = nn.Sequential(*_stage(128, 256, 3, stride=2))
        self.model4 = nn.Sequential(*_stage(256, 512, 3))
        self.model5 = nn.Sequential(*_stage(512, 512, 3, dilation=2))
        self.model6 = nn.Sequential(*_stage(512, 512, 3, dilation=2))
        self.model7 = nn.Sequential(*_stage(512, 512, 3))
        self.model8 = nn.Sequential(
            nn.ConvTranspose2d(512, 256, 4, 2, 1),
            nn.ReLU(inplace=True),
            *_stage(256, 256, 2)[:-1],
            nn.Conv2d(256, 313, 1),
        )
        self.model_out = nn.Conv2d(313, 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """One colour for each 4x4 pixels: the mean under the distribution over 313 ab bins."""
        for stage in (self.model1, self.model2, self.model3, self.model4):
            x = stage(x)
        for stage in (self.model5, self.model6, self.model7, self.model8):
            x = stage(x)
        ab: Tensor = self.model_out(torch.softmax(x, dim=1))
        return ab


class Siggraph17(nn.Module):
    """(L - 50) / 100 (B, 1, H, W) -> ab / 110 (B, 2, H, W); no hints are given."""

    space = "zhang"
    stride = 8
    # The head that predicted bins during training; at a quarter of the size, and not used.
    spare: ClassVar[dict[str, tuple[int, ...] | None]] = {
        "model_class.0.weight": (529, 256, 1, 1),
        "model_class.0.bias": (529,),
    }

    def __init__(self) -> None:
        super().__init__()
        self.model1 = nn.Sequential(*_stage(4, 64, 2))
        self.model2 = nn.Sequential(*_stage(64, 128, 2))
        self.model3 = nn.Sequential(*_stage(128, 256, 3))
        self.model4 = nn.Sequential(*_stage(256, 512, 3))
        self.model5 = nn.Sequential(*_stage(512, 512, 3, dilation=2))
        self.model6 = nn.Sequential(*_stage(512, 512, 3, dilation=2))
        self.model7 = nn.Sequential(*_stage(512, 512, 3))
        self.model8up = nn.Sequential(nn.ConvTranspose2d(512, 256, 4, 2, 1))
        self.model3short8 = nn.Sequential(nn.Conv2d(256, 256, 3, padding=1))
        self.model8 = nn.Sequential(nn.ReLU(inplace=True), *_stage(256, 256, 2))
        self.model9up = nn.Sequential(nn.ConvTranspose2d(256, 128, 4, 2, 1))
        self.model2short9 = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1))
        self.model9 = nn.Sequential(nn.ReLU(inplace=True), *_stage(128, 128, 1))
        self.model10up = nn.Sequential(nn.ConvTranspose2d(128, 128, 4, 2, 1))
        self.model1short10 = nn.Sequential(nn.Conv2d(64, 128, 3, padding=1))
        self.model10 = nn.Sequential(
            nn.ReLU(inplace=True), nn.Conv2d(128, 128, 3, padding=1), nn.LeakyReLU(0.2)
        )
        self.model_out = nn.Sequential(nn.Conv2d(128, 2, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Down by skipping every second pixel, three times; up with a short cut at each size."""
        no_hints = x.new_zeros(x.shape[0], 3, *x.shape[2:])  # a, b, and the mask
        full = self.model1(torch.cat((x, no_hints), dim=1))
        half = self.model2(full[:, :, ::2, ::2])
        quarter = self.model3(half[:, :, ::2, ::2])
        x = self.model4(quarter[:, :, ::2, ::2])
        for stage in (self.model5, self.model6, self.model7):
            x = stage(x)
        x = self.model8(self.model8up(x) + self.model3short8(quarter))
        x = self.model9(self.model9up(x) + self.model2short9(half))
        x = self.model10(self.model10up(x) + self.model1short10(full))
        ab: Tensor = self.model_out(x)
        return ab
