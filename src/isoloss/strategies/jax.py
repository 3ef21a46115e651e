"""JAX: one compiled program for each metric and its options; tracers evaluate as written.

Programs are found by value, so equal metrics share one, and only the latest are kept: a search
over thousands of hyper-parameters does not fill the memory. A hyper-parameter that is an array or
a tracer has no value to be found by, and is evaluated as written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import numpy as np

from .._arrays import Inputs, Totals
from .._metric import Metric, several
from .._namespaces import Array
from ..strategies.plain import statistics_of_all as plain_statistics
from ..strategies.plain import terms

__all__ = ["differentiated", "direct", "fold", "statistics", "statistics_of_all", "terms"]

PROGRAMS = 256  # how many compiled programs of a kind are kept
SMALL = 4096  # fewer samples are summed twice sooner than the other way is compiled as well


def _concrete(*values: Any) -> bool:
    """Whether all are arrays with numbers in them, or nothing."""
    jax = sys.modules["jax"]
    return all(
        x is None or (isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer))
        for x in values
    )


def _arrays(*values: Any) -> bool:
    """Whether all are arrays of JAX, tracers included, or constants of NumPy's, or nothing."""
    return all(x is None or isinstance(x, (sys.modules["jax"].Array, np.ndarray)) for x in values)


def _large(predictions: Array, *others: Any) -> bool:
    """Whether arrays of JAX or NumPy are so large that a second sum is worth avoiding."""
    known = all(type(n) is int for n in predictions.shape)  # not the name of a size, in an export
    return known and predictions.size >= SMALL and _arrays(predictions, *others)


def _compiles(metric: Metric) -> bool:
    """Whether fusing operations keeps the promised accuracy.

    A score subtracts numbers that must cancel exactly. Rounded to float64 in a fused loop or out of
    it, they do to the last digit of float32; in float32 throughout they would not.
    """
    return (
        metric.averages or metric.kind == "counts" or bool(sys.modules["jax"].config.jax_enable_x64)
    )


# --- calls ----------------------------------------------------------------------------------------


def direct(
    metric: Metric,
    predictions: Array,
    targets: Array,
    weights: Any,
    where: Any,
    axis: Any,
    keepdims: Any,
    reduction: Any,
    denominator: Any,
    empty: Any,
    event_axis: Any,
) -> Any | None:
    """Return what the compiled program answers, or its part of a program that is being traced.

    None asks for the general way.
    """
    if metric.prediction_names or metric.target_names:
        return None
    concrete = _concrete(predictions, targets, weights, where)
    if not _compiles(metric) or not (concrete or _large(predictions, targets, weights, where)):
        return None
    number = type(denominator) in (int, float) and denominator >= 0
    if not (number or (_concrete if concrete else _arrays)(denominator)):
        return None
    if empty != empty:
        empty = None  # every nan is the same
    try:
        program = _program(metric, axis, keepdims, reduction, empty, event_axis)
    except TypeError:  # a hyper-parameter or an option without a hash
        return None
    evaluate = program.compiled if concrete else program.traced
    return evaluate(predictions, targets, weights, where, denominator)


class _PlainSums(Totals):
    """Sums without a spare."""

    __slots__ = ()
    spares = False


class _Program(NamedTuple):
    """The evaluation of a metric under some options."""

    traced: Callable[..., Array]
    compiled: Callable[..., Array]


