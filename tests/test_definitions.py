"""What a definition declares, and what follows from it: signatures, parameters, domains, wrappers."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Annotated, Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.metrics import ALL, concrete_classes
from isoloss._core.parameters import declared_of


def loss(signature: str) -> Any:
    """Return a loss of rows with this signature; made here, so that its making is tested."""

    @dataclass(frozen=True)
    class Rows(il.Loss):
        def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
            return xp.sum(prediction, axis=-1) - target

    return dataclass(frozen=True)(
        type("Signed", (il.Loss,), {"signature": signature, "pointwise": Rows.pointwise})
    )


@pytest.mark.parametrize(
    ("signature", "core"),
    [
        ("(),()->()", ((), ())),
        ("(classes),()->()", (("classes",), ())),
        ("(),(members)->()", ((), ("members",))),
        ("(features),(features)->()", (("features",), ("features",))),
        ("(a, b),(b)->()", (("a", "b"), ("b",))),
        ("( a ) , ( a,b ) -> ( a )", (("a",), ("a", "b"))),
    ],
)
def test_signatures(signature: str, core: Any) -> None:
    """A signature names the core dimensions of each input, spaces or not."""
    assert loss(signature).core == core
    assert il.Root(loss(signature)()).core == core


def test_a_row_wise_loss_of_ones_own() -> None:
    """Core dimensions are reduced by the loss, the others by the engine."""
    rows = loss("(members),()->()")()
    p, t = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0])
    np.testing.assert_array_equal(rows(p, t, reduction="none"), [2.0, 10.0])
    assert rows(p, t) == 6.0
    np.testing.assert_array_equal(il.gradient(rows, p, t), np.full((2, 3), 0.5))


def test_every_parameter_is_declared() -> None:
    """Each number has its interval and each word its alternatives: a name that is missing is none."""
    for metric in ALL.values():
        for item in fields(metric) if type(metric).__module__.startswith("isoloss") else ():  # type: ignore[arg-type]
            declared = declared_of(metric)[item.name]
            known = (
                declared.interval
                or declared.allowed
                or item.type in ("bool", "Metric", "tuple[Metric, ...]")
            )
            assert known or isinstance(item.default, bool), (type(metric), item.name)


ABOVE_0 = il.Interval(low=0.0, low_open=True)


def test_parameters() -> None:
    """A parameter has its default and its interval; None is allowed where it is the default."""

    @dataclass(frozen=True)
    class Two(il.Loss):
        scale: il.Positive = 3.0
        floor: Annotated[float, il.Interval(low=0.0, low_open=True)] | None = None
        share: Annotated[float, ABOVE_0] = 0.5

        def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
            return (prediction - target) / self.scale

    assert Two() == Two(scale=3.0, floor=None, share=0.5)
    assert [declared.interval for declared in declared_of(Two).values()] == 3 * [ABOVE_0]
    assert Two()([6.0], [0.0]) == 2.0
    for wrong in (
        {"scale": 0.0},
        {"floor": -1.0},
        {"share": 0.0},
        {"scale": math.nan},
        {"scale": math.inf},
    ):
        with pytest.raises(ValueError, match="must be finite and > 0, not"):
            Two(**wrong)
    with pytest.raises(TypeError, match="scale must be a number, not None"):
        Two(scale=None)  # type: ignore[arg-type]


def test_intervals() -> None:
    """An interval holds its ends unless they are open, never nan, and not what lies in its gap."""
    x = np.array([-math.inf, -1.0, 0.0, 0.5, 1.0, 2.0, math.inf, math.nan])
    for interval, want in (
        (il.Interval(), x == x),
        (il.Interval(low=0.0), x >= 0),
        (il.Interval(low=0.0, low_open=True), x > 0),
        (il.Interval(high=1.0), x <= 1),
        (il.Interval(high=1.0, high_open=True), x < 1),
        (il.Interval(0.0, 1.0, high_open=True), (x >= 0) & (x < 1)),
        (il.Interval(gap=(0.0, 1.0)), (x <= 0) | (x >= 1)),
        (il.Interval(low=0.0).without(0.0, 2.0), (x == 0) | (x >= 2)),
        (il.Interval().without(0.5, 0.5), (x < 0.5) | (x > 0.5)),
        (il.Interval(high=1.0).without(0.0, 0.0), (x < 0) | (x > 0) & (x <= 1)),
    ):
        np.testing.assert_array_equal(interval.contains(x), want)
        assert [bool(interval.contains(float(one))) for one in x] == want.tolist()
        assert interval.contains(interval.inside) or interval.gap is not None
    assert il.Interval(low=5.0).inside == 6.0
    assert il.Interval(high=-2.0).inside == -3.0
    assert il.Interval(high=9.0).inside == 1.0
    assert il.Interval(0.0, 1.0).inside == 0.5


@dataclass(frozen=True)
class Logarithm(il.Loss):
    """A loss that is defined between limits of one's choice."""

    limits: il.Domain

    @property
    def domain(self) -> il.Domain:
        return self.limits

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        return 0 * prediction * xp.log(xp.abs(target) - 0.5)


