"""How much a metric magnifies the rounding of its sums: the sizes that results are compared in."""

from __future__ import annotations

from typing import Any

import numpy as np

import isoloss as il

from .trees import Tree, leaves


def magnified(metric: il.Metric, targets: Tree, axis: Any = None) -> Any:
    """Return how often the rounding of a mean of both signs is magnified where it is a divisor."""
    if not isinstance(metric, il.KlingGupta):
        return 1.0
    (array,) = leaves(targets)
    return 4 + 4 * np.mean(np.abs(array), axis=axis) / np.abs(np.mean(array, axis=axis))


def cancellation(metric: il.Metric, predictions: Tree, targets: Tree, weights: Any = None) -> Any:
    """Return the size of what cancels in the value: terms of both signs, one minus a ratio."""
    if len(metric.core[0]) > 1 and metric.greater_is_better:  # a mean of similarities, -1 to 1
        return 1.0
    value = metric(predictions, targets, weights=weights)
    if "oments" in type(metric.summary(predictions, targets)).__name__:
        size = 1 + abs(value * getattr(metric, "factor", 1))
        return size * magnified(metric, targets)
    if metric.kind == "counts" or (metric.kind == "sorted whole" and metric.greater_is_better):
        return 1.0  # shares of a whole are subtracted from it
    if isinstance(metric, il.SkillScore):
        return 1 + abs(value)  # 1 less a ratio
    if not metric.summable:
        inner = getattr(metric, "metric", None)
        return 0.0 if inner is None else max(1.0, float(np.abs(value))) * 4
    return np.mean(np.abs(metric(predictions, targets, weights=weights, reduction="none")))
