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

html_theme = "furo"
html_title = "recolor"
html_theme_options = {"sidebar_hide_name": False}
