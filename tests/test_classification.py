"""Classification where others fail: infinite and far logits, labels outside, gradients of labels."""

from __future__ import annotations

import math

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import as_numpy, close

INF = math.inf
FAR: list[tuple[il.Loss, list[tuple[float, ...]]]] = [  # logit, label, term, slope, curvature
    (il.sigmoid_cross_entropy, [
        (INF, 1, 0, 0, 0), (-INF, 0, 0, 0, 0), (INF, 0, INF, 1, 0), (-INF, 1, INF, -1, 0),
        (INF, 0.25, INF, 0.75, 0), (-INF, 0.25, INF, -0.25, 0),
        (1e4, 1, 0, 0, 0), (-1e4, 0, 0, 0, 0), (1e4, 0, 1e4, 1, 0),
        (0, 0, math.log(2), 0.5, 0.25), (0, 1, math.log(2), -0.5, 0.25),
    ]),
    (il.SigmoidCrossEntropy(pos_weight=3.0), [(INF, 1, 0, 0, 0), (-INF, 1, INF, -3, 0)]),
    (il.sigmoid_focal, [
        (INF, 1, 0, 0, 0), (-INF, 0, 0, 0, 0), (INF, 0, INF, 1, 0), (-INF, 1, INF, -1, 0),
    ]),
    (il.SigmoidFocal(gamma=0.0), [(INF, 1, 0, 0, 0), (-INF, 1, INF, -1, 0)]),
    (il.SigmoidFocal(gamma=0.5), [(INF, 1, 0, 0, 0), (1e4, 0, 1e4, 1, 0)]),
    (il.hinge, [(INF, 1, 0, 0, 0), (1, 1, 0, 0, 0), (-INF, 1, INF, -1, 0)]),
    (il.squared_hinge, [(INF, 1, 0, 0, 0), (1, 1, 0, 0, 0), (-1, 1, 4, -4, 2)]),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "rows"), FAR, ids=[repr(metric) for metric, _ in FAR])
def test_far_and_infinite_logits(
    backend: Backend, metric: il.Loss, rows: list[tuple[float, ...]]
) -> None:
    """Values, slopes and curvatures are the limits: never nan, never a large number for 0."""
    logits, labels, terms, slopes, curvatures = map(list, zip(*rows, strict=True))
    z, y = backend.array(logits, "float32"), backend.array(labels, "float32")
    close(metric(z, y, reduction="none"), terms, 1)
    first, second = il.gradient_hessian(metric, z, y)
    close(first, slopes, 1)
    close(second, curvatures, 1)
    close(il.gradient(metric, z, y, denominator=1), slopes, 1)


def test_certain_and_wrong(backend: Backend) -> None:
    """A probability of 0 for what happened is infinite, and is not clipped."""
    p, y = backend.array([0.0, 1.0, 0.0, 1.0], "float32"), backend.array([1, 0, 0, 1], "float32")
    close(il.bce(p, y, reduction="none"), [INF, INF, 0.0, 0.0], 0)


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
    terms = as_numpy(metric(p, y, reduction="none"))
    assert np.isnan(terms).tolist() == [False, True, False]
    with pytest.raises(ValueError, match=r"targets\[1\] is .*") as error:
        il.validate(metric, p, y)
    assert str(error.value) == f"{metric!r}: targets[1] is {label}; targets {allowed}"
    seen = backend.array([1.0, 0.0, 2.0], "float32")
    value, slope = il.value_and_gradient(metric, p, y, weights=seen)
    close(value, (np.float64(terms[0]) + 2 * np.float64(terms[2])) / 3, 1)
    assert as_numpy(slope)[1] == 0.0


def test_integer_and_boolean_labels(backend: Backend) -> None:
    """Labels of any integer dtype, or bools, are the numbers they stand for."""
    z = backend.array([2.0, -1.0, 0.5], "float32")
    want = float(il.sigmoid_cross_entropy(z, backend.array([1.0, 0.0, 1.0], "float32")))
    for dtype in ("uint8", "int8", "int32", "bool"):
        assert float(il.sigmoid_cross_entropy(z, backend.array([1, 0, 1], dtype))) == want
    for dtype in ("int8", "int32"):
        assert float(il.hinge(z, backend.array([1, -1, 1], dtype))) == np.float32(1 / 6)


def test_weights_of_classes(backend: Backend) -> None:
    """pos_weight may be an array of one for each column, as in PyTorch."""
    z = backend.array([[1.0, -2.0], [0.5, 3.0]], "float32")
    y = backend.array([[1.0, 0.0], [0.0, 1.0]], "float32")
    weights = [3.0, 0.5]
    both = il.SigmoidCrossEntropy(pos_weight=backend.array(weights, "float32"))(z, y, axis=0)
    columns = zip(weights, as_numpy(z).T.tolist(), as_numpy(y).T.tolist(), strict=True)
    close(both, [float(il.SigmoidCrossEntropy(pos_weight=w)(a, b)) for w, a, b in columns], 1)


def test_gradient_of_labels() -> None:
    """The derivative by a label, of a teacher say, is minus the logit, at labels 0 and 1 too."""
    jax = pytest.importorskip("jax")
    z, y = np.float32([3.0, -2.0, 0.5, -40.0]), np.float32([1.0, 0.0, 0.25, 0.0])
    slope = jax.jit(jax.grad(il.sigmoid_cross_entropy, argnums=1))(z, y)
    close(slope, -z / 4, 1)
