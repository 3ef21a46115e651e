"""Derivatives with respect to the predictions: the same call on every library, NumPy included."""

from __future__ import annotations

import math
import sys
from functools import partial
from typing import Any

from ._arrays import Inputs, fail, floating_like
from ._jets import Jet, JetLibrary, plain
from ._metric import Metric, Wrapper, answer
from ._namespaces import Array, Library
from ._tape import Node, TapeLibrary
from ._tape import gradient as walk_back
from .strategies.jax import differentiated
from .strategies.numpy import value_and_slopes

_CARRIERS: dict[tuple[type, int, bool], Any] = {}


def _carrier(kind: type, under: Library, wide: bool) -> Any:
    """Return the carriers over a library; devices without float64 have rules of their own."""
    key = (kind, id(under), wide)
    if key not in _CARRIERS:
        _CARRIERS[key] = kind(under)
    return _CARRIERS[key]


def value_and_gradient(
    metric: Any, predictions: Any, targets: Any, **options: Any
) -> tuple[Any, Any]:
    """Return the value of a metric and its gradient with respect to the predictions, in one pass.

    Parameters
    ----------
    metric : metric
        Any metric, or a function of predictions and targets written with one.
    predictions, targets : array
        As in a call of the metric.
    **options
        What the metric takes: ``weights``, ``where``, ``denominator``, ...

    Returns
    -------
    value, gradient
        The gradient has the shape and the floating dtype of the predictions.

    Raises
    ------
    ValueError
        Where the value is not a single number.

    Examples
    --------
    >>> import isoloss as il
    >>> il.value_and_gradient(il.mean_squared_error, [1.0, 4.0], [1.0, 1.0])
    (np.float64(4.5), array([0., 3.]))
    """
    library, predictions = floating_like(metric, "predictions", predictions, targets)

    def function(p: Any) -> Any:
        return _single(metric, p, targets, **options)

    if library.name == "JAX":
        value, slope = differentiated(_single, metric, predictions, targets, options)
    elif library.name == "PyTorch":
        slope, value = sys.modules["torch"].func.grad_and_value(function)(predictions)
    elif _in_blocks(metric, library, predictions, targets, options):
        value, slope = _blockwise(metric, predictions, targets, **options)
    else:
        if any(n != n for n in predictions.shape):
            message = f"predictions have shape {predictions.shape}, which Dask does not know yet"
            raise fail(metric, f"{message}: call predictions.compute_chunk_sizes() first")
        wide = library.has_float64(predictions)
        tape = _carrier(TapeLibrary, library, wide)
        node = Node(predictions, tape, varies=True)
        with library.quiet():
            output = function(node)
            xp = library.namespace("float64" if wide else "float32", wide)
            slope = walk_back(output, node, xp)
        value = answer(plain(output))
    return value, slope


def _single(metric: Any, predictions: Any, targets: Any, **options: Any) -> Any:
    """Call a metric, and make sure that its value is one number."""
    value = metric(predictions, targets, **options)
    if getattr(value, "shape", ()) != ():
        shape = tuple(value.shape)
        message = f"a gradient needs a single value, and this one has shape {shape}; "
        raise fail(metric, message + "reduce it, or differentiate its sum")
    return value


def _in_blocks(
    metric: Any, library: Library, predictions: Array, targets: Any, options: dict[str, Any]
) -> bool:
    """Whether the gradient is that of a weighted sum of terms of one number each, on NumPy."""
    if library.name != "NumPy" or not (isinstance(metric, Metric) and metric.summable):
        return False
    denominator = options.get("denominator", 1)
    return (
        metric.core == ((), ())
        and options.keys() <= {"weights", "where", "denominator", "empty"}
        and type(denominator) in (int, float)
        and denominator > 0
        and getattr(targets, "shape", None) == predictions.shape
        and 0 not in predictions.shape
    )


def _blockwise(
    metric: Metric,
    predictions: Array,
    targets: Any,
    *,
    weights: Any = None,
    where: Any = None,
    denominator: Any = None,
    empty: float = math.nan,
) -> tuple[Any, Array]:
    inputs = Inputs(metric, predictions, targets, weights, where)
    with inputs.xp.quiet():
        state, slope = value_and_slopes(metric, inputs, denominator, predictions.dtype)
    while isinstance(metric, Wrapper):  # a factor is in the terms already
        metric = metric.metric
    return metric.compute(state, denominator=denominator, empty=empty), slope


def gradient(metric: Any, predictions: Any, targets: Any, **options: Any) -> Any:
    """Return the gradient of a metric with respect to the predictions.

    The same as ``jax.grad(metric)``, on every library. Parameters and errors are those of
    `value_and_gradient`.

    Examples
    --------
    >>> import isoloss as il
    >>> il.gradient(il.huber, [0.5, 4.0], [0.0, 0.0])
    array([0.25, 0.5 ])
    """
    return value_and_gradient(metric, predictions, targets, **options)[1]


def gradient_hessian(
    metric: Metric, predictions: Any, targets: Any, *, weights: Any = None, where: Any = None
) -> tuple[Any, Any]:
    """Return the first and second derivative of every sample's term, times its weight.

    This is what gradient boosting asks of an objective: derivatives of the terms, not of their
    mean. For a row-wise loss, the diagonal of each row's Hessian.

    Parameters
    ----------
    metric : metric
        A metric with one term per sample: a `Loss`, or a `Scaled` one.
    predictions, targets, weights, where : array
        As in a call of the metric.

    Returns
    -------
    gradient, hessian
        Arrays of the shape and the floating dtype of the predictions.

    Raises
    ------
    ValueError
        For a metric that has no term per sample.

    Examples
    --------
    >>> import isoloss as il
    >>> il.gradient_hessian(il.huber, [0.5, 4.0], [0.0, 0.0])
    (array([0.5, 1. ]), array([1., 0.]))
    """
    if not metric.summable:
        message = "gradient_hessian needs one term per sample, which this metric does not have"
        raise fail(metric, message)
    library, predictions = floating_like(metric, "predictions", predictions, targets)
    wide = library.has_float64(predictions)
    jets = _carrier(JetLibrary, library, wide)
    xp = library.namespace("float64" if wide else "float32", wide)
    call = partial(metric, weights=weights, where=where, reduction="none")

    def along(direction: Array) -> tuple[Array, Array]:
        with library.quiet():
            terms = call(Jet(predictions, direction, None, jets), targets)
        zero = xp.zeros_like(plain(terms))
        found = [getattr(terms, part, None) for part in ("first", "second")]
        filled = [xp.broadcast_to(zero if f is None else f, zero.shape) for f in found]
        first, second = (xp.astype(f, predictions.dtype) for f in filled)
        return first, second

    if not metric.core[0]:
        return along(xp.ones_like(predictions))
    place = xp.cumulative_sum(xp.ones_like(predictions, dtype=xp.counting), axis=-1) - 1
    columns = [
        along(xp.astype(place == k, predictions.dtype)) for k in range(predictions.shape[-1])
    ]
    first, second = (xp.stack(parts, axis=-1) for parts in zip(*columns, strict=True))
    return first, second
