"""The second oracle: fractions, other formulas and numerical derivatives against `definitions`.

Rational metrics are recomputed in `fractions.Fraction`, their derivatives as central differences
with a step of 2**-1500: exact for quadratics, the average of both sides at a kink. The others are
checked against an identity, and against numerical derivatives at 800 digits. `check` raises
AssertionError at any difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from statistics import median
from typing import Any

import definitions
from cases import MOMENTS, ROWS, Case, flat
from definitions import Result, evaluate
from mpmath import mp, mpf

STEP = Fraction(1, 2**1500)
DIGITS = 45
NEGLIGIBLE = mpf(10) ** -440


def number(x: Any) -> mpf:
    """A fraction as mpf; mpf as it is."""
    return mpf(x.numerator) / x.denominator if isinstance(x, (Fraction, int)) else mpf(x)


def agree(case: Case, what: str, got: Any, expected: Any, negligible: mpf = NEGLIGIBLE) -> None:
    """Both lists or numbers are equal to 45 digits."""
    pairs = list(zip(flat([got]), flat([expected]), strict=True))
    for a, b in ((number(a), number(b)) for a, b in pairs):
        if not abs(a - b) <= mpf(10) ** -DIGITS * abs(b) + negligible:
            raise AssertionError(f"{case}: {what} is {mp.nstr(a, 50)}, not {mp.nstr(b, 50)}")


# ------------------------------------------------------------------------------------------------
# Rational pointwise losses
# ------------------------------------------------------------------------------------------------


def rational_huber(e: Fraction, d: Fraction) -> Fraction:
    """With q = min(abs(e), d): q^2/2 + d (abs(e) - q), the catalogue's form."""
    q = min(abs(e), d)
    return q * q / 2 + d * (abs(e) - q)


def rational_smooth_l1(e: Fraction, b: Fraction) -> Fraction:
    """Huber's loss over its threshold; abs(e) in the limit."""
    return rational_huber(e, b) / b if b else abs(e)


def rational_pinball(p: Fraction, y: Fraction, q: Fraction) -> Fraction:
    """abs(e)/2 + (1/2 - q) e."""
    return abs(p - y) / 2 + (Fraction(1, 2) - q) * (p - y)


def rational_expectile(p: Fraction, y: Fraction, level: Fraction) -> Fraction:
    """level on one side, 1 - level on the other, times e^2."""
    return (level if p <= y else 1 - level) * (p * p - 2 * p * y + y * y)


def rational_smape(p: Fraction, y: Fraction) -> Fraction:
    """abs(e) over the mean of both magnitudes."""
    return abs(p - y) / ((abs(p) + abs(y)) / 2) if p or y else Fraction(0)


RATIONAL: dict[str, Callable[..., Fraction]] = {
    "mean_squared_error": lambda p, y: (p - y) * (p - y),
    "half_squared_error": lambda p, y: (p - y) * (p - y) / 2,
    "mean_absolute_error": lambda p, y: max(p - y, y - p),
    "mean_bias_error": lambda p, y: p - y,
    "huber": lambda p, y, delta=1.0: rational_huber(p - y, Fraction(delta)),
    "smooth_l1": lambda p, y, beta=1.0: rational_smooth_l1(p - y, Fraction(beta)),
    "pinball": lambda p, y, quantile=0.5: rational_pinball(p, y, Fraction(quantile)),
    "expectile": lambda p, y, level=0.5: rational_expectile(p, y, Fraction(level)),
    "mean_absolute_percentage_error": lambda p, y, epsilon: (
        abs(p - y) / max(abs(y), Fraction(epsilon))
    ),
    "symmetric_mean_absolute_percentage_error": rational_smape,
    "hinge": lambda p, y, margin=1.0: (
        (Fraction(margin) - y * p + abs(Fraction(margin) - y * p)) / 2
    ),
    "squared_hinge": lambda p, y, margin=1.0: max(Fraction(margin) - y * p, Fraction(0)) ** 2,
    "brier_score": lambda p, y: p * p - 2 * p * y + y * y,
}


def rational_parameters(case: Case) -> dict[str, Any]:
    """The case's parameters, the floor of mape from the dtype's width."""
    if case.metric != "mean_absolute_percentage_error" or "epsilon" in case.parameters:
        return case.parameters
    bits = 23 if case.dtype in ("float16", "bfloat16", "float32") else 52
    return {"epsilon": Fraction(1, 2**bits)}


