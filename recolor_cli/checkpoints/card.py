"""What a weights file says about itself: the safetensors header metadata `recolor/1`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from recolor_cli.color.decoding import LIMITS, wrong_decoding
from recolor_cli.color.spaces import SPACES
from recolor_cli.errors import WeightsError
from recolor_cli.ranges import MAX_INPUT_SIZE

FORMAT = "recolor/1"


def now() -> str:
    """The time as stored: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def code_version() -> str:
    """The version of recolor that is running."""
    try:
        return version("recolor-cli")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A network's name, what it needs to be built and used, and where it comes from.

    Attributes:
        network: name in `recolor_cli.models.MODELS`.
        arguments: keyword arguments of the network's class; JSON values.
        color: {"space": row of `color.spaces.SPACES`}; for bins also how they are decoded, see
            `color.decoding`.
        input_size: long side in pixels that the network sees by default.
        recipe: name of the training recipe; "" if none.
        trained_on: the photographs, in words or as a data card's name.
        step: optimiser steps taken.
        metrics: measured figures by name.
        license: SPDX name or a sentence.
        created: UTC time, ISO 8601.
        code: version or commit of recolor that wrote the file.
    """

    network: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    color: Mapping[str, Any]
    input_size: int
    recipe: str = ""
    trained_on: str = ""
    step: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    license: str = ""
    created: str = field(default_factory=now)
    code: str = field(default_factory=code_version)

    def __post_init__(self) -> None:
        """Check every field; a wrong one is named.

        Raises:
            WeightsError: with the field and its value.
        """
        for name in ("network", "recipe", "trained_on", "license", "created", "code"):
            if not isinstance(getattr(self, name), str):
                raise _wrong(name, getattr(self, name), "text")
        if not self.network:
            raise _wrong("network", self.network, "the name of a network")
        for name in ("arguments", "color", "metrics"):
            value = getattr(self, name)
            if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
                raise _wrong(name, value, "a table with names as keys")
        check_color(self.color)
        if type(self.input_size) is not int or not 16 <= self.input_size <= MAX_INPUT_SIZE:
            raise _wrong("input_size", self.input_size, f"a whole number, 16..{MAX_INPUT_SIZE}")
        if type(self.step) is not int or self.step < 0:
            raise _wrong("step", self.step, "a whole number from 0")
        for name, value in self.metrics.items():
            if not _is_number(value):
                raise _wrong(f"metrics.{name}", value, "a finite number")

    def to_header(self) -> dict[str, str]:
        """The safetensors metadata: every value is text, tables are JSON with sorted keys."""
        return {
            "format": FORMAT,
            "network": self.network,
            "arguments": _json(self.arguments),
            "color": _json(self.color),
            "input_size": str(self.input_size),
            "recipe": self.recipe,
            "trained_on": self.trained_on,
            "step": str(self.step),
            "metrics": _json(self.metrics),
            "license": self.license,
            "created": self.created,
            "code": self.code,
        }

    def to_config(self) -> dict[str, Any]:
        """The card as plain JSON values, for people and other programs (config.json)."""
        tables = {"arguments", "color", "metrics"}
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"format": FORMAT} | {k: dict(v) if k in tables else v for k, v in values.items()}

    @classmethod
    def from_header(cls, header: Mapping[str, str], name: str) -> Card:
        """Read the metadata of the file called `name`.

        Raises:
            WeightsError: the metadata is absent, of another format, or a key is missing or wrong.
        """
        if not header:
            raise WeightsError(
                f"'{name}' has no metadata, so it does not say which network it belongs to; "
                "'recolor models list' shows the weights that do"
            )
        if header.get("format") != FORMAT:
            found = header.get("format")
            said = "has no key 'format' in its metadata" if found is None else f"is of '{found}'"
            raise WeightsError(f"'{name}' {said}; this version of recolor reads '{FORMAT}'")
        try:
            return cls(
                network=header["network"],
                arguments=_table(header, "arguments"),
                color=_table(header, "color"),
                input_size=_whole(header, "input_size"),
                recipe=header["recipe"],
                trained_on=header["trained_on"],
                step=_whole(header, "step"),
                metrics=_table(header, "metrics"),
                license=header["license"],
                created=header["created"],
                code=header["code"],
            )
        except KeyError as error:
            raise WeightsError(f"'{name}' has no key {error} in its metadata") from None
        except WeightsError as error:
            raise WeightsError(f"'{name}': {error}") from None


def check_color(color: Mapping[str, Any]) -> None:
    """Refuse a `color` field that names no space, or says of decoding what does not belong.

    Raises:
        WeightsError: naming the key and value.
    """
    space = color.get("space")
    if not isinstance(space, str) or space not in SPACES:
        raise _wrong("color.space", space, f"one of {', '.join(SPACES)}")
    unknown = set(color) - {"space", *LIMITS}
    if SPACES[space].output != "bins":
        for name in LIMITS:
            if name in color:
                raise WeightsError(f"color.{name} is for bins, and '{space}' has none")
    if wrong := wrong_decoding(color):
        name, wanted = wrong
        raise _wrong(f"color.{name}", color[name], wanted)
    if unknown:
        raise WeightsError(f"color has the unknown key '{min(unknown)}'")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _wrong(name: str, value: object, wanted: str) -> WeightsError:
    return WeightsError(f"{name} is '{value}'; it must be {wanted}")


def _json(table: Mapping[str, Any]) -> str:
    return json.dumps(dict(table), sort_keys=True, ensure_ascii=False, allow_nan=False)


def _table(header: Mapping[str, str], key: str) -> Any:
    try:
        return json.loads(header[key])
    except (json.JSONDecodeError, RecursionError):
        raise WeightsError(f"the metadata key '{key}' is not JSON: '{header[key][:80]}'") from None


def _whole(header: Mapping[str, str], key: str) -> int:
    text = header[key]
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise WeightsError(f"the metadata key '{key}' is no whole number: '{text[:80]}'")
    return int(text)
