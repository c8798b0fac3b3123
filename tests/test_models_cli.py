"""`recolor models`: what is printed where, and the exit status."""

from __future__ import annotations

import json
import os
import pickle
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hub_server import Fault, HubServer, Repo, running_hub
from huggingface_hub import constants
from PIL import Image
from weights_fixtures import (
    COMMIT,
    OTHER_COMMIT,
    REPO,
    TinyNet,
    tiny_card,
    tiny_entry,
    tiny_file,
    tiny_network,
)

from recolor_cli.checkpoints import load_weights, save_weights
from recolor_cli.cli.app import main
from recolor_cli.models import MODELS
from recolor_cli.weights.manifest import MANIFEST_VARIABLE, parse_entry


@dataclass
class Answer:
    status: int
    out: str
    err: str


@pytest.fixture
def recolor(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the program; status, stdout, stderr."""

    def run(*arguments: str | Path) -> Answer:
        with pytest.raises(SystemExit) as left:
            main(["models", *map(str, arguments)])
        captured = capsys.readouterr()
        status = left.value.code
        assert isinstance(status, int)
        return Answer(status, captured.out, captured.err)

    return run


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    return tiny_file(tmp_path / "sound.safetensors")


@pytest.fixture
def hub(data: bytes) -> Iterator[HubServer]:
    with running_hub() as server:
        server.repos[REPO] = Repo({COMMIT: {"model.safetensors": data}}, {"main": COMMIT})
        yield server


@pytest.fixture(autouse=True)
def machine(hub: HubServer, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, the server, and a list with two entries, of which one is not on it."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("RECOLOR_CACHE", str(tmp_path / "recolor"))
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    monkeypatch.setitem(MODELS, "tiny", TinyNet)
    entries = [
        tiny_entry(data, metrics={"psnr": 21.5}),
        tiny_entry(data + b"x", name="tiny.second", revision=OTHER_COMMIT),
    ]
    content = {"default": "tiny.first", "weights": {e.name: e.to_json() for e in entries}}
    (tmp_path / "weights.json").write_text(json.dumps(content))
    monkeypatch.setenv(MANIFEST_VARIABLE, str(tmp_path / "weights.json"))


def test_list_shows_each_entry_on_a_line(recolor: Any) -> None:
    answer = recolor("list")
    assert (answer.status, answer.err) == (0, "")
    head, first, second = answer.out.splitlines()
    assert head.split()[:3] == ["name", "network", "parameters"]
    assert first.split()[:2] == ["tiny.first", "(default)"]
    assert "CC0-1.0" in first
    assert "psnr 21.5" in first
    assert " hub " in second
    recolor("pull", "tiny.first")
    assert " cache " in recolor("list").out.splitlines()[1]


def test_list_json(recolor: Any) -> None:
    records = [json.loads(line) for line in recolor("list", "--json").out.splitlines()]
    assert [record["name"] for record in records] == ["tiny.first", "tiny.second"]
    assert [record["default"] for record in records] == [True, False]
    assert records[0]["where"] == "hub"
    assert records[0]["path"] is None


def test_info_of_a_name_and_of_a_file(recolor: Any, data: bytes, tmp_path: Path) -> None:
    assert f"revision:    {COMMIT}" in recolor("info", "tiny.first").out
    facts = json.loads(recolor("info", tmp_path / "sound.safetensors", "--json").out)
    assert facts["name"] == "tiny.first"  # known by its hash
    other = tmp_path / "other.safetensors"
    save_weights(other, tiny_network(1), tiny_card())
    facts = json.loads(recolor("info", other, "--json").out)
    assert (facts["where"], facts["network"], facts["step"]) == ("file", "tiny", 7)
    assert facts["parameters"] == sum(p.numel() for p in tiny_network().parameters())


def test_pull_prints_the_path_and_says_what_it_does(recolor: Any, data: bytes) -> None:
    answer = recolor("pull", "tiny.first")
    assert Path(answer.out.strip()).read_bytes() == data
    assert "fetching 'tiny.first' from 127.0.0.1" in answer.err
    again = recolor("pull", "tiny.first", "--offline")
    assert (again.out, again.err) == (answer.out, "")


def test_pull_an_address(recolor: Any, data: bytes) -> None:
    answer = recolor("pull", f"hf://{REPO}/model.safetensors@main")
    assert Path(answer.out.strip()).read_bytes() == data
    assert f"warning: 'main' is a moving name; it is commit {COMMIT} now" in answer.err


def test_pull_all_stops_at_what_cannot_be_had(recolor: Any) -> None:
    answer = recolor("pull", "--all")
    assert answer.status == 3
    assert len(answer.out.splitlines()) == 1
    assert answer.err.splitlines()[-1].startswith("recolor: 127.0.0.1")
    assert "has no such revision" in answer.err


def test_pull_needs_one_target(recolor: Any, tmp_path: Path) -> None:
    assert recolor("pull").status == 2
    assert recolor("pull", "tiny.first", "--all").status == 2
    assert recolor("pull", "--all", "--from", tmp_path / "sound.safetensors").status == 2


def test_a_file_brought_by_hand(
    recolor: Any, hub: HubServer, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For machines without a network: verified, kept, and used by name afterwards."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    wrong = recolor("pull", "tiny.second", "--from", tmp_path / "sound.safetensors")
    assert wrong.status == 3
    assert f"it has {len(data)} bytes, and should have {len(data) + 1}" in wrong.err
    assert recolor("pull", "tiny.first", "--from", tmp_path / "sound.safetensors").status == 0
    assert Path(recolor("path", "tiny.first", "--offline").out.strip()).read_bytes() == data
    assert recolor("verify", "tiny.first").status == 0
    assert hub.requests == []


def test_verify_hashes_what_is_here(recolor: Any, data: bytes) -> None:
    assert recolor("verify").out == ""
    path = Path(recolor("pull", "tiny.first").out.strip())
    assert recolor("verify").out.split() == ["tiny.first", "ok"]
    assert recolor("verify", "tiny.second").status == 3
    path.resolve().write_bytes(bytes(len(data)))
    answer = recolor("verify", "--json")
    assert answer.status == 3
    record = json.loads(answer.out)
    assert (record["name"], record["state"]) == ("tiny.first", "broken")
    assert "its sha256 is" in record["problem"]
    assert answer.err.startswith("recolor: 1 of 2 weights are not what they should be: tiny.first")


def test_remove_frees_the_cache(recolor: Any) -> None:
    path = Path(recolor("pull", "tiny.first").out.strip())
    content = path.resolve()
    answer = recolor("remove", "tiny.first")
    assert answer.status == 0
    assert "removed 'tiny.first'" in answer.err
    assert not path.is_symlink()
    assert not content.exists()
    assert recolor("remove", "tiny.first").status == 2


def test_names_that_do_not_exist(recolor: Any) -> None:
    for command in ("info", "pull", "path", "remove", "verify", "export"):
        answer = recolor(command, "tiny.thrid")
        assert answer.status == 3
        assert answer.err.startswith("recolor: no weights named 'tiny.thrid'; did you mean")
        assert answer.out == ""


class TestPublish:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Path:
        folder = tmp_path / "runs" / "Blue Sky"
        tiny_file(folder / "best" / "model.safetensors", seed=3)
        return folder

    def test_export_writes_files_that_load_and_an_entry_that_holds(
        self, recolor: Any, hub: HubServer, run: Path, tmp_path: Path
    ) -> None:
        answer = recolor("publish", run, "--export", tmp_path / "out", "--note", "Red is brown.")
        assert answer.status == 0, answer.err
        ((name, value),) = json.loads(answer.out).items()
        entry = parse_entry(name, value)
        assert (entry.name, entry.source) == ("tiny.blue-sky", "package")
        model = load_weights(tmp_path / "out" / "model.safetensors")
        assert model.sha256 == entry.sha256
        config = json.loads((tmp_path / "out" / "config.json").read_text())
        assert (config["network"], config["metrics"]) == ("tiny", {"psnr": 21.5})
        card = (tmp_path / "out" / "README.md").read_text()
        assert card.startswith("---\nlicense: cc0-1.0\n")
        for text in ("# tiny.blue-sky", "| psnr | 21.5 |", "Red is brown.", entry.sha256):
            assert text in card
        assert hub.requests == []

    def test_upload_gives_a_pinned_entry_that_can_be_pulled(
        self, recolor: Any, hub: HubServer, run: Path, tmp_path: Path
    ) -> None:
        answer = recolor("publish", run, "--repo", "me/new", "--name", "tiny.sky")
        assert answer.status == 0, answer.err
        ((name, value),) = json.loads(answer.out).items()
        entry = parse_entry(name, value)
        commit = hub.repos["me/new"].branches["main"]
        assert (entry.repo_id, entry.revision, entry.name) == ("me/new", commit, "tiny.sky")
        assert set(hub.repos["me/new"].commits[commit]) == {
            "model.safetensors",
            "config.json",
            "README.md",
        }
        listed = {"default": None, "weights": {name: value}}
        (tmp_path / "weights.json").write_text(json.dumps(listed))
        assert (
            Path(recolor("pull", "tiny.sky").out.strip()).read_bytes()
            == (run / "best" / "model.safetensors").read_bytes()
        )

    def test_a_hub_that_says_no(self, recolor: Any, hub: HubServer, run: Path) -> None:
        hub.faults.append(Fault(status=403, method="POST"))
        answer = recolor("publish", run, "--repo", "me/new")
        assert answer.status == 3
        assert "answers 403 for 'me/new'; set HF_TOKEN to a token that may write" in answer.err

    @pytest.mark.parametrize(
        ("arguments", "status", "message"),
        [
            ([], 2, "nowhere to publish to; pass --repo owner/name or --export DIR"),
            (["--repo", "nonsense"], 2, "'nonsense' is no repository"),
            (["--export", "{tmp}/x", "--name", "noTag"], 3, "'noTag' is no name for weights"),
            (["--export", "{tmp}/sound.safetensors/x"], 4, "Not a directory"),
        ],
    )
    def test_wrong_usage(
        self,
        recolor: Any,
        run: Path,
        tmp_path: Path,
        arguments: list[str],
        status: int,
        message: str,
    ) -> None:
        answer = recolor("publish", run, *(a.format(tmp=tmp_path) for a in arguments))
        assert (answer.status, answer.out) == (status, "")
        assert message in answer.err

    def test_weights_without_a_licence_stay_here(self, recolor: Any, tmp_path: Path) -> None:
        path = tmp_path / "free.safetensors"
        save_weights(path, tiny_network(1), tiny_card(license=""))
        answer = recolor("publish", path, "--export", tmp_path / "out")
        assert answer.status == 3
        assert "does not say its license" in answer.err
        assert "pass --license, such as --license MIT" in answer.err
        assert not (tmp_path / "out").exists()

    def test_terms_that_are_typed_are_in_the_file_that_is_published(
        self, recolor: Any, tmp_path: Path
    ) -> None:
        path, out = tmp_path / "free.safetensors", tmp_path / "out"
        save_weights(path, tiny_network(1), tiny_card(license=""))
        before = path.read_bytes()
        terms = ("--license", "MIT", "--trained-on", "4,000 photographs of one city")
        answer = recolor("publish", path, "--export", out, *terms)
        assert answer.status == 0, answer.err
        ((name, value),) = json.loads(answer.out).items()
        entry = parse_entry(name, value)
        model = load_weights(out / "model.safetensors")
        assert (model.card.license, model.card.trained_on) == (terms[1], terms[3])
        assert (entry.license, entry.trained_on) == (terms[1], terms[3])
        assert (entry.sha256, entry.bytes) == (
            model.sha256,
            (out / "model.safetensors").stat().st_size,
        )
        assert model.card == replace(load_weights(path).card, license="MIT", trained_on=terms[3])
        own, published = load_weights(path).network, model.network
        for key, tensor in own.state_dict().items():
            assert torch.equal(tensor, published.state_dict()[key]), key
        assert path.read_bytes() == before

    def test_a_run_is_not_written_over_by_what_is_published(self, recolor: Any, run: Path) -> None:
        before = (run / "best" / "model.safetensors").read_bytes()
        answer = recolor("publish", run, "--export", run / "best", "--license", "MIT")
        assert (answer.status, answer.out) == (2, "")
        assert "choose another folder for --export" in answer.err
        assert (run / "best" / "model.safetensors").read_bytes() == before


RAISED = object()  # the KeyboardInterrupt itself


def interrupted(made_of_it: Any = RAISED, number: signal.Signals = signal.SIGINT) -> Any:
    """An exporter that a signal reaches, and that raises something else, or drops it (None)."""

    def export(_graph: Any, _example: Any, path: str, **_options: Any) -> None:
        Path(path).write_text("half")
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            if made_of_it is RAISED:
                raise
            if made_of_it is not None:
                raise made_of_it from None

    return export


def failed(error: Exception) -> Any:
    """An exporter that raises this."""

    def export(_graph: Any, _example: Any, path: str, **_options: Any) -> None:
        Path(path).write_text("half")
        raise error

    return export


def wrapped(cause: Exception) -> Any:
    """An exporter that fails as torch's does: the first error is far down in the chain."""
    middle, last = RuntimeError("step 2 of 3"), torch.onnx.OnnxExporterError("failed to convert")
    middle.__cause__, last.__cause__ = cause, middle
    return failed(last)


class TestExport:
    @pytest.mark.slow  # the exporter's own imports take most of it
    def test_onnx_agrees_with_torch_at_any_size(
        self, recolor: Any, data: bytes, tmp_path: Path
    ) -> None:
        onnxruntime = pytest.importorskip("onnxruntime")
        target = tmp_path / "out" / "tiny.onnx"
        answer = recolor("export", "tiny.first", "-o", target)
        assert answer.status == 0, answer.err
        assert answer.out.strip() == str(target)
        assert "compared with torch on 'astronaut' at 64 x 64" in answer.err
        assert "largest difference in a and b:" in answer.err
        session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
        luminance = torch.rand(3, 1, 20, 36) * 100
        (ab,) = session.run(None, {"luminance": luminance.numpy()})
        wanted = load_weights(tmp_path / "sound.safetensors").predict(luminance).ab.numpy()
        assert ab.shape == (3, 2, 10, 18)
        assert np.abs(ab - wanted).max() < 0.01
        properties = session.get_modelmeta().custom_metadata_map
        assert properties["network"] == "tiny"
        assert properties["sha256"] == load_weights(tmp_path / "sound.safetensors").sha256

    def test_a_file_that_disagrees_is_not_kept(
        self, recolor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("onnxruntime")
        export = "recolor_cli.weights.export"
        target = tmp_path / "onnx" / "tiny.onnx"
        target.parent.mkdir()
        target.write_text("old")
        monkeypatch.setattr(f"{export}._write", lambda *given: given[3].write_text("new"))
        monkeypatch.setattr(f"{export}._describe", lambda *_: None)
        monkeypatch.setattr(f"{export}.compare", lambda *_: (0.5, ()))
        answer = recolor("export", "tiny.first", "-o", target)
        assert answer.status == 3
        assert "differs from torch by 0.5 in ab, more than 0.1; it was not kept" in answer.err
        assert [path.name for path in target.parent.iterdir()] == ["tiny.onnx"]
        assert target.read_text() == "old"

    @pytest.mark.parametrize(
        ("failing", "status", "words"),
        [
            (interrupted(), 130, ""),
            (interrupted(None), 130, ""),  # dropped
            (interrupted(torch.onnx.OnnxExporterError("failed to capture")), 130, ""),
            (interrupted(KeyError("node")), 130, ""),
            (interrupted(number=signal.SIGTERM), 143, ""),
            (interrupted(None, number=signal.SIGTERM), 143, ""),
            (wrapped(NotImplementedError("no 'sort'\nmore")), 2, "as ONNX; no 'sort'\n"),
            (wrapped(NotImplementedError()), 2, "as ONNX; NotImplementedError\n"),
            (wrapped(OSError(28, "No space left on device")), 4, "tiny.onnx': No space left on"),
            (failed(OSError(28, "No space left on device")), 4, "tiny.onnx': No space left on"),
        ],
    )  # fmt: skip
    def test_what_ends_an_export_is_told_as_what_it_is_and_leaves_no_file(
        self, failing: Any, status: int, words: str, recolor: Any, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        pytest.importorskip("onnx")
        monkeypatch.setattr(torch.onnx, "export", failing)
        target = tmp_path / "onnx" / "tiny.onnx"
        answer = recolor("export", "tiny.first", "-o", target, "--quiet")
        assert (answer.status, answer.out) == (status, "")
        assert words in answer.err
        assert answer.err.count("\n") == (1 if words else 0)
        assert list(target.parent.iterdir()) == []

    @pytest.mark.parametrize("error", [TypeError("our mistake"), MemoryError()])
    def test_an_error_that_nobody_foresees_keeps_its_name(
        self, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("onnx")
        monkeypatch.setattr(torch.onnx, "export", failed(error))
        with pytest.raises(type(error)):
            main(["models", "export", "tiny.first", "-o", str(tmp_path / "x.onnx"), "--quiet"])

    def test_without_the_packages_the_extra_is_named(
        self, recolor: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("recolor_cli.weights.export.PACKAGES", ("no_such_package",))
        answer = recolor("export", "tiny.first")
        assert answer.status == 2
        assert "pip install 'recolor-cli[onnx]'" in answer.err


class Payload:
    """Pickles into a call that would create a folder."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


def hostile(canary: Path, data: bytes) -> dict[str, bytes]:
    return {
        "pickle.pth": pickle.dumps(Payload(canary)),
        "pickle.safetensors": pickle.dumps(Payload(canary)),
        "pickle.bin": pickle.dumps(Payload(canary), protocol=0),
        "empty.safetensors": b"",
        "half.safetensors": data[: len(data) // 2],
        "long.safetensors": data + bytes(9),
        "huge.safetensors": b"\xff" * 8 + data[8:],
        "page.safetensors": b"<html>not found</html>",
        "noise.pth": bytes(range(256)) * 9,
        "mute.safetensors": data.replace(b'"network":', b'"netwirk":'),
    }


@pytest.mark.parametrize("name", list(hostile(Path(), b"")))
def test_no_photograph_is_made_with_hostile_weights(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, data: bytes, name: str
) -> None:
    canary, photo, weights = tmp_path / "canary", tmp_path / "photo.png", tmp_path / name
    weights.write_bytes(hostile(canary, data)[name])
    Image.new("L", (40, 30), 90).save(photo)
    with pytest.raises(SystemExit) as left:
        main(["colorize", str(photo), "-o", str(tmp_path / "out"), "--model", str(weights)])
    captured = capsys.readouterr()
    assert left.value.code == 3
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert name in captured.err
    assert not canary.exists()
    assert not list(tmp_path.glob("out/**/*.png"))
