"""Divergences between rows, from the literature, and by a second formula each."""

from __future__ import annotations

import math
import random
from typing import Any

from mpmath import mp, mpf

from .arithmetic import xlogy
from .definition import Mean, Special, integers

Row = list[mpf]


# --- where the terms are defined ------------------------------------------------------------------


def probabilities(x: mpf) -> bool:
    """Whether a number lies between 0 and 1; differences may step over 1."""
    return 0 <= x <= 1 + mpf(10) ** -40


def within(function: Any, inside: Any = probabilities) -> Any:
    """The function of two rows, nan where one holds a number outside."""

    def term(p: Row, t: Row, **parameters: Any) -> mpf:
        p, t = [mpf(x) for x in p], [mpf(x) for x in t]
        return function(p, t, **parameters) if all(map(inside, [*p, *t])) else mp.nan

    return term


def by_term(function: Any) -> Any:
    """The sum over classes of a function of two numbers."""
    return lambda p, t, **parameters: mp.fsum(
        function(x, y, **parameters) for x, y in zip(p, t, strict=True)
    )


# --- the formulas ---------------------------------------------------------------------------------


def kl(p: mpf, t: mpf) -> mpf:
    """Kullback and Leibler (1951)."""
    return xlogy(t, t) - xlogy(t, p)


def kl_by_atanh(p: mpf, t: mpf) -> mpf:
    """log(t / p) = 2 artanh((t - p) / (t + p))."""
    if t == 0:
        return mpf(0)
    return mp.inf if p == 0 else 2 * t * mp.atanh((t - p) / (t + p))


def jensen_shannon(p: mpf, t: mpf, beta: float = 0.5) -> mpf:
    """Two divergences from the mixture."""
    beta = mpf(beta)
    if p == t:
        return mpf(0)
    mixture = beta * t + (1 - beta) * p
    return beta * kl(mixture, t) + (1 - beta) * kl(mixture, p)


def jensen_shannon_by_entropy(p: mpf, t: mpf, beta: float = 0.5) -> mpf:
    """Lin (1991): the entropy of the mixture less the mixture of the entropies."""
    beta = mpf(beta)
    if p == t:
        return mpf(0)
    mixture = beta * t + (1 - beta) * p
    return beta * xlogy(t, t) + (1 - beta) * xlogy(p, p) - xlogy(mixture, mixture)


def alpha(p: mpf, t: mpf, alpha: float = 0.5) -> mpf:
    """Cichocki and Amari (2010), equation 13, and the limits after it."""
    a = mpf(alpha)
    if p == t:
        return mpf(0)
    if a == 1:
        return kl(p, t) - t + p
    if a == 0:
        return kl(t, p) - p + t
    if (t == 0 and a < 0) or (p == 0 and a > 1):
        return mp.inf
    return (t**a * p ** (1 - a) - a * t + (a - 1) * p) / (a * (a - 1))


def curved(u: mpf, order: mpf) -> mpf:
    """The integral of (u - s) s^(order - 2) from 1 to u: the ratio's part of several divergences."""
    return (u - 1) ** 2 / 2 * mp.hyp2f1(2 - order, 1, 3, 1 - u)


def alpha_by_integral(p: mpf, t: mpf, alpha: float = 0.5) -> mpf:
    """An f-divergence whose second derivative is u^(alpha - 2)."""
    a = mpf(alpha)
    if p == 0 or t == 0:
        lone, slope = (p, a) if t == 0 else (t, 1 - a)
        return lone / slope if slope > 0 else mp.inf if lone else mpf(0)
    return p * curved(t / p, a)


def beta(p: mpf, t: mpf, beta: float = 0.5) -> mpf:
    """Cichocki and Amari (2010), equation 34, and the limits after it."""
    b = mpf(beta)
    if p == t:
        return mpf(0)
    if b == 1:
        return kl(p, t) - t + p
    if b == 0:
        return t / p - mp.log(t / p) - 1
    if p == 0 and b < 1:
        return mp.inf
    return t**b / (b * (b - 1)) + p**b / b - t * p ** (b - 1) / (b - 1)


