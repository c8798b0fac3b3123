"""Writes the parts of the documents that follow from the code, so that they cannot go stale.

    python tools/generate.py            write them
    python tools/generate.py --check    write nothing; exit 1 and name what is stale

Whole pages under docs/reference/, and the text between `<!-- NAME: made by ... -->` and
`<!-- end NAME -->` in README.md, CONTRIBUTING.md and others.
"""

from __future__ import annotations

import ast
import dataclasses
import html
import inspect
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "recolor_cli"
NOTICE = "<!-- Made by tools/generate.py from the code; `make fix` writes it anew. -->\n\n"
MARKED = re.compile(
    r"(<!-- (?P<name>[a-z-]+): made by [^>]*-->\n).*?(<!-- end (?P=name) -->)", re.S
)


def main(arguments: list[str]) -> int:
    """Write or check every generated text; return the exit status."""
    if arguments not in ([], ["--check"]):
        print("generate: the only option is --check", file=sys.stderr)
        return 2
    stale = [path for path, text in texts() if not path.exists() or read(path) != text]
    if arguments:
        for path in stale:
            print(f"generate: {path.relative_to(ROOT)} is stale; run make fix", file=sys.stderr)
        return 1 if stale else 0
    for path, text in texts():
        if path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"generate: wrote {path.relative_to(ROOT)}")
    return 0


def texts() -> Iterable[tuple[Path, str]]:
    """Every file that is generated wholly or partly, with the text that it should have."""
    for name, page in PAGES.items():
        yield ROOT / "docs" / "reference" / name, NOTICE + page().strip() + "\n"
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        if path.name in PAGES and path.parent.name == "reference":
            continue
        text = read(path)
        if MARKED.search(text):
            yield path, MARKED.sub(fill, text)


def fill(match: re.Match[str]) -> str:
    """Replace what stands between two markers."""
    name = match["name"]
    if name not in PARTS:
        raise SystemExit(f"generate: no part {name!r}; there are {', '.join(sorted(PARTS))}")
    return f"{match[1]}\n{PARTS[name]().strip()}\n\n{match[3]}"


def read(path: Path) -> str:
    """The text of a file."""
    return path.read_text(encoding="utf-8")


# --- pages -------------------------------------------------------------------------------------


