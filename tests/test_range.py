"""Sums, moments and roots at the ends of the range: what the dtype can hold is returned."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend, Strict
from conformance.kit.comparison import close


def merged(metric: il.Metric, p: Any, t: Any) -> Any:
    """Return the value of the states of single samples, merged."""
    first, *others = (metric.summary(p[k : k + 1], t[k : k + 1]) for k in range(p.shape[0]))
    for state in others:
        first = first.merge(state)
    return metric.compute(first)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """A device without float64, which computes float32 in float32 and keeps subnormal numbers."""
    pytest.importorskip("array_api_strict")
    monkeypatch.setenv("ISOLOSS_STRICT_DEVICE", "no_float64")
    return Strict()


# --- sums -----------------------------------------------------------------------------------------


def test_large_float32_residuals_merge(backend: Backend) -> None:
    """The states of float32 residuals merge to their root mean square wherever float32 holds it."""
    numbers = np.asarray([1e28, 3e28, 0.3e28], np.float32)
    mean = sum(Fraction(float(x)) ** 2 for x in numbers) / 3
    residuals = backend.array(numbers.tolist(), "float32")
    close(merged(il.rmse, residuals, 0 * residuals), np.float64(math.sqrt(mean)), 2)
    assert float(merged(il.mse, residuals, 0 * residuals)) == math.inf


def test_blocks_of_large_float32_residuals(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call merges the blocks of a large array, whose squares may leave the range of float32."""
    monkeypatch.setattr("isoloss.libraries.numpy.CACHE", 1 << 12)
    numbers = (1e26 * np.random.default_rng(0).normal(size=3000)).astype("float32")
    mean = sum(Fraction(float(x)) ** 2 for x in numbers) / 3000
    close(il.rmse(numbers, 0 * numbers), np.float64(math.sqrt(mean)), 2)
    close(il.PSNR(1.0)(numbers, 0 * numbers), np.float64(-10 * math.log10(mean)), 2)
    assert il.mse(1e5 * numbers, 0 * numbers) == math.inf


SCORES = [il.r2, il.explained_variance_score, il.pearson_correlation, il.concordance_correlation,
          il.kling_gupta, il.nash_sutcliffe]  # fmt: skip


@pytest.mark.parametrize("metric", SCORES, ids=repr)
def test_scores_of_large_float32(metric: il.Metric) -> None:
    """A score of two variables does not depend on the unit of both, nor on the cuts of the data."""
    p, t = np.random.default_rng(0).normal(1.0, 1.0, (2, 9)).astype("float32")
    unit = np.float32(2.0**93)  # a product with a power of two is exact
    close(merged(metric, p * unit, t * unit), merged(metric, p, t), 1)


# --- moments --------------------------------------------------------------------------------------

# By hand: both have the mean 3; the products of their deviations add up to 6, the squares to 10
# and 10.
RISING, MIXED, CORRELATION = (1.0, 2.0, 4.0, 3.0, 5.0), (2.0, 1.0, 3.0, 5.0, 4.0), 0.6
UNITS = {  # powers of two, of the one and of the other
    "float32": [(40, -40), (-50, 60), (0, -100), (100, 0)],
    "float64": [(40, -40), (0, -532), (-664, 0), (664, 0), (450, -450), (-900, 0)],
}


def scaled(backend: Backend, numbers: tuple[float, ...], power: int) -> Any:
    """Return numbers times a power of two, which is exact, in the widest dtype."""
    return backend.array([math.ldexp(x, power) for x in numbers], backend.widest)


def test_correlation_in_any_units(backend: Backend) -> None:
    """A correlation does not depend on the units of its variables, nor on the cuts of the data."""
    for units in UNITS[backend.widest]:
        pair = [scaled(backend, *x) for x in zip((RISING, MIXED), units, strict=True)]
        for found in (il.pearson_correlation(*pair), merged(il.pearson_correlation, *pair)):
            close(found, np.asarray(CORRELATION), 4)


def test_kling_gupta_of_different_sizes(backend: Backend) -> None:
    """A simulation in a far smaller or larger unit than what was observed has its own efficiency."""
    power = {"float32": 50, "float64": 500}[backend.widest]
    targets = scaled(backend, RISING, 0)
    # neither a spread nor a mean is left: sqrt((0.6 - 1)^2 + 1 + 1)
    small = il.kling_gupta(scaled(backend, MIXED, -power - 60), targets)
    close(small, np.asarray(1 - math.sqrt(0.4**2 + 2)), 4)
    # both ratios are the unit, beside which the rest is nothing
    large = il.kling_gupta(scaled(backend, MIXED, power), targets)
    close(large, np.asarray(-math.ldexp(math.sqrt(2), power)), 4)


def test_slopes_beside_large_targets(narrow: Backend) -> None:
    """Predictions of 0, or nearly right ones, have their slopes: both variables share a scale."""
    # of 0, d concordance / d p_i = 2 (t_i - mean) / sum(t^2)
    targets = scaled(narrow, (1.0, 2.0, 3.0), 17)
    slope = il.gradient(il.concordance_correlation, 0 * targets, targets)
    close(slope, np.asarray([-1.0, 0.0, 1.0]) * 2.0**-17 / 7, 4)
    # d R2 / d p_i = -2 (p_i - t_i) / sum((t - mean)^2)
    targets, errors = scaled(narrow, (1.0, 0.0), 20), scaled(narrow, (0.0, 1.0), -20)
    slope = il.gradient(il.r2, targets + errors, targets)
    close(slope, np.asarray([0.0, -(2.0**-58)]), 4)


