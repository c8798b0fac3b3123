"""How far is a result's luminance from the original's, before and after JPEG?

    python benchmarks/luminance.py [--model default] [--megapixels 4]

Colours grey photographs made from scikit-image's samples, with grain, and prints the difference of
L* from the original's: as made, and after JPEG at several qualities with colour at full resolution.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from skimage import color, data

from recolor_cli.colorize import benchmark
from recolor_cli.colorize.colorizer import Colorizer

SAMPLES = (data.astronaut, data.chelsea, data.coffee, data.rocket)
QUALITIES = (75, 90, 95, 100)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--megapixels", type=float, default=4.0)
    options = parser.parse_args()
    colorizer = Colorizer(options.model, offline=True)
    off = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        for number, sample in enumerate(SAMPLES):
            small = cv2.cvtColor(sample(), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
            path = Path(name) / f"{number}.jpg"
            benchmark.write_scan(path, small, options.megapixels, np.random.default_rng(number))
            gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            lightness = color.rgb2lab(np.repeat(gray[..., None], 3, axis=2))[..., 0]
            colored = colorizer.colorize(gray)
            results = {"as made": colored}
            for quality in QUALITIES:
                how = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                       cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]  # fmt: skip
                coded = cv2.imencode(".jpg", colored[..., ::-1], how)[1]
                results[f"JPEG {quality}"] = cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]
            for way, result in results.items():
                off[way].append(np.abs(color.rgb2lab(result)[..., 0] - lightness).ravel())
    print(f"{'difference of L*':20}{'mean':>8}{'99 %':>8}{'largest':>10}")
    for way, many in off.items():
        every = np.concatenate(many)
        print(f"{way:20}{every.mean():8.2f}{np.percentile(every, 99):8.2f}{every.max():10.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
