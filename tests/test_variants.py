"""`--variants N`: several plausible colourings, by seed, from whatever a network has to offer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import photo_factory as factory
import pytest
import torch
from colorize_fixtures import FakeNetwork, fake_model, save_tiny_weights, tiny_card, tree
from photo_factory import put
from torch import nn

from recolor_cli import Colorizer
from recolor_cli.checkpoints import ColorModel
from recolor_cli.cli.app import main
from recolor_cli.color.bins import ab_bins
from recolor_cli.colorize.variants import draw_of, way_of
from recolor_cli.errors import UsageError
from recolor_cli.images.read import read_photo, read_provenance
from recolor_cli.models.noise import NoisyDropout


def bins_model() -> ColorModel:
    """Predicts any colour on the right, and one for certain on the left."""

    class Bins(FakeNetwork):
        space = "lab-bins"

    bins = ab_bins()
    sure = (-((bins - torch.tensor([30.0, 30.0])) ** 2).sum(1) / 4).view(1, -1, 1, 1)

    def logits(gray: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(1, len(bins), *gray.shape[2:]) + sure / 3000
        out[..., : gray.shape[3] // 2] = sure
        return out

    network = Bins(logits).eval()
    network.register_buffer("bins", bins)
    card = tiny_card(color={"space": "lab-bins", "temperature": 0.4})
    return ColorModel(network=network, card=card, sha256="0" * 64, name="bins")


def dropout_model() -> ColorModel:
    dropout = NoisyDropout(0.5).eval()

    def answer(gray: torch.Tensor) -> torch.Tensor:
        return (
            dropout(torch.full((1, 2, 4, 4), 0.2))
            .repeat_interleave(gray.shape[2] // 4, 2)
            .repeat_interleave(gray.shape[3] // 4, 3)
        )

    model = fake_model(answer)
    assert isinstance(model.network, nn.Module)
    model.network.dropout = dropout
    return model


def sizes_model() -> ColorModel:
    def answer(gray: torch.Tensor) -> torch.Tensor:
        return torch.full((1, 2, *gray.shape[2:]), gray.shape[3] / 1000)

    return fake_model(answer)


GRAY = np.full((40, 64), 128, np.uint8)
MODELS = {"samples": bins_model, "dropout": dropout_model, "sizes": sizes_model}


@pytest.mark.parametrize("way", MODELS)
def test_variants_differ_repeat_and_begin_with_the_plain_answer(way: str) -> None:
    model = MODELS[way]()
    assert way_of(model) == way
    colorizer = Colorizer(model)
    state = torch.get_rng_state()
    pictures = [colorizer.colorize(GRAY, variant=n) for n in range(1, 6)]
    assert torch.equal(state, torch.get_rng_state())  # nobody else's numbers change
    np.testing.assert_array_equal(pictures[0], colorizer.colorize(GRAY))
    np.testing.assert_array_equal(pictures[3], colorizer.colorize(GRAY, variant=4))
    assert len({p.tobytes() for p in pictures}) == 5
    other = colorizer.colorize(GRAY, variant=2, seed=7)
    if way == "sizes":  # nothing random about them
        np.testing.assert_array_equal(other, pictures[1])
    else:
        assert other.tobytes() not in {p.tobytes() for p in pictures}
    np.testing.assert_array_equal(pictures[0], colorizer.colorize(GRAY))


def test_what_the_network_is_sure_of_stays_in_every_variant() -> None:
    colorizer = Colorizer(bins_model())
    pictures = [colorizer.colorize(GRAY, variant=n).astype(int) for n in range(1, 7)]
    spread = np.ptp(np.stack(pictures), axis=0).max(axis=2)
    assert spread[:, :28].max() <= 12
    assert spread[:, 40:].mean() > 40


def test_no_seed_shares_a_variant_with_another() -> None:
    model = bins_model()
    seeds = [draw_of(model, 64, n, seed).seed for seed in range(5) for n in range(2, 24)]
    assert len(set(seeds)) == len(seeds)


def test_sizes_end_somewhere_and_say_so() -> None:
    model = sizes_model()
    sizes = [draw_of(model, 256, n).input_size for n in range(1, 10)]
    assert len(set(sizes)) == 9
    with pytest.raises(UsageError, match=r"at most 9 variants.*--variants 9"):
        draw_of(model, 256, 10)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def run(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[dict], str]]:
    def call(*argv: object, out: str = "out") -> tuple[int, list[dict], str]:
        arguments = ["colorize", str(tmp_path / "in"), "-o", str(tmp_path / out), "--json"]
        with pytest.raises(SystemExit) as caught:
            main([*arguments, "--model", str(weights), *map(str, argv)])
        captured = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, [json.loads(x) for x in captured.out.splitlines()], captured.err

    return call


def test_files_and_a_sheet_for_each_photo(tmp_path: Path, run: Callable) -> None:
    put(tmp_path / "in", "a.png", factory.png(factory.gray_pixels(40, 60)))
    put(tmp_path / "in", "deep/b.jpg", factory.jpeg(exif=factory.exif_bytes(6)))
    code, lines, err = run("--variants", 3, "--seed", 5)
    assert code == 0
    assert lines[-1]["done"] == 6
    files = tree(tmp_path / "out")
    assert set(files) == {
        *(f"a.variant-{n}.png" for n in (1, 2, 3)),
        *(f"deep/b.variant-{n}.jpg" for n in (1, 2, 3)),
        "a.variants.jpg",
        "deep/b.variants.jpg",
    }
    assert len({files[f"a.variant-{n}.png"] for n in (1, 2, 3)}) == 3
    assert "a.variants.jpg" in err
    told = read_provenance(tmp_path / "out/a.variant-3.png")
    assert told is not None
    assert (told.settings["variant"], told.settings["seed"]) == (3, 5)
    sheet = read_provenance(tmp_path / "out/a.variants.jpg")
    assert sheet is not None
    assert sheet.settings["sheet"] == "variants"
    width, height = read_photo(tmp_path / "out/a.variants.jpg").size
    assert width >= 2 * 60
    assert height >= 2 * 40
    # Variant 1 is what there is without variants.
    run(out="plain")
    plain = read_photo(tmp_path / "plain/a.png").pixels
    np.testing.assert_array_equal(read_photo(tmp_path / "out/a.variant-1.png").pixels, plain)


def test_a_second_run_makes_only_what_is_missing(tmp_path: Path, run: Callable) -> None:
    put(tmp_path / "in", "a.png", factory.png(factory.gray_pixels(40, 60)))
    run("--variants", 3)
    before = tree(tmp_path / "out")
    (tmp_path / "out/a.variant-2.png").unlink()
    _, lines, _ = run("--variants", 3)
    assert (lines[-1]["done"], lines[-1]["skipped"]) == (1, 2)
    assert tree(tmp_path / "out") == before
    _, lines, _ = run("--variants", 4)
    assert (lines[-1]["done"], lines[-1]["skipped"]) == (1, 3)
    _, lines, _ = run("--variants", 4, "--dry-run")
    assert (lines[-1]["planned"], lines[-1]["skipped"]) == (0, 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--variants", "1"], "type 2 to 23"),
        (["--variants", "24"], "--variants must be 2 to 23"),
        (["--variants", "-3"], "--variants must be 2 to 23"),
        (["--seed", "4"], "--seed is for variants"),
        (["--variants", "3", "--seed", "-1"], "--seed must be 0"),
    ],
)
def test_wrong_wishes_are_told(
    tmp_path: Path, run: Callable, options: list[str], words: str
) -> None:
    put(tmp_path / "in", "a.png", factory.png(factory.gray_pixels(40, 60)))
    code, _, err = run(*options)
    assert code == 2
    assert words in err
    assert not (tmp_path / "out").exists()


def test_a_file_of_somebody_else_is_not_replaced_by_a_sheet(tmp_path: Path, run: Callable) -> None:
    put(tmp_path / "in", "a.png", factory.png(factory.gray_pixels(40, 60)))
    theirs = put(tmp_path / "out", "a.variants.jpg", factory.jpeg(factory.gray_pixels(40, 60)))
    data = theirs.read_bytes()
    code, _, err = run("--variants", 2)
    assert code == 4
    assert "is no sheet of ours" in err
    assert theirs.read_bytes() == data
