"""Integer labels: of any width, on every library; what is no label, what is ignored, what is weighed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.drawing import draw
from conformance.kit.metrics import ALL
from isoloss._domains import Labels

INF, NAN = math.inf, math.nan
LOGITS = [[1.0, 2.0, 3.0, 0.0], [0.0, 1.0, 0.5, 2.0], [1.0, 0.0, -1.0, 0.0], [0.5, 0.5, 0.0, 0.25]]
LABELS = [0, 3, 1, 1]
WEIGHTS = (1.0, 2.0, 0.5, 3.0)  # of classes
EVERY = {  # a label for each sample; those of many are tested with their families
    name: m for name, m in ALL.items() if isinstance(m.domain.targets, Labels) and not m.core[1]
}
every_metric = pytest.mark.parametrize("metric", EVERY.values(), ids=EVERY)
WIDTHS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")


def labels(backend: Backend, numbers: Any, dtype: str = "int32") -> Any:
    return backend.xp.asarray(np.array(numbers, dtype))


def logits(backend: Backend, numbers: Any = LOGITS, dtype: str = "float32") -> Any:
    return backend.array(np.asarray(numbers, float).tolist(), dtype)


def close(backend: Backend, found: Any, want: Any, ulps: int = 4) -> None:
    """Assert equality to a few ULP of float32, of each number that is finite; nan is nan."""
    got, want = np.asarray(backend.numbers(found), float), np.asarray(want, float)
    assert got.shape == want.shape
    with np.errstate(invalid="ignore"):
        near = np.abs(got - want) <= ulps * 2.0**-23 * np.maximum(np.abs(want), 0.125)
    assert np.all(near | (got == want) | (np.isnan(got) & np.isnan(want))), (got, want)


def message(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def terms(z: Any = LOGITS, y: Any = LABELS) -> np.ndarray:
    """Return the cross-entropies, computed here."""
    z = np.asarray(z, float)
    return np.log(np.sum(np.exp(z), axis=-1)) - z[np.arange(len(y)), y]


# --- dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", WIDTHS)
def test_integers_of_any_width(backend: Backend, dtype: str) -> None:
    """Labels of any integer dtype, bools too, are the same labels, in targets and in predictions."""
    if not hasattr(backend.xp, dtype) or ("64" in dtype and not backend.float64):
        pytest.skip(f"{backend.name} has no {dtype}")
    y, other = ([0, 1, 1, 0], [0, 1, 0, 0]) if dtype == "bool" else (LABELS, [0, 3, 1, 2])
    t, same = labels(backend, y, dtype), labels(backend, y)
    for metric in (il.cross_entropy, il.multiclass_brier_score, il.top_k_accuracy, il.accuracy):
        p = logits(backend, np.asarray(LOGITS) / 8 + 0.25)
        assert float(metric(p, t)) == float(metric(p, same))
    p = labels(backend, other, dtype)
    for metric in (il.accuracy, il.F1Score(num_classes=4), il.MatthewsCorrelation(num_classes=4)):
        found = metric(p, t)
        assert float(found) == float(metric(labels(backend, other), same))
        assert backend.dtype(found) == backend.dtype(il.mse(same, same))  # as of any integers


def test_products_of_labels_do_not_overflow(backend: Backend) -> None:
    """Pairs of labels are counted in a dtype that holds their products."""
    p, t = labels(backend, [199, 199, 7], "uint8"), labels(backend, [199, 7, 7], "uint8")
    assert float(il.MatthewsCorrelation(num_classes=200)(p, t)) == pytest.approx(
        0.5, abs=8 * 2.0**-24
    )
    assert float(il.accuracy(p, t)) == np.float32(2 / 3)


def test_byte_order() -> None:
    """Big-endian labels are the same labels."""
    z, y = np.float32(LOGITS), np.array(LABELS)
    for dtype in (">i2", ">i4", ">i8", ">u4"):
        assert il.cross_entropy(z, y.astype(dtype)) == il.cross_entropy(z, y)
        found = il.ConfusionMatrix(num_classes=4)(y.astype(dtype), y.astype(dtype))
        np.testing.assert_array_equal(found, np.diag([1.0, 2.0, 0.0, 1.0]))


@every_metric
def test_floating_labels(backend: Backend, metric: il.Metric) -> None:
    """Labels that are floats are refused, with what to do."""
    p, t = draw(metric, (4,), dtype="float32")
    p, t = backend.xp.asarray(p), backend.xp.asarray(t.astype("float32"))
    assert message(lambda: metric(p, t), TypeError) == (
        f"{metric!r}: targets have dtype float32: labels must be integers; "
        "convert them, e.g. targets.astype(int)"
    )


def test_rows_of_labels(backend: Backend) -> None:
    """Of one-hot rows, the label is where the 1 is."""
    rows = backend.xp.asarray([[0.0, 1.0], [1.0, 0.0]])
    text = message(lambda: il.softmax_cross_entropy(rows, rows), TypeError)
    assert text.endswith("labels must be integers; convert them, e.g. targets.argmax(-1)")


# --- what is no label -----------------------------------------------------------------------------


@every_metric
def test_outside(backend: Backend, metric: il.Metric) -> None:
    """A label outside makes its sample nan, and no other; excluded, it does nothing."""
    for bad in (-1, 4, 127, -128):
        # labels alone do not say how many there are
        alone = (bad > 0 and "accuracy" in metric.signature) or metric in (
            il.accuracy,
            il.zero_one_loss,
        )
        check_outside(backend, il.BalancedAccuracy(num_classes=4) if alone else metric, bad)


def check_outside(backend: Backend, metric: il.Metric, bad: int) -> None:
    p, t = draw(metric, (6,), dtype="float32")
    t[1:3] = 0, 1
    spoilt = t.copy()
    spoilt[1] = bad
    p, t = backend.xp.asarray(p), labels(backend, t)
    spoilt = labels(backend, spoilt, "int8")
    if metric.summable:
        found = np.isnan(np.asarray(backend.numbers(metric(p, spoilt, reduction="none"))))
        assert found.tolist() == [False, True, False, False, False, False]
    assert np.isnan(np.asarray(backend.numbers(metric(p, spoilt)))).all()
    keep = [True, False, True, True, True, True]
    for options in (
        {"where": backend.xp.asarray(np.array(keep))},
        {"weights": backend.array([float(one) for one in keep], "float32")},
    ):
        close(backend, metric(p, spoilt, **options), backend.numbers(metric(p, t, **options)), 0)


def test_outside_in_predictions(backend: Backend) -> None:
    """A predicted label outside makes its sample nan as well."""
    t = labels(backend, [0, 1, 2])
    assert math.isnan(float(il.F1Score(num_classes=3)(labels(backend, [0, 1, 3]), t)))
    assert math.isnan(float(il.F1Score(num_classes=3)(labels(backend, [0, -1, 2]), t)))
    found = il.accuracy(labels(backend, [0, -1, 2]), t, reduction="none")
    close(backend, found, [1.0, NAN, 1.0])


def test_validate(backend: Backend) -> None:
    """validate names the first label that is none, and what labels may be."""
    z = logits(backend)
    il.validate(il.cross_entropy, z, labels(backend, LABELS))
    wrong = labels(backend, [0, 3, 4, -1])
    assert message(lambda: il.validate(il.nll, z, wrong), ValueError) == (
        "NegativeLogLikelihood(ignore_index=None): targets[2] is 4; targets must be >= 0 and <= 3"
    )
    seen = backend.xp.asarray(np.array([True, True, False, True]))
    assert message(lambda: il.validate(il.nll, z, wrong, where=seen), ValueError) == (
        "NegativeLogLikelihood(ignore_index=None): targets[3] is -1; targets must be >= 0 and <= 3"
    )
    il.validate(il.NegativeLogLikelihood(ignore_index=4), z[:3, :], wrong[:3])
    lost = logits(backend, [[0.0, 1.0], [NAN, 0.0]])
    assert message(lambda: il.validate(il.nll, lost, labels(backend, [0, 1])), ValueError) == (
        "NegativeLogLikelihood(ignore_index=None): predictions[1, 0] is nan; predictions must be a number, not nan"
    )
    some = labels(backend, [0, 1])
    assert message(
        lambda: il.validate(il.accuracy, some, labels(backend, [0, -1])), ValueError
    ) == ("Accuracy(): targets[1] is -1; targets must be >= 0")
    matrix = il.ConfusionMatrix(num_classes=2)
    assert message(lambda: il.validate(matrix, labels(backend, [0, 2]), some), ValueError) == (
        "ConfusionMatrix(num_classes=2, normalize=None): predictions[1] is 2; predictions must be >= 0 and <= 1"
    )
    assert message(lambda: il.validate(matrix, lost, some), ValueError) == (
        "ConfusionMatrix(num_classes=2, normalize=None): predictions[1, 0] is nan; "
        "predictions must be a number, not nan"
    )


def test_shapes(backend: Backend) -> None:
    """Shapes that do not go together are named; labels in the place of scores have no axis of classes."""
    z, y = logits(backend), labels(backend, LABELS)
    assert message(lambda: il.cross_entropy(z, y[:2]), ValueError).endswith(
        ": predictions have shape (4, 4) and targets (2,); "
        "predictions must be (..., classes) where targets are (...)"
    )
    assert message(lambda: il.accuracy(y, y[:2]), ValueError) == (
        "Accuracy(): predictions have shape (4,) and targets (2,); they must be the same"
    )
    assert message(lambda: il.F1Score(num_classes=3)(z, y), ValueError) == (
        "F1Score(num_classes=3, average='macro'): the axis of classes has length 4; the metric has 3"
    )
    assert message(lambda: il.accuracy(y, y, event_axis=0), ValueError) == (
        "Accuracy(): event_axis=0 does not apply: every element is a sample of its own"
    )


# --- labels that are ignored ----------------------------------------------------------------------


@pytest.mark.parametrize("ignored", [-100, 255, 2])
def test_ignore_index(backend: Backend, ignored: int) -> None:
    """The label that is ignored may lie outside the classes or inside; its samples count as removed."""
    y = [0, 3, ignored, 1]
    z, t = logits(backend), labels(backend, y)
    kept = [0, 1, 3]
    want = terms()[kept]
    for metric, values in (
        (il.SoftmaxCrossEntropy(ignore_index=ignored), want),
        (il.NegativeLogLikelihood(ignore_index=ignored), -np.asarray(LOGITS)[kept, [0, 3, 1]]),
    ):
        close(backend, metric(z, t), np.mean(values))
        found = metric(z, t, reduction="none")
        close(backend, found, [*values[:2], 0.0, values[2]])
        close(backend, metric(z, t, reduction="sum"), np.sum(values))
        slope = np.asarray(backend.numbers(il.gradient(metric, z, t)))
        assert not slope[2].any()
        assert slope[kept].any(axis=-1).all()
        lost = labels(backend, [ignored] * 4)
        assert math.isnan(float(metric(z, lost)))
        assert float(metric(z, lost, empty=0.5)) == 0.5
        w = backend.array([1.0, 2.0, 5.0, 0.5], "float32")
        weighed = np.sum(values * [1.0, 2.0, 0.5]) / 3.5
        close(backend, metric(z, t, weights=w), weighed)
        one = metric.summary(z[:2, :], t[:2], weights=w[:2])
        two = metric.summary(z[2:, :], t[2:], weights=w[2:])
        close(backend, metric.compute(one.merge(two)), weighed)
        il.validate(metric, z, t)


def test_another_label_outside(backend: Backend) -> None:
    """Beside a label that is ignored, another one outside is nan."""
    metric = il.SoftmaxCrossEntropy(ignore_index=-1)
    found = metric(logits(backend), labels(backend, [0, -1, -2, 1]), reduction="none")
    want = terms()
    close(backend, found, [want[0], 0.0, NAN, want[3]])


# --- weights of classes ---------------------------------------------------------------------------


def of_classes(backend: Backend) -> list[Any]:
    """Return the same weights in every form they may have."""
    forms: list[Any] = [WEIGHTS, list(WEIGHTS), np.array(WEIGHTS), np.float32(WEIGHTS)]
    return [*forms, backend.array(list(WEIGHTS), "float32")]


def test_weights_of_classes(backend: Backend) -> None:
    """The mean divides by the sum of the weights of the labels, whatever form they come in."""
    z, t = logits(backend), labels(backend, LABELS)
    w = np.asarray(WEIGHTS)[LABELS]
    want = np.sum(w * terms()) / np.sum(w)
    for form in of_classes(backend):
        metric = il.SoftmaxCrossEntropy(class_weights=form)
        close(backend, metric(z, t), want)
        close(backend, metric(z, t, reduction="none"), w * terms())
        close(backend, metric(z, t, reduction="sum"), np.sum(w * terms()))
        given = backend.array([1.0, 0.5, 2.0, 0.0], "float32")
        both = w * [1.0, 0.5, 2.0, 0.0]
        close(backend, metric(z, t, weights=given), np.sum(both * terms()) / np.sum(both))
        parts = [metric.summary(z[s, :], t[s]) for s in (slice(0, 1), slice(1, 4))]
        close(backend, metric.compute(parts[0].merge(parts[1])), want)
        slope = il.gradient(metric, z, t)
        softmax = np.exp(LOGITS) / np.sum(np.exp(LOGITS), axis=-1, keepdims=True)
        softmax[np.arange(4), LABELS] -= 1
        close(backend, slope, softmax * w[:, None] / np.sum(w), 8)
    hidden = il.SoftmaxCrossEntropy(class_weights=(0.0, 1.0, 1.0, 1.0))
    close(backend, hidden(z, t), np.mean(terms()[1:]))
    spoilt = logits(backend, [[NAN] * 4, *LOGITS[1:]])
    close(backend, hidden(spoilt, t), np.mean(terms()[1:]))


def test_weights_of_too_few_classes(backend: Backend) -> None:
    """Weights of another number of classes are refused."""
    z, t = logits(backend), labels(backend, LABELS)
    for weights in ((1.0, 2.0), backend.array([1.0, 2.0], "float32")):
        found = message(lambda w=weights: il.SoftmaxCrossEntropy(class_weights=w)(z, t), ValueError)
        assert found.endswith("the axis of classes has length 4; the metric has 2")
    for wrong, kind, words in (
        ((1.0, -1.0), ValueError, "class_weights must be finite and >= 0, not -1.0"),
        (1.0, TypeError, "class_weights must be a tuple of numbers, not 1.0"),
    ):
        assert message(lambda w=wrong: il.SoftmaxCrossEntropy(class_weights=w), kind).endswith(
            words
        )


def slopes_of_weights() -> np.ndarray:
    """Return the derivatives of the weighted mean by the weights of the classes."""
    w = np.asarray(WEIGHTS)[LABELS]
    mean = np.sum(w * terms()) / np.sum(w)
    slopes = np.zeros(4)
    np.add.at(slopes, LABELS, (terms() - mean) / np.sum(w))
    return slopes


def test_gradient_of_the_weights(backend: Backend) -> None:
    """Weights of classes that are an array of JAX or PyTorch may be learnt."""
    z, t, w = logits(backend), labels(backend, LABELS), logits(backend, WEIGHTS)
    f = lambda w: il.SoftmaxCrossEntropy(class_weights=w)(z, t)  # noqa: E731
    if backend.name == "jax":
        import jax

        close(backend, jax.grad(f)(w), slopes_of_weights(), 16)
        close(backend, jax.jit(jax.grad(f))(w), slopes_of_weights(), 16)
    elif backend.name == "torch":
        leaf = w.clone().requires_grad_()
        f(leaf).backward()
        close(backend, leaf.grad, slopes_of_weights(), 16)
        close(backend, backend.xp.func.grad(f)(w), slopes_of_weights(), 16)
    else:
        pytest.skip(f"{backend.name} does not differentiate")


# --- axes -----------------------------------------------------------------------------------------


@every_metric
def test_classes_on_axis_1(backend: Backend, metric: il.Metric) -> None:
    """event_axis=1, PyTorch's layout, gives what the last axis gives, and its gradient."""
    p, t = draw(metric, (2, 3, 5), dtype="float32")
    first = np.ascontiguousarray(np.moveaxis(p, -1, 1))
    p, first, t = (backend.xp.asarray(x) for x in (p, first, t))
    for options in ({}, {"axis": 0}, {"axis": (1, 2)}):
        want = backend.numbers(metric(p, t, **options))
        close(backend, metric(first, t, event_axis=1, **options), want, 0)
    if metric.summable:
        found = backend.numbers(il.gradient(metric, first, t, event_axis=1))
        want = backend.numbers(il.gradient(metric, p, t))
        np.testing.assert_array_equal(np.moveaxis(found, 1, -1), want)


