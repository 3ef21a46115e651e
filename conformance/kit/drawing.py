"""Inputs drawn from the domain that a metric declares, weights, masks, and what spoils them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import isoloss as il
from isoloss._core.domains import UNIT, Labels

from .trees import Tree, leaves, tree_map

DTYPE = os.environ.get("ISOLOSS_DTYPE", "float32")
"""The dtype of what is drawn; float64 where a library is run under a second setting."""

LENGTH = 4
"""The length of every core dimension that the metric does not fix: of classes, items, features."""

Loop = tuple[int, ...]
Generator = np.random.Generator


@dataclass(frozen=True)
class Samples:
    """Predictions and targets: each an array, or a tuple of arrays, whose first axes are the loss's."""

    predictions: Tree
    targets: Tree

    def __iter__(self) -> Iterator[Tree]:
        yield self.predictions
        yield self.targets

    def __getitem__(self, index: Any) -> Samples:
        return self.map(lambda array: array[index])

    def map(self, function: Callable[..., Any]) -> Samples:
        """Apply a function to every array."""
        return Samples(*(tree_map(function, side) for side in self))

    def flat(self, axes: int) -> Samples:
        """Join the first axes into one."""
        return self.map(lambda array: array.reshape(-1, *array.shape[axes:]))


def joined(parts: list[Samples]) -> Samples:
    """Concatenate batches along the first axis."""
    sides = zip(*parts, strict=True)
    return Samples(*(tree_map(lambda *arrays: np.concatenate(arrays), *side) for side in sides))


def shapes(metric: il.Metric, loop: Loop) -> tuple[list[Loop], list[Loop]]:
    """Return the shapes of all arrays of predictions, and of targets, for a loss of shape ``loop``."""
    predictions, targets = (
        [(*loop, *(metric.sizes.get(name, LENGTH) for name in core)) for core in side]
        for side in metric.parts
    )
    return predictions, targets


def inputs_of(metric: il.Metric) -> Any:
    """Return what metrics must share to be given the same arrays."""
    own = type(metric) if type(metric) in DRAWN else None
    names = metric.prediction_names, metric.target_names
    return metric.parts, names, metric.domain, metric.padding, *metric.sizes.items(), own


def draw(
    metric: il.Metric, loop: Loop, seed: int = 0, dtype: str = DTYPE, ends: bool = True
) -> Samples:
    """Draw predictions and targets from the metric's domain, as numbers that ``dtype`` holds.

    With ``ends``, every fifth target lies at the closed lower end of its interval, where many
    formulas have a branch of their own; predictions stay inside, where the metric is smooth.
    Rows of probabilities add up to 1. Labels are integers.
    """
    rng = np.random.default_rng([seed, *loop])
    if type(metric) in DRAWN:
        return DRAWN[type(metric)](rng, metric, loop, dtype)
    sides = []
    for values, cores, of_arrays, named, low_ends in (
        (metric.domain.of_predictions, metric.parts[0], shapes(metric, loop)[0],
         metric.prediction_names, False),
        (metric.domain.of_targets, metric.parts[1], shapes(metric, loop)[1],
         metric.target_names, ends),
    ):  # fmt: skip
        arrays = [
            _array(rng, interval, shape, dtype, low_ends, bool(core))
            for interval, core, shape in zip(values, cores, of_arrays, strict=True)
        ]
        sides.append(tuple(arrays) if named else arrays[0])
    return Samples(*sides)


def _array(
    rng: Generator, interval: Any, shape: Loop, dtype: str, ends: bool, rows: bool
) -> np.ndarray:
    """Draw numbers of ordinary size from inside an interval, or labels."""
    if isinstance(interval, Labels) and not interval.scores:
        known = interval.classes if isinstance(interval.classes, int) else LENGTH
        return rng.integers(0, known, shape)
    if isinstance(interval, Labels):  # scores of classes, rather than labels
        return rng.normal(0.0, 1.5, shape).astype(dtype)
    array = _real(rng, interval, shape).astype(dtype)
    if ends and interval.low > -np.inf and not interval.low_open:
        array.reshape(-1)[1::5] = interval.low
    if rows and interval == UNIT:
        array += np.asarray(array.sum(axis=-1, keepdims=True) == 0, dtype)  # no row of zeros
        array /= array.sum(axis=-1, keepdims=True)
    return array


