"""Losses and metrics of lists at high precision, from the literature.

A list is two lists of numbers: scores and relevances. Metrics of the order of scores are averages
over all orders that the scores allow, which are listed one by one, and again in closed form.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from mpmath import mp, mpf

from .definition import Mean, Special, integers
from .drawing import normal
from .rounding import FLOATS, WIDE

Row = list[mpf]
Term = Callable[..., mpf]
INF = math.inf


def with_digits(formula: Term) -> Term:
    """A term computed with digits enough for exp(-x) beside 1."""

    def term(s: Row, y: Row, **parameters: Any) -> mpf:
        known = [x for x in (*s, *y) if mp.isfinite(x)]
        spread = (max(known) - min(known)) / mpf(parameters.get("temperature", 1)) if known else 0
        with mp.workdps(mp.dps + int(min(spread, 1500))):
            return formula(s, y, **parameters)

    return term


def log_sum_exp(x: Row) -> mpf:
    """The logarithm of the sum of exponentials."""
    return mp.log(mp.fsum(map(mp.exp, x)))


def logistic(d: mpf) -> mpf:
    """-log of the probability 1 / (1 + exp(-d)). Burges et al. (2005), equation 3.

    What is smaller than any dtype holds is 0: its digits would fill the memory.
    """
    return mpf(0) if d > 10000 else mp.log1p(mp.exp(-d))


def logistic_cosh(d: mpf) -> mpf:
    """The same: 1 + exp(-d) is 2 exp(-d / 2) cosh(d / 2)."""
    if d > 10000:
        return mpf(0)
    with mp.workdps(mp.dps + int(min(abs(d), 1500))):
        return mp.log(2 * mp.cosh(d / 2)) - d / 2


# --- losses ---------------------------------------------------------------------------------------


def listnet(s: Row, y: Row) -> mpf:
    """Cao et al. (2007), equation 7: the cross-entropy of two distributions of the first."""
    p, q = ([mp.exp(x) / mp.fsum(map(mp.exp, row)) for x in row] for row in (y, s))
    return -mp.fsum(a * mp.log(b) for a, b in zip(p, q, strict=True) if a)


def listnet_partition(s: Row, y: Row) -> mpf:
    """The logarithm of the sum of exp(s) less the mean score."""
    shares = [mp.exp(x - log_sum_exp(y)) for x in y]
    return log_sum_exp(s) - mp.fsum(a * x for a, x in zip(shares, s, strict=True) if a)


def relevant_first(s: Row, y: Row) -> Row:
    """Scores in the order of relevance."""
    return [s[i] for i in sorted(range(len(y)), key=lambda i: -y[i]) if y[i] > -mp.inf]


def list_mle(s: Row, y: Row) -> mpf:
    """Xia et al. (2008), equation 9: minus the logarithm of a product of choices."""
    z = relevant_first(s, y)
    return -mp.fsum(mp.log(mp.exp(x) / mp.fsum(map(mp.exp, z[i:]))) for i, x in enumerate(z))


def list_mle_odds(s: Row, y: Row) -> mpf:
    """The same from the end: 1 plus the odds of all that comes later."""
    later, loss = mpf(0), mpf(0)
    for x in reversed(relevant_first(s, y)):
        loss += mp.log1p(later * mp.exp(-x))
        later += mp.exp(x)
    return loss


def over_pairs(cost: Callable[..., mpf]) -> Term:
    """The mean cost of the differences of scores of pairs of different relevance."""

    def term(s: Row, y: Row, **parameters: Any) -> mpf:
        there = [i for i in range(len(y)) if y[i] > -mp.inf]
        pairs = [(i, j) for i in there for j in there if y[i] > y[j]]
        return mp.fsum(cost(s[i] - s[j], **parameters) for i, j in pairs) / max(len(pairs), 1)

    return term


def short(d: mpf, *, margin: float = 1.0) -> mpf:
    """max(0, m - d)."""
    return max(mpf(0), margin - d)


def short_half(d: mpf, *, margin: float = 1.0) -> mpf:
    """The mean of a number and its absolute value."""
    return (margin - d + abs(margin - d)) / 2


def gains(y: Row, gain: str) -> Row:
    """2^y - 1 or y."""
    return [x if gain == "linear" else 2**x - 1 for x in y]


def gains_sinh(y: Row, gain: str) -> Row:
    """2^y - 1 is 2 2^(y / 2) sinh(y log(2) / 2)."""
    half = mp.log(2) / 2
    return [x if gain == "linear" else 2 * mp.sqrt(2) ** x * mp.sinh(x * half) for x in y]


def ranks(x: Row) -> list[int]:
    """1 for the largest; of equal numbers, the earlier first."""
    order = sorted(range(len(x)), key=lambda i: -x[i])
    return [order.index(i) + 1 for i in range(len(x))]


def cumulated(g: Row, rank: list[Any]) -> mpf:
    """Järvelin and Kekäläinen (2002): the sum of discounted gains."""
    return mp.fsum(a / mp.log(1 + r, 2) for a, r in zip(g, rank, strict=True))


def lambda_rank(s: Row, y: Row, *, gain: str = "exponential") -> mpf:
    """Burges et al. (2006): every pair with the change of the NDCG that swapping it would make."""
    g, rank, total = gains(y, gain), ranks(s), mpf(0)
    best = cumulated(g, ranks(y))
    for i, j in itertools.permutations(range(len(y)), 2):
        if y[i] > y[j]:
            swapped = list(rank)
            swapped[i], swapped[j] = rank[j], rank[i]
            change = abs(cumulated(g, swapped) - cumulated(g, rank)) / best
            total += change * logistic(s[i] - s[j])
    return total


def lambda_rank_product(s: Row, y: Row, *, gain: str = "exponential") -> mpf:
    """The change as a product: of the difference of gains and that of discounts."""
    g, total = gains_sinh(y, gain), mpf(0)
    d = [mp.log(2) / mp.log(1 + r) for r in ranks(s)]
    best = mp.fsum(a * mp.log(2) / mp.log(k + 2) for k, a in enumerate(sorted(g, reverse=True)))
    for i, j in itertools.product(range(len(y)), repeat=2):
        if y[i] > y[j]:
            total += abs((g[i] - g[j]) * (d[i] - d[j])) / best * logistic_cosh(s[i] - s[j])
    return total


def approx_ndcg(s: Row, y: Row, *, temperature: float = 0.1, gain: str = "exponential") -> mpf:
    """Qin, Liu and Li (2010), equations 11 and 15, subtracted from 1."""
    g, t = gains(y, gain), mpf(temperature)
    others = [[s[j] for j in range(len(s)) if j != i] for i in range(len(s))]
    rank = [
        1 + mp.fsum(1 / (1 + mp.exp((x - z) / t)) for z in row if z > -mp.inf)
        for x, row in zip(s, others, strict=True)
    ]
    best = cumulated(g, ranks(y))
    return 1 - cumulated(g, rank) / best if best else mpf(0)


def approx_ndcg_tanh(s: Row, y: Row, *, temperature: float = 0.1, gain: str = "exponential") -> mpf:
    """The same, with the hyperbolic tangent of half the difference."""
    g, best, found = gains_sinh(y, gain), mpf(0), mpf(0)
    for k, a in enumerate(sorted(g, reverse=True)):
        best += a * mp.log(2) / mp.log(k + 2)
    for i, a in enumerate(g):
        if a:
            half = [(s[j] - s[i]) / (2 * mpf(temperature)) for j in range(len(s)) if j != i]
            rank = mpf(len(s) + 1) / 2 + mp.fsum(map(mp.tanh, half)) / 2
            found += a * mp.log(2) / mp.log(1 + rank)
    return (best - found) / best if best else mpf(0)


# --- metrics --------------------------------------------------------------------------------------


def orders(s: Row) -> Iterator[list[int]]:
    """All orders of the items that scores allow; those of score -inf are in none."""
    ranked = [i for i in range(len(s)) if s[i] > -mp.inf]
    for order in itertools.permutations(ranked):
        if all(s[i] >= s[j] for i, j in itertools.pairwise(order)):
            yield list(order)


def on_average(metric: Callable[..., Any]) -> Term:
    """The mean over all orders of a metric of the relevances in their order."""

    def term(s: Row, y: Row, **parameters: Any) -> mpf:
        values = [metric([y[i] for i in order], y, **parameters) for order in orders(s)]
        return mp.fsum(values) / len(values)

    return term


def defined(formula: Term, known: Callable[[Any], bool]) -> Term:
    """A term that is nan where a relevance is none."""

    def term(s: Row, y: Row, **parameters: Any) -> mpf:
        return formula(s, y, **parameters) if all(map(known, y)) else mp.nan

    return term


def groups(s: Row, y: Row) -> list[tuple[int, Row]]:
    """Of each score: how many items have a higher one, and the relevances of those that have it."""
    found = []
    for score in sorted({x for x in s if x > -mp.inf}, reverse=True):
        before = sum(x > score for x in s)
        found.append((before, [b for a, b in zip(s, y, strict=True) if a == score]))
    return found


def dcg(found: Row, y: Row, *, k: int | None = None, gain: str = "exponential") -> mpf:
    """The sum of the discounted gains of the first k."""
    return cumulated(gains(found, gain)[:k], list(range(1, len(found[:k]) + 1)))


def ndcg(found: Row, y: Row, *, k: int | None = None, gain: str = "exponential") -> mpf:
    """The same over that of the best order; 0 if that is 0."""
    best = dcg(sorted(y, reverse=True), y, k=k, gain=gain)
    return dcg(found, y, k=k, gain=gain) / best if best else mpf(0)


def dcg_tied(s: Row, y: Row, *, k: int | None = None, gain: str = "exponential") -> mpf:
    """McSherry and Najork (2008): the mean gain of a score times the sum of its discounts."""
    total = mpf(0)
    for before, members in groups(s, y):
        mean = mp.fsum(gains_sinh(members, gain)) / len(members)
        for r in range(before + 1, before + len(members) + 1):
            total += mean * mp.log(2) / mp.log(1 + r) if k is None or r <= k else 0
    return total


def ndcg_tied(s: Row, y: Row, *, k: int | None = None, gain: str = "exponential") -> mpf:
    """The same over that of scores that are the relevances."""
    best = dcg_tied(y, y, k=k, gain=gain)
    return dcg_tied(s, y, k=k, gain=gain) / best if best else mpf(0)


def average_precision(found: Row, y: Row, *, k: int | None = None) -> mpf:
    """The precision at each relevant item, over the number of relevant items."""
    hits = [mp.fsum(found[: r + 1]) / (r + 1) for r, x in enumerate(found[:k]) if x]
    return mp.fsum(hits) / max(mp.fsum(y), 1)


def average_precision_tied(s: Row, y: Row, *, k: int | None = None) -> mpf:
    """The sum over ranks r and q <= r of the probability that both are relevant, over r R."""
    place = [
        (group, len(members), mpf(sum(members)))
        for group, (_, members) in enumerate(groups(s, y))
        for _ in members
    ]
    total = mpf(0)
    for r, (group, n, relevant) in enumerate(place[:k]):
        for q in range(r + 1):
            other, m, also = place[q]
            if q == r:
                both = relevant / n
            elif other == group:
                both = relevant * (relevant - 1) / (n * (n - 1))
            else:
                both = relevant / n * also / m
            total += both / (r + 1)
    return total / max(mp.fsum(y), 1)


def reciprocal_rank(found: Row, y: Row, *, k: int | None = None) -> mpf:
    """One over the rank of the first relevant item."""
    return next((mpf(1) / (r + 1) for r, x in enumerate(found[:k]) if x), mpf(0))


def exactly(x: Fraction) -> mpf:
    """A fraction as a number."""
    return mpf(x.numerator) / x.denominator


def first_of(s: Row, y: Row) -> Iterator[tuple[int, Fraction]]:
    """Ranks and the probability that the first relevant item is there, by binomials."""
    for before, members in groups(s, y):
        n, relevant = len(members), int(sum(members))
        if relevant:
            for i in range(1, n - relevant + 2):
                ways = math.comb(n - i, relevant - 1)
                yield before + i, Fraction(ways, math.comb(n, relevant))
            return


def reciprocal_rank_tied(s: Row, y: Row, *, k: int | None = None) -> mpf:
    """McSherry and Najork (2008), of the probabilities of ranks."""
    return exactly(sum((p / r for r, p in first_of(s, y) if k is None or r <= k), Fraction(0)))


def precision(found: Row, y: Row, *, k: int = 10) -> mpf:
    """How many of the first k are relevant, over k."""
    return mp.fsum(found[:k]) / k


def recall(found: Row, y: Row, *, k: int = 10) -> mpf:
    """The same over the number of relevant items."""
    return mp.fsum(found[:k]) / max(mp.fsum(y), 1)


def found_tied(s: Row, y: Row, k: int) -> mpf:
    """Of every score, the part of its items that is among the first k."""
    return mp.fsum(
        mp.fsum(members) * min(max(k - before, 0), len(members)) / len(members)
        for before, members in groups(s, y)
    )


def precision_tied(s: Row, y: Row, *, k: int = 10) -> mpf:
    """Over k."""
    return found_tied(s, y, k) / k


def recall_tied(s: Row, y: Row, *, k: int = 10) -> mpf:
    """Over the number of relevant items."""
    return found_tied(s, y, k) / max(mp.fsum(y), 1)


def hit(found: Row, y: Row, *, k: int = 10) -> mpf:
    """Whether any of the first k is relevant."""
    return mpf(any(found[:k]))


def hit_tied(s: Row, y: Row, *, k: int = 10) -> mpf:
    """By binomials."""
    return exactly(sum((p for r, p in first_of(s, y) if r <= k), Fraction(0)))


# --- declared -------------------------------------------------------------------------------------


def graded_by(x: Any) -> bool:
    """Whether a number is a relevance."""
    return x >= 0


def labelled_by(x: Any) -> bool:
    """Whether a number is a label."""
    return x in (0, 1)


def shuffled(rng: random.Random, row: list[float]) -> list[float]:
    """A row in some order: Python guarantees the sequence of random() alone."""
    return [x for _, x in sorted((rng.random(), x) for x in row)]


def graded(rng: random.Random, _: Any) -> tuple[list[float], list[float]]:
    """Scores, and relevances of which only zeros are equal: a tie is no place to differentiate."""
    return [1.5 * normal(rng) for _ in range(5)], shuffled(rng, [0.0, 0.0, 0.5, 1.0, 3.0])


def near(rng: random.Random, _: Any) -> tuple[list[float], list[float]]:
    """The same, with differences of scores about a temperature."""
    return [0.25 * normal(rng) for _ in range(5)], shuffled(rng, [0.0, 0.0, 0.5, 1.0, 3.0])


def real(rng: random.Random, _: Any) -> tuple[list[float], list[float]]:
    """Any scores and relevances."""
    return [1.5 * normal(rng) for _ in range(4)], [normal(rng) for _ in range(4)]


def spaced(rng: random.Random) -> list[float]:
    """Scores of both signs, no two of them equal in any dtype."""
    return [x + 0.5 * rng.random() for x in shuffled(rng, [-2.0, -1.0, 0.0, 1.0, 2.0])]


def ordered(rng: random.Random, _: Any) -> tuple[list[float], list[float]]:
    """Relevances of several grades."""
    return spaced(rng), [float(int(4 * rng.random())) for _ in range(5)]


def binary(rng: random.Random, _: Any) -> tuple[list[float], list[float]]:
    """One to four relevant items."""
    relevant = 1 + int(4 * rng.random())
    return spaced(rng), shuffled(rng, [1.0] * relevant + [0.0] * (5 - relevant))


def smooth(name: str, s: Any, y: Any, dtypes: tuple[str, ...] = WIDE, **parameters: Any) -> Special:
    """Lists whose derivatives are found by differences."""
    return Special(name, s, y, parameters, smooth=True, dtypes=dtypes)


def flat(name: str, s: Any, y: Any, dtypes: tuple[str, ...] = FLOATS, **parameters: Any) -> Special:
    """Lists at which every derivative is 0."""
    none = [[0.0] * len(row) for row in s]
    return Special(name, s, y, parameters, none, none, dtypes=dtypes)


ORDERED = (
    smooth("sure", [[20.0, 0.0, -20.0]], [[2.0, 1.0, 0.0]]),
    smooth("wrong", [[-20.0, 0.0, 20.0]], [[2.0, 1.0, 0.0]]),
    smooth("large", [[1e4, 0.0, -1e4], [-1e4, 0.0, 1e4]], [[2.0, 1.0, 0.0]] * 2),
    smooth("equal_scores", [[0.5, 0.5, 0.5]], [[2.0, 1.0, 0.0]]),
    smooth("near_scores", [[1e-8, 2e-8, -1e-8]], [[2.0, 1.0, 0.0]]),
    smooth("ties", [[1.0, 2.0, 3.0, 0.5]], [[1.0, 0.0, 1.0, 1.0]]),
    smooth("left_out", [[1.0, 2.0, 3.0]], [[1.0, 0.0, -INF]]),
)
FAR_OUT = (
    smooth("huge", [[1e30, -1e30], [-1e30, 1e30]], [[1.0, 0.0]] * 2),
    smooth("largest", [[1e300, -1e300], [-1e300, 1e300]], [[1.0, 0.0]] * 2, ("float64",)),
)
NOTHING = (
    flat("equal_relevances", [[1.0, 2.0, 3.0]], [[1.0, 1.0, 1.0]]),
    flat("one_item", [[1.0]], [[1.0]]),
)
GAINED = (
    smooth("sure", [[20.0, 0.0, -20.0, 1.0]], [[2.0, 1.0, 0.0, 1.5]]),
    smooth("wrong", [[-20.0, 0.0, 20.0]], [[2.0, 1.0, 0.0]]),
    smooth("ties", [[1.0, 2.0, 3.0, 0.5]], [[1.0, 0.0, 1.0, 1.0]]),
    smooth("small_gains", [[1.0, 2.0, 0.0]], [[1e-8, 0.0, 3e-8]]),
    smooth("large_gains", [[1.0, 2.0, 0.0]], [[30.0, 0.0, 29.5]]),
    flat("irrelevant", [[1.0, 2.0, 3.0]], [[0.0, 0.0, 0.0]]),
    flat("one_item", [[1.0]], [[1.0]]),
    Special("negative", [[1.0, 2.0]], [[-1.0, 1.0]]),
)
GRADED = (
    flat("tied_scores", [[1.0, 1.0, 0.0, 1.0]], [[2.0, 0.0, 3.0, 1.0]]),
    flat("all_tied", [[0.0, 0.0, 0.0]], [[0.0, 1.0, 2.0]]),
    flat("irrelevant", [[1.0, 2.0, 3.0]], [[0.0, 0.0, 0.0]]),
    flat("not_ranked", [[1.0, -INF, 2.0, -INF]], [[1.0, 3.0, 0.0, 0.0]]),
    flat("perfect", [[3.0, 2.0, 1.0]], [[3.0, 1.0, 0.0]]),
    flat("one_item", [[-1.0]], [[2.0]]),
    flat("small_gains", [[1.0, 2.0, 0.0]], [[1e-8, 0.0, 3e-8]], WIDE),
    flat("large_gains", [[1.0, 2.0, 0.0]], [[30.0, 0.0, 29.5]], WIDE),
    Special("negative", [[1.0, 2.0]], [[-1.0, 1.0]]),
)
LABELLED = (
    flat("tied_scores", [[1.0, 1.0, 0.0, 1.0]], [[1.0, 0.0, 1.0, 0.0]]),
    flat("tied_scores", [[0.0, 0.0, 0.0, 0.0, 1.0]], [[1.0, 0.0, 1.0, 0.0, 0.0]]),
    flat("tied_groups", [[1.0, 0.0, 1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0, 0.0, 0.0]]),
    flat("irrelevant", [[1.0, 2.0, 3.0]], [[0.0, 0.0, 0.0]]),
    flat("all_relevant", [[1.0, 2.0, 1.0]], [[1.0, 1.0, 1.0]]),
    flat("not_ranked", [[1.0, -INF, 2.0, -INF]], [[1.0, 1.0, 0.0, 0.0]]),
    flat("negative_scores", [[-3.0, -2.0, -1.0]], [[0.0, 0.0, 1.0]]),
    flat("zero_scores", [[0.0, -1.0]], [[1.0, 0.0]]),
    flat("one_item", [[-1.0]], [[1.0]]),
    Special("graded", [[1.0, 2.0]], [[2.0, 1.0]]),
)


def cut(cases: tuple[Special, ...], **parameters: Any) -> tuple[Special, ...]:
    """The same cases with other parameters."""
    changed = {"parameters": parameters, "dtypes": WIDE}
    return tuple(Special(**{**vars(one), **changed}) for one in cases)


HALF = 0.5 * (1 - 1 / math.log2(3))  # of the change of the NDCG, where the logistic has slope 1 / 2
WHOLE = integers([[3, -1, 2], [0, 4, 5]], [[0, 1, 2], [1, 0, 0]])
LABELS = integers([[3, -1, 2], [0, 4, 5]], [[0, 1, 1], [1, 0, 0]])
AT = ({"k": 1}, {"k": 3})
GAINS = ({"k": 2}, {"k": 3, "gain": "linear"}, {"gain": "linear"})

DEFINITIONS = {
    "listnet": Mean(
        with_digits(listnet), with_digits(listnet_partition), real,
        special=(
            smooth("sure", [[20.0, 0.0, -20.0]], [[2.0, 1.0, 0.0]]),
            # where both distributions are the same, the gradient is a difference of equal numbers
            Special("certain", [[20.0, 0.0, -20.0]], [[100.0, 1.0, 0.0]]),
            Special("large", [[1e4, 0.0, -1e4]], [[1e4, 0.0, -1e4]]),
            Special("equal", [[0.5, 0.5, 0.5]], [[1.0, 1.0, 1.0]], dtypes=FLOATS),
            smooth("left_out", [[1.0, 2.0, -INF, 3.0]], [[1.0, 0.0, -INF, -INF]]),
            smooth("one_item", [[1.0]], [[1.0]]),
            WHOLE,
        ),
    ),
    "list_mle": Mean(
        with_digits(list_mle), with_digits(list_mle_odds), graded,
        special=(*ORDERED, *FAR_OUT, flat("one_item", [[1.0]], [[1.0]]), WHOLE),
    ),
    "ranknet": Mean(
        with_digits(over_pairs(logistic)), with_digits(over_pairs(logistic_cosh)), graded,
        special=(*ORDERED, *FAR_OUT, *NOTHING, WHOLE),
    ),
    "pairwise_hinge": Mean(
        over_pairs(short), over_pairs(short_half), graded,
        variants=({"margin": 0.25}, {"margin": 3.0}),
        special=(
            *(one for one in ORDERED if one.name != "ties"), *FAR_OUT, *NOTHING,
            flat("margin", [[2.0, 1.0, 0.0]], [[2.0, 1.0, 0.0]]),
            WHOLE,
        ),
    ),
    "lambda_rank": Mean(
        defined(with_digits(lambda_rank), graded_by), defined(with_digits(lambda_rank_product), graded_by), graded,
        variants=({"gain": "linear"},),
        special=(
            *GAINED, *FAR_OUT,
            smooth("large", [[1e4, 0.0, -1e4], [-1e4, 0.0, 1e4]], [[2.0, 1.0, 0.0]] * 2),
            smooth("last", [[1.0, 2.0, -INF, -INF]], [[1.0, 0.0, 0.0, 0.0]]),
            Special("equal_scores", [[0.5, 0.5]], [[0.0, 1.0]], first=[[HALF, -HALF]], dtypes=("float64",)),
            WHOLE,
        ),
    ),
    "approx_ndcg": Mean(
        defined(with_digits(approx_ndcg), graded_by), defined(with_digits(approx_ndcg_tanh), graded_by), near,
        variants=({"gain": "linear"}, {"temperature": 0.5}, {"temperature": 0.5, "gain": "linear"}),
        special=(
            *(one for one in GAINED if one.name not in ("sure", "wrong", "ties")),
            # exp(-10), whose exponent magnifies a rounding by as much
            Special("sure", [[2.0, 0.0, -2.0, 1.0]], [[2.0, 1.0, 0.0, 1.5]], smooth=True, condition=8.0),
            smooth("wrong", [[-2.0, 0.0, 2.0]], [[2.0, 1.0, 0.0]]),
            smooth("ties", [[0.0, 0.25, 0.125, 0.25]], [[1.0, 0.0, 1.0, 1.0]]),
            smooth("equal_scores", [[0.5, 0.5, 0.5]], [[2.0, 0.0, 1.0]]),
            smooth("last", [[0.125, 0.25, -INF, -INF]], [[1.0, 0.0, 0.0, 0.0]]),
            smooth("cold", [[3.0, 2.0, 1.0]], [[2.0, 1.0, 0.0]], temperature=0.0625),
            flat("frozen", [[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]], [[2.0, 1.0, 0.0]] * 2, temperature=2.0**-20),
            WHOLE,
        ),
    ),
    "bpr": Mean(
        lambda s, t: logistic(s - t), lambda s, t: logistic_cosh(s - t),
        lambda rng, _: (1.5 * normal(rng), 1.5 * normal(rng)),
        special=(
            smooth("sure", [20.0, 600.0], [0.0, 0.0]),
            smooth("wrong", [-20.0, -60.0], [0.0, 0.0]),
            smooth("equal", [0.5, 0.0], [0.5, 0.0], FLOATS),
            smooth("near", [1e-8, -3e-8], [0.0, 0.0]),
            Special("huge", [1e30, -1e30], [-1e30, 1e30], first=[0.0, -1.0], second=[0.0, 0.0]),
            integers([3, -2, 0], [1, 1, 0]),
        ),
    ),
    **{
        name: Mean(
            defined(on_average(term), graded_by), defined(other, graded_by), ordered,
            variants=GAINS, special=(*GRADED, *cut(GRADED, k=2, gain="linear"), WHOLE), steps=True,
        )
        for name, term, other in (("dcg", dcg, dcg_tied), ("ndcg", ndcg, ndcg_tied))
    },
    **{
        name: Mean(
            defined(on_average(term), labelled_by), defined(other, labelled_by), binary,
            variants=AT, special=(*LABELLED, *cut(LABELLED, k=2), LABELS), steps=True,
        )
        for name, term, other in (
            ("mean_average_precision", average_precision, average_precision_tied),
            ("mean_reciprocal_rank", reciprocal_rank, reciprocal_rank_tied),
            ("precision_at_k", precision, precision_tied),
            ("recall_at_k", recall, recall_tied),
            ("hit_rate", hit, hit_tied),
        )
    },
}  # fmt: skip
