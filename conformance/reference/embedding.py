"""Losses of embeddings at high precision, from the literature.

A vector is a list of numbers, a batch a list of vectors. Each term is written as in a textbook, and
again by another formula: by angles, by odds, by a polar form, by traces.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from mpmath import mp, mpf

from .arithmetic import leaves
from .definition import Mean, Special, integers
from .drawing import normal
from .rounding import FLOATS, WIDE

Row = list[mpf]
Rows = list[Row]
Term = Callable[..., mpf]


# --- pairs and triplets ---------------------------------------------------------------------------


def minus(a: Row, b: Row) -> Row:
    """The difference of vectors."""
    return [x - y for x, y in zip(a, b, strict=True)]


def dot(a: Row, b: Row) -> mpf:
    """The inner product."""
    return mp.fsum(x * y for x, y in zip(a, b, strict=True))


def norm(x: Row, p: float = 2) -> mpf:
    """The p-norm."""
    return mp.fsum(abs(one) ** mpf(p) for one in x) ** (1 / mpf(p))


def norm_by_largest(x: Row, p: float = 2) -> mpf:
    """The largest number, times the norm of the others beside it, by exponentials of logarithms."""
    top = max(abs(one) for one in x)
    if not top:
        return mpf(0)
    ratios = [mp.exp(p * mp.log(abs(one) / top)) for one in x if one]
    return top * mp.exp(mp.log(mp.fsum(ratios)) / p)


def triplet(a: Row, targets: tuple[Row, Row], *, margin: float = 1.0, p: float = 2) -> mpf:
    """Schroff et al. (2015), equation 2, of distances and of one triplet."""
    near, far = (norm(minus(a, b), p) for b in targets)
    return max(mpf(0), margin + near - far)


def triplet_half(a: Row, targets: tuple[Row, Row], *, margin: float = 1.0, p: float = 2) -> mpf:
    """The mean of a number and its absolute value."""
    near, far = (norm_by_largest(minus(a, b), p) for b in targets)
    return (margin + near - far + abs(margin + near - far)) / 2


def contrastive(pair: tuple[Row, Row], y: mpf, *, margin: float = 1.0) -> mpf:
    """Hadsell, Chopra and LeCun (2006), equation 4, with 1 for their label 0."""
    d = norm(minus(*pair))
    return y / 2 * d**2 + (1 - y) / 2 * max(mpf(0), margin - d) ** 2


def contrastive_expanded(pair: tuple[Row, Row], y: mpf, *, margin: float = 1.0) -> mpf:
    """With the square of the distance, and of the margin less it, multiplied out."""
    a, b = pair
    square = dot(a, a) - 2 * dot(a, b) + dot(b, b)
    if y == 1:
        return square / 2
    near = square < mpf(margin) ** 2
    return (mpf(margin) ** 2 - 2 * margin * mp.sqrt(square) + square) / 2 if near else mpf(0)


def cosine(a: Row, b: Row) -> mpf:
    """Salton (1975); 0 for a zero vector."""
    lengths = norm(a) * norm(b)
    return dot(a, b) / lengths if lengths else mpf(0)


def cosine_by_halves(a: Row, b: Row) -> mpf:
    """Kahan's way: of the squares of the sum and of the difference of unit vectors."""
    if not (any(a) and any(b)):
        return mpf(0)
    u, v = ([x / norm(row) for x in row] for row in (a, b))
    return (norm([x + y for x, y in zip(u, v, strict=True)]) ** 2 - norm(minus(u, v)) ** 2) / 4


def cosine_embedding(pair: tuple[Row, Row], y: mpf, *, margin: float = 0.0) -> mpf:
    """1 - cos for the label 1, max(0, cos - margin) for -1."""
    c = cosine(*pair)
    return 1 - c if y == 1 else max(mpf(0), c - margin)


def cosine_embedding_half(pair: tuple[Row, Row], y: mpf, *, margin: float = 0.0) -> mpf:
    """The same, as halves of sums with absolute values."""
    c = cosine_by_halves(*pair)
    return ((1 + y) * (1 - c) + (1 - y) * (c - margin + abs(c - margin)) / 2) / 2


def margin_ranking(pair: tuple[mpf, mpf], y: mpf, *, margin: float = 0.0) -> mpf:
    """max(0, m - y (s1 - s2))."""
    return max(mpf(0), margin - y * (pair[0] - pair[1]))


