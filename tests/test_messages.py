"""Every error, word for word, on every library: it names the metric, the values and the fix."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import BACKENDS, Backend
from isoloss._core.states import Moments

THREE = np.array([1.0, 2.0, 3.0], dtype=np.float32)


@pytest.fixture
def array(backend: Backend) -> Callable[[Any], Any]:
    """Make an array of each library."""
    return maker(backend)


def maker(backend: Backend) -> Callable[[Any], Any]:
    return lambda x: backend.xp.asarray(np.array(x))


def message(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    return str(caught.value)


OPTIONS: list[tuple[str, dict[str, Any], str]] = [
    (
        "axis out of range",
        {"axis": 3},
        "Huber(): axis=3 is out of range for a loss with 1 axes",
    ),
    (
        "axis just out of range",
        {"axis": 1},
        "Huber(): axis=1 is out of range for a loss with 1 axes",
    ),
    ("axis twice", {"axis": (0, -1)}, "Huber(): axis=(0, -1) names an axis twice"),
    (
        "reduction",
        {"reduction": "avg"},
        "Huber(): reduction='avg' is unknown; use 'mean', 'sum' or 'none'",
    ),
    (
        "denominator of a sum",
        {"reduction": "sum", "denominator": 3},
        "Huber(): denominator= divides a mean; it has no meaning with reduction='sum'",
    ),
    (
        "axis of nothing",
        {"reduction": "none", "axis": 0},
        "Huber(): reduction='none' reduces nothing: leave out axis= and keepdims=",
    ),
    (
        "negative denominator",
        {"denominator": -1},
        "Huber(): denominator=-1 must be a number of at least 0",
    ),
    (
        "event axis",
        {"event_axis": 0},
        "Huber(): event_axis=0 does not apply: every element is a sample of its own",
    ),
]


@pytest.mark.parametrize(("options", "text"), [pytest.param(o, t, id=i) for i, o, t in OPTIONS])
def test_options(array: Callable[[Any], Any], options: dict[str, Any], text: str) -> None:
    """A wrong option is named with what to use instead."""
    assert message(lambda: il.huber(array(THREE), array(THREE), **options), ValueError) == text


UNKNOWN: list[tuple[dict[str, Any], str]] = [
    (
        {"delta": 2},
        "delta is a hyper-parameter; make the metric with it: Huber(delta=2)(predictions, targets)",
    ),
    ({"sample_weight": [1]}, "there is no option sample_weight=; use weights="),
    ({"mask": [True]}, "there is no option mask=; use where="),
    ({"dim": 0}, "there is no option dim=; use axis="),
    ({"wieghts": [1]}, "there is no option wieghts=; use weights="),
]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"axis": "0"}, "axis='0' must be None, an integer or a tuple of integers"),
    ({"axis": (0, 1.0)}, "axis=(0, 1.0) must be None, an integer or a tuple of integers"),
    ({"denominator": "3"}, "denominator='3' must be a number"),
    ({"empty": "0"}, "empty='0' must be a number"),
]


@pytest.mark.parametrize(("options", "text"), WRONG)
def test_options_of_a_wrong_type(options: dict[str, Any], text: str) -> None:
    """An option that is no number is named."""
    assert message(lambda: il.huber(THREE, THREE, **options), TypeError) == (f"Huber(): {text}")


@pytest.mark.parametrize(("options", "text"), UNKNOWN)
def test_unknown_options(options: dict[str, Any], text: str) -> None:
    """A keyword that no metric takes is named with the one that was meant."""
    for call in (il.huber, il.huber.summary):
        with pytest.raises(TypeError) as caught:
            call(THREE, THREE, **options)
        assert str(caught.value) == f"Huber(): {text}"


def test_unknown_option_of_a_method() -> None:
    """What a call takes and a summary does not is unknown there; so is a wrapped metric's parameter."""
    assert message(lambda: il.huber.summary(THREE, THREE, keepdim=True), TypeError) == (
        "Huber(): there is no option keepdim=; the options are weights, where, axis, event_axis, groups, num_groups"
    )
    assert message(lambda: il.Root(il.huber)(THREE, THREE, delta=2), TypeError) == (
        "Root(metric=Huber()): there is no option delta=; the options are weights, where, axis, "
        "keepdims, reduction, denominator, empty, event_axis"
    )
    assert message(lambda: il.evaluate([il.huber], THREE, THREE, reduction="sum"), TypeError) == (
        "Huber(): there is no option reduction=; the options are weights, where, axis, event_axis, groups, num_groups"
    )


