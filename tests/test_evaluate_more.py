"""Evaluations that mislead: wrong photographs, wrong verdicts, options without effect, damage."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from evaluate_fixtures import folder_of, measure, write
from evaluate_fixtures import picture as evaluated
from test_evaluate import make_run
from train_fixtures import write_photos

from recolor_cli.cli.app import main
from recolor_cli.data.split import Split
from recolor_cli.errors import DataError, UsageError
from recolor_cli.evaluate.compare import Difference, compare
from recolor_cli.evaluate.report import Report, read_report, write_report
from recolor_cli.evaluate.sources import read_run
from recolor_cli.recipes import RECIPES, TINY, override
from recolor_cli.training.estimate import count_parameters
from recolor_cli.training.material import load_material

ROOT = Path(__file__).resolve().parents[1]


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


# --- splits ---


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 photographs, and three files that no recipe trains on."""
    folder = write_photos(tmp_path_factory.mktemp("mixed") / "bad", 24)
    grey = np.full((90, 90, 3), 120, np.uint8)
    cv2.imwrite(str(folder / "grey1.jpg"), grey)
    cv2.imwrite(str(folder / "grey2.png"), grey + 9)
    cv2.imwrite(str(folder / "small.png"), cv2.imread(str(folder / "photo000.png"))[:40, :40])
    return folder


def test_a_split_of_a_folder_with_grey_and_tiny_files_feeds_train(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "b.json"
    assert call("data", "split", str(mixed), "--out", str(out)) == 0
    said = capsys.readouterr().err
    assert [f"left out ({w}): {n}" in said for w, n in (
        ("grey", "grey1.jpg"), ("grey", "grey2.png"), ("tiny", "small.png"),
    )] == [True] * 3  # fmt: skip
    counts = json.loads(out.read_text())["counts"]
    assert (counts["train"] + counts["val"] + counts["test"], counts["grey"], counts["tiny"]) == (
        24, 2, 1,
    )  # fmt: skip
    words = ("train", "--data", str(mixed), "--split", str(out), "--recipe", "tiny", "--dry-run")
    assert call(*words) == 0
    assert "(2 grey, 1 tiny left out)" in capsys.readouterr().out


def test_what_limits_leave_out_of_a_stored_split_is_not_missing(mixed: Path) -> None:
    everything = override(TINY, {"min_side_px": "1", "min_chroma": "0"})
    stored = load_material(everything, [mixed], keep=False).split
    assert len(stored.sets) == 27
    material = load_material(TINY, [mixed], stored=stored, keep=False)
    assert len(material.split.sets) == 24
    assert sorted(material.split.left_out) == [
        ("grey1.jpg", "grey"), ("grey2.png", "grey"), ("small.png", "tiny"),
    ]  # fmt: skip
    assert "(2 grey, 1 tiny left out)" in material.describe()


def test_photographs_of_a_split_that_are_not_there_are_told_as_such(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_photos(tmp_path / "other", 5, start=50)
    split = load_material(TINY, [mixed], [other], keep=False).split
    (tmp_path / "b.json").write_text(split.to_json())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "split.json").write_text(split.to_json())
    (tmp_path / "run" / "recipe.json").write_text("{}")
    common = ("train", "--data", str(mixed), "--recipe", "tiny", "--dry-run", "--split")
    for path, whose in (("b.json", tmp_path / "b.json"), ("run/split.json", "the run ")):
        assert call(*common, str(tmp_path / path)) == 1
        said = capsys.readouterr().err
        assert f"5 photographs of {whose}" in said.replace("'", "")
        assert f"are not in '{mixed}', 'photo05" in said
        assert "with one more --data" in said
        assert call(*common, str(tmp_path / path), "--data", str(other)) == 0
        assert "validating on 5" in capsys.readouterr().out


@pytest.mark.parametrize(("val", "test"), [("0.9", "0.9"), ("0.5", "0.5")])
def test_shares_that_leave_nothing_to_train_on_are_refused(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], val: str, test: str
) -> None:
    out = tmp_path / "s.json"
    words = ("data", "split", str(mixed), "--val-share", val, "--test-share", test, "-o", str(out))
    assert call(*words) == 2
    assert "leave nothing to train on" in capsys.readouterr().err
    assert not out.exists()


def test_the_split_says_what_to_type_for_every_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = write_photos(tmp_path / "one", 12), write_photos(tmp_path / "my two", 12, start=12)
    assert call("data", "split", str(one), str(two), "-o", str(tmp_path / "s.json")) == 0
    hint = f"recolor train --data {one} --data '{two}' --split {tmp_path / 's.json'}"
    assert hint in capsys.readouterr().err


# --- whose photographs ---


