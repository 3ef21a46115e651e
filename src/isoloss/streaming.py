"""Metrics over successive batches, for data that does not fit in memory."""

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

ROOM = 64  # states merged at once
GATHERED = 1 << 15  # samples of small batches summarised at once; too few to use threads

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

    Each batch is summarised in states of a few numbers, and the states merge. The values equal
    those of all samples at once, for any number and any sizes of batches. Metrics whose state is
    the data, such as `median_absolute_error`, keep the data. With PyTorch, no gradient flows back
    to the batches.

    Parameters
    ----------
    metrics : iterable of metrics, or mapping from names to metrics
        As in `evaluate`.
    batches : iterable
        Each batch is a tuple ``(predictions, targets)`` or ``(predictions, targets, weights)``, or
        a mapping with the keys ``predictions`` and ``targets``, and optionally ``weights``,
        ``where`` and ``groups``.
    axis, event_axis
        As in a call of a metric; the same for every batch.
    num_groups : int, optional
        The number of groups. Every batch then contains ``groups``, integers from 0 to
        num_groups - 1, and each value is an array with one entry per group, as in `evaluate`.
    standard_error : bool
        Return an `Estimate` for each metric, as in `evaluate`.
    progress : bool or function
        True shows a progress bar (tqdm). A function wraps the iterable of batches, to show a
        different bar.

    Raises
    ------
    TypeError
        If a batch has another form.
    ValueError
        If there is no batch, or if a call of a metric raises; the error names the batch.

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
    """Metrics of all batches added so far, held in states of a few numbers.

    The values equal those of all samples at once, for any number and any sizes of batches. Metrics
    whose state is the data, such as `median_absolute_error`, keep the data. No gradient flows back
    to the batches. An accumulator can be pickled, and merged with those of other workers, processes
    or machines.

    Parameters
    ----------
    metrics : metric, iterable of metrics, or mapping from names to metrics
        For one metric, `compute` returns its value. For several metrics, `compute` returns a dict
        of values by name, as `evaluate` does.
    axis, event_axis, num_groups, standard_error
        As in `over_batches`.

    Raises
    ------
    TypeError
        For an argument that is not a metric.
    ValueError
        If there is no metric.

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
        """Remove all batches."""
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
        """Add a batch. A batch that raises changes nothing.

        Parameters
        ----------
        predictions, targets, weights, where
            As in a call of a metric.
        groups : array, optional
            The group of each sample; required with ``num_groups``.

        Raises
        ------
        TypeError, ValueError
            If a call of a metric raises, or if the batch does not match the previous batches.
        """
        arrays = {"weights": weights, "where": where, "groups": groups}
        unweighted = weights is None and where is None and groups is None
        if self._gathers and unweighted and self._small.add(predictions, targets):
            return
        options = {name: _detached(x) for name, x in arrays.items() if x is not None}
        if self._small.size:
            self._summarise_gathered()
            if unweighted and self._small.add(predictions, targets):  # for batches of other dtypes
                return
        predictions, targets = _detached(predictions), _detached(targets)
        self._add(self._shared.states(predictions, targets, **self._options, **options))

    def merge(self, *others: Accumulator | Mapping[str, Any]) -> None:
        """Add the samples of other accumulators of the same metrics; these are unchanged.

        The `states` of an accumulator may be passed instead of the accumulator.

        Raises
        ------
        ValueError
            If the metrics differ.
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
        """Return the state of each metric, by name; an empty dict if no batch was added."""
        self._summarise_gathered()
        if not self._levels:
            return {}
        states = folded([states for level in reversed(self._levels) for states in level])
        self._levels = [[states]]
        owned = self._shared.metrics.items()
        return {name: states[self._shared.owner(metric)] for name, metric in owned}

    def compute(self) -> Any:
        """Return the values of all samples added so far.

        Raises
        ------
        RuntimeError
            If no batch was added.
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
        """Add the states of a batch; raise if they do not merge with the previous ones."""
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
    """Detach tensors: their graphs would keep every batch in memory."""
    if isinstance(part, tuple):
        return tuple(map(_detached, part))
    return part.detach() if getattr(part, "requires_grad", False) else part


class _Small:
    """Small batches, copied into one buffer until there are enough samples for a pass.

    Batches are copied because a loader may reuse the same array.
    """

    def __init__(self) -> None:
        self.size = 0
        self._library: Library | None = None
        self._rows: list[Any] = []

    def add(self, predictions: Any, targets: Any) -> bool:
        """Add a batch if it is small, consists of numbers and fits; tell whether it was added."""
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
        held_p, held_t = self._rows
        if held_p.dtype != p.dtype or held_t.dtype != t.dtype:
            return False
        held_p[start:end], held_t[start:end] = p.ravel(), t.ravel()
        self.size = end
        return True

    def emptied(self) -> list[Array]:
        """Return the gathered samples and start new buffers: a state may keep the old ones."""
        library: Any = self._library
        rows = [library.from_gathered(row[: self.size]) for row in self._rows]
        self.size = 0
        return rows


def _push(levels: list[list[dict[Metric, State]]], states: dict[Metric, State]) -> None:
    """Add the states of a batch to the first level; a full level is merged into the next level.

    Then few states are held, each number takes part in few merges, and states that concatenate are
    not copied for every batch.
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
