"""The weighted median against sums in exact fractions: half of the weights is a matter of no rounding."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import BACKENDS, Backend


def median(backend: Backend, errors: Any, weights: Any, dtype: str) -> float:
    """Return the weighted median of absolute errors."""
    p, w = backend.array(list(errors), dtype), backend.array(list(weights), dtype)
    return float(il.median_absolute_error(p, 0 * p, weights=w))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_weights(backend: Backend, dtype: str) -> None:
    """Weights that are all the same number, whichever it is, give the median without weights."""
    if dtype not in backend.dtypes:
        pytest.skip("the library has no float64")
    lengths = (6,) if backend.compiles else (1, 2, 3, 6, 7, 10, 100)  # each length is a program
    for weight in (0.1, 0.3, 1 / 3, 0.7, 1e-3, 1e-30, 1e30):
        for n in lengths:
            found = median(backend, range(1, n + 1), [weight] * n, dtype)
            assert found == (n + 1) / 2, (weight, n)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ties_up_to_rounding(backend: Backend, dtype: str) -> None:
    """Weights that are decimals, each rounded, divide in half where the decimals do."""
    if dtype not in backend.dtypes:
        pytest.skip("the library has no float64")
    for weights, want in {
        (0.1, 0.2, 0.3, 0, 0, 0): 2.5,  # 0.1 + 0.2 = 0.3
        (0, 0.7, 0.1, 0.2, 0.6, 0): 3.5,  # 0.7 + 0.1 = 0.2 + 0.6
        (0.3, 0.3, 0.1, 0.2, 0.4, 0.1): 3.5,  # 0.3 + 0.3 + 0.1 = 0.2 + 0.4 + 0.1
    }.items():
        assert median(backend, range(1, 7), weights, dtype) == want, weights


def exact(errors: np.ndarray, weights: np.ndarray) -> float:
    """Return the middle of the errors at which the sum of weights passes its half."""
    order = np.argsort(errors)
    shares = [Fraction(x) for x in weights[order].tolist()]
    half, upto, below = sum(shares) / 2, Fraction(0), None
    for error, share in zip(errors[order].tolist(), shares, strict=True):
        upto += share
        if below is None and upto >= half:
            below = error
        if upto > half:
            return (below + error) / 2
    raise AssertionError("no weights")


@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict without float64"])
def test_sums_are_exact(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of all sizes, of few samples or many, have the median of their exact sums."""
    name = library.split()[0]
    pytest.importorskip(name)
    if "without" in library:
        monkeypatch.setenv("ISOLOSS_STRICT_DEVICE", "no_float64")
    backend = BACKENDS[name]()
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 33, 1000, 20_000):
        for weights in (
            rng.uniform(size=n),
            np.exp(rng.normal(0.0, 5.0, n)),
            rng.integers(0, 4, n) / 4,
        ):
            w = np.asarray(weights, "float32")
            w[0] += w.sum() == 0
            errors = rng.permutation(n).astype("float32")
            assert median(backend, errors.tolist(), w.tolist(), "float32") == exact(errors, w), n


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_no_numbers(backend: Backend, bad: float) -> None:
    """A weight of nan or infinity makes the median nan."""
    weights = [1.0, bad, 1.0, 1.0, 1.0, 1.0]
    assert math.isnan(median(backend, range(1, 7), weights, "float32"))


@pytest.mark.parametrize(
    ("errors", "weights", "want"),
    [
        ([2.0, 1.0, 2.0, 5.0, -2.0], [1.0] * 5, [1 / 3, 0.0, 1 / 3, 0.0, -1 / 3]),
        ([1.0, 3.0, 1.0, 3.0, 9.0], [1.0] * 4 + [0.0], [0.25] * 4 + [0.0]),  # half each of 1 and 3
        ([1.0, 2.0, 2.0, 3.0, 2.0], [1.0, 1.0, 3.0, 1.0, 0.0], [0.0, 0.25, 0.75, 0.0, 0.0]),
        ([1.0, math.inf, -math.inf], [1.0, 2.0, 2.0], [0.0, 0.5, -0.5]),
    ],
)
def test_ties_share_the_gradient(
    backend: Backend, errors: list[float], weights: list[float], want: list[float]
) -> None:
    """Errors that are equal to the median have shares of its derivative, by their weights."""
    p, w = backend.array(errors, "float32"), backend.array(weights, "float32")
    for mode in backend.modes:
        slope = backend.gradient(mode, il.median_absolute_error, p, 0 * w, weights=w)
        np.testing.assert_array_max_ulp(np.float32(backend.numbers(slope)), np.float32(want), 1)


def test_many_ties_share_the_gradient(backend: Backend) -> None:
    """No order of a sort shows: of 40 errors, the eight equal to the median have an eighth each."""
    errors = [float(k * 7 % 5) for k in range(40)]  # 0 to 4, eight times each
    p = backend.array(errors, "float32")
    for mode in backend.modes:
        slope = backend.gradient(mode, il.median_absolute_error, p, 0 * p)
        assert backend.numbers(slope) == [0.125 * (x == 2) for x in errors], mode
