"""Every metric against an independent implementation, and at its extremes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from recolor_cli.metrics import METRICS, OFFLINE
from recolor_cli.metrics.color_error import delta_e2000, l1_ab, pixel_accuracy
from recolor_cli.metrics.colorfulness import colorfulness
from recolor_cli.metrics.difference import mae, psnr
from recolor_cli.metrics.frechet import frechet_distance
from recolor_cli.metrics.inception_score import inception_score
from recolor_cli.metrics.kernel import kernel_distance
from recolor_cli.metrics.resampling import bootstrap, interval_95, jackknife
from recolor_cli.metrics.ssim import ssim
from recolor_cli.torchvision_import import import_torchvision


def picture(seed: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A smooth coloured picture with some detail."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 8, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(smooth + random.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def grey_of(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


PAIRS = [(picture(seed), picture(seed + 100)) for seed in range(3)] + [
    (grey_of(picture(7)), picture(7)),
    (np.zeros((20, 20, 3), np.uint8), np.full((20, 20, 3), 255, np.uint8)),
]


@pytest.mark.parametrize(("coloured", "true"), PAIRS)
def test_psnr_is_that_of_scikit_image(coloured: np.ndarray, true: np.ndarray) -> None:
    expected = peak_signal_noise_ratio(true, coloured, data_range=255)
    assert psnr(coloured, true)[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("coloured", "true"), PAIRS)
def test_ssim_is_that_of_scikit_image(coloured: np.ndarray, true: np.ndarray) -> None:
    expected = structural_similarity(
        true, coloured, data_range=255, channel_axis=2,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert ssim(coloured, true)[0] == pytest.approx(expected, abs=1e-5)


def test_ssim_refuses_pictures_smaller_than_its_window() -> None:
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(picture(0, (10, 40)), picture(0, (10, 40)))


@pytest.mark.parametrize(("coloured", "true"), PAIRS)
def test_colour_errors_are_those_of_scikit_image(coloured: np.ndarray, true: np.ndarray) -> None:
    # Tolerances: the Lab tables are within 0.002 of scikit-image's white point and rounding.
    lab = [rgb2lab(pixels) for pixels in (coloured, true)]
    difference = np.abs(lab[0][..., 1:] - lab[1][..., 1:])
    assert l1_ab(coloured, true)[0] == pytest.approx(difference.mean(), abs=0.01)
    assert delta_e2000(coloured, true)[0] == pytest.approx(
        deltaE_ciede2000(lab[1], lab[0]).mean(), abs=0.01
    )
    for percent in (2, 5):
        expected = (difference <= percent * 2.55).mean()
        assert pixel_accuracy(coloured, true, percent=percent)[0] == pytest.approx(
            expected, abs=0.002
        )


def test_pixel_accuracy_counts_a_and_b_by_themselves() -> None:
    # One pixel of two is right in both channels, the other in one: three of four values.
    true = np.array([[[120, 120, 120], [120, 120, 120]]], np.uint8)
    bluish = np.array([[[120, 120, 120], [126, 119, 131]]], np.uint8)
    a, b = np.abs(rgb2lab(bluish)[0, 1, 1:] - rgb2lab(true)[0, 1, 1:])
    assert min(a, b) < 5.1 < max(a, b) < 12.75
    assert pixel_accuracy(bluish, true, percent=2)[0] == 0.75
    assert pixel_accuracy(bluish, true, percent=5)[0] == 1


@pytest.mark.parametrize("absolute", [False, True])
def test_colorfulness_follows_the_published_formula(absolute: bool) -> None:
    pixels = picture(3)
    red, green, blue = np.moveaxis(pixels.astype(np.float64), -1, 0)
    rg, yb = red - green, 0.5 * (red + green) - blue
    if absolute:
        rg, yb = np.abs(rg), np.abs(yb)
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert colorfulness(pixels, absolute=absolute) == pytest.approx(expected, abs=1e-9)


def test_colorfulness_of_pure_red_is_known() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert colorfulness(red) == pytest.approx(0.3 * np.hypot(255, 127.5))


def test_the_two_differences_of_colorfulness_disagree_when_errors_cancel() -> None:
    rows = np.array([(30.0, 40.0), (50.0, 40.0)])
    assert METRICS["delta-colorfulness"].compute(rows) == 0
    assert METRICS["delta-colorfulness-image"].compute(rows) == 10


# What a metric says when the truth itself, or a grey picture, is called its colouring.
OF_TRUTH = {
    "psnr": 100, "ssim": 1, "mae": 0, "l1-ab": 0, "delta-e2000": 0, "pixel-accuracy@2": 1,
    "pixel-accuracy@5": 1, "delta-colorfulness": 0, "delta-colorfulness-image": 0,
}  # fmt: skip


@pytest.mark.parametrize("name", OFFLINE)
def test_extremes(name: str) -> None:
    metric = METRICS[name]
    assert metric.update is not None
    pictures = [picture(seed) for seed in range(4)]
    ideal = np.array([metric.update(true, true) for true in pictures])
    grey = np.array([metric.update(grey_of(true), true) for true in pictures])
    if metric.better == "truth":
        assert metric.of_truth is not None
        assert metric.compute(ideal) == pytest.approx(metric.of_truth(ideal))
        assert metric.compute(grey) == 0
        assert metric.of_truth(grey) == pytest.approx(metric.of_truth(ideal))
        return
    best = metric.compute(ideal)
    assert best == pytest.approx(OF_TRUTH[name], abs=1e-12)
    worse = metric.compute(grey)
    assert worse < best if metric.better == "higher" else worse > best


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_is(name: str) -> None:
    metric = METRICS[name]
    assert metric.name == name
    assert metric.definition.endswith(".")
    assert metric.preprocessing
    assert (metric.update is None) == bool(metric.stream)


def features(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(1).normal(size=(d, d)) / d**0.5
    return (random.normal(size=(n, d)) @ mixing + shift).astype(np.float32)


def frechet_by_eigenvalues(x: np.ndarray, y: np.ndarray) -> float:
    """The textbook formula, with the trace of the square root from eigenvalues of the product."""
    cov_x, cov_y = np.cov(x.astype(float), rowvar=False), np.cov(y.astype(float), rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(cov_x @ cov_y).astype(complex)).real.sum()
    offset = x.mean(0, dtype=float) - y.mean(0, dtype=float)
    return float(offset @ offset + np.trace(cov_x) + np.trace(cov_y) - 2 * roots)


RANK_3 = features(200, 3, 5) @ np.random.default_rng(2).normal(size=(3, 24)).astype(np.float32)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (features(300, 24, 1), features(200, 24, 2, shift=0.3)),
        (features(20, 48, 3), features(30, 48, 4, shift=0.1)),  # fewer pictures than dimensions
        (RANK_3, features(200, 24, 6)),
        (features(5000, 8, 7), features(4500, 8, 8)),  # more than one chunk
    ],
    ids=["full rank", "n < d", "rank 3", "chunks"],
)
def test_frechet_distance_is_that_of_the_formula(x: np.ndarray, y: np.ndarray) -> None:
    # The eigenvalues of a singular product are only good to the root of the rounding error.
    assert frechet_distance(x, y) == pytest.approx(frechet_by_eigenvalues(x, y), rel=1e-5)


def test_frechet_distance_of_equal_and_of_constant_features() -> None:
    x = features(30, 64, 1)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    constant = np.full((10, 5), 2.0, np.float32)
    assert frechet_distance(constant, constant + 1) == pytest.approx(5)


def test_frechet_distance_of_one_dimension_is_known() -> None:
    x, y = features(400, 1, 1), 3 * features(400, 1, 2) + 1
    known = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, y) == pytest.approx(float(known), rel=1e-5)


def test_one_picture_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        frechet_distance(features(1, 4, 0), features(9, 4, 0))


def test_statistics_are_those_of_torch_fidelity() -> None:
    torch = pytest.importorskip("torch")
    import_torchvision()
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = features(120, 32, 1), features(120, 32, 2, shift=0.2)
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    fid = fid_statistics_to_metric(*map(fid_features_to_statistics, tensors), False)
    assert frechet_distance(x, y) == pytest.approx(fid["frechet_inception_distance"], rel=1e-5)
    kid = kid_features_to_metric(*tensors, kid_subsets=20, kid_subset_size=50, verbose=False)
    assert kernel_distance(x, y, subsets=20, size=50) == pytest.approx(
        kid["kernel_inception_distance_mean"], abs=1e-5
    )
    isc = isc_features_to_metric(tensors[0])
    assert inception_score(x) == pytest.approx(isc["inception_score_mean"], abs=1e-9)


def test_bootstrap_interval_is_that_of_the_mean() -> None:
    rows = np.random.default_rng(0).normal(5, 2, (400, 1))
    low, high = bootstrap(lambda drawn: float(drawn.mean()), rows)
    assert low < rows.mean() < high
    assert (high - low) / 2 == pytest.approx(1.96 * 2 / 20, rel=0.1)


def test_jackknife_interval_is_that_of_the_mean() -> None:
    rows = np.random.default_rng(0).normal(5, 2, (4000, 1))
    widths = []
    for part in np.split(rows, 10):
        low, high = jackknife(lambda left: float(left.mean()), part, float(part.mean()))
        assert low < part.mean() < high
        widths.append((high - low) / 2)
    assert np.mean(widths) == pytest.approx(2.262 * 2 / 20, rel=0.2)


def test_fid_interval_holds_the_value_that_a_bootstrap_would_miss() -> None:
    rows = np.concatenate((features(60, 16, 1), features(60, 16, 2)), axis=1)
    metric = METRICS["fid"]
    value = metric.compute(rows)
    low, high = interval_95(metric, rows, value)
    assert low < value < high
    assert bootstrap(metric.compute, rows, draws=50)[0] > value


def test_too_few_pictures_have_no_interval() -> None:
    assert interval_95(METRICS["psnr"], np.ones((5, 1)), 1.0) is None


@pytest.mark.parametrize(("coloured", "true"), PAIRS)
def test_mae_is_the_mean_difference_of_rgb(coloured: np.ndarray, true: np.ndarray) -> None:
    expected = np.abs(coloured / 255 - true / 255).mean()
    assert mae(coloured, true)[0] == pytest.approx(expected, abs=1e-12)
