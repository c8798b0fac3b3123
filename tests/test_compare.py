"""Comparisons: grey beside colour, and one photograph made in several ways."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from colorize_fixtures import save_tiny_weights, tree
from gallery_fixtures import put_gray, recolor

from recolor_cli.colorize.plan import Target
from recolor_cli.colorize.settings import Settings
from recolor_cli.errors import OutputError, PhotoError, UsageError
from recolor_cli.gallery.pictures import chroma_of, look_at
from recolor_cli.gallery.sheet import MARGIN_PX, check_place, lay_out, make_sheet
from recolor_cli.gallery.side_by_side import (
    GAP_PX,
    check_comparisons,
    comparison_of,
    join,
    write_comparison,
)
from recolor_cli.images.read import read_provenance


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put_gray(tmp_path / "in/tall.jpg", 1, (64, 48))
    put_gray(tmp_path / "in/sub/wide.tif", 2, (32, 64))
    return tmp_path / "in"


def test_compare_writes_grey_beside_colour(folder: Path, tmp_path: Path, weights: Path) -> None:
    out = tmp_path / "out"
    status, _, err = recolor("colorize", folder, "-o", out, "-m", weights, "--compare")
    assert status == 0, err
    assert set(tree(out)) == {
        "tall.jpg", "tall.compare.jpg", "sub/wide.tif", "sub/wide.tif.compare.jpg"
    }  # fmt: skip
    pair = look_at(out / "tall.compare.jpg", 4096).pixels
    assert pair.shape == (64, 2 * 48 + GAP_PX, 3)
    left, right = pair[:, :48], pair[:, -48:]
    assert chroma_of(left)[0] < 1 < chroma_of(right)[0]
    original = look_at(folder / "tall.jpg", 4096).pixels
    assert np.abs(left[..., 0].astype(int) - original).mean() < 4
    assert look_at(out / "sub/wide.tif.compare.jpg", 4096).pixels.shape == (32, 2 * 64 + GAP_PX, 3)


@pytest.mark.skipif(os.name == "nt", reason="names are measured otherwise")
@pytest.mark.parametrize("option", [["--compare"], ["--variants", "2"]])
def test_a_name_that_is_just_short_enough_stops_nobody_else(
    folder: Path, tmp_path: Path, weights: Path, option: list[str]
) -> None:
    put_gray(folder / ("n" * 250 + ".jpg"), 3, (32, 32))
    out = tmp_path / "out"
    status, _, err = recolor("colorize", folder, "-o", out, "-m", weights, *option)
    assert status == 1
    assert "Traceback" not in err
    assert "too long" in err
    expected = {"--compare": "tall.compare.jpg", "--variants": "tall.variants.jpg"}[option[0]]
    assert expected in tree(out)


def test_a_second_run_takes_comparisons_for_what_they_are(
    folder: Path, tmp_path: Path, weights: Path
) -> None:
    out = tmp_path / "out"
    run = ("colorize", folder, "-o", out, "-m", weights, "--compare", "--json")
    recolor(*run)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*") if path.is_file()}
    _, said, _ = recolor(*run)
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["event"] for line in lines] == ["photo", "photo", "summary"]
    assert (lines[-1]["total"], lines[-1]["skipped"]) == (2, 2)
    pictures = {path: time for path, time in before.items() if path.suffix in (".jpg", ".tif")}
    assert {path: path.stat().st_mtime_ns for path in pictures} == pictures
    # Other colours give other comparisons.
    old = (out / "tall.compare.jpg").read_bytes()
    _, said, _ = recolor(*run, "--saturation", "0.3")
    events = [json.loads(line)["event"] for line in said.splitlines()]
    assert sorted(events) == ["comparison", "comparison", "photo", "photo", "summary"]
    assert events[-1] == "summary"
    assert (out / "tall.compare.jpg").read_bytes() != old


def test_a_comparison_says_that_its_colours_are_estimated(
    folder: Path, tmp_path: Path, weights: Path
) -> None:
    recolor("colorize", folder, "-o", tmp_path / "out", "-m", weights, "--compare")
    note = read_provenance(tmp_path / "out/tall.compare.jpg")
    assert note is not None
    assert note.model == "tiny"
    assert "comparison_of" in note.settings


def test_a_file_of_somebody_else_is_left_alone(folder: Path, tmp_path: Path, weights: Path) -> None:
    place = put_gray(tmp_path / "out/tall.compare.jpg", 9)
    mine = place.read_bytes()
    status, _, err = recolor("colorize", folder, "-o", tmp_path / "out", "-m", weights, "--compare")
    assert status == 1
    assert "is not ours; move it away" in err
    assert place.read_bytes() == mine
    assert (tmp_path / "out/tall.jpg").exists()


def test_results_and_comparisons_of_one_name_are_refused_before_work(
    folder: Path, tmp_path: Path, weights: Path
) -> None:
    put_gray(folder / "tall.compare.jpg", 3)
    status, _, err = recolor("colorize", folder, "-o", tmp_path / "out", "-m", weights, "--compare")
    assert (status, "leave out --compare" in err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_one_photograph_into_one_file(folder: Path, tmp_path: Path, weights: Path) -> None:
    status, _, _ = recolor(
        "colorize", folder / "tall.jpg", "-o", tmp_path / "x.png", "-m", weights, "--compare"
    )
    assert status == 0
    assert (tmp_path / "x.png.compare.jpg").exists()


def test_turned_photographs_are_compared_upright(tmp_path: Path, weights: Path) -> None:
    from PIL import Image

    picture = Image.fromarray(np.tile(np.arange(0, 240, 4, np.uint8), (40, 1)))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    recolor("colorize", tmp_path / "a.jpg", "-o", tmp_path / "out", "-m", weights, "--compare")
    pair = look_at(tmp_path / "out/a.compare.jpg", 4096).pixels
    assert pair.shape[:2] == (60, 2 * 40 + GAP_PX)


def test_what_is_no_result_has_no_comparison(tmp_path: Path) -> None:
    gray = put_gray(tmp_path / "a.jpg", 1)
    with pytest.raises(PhotoError, match="is no result of recolor"):
        write_comparison(gray, gray)
    with pytest.raises(PhotoError, match="not the size of its result"):
        join(np.zeros((4, 4), np.uint8), np.zeros((4, 5, 3), np.uint8))


def test_no_two_results_share_a_comparison() -> None:
    names = ["a.jpg", "a.jpeg", "a.tif", "a.png", "b"]
    targets = [Target(Path("in") / name, Path(name), name, None) for name in names]
    assert len({comparison_of(target.output) for target in targets}) == len(names)
    check_comparisons(targets)
    bare = Target(Path("in/a"), Path("a"), "a", None)
    with pytest.raises(UsageError, match="leave out --compare"):
        check_comparisons([*targets, bare])


@pytest.mark.parametrize(
    ("axis", "values", "labels"),
    [
        ("sizes", "32,64", ["input size 32", "input size 64"]),
        ("saturations", "0,1,2.5", ["saturation 0", "saturation 1", "saturation 2.5"]),
        ("models", "ONE,TWO", ["one", "two"]),
    ],
)
def test_a_sheet_has_a_labelled_cell_for_each_value(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    axis: str,
    values: str,
    labels: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "two")):
        save_tiny_weights(tmp_path / f"{name}.safetensors", seed)
    values = values.replace("ONE", "one.safetensors").replace("TWO", "two.safetensors")
    photo = put_gray(tmp_path / "photo.jpg", 1)
    status, said, err = recolor("compare", photo, f"--{axis}", values, "-m", "one.safetensors",
                                "--json")  # fmt: skip
    assert status == 0, err
    record = json.loads(said)
    assert record["labels"] == ["as it was", *labels]
    assert record["output"] == f"photo-{axis}.jpg"
    note = read_provenance(tmp_path / record["output"])
    assert note is not None
    assert note.settings["sheet"] == axis


def test_cells_are_what_colorize_would_make(tmp_path: Path, weights: Path) -> None:
    photo = put_gray(tmp_path / "a.png", 1)
    sheet = make_sheet(photo, "saturations", [0.5, 2.0], Settings(model=str(weights)))
    recolor("colorize", photo, "-o", tmp_path / "out", "-m", weights, "--saturation", "2")
    wanted = look_at(tmp_path / "out/a.png", 4096).pixels
    height, width = wanted.shape[:2]
    found = [
        (y, x)
        for y in range(sheet.pixels.shape[0] - height + 1)
        for x in range(MARGIN_PX, sheet.pixels.shape[1] - width + 1, width + MARGIN_PX)
        if np.array_equal(sheet.pixels[y : y + height, x : x + width], wanted)
    ]
    assert len(found) == 1


def test_a_sheet_is_replaced_and_nothing_else_is(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = put_gray(tmp_path / "a.jpg", 1)
    run = ("compare", photo, "--saturations", "0.5,1", "-m", weights)
    assert recolor(*run)[0] == 0
    assert recolor(*run)[0] == 0
    mine = put_gray(tmp_path / "mine.jpg", 2)
    before = mine.read_bytes()
    status, _, err = recolor(*run, "-o", "mine.jpg")
    assert (status, "--overwrite replaces it" in err) == (4, True)
    assert mine.read_bytes() == before
    assert recolor(*run, "-o", "mine.jpg", "--overwrite")[0] == 0
    with pytest.raises(UsageError, match="the photograph itself"):
        check_place(photo, photo, overwrite=True)
    with pytest.raises(OutputError, match="no sheet of ours"):
        check_place(put_gray(tmp_path / "x.jpg", 1), photo)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "a sheet varies one thing, got nothing"),
        (("--sizes", "32,64", "--saturations", "1,2"), "got --sizes and --saturations"),
        (("--sizes", "32,big"), "'big', which is no number"),
        (("--sizes", "32"), "--sizes takes 2 to 24 values, got 1"),
        (("--sizes", "8,64"), "--input-size must be 16"),
        (("--saturations", "1,2", "-o", "x.png"), "name 'x.jpg'"),
        (("--temperatures", "0.2,1"), "predicts no distribution"),
    ],
)
def test_what_cannot_be_varied_is_told(
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = put_gray(tmp_path / "a.jpg", 1)
    status, _, err = recolor("compare", photo, *options, "-m", weights)
    assert (status, words in err) == (2, True), err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg"]


@pytest.mark.parametrize("count", range(2, 25))
@pytest.mark.parametrize("shape", [(40, 60), (60, 40)])
def test_every_cell_is_on_the_sheet_once(count: int, shape: tuple[int, int]) -> None:
    cells = [(str(n), np.full((*shape, 3), n * 10 + 5, np.uint8)) for n in range(count)]
    sheet = lay_out(cells)
    for n in range(count):
        mask = (sheet == n * 10 + 5).all(axis=2).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        assert max(stats[1:, cv2.CC_STAT_AREA]) == shape[0] * shape[1]
