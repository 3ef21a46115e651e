"""The documentation: `nox -s docs` builds it into build/docs, and fails at any warning."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

from sphinx.application import Sphinx

os.environ.setdefault("KERAS_BACKEND", "torch")
sys.path.insert(0, str(Path(__file__).parent))
import gallery

project = "isoloss"
author = "The isoloss developers"
copyright = author  # noqa: A001  (Sphinx asks for this name)
version = release = metadata.version("isoloss")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "matplotlib.sphinxext.plot_directive",
]
exclude_patterns = ["_build"]
nitpicky = True  # a reference that leads nowhere is a warning, and warnings are errors

myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_inline"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4

autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

plot_include_source = False
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("svg", 72)]
plot_rcparams = {"savefig.bbox": "tight"}
plot_apply_rcparams = True

html_theme = "furo"
html_title = "isoloss"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def setup(app: Sphinx) -> None:
    """Draw the gallery before the pages are read."""
    app.connect("builder-inited", lambda _: gallery.write())
