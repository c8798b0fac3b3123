"""`recolor colorize --cluster` where no cluster is, or none that will do."""

from __future__ import annotations

import contextlib
import http.server
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import photo_factory as factory
import pytest
from colorize_fixtures import fake_model, save_tiny_weights, tree
from photo_factory import put

from recolor_cli.cli.app import main
from recolor_cli.colorize import Run, Settings, colorize_files
from recolor_cli.colorize.cluster import connection, driver
from recolor_cli.colorize.cluster.worker import Introduction
from recolor_cli.colorize.manifest import Manifest
from recolor_cli.errors import MissingExtraError, OutputError, UsageError

needs_ray = pytest.mark.skipif(
    not connection.is_installed(), reason="needs ray: pip install 'recolor-cli[cluster]'"
)


@pytest.fixture(autouse=True)
def no_network() -> None:
    """In place of the guard for all tests: Ray calls this machine by its address in the network."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos") / "in"
    for n in range(3):
        put(folder, f"0/{n}.jpg", factory.jpeg(factory.gray_pixels(40, 60, seed=n)))
    return folder


def refused(*argv: object, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["colorize", *map(str, argv)])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture
def colorize(
    photos: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    def call(*more: object, out: object = tmp_path / "out") -> str:
        began = time.monotonic()
        line = refused(photos / "0", "-o", out, "-m", weights, *more, capsys=capsys)
        assert time.monotonic() - began < 20
        return line

    return call


@needs_ray
def test_an_address_where_nothing_is(colorize: Callable[..., str], tmp_path: Path) -> None:
    assert "no cluster answers at '127.0.0.1:1'" in colorize("--cluster", "127.0.0.1:1")
    assert "no cluster address 'nonsense'" in colorize("--cluster", "nonsense")
    assert "no cluster address 'ray://h:1'" in colorize("--cluster", "ray://h:1")
    assert not tree(tmp_path)


@needs_ray
def test_an_address_where_something_else_is(colorize: Callable[..., str]) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        line = colorize("--cluster", f"127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
    assert "is no Ray cluster" in line


@needs_ray
def test_auto_where_no_cluster_is(
    colorize: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ray: Any = connection.import_ray()

    def init(**_: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray, "init", init)
    assert "no Ray cluster on this machine; start one" in colorize("--cluster", "auto")


@needs_ray
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", r"no cluster answers at '127.0.0.1:1' (RAY_ADDRESS)"),
        ("ray://10.0.0.1:10001", r"no cluster address 'ray://10.0.0.1:10001' (RAY_ADDRESS)"),
    ],
)
def test_auto_means_what_ray_s_variable_names(
    colorize: Callable[..., str], monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert words in colorize("--cluster", "auto")


@needs_ray
@pytest.mark.parametrize("kind", ["ConnectionError", "RayError"])
def test_a_cluster_that_wants_a_token_says_what_to_set(
    colorize: Callable[..., str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    ray: Any = connection.import_ray()

    def init(**_: object) -> None:
        try:
            raise RuntimeError("no GCS: InvalidAuthToken: Authentication token is missing")
        except RuntimeError as error:
            kinds = {"ConnectionError": ConnectionError, "RayError": ray.exceptions.RayError}
            raise kinds[kind]("Failed to connect") from error

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", init)
    line = colorize("--cluster", "auto")
    assert "wants a token: have RAY_AUTH_MODE=token" in line


def test_without_ray_one_line_names_the_extra(
    colorize: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    line = colorize("--cluster", "auto")
    assert line == "recolor: --cluster needs the package 'ray'; pip install 'recolor-cli[cluster]'"
    with pytest.raises(MissingExtraError):
        connection.import_ray()


def test_what_a_cluster_does_not_do_is_refused(
    colorize: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused("-", "-o", "-", "--cluster", "auto", capsys=capsys)
    assert "--cluster is for folders" in line
    assert "--cluster-workers is for clusters" in colorize("--cluster-workers", 2)
    one = tmp_path / "one.jpg"
    one.write_bytes(factory.jpeg(factory.gray_pixels(20, 20)))
    line = refused(one, "-o", tmp_path / "two.jpg", "--cluster", "auto", capsys=capsys)
    assert "--cluster is for folders" in line


def test_ray_tells_nobody_that_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    with contextlib.suppress(MissingExtraError):
        connection.import_ray()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_one_gpu_of_many_is_refused_where_each_worker_sees_its_own(
    photos: Path, weights: Path, tmp_path: Path
) -> None:
    for device, refused in (("cuda:1", True), ("cuda:0", False), ("cuda", False)):
        settings = Settings(model=str(weights), cluster="127.0.0.1:1", device=device)
        if not refused:
            colorize_files([photos / "0"], tmp_path / "out", settings)
            continue
        with pytest.raises(UsageError, match=r"type --device cuda$"):
            colorize_files([photos / "0"], tmp_path / "out", settings)


def test_a_preview_needs_no_cluster(photos: Path, weights: Path, tmp_path: Path) -> None:
    settings = Settings(model=str(weights), cluster="127.0.0.1:1")
    run = colorize_files([photos / "0"], tmp_path / "out", settings)
    assert isinstance(run, Run)
    assert {result.status for result in run.preview()} == {"planned"}


# With a driver that is connected to nothing


@needs_ray
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "0.0.9"}, "has recolor 0.0.9, and this machine"),
        ({"sees_output": False}, "does not see"),
        ({"kind": ("cuda", "bf16")}, "type --device and --precision that all have"),
    ],
    ids=["version", "storage", "kind"],
)
def test_machines_that_do_not_fit_together_are_refused(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    fine = Introduction("n1", "1", ("cpu", "fp32"), driver.code_version(), 5, "m", True)
    room: Any = driver.Cluster.__new__(driver.Cluster)
    room._settings, room._folder = Settings(cluster="auto"), tmp_path
    room._cores, room._gpus = 2, False
    room._kind, room._failed_starts, room._report = None, 0, lambda _line: None
    greet = driver.Cluster._greet
    room._ray = type("Ray", (), {"get": staticmethod(lambda promise: promise)})
    greet(room, driver._Hand(None, fine))
    with pytest.raises(UsageError, match=words):
        greet(room, driver._Hand(None, driver.replace(fine, **change)))


def lead(tmp_path: Path, **more: Any) -> Any:
    """A driver that is connected to nothing."""
    settings = Settings(cluster="10.0.0.1:6379", **more)
    model: Any = fake_model(lambda gray: gray)
    return driver.Cluster([], settings, model, Manifest(tmp_path), tmp_path, lambda _line: None)


@needs_ray
def test_a_head_that_is_gone_is_named_before_ray_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "ANSWER_S", 0.1)
    room, waits = lead(tmp_path), threading.Event()
    room._ray = SimpleNamespace(nodes=lambda: [{}] if waits.wait(20) else [])
    with pytest.raises(OutputError, match=r"head of the cluster '10.0.0.1:6379' does not answer"):
        room._hire()
    waits.set()


@needs_ray
def test_what_a_killed_driver_left_for_its_workers_to_see_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cluster-2-of-3-dead", "cluster-1-of-3-alive"):
        put(tmp_path, f".recolor/{name}", b"x")
    ray = SimpleNamespace(
        nodes=lambda: [{"Alive": True, "NodeID": "1", "Resources": {"CPU": 2.0}}],
        put=lambda model: model,
        remote=lambda _: SimpleNamespace(options=lambda **_more: None),
    )
    monkeypatch.setattr(driver, "connect", lambda *_: ray)
    room = lead(tmp_path, shard=(2, 3))
    room._open()
    (own,) = (tmp_path / ".recolor").glob("cluster-2-of-3-*")
    assert own == room._token
    assert (tmp_path / ".recolor/cluster-1-of-3-alive").exists()
    # Nor does a second run, where there are no locks, end the first one.
    lead(tmp_path, shard=(2, 3))._open()
    assert not own.exists()
    asked: list[Path] = []
    introduce = SimpleNamespace(remote=lambda token, *_: asked.append(token))
    room._actor = SimpleNamespace(remote=lambda *_: SimpleNamespace(introduce=introduce))
    room._batches = driver.Batches(1)
    room._hire()
    assert asked == [own]
    assert own.read_text() == room._text
