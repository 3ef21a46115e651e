"""How an error is put in words: it begins with the metric it is about."""

from __future__ import annotations

from typing import Any


def fail(subject: Any, message: str, kind: type[Exception] = ValueError) -> Exception:
    """Build an error that begins with the metric it is about."""
    return kind(f"{subject!r}: {message}")


def abbreviated(value: Any) -> str:
    """Return the repr of a value, cut where it is long."""
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def have(name: str) -> str:
    """Return a name and the verb that goes with it."""
    return f"{name} {'have' if name.endswith('s') else 'has'}"