def check_rational_pointwise(case: Case, result: Result) -> None:
    """Terms, both derivatives, the mean and its gradient, in fractions."""
    params = rational_parameters(case)
    weights = [Fraction(w) for w in case.weights or [1] * len(case.targets)]
    terms, slopes = [], []
    samples = zip(case.predictions, case.targets, result.second, strict=True)
    for p, y, second in ((Fraction(p), Fraction(y), s) for p, y, s in samples):
        at = [RATIONAL[case.metric](p + k * STEP, y, **params) for k in (-2, -1, 0, 1, 2)]
        terms.append(at[2])
        costless = case.metric == "hinge" and at[2] == 0  # at the margin, not the average
        slopes.append(Fraction(0) if costless else (at[3] - at[1]) / (2 * STEP))
        check_second(case, second, at)
    agree(case, "terms", result.terms, terms)
    agree(case, "first", result.first, slopes)
    total = sum(weights)
    agree(
        case, "value", result.value, sum(w * t for w, t in zip(weights, terms, strict=True)) / total
    )
    agree(
        case,
        "gradient",
        result.gradient,
        [w * s / total for w, s in zip(weights, slopes, strict=True)],
    )


def check_second(case: Case, second: mpf, at: list[Fraction]) -> None:
    """0 where the slope jumps; else one side's second derivative: the quadratic side's."""
    left, middle, right = (number((at[k] - 2 * at[k + 1] + at[k + 2]) / STEP**2) for k in range(3))
    if abs(middle) > mpf(10) ** 430 or (case.metric == "squared_hinge" and at[2] == 0):
        agree(case, "second at a kink", second, 0)
    elif case.metric == "expectile":
        agree(case, "second", second, left)
    else:
        agree(case, "second", second, max(left, right, key=abs))


# ------------------------------------------------------------------------------------------------
# Rational metrics of the whole sample
# ------------------------------------------------------------------------------------------------

Fractions = list[Any]


def ratio(a: Fraction, b: Fraction) -> Fraction | None:
    """a / b, None for a division by 0."""
    return a / b if b else None


def moment(a: Fractions, b: Fractions, w: Fractions) -> Fraction:
    """sum_ij w_i w_j (a_i - a_j)(b_i - b_j) / 2 = sum(w)^2 cov(a, b), no mean needed."""
    size = range(len(w))
    return sum(
        (w[i] * w[j] * (a[i] - a[j]) * (b[i] - b[j]) for i in size for j in range(i)), Fraction(0)
    )


def rational_r2(p: Fractions, y: Fractions, w: Fractions) -> Fraction | None:
    """1 - sum(w) sum(w e^2) / (sum(w)^2 var(y))."""
    lost = sum(k * (i - j) ** 2 for i, j, k in zip(p, y, w, strict=True)) * sum(w)
    unexplained = ratio(lost, moment(y, y, w))
    return None if unexplained is None else 1 - unexplained


def rational_explained(p: Fractions, y: Fractions, w: Fractions) -> Fraction | None:
    """(2 cov(p, y) - var(p)) / var(y)."""
    return ratio(2 * moment(p, y, w) - moment(p, p, w), moment(y, y, w))


def rational_concordance(p: Fractions, y: Fractions, w: Fractions) -> Fraction | None:
    """1 - mean(e^2) / mean of (p_i - y_j)^2 over independent i and j."""
    pairs = zip(p, y, w, strict=True)
    matched = sum(k * (i - j) ** 2 for i, j, k in pairs) * sum(w)
    rows, columns = list(zip(p, w, strict=True)), list(zip(y, w, strict=True))
    disagreement = ratio(matched, sum(u * v * (i - j) ** 2 for i, u in rows for j, v in columns))
    return None if disagreement is None else 1 - disagreement


def rational_wape(p: Fractions, y: Fractions, w: Fractions) -> Fraction | None:
    """sum(w abs(e)) / sum(w abs(y))."""
    top = sum(k * max(i - j, j - i) for i, j, k in zip(p, y, w, strict=True))
    return ratio(top, sum(k * max(j, -j) for j, k in zip(y, w, strict=True)))


def rational_max(p: Fractions, y: Fractions, w: Fractions) -> Fraction:
    """The larger of the largest e and the largest -e."""
    e = [i - j for i, j, k in zip(p, y, w, strict=True) if k]
    return max(*e, -min(e))


