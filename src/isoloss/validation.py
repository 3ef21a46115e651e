"""Checks of the data's values, on demand: a call never looks at them, unless it is checked."""

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
    """Check that every value that counts is one the metric is defined for.

    Call it when a value is nan, or looks wrong: it names the first value that the metric is not
    defined for. It checks what a call checks (shapes, dtypes, devices), and then that

    - predictions and targets are finite (logits may be infinite) and in the metric's domain;
    - rows of probabilities of classes sum to 1;
    - predictions that are compared with a threshold between 0 and 1 are probabilities, not logits;
    - targets of several classes are labels, not indicators of several labels at once;
    - integers fit the floats that they become;
    - weights are finite, not negative and not all zero.

    Excluded samples are not looked at.

    Parameters
    ----------
    metric : metric
        Any metric.
    predictions, targets, weights, where, event_axis
        As in a call of the metric.

    Raises
    ------
    ValueError
        Names the metric, the first offending index and value, and the values that are allowed.
    TypeError
        Under ``jax.jit``, ``vmap`` or ``torch.func``, where values are not known.

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
    """Check the values of every call in a ``with`` block, and raise where `validate` would.

    Use it to find the sample that makes a loss nan. Calls, `summary`, `evaluate`, `over_batches`
    and `gradient` of values that are known are checked: those of NumPy, of PyTorch outside
    ``torch.compile``, and of JAX outside ``jax.jit``, ``grad`` and ``vmap``. Where a function is
    traced, and for Dask arrays, nothing is checked. The block holds for its own thread or task.
    Each call costs several times as much and waits for the device; outside the block nothing is
    added to a call.

    Raises
    ------
    ValueError
        In a call, for a value that the metric is not defined for, and for a result that is nan.

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
