"""Everyday mistakes, and values outside a metric's domain: each is answered with what to type."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend

Make = Callable[[Any], Any]
LOGITS = np.array([[0.5, 1.0, -1.0, 0.25], [0.0, 0.5, 2.0, -0.5], [1.0, 0.0, 0.5, 3.0]], "float32")
LABELS = np.array([0, 2, 3], "int32")
THREE = np.array([1.0, 2.0, 3.0], "float32")


@pytest.fixture
def array(backend: Backend) -> Make:
    """Make an array of each library."""
    return lambda x: backend.xp.asarray(np.asarray(x))


def words(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    return str(caught.value)


def ends(call: Callable[[], Any], kind: type[Exception], metric: Any, end: str) -> None:
    """The message begins with the metric and ends with what to type."""
    text = words(call, kind)
    assert text.startswith(f"{metric!r}: "), text
    assert text.endswith(end), text


# --- arrays ---------------------------------------------------------------------------------------


def test_classes_on_another_axis(array: Make) -> None:
    """Classes where images have them are found, and `event_axis` is named."""
    images, labels = array(np.zeros((2, 5, 6, 7), "float32")), array(np.zeros((2, 6, 7), "int32"))
    m = il.softmax_cross_entropy
    ends(lambda: m(images, labels), ValueError, m, "the classes are on axis 1; pass event_axis=1")
    assert m(images, labels, event_axis=1) > 0
    ends(lambda: m(images, labels, dim=1), TypeError, m,
         "there is no option dim=; use event_axis= for the axis of classes, or axis= for the axes to reduce")  # fmt: skip
    p, t = array(np.zeros((3, 9, 2), "float32")), array(np.zeros((3, 2), "float32"))
    ends(lambda: il.multi_quantile(p, t), ValueError, il.multi_quantile,
         "the axis of quantiles has length 2; the metric has 3")  # fmt: skip


def test_swapped_arguments(array: Make) -> None:
    """Labels first and logits second are asked about, and nothing is converted."""
    m = il.softmax_cross_entropy
    ends(lambda: m(array(LABELS), array(LOGITS)), TypeError, m,
         "predictions are integers: are the two swapped? pass (predictions, targets)")  # fmt: skip
    scores, zeros = array([0.25, 0.75]), array([0.0, 1.0])
    ends(lambda: il.validate(il.roc_auc_score, zeros, scores), ValueError, il.roc_auc_score,
         "targets[0] is 0.25; targets must be 0 or 1; are predictions and targets swapped?")  # fmt: skip


def test_forms_of_labels(array: Make) -> None:
    """One-hot integers, labels with an axis too many and floats are each told apart."""
    m, p = il.softmax_cross_entropy, array(LOGITS)
    onehot = array(np.eye(4, dtype="int32")[LABELS])
    ends(lambda: m(p, onehot), ValueError, m, "the targets look one-hot; pass targets.argmax(-1)")
    ends(lambda: m(p, array(LABELS[:, None])), ValueError, m,
         "drop the axis of length 1 with targets.squeeze(1)")  # fmt: skip
    floats = words(lambda: il.accuracy(array(THREE), array(LABELS)), ValueError)
    assert "for labels pass integers, e.g. " in floats
    assert floats.endswith("; scores need an axis of classes")
    assert "predictions.astype(int)" in words(lambda: il.accuracy(THREE, LABELS), ValueError)


def test_probabilities_of_two_classes(array: Make) -> None:
    """The column of class 1 is named, at any number of axes."""
    p, t = array(np.full((3, 2), 0.5, "float32")), array(np.array([0, 1, 1], "int32"))
    for m in (il.roc_auc_score, il.binary_f1_score, il.average_precision_score):
        ends(lambda m=m: m(p, t), ValueError, m,
             "pass the probabilities of class 1, predictions[:, 1]")  # fmt: skip
    deep = array(np.full((3, 1, 2), 0.5, "float32"))
    ends(
        lambda: il.roc_auc_score(deep, t[:, None]),
        ValueError,
        il.roc_auc_score,
        "predictions[:, :, 1]",
    )


def test_text() -> None:
    """Labels of text are numbered together: one by one, a code would mean two labels."""
    p, t = np.array(["cat", "dog", "dog"]), np.array(["dog", "dog", "emu"])
    end = (
        "it holds text; number the labels of both arrays together, "
        "names, codes = numpy.unique([targets, predictions], return_inverse=True)"
    )
    for m in (il.accuracy, il.F1Score(num_classes=3), il.binary_accuracy):
        ends(lambda m=m: m(p, t), TypeError, m, end)
    _, codes = np.unique([t, p], return_inverse=True)
    targets, predictions = codes.reshape(2, -1)
    assert il.accuracy(predictions, targets) == np.mean(p == t)
    ends(
        lambda: il.huber(p, t), TypeError, il.huber, "it holds text; convert it with astype(float)"
    )


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_lists_of_arrays(library: str) -> None:
    """A list of tensors is not taken to NumPy behind the user's back: stack is named."""
    xp = pytest.importorskip(library)
    one = xp.ones(3)
    for given in ([one, one], (one, one), [one[0], one[1]], [[one], [one]]):
        text = words(lambda given=given: il.huber(given, xp.ones((2, 3))), TypeError)
        assert text.endswith(f"make one array of it, {library}.stack(predictions)"), text
    assert il.huber([np.ones(3), np.ones(3)], np.ones((2, 3))) == 0


