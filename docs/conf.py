"""How Sphinx makes the site: Markdown pages, the Python reference from docstrings."""

from importlib.metadata import version as version_of

project = "recolor"
copyright = "the recolor authors"
release = version = version_of("recolor-cli")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["pictures/*.md"]

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.header",  # generated pages start where their source starts
]

autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # or fields would be described twice, here and as members

smartquotes = False  # it makes a dash of the hyphens of --option

html_theme = "furo"
html_title = "recolor"
html_theme_options = {"sidebar_hide_name": False}


def _show_indented_blocks_as_they_are(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Docstrings set examples and diagrams off by indentation alone; reST wants `::` before."""
    shown: list[str] = []
    for number, line in enumerate(lines):
        begins = line.startswith("    ") and number > 1 and not lines[number - 1].strip()
        before = next((text for text in reversed(lines[:number]) if text.strip()), "")
        if begins and not before.startswith(" "):
            shown += ["::", ""]
        shown.append(line)
    lines[:] = shown


def setup(app: object) -> None:
    """Called by Sphinx."""
    # 400: before napoleon (500) reads the sections.
    app.connect(  # type: ignore[attr-defined]
        "autodoc-process-docstring", _show_indented_blocks_as_they_are, priority=400
    )
