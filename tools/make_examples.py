"""Makes examples/: small grey photographs from scikit-image's public-domain and CC0 samples.

    python tools/make_examples.py [FOLDER]

Only samples that scikit-image's own wheel carries, so nothing is downloaded.
examples/LICENSES.md says whose they are.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import color, data

ROOT = Path(__file__).resolve().parents[1]
LONG_SIDE = 512

# name of the example -> name in skimage.data; every one of them is listed in examples/LICENSES.md
SAMPLES = {"astronaut": "astronaut", "cat": "chelsea", "coffee": "coffee", "rocket": "rocket"}


def main(arguments: list[str]) -> int:
    """Write one grey JPEG for each sample."""
    folder = Path(arguments[0]) if arguments else ROOT / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    for name, sample in SAMPLES.items():
        write_gray(getattr(data, sample)(), folder / f"{name}.jpg")
    return 0


def write_gray(rgb_u8: np.ndarray, path: Path) -> None:
    """Keep only the luminance of a colour photograph (H, W, 3), at most LONG_SIDE pixels long."""
    luminance = color.rgb2lab(rgb_u8)[..., 0]
    gray = color.lab2rgb(np.dstack([luminance, np.zeros((*luminance.shape, 2))]))[..., 0]
    picture = Image.fromarray((gray * 255).round().astype(np.uint8))
    picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    picture.save(path, quality=90)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
