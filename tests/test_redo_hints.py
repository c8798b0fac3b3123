"""Hints of a review are done, remembered and shown; those of --hints and palettes come again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from colorize_fixtures import save_tiny_weights
from gallery_fixtures import data_of, put_gray, recolor

from recolor_cli.color.hints import Hint
from recolor_cli.colorize.hint_entries import parse_hints, to_entries
from recolor_cli.colorize.hints import HintBook
from recolor_cli.colorize.manifest import Manifest
from recolor_cli.errors import UsageError
from recolor_cli.gallery.entries import read_entries
from recolor_cli.gallery.review import read_review
from recolor_cli.images.read import read_provenance

POINT = {"point": [0.25, 0.5], "color": "#c81e1e"}
BOX = {"box": [0.5, 0.25, 0.75, 0.75], "color": "navy"}
NAVY = {**BOX, "color": "#000080"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with a.jpg and b.jpg, not yet coloured."""
    save_tiny_weights(tmp_path / "tiny.safetensors")
    for number, name in enumerate(("a.jpg", "b.jpg")):
        put_gray(tmp_path / "in" / name, number)
    return tmp_path / "out"


def colorize(out: Path, *more: object) -> None:
    place = out.parent
    status, _, err = recolor(
        "colorize", place / "in", "-o", out, "-m", place / "tiny.safetensors", *more
    )
    assert status == 0, err


def redo(out: Path, marks: dict[str, dict[str, Any]], *more: object) -> str:
    """Mark, do it, and give back what was said."""
    shas = {entry.key: entry.sha256 for entry in read_entries(out)[0]}
    photos = [
        {"output": key, "sha256": shas[key], "mark": "redo", **mark} for key, mark in marks.items()
    ]
    file = out.parent / "review.json"
    file.write_text(json.dumps({"format": "recolor-review/1", "out": str(out), "photos": photos}))
    status, _, err = recolor("colorize", "--redo", file, *more)
    assert status == 0, err
    return err


def hints_in(output: Path) -> int:
    """How many hints a result says that it was made with."""
    made = read_provenance(output)
    assert made is not None
    return int(made.settings.get("hints", 0))


def noted(out: Path, key: str) -> Any:
    line = Manifest(out).get(key)
    assert line is not None
    return line.facts.get("hints")


def test_hints_of_a_review_are_done_and_stay_for_the_next_redo(out: Path) -> None:
    colorize(out)
    plain = (out / "b.jpg").read_bytes()
    assert "1 done" in redo(out, {"a.jpg": {"hints": [POINT, BOX]}})
    assert hints_in(out / "a.jpg") == 2
    assert noted(out, "a.jpg") == [POINT, NAVY]
    assert (out / "b.jpg").read_bytes() == plain
    # Redone for another reason they come again, though they lie in no file.
    redo(out, {"a.jpg": {"settings": {"saturation": 0.5}}})
    assert hints_in(out / "a.jpg") == 2
    assert noted(out, "a.jpg") == [POINT, NAVY]
    # A mark with other hints has all there are; an empty list has none.
    redo(out, {"a.jpg": {"hints": [NAVY]}})
    assert noted(out, "a.jpg") == [NAVY]
    redo(out, {"a.jpg": {"hints": []}})
    assert (hints_in(out / "a.jpg"), noted(out, "a.jpg")) == (0, None)


def test_the_page_knows_the_hints_and_the_name_of_their_file(out: Path) -> None:
    colorize(out)
    redo(out, {"a.jpg": {"hints": [POINT]}})
    recolor("gallery", out)
    photos = {photo["key"]: photo for photo in data_of(out / "gallery.html")["photos"]}
    assert photos["a.jpg"]["hints"] == [POINT]
    assert photos["b.jpg"]["hints"] == []
    assert photos["a.jpg"]["hints_file"] == "a.hints.json"


def test_a_file_that_was_named_is_read_again(out: Path) -> None:
    hints = out.parent / "elsewhere/coat.json"
    hints.parent.mkdir()
    (out.parent / "in/b.jpg").unlink()
    hints.write_text(json.dumps({"hints": [POINT]}))
    colorize(out, "--hints", hints)
    assert noted(out, "a.jpg") == [POINT]
    hints.write_text(json.dumps({"hints": [POINT, BOX]}))
    redo(out, {"a.jpg": {"settings": {"saturation": 0.5}}})
    assert noted(out, "a.jpg") == [POINT, NAVY]
    # When it is gone, what it said is still known; and the command line has a say.
    hints.unlink()
    redo(out, {"a.jpg": {"settings": {"saturation": 0.6}}})
    assert noted(out, "a.jpg") == [POINT, NAVY]
    redo(out, {"a.jpg": {}}, "--hints", "none")
    assert hints_in(out / "a.jpg") == 0
    redo(out, {"a.jpg": {"settings": {"saturation": 0.7}}})  # none is remembered as well
    assert hints_in(out / "a.jpg") == 0


def test_a_palette_is_read_again(out: Path) -> None:
    palette = out.parent / "in/palette.json"
    entry = {"files": "a.jpg", "hints": [{**BOX, "color": "coat"}]}
    palette.write_text(json.dumps({"colors": {"coat": "#000080"}, "photos": [entry]}))
    colorize(out)
    assert noted(out, "a.jpg") == [NAVY]
    palette.write_text(json.dumps({"colors": {"coat": "#c81e1e"}, "photos": [entry]}))
    redo(out, {"a.jpg": {"settings": {"saturation": 0.5}}})
    assert noted(out, "a.jpg") == [{**NAVY, "color": "#c81e1e"}]


def test_pixels_are_noted_as_fractions(out: Path) -> None:
    record = {"units": "pixels", "hints": [{"box": [32, 12, 48, 36], "color": "navy"}]}
    (out.parent / "in/a.hints.json").write_text(json.dumps(record))
    colorize(out)  # of 64 x 48
    assert noted(out, "a.jpg") == [NAVY]


def test_entries_read_back_are_the_same_hints() -> None:
    hints = [
        Hint((0.25, 0.5, 0.25, 0.5), (1, 2, 254)),
        Hint((0.1, 0.2, 0.3, 0.4), None, page=3),
    ]
    assert parse_hints(json.loads(json.dumps(to_entries(hints))), "", {}) == hints
    with pytest.raises(ValueError, match="in_fractions"):
        to_entries([Hint((4, 5, 4, 5), None, in_pixels=True)])


def test_a_review_with_a_wrong_hint_is_refused_in_one_line(tmp_path: Path) -> None:
    photo = {"output": "a.jpg", "mark": "redo", "hints": [{"point": [2, 0], "color": "navy"}]}
    file = tmp_path / "review.json"
    file.write_text(json.dumps({"format": "recolor-review/1", "out": "x", "photos": [photo]}))
    with pytest.raises(UsageError, match=r"photo 1: hint 1: point \[2, 0\] is not within") as told:
        read_review(file)
    assert "\n" not in str(told.value)


def test_the_name_of_a_file_of_hints_is_about_one_photograph(out: Path) -> None:
    folder = out.parent / "in"
    book = HintBook()
    assert book.name_for(folder / "a.jpg") == "a.hints.json"
    shutil.copy(folder / "a.jpg", folder / "a.png")
    assert HintBook().name_for(folder / "a.jpg") == "a.jpg.hints.json"
    (folder / "b.jpg.hints.json").write_text("{}")
    assert HintBook().name_for(folder / "b.jpg") == "b.jpg.hints.json"
