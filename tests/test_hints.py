"""Hints: a person's colours win where they are given, stay within their object, and are checked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import photo_factory as factory
import pytest
import torch
from colorize_fixtures import fake_model, save_tiny_weights
from photo_factory import put

from recolor_cli import Colorizer
from recolor_cli.cli.app import main
from recolor_cli.color.hints import Hint, apply_hints, reachable
from recolor_cli.color.lab import luminance, rgb_to_lab
from recolor_cli.colorize.hint_entries import parse_hints
from recolor_cli.colorize.hints import HintBook
from recolor_cli.errors import PhotoError, UsageError
from recolor_cli.images.orientation import orient, unorient
from recolor_cli.images.read import read_photo, read_provenance

HONOURED = 5.0  # deltaE: distance in ab from what the photograph's L lets a hint be
ALONE = 1.0  # deltaE that another object may move: the rounding of 8 bits
COLORS = ["#3b4a6b", "crimson", "darkgreen", "#c8a050", "teal", "gray", "#ff00ff", "blue"]


def two_objects(height: int = 120, width: int = 180, noise: float = 1.5) -> np.ndarray:
    """A light wall with a darker disc, shaded and grainy, as a scan would have them."""
    y, x = np.mgrid[:height, :width]
    disc = (y - height / 2) ** 2 + (x - width / 3) ** 2 < (0.3 * height) ** 2
    level = np.where(disc, 90 + 20 * y / height, 170 + 20 * x / width)
    grain = np.random.default_rng(0).normal(0, noise, level.shape)
    return np.clip(level + grain, 0, 255).astype(np.uint8)


def brown(gray: torch.Tensor) -> torch.Tensor:
    """The same ab everywhere, about (11, 22)."""
    return torch.tensor([0.1, 0.2]).view(1, 2, 1, 1).expand(1, 2, *gray.shape[2:])


@pytest.fixture(scope="module")
def colorizer() -> Colorizer:
    return Colorizer(fake_model(brown))


def error_at(colored: np.ndarray, gray: np.ndarray, y: int, x: int, color: str) -> float:
    """Distance in ab between the result and what L lets the hint be, mean of 3 x 3 pixels."""
    (hint,) = parse_hints([{"point": [0, 0], "color": color}], "", {})
    assert hint.rgb is not None
    wanted = rgb_to_lab(np.array([[hint.rgb]], np.uint8))[0, 0]
    spot = slice(y - 1, y + 2), slice(x - 1, x + 2)
    lightness = luminance(gray)[spot]
    a, b = reachable(lightness, np.full_like(lightness, wanted[1]),
                     np.full_like(lightness, wanted[2]))  # fmt: skip
    ab = rgb_to_lab(colored)[spot][..., 1:]
    return float(np.hypot(ab[..., 0] - a, ab[..., 1] - b).mean())


def difference(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    ab, other = rgb_to_lab(one)[..., 1:], rgb_to_lab(two)[..., 1:]
    return np.linalg.norm(ab - other, axis=2)


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("saturation", [1.0, 1.7, 0.0])
def test_a_point_has_its_colour_whatever_the_saturation(color: str, saturation: float) -> None:
    gray = two_objects()
    colorizer = Colorizer(fake_model(brown), saturation=saturation)
    colored = colorizer.colorize(gray, hints=[{"point": [1 / 3, 0.5], "color": color}])
    assert error_at(colored, gray, 60, 60, color) < HONOURED
    assert np.abs(luminance(colored) - luminance(gray)).mean() < 0.6


def test_what_can_be_reached_is_the_colour_itself_unless_the_gamut_ends() -> None:
    level = np.array([20.0, 50.0, 80.0], np.float32)
    a, b = reachable(level, np.full(3, 3.0, np.float32), np.full(3, -15.0, np.float32))
    np.testing.assert_allclose(a, 3)
    np.testing.assert_allclose(b, -15)
    a, b = reachable(level, np.full(3, 90.0, np.float32), np.full(3, 0.0, np.float32))
    assert (a < 90).all()
    assert (a > 20).all()
    np.testing.assert_array_equal(b, 0)


def test_a_colour_fills_its_object_and_leaves_the_next_one_alone(colorizer: Colorizer) -> None:
    gray = two_objects()
    plain = colorizer.colorize(gray)
    colored = colorizer.colorize(gray, hints=[{"point": [1 / 3, 0.5], "color": "#3b4a6b"}])
    moved = difference(plain, colored)
    y, x = np.mgrid[:120, :180]
    radius = np.hypot(y - 60, x - 60)
    inside, outside = moved[radius < 31], moved[radius > 41]
    assert np.quantile(inside, 0.05) > 15  # from brown to blue, nearly everywhere
    assert outside.mean() < ALONE / 4
    assert np.quantile(outside, 0.999) < ALONE


def test_a_hint_on_the_wall_goes_around_the_disc(colorizer: Colorizer) -> None:
    gray = two_objects()
    plain = colorizer.colorize(gray)
    moved = difference(plain, colorizer.colorize(gray, hints=[{"point": [0.05, 0.5],
                                                               "color": "teal"}]))  # fmt: skip
    assert moved[5, 60] > 10
    assert moved[60, 45:75].max() < ALONE


def test_the_nearer_hint_wins_and_keep_holds_the_others_off(colorizer: Colorizer) -> None:
    gray = np.full((100, 200), 120, np.uint8)
    red, blue = {"point": [0.1, 0.5], "color": "red"}, {"point": [0.9, 0.5], "color": "blue"}
    both = colorizer.colorize(gray, hints=[red, blue])
    for x, color in ((20, "red"), (180, "blue")):
        assert error_at(both, gray, 50, x, color) < HONOURED
    ab = rgb_to_lab(both)[50]
    assert ab[60, 2] > 0 > ab[140, 2]  # each on its side
    keep = {"box": [0.5, 0, 1, 1], "color": "keep"}
    kept = colorizer.colorize(gray, hints=[red, keep])
    assert difference(kept, colorizer.colorize(gray))[:, 105:].max() < ALONE
    assert error_at(kept, gray, 50, 20, "red") < HONOURED


def test_a_box_has_its_colour_all_over(colorizer: Colorizer) -> None:
    gray = two_objects()
    box = [0.7, 0.2, 0.9, 0.8]
    colored = colorizer.colorize(gray, hints=[{"box": box, "color": "darkgreen"}])
    for y in (28, 60, 92):
        for x in (130, 145, 158):
            assert error_at(colored, gray, y, x, "darkgreen") < HONOURED


def test_the_last_of_two_hints_for_one_place_wins(colorizer: Colorizer) -> None:
    gray = np.full((60, 60), 120, np.uint8)
    hints = [{"point": [0.5, 0.5], "color": color} for color in ("red", "green")]
    assert error_at(colorizer.colorize(gray, hints=hints), gray, 30, 30, "green") < HONOURED


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (5, 2), (700, 900)])
@pytest.mark.parametrize("place", [(0.0, 0.0), (1.0, 1.0), (0.5, 0.0)])
def test_corners_and_odd_shapes(
    colorizer: Colorizer, shape: tuple[int, int], place: tuple[float, float]
) -> None:
    gray = np.full(shape, 120, np.uint8)
    colored = colorizer.colorize(gray, hints=[{"point": place, "color": "crimson"}])
    y = min(int(place[1] * shape[0]), shape[0] - 1)
    x = min(int(place[0] * shape[1]), shape[1] - 1)
    target = rgb_to_lab(np.array([[[220, 20, 60]]], np.uint8))[0, 0, 1:]
    assert np.linalg.norm(rgb_to_lab(colored)[y, x, 1:] - target) < HONOURED


def test_sixteen_bits_and_the_same_bytes_twice(colorizer: Colorizer) -> None:
    gray = two_objects().astype(np.uint16) * 257
    hints = [
        {"point": [1 / 3, 0.5], "color": "teal"},
        {"box": [0.8, 0.1, 0.9, 0.2], "color": "tan"},
    ]
    one, two = (colorizer.colorize(gray, hints=hints) for _ in range(2))
    assert one.dtype == np.uint16
    np.testing.assert_array_equal(one, two)
    assert error_at(one, gray, 60, 60, "teal") < HONOURED


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("units", ["fractions", "pixels"])
def test_places_are_those_of_the_upright_picture(tmp_path: Path, turn: int, units: str) -> None:
    upright = two_objects()
    stored = np.ascontiguousarray(unorient(upright, turn))
    photo = put(tmp_path, "in/a.png", factory.png(stored, exif=factory.exif_bytes(turn)))
    place = [1 / 3, 0.5] if units == "fractions" else [60, 60]
    record = {"units": units, "hints": [{"point": place, "color": "#3b4a6b"}]}
    (tmp_path / "in/a.hints.json").write_text(json.dumps(record))
    weights = save_tiny_weights(tmp_path / "tiny.safetensors")
    with pytest.raises(SystemExit) as caught:
        main(["colorize", str(photo), "-o", str(tmp_path / "out"), "--model", str(weights), "-q"])
    assert caught.value.code == 0
    result = read_photo(tmp_path / "out/a.png")
    assert result.orientation == turn
    colored = np.ascontiguousarray(orient(result.pixels, turn))
    assert error_at(colored, upright, 60, 60, "#3b4a6b") < HONOURED
    provenance = read_provenance(tmp_path / "out/a.png")
    assert provenance is not None
    assert provenance.settings["hints"] == 1


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def run(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, dict], str]]:
    """Colour `in` into `out`: exit status, the line of each photo by name, stderr."""

    def call(*argv: object) -> tuple[int, dict[str, dict], str]:
        arguments = ["colorize", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--json"]
        with pytest.raises(SystemExit) as caught:
            main([*arguments, "--model", str(weights), *map(str, argv)])
        captured = capsys.readouterr()
        lines = [json.loads(line) for line in captured.out.splitlines()]
        photos = {Path(x["input"]).name: x for x in lines if x["event"] == "photo"}
        assert isinstance(caught.value.code, int)
        return caught.value.code, photos, captured.err

    return call


def write(path: Path, record: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record if isinstance(record, str) else json.dumps(record))


def test_a_palette_names_a_colour_once_for_many_photos(tmp_path: Path, run: Callable) -> None:
    for name in ("a.png", "b.png", "1943/c.png", "1943/d.png"):
        put(tmp_path / "in", name, factory.png(two_objects(60, 90)))
    coat = {"hints": [{"point": [1 / 3, 0.5], "color": "coat"}]}
    write(
        tmp_path / "in/palette.json",
        {
            "colors": {"coat": "darkgreen"},
            "photos": [{"files": "1943/*.png", **coat}, {"files": ["a.png"], **coat}],
        },
    )
    write(tmp_path / "in/1943/d.hints.json", {"hints": [{"point": [0.9, 0.5], "color": "coat"}]})
    code, photos, _ = run()
    assert code == 0
    given = {
        name: read_provenance(Path(line["output"])).settings.get("hints", 0)  # type: ignore[union-attr]
        for name, line in photos.items()
    }
    assert given == {"a.png": 1, "b.png": 0, "c.png": 1, "d.png": 2}
    for name in ("a.png", "c.png", "d.png"):
        pixels = read_photo(Path(photos[name]["output"])).pixels
        assert error_at(pixels, two_objects(60, 90), 30, 30, "darkgreen") < HONOURED
    # The colour is corrected in one place: the photos with the coat are made again, no other.
    text = (tmp_path / "in/palette.json").read_text()
    (tmp_path / "in/palette.json").write_text(text.replace("darkgreen", "#3b4a6b"))
    _, photos, _ = run()
    assert {name: line["status"] for name, line in photos.items()} == {
        "a.png": "done", "b.png": "skipped", "c.png": "done", "d.png": "done"
    }  # fmt: skip


def test_hints_are_found_however_a_mac_wrote_the_accents(tmp_path: Path) -> None:
    folder = tmp_path / "e\u0301te\u0301"
    photo = put(folder, "re\u0301col.jpg", factory.png(two_objects(60, 90)))
    coat = {"hints": [{"point": [0.5, 0.5], "color": "navy"}]}
    write(folder / "r\u00e9col.hints.json", coat)
    write(
        tmp_path / "palette.json", {"photos": [{"files": "\u00e9t\u00e9/r\u00e9col.jpg", **coat}]}
    )
    book = HintBook()
    assert len(book.of(photo, tmp_path)) == 2
    assert book.without_photo() == []
    assert book.name_for(photo) == "r\u00e9col.hints.json"  # a review's hints replace it
    write(folder / "re\u0301col.jpg.hints.json", coat)
    with pytest.raises(UsageError, match="keep one of them"):
        HintBook().of(photo, tmp_path)


def test_a_long_palette_is_put_in_normal_form_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [put(tmp_path, f"{number}.jpg", b"") for number in range(20)]
    hints = [{"point": [0.5, 0.5], "color": "navy"}]
    files = [f"of-{number}-*.jpg" for number in range(50)]
    write(tmp_path / "palette.json", {"photos": [{"files": files, "hints": hints}]})
    names: list[str] = []
    monkeypatch.setattr(
        "recolor_cli.colorize.hints.normal", lambda name: names.append(name) or name
    )
    book = HintBook()
    assert not any(book.of(photo, tmp_path) for photo in photos)
    assert sum(name in files for name in names) == len(files)


def test_of_two_spellings_each_photo_has_its_own_hints(tmp_path: Path) -> None:
    for spelling, color in (("\u00e9", "navy"), ("e\u0301", "teal")):
        put(tmp_path, f"{spelling}.jpg", b"")
        hints = [{"point": [0.5, 0.5], "color": color}]
        write(tmp_path / f"{spelling}.hints.json", {"hints": hints})
    if len(list(tmp_path.iterdir())) == 2:
        pytest.skip("this disk takes both for one name")
    book = HintBook()
    colors = [book.of(tmp_path / f"{name}.jpg", tmp_path)[0].rgb for name in ("\u00e9", "e\u0301")]
    assert colors == [(0, 0, 128), (0, 128, 128)]
    assert book.name_for(tmp_path / "e\u0301.jpg") == "e\u0301.hints.json"
    assert book.without_photo() == []


def test_a_hint_redoes_its_photo_only_and_taking_it_away_does_too(
    tmp_path: Path, run: Callable
) -> None:
    for name in ("a.png", "b.png"):
        put(tmp_path / "in", name, factory.png(two_objects(40, 60)))
    run()
    plain = (tmp_path / "out/a.png").read_bytes()
    hints = tmp_path / "in/a.hints.json"

    def statuses(*argv: object) -> str:
        return " ".join(line["status"] for _, line in sorted(run(*argv)[1].items()))

    write(hints, {"hints": [{"point": [0.3, 0.5], "color": "teal"}]})
    assert statuses() == "done skipped"
    assert (tmp_path / "out/a.png").read_bytes() != plain
    assert statuses() == "skipped skipped"
    (tmp_path / "out/.recolor/manifest.jsonl").unlink()  # the output tells it as well
    assert statuses() == "skipped skipped"
    assert statuses("--hints", "none") == "done skipped"
    assert (tmp_path / "out/a.png").read_bytes() == plain
    assert statuses() == "done skipped"
    hints.unlink()
    assert statuses() == "done skipped"
    assert (tmp_path / "out/a.png").read_bytes() == plain


def test_wrong_hints_fail_their_photo_and_no_other(tmp_path: Path, run: Callable) -> None:
    for name in ("a.png", "b.png", "c.png"):
        put(tmp_path / "in", name, factory.png(two_objects(40, 60)))
    write(tmp_path / "in/a.hints.json", {"hints": [{"point": [0.3, 0.5], "color": "tael"}]})
    write(
        tmp_path / "in/b.png.hints.json",
        {"units": "pixels", "hints": [{"point": [60, 5], "color": "teal"}]},
    )
    write(tmp_path / "in/grandmohter.hints.json", {"hints": []})
    code, photos, err = run()
    assert code == 1
    assert {n: line["status"] for n, line in photos.items()} == {
        "a.png": "failed", "b.png": "failed", "c.png": "done"
    }  # fmt: skip
    assert "hint 1: no colour 'tael'; did you mean 'teal'?" in photos["a.png"]["reason"]
    assert "outside the picture of 60 x 40" in photos["b.png"]["reason"]
    assert "'grandmohter'" in err


def test_a_named_file_is_for_one_photo_or_is_a_palette(tmp_path: Path, run: Callable) -> None:
    put(tmp_path / "in", "a.png", factory.png(two_objects(40, 60)))
    hints = tmp_path / "elsewhere/coat.json"
    write(hints, {"hints": [{"point": [0.3, 0.5], "color": "teal"}]})
    assert run("--hints", hints)[0] == 0
    assert read_provenance(tmp_path / "out/a.png").settings["hints"] == 1  # type: ignore[union-attr]
    put(tmp_path / "in", "b.png", factory.png(two_objects(40, 60)))
    code, _, err = run("--hints", hints)
    assert code == 2
    assert "there are 2" in err
    assert run("--hints", tmp_path / "missing.json")[0] == 2
    entry = {"files": "*.png", "hints": [{"point": [0.3, 0.5], "color": "tan"}]}
    write(hints, {"photos": [entry]})
    code, photos, _ = run("--hints", hints)
    assert code == 0
    assert [line["status"] for line in photos.values()] == ["done", "done"]


POINT = {"point": [0.5, 0.5], "color": "navy"}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("{", "is not JSON: line 1"),
        ("[]", "says nothing about colours"),
        ({"hint": [POINT]}, "says nothing about colours"),
        ({"hints": POINT}, '"hints" is a list'),
        ({"hints": [POINT], "unit": "pixels"}, "did you mean 'units'"),
        ({"hints": [POINT], "units": "inches"}, "no units 'inches'"),
        ({"hints": [POINT, [0.5, 0.5]]}, "hint 2 is a table"),
        ({"hints": [{"color": "navy"}]}, 'hint 1 needs "point"'),
        ({"hints": [{**POINT, "box": [0, 0, 1, 1]}]}, 'hint 1 needs "point"'),
        ({"hints": [{"point": [0.5], "color": "navy"}]}, '"point" is 2 numbers'),
        ({"hints": [{"point": [True, 0.5], "color": "navy"}]}, '"point" is 2 numbers'),
        ({"hints": [{"point": ["1", 0.5], "color": "navy"}]}, '"point" is 2 numbers'),
        ({"hints": [{"point": [412, 96], "color": "navy"}]}, 'add "units": "pixels"'),
        ('{"hints": [{"point": [NaN, 0.5], "color": "navy"}]}', "not within 0..1"),
        ({"hints": [{"box": [0.5, 0, 0.2, 1], "color": "navy"}]}, "left, top, right, bottom"),
        ({"hints": [{"point": [0.5, 0.5]}]}, 'hint 1 has no "color"'),
        ({"hints": [{**POINT, "color": "#12345"}]}, 'type "#rrggbb"'),
        ({"hints": [{**POINT, "color": 7}]}, "no colour 7"),
        ({"hints": [{**POINT, "color": "nayv"}]}, "did you mean 'navy'"),
        ({"hints": [{**POINT, "colour": "navy"}]}, "did you mean 'color'"),
        ({"hints": [{**POINT, "page": 0}]}, '"page" counts from 1'),
        ({"hints": [POINT] * 201}, "at most 200"),
        ({"colors": ["navy"], "photos": []}, '"colors" is a table'),
        ({"colors": {"coat": "keep"}, "photos": []}, "has to be a colour"),
        ({"photos": {"files": "*"}}, '"photos" is a list'),
        ({"photos": [{"hints": [POINT]}]}, 'photos entry 1: "files" is a pattern'),
        ({"photos": [{"files": [], "hints": [POINT]}]}, 'photos entry 1: "files" is a pattern'),
        (
            {"photos": [{"files": "*", "hints": [{**POINT, "color": "coat"}]}]},
            "photos entry 1: hint",
        ),
    ],
)
def test_mistakes_are_told_in_one_line_that_names_the_place(
    tmp_path: Path, record: Any, words: str
) -> None:
    path = tmp_path / "a.hints.json"
    write(path, record)

    with pytest.raises(UsageError) as caught:
        HintBook(path).of(tmp_path / "a.png", tmp_path)
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    assert "a.hints.json" in text


def test_two_files_for_one_photo_and_a_page_that_is_not_there(
    tmp_path: Path, colorizer: Colorizer
) -> None:
    for name in ("a.hints.json", "a.png.hints.json"):
        write(tmp_path / name, {"hints": [POINT]})
    with pytest.raises(UsageError, match="keep one of them"):
        HintBook().of(tmp_path / "a.png", tmp_path)
    photo = read_photo(put(tmp_path, "b.png", factory.png(two_objects(40, 60))))
    with pytest.raises(PhotoError, match="page 2 of 1"):
        colorizer.prepare(photo, hints=[Hint((0.5, 0.5, 0.5, 0.5), (1, 2, 3), page=2)])
    with pytest.raises(UsageError, match="hint 1: no colour"):
        colorizer.colorize(two_objects(), hints=[{"point": [0.5, 0.5], "color": "sky"}])


def test_an_outline_stops_a_hint_though_both_sides_are_alike() -> None:
    lightness = np.full((80, 80), 60, np.float32)
    lightness[:, 39:41] = 20
    ab = np.zeros((80, 80, 2), np.float32)
    result = apply_hints(lightness, ab, [Hint((0.2, 0.5, 0.2, 0.5), (200, 30, 30))])
    chroma = np.linalg.norm(result, axis=2)
    assert chroma[:, :36].min() > 30
    assert chroma[:, 44:].max() == 0


def test_without_hints_scipy_is_not_imported() -> None:
    code = "import sys, recolor_cli.colorize.files; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
