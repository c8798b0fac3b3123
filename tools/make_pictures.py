"""Makes docs/pictures/before-after.jpg: the examples, grey above and coloured below.

    python tools/make_pictures.py [--model NAME]

The colours are those of the default weights, untouched: the picture shows what the reader will get.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

from recolor_cli.colorize import Colorizer

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "before-after.jpg"
HEIGHT = 260  # of each photograph
GAP = 6
PAPER = (255, 255, 255)


def main(arguments: list[str]) -> int:
    """Colour the examples and write the picture."""
    parser = argparse.ArgumentParser(description="Make the picture that README opens with.")
    parser.add_argument("--model", default="default")
    options = parser.parse_args(arguments)
    colorizer = Colorizer(options.model)
    pairs = []
    for path in sorted((ROOT / "examples").glob("*.jpg")):
        with Image.open(path) as photo:
            gray = photo.convert("L")
        pairs.append((shrink(gray), shrink(colorizer.colorize(gray))))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    sheet(pairs).save(PICTURE, quality=88)
    print(f"pictures: wrote {PICTURE.relative_to(ROOT)}")
    return 0


def shrink(photo: Image.Image) -> Image.Image:
    """The same photograph, HEIGHT pixels high."""
    width = round(photo.width * HEIGHT / photo.height)
    return photo.convert("RGB").resize((width, HEIGHT), Image.Resampling.LANCZOS)


def sheet(pairs: list[tuple[Image.Image, Image.Image]]) -> Image.Image:
    """All photographs in a row, each grey above its colours."""
    width = sum(gray.width for gray, _ in pairs) + GAP * (len(pairs) - 1)
    picture = Image.new("RGB", (width, 2 * HEIGHT + GAP), PAPER)
    left = 0
    for gray, colored in pairs:
        picture.paste(gray, (left, 0))
        picture.paste(colored, (left, HEIGHT + GAP))
        left += gray.width + GAP
    return picture


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
