"""The numbers that carry derivatives: every function they know, against finite differences.

A `Node` of the tape carries how it came about, a `Jet` its first and second derivative. A user's
own loss may use any of these functions, along any axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import close
from isoloss._core.carrier import DERIVATIVES, plain
from isoloss._core.jets import Jet, JetLibrary
from isoloss._core.library import library_of
from isoloss._core.tape import Node, TapeLibrary
from isoloss._core.tape import gradient as walk_back

Function = Callable[[Any, Any], Any]  # of xp and an array of shape (2, 3, 4)

# 0.51, 0.53, ..., 0.97 in some order: no two are equal, and no kink below is near any
X = np.random.default_rng(0).permutation(np.arange(51, 98, 2)).reshape(2, 3, 4) / 100
Y = np.random.default_rng(1).uniform(1.0, 2.0, (2, 3, 4))
ORDER = np.argsort(X, axis=1)
EITHER: dict[str, Function] = {  # both carriers know these
    "x + y": lambda xp, x: x + Y,
    "y - x": lambda xp, x: Y - x,
    "x - y": lambda xp, x: x - Y,
    "-x": lambda xp, x: -x,
    "abs(x - y)": lambda xp, x: abs(x - Y),
    "x - x * y": lambda xp, x: x - x * Y,
    "y / x": lambda xp, x: Y / x,
    "x / y": lambda xp, x: x / Y,
    "x / (x + y)": lambda xp, x: x / (x + Y),
    "x ** 3": lambda xp, x: x**3,
    "x ** 1": lambda xp, x: x**1,
    "x ** 0": lambda xp, x: x**0 * x,
    "x ** y": lambda xp, x: x**Y,
    "2 x": lambda xp, x: xp.sum(2 * x, axis=1) + xp.mean(x * 3, axis=1),
    "2 ** x": lambda xp, x: 2**x,
    "x x": lambda xp, x: x * x,
    "(x y) (x x)": lambda xp, x: (x * Y) * (x * x),
    "x y of fewer axes": lambda xp, x: x * Y[0, 0] + x / Y[:, :1],
    "subtract": lambda xp, x: xp.subtract(x * x, xp.add(x, Y)),
    "multiply, divide": lambda xp, x: xp.divide(xp.multiply(x, x), x + 1),
    "pow": lambda xp, x: xp.pow(x, 2.5),
    "maximum": lambda xp, x: xp.maximum(x * x, 0.72 * x),
    "minimum": lambda xp, x: xp.minimum(x * x, 0.72**2 + 0 * Y),
    "where": lambda xp, x: xp.where(x > 0.7, x * x, x),
    "where, y": lambda xp, x: xp.where(x > 0.7, Y, x * x),
    "where, x": lambda xp, x: xp.where(x > 0.7, x, 1.0),
    "where, 1": lambda xp, x: xp.where(x > 0.7, 1.0, x),
    "where of constants": lambda xp, x: xp.where(x > 0.7, Y, 2 * Y) * x,
    "where of a bool": lambda xp, x: xp.where(True, x, x * x) + xp.where(False, x, x * x),
    "clip": lambda xp, x: xp.clip(x, 0.6, 0.8),
    "x.sum": lambda xp, x: (x * Y).sum() + (x * x).sum(axis=(0, 2), keepdims=True) + x.sum(1)[:, None, :],
    "x.mean": lambda xp, x: (x * Y).mean() + (x * x).mean(axis=-1) * x.mean(2),
    "x.max": lambda xp, x: (x * Y).max() + (x * x).max(axis=1),
    "x.min": lambda xp, x: (x * Y).min() + (x * x).min(axis=1, keepdims=True),
    "x.var": lambda xp, x: x.var() + x.var(axis=1, keepdims=True) * x,
    "x.std": lambda xp, x: x.std() * x.std(0),
    "x.reshape": lambda xp, x: x.reshape(6, 4) * x.reshape((6, -1)) + x.reshape(-1, 4),
    "x.ravel": lambda xp, x: x.ravel() * x.flatten() * x.reshape(24),
    "x.T": lambda xp, x: x.T * x.transpose() * x.transpose(2, 1, 0) * x.transpose((-1, 1, 0)),
    "x.swapaxes": lambda xp, x: x.swapaxes(0, -1) * Y.T,
    "x.squeeze": lambda xp, x: x.sum(1, keepdims=True).squeeze() * x[:, :1].squeeze(1),
    "x.astype": lambda xp, x: x.astype("float64") * x.astype(np.float64) * x.copy(),
    "x.clip": lambda xp, x: x.clip(0.6, 0.8) + x.clip(min=0.7) * x.clip(max=0.7),
    "x.cumsum": lambda xp, x: x.cumsum(1).ravel() * x.cumsum(),
    "x @ y": lambda xp, x: x @ Y.swapaxes(1, 2) + Y @ x.swapaxes(1, 2),
    "np.mean and others": lambda xp, x: np.mean(x, axis=0) * np.sum(x) + np.max(x) - np.min(x, 0),
    "np.reshape and others": lambda xp, x: np.reshape(x, (4, 6)) * np.transpose(x).reshape(4, 6),
    "for row in x": lambda xp, x: sum(row * row for row in x) / (len(x) * x.size),
    "clip of y": lambda xp, x: xp.clip(Y, 1.2, 1.5) * x,
    "clip between x": lambda xp, x: xp.clip(Y, 2 * x, 1.98 * x + 0.1),
    "clip of x between x": lambda xp, x: xp.clip(x, 0.72**2 + 0 * x, max=x * x + 0.2),
    "clip of x x": lambda xp, x: xp.clip(x * x, max=0.72**2),
    "sum": lambda xp, x: xp.sum(x * x),
    "sum, axis": lambda xp, x: xp.sum(x * x, axis=1),
    "sum, axes": lambda xp, x: xp.sum(x, axis=(0, -1)),
    "sum, keepdims": lambda xp, x: x * xp.sum(x, axis=-1, keepdims=True),
    "mean": lambda xp, x: xp.mean(x * x),
    "mean, axis": lambda xp, x: xp.mean(x, axis=1),
    "mean, axes": lambda xp, x: xp.mean(x * x, axis=(0, 2)),
    "mean, keepdims": lambda xp, x: x * xp.mean(x, axis=0, keepdims=True),
    "total": lambda xp, x: x * xp.total(x, (1,)),
    "reshape": lambda xp, x: xp.reshape(x, (6, 4)) * np.reshape(Y, (6, 4)),
    "permute_dims": lambda xp, x: xp.permute_dims(x, (1, 2, 0)) * np.transpose(Y, (1, 2, 0)),
    "moveaxis": lambda xp, x: xp.moveaxis(x, 0, 2) * np.moveaxis(Y, 0, 2),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=1) * np.expand_dims(Y, 1),
    "squeeze": lambda xp, x: xp.squeeze(xp.expand_dims(x, axis=2), axis=2) * Y,
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (5, 2, 3, 4)) * Y,
    "stack": lambda xp, x: xp.stack([x, x * x, Y + 0 * x]) * np.stack([Y, Y, Y]),
    "stack, axis": lambda xp, x: xp.stack([x, x * x], axis=-1) * np.stack([Y, 2 * Y], axis=-1),
    "astype": lambda xp, x: xp.astype(x, xp.float64) * Y,
    "matmul": lambda xp, x: xp.matmul(x * x, np.moveaxis(Y, -1, -2)) + xp.matmul(Y[0], xp.moveaxis(x, -1, -2)),
    "matmul of x and x": lambda xp, x: xp.matmul(x, xp.moveaxis(x, -1, -2)) * Y[..., :3],
    "x[..., k]": lambda xp, x: x[..., 1] * x[..., -1] * Y[..., 0],
    "rel": lambda xp, x: xp.relative_expm1(x),
    "xlogy": lambda xp, x: xp.xlogy(Y, x),
    "log_ratio": lambda xp, x: xp.log_ratio(x, Y / 2),
    "lgamma": lambda xp, x: xp.lgamma(x + 1.0),
    "sqrt": lambda xp, x: xp.sqrt(x),
}  # fmt: skip
UNARY: dict[str, Function] = {
    name: lambda xp, x, name=name: getattr(xp, name)(x * x + 0.01) for name in DERIVATIVES
}
TAPE: dict[str, Function] = {  # metrics of the whole sample need these, and only for the gradient
    "max": lambda xp, x: xp.max(x * Y),
    "max, axis": lambda xp, x: xp.max(x * Y, axis=1) * Y[:, 0],
    "max, keepdims": lambda xp, x: x * xp.max(x, axis=-1, keepdims=True),
    "take_along_axis": lambda xp, x: xp.take_along_axis(x, ORDER, axis=1) * Y,
}


def on_numpy(function: Function, x: np.ndarray) -> np.ndarray:
    """Evaluate without carriers, on the namespace that NumPy arrays get."""
    return function(library_of(x).namespace("float64", True), x)


def differences(function: Function, x: np.ndarray, along: np.ndarray) -> tuple[Any, Any]:
    """Return first and second derivative along a direction, by differences of the fourth order."""
    h = 2.0**-9
    low2, low1, mid, up1, up2 = (on_numpy(function, x + k * h * along) for k in (-2, -1, 0, 1, 2))
    first = (low2 - 8 * low1 + 8 * up1 - up2) / (12 * h)
    return first, (-low2 + 16 * low1 - 30 * mid + 16 * up1 - up2) / (12 * h * h)


def near(got: Any, want: Any, digits: int) -> None:
    """Assert equality to as many digits as finite differences have."""
    want = np.asarray(want, dtype=float)
    got = np.broadcast_to(np.asarray(got, dtype=float), want.shape)
    close(got, want, 10.0**-digits / np.finfo(float).eps, max(np.max(np.abs(want)), 1.0))


@pytest.mark.parametrize("name", [*EITHER, *UNARY, *TAPE])
def test_tape(name: str) -> None:
    """The gradient of a weighted sum of results is that of finite differences, in every entry."""
    function = (EITHER | UNARY | TAPE)[name]
    library = TapeLibrary(library_of(X))
    node = Node(X, library, varies=True)
    xp = library.namespace("float64", True)
    output = function(xp, node)
    np.testing.assert_array_max_ulp(output.value, on_numpy(function, X), 1)
    shape = output.shape
    weights = np.random.default_rng(2).uniform(1.0, 2.0, shape)
    slope = walk_back(xp.sum(output * weights), (node,), library.under.namespace("float64", True))[
        0
    ]
    weighted = lambda xp, x: np.sum(function(xp, x) * weights)  # noqa: E731
    assert slope.shape == X.shape
    for place in np.ndindex(X.shape):
        along = np.zeros_like(X)
        along[place] = 1.0
        near(slope[place], differences(weighted, X, along)[0], 8)


@pytest.mark.parametrize("second", [True, False])
@pytest.mark.parametrize("direction", ["one", "any"])
@pytest.mark.parametrize("name", [*EITHER, *UNARY])
def test_jets(name: str, direction: str, second: bool) -> None:
    """First and second derivatives are those of finite differences; 1.0 is the slope of all entries."""
    function = (EITHER | UNARY)[name]
    library = JetLibrary(library_of(X), second)
    along = np.ones_like(X) if direction == "one" else Y - 1.5
    first = 1.0 if direction == "one" else along
    xp = library.namespace("float64", True)
    jet = function(xp, Jet(X, first, None, library))
    np.testing.assert_array_max_ulp(jet.value, on_numpy(function, X), 1)
    for part, want, digits in zip(
        (jet.first, jet.second), differences(function, X, along), (8, 5), strict=True
    ):
        if digits == 8 or second:
            near(0.0 if part is None else part, want, digits)


def test_ties_share() -> None:
    """Where a maximum or a minimum is reached twice, each side gets half of the derivative."""
    for carrier in (TapeLibrary, JetLibrary):
        library = carrier(library_of(X))
        xp = library.namespace("float64", True)
        for name, sides in (("maximum", (1.0, 0.0)), ("minimum", (0.0, 1.0))):
            x, other = np.array([3.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.0])
            want = [sides[0], sides[1], 0.5]
            if carrier is TapeLibrary:
                for one, two, share in ((x, other, want), (other, x, [*want[1::-1], 0.5])):
                    node = Node(one, library, varies=True)
                    output = getattr(xp, name)(node, two)
                    assert (
                        walk_back(output, (node,), library.under.namespace("float64", True))[
                            0
                        ].tolist()
                        == share
                    )
                    output = getattr(xp, name)(xp.stop_gradient(two), node)
                    assert (
                        walk_back(output, (node,), library.under.namespace("float64", True))[
                            0
                        ].tolist()
                        == share
                    )
            else:
                jet = getattr(xp, name)(Jet(x, np.ones(3), None, library), other)
                assert jet.first.tolist() == want


def test_ties_of_a_maximum_share() -> None:
    """The gradient of the largest of several equal numbers is shared among them."""
    library = TapeLibrary(library_of(X))
    xp = library.namespace("float64", True)
    node = Node(np.array([[1.0, 4.0, 4.0], [2.0, 0.0, 1.0]]), library, varies=True)
    raw = library.under.namespace("float64", True)
    assert walk_back(xp.max(node), (node,), raw)[0].tolist() == [[0, 0.5, 0.5], [0, 0, 0]]
    assert walk_back(xp.sum(xp.max(node, axis=1)), (node,), raw)[0].tolist() == [
        [0, 0.5, 0.5],
        [1, 0, 0],
    ]


def test_powers_at_zero() -> None:
    """The derivatives of x^0, x^1 and x^2 at 0 are 0 and 0, 1 and 0, 0 and 2."""
    library = JetLibrary(library_of(X))
    for n, slope, curvature in ((0, 0.0, 0.0), (1, 1.0, 0.0), (2, 0.0, 2.0)):
        xp = library.namespace("float64", True)
        jet = xp.pow(Jet(np.zeros(3), np.ones(3), None, library), n)
        for part, want in ((jet.first, slope), (jet.second, curvature)):
            np.testing.assert_array_equal(0.0 if part is None else part, want)


def test_constants_and_questions() -> None:
    """Questions are answered of the values; constants and stopped gradients carry nothing."""
    for library, carrier in (
        (tape := TapeLibrary(library_of(X)), Node(X, tape, varies=True)),
        (jets := JetLibrary(library_of(X)), Jet(X, 1.0, None, jets)),
    ):
        xp = library.namespace("float64", True)
        for name, want in (("isfinite", True), ("isnan", False), ("isinf", False)):
            assert np.all(getattr(xp, name)(carrier) == want)
        assert xp.any(carrier > 0.7)
        assert not xp.all(carrier > 0.7)
        for answer, want in (
            (carrier < 0.5, X < 0.5), (carrier <= X, X <= X), (carrier >= 0.5, X >= 0.5),
            (carrier > Y, X > Y), (carrier == X, X == X), (carrier != Y, X != Y),
            (xp.argsort(carrier, axis=1), ORDER), (xp.argmax(carrier), np.argmax(X)),
        ):  # fmt: skip
            np.testing.assert_array_equal(plain(answer), want)
        assert (carrier.shape, carrier.ndim, carrier.dtype) == (X.shape, 3, X.dtype)
        made = (
            xp.zeros_like(carrier), xp.ones_like(carrier), xp.full_like(carrier, 2.0),
            xp.stop_gradient(carrier),
        )  # fmt: skip
        for one, want in zip(made, (0 * X, 0 * X + 1, 0 * X + 2, X), strict=True):
            np.testing.assert_array_equal(plain(one), want)
            if isinstance(one, Node):
                assert not one.varies
                assert not (one * one).parents
                raw = library.under.namespace("float64", True)
                assert not np.any(walk_back(xp.sum(one), (carrier,), raw)[0])
            else:
                assert one.first is None
                assert one.second is None


def test_indexing() -> None:
    """The tape knows where each number came from, by whatever key it was taken."""
    library = TapeLibrary(library_of(X))
    xp, raw = library.namespace("float64", True), library.under.namespace("float64", True)
    whole = np.arange(24.0).reshape(2, 3, 4)
    for key in (
        1,
        (0, 2),
        (..., slice(1, 3)),
        (0, slice(None), -1),
        (..., 2),
        (..., 0, slice(None)),
    ):
        node = Node(whole, library, varies=True)
        want = np.zeros_like(whole)
        want[key] = 2 * whole[key]
        np.testing.assert_array_equal(
            walk_back(xp.sum(node[key] * node[key]), (node,), raw)[0], want
        )


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "the mean of columns": lambda p, t: il.r2(p, t, axis=0).mean(),
    "the sum of rows": lambda p, t: il.r2(p, t, axis=1).sum(),
    "transposed": lambda p, t: il.r2(p.T, t.T, axis=1).mean(),
    "in a row": lambda p, t: il.r2(p.reshape(3, 4), t.reshape(3, 4), axis=0).mean(),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_written_with_a_metric(
    backend: Backend, function: Callable[[Any, Any], Any]
) -> None:
    """`gradient` takes what one writes with the methods of arrays: each value adds its own slope."""
    p, t = (
        np.arange(12.0).reshape(3, 4) % 5,
        np.arange(12.0).reshape(3, 4) % 7 + Y.ravel()[:12].reshape(3, 4),
    )
    if backend.name == "array_api_strict":
        pytest.skip("its arrays have no methods")
    found = il.gradient(function, *(backend.array(x.tolist(), "float32") for x in (p, t)))
    p, t = (np.float32(x) for x in (p, t))
    rows = function is FUNCTIONS["the sum of rows"]
    lines = [(k, slice(None)) if rows else (slice(None), k) for k in range(3 if rows else 4)]
    want = np.zeros_like(p)
    for line in lines:
        want[line] = il.gradient(il.r2, p[line], t[line]) / (1 if rows else 4)
    close(found, want, 16, "largest")


@pytest.mark.parametrize("kind", [TapeLibrary, JetLibrary])
def test_methods_work_before_any_metric_was_evaluated(kind: Any) -> None:
    """The first thing a function does may be a method of its array."""
    made = kind(library_of(np.zeros(1)))
    assert made.carrier(np.ones(4)).reshape(2, 2).mean().value == 1.0


@pytest.mark.skipif(np.longdouble is np.float64, reason="there is no long double")
def test_long_doubles_leave_no_trace() -> None:
    """Gradients of float64 are of float64 after those of long doubles too."""
    for dtype in (np.float64, np.longdouble, np.float64):
        p = np.array([math.inf, 1.0], dtype)
        value, slope = il.value_and_gradient(il.rmse, p, np.zeros(2, dtype))
        assert np.asarray(value).dtype == np.asarray(slope).dtype == dtype


def test_a_number_has_no_derivative() -> None:
    """A number taken out of an array would lose its derivative without a word; it is refused."""
    for call in (lambda p, t: il.mse(p, t).item(), lambda p, t: float(il.mse(p, t))):
        with pytest.raises(TypeError, match=r"^item\(\) and float\(\) return a number without its"):
            il.gradient(call, [1.0, 2.0], [1.0, 1.0])
    with pytest.raises(TypeError, match=r"^sum takes axis= and keepdims= here, not out=$"):
        il.gradient(lambda p, t: p.sum(out=np.zeros(())), [1.0, 2.0], [1.0, 1.0])
