"""index.html of a run: what it shows, that it follows the run, and that it ends as the run did."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import browser
import cv2
import pytest
from train_fixtures import StopAfter, small, write_photos

from recolor_cli.cli.app import main
from recolor_cli.evaluate.charts import histogram, lines
from recolor_cli.train import train
from recolor_cli.training.keeper import DivergedError, Silent
from recolor_cli.training.page import refresh_page


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 20)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing them with matplotlib takes longer than the training."""
    monkeypatch.setattr("recolor_cli.training.keeper.draw_curves", lambda *_: None)


class Reader(Silent):
    """Looks at the page while the run goes on."""

    def __init__(self, page: Path) -> None:
        self.page, self.seen = page, []  # type: ignore[var-annotated]

    def step(self, images: int, total: int, values: object) -> None:
        self.seen.append(self.page.read_text())


@pytest.fixture(scope="module")
def finished(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("runs")
    reader = Reader(folder / "run" / "index.html")
    recipe = small("tiny", folder, total_images="16", validate_every_images="8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recolor_cli.training.keeper.draw_curves", lambda *_: None)
        patch.setattr("recolor_cli.training.keeper.SHOW_EVERY_S", 0.0)
        run = train(recipe, [photos], folder / "run", name="tiny", watcher=reader)
    return run, reader.seen


def test_the_page_follows_the_run_and_stops_with_it(finished: tuple[Path, list[str]]) -> None:
    run, seen = finished
    assert all("RUNNING = true" in page and "http-equiv=refresh" in page for page in seen)
    assert "0 of 16 images" in seen[0]
    assert any("8 of 16 images (50%)" in page for page in seen)
    page = (run / "index.html").read_text()
    assert "16 of 16 images (100%)" in page
    assert "RUNNING = false" in page
    assert "http-equiv=refresh" not in page
    assert "class='state done'" in page


def test_the_page_shows_what_the_run_left(finished: tuple[Path, list[str]]) -> None:
    run, _ = finished
    page = (run / "index.html").read_text()
    for heading in ("Curves", "Samples over time", "Best of the validation set",
                    "Worst of the validation set", "Each photograph", "Validation", "Recipe",
                    "What to type", "Files"):  # fmt: skip
        assert f"<h2>{heading}</h2>" in page
    assert f"recolor colorize photo.jpg -o out --model {run}" in page
    assert f"recolor eval --model {run}" in page
    linked = re.findall(r"(?:src|href)='([^']+)'", page)
    assert {"panels/best.png", "panels/worst.png", "log.jsonl", "best/model.safetensors"} <= set(
        linked
    )
    assert not [name for name in linked if not (run / name).exists()]
    samples = json.loads(re.search(r"const SAMPLES = (\[.*?\]\])", page)[1])  # type: ignore[index]
    assert [file for file, _ in samples] == [f"samples/{n:09d}.png" for n in (0, 8, 16)]
    assert not re.search(r"https?://(?!www\.w3)|@import|url\(", page), "it needs no network"
    for field in ("crop_px", "network_arguments", "lr"):
        assert re.search(rf"<td>(<b>)?{field}(</b>)?<td>", page), field


def test_best_and_worst_are_chosen_by_the_figures_of_each_photograph(
    finished: tuple[Path, list[str]],
) -> None:
    run, _ = finished
    record = json.loads((run / "validation.json").read_text())
    assert record["images"] == 16
    errors = record["each"]["ab_error"]
    assert len(errors) == len(record["names"]) == len(record["each"]["colorfulness_truth"])
    last = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()][-1]
    assert sum(errors) / len(errors) == pytest.approx(last["val_ab_error"])
    grey = record["each"]["ab_error_gray"]
    assert sum(grey) / len(grey) == pytest.approx(last["val_ab_error_gray"])

    def error_of(panel: str) -> float:  # of the first column, from the pixels
        picture = cv2.imread(str(run / "panels" / panel)).astype(float)
        side = picture.shape[0] // 3
        _, made, true = (picture[row * side : (row + 1) * side, :side] for row in range(3))
        return float(abs(made - true).mean())

    assert error_of("best.png") < error_of("worst.png")


