"""Metrics over batches that come one after the other: more data than memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ._core.calls import Axis
from ._core.library import Library, library_of
from ._core.metric import Metric
from ._core.states import State, same_kind
from ._core.types import Array
from .evaluation import Estimates, Shared, named, one_or_more

ROOM = 64  # so many states wait to be merged at once
GATHERED = 1 << 15  # so many samples of small batches are summarised at once: no work for threads

Progress = Callable[[Iterable[Any]], Iterable[Any]]
_PARTS = ("predictions", "targets", "weights", "where", "groups")


def over_batches(
    metrics: Iterable[Metric | str] | Mapping[str, Metric | str],
    batches: Iterable[Any],
    *,
    axis: Axis = None,
    event_axis: int | None = None,
    num_groups: int | None = None,
    standard_error: bool = False,
    progress: bool | Progress = False,
) -> dict[str, Any]:
    """Return the values of several metrics over all samples of many batches, by name.

    Each batch is summarised in states of a few numbers, and these merge: the value is that of
    all samples at once, however many batches there are and however their sizes differ. (Metrics
    whose state is the data, such as `median_absolute_error`, keep the data.) The values are
    numbers to report: with PyTorch, no gradient flows back to the batches.

    Parameters
    ----------
    metrics : iterable of metrics, or mapping from names to metrics
        As in `evaluate`.
    batches : iterable
        Of tuples ``(predictions, targets)`` or ``(predictions, targets, weights)``, or of mappings
        with the keys ``predictions``, ``targets`` and, if there are any, ``weights``, ``where`` and
        ``groups``.
    axis, event_axis
        As in a call of a metric, the same for every batch.
    num_groups : int, optional
        How many groups there are; every batch then has its ``groups``, integers from 0 to
        num_groups - 1, and the value is an array of one for each group, as in `evaluate`.
    standard_error : bool
        Return an `Estimate` for each metric, as in `evaluate`.
    progress : bool or function
        True shows a bar (tqdm); a function wraps the iterable of batches to show another.

    Raises
    ------
    TypeError
        For a batch of another form.
    ValueError
        Where there is no batch, and for what a call of a metric refuses: the batch is named.

    Examples
    --------
    >>> import isoloss as il
    >>> batches = [([1.0, 2.0], [1.0, 1.0]), ([5.0], [1.0])]
    >>> il.over_batches([il.mean_absolute_error, il.max_error], batches)
    {'mean_absolute_error': np.float64(1.6666666666666667), 'max_error': np.float64(4.0)}
    >>> il.over_batches([il.mean_bias_error], batches, standard_error=True)["mean_bias_error"]
    Estimate(value=np.float64(1.6666666666666667), standard_error=np.float64(1.2018504251546631))
    """
    accumulator = Accumulator(
        named("over_batches", metrics), axis=axis, event_axis=event_axis, num_groups=num_groups,
        standard_error=standard_error,
    )  # fmt: skip
    shown = _bar if progress is True else progress or iter
    number = -1
    for number, batch in enumerate(shown(batches)):
        predictions, targets, options = _parts(number, batch)
        try:
            accumulator.update(predictions, targets, **options)
        except (TypeError, ValueError) as error:
            error.add_note(f"in batch {number} of over_batches")
            raise
    if number < 0:
        raise ValueError("over_batches needs at least one batch, and there was none")
    return accumulator.compute()  # type: ignore[no-any-return]


class Accumulator:
    """Metrics of all the batches that were added, in states of a few numbers.

    The values are those of all samples at once, however many batches there are and however their
    sizes differ. (Metrics whose state is the data, such as `median_absolute_error`, keep the data.)
    No gradient flows back to the batches. It can be pickled, and merged with others: of workers,
    processes or machines.

    Parameters
    ----------
    metrics : metric, iterable of metrics, or mapping from names to metrics
        Of one metric, `compute` returns the value; of several, a dict of values by name, as
        `evaluate` does.
    axis, event_axis, num_groups, standard_error
        As in `over_batches`.

    Raises
    ------
    TypeError
        For something that is no metric.
    ValueError
        Where there is no metric.

    Examples
    --------
    >>> import isoloss as il
    >>> accumulator = il.Accumulator([il.mean_absolute_error, il.max_error])
    >>> accumulator.update([1.0, 2.0], [1.0, 1.0])
    >>> accumulator.update([5.0], [1.0])
    >>> accumulator.compute()
    {'mean_absolute_error': np.float64(1.6666666666666667), 'max_error': np.float64(4.0)}
    """

    def __init__(
        self,
        metrics: Metric | str | Iterable[Metric | str] | Mapping[str, Metric | str],
        *,
        axis: Axis = None,
        event_axis: Axis = None,
        num_groups: int | None = None,
        standard_error: bool = False,
    ) -> None:
        self._one = isinstance(metrics, (Metric, str))
        self._metrics = one_or_more(type(self).__name__, metrics)
        self._shared = (Estimates if standard_error else Shared)(self._metrics)
        self._options = {"axis": axis, "event_axis": event_axis, "num_groups": num_groups}
        alike = all(metric.elementwise for metric in self._shared.metrics.values())
        self._gathers = alike and axis is event_axis is num_groups is None
        self.reset()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._metrics)})"

    def reset(self) -> None:
        """Forget all batches."""
        self._small = _Small()
        self._levels: list[list[dict[Metric, State]]] = []

    def update(
        self,
        predictions: Any,
        targets: Any,
        *,
        weights: Any = None,
        where: Any = None,
        groups: Any = None,
    ) -> None:
        """Add a batch; one that is refused changes nothing.

        Parameters
        ----------
        predictions, targets, weights, where
            As in a call of a metric.
        groups : array, optional
            The group of each sample, where there is ``num_groups``.

        Raises
        ------
        TypeError, ValueError
            For what a call of a metric refuses, and for a batch that does not go with those before.
        """
        given = {"weights": weights, "where": where, "groups": groups}
        plain = weights is None and where is None and groups is None
        if self._gathers and plain and self._small.add(predictions, targets):
            return
        options = {name: _detached(x) for name, x in given.items() if x is not None}
        if self._small.size:
            self._summarise_gathered()
            if plain and self._small.add(predictions, targets):  # in other dtypes, perhaps
                return
        predictions, targets = _detached(predictions), _detached(targets)
        self._add(self._shared.states(predictions, targets, **self._options, **options))

    def merge(self, *others: Accumulator | Mapping[str, Any]) -> None:
        """Add the samples of other accumulators of the same metrics; those keep them.

        In the place of an accumulator its `states` may stand.

        Raises
        ------
        ValueError
            For other metrics.
        """
        for other in others:
            states = other if isinstance(other, Mapping) else other.states()
            if not states:
                continue
            if not isinstance(other, Mapping) and other._metrics != self._metrics:
                mine, theirs = self._metrics, other._metrics
                raise ValueError(f"{self!r} holds {mine}, and the other {theirs}: make them alike")
            names = list(self._shared.metrics)
            if set(states) != set(names):
                message = f"{self!r} holds {names}, and the states are of {list(states)}"
                raise ValueError(message)
            self._shared.owners(next(iter(states.values())).weight.xp)
            owned = self._shared.metrics.items()
            self._add({self._shared.owner(metric): states[name] for name, metric in owned})

    def states(self) -> dict[str, Any]:
        """Return the state of each metric, by name; none where no batch was added."""
        self._summarise_gathered()
        if not self._levels:
            return {}
        states = folded([states for level in reversed(self._levels) for states in level])
        self._levels = [[states]]
        owned = self._shared.metrics.items()
        return {name: states[self._shared.owner(metric)] for name, metric in owned}

    def compute(self) -> Any:
        """Return the values of all samples so far.

        Raises
        ------
        RuntimeError
            Where no batch was added.
        """
        if not self.states():
            raise RuntimeError(
                f"{self!r} has no value yet: call update(predictions, targets) first"
            )
        values = self._shared.values(self._levels[0][0])
        return next(iter(values.values())) if self._one else values

    def __getstate__(self) -> dict[str, Any]:
        states = self.states()
        return {**vars(self), "_small": None, "_levels": None, "states": states}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        states = saved.pop("states")
        vars(self).update(saved)
        self.reset()
        self.merge(states)

    def _summarise_gathered(self) -> None:
        if self._small.size:
            self._add(self._shared.states(*self._small.emptied()))

    def _add(self, states: dict[Metric, State]) -> None:
        """Hold the states of a batch, if they merge with those before."""
        for owner, state in self._levels[-1][0].items() if self._levels else ():
            same_kind(state, states[owner])
        _push(self._levels, states)


def _parts(number: int, batch: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Return the predictions, the targets and the options of a batch."""
    if isinstance(batch, (tuple, list)) and len(batch) in (2, 3):
        predictions, targets, *weights = batch
        return predictions, targets, {"weights": weights[0]} if weights else {}
    if isinstance(batch, Mapping) and {*_PARTS[:2]} <= batch.keys() <= {*_PARTS}:
        options = dict(batch)
        return options.pop("predictions"), options.pop("targets"), options
    kind = type(batch).__name__
    if isinstance(batch, Mapping):
        kind += f" with {list(batch)}"
    elif isinstance(batch, (tuple, list)):
        kind += f" of length {len(batch)}"
    raise TypeError(
        f"batch {number} is a {kind}; over_batches takes (predictions, targets), "
        "(predictions, targets, weights), or a mapping of "
        "predictions, targets, weights, where, groups"
    )


