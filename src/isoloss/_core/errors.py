"""The wording of errors: each message begins with the metric."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def fail(subject: Any, message: str, kind: type[Exception] = ValueError) -> Exception:
    """Build an error whose message begins with the metric."""
    return kind(f"{subject!r}: {message}")


def abbreviated(value: Any) -> str:
    """Return the repr of a value, truncated to 60 characters."""
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def have(name: str) -> str:
    """Return a name and the matching form of the verb: "targets have"."""
    return f"{name} {'have' if name.endswith('s') else 'has'}"


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three names that may have been meant, regardless of case.

    Names with a word that begins like the given name come first: "auc" finds ``roc_auc_score``.
    """
    by_case: dict[str, str] = {}
    for candidate in known:
        if candidate.islower() or candidate.lower() not in by_case:  # huber, rather than Huber
            by_case[candidate.lower()] = candidate
    word = name.lower()
    begin = [x for x in by_case if any(part.startswith(word) for part in x.split("_")) and word]
    close = sorted(begin, key=len)[:3] or difflib.get_close_matches(word, by_case, 3)
    return [by_case[x] for x in close]
