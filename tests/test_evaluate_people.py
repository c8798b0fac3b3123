"""The page on which people judge, and what their votes come to."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluate_fixtures import folder_of
from scipy.stats import binomtest

from recolor_cli.cli.app import main
from recolor_cli.errors import DataError, OutputError, UsageError
from recolor_cli.evaluate.colouring import ByFiles, LeftGrey
from recolor_cli.evaluate.judge import export_study
from recolor_cli.evaluate.protocols import PROTOCOLS
from recolor_cli.evaluate.sources import matched, truths
from recolor_cli.evaluate.votes import count_votes, share

NATIVE = PROTOCOLS["native"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    pairs = truths([folder_of(tmp_path / "true", 12)])
    export_study(tmp_path / "judge", pairs, LeftGrey(), NATIVE)
    return tmp_path / "judge"


def embedded(folder: Path) -> dict[str, object]:
    text = (folder / "judge.html").read_text()
    found = re.search(r'<script id="study" type="application/json">(.*?)</script>', text, re.S)
    assert found
    return json.loads(found[1])


def key_of(folder: Path) -> dict[str, object]:
    return json.loads((folder / "key.json").read_text())


def pixels_of(data_url: str) -> np.ndarray:
    head, _, body = data_url.partition(",")
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), cv2.IMREAD_COLOR)


def vote(folder: Path, name: str, choose: object) -> Path:
    key = key_of(folder)
    votes = [
        {"trial": trial, "choice": choose(entry), "seconds": 1.0}
        for trial, entry in key["trials"].items()
    ]
    path = folder / "votes" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    record = {"format": "recolor-votes/1", "study": key["study"], "judge": name, "votes": votes}
    path.write_text(json.dumps(record))
    return path


def side_of(what: str) -> object:
    return lambda entry: "left" if entry["left"] == what else "right"


def test_the_page_does_not_tell_which_is_which(study: Path) -> None:
    text = (study / "judge.html").read_text()
    assert not re.search(r"https?://", text)
    for word in ("set0", "grey", '"real":"left"', "000.png"):
        assert word not in text
    trials = embedded(study)["trials"]
    assert len(trials) == 12
    assert all(set(trial) == {"id", "question", "left", "right"} for trial in trials)


def test_the_key_knows_which_is_which_and_sides_are_mixed(study: Path) -> None:
    key = key_of(study)["trials"]
    for trial in embedded(study)["trials"]:
        sides = key[trial["id"]]
        for side in ("left", "right"):
            chroma = np.ptp(pixels_of(trial[side]).astype(int), axis=2).mean()
            assert (chroma < 3) == (sides[side] == "a")
    assert {entry["left"] for entry in key.values()} == {"real", "a"}


def test_a_study_is_not_overwritten(study: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds a study already"):
        export_study(study, truths([tmp_path / "true"]), LeftGrey(), NATIVE)
    with pytest.raises(UsageError, match="needs pictures"):
        export_study(tmp_path / "other", [], LeftGrey(), NATIVE)


def test_votes_give_the_fooling_rate(study: Path) -> None:
    sharp = vote(study, "sharp", side_of("real"))
    fooled = vote(study, "fooled", side_of("a"))
    (row,) = count_votes([sharp])
    assert (row.name, row.count, row.n) == ("fooling rate of grey", 0, 12)
    (row,) = count_votes([sharp, fooled])
    assert (row.value, row.n) == (0.5, 24)


def test_two_colourings_are_also_compared_with_each_other(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "true", 4)
    export_study(
        tmp_path / "judge", matched([data], data), LeftGrey(), NATIVE, second=ByFiles("perfect")
    )
    likes_b = vote(tmp_path / "judge", "x", side_of("b"))
    rows = {row.name: row for row in count_votes([likes_b], tmp_path / "judge")}
    assert rows["preference for perfect over grey"].value == 1
    assert rows["fooling rate of perfect"].value == 1
    assert {row.n for row in rows.values()} == {4}


@pytest.mark.parametrize(("count", "n"), [(0, 12), (12, 12), (3, 40), (25, 50), (1, 2)])
def test_intervals_are_wilsons(count: int, n: int) -> None:
    expected = binomtest(count, n).proportion_ci(method="wilson")
    found = share("x", count, n)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_votes_that_do_not_belong_are_refused(study: Path, tmp_path: Path) -> None:
    good = vote(study, "x", side_of("real"))
    with pytest.raises(DataError, match="repeats votes of 'x'"):
        count_votes([good, good])
    record = json.loads(good.read_text())
    (study / "other.json").write_text(json.dumps({**record, "study": "0"}))
    with pytest.raises(DataError, match="another study"):
        count_votes([study / "other.json"])
    record["votes"][0]["choice"] = "middle"
    (study / "bad.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="is damaged"):
        count_votes([study / "bad.json"])
    (tmp_path / "lone.json").write_text(json.dumps({**record, "votes": []}))
    with pytest.raises(DataError, match="no votes"):
        count_votes([tmp_path / "lone.json"], study)
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "v.json").write_text("{}")
    with pytest.raises(DataError, match="name the study's folder"):
        count_votes([tmp_path / "far" / "v.json"])


def test_the_command_exports_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder_of(tmp_path / "true", 6)
    judge = tmp_path / "judge"
    human = ("eval", "--metric", "human", "--export", str(judge))
    with pytest.raises(SystemExit) as caught:
        main([*human, "--model", "grey", "--data", str(data), "--limit", "4", "--quiet"])
    assert caught.value.code == 0
    assert len(embedded(judge)["trials"]) == 4
    votes = [str(vote(judge, name, side_of("real"))) for name in ("one", "two")]
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([*human, "--votes", *votes, "--json"])
    assert caught.value.code == 0
    assert json.loads(capsys.readouterr().out)["shares"][0]["n"] == 8


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.pop("judge"),
        lambda record: record.pop("study"),
        lambda record: record.pop("votes"),
        lambda record: record.update(votes=None),
        lambda record: record.update(votes=["x"]),
        lambda record: record.update(judge=["a"]),
        lambda record: record["votes"][0].update(trial=["x"]),
        lambda record: record.clear(),
    ],
)
def test_damaged_votes_are_told_in_one_line(study: Path, damage: object) -> None:
    path = vote(study, "damaged", side_of("real"))
    record = json.loads(path.read_text())
    damage(record)  # type: ignore[operator]
    path.write_text(json.dumps(record))
    try:
        with pytest.raises(DataError) as caught:
            count_votes([path], study)
    finally:
        path.unlink()
    assert "\n" not in str(caught.value)
