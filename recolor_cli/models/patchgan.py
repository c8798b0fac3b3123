"""The 70x70 PatchGAN: one verdict for each overlapping patch of a picture."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

MAX_WIDENING = 8
NORMS = ("batch", "instance", "spectral", "none")


class PatchGAN(nn.Module):
    """gray and colour (B, in, H, W) -> verdicts (B, 1, h, w), one a patch; logits or scores.

    Isola et al. 2017, appendix 6.1.2 (C64-C128-C256-C512): 4x4 convolutions, the last two of stride
    1, LeakyReLU(0.2), no norm first. With 3 layers a verdict sees 70 x 70 pixels; 256 px give
    30 x 30 verdicts, 128 px 14 x 14. 2,765,633 parameters at 3 channels.

    Args:
        in_channels: channels of condition and colour: 3 for L + ab, 4 for grey + RGB.
        base: channels of the first convolution.
        layers: convolutions of stride 2.
        norm: "batch"; "instance" for a gradient penalty, which is a norm of each sample alone and
            which batch norm would mix (Gulrajani et al. 2017, section 4); "spectral" divides each
            convolution by its largest singular value instead (Miyato et al. 2018); "none" for
            clipping.
        sigmoid: return probabilities instead of logits, for the plain BCE of report 000.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base: int = 64,
        layers: int = 3,
        norm: str = "batch",
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
        widths = [base * min(2**layer, MAX_WIDENING) for layer in range(layers + 1)]
        parts: list[nn.Module] = [nn.Conv2d(in_channels, base, 4, 2, 1), nn.LeakyReLU(0.2)]
        for layer, (before, width) in enumerate(pairwise(widths)):
            stride = 1 if layer == layers - 1 else 2
            parts.append(nn.Conv2d(before, width, 4, stride, 1, bias=norm != "batch"))
            if norm == "batch":
                parts.append(nn.BatchNorm2d(width))
            elif norm == "instance":
                parts.append(nn.InstanceNorm2d(width))
            parts.append(nn.LeakyReLU(0.2))
        parts.append(nn.Conv2d(widths[-1], 1, 4, 1, 1))
        if norm == "spectral":
            parts = [spectral_norm(p) if isinstance(p, nn.Conv2d) else p for p in parts]
        if sigmoid:
            parts.append(nn.Sigmoid())
        self.layers = nn.Sequential(*parts)

    def forward(self, picture: Tensor) -> Tensor:
        verdicts: Tensor = self.layers(picture)
        return verdicts
