"""The inputs of the reference, as data: exact numbers of a stated dtype.

Random cases are drawn with `random.Random.random`, whose sequence Python guarantees, and redrawn
until every term, derivative and sum is well conditioned: a failure is the implementation's.
"""

from __future__ import annotations

import itertools
import math
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import definitions
import numpy as np
from mpmath import mpf

FLOATS = ("float16", "bfloat16", "float32", "float64")
WIDE = ("float32", "float64")


@dataclass(frozen=True)
class Case:
    """One call of one metric.

    The ``condition`` is the factor by which the maths itself may magnify rounding, where any way of
    computing the metric must lose digits; the bounds of the suite are multiplied by it.
    """

    metric: str
    name: str
    dtype: str
    predictions: list[Any]
    targets: list[Any]
    weights: list[Any] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    condition: float = 1.0


def rounded(x: Any, dtype: str) -> Any:
    """The nested list rounded to nearest even in the dtype (integers are left alone)."""
    if isinstance(x, (list, tuple)):
        return [rounded(i, dtype) for i in x]
    if dtype not in FLOATS:
        return x
    return to_bfloat16(x) if dtype == "bfloat16" else float(np.dtype(dtype).type(x))


def to_bfloat16(x: float) -> float:
    """The upper half of the float32 bits, after adding half of what is cut off (ties to even)."""
    (bits,) = struct.unpack("<I", struct.pack("<f", x))
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def case(
    metric: str,
    name: str,
    dtype: str,
    p: Any,
    y: Any,
    w: Any = None,
    condition: float = 1.0,
    **params: Any,
) -> Case:
    """A case whose numbers are rounded to its dtype."""
    weights = None if w is None else rounded(w, dtype)
    p, y = rounded(p, dtype), rounded(y, dtype)
    return Case(metric, name, dtype, p, y, weights, params, condition)


# ------------------------------------------------------------------------------------------------
# Random samples in each metric's domain
# ------------------------------------------------------------------------------------------------

Pair = tuple[float, float]


def normal(rng: random.Random) -> float:
    """About N(0, 1), from sums alone, so the same on every platform (Irwin-Hall of twelve)."""
    return sum(rng.random() for _ in range(12)) - 6


def uniform(rng: random.Random, low: float, high: float) -> float:
    """Uniform in [low, high)."""
    return low + (high - low) * rng.random()


def reals(rng: random.Random) -> Pair:
    """Prediction and target anywhere near 0."""
    return 2 * normal(rng), 2 * normal(rng)


def biased(rng: random.Random) -> Pair:
    """Predictions mostly above their targets."""
    y = normal(rng)
    return y + uniform(rng, -0.5, 4), y


def away_from_zero(rng: random.Random) -> Pair:
    """Targets at least 0.5 in magnitude."""
    return 2 * normal(rng), (1 if rng.random() < 0.5 else -1) * uniform(rng, 0.5, 4)


def above_minus_one(rng: random.Random) -> Pair:
    """Both in (-1, infinity)."""
    return uniform(rng, -0.8, 5), uniform(rng, -0.8, 5)


def log_rates(rng: random.Random) -> Pair:
    """The logarithm of a rate, and a count."""
    return uniform(rng, -2, 2), float(int(4 * rng.random()))


def rates(rng: random.Random) -> Pair:
    """A positive rate, and a count."""
    return uniform(rng, 0.3, 6), float(int(6 * rng.random()))


def positives(rng: random.Random) -> Pair:
    """Both positive."""
    return uniform(rng, 0.3, 5), uniform(rng, 0.3, 5)


def positive_prediction(rng: random.Random) -> Pair:
    """A positive prediction of a real target."""
    return uniform(rng, 0.3, 3), 2 * normal(rng)


def logit(rng: random.Random) -> float:
    """A logit, rarely beyond 6."""
    return 2.5 * normal(rng)


def soft_labels(rng: random.Random) -> Pair:
    """A logit and a label between 0 and 1, often one of them."""
    return logit(rng), min(1.0, max(0.0, uniform(rng, -0.5, 1.5)))


