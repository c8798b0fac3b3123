"""Stores that fail, places that have several names, and what a run keeps at an address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from colorize_fixtures import save_tiny_weights, tree
from fsspec.registry import _registry, register_implementation
from photo_factory import put
from remote_fixtures import below, store_of, write_photos

from recolor_cli.cli.app import main
from recolor_cli.colorize import Settings, colorize_files
from recolor_cli.colorize.manifest import Manifest
from recolor_cli.errors import UsageError
from recolor_cli.images.atomic import mark, remove_stale
from recolor_cli.images.find import survey
from recolor_cli.images.remote import RemotePath, as_path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "in")


@pytest.fixture
def memory(photos: Path) -> Iterator[fsspec.AbstractFileSystem]:
    with store_of(photos) as system:
        yield system


# Stores that do not do what is asked


@pytest.mark.parametrize(
    ("method", "more", "words"),
    [
        ("info", (), "'memory://archive/in' cannot be read: no keys found"),
        ("find", (), "'memory://archive/in' cannot be used: no keys found; check address, keys"),
        ("ls", (), "'memory://archive/out/.recolor' cannot be used: no keys found"),
        ("pipe_file", (), "cannot write 'memory://archive/out/.recolor/"),
        ("find", ("--overwrite",), "no keys found"),
        ("info", ("--dry-run",), "no keys found"),
    ],
)
def test_what_a_store_s_package_raises_becomes_one_line(
    memory,
    weights: Path,
    method: str,
    more: tuple[str, ...],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class NoKeysError(Exception):
        """Like botocore's: no OSError."""

    def refuse(self: object, *_args: object, **_more: object) -> None:
        raise NoKeysError("No keys found.\nHere is how to get some")

    monkeypatch.setattr(type(memory), method, refuse)
    argv = ["memory://archive/in", "-o", "memory://archive/out", "-m", str(weights), "--json"]
    with pytest.raises(SystemExit) as caught:
        main(["colorize", *argv, *more])
    assert caught.value.code in (2, 4)
    out, err = capsys.readouterr()
    assert words in err
    assert len(err.splitlines()) == 1
    assert all(json.loads(line)["event"] == "summary" for line in out.splitlines())


