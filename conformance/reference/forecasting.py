"""Errors on the scale of the training series at high precision, from the literature.

A sample is a series: the forecast, and the tuple of what came of it and of the series to train with.
"""

from __future__ import annotations

import random
from typing import Any

from mpmath import mp, mpf

from .definition import Mean, Special
from .drawing import normal

Series = list[mpf]
Future = tuple[Series, Series]


def naive(z: Series, season: int) -> Series:
    """The errors of the seasonal naive forecast, one step ahead, within the training series."""
    return [z[t] - z[t - season] for t in range(season, len(z))]


def mase(f: Series, y: Future, *, season: int = 1) -> mpf:
    """Hyndman and Koehler (2006), section 3: the mean of |q_t|, with q_t = e_t / scale."""
    future, training = y
    steps = naive(training, season)
    scale = mp.fsum(abs(e) for e in steps) / len(steps)
    if not scale:
        return mp.nan
    return mp.fsum(abs((b - a) / scale) for a, b in zip(f, future, strict=True)) / len(f)


def mase_extremes(f: Series, y: Future, *, season: int = 1) -> mpf:
    """A ratio of sums of ranges: the distance of two numbers is the larger less the smaller."""
    future, training = y
    ranges = [max(a, b) - min(a, b) for a, b in zip(f, future, strict=True)]
    pairs = zip(training, training[season:], strict=False)
    scale = [max(a, b) - min(a, b) for a, b in pairs]
    if not any(scale):
        return mp.nan
    return mp.fsum(ranges) / mp.fsum(scale) * len(scale) / len(ranges)


def rmsse(f: Series, y: Future, *, season: int = 1) -> mpf:
    """Makridakis et al. (2022), equation 1, for any season."""
    future, training = y
    steps = naive(training, season)
    scale = mp.fsum(e**2 for e in steps) / len(steps)
    if not scale:
        return mp.nan
    error = mp.fsum((b - a) ** 2 for a, b in zip(f, future, strict=True)) / len(f)
    return mp.sqrt(error / scale)


def rmsse_norms(f: Series, y: Future, *, season: int = 1) -> mpf:
    """A ratio of lengths, the naive errors summed up as a quadratic form of the series."""
    future, training = y
    n = len(training) - season
    before, after = training[:n], training[season:]
    with mp.workdps(4 * mp.dps):  # what cancels
        squares = mp.fdot(before, before) + mp.fdot(after, after)
        naive_length = mp.sqrt(squares - 2 * mp.fdot(before, after))
    if not naive_length:
        return mp.nan
    length = mp.norm([a - b for a, b in zip(f, future, strict=True)])
    return length / naive_length * mp.sqrt(mpf(n) / len(f))


def series(rng: random.Random, _: dict[str, Any]) -> tuple[list[float], Any]:
    future = [normal(rng) for _ in range(3)]
    return [y + normal(rng) for y in future], (future, [normal(rng) for _ in range(7)])


def special(
    name: str, errors: list[float], training: list[float], size: float = 1.0, **named: Any
) -> Special:
    """A forecast of zeros, all numbers times a size."""
    future = [0.0 for _ in errors]
    given = ([size * e for e in errors],), ((future, [size * z for z in training]),)
    return Special(name, *given, **named)


TRAINING = [1.0, 2.0, 4.0, 5.0]
DOUBLE = ("float64",)
SIZES = (
    special("small", [1.0, 3.0, -2.0], TRAINING, 1e-8, smooth=True),
    special("tiny", [1.0, 3.0, -2.0], TRAINING, 1e-30, smooth=True),
    special("huge", [1.0, 3.0, -2.0], TRAINING, 1e30, smooth=True),
    special("smallest", [1.0, 3.0, -2.0], TRAINING, 1e-300, smooth=True, dtypes=DOUBLE),
    special("largest", [1.0, 3.0, -2.0], TRAINING, 1e300, smooth=True, dtypes=DOUBLE),
    special("far_off", [1e12, 3e12, -2e12], TRAINING, smooth=True),
    special("constant", [1.0, 3.0, -2.0], [2.0, 2.0, 2.0]),
    special("constant", [0.0, 0.0, 0.0], [2.0, 2.0, 2.0]),
    special("repeats", [1.0, 3.0, -2.0], [1.0, 2.0, 1.0, 2.0], parameters={"season": 2}),
)

DEFINITIONS = {
    "mase": Mean(
        mase,
        mase_extremes,
        series,
        ({"season": 2}, {"season": 6}),
        (
            *SIZES,
            special(
                "kink", [0.0, 1.0, -2.0], TRAINING, first=[[0.0, 0.25, -0.25]], second=[[0.0] * 3]
            ),
            special("exact", [0.0, 0.0, 0.0], TRAINING, first=[[0.0] * 3], second=[[0.0] * 3]),
        ),
    ),
    "rmsse": Mean(
        rmsse,
        rmsse_norms,
        series,
        ({"season": 2}, {"season": 6}),
        (
            *SIZES,
            special("one_right", [0.0, 1.0, -2.0], TRAINING, smooth=True),
            special("exact", [0.0, 0.0, 0.0], TRAINING, first=[[0.0] * 3]),
        ),
    ),
}
