"""What the tests of galleries and comparisons share: a small folder, coloured by tiny weights."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from recolor_cli.cli.app import main

NAMES = [
    "a.jpg",
    'quote\'s "b" & <i>.png',
    "émile 😀.jpg",
    "sub/deep/c #1?.tif",
    "<script>alert(1)<.jpg",
]


def gray_picture(seed: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 8), np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def put_gray(path: Path, seed: int, size: tuple[int, int] = (48, 64)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, gray_picture(seed, size))
    assert done
    path.write_bytes(data.tobytes())
    return path


def put_folder(folder: Path) -> Path:
    """Five photographs with difficult names, one that is damaged and one in colour."""
    for number, name in enumerate(NAMES):
        put_gray(folder / name, number)
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    patches = np.random.default_rng(9).integers(0, 256, (6, 8, 3), np.uint8)
    color = cv2.resize(patches, (64, 48), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(folder / "colour.png"), color)
    return folder


def recolor(*argv: object) -> tuple[int, str, str]:
    """The command; its status, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in argv])
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue(), err.getvalue()
    raise AssertionError("main always exits")


def data_of(page: Path) -> dict[str, Any]:
    """What a gallery page knows."""
    found = re.search(
        r'<script id="data" type="application/json">(.*?)</script>', page.read_text("utf-8"), re.S
    )
    assert found
    return json.loads(found[1])
