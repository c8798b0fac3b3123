"""Inputs to outputs: names, collisions, inputs in danger, shards."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path, PurePath
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recolor_cli.colorize import plan as planning
from recolor_cli.colorize.plan import check_writable, ignores_case, in_shard, make_plan
from recolor_cli.errors import OutputError, UsageError


def put(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not read while planning")
    return paths


def keys(*inputs: Path | str, out: Path, **options: object) -> list[str]:
    return [target.key for target in make_plan(inputs, out, **options).targets]  # type: ignore[arg-type]


def test_a_folder_keeps_its_tree(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.jpg", "deep/er/b.PNG", "deep/c.tif", ".hidden.jpg", "notes.txt")
    plan = make_plan([tmp_path / "in"], tmp_path / "out")
    assert [t.key for t in plan.targets] == ["a.jpg", "deep/c.tif", "deep/er/b.PNG"]
    assert plan.targets[2].output == tmp_path / "out/deep/er/b.PNG"
    assert plan.ignored == 1


@pytest.mark.parametrize(
    ("name", "format", "output", "written_as"),
    [
        ("a.jpg", "keep", "a.jpg", "jpeg"),
        ("a.JPEG", "jpg", "a.JPEG", "jpeg"),
        ("a.jpg", "png", "a.png", "png"),
        ("a.tiff", "tiff", "a.tiff", "tiff"),
        ("a.b.png", "webp", "a.b.webp", "webp"),
        ("a.bmp", "keep", "a.png", "png"),
        ("a.heic", "keep", "a.png", "png"),
        ("a.jp2", "keep", "a.jp2", "jp2"),
        ("scan.0001", "keep", "scan.0001", None),
        ("scan.0001", "png", "scan.0001.png", "png"),
        ("noname", "tiff", "noname.tif", "tiff"),
    ],
)
def test_names_follow_the_format(
    tmp_path: Path, name: str, format: str, output: str, written_as: str | None
) -> None:
    (path,) = put(tmp_path, name)
    (target,) = make_plan([path], tmp_path / "out", format=format).targets
    assert (target.key, target.format) == (output, written_as)
    assert target.output == tmp_path / "out" / output


def test_one_file_to_one_file(tmp_path: Path) -> None:
    (path,) = put(tmp_path, "a.jpg")
    plan = make_plan([path], tmp_path / "b.png")
    assert plan.folder is None
    assert [(t.output, t.format) for t in plan.targets] == [(tmp_path / "b.png", "png")]


def test_a_folder_called_like_a_photo_is_a_folder(tmp_path: Path) -> None:
    (path,) = put(tmp_path, "a.jpg")
    (tmp_path / "b.png").mkdir()
    assert make_plan([path], tmp_path / "b.png").folder == tmp_path / "b.png"


@pytest.mark.parametrize(
    ("files", "options", "words"),
    [
        (["x/a.jpg", "y/a.jpg"], {}, ["x/a.jpg", "y/a.jpg", "out/a.jpg"]),
        (["a.jpg", "a.png"], {"format": "png"}, ["a.jpg", "a.png", "both write"]),
        (["a.tif", "a.tiff"], {"format": "jpg"}, ["a.tif", "a.tiff"]),
        (["a.bmp", "a.png"], {"format": "png"}, ["a.bmp", "a.png"]),
    ],
)
def test_two_inputs_for_one_output_are_refused_and_named(
    tmp_path: Path, files: list[str], options: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        make_plan(put(tmp_path, *files), tmp_path / "out", **options)  # type: ignore[arg-type]
    assert all(word in str(caught.value) for word in words)
    assert not (tmp_path / "out").exists()


def test_kept_formats_that_cannot_be_written_do_not_collide(tmp_path: Path) -> None:
    put(tmp_path / "in", "a.bmp", "a.png", "b.bmp")
    assert keys(tmp_path / "in", out=tmp_path / "out") == ["a.bmp.png", "a.png", "b.png"]


def test_names_that_differ_in_case_collide_only_where_case_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "in", "a.jpg", "A.jpg", "\u00e9.jpg", "e\u0301.jpg")
    if ignores_case(tmp_path):
        pytest.skip("this disk ignores case")
    assert len(keys(tmp_path / "in", out=tmp_path / "out")) == 4
    monkeypatch.setattr(planning, "ignores_case", lambda _folder: True)
    with pytest.raises(UsageError, match="both write"):
        make_plan([tmp_path / "in"], tmp_path / "out")


def test_macos_takes_normal_forms_of_a_name_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "in", "\u00e9.jpg", "e\u0301.jpg")
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(UsageError, match="both write"):
        make_plan([tmp_path / "in"], tmp_path / "out")


@pytest.mark.parametrize("out", ["disk", "disk/not/there/yet"])
def test_a_disk_is_asked_in_the_folder_and_not_by_the_folders_name(
    tmp_path: Path, out: str
) -> None:
    # Where a disk is mounted, the name of that folder belongs to the disk above it.
    (held,) = put(tmp_path / "disk", "Autorun.inf")
    put(tmp_path / "in", "a.jpg", "A.jpg")
    assert not ignores_case(tmp_path / out)
    (tmp_path / "disk" / "aUTORUN.INF").hardlink_to(held)
    assert ignores_case(tmp_path / out)
    with pytest.raises(UsageError, match="both write"):
        make_plan([tmp_path / "in"], tmp_path / out)


@pytest.mark.parametrize("answer", [True, False])
def test_an_empty_disk_is_asked_with_a_file_that_goes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    asked: list[str] = []

    def lexists(path: Path) -> bool:
        asked.append(Path(path).name)
        assert os.path.exists(path.with_name(path.name.swapcase()))
        return answer

    monkeypatch.setattr(os.path, "lexists", lexists)
    assert ignores_case(tmp_path) == answer
    assert len(asked) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("listed", [True, False])
def test_what_goes_away_or_is_not_shown_tells_nothing_of_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    # Half a file of another shard has its name, and is gone, before it is asked after; a letter box
    # may be written and not listed.
    put(tmp_path, ".recolor-0123abcd-1-0123456789abcdef.part")
    if not listed:
        monkeypatch.setattr(os, "scandir", lambda _: (_ for _ in ()).throw(PermissionError()))
    asked: list[str] = []
    monkeypatch.setattr(os.path, "lexists", lambda path: asked.append(path.name) or True)
    assert ignores_case(tmp_path)
    assert [name.endswith(".PART") and "ABCD-1-" not in name for name in asked] == [True]


def test_a_drive_without_a_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Z: on Windows, above which there is nothing that could be asked.
    calls = count(1)

    def absent(_path: Path) -> bool:
        assert next(calls) < 99, "asks for ever"
        return False

    monkeypatch.setattr(Path, "is_dir", absent)
    monkeypatch.setattr(os.path, "lexists", absent)
    monkeypatch.setattr(os, "scandir", lambda _: (_ for _ in ()).throw(FileNotFoundError()))
    monkeypatch.setattr(Path, "touch", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    assert not ignores_case(Path("/z/out"))
    with pytest.raises(OutputError, match="'/z/out': there is no /; check the disk"):
        check_writable(Path("/z/out"))


def test_the_same_file_twice_is_done_once(tmp_path: Path) -> None:
    (path,) = put(tmp_path, "a.jpg")
    plan = make_plan([path, path], tmp_path / "out")
    assert len(plan.targets) == len(plan.repeated) == 1


def test_disks_that_do_not_number_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As drives of some clouds on Windows: every file and folder there has the number 0.
    stat = Path.stat

    def unnumbered(self: Path, **options: bool) -> os.stat_result:
        status = stat(self, **options)
        return os.stat_result((status.st_mode, 0, *status[2:]))

    put(tmp_path / "in", "a.jpg", "deep/b.jpg", "deep/er/c.jpg")
    put(tmp_path / "out", "a.jpg", "deep/b.jpg")
    monkeypatch.setattr(Path, "stat", unnumbered)
    wanted = ["a.jpg", "deep/b.jpg", "deep/er/c.jpg"]
    assert keys(tmp_path / "in", out=tmp_path / "out") == wanted
    with pytest.raises(UsageError, match="is the input"):
        make_plan([tmp_path / "in/a.jpg"], tmp_path / "in/a.jpg")


@pytest.mark.parametrize("how", ["folder", "same file", "symlink", "hard link", "linked folder"])
def test_an_output_is_never_an_input(tmp_path: Path, how: str) -> None:
    (path,) = put(tmp_path / "in", "a.jpg")
    out = tmp_path / "out"
    inputs: list[Path] = [tmp_path / "in"]
    if how == "folder":
        out = tmp_path / "in"
    elif how == "same file":
        inputs, out = [path], path
    elif how == "symlink":
        out.mkdir()
        (out / "a.jpg").symlink_to(path)
    elif how == "hard link":
        out.mkdir()
        os.link(path, out / "a.jpg")
    else:
        out.symlink_to(tmp_path / "in", target_is_directory=True)
    with pytest.raises(UsageError, match="is the input") as caught:
        make_plan(inputs, out)
    assert "a.jpg" in str(caught.value)


def test_two_folders_of_out_that_are_one_through_a_link_collide(tmp_path: Path) -> None:
    put(tmp_path / "in", "x/a.jpg", "y/a.jpg")
    (tmp_path / "out/x").mkdir(parents=True)
    (tmp_path / "out/y").symlink_to("x", target_is_directory=True)
    with pytest.raises(UsageError, match="both write"):
        make_plan([tmp_path / "in"], tmp_path / "out")


def test_out_inside_the_input_is_not_read(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b/c.jpg", "out/a.jpg", "out/b/c.jpg", "outer/d.jpg")
    assert keys(tmp_path, out=tmp_path / "out") == ["a.jpg", "b/c.jpg", "outer/d.jpg"]
    (tmp_path / "link").symlink_to("out", target_is_directory=True)
    assert keys(tmp_path, out=tmp_path / "link") == ["a.jpg", "b/c.jpg", "outer/d.jpg"]


@pytest.mark.parametrize(
    ("inputs", "out", "error", "words"),
    [
        ([], "out", UsageError, "no input"),
        (["missing.jpg"], "out", UsageError, "missing.jpg"),
        (["a.jpg", "b.jpg"], "c.jpg", UsageError, "several inputs"),
        (["."], "c.jpg", UsageError, "a folder"),
        (["a.jpg"], "c.gif", UsageError, "not written"),
        (["a.jpg"], "a.jpg/x", None, ""),
        (["a.jpg"], "notes.txt", OutputError, "is a file"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    inputs: list[str],
    out: str,
    error: type[Exception] | None,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "a.jpg", "b.jpg", "notes.txt")
    if error is None:
        plan = make_plan(inputs, out)
        assert plan.folder is not None
        with pytest.raises(OutputError, match="is a file"):
            check_writable(plan.folder)
        return
    with pytest.raises(error, match=words):
        make_plan(inputs, out)


def test_format_and_name_of_the_output_must_agree(tmp_path: Path) -> None:
    (path,) = put(tmp_path, "a.jpg")
    with pytest.raises(UsageError, match="--format"):
        make_plan([path], tmp_path / "b.jpg", format="png")


@given(st.lists(st.text(min_size=1), unique=True, max_size=40), st.integers(1, 9))
def test_shards_are_a_partition(names: list[str], parts: int) -> None:
    for name in names:
        relative = PurePath(name)
        owners = [part for part in range(1, parts + 1) if in_shard(relative, (part, parts))]
        assert len(owners) == 1


def test_shards_are_about_equal_and_the_same_everywhere() -> None:
    names = [PurePath(f"box {n % 7}/scan {n}.tif") for n in range(4000)]
    counts = [sum(in_shard(name, (part, 4)) for name in names) for part in (1, 2, 3, 4)]
    assert all(850 < count < 1150 for count in counts)
    # Other ones here would make array jobs that are under way do photographs twice, or never.
    first = [name.name for name in names[:12] if in_shard(name, (1, 4))]
    assert first == ["scan 5.tif", "scan 8.tif", "scan 9.tif", "scan 11.tif"]
    assert in_shard(PurePath(os.fsdecode(b"caf\xe9.jpg")), (1, 1))


def test_a_mac_and_the_others_agree_on_whose_photograph_it_is() -> None:
    # They see the names of one disk in different normal forms.
    for number in range(20):
        typed, decomposed = (PurePath(f"{e}t{e}/{number}.jpg") for e in ("\u00e9", "e\u0301"))
        assert in_shard(typed, (1, 2)) == in_shard(decomposed, (1, 2))


def test_collisions_are_seen_by_every_shard(tmp_path: Path) -> None:
    paths = put(tmp_path, "x/a.jpg", "y/a.jpg")
    for part in (1, 2, 3):
        with pytest.raises(UsageError, match="both write"):
            make_plan(paths, tmp_path / "out", shard=(part, 3))


def test_an_unwritable_folder_is_found_out_without_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write where permissions forbid it, so the system's answer is given here.
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)
    with pytest.raises(OutputError, match="permission denied"):
        check_writable(tmp_path / "new" / "deep")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_found_out_without_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=1000))
    with pytest.raises(OutputError, match="full"):
        check_writable(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
