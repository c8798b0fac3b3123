"""Memory for coloured pictures that goes from one photograph to the next.

What the system hands out fresh it fills with zeros first, which for a picture takes as long as half
its merge: each thread keeps what its last picture was in.
"""

from __future__ import annotations

import math
import threading

import numpy as np

from recolor_cli.images.photo import Frame, Pixels

MOST_BYTES = 80 << 20  # kept by a thread: 28 megapixels of 8 bits; what is larger is made anew


class Room(threading.local):
    """One picture's memory for each thread that asks; gone with the thread."""

    def __init__(self) -> None:
        """Called by each thread when it first takes a picture."""
        # As much as may ever be needed: what is not used stays the system's.
        self._memory = np.empty(MOST_BYTES, np.uint8)

    def take(self, like: Pixels) -> Pixels:
        """An array (H, W, 3) of the size and type of a picture; what is in it is undefined.

        It is the thread's only one: the next call takes it back.
        """
        shape = (*like.shape[:2], 3)
        size = math.prod(shape) * like.itemsize
        if size > self._memory.size:
            return np.empty(shape, like.dtype)
        return self._memory[:size].view(like.dtype).reshape(shape)


def memory_for(frame: Frame, room: Room | None, *, blue_first: bool) -> Pixels | None:
    """Where a frame's colours may be written: over its own pixels, else into the room, if any.

    Args:
        frame: As read; of no use afterwards.
        room: None where its memory is needed otherwise.
        blue_first: Whether 8 bits without alpha are to lie as OpenCV encodes them, which saves
            turning them round. The array is RGB all the same, a view from the end.
    """
    pixels = frame.pixels
    if pixels.ndim == 3 and pixels.flags.c_contiguous and pixels.flags.writeable:
        out = pixels
    elif room is not None:
        out = room.take(pixels)
    else:
        return None
    turned = blue_first and out.dtype == np.uint8 and frame.alpha is None
    return out[..., ::-1] if turned else out
