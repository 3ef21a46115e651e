"""Regression at high precision, from the literature.

``p`` prediction, ``y`` target, ``w`` weights, ``e = p - y``. Losses with kinks, and those of which a
derivative is too small to difference far out, have their slopes written out.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable
from typing import Any

from mpmath import mp, mpf

from .definition import Mean, Samples, Whole
from .divergences import curved
from .drawing import normal, uniform
from .regression_cases import ROWS, of_regression, with_cases

Pair = tuple[mpf, mpf]
Numbers = list[mpf]


def sign(x: mpf) -> mpf:
    """The derivative of abs: -1, 0 at 0, +1."""
    return mpf((x > 0) - (x < 0))


# --- losses of a residual -------------------------------------------------------------------------


def squared(p: mpf, y: mpf) -> mpf:
    """e^2. Gauss, Theoria combinationis (1823)."""
    return (p - y) ** 2


def squared_expanded(p: mpf, y: mpf) -> mpf:
    """The same, multiplied out."""
    return p * p - 2 * p * y + y * y


def half_squared(p: mpf, y: mpf) -> mpf:
    """e^2 / 2. Bishop, Pattern Recognition and Machine Learning (2006), eq. 1.2."""
    return (p - y) ** 2 / 2


def half_squared_expanded(p: mpf, y: mpf) -> mpf:
    """The same, multiplied out."""
    return squared_expanded(p, y) / 2


def absolute(p: mpf, y: mpf) -> mpf:
    """abs(e). Willmott and Matsuura (2005)."""
    return abs(p - y)


def absolute_slopes(p: mpf, y: mpf) -> Pair:
    """0 at 0."""
    return sign(p - y), mpf(0)


def absolute_larger(p: mpf, y: mpf) -> mpf:
    """The larger less the smaller."""
    return max(p - y, y - p)


def bias(p: mpf, y: mpf) -> mpf:
    """e. Willmott and Matsuura (2005)."""
    return p - y


def bias_of_parts(p: mpf, y: mpf) -> mpf:
    """What is above the target, less what is below."""
    return max(p - y, mpf(0)) - max(y - p, mpf(0))


def huber(p: mpf, y: mpf, *, delta: float = 1.0) -> mpf:
    """e^2/2 where abs(e) <= delta, else delta (abs(e) - delta/2). Huber (1964), eq. 2.7."""
    e, d = p - y, mpf(delta)
    return e**2 / 2 if abs(e) <= d else d * (abs(e) - d / 2)


def huber_slopes(p: mpf, y: mpf, *, delta: float = 1.0) -> Pair:
    """Those of the square at the ends."""
    e, d = p - y, mpf(delta)
    return (e, mpf(1)) if abs(e) <= d else (d * sign(e), mpf(0))


def huber_capped(p: mpf, y: mpf, *, delta: float = 1.0) -> mpf:
    """With q = min(abs(e), d): q^2/2 + d (abs(e) - q)."""
    u, d = abs(p - y), mpf(delta)
    q = min(u, d)
    return q * q / 2 + d * (u - q)


def smooth_l1(p: mpf, y: mpf, *, beta: float = 1.0) -> mpf:
    """e^2/(2 beta) where abs(e) <= beta, else abs(e) - beta/2. Girshick (2015), eq. 3."""
    e, b = p - y, mpf(beta)
    return abs(e) - b / 2 if b == 0 or abs(e) > b else e**2 / (2 * b)


def smooth_l1_slopes(p: mpf, y: mpf, *, beta: float = 1.0) -> Pair:
    """Those of the square at the ends."""
    e, b = p - y, mpf(beta)
    return (sign(e), mpf(0)) if b == 0 or abs(e) > b else (e / b, 1 / b)


def smooth_l1_of_huber(p: mpf, y: mpf, *, beta: float = 1.0) -> mpf:
    """Huber's loss over its threshold; abs(e) in the limit."""
    return huber_capped(p, y, delta=beta) / mpf(beta) if beta else abs(p - y)