def cli_page() -> str:
    """Every command with its options, as Typer describes them."""
    quiet = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "-m", "typer", "recolor_cli.cli.app", "utils", "docs"]
    made = subprocess.run(
        [*command, "--name", "recolor", "--title", "Command line"],
        cwd=ROOT, env=quiet, capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    text = made.stdout.replace("```console\n$ ", "```text\n")
    text = html.unescape(re.sub(r"\[/?(bold|dim|italic)?\]", "", text))  # Rich's markup
    return with_examples_as_blocks(with_whole_sentences(text))


def with_whole_sentences(text: str) -> str:
    """Lists of commands with the first paragraph of each, which Typer cuts off at 45 characters."""
    about = dict(re.findall(r"^##+ `recolor ([^`]+)`\n\n(.+?)\n\n", text, re.M | re.S))
    parent, lines, listed = "", [], False
    for line in text.splitlines():
        if heading := re.match(r"##+ `recolor ([^`]+)`$", line):
            parent, listed = f"{heading[1]} ", False
        listed = listed or line == "**Commands**:"
        if listed and (item := re.match(r"\* `([\w-]+)`: ", line)):
            line = f"{item[0]}{' '.join(about[parent + item[1]].split())}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def with_examples_as_blocks(text: str) -> str:
    """Examples as code: a page would make a dash of two hyphens, and join what wraps."""

    def block(match: re.Match[str]) -> str:
        return "**Examples**:\n\n```text\n" + re.sub(r"\n+", "\n", match[1]).strip() + "\n```\n\n"

    text = re.sub(
        r"^Examples:  (.*)$",
        lambda m: "Examples\n\n" + m[1].replace("   ", "\n\n"),
        text,
        flags=re.M,
    )
    return re.sub(r"^Examples\n\n((?:recolor .*\n+|torchrun .*\n+)+)", block, text, flags=re.M)


def recipes_page() -> str:
    """Every recipe by what it changes, and every field with its default."""
    recipes = import_module("recolor_cli.recipes")
    defaults = {field.name: default(field) for field in dataclasses.fields(recipes.Recipe)}
    rows = []
    for name, recipe in recipes.RECIPES.items():
        changed = {
            field.name: value
            for field in dataclasses.fields(recipe)
            if (value := getattr(recipe, field.name)) != defaults[field.name]
            and field.name not in ("title", "paper")
        }
        sets = ", ".join(f"`{key}={show(value)}`" for key, value in changed.items())
        rows.append((f"`{name}`", recipe.paper, recipe.title, sets or "the defaults below"))
    notes = comments(recipes.Recipe)
    fields = [
        (f"`{f.name}`", show_default(defaults[f.name]), choices(f), notes[f.name])
        for f in dataclasses.fields(recipes.Recipe)
    ]
    return (
        "# Recipes\n\nA recipe is a value: `recolor_cli/recipes/` has them all. "
        "`recolor recipes NAME` prints one in full; `--set FIELD=VALUE` changes a field for one "
        "run.\n\n"
        f"{table(('recipe', 'paper', 'what it is', 'what it sets'), rows)}\n## Fields\n\n"
        f"{table(('field', 'default', 'values', 'meaning'), fields)}"
    )


def weights_page() -> str:
    """What the fields of an entry of weights.json mean, and every entry with all of them."""
    manifest = json.loads(read(ROOT / "weights.json"))
    entry_type = import_module("recolor_cli.weights.manifest").Entry
    meanings = [(f"`{name}`", meaning) for name, meaning in attributes(entry_type).items()]
    text = (
        "# Weights\n\n`weights.json` names them; new weights are a new entry there. "
        f"The default is `{manifest['default']}`.\n\n"
        f"## Fields\n\n{table(('field', 'meaning'), meanings)}"
    )
    for name, entry in manifest["weights"].items():
        rows = [(f"`{key}`", show_cell(value)) for key, value in entry.items()]
        text += f"\n## {name}\n\n{table(('field', 'value'), rows)}"
    return text


def metrics_page() -> str:
    """Every metric: definition, what is done to pictures first, unit, which way is better."""
    text = (
        "# Metrics\n\nNumbers compare only under the same definition, the same preprocessing and "
        "the same protocol; `recolor eval` writes all three into its report.\n"
    )
    for name, metric in import_module("recolor_cli.metrics").METRICS.items():
        better = "nearest to the truth's own" if metric.better == "truth" else metric.better
        unit = f", in {metric.unit}" if metric.unit else ""
        text += (
            f"\n## {name}\n\n{' '.join(metric.definition.split())}\n\n"
            f"- Pictures first: {' '.join(metric.preprocessing.split())}\n"
            f"- Better: {better}{unit}\n"
        )
        if metric.network:
            text += f"- Network: {metric.network}\n"
    return text


def settings_page() -> str:
    """Every key of recolor.toml, command by command."""
    app = import_module("recolor_cli.cli.app")
    keys = import_module("recolor_cli.cli.keys")
    group = import_module("typer.main").get_command(app.app)
    general = ", ".join(f"`{name}`" for name in sorted(keys.general_names()))
    text = (
        "# Settings\n\nWhat `recolor.toml`, `[tool.recolor]` and the environment can say; "
        "[how-to](../how-to/settings.md) says who wins. These stand at the top of a file, for all "
        f"commands that have them, and as `RECOLOR_NAME`: {general}.\n"
    )
    for name in app.COMMANDS:
        for words, leaf in keys.leaves(group.get_command(None, name), (name,)):
            rows = [
                (f"`{key.name}`", kind_of(key), f"`{key.variables[0]}`", key.help)
                for key in keys.keys_of(leaf, words)
            ]
            if rows:
                text += f"\n## [{'.'.join(words)}]\n\n"
                text += table(("key", "value", "variable", "what it does"), rows)
    return text


def kind_of(key: object) -> str:
    """What a key takes, in words."""
    kinds = import_module("recolor_cli.cli.keys").KINDS
    kind: type = getattr(key, "kind")  # noqa: B009  its class is not imported here
    choices: tuple[str, ...] = getattr(key, "choices")  # noqa: B009
    words = ", ".join(f"`{choice}`" for choice in choices) or kinds[kind][0]
    return f"list of {words}" if getattr(key, "many") else str(words)  # noqa: B009


def python_page() -> str:
    """Every public name, module by module, for Sphinx to fill in from the docstrings."""
    text = (
        "# Python\n\nWhat these modules name in `__all__` is public: it changes with a line in "
        "the changelog. Everything else may change any day.\n"
    )
    for name, wanted in PUBLIC.items():
        module = import_module(name)
        doc = (module.__doc__ or "").strip().splitlines()[0]
        names = sorted(wanted or module.__all__, key=str.lower)
        values = [public for public in names if not callable(getattr(module, public))]
        text += f"\n## {name}\n\n{doc}\n\n"
        if values:
            text += f"Values: {', '.join(f'`{public}`' for public in values)}.\n\n"
        text += f"```{{eval-rst}}\n.. currentmodule:: {name}\n"
        for public in names:
            value = getattr(module, public)
            if not callable(value):
                continue
            insist_on_words(f"{name}.{public}", value)
            if isinstance(value, type):
                members = "" if issubclass(value, Exception) else "   :members:\n"
                text += f"\n.. autoclass:: {public}\n{members}"
            else:
                text += f"\n.. autofunction:: {public}\n"
        text += "```\n"
    return text


def insist_on_words(name: str, value: object) -> None:
    """Refuse a public function, class or method that says nothing about itself."""
    silent = [] if vars(value).get("__doc__") or getattr(value, "__doc__", None) else [name]
    if isinstance(value, type):
        silent += [
            f"{name}.{member}"
            for member, inside in vars(value).items()
            if not member.startswith("_")
            and (inspect.isroutine(inside) or isinstance(inside, property))
            and not inspect.getdoc(inside)
        ]
    if silent:
        raise SystemExit(f"generate: public, and without a docstring: {', '.join(silent)}")


# --- parts -------------------------------------------------------------------------------------


def weights_table() -> str:
    """One row for each entry of weights.json."""
    manifest = json.loads(read(ROOT / "weights.json"))
    rows = []
    for name, entry in manifest["weights"].items():
        label = f"**`{name}`**, the default" if name == manifest["default"] else f"`{name}`"
        home = "in the package" if entry["source"] == "package" else "downloaded when asked for"
        size = f"{entry['bytes'] / 1e6:.0f} MB, " if entry["bytes"] else ""
        measured = ", ".join(f"{key} {value:.4g}" for key, value in entry["metrics"].items())
        millions = f"{entry['parameters'] / 1e6:.1f} M"
        rows.append((label, millions, size + home, entry["license"], measured or "not yet"))
    return table(("weights", "parameters", "file", "licence", "measured here"), rows)


def short_map() -> str:
    """One line for each file or package at the top of recolor_cli."""
    entries = [path for path in PACKAGE.iterdir() if is_module(path) or is_package(path)]
    order = {name: position for position, name in enumerate(layer_order())}
    entries.sort(key=lambda path: order.get(path.stem, -1))
    return listing((path, "") for path in entries if not path.name.startswith("__"))


def full_map() -> str:
    """One line for each file of the package and of tools/."""
    lines = []
    for path in sorted(walk(PACKAGE), key=lambda path: path.parts):
        lines.append((path, "    " * (len(path.relative_to(PACKAGE).parts) - 1)))
    return listing(lines) + "\n" + listing((path, "") for path in sorted(ROOT.glob("tools/*.py")))


def layer_order() -> list[str]:
    """The order of imports, from the test that holds it."""
    tree = ast.parse(read(ROOT / "tests" / "test_layers.py"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ORDER":
            return list(ast.literal_eval(node.value))
    raise SystemExit("generate: tests/test_layers.py has no ORDER any more")


def layers() -> str:
    """The order of imports as one line."""
    return f"```text\n{' < '.join(layer_order())}\n```"


def walk(folder: Path) -> Iterable[Path]:
    """Packages and modules under a folder."""
    for path in folder.iterdir():
        if is_package(path):
            yield path
            yield from walk(path)
        elif is_module(path) and path.name != "__init__.py":
            yield path


def is_module(path: Path) -> bool:
    """Whether this is a Python file."""
    return path.suffix == ".py"


def is_package(path: Path) -> bool:
    """Whether this is a folder of Python files."""
    return (path / "__init__.py").exists()


def listing(entries: Iterable[tuple[Path, str]]) -> str:
    """File names and the first lines of their docstrings, in two columns."""
    rows = [(indent + path.name + "/" * path.is_dir(), about(path)) for path, indent in entries]
    width = max(len(name) for name, _ in rows) + 2
    return "```text\n" + "".join(f"{name:{width}}{line}\n" for name, line in rows) + "```\n"


def about(path: Path) -> str:
    """The first line of a file's docstring, as a phrase."""
    source = path / "__init__.py" if path.is_dir() else path
    doc = ast.get_docstring(ast.parse(read(source)))
    if not doc:
        raise SystemExit(f"generate: {source.relative_to(ROOT)} says nothing in its first line")
    return doc.splitlines()[0].rstrip(".")


# --- small helpers -----------------------------------------------------------------------------


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in escaped)


def show(value: object) -> str:
    """A value as `--set` takes it."""
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def show_default(value: object) -> str:
    """A default in a table cell."""
    return "none" if value in ("", None) else f"`{show(value)}`"


def show_cell(value: object) -> str:
    """A value of weights.json in a table cell: text as it is, everything else as code."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"`{json.dumps(value, ensure_ascii=False)}`"


def comments(kind: type) -> dict[str, str]:
    """The comment behind each field of a dataclass, which must have one."""
    source = inspect.cleandoc(inspect.getsource(kind))
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            # Behind its last line: a long field stands on several.
            rest = source.splitlines()[(node.end_lineno or node.lineno) - 1][node.end_col_offset :]
            found[node.target.id] = rest.partition("#")[2].strip()
    if silent := [name for name, meaning in found.items() if not meaning]:
        raise SystemExit(f"generate: {kind.__name__} does not say what {silent[0]!r} means")
    return found


def attributes(kind: type) -> dict[str, str]:
    """The meaning of each attribute of a class, from its docstring, which must have them all."""
    _, _, text = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    found = {
        name: " ".join(meaning.split())
        for name, meaning in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.M)
    }
    if missing := {field.name for field in dataclasses.fields(kind)} - set(found):
        raise SystemExit(f"generate: {kind.__name__} does not say what {min(missing)!r} means")
    return found


def default(field: dataclasses.Field[object]) -> object:
    """The default of a field, made by its factory where it has one."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def choices(field: dataclasses.Field[object]) -> str:
    """What a field of a recipe may be: one of some names, or a range."""
    if names := field.metadata.get("of"):
        return ", ".join(f"`{name}`" for name in names)
    low, high = field.metadata.get("low", -math.inf), field.metadata.get("high", math.inf)
    if math.isinf(low) and math.isinf(high):
        return ""
    return f"at least {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"


PUBLIC: dict[str, tuple[str, ...]] = {  # module -> its public names; () is its __all__
    "recolor_cli.colorize": (),
    "recolor_cli.weights": (),
    "recolor_cli.checkpoints": (),
    "recolor_cli.recipes": (),
    "recolor_cli.train": ("train",),
    "recolor_cli.evaluate": (),
    "recolor_cli.metrics": (),
    "recolor_cli.models": ("MODELS", "create_model"),
    "recolor_cli.errors": (
        "DataError", "MissingExtraError", "OutputError", "PhotoError", "RecipeError",
        "RecolorError", "StorageError", "UsageError", "WeightsError",
    ),
}  # fmt: skip
PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "recipes.md": recipes_page,
    "weights.md": weights_page,
    "metrics.md": metrics_page,
    "settings.md": settings_page,
    "python.md": python_page,
}
PARTS: dict[str, Callable[[], str]] = {
    "weights": weights_table,
    "map": short_map,
    "full-map": full_map,
    "layers": layers,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
