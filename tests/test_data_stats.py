"""`recolor data stats --split`: training, validation and test set apart, as in report 000."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from train_fixtures import write_photos

from recolor_cli.cli.app import main
from recolor_cli.data.colorfulness import CUTS, measure
from recolor_cli.data.photos import Photo, load_photos
from recolor_cli.data.sources import find_items
from recolor_cli.data.split import Split

SETS = {"train": 8, "val": 3, "test": 1}
SHARES = {"train": range(8), "val": range(8, 11), "test": range(11, 12)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 photographs; the first three are dull, but not grey."""
    made = write_photos(tmp_path_factory.mktemp("photos"), 12)
    for index in range(3):
        path = str(made / f"photo{index:03d}.png")
        pixels = cv2.imread(path).astype(np.float32)
        grey = pixels.mean(-1, keepdims=True)
        cv2.imwrite(path, (grey + (pixels - grey) * 0.1 * (index + 1)).astype(np.uint8))
    return made


@pytest.fixture(scope="module")
def photos(folder: Path) -> list[Photo]:
    return load_photos(find_items([folder]), keep=False)[0]


@pytest.fixture
def split(photos: list[Photo], tmp_path: Path) -> Path:
    sets = {photos[i].digest: name for name, share in SHARES.items() for i in share}
    path = tmp_path / "run" / "split.json"
    path.parent.mkdir()
    path.write_text(Split(sets, {p.digest: p.item.name for p in photos}).to_json())
    return path


def call(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["data", "stats", *map(str, arguments)])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("form", ["file", "run"])
def test_each_set_has_figures_of_its_own_and_a_row_of_the_plot(
    form: str, folder: Path, photos: list[Photo], split: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    named, plot = split if form == "file" else split.parent, tmp_path / "plot.png"
    assert call(folder, "--split", named, "-o", plot, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    figures = {(line["set"], line["measure"]): line for line in lines if "measure" in line}
    measured = measure(photos)
    for name, share in SHARES.items():
        values = [measured[photos[i].digest].report for i in share]
        line = figures[name, "report"]
        assert line["photos"] == len(values)
        assert line["mean"] == pytest.approx(np.mean(values), abs=1e-4)
        assert (line["p0"], line["p100"]) == pytest.approx((min(values), max(values)), abs=1e-4)
    assert len(figures) == 6
    training = [measured[photos[i].digest].report for i in SHARES["train"]]
    cuts = {line["cut"]: line for line in lines if "cut" in line}
    assert list(cuts) == list(CUTS)
    for cut, line in cuts.items():
        assert (line["set"], line["below"]) == ("train", sum(v < cut for v in training))
    assert cuts[0.12]["below"] > 0
    assert lines[-1] == {
        "event": "summary", "photos": 12, "unknown": 0, "missing": 0, "sets": SETS,
        "plot": str(plot),
    }  # fmt: skip
    height, width, _ = cv2.imread(str(plot)).shape
    assert 0.6 < height / width < 0.9, "three rows of two"


def test_a_table_for_people(
    folder: Path, split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder, "--split", split, "-o", tmp_path / "plot.png") == 0
    out, err = capsys.readouterr()
    assert [line.split()[:3] for line in out.splitlines()[:7]] == [
        ["set", "photos", "measure"],
        *([name, str(n), which] for name, n in SETS.items() for which in ("report", "hasler")),
    ]
    assert "0.08" in out.splitlines()[-2]
    assert f"12 photographs (8 train, 3 val, 1 test); plot in {tmp_path / 'plot.png'}" in err


def test_what_only_one_of_split_and_folder_has_is_counted_and_told(
    folder: Path, photos: list[Photo], split: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    # Of the split's: all but the test photograph. And two that it does not know.
    some = write_photos(tmp_path / "some", 2, start=50)
    for photo in photos[:11]:
        (some / photo.item.name).write_bytes((folder / photo.item.name).read_bytes())
    plot = tmp_path / "plot.png"
    assert call(some, "--split", split, "-o", plot) == 0
    out, err = capsys.readouterr()
    assert f"not counted: 2 photographs that no set of '{split}' has" in err
    lost = photos[11].item.name
    assert f"1 photographs of '{split}' that are not in '{some}', '{lost}' among them" in err
    assert "11 photographs (8 train, 3 val, 0 test)" in err
    assert "\ntest" not in out
    assert call(some, "--split", split, "-o", plot, "--json") == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["photos"], last["unknown"], last["missing"]) == (11, 2, 1)
    assert last["sets"] == {**SETS, "test": 0}


def test_a_split_of_other_photographs_is_refused_in_one_line(
    split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_photos(tmp_path / "my photos", 3, start=50)
    assert call(other, "--split", split, "-o", tmp_path / "plot.png", "--quiet") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"'{split}' knows none of 3 photographs in '{other}'; name those that it" in line
    assert f"type 'recolor data split '{other}' -o new.json'" in line
    assert not (tmp_path / "plot.png").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read the split '{}': No such file or directory; name a split.json, or a "),
        (b"{}", "'{}' is not a split"),
        (b"\xff\xd8\xff photograph", "'{}' is not a split"),
    ],
    ids=["none", "other JSON", "a photograph"],
)
@pytest.mark.parametrize("command", [["data", "stats"], ["train", "--dry-run", "--data"]])
def test_what_is_no_split_is_refused_before_photographs_are_read(
    command: list[str], content: bytes | None, words: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = tmp_path / "run"
    run.mkdir()
    if content is not None:
        (run / "split.json").write_bytes(content)
    with pytest.raises(SystemExit) as ended:  # a folder without photographs would be refused too
        main([*command, str(tmp_path), "--split", str(run)])
    assert ended.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert words.format(run / "split.json") in line
