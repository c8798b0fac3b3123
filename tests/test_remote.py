"""Photographs at addresses: fsspec's storage in memory stands in for object stores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import photo_factory as factory
import pytest
from colorize_fixtures import save_tiny_weights, tree
from fsspec.registry import _registry, register_implementation
from photo_factory import put

from recolor_cli.cli.app import main
from recolor_cli.colorize import Settings, colorize_files
from recolor_cli.colorize.manifest import Manifest
from recolor_cli.errors import MissingExtraError, OutputError, StorageError, UsageError
from recolor_cli.images import remote
from recolor_cli.images.atomic import mark
from recolor_cli.images.find import survey
from recolor_cli.images.read import read_photo
from recolor_cli.images.remote import RemotePath, as_path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for n in range(30):
        put(folder, f"{n % 3}/{n}.jpg", factory.jpeg(factory.gray_pixels(30 + n, 40, seed=n)))
    put(folder, "0/16.png", factory.png(factory.gray_pixels(30, 20, seed=5)))
    put(folder, "notes.txt", b"no photograph")
    return folder


@pytest.fixture
def memory(photos: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """A store with the photographs under memory://archive/in."""
    system = fsspec.filesystem("memory")
    system.put(str(photos), "/archive/in", recursive=True)
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def below(system: fsspec.AbstractFileSystem, folder: str) -> dict[str, bytes]:
    found = system.find(folder)
    return {
        name.removeprefix(folder + "/"): system.cat_file(name) for name in found if "/." not in name
    }


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
    with pytest.raises(MissingExtraError, match="install s3fs to access s3"):
        as_path("s3://bucket/x")


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


def test_listings_are_forgotten(memory) -> None:
    with remote.listed([as_path("memory://archive/in")]):
        memory.rm_file("/archive/in/0/0.jpg")
        assert as_path("memory://archive/in/0/0.jpg").exists()
    assert not as_path("memory://archive/in/0/0.jpg").exists()