# --- roots ----------------------------------------------------------------------------------------

TINY = {"float32": (-66, -73, -75, -100), "float64": (-531, -538, -548, -1000)}


def check_tiny(backend: Backend) -> None:
    for power in TINY[backend.widest]:
        residuals = scaled(backend, (1.0, 2.0, 3.0), power)
        want = np.asarray(math.ldexp(math.sqrt(14 / 3), power))
        close(il.rmse(residuals, 0 * residuals), want, 2)
        close(merged(il.rmse, residuals, 0 * residuals), want, 2)


def test_root_of_subnormal_squares(backend: Backend) -> None:
    """Residuals whose squares have few digits left, or none, have the root of their mean square."""
    check_tiny(backend)


def test_root_of_subnormal_squares_in_float32(narrow: Backend) -> None:
    """The same holds where float32 is the widest dtype."""
    check_tiny(narrow)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinite_residual(backend: Backend, dtype: str) -> None:
    """An infinite residual makes the root infinite; the slopes of the others are 0, its own is nan."""
    if dtype not in backend.dtypes:
        pytest.skip("the library has no float64")
    for infinite in (math.inf, -math.inf):
        residuals = backend.array([infinite, 1.0], dtype)
        value, slope = il.value_and_gradient(il.rmse, residuals, 0 * backend.array([1, 1], dtype))
        assert float(value) == math.inf
        close(slope, np.asarray([math.nan, 0.0]), 0)
    lost = backend.array([math.inf, math.nan], dtype)
    assert math.isnan(il.rmse(lost, backend.array([0.0, 0.0], dtype)))


@pytest.mark.parametrize(
    ("metric", "slope"),
    [(il.huber, 1.0), (il.Huber(0.25), 0.25), (il.SmoothL1(0.5), 1.0)],
    ids=repr,
)
def test_huber_of_infinite_predictions(backend: Backend, metric: il.Metric, slope: float) -> None:
    """Far out the slope is a constant: an infinite prediction has it too, by every way."""
    p = backend.array([math.inf, -math.inf, 0.125, 3.0], "float32")
    t = backend.array([0.0] * 4, "float32")
    inside = 0.25 if isinstance(metric, il.SmoothL1) else 0.125
    want = [slope / 4, -slope / 4, inside / 4, slope / 4]
    for mode in backend.modes:
        assert backend.numbers(backend.gradient(mode, metric, p, t)) == want, mode
    first, second = il.gradient_hessian(metric, p, t)
    assert backend.numbers(first) == [4 * x for x in want]
    assert backend.numbers(second) == [0.0, 0.0, inside / 0.125, 0.0]


def test_percentages_in_any_unit(backend: Backend) -> None:
    """A percentage error has no floor: twice the target is 100 % off. Of a target of 0 it is nan."""
    unit = 2.0**-40
    p, t = backend.array([2 * unit, unit], "float32"), backend.array([unit, 0.0], "float32")
    seen = backend.array([True, False], "bool")
    assert float(il.mape(p, t, where=seen)) == 1.0
    assert [math.isnan(x) for x in backend.numbers(il.mape(p, t, axis=()))] == [False, True]
    slope = il.gradient(il.mape, p, t, where=seen)
    assert backend.numbers(slope) == [1 / unit, 0.0]
    floor = il.MeanAbsolutePercentageError(epsilon=2 * unit)
    assert backend.numbers(floor(p, t, axis=())) == [0.5, 0.5]


# metric, power of two of the prediction, targets over it, slopes by hand: 2 (p - y) / p^power
ENDS = [
    (il.gamma_deviance, -1022, (1.0, 2.0**1022), (0.0, -math.inf)),
    (il.gamma_deviance, -500, (3.0, 0.5), (-(2.0**502), 2.0**500)),
    (il.gamma_deviance, 1023, (2.0**-1023, 2.0**-1074), (2.0**-1022, 2.0**-1022)),
    (il.TweedieDeviance(1.5), -532, (0.0, 1.0, 3.0), (2.0**267, 0.0, -(2.0**268))),
    (il.TweedieDeviance(1.5), -532, (2.0**400,), (-(2.0**667),)),
    (il.TweedieDeviance(3), -600, (1.0,), (0.0,)),
    (il.TweedieDeviance(3), -500, (1.0, 3.0), (0.0, -(2.0**1002))),
    (il.smape, -1023, (0.0, 1.0), (0.0, 0.0)),
]


@pytest.mark.parametrize(("metric", "power", "targets", "slopes"), ENDS, ids=repr)
def test_slopes_at_the_ends_of_float64(
    backend: Backend, metric: il.Metric, power: int, targets: Any, slopes: Any
) -> None:
    """A derivative at the ends of float64 is that of the formula, infinite where it must be."""
    if "float64" not in backend.dtypes or backend.flushes:
        pytest.skip("the library has no float64, or no subnormal numbers")
    p = backend.array([2.0**power], "float64")
    for target, slope in zip(targets, slopes, strict=True):
        t = backend.array([math.ldexp(target, power)], "float64")
        for mode in backend.modes:
            close(backend.gradient(mode, metric, p, t), np.asarray([slope]), 6)
