"""Metrics of all samples at once, declared briefly: the number by two formulas, where to draw.

A family is a module with a dict ``DEFINITIONS`` of such declarations, by public name. The gradient
is not written down: it is 0 for what is constant but for steps, and else central differences give it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cases import FLOATS, WIDE, Case, rounded
from definitions import Result
from families import Special, agree, derivatives, exact, leaves, moved, rebuilt, rounded_like
from mpmath import mp, mpf

Samples = tuple[list[Any], list[Any]]


@dataclass(frozen=True)
class Whole:
    """A metric of all samples.

    ``value`` and ``other`` are the same number, or list of numbers, by two formulas, of all
    predictions, targets and weights. ``draw`` returns samples that the dtype need not hold; ``fits`` tells whether those that
    it holds, as exact numbers, are away from steps and kinks.
    """

    value: Callable[..., mpf]
    other: Callable[..., mpf]
    draw: Callable[[random.Random, int, dict[str, Any]], Samples]
    required: dict[str, Any] = field(default_factory=dict)  # parameters without a default
    variants: tuple[dict[str, Any], ...] = ()
    special: tuple[Special, ...] = ()
    labels: bool = False  # targets are integers
    dtypes: tuple[str, ...] = FLOATS
    steps: bool = False  # constant but for steps: its gradient is 0
    fits: Callable[..., bool] = lambda p, y, **_: True
    sizes: tuple[int, int] = (12, 9)  # how many samples there are, typically and with parameters
    limit: float = 4.0  # how many times a relative change of an input may be magnified
    least: float = 0.0  # the size of a value that is the difference of numbers near 1


def balanced(entry: Whole, p: list[Any], y: list[Any], w: list[mpf], named: dict[str, Any]) -> bool:
    """Whether the value and the gradient lose at most so many times the inputs' rounding."""
    value = entry.value(p, y, w, **named)
    if not all(mp.isfinite(x) and abs(x) > entry.least for x in leaves([value])):
        return False
    if entry.steps:
        return True
    step = mpf(10) ** -40
    for place, x in enumerate(leaves(p)):
        near = entry.value(moved(p, place, x * step), y, w, **named)
        pairs = zip(leaves([near]), leaves([value]), strict=True)
        if any(abs(a - b) > entry.limit * step * abs(b) for a, b in pairs):
            return False
    if isinstance(value, list):
        return True
    here = derivatives(lambda q: entry.value(q, y, w, **named), p)[0]
    steep = max(map(abs, here))
    for place, x in enumerate(leaves(p)):
        near = moved(p, place, x * step)
        there = derivatives(lambda q, near=near: entry.value(q, y, w, **named), near)[0]
        if max(abs(a - b) for a, b in zip(here, there, strict=True)) > entry.limit * step * steep:
            return False
    return True


def sample(
    name: str, entry: Whole, case: str, dtype: str, n: int, weigh: Any = None, **named: Any
) -> Case:
    """A random case: the first balanced one of a sequence fixed by its name."""
    parameters = {**entry.required, **named}
    rng = random.Random(f"{name} {case} {dtype} {n} {sorted(parameters.items())}")
    for _ in range(1000):
        p, y = entry.draw(rng, n, parameters)
        of_weights = dtype if "float" in dtype else "float32"
        weights = rounded([weigh(rng) for _ in y], of_weights) if weigh else None
        if "float" in dtype:
            p, y = rounded_like(p, dtype), y if entry.labels else rounded_like(y, dtype)
        a, b = exact(p), exact(y, entry.labels)
        w = [mpf(1)] * n if weights is None else exact(weights)
        if entry.fits(a, b, **parameters) and balanced(entry, a, b, w, parameters):
            return Case(name, case, dtype, p, y, weights, parameters)
    raise ValueError(f"no case of {name} {parameters} in {dtype} is well-conditioned")


def every_case(definitions: dict[str, Whole]) -> Iterator[tuple[Case, Special | None]]:
    """Random samples in every dtype, all parameters in the wide ones, weights; those by hand."""
    for name, entry in definitions.items():
        many, few = entry.sizes
        wide = [dtype for dtype in entry.dtypes if dtype in WIDE] or entry.dtypes[:1]
        for dtype in entry.dtypes:
            yield sample(name, entry, "typical", dtype, many), None
        for named, dtype in itertools.product(entry.variants, wide):
            yield sample(name, entry, "typical", dtype, few, **named), None
        for dtype in wide:
            for named in ({}, *entry.variants[:1]):
                weigh = lambda rng: 0.1 + 3 * rng.random()  # noqa: E731
                yield sample(name, entry, "weighted", dtype, few, weigh, **named), None
            whole = lambda rng: 1.0 + int(4 * rng.random())  # noqa: E731
            yield sample(name, entry, "integer_weights", dtype, few, whole), None
        for one in entry.special:
            for dtype in one.dtypes:
                p, y = list(one.predictions), list(one.targets)
                if "float" in dtype:
                    p, y = rounded_like(p, dtype), y if entry.labels else rounded_like(y, dtype)
                weights = None if one.weights is None else rounded(one.weights, dtype)
                parameters = {**entry.required, **one.parameters}
                yield Case(name, one.name, dtype, p, y, weights, parameters, one.condition), one


def evaluate(entry: Whole, case: Case, known: Special | None) -> Result:
    """The value, on which both formulas agree, and its gradient."""
    p, y = exact(case.predictions), exact(case.targets, entry.labels)
    w = [mpf(1)] * len(y) if case.weights is None else exact(case.weights)
    value = entry.value(p, y, w, **case.parameters)
    for one, two in zip(
        leaves([value]), leaves([entry.other(p, y, w, **case.parameters)]), strict=True
    ):
        agree(case, one, two)
    if isinstance(value, list) or (known is not None and not known.smooth):
        return Result(value, None if known is None else known.first)
    if entry.steps:
        slopes = [mpf(0)] * len(leaves(p))
    else:
        slopes = derivatives(lambda q: entry.value(q, y, w, **case.parameters), p)[0]
    return Result(value, rebuilt(p, iter(slopes)))