def test_intervals() -> None:
    """An interval that holds no number is refused."""
    namespace = {"scale": Annotated[float, il.Interval(1.0, 1.0)]}
    assert message(
        lambda: type("Empty", (il.Loss,), {"__annotations__": namespace}), ValueError
    ) == (
        "Interval(low=1.0, high=1.0, low_open=False, high_open=False, gap=None, infinite=False) holds no number: "
        "low must be less than high"
    )


SHAPES: list[tuple[tuple[int, ...], tuple[int, ...], str]] = [
    (
        (3,),
        (3, 1),
        "predictions have shape (3,) and targets (3, 1); they must be the same: "
        "drop the axis of length 1 with targets.squeeze(1)",
    ),
    (
        (1, 3),
        (3,),
        "predictions have shape (1, 3) and targets (3,); they must be the same: "
        "drop the axis of length 1 with predictions.squeeze(0)",
    ),
    ((3,), (4,), "predictions have shape (3,) and targets (4,); they must be the same"),
    ((1,), (4,), "predictions have shape (1,) and targets (4,); they must be the same"),
]


@pytest.mark.parametrize(("one", "two", "text"), SHAPES)
def test_shapes(array: Callable[[Any], Any], one: Any, two: Any, text: str) -> None:
    """Shapes never broadcast silently; the message says which axis to drop."""
    call = lambda: il.mean_squared_error(array(np.ones(one)), array(np.ones(two)))  # noqa: E731
    assert message(call, ValueError) == f"MeanSquaredError(): {text}"


def test_weights_and_masks(array: Callable[[Any], Any]) -> None:
    """Weights and masks broadcast to the loss, never beyond it, and a mask is boolean."""
    p = array(np.ones((3, 2), dtype=np.float32))
    call = lambda: il.huber(p, p, weights=array(THREE))  # noqa: E731
    assert message(call, ValueError) == (
        "Huber(): weights have shape (3,), which does not broadcast to the loss's shape (3, 2); "
        "add axes with weights[:, None]"
    )
    call = lambda: il.huber(p, p, where=array(np.ones((4, 3, 2), dtype=bool)))  # noqa: E731
    assert message(call, ValueError) == (
        "Huber(): where have shape (4, 3, 2), which does not broadcast to the loss's shape (3, 2)"
    )
    call = lambda: il.huber(p, p, where=p)  # noqa: E731
    assert message(call, TypeError) == (
        "Huber(): where has dtype float32: it must be boolean; pass where=mask != 0"
    )


def test_row_wise_shapes(array: Callable[[Any], Any]) -> None:
    """A row-wise metric says which axis it needs, and of which length."""
    p, t = array(np.ones((3, 2), dtype=np.float32)), array(THREE)
    assert message(lambda: il.multi_quantile(p, t), ValueError) == (
        "MultiQuantile(): the axis of quantiles has length 2; the metric has 3"
    )
    assert message(lambda: il.MultiQuantile((0.1, 0.9))(p, p), ValueError) == (
        "MultiQuantile(quantiles=(0.1, 0.9)): predictions have shape (3, 2) and targets (3, 2); "
        "predictions must be (..., quantiles) where targets are (...)"
    )
    assert message(lambda: il.cosine_similarity(array(np.float32(1)), t), ValueError) == (
        "CosineSimilarity(): predictions have shape (): a last axis of features is needed"
    )
    assert message(lambda: il.cosine_similarity(p, array(np.float32(1))), ValueError) == (
        "CosineSimilarity(): targets have shape (): a last axis of features is needed"
    )
    assert message(lambda: il.cosine_similarity(p[:, :0], p[:, :0]), ValueError) == (
        "CosineSimilarity(): predictions have shape (3, 0): the axis of features is empty"
    )
    assert message(lambda: il.cosine_similarity(t[:0], t[:0]), ValueError) == (
        "CosineSimilarity(): predictions have shape (0,): the axis of features is empty"
    )
    assert message(lambda: il.cosine_similarity(p, p[:, :1]), ValueError) == (
        "CosineSimilarity(): predictions have shape (3, 2) and targets (3, 1); they must be the same"
    )
    for axis in (2, -3, 5):
        assert message(
            lambda axis=axis: il.cosine_similarity(p, p, event_axis=axis), ValueError
        ) == (f"CosineSimilarity(): event_axis={axis} is out of range for shape (3, 2)")
    assert il.cosine_similarity(p, p, event_axis=-2).shape == ()


