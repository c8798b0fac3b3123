"""The compiled part of the merge: whether it is there, whether it fits, and how it is called.

`hatch_build.py` compiles `strip.c` when the package is installed and a compiler is there. Without
it, or with RECOLOR_MERGE=numpy in the environment, `merge.py` and `lab.py` compute the same with
NumPy.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recolor_cli.errors import UsageError

VARIABLE = "RECOLOR_MERGE"  # "compiled" or "numpy"; not set: compiled where that is there
BLOCK = 32  # as in strip.c

_HERE = Path(__file__).parent
SOURCE = _HERE / "strip.c"
LIBRARY = _HERE / ("_strip.dll" if os.name == "nt" else "_strip.so")
REASON = _HERE / "_strip.txt"  # why there is no library, as hatch_build.py found

_FLOATS, _BYTES = np.dtype(np.float32), np.dtype(np.uint8)
_SHORTS, _LONGS = np.dtype(np.uint16), np.dtype(np.int64)
_FIELDS: dict[str, Any] = {  # of `Job` in strip.c: a number's type, or the dtype behind a pointer
    "pixels": ctypes.c_void_p,
    "row_step": ctypes.c_ssize_t,
    "pixel_step": ctypes.c_ssize_t,
    "channel_step": ctypes.c_ssize_t,
    "out": ctypes.c_void_p,
    "height": ctypes.c_int64,
    "width": ctypes.c_int64,
    "channels": ctypes.c_int32,
    "depth": ctypes.c_int32,
    "of_red": _FLOATS,
    "of_green": _FLOATS,
    "of_blue": _FLOATS,
    "f": _FLOATS,
    "index_max": ctypes.c_float,
    "f_curve8": _FLOATS,
    "linear_curve8": _FLOATS,
    "f_curve": _FLOATS,
    "y_of_rgb": ctypes.c_float * 3,
    "steps": _FLOATS,
    "map_height": ctypes.c_int64,
    "map_width": ctypes.c_int64,
    "row_cell": _LONGS,
    "row_keys": _FLOATS,
    "column_start": _LONGS,
    "column_keys": _FLOATS,
    "low": _SHORTS,
    "count": _SHORTS,
    "calm_row": _LONGS,
    "calm_column": _LONGS,
    "calm_width": ctypes.c_int64,
    "chroma": _FLOATS,
    "lightness_steps": ctypes.c_int32,
    "side": ctypes.c_int32,
    "knee": ctypes.c_float,
    "f_epsilon": ctypes.c_float,
    "of_tangent": ctypes.c_float,
    "to_rgb": ctypes.c_float * 9,
    "white": ctypes.c_float,
    "encode8": _BYTES,
    "encode_curve8": _FLOATS,
    "encode16": _FLOATS,
    "narrow": ctypes.c_int32,
    "wide": _FLOATS,
    "calm": _SHORTS,
}


class _Job(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_void_p if isinstance(kind, np.dtype) else kind)
        for name, kind in _FIELDS.items()
    )


class CompiledMerge:
    """The loaded library.

    Args:
        path: The file.
        wide: Whether to use AVX-512 where it is there.

    Attributes:
        is_wide: Whether pictures of 8 bits go through AVX-512; the same bytes, sooner.

    Raises:
        OSError: The file is no library for this machine, or not the one that belongs to strip.c.
    """

    def __init__(self, path: Path, *, wide: bool = True) -> None:
        """Load it and compare it with strip.c."""
        self._library = ctypes.CDLL(str(path))
        self._library.recolor_source.restype = ctypes.c_char_p
        self._library.recolor_is_gray.argtypes = [ctypes.POINTER(_Job)]
        self._library.recolor_is_gray.restype = ctypes.c_int32
        self._library.recolor_job_bytes.restype = ctypes.c_int64
        self._library.recolor_is_wide.restype = ctypes.c_int32
        self._library.recolor_merge.argtypes = [ctypes.POINTER(_Job)]
        self._library.recolor_merge.restype = None
        self._library.recolor_bands.argtypes = [
            ctypes.POINTER(_Job),
            ctypes.c_int64,
            ctypes.c_void_p,
        ]
        self._library.recolor_bands.restype = None
        if (
            self._library.recolor_source()
            != hashlib.sha256(SOURCE.read_bytes()).hexdigest().encode()
        ):
            raise OSError(f"it was compiled from another {SOURCE.name}")
        if self._library.recolor_job_bytes() != ctypes.sizeof(_Job):
            raise OSError(f"{Path(__file__).name} and {SOURCE.name} have different fields")
        self.is_wide = wide and bool(self._library.recolor_is_wide())

    def __call__(self, pixels: NDArray[Any], out: NDArray[Any], **values: Any) -> None:
        """Colour a picture; other threads of Python run meanwhile.

        Args:
            pixels: (H, W) or (H, W, 3), uint8 or uint16, any strides.
            out: (H, W, 3) of that dtype, C-contiguous.
            values: The other fields of `Job` in strip.c: numbers, and arrays of the fields' dtypes.

        Raises:
            TypeError: An array has another dtype or gaps.
        """
        width = pixels.shape[1]
        values |= {
            "narrow": not self.is_wide,
            "wide": np.empty((4, 2, width), np.float32),
            "calm": np.empty((2, width + BLOCK), np.uint16),
        }
        job = _job(pixels, values)
        job.out = out.ctypes.data
        self._library.recolor_merge(ctypes.byref(job))

    def bands(self, pixels: NDArray[Any], count: int, **values: Any) -> NDArray[np.float32]:
        """The mean f(Y) of `count` equal bands of rows: (count, W); other threads run meanwhile.

        Args:
            pixels: (H, W) or (H, W, 3), uint8 or uint16, any strides.
            count: At most H.
            values: The fields of `Job` in strip.c that luminance needs.

        Raises:
            TypeError: As before.
        """
        means = np.empty((count, pixels.shape[1]), np.float32)
        job = _job(pixels, values | {"narrow": not self.is_wide})
        self._library.recolor_bands(ctypes.byref(job), count, means.ctypes.data)
        return means

    def is_gray(self, pixels: NDArray[Any]) -> bool | None:
        """Whether all channels of (H, W, 3) are equal; None where they are not side by side."""
        if pixels.strides[1:] != (3 * pixels.itemsize, pixels.itemsize):
            return None
        return bool(self._library.recolor_is_gray(ctypes.byref(_job(pixels, {}))))


def _job(pixels: NDArray[Any], values: dict[str, Any]) -> _Job:
    """Filled in; points into the arrays, which the caller has to keep."""
    numbers = {
        "row_step": pixels.strides[0],
        "pixel_step": pixels.strides[1],
        "channel_step": pixels.strides[2] if pixels.ndim == 3 else 0,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "channels": 3 if pixels.ndim == 3 else 1,
        "depth": pixels.itemsize,
    }
    job = _Job(pixels=pixels.ctypes.data)
    for name, value in {**numbers, **values}.items():
        kind = _FIELDS[name]
        if isinstance(kind, np.dtype):
            if value.dtype != kind or not value.flags.c_contiguous:
                raise TypeError(f"{name} must be {kind} without gaps, got {value.dtype}")
            value = value.ctypes.data
        setattr(job, name, value)
    return job


def compiled_merge() -> CompiledMerge | None:
    """The library; None where NumPy computes the merge.

    Raises:
        UsageError: RECOLOR_MERGE asks for what is not there.
    """
    return _load(os.environ.get(VARIABLE, ""))[0]


def merge_state() -> str:
    """Which one computes the merge: "merge: compiled" (and for what), or "merge: NumPy" and why.

    Raises:
        UsageError: RECOLOR_MERGE asks for what is not there.
    """
    return f"merge: {_load(os.environ.get(VARIABLE, ''))[1]}"


@lru_cache(maxsize=3)
def _load(asked: str) -> tuple[CompiledMerge | None, str]:
    # By what is asked for, so that one who asked for NumPy leaves nothing to who comes after.
    if asked not in ("", "compiled", "numpy"):
        raise UsageError(f"{VARIABLE} is {asked!r}; use compiled or numpy, or unset it")
    if asked == "numpy":
        return None, f"NumPy, as {VARIABLE} asks"
    why = "no C compiler was there at installation"
    if LIBRARY.exists():
        try:
            library = CompiledMerge(LIBRARY)
            return library, "compiled, AVX-512" if library.is_wide else "compiled"
        except (OSError, AttributeError) as error:  # AttributeError: a function is missing
            why = f"{LIBRARY.name} does not load: {error}; install recolor again, or 'make setup'"
            if not asked:
                warnings.warn(f"merge: NumPy, {why}", RuntimeWarning, stacklevel=2)
    elif REASON.exists():
        why = REASON.read_text(encoding="utf-8").strip()
    if asked:
        raise UsageError(f"{VARIABLE} is {asked!r}, but {why}; unset it")
    return None, f"NumPy, {why}"
