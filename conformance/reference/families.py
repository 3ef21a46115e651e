"""Means of one term per sample, declared briefly: the term, its second form, where to draw.

A family is a module with a dict ``DEFINITIONS`` of such declarations, by public name. Derivatives
are not written down: central differences at 200 digits give them to more than 40. At kinks, where
there is no derivative to difference, a case states the contract's by hand.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cases import FLOATS, WIDE, Case, rounded
from definitions import Result
from mpmath import mp, mpf

INTEGERS = ("int8", "int32", "int64")


@dataclass(frozen=True)
class Special:
    """A case written by hand: a list of samples, under some parameters.

    ``first`` and ``second`` are the derivatives of each sample's term where they must be stated, in
    the shape of the predictions; ``smooth`` says that they can be found by differences, and where
    neither is the case the value alone is compared.
    """

    name: str
    predictions: Any
    targets: Any
    parameters: dict[str, Any] = field(default_factory=dict)
    first: Any = None
    second: Any = None
    smooth: bool = False
    weights: list[float] | None = None
    dtypes: tuple[str, ...] = WIDE
    condition: float = 1.0


@dataclass(frozen=True)
class Definition:
    """A metric that is the mean of a term.

    ``term`` and ``other`` are the same number by two formulas, of one sample's prediction and
    target: a number, a list of them, or a tuple of such for metrics that take tuples. ``draw``
    returns a sample that the dtype need not hold. ``weigh`` is the weight that a target brings
    along, ``counts`` whether it counts at all.
    """

    term: Callable[..., mpf]
    other: Callable[..., mpf]
    draw: Callable[[random.Random, dict[str, Any]], tuple[Any, Any]]
    variants: tuple[dict[str, Any], ...] = ()
    special: tuple[Special, ...] = ()
    labels: bool = False  # targets are integers, of target_dtype
    integers: tuple[Any, Any] | None = None  # predictions and targets that are whole numbers
    weigh: Callable[..., mpf] = lambda y, **_: mpf(1)
    counts: Callable[..., bool] = lambda y, **_: True
    link: Callable[..., mpf] = lambda mean, **_: mean  # of the mean of the terms
    steps: bool = False  # constant between places where it jumps
    required: dict[str, Any] = field(default_factory=dict)  # parameters without a default
    limit: float = 6.0  # how many times a relative change of an input may be magnified


def exact(x: Any, labels: bool = False) -> Any:
    """The same nested numbers as mpf; labels stay integers."""
    if isinstance(x, (list, tuple)):
        return type(x)(exact(one, labels) for one in x)
    return x if labels and isinstance(x, int) else mpf(x)


def leaves(x: Any) -> list[Any]:
    """The numbers of nested lists and tuples, in order."""
    return [leaf for one in x for leaf in leaves(one)] if isinstance(x, (list, tuple)) else [x]


def rebuilt(like: Any, numbers: Iterator[Any]) -> Any:
    """The numbers in the nesting of another value."""
    if isinstance(like, (list, tuple)):
        return type(like)(rebuilt(one, numbers) for one in like)
    return next(numbers)


def moved(x: Any, place: int, step: mpf) -> Any:
    """The nested numbers, one of them moved."""
    return rebuilt(x, iter([n + step * (i == place) for i, n in enumerate(leaves(x))]))


def magnitude(x: Any) -> int:
    """The most digits that any of the nested numbers is away from 1."""
    sizes = (abs(int(mp.log10(abs(one)))) for one in leaves(x) if one and mp.isfinite(one))
    return max(sizes, default=0)


def derivatives(function: Callable[[Any], mpf], p: Any) -> tuple[list[mpf], list[mpf]]:
    """The first and the second derivative by each number, by central differences.

    Far out, and near 0, the second may be smaller than the value by four times as many digits. One
    that is 0 comes out as something small that depends on the step, which no other does.
    """
    first, second = [], []
    with mp.workdps(mp.dps + 4 * magnitude(p)):
        here = function(p)

        def pair(place: int, step: mpf) -> tuple[mpf, mpf]:
            high, low = function(moved(p, place, step)), function(moved(p, place, -step))
            return (high - low) / (2 * step), (high - 2 * here + low) / step**2

        for place, x in enumerate(leaves(p)):
            step = (abs(x) if x and mp.isfinite(x) else mpf(1)) * mpf(10) ** -45
            found = pair(place, step)
            if min(map(abs, found)) < mpf(10) ** -30:
                others = pair(place, 2 * step), pair(place, 3 * step)
                triples = zip(found, *others, strict=True)
                kept = [
                    max(abs(d - e), abs(d - f)) <= mpf(10) ** -30 * abs(d) for d, e, f in triples
                ]
                found = (kept[0] * found[0], kept[1] * found[1])
            first.append(found[0])
            second.append(found[1])
    return first, second


# --- random samples -------------------------------------------------------------------------------


def well_conditioned(entry: Definition, p: Any, y: Any, parameters: dict[str, Any]) -> bool:
    """Whether the term and its largest derivatives lose at most so many times their rounding."""
    p, y = exact(p), exact(y, entry.labels)
    step = mpf(10) ** -40

    def parts(p: Any, y: Any) -> tuple[list[mpf], list[mpf], list[mpf]]:
        def term(q: Any) -> mpf:
            return entry.term(q, y, **parameters)

        return [term(p)], *derivatives(term, p)

    here = parts(p, y)
    sizes = [max(map(abs, part)) for part in here]
    if sizes[0] == 0 or sizes[1] == 0:
        return False
    inputs = [(p, y, place, True) for place in range(len(leaves(p)))]
    if not entry.labels:
        inputs += [(p, y, place, False) for place in range(len(leaves(y)))]
    for one, two, place, first in inputs:
        change = leaves(one if first else two)[place] * step
        moves = (moved(one, place, change), two) if first else (one, moved(two, place, change))
        there = parts(*moves)
        for a, b, size in zip(here, there, sizes, strict=True):
            if max(abs(x - z) for x, z in zip(a, b, strict=True)) > entry.limit * step * size:
                return False
    return True


def sample(
    name: str,
    entry: Definition,
    case: str,
    dtype: str,
    n: int,
    weigh: Any = None,
    **parameters: Any,
) -> Case:
    """A random case: the first balanced one of a sequence fixed by its name."""
    parameters = {**entry.required, **parameters}
    rng = random.Random(f"{name} {case} {dtype} {n} {sorted(parameters.items())}")
    while True:
        pairs: list[tuple[Any, Any]] = []
        while len(pairs) < n:
            p, y = entry.draw(rng, parameters)
            p, y = rounded_like(p, dtype), y if entry.labels else rounded_like(y, dtype)
            if entry.steps or well_conditioned(entry, p, y, parameters):
                pairs.append((p, y))
        weights = rounded([weigh(rng) for _ in pairs], dtype) if weigh else None
        drawn = Case(name, case, dtype, *map(list, zip(*pairs, strict=True)), weights, parameters)
        terms = [entry.term(exact(p), exact(y, entry.labels), **parameters) for p, y in pairs]
        if entry.steps or abs(mp.fsum(terms)) > mp.fsum(abs(t) for t in terms) / 3:
            return drawn


def rounded_like(x: Any, dtype: str) -> Any:
    """The nested numbers rounded to a dtype, lists and tuples kept."""
    if isinstance(x, (list, tuple)):
        return type(x)(rounded_like(one, dtype) for one in x)
    return rounded(x, dtype)


def every_case(definitions: dict[str, Definition]) -> Iterator[tuple[Case, Special | None]]:
    """The cases of a family, with what was written by hand; a repeated name is numbered."""
    seen: dict[str, int] = {}
    for name, entry in definitions.items():
        for drawn, known in (
            *((one, None) for one in typical(name, entry)),
            *special(name, entry),
            *((one, None) for one in whole(name, entry)),
        ):
            key = f"{name} {drawn.parameters} {drawn.name} {drawn.dtype}"
            seen[key] = seen.get(key, 0) + 1
            number = "" if seen[key] == 1 else f"_{seen[key]}"
            yield Case(**{**vars(drawn), "name": drawn.name + number}), known


def typical(name: str, entry: Definition) -> Iterator[Case]:
    """Random samples in every floating dtype, all parameters in the wide ones; weights; one sample."""
    for dtype in FLOATS:
        yield sample(name, entry, "typical", dtype, 8)
    for parameters, dtype in itertools.product(entry.variants, WIDE):
        yield sample(name, entry, "typical", dtype, 6, **parameters)
    for dtype in WIDE:
        yield sample(name, entry, "weighted", dtype, 6, lambda rng: 0.1 + 3 * rng.random())
        yield sample(
            name, entry, "integer_weights", dtype, 6, lambda rng: 1.0 + int(4 * rng.random())
        )
        for parameters in entry.variants[:1]:
            yield sample(
                name, entry, "weighted", dtype, 5, lambda rng: 0.1 + 3 * rng.random(), **parameters
            )
        yield sample(name, entry, "single", dtype, 1)


def special(name: str, entry: Definition) -> Iterator[tuple[Case, Special]]:
    """The cases written by hand."""
    for one in entry.special:
        for dtype in one.dtypes:
            p = rounded_like(list(one.predictions), dtype)
            y = list(one.targets) if entry.labels else rounded_like(list(one.targets), dtype)
            weights = None if one.weights is None else rounded(one.weights, dtype)
            parameters = {**entry.required, **one.parameters}
            yield Case(name, one.name, dtype, p, y, weights, parameters, one.condition), one


def whole(name: str, entry: Definition) -> Iterator[Case]:
    """Whole numbers of integer dtypes."""
    for dtype in INTEGERS if entry.integers else ():
        p, y = entry.integers
        yield Case(name, "integers", dtype, list(p), list(y), None, entry.required)


# --- results --------------------------------------------------------------------------------------


def evaluate(entry: Definition, case: Case, known: Special | None) -> Result:
    """The weighted mean of the terms, its gradient and the terms' derivatives; both forms agree."""
    p, y = exact(case.predictions), exact(case.targets, entry.labels)
    weights = [mpf(1)] * len(y) if case.weights is None else exact(case.weights)
    weights = [w * entry.weigh(t, **case.parameters) for w, t in zip(weights, y, strict=True)]
    counted = [
        w != 0 and entry.counts(t, **case.parameters) for w, t in zip(weights, y, strict=True)
    ]
    terms = [
        entry.term(a, b, **case.parameters) if used else mpf(0)
        for a, b, used in zip(p, y, counted, strict=True)
    ]
    for a, b, used, term in zip(p, y, counted, terms, strict=True):
        if used:
            agree(case, term, entry.other(a, b, **case.parameters))
    weights = [w if used else mpf(0) for w, used in zip(weights, counted, strict=True)]
    total = mp.fsum(weights)
    mean = mp.fdot(weights, terms) / total if total else mp.nan
    link = partial(entry.link, **case.parameters)
    value = link(mean)
    if known is not None and not known.smooth:
        first, second = (exact(x) if x is not None else None for x in (known.first, known.second))
        first = None if first is None else [leaves(row) for row in first]
        second = None if second is None else [leaves(row) for row in second]
    else:
        first, second = [], []
        for a, b, used in zip(p, y, counted, strict=True):
            if used:
                pair = derivatives(lambda q, b=b: entry.term(q, b, **case.parameters), a)
            else:
                pair = ([mpf(0)] * len(leaves(a)),) * 2
            first.append(pair[0])
            second.append(pair[1])
    gradient = None
    if first is not None and total:
        slope, _ = derivatives(link, mean) if mp.isfinite(mean) else ([mpf(1)], None)
        gradient = [
            rebuilt(a, iter([slope[0] * w / total * x for x in row]))
            for a, w, row in zip(p, weights, first, strict=True)
        ]
    scaled = [
        entry.weigh(t, **case.parameters) if used else mpf(0)
        for t, used in zip(y, counted, strict=True)
    ]
    parts = [
        None
        if x is None
        else [
            rebuilt(a, iter([s * i for i in row])) for a, s, row in zip(p, scaled, x, strict=True)
        ]
        for x in (first, second)
    ]
    return Result(value, gradient, terms, *parts)


def agree(case: Case, one: mpf, two: mpf) -> None:
    """Two ways to the same number differ by nothing that matters."""
    same = (mp.isnan(one) and mp.isnan(two)) or one == two
    if not (same or abs(one - two) <= mpf(10) ** -40 * max(abs(one), mpf(10) ** -400)):
        raise AssertionError(f"{case}: {mp.nstr(one, 50)} is not {mp.nstr(two, 50)}")
