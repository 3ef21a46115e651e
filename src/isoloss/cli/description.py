"""Describe a metric: formula, domain, properties and references."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .._core.domains import Interval, Labels
from .._core.metric import Metric
from .._core.wrappers import Wrapper
from . import tables
from .catalogue import Entry, described, parameters
from .comparison import has_error
from .formula import in_text

MARKED = re.compile(r"^\.\. math:: (.*(?:\n    .*)*)", re.MULTILINE)


def sections(docstring: str) -> dict[str, str]:
    """Split a docstring at its underlined headings; the text before them has the key ''."""
    parts = re.split(r"^(\w+)\n-+\n", inspect.cleandoc(docstring), flags=re.MULTILINE)
    named = zip(parts[1::2], (part.strip("\n") for part in parts[2::2]), strict=True)
    return {"": parts[0].strip(), **dict(named)}


def formulas(text: str) -> str:
    """Replace the formulas and literals of a docstring by plain text."""
    plain = MARKED.sub(lambda match: f"    {in_text(' '.join(match[1].split()))}", text)
    return plain.replace("``", "`")


def properties(entry: Entry, metric: Metric | None) -> Iterator[tuple[str, str]]:
    """Yield the declared properties of a metric."""
    entry = replace(entry, metric=metric)
    if entry.aliases:
        yield "aliases", ", ".join(entry.aliases)
    yield "family", entry.family
    for name in ("kind", "greater_is_better", "signature"):
        yield name.replace("_", " "), _text(entry.declared(name))
    if not isinstance(metric, Wrapper):
        yield "parameters", described(entry.cls).removeprefix("it has ")
    if metric is not None:
        sides = (("predictions", metric.prediction_names, metric.domain.of_predictions),
                 ("targets", metric.target_names, metric.domain.of_targets))  # fmt: skip
        for side, names, values in sides:
            texts = [_values(one) for one in values]
            if names:
                texts = [f"{n}: {text}" for n, text in zip(names, texts, strict=True)]
            yield side, ", ".join(texts)
        yield "standard error", "yes" if has_error(metric) else "no"


def _text(declared: Any) -> str:
    words = {True: "yes", False: "no", None: "that of its metric"}
    return words[declared] if declared in (True, False, None) else str(declared)


def _values(values: Interval | Labels) -> str:
    if isinstance(values, Labels):
        count = f" of {values.classes} classes" if isinstance(values.classes, int) else ""
        return f"integer labels{count}" + (", or scores" if values.scores else "")
    return f"{values}, or infinite" if values.infinite else str(values)


def write(console: Console, entry: Entry, metric: Metric | None) -> None:
    """Write the description."""
    console.print(Text(repr(metric) if metric is not None else entry.call, style="bold"))
    named = metric
    while isinstance(named, Wrapper):  # the docstring of the innermost metric has the text
        named = named.metric
    parts = sections((type(named) if named is not None else entry.cls).__doc__ or "")
    console.print(Text(formulas(parts[""])), end="\n\n", soft_wrap=True)
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in properties(entry, metric):
        table.add_row(Text(name, style="cyan"), Text(text))
    tables.write(console, table)
    for heading in ("Parameters", "Examples", "References"):
        if heading in parts and (heading != "Parameters" or parameters(entry.cls)):
            console.print()
            console.print(Text(heading, style="bold"))
            console.print(Text(formulas(parts[heading])), soft_wrap=True)
