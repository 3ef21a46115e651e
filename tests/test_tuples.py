"""Predictions or targets that are several arrays: a tuple of them, whose gradient is a tuple too.

What holds of every metric holds of these as well, and is in test_laws.py. Here is what only a tuple
can have: names of its members, numbers and lists among them, members of other shapes and libraries.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend, installed
from conformance.kit.comparison import close


@dataclass(frozen=True)
class Levels(il.Loss):
    """A user's own loss: a number plus each of a row of offsets, squared, in given shares."""

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


GAUSSIAN = il.GaussianNLL(full=False)
NAME = "GaussianNLL(full=False): "
MEAN, VARIANCE = np.float32([1.0, 2.0, -1.0, 0.5]), np.float32([1.0, 2.0, 0.5, 4.0])
TARGETS = np.float32([0.0, 2.5, -4.0, 3.0])


@pytest.fixture
def arrays(backend: Backend) -> tuple[Any, Any]:
    """Predictions and targets of `GAUSSIAN`, of each library."""
    mean, variance, targets = (backend.array(x, "float32") for x in (MEAN, VARIANCE, TARGETS))
    return (mean, variance), targets


def slopes_of_gaussian() -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient of `GAUSSIAN` by mean and variance, written out in float64."""
    mean, variance, targets = (x.astype("float64") for x in (MEAN, VARIANCE, TARGETS))
    error = mean - targets
    return error / variance / 4, (1 - error**2 / variance) / (2 * variance) / 4


def message(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


# --- numbers, lists, functions, batches -----------------------------------------------------------


def test_numbers_and_lists(backend: Backend, arrays: Any) -> None:
    """A number, an array of no axis or a list in the place of a member is repeated, or converted."""
    (mean, variance), t = arrays
    twos = backend.array([2.0] * 4, "float32")
    for member in (2.0, 2, backend.array(2.0, "float32"), [2.0] * 4):
        close(GAUSSIAN((mean, member), t), GAUSSIAN((mean, twos), t), 4)
        close(GAUSSIAN((member, variance), t), GAUSSIAN((twos, variance), t), 4)
        close(GAUSSIAN((mean, variance), member), GAUSSIAN((mean, variance), twos), 4)
    assert float(GAUSSIAN((0.0, 1.0), t)) == np.mean(TARGETS**2) / 2
    value, (slope, curve) = il.value_and_gradient(GAUSSIAN, (mean, 2.0), t)
    want, (slope_of_mean, slope_of_twos) = il.value_and_gradient(GAUSSIAN, (mean, twos), t)
    close(value, want, 4)
    close(slope, slope_of_mean, 4)
    close(curve, np.sum(backend.numbers(slope_of_twos)), 4)  # of one number, the sum over its uses


def test_a_function_of_a_tuple(backend: Backend, arrays: Any) -> None:
    """The gradient of a user's own function is a tuple; each member has the dtype of its array."""
    (mean, variance), t = arrays
    mean = backend.array(MEAN, backend.dtypes[0])  # the narrowest

    def twice(p: Any, t: Any) -> Any:
        return GAUSSIAN(p, t) * 2.0

    slopes = il.gradient(twice, (mean, variance), t)
    assert isinstance(slopes, tuple)
    assert [backend.dtype(slope) for slope in slopes] == [backend.dtypes[0], "float32"]
    for slope, want in zip(slopes, slopes_of_gaussian(), strict=True):
        close(slope, 2 * want, 4, "largest")


def test_batches_of_tuples(backend: Backend, arrays: Any) -> None:
    """A batch of a stream may be a pair whose first is a tuple: its members are cut, not the pair."""
    (mean, variance), t = arrays
    parts = (((mean[s], variance[s]), t[s]) for s in (slice(0, 1), slice(1, 4)))
    streamed = il.over_batches({"nll": GAUSSIAN}, parts)
    close(streamed["nll"], GAUSSIAN((mean, variance), t), 4)