def pseudo_huber(p: mpf, y: mpf, *, delta: float = 1.0) -> mpf:
    """delta^2 (sqrt(1 + (e/delta)^2) - 1). Charbonnier et al. (1997)."""
    e, d = p - y, mpf(delta)
    return d**2 * (mp.sqrt(1 + (e / d) ** 2) - 1)


def pseudo_huber_slopes(p: mpf, y: mpf, *, delta: float = 1.0) -> Pair:
    """With the root: e / root and root^-3."""
    e = p - y
    root = mp.sqrt(1 + (e / mpf(delta)) ** 2)
    return e / root, root**-3


def pseudo_huber_quotient(p: mpf, y: mpf, *, delta: float = 1.0) -> mpf:
    """e^2 / (1 + sqrt(1 + (e/delta)^2))."""
    return (p - y) ** 2 / (1 + mp.hypot(1, (p - y) / delta))


def log_cosh(p: mpf, y: mpf) -> mpf:
    """log(cosh(e)). Green (1990)."""
    return mp.log(mp.cosh(p - y))


def log_cosh_slopes(p: mpf, y: mpf) -> Pair:
    """tanh(e) and sech(e)^2."""
    return mp.tanh(p - y), mp.sech(p - y) ** 2


def log_cosh_halves(p: mpf, y: mpf) -> mpf:
    """cosh(e) = 1 + 2 sinh(e / 2)^2."""
    return mp.log1p(2 * mp.sinh((p - y) / 2) ** 2)


def pinball(p: mpf, y: mpf, *, quantile: float = 0.5) -> mpf:
    """max(q (y - p), (q - 1)(y - p)). Koenker and Bassett (1978)."""
    q = mpf(quantile)
    return max(q * (y - p), (q - 1) * (y - p))


def pinball_slopes(p: mpf, y: mpf, *, quantile: float = 0.5) -> Pair:
    """The mean of both sides at 0: 1/2 - q."""
    q = mpf(quantile)
    return {1: 1 - q, 0: mpf(1) / 2 - q, -1: -q}[int(sign(p - y))], mpf(0)


def pinball_half(p: mpf, y: mpf, *, quantile: float = 0.5) -> mpf:
    """abs(e)/2 + (1/2 - q) e."""
    return abs(p - y) / 2 + (mpf(1) / 2 - mpf(quantile)) * (p - y)


def expectile(p: mpf, y: mpf, *, level: float = 0.5) -> mpf:
    """abs(level - [y < p]) e^2. Newey and Powell (1987), eq. 2.2."""
    return abs(mpf(level) - (y < p)) * (p - y) ** 2


def expectile_slopes(p: mpf, y: mpf, *, level: float = 0.5) -> Pair:
    """At e = 0 the bracket is 0."""
    factor = abs(mpf(level) - (y < p))
    return 2 * factor * (p - y), 2 * factor


def expectile_sides(p: mpf, y: mpf, *, level: float = 0.5) -> mpf:
    """level on one side, 1 - level on the other, times e^2."""
    return (mpf(level) if p <= y else 1 - mpf(level)) * squared_expanded(p, y)


# --- relative losses ------------------------------------------------------------------------------


def percentage(p: mpf, y: mpf, *, epsilon: float = 0.0) -> mpf:
    """abs(e) / abs(y), nan at y = 0, de Myttenaere et al. (2016); or abs(e) / max(abs(y), epsilon)."""
    divisor = max(abs(y), mpf(epsilon))
    return abs(p - y) / divisor if divisor else mp.nan


def percentage_slopes(p: mpf, y: mpf, *, epsilon: float = 0.0) -> Pair:
    """0 at 0."""
    divisor = max(abs(y), mpf(epsilon))
    return (sign(p - y) / divisor if divisor else mp.nan), mpf(0)


def percentage_smaller(p: mpf, y: mpf, *, epsilon: float = 0.0) -> mpf:
    """The smaller of two quotients, of which one may be of 0."""
    quotients = [absolute_larger(p, y) / mpf(epsilon)] if epsilon else []
    quotients += [abs(p / y - 1)] if y else []
    return min(quotients, default=mp.nan)


