"""Derivatives with respect to the predictions: the same call on every library, NumPy included."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from ._core import checking
from ._core.calls import answer, several
from ._core.carrier import plain
from ._core.errors import fail
from ._core.inputs import floating_like, members, one_library
from ._core.jets import Jet, JetLibrary
from ._core.library import Library, library_of
from ._core.metric import Metric
from ._core.tape import Node, TapeLibrary
from ._core.tape import gradient as walk_back
from ._core.types import FLOATS, Array, dtype_name
from .metrics.catalogue import as_metric

_CARRIERS: dict[tuple[type, int, bool], Any] = {}


def _carrier(kind: type, under: Library, wide: bool) -> Any:
    """Return the carriers over a library; devices without float64 have separate rules."""
    key = (kind, id(under), wide)
    known = _CARRIERS.get(key)
    # `setdefault` gives all threads the same carriers
    return _CARRIERS.setdefault(key, kind(under)) if known is None else known


def value_and_gradient(
    metric: Any, predictions: Any, targets: Any, **options: Any
) -> tuple[Any, Any]:
    """Return the value of a metric and its gradient with respect to the predictions, in one pass.

    Parameters
    ----------
    metric : metric, its name, or function
        Any metric, or a function of predictions and targets written with one.
    predictions, targets : array, or tuple of arrays
        As in a call of the metric.
    **options
        Options of the call: ``weights``, ``where``, ``denominator``, ...

    Returns
    -------
    value, gradient
        The gradient has the shape and the floating dtype of the predictions. If the predictions
        are a tuple, the gradient is a tuple.

    Raises
    ------
    ValueError
        If the value is not a single number.

    Examples
    --------
    >>> import isoloss as il
    >>> il.value_and_gradient(il.mean_squared_error, [1.0, 4.0], [1.0, 1.0])
    (np.float64(4.5), array([0., 3.]))
    """
    if isinstance(metric, str):
        metric = as_metric("value_and_gradient", metric)
    if checking.open_blocks and isinstance(metric, Metric):
        checking.check_call(metric, (predictions, targets), options)
    library, predictions = _floating(metric, predictions, targets)

    def function(p: Any) -> Any:
        return _single(metric, p, targets, **options)

    result = library.differentiated(_single, metric, predictions, targets, options)
    return _recorded(library, predictions, function) if result is None else result


def _floating(metric: Any, predictions: Any, targets: Any) -> tuple[Library, Any]:
    """Return the library and the predictions as floating arrays of it; errors name the array."""
    names = getattr(metric, "prediction_names", ())
    if names:
        members(metric, "predictions", names, predictions)
    elif (
        not isinstance(metric, Metric)
        and isinstance(predictions, tuple)
        and any(map(library_of, predictions))  # a function does not declare its inputs
    ):
        names = tuple(f"predictions[{k}]" for k in range(len(predictions)))
    if not names:
        return floating_like(metric, "predictions", predictions, _beside(several(targets)))
    named = dict(zip(names, predictions, strict=True))
    named |= {f"targets[{k}]": x for k, x in enumerate(several(targets))}
    arrays = {name: x for name, x in named.items() if library_of(x) is not None}
    library = one_library(metric, arrays) if arrays else None
    like = _beside([x for x in arrays.values() if library_of(x) is library] or several(targets))
    pairs = [floating_like(metric, n, p, like) for n, p in zip(names, predictions, strict=True)]
    return pairs[0][0], tuple(array for _, array in pairs)


def _beside(arrays: Sequence[Any]) -> Any:
    """Return the array whose dtype numbers and lists take: a floating one before labels."""
    floating = (x for x in arrays if library_of(x) is not None and dtype_name(x.dtype) in FLOATS)
    return next(floating, arrays[0] if arrays else [])


def _recorded(library: Library, predictions: Any, function: Any) -> tuple[Any, Any]:
    """Return the value and the gradient of a function, from a tape of its operations."""
    wide = library.widens(several(predictions)[0])
    tape = _carrier(TapeLibrary, library, wide)
    nodes = tuple(Node(array, tape, varies=True) for array in several(predictions))
    with library.quiet():
        output = function(nodes if isinstance(predictions, tuple) else nodes[0])
        xp = library.namespace("float64" if wide else "float32", wide)
        slopes = walk_back(output, nodes, xp)
    pairs = zip(slopes, several(predictions), strict=True)
    slopes = tuple(library.laid_out(slope, array) for slope, array in pairs)
    return answer(plain(output)), slopes if isinstance(predictions, tuple) else slopes[0]


def _single(metric: Any, predictions: Any, targets: Any, **options: Any) -> Any:
    """Call a metric; raise if its value is not a single number."""
    value = metric(predictions, targets, **options)
    if getattr(value, "shape", ()) != ():
        shape = tuple(value.shape)
        message = f"a gradient needs a single value, and this one has shape {shape}; "
        raise fail(metric, message + "reduce it, or differentiate its sum")
    return value


def gradient(metric: Any, predictions: Any, targets: Any, **options: Any) -> Any:
    """Return the gradient of a metric with respect to the predictions.

    It equals ``jax.grad(metric)``, on every library. The parameters and the errors are those of
    `value_and_gradient`.

    Examples
    --------
    >>> import isoloss as il
    >>> il.gradient(il.huber, [0.5, 4.0], [0.0, 0.0])
    array([0.25, 0.5 ])
    """
    return value_and_gradient(metric, predictions, targets, **options)[1]


def gradient_hessian(
    metric: Metric | str,
    predictions: Any,
    targets: Any,
    *,
    weights: Any = None,
    where: Any = None,
) -> tuple[Any, Any]:
    """Return the first and second derivatives of the term of each sample, times its weight.

    Gradient boosting needs these derivatives of an objective: those of the terms, not of their
    mean. For a row-wise loss, the second derivative is the diagonal of the Hessian of each row.

    Parameters
    ----------
    metric : metric
        A metric with one term per sample: a `Loss`, or a multiple of a loss (`Scaled`).
    predictions, targets, weights, where : array
        As in a call of the metric.

    Returns
    -------
    gradient, hessian
        Arrays of the shape and the floating dtype of the predictions.

    Raises
    ------
    ValueError
        If the metric does not have one term per sample.

    Examples
    --------
    >>> import isoloss as il
    >>> il.gradient_hessian(il.huber, [0.5, 4.0], [0.0, 0.0])
    (array([0.5, 1. ]), array([1., 0.]))
    """
    if isinstance(metric, str):
        metric = as_metric("gradient_hessian", metric)
    if not metric.summable:
        message = "gradient_hessian needs one term per sample, which this metric does not have"
        raise fail(metric, message)
    if checking.open_blocks:
        checking.check_call(metric, (predictions, targets), {"weights": weights, "where": where})
    library, predictions = _floating(metric, predictions, targets)
    wide = library.widens(several(predictions)[0])
    jets = _carrier(JetLibrary, library, wide)
    xp = library.namespace("float64" if wide else "float32", wide)
    call = partial(metric, weights=weights, where=where, reduction="none")

    def along(place: int, direction: Array) -> tuple[Array, Array]:
        arrays = list(several(predictions))
        dtype = arrays[place].dtype
        arrays[place] = Jet(arrays[place], direction, None, jets)
        with library.quiet():
            terms = call(tuple(arrays) if isinstance(predictions, tuple) else arrays[0], targets)
        zero = xp.zeros_like(plain(terms))
        parts = [getattr(terms, part, None) for part in ("first", "second")]
        filled = [xp.broadcast_to(zero if part is None else part, zero.shape) for part in parts]
        first, second = (xp.astype(part, dtype) for part in filled)
        return first, second

    def of(place: int, array: Array, core: tuple[str, ...]) -> tuple[Array, Array]:
        if not core:
            return along(place, xp.ones_like(array))
        shape, flat = array.shape, xp.reshape(array, (*array.shape[: array.ndim - len(core)], -1))

        def column(k: Any) -> tuple[Array, Array]:
            return along(place, xp.reshape(xp.astype(xp.places(flat) == k, array.dtype), shape))

        first, second = library.columns(column, flat)
        return xp.reshape(first, shape), xp.reshape(second, shape)

    arrays = several(predictions)
    pairs = [
        of(k, x, core) for k, (x, core) in enumerate(zip(arrays, metric.parts[0], strict=True))
    ]
    if isinstance(predictions, tuple):
        first, second = zip(*pairs, strict=True)
        return first, second
    return pairs[0]
