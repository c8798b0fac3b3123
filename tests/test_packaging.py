"""What a user installs is complete, and the set-up files agree with each other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = [
    line
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
PINS = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in CONSTRAINTS}
EXTRAS = PROJECT["project"]["optional-dependencies"]
REQUIREMENTS = [
    *PROJECT["project"]["dependencies"],
    *(text for extra in EXTRAS.values() for text in extra if not text.startswith("recolor-cli[")),
]
MANIFEST = json.loads((ROOT / "weights.json").read_text(encoding="utf-8"))
EMBEDDED = [entry["file"] for entry in MANIFEST["weights"].values() if entry["source"] == "package"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_carries_the_whole_package(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "recolor_cli"
    files = (p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    sources = {p.relative_to(ROOT).as_posix() for p in files}
    assert sources <= set(wheel.namelist())
    assert json.loads(wheel.read("recolor_cli/weights.json")) == MANIFEST


def test_the_wheel_carries_the_embedded_weights_byte_for_byte(wheel: zipfile.ZipFile) -> None:
    carried = {name.rpartition("/")[2]: name for name in wheel.namelist() if "/pretrained/" in name}
    for file in EMBEDDED:
        name = Path(file).name
        source = ROOT / "recolor_cli" / "pretrained" / name
        assert wheel.read(carried[name]) == source.read_bytes()


def test_the_wheel_has_nothing_that_is_not_the_package(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert all(top == "recolor_cli" or top.endswith(".dist-info") for top in tops), tops


def test_a_wheel_with_compiled_code_is_for_one_kind_of_machine(wheel: zipfile.ZipFile) -> None:
    compiled = any("/_strip.so" in name or "/_strip.dll" in name for name in wheel.namelist())
    assert compiled or any("/_strip.txt" in name for name in wheel.namelist()), "or the reason"
    name = Path(wheel.filename or "").name
    assert "-py3-none-" in name
    assert name.endswith("-any.whl") != compiled


def test_the_wheel_says_its_licence_and_its_command(wheel: zipfile.ZipFile) -> None:
    text = {name.rpartition("/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "License-Expression: MIT" in wheel.read(text["METADATA"]).decode()
    assert "recolor = recolor_cli.cli.app:main" in wheel.read(text["entry_points.txt"]).decode()
    assert "LICENSE" in text


def test_the_package_is_typed() -> None:
    assert (ROOT / "recolor_cli" / "py.typed").exists()


def test_the_default_weights_are_embedded() -> None:
    assert MANIFEST["weights"][MANIFEST["default"]]["source"] == "package"


def test_constraints_are_names_and_versions_only() -> None:
    plain = re.compile(r"[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.]*")
    assert not [line for line in CONSTRAINTS if not plain.fullmatch(line)]


@pytest.mark.parametrize("text", REQUIREMENTS)
def test_every_requirement_is_pinned_within_its_range(text: str) -> None:
    requirement = Requirement(text)
    pin = PINS[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(Version(pin)), f"{text} excludes our own {pin}"


def test_ranges_stay_wide() -> None:
    operators = {part.operator for text in REQUIREMENTS for part in Requirement(text).specifier}
    assert operators <= {">=", "!="}, (
        "users' other packages must be able to move; pins live in constraints.txt"
    )


def test_no_file_of_the_set_up_names_an_address_of_packages() -> None:
    for name in ("pyproject.toml", "constraints.txt", "Makefile", "tools/setup.py", ".ci/run"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"index-url|find-links|--extra-index", text), name


def test_every_example_has_its_licence_stated() -> None:
    stated = (ROOT / "examples" / "LICENSES.md").read_text(encoding="utf-8")
    photos = [p.name for p in (ROOT / "examples").iterdir() if p.suffix != ".md"]
    assert photos
    assert not [name for name in photos if f"`{name}`" not in stated]


def setup(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "tools" / "setup.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def bare_clone(tmp_path: Path) -> Path:
    """A clone whose .venv is there, and whose `pip` only writes down what it was asked."""
    deciding = ("hatch_build.py", "recolor_cli/color/strip.c")
    for name in ("pyproject.toml", "constraints.txt", "tools/setup.py", *deciding):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        '#!/bin/sh\ncase "$*" in *install*) echo "$@" >>pip-calls; exit ${PIP_STATUS:-0};; esac\n'
    )
    python.chmod(0o755)
    return tmp_path


posix = pytest.mark.skipif(os.name == "nt", reason="the stand-in for pip is a shell script")


@posix
def test_set_up_is_one_call_of_pip_and_then_none(bare_clone: Path) -> None:
    first = setup(bare_clone, "run")
    assert first.returncode == 0
    assert "MB" in first.stderr, "says how much it is about to download"
    calls = bare_clone / "pip-calls"
    assert calls.read_text().count("pip install") == 1
    assert "constraints.txt" in calls.read_text()
    again = setup(bare_clone, "run")
    assert (again.returncode, again.stderr) == (0, "")
    assert calls.read_text().count("pip install") == 1


@posix
def test_set_up_survives_what_is_not_utf_8(bare_clone: Path) -> None:
    # As a compiler's words may be, or pip's own on Windows.
    (bare_clone / ".venv" / "bin" / "python").write_bytes(b"#!/bin/sh\necho 'in J\xfcrgen'\n")
    assert setup(bare_clone, "run").returncode == 0
    assert "J\\xfcrgen" in (bare_clone / ".venv" / "setup.log").read_text(encoding="utf-8")


@posix
def test_set_up_follows_changed_requirements(bare_clone: Path) -> None:
    setup(bare_clone, "test")
    assert setup(bare_clone, "run").stderr == "", "what tests need contains what the program needs"
    with (bare_clone / "constraints.txt").open("a") as file:
        file.write("# newer\n")
    assert "changed" in setup(bare_clone, "run").stderr


@posix
def test_set_up_compiles_anew_when_the_c_code_changed(bare_clone: Path) -> None:
    setup(bare_clone, "run")
    with (bare_clone / "recolor_cli" / "color" / "strip.c").open("a") as file:
        file.write("/* newer */\n")
    reason = bare_clone / "recolor_cli" / "color" / "_strip.txt"
    reason.write_text("no C compiler was there at installation\n")
    again = setup(bare_clone, "run")
    assert again.returncode == 0
    assert "no C compiler was there at installation; colouring works" in again.stderr
    assert (bare_clone / "pip-calls").read_text().count("pip install") == 2


@posix
def test_set_up_that_failed_is_tried_again(
    bare_clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_STATUS", "7")
    failed = setup(bare_clone, "run")
    assert failed.returncode == 7
    assert "again" in failed.stderr
    monkeypatch.delenv("PIP_STATUS")
    assert setup(bare_clone, "run").returncode == 0
    assert (bare_clone / "pip-calls").read_text().count("pip install") == 2


def test_set_up_for_an_unknown_purpose_is_refused() -> None:
    assert setup(ROOT, "everything").returncode == 2
