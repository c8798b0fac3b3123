"""Does the gallery page stay quick with thousands of photographs?

    python benchmarks/gallery.py [--photos 5000] [--thumbnails 200]

Needs Chromium and chromedriver. Writes a page as `recolor gallery` writes it, with drawn thumbnails
of 360 pixels that its tiles share, opens it from the disk in a headless browser of 1200 x 800, and
prints: the page's size; the time until the first screen of pictures can be seen; frame times while
three screens a second go by; the time for a jump to the end, for a filter, for an order, and for
opening a photograph.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from recolor_cli.gallery.page import page_of
from recolor_cli.gallery.review import FORMAT

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from browser import MISSING, Browser  # type: ignore[import-not-found]

SEEN = """[...document.querySelectorAll('.tile')].filter(tile => {
  const box = tile.getBoundingClientRect(); return box.bottom > 0 && box.top < innerHeight;
}).every(tile => { const image = tile.querySelector('img');
  return image && image.complete && image.naturalWidth; })"""
SCROLL = """const done = arguments[arguments.length - 1], frames = [], begun = performance.now();
let last = begun;
function step(now) {
  frames.push(now - last); last = now;
  scrollTo(0, (now - begun) / 1000 * 3 * innerHeight);
  if (now - begun < 5000) requestAnimationFrame(step); else done(frames.slice(1));
}
requestAnimationFrame(step);"""
TIMED = """const begun = performance.now(); %s; document.body.offsetHeight;
return performance.now() - begun;"""


def write_page(folder: Path, photos: int, thumbnails: int) -> Path:
    rng = np.random.default_rng(0)
    copies = folder / ".recolor/gallery"
    copies.mkdir(parents=True)
    for number in range(thumbnails):
        coarse = rng.integers(0, 256, (9, 12, 3), np.uint8)
        after = cv2.resize(coarse, (360, 270), interpolation=cv2.INTER_CUBIC)
        before = cv2.cvtColor(after, cv2.COLOR_BGR2GRAY)
        for kind, picture in (("after", after), ("before", before)):
            cv2.imwrite(
                str(copies / f"{number}.{kind}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 80]
            )
    page = folder / "gallery.html"
    page.write_text(
        page_of({
            "id": "benchmark", "format": FORMAT, "out": str(folder), "title": "benchmark",
            "made": "2026-01-01T00:00:00+00:00", "models": [],
            "photos": [record(number, number % thumbnails, rng) for number in range(photos)],
        }),
        "utf-8",
    )  # fmt: skip
    return page


def record(number: int, thumbnail: int, rng: np.random.Generator) -> dict[str, Any]:
    name = f"scan-{number:05}.jpg"
    places = {
        f"{kind}{more}": f".recolor/gallery/{thumbnail}.{kind}.jpg"
        for kind in ("before", "after") for more in ("", "_thumb")
    }  # fmt: skip
    return places | {
        "id": f"{number:020x}", "key": f"1944/{name}", "name": name, "folder": "1944",
        "source": f"/photos/scans/1944/{name}", "status": "done", "reason": "",
        "sha256": f"{number:064x}", "kept": False, "size": [360, 270], "pages": 1, "derived": False,
        "chroma": round(float(rng.uniform(3, 35)), 1), "confidence": round(float(rng.random()), 3),
        "seconds": 0.2, "notes": [], "made": "2026-01-01T00:00:00+00:00", "model": "bins-unet.v1",
        "weights": "0123456789ab", "settings": {"input_size": 256, "saturation": 1.0},
        "hints": [], "hints_file": f"scan-{number:05}.hints.json", "pick": None,
        "pick_id": f"{number:020x}", "flags": [], "before_is_copy": False, "after_is_copy": False,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--thumbnails", type=int, default=200)
    asked = parser.parse_args()
    if MISSING:
        sys.exit(MISSING)
    with tempfile.TemporaryDirectory() as place, Browser(Path(place) / "profile") as browser:
        page = write_page(Path(place) / "out", asked.photos, asked.thumbnails)
        print(f"{asked.photos} photographs, page of {page.stat().st_size / 1e6:.1f} MB")
        opened = []
        for _ in range(5):
            begun = time.perf_counter()
            browser.open(page)
            browser.until(SEEN)
            opened.append(time.perf_counter() - begun)
        script = browser.run(
            "return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd;"
        )
        print(f"pictures of the first screen   {statistics.median(opened) * 1000:6.0f} ms")
        print(f"  of that until keys are heard {script:6.0f} ms")
        frames = sorted(browser.run_async(SCROLL))
        late = sum(frame > 50 for frame in frames) / len(frames)
        median, most = statistics.median(frames), frames[int(len(frames) * 0.99)]
        print(f"frames while scrolling: median {median:.0f} ms, 99 % below {most:.0f} ms, "
              f"{late:.1%} above 50 ms")  # fmt: skip
        begun = time.perf_counter()
        browser.run("scrollTo(0, document.documentElement.scrollHeight);")
        browser.until(SEEN)
        print(f"jump to the end                {(time.perf_counter() - begun) * 1000:6.0f} ms")
        for what, script in (
            ("a filter", "document.getElementById('filter-unmarked').click()"),
            (
                "an order",
                "const o = document.getElementById('order'); o.value = 'vivid'; o.onchange()",
            ),
            ("a mark", "setMark(photos[9], 'keep')"),
            ("a photograph opened", "view(photos[9])"),
        ):
            print(f"{what:30} {browser.run(TIMED % script):6.0f} ms")


if __name__ == "__main__":
    main()
