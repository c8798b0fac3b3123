"""Which files are found, and how files are written completely or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path, PurePath

import photo_factory as factory
import pytest

from recolor_cli.checkpoints.files import write_file
from recolor_cli.errors import OutputError, UsageError
from recolor_cli.images import atomic
from recolor_cli.images.atomic import PREFIX, remove_stale, write_atomic
from recolor_cli.images.find import find_photos, survey
from recolor_cli.images.remote import as_path

# Finding


def _names(found: list) -> list[str]:
    return [photo.relative.as_posix() for photo in found]


def test_a_folder_is_mirrored_in_a_fixed_order(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/z.TIFF", "a/b/c.png", "A.jpeg", "a.webp", "x.jp2", "y.heic", "z.avif"):
        factory.put(tmp_path, name, b"x")
    found = find_photos([tmp_path])
    assert _names(found) == [
        "A.jpeg", "a/b/c.png", "a/z.TIFF", "a.webp", "b.jpg", "x.jp2", "y.heic", "z.avif",
    ]  # fmt: skip
    assert all(photo.path == tmp_path / photo.relative for photo in found)


def test_named_files_are_taken_whatever_they_are_called(tmp_path: Path) -> None:
    names = ["scan.dat", ".hidden.jpg", "no suffix", "notes.txt"]
    paths = [factory.put(tmp_path, name, b"x") for name in names]
    assert _names(find_photos(paths)) == names  # in the order given


def test_traps_in_a_folder_are_survived(tmp_path: Path) -> None:
    factory.put_traps(tmp_path / "in")
    findings = survey([tmp_path / "in"])
    assert _names(findings.photos) == ["deep/photo.jpg", "nowhere.jpg"]
    assert [path.name for path in findings.repeated] == ["same.jpg"]
    assert [path.name for path in findings.ignored] == ["notes.txt", "pipe.jpg", "self"]
    assert findings.unreadable == []


def test_each_real_file_is_taken_once(tmp_path: Path) -> None:
    path = factory.put(tmp_path, "in/a.jpg", b"x")
    (tmp_path / "link.jpg").symlink_to(path)
    found = find_photos([path, tmp_path / "in", tmp_path / "link.jpg", path])
    assert _names(found) == ["a.jpg"]


def test_hard_links_are_two_files(tmp_path: Path) -> None:
    path = factory.put(tmp_path, "in/a.jpg", b"x")
    (tmp_path / "in" / "b.jpg").hardlink_to(path)
    (tmp_path / "in" / "c.jpg").symlink_to("b.jpg")
    assert _names(find_photos([tmp_path / "in"])) == ["a.jpg", "b.jpg"]


def test_a_folder_reached_by_two_ways_is_walked_once(tmp_path: Path) -> None:
    factory.put(tmp_path, "in/real/a.jpg", b"x")
    (tmp_path / "in" / "zlink").symlink_to("real", target_is_directory=True)
    findings = survey([tmp_path / "in"])
    assert _names(findings.photos) == ["real/a.jpg"]
    assert [path.name for path in findings.repeated] == ["zlink"]


def test_links_that_lead_to_each_other_end(tmp_path: Path) -> None:
    for here, there in (("a", "b"), ("b", "a")):
        factory.put(tmp_path, f"{here}/{here}.jpg", b"x")
        (tmp_path / here / "over").symlink_to(tmp_path / there, target_is_directory=True)
    assert sorted(Path(n).name for n in _names(find_photos([tmp_path]))) == ["a.jpg", "b.jpg"]


def test_patterns_that_the_shell_left_are_expanded(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "c.png", "sub/d.jpg"):
        factory.put(tmp_path, name, b"x")
    assert _names(find_photos([f"{tmp_path}/*.jpg"])) == ["a.jpg", "b.jpg"]
    assert _names(find_photos([f"{tmp_path}/**/*.jpg"])) == ["a.jpg", "b.jpg", "d.jpg"]
    literal = factory.put(tmp_path, "e[1].jpg", b"x")
    assert _names(find_photos([literal])) == ["e[1].jpg"]


@pytest.mark.parametrize("name", ["missing", "missing/*.jpg", "no?.jpg"])
def test_missing_inputs_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_photos([tmp_path / name])
    assert name in str(caught.value)
    assert "check" in str(caught.value)


def test_odd_names_are_found(tmp_path: Path) -> None:
    paths = factory.put_odd_names(tmp_path)
    found = find_photos([tmp_path])
    assert {os.fsencode(photo.path.name) for photo in found} == set(factory.ODD_NAMES)
    assert len(find_photos(paths)) == len(paths)


def test_a_broken_link_that_is_named_is_left_to_the_reader(tmp_path: Path) -> None:
    link = tmp_path / "a.jpg"
    link.symlink_to("nowhere")
    assert _names(find_photos([link])) == ["a.jpg"]


def test_a_folder_that_may_not_be_opened_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.put(tmp_path, "open/a.jpg", b"x")
    factory.put(tmp_path, "shut/b.jpg", b"x")
    scandir = os.scandir

    def guarded(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("recolor_cli.images.find.os.scandir", guarded)
    findings = survey([tmp_path])
    assert _names(findings.photos) == ["open/a.jpg"]
    assert findings.unreadable == [(tmp_path / "shut", "permission denied")]


def test_a_relative_input_gives_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.put(tmp_path, "in/a/b.jpg", b"x")
    monkeypatch.chdir(tmp_path)
    (photo,) = find_photos(["in"])
    assert (photo.path, photo.relative) == (Path("in/a/b.jpg"), PurePath("a/b.jpg"))


# Writing


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_into_a_new_folder(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b" / "c.bin", b"content")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"content"
    assert _left(tmp_path / "a" / "b") == ["c.bin"]


def test_pieces_are_written_one_behind_the_other(tmp_path: Path) -> None:
    write_atomic(tmp_path / "c.bin", [b"one", bytearray(b" two"), memoryview(b" three"), b""])
    assert (tmp_path / "c.bin").read_bytes() == b"one two three"
    place = as_path("memory://pieces/c.bin")
    write_atomic(place, [b"one", memoryview(b" two")])
    assert place.read_bytes() == b"one two"


def test_a_file_is_replaced_not_written_into(tmp_path: Path) -> None:
    path = factory.put(tmp_path, "a.bin", b"old")
    (tmp_path / "link.bin").hardlink_to(path)
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert (tmp_path / "link.bin").read_bytes() == b"old"


def test_a_link_is_replaced_and_its_target_untouched(tmp_path: Path) -> None:
    target = factory.put(tmp_path, "original.jpg", b"old")
    (tmp_path / "out.jpg").symlink_to(target)
    write_atomic(tmp_path / "out.jpg", b"new")
    assert target.read_bytes() == b"old"
    assert not (tmp_path / "out.jpg").is_symlink()


@pytest.mark.parametrize("name", [*factory.ODD_NAMES, b"x" * 255])
def test_odd_and_longest_names_are_written(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    write_atomic(path, b"content")
    assert path.read_bytes() == b"content"
    assert len(_left(tmp_path)) == 1


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "check the disk"),
    ],
)
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_failures_are_one_line_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, step: str
) -> None:
    path = factory.put(tmp_path, "a.jpg", b"old")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    target = {"write": "Path.open", "fsync": "os.fsync", "replace": "Path.replace"}[step]
    monkeypatch.setattr(f"recolor_cli.images.atomic.{target}", fail)
    with pytest.raises(OutputError) as caught:
        write_atomic(path, b"new")
    monkeypatch.undo()
    assert words in str(caught.value)
    assert "a.jpg" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert _left(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize("write", [write_atomic, write_file])
def test_windows_is_asked_again_while_a_scanner_holds_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, bytes], None]
) -> None:
    path = factory.put(tmp_path, "a.jpg", b"old")
    rename, refusals = Path.replace, [None, None]

    def replace(self: Path, target: Path) -> Path:
        if refusals:
            refusals.pop()
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(atomic, "_PAUSES_S", (0, 0, 0))
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert _left(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize("write", [write_atomic, write_file])
@pytest.mark.parametrize("letter", ["a", "\u5199"])
def test_a_name_may_be_as_long_as_the_disk_allows(
    tmp_path: Path, write: Callable[[Path, bytes], None], letter: str
) -> None:
    most = os.pathconf(tmp_path, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    path = tmp_path / (letter * (most // len(letter.encode())))
    write(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_full_disk_is_survived_for_real(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from recolor_cli.errors import OutputError\n"
        "from recolor_cli.images.atomic import write_atomic\n"
        "try:\n    write_atomic(sys.argv[1], bytes(5000))\n"
        "except OutputError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.jpg")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "the file is larger than the disk allows" in done.stdout
    assert _left(tmp_path) == []


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    factory.put(tmp_path, "file", b"x")
    with pytest.raises(OutputError, match="file"):
        write_atomic(tmp_path / "file" / "a.jpg", b"x")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(OutputError, match="a folder is in the way"):
        write_atomic(tmp_path / "folder.jpg", b"x")
    assert _left(tmp_path) == ["file", "folder.jpg"]


def test_a_killed_writer_leaves_the_old_file_and_is_cleaned_up(tmp_path: Path) -> None:
    path = factory.put(tmp_path, "a.jpg", b"old")
    script = (
        "import os, signal, sys\n"
        "from recolor_cli.images import atomic\n"
        "atomic.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic.write_atomic(sys.argv[1], b'new')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    assert len(_left(tmp_path)) == 2
    (removed,) = remove_stale(tmp_path)
    assert removed.name.startswith(PREFIX)
    assert _left(tmp_path) == ["a.jpg"]


def test_only_files_of_dead_runs_are_removed(tmp_path: Path) -> None:
    alive = f"{PREFIX}{atomic._HOST}-{os.getppid()}-{'0' * 16}.part"
    own_left = f"{PREFIX}{atomic._HOST}-{os.getpid()}-{'0' * 16}.part"  # same number, other run
    elsewhere = f"{PREFIX}{'f' * 8}-1-{'0' * 16}.part"
    old = f"{PREFIX}{'f' * 8}-2-{'0' * 16}.part"
    for name in (alive, own_left, elsewhere, old, f"{PREFIX}notes.txt", "a.jpg"):
        factory.put(tmp_path, name, b"x")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(tmp_path / old, (two_days_ago, two_days_ago))
    atomic._in_work.add("other")
    assert sorted(path.name for path in remove_stale(tmp_path)) == sorted([own_left, old])
    assert _left(tmp_path) == sorted([alive, elsewhere, f"{PREFIX}notes.txt", "a.jpg"])
    assert remove_stale(tmp_path / "missing") == []


def test_a_file_that_gets_its_name_meanwhile_ends_no_cleaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = factory.put(tmp_path, f"{PREFIX}{'f' * 8}-1-{'0' * 16}.part", b"x")
    own_left = factory.put(tmp_path, f"{PREFIX}{atomic._HOST}-{os.getpid()}-{'0' * 16}.part", b"x")
    names_in = atomic.names_in

    def old_news(folder: Path) -> list[str]:
        names = names_in(folder)
        done.rename(tmp_path / "a.jpg")
        return names

    monkeypatch.setattr(atomic, "names_in", old_news)
    assert remove_stale(tmp_path) == [own_left]
    assert _left(tmp_path) == ["a.jpg"]


def test_temporary_files_are_not_found_as_photos(tmp_path: Path) -> None:
    factory.put(tmp_path, f"{PREFIX}abc.jpg", b"x")
    assert find_photos([tmp_path]) == []
