"""Reports: written, read, compared or refused, shown; and `recolor eval` itself."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluate_fixtures import folder_of, measure, picture, write

from recolor_cli.cli.app import main
from recolor_cli.errors import DataError, OutputError, UsageError
from recolor_cli.evaluate.colouring import ByFiles, LeftGrey
from recolor_cli.evaluate.compare import compare, why_not
from recolor_cli.evaluate.panels import panels, write_panel
from recolor_cli.evaluate.protocols import PROTOCOLS
from recolor_cli.evaluate.report import Report, number, read_report, write_report
from recolor_cli.evaluate.sources import matched, truths

NAMES = ["psnr", "l1-ab", "colorfulness"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("true"), 20)


@pytest.fixture(scope="module")
def grey(data: Path) -> Report:
    return measure(data, names=NAMES)


@pytest.fixture(scope="module")
def perfect(data: Path) -> Report:
    return measure(matched([data], data), ByFiles("perfect"), NAMES)


def test_a_report_survives_writing_and_reading(grey: Report, tmp_path: Path) -> None:
    write_report(grey, tmp_path / "out")
    for path in (tmp_path / "out", tmp_path / "out" / "report.json", str(tmp_path / "out")):
        again = read_report(path)
        assert again.to_json() == grey.to_json()
        assert again.names == grey.names
        assert again.each == grey.each


def test_the_csv_has_a_line_for_each_picture(grey: Report) -> None:
    lines = grey.to_csv().splitlines()
    assert lines[0] == "picture,psnr,l1-ab,colorfulness,colorfulness of truth"
    assert len(lines) == 21
    mean = np.mean([float(line.split(",")[1]) for line in lines[1:]])
    assert mean == pytest.approx(grey.metrics["psnr"]["value"])


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other"}', '{"format": "recolor-eval/1"}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(DataError, match="is not an evaluation report"):
        read_report(tmp_path)
    with pytest.raises(DataError, match="no report"):
        read_report(tmp_path / "nowhere.json")


def test_a_report_is_not_written_where_a_file_stands(grey: Report, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError):
        write_report(grey, tmp_path / "out")


def test_a_clear_difference_is_called_clear(grey: Report, perfect: Report) -> None:
    rows = {row.name: row for row in compare(grey, perfect)}
    assert {row.verdict for row in rows.values()} == {"b better"}
    assert {row.how for row in rows.values()} == {"pictures"}
    assert rows["l1-ab"].low <= rows["l1-ab"].b - rows["l1-ab"].a <= rows["l1-ab"].high < 0
    assert {row.verdict for row in compare(perfect, grey)} == {"a better"}


def test_no_difference_is_not_called_one(grey: Report) -> None:
    assert {row.verdict for row in compare(grey, grey)} == {"no clear difference"}


def test_without_single_pictures_intervals_are_combined(grey: Report, perfect: Report) -> None:
    bare = [replace(report, names=(), each={}) for report in (grey, perfect)]
    row = next(row for row in compare(*bare) if row.name == "l1-ab")
    paired = next(row for row in compare(grey, perfect) if row.name == "l1-ab")
    assert row.how == "intervals"
    assert row.low < row.b - row.a < row.high
    assert row.low == pytest.approx(paired.low, rel=0.3)


def changed(report: Report, part: str, **values: object) -> Report:
    return replace(report, **{part: {**getattr(report, part), **values}})


def other_definition(report: Report) -> Report:
    return changed(report, "metrics", psnr={**report.metrics["psnr"], "definition": "other."})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda r: changed(r, "protocol", name="ctest10k"),
            "protocols are 'native' and 'ctest10k'",
        ),
        (lambda r: changed(r, "protocol", filter="bilinear"), "'native' differs in filter"),
        (lambda r: replace(r, n=19), "there are 20 and 19 pictures"),
        (lambda r: changed(r, "data", sha256="0"), "pictures are not the same"),
        (other_definition, "'psnr' has another definition"),
        (lambda r: replace(r, metrics={}), "no metric in common"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(
    grey: Report, change: object, reason: str
) -> None:
    other = change(grey)
    assert any(reason in text for text in why_not(grey, other))
    with pytest.raises(UsageError, match="cannot be compared"):
        compare(grey, other)


def test_best_and_worst_pictures_are_ordered_and_shown(
    data: Path, grey: Report, tmp_path: Path
) -> None:
    made = panels(grey, truths([data]), LeftGrey(), PROTOCOLS["native"])
    assert [title for title, _ in made] == ["Best 10 by l1-ab", "Worst 10 by l1-ab"]
    values = [float(caption.split()[1]) for caption, _, _ in made[0][1]]
    assert values == sorted(values)
    assert values[0] == pytest.approx(min(grey.each["l1-ab"]), rel=1e-3)
    write_panel(tmp_path / "best.png", made[0][1])
    shown = cv2.imread(str(tmp_path / "best.png"))
    assert shown.shape == (3 * 178, 4 * 328, 3)
    assert shown[:20, :100].std() > 0


@pytest.mark.parametrize(("count", "best", "worst"), [(1, 1, 0), (2, 1, 1), (5, 2, 2), (20, 4, 4)])
def test_no_picture_is_among_the_best_and_the_worst(
    count: int, best: int, worst: int, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recolor_cli.evaluate.panels.PICTURES", 4)
    pairs = truths([data])[:count]
    report = measure(pairs, names=["l1-ab"])
    made = panels(report, pairs, LeftGrey(), PROTOCOLS["native"])
    titles = [f"Best {best} by l1-ab", f"Worst {worst} by l1-ab"]
    assert [title for title, _ in made] == (titles if worst else titles[:1])
    shown = [caption.split()[2] for _, pictures in made for caption, _, _ in pictures]
    assert len(shown) == len(set(shown)) == best + worst
    if worst:
        errors = [[float(caption.split()[1]) for caption, _, _ in part] for _, part in made]
        assert max(errors[0]) <= min(errors[1])


def test_the_page_needs_nothing_but_itself(data: Path, grey: Report, tmp_path: Path) -> None:
    made = panels(grey, truths([data]), LeftGrey(), PROTOCOLS["native"])
    risky = replace(grey, coloured={**grey.coloured, "name": "<script>alert(1)</script>"})
    write_report(risky, tmp_path, made)
    text = (tmp_path / "report.html").read_text()
    assert set(re.findall(r"(?:src|href)=.([a-z]+:)", text)) == {"data:"}
    assert not re.search(r"https?://|@import|url\(", text)
    assert "<script" not in text
    assert text.count("data:image/jpeg") == 40
    assert text.count("<svg") == 3
    assert grey.data["sha256"] in text
    assert f"<dt>psnr<dd>{grey.metrics['psnr']['definition'][:40]}" in text
    _, _, how = text.partition("How it was measured")
    assert "None" not in how
    assert "[" not in how


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0"), (12.3456, "12.35"), (0.00123456, "0.001235"), (98765.4, "98765")],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert number(value) == text


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["eval", *arguments])
    return int(caught.value.code or 0)


def test_eval_prints_one_json_object(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--model", "grey", "--data", str(data), "--metric", "psnr", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["n"] == 20
    assert list(record["metrics"]) == ["psnr"]
    assert record["not_measured"] == {}


def test_eval_writes_and_compares(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--data", str(data), "--metric", "l1-ab", "--quiet")
    assert run("--model", "grey", *options, "--out", str(tmp_path / "a")) == 0
    assert run("--pred", str(data), *options, "--out", str(tmp_path / "b")) == 0
    assert {p.name for p in (tmp_path / "a").iterdir()} == {
        "report.json", "images.csv", "report.html", "best.png", "worst.png",
    }  # fmt: skip
    capsys.readouterr()
    reports = [str(tmp_path / name / "report.json") for name in "ab"]
    assert run("--compare", *reports) == 0
    assert "b better" in capsys.readouterr().out
    assert run("--model", "grey", *options, "--limit", "5", "--out", str(tmp_path / "c")) == 0
    assert run("--compare", reports[0], str(tmp_path / "c")) == 2
    assert "there are 20 and 5 pictures" in capsys.readouterr().err


def test_metrics_without_their_network_are_named_and_the_others_measured(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOLOR_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    both = ("--metric", "fid", "--metric", "psnr", "--offline")
    assert run("--model", "grey", "--data", str(data), *both) == 3
    out, err = capsys.readouterr()
    assert "psnr" in out
    assert "fid" not in out
    assert "weights-inception-2015-12-05-6726825d.pth" in err
    assert run("--model", "grey", "--data", str(data), "--metric", "fid", "--offline") == 3


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("--pred", "x"), 2, "--pred needs the true photographs"),
        (("--pred", "x", "--model", "y", "--data", "z"), 2, "exclude each other"),
        (("stray",), 2, "what is 'stray'"),
        (("--compare", "a.json"), 2, "takes two reports"),
        (("--metric", "nonsense"), 2, "no metric 'nonsense'"),
        (("--protocol", "nonsense"), 2, "no protocol 'nonsense'"),
        (("--metric", "human"), 2, "needs --export"),
        (("--export", "x"), 2, "belong to --metric human"),
        (("--metric", "human", "--metric", "psnr", "--data", "x"), 2, "stands alone"),
        (("--model", "grey", "--data", "nowhere"), 1, "'nowhere' does not exist"),
        ((), 2, "type 'recolor eval --model NAME"),
    ],
)
def test_wrong_commands_say_what_to_type(
    arguments: tuple[str, ...], status: int, text: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == status
    err = capsys.readouterr().err
    assert text in err
    assert err.count("\n") == 1


def test_a_model_is_evaluated_as_colorize_would_colour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from recolor_cli.checkpoints import Card, save_weights
    from recolor_cli.colorize import Colorizer
    from recolor_cli.models import create_model

    arguments = {"widths": [16, 16, 16, 16], "attention": 0, "mid_attention": 0, "convs": 1}
    card = Card(
        network="bins-unet", arguments=arguments, input_size=64,
        color={"space": "lab-bins", "temperature": 0.3},
    )  # fmt: skip
    weights = tmp_path / "random.safetensors"
    sha256 = save_weights(weights, create_model("bins-unet", **arguments), card)
    true = picture(1, 60, 80)
    write(tmp_path / "true" / "a.png", true)
    colorized = Colorizer(str(weights), "cpu", "fp32").colorize(true)
    write(tmp_path / "pred" / "a.png", colorized)
    common = ("--data", str(tmp_path / "true"), "--protocol", "native", "--json", "--device", "cpu")
    assert run("--model", str(weights), "--precision", "fp32", *common) == 0
    by_model = json.loads(capsys.readouterr().out)
    assert run("--pred", str(tmp_path / "pred"), *common) == 0
    by_file = json.loads(capsys.readouterr().out)
    assert by_model["coloured"]["sha256"] == sha256
    for name, entry in by_model["metrics"].items():
        assert entry["value"] == by_file["metrics"][name]["value"]