def test_groups_without_a_label() -> None:
    """A missing group is named by its place, and groups of several types by these."""
    for name, more in (("groups", {}), ("clusters", {"standard_error": True})):
        call = lambda given, n=name, m=more: il.evaluate([il.mse], THREE, THREE, **{n: given}, **m)  # noqa: E731
        assert words(lambda: call(["a", None, "b"]), TypeError) == (  # noqa: B023
            f"evaluate: {name}[1] is None; give it a label such as 'missing', or drop the sample"
        )
        assert words(lambda: call(np.array(["a", 1, "b"], object)), TypeError) == (  # noqa: B023
            f"evaluate: {name}= has labels of several types, int and str; make all of them one type, such as str"
        )


# --- calls ----------------------------------------------------------------------------------------


def test_classes_called_like_functions(array: Make) -> None:
    """A class that is given arrays says how to make a metric and call it."""
    p, t = array(THREE), array(THREE)
    start = "it is a class: make the metric, then call it: "
    for cls, code in (
        (il.Huber, "Huber()"), (il.MeanAbsoluteError, "MeanAbsoluteError()"),
        (il.F1Score, "F1Score(num_classes=...)"), (il.SoftmaxCrossEntropy, "SoftmaxCrossEntropy()"),
        (il.PSNR, "PSNR(data_range=...)"), (il.Root, "Root(metric=...)"),
    ):  # fmt: skip
        want = f"{cls.__name__}: {start}{code}(predictions, targets)"
        assert words(lambda cls=cls: cls(p, t), TypeError) == want
    assert words(lambda: il.SigmoidFocal(p, array(LABELS)), TypeError).startswith(
        "SigmoidFocal: it is"
    )
    assert words(lambda: il.Huber(y_pred=p, y_true=t), TypeError).startswith("Huber: it is a class")
    assert words(lambda: il.Huber([1.0], [2.0]), TypeError).startswith("Huber: it is a class")
    assert il.Barron(p, t + 1).alpha is p  # numbers that are learnt


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: il.Huber(dleta=1), "Huber: there is no parameter dleta=; did you mean delta?"),  # type: ignore[call-arg]
        (lambda: il.Huber(window=1), "Huber: there is no parameter window=; the parameters are delta"),  # type: ignore[call-arg]
        (lambda: il.MeanSquaredError(window=1), "MeanSquaredError: there is no parameter window=; it has no parameters"),  # type: ignore[call-arg]
        (lambda: il.Huber(reduction="sum"), "Huber: reduction= is not a parameter; reduction= is an option of the call: Huber()(predictions, targets, reduction=...)"),  # type: ignore[call-arg]
        (lambda: il.F1Score(sample_weight=1), "F1Score: sample_weight= is not a parameter; weights= is an option of the call: F1Score(num_classes=...)(predictions, targets, weights=...)"),  # type: ignore[call-arg]
    ],
)  # fmt: skip
def test_parameters_that_there_are_not(make: Callable[[], Any], text: str) -> None:
    """A misspelt parameter is answered with the right one, an option with how to pass it."""
    assert words(make, TypeError) == text


