"""The Dockerfile and the notebook: sound as files, and every command in them is one of ours."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import nbformat
import pytest
import typer

from recolor_cli.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
NOTEBOOK = ROOT / "docs" / "how-to" / "colab.ipynb"
ONLY_THERE = ("!git clone", "!pip install", "%cd")  # what a rented machine needs and we have


def instructions() -> list[tuple[str, str]]:
    """(name, arguments) of every instruction, continued lines joined."""
    joined = re.sub(r"\\\n", " ", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def parses(command: str) -> None:
    """Let the command line read a command, to the last option, without doing it."""
    group: Any = typer.main.get_command(app)
    words = shlex.split(command.partition("  #")[0])
    assert words[0] == "recolor"
    context, rest = group.make_context("recolor", words[1:]), words[1:]
    while hasattr(group, "get_command") or hasattr(group, "commands"):
        name, rest = rest[0], rest[1:]
        group = group.get_command(context, name)
        assert group is not None, f"no command {name!r} in {command!r}"
    group.make_context(name, rest)


def test_the_linter_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    said = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, ""), said.stdout + said.stderr


def test_the_linter_would_have_something_to_say(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian\nRUN cd /tmp && sudo ls\n")
    hadolint = Path(sys.executable).with_name("hadolint")
    assert subprocess.run([hadolint, bad], capture_output=True).returncode == 1


def test_what_the_image_copies_is_in_the_repository_and_not_ignored() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignore[0] == "*", "nothing goes in that is not named"
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    copied = [
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in allowed), source
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {project["project"]["readme"], *project["project"]["license-files"]}
    needed |= set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"])
    needed |= {"hatch_build.py"}
    assert needed <= set(copied), "or the wheel does not build inside"
    assert any("gcc" in rest for name, rest in instructions() if name == "RUN"), "or NumPy merges"


def test_the_image_runs_our_command_and_not_as_root() -> None:
    last = dict(instructions())  # the last of each name
    assert json.loads(last["ENTRYPOINT"]) == ["recolor"]
    assert last["USER"] not in ("root", "0")
    parses(" ".join(["recolor", *json.loads(last["CMD"])]).replace("--help", "recipes"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    least = project["project"]["requires-python"].removeprefix(">=")
    versions = {rest.split()[0] for name, rest in instructions() if name == "FROM"}
    assert versions == {f"python:{least}-slim"}


def test_one_file_makes_both_images() -> None:
    assert ("ARG", 'TORCH_INDEX=""') in instructions()
    page = (ROOT / "docs" / "how-to" / "containers.md").read_text(encoding="utf-8")
    assert "docker build -t recolor ." in page
    assert "--build-arg TORCH_INDEX=" in page
    assert "--gpus all" in page


def docker_commands() -> list[str]:
    """What runs inside the container, of every `docker run` that people are told to type."""
    page = (ROOT / "docs" / "how-to" / "containers.md").read_text(encoding="utf-8")
    text = page + re.sub(r"^#", "", DOCKERFILE, flags=re.M)
    joined = re.sub(r"\\\n", " ", text)
    return [f"recolor {c}" for c in re.findall(r"docker run [^\n]*? recolor ([a-z][^\n]*)", joined)]


@pytest.mark.parametrize("command", docker_commands())
def test_commands_for_the_container_parse(command: str) -> None:
    parses(command)


def test_there_are_commands_for_the_container() -> None:
    assert len(docker_commands()) >= 2


def test_the_notebook_is_one() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5
    assert not [cell for cell in code if cell.outputs or cell.execution_count], "run, not cleared"


def cells() -> list[str]:
    return [
        "".join(cell["source"])
        for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]


def test_every_line_of_the_notebook_is_python_or_a_command_of_ours() -> None:
    commands = 0
    for cell in cells():
        python = []
        for line in cell.splitlines():
            if line.startswith("!recolor"):
                parses(line[1:])
                commands += 1
            elif line.startswith("!python"):
                assert (ROOT / line.split()[1]).exists(), line
            elif not line.startswith(ONLY_THERE):
                python.append(line)
        compile("\n".join(python), "cell", "exec")
    assert commands >= 4


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    """From the first command to the last, as on the rented machine, but for what prepares that."""
    for folder in ("examples", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shown = "class display:\n    def __init__(self, thing): thing.load()\n"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for cell in cells():
        python = []
        for line in cell.splitlines():
            if line.startswith(ONLY_THERE):
                continue
            if not line.startswith("!"):
                python.append(line.replace("from IPython.display import display", shown))
                continue
            done = subprocess.run(
                ["bash", "-euc", line[1:]], cwd=tmp_path, env={**os.environ, "PATH": path},
                capture_output=True, text=True, check=False, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        text = "\n".join(python)
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{text}\n{done.stderr}"
