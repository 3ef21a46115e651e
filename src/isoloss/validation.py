"""Checks of the data's values, on demand: the hot path never looks at them."""

from __future__ import annotations

from typing import Any

from ._arrays import Inputs, fail
from ._domains import NON_NEGATIVE, Interval
from ._metric import Metric
from ._namespaces import INTEGERS, Array, Namespace, dtype_name


def validate(
    metric: Metric, predictions: Any, targets: Any, *, weights: Any = None, where: Any = None
) -> None:
    """Check that every value that counts is one the metric is defined for.

    Checks what a call checks (shapes, dtypes, devices), then that predictions and targets are
    finite and inside the metric's domain, that integers fit the floats they become, and that
    weights are finite, not negative and not all zero. Excluded samples are not looked at.

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
    inputs = Inputs(metric, predictions, targets, weights, where).batch()
    xp = inputs.xp
    if weights is not None:
        _check(metric, xp, "weights", inputs.weights, NON_NEGATIVE)
    _check(metric, xp, "predictions", inputs.predictions, metric.domain.predictions)
    _check(metric, xp, "targets", inputs.targets, metric.domain.targets)
    limit = 2.0**53 if xp.computing_name == "float64" else 2.0**24
    for name, given, array in (
        ("predictions", predictions, inputs.predictions),
        ("targets", targets, inputs.targets),
    ):
        if dtype_name(getattr(given, "dtype", "float64")) in INTEGERS:
            _check(
                metric,
                xp,
                name,
                array,
                Interval(-limit, limit),
                f"to be exact in {xp.computing_name}",
            )
    if inputs.mask is not None and not bool(xp.any(inputs.mask)):
        raise fail(metric, "no sample counts: where= and weights= exclude all of them")


def _check(
    metric: Metric, xp: Namespace, name: str, array: Array, interval: Interval, why: str = ""
) -> None:
    finite = xp.isfinite(array)
    wrong = xp.reshape(~(finite & interval.contains(array)), (-1,))
    if not bool(xp.any(wrong)):
        return
    first = int(xp.argmax(xp.astype(wrong, xp.int32)))
    value = float(xp.reshape(array, (-1,))[first])
    index = []
    for size in reversed(array.shape):
        first, place = divmod(first, size)
        index.append(str(place))
    where = f"[{', '.join(reversed(index))}]" if index else ""
    need = f"{interval} {why}".strip() if interval.bounded else "finite"
    raise fail(metric, f"{name}{where} is {value}; {name} must be {need}")
