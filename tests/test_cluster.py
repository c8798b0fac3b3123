"""`recolor colorize --cluster`: two Ray nodes on this machine, whose workers die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import photo_factory as factory
import pytest
from colorize_fixtures import save_tiny_weights, temporary_files, tree
from photo_factory import put

from recolor_cli.colorize import Settings, colorize_files
from recolor_cli.colorize.cluster import connection, driver
from recolor_cli.colorize.cluster.worker import Job, Worker
from recolor_cli.colorize.manifest import Manifest
from recolor_cli.errors import OutputError, UsageError
from recolor_cli.images.read import read_provenance

needs_ray = pytest.mark.skipif(
    not connection.is_installed(), reason="needs ray: pip install 'recolor-cli[cluster]'"
)
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
PHOTOS = 200


@pytest.fixture(autouse=True)
def no_network() -> None:
    """In place of the guard for all tests: Ray calls this machine by its address in the network."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes with one core each."""
    ray: Any = connection.import_ray()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
        cluster.add_node(**NODE)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "in"
    for n in range(PHOTOS - 3):
        pixels = factory.gray_pixels(40 + n % 40, 60 + n % 7, seed=n)
        put(folder, f"{n % 5}/{n}.jpg", factory.jpeg(pixels))
    put(folder, "deep/16.png", factory.png(factory.gray_pixels(dtype="uint16", seed=7)))
    put(folder, "deep/turned.jpg", factory.jpeg(exif=factory.exif_bytes(6)))
    put(folder, "deep/broken.jpg", b"\xff\xd8\xff\xe0 and no more")
    return folder


