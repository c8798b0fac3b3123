"""Network -> file -> network: deterministic, atomic, strict."""

from __future__ import annotations

import hashlib
import math
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from recolor_cli.checkpoints.card import Card
from recolor_cli.checkpoints.layout import Layout, read_layout, write_layout
from recolor_cli.checkpoints.model import ColorModel
from recolor_cli.errors import OutputError, UsageError, WeightsError
from recolor_cli.images.atomic import take_name
from recolor_cli.models import MODELS, create_model

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


def save_weights(path: str | Path, network: nn.Module, card: Card, *, half: bool = False) -> str:
    """Write network and card; the same ones give the same bytes.

    Args:
        path: of the file; folders are made.
        network: whose state is saved.
        card: what the file will say about it.
        half: store matrices and kernels as float16; vectors and buffers, which cost little and
            matter more, stay as they are. `load_weights` always gives float32.

    Returns:
        The file's sha256.

    Raises:
        WeightsError: a tensor holds NaN or infinity, or does not fit into float16.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    parameters = {key for key, _ in network.named_parameters()}
    tensors = {}
    for key, value in network.state_dict().items():
        stored = value.detach().cpu().contiguous()
        if half and key in parameters and stored.ndim >= 2:
            stored = stored.half()
        if stored.is_floating_point() and not torch.isfinite(stored).all():
            why = "after rounding to float16 " if torch.isfinite(value).all() else ""
            raise WeightsError(f"tensor '{key}' holds NaN or infinity {why}and cannot be saved")
        tensors[key] = (_CODES[stored.dtype], tuple(stored.shape), _to_bytes(stored))
    data = write_layout(tensors, card.to_header())
    write_file(path, data)
    return hashlib.sha256(data).hexdigest()


def load_weights(path: str | Path, *, name: str | None = None) -> ColorModel:
    """Read a file that `save_weights` wrote.

    Args:
        path: the file.
        name: what to call the weights; by default the file's or, in a run folder, the run's name.

    Raises:
        WeightsError: one line that names the tensor, key or byte that is not as it should be.
    """
    path = Path(path)
    try:
        data = bytearray(path.stat().st_size)
        with path.open("rb") as file:
            del data[file.readinto(data) :]  # if it was cut short meanwhile
    except OSError as error:
        raise WeightsError(f"cannot read the weights '{path}': {error.strerror}") from None
    layout = read_layout(data, len(data), str(path))
    card = Card.from_header(layout.metadata, str(path))
    tensors = {key: _tensor(data, layout, key) for key in layout.tensors}
    network = build_network(card, {k: tuple(t.shape) for k, t in tensors.items()}, str(path))
    fill_network(network, tensors, str(path))
    return ColorModel(network, card, hashlib.sha256(data).hexdigest(), name or weights_name(path))


def relabel(data: bytes, card: Card, name: str) -> bytes:
    """The bytes of a weights file with another card; its tensors stay to the last bit.

    Raises:
        WeightsError: The bytes are no weights file.
    """
    layout = read_layout(data, len(data), name)
    tensors = {
        key: (t.dtype, t.shape, data[layout.data_start + t.start : layout.data_start + t.stop])
        for key, t in layout.tensors.items()
    }
    return write_layout(tensors, card.to_header())


def weights_name(path: Path) -> str:
    """What to call the weights in `path`: the run's name for RUN/best/model.safetensors."""
    if path.name == "model.safetensors":
        folder = path.absolute().parent
        return folder.parent.name if folder.name in ("best", "last") else folder.name
    return path.stem


def build_network(card: Card, shapes: Mapping[str, tuple[int, ...]], name: str) -> nn.Module:
    """The card's network on the meta device, after checking that it would fit `shapes`.

    There tensors have shapes but no memory, until `fill_network` gives them the file's: a file that
    claims ten thousand times its own size is refused before anything is allocated.

    Raises:
        WeightsError: unknown network, arguments that it does not take, or tensors that do not fit.
    """
    if card.network not in MODELS:
        raise WeightsError(
            f"'{name}' is for the network '{card.network}', which this version of recolor does not "
            f"have; known are {', '.join(sorted(MODELS))}"
        )
    try:
        with torch.device("meta"), _Unfilled():
            network = create_model(card.network, **card.arguments)
    except (UsageError, TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"'{name}': the network '{card.network}' cannot be built with the arguments "
            f"{dict(card.arguments)}: {reason}"
        ) from None
    _check_shapes({k: tuple(t.shape) for k, t in network.state_dict().items()}, shapes, name)
    return network


class _Unfilled(TorchFunctionMode):
    """Leaves new parameters as the memory happens to be: the file's values replace all of them.

    Drawing tens of millions of numbers takes a while, and drawing them on the meta device makes
    torch import its compiler, which takes longer than the first photograph.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        starts = getattr(func, "__module__", "") == "torch.nn.init"
        if starts or getattr(func, "__name__", "") in ("normal_", "uniform_"):
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def fill_network(network: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Give the network copies of tensors, strictly, and make it ready for use (eval, no gradients).

    It may be on the meta device; each tensor has the type that the network wants.

    Raises:
        WeightsError: naming the first tensor that is missing, too many, wrongly shaped, of a kind
            that does not fit, or not finite.
    """
    wanted = network.state_dict()
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    _check_shapes({key: tuple(value.shape) for key, value in wanted.items()}, shapes, name)
    for key, value in tensors.items():
        if value.is_floating_point() != wanted[key].is_floating_point():
            raise WeightsError(
                f"'{name}': tensor '{key}' holds {value.dtype}, the network {wanted[key].dtype}"
            )
        if value.is_floating_point() and not _is_finite(value):
            raise WeightsError(f"'{name}': tensor '{key}' holds NaN or infinity")
    copies = {
        key: value.to(wanted[key].dtype, copy=True, memory_format=torch.contiguous_format)
        for key, value in tensors.items()
    }
    network.load_state_dict(copies, strict=True, assign=True)
    network.eval().requires_grad_(False)


def write_file(path: Path, data: bytes) -> None:
    """Write a file completely or not at all: temporary file beside it, flushed, renamed.

    Raises:
        OutputError: with the system's reason.
    """
    # A short random name: the file's own may already be as long as the disk allows.
    temporary = path.with_name(f".recolor-{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            take_name(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from None


def _check_shapes(
    wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], name: str
) -> None:
    for keys, kind in (
        (wanted.keys() - found.keys(), "is missing"),
        (found.keys() - wanted.keys(), "is not part of the network"),
    ):
        if keys:
            more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
            raise WeightsError(f"'{name}': tensor '{min(keys)}' {kind}{more}")
    for key, shape in wanted.items():
        if found[key] != shape:
            raise WeightsError(
                f"'{name}': tensor '{key}' has the shape {found[key]}, the network needs {shape}"
            )


def _is_finite(values: Tensor) -> bool:
    """As `torch.isfinite(values).all()`, in a tenth of the time."""
    if not values.numel():
        return True
    low, high = torch.aminmax(values)  # NaN, if there is one
    return math.isfinite(low) and math.isfinite(high)


def _to_bytes(tensor: Tensor) -> bytes:
    if tensor.numel() == 0:
        return b""
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def _tensor(data: bytearray, layout: Layout, key: str) -> Tensor:
    """A tensor where it lies in the file's bytes; not a copy."""
    entry = layout.tensors[key]
    dtype, count = _DTYPES[entry.dtype], math.prod(entry.shape)
    if not count:
        return torch.empty(entry.shape, dtype=dtype)
    start = layout.data_start + entry.start
    return torch.frombuffer(data, dtype=dtype, count=count, offset=start).reshape(entry.shape)
