"""Downloads, with the real Hub client, from a server that does not always behave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.file_download
import huggingface_hub.utils._http
import pytest
from hub_server import Fault, HubServer, Repo, downloads, running_hub
from huggingface_hub import constants
from weights_fixtures import (
    COMMIT,
    OTHER_COMMIT,
    REPO,
    TinyNet,
    manifest_of,
    tiny_entry,
    tiny_file,
)

import recolor_cli.weights.download
import recolor_cli.weights.hub
from recolor_cli.errors import WeightsError
from recolor_cli.models import MODELS
from recolor_cli.weights import Entry, WeightsFile, find_weights, load_model

BIG = 3_000_000  # bytes added where a cut should fall into the middle


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sound weights file."""
    return tiny_file(tmp_path_factory.mktemp("weights") / "model.safetensors")


@pytest.fixture
def hub(data: bytes) -> Iterator[HubServer]:
    with running_hub() as server:
        server.repos[REPO] = Repo({COMMIT: {"model.safetensors": data}}, {"main": COMMIT})
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Everybody's pauses between attempts: noted, not slept."""
    noted: list[float] = []
    clock = SimpleNamespace(sleep=noted.append, time=time.time, monotonic=time.monotonic)
    for module in (
        huggingface_hub.utils._http,
        huggingface_hub.file_download,
        recolor_cli.weights.hub,
        recolor_cli.weights.download,
    ):
        monkeypatch.setattr(module, "time", clock)
    return noted


