"""Padding, batches, and what happens when memory runs out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from colorize_fixtures import fake_model
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recolor_cli.colorize.network import Answer, Painter, fit, pad
from recolor_cli.errors import PhotoError
from recolor_cli.models.noise import NoisyDropout


def position_as_color(gray: Tensor) -> Tensor:
    """Tell where each pixel is: a is its row, b its column, over 110."""
    height, width = gray.shape[2:]
    rows = torch.arange(height, dtype=torch.float32)[:, None].expand(height, width)
    columns = torch.arange(width, dtype=torch.float32)[None].expand(height, width)
    return torch.stack((rows, columns))[None].expand(len(gray), 2, height, width) / 110


def luminance(height: int, width: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((height, width)) * 100).astype(np.float32)


@given(st.integers(1, 30_000), st.integers(1, 30_000), st.integers(16, 1024))
def test_fit_gives_the_long_side_and_keeps_the_aspect(height: int, width: int, size: int) -> None:
    h, w = fit((height, width), size)
    assert max(h, w) == size
    exact = min(height, width) * size / max(height, width)
    assert abs(min(h, w) - max(exact, 1)) <= 0.5 or min(h, w) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (5, 7), (32, 32), (33, 64)])
def test_padding_mirrors_and_adds_less_than_one_stride(shape: tuple[int, int]) -> None:
    picture = luminance(*shape)
    padded = pad(picture, 32)
    assert padded.shape[0] % 32 == 0
    assert padded.shape[1] % 32 == 0
    assert padded.shape[0] - shape[0] < 32
    assert padded.shape[1] - shape[1] < 32
    np.testing.assert_array_equal(padded[: shape[0], : shape[1]], picture)
    assert set(np.unique(padded)) == set(np.unique(picture))


def test_an_answer_covers_the_picture_without_its_padding() -> None:
    (answer,) = Painter(fake_model(position_as_color, stride=32)).paint([luminance(20, 45)])
    assert isinstance(answer, Answer)
    assert answer.ab.shape == (20, 45, 2)
    np.testing.assert_allclose(answer.ab[..., 0][:, 0], np.arange(20), atol=1e-4)
    np.testing.assert_allclose(answer.ab[..., 1][0], np.arange(45), atol=1e-4)


def test_a_coarse_answer_keeps_its_place_when_the_padding_comes_off() -> None:
    def coarse(gray: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(position_as_color(gray), 4)

    (answer,) = Painter(fake_model(coarse, stride=32)).paint([luminance(20, 45)])
    assert isinstance(answer, Answer)
    np.testing.assert_allclose(answer.ab[6:, 10, 0], np.arange(20)[6:], atol=0.3)
    np.testing.assert_allclose(answer.ab[10, 6:, 1], np.arange(45)[6:], atol=0.3)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_answers_do_not_depend_on_the_company(batch_size: int) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(1, 2, 3, padding=1)
    model = fake_model(lambda gray: layer(gray).detach())
    pictures = [luminance(20 + n % 3, 30, n) for n in range(7)]
    alone = [Painter(model).paint([picture])[0] for picture in pictures]
    together = Painter(model, batch_size=batch_size).paint(pictures)
    for one, other in zip(alone, together, strict=True):
        assert isinstance(one, Answer)
        assert isinstance(other, Answer)
        np.testing.assert_array_equal(one.ab, other.ab)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
              RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
              RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")]
)  # fmt: skip
def test_out_of_memory_halves_the_input_and_says_so(error: Exception) -> None:
    def answer(gray: Tensor) -> Tensor:
        if gray.shape[3] > 64:
            raise error
        return position_as_color(gray)

    told: list[str] = []
    (one,) = Painter(fake_model(answer), report=told.append).paint([luminance(128, 256)])
    assert isinstance(one, Answer)
    assert one.ab.shape == (32, 64, 2)
    assert one.input_px == 64
    assert told == [
        "out of memory: input size 256 -> 128",
        "out of memory: input size 128 -> 64",
    ]
    assert one.notes == tuple(told)


def test_out_of_memory_in_a_batch_makes_smaller_batches_first() -> None:
    calls = 0

    def answer(gray: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls <= 2:  # the first picture of eight, then of four
            raise torch.OutOfMemoryError
        return position_as_color(gray)

    told: list[str] = []
    painter = Painter(fake_model(answer), batch_size=8, report=told.append)
    answers = painter.paint([luminance(64, 64, n) for n in range(9)])
    assert told == ["out of memory: batch size 8 -> 4", "out of memory: batch size 4 -> 2"]
    assert painter.batch_size == 2, "the rest of the folder must not run into it again"
    assert [isinstance(a, Answer) and a.ab.shape for a in answers] == [(64, 64, 2)] * 9
    first, last = answers[0], answers[-1]
    assert isinstance(first, Answer)
    assert isinstance(last, Answer)
    assert first.notes == tuple(told)
    assert last.notes == ()
    assert first.input_px == 64


def test_out_of_memory_on_a_device_ends_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    on_device = True

    def answer(gray: Tensor) -> Tensor:
        if on_device:
            raise torch.OutOfMemoryError
        return position_as_color(gray)

    told: list[str] = []
    painter = Painter(fake_model(answer), report=told.append)
    # No GPU is needed to see the order of the steps: the device only has to be called otherwise.
    monkeypatch.setattr(type(painter), "_device", property(lambda _self: torch.device("meta")))

    def on_cpu(self: Painter) -> object:
        nonlocal on_device
        on_device = False
        return self.model

    monkeypatch.setattr(type(painter), "_on_cpu", on_cpu)
    (one,) = painter.paint([luminance(128, 128)])
    assert told == ["out of memory: input size 128 -> 64", "out of memory: meta -> cpu"]
    assert isinstance(one, Answer)
    assert one.notes == tuple(told)
    assert one.ab.shape == (128, 128, 2), "the CPU gets the full input size again"


def test_a_copy_on_the_cpu_leaves_the_model_where_it_was() -> None:
    model = fake_model(position_as_color).to("cpu", torch.bfloat16)
    painter = Painter(model)
    copy = painter._on_cpu()
    assert copy.network.scale.dtype == torch.float32
    assert model.network.scale.dtype == torch.bfloat16
    assert painter._on_cpu() is copy


def test_no_memory_at_all_fails_the_photo_and_no_other_error_is_taken_for_it() -> None:
    def never(gray: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    (one,) = Painter(fake_model(never)).paint([luminance(64, 64)])
    assert isinstance(one, PhotoError)
    assert "--input-size" in str(one)

    def broken(gray: Tensor) -> Tensor:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        Painter(fake_model(broken)).paint([luminance(64, 64)])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_fail_that_photo_only(value: float) -> None:
    def answer(gray: Tensor) -> Tensor:
        ab = position_as_color(gray).clone()
        if gray.shape[3] == 32:
            ab[0, 0, 3, 3] = value
        return ab

    good, bad = Painter(fake_model(answer), batch_size=2).paint(
        [luminance(16, 16), luminance(32, 32)]
    )
    assert isinstance(good, Answer)
    assert isinstance(bad, PhotoError)
    assert "no numbers" in str(bad)


def test_a_picture_is_computed_on_one_thread_whatever_torch_was_told() -> None:
    seen: list[int] = []

    def note(gray: Tensor) -> Tensor:
        seen.append(torch.get_num_threads())
        return position_as_color(gray)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        Painter(fake_model(note, stride=32)).paint([luminance(20, 45)])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert seen == [1]


def test_only_networks_without_noise_answer_for_several_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recolor_cli.colorize.network.cores", lambda: 6)
    assert Painter(fake_model(position_as_color, stride=32)).at_a_time == 6
    noisy = fake_model(position_as_color, stride=32)
    noisy.network.add_module("noise", NoisyDropout(0.5))
    assert Painter(noisy).at_a_time == 1