def test_several_axes(backend: Backend) -> None:
    """event_axis=(1, 2) makes two axes into one, in the order they are named."""
    z = np.arange(24.0).reshape(2, 3, 4) % 7 / 4
    y = np.array([11, 5])
    flat = backend.array(z.reshape(2, 12).tolist(), "float32")
    square, t = backend.array(z.tolist(), "float32"), labels(backend, y)
    want = backend.numbers(il.cross_entropy(flat, t))
    close(backend, il.cross_entropy(square, t, event_axis=(1, 2)), want, 0)
    swapped = backend.array(np.moveaxis(z, 0, -1).tolist(), "float32")
    close(backend, il.cross_entropy(swapped, t, event_axis=(0, 1)), want, 0)
    other = backend.array(np.swapaxes(z, 1, 2).tolist(), "float32")
    close(backend, il.cross_entropy(other, t, event_axis=(-1, 1)), want, 0)
    slope = il.gradient(il.cross_entropy, square, t, event_axis=(1, 2))
    assert tuple(slope.shape) == (2, 3, 4)
    close(
        backend,
        backend.xp.reshape(slope, (2, 12)),
        backend.numbers(il.gradient(il.cross_entropy, flat, t)),
        0,
    )


# --- labels or scores -----------------------------------------------------------------------------