def margin_ranking_half(pair: tuple[mpf, mpf], y: mpf, *, margin: float = 0.0) -> mpf:
    """The mean of a number and its absolute value."""
    low, high = pair if y == 1 else pair[::-1]
    return (margin - low + high + abs(margin - low + high)) / 2


# --- all pairs of a batch -------------------------------------------------------------------------


def with_digits(formula: Term) -> Term:
    """A term computed with digits enough for exp(-2 / temperature) beside 1."""

    def term(a: Any, b: Any, **parameters: Any) -> mpf:
        spread = 4 / mpf(parameters.get("temperature", 0.07))
        with mp.workdps(mp.dps + int(min(spread, 1500))):
            return formula(a, b, **parameters)

    return term


def choice(logits: Row, label: int) -> mpf:
    """-log of the share of one exponential among several."""
    return -mp.log(mp.exp(logits[label]) / mp.fsum(map(mp.exp, logits)))


def odds(logits: Row, label: int) -> mpf:
    """The same: log(1 + the odds against it)."""
    others = [x for j, x in enumerate(logits) if j != label]
    return mp.log1p(mp.fsum(mp.exp(x - logits[label]) for x in others))


def mean(x: Any) -> mpf:
    """The mean of some numbers."""
    x = list(x)
    return mp.fsum(x) / len(x)


def info_nce_of(similarity: Callable[..., mpf], loss: Callable[..., mpf]) -> Term:
    """Van den Oord et al. (2018), equation 4, of every row of the batch."""

    def term(a: Rows, b: Rows, *, temperature: float = 0.07) -> mpf:
        rows = [[similarity(x, y) / mpf(temperature) for y in b] for x in a]
        return mean(loss(row, i) for i, row in enumerate(rows))

    return with_digits(term)


def clip_of(similarity: Callable[..., mpf], loss: Callable[..., mpf]) -> Term:
    """Radford et al. (2021), figure 3: the mean of both directions."""
    one_way = info_nce_of(similarity, loss)
    return lambda a, b, **options: (one_way(a, b, **options) + one_way(b, a, **options)) / 2


def nt_xent_of(similarity: Callable[..., mpf], loss: Callable[..., mpf]) -> Term:
    """Chen et al. (2020), equation 1, over all 2N positive pairs."""

    def term(a: Rows, b: Rows, *, temperature: float = 0.5) -> mpf:
        views, n, terms = [*a, *b], len(a), []
        for i, x in enumerate(views):
            others = [j for j in range(2 * n) if j != i]
            row = [similarity(x, views[j]) / mpf(temperature) for j in others]
            terms.append(loss(row, others.index((i + n) % (2 * n))))
        return mean(terms)

    return with_digits(term)


def supervised_of(similarity: Callable[..., mpf], loss: Callable[..., mpf]) -> Term:
    """Khosla et al. (2020), equation 2, over the rows that have a positive."""

    def term(a: Rows, labels: list[int], *, temperature: float = 0.1) -> mpf:
        terms = []
        for i, x in enumerate(a):
            others = [j for j in range(len(a)) if j != i]
            row = [similarity(x, a[j]) / mpf(temperature) for j in others]
            alike = [k for k, j in enumerate(others) if labels[j] == labels[i]]
            if alike:
                terms.append(mean(loss(row, k) for k in alike))
        return mean(terms) if terms else mpf(0)

    return with_digits(term)


def siglip(a: Rows, b: Rows, *, temperature: float = 0.1, bias: float = -10.0) -> mpf:
    """Zhai et al. (2023), equation 1."""
    total = mpf(0)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            z = 1 if i == j else -1
            total -= mp.log(1 / (1 + mp.exp(z * (-cosine(x, y) / mpf(temperature) - bias))))
    return total / len(a)


def siglip_cosh(a: Rows, b: Rows, *, temperature: float = 0.1, bias: float = -10.0) -> mpf:
    """1 + exp(-x) is 2 exp(-x / 2) cosh(x / 2)."""
    logits = [[cosine_by_halves(x, y) / mpf(temperature) + bias for y in b] for x in a]
    even = mp.fsum(mp.log(2 * mp.cosh(x / 2)) for x in leaves(logits))
    own = mp.fsum(row[i] for i, row in enumerate(logits))
    return (even + (mp.fsum(leaves(logits)) - 2 * own) / 2) / len(a)