def test_a_run_is_measured_on_what_it_held_out_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from recolor_cli.evaluate import setup

    monkeypatch.setattr(setup, "load_colouring", lambda *_: setup.LeftGrey())
    monkeypatch.chdir(tmp_path)
    mine = make_run(tmp_path / "mine", folder_of(tmp_path / "photos", 20), 0.3)
    make_run(tmp_path / "runs" / "newest", folder_of(tmp_path / "others", 20, first=90), 0.4)
    expected = {pair.name for pair in read_run(mine).pairs()}
    for words in (
        ("--model", "mine"), ("--model", "mine/best"), ("--model", "default", "--data", "mine"),
        ("--model", "grey", "--data", "mine"),
    ):  # fmt: skip
        assert call("eval", *words, "--metric", "psnr", "--out", "e") == 0
        assert "the photographs are the test set of mine" in capsys.readouterr().err
        assert set(read_report(Path("e")).names) == expected
    assert call("eval", "--model", "default", "--metric", "psnr") == 0
    assert f"test set of {Path('runs', 'newest')}" in capsys.readouterr().err
    for words in (("--data", "mine", "--data", "photos"), ("--data", "mine", "--pred", "photos")):
        assert call("eval", *words) == 2
        assert "'mine' is a run" in capsys.readouterr().err


def test_pictures_of_one_name_from_two_folders_stay_two(tmp_path: Path) -> None:
    one = folder_of(tmp_path / "d1", 20)
    two = folder_of(tmp_path / "d2", 20, first=50)
    write(two / "alone.png", evaluated(99))
    run = make_run(tmp_path / "run", one, 0.0)
    split = Split(dict.fromkeys(digests(one, two), "test"), dict.fromkeys(digests(one, two), "x"))
    (run / "split.json").write_text(split.to_json())
    (run / "recipe.json").write_text(json.dumps({"data": [str(one), str(two)], "val": []}))
    pairs = read_run(run).pairs()
    names = [pair.name for pair in pairs]
    assert len(set(names)) == len(names) == 41
    assert names == sorted(names)
    assert "alone.png" in names
    assert f"{one}/set0/000.png" in names
    assert f"{two}/set0/000.png" in names
    report = measure(pairs, names=["psnr"])
    assert compare(report, report)[0].how == "pictures"


def digests(*folders: Path) -> list[str]:
    from recolor_cli.data.photos import load_photos
    from recolor_cli.data.sources import find_items

    return [photo.digest for photo in load_photos(find_items(folders), keep=False)[0]]


def test_reports_with_repeated_names_are_not_compared(tmp_path: Path) -> None:
    report = measure(folder_of(tmp_path, 12), names=["psnr"])
    repeated = replace(report, names=("a.png", "a.png", "a.png", *report.names[3:]))
    with pytest.raises(UsageError, match="2 pictures of the second have the name of another"):
        compare(report, repeated)


# --- verdicts ---


def colourful(mean: float, seed: int, n: int = 200, truth: float = 40.0) -> Report:
    """A report on colourfulness alone, of pictures that vary by 8."""
    draw = np.random.default_rng(seed)
    true = np.random.default_rng(1000).normal(truth, 8, n)
    true += truth - true.mean()
    values = draw.normal(mean, 8, n)
    half = 1.96 * 8 / np.sqrt(n)
    entry = {
        "value": float(values.mean()), "low": mean - half, "high": mean + half, "truth": truth,
        "unit": "", "better": "truth", "definition": "d", "preprocessing": "p", "weights": "",
        "interval": "bootstrap",
    }  # fmt: skip
    return Report(
        protocol={"name": "native"}, n=n, limit=None, data={"sha256": "0"},
        coloured={"name": f"{mean}"}, metrics={"colorfulness": entry}, device="cpu", code="",
        created="", seconds=0.0, names=tuple(f"{number}.png" for number in range(n)),
        each={"colorfulness": list(values), "colorfulness of truth": list(true)},
    )  # fmt: skip


def only(a: Report, b: Report) -> Difference:
    (row,) = compare(a, b)
    return row


def test_equally_far_from_the_truth_is_no_difference() -> None:
    verdicts = [only(colourful(32, 2 * i), colourful(48, 2 * i + 1)).verdict for i in range(12)]
    assert verdicts.count("no clear difference") >= 10  # a 95 % interval may miss


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [(25, 48, "b better"), (44, 30, "a better"), (25, 32, "b better"), (55, 47, "b better")],
)
def test_the_nearer_to_the_truth_is_better(a: float, b: float, verdict: str) -> None:
    row = only(colourful(a, 1), colourful(b, 2))
    assert (row.verdict, row.how, row.of, row.truth) == (verdict, "pictures", "distance", 40)
    assert row.low is not None
    assert row.high is not None
    assert row.low < abs(row.b - 40) - abs(row.a - 40) < row.high
    turned = only(colourful(b, 2), colourful(a, 1))
    assert turned.verdict == {"a better": "b better", "b better": "a better"}[verdict]


def test_lines_in_another_order_belong_to_the_same_pictures() -> None:
    a, b = colourful(25, 1), colourful(48, 2)
    order = np.random.default_rng(3).permutation(b.n)
    shuffled = replace(
        b,
        names=tuple(b.names[i] for i in order),
        each={name: [column[i] for i in order] for name, column in b.each.items()},
    )
    assert only(a, shuffled) == only(a, b)