def rational_median(p: Fractions, y: Fractions, w: Fractions) -> Fraction:
    """The middle of the minimisers m of sum(w abs(abs(e) - m))."""
    sizes = [abs(i - j) for i, j in zip(p, y, strict=True)]
    cost = {m: sum(k * abs(s - m) for s, k in zip(sizes, w, strict=True)) for m in sizes}
    best = [m for m in cost if cost[m] == min(cost.values())]
    return (min(best) + max(best)) / 2


def rational_multi_quantile(p: Fractions, y: Fractions, w: Fractions, **params: Any) -> Fraction:
    """The weighted mean over all cells, each with its row's weight."""
    quantiles = [Fraction(q) for q in params.get("quantiles", (0.1, 0.5, 0.9))]
    columns = list(zip(*p, strict=True))
    losses = [
        sum(k * rational_pinball(i, j, q) for i, j, k in zip(column, y, w, strict=True)) / sum(w)
        for column, q in zip(columns, quantiles, strict=True)
    ]
    return sum(losses) / len(quantiles)


RATIONAL_WHOLE: dict[str, Callable[..., Fraction | None]] = {
    "r2_score": rational_r2,
    "explained_variance_score": rational_explained,
    "concordance_correlation": rational_concordance,
    "weighted_absolute_percentage_error": rational_wape,
    "max_error": rational_max,
    "median_absolute_error": rational_median,
    "multi_quantile": rational_multi_quantile,
}


def rational(x: Any) -> Any:
    """Nested exact fractions."""
    return [rational(i) for i in x] if isinstance(x, list) else Fraction(x)


def nudged(x: Any, place: int, by: Any) -> Any:
    """The nested list (of one or two levels) with `by` added to its flat entry number `place`."""
    if isinstance(x[0], list):
        width = len(x[0])
        return [nudged(row, place - width * k, by) for k, row in enumerate(x)]
    return [i + by if k == place else i for k, i in enumerate(x)]


def check_rational_whole(case: Case, result: Result) -> None:
    """The value, and the gradient by exact central differences."""
    p, y = rational(case.predictions), rational(case.targets)
    w = rational(case.weights or [1] * len(y))
    value = RATIONAL_WHOLE[case.metric]
    expected = value(p, y, w, **case.parameters)
    if expected is None:
        assert mp.isnan(result.value), case
        return
    agree(case, "value", result.value, expected)
    if result.gradient is None:
        assert case.metric == "median_absolute_error", case
        return
    if case.metric == "max_error" and check_ties(case, result):
        return
    numbers = range(len(list(flat(p))))
    sides = [
        [value(nudged(p, k, s), y, w, **case.parameters) for s in (STEP, -STEP)] for k in numbers
    ]
    agree(
        case,
        "gradient",
        list(flat(result.gradient)),
        [(up - down) / (2 * STEP) for up, down in sides],
    )


def check_ties(case: Case, result: Result) -> bool:
    """Whether several samples attain the maximum; if so their gradients are equal parts of 1."""
    e = [Fraction(p) - Fraction(y) for p, y in zip(case.predictions, case.targets, strict=True)]
    tied = [k for k in range(len(e)) if abs(e[k]) == max(map(abs, e)) > 0]
    parts = [
        math.copysign(1, e[k]) / mpf(len(tied)) if k in tied else mpf(0) for k in range(len(e))
    ]
    if len(tied) > 1:
        agree(case, "gradient of ties", result.gradient, parts)
    return len(tied) > 1


# ------------------------------------------------------------------------------------------------
# Smooth metrics
# ------------------------------------------------------------------------------------------------


def other_log_cosh(p: mpf, y: mpf) -> mpf:
    """abs(e) + log((1 + exp(-2 abs(e))) / 2)."""
    return abs(p - y) + mp.log1p(mp.exp(-2 * abs(p - y))) - mp.log(2)


def other_pseudo_huber(p: mpf, y: mpf, delta: float = 1.0) -> mpf:
    """e^2 / (1 + sqrt(1 + (e/delta)^2))."""
    return (p - y) ** 2 / (1 + mp.hypot(1, (p - y) / delta))


def other_log_error(p: mpf, y: mpf) -> mpf:
    """log((1 + p) / (1 + y))^2."""
    return mp.log((1 + p) / (1 + y)) ** 2


def other_poisson_nll(p: mpf, y: mpf, log_input: bool = True, full: bool = False) -> mpf:
    """-log(exp(-m) m^y / y!), with log(y!) from the product."""
    mean = mp.exp(p) if log_input else p
    log_mean = p if log_input else (mp.log(p) if y else mpf(0))
    return mean - y * log_mean + (mp.log(mp.factorial(y)) if full else 0)


