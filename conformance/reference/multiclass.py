"""Classification with many classes at high precision, from the literature.

A sample is a list of logits (or probabilities) and a label; derivatives at infinite logits are the
limits of the finite ones, stated by hand.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from mpmath import mp, mpf

from .definition import Mean, Special, integers
from .drawing import normal, uniform
from .rounding import FLOATS

CLASSES = 4
INF = float("inf")
Row = list[mpf]


def scores(rng: random.Random, parameters: dict[str, Any]) -> tuple[list[float], int]:
    """Logits of a few classes, and a label."""
    return [2 * normal(rng) for _ in range(CLASSES)], int(CLASSES * rng.random())


def learned(rng: random.Random, parameters: dict[str, Any]) -> tuple[list[float], int]:
    """Logits that favour the label: the exponential of a large loss magnifies its rounding."""
    row, label = scores(rng, parameters)
    row[label] += 3
    return row, label


def probabilities(rng: random.Random) -> list[float]:
    """Probabilities that add up to about 1."""
    sizes = [uniform(rng, 0.1, 1) for _ in range(CLASSES)]
    return [size / sum(sizes) for size in sizes]


def soft(rng: random.Random, parameters: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Logits and probabilities."""
    return scores(rng, parameters)[0], probabilities(rng)


def shares(rng: random.Random, parameters: dict[str, Any]) -> tuple[list[float], int]:
    """Probabilities and a label."""
    return probabilities(rng), int(CLASSES * rng.random())


def log_shares(rng: random.Random, parameters: dict[str, Any]) -> tuple[list[float], int]:
    """Logarithms of probabilities and a label."""
    return [float(mp.log(p)) for p in probabilities(rng)], int(CLASSES * rng.random())


def with_limit(formula: Callable[..., mpf]) -> Callable[..., mpf]:
    """A loss of logits, and its limit as one of them grows: the answer is certain, right or wrong."""

    def limit(z: Row, y: Any, **parameters: Any) -> mpf:
        if mp.inf in z:
            return mpf(0) if z[y] == mp.inf else mp.inf
        spread = max(z) - min((x for x in z if x > -mp.inf), default=mpf(0))
        with mp.workdps(mp.dps + int(min(spread, 1500))):  # exp(-1200) beside 600
            return formula(z, y, **parameters)

    return limit


# --- cross-entropies ------------------------------------------------------------------------------


def log_sum_exp(z: Row) -> mpf:
    """The logarithm of the sum of exponentials."""
    return mp.log(mp.fsum(mp.exp(x) for x in z))


def smoothed(y: Any, count: int, label_smoothing: float) -> Row:
    """A label's probabilities: Szegedy et al. (2016), equation 7."""
    s = mpf(label_smoothing)
    ones = y if isinstance(y, list) else [mpf(c == y) for c in range(count)]
    return [(1 - s) * one + s / count for one in ones]


def weight_of(y: Any, *, class_weights: list[float] | None = None, **_: Any) -> mpf:
    """What a target adds to the divisor: the weight of its label, smoothed or not."""
    if class_weights is None:
        return mpf(1)
    if isinstance(y, list):
        return mp.fdot(map(mpf, class_weights), y)
    return mpf(class_weights[y])


@with_limit
def cross_entropy(
    z: Row,
    y: Any,
    *,
    label_smoothing: float = 0.0,
    class_weights: list[float] | None = None,
    z_loss: float = 0.0,
    ignore_index: int | None = None,
) -> mpf:
    """-sum w_c t_c log(softmax(z)_c) over the weight of the target, plus the z-loss."""
    weights = [mpf(1)] * len(z) if class_weights is None else [mpf(w) for w in class_weights]
    shares = smoothed(y, len(z), label_smoothing)
    whole = log_sum_exp(z)
    loss = mp.fsum(w * t * (whole - x) for w, t, x in zip(weights, shares, z, strict=True) if w * t)
    return loss / weight_of(y, class_weights=class_weights) + mpf(z_loss) * whole**2


