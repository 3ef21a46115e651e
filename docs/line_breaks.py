"""Names may go on in the next line: after an underscore, a dot or a bracket, and before a capital.

Without it, a browser keeps `symmetric_mean_absolute_percentage_error` on one line, which is wider than a
phone, or breaks it within a word.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

PIECE = re.compile(r'(<span class="pre">)([^<]+)(?=</span>)')
PLACE = re.compile(r"(?<=[_(,])(?=\w)|(?<=\.)(?=[a-zA-Z])|(?<=[a-z])(?=[A-Z])")


def allow(html: str) -> str:
    """Return a page with breaks allowed within the names in its text."""
    return PIECE.sub(lambda match: match[1] + PLACE.sub("<wbr>", match[2]), html)


def allow_in_page(app: Sphinx, page: str, template: str, context: dict[str, Any], _: Any) -> None:
    """Change the text of a page before it is written."""
    if "body" in context:
        context["body"] = allow(context["body"])


def setup(app: Sphinx) -> None:
    """Change every page."""
    app.connect("html-page-context", allow_in_page)
