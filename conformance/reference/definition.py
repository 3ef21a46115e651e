"""What a reference definition declares: a number by two formulas, where to draw, cases by hand.

A family is a module with a dict ``DEFINITIONS`` of such declarations, by public name: a `Mean` of
one term per sample, or a `Whole`, a number of all samples at once. Derivatives are central
differences at 200 digits, more than 40 of which are right. At kinks, where there is no derivative to
difference, the contract's is stated, by a case for its samples or by ``slopes`` for all.

Parameters are the exact binary64 numbers that Python reads: 0.9 means the double nearest to 0.9.
"""

from __future__ import annotations

import itertools
import math
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from mpmath import mp, mpf

from .arithmetic import derivatives, exact, leaves, moved, rebuilt
from .rounding import FLOATS, INTEGERS, WIDE, of_weights, rounded
from .slopes import confirmed

Numbers = list[mpf]
Samples = tuple[list[Any], list[Any]]
Parameters = dict[str, Any]
Weigher = Callable[[random.Random], float]
TRIES = 20_000  # of each sample: of a steep loss one in thousands is well-conditioned


class Result(NamedTuple):
    """A metric's value, its gradient, and the per-sample lists where the metric has them."""

    value: Any
    gradient: list[Any] | None
    terms: Numbers | None = None
    first: list[Any] | None = None
    second: list[Any] | None = None


@dataclass(frozen=True)
class Case:
    """One call of one metric.

    The ``condition`` is the factor by which the maths itself may magnify rounding, where any way of
    computing the metric must lose digits; the bounds of the suite are multiplied by it.
    """

    metric: str
    name: str
    dtype: str
    predictions: list[Any]
    targets: list[Any]
    weights: list[Any] | None = None
    parameters: Parameters = field(default_factory=dict)
    condition: float = 1.0


# --- cases, declared ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Special:
    """A case written by hand: a list of samples, under some parameters, in each of some dtypes.

    ``first`` and ``second`` are the derivatives of each sample's term, or ``first`` the gradient of
    a `Whole`, where they must be stated, in the shape of the predictions; ``smooth`` says that they
    can be found by differences, and where neither is the case the value alone is compared. Records
    stand in the file by ``order``, then metric by metric.
    """

    name: str
    predictions: Any
    targets: Any
    parameters: Parameters = field(default_factory=dict)
    first: Any = None
    second: Any = None
    smooth: bool = False
    weights: list[float] | None = None
    dtypes: tuple[str, ...] = WIDE
    condition: float = 1.0
    order: int = 0

    def cases(self, metric: str, definition: Definition) -> Iterator[Case]:
        """The case in each dtype."""
        for dtype in self.dtypes:
            p, y = list(self.predictions), list(self.targets)
            yield Case(
                metric,
                self.name,
                dtype,
                rounded(p, dtype),
                y if definition.labels else rounded(y, dtype),
                None if self.weights is None else rounded(self.weights, of_weights(dtype)),
                {**definition.required, **self.parameters},
                self.condition,
            )


def integers(predictions: Any, targets: Any) -> Special:
    """Samples that are whole numbers, of integer dtypes."""
    return Special("integers", predictions, targets, smooth=True, dtypes=INTEGERS)


@dataclass(frozen=True)
class Draws:
    """Random cases of so many samples: with the default parameters, or with a slice of variants."""

    name: str
    size: int
    dtypes: tuple[str, ...]
    variants: slice | None = None
    weigh: Weigher | None = None
    order: int = 0

    def cases(self, metric: str, definition: Definition) -> Iterator[Case]:
        """For each dtype, the first balanced sample of a sequence fixed by its name."""
        chosen = ({},) if self.variants is None else definition.variants[self.variants]
        for named, dtype in itertools.product(chosen, self.dtypes):
            yield self.sample(metric, definition, dtype, {**definition.required, **named})

    def sample(self, metric: str, definition: Definition, dtype: str, named: Parameters) -> Case:
        """The samples for one dtype and some parameters."""
        rng = random.Random(f"{metric} {self.name} {dtype} {self.size} {sorted(named.items())}")
        for _ in range(1000):
            p, y = definition.samples(rng, self.size, dtype, named)
            weigh, weights = self.weigh, None
            if weigh is not None:
                weights = rounded([weigh(rng) for _ in y], of_weights(dtype))
            found = Case(metric, self.name, dtype, p, y, weights, named)
            if definition.balanced(*definition.inputs(found)):
                return found
        raise ValueError(f"no case of {metric} {named} in {dtype} is well-conditioned")


