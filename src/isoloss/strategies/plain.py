"""The plain way, for any namespace, tracer and transform: the definition, evaluated as written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._arrays import Inputs, Totals
from .._namespaces import Array

if TYPE_CHECKING:
    from .._metric import Metric


def statistics(metric: Metric, inputs: Inputs) -> Any:
    """Return the state of all samples at once."""
    batch = inputs.batch()
    return metric.statistics(batch.xp, batch.predictions, batch.targets, Totals(batch))


def terms(metric: Metric, inputs: Inputs) -> Array:
    """Return the weighted term of every sample, 0 where it is excluded."""
    batch = inputs.batch()
    return Totals(batch).weighted(metric.terms(batch.xp, batch.predictions, batch.targets))
