"""The gallery page: every photograph once, nothing from outside, and marks that are done."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from colorize_fixtures import save_tiny_weights, tree
from gallery_fixtures import NAMES, data_of, gray_picture, put_folder, put_gray, recolor

from recolor_cli.colorize.manifest import Manifest, hash_file
from recolor_cli.errors import UsageError
from recolor_cli.gallery.entries import natural, read_entries
from recolor_cli.gallery.page import _flag, make_gallery, page_of
from recolor_cli.gallery.pictures import chroma_of, look_at
from recolor_cli.gallery.review import read_review
from recolor_cli.images.read import read_provenance


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """A folder with photographs, and what became of them, with a page."""
    place = tmp_path_factory.mktemp("gallery")
    status, _, err = recolor(
        "colorize", put_folder(place / "in"), "-o", place / "out", "--model", weights, "--gallery"
    )
    assert status == 1, err  # one is damaged
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy of it, with times as they were, to change."""
    shutil.copytree(made, tmp_path / "copy")
    manifest = tmp_path / "copy/out/.recolor/manifest.jsonl"
    old, new = (json.dumps(str(path))[1:-1] for path in (made, tmp_path / "copy"))
    manifest.write_text(manifest.read_text().replace(old, new))
    return tmp_path / "copy"


def review_of(out: Path, marks: dict[str, dict[str, object]], file: Path) -> Path:
    """review.json as the page writes it."""
    shas = {entry.key: entry.sha256 for entry in read_entries(out)[0]}
    photos = [{"output": key, "sha256": shas[key], **mark} for key, mark in marks.items()]
    record = {"format": "recolor-review/1", "out": str(out), "saved": "", "photos": photos}
    file.write_text(json.dumps(record))
    return file


def test_every_photograph_is_on_the_page_once_with_what_became_of_it(made: Path) -> None:
    photos = data_of(made / "out/gallery.html")["photos"]
    status = {photo["key"]: photo["status"] for photo in photos}
    assert len(photos) == len(status) == len(NAMES) + 2
    assert status.pop("damaged.jpg") == "failed"
    assert status.pop("colour.png") == "skipped"
    assert status == dict.fromkeys(NAMES, "done")
    assert "truncated" in next(p["reason"] for p in photos if p["key"] == "damaged.jpg")


def test_every_link_leads_to_a_file(made: Path) -> None:
    for photo in data_of(made / "out/gallery.html")["photos"]:
        if photo["status"] != "done":
            continue
        for kind in ("before", "after", "before_thumb", "after_thumb"):
            path = made / "out" / unquote(photo[kind])
            assert path.is_file(), (photo["key"], kind)
            if kind == "before":
                gray = look_at(path, 4096).pixels
                assert gray.ndim == 2 or chroma_of(gray)[0] < 0.5
            elif kind == "after":
                assert chroma_of(look_at(path, 4096).pixels)[0] > 2


def test_what_browsers_do_not_show_is_shown_as_a_copy(made: Path) -> None:
    photos = {photo["key"]: photo for photo in data_of(made / "out/gallery.html")["photos"]}
    tiff, jpeg = photos["sub/deep/c #1?.tif"], photos["a.jpg"]
    assert tiff["after_is_copy"]
    assert tiff["after"].endswith(".jpg")
    assert not jpeg["after_is_copy"]
    assert jpeg["after"] == "a.jpg"
    assert jpeg["before"] == "../in/a.jpg"


def test_facts_say_how_each_was_made(made: Path, weights: Path) -> None:
    photo = next(p for p in data_of(made / "out/gallery.html")["photos"] if p["key"] == "a.jpg")
    assert photo["model"] == "tiny"
    assert photo["weights"] == hash_file(weights)[:12]
    assert photo["settings"]["saturation"] == 1
    assert photo["settings"]["input_size"] == 64
    assert photo["size"] == [64, 48]
    assert photo["seconds"] > 0
    assert photo["chroma"] > 0


def test_the_page_asks_nobody_outside(made: Path) -> None:
    page = (made / "out/gallery.html").read_text("utf-8")
    assert "http:" not in page
    assert "https:" not in page
    assert "//cdn" not in page
    assert "default-src 'none'" in page
    assert page.count("<script") == 2
    assert "<link" not in page
    assert "@import" not in page


