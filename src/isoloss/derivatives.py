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
    """Return the carriers over a library; devices without float64 have rules of their own."""
    key = (kind, id(under), wide)
    known = _CARRIERS.get(key)
    # of several threads, the first gives all of them the same carriers
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
        What the metric takes: ``weights``, ``where``, ``denominator``, ...

    Returns
    -------
    value, gradient
        The gradient has the shape and the floating dtype of the predictions; of predictions that
        are a tuple it is a tuple.

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
    if isinstance(metric, str):
        metric = as_metric("value_and_gradient", metric)
    if checking.open_blocks and isinstance(metric, Metric):
        checking.check_call(metric, (predictions, targets), options)
    library, predictions = _floating(metric, predictions, targets)

    def function(p: Any) -> Any:
        return _single(metric, p, targets, **options)

    found = library.differentiated(_single, metric, predictions, targets, options)
    return _recorded(library, predictions, function) if found is None else found


def _floating(metric: Any, predictions: Any, targets: Any) -> tuple[Library, Any]:
    """Return predictions as floating arrays of one library, each of a tuple by its name."""
    names = getattr(metric, "prediction_names", ())
    if names:
        members(metric, "predictions", names, predictions)
    elif (
        not isinstance(metric, Metric)
        and isinstance(predictions, tuple)
        and any(map(library_of, predictions))  # of a function it is known by what is in it
    ):
        names = tuple(f"predictions[{k}]" for k in range(len(predictions)))
    if not names:
        return floating_like(metric, "predictions", predictions, _beside(several(targets)))
    given = dict(zip(names, predictions, strict=True))
    given |= {f"targets[{k}]": x for k, x in enumerate(several(targets))}
    real = {name: x for name, x in given.items() if library_of(x) is not None}
    library = one_library(metric, real) if real else None
    beside = _beside([x for x in real.values() if library_of(x) is library] or several(targets))
    pairs = [floating_like(metric, n, p, beside) for n, p in zip(names, predictions, strict=True)]
    return pairs[0][0], tuple(array for _, array in pairs)


def _beside(arrays: Sequence[Any]) -> Any:
    """Return the array that numbers and lists take their dtype from: labels say nothing of it."""
    floating = (x for x in arrays if library_of(x) is not None and dtype_name(x.dtype) in FLOATS)
    return next(floating, arrays[0] if arrays else [])


def _recorded(library: Library, predictions: Any, function: Any) -> tuple[Any, Any]:
    """Return value and gradient of a function by going back along what it did."""
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
    """Call a metric, and make sure that its value is one number."""
    value = metric(predictions, targets, **options)
    if getattr(value, "shape", ()) != ():
        shape = tuple(value.shape)
        message = f"a gradient needs a single value, and this one has shape {shape}; "
        raise fail(metric, message + "reduce it, or differentiate its sum")
    return value


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
    metric: Metric | str,
    predictions: Any,
    targets: Any,
    *,
    weights: Any = None,
    where: Any = None,
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
        found = [getattr(terms, part, None) for part in ("first", "second")]
        filled = [xp.broadcast_to(zero if f is None else f, zero.shape) for f in found]
        first, second = (xp.astype(f, dtype) for f in filled)
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
