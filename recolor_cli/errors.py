"""Every failure that recolor foresees, with the exit status it ends in.

    RecolorError            1   a foreseen failure, told in one line
    ├── PhotoError          1   one photograph cannot be coloured; the rest of the folder goes on
    ├── DataError           1   a training or evaluation folder is not usable
    ├── UsageError          2   options, settings or inputs contradict each other
    │   ├── RecipeError     2   a recipe, or a field of one, is wrong
    │   └── MissingExtraError 2 an optional package is needed; the text names the extra to install
    ├── WeightsError        3   weights are missing, or are not what they should be
    ├── OutputError         4   a result cannot be written
    └── StorageError        4   an object store or a server does not answer, or says no

`cli.app.main` is the only place that turns these into a message and an exit status.
"""

from __future__ import annotations


class RecolorError(Exception):
    """A foreseen failure. Text: lower case, the value in quotes, a semicolon, the next step."""

    exit_code = 1


class PhotoError(RecolorError):
    """One photograph cannot be read or coloured."""


class DataError(RecolorError):
    """A folder of training or evaluation photographs cannot be used."""


class UsageError(RecolorError):
    """Options, settings or inputs contradict each other."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe does not exist, or one of its fields has a wrong name, type or range."""


class MissingExtraError(UsageError):
    """An optional package is not installed."""


class WeightsError(RecolorError):
    """Weights are missing, damaged, or not what their entry says."""

    exit_code = 3


class OutputError(RecolorError):
    """A result cannot be written: read-only, full, or in the way of an input."""

    exit_code = 4


class StorageError(RecolorError, OSError):
    """What lies at an address cannot be looked at, read or written.

    An OSError too, so that whoever is ready for a disk that fails is ready for this. Args as there:
    number or None, reason, address.
    """

    exit_code = 4

    def __str__(self) -> str:
        """One line."""
        return f"{self.filename!r} cannot be used: {self.strerror}; check address, keys and network"
