"""The memory of an output folder, and who may write to it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from recolor_cli.colorize.manifest import FOLDER, Manifest, Stamp, digest, hash_file


def stamp(path: Path) -> Stamp:
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns, hash_file(path))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / ".recolor").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"colours")
    (tmp_path / "source.jpg").write_bytes(b"grey")
    return tmp_path


def written(out: Path, *events: str, shard: tuple[int, int] = (1, 1)) -> Manifest:
    manifest = Manifest(out, shard)
    manifest.open()
    for event in events:
        manifest.append(
            event,  # type: ignore[arg-type]
            "a.jpg",
            settings="s1",
            source=out / "source.jpg",
            input=stamp(out / "source.jpg"),
            output=stamp(out / "a.jpg") if event in ("writing", "done") else None,
        )
    manifest.close()
    return manifest


def test_what_is_written_is_read_again(out: Path) -> None:
    before = written(out, "writing", "done").get("a.jpg")
    after = Manifest(out).get("a.jpg")
    assert before == after
    assert after is not None
    assert after.is_current("s1")
    assert not after.is_current("s2")
    assert after.output is not None
    assert after.output.looks_like(out / "a.jpg")


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_line_that_a_kill_cut_short_is_passed_over(out: Path, cut: int) -> None:
    written(out, "writing", "done")
    path = out / ".recolor/manifest.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    line = Manifest(out).get("a.jpg")
    assert line is not None
    assert line.event == ("done" if cut == 1 else "writing")
    written(out, "done")  # appends on a line of its own
    for raw in path.read_bytes().splitlines()[-1:]:
        assert json.loads(raw)["event"] == "done"
    line = Manifest(out).get("a.jpg")
    assert line is not None
    assert line.event == "done"


@pytest.mark.parametrize(
    ("events", "content", "ours"),
    [
        (["writing", "done"], b"colours", True),
        (["writing", "done"], b"changed by somebody", True),
        (["writing"], b"colours", True),  # killed after the file took its name
        (["writing"], b"somebody's file", False),  # killed before
        (["failed"], b"somebody's file", False),
        (["done", "failed"], b"colours", True),
        (["skipped"], b"somebody's file", False),
        ([], b"somebody's file", False),
    ],
)
def test_whose_a_file_is(out: Path, events: list[str], content: bytes, ours: bool) -> None:
    written(out, *events)
    (out / "a.jpg").write_bytes(content)
    assert Manifest(out).owns("a.jpg", out / "a.jpg") is ours


def test_the_latest_word_of_all_shards_counts(out: Path) -> None:
    written(out, "done", shard=(1, 2))
    written(out, "failed", shard=(2, 3))
    line = Manifest(out).get("a.jpg")
    assert line is not None
    assert line.event == "done", "a failed attempt leaves the result as it was"
    written(out, "skipped", shard=(2, 3))
    line = Manifest(out, (3, 3)).get("a.jpg")
    assert line is not None
    assert line.event == "skipped"
    assert line.ours
    written(out, "done", shard=(1, 2))
    line = Manifest(out).get("a.jpg")
    assert line is not None
    assert line.event == "done"


def test_other_peoples_lines_do_no_harm(out: Path) -> None:
    path = out / ".recolor/manifest.jsonl"
    path.write_bytes(
        b'[]\n42\n"x"\nnull\n{"output": 3}\n{"output": "a.jpg", "at": 1}\n\xff\xfe\n'
        b'{"output": "a.jpg", "at": 1, "event": "done", "input_stamp": {"wrong": 1}}\n'
    )
    assert Manifest(out).get("a.jpg") is None


def test_any_name_survives(out: Path) -> None:
    names = ["line\nbreak", os.fsdecode(b"caf\xe9.jpg"), "\U0001f4f7.jpg", '"quoted"']
    manifest = Manifest(out)
    manifest.open()
    for name in names:
        manifest.append("skipped", name, settings="s", source=out / name, reason=name)
    manifest.close()
    again = Manifest(out)
    for name in names:
        line = again.get(name)
        assert line is not None
        assert line.reason == name


def test_a_stamp_sees_changes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    before = stamp(path)
    os.utime(path, ns=(1, 1))
    assert not before.looks_like(path)
    assert before.matches(path), "only the time is another"
    path.write_bytes(b"54321")
    assert not before.matches(path)
    path.unlink()
    assert not before.matches(path)


def test_digests_tell_settings_apart() -> None:
    assert digest({"saturation": 1.0}) != digest({"saturation": 1.1})
    assert digest({"a": None}) != digest({"a": 0})


@pytest.mark.parametrize("known", ["deep/Scan.jpg", "deep/e\u0301.jpg"])
def test_a_disk_may_take_two_spellings_for_one_name(tmp_path: Path, known: str) -> None:
    other = {"deep/Scan.jpg": "deep/scan.JPG", "deep/e\u0301.jpg": "deep/\u00e9.jpg"}[known]
    (tmp_path / "deep").mkdir()
    (tmp_path / FOLDER).mkdir()
    (tmp_path / known).write_bytes(b"a result")
    (tmp_path / other).hardlink_to(tmp_path / known)  # as on a disk that does not tell them apart
    manifest = Manifest(tmp_path)
    manifest.open()
    manifest.append("done", known, settings="a", source=tmp_path / "scan.jpg")
    line = manifest.get(other)
    assert line is not None
    assert manifest.owns(other, tmp_path / other)
    manifest.append("done", other, settings="b", source=tmp_path / "scan.jpg")
    manifest.keep(other)
    manifest.close()
    assert [line.kept for _, line in Manifest(tmp_path)] == [True]
    assert [line.kept for _, line in Manifest(tmp_path, let_go=[other])] == [False]
    assert [key for key, _ in Manifest(tmp_path)] == [known]

    (tmp_path / other).unlink()
    assert Manifest(tmp_path).get(other) is None, "a disk that tells them apart"
    (tmp_path / other).write_bytes(b"another")
    assert Manifest(tmp_path).get(other) is None


def test_threads_add_lines_while_spellings_are_gathered(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With --overwrite nobody asks the manifest before the threads that encode write to it.
    written(out, "done")
    manifest = Manifest(out)
    manifest.open()

    def folded(key: str) -> str:
        if key == "a.jpg":  # another thread is as far
            manifest._lines["b.jpg"] = manifest._lines[key]
        return key.casefold()

    monkeypatch.setattr("recolor_cli.colorize.manifest._folded", folded)
    manifest.append("writing", "c.jpg", settings="s1", source=out / "source.jpg")
    manifest.close()
    assert [key for key, _ in Manifest(out)] == ["a.jpg", "c.jpg"]