def symmetric(p: mpf, y: mpf) -> mpf:
    """2 abs(e) / (abs(y) + abs(p)), 0/0 = 0. Makridakis (1993); Hyndman and Koehler (2006)."""
    s = abs(y) + abs(p)
    return 2 * abs(p - y) / s if s else mpf(0)


def symmetric_slopes(p: mpf, y: mpf) -> Pair:
    """Quotient rule with (abs)' = sign, (abs)'' = 0: 2 u / s^2, and -4 sign(p) u / s^3."""
    e, s = p - y, abs(y) + abs(p)
    if s == 0:
        return mpf(0), mpf(0)
    u = sign(e) * s - abs(e) * sign(p)
    return 2 * u / s**2, -4 * sign(p) * u / s**3


def symmetric_of_mean(p: mpf, y: mpf) -> mpf:
    """abs(e) over the mean of both magnitudes."""
    return absolute_larger(p, y) / ((abs(p) + abs(y)) / 2) if p or y else mpf(0)


def log_error(p: mpf, y: mpf) -> mpf:
    """(log(1 + p) - log(1 + y))^2. scikit-learn, User guide."""
    return (mp.log(1 + p) - mp.log(1 + y)) ** 2


def log_error_of_ratio(p: mpf, y: mpf) -> mpf:
    """log((1 + p) / (1 + y))^2."""
    return mp.log((1 + p) / (1 + y)) ** 2


# --- deviances ------------------------------------------------------------------------------------


def poisson_nll(p: mpf, y: mpf, *, log_input: bool = True, full: bool = False) -> mpf:
    """exp(p) - y p, or p - y log(p); full adds log(y!). Cameron and Trivedi (2013), section 3.2."""
    constant = mp.loggamma(y + 1) if full else mpf(0)
    if log_input:
        return mp.exp(p) - y * p + constant
    return p - (y * mp.log(p) if y else 0) + constant


def poisson_nll_of_product(p: mpf, y: mpf, *, log_input: bool = True, full: bool = False) -> mpf:
    """-log(exp(-m) m^y / y!), with log(y!) from the product."""
    mean = mp.exp(p) if log_input else p
    log_mean = p if log_input else (mp.log(p) if y else mpf(0))
    return mean - y * log_mean + (mp.log(mp.factorial(y)) if full else 0)


def tweedie(p: mpf, y: mpf, *, power: float = 1.5) -> mpf:
    """2 (max(y, 0)^(2-k)/((1-k)(2-k)) - y p^(1-k)/(1-k) + p^(2-k)/(2-k)), or its limit (k = 1, 2).

    Jorgensen (1987), section 3; Dunn and Smyth (2005). The clip of y (for k < 0) is scikit-learn's.
    """
    k = mpf(power)
    if k == 0:
        return squared(p, y)
    if k == 1:
        return 2 * ((y * mp.log(y / p) if y else 0) - y + p)
    if k == 2:
        return 2 * (mp.log(p / y) + y / p - 1)
    start = max(y, mpf(0)) ** (2 - k) / ((1 - k) * (2 - k))
    value = 2 * (start - y * p ** (1 - k) / (1 - k) + p ** (2 - k) / (2 - k))
    return mpf(0) if p == y else value  # what rounding left of three powers


def tweedie_integral(p: mpf, y: mpf, *, power: float = 1.5) -> mpf:
    """2 int_y^p (t - y) / t^k dt (Jorgensen 1987), by Gauss's function; from 0 for y < 0 < -k."""
    k, start = mpf(power), y if power == 0 else max(y, mpf(0))
    with mp.workdps(80):  # nothing cancels
        below = 2 * (start - y) * p ** (1 - k) / (1 - k) if start != y else mpf(0)
        return 2 * p ** (2 - k) * curved(start / p, 2 - k) + below


def of_power(formula: Callable[..., mpf], power: int) -> Callable[[mpf, mpf], mpf]:
    """The deviance of one power. McCullagh and Nelder (1989), table 2.1."""
    return lambda p, y: formula(p, y, power=power)


# --- metrics of the whole sample ------------------------------------------------------------------


def mean(x: Iterable[mpf], w: Numbers) -> mpf:
    """sum(w x) / sum(w)."""
    return mp.fdot(w, x) / mp.fsum(w)


