"""The generated paragraph of a docstring on the inputs and the state of a metric."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from .domains import LOGITS, NON_NEGATIVE, POSITIVE, REAL, UNIT, Domain, Interval, Labels

_STATES = {
    "mean": "",  # the usual state
    "sums": " The state is a few sums: it merges exactly, in constant memory.",
    "moments": " The state is means and central moments: it merges exactly, in constant memory.",
    "counts": " The state is counts: it merges exactly, in constant memory.",
    "extremum": " The state is the largest term: it merges exactly, in constant memory.",
    "sorted whole": " The state is the data: merging concatenates, and memory grows with the data.",
    "batch-pairwise": " The value is of a batch as a whole; of several batches, it is the mean.",
}
_WORDS = {
    REAL: "of any numbers",
    LOGITS: "of any numbers, ±inf included",
    UNIT: "from 0 to 1",
    POSITIVE: "above 0",
    NON_NEGATIVE: "of 0 or more",
}
_SECTION = re.compile(r"\n\n *(Parameters|Examples|References)\n *-{3,}\n")


def with_inputs(kind: Any) -> str:
    """Return the docstring of a class of metrics with the generated paragraph inserted."""
    text, domain = kind.__doc__, kind.domain
    declared = isinstance(domain, Domain) and not isinstance(kind.parts, property)
    if not declared:
        return text  # type: ignore[no-any-return]
    place = _SECTION.search(text)
    end = place.start() if place else len(text.rstrip())
    paragraph = textwrap.fill(inputs_of(kind), 96, break_on_hyphens=False)
    return f"{text[:end]}\n\n{textwrap.indent(paragraph, '    ')}{text[end:]}"


def inputs_of(kind: Any) -> str:
    """Return the paragraph: shapes and domains of the inputs, and the kind of the state."""
    domain = kind.domain
    outside = domain.bounded or any(isinstance(x, Labels) for x in domain.of_targets)
    nan = "A sample outside is nan." if kind.kind == "mean" else "A sample outside gives nan."
    nan = f" {nan}" if outside else ""
    return f"Inputs: {sides_of(kind)}.{nan}{_STATES[kind.kind]}"


def sides_of(kind: Any) -> str:
    """Return the shapes and domains of predictions and targets."""
    domain, (first, second) = kind.domain, kind.parts
    known = {name for core in (*first, *second) for name in core} | {"num_classes"}
    of_predictions = _side(kind.prediction_names, first, domain.of_predictions, known)
    of_targets = _side(kind.target_names, second, domain.of_targets, known)
    if of_predictions == of_targets and not kind.prediction_names:
        return f"predictions and targets {of_predictions}"
    return f"predictions {of_predictions}; targets {of_targets}"


def _side(names: tuple[str, ...], parts: Any, values: tuple[Any, ...], known: set[str]) -> str:
    if not names:
        return _array(parts[0], values[0], known)
    each = zip(names, parts, values, strict=True)
    return ", ".join(f"{name} {_array(core, value, known)}" for name, core, value in each)


def _array(core: tuple[str, ...], values: Interval | Labels, known: set[str]) -> str:
    if isinstance(values, Labels) and values.scores:
        scores = "``(..., classes)`` scores, of which the largest is the answer"
        return f"``(...)`` {_numbers(values, known)}, or {scores}"
    return f"``({', '.join(('...', *core))})`` {_numbers(values, known)}"


def _numbers(values: Interval | Labels, known: set[str]) -> str:
    """Return a description of the numbers of an interval, or of labels."""
    if isinstance(values, Labels):
        classes = values.classes
        if isinstance(classes, int):
            return f"integers from 0 to {classes - 1}"
        return f"integers from 0 {f'to {classes} - 1' if classes in known else 'up'}"
    return _WORDS.get(values) or str(values)