def test_no_name_ends_the_script(made: Path) -> None:
    name = "</script><script>alert(1)</script>"
    text = page_of({"photos": [{"key": name}]})
    assert text.count("</script>") == 2
    assert name not in text
    found = text.split('type="application/json">')[1].split("</script>")[0]
    assert json.loads(found) == {"photos": [{"key": name}]}


def test_names_that_are_no_utf_8_are_shown_and_come_back(tmp_path: Path, weights: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    put_gray(tmp_path / "in" / name, 1)
    assert recolor("colorize", tmp_path / "in", "-o", tmp_path / "out", "-m", weights)[0] == 0
    page = make_gallery(tmp_path / "out").page
    (photo,) = data_of(page)["photos"]
    assert (photo["key"], photo["name"], photo["after"]) == (name, "caf\\xe9.jpg", "caf%E9.jpg")
    file = review_of(tmp_path / "out", {name: {"mark": "keep"}}, tmp_path / "review.json")
    assert recolor("colorize", "--redo", file)[0] == 0
    line = Manifest(tmp_path / "out").get(name)
    assert line is not None
    assert line.kept


def test_a_second_page_makes_no_copy_anew(place: Path) -> None:
    out = place / "out"
    make_gallery(out)
    thumbs = out / ".recolor/gallery"
    times = {path.name: path.stat().st_mtime_ns for path in thumbs.glob("*.jpg")}
    assert len(times) >= 2 * len(NAMES)
    (thumbs / "orphan.jpg").write_bytes(b"of a result that is gone")
    make_gallery(out)
    assert {path.name: path.stat().st_mtime_ns for path in thumbs.glob("*.jpg")} == times


def test_without_the_input_the_grey_one_is_made_from_the_result(place: Path) -> None:
    shutil.rmtree(place / "in")
    page = make_gallery(place / "out").page
    photo = next(p for p in data_of(page)["photos"] if p["key"] == "a.jpg")
    assert photo["derived"]
    gray = look_at(page.parent / photo["before"], 4096).pixels
    color = look_at(page.parent / photo["after"], 4096).pixels
    assert gray.shape[:2] == color.shape[:2]
    assert gray.ndim == 2 or chroma_of(gray)[0] < 0.5


def test_a_result_that_was_removed_is_told(place: Path) -> None:
    (place / "out/a.jpg").unlink()
    photos = data_of(make_gallery(place / "out").page)["photos"]
    photo = next(p for p in photos if p["key"] == "a.jpg")
    assert photo["status"] == "failed"
    assert "removed" in photo["reason"]


def test_the_page_and_its_copies_are_no_photographs_in_a_later_run(
    place: Path, weights: Path
) -> None:
    before = tree(place / "out")
    status, _, err = recolor("colorize", place / "in", "-o", place / "out", "-m", weights)
    assert (status, "0 done" in err) == (1, True), err
    assert tree(place / "out") == before


@pytest.mark.parametrize(
    ("saturation", "flag"), [("0.05", "gray"), ("0.3", None), ("1", "vivid")], ids=str
)
def test_suspicious_ones_are_flagged(
    tmp_path: Path, weights: Path, saturation: str, flag: str | None
) -> None:
    (tmp_path / "in").mkdir()  # of medium lightness, where the gamut is wide
    cv2.imwrite(str(tmp_path / "in/a.png"), 90 + gray_picture(1) // 5)
    recolor("colorize", tmp_path / "in", "-o", tmp_path / "out", "-m", weights,
            "--saturation", saturation)  # fmt: skip
    (photo,) = data_of(make_gallery(tmp_path / "out").page)["photos"]
    assert photo["flags"] == ([flag] if flag else [])


def test_the_least_sure_and_the_most_saturated_are_flagged() -> None:
    photos: list[dict[str, Any]] = [
        {"status": "done", "chroma": 20.0, "confidence": 0.3 + n / 100, "flags": []}
        for n in range(20)
    ]
    photos[7]["chroma"] = 50.0
    _flag(photos)
    assert [photo["flags"] for photo in photos] == [
        ["unsure"], ["unsure"], *[[]] * 5, ["vivid"], *[[]] * 12
    ]  # fmt: skip


def test_keep_stays_whatever_later_runs_ask(place: Path, weights: Path, tmp_path: Path) -> None:
    out = place / "out"
    kept = (out / "a.jpg").read_bytes()
    file = review_of(out, {"a.jpg": {"mark": "keep"}}, tmp_path / "review.json")
    status, _, err = recolor("colorize", "--redo", file)
    assert status == 0
    assert "0 done, 1 skipped" in err
    run = ("colorize", place / "in", "-o", out, "-m", weights, "--saturation", "0.4")
    _, _, err = recolor(*run)
    assert "kept in a review" in err
    assert (out / "a.jpg").read_bytes() == kept
    other = read_provenance(out / "émile 😀.jpg")
    assert other is not None
    assert other.settings["saturation"] == 0.4
    recolor(*run, "--overwrite")
    assert (out / "a.jpg").read_bytes() != kept


def test_redo_does_what_was_marked_and_nothing_else(
    place: Path, weights: Path, tmp_path: Path
) -> None:
    out = place / "out"
    other = save_tiny_weights(tmp_path / "other.safetensors", seed=7)
    before = tree(out)
    marks: dict[str, dict[str, object]] = {
        "a.jpg": {"mark": "redo", "settings": {"saturation": 0.5}},
        "sub/deep/c #1?.tif": {
            "mark": "redo", "settings": {"model": str(other), "input_size": 32}
        },
        "émile 😀.jpg": {"mark": "keep"},
        "colour.png": {"mark": "redo"},
    }  # fmt: skip
    file = review_of(out, marks, tmp_path / "review.json")
    status, _, err = recolor("colorize", "--redo", file)
    assert (status, "3 done, 1 skipped, 0 failed; 4 in all" in err) == (0, True), err

    after = tree(out)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"a.jpg", "sub/deep/c #1?.tif", "colour.png", "gallery.html"}
    first, second = read_provenance(out / "a.jpg"), read_provenance(out / "sub/deep/c #1?.tif")
    assert first is not None
    assert second is not None
    assert first.settings["saturation"] == 0.5
    assert first.weights_sha256 == hash_file(weights)  # as before, though no --model was typed
    assert second.weights_sha256 == hash_file(other)
    assert second.settings["input_size"] == 32
    assert second.settings["saturation"] == 1

    # The same review again finds everything done, and a later plain run leaves it.
    _, _, err = recolor("colorize", "--redo", file)
    assert "0 done, 4 skipped" in err, err
    recolor("colorize", place / "in", "-o", out, "-m", weights)
    assert {name: data for name, data in tree(out).items() if name != "gallery.html"} == {
        name: data for name, data in after.items() if name != "gallery.html"
    }
    photos = {photo["key"]: photo for photo in data_of(out / "gallery.html")["photos"]}
    assert photos["a.jpg"]["kept"]
    assert photos["a.jpg"]["settings"]["saturation"] == 0.5


def test_a_redo_that_fails_leaves_an_earlier_choice(
    place: Path, weights: Path, tmp_path: Path
) -> None:
    out, away = place / "out", tmp_path / "away"
    mark = {"a.jpg": {"mark": "redo", "settings": {"saturation": 0.5}}}
    recolor("colorize", "--redo", review_of(out, mark, tmp_path / "review.json"))
    chosen = (out / "a.jpg").read_bytes()
    again = {"a.jpg": {"mark": "redo", "settings": {"saturation": 2}}}
    file = review_of(out, again, tmp_path / "review.json")
    (place / "in").rename(away)
    assert recolor("colorize", "--redo", file)[0] == 1
    away.rename(place / "in")
    _, _, err = recolor("colorize", place / "in", "-o", out, "-m", weights)
    assert "kept in a review" in err
    assert (out / "a.jpg").read_bytes() == chosen


def test_what_an_interrupted_redo_has_made_is_kept(
    place: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = place / "out"
    marks = {
        name: {"mark": "redo", "settings": {"saturation": 0.5}}
        for name in ("a.jpg", "émile 😀.jpg")
    }
    file = review_of(out, marks, tmp_path / "review.json")
    shown: list[object] = []

    def show_one_and_stop(result: object, *_: object) -> None:
        shown.append(result)
        if len(shown) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("recolor_cli.cli.colorize._show", show_one_and_stop)
    assert recolor("colorize", "--redo", file, "--workers", "1")[0] == 130
    made = {name: (out / name).read_bytes() for name in marks}
    chosen = [n for n in marks if read_provenance(out / n).settings["saturation"] == 0.5]  # type: ignore[union-attr]
    assert chosen
    recolor("colorize", place / "in", "-o", out, "-m", weights)
    assert {n: (out / n).read_bytes() for n in chosen} == {n: made[n] for n in chosen}


def test_a_redo_makes_again_what_was_changed_since(place: Path, tmp_path: Path) -> None:
    out = place / "out"
    data = (out / "a.jpg").read_bytes()
    (out / "a.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x06note" + data[2:])
    mark = {"a.jpg": {"mark": "redo", "settings": {"saturation": 0.5}}}
    file = review_of(out, mark, tmp_path / "review.json")
    status, _, err = recolor("colorize", "--redo", file)
    assert (status, "1 done" in err) == (0, True), err


def test_a_redo_does_not_replace_what_was_changed_after_the_look(
    place: Path, tmp_path: Path
) -> None:
    out = place / "out"
    mark = {"a.jpg": {"mark": "redo", "settings": {"saturation": 0.5}}}
    file = review_of(out, mark, tmp_path / "review.json")
    data = (out / "a.jpg").read_bytes()
    (out / "a.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x06note" + data[2:])
    retouched = (out / "a.jpg").read_bytes()
    assert "refuse" in recolor("colorize", "--redo", file, "--dry-run")[1]
    status, _, err = recolor("colorize", "--redo", file)
    assert status == 1
    assert "changed since the review" in err
    assert "0 done, 0 skipped, 1 failed; 1 in all" in err
    assert (out / "a.jpg").read_bytes() == retouched


def test_a_page_of_somebody_else_is_not_replaced(place: Path) -> None:
    page = place / "out/gallery.html"
    assert recolor("gallery", place / "out")[0] == 0  # our own is
    page.write_text("<h1>my album</h1>")
    status, _, err = recolor("gallery", place / "out")
    assert status == 4
    assert "no gallery of ours" in err
    assert page.read_text() == "<h1>my album</h1>"


def test_a_plain_redo_takes_the_settings_that_are_typed(place: Path, tmp_path: Path) -> None:
    out = place / "out"
    marks: dict[str, dict[str, object]] = {
        "a.jpg": {"mark": "redo"},
        "émile 😀.jpg": {"mark": "redo", "settings": {"saturation": 0.3}},
    }
    file = review_of(out, marks, tmp_path / "review.json")
    recolor("colorize", "--redo", file, "--saturation", "0.7", "--quality", "80")
    found = {key: read_provenance(out / key) for key in marks}
    assert {key: p and (p.settings["saturation"], p.settings["quality"]) for key, p in
            found.items()} == {"a.jpg": (0.7, 80), "émile 😀.jpg": (0.3, 80)}  # fmt: skip


def test_a_redo_that_is_only_looked_at_changes_nothing(place: Path, tmp_path: Path) -> None:
    out = place / "out"
    before, manifest = tree(out), (out / ".recolor/manifest.jsonl").read_bytes()
    marks: dict[str, dict[str, object]] = {
        "a.jpg": {"mark": "redo", "settings": {"saturation": 2}}, "émile 😀.jpg": {"mark": "keep"}
    }  # fmt: skip
    file = review_of(out, marks, tmp_path / "review.json")
    status, said, _ = recolor("colorize", "--redo", file, "--dry-run")
    assert status == 0
    assert "would colour" in said
    assert "would skip" in said
    assert tree(out) == before
    assert (out / ".recolor/manifest.jsonl").read_bytes() == manifest


def test_a_redo_that_would_change_nothing_is_told_in_the_look_ahead_too(
    place: Path, tmp_path: Path
) -> None:
    out = place / "out"
    marks: dict[str, dict[str, object]] = {
        "a.jpg": {"mark": "redo"}, "émile 😀.jpg": {"mark": "redo", "settings": {"saturation": 2}}
    }  # fmt: skip
    file = review_of(out, marks, tmp_path / "review.json")
    _, said, ahead = recolor("colorize", "--redo", file, "--dry-run")
    assert "already; type other settings" in said
    assert "1 to do, 1 skipped" in ahead
    _, _, err = recolor("colorize", "--redo", file)
    assert "a.jpg: made like this already; type other settings" in err
    assert "1 done, 1 skipped" in err
    # What was kept is let go of by a mark, also in a look ahead.
    file = review_of(out, marks, tmp_path / "review.json")
    _, said, ahead = recolor("colorize", "--redo", file, "--dry-run", "--saturation", "0.5")
    assert "would colour" in said
    assert "1 to do, 1 skipped" in ahead


def test_a_keep_for_another_picture_is_refused(place: Path, tmp_path: Path) -> None:
    out = place / "out"
    file = review_of(out, {"a.jpg": {"mark": "keep"}}, tmp_path / "review.json")
    shutil.copy(out / "émile 😀.jpg", out / "a.jpg")
    status, _, err = recolor("colorize", "--redo", file)
    assert status == 1
    assert "changed since the review" in err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.update(format="votes"), "is no recolor-review/1 file"),
        (lambda r: r.pop("out"), "names no folder"),
        (lambda r: r["photos"][0].update(mark="burn"), "the mark 'burn'"),
        (lambda r: r["photos"][0].update(output=7), "names no output"),
        (lambda r: r["photos"][0].update(settings={"format": "png"}), "the setting 'format'"),
        (lambda r: r["photos"][0].update(settings={"saturation": "1"}), "'1' as saturation"),
        (lambda r: r["photos"][0].update(settings={"saturation": True}), "True as saturation"),
        (lambda r: r["photos"][0].update(settings={"saturation": 99}), "--saturation must be"),
        (lambda r: r["photos"].append(r["photos"][0]), "twice"),
    ],
)
def test_a_review_that_is_wrong_is_refused_in_one_line(
    tmp_path: Path, change: object, words: str
) -> None:
    record = {
        "format": "recolor-review/1",
        "out": str(tmp_path),
        "photos": [{"output": "a.jpg", "mark": "redo"}],
    }
    change(record)  # type: ignore[operator]
    file = tmp_path / "review.json"
    file.write_text(json.dumps(record))
    with pytest.raises(UsageError, match=words) as caught:
        read_review(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("gallery", "NOWHERE"), "no such folder"),
        (("gallery", "EMPTY"), "holds no results"),
        (("colorize", "IN", "-o", "x.jpg", "--gallery"), "one photograph"),
        (("colorize", "IN/a.jpg", "-o", "x.jpg", "--gallery"), "--gallery shows a folder"),
        (("colorize", "--redo", "NOWHERE"), "save review.json from the gallery"),
        (("colorize", "IN", "--redo", "REVIEW"), "leave out INPUT"),
        (("colorize", "--redo", "REVIEW", "--format", "png"), "keeps formats"),
        (("colorize", "--redo", "REVIEW"), "has no result 'elsewhere.jpg'"),
        (("colorize", "--redo", "REVIEW", "-o", "NOWHERE"), "where it is now with -o"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    put_gray(tmp_path / "IN/a.jpg", 1)
    (tmp_path / "EMPTY").mkdir()
    photos = [{"output": "elsewhere.jpg", "mark": "redo"}]
    (tmp_path / "REVIEW").write_text(
        json.dumps({"format": "recolor-review/1", "out": str(tmp_path / "EMPTY"), "photos": photos})
    )
    before = sorted(tmp_path.rglob("*"))
    status, _, err = recolor(*argv)
    assert (status, words in err) == (2, True), err
    assert sorted(tmp_path.rglob("*")) == before


def test_order_is_by_number() -> None:
    names = ["b/scan-2.jpg", "b/scan-10.jpg", "a10.jpg", "a9.jpg", "7.jpg"]
    assert sorted(names, key=natural) == [
        "7.jpg", "a9.jpg", "a10.jpg", "b/scan-2.jpg", "b/scan-10.jpg"
    ]  # fmt: skip


def test_a_quick_look_is_the_same_as_a_full_one(tmp_path: Path) -> None:
    rows = np.linspace(0, 255, 300).astype(np.uint8)[:, None]
    picture = np.ascontiguousarray(np.broadcast_to(rows, (300, 400)))
    cv2.imwrite(str(tmp_path / "a.jpg"), picture)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    quick, full = look_at(tmp_path / "a.jpg", 100), look_at(tmp_path / "a.png", 100)
    assert quick.pixels.shape == full.pixels.shape == (75, 100)
    assert quick.size == full.size == (400, 300)
    assert np.abs(quick.pixels.astype(int) - full.pixels).max() <= 3