def test_scores_are_labels(backend: Backend) -> None:
    """Scores give what the labels of the largest of them give: the first, where several are."""
    rng = np.random.default_rng(3)
    scores, t = rng.normal(size=(20, 4)).astype("float32"), rng.integers(0, 4, 20)
    scores[3] = 1.0
    p, scores = np.argmax(scores, axis=-1), backend.xp.asarray(scores)
    p, t = labels(backend, p), labels(backend, t)
    w = backend.array([0.5 + k % 3 for k in range(20)], "float32")
    for metric in EVERY.values():
        values = metric.domain.predictions
        if getattr(values, "scores", False):
            for options in ({}, {"weights": w}):
                found, want = metric(scores, t, **options), metric(p, t, **options)
                close(backend, found, backend.numbers(want), 1)  # scores have a dtype, labels none
    assert backend.dtype(il.accuracy(scores, t)) == "float32"


def test_nan_scores(backend: Backend) -> None:
    """A nan among the scores of a sample makes it nan; excluded, it does nothing."""
    scores = logits(backend, [[1.0, 0.0], [NAN, 1.0], [0.0, 1.0]])
    t = labels(backend, [0, 1, 1])
    close(backend, il.accuracy(scores, t, reduction="none"), [1.0, NAN, 1.0])
    close(backend, il.TopKAccuracy(k=1)(scores, t, reduction="none"), [1.0, NAN, 1.0])
    f1 = il.F1Score(num_classes=2)
    assert math.isnan(float(f1(scores, t)))
    seen = backend.xp.asarray(np.array([True, False, True]))
    assert float(f1(scores, t, where=seen)) == 1.0
    assert float(il.accuracy(scores, t, where=seen)) == 1.0


