"""Predictions or targets that are several arrays: they come as a tuple, and so do their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import BACKENDS, Backend, installed

POSITIVE = il.Interval(low=0.0, low_open=True)


@dataclass(frozen=True)
class Gaussian(il.Loss):
    """Minus the logarithm of a normal density, but for a constant."""

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("mean", "variance")

    @property
    def domain(self) -> il.Domain:
        return il.Domain((il.Interval(), POSITIVE), il.Interval())

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        mean, variance = prediction
        error = target - mean
        return (xp.log(variance) + error * error / variance) / 2


@dataclass(frozen=True)
class Levels(il.Loss):
    """The mean squared error of a number plus each of a row of offsets, weighed by a second row."""

    signature: ClassVar[str] = "((),(levels)),((),(levels))->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("centre", "offsets")
    target_names: ClassVar[tuple[str, ...]] = ("value", "shares")

    @property
    def domain(self) -> il.Domain:
        return il.Domain((il.Interval(), il.Interval()), (il.Interval(), il.Interval(0.0, 1.0)))

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        (centre, offsets), (value, shares) = prediction, target
        error = xp.expand_dims(centre - value, axis=-1) + offsets
        return xp.sum(shares * error * error, axis=-1)


GAUSSIAN = Gaussian()
MEAN, VARIANCE = [1.0, 2.0, -1.0, 0.5], [1.0, 2.0, 0.5, 4.0]
TARGETS, WEIGHTS = [0.0, 2.5, -4.0, 3.0], [1.0, 0.5, 2.0, 1.5]
MASK = [True, True, False, True]


@pytest.fixture
def arrays(backend: Backend) -> tuple[Any, Any]:
    """Predictions and targets of each library."""
    mean, variance, targets = (backend.array(x, "float32") for x in (MEAN, VARIANCE, TARGETS))
    return (mean, variance), targets


def options(backend: Backend) -> dict[str, Any]:
    return {
        "weights": backend.array(WEIGHTS, "float32"),
        "where": backend.xp.asarray(np.array(MASK)),
    }


def stacked(predictions: tuple[Any, ...], dtype: str = "float64") -> np.ndarray:
    """Return the same predictions as one array, its values last."""
    return np.stack([np.asarray(x, dtype) for x in predictions], axis=-1)


def close(backend: Backend, found: Any, want: Any, ulps: int = 4) -> None:
    """Assert equality to a few ULP of float32, of the largest number."""
    got, want = np.asarray(backend.numbers(found)), np.asarray(want, float)
    assert got.shape == want.shape
    assert np.all(np.abs(got - want) <= ulps * 2.0**-23 * np.max(np.abs(want), initial=0.125))


def message(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


P64, T64, W64, M64 = (MEAN, VARIANCE), np.array(TARGETS), np.array(WEIGHTS), np.array(MASK)


def test_values(backend: Backend, arrays: Any) -> None:
    """A tuple gives what the same numbers give in one array, under every option."""
    together, whole = Together(GAUSSIAN), stacked(P64)
    p, t = arrays
    chosen = options(backend)
    want = {"weights": W64, "where": M64}
    close(backend, GAUSSIAN(p, t), together(whole, T64))
    for reduction in ("mean", "sum", "none"):
        found = GAUSSIAN(p, t, reduction=reduction, **chosen)
        assert backend.dtype(found) == "float32"
        close(backend, found, together(whole, T64, reduction=reduction, **want))
    close(backend, GAUSSIAN(p, t, denominator=7.0), together(whole, T64, denominator=7.0))
    two = tuple(backend.xp.reshape(x, (2, 2)) for x in p), backend.xp.reshape(t, (2, 2))
    for axis in (None, 0, 1, (0, 1)):
        for keepdims in (False, True):
            found = GAUSSIAN(*two, axis=axis, keepdims=keepdims)
            reshaped = whole.reshape(2, 2, 2), T64.reshape(2, 2)
            close(backend, found, together(*reshaped, axis=axis, keepdims=keepdims))
    root = il.Root(il.Exp(GAUSSIAN))
    close(backend, root(p, t), math.sqrt(math.exp(together(whole, T64))))


def test_numbers(backend: Backend, arrays: Any) -> None:
    """A number, or an array of no axis, stands for as many as there are of the others."""
    (mean, variance), t = arrays
    ones = backend.array([1.0] * 4, "float32")
    for one in (1.0, 1, backend.array(1.0, "float32")):
        close(backend, GAUSSIAN((mean, one), t), float(GAUSSIAN((mean, ones), t)))
        close(backend, GAUSSIAN((one, variance), t), float(GAUSSIAN((ones, variance), t)))
        close(backend, GAUSSIAN((mean, variance), one), float(GAUSSIAN((mean, variance), ones)))
    close(backend, GAUSSIAN((0.0, 1.0), t), np.mean(T64**2) / 2)
    value, (slope, curve) = il.value_and_gradient(GAUSSIAN, (mean, 2.0), t)
    want = il.value_and_gradient(GAUSSIAN, (mean, 2 * ones), t)
    close(backend, value, float(want[0]))
    close(backend, slope, backend.numbers(want[1][0]))
    assert tuple(curve.shape) == ()
    close(backend, curve, np.sum(backend.numbers(want[1][1])))


def test_gradients(backend: Backend, arrays: Any) -> None:
    """Gradients and second derivatives are tuples too, in the dtype of each array."""
    p, t = arrays
    chosen, want = options(backend), {"weights": W64, "where": M64}
    together, whole = Together(GAUSSIAN), stacked(P64)
    value, slopes = il.value_and_gradient(GAUSSIAN, p, t, **chosen)
    close(backend, value, together(whole, T64, **want))
    expected = il.gradient(together, whole, T64, **want)
    for found in (slopes, il.gradient(GAUSSIAN, p, t, **chosen)):
        assert isinstance(found, tuple)
        for k, one in enumerate(found):
            assert backend.dtype(one) == "float32"
            close(backend, one, expected[:, k])
    both = il.gradient_hessian(GAUSSIAN, p, t, **chosen)
    for found, of_all in zip(both, il.gradient_hessian(together, whole, T64, **want), strict=True):
        assert isinstance(found, tuple)
        for k, one in enumerate(found):
            close(backend, one, of_all[:, k])

    def function(p: Any, t: Any) -> Any:  # one's own, of a tuple as well
        return GAUSSIAN(p, t, **chosen) * 2.0

    for k, one in enumerate(il.gradient(function, p, t)):
        close(backend, one, 2 * expected[:, k])
    for one in il.gradient(GAUSSIAN, p, t, where=backend.xp.asarray(np.zeros(4, bool)), empty=0.0):
        assert backend.numbers(one) == [0.0] * 4


def test_what_is_excluded(backend: Backend, arrays: Any) -> None:
    """What stands in an excluded place of any of the arrays reaches neither value nor gradient."""
    p, t = arrays
    want = il.value_and_gradient(GAUSSIAN, p, t, **options(backend))
    spoilt = [
        [*x[:2], bad, x[3]] for x, bad in zip((*P64, TARGETS), (np.nan, -1.0, np.inf), strict=True)
    ]
    mean, variance, t = (backend.array(x, "float32") for x in spoilt)
    value, slopes = il.value_and_gradient(GAUSSIAN, (mean, variance), t, **options(backend))
    assert float(value) == float(want[0])
    for one, other in zip(slopes, want[1], strict=True):
        assert backend.numbers(one) == backend.numbers(other)
        assert backend.numbers(one)[2] == 0.0
    terms = backend.numbers(GAUSSIAN((mean, variance), t, reduction="none"))
    assert [math.isnan(term) for term in terms] == [False, False, True, False]


def test_states(backend: Backend, arrays: Any) -> None:
    """Batches merge to the whole, one by one and in a stream; several metrics are evaluated at once."""
    (mean, variance), t = arrays
    chosen = options(backend)
    parts = [slice(0, 1), slice(1, 4)]
    batch = lambda s: ((mean[s], variance[s]), t[s])  # noqa: E731
    some = [{k: v[s] for k, v in chosen.items()} for s in parts]
    one, two = (GAUSSIAN.summary(*batch(s), **o) for s, o in zip(parts, some, strict=True))
    want = Together(GAUSSIAN)(stacked(P64), T64, weights=W64, where=M64)
    close(backend, GAUSSIAN.compute(one.merge(two)), want)
    metrics = {"nll": GAUSSIAN, "root": il.Root(il.Exp(GAUSSIAN))}
    found = il.evaluate(metrics, (mean, variance), t, **chosen)
    assert list(found) == ["nll", "root"]
    close(backend, found["nll"], want)
    close(backend, found["root"], math.sqrt(math.exp(want)))
    batches = [
        {"predictions": (mean[s], variance[s]), "targets": t[s], **o}
        for s, o in zip(parts, some, strict=True)
    ]
    streamed = il.over_batches(metrics, batches)
    close(backend, streamed["nll"], want)
    streamed = il.over_batches(metrics, map(batch, parts))
    close(backend, streamed["root"], math.sqrt(math.exp(Together(GAUSSIAN)(stacked(P64), T64))))


def test_validate(backend: Backend, arrays: Any) -> None:
    """The member that is wrong is named, with its place, its value and what is allowed."""
    (mean, variance), t = arrays
    il.validate(GAUSSIAN, (mean, variance), t)
    bad = backend.array([1.0, -1.0, 0.0, 2.0], "float32")
    assert message(lambda: il.validate(GAUSSIAN, (mean, bad), t), ValueError) == (
        "Gaussian(): variance[1] is -1.0; variance must be > 0"
    )
    seen = backend.xp.asarray(np.array([True, False, True, True]))
    assert message(lambda: il.validate(GAUSSIAN, (mean, bad), t, where=seen), ValueError) == (
        "Gaussian(): variance[2] is 0.0; variance must be > 0"
    )
    lost = backend.array([1.0, 1.0, math.nan, 1.0], "float32")
    assert message(lambda: il.validate(GAUSSIAN, (lost, variance), t), ValueError) == (
        "Gaussian(): mean[2] is nan; mean must be finite"
    )


def test_wrong_inputs(backend: Backend, arrays: Any) -> None:
    """What is no tuple, or one of another length or of other shapes, is refused with its names."""
    (mean, variance), t = arrays
    kind = type(mean).__name__
    for given, found in (
        (mean, kind),
        ([mean, variance], "list"),
        ((mean,), "a tuple of 1"),
        ((mean, variance, t), "a tuple of 3"),
    ):
        want = f"Gaussian(): predictions must be a tuple (mean, variance), not {found}"
        for call in (GAUSSIAN, GAUSSIAN.summary, lambda p, t: il.gradient(GAUSSIAN, p, t)):
            assert message(lambda call=call, given=given: call(given, t), TypeError) == want
    assert message(lambda: GAUSSIAN((mean, None), t), TypeError) == (
        "Gaussian(): variance must be an array, not None"
    )
    assert message(lambda: GAUSSIAN((mean, variance[:2]), t), ValueError) == (
        "Gaussian(): mean has shape (4,), variance (2,) and targets (4,); they must be the same"
    )
    assert message(lambda: GAUSSIAN((mean, variance), t[:2]), ValueError) == (
        "Gaussian(): mean has shape (4,), variance (4,) and targets (2,); they must be the same"
    )
    column = backend.xp.reshape(variance, (4, 1))
    assert message(lambda: GAUSSIAN((mean, column), t), ValueError) == (
        "Gaussian(): mean has shape (4,), variance (4, 1) and targets (4,); they must be the same: "
        "drop the axis of length 1 with variance.squeeze(1)"
    )
    assert message(lambda: GAUSSIAN((mean, variance), t, event_axis=0), ValueError) == (
        "Gaussian(): event_axis=0 does not apply: every element is a sample of its own"
    )


@pytest.mark.skipif(not {"torch", "numpy", "jax"} <= {*installed()}, reason="needs three libraries")
def test_mixed_libraries() -> None:
    """Arrays of two libraries are refused by their names, but for NumPy beside JAX."""
    import jax.numpy as jnp
    import torch

    mean, variance, t = (np.float32(x) for x in (MEAN, VARIANCE, TARGETS))
    assert message(lambda: GAUSSIAN((mean, torch.from_numpy(variance)), t), TypeError) == (
        "Gaussian(): mean: a NumPy array, variance: a PyTorch array; "
        "convert one, e.g. variance = numpy.asarray(variance)"
    )
    assert message(
        lambda: GAUSSIAN((torch.from_numpy(mean), variance), torch.from_numpy(t)), TypeError
    ) == (
        "Gaussian(): mean: a PyTorch array, variance: a NumPy array; "
        "convert one, e.g. variance = torch.as_tensor(variance)"
    )
    for p in ((jnp.asarray(mean), variance), (mean, jnp.asarray(variance))):
        close(BACKENDS["jax"](), GAUSSIAN(p, t), float(GAUSSIAN((mean, variance), t)))
        slopes = il.gradient(GAUSSIAN, p, t)
        assert all(type(one) is type(jnp.ones(1)) for one in slopes)


def test_lists() -> None:
    """Lists are NumPy's arrays, or stand beside another library's."""
    assert GAUSSIAN((MEAN, VARIANCE), TARGETS) == GAUSSIAN(tuple(map(np.array, P64)), T64)
    for one, other in zip(
        il.gradient(GAUSSIAN, (MEAN, VARIANCE), TARGETS),
        il.gradient(GAUSSIAN, tuple(map(np.array, P64)), T64),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_jax(backend: Backend, arrays: Any) -> None:
    """A tuple is a tree to JAX's transforms: grad, jit, vmap and the Hessian take it as it is."""
    if backend.name != "jax":
        pytest.skip("transforms of JAX")
    import jax

    p, t = arrays
    want = il.gradient(Together(GAUSSIAN), stacked(P64), T64)
    f = lambda p: GAUSSIAN(p, t)  # noqa: E731
    tangents = tuple(jax.numpy.ones_like(x) for x in p)
    for found in (jax.grad(f)(p), jax.jit(jax.grad(f))(p), jax.jacfwd(f)(p)):
        for k, one in enumerate(found):
            close(backend, one, want[:, k])
    close(backend, jax.jvp(f, (p,), (tangents,))[1], np.sum(want), 16)
    terms = jax.vmap(lambda m, v, t: GAUSSIAN((m, v), t))(*p, t)
    close(backend, terms, backend.numbers(GAUSSIAN(p, t, reduction="none")))
    total = lambda p: GAUSSIAN(p, t, reduction="sum")  # noqa: E731
    hessian = jax.hessian(total)(p)
    second = il.gradient_hessian(Together(GAUSSIAN), stacked(P64), T64)[1]
    for k in range(2):
        close(backend, jax.numpy.diag(hessian[k][k]), second[:, k])
    state = jax.jit(lambda p: GAUSSIAN.summary(p, t))(p)
    close(backend, GAUSSIAN.compute(state), float(f(p)))


