"""Settings from flags, the environment and files: who wins, and how mistakes are told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from recolor_cli.cli.app import COMMANDS, app, main
from recolor_cli.cli.config_file import find_files
from recolor_cli.cli.keys import keys_of, leaves
from recolor_cli.cli.variables import OTHERS

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to type in, with a folder of one's own for settings, and nothing set."""
    monkeypatch.delenv("RECOLOR_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "project" / "photos"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(argv)
    captured = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, captured.out, captured.err


def group() -> Any:
    return typer.main.get_command(app)


def all_keys() -> list[tuple[tuple[str, ...], Any]]:
    found = []
    for name in COMMANDS:
        for words, leaf in leaves(group().get_command(None, name), (name,)):
            found += [(words, key) for key in keys_of(leaf, words)]
    return found


def taken(monkeypatch: pytest.MonkeyPatch, *argv: str) -> dict[str, Any]:
    """What the function of a command is called with."""
    got: dict[str, Any] = {}
    original = typer.core.TyperCommand.invoke

    def note(self: Any, ctx: Any) -> Any:
        if ctx.info_name == "config":
            return original(self, ctx)
        got.update(ctx.params)
        return None

    monkeypatch.setattr(typer.core.TyperCommand, "invoke", note)
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 0
    return got


# kind -> command, option as parameter, file line, variable, its text, flags,
# then the value by file, by variable, by flags, and by default.
PRECEDENCE = {
    "float": ("colorize", "saturation", "saturation = 1.1", "RECOLOR_COLORIZE_SATURATION", "1.2",
              ["--saturation", "1.3"], (1.1, 1.2, 1.3, 1.0)),
    "float from a whole number": (
        "colorize", "saturation", "saturation = 2", "RECOLOR_COLORIZE_SATURATION", "3",
        ["--saturation", "4"], (2.0, 3.0, 4.0, 1.0)),
    "int": ("colorize", "quality", "quality = 80", "RECOLOR_COLORIZE_QUALITY", "81",
            ["--quality", "82"], (80, 81, 82, 95)),
    "int with a dash": ("colorize", "input_size", "input-size = 256",
                        "RECOLOR_COLORIZE_INPUT_SIZE", "320", ["--input-size", "384"],
                        (256, 320, 384, None)),
    "int with an underscore": ("colorize", "input_size", "input_size = 256",
                               "RECOLOR_COLORIZE_INPUT_SIZE", "320", ["--input-size", "384"],
                               (256, 320, 384, None)),
    "bool on": ("colorize", "gallery", "gallery = true", "RECOLOR_COLORIZE_GALLERY", "off",
                ["--gallery"], (True, False, True, False)),
    "bool off": ("colorize", "gallery", "gallery = false", "RECOLOR_COLORIZE_GALLERY", "1",
                 ["--no-gallery"], (False, True, False, False)),
    "enum": ("colorize", "format", 'format = "png"', "RECOLOR_COLORIZE_FORMAT", "tiff",
             ["--format", "webp"], ("png", "tiff", "webp", "keep")),
    "text": ("colorize", "shard", 'shard = "1/2"', "RECOLOR_COLORIZE_SHARD", "1/3",
             ["--shard", "1/4"], ("1/2", "1/3", "1/4", "1/1")),
    "list of text": ("train", "set_", 'set = ["epochs=1", "lr=2"]', "RECOLOR_TRAIN_SET",
                     "epochs=3 lr=4", ["--set", "epochs=5"],
                     (["epochs=1", "lr=2"], ["epochs=3", "lr=4"], ["epochs=5"], None)),
    "shared": ("colorize", "device", 'device = "cpu"', "RECOLOR_DEVICE", "cuda",
               ["--device", "mps"], ("cpu", "cuda", "mps", "auto")),
}  # fmt: skip


@pytest.mark.parametrize("kind", PRECEDENCE)
def test_flags_then_environment_then_file_then_default(
    kind: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, parameter, line, variable, text, flags, values = PRECEDENCE[kind]
    by_file, by_variable, by_flag, by_default = values
    argv = [command, *(["x"] if command != "train" else [])]
    assert (taken(monkeypatch, *argv)[parameter] or None) == (by_default or None)
    (here / "recolor.toml").write_text(f"[{command}]\n{line}\n")
    assert taken(monkeypatch, *argv)[parameter] == by_file
    monkeypatch.setenv(variable, text)
    assert taken(monkeypatch, *argv)[parameter] == by_variable
    assert taken(monkeypatch, *argv, *flags)[parameter] == by_flag


def test_paths_of_a_file_are_relative_to_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = here.parent
    (project / "recolor.toml").write_text(
        'model = "./weights/mine.safetensors"\n'
        '[colorize]\nout = "colored"\nhints = "~/hints.json"\n'
        '[train]\ndata = ["a", "/b"]\nval = ["../c"]\n'
    )
    got = taken(monkeypatch, "colorize", "x")
    assert str(got["out"]) == str(project / "colored")
    assert got["model"] == str(project / "weights" / "mine.safetensors")
    assert got["hints"] == str(here.parents[1] / "hints.json")
    got = taken(monkeypatch, "train")
    assert got["data"] == [project / "a", Path("/b")]
    assert got["val"] == [project.parent / "c"]
    monkeypatch.setenv("RECOLOR_TRAIN_DATA", os.pathsep.join(("d e", "f")))
    assert taken(monkeypatch, "train")["data"] == [Path("d e"), Path("f")]
    monkeypatch.setenv("RECOLOR_COLORIZE_OUT", "here")
    assert str(taken(monkeypatch, "colorize", "x")["out"]) == "here"
    assert str(taken(monkeypatch, "colorize", "x", "-o", "there")["out"]) == "there"
    (project / "recolor.toml").write_text('[colorize]\nout = "s3://bucket/colored"\n')
    monkeypatch.delenv("RECOLOR_COLORIZE_OUT")
    assert str(taken(monkeypatch, "colorize", "x")["out"]) == "s3://bucket/colored"


@pytest.mark.parametrize(
    ("files", "variables", "expected"),
    [
        ({}, {}, "auto"),
        ({"own/recolor/recolor.toml": 'device = "cuda:1"'}, {}, "cuda:1"),
        ({"own/recolor/recolor.toml": 'device = "cuda:1"',
          "project/recolor.toml": 'device = "cuda:2"'}, {}, "cuda:2"),
        ({"own/recolor/recolor.toml": '[colorize]\ndevice = "cuda:1"',
          "project/recolor.toml": 'device = "cuda:2"'}, {}, "cuda:2"),
        ({"project/recolor.toml": 'device = "cuda:2"\n[colorize]\ndevice = "cuda:3"'}, {},
         "cuda:3"),
        ({"project/recolor.toml": 'device = "cuda:2"',
          "project/photos/recolor.toml": 'device = "cuda:4"'}, {}, "cuda:4"),
        ({"project/pyproject.toml": '[tool.recolor]\ndevice = "cuda:5"'}, {}, "cuda:5"),
        ({"project/pyproject.toml": '[tool.recolor.colorize]\ndevice = "cuda:5"'}, {}, "cuda:5"),
        ({"project/pyproject.toml": '[tool.recolor]\ndevice = "cuda:5"',
          "project/recolor.toml": 'device = "cuda:2"'}, {}, "cuda:2"),
        ({"project/photos/pyproject.toml": "[tool.other]\nrecolor = 1",
          "project/recolor.toml": 'device = "cuda:2"'}, {}, "cuda:2"),
        ({"project/recolor.toml": '[colorize]\ndevice = "cuda:2"'},
         {"RECOLOR_DEVICE": "cuda:6"}, "cuda:6"),
        ({}, {"RECOLOR_DEVICE": "cuda:6", "RECOLOR_COLORIZE_DEVICE": "cuda:7"}, "cuda:7"),
        ({"project/recolor.toml": 'device = "cuda:2"', "other.toml": 'device = "cuda:8"'},
         {"RECOLOR_CONFIG": "../../other.toml"}, "cuda:8"),
        ({"project/recolor.toml": 'device = "cuda:2"',
          "own/recolor/recolor.toml": 'device = "cuda:1"'}, {"RECOLOR_CONFIG": "none"}, "auto"),
    ],
)  # fmt: skip
def test_the_nearest_and_the_most_particular_wins(
    here: Path, monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str], variables: dict[str, str], expected: str,
) -> None:  # fmt: skip
    top = here.parents[1]
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert taken(monkeypatch, "colorize", "x")["device"] == expected


# Command, file, words: what the command itself would refuse, were it typed.
OUT_OF_RANGE = [
    ("colorize", "[colorize]\nsaturation = 50", "colorize.saturation = 50; it must be 0 to 10"),
    ("colorize", "[colorize]\nsaturation = nan", "saturation = nan; it must be 0 to 10"),
    ("colorize", f"[colorize]\nsaturation = {10**400}", "; it must be 0 to 10"),
    ("colorize", "[colorize]\nquality = 0", "quality = 0; it must be 1 to 100"),
    ("colorize", f"[colorize]\nquality = {10**400}", "; it must be 1 to 100"),
    ("colorize", "[colorize]\nwarmth = -81", "warmth = -81; it must be -80 to 80"),
    ("colorize", "[colorize]\ntemperature = 0", "temperature = 0; it must be 0.01 to 10"),
    ("colorize", "[colorize]\ninput-size = 8", "input-size = 8; it must be 16 to 4096"),
    ("colorize", "[colorize]\nmax-pixels = 0", "max-pixels = 0; it must be 1 or more"),
    ("colorize", "[colorize]\nvariants = 1", "variants = 1; it must be 2 to 23"),
    ("colorize", "[colorize]\nseed = -1", "seed = -1; it must be 0 to 2147483647"),
    ("colorize", "[colorize]\nshard = '3/2'", 'shard = "3/2"; it must be I/N, from 1/N to N/N'),
    ("colorize", "[colorize]\nshard = 'half'", 'shard = "half"; it must be I/N, from 1/N'),
    (
        "colorize",
        "[colorize]\ndevice = 'gpu'",
        'device = "gpu"; it must be auto, cpu, cuda, cuda:N',
    ),
    (
        "colorize",
        "device = 'gpu'\n[colorize]",
        'device = "gpu"; it must be auto, cpu, cuda, cuda:N',
    ),
    ("colorize", "workers = 5000\n[colorize]", "workers = 5000; it must be 1 to 1024"),
    ("colorize", "[colorize]\ncluster = 'head'", "it must be auto, local, or HOST:PORT such as"),
    ("colorize", "[colorize]\ncluster = 'ray://head:1'", "it must be auto, local, or HOST:PORT"),
    ("colorize", "[colorize]\ncluster = 'head:65536'", "it must be auto, local, or HOST:PORT"),
    ("colorize", "[colorize]\ncluster = ''", 'cluster = ""; it must be auto, local, or HOST:PORT'),
    ("compare", "[compare]\nsizes = '256,8'", 'sizes = "256,8"; it must be 16 to 4096'),
    ("compare", "[compare]\nwarmths = '5,warm'", "it must be numbers with commas between them"),
    ("benchmark", "[benchmark]\nmegapixels = 501", "megapixels = 501; it must be 0.01 to 500"),
    ("benchmark", "[benchmark]\nphotos = 0", "photos = 0; it must be 1 or more"),
    ("gallery", "[gallery]\npreview-size = 9", "preview-size = 9; it must be 256 to 16384"),
    ("eval", "[eval]\nsaturation = 11", "eval.saturation = 11; it must be 0 to 10"),
    ("train", "[train]\ndevice = 'gpu'", 'train.device = "gpu"; it must be auto'),
    ("train", "[train]\nrecipe = 'tinny'", "it must be a recipe; did you mean 'tiny'?"),
    ("train", f"[train]\nseed = {2**63}", "it must be 0 to 9223372036854775807"),
    ("train", "[train]\nthreads = 513", "train.threads = 513; it must be 1 to 512"),
    ("train", "[train]\nset = ['lr']", 'it must be "FIELD=VALUE"'),
    ("data", "[data.split]\nval-share = nan", "val-share = nan; it must be 0 to 0.9"),
]


@pytest.mark.parametrize(("command", "text", "words"), OUT_OF_RANGE)
def test_config_refuses_what_the_command_would(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, text: str, words: str
) -> None:
    (here / "recolor.toml").write_text(text)
    for argv in (["config"], ["config", "--json"], ["config", command]):
        code, out, err = call(capsys, *argv)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert words in err
        assert "'recolor.toml' has " in err


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("numpi", "recolor: RECOLOR_MERGE is 'numpi'; use compiled or numpy, or unset it\n"),
        ("numpy", ""),
    ],
)
def test_config_refuses_a_merge_that_there_is_not(here: Path, asked: str, line: str) -> None:
    code = (
        "import sys\nfrom recolor_cli.cli.app import main\n"
        "try: main(['config'])\nfinally: print([n for n in ('torch', 'cv2') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=False,
        env={**os.environ, "RECOLOR_MERGE": asked},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
    assert (done.returncode, done.stderr if line else "") == (2 if line else 0, line)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["eval", "--data", "x", "--workers", "5000"], "--workers must be 1 to 1024, got 5000"),
        (
            ["eval", "--data", "x", "--pred", "y", "--batch-size", "5000"],
            "--batch-size must be 1 to",
        ),
        (["eval", "--data", "x", "--saturation", "11"], "--saturation must be 0 to 10, got 11"),
        (["gallery", "x", "--workers", "5000"], "--workers must be 1 to 1024, got 5000"),
        (["gallery", "x", "--preview-size", "9"], "--preview-size must be 256 to 16384, got 9"),
    ],
)
def test_what_is_typed_has_the_same_ranges_before_anything_is_read(
    here: Path, capsys: pytest.CaptureFixture[str], argv: list[str], words: str
) -> None:
    code, _, err = call(capsys, *argv)
    assert (code, err.count("\n")) == (2, 1)
    assert words in err