def any_weight(rng: random.Random) -> float:
    """A weight from 0.1 to 3.1."""
    return 0.1 + 3 * rng.random()


def whole_weight(rng: random.Random) -> float:
    """A weight that must do what so many repetitions of the sample do."""
    return 1.0 + int(4 * rng.random())


EVERY, FIRST = slice(None), slice(1)
OF_TERMS = (
    Draws("typical", 8, FLOATS),
    Draws("typical", 6, WIDE, EVERY),
    *(
        draws
        for dtype in WIDE
        for draws in (
            Draws("weighted", 6, (dtype,), weigh=any_weight),
            Draws("integer_weights", 6, (dtype,), weigh=whole_weight),
            Draws("weighted", 5, (dtype,), FIRST, any_weight),
            Draws("single", 1, (dtype,)),
        )
    ),
)


def of_samples(many: int, few: int, dtypes: tuple[str, ...] = FLOATS) -> tuple[Draws, ...]:
    """Many samples, and few with weights or parameters; those in the wide dtypes, if there are."""
    wide = tuple(dtype for dtype in dtypes if dtype in WIDE) or dtypes[:1]
    found = [Draws("typical", many, dtypes), Draws("typical", few, wide, EVERY)]
    for dtype in wide:
        found += [
            Draws("weighted", few, (dtype,), weigh=any_weight),
            Draws("weighted", few, (dtype,), FIRST, any_weight),
            Draws("integer_weights", few, (dtype,), weigh=whole_weight),
        ]
    return tuple(found)


# --- definitions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Definition(ABC):
    """What a `Mean` and a `Whole` have in common.

    ``formula`` and ``other`` are the same number by two formulas. ``draw`` returns samples that the
    dtype need not hold; ``schedule`` says how often it is called, ``variants`` under which
    parameters. ``special`` are the cases written by hand.
    """

    formula: Callable[..., Any]
    other: Callable[..., Any]
    draw: Callable[..., tuple[Any, Any]]
    variants: tuple[Parameters, ...] = ()
    special: tuple[Special, ...] = ()
    required: Parameters = field(default_factory=dict)  # parameters without a default
    schedule: tuple[Draws, ...] = ()
    labels: bool = False  # targets are integers
    steps: bool = False  # constant between places where it jumps
    limit: float = math.inf  # how many times a relative change of an input may be magnified

    def inputs(self, case: Case) -> tuple[Any, Any, Numbers, Parameters]:
        """Predictions, targets and weights as exact numbers, and all parameters."""
        p, y = exact(case.predictions), exact(case.targets, self.labels)
        w = [mpf(1)] * len(y) if case.weights is None else exact(case.weights)
        return p, y, w, case.parameters

    @abstractmethod
    def samples(self, rng: random.Random, n: int, dtype: str, named: Parameters) -> Samples:
        """Random samples of the dtype."""

    @abstractmethod
    def balanced(self, p: Any, y: Any, w: Numbers, named: Parameters) -> bool:
        """Whether the number of these samples loses little to rounding."""

    @abstractmethod
    def result(self, case: Case, known: Special | None) -> Result:
        """The numbers of a case, on which both formulas agree."""