# --- features across a batch ----------------------------------------------------------------------


def columns(a: Rows) -> Rows:
    """The features, each less its mean over the batch."""
    return [[x - mean(column) for x in column] for column in map(list, zip(*a, strict=True))]


def barlow_twins(a: Rows, b: Rows, *, off_diagonal: float = 0.005) -> mpf:
    """Zbontar et al. (2021), equations 1 and 2."""
    c = [[cosine(x, y) for y in columns(b)] for x in columns(a)]
    own = mp.fsum((1 - row[k]) ** 2 for k, row in enumerate(c))
    rest = mp.fsum(x**2 for k, row in enumerate(c) for j, x in enumerate(row) if j != k)
    return own + off_diagonal * rest


def raw_covariance(x: Row, y: Row) -> mpf:
    """The mean of the product less the product of the means, times n."""
    return dot(x, y) - mp.fsum(x) * mp.fsum(y) / len(x)


def barlow_twins_trace(a: Rows, b: Rows, *, off_diagonal: float = 0.005) -> mpf:
    """With the sum of all squares and the trace, of raw moments."""
    a, b = (list(map(list, zip(*x, strict=True))) for x in (a, b))
    c = [
        [raw_covariance(x, y) / root if (root := spread(x) * spread(y)) else mpf(0) for y in b]
        for x in a
    ]
    own = [row[k] for k, row in enumerate(c)]
    squares = mp.fsum(x * x for x in leaves(c))
    return len(c) - 2 * mp.fsum(own) + dot(own, own) + mpf(off_diagonal) * (squares - dot(own, own))


def spread(x: Row) -> mpf:
    """The root of a raw variance; exactly 0 for a constant."""
    return mpf(0) if len(set(x)) == 1 else mp.sqrt(raw_covariance(x, x))


def vicreg(
    a: Rows, b: Rows, *, invariance: float = 25.0, variance: float = 25.0,
    covariance: float = 1.0, epsilon: float = 1e-4,
) -> mpf:  # fmt: skip
    """Bardes, Ponce and LeCun (2022), algorithm 1."""
    total = mpf(invariance) * mean((x - y) ** 2 for x, y in zip(leaves(a), leaves(b), strict=True))
    for view in (a, b):
        z, n = columns(view), len(view)
        s = [[dot(x, y) / (n - 1) for y in z] for x in z]
        short = [max(mpf(0), 1 - mp.sqrt(row[k] + mpf(epsilon))) for k, row in enumerate(s)]
        off = mp.fsum(x**2 for k, row in enumerate(s) for j, x in enumerate(row) if j != k)
        total += mpf(variance) * mean(short) + mpf(covariance) * off / len(z)
    return total


def vicreg_moments(
    a: Rows, b: Rows, *, invariance: float = 25.0, variance: float = 25.0,
    covariance: float = 1.0, epsilon: float = 1e-4,
) -> mpf:  # fmt: skip
    """Of raw moments, and of the sum of all squares less that of the diagonal."""
    n, d = len(a), len(a[0])
    flat = (leaves(a), leaves(b))
    square = dot(flat[0], flat[0]) - 2 * dot(*flat) + dot(flat[1], flat[1])
    total = mpf(invariance) * square / (n * d)
    for view in (a, b):
        z = list(map(list, zip(*view, strict=True)))
        s = [[raw_covariance(x, y) / (n - 1) for y in z] for x in z]
        own = [row[k] for k, row in enumerate(s)]
        gap = [1 - mp.sqrt(x + mpf(epsilon)) for x in own]
        total += mpf(variance) * mp.fsum(x + abs(x) for x in gap) / (2 * d)
        total += mpf(covariance) * (dot(leaves(s), leaves(s)) - dot(own, own)) / d
    return total


# --- declared -------------------------------------------------------------------------------------


def vector(rng: random.Random, size: int = 3) -> list[float]:
    """A vector of ordinary length."""
    return [normal(rng) for _ in range(size)]


def batch(rng: random.Random, rows: int = 3, size: int = 2) -> list[list[float]]:
    """A few vectors."""
    return [vector(rng, size) for _ in range(rows)]


def triplets(rng: random.Random, _: Any) -> Any:
    """An anchor, a positive and a negative."""
    return vector(rng), (vector(rng), vector(rng))