@with_limit
def cross_entropy_of_ratios(
    z: Row,
    y: Any,
    *,
    label_smoothing: float = 0.0,
    class_weights: list[float] | None = None,
    z_loss: float = 0.0,
    ignore_index: int | None = None,
) -> mpf:
    """The same, of the ratios of probabilities exp(z_k - z_c)."""
    weights = [mpf(1)] * len(z) if class_weights is None else [mpf(w) for w in class_weights]
    total = mpf(0)
    for w, t, x in zip(weights, smoothed(y, len(z), label_smoothing), z, strict=True):
        if w * t:
            ratio = mp.fsum(mp.exp(other - x) for other in z) if mp.isfinite(x) else mp.inf
            total += w * t * mp.log(ratio)
    exponentials = mp.log(mp.fprod([mp.fsum(map(mp.exp, z))]))
    return total / weight_of(y, class_weights=class_weights) + mpf(z_loss) * exponentials**2


def counts(y: Any, *, ignore_index: int | None = None, **_: Any) -> bool:
    """Whether a label is not the one to ignore."""
    return y != ignore_index


@with_limit
def focal(z: Row, y: int, *, gamma: float = 2.0, alpha: list[float] | None = None) -> mpf:
    """-a (1 - q)^gamma log(q). Lin et al. (2017), equation 5."""
    q = mp.exp(z[y] - log_sum_exp(z))
    others = mp.fsum(mp.exp(x - log_sum_exp(z)) for c, x in enumerate(z) if c != y)
    return (1 if alpha is None else mpf(alpha[y])) * -(others ** mpf(gamma)) * mp.log(q)


@with_limit
def focal_of_margin(z: Row, y: int, *, gamma: float = 2.0, alpha: list[float] | None = None) -> mpf:
    """The same, of the odds r against the label: log(1 + r) / (1 + 1 / r)^gamma."""
    odds = mp.fsum(mp.exp(x - z[y]) for c, x in enumerate(z) if c != y)
    factor = mpf(1) if alpha is None else mpf(alpha[y])
    return factor * mp.log1p(odds) * (odds / (1 + odds)) ** mpf(gamma)


def likelihood(z: Row, y: int, *, ignore_index: int | None = None) -> mpf:
    """-log p_y."""
    return -z[y]


def hinge(z: Row, y: int, *, margin: float = 1.0) -> mpf:
    """max(0, m + max of the others - z_y). Crammer and Singer (2001), equation 3."""
    return max(mpf(0), mpf(margin) + max(x for c, x in enumerate(z) if c != y) - z[y])


def largest_hinge(z: Row, y: int, *, margin: float = 1.0) -> mpf:
    """The largest of the shortfalls against each class, that against itself being 0."""
    return max(mpf(margin) * (c != y) + x - z[y] for c, x in enumerate(z))


def brier(p: Row, y: int) -> mpf:
    """sum (p_c - [c = y])^2. Brier (1950), equation 2."""
    return mp.fsum((x - (c == y)) ** 2 for c, x in enumerate(p))


def brier_expanded(p: Row, y: int) -> mpf:
    """1 - 2 p_y + sum p^2."""
    return 1 - 2 * p[y] + mp.fsum(x * x for x in p)


# --- scores ---------------------------------------------------------------------------------------


def right(z: Row, y: int) -> mpf:
    """Whether the first of the largest scores is the label's."""
    return mpf(z.index(max(z)) == y)


def none_before(z: Row, y: int) -> mpf:
    """Whether no score is larger, nor as large and earlier."""
    return mpf(not any(x > z[y] or (x == z[y] and c < y) for c, x in enumerate(z)))


def among_first(z: Row, y: int, *, k: int = 5) -> mpf:
    """Whether the label is among the first k of the stably sorted scores."""
    return mpf(y in sorted(range(len(z)), key=lambda c: -z[c])[:k])


