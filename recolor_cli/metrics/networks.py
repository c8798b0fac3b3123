"""The networks behind fid, kid, is and lpips: which published file each needs, how it is fed.

Nothing is fetched here: a network is built from a file whose hash was checked before. No other
network ever stands in for one of these; without its file a metric is not measured.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from recolor_cli.backbones import load_lpips
from recolor_cli.color.tensors import constant
from recolor_cli.errors import MissingExtraError, WeightsError
from recolor_cli.metrics.base import Pixels, Rows
from recolor_cli.torchvision_import import import_torchvision

INCEPTION_PX = 299
_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3")
_BODY = ("Conv2d_3b_1x1", "Conv2d_4a_3x3")
_MIXED = tuple(
    f"Mixed_{block}" for block in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
)


@dataclass(frozen=True)
class PublishedFile:
    """A weights file of other people, pinned.

    Attributes:
        name: under which it is published.
        url: where it is published.
        sha256: of its bytes.
        bytes: their number.
    """

    name: str
    url: str
    sha256: str
    bytes: int


class Network(Protocol):
    """Turns pairs of pictures into the rows of its streams."""

    def __call__(self, coloured: Sequence[Pixels], true: Sequence[Pixels]) -> Mapping[str, Rows]:
        """Rows (B, k) for each stream, coloured columns first."""


TENSORFLOW_INCEPTION = PublishedFile(
    "weights-inception-2015-12-05-6726825d.pth",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    95_628_359,
)
TORCHVISION_INCEPTION = PublishedFile(
    "inception_v3_google-1a9a5a14.pth",
    "https://download.pytorch.org/models/inception_v3_google-1a9a5a14.pth",
    "1a9a5a14f40645a370184bd54f4e8e631351e71399112b43ad0294a79da290c8",
    108_857_766,
)
ALEXNET = PublishedFile(
    "alexnet-owt-7be5be79.pth",
    "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    244_408_911,
)


class Features:
    """A network that looks at each picture by itself.

    Args:
        extract: uint8 (B, 3, H, W) or what `prepare` makes of it -> {stream: (B, k)}.
        prepare: one picture -> (3, H, W); pictures of one shape then go together.
        device: where `extract` wants them.
    """

    def __init__(
        self,
        extract: Callable[[Tensor], Mapping[str, Tensor]],
        *,
        prepare: Callable[[Pixels], Tensor] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._extract, self._prepare, self._device = extract, prepare or _as_tensor, device

    def __call__(self, coloured: Sequence[Pixels], true: Sequence[Pixels]) -> Mapping[str, Rows]:
        """See `Network`."""
        sides = [self._rows(coloured), self._rows(true)]
        return {name: np.concatenate([side[name] for side in sides], 1) for name in sides[0]}

    @torch.inference_mode()
    def _rows(self, pictures: Sequence[Pixels]) -> dict[str, Rows]:
        parts: dict[str, list[Rows]] = {}
        prepared = (self._prepare(pixels) for pixels in pictures)
        for _, group in groupby(prepared, key=lambda picture: picture.shape):
            batch = torch.stack(list(group)).to(self._device)
            for name, values in self._extract(batch).items():
                parts.setdefault(name, []).append(values.float().cpu().numpy())
        return {name: np.concatenate(values) for name, values in parts.items()}


def build_inception(path: Path, device: torch.device | str) -> Network:
    """TensorFlow's Inception of 2015 in torch-fidelity's port: streams features and logits."""
    network = _tensorflow_inception(path, device)

    def extract(pictures: Tensor) -> Mapping[str, Tensor]:
        features, logits = network(pictures)
        return {"features": features, "logits": logits}

    return Features(extract, device=device)


def build_clean_inception(path: Path, device: torch.device | str) -> Network:
    """The same network behind clean-fid's resizing."""
    network = _tensorflow_inception(path, device)
    names = (*_STEM, "MaxPool_1", *_BODY, "MaxPool_2", *_MIXED, "AvgPool")
    layers = nn.Sequential(*(getattr(network, name) for name in names))
    return Features(
        lambda pictures: {"features": layers((pictures - 128) / 128).flatten(1)},
        prepare=clean_resize,
        device=device,
    )