@pytest.mark.parametrize(
    ("names", "end"),
    [
        ("y_true y_pred", "write targets= instead of y_true= and predictions= instead of y_pred=; predictions come first, then targets"),
        ("preds target", "write predictions= instead of preds= and targets= instead of target=; predictions come first, then targets"),
        ("input target", "write predictions= instead of input= and targets= instead of target=; predictions come first, then targets"),
    ],
)  # fmt: skip
def test_names_of_arguments(array: Make, names: str, end: str) -> None:
    """The names that other libraries give to predictions and targets are answered with ours."""
    arguments = {name: array(THREE) for name in names.split()}
    for call in (il.mse, il.mse.summary):
        ends(lambda call=call: call(**arguments), TypeError, il.mse, end)
    ends(lambda: il.mse(array(THREE), target=array(THREE)), TypeError, il.mse,
         "write targets= instead of target=; predictions come first, then targets")  # fmt: skip


def test_numbers_of_arguments(array: Make) -> None:
    """A third array, and one that is missing, are answered with how a call is written."""
    p = array(THREE)
    for call in (il.mse, il.mse.summary):
        ends(lambda call=call: call(p, p, p), TypeError, il.mse,
             "it takes predictions and targets, not 3 arrays in a row; options have names: pass weights as weights=")  # fmt: skip
        ends(lambda call=call: call(p), TypeError, il.mse,
             "targets are missing; pass (predictions, targets)")  # fmt: skip
    ends(lambda: il.mse(), TypeError, il.mse,
         "predictions and targets are missing; pass (predictions, targets)")  # fmt: skip
    assert il.mse(predictions=p, targets=p) == 0


def test_a_metric_where_an_adapter_belongs() -> None:
    """scikit-learn's, XGBoost's and LightGBM's own arguments name the adapter."""

    class Estimator:
        def fit(self) -> None: ...

    code = f"isoloss.adapters.sklearn.scorer(isoloss.{il.mse!r})"
    ends(lambda: il.mse(Estimator(), LOGITS, THREE), TypeError, il.mse,
         f"it was called with an estimator, Estimator; for scoring= pass {code}")  # fmt: skip
    ends(lambda: il.mse(Estimator(), THREE), TypeError, il.mse, f"for scoring= pass {code}")
    for module, name in (("xgboost.core", "DMatrix"), ("lightgbm.basic", "Dataset")):
        data = type(name, (), {"__module__": module})()
        adapter = f"{module.partition('.')[0]}_objective(isoloss.{il.huber!r})"
        ends(
            lambda data=data: il.huber(THREE, data),
            TypeError,
            il.huber,
            f"isoloss.adapters.boosting.{adapter}",
        )


def test_functions_of_a_library_in_a_definition(backend: Backend) -> None:
    """``np.exp`` in a loss of one's own is answered with ``xp.exp``; other errors stay as they are."""

    @dataclass(frozen=True)
    class Foreign(il.Loss):
        def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
            return np.exp(prediction - target)

    @dataclass(frozen=True)
    class Broken(il.Loss):
        def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
            raise RuntimeError("of its own")

    p = backend.array([0.5, 1.0], "float32")
    for derive in (il.gradient, il.gradient_hessian):
        ends(lambda derive=derive: derive(Foreign(), p, p), TypeError, Foreign(),
             "pointwise calls np.exp, which takes arrays of one library and has no derivative here; use xp.exp")  # fmt: skip
    assert words(lambda: Broken()(p, p), RuntimeError) == "of its own"


