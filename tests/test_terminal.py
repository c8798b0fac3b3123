"""What a person sees: tables, colours and their absence, narrow windows, help, completion."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import typer

from recolor_cli.cli.app import COMMANDS, app, main
from recolor_cli.cli.console import printable
from recolor_cli.cli.keys import leaves

COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|38;[0-9;]+)m")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(*argv: str, columns: int = 80, **environment: str) -> str:
    """What stands on a terminal of that width after the command."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "recolor_cli", *argv],
        stdin=terminal, stdout=terminal, stderr=terminal,
        env={**clean, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(screen, 65536):
            shown += part
    except OSError:  # Linux ends with EIO when the last writer leaves
        pass
    os.close(screen)
    assert process.wait(60) == 0, shown.decode()
    return shown.decode().replace("\r\n", "\n")


def in_a_pipe(*argv: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "recolor_cli", *argv],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_table_on_a_terminal_has_bold_heads_and_in_a_pipe_is_plain() -> None:
    shown = on_a_terminal("config", "gallery")
    assert "\x1b[1mcommand" in shown
    plain = in_a_pipe("config", "gallery", TERM="xterm-256color", FORCE_COLOR="")
    assert "\x1b" not in plain
    assert re.search(r"^gallery  preview-size  2048 +default$", plain, re.M)
    assert re.search(r"^gallery +preview-size +2048 +default *$", ESCAPE.sub("", shown), re.M)


def test_a_terminal_that_can_do_nothing_gets_plain_lines() -> None:
    assert "\x1b" not in on_a_terminal("config", "gallery", TERM="dumb")


@pytest.mark.parametrize("argv", [("config", "colorize"), ("recipes",), ("train", "--help")])
def test_no_color_is_honoured(argv: tuple[str, ...]) -> None:
    assert not COLOUR.search(on_a_terminal(*argv, NO_COLOR="1"))


def test_help_has_colours_where_they_are_wanted() -> None:
    assert COLOUR.search(on_a_terminal("colorize", "--help")), "or the test above says nothing"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("config", "colorize"), ["input-size", "precision", "batch-size"]),
        (("recipes",), ["vanilla-perceptual", "residual-unet", "2765633", "pix2pix-lpips"]),
        (("eval", "--help"), ["--temperature", "--metric-weights"]),
    ],
)
def test_a_narrow_terminal_loses_nothing(argv: tuple[str, ...], words: list[str]) -> None:
    columns = 72 if "--help" in argv else 50  # Typer cuts the longest options below that
    narrow = ESCAPE.sub("", on_a_terminal(*argv, columns=columns, NO_COLOR="1"))
    tables = [line for line in narrow.splitlines() if not line.startswith("no files;")]
    assert not [line for line in tables if len(line.rstrip()) > columns]
    for word in words:
        assert word in narrow, "names stay whole: people type them again"


def test_a_wide_terminal_shows_rows_as_rows() -> None:
    wide = ESCAPE.sub("", on_a_terminal("recipes", columns=220, NO_COLOR="1"))
    assert re.search(r"^tiny +ours +vanilla-unet +1942306 +0 ", wide, re.M)


