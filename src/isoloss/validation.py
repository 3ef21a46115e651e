"""Checks of the data's values, on demand: the hot path never looks at them."""

from __future__ import annotations

from typing import Any

from ._core.calls import several
from ._core.domains import LOGITS, NON_NEGATIVE, Interval
from ._core.errors import fail
from ._core.inputs import Inputs
from ._core.metric import Metric
from ._core.types import INTEGERS, Array, Namespace, dtype_name
from .metrics.catalogue import as_metric


def validate(
    metric: Metric | str,
    predictions: Any,
    targets: Any,
    *,
    weights: Any = None,
    where: Any = None,
) -> None:
    """Check that every value that counts is one the metric is defined for.

    Checks what a call checks (shapes, dtypes, devices), then that predictions and targets are
    finite (logits may be infinite) and inside the metric's domain, that integers fit the floats
    they become, and that weights are finite, not negative and not all zero. Excluded samples are
    not looked at.

    Raises
    ------
    ValueError
        Naming the metric, the first offending index and value, and what is allowed.

    Examples
    --------
    >>> import isoloss as il
    >>> il.validate(il.poisson_deviance, [1.0, 2.0], [3.0, -1.0])
    Traceback (most recent call last):
        ...
    ValueError: PoissonDeviance(): targets[1] is -1.0; targets must be >= 0
    """
    metric = as_metric("validate", metric)
    inputs = Inputs(metric, predictions, targets, weights, where)
    batch, xp, arrays = inputs.batch(), inputs.xp, inputs.arrays

    def counted(array: Array) -> Array:
        mask = batch.mask
        if mask is None:
            return array
        for _ in range(array.ndim - mask.ndim):  # a sample of many labels
            mask = xp.expand_dims(mask, axis=-1)
        return xp.where(mask, array, xp.zeros_like(array))

    if weights is not None:
        given_weights = counted(inputs.library.cast(xp, arrays["weights"]))
        _check(metric, xp, "weights", given_weights, NON_NEGATIVE)
    limit = 2.0**53 if xp.computing_name == "float64" else 2.0**24
    whole = Interval(-limit, limit)
    given = (*several(batch.predictions), *several(batch.targets))
    for (name, values), array in zip(inputs.intervals, given, strict=True):
        integers = dtype_name(arrays[name].dtype) in INTEGERS
        if isinstance(values, Interval):
            _check(metric, xp, name, array, values)
            if integers:
                _check(metric, xp, name, array, whole, f"to be exact in {xp.computing_name}")
        elif integers:
            labels = xp.astype(arrays[name], xp.counting)
            _check(metric, xp, name, counted(labels), inputs.among(values))
        else:
            _check(metric, xp, name, inputs.library.cast(xp, arrays[name]), LOGITS)
    if batch.mask is not None and not bool(xp.any(batch.mask)):
        raise fail(metric, "no sample counts: where= and weights= exclude all of them")


def _check(
    metric: Metric, xp: Namespace, name: str, array: Array, interval: Interval, why: str = ""
) -> None:
    known = ~xp.isnan(array) if interval.infinite else xp.isfinite(array)
    wrong = xp.reshape(~(known & interval.contains(array)), (-1,))
    if not bool(xp.any(wrong)):
        return
    first = int(xp.argmax(xp.astype(wrong, xp.int32)))
    value = xp.reshape(array, (-1,))[first]
    value = int(value) if "int" in dtype_name(array.dtype) else float(value)
    index = []
    for size in reversed(array.shape):
        first, place = divmod(first, size)
        index.append(str(place))
    where = f"[{', '.join(reversed(index))}]" if index else ""
    allowed = "a number, not nan" if interval.infinite else "finite"
    need = f"{interval} {why}".strip() if interval.bounded else allowed
    raise fail(metric, f"{name}{where} is {value}; {name} must be {need}")
