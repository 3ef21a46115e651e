"""Where a metric is defined: an interval for each input."""

from __future__ import annotations

import math
from typing import NamedTuple

from ._namespaces import Array


class Interval(NamedTuple):
    """The numbers between two ends; an infinite end is always part of it.

    Parameters
    ----------
    low, high : float
        The ends.
    low_open, high_open : bool
        Whether an end is left out.
    gap : pair of float, optional
        The ends of an open interval in it that is left out.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Interval(low=0.0, low_open=True).contains(0.0)
    False
    """

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    gap: tuple[float, float] | None = None

    @property
    def inside(self) -> float:
        """A number well inside: what excluded samples are replaced by."""
        if self.gap == (self.low, self.high):
            return self.high
        if self.low > -math.inf and self.high < math.inf:
            return self.low / 2 + self.high / 2
        return self.low + 1 if self.low > -math.inf else min(self.high - 1, 1.0)

    @property
    def bounded(self) -> bool:
        return self.low > -math.inf or self.high < math.inf

    def contains(self, x: Array) -> Array:
        """Tell elementwise; nan is in no interval."""
        above = x > self.low if self.low_open else x >= self.low
        below = x < self.high if self.high_open else x <= self.high
        if self.gap is None:
            return above & below
        return above & below & ((x <= self.gap[0]) | (x >= self.gap[1]))

    def without(self, low: float, high: float) -> Interval:
        """Leave out the numbers between two."""
        return self._replace(gap=(low, high))

    def __str__(self) -> str:
        if self.gap == (self.low, self.high):
            return f"{self.low:g} or {self.high:g}"
        if self.gap is not None:
            return f"not between {self.gap[0]:g} and {self.gap[1]:g}"
        if not self.bounded:
            return "real"
        ends = f"{'>' if self.low_open else '>='} {self.low:g}" * (self.low > -math.inf)
        top = f"{'<' if self.high_open else '<='} {self.high:g}" * (self.high < math.inf)
        return " and ".join(filter(None, (ends, top)))


REAL = Interval()
POSITIVE = Interval(low=0.0, low_open=True)
NON_NEGATIVE = Interval(low=0.0)
ABOVE_MINUS_ONE = Interval(low=-1.0, low_open=True)
UNIT = Interval(0.0, 1.0)
BETWEEN_0_AND_1 = Interval(0.0, 1.0, low_open=True, high_open=True)


class Domain(NamedTuple):
    """The intervals of predictions and of targets; samples outside are nan.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Domain(targets=il.Interval(low=0.0)).targets.low
    0.0
    """

    predictions: Interval = REAL
    targets: Interval = REAL

    @property
    def bounded(self) -> bool:
        return self.predictions.bounded or self.targets.bounded

    def contains(self, prediction: Array, target: Array) -> Array:
        """Tell for each pair; an input whose interval is the real line is not looked at."""
        if not self.targets.bounded:
            return self.predictions.contains(prediction)
        if not self.predictions.bounded:
            return self.targets.contains(target)
        return self.predictions.contains(prediction) & self.targets.contains(target)


EVERYWHERE = Domain()