@pytest.mark.skipif("torch" not in installed(), reason="needs PyTorch")
def test_one_member_requires_a_gradient() -> None:
    """Of the members of a tuple of tensors, one alone may require a gradient."""
    import torch

    mean, variance, t = map(torch.from_numpy, (MEAN, VARIANCE, TARGETS))
    for k, want in enumerate(slopes_of_gaussian()):
        members = [x.clone().requires_grad_(k == place) for place, x in enumerate((mean, variance))]
        (slope,) = torch.autograd.grad(GAUSSIAN(tuple(members), t), members[k])
        close(slope, want, 4, "largest")
    assert not GAUSSIAN((mean, variance), t).requires_grad


# --- errors ---------------------------------------------------------------------------------------


def test_validate(backend: Backend, arrays: Any) -> None:
    """The member that is wrong is named, with its place, its value and what is allowed."""
    (mean, variance), t = arrays
    il.validate(GAUSSIAN, (mean, variance), t)
    bad = backend.array([1.0, -1.0, 0.0, 2.0], "float32")
    assert message(lambda: il.validate(GAUSSIAN, (mean, bad), t), ValueError) == (
        f"{NAME}variance[1] is -1.0; variance must be > 0"
    )
    seen = backend.xp.asarray(np.array([True, False, True, True]))
    assert message(lambda: il.validate(GAUSSIAN, (mean, bad), t, where=seen), ValueError) == (
        f"{NAME}variance[2] is 0.0; variance must be > 0"
    )
    lost = backend.array([1.0, 1.0, math.nan, 1.0], "float32")
    assert message(lambda: il.validate(GAUSSIAN, (lost, variance), t), ValueError) == (
        f"{NAME}mean[2] is nan; mean must be finite"
    )


def test_wrong_inputs(backend: Backend, arrays: Any) -> None:
    """What is no tuple, or one of another length or of other shapes, is refused with its names."""
    (mean, variance), t = arrays
    kind = type(mean).__name__
    for given, what in (
        (mean, kind),
        ([mean, variance], "list"),
        ((mean,), "a tuple of 1"),
        ((mean, variance, t), "a tuple of 3"),
    ):
        want = f"{NAME}predictions must be a tuple (mean, variance), not {what}"
        for call in (GAUSSIAN, GAUSSIAN.summary, lambda p, t: il.gradient(GAUSSIAN, p, t)):
            assert message(lambda call=call, given=given: call(given, t), TypeError) == want
    assert message(lambda: GAUSSIAN((mean, None), t), TypeError) == (
        f"{NAME}variance must be an array, not None"
    )
    assert message(lambda: GAUSSIAN((mean, variance[:2]), t), ValueError) == (
        f"{NAME}mean has shape (4,), variance (2,) and targets (4,); they must be the same"
    )
    assert message(lambda: GAUSSIAN((mean, variance), t[:2]), ValueError) == (
        f"{NAME}mean has shape (4,), variance (4,) and targets (2,); they must be the same"
    )
    column = backend.xp.reshape(variance, (4, 1))
    assert message(lambda: GAUSSIAN((mean, column), t), ValueError) == (
        f"{NAME}mean has shape (4,), variance (4, 1) and targets (4,); they must be the same: "
        "drop the axis of length 1 with variance.squeeze(1)"
    )
    assert message(lambda: GAUSSIAN((mean, variance), t, event_axis=0), ValueError) == (
        f"{NAME}event_axis=0 does not apply: every element is a sample of its own"
    )


@pytest.mark.skipif(not {"torch", "numpy", "jax"} <= {*installed()}, reason="needs three libraries")
def test_mixed_libraries() -> None:
    """Arrays of two libraries are refused by their names, but for NumPy beside JAX."""
    import jax
    import jax.numpy as jnp
    import torch

    mean, variance, t = MEAN, VARIANCE, TARGETS
    assert message(lambda: GAUSSIAN((mean, torch.from_numpy(variance)), t), TypeError) == (
        f"{NAME}mean: a NumPy array, variance: a PyTorch array; "
        "convert one, e.g. variance = numpy.asarray(variance)"
    )
    assert message(
        lambda: GAUSSIAN((torch.from_numpy(mean), variance), torch.from_numpy(t)), TypeError
    ) == (
        f"{NAME}mean: a PyTorch array, variance: a NumPy array; "
        "convert one, e.g. variance = torch.as_tensor(variance)"
    )
    for p in ((jnp.asarray(mean), variance), (mean, jnp.asarray(variance))):
        value = GAUSSIAN(p, t)
        close(value, GAUSSIAN((mean, variance), t), 4)
        assert isinstance(value, jax.Array)
    assert all(isinstance(slope, jax.Array) for slope in il.gradient(GAUSSIAN, p, t))