def beta_by_integral(p: mpf, t: mpf, beta: float = 0.5) -> mpf:
    """A Bregman divergence whose second derivative is t^(beta - 2)."""
    b = mpf(beta)
    if t == 0:
        return p**b / b if p else mpf(0)
    if p == 0:
        return t**b / (b * (b - 1)) if b > 1 else mp.inf
    return p**b * curved(t / p, b)


def itakura_saito(p: mpf, t: mpf) -> mpf:
    """Itakura and Saito (1968)."""
    return t / p - mp.log(t / p) - 1


def renyi(p: Row, t: Row, alpha: float = 0.5) -> mpf:
    """Renyi (1961), equation 3.3, and its limit."""
    a, whole = mpf(alpha), mp.fsum(t)
    if p == t:
        return mpf(0)
    if a == 1:
        return by_term(kl)(p, t) / whole
    pairs = [(x, y) for x, y in zip(p, t, strict=True) if y > 0]
    if a > 1 and any(x == 0 for x, _ in pairs):
        return mp.inf
    total = mp.fsum(y**a * x ** (1 - a) for x, y in pairs)
    return mp.log(total / whole) / (a - 1) if total else mp.inf


def renyi_by_minimum(p: Row, t: Row, alpha: float = 0.5) -> mpf:
    """Van Erven and Harremoes (2014), theorem 30: a distribution r that is near to both."""
    a, whole = mpf(alpha), mp.fsum(t)
    if p == t:
        return mpf(0)
    if a == 1:
        return by_term(kl_by_atanh)(p, t) / whole
    pairs = [(x, y) for x, y in zip(p, t, strict=True) if y > 0]
    if any(x == 0 for x, _ in pairs) and a > 1:
        return mp.inf
    pairs = [(x, y) for x, y in pairs if x > 0]
    if not pairs:
        return mp.inf
    r = [mp.exp(a * mp.log(y) + (1 - a) * mp.log(x)) for x, y in pairs]
    r = [x / mp.fsum(r) for x in r]
    to_t = mp.fsum(s * mp.log(s / y) for s, (_, y) in zip(r, pairs, strict=True))
    to_p = mp.fsum(s * mp.log(s / x) for s, (x, _) in zip(r, pairs, strict=True))
    return (a * to_t + (1 - a) * to_p + mp.log(whole)) / (1 - a)


def hellinger(p: Row, t: Row) -> mpf:
    """The norm of the difference of roots."""
    return mp.sqrt(by_term(lambda x, y: (mp.sqrt(x) - mp.sqrt(y)) ** 2)(p, t) / 2)


def hellinger_by_overlap(p: Row, t: Row) -> mpf:
    """One less the overlap, for rows of any sum."""
    squared = (mp.fsum(p) + mp.fsum(t)) / 2 - overlap(p, t)
    return mp.sqrt(squared) if squared > mpf(10) ** -150 else mpf(0)


def overlap(p: Row, t: Row) -> mpf:
    """Bhattacharyya's coefficient."""
    return by_term(lambda x, y: mp.sqrt(x * y))(p, t)


def bhattacharyya(p: Row, t: Row) -> mpf:
    """Bhattacharyya (1943)."""
    found = overlap(p, t)
    return -mp.log(found) if found else mp.inf


def bhattacharyya_by_roots(p: Row, t: Row) -> mpf:
    """From the squared distance of the roots."""
    found = (mp.fsum(p) + mp.fsum(t)) / 2 - hellinger(p, t) ** 2
    return -mp.log(found) if found > mpf(10) ** -150 else mp.inf


def total_variation(p: Row, t: Row) -> mpf:
    """Half the sum of absolute differences."""
    return by_term(lambda x, y: abs(x - y))(p, t) / 2


def total_variation_by_ends(p: Row, t: Row) -> mpf:
    """What the larger rows have more than the smaller."""
    return (by_term(max)(p, t) - by_term(min)(p, t)) / 2


def chi_squared(p: mpf, t: mpf) -> mpf:
    """Pearson (1900)."""
    return (t - p) ** 2 / p if p else mp.inf if t else mpf(0)


