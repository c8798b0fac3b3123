"""Hints set by clicking on the gallery page, in a real browser, and done; two fingers that zoom."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browser import MISSING, Browser
from colorize_fixtures import save_tiny_weights
from gallery_fixtures import recolor

from recolor_cli.color.lab import rgb_to_lab
from recolor_cli.colorize.hints import HintBook
from recolor_cli.gallery.page import NAME
from recolor_cli.images.read import read_provenance

pytestmark = [pytest.mark.skipif(bool(MISSING), reason=MISSING), pytest.mark.slow]

FOCUSED = "return document.activeElement.id || document.activeElement.className;"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hints")
    for name in ("a.jpg", "sub/b.jpg"):
        picture = np.full((240, 320), 110, np.uint8)
        picture[:, 160:] = 150  # two things that every colour can be on
        (place / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / "in" / name), picture)
    weights = save_tiny_weights(place / "tiny.safetensors")
    recolor("colorize", place / "in", "-o", place / "out", "-m", weights, "--gallery")
    return place / "out" / NAME


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def browser(chromium: Browser, page: Path) -> Iterator[Browser]:
    """The first photograph, large."""
    chromium.open(page)
    chromium.run("localStorage.clear();")
    chromium.open(page)
    chromium.until("document.querySelectorAll('.tile .open').length === 2")
    chromium.click('.tile[data-key="a.jpg"] .open')
    chromium.until("document.getElementById('after').naturalWidth")
    yield chromium
    assert chromium.errors() == []


def at(browser: Browser, x: float, y: float) -> tuple[float, float]:
    """A place of the photograph as a place of the window."""
    left, top = browser.run(
        "const b = document.getElementById('after').getBoundingClientRect();"
        "return [b.left + b.width * arguments[0], b.top + b.height * arguments[1]];",
        x,
        y,
    )
    return round(left), round(top)


def click(browser: Browser, x: float, y: float, by: str = "mouse") -> None:
    browser.drag(at(browser, x, y), at(browser, x, y), by=by)


def saved(browser: Browser) -> list[dict[str, Any]]:
    found = json.loads(browser.run("return review();"))["photos"]
    assert isinstance(found, list)
    return found


def hints(browser: Browser) -> list[dict[str, Any]]:
    """The hints in review.json, with places to a hundredth: the mouse moves by whole pixels."""
    found = saved(browser)
    for hint in found[0]["hints"] if found else []:
        for kind in hint.keys() & {"point", "box"}:
            hint[kind] = [round(value, 2) for value in hint[kind]]
    return list(found[0].get("hints", [])) if found else []


def test_a_click_a_box_and_a_finger_are_hints_and_are_done(
    browser: Browser, page: Path, tmp_path: Path
) -> None:
    browser.click("#hints-toggle")
    browser.click('.swatch[title="red"]')
    click(browser, 0.25, 0.25)
    browser.click('.swatch[title="navy"]')
    browser.drag(at(browser, 0.6, 0.5), at(browser, 0.9, 0.75))
    browser.click('.swatch[title="as the network says"]')
    click(browser, 0.1, 0.8, by="touch")
    assert hints(browser) == [
        {"point": [0.25, 0.25], "color": "#b3202a"},
        {"box": [0.6, 0.5, 0.9, 0.75], "color": "#2a3a6e"},
        {"point": [0.1, 0.8], "color": "keep"},
    ]
    assert [photo["mark"] for photo in saved(browser)] == ["redo"]
    assert browser.run("return document.querySelectorAll('.marker').length;") == 3

    place = tmp_path / "copy"
    shutil.copytree(page.parents[1], place)
    (tmp_path / "review.json").write_text(browser.run("return review();"))
    status, _, err = recolor("colorize", "--redo", tmp_path / "review.json", "-o", place / "out")
    assert (status, "1 done" in err) == (0, True), err
    made = read_provenance(place / "out/a.jpg")
    assert made is not None
    assert made.settings["hints"] == 3
    colored = cv2.cvtColor(cv2.imread(str(place / "out/a.jpg")), cv2.COLOR_BGR2RGB)
    red, navy = (rgb_to_lab(np.ascontiguousarray(colored))[y, x, 1:] for y, x in
                 ((60, 80), (150, 240)))  # fmt: skip
    assert red[0] > 20  # a: towards red
    assert navy[1] < -10  # b: towards blue


def test_the_file_that_is_saved_is_read_beside_the_photograph(
    browser: Browser, page: Path, tmp_path: Path
) -> None:
    browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.press("h")
    click(browser, 0.5, 0.25)
    browser.click("#hint-save")
    file = tmp_path / "a.hints.json"
    browser.until("document.getElementById('hint-said').textContent.startsWith('Saved')")
    ends = time.monotonic() + 10
    while not file.exists():
        assert time.monotonic() < ends
        time.sleep(0.05)
    photo = Path(shutil.copy(page.parents[1] / "in/a.jpg", tmp_path))
    (hint,) = HintBook().of(photo, tmp_path)
    assert hint.rgb == (0x2A, 0x3A, 0x6E)
    assert hint.box[:2] == pytest.approx((0.5, 0.25), abs=0.005)


def test_all_of_it_by_keys(browser: Browser) -> None:
    browser.press("h")
    browser.until("document.activeElement.id === 'aim'")
    browser.press("Right", "Right", "Up", "Enter")  # by 2 % from the middle
    browser.press("Left", holding="Shift")  # and by a quarter
    assert browser.run("return aim;") == {"x": 0.5375, "y": 0.48}
    browser.press("b", "Right", "Right", "Down", "b")
    first = {"point": [0.54, 0.48], "color": "#2a3a6e"}
    box = {"box": [0.54, 0.48, 0.58, 0.5], "color": "#2a3a6e"}
    assert hints(browser) == [first, box]

    browser.run("document.querySelector('.marker').focus();")
    browser.press("Down", "Down")
    assert hints(browser)[0]["point"] == [0.54, 0.52]
    browser.press("Enter")  # selects it: the next colour is its colour
    browser.run("document.querySelector('.swatch[aria-checked=\"true\"]').focus();")
    browser.press("Right")
    assert hints(browser)[0]["color"] == "#2f58b8"
    browser.press("Escape")
    browser.run("document.querySelector('.marker').focus();")
    browser.press("Delete")
    assert hints(browser) == [box]
    browser.press("z", holding="Control")
    assert len(hints(browser)) == 2
    for _ in range(5):
        browser.press("z", holding="Control")
    assert saved(browser) == []  # as it was, so nothing is to be made again

    browser.press("Escape")
    assert browser.run("return [hinting, document.getElementById('viewer').open];") == [False, True]
    assert browser.run(FOCUSED) == "divider"


def test_hints_are_moved_removed_and_remembered(browser: Browser, page: Path) -> None:
    browser.press("h")
    click(browser, 0.25, 0.25)
    click(browser, 0.75, 0.75)
    browser.drag(at(browser, 0.25, 0.25), at(browser, 0.4, 0.3))
    assert [hint["point"] for hint in hints(browser)] == [[0.4, 0.3], [0.75, 0.75]]
    browser.drag(at(browser, 0.75, 0.75), at(browser, 1.5, 0.75))
    assert hints(browser)[1]["point"] == [1.0, 0.75]  # not out of the picture
    browser.click('[data-remove="1"]')
    assert len(hints(browser)) == 1
    browser.press("k")  # another mark leaves them out, and does not forget them
    assert "hints" not in saved(browser)[0]
    browser.press("r")
    assert len(hints(browser)) == 1
    browser.open(page)
    browser.until("document.querySelectorAll('.tile .open').length === 2")
    assert len(hints(browser)) == 1
    tile = "return document.querySelector('.tile[data-key=\"a.jpg\"] .badges').textContent;"
    assert "1 hint" in browser.run(tile)


def test_a_colour_is_taken_out_of_the_photograph(browser: Browser, page: Path) -> None:
    browser.press("h")
    browser.click("#hint-pick")
    browser.until("pickables.size === 1")
    click(browser, 0.25, 0.25)
    picked = browser.run("return hintColor;")
    assert not hints(browser)  # that click was no hint
    colored = cv2.cvtColor(cv2.imread(str(page.parent / "a.jpg")), cv2.COLOR_BGR2RGB)
    truth = colored[58:63, 78:83].mean((0, 1))
    channels = [int(picked[n : n + 2], 16) for n in (1, 3, 5)]
    assert channels == pytest.approx(truth, abs=8)
    click(browser, 0.25, 0.5)
    assert hints(browser) == [{"point": [0.25, 0.5], "color": picked}]


def test_every_control_has_a_name_and_focus_stays_in_the_viewer(browser: Browser) -> None:
    browser.press("h")
    click(browser, 0.5, 0.25)
    nameless = browser.run(
        "return [...document.querySelectorAll('#viewer button, #viewer input')]"
        ".filter(b => !(b.ariaLabel || b.textContent.trim() || b.labels?.[0]?.textContent.trim()))"
        ".map(b => b.outerHTML);"
    )
    assert nameless == []
    for _ in range(40):
        browser.press("Tab")
        inside = "return document.activeElement === document.body || "
        assert browser.run(inside + "!!document.activeElement.closest('#viewer');")


def in_step(browser: Browser) -> bool:
    boxes = browser.run(
        "return ['before', 'after'].map(id => { const b = document.getElementById(id)"
        ".getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; });"
    )
    return bool(boxes[0] == boxes[1])


@pytest.mark.parametrize("hinting", [False, True])
def test_two_fingers_zoom_both_sides_and_move_them(browser: Browser, hinting: bool) -> None:
    if hinting:
        browser.press("h")
    browser.run("const s = stage.getBoundingClientRect(); window.mid = [s.left + s.width / 2, "
                "s.top + s.height / 2];")  # fmt: skip
    x, y = browser.run("return mid;")
    before = browser.run("return look.scale;")
    spot = browser.run("return toPicture(...mid);")
    browser.touch(
        [(x - 50, y)], [(x - 50, y), (x + 50, y)], [(x - 75, y), (x + 75, y)],
        [(x - 100, y), (x + 100, y)],
    )  # fmt: skip
    assert browser.run("return look.scale;") == pytest.approx(2 * before, rel=0.01)
    assert browser.run("return toPicture(...mid);") == {
        "x": pytest.approx(spot["x"], abs=0.02), "y": pytest.approx(spot["y"], abs=0.02)
    }  # fmt: skip
    assert in_step(browser)
    spot = browser.run("return toPicture(...mid);")
    browser.touch([(x - 50, y)], [(x - 50, y), (x + 50, y)], [(x - 80, y + 40), (x + 20, y + 40)])
    moved = browser.run("return toPicture(mid[0] - 30, mid[1] + 40);")
    assert [moved["x"], moved["y"]] == pytest.approx([spot["x"], spot["y"]], abs=0.01)
    assert in_step(browser)
    assert saved(browser) == []  # two fingers set no hint
