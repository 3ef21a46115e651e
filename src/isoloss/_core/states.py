"""States: summaries of batches, as named tuples of arrays that merge exactly.

Every number is a `Total`: a sum with its rounding error. Its ``error`` has the dtype of the result,
so that a state records the dtype of its value.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple, Protocol
from weakref import WeakValueDictionary

from .library import namespace_of
from .types import WIDE, Array, Namespace, dtype_name

# Without float64, residuals above the bound (or below its reciprocal) are multiplied (or divided)
# by the scale before they are squared. The factors are powers of two, so that scaling is exact.
RANGE = {"float32": (2.0**40, 2.0**-80), **dict.fromkeys(WIDE, (2.0**400, 2.0**-700))}
# A second sum, of the terms times this factor, keeps a mean finite when the sum overflows.
SPARE = {"float32": 2.0**-60, **dict.fromkeys(WIDE, 2.0**-100)}


class State(Protocol):
    """The members of every state: a weight, which holds the result dtype, and ``merge``."""

    @property
    def weight(self) -> Total: ...
    def merge(self, other: Any) -> Any: ...


class Total(NamedTuple):
    """A compensated sum, ``value + error``; both have the shape of the result."""

    value: Array
    error: Array
    spare: Array | None = None  # the sum times SPARE; only without float64

    @property
    def xp(self) -> Namespace:
        return namespace_of(self.value, self.error.dtype)

    @property
    def sum(self) -> Array:
        return self.value + self.error

    def merge(self, other: Total) -> Total:
        """Add, and keep the rounding error (Knuth's two-sum)."""
        xp = namespace_of(self.value, (self.error + other.error).dtype)
        value = self.value + other.value
        part = value - self.value
        rounding = (self.value - (value - part)) + (other.value - part)
        error = xp.astype(rounding + (self.error + other.error), xp.result)
        # not finite if the sum is infinite, or if its error overflows float32 (sums above 3e54)
        error = xp.where(xp.isfinite(error), error, xp.zeros_like(error))
        spare = None if self.spare is None or other.spare is None else self.spare + other.spare
        return Total(value, error, spare)

    def times(self, factor: Array) -> Total:
        """Multiply by a power of two; the product is exact."""
        xp = self.xp
        return Total(self.value * factor, xp.astype(self.error * factor, xp.result))

    def minus(self, other: Total) -> Array:
        """Subtract; leading digits that both values share cancel exactly."""
        return (self.value - other.value) + (self.error - other.error)

    def over(self, other: Total) -> Array:
        """Divide; the ratio is finite even if the sums overflow."""
        xp = self.xp
        quotient = ratio(xp, self.sum, other.sum)
        if self.spare is None:
            return quotient
        scale = SPARE[dtype_name(self.value.dtype)]
        spare = other.sum * scale if other.spare is None else other.spare
        finite = xp.isfinite(self.value) & xp.isfinite(other.value)
        return xp.where(finite, quotient, ratio(xp, self.spare, spare))


def ratio(
    xp: Namespace, numerator: Array, denominator: Array, otherwise: float = math.nan
) -> Array:
    """Divide; where the denominator is 0, return ``otherwise`` with zero gradient."""
    zero = denominator == 0
    quotient = xp.quotient(numerator, xp.where(zero, xp.ones_like(denominator), denominator))
    return xp.where(zero, xp.full_like(quotient, otherwise), quotient)


def merge_fields(self: Any, other: Any) -> Any:
    """Merge two states field by field."""
    same_kind(self, other)
    with self.weight.xp.quiet():
        return type(self)(*(a.merge(b) for a, b in zip(self, other, strict=True)))


def same_kind(self: Any, other: Any) -> None:
    """Raise if two states differ in metric, library or shape, and so cannot merge."""
    mine, theirs = maker(self), maker(other)
    if mine is not None and theirs is not None and mine.source != theirs.source:
        raise TypeError(
            f"cannot merge a state of {mine!r} with one of {theirs!r}: "
            "merge states that the summary of one metric made"
        )
    if plain_kind(self) is not plain_kind(other):
        raise TypeError(
            f"cannot merge a {type(self).__name__} state with {type(other).__name__}: "
            "only states of the same metric merge"
        )
    first, second = self.weight.xp.library, other.weight.xp.library
    if first is not second and not (first.absorbs(second) or second.absorbs(first)):
        raise TypeError(
            f"cannot merge a state of {first.name} arrays with one of {second.name} arrays: "
            "summarise every batch with the same library"
        )
    mine, theirs = self.weight.value.shape, other.weight.value.shape
    if tuple(mine) != tuple(theirs):
        raise ValueError(
            f"cannot merge {type(self).__name__} states of shapes {tuple(mine)} and "
            f"{tuple(theirs)}: summarise every batch with the same axis= and trailing shape"
        )


class Mean(NamedTuple):
    """Sums of the weighted terms and of the weights."""

    total: Total
    weight: Total

    def merge(self, other: Any) -> Any:
        """Merge field by field."""
        return merge_fields(self, other)

    def mean(self) -> Array:
        return self.total.over(self.weight)


class RootMeanSquare(NamedTuple):
    """Sums of squares in three bins of magnitude (Blue, 1978), without over- or underflow."""

    large: Total
    medium: Total
    small: Total
    weight: Total

    def merge(self, other: Any) -> Any:
        """Merge field by field."""
        return merge_fields(self, other)

    def root(self) -> Array:
        xp = self.medium.xp
        weight, medium = self.weight.sum, self.medium.sum
        filled = medium > 0  # then without the small squares, which have few digits here, or none
        # the scale depends on the data, because XLA would fold the square of a constant to 0
        one = xp.ones_like(weight)
        scale = xp.where(medium >= 0, RANGE[dtype_name(weight.dtype)][1] * one, one)
        large = self.large.sum + medium * scale * scale
        medium = medium + self.small.sum * scale * scale
        root = xp.where(
            self.large.sum != 0,
            xp.sqrt(ratio(xp, large, weight)) / scale,
            xp.where(
                filled,
                xp.sqrt(ratio(xp, medium, weight)),
                xp.sqrt(ratio(xp, self.small.sum, weight)) * scale,
            ),
        )
        return xp.where(xp.isnan(medium), medium, root)


class Rooted(NamedTuple):
    """A root mean square computed directly, with the sum of the weights of the computation."""

    value: Array
    own_weight: Total
    weight: Total

    def root(self) -> Array:
        if self.weight is self.own_weight:
            return self.value
        xp = self.own_weight.xp  # denominator= replaces the sum of the weights
        return self.value * xp.sqrt(ratio(xp, self.own_weight.sum, self.weight.sum))


class Ratio(NamedTuple):
    """The ratio of two weighted sums."""

    numerator: Total
    denominator: Total
    weight: Total

    def merge(self, other: Any) -> Any:
        """Merge field by field."""
        return merge_fields(self, other)

    def ratio(self) -> Array:
        return self.numerator.over(self.denominator)


class Counts(NamedTuple):
    """Counts of samples, or sums, one per category, along an additional last axis."""

    counts: Total
    weight: Total

    def merge(self, other: Any) -> Any:
        """Merge field by field."""
        return merge_fields(self, other)

    def matrix(self, rows: int) -> Array:
        """Return the counts with their last axis split into rows and columns."""
        xp, counts = self.counts.xp, self.counts.sum
        return xp.reshape(counts, (*counts.shape[:-1], rows, counts.shape[-1] // rows))


class Extremum(NamedTuple):
    """The largest of non-negative terms."""

    value: Array
    weight: Total

    def merge(self, other: Extremum) -> Extremum:
        same_kind(self, other)
        xp = namespace_of(self.value, (self.weight.error + other.weight.error).dtype)
        largest = xp.maximum(self.value, other.value)
        return type(self)(largest, self.weight.merge(other.weight))


class Samples(NamedTuple):
    """The terms and their weights, along the last axis; merging concatenates.

    Several variables are stacked along the second-to-last axis.
    """

    values: Array
    weights: Array
    weight: Total

    def merge(self, other: Samples) -> Samples:
        same_kind(self, other)
        xp = namespace_of(self.values, (self.weight.error + other.weight.error).dtype)
        weights = [self.weights, other.weights]
        if self.weights.dtype != other.weights.dtype:  # counts and weights
            weights = [xp.astype(array, xp.computing) for array in weights]
        return type(self)(
            xp.concat([self.values, other.values], axis=-1),
            xp.concat(weights, axis=-1),
            self.weight.merge(other.weight),
        )

    def thresholds(self) -> tuple[Array, Array]:
        """Return the weights of labels 1 and 0 at each distinct score, in descending order.

        The variables are a score and a label. Equal scores share one entry; the unused last entries
        are 0. If a score is nan, all entries are nan.
        """
        xp = namespace_of(self.values, self.weight.error.dtype)
        score, label = self.values[..., 0, :], self.values[..., 1, :]
        weights = xp.astype(self.weights, xp.computing)
        n, leading = score.shape[-1], tuple(score.shape[:-1])
        has_nan = xp.any((weights > 0) & xp.isnan(score + label), axis=-1, keepdims=True)
        order = xp.argsort(-score, axis=-1)
        score, label, weights = (
            xp.take_along_axis(x, order, axis=-1) for x in (score, label, weights)
        )
        weights = xp.where(has_nan, xp.full_like(weights, math.nan), weights)
        index = xp.places(weights)
        before = xp.take_along_axis(score, xp.clip(index - 1, min=0), axis=-1)
        differs = xp.astype((index > 0) & (score != before), xp.counting)
        place = xp.cumulative_sum(differs, axis=-1)
        rows = math.prod(leading)
        place = xp.reshape(place, (rows, n))
        positive = xp.where(label > 0, weights, xp.zeros_like(weights))
        parts = (xp.reshape(x, (rows, n)) for x in (positive, weights - positive))
        ones, zeros = (xp.reshape(xp.bins(place, part, n), (*leading, n)) for part in parts)
        return ones, zeros

    def median(self) -> Array:
        """Return the weighted median: the average of the middle two, if two; nan if any is nan."""
        xp = namespace_of(self.values, self.weight.error.dtype)
        if self.values.shape[-1] == 0:
            return self.weight.value  # nothing to sort; `empty` replaces the value
        median_of_library = xp.library.median(self.values, self.weights)
        if median_of_library is not None:
            return median_of_library
        fixed = xp.stop_gradient(self.values)
        order = xp.argsort(fixed, axis=-1)
        values = xp.take_along_axis(fixed, order, axis=-1)
        beyond, bound = _beyond_half(xp, xp.take_along_axis(self.weights, order, axis=-1))

        def at(passed: Array) -> Array:
            index = xp.sum(xp.astype(passed, xp.counting), axis=-1, keepdims=True)
            index = xp.clip(index, max=values.shape[-1] - 1)
            return self._shared(xp, xp.take_along_axis(values, index, axis=-1))

        median = (at(beyond < -bound) + at(beyond <= bound)) / 2
        undefined = ((self.weights > 0) & xp.isnan(self.values)) | ~xp.isfinite(self.weights)
        undefined = xp.any(undefined, axis=-1)
        return xp.where(undefined, xp.full_like(median, float("nan")), median)

    def _shared(self, xp: Namespace, value: Array) -> Array:
        """Return a value; equal values share the derivative in proportion to their weights.

        Otherwise the derivative would depend on the order in which a library sorts equal values.
        """
        weights = xp.stop_gradient(xp.astype(self.weights, xp.computing))
        tied = (self.values == value) & (weights > 0)
        share = xp.where(tied, weights, xp.zeros_like(weights))
        whole = xp.sum(share, axis=-1)
        share = share / xp.expand_dims(xp.where(whole > 0, whole, xp.ones_like(whole)), axis=-1)
        mean = xp.sum(share * xp.where(tied, self.values, xp.zeros_like(share)), axis=-1)
        exact = value[..., 0] + (mean - xp.stop_gradient(mean))  # the mean is rounded
        return xp.where(xp.isfinite(mean), exact, mean)


def _beyond_half(xp: Namespace, weights: Array) -> tuple[Array, Array]:
    """Return, at each sample, the weight up to it minus the weight after it, and a bound for 0.

    The median lies where the difference is 0. With rounded sums, the exact 0 would depend on the
    order of summation of a library. Therefore the weights are divided by the largest weight and
    split into integers, whose sums are exact. The remaining error is the rounding of each weight
    and of the division: at most eps times the sum. Differences within the bound count as 0. The
    bound is at most half of the smallest weight, so that no sample is skipped.
    """

    def beyond(numbers: Array) -> Array:
        upto = xp.cumulative_sum(numbers, axis=-1)
        return upto - (upto[..., -1:] - upto)

    if weights.dtype == xp.counting:
        return beyond(weights), 0
    weights, n = xp.stop_gradient(weights), weights.shape[-1]
    largest = xp.max(weights, axis=-1, keepdims=True)
    remainder = weights / xp.where(largest > 0, largest, xp.ones_like(largest))
    smallest = xp.min(
        xp.where(remainder > 0, remainder, xp.ones_like(remainder)), axis=-1, keepdims=True
    )
    bound = xp.minimum(xp.eps * xp.sum(remainder, axis=-1, keepdims=True), smallest / 2)
    length = n.bit_length() if xp.is_known(n) else 24
    digits = max(1, (63 if xp.counting == xp.int64 else 31) - length)  # so that the sum of n fits
    difference, unit = xp.zeros_like(remainder), 1.0
    while unit * 2.0**length > xp.eps:  # until the remainder is less than the rounding error
        remainder, unit = remainder * 2.0**digits, unit * 2.0**-digits
        part = xp.floor(remainder)
        remainder = remainder - part
        difference = difference + unit * xp.astype(
            beyond(xp.astype(part, xp.counting)), xp.computing
        )
    return difference, bound


class Moments(NamedTuple):
    """Means of two variables and their centred second moments (Chan, Golub, LeVeque 1983).

    The variables are multiplied by ``scale_a`` and ``scale_b``, powers of two that keep their
    squares in range. The scales are equal if a formula adds or compares the variables.
    """

    mean_a: Total
    mean_b: Total
    aa: Total
    ab: Total
    bb: Total
    scale_a: Array
    scale_b: Array
    weight: Total

    def merge(self, other: Moments) -> Moments:
        """Merge the moments about the common mean; exact up to rounding, in any order."""
        same_kind(self, other)
        xp = namespace_of(self.scale_a, (self.weight.error + other.weight.error).dtype)
        with xp.quiet():
            return self._about_the_common_mean(other, xp)

    def correlation(self, xp: Namespace) -> Array:
        """Return Pearson's correlation; the scales cancel."""
        deviations = self.bb.sum * xp.sqrt(ratio(xp, self.aa.sum, self.bb.sum))  # s_a s_b
        return ratio(xp, self.ab.sum, deviations)

    def explained(self, xp: Namespace) -> Array:
        """Return 1 - sum(a**2) / sum((b - mean(b))**2), for errors a and targets b."""
        squares = self.aa.sum + self.weight.sum * self.mean_a.sum * self.mean_a.sum
        return 1 - ratio(xp, squares, self.bb.sum)

    def _about_the_common_mean(self, other: Moments, xp: Namespace) -> Moments:
        scale_a = xp.minimum(self.scale_a, other.scale_a)
        scale_b = xp.minimum(self.scale_b, other.scale_b)
        first, second = self._rescaled(scale_a, scale_b), other._rescaled(scale_a, scale_b)
        weight = self.weight.merge(other.weight)
        share = ratio(xp, second.weight.sum, weight.sum, 0.0)
        both = first.weight.sum * share  # w1 w2 / (w1 + w2)
        a, b = second.mean_a.minus(first.mean_a), second.mean_b.minus(first.mean_b)

        def plus(total: Total, extra: Array) -> Total:
            return total.merge(Total(extra, xp.zeros_like(total.error)))

        return type(self)(
            plus(first.mean_a, a * share),
            plus(first.mean_b, b * share),
            plus(first.aa.merge(second.aa), a * a * both),
            plus(first.ab.merge(second.ab), a * b * both),
            plus(first.bb.merge(second.bb), b * b * both),
            scale_a,
            scale_b,
            weight,
        )

    def _rescaled(self, scale_a: Array, scale_b: Array) -> Moments:
        a, b = scale_a / self.scale_a, scale_b / self.scale_b
        return self._replace(
            mean_a=self.mean_a.times(a),
            mean_b=self.mean_b.times(b),
            aa=self.aa.times(a * a),
            ab=self.ab.times(a * b),
            bb=self.bb.times(b * b),
        )


class Spread(NamedTuple):
    """Moments weighted by the squared weights, and the number of samples."""

    moments: Moments
    number: Total
    weight: Total

    def merge(self, other: Any) -> Any:
        """Merge field by field."""
        return merge_fields(self, other)

    def standard_error(self, mean: Array) -> Array:
        """Return the standard error of the weighted mean of the terms (Cochran, 1977)."""
        xp, moments = self.number.xp, self.moments
        offset = moments.mean_a.sum / moments.scale_a - mean
        squares = moments.aa.sum / (moments.scale_a * moments.scale_a)
        squares = squares + moments.weight.sum * offset * offset
        number = self.number.sum
        return xp.sqrt(squares * ratio(xp, number, number - 1)) / self.weight.sum


# States whose merge is elementwise in the results, so that many states can be stacked and merged.
ELEMENTWISE = (Mean, RootMeanSquare, Ratio, Counts, Extremum, Moments, Spread)


def is_elementwise(state: Any) -> bool:
    """Whether the merge of a state is elementwise; other state classes declare it themselves."""
    return isinstance(state, ELEMENTWISE) or getattr(state, "elementwise", False)


# --- the metric of a state ------------------------------------------------------------------------

_KINDS: WeakValueDictionary[tuple[type, Any], type] = WeakValueDictionary()


def made_by(state: Any, metric: Any) -> Any:
    """Return a state that records its metric.

    The metric is an attribute of the type of the state. The arrays of the state are therefore
    unchanged, and compilers treat the metric as a constant.
    """
    kind = type(state)
    state_type = _KINDS.get((kind, metric))
    if state_type is None:
        body = {"__slots__": (), "made_by": metric, "plain_kind": kind, "__reduce__": _reduced}
        state_type = _KINDS.setdefault((kind, metric), type(kind.__name__, (kind,), body))
    return state_type(*state)


def maker(state: Any) -> Any:
    """Return the metric that a state records; None if it records none."""
    return getattr(type(state), "made_by", None)


def plain_kind(state: Any) -> Any:
    """Return the type of a state without its metric."""
    return getattr(type(state), "plain_kind", type(state))


def _reduced(self: Any) -> tuple[Any, ...]:
    """Pickle a state with its metric, or without it if the metric cannot be pickled."""
    kind, metric = plain_kind(self), maker(self)
    try:
        pickle.dumps(metric)
    except Exception:  # a metric of the user may raise any error
        return kind, tuple(self)
    return made_by, (kind(*self), metric)


# --- many states at once --------------------------------------------------------------------------


def leafwise(function: Callable[..., Any], *states: Any) -> Any:
    """Apply a function to corresponding arrays of several states."""
    first = states[0]
    if isinstance(first, tuple):
        return type(first)(*(leafwise(function, *parts) for parts in zip(*states, strict=True)))
    return None if any(leaf is None for leaf in states) else function(*states)


SOME = 4  # up to this number, merging states one by one is faster than stacking them


def fold(states: Sequence[Any], stack: Callable[[Sequence[Array]], Array]) -> Any:
    """Merge states of one metric; elementwise states are stacked and merged half with half."""
    for state in states[1:]:
        same_kind(states[0], state)
    alike = len({state.weight.error.dtype for state in states}) == 1
    if not (alike and is_elementwise(states[0])) or len(states) <= SOME:
        return reduce(lambda one, two: one.merge(two), states)
    stacked = leafwise(lambda *leaves: stack(leaves), *states)
    count, odd_states = len(states), []
    while count > 1:
        half, odd = divmod(count, 2)
        if odd:
            odd_states.append(leafwise(lambda x, last=count - 1: x[last, ...], stacked))
        first_half = leafwise(lambda x, h=half: x[:h, ...], stacked)
        stacked = first_half.merge(leafwise(lambda x, h=half: x[h : 2 * h, ...], stacked))
        count = half
    state = leafwise(lambda x: x[0, ...], stacked)
    for other in odd_states:
        state = state.merge(other)
    return state
