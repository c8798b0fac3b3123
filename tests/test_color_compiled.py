"""The compiled merge computes what NumPy does, and says when it is not the one that runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from color_fixtures import NeverCalm, merge_ways

from recolor_cli.color import compiled, lab, merge
from recolor_cli.color.lab import small_luminance
from recolor_cli.color.merge import merge_ab
from recolor_cli.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An installation of its own, in which nothing is loaded yet."""
    monkeypatch.delenv(compiled.VARIABLE, raising=False)
    for name in ("LIBRARY", "REASON"):
        monkeypatch.setattr(compiled, name, tmp_path / getattr(compiled, name).name)
    compiled._load.cache_clear()
    yield tmp_path
    compiled._load.cache_clear()


def _photo(rng: np.random.Generator, kind: str, dtype: type) -> np.ndarray:
    height, width = rng.integers(1, 700, 2)
    top = np.iinfo(dtype).max
    smooth = cv2.resize(
        rng.random((7, 9)), (int(width), int(height)), interpolation=cv2.INTER_CUBIC
    )
    value = smooth * 1.2 - 0.1 + rng.normal(0, 0.03, smooth.shape)
    if kind == "rgb":
        value = value[..., None] * rng.uniform(0.7, 1, 3)
    return (np.clip(value, 0, 1) * top).astype(dtype)


def _ab(rng: np.random.Generator, spread: float) -> np.ndarray:
    return rng.normal(0, spread, (*rng.integers(1, 20, 2), 2)).astype(np.float32)


def _both(pixels: np.ndarray, ab: np.ndarray, patch: pytest.MonkeyPatch) -> list[np.ndarray]:
    results = []
    for way in ("numpy", "compiled"):
        chosen = merge_ways()[way]
        patch.setattr(merge, "compiled_merge", lambda chosen=chosen: chosen)
        results.append(merge_ab(pixels, ab).astype(int))
    return results