@pytest.mark.parametrize(
    "text",
    [
        "[colorize]\nvariants = 0\nseed = 2147483647\nshard = '2/2'\nmax-pixels = 1\nwarmth = -80",
        "[train]\nseed = 4294967296",  # of another kind than the seed of colorize
        "[compare]\nsizes = ' 256, 384,'\ntemperatures = '0.1,1'",
        "device = 'cuda:12'\nbatch-size = 4096\nworkers = 1024",
        "[data.split]\nmin-colorfulness = inf",
        "[colorize]\ncluster = 'local'",
        "[colorize]\ncluster = 'head.example:6379'",
        "[colorize]\ncluster = '[::1]:65535'",
        "\ufeff[colorize]\nsaturation = 1.5",  # as Windows' editors save UTF-8
    ],
)
def test_what_a_command_takes_passes_and_is_shown_as_json(
    here: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (here / "recolor.toml").write_text(text, encoding="utf-8")
    code, out, err = call(capsys, "config", "--json")
    assert (code, err.count("\n")) == (0, 1), err
    assert [record for record in map(json.loads, out.splitlines()) if record.get("from")]
    assert call(capsys, "config")[0] == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Path.mkdir, "recolor.toml' is a folder, and should be a file; rename it"),
        (lambda path: path.symlink_to("gone.toml"), "recolor.toml' is a link to nothing; mend it"),
    ],
)
def test_what_should_be_a_file_and_is_none_is_told(
    here: Path, capsys: pytest.CaptureFixture[str], make: Any, words: str
) -> None:
    own = here.parents[1] / "own" / "recolor"
    own.mkdir(parents=True)
    for folder in (here, here.parent, own):
        make(folder / "recolor.toml")
        for argv in (["config"], ["recipes", "tiny"]):
            code, out, err = call(capsys, *argv)
            assert (code, out, err.count("\n")) == (2, "", 1)
            assert words in err
        (folder / "recolor.toml").rename(folder / "other")
    (here / "pyproject.toml").mkdir()  # other people's
    assert call(capsys, "recipes", "tiny")[0] == 0
    code, _, err = call(capsys, "--config", str(here), "recipes", "tiny")
    assert (code, "is a folder" in err) == (2, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[colorize]\nsaturaton = 1.1",
         "colorize.saturaton, which is no option; did you mean 'saturation'?"),
        ("[colorise]\nsaturation = 1.1",
         "[colorise], which is no command; did you mean 'colorize'?"),
        ("devise = 'cpu'", "devise, which is not for all commands; did you mean 'device'?"),
        ("saturation = 1.1", "saturation, which is not for all commands; "),
        ("[colorize]\nsaturation = '1.1'",
         'colorize.saturation = "1.1", which should be a number; write 1.1'),
        ("[colorize]\nquality = 95.5", "colorize.quality = 95.5, which should be a whole number"),
        ("[colorize]\nquality = true", "colorize.quality = true, which should be a whole number"),
        ("[colorize]\ngallery = 1", "colorize.gallery = 1, which should be true or false"),
        ("[colorize]\nformat = 'pgn'", "colorize.format = \"pgn\"; did you mean 'png'?"),
        ("[colorize]\nout = 3", "colorize.out = 3, which should be "),
        ("[colorize]\nworkers = 0", "colorize.workers = 0; it must be at least 1"),
        ("workers = 0", "workers = 0; it must be at least 1"),
        ("colorize = 3", "colorize = ..., which is a table; write [colorize]"),
        ("[[colorize]]\nsaturation = 1", "colorize = ..., which is a table; write [colorize]"),
        ("[tool.recolor]\ndevice = 'cpu'", "[tool], which is no command; here [colorize] stands"),
        ("a = " + "[" * 5000 + "]" * 5000, "is not TOML: maximum recursion depth"),
        ("[colorize]\nout = 'a\\u0000b'".replace("'", '"'), "can have the character of number 0"),
        ("[colorize]\nredo = 'review.json'", "colorize.redo, which is for one run; type --redo"),
        ("[colorize]\nsaturation = 1.1\nsaturation = 2", "is not TOML"),
        ("[colorize", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        ("[colorize.inner]\nx = 1", "colorize.inner, which is no option"),
        ("[colorize]\nsaturation = 99", "colorize.saturation = 99; it must be 0 to 10"),
        *((text, words) for _, text, words in OUT_OF_RANGE if "[colorize]" in text),
        ("batch-size = 1\nbatch_size = 2", "has batch-size and batch_size, which are one; drop"),
        ("[colorize]\ninput_size = 64\ninput-size = 64",
         "has colorize.input_size and colorize.input-size, which are one; drop either"),
        ("[colorize]\nsaturation = '\u00e9'".encode("latin-1"), "not TOML: it is not in UTF-8"),
        ("[colorize]\nsaturation = 1".encode("utf-16"), "not TOML: it is not in UTF-8"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_file_and_key(
    here: Path, capsys: pytest.CaptureFixture[str], text: str | bytes, words: str
) -> None:
    (here / "recolor.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    code, out, err = call(capsys, "colorize", "x", "-o", "y")
    assert (code, out) == (2, "")
    assert words in err
    assert "recolor.toml'" in err
    assert err.count("\n") == 1
    assert call(capsys, "colorize", "--help")[0] == 0, "help helps to mend it"


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("RECOLOR_COLORIZE_SATURATION", "much",
         "RECOLOR_COLORIZE_SATURATION=much, which should be a number"),
        ("RECOLOR_WORKERS", "0", "RECOLOR_WORKERS=0; it must be at least 1"),
        ("RECOLOR_QUIET", "perhaps", "RECOLOR_QUIET=perhaps, which should be true or false"),
        ("RECOLOR_PRECISION", "fp61", "RECOLOR_PRECISION=fp61; did you mean 'fp16'?"),
        ("RECOLOR_COLORIZE_SATURATION", "11",
         "RECOLOR_COLORIZE_SATURATION=11; it must be 0 to 10"),
        ("RECOLOR_DEVICE", "gpu", "RECOLOR_DEVICE=gpu; it must be auto, cpu"),
        ("RECOLOR_DEVICE", "cpu ", "RECOLOR_DEVICE='cpu '; it must be auto, cpu"),
        ("RECOLOR_COLORIZE_QUALITY", "9" * 999, f"={'9' * 59}…; it must be 1 to 100"),
        ("RECOLOR_CONFIG", "~nobody-of-that-name/recolor.toml", "no file '~nobody-of-that-name/"),
        ("RECOLOR_COLORIZE_SHARD", "3/2", "RECOLOR_COLORIZE_SHARD=3/2; it must be I/N"),
        ("RECOLOR_CONFIG", "nowhere.toml", "no file 'nowhere.toml'"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_environment_names_the_variable(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    variable: str, text: str, words: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, text)
    code, _, err = call(capsys, "colorize", "x", "-o", "y")
    assert (code, err.count("\n")) == (2, 1)
    assert words in err


def test_options_that_do_not_fit_together_are_blamed_on_the_file(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "recolor.toml").write_text("[colorize]\ngallery = true\n")
    code, _, err = call(capsys, "colorize", "-", "-o", "-")
    assert (code, err.count("\n")) == (2, 1)
    assert err.endswith("(--gallery comes from 'recolor.toml')\n")


FOR_SOME_RUNS = [  # file, arguments without a use for it, the same typed, what is said of that
    ("seed = 3", ["x", "-o", "y"], ["--seed", "3"], "--seed is for variants"),
    ("cluster-workers = 3", ["x", "-o", "y"], ["--cluster-workers", "3"], "is for clusters"),
    (
        "cluster = 'auto'\ncluster-workers = 3",
        ["no-such-photo", "-o", "-"],
        ["--cluster", "auto"],
        "--cluster is for folders",
    ),
    ("cluster = 'auto'", ["--redo", "x"], ["--cluster", "auto"], "--cluster is for folders"),
    ("variants = 4\nseed = 3", ["--redo", "x"], ["--variants", "4"], "leave such options out"),
    ("format = 'png'", ["--redo", "x"], ["--format", "png"], "leave such options out"),
    ("shard = '1/4'", ["--redo", "x"], ["--shard", "1/4"], "leave such options out"),
]


@pytest.mark.parametrize(("text", "argv", "typed", "words"), FOR_SOME_RUNS)
def test_what_a_file_says_is_for_runs_that_have_a_use_for_it(
    here: Path, capsys: pytest.CaptureFixture[str], text: str, argv: list[str], typed: list[str],
    words: str,
) -> None:  # fmt: skip
    assert words in call(capsys, "colorize", *argv, *typed)[2]
    asked = call(capsys, "colorize", *argv)
    (here / "recolor.toml").write_text(f"[colorize]\n{text}\n")
    assert call(capsys, "colorize", *argv) == asked, "as without a file"
    assert "no such file" in asked[2]


def test_the_home_of_nobody_is_a_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "recolor.toml").write_text("[colorize]\nout = '~nobody-of-that-name/out'\n")
    assert taken(monkeypatch, "colorize", "x")["out"] == str(here / "~nobody-of-that-name" / "out")


def test_a_typed_option_is_not_blamed_on_the_file(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "recolor.toml").write_text("[colorize]\nsaturation = 1.1\n")
    _, _, err = call(capsys, "colorize", "x", "-o", "y", "--saturation", "99")
    assert err == "recolor: --saturation must be 0 to 10, got 99\n"


def test_a_mistake_for_another_command_is_left_to_that_command(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "recolor.toml").write_text("[eval]\nlimit = 'many'\n")
    assert call(capsys, "recipes", "tiny")[0] == 0
    assert "eval.limit" in call(capsys, "eval")[2]
    assert "eval.limit" in call(capsys, "config")[2]


def test_a_resumed_run_keeps_its_own_settings(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "recolor.toml").write_text('[train]\nseed = 3\nout = "runs/x"\nset = ["lr=1"]\n')
    code, _, err = call(capsys, "train", "--resume", "nothing", "--dry-run")
    assert (code, "holds no run" in err) == (2, True), err
    code, _, err = call(capsys, "train", "--resume", "nothing", "--seed", "3")
    assert (code, "drop --seed" in err) == (2, True), err


def test_config_shows_values_and_where_they_come_from(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "config")
    assert (code, out) == (0, "")
    assert "everything is as it was delivered" in err
    (here / "recolor.toml").write_text("workers = 3\n[data.split]\nval-share = 0.2\n")
    monkeypatch.setenv("RECOLOR_COLORIZE_SATURATION", "1.5")
    monkeypatch.setenv("RECOLOR_SATURATION", "1.5")
    _, out, err = call(capsys, "config")
    assert re.search(r"^colorize +saturation +1\.5 +RECOLOR_COLORIZE_SATURATION$", out, re.M)
    assert re.search(r"^data split +val-share +0\.2 +recolor\.toml$", out, re.M)
    assert re.search(r"^gallery +workers +3 +recolor\.toml$", out, re.M)
    assert "nothing reads RECOLOR_SATURATION" in err
    _, _, err = call(capsys, "--config", "none", "config")
    assert "no files: --config or RECOLOR_CONFIG says none" in err
    _, out, _ = call(capsys, "config", "data", "split")
    assert re.search(r"^data split +test-share +0\.1 +default$", out, re.M)
    assert "colorize" not in out
    _, out, _ = call(capsys, "config", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert records[-1] == {"event": "files", "files": ["recolor.toml"]}
    assert {"command": "data split", "option": "val-share", "value": 0.2, "from": "recolor.toml",
            "variables": ["RECOLOR_DATA_SPLIT_VAL_SHARE"]} in records  # fmt: skip
    code, _, err = call(capsys, "config", "colorise")
    assert (code, "did you mean 'colorize'?" in err) == (2, True)


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"RECOLOR_COLORIZE_QUALTY": "2"},
         "RECOLOR_COLORIZE_QUALTY of the environment; did you mean 'RECOLOR_COLORIZE_QUALITY'?"),
        ({"RECOLOR_SATURATON": "2"},
         "RECOLOR_SATURATON of the environment; did you mean 'RECOLOR_COLORIZE_SATURATION'?"),
        ({"RECOLOR_DEVICES": "cpu"},
         "RECOLOR_DEVICES of the environment; did you mean 'RECOLOR_DEVICE'?"),
        ({"RECOLOR_DRY_RUN": "1"}, "RECOLOR_DRY_RUN of the environment; type --dry-run"),
        ({"RECOLOR_COLORIZE_DRY_RUN": "1"},
         "RECOLOR_COLORIZE_DRY_RUN of the environment; type --dry-run"),
        ({"RECOLOR_XYZZY": "1"}, "RECOLOR_XYZZY of the environment; unset it"),
        ({"RECOLOR_XYZZY": "1", "RECOLOR_OFLINE": "1"},
         "RECOLOR_OFLINE (did you mean 'RECOLOR_OFFLINE'?), RECOLOR_XYZZY of the environment; "
         "correct or unset them"),
        ({"RECOLOR_SATURATON": ""}, ""),
        ({"RECOLOR_TRAIN_SEED": "3", "RECOLOR_DATA_SPLIT_OUT": "x", "RECOLOR_DEVICE": "cpu"}, ""),
        ({"RECOLOR_CACHE": "x", "RECOLOR_MERGE": "numpy", "RECOLOR_CONFIG": "none",
          "_RECOLOR_X": "x", "RECOLORED": "x"}, ""),
        ({"RECOLOR_XYZZY": "1", "RECOLOR_QUIET": "1"}, ""),
        ({"RECOLOR_XYZZY": "1", "RANK": "1"}, ""),
    ],
)  # fmt: skip
def test_a_variable_that_nothing_reads_is_told_once(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    variables: dict[str, str], line: str,
) -> None:  # fmt: skip
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    told = f"nothing reads {line}\n" if line else ""
    code, _, err = call(capsys, "colorize", "no-such-photo.jpg", "-o", "out")
    first, _, rest = err.rpartition("recolor: ")
    assert (code, first) == (2, told)
    assert "no-such-photo" in rest
    if "RECOLOR_QUIET" not in variables:
        assert call(capsys, "recipes", "tiny")[::2] == (0, told)
        assert call(capsys, "config")[2].startswith(told)
    err = call(capsys, "colorize", "no-such-photo.jpg", "-o", "out", "--quiet")[2]
    assert err == f"recolor: {rest}"
    assert "nothing reads" not in call(capsys, "colorize", "--help")[2]