def test_domains() -> None:
    """Samples outside either interval are nan; what is excluded lies inside, whatever it holds."""
    p, t = np.array([-1.0, 1.0, -1.0, 1.0]), np.array([-1.0, -1.0, 6.0, 6.0])
    positive, far = il.Interval(low=0.0), il.Interval(low=5.0)
    for domain, want in (
        (il.Domain(), [True] * 4),
        (il.Domain(predictions=positive), [False, True, False, True]),
        (il.Domain(targets=far), [False, False, True, True]),
        (il.Domain(positive, far), [False, False, False, True]),
    ):
        assert domain.bounded == (not all(want))

        terms = Logarithm(domain)(p, t, reduction="none")
        np.testing.assert_array_equal(np.isnan(terms), np.logical_not(want))
        value, slope = il.value_and_gradient(Logarithm(domain), p, t, where=want)
        assert value == 0
        np.testing.assert_array_equal(slope[np.logical_not(want)], 0.0)


def test_wrappers() -> None:
    """A wrapper has its metric's inputs and kind; a negative factor turns what is better."""
    for wrap in (il.Root, il.Exp, il.Scaled):
        for metric in (il.multi_quantile, il.r2_score, il.poisson_deviance):
            wrapped = wrap(metric)
            assert wrapped.signature == metric.signature
            assert wrapped.core == metric.core
            assert wrapped.kind == metric.kind
            assert wrapped.averages == metric.averages
            assert wrapped.domain == metric.domain
            assert wrapped.sizes == metric.sizes
            assert wrapped.greater_is_better == metric.greater_is_better
            assert wrapped.summable == (metric.summable and wrap is il.Scaled)
    assert il.Scaled(il.r2_score, -1.0).greater_is_better is False
    assert il.Scaled(il.mse, -1.0).greater_is_better is True
    assert il.Scaled(il.mse, 0.5)([3.0], [1.0], reduction="sum") == 2.0
    assert il.Scaled(il.max_error, 3.0)([3.0], [1.0]) == 6.0
    with pytest.raises(ValueError, match="factor must be finite"):  # behind the metric
        il.Scaled(il.mse, float("nan"))


def test_what_is_shared() -> None:
    """Metrics of the same statistics share a state, others do not."""
    assert il.r2_score.source == il.explained_variance_score.source
    assert il.pearson_correlation.source == il.kling_gupta.source
    one, other = il.pearson_correlation, il.concordance_correlation  # in any units; in one unit
    assert one.source != other.source
    assert one.source == other.source_in(other.inputs(np.ones(1, "float32"), [1.0]).xp)
    assert il.r2_score.source != il.pearson_correlation.source
    assert il.Scaled(il.huber, 2.0).source == il.huber.source != il.Huber(2.0).source
    assert il.Root(il.huber).source == il.huber.source


