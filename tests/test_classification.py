"""Classification where others fail: infinite and far logits, labels outside, gradients of labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend

INF = math.inf


def close(found: Any, want: Any, dtype: str = "float32") -> None:
    """Assert equality to 2 ULP."""
    np.testing.assert_array_max_ulp(np.asarray(found, dtype), np.asarray(want, dtype), 2)


def numbers(backend: Backend, result: Any) -> list[float]:
    return backend.numbers(result)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("metric", "logits", "labels", "terms", "slopes", "curvatures"),
    [
        (il.sigmoid_cross_entropy, [INF, -INF, INF, -INF], [1, 0, 0, 1], [0, 0, INF, INF], [0, 0, 1, -1], [0] * 4),
        (il.sigmoid_cross_entropy, [INF, -INF], [0.25, 0.25], [INF, INF], [0.75, -0.25], [0, 0]),
        (il.SigmoidCrossEntropy(pos_weight=3.0), [INF, -INF], [1, 1], [0, INF], [0, -3], [0, 0]),
        (il.sigmoid_cross_entropy, [1e4, -1e4, 1e4], [1, 0, 0], [0, 0, 1e4], [0, 0, 1], [0] * 3),
        (il.sigmoid_cross_entropy, [0.0, 0.0], [0, 1], [math.log(2)] * 2, [0.5, -0.5], [0.25] * 2),
        (il.sigmoid_focal, [INF, -INF, INF, -INF], [1, 0, 0, 1], [0, 0, INF, INF], [0, 0, 1, -1], [0] * 4),
        (il.SigmoidFocal(gamma=0.0), [INF, -INF], [1, 1], [0, INF], [0, -1], [0, 0]),
        (il.SigmoidFocal(gamma=0.5), [INF, 1e4], [1, 0], [0, 1e4], [0, 1], [0, 0]),
        (il.hinge, [INF, 1.0, -INF], [1, 1, 1], [0, 0, INF], [0, 0, -1], [0] * 3),
        (il.squared_hinge, [INF, 1.0, -1.0], [1, 1, 1], [0, 0, 4], [0, 0, -4], [0, 0, 2]),
    ],
)  # fmt: skip
def test_far_and_infinite_logits(
    backend: Backend,
    metric: il.Loss,
    logits: list[float],
    labels: list[float],
    terms: list[float],
    slopes: list[float],
    curvatures: list[float],
) -> None:
    """Values, slopes and curvatures are the limits: never nan, never a large number for 0."""
    z, y = backend.array(logits, "float32"), backend.array(labels, "float32")
    found = numbers(backend, metric(z, y, reduction="none"))
    close(found, terms)
    first, second = il.gradient_hessian(metric, z, y)
    close(numbers(backend, first), slopes)
    close(numbers(backend, second), curvatures)
    slope = il.gradient(metric, z, y, denominator=1)
    close(numbers(backend, slope), slopes)


def test_certain_and_wrong(backend: Backend) -> None:
    """A probability of 0 for what happened is infinite, and is not clipped."""
    p, y = backend.array([0.0, 1.0, 0.0, 1.0], "float32"), backend.array([1, 0, 0, 1], "float32")
    assert numbers(backend, il.bce(p, y, reduction="none")) == [INF, INF, 0.0, 0.0]


OUTSIDE: list[tuple[il.Metric, float, str]] = [
    (il.sigmoid_cross_entropy, 1.5, "must be >= 0 and <= 1"),
    (il.binary_cross_entropy, -1.0, "must be >= 0 and <= 1"),
    (il.brier_score, 2.0, "must be >= 0 and <= 1"),
    (il.sigmoid_focal, 0.5, "must be 0 or 1"),
    (il.hinge, 0.0, "must be -1 or 1"),
    (il.squared_hinge, 0.5, "must be -1 or 1"),
]


@pytest.mark.parametrize(("metric", "label", "allowed"), OUTSIDE, ids=lambda x: repr(x)[:24])
def test_labels_outside(backend: Backend, metric: il.Loss, label: float, allowed: str) -> None:
    """A label outside is nan for that sample alone, is named by validate, and may be excluded."""
    p, y = backend.array([0.5, 0.5, 0.25], "float32"), backend.array([1.0, label, 1.0], "float32")
    terms = numbers(backend, metric(p, y, reduction="none"))
    assert [math.isnan(term) for term in terms] == [False, True, False]
    with pytest.raises(ValueError, match=r"targets\[1\] is .*") as error:
        il.validate(metric, p, y)
    assert str(error.value) == f"{metric!r}: targets[1] is {label}; targets {allowed}"
    seen = backend.array([1.0, 0.0, 2.0], "float32")
    value, slope = il.value_and_gradient(metric, p, y, weights=seen)
    want = (terms[0] + 2 * terms[2]) / 3
    close(float(value), want)
    assert numbers(backend, slope)[1] == 0.0


def test_integer_and_boolean_labels(backend: Backend) -> None:
    """Labels of any integer dtype, or bools, are the numbers they stand for."""
    z = backend.array([2.0, -1.0, 0.5], "float32")
    want = float(il.sigmoid_cross_entropy(z, backend.array([1.0, 0.0, 1.0], "float32")))
    for dtype in ("uint8", "int8", "int32"):
        labels = backend.array([1, 0, 1], dtype)
        assert float(il.sigmoid_cross_entropy(z, labels)) == want
        assert float(il.hinge(z, 2 * backend.array([1, 0, 1], "int32") - 1)) == np.float32(1 / 6)
    assert float(il.sigmoid_cross_entropy(z, backend.array([True, False, True], "bool"))) == want


def test_weights_of_classes(backend: Backend) -> None:
    """pos_weight may be an array of one for each column, as in PyTorch."""
    z = backend.array([[1.0, -2.0], [0.5, 3.0]], "float32")
    y = backend.array([[1.0, 0.0], [0.0, 1.0]], "float32")
    both = il.SigmoidCrossEntropy(pos_weight=backend.array([3.0, 0.5], "float32"))(z, y, axis=0)
    for column, weight in enumerate((3.0, 0.5)):
        one = il.SigmoidCrossEntropy(pos_weight=weight)(z[:, column], y[:, column])
        close(numbers(backend, both)[column], float(one))


def test_gradient_of_labels() -> None:
    """The derivative by a label, of a teacher say, is minus the logit, at labels 0 and 1 too."""
    jax = pytest.importorskip("jax")
    z, y = np.float32([3.0, -2.0, 0.5, -40.0]), np.float32([1.0, 0.0, 0.25, 0.0])
    slope = jax.grad(il.sigmoid_cross_entropy, argnums=1)(*map(jax.numpy.asarray, (z, y)))
    close(slope, -z / 4)
