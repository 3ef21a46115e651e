"""The metrics at high precision, written from the literature, not from the library.

A pointwise loss is ``(p, y, **parameters) -> Term``; every other metric is
``(p, y, w, **parameters) -> Result`` of whole lists; `evaluate` runs either. Derivatives are
analytic and take the documented subgradient at kinks. ``p`` prediction, ``y`` target, ``w`` weight,
``e = p - y``.

Parameters are the exact binary64 numbers that Python reads: 0.9 means the double nearest to 0.9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mpmath import mp, mpf

# log(cosh(1e-30)) = 5e-61 and sums of 1e60 and 1e-60 lose up to 120 digits when written as in a
# textbook, which is how they are written here; 50 digits must remain.
mp.dps = 200

EPSILON = {"float32": mpf(2) ** -23, "float64": mpf(2) ** -52}


class Term(NamedTuple):
    """One sample's loss and its first two derivatives with respect to the prediction."""

    value: mpf
    first: mpf
    second: mpf


class Result(NamedTuple):
    """A metric's value, its gradient, and the per-sample lists where the metric has them."""

    value: mpf
    gradient: list[Any] | None
    terms: list[mpf] | None = None
    first: list[mpf] | None = None
    second: list[mpf] | None = None


def sign(x: mpf) -> mpf:
    """The derivative of abs: -1, 0 at 0, +1."""
    return mpf((x > 0) - (x < 0))


def xlogy(x: mpf, y: mpf) -> mpf:
    """x log(y), and its limit 0 at x = 0."""
    return mpf(0) if x == 0 else x * mp.log(y)


# ------------------------------------------------------------------------------------------------
# Pointwise losses
# ------------------------------------------------------------------------------------------------


def mean_squared_error(p: mpf, y: mpf) -> Term:
    """e^2. Gauss, Theoria combinationis (1823)."""
    e = p - y
    return Term(e**2, 2 * e, mpf(2))


def half_squared_error(p: mpf, y: mpf) -> Term:
    """e^2 / 2. Bishop, Pattern Recognition and Machine Learning (2006), eq. 1.2."""
    e = p - y
    return Term(e**2 / 2, e, mpf(1))


def mean_absolute_error(p: mpf, y: mpf) -> Term:
    """abs(e); derivative 0 at 0. Willmott and Matsuura (2005)."""
    e = p - y
    return Term(abs(e), sign(e), mpf(0))


def mean_bias_error(p: mpf, y: mpf) -> Term:
    """e. Willmott and Matsuura (2005)."""
    return Term(p - y, mpf(1), mpf(0))


def huber(p: mpf, y: mpf, *, delta: float = 1.0) -> Term:
    """e^2/2 where abs(e) <= delta, else delta (abs(e) - delta/2). Huber (1964), eq. 2.7."""
    e, d = p - y, mpf(delta)
    if abs(e) <= d:
        return Term(e**2 / 2, e, mpf(1))
    return Term(d * (abs(e) - d / 2), d * sign(e), mpf(0))


def smooth_l1(p: mpf, y: mpf, *, beta: float = 1.0) -> Term:
    """e^2/(2 beta) where abs(e) <= beta, else abs(e) - beta/2. Girshick (2015), eq. 3."""
    e, b = p - y, mpf(beta)
    if b == 0 or abs(e) > b:
        return Term(abs(e) - b / 2, sign(e), mpf(0))
    return Term(e**2 / (2 * b), e / b, 1 / b)


def pseudo_huber(p: mpf, y: mpf, *, delta: float = 1.0) -> Term:
    """delta^2 (sqrt(1 + (e/delta)^2) - 1). Charbonnier et al. (1997)."""
    e, d = p - y, mpf(delta)
    root = mp.sqrt(1 + (e / d) ** 2)
    return Term(d**2 * (root - 1), e / root, root**-3)


def log_cosh(p: mpf, y: mpf) -> Term:
    """log(cosh(e)); derivatives tanh(e), sech(e)^2. Green (1990)."""
    e = p - y
    return Term(mp.log(mp.cosh(e)), mp.tanh(e), mp.sech(e) ** 2)


