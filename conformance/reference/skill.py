"""Skill over the best constant, efficiencies, weighted averages of errors: from the literature."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from mpmath import mp, mpf

from .definition import Samples, Whole, of_samples
from .drawing import normal, uniform
from .forecasting import mase, mase_extremes

Numbers = list[mpf]


def explained(loss: Callable[..., mpf], best: Callable[..., mpf]) -> Callable[..., mpf]:
    """1 - the loss over that of the best constant, which a function finds."""

    def value(p: Any, y: Any, w: Numbers, **named: Any) -> mpf:
        below = best(y, w, **named)
        above = mp.fsum(v * loss(a, b, **named) for a, b, v in zip(p, y, w, strict=True))
        return 1 - above / below if below else mp.nan

    return value


# --- the best constants -----------------------------------------------------------------------------------


def pinball(p: mpf, y: mpf, *, quantile: float = 0.5) -> mpf:
    q = mpf(quantile)
    return q * (y - p) if y > p else (1 - q) * (p - y)


def pinball_at_quantile(y: Numbers, w: Numbers, *, quantile: float = 0.5) -> mpf:
    """The loss of the first number that the share of the weights reaches."""
    reached = mpf(0)
    for value, weight in sorted(zip(y, w, strict=True)):
        reached += weight
        if reached >= mpf(quantile) * mp.fsum(w):
            pairs = zip(y, w, strict=True)
            return mp.fsum(v * pinball(value, b, quantile=quantile) for b, v in pairs)
    raise AssertionError


def pinball_least(y: Numbers, w: Numbers, *, quantile: float = 0.5) -> mpf:
    """The least loss: it is found at one of the numbers."""
    pairs = list(zip(y, w, strict=True))
    return min(mp.fsum(v * pinball(c, b, quantile=quantile) for b, v in pairs) for c in y)


def deviance(p: mpf, y: mpf, *, power: float = 0.0) -> mpf:
    """Jørgensen (1987), the unit deviance."""
    m = mpf(power)
    if m == 1:
        return 2 * ((y * mp.log(y / p) if y else 0) - y + p)
    if m == 2:
        return 2 * (mp.log(p / y) + y / p - 1)
    parts = (
        y ** (2 - m) / ((1 - m) * (2 - m)), -y * p ** (1 - m) / (1 - m), p ** (2 - m) / (2 - m)
    )  # fmt: skip
    return 2 * mp.fsum(parts)


def mean(y: Numbers, w: Numbers) -> mpf:
    return mp.fdot(y, w) / mp.fsum(w)


def deviance_of_mean(y: Numbers, w: Numbers, *, power: float = 0.0) -> mpf:
    centre = mean(y, w)
    return mp.fsum(v * deviance(centre, b, power=power) for b, v in zip(y, w, strict=True))


def deviance_bregman(y: Numbers, w: Numbers, *, power: float = 0.0) -> mpf:
    """The gap in Jensen's inequality, of the function that the deviance is the divergence of."""
    m = mpf(power)

    def convex(x: mpf) -> mpf:
        if m == 1:
            return 2 * (x * mp.log(x) if x else mpf(0))
        if m == 2:
            return -2 * mp.log(x)
        return 2 * x ** (2 - m) / ((1 - m) * (2 - m))

    n = mp.fsum(w)
    return mp.fsum(v * convex(b) for b, v in zip(y, w, strict=True)) - n * convex(mean(y, w))


def log_loss(p: Numbers, y: int) -> mpf:
    return -mp.log(p[y])


def shares(y: list[int], w: Numbers) -> list[mpf]:
    n = mp.fsum(w)
    return [mp.fsum(v for b, v in zip(y, w, strict=True) if b == c) / n for c in range(3)]


def entropy(y: list[int], w: Numbers) -> mpf:
    return -mp.fsum(w) * mp.fsum(s * mp.log(s) for s in shares(y, w) if s)


def entropy_samples(y: list[int], w: Numbers) -> mpf:
    found = shares(y, w)
    return mp.fsum(v * log_loss(found, b) for b, v in zip(y, w, strict=True))


def brier(p: Numbers, y: int) -> mpf:
    return mp.fsum((a - (c == y)) ** 2 for c, a in enumerate(p))


def gini(y: list[int], w: Numbers) -> mpf:
    return mp.fsum(w) * (1 - mp.fsum(s**2 for s in shares(y, w)))


