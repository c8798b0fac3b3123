"""The gallery page in a real browser, from file://, with the browser's own mouse and keys."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import MISSING, Browser
from colorize_fixtures import save_tiny_weights
from gallery_fixtures import NAMES, data_of, put_folder, recolor

from recolor_cli.gallery.page import NAME, page_of
from recolor_cli.images.read import read_provenance

pytestmark = [pytest.mark.skipif(bool(MISSING), reason=MISSING), pytest.mark.slow]

TILES = "[...document.querySelectorAll('.tile')]"
PRESSED = (
    f"Object.fromEntries({TILES}.map(tile => [tile.dataset.key, "
    "tile.querySelector('[data-mark][aria-pressed=\"true\"]')?.dataset.mark || null]))"
)
BOX = """(id => { const b = document.getElementById(id).getBoundingClientRect();
  return [b.left, b.top, b.width, b.height]; })(arguments[0])"""
# WCAG 2.2, 1.4.3 and 1.4.11: what can be read or typed into stands out from what is behind it.
# A canvas turns every way of writing a colour into four numbers.
FAINT = """
  const brush = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const over = (color, below) => {
    brush.clearRect(0, 0, 1, 1);
    for (const each of [below, color]) { brush.fillStyle = each; brush.fillRect(0, 0, 1, 1); }
    const [r, g, b] = brush.getImageData(0, 0, 1, 1).data;
    return `rgb(${r}, ${g}, ${b})`;
  };
  const light = color => {
    const [r, g, b] = color.match(/\\d+/g).map(Number)
      .map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b + .05;
  };
  const ratio = (a, b) => Math.max(light(a), light(b)) / Math.min(light(a), light(b));
  const behind = thing => {
    const parents = [];
    for (; thing; thing = thing.parentElement) parents.unshift(getComputedStyle(thing));
    const paper = 'rgb(255, 255, 255)';
    return parents.reduce((below, style) => over(style.backgroundColor, below), paper);
  };
  const faint = [];
  const check = (thing, color, below, least, what) => {
    const found = ratio(over(color, below), below);
    const name = thing.id || thing.className || thing.tagName;
    if (found < least) faint.push(`${what} of ${name}: ${found.toFixed(2)}`);
  };
  for (const thing of document.querySelectorAll('body *')) {
    if (!thing.checkVisibility() || thing.closest('script, :disabled, #stage')) continue;
    const below = behind(thing), style = getComputedStyle(thing);
    const text = [...thing.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (text) check(thing, style.color, below, 4.5, 'text');
    if (!thing.matches('input:not([type=color]), select')) continue;
    check(thing, style.borderTopColor, behind(thing.parentElement), 3, 'border');
    const ghost = getComputedStyle(thing, '::placeholder').color;
    if (thing.placeholder) check(thing, ghost, below, 4.5, 'placeholder');
  }
  return [...new Set(faint)];
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browser")
    weights = save_tiny_weights(place / "tiny.safetensors")
    put_folder(place / "in")
    recolor("colorize", place / "in", "-o", place / "out", "-m", weights, "--gallery")
    return place / "out" / NAME


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    yield chromium
    assert chromium.errors() == []


def open_page(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.until(f"{TILES}.every((tile, n) => n > 7 || tile.querySelector('.open'))")


def value(browser: Browser) -> int:
    return int(browser.run("return document.getElementById('divider').ariaValueNow;"))


def box(browser: Browser, element: str) -> list[float]:
    found = browser.run(f"return {BOX};", element)
    assert isinstance(found, list)
    return found


def in_step(browser: Browser) -> bool:
    return box(browser, "before") == box(browser, "after")


def select(browser: Browser, key: str) -> None:
    browser.run(
        f"{TILES}.find(tile => tile.dataset.key === arguments[0]).querySelector('.open').focus();",
        key,
    )


def test_filters_names_and_pictures(browser: Browser, page: Path) -> None:
    open_page(browser, page)
    keys = f"return {TILES}.map(tile => tile.dataset.key);"
    everything = browser.run(keys)
    assert sorted(everything) == sorted([*NAMES, "damaged.jpg", "colour.png"])
    names = browser.run(f"return {TILES}.map(t => t.querySelector('.name').firstChild.data);")
    assert names == [key.rpartition("/")[2] for key in everything]
    pictures = "[...document.querySelectorAll('.tile img')]"
    browser.until(f"{pictures}.every(image => image.complete && image.naturalWidth)")
    assert all(browser.run("return [...document.querySelectorAll('.open img:first-child')]"
                           ".map(image => image.alt);"))  # fmt: skip
    browser.click("#filter-failed")
    assert browser.run(keys) == ["damaged.jpg"]
    browser.click("#filter-all")
    browser.click("#search")
    browser.press(*"ÉMILE")
    assert browser.run(keys) == ["émile 😀.jpg"]
    loaded = browser.run("return performance.getEntriesByType('resource').map(r => r.name);")
    assert all(name.startswith("file:") for name in loaded)


def test_the_line_moves_by_keys(browser: Browser, page: Path) -> None:
    open_page(browser, page)
    select(browser, "a.jpg")
    browser.press("Enter")
    browser.until("document.activeElement.id === 'divider'")
    seen = [value(browser)]
    for key in ("Right", "Home", "End", " ", " "):
        browser.press(key)
        seen.append(value(browser))
    assert seen == [50, 55, 0, 100, 0, 100]
    browser.press("Left", holding="Shift")
    assert value(browser) == 99
    browser.press("Down")
    name = "return document.getElementById('viewer-name').textContent;"
    assert browser.run(name) != "a.jpg"
    browser.press("Up")
    assert browser.run(name) == "a.jpg"
    browser.press("Escape")
    browser.until("document.activeElement.closest('.tile')?.dataset.key === 'a.jpg'")


@pytest.mark.parametrize("by", ["mouse", "touch"])
def test_the_line_follows_the_pointer(browser: Browser, page: Path, by: str) -> None:
    open_page(browser, page)
    browser.click('.tile[data-key="a.jpg"] .open')
    browser.until("document.getElementById('after').naturalWidth")
    left, top, width, height = box(browser, "after")
    middle = top + height / 3
    browser.drag((left + width / 4, middle), (left + width * 0.75, middle), by=by)
    assert value(browser) == 75
    cut = browser.run("return document.getElementById('before-layer').style.clipPath;")
    assert cut.startswith("inset(0")
    line = box(browser, "divider")[0]
    assert line == pytest.approx(left + width * 0.75, abs=2)


def test_at_100_percent_both_pictures_are_in_step(browser: Browser, page: Path) -> None:
    open_page(browser, page)
    browser.click('.tile[data-key="a.jpg"] .open')
    browser.until("document.getElementById('before').naturalWidth")
    assert box(browser, "after")[2] == 4 * 64  # small ones are enlarged, within reason
    assert in_step(browser)
    browser.press("z")
    assert box(browser, "after")[2:] == [64, 48]
    assert in_step(browser)
    browser.press("z", "+")
    assert box(browser, "after")[2] == 6 * 64
    assert in_step(browser)


def test_zoomed_in_dragging_moves_the_picture(browser: Browser, page: Path) -> None:
    data = data_of(page)
    data["photos"] = [photo for photo in data["photos"] if photo["key"] == "a.jpg"]
    data["photos"][0]["size"] = [6400, 4800]
    large = page.with_name("large.html")
    large.write_text(page_of(data), "utf-8")
    open_page(browser, large)
    browser.click(".open")
    browser.until("document.getElementById('viewer').open")
    browser.press("z")
    before = box(browser, "after")
    assert before[2:] == [6400, 4800]
    browser.drag((200, 300), (160, 250))
    after = box(browser, "after")
    assert (after[0] - before[0], after[1] - before[1]) == (-40, -50)
    assert in_step(browser)
    assert value(browser) == 50


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_stands_out_enough_to_be_read(browser: Browser, page: Path, scheme: str) -> None:
    wanted = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.command("Emulation.setEmulatedMedia", features=wanted)
    try:
        open_page(browser, page)
        assert browser.run(FAINT) == []
        select(browser, "a.jpg")
        browser.press("w")
        browser.until("document.getElementById('redo-with').open")
        assert browser.run(FAINT) == []
        browser.press("Escape", "Enter", "h")
        browser.until("!document.getElementById('hinting').hidden")
        assert browser.run(FAINT) == []
    finally:
        browser.command("Emulation.setEmulatedMedia", features=[])


def test_the_list_of_keys_begins_at_its_top(browser: Browser, page: Path) -> None:
    open_page(browser, page)
    browser.press("?")
    browser.until("document.getElementById('help').open")
    tall = "(box => box.scrollHeight - box.clientHeight)(document.getElementById('help'))"
    assert browser.run(f"return {tall};") > 0, "or this test says nothing"
    assert browser.run("return document.getElementById('help').scrollTop;") == 0
    browser.press("Escape")
    browser.until("!document.getElementById('help').open")


def test_an_input_that_was_moved_away_is_shown_from_the_result(
    browser: Browser, page: Path
) -> None:
    data = data_of(page)
    for photo in data["photos"]:
        photo["before"] = photo["before"] and "../elsewhere.jpg"
    moved = page.with_name("moved.html")
    moved.write_text(page_of(data), "utf-8")
    open_page(browser, moved)
    browser.click('.tile[data-key="a.jpg"] .open')
    browser.until("document.querySelector('#before.derived')?.naturalWidth")
    look = "return getComputedStyle(document.getElementById('before')).filter;"
    assert browser.run(look) == "grayscale(1)"


def test_marks_are_saved_come_back_and_are_done(page: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile") as browser:
        open_page(browser, page)
        said = mark(browser)
    assert said["pressed"] == {
        **dict.fromkeys([*NAMES, "damaged.jpg", "colour.png"]),
        "a.jpg": "keep",
        "émile 😀.jpg": "with",
        "sub/deep/c #1?.tif": "redo",
    }
    assert said["told"] == "1 keep, 2 redo, saved"
    assert said["command"].startswith("recolor colorize --redo ")
    marks = {photo["output"]: photo for photo in json.loads(said["review"])["photos"]}
    assert marks["émile 😀.jpg"]["settings"] == {"saturation": 0.5}

    with Browser(tmp_path / "profile") as browser:  # the page was closed; it remembers
        open_page(browser, page)
        assert browser.run(f"return {PRESSED};") == said["pressed"]

    place = tmp_path / "copy"
    shutil.copytree(page.parents[1], place)
    (tmp_path / "review.json").write_text(said["review"])
    status, _, err = recolor("colorize", "--redo", tmp_path / "review.json", "-o", place / "out")
    assert (status, "1 done, 2 skipped" in err) == (0, True), err
    made = read_provenance(place / "out/émile 😀.jpg")
    assert made is not None
    assert made.settings["saturation"] == 0.5


def mark(browser: Browser) -> dict[str, Any]:
    """Mark as a person does, by keys and by mouse, and save."""
    select(browser, "a.jpg")
    browser.press("k")
    select(browser, "émile 😀.jpg")
    browser.press("w")
    browser.until("document.getElementById('redo-with').open")
    browser.click("#with-saturation")
    browser.press(*"0.5", "Enter")
    browser.until("!document.getElementById('redo-with').open")
    select(browser, "colour.png")
    browser.press("k")  # there is nothing to keep
    select(browser, "<script>alert(1)<.jpg")
    browser.press("r", "u")
    browser.click('.tile[data-key="sub/deep/c #1?.tif"] [data-mark="redo"]')
    browser.click("#save")
    return {
        "review": browser.run("return review();"),
        "pressed": browser.run(f"return {PRESSED};"),
        "told": browser.run("return document.getElementById('marked').textContent;"),
        "command": browser.run("return document.getElementById('command').textContent;"),
    }


def test_five_thousand_photographs_stay_quick(browser: Browser, page: Path) -> None:
    data = data_of(page)
    one = next(photo for photo in data["photos"] if photo["key"] == "a.jpg")
    data["photos"] = [{**one, "key": f"{n}.jpg", "name": f"{n}.jpg", "id": str(n)}
                      for n in range(5000)]  # fmt: skip
    many = page.with_name("many.html")
    many.write_text(page_of(data), "utf-8")
    open_page(browser, many)
    filled = "return document.querySelectorAll('.tile .open').length;"
    assert browser.run(f"return {TILES}.length;") == 5000
    assert browser.run(filled) < 100  # only those near the window
    browser.run("window.scrollTo(0, document.documentElement.scrollHeight);")
    browser.until("document.querySelector('.tile[data-key=\"4999.jpg\"] .open')")
    assert browser.run(filled) < 300
    took = browser.run(
        "const begun = performance.now(); document.getElementById('filter-unmarked').click();"
        "document.body.offsetHeight; return performance.now() - begun;"
    )
    assert took < 5000  # milliseconds, on whatever machine this is


def test_tiles_follow_the_window_and_arrows_follow_the_tiles(browser: Browser, page: Path) -> None:
    open_page(browser, page)
    rows = (
        "Object.values(Object.groupBy([...document.querySelectorAll('.tile')], "
        "tile => Math.round(tile.getBoundingClientRect().top))).map(row => row.length)"
    )
    assert browser.run(f"return {rows};") == [4, 3]
    browser.command(
        "Emulation.setDeviceMetricsOverride",
        width=390,
        height=844,
        deviceScaleFactor=2,
        mobile=True,
    )
    try:
        browser.until(f"({rows}).join() === '2,2,2,1'")
        first, third = browser.run(f"return {TILES}.map(t => t.dataset.key);")[:4:2]
        select(browser, first)
        browser.press("Down")
        assert browser.run("return document.activeElement.closest('.tile').dataset.key;") == third
    finally:
        browser.command("Emulation.clearDeviceMetricsOverride")
