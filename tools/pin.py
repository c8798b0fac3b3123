"""Writes constraints.txt: the versions installed here of everything that pyproject.toml leads to.

    .venv/bin/python tools/pin.py

Names and versions only: no addresses, no hashes, no local parts such as `+cpu`, so that the file
means the same with every index and on every platform. Run it after a deliberate upgrade, then the
tests.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
HEADER = """\
# The versions that recolor is developed and tested with; written by tools/pin.py.
# pyproject.toml has the wide ranges that it accepts.
"""


def main() -> int:
    """Write the file; name what is required but not installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = list(project["build-system"]["requires"]) + list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    own = canonicalize_name(project["project"]["name"])
    versions, missing = resolve([Requirement(text) for text in wanted], own=own)
    lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
    (ROOT / "constraints.txt").write_text(HEADER + "".join(lines), encoding="utf-8")
    if missing:
        print(f"pin: not installed, so not pinned: {', '.join(sorted(missing))}", file=sys.stderr)
    return 1 if missing else 0


def resolve(wanted: list[Requirement], *, own: str) -> tuple[dict[str, str], set[str]]:
    """Installed versions of the requirements and of what they require; and the missing names."""
    versions: dict[str, str] = {}
    missing: set[str] = set()
    done: set[tuple[str, str]] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if name == own or (name, extra) in done:
                continue
            done.add((name, extra))
            try:
                installed = distribution(name)
            except PackageNotFoundError:
                missing.add(name)
                continue
            versions[name] = Version(installed.version).public
            for text in installed.requires or ():
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    wanted.append(needed)
    return versions, missing


if __name__ == "__main__":
    sys.exit(main())