def test_without_the_truth_of_single_pictures_there_is_no_verdict_on_the_nearer() -> None:
    a, b = (replace(colourful(mean, 5), each={}, names=()) for mean in (32, 45))
    row = only(a, b)
    assert (row.verdict, row.of, row.how) == ("unknown", "value", "intervals")
    near = replace(colourful(32.2, 5), each={}, names=())
    assert only(a, near).verdict == "no clear difference"


def test_the_table_says_that_an_interval_is_of_distances(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, mean in (("a", 25.0), ("b", 42.0)):
        write_report(colourful_like_measured(mean), tmp_path / name)
    assert call("eval", "--compare", str(tmp_path / "a"), str(tmp_path / "b")) == 0
    out, err = capsys.readouterr()
    assert re.search(r"colorfulness +2\S+ +4\S+ +40 +-\S+ \.\. -\S+ in distance +b better", out)
    assert "below 0, b is nearer" in err


def colourful_like_measured(mean: float) -> Report:
    return replace(colourful(mean, int(mean)), data={"sha256": "0", "sources": [], "which": "all"})


# --- damage ---


def cut(record: dict[str, Any], *path: str) -> None:
    for key in path[:-1]:
        record = record[key]
    del record[path[-1]]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda r: cut(r, "metrics", "psnr", "value"), "it lacks 'value'"),
        (lambda r: cut(r, "metrics", "psnr", "weights"), "it lacks 'weights'"),
        (lambda r: cut(r, "data", "sha256"), "it lacks 'sha256'"),
        (lambda r: r["metrics"]["psnr"].update(value=None), "value of psnr is no number"),
        (lambda r: r["metrics"]["psnr"].update(low="1"), "low of psnr is no number"),
        (lambda r: r.update(metrics=[1]), ""),
        (lambda r: r.update(protocol="native"), ""),
        (lambda r: r.update(n=11), "images.csv has 12 pictures, and it 11"),
    ],
)
def test_damaged_reports_are_no_reports(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object], reason: str
) -> None:
    write_report(measure(folder_of(tmp_path / "true", 12), names=["psnr"]), tmp_path / "out")
    path = tmp_path / "out" / "report.json"
    record = json.loads(path.read_text())
    damage(record)
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match="is not an evaluation report") as refused:
        read_report(path)
    assert reason in str(refused.value)


@pytest.mark.parametrize("text", ["", "\n", "picture,psnr\na.png\n", "picture,psnr\na.png,x\n"])
def test_damaged_pictures_beside_a_report_are_told(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(measure(folder_of(tmp_path / "true", 12), names=["psnr"]), tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "images.csv").write_text(text)
    assert call("eval", "--compare", str(tmp_path / "a"), str(tmp_path / "b")) == 1
    said = capsys.readouterr().err
    assert f"'{tmp_path / 'b' / 'report.json'}' is not an evaluation report" in said
    assert said.count("\n") == 1


# --- options without effect ---


@pytest.mark.parametrize(
    ("words", "option", "beside"),
    [
        ("--pred p --data d --saturation 1.2", "--saturation", "--pred"),
        ("--pred p --data d --temperature 0.4", "--temperature", "--pred"),
        ("--model grey --data d --input-size -3", "--input-size", "--model grey"),
        ("--model gray --data d --saturation 2", "--saturation", "--model gray"),
        ("--compare a b --data d", "--data", "--compare"),
        ("--compare a b --metric psnr", "--metric", "--compare"),
        ("--compare a b --out o", "--out", "--compare"),
        ("--metric human --votes v.json --model grey", "--model", "--votes"),
        ("--metric human --votes v.json --limit 3", "--limit", "--votes"),
        ("--metric human --export e --model grey --data d --out o", "--out", "--metric human"),
    ],
)
def test_options_that_change_nothing_are_refused(
    words: str, option: str, beside: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("eval", *words.split()) == 2
    assert f"{option} changes nothing with {beside}; drop one" in capsys.readouterr().err


def test_what_a_file_says_is_not_refused_for_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folder_of(tmp_path / "true", 2)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recolor.toml").write_text("[eval]\nsaturation = 1.2\n")
    assert call("eval", "--model", "grey", "--data", str(data), "--metric", "psnr") == 0


# --- the page on the reports ---


@pytest.mark.parametrize("name", [n for n, r in RECIPES.items() if r.discriminator])
def test_the_table_of_sizes_has_every_discriminator(name: str) -> None:
    text = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    sizes = text.partition("## Networks and their sizes")[2].partition("\n## ")[0]
    assert f"{count_parameters(RECIPES[name])[1]:,}" in sizes


def test_grey_photographs_have_no_colours_to_compare_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder_of(tmp_path / "true", 3)
    flat = np.full((60, 80, 3), 90, np.uint8)
    flat[20:40] = 180
    write(data / "grey.png", flat)
    measured = ("eval", "--model", "grey", "--metric", "psnr", "--data")
    assert call(*measured, str(data)) == 0
    assert "1 of the 4 true photographs are grey" in capsys.readouterr().err
    assert call(*measured, str(data / "grey.png")) == 1
    assert "no colours to compare with; name colour photographs" in capsys.readouterr().err