def test_torch(backend: Backend, arrays: Any) -> None:
    """autograd fills the gradient of each tensor; torch.func and the compiler take the tuple."""
    if backend.name != "torch":
        pytest.skip("transforms of PyTorch")
    import torch

    p, t = arrays
    want = il.gradient(Together(GAUSSIAN), stacked(P64), T64)
    leaves = tuple(x.clone().requires_grad_() for x in p)
    found = torch.autograd.grad(GAUSSIAN(leaves, t), leaves)
    GAUSSIAN(leaves, t).backward()
    f = lambda p: GAUSSIAN(p, t)  # noqa: E731
    for slopes in (
        found,
        tuple(x.grad for x in leaves),
        torch.func.grad(f)(p),
        torch.func.jacfwd(f)(p),
    ):
        for k, one in enumerate(slopes):
            close(backend, one, want[:, k])
    assert not GAUSSIAN(p, t).requires_grad
    only = p[0], leaves[1]  # of two members, one may require a gradient
    (slope,) = torch.autograd.grad(GAUSSIAN(only, t), only[1])
    close(backend, slope, want[:, 1])
    terms = torch.func.vmap(lambda m, v, t: GAUSSIAN((m, v), t))(*p, t)
    close(backend, terms, backend.numbers(GAUSSIAN(p, t, reduction="none")))
    compiled = torch.compile(f, fullgraph=True, backend="eager")
    close(backend, compiled(p), float(f(p)))