def pinball(p: mpf, y: mpf, *, quantile: float = 0.5) -> Term:
    """max(q (y - p), (q - 1)(y - p)); at 0 slope 1/2 - q. Koenker and Bassett (1978)."""
    q = mpf(quantile)
    slope = {1: 1 - q, 0: mpf(1) / 2 - q, -1: -q}[int(sign(p - y))]
    return Term(max(q * (y - p), (q - 1) * (y - p)), slope, mpf(0))


def expectile(p: mpf, y: mpf, *, level: float = 0.5) -> Term:
    """abs(level - [y < p]) e^2; at e = 0 the bracket is 0. Newey and Powell (1987), eq. 2.2."""
    e = p - y
    factor = abs(mpf(level) - (1 if y < p else 0))
    return Term(factor * e**2, 2 * factor * e, 2 * factor)


def mean_absolute_percentage_error(p: mpf, y: mpf, *, epsilon: mpf) -> Term:
    """abs(e) / max(abs(y), epsilon). de Myttenaere et al. (2016); the floor is scikit-learn's."""
    e, scale = p - y, max(abs(y), mpf(epsilon))
    return Term(abs(e) / scale, sign(e) / scale, mpf(0))


def symmetric_mean_absolute_percentage_error(p: mpf, y: mpf) -> Term:
    """2 abs(e) / (abs(y) + abs(p)), 0/0 = 0. Makridakis (1993); Hyndman and Koehler (2006).

    Quotient rule with (abs)' = sign, (abs)'' = 0: f' = 2 u / s^2, f'' = -4 sign(p) u / s^3.
    """
    e, s = p - y, abs(y) + abs(p)
    if s == 0:
        return Term(mpf(0), mpf(0), mpf(0))
    u = sign(e) * s - abs(e) * sign(p)
    return Term(2 * abs(e) / s, 2 * u / s**2, -4 * sign(p) * u / s**3)


def mean_squared_log_error(p: mpf, y: mpf) -> Term:
    """(log(1 + p) - log(1 + y))^2. scikit-learn, User guide."""
    d = mp.log(1 + p) - mp.log(1 + y)
    return Term(d**2, 2 * d / (1 + p), 2 * (1 - d) / (1 + p) ** 2)


def poisson_nll(p: mpf, y: mpf, *, log_input: bool = True, full: bool = False) -> Term:
    """exp(p) - y p, or p - y log(p); full adds log(y!). Cameron and Trivedi (2013), section 3.2."""
    constant = mp.loggamma(y + 1) if full else mpf(0)
    if log_input:
        return Term(mp.exp(p) - y * p + constant, mp.exp(p) - y, mp.exp(p))
    if y == 0:
        return Term(p + constant, mpf(1), mpf(0))
    return Term(p - y * mp.log(p) + constant, 1 - y / p, y / p**2)


def poisson_deviance(p: mpf, y: mpf) -> Term:
    """2 (y log(y/p) - y + p). McCullagh and Nelder (1989), table 2.1."""
    return tweedie_deviance(p, y, power=1)


def gamma_deviance(p: mpf, y: mpf) -> Term:
    """2 (log(p/y) + y/p - 1). McCullagh and Nelder (1989), table 2.1."""
    return tweedie_deviance(p, y, power=2)


def tweedie_deviance(p: mpf, y: mpf, *, power: float = 1.5) -> Term:
    """2 (max(y, 0)^(2-k)/((1-k)(2-k)) - y p^(1-k)/(1-k) + p^(2-k)/(2-k)), or its limit (k = 1, 2).

    Jorgensen (1987), section 3; Dunn and Smyth (2005). The clip of y (for k < 0) is scikit-learn's.
    The derivatives are 2 (p - y) p^-k and 2 ((1-k) p + k y) p^(-k-1) for every k.
    """
    k = mpf(power)
    if k == 0:
        return mean_squared_error(p, y)
    if k == 1:
        value = 2 * (xlogy(y, y / p) - y + p)
    elif k == 2:
        value = 2 * (mp.log(p / y) + y / p - 1)
    else:
        start = max(y, mpf(0)) ** (2 - k) / ((1 - k) * (2 - k))
        value = 2 * (start - y * p ** (1 - k) / (1 - k) + p ** (2 - k) / (2 - k))
        value = mpf(0) if p == y else value  # what rounding left of three powers
    return Term(value, 2 * (p - y) * p**-k, 2 * ((1 - k) * p + k * y) * p ** (-k - 1))


