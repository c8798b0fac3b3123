"""A GPU that is not there: its tensors lie in the processor's memory and keep CUDA's rules.

Whole programs run on it, with real values, on any machine. What CUDA would refuse is refused with
CUDA's words: operands on two devices, a generator of another device. What CUDA would wait for is
counted: each copy that is not from pinned memory, each number that the host asks for. It knows
nothing about kernels, so rounding, speed and memory need a real one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("cuda", 0)
_INSIDE = torch.device("xla", 0)
_LIBC10 = Path(torch.__file__).parent / "lib" / "libc10.so"
_XLA, _META = 9, 14  # c10::DeviceType
# The host needs values or shapes that only the device knows.
_ASKS = {
    "aten::_local_scalar_dense", "aten::equal", "aten::nonzero", "aten::masked_select",
    "aten::_unique2", "aten::unique_dim", "aten::_linalg_check_errors", "aten::bincount",
}  # fmt: skip
_TWO_DEVICES = (
    "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and "
    "cpu! ({})"
)


class OnDevice(torch.Tensor):
    """Says that it is on the GPU; `inner` has its values."""

    inner: torch.Tensor
    shown = DEVICE  # as what it is pretended

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> OnDevice:
        with torch.inference_mode(False):  # else it could not be a view of one from outside of that
            return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined,no-any-return]
                cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(),
                dtype=inner.dtype, device=_INSIDE, requires_grad=False,
                _extra_dispatch_keys=torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCUDA),
            )  # fmt: skip

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return OnDevice.shown

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return OnDevice.shown.type == "cuda"

    @property
    def is_mps(self) -> bool:  # type: ignore[override]
        return OnDevice.shown.type == "mps"

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnDevice({self.inner!r})"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        raise AssertionError(f"{func} outside of the pretended GPU")


class PretendedGpu(TorchDispatchMode):
    """The rules.

    Attributes:
        waits: what the host waited for, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name
        if torch.is_inference_mode_enabled():  # what is made of other operators arrives whole
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        leaves = tree_leaves((args, kwargs))
        here = [leaf for leaf in leaves if isinstance(leaf, OnDevice)]
        there = [x for x in leaves if isinstance(x, torch.Tensor) and not isinstance(x, OnDevice)]
        wanted = kwargs.get("device")
        target = torch.device(wanted).type if wanted is not None else None
        on_device = target in ("cuda", "mps", "xla") if target is not None else bool(here)

        if name == "aten::is_pinned":
            return hasattr(args[0], "pinned")
        if name == "aten::_pin_memory":
            pinned = args[0].clone()
            pinned.pinned = True
            return pinned
        if name == "aten::_fused_sdp_choice" and here:
            return 0  # the one that is written in other operators
        if on_device or here:
            self._judge(name, args, kwargs, here, there, on_device)
        if target is not None and name != "aten::_to_copy":
            kwargs.pop("pin_memory", None)
        if target is not None:
            kwargs["device"] = torch.device("cpu") if on_device else wanted
        inner_args, inner_kwargs = tree_map_only(OnDevice, lambda x: x.inner, (args, kwargs))
        out = func(*inner_args, **inner_kwargs)
        if not on_device:
            return out
        out = tree_map_only(torch.Tensor, OnDevice, out)
        for one in tree_leaves(out):
            if isinstance(one, OnDevice) and one.dtype == torch.float64 and one.is_mps:
                raise TypeError(
                    "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't "
                    "support float64. Please use float32 instead."
                )
        return return_and_correct_aliasing(func, args, kwargs, out) if here else out

    def _judge(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        here: Sequence[torch.Tensor],
        there: Sequence[torch.Tensor],
        on_device: bool,
    ) -> None:
        """Refuse what CUDA refuses, and count what it waits for."""
        generator = kwargs.get("generator")
        if on_device and generator is not None and generator.device.type != "cuda":
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        if name in ("aten::_to_copy", "aten::copy_"):
            source = args[0] if name == "aten::_to_copy" else args[1]
            self._copied(name, args, kwargs, source, to_device=on_device)
            return
        if name in _ASKS and here:
            self.waits.append(name)
        if name in ("aten::index", "aten::index_put_", "aten::index_put"):
            indices = [index for index in args[1] if index is not None]
            if not isinstance(args[0], OnDevice):
                raise RuntimeError(
                    "indices should be either on cpu or on the same device as the indexed tensor"
                )
            if any(i.dtype in (torch.bool, torch.uint8) or i.device.type == "cpu" for i in indices):
                self.waits.append(name)
            there = [x for x in there if all(x is not index for index in indices)]
        # A single number may come from the processor; not where one kernel moves all parameters.
        strict = name.startswith("aten::_fused")
        if here and any(strict or x.dim() for x in there):
            raise RuntimeError(_TWO_DEVICES.format(name))

    def _copied(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], source: Any, *,
        to_device: bool,
    ) -> None:  # fmt: skip
        from_device = isinstance(source, OnDevice)
        if from_device == to_device:
            return
        flag = args[2] if name == "aten::copy_" and len(args) > 2 else kwargs.get("non_blocking")
        if not (to_device and flag and (hasattr(source, "pinned") or source.numel() == 0)):
            self.waits.append(f"{name} {'to' if to_device else 'from'} the device")