def other_deviance(p: mpf, y: mpf, power: float = 1.5) -> mpf | None:
    """2 int_y^p (t - y) / t^power dt (Jorgensen 1987); None where quadrature is hard."""
    start = max(y, mpf(0)) if power else y
    hard = not mpf(1) / 99 < p / start < 99 if start else power >= 1.5
    if power and hard:
        return None
    with mp.workdps(60):
        return 2 * mp.quad(lambda t: (t - y) * t ** -mpf(power) if power else t - y, [start, p])


def other_sigmoid_cross_entropy(
    z: mpf, y: mpf, pos_weight: float | None = None, label_smoothing: float = 0.0
) -> mpf:
    """(1 - y) z + (1 + (w - 1) y) (max(-z, 0) + log(1 + exp(-abs(z)))), the stable form of many."""
    y = y + mpf(label_smoothing) * (mpf(1) / 2 - y)
    weight = mpf(1 if pos_weight is None else pos_weight)
    return (1 - y) * z + (1 + (weight - 1) * y) * (max(-z, 0) + mp.log1p(mp.exp(-abs(z))))


def other_binary_cross_entropy(p: mpf, y: mpf, label_smoothing: float = 0.0) -> mpf:
    """-log(p^y (1 - p)^(1 - y)), 0^0 = 1."""
    y = y + mpf(label_smoothing) * (mpf(1) / 2 - y)
    return -mp.log(mp.power(p, y) * mp.power(1 - p, 1 - y))


def other_sigmoid_focal(
    z: mpf, y: mpf, gamma: float = 2.0, alpha: float | None = None
) -> mpf | None:
    """From the two probabilities, as in the paper; None where one of them is not told from 1."""
    if abs(z) > 300:
        return None
    p = 1 / (1 + mp.exp(-z))
    q = p * y + (1 - p) * (1 - y)
    share = 1 if alpha is None else mpf(alpha) * y + (1 - mpf(alpha)) * (1 - y)
    return -share * (1 - q) ** mpf(gamma) * mp.log(q)


OTHER: dict[str, Callable[..., mpf | None]] = {
    "log_cosh": other_log_cosh,
    "pseudo_huber": other_pseudo_huber,
    "mean_squared_log_error": other_log_error,
    "poisson_nll": other_poisson_nll,
    "poisson_deviance": lambda p, y: other_deviance(p, y, 1),
    "gamma_deviance": lambda p, y: other_deviance(p, y, 2),
    "tweedie_deviance": other_deviance,
    "sigmoid_cross_entropy": other_sigmoid_cross_entropy,
    "binary_cross_entropy": other_binary_cross_entropy,
    "sigmoid_focal": other_sigmoid_focal,
}


def check_smooth_pointwise(case: Case, result: Result) -> None:
    """Each term against another formula, its derivatives against central differences.

    Quadrature is slow, so only the first two deviances of a case are integrated.
    """
    term = definitions.POINTWISE[case.metric]
    samples = zip(
        case.predictions, case.targets, result.terms, result.first, result.second, strict=True
    )
    for place, (p, y, value, first, second) in enumerate(samples):
        hard = "deviance" in case.metric and place > 1
        other = None if hard else OTHER[case.metric](mpf(p), mpf(y), **case.parameters)
        with mp.workdps(800):
            at = mpf(p)
            h = mpf(10) ** -250 * min(abs(at) or 1, 1)
            down, middle, up = (
                term(at + k * h, mpf(y), **case.parameters).value for k in (-1, 0, 1)
            )
            agree(case, "term at 800 digits", value, middle, mpf(10) ** -190)
            agree(case, "first", first, (up - down) / (2 * h), mpf(10) ** -190)
            agree(case, "second", second, (up - 2 * middle + down) / h**2, mpf(10) ** -190)
        if other is not None:
            scale = mpf(10) ** (-45 if "deviance" in case.metric else -150)
            agree(case, "term", value, other, scale * abs(p))
        if "deviance" in case.metric and p == y:
            assert value == 0, case


def squared(case: Case) -> Any:
    """The exact signed square of a metric that is the root of a rational one; None if 0/0."""
    p, y = rational(case.predictions), rational(case.targets)
    w = rational(case.weights or [1] * len(y))
    if case.metric == "root_mean_squared_error":
        return sum(k * (i - j) ** 2 for i, j, k in zip(p, y, w, strict=True)) / sum(w)
    product = moment(p, y, w)
    return ratio(product * abs(product), moment(p, p, w) * moment(y, y, w))