def test_every_variable_that_the_program_reads_is_known() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "recolor_cli").rglob("*.py"))
    written = set(re.findall(r'"(RECOLOR_[A-Z_]*[A-Z])"', source))
    known = {variable for _, key in all_keys() for variable in key.variables}
    assert written <= known | OTHERS
    assert written >= OTHERS


def test_every_option_that_counts_has_a_kind_that_can_be_checked() -> None:
    keys = all_keys()
    assert len(keys) > 80
    assert {key.kind for _, key in keys} == {bool, int, float, str, Path}
    variables = [variable for _, key in keys for variable in key.variables[:1]]
    assert len(variables) == len(set(variables)), "two options with one variable"


def test_other_peoples_pyproject_does_not_disturb(here: Path) -> None:
    (here / "pyproject.toml").write_text("this is = = not TOML")
    assert find_files(here) == []
    (here / "pyproject.toml").write_text('[project]\nname = "recolored"\n')
    assert find_files(here) == []


def test_settings_need_nothing_heavy(here: Path) -> None:
    (here / "recolor.toml").write_text('device = "cpu"\n[colorize]\nsaturation = 1.1\n')
    code = (
        "import sys\nfrom recolor_cli.cli.app import main\n"
        "try: main(['config', 'colorize'])\nexcept SystemExit as end: assert not end.code\n"
        "print([n for n in ('torch', 'cv2', 'numpy', 'PIL') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
