"""The wording of errors: each message begins with the metric."""

from __future__ import annotations

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