_torch_save, _torch_load = torch.save, torch.load


def _save(value: Any, *args: Any, **kwargs: Any) -> None:
    """Files hold bytes, which a pretended device has not."""
    _torch_save(tree_map_only(OnDevice, lambda x: x.inner, value), *args, **kwargs)


def _load(file: Any, map_location: Any = None, **kwargs: Any) -> Any:
    value = _torch_load(file, map_location="cpu", **kwargs)
    if torch.device(map_location or "cpu").type == "cpu":
        return value
    return tree_map_only(torch.Tensor, OnDevice, value)


def is_possible() -> bool:
    """Whether this torch can be pretended to, and need be."""
    return not torch.cuda.is_available() and _LIBC10.is_file()


@contextmanager
def _guard() -> Iterator[None]:
    """Give torch somebody who chooses a stream for the device, and does nothing.

    Its builds with CUDA have that for machines without a GPU (for fake tensors); in those without,
    the place in libc10's table is empty, and only a guard that is there is replaced by it.
    """
    libc10 = ctypes.CDLL(str(_LIBC10))
    table = (ctypes.c_void_p * 20).in_dll(libc10, "_ZN3c104impl26device_guard_impl_registryE")
    before, table[_XLA] = table[_XLA], table[_META]
    try:
        yield
    finally:
        table[_XLA] = before


@contextmanager
def pretended_gpu(device: torch.device = DEVICE) -> Iterator[PretendedGpu]:
    """A GPU while the block runs, see `PretendedGpu`; "mps:0" is Apple's, which has no float64."""
    import torch._dynamo  # which torch imports sooner or later, and which then looks at its devices

    state = torch.zeros(16, dtype=torch.uint8)
    answers: dict[str, Callable[..., Any]] = {
        "is_available": lambda: device.type == "cuda",
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_capability": lambda _device=None: (9, 0),
        "get_device_name": lambda _device=None: "pretended",
        "is_bf16_supported": lambda *_args, **_kwargs: True,
        "get_rng_state": lambda _device=None: state.clone(),
        "set_rng_state": lambda _state, _device=None: None,
        "manual_seed": lambda _seed: None,
        "manual_seed_all": lambda _seed: None,
        "_exchange_device": lambda _device: 0,
        "_maybe_exchange_device": lambda _device: 0,
        "empty_cache": lambda: None,
        "synchronize": lambda _device=None: None,
        "set_device": lambda _device: None,
        "_lazy_init": lambda: None,
    }
    mode = PretendedGpu()
    overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
    with ExitStack() as stack:
        stack.enter_context(_guard())
        for name, answer in answers.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, answer))
        stack.enter_context(mock.patch.object(torch.mps, "get_rng_state", answers["get_rng_state"]))
        stack.enter_context(mock.patch.object(torch.mps, "set_rng_state", answers["set_rng_state"]))
        stack.enter_context(mock.patch.object(OnDevice, "shown", device))
        stack.enter_context(mock.patch.object(torch, "save", _save))
        stack.enter_context(mock.patch.object(torch, "load", _load))
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwritten)
        # Numbers from Python become a tensor of the processor first, and travel where we see it.
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        # The thread that works for a device is started with the device.
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        stack.enter_context(mode)
        yield mode
