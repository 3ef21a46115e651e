"""One call of a metric: its arguments, and the plan by which it is evaluated."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from .errors import abbreviated, fail
from .inputs import Inputs
from .types import Array

if TYPE_CHECKING:
    from .metric import Metric

PLANS = 1024  # how many a library remembers
Reduction = Literal["mean", "sum", "none"]
Axis = int | tuple[int, ...] | None


class Options(NamedTuple):
    """How a call reduces the terms: all that a plan depends on besides shapes and dtypes."""

    axis: Axis = None
    keepdims: bool = False
    reduction: Reduction = "mean"
    event_axis: Axis = None
    divided: bool = False  # whether a denominator takes the place of the sum of the weights


class Call(NamedTuple):
    """The arguments of a metric."""

    predictions: Any
    targets: Any
    weights: Any
    where: Any
    options: Options
    denominator: Any
    empty: Any

    @property
    def arrays(self) -> tuple[Any, ...]:
        """All arrays, those of tuples one by one; weights and mask, or None, are the last."""
        p, t, weights, where = self[:4]
        if not (isinstance(p, tuple) or isinstance(t, tuple)):
            return p, t, weights, where
        return (*several(p), *several(t), weights, where)


class Plan:
    """How a metric is evaluated for arrays of some shapes and dtypes, whatever their numbers.

    A plan is made from checked inputs, and serves every later call with arrays of the same kind.
    """

    def __init__(self, metric: Metric, inputs: Inputs, options: Options) -> None:
        self.metric, self.inputs, self.options = metric, inputs.with_arrays({}), options
        self.given = tuple(inputs.arrays)
        self.kept_axes = inputs.axes if options.keepdims else ()

    def value(self, arrays: dict[str, Array], denominator: Any, empty: Any) -> Any:
        """Return the value of the metric."""
        metric, inputs = self.metric, self.inputs.with_arrays(arrays)
        xp, library, reduction = inputs.xp, inputs.library, self.options.reduction
        with xp.quiet():
            if reduction == "none":
                value = library.terms(metric, inputs)
            else:
                (state,) = library.statistics((metric,), inputs)
                if reduction == "sum":
                    value = metric.sum(state)
                else:
                    value = metric.value(xp, state, denominator, empty)
                for axis in self.kept_axes:
                    value = xp.expand_dims(value, axis=axis)
            return answer(xp.astype(value, xp.result))


class Plans:
    """The plans of a library that were made last."""

    def __init__(self) -> None:
        self.latest: dict[Any, Plan] = {}

    def find(
        self,
        metric: Metric,
        call: Call,
        kinds_of: Callable[[tuple[Any, ...]], tuple[Any, ...] | None],
        make: Callable[[Metric, Inputs, Options], Plan],
    ) -> tuple[Plan, dict[str, Array]]:
        """Return the plan of a call and its arrays by name.

        ``kinds_of`` gives what a plan depends on of the arrays; of None, nothing is remembered.
        """
        arrays = call.arrays
        given = [x for x in arrays if x is not None]
        kinds = kinds_of(arrays)
        key: Any = metric, call.options, kinds
        try:
            plan = None if kinds is None else self.latest.get(key)
        except (TypeError, ValueError, RuntimeError):
            # A hyper-parameter has no hash, or is an array, which has no equality.
            plan = kinds = None
        if plan is not None:
            named = dict(zip(plan.given, given, strict=True))
            for name, change in plan.inputs.changes:
                named[name] = change(named[name])
            return plan, named
        inputs = checked(metric, call)
        inputs.settle()
        plan = make(metric, inputs, call.options)
        if kinds is not None:
            if len(self.latest) >= PLANS:
                self.latest.clear()
            self.latest[key] = plan
        return plan, inputs.arrays


def checked(metric: Metric, call: Call) -> Inputs:
    """Return the inputs of a call; refuse options that have no meaning together."""
    options = call.options
    if not isinstance(options.keepdims, (bool, int, np.bool_)):
        message = f"keepdims={abbreviated(options.keepdims)} must be True or False"
        raise fail(metric, message, TypeError)
    if options.reduction not in ("mean", "sum", "none"):
        message = f"reduction={options.reduction!r} is unknown; use 'mean', 'sum' or 'none'"
        raise fail(metric, message)
    if options.reduction != "mean":
        given = f"reduction={options.reduction!r}"
        if options.divided:
            message = f"denominator= divides a mean; it has no meaning with {given}"
            raise fail(metric, message)
        if not metric.summable:
            raise fail(metric, f"{given} needs one term per sample; only 'mean' applies")
    if options.reduction == "none" and (options.axis is not None or options.keepdims):
        raise fail(metric, "reduction='none' reduces nothing: leave out axis= and keepdims=")
    return Inputs(
        metric, call.predictions, call.targets, call.weights, call.where, options.axis,
        options.event_axis,
    )  # fmt: skip


def evaluate(metric: Metric, call: Call) -> Any:
    """Return the value of a metric by the general way, which remembers nothing."""
    inputs = checked(metric, call)
    return Plan(metric, inputs, call.options).value(inputs.arrays, call.denominator, call.empty)


def several(arrays: Any) -> tuple[Array, ...]:
    """Return what may be one array or a tuple of them as a tuple."""
    return arrays if isinstance(arrays, tuple) else (arrays,)


def is_float(x: Any) -> bool:
    """Whether a value is a Python number that a float can hold."""
    return isinstance(x, float) or (isinstance(x, int) and abs(x) <= sys.float_info.max)


def answer(value: Array) -> Any:
    """Return NumPy's 0-d results as scalars, as everywhere in NumPy."""
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
