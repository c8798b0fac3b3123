"""Does strip.c give the same bytes with another compiler, or on another processor?

    python tools/merge_elsewhere.py --cc clang
    python tools/merge_elsewhere.py --cc "aarch64-linux-gnu-gcc -static" --run qemu-aarch64
    python tools/merge_elsewhere.py --run "qemu-x86_64 -cpu Nehalem"

Colours random pictures with the compiled merge of this machine and keeps everything that went into
it. Compiles strip.c and a small program around it with `--cc`, and has `--run` start that, which
colours the same pictures again. Prints how many bytes differ; exit code 1 if one does.
"""

from __future__ import annotations

import argparse
import ctypes
import shlex
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any
from unittest import mock

import numpy as np

from hatch_build import OPTIONS
from recolor_cli.color import compiled, merge
from recolor_cli.color.compiled import CompiledMerge, compiled_merge

BY_HAND = ("pixels", "row_step", "pixel_step", "channel_step", "out", "height", "width")
OWN = (*BY_HAND, "channels", "depth", "narrow", "wide", "calm")
FIELDS = {name: kind for name, kind in compiled._FIELDS.items() if name not in OWN}
SPREADS = (0, 5, 30, 150)  # of ab, from grey to far outside of the gamut

PROGRAM = r"""
#define RECOLOR_SOURCE ""
#include "%s"
#include <stdio.h>
#include <stdlib.h>

static FILE *file;

static void *take(size_t bytes, void *to)
{
    to = to ? to : malloc(bytes + 64);
    if (bytes && fread(to, 1, bytes, file) != bytes)
        exit(2);
    return to;
}

int main(int count, char **arguments)
{
    int64_t head[5], bytes = 0, differ = 0, size;
    file = fopen(arguments[count - 1], "rb");
    while (take(sizeof head, head), head[0]) {
        Job job = {0};
        job.height = head[1], job.width = head[2];
        job.channels = (int32_t)head[3], job.depth = (int32_t)head[4];
        job.pixel_step = head[3] * head[4], job.row_step = job.width * job.pixel_step;
        job.channel_step = head[4];
        job.pixels = take((size_t)(job.height * job.row_step), NULL);
        %s
        job.wide = take(0, malloc(32 * (size_t)job.width));
        job.calm = take(0, malloc(4 * (size_t)(job.width + BLOCK)));
        size = job.height * job.width * 3 * job.depth;
        job.out = malloc((size_t)size);
        uint8_t *expected = take((size_t)size, NULL);
        recolor_merge(&job);
        for (int64_t i = 0; i < size; i++)
            differ += job.out[i] != expected[i];
        bytes += size;
    }
    printf("%%lld of %%lld bytes differ; AVX-512: %%s\n", (long long)differ, (long long)bytes,
           recolor_is_wide() ? "yes" : "no");
    return differ != 0;
}
"""


def main() -> int:
    """Colour here, colour there, compare."""
    parser = argparse.ArgumentParser(description="Compare strip.c with itself elsewhere.")
    parser.add_argument("--cc", default="cc", help="the compiler, and its options")
    parser.add_argument("--run", default="", help="what starts the program, such as an emulator")
    parser.add_argument("--pictures", type=int, default=60)
    options = parser.parse_args()
    call = compiled_merge()
    if call is None:
        print(compiled.merge_state(), file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "cases").open("wb") as file:
            for seed in range(options.pictures):
                keep(call, file, seed)
            file.write(bytes(40))
        source, program = folder / "program.c", folder / "program"
        source.write_text(PROGRAM % (compiled.SOURCE, " ".join(map(reader, FIELDS.items()))))
        rest = [one for one in OPTIONS if one not in ("-shared", "-fPIC", "-std=c11")]
        compiler = [*shlex.split(options.cc), "-std=gnu11", *rest, "-o", str(program), str(source)]
        subprocess.run(compiler, check=True)
        run = [*shlex.split(options.run), str(program), str(folder / "cases")]
        return subprocess.run(run, check=False).returncode


def keep(call: CompiledMerge, file: IO[bytes], seed: int) -> None:
    """Colour a random picture and write down what went in and what came out."""
    rng = np.random.default_rng(seed)
    dtype: Any = np.uint8 if seed % 3 else np.uint16
    shape = (*rng.integers(1, [60, 900]), 3)
    pixels = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    if seed % 2:
        pixels = np.ascontiguousarray(pixels[..., 0])
    spread = SPREADS[seed // 4 % len(SPREADS)]
    ab = rng.normal(0, spread, (*rng.integers(1, 20, 2), 2)).astype(np.float32)

    def spy(source: Any, out: Any, **values: Any) -> None:
        source = np.ascontiguousarray(source)
        channels = 3 if source.ndim == 3 else 1
        file.write(struct.pack("<5q", 1, *source.shape[:2], channels, source.itemsize))
        file.write(source.tobytes())
        for field in FIELDS.items():
            file.write(packed(field, values))
        call(source, out, **values)
        file.write(out.tobytes())

    with mock.patch.object(merge, "compiled_merge", return_value=spy):
        merge.merge_ab(pixels, ab)


def packed(field: tuple[str, Any], values: dict[str, Any]) -> bytes:
    """A field's value as `reader` reads it."""
    name, kind = field
    if isinstance(kind, np.dtype):
        data = values[name].tobytes() if name in values else b""
        return struct.pack("<q", len(data)) + data
    value = values.get(name)
    if value is None:
        return bytes(ctypes.sizeof(kind))
    return bytes(kind(*value) if isinstance(value, tuple) else kind(value))


def reader(field: tuple[str, Any]) -> str:
    """The C that reads a field."""
    name, kind = field
    if isinstance(kind, np.dtype):
        return f"take(8, &size); job.{name} = take((size_t)size, NULL);"
    return f"take(sizeof job.{name}, &job.{name});"


if __name__ == "__main__":
    sys.exit(main())
