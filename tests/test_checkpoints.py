"""Weights files: what goes in comes out, the same bytes each time, and damage is named."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from weights_fixtures import TinyNet, tiny_card, tiny_file, tiny_network

from recolor_cli.checkpoints import Card, load_weights, save_weights
from recolor_cli.checkpoints.layout import MAX_HEADER_BYTES
from recolor_cli.errors import OutputError, WeightsError
from recolor_cli.models import MODELS


@pytest.fixture(autouse=True)
def tiny_is_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "tiny", TinyNet)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


class TestRoundTrip:
    def test_network_and_card_come_back(self, path: Path) -> None:
        network = tiny_network()
        sha256 = save_weights(path, network, tiny_card())
        model = load_weights(path)
        assert model.card == tiny_card()
        assert model.sha256 == sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (model.stride, model.input_size) == (4, 64)
        assert not model.network.training
        for key, value in network.state_dict().items():
            assert torch.equal(model.network.state_dict()[key], value)

    def test_same_weights_same_bytes_in_another_process(self, path: Path) -> None:
        data = tiny_file(path)
        program = (
            "from pathlib import Path; from weights_fixtures import tiny_file;"
            f"tiny_file(Path({str(path.with_name('again.safetensors'))!r}))"
        )
        environment = {**os.environ, "PYTHONHASHSEED": "7"}
        subprocess.run(
            [sys.executable, "-c", program], check=True, cwd=Path(__file__).parent, env=environment
        )
        assert path.with_name("again.safetensors").read_bytes() == data

    def test_the_safetensors_library_reads_it(self, path: Path) -> None:
        network = tiny_network()
        save_weights(path, network, tiny_card())
        with safe_open(path, "pt") as file:
            assert file.metadata() == tiny_card().to_header()
            assert set(file.keys()) == set(network.state_dict())
            for key in file.keys():  # noqa: SIM118  no dict
                assert torch.equal(file.get_tensor(key), network.state_dict()[key])

    def test_what_the_safetensors_library_wrote_is_read(self, path: Path) -> None:
        save_file(tiny_network().state_dict(), path, metadata=tiny_card().to_header())
        assert load_weights(path).card == tiny_card()

    def test_half_is_smaller_and_comes_back_as_float32(self, path: Path) -> None:
        network = tiny_network()
        save_weights(path, network, tiny_card(), half=True)
        with safe_open(path, "pt") as file:
            assert file.get_tensor("first.weight").dtype == torch.float16
            assert file.get_tensor("first.bias").dtype == torch.float32
            assert file.get_tensor("bins").dtype == torch.float32
        model = load_weights(path)
        assert all(
            v.dtype in (torch.float32, torch.int64) for v in model.network.state_dict().values()
        )
        assert torch.equal(model.network.first.weight, network.first.weight.half().float())

    def test_a_network_holds_its_own_tensors_and_not_the_file(self, path: Path) -> None:
        tiny_file(path)
        state = load_weights(path).network.state_dict()
        assert not any(value.is_meta for value in state.values())
        for value in state.values():
            assert value.untyped_storage().nbytes() == value.nbytes

    def test_loading_draws_no_random_numbers(self, path: Path) -> None:
        tiny_file(path)
        state = torch.random.get_rng_state()
        load_weights(path)
        assert torch.equal(torch.random.get_rng_state(), state)

    @pytest.mark.parametrize("name", list(MODELS))
    def test_every_network_can_be_outlined_without_memory(self, name: str) -> None:
        with torch.device("meta"):
            outline = MODELS[name]()
        assert all(p.is_meta for p in outline.parameters())
        # A file fills what is in the state; anything else would stay without memory.
        names = [name for name, _ in (*outline.named_parameters(), *outline.named_buffers())]
        assert set(names) <= set(outline.state_dict())

    def test_runs_are_named_by_their_folder(self, tmp_path: Path) -> None:
        path = tmp_path / "my-run" / "best" / "model.safetensors"
        tiny_file(path)
        assert load_weights(path).name == "my-run"

    def test_prediction_uses_the_cards_temperature_and_the_seed(self, path: Path) -> None:
        tiny_file(path)
        model = load_weights(path)
        luminance = torch.rand(2, 1, 8, 12) * 100
        prediction = model.predict(luminance)
        assert prediction.ab.shape == (2, 2, 4, 6)
        assert prediction.confidence is not None
        assert torch.equal(prediction.ab, model.predict(luminance, temperature=0.4).ab)
        assert not torch.equal(prediction.ab, model.predict(luminance, temperature=0.1).ab)
        assert torch.equal(model.predict(luminance, seed=3).ab, model.predict(luminance, seed=3).ab)
        assert not torch.equal(model.predict(luminance, seed=3).ab, prediction.ab)

    def test_bins_keep_their_precision(self, path: Path) -> None:
        tiny_file(path)
        model = load_weights(path).to("cpu", torch.bfloat16)
        assert model.network.first.weight.dtype == torch.bfloat16
        assert model.network.bins.dtype == torch.float32
        assert model.predict(torch.full((1, 1, 8, 8), 50.0)).ab.dtype == torch.float32


class TestSaving:
    def test_nothing_is_left_when_the_disk_refuses(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "model.safetensors"
        old = tiny_file(path)

        def refuse(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(OutputError, match=r"cannot write '.*': No space left on device"):
            save_weights(path, tiny_network(1), tiny_card())
        assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
        assert path.read_bytes() == old

    def test_a_broken_network_is_not_saved(self, path: Path) -> None:
        network = tiny_network()
        network.last.weight.data[0] = torch.nan
        with pytest.raises(WeightsError, match=r"tensor 'last.weight' holds NaN or infinity"):
            save_weights(path, network, tiny_card())
        assert not path.exists()

    def test_too_large_for_half_is_said(self, path: Path) -> None:
        network = tiny_network()
        network.last.weight.data[0] = 1e6
        with pytest.raises(WeightsError, match=r"'last.weight' .* after rounding to float16"):
            save_weights(path, network, tiny_card(), half=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": ""}, "network is ''"),
        ({"input_size": 0}, "input_size is '0'"),
        ({"input_size": True}, "input_size is 'True'"),
        ({"step": -1}, "step is '-1'"),
        ({"license": 3}, "license is '3'"),
        ({"color": {"space": "xyz"}}, "color.space is 'xyz'; it must be one of lab"),
        ({"color": {}}, "color.space is 'None'"),
        ({"color": {"space": "lab", "temperature": 0.3}}, "'lab' has none"),
        ({"color": {"space": "lab-bins", "temperature": 0}}, "color.temperature is '0'"),
        ({"color": {"space": "lab-bins", "temperature": True}}, "color.temperature is 'True'"),
        ({"color": {"space": "lab-bins", "broad_temperature": -1}}, "color.broad_temperature is"),
        ({"color": {"space": "lab-bins", "broad_cells": 17}}, "color.broad_cells is '17'"),
        ({"color": {"space": "lab-bins", "fine_gain": float("nan")}}, "color.fine_gain is 'nan'"),
        ({"color": {"space": "lab-bins", "second_size": 1.5}}, "color.second_size is '1.5'"),
        ({"color": {"space": "lab", "broad_gain": 1}}, "'lab' has none"),
        ({"color": {"space": "lab-bins", "broad": 1}}, "unknown key 'broad'"),
        ({"color": {"space": "lab", "gamma": 2}}, "unknown key 'gamma'"),
        ({"metrics": {"psnr": float("nan")}}, "metrics.psnr is 'nan'"),
        ({"arguments": [1]}, r"arguments is '\[1\]'"),
    ],
)
def test_wrong_cards_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        tiny_card(**changes)


def with_header(data: bytes, change: Any) -> bytes:
    """The file with its JSON header changed in place, and nothing else."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def set_metadata(key: str, value: str | None) -> Any:
    def change(header: dict[str, Any]) -> None:
        if value is None:
            del header["__metadata__"][key]
        else:
            header["__metadata__"][key] = value

    return change


