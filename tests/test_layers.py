"""Imports point to the left. The order is the architecture; docs/explanation/layout.md says why."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "recolor_cli"
ORDER = [
    "errors", "interrupting", "color", "ranges", "images", "cgroups", "devices",  # ground
    "torchvision_import",                         # a library that does not always import by itself
    "models",                                     # networks
    "recipes", "backbones", "losses", "data", "metrics",  # parts; backbones: ImageNet weights
    "checkpoints", "weights",                     # storage
    "colorize", "gallery",                        # the main verb; looking at what it made
    "evaluate", "training", "train",              # verbs; training: what train.py's loop is made of
    "cli",                                        # command line
]  # fmt: skip
ROOT_FILES = {"__init__.py", "__main__.py"}  # re-exports; the door of `python -m recolor_cli`

# Part of the package -> libraries that importing it must not load, through any number of steps.
WITHOUT = {
    "cli": {"torch", "torchvision", "cv2", "numpy", "PIL", "skimage", "huggingface_hub"},
    "recipes": {"torch", "torchvision", "cv2"},
    "images": {"torch", "torchvision"},
    "color.lab": {"torch", "torchvision"},
    "color.gamut": {"torch", "torchvision"},
    "color.merge": {"torch", "torchvision"},
    "color.tint": {"torch", "torchvision"},
    "colorize": {"torchvision"},  # its builds for CUDA do not import beside a CPU-only torch
    "errors": {"torch", "cv2", "numpy", "rich", "typer"},
}

FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.name not in ROOT_FILES or path.parent != PACKAGE
)


def name_of(path: Path) -> str:
    """`recolor_cli/color/lab.py` -> `color.lab`; a package's `__init__.py` -> the package."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in FILES}


def imports(tree: ast.AST) -> set[str]:
    """Full dotted names that a piece of code imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import; write from recolor_cli.x import y"
            found.add(str(node.module))
            # `from recolor_cli.color import lab` names a module too.
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def is_for_types_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


class ModuleLevel(ast.NodeTransformer):
    """Leaves what runs on import: no function bodies, no TYPE_CHECKING blocks."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        return None

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        return None

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if is_for_types_only(node) else self.generic_visit(node)


def imports_at_start(path: Path) -> set[str]:
    return imports(ModuleLevel().visit(ast.parse(path.read_text(encoding="utf-8"))))


def loaded_by(start: str) -> dict[str, str]:
    """Libraries that `import recolor_cli.<start>` loads -> the module of ours that wants them."""
    libraries: dict[str, str] = {}
    to_visit, seen = [start], set()
    while to_visit:
        module = to_visit.pop()
        if module in seen:
            continue
        seen.add(module)
        if "." in module:
            to_visit.append(module.rpartition(".")[0])
        if module not in MODULES:
            continue
        for name in imports_at_start(MODULES[module]):
            library, _, rest = name.partition(".")
            if library == "recolor_cli":
                to_visit += [name for name in (rest, rest.rpartition(".")[0]) if name in MODULES]
            else:
                libraries.setdefault(library, module)
    return libraries


def test_every_part_of_the_package_has_its_place_in_the_order() -> None:
    parts = {name.split(".")[0] for name in MODULES}
    assert parts <= set(ORDER), (
        f"give {sorted(parts - set(ORDER))} a place in ORDER, and say why in layout.md"
    )


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_to_the_left(name: str) -> None:
    used = imports(ast.parse(MODULES[name].read_text(encoding="utf-8")))
    # The version is the one thing that lives at the root; everything else has a module.
    from_root = {n.split(".")[1] for n in used if n.startswith("recolor_cli.")} - {"__version__"}
    modules = {module.split(".")[0] for module in MODULES}
    assert from_root <= modules, f"import {from_root - modules} from its module, not from the root"
    own = ORDER.index(name.split(".")[0])
    later = sorted(part for part in from_root if ORDER.index(part) > own)
    assert not later, f"{name} imports {later}, which stand to its right in ORDER"


@pytest.mark.parametrize("part", WITHOUT)
def test_importing_this_part_leaves_heavy_libraries_alone(part: str) -> None:
    inside = [name for name in MODULES if name == part or name.startswith(f"{part}.")]
    assert inside, f"{part} is gone; mend WITHOUT"
    for name in inside:
        loaded = loaded_by(name)
        heavy = {library: via for library, via in loaded.items() if library in WITHOUT[part]}
        assert not heavy, (
            f"importing recolor_cli.{name} loads {heavy} (library: module that imports it)"
        )


def test_every_file_says_in_its_first_line_what_it_knows() -> None:
    silent = [
        name for name, path in MODULES.items()
        if not (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()
    ]  # fmt: skip
    assert not silent, f"no docstring at the top of {silent}"


def test_files_stay_small_enough_to_read() -> None:
    long = {
        name: n
        for name, path in MODULES.items()
        if (n := len(path.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert not long, f"split these by noun: {long}"