def _detached(part: Any) -> Any:
    """Return tensors without their graph, which would hold on to every batch."""
    if isinstance(part, tuple):
        return tuple(map(_detached, part))
    return part.detach() if getattr(part, "requires_grad", False) else part


class _Small:
    """Small batches, copied one behind the other until they are worth a pass of their own.

    They are copied, not kept, because a loader may fill the same array again.
    """

    def __init__(self) -> None:
        self.size = 0
        self._library: Library | None = None
        self._rows: list[Any] = []

    def add(self, predictions: Any, targets: Any) -> bool:
        """Add a batch to the others if it is small, nothing but numbers, and there is room."""
        library = library_of(predictions)
        numbers = library.gathers(predictions, targets) if library is not None else None
        if not numbers:
            return False
        p, t = numbers
        start, end = self.size, self.size + p.size
        if not start:
            if 2 * end > GATHERED:
                return False
            self._library, self._rows = library, [np.empty(GATHERED, x.dtype) for x in numbers]
        elif library is not self._library or end > GATHERED:
            return False
        one, other = self._rows
        if one.dtype != p.dtype or other.dtype != t.dtype:
            return False
        one[start:end], other[start:end] = p.ravel(), t.ravel()
        self.size = end
        return True

    def emptied(self) -> list[Array]:
        """Return the samples gathered so far, and forget them: a state may hold on to them."""
        library: Any = self._library
        rows = [library.from_gathered(row[: self.size]) for row in self._rows]
        self.size = 0
        return rows


def _push(levels: list[list[dict[Metric, State]]], states: dict[Metric, State]) -> None:
    """Add the states of a batch; as in a counter, full levels are merged into one of the next.

    So few states are held, each number goes into few merges, and states that concatenate are not
    copied for every batch.
    """
    for level in levels:
        level.append(states)
        if len(level) < ROOM:
            return
        states = folded(level)
        level.clear()
    levels.append([states])


def folded(many: list[dict[Metric, State]]) -> dict[Metric, State]:
    """Merge the states of batches."""
    first = many[0]
    return {
        owner: state.weight.xp.library.fold([states[owner] for states in many])
        for owner, state in first.items()
    }


def _bar(batches: Iterable[Any]) -> Iterable[Any]:
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]
    except ImportError as error:
        message = "progress=True shows its bar with tqdm: pip install 'isoloss[progress]'"
        raise ImportError(message) from error
    return tqdm(batches, unit="batch")  # type: ignore[no-any-return]
