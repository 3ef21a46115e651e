"""Where a metric is defined: an interval for each input."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .types import Array, Namespace


class Interval(NamedTuple):
    """The numbers between two ends; an infinite end is always part of it.

    Parameters
    ----------
    low, high : float
        The ends.
    low_open, high_open : bool
        Whether an end is left out.
    gap : pair of float, optional
        The ends of an open interval in it that is left out; twice the same for that number alone.
    infinite : bool
        Whether `validate` takes infinite numbers, as it does for logits.

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
        """A number well inside: what excluded samples are replaced by."""
        if self.gap == (self.low, self.high):
            return self.high
        if self.low > -math.inf and self.high < math.inf:
            return self.low / 2 + self.high / 2
        return self.low + 1 if self.low > -math.inf else min(self.high - 1, 1.0)

    @property
    def bounded(self) -> bool:
        """Whether there is a number that is not in it."""
        return self.low > -math.inf or self.high < math.inf or self.gap is not None

    def contains(self, x: Array) -> Array:
        """Tell elementwise; nan is in no interval."""
        if self.gap == (self.low, self.high):  # all but the ends is left out
            return (x == self.low) | (x == self.high)
        found = None
        if self.low > -math.inf:  # an infinite end is not compared with: x may be integers
            found = x > self.low if self.low_open else x >= self.low
        if self.high < math.inf:
            below = x < self.high if self.high_open else x <= self.high
            found = below if found is None else found & below
        found = x == x if found is None else found
        if self.gap is None:
            return found
        low, high = self.gap
        return found & (x != low if low == high else (x <= low) | (x >= high))

    def contains_all(self, xp: Namespace, x: Array, axes: tuple[int, ...]) -> Array:
        """Tell which rows lie inside; for 0 to 1 by arithmetic, as compilers store comparisons."""
        if self != (0.0, 1.0, False, False, None, False) or 0 in x.shape:
            return xp.all(self.contains(x), axis=axes)
        x = xp.stop_gradient(x)
        return xp.min(x - x * x, axis=axes) >= 0

    def without(self, low: float, high: float) -> Interval:
        """Leave out the numbers between two; of the same number twice, that number."""
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
        How many there are, or the core dimension whose length that is.
    scores : bool
        Whether a floating array stands for labels too: those of the largest of its last axis.
    """

    classes: int | str = "classes"
    scores: bool = False

    @property
    def inside(self) -> int:
        """A label there always is: what excluded samples are replaced by."""
        return 0

    def among(self, lengths: dict[str, int]) -> Interval:
        """Return the interval of labels, of axes of known lengths; no upper end without one."""
        size: float = math.inf
        size = lengths.get(self.classes, size) if isinstance(self.classes, str) else self.classes
        return Interval(0, size - 1)


Values = Interval | Labels


@dataclass(frozen=True)
class Domain:
    """The intervals of predictions and of targets; samples outside are nan.

    Each may be a tuple of intervals, where predictions or targets are a tuple of arrays.

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
    # whether there is a number outside an interval; labels are looked at by the engine
    bounded: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        of_predictions, of_targets = _several(self.predictions), _several(self.targets)
        every = (*of_predictions, *of_targets)
        bounded = any(isinstance(one, Interval) and one.bounded for one in every)
        for name, value in zip(
            ("of_predictions", "of_targets", "bounded"),
            (of_predictions, of_targets, bounded),
            strict=True,
        ):
            object.__setattr__(self, name, value)


def _several(values: Any) -> tuple[Values, ...]:
    return (values,) if isinstance(values, (Interval, Labels)) else tuple(values)


EVERYWHERE = Domain()