def pairs(labels: tuple[float, float]) -> Callable[..., Any]:
    """Two vectors and a label."""
    return lambda rng, _: ((vector(rng), vector(rng)), labels[int(2 * rng.random())])


def views(rng: random.Random, _: Any) -> Any:
    """Two batches, of which the rows are no pairs: a sure answer magnifies the rounding of cosines."""
    return batch(rng), batch(rng)


def labelled(rng: random.Random, _: Any) -> Any:
    """A batch and its labels, of which two at least are equal."""
    return batch(rng, 4), [0, 1, 1, int(3 * rng.random())]


def smooth(
    name: str,
    p: Any,
    y: Any,
    dtypes: tuple[str, ...] = WIDE,
    condition: float = 1.0,
    /,
    **parameters: Any,
) -> Special:
    """Samples whose derivatives are found by differences."""
    return Special(name, p, y, parameters, smooth=True, dtypes=dtypes, condition=condition)


AXES = [[1.0, 0.0], [0.0, 1.0]]
OTHER = [[2.0, 0.0], [0.0, 3.0]]
TURNED = [[0.75, 0.5], [-0.5, 1.0]]
BATCHES = (
    smooth("apart", [AXES], [TURNED], FLOATS, 16.0),
    smooth("swapped", [AXES], [TURNED[::-1]]),
    smooth("long", [[[1e30, 0.0], [0.0, -1e30]]], [[[1e30, 5e29], [1e29, 1e30]]]),
    smooth("short", [[[1e-30, 0.0], [0.0, -1e-30]]], [[[1e-30, 5e-31], [1e-31, 1e-30]]]),
)
COLD = (
    # the rounding of a cosine, divided by the temperature
    smooth("cold", [AXES], [TURNED], WIDE, 64.0, temperature=2.0**-6),
    smooth("cold_and_wrong", [AXES], [TURNED[::-1]], WIDE, 64.0, temperature=2.0**-6),
    smooth("coldest", [AXES], [TURNED], WIDE, 2.0**13, temperature=2.0**-13),
    smooth("coldest_and_wrong", [AXES], [TURNED[::-1]], WIDE, 2.0**13, temperature=2.0**-13),
)
ONE_ROW = smooth("one_row", [[[1.0, 2.0]]], [[[2.0, 1.0]]])
TWO_BATCHES = integers([[[1, 2], [3, 0]], [[0, 1], [2, 2]]], [[[2, 0], [1, 1]], [[4, 3], [1, 2]]])

