"""Losses of all half-precision numbers, against formulas written for this test alone.

The formulas are evaluated in float64, in which the difference of two float16 numbers is exact and
of two bfloat16 numbers as good as exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.promise import value_limit


def huber(e: np.ndarray) -> np.ndarray:
    return np.where(np.abs(e) > 1, np.abs(e) - 0.5, 0.5 * e**2)


def log_cosh(e: np.ndarray) -> np.ndarray:
    """Return log(cosh(e)), from cosh^2 = 1 + sinh^2 near 0 and from cosh = (exp + exp) / 2 beyond."""
    a = np.abs(e)
    near, far = 0.5 * np.log1p(np.sinh(np.minimum(a, 1)) ** 2), np.log1p(np.exp(-2 * a))
    return np.where(a < 1, near, far + (a - np.log(2)))


FORMULAS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean_squared_error": np.square,
    "mean_absolute_error": np.abs,
    "huber": huber,
    "log_cosh": log_cosh,
}
# float32 rounds the difference (1 ULP of the loss), and JAX's log1p is 2.4 ULP off
EXCEPTIONS = {("log_cosh", "jax"): 5.0, ("log_cosh", "torch"): 3.0}
named_loss = pytest.mark.parametrize("name", FORMULAS)


def half(backend: Backend) -> str:
    """Return the half precision to test, bfloat16 where there is a choice: its range is float32's."""
    if "float16" not in backend.dtypes:
        pytest.skip(f"{backend.name} has no half precision")
    return "bfloat16" if "bfloat16" in backend.dtypes else "float16"


def finite(dtype: str) -> np.ndarray:
    """Return every finite number of a half precision, in float64."""
    bits = np.arange(2**16, dtype="uint32")
    if dtype == "float16":
        numbers = bits.astype("uint16").view("float16")
    else:  # the upper half of a float32
        numbers = (bits << 16).view("float32")
    numbers = numbers[np.isfinite(numbers)].astype("float64")
    assert len(numbers) == {"float16": 63_488, "bfloat16": 65_280}[dtype]
    return numbers


def targets_among(numbers: np.ndarray, dtype: str) -> np.ndarray:
    """Return all numbers; of bfloat16, 0, its ends, and powers of two with their neighbours."""
    if dtype == "float16":
        return numbers
    powers = 2.0 ** np.arange(-126, 128, 5)
    positive = [*powers, *powers * (1 + 2.0**-7), numbers.max()]
    return np.array([0.0, *positive, *np.negative(positive)])


def check(backend: Backend, name: str, every: int) -> None:
    """Compare the losses of all predictions with those of every so many-th target."""
    dtype, metric = half(backend), getattr(il, name)
    numbers = finite(dtype)
    least = 2.0**-126 if backend.flushes else 0.0  # of JAX, subnormal numbers are 0
    numbers = numbers[(np.abs(numbers) >= least) | (numbers == 0)]
    predictions = backend.array(numbers.tolist(), dtype)
    limit = EXCEPTIONS.get((name, backend.label), value_limit(backend, dtype))
    for target in targets_among(numbers, dtype)[::every].tolist():
        found = metric(predictions, backend.array(target, dtype), reduction="none")
        assert backend.dtype(found) == "float32"
        compare(np.asarray(found), numbers, target, FORMULAS[name](numbers - target), limit, least)


def compare(
    got: Any, predictions: np.ndarray, target: float, want: np.ndarray, limit: float, least: float
) -> None:
    """Assert that results are within some ULP of the float32 numbers nearest to the exact ones."""
    with np.errstate(over="ignore"):
        nearest = want.astype("float32")
    wrong = (got != nearest) & ~((got == 0) & (want < least))  # the rest is off by 1/2 at most
    if not wrong.any():
        return
    found, exact = got[wrong].astype("float64"), want[wrong]
    found = np.where(np.isinf(found), np.copysign(2.0**128, found), found)  # an overflow rounds up
    exponents = np.maximum(np.frexp(exact)[1] - 1, -126)
    errors = np.abs(found - np.minimum(exact, 2.0**128)) * 2.0 ** (23 - exponents)
    worst = np.argmax(np.where(np.isnan(errors), np.inf, errors))
    assert errors[worst] <= limit, (
        f"prediction {predictions[wrong][worst]}, target {target}: {errors[worst]:.3g} ULP: "
        f"got {got[wrong][worst]}, expected {want[wrong][worst]}"
    )


@named_loss
def test_sample(backend: Backend, name: str) -> None:
    """All predictions against some targets are as near to the exact losses as promised."""
    check(backend, name, 1021 if half(backend) == "float16" else 16)


@pytest.mark.exhaustive
@named_loss
def test_all(backend: Backend, name: str) -> None:
    """All pairs of float16 numbers, or all of bfloat16 with 200 targets, are as near as promised."""
    check(backend, name, 1)