def chi_squared_expanded(p: Row, t: Row) -> mpf:
    """The sum of t^2 / p, and what is linear."""
    squares = mp.fsum(y**2 / x if x else mp.inf if y else 0 for x, y in zip(p, t, strict=True))
    return squares - 2 * mp.fsum(t) + mp.fsum(p)


def wasserstein(p: Row, t: Row, positions: Any = None) -> mpf:
    """Vallender (1974): the area between the distribution functions."""
    x = [mpf(one) for one in (range(len(p)) if positions is None else positions)]
    ahead = [mp.fsum(p[: k + 1]) - mp.fsum(t[: k + 1]) for k in range(len(p) - 1)]
    return mp.fsum(
        abs(a) * (after - before) for a, before, after in zip(ahead, x, x[1:], strict=False)
    )


def wasserstein_by_transport(p: Row, t: Row, positions: Any = None) -> mpf:
    """Mass moved from left to right in order; the last place makes up for what the sums differ."""
    x = [mpf(one) for one in (range(len(p)) if positions is None else positions)]
    have, need = [*p[:-1], 2 - mp.fsum(p[:-1])], [*t[:-1], 2 - mp.fsum(t[:-1])]
    cost, i, j = mpf(0), 0, 0
    while i < len(have) and j < len(need):
        moved = min(have[i], need[j])
        cost += moved * abs(x[i] - x[j])
        have[i] -= moved
        need[j] -= moved
        i, j = i + (have[i] == 0), j + (need[j] == 0)
    return cost


# --- rows to compute them of ----------------------------------------------------------------------


def distribution(rng: random.Random, n: int = 3) -> list[float]:
    """Probabilities of very different sizes."""
    sizes = [rng.gammavariate(0.8, 1.0) + 1e-3 for _ in range(n)]
    return [size / sum(sizes) for size in sizes]


def distributions(rng: random.Random, parameters: dict[str, Any]) -> tuple[Any, Any]:
    """Two rows that sum to 1, but for rounding."""
    return distribution(rng), distribution(rng)


def spectra(rng: random.Random, parameters: dict[str, Any]) -> tuple[Any, Any]:
    """Two rows of positive numbers."""
    return tuple([rng.lognormvariate(0, 1.2) for _ in range(3)] for _ in range(2))  # type: ignore[return-value]


ROW = [0.3, 0.45, 0.25]
MANY = [(1 + k * 7 % 11) / 67 for k in range(12)]


def shifted(row: list[float], by: float) -> list[float]:
    """A row near another, of the same sum but for rounding."""
    n = len(row)
    return [x + by * (2 * k - n + 1) / (n - 1) for k, x in enumerate(row)]


def specials(zeros: Any = (), falls: bool = False, **parameters: Any) -> tuple[Special, ...]:
    """Cases of two distributions; ``zeros`` holds the names, predictions, targets and slopes of more.

    ``falls`` tells that the metric has a slope where the rows are equal.
    """
    float64 = {"parameters": parameters, "smooth": True, "dtypes": ("float64",)}
    both = {"parameters": parameters, "smooth": True}
    found = [
        Special("near", [shifted(ROW, 1e-3), shifted(ROW, -1e-4)], [ROW, ROW], **both),
        Special("nearer", [shifted(ROW, 1e-6), shifted(ROW, -3e-6)], [ROW, ROW], **both),
        Special("nearest", [shifted(ROW, 1e-8), shifted(ROW, -1e-12)], [ROW, ROW], **float64),
        Special("neighbours", [[0.3 + 2.0**-25, 0.45, 0.25]], [ROW], **both),
        Special("many", [shifted(MANY, 1e-4), shifted(MANY, 0.005)], [MANY, MANY], **both),
        Special("mixed", [[0.25, 0.5, 0.2, 0.05]], [[0.25, 0.5, 0.05, 0.2]], **both),
        Special("larger_sum", [[0.9, 0.8, 0.7]], [[0.1, 0.3, 0.2]], **both),
        Special("smaller_sum", [[0.1, 0.05, 0.2]], [[0.5, 0.2, 0.1]], **both),
        Special("tiny", [[1e-30, 0.4, 0.6]], [[3e-30, 0.7, 0.3]], **both),
        Special("rare", [[1e-18, 0.5, 0.5]], [[0.2, 0.2, 0.6]], **both),
        Special("rare_target", [[0.2, 0.2, 0.6]], [[1e-18, 0.5, 0.5]], **both),
        Special(
            "outside",
            [[-0.1, 0.6, 0.5], [0.5, 0.5, 0.0]],
            [[0.5, 0.25, 0.25], [1.5, 0.0, 0.0]],
            parameters=parameters,
        ),
    ]
    flat = {"smooth": True} if falls else {"first": [[0.0] * 3] * 2}
    found.append(Special("equal", [ROW, MANY[:3]], [ROW, MANY[:3]], parameters, **flat))
    found += [Special(name, p, t, parameters, first) for name, p, t, first in zeros]
    return tuple(found)


