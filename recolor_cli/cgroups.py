"""What a container gets of its machine: processors and memory, as Linux's control groups say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT, OURS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
# Of the memory that is used: what files fill, and the system gives back before anything fails.
FILES = ("inactive_file", "active_file", "total_inactive_file", "total_active_file")


def processors() -> float:
    """How many processors' time this process gets; infinity where nothing limits it."""
    return min(map(_quota, _folders("cpu")), default=math.inf)


def memory_left() -> float:
    """Bytes that this process may take beyond what it has; infinity where nothing limits them."""
    return min(map(_left, _folders("memory")), default=math.inf)


def _folders(controller: str) -> Iterator[Path]:
    """Of this process's group and those around it, in version 2 and in version 1."""
    try:
        lines = OURS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = ROOT / controller if controllers else ROOT
        # In a container this may be the host's name of a group, and what is there the container's.
        inside = PurePosixPath(place.lstrip("/"))
        yield from (top / folder for folder in (inside, *inside.parents))


def _quota(folder: Path) -> float:
    found = _numbers(folder / "cpu.max") or [
        *_numbers(folder / "cpu.cfs_quota_us"),  # -1 where there is none
        *_numbers(folder / "cpu.cfs_period_us"),
    ]
    return found[0] / found[1] if len(found) == 2 and found[0] > 0 else math.inf


def _left(folder: Path) -> float:
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        found = [*_numbers(folder / limit), *_numbers(folder / used)]
        if len(found) == 2:
            return max(0.0, found[0] - found[1] + _of_files(folder / "memory.stat"))
    return math.inf


def _of_files(path: Path) -> float:
    words = _words(path)
    sizes = dict(zip(words[::2], words[1::2], strict=False))
    old = "total_inactive_file" in sizes  # version 1 tells of the group alone first
    return sum(float(sizes.get(name, 0)) for name in FILES if name.startswith("total_") == old)


def _numbers(path: Path) -> list[float]:
    return [math.inf if word == "max" else float(word) for word in _words(path)]


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:  # no such limit, or not ours to know
        return []
