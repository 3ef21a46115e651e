"""Integer labels: of any width, on every library; what is no label, what is ignored, what is weighed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import BACKENDS, Backend
from conformance.kit.comparison import as_numpy, close
from conformance.kit.drawing import draw
from conformance.kit.metrics import ALL
from isoloss._core.domains import Labels

INF, NAN = math.inf, math.nan
LOGITS = [[1.0, 2.0, 3.0, 0.0], [0.0, 1.0, 0.5, 2.0], [1.0, 0.0, -1.0, 0.0], [0.5, 0.5, 0.0, 0.25]]
LABELS = [0, 3, 1, 1]
WEIGHTS = (1.0, 2.0, 0.5, 3.0)  # of classes
EVERY = {  # a label for each sample; those of many are tested with their families
    name: m for name, m in ALL.items() if isinstance(m.domain.targets, Labels) and not m.core[1]
}
every_metric = pytest.mark.parametrize("metric", EVERY.values(), ids=EVERY)
# one of each way that labels are handled: what they number, what becomes of them, what they weigh
LOGS = (np.array(LOGITS) - 4.0).tolist()  # none above 0, as logarithms of probabilities
KINDS = [il.accuracy, il.log_loss, il.nll, il.expected_calibration_error,
         il.adaptive_calibration_error, il.BalancedAccuracy(num_classes=4)]  # fmt: skip
every_kind = pytest.mark.parametrize("metric", KINDS, ids=repr)
WIDTHS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
NUMPY = BACKENDS["numpy"]()


def message(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def terms(z: Any = LOGITS, y: Any = LABELS) -> np.ndarray:
    """Return the cross-entropies, computed here."""
    z = np.asarray(z, float)
    return np.log(np.sum(np.exp(z), axis=-1)) - z[np.arange(len(y)), y]


def test_kinds() -> None:
    """What is tested for one metric of each kind is tested for every kind."""

    def kind(metric: il.Metric) -> Any:
        scores = getattr(metric.domain.predictions, "scores", False)
        return metric.domain.targets, scores, metric.kind, metric.weighs

    assert {kind(m) for m in KINDS} == {kind(m) for m in EVERY.values()}
    assert len({kind(m) for m in KINDS}) == len(KINDS)


# --- dtypes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", WIDTHS)
def test_integers_of_any_width(backend: Backend, dtype: str) -> None:
    """Labels of any integer dtype, bools too, are the same labels, in targets and in predictions."""
    if not hasattr(backend.xp, dtype) or ("64" in dtype and not backend.float64):
        pytest.skip(f"{backend.name} has no {dtype}")
    y, other = ([0, 1, 1, 0], [0, 1, 0, 0]) if dtype == "bool" else (LABELS, [0, 3, 1, 2])
    z, t, same = (
        backend.array(LOGS, "float32"),
        backend.array(y, dtype),
        backend.array(y, "int32"),
    )
    assert float(il.nll(z, t)) == float(il.nll(z, same))
    p, q = backend.array(other, dtype), backend.array(other, "int32")
    for metric in (il.accuracy, il.ConfusionMatrix(num_classes=4)):
        result = metric(p, t)
        close(result, metric(q, same), 0)
        assert backend.dtype(result) == backend.dtype(il.mse(same, same))  # as of any integers


def test_products_of_labels_do_not_overflow(backend: Backend) -> None:
    """Pairs of labels are counted in a dtype that holds their products."""
    p, t = backend.array([19, 19, 7], "uint8"), backend.array([19, 7, 7], "uint8")
    close(il.MatthewsCorrelation(num_classes=20)(p, t), 0.5, 8, 1.0)
    assert float(il.accuracy(p, t)) == np.float32(2 / 3)


def test_byte_order() -> None:
    """Big-endian labels are the same labels."""
    z, y = np.float32(LOGITS), np.array(LABELS)
    for dtype in (">i2", ">i4", ">i8", ">u4"):
        assert il.cross_entropy(z, y.astype(dtype)) == il.cross_entropy(z, y)
        matrix = il.ConfusionMatrix(num_classes=4)(y.astype(dtype), y.astype(dtype))
        np.testing.assert_array_equal(matrix, np.diag([1.0, 2.0, 0.0, 1.0]))


@every_metric
def test_floating_labels(backend: Backend, metric: il.Metric) -> None:
    """Labels that are floats are refused, with what to do."""
    p, t = draw(metric, (4,), dtype="float32")
    p, t = backend.xp.asarray(p), backend.xp.asarray(t.astype("float32"))
    codes = {"torch": "targets.to(int)", "array_api_strict": "xp.astype(targets, xp.int64)"}
    code = codes.get(backend.name, "targets.astype(int)")
    both = "predictions are integers: are the two swapped? pass (predictions, targets)"
    fix = f"convert them, e.g. {code}" if "float" in str(p.dtype) else both
    assert message(lambda: metric(p, t), TypeError) == (
        f"{metric!r}: targets have dtype float32: labels must be integers; {fix}"
    )


def test_rows_of_labels(backend: Backend) -> None:
    """Of one-hot rows, the label is where the 1 is."""
    rows = backend.xp.asarray([[0.0, 1.0], [1.0, 0.0]])
    text = message(lambda: il.softmax_cross_entropy(rows, rows), TypeError)
    assert text.endswith("labels must be integers; convert them, e.g. targets.argmax(-1)")


# --- what is no label -----------------------------------------------------------------------------


@every_metric
def test_outside(metric: il.Metric) -> None:
    """A label outside makes its sample nan, and no other; excluded, it does nothing."""
    check_outside(NUMPY, metric)


@every_kind
def test_outside_elsewhere(backend: Backend, metric: il.Metric) -> None:
    """The same on every library."""
    check_outside(backend, metric)


def check_outside(backend: Backend, metric: il.Metric) -> None:
    """Spoil a sample of each column by another label, and leave it out by a mask, or by a weight."""
    bad = [-1, 4, 127, -128]
    p, t = draw(metric, (6, 4), dtype="float32")
    t[1:3] = [0], [1]
    spoilt = t.copy()
    spoilt[1] = bad
    p, right, wrong = (
        backend.array(p, "float32"),
        backend.array(t, "int8"),
        backend.array(spoilt, "int8"),
    )
    if metric.summable:
        lost = np.isnan(as_numpy(metric(p, wrong, reduction="none")))
        assert lost.tolist() == [[row == 1] * 4 for row in range(6)]
    every = np.ones((6, 4), bool)
    others = every.copy()
    others[1] = False

    call = lambda t, where, weights: metric(p, t, where=where, weights=weights, axis=0)  # noqa: E731
    if backend.compiles:  # at once, rather than operation by operation
        call = backend.jax.jit(call)

    def value(labels: Any, where: np.ndarray, weights: np.ndarray) -> np.ndarray:
        seen, w = backend.array(where, "bool"), backend.array(1.0 * weights, "float32")
        return as_numpy(call(labels, seen, w))

    assert np.isnan(value(wrong, every, every)).all()
    want = value(right, others, every)
    assert np.isfinite(want.reshape(4, -1)).any(axis=1).all()
    for where, weights in ((others, every), (every, others)):
        np.testing.assert_array_equal(value(wrong, where, weights), want)


def test_outside_in_predictions(backend: Backend) -> None:
    """A predicted label outside makes its sample nan as well."""
    t = backend.array([0, 1, 2], "int32")
    for wrong in ([0, 1, 3], [0, -1, 2]):
        assert math.isnan(float(il.F1Score(num_classes=3)(backend.array(wrong, "int32"), t)))
    right = il.accuracy(backend.array([0, -1, 2], "int32"), t, reduction="none")
    close(right, [1.0, NAN, 1.0], 0)


def test_validate(backend: Backend) -> None:
    """validate names the first label that is none, and what labels may be."""
    z = backend.array(LOGS, "float32")
    il.validate(il.cross_entropy, z, backend.array(LABELS, "int32"))
    wrong = backend.array([0, 3, 4, -1], "int32")
    assert message(lambda: il.validate(il.nll, z, wrong), ValueError) == (
        "NegativeLogLikelihood(): targets[2] is 4; targets must be >= 0 and <= 3"
    )
    seen = backend.array([True, True, False, True], "bool")
    assert message(lambda: il.validate(il.nll, z, wrong, where=seen), ValueError) == (
        "NegativeLogLikelihood(): targets[3] is -1; targets must be >= 0 and <= 3"
    )
    il.validate(il.NegativeLogLikelihood(ignore_index=4), z, backend.array([0, 3, 4, 1], "int32"))
    lost = backend.array([LOGS[0], [NAN, -3.0, -1.0, -2.0], *LOGS[2:]], "float32")
    some = backend.array(LABELS, "int32")
    assert message(lambda: il.validate(il.nll, lost, some), ValueError) == (
        "NegativeLogLikelihood(): predictions[1, 0] is nan; predictions must be <= 0"
    )
    below, above = backend.array([0, -1, 1, 1], "int32"), backend.array([0, 4, 1, 1], "int32")
    assert message(lambda: il.validate(il.accuracy, some, below), ValueError) == (
        "Accuracy(): targets[1] is -1; targets must be >= 0"
    )
    matrix = il.ConfusionMatrix(num_classes=4)
    assert message(lambda: il.validate(matrix, above, some), ValueError) == (
        "ConfusionMatrix(num_classes=4): predictions[1] is 4; predictions must be >= 0 and <= 3"
    )
    assert message(lambda: il.validate(matrix, lost, some), ValueError) == (
        "ConfusionMatrix(num_classes=4): predictions[1, 0] is nan; "
        "predictions must be a number, not nan"
    )


def test_shapes(backend: Backend) -> None:
    """Shapes that do not go together are named; labels in the place of scores have no axis of classes."""
    z, y = backend.array(LOGITS, "float32"), backend.array(LABELS, "int32")
    assert message(lambda: il.cross_entropy(z, y[:2]), ValueError).endswith(
        ": predictions have shape (4, 4) and targets (2,); "
        "predictions must be (..., classes) where targets are (...)"
    )
    assert message(lambda: il.accuracy(y, y[:2]), ValueError) == (
        "Accuracy(): predictions have shape (4,) and targets (2,); they must be the same"
    )
    assert message(lambda: il.F1Score(num_classes=3)(z, y), ValueError) == (
        "F1Score(num_classes=3): the axis of classes has length 4; the metric has 3"
    )
    assert message(lambda: il.accuracy(y, y, event_axis=0), ValueError) == (
        "Accuracy(): event_axis=0 does not apply: every element is a sample of its own"
    )


# --- labels that are ignored ----------------------------------------------------------------------

KEPT = [0, 1, 3]  # of LABELS, the third of which is replaced by the label that is ignored
NEGATIVE_LOGS = -np.asarray(LOGS)[KEPT, [0, 3, 1]]


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        (il.SoftmaxCrossEntropy(ignore_index=-100), terms()[KEPT]),
        (il.NegativeLogLikelihood(ignore_index=2), NEGATIVE_LOGS),
        (il.NegativeLogLikelihood(ignore_index=255), NEGATIVE_LOGS),
    ],
    ids=["below the classes", "one of the classes", "above the classes"],
)
def test_ignore_index(backend: Backend, metric: Any, values: np.ndarray) -> None:
    """The label that is ignored may lie outside the classes or inside; its samples count as removed."""
    ignored = metric.ignore_index
    logits = LOGS if isinstance(metric, il.NegativeLogLikelihood) else LOGITS
    z, t = backend.array(logits, "float32"), backend.array([0, 3, ignored, 1], "int32")
    close(metric(z, t, reduction="none"), [*values[:2], 0.0, values[2]], 4, 1 / 8)
    value, slope = il.value_and_gradient(metric, z, t)
    close(value, np.mean(values), 4)
    slope = as_numpy(slope)
    assert not slope[2].any()
    assert slope[KEPT].any(axis=-1).all()
    lost = backend.array([ignored] * 4, "int32")
    w = backend.array([1.0, 2.0, 5.0, 0.5], "float32")
    assert math.isnan(float(metric(z, lost, weights=w)))
    assert float(metric(z, lost, empty=0.5)) == 0.5
    weighed = np.sum(values * [1.0, 2.0, 0.5]) / 3.5
    close(metric(z, t, weights=w), weighed, 4)
    il.validate(metric, z, t)


def test_another_label_outside(backend: Backend) -> None:
    """Beside a label that is ignored, another one outside is nan."""
    metric = il.SoftmaxCrossEntropy(ignore_index=-1)
    z, t = backend.array(LOGITS, "float32"), backend.array([0, -1, -2, 1], "int32")
    want = terms()
    close(metric(z, t, reduction="none"), [want[0], 0.0, NAN, want[3]], 4, 1 / 8)


# --- weights of classes ---------------------------------------------------------------------------

WEIGHTED = il.SoftmaxCrossEntropy(class_weights=WEIGHTS)


def test_forms_of_weights() -> None:
    """Weights of classes in a list or an array of NumPy are those of a tuple."""
    for form in (list(WEIGHTS), np.array(WEIGHTS), np.float32(WEIGHTS)):
        metric = il.SoftmaxCrossEntropy(class_weights=form)
        assert metric == WEIGHTED
        assert hash(metric) == hash(WEIGHTED)


def test_weights_of_classes(backend: Backend) -> None:
    """The mean divides by the sum of the weights of the labels."""
    z, t = backend.array(LOGITS, "float32"), backend.array(LABELS, "int32")
    w = np.asarray(WEIGHTS)[LABELS]
    want = np.sum(w * terms()) / np.sum(w)
    softmax = np.exp(LOGITS) / np.sum(np.exp(LOGITS), axis=-1, keepdims=True)
    softmax[np.arange(4), LABELS] -= 1
    close(WEIGHTED(z, t, reduction="none"), w * terms(), 4, 1 / 8)
    value, slope = il.value_and_gradient(WEIGHTED, z, t)
    close(value, want, 4)
    close(slope, softmax * w[:, None] / np.sum(w), 8, 1 / 8)
    given = backend.array([1.0, 0.5, 2.0, 0.0], "float32")
    both = w * [1.0, 0.5, 2.0, 0.0]
    close(WEIGHTED(z, t, weights=given), np.sum(both * terms()) / np.sum(both), 4)
    hidden = il.SoftmaxCrossEntropy(class_weights=(0.0, 1.0, 1.0, 1.0))
    spoilt = backend.array([[NAN] * 4, *LOGITS[1:]], "float32")
    for logits in (z, spoilt):
        close(hidden(logits, t), np.mean(terms()[1:]), 4)


def test_weights_of_too_few_classes(backend: Backend) -> None:
    """Weights of another number of classes are refused."""
    z, t = backend.array(LOGITS, "float32"), backend.array(LABELS, "int32")
    for weights in ((1.0, 2.0), backend.array([1.0, 2.0], "float32")):
        text = message(lambda w=weights: il.SoftmaxCrossEntropy(class_weights=w)(z, t), ValueError)
        assert text.endswith("the axis of classes has length 4; the metric has 2")


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        ((1.0, -1.0), ValueError, "class_weights must be finite and >= 0, not -1.0"),
        (1.0, TypeError, "class_weights must be a tuple of numbers, not 1.0"),
    ],
)
def test_wrong_weights(wrong: Any, kind: type[Exception], words: str) -> None:
    """What is no tuple of weights is refused when the metric is made."""
    assert message(lambda: il.SoftmaxCrossEntropy(class_weights=wrong), kind).endswith(words)


def test_weights_in_an_array(backend: Backend) -> None:
    """Weights of classes may be an array of the library, and be learnt with JAX and PyTorch."""
    z, t = backend.array(LOGITS, "float32"), backend.array(LABELS, "int32")
    w = backend.array(WEIGHTS, "float32")
    f = lambda w: il.SoftmaxCrossEntropy(class_weights=w)(z, t)  # noqa: E731
    of_samples = np.asarray(WEIGHTS)[LABELS]
    mean = np.sum(of_samples * terms()) / np.sum(of_samples)
    slopes = np.zeros(4)
    np.add.at(slopes, LABELS, (terms() - mean) / np.sum(of_samples))
    if backend.name == "jax":
        value, slope = backend.jax.jit(backend.jax.value_and_grad(f))(w)
        close(slope, slopes, 16, 1 / 8)
    elif backend.name == "torch":
        leaf = w.clone().requires_grad_()
        value = f(leaf)
        value.backward()
        close(leaf.grad, slopes, 16, 1 / 8)
        close(backend.xp.func.grad(f)(w), slopes, 16, 1 / 8)
    else:
        value = f(w)
    close(value, mean, 4)


# --- axes -----------------------------------------------------------------------------------------


@every_metric
def test_classes_on_axis_1(metric: il.Metric) -> None:
    """event_axis=1, PyTorch's layout, gives what the last axis gives, and its gradient."""
    check_classes_on_axis_1(NUMPY, metric)