def gini_samples(y: list[int], w: Numbers) -> mpf:
    found = shares(y, w)
    return mp.fsum(v * brier(found, b) for b, v in zip(y, w, strict=True))


# --- Kling and Gupta --------------------------------------------------------------------------------------


def efficiency(r: mpf, a: mpf, bias: mpf) -> mpf:
    return 1 - mp.sqrt((r - 1) ** 2 + (a - 1) ** 2 + (bias - 1) ** 2)


def kling_gupta(p: Numbers, y: Numbers, w: Numbers, *, version: int = 2009) -> mpf:
    """Gupta et al. (2009), equations 9 and 10; Kling et al. (2012), equation 2."""
    mp_, my = mean(p, w), mean(y, w)
    pp, py, yy = (
        mean([(a - m) * (b - n) for a, b in zip(one, two, strict=True)], w)
        for one, m, two, n in ((p, mp_, p, mp_), (p, mp_, y, my), (y, my, y, my))
    )
    spread = mp.sqrt(pp / yy)
    ratio = spread if version == 2009 else spread / (mp_ / my)
    return efficiency(py / mp.sqrt(pp * yy), ratio, mp_ / my)


def kling_gupta_pairs(p: Numbers, y: Numbers, w: Numbers, *, version: int = 2009) -> mpf:
    """Moments as sums over pairs of samples."""
    samples = list(zip(p, y, w, strict=True))

    def moment(i: int, j: int) -> mpf:
        pairs = itertools.combinations(samples, 2)
        return mp.fsum(s[2] * t[2] * (s[i] - t[i]) * (s[j] - t[j]) for s, t in pairs)

    bias = mp.fdot(p, w) / mp.fdot(y, w)
    squared = moment(0, 0) / moment(1, 1)
    ratio = mp.sqrt(squared if version == 2009 else squared / bias**2)
    return efficiency(moment(0, 1) / mp.sqrt(moment(0, 0) * moment(1, 1)), ratio, bias)


# --- beside a reference -----------------------------------------------------------------------------------

ERRORS: dict[str, Callable[[mpf], mpf]] = {
    "mean_squared_error": lambda e: e * e, "mean_absolute_error": abs,
    "root_mean_squared_error": lambda e: e * e,
}  # fmt: skip


def both_errors(p: Numbers, y: Any, w: Numbers, metric: str) -> tuple[mpf, mpf]:
    """The error of the forecasts, and that of the reference."""
    observed, reference = zip(*y, strict=True)
    found = []
    for forecast in (p, reference):
        terms = (ERRORS[metric](a - b) for a, b in zip(forecast, observed, strict=True))
        mean = mp.fdot(w, terms) / mp.fsum(w)
        found.append(mp.sqrt(mean) if metric.startswith("root") else mean)
    return found[0], found[1]


def skill(p: Numbers, y: Any, w: Numbers, *, metric: str) -> mpf:
    """Murphy (1988), equation 4."""
    error, reference = both_errors(p, y, w, metric)
    return 1 - error / reference


def skill_gained(p: Numbers, y: Any, w: Numbers, *, metric: str) -> mpf:
    """What of the reference's error is gone."""
    error, reference = both_errors(p, y, w, metric)
    return (reference - error) / reference


# --- M4 ---------------------------------------------------------------------------------------------------


def smape(f: Numbers, y: Numbers) -> mpf:
    return mp.fsum(2 * abs(a - b) / (abs(a) + abs(b)) for a, b in zip(f, y, strict=True)) / len(f)


def overall(scaled: Callable[..., mpf], ratio_first: bool) -> Callable[..., mpf]:
    """Makridakis et al. (2020): both errors over those of the reference."""

    def value(p: list[Numbers], y: Any, w: Numbers, *, season: int = 1) -> mpf:
        future, training, reference = zip(*y, strict=True)

        def total(of: Callable[..., mpf], *arrays: Any) -> mpf:
            found = (v * of(*series) for v, *series in zip(w, *arrays, strict=True))
            return mp.fsum(found) / (1 if ratio_first else mp.fsum(w))

        def one(f: Numbers, b: Numbers, z: Numbers) -> mpf:
            return scaled(f, (b, z), season=season)

        first = total(smape, p, future) / total(smape, reference, future)
        return (
            first + total(one, p, future, training) / total(one, reference, future, training)
        ) / 2

    return value