def test_metrics_that_are_no_mean_of_terms(array: Callable[[Any], Any]) -> None:
    """What a metric cannot do is refused with the reason."""
    p = array(THREE)
    assert message(lambda: il.r2_score(p, p, reduction="none"), ValueError) == (
        "R2Score(): reduction='none' needs one term per sample; only 'mean' applies"
    )
    assert message(lambda: il.r2_score(p, p, denominator=3), ValueError) == (
        "R2Score(): denominator= divides a mean, and this metric is not one"
    )
    assert message(lambda: il.gradient_hessian(il.rmse, p, p), ValueError) == (
        "Root(metric=MeanSquaredError()): gradient_hessian needs one term per sample, "
        "which this metric does not have"
    )
    for step in (lambda m: m.terms(np, THREE, THREE), lambda m: m.sum(None)):
        assert (
            message(lambda step=step: step(il.r2_score), ValueError)
            == "R2Score(): it has no term per sample"
        )


def test_gradient_of_several_values(array: Callable[[Any], Any]) -> None:
    """A gradient is of one number."""
    p = array(np.ones((3, 2), dtype=np.float32))
    assert message(lambda: il.gradient(il.huber, p, p, axis=0), ValueError) == (
        "Huber(): a gradient needs a single value, and this one has shape (2,); "
        "reduce it, or differentiate its sum"
    )


def test_gradient_of_what_is_no_array() -> None:
    """A gradient names the metric and the argument, as a call does."""
    for call in (il.gradient, il.value_and_gradient, il.gradient_hessian):
        for arguments, name in (((None, [1.0]), "predictions"), (([1.0], None), "targets")):
            assert message(lambda: call(il.huber, *arguments), TypeError) == (  # noqa: B023
                f"Huber(): {name} must be an array, not None"
            )
        assert message(lambda: call(il.huber, ["a"], [1.0]), TypeError) == (  # noqa: B023
            "Huber(): predictions has dtype str32: it holds text; convert it with astype(float)"
        )


def test_states(array: Callable[[Any], Any]) -> None:
    """States of different metrics or shapes do not merge, and compute takes a state."""
    p, q = array(np.ones((3, 2))), array(np.ones((3, 4)))
    mean, moments = il.huber.summary(p, p), il.r2_score.summary(p, p)
    assert message(lambda: mean.merge(moments), TypeError) == (
        "cannot merge a state of Huber() with one of R2Score(): "
        "merge states that the summary of one metric made"
    )
    assert message(lambda: mean.merge(il.Huber(2.0).summary(p, p)), TypeError) == (
        "cannot merge a state of Huber() with one of Huber(delta=2.0): "
        "merge states that the summary of one metric made"
    )
    one, two = il.huber.summary(p, p, axis=0), il.huber.summary(q, q, axis=0)
    assert message(lambda: one.merge(two), ValueError) == (
        "cannot merge Mean states of shapes (2,) and (4,): "
        "summarise every batch with the same axis= and trailing shape"
    )
    assert message(lambda: il.huber.compute(None), TypeError) == (
        "Huber(): compute needs a state made by summary, not NoneType"
    )
    assert message(lambda: il.huber.compute(moments), TypeError) == (
        "Huber(): the state is one of R2Score(); compute it with R2Score(), "
        "or make one with the summary of Huber()"
    )
    assert message(lambda: il.mse.compute(mean), TypeError) == (
        "MeanSquaredError(): the state is one of Huber(); compute it with "
        "Huber(), or make one with the summary of MeanSquaredError()"
    )
    nobody = Moments(*moments)
    assert message(lambda: il.huber.compute(nobody), TypeError) == (
        "Huber(): the state is a Moments, which this metric does not make"
    )
    assert message(lambda: mean.merge(nobody), TypeError) == (
        "cannot merge a Mean state with Moments: only states of the same metric merge"
    )


