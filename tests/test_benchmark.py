"""`recolor benchmark`, and what a run imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from colorize_fixtures import save_tiny_weights
from typer.testing import CliRunner

from recolor_cli.cli.app import app
from recolor_cli.color.compiled import merge_state
from recolor_cli.colorize import benchmark
from recolor_cli.colorize.benchmark import copies, make_photographs, memory_now, peak_memory
from recolor_cli.images.read import read_photo


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def _run(*argv: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["benchmark", *map(str, argv)])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("format", "dtype"), [("jpg", np.uint8), ("tiff", np.uint16), ("png", np.uint16)]
)
def test_photographs_are_grey_scans_of_the_wanted_size(
    format: str, dtype: type, tmp_path: Path
) -> None:
    first, second = make_photographs(tmp_path / "a", 2, 0.05, format)
    pixels = read_photo(first).pixels
    assert pixels.dtype == dtype
    assert pixels.ndim == 2
    assert pixels.size == pytest.approx(50_000, rel=0.02)
    assert pixels.std() > 0.05 * np.iinfo(dtype).max
    assert first.read_bytes() != second.read_bytes()
    (again,) = make_photographs(tmp_path / "b", 1, 0.05, format)
    assert again.read_bytes() == first.read_bytes()
    names = [path.name for path in copies([first, second], tmp_path / "c", 3)]
    assert names == [f"0000{n}.{format}" for n in range(3)]


def test_figures_are_for_the_whole_folder_and_agree(weights: Path) -> None:
    code, out, _ = _run(
        "--model", weights, "--device", "cpu", "--megapixels", 0.05, "--photos", 5, "--workers", 1,
        "--json",
    )  # fmt: skip
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    timings = {line["name"]: line for line in lines if line["event"] == "timing"}
    assert list(timings) == ["codec", "network", "colorize"]
    for line in timings.values():
        assert line["photos"] == 5
        assert line["photos_per_second"] == pytest.approx(5 / line["seconds"], rel=0.01)
        assert line["megapixels_per_second"] == pytest.approx(0.25 / line["seconds"], rel=0.05)
    whole = lines[-1]
    parts = timings["codec"]["seconds"] + timings["network"]["seconds"]
    assert whole["ratio"] == pytest.approx(timings["colorize"]["seconds"] / parts, rel=0.01)
    assert (whole["workers"], whole["painters"]) == (1, 1)
    assert whole["machine"].startswith("cpu")
    assert f"merge: {whole['merge']}" == merge_state()
    assert whole["peak_bytes"] > whole["start_bytes"] * 0.9


def test_people_get_a_table_and_a_verdict(weights: Path) -> None:
    code, out, err = _run(
        "--model", weights, "--megapixels", 0.02, "--photos", 2, "--format", "tiff"
    )
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["codec", "network", "colorize"]
    assert "times as long as codec and network together" in out
    assert merge_state() in out.splitlines()
    assert "2 photographs of 0.02 megapixels, tiff" in err


def test_nothing_is_left_behind(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark.tempfile, "tempdir", str(tmp_path))
    assert _run("--model", weights, "--megapixels", 0.02, "--photos", 1, "--quiet")[0] == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "value"), [("--megapixels", 0), ("--megapixels", 501), ("--photos", 0)]
)
def test_values_out_of_range_are_named(option: str, value: float) -> None:
    result = CliRunner().invoke(app, ["benchmark", option, str(value)])
    assert result.exit_code != 0
    assert option in str(result.exception)


def test_memory_figures_are_of_this_process() -> None:
    now, peak = memory_now(), peak_memory()
    assert now is None or peak is None or 10e6 < now <= peak * 1.05


# What a run imports

HEAVY = (
    "IPython", "datasets", "lpips", "matplotlib", "onnx", "onnxruntime", "pandas", "ray", "scipy",
    "sklearn", "skimage", "spandrel", "sympy", "tensorboard", "torch._dynamo", "torch_fidelity",
    "torchvision",
)  # fmt: skip


def test_coloring_a_photograph_imports_nothing_heavy_but_torch(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((40, 50), 120, np.uint8))
    script = (
        "import sys\n"
        "from recolor_cli.cli.app import main\n"
        "try:\n"
        "    main(sys.argv[2:])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        "names = [name for name in sys.argv[1].split(',') if name in sys.modules]\n"
        "print(names)\n"
    )
    ended = subprocess.run(
        [
            sys.executable, "-c", script, ",".join(HEAVY), "colorize", str(photo),
            "-o", str(tmp_path / "out"), "--offline", "--quiet",  # the default weights
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout.strip() == "[]"
    assert (tmp_path / "out" / "photo.png").exists()