# --- where to draw ----------------------------------------------------------------------------------------


def forecasts(rng: random.Random, n: int, _: dict[str, Any]) -> Samples:
    y = [2 * normal(rng) for _ in range(n)]
    return [b + 1.5 * normal(rng) for b in y], y


def beside(rng: random.Random, n: int, _: dict[str, Any]) -> Samples:
    y = [2 * normal(rng) for _ in range(n)]
    return [b + normal(rng) for b in y], [(b, b + 3 * normal(rng)) for b in y]


def positive(rng: random.Random, n: int, parameters: dict[str, Any]) -> Samples:
    if not parameters.get("power"):
        return forecasts(rng, n, parameters)
    return [[uniform(rng, 0.3, 4) for _ in range(n)] for _ in range(2)]


def flows(rng: random.Random, n: int, _: dict[str, Any]) -> Samples:
    y = [uniform(rng, 1, 5) for _ in range(n)]
    return [b + normal(rng) for b in y], y


def rows(rng: random.Random, n: int, _: dict[str, Any]) -> Samples:
    parts = [[0.05 + rng.random() for _ in range(3)] for _ in range(n)]
    p = [[x / sum(row) for x in row] for row in parts]
    return p, [rng.choices(range(3), row)[0] for row in p]


def series(rng: random.Random, n: int, _: dict[str, Any]) -> Samples:
    def numbers(size: int) -> list[float]:
        return [2 * normal(rng) for _ in range(size)]

    return [numbers(3) for _ in range(n)], [(numbers(3), numbers(6), numbers(3)) for _ in range(n)]


def apart(p: Numbers, y: Numbers, **_: Any) -> bool:
    """Whether no forecast is near its kink, and no two targets are one."""
    ordered = sorted(y)
    near = [b - a for a, b in itertools.pairwise(ordered)]
    return min(*near, *(abs(a - b) for a, b in zip(p, y, strict=True))) > mpf(1) / 500


def apart_beside(p: Numbers, y: Any, **_: Any) -> bool:
    """Whether no forecast is near its kink."""
    return min(abs(a - b) for a, (b, _) in zip(p, y, strict=True)) > mpf(1) / 100


def sharp(p: list[Numbers], y: Any, **_: Any) -> bool:
    pairs = [(a, b) for f, t in zip(p, y, strict=True) for a, b in zip(f, t[0], strict=True)]
    return min(min(abs(a - b), abs(a), abs(b)) for a, b in pairs) > mpf(1) / 100


PINBALL = explained(pinball, pinball_at_quantile), explained(pinball, pinball_least)
TWEEDIE = explained(deviance, deviance_of_mean), explained(deviance, deviance_bregman)
KEPT = {"schedule": of_samples(9, 6), "limit": 12.0, "least": 0.5}

DEFINITIONS = {
    "d2_absolute_error_score": Whole(*PINBALL, forecasts, fits=apart, **KEPT),
    "d2_pinball_score": Whole(
        *PINBALL, forecasts, variants=({"quantile": 0.9}, {"quantile": 0.125}), fits=apart, **KEPT
    ),
    "d2_tweedie_score": Whole(
        *TWEEDIE, positive, variants=tuple({"power": x} for x in (1.0, 1.5, 2.0, 3.0)), **KEPT
    ),
    "d2_log_loss_score": Whole(
        explained(log_loss, entropy), explained(log_loss, entropy_samples), rows, labels=True, **KEPT
    ),
    "d2_brier_score": Whole(
        explained(brier, gini), explained(brier, gini_samples), rows, labels=True, **KEPT
    ),
    "nash_sutcliffe": Whole(*TWEEDIE, forecasts, **KEPT),
    "kling_gupta": Whole(
        kling_gupta, kling_gupta_pairs, flows, variants=({"version": 2012},), **KEPT
    ),
    "SkillScore": Whole(
        skill, skill_gained, beside,
        tuple({"metric": name} for name in ERRORS if name != "mean_squared_error"),
        required={"metric": "mean_squared_error"}, fits=apart_beside, **KEPT,
    ),
    "overall_weighted_average": Whole(
        overall(mase, False), overall(mase_extremes, True), series, variants=({"season": 2},),
        fits=sharp, schedule=of_samples(4, 3), limit=12.0,
    ),
}  # fmt: skip
