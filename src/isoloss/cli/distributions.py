"""Histograms of residuals and predictions, of fixed size, filled in batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .comparison import Rows

BINS = 80
FAR = 5  # half-width of the histogram in standard deviations; residuals beyond it are counted


@dataclass
class Ranges:
    """Extrema and moments of the columns, from a first pass."""

    models: Sequence[str]
    low: float = math.inf
    high: float = -math.inf
    count: int = 0
    sums: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, rows: Rows) -> None:
        """Add some rows."""
        numbers = [rows.targets, *(rows.columns[model].values for model in self.models)]
        self.low = min(self.low, *(float(x.min()) for x in numbers))
        self.high = max(self.high, *(float(x.max()) for x in numbers))
        self.count += len(rows.targets)
        for model in self.models:
            r = rows.residuals(model)
            extremes = np.array([r.min(), -r.max()])
            sums = np.array([r.sum(), np.square(r).sum()])
            old = self.sums.get(model, np.array([np.inf, np.inf, 0.0, 0.0]))
            self.sums[model] = np.concatenate([np.minimum(old[:2], extremes), old[2:] + sums])

    def residuals(self) -> tuple[float, float]:
        """Return the range of the histograms of residuals, shared by all models."""
        lows, highs = [], []
        for low, high, total, squares in self.sums.values():
            mean = total / self.count
            far = FAR * math.sqrt(max(squares / self.count - mean * mean, 0.0))
            lows.append(max(low, mean - far))
            highs.append(min(-high, mean + far))
        return _apart(min(lows), max(highs))

    def values(self) -> tuple[float, float]:
        """Return the range of predictions and targets."""
        return _apart(self.low, self.high)


def _apart(low: float, high: float) -> tuple[float, float]:
    return (low, high) if low < high else (low - 0.5, high + 0.5)


class Distributions:
    """Histograms of the residuals and of predictions against targets, for every model."""

    def __init__(self, ranges: Ranges) -> None:
        low, high = ranges.residuals()
        self.edges = np.linspace(low, high, BINS + 1)
        self.axis = np.linspace(*ranges.values(), BINS + 1)
        self.residuals = {model: np.zeros(BINS, dtype=np.int64) for model in ranges.models}
        self.pairs = {model: np.zeros((BINS, BINS), dtype=np.int64) for model in ranges.models}
        self.beyond = dict.fromkeys(ranges.models, 0)

    def add(self, rows: Rows) -> None:
        """Add some rows."""
        targets = _places(rows.targets, self.axis)
        for model, counts in self.residuals.items():
            residuals = rows.residuals(model)
            inside = (residuals >= self.edges[0]) & (residuals <= self.edges[-1])
            counts += np.bincount(_places(residuals[inside], self.edges), minlength=BINS)
            self.beyond[model] += len(residuals) - int(inside.sum())
            both = targets * BINS + _places(rows.columns[model].values, self.axis)
            pairs = np.bincount(both, minlength=BINS * BINS)
            self.pairs[model] += pairs.reshape(BINS, BINS)


def _places(numbers: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the bin of each number; the upper end belongs to the last bin."""
    width = (edges[-1] - edges[0]) / BINS
    places: np.ndarray = np.clip((numbers - edges[0]) / width, 0, BINS - 1).astype(np.int64)
    return places