def few_before(z: Row, y: int, *, k: int = 5) -> mpf:
    """Whether fewer than k scores are before it."""
    return mpf(sum(x > z[y] or (x == z[y] and c < y) for c, x in enumerate(z)) < k)


# --- cases ----------------------------------------------------------------------------------------

FAR = {"float16": 1e4, "bfloat16": 1e30, "float32": 1e30, "float64": 1e300}
WEIGHTS = [1.0, 2.0, 0.5, 3.0]


def sure() -> list[Special]:
    """Far, equal and infinite logits, beside each label."""
    found = []
    for y in range(3):
        rows = [[20.0, 0.0, 0.0], [15.0, -15.0, 15.0], [0.0, 0.0, 0.0], [600.0, -600.0, 80.0]]
        found += [Special("sure", [row], [y], smooth=True, dtypes=FLOATS) for row in rows]
        for dtype, far in FAR.items():
            row = [far, -far, far / 2]
            first = [0.0 - (c == y) + (c == 0) for c in range(3)]
            zero = [0.0] * 3
            found.append(Special("far", [row], [y], first=[first], second=[zero], dtypes=(dtype,)))
    infinite = [
        ([INF, 0.0, 0.0], 0, [0, 0, 0]),
        ([INF, 0.0, 0.0], 1, [1, -1, 0]),
        ([0.0, -INF, -INF], 0, [0, 0, 0]),
        ([-INF, 2.0, -INF], 2, [0, 1, -1]),
    ]
    for row, y, first in infinite:
        zero = [0.0] * 3
        found.append(
            Special(
                "infinite",
                [row],
                [y],
                first=[list(map(float, first))],
                second=[zero],
                dtypes=FLOATS,
            )
        )
    return found


def ruled_out() -> Special:
    """A class of logit -inf is as if it were not there."""
    q, bent = 0.5, 0.25
    rows = [[1.0, -INF, 1.0], [1.0, -INF, 1.0]]
    first = [[q - 1, 0.0, q], [q, 0.0, q - 1]]
    return Special(
        "ruled_out", rows, [0, 2], first=first, second=[[bent, 0.0, bent]] * 2, dtypes=FLOATS
    )


ties = [
    ([1.0, 1.0, 0.0], 0),
    ([1.0, 1.0, 0.0], 1),
    ([0.0, 0.0, 0.0], 2),
    ([-1.0, 3.0, 3.0], 2),
    ([2.0, -INF, 2.0], 0),
]
SCORED = tuple(
    Special("ties", [row], [y], first=[[0.0] * 3], second=[[0.0] * 3], dtypes=FLOATS)
    for row, y in ties
)

