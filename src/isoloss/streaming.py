"""Metrics over batches that come one after the other: more data than memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ._core.calls import Axis
from ._core.library import Library, library_of
from ._core.metric import Metric
from ._core.states import State
from ._core.types import Array
from .evaluation import Estimates, Shared, named

ROOM = 64  # so many states wait to be merged at once
GATHERED = 1 << 15  # so many samples of small batches are summarised at once: no work for threads

Progress = Callable[[Iterable[Any]], Iterable[Any]]
_PARTS = ("predictions", "targets", "weights", "where", "groups")


def over_batches(
    metrics: Iterable[Metric] | Mapping[str, Metric],
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
    stream = Stream(
        metrics, axis=axis, event_axis=event_axis, num_groups=num_groups,
        standard_error=standard_error,
    )  # fmt: skip
    shown = _bar if progress is True else progress or iter
    for batch in shown(batches):
        stream.add(batch)
    return stream.values()


class Stream:
    """What `over_batches` does, for a loop of one's own: several streams may share its batches.

    Parameters are those of `over_batches`.

    Examples
    --------
    >>> import isoloss as il
    >>> from isoloss.streaming import Stream
    >>> stream = Stream([il.mean_absolute_error])
    >>> stream.add(([1.0, 2.0], [1.0, 1.0]))
    >>> stream.add(([5.0], [1.0]))
    >>> stream.values()
    {'mean_absolute_error': np.float64(1.6666666666666667)}
    """

    def __init__(
        self,
        metrics: Iterable[Metric] | Mapping[str, Metric],
        *,
        axis: Axis = None,
        event_axis: int | None = None,
        num_groups: int | None = None,
        standard_error: bool = False,
    ) -> None:
        self._shared = (Estimates if standard_error else Shared)(named("over_batches", metrics))
        self._options = {"axis": axis, "event_axis": event_axis, "num_groups": num_groups}
        alike = all(metric.elementwise for metric in self._shared.metrics.values())
        self._gathers = alike and axis is event_axis is num_groups is None
        self._small = _Small()
        self._levels: list[list[dict[Metric, State]]] = []
        self._number = 0

    def add(self, batch: Any) -> None:
        """Summarise a batch, or gather it with other small ones to be summarised at once."""
        number, small = self._number, self._small
        self._number += 1
        predictions, targets, options = _parts(number, batch)
        numbers = small.takes(predictions, targets) if self._gathers and not options else []
        if small.size and not (numbers and small.has_room_for(numbers)):
            push(self._levels, self._shared.states(*small.emptied()))
            numbers = numbers and small.takes(predictions, targets)  # perhaps in other dtypes
        if numbers:
            small.copy(numbers)
            return
        try:
            states = self._shared.states(predictions, targets, **self._options, **options)
        except (TypeError, ValueError) as error:
            error.add_note(f"in batch {number} of over_batches")
            raise
        push(self._levels, states)

    def values(self) -> dict[str, Any]:
        """Return the values of all samples so far."""
        if self._small.size:
            push(self._levels, self._shared.states(*self._small.emptied()))
        if not self._levels:
            raise ValueError("over_batches needs at least one batch, and there was none")
        levels = [states for level in reversed(self._levels) for states in level]
        return self._shared.values(folded(levels))


def _parts(number: int, batch: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Return the predictions, the targets and the options of a batch."""
    if type(batch) in (tuple, list) and len(batch) == 2:
        return _detached(batch[0]), _detached(batch[1]), {}
    if isinstance(batch, Mapping) and {*_PARTS[:2]} <= batch.keys() <= {*_PARTS}:
        parts: dict[str, Any] = dict(batch)
    elif isinstance(batch, (tuple, list)) and len(batch) in (2, 3):
        parts = dict(zip(_PARTS, batch, strict=False))
    else:
        what = type(batch).__name__
        if isinstance(batch, Mapping):
            what += f" with {list(batch)}"
        elif isinstance(batch, (tuple, list)):
            what += f" of length {len(batch)}"
        raise TypeError(
            f"batch {number} is a {what}; over_batches takes (predictions, targets), "
            "(predictions, targets, weights), or a mapping of "
            "predictions, targets, weights, where, groups"
        )
    parts = {name: _detached(part) for name, part in parts.items()}
    return parts.pop("predictions"), parts.pop("targets"), parts


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
        self._library: Library
        self._rows: list[Any] = []

    def takes(self, predictions: Any, targets: Any) -> list[Any]:
        """Return the numbers of a batch, if it is small and nothing but numbers."""
        library = library_of(predictions)
        if library is None:
            return []
        numbers = library.gathers(predictions, targets)
        if not numbers or 2 * numbers[0].size > GATHERED:
            return []
        if not self.size:
            self._library = library
            self._rows = [np.empty(GATHERED, array.dtype) for array in numbers]
        return numbers if library is self._library else []

    def has_room_for(self, numbers: list[Any]) -> bool:
        """Whether a batch has the dtypes of those before, and fits behind them."""
        (p, t), (predictions, targets) = self._rows, numbers
        alike = p.dtype == predictions.dtype and t.dtype == targets.dtype
        return bool(alike and self.size + predictions.size <= GATHERED)

    def copy(self, numbers: list[Any]) -> None:
        """Add a batch to the others."""
        end = self.size + numbers[0].size
        for row, array in zip(self._rows, numbers, strict=True):
            row[self.size : end] = array.ravel()
        self.size = end

    def emptied(self) -> list[Array]:
        """Return the samples gathered so far, and forget them: a state may hold on to them."""
        rows = [self._library.from_gathered(row[: self.size]) for row in self._rows]
        self.size = 0
        return rows


def push(levels: list[list[dict[Metric, State]]], states: dict[Metric, State]) -> None:
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
