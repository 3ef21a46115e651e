"""Ten million samples give what a thousand give, on every library.

The thousand are repeated, so exact fractions, or the same metric of the thousand, tell what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import distance
from conformance.kit.promise import value_limit

RATIONAL: dict[str, Callable[[Fraction], Fraction]] = {  # terms that fractions can compute
    "mean_squared_error": lambda e: e * e,
    "half_squared_error": lambda e: e * e / 2,
    "mean_absolute_error": abs,
    "mean_bias_error": lambda e: e,
    "huber": lambda e: e * e / 2 if abs(e) <= 1 else abs(e) - Fraction(1, 2),
}
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def sample(backend: Backend, dtype: str, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return a thousand predictions and targets that are not dyadic."""
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.label} has no {dtype}")
    rng = np.random.default_rng(5)
    p, t = rng.normal(0.3, 1.0, 1000).astype(dtype), rng.normal(0.0, 1.0, 1000).astype(dtype)
    return p + np.asarray(shift, dtype), t + np.asarray(shift, dtype)


def repeated(backend: Backend, array: np.ndarray) -> Any:
    """Return an array of ten million numbers, made where it is needed."""
    xp = backend.xp
    short = backend.array(array.tolist(), str(array.dtype))
    return xp.reshape(xp.broadcast_to(short, (10_000, 1000)), (-1,))


def exact_mean(name: str, p: np.ndarray, t: np.ndarray) -> Fraction:
    pairs = zip(p.tolist(), t.tolist(), strict=True)
    return sum(RATIONAL[name](Fraction(a) - Fraction(b)) for a, b in pairs) / len(p)


@every_dtype
@pytest.mark.parametrize("name", RATIONAL)
def test_sums(backend: Backend, name: str, dtype: str) -> None:
    """Sums are as exact as promised, along the first axis and the last, however they lie in memory."""
    metric, (p, t) = getattr(il, name), sample(backend, dtype)
    many = [repeated(backend, x) for x in (p, t)]
    found = [metric(*many)]
    if name in ("mean_squared_error", "mean_bias_error"):
        xp = backend.xp
        rows = [xp.reshape(x, (2, -1)) for x in many]
        columns = [xp.stack([x, x], axis=1) for x in many]
        transposed = [x.T for x in rows]
        found += backend.numbers(metric(*rows, axis=1))
        found += backend.numbers(metric(*columns, axis=0))
        found += backend.numbers(metric(*transposed, axis=0))
    want = exact_mean(name, p, t)
    for one in found:
        error = distance(float(one), str(want), dtype)
        assert error <= value_limit(backend, dtype)


@every_dtype
@pytest.mark.parametrize(
    "metric", [il.r2_score, il.explained_variance_score, il.pearson_correlation, il.rmse], ids=repr
)
def test_moments(backend: Backend, metric: il.Metric, dtype: str) -> None:
    """Scores of numbers whose mean is a thousand times their spread do not lose digits."""
    p, t = sample(backend, dtype, shift=1024.0)
    found = metric(*(repeated(backend, x) for x in (p, t)))
    want = metric(p.astype(np.float64), t.astype(np.float64))
    assert backend.dtype(found) == dtype
    assert abs(float(found) - want) <= 4 * np.finfo(dtype).eps * max(abs(want), 1.0)


@every_dtype
def test_constant(backend: Backend, dtype: str) -> None:
    """Of equal numbers, whose rounding errors all have the same sign, the mean is the number."""
    p, t = sample(backend, dtype)
    p[:], t[:] = 0.1, 0.0
    found = il.mean_bias_error(*(repeated(backend, x) for x in (p, t)))
    error = distance(float(found), str(Fraction(p.tolist()[0])), dtype)
    assert error <= value_limit(backend, dtype)
