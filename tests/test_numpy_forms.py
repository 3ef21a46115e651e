"""What NumPy evaluates in a way of its own against the plain way, where conformance has few samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.comparison import close
from isoloss._core import special
from isoloss._core.library import library_of
from isoloss.evaluation import labels_of
from isoloss.libraries import numpy as own

pytestmark = pytest.mark.library("numpy")
MANY = 5_000  # more than are selected by branches


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def namespace(dtype: str = "float64") -> Any:
    library = library_of(np.zeros(1))
    assert library is not None
    return library.namespace(dtype, True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", "int64", "bool"])
@pytest.mark.parametrize("threshold", [-9.0, -2.5, 0.0, 9.0])
def test_where(dtype: str, threshold: float) -> None:
    """Bits are chosen as numbers are, nan and zeros of both signs too."""
    x, y = numbers(0, MANY).astype(dtype), numbers(1, MANY).astype(dtype)
    if x.dtype.kind == "f":
        x[:3], y[:3] = (np.nan, -0.0, np.inf), (0.0, np.nan, -0.0)
    condition = numbers(2, MANY) > threshold
    for one, two in ((x, y), (x, 0.0), (1, y), (x, -np.inf), (x, y[0]), (x[:1], y)):
        found, want = namespace().where(condition, one, two), np.where(condition, one, two)
        assert found.dtype == want.dtype
        np.testing.assert_array_equal(found, want)
        if want.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(found), np.signbit(want))


@pytest.mark.parametrize("metric", [il.mae, il.hinge, il.huber, il.poisson_deviance, il.bce])
def test_results_are_arrays_of_their_own(metric: il.Metric) -> None:
    """A side that is chosen everywhere is not copied; no result is the caller's array."""
    p, t = np.full(MANY, 0.5), np.ones(MANY)
    for result in (
        metric(p, t, reduction="none"),
        il.gradient(metric, p, t),
        *il.gradient_hessian(metric, p, t),
    ):
        assert not np.shares_memory(result, p)
        assert not np.shares_memory(result, t)


@pytest.mark.parametrize("power", [-1.0, 0, 1, 1.2, 1.5, 2, 2.5, 3])
@pytest.mark.parametrize("spread", [1e-9, 0.1, 1.0, 5.0, 40.0])
def test_deviances(power: float, spread: float) -> None:
    """Deviances, near the target and far, are those of the formula for every library."""
    p, y = np.exp(numbers(3, MANY)), np.exp(numbers(3, MANY) + spread * numbers(4, MANY))
    if power < 2:
        y[:9] = 0
    xp = namespace()
    with xp.quiet():
        found = xp.tweedie_deviance(p, y, power)
        want = special.tweedie_deviance(xp, p.astype("longdouble"), y.astype("longdouble"), power)
    close(found, want, 60, 0.0)  # of float64: a power of a number that is rounded


@pytest.mark.parametrize("spread", [1e-9, 0.1, 1.0, 5.0, 150.0])
def test_functions(spread: float) -> None:
    """Functions whose forms are NumPy's own are those of the formulas for every library."""
    x = spread * numbers(5, MANY)
    wide = x.astype("longdouble")
    xp = namespace()
    with xp.quiet():
        for name in ("log_cosh", "relative_expm1"):
            want = getattr(special, name)(xp, wide).astype("float64")
            close(getattr(xp, name)(x), want, 4, 0.0)
        a, b = np.exp(numbers(6, MANY)), np.exp(numbers(6, MANY) + np.clip(x, -700, 700))
        want = special.log_ratio(xp, a.astype("longdouble"), b.astype("longdouble"))
        close(xp.log_ratio(a, b), want.astype("float64"), 4, 0.0)
    ends = np.array([0.0, 0.0, 1.0, np.inf, np.inf, 1e-310, np.nan])
    others = np.array([0.0, 1.0, 0.0, np.inf, 1.0, 1.0, 1.0])
    with xp.quiet():
        found, want = xp.log_ratio(ends, others), np.log(ends) - np.log(others)
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("n", [1, 2, 3, 17, 255, 256, 257, 1_000, 4_095, 4_097])
@pytest.mark.parametrize("different", [2, 50, 10**6])
def test_pairs_in_order(n: int, different: int) -> None:
    """Counts of pairs are those of all comparisons."""
    x, y = np.random.default_rng(n).integers(0, different, (2, n))
    place = np.unique(x, return_inverse=True)[1]
    pairs = np.count_nonzero(np.triu(place[:, None] > place[None, :]))
    assert own._inversions(place) == pairs
    ones = np.ones(n)
    for metric in (il.kendall_tau_b, il.spearman):
        close(metric(x / 8, y / 8), np.asarray(metric(x / 8, y / 8, weights=ones)), 8)


@pytest.mark.parametrize("n", [1, 2, 7, 8, MANY])
def test_medians(n: int) -> None:
    """The median by parts is that of sorted samples with weights, also where one is nan."""
    p, t = numbers(7, 3, n), numbers(8, 3, n)
    for axis in (None, -1, 0):
        want = il.median_absolute_error(p, t, axis=axis, weights=np.ones((3, n)))
        np.testing.assert_array_equal(il.median_absolute_error(p, t, axis=axis), want)
    p[1, 0] = np.nan
    found = il.median_absolute_error(p, t, axis=-1)
    np.testing.assert_array_equal(np.isnan(found), [False, True, False])


@pytest.mark.parametrize("metric", [il.r2_score, il.explained_variance_score, il.pearson_correlation,
                                    il.concordance_correlation, il.D2Tweedie(power=1.5)])  # fmt: skip
@pytest.mark.parametrize("kind", ["normal", "sorted", "far", "outlier", "constant", "periodic"])
def test_moments(metric: il.Metric, kind: str) -> None:
    """Moments about a number near the mean are those of weights of 1, in blocks and at once."""
    t = 3 + np.abs(numbers(9, 200_000))
    t = {"sorted": np.sort(t), "far": t + 1e6, "constant": np.full_like(t, 0.1)}.get(kind, t)
    if kind == "outlier":
        t[0] = 1e12
    if kind == "periodic":
        t[:: len(t) // 512] += 1e3  # where the samples are that tell about the mean
    p = t + np.abs(numbers(10, len(t)))
    for n in (len(t), 1_000):
        want = metric(p[:n], t[:n], weights=np.ones(n))
        close(metric(p[:n], t[:n]), np.asarray(want), 2**12)


def test_labels_of_strings() -> None:
    """Strings are numbered in their order, whatever holds them."""
    names = np.array(["b", "", "a", "b", "ä", "aa"])
    want = (["", "a", "aa", "b", "ä"], [3, 0, 1, 3, 4, 2])
    for given in (names, names.tolist(), names.astype(object), names.reshape(2, 3)):
        labels, index = labels_of("groups", given)
        assert (labels, index.ravel().tolist()) == want
        assert index.shape == np.shape(given)
    labels, index = labels_of("groups", np.array([b"x", b"a"]))
    assert (labels, index.tolist()) == ([b"a", b"x"], [1, 0])
    labels, index = labels_of("groups", np.array([], dtype="U3"))
    assert (labels, index.tolist()) == ([], [])