# --- many classes, infinite logits ----------------------------------------------------------------


def test_many_classes(backend: Backend) -> None:
    """70,000 equal logits in half precision: their loss is log(70,000), to 1 ULP of float32."""
    dtype = "float16" if "float16" in backend.dtypes else "float32"
    z = backend.xp.zeros((2, 70_000), dtype=getattr(backend.xp, dtype))
    t = labels(backend, [69_999, 0])
    found = il.cross_entropy(z, t)
    assert backend.dtype(found) == "float32"
    np.testing.assert_array_max_ulp(np.float32(float(found)), np.float32(math.log(70_000)), 1)
    slope = il.gradient(il.cross_entropy, z, t, denominator=1)
    assert backend.dtype(slope) == dtype
    assert float(slope[0, 69_999]) == np.dtype(dtype).type(-69_999 / 70_000)
    z = backend.xp.full((2, 70_000), -3.0, dtype=getattr(backend.xp, dtype))
    found = il.cross_entropy(z, t)
    np.testing.assert_array_max_ulp(np.float32(float(found)), np.float32(math.log(70_000)), 1)


HALF = math.log(2)
INFINITE = [  # logits, label, loss, slopes
    ([INF, 0.0, 0.0], 0, 0.0, [0, 0, 0]),
    ([INF, 0.0, 0.0], 1, INF, [1, -1, 0]),
    ([0.0, INF, 0.0], 1, 0.0, [0, 0, 0]),
    ([0.0, INF, 0.0], 2, INF, [0, 1, -1]),
    ([INF, INF, 0.0], 0, NAN, None),
    ([INF, INF, 0.0], 2, INF, None),
    ([-INF, 0.0, 0.0], 0, INF, [-1, 0.5, 0.5]),
    ([-INF, 0.0, 0.0], 1, HALF, [0, -0.5, 0.5]),
    ([-INF, -INF, 0.0], 0, INF, [-1, 0, 1]),
    ([-INF, -INF, 0.0], 2, 0.0, [0, 0, 0]),
    ([-INF, -INF, -INF], 0, NAN, None),
    ([INF, -INF, 0.0], 0, 0.0, [0, 0, 0]),
    ([INF, -INF, 0.0], 1, INF, [1, -1, 0]),
    ([1e30, 0.0, -1e30], 0, 0.0, [0, 0, 0]),
    ([1e30, 0.0, -1e30], 2, 2e30, [1, 0, -1]),
    ([NAN, 0.0, 0.0], 1, NAN, None),
]


