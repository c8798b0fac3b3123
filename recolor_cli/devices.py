"""Where networks run and in which number format; what "auto" means on this machine."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recolor_cli.cgroups import processors
from recolor_cli.errors import UsageError
from recolor_cli.ranges import DEVICE

_LACK = ("out of memory", "not enough memory", "can't allocate memory", "_status_alloc_failed")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Machine:
    """A device and the number format that networks have on it.

    Attributes:
        device: as torch names it, with the index for CUDA.
        precision: "fp32", "bf16" or "fp16".
    """

    device: torch.device
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """The torch type of `precision`."""
        return DTYPES[self.precision]

    def __str__(self) -> str:
        """For people, such as `cuda:0 (NVIDIA H100), bf16`."""
        if self.device.type == "cuda":
            name = f" ({torch.cuda.get_device_name(self.device)})"
        elif self.device.type == "cpu":
            count = cores()
            name = f" ({count} core{'' if count == 1 else 's'})"
        else:
            name = ""
        return f"{self.device}{name}, {self.precision}"


def choose_machine(device: str = "auto", precision: str = "auto") -> Machine:
    """Turn the options `--device` and `--precision` into what torch understands.

    Args:
        device: as for `choose_device`.
        precision: as for `choose_precision`.

    Raises:
        UsageError: this machine has no such device, or the device no such number format.
    """
    chosen = choose_device(device)
    return Machine(chosen, choose_precision(chosen, precision))


def choose_device(name: str = "auto") -> torch.device:
    """Find a device: "auto" is CUDA if torch has code for that GPU, else MPS, else the CPU.

    Raises:
        UsageError: the name is unknown, or the device is not there or of no use; says what to type.
    """
    if name == "auto":
        if torch.cuda.is_available() and _is_served(torch.cuda.current_device()):
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise UsageError(
                "device 'mps' needs macOS on Apple silicon; type --device cpu or --device auto"
            )
        return torch.device("mps")
    match = DEVICE.fullmatch(name)
    if not match:
        raise UsageError(f"no device '{name}'; use auto, cpu, cuda, cuda:N or mps")
    if not torch.cuda.is_available():
        why = "sees no CUDA GPU" if torch.version.cuda else "was built without CUDA"
        raise UsageError(
            f"device '{name}' is not there: torch {torch.__version__} {why}; "
            "type --device cpu or --device auto"
        )
    index = int(match[1]) if match[1] else torch.cuda.current_device()
    count = torch.cuda.device_count()
    if index >= count:
        there = "cuda:0 only" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise UsageError(f"device '{name}' is not there; this machine has {there}")
    if not _is_served(index):
        major, minor = torch.cuda.get_device_capability(index)
        raise UsageError(
            f"torch {torch.__version__} has no code for 'cuda:{index}' (compute capability "
            f"{major}.{minor}); type --device cpu, or install a torch that has"
        )
    return torch.device("cuda", index)


def choose_precision(device: torch.device, name: str = "auto") -> str:
    """Find a number format: "auto" is bf16 where the hardware multiplies it faster, else fp32.

    That is a CUDA GPU from compute capability 8.0 (Ampere), and a CPU with AMX tiles or
    AVX512-BF16. How far colours then are from those of fp32: docs/explanation/speed.md.

    Args:
        device: where.
        name: "auto", or a key of `DTYPES`.

    Raises:
        UsageError: the name is unknown, or the device computes nothing useful in it.
    """
    if name == "auto":
        if device.type == "cuda":
            major, _ = torch.cuda.get_device_capability(device)
            return "bf16" if major >= 8 else "fp32"
        fast = device.type == "cpu" and {"amx_bf16", "avx512_bf16"} & _cpu_flags()
        return "bf16" if fast else "fp32"
    if name not in DTYPES:
        raise UsageError(f"no precision '{name}'; use auto, {', '.join(DTYPES)}")
    if name == "fp16" and device.type == "cpu":
        raise UsageError("precision 'fp16' needs a GPU; use bf16, fp32 or auto as precision")
    if name == "bf16" and device.type == "cuda":
        # torch's own answer counts what is emulated, and is about the first GPU.
        major, _ = torch.cuda.get_device_capability(device)
        if major < 8:
            raise UsageError(f"{device} has no bf16; use fp16, fp32 or auto as precision")
    if name == "bf16" and device.type == "mps" and not torch.backends.mps.is_macos_or_newer(14, 0):
        raise UsageError("bf16 on mps needs macOS 14; use fp16, fp32 or auto as precision")
    return name


def exact(device: torch.device) -> None:
    """Let a GPU's convolutions give the same bytes in every run, and let float32 be float32.

    Unless told so they round factors to 10 bits (TF32), also in those parts of a network that are
    float32 because they decide colours.
    """
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, whoever says so and however."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The processor's and Apple's allocators raise plain RuntimeError, and so do the libraries of
    # CUDA (CUBLAS_STATUS_ALLOC_FAILED), whose own memory torch does not hand out.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _LACK)


def layout(device: torch.device) -> torch.memory_format:
    """How networks lie in memory where they run: a pixel's channels together, which is fastest.

    Not on MPS: there batch norm's gradients are wrong then (pytorch issue 175189), and convolutions
    of some views (180984).
    """
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def carried(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device; the host does not wait until a GPU has done what it was told before.

    That takes memory which the system leaves in its place. torch keeps it until it is read.
    """
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def sent(values: Any, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers as a tensor on the device of `like`; as `carried`, nobody waits.

    Args:
        values: A list, of lists too, or an array.
        like: Where, and of which type.
        dtype: Another type.
    """
    tensor = torch.as_tensor(values, dtype=dtype or like.dtype, device="cpu")
    return carried(tensor, like.device)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on the thread that calls it and on no other.

    Several pictures at a time, each on one thread, use a processor better than one picture on all
    of it, where threads wait for each other after every layer. And sums come out in the same order
    on any number of cores: the same bytes.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cores() -> int:
    """How many processor cores this process may use, of those that the machine has.

    By affinity, and by the share of their time that a container gets: `docker run --cpus 2` shows
    all cores, and stops who uses more than two for most of each tenth of a second.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        count = os.cpu_count() or 1
    return math.ceil(min(count, processors()))


def _is_served(index: int) -> bool:
    """Whether torch was built with code for this GPU, for an older one of its kind, or for any.

    New builds leave old GPUs out, which CUDA still lists; the first kernel would fail.
    """
    if torch.version.cuda is None:  # AMD's GPUs have other names
        return True
    own = torch.cuda.get_device_capability(index)
    builds = [re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", a) for a in torch.cuda.get_arch_list()]
    known = [(found[1], int(found[2]), int(found[3])) for found in builds if found]
    return not known or any(
        (major, minor) <= own and (kind == "compute" or major == own[0])
        for kind, major, minor in known
    )


@cache
def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux: AMX stays unused
        return frozenset()
    match = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()