def every_command() -> list[tuple[str, ...]]:
    group = typer.main.get_command(app)
    return [
        words
        for name in COMMANDS
        for words, _ in leaves(group.get_command(None, name), (name,))  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_has_help_in_groups_with_examples(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as left:
        main([*words, "--help"])
    assert left.value.code == 0
    text = ESCAPE.sub("", capsys.readouterr().out)
    _, _, after = text.partition("Examples")
    shown = [line.strip() for line in after.splitlines() if "recolor" in line]
    assert any(f"recolor {' '.join(words)}" in line for line in shown), "no example of itself"
    options = re.findall(r"^│ +--", text, re.M)
    panels = re.findall(r"^╭─ (.+?) ─", text, re.M)
    assert len(options) < 9 or len(panels) >= 3, f"{len(options)} options in {panels}"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["colorise"], "'colorize'"),
        (["data", "splt"], "'split'"),
        (["colorize", "x", "--satur", "3"], "--saturation"),
        (["colorize", "x", "-o", "y", "--hlep"], "--help"),
        (["recipes", "pix2pxi"], "did you mean 'pix2pix'"),
        (["train", "--data", "x", "--recipe", "tny"], "did you mean 'tiny'"),
        (["train", "--data", "x", "--set", "crop_pixels=3"], "did you mean 'crop_px'"),
        (["train", "--data", "x", "--set", "schedule=cosin"], "did you mean 'cosine'"),
        (["models", "info", "ddcolor.artistc"], "'ddcolor.artistic'"),
        (["models", "info", "ddcolor"], "'ddcolor.artistic'"),
        (["models", "info", "bins"], "'bins-unet.v7'"),
        (["eval", "--metric", "psrn"], "did you mean 'psnr'"),
        (["eval", "--protocol", "nativ", "--data", "x"], "did you mean 'native'"),
        (["config", "colorise"], "did you mean 'colorize'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_wrong_name_is_answered_with_the_near_one(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code in (2, 3)
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


SHELLS = ("bash", "zsh", "fish")


def completed(typed: str, shell: str = "bash") -> list[str]:
    """What a shell would offer, by the protocol of the script that it was given."""
    words = typed.split(" ")
    environment = {"_RECOLOR_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        environment |= {"COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    else:
        environment |= {"_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-c", "from recolor_cli.cli.app import main; main()"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return re.findall(r"[\w.-]+", done.stdout) if shell == "zsh" else [
        line.split("\t")[0] for line in done.stdout.splitlines()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("recolor co", {"colorize", "compare", "config"}),
        ("recolor data ", {"stats", "split"}),
        ("recolor colorize --satu", {"--saturation"}),
        ("recolor colorize --format ", {"keep", "jpg", "png", "tiff", "webp"}),
        ("recolor train --recipe pix", {"pix2pix", "pix2pix-lpips"}),
        ("recolor recipes wgan", {"wgan-clip", "wgan-gp"}),
        ("recolor colorize --model sigg", {"siggraph17.release"}),
        ("recolor eval --model def", {"default"}),
        ("recolor models pull deoldify.", {"deoldify.artistic", "deoldify.stable"}),
        ("recolor models info def", {"default"}),
    ],
)
def test_a_shell_completes(typed: str, offered: set[str]) -> None:
    assert set(completed(typed)) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_complete_too(shell: str) -> None:
    assert {"colorize", "compare", "config"} <= set(completed("recolor co", shell))


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_can_be_shown_and_installed(shell: str, tmp_path: Path) -> None:
    quiet = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = in_a_pipe("--show-completion", shell, **quiet)
    assert "_RECOLOR_COMPLETE=complete_" in shown
    in_a_pipe("--install-completion", shell, **quiet)
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_RECOLOR_COMPLETE=complete_" in text for text in written)


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="no bash on this machine")
def test_the_script_that_is_shown_completes_in_a_real_bash(tmp_path: Path) -> None:
    quiet = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = in_a_pipe("--show-completion", "bash", **quiet)
    program = tmp_path / "recolor"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m recolor_cli "$@"\n')
    program.chmod(0o755)
    script = (
        f"{shown}\nCOMP_WORDS=(recolor gal)\nCOMP_CWORD=1\n"
        "_recolor_completion recolor\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["gallery"], done.stderr


@pytest.mark.parametrize("command", ["colorize", "eval", "train"])
def test_help_is_there_in_every_encoding(command: str) -> None:
    shown = in_a_pipe(command, "--help", PYTHONIOENCODING="ascii")
    assert "--device" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\udce9x", "\\xe9x"), ("\udcc3\udca9", "\u00e9"), ("\ud83d", "\\ud83d"), ("a\nb", "a\\nb")],
)
def test_any_text_becomes_one_line(text: str, shown: str) -> None:
    assert printable(text) == shown
