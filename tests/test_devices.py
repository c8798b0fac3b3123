"""What auto means, and what is said where a device is not there."""

from __future__ import annotations

import pytest
import torch

from recolor_cli.devices import choose_device, choose_machine, choose_precision, cores
from recolor_cli.errors import UsageError


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch):
    """Pretend to have two GPUs of a compute capability."""

    def pretend(major: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (major, 0))
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: major >= 8)

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