@pytest.mark.parametrize("kind", ["grey", "rgb"])
@pytest.mark.parametrize(("dtype", "most"), [(np.uint8, 1), (np.uint16, 3)])
@pytest.mark.parametrize("spread", [0, 8, 40, 200])
def test_it_differs_from_numpy_by_rounding(
    kind: str, dtype: type, most: int, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which pixels beside a steep edge escape compression is for each to say, as the blocks are not
    # the same ones; whatever is compressed is the same.
    monkeypatch.setattr(merge, "_Calm", NeverCalm)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        plain, fast = _both(_photo(rng, kind, dtype), _ab(rng, spread), monkeypatch)
        assert np.abs(plain - fast).max() <= most
        assert (plain != fast).mean() < (1e-4 if dtype == np.uint8 else 0.02)


def test_on_a_photograph_it_differs_by_one_level_in_few_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    pixels = cv2.resize(_photo(rng, "grey", np.uint8), (1201, 903), interpolation=cv2.INTER_CUBIC)
    ab = cv2.GaussianBlur(rng.normal(0, 100, (48, 64, 2)).astype(np.float32), (0, 0), 2)
    plain, fast = _both(pixels, ab, monkeypatch)
    assert np.abs(plain - fast).max() <= 1
    assert np.ptp(plain, axis=2).mean() > 0
    assert (plain != fast).mean() < 1e-4


def test_any_strides_are_read_right(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    for dtype in (np.uint8, np.uint16):
        for channels in (0, 3):
            shape = (90, 140, channels) if channels else (90, 140)
            base = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
            ab = _ab(rng, 15)
            for view in (base[::-1, ::2], base[3:, ::-1], base.swapaxes(0, 1)):
                monkeypatch.setattr(merge, "compiled_merge", lambda: merge_ways()["compiled"])
                np.testing.assert_array_equal(merge_ab(view, ab), merge_ab(view.copy(), ab))


VIEWS = {  # as pictures lie in memory: each reader of strip.c, and what none of the wide ones takes
    "grey": lambda base: base[..., 0].copy(),
    "rgb": lambda base: base,
    "grey of rgb": lambda base: base[..., 1],
    "every second column": lambda base: base[:, ::2],
    "upside down": lambda base: base[::-1, :, ::-1],
}


@pytest.mark.parametrize("spread", [0, 5, 30, 150])
@pytest.mark.parametrize("view", VIEWS)
def test_avx_512_gives_the_same_bytes(view: str, spread: float) -> None:
    assert merge_ways()["compiled"]
    ways = [compiled.CompiledMerge(compiled.LIBRARY, wide=wide) for wide in (True, False)]
    assert not ways[1].is_wide
    for seed in range(8):
        rng = np.random.default_rng(seed)
        height, width = rng.integers(1, 40), rng.integers(1, 1100)
        base = rng.integers(0, 256 >> seed // 2, (height, width, 3)).astype(np.uint8)
        pixels, ab = VIEWS[view](base), _ab(rng, spread)
        made = []
        for way in ways:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(merge, "compiled_merge", lambda way=way: way)
                patch.setattr(lab, "compiled_merge", lambda way=way: way)
                made.append((merge_ab(pixels, ab), small_luminance(pixels, (3, 7))))
        np.testing.assert_array_equal(made[0][0], made[1][0])
        np.testing.assert_array_equal(made[0][1], made[1][1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_value_that_differs_anywhere_is_found(dtype: type) -> None:
    library = merge_ways()["compiled"]
    assert library is not None
    rng = np.random.default_rng(0)
    for width in (1, 2, 7, 8, 9, 16, 17, 40):
        gray = rng.integers(0, np.iinfo(dtype).max, (3, width, 1)).astype(dtype).repeat(3, axis=2)
        assert library.is_gray(gray)
        assert library.is_gray(gray[::-1])
        for place in range(gray.size):
            colored = gray.copy()
            colored.flat[place] ^= dtype(1 << 7 * dtype(0).itemsize)
            assert not library.is_gray(colored)
    assert library.is_gray(gray[:, ::2]) is None
    assert library.is_gray(gray[:, :, ::-1]) is None


def test_nothing_beyond_the_picture_is_written() -> None:
    call = merge_ways()["compiled"]
    assert call is not None
    for dtype in (np.uint8, np.uint16):
        for width in (1, 31, 32, 33, 511, 512, 513):
            memory = np.full(5 * width * 3 + 64, 77, dtype)
            out = memory[32 : 32 + 5 * width * 3].reshape(5, width, 3)
            merge_ab(np.zeros((5, width), dtype), _ab(np.random.default_rng(0), 30), out=out)
            assert (out == 0).all()
            assert (memory[:32] == 77).all()
            assert (memory[-32:] == 77).all()


def test_other_threads_run_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    # As ctypes.CDLL lets go of Python's lock and ctypes.PyDLL does not.
    library = merge_ways()["compiled"]._library
    assert not library._FuncPtr._flags_ & 4  # FUNCFLAG_PYTHONAPI
    monkeypatch.setattr(merge, "compiled_merge", lambda: merge_ways()["compiled"])
    rng = np.random.default_rng(0)
    pixels, ab = _photo(rng, "rgb", np.uint8), _ab(rng, 30)
    expected = merge_ab(pixels, ab)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: merge_ab(pixels, ab), range(8)):
            np.testing.assert_array_equal(result, expected)


def test_without_a_library_numpy_says_why(fresh: Path) -> None:
    assert compiled.compiled_merge() is None
    assert compiled.merge_state() == "merge: NumPy, no C compiler was there at installation"
    compiled.REASON.write_text("icc failed at installation: no licence\n")
    compiled._load.cache_clear()
    assert compiled.merge_state() == "merge: NumPy, icc failed at installation: no licence"


def test_a_library_that_does_not_load_is_told_once(fresh: Path) -> None:
    compiled.LIBRARY.write_bytes(b"not a library")
    with pytest.warns(RuntimeWarning, match="does not load"):
        assert compiled.compiled_merge() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled.compiled_merge() is None
    assert "does not load" in compiled.merge_state()


def test_a_library_from_another_source_is_refused(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge_ways()
    library = compiled._HERE / compiled.LIBRARY.name
    monkeypatch.setattr(compiled, "LIBRARY", library)
    changed = fresh / "strip.c"
    changed.write_bytes(compiled.SOURCE.read_bytes() + b"\n")
    monkeypatch.setattr(compiled, "SOURCE", changed)
    with pytest.warns(RuntimeWarning, match=r"compiled from another strip\.c"):
        assert compiled.compiled_merge() is None


def test_the_environment_chooses(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.VARIABLE, "compiled")
    with pytest.raises(UsageError, match="no C compiler was there"):
        compiled.compiled_merge()
    monkeypatch.setenv(compiled.VARIABLE, "cuda")
    with pytest.raises(UsageError, match="use compiled or numpy"):
        compiled.compiled_merge()
    compiled.LIBRARY.write_bytes(b"not even looked at")
    monkeypatch.setenv(compiled.VARIABLE, "numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled.compiled_merge() is None
    assert compiled.merge_state() == "merge: NumPy, as RECOLOR_MERGE asks"


def test_who_asked_for_numpy_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiled.merge_state()
    with monkeypatch.context() as patch:
        patch.setenv(compiled.VARIABLE, "numpy")
        assert compiled.compiled_merge() is None
    assert compiled.merge_state() == before


def test_an_array_of_another_type_never_reaches_the_library() -> None:
    call = merge_ways()["compiled"]
    assert call is not None
    pixels, out = np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(TypeError, match="row_keys must be float32"):
        call(pixels, out, row_keys=np.zeros(8))


def compile_into(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What hatch_build.py does, in a copy of the two files that it knows."""
    (folder / "recolor_cli" / "color").mkdir(parents=True)
    for name in ("hatch_build.py", "recolor_cli/color/strip.c"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return subprocess.run(
        [sys.executable, str(folder / "hatch_build.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_installation_without_a_compiler_keeps_the_reason(tmp_path: Path) -> None:
    done = compile_into(tmp_path, CC="no-such-compiler", PATH="/usr/bin")
    assert "no C compiler was there" in done.stderr
    (made,) = (tmp_path / "recolor_cli" / "color").glob("_strip.*")
    assert (made.name, made.read_text()) == ("_strip.txt", done.stderr.partition(";")[0] + "\n")


def test_an_installation_with_a_compiler_that_fails_keeps_what_it_said(tmp_path: Path) -> None:
    failing = tmp_path / "cc"
    # In Latin-1, as compilers speak to some.
    failing.write_bytes(b"#!/bin/sh\necho 'strip.c:1: error: trop r\xe9cent' >&2\nexit 1\n")
    failing.chmod(0o755)
    done = compile_into(tmp_path, CC=str(failing), PATH="/usr/bin:/bin")
    assert done.returncode == 1
    reason = (tmp_path / "recolor_cli" / "color" / "_strip.txt").read_text()
    assert reason == f"{failing} failed at installation: strip.c:1: error: trop r\\xe9cent\n"


@pytest.mark.parametrize(
    ("text", "windows", "words"),
    [
        ("ccache gcc -m64", False, ["ccache", "gcc", "-m64"]),
        ("'/opt/my gcc/bin/cc'", False, ["/opt/my gcc/bin/cc"]),
        (r"C:\mingw\bin\gcc.exe -m64", True, [r"C:\mingw\bin\gcc.exe", "-m64"]),
        (r'"C:\Program Files\gcc.exe"', True, [r"C:\Program Files\gcc.exe"]),
    ],
)
def test_a_compiler_is_named_as_in_a_shell(text: str, windows: bool, words: list[str]) -> None:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.words_of(text, windows=windows) == words