@pytest.fixture(scope="module")
def alone(photos: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run without Ray makes of the photographs."""
    out = tmp_path_factory.mktemp("alone") / "out"
    run = colorize_files([photos], out, Settings(model=str(weights)))
    list(run)
    assert (run.summary.done, run.summary.failed) == (PHOTOS - 1, 1)
    return out


def settings_for(cluster: Any, weights: Path, **more: Any) -> Settings:
    return Settings(model=str(weights), cluster=cluster.address, workers=1, **more)


def workers_of(cluster: Any) -> list[int]:
    """The processes of this cluster's workers, by Ray's name for them."""
    raylets = {
        info.process.pid
        for node in cluster.list_all_nodes()
        for info in node.all_processes.get("raylet", [])
    }
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in raylets and (folder / "cmdline").read_bytes().startswith(b"ray::Worker"):
                found.append(int(folder.name))
    return found


# `recolor` whose workers take their time, so that a run can be met half-way however fast this
# machine is. A class of the main program travels to the workers by value.
SLOW = """
import sys, time
from recolor_cli.cli.app import main
from recolor_cli.colorize.cluster import driver
from recolor_cli.colorize.cluster.worker import Worker

class Slow(Worker):
    def _until_stopped(self, jobs):
        for job in super()._until_stopped(jobs):
            time.sleep(0.05)
            yield job

driver.Worker = Slow
main()
"""


class Command:
    """`recolor colorize` in a process of its own, with workers that are slow if that is wanted."""

    def __init__(self, *argv: object, slow: bool = False) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        program = ("-c", SLOW) if slow else ("-m", "recolor_cli")
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  as long as the command
        self.process = subprocess.Popen(
            [sys.executable, *program, "colorize", *map(str, argv), "--json"],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
            # As from a terminal: a run that a script put into the background inherits a deaf ear.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def read(self, count: int) -> list[dict[str, Any]]:
        """The next lines of stdout; they are JSON, all of them."""
        assert self.process.stdout is not None
        return [json.loads(self.process.stdout.readline()) for _ in range(count)]

    def end(self) -> tuple[int, list[dict[str, Any]], str]:
        # Not by `communicate`: it passes over what `readline` has read ahead.
        assert self.process.stdout is not None
        too_late = threading.Timer(240, self.process.kill)
        too_late.start()
        out, code = self.process.stdout.read(), self.process.wait()
        too_late.cancel()
        self._errors.seek(0)
        return code, [json.loads(line) for line in out.splitlines()], self._errors.read()

    def close(self) -> None:
        """End it if it has not ended, and let go of what it wrote."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()


@pytest.fixture
def command() -> Iterator[Callable[..., Command]]:
    """Starts commands, and ends those that a failed test leaves behind."""
    begun: list[Command] = []

    def start(*argv: object, slow: bool = False) -> Command:
        begun.append(Command(*argv, slow=slow))
        return begun[-1]

    yield start
    for each in begun:
        each.close()


def wait_until(true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def lines_of(out: Path) -> dict[str, tuple[object, ...]]:
    """A manifest without its times."""
    return {
        key: (
            line.event,
            line.settings,
            line.source,
            line.reason,
            line.input and line.input.sha256,
            line.output and line.output.sha256,
            {k: v for k, v in line.facts.items() if k != "seconds"},
        )
        for key, line in Manifest(out)
    }


# With a cluster


@needs_ray
def test_a_worker_killed_among_200_photographs_leaves_no_trace(
    cluster: Any,
    photos: Path,
    weights: Path,
    alone: Path,
    tmp_path: Path,
    command: Callable[..., Command],
) -> None:
    out = tmp_path / "out"
    argv = (photos, "-o", out, "-m", weights, "--cluster", cluster.address, "--workers", 1)
    job = command(*argv, "--gallery")
    lines = job.read(20)
    (first,) = workers_of(cluster)[:1]
    os.kill(first, signal.SIGSTOP)  # until the second has come as well
    wait_until(lambda: len(workers_of(cluster)) == 2)
    os.kill(first, signal.SIGCONT)
    lines += job.read(60)
    os.kill(first, signal.SIGKILL)
    code, rest, err = job.end()

    summary = rest[-1]
    photos_told = [line for line in lines + rest if line["event"] == "photo"]
    assert code == 1, err
    assert len({line["input"] for line in photos_told}) == len(photos_told) == PHOTOS
    assert (summary["done"], summary["failed"], summary["left"]) == (PHOTOS - 1, 1, 0)
    assert "died; its photographs go to another" in err
    made = tree(out)
    assert len(made.pop("gallery.html")) > 0
    made = {name: data for name, data in made.items() if not name.startswith("gallery")}
    assert made == tree(alone), "byte for byte"
    assert lines_of(out) == lines_of(alone)
    assert not temporary_files(out)
    assert not list((out / ".recolor").glob("cluster-*"))
    assert read_provenance(out / "deep/16.png") == read_provenance(alone / "deep/16.png")

    # A second run, without the cluster, does only what failed.
    run = colorize_files([photos], out, Settings(model=str(weights)))
    list(run)
    assert (run.summary.done, run.summary.skipped, run.summary.failed) == (0, PHOTOS - 1, 1)


@needs_ray
def test_a_machine_that_goes_takes_no_photograph_with_it(
    cluster: Any, photos: Path, weights: Path, alone: Path, tmp_path: Path
) -> None:
    run = colorize_files([photos], tmp_path / "out", settings_for(cluster, weights))
    results = iter(run)
    for _ in range(60):
        next(results)
    gone = next(node for node in cluster.list_all_nodes() if not node.head)
    cluster.remove_node(gone, allow_graceful=False)
    try:
        list(results)
    finally:
        cluster.add_node(**NODE)
    assert (run.summary.done, run.summary.failed) == (PHOTOS - 1, 1)
    assert tree(tmp_path / "out") == tree(alone)
    assert not temporary_files(tmp_path / "out")


@needs_ray
def test_a_killed_driver_s_run_is_taken_up_again(
    cluster: Any,
    photos: Path,
    weights: Path,
    alone: Path,
    tmp_path: Path,
    command: Callable[..., Command],
) -> None:
    out = tmp_path / "out"
    argv = (photos, "-o", out, "-m", weights, "--cluster", cluster.address, "--workers", 1)
    first = command(*argv, slow=True)
    first.read(60)
    first.process.kill()
    first.process.communicate()
    began = len(tree(out))
    assert 60 <= began < PHOTOS - 1

    second = command(*argv, slow=True)
    lines = second.read(80)  # what is there is told first
    second.process.send_signal(signal.SIGINT)  # as Ctrl-C
    code, rest, err = second.end()
    assert code == 130, err
    summary = rest[-1]
    assert summary["interrupted"]
    assert summary["skipped"] >= 60 - 1  # the broken one may be among the first
    told = [line for line in lines + rest if line["event"] == "photo"]
    assert summary["total"] - summary["left"] == len(told)
    assert not temporary_files(out), "those under way were finished"

    # A run without the cluster knows what the cluster has done.
    run = colorize_files([photos], out, Settings(model=str(weights)))
    list(run)
    assert run.summary.skipped >= summary["done"] + summary["skipped"]
    assert run.summary.done + run.summary.skipped == PHOTOS - 1
    assert tree(out) == tree(alone)
    assert not temporary_files(out)


@needs_ray
def test_a_batch_system_s_sigterm_ends_a_run_with_its_summary(
    cluster: Any, photos: Path, weights: Path, tmp_path: Path, command: Callable[..., Command]
) -> None:
    out = tmp_path / "out"
    argv = (photos, "-o", out, "-m", weights, "--cluster", cluster.address, "--workers", 1)
    job = command(*argv, slow=True)
    lines = job.read(30)
    job.process.send_signal(signal.SIGTERM)
    code, rest, err = job.end()
    assert code == 143, err
    assert "SIGTERM received" not in err
    summary = rest[-1]
    assert summary["event"] == "summary"
    assert summary["interrupted"]
    told = [line for line in lines + rest if line["event"] == "photo"]
    assert summary["total"] - summary["left"] == len(told)
    assert not temporary_files(out)
    assert not list((out / ".recolor").glob("cluster-*"))


@needs_ray
def test_a_photograph_that_kills_its_process_fails_alone(
    cluster: Any,
    photos: Path,
    weights: Path,
    alone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Poisoned(Worker):  # defined in here it travels to the workers by value
        def _until_stopped(self, jobs: Any) -> Iterator[Job]:
            for job in jobs:
                if job.target.source.name == "50.jpg":
                    os.kill(os.getpid(), signal.SIGKILL)
                yield job

    monkeypatch.setattr(driver, "Worker", Poisoned)
    said: list[str] = []
    settings = settings_for(cluster, weights)
    run = colorize_files([photos / "0"], tmp_path / "out", settings, report=said.append)
    list(run)
    (failure,) = run.summary.failures
    assert failure.source.name == "50.jpg"
    assert failure.reason.startswith("its worker died each time that it was tried alone")
    assert run.summary.done == run.summary.total - 1 == 39
    assert sum("died" in line for line in said) <= 4
    sound = {n.removeprefix("0/"): d for n, d in tree(alone).items() if n.startswith("0/")}
    del sound["50.jpg"]
    assert tree(tmp_path / "out") == sound
    line = Manifest(tmp_path / "out").get("50.jpg")
    assert line is not None
    assert line.event == "failed"


@needs_ray
def test_addresses_are_for_workers_too(
    cluster: Any,
    photos: Path,
    weights: Path,
    alone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    run = colorize_files([f"local://{photos}/0"], f"local://{out}", settings_for(cluster, weights))
    list(run)
    assert run.summary.done == 40
    assert tree(out) == {
        n.removeprefix("0/"): d for n, d in tree(alone).items() if n.startswith("0/")
    }
    monkeypatch.setattr(driver, "SIGHT_S", 0.5)
    with pytest.raises(UsageError, match="does not see 'memory://out'"):
        list(colorize_files([photos / "0"], "memory://out", settings_for(cluster, weights)))


@needs_ray
def test_workers_that_never_start_end_the_run(
    cluster: Any, photos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stillborn(Worker):
        def __init__(self, *_: object) -> None:
            raise ModuleNotFoundError("No module named 'cv2'")

    monkeypatch.setattr(driver, "Worker", Stillborn)
    run = colorize_files([photos / "0"], tmp_path / "out", settings_for(cluster, weights))
    with pytest.raises(OutputError, match=r"do not start: .*No module named 'cv2'"):
        list(run)
    assert run.summary.done == 0
    assert run.summary.left == 40