# ------------------------------------------------------------------------------------------------
# Metrics of the whole sample
# ------------------------------------------------------------------------------------------------

Numbers = Sequence[mpf]


def weighted_mean(x: Numbers, w: Numbers) -> mpf:
    """sum(w x) / sum(w)."""
    return mp.fdot(w, x) / mp.fsum(w)


def covariance(a: Numbers, b: Numbers, w: Numbers) -> mpf:
    """mean_w((a - mean_w(a)) (b - mean_w(b))): ddof 0."""
    return weighted_mean([i * j for i, j in zip(centred(a, w), centred(b, w), strict=True)], w)


def centred(x: Numbers, w: Numbers) -> list[mpf]:
    """x - mean_w(x)."""
    mean = weighted_mean(x, w)
    return [i - mean for i in x]


def shares(w: Numbers) -> list[mpf]:
    """w / sum(w): the derivative of a weighted mean with respect to each of its samples."""
    total = mp.fsum(w)
    return [i / total for i in w]


def residuals(p: Numbers, y: Numbers) -> list[mpf]:
    """e = p - y."""
    return [i - j for i, j in zip(p, y, strict=True)]


def mean_of(
    pointwise: Callable[..., Term], p: Numbers, y: Numbers, w: Numbers, **params: Any
) -> Result:
    """mean_w(f(p, y)), whose gradient is w f' / sum(w)."""
    terms = [pointwise(i, j, **params) for i, j in zip(p, y, strict=True)]
    value, first, second = (list(column) for column in zip(*terms, strict=True))
    gradient = [s * d for s, d in zip(shares(w), first, strict=True)]
    return Result(weighted_mean(value, w), gradient, value, first, second)


def root(pointwise: Callable[..., Term], p: Numbers, y: Numbers, w: Numbers) -> Result:
    """sqrt(mean_w(f)); gradient: that of the mean over twice the root, 0 where the root is 0."""
    mean = mean_of(pointwise, p, y, w)
    value = mp.sqrt(mean.value)
    gradient = [g / (2 * value) if value else mpf(0) for g in mean.gradient]
    return Result(value, gradient)


def root_mean_squared_error(p: Numbers, y: Numbers, w: Numbers) -> Result:
    """sqrt(mean_w(e^2)). Hyndman and Koehler (2006)."""
    return root(mean_squared_error, p, y, w)


def root_mean_squared_log_error(p: Numbers, y: Numbers, w: Numbers) -> Result:
    """sqrt(mean_w((log1p(p) - log1p(y))^2)). scikit-learn, User guide."""
    return root(mean_squared_log_error, p, y, w)


def multi_quantile(
    p: Sequence[Numbers], y: Numbers, w: Numbers, *, quantiles: Sequence[float] = (0.1, 0.5, 0.9)
) -> Result:
    """The mean over quantiles, then rows, of pinball(p[i, k], y[i]). Koenker and Bassett (1978)."""
    count = len(quantiles)
    losses = [
        [pinball(i, target, quantile=q) for i, q in zip(row, quantiles, strict=True)]
        for row, target in zip(p, y, strict=True)
    ]
    terms = [mp.fsum(loss.value for loss in row) / count for row in losses]
    gradient = [
        [s * loss.first / count for loss in row] for s, row in zip(shares(w), losses, strict=True)
    ]
    return Result(weighted_mean(terms, w), gradient, terms)


