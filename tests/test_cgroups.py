"""What a container gets is told by files, of which there are two kinds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from recolor_cli import cgroups
from recolor_cli.cgroups import memory_left, processors
from recolor_cli.devices import cores


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "OURS", tmp_path / "ours")
    return tmp_path


def write(system: Path, ours: str, files: dict[str, str]) -> None:
    (system / "ours").write_text(ours)
    for name, text in files.items():
        path = system / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("ours", "files", "wanted"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {}, math.inf),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/of/the/host\n", {"cpu.max": "200000 100000\n"}, 2),
        (
            "4:cpu,cpuacct:/x\n0::/\n",
            {"cpu/x/cpu.cfs_quota_us": "50000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            0.5,
        ),
        (
            "4:cpu:/\n3:memory:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            math.inf,
        ),
    ],
)
def test_processors(system: Path, ours: str, files: dict[str, str], wanted: float) -> None:
    write(system, ours, files)
    assert processors() == wanted


@pytest.mark.parametrize(
    ("ours", "files", "wanted"),
    [
        ("0::/\n", {"memory.max": "max\n", "memory.current": "7\n"}, math.inf),
        ("0::/\n", {"memory.max": "1000\n", "memory.current": "700\n"}, 300),
        (
            "0::/\n",
            {
                "memory.max": "1000\n",
                "memory.current": "700\n",
                "memory.stat": "anon 300\nfile 400\ninactive_file 100\nactive_file 200\n",
            },
            600,
        ),
        (
            "0::/a/b\n",
            {
                "a/b/memory.max": "1000\n", "a/b/memory.current": "100\n",
                "a/memory.max": "2000\n", "a/memory.current": "1900\n",
            },
            100,
        ),
        (
            "3:memory:/\n",
            {
                "memory/memory.limit_in_bytes": "1000\n",
                "memory/memory.usage_in_bytes": "900\n",
                "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 50\n",
            },
            150,
        ),
        ("0::/\n", {"memory.max": "1000\n", "memory.current": "1200\n"}, 0),
    ],
)  # fmt: skip
def test_memory(system: Path, ours: str, files: dict[str, str], wanted: float) -> None:
    write(system, ours, files)
    assert memory_left() == wanted


def test_without_control_groups_nothing_is_limited(system: Path) -> None:
    assert processors() == memory_left() == math.inf


@pytest.mark.parametrize(
    ("quota", "wanted"), [(0.5, 1), (1.0, 1), (1.5, 2), (7.0, 4), (math.inf, 4)]
)
def test_cores_are_those_whose_time_there_is(
    monkeypatch: pytest.MonkeyPatch, quota: float, wanted: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr("recolor_cli.devices.processors", lambda: quota)
    assert cores() == wanted
