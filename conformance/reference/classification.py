"""Classification of one label of two at high precision, from the literature.

``z`` a score, ``p`` a probability, ``y`` the label, which may be soft. Slopes are written out where
there are kinks, and for losses whose derivatives are too small to difference far out.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

from mpmath import mp, mpf

from .arithmetic import xlogy
from .definition import Mean
from .drawing import normal, uniform
from .regression import Pair
from .regression import squared as brier
from .regression import squared_expanded as brier_expanded
from .regression_cases import HIGHEST, OVERFLOW, Listed, case, single, with_cases
from .rounding import FLOATS, INTEGERS, WIDE

# --- cross-entropies ------------------------------------------------------------------------------


def smoothed(y: mpf, label_smoothing: float) -> mpf:
    """y, moved towards 1/2. Szegedy et al. (2016), eq. 7, with two classes."""
    s = mpf(label_smoothing)
    return (1 - s) * y + s / 2


def sigmoid_cross_entropy(
    z: mpf, y: mpf, *, pos_weight: float = 1.0, label_smoothing: float = 0.0
) -> mpf:
    """w y log(1 + exp(-z)) + (1 - y) log(1 + exp(z)). Cox (1958); w: King and Zeng (2001)."""
    y = smoothed(y, label_smoothing)
    return mpf(pos_weight) * y * mp.log1p(mp.exp(-z)) + (1 - y) * mp.log1p(mp.exp(z))


def sigmoid_cross_entropy_slopes(
    z: mpf, y: mpf, *, pos_weight: float = 1.0, label_smoothing: float = 0.0
) -> Pair:
    """With the probabilities q of 1 and 1 - q of 0: (1 - y) q - w y (1 - q), and q (1 - q)."""
    y = smoothed(y, label_smoothing)
    yes, no = mpf(pos_weight) * y, 1 - y
    q, rest = 1 / (1 + mp.exp(-z)), 1 / (1 + mp.exp(z))
    return no * q - yes * rest, (yes + no) * q * rest


def softplus(x: mpf) -> mpf:
    """log(1 + exp(x)), as max(x, 0) and log(1 + t) = 2 artanh(t / (2 + t))."""
    t = mp.exp(-abs(x))
    return max(x, mpf(0)) + 2 * mp.atanh(t / (2 + t))


def sigmoid_cross_entropy_artanh(
    z: mpf, y: mpf, *, pos_weight: float = 1.0, label_smoothing: float = 0.0
) -> mpf:
    """The same of softplus."""
    y = y + mpf(label_smoothing) * (mpf(1) / 2 - y)
    return y * mpf(pos_weight) * softplus(-z) + (1 - y) * softplus(z)


def binary_cross_entropy(p: mpf, y: mpf, *, label_smoothing: float = 0.0) -> mpf:
    """-y log(p) - (1 - y) log(1 - p), 0 log(0) = 0. Good (1952)."""
    y = smoothed(y, label_smoothing)
    return -xlogy(y, p) - xlogy(1 - y, 1 - p)


def binary_cross_entropy_of_power(p: mpf, y: mpf, *, label_smoothing: float = 0.0) -> mpf:
    """-log(p^y (1 - p)^(1 - y)), 0^0 = 1."""
    y = y + mpf(label_smoothing) * (mpf(1) / 2 - y)
    return -mp.log(mp.power(p, y) * mp.power(1 - p, 1 - y))


def sigmoid_focal(z: mpf, y: mpf, *, gamma: float = 2.0, alpha: float | None = None) -> mpf:
    """-a (1 - q)^gamma log(q), q the probability of the label. Lin et al. (2017), eq. 5."""
    m = z if y == 1 else -z
    weight = mpf(1) if alpha is None else mpf(alpha) if y == 1 else 1 - mpf(alpha)
    return weight * (1 / (1 + mp.exp(m))) ** mpf(gamma) * mp.log1p(mp.exp(-m))


def sigmoid_focal_slopes(z: mpf, y: mpf, *, gamma: float = 2.0, alpha: float | None = None) -> Pair:
    """With m = z or -z, s = 1 - q and c = -log(q): ds/dm = -s q and dc/dm = -s."""
    g, turn = mpf(gamma), 1 if y == 1 else -1
    weight = mpf(1) if alpha is None else mpf(alpha) if y == 1 else 1 - mpf(alpha)
    m = turn * z
    s, q, c = 1 / (1 + mp.exp(m)), 1 / (1 + mp.exp(-m)), mp.log1p(mp.exp(-m))
    slope = g * q * c + s
    bend = q * (g * slope - s * (g * c - g - 1))
    return -turn * weight * s**g * slope, weight * s**g * bend


def sigmoid_focal_odds(z: mpf, y: mpf, *, gamma: float = 2.0, alpha: float | None = None) -> mpf:
    """Of the odds r against the label: log(1 + r) / (1 + 1 / r)^gamma."""
    against = (1 - 2 * y) * z
    odds = mp.exp(against)
    share = 1 if alpha is None else mpf(alpha) * y + (1 - mpf(alpha)) * (1 - y)
    return share * softplus(against) * (odds / (1 + odds)) ** mpf(gamma)


# --- hinges ---------------------------------------------------------------------------------------


def hinge(z: mpf, y: mpf, *, margin: float = 1.0) -> mpf:
    """max(0, m - y z). Cortes and Vapnik (1995)."""
    return max(mpf(margin) - y * z, mpf(0))


def hinge_slopes(z: mpf, y: mpf, *, margin: float = 1.0) -> Pair:
    """0 at the margin."""
    return -y if hinge(z, y, margin=margin) > 0 else mpf(0), mpf(0)


def hinge_half(z: mpf, y: mpf, *, margin: float = 1.0) -> mpf:
    """The mean of a number and its absolute value."""
    short = mpf(margin) - y * z
    return (short + abs(short)) / 2


def squared_hinge(z: mpf, y: mpf, *, margin: float = 1.0) -> mpf:
    """max(0, m - y z)^2. Lee and Mangasarian (2001)."""
    return hinge(z, y, margin=margin) ** 2


def squared_hinge_slopes(z: mpf, y: mpf, *, margin: float = 1.0) -> Pair:
    """0 at the margin."""
    slope, _ = hinge_slopes(z, y, margin=margin)
    return 2 * hinge(z, y, margin=margin) * slope, 2 * slope**2


def squared_hinge_half(z: mpf, y: mpf, *, margin: float = 1.0) -> mpf:
    """Half of the square, and of it with its sign."""
    short = mpf(margin) - y * z
    return (short**2 + short * abs(short)) / 2


# --- where to draw --------------------------------------------------------------------------------


def soft(rng: random.Random) -> float:
    """A label between 0 and 1, often one of them."""
    return min(1.0, max(0.0, uniform(rng, -0.5, 1.5)))


def soft_labels(rng: random.Random, _: dict[str, Any]) -> tuple[float, float]:
    """A logit, rarely beyond 6, and a soft label."""
    return 2.5 * normal(rng), soft(rng)


def probabilities(rng: random.Random, _: dict[str, Any]) -> tuple[float, float]:
    """A probability and a soft label."""
    return uniform(rng, 0.05, 0.95), soft(rng)


def labels(rng: random.Random, _: dict[str, Any]) -> tuple[float, float]:
    """A logit and a label, 0 or 1."""
    return 2.5 * normal(rng), float(rng.random() < 0.5)


def signs(rng: random.Random, _: dict[str, Any]) -> tuple[float, float]:
    """A score and a label, -1 or 1."""
    return 2.5 * normal(rng), 1.0 if rng.random() < 0.5 else -1.0


# --- cases by hand --------------------------------------------------------------------------------

EXTREME = {"float16": 1e4, "bfloat16": 1e30, "float32": 1e30, "float64": 1e300}


def labelled() -> Listed:
    """Kinks, ends and extremes, each logit beside each label."""
    for dtype in FLOATS:
        yield from sure(dtype)
        ends, near = [0.0, 1.0, 0.5, 0.25], [1.0, 0.0, 0.5, 2.0**-7]
        yield case("binary_cross_entropy", "certain", dtype, ends, [0.0, 1.0, 0.0, 1.0])
        yield case("binary_cross_entropy", "certain", dtype, near[2:], [0.5, 2.0**-7])
        yield case("brier_score", "certain", dtype, ends + near, near + ends)
        scores, sides = [1.0, -1.0, 0.0, 2.0, 0.5, -0.5], [1.0, -1.0] * 3
        for metric, margin in itertools.product(("hinge", "squared_hinge"), (1.0, 0.5, 0.0)):
            yield case(metric, "kinks", dtype, scores, sides, margin=margin)
            yield case(metric, "kinks", dtype, scores, [-1.0] * 6, margin=margin)
    for dtype in WIDE:
        tiny = [1e-30, 1e-20, 1e-10]
        yield case("binary_cross_entropy", "small", dtype, tiny, [0.0] * 3)
        yield case("binary_cross_entropy", "small", dtype, tiny, [1.0] * 3)
        yield case("hinge", "large", dtype, [HIGHEST[dtype], 1.0], [-1.0, 1.0])
        yield case("squared_hinge", "large", dtype, [OVERFLOW[dtype]] * 8, [-1.0] * 8)
    for metric, dtype in itertools.product(DECLARED, INTEGERS):
        sides = [1, -1, 1] if "hinge" in metric else [1, 0, 1]
        scores = [1, 0, 1] if metric in ("binary_cross_entropy", "brier_score") else [2, -3, -1]
        yield case(metric, "integers", dtype, scores, sides)


def sure(dtype: str) -> Listed:
    """Logits from 0 to the ends of the dtype."""
    far = [20.0, -20.0, 80.0, -80.0, 600.0, -600.0, EXTREME[dtype], -EXTREME[dtype]]
    tails = (1e-30, -1e-20, 1e-8) if dtype != "float16" else (1e-4, -1e-6)
    logits = [0.0, *tails, -15.0, 15.0, *far]
    for z in ([0.0], [-15.0], [15.0], *([x] for x in far), logits):
        for y in (0.0, 1.0):
            yield case("sigmoid_cross_entropy", "sure", dtype, z, [y] * len(z))
            yield case("sigmoid_focal", "sure", dtype, z, [y] * len(z))
    yield case("sigmoid_cross_entropy", "sure", dtype, logits, [0.25] * len(logits))
    yield case("sigmoid_focal", "sure", dtype, logits, [1.0] * len(logits), gamma=0.5)


# --- declared -------------------------------------------------------------------------------------

DECLARED = {
    "sigmoid_cross_entropy": Mean(
        sigmoid_cross_entropy, sigmoid_cross_entropy_artanh, soft_labels,
        (
            {"pos_weight": 3.0}, {"label_smoothing": 0.1},
            {"pos_weight": 0.3, "label_smoothing": 0.25},
        ),
        slopes=sigmoid_cross_entropy_slopes,
    ),
    "binary_cross_entropy": Mean(
        binary_cross_entropy, binary_cross_entropy_of_power, probabilities,
        ({"label_smoothing": 0.1},),
    ),
    "sigmoid_focal": Mean(
        sigmoid_focal, sigmoid_focal_odds, labels,
        ({"alpha": 0.3}, {"gamma": 0.0}, {"gamma": 0.5}, {"gamma": 3.0}),
        slopes=sigmoid_focal_slopes,
    ),
    "hinge": Mean(hinge, hinge_half, signs, ({"margin": 0.3},), slopes=hinge_slopes, level=True),
    "squared_hinge": Mean(
        squared_hinge, squared_hinge_half, signs, ({"margin": 0.3},),
        slopes=squared_hinge_slopes, level=True,
    ),
    "brier_score": Mean(brier, brier_expanded, probabilities),
}  # fmt: skip

SINGLE = {
    "sigmoid_cross_entropy": (1.5, 0.25),
    "binary_cross_entropy": (0.75, 0.25),
    "sigmoid_focal": (1.5, 0.0),
    "hinge": (0.25, 1.0),
    "squared_hinge": (0.25, 1.0),
    "brier_score": (0.75, 0.25),
}
DEFINITIONS = with_cases(DECLARED, [*single(SINGLE), *labelled()])