def test_mixed_libraries() -> None:
    """Arrays of two libraries are refused with a conversion, but for NumPy beside JAX."""
    libraries = ("numpy", "torch", "jax", "array_api_strict")
    n, t, j, s = (
        maker(pytest.importorskip(name) and BACKENDS[name]())(THREE) for name in libraries
    )
    assert message(lambda: il.huber(t, n), TypeError) == (
        "Huber(): predictions: a PyTorch array, targets: a NumPy array; "
        "convert one, e.g. targets = torch.as_tensor(targets)"
    )
    assert message(lambda: il.huber(t, j), TypeError) == (
        "Huber(): predictions: a PyTorch array, targets: a JAX array; "
        "convert one, e.g. targets = torch.as_tensor(targets)"
    )
    assert message(lambda: il.huber(n, n, weights=t), TypeError) == (
        "Huber(): predictions: a NumPy array, weights: a PyTorch array; "
        "convert one, e.g. weights = numpy.asarray(weights)"
    )
    assert message(lambda: il.huber(s, n), TypeError) == (
        "Huber(): predictions: a array_api_strict array, targets: a NumPy array; "
        "convert one, e.g. targets = targets in array_api_strict"
    )
    assert type(il.huber(n, j)) is type(il.huber(j, n)) is type(j)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            np.ma.masked_array([1.0], [True]),
            "masked arrays are not taken: pass array.filled(0) and where=~array.mask",
        ),
        (
            lambda: np.matrix([[1.0]]),
            "np.matrix is not taken (its * is a matrix product): pass np.asarray(matrix)",
        ),
        (
            lambda: pytest.importorskip("torch").ones(1).to_sparse(),
            "sparse tensors are not taken: pass tensor.to_dense()",
        ),
    ],
    ids=["masked", "matrix", "sparse"],
)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_refused_arrays(value: Any, text: str) -> None:
    """Arrays that would go silently wrong are refused with what to pass instead."""
    value = value() if callable(value) else value
    assert message(lambda: il.huber(value, value), TypeError) == f"Huber(): predictions: {text}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            np.array([1j]),
            "has dtype complex128: take its real and imaginary parts, or its absolute value, first",
        ),
        (
            np.array([None]),
            "has dtype object: it holds Python objects (a missing value, perhaps); convert it with astype(float)",
        ),
        (
            ["a"],
            "has dtype str32: it holds text; convert it with astype(float)",
        ),
        (
            lambda: (torch := pytest.importorskip("torch")).ones(1, dtype=torch.float8_e4m3fn),
            "has dtype float8_e4m3fn: it holds too few digits to subtract; cast it to float32 first",
        ),
        (
            np.array(["2020"], dtype="datetime64[Y]"),
            "has dtype datetime64[Y]: convert it to a float or integer dtype first",
        ),
    ],
    ids=["complex", "object", "text", "float8", "datetime"],
)
def test_refused_dtypes(value: Any, text: str) -> None:
    """A dtype that cannot be subtracted is named with the way out."""
    value = value() if callable(value) else value
    assert message(lambda: il.huber(value, value), TypeError) == f"Huber(): predictions {text}"


def test_refused_objects() -> None:
    """What is no array at all is named."""
    sparse = pytest.importorskip("scipy.sparse")
    assert message(lambda: il.huber(None, [1.0]), TypeError) == (
        "Huber(): predictions must be an array, not None"
    )
    assert message(lambda: il.huber({1: 2}, [1.0]), TypeError) == (
        "Huber(): predictions must be an array, not dict {1: 2}; convert it with numpy.asarray first"
    )
    assert message(lambda: il.huber([[1.0], [1.0, 2.0]], [1.0]), ValueError) == (
        "Huber(): predictions is a nested list of uneven lengths; pad it and mask the padding with where="
    )
    assert message(lambda: il.huber([1.0], sparse.csr_array([[1.0]])), TypeError) == (
        "Huber(): targets: sparse arrays are not taken: pass targets.toarray()"
    )


