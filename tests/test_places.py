"""Files and folders as they are typed, in files and in variables: no addresses, and not nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recolor_cli.cli.app import main
from recolor_cli.errors import WeightsError
from recolor_cli.ranges import misplaced
from recolor_cli.weights import find_weights

AWAY = "must be on this machine: such addresses are for colorize's input and -o; "
HERE, THERE = AWAY + "copy it here first", AWAY + "write it here, then copy it there"
NOTHING = "must name a file or folder"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to type in."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RECOLOR_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that a command leaves with, as wrong usage."""
    with pytest.raises(SystemExit) as left:
        main(argv)
    out, err = capsys.readouterr()
    assert (left.value.code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("recolor: ")
    return err.removeprefix("recolor: ").removesuffix("\n")


# What is typed before the place, what follows it, how it is called, and whether it is written.
PLACES = [
    (["gallery"], [], "OUT", False),
    (["compare"], ["--sizes", "256"], "PHOTO", False),
    (["compare", "x.jpg", "--sizes", "256", "-o"], [], "--out", True),
    (["compare", "x.jpg", "--sizes", "256", "-m"], [], "--model", False),
    (["eval", "--data"], [], "--data", False),
    (["eval", "--data", "x", "--pred"], [], "--pred", False),
    (["eval", "--data", "x", "--out"], [], "--out", True),
    (["eval", "--data", "x", "--model"], [], "--model", False),
    (["eval", "--data", "x", "--metric-weights"], [], "--metric-weights", False),
    (["eval", "--compare", "a.json"], [], "FILE", False),
    (["eval", "--metric", "human", "--data", "x", "--export"], [], "--export", True),
    (["eval", "--metric", "human", "--data", "x", "--against"], [], "--against", False),
    (["eval", "--metric", "human", "--votes"], [], "--votes", False),
    (["train", "--data", "x", "--data"], [], "--data", False),
    (["train", "--data", "x", "--val"], [], "--val", False),
    (["train", "--data", "x", "--split"], [], "--split", False),
    (["train", "--data", "x", "--out"], [], "--out", True),
    (["train", "--resume"], [], "--resume", False),
    (["data", "stats"], [], "DIR", False),
    (["data", "stats", "x", "-o"], [], "--out", True),
    (["data", "split", "x"], [], "DIR", False),
    (["models", "pull", "default", "--from"], [], "--from", False),
    (["models", "export", "default", "-o"], [], "--out", True),
    (["colorize", "x.jpg", "-o", "out", "-m"], [], "--model", False),
    (["colorize", "--redo"], [], "--redo", False),
    (["benchmark", "-m"], [], "--model", False),
]
IDS = [" ".join((*place[0], place[2])) for place in PLACES]


@pytest.mark.parametrize(("before", "after", "shown", "made"), PLACES, ids=IDS)
def test_an_address_where_none_is_taken_is_told_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], before: list[str], after: list[str],
    shown: str, made: bool,
) -> None:  # fmt: skip
    for address in ("s3://bucket/a", "gs://bucket/a b", "memory://a"):
        line = refused(capsys, *before, address, *after)
        assert line == f"{shown} is '{address}', and {THERE if made else HERE}"
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        *((before, after, shown) for before, after, shown, _ in PLACES),
        (["colorize", "x.jpg", "-o"], [], "--out"),
        (["colorize", "x.jpg", "--out"], ["--dry-run"], "--out"),
        (["colorize"], ["-o", "out"], "INPUT"),
        (["colorize", "x.jpg"], ["-o", "out"], "INPUT"),
        (["colorize", "x.jpg", "-o", "out", "--hints"], [], "--hints"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_nothing_typed_as_a_place_is_no_folder(
    folder: Path, capsys: pytest.CaptureFixture[str], before: list[str], after: list[str],
    shown: str,
) -> None:  # fmt: skip
    assert refused(capsys, *before, "", *after) == f"{shown} is '', and {NOTHING}"
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("argv", "text", "words"),
    [
        (["colorize", "x"], "[colorize]\nout = ''", f'colorize.out = ""; it {NOTHING}'),
        (["colorize", "x"], "[colorize]\nhints = ''", f'colorize.hints = ""; it {NOTHING}'),
        (["colorize", "x"], "model = ''", f'model = ""; it {NOTHING}'),
        (["compare", "x"], "model = 's3://b/m'", f'model = "s3://b/m"; it {HERE}'),
        (["compare", "x"], "[compare]\nout = ''", f'compare.out = ""; it {NOTHING}'),
        (["train"], "[train]\nout = 's3://b/run'", f'train.out = "s3://b/run"; it {THERE}'),
        (["train"], "[train]\ndata = ['x', '']", f'train.data = ["x", ""]; it {NOTHING}'),
        (["eval"], "[eval]\ndata = ['gs://b']", f'eval.data = ["gs://b"]; it {HERE}'),
        (["data", "stats", "x"], "[data.stats]\nout = ''", f'stats.out = ""; it {NOTHING}'),
    ],
)
def test_in_a_file_it_is_told_with_the_key(
    folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str], text: str, words: str
) -> None:
    (folder / "recolor.toml").write_text(text)
    for command in (argv, ["config"]):
        assert refused(capsys, *command).startswith("'recolor.toml' has ")
        assert words in refused(capsys, *command)


