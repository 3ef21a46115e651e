"""Metrics made of a metric: its root, a multiple of it, its exponential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from .domains import Domain
from .errors import fail
from .metric import Core, Metric, Parts, SquaredLoss
from .parameters import Real
from .states import Rooted, RootMeanSquare, State
from .totals import Totals
from .types import Array, Namespace


class Wrapper(Metric):
    """A metric made of another, ``self.metric``: it has that metric's inputs and statistics."""

    metric: Metric

    @property
    def signature(self) -> str:  # type: ignore[override]
        return self.metric.signature

    @property
    def parts(self) -> Parts:  # type: ignore[override]
        return self.metric.parts

    @property
    def core(self) -> Core:  # type: ignore[override]
        return self.metric.core

    @property
    def prediction_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.metric.prediction_names

    @property
    def target_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.metric.target_names

    @property
    def padding(self) -> tuple[float, float] | None:  # type: ignore[override]
        return self.metric.padding

    @property
    def weighs(self) -> bool:  # type: ignore[override]
        return self.metric.weighs

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        return self.metric.elementwise

    def included(self, xp: Namespace, target: Array) -> Array | None:
        return self.metric.included(xp, target)

    def importance(self, xp: Namespace, target: Array) -> Array | None:
        return self.metric.importance(xp, target)

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.metric.kind

    @property
    def averages(self) -> bool:  # type: ignore[override]
        return self.metric.averages

    @property
    def greater_is_better(self) -> bool:  # type: ignore[override]
        return self.metric.greater_is_better

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        return self.metric.domain

    @property
    def sizes(self) -> dict[str, int]:
        return self.metric.sizes

    def __post_init__(self) -> None:
        if not isinstance(self.metric, Metric):
            message = f"metric must be a metric such as isoloss.huber, not {self.metric!r}"
            raise fail(self, message, TypeError)
        super().__post_init__()

    @property
    def source(self) -> Any:
        return self.metric.source

    def source_in(self, xp: Namespace) -> Any:
        return self.metric.source_in(xp)

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> State:
        return self.metric.statistics(xp, prediction, target, total)


@final
@dataclass(frozen=True)
class Root(Wrapper):
    r"""The square root of a metric.

    .. math:: \sqrt{m}

    Its value and its gradient are 0 where the metric is 0. With ``axis``, the root of each value.
    The root of a squared loss is finite wherever it can be represented: residuals of 1e20 in
    float32 are squared without overflow, residuals of 1e-30 without underflow.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Root(il.mean_squared_error)([1.0, 2.0], [4.0, 6.0])
    np.float64(3.5355339059327378)
    """

    metric: Metric

    @property
    def source(self) -> Any:
        return self if isinstance(self.metric, SquaredLoss) else self.metric.source

    def source_in(self, xp: Namespace) -> Any:
        # squares of float32 cannot leave the range of float64: their plain mean will do
        return self.metric.source_in(xp) if xp.wide else self.source

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> State:
        if not isinstance(self.metric, SquaredLoss):
            return super().statistics(xp, prediction, target, total)
        residual = self.metric.residual(xp, prediction, target)
        return total.root_mean_square(self._inside(xp, prediction, target, residual))

    def formula(self, xp: Namespace, state: State) -> Array:
        if isinstance(state, (RootMeanSquare, Rooted)):
            return state.root()
        return xp.sqrt(self.metric.formula(xp, state))


@final
@dataclass(frozen=True)
class Scaled(Wrapper):
    r"""A metric times a constant.

    .. math:: c \, m

    Examples
    --------
    >>> import isoloss as il
    >>> il.Scaled(il.mean_absolute_percentage_error, 100)([90.0], [100.0])  # percent
    np.float64(10.0)
    """

    metric: Metric
    factor: Real = 1.0

    @property
    def summable(self) -> bool:  # type: ignore[override]
        return self.metric.summable

    @property
    def greater_is_better(self) -> bool:  # type: ignore[override]
        turned = type(self.factor) in (int, float) and self.factor < 0
        return self.metric.greater_is_better != turned

    def terms(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return self.factor * self.metric.terms(xp, prediction, target)

    def sum(self, state: Any) -> Array:
        return self.factor * self.metric.sum(state)

    def formula(self, xp: Namespace, state: State) -> Array:
        return self.factor * self.metric.formula(xp, state)


@final
@dataclass(frozen=True)
class Exp(Wrapper):
    r"""The exponential of a metric: a geometric mean, a perplexity.

    .. math:: \exp(m)

    Examples
    --------
    >>> import isoloss as il
    >>> il.Exp(il.mean_bias_error)([1.0, 3.0], [1.0, 3.0])
    np.float64(1.0)
    """

    metric: Metric

    def formula(self, xp: Namespace, state: State) -> Array:
        return xp.exp(self.metric.formula(xp, state))
