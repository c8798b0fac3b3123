"""Where ImageNet weights come from: torchvision's published files, or a file that is named.

Encoders and perceptual losses start from them. Nothing falls back to random weights: what cannot
be had ends in a line that says which file to put where.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recolor_cli.errors import MissingExtraError, WeightsError
from recolor_cli.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from torch import Tensor, nn

# torchvision's IMAGENET1K_V1 files; the name ends in the first digits of the file's sha256.
PUBLISHED = {
    "resnet18": "resnet18-f37072fd.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "alexnet": "alexnet-owt-7be5be79.pth",
    "squeezenet1_1": "squeezenet1_1-b8a52dc0.pth",
}
_URL = "https://download.pytorch.org/models/"
TORCHVISION = "torchvision"  # the source that means: the published file, from the cache or the web


def read_backbone(name: str, source: str | os.PathLike[str] = TORCHVISION) -> dict[str, Tensor]:
    """Tensors of an ImageNet network, on the CPU.

    Args:
        name: a key of `PUBLISHED`.
        source: "torchvision" for the published file (torch's hub cache first, then the web,
            verified either way), or a path to a .safetensors, .pth or .pt state dict.

    Raises:
        WeightsError: the file cannot be had, is not what its name says, or is no state dict.
    """
    if name not in PUBLISHED:
        raise WeightsError(f"no backbone named '{name}'; known: {', '.join(PUBLISHED)}")
    if source == TORCHVISION:
        return _read_tensors(_published_file(name))
    path = Path(os.path.expanduser(source))
    if not path.is_file():
        raise WeightsError(
            f"no {name} weights file '{path}'; name a state dict, or write '{TORCHVISION}' for "
            f"'{PUBLISHED[name]}'"
        )
    return _read_tensors(path)


def load_vgg(source: str | os.PathLike[str] = TORCHVISION) -> nn.Module:
    """VGG19's first layers with ImageNet weights, for `losses.perceptual`.

    Raises:
        WeightsError: see `read_backbone`.
    """
    from recolor_cli.models.vgg import VGGFeatures

    network = VGGFeatures()
    load_into(network.load_imagenet, "vgg19", source)
    return network.eval()


def load_lpips(source: str | os.PathLike[str] = TORCHVISION) -> nn.Module:
    """LPIPS 0.1 on AlexNet (Zhang et al. 2018), frozen, for `losses.lpips_distance`.

    The heads are in the package lpips; AlexNet is read as `read_backbone` does.

    Raises:
        MissingExtraError: the package lpips is not installed.
        WeightsError: AlexNet's weights cannot be had.
    """
    import_torchvision()
    try:
        import lpips
    except ModuleNotFoundError as error:
        if error.name != "lpips":
            raise
        raise MissingExtraError(
            "LPIPS needs the package 'lpips'; pip install 'recolor-cli[eval]'"
        ) from error
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")  # lpips builds AlexNet by a deprecated argument
        network: nn.Module = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)

    def load(tensors: Mapping[str, Tensor]) -> None:
        # lpips cuts AlexNet's features into slices, but keeps their numbers.
        slices = {0: 1, 3: 2, 6: 3, 8: 4, 10: 5}
        state = {
            f"slice{piece}.{number}.{part}": tensors[f"features.{number}.{part}"].float()
            for number, piece in slices.items()
            for part in ("weight", "bias")
        }
        network.get_submodule("net").load_state_dict(state)

    load_into(load, "alexnet", source)
    return network.requires_grad_(False).eval()


def load_into(load: Any, name: str, source: str | os.PathLike[str]) -> None:
    """Hand a backbone's tensors to a network's own loader.

    Args:
        load: takes a state dict; e.g. `ResNet18UNet.load_backbone`.
        name: a key of `PUBLISHED`.
        source: see `read_backbone`.

    Raises:
        WeightsError: the tensors cannot be had, or are those of another network.
    """
    tensors = read_backbone(name, source)
    try:
        load(tensors)
    except (ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"'{source}' does not hold the weights of {name} ({reason}); "
            f"'{PUBLISHED[name]}' of torchvision does"
        ) from error


def _published_file(name: str) -> Path:
    """The published file in torch's hub cache, downloaded if need be, its hash verified."""
    import torch

    file = PUBLISHED[name]
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / file
    digits = path.stem.rpartition("-")[2]
    if path.is_file():
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if not found.startswith(digits):
            raise WeightsError(
                f"'{path}' is damaged: its sha256 starts with '{found[:8]}', not '{digits}'; "
                "delete it and run again"
            )
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(_URL + file, str(path), digits, progress=False)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a wrong hash a RuntimeError
        raise WeightsError(
            f"the ImageNet weights of {name} are not on this machine and cannot be downloaded "
            f"({error}); put '{file}' from {_URL} into '{folder}', or name another file"
        ) from error
    return path


def _read_tensors(path: Path) -> dict[str, Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise WeightsError(
            f"'{path}' cannot be read as weights ({reason}); it must be a state dict as "
            ".safetensors, .pth or .pt"
        ) from error
    if not isinstance(tensors, dict) or not all(
        isinstance(t, torch.Tensor) for t in tensors.values()
    ):
        raise WeightsError(f"'{path}' is no state dict; save network.state_dict() and nothing else")
    return tensors
