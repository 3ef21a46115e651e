"""Errors of the user: one message, no traceback, exit status 2."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .._core.errors import nearest

# control characters of ASCII and Latin-1, line separators, marks that change the text direction,
# and lone surrogates, which cannot be encoded
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class InputError(Exception):
    """An error in the call; its message names the error and the fix."""


def close_to(name: str, known: Iterable[str]) -> str:
    """Return similar names as the end of a sentence."""
    names = nearest(name, known)
    return f"; did you mean {' or '.join(names)}?" if names else ""


def printable(text: str) -> str:
    r"""Return a text with its control characters escaped, as in ``\x1b``.

    Names come from files, and control characters could clear the terminal, for example.
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
