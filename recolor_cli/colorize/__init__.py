"""The main job: photographs in, coloured photographs out.

colorizer.py     Colorizer: one photograph, from L to a full-size picture; for Python and the CLI
pillow.py        pictures of Pillow: to arrays, and back to 8 bits
network.py       padding, batches, what happens when memory runs out
settings.py      what decides a result, and what only decides how it is made
hint_entries.py  one hint as people write it, and what is wrong with it
hints.py         colours that people know: files of hints and palettes, found for each photograph
variants.py      several plausible colourings of one photograph
orders.py        what is asked for one photograph beyond the settings: hints, variant
plan.py          inputs -> outputs; collisions and inputs in danger are refused here
manifest.py      what OUT already holds: resuming
lock.py          who may write to OUT at the same time
pipeline.py      decode | network | encode, joined by bounded queues
stages.py        the three stages, each for one photograph; what fails, fails alone
results.py       what became of each photograph, and the sum
files.py         colorize_files: all of it, for a list of inputs
cluster/         the same on many machines
pipe.py          colorize_pipe: one photograph through standard input or output

Names load on first use: a wrong command line is answered before torch is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recolor_cli.colorize.colorizer import Colorizer
    from recolor_cli.colorize.files import Run, colorize_files
    from recolor_cli.colorize.results import PhotoResult, Summary
    from recolor_cli.colorize.settings import Settings

__all__ = ["Colorizer", "PhotoResult", "Run", "Settings", "Summary", "colorize_files"]

_HOME = {  # public name -> module that defines it
    "Colorizer": "colorizer",
    "PhotoResult": "results",
    "Run": "files",
    "Settings": "settings",
    "Summary": "results",
    "colorize_files": "files",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