def weighted_absolute_percentage_error(p: Numbers, y: Numbers, w: Numbers) -> Result:
    """sum(w abs(e)) / sum(w abs(y)). Kolassa and Schuetz (2007), the MAD/mean ratio."""
    e, scale = residuals(p, y), mp.fdot(w, [abs(i) for i in y])
    gradient = [i * sign(j) / scale for i, j in zip(w, e, strict=True)]
    return Result(mp.fdot(w, [abs(i) for i in e]) / scale, gradient)


def cosine_row(a: Numbers, b: Numbers) -> tuple[mpf, list[mpf]]:
    """<a, b> / (norm(a) norm(b)), b / (norm(a) norm(b)) - cos a / norm(a)^2; zero vector: 0, 0."""
    aa, bb, ab = mp.fdot(a, a), mp.fdot(b, b), mp.fdot(a, b)
    if aa == 0 or bb == 0:
        return mpf(0), [mpf(0) for _ in a]
    norms = mp.sqrt(aa) * mp.sqrt(bb)
    cosine = ab / norms
    return cosine, [j / norms - cosine * i / aa for i, j in zip(a, b, strict=True)]


def cosine_similarity(p: Sequence[Numbers], y: Sequence[Numbers], w: Numbers) -> Result:
    """mean_w of the rows' cosines, features on the last axis. Salton and McGill (1983)."""
    rows = [cosine_row(a, b) for a, b in zip(p, y, strict=True)]
    terms = [cosine for cosine, _ in rows]
    gradient = [[s * g for g in row] for s, (_, row) in zip(shares(w), rows, strict=True)]
    return Result(weighted_mean(terms, w), gradient, terms)


def cosine_distance(p: Sequence[Numbers], y: Sequence[Numbers], w: Numbers) -> Result:
    """1 - cosine_similarity."""
    value, gradient, terms, *_ = cosine_similarity(p, y, w)
    return Result(1 - value, [[-g for g in row] for row in gradient], [1 - t for t in terms])


UNDEFINED = Result(mp.nan, None)


def r2_score(p: Numbers, y: Numbers, w: Numbers) -> Result:
    """1 - sum w e^2 / sum w (y - mean_w y)^2; nan for a constant target. Wright (1921)."""
    e, total = residuals(p, y), mp.fdot(w, [i**2 for i in centred(y, w)])
    if total == 0:
        return UNDEFINED
    gradient = [-2 * i * j / total for i, j in zip(w, e, strict=True)]
    return Result(1 - mp.fdot(w, [i**2 for i in e]) / total, gradient)


def explained_variance_score(p: Numbers, y: Numbers, w: Numbers) -> Result:
    """1 - var_w(e) / var_w(y); nan for a constant target. scikit-learn, User guide."""
    e, variance = residuals(p, y), covariance(y, y, w)
    if variance == 0:
        return UNDEFINED
    gradient = [-2 * s * i / variance for s, i in zip(shares(w), centred(e, w), strict=True)]
    return Result(1 - covariance(e, e, w) / variance, gradient)


def pearson_correlation(p: Numbers, y: Numbers, w: Numbers) -> Result:
    """cov / sqrt(var(p) var(y)); nan where either is constant. Pearson (1896)."""
    pp, yy, py = covariance(p, p, w), covariance(y, y, w), covariance(p, y, w)
    if pp == 0 or yy == 0:
        return UNDEFINED
    value, norm = py / mp.sqrt(pp * yy), mp.sqrt(pp * yy)
    columns = zip(shares(w), centred(p, w), centred(y, w), strict=True)
    return Result(value, [s * (j / norm - value * i / pp) for s, i, j in columns])


def concordance_correlation(p: Numbers, y: Numbers, w: Numbers) -> Result:
    """2 cov / (var(p) + var(y) + (mean(p) - mean(y))^2), ddof 0; 0/0 is nan. Lin (1989)."""
    gap = weighted_mean(p, w) - weighted_mean(y, w)
    spread = covariance(p, p, w) + covariance(y, y, w) + gap**2
    if spread == 0:
        return UNDEFINED
    value = 2 * covariance(p, y, w) / spread
    columns = zip(shares(w), centred(p, w), centred(y, w), strict=True)
    return Result(value, [2 * s * (j - value * (i + gap)) / spread for s, i, j in columns])


