"""The networks behind fid, kid, is and lpips: how they are fed, and which file they accept."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recolor_cli.errors import WeightsError
from recolor_cli.evaluate import network_files
from recolor_cli.evaluate.network_files import find_file
from recolor_cli.metrics import METRICS
from recolor_cli.metrics.networks import (
    ALEXNET,
    NETWORKS,
    TENSORFLOW_INCEPTION,
    Features,
    PublishedFile,
    build_clean_inception,
    build_ct2_inception,
    build_inception,
    build_lpips,
    clean_resize,
    ct2_input,
)
from recolor_cli.torchvision_import import import_torchvision


def pictures(count: int, side: int = 40) -> list[np.ndarray]:
    random = np.random.default_rng(count)
    return [random.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]


def small_network() -> Features:
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 12, 5, stride=3)
    return Features(lambda batch: {"features": convolution(batch / 255).mean((2, 3))})


def test_rows_hold_coloured_then_true_features() -> None:
    network, a, b = small_network(), pictures(3), pictures(3, side=44)
    rows = network(a, b)["features"]
    assert rows.shape == (3, 24)
    assert np.array_equal(rows[:, :12], network(a, a)["features"][:, 12:])
    assert np.array_equal(rows[:, 12:], network(b, b)["features"][:, :12])


def test_pictures_of_different_shapes_keep_their_order() -> None:
    network = small_network()
    mixed = [*pictures(1, 40), *pictures(2, 50), *pictures(1, 40)]
    one_by_one = [network([p], [p])["features"][0] for p in mixed]
    assert np.allclose(network(mixed, mixed)["features"], one_by_one, atol=1e-6)


def test_how_pictures_are_split_into_batches_does_not_matter() -> None:
    network, coloured, true = small_network(), pictures(12), pictures(12)[::-1]
    metric = METRICS["fid"]
    values = []
    for size in (1, 5, 12):
        rows = [
            network(coloured[i : i + size], true[i : i + size])["features"]
            for i in range(0, 12, size)
        ]
        values.append(metric.compute(np.concatenate(rows)))
    assert values == pytest.approx([values[0]] * 3, abs=1e-6)


@pytest.mark.parametrize("name", ["fid", "fid-clean", "fid-ct2", "kid", "is", "lpips"])
def test_every_metric_with_a_network_names_one_that_is_pinned(name: str) -> None:
    published, _ = NETWORKS[METRICS[name].network]
    assert published.sha256.startswith(published.name.split("-")[-1].split(".")[0])
    assert published.url.endswith(published.name)


def test_clean_resizing_is_antialiased_and_not_rounded() -> None:
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    resized = clean_resize(stripes)
    assert resized.shape == (3, 299, 299)
    assert float(resized.std()) < 8  # a resize without antialiasing would show stripes or moire
    assert float((resized - resized.round()).abs().max()) > 0.1
    same = pictures(1, 299)[0]
    assert torch.equal(clean_resize(same), torch.from_numpy(same).permute(2, 0, 1).float())


def test_ct2_input_has_the_published_wrong_range() -> None:
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 8, 8)
    fed = ct2_input(black_and_white)
    assert fed.shape == (2, 3, 299, 299)
    assert fed[:, 0, 0, 0].tolist() == pytest.approx([-0.03, 0.428], abs=1e-6)
    assert fed[:, 2, 0, 0].tolist() == pytest.approx([-0.188, 0.262], abs=1e-6)


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the published file's format."""
    import_torchvision()
    from torch_fidelity import feature_extractor_inceptionv3 as module

    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: None)
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = module.FeatureExtractorInceptionV3("random", ["2048"])
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.fill_(0.05)  # or the signal would die on the way through random layers
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(network.state_dict(), path)
    return path


def test_inception_has_features_and_logits(inception_file: Path) -> None:
    rows = build_inception(inception_file, "cpu")(pictures(2), pictures(2))
    assert {name: r.shape for name, r in rows.items()} == {
        "features": (2, 4096),
        "logits": (2, 2016),
    }
    assert rows["features"].std() > 0


