"""The documentation: `nox -s docs` builds it into build/docs, and fails at any warning."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

os.environ.setdefault("KERAS_BACKEND", "torch")
sys.path[:0] = map(str, [Path(__file__).parent, Path(__file__).parents[1]])
import gallery
import notebook_pages

import isoloss

logger = getLogger(__name__)
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
    "line_breaks",
    "mathml",
]
exclude_patterns = ["_build"]
nitpicky = True  # a reference that leads nowhere is a warning, and warnings are errors

myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_inline"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

# The types in signatures are Python's own, and the arrays of any library.
nitpick_ignore_regex = [("py:class", r"bool|float|int|str|NoneType|(isoloss\._core\..*)?Array")]
toc_object_entries = False  # the headings have the names already

html_theme = "furo"
html_title = "isoloss"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def put_in_pictures(app: Sphinx, page: str, source: list[str]) -> None:
    """Show the curves of the metrics on the pages of their families, and the pictures of notebooks."""
    folder, _, name = page.rpartition("/")
    if folder == "metrics":
        source[0] = gallery.with_pictures(source[0])
    elif folder == "notebooks":
        source[0] = notebook_pages.with_picture(name, source[0])


def check_objects(app: Sphinx, error: Exception | None) -> None:
    """Warn where a public name is no object that other projects can link to."""
    objects = app.env.domains["py"].data["objects"]
    for name in isoloss.__all__:
        if error is None and f"isoloss.{name}" not in objects:
            logger.warning("isoloss.%s is public and has no entry in objects.inv", name)


def setup(app: Sphinx) -> None:
    """Draw the pictures before the pages are read."""
    app.connect("builder-inited", lambda _: gallery.write())
    app.connect("source-read", put_in_pictures)
    app.connect("build-finished", check_objects)