def probabilities(rng: random.Random) -> Pair:
    """A probability and a label between 0 and 1, often one of them."""
    return uniform(rng, 0.05, 0.95), min(1.0, max(0.0, uniform(rng, -0.5, 1.5)))


def labels(rng: random.Random) -> Pair:
    """A logit and a label, 0 or 1."""
    return logit(rng), float(rng.random() < 0.5)


def signs(rng: random.Random) -> Pair:
    """A score and a label, -1 or 1."""
    return logit(rng), 1.0 if rng.random() < 0.5 else -1.0


def related(rng: random.Random) -> Pair:
    """A target and its noisy prediction, correlation about 0.9."""
    y = normal(rng)
    return y + 0.5 * normal(rng), y


DOMAIN: dict[str, Callable[[random.Random], Pair]] = {
    "mean_bias_error": biased,
    "mean_absolute_percentage_error": away_from_zero,
    "mean_squared_log_error": above_minus_one,
    "root_mean_squared_log_error": above_minus_one,
    "poisson_nll": log_rates,
    "poisson_deviance": positives,
    "gamma_deviance": positives,
    "tweedie_deviance": positives,
    "r2_score": related,
    "explained_variance_score": related,
    "pearson_correlation": related,
    "concordance_correlation": related,
    "sigmoid_cross_entropy": soft_labels,
    "binary_cross_entropy": probabilities,
    "sigmoid_focal": labels,
    "hinge": signs,
    "squared_hinge": signs,
    "brier_score": probabilities,
}
ROWS = {"cosine_similarity": 4, "cosine_distance": 4}
MOMENTS = ("r2_score", "explained_variance_score", "pearson_correlation", "concordance_correlation")
METRICS = (*definitions.POINTWISE, *definitions.WHOLE)

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "huber": [{"delta": 0.5}, {"delta": 2.0}],
    "smooth_l1": [{"beta": 0.25}, {"beta": 0.0}],
    "pseudo_huber": [{"delta": 0.5}, {"delta": 3.0}],
    "pinball": [{"quantile": 0.25}, {"quantile": 0.9}],
    "multi_quantile": [{"quantiles": [0.25, 0.75]}, {"quantiles": [0.05, 0.25, 0.5, 0.75, 0.95]}],
    "expectile": [{"level": 0.25}, {"level": 0.9}],
    "mean_absolute_percentage_error": [{"epsilon": 2.0}],
    "poisson_nll": [
        {"full": True},
        {"log_input": False},
        {"log_input": False, "full": True},
    ],
    "sigmoid_cross_entropy": [
        {"pos_weight": 3.0},
        {"label_smoothing": 0.1},
        {"pos_weight": 0.3, "label_smoothing": 0.25},
    ],
    "binary_cross_entropy": [{"label_smoothing": 0.1}],
    "sigmoid_focal": [{"alpha": 0.3}, {"gamma": 0.0}, {"gamma": 0.5}, {"gamma": 3.0}],
    "hinge": [{"margin": 0.3}],
    "squared_hinge": [{"margin": 0.3}],
    "tweedie_deviance": [
        {"power": power} for power in (-1.0, 0.0, 1.0, 1.0000001, 1.2, 1.9, 1.9999999, 2.0, 3.0)
    ],
}


def domain(metric: str, params: dict[str, Any]) -> Callable[[random.Random], Pair]:
    """Where the metric is defined, which its parameters may change."""
    if metric == "poisson_nll" and not params.get("log_input", True):
        return rates
    if metric == "tweedie_deviance" and params.get("power", 1.5) <= 0:
        return positive_prediction
    return DOMAIN.get(metric, reals)


def condition(f: Callable[[mpf, mpf], mpf], p: mpf, y: mpf) -> mpf:
    """The relative change of f per relative change of its inputs."""
    step, value = mpf(10) ** -60, f(p, y)
    moved = max(abs(f(p * (1 + step), y) - value), abs(f(p, y * (1 + step)) - value))
    return moved / (step * abs(value)) if value else mpf(0)


