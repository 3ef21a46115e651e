"""Several metrics of the same data at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import classification, regression
from ._metric import Metric
from ._namespaces import Namespace

_CATALOGUES = (regression, classification)


def name_of(metric: Metric) -> str:
    """Return the public name of a metric, or its repr where its parameters are not the default."""
    for catalogue in _CATALOGUES:
        for name, member in vars(catalogue).items():
            if isinstance(member, Metric) and member == metric:
                return name
    return repr(metric)


def evaluate(
    metrics: Iterable[Metric] | Mapping[str, Metric], predictions: Any, targets: Any, **options: Any
) -> dict[str, Any]:
    """Return the values of several metrics by name.

    Metrics that need the same statistics (`r2_score` and `explained_variance_score`, say) share
    them: which do is declared by the metrics, never guessed from the data.

    Parameters
    ----------
    metrics : iterable of metrics, or mapping from names to metrics
        Without names, a metric is called by its public name, or by its repr.
    predictions, targets : array
        As in a call of each metric.
    **options
        ``weights``, ``where``, ``axis``, ``event_axis``.

    Raises
    ------
    TypeError
        For anything that is not a metric, or a single metric instead of several.
    ValueError
        Where two metrics have the same name.

    Examples
    --------
    >>> import isoloss as il
    >>> il.evaluate([il.mean_squared_error, il.Huber(delta=2.0)], [1.0, 3.0], [1.0, 1.0])
    {'mean_squared_error': np.float64(2.0), 'Huber(delta=2.0)': np.float64(1.0)}
    """
    shared = Shared(named("evaluate", metrics))
    return shared.values(shared.states(predictions, targets, **options))


def named(caller: str, metrics: Iterable[Metric] | Mapping[str, Metric]) -> dict[str, Metric]:
    """Return the metrics that were passed to a function, by name."""
    if isinstance(metrics, Metric):
        raise TypeError(f"{caller} takes several metrics: pass [{metrics!r}]")
    found: dict[str, Metric] = {}
    pairs: Any = ((None, metric) for metric in metrics)
    if isinstance(metrics, Mapping):
        pairs = metrics.items()
    for given, metric in pairs:
        if not isinstance(metric, Metric):
            raise TypeError(f"{caller} takes metrics such as isoloss.huber, not {metric!r}")
        name = name_of(metric) if given is None else given
        if name in found:
            raise ValueError(f"two metrics are called {name!r}; pass a dict with a name for each")
        found[name] = metric
    return found


class Shared:
    """Several metrics of the same batches, which share what they can: a pass, and states."""

    def __init__(self, metrics: dict[str, Metric]) -> None:
        self.metrics = metrics
        self._owners: dict[Metric, Metric] = {}  # whose state each metric is computed from
        self._groups: dict[Any, list[Metric]] = {}  # those that take a batch alike
        for metric in metrics.values():
            alike = (metric.core, tuple(metric.sizes.items()), metric.domain)
            self._groups.setdefault(alike, []).append(metric)

    def states(self, predictions: Any, targets: Any, **options: Any) -> dict[Metric, Any]:
        """Return the states of a batch, each by the metric that owns it: one pass for a group."""
        states: dict[Metric, Any] = {}
        for group in self._groups.values():
            inputs = group[0].inputs(predictions, targets, **options)
            owners = self._owners_of(group, inputs.xp)
            with inputs.xp.quiet():
                found = inputs.xp.strategy.statistics_of_all(owners, inputs)
            states.update(zip(owners, found, strict=True))
        return states

    def _owners_of(self, group: list[Metric], xp: Namespace) -> tuple[Metric, ...]:
        sources = {metric: metric.source_in(xp) for metric in group}
        owners: dict[Any, Metric] = {}
        for metric, source in sources.items():
            if source not in owners or metric.source == source:
                owners[source] = metric
        self._owners |= {metric: owners[source] for metric, source in sources.items()}
        return tuple(owners.values())

    def values(self, states: dict[Metric, Any]) -> dict[str, Any]:
        """Return the value of every metric, by name."""
        return {
            name: metric.compute(states[self._owners[metric]])
            for name, metric in self.metrics.items()
        }
