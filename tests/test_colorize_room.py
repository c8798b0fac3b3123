"""One thread's pictures lie in the same memory, one after the other, and never two at a time."""

from __future__ import annotations

import threading

import numpy as np
import photo_factory as factory
import pytest
from colorize_fixtures import save_tiny_weights

from recolor_cli import Colorizer
from recolor_cli.colorize import room
from recolor_cli.colorize.network import Answer
from recolor_cli.colorize.room import Room, memory_for
from recolor_cli.images.photo import Frame, Photo


@pytest.fixture(scope="module")
def colorizer(tmp_path_factory: pytest.TempPathFactory) -> Colorizer:
    path = save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")
    return Colorizer(str(path), device="cpu")


def colored(colorizer: Colorizer, room: Room | None, *pages: np.ndarray) -> list[np.ndarray]:
    prepared = colorizer.prepare(Photo(tuple(Frame(page.copy()) for page in pages), "tiff"))
    answers = colorizer.paint([one for one in prepared.luminances if one is not None])
    assert all(isinstance(answer, Answer) for answer in answers)
    return [frame.pixels for frame in colorizer.finish(prepared, answers, room)]


def test_the_next_picture_lies_where_the_last_one_was() -> None:
    kept = Room()
    large = kept.take(np.empty((20, 30), np.uint16))
    assert (large.shape, large.dtype) == ((20, 30, 3), np.uint16)
    small = kept.take(np.empty((7, 9, 3), np.uint8))
    assert (small.shape, small.dtype) == ((7, 9, 3), np.uint8)
    assert small.ctypes.data == large.ctypes.data
    larger = kept.take(np.empty((40, 30), np.uint16))
    assert larger.shape == (40, 30, 3)
    assert larger.ctypes.data == large.ctypes.data


def test_every_thread_has_its_own() -> None:
    kept, like, others = Room(), np.empty((20, 30), np.uint8), []
    mine = kept.take(like)
    thread = threading.Thread(target=lambda: others.append(kept.take(like)))
    thread.start()
    thread.join()
    assert not np.shares_memory(mine, others[0])


def test_what_is_very_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_BYTES", 1000)
    kept, like = Room(), np.empty((20, 30), np.uint8)
    assert not np.shares_memory(kept.take(like), kept.take(like))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_of_mixed_sizes_are_what_each_is_alone(colorizer: Colorizer, dtype: type) -> None:
    kept = Room()
    for height, width in ((70, 90), (30, 20), (71, 93), (1, 5)):
        pixels = factory.gray_pixels(height, width, dtype=dtype)
        (alone,) = colored(colorizer, None, pixels)
        (shared,) = colored(colorizer, kept, pixels)
        np.testing.assert_array_equal(shared, alone)


def test_a_picture_lies_as_opencv_encodes_it_where_that_is_of_use() -> None:
    gray, kept = Frame(np.zeros((20, 30), np.uint8)), Room()
    turned = memory_for(gray, kept, blue_first=True)
    assert turned is not None
    assert turned[..., ::-1].flags.c_contiguous
    plain = memory_for(gray, kept, blue_first=False)
    assert plain is not None
    assert plain.flags.c_contiguous
    rgb = Frame(np.zeros((20, 30, 3), np.uint8))
    for first in (True, False):
        over = memory_for(rgb, kept, blue_first=first)
        assert over is not None
        assert np.shares_memory(over, rgb.pixels)
    for other in (Frame(gray.pixels, gray.pixels), Frame(gray.pixels.astype(np.uint16))):
        out = memory_for(other, kept, blue_first=True)
        assert out is not None
        assert out.flags.c_contiguous
    assert memory_for(gray, None, blue_first=True) is None


def test_the_pages_of_a_tiff_do_not_share_it(colorizer: Colorizer) -> None:
    pages = [factory.gray_pixels(40, 50), factory.gray_pixels(40, 50)[::-1].copy()]
    for alone, shared in zip(
        colored(colorizer, None, *pages), colored(colorizer, Room(), *pages), strict=True
    ):
        np.testing.assert_array_equal(shared, alone)