DEFINITIONS = {
    "triplet_margin": Mean(
        triplet, triplet_half, triplets,
        variants=({"p": 1.0}, {"p": 3.0}, {"p": 1.5}, {"margin": 3.0}, {"p": 5.0, "margin": 0.25}),
        special=(
            Special("kink", [[0.0, 0.0]], [([3.0, 4.0], [6.0, 0.0])], first=[[0.0, 0.0]], second=[[0.0, 0.0]], dtypes=FLOATS),
            Special("far", [[0.0, 0.0]], [([3.0, 4.0], [60.0, 0.0])], first=[[0.0, 0.0]], second=[[0.0, 0.0]], dtypes=FLOATS),
            Special("at_the_positive", [[1.0, 2.0]], [([1.0, 2.0], [1.0, 2.5])], first=[[0.0, 1.0]], second=[[-2.0, 0.0]], dtypes=FLOATS),
            Special("at_both", [[1.0, 2.0]], [([1.0, 2.0], [1.0, 2.0])], first=[[0.0, 0.0]], second=[[0.0, 0.0]], dtypes=FLOATS),
            *(
                Special("on_an_axis", [[0.0, 0.0]], [([3.0, 0.0], [0.0, 2.0])], {"p": p}, first=[[-1.0, 1.0]], second=[[0.0, 0.0]])
                for p in (1.0, 3.0)
            ),
            smooth("long", [[1e30, 0.0]], [([0.0, 2e30], [1e30, 1e30])]),
            smooth("longest", [[1e300, 0.0]], [([0.0, 2e300], [1e300, 1e300])], ("float64",)),
            smooth("long", [[1e30, 1e29]], [([0.0, 2e30], [9e29, 1e30])], p=3.0),
            smooth("short", [[1e-30, 0.0]], [([0.0, 2e-30], [1e-30, 1e-30])], margin=0.0),
            integers([[1, 2], [3, 0]], [([4, 6], [1, 2]), ([0, 0], [3, 1])]),
        ),
    ),
    "contrastive": Mean(
        contrastive, contrastive_expanded, pairs((0.0, 1.0)),
        variants=({"margin": 3.0},),
        special=(
            smooth("alike_and_equal", [([1.0, 2.0], [1.0, 2.0])], [1.0], FLOATS),
            Special("apart_and_equal", [([1.0, 2.0], [1.0, 2.0])], [0.0], first=[([0.0, 0.0], [0.0, 0.0])], dtypes=FLOATS),
            smooth("inside", [([0.6, 0.8], [0.0, 0.0])], [0.0], margin=5.0),
            Special("margin", [([3.0, 4.0], [0.0, 0.0])], [0.0], {"margin": 5.0}, first=[([0.0, 0.0], [0.0, 0.0])], dtypes=FLOATS),
            Special("far", [([3e30, 4e30], [0.0, 0.0])], [0.0], first=[([0.0, 0.0], [0.0, 0.0])], dtypes=WIDE),
            smooth("near", [([1e-20, 0.0], [0.0, 2e-20]), ([1e-10, 0.0], [0.0, 0.0])], [0.0, 1.0]),
            integers([([1, 2], [1, 4]), ([0, 0], [3, 4])], [0, 1]),
        ),
    ),
    "cosine_embedding": Mean(
        cosine_embedding, cosine_embedding_half, pairs((-1.0, 1.0)),
        variants=({"margin": 0.25}, {"margin": -0.5}),
        special=(
            smooth("parallel", [([3.0, 4.0], [6.0, 8.0])], [1.0]),
            smooth("nearly_parallel", [([1.0, 0.0], [1.0, 1e-6]), ([1.0, 1e-4], [1.0, 0.0])], [1.0, 1.0]),
            Special("kink", [([1.0, 0.0], [0.0, 1.0])], [-1.0], first=[([0.0, 0.0], [0.0, 0.0])], dtypes=FLOATS),
            Special("zero", [([0.0, 0.0], [0.0, 1.0])] * 2, [1.0, -1.0], first=[([0.0, 0.0], [0.0, 0.0])] * 2, dtypes=FLOATS),
            smooth("long", [([1e30, 0.0], [1e30, 2e30]), ([1e30, 1e29], [1e30, 2e30])], [1.0, -1.0]),
            smooth("short", [([1e-30, 0.0], [1e-30, 2e-30]), ([1e-30, 1e-31], [1e-30, 2e-30])], [1.0, -1.0]),
            integers([([1, 2], [1, 4]), ([0, 2], [3, 4])], [1, -1]),
        ),
    ),
    "margin_ranking": Mean(
        margin_ranking, margin_ranking_half, lambda rng, _: ((normal(rng), normal(rng)), 1.0 if rng.random() < 0.5 else -1.0),
        variants=({"margin": 0.5}, {"margin": 2.0}),
        special=(
            Special("kink", [(1.0, 1.0), (2.0, 2.0)], [1.0, -1.0], first=[(0.0, 0.0)] * 2, second=[(0.0, 0.0)] * 2, dtypes=FLOATS),
            Special("wrong", [(1.0, 3.0), (3.0, 1.0)], [1.0, -1.0], first=[(-1.0, 1.0), (1.0, -1.0)], second=[(0.0, 0.0)] * 2, dtypes=FLOATS),
            Special("huge", [(1e30, 3e30), (1e30, -2e30)], [1.0, -1.0], first=[(-1.0, 1.0), (1.0, -1.0)], second=[(0.0, 0.0)] * 2),
            Special("tiny", [(1e-30, 3e-30)], [1.0], first=[(-1.0, 1.0)], second=[(0.0, 0.0)]),
            integers([(3, 5), (2, 2), (1, 4)], [1, -1, -1]),
        ),
    ),
    **{
        name: Mean(
            of(cosine, choice), of(cosine_by_halves, odds), views,
            variants=({"temperature": 0.25},), special=(*BATCHES, *COLD, ONE_ROW, TWO_BATCHES),
        )
        for name, of in (("info_nce", info_nce_of), ("clip_loss", clip_of), ("nt_xent", nt_xent_of))
    },
    "supervised_contrastive": Mean(
        supervised_of(cosine, choice), supervised_of(cosine_by_halves, odds), labelled,
        variants=({"temperature": 0.25}, {"temperature": 1.0}),
        special=(
            smooth("all_alike", [[*AXES, *TURNED]], [[5, 5, 5, 5]]),
            smooth("some_alone", [[*AXES, *TURNED]], [[0, 1, 1, 2]], FLOATS),
            Special("none_alike", [[*AXES, *TURNED]], [[0, 1, 2, 3]], first=[[[0.0, 0.0]] * 4], dtypes=FLOATS),
            smooth("coldest", [[*AXES, *TURNED]], [[0, 1, 0, 1]], WIDE, 2.0**13, temperature=2.0**-13),
            smooth("large_labels", [[*AXES, *TURNED]], [[2**25, 2**25 + 1, 2**25 + 1, 2**25]]),
            integers([[[1, 2], [3, 0], [1, 1]]], [[0, 1, 1]]),
        ),
        labels=True,
        limit=20.0,
    ),
    "siglip": Mean(
        with_digits(siglip), with_digits(siglip_cosh), views,
        variants=({"temperature": 0.25, "bias": -2.0}, {"temperature": 1.0, "bias": 0.0}),
        special=(
            *BATCHES,
            ONE_ROW,
            smooth("cold", [AXES], [TURNED], WIDE, 2.0**10, temperature=2.0**-10, bias=0.0),
            integers([[[1, 2], [3, 0]]], [[[1, 1], [2, 0]]]),
        ),
        limit=20.0,
    ),
    "barlow_twins": Mean(
        barlow_twins, barlow_twins_trace, lambda rng, _: (batch(rng, 4), batch(rng, 4)),
        variants=({"off_diagonal": 0.5}, {"off_diagonal": 0.0}),
        special=(
            smooth("alike", [[[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]]], [[[2.0, 1.0], [0.0, 2.0], [-2.0, 2.0]]]),
            smooth("long", [[[1e30, 0.0], [0.0, 1e30], [-1e30, 1e30]]], [[[2e30, 1e30], [1e30, 2e30], [-2e30, 2e30]]]),
            smooth("short", [[[1e-30, 0.0], [0.0, 1e-30], [-1e-30, 1e-30]]], [[[2e-30, 1e-30], [1e-30, 2e-30], [-2e-30, 2e-30]]]),
            Special("constant", [[[0.1, 0.7], [0.1, 0.7], [0.1, 0.7]]], [[[0.3, 0.1], [0.3, 0.1], [0.3, 0.1]]], first=[[[0.0, 0.0]] * 3], dtypes=FLOATS),
            smooth("shifted", [[[1024.0, 0.0], [1025.0, 1.0], [1023.5, 1.0]]], [[[2.0, 512.0], [0.0, 513.0], [-2.0, 513.5]]]),
            integers([[[1, 2], [3, 0], [0, 1]]], [[[1, 1], [2, 0], [0, 3]]]),
        ),
        limit=20.0,
    ),
    "vicreg": Mean(
        vicreg, vicreg_moments, lambda rng, _: (batch(rng, 4), batch(rng, 4)),
        variants=({"invariance": 2.0, "variance": 1.0, "covariance": 5.0}, {"epsilon": 0.0}),
        special=(
            smooth("narrow", [[[0.125, 0.0], [0.0, 0.25], [-0.125, 0.125]]], [[[0.25, 0.125], [0.0, 0.25], [-0.25, 0.25]]]),
            smooth("equal", [[[0.5, 0.0], [0.0, 0.25], [-0.5, 0.125]]], [[[0.5, 0.0], [0.0, 0.25], [-0.5, 0.125]]]),
            Special(
                "constant", [[[0.5, 0.75]] * 3], [[[0.5, 0.75]] * 3], {"epsilon": 0.0}, first=[[[0.0, 0.0]] * 3], dtypes=FLOATS
            ),
            smooth("shifted", [[[1024.0, 0.0], [1025.0, 1.0], [1023.5, 1.0]]], [[[1024.0, 0.5], [1025.0, 1.5], [1023.5, 1.0]]]),
            integers([[[1, 2], [3, 0], [0, 1]]], [[[1, 1], [2, 0], [0, 3]]]),
        ),
        limit=20.0,
    ),
}  # fmt: skip
