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
    "batch-pairwise": " The value depends on the batch as a whole: states of batches do not merge.",
}
_WORDS = {
    REAL: "of any numbers",
    LOGITS: "of any numbers, ±inf included",
    UNIT: "from 0 to 1",
    POSITIVE: "above 0",
    NON_NEGATIVE: "from 0 on",
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
    domain, (first, second) = kind.domain, kind.parts
    of_predictions = _side(kind.prediction_names, first, domain.of_predictions)
    of_targets = _side(kind.target_names, second, domain.of_targets)
    sides = f"predictions {of_predictions}; targets {of_targets}"
    if of_predictions == of_targets and not kind.prediction_names:
        sides = f"predictions and targets {of_predictions}"
    outside = domain.bounded or any(isinstance(x, Labels) for x in domain.of_targets)
    nan = " A sample outside is nan." if outside else ""
    return f"Inputs: {sides}.{nan}{_STATES[kind.kind]}"


def _side(names: tuple[str, ...], parts: Any, values: tuple[Any, ...]) -> str:
    if not names:
        return _array(parts[0], values[0])
    each = zip(names, parts, values, strict=True)
    return ", ".join(f"{name} {_array(core, value)}" for name, core, value in each)


def _array(core: tuple[str, ...], values: Interval | Labels) -> str:
    if isinstance(values, Labels) and values.scores:
        return f"``(...)`` {_numbers(values)}, or ``(..., classes)`` scores, whose largest counts"
    return f"``({', '.join(('...', *core))})`` {_numbers(values)}"


def _numbers(values: Interval | Labels) -> str:
    """Return a description of the numbers of an interval, or of labels."""
    if isinstance(values, Labels):
        last = f"{values.classes} - 1" if isinstance(values.classes, str) else values.classes - 1
        return f"integers from 0 to {last}"
    return _WORDS.get(values) or str(values)