def test_devices() -> None:
    """Arrays on two devices are refused with both names."""
    p = pytest.importorskip("torch").ones(3)
    assert message(lambda: il.huber(p, p.to("meta")), ValueError) == (
        "Huber(): predictions are on device cpu and targets on meta; move one to the other"
    )


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (
            lambda: il.Huber(-1.0),
            ValueError,
            "Huber(delta=-1.0): delta must be finite and > 0, not -1.0",
        ),
        (
            lambda: il.Huber(float("nan")),
            ValueError,
            "Huber(delta=nan): delta must be finite and > 0, not nan",
        ),
        (lambda: il.Huber("a"), TypeError, "Huber(delta='a'): delta must be a number, not 'a'"),
        (lambda: il.Huber(1j), TypeError, "Huber(delta=1j): delta must be a number, not 1j"),
        (lambda: il.Huber([1]), TypeError, "Huber(delta=(1,)): delta must be a number, not (1,)"),
        (
            lambda: il.Pinball(1.0),
            ValueError,
            "Pinball(quantile=1.0): quantile must be finite and > 0 and < 1, not 1.0",
        ),
        (
            lambda: il.MultiQuantile((0.5, 2)),
            ValueError,
            "MultiQuantile(quantiles=(0.5, 2)): quantiles must be finite and > 0 and < 1, not 2",
        ),
        (
            lambda: il.MultiQuantile(0.5),
            TypeError,
            "MultiQuantile(quantiles=0.5): quantiles must be a tuple of numbers, not 0.5",
        ),
        (
            lambda: il.TweedieDeviance(0.5),
            ValueError,
            "TweedieDeviance(power=0.5): power must be finite and not between 0 and 1, not 0.5",
        ),
        (
            lambda: il.PoissonNLL(log_input="yes"),
            TypeError,
            "PoissonNLL(log_input='yes'): log_input must be True or False, not 'yes'",
        ),
        (
            lambda: il.Root("mse"),
            TypeError,
            "Root(metric='mse'): metric must be a metric such as isoloss.huber, not 'mse'",
        ),
    ],
)
def test_parameters(make: Callable[[], Any], kind: type[Exception], text: str) -> None:
    """A hyper-parameter outside its interval is refused when the metric is made."""
    assert message(make, kind) == text


def test_evaluate() -> None:
    """`evaluate` takes several metrics, each with a name of its own."""
    assert message(lambda: il.evaluate(il.huber, [1.0], [1.0]), TypeError) == (  # type: ignore[arg-type]
        "evaluate takes several metrics: pass [Huber()]"
    )
    assert message(lambda: il.evaluate([1.0], [1.0], [1.0]), TypeError) == (  # type: ignore[list-item]
        "evaluate takes metrics such as isoloss.huber, not 1.0"
    )
    assert message(
        lambda: il.evaluate([il.mse, il.mean_squared_error], [1.0], [1.0]), ValueError
    ) == ("two metrics are called 'mean_squared_error'; pass a dict with a name for each")


def test_validate(array: Callable[[Any], Any]) -> None:
    """`validate` names the first offending index, its value and what is allowed."""
    good = array(np.array([[1.0, 2.0]]))
    il.validate(il.poisson_deviance, good, good, weights=good)
    bad = array(np.array([[1.0, np.nan]]))
    assert message(lambda: il.validate(il.huber, bad, good), ValueError) == (
        "Huber(): predictions[0, 1] is nan; predictions must be finite"
    )
    assert message(lambda: il.validate(il.huber, good, good, weights=-good), ValueError) == (
        "Huber(): weights[0, 0] is -1.0; weights must be >= 0"
    )
    zero = array(np.array([[1.0, 0.0]]))
    assert message(lambda: il.validate(il.mape, good, zero), ValueError) == (
        "MeanAbsolutePercentageError(): targets[0, 1] is 0.0; targets must be other than 0"
    )
    il.validate(il.MeanAbsolutePercentageError(epsilon=0.5), good, zero)
    none = array(np.array([[False, False]]))
    assert message(lambda: il.validate(il.huber, bad, good, where=none), ValueError) == (
        "Huber(): no sample counts: where= and weights= exclude all of them"
    )
    il.validate(il.huber, bad, good, where=array(np.array([[True, False]])))


def test_validate_integers() -> None:
    """`validate` names an integer that a float cannot hold exactly."""
    p = np.array([1, 2**60])
    assert message(lambda: il.validate(il.huber, p, p), ValueError) == (
        "Huber(): predictions[1] is 1.152921504606847e+18; predictions must be "
        ">= -9.0072e+15 and <= 9.0072e+15 to be exact in float64"
    )


