"""Exits 0 only if every photograph of one folder lies coloured in another.

python tools/assert_colored.py examples out
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}
LEAST_DIFFERENCE = 4.0  # mean of max(R, G, B) - min(R, G, B), in 8-bit steps; a grey picture has 0


def main(arguments: list[str]) -> int:
    """Compare two folders; name what is missing, of another size, or grey."""
    before, after = (Path(argument) for argument in arguments)
    names = sorted(path.name for path in before.iterdir() if path.suffix.lower() in PHOTOS)
    faults = [f"no photographs in {before}"] if not names else []
    for name in names:
        if not (after / name).is_file():
            faults.append(f"{after / name} is missing")
            continue
        with Image.open(before / name) as gray, Image.open(after / name) as photo:
            if photo.size != gray.size:
                faults.append(f"{after / name} is {photo.size}, the photograph was {gray.size}")
            pixels = np.asarray(photo.convert("RGB"), dtype=np.int16)
        difference = float((pixels.max(axis=2) - pixels.min(axis=2)).mean())
        if difference < LEAST_DIFFERENCE:
            faults.append(f"{after / name} is as good as grey ({difference:.1f})")
        print(f"{name}: {difference:.1f} between the channels")
    for fault in faults:
        print(f"assert_colored: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