@pytest.mark.parametrize(
    ("argv", "variable", "text", "words"),
    [
        (["train"], "RECOLOR_TRAIN_DATA", "x:s3://b/in:y", f"=x:s3://b/in:y; it {HERE}"),
        (["train"], "RECOLOR_TRAIN_OUT", "memory://run", f"=memory://run; it {THERE}"),
        (["eval"], "RECOLOR_EVAL_DATA", "x s3://b/in", f"=x s3://b/in; it {HERE}"),
        (["benchmark"], "RECOLOR_MODEL", "s3://b/m", f"RECOLOR_MODEL=s3://b/m; it {HERE}"),
        (["recipes"], "RECOLOR_CONFIG", "s3://b/c",
         f"--config (or RECOLOR_CONFIG) is 's3://b/c', and {HERE}"),
    ],
)  # fmt: skip
def test_in_a_variable_it_is_told_with_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    argv: list[str], variable: str, text: str, words: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, text)
    for command in (argv, ["config"]):
        assert refused(capsys, *command).endswith(words)


def test_no_file_for_settings_is_none_and_not_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert NOTHING in refused(capsys, "--config", "", "recipes")
    monkeypatch.setenv("RECOLOR_CONFIG", "")  # as not set
    with pytest.raises(SystemExit) as left:
        main(["recipes", "tiny"])
    assert left.value.code == 0


@pytest.mark.parametrize(
    ("text", "options", "wrong"),
    [
        ("scans", {}, ""),
        ("./s3:/x", {}, ""),
        ("C://scans", {}, ""),
        ("a folder://x", {}, ""),
        ("://x", {}, ""),
        ("hf://a/b/c", {"taken": "hf"}, ""),
        ("hf://a/b/c", {}, HERE),
        ("s3://a", {"taken": "hf"}, HERE),
        ("s3://a", {"taken": "*"}, ""),
        ("", {"taken": "*"}, NOTHING),
        ("s3://a", {"made": True}, THERE),
        ("https://a/b.jpg", {}, HERE),
        ("git+ssh://a", {}, HERE),
        ("file:///tmp/x", {}, "must be a path; type it without file://"),
    ],
)  # fmt: skip
def test_what_can_be_no_place_of_this_machine(
    text: str, options: dict[str, str], wrong: str
) -> None:
    assert misplaced(text, **options) == wrong  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "wrong"), [("", NOTHING), ("s3://b/m.safetensors", HERE)])
def test_from_python_weights_are_judged_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, wrong: str
) -> None:
    (folder / "model.safetensors").write_bytes(b"")  # '' must not mean the folder one stands in
    with pytest.raises(WeightsError) as caught:
        find_weights(text)
    assert str(caught.value) == f"the weights {text!r} {wrong}"
    with pytest.raises(SystemExit) as left:
        main(["models", "info", text])
    assert (left.value.code, capsys.readouterr().err) == (3, f"recolor: {caught.value}\n")
