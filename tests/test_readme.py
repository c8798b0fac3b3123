"""What README and the tutorial tell people to type works as it stands.

Blocks of `sh` are run line by line and blocks of `python` as a program, page by page from top to
bottom in one folder, as a reader would. Blocks of `text` after them hold lines that they print, but
for the numbers. `make` lines are not run (`.ci/run` does that); that their
targets exist is tested. Anything else has a language that promises no running.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", "docs/tutorial.md"]
SHOWN_ONLY = {"console", "text", "json", "toml", "{image}", "{toctree}", "{eval-rst}"}
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


class Block(NamedTuple):
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [Block(language.split(" ")[0].strip(), body) for language, body in BLOCK.findall(text)]


def commands(page: str) -> list[str]:
    found = [
        line for language, text in blocks(page) if language == "sh" for line in text.splitlines()
    ]
    return [line.partition("  #")[0].strip() for line in found if line.strip()]


@pytest.fixture
def readers_folder(tmp_path: Path) -> Path:
    """A place that looks like the clone to what the pages tell people to type."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    return tmp_path


def type_in(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # A proxy that nobody answers on: what the pages promise must need no network.
    offline = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **offline, "PATH": programs}, timeout=300,
        capture_output=True, text=True, encoding="utf-8", check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def looks_like(line: str) -> str:
    """A pattern for the line that a page shows: fractions, spaces and processors are free."""
    pattern = re.sub(r"\d+\\\.\d+", r"\\d+(\\.\\d+)?", re.escape(line))
    pattern = re.sub(r"(\\ )+", r"\\s+", pattern)
    return (
        pattern.replace(r"\(2\s+cores\)", r".*")
        .replace("cpu", r"\S+")
        .replace("fp32", r"(fp32|bf16)")
    )


def test_a_line_that_is_shown_is_held_to_what_is_printed() -> None:
    shown = looks_like("16 images: loss 0.017, n (2 cores)   cpu")
    assert re.search(shown, "16 images: loss 1.5, n on a  card cuda")
    assert not re.search(shown, "17 images: loss 0.017, n (2 cores)   cpu")
    assert not re.search(shown, "16 images: lost 0.017, n (2 cores)   cpu")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_page_works_word_for_word(page: str, readers_folder: Path) -> None:
    if page == "README.md":  # it speaks of `photos`, which the reader has
        made = type_in(readers_folder, ["python", "tools/make_examples.py", "--color", "photos"])
        assert made.returncode == 0, made.stderr
    ran, said = 0, ""
    for language, text in blocks(page):
        if language == "text" and said:
            for line in text.splitlines():
                assert re.search(looks_like(line), said, re.M), f"{page}: {line!r} not in\n{said}"
            continue
        if language == "python":
            steps = [["python", "-c", text]]
        elif language == "sh":
            lines = (line for line in text.splitlines() if not line.startswith("make "))
            steps = [["bash", "-euc", line] for line in lines if line.strip()]
        else:
            continue
        said = ""
        for step in steps:
            done = type_in(readers_folder, step)
            said += done.stdout + done.stderr
            assert done.returncode == 0, f"{page}: {step[-1]}\nended with {done.returncode}\n{said}"
            ran += 1
        said = said if language == "sh" else ""
    assert ran >= 3


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_make_targets_exist(page: str) -> None:
    targets = {line.split()[1] for line in commands(page) if line.startswith("make ")}
    assert targets
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_readme_sets_up_with_two_commands() -> None:
    first = next(text for language, text in blocks("README.md") if language == "sh")
    assert [line.partition("  #")[0].strip() for line in first.splitlines()] == [
        "make demo",
        "make test",
    ]


@pytest.mark.parametrize(
    "page", [p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md")] + PAGES
)
def test_every_block_says_whether_it_runs(page: str) -> None:
    languages = {block.language for block in blocks(page)}
    assert languages <= SHOWN_ONLY | {"sh", "python"}, page


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/LICENSES.md"]
)
def test_links_lead_to_files(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [link for link in LINK.findall(text) if "://" not in link]
    missing = [link for link in targets if not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing


def shown_commands() -> list[tuple[str, str]]:
    """(page, `recolor ...`) for every command that a page shows without running it here."""
    found = []
    for path in sorted(ROOT.glob("docs/**/*.md")):
        page = path.relative_to(ROOT).as_posix()
        for language, text in blocks(page):
            if language == "console":
                joined = text.replace("\\\n", " ")
                found += [(page, match) for match in re.findall(r"\brecolor [a-z].*", joined)]
    for path in sorted(ROOT.glob("docs/**/*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            found += [
                (path.name, line[1:]) for line in cell["source"] if line.startswith("!recolor")
            ]
    return found


@pytest.mark.parametrize(("page", "command"), shown_commands())
def test_shown_commands_and_options_exist(page: str, command: str) -> None:
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    words = command.partition("  #")[0].split()
    name = " ".join(words[:3] if words[1] in ("models", "data") else words[:2])
    match = re.search(rf"^##+ `{re.escape(name)}`$(.*?)(?=^##+ |\Z)", reference, re.M | re.S)
    assert match, f"{page} shows {name!r}, which is no command"
    for option in (word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)):
        assert re.search(rf"^\* .*`.*(?<![\w-]){option}(?![\w-])", match[1], re.M), (
            f"{page}: {option}"
        )


def test_readme_stays_a_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 100


def test_generated_pages_are_fresh() -> None:
    command = [sys.executable, "tools/generate.py", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