def test_classes_on_axis_1_elsewhere(backend: Backend) -> None:
    """The same on every library."""
    check_classes_on_axis_1(backend, il.log_loss)


def check_classes_on_axis_1(backend: Backend, metric: il.Metric) -> None:
    """Compare with the last axis."""
    p, t = draw(metric, (2, 3, 5), dtype="float32")
    first = backend.array(np.moveaxis(p, -1, 1), "float32")
    p, t = backend.array(p, "float32"), backend.array(t, "int32")
    for axis in (0, (1, 2)):
        close(metric(first, t, event_axis=1, axis=axis), metric(p, t, axis=axis), 0)
    if metric.summable:
        value, slope = il.value_and_gradient(metric, first, t, event_axis=1)
        want, steep = il.value_and_gradient(metric, p, t)
        close(value, want, 0)
        close(np.moveaxis(as_numpy(slope), 1, -1), steep, 0)


def test_several_axes() -> None:
    """event_axis=(1, 2) makes two axes into one, in the order they are named."""
    z, t = np.arange(24, dtype="float32").reshape(2, 3, 4) % 7 / 4, [11, 5]
    want, slope = il.value_and_gradient(il.cross_entropy, z.reshape(2, 12), t)
    value, steep = il.value_and_gradient(il.cross_entropy, z, t, event_axis=(1, 2))
    close(value, want, 0)
    close(steep, slope.reshape(2, 3, 4), 0)
    close(il.cross_entropy(np.moveaxis(z, 0, -1), t, event_axis=(0, 1)), want, 0)
    close(il.cross_entropy(np.swapaxes(z, 1, 2), t, event_axis=(-1, 1)), want, 0)