def rows(backend: Backend) -> tuple[tuple[Any, Any], tuple[Any, Any], float]:
    """Return predictions and targets of `Levels`, and its value by NumPy."""
    rng = np.random.default_rng(3)
    centre, value = rng.normal(size=(2, 2, 3)).astype("float32")
    offsets, shares = rng.uniform(0.25, 1, size=(2, 2, 3, 4)).astype("float32")
    want = np.mean(np.sum(shares * (np.float64(centre - value)[..., None] + offsets) ** 2, axis=-1))
    make = lambda x: backend.xp.asarray(x)  # noqa: E731
    return (make(centre), make(offsets)), (make(value), make(shares)), float(want)


def test_rows(backend: Backend) -> None:
    """Members may be rows beside numbers, in predictions and in targets, along any axis."""
    metric = Levels()
    p, t, want = rows(backend)
    close(backend, metric(p, t), want)
    assert tuple(metric(p, t, reduction="none").shape) == (2, 3)
    first = tuple(backend.xp.moveaxis(x, -1, 0) if len(x.shape) == 3 else x for x in (*p, *t))
    close(backend, metric(first[:2], first[2:], event_axis=0), want)
    centre, offsets = il.gradient(metric, p, t)
    assert tuple(centre.shape) == (2, 3)
    assert tuple(offsets.shape) == (2, 3, 4)
    shares = np.asarray(backend.numbers(t[1]))
    error = np.asarray(backend.numbers(p[0])) - np.asarray(backend.numbers(t[0]))
    error = error[..., None] + np.asarray(backend.numbers(p[1]))
    close(backend, offsets, 2 * shares * error / 6, 8)
    close(backend, centre, np.sum(2 * shares * error / 6, axis=-1), 8)
    first_order, second_order = il.gradient_hessian(metric, p, t)
    close(backend, first_order[1], 2 * shares * error, 8)
    close(backend, second_order[0], np.sum(2 * shares, axis=-1), 8)
    close(backend, second_order[1], 2 * shares, 8)
    states = [
        metric.summary(tuple(x[k : k + 1, ...] for x in p), tuple(x[k : k + 1, ...] for x in t))
        for k in (0, 1)
    ]
    close(backend, metric.compute(states[0].merge(states[1])), want)
    close(backend, il.evaluate({"rows": metric}, p, t)["rows"], want)


