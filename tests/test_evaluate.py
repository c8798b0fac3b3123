"""What is evaluated, at which geometry, and that nothing but the pictures decides the figures."""

from __future__ import annotations

import gc
import json
import os
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate_fixtures import folder_of, measure, picture, write

from recolor_cli.color.lab import luminance
from recolor_cli.data.photos import load_photos
from recolor_cli.data.sources import find_items
from recolor_cli.data.split import split_by_hash
from recolor_cli.errors import DataError, UsageError
from recolor_cli.evaluate import evaluation
from recolor_cli.evaluate.colouring import ByFiles, LeftGrey, Ready
from recolor_cli.evaluate.evaluation import choose_metrics, pictures_of
from recolor_cli.evaluate.protocols import PROTOCOLS, get_protocol
from recolor_cli.evaluate.sources import matched, newest_run, truths
from recolor_cli.metrics.networks import Features


def small_network() -> Features:
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 6, 5, stride=3)

    def extract(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        pooled = convolution(batch / 255).mean((2, 3))
        return {"features": pooled, "logits": pooled}

    return Features(extract)


def values(report: object) -> dict[str, float]:
    return {name: entry["value"] for name, entry in report.metrics.items()}


def test_the_truth_as_its_own_prediction_is_perfect(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "true", 3)
    report = measure(matched([data], data), ByFiles("true"))
    found = values(report)
    assert (found["psnr"], found["pixel-accuracy@2"], found["l1-ab"]) == (100, 1, 0)
    assert report.metrics["colorfulness"]["truth"] == found["colorfulness"] > 0


def test_leaving_pictures_grey_has_no_colour_and_keeps_the_luminance(tmp_path: Path) -> None:
    data = folder_of(tmp_path, 3)
    report = measure(data)
    assert values(report)["colorfulness"] == 0
    assert values(report)["delta-colorfulness"] == report.metrics["colorfulness"]["truth"]
    for grey, true in pictures_of(truths([data]), LeftGrey(), PROTOCOLS["native"]):
        assert np.abs(luminance(grey) - luminance(true)).max() < 0.5  # rounding to 8 bits


def test_batches_and_threads_change_nothing(tmp_path: Path) -> None:
    data = folder_of(tmp_path, 13)
    names = ["psnr", "l1-ab", "colorfulness", "fid", "kid"]
    runs = [
        values(measure(
            data, names=names, networks={"inception": small_network()},
            batch_size=size, workers=workers,
        ))
        for size, workers in ((1, 1), (4, 3), (13, 2))
    ]  # fmt: skip
    for run in runs[1:]:
        assert run == pytest.approx(runs[0], abs=1e-6)


def test_prediction_files_may_have_another_suffix_and_order(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "true", 4)
    pred = folder_of(tmp_path / "pred", 4, suffix=".bmp")
    assert values(measure(matched([data], pred), ByFiles("pred")))["psnr"] == 100


def test_accents_may_be_written_in_two_ways(tmp_path: Path) -> None:
    write(tmp_path / "true" / "\u00e9.png", picture(1))
    write(tmp_path / "pred" / "e\u0301.png", picture(1))
    (pair,) = matched([tmp_path / "true"], tmp_path / "pred")
    assert (pair.name, pair.predicted.name) == ("\u00e9.png", "e\u0301.png")


def test_missing_and_extra_predictions_are_listed(tmp_path: Path) -> None:
    data, pred = folder_of(tmp_path / "true", 4), folder_of(tmp_path / "pred", 4)
    (pred / "set1" / "003.png").unlink()
    write(pred / "set0" / "other.png", picture(50))
    with pytest.raises(DataError) as caught:
        matched([data], pred)
    assert "1 without a prediction: 'set1/003.png'" in str(caught.value)
    assert "1 without a truth: 'set0/other.png'" in str(caught.value)


def test_every_corrupt_prediction_is_listed_and_nothing_is_reported(tmp_path: Path) -> None:
    data, pred = folder_of(tmp_path / "true", 6), folder_of(tmp_path / "pred", 6)
    whole = (pred / "set0" / "000.png").read_bytes()
    (pred / "set0" / "000.png").write_bytes(whole[: len(whole) // 2])
    (pred / "set1" / "005.png").write_bytes(b"not a picture")
    with pytest.raises(DataError) as caught:
        measure(matched([data], pred), ByFiles("pred"), batch_size=2)
    assert "2 pictures cannot be evaluated" in str(caught.value)
    assert "'set0/000.png'" in str(caught.value)
    assert "'set1/005.png'" in str(caught.value)


def test_swapped_predictions_are_found(tmp_path: Path) -> None:
    data, pred = folder_of(tmp_path / "true", 6), folder_of(tmp_path / "pred", 6)
    one, other = pred / "set0" / "000.png", pred / "set0" / "002.png"
    os.rename(one, tmp_path / "between.png")
    os.rename(other, one)
    os.rename(tmp_path / "between.png", other)
    with pytest.raises(DataError) as caught:
        measure(matched([data], pred), ByFiles("pred"))
    assert "'set0/000.png' shows 'set0/002.png'" in str(caught.value)
    assert "'set0/002.png' shows 'set0/000.png'" in str(caught.value)


@pytest.mark.parametrize(
    ("protocol", "size", "accepted"),
    [
        ("native", (60, 80), True),
        ("native", (30, 40), False),
        ("native256-crop", (30, 40), True),  # the same aspect
        ("native256-crop", (60, 60), False),
        ("native256-stretch", (256, 256), True),  # already in the protocol's square
        ("native256-stretch", (80, 60), False),
    ],
)
def test_predictions_of_another_shape(
    tmp_path: Path, protocol: str, size: tuple[int, int], accepted: bool
) -> None:
    write(tmp_path / "true" / "a.png", picture(0))
    write(tmp_path / "pred" / "a.png", picture(0, *size))
    pairs = matched([tmp_path / "true"], tmp_path / "pred")
    if accepted:
        assert measure(pairs, ByFiles("pred"), ["psnr"], protocol=protocol).n == 1
        return
    with pytest.raises(DataError, match=f"'a.png' is {size[1]} x {size[0]} and its truth 80 x 60"):
        measure(pairs, ByFiles("pred"), ["psnr"], protocol=protocol)


def test_two_truths_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture(0))
    write(tmp_path / "a.bmp", picture(1))
    with pytest.raises(DataError, match="two pictures of --data are called 'a'"):
        truths([tmp_path])


@pytest.mark.parametrize(
    ("name", "corner"),
    [("native256-crop", 1 / 8), ("imagenet-val5k-crop256", 1 / 8), ("native256-stretch", 0)],
)
def test_geometry(name: str, corner: float) -> None:
    # A ramp from left to right: its first column tells what was cut off.
    ramp = np.repeat(np.linspace(0, 255, 800).astype(np.uint8)[None, :, None], 600, axis=0)
    framed = PROTOCOLS[name].frame(np.repeat(ramp, 3, axis=2))
    assert framed.shape == (256, 256, 3)
    assert framed[0, 0, 0] == pytest.approx(corner * 255, abs=2)
    assert framed[0, -1, 0] == pytest.approx((1 - corner) * 255, abs=2)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_brings_any_picture_to_its_size(name: str) -> None:
    protocol = PROTOCOLS[name]
    for height, width in ((40, 300), (700, 500), (256, 256)):
        framed = protocol.frame(picture(0, height, width))
        expected = (protocol.size_px,) * 2 if protocol.size_px else (height, width)
        assert framed.shape[:2] == expected


@pytest.mark.parametrize(
    ("protocol", "names", "reason"),
    [
        ("imagenet-val5k-crop256", ["ILSVRC2012_val_00000001.JPEG"], "has 5000 pictures"),
        ("imagenet-val5k-crop256", ["ILSVRC2012_val_00005001.JPEG"], "1 other files"),
        ("coco-val5k-stretch256", ["cat.jpg"], "1 other files"),
        ("ctest10k", ["ILSVRC2012_val_00050000.JPEG"] * 9999, "there are 9999"),
    ],
)
def test_the_count_and_the_names_of_a_protocol_are_checked(
    protocol: str, names: list[str], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        PROTOCOLS[protocol].check(names)


def test_the_first_5000_and_only_they_are_val5k() -> None:
    PROTOCOLS["imagenet-val5k-crop256"].check(
        [f"val/ILSVRC2012_val_{n:08}.JPEG" for n in range(1, 5001)]
    )
    PROTOCOLS["imagenet-val50k-stretch256"].check(
        [f"ILSVRC2012_val_{n:08}.JPEG" for n in range(1, 50_001)]
    )


def test_a_limit_is_a_trial_and_says_so(tmp_path: Path) -> None:
    data = folder_of(tmp_path, 8)
    report = measure(data, names=["psnr"], limit=4)
    assert (report.n, report.limit) == (4, 4)
    assert report.names == ("set0/000.png", "set0/004.png", "set1/001.png", "set1/005.png")
    PROTOCOLS["imagenet-val5k-crop256"].check(["ILSVRC2012_val_00000001.JPEG"], limit=1)


def test_unknown_names_say_what_is_known() -> None:
    with pytest.raises(UsageError, match="did you mean 'native256-crop'"):
        get_protocol("native256_crop")
    with pytest.raises(UsageError, match="known: fid"):
        choose_metrics(["fidd"])


def test_too_few_pictures_are_refused_before_work_begins(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is needs at least 20 pictures, and there are 2"):
        measure(folder_of(tmp_path, 2), names=["is"], networks={"inception": small_network()})


def test_memory_does_not_grow_with_the_number_of_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: weakref.WeakSet[Ready] = weakref.WeakSet()
    most = 0
    original = evaluation.prepare

    def counted(*arguments: object) -> Ready:
        nonlocal most
        ready = original(*arguments)
        alive.add(ready)
        gc.collect(0)
        most = max(most, len(alive))
        return ready

    monkeypatch.setattr(evaluation, "prepare", counted)
    measure(folder_of(tmp_path, 60), names=["psnr"], batch_size=2, workers=2)
    assert 2 <= most <= 14  # decoded ahead, one batch in work, one waiting


def test_without_anything_to_evaluate_the_error_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="type 'recolor eval --model NAME --data FOLDER'"):
        newest_run(tmp_path / "runs")


def make_run(folder: Path, data: Path, test_share: float) -> Path:
    photos, left_out = load_photos(find_items([data]), keep=False)
    split = split_by_hash(photos, left_out, val_share=0.3, test_share=test_share)
    (folder / "best").mkdir(parents=True)
    (folder / "best" / "model.safetensors").write_bytes(b"")
    (folder / "split.json").write_text(split.to_json())
    (folder / "recipe.json").write_text(json.dumps({"data": [str(data)], "val": None}))
    return folder


def test_the_newest_run_is_evaluated_on_what_it_held_out(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "photos", 30)
    old = make_run(tmp_path / "runs" / "z", data, 0.0)
    new = make_run(tmp_path / "runs" / "a", data, 0.4)
    os.utime(old / "best" / "model.safetensors", (1, 1))
    run = newest_run(tmp_path / "runs")
    assert (run.folder, run.which) == (new, "test")
    split = json.loads((new / "split.json").read_text())
    assert {pair.name for pair in run.pairs()} == set(split["test"].values())
    os.utime(new / "best" / "model.safetensors", (0, 0))
    run = newest_run(tmp_path / "runs")
    assert (run.folder, run.which) == (old, "val")
    next(data.rglob(Path(run.pairs()[0].name).name)).unlink()
    with pytest.raises(DataError, match="name others with --data"):
        run.pairs()


def test_a_report_carries_what_comparing_needs(tmp_path: Path) -> None:
    report = measure(folder_of(tmp_path, 2), names=["psnr"], device="cpu")
    record = json.loads(json.dumps(report.to_json()))
    assert record["protocol"]["name"] == "native"
    assert len(record["data"]["sha256"]) == 64
    assert {"definition", "preprocessing", "unit", "better", "weights"} <= set(
        record["metrics"]["psnr"]
    )
    assert record["device"] == "cpu"
    assert record["code"]
    assert record["coloured"]["name"] == "grey"


def test_the_data_hash_is_of_contents_not_of_names(tmp_path: Path) -> None:
    first, second = folder_of(tmp_path / "a", 3), folder_of(tmp_path / "b", 3)
    os.rename(second / "set0" / "000.png", second / "set0" / "x.png")
    hashes = [measure(folder, names=["psnr"]).data["sha256"] for folder in (first, second)]
    assert hashes[0] == hashes[1]
    write(second / "set0" / "x.png", picture(99))
    assert measure(second, names=["psnr"]).data["sha256"] != hashes[0]


def test_16_bit_and_grey_truths_are_read(tmp_path: Path) -> None:
    import cv2

    deep = picture(3).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    cv2.imwrite(str(tmp_path / "grey.png"), picture(4)[..., 0])
    report = measure(tmp_path, names=["colorfulness"])
    each = dict(zip(report.names, report.each["colorfulness"], strict=True))
    assert each == {"deep.png": 0, "grey.png": 0}
    assert report.metrics["colorfulness"]["truth"] > 10
