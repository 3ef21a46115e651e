"""The plain way, for any namespace, tracer and transform: the definition, evaluated as written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._arrays import Inputs, Totals
from .._namespaces import Array

if TYPE_CHECKING:
    from .._metric import Metric


def statistics(metric: Metric, inputs: Inputs) -> Any:
    """Return the state of all samples at once."""
    return metric.statistics(inputs.xp, inputs.predictions, inputs.targets, Totals(inputs))


def terms(metric: Metric, inputs: Inputs) -> Array:
    """Return the weighted term of every sample, 0 where it is excluded."""
    return Totals(inputs).weighted(metric.terms(inputs.xp, inputs.predictions, inputs.targets))