def test_wrong_rows(backend: Backend) -> None:
    """A row of another length, a missing axis, a tuple that is none: each is named."""
    metric = Levels()
    (centre, offsets), (value, shares), _ = rows(backend)
    assert message(lambda: metric((centre, offsets), value), TypeError) == (
        f"Levels(): targets must be a tuple (value, shares), not {type(value).__name__}"
    )
    assert message(lambda: metric((centre, offsets), (value, shares[..., :2])), ValueError) == (
        "Levels(): centre has shape (2, 3), offsets (2, 3, 4), value (2, 3) and shares (2, 3, 2); "
        "centre must be (...) where offsets are (..., levels) and value is (...) and shares are (..., levels)"
    )
    assert message(lambda: metric((centre, offsets), (value, value)), ValueError) == (
        "Levels(): centre has shape (2, 3), offsets (2, 3, 4), value (2, 3) and shares (2, 3); "
        "centre must be (...) where offsets are (..., levels) and value is (...) and shares are (..., levels)"
    )
    assert message(lambda: metric((centre, offsets[..., :0]), (value, shares)), ValueError) == (
        "Levels(): offsets have shape (2, 3, 0): the axis of levels is empty"
    )
    assert message(lambda: metric((centre, 1.0), (value, shares)), ValueError) == (
        "Levels(): offsets have shape (): a last axis of levels is needed"
    )
    outside = -shares
    assert message(
        lambda: il.validate(metric, (centre, offsets), (value, outside)), ValueError
    ).startswith("Levels(): shares[0, 0, 0] is -")


def test_declarations() -> None:
    """Wrappers have the names of what they wrap; a tuple metric is no mean of single numbers."""
    for wrapped in (il.Root(GAUSSIAN), il.Scaled(GAUSSIAN, 2.0), il.Exp(GAUSSIAN)):
        assert wrapped.prediction_names == ("mean", "variance")
        assert wrapped.parts == (((), ()), ((),))
        assert wrapped.elementwise is False
    assert Levels.parts == (((), ("levels",)), ((), ("levels",)))
    assert repr(GAUSSIAN) == "Gaussian()"
    assert hash(GAUSSIAN) == hash(Gaussian())
