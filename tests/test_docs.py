"""The reference is made from the code, and code that says nothing about itself stops it."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from recolor_cli.gallery.page import NEARLY_GRAY, VERY_SATURATED
from recolor_cli.gallery.review import CHOICES
from recolor_cli.recipes import Recipe

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "tools" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Told:
    """Says something."""

    def method(self) -> None:
        """So does this."""

    @property
    def value(self) -> int:
        """And this."""
        return 1


class HalfTold:
    """Says something, but its method does not."""

    def method(self) -> None:
        pass


class Untold:
    pass


@dataclass
class Fields:
    short: int = 1  # one line
    long: tuple[int, ...] = field(
        default=(1, 2)  # none of it
    )  # over "several" lines # here


@dataclass
class Silent:
    told: int = 1


def untold() -> None:
    pass


def test_what_says_something_passes(generate: ModuleType) -> None:
    generate.insist_on_words("Told", Told)


@pytest.mark.parametrize(
    ("value", "named"), [(untold, "x"), (Untold, "x"), (HalfTold, r"x\.method")]
)
def test_what_says_nothing_stops_the_reference(
    generate: ModuleType, value: object, named: str
) -> None:
    with pytest.raises(SystemExit, match=f"without a docstring: {named}"):
        generate.insist_on_words("x", value)


def test_the_python_reference_has_every_public_name(generate: ModuleType) -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    for module, names in generate.PUBLIC.items():
        for name in names or import_module(module).__all__:
            assert f":: {name}\n" in page or f"`{name}`" in page, f"{module}.{name}"
    from recolor_cli import __all__ as root

    assert {"Colorizer", "RecolorError"} <= set(root)


def test_fields_are_told_from_the_docstring_or_stop_the_reference(generate: ModuleType) -> None:
    @dataclass
    class Entry:
        """One.

        Attributes:
            name: what it is called,
                over two lines.
            size: in bytes.
        """

        name: str
        size: int

    assert generate.attributes(Entry) == {
        "name": "what it is called, over two lines.",
        "size": "in bytes.",
    }

    @dataclass
    class Longer(Entry):
        """One that forgets.

        Attributes:
            name: what it is called.
        """

    with pytest.raises(SystemExit, match="Longer does not say what 'size' means"):
        generate.attributes(Longer)


def test_a_recipes_field_is_told_from_the_comment_behind_it_or_stops_the_reference(
    generate: ModuleType,
) -> None:
    meant = {"short": "one line", "long": 'over "several" lines # here'}
    assert generate.comments(Fields) == meant
    with pytest.raises(SystemExit, match="Silent does not say what 'told' means"):
        generate.comments(Silent)


def test_the_recipes_reference_says_what_every_field_means() -> None:
    page = (ROOT / "docs" / "reference" / "recipes.md").read_text(encoding="utf-8")
    _, _, fields = page.partition("## Fields")
    rows = [row for row in fields.splitlines() if row.startswith("| `")]
    assert len(rows) == len(dataclasses.fields(Recipe))
    assert [row for row in rows if row.endswith("|  |")] == []


def test_the_reference_of_commands_can_be_copied_from() -> None:
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert re.findall(r"^\* .*\.\.\.$", text, re.M) == []  # cut off
    assert "[[" not in text  # brackets that nobody types
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    assert re.findall(r"^(?:recolor|torchrun) .*|^Examples.*", outside, re.M) == []
    assert "smartquotes = False" in (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")


def test_the_settings_reference_has_every_command_that_has_settings() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert "| `input-size` | a whole number | `RECOLOR_COLORIZE_INPUT_SIZE` |" in page
    assert "| `set` | list of text | `RECOLOR_TRAIN_SET` |" in page
    for heading in ("[colorize]", "[data.split]", "[models.pull]", "[eval]"):
        assert f"\n## {heading}\n" in page


def test_the_page_on_reviews_names_the_thresholds_that_hold() -> None:
    text = (ROOT / "docs" / "how-to" / "review.md").read_text(encoding="utf-8")
    assert f"chroma below {NEARLY_GRAY:g}." in text
    assert f"chroma above {VERY_SATURATED:g}." in text
    names = ("weights", *(name.replace("_", " ") for name in CHOICES if name != "model"))
    assert [name for name in names if name not in text] == []


def test_what_the_default_weights_are_good_for_stands_before_how_they_were_made() -> None:
    page = (ROOT / "docs" / "weights" / "bins-unet.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", page, re.M) == [
        "What they are good for", "Known failures", "Figures", "How it works", "How it was made",
    ]  # fmt: skip
    about, _, _ = page.partition("## How it works")
    assert "[stage 11](#how-it-was-made)" in about, "what is said only below is linked"
