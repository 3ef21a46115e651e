"""Domains of metrics: an interval or a range of labels for each input."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .types import Array, Namespace


class Interval(NamedTuple):
    """The numbers between two ends; an infinite end is always included.

    Parameters
    ----------
    low, high : float
        The ends.
    low_open, high_open : bool
        Whether the end is excluded.
    gap : pair of float, optional
        The ends of an excluded open interval. Two equal ends exclude that single number.
    infinite : bool
        Whether `validate` accepts infinite numbers, as for logits.

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
    infinite: bool = False

    @property
    def inside(self) -> float:
        """A number away from the ends, which replaces excluded samples."""
        if self.gap == (self.low, self.high):
            return self.high
        if self.low > -math.inf and self.high < math.inf:
            return self.low / 2 + self.high / 2
        return self.low + 1 if self.low > -math.inf else min(self.high - 1, 1.0)

    @property
    def bounded(self) -> bool:
        """Whether a number lies outside the interval."""
        return self.low > -math.inf or self.high < math.inf or self.gap is not None

    def contains(self, x: Array) -> Array:
        """Return elementwise whether the numbers are in the interval; nan is in no interval."""
        if self.gap == (self.low, self.high):  # only the ends are included
            return (x == self.low) | (x == self.high)
        inside = None
        if self.low > -math.inf:  # not compared with inf: x may be integers
            inside = x > self.low if self.low_open else x >= self.low
        if self.high < math.inf:
            below = x < self.high if self.high_open else x <= self.high
            inside = below if inside is None else inside & below
        inside = x == x if inside is None else inside
        if self.gap is None:
            return inside
        low, high = self.gap
        return inside & (x != low if low == high else (x <= low) | (x >= high))

    def contains_all(self, xp: Namespace, x: Array, axes: tuple[int, ...]) -> Array:
        """Return which rows are inside; for 0 to 1 by arithmetic, which compilers can fuse."""
        if self != (0.0, 1.0, False, False, None, False) or 0 in x.shape:
            return xp.all(self.contains(x), axis=axes)
        x = xp.stop_gradient(x)
        return xp.min(x - x * x, axis=axes) >= 0

    def without(self, low: float, high: float) -> Interval:
        """Exclude the numbers between two ends, or a single number if the ends are equal."""
        return self._replace(gap=(low, high))

    def __str__(self) -> str:
        if self.gap == (self.low, self.high):
            return f"{self.low:g} or {self.high:g}"
        if self.gap is not None and self.gap[0] == self.gap[1]:
            return f"other than {self.gap[0]:g}"
        if self.gap is not None:
            return f"not between {self.gap[0]:g} and {self.gap[1]:g}"
        if not self.bounded:
            return "real"
        ends = f"{'>' if self.low_open else '>='} {self.low:g}" * (self.low > -math.inf)
        top = f"{'<' if self.high_open else '<='} {self.high:g}" * (self.high < math.inf)
        return " and ".join(filter(None, (ends, top)))


REAL = Interval()
LOGITS = Interval(infinite=True)
LOG_PROBABILITY = Interval(high=0.0, infinite=True)
NON_ZERO = REAL.without(0.0, 0.0)
POSITIVE = Interval(low=0.0, low_open=True)
NON_NEGATIVE = Interval(low=0.0)
ABOVE_MINUS_ONE = Interval(low=-1.0, low_open=True)
UNIT = Interval(0.0, 1.0)
ZERO_OR_ONE = UNIT.without(0.0, 1.0)
AT_LEAST_ONE = Interval(low=1.0)
BETWEEN_0_AND_1 = Interval(0.0, 1.0, low_open=True, high_open=True)


class Labels(NamedTuple):
    """Class labels: integers from 0 to one less than the number of classes.

    Parameters
    ----------
    classes : int or str
        The number of classes, or the core dimension whose length is the number of classes.
    scores : bool
        Whether a floating array of scores is accepted too. The label is then the index of the
        largest score along its last axis.
    """

    classes: int | str = "classes"
    scores: bool = False

    @property
    def inside(self) -> int:
        """A label that always exists, which replaces excluded samples."""
        return 0

    def among(self, lengths: dict[str, int]) -> Interval:
        """Return the interval of labels, from the lengths of axes; unbounded if unknown."""
        size: float = math.inf
        size = lengths.get(self.classes, size) if isinstance(self.classes, str) else self.classes
        return Interval(0, size - 1)


Values = Interval | Labels


@dataclass(frozen=True)
class Domain:
    """The intervals of predictions and of targets; a sample outside is nan.

    If predictions or targets are a tuple of arrays, pass a tuple of intervals.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Domain(targets=il.Interval(low=0.0)).targets.low
    0.0
    """

    predictions: Any = REAL
    targets: Any = REAL
    of_predictions: tuple[Values, ...] = field(init=False, repr=False, compare=False)
    of_targets: tuple[Values, ...] = field(init=False, repr=False, compare=False)
    # whether a number lies outside an interval; the engine checks labels separately
    bounded: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        of_predictions, of_targets = _several(self.predictions), _several(self.targets)
        intervals = (*of_predictions, *of_targets)
        bounded = any(isinstance(values, Interval) and values.bounded for values in intervals)
        for name, value in zip(
            ("of_predictions", "of_targets", "bounded"),
            (of_predictions, of_targets, bounded),
            strict=True,
        ):
            object.__setattr__(self, name, value)


def _several(values: Any) -> tuple[Values, ...]:
    return (values,) if isinstance(values, (Interval, Labels)) else tuple(values)


EVERYWHERE = Domain()