def with_tensors(change: Any) -> bytes:
    """A sound file whose tensors were changed before it was written."""
    from safetensors.torch import save

    tensors = {key: value.clone() for key, value in tiny_network().state_dict().items()}
    change(tensors)
    return save(tensors, metadata=tiny_card().to_header())


def shift(header: dict[str, Any], key: str, by: int) -> None:
    start, stop = header[key]["data_offsets"]
    header[key]["data_offsets"] = [start + by, stop + by]


DAMAGE: dict[str, tuple[Any, str]] = {
    "empty": (lambda _: b"", "cut off: 0 bytes"),
    "three bytes": (lambda d: d[:3], "cut off: 3 bytes"),
    "cut in the header": (lambda d: d[:100], "cut off inside its header: byte 100"),
    "cut in a tensor": (lambda d: d[:-5], "cut off inside tensor '.*': it ends at data byte"),
    "bytes after the end": (lambda d: d + b"more", "has 4 bytes after its last tensor"),
    "header as long as it gets": (
        lambda d: (2**63 - 1).to_bytes(8, "little") + d[8:],
        f"claims a header of {2**63 - 1} bytes, and {MAX_HEADER_BYTES} is the most",
    ),
    "header longer than the file": (
        lambda d: (10**6).to_bytes(8, "little") + d[8:],
        "cut off inside its header",
    ),
    "header not JSON": (lambda d: d[:9] + b"!" + d[10:], "stops being JSON at byte 9"),
    "header not text": (lambda d: d[:9] + b"\xff" + d[10:], "byte 9 of its header is no text"),
    "header a list": (lambda _: (2).to_bytes(8, "little") + b"[]", "is no JSON object"),
    "header nested": (
        lambda _: (200_000).to_bytes(8, "little") + b'{"a":' + b"[" * 199_995,
        "nested too deeply|stops being JSON",
    ),
    "a key twice": (
        lambda _: (13).to_bytes(8, "little") + b'{"a":1,"a":2}',
        "has the key 'a' twice",
    ),
    "a JPEG": (lambda _: b"\xff\xd8\xff\xe0" + bytes(100), "it is a JPEG photograph"),
    "a web page": (lambda _: b"<!DOCTYPE html><html></html>", "it is a web page"),
    "a git-lfs pointer": (
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "it is a git-lfs pointer; fetch",
    ),
    "no metadata": (
        lambda d: with_header(d, lambda h: h.pop("__metadata__")),
        "has no metadata, so it does not say which network",
    ),
    "foreign metadata": (
        lambda d: with_header(d, lambda h: h.update(__metadata__={"format": "pt"})),
        "is of 'pt'; this version of recolor reads 'recolor/1'",
    ),
    "metadata not text": (
        lambda d: with_header(d, lambda h: h.update(__metadata__={"step": 3})),
        "'__metadata__' does not map text to text",
    ),
    "key missing": (
        lambda d: with_header(d, set_metadata("color", None)),
        "has no key 'color' in its metadata",
    ),
    "key not JSON": (
        lambda d: with_header(d, set_metadata("arguments", "{")),
        "metadata key 'arguments' is not JSON",
    ),
    "key no number": (
        lambda d: with_header(d, set_metadata("input_size", "1e9")),
        "metadata key 'input_size' is no whole number: '1e9'",
    ),
    "unknown network": (
        lambda d: with_header(d, set_metadata("network", "os.system")),
        "is for the network 'os.system', which this version of recolor does not have",
    ),
    "unknown argument": (
        lambda d: with_header(d, set_metadata("arguments", '{"depth": 3}')),
        "network 'tiny' cannot be built",
    ),
    "a huge network": (
        lambda d: with_header(d, set_metadata("arguments", '{"width": 1000000000}')),
        r"tensor '\w+.\w+' has the shape .*, the network needs \(1000000000",
    ),
    "tensor missing": (
        lambda _: with_tensors(lambda t: t.pop("last.bias")),
        "tensor 'last.bias' is missing",
    ),
    "tensor too many": (
        lambda _: with_tensors(lambda t: t.update(extra=torch.zeros(1))),
        "tensor 'extra' is not part of the network",
    ),
    "wrong shape": (
        lambda _: with_tensors(lambda t: t.update({"last.bias": torch.zeros(5)})),
        r"tensor 'last.bias' has the shape \(5,\), the network needs \(4,\)",
    ),
    "NaN": (
        lambda _: with_tensors(lambda t: t["first.weight"].fill_(torch.nan)),
        "tensor 'first.weight' holds NaN or infinity",
    ),
    "infinity": (
        lambda _: with_tensors(lambda t: t["norm.running_var"].fill_(torch.inf)),
        "tensor 'norm.running_var' holds NaN or infinity",
    ),
    "whole numbers": (
        lambda _: with_tensors(
            lambda t: t.update({"last.bias": torch.zeros(4, dtype=torch.int32)})
        ),
        "tensor 'last.bias' holds torch.int32",
    ),
    "unknown dtype": (
        lambda d: with_header(d, lambda h: h["last.bias"].update(dtype="F4")),
        "tensor 'last.bias' has dtype 'F4'",
    ),
    "shape and offsets differ": (
        lambda d: with_header(d, lambda h: h["last.bias"].update(shape=[5])),
        "tensor 'last.bias' of shape .* takes 20 bytes, but its offsets .* hold 16",
    ),
    "negative shape": (
        lambda d: with_header(d, lambda h: h["last.bias"].update(shape=[-4])),
        r"tensor 'last.bias' has the shape \[-4\]",
    ),
    "overflowing shape": (
        lambda d: with_header(d, lambda h: h["last.bias"].update(shape=[2**40, 2**40])),
        "tensor 'last.bias' of shape",
    ),
    "overlap": (
        lambda d: with_header(d, lambda h: shift(h, "last.bias", -4)),
        "tensor '.*' (overlaps|leaves a gap)",
    ),
    "tensor described wrongly": (
        lambda d: with_header(d, lambda h: h.update(extra={"shape": [1]})),
        "tensor 'extra' is not described by",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_in_one_line(path: Path, damage: str) -> None:
    change, message = DAMAGE[damage]
    path.write_bytes(change(tiny_file(path)))
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3


class Payload:
    """Pickles into a call that would create a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("kind", ["pickle", "torch zip"])
def test_a_pickle_named_safetensors_is_not_opened(tmp_path: Path, kind: str) -> None:
    path, canary = tmp_path / "model.safetensors", tmp_path / "canary"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Payload(canary)))
    else:
        torch.save(Payload(canary), path)
        assert zipfile.is_zipfile(path)
    with pytest.raises(WeightsError, match=r"is not a safetensors file: it is a"):
        load_weights(path)
    assert not canary.exists()


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot read the weights '.*': Is a directory"):
        load_weights(tmp_path)


def test_cards_read_their_own_header() -> None:
    assert Card.from_header(tiny_card().to_header(), "x") == tiny_card()
