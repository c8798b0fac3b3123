"""Makes examples/: small grey photographs from scikit-image's public-domain and CC0 samples.

    python tools/make_examples.py                  examples/
    python tools/make_examples.py --color FOLDER   FOLDER with small colour photographs cut from
                                                   the same samples, to try training and evaluation

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
CUTTING_SIDE = 160

# name of the example -> name in skimage.data; every one of them is listed in examples/LICENSES.md
SAMPLES = {"astronaut": "astronaut", "cat": "chelsea", "coffee": "coffee", "rocket": "rocket"}


def main(arguments: list[str]) -> int:
    """Write the grey examples, or the colour cuttings."""
    if arguments and (arguments[0] != "--color" or len(arguments) != 2):
        print("make_examples: give nothing, or --color FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[1]) if arguments else ROOT / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    for name, sample in SAMPLES.items():
        rgb_u8 = getattr(data, sample)()
        if arguments:
            write_cuttings(rgb_u8, folder, name)
        else:
            write_gray(rgb_u8, folder / f"{name}.jpg")
    return 0


def write_cuttings(rgb_u8: np.ndarray, folder: Path, name: str) -> None:
    """Cut a colour photograph (H, W, 3) into overlapping squares of CUTTING_SIDE pixels."""
    height, width = rgb_u8.shape[:2]
    number = 0
    for top in range(0, height - CUTTING_SIDE + 1, CUTTING_SIDE // 2):
        for left in range(0, width - CUTTING_SIDE + 1, CUTTING_SIDE // 2):
            cutting = rgb_u8[top : top + CUTTING_SIDE, left : left + CUTTING_SIDE]
            Image.fromarray(cutting).save(folder / f"{name}-{number:02}.jpg", quality=95)
            number += 1


def write_gray(rgb_u8: np.ndarray, path: Path) -> None:
    """Keep only the luminance of a colour photograph (H, W, 3), at most LONG_SIDE pixels long."""
    luminance = color.rgb2lab(rgb_u8)[..., 0]
    gray = color.lab2rgb(np.dstack([luminance, np.zeros((*luminance.shape, 2))]))[..., 0]
    picture = Image.fromarray((gray * 255).round().astype(np.uint8))
    picture.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    picture.save(path, quality=90)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