def _real(rng: Generator, interval: Any, shape: Loop) -> np.ndarray:
    low, high = interval.low, interval.high
    if interval.gap == (low, high):
        return rng.choice([low, high], shape)
    if low > -np.inf and high < np.inf:
        return rng.uniform(low + (high - low) / 64, high - (high - low) / 64, shape)
    size = np.exp(rng.normal(0.0, 0.5, shape))
    if low > -np.inf:
        return low + size
    return high - size if high < np.inf else rng.normal(0.0, 1.5, shape)


def _frames_of_labels(rng: Generator, metric: Any, loop: Loop, dtype: str) -> Samples:
    """Draw logits of frames, and labels for which there are enough frames, padded by the blank."""
    time, labels = 2 * LENGTH, LENGTH - 1
    logits = rng.normal(0.0, 1.5, (*loop, time, LENGTH)).astype(dtype)
    known = [label for label in range(LENGTH) if label != metric.blank]
    lengths, frames = rng.integers(1, labels + 1, loop), rng.integers(time - 1, time + 1, loop)
    padded = np.arange(labels) >= lengths[..., None]
    named = np.where(padded, metric.blank, rng.choice(known, (*loop, labels)))
    return Samples(logits, (named, frames, lengths))


DRAWN: dict[type, Callable[..., Samples]] = {il.CTC: _frames_of_labels}
"""Inputs that depend on each other in a way that no interval says."""


def integers(metric: il.Metric, loop: Loop, seed: int = 0, dtype: str = "int32") -> Samples:
    """Draw integers from the metric's domain; where scores would do, they are labels."""
    rng = np.random.default_rng([seed, *loop])
    if type(metric) in DRAWN:
        samples = DRAWN[type(metric)](rng, metric, loop, "float64")
        return samples.map(lambda array: np.rint(array).astype(dtype))
    sides = []
    for values, of_arrays, named in (
        (metric.domain.of_predictions, shapes(metric, loop)[0], metric.prediction_names),
        (metric.domain.of_targets, shapes(metric, loop)[1], metric.target_names),
    ):
        arrays = [
            _integers(rng, interval, loop if getattr(interval, "scores", False) else shape)
            for interval, shape in zip(values, of_arrays, strict=True)
        ]
        arrays = [array.astype(dtype) for array in arrays]
        sides.append(tuple(arrays) if named else arrays[0])
    return Samples(*sides)


def _integers(rng: Generator, interval: Any, shape: Loop) -> np.ndarray:
    if isinstance(interval, Labels):
        return _array(rng, interval._replace(scores=False), shape, "int64", False, False)
    ends = () if interval.gap is None else interval.gap
    known = [x for x in (*ends, 1, 2, 3) if x >= 0 and x == int(x) and interval.contains(x)]
    return rng.choice(known, shape)


def excluded(
    metric: il.Metric, loop: Loop, seed: int = 0, dtype: str = DTYPE
) -> tuple[np.ndarray, np.ndarray]:
    """Draw positive weights and a mask in which most samples count, and not all."""
    rng = np.random.default_rng([seed, 7, *loop])
    weights = rng.uniform(0.5, 2.0, loop).astype(dtype)
    mask = rng.uniform(size=loop) < 0.8
    mask.reshape(-1)[:3] = False, True, True
    return weights, mask


def of_items(metric: Any, where: Any) -> Any:
    """Return a mask of samples as one of their items, where a metric takes that."""
    return where if getattr(metric, "padding", None) is None else where[..., None]


def spoil(tree: Tree, place: Any, by: float) -> None:
    """Put what is no value, or no label, in some places of every array."""
    for array in leaves(tree):
        array[place] = by if array.dtype.kind == "f" else -1


def spoiled(tree: Tree, place: Any, by: float) -> Tree:
    """Return copies with what is no value, or no label, in some places."""
    copies = tree_map(np.copy, tree)
    spoil(copies, place, by)
    return copies


def wide(*trees: Tree) -> tuple[Tree, ...]:
    """Return arrays in float64, and labels as they are."""
    return tuple(tree_map(_wide, tree) for tree in trees)


def _wide(array: Any) -> np.ndarray:
    array = np.asarray(array)
    return array if array.dtype.kind in "iu" else array.astype(np.float64)
