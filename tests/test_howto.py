"""What the how-to pages tell people to type works as it stands.

Blocks of `sh` and `python` are run, page by page from top to bottom; blocks of `json` that follow
the name of a file are that file. Blocks of `console` are not run, and a comment above says why.
"""

from __future__ import annotations

import re
import shutil
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_container import parses
from test_readme import ROOT, type_in

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("how-to", "explanation")
    for path in (ROOT / "docs" / folder).glob("*.md")
)
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
REASON = re.compile(r"<!-- not run: ([^>]+) -->\s*\Z")
FILE = re.compile(r"`([\w./-]+\.(?:json|toml))`[^`]*:\s*\Z")


def steps(page: str) -> list[tuple[str, str, str]]:
    """(language, text, what stands above it) of every block."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [(m[1].strip(), m[2], text[: m.start()]) for m in FENCE.finditer(text)]


RUNNABLE = [p for p in PAGES if any(language in ("sh", "python") for language, _, _ in steps(p))]


@pytest.fixture(scope="module")
def belongings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the readers of these pages have: scans, a collection, photographs in colour."""
    folder = tmp_path_factory.mktemp("belongings")
    grey = cv2.imread(str(ROOT / "examples" / "cat.jpg"), cv2.IMREAD_GRAYSCALE)
    small = cv2.resize(grey, (160, 120), interpolation=cv2.INTER_AREA)
    for name in ("grandmother.jpg", "scans/market.jpg", "scans/1943/market.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), small)
    (folder / "masters").mkdir()
    cv2.imwrite(str(folder / "masters" / "plate.tif"), small.astype(np.uint16) * 257)
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(ROOT / "tools", folder / "tools")
    made = type_in(folder, ["python", "tools/make_examples.py", "--color", "photos"])
    assert made.returncode == 0, made.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE)
def test_the_page_works_word_for_word(
    page: str, belongings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    shutil.copytree(belongings, folder)
    monkeypatch.setenv("RECOLOR_TRAIN_SET", "epochs=1")  # where a page does not say how long
    for language, blocks in groupby(steps(page), key=itemgetter(0)):
        together = list(blocks)
        for _, text, above in together:
            if language in ("json", "toml") and (name := FILE.search(above)):
                (folder / name[1]).write_text(text)
        # Python that stands together is typed into one session: the second block imports no torch.
        commands = {
            "sh": [
                ["bash", "-euc", line]
                for _, text, _ in together
                for line in text.splitlines()
                if line.strip()
            ],
            "python": [["python", "-c", "\n".join(text for _, text, _ in together)]],
        }
        for command in commands.get(language, []):
            done = type_in(folder, command)
            said = done.stdout + done.stderr
            assert done.returncode == 0, f"{page}: {command[-1]}\n{done.returncode}\n{said}"


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_says_why(page: str) -> None:
    for language, text, above in steps(page):
        if language == "console":
            assert REASON.search(above), f"{page}: no reason above\n{text}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_not_run_parse_at_least(page: str) -> None:
    for language, text, _ in steps(page):
        if language == "console" and "docker" not in text:
            for line in text.replace("\\\n", " ").splitlines():
                if line.startswith("$ recolor "):
                    parses(line.removeprefix("$ ").partition("  #")[0])


def test_most_pages_run() -> None:
    assert len(RUNNABLE) >= 7