def test_definitions() -> None:
    """A wrong definition is refused when it is made or first called, with the reason."""
    with pytest.raises(
        TypeError,
        match=r"^Mine subclasses Huber, which is final: wrap an instance of it, as Root and Scaled do, "
        r"or subclass Loss$",
    ):
        type("Mine", (il.Huber,), {})

    @dataclass
    class Thawed(il.Loss):
        def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
            return prediction

    assert re.fullmatch(
        r"test_definitions.<locals>.Thawed\(\): "
        r"declare it with @dataclass\(frozen=True\): metrics are compared and hashed",
        message(Thawed, TypeError),
    )

    @dataclass(frozen=True)
    class Reduced(il.Loss):
        def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
            return xp.mean(prediction - target)

    for options in ({}, {"axis": 0}, {"reduction": "none"}):
        call = functools.partial(Reduced(), [1.0, 2.0], [1.0, 2.0], **options)
        assert message(call, ValueError) == (
            f"{Reduced()!r}: pointwise returned shape (); one term for each of (2,) is needed"
        )

    @dataclass(frozen=True)
    class ReducedSquare(il.SquaredLoss):
        def residual(self, xp: Any, prediction: Any, target: Any) -> Any:
            return xp.mean(prediction - target, keepdims=True)

    for metric in (ReducedSquare(), il.Root(ReducedSquare())):
        for p in (THREE, np.ones(50_000, np.float32)):
            assert message(functools.partial(metric, p, p), ValueError) == (
                f"{metric!r}: pointwise returned shape (1,); one term for each of {p.shape} is needed"
            )


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"denominator": {}}, TypeError, "denominator={} must be a number or an array of them"),
        ({"denominator": np.array("a")}, TypeError, "denominator=array('a', dtype='<U1') must be a number or an array of them"),
        ({"denominator": 1j}, TypeError, "denominator=1j must be a number"),
        ({"denominator": np.complex64(1)}, TypeError, "denominator=np.complex64(1+0j) must be a number"),
        ({"empty": 10**400}, TypeError, f"empty=1{'0' * 56}... must be a number"),
        ({"keepdims": np.array([1, 2])}, TypeError, "keepdims=array([1, 2]) must be True or False"),
        ({"keepdims": "yes"}, TypeError, "keepdims='yes' must be True or False"),
    ],
)  # fmt: skip
def test_options_that_are_no_numbers(
    array: Callable[[Any], Any], options: dict[str, Any], kind: type[Exception], text: str
) -> None:
    """An option of a wrong type is named by the metric, on every road to the value."""
    for call in (il.huber, il.rmsle, il.Root(il.mse)):
        assert (
            message(lambda call=call: call(array(THREE), array(THREE), **options), kind)
            == f"{call!r}: {text}"
        )


def test_parameters_of_other_types() -> None:
    """What is neither a number nor an array of them makes no metric."""
    for value in ({}, set(), np.array(["a"]), np.array([None])):
        shown = f"Huber(delta={value!r}): delta must be a number or an array of them, not {value!r}"
        assert message(lambda value=value: il.Huber(delta=value), TypeError) == shown
    assert "must be a tuple of numbers, not {}" in message(lambda: il.MultiQuantile({}), TypeError)  # type: ignore[arg-type]


def test_sizes_out_of_range(array: Callable[[Any], Any]) -> None:
    """Numbers of groups, targets and classes that cannot be are named."""
    p = array(THREE)
    call = lambda: il.evaluate([il.mse], p, p, groups=[0, 1, 0], num_groups=10**30)  # noqa: E731
    assert message(call, ValueError) == (
        f"MeanSquaredError(): num_groups={10**30} is too large; it must be below 2**31"
    )
    for derive in (il.gradient, il.gradient_hessian):
        assert message(lambda derive=derive: derive(il.mse, THREE, ()), ValueError) == (
            "MeanSquaredError(): predictions have shape (3,) and targets (0,); they must be the same"
        )
    empty = array(np.ones((0, 3), np.float32))
    hidden, labels = array(np.ones((2, 3), np.float32)), array(np.zeros(2, int))
    call = functools.partial(il.linear_cross_entropy, hidden, empty, labels)
    assert message(call, ValueError).endswith(
        "weight has shape (0, 3): it has a row for each class"
    )