@pytest.mark.parametrize("ending", ["interrupted", "stopped"])
def test_the_page_says_how_a_run_ended(photos: Path, tmp_path: Path, ending: str) -> None:
    recipe = small("tiny", tmp_path, total_images="400", log_every_images="4")
    if ending == "interrupted":
        with pytest.raises(KeyboardInterrupt):
            train(recipe, [photos], tmp_path / "run", watcher=StopAfter(8))
    else:
        with pytest.raises(DivergedError):
            train(replace(recipe, divergence_factor=1e-3), [photos], tmp_path / "run")
    page = (tmp_path / "run" / "index.html").read_text()
    assert f"class='state {ending}'" in page
    assert "RUNNING = false" in page
    assert f"recolor train --resume {tmp_path / 'run'}" in page
    if ending == "stopped":
        assert "<strong>&#x27;g_reconstruction&#x27; rose from" in page


def test_an_evaluation_inside_the_run_is_linked(
    finished: tuple[Path, list[str]], tmp_path: Path
) -> None:
    run, _ = finished
    assert "evaluation/report.html" not in (run / "index.html").read_text()
    (run / "evaluation").mkdir()
    (run / "evaluation" / "report.html").write_text("figures")
    assert refresh_page(run)
    assert "href='evaluation/report.html'" in (run / "index.html").read_text()
    assert not refresh_page(tmp_path), "no run, no page"
    assert list(tmp_path.iterdir()) == []


def test_charts_show_what_they_are_given_and_nothing_else() -> None:
    nan = float("nan")
    chart = lines("<loss>", {"g": [(0, 1.0), (10, nan), (20, 3.0)], "none": []}, "images")
    assert "&lt;loss&gt;" in chart
    assert chart.count("<circle") == 2
    assert "nan" not in chart
    assert lines("empty", {"g": [(0, nan)]}, "images") == ""
    many = lines("many", {"g": [(n, n % 7) for n in range(5000)]}, "images")
    assert many.count(",") < 2000, "a long log does not make a long page"
    flat = histogram("flat", {"a": [2.0, 2.0, 2.0]})
    assert "mean 2" in flat
    assert histogram("nothing", {"a": []}) == ""
    low, high = (
        float(x) for x in re.search(r"points='([\d.]+),.* ([\d.]+),[\d.]+'", flat).groups()
    )  # type: ignore[union-attr]
    assert 0 <= low < high <= 460


def test_a_run_needs_no_matplotlib_and_says_what_is_missing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recolor_cli.training.keeper.find_spec", lambda _: None)
    said: list[str] = []

    class Listener(Silent):
        def message(self, text: str) -> None:
            said.append(text)

    run = train(small("tiny", tmp_path), [photos], tmp_path / "run", watcher=Listener())
    assert any("no curves.png without matplotlib" in text for text in said)
    assert not (run / "curves.png").exists()
    page = (run / "index.html").read_text()
    assert "<h2>Curves</h2>" in page
    assert "curves.png" not in page


def test_statistics_need_no_matplotlib_unless_a_plot_is_asked_for(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("recolor_cli.cli.data.find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for more, status in (([], 0), (["--out", "plot.png"], 2)):
        with pytest.raises(SystemExit) as left:
            main(["data", "stats", str(photos), *more])
        assert left.value.code == status
        out, err = capsys.readouterr()
        assert "hasler" in out, "the figures are there in any case"
        assert "pip install 'recolor-cli[train]'" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(bool(browser.MISSING), reason=browser.MISSING)
def test_a_browser_turns_through_the_samples_and_finds_every_picture(
    finished: tuple[Path, list[str]], tmp_path: Path
) -> None:
    run, _ = finished
    with browser.Browser(tmp_path) as page:
        page.open(run / "index.html")
        page.until("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert page.run("return document.querySelector('#sample').src").endswith("000000016.png")
        page.run(
            "const slider = document.querySelector('.time input'); slider.value = 0;"
            "slider.dispatchEvent(new Event('input'));"
        )
        page.until("document.querySelector('#sample').src.endsWith('000000000.png')")
        assert page.run("return document.querySelector('.time output').textContent") == (
            "0 images, epoch 0"
        )
        assert page.run("return document.body.scrollWidth <= innerWidth")
        assert page.run("return failures") == []
