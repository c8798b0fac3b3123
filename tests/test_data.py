"""Photographs for training: found, checked, split, cut, aged, numbered."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from train_fixtures import write_photos

from recolor_cli.data.aging import LUMINANCE, aged_gray, gray_of
from recolor_cli.data.batches import Batch, Samples
from recolor_cli.data.colorfulness import colorfulness, cut_dull, measure
from recolor_cli.data.crops import Crop, center_crop, cut, draw_crop
from recolor_cli.data.defects import draw_sensitivity
from recolor_cli.data.photos import Photo, load_photos
from recolor_cli.data.sources import Item, find_items
from recolor_cli.data.split import read_split, split_by_hash, split_given
from recolor_cli.data.tensors import LabCrops
from recolor_cli.errors import DataError
from recolor_cli.recipes import BASE, Recipe

AGES = [field.name for field in dataclasses.fields(Recipe) if field.name.startswith("age_")]
YOUNG = dataclasses.replace(BASE, crop_px=32, val_px=0, **dict.fromkeys(AGES, 0.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 12)


@pytest.fixture(scope="module")
def photos(folder: Path) -> list[Photo]:
    return load_photos(find_items([folder]), keep=True)[0]


# --- sources ---


def test_folders_tars_and_files_are_one_list(folder: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(folder, tree / "cats")
    shutil.copytree(folder, tree / ".hidden")
    (tree / "notes.txt").write_text("no image")
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for path in sorted(folder.iterdir()):
            shard.add(path, f"dogs/{path.name}")
            shard.add(tree / "notes.txt", f"dogs/._{path.name}")  # as a Mac does
    one = folder / "photo000.png"
    items = find_items([tree, tmp_path / "shard.tar", one])
    assert [item.name for item in items[:2]] == ["cats/photo000.png", "cats/photo001.png"]
    assert len(items) == 12 + 12 + 1
    assert items[12].name == "dogs/photo000.png"
    assert items[12].read() == items[24].read() == one.read_bytes()


@pytest.mark.parametrize(
    ("name", "text"),
    [("absent", "does not exist"), ("empty", "no images in"), ("notes.txt", "no folder, tar")],
)
def test_sources_that_are_none(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=text):
        find_items([tmp_path / name])


def test_a_damaged_tar_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"not a tar" * 100)
    with pytest.raises(DataError, match=r"bad\.tar"):
        find_items([tmp_path / "bad.tar"])


# --- photos ---


def test_what_cannot_be_trained_on_is_listed_with_its_reason(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "all")
    good = (folder / "photo000.png").read_bytes()
    (tmp_path / "all/broken.jpg").write_bytes(b"\xff\xd8 and nothing")
    (tmp_path / "all/empty.jpg").write_bytes(b"")
    (tmp_path / "all/again.png").write_bytes(good)
    cv2.imwrite(str(tmp_path / "all/small.png"), np.full((8, 90, 3), (0, 0, 255), np.uint8))
    cv2.imwrite(str(tmp_path / "all/grey.png"), np.full((90, 90, 3), 120, np.uint8))
    items = find_items([tmp_path / "all"])
    photos, left_out = load_photos(items, keep=False, min_side=16, min_chroma=2)
    reasons = {one.item.name: one.reason for one in left_out}
    assert reasons == {
        "broken.jpg": "unreadable",
        "empty.jpg": "unreadable",
        "photo000.png": "duplicate",  # of again.png, which comes first
        "small.png": "tiny",
        "grey.png": "grey",
    }
    assert len(photos) == 12


def test_kept_and_read_again_are_the_same(folder: Path) -> None:
    items = find_items([folder])
    kept, _ = load_photos(items, keep=True, max_side=40)
    read, _ = load_photos(items, keep=False, max_side=40)
    for one, other in zip(kept, read, strict=True):
        assert one.load().shape == (40, 40, 3)
        assert np.array_equal(one.load(), other.load())


# --- split ---


def fake_photos(count: int) -> list[Photo]:
    rng = np.random.default_rng(0)
    digests = [rng.bytes(8).hex() for _ in range(count)]
    return [Photo(Item(Path("x"), f"{d}.jpg", 0, 0), d, None) for d in digests]


def test_shares_are_kept_and_adding_files_moves_none() -> None:
    many = fake_photos(4000)
    before = split_by_hash(many[:3000], val_share=0.1, test_share=0.1)
    after = split_by_hash(many, val_share=0.1, test_share=0.1)
    assert all(after.sets[digest] == name for digest, name in before.sets.items())
    counts = after.counts()
    assert abs(counts["train"] - 3200) < 100
    assert abs(counts["val"] - 400) < 80
    assert abs(counts["test"] - 400) < 80


def test_a_split_survives_its_file(tmp_path: Path) -> None:
    split = split_by_hash(fake_photos(50), val_share=0.2, test_share=0.2)
    (tmp_path / "split.json").write_text(split.to_json())
    assert read_split(tmp_path / "split.json") == split
    assert read_split(str(tmp_path / "split.json")) == split
    assert read_split(None) is None
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DataError, match=r"other\.json' is not a split"):
        read_split(tmp_path / "other.json")
    with pytest.raises(DataError, match="cannot read the split"):
        read_split(tmp_path / "absent.json")


def test_a_validation_set_of_its_own_wins_over_training() -> None:
    photos = fake_photos(6)
    split = split_given(photos[:4], photos[3:])
    assert [split.sets[p.digest] for p in photos] == ["train"] * 3 + ["val"] * 3


def test_dull_photographs_leave_training_in_equal_parts(photos: list[Photo]) -> None:
    split = split_by_hash(photos, val_share=0.0, test_share=0.0)
    measured = measure(photos)
    values = sorted(m.report for m in measured.values())
    after = cut_dull(split, measured, values[6])
    assert after.counts() == {"train": 6, "val": 3, "test": 3}
    kept = [measured[d].report for d, s in after.sets.items() if s == "train"]
    assert min(kept) >= values[6]
    assert cut_dull(split, measured, 0.0) == split


def test_colourfulness_is_that_of_the_formulas() -> None:
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (20, 30, 3), np.uint8)
    red, green, blue = (pixels.astype(float) / 255).transpose(2, 0, 1)
    rg, yb = np.abs(red - green), np.abs((red + green) / 2 - blue)
    mu, sigma = np.hypot(rg.mean(), yb.mean()), np.hypot(rg.std(), yb.std())
    measured = colorfulness(pixels)
    assert measured.report == pytest.approx(0.3 * mu + sigma, rel=1e-5)
    rg, yb = 255 * (red - green), 255 * ((red + green) / 2 - blue)
    hasler = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert measured.hasler == pytest.approx(hasler, rel=1e-5)
    assert colorfulness(np.full((4, 4, 3), 77, np.uint8)).hasler == 0


# --- crops ---


def test_a_crop_is_the_part_that_it_names() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    part = pixels[5:25, 30:50]
    assert np.array_equal(cut(pixels, Crop(5, 30, 20, 20), 20), part)
    assert np.array_equal(cut(pixels, Crop(5, 30, 20, 20, flip=True), 20), part[:, ::-1])
    assert np.array_equal(cut(pixels, Crop(5, 30, 20, 20, flip_vertical=True), 20), part[::-1])
    turned = cut(pixels, Crop(5, 30, 20, 20, degrees=180), 20)
    assert np.abs(turned.astype(int) - part[::-1, ::-1]).max() <= 1


def test_random_crops_stay_inside_and_reach_everywhere() -> None:
    recipe = dataclasses.replace(YOUNG, scale_min=1.0, scale_max=2.0)
    rng = np.random.default_rng(0)
    crops = [draw_crop(rng, (50, 90), recipe) for _ in range(400)]
    assert all(c.top >= 0 and c.top + c.height <= 50 for c in crops)
    assert all(c.left >= 0 and c.left + c.width <= 90 for c in crops)
    assert min(c.height for c in crops) < 26
    assert max(c.height for c in crops) > 48
    assert 140 < sum(c.flip for c in crops) < 260
    assert min(c.left for c in crops) < 5
    assert max(c.left + c.width for c in crops) > 85


def test_squash_takes_the_whole_picture_and_validation_the_middle() -> None:
    pixels = np.zeros((50, 90, 3), np.uint8)
    squash = dataclasses.replace(YOUNG, resize="squash")
    crop = draw_crop(np.random.default_rng(0), (50, 90), squash)
    assert (crop.top, crop.left, crop.height, crop.width) == (0, 0, 50, 90)
    middle = center_crop(pixels, YOUNG)
    assert (middle.top, middle.left, middle.height, middle.width) == (0, 20, 50, 50)


# --- ageing ---


def test_the_grey_of_plain_film_is_the_lightness(photos: list[Photo]) -> None:
    rgb = photos[0].load()
    gray = gray_of(rgb)
    lightness = rgb2lab(rgb)[..., 0]
    expected = rgb2lab(np.repeat(gray[..., None], 3, 2))[..., 0]
    assert np.abs(lightness - expected).max() < 0.5


def test_film_that_is_blind_to_red_sees_red_as_black() -> None:
    red = np.full((4, 4, 3), (200, 0, 0), np.uint8)
    assert gray_of(red, (0.0, 0.7, 0.3)).max() == 0
    assert gray_of(red, LUMINANCE).min() > 0.3
    white = np.full((4, 4, 3), 255, np.uint8)
    assert gray_of(white, (0.0, 0.7, 0.3)).min() > 0.99
    rng = np.random.default_rng(0)
    drawn = np.array([draw_sensitivity(rng) for _ in range(300)])
    assert np.allclose(drawn.sum(1), 1)
    assert (drawn >= 0).all()
    assert (drawn[:, 0] < 0.08).mean() > 0.4  # orthochromatic and ordinary film are common


@pytest.mark.parametrize("name", AGES)
def test_each_defect_changes_the_grey_and_not_the_colours(name: str, photos: list[Photo]) -> None:
    rgb = cut(photos[1].load(), center_crop(photos[1].load(), YOUNG), 64)
    before = rgb.copy()
    plain = aged_gray(rgb, np.random.default_rng(3), YOUNG)
    recipe = dataclasses.replace(YOUNG, **{name: 1.0})
    aged = aged_gray(rgb, np.random.default_rng(3), recipe)
    assert aged.dtype == np.uint8
    assert aged.shape == (64, 64)
    assert (aged != plain).mean() > 0.005
    assert np.array_equal(rgb, before)
    assert np.array_equal(aged, aged_gray(rgb, np.random.default_rng(3), recipe))
    likeness = np.corrcoef(aged.ravel(), plain.ravel())[0, 1]
    # Still the same scene; but warm and bright is dark to film that sees blue alone.
    assert abs(likeness) > 0.4 if name == "age_spectral" else likeness > 0.4


# --- samples and batches ---


def test_samples_depend_on_their_number_alone(photos: list[Photo]) -> None:
    recipe = dataclasses.replace(YOUNG, age_grain=1.0, age_spectral=0.5)
    samples = Samples(photos, recipe, seed=7)
    straight = samples.batches(0, 4, 4, workers=0)
    for first, workers in ((0, 1), (4, 2)):
        other = Samples(photos, recipe, seed=7).batches(first, 4, 4, workers=workers)
        for _ in range(2):
            expected, found = next(straight), next(other)
            assert np.array_equal(expected.rgb, found.rgb)
            assert expected.gray is not None
            assert found.gray is not None
            assert np.array_equal(expected.gray, found.gray)
        other.close()
        straight = samples.batches(4, 4, 4, workers=0)
    other_seed = Samples(photos, recipe, seed=8).batch(0, 4)
    assert not np.array_equal(other_seed.rgb, samples.batch(0, 4).rgb)


def test_two_processes_share_a_batch(photos: list[Photo]) -> None:
    samples = Samples(photos, YOUNG, seed=0)
    whole = samples.batch(8, 8).rgb
    halves = [next(samples.batches(8 + 4 * rank, 4, 8, workers=0)).rgb for rank in (0, 1)]
    assert np.array_equal(whole, np.concatenate(halves))


def test_an_epoch_has_every_photograph_once(photos: list[Photo]) -> None:
    samples = Samples(photos, YOUNG, seed=0)
    assert sorted(samples.order(0)) == list(range(12))
    assert list(samples.order(0)) != list(samples.order(1))


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_processes_share_an_epoch_so_that_each_photograph_comes_once(
    photos: list[Photo], world: int
) -> None:
    local_batch = len(photos) // world // (2 if world < 4 else 1)
    steps = len(photos) // (local_batch * world)

    class Numbers(Samples):  # which photograph each sample is, instead of its pixels
        def sample(self, number: int) -> tuple[Any, None]:
            return np.full((1, 1, 3), self.photo_of(number), np.uint8), None

    for epoch in range(3):
        seen = []
        for rank in range(world):
            first = epoch * len(photos) + rank * local_batch  # as train.py begins
            stream = Numbers(photos, YOUNG, seed=0).batches(
                first, local_batch, local_batch * world, workers=0
            )
            for _ in range(steps):
                seen += [int(crop[0, 0, 0]) for crop in next(stream).rgb]
        assert sorted(seen) == list(range(len(photos)))


def test_name_weights_change_how_often_photographs_come(photos: list[Photo]) -> None:
    recipe = dataclasses.replace(YOUNG, name_weights="photo00=3,photo010=0")
    samples = Samples(photos, recipe, seed=0)
    drawn = np.concatenate([samples.order(epoch) for epoch in range(62)])
    names = [photos[index].item.name for index in drawn]
    assert names.count("photo010.png") == 0
    assert names.count("photo003.png") / names.count("photo011.png") == pytest.approx(3, rel=0.3)


# --- on the device ---


def test_crops_become_lab_as_scikit_image_has_it(photos: list[Photo]) -> None:
    rgb = np.stack([photo.load() for photo in photos[:2]])
    crops = LabCrops(Batch(rgb, None), torch.device("cpu"))
    expected = torch.from_numpy(rgb2lab(rgb)).permute(0, 3, 1, 2).float()
    assert (crops.lab - expected).abs().max() < 0.05
    assert torch.equal(crops.luminance, crops.lab[:, :1])
    small = crops.small_ab((18, 18))
    assert small.shape == (2, 2, 18, 18)
    mean = torch.nn.functional.adaptive_avg_pool2d(expected[:, 1:], (18, 18))
    assert (small - mean).abs().mean() < 0.5  # light is averaged, not ab
    assert torch.equal(crops.small_ab((72, 72)), crops.lab[:, 1:])


def test_an_aged_grey_is_the_input_and_the_colours_stay_true() -> None:
    rgb = np.full((1, 8, 8, 3), (180, 90, 60), np.uint8)
    gray = np.full((1, 8, 8), 128, np.uint8)
    crops = LabCrops(Batch(rgb, gray), torch.device("cpu"))
    expected = rgb2lab(np.full((1, 1, 3), 128, np.uint8))[0, 0, 0]
    assert float(crops.luminance.mean()) == pytest.approx(expected, abs=0.01)
    assert crops.small_luminance((2, 2)).shape == (1, 1, 2, 2)
    assert float(crops.small_ab((4, 4)).abs().mean()) > 20


def test_the_middle_of_crops_is_the_middle_of_every_view() -> None:
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (2, 12, 12, 3), np.uint8)
    gray = rng.integers(0, 256, (2, 12, 12), np.uint8)
    whole = LabCrops(Batch(rgb, gray), torch.device("cpu"))
    assert whole.lab.shape[-1] == 12  # kept from before must not be handed on
    inner = whole.middle(3)
    torch.testing.assert_close(inner.lab, whole.lab[..., 3:9, 3:9])
    assert torch.equal(inner.luminance, whole.luminance[..., 3:9, 3:9])
    assert torch.equal(inner.small_ab((6, 6)), inner.lab[:, 1:])


# --- the commands ---


def test_data_split_feeds_train(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from recolor_cli.cli.app import main

    out = tmp_path / "split.json"
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "data",
                "split",
                str(folder),
                "--min-colorfulness",
                "0.2",
                "--val-share",
                "0.3",
                "-o",
                f"{out}",
            ]
        )
    assert ended.value.code == 0
    counts = json.loads(out.read_text())["counts"]
    assert sum(counts.values()) == 12
    capfd.readouterr()
    command = ["train", "--data", str(folder), "--split", str(out), "--recipe", "tiny"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--dry-run", "--set", "batch=4"])
    assert ended.value.code == 0
    text = capfd.readouterr().out
    assert f"split: {counts['train']} train, {counts['val']} val, {counts['test']} test" in text
    assert f"{40 * counts['train']} images, {10 * counts['train']} steps of 4, 40.0 epochs" in text
    assert "batch = 4" in text
    assert "1,942,306 generator" in text
    assert not (tmp_path / "runs").exists()


def test_data_stats_prints_and_plots(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from recolor_cli.cli.app import main

    plot = tmp_path / "plot.png"
    with pytest.raises(SystemExit) as ended:
        main(["data", "stats", str(folder), "--out", str(plot), "--json"])
    assert ended.value.code == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    by_name = {line["measure"]: line for line in lines if "measure" in line}
    assert by_name["report"]["p0"] <= by_name["report"]["mean"] <= by_name["report"]["p100"]
    assert by_name["hasler"]["mean"] > 10
    assert lines[-1] == {"event": "summary", "photos": 12, "plot": str(plot)}
    assert cv2.imread(str(plot)).std() > 1