DEFINITIONS = {
    "softmax_cross_entropy": Mean(
        cross_entropy,
        cross_entropy_of_ratios,
        scores,
        variants=(
            {"label_smoothing": 0.1},
            {"class_weights": WEIGHTS},
            {"class_weights": WEIGHTS, "label_smoothing": 0.25},
            {"z_loss": 0.25},
            {"ignore_index": 2},
        ),
        special=(
            *sure(),
            ruled_out(),
            Special("ignored", [[1.0, 2.0, 3.0]] * 3, [0, -100, 2], {"ignore_index": -100}, smooth=True),
            integers([[3, -1, 2], [0, 0, 5]], [0, 1]),
        ),
        labels=True,
        weigh=weight_of,
        counts=counts,
    ),
    "softmax_cross_entropy_with_probabilities": Mean(
        cross_entropy,
        cross_entropy_of_ratios,
        soft,
        variants=(
            {"label_smoothing": 0.1},
            {"class_weights": WEIGHTS},
            {"class_weights": WEIGHTS, "label_smoothing": 0.25},
            {"z_loss": 0.25},
        ),
        special=(
            Special("certain", [[20.0, 0.0, 0.0]] * 2, [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], smooth=True, dtypes=FLOATS),
            Special(
                "ruled_out",
                [[1.0, -INF, 1.0]],
                [[0.75, 0.0, 0.25]],
                first=[[-0.25, 0.0, 0.25]],
                second=[[0.25, 0.0, 0.25]],
                dtypes=FLOATS,
            ),
            Special("not_ruled_out", [[1.0, -INF, 1.0]], [[0.5, 0.25, 0.25]], first=[[0.0, -0.25, 0.25]], second=[[0.25, 0.0, 0.25]], dtypes=FLOATS),
        ),
        weigh=weight_of,
    ),
    "perplexity": Mean(
        cross_entropy, cross_entropy_of_ratios, learned, labels=True, link=lambda mean, **_: mp.exp(mean)
    ),
    "negative_log_likelihood": Mean(
        likelihood,
        lambda z, y, ignore_index=None: mp.log(1 / mp.exp(z[y])) if mp.isfinite(z[y]) else mp.inf,
        log_shares,
        variants=({"ignore_index": 1},),
        special=(Special("impossible", [[0.0, -INF]] * 2, [0, 1], first=[[-1.0, 0.0], [0.0, -1.0]], second=[[0.0] * 2] * 2, dtypes=FLOATS),),
        labels=True,
        counts=counts,
    ),
    "log_loss": Mean(
        lambda p, y: -mp.log(p[y]) if p[y] else mp.inf,
        lambda p, y: mp.log(1 / p[y]) if p[y] else mp.inf,
        shares,
        special=(Special("certain", [[0.0, 1.0], [1.0, 0.0]], [1, 0], smooth=True), Special("impossible", [[0.0, 1.0]], [0])),
        labels=True,
    ),
    "softmax_focal": Mean(
        focal,
        focal_of_margin,
        scores,
        variants=({"gamma": 0.0}, {"gamma": 0.5}, {"gamma": 3.0}, {"alpha": WEIGHTS}),
        special=(
            Special("sure", [[20.0, 0.0, 0.0], [600.0, 0.0, 0.0]], [0, 1], smooth=True),
            Special("sure", [[-20.0, 3.0, 0.0]], [0], {"gamma": 0.5}, smooth=True),
            Special("infinite", [[INF, 0.0, 0.0]], [0], first=[[0.0] * 3], second=[[0.0] * 3], dtypes=FLOATS),
            Special("infinite", [[INF, 0.0, 0.0]], [1], first=[[1.0, -1.0, 0.0]], second=[[0.0] * 3], dtypes=FLOATS),
        ),
        labels=True,
    ),
    "multiclass_hinge": Mean(
        hinge,
        largest_hinge,
        scores,
        variants=({"margin": 0.3}, {"margin": 4.0}),
        special=(
            Special("kinks", [[2.0, 1.0, 0.0], [1.0, 1.0, 1.0]], [0, 2], first=[[0.0] * 3, [0.5, 0.5, -1.0]], second=[[0.0] * 3] * 2, dtypes=FLOATS),
            Special("kinks", [[5.0, 1.0, 0.0]], [0], first=[[0.0] * 3], second=[[0.0] * 3], dtypes=FLOATS),
            integers([[3, -1, 2], [0, 0, 5]], [0, 1]),
        ),
        labels=True,
    ),
    "multiclass_brier_score": Mean(
        brier,
        brier_expanded,
        shares,
        special=(Special("certain", [[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]], [0, 1], smooth=True, dtypes=FLOATS),),
        labels=True,
    ),
    "accuracy": Mean(right, none_before, scores, special=SCORED, labels=True, steps=True),
    "zero_one_loss": Mean(
        lambda z, y: 1 - right(z, y), lambda z, y: 1 - none_before(z, y), scores, special=SCORED, labels=True, steps=True
    ),
    "top_k_accuracy": Mean(
        among_first, few_before, scores, variants=({"k": 2}, {"k": 1}), special=SCORED, labels=True, steps=True
    ),
}  # fmt: skip