# --- members of different shapes ------------------------------------------------------------------


def rows(backend: Backend) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return predictions and targets of `Levels`, numbers that float32 holds."""
    rng = np.random.default_rng(3)
    centre, value = rng.normal(size=(2, 2, 3)).astype("float32")
    offsets, shares = rng.uniform(0.25, 1, size=(2, 2, 3, 4)).astype("float32")
    make = backend.xp.asarray
    return (make(centre), make(offsets)), (make(value), make(shares))


def test_rows(backend: Backend) -> None:
    """Members may be rows beside numbers, in predictions and in targets, along any axis."""
    metric, (p, t) = Levels(), rows(backend)
    centre, offsets, value, shares = (np.asarray(backend.numbers(x)) for x in (*p, *t))
    error = (centre - value)[..., None] + offsets
    want = np.mean(np.sum(shares * error**2, axis=-1))
    close(metric(p, t), want, 4)
    assert tuple(metric(p, t, reduction="none").shape) == (2, 3)
    first = tuple(backend.xp.moveaxis(x, -1, 0) if len(x.shape) == 3 else x for x in (*p, *t))
    close(metric(first[:2], first[2:], event_axis=0), want, 4)
    of_centre, of_offsets = il.gradient(metric, p, t)
    close(of_offsets, 2 * shares * error / 6, 8, "largest")
    close(of_centre, np.sum(2 * shares * error / 6, axis=-1), 8, "largest")
    first_order, second_order = il.gradient_hessian(metric, p, t)
    close(first_order[1], 2 * shares * error, 8, "largest")
    close(second_order[0], np.sum(2 * shares, axis=-1), 8, "largest")
    close(second_order[1], 2 * shares, 8, "largest")


def test_wrong_rows(backend: Backend) -> None:
    """A row of another length, a missing axis, a tuple that is none: each is named."""
    metric = Levels()
    (centre, offsets), (value, shares) = rows(backend)
    shapes = "centre must be (...) where offsets are (..., levels) and value is (...) and shares are (..., levels)"
    assert message(lambda: metric((centre, offsets), value), TypeError) == (
        f"Levels(): targets must be a tuple (value, shares), not {type(value).__name__}"
    )
    assert message(lambda: metric((centre, offsets), (value, shares[..., :2])), ValueError) == (
        "Levels(): centre has shape (2, 3), offsets (2, 3, 4), value (2, 3) and shares (2, 3, 2); "
        + shapes
    )
    assert message(lambda: metric((centre, offsets), (value, value)), ValueError) == (
        "Levels(): centre has shape (2, 3), offsets (2, 3, 4), value (2, 3) and shares (2, 3); "
        + shapes
    )
    assert message(lambda: metric((centre, offsets[..., :0]), (value, shares)), ValueError) == (
        "Levels(): offsets have shape (2, 3, 0): the axis of levels is empty"
    )
    assert message(lambda: metric((centre, 1.0), (value, shares)), ValueError) == (
        "Levels(): offsets have shape (): a last axis of levels is needed"
    )
    assert message(
        lambda: il.validate(metric, (centre, offsets), (value, -shares)), ValueError
    ).startswith("Levels(): shares[0, 0, 0] is -")


def test_declarations() -> None:
    """Wrappers have the names of what they wrap; a tuple metric is no mean of single numbers."""
    for wrapped in (il.Root(GAUSSIAN), il.Scaled(GAUSSIAN, 2.0), il.Exp(GAUSSIAN)):
        assert wrapped.prediction_names == ("mean", "variance")
        assert wrapped.parts == (((), ()), ((),))
        assert wrapped.elementwise is False
    assert Levels.parts == (((), ("levels",)), ((), ("levels",)))
