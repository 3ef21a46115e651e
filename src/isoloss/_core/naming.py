"""The public name of a metric: the name of an equal metric in its family's module."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import Any

from .parameters import NOTHING, declared_of, is_default

_FAMILIES = f"{__name__.partition('.')[0]}.metrics."  # the prefix of their module names


def family_of(metric: Any) -> str:
    """Return the family of a metric, or of the metric it wraps; "" for a user's metric."""
    while hasattr(metric, "metric"):
        metric = metric.metric
    module = type(metric).__module__
    return module.removeprefix(_FAMILIES) if module.startswith(_FAMILIES) else ""


@cache
def _names_of_members(family: str) -> dict[Any, str]:
    """Return the first public name of every metric of a family."""
    module = import_module(_FAMILIES + family)
    names: dict[Any, str] = {}
    for name, member in vars(module).items():
        if hasattr(type(member), "summary"):
            names.setdefault(member, name)
    return names


def name_of(metric: Any) -> str:
    """Return the public name of a metric, which is the key of its value in results.

    A member without a name of its own has the name of its class and its words, such as
    ``f1_macro``, or else its repr, such as ``Huber(delta=2.0)``.
    """
    family = family_of(metric)
    try:
        known = _names_of_members(family).get(metric) if family else None
    except TypeError:  # a hyper-parameter is an array, which has no hash
        known = None
    return known or _name_of_words(metric) or repr(metric)


def _name_of_words(metric: Any) -> str:
    """Return the name of a class and its parameters if those are words or numbers of classes."""
    if not is_dataclass(metric) or hasattr(metric, "metric"):
        return ""
    words: list[str] = []
    for item in fields(metric):
        value = getattr(metric, item.name)
        if declared_of(metric).get(item.name, NOTHING).allowed:
            words += [value] if isinstance(value, str) else []
            if value is None and item.default is not None:
                words.append("per_class")
        elif item.name != "num_classes" and not is_default(value, item.default):
            return ""
    if not words and not hasattr(metric, "num_classes"):
        return ""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(metric).__name__).lower()
    return "_".join([name.removesuffix("_score") if words else name, *words])


class CallDocumentation:
    """The ``__doc__`` of a metric; that of an instance begins with the signature of its call.

    Without a docstring of the instance, `help` would show every method of its class.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __get__(self, instance: Any, owner: Any) -> str:
        if instance is None:
            return self.text
        named = name_of(instance)
        indent = " " * (len(named) + 1)
        head = CALL.replace("\n", "\n" + indent)
        return f"{named}({head}\n\n{OPTIONS}\n{self.text}"


CALL = """\
predictions, targets, *, weights=None, where=None, axis=None,
keepdims=False, reduction='mean', denominator=None, empty=nan,
event_axis=None)"""
OPTIONS = """\
    weights      array that broadcasts to the shape of the loss
    where        boolean array: the samples that count
    axis         axes to reduce; all by default
    keepdims     keep reduced axes with length 1
    reduction    "mean", "sum" or "none"
    denominator  divide the sum by this instead of by the sum of the weights
    empty        the value where no sample counts
    event_axis   the axis of classes or features; the last by default

    summary(...) returns a state of a batch, whose merge() adds other batches, and
    compute(state) the value.
"""
