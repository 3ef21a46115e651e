"""Several metrics of the same data at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import regression
from ._metric import Metric

_CATALOGUES = (regression,)


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
    if isinstance(metrics, Metric):
        raise TypeError(f"evaluate takes several metrics: pass [{metrics!r}]")
    named: dict[str, Metric] = {}
    pairs: Any = ((None, metric) for metric in metrics)
    if isinstance(metrics, Mapping):
        pairs = metrics.items()
    for given, metric in pairs:
        if not isinstance(metric, Metric):
            raise TypeError(f"evaluate takes metrics such as isoloss.huber, not {metric!r}")
        name = name_of(metric) if given is None else given
        if name in named:
            raise ValueError(f"two metrics are called {name!r}; pass a dict with a name for each")
        named[name] = metric
    states = _states(list(named.values()), predictions, targets, **options)
    return {name: metric.compute(states[metric]) for name, metric in named.items()}


def _states(
    metrics: list[Metric], predictions: Any, targets: Any, **options: Any
) -> dict[Metric, Any]:
    """Return the state of each metric: one pass over the data for all that take it alike."""
    groups: dict[Any, list[Metric]] = {}
    for metric in metrics:
        alike = (metric.core, tuple(metric.sizes.items()), metric.domain)
        groups.setdefault(alike, []).append(metric)
    states: dict[Metric, Any] = {}
    for group in groups.values():
        inputs = group[0].inputs(predictions, targets, **options)
        sources = {metric: metric.source_in(inputs.xp) for metric in group}
        owners: dict[Any, Metric] = {}
        for metric, source in sources.items():
            if source not in owners or metric.source == source:
                owners[source] = metric
        with inputs.xp.quiet():
            found = inputs.xp.strategy.statistics_of_all(tuple(owners.values()), inputs)
        shared = dict(zip(owners, found, strict=True))
        states |= {metric: shared[source] for metric, source in sources.items()}
    return states
