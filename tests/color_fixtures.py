"""Both ways of computing the merge, for the tests that hold them to the same."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import Any

import pytest

from recolor_cli.color import merge
from recolor_cli.color.compiled import LIBRARY, CompiledMerge


def merge_ways() -> dict[str, CompiledMerge | None]:
    """What stands for each; skips where there is no compiler, and only there."""
    if not LIBRARY.exists() and not shutil.which(shlex.split(os.environ.get("CC", "cc"))[0]):
        pytest.skip("no C compiler, so no compiled merge")
    return {"numpy": None, "compiled": CompiledMerge(LIBRARY)}


class NeverCalm(merge._Calm):
    """Lets every pixel be compressed, also those that cannot need it."""

    def __init__(self, *values: Any) -> None:
        super().__init__(*values)
        self.count[:] = 0
