"""`Colorizer`, the five lines of Python."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import photo_factory as factory
import pytest
import torch
from colorize_fixtures import FakeNetwork, fake_model, save_tiny_weights, tiny_card
from PIL import Image

from recolor_cli import Colorizer
from recolor_cli.checkpoints import ColorModel
from recolor_cli.color.hints import Hint
from recolor_cli.color.lab import luminance
from recolor_cli.colorize.network import Answer
from recolor_cli.colorize.settings import Settings
from recolor_cli.errors import PhotoError, UsageError, WeightsError
from recolor_cli.images.orientation import orient, unorient
from recolor_cli.images.photo import Frame, Photo
from recolor_cli.images.read import read_photo


@pytest.fixture(scope="module")
def colorizer(tmp_path_factory: pytest.TempPathFactory) -> Colorizer:
    path = save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")
    return Colorizer(str(path), device="cpu")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("make", [factory.gray_pixels, factory.rgb_pixels, factory.color_pixels])
def test_an_array_gives_an_array(colorizer: Colorizer, dtype: type, make) -> None:
    pixels = make(50, 70, dtype=dtype) if make is not factory.color_pixels else make(50, 70)
    before = pixels.copy()
    colored = colorizer.colorize(pixels)
    assert isinstance(colored, np.ndarray)
    assert colored.shape == (50, 70, 3)
    assert colored.dtype == pixels.dtype
    np.testing.assert_array_equal(pixels, before)
    assert np.abs(luminance(colored) - luminance(pixels)).mean() < 0.6
    np.testing.assert_array_equal(colored, colorizer.colorize(pixels))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_a_pillow_image_gives_a_pillow_image(colorizer: Colorizer, mode: str) -> None:
    gray = Image.fromarray(factory.gray_pixels(40, 60))
    if mode == "I;16":
        image = Image.fromarray(factory.gray_pixels(40, 60, dtype=np.uint16))
    else:
        image = gray.convert("LA").convert(mode) if mode == "La" else gray.convert(mode)
    colored = colorizer.colorize(image)
    assert colored.mode == ("RGBA" if mode in ("LA", "La", "RGBA") else "RGB")
    assert colored.size == image.size


def test_a_pillow_image_keeps_its_turn_and_profile_and_drops_a_grey_one(
    colorizer: Colorizer, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(factory.jpeg(exif=factory.exif_bytes(6), icc=factory.gray_icc()))
    with Image.open(path) as image:
        colored = colorizer.colorize(image)
        assert colored.size == image.size
    assert colored.getexif()[0x0112] == 6
    assert "icc_profile" not in colored.info
    path.write_bytes(factory.jpeg(factory.rgb_pixels(), icc=factory.srgb_icc()))
    with Image.open(path) as image:
        assert colorizer.colorize(image).info["icc_profile"] == factory.srgb_icc()


def test_a_path_gives_an_upright_image(colorizer: Colorizer, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(factory.jpeg(factory.gray_pixels(40, 60), exif=factory.exif_bytes(6)))
    for source in (path, str(path)):
        colored = colorizer.colorize(source)
        assert isinstance(colored, Image.Image)
        assert colored.size == (40, 60)
    colored.save(tmp_path / "out.png")
    assert read_photo(tmp_path / "out.png").pixels.shape == (60, 40, 3)
    deep = tmp_path / "deep.png"
    deep.write_bytes(factory.png(factory.gray_pixels(dtype=np.uint16),
                                 factory.alpha_pixels(dtype=np.uint16)))  # fmt: skip
    assert colorizer.colorize(deep).mode == "RGBA"


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_network_sees_every_photo_upright(tmp_path: Path, turn: int) -> None:
    """A network that paints the top of what it sees must paint the viewer's top."""

    def top(gray: torch.Tensor) -> torch.Tensor:
        ab = torch.zeros(len(gray), 2, *gray.shape[2:])
        ab[:, 0, : gray.shape[2] // 2] = 0.4
        return ab

    path = tmp_path / "a.jpg"
    path.write_bytes(factory.jpeg(np.full((48, 64), 128, np.uint8), exif=factory.exif_bytes(turn)))
    colored = np.asarray(Colorizer(fake_model(top)).colorize(path)).astype(int)
    redness = colored[..., 0] - colored[..., 1]
    assert redness[:10].min() > 30
    assert abs(redness[-10:]).max() < 5


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 5), (64, 64)])
def test_any_shape(colorizer: Colorizer, shape: tuple[int, int]) -> None:
    assert colorizer.colorize(np.full(shape, 99, np.uint8)).shape == (*shape, 3)


def test_saturation_and_input_size_do_what_they_say() -> None:
    model = fake_model(lambda gray: torch.full((1, 2, *gray.shape[2:]), 0.1))
    gray = np.full((30, 60), 128, np.uint8)

    def chroma(colorizer: Colorizer) -> int:
        return int(np.ptp(colorizer.colorize(gray)[5, 5].astype(int)))

    assert chroma(Colorizer(model, saturation=0)) == 0
    assert 0 < chroma(Colorizer(model)) < chroma(Colorizer(model, saturation=2))
    network = model.network
    assert isinstance(network, FakeNetwork)
    network.seen.clear()
    Colorizer(model, input_size=100).colorize(gray)
    assert network.seen == [(1, 1, 52, 100)]  # 50 is padded to the stride, not squeezed


