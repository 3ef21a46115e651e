"""Several metrics of the same data at once."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np

from ._core.calls import answer
from ._core.errors import fail
from ._core.metric import Metric
from ._core.states import Mean, Spread, ratio
from ._core.totals import Totals
from ._core.types import Array, Namespace
from ._core.wrappers import Exp, Root, Scaled, Wrapper
from .metrics.catalogue import as_metric, name_of


def evaluate(
    metrics: Iterable[Metric | str] | Mapping[str, Metric | str],
    predictions: Any,
    targets: Any,
    *,
    groups: Any = None,
    num_groups: int | None = None,
    standard_error: bool = False,
    clusters: Any = None,
    **options: Any,
) -> dict[str, Any]:
    """Return the values of several metrics by name.

    Metrics that need the same statistics (such as `r2_score` and `explained_variance_score`)
    share them. The metrics declare which statistics they need; the data plays no role.

    Parameters
    ----------
    metrics : iterable of metrics or their names, or mapping from your names to either
        The results are named by your names, or by the names that you pass. Otherwise a result has
        the public name of its metric, or the repr if the parameters are not the default.
    predictions, targets : array
        As in a call of each metric.
    groups : array, optional
        A label for each sample, of any type. Each value is then a dict with one value per label,
        computed in the same pass.
    num_groups : int, optional
        The number of groups, for use where labels cannot be read, such as under ``jax.jit``.
        Groups are then integers from 0 to num_groups - 1; a sample with another integer is
        excluded. Each value is an array with one entry per group; a group without samples is nan.
    standard_error : bool
        Return an `Estimate` for each metric: the value and its standard error. Available for
        metrics with one term per sample, and for their `Root`, `Scaled` and `Exp` (by the delta
        method).
    clusters : array, optional
        A label for each sample. Samples with the same label, such as those of one patient or one
        document, may depend on each other; the standard error accounts for it.
    **options
        ``weights``, ``where``, ``axis``, ``event_axis``.

    Raises
    ------
    TypeError
        For an argument that is not a metric, or for a single metric instead of several.
    ValueError
        If two metrics have the same name, if a standard error is requested for a metric without
        terms, or if clusters are passed together with groups or an axis.

    Examples
    --------
    >>> import isoloss as il
    >>> il.evaluate([il.mean_squared_error, il.Huber(delta=2.0)], [1.0, 3.0], [1.0, 1.0])
    {'mean_squared_error': np.float64(2.0), 'Huber(delta=2.0)': np.float64(1.0)}
    >>> il.evaluate([il.max_error], [1.0, 3.0, 5.0], [1.0, 1.0, 1.0], groups=["a", "b", "b"])
    {'max_error': {'a': np.float64(0.0), 'b': np.float64(4.0)}}
    >>> il.evaluate({"mbe": il.mbe}, [1.0, 3.0, 8.0], [1.0, 1.0, 1.0], standard_error=True)["mbe"]
    Estimate(value=np.float64(3.0), standard_error=np.float64(2.0816659994661326))
    """
    shared = Shared(named("evaluate", metrics))
    call_options, labels = options, None
    if groups is not None:
        if num_groups is None:
            labels, groups = labels_of("groups", groups)
            num_groups = len(labels)
        call_options = options | {"groups": groups, "num_groups": num_groups}
    elif num_groups is not None:
        raise TypeError("evaluate: num_groups= says how many groups= there are, which is missing")
    if standard_error:
        values = estimates(shared.metrics, predictions, targets, clusters, call_options)
    elif clusters is not None:
        raise TypeError("evaluate: clusters= is for standard errors: pass standard_error=True")
    else:
        values = shared.values(shared.states(predictions, targets, **call_options))
    if labels is None:
        return values
    return {name: _by_label(labels, value) for name, value in values.items()}


class Estimate(NamedTuple):
    """A value and its standard error.

    Examples
    --------
    >>> import isoloss as il
    >>> il.evaluate({"bias": il.mbe}, [1.0, 3.0], [0.0, 0.0], standard_error=True)["bias"].value
    np.float64(2.0)
    """

    value: Any
    standard_error: Any


def _by_label(labels: list[Any], values: Any) -> dict[Any, Any]:
    if isinstance(values, Estimate):
        pairs = zip(*values, strict=True)
        return dict(zip(labels, (Estimate(*pair) for pair in pairs), strict=True))
    return dict(zip(labels, values, strict=True))


def labels_of(name: str, given: Any) -> tuple[list[Any], Any]:
    """Return the sorted distinct labels, and the index of the label of each sample."""
    if type(given) is list and set(map(type, given)) == {str}:
        return _of_strings(given)  # without a detour over an array of strings
    try:
        detached = getattr(given, "detach", None)
        array = np.asarray(given if detached is None else detached().cpu())
    except Exception as error:
        message = f"evaluate: the labels of {name}= cannot be looked at here; number them from 0"
        if name == "groups":
            message += " and pass num_groups="
        raise TypeError(message) from error
    if array.dtype.kind in "USO":
        listed = array.ravel().tolist()
        if array.dtype.kind != "O" or set(map(type, listed)) == {str}:
            names, numbers = _of_strings(listed)
            return names, numbers.reshape(array.shape)
    try:
        labels, numbers = np.unique(array, return_inverse=True)
    except TypeError as error:
        raise _unsortable(name, array) from error
    return labels.tolist(), numbers.reshape(array.shape)


def _unsortable(name: str, array: Any) -> Exception:
    """Build the error for labels of several types; one of the types is often a missing value."""
    listed = array.ravel().tolist()
    missing = next((k for k, x in enumerate(listed) if x is None), None)
    if missing is not None:
        message = f"evaluate: {name}[{missing}] is None; give it a label such as 'missing', or drop"
        return TypeError(f"{message} the sample")
    kinds = " and ".join(sorted({type(x).__name__ for x in listed}))
    message = f"evaluate: {name}= has labels of several types, {kinds}; make all of them one type"
    return TypeError(f"{message}, such as str")


def _of_strings(listed: list[Any]) -> tuple[list[Any], Any]:
    """Number strings with a dict, which is faster than sorting all of them."""
    seen: defaultdict[Any, int] = defaultdict(itertools.count().__next__)
    numbers = np.fromiter(map(seen.__getitem__, listed), np.intp, len(listed))
    labels = list(seen)
    order = sorted(range(len(labels)), key=labels.__getitem__)
    place = np.empty(len(labels), np.intp)
    place[order] = np.arange(len(labels))
    return [labels[k] for k in order], place[numbers]


# --- standard errors ------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class _Spread(Wrapper):
    """The second moments of the terms of a loss, from which its standard error follows."""

    metric: Metric

    @property
    def source(self) -> Any:
        return self

    def source_in(self, xp: Namespace) -> Any:
        return self

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Spread:
        return total.spread(self.metric.terms(xp, prediction, target))

    def formula(self, xp: Namespace, state: Spread) -> Array:
        return state.standard_error(state.moments.mean_a.sum)


def estimates(
    metrics: dict[str, Metric], predictions: Any, targets: Any, clusters: Any, options: Any
) -> dict[str, Estimate]:
    """Return values and standard errors, in one pass; clusters need a second pass."""
    if clusters is None:
        shared = Estimates(metrics)
        return shared.values(shared.states(predictions, targets, **options))
    shared = Estimates(metrics, spread=False)
    states = shared.states(predictions, targets, **options)
    if options.get("groups") is not None or options.get("axis") is not None:
        raise ValueError("evaluate: clusters= goes with neither groups= nor axis=")
    labels, numbers = labels_of("clusters", clusters)
    within = shared.states(predictions, targets, **options, groups=numbers, num_groups=len(labels))
    return shared.values(states, within)


def _of_clusters(xp: Namespace, state: Mean, mean: Any) -> Array:
    """Return the standard error of a mean from the sums of clusters (Liang and Zeger, 1986)."""
    weight = state.weight.sum
    deviations = state.total.sum - weight * mean
    number = xp.sum(xp.astype(weight > 0, weight.dtype))
    squares = xp.sum(deviations * deviations) * ratio(xp, number, number - 1)
    return xp.sqrt(squares) / xp.sum(weight)


def unwrapped(metric: Metric) -> Metric:
    """Strip the wrappers `Root`, `Scaled` and `Exp` from a metric."""
    while isinstance(metric, (Root, Scaled, Exp)):
        metric = metric.metric
    return metric


def _terms_of(metric: Metric) -> Metric:
    """Return the loss whose terms a metric averages; raise if it has no terms."""
    loss = unwrapped(metric)
    if not loss.summable:
        message = "a standard error needs one term per sample, which this metric does not have"
        raise fail(metric, message)
    return loss


def _slope(metric: Metric, xp: Namespace, value: Any) -> Any:
    """Return the absolute derivative of a wrapped metric with respect to the mean of the terms."""
    if isinstance(metric, Scaled):
        return abs(metric.factor) * _slope(metric.metric, xp, value / metric.factor)
    if isinstance(metric, Exp):
        return value * _slope(metric.metric, xp, xp.log(value))
    if isinstance(metric, Root):
        return 0.5 / value * _slope(metric.metric, xp, value * value)
    return 1.0


def as_numbers(result: Any) -> Any:
    """Return a result as Python numbers, lists and dicts, which ``json.dumps`` takes.

    Parameters
    ----------
    result : array, `Estimate`, or dict of them
        What `evaluate`, `over_batches`, `Accumulator` or a call of a metric returned, on any
        library. Tensors lose their graph.

    Examples
    --------
    >>> import isoloss as il
    >>> values = il.evaluate([il.mae], [1.0, 2.0], [1.0, 1.0], standard_error=True)
    >>> il.as_numbers(values)
    {'mean_absolute_error': {'value': 0.5, 'standard_error': 0.5}}
    """
    if isinstance(result, Mapping):
        keys = (key.item() if isinstance(key, np.generic) else key for key in result)
        return dict(zip(keys, map(as_numbers, result.values()), strict=True))
    if hasattr(result, "_asdict"):
        return as_numbers(result._asdict())
    if isinstance(result, (list, tuple)):
        return [as_numbers(part) for part in result]
    return result.tolist() if hasattr(result, "tolist") else result


def named(
    caller: str, metrics: Iterable[Metric | str] | Mapping[str, Metric | str]
) -> dict[str, Metric]:
    """Return the metrics passed to a function, by name."""
    if isinstance(metrics, (Metric, str)):
        raise TypeError(f"{caller} takes several metrics: pass [{metrics!r}]")
    if isinstance(metrics, type):
        raise TypeError(f"{caller} takes metrics such as isoloss.huber, not {metrics!r}")
    by_name: dict[str, Metric] = {}
    pairs: Any = ((None, metric) for metric in metrics)
    if isinstance(metrics, Mapping):
        pairs = metrics.items()
    for label, metric in pairs:
        typed = metric if isinstance(metric, str) else None
        metric = as_metric(caller, metric)
        name = next((choice for choice in (label, typed) if choice is not None), None)
        if name is None:
            name = name_of(metric)
            if name in by_name and repr(metric) != repr(by_name[name]):  # other numbers of classes
                name = repr(metric)
        if name in by_name:
            raise ValueError(f"two metrics are called {name!r}; pass a dict with a name for each")
        by_name[name] = metric
    return by_name


def one_or_more(
    caller: str, metrics: Metric | str | Iterable[Metric | str] | Mapping[str, Metric | str]
) -> dict[str, Metric]:
    """Return the metric or metrics passed to a class, by name; raise if there are none."""
    by_name = named(caller, [metrics] if isinstance(metrics, (Metric, str)) else metrics)
    if not by_name:
        raise ValueError(f"{caller} needs at least one metric, and there was none")
    return by_name


class Shared:
    """Several metrics of the same batches, which share passes and states where possible."""

    def __init__(self, metrics: dict[str, Metric]) -> None:
        self.metrics = metrics
        self._owners: dict[Metric, Metric] = {}  # each metric's state is that of its owner
        self._groups: dict[Any, list[Metric]] = {}  # metrics with the same inputs
        for metric in metrics.values():
            names = (metric.prediction_names, metric.target_names)
            mask = metric.source if metric.weighs else None  # its targets decide which count
            key = (metric.parts, names, *metric.sizes.items(), metric.domain, metric.padding, mask)
            self._groups.setdefault(key, []).append(metric)

    def states(self, predictions: Any, targets: Any, **options: Any) -> dict[Metric, Any]:
        """Return the states of a batch, by owning metric; one pass per group of metrics."""
        states: dict[Metric, Any] = {}
        for group in self._groups.values():
            inputs = group[0].inputs(predictions, targets, **options)
            owners = self._owners_of(group, inputs.xp)
            with inputs.xp.quiet():
                owned = inputs.library.statistics(owners, inputs)
            states.update(zip(owners, owned, strict=True))
        return states

    def _owners_of(self, group: list[Metric], xp: Namespace) -> tuple[Metric, ...]:
        sources = {metric: metric.source_in(xp) for metric in group}
        owners: dict[Any, Metric] = {}
        for metric, source in sources.items():
            if source not in owners or metric.source == source:
                owners[source] = metric
        self._owners |= {metric: owners[source] for metric, source in sources.items()}
        return tuple(owners.values())

    def owners(self, xp: Namespace) -> tuple[Metric, ...]:
        """Return the metrics that own a state, for batches of a namespace."""
        return tuple(
            owner for group in self._groups.values() for owner in self._owners_of(group, xp)
        )

    def owner(self, metric: Metric) -> Metric:
        """Return the metric whose state the given metric is computed from."""
        return self._owners[metric]

    def values(self, states: dict[Metric, Any]) -> dict[str, Any]:
        """Return the value of every metric, by name."""
        return {
            name: metric.compute(states[self._owners[metric]])
            for name, metric in self.metrics.items()
        }


class Estimates(Shared):
    """Metrics with standard errors, computed from means and spreads of the terms."""

    def __init__(self, metrics: dict[str, Metric], *, spread: bool = True) -> None:
        self._asked = metrics
        self._losses = {name: _terms_of(metric) for name, metric in metrics.items()}
        means = {f"mean of {name}": loss for name, loss in self._losses.items()}
        spreads = {f"spread of {name}": _Spread(loss) for name, loss in self._losses.items()}
        super().__init__({**metrics, **means, **(spreads if spread else {})})

    def values(
        self, states: dict[Metric, Any], within: dict[Metric, Any] | None = None
    ) -> dict[str, Any]:
        """Return an `Estimate` of every metric; ``within`` are the states of the clusters."""
        values = super().values(states)
        results = {}
        for name, metric in self._asked.items():
            loss, mean = self._losses[name], values[f"mean of {name}"]
            xp = states[self.owner(loss)].weight.xp
            with xp.quiet():
                if within is None:
                    error = states[self.owner(_Spread(loss))].standard_error(mean)
                else:
                    error = _of_clusters(xp, within[self.owner(loss)], mean)
                error = error * _slope(metric, xp, values[name])
                results[name] = Estimate(values[name], answer(xp.astype(error, xp.result)))
        return results
