"""What auto means, and what is said where a device is not there."""

from __future__ import annotations

import pytest
import torch

from recolor_cli.devices import choose_device, choose_machine, choose_precision, cores
from recolor_cli.errors import RecolorError, UsageError
from recolor_cli.recipes import BASE
from recolor_cli.training.memory import explain_lack_of_memory
from recolor_cli.weights import load_model


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch):
    """Pretend to have two GPUs of a compute capability."""

    def pretend(major: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (major, 0))
        # As torch has it: what is emulated counts.
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_args, **_kwargs: True)

    return pretend


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_auto_takes_the_gpu_where_there_is_one(gpus) -> None:
    gpus(9)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 0)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UsageError, match="cuda:0 to cuda:1"):
        choose_device("cuda:2")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cuda", "type --device cpu"),
        ("cuda:0", "type --device cpu"),
        ("mps", "type --device cpu"),
        ("gpu", "use auto"),
        ("cuda:", "use auto"),
        ("CPU", "use auto"),
        ("", "use auto"),
    ],
)
def test_a_device_that_is_not_there_is_named_with_what_to_type(name: str, words: str) -> None:
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(UsageError, match=words):
        choose_device(name)


def test_bf16_only_where_it_is_faster(gpus, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, cpu = torch.device("cuda", 0), torch.device("cpu")
    gpus(9)
    assert choose_precision(cuda) == "bf16"
    gpus(7)
    assert choose_precision(cuda) == "fp32"
    with pytest.raises(UsageError, match="fp16"):
        choose_precision(cuda, "bf16")
    assert choose_precision(torch.device("mps")) == "fp32"
    for flag, wanted in (("avx2", "fp32"), ("avx512_bf16", "bf16"), ("amx_bf16", "bf16")):
        monkeypatch.setattr("recolor_cli.devices._cpu_flags", lambda flag=flag: frozenset({flag}))
        assert choose_precision(cpu) == wanted
        assert choose_precision(cpu, "fp32") == "fp32"
        assert choose_machine("cpu").precision == wanted


@pytest.mark.parametrize(
    ("builds", "served"),
    [
        (["sm_75", "sm_80", "sm_86", "sm_90", "compute_90"], False),
        (["sm_50", "sm_60", "sm_70"], True),
        (["sm_61"], True),
        (["sm_62"], False),  # newer than it
        (["compute_50", "sm_90"], True),  # compiled when it is met
        ([], True),  # not told
    ],
)
def test_a_gpu_that_torch_was_built_without_is_not_taken(
    builds: list[str], served: bool, gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(6)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (6, 1))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: builds)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto").type == ("cuda" if served else "cpu")
    if served:
        assert choose_device("cuda") == torch.device("cuda", 0)
        return
    with pytest.raises(UsageError, match=r"no code for 'cuda:1'.* 6\.1.*type --device cpu"):
        choose_device("cuda:1")


def test_bf16_on_apples_gpus_needs_a_new_system(monkeypatch: pytest.MonkeyPatch) -> None:
    for new in (True, False):
        monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda *_, new=new: new)
        if new:
            assert choose_precision(torch.device("mps"), "bf16") == "bf16"
        else:
            with pytest.raises(UsageError, match="macOS 14"):
                choose_precision(torch.device("mps"), "bf16")


LACKS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.87 GB)"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", LACKS)
def test_a_step_that_lacks_memory_says_so_whoever_found_out(error: Exception) -> None:
    wanted = r"not enough memory on 'cuda:0' .* accumulate=2"
    explained = explain_lack_of_memory(BASE, torch.device("cuda", 0))
    with pytest.raises(RecolorError, match=wanted), explained:
        raise error


def test_another_error_of_a_step_stays_what_it_is() -> None:
    explained = explain_lack_of_memory(BASE, torch.device("cuda", 0))
    with pytest.raises(RuntimeError, match="illegal"), explained:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_weights_that_do_not_fit_on_a_gpu_say_what_to_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(RecolorError, match="type --device cpu"):
        load_model(device="cuda:0", offline=True)


def test_half_precision_on_a_cpu_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a GPU"):
        choose_machine("cpu", "fp16")
    with pytest.raises(UsageError, match="no precision 'int8'"):
        choose_machine("cpu", "int8")


def test_a_machine_describes_itself() -> None:
    machine = choose_machine("cpu", "bf16")
    assert machine.dtype == torch.bfloat16
    assert str(machine).startswith("cpu (")
    assert str(machine).endswith("bf16")
    assert cores() >= 1