@pytest.mark.parametrize("row", range(len(INFINITE)))
def test_infinite_logits(backend: Backend, row: int) -> None:
    """The loss of infinite logits is its limit, and its slopes are; a row of -inf alone is nan."""
    z, label, loss, slopes = INFINITE[row]
    # beside an ordinary row, which it must not disturb
    p, t = logits(backend, [z, [0.0, 0.0, -INF]]), labels(backend, [label, 1])
    close(backend, il.cross_entropy(p, t, reduction="none"), [loss, HALF])
    slope = np.asarray(backend.numbers(il.gradient(il.cross_entropy, p, t, denominator=1)))
    np.testing.assert_allclose(slope[1], [0.5, -0.5, 0.0], rtol=2.0**-22)
    if slopes is not None:
        np.testing.assert_allclose(slope[0], slopes, rtol=2.0**-22)
    shares = np.zeros((2, 3), "float32")
    shares[[0, 1], [label, 1]] = 1
    metric = il.softmax_cross_entropy_with_probabilities
    close(backend, metric(p, backend.xp.asarray(shares), reduction="none"), [loss, HALF])


def test_labels_have_no_gradient(backend: Backend) -> None:
    """Scores of a metric of labels have the gradient 0, as everything that is constant but for steps."""
    z, t = logits(backend), labels(backend, LABELS)
    for metric in (il.accuracy, il.top_k_accuracy, il.F1Score(num_classes=4)):
        value, slope = il.value_and_gradient(metric, z, t)
        assert float(value) == float(metric(z, t))
        assert tuple(slope.shape) == (4, 4)
        assert not np.asarray(backend.numbers(slope)).any()
