"""A call of a metric: its arguments, and the plan of its evaluation."""

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

PLANS = 1024  # plans that a library caches
Reduction = Literal["mean", "sum", "none"]
Axis = int | tuple[int, ...] | None


class Options(NamedTuple):
    """The options of a call on which its plan depends."""

    axis: Axis = None
    keepdims: bool = False
    reduction: Reduction = "mean"
    event_axis: Axis = None
    divided: bool = False  # whether denominator= replaces the sum of the weights


class Call(NamedTuple):
    """The arguments of a call."""

    predictions: Any
    targets: Any
    weights: Any
    where: Any
    options: Options
    denominator: Any
    empty: Any

    @property
    def arrays(self) -> tuple[Any, ...]:
        """All arrays, tuples unpacked; the last two are the weights and the mask, or None."""
        p, t, weights, where = self[:4]
        if not (isinstance(p, tuple) or isinstance(t, tuple)):
            return p, t, weights, where
        return (*several(p), *several(t), weights, where)


class Plan:
    """The evaluation of a metric for arrays of given shapes and dtypes.

    A plan is made from checked inputs. Later calls with arrays of the same kinds reuse the plan.
    """

    def __init__(self, metric: Metric, inputs: Inputs, options: Options) -> None:
        self.metric, self.inputs, self.options = metric, inputs.with_arrays({}), options
        self.array_names = tuple(inputs.arrays)
        self.kept_axes = inputs.axes if options.keepdims else ()

    def value(self, arrays: dict[str, Array], denominator: Any, empty: Any) -> Any:
        """Return the value of the metric for arrays by name."""
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
    """A cache of the plans of a library."""

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

        ``kinds_of`` returns the properties of the arrays on which a plan depends. If it returns
        None, the plan is not cached.
        """
        arrays = call.arrays
        present = [x for x in arrays if x is not None]
        kinds = kinds_of(arrays)
        key: Any = metric, call.options, kinds
        try:
            plan = None if kinds is None else self.latest.get(key)
        except (TypeError, ValueError, RuntimeError):
            # A hyper-parameter has no hash, or is an array and has no single truth value.
            plan = kinds = None
        if plan is not None:
            named = dict(zip(plan.array_names, present, strict=True))
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
    """Return the inputs of a call; raise if options contradict each other."""
    options = call.options
    if not isinstance(options.keepdims, (bool, int, np.bool_)):
        message = f"keepdims={abbreviated(options.keepdims)} must be True or False"
        raise fail(metric, message, TypeError)
    if options.reduction not in ("mean", "sum", "none"):
        message = f"reduction={options.reduction!r} is unknown; use 'mean', 'sum' or 'none'"
        raise fail(metric, message)
    if options.reduction != "mean":
        option = f"reduction={options.reduction!r}"
        if options.divided:
            message = f"denominator= divides a mean; it has no meaning with {option}"
            raise fail(metric, message)
        if not metric.summable:
            raise fail(metric, f"{option} needs one term per sample; only 'mean' applies")
    if options.reduction == "none" and (options.axis is not None or options.keepdims):
        raise fail(metric, "reduction='none' reduces nothing: leave out axis= and keepdims=")
    return Inputs(
        metric, call.predictions, call.targets, call.weights, call.where, options.axis,
        options.event_axis,
    )  # fmt: skip


def evaluate(metric: Metric, call: Call) -> Any:
    """Return the value of a metric without a cached plan."""
    inputs = checked(metric, call)
    return Plan(metric, inputs, call.options).value(inputs.arrays, call.denominator, call.empty)


def several(arrays: Any) -> tuple[Array, ...]:
    """Return an array or a tuple of arrays as a tuple."""
    return arrays if isinstance(arrays, tuple) else (arrays,)


def is_float(x: Any) -> bool:
    """Whether a value is a Python number that a float can hold."""
    return isinstance(x, float) or (isinstance(x, int) and abs(x) <= sys.float_info.max)


def answer(value: Array) -> Any:
    """Return 0-d NumPy arrays as scalars, as NumPy functions do."""
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