def max_error(p: Numbers, y: Numbers, w: Numbers) -> Result:
    """max abs(e) over the samples with weight; ties share the gradient. Chebyshev (1854)."""
    e = residuals(p, y)
    value = max(abs(i) for i, j in zip(e, w, strict=True) if j > 0)
    tied = [j > 0 and abs(i) == value for i, j in zip(e, w, strict=True)]
    return Result(
        value, [sign(i) / sum(tied) if at else mpf(0) for i, at in zip(e, tied, strict=True)]
    )


def median_absolute_error(p: Numbers, y: Numbers, w: Numbers) -> Result:
    """The weighted median of abs(e): the mean of the lower and the upper one. Edgeworth (1888).

    Lower: the first sorted abs(e) whose cumulated weight reaches half; upper: the first above half.
    Each gives half its sign to the gradient; tied samples make the gradient undefined (None).
    """
    e, half = residuals(p, y), mp.fsum(w) / 2
    order = sorted((i for i in range(len(e)) if w[i] > 0), key=lambda i: abs(e[i]))
    reached = [mp.fsum(w[i] for i in order[: k + 1]) for k in range(len(order))]
    lower = next(i for i, c in zip(order, reached, strict=True) if c >= half)
    upper = next(i for i, c in zip(order, reached, strict=True) if c > half)
    value = (abs(e[lower]) + abs(e[upper])) / 2
    if any(abs(e[i]) in (abs(e[lower]), abs(e[upper])) for i in order if i not in (lower, upper)):
        return Result(value, None)
    return Result(value, [sign(e[i]) * ((i == lower) + (i == upper)) / 2 for i in range(len(e))])


# ------------------------------------------------------------------------------------------------
# Pointwise classification
# ------------------------------------------------------------------------------------------------


def smoothed(y: mpf, label_smoothing: float) -> mpf:
    """y, moved towards 1/2. Szegedy et al. (2016), eq. 7, with two classes."""
    s = mpf(label_smoothing)
    return (1 - s) * y + s / 2


def sigmoid_cross_entropy(
    z: mpf, y: mpf, *, pos_weight: float | None = None, label_smoothing: float = 0.0
) -> Term:
    """w y log(1 + exp(-z)) + (1 - y) log(1 + exp(z)). Cox (1958); w: King and Zeng (2001)."""
    y = smoothed(y, label_smoothing)
    yes, no = y * mpf(1 if pos_weight is None else pos_weight), 1 - y
    q, rest = 1 / (1 + mp.exp(-z)), 1 / (1 + mp.exp(z))
    value = yes * mp.log1p(mp.exp(-z)) + no * mp.log1p(mp.exp(z))
    return Term(value, no * q - yes * rest, (yes + no) * q * rest)


def binary_cross_entropy(p: mpf, y: mpf, *, label_smoothing: float = 0.0) -> Term:
    """-y log(p) - (1 - y) log(1 - p), 0 log(0) = 0. Good (1952)."""
    y = smoothed(y, label_smoothing)
    pairs = [(w, q, s) for w, q, s in ((y, p, -1), (1 - y, 1 - p, 1)) if w != 0]
    return Term(
        -mp.fsum(xlogy(w, q) for w, q, _ in pairs),
        mp.fsum(s * w / q for w, q, s in pairs),
        mp.fsum(w / q**2 for w, q, _ in pairs),
    )


