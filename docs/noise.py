"""Values of a metric for predictions with increasing noise, from the targets to random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import capabilities
import numpy as np
from catalogue import Entry

import isoloss as il

SAMPLES = 200
SHARES = np.linspace(0.0, 1.0, 41)


@dataclass(frozen=True)
class Answer:
    """The values of a metric for each share of noise in the predictions."""

    metric: il.Metric
    values: np.ndarray


def answer(entry: Entry) -> Answer | None:
    """Return the values of a metric under noise; None if targets cannot be predictions."""
    metric = next((m for m in _metrics().values() if type(m) is entry.kind), None)
    if entry.wrapped:
        metric = entry.instance
    if metric is None:
        return None
    predictions, targets = map(_usual, capabilities.draw(metric, SAMPLES), metric.parts)
    if "pixels" in metric.parts[1][0] and targets.dtype.kind == "f":
        shade = targets.mean(axis=-1, keepdims=True)
        targets = (targets > shade).astype(targets.dtype)  # masks instead of grey values
    perfect = _perfect(metric, predictions, targets)
    if perfect is None:
        return None
    values = np.array([metric(_mixed(perfect, predictions, s), targets) for s in SHARES])
    best = values.max if metric.greater_is_better else values.min
    informs = values.ndim == 1 and np.ptp(values[1:]) > 0 and values[0] == best()
    return Answer(metric, values) if informs else None


def _usual(drawn: Any, cores: Any) -> Any:
    """Return realistic inputs: for a box, the lower corner first."""
    return np.sort(drawn, axis=-1) if "corners" in cores[0] else drawn


@cache
def _metrics() -> dict[str, il.Metric]:
    """Return every metric, with chosen values for required parameters."""
    return capabilities.metrics()


def _perfect(metric: il.Metric, predictions: Any, targets: Any) -> np.ndarray | None:
    """Return the predictions that equal the targets; None if there are none."""
    if isinstance(predictions, tuple) or isinstance(targets, tuple):
        return None
    if predictions.shape == targets.shape:
        labels = targets.dtype.kind in "iu" and predictions.dtype.kind == "f"
        if not labels or targets.max() > 1:
            return targets
        return np.where(targets == 1, predictions.max(), predictions.min())
    if predictions.shape[:-1] == targets.shape and targets.dtype.kind in "iu":
        low, high = predictions.min(), predictions.max()
        return low + (high - low) * np.eye(predictions.shape[-1])[targets]
    return None


def _mixed(perfect: np.ndarray, noise: np.ndarray, share: float) -> np.ndarray:
    """Return predictions with a share of noise; labels are replaced at random."""
    if noise.dtype.kind == "f":
        return (1 - share) * perfect + share * noise
    chance = np.random.default_rng(1).random(noise.shape)
    return np.where(chance < share, noise, perfect)
