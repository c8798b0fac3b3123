"""Compiles `recolor_cli/color/strip.c` at installation, if a compiler is there.

    python hatch_build.py       compiles it into this clone, as `make setup` does

The compiler is `$CC`, else `cc`; it has to understand gcc's options. Without one, or where it
fails, the package is complete all the same: NumPy computes the merge, and `_strip.txt` beside it
keeps the reason, which `recolor colorize --verbose` prints.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

FOLDER = Path("recolor_cli", "color")
LIBRARY = "_strip.dll" if os.name == "nt" else "_strip.so"
REASON = "_strip.txt"
# Nothing here lets the compiler reorder sums or fuse a product with a sum: strip.c says why.
OPTIONS = [
    *("-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
    *("-funroll-loops", "-shared", "-fPIC"),
]
LONGEST = 200  # characters of what a compiler said


class CompiledMerge(BuildHookInterface[Any]):
    """Puts the library, or the reason why there is none, into a wheel or into an editable clone."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a wheel is put together."""
        self._folder: str | None = None
        if version == "editable":
            self.app.display_info(compile_into(Path(self.root), Path(self.root, FOLDER)))
            return
        self._folder = tempfile.mkdtemp()
        made = Path(self._folder)
        self.app.display_info(compile_into(Path(self.root), made))
        for path in made.iterdir():
            build_data["force_include"][str(path)] = (FOLDER / path.name).as_posix()
        if (made / LIBRARY).exists():
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform_tag()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Called by hatchling when the wheel is there."""
        if self._folder:
            shutil.rmtree(self._folder)


def compile_into(root: Path, folder: Path) -> str:
    """Compile into a folder, or write there why not; return a line for people."""
    source = root / FOLDER / "strip.c"
    library, reason = folder / LIBRARY, folder / REASON
    compiler = words_of(os.environ.get("CC", "cc"))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    fresh = folder / f"{LIBRARY}.{os.getpid()}"
    command = [*compiler, *OPTIONS, f'-DRECOLOR_SOURCE="{digest}"', "-o", str(fresh), str(source)]
    try:
        said = subprocess.run(
            command, capture_output=True, text=True, errors="backslashreplace", check=False
        )
    except OSError:
        failed = "no C compiler was there at installation"
    else:
        failed = f"{compiler[0]} failed at installation: {_first_error(said.stderr)}"
        if said.returncode == 0:
            os.replace(fresh, library)  # whoever has the old one loaded keeps it
            reason.unlink(missing_ok=True)
            return f"compiled {source.name} with {compiler[0]}"
    fresh.unlink(missing_ok=True)
    library.unlink(missing_ok=True)
    reason.write_text(failed + "\n", encoding="utf-8")
    return f"{failed}; NumPy computes the merge, which takes longer"


def words_of(command: str, *, windows: bool = os.name == "nt") -> list[str]:
    """As a shell takes it apart; on Windows a backslash is part of a path."""
    return [word.strip('"') for word in shlex.split(command, posix=not windows)]


def platform_tag() -> str:
    """For the wheel's name. Not manylinux: nobody has checked against which systems it runs."""
    if sys.platform == "linux":
        return sysconfig.get_platform().replace("-", "_")
    return next(iter(platform_tags()))


def _first_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line]
    return (errors or lines or ["it said nothing"])[0][:LONGEST]


if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parent
    print(compile_into(ROOT, ROOT / FOLDER), file=sys.stderr)
    sys.exit(0 if (ROOT / FOLDER / LIBRARY).exists() else 1)
