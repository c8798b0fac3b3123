"""What a report's network returns, told by its channels: 2 are ab, 3 are RGB."""

from __future__ import annotations

_SPACES = {2: "lab", 3: "rgb"}


def space_of(out_channels: int) -> str:
    """The key of `color.spaces.SPACES` that a regressing network with these outputs speaks."""
    if out_channels not in _SPACES:
        raise ValueError(f"out_channels must be 2 (ab) or 3 (RGB), got {out_channels}")
    return _SPACES[out_channels]
