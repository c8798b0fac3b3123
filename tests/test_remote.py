"""Photographs at addresses: fsspec's storage in memory stands in for object stores."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from colorize_fixtures import save_tiny_weights, tree
from remote_fixtures import below, store_of, write_photos

from recolor_cli.cli.app import main
from recolor_cli.colorize import Settings, colorize_files
from recolor_cli.errors import MissingExtraError, OutputError, StorageError, UsageError
from recolor_cli.images import remote
from recolor_cli.images.find import survey
from recolor_cli.images.read import read_photo
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


def statuses(run: object) -> list[str]:
    return [result.status for result in run]  # type: ignore[attr-defined]


# Paths


@pytest.mark.parametrize(
    ("text", "name", "parent"),
    [
        ("s3://bucket/scans/1 a.jpg", "1 a.jpg", "s3://bucket/scans"),
        ("gs://b/x", "x", "gs://b"),
        ("memory://x/ä.tif", "ä.tif", "memory://x"),
        ("local:///srv/x.jpg", "x.jpg", "local:///srv"),
    ],
)
def test_an_address_stays_what_it_was(
    text: str, name: str, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemotePath, "system", lambda _self: None)
    path = as_path(text)
    assert (str(path), path.name, str(path.parent)) == (text, name, parent)
    assert str(path.with_suffix(".png")) == text.rsplit(".", 1)[0] + ".png" or "." not in name
    assert isinstance(path.parent / "y", RemotePath)
    with pytest.raises(TypeError, match="lies on no local disk"):
        os.stat(path)


def test_what_is_no_address_stays_a_path() -> None:
    assert type(as_path("a/b.jpg")) is type(Path("a"))
    assert as_path("file:///srv/a.jpg") == Path("/srv/a.jpg")
    assert not isinstance(as_path("file:///srv/a.jpg"), RemotePath)
    assert as_path("a b://c") == Path("a b://c")


@pytest.mark.parametrize("text", ["s3://", "s3:///x", "nosuchstore://x/y"])
def test_an_address_of_nothing_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"names no place|no storage"):
        as_path(text)


def test_a_storage_whose_package_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_text: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MissingExtraError, match=r"install s3fs to access s3; pip install s3fs$"):
        as_path("s3://bucket/x")


def test_who_lacks_fsspec_is_told_both_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"; pip install fsspec gcsfs$"):
        as_path("gs://bucket/x")


def test_a_store_is_walked_as_a_folder_is(memory, photos: Path) -> None:
    memory.pipe_file("/archive/in/.hidden/x.jpg", b"")
    memory.pipe_file("/archive/in/a/../b.jpg", b"")
    there, here = survey(["memory://archive/in"]), survey([photos])
    assert {f.relative.as_posix() for f in there.photos} == {
        f.relative.as_posix() for f in here.photos
    }
    assert [path.name for path in there.ignored] == ["notes.txt"]
    assert [reason for _, reason in there.unreadable] == ["its name has empty parts; rename it"]
    pattern = survey(["memory://archive/in/1/*.jpg"])
    assert len(pattern.photos) == 10
    with pytest.raises(UsageError, match="nothing at 'memory://archive/nowhere'"):
        survey(["memory://archive/nowhere"])


# Runs


def test_from_store_to_store_is_the_same_as_on_disk(
    memory, photos: Path, weights: Path, tmp_path: Path
) -> None:
    settings = Settings(model=str(weights))
    assert set(statuses(colorize_files([photos], tmp_path / "out", settings))) == {"done"}
    run = colorize_files(["memory://archive/in"], "memory://archive/out", settings)
    assert set(statuses(run)) == {"done"}
    assert run.summary.done == 31
    assert below(memory, "/archive/out") == tree(tmp_path / "out")
    # and crosswise
    for n, (source, out) in enumerate([(photos, "memory://x/y"), ("memory://archive/in", None)]):
        run = colorize_files([source], out or tmp_path / str(n), settings)
        list(run)
        assert run.summary.done == 31
    assert below(memory, "/x/y") == tree(tmp_path / "1") == tree(tmp_path / "out")


def test_a_second_run_does_what_is_missing_without_asking_for_each(
    memory, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(model=str(weights))
    where = (["memory://archive/in"], "memory://archive/out")
    list(colorize_files(*where, settings))
    memory.rm_file("/archive/out/1/7.jpg")
    asked: list[str] = []
    info = type(memory).info
    monkeypatch.setattr(
        type(memory), "info", lambda self, path, **k: asked.append(path) or info(self, path, **k)
    )
    run = colorize_files(*where, settings)
    list(run)
    assert (run.summary.done, run.summary.skipped) == (1, 30)
    assert len(asked) < 25, "one listing answers for all of them"
    assert len(memory.glob("/archive/out/.recolor/manifest-*.jsonl")) >= 2


def test_a_lost_manifest_is_found_out_again_from_the_outputs(memory, weights: Path) -> None:
    settings = Settings(model=str(weights))
    where = (["memory://archive/in"], "memory://archive/out")
    list(colorize_files(*where, settings))
    memory.rm("/archive/out/.recolor", recursive=True)
    run = colorize_files(*where, settings)
    list(run)
    assert (run.summary.done, run.summary.skipped) == (0, 31)
    other = Settings(model=str(weights), saturation=0.5)
    run = colorize_files(*where, other)
    list(run)
    assert (run.summary.done, run.summary.failed) == (31, 0)


def test_the_manifest_goes_out_in_parts_while_the_run_goes_on(
    memory, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recolor_cli.colorize.manifest.PART_BYTES", 4000)
    run = iter(
        colorize_files(["memory://archive/in"], "memory://o/p", Settings(model=str(weights)))
    )
    for _ in range(20):
        next(run)
    parts = memory.glob("/o/p/.recolor/manifest-*.jsonl")
    assert len(parts) > 2
    lines = [json.loads(line) for part in parts for line in memory.cat_file(part).splitlines()]
    assert sum(line["event"] == "done" for line in lines) >= 5
    run.close()  # type: ignore[attr-defined]


def test_inputs_are_never_outputs_and_collisions_are_refused(memory, weights: Path) -> None:
    settings = Settings(model=str(weights))
    with pytest.raises(UsageError, match="inputs are never overwritten"):
        colorize_files(["memory://archive/in"], "memory://archive/in", settings)
    memory.pipe_file("/archive/more/0.jpg", memory.cat_file("/archive/in/0/0.jpg"))
    with pytest.raises(UsageError, match="would both write 'memory://archive/out/0"):
        colorize_files(
            ["memory://archive/in/0", "memory://archive/more"], "memory://archive/out", settings
        )
    # OUT inside the input is not read as input
    list(colorize_files(["memory://archive/in"], "memory://archive/in/out", settings))
    run = colorize_files(["memory://archive/in"], "memory://archive/in/out", settings)
    list(run)
    assert (run.summary.total, run.summary.skipped) == (31, 31)


def test_what_is_not_ours_is_not_replaced(memory, weights: Path, photos: Path) -> None:
    memory.pipe_file("/archive/out/1/7.jpg", (photos / "1/7.jpg").read_bytes())
    run = colorize_files(
        ["memory://archive/in"], "memory://archive/out", Settings(model=str(weights))
    )
    list(run)
    assert (run.summary.done, run.summary.failed) == (30, 1)
    assert "is not ours" in run.summary.failures[0].reason
    assert memory.cat_file("/archive/out/1/7.jpg") == (photos / "1/7.jpg").read_bytes()


def test_a_store_that_takes_nothing_ends_the_run_before_the_first_photograph(
    memory, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, path: str, value: bytes, **more: object) -> None:
        raise PermissionError(13, "Access Denied")

    monkeypatch.setattr(type(memory), "pipe_file", refuse)
    run = colorize_files(
        ["memory://archive/in"], "memory://archive/out", Settings(model=str(weights))
    )
    with pytest.raises(OutputError, match=r"memory://archive/out/.recolor/.*: permission denied"):
        list(run)
    assert run.summary.done == 0


def test_hints_lie_beside_objects_too(memory, weights: Path, photos: Path, tmp_path: Path) -> None:
    hint = json.dumps({"hints": [{"point": [0.5, 0.5], "color": "navy"}]})
    memory.pipe_file("/archive/in/1/7.hints.json", hint.encode())
    (photos / "1/7.hints.json").write_text(hint)
    settings = Settings(model=str(weights))
    list(colorize_files([photos], tmp_path / "out", settings))
    list(colorize_files(["memory://archive/in"], "memory://archive/out", settings))
    assert below(memory, "/archive/out") == tree(tmp_path / "out")


def test_other_storage_gets_a_temporary_name_first(
    photos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(model=str(weights))
    list(colorize_files([photos], tmp_path / "out", settings))
    run = colorize_files([f"local://{photos}"], f"local://{tmp_path}/there", settings)
    list(run)
    assert tree(tmp_path / "there") == tree(tmp_path / "out")
    path = as_path(f"local://{tmp_path}/x/y.bin")
    assert isinstance(path, RemotePath)
    path.put(b"one", "part")
    monkeypatch.setattr(
        type(path.system()), "mv", lambda *_a, **_k: (_ for _ in ()).throw(OSError("gone"))
    )
    with pytest.raises(StorageError, match=r"local:.*gone; check address, keys and network"):
        path.put(b"two", "part")
    assert path.read_bytes() == b"one"
    assert path.names() == ["y.bin"]


def test_the_python_door_reads_an_address(memory) -> None:
    assert read_photo(as_path("memory://archive/in/0/0.jpg")).format == "jpeg"


@pytest.mark.parametrize(
    "more", [("--gallery",), ("--compare",), ("--variants", "2")], ids=lambda more: more[0]
)
def test_what_needs_a_disk_says_so(
    memory, weights: Path, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["colorize", "memory://archive/in", "-o", "memory://o", "-m", str(weights), *more])
    assert caught.value.code == 2
    assert "need files of this machine" in capsys.readouterr().err
    assert not memory.exists("/o")


def test_listings_are_forgotten(memory) -> None:
    with remote.listed([as_path("memory://archive/in")]):
        memory.rm_file("/archive/in/0/0.jpg")
        assert as_path("memory://archive/in/0/0.jpg").exists()
    assert not as_path("memory://archive/in/0/0.jpg").exists()