ENDS = [  # as the docstrings have it: samples of the domain's ends, and samples just outside
    (il.poisson_deviance, [(1.0, 0.0)], [(0.0, 0.0), (0.0, 1.0), (1.0, -0.1)]),
    (il.gamma_deviance, [(1.0, 0.1)], [(0.0, 1.0), (1.0, 0.0)]),
    (il.TweedieDeviance(-1.0), [(1.0, -1.0)], [(0.0, 1.0)]),
    (il.TweedieDeviance(0.0), [(-1.0, -1.0)], []),
    (il.TweedieDeviance(1.0), [(1.0, 0.0)], [(0.0, 0.0), (0.0, 1.0), (1.0, -0.1)]),
    (il.TweedieDeviance(1.5), [(1.0, 0.0)], [(0.0, 0.0), (0.0, 1.0), (1.0, -0.1)]),
    (il.TweedieDeviance(2.0), [(1.0, 0.1)], [(0.0, 1.0), (1.0, 0.0)]),
    (il.TweedieDeviance(3.0), [(1.0, 0.1)], [(0.0, 1.0), (1.0, 0.0)]),
    (il.poisson_nll, [(-1.0, 0.0)], [(0.0, -0.1)]),
    (il.PoissonNLL(log_input=False), [(0.0, 0.0)], [(-0.1, 0.0), (1.0, -0.1)]),
    (il.mean_squared_log_error, [(-0.9, -0.9)], [(-1.0, 0.0), (0.0, -1.0)]),
    (il.binary_cross_entropy, [(0.0, 0.0), (1.0, 1.0)],
     [(-0.1, 0.0), (1.1, 1.0), (0.5, -0.1), (0.5, 1.1)]),
    (il.brier_score, [(0.0, 0.0), (1.0, 1.0)], [(-0.1, 0.0), (1.1, 1.0), (0.5, -0.1), (0.5, 1.1)]),
    (il.sigmoid_cross_entropy, [(9.0, 0.0), (9.0, 0.3), (9.0, 1.0)], [(0.0, -0.1), (0.0, 1.1)]),
    (il.sigmoid_focal, [(9.0, 0.0), (9.0, 1.0)], [(0.0, -0.1), (0.0, 0.5), (0.0, 1.1)]),
    (il.hinge, [(9.0, -1.0), (9.0, 1.0)], [(0.0, 0.0), (0.0, 1.1)]),
    (il.squared_hinge, [(9.0, -1.0), (9.0, 1.0)], [(0.0, 0.0), (0.0, 1.1)]),
    (il.gaussian_nll, [((0.0, 0.1), -1.0)], [((0.0, 0.0), 1.0)]),
    (il.laplace_nll, [((0.0, 0.1), -1.0)], [((0.0, 0.0), 1.0)]),
    (il.crps_gaussian, [((0.0, 0.1), -1.0)], [((0.0, 0.0), 1.0)]),
    (il.crps_laplace, [((0.0, 0.1), -1.0)], [((0.0, 0.0), 1.0)]),
    (il.crps_logistic, [((0.0, 0.1), -1.0)], [((0.0, 0.0), 1.0)]),
    (il.lognormal_nll, [((-1.0, 0.1), 0.1)], [((0.0, 0.0), 1.0), ((0.0, 1.0), 0.0)]),
    (il.negative_binomial_nll, [((0.1, 0.0), 0.0)],
     [((0.0, 1.0), 1.0), ((1.0, -0.1), 1.0), ((1.0, 1.0), -0.1)]),
    (il.student_t_nll, [((0.1, -1.0, 0.1), -1.0)], [((0.0, 0.0, 1.0), 0.0), ((1.0, 0.0, 0.0), 0.0)]),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "inside", "outside"), ENDS)
def test_ends_of_domains(metric: il.Loss, inside: list[Any], outside: list[Any]) -> None:
    """A term is a number at every end that belongs to the domain, and nan from the other ends on."""
    for samples, wanted in ((inside, False), (outside, True)):
        for prediction, target in samples:
            assert np.isnan(metric(prediction, target)) == wanted, (prediction, target)


def test_docstrings_say_what_is_declared() -> None:
    """A docstring has one paragraph of shapes and intervals, made of the declaration."""
    for kind in concrete_classes():
        text = " ".join((kind.__doc__ or "").split())
        assert text.count("Inputs: ") == isinstance(kind.domain, il.Domain), kind
    assert "Inputs: predictions ``(...)`` from 0 to 1; targets ``(...)`` 0 or 1." in " ".join(
        (il.BinaryReliabilityDiagram.__doc__ or "").split()
    )