def build_ct2_inception(path: Path, device: torch.device | str) -> Network:
    """Inception as torchvision has it, fed as the code of colourisation papers feeds it."""
    torchvision = import_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about initial weights, which are replaced at once
        network = torchvision.models.inception_v3(weights=None, init_weights=False)
    _load(network, path)
    names = (*_STEM, "maxpool1", *_BODY, "maxpool2", *_MIXED)
    parts = [getattr(network, name) for name in names]
    layers = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1)).eval().requires_grad_(False).to(device)
    return Features(
        lambda pictures: {"features": layers(ct2_input(pictures)).flatten(1)}, device=device
    )


class Lpips:
    """LPIPS 0.1 on AlexNet.

    Args:
        network: coloured, true (1, 3, H, W) in -1..1 -> distance.
        device: where it is.
    """

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu") -> None:
        self._network, self._device = network, device

    @torch.inference_mode()
    def __call__(self, coloured: Sequence[Pixels], true: Sequence[Pixels]) -> Mapping[str, Rows]:
        """See `Network`."""
        rows = [
            self._network(*(_as_tensor(p)[None].to(self._device) / 127.5 - 1 for p in pair)).item()
            for pair in zip(coloured, true, strict=True)
        ]
        return {"distance": np.array(rows)[:, None]}


def build_lpips(path: Path, device: torch.device | str) -> Network:
    """LPIPS by its authors' package; `path` is AlexNet, the heads are in the package."""
    return Lpips(load_lpips(path).to(device), device)


NETWORKS: dict[str, tuple[PublishedFile, Callable[[Path, torch.device | str], Network]]] = {
    "inception": (TENSORFLOW_INCEPTION, build_inception),
    "inception-clean": (TENSORFLOW_INCEPTION, build_clean_inception),
    "inception-ct2": (TORCHVISION_INCEPTION, build_ct2_inception),
    "lpips": (ALEXNET, build_lpips),
}


def clean_resize(pixels: Pixels) -> Tensor:
    """(H, W, 3) 0..255 -> float (3, 299, 299): Pillow's antialiased bicubic, never rounded."""
    size = (INCEPTION_PX, INCEPTION_PX)
    channels = [
        np.asarray(
            Image.fromarray(channel.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
        )
        for channel in np.moveaxis(pixels, -1, 0)
    ]
    return torch.from_numpy(np.stack(channels))


def ct2_input(pictures: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) -> what CT2's `INCEPTION_V3_FID` puts into torchvision's Inception.

    The last two lines undo a normalisation that was never done; the network, trained on -1..1,
    sees about -0.03..0.43. Published figures contain this, so the metric of that name does too.
    """
    x = pictures.float() / 255 * 2 - 1
    x = F.interpolate(x, size=(INCEPTION_PX, INCEPTION_PX), mode="bilinear")
    x = x * 0.5 + 0.5
    spread = constant((0.229, 0.224, 0.225), x)[:, None, None]
    mean = constant((0.485, 0.456, 0.406), x)[:, None, None]
    return x * (spread / 0.5) + (mean - 0.5) / 0.5


def _tensorflow_inception(path: Path, device: torch.device | str) -> Any:
    import_torchvision()
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ModuleNotFoundError as error:
        if error.name != "torch_fidelity":
            raise
        raise MissingExtraError(
            "fid, kid and is need the package 'torch-fidelity'; pip install 'recolor-cli[eval]'"
        ) from error
    # It reads the file without torch's safe mode; the file's sha256 was checked before.
    network = FeatureExtractorInceptionV3(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
    )
    return network.to(device)


def _load(network: nn.Module, path: Path) -> None:
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"'{path}' does not hold Inception's weights ({reason})") from error


def _as_tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
