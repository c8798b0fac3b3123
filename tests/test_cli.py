"""The command line: what it answers, with which exit status, and what it does not import."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import photo_factory as factory
import pytest
from colorize_fixtures import in_a_child, save_tiny_weights
from photo_factory import put
from PIL import Image

from recolor_cli.cli import app as app_module
from recolor_cli.cli.app import COMMANDS, main
from recolor_cli.cli.console import Console, printable
from recolor_cli.errors import OutputError, PhotoError, RecolorError, UsageError, WeightsError


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    captured = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, captured.out, captured.err


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        ([], 2, "Usage"),
        (["--help"], 0, "colorize"),
        (["-h"], 0, "colorize"),
        (["--version"], 0, "recolor "),
        (["colorise"], 2, "Did you mean 'colorize'?"),
        (["--colour"], 2, "No such option"),
        (["colorize", "--help"], 0, "--saturation"),
        (["colorize"], 2, "no input; name photographs"),
        (["colorize", "IN"], 2, "--out"),
        (["colorize", "nowhere", "-o", "out"], 2, "no such file or folder: 'nowhere'"),
        (["colorize", "no*such.jpg", "-o", "out"], 2, "nothing matches"),
        (["colorize", "IN", "-o", "OUT", "--modle", "x"], 2, "--model"),
        (["colorize", "IN", "-o", "OUT", "--format", "gif"], 2, "webp"),
        (["colorize", "IN", "-o", "OUT", "--device", "gpu"], 2, "no device 'gpu'; use auto"),
        (["colorize", "IN", "-o", "OUT", "--device", "cuda:99"], 2, "--device cpu"),
        (["colorize", "IN", "-o", "OUT", "--precision", "fp16", "--device", "cpu"], 2, "bf16"),
        (["colorize", "IN", "-o", "OUT", "--saturation", "-1"], 2, "--saturation must be 0 to 10"),
        (["colorize", "IN", "-o", "OUT", "--quality", "0"], 2, "--quality must be 1 to 100"),
        (["colorize", "IN", "-o", "OUT", "--input-size", "8"], 2, "--input-size must be 16"),
        (["colorize", "IN", "-o", "OUT", "--shard", "0/4"], 2, "1/N to N/N"),
        (["colorize", "IN", "-o", "OUT", "--shard", "5/4"], 2, "no part 5 of 4"),
        (["colorize", "IN", "-o", "OUT", "--shard", "half"], 2, "--shard I/N"),
        (["colorize", "IN", "-o", "IN"], 2, "never overwritten"),
        (["colorize", "IN", "-o", "x.jpg"], 2, "one photograph"),
        (["colorize", "-", "IN", "-o", "-"], 2, "one input"),
        (["colorize", "IN/a.jpg", "-o", "-", "--json"], 2, "--json"),
        (["colorize", "IN", "-o", "OUT", "--model", "no.safetensors"], 3, "no.safetensors"),
        (["colorize", "IN", "-o", "IN/a.jpg/x"], 4, "is a file"),
        (["colorize", "IN", "-o", "OUT", "--dry-run", "--model", "TINY"], 0, "would colour"),
        (["colorize", "IN", "-o", "OUT", "--model", "TINY"], 0, "1 done, 0 skipped, 0 failed"),
        (["colorize", "BAD", "-o", "OUT", "--model", "TINY"], 1, "bad.jpg: empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_answered(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    weights: Path,
    argv: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    put(tmp_path, "IN/a.jpg", factory.jpeg())
    put(tmp_path, "BAD/bad.jpg", b"")
    status, out, err = call(capsys, *(str(weights) if a == "TINY" else a for a in argv))
    assert (status, words in out + err) == (code, True), out + err
    if code in (2, 3, 4):
        assert not (tmp_path / "OUT").exists()
        assert out == "" or argv == []
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RecolorError("a; b"), 1),
        (PhotoError("a; b"), 1),
        (UsageError("a; b"), 2),
        (WeightsError("a; b"), 3),
        (OutputError("a; b"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_one_boundary_turns_errors_into_a_line_and_a_status(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(app_module, "app", fail)
    status, out, err = call(capsys)
    assert status == code
    assert out == ""
    assert err == ("recolor: a; b\n" if isinstance(error, RecolorError) else "")


def test_an_unforeseen_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(app_module, "app", fail)
    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
        main([])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = call(capsys, name, "--help")
    assert code == 0
    assert f"recolor {name}" in out


HEAVY = ("torch", "cv2", "numpy", "PIL", "torchvision", "skimage", "matplotlib", "huggingface_hub")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom recolor_cli.cli.app import COMMANDS, main\n"
        "for argv in [[], ['--help'], ['--version'], *([name, '--help'] for name in COMMANDS)]:\n"
        "    try: main(argv)\n"
        "    except SystemExit as end: assert not end.code or not argv\n"
        f"    heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    assert not heavy, (argv, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_colorize_imports_no_training_library(tmp_path: Path, weights: Path) -> None:
    put(tmp_path, "in/a.jpg", factory.jpeg())
    argv = ["colorize", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(weights)]
    unwanted = ("torchvision", "skimage", "scipy", "matplotlib", "torch_fidelity", "lpips",
                "torch._dynamo", "pillow_heif", "spandrel", "tensorboard")  # fmt: skip
    code = (
        "import sys\nfrom recolor_cli.cli.app import main\n"
        f"try: main({argv!r})\nexcept SystemExit as end: assert not end.code\n"
        f"print([name for name in {unwanted!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_torch_is_imported_without_looking_for_garbage_and_then_left_alone(
    tmp_path: Path, weights: Path
) -> None:
    put(tmp_path, "in/a.jpg", factory.jpeg())
    argv = ["colorize", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(weights)]
    code = (
        "import gc, sys\nfrom recolor_cli.cli.app import main\nlooked = []\n"
        "gc.callbacks.append(lambda *_: looked.append(\n"
        "    'torch' in sys.modules and not hasattr(sys.modules['torch'], 'compile')))\n"
        f"try: main({argv!r})\nexcept SystemExit as end: assert not end.code\n"
        "print(any(looked), gc.isenabled(), gc.get_freeze_count() > 100_000)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False True True"


def test_a_wrong_command_line_is_answered_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom recolor_cli.cli.app import main\n"
        "try: main(['colorize', 'nowhere', '-o', 'out'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# Pipes, names, terminals


def test_standard_input_to_standard_output(tmp_path: Path, weights: Path) -> None:
    path = put(tmp_path, "a.jpg", factory.jpeg())
    result = tmp_path / "piped.jpg"
    with path.open("rb") as stdin, result.open("wb") as stdout:
        process = in_a_child(
            "-", "-o", "-", "--model", weights, stdin=stdin.fileno(), stdout=stdout.fileno()
        )
        process.join()
    assert process.exitcode == 0
    with pytest.raises(SystemExit):
        main(["colorize", str(path), "-o", str(tmp_path / "out"), "--model", str(weights)])
    assert result.read_bytes() == (tmp_path / "out/a.jpg").read_bytes()


class Sipping(io.RawIOBase):
    """A stdout as `python -u` has it: it takes a part of what it is given, or nothing yet."""

    def __init__(self, file: io.BufferedRandom) -> None:
        self._file, self._calls = file, 0

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, data: object) -> int | None:
        self._calls += 1
        return None if self._calls % 3 == 0 else self._file.write(memoryview(data)[:100])


def test_standard_output_that_takes_little_at_a_time_gets_everything(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, "a.jpg", factory.jpeg())
    with (tmp_path / "b.jpg").open("w+b") as file:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Sipping(file), write_through=True))
        with pytest.raises(SystemExit) as left:
            main(["colorize", str(path), "-o", "-", "--model", str(weights)])
    assert left.value.code == 0
    with Image.open(tmp_path / "b.jpg") as image:
        image.load()  # complains if the end is missing
        assert image.mode == "RGB"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("options", [("-o", "-"), ("-o", "{}/out", "--json")])
def test_a_full_disk_behind_standard_output_is_told_in_one_line(
    tmp_path: Path, weights: Path, options: tuple[str, ...]
) -> None:
    path = put(tmp_path, "a.jpg", factory.jpeg())
    argv = [option.format(tmp_path) for option in options]
    errors = tmp_path / "errors"
    with Path("/dev/full").open("wb") as full, errors.open("wb") as stderr:
        process = in_a_child(
            path, *argv, "--quiet", "--model", weights,
            stdout=full.fileno(), stderr=stderr.fileno(),
        )  # fmt: skip
        process.join()
    assert process.exitcode == 4
    assert errors.read_text() == (
        "recolor: cannot write 'standard output': the disk is full; free some space and run again "
        "to go on\n"
    )


def piped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: bytes, *argv: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    return call(capsys, "colorize", *argv)


def test_standard_input_to_a_file(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    target = tmp_path / "b.png"
    argv = ("-", "-o", str(target), "--model", str(weights))
    code, out, _ = piped(monkeypatch, capsys, factory.jpeg(), *argv, "--json")
    assert code == 0
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["photo", "summary"]
    assert target.read_bytes().startswith(b"\x89PNG")
    code, _, err = piped(monkeypatch, capsys, factory.jpeg(), *argv)
    assert code == 2
    assert "--overwrite" in err
    assert piped(monkeypatch, capsys, factory.jpeg(), *argv, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"no photo", "not an image"),
        (factory.png(factory.color_pixels()), "--force"),
    ],
)
def test_what_cannot_be_piped_writes_nothing(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, capsys, data: bytes, words: str
) -> None:
    argv = ("-", "-o", str(tmp_path / "b.png"), "--model", str(weights))
    code, out, err = piped(monkeypatch, capsys, data, *argv)
    assert (code, out) == (1, "")
    assert err.startswith("recolor: ")
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_ends_the_run_without_noise(tmp_path: Path, weights: Path) -> None:
    for n in range(60):
        put(tmp_path, f"in/{n}.jpg", factory.jpeg())
    receiving, sending = os.pipe()
    with (tmp_path / "errors").open("w+b") as errors:
        process = in_a_child(
            tmp_path / "in", "-o", tmp_path / "out", "--json", "--model", weights,
            stdout=sending, stderr=errors.fileno(),
        )  # fmt: skip
    os.close(sending)
    os.read(receiving, 10)
    os.close(receiving)
    process.join()
    assert (tmp_path / "errors").read_bytes() == b""
    assert process.exitcode == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00e9 \U0001f4f7.jpg", "plain \u00e9 \U0001f4f7.jpg"),
        ("caf\udce9.jpg", "caf\\xe9.jpg"),
        ("line\nbreak", "line\\nbreak"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
    ],
)
def test_names_are_printed_safely(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_odd_names_reach_every_kind_of_output(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = factory.put_odd_names(tmp_path / "in")
    for path in paths[::2]:
        path.write_bytes(b"")
    argv = ["colorize", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", str(weights)]
    code, out, err = call(capsys, *argv, "--verbose")
    assert code == 1
    assert out == ""
    assert "\x1b" not in err
    assert f"{len(paths) // 2} done" in err
    code, out, _ = call(capsys, *argv, "--json", "--overwrite")
    told = {json.loads(line).get("input") for line in out.splitlines()}
    assert told == {str(path) for path in paths} | {None}
    out.encode("ascii")


@pytest.mark.parametrize(
    ("options", "stdout", "stderr"),
    [
        ({}, "data\n", "message\nwarning\n"),
        ({"quiet": True}, "data\n", "warning\n"),
        ({"verbose": True}, "data\n", "message\ndetail\nwarning\n"),
        ({"json": True}, '{"n": 1}\n', "message\nwarning\n"),
    ],
)
def test_console_puts_each_thing_in_its_place(
    capsys: pytest.CaptureFixture[str], options: dict[str, bool], stdout: str, stderr: str
) -> None:
    console = Console(**options)
    console.data("data")
    console.record({"n": 1})
    console.message("message")
    console.detail("detail")
    console.warning("warning")
    assert capsys.readouterr() == (stdout, stderr)


@pytest.mark.parametrize(
    ("seconds", "lines"),
    [
        (0.0, ["3/3 photos  c\\n"]),  # no rate of what took no time
        (1.0, ["3/3 photos, 1.0/s  c\\n"]),
        (20.0, ["1/3 photos, 0.1/s, 0:40 left  a", "2/3 photos, 0.1/s, 0:20 left  b",
                "3/3 photos, 0.1/s  c\\n"]),
    ],
)  # fmt: skip
def test_progress_in_a_pipe_is_plain_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seconds: float,
    lines: list[str],
) -> None:  # fmt: skip
    clock = SimpleNamespace(monotonic=itertools.count(0.0, seconds).__next__)
    monkeypatch.setattr("recolor_cli.cli.console.time", clock)
    with Console().progress(3) as progress:
        for name in ("a", "b", "c\n"):
            progress.advance(name)
    assert capsys.readouterr().err.splitlines() == lines


def test_progress_on_a_terminal_is_a_bar(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for n in range(3):
        put(tmp_path, f"in/{n}.jpg", factory.jpeg())
    put(tmp_path, "in/[red]x.jpg", b"")
    screen, terminal = pty.openpty()
    argv = (tmp_path / "in", "-o", tmp_path / "out", "--model", weights)
    process = in_a_child(*argv, stderr=terminal)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError), open(screen, "rb", buffering=0) as reader:
        while part := reader.read(65536):  # Linux ends with EIO when the last writer leaves
            shown += part
    process.join()
    text = shown.decode()
    assert process.exitcode == 1, text
    assert "/4" in text
    assert "[red]x.jpg: empty" in text, "names are not taken for markup"
    assert "3 done, 0 skipped, 1 failed; 4 in all" in text


def test_a_closed_standard_error_stops_nothing(tmp_path: Path, weights: Path) -> None:
    put(tmp_path, "in/a.jpg", factory.jpeg())
    command = [sys.executable, "-m", "recolor_cli", "colorize", tmp_path / "in"]
    command += ["-o", tmp_path / "out", "-m", weights]
    ended = subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *map(str, command)], check=False)
    assert ended.returncode == 0
    assert (tmp_path / "out/a.jpg").exists()


def test_a_place_where_nobody_may_look_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/shut/away")

    monkeypatch.setattr(app_module, "app", refuse)
    code, out, err = call(capsys, "colorize")
    assert (code, out) == (4, "")
    assert err == "recolor: '/shut/away' cannot be used: permission denied\n"