def residuals(p: Numbers, y: Numbers) -> Numbers:
    """e = p - y."""
    return [i - j for i, j in zip(p, y, strict=True)]


def centred(x: Numbers, w: Numbers) -> Numbers:
    """x - mean_w(x)."""
    middle = mean(x, w)
    return [i - middle for i in x]


def covariance(a: Numbers, b: Numbers, w: Numbers) -> mpf:
    """mean_w((a - mean_w(a)) (b - mean_w(b))): ddof 0."""
    return mean((i * j for i, j in zip(centred(a, w), centred(b, w), strict=True)), w)


def moment(a: Numbers, b: Numbers, w: Numbers) -> mpf:
    """sum_ij w_i w_j (a_i - a_j)(b_i - b_j) / 2 = sum(w)^2 cov(a, b), no mean needed."""
    pairs = itertools.combinations(zip(a, b, w, strict=True), 2)
    return mp.fsum(u * v * (i - k) * (j - m) for (i, j, u), (k, m, v) in pairs)


def root_squared(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """sqrt(mean_w(e^2)). Hyndman and Koehler (2006)."""
    return mp.sqrt(mean((e**2 for e in residuals(p, y)), w))


def root_of_moments(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """The mean square is the variance and the square of the mean."""
    e = residuals(p, y)
    return mp.sqrt(moment(e, e, w) + mp.fdot(w, e) ** 2) / mp.fsum(w)


def logarithms(x: Numbers) -> Numbers:
    """log(1 + x)."""
    return [mp.log(1 + i) for i in x]


def root_log(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """sqrt(mean_w((log1p(p) - log1p(y))^2)). scikit-learn, User guide."""
    return root_squared(logarithms(p), logarithms(y), w)


def root_log_of_ratios(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """Of the logarithms of ratios."""
    return mp.sqrt(mean((log_error_of_ratio(i, j) for i, j in zip(p, y, strict=True)), w))


QUANTILES = (0.1, 0.5, 0.9)


def quantile_terms(p: list[Numbers], y: Numbers, *, quantiles: Any = QUANTILES) -> Numbers:
    """The mean over quantiles of pinball(p[i, k], y[i]), of each row."""
    return [
        mp.fsum(pinball(i, target, quantile=q) for i, q in zip(row, quantiles, strict=True))
        / len(quantiles)
        for row, target in zip(p, y, strict=True)
    ]


def multi_quantile(p: list[Numbers], y: Numbers, w: Numbers, **named: Any) -> mpf:
    """The mean of the rows. Koenker and Bassett (1978)."""
    return mean(quantile_terms(p, y, **named), w)


def multi_quantile_columns(
    p: list[Numbers], y: Numbers, w: Numbers, *, quantiles: Any = QUANTILES
) -> mpf:
    """The mean of the columns."""
    losses = [
        mean((pinball_half(i, j, quantile=q) for i, j in zip(column, y, strict=True)), w)
        for column, q in zip(zip(*p, strict=True), quantiles, strict=True)
    ]
    return mp.fsum(losses) / len(losses)


def weighted_percentage(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """sum(w abs(e)) / sum(w abs(y)). Kolassa and Schuetz (2007), the MAD/mean ratio."""
    return mp.fdot(w, map(abs, residuals(p, y))) / mp.fdot(w, map(abs, y))


def weighted_percentage_of_means(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """A ratio of means, of larger numbers less smaller."""
    distances = (absolute_larger(i, j) for i, j in zip(p, y, strict=True))
    return mean(distances, w) / mean((max(j, -j) for j in y), w)


def cosine(a: Numbers, b: Numbers) -> mpf:
    """<a, b> / (norm(a) norm(b)), 0 of a zero vector. Salton and McGill (1983)."""
    norms = mp.sqrt(mp.fdot(a, a)) * mp.sqrt(mp.fdot(b, b))
    return mp.fdot(a, b) / norms if norms else mpf(0)


def cosine_of_squares(a: Numbers, b: Numbers) -> mpf:
    """The root of its square, with its sign."""
    ab, aabb = mp.fdot(a, b), mp.fdot(a, a) * mp.fdot(b, b)
    return sign(ab) * mp.sqrt(ab**2 / aabb) if aabb else mpf(0)


def of_rows(term: Callable[[Numbers, Numbers], mpf]) -> Callable[..., Numbers]:
    """A number of each row, features on the last axis."""
    return lambda p, y: [term(a, b) for a, b in zip(p, y, strict=True)]


def mean_of_rows(term: Callable[[Numbers, Numbers], mpf]) -> Callable[..., mpf]:
    """The mean of a number of each row."""
    return lambda p, y, w: mean(of_rows(term)(p, y), w)


def r2(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """1 - sum w e^2 / sum w (y - mean_w y)^2; nan for a constant target. Wright (1921)."""
    total = mp.fdot(w, [i**2 for i in centred(y, w)])
    return 1 - mp.fdot(w, [e**2 for e in residuals(p, y)]) / total if total else mp.nan


def r2_of_pairs(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """1 - sum(w) sum(w e^2) / (sum(w)^2 var(y))."""
    lost = mp.fdot(w, [squared_expanded(i, j) for i, j in zip(p, y, strict=True)]) * mp.fsum(w)
    total = moment(y, y, w)
    return 1 - lost / total if total else mp.nan


def explained_variance(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """1 - var_w(e) / var_w(y); nan for a constant target. scikit-learn, User guide."""
    e, variance = residuals(p, y), covariance(y, y, w)
    return 1 - covariance(e, e, w) / variance if variance else mp.nan


def explained_of_pairs(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """(2 cov(p, y) - var(p)) / var(y)."""
    total = moment(y, y, w)
    return (2 * moment(p, y, w) - moment(p, p, w)) / total if total else mp.nan


def pearson(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """cov / sqrt(var(p) var(y)); nan where either is constant. Pearson (1896)."""
    product = covariance(p, p, w) * covariance(y, y, w)
    return covariance(p, y, w) / mp.sqrt(product) if product else mp.nan


def pearson_of_pairs(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """Of sums over pairs."""
    product = moment(p, p, w) * moment(y, y, w)
    return moment(p, y, w) / mp.sqrt(product) if product else mp.nan


def concordance(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """2 cov / (var(p) + var(y) + (mean(p) - mean(y))^2), ddof 0; 0/0 is nan. Lin (1989)."""
    gap = mean(p, w) - mean(y, w)
    spread = covariance(p, p, w) + covariance(y, y, w) + gap**2
    return 2 * covariance(p, y, w) / spread if spread else mp.nan


def concordance_of_pairs(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """1 - mean(e^2) / mean of (p_i - y_j)^2 over independent i and j."""
    matched = mp.fdot(w, [squared(i, j) for i, j in zip(p, y, strict=True)]) * mp.fsum(w)
    rows, columns = list(zip(p, w, strict=True)), list(zip(y, w, strict=True))
    apart = mp.fsum(u * v * (i - j) ** 2 for i, u in rows for j, v in columns)
    return 1 - matched / apart if apart else mp.nan


def largest(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """max abs(e) over the samples with weight. Chebyshev (1854)."""
    return max(abs(i) for i, j in zip(residuals(p, y), w, strict=True) if j > 0)


def largest_side(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """The larger of the largest e and the largest -e."""
    e = [i for i, j in zip(residuals(p, y), w, strict=True) if j]
    return max(*e, -min(e))


def median(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """The weighted median of abs(e): the mean of the lower and the upper one. Edgeworth (1888).

    Lower: the first sorted abs(e) whose cumulated weight reaches half; upper: the first above half.
    """
    sizes = sorted((abs(i), j) for i, j in zip(residuals(p, y), w, strict=True) if j > 0)
    half, reached = mp.fsum(w) / 2, list(itertools.accumulate(j for _, j in sizes))
    lower = next(size for (size, _), c in zip(sizes, reached, strict=True) if c >= half)
    upper = next(size for (size, _), c in zip(sizes, reached, strict=True) if c > half)
    return (lower + upper) / 2


def median_of_costs(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """The middle of the minimisers m of sum(w abs(abs(e) - m))."""
    sizes = [abs(e) for e in residuals(p, y)]
    cost = {m: mp.fdot(w, [abs(s - m) for s in sizes]) for m in sizes}
    best = [m for m in cost if cost[m] == min(cost.values())]
    return (min(best) + max(best)) / 2


# --- where to draw --------------------------------------------------------------------------------


def reals(rng: random.Random, _: dict[str, Any]) -> tuple[float, float]:
    """Prediction and target anywhere near 0."""
    return 2 * normal(rng), 2 * normal(rng)


def biased(rng: random.Random, _: dict[str, Any]) -> tuple[float, float]:
    """Predictions mostly above their targets."""
    y = normal(rng)
    return y + uniform(rng, -0.5, 4), y


def away_from_zero(rng: random.Random, _: dict[str, Any]) -> tuple[float, float]:
    """Targets at least 0.5 in magnitude."""
    return 2 * normal(rng), (1 if rng.random() < 0.5 else -1) * uniform(rng, 0.5, 4)


def above_minus_one(rng: random.Random, _: dict[str, Any]) -> tuple[float, float]:
    """Both in (-1, infinity)."""
    return uniform(rng, -0.8, 5), uniform(rng, -0.8, 5)


def rates(rng: random.Random, parameters: dict[str, Any]) -> tuple[float, float]:
    """A positive rate, or the logarithm of one, and a count."""
    if parameters.get("log_input", True):
        return uniform(rng, -2, 2), float(int(4 * rng.random()))
    return uniform(rng, 0.3, 6), float(int(6 * rng.random()))


def positives(rng: random.Random, parameters: dict[str, Any]) -> tuple[float, float]:
    """Both positive, or a real target where the power allows it."""
    if parameters.get("power", 1.5) <= 0:
        return uniform(rng, 0.3, 3), 2 * normal(rng)
    return uniform(rng, 0.3, 5), uniform(rng, 0.3, 5)


def related(rng: random.Random, _: dict[str, Any]) -> tuple[float, float]:
    """A target and its noisy prediction, correlation about 0.9."""
    y = normal(rng)
    return y + 0.5 * normal(rng), y


def many(draw: Callable[..., tuple[float, float]]) -> Callable[..., Samples]:
    """So many pairs."""

    def samples(rng: random.Random, n: int, parameters: dict[str, Any]) -> Samples:
        p, y = zip(*(draw(rng, parameters) for _ in range(n)), strict=True)
        return list(p), list(y)

    return samples


def table(rng: random.Random, n: int, columns: int) -> list[list[float]]:
    """n rows of normals."""
    return [[2 * normal(rng) for _ in range(columns)] for _ in range(n)]


def vectors(rng: random.Random, n: int, _: dict[str, Any]) -> Samples:
    """Rows of four numbers, so that there are n numbers."""
    rows = max(2, n // 4)
    return table(rng, rows, 4), table(rng, rows, 4)


def quantiles(rng: random.Random, n: int, parameters: dict[str, Any]) -> Samples:
    """Rows of quantiles and half as many targets as numbers were asked for."""
    rows = max(2, n // 2)
    p = table(rng, rows, len(parameters.get("quantiles", QUANTILES)))
    return p, [2 * normal(rng) for _ in range(rows)]


# --- declared -------------------------------------------------------------------------------------


def of_moments(formula: Any, other: Any) -> Whole:
    return Whole(formula, other, many(related), limit=math.inf, least=0.3, even=0.05)


def any_sample(formula: Any, other: Any, draw: Any, *variants: Any, **named: Any) -> Whole:
    return Whole(formula, other, draw, variants, limit=math.inf, **named)


def of_cosines(one: Any, two: Any) -> Whole:
    rows, named = (mean_of_rows(term) for term in (one, two)), {"least": 0.3, "even": 0.05}
    return any_sample(*rows, vectors, terms=of_rows(one), **named)


POWERS = (-1.0, 0.0, 1.0, 1.0000001, 1.2, 1.9, 1.9999999, 2.0, 3.0)
DECLARED = {
    "mean_squared_error": Mean(squared, squared_expanded, reals),
    "half_squared_error": Mean(half_squared, half_squared_expanded, reals),
    "mean_absolute_error": Mean(absolute, absolute_larger, reals, slopes=absolute_slopes),
    "mean_bias_error": Mean(bias, bias_of_parts, biased),
    "huber": Mean(
        huber, huber_capped, reals, ({"delta": 0.5}, {"delta": 2.0}), slopes=huber_slopes
    ),
    "smooth_l1": Mean(
        smooth_l1, smooth_l1_of_huber, reals, ({"beta": 0.25}, {"beta": 0.0}),
        slopes=smooth_l1_slopes,
    ),
    "pseudo_huber": Mean(
        pseudo_huber, pseudo_huber_quotient, reals, ({"delta": 0.5}, {"delta": 3.0}),
        slopes=pseudo_huber_slopes,
    ),
    "log_cosh": Mean(log_cosh, log_cosh_halves, reals, slopes=log_cosh_slopes),
    "pinball": Mean(
        pinball, pinball_half, reals, ({"quantile": 0.25}, {"quantile": 0.9}),
        slopes=pinball_slopes,
    ),
    "expectile": Mean(
        expectile, expectile_sides, reals, ({"level": 0.25}, {"level": 0.9}),
        slopes=expectile_slopes,
    ),
    "mean_absolute_percentage_error": Mean(
        percentage, percentage_smaller, away_from_zero, ({"epsilon": 2.0},),
        slopes=percentage_slopes,
    ),
    "symmetric_mean_absolute_percentage_error": Mean(
        symmetric, symmetric_of_mean, reals, slopes=symmetric_slopes, level=True
    ),
    "mean_squared_log_error": Mean(log_error, log_error_of_ratio, above_minus_one),
    "poisson_nll": Mean(
        poisson_nll, poisson_nll_of_product, rates,
        ({"full": True}, {"log_input": False}, {"log_input": False, "full": True}),
    ),
    "poisson_deviance": Mean(of_power(tweedie, 1), of_power(tweedie_integral, 1), positives),
    "gamma_deviance": Mean(of_power(tweedie, 2), of_power(tweedie_integral, 2), positives),
    "tweedie_deviance": Mean(
        tweedie, tweedie_integral, positives, tuple({"power": power} for power in POWERS)
    ),
    "root_mean_squared_error": any_sample(root_squared, root_of_moments, many(reals)),
    "root_mean_squared_log_error": any_sample(root_log, root_log_of_ratios, many(above_minus_one)),
    "multi_quantile": any_sample(
        multi_quantile, multi_quantile_columns, quantiles,
        {"quantiles": [0.25, 0.75]}, {"quantiles": [0.05, 0.25, 0.5, 0.75, 0.95]},
        terms=quantile_terms,
    ),
    "weighted_absolute_percentage_error": any_sample(
        weighted_percentage, weighted_percentage_of_means, many(reals)
    ),
    "cosine_similarity": of_cosines(cosine, cosine_of_squares),
    "cosine_distance": of_cosines(
        lambda a, b: 1 - cosine(a, b), lambda a, b: 1 - cosine_of_squares(a, b)
    ),
    "r2_score": of_moments(r2, r2_of_pairs),
    "explained_variance_score": of_moments(explained_variance, explained_of_pairs),
    "pearson_correlation": of_moments(pearson, pearson_of_pairs),
    "concordance_correlation": of_moments(concordance, concordance_of_pairs),
    "max_error": any_sample(largest, largest_side, many(reals)),
    "median_absolute_error": any_sample(median, median_of_costs, many(reals)),
}  # fmt: skip

SINGLE = {
    **dict.fromkeys(DECLARED, (1.5, 0.25)),
    **dict.fromkeys(ROWS, ([1.5, -0.5, 2.0], [0.25, 1.0, 3.0])),
    "poisson_nll": (0.5, 3.0),
    "multi_quantile": ([0.25, 1.0, 2.5], 0.5),
}
DEFINITIONS = with_cases(DECLARED, of_regression(SINGLE))