@pytest.fixture(autouse=True)
def client(
    hub: HubServer, waits: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub client of this process, pointed at the server and at an empty cache."""
    point_client_at(hub.url, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    # Resuming goes by whole pieces of this size; ten megabytes by default.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 65_536)
    monkeypatch.setenv("RECOLOR_CACHE", str(tmp_path / "recolor"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setitem(MODELS, "tiny", TinyNet)


def point_client_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )


def find(entry: Entry, said: list[str] | None = None, **options: Any) -> WeightsFile:
    progress = None if said is None else said.append
    return find_weights(entry.name, manifest=manifest_of(entry), progress=progress, **options)


def cached_files(folder: Path) -> list[str]:
    """What the client's cache holds beyond locks and tags."""
    found = (p for p in (folder / "hub").rglob("*") if not p.is_dir() and ".locks" not in p.parts)
    return sorted(p.name for p in found if p.name not in ("CACHEDIR.TAG", ".gitignore"))


class TestPinned:
    def test_first_download_then_no_request_at_all(self, hub: HubServer, data: bytes) -> None:
        said: list[str] = []
        entry = tiny_entry(data)
        found = find(entry, said)
        assert found.path.read_bytes() == data
        assert (found.sha256, found.name, found.entry) == (entry.sha256, "tiny.first", entry)
        assert downloads(hub)[-1] == "GET"
        assert "fetching 'tiny.first' from 127.0.0.1" in said[0]
        assert "CC0-1.0" in said[0]
        hub.requests.clear()
        assert find(entry).path == found.path
        assert hub.requests == []

    def test_the_cached_file_is_used_without_a_server(self, hub: HubServer, data: bytes) -> None:
        find(tiny_entry(data))
        hub.repos.clear()
        assert find(tiny_entry(data), offline=True).path.read_bytes() == data

    def test_a_cut_connection_is_resumed(self, hub: HubServer, data: bytes) -> None:
        body = data + bytes(BIG)
        hub.repos[REPO].commits[COMMIT]["model.safetensors"] = body
        hub.faults.append(Fault(cut_after=1_000_000))
        assert find(tiny_entry(body)).path.read_bytes() == body
        ranges = [wanted for method, _, wanted in hub.requests if method == "GET"]
        assert ranges[0] is None
        assert ranges[1] is not None
        assert int(ranges[1].removeprefix("bytes=").rstrip("-")) > 0

    def test_altered_bytes_are_removed_and_named(
        self, hub: HubServer, data: bytes, tmp_path: Path
    ) -> None:
        entry = tiny_entry(data)
        altered = data[:-1] + bytes([data[-1] ^ 1])
        hub.repos[REPO].commits[COMMIT]["model.safetensors"] = altered
        with pytest.raises(WeightsError) as caught:
            find(entry)
        text = str(caught.value)
        assert entry.sha256 in text
        assert f"its sha256 is {tiny_entry(altered).sha256}" in text
        assert "it was removed; 'recolor models pull tiny.first' fetches it again" in text
        assert cached_files(tmp_path) == []
        hub.repos[REPO].commits[COMMIT]["model.safetensors"] = data
        assert find(entry).path.read_bytes() == data

    def test_altered_bytes_under_an_honest_etag(self, hub: HubServer, data: bytes) -> None:
        hub.faults.append(Fault(body=bytes(len(data))))
        with pytest.raises(WeightsError, match=r"its sha256 is .*, and should be"):
            find(tiny_entry(data))

    def test_another_size_is_refused_before_the_download(self, hub: HubServer, data: bytes) -> None:
        hub.repos[REPO].commits[COMMIT]["model.safetensors"] = data + b"more"
        with pytest.raises(WeightsError, match=rf"offers {len(data) + 4} bytes .* {len(data)};"):
            find(tiny_entry(data))
        assert "GET" not in downloads(hub)

    def test_half_a_file_that_claims_to_be_whole(
        self, hub: HubServer, data: bytes, tmp_path: Path
    ) -> None:
        half = data[: len(data) // 2]
        for _ in range(20):
            hub.faults.append(Fault(body=half, headers={"Content-Length": str(len(half))}))
        with pytest.raises(WeightsError, match=r"127.0.0.1"):
            find(tiny_entry(data))
        assert cached_files(tmp_path) == []

    def test_a_size_that_is_not_known_is_not_checked(self, data: bytes) -> None:
        assert find(tiny_entry(data, bytes=None, note="unknown")).path.read_bytes() == data

    def test_another_commit_under_the_pin(self, hub: HubServer, data: bytes) -> None:
        hub.faults.append(Fault(method="HEAD", headers={"X-Repo-Commit": OTHER_COMMIT}))
        with pytest.raises(WeightsError, match=f"commit {OTHER_COMMIT} .* pinned to {COMMIT}"):
            find(tiny_entry(data))
        assert downloads(hub) == ["HEAD"]

    @pytest.mark.parametrize(
        ("header", "value", "message"),
        [
            ("X-Repo-Commit", "../../../../tmp", "does not name the commit"),
            ("ETag", '"../../../../outside"', "sends a wrong ETag"),
        ],
    )
    def test_names_from_the_server_are_not_paths(
        self, hub: HubServer, data: bytes, header: str, value: str, message: str
    ) -> None:
        hub.faults.append(Fault(method="HEAD", headers={header: value}))
        with pytest.raises(WeightsError, match=message):
            find(tiny_entry(data))
        assert downloads(hub) == ["HEAD"]


class TestRefusals:
    def test_no_such_file(self, data: bytes) -> None:
        with pytest.raises(WeightsError, match=r"has the repository, but not the file"):
            find(tiny_entry(data, file="other.safetensors"))

    def test_no_such_commit(self, data: bytes) -> None:
        with pytest.raises(WeightsError, match=r"no such revision"):
            find(tiny_entry(data, revision=OTHER_COMMIT))

    def test_private_or_gone(self, data: bytes) -> None:
        with pytest.raises(WeightsError, match=r"does not let you have .* \(401\); set HF_TOKEN"):
            find(tiny_entry(data, repo_id="nobody/nothing"))

    def test_a_token_opens_a_private_repository(
        self, hub: HubServer, data: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.repos[REPO].token = "hf_secret"
        with pytest.raises(WeightsError, match=r"set HF_TOKEN"):
            find(tiny_entry(data))
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        assert find(tiny_entry(data)).path.read_bytes() == data

    @pytest.mark.parametrize("status", [429, 503])
    def test_busy_for_a_while_then_fine(
        self, hub: HubServer, data: bytes, waits: list[float], status: int
    ) -> None:
        hub.faults.extend([Fault(status=status, method="HEAD")] * 4)
        said: list[str] = []
        assert find(tiny_entry(data), said).path.read_bytes() == data
        assert f"answers {status}; trying again" in said[0]
        assert 0 < sum(waits) < 60

    def test_busy_during_the_download(self, hub: HubServer, data: bytes) -> None:
        hub.faults.extend([Fault(status=503)] * 2)
        assert find(tiny_entry(data)).path.read_bytes() == data

    def test_busy_for_ever(self, hub: HubServer, data: bytes) -> None:
        hub.faults.extend([Fault(status=503, method="*")] * 100)
        with pytest.raises(WeightsError, match=r"answers 503 for .*; try 'recolor models pull"):
            find(tiny_entry(data))

    def test_a_server_that_is_no_hub(self, hub: HubServer, data: bytes) -> None:
        hub.faults.append(Fault(method="HEAD", headers={"X-Repo-Commit": ""}))
        with pytest.raises(WeightsError, match=r"is no Hub; check HF_ENDPOINT"):
            find(tiny_entry(data))

    def test_nobody_at_the_door(
        self, data: bytes, monkeypatch: pytest.MonkeyPatch, waits: list[float]
    ) -> None:
        point_client_at("http://127.0.0.1:9", monkeypatch)
        begun = time.monotonic()
        with pytest.raises(WeightsError) as caught:
            find(tiny_entry(data))
        assert time.monotonic() - begun < 5
        assert waits == []
        assert "cannot get 'somebody/colours/model.safetensors" in str(caught.value)
        assert "the default weights need no network" in str(caught.value)

    def test_offline_says_what_to_do(self, hub: HubServer, data: bytes) -> None:
        with pytest.raises(WeightsError, match=r"downloads are off; run 'recolor models pull tiny"):
            find(tiny_entry(data), offline=True)
        assert hub.requests == []

    def test_hf_hub_offline(
        self, hub: HubServer, data: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(WeightsError, match=r"downloads are off"):
            find(tiny_entry(data))
        assert hub.requests == []


class TestCache:
    def test_a_half_written_file_is_refused_and_removed(self, data: bytes, tmp_path: Path) -> None:
        entry = tiny_entry(data)
        path = find(entry).path
        path.resolve().write_bytes(data[:100])
        with pytest.raises(WeightsError, match=f"it has 100 bytes, and should have {len(data)}"):
            find(entry)
        assert cached_files(tmp_path) == []
        assert find(entry).path.read_bytes() == data

    def test_a_file_changed_after_it_was_checked(self, data: bytes) -> None:
        entry = tiny_entry(data)
        path = find(entry).path.resolve()
        stat = path.stat()
        path.write_bytes(bytes(len(data)))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the same size and date
        with pytest.raises(WeightsError, match=r"its sha256 is"):
            find(entry)

    def test_a_link_that_leads_out_of_the_cache(self, data: bytes, tmp_path: Path) -> None:
        entry = tiny_entry(data)
        path = find(entry).path
        outside = tmp_path / "outside.safetensors"
        outside.write_bytes(data)
        path.unlink()
        path.symlink_to(outside)
        with pytest.raises(WeightsError, match=r"is a link out of the cache, to .*outside"):
            find(entry)
        assert outside.read_bytes() == data

    def test_a_broken_link_is_fetched_again(self, data: bytes) -> None:
        entry = tiny_entry(data)
        find(entry).path.resolve().unlink()
        assert find(entry).path.read_bytes() == data

    def test_a_checked_file_is_not_hashed_again(
        self, data: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        find(tiny_entry(data))

        def refuse(path: Path) -> str:
            raise AssertionError(f"{path} was hashed again")

        monkeypatch.setattr("recolor_cli.weights.verify.hash_file", refuse)
        find(tiny_entry(data))

    def test_a_cache_that_cannot_be_written(
        self, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
        with pytest.raises(WeightsError, match=r"cannot store 'somebody/colours.*Not a directory"):
            find(tiny_entry(data))


class TestAddresses:
    def test_a_commit_needs_no_word_and_later_no_request(self, hub: HubServer, data: bytes) -> None:
        address = f"hf://{REPO}/model.safetensors@{COMMIT}"
        said: list[str] = []
        found = find_weights(address, manifest=manifest_of(), progress=said.append)
        assert found.path.read_bytes() == data
        assert found.name == f"{REPO}/model.safetensors"
        assert not any("warning" in line for line in said)
        hub.requests.clear()
        find_weights(address, manifest=manifest_of())
        assert hub.requests == []

    def test_a_branch_is_said_to_move(self, hub: HubServer, data: bytes) -> None:
        said: list[str] = []
        address = f"hf://{REPO}/model.safetensors@main"
        find_weights(address, manifest=manifest_of(), progress=said.append)
        assert f"'main' is a moving name; it is commit {COMMIT} now" in said[-1]
        assert f"hf://{REPO}/model.safetensors@{COMMIT}" in said[-1]
        hub.requests.clear()
        find_weights(address, manifest=manifest_of(), offline=True, progress=said.append)
        assert hub.requests == []
        assert COMMIT in said[-1]

    def test_a_branch_that_moved_is_followed(self, hub: HubServer, data: bytes) -> None:
        address = f"hf://{REPO}/model.safetensors"
        find_weights(address, manifest=manifest_of())
        hub.repos[REPO].commits[OTHER_COMMIT] = {"model.safetensors": b"new"}
        hub.repos[REPO].branches["main"] = OTHER_COMMIT
        assert find_weights(address, manifest=manifest_of()).path.read_bytes() == b"new"

    @pytest.mark.parametrize("damage", ["cut", "changed"])
    @pytest.mark.parametrize("revision", [COMMIT, "main"])
    def test_a_cached_file_that_rots_is_fetched_again(
        self, hub: HubServer, data: bytes, damage: str, revision: str
    ) -> None:
        address = f"hf://{REPO}/model.safetensors@{revision}"
        path = find_weights(address).path
        rotten = data[:1000] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1])
        path.resolve().write_bytes(rotten)
        lines: list[str] = []
        assert find_weights(address, progress=lines.append).path.read_bytes() == data
        assert any("is damaged (its sha256 is" in line for line in lines)
        path.resolve().write_bytes(rotten)
        with pytest.raises(WeightsError, match=r"not what its server said: .*; it was removed"):
            find_weights(address, offline=True)
        assert find_weights(address).path.read_bytes() == data

    @pytest.mark.parametrize("folder", ["hub", "snapshots/hub"])
    def test_content_that_rots_is_fetched_again_whatever_else_links_to_it(
        self, hub: HubServer, data: bytes, tmp_path: Path, folder: str, monkeypatch
    ) -> None:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / folder))
        hub.repos[REPO].commits[OTHER_COMMIT] = {"model.safetensors": data}
        address = f"hf://{REPO}/model.safetensors@"
        content = find_weights(address + OTHER_COMMIT).path.resolve()
        assert find_weights(address + COMMIT).path.resolve() == content
        content.write_bytes(data[:1000])
        assert find_weights(address + COMMIT).path.read_bytes() == data
        content.write_bytes(data[:1000])
        with pytest.raises(WeightsError, match="it was removed"):
            find(tiny_entry(data))
        assert find(tiny_entry(data)).path.read_bytes() == data
        assert find_weights(address + OTHER_COMMIT).path.read_bytes() == data

    def test_another_content_than_its_server_said(self, hub: HubServer, data: bytes) -> None:
        hub.faults.extend([Fault(body=b"x" * len(data))] * 2)
        with pytest.raises(WeightsError, match="not what its server said"):
            find_weights(f"hf://{REPO}/model.safetensors@{COMMIT}")

    def test_the_model_loads(self, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        model = load_model(f"hf://{REPO}/model.safetensors@{COMMIT}")
        assert model.card.network == "tiny"
        assert model.sha256 == tiny_entry(data).sha256

    def test_a_foreign_checkpoint_must_be_pinned(self, hub: HubServer) -> None:
        hub.repos[REPO].commits[COMMIT]["model.pth"] = b"\x80\x04payload"
        with pytest.raises(WeightsError, match=r"is pinned by no entry"):
            find_weights(f"hf://{REPO}/model.pth@{COMMIT}", manifest=manifest_of())

    @pytest.mark.parametrize(
        "address",
        [
            "hf://",
            "hf://owner",
            "hf://owner/repo",
            "hf://owner/repo/../../x.safetensors@main",
            "hf://owner/repo//etc/x.safetensors",
            "hf://owner/repo/model.safetensors@../../x",
            "hf://owner/repo/model.exe@main",
            "hf://../repo/model.safetensors@main",
        ],
    )
    def test_what_is_no_address(self, hub: HubServer, address: str) -> None:
        with pytest.raises(WeightsError, match=r"is no address of weights; it must look like"):
            find_weights(address, manifest=manifest_of())
        assert hub.requests == []


class TestWebServer:
    """Entries with source "url"."""

    @pytest.fixture
    def entry(self, hub: HubServer, data: bytes) -> Entry:
        body = data + bytes(BIG)
        hub.files["/weights/old.pth"] = body
        return replace(
            tiny_entry(body),
            source="url",
            url=f"{hub.url}/weights/old.pth",
            file="old.pth",
            repo_id=None,
            revision=None,
        )

    def test_first_download_then_no_request(self, hub: HubServer, entry: Entry) -> None:
        path = find(entry).path
        assert path.stat().st_size == entry.bytes
        hub.requests.clear()
        assert find(entry, offline=True).path == path
        assert hub.requests == []

    def test_an_interrupted_process_goes_on_where_it_stopped(
        self, hub: HubServer, entry: Entry, waits: list[float]
    ) -> None:
        hub.faults.extend([Fault(cut_after=0)] * 20)
        hub.faults.appendleft(Fault(cut_after=1_000_000))
        with pytest.raises(WeightsError, match=r"broke off .* goes on with it"):
            find(entry)
        hub.faults.clear()
        hub.requests.clear()
        assert find(entry).path.stat().st_size == entry.bytes
        assert hub.requests == [("GET", "/weights/old.pth", "bytes=1000000-")]

    def test_busy_then_fine(self, hub: HubServer, entry: Entry) -> None:
        hub.faults.extend([Fault(status=503), Fault(status=429)])
        assert find(entry).path.stat().st_size == entry.bytes

    def test_wrong_bytes_are_removed(self, hub: HubServer, entry: Entry, tmp_path: Path) -> None:
        hub.faults.append(Fault(body=bytes(entry.bytes or 0)))
        with pytest.raises(WeightsError, match=r"its sha256 is .*it was removed"):
            find(entry)
        assert not list((tmp_path / "recolor").rglob("old.pth"))
        assert find(entry).path.stat().st_size == entry.bytes

    def test_wrong_size_and_missing(self, hub: HubServer, entry: Entry) -> None:
        hub.files["/weights/old.pth"] += b"more"
        with pytest.raises(WeightsError, match=r"offers .* bytes for .* it must have"):
            find(entry)
        hub.files.clear()
        with pytest.raises(WeightsError, match=r"answers 404"):
            find(entry)

    def test_no_network(self, entry: Entry) -> None:
        with pytest.raises(WeightsError, match=r"cannot get 'tiny.first' from 127.0.0.1:9"):
            find(replace(entry, url="http://127.0.0.1:9/old.pth"))
        with pytest.raises(WeightsError, match=r"downloads are off"):
            find(entry, offline=True)


class TestProcesses:
    """What only another process shows: environment variables, and two at once."""

    PROGRAM = (
        "import sys, json; from recolor_cli.weights import find_weights;"
        "found = find_weights(sys.argv[1]);"
        "print(json.dumps([str(found.path), found.sha256]))"
    )

    def start(
        self, hub: HubServer, tmp_path: Path, entry: Entry, **environment: str
    ) -> subprocess.Popen[str]:
        listed = tmp_path / "weights.json"
        content = {"default": None, "weights": {entry.name: entry.to_json()}}
        listed.write_text(json.dumps(content))
        return subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM, entry.name],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path / "home"),
                "RECOLOR_WEIGHTS_JSON": str(listed),
                "HF_HOME": str(tmp_path / "hf"),
                "HF_ENDPOINT": hub.url,
                "HF_HUB_DISABLE_XET": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_two_at_once_end_with_one_sound_file(
        self, hub: HubServer, data: bytes, tmp_path: Path
    ) -> None:
        body = data + bytes(BIG)
        hub.repos[REPO].commits[COMMIT]["model.safetensors"] = body
        entry = tiny_entry(body)
        both = [self.start(hub, tmp_path, entry) for _ in range(2)]
        answers = [process.communicate(timeout=60) for process in both]
        assert [process.returncode for process in both] == [0, 0], answers
        paths = {json.loads(out)[0] for out, _ in answers}
        assert len(paths) == 1
        assert Path(paths.pop()).read_bytes() == body
        assert (tmp_path / "hf" / "hub").is_dir()

    def test_environment_variables_are_honoured(
        self, hub: HubServer, data: bytes, tmp_path: Path
    ) -> None:
        hub.repos[REPO].token = "hf_secret"
        process = self.start(hub, tmp_path, tiny_entry(data), HF_TOKEN="hf_secret")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert Path(json.loads(out)[0]).read_bytes() == data
        hub.requests.clear()
        offline = self.start(hub, tmp_path, tiny_entry(data), HF_HUB_OFFLINE="1")
        assert offline.communicate(timeout=60)[0] == out
        assert hub.requests == []