@dataclass(frozen=True)
class Mean(Definition):
    """A metric that is the mean of a term.

    Both formulas are of one sample's prediction and target: a number, a list of them, or a tuple of
    such for metrics that take tuples. ``draw`` returns one sample. ``slopes`` are the first and the
    second derivative written out, for losses with kinks and for those of which a derivative is too
    small to difference; differences confirm them where they can. ``weigh`` is the weight that a
    target brings along, ``counts`` whether it counts at all.
    """

    schedule: tuple[Draws, ...] = OF_TERMS
    limit: float = 6.0
    slopes: Callable[..., tuple[mpf, mpf]] | None = None
    weigh: Callable[..., mpf] = lambda y, **_: mpf(1)
    counts: Callable[..., bool] = lambda y, **_: True
    link: Callable[..., mpf] | None = None  # of the mean of the terms
    level: bool = False  # samples at which the term does not change are drawn too

    def samples(self, rng: random.Random, n: int, dtype: str, named: Parameters) -> Samples:
        """Sample after sample, as far as they are well-conditioned."""
        predictions, targets = [], []
        for _ in range(TRIES * n):
            p, y = self.draw(rng, named)
            p, y = rounded(p, dtype), y if self.labels else rounded(y, dtype)
            if self.steps or self.steady(exact(p), exact(y, self.labels), named):
                predictions.append(p)
                targets.append(y)
            if len(targets) == n:
                return predictions, targets
        raise ValueError(f"too few samples of {dtype} are well-conditioned under {named}")

    def steady(self, p: Any, y: Any, named: Parameters) -> bool:
        """Whether the term and its largest derivatives lose at most so many times their rounding."""
        step = mpf(10) ** -40

        def parts(p: Any, y: Any) -> tuple[Numbers, Numbers, Numbers]:
            return [self.formula(p, y, **named)], *self.derivatives(p, y, named)

        here = parts(p, y)
        sizes = [max(map(abs, part)) for part in here]
        if not self.level and (sizes[0] == 0 or sizes[1] == 0):
            return False
        near = [(moved(p, k, x * step), y) for k, x in enumerate(leaves(p))]
        if not self.labels:
            near += [(p, moved(y, k, x * step)) for k, x in enumerate(leaves(y))]
        for there in itertools.starmap(parts, near):
            for a, b, size in zip(here, there, sizes, strict=True):
                if max(abs(x - z) for x, z in zip(a, b, strict=True)) > self.limit * step * size:
                    return False
        return True

    def derivatives(self, p: Any, y: Any, named: Parameters) -> tuple[Numbers, Numbers]:
        """The first and the second derivatives of a term: written out, or by differences."""
        if self.slopes is None:
            return derivatives(lambda q: self.formula(q, y, **named), p)
        first, second = self.slopes(p, y, **named)
        return [first], [second]

    def balanced(self, p: Any, y: Any, w: Numbers, named: Parameters) -> bool:
        """Whether the terms' sum is at least a third of that of their sizes."""
        terms = [self.formula(a, b, **named) for a, b in zip(p, y, strict=True)]
        return self.steps or abs(mp.fsum(terms)) >= mp.fsum(map(abs, terms)) / 3

    def confirm(self, case: Case, p: Any, y: Any, term: mpf, named: Parameters) -> None:
        """Hold a term against the other formula, and slopes that are written out to differences."""
        agree(case, term, self.other(p, y, **named))
        if self.slopes is not None:
            slopes = self.slopes(p, y, **named)
            if not confirmed(lambda q: self.formula(q, y, **named), p, *slopes):
                raise AssertionError(f"{case}: the slopes at {p}, {y} are not those of the term")

    def result(self, case: Case, known: Special | None) -> Result:
        """The mean of the terms, its gradient, the terms and their derivatives."""
        p, y, w, named = self.inputs(case)
        scales = [
            self.weigh(b, **named) if v and self.counts(b, **named) else mpf(0)
            for b, v in zip(y, w, strict=True)
        ]
        samples = list(zip(p, y, scales, strict=True))
        terms = [self.formula(a, b, **named) if s else mpf(0) for a, b, s in samples]
        for (a, b, s), term in zip(samples, terms, strict=True):
            if s:
                self.confirm(case, a, b, term, named)
        shares = [v * s for v, s in zip(w, scales, strict=True)]
        total = mp.fsum(shares)
        value, slope = mp.fdot(shares, terms) / total if total else mp.nan, mpf(1)
        if self.link is not None:
            link = partial(self.link, **named)
            slope = derivatives(link, value)[0][0] if mp.isfinite(value) else slope
            value = link(value)
        if self.slopes is None and known is not None and not known.smooth:
            first, second = (stated(rows) for rows in (known.first, known.second))
        else:
            pairs = [
                self.derivatives(a, b, named) if s else ([mpf(0)] * len(leaves(a)),) * 2
                for a, b, s in samples
            ]
            first, second = zip(*pairs, strict=True)
        gradient = None
        if first is not None and total:
            gradient = shaped(p, [slope * v / total for v in shares], first)
        return Result(value, gradient, terms, shaped(p, scales, first), shaped(p, scales, second))


def stated(rows: Any) -> list[Numbers] | None:
    """The numbers that a case states for each sample."""
    return None if rows is None else [leaves(row) for row in exact(rows)]


def shaped(like: list[Any], scales: Numbers, rows: Any) -> list[Any] | None:
    """Each sample's numbers, scaled, in the nesting of its prediction."""
    if rows is None:
        return None
    samples = zip(like, scales, rows, strict=True)
    return [rebuilt(a, iter([s * x for x in row])) for a, s, row in samples]