def check_rational_root(case: Case, result: Result) -> None:
    """value * abs(value) is the exact fraction."""
    expected = squared(case)
    if expected is None:
        assert mp.isnan(result.value), case
    else:
        agree(case, "signed square", result.value * abs(result.value), expected)


def check_cosines(case: Case, result: Result) -> None:
    """Each row's signed squared cosine as a fraction, and the mean of the rows."""
    similar = [1 - t if case.metric == "cosine_distance" else t for t in result.terms]
    for a, b, cosine in zip(
        rational(case.predictions), rational(case.targets), similar, strict=True
    ):
        ab = sum(i * j for i, j in zip(a, b, strict=True))
        norms = sum(i * i for i in a) * sum(j * j for j in b)
        agree(case, "signed square", cosine * abs(cosine), ab * abs(ab) / norms if norms else 0)
    weights = case.weights or [1] * len(similar)
    mean = sum(w * t for w, t in zip(weights, result.terms, strict=True)) / sum(map(mpf, weights))
    agree(case, "value", result.value, mean)


def check_root_mean_log(case: Case, result: Result) -> None:
    """The square is the mean of the other form of the squared log error."""
    weights = [mpf(w) for w in case.weights or [1] * len(case.targets)]
    terms = [
        other_log_error(mpf(p), mpf(y)) for p, y in zip(case.predictions, case.targets, strict=True)
    ]
    agree(case, "square", result.value**2, mp.fdot(weights, terms) / mp.fsum(weights))


def check_numerical_gradient(case: Case, result: Result) -> None:
    """Central differences of the whole metric at 800 digits, where it is smooth."""
    if result.gradient is None or case.name in ("zero_residuals", "zero_vectors"):
        return
    inputs = list(flat(case.predictions))
    largest = max(abs(mpf(i)) for i in inputs)
    with mp.workdps(800):
        p = definitions.exact(case.predictions)
        numerical = []
        for place, x in enumerate(inputs):
            h = mpf(10) ** -150 * (abs(mpf(x)) or largest)
            sides = (nudged(p, place, s) for s in (h, -h))
            values = [evaluate_at(case, side) for side in sides]
            numerical.append((values[0] - values[1]) / (2 * h))
    biggest = max(abs(g) for g in numerical)
    agree(case, "gradient", list(flat(result.gradient)), numerical, mpf(10) ** -100 * biggest)


def evaluate_at(case: Case, predictions: list[Any]) -> mpf:
    """The case's value at other predictions."""
    return evaluate(
        case.metric, predictions, case.targets, case.weights, case.parameters, case.dtype
    ).value


SMOOTH: dict[str, Callable[[Case, Result], None]] = {
    "root_mean_squared_error": check_rational_root,
    "pearson_correlation": check_rational_root,
    "root_mean_squared_log_error": check_root_mean_log,
    **dict.fromkeys(ROWS, check_cosines),
}


# ------------------------------------------------------------------------------------------------
# Laws of every metric
# ------------------------------------------------------------------------------------------------


def check_repetition(case: Case, result: Result) -> None:
    """Whole weights are repetitions."""
    counts = [int(w) for w in case.weights]
    p = [i for i, n in zip(case.predictions, counts, strict=True) for _ in range(n)]
    y = [i for i, n in zip(case.targets, counts, strict=True) for _ in range(n)]
    agree(
        case, "repetition", result.value, evaluate(case.metric, p, y, None, case.parameters).value
    )
    if case.metric == "median_absolute_error":
        exact = median(abs(Fraction(i) - Fraction(j)) for i, j in zip(p, y, strict=True))
        agree(case, "median", result.value, exact)


def check_invariance(case: Case, result: Result) -> None:
    """Moments that no common shift changes have gradients that sum to 0."""
    if result.gradient is not None:
        largest = max(abs(g) for g in result.gradient)
        agree(case, "sum of gradient", mp.fsum(result.gradient), 0, mpf(10) ** -150 * largest)


def check(case: Case, result: Result) -> None:
    """Everything that is known of this case by other means."""
    if case.metric in RATIONAL:
        check_rational_pointwise(case, result)
    elif case.metric in RATIONAL_WHOLE:
        check_rational_whole(case, result)
    elif case.metric in OTHER:
        check_smooth_pointwise(case, result)
    else:
        SMOOTH[case.metric](case, result)
        check_numerical_gradient(case, result)
    if case.name == "integer_weights":
        check_repetition(case, result)
    if case.metric in MOMENTS[1:3]:
        check_invariance(case, result)
