"""The functions that the standard lacks, against mpmath, across every threshold inside them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import pytest
from mpmath import mpf

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import distance
from isoloss._core.inputs import namespace_for
from isoloss._core.library import library_of

NEAR = [0.0, 1e-30, 1e-8, 1e-3, 0.25, 0.99, 1.0, 1.01, 1.5, 2.0, 3.0, 7.0, 20.0, 44.0]
FAR = [63.0, 64.0, 65.0, 70.0, 100.0, 1e4, 1e8, 1e15]
POSITIVE = [
    1e-30,
    1e-8,
    0.01,
    0.5,
    0.9,
    1.0,
    1.01,
    1.4,
    1.5,
    1.6,
    2.0,
    2.3,
    2.5,
    2.6,
    3.0,
    3.6,
    5.2,
]
BEYOND_8 = [6.5, 7.9, 8.0, 8.1, 8.5, 9.0, 9.1, 10.0, 12.5, 20.0, 60.0, 1e3, 1e8, 1e20]
SIGNS = [sign * x for x in NEAR for sign in (1, -1)]
NORMAL = [0.0, 1e-8, 1e-3, 0.3, 0.49, 0.51, 0.7, 0.99, 1.01, 1.3, 2.1, 3.3, 5.7, 8.9]
FINITE = [sign * x for x in NORMAL for sign in (1, -1)]
TAIL = [-9.3, -11.7, -12.9]  # of the normal distribution, that float32 still holds


def ndtr(x: mpf) -> mpf:
    """The distribution function by its complement, which has all digits in the lower tail."""
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def log_ndtr(x: mpf) -> mpf:
    return mpmath.log(ndtr(x)) if x < 0 else mpmath.log1p(-ndtr(-x))


def density(x: mpf) -> mpf:
    return mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)


def hazard(x: mpf) -> mpf:
    return density(x) / ndtr(x)


def stirling_error(t: mpf) -> mpf:
    if t < 1e-5:
        return t / 12 - t**3 / 360 + t**5 / 1260
    x = 1 / t
    formula = (x + mpf(1) / 2) * mpmath.log(x) - x + mpmath.log(2 * mpmath.pi) / 2
    return mpmath.loggamma(x + 1) - formula


# name: the exact function, its arguments, the ULP allowed in float64 and in float32
Case = tuple[Callable[..., Any], list[tuple[float, ...]], float, float]
CASES: dict[str, Case] = {
    "lgamma": (mpmath.loggamma, [(x,) for x in POSITIVE + BEYOND_8], 8, 16),
    "log_cosh": (
        lambda x: mpmath.log(mpmath.cosh(x)),
        [(x,) for x in SIGNS + FAR if x == 0 or abs(x) > 1e-10],  # of smaller ones float32 keeps 0
        4,
        4,
    ),
    "sqrt1pm1": (
        lambda x: mpmath.sqrt(1 + x * x) - 1,
        [(x,) for x in SIGNS + FAR if x == 0 or abs(x) > 1e-10],
        4,
        4,
    ),
    "relative_expm1": (
        lambda x: mpmath.expm1(x) / x - 1 if x else mpf(0),
        [(x,) for x in SIGNS],
        8,
        8,
    ),
    "log_ratio": (
        lambda x, y: mpmath.log(x / y),
        list(itertools.product([0.1, 0.49, 0.5, 0.51, 0.999, 1.0, 1.2, 1.49, 1.5, 1.51, 9.0], [1.0, 3.0])),
        4,
        4,
    ),
    "xlogy": (
        lambda x, y: x * mpmath.log(y) if x else mpf(0),
        [*itertools.product([0.0, 1e-8, 0.5, 1.0, 7.0], [1e-20, 0.5, 1.0, 3.0]), (0.0, 0.0)],
        4,
        4,
    ),
    "erf": (mpmath.erf, [(x,) for x in [*FINITE, 1e4, -1e30]], 4, 4),
    "erfc": (mpmath.erfc, [(x,) for x in [*FINITE, -1e4]], 4, 4),
    "ndtr": (ndtr, [(x,) for x in [*FINITE, *TAIL, 1e4]], 4, 4),
    "log_ndtr": (log_ndtr, [(x,) for x in [*FINITE, *TAIL, -40.0, -1e4, 11.3]], 4, 4),
    "relative_log1p": (
        lambda x: 1 - mpmath.log1p(x) / x if x else mpf(0),
        [(sign * x,) for x in (0.0, 1e-8, 1e-3, 0.3, 0.66) for sign in (1, -1)]
        + [(x,) for x in (1.0, 1.99, 2.01, 10.0, 1e8, 1e20)],
        4,
        4,
    ),
    "exp_remainder": (
        lambda x: (mpmath.expm1(x) - x) / x**2 if x else mpf(1) / 2,
        [(x,) for x in (0.0, 1e-8, -1e-3, 0.3, -0.99, 0.99, 1.01, -1.01, -5.0, 20.0, -1e3, -1e8)],
        8,
        8,
    ),
    # below 1 in terms of 1 / t, to an ULP of 1
    "stirling_error": (
        stirling_error,
        [(t,) for t in (1e-20, 1e-8, 1e-3, 0.1, 0.5, 0.99, 1.01, 1.5, 3.0, 50.0, 1e8, 1e20)],
        24,
        24,
    ),
}  # fmt: skip

# name: the exact first and second derivative
SLOPES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "erf": (
        lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x),
        lambda x: -4 * x / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x),
    ),
    "erfc": (
        lambda x: -2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x),
        lambda x: 4 * x / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x),
    ),
    "ndtr": (density, lambda x: -x * density(x)),
    "log_ndtr": (hazard, lambda x: -hazard(x) * (hazard(x) + x)),
}


@dataclass(frozen=True)
class Function(il.Loss):
    """A function of the prediction alone, by its name."""

    name: str

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        return getattr(xp, self.name)(prediction)


@pytest.mark.parametrize("name", SLOPES)
def test_derivatives(backend: Backend, name: str) -> None:
    """The error function and its relatives have exact derivatives, in every mode, of both orders."""
    points = [sign * (0.03 + 0.2 * k) for k in range(16) for sign in (1, -1)]  # 32: a mean is exact
    points[-1] = -30.0 if name == "log_ndtr" else points[-1]
    dtype = backend.dtypes[-1]
    x = backend.array(points, dtype)
    rounded, function = list(map(mpf, backend.numbers(x))), Function(name)
    found = dict.fromkeys(backend.modes)
    for mode in found:
        slope = backend.gradient(mode, function, x, x)
        found[mode] = [len(points) * one for one in backend.numbers(slope)]
    first, second = map(backend.numbers, il.gradient_hessian(function, x, x))
    with mpmath.workdps(60):
        exact = [[mpmath.nstr(f(one), 40) for one in rounded] for f in SLOPES[name]]
    for got, wanted in (*((got, exact[0]) for got in (first, *found.values())), (second, exact[1])):
        errors = [distance(*pair, dtype) for pair in zip(got, wanted, strict=True)]
        assert max(errors) <= 16, (max(errors), points[errors.index(max(errors))])


def test_infinite_arguments(backend: Backend) -> None:
    """Functions have their limits at infinity, and nan stays nan."""
    x = backend.array([float("inf"), float("-inf"), float("nan")], backend.dtypes[-1])
    xp = namespace_for(library_of(x), x, x.dtype)
    assert xp is not None
    with xp.quiet():
        for name, limits in {
            "erf": (1.0, -1.0), "erfc": (0.0, 2.0), "ndtr": (1.0, 0.0),
            "log_ndtr": (0.0, float("-inf")),
        }.items():  # fmt: skip
            *found, lost = backend.numbers(getattr(xp, name)(x))
            assert tuple(found) == limits
            assert lost != lost


def test_rank(backend: Backend) -> None:
    """Equal numbers share the mean of their ranks, along the last of any number of axes."""
    rows = [[[3.0, 1.0, 2.0], [5.0, 5.0, 5.0]], [[0.0, -0.0, -1.0], [2.0, 1.0, 2.0]]]
    wanted = [[[3.0, 1.0, 2.0], [2.0, 2.0, 2.0]], [[2.5, 2.5, 1.0], [2.5, 1.0, 2.5]]]
    for numbers, ranks in ((rows, wanted), (rows[0][:1], wanted[0][:1])):
        x = backend.array(numbers, backend.dtypes[-1])
        xp = namespace_for(library_of(x), x, x.dtype)
        assert xp is not None
        assert backend.numbers(xp.rank(x)) == ranks


def test_euclidean_norm(backend: Backend) -> None:
    """A norm is in range where its square is not."""
    huge = 1e300 if backend.dtypes[-1] == "float64" else 1e30
    x = backend.array([[3 * huge, 4 * huge], [3 / huge, 4 / huge], [0.0, 0.0]], backend.dtypes[-1])
    xp = namespace_for(library_of(x), x, x.dtype)
    assert xp is not None
    found = backend.numbers(xp.euclidean_norm(x))
    for one, other in zip(found, (5 * huge, 5 / huge, 0.0), strict=True):
        assert abs(one - other) <= 3 * xp.eps * abs(other)


@pytest.mark.parametrize("name", CASES)
def test_value(backend: Backend, name: str) -> None:
    """The function is right on both sides of its thresholds."""
    exact, arguments, *limits = CASES[name]
    dtype = backend.dtypes[-1]
    columns = [backend.array(list(column), dtype) for column in zip(*arguments, strict=True)]
    xp = namespace_for(library_of(columns[0]), columns[0], columns[0].dtype)
    assert xp is not None
    with xp.quiet():
        found = backend.numbers(getattr(xp, name)(*columns))
    rounded = zip(*(backend.numbers(column) for column in columns), strict=True)
    with mpmath.workdps(60):
        wanted = [mpmath.nstr(exact(*map(mpf, one)), 40) for one in rounded]
    errors = [distance(*pair, dtype, flushes=True) for pair in zip(found, wanted, strict=True)]
    worst = max(zip(errors, arguments, strict=True))
    assert worst[0] <= limits[dtype == "float32"], worst


def test_unit_vector(backend: Backend) -> None:
    """Vectors lie along the last of any number of axes."""
    rows = [[[3.0, 4.0], [0.0, 0.0], [5.0, 12.0]], [[0.0, -2.0], [8.0, 6.0], [1.0, 0.0]]]
    wanted = [[[0.6, 0.8], [0.0, 0.0], [5 / 13, 12 / 13]], [[0.0, -1.0], [0.8, 0.6], [1.0, 0.0]]]
    x = backend.array(rows, backend.dtypes[-1])
    xp = namespace_for(library_of(x), x, x.dtype)
    assert xp is not None
    found = backend.numbers(xp.unit_vector(x))
    flat = itertools.chain.from_iterable
    for one, other in zip(flat(flat(found)), flat(flat(wanted)), strict=True):
        assert abs(one - other) <= 2 * xp.eps * abs(other)


def test_small_helpers(backend: Backend) -> None:
    """Constants follow the array beside them, or the computation; a Python bool chooses at once."""
    x, n = backend.array([0.5, 2.0], "float32"), backend.array([1, 2], "int32")
    xp = namespace_for(library_of(x), x, x.dtype)
    assert xp is not None
    for like in (x, n):
        for make, number in ((xp.zeros_like, 0), (xp.ones_like, 1)):
            assert backend.dtype(make(like)) == backend.dtype(like)
            assert backend.numbers(make(like)) == [number, number]
            assert backend.dtype(make(like, dtype=xp.computing)) == xp.computing_name
    assert xp.where(True, x, n) is x
    assert xp.where(False, x, n) is n
    chosen = xp.where(x > 1, 1.0, 0)
    assert backend.dtype(chosen) == xp.computing_name
    assert backend.numbers(chosen) == [0, 1]
    for function, want in ((xp.maximum, [1, 2]), (xp.minimum, [0.5, 1])):
        for pair in ((x, 1.0), (1, x)):
            assert backend.numbers(function(*pair)) == want
    assert backend.numbers(xp.clip(x, 1, 1.5)) == [1, 1.5]
