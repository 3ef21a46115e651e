"""What any library must give, computed by NumPy in float64 from the same numbers."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import isoloss as il

from .drawing import draw, wide
from .trees import Tree

DIFFERENCE = {"float32": 200, "float64": 2**26}
"""How many ULP of a dtype a central difference may be off: it has about 28 bits, whatever the dtype."""


def value(metric: Any, predictions: Tree, targets: Tree, **options: Any) -> Any:
    """Return the value in float64."""
    return metric(*wide(predictions, targets), **options)


def gradient(metric: Any, predictions: Tree, targets: Tree, **options: Any) -> Tree:
    """Return the gradient in float64; of several numbers, that of the first."""
    metric = one_number(metric) if isinstance(metric, il.Metric) else metric
    return il.gradient(metric, *wide(predictions, targets), **options)


@functools.cache
def extra_shape(metric: il.Metric) -> tuple[int, ...]:
    """Return the axes that a value has beyond those that are kept: one of classes, say."""
    return np.shape(metric(*draw(metric, (3,))))


def one_number(metric: il.Metric) -> Any:
    """Return the metric, or a function of its first number: what a gradient can be taken of."""
    axes = len(extra_shape(metric))
    if not axes:
        return metric

    def first(predictions: Any, targets: Any, **options: Any) -> Any:
        result = metric(predictions, targets, **options)
        for _ in range(axes):
            result = result[..., 0]
        return result

    return first


def difference(function: Any, at: float) -> Any:
    """Return the derivative of a function of one number, by a central difference."""
    step = 2.0**-18 * max(abs(at), 1 / 16)
    return (function(at + step) - function(at - step)) / (2 * step)