def test_temperature_is_the_cards_unless_told_and_confidence_is_a_mean() -> None:
    class Bins(FakeNetwork):
        space = "lab-bins"

    def logits(gray: torch.Tensor) -> torch.Tensor:
        return torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, *gray.shape[2:])

    network = Bins(logits).eval()
    network.register_buffer("bins", torch.tensor([[40.0, 0.0], [-40.0, 0.0]]))
    card = tiny_card(color={"space": "lab-bins", "temperature": 0.5})
    model = ColorModel(network=network, card=card, sha256="0" * 64, name="bins")
    gray = np.full((8, 8), 50, np.float32)

    def a_of(**options: float) -> float:
        (answer,) = Colorizer(model, **options).paint([gray])  # type: ignore[arg-type]
        assert not isinstance(answer, PhotoError)
        assert answer.confidence is not None
        assert 0 <= answer.confidence <= 1
        return float(answer.ab[0, 0, 0])

    assert Colorizer(model).temperature == 0.5
    assert a_of() == a_of(temperature=0.5)
    assert a_of(temperature=0.1) > a_of() > a_of(temperature=1.0) > 0
    assert Colorizer(fake_model(logits)).temperature is None


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"saturation": -1}, UsageError, "--saturation"),
        ({"saturation": float("nan")}, UsageError, "--saturation"),
        ({"input_size": 7}, UsageError, "--input-size"),
        ({"temperature": 0}, UsageError, "--temperature"),
        ({"batch_size": 0}, UsageError, "--batch-size"),
        ({"device": "cuda:99"}, UsageError, "cuda:99"),
        ({"device": "gpu"}, UsageError, "use auto"),
        ({"device": "cpu", "precision": "fp16"}, UsageError, "fp16"),
        ({"precision": "int8"}, UsageError, "int8"),
        ({"model": "no-such-weights"}, WeightsError, "no-such-weights"),
        ({"seed": -1}, UsageError, "--seed must be 0 to 2147483647, got -1"),
        ({"seed": "3"}, TypeError, "seed must be a whole number, got '3'"),
        ({"seed": 1.5}, TypeError, "seed must be a whole number, got 1.5"),
        ({"input_size": 256.0}, TypeError, "input_size must be a whole number, got 256.0"),
        ({"input_size": True}, TypeError, "input_size must be a whole number, got True"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be a whole number, got 2.0"),
        ({"saturation": "1"}, TypeError, "saturation must be a number, got '1'"),
        ({"saturation": None}, TypeError, "saturation must be a number, got None"),
        ({"warmth": True}, TypeError, "warmth must be a number, got True"),
        ({"temperature": "low"}, TypeError, "temperature must be a number, got 'low'"),
        ({"input_size": 10**400}, UsageError, "--input-size must be 16 to 4096, got 10{59}$"),
        ({"device": None}, TypeError, "device must be text, got None"),
        ({"precision": 16}, TypeError, "precision must be text, got 16"),
        ({"offline": "no"}, TypeError, "offline must be True or False, got 'no'"),
        ({"report": 3}, TypeError, "report must be a function, got 3"),
        ({"model": None}, TypeError, "model must be text or a path, got None"),
        ({"model": b"x"}, TypeError, "model must be text or a path, got b'x'"),
    ],
)
def test_wrong_wishes_are_named(options: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Colorizer(**options)


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"shard": "1/2"}, TypeError, "shard must be two whole numbers"),
        ({"shard": (3, 2)}, UsageError, "no part 3 of 2"),
        ({"quality": 90.5}, TypeError, "quality must be a whole number, got 90.5"),
        ({"workers": "4"}, TypeError, "workers must be a whole number, got '4'"),
        ({"overwrite": "no"}, TypeError, "overwrite must be True or False, got 'no'"),
        ({"format": None}, TypeError, "format must be text, got None"),
        ({"hints": 3}, TypeError, "hints must be text or a path, got 3"),
        ({"cluster": 6379}, TypeError, "cluster must be text, got 6379"),
    ],
)
def test_wrong_settings_are_named(values: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Settings(**values)


def test_numbers_of_numpy_are_numbers(colorizer: Colorizer) -> None:
    settings = Settings(
        input_size=np.int64(64), saturation=np.float32(1.5), shard=(np.int8(1), np.int8(2))
    )
    assert (type(settings.input_size), type(settings.saturation)) == (int, float)
    assert settings == Settings(input_size=64, saturation=1.5, shard=(1, 2))
    own = Colorizer(
        colorizer.model, input_size=np.int32(64), saturation=np.float32(1.5), seed=np.int64(3)
    )
    assert json.loads(json.dumps(own.provenance("", 95).settings))["input_size"] == 64
    assert type(own.seed) is int
    gray = factory.gray_pixels(8, 8)
    again = colorizer.colorize(gray, variant=np.int64(2))
    np.testing.assert_array_equal(again, colorizer.colorize(gray, variant=2))


ARRAYS = {  # what is given -> what is said
    "1-D": (np.zeros(9, np.uint8), r"must be \(H, W\) or \(H, W, 3\), got \(9,\)$"),
    "0-D": (np.array(3, np.uint8), r"or \(H, W, 3\), got \(\)$"),
    "4-D": (np.zeros((1, 4, 4, 3), np.uint8), r"got \(1, 4, 4, 3\)$"),
    "grey and a channel": (np.zeros((4, 4, 1), np.uint8), r"pass array\[..., 0\]"),
    "alpha": (np.zeros((4, 4, 4), np.uint8), r"pass array\[..., :3\]"),
    "no rows": (np.zeros((0, 4), np.uint8), r"must not be empty, got \(0, 4\)"),
    "no columns": (np.zeros((4, 0, 3), np.uint16), r"must not be empty, got \(4, 0, 3\)"),
    "float": (np.zeros((4, 4), np.float32), r"got float32, .* np.uint16\(array \* 65535 \+ 0.5\)"),
    "bool": (np.zeros((4, 4), bool), r"got bool; pass array \* np.uint8\(255\)"),
    "int64": (np.zeros((4, 4), np.int64), "must be uint8 or uint16, got int64"),
    "objects": (np.zeros((4, 4), object), "must be uint8 or uint16, got object"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_no_photographs_are_told_what_would_be(
    colorizer: Colorizer, name: str
) -> None:
    array, words = ARRAYS[name]
    with pytest.raises(ValueError, match=words):
        colorizer.colorize(array)


@pytest.mark.parametrize("make", [factory.gray_pixels, factory.rgb_pixels])
def test_the_order_of_an_arrays_bytes_does_not_matter(colorizer: Colorizer, make) -> None:
    pixels = make(20, 30, dtype=np.uint16)
    native = colorizer.colorize(pixels)
    for order in "<>":
        given = pixels.astype(pixels.dtype.newbyteorder(order))
        before = given.copy()
        colored = colorizer.colorize(given)
        assert (colored.dtype.kind, colored.dtype.isnative) == ("u", True)
        np.testing.assert_array_equal(colored, native)
        np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize(
    ("source", "kind"),
    [([[0, 1], [2, 3]], "list"), (None, "NoneType"), (3, "int"), (b"x", "bytes"),
     (torch.zeros(4, 4), "Tensor"), (np.uint8(3), "uint8")],
)  # fmt: skip
def test_what_is_no_photograph_is_named(colorizer: Colorizer, source: object, kind: str) -> None:
    words = f"is an array, a Pillow image or a path, got a {kind}$"
    with pytest.raises(TypeError, match=words):
        colorizer.colorize(source)


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ({"variant": 0}, UsageError, "variant must be 1 to 23, got 0"),
        ({"variant": "2"}, TypeError, "variant must be a whole number, got '2'"),
        ({"variant": 2, "seed": None}, TypeError, "seed must be a whole number, got None"),
        ({"variant": 2, "seed": "1"}, TypeError, "seed must be a whole number, got '1'"),
        ({"seed": -1}, UsageError, "seed must be 0 to 2147483647, got -1"),
        ({"hints": None}, UsageError, '"hints" is a list, such as'),
        ({"hints": {"point": [0, 0], "color": "navy"}}, UsageError, '"hints" is a list, such as'),
        ({"hints": "navy"}, UsageError, '"hints" is a list, such as'),
    ],
)
def test_wrong_wishes_for_one_picture_are_named(
    colorizer: Colorizer, wish: dict, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        colorizer.colorize(factory.gray_pixels(8, 8), **wish)


def test_wrong_pictures_are_refused(colorizer: Colorizer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mode"):
        colorizer.colorize(Image.new("F", (4, 4)))
    with pytest.raises(ValueError, match="empty"):
        colorizer.colorize(Image.new("L", (0, 4)))
    with pytest.raises(PhotoError, match="no such file"):
        colorizer.colorize(tmp_path / "missing.jpg")


def test_each_page_of_a_tiff_is_seen_upright_and_stays_turned(colorizer: Colorizer) -> None:
    page = factory.gray_pixels(64, 96, seed=5)
    stored = np.ascontiguousarray(unorient(page, 6))
    photo = Photo((Frame(page, orientation=1), Frame(stored, orientation=6)), "tiff", orientation=1)
    hint = Hint((48, 16, 48, 16), (200, 30, 30), page=2, in_pixels=True)
    prepared = colorizer.prepare(photo, hints=[hint])
    assert prepared.hints == (hint.in_fractions((64, 96)),)
    maps = [one for one in prepared.luminances if one is not None]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-3)
    prepared, answers = replace(prepared, hints=()), colorizer.paint(maps)
    first, second = colorizer.finish(prepared, [a for a in answers if isinstance(a, Answer)])
    assert second.pixels.shape[:2] == stored.shape
    off = np.abs(orient(second.pixels, 6).astype(int) - first.pixels)
    assert off.max() <= 1