@lru_cache(maxsize=PROGRAMS)
def _program(
    metric: Metric, axis: Any, keepdims: Any, reduction: Any, empty: Any, event_axis: Any
) -> _Program:
    jax = sys.modules["jax"]
    empty = float("nan") if empty is None else empty

    def whole(p: Array, t: Array, weights: Any, where: Any, denominator: Any) -> Array:
        return metric.evaluated(
            p, t, weights, where, axis, keepdims, reduction, denominator, empty, event_axis
        )

    # XLA's CPU computes two sums of the same terms in ten times the time of one. So there is one,
    # and where it overflows, the evaluation starts again with a spare. A slope needs no spare.
    @jax.custom_jvp  # type: ignore[untyped-decorator]
    def guarded(value: Array, *arguments: Any) -> Array:
        finite = jax.numpy.all(jax.numpy.isfinite(value))
        return jax.lax.cond(finite, lambda *_: value, whole, *arguments)

    guarded.defjvp(lambda primals, tangents: (guarded(*primals), tangents[0]), symbolic_zeros=True)

    def call(*arguments: Any) -> Array:
        p, t, weights, where, denominator = arguments
        small = p.size < SMALL or jax.default_backend() != "cpu"
        if small or not (metric.averages and reduction == "mean" and not keepdims):
            return whole(*arguments)
        inputs = Inputs(metric, p, t, weights, where, axis, event_axis)
        xp, batch = inputs.xp, inputs.batch()
        state = metric.statistics(xp, batch.predictions, batch.targets, _PlainSums(batch))
        value = xp.astype(metric.value(xp, state, denominator, empty), xp.result)
        return value if xp.wide else guarded(value, *arguments)

    return _Program(call, jax.jit(call))


# --- states ---------------------------------------------------------------------------------------


def statistics(metric: Metric, inputs: Inputs) -> Any:
    """Return the state of all samples."""
    return statistics_of_all((metric,), inputs)[0]


def statistics_of_all(metrics: Sequence[Metric], inputs: Inputs) -> tuple[Any, ...]:
    """Return the states of several metrics that take the same inputs, from one program."""
    if not (_concrete(*inputs.arrays.values()) and all(map(_compiles, metrics))):
        return plain_statistics(metrics, inputs)
    try:
        program = _statistics(
            tuple(metrics), inputs.xp.result_name, inputs.xp.wide, inputs.axes, inputs.number
        )
    except TypeError:
        return plain_statistics(metrics, inputs)
    return program(inputs.arrays)  # type: ignore[no-any-return]


@lru_cache(maxsize=PROGRAMS)
def _statistics(
    metrics: tuple[Metric, ...], result: str, wide: bool, axes: tuple[int, ...], number: int | None
) -> Callable[..., Any]:
    def call(arrays: dict[str, Array]) -> tuple[Any, ...]:
        inputs = Inputs.checked(metrics[0], arrays, result, wide, axes, number)
        return plain_statistics(metrics, inputs)

    return sys.modules["jax"].jit(call)  # type: ignore[no-any-return]


def fold(states: Sequence[Any]) -> Any:
    """Merge the states of one metric, one after the other: one program, whatever their number."""
    return reduce(_merge_program(), states)


@lru_cache(maxsize=1)
def _merge_program() -> Callable[[Any, Any], Any]:
    return sys.modules["jax"].jit(lambda one, two: one.merge(two))  # type: ignore[no-any-return]


# --- gradients ------------------------------------------------------------------------------------


def differentiated(
    function: Callable[..., Array],
    metric: Any,
    predictions: Array,
    targets: Any,
    options: dict[str, Any],
) -> tuple[Array, Array]:
    """Return value and gradient of ``function(metric, predictions, targets, **options)``."""
    jax = sys.modules["jax"]
    arrays = {k: v for k, v in options.items() if isinstance(v, jax.Array)}
    others = {k: v for k, v in options.items() if k not in arrays}
    # a function of the user's may look at values, and is new at every call if it is a lambda
    given = (*several(predictions), *several(targets), *arrays.values())
    if isinstance(metric, Metric) and _concrete(*given):
        try:
            program = _gradient(function, metric, tuple(sorted(others.items())))
        except TypeError:
            pass
        else:
            return program(predictions, targets, arrays)  # type: ignore[no-any-return]
    return jax.value_and_grad(  # type: ignore[no-any-return]
        lambda p: function(metric, p, targets, **options)
    )(predictions)


@lru_cache(maxsize=PROGRAMS)
def _gradient(function: Any, metric: Any, others: tuple[tuple[str, Any], ...]) -> Any:
    def call(p: Array, t: Array, arrays: dict[str, Array]) -> Array:
        return function(metric, p, t, **arrays, **dict(others))

    return sys.modules["jax"].jit(sys.modules["jax"].value_and_grad(call))