@dataclass(frozen=True)
class Whole(Definition):
    """A metric of all samples.

    Both formulas are of all predictions, targets and weights, and give a number or a list of them.
    ``draw`` returns so many samples; ``fits`` tells whether those that the dtype holds, as exact
    numbers, are away from steps and kinks. Neither a list of numbers nor nan has a gradient.
    """

    schedule: tuple[Draws, ...] = of_samples(12, 9)
    limit: float = 4.0
    terms: Callable[..., Numbers] | None = None  # of each sample, where the metric has them
    fits: Callable[..., bool] = lambda p, y, **_: True
    least: float = 0.0  # the size of a value that is the difference of numbers near 1
    even: float = 0.0  # the size of each part of the gradient, beside the largest

    def samples(self, rng: random.Random, n: int, dtype: str, named: Parameters) -> Samples:
        """All of them at once."""
        p, y = self.draw(rng, n, named)
        return rounded(p, dtype), y if self.labels else rounded(y, dtype)

    def gradient(self, p: Any, y: Any, w: Numbers, named: Parameters) -> Numbers:
        """The derivative by each number of the predictions."""
        if self.steps:
            return [mpf(0)] * len(leaves(p))
        return derivatives(lambda q: self.formula(q, y, w, **named), p)[0]

    def balanced(self, p: Any, y: Any, w: Numbers, named: Parameters) -> bool:
        """Whether the value and the gradient lose at most so many times the inputs' rounding."""
        if not self.fits(p, y, **named):
            return False
        value = self.formula(p, y, w, **named)
        if not all(mp.isfinite(x) and abs(x) > self.least for x in leaves([value])):
            return False
        if self.steps:
            return True
        step = mpf(10) ** -40
        places = enumerate(leaves(p)) if mp.isfinite(self.limit) else ()
        near = [moved(p, place, x * step) for place, x in places]
        for q in near:
            pairs = zip(leaves([self.formula(q, y, w, **named)]), leaves([value]), strict=True)
            if any(abs(a - b) > self.limit * step * abs(b) for a, b in pairs):
                return False
        if isinstance(value, list):
            return True
        here = self.gradient(p, y, w, named)
        steepest = max(map(abs, here))
        if min(map(abs, here)) < self.even * steepest:
            return False
        for q in near:
            pairs = zip(self.gradient(q, y, w, named), here, strict=True)
            if max(abs(a - b) for a, b in pairs) > self.limit * step * steepest:
                return False
        return True

    def result(self, case: Case, known: Special | None) -> Result:
        """The value, which whole weights give as repetitions do, and its gradient."""
        p, y, w, named = self.inputs(case)
        value = self.formula(p, y, w, **named)
        agree(case, value, self.other(p, y, w, **named))
        if case.weights is not None and all(mp.isint(v) for v in w):
            every = [k for k, v in enumerate(w) for _ in range(int(v))]
            ones = [mpf(1)] * len(w)
            repeated = ([x[k] for k in every] for x in (p, y, ones))
            agree(case, value, self.formula(*repeated, **named))
        terms = None if self.terms is None else self.terms(p, y, **named)
        if known is not None and not known.smooth:
            return Result(value, None if known.first is None else exact(known.first), terms)
        if isinstance(value, list) or mp.isnan(value):
            return Result(value, None, terms)
        return Result(value, rebuilt(p, iter(self.gradient(p, y, w, named))), terms)


# --- what is done with them -----------------------------------------------------------------------


def agree(case: Case, one: Any, two: Any) -> None:
    """Two ways to the same numbers differ by nothing that matters."""
    for a, b in zip(leaves([one]), leaves([two]), strict=True):
        same = (mp.isnan(a) and mp.isnan(b)) or a == b
        if not (same or abs(a - b) <= mpf(10) ** -45 * max(abs(a), mpf(10) ** -400)):
            raise AssertionError(f"{case}: {mp.nstr(a, 50)} is not {mp.nstr(b, 50)}")


def evaluate(definitions: dict[str, Definition]) -> Iterator[tuple[Case, Result]]:
    """Every case of a family and its numbers; a repeated name is numbered."""
    listed = [
        (name, entry, one)
        for name, entry in definitions.items()
        for one in (*entry.schedule, *entry.special)
    ]
    seen: Counter[str] = Counter()
    for name, entry, one in sorted(listed, key=lambda each: each[2].order):
        for case in one.cases(name, entry):
            key = f"{name} {case.parameters} {case.name} {case.dtype}"
            seen[key] += 1
            if seen[key] > 1:
                case = replace(case, name=f"{case.name}_{seen[key]}")
            yield case, entry.result(case, one if isinstance(one, Special) else None)