WHOLE = integers([[1, 1, 1], [1, 1, 1]], [[1, 0, 1], [0, 0, 1]])
# a class without target, one without either, and one that was thought impossible
NO_TARGET = ([[0.25, 0.5, 0.25]], [[0.0, 0.75, 0.25]])
NEITHER = ([[0.0, 0.5, 0.5]], [[0.0, 0.25, 0.75]])
IMPOSSIBLE = ([[0.0, 0.25, 0.75]], [[0.25, 0.5, 0.25]])
APART = ([[1.0, 0.0]], [[0.0, 1.0]])


def alpha_zeros(order: float) -> list[Any]:
    """Slopes are (1 - (t / p)^alpha) / alpha; 0 where they, or the value, are infinite."""
    a = mpf(order)

    def slope(p: float, t: float) -> mpf:
        if p == 0:
            return 1 / a if a < 0 < t else mpf(0)
        if t == 0:
            return 1 / a if a > 0 else mpf(0)
        ratio = mpf(t) / mpf(p)
        return -mp.log(ratio) if a == 0 else (1 - ratio**a) / a

    return with_slopes(slope)


def beta_zeros(order: float) -> list[Any]:
    """Slopes are (p - t) p^(beta - 2)."""
    b = mpf(order)

    def slope(p: float, t: float) -> mpf:
        if p == 0:
            return -mpf(t) if b == 2 else mpf(0)
        return (mpf(p) - mpf(t)) * mpf(p) ** (b - 2)

    return with_slopes(slope)


def with_slopes(slope: Any) -> list[Any]:
    """The cases of zeros, with slopes of one class's numbers."""
    named = {"no_target": NO_TARGET, "neither": NEITHER, "impossible": IMPOSSIBLE, "apart": APART}
    return [
        (
            name,
            p,
            t,
            [[slope(x, y) for x, y in zip(a, b, strict=True)] for a, b in zip(p, t, strict=True)],
        )
        for name, (p, t) in named.items()
    ]


def js_slope(beta: float) -> Any:
    b = mpf(beta)

    def slope(p: float, t: float) -> mpf:
        return mpf(0) if p == 0 else (1 - b) * mp.log(p / (b * mpf(t) + (1 - b) * mpf(p)))

    return slope


def row_slopes(zero: Any, slope: Any) -> list[Any]:
    """Zeros of metrics whose slopes depend on the row; ``zero`` says where a row has none."""
    named = {"no_target": NO_TARGET, "neither": NEITHER, "impossible": IMPOSSIBLE, "apart": APART}
    found = []
    for name, (p, t) in named.items():
        rows = []
        for a, b in zip(p, t, strict=True):
            rows.append(
                [mpf(0)] * len(a)
                if zero(a, b)
                else [mpf(0) if x == 0 else slope(a, b, x, y) for x, y in zip(a, b, strict=True)]
            )
        found.append((name, p, t, rows))
    return found


def renyi_zeros(order: float) -> list[Any]:
    a = mpf(order)

    def infinite(p: list[float], t: list[float]) -> bool:
        return not mp.isfinite(renyi([mpf(x) for x in p], [mpf(y) for y in t], order))

    def slope(p: list[float], t: list[float], x: float, y: float) -> mpf:
        if a == 1:
            return -mpf(y) / mpf(x) / sum(map(mpf, t))
        total = mp.fsum(
            mpf(u) ** a * mpf(v) ** (1 - a) for v, u in zip(p, t, strict=True) if u > 0 and v > 0
        )
        return -((mpf(y) / mpf(x)) ** a if y > 0 else mpf(0)) / total

    return row_slopes(infinite, slope)