# --- values ---------------------------------------------------------------------------------------

VALUES: list[tuple[il.Metric, Any, Any, str]] = [
    (il.nll, [[-0.5, 0.25]], [0], "predictions[0, 1] is 0.25; predictions must be <= 0, as logarithms of probabilities are; take the log of probabilities, or use log_loss"),
    (il.log_loss, [[0.5, 0.5], [0.5, 0.75]], [1, 0], "the row predictions[1] sums to 1.25; probabilities of classes sum to 1: divide each row by its sum"),
    (il.log_loss, [[-2.0, 3.0]], [1], "predictions[0, 0] is -2.0; predictions must be >= 0 and <= 1; for logits use a loss that takes logits, or apply softmax first"),
    (il.bce, [-2.0], [1.0], "predictions[0] is -2.0; predictions must be >= 0 and <= 1; for logits use a loss that takes logits, or apply a sigmoid first"),
    (il.kl_divergence, [[0.5, 0.5]], [[0.5, 0.25]], "the row targets[0] sums to 0.75; probabilities of classes sum to 1: divide each row by its sum"),
    (il.binary_f1_score, [0.25, 4.0], [1.0, 0.0], "predictions[1] is 4.0; predictions must be >= 0 and <= 1, where threshold=0.5; for logits pass a sigmoid of them, or threshold=0.0 when the metric is made"),
    (il.F1Score(num_classes=3), [[0, 1, 1]], [[0, 1, 0]], "predictions and targets have shape (1, 3) and hold 0 and 1 alone, as indicators of 3 classes do, and not labels from 0 to 2; for several labels at once use a binary metric with axis=0, such as binary_f1_score"),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "p", "t", "text"), VALUES, ids=lambda x: str(x)[:20])
def test_validate_names_the_value(array: Make, metric: Any, p: Any, t: Any, text: str) -> None:
    """`validate` and a checked call name the value and the fix, where a call alone does not."""
    kinds = ["int32" if type(np.ravel(x)[0].item()) is int else "float32" for x in (p, t)]
    arrays = [array(np.array(x, kind)) for x, kind in zip((p, t), kinds, strict=True)]
    metric(*arrays)
    for call in (lambda: il.validate(metric, *arrays), lambda: in_block(metric, *arrays)):
        assert words(call, ValueError) == f"{metric!r}: {text}"
    keep = np.zeros(np.shape(t)[:1], bool)
    excluded = array(
        keep if np.ndim(t) == 1 or metric is il.kl_divergence else np.zeros_like(t, bool)
    )
    assert "no sample counts" in words(
        lambda: il.validate(metric, *arrays, where=excluded), ValueError
    )


