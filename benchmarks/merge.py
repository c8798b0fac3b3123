"""What does the per-pixel work cost beside decoding and encoding the same photograph?

    python benchmarks/merge.py [--megapixels 12] [--rounds 5] [--chroma 14]

Draws one photograph (smooth shapes and grain) and an ab map, and times, alternating in each round
and on one thread: bare `cv2.imdecode` / `cv2.imencode` (JPEG, quality 95, 4:4:4) and `gray_plane`,
`small_luminance`, `merge_ab` for grey and RGB pictures of 8 and 16 bits, these with NumPy,
compiled, and compiled with AVX-512 where that is there. Prints the median processor time of each.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from recolor_cli.color import lab, merge
from recolor_cli.color.compiled import LIBRARY, CompiledMerge, compiled_merge, merge_state
from recolor_cli.color.lab import gray_plane, small_luminance
from recolor_cli.color.merge import merge_ab

JPEG = [
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]


def draw(megapixels: float) -> np.ndarray:
    """A grey photograph (H, W) uint8, 4:3."""
    rng = np.random.default_rng(0)
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (round(height * 4 / 3), height)
    coarse = cv2.resize(rng.random((12, 16), np.float32), size, interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.random((300, 400), np.float32), size, interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 3, coarse.shape).astype(np.float32)
    return np.clip(coarse * 190 + fine * 50 + grain, 0, 255).astype(np.uint8)


def cases(megapixels: float, chroma: float) -> dict[str, Callable[[], object]]:
    """Name -> what is timed."""
    gray = draw(megapixels)
    rng = np.random.default_rng(1)
    ab = cv2.GaussianBlur(rng.normal(0, 1, (48, 64, 2)).astype(np.float32), (0, 0), 3)
    ab *= chroma / np.hypot(ab[..., 0], ab[..., 1]).mean()
    grays = np.repeat(gray[..., None], 3, axis=2)
    rgb = grays.copy()
    rgb[..., 2] = rgb[..., 2] // 8 * 7  # a toned scan: three channels that differ
    deep, deep_rgb = gray.astype(np.uint16) * 257, rgb.astype(np.uint16) * 257
    out, deep_out = np.empty_like(rgb), np.empty_like(deep_rgb)
    gray_file = cv2.imencode(".jpg", gray, JPEG)[1]
    rgb_file = cv2.imencode(".jpg", rgb, JPEG)[1]
    colored = merge_ab(gray, ab)
    return {
        "decode grey": lambda: cv2.imdecode(gray_file, cv2.IMREAD_UNCHANGED),
        "decode RGB": lambda: cv2.imdecode(rgb_file, cv2.IMREAD_UNCHANGED),
        "encode RGB": lambda: cv2.imencode(".jpg", colored, JPEG),
        "gray_plane RGB 8, grey": lambda: gray_plane(grays),
        "small_luminance grey 8": lambda: small_luminance(gray, (192, 256)),
        "small_luminance RGB 8": lambda: small_luminance(rgb, (192, 256)),
        "small_luminance RGB 16": lambda: small_luminance(deep_rgb, (192, 256)),
        "merge_ab grey 8": lambda: merge_ab(gray, ab, out=out),
        "merge_ab RGB 8": lambda: merge_ab(rgb, ab, out=out),
        "merge_ab grey 16": lambda: merge_ab(deep, ab, out=deep_out),
        "merge_ab RGB 16": lambda: merge_ab(deep_rgb, ab, out=deep_out),
    }


def ways() -> dict[str, Any]:
    """Name -> what merge.py and lab.py are to find where they look for compiled code."""
    compiled = compiled_merge()
    found: dict[str, Any] = {"NumPy": None}
    if compiled:
        found["compiled"] = CompiledMerge(LIBRARY, wide=False)
        if compiled.is_wide:
            found["AVX-512"] = compiled
    return found


def main() -> None:
    """Parse the options, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chroma", type=float, default=10, help="mean chroma of the ab map")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(merge_state())
    timed, found = cases(options.megapixels, options.chroma), ways()
    taken: dict[tuple[str, str], list[float]] = {}
    for number in range(options.rounds + 1):
        for name, run in timed.items():
            for way, library in found.items():
                setattr(merge, "compiled_merge", lambda library=library: library)  # noqa: B010
                setattr(lab, "compiled_merge", lambda library=library: library)  # noqa: B010
                start = time.process_time()
                run()
                if number:  # the first round fills tables and caches
                    taken.setdefault((name, way), []).append(time.process_time() - start)
    print(f"{'':24}" + "".join(f"{way:>10}" for way in found) + "   milliseconds of one thread")
    for name in timed:
        median = [statistics.median(taken[name, way]) * 1e3 for way in found]
        print(f"{name:24}" + "".join(f"{ms:10.1f}" for ms in median))


if __name__ == "__main__":
    main()