def test_clean_and_canonical_inception_agree_where_nothing_is_resized(
    inception_file: Path,
) -> None:
    same_size = pictures(1, 299)
    canonical = build_inception(inception_file, "cpu")(same_size, same_size)["features"]
    clean = build_clean_inception(inception_file, "cpu")(same_size, same_size)["features"]
    assert np.allclose(canonical, clean, atol=1e-5)
    larger = [np.asarray(Image.fromarray(p).resize((600, 600))) for p in pictures(1, 300)]
    canonical = build_inception(inception_file, "cpu")(larger, larger)["features"]
    clean = build_clean_inception(inception_file, "cpu")(larger, larger)["features"]
    assert not np.allclose(canonical, clean, atol=1e-5)


def test_ct2_inception_is_built_from_torchvisions_file(tmp_path: Path) -> None:
    torchvision = import_torchvision()
    torch.manual_seed(0)
    network = torchvision.models.inception_v3(weights=None, init_weights=False)
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    rows = build_ct2_inception(tmp_path / "inception.pth", "cpu")(pictures(1), pictures(1))
    assert rows["features"].shape == (1, 4096)
    torch.save({"fc.weight": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="does not hold Inception's weights"):
        build_ct2_inception(tmp_path / "other.pth", "cpu")


def test_lpips_is_0_for_the_truth_and_symmetric(tmp_path: Path) -> None:
    torchvision = import_torchvision()
    torch.manual_seed(0)
    alexnet = torchvision.models.alexnet(weights=None).state_dict()
    kept = {name: tensor for name, tensor in alexnet.items() if name.startswith("features.")}
    torch.save(kept, tmp_path / "alexnet.pth")
    network = build_lpips(tmp_path / "alexnet.pth", "cpu")
    a, b = pictures(2, 64)
    assert network([a], [a])["distance"][0, 0] == 0
    there, back = network([a, b], [b, a])["distance"][:, 0]
    assert there == pytest.approx(back)
    assert there > 0


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PublishedFile:
    monkeypatch.setenv("RECOLOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(network_files.torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()
    return PublishedFile(f"net-{digest[:8]}.pth", "http://127.0.0.1:9/net.pth", digest, 7)


def test_a_missing_file_is_named_with_size_hash_and_place(
    published: PublishedFile, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError) as caught:
        find_file(published, offline=True)
    text = str(caught.value)
    for part in (published.name, "7 bytes", published.sha256, published.url, str(tmp_path)):
        assert part in text
    assert "\n" not in text
    with pytest.raises(WeightsError, match="does not hold"):
        find_file(published, folder=tmp_path)
    with pytest.raises(WeightsError, match="this metric needs"):
        find_file(published)  # nobody listens there


@pytest.mark.parametrize("place", ["hub/checkpoints", "cache/weights/{sha256}", "given"])
def test_a_file_is_found_where_it_may_be_and_always_verified(
    published: PublishedFile, tmp_path: Path, place: str
) -> None:
    folder = tmp_path / place.format(sha256=published.sha256)
    folder.mkdir(parents=True)
    given = folder if place == "given" else None
    (folder / published.name).write_bytes(b"weights")
    assert find_file(published, folder=given, offline=True) == folder / published.name
    (folder / published.name).write_bytes(b"wrong!!")
    with pytest.raises(WeightsError, match="is not the published file"):
        find_file(published, folder=given, offline=True)


def test_pins_are_complete() -> None:
    for published, _ in NETWORKS.values():
        assert len(published.sha256) == 64
        assert published.bytes > 10**7
    assert NETWORKS["inception"][0] is NETWORKS["inception-clean"][0] is TENSORFLOW_INCEPTION
    assert NETWORKS["lpips"][0] is ALEXNET