HELLINGER_ZEROS = row_slopes(
    lambda p, t: False,
    lambda p, t, x, y: (
        (1 - mp.sqrt(mpf(y) / mpf(x))) / (4 * hellinger(list(map(mpf, p)), list(map(mpf, t))))
    ),
)
BHATTACHARYYA_ZEROS = row_slopes(
    lambda p, t: overlap(list(map(mpf, p)), list(map(mpf, t))) == 0,
    lambda p, t, x, y: (
        -mp.sqrt(mpf(y) / mpf(x)) / (2 * overlap(list(map(mpf, p)), list(map(mpf, t))))
    ),
)


def all_orders(
    name: str, orders: tuple[float, ...], zeros: Any, falls: bool = False
) -> tuple[Special, ...]:
    """The special cases of several values of a parameter."""
    return tuple(
        case for order in orders for case in specials(zeros(order), falls, **{name: order})
    )


def between(
    term: Any,
    other: Any,
    variants: tuple[dict[str, Any], ...] = (),
    special: tuple[Special, ...] = (),
    **named: Any,
) -> Mean:
    """A divergence of rows of probabilities."""
    return Mean(within(term), within(other), distributions, variants, (*special, WHOLE), **named)


def at(name: str, *numbers: float) -> tuple[dict[str, Any], ...]:
    return tuple({name: x} for x in numbers)


def beta_inside(order: float) -> Any:
    return (lambda x: x >= 0) if order > 0 else (lambda x: x > 0)


def within_order(function: Any) -> Any:
    """A sum of terms, nan outside the domain of its order."""
    rows = by_term(function)
    return lambda p, t, beta=0.5: within(rows, beta_inside(beta))(p, t, beta=beta)


# the distribution functions meet at the first two places
TIED = Special(
    "tied", [[0.25, 0.5, 0.2, 0.05]], [[0.25, 0.5, 0.05, 0.2]], {}, [[1.0, 1.0, 1.0, 0.0]]
)
SPECTRA = (
    Special("scales", [[1e10, 3e10, 2e-10]], [[2e10, 1e10, 7e-10]], smooth=True),
    Special("far", [[1e-8, 2.0, 3e8]], [[1e8, 3.0, 1e-8]], smooth=True),
    integers([[1, 2, 3], [4, 1, 7]], [[2, 1, 3], [4, 2, 2]]),
)


def softmax_kl(z: Row, t: Row) -> mpf:
    """The divergence from the softmax, whose logarithm is a difference."""
    with mp.workdps(mp.dps + 700):  # exp(-1200) beside 1
        log_sum = mp.log(mp.fsum(mp.exp(x) for x in z))
        return mp.fsum(
            xlogy(b, b) - (b * (a - log_sum) if b else 0) for a, b in zip(z, t, strict=True)
        )


def softmax_kl_of_ratios(z: Row, t: Row) -> mpf:
    """The mean of log(t / p) over the target, p by ratios of exponentials."""
    with mp.workdps(mp.dps + 700):
        shares = [1 / mp.fsum(mp.exp(x - a) for x in z) if a > -mp.inf else mpf(0) for a in z]
        if any(b and not p for p, b in zip(shares, t, strict=True)):
            return mp.inf
        return mp.fsum(b * mp.log(b / p) for p, b in zip(shares, t, strict=True) if b)


def logits(rng: random.Random, parameters: dict[str, Any]) -> tuple[Any, Any]:
    """Logits that are not far from a target."""
    target = distribution(rng)
    return [float(mp.log(x)) + 4 * (rng.random() - 0.5) for x in target], target