# --- labels or scores -----------------------------------------------------------------------------

OF_SCORES = {n: m for n, m in EVERY.items() if getattr(m.domain.predictions, "scores", False)}


@pytest.mark.parametrize("metric", OF_SCORES.values(), ids=OF_SCORES)
def test_scores_are_labels(metric: il.Metric) -> None:
    """Scores give what the labels of the largest of them give: the first, where several are."""
    check_scores_are_labels(NUMPY, metric)


@pytest.mark.parametrize("metric", [m for m in KINDS if m in OF_SCORES.values()], ids=repr)
def test_scores_are_labels_elsewhere(backend: Backend, metric: il.Metric) -> None:
    """The same on every library; the result has the dtype of the scores."""
    check_scores_are_labels(backend, metric)


def check_scores_are_labels(backend: Backend, metric: il.Metric) -> None:
    """Compare scores, equal ones among them, with labels."""
    rng = np.random.default_rng(3)
    scores, t = rng.normal(size=(20, 4)), rng.integers(0, 4, 20)
    scores[3] = 1.0
    p, t = backend.array(np.argmax(scores, axis=-1), "int32"), backend.array(t, "int32")
    scores = backend.array(scores, "float32")
    w = backend.array([0.5 + k % 3 for k in range(20)], "float32")
    for options in ({}, {"weights": w}):
        value = metric(scores, t, **options)
        assert backend.dtype(value) == "float32"
        close(value, metric(p, t, **options), 1, 1 / 8)


