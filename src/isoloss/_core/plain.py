"""The generic evaluation of a definition as written, for any namespace, tracer and transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .calls import Call, evaluate
from .inputs import Inputs
from .library import Library
from .passes import NOTHING, Arrays, Needed, PassPlan, Slopes, Tokens, gone_through
from .states import fold
from .totals import Totals, totals_of
from .types import Array

if TYPE_CHECKING:
    from .metric import Metric


class PlainLibrary(Library):
    """A library that evaluates definitions as written, on whole arrays."""

    def value(self, metric: Metric, call: Call) -> Any:
        """Return the value of a call of a metric."""
        return evaluate(metric, call)

    def statistics(self, metrics: Sequence[Metric], inputs: Inputs) -> tuple[Any, ...]:
        """Return the states of several metrics that take the same inputs."""
        batch = inputs.batch()
        xp, p, t, totals = batch.xp, batch.predictions, batch.targets, totals_of(batch)
        return tuple(metric.statistics(xp, p, t, totals) for metric in metrics)

    def terms(self, metric: Metric, inputs: Inputs) -> Array:
        """Return the weighted term of every sample; excluded samples have 0."""
        batch = inputs.batch()
        return Totals(batch).weighted(metric.terms(batch.xp, batch.predictions, batch.targets))

    def fold(self, states: Sequence[Any]) -> Any:
        """Merge the states of one metric."""
        xp = states[0].weight.xp
        return fold(states, lambda leaves: xp.stack(leaves, axis=0))

    def across(self, state: Any, axis_name: Any, group: Any) -> Any:
        """Raise: this library has no communication between devices or processes."""
        raise TypeError(
            f"across merges states of JAX and PyTorch, not of {self.name}: "
            "collect the states in one process and merge them there with state.merge(other)"
        )

    def chunk_arrays(self, plan: PassPlan) -> Arrays:
        """Return the operations on the arrays of a chunk; here they make new arrays."""
        return Arrays(plan)

    def gone_through(
        self, plan: PassPlan, needed: Needed, tokens: Tokens
    ) -> tuple[Array, Array, Slopes]:
        """Return the total of the losses, the losses and the slopes of the total, by chunks."""
        return gone_through(plan, needed, tokens)

    def total_of_tokens(self, plan: PassPlan, tokens: Tokens, rows: Any) -> Array:
        """Return the total of the losses, chunk by chunk."""
        return gone_through(plan, NOTHING, tokens)[0]
