"""What a user may get wrong: one message, no traceback, exit status 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """An error of the call, whose text names it and says what to do."""


def close_to(name: str, known: Iterable[str]) -> str:
    """Return the names that may have been meant, as the end of a sentence."""
    by_case: dict[str, str] = {}
    for one in known:
        by_case.setdefault(one.lower(), one)
    close = difflib.get_close_matches(name.lower(), by_case, 3)
    return f"; did you mean {' or '.join(by_case[one] for one in close)}?" if close else ""