def test_nan_scores(backend: Backend) -> None:
    """A nan among the scores of a sample makes it nan; excluded, it does nothing."""
    scores = backend.array([[1.0, 0.0], [NAN, 1.0], [0.0, 1.0]], "float32")
    t = backend.array([0, 1, 1], "int32")
    close(il.accuracy(scores, t, reduction="none"), [1.0, NAN, 1.0], 0)
    every, others = ([True, seen, True] for seen in (True, False))
    for metric in (il.accuracy, il.F1Score(num_classes=2)):
        assert math.isnan(float(metric(scores, t, where=backend.array(every, "bool"))))
        assert float(metric(scores, t, where=backend.array(others, "bool"))) == 1.0


def test_ties_of_top_k(backend: Backend) -> None:
    """Of equal scores the first is the highest."""
    scores = backend.array([[1.0, 2.0, 2.0, 2.0]] * 4, "float32")
    right = il.TopKAccuracy(k=2)(scores, backend.array([0, 1, 2, 3], "int32"), reduction="none")
    close(right, [0.0, 1.0, 1.0, 0.0], 0)


# --- many classes, infinite logits ----------------------------------------------------------------


def test_many_classes(backend: Backend) -> None:
    """70,000 equal logits in half precision: their loss is log(70,000), to 1 ULP of float32."""
    dtype = "float16" if "float16" in backend.dtypes else "float32"
    z = backend.xp.zeros((2, 70_000), dtype=getattr(backend.xp, dtype))
    t = backend.array([69_999, 0], "int32")
    value, slope = il.value_and_gradient(il.cross_entropy, z, t, denominator=1)
    assert backend.dtype(value) == "float32"
    close(value, 2 * math.log(70_000), 1)
    assert backend.dtype(slope) == dtype
    assert float(slope[0, 69_999]) == np.dtype(dtype).type(-69_999 / 70_000)
    z = backend.xp.full((2, 70_000), -3.0, dtype=getattr(backend.xp, dtype))
    value, _ = il.value_and_gradient(il.cross_entropy, z, t, denominator=1)
    close(value, 2 * math.log(70_000), 1)


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
    p = backend.array([z, [0.0, 0.0, -INF]], "float32")
    t = backend.array([label, 1], "int32")
    close(il.cross_entropy(p, t, reduction="none"), [loss, HALF], 4)
    slope = as_numpy(il.gradient(il.cross_entropy, p, t, denominator=1))
    close(slope[1], [0.5, -0.5, 0.0], 2)
    if slopes is not None:
        close(slope[0], slopes, 2)
    shares = np.zeros((2, 3))
    shares[[0, 1], [label, 1]] = 1
    metric = il.softmax_cross_entropy_with_probabilities
    close(metric(p, backend.array(shares, "float32"), reduction="none"), [loss, HALF], 4)


def test_labels_have_no_gradient(backend: Backend) -> None:
    """Scores of a metric of labels have the gradient 0, as everything that is constant but for steps."""
    z, t = backend.array(LOGITS, "float32"), backend.array(LABELS, "int32")
    for metric in (il.accuracy, il.F1Score(num_classes=4)):
        value, slope = il.value_and_gradient(metric, z, t)
        close(value, metric(LOGITS, LABELS), 1)
        assert tuple(slope.shape) == (4, 4)
        assert not as_numpy(slope).any()
