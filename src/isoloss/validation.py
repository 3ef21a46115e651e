"""Checks of the values of the data, on demand: a call does not read values unless it is checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._core import checking
from ._core.calls import Axis
from ._core.checking import check_values
from ._core.metric import Metric
from .metrics.catalogue import as_metric


def validate(
    metric: Metric | str,
    predictions: Any,
    targets: Any,
    *,
    weights: Any = None,
    where: Any = None,
    event_axis: Axis = None,
) -> None:
    """Check that all values of the included samples lie in the domain of the metric.

    Call it when a result is nan or looks wrong: the error names the first value for which the
    metric is not defined. It checks shapes, dtypes and devices, as a call does, and then that

    - predictions and targets are finite (logits may be infinite) and in the domain of the metric;
    - rows of probabilities of classes sum to 1;
    - predictions that are compared with a threshold between 0 and 1 are probabilities, not logits;
    - targets of several classes are labels, not indicators of several labels at once;
    - integers can be converted to the floating dtype without loss;
    - weights are finite, not negative and not all zero.

    Excluded samples are not checked.

    Parameters
    ----------
    metric : metric
        Any metric.
    predictions, targets, weights, where, event_axis
        As in a call of the metric.

    Raises
    ------
    ValueError
        If a value is not allowed. The message names the metric, the first such index and value,
        and the allowed values.
    TypeError
        Under ``jax.jit``, ``vmap`` or ``torch.func``, where the values are unknown.

    Examples
    --------
    >>> import isoloss as il
    >>> il.validate(il.poisson_deviance, [1.0, 2.0], [3.0, -1.0])
    Traceback (most recent call last):
        ...
    ValueError: PoissonDeviance(): targets[1] is -1.0; targets must be >= 0
    """
    metric = as_metric("validate", metric)
    check_values(metric, predictions, targets, weights, where, event_axis)


@contextmanager
def checked() -> Iterator[None]:
    """Check the values in every call in a ``with`` block, and raise as `validate` does.

    Use it to find the sample that makes a loss nan. The block checks calls, `summary`, `evaluate`,
    `over_batches` and `gradient` with NumPy, with PyTorch outside ``torch.compile``, and with JAX
    outside ``jax.jit``, ``grad`` and ``vmap``. Traced functions and Dask arrays are not checked,
    because their values are unknown. The block affects only its own thread or task. A checked call
    costs several times as much and waits for the device; other calls are unaffected.

    Raises
    ------
    ValueError
        In a call, if a value is outside the domain of the metric, or if the result is nan.

    Examples
    --------
    >>> import isoloss as il
    >>> with il.checked():
    ...     il.log_loss([[0.2, 0.8], [0.5, 1.0]], [1, 0])
    Traceback (most recent call last):
        ...
    ValueError: LogLoss(): the row predictions[1] sums to 1.5; probabilities of classes sum to 1: \
divide each row by its sum
    """
    with checking.block():
        yield
