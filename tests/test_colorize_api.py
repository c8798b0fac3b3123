"""`Colorizer`, the five lines of Python."""

from __future__ import annotations

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


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_a_pillow_image_gives_a_pillow_image(colorizer: Colorizer, mode: str) -> None:
    gray = Image.fromarray(factory.gray_pixels(40, 60))
    if mode == "I;16":
        image = Image.fromarray(factory.gray_pixels(40, 60, dtype=np.uint16))
    else:
        image = gray.convert(mode)
    colored = colorizer.colorize(image)
    assert colored.mode == ("RGBA" if mode in ("LA", "RGBA") else "RGB")
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
    ],
)
def test_wrong_wishes_are_named(options: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Colorizer(**options)


def test_wrong_pictures_are_refused(colorizer: Colorizer, tmp_path: Path) -> None:
    for pixels in (np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(ValueError, match=r"."):
            colorizer.colorize(pixels)
    with pytest.raises(ValueError, match="mode"):
        colorizer.colorize(Image.new("F", (4, 4)))
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
