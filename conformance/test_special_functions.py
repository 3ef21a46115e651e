"""The functions that the standard lacks, against mpmath, across every threshold inside them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
from libraries import Backend
from mpmath import mpf
from ulp import distance

from isoloss._arrays import namespace_for
from isoloss._namespaces import library_of

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
}  # fmt: skip


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
