"""Makes `.venv` with the pinned packages; does nothing when it is there already.

    python tools/setup.py [run|test|docs]

run: what the program needs; test, docs: that and the tools for it. Needs Python >= 3.11 and pip,
nothing else. Works where `make` is missing too.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
OLDEST = (3, 11)
LAST_LINES = 15  # of what pip said, when it fails

DECIDING = ("pyproject.toml", "constraints.txt", "hatch_build.py", "recolor_cli/color/strip.c")
EXTRAS = {"run": "", "test": "[test]", "docs": "[test,docs]"}
# Later purposes contain the earlier ones.
CONTAINED_IN = {"run": ("run", "test", "docs"), "test": ("test", "docs"), "docs": ("docs",)}
DOWNLOADS_MB = {"run": 160, "test": 120, "docs": 15}  # what each adds, torch not counted


def main(arguments: list[str]) -> int:
    """Make the environment ready for one purpose; return the exit status."""
    purpose = arguments[0] if arguments else "run"
    if purpose not in EXTRAS or len(arguments) > 1:
        say(f"give one of {', '.join(EXTRAS)}, got {' '.join(arguments)!r}")
        return 2
    if sys.version_info < OLDEST:
        say(f"needs Python >= 3.11, got {platform.python_version()}; try make PYTHON=python3.12")
        return 2
    wanted = fingerprint()
    if any(read(stamp(name)) == wanted for name in CONTAINED_IN[purpose]):
        return 0
    first = not has_pip()
    announce(purpose, first=first)
    if first:
        try:
            venv.create(VENV, with_pip=True)
        except subprocess.CalledProcessError:  # Debian ships venv without its other half
            say("this Python makes no environments; on Debian and Ubuntu: apt install python3-venv")
            return 1
    status = pip_install(f"{ROOT}{EXTRAS[purpose]}")
    if status:
        say(f"pip ended with {status}; the lines above say why, .venv/setup.log has the rest")
        say("run the same command again to go on, or delete .venv to start afresh")
        return status
    missing = ROOT / "recolor_cli" / "color" / "_strip.txt"  # by hatch_build.py
    if missing.exists():
        say(f"{read(missing).strip()}; colouring works, and large photographs take longer")
    stamp(purpose).write_text(wanted, encoding="utf-8")
    say("ready in .venv")
    return 0


def pip_install(requirement: str) -> int:
    """Install into .venv, naming the big downloads as they start; return pip's exit status."""
    # One call, so that the pin on torch holds for everything that depends on it.
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"]
    pip += ["-c", str(ROOT / "constraints.txt"), "-e", requirement]
    said: list[str] = []
    with subprocess.Popen(
        pip,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",  # compilers and git have their own idea of an encoding
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    ) as run:
        for line in run.stdout or ():
            said.append(line)
            if "Downloading" in line and "MB)" in line:
                say(f"  {line.strip()}")
            elif line.startswith("Installing collected"):
                say("  unpacking")
    (VENV / "setup.log").write_text("".join(said), encoding="utf-8")
    if run.returncode:
        print("".join(said[-LAST_LINES:]), end="", file=sys.stderr)
    return run.returncode


def say(text: str) -> None:
    """One line for the person who waits."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


def has_pip() -> bool:
    """Whether .venv is there and complete; one whose making was interrupted is not."""
    if not PYTHON.exists():
        return False
    ask = [str(PYTHON), "-m", "pip", "--version"]
    return subprocess.run(ask, capture_output=True, check=False).returncode == 0


def fingerprint() -> str:
    """Changes when .venv may have to: other pins or C code, another Python, a clone that moved."""
    parts = [(ROOT / name).read_bytes() for name in DECIDING]
    parts += [platform.python_version().encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamp(purpose: str) -> Path:
    """The file that says what the environment was made for."""
    return VENV / f".ready-{purpose}"


def read(path: Path) -> str:
    """The text of a file; empty when there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def announce(purpose: str, *, first: bool) -> None:
    """Say what is about to be downloaded, before the long silence."""
    have = [name for name in EXTRAS if any(stamp(n).exists() for n in CONTAINED_IN[name])]
    needed = list(EXTRAS)[: list(EXTRAS).index(purpose) + 1]
    megabytes = sum(DOWNLOADS_MB[name] for name in needed if name not in have)
    if first:
        say("first run; making .venv and downloading, once:")
    elif megabytes:
        say(f"downloading, once, what '{purpose}' needs besides:")
    else:
        say("the requirements have changed; downloading what is new")
    if "run" not in have:
        here = "about 200 MB, or 3 GB where pip picks the build for NVIDIA cards"
        say(f"  torch             {here if sys.platform == 'linux' else 'about 100 to 200 MB'}")
    if megabytes:
        say(f"  packages          about {megabytes} MB")
    say("weights come with this repository; this takes minutes, not seconds")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
