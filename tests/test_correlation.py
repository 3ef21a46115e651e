"""Rank correlations against pairs counted one by one in exact fractions, and against SciPy."""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import scipy.stats

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import as_numpy, close

BOTH = [il.spearman, il.kendall_tau_b]
every_metric = pytest.mark.parametrize("metric", BOTH, ids=repr)
near = functools.partial(close, size=1.0)  # ULP of 1, the size of a perfect correlation
SCIPY = {il.spearman: scipy.stats.spearmanr, il.kendall_tau_b: scipy.stats.kendalltau}


def sign(x: float, y: float) -> int:
    return (x > y) - (x < y)


def spearman(p: list[float], y: list[float], w: list[Fraction]) -> mpmath.mpf:
    """Pearson's correlation of ranks, each the weight of what is lower and half of what is equal."""
    whole = sum(w)

    def centred(x: list[float]) -> list[Fraction]:
        ranks = [
            sum(k * (1 + sign(one, other)) / 2 for k, other in zip(w, x, strict=True)) for one in x
        ]
        mean = sum(k * r for k, r in zip(w, ranks, strict=True)) / whole
        return [r - mean for r in ranks]

    a, b = centred(p), centred(y)
    aa, ab, bb = (
        sum(k * s * t for k, s, t in zip(w, u, v, strict=True)) for u, v in ((a, a), (a, b), (b, b))
    )
    return over_root(ab, aa * bb)


def kendall(p: list[float], y: list[float], w: list[Fraction]) -> mpmath.mpf:
    """Sums over all pairs."""
    above, of_p, of_y = Fraction(0), Fraction(0), Fraction(0)
    for i, j in itertools.combinations(range(len(p)), 2):
        s, t = sign(p[i], p[j]), sign(y[i], y[j])
        above += w[i] * w[j] * s * t
        of_p += w[i] * w[j] * abs(s)
        of_y += w[i] * w[j] * abs(t)
    return over_root(above, of_p * of_y)


def over_root(above: Fraction, square: Fraction) -> mpmath.mpf:
    if not square:
        return mpmath.nan
    number = lambda x: mpmath.mpf(x.numerator) / x.denominator  # noqa: E731
    return number(Fraction(above)) / mpmath.sqrt(number(Fraction(square)))


