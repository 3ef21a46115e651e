"""The cases of regression and of binary classification: how they are drawn, those by hand.

Both families list their cases by kind, not metric by metric.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from mpmath import mpf

from .definition import FIRST, Draws, Mean, Special, Whole, whole_weight
from .drawing import normal, uniform
from .rounding import FLOATS, WIDE

Listed = Iterator[tuple[str, Special]]


def up_to_3(rng: random.Random) -> float:
    """A weight from 0.1 to 3."""
    return uniform(rng, 0.1, 3)


SCHEDULE = (
    Draws("typical", 12, FLOATS[:3]),
    Draws("typical", 16, FLOATS[3:]),
    Draws("typical", 8, FLOATS, FIRST),
    Draws("typical", 8, WIDE, slice(1, None)),
    *(
        draws
        for dtype in WIDE
        for draws in (
            Draws("weighted", 12, (dtype,), weigh=up_to_3, order=1),
            Draws("integer_weights", 8, (dtype,), weigh=whole_weight, order=1),
            Draws("weighted", 8, (dtype,), FIRST, up_to_3, order=1),
        )
    ),
    Draws("weighted", 8, ("float16",), weigh=up_to_3, order=2),
)

# --- by hand --------------------------------------------------------------------------------------


def case(
    metric: str,
    name: str,
    dtype: str,
    p: Any,
    y: Any,
    weights: list[float] | None = None,
    condition: float = 1.0,
    first: Any = None,
    smooth: bool = True,
    **parameters: Any,
) -> tuple[str, Special]:
    """A case of one dtype, whose derivatives are found by differences if none are stated."""
    smooth = smooth and first is None
    return metric, Special(
        name, p, y, parameters, first, None, smooth, weights, (dtype,), condition
    )


def with_cases(
    declared: dict[str, Mean | Whole], listed: Iterable[tuple[str, Special]]
) -> dict[str, Mean | Whole]:
    """The definitions with the cases of this family, each in its place in the file."""
    found: dict[str, tuple[Special, ...]] = defaultdict(tuple)
    for place, (metric, one) in enumerate(listed, start=3):  # the random ones are before
        found[metric] += (replace(one, order=place),)
    return {
        name: replace(entry, special=(*entry.special, *found[name]), schedule=SCHEDULE)
        for name, entry in declared.items()
    }


ROWS = ("cosine_similarity", "cosine_distance")
MOMENTS = ("r2_score", "explained_variance_score", "pearson_correlation", "concordance_correlation")


def single(values: dict[str, tuple[Any, Any]]) -> Listed:
    """One sample: the mean is the term, and spreads are 0."""
    for metric, dtype in itertools.product(values, WIDE):
        p, y = values[metric]
        yield case(metric, "single", dtype, [p], [y])
        yield case(metric, "single", dtype, [p], [y], [3.0])


THIRD = mpf(1) / 3  # the gradient of each of three samples that attain the largest error
STEPS = [0.0, 0.5, -0.5, 0.25, -0.25, 1.0, -1.0, 2.0]
KINKS: dict[str, list[dict[str, Any]]] = {
    "mean_squared_error": [{}],
    "half_squared_error": [{}],
    "mean_absolute_error": [{}],
    "mean_bias_error": [{}],
    "root_mean_squared_error": [{}],
    "huber": [{}, {"delta": 0.5}, {"delta": 0.25}],
    "smooth_l1": [{}, {"beta": 0.5}, {"beta": 0.0}],
    "pseudo_huber": [{}],
    "log_cosh": [{}],
    "pinball": [{}, {"quantile": 0.75}, {"quantile": 0.1}],
    "expectile": [{}, {"level": 0.75}],
    "mean_absolute_percentage_error": [{}, {"epsilon": 1.0}],
    "symmetric_mean_absolute_percentage_error": [{}],
    "weighted_absolute_percentage_error": [{}],
    "mean_squared_log_error": [{}],
    "max_error": [{}],
    "median_absolute_error": [{}],
}


def kinks() -> Listed:
    """Residuals exactly at every kink, on both sides of the target 1 and of the target 0."""
    for metric, dtype in itertools.product(KINKS, FLOATS):
        tied = {"smooth": metric != "median_absolute_error"}
        shared = [0.0] * 5 + [THIRD, -THIRD, THIRD] if metric == "max_error" else None
        for params in KINKS[metric]:
            above = [1 + s for s in STEPS if s > -1]
            yield case(metric, "kinks", dtype, above, [1.0] * 7, **tied, **params)
            outside = metric == "mean_absolute_percentage_error" and not params  # a target of 0
            if metric != "mean_squared_log_error" and not outside:
                p, y = [*STEPS[:7], 0.0], [0.0] * 7 + [-1.0]
                yield case(metric, "kinks_at_zero", dtype, p, y, first=shared, **params)
    for dtype in FLOATS:
        yield from kinks_elsewhere(dtype)


def kinks_elsewhere(dtype: str) -> Listed:
    """Zero residuals throughout, ties, zero vectors, zero counts and constant samples."""
    same = [1.0, -2.0, 0.5]
    positive = [1.0, 2.0, 0.5]
    for metric in ("root_mean_squared_error", "max_error", *MOMENTS[:2]):
        yield case(metric, "zero_residuals", dtype, same, same)
    yield case("root_mean_squared_log_error", "zero_residuals", dtype, positive, positive)
    median = "median_absolute_error"
    yield case(median, "zero_median", dtype, [1.0, -2.0, 4.0], [1.0, 0.0, 0.0])
    yield case(median, "lower_and_upper", dtype, [1.0, -2.0, 4.0, 8.0], [0.0] * 4)
    for weights in ([1.0, 2.0, 3.0, 2.0], [1.0, 2.0, 1.0, 2.0]):
        yield case(median, "lower_and_upper", dtype, [1.0, 2.0, -3.0, 4.0], [0.0] * 4, weights)
    p, y, first = [3.0, -3.0, 1.0, 0.0], [0.0, 0.0, 4.0, 1.0], [THIRD, -THIRD, -THIRD, 0.0]
    yield case("max_error", "ties", dtype, p, y, first=first)
    yield case("multi_quantile", "kinks", dtype, [[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]], [1.0, 1.0])
    yield from zero_vectors(dtype)
    for metric in MOMENTS:
        yield case(metric, "constant_target", dtype, positive, [2.0, 2.0, 2.0])
        yield case(metric, "constant_prediction", dtype, [2.0, 2.0, 2.0], [1.0, 2.0, 4.0])
    rate = {"log_input": False}
    yield case("poisson_nll", "zero_counts", dtype, [0.0, 0.5, 2.0], [0.0, 0.0, 0.0], **rate)
    yield case("poisson_nll", "zero_counts", dtype, [-1.0, 0.0, 2.0], [0.0, 0.0, 0.0], full=True)
    yield case("poisson_deviance", "zero_counts", dtype, [0.25, 0.5, 2.0], [0.0, 0.0, 2.0])
    yield case("gamma_deviance", "zero_residuals", dtype, positive, positive)
    tweedie = "tweedie_deviance"
    for power in (-1.0, 1.0, 1.5):
        yield case(tweedie, "zero_counts", dtype, [0.25, 0.5, 4.0], [0.0, 0.0, 4.0], power=power)
    for power in (1.2, 1.5, 1.9, 3.0):
        yield case(tweedie, "zero_residuals", dtype, positive, positive, power=power)


def zero_vectors(dtype: str) -> Listed:
    """Rows of which one vector is 0 have no slope; of the others it is b / 25 - cos a / 25."""
    a = [3.0, 4.0]
    rows = [[0.0, 0.0], a, [0.0, 0.0], a, a]
    targets = [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [4.0, 3.0], [-4.0, 3.0]]
    steep = [
        [(mpf(j) - cos * mpf(i)) / 125 for i, j in zip(a, b, strict=True)]
        for b, cos in zip(targets[3:], (mpf(24) / 25, 0), strict=True)
    ]
    for metric, turn in zip(ROWS, (1, -1), strict=True):
        first = [[0.0, 0.0]] * 3 + [[turn * x for x in row] for row in steep]
        yield case(metric, "zero_vectors", dtype, rows, targets, first=first)


def small() -> Listed:
    """Tiny residuals, down to where their squares underflow."""
    tiny = [1e-30, -1e-20, 1e-10, 1e-8, -1e-5, 1e-3]
    near = ("log_cosh", "pseudo_huber", "huber", "smooth_l1", "mean_absolute_error", "pinball")
    for metric, dtype in itertools.product(near, FLOATS[1:]):
        yield from (case(metric, "small", dtype, [t], [0.0]) for t in tiny)
        yield case(metric, "small", dtype, tiny, [0.0] * 6)
    for dtype in FLOATS:
        yield case("huber", "small", dtype, [1e-4, -1e-6], [0.0, 0.0])
    for dtype, unit in (("bfloat16", 1e-30), ("float32", 1e-30), ("float64", 1e-200)):
        shape = [3.0, -4.0, 0.5, 7.0]
        scaled, halves = [unit * s for s in shape], [unit, 2 * unit, -unit, 3 * unit]
        for metric in ("root_mean_squared_error", "mean_absolute_error", "max_error"):
            yield case(metric, "small", dtype, scaled, [0.0] * 4)
        for kind in ("weighted", "symmetric_mean", "mean"):
            yield case(f"{kind}_absolute_percentage_error", "small", dtype, scaled, halves)
        for metric in ROWS:
            yield case(metric, "small", dtype, [scaled], [halves])
    for metric, dtype in itertools.product(LOG_ERRORS, WIDE):
        yield case(metric, "small", dtype, [3e-10, -1e-8, 2e-6, 1e-3], [1e-10, 1e-8, -1e-6, 3e-3])
    for metric, dtype in itertools.product((*DEVIANCES, "tweedie_deviance"), WIDE):
        beside_1 = [1.0 + 2.0**-k for k in (6, 10, 14, 18, 22)]
        yield case(metric, "small", dtype, beside_1, [1.0] * 5)
        yield case(metric, "small", dtype, [1e-10, 2e-8, 3e-6], [3e-10, 1e-7, 2.1e-6])


LOG_ERRORS = ("mean_squared_log_error", "root_mean_squared_log_error")
DEVIANCES = ("poisson_deviance", "gamma_deviance")
SQUARES = ("mean_squared_error", "half_squared_error", "root_mean_squared_error", "expectile")
OVERFLOW = {"bfloat16": 1.5e19, "float32": 1.5e19, "float64": 1e154}
HIGHEST = {"bfloat16": 3e38, "float32": 3e38, "float64": 1.5e308}
HUGE = {"bfloat16": 1e20, "float32": 1e20, "float64": 1e180}


def large() -> Listed:
    """Where a square or a sum overflows on the way to a finite answer."""
    for metric in (*SQUARES, "huber", "pseudo_huber", "log_cosh", "mean_absolute_error"):
        yield case(metric, "large", "float16", [300.0, *[0.25] * 7], [0.0] * 8)
        yield case(metric, "large", "float16", [60000.0, -60000.0], [-60000.0, 60000.0])
    for dtype in FLOATS[1:]:
        yield from large_residuals(dtype)
        yield from large_vectors(dtype)
    for dtype in WIDE:
        yield from large_in_domain(dtype)
    yield case("poisson_nll", "large", "float16", [11.0, 12.0, -16.0], [3.0, 0.0, 2.0])


def large_residuals(dtype: str) -> Listed:
    """Sums that overflow though their mean does not; residuals whose squares overflow."""
    shape = [1.0, -0.5, 0.75, 1.0, -1.0, 0.875, 1.0, -1.0]
    root, zeros = "root_mean_squared_error", [0.0] * 8
    for metric in SQUARES:
        yield case(metric, "large", dtype, [OVERFLOW[dtype] * s for s in shape], zeros)
    yield case(root, "large", dtype, [HUGE[dtype] * s for s in shape], zeros)
    if dtype == "float64":
        yield case(root, "large", dtype, [1e200 * s for s in shape], zeros)
    # some squares far out are summed with others: on either side of where the library may change
    for middle in (40, -40) if dtype != "float64" else (400, -400):
        near = [2.0**middle * s for s in (0.5, 1.75, -0.75, 1.25)]
        yield case(root, "large", dtype, near, [0.0] * 4)
    top = [HIGHEST[dtype] * abs(s) for s in shape]
    halves = [t / 2 for t in top]
    linear = ("mean_absolute_error", "mean_bias_error", "huber", "smooth_l1", "pinball", "log_cosh")
    for metric in (*linear, "pseudo_huber"):
        yield case(metric, "large", dtype, top, zeros)
    shared = [mpf(s in (1.0, -1.0)) / 5 for s in shape]
    yield case("max_error", "large", dtype, top, zeros, first=shared)
    falling = [t / (k + 1) for k, t in enumerate(top)]
    yield case("median_absolute_error", "large", dtype, falling, zeros, smooth=False)
    for kind in ("weighted", "mean"):
        yield case(f"{kind}_absolute_percentage_error", "large", dtype, top, halves)
    smape = "symmetric_mean_absolute_percentage_error"
    yield case(smape, "large", dtype, [*top[:2], -top[2] / 2], [halves[0], *halves[1:3]])
    for metric, power in itertools.product(("log_cosh", "pseudo_huber"), (1, 2, 5, 10, 20, 30)):
        yield case(metric, "large", dtype, [10.0**power], [0.0])
        yield case(metric, "large", dtype, [-(10.0**power)], [0.0])


def large_vectors(dtype: str) -> Listed:
    """Cosines and moments whose squares overflow or underflow."""
    a, b = [3.0, -1.0, 2.0, 0.5], [1.0, 0.5, 4.0, -2.0]
    up, down = HUGE[dtype], 1 / HUGE[dtype]
    for metric in ROWS:
        rows = [[up * i for i in a], [up * i for i in a], [down * i for i in a]]
        yield case(metric, "large", dtype, rows, [[up * i for i in b], b, b])
    if dtype == "float64":
        p, y = [[1e150 * i for i in a]], [[1e200 * i for i in b]]
        yield case("cosine_similarity", "large", dtype, p, y)
    p, y = [1.0, 2.5, 2.0, 4.75, 0.5, -1.0], [1.5, 2.0, 3.0, 4.0, -0.5, -2.0]
    for metric, (name, unit) in itertools.product(MOMENTS, (("large", up), ("small", down))):
        yield case(metric, name, dtype, [unit * i for i in p], [unit * i for i in y])


def large_in_domain(dtype: str) -> Listed:
    """Large rates, counts and ratios."""
    for metric in LOG_ERRORS:
        yield case(metric, "large", dtype, [1e30, 1e10, 3.0], [1e20, 1e30, 1e30])
    nll = "poisson_nll"
    yield case(nll, "large", dtype, [80.0, -80.0, 20.0], [5.0, 2.0, 1e6])
    yield case(nll, "large", dtype, [80.0, 5.0, 20.0], [100.0, 1000.0, 1e6], full=True)
    yield case(nll, "large", dtype, [1e20, 1e6, 10.0], [1e10, 3e6, 1e4], log_input=False)
    for metric in DEVIANCES:
        yield case(metric, "large", dtype, [1e20, 1e-3, 1e10], [1e10, 1e5, 1e20])
    p, y = [1e8, 1e-2, 1e4], [1e4, 1e3, 1e8]
    for power in (1.2, 1.5, 1.9, 3.0):
        yield case("tweedie_deviance", "large", dtype, p, y, power=power)


def offset() -> Listed:
    """Moments far from 0, nearly parallel vectors, cancelling means."""
    for dtype, size in (("float32", 1e4), ("float32", 1e6), ("float64", 1e6), ("float64", 1e9)):
        for metric in MOMENTS:
            rng = random.Random(f"offset {dtype} {size}")
            y = [normal(rng) for _ in range(16)]
            p = [i + 0.25 * normal(rng) for i in y]
            p, y = [size + i for i in p], [size + i for i in y]
            yield case(metric, "offset", dtype, p, y)
            yield case(metric, "offset", dtype, p, y, [1.0 + k % 3 for k in range(16)])
    for dtype in WIDE:
        for metric in ROWS:
            rows, near = [[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0 + 2.0**-10]]
            angle = 2.0**-10 * math.sqrt(5) / 14  # |a x b| / (|a| |b|): the directions differ by it
            yield case(metric, "offset", dtype, rows, near, condition=1 / angle)
        near = [1.0, -1.0, 0.5, -0.5 + 2.0**-16]
        yield case("mean_bias_error", "offset", dtype, near, [0.0] * 4)
        p, y = [1e6 + 1.5, 1e6 - 0.25, 1e6 + 3.0], [1e6, 1e6 + 0.5, 1e6 - 1.0]
        for metric in ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh", "pinball"):
            yield case(metric, "offset", dtype, p, y)


def integers(metrics: Iterable[str]) -> Listed:
    """Differences that wrap in the integer dtype, and whole numbers in every domain."""
    p, y = [0, 255, 3, 100, 7, 200], [255, 1, 4, 130, 2, 100]
    small_p, small_y = [1, 2, 3, 5, 4, 1], [3, 1, 2, 4, 6, 2]
    positive = ("poisson_nll", *DEVIANCES, "tweedie_deviance")
    for metric in metrics:
        one, two = (small_p, small_y) if metric in positive else (p, y)
        if metric in ROWS or metric == "multi_quantile":
            one = [one[:3], one[3:]]
            two = two[1:3] if metric == "multi_quantile" else [two[:3], two[3:]]
        for dtype in ("uint8", "int32", "int64"):
            yield case(metric, "integers", dtype, one, two)
    far_p, far_y = [2_000_000_000, -2_000_000_000, 5, 0], [-2_000_000_000, 2_000_000_000, -7, 3]
    some = ("mean_squared_error", "mean_absolute_error", "root_mean_squared_error", "huber")
    others = ("max_error", "pinball", "log_cosh", "weighted_absolute_percentage_error")
    for metric in (*some, *others):
        yield case(metric, "integers_far", "int32", far_p, far_y)
    big_p, big_y = [2**53 - 1, 2**52 + 1], [2**53 - 3, 2**52 - 2]
    for metric in ("mean_squared_error", "mean_absolute_error", "huber"):
        yield case(metric, "integers_exact", "int64", big_p, big_y)
        yield case(metric, "integers", "uint16", [0, 65535], [65535, 1])
        yield case(metric, "integers", "int8", [-128, 127, 5], [127, -128, 9])


def of_regression(values: dict[str, tuple[Any, Any]]) -> Listed:
    """All of them, in the order of the file; the values are those of one sample of each metric."""
    yield from single(values)
    yield from itertools.chain(kinks(), small(), large(), offset(), integers(values))