DEFINITIONS = {
    "kl_divergence_with_logits": Mean(
        softmax_kl, softmax_kl_of_ratios, logits,
        special=(
            Special("equal", [[0.0] * 4], [[0.25] * 4], smooth=True),
            Special("near", [[2.0**-20, 0.0, -(2.0**-21), 0.0]], [[0.25] * 4], smooth=True, dtypes=("float64",), condition=256.0),
            Special("certain", [[0.5, -1.0, 2.0]], [[0.0, 0.0, 1.0]], smooth=True),
            Special("far", [[600.0, 0.0, -600.0]], [[0.25, 0.5, 0.25]], smooth=True, dtypes=("float64",)),
            Special("far", [[60.0, 0.0, -20.0]], [[0.25, 0.5, 0.25]], smooth=True),
            Special("ruled_out", [[-math.inf, 0.0, 1.0]], [[0.0, 0.5, 0.5]], {}),
            Special("impossible", [[-math.inf, 0.0]], [[0.5, 0.5]]),
        ),
    ),
    "kl_divergence": between(
        by_term(kl), by_term(kl_by_atanh),
        special=specials(with_slopes(lambda p, t: -mpf(t) / mpf(p) if p else mpf(0)), falls=True),
    ),
    "jensen_shannon_divergence": between(
        by_term(jensen_shannon), by_term(jensen_shannon_by_entropy), at("beta", 0.1, 0.75, 0.999),
        specials(with_slopes(js_slope(0.5)))
        + all_orders("beta", (0.999,), lambda b: with_slopes(js_slope(b))),
    ),
    "alpha_divergence": between(
        by_term(alpha), by_term(alpha_by_integral),
        at("alpha", 1.0, 0.0, 2.0, -1.0, 1.0000001, 1e-9),
        specials(alpha_zeros(0.5))
        + all_orders("alpha", (1.0, 0.0, -1.0, 1.0000001), alpha_zeros),
    ),
    "beta_divergence": Mean(
        within_order(beta), within_order(beta_by_integral), spectra,
        at("beta", 1.0, 0.0, 2.0, -1.0, 3.0, 1e-9),
        (*specials(beta_zeros(0.5)), *all_orders("beta", (1.0, 2.0, 1.5, 1e-9), beta_zeros), *SPECTRA),
    ),
    "itakura_saito": Mean(
        within(by_term(itakura_saito), lambda x: x > 0),
        within(by_term(lambda p, t: curved(t / p, mpf(0))), lambda x: x > 0),
        spectra, special=(*specials(), *SPECTRA),
    ),
    "renyi_divergence": between(
        renyi, renyi_by_minimum, at("alpha", 1.0, 2.0, 0.25, 5.0, 1.0000001),
        specials(renyi_zeros(0.5), falls=True)
        + all_orders("alpha", (1.0, 2.0), renyi_zeros, falls=True)
        + (
            Special("no_order", [[0.5, 0.25, 0.25]], [[0.75, 0.0, 0.25]], {"alpha": 0.0}, [[-4 / mpf(3), 0, -4 / mpf(3)]]),
            Special("high_order", [[1e-10, 0.5, 0.5]], [[0.5, 0.25, 0.25]], {"alpha": 12.0}, smooth=True),
            Special("high_order", [[1e-10, 0.1, 0.9]], [[1e-12, 0.9, 0.1]], {"alpha": 50.0}, smooth=True),
        ),
    ),
    "hellinger": between(
        hellinger, hellinger_by_overlap,
        special=specials(HELLINGER_ZEROS),
    ),
    "bhattacharyya": between(
        bhattacharyya, bhattacharyya_by_roots,
        special=(
            *specials(BHATTACHARYYA_ZEROS, falls=True),
            Special("nearly_apart", [[1.0, 1e-12]], [[1e-14, 1.0]], smooth=True),
        ),
    ),
    "total_variation": between(
        total_variation, total_variation_by_ends,
        special=specials(with_slopes(lambda p, t: mpf((p > t) - (p < t)) / 2)),
    ),
    "chi_squared": between(
        by_term(chi_squared), chi_squared_expanded,
        special=specials(with_slopes(lambda p, t: 1 - (mpf(t) / mpf(p)) ** 2 if p else mpf(0))),
    ),
    "wasserstein_1d": between(
        wasserstein, wasserstein_by_transport, ({"positions": (-1.5, 0.25, 4.0)},),
        (*(case for case in specials() if case.name != "mixed"), TIED),
    ),
}  # fmt: skip