def test_a_photograph_that_a_store_does_not_give_fails_alone(
    memory, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cat = type(memory).cat_file

    def some(self: object, path: str, **more: object) -> bytes:
        if path.endswith("/7.jpg"):
            raise ValueError("The session is closed")
        return cat(self, path, **more)

    monkeypatch.setattr(type(memory), "cat_file", some)
    run = colorize_files(["memory://archive/in"], "memory://o/p", Settings(model=str(weights)))
    list(run)
    assert (run.summary.done, run.summary.failed) == (30, 1)
    assert run.summary.failures[0].reason == "the session is closed"


def test_names_that_mean_something_to_others_are_only_names(
    photos: Path, weights: Path, tmp_path: Path
) -> None:
    data = (photos / "1/7.jpg").read_bytes()
    names = ["a::b.jpg", "c#1.jpg", "d?v=1.jpg", "e%20f.jpg", "g[1].jpg", "h*.jpg", "ü ß.jpg"]
    for name in names:
        put(tmp_path, f"names/{name}", data)
    where = ([f"local://{tmp_path}/names"], f"local://{tmp_path}/out")
    run = colorize_files(*where, Settings(model=str(weights)))
    list(run)
    assert run.summary.done == len(names)
    assert sorted(tree(tmp_path / "out")) == sorted(names)


def test_an_object_that_stands_for_an_empty_folder_is_no_photograph(memory, weights: Path) -> None:
    found = type(memory).find
    with pytest.MonkeyPatch.context() as patch:
        marker = {"name": "/archive/in/0/", "size": 0, "type": "file"}
        patch.setattr(
            type(memory), "find", lambda *a, **k: {"/archive/in/0/": marker} | found(*a, **k)
        )
        findings = survey(["memory://archive/in"])
    assert (len(findings.photos), findings.unreadable) == (31, [])


# Places that have several names


@pytest.fixture
def two_names(memory) -> Iterator[None]:
    """one:// and two:// are the same store, as s3:// and s3a:// are."""

    class Both(type(memory)):
        protocol = ("one", "two")

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return "/" + path.rpartition("://")[2].strip("/")

    for name in Both.protocol:
        register_implementation(name, Both, clobber=True)
    yield
    for name in Both.protocol:
        _registry.pop(name)


@pytest.mark.parametrize("source_and_out", ["one two", "two one", "path local", "local path"])
def test_an_input_is_never_an_output_under_another_name(
    memory, two_names: None, photos: Path, weights: Path, source_and_out: str
) -> None:
    names = {
        "one": "one://archive/in",
        "two": "two://archive/in",
        "path": str(photos),
        "local": f"local://{photos}",
    }
    source, out = (names[name] for name in source_and_out.split())
    before = below(memory, "/archive/in") | tree(photos)
    settings = Settings(model=str(weights), overwrite=True)
    with pytest.raises(UsageError, match="inputs are never overwritten"):
        list(colorize_files([source], out, settings))
    assert below(memory, "/archive/in") | tree(photos) == before


@pytest.mark.parametrize(
    ("source", "out"),
    [("memory://archive/in", "memory://archive/in"), ("one://archive/in", "two://archive/in/out")],
)
def test_results_among_the_inputs_are_no_inputs(
    memory, two_names: None, weights: Path, source: str, out: str
) -> None:
    memory.rm_file("/archive/in/0/16.png")
    settings = Settings(model=str(weights), format="png")
    list(colorize_files([source], out, settings))
    run = colorize_files([source], out, settings)
    list(run)
    assert (run.summary.total, run.summary.skipped) == (30, 30)


def test_a_file_that_two_addresses_name_is_done_once(memory, two_names: None, photos: Path) -> None:
    findings = survey(["one://archive/in/0", "two://archive/in/0", photos, f"local://{photos}"])
    assert len(findings.photos) == 11 + 31
    assert len(findings.repeated) == 11 + 31


# Hints and manifests


def test_a_palette_at_an_address_is_read_and_checked(
    memory, weights: Path, photos: Path, tmp_path: Path
) -> None:
    hint = {"point": [0.5, 0.5], "color": "navy"}
    palette = {"photos": [{"files": ["1/*.jpg", "nobody.jpg"], "hints": [hint]}]}
    memory.pipe_file("/archive/in/palette.json", json.dumps(palette).encode())
    (photos / "palette.json").write_text(json.dumps(palette))
    settings, said = Settings(model=str(weights)), []
    list(colorize_files([photos], tmp_path / "out", settings))
    list(colorize_files(["memory://archive/in"], "memory://o/p", settings, report=said.append))
    assert [line for line in said if "hints" in line] == [
        "hints: 'memory://archive/in/palette.json': no file matches 'nobody.jpg'"
    ]
    assert below(memory, "/o/p") == tree(tmp_path / "out")
    # and where --hints names it
    asked = Settings(model=str(weights), hints="memory://archive/in/palette.json")
    memory.mv("/archive/in/palette.json", "/archive/elsewhere/palette.json")
    asked = Settings(model=str(weights), hints="memory://archive/elsewhere/palette.json")
    list(colorize_files(["memory://archive/in"], "memory://o/q", asked))
    assert below(memory, "/o/q") == tree(tmp_path / "out")


def test_a_palette_at_an_address_is_checked_in_one_listing(
    memory, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, asked = type(memory).find, []
    monkeypatch.setattr(type(memory), "find", lambda *a, **k: asked.append(a[1]) or find(*a, **k))
    counts = []
    for files in (["0/*.jpg"], ["0/*.jpg", "1/*.jpg", "2/*.jpg", "nobody.jpg"]):
        palette = {"photos": [{"files": files, "hints": [{"point": [0.5, 0.5], "color": "navy"}]}]}
        memory.pipe_file("/archive/in/palette.json", json.dumps(palette).encode())
        asked.clear()
        run = colorize_files(["memory://archive/in"], "memory://o/p", Settings(model=str(weights)))
        list(run)
        counts.append(len(asked))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("keeps_all", [False, True])
def test_a_part_of_the_manifest_takes_in_the_one_before(
    memory, weights: Path, keeps_all: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recolor_cli.colorize.manifest.PART_S", 0.0)
    if keeps_all:
        monkeypatch.setattr(
            type(memory), "rm_file", lambda *_: (_ for _ in ()).throw(PermissionError(13, "locked"))
        )
    where = (["memory://archive/in"], "memory://archive/out")
    list(colorize_files(*where, Settings(model=str(weights))))
    parts = memory.glob("/archive/out/.recolor/manifest-*.jsonl")
    assert (len(parts) == 1) != keeps_all
    lines = [json.loads(line) for part in parts for line in memory.cat_file(part).splitlines()]
    assert sum(line["event"] == "done" for line in lines) >= 31
    run = colorize_files(*where, Settings(model=str(weights)))
    list(run)
    assert (run.summary.done, run.summary.skipped) == (0, 31)


def test_a_part_that_goes_while_it_is_read_is_found_in_another(
    memory, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(colorize_files(["memory://archive/in"], "memory://o/p", Settings(model=str(weights))))
    (part,) = memory.glob("/o/p/.recolor/manifest-*.jsonl")
    names = RemotePath.names

    def old_news(self: RemotePath) -> list[str]:
        monkeypatch.setattr(RemotePath, "names", names)
        found = names(self)
        memory.mv(part, part.replace("manifest-", "manifest-9"))
        return found

    monkeypatch.setattr(RemotePath, "names", old_news)
    assert len(list(Manifest(as_path("memory://o/p")))) == 31


def test_what_a_killed_run_left_at_an_address_is_removed(
    photos: Path, weights: Path, tmp_path: Path
) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    other = mark().replace(f"-{os.getpid()}", f"-{child.pid}")
    left = put(tmp_path, f"out/1/.recolor-{other}-0123456789abcdef.part", b"half")
    kept = put(tmp_path, f"out/1/.recolor-{mark()[::-1]}.part", b"nobody's")
    run = colorize_files([photos], f"local://{tmp_path}/out", Settings(model=str(weights)))
    list(run)
    assert run.summary.done == 31
    assert not left.exists()
    assert kept.exists()


# Stores as some packages show them


@pytest.fixture
def slow_to_see(memory) -> Iterator[type[fsspec.AbstractFileSystem]]:
    """seen://, whose package remembers every listing, and tells no times, as some do."""

    class Remembering(type(memory)):
        protocol = "seen"

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return "/" + path.rpartition("://")[2].strip("/")

        def ls(self, path: str, detail: bool = True, **more: Any) -> list[Any]:
            path = self._strip_protocol(path)
            if path not in self.dircache:
                self.dircache[path] = super().ls(path, detail=True, **more)
            return [entry if detail else entry["name"] for entry in self.dircache[path]]

        def invalidate_cache(self, path: str | None = None) -> None:
            assert path is not None
            assert "://" not in path
            self.dircache.pop(path, None)

        def info(self, path: str, **more: Any) -> dict[str, Any]:
            return {**super().info(path, **more), "created": None}

    register_implementation("seen", Remembering, clobber=True)
    yield Remembering
    _registry.pop("seen")


def test_parts_of_a_manifest_are_listed_anew(
    memory, slow_to_see, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(colorize_files(["memory://archive/in"], "memory://o/p", Settings(model=str(weights))))
    (part,) = memory.glob("/o/p/.recolor/manifest-*.jsonl")
    later = part.replace("manifest-", "manifest-9")
    ask = slow_to_see.cat_file

    def moved_meanwhile(self, path: str, *args: Any, **more: Any) -> bytes:
        if memory.exists(part):
            memory.mv(part, later)  # by another machine
        return ask(self, path, *args, **more)

    monkeypatch.setattr(slow_to_see, "cat_file", moved_meanwhile)
    assert len(list(Manifest(as_path("seen://o/p")))) == 31
    memory.pipe_file(later.replace("-9", "-8"), b'{"event": "done", "output": "new.jpg", "at": 1}')
    assert len(list(Manifest(as_path("seen://o/p")))) == 32


def test_what_another_machine_writes_stays_where_no_times_are_told(memory, slow_to_see) -> None:
    for number in range(2):
        memory.pipe_file(f"/o/.recolor-deadbeef-7{number}-0123456789abcdef.part", b"half")
    assert remove_stale(as_path("seen://o")) == []
    assert len(memory.ls("/o")) == 2
