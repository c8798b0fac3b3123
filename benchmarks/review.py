"""Does a person get through a folder of real photographs: page, line, zoom, marks, redo?

    python benchmarks/review.py PHOTOS [--photos 300] [--pictures DIR]

Needs Chromium and chromedriver. Colours the first photographs of a folder with the default weights,
opens the gallery page from the disk in a headless browser, moves the line by keys and by mouse,
goes to 100 %, tries the filters, marks four photographs, saves review.json as the browser saves it,
and has it done. Stops at the first thing that is not as it should be, such as other files changed
than those marked, or by other settings. `--pictures` keeps screenshots, light and dark, to look at.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from recolor_cli.images.find import find_photos
from recolor_cli.images.read import read_provenance

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from browser import MISSING, Browser  # type: ignore[import-not-found]

TILE = "[...document.querySelectorAll('.tile')].find(tile => tile.dataset.key === arguments[0])"
LOADED = """['after', 'before'].every(id => document.getElementById(id).complete
  && document.getElementById(id).naturalWidth)"""
WISHES = {"saturation": 0.7, "warmth": 20, "input_size": 320}


def recolor(*words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "recolor_cli", *map(str, words)], check=True)


def hashes(out: Path) -> dict[str, str]:
    files = (path for path in out.rglob("*") if path.is_file() and ".recolor" not in path.parts)
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files if path.name != "gallery.html"
    }  # fmt: skip


def go_to(browser: Browser, key: str) -> None:
    browser.run(f"({TILE}).scrollIntoView({{block: 'center'}});", key)
    browser.until(f"({TILE}).querySelector('.open')", key)  # tiles are filled when they are seen
    browser.run(f"({TILE}).querySelector('.open').focus();", key)


def box(browser: Browser, element: str) -> list[float]:
    script = "const b = document.getElementById(arguments[0]).getBoundingClientRect();"
    return list(browser.run(f"{script} return [b.left, b.top, b.width, b.height];", element))


def look(browser: Browser, key: str, pictures: Path | None) -> None:
    """One photograph: the line by keys and mouse, 100 %, both sides in step."""

    def line() -> int:
        return int(browser.run("return document.getElementById('divider').ariaValueNow;"))

    go_to(browser, key)
    browser.press("Enter")
    browser.until(LOADED)
    seen = [line()]
    for name in ("Right", "Left", "Home", "End"):
        browser.press(name)
        seen.append(line())
    assert seen == [50, 55, 50, 0, 100], seen
    left, top, width, height = box(browser, "after")
    browser.drag((left + width - 2, top + height / 3), (left + width * 0.3, top + height / 3))
    assert abs(line() - 30) <= 1, line()
    shoot(browser, pictures, "one-photograph")
    browser.press("z")
    wide = browser.run("return document.getElementById('after').naturalWidth;")
    assert box(browser, "after")[2] == wide
    x, y, width, height = box(browser, "stage")
    browser.drag((x + width * 0.7, y + height * 0.6), (x + width * 0.5, y + height * 0.4))
    assert box(browser, "after") == box(browser, "before")
    shoot(browser, pictures, "100-percent")
    browser.press("Escape")


def mark(browser: Browser, keys: list[str]) -> None:
    """Keep the first, redo the second, redo the third with settings; change one's mind twice."""
    for key, letters in zip(keys, ("k", "r", "", "ru"), strict=True):
        go_to(browser, key)
        browser.press(*letters)
    go_to(browser, keys[2])
    browser.press("w")
    browser.until("document.getElementById('redo-with').open")
    for name, value in WISHES.items():
        browser.click(f"#with-{name}")
        browser.press(*str(value))
    browser.click("#redo-with button.main")


def check_filters(browser: Browser, photos: list[dict[str, Any]]) -> str:
    told = []
    for name in ("gray", "vivid", "unsure"):
        expected = sum(name in photo["flags"] for photo in photos)
        if not expected:  # there is no button for nothing
            continue
        browser.click(f"#filter-{name}")
        count = browser.run("return document.querySelectorAll('.tile').length;")
        assert count == expected, (name, count, expected)
        told.append(f"{count} {name}")
    browser.click("#filter-all")
    return ", ".join(told)


def shoot(browser: Browser, pictures: Path | None, name: str) -> None:
    if pictures is not None:
        time.sleep(0.3)
        browser.screenshot(pictures / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("folder", type=Path, metavar="PHOTOS")
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--pictures", type=Path)
    asked = parser.parse_args()
    if MISSING:
        sys.exit(MISSING)
    if asked.pictures:
        asked.pictures.mkdir(parents=True, exist_ok=True)
    found = find_photos([asked.folder])[: asked.photos]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "in").mkdir()
        for number, photo in enumerate(found):
            link = place / "in" / f"{number:05}-{photo.path.name}"
            link.write_bytes(photo.path.read_bytes())
        out = place / "out"
        recolor("colorize", place / "in", "-o", out, "--force", "--gallery", "--quiet")
        before, page = hashes(out), (out / "gallery.html").read_text("utf-8")
        data = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
        assert data
        photos = json.loads(data[1])["photos"]
        assert len(photos) == len(found)
        done = [photo["key"] for photo in photos if photo["status"] == "done"]
        keys = done[:: max(1, len(done) // 4)][:4]
        with Browser(place / "profile") as browser:
            browser.command("Page.setDownloadBehavior", behavior="allow", downloadPath=str(place))
            begun = time.monotonic()
            browser.open(out / "gallery.html")
            browser.until("document.querySelector('.tile img')?.naturalWidth")
            print(f"{len(photos)} photographs, seen after {time.monotonic() - begun:.1f} s")
            shoot(browser, asked.pictures, "light")
            print(check_filters(browser, photos))
            look(browser, done[0], asked.pictures)
            mark(browser, keys)
            browser.click("#save")
            browser.until("document.getElementById('saved').open")
            browser.click("#saved button.main")
            dark = [{"name": "prefers-color-scheme", "value": "dark"}]
            browser.command("Emulation.setEmulatedMedia", features=dark)
            shoot(browser, asked.pictures, "dark")
            while not (place / "review.json").exists():
                time.sleep(0.1)
            assert browser.errors() == []
        recolor("colorize", "--redo", place / "review.json", "--temperature", "0.9")
        after = hashes(out)
        changed = sorted(key for key in after if after[key] != before.get(key))
        assert changed == sorted(keys[1:3]), changed
        plain, wished = (read_provenance(out / key) for key in keys[1:3])
        assert plain is not None
        assert wished is not None
        assert plain.settings["temperature"] == wished.settings["temperature"] == 0.9
        assert {name: wished.settings[name] for name in WISHES} == WISHES
        print("two made again as marked, nothing else touched")


if __name__ == "__main__":
    main()
