"""`recolor colorize` over folders: what is written, what is not, and what a second run does."""

from __future__ import annotations

import errno
import fcntl
import gc
import hashlib
import json
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import photo_factory as factory
import pytest
from colorize_fixtures import in_a_child, save_tiny_weights, temporary_files, tree
from photo_factory import put

from recolor_cli.cli.app import main
from recolor_cli.color.lab import luminance
from recolor_cli.colorize import Settings, colorize_files
from recolor_cli.colorize import stages as stages_module
from recolor_cli.colorize.network import Answer
from recolor_cli.colorize.orders import Order
from recolor_cli.colorize.plan import Target
from recolor_cli.colorize.results import PhotoResult, Summary
from recolor_cli.colorize.stages import Work, cost
from recolor_cli.devices import choose_machine
from recolor_cli.errors import OutputError
from recolor_cli.images.atomic import output_error
from recolor_cli.images.read import read_photo, read_provenance


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="session")
def other_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "other.safetensors", seed=1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight grey photographs of several sizes and formats, in a tree."""
    folder = tmp_path / "in"
    for n in range(5):
        put(folder, f"{n}.jpg", factory.jpeg(factory.gray_pixels(40 + n, 60, seed=n)))
    put(folder, "deep/a.png", factory.png(factory.gray_pixels(dtype=np.uint16, seed=7)))
    put(folder, "deep/b.png", factory.png(factory.gray_pixels(80, 30, seed=8)))
    put(folder, "deep/er/c.jpg", factory.jpeg(exif=factory.exif_bytes(6)))
    return folder


@pytest.fixture
def run(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[dict], str]]:
    """Run the command in this process: exit status, JSON lines, stderr."""

    def call(*argv: object, model: Path = weights) -> tuple[int, list[dict], str]:
        with pytest.raises(SystemExit) as caught:
            main(["colorize", *map(str, argv), "--model", str(model), "--json"])
        captured = capsys.readouterr()
        code = caught.value.code
        assert isinstance(code, int)
        lines = [json.loads(line) for line in captured.out.splitlines()]
        return code, lines, captured.err

    return call


def counts(lines: list[dict]) -> tuple[int, int, int]:
    """Done, skipped, failed, checked against the lines and the total."""
    summary = lines[-1]
    assert summary["event"] == "summary"
    told = [line["status"] for line in lines[:-1]]
    for status in ("done", "skipped", "failed", "planned"):
        assert told.count(status) == summary[status], status
    parts = ("done", "skipped", "failed", "planned", "left")
    assert sum(summary[part] for part in parts) == summary["total"]
    return summary["done"], summary["skipped"], summary["failed"]


def reason(lines: list[dict], name: str) -> str:
    (line,) = [line for line in lines if (line.get("input") or "").endswith(name)]
    return line["reason"]


# What comes out


def test_good_broken_odd_and_trapped_files(run, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    good, broken = factory.put_tree(source)
    odd = factory.put_odd_names(source / "odd")
    factory.put_traps(source / "traps")
    before = {p: p.read_bytes() for p in source.rglob("*") if p.is_file()}

    code, lines, _ = run(source, "-o", out)

    done, skipped, failed = counts(lines)
    assert code == 1
    assert done == len(good) - 1 + len(odd) + 1  # no-suffix is not found in a folder; one trap
    assert failed == len(broken) + 1  # and the broken link
    assert skipped == 1  # a link to a photograph that is there
    assert lines[-1]["ignored"] > 0
    for name, (_, words) in factory.BROKEN.items():
        text = reason(lines, f"broken/{name}")
        assert words in text, name
        assert "\n" not in text
    assert len(tree(out)) == done
    assert not list((out / "broken").glob("*"))
    assert not temporary_files(out)
    for path in out.rglob("*"):
        if path.is_file() and ".recolor" not in path.parts:
            assert read_photo(path).pixels.ndim == 3, "coloured"
            assert read_provenance(path) is not None
    assert before == {p: p.read_bytes() for p in source.rglob("*") if p.is_file()}


def test_luminance_size_depth_and_turn_stay_and_colours_come(run, tmp_path: Path) -> None:
    picture = factory.gray_pixels(90, 140, dtype=np.uint16)
    path = put(tmp_path, "a.png", factory.png(picture, exif=factory.exif_bytes(6)))
    code, lines, _ = run(path, "-o", tmp_path / "out")
    assert code == 0
    before, after = read_photo(path), read_photo(tmp_path / "out/a.png")
    assert after.pixels.dtype == np.uint16
    assert after.pixels.shape == (90, 140, 3)
    assert after.orientation == before.orientation == 6
    off = np.abs(luminance(after.pixels) - luminance(picture))
    assert off.mean() < 0.05
    lab = cv2.cvtColor((after.pixels / 65535).astype(np.float32), cv2.COLOR_RGB2LAB)
    assert np.hypot(lab[..., 1], lab[..., 2]).mean() > 1
    assert (lines[0]["width"], lines[0]["height"]) == (140, 90)


def test_the_output_says_where_its_colours_come_from(run, tmp_path: Path, weights: Path) -> None:
    data = factory.jpeg()
    path = put(tmp_path, "a.jpg", data)
    run(path, "-o", tmp_path / "out", "--saturation", "1.5", "--quality", "90")
    note = read_provenance(tmp_path / "out/a.jpg")
    assert note is not None
    assert note.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert note.model == "tiny"
    assert dict(note.settings) == {
        "input_size": 64,
        "saturation": 1.5,
        "temperature": None,
        "precision": choose_machine().precision,
        "quality": 90,
        "source_sha256": hashlib.sha256(data).hexdigest(),
    }


@pytest.mark.parametrize(
    "options",
    [
        ["--workers", "4"],
        ["--batch-size", "8"],
        ["--workers", "1", "--batch-size", "1"],
        ["--workers", "3", "--batch-size", "3"],
    ],
    ids=" ".join,
)
def test_the_same_bytes_however_the_work_is_done(
    run, photos: Path, tmp_path: Path, options: list[str]
) -> None:
    run(photos, "-o", tmp_path / "reference", "--workers", "1")
    code, lines, _ = run(photos, "-o", tmp_path / "out", *options)
    assert code == 0
    assert counts(lines) == (8, 0, 0)
    assert tree(tmp_path / "out") == tree(tmp_path / "reference")


def test_any_order_of_inputs_gives_the_same_bytes(run, photos: Path, tmp_path: Path) -> None:
    files = sorted(photos.glob("*.jpg"))
    run(*files, "-o", tmp_path / "one")
    run(*reversed(files), "-o", tmp_path / "two", "--batch-size", "4")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_colour_is_skipped_and_sepia_is_coloured(run, tmp_path: Path) -> None:
    gray = factory.gray_pixels(60, 80)
    sepia = (gray[..., None] * np.array([1.0, 0.89, 0.7])).astype(np.uint8)
    put(tmp_path / "in", "color.png", factory.png(factory.color_pixels()))
    put(tmp_path / "in", "sepia.png", factory.png(sepia))
    code, lines, _ = run(tmp_path / "in", "-o", tmp_path / "out", "--saturation", "0")
    assert code == 0
    assert counts(lines) == (1, 1, 0)
    assert "colour already" in reason(lines, "color.png")
    assert "--force" in reason(lines, "color.png")
    neutral = read_photo(tmp_path / "out/sepia.png").pixels.astype(int)
    assert np.ptp(neutral, axis=2).max() == 0, "the tint is gone"

    code, lines, _ = run(tmp_path / "in", "-o", tmp_path / "out", "--saturation", "0")
    assert counts(lines) == (0, 2, 0)
    code, lines, _ = run(tmp_path / "in", "-o", tmp_path / "out", "--saturation", "0", "--force")
    assert counts(lines) == (1, 1, 0)
    assert (tmp_path / "out/color.png").exists()


def test_nan_weights_fail_the_photo_and_write_nothing(run, photos: Path, tmp_path: Path) -> None:
    import torch
    from colorize_fixtures import TINY, tiny_card

    from recolor_cli.checkpoints import save_weights
    from recolor_cli.models import create_model

    network = create_model("residual-unet", **TINY)
    with torch.no_grad():
        for name, value in network.named_buffers():
            if name.endswith("running_var"):
                value.fill_(-1)  # a number in the file, none once its root is taken
    save_weights(tmp_path / "wild.safetensors", network, tiny_card())
    code, lines, _ = run(photos, "-o", tmp_path / "out", model=tmp_path / "wild.safetensors")
    assert code == 1
    assert counts(lines) == (0, 0, 8)
    assert all("no numbers" in line["reason"] for line in lines[:-1])
    assert tree(tmp_path / "out") == {}


# A second run


def change_nothing(photos: Path, out: Path) -> list[str]:
    return []


def touch_input(photos: Path, out: Path) -> list[str]:
    os.utime(photos / "1.jpg", ns=(10**18, 10**18))
    return []


def change_input(photos: Path, out: Path) -> list[str]:
    put(photos, "1.jpg", factory.jpeg(factory.gray_pixels(50, 50, seed=99)))
    return []


def add_input(photos: Path, out: Path) -> list[str]:
    put(photos, "new.jpg", factory.jpeg())
    return []


def remove_output(photos: Path, out: Path) -> list[str]:
    (out / "1.jpg").unlink()
    return []


def truncate_output(photos: Path, out: Path) -> list[str]:
    os.truncate(out / "1.jpg", 100)
    return []


def lose_the_manifest(photos: Path, out: Path) -> list[str]:
    (out / ".recolor/manifest.jsonl").unlink()
    return []


def tear_the_manifest(photos: Path, out: Path) -> list[str]:
    path = out / ".recolor/manifest.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    return []


@pytest.mark.parametrize(
    ("change", "done"),
    [
        (change_nothing, 0),
        (touch_input, 0),
        (change_input, 1),
        (add_input, 1),
        (remove_output, 1),
        (truncate_output, 1),
        (lose_the_manifest, 0),
        (tear_the_manifest, 0),
        (lambda _photos, _out: ["--overwrite"], 8),
        (lambda _photos, _out: ["--saturation", "0.7"], 8),
        (lambda _photos, _out: ["--input-size", "32"], 8),
        (lambda _photos, _out: ["--quality", "80"], 8),
        (lambda _photos, _out: ["--precision", "bf16"], 8),
        (lambda _photos, _out: ["--workers", "1", "--batch-size", "3"], 0),
    ],
)
def test_a_second_run_does_what_is_missing_or_changed(
    run, photos: Path, tmp_path: Path, change: Callable[[Path, Path], list[str]], done: int
) -> None:
    out = tmp_path / "out"
    assert counts(run(photos, "-o", out)[1]) == (8, 0, 0)
    options = change(photos, out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.*g")}
    code, lines, _ = run(photos, "-o", out, *options)
    total = lines[-1]["total"]
    assert code == 0
    assert counts(lines) == (done, total - done, 0)
    rewritten = [p for p, t in times.items() if p.stat().st_mtime_ns != t]
    assert len(rewritten) <= done
    run(photos, "-o", tmp_path / "fresh", *options)
    assert tree(out) == tree(tmp_path / "fresh")
    assert counts(run(photos, "-o", out, *[o for o in options if o != "--overwrite"])[1])[0] == 0


def test_what_somebody_changed_in_a_result_stays(run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(photos, "-o", out)
    data = (out / "1.jpg").read_bytes()
    note = b"\xff\xfe" + (2 + 9).to_bytes(2, "big") + b"Oma Frida"
    captioned = data[:2] + note + data[2:]
    (out / "1.jpg").write_bytes(captioned)
    for options in ([], ["--saturation", "0.7"], ["--dry-run"]):
        code, lines, _ = run(photos, "-o", out, *options)
        assert code == 0
        (told,) = (line for line in lines if line.get("output") == str(out / "1.jpg"))
        assert told["status"] == "skipped"
        assert "changed after it was made" in told["reason"]
        assert "--overwrite" in told["reason"]
        assert (out / "1.jpg").read_bytes() == captioned
    put(photos, "1.jpg", factory.jpeg(factory.gray_pixels(50, 50, seed=99)))
    assert counts(run(photos, "-o", out)[1])[0] == 7  # the saturation; the changed one stays
    assert (out / "1.jpg").read_bytes() == captioned
    run(photos, "-o", out, "--overwrite")
    assert b"Oma Frida" not in (out / "1.jpg").read_bytes()


@pytest.mark.parametrize("how", ["lines are lost", "the clock was wrong"])
def test_results_that_the_manifest_has_lost_are_not_taken_for_changed_ones(
    run, photos: Path, tmp_path: Path, how: str
) -> None:
    out = tmp_path / "out"
    run(photos, "-o", out)
    path = out / ".recolor/manifest.jsonl"
    if how == "lines are lost":
        before = path.read_bytes()
        run(photos, "-o", out, "--saturation", "0.7")
        path.write_bytes(before)
    else:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        late = [{**one, "at": one["at"] + 10**13} if "at" in one else one for one in lines]
        path.write_text("".join(json.dumps(one) + "\n" for one in late))
        run(photos, "-o", out, "--saturation", "0.7")
    assert counts(run(photos, "-o", out, "--saturation", "0.7")[1]) == (0, 8, 0)
    lines = run(photos, "-o", out, "--saturation", "0.7")[1]
    assert {line["reason"] for line in lines[:-1]} == {"done before"}
    assert counts(run(photos, "-o", out, "--saturation", "0.4")[1]) == (8, 0, 0)


def test_a_failed_attempt_does_not_make_a_caption_fair_game(
    run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(photos, "-o", out)

    def refuse(path: Path, *_: object) -> None:
        raise OutputError(f"{path} cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr("recolor_cli.colorize.stages.write_atomic", refuse)
        assert run(photos, "-o", out, "--saturation", "0.7")[0] == 1
    data = (out / "1.jpg").read_bytes()
    (out / "1.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x06mine" + data[2:])
    lines = run(photos, "-o", out, "--saturation", "0.7")[1]
    assert counts(lines) == (7, 1, 0)
    assert b"mine" in (out / "1.jpg").read_bytes()


def test_results_among_the_inputs_are_no_inputs(run, tmp_path: Path) -> None:
    put(tmp_path, "in/a.jpg", factory.jpeg())
    put(tmp_path, "in/deep/b.jpg", factory.jpeg())
    folder = tmp_path / "in"
    assert counts(run(folder, "-o", folder, "--format", "png")[1]) == (2, 0, 0)
    assert counts(run(folder, "-o", folder, "--format", "png")[1]) == (0, 2, 0)
    for _ in range(2):
        lines = run(folder, "-o", folder, "--format", "png", "--compare")[1]
        assert (lines[-1]["total"], lines[-1]["skipped"]) == (2, 2)
    put(tmp_path, "in/c.jpg", factory.jpeg())
    assert counts(run(folder, "-o", folder, "--format", "png")[1]) == (1, 2, 0)
    code, _, errors = run(folder / "a.png", "-o", folder)
    assert code == 2
    assert "never overwritten" in errors


def test_other_weights_redo_everything(run, photos: Path, tmp_path: Path, other_weights) -> None:
    out = tmp_path / "out"
    run(photos, "-o", out)
    before = tree(out)
    _, lines, _ = run(photos, "-o", out, model=other_weights)
    assert counts(lines) == (8, 0, 0)
    assert all(before[name] != data for name, data in tree(out).items())


def test_a_second_run_with_nothing_to_do_writes_nothing_and_loads_nothing(
    run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(photos, "-o", out)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.rglob("*") if p.is_file()}
    monkeypatch.setattr(
        "recolor_cli.colorize.colorizer.load_model", lambda *_, **__: pytest.fail("loaded")
    )
    assert counts(run(photos, "-o", out)[1]) == (0, 8, 0)
    assert before == {
        p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.rglob("*") if p.is_file()
    }


def test_one_file_target_follows_the_same_rules(run, tmp_path: Path) -> None:
    path = put(tmp_path, "a.jpg", factory.jpeg())
    target = tmp_path / "b.png"
    assert counts(run(path, "-o", target)[1]) == (1, 0, 0)
    assert read_photo(target).format == "png"
    assert counts(run(path, "-o", target)[1]) == (0, 1, 0)
    assert counts(run(path, "-o", target, "--saturation", "2")[1]) == (1, 0, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jpg", "b.png"]


@pytest.mark.parametrize("target", ["out", "b.jpg"])
def test_somebody_elses_file_is_not_overwritten_unasked(run, tmp_path: Path, target: str) -> None:
    path = put(tmp_path, "a.jpg", factory.jpeg())
    theirs = tmp_path / target if target != "out" else tmp_path / "out/a.jpg"
    put(theirs.parent, theirs.name, b"precious")
    code, lines, _ = run(path, "-o", tmp_path / target)
    assert code == 1
    assert counts(lines) == (0, 0, 1)
    assert "--overwrite" in lines[0]["reason"]
    assert theirs.read_bytes() == b"precious"
    assert counts(run(path, "-o", tmp_path / target, "--overwrite")[1]) == (1, 0, 0)
    assert theirs.read_bytes() != b"precious"


def test_another_folder_with_the_same_names_does_not_replace_the_first(run, tmp_path: Path) -> None:
    put(tmp_path / "one", "a.jpg", factory.jpeg(factory.gray_pixels(seed=1)))
    put(tmp_path / "two", "a.jpg", factory.jpeg(factory.gray_pixels(seed=2)))
    out = tmp_path / "out"
    run(tmp_path / "one", "-o", out)
    before = tree(out)
    code, lines, _ = run(tmp_path / "two", "-o", out)
    assert code == 1
    assert "one/a.jpg" in lines[0]["reason"]
    assert tree(out) == before
    (tmp_path / "one").rename(tmp_path / "moved")  # or on a disk that is in a drawer
    assert run(tmp_path / "two", "-o", out)[0] == 1
    assert tree(out) == before
    assert counts(run(tmp_path / "moved", "-o", out)[1]) == (0, 1, 0), "only its place is new"
    assert counts(run(tmp_path / "two", "-o", out, "--overwrite")[1]) == (1, 0, 0)


@pytest.mark.parametrize("name", ["scan.jpg", "A\u0301.jpg"])
def test_a_photograph_that_was_renamed_and_scanned_anew_is_coloured_anew(
    run, tmp_path: Path, name: str
) -> None:
    other = {"scan.jpg": "Scan.jpg", "A\u0301.jpg": "\u00c1.jpg"}[name]
    before = put(tmp_path / "in", name, factory.jpeg(factory.gray_pixels(seed=1)))
    out = tmp_path / "out"
    run(before, "-o", out)
    before.write_bytes(factory.jpeg(factory.gray_pixels(seed=2)))
    for folder in (tmp_path / "in", out):  # as on a disk that takes both for one name
        (folder / other).hardlink_to(folder / name)
    assert counts(run(tmp_path / "in" / other, "-o", out)[1]) == (1, 0, 0)


def test_a_dry_run_says_what_a_run_does_and_does_nothing(
    run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(photos / "deep", "-o", out / "deep")
    put(out, "3.jpg", b"precious")
    with monkeypatch.context() as patch:
        patch.setattr(
            "recolor_cli.colorize.colorizer.load_model", lambda *_, **__: pytest.fail("loaded")
        )
        before = tree(out)
        code, planned, _ = run(photos, "-o", out, "--dry-run")
        assert tree(out) == before
        assert not (out / ".recolor").exists()
    real = run(photos, "-o", out)[1]
    assert {line["input"] for line in planned[:-1] if line["status"] == "failed"} == {
        str(photos / "3.jpg")
    }
    assert planned[-1]["planned"] == real[-1]["done"] + real[-1]["skipped"]
    assert code == 1


# Shards and neighbours


def test_shards_do_everything_once_and_share_the_folder(run, photos: Path, tmp_path: Path) -> None:
    run(photos, "-o", tmp_path / "whole")
    done = [
        counts(run(photos, "-o", tmp_path / "out", "--shard", f"{part}/3")[1])[0]
        for part in (1, 2, 3)
    ]
    assert sum(done) == 8
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert counts(run(photos, "-o", tmp_path / "out")[1]) == (0, 8, 0), "the whole knows its parts"


def many_photos(folder: Path, count: int = 40) -> Path:
    data = [factory.jpeg(factory.gray_pixels(300, 400, seed=n)) for n in range(4)]
    for n in range(count):
        put(folder, f"{n % 3}/{n:03}.jpg", data[n % 4])
    return folder


def test_killed_at_any_moment_and_run_again_is_as_if_nothing_had_happened(
    run, tmp_path: Path, weights: Path
) -> None:
    photos, out = many_photos(tmp_path / "in"), tmp_path / "out"
    run(photos, "-o", tmp_path / "reference")
    reference = tree(tmp_path / "reference")
    for wanted in (1, 6, 14, 25):
        process = in_a_child(photos, "-o", out, "--model", weights)
        end = time.monotonic() + 30
        while len(list(out.rglob("*.jpg"))) < wanted and time.monotonic() < end:
            time.sleep(0.002)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "it was still at work"
        for name, data in tree(out).items():
            assert data == reference[name], "half a file has a name"
    code, lines, _ = run(photos, "-o", out)
    assert code == 0
    _, skipped, failed = counts(lines)
    assert failed == 0
    assert skipped >= 20
    assert tree(out) == reference
    assert not temporary_files(out)
    assert counts(run(photos, "-o", out)[1]) == (0, 40, 0)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_stops_cleanly_counts_and_goes_on_later(
    number: int, status: int, tmp_path: Path, weights: Path, run
) -> None:
    photos, out = many_photos(tmp_path / "in", 60), tmp_path / "out"
    receiving, sending = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # too small for the whole report: it cannot end unread
        fcntl.fcntl(sending, fcntl.F_SETPIPE_SZ, 4096)
    with (tmp_path / "errors").open("w+b") as errors:
        process = in_a_child(
            photos, "-o", out, "--model", weights, "--json", stdout=sending, stderr=errors.fileno()
        )
        os.close(sending)
        with open(receiving, "rb", buffering=512) as told:
            first = told.readline()
            assert process.pid is not None
            os.kill(process.pid, number)
            rest = told.read()
    process.join()
    error = (tmp_path / "errors").read_bytes()
    assert process.exitcode == status, error
    lines = [json.loads(line) for line in (first + rest).splitlines()]
    done, _, failed = counts(lines)
    assert lines[-1]["interrupted"] is True
    assert 0 < done < 60
    assert failed == 0
    assert lines[-1]["left"] == 60 - done
    assert len(tree(out)) == done
    assert not temporary_files(out)
    assert b"Traceback" not in error
    assert counts(run(photos, "-o", out)[1]) == (60 - done, done, 0)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("where", ["add", "to_json"])
def test_interrupted_between_counting_and_telling_it_tells_each_photograph_once(
    number: int, status: int, where: str, tmp_path: Path, weights: Path, run
) -> None:
    photos, out = tmp_path / "in", tmp_path / "out"
    many_photos(photos / "before", 10)
    run(photos, "-o", out)  # so that some are known before the work begins
    many_photos(photos, 20)

    def strike_at_the_moment() -> None:
        kind = Summary if where == "add" else PhotoResult
        done = getattr(kind, where)
        left = [13]

        def strike(*args: object) -> object:
            result = done(*args)
            # Workers make lines too, for the manifest.
            left[0] -= threading.current_thread() is threading.main_thread()
            if not left[0]:
                left[0] = -1
                os.kill(os.getpid(), number)
            return result

        setattr(kind, where, strike)

    with (tmp_path / "told").open("w+b") as told, (tmp_path / "errors").open("w+b") as errors:
        process = in_a_child(
            photos, "-o", out, "--model", weights, "--json",
            stdout=told.fileno(), stderr=errors.fileno(), before=strike_at_the_moment,
        )  # fmt: skip
        process.join()
    lines = [json.loads(line) for line in (tmp_path / "told").read_bytes().splitlines()]
    assert process.exitcode == status, (tmp_path / "errors").read_bytes()
    done, skipped, failed = counts(lines)
    assert lines[-1]["interrupted"] is True
    assert len(lines) - 1 == len({line["input"] for line in lines[:-1]}) == 30 - lines[-1]["left"]
    assert (skipped, failed) == (10, 0)
    assert done >= 3
    assert len(tree(out)) == done + skipped


def test_two_processes_do_not_write_one_folder_at_the_same_time(
    run, tmp_path: Path, weights: Path
) -> None:
    photos, out = many_photos(tmp_path / "in"), tmp_path / "out"
    process = in_a_child(photos, "-o", out, "--model", weights)
    while not list(out.rglob("*.jpg")):
        time.sleep(0.002)
    code, lines, error = run(photos, "-o", out)
    process.join()
    assert process.exitcode == 0
    assert code == 4
    assert "another recolor" in error
    assert lines[-1]["left"] == 40
    assert counts(run(photos, "-o", out)[1]) == (0, 40, 0)


# Disks


def test_a_full_disk_stops_early_and_leaves_nothing_half_written(
    photos: Path, tmp_path: Path, weights: Path
) -> None:
    big = put(photos, "big.png", factory.png(factory.gray_pixels(400, 600)))
    told, errors = tmp_path / "told", tmp_path / "errors"
    with told.open("wb") as stdout, errors.open("wb") as stderr:
        process = in_a_child(
            photos, "-o", tmp_path / "out", "--model", weights, "--json", "--workers", 1,
            stdout=stdout.fileno(), stderr=stderr.fileno(),
            before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
        )  # fmt: skip
        process.join()
    assert process.exitcode == 4, errors.read_text()
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert lines[-1]["error"]
    assert lines[-1]["left"] > 0
    assert errors.read_bytes().count(b"cannot write") == 1
    assert b"Traceback" not in errors.read_bytes()
    assert not (tmp_path / "out" / big.name).exists()
    assert not temporary_files(tmp_path / "out")


@pytest.mark.parametrize("make", [factory.png, factory.tiff16])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_memory_of_a_photograph_is_foreseen(
    make: Callable[..., bytes], dtype: type, tmp_path: Path
) -> None:
    for pixels in (factory.gray_pixels(dtype=dtype), factory.color_pixels(dtype=dtype)):
        path = put(tmp_path, "a", make(pixels))
        work = Work(Target(path, tmp_path / "out", "a", None), Order())
        colored = pixels.shape[0] * pixels.shape[1] * 3 * pixels.itemsize
        gray = pixels.nbytes if pixels.ndim == 2 else 0
        assert cost(work) == colored + gray + 2 * path.stat().st_size


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_takes_nothing_more_ends_the_run(
    run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise output_error(path, OSError(number, os.strerror(number)))

    monkeypatch.setattr(stages_module, "write_atomic", refuse)
    code, lines, error = run(photos, "-o", tmp_path / "out")
    assert code == 4
    assert lines[-1]["left"] == 8
    assert error.count("\n") == 1


def test_one_name_that_cannot_be_written_fails_alone(
    run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = stages_module.write_atomic

    def refuse(path: Path, data: bytes) -> None:
        if path.name == "2.jpg":
            raise output_error(path, OSError(errno.ENAMETOOLONG, "File name too long"))
        real(path, data)

    monkeypatch.setattr(stages_module, "write_atomic", refuse)
    code, lines, _ = run(photos, "-o", tmp_path / "out")
    assert code == 1
    assert counts(lines) == (7, 0, 1)
    assert "too long" in reason(lines, "2.jpg")


def test_an_error_that_nobody_foresaw_fails_one_photo_and_keeps_its_traceback(
    photos: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = stages_module.read_photo
    size = (photos / "2.jpg").stat().st_size

    def stumble(data: bytes, **options: object) -> object:
        if len(data) == size:
            raise ZeroDivisionError("poison")
        return real(data, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(stages_module, "read_photo", stumble)
    run = colorize_files([photos], tmp_path / "out", Settings(model=str(weights)))
    results = {result.source.name: result for result in run}
    assert (run.summary.done, run.summary.failed) == (7, 1)
    assert "ZeroDivisionError: poison" in results["2.jpg"].reason
    assert "stumble" in results["2.jpg"].traceback


def test_bad_weights_end_with_3_before_anything_is_written(
    run, photos: Path, tmp_path: Path, weights: Path
) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(weights.read_bytes()[:-10])
    for model in (bad, tmp_path / "missing.safetensors"):
        code, lines, error = run(photos, "-o", tmp_path / "out", model=model)
        assert code == 3
        assert lines[-1]["error"]
        assert lines[-1]["left"] == 8
        assert error.startswith("recolor: ")
        assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_finished_photographs_take_no_memory(weights: Path, tmp_path: Path) -> None:
    """What the network said is as large as a small photograph: 5,000 of them would be 2 GB."""
    for n in range(40):
        put(tmp_path, f"in/{n}.jpg", factory.jpeg(factory.gray_pixels(40, 60, seed=n)))

    def held() -> int:
        gc.collect()
        return sum(type(one) in (Answer, stages_module.Work) for one in gc.get_objects())

    before = held()  # by other tests' tracebacks
    run = colorize_files(
        [tmp_path / "in"], tmp_path / "out", Settings(model=str(weights), workers=1)
    )
    going = iter(run)
    results = [next(going) for _ in range(40)]  # it has not come to its end
    assert [result.status for result in results] == ["done"] * 40
    assert held() - before < 4  # the threads may still look at the last ones
    assert not list(going)