def in_block(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    with il.checked():
        return call(*arguments, **options)


def test_probabilities_that_are_rounded_are_taken(array: Make) -> None:
    """Rows of a softmax in half precision sum to 1 nearly; excluded rows need not."""
    row = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    for dtype in ("float16", "float32"):
        il.validate(il.log_loss, row.astype(dtype), LABELS)
    il.validate(
        il.log_loss, array(row * [[1], [1], [0.5]]), array(LABELS), where=array([True, True, False])
    )
    il.validate(
        il.binary_f1_score, array(THREE), array([0.0, 1.0, 1.0]), where=array([True, False, False])
    )
    il.validate(il.BinaryF1Score(threshold=0.0), array(-THREE), array([0.0, 1.0, 1.0]))
    moved = array(np.moveaxis(row[None], -1, 1))
    il.validate(il.log_loss, moved, array(LABELS[None]), event_axis=1)


def test_log_probabilities_above_0_are_nan(array: Make) -> None:
    """Probabilities in the place of their logarithms give nan, not a plausible number."""
    terms = il.nll(
        array([[-1.0, -0.5], [0.25, 0.75], [0.0, -np.inf]]),
        array(np.array([0, 1, 0])),
        reduction="none",
    )
    np.testing.assert_array_equal(np.asarray(terms), [1.0, np.nan, 0.0])


def test_checked_calls(array: Make) -> None:
    """In a block, everything that takes samples names the one that is nan; after it, nothing does."""
    p, t = array(np.array([1.0, np.nan, 2.0], "float32")), array(THREE)
    text = f"{il.mse!r}: predictions[1] is nan; predictions must be finite"
    calls: tuple[Callable[[], Any], ...] = (
        lambda: il.mse(p, t),
        lambda: il.mse.summary(p, t),
        lambda: il.evaluate([il.mse], p, t),
        lambda: il.over_batches([il.mse], [(p, t)]),
        lambda: il.gradient(il.mse, p, t),
        lambda: il.value_and_gradient(il.mse, p, t),
        lambda: il.gradient_hessian(il.mse, p, t),
    )
    for call in calls:
        assert words(lambda call=call: in_block(call), ValueError) == text
        call()
    assert in_block(il.mse, p, t, where=array([True, False, True])) == 0.5
    assert in_block(il.mse, t, t, weights=t) == 0
    assert in_block(il.softmax_cross_entropy, array(LOGITS.T), array(LABELS), event_axis=0) > 0


def test_values_that_are_nan_for_another_reason(array: Make) -> None:
    """A score that is undefined for allowed samples says so; a nan term names its sample."""

    @dataclass(frozen=True)
    class Undefined(il.Loss):
        def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
            return xp.where(prediction == 2, np.nan, prediction)

    ends(lambda: in_block(il.r2_score, array(THREE), array(np.ones(3, "float32"))), ValueError, il.r2_score,
         "it is not defined for these samples together (no sample, or no variance, in one of its averages)")  # fmt: skip
    ends(lambda: in_block(Undefined(), array(THREE), array(THREE)), ValueError, Undefined(),
         "the term of sample [1] is nan, though its values are allowed")  # fmt: skip


def test_a_block_holds_for_its_thread_and_task() -> None:
    """Other threads and tasks are not checked, and the block ends with an error too."""
    p, seen = np.array([np.nan]), []

    async def alone() -> None:
        assert np.isnan(il.mse(p, p))

    async def tasks() -> None:
        task = asyncio.create_task(alone())
        with il.checked():
            await task
            assert "is nan" in words(lambda: il.mse(p, p), ValueError)

    with il.checked(), il.checked():
        thread = threading.Thread(target=lambda: seen.append(il.mse(p, p)))
        thread.start()
        thread.join()
    assert len(seen) == 1
    assert np.isnan(seen).all()
    asyncio.run(tasks())
    assert np.isnan(il.mse(p, p))


def test_traced_functions_are_not_checked() -> None:
    """Under jit, grad and vmap a checked call does nothing, and `validate` says why it cannot."""
    jax = pytest.importorskip("jax")
    p = jax.numpy.asarray([1.0, np.nan])
    for function in (jax.jit(il.mse), jax.grad(il.mse), jax.vmap(il.mse)):
        assert np.isnan(np.asarray(in_block(function, p, p))).any()
    text = words(lambda: jax.jit(lambda p: il.validate(il.mse, p, p))(p), TypeError)
    assert text == (
        f"{il.mse!r}: validate looks at values, which are not known here (under jit or vmap, say); "
        "call it outside the function"
    )


def test_compiled_and_lazy_calls_are_not_checked() -> None:
    """Under torch.compile no graph is broken, and nothing of Dask's is computed."""
    torch, da = pytest.importorskip("torch"), pytest.importorskip("dask.array")
    p = torch.tensor([1.0, np.nan])
    compiled = torch.compile(il.mse, fullgraph=True, backend="eager")
    assert torch.isnan(in_block(compiled, p, p))
    lazy = da.from_array(np.array([1.0, np.nan]))
    assert np.isnan(in_block(il.mse, lazy, lazy).compute())