def well_conditioned(metric: str, p: float, y: float, params: dict[str, Any], dtype: str) -> bool:
    """Whether a pointwise term and both derivatives lose at most a factor of 6."""
    params = definitions.completed(metric, params, dtype)

    def part(index: int) -> Callable[[mpf, mpf], mpf]:
        return lambda a, b: definitions.POINTWISE[metric](a, b, **params)[index]

    return p != 0 and all(condition(part(index), mpf(p), mpf(y)) < 6 for index in range(3))


def pairs(
    metric: str, rng: random.Random, n: int, params: dict[str, Any], dtype: str
) -> list[Pair]:
    """n pairs from the domain, rounded; for a pointwise loss only well-conditioned ones."""
    draw = domain(metric, params)
    drawn = (tuple(rounded(draw(rng), dtype)) for _ in itertools.count())
    if metric in definitions.POINTWISE:
        drawn = (pair for pair in drawn if well_conditioned(metric, *pair, params, dtype))
    return list(itertools.islice(drawn, n))


def table(rng: random.Random, n: int, columns: int) -> list[list[float]]:
    """n rows of normals."""
    return [[2 * normal(rng) for _ in range(columns)] for _ in range(n)]


def inputs(
    metric: str, rng: random.Random, n: int, params: dict[str, Any], dtype: str
) -> tuple[Any, Any]:
    """Predictions and targets of the metric's shape."""
    if metric in ROWS:
        rows = max(2, n // 4)
        return table(rng, rows, ROWS[metric]), table(rng, rows, ROWS[metric])
    if metric == "multi_quantile":
        rows = max(2, n // 2)
        return table(rng, rows, len(params.get("quantiles", (0, 0, 0)))), [
            2 * normal(rng) for _ in range(rows)
        ]
    p, y = zip(*pairs(metric, rng, n, params, dtype), strict=True)
    return list(p), list(y)


def flat(x: list[Any]) -> Iterator[Any]:
    """The numbers of a nested list."""
    for i in x:
        yield from flat(i) if isinstance(i, list) else (i,)


def balanced(drawn: Case) -> bool:
    """Whether no sum cancels: the mean's terms, nor a gradient made of sums of products."""
    result = definitions.evaluate(
        drawn.metric, drawn.predictions, drawn.targets, drawn.weights, drawn.parameters, drawn.dtype
    )
    weights = drawn.weights or [1] * len(drawn.targets)
    if result.terms is not None:
        size = sum(abs(t) * w for t, w in zip(result.terms, weights, strict=True)) / sum(weights)
        if size > 3 * abs(result.value) and drawn.metric != "cosine_distance":
            return False
    if drawn.metric in MOMENTS or drawn.metric in ROWS:
        sizes = [abs(g) for g in flat(result.gradient)]
        return abs(result.value) > 0.3 and min(sizes) > 0.05 * max(sizes)
    return True


Weigher = Callable[[random.Random], float]


def sample(
    metric: str, name: str, dtype: str, n: int, weigh: Weigher | None = None, **params: Any
) -> Case:
    """A random case: the first balanced one of a sequence fixed by its name."""
    rng = random.Random(f"{metric} {name} {dtype} {n} {sorted(params.items())}")
    while True:
        p, y = inputs(metric, rng, n, params, dtype)
        weights = [weigh(rng) for _ in y] if weigh else None
        drawn = case(metric, name, dtype, p, y, weights, **params)
        if balanced(drawn):
            return drawn


# ------------------------------------------------------------------------------------------------
# The families
# ------------------------------------------------------------------------------------------------


def typical() -> Iterator[Case]:
    """Random samples: every metric in every floating dtype, all parameters in the wide ones."""
    for metric in METRICS:
        for dtype in FLOATS:
            yield sample(metric, "typical", dtype, 16 if dtype == "float64" else 12)
        for params, dtype in itertools.product(VARIANTS.get(metric, []), FLOATS):
            if dtype in WIDE or params == VARIANTS[metric][0]:
                yield sample(metric, "typical", dtype, 8, **params)


def weighted() -> Iterator[Case]:
    """Random weights and small whole ones; the second must equal repetition."""
    for metric, dtype in itertools.product(METRICS, WIDE):
        yield sample(metric, "weighted", dtype, 12, lambda rng: uniform(rng, 0.1, 3))
        yield sample(metric, "integer_weights", dtype, 8, lambda rng: 1.0 + int(4 * rng.random()))
        for params in VARIANTS.get(metric, [])[:1]:
            yield sample(metric, "weighted", dtype, 8, lambda rng: uniform(rng, 0.1, 3), **params)
    for metric in METRICS:
        yield sample(metric, "weighted", "float16", 8, lambda rng: uniform(rng, 0.1, 3))


def single() -> Iterator[Case]:
    """One sample: the mean is the term, and spreads are 0."""
    values = {
        "poisson_nll": (0.5, 3.0),
        "multi_quantile": ([0.25, 1.0, 2.5], 0.5),
        "binary_cross_entropy": (0.75, 0.25),
        "brier_score": (0.75, 0.25),
        "sigmoid_focal": (1.5, 0.0),
        "hinge": (0.25, 1.0),
        "squared_hinge": (0.25, 1.0),
    }
    for metric, dtype in itertools.product(METRICS, WIDE):
        p, y = values.get(metric, (1.5, 0.25))
        if metric in ROWS:
            p, y = [1.5, -0.5, 2.0], [0.25, 1.0, 3.0]
        yield case(metric, "single", dtype, [p], [y])
        yield case(metric, "single", dtype, [p], [y], [3.0])


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


def kinks() -> Iterator[Case]:
    """Residuals exactly at every kink, on both sides of the target 1 and of the target 0."""
    for metric, dtype in itertools.product(KINKS, FLOATS):
        for params in KINKS[metric]:
            yield case(
                metric, "kinks", dtype, [1 + s for s in STEPS if s > -1], [1.0] * 7, **params
            )
            if metric != "mean_squared_log_error":
                targets = [0.0] * 7 + [-1.0]
                yield case(metric, "kinks_at_zero", dtype, [*STEPS[:7], 0.0], targets, **params)
    for dtype in FLOATS:
        yield from kinks_elsewhere(dtype)


def kinks_elsewhere(dtype: str) -> Iterator[Case]:
    """Zero residuals throughout, ties, zero vectors, zero counts and constant samples."""
    same = [1.0, -2.0, 0.5]
    positive = [1.0, 2.0, 0.5]
    for metric in ("root_mean_squared_error", "max_error", "median_absolute_error", *MOMENTS[:2]):
        if metric != "median_absolute_error":
            yield case(metric, "zero_residuals", dtype, same, same)
    yield case("root_mean_squared_log_error", "zero_residuals", dtype, positive, positive)
    yield case("median_absolute_error", "zero_median", dtype, [1.0, -2.0, 4.0], [1.0, 0.0, 0.0])
    yield case("median_absolute_error", "lower_and_upper", dtype, [1.0, -2.0, 4.0, 8.0], [0.0] * 4)
    weights = [1.0, 2.0, 3.0, 2.0]
    yield case(
        "median_absolute_error", "lower_and_upper", dtype, [1.0, 2.0, -3.0, 4.0], [0.0] * 4, weights
    )
    weights = [1.0, 2.0, 1.0, 2.0]
    yield case(
        "median_absolute_error", "lower_and_upper", dtype, [1.0, 2.0, -3.0, 4.0], [0.0] * 4, weights
    )
    yield case("max_error", "ties", dtype, [3.0, -3.0, 1.0, 0.0], [0.0, 0.0, 4.0, 1.0])
    yield case("multi_quantile", "kinks", dtype, [[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]], [1.0, 1.0])
    rows = [[0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [3.0, 4.0], [3.0, 4.0]]
    targets = [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [4.0, 3.0], [-4.0, 3.0]]
    for metric in ROWS:
        yield case(metric, "zero_vectors", dtype, rows, targets)
    for metric in MOMENTS:
        yield case(metric, "constant_target", dtype, positive, [2.0, 2.0, 2.0])
        yield case(metric, "constant_prediction", dtype, [2.0, 2.0, 2.0], [1.0, 2.0, 4.0])
    zero = {"log_input": False}
    yield case("poisson_nll", "zero_counts", dtype, [0.0, 0.5, 2.0], [0.0, 0.0, 0.0], **zero)
    yield case("poisson_nll", "zero_counts", dtype, [-1.0, 0.0, 2.0], [0.0, 0.0, 0.0], full=True)
    yield case("poisson_deviance", "zero_counts", dtype, [0.25, 0.5, 2.0], [0.0, 0.0, 2.0])
    yield case("gamma_deviance", "zero_residuals", dtype, positive, positive)
    for power in (-1.0, 1.0, 1.5):
        yield case(
            "tweedie_deviance", "zero_counts", dtype, [0.25, 0.5, 4.0], [0.0, 0.0, 4.0], power=power
        )
    for power in (1.2, 1.5, 1.9, 3.0):
        yield case("tweedie_deviance", "zero_residuals", dtype, positive, positive, power=power)


def small() -> Iterator[Case]:
    """Tiny residuals, down to where their squares underflow."""
    tiny = [1e-30, -1e-20, 1e-10, 1e-8, -1e-5, 1e-3]
    for metric in (
        "log_cosh",
        "pseudo_huber",
        "huber",
        "smooth_l1",
        "mean_absolute_error",
        "pinball",
    ):
        for dtype in ("bfloat16", *WIDE):
            yield from (case(metric, "small", dtype, [t], [0.0]) for t in tiny)
            yield case(metric, "small", dtype, tiny, [0.0] * 6)
    for dtype in FLOATS:
        yield case("huber", "small", dtype, [1e-4, -1e-6], [0.0, 0.0])
    for dtype, unit in (("bfloat16", 1e-30), ("float32", 1e-30), ("float64", 1e-200)):
        shape = [3.0, -4.0, 0.5, 7.0]
        scaled, halves = [unit * s for s in shape], [unit, 2 * unit, -unit, 3 * unit]
        for metric in ("root_mean_squared_error", "mean_absolute_error", "max_error"):
            yield case(metric, "small", dtype, scaled, [0.0] * 4)
        for metric in (
            "weighted_absolute_percentage_error",
            "symmetric_mean_absolute_percentage_error",
        ):
            yield case(metric, "small", dtype, scaled, halves)
        for metric in ROWS:
            yield case(metric, "small", dtype, [scaled], [halves])
    for metric, dtype in itertools.product(
        ("mean_squared_log_error", "root_mean_squared_log_error"), WIDE
    ):
        yield case(metric, "small", dtype, [3e-10, -1e-8, 2e-6, 1e-3], [1e-10, 1e-8, -1e-6, 3e-3])
    for metric, dtype in itertools.product(
        ("poisson_deviance", "gamma_deviance", "tweedie_deviance"), WIDE
    ):
        near = [1.0 + 2.0**-k for k in (6, 10, 14, 18, 22)]
        yield case(metric, "small", dtype, near, [1.0] * 5)
        yield case(metric, "small", dtype, [1e-10, 2e-8, 3e-6], [3e-10, 1e-7, 2.1e-6])


OVERFLOW = {"bfloat16": 1.5e19, "float32": 1.5e19, "float64": 1e154}
HIGHEST = {"bfloat16": 3e38, "float32": 3e38, "float64": 1.5e308}
HUGE = {"bfloat16": 1e20, "float32": 1e20, "float64": 1e180}


def large() -> Iterator[Case]:
    """Where a square or a sum overflows on the way to a finite answer."""
    squares = ("mean_squared_error", "half_squared_error", "root_mean_squared_error", "expectile")
    for metric in (*squares, "huber", "pseudo_huber", "log_cosh", "mean_absolute_error"):
        yield case(metric, "large", "float16", [300.0, *[0.25] * 7], [0.0] * 8)
        yield case(metric, "large", "float16", [60000.0, -60000.0], [-60000.0, 60000.0])
    for dtype in ("bfloat16", *WIDE):
        yield from large_residuals(dtype, squares)
        yield from large_vectors(dtype)
    for dtype in WIDE:
        yield from large_in_domain(dtype)
    yield case("poisson_nll", "large", "float16", [11.0, 12.0, -16.0], [3.0, 0.0, 2.0])


def large_residuals(dtype: str, squares: tuple[str, ...]) -> Iterator[Case]:
    """Sums that overflow though their mean does not; residuals whose squares overflow."""
    shape = [1.0, -0.5, 0.75, 1.0, -1.0, 0.875, 1.0, -1.0]
    for metric in squares:
        yield case(metric, "large", dtype, [OVERFLOW[dtype] * s for s in shape], [0.0] * 8)
    yield case(
        "root_mean_squared_error", "large", dtype, [HUGE[dtype] * s for s in shape], [0.0] * 8
    )
    if dtype == "float64":
        yield case("root_mean_squared_error", "large", dtype, [1e200 * s for s in shape], [0.0] * 8)
    # some squares far out are summed with others: on either side of where the library may change
    for middle in (40, -40) if dtype != "float64" else (400, -400):
        near = [2.0**middle * s for s in (0.5, 1.75, -0.75, 1.25)]
        yield case("root_mean_squared_error", "large", dtype, near, [0.0] * 4)
    top = [HIGHEST[dtype] * abs(s) for s in shape]
    halves = [t / 2 for t in top]
    linear = ("mean_absolute_error", "mean_bias_error", "huber", "smooth_l1", "pinball", "log_cosh")
    for metric in (*linear, "pseudo_huber", "max_error", "median_absolute_error"):
        values = (
            [t / (k + 1) for k, t in enumerate(top)] if metric == "median_absolute_error" else top
        )
        yield case(metric, "large", dtype, values, [0.0] * 8)
    for metric in ("weighted_absolute_percentage_error", "mean_absolute_percentage_error"):
        yield case(metric, "large", dtype, top, halves)
    smape = "symmetric_mean_absolute_percentage_error"
    yield case(smape, "large", dtype, [*top[:2], -top[2] / 2], [halves[0], *halves[1:3]])
    for metric, power in itertools.product(("log_cosh", "pseudo_huber"), (1, 2, 5, 10, 20, 30)):
        yield case(metric, "large", dtype, [10.0**power], [0.0])
        yield case(metric, "large", dtype, [-(10.0**power)], [0.0])


def large_vectors(dtype: str) -> Iterator[Case]:
    """Cosines and moments whose squares overflow or underflow."""
    a, b = [3.0, -1.0, 2.0, 0.5], [1.0, 0.5, 4.0, -2.0]
    up, down = HUGE[dtype], 1 / HUGE[dtype]
    for metric in ROWS:
        rows = [[up * i for i in a], [up * i for i in a], [down * i for i in a]]
        yield case(metric, "large", dtype, rows, [[up * i for i in b], b, b])
    if dtype == "float64":
        yield case(
            "cosine_similarity", "large", dtype, [[1e150 * i for i in a]], [[1e200 * i for i in b]]
        )
    p, y = [1.0, 2.5, 2.0, 4.75, 0.5, -1.0], [1.5, 2.0, 3.0, 4.0, -0.5, -2.0]
    for metric, (name, unit) in itertools.product(MOMENTS, (("large", up), ("small", down))):
        yield case(metric, name, dtype, [unit * i for i in p], [unit * i for i in y])


def large_in_domain(dtype: str) -> Iterator[Case]:
    """Large rates, counts and ratios."""
    for metric in ("mean_squared_log_error", "root_mean_squared_log_error"):
        yield case(metric, "large", dtype, [1e30, 1e10, 3.0], [1e20, 1e30, 1e30])
    yield case("poisson_nll", "large", dtype, [80.0, -80.0, 20.0], [5.0, 2.0, 1e6])
    yield case("poisson_nll", "large", dtype, [80.0, 5.0, 20.0], [100.0, 1000.0, 1e6], full=True)
    yield case("poisson_nll", "large", dtype, [1e20, 1e6, 10.0], [1e10, 3e6, 1e4], log_input=False)
    for metric in ("poisson_deviance", "gamma_deviance"):
        yield case(metric, "large", dtype, [1e20, 1e-3, 1e10], [1e10, 1e5, 1e20])
    for power in (1.2, 1.5, 1.9, 3.0):
        yield case(
            "tweedie_deviance", "large", dtype, [1e8, 1e-2, 1e4], [1e4, 1e3, 1e8], power=power
        )


def offset() -> Iterator[Case]:
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


EXTREME = {"float16": 1e4, "bfloat16": 1e30, "float32": 1e30, "float64": 1e300}


def labelled() -> Iterator[Case]:
    """Classification at its kinks, ends and extremes, each logit beside each label."""
    for dtype in FLOATS:
        sure = [20.0, -20.0, 80.0, -80.0, 600.0, -600.0, EXTREME[dtype], -EXTREME[dtype]]
        tails = (1e-30, -1e-20, 1e-8) if dtype != "float16" else (1e-4, -1e-6)
        logits = [0.0, *tails, -15.0, 15.0, *sure]
        for z in ([0.0], [-15.0], [15.0], *([x] for x in sure), logits):
            for y in (0.0, 1.0):
                yield case("sigmoid_cross_entropy", "sure", dtype, z, [y] * len(z))
                yield case("sigmoid_focal", "sure", dtype, z, [y] * len(z))
        yield case("sigmoid_cross_entropy", "sure", dtype, logits, [0.25] * len(logits))
        yield case("sigmoid_focal", "sure", dtype, logits, [1.0] * len(logits), gamma=0.5)
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
    for metric, dtype in itertools.product(definitions.CLASSIFICATION, ("int8", "int32", "int64")):
        sides = [1, -1, 1] if "hinge" in metric else [1, 0, 1]
        scores = [1, 0, 1] if metric in ("binary_cross_entropy", "brier_score") else [2, -3, -1]
        yield case(metric, "integers", dtype, scores, sides)


def integers() -> Iterator[Case]:
    """Differences that wrap in the integer dtype, and whole numbers in every domain."""
    p, y = [0, 255, 3, 100, 7, 200], [255, 1, 4, 130, 2, 100]
    small_p, small_y = [1, 2, 3, 5, 4, 1], [3, 1, 2, 4, 6, 2]
    positive = ("poisson_nll", "poisson_deviance", "gamma_deviance", "tweedie_deviance")
    for metric in (m for m in METRICS if m not in definitions.CLASSIFICATION):
        one, two = (small_p, small_y) if metric in positive else (p, y)
        if metric in ROWS or metric == "multi_quantile":
            one = [one[:3], one[3:]]
            two = two[1:3] if metric == "multi_quantile" else [two[:3], two[3:]]
        for dtype in ("uint8", "int32", "int64"):
            yield case(metric, "integers", dtype, one, two)
    far_p, far_y = [2_000_000_000, -2_000_000_000, 5, 0], [-2_000_000_000, 2_000_000_000, -7, 3]
    linear = (
        "mean_squared_error",
        "mean_absolute_error",
        "root_mean_squared_error",
        "huber",
        "max_error",
    )
    for metric in (*linear, "pinball", "log_cosh", "weighted_absolute_percentage_error"):
        yield case(metric, "integers_far", "int32", far_p, far_y)
    for metric in ("mean_squared_error", "mean_absolute_error", "huber"):
        yield case(
            metric, "integers_exact", "int64", [2**53 - 1, 2**52 + 1], [2**53 - 3, 2**52 - 2]
        )
        yield case(metric, "integers", "uint16", [0, 65535], [65535, 1])
        yield case(metric, "integers", "int8", [-128, 127, 5], [127, -128, 9])


def every_case() -> Iterator[Case]:
    """All families, in a fixed order; a repeated name is numbered: no two cases look alike."""
    families = (typical, weighted, single, kinks, small, large, offset, integers, labelled)
    seen: Counter[str] = Counter()
    for drawn in itertools.chain.from_iterable(family() for family in families):
        key = f"{drawn.metric} {drawn.parameters} {drawn.name} {drawn.dtype}"
        seen[key] += 1
        yield drawn if seen[key] == 1 else replace(drawn, name=f"{drawn.name}_{seen[key]}")


def representable(x: float | int, dtype: str) -> bool:
    """Whether the number is exactly one of the dtype's finite numbers."""
    if dtype in FLOATS:
        return math.isfinite(x) and rounded(x, dtype) == x
    limits = np.iinfo(dtype)
    return isinstance(x, int) and limits.min <= x <= limits.max
