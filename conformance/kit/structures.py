"""The few metrics that have together every structure: for what does not depend on the formula."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import isoloss as il
from isoloss._core.domains import Labels
from isoloss._core.inputs import Inputs
from isoloss._core.primitives import PRIMITIVES
from isoloss._core.states import plain_kind
from isoloss._core.totals import Totals
from isoloss._core.wrappers import Wrapper

from .drawing import draw
from .expected import extra_shape
from .metrics import ALL, NAMED


class _Recorder:
    """A namespace that counts how often each of its functions was asked for."""

    def __init__(self, xp: Any) -> None:
        self._xp, self.calls = xp, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._xp, name)
        if callable(found) and not isinstance(found, type):
            self.calls[name] += 1
        return found


def _sort_of(values: Any) -> str:
    if isinstance(values, Labels):
        return "scores" if values.scores else "labels"
    return "bounded" if values.bounded else "real"


def _sort_of_function(name: str) -> str:
    """Return the name of a function; one name for all primitives, which the engine treats alike."""
    return "a primitive" if name in PRIMITIVES else name


@functools.cache
def _evaluated(metric: il.Metric) -> tuple[Any, Counter[str]]:
    """Return the state of a few samples, and how often each function was called for the value."""
    batch = Inputs(metric, *draw(metric, (6,), dtype="float32")).batch()
    xp = batch.xp = _Recorder(batch.xp)
    with np.errstate(all="ignore"):
        state = metric.statistics(xp, batch.predictions, batch.targets, Totals(batch))
        metric.formula(xp, state)
    return state, xp.calls


def calls(metric: il.Metric) -> int:
    """Return how many functions a metric calls: what a test of it costs."""
    return _evaluated(metric)[1].total()


@functools.cache
def features(metric: il.Metric) -> set[Any]:
    """Return what the engine may treat in a way of its own, and each function that is called."""
    (state, names), domain = _evaluated(metric), metric.domain
    return {
        ("kind", metric.kind), ("parts", metric.parts), ("weighs", metric.weighs),
        *(("predictions", _sort_of(one)) for one in domain.of_predictions),
        *(("targets", _sort_of(one)) for one in domain.of_targets),
        ("state", type(state)), ("wrapper", isinstance(metric, Wrapper) and type(metric)),
        ("more axes", bool(extra_shape(metric))), *(("calls", _sort_of_function(name)) for name in names),
    }  # fmt: skip


FIXED_COST = 10  # what a test costs whatever the metric is, in calls


def cover(
    metrics: Mapping[str, il.Metric], features: Callable[[il.Metric], set[Any]]
) -> dict[str, il.Metric]:
    """Return metrics that together have every feature, at little cost.

    Each one adds the most features for its calls. Then those whose features the others have are
    removed, the most costly first.
    """
    each = {name: features(metric) for name, metric in metrics.items()}
    left = set().union(*each.values())
    found: list[str] = []
    while left:
        found.append(
            max(each, key=lambda name: len(each[name] & left) / (FIXED_COST + calls(metrics[name])))
        )
        left -= each[found[-1]]
    for name in sorted(found, key=lambda name: -calls(metrics[name])):
        others = [each[other] for other in found if other != name]
        if each[name] <= set().union(*others):
            found.remove(name)
    return {name: metric for name, metric in metrics.items() if name in found}


def _first_of_each(
    metrics: dict[str, il.Metric], key: Callable[[il.Metric], Any]
) -> dict[str, il.Metric]:
    first: dict[Any, str] = {}
    for name, metric in metrics.items():
        first.setdefault(key(metric), name)
    return {name: metrics[name] for name in first.values()}


STRUCTURES: dict[str, il.Metric] = cover(NAMED | ALL, features)
"""A few that have together every structure and call every function: for what is slow."""


def _shapes(metric: il.Metric) -> set[Any]:
    """Return the features of a metric, but for the functions it calls and the names of its axes."""
    axes = tuple(tuple(map(len, side)) for side in metric.parts)
    return {x for x in features(metric) if x[0] not in ("calls", "parts")} | {("axes", axes)}


ENGINE: dict[str, il.Metric] = cover(STRUCTURES, _shapes)
"""Fewer, for what depends on sizes alone: the numbers of axes and of arrays, states, weights."""

_PLAINEST_FIRST = dict(sorted(STRUCTURES.items(), key=lambda item: calls(item[1])))
STATES: dict[str, il.Metric] = _first_of_each(
    _PLAINEST_FIRST, lambda metric: plain_kind(metric.summary(*draw(metric, (3,))))
)
"""The plainest for each kind of state: for what depends on states alone, and is slow."""