def sigmoid_focal(z: mpf, y: mpf, *, gamma: float = 2.0, alpha: float | None = None) -> Term:
    """-a (1 - q)^gamma log(q), q the probability of the label. Lin et al. (2017), eq. 5.

    With m = z or -z, s = 1 - q and c = -log(q): ds/dm = -s q and dc/dm = -s.
    """
    g, turn = mpf(gamma), 1 if y == 1 else -1
    weight = mpf(1) if alpha is None else mpf(alpha) if y == 1 else 1 - mpf(alpha)
    m = turn * z
    s, q, c = 1 / (1 + mp.exp(m)), 1 / (1 + mp.exp(-m)), mp.log1p(mp.exp(-m))
    slope = g * q * c + s
    bend = q * (g * slope - s * (g * c - g - 1))
    return Term(weight * s**g * c, -turn * weight * s**g * slope, weight * s**g * bend)


def hinge(z: mpf, y: mpf, *, margin: float = 1.0) -> Term:
    """max(0, m - y z); derivative 0 at the margin. Cortes and Vapnik (1995)."""
    short = mpf(margin) - y * z
    return Term(short, -y, mpf(0)) if short > 0 else Term(mpf(0), mpf(0), mpf(0))


def squared_hinge(z: mpf, y: mpf, *, margin: float = 1.0) -> Term:
    """max(0, m - y z)^2. Lee and Mangasarian (2001)."""
    short, slope, _ = hinge(z, y, margin=margin)
    return Term(short**2, 2 * short * slope, 2 * slope**2)


def brier_score(p: mpf, y: mpf) -> Term:
    """(p - y)^2. Brier (1950), for one of two classes."""
    return Term((p - y) ** 2, 2 * (p - y), mpf(2))


# ------------------------------------------------------------------------------------------------
# The tables
# ------------------------------------------------------------------------------------------------

POINTWISE: dict[str, Callable[..., Term]] = {
    f.__name__: f
    for f in (
        mean_squared_error,
        half_squared_error,
        mean_absolute_error,
        mean_bias_error,
        huber,
        smooth_l1,
        pseudo_huber,
        log_cosh,
        pinball,
        expectile,
        mean_absolute_percentage_error,
        symmetric_mean_absolute_percentage_error,
        mean_squared_log_error,
        poisson_nll,
        poisson_deviance,
        gamma_deviance,
        tweedie_deviance,
        sigmoid_cross_entropy,
        binary_cross_entropy,
        sigmoid_focal,
        hinge,
        squared_hinge,
        brier_score,
    )
}

CLASSIFICATION = (
    "sigmoid_cross_entropy",
    "binary_cross_entropy",
    "sigmoid_focal",
    "hinge",
    "squared_hinge",
    "brier_score",
)

WHOLE: dict[str, Callable[..., Result]] = {
    f.__name__: f
    for f in (
        root_mean_squared_error,
        root_mean_squared_log_error,
        multi_quantile,
        weighted_absolute_percentage_error,
        cosine_similarity,
        cosine_distance,
        r2_score,
        explained_variance_score,
        pearson_correlation,
        concordance_correlation,
        max_error,
        median_absolute_error,
    )
}


def exact(x: Any) -> Any:
    """The same nested list as exact mpf numbers."""
    return [exact(i) for i in x] if isinstance(x, list) else mpf(x)


def completed(metric: str, parameters: dict[str, Any], dtype: str) -> dict[str, Any]:
    """The parameters, with the one default that depends on the dtype of the result."""
    if metric != "mean_absolute_percentage_error" or parameters.get("epsilon") is not None:
        return parameters
    result = "float32" if dtype in ("float16", "bfloat16", "float32") else "float64"
    return {**parameters, "epsilon": EPSILON[result]}


def evaluate(
    metric: str,
    predictions: list[Any],
    targets: list[Any],
    weights: list[Any] | None = None,
    parameters: dict[str, Any] | None = None,
    dtype: str = "float64",
) -> Result:
    """The metric of exact inputs, by its public name."""
    p, y = exact(predictions), exact(targets)
    w = exact(weights) if weights is not None else [mpf(1)] * len(y)
    params = completed(metric, parameters or {}, dtype)
    if metric in POINTWISE:
        return mean_of(POINTWISE[metric], p, y, w, **params)
    return WHOLE[metric](p, y, w, **params)