EXACT = {il.spearman: spearman, il.kendall_tau_b: kendall}


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw two related variables, of few different values more often than not."""
    p = rng.normal(size=n) if rng.random() < 0.3 else rng.integers(0, rng.integers(1, 9), n)
    y = rng.normal(size=n) if rng.random() < 0.3 else rng.integers(0, rng.integers(1, 9), n)
    return p.astype(float), y + (p if rng.random() < 0.5 else 0.0)


@every_metric
def test_pairs_counted_one_by_one(metric: il.Metric) -> None:
    """Values of weighted samples, with and without ties, are those of the definition."""
    rng = np.random.default_rng(1)
    for _ in range(150):
        p, y = draw(rng, int(rng.integers(1, 14)))
        w = rng.uniform(0.1, 3.0, p.size) * (rng.random(p.size) < 0.8)
        for weights in (None, w, 1.0 * (w > 0)):
            ones = np.ones(p.size) if weights is None else weights
            if ones.any():
                exact = [Fraction(x) for x in ones.tolist()]
                want = float(EXACT[metric](p.tolist(), y.tolist(), exact))
                near(metric(p, y, weights=weights), want, 6)


@every_metric
def test_scipy(metric: il.Metric) -> None:
    """Random cases, most with ties, are what SciPy answers."""
    rng = np.random.default_rng(2)
    for _ in range(400):
        p, y = draw(rng, int(rng.integers(3, 40)))
        if np.ptp(p) and np.ptp(y):  # SciPy warns of a constant
            near(metric(p, y), SCIPY[metric](p, y).statistic, 4)


@every_metric
@pytest.mark.parametrize("n", [1000, 4097])
def test_many_samples(metric: il.Metric, n: int) -> None:
    """Numbers of samples about powers of two, with ties on one side, on both, and on none."""
    rng = np.random.default_rng(n)
    p, y = rng.normal(size=(2, n))
    for a, b in (
        (p, p + y),
        (np.round(p), p + y),
        (p, np.round(p + y)),
        (np.round(p), np.round(y)),
    ):
        near(metric(a, b), SCIPY[metric](a, b).statistic, 8)
        near(metric(-a, b), -metric(a, b), 0)


def test_values_from_the_literature() -> None:
    """Rankings with ties whose sums can be counted by hand."""
    # Kendall (1970), Rank Correlation Methods, section 3.4: S = 33, and 4 and 9 pairs are tied
    a = [1, 2.5, 2.5, 4.5, 4.5, 6.5, 6.5, 8, 9.5, 9.5]
    b = [1, 2, 4.5, 4.5, 4.5, 4.5, 8, 8, 8, 10]
    near(il.kendall_tau_b(a, b), float(33 / mpmath.sqrt(41 * 36)), 1)
    # without ties, 1 - 6 sum(d^2) / (n (n^2 - 1)): d = (0, 0, 1, 1)
    assert il.spearman([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 40.0, 30.0]) == 0.8
    # without ties, 1 - 4 inversions / (n (n - 1))
    near(il.kendall_tau_b([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 40.0, 30.0]), 2 / 3, 0.5)


# JAX compiles each operation for each length: all samples below are four


@every_metric
def test_a_row_of_nan(backend: Backend, metric: il.Metric) -> None:
    """A row that holds nothing but nan is nan, and the row beside it is what it is alone."""
    if backend.compiles and metric is il.kendall_tau_b:
        pytest.skip("JAX would compile for seconds; the ranks are those of Spearman")
    nan = float("nan")
    p = backend.array([[nan] * 4, [1.0, 2.0, 3.0, 4.0]], "float32")
    y = backend.array([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]], "float32")
    # by hand: the squares of the differences of ranks add up to 2; one of six pairs is out of order
    near(metric(p, y, axis=-1), [nan, {il.spearman: 0.8, il.kendall_tau_b: 4 / 6}[metric]], 2)


@every_metric
def test_perfect_is_one(backend: Backend, metric: il.Metric) -> None:
    """Equal order gives 1 exactly, the opposite -1, by any increasing function and with any ties."""
    x = [0.5, -1.0, 2.0, 2.0]
    array, cubes, minus = (
        backend.array(y, "float32") for y in (x, [a**3 for a in x], [-a for a in x])
    )
    weights = backend.array([1.0, 0.0, 0.5, 3.0], "float32")
    for options in ({}, {"weights": weights}):
        assert float(metric(array, cubes, **options)) == 1
        assert float(metric(array, minus, **options)) == -1


@every_metric
def test_constant_input(backend: Backend, metric: il.Metric) -> None:
    """A constant, and a sample that counts alone, have no order: nan, never 0 or 1."""
    one, two = (backend.array(x, "float32") for x in ([1.0, 2.0, 3.0, 4.0], [5.0] * 4))
    alone = backend.array([0.0, 2.0, 0.0, 0.0], "float32")
    for pair in ((one, two), (two, one), (two, two)):
        assert np.isnan(float(metric(*pair)))
    assert np.isnan(float(metric(one, one, weights=alone)))


@every_metric
def test_infinite_and_missing(backend: Backend, metric: il.Metric) -> None:
    """Infinite numbers have their place, nan has none and is not lost, unless it is masked."""
    inf, nan = np.inf, np.nan
    p = backend.array([inf, 1.0, -inf, 2.0], "float32")
    assert float(metric(p, backend.array([9.0, 3.0, 1.0, 4.0], "float32"))) == 1
    q = backend.array([nan, 1.0, -inf, 2.0], "float32")
    t = backend.array([0.0, 3.0, 1.0, 4.0], "float32")
    assert np.isnan(float(metric(q, t)))
    assert np.isnan(float(metric(t, q)))
    mask = backend.array([False, True, True, True], "bool")
    assert float(metric(q, t, where=mask)) == float(metric(t, q, where=mask)) == 1


@every_metric
def test_gradient_is_zero(backend: Backend, metric: il.Metric) -> None:
    """Ranks do not change with small changes: the gradient is 0, and it is there to be asked for."""
    p = backend.array([1.0, 3.0, 2.0, np.inf], "float32")
    t = backend.array([1.0, 2.0, 2.0, 4.0], "float32")
    for mode in backend.modes:
        assert as_numpy(backend.gradient(mode, metric, p, t)).tolist() == [0.0] * 4


@every_metric
def test_size_of_weights(backend: Backend, metric: il.Metric) -> None:
    """Products of three weights are out of the range of float32; their ratio is not."""
    p, t = (backend.array(x, "float32") for x in ([1.0, 2.0, 3.0, 3.0], [2.0, 1.0, 1.0, 3.0]))
    w = np.float32([1.0, 2.0, 4.0, 8.0])
    want = metric(p, t, weights=backend.array(w, "float32"))
    for size in np.float32([1e30, 1e-30, 2.0**16, 2.0**60]):
        near(metric(p, t, weights=backend.array(size * w, "float32")), want, 8)


@every_metric
def test_batches(metric: il.Metric) -> None:
    """States concatenate, weighted ones beside those that are not; groups have their own order."""
    rng = np.random.default_rng(5)
    p, y = rng.integers(0, 6, (2, 30)).astype(float)
    w = rng.integers(1, 4, 30).astype(float)
    w[:11] = 1
    whole = metric.summary(p[:11], y[:11]).merge(metric.summary(p[11:], y[11:], weights=w[11:]))
    assert metric.compute(whole) == metric(p, y, weights=w) == metric(np.repeat(p, w.astype(int)),
                                                                      np.repeat(y, w.astype(int)))  # fmt: skip
    groups = rng.integers(0, 3, 30)
    p[groups == 2] = np.nan
    of_groups = metric.compute(metric.summary(p, y, weights=w, groups=groups, num_groups=3))
    for k in (0, 1):
        here = groups == k
        near(of_groups[k], metric(p[here], y[here], weights=w[here]), 2)
    assert np.isnan(of_groups[2])


def test_evaluate_shares_the_samples() -> None:
    """Both come of one state, for each column."""
    p, y = np.random.default_rng(6).normal(size=(2, 9, 2))
    values = il.evaluate(BOTH, p, y, axis=0)
    assert il.spearman.source == il.kendall_tau_b.source
    for metric, value in zip(BOTH, values.values(), strict=True):
        for k in range(2):
            near(value[k], metric(p[:, k], y[:, k]), 0)
