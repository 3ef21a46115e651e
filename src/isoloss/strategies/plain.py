"""The plain way, for any namespace, tracer and transform: the definition, evaluated as written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._arrays import Inputs, Totals, totals_of
from .._namespaces import Array
from .._states import fold as fold_stacked

if TYPE_CHECKING:
    from .._metric import Metric


def statistics(metric: Metric, inputs: Inputs) -> Any:
    """Return the state of all samples at once."""
    return statistics_of_all((metric,), inputs)[0]


def statistics_of_all(metrics: Sequence[Metric], inputs: Inputs) -> tuple[Any, ...]:
    """Return the states of several metrics that take the same inputs."""
    batch = inputs.batch()
    xp, p, t, totals = batch.xp, batch.predictions, batch.targets, totals_of(batch)
    return tuple(metric.statistics(xp, p, t, totals) for metric in metrics)


def terms(metric: Metric, inputs: Inputs) -> Array:
    """Return the weighted term of every sample, 0 where it is excluded."""
    batch = inputs.batch()
    return Totals(batch).weighted(metric.terms(batch.xp, batch.predictions, batch.targets))


def fold(states: Sequence[Any]) -> Any:
    """Merge the states of one metric."""
    xp = states[0].weight.xp
    return fold_stacked(states, lambda leaves: xp.stack(leaves, axis=0))
