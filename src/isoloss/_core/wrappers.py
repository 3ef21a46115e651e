"""Wrappers: the root, a multiple or the exponential of a metric, and sums of losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from .docstrings import sides_of
from .domains import Domain, Interval, Labels, Values
from .errors import fail
from .metric import Core, Loss, Metric, Parts, SquaredLoss
from .parameters import Real
from .states import Rooted, RootMeanSquare, State
from .totals import Totals
from .types import Array, Namespace


class Wrapper(Metric):
    """A function of another metric, ``self.metric``, with the same inputs and statistics."""

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

    The value and the gradient are 0 where the metric is 0. With ``axis``, the root is taken of each
    value. The root of a squared loss neither overflows nor underflows if the result can be
    represented: float32 residuals of 1e20 or of 1e-30, for example, are handled.

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
        # squares of float32 stay in the range of float64, so that the plain mean suffices
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
    r"""The exponential of a metric, such as a geometric mean or a perplexity.

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


@final
@dataclass(frozen=True)
class Sum(Loss):
    r"""The sum of losses that take the same predictions and targets: ``mse + 0.1 * mae``.

    .. math:: \sum_i \ell_i

    Each term of the sum is the sum of the terms of the losses. A sample outside the domain of one
    of the losses is nan. Nested sums are flattened.

    Parameters
    ----------
    losses : tuple of metrics
        Losses, or multiples of losses.

    Raises
    ------
    TypeError
        For a metric that is not the mean of one term per sample, and for a score (greater is
        better): subtract a score.
    ValueError
        If the losses take different inputs, or if the targets of one decide which samples count.

    Examples
    --------
    >>> import isoloss as il
    >>> loss = il.mean_squared_error + 0.5 * il.mean_absolute_error
    >>> loss([1.0, 3.0], [0.0, 1.0])
    np.float64(3.25)
    >>> il.gradient(loss, [1.0, 3.0], [0.0, 1.0])
    array([1.25, 2.25])
    """

    losses: tuple[Metric, ...]

    @property
    def signature(self) -> str:  # type: ignore[override]
        return self.losses[0].signature

    @property
    def parts(self) -> Parts:  # type: ignore[override]
        return self.losses[0].parts

    @property
    def core(self) -> Core:  # type: ignore[override]
        return self.losses[0].core

    @property
    def prediction_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.losses[0].prediction_names

    @property
    def target_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.losses[0].target_names

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        return self.losses[0].elementwise

    @property
    def sizes(self) -> dict[str, int]:
        return self.losses[0].sizes

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        return self._domain  # type: ignore[attr-defined, no-any-return]

    def __post_init__(self) -> None:
        if not (isinstance(self.losses, tuple) and self.losses):
            raise TypeError(f"Sum takes a tuple of losses, not {self.losses!r}")
        for loss in self.losses:
            _check_summand(loss)
        nested = (loss.losses if isinstance(loss, Sum) else (loss,) for loss in self.losses)
        flat = tuple(loss for losses in nested for loss in losses)
        object.__setattr__(self, "losses", flat)
        first = flat[0]
        domain = first.domain
        for loss in flat[1:]:
            common = _common_domain(domain, loss.domain)
            if _inputs_of(loss) != _inputs_of(first) or common is None:
                message = f"{first!r} and {loss!r} cannot be added: they take different inputs"
                sides = f"{sides_of(first)}, and {sides_of(loss)}".replace("`", "")
                raise ValueError(f"{message}: {sides}")
            domain = common
        object.__setattr__(self, "_domain", domain)
        super().__post_init__()

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        terms = [loss.terms(xp, prediction, target) for loss in self.losses]
        return sum(terms[1:], start=terms[0])


def _check_summand(loss: Any) -> None:
    if not isinstance(loss, Metric):
        raise TypeError(f"Sum takes losses such as isoloss.huber, not {loss!r}")
    if not (loss.summable and loss.averages and loss.kind == "mean"):
        message = "cannot be added: it is not the mean of one term per sample, as a loss is"
        raise TypeError(f"{loss!r} {message}")
    inner = loss
    while isinstance(inner, Scaled):
        inner = inner.metric
    if inner.greater_is_better and loss.greater_is_better:
        raise TypeError(f"{loss!r} cannot be added: greater is better; subtract it")
    if _selects(loss) or loss.padding is not None:
        raise ValueError(f"{loss!r} cannot be added: its targets decide which samples count")


def _selects(loss: Metric) -> bool:
    """Whether targets decide which samples count, or how much: by default they do not."""
    if not loss.weighs:
        return False
    while isinstance(loss, Scaled):
        loss = loss.metric
    numpy: Any = np  # has the functions that these methods need
    labels = np.zeros((), dtype="int64")
    try:
        return any(of(numpy, labels) is not None for of in (loss.included, loss.importance))
    except Exception:  # it calls what NumPy does not have
        return True


def _inputs_of(loss: Metric) -> Any:
    return loss.parts, loss.prediction_names, loss.target_names, loss.sizes


def _common_domain(first: Domain, second: Domain) -> Domain | None:
    """Return the intersection of two domains; None if it is empty."""
    sides: list[Any] = []
    for declared, intervals, other_intervals in (
        (first.predictions, first.of_predictions, second.of_predictions),
        (first.targets, first.of_targets, second.of_targets),
    ):
        if len(intervals) != len(other_intervals):
            return None
        common = tuple(map(_common, intervals, other_intervals))
        if None in common:
            return None
        sides.append(common[0] if isinstance(declared, (Interval, Labels)) else common)
    return Domain(*sides)


def _common(first: Values, second: Values) -> Values | None:
    """Return the intersection of two intervals; None if it is empty."""
    if first == second:
        return first
    if not (isinstance(first, Interval) and isinstance(second, Interval)):
        return None
    gaps = {first.gap, second.gap} - {None}
    low, high = max(first.low, second.low), min(first.high, second.high)
    if len(gaps) > 1 or low >= high:
        return None
    return Interval(
        low,
        high,
        any(interval.low == low and interval.low_open for interval in (first, second)),
        any(interval.high == high and interval.high_open for interval in (first, second)),
        gaps.pop() if gaps else None,
        first.infinite and second.infinite,
    )
