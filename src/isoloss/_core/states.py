"""States: what a batch leaves behind. Named tuples of arrays that merge exactly.

Every number is a `Total`: a sum with its rounding error. Its ``error`` is stored in the dtype of
the result, so that a state remembers which dtype to answer in.
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

# Where float64 is not there to widen to, residuals beyond the bound (or under its reciprocal) are
# multiplied (or divided) by the scale before they are squared. Powers of two: scaling is exact.
RANGE = {"float32": (2.0**40, 2.0**-80), **dict.fromkeys(WIDE, (2.0**400, 2.0**-700))}
# A second sum, of the terms times this, keeps a mean finite when the sum itself overflows.
SPARE = {"float32": 2.0**-60, **dict.fromkeys(WIDE, 2.0**-100)}


class State(Protocol):
    """What every state has: a weight, the dtype of its results, and ``merge``."""

    @property
    def weight(self) -> Total: ...
    def merge(self, other: Any) -> Any: ...


class Total(NamedTuple):
    """A sum as ``value + error``; each has the shape of the result."""

    value: Array
    error: Array
    spare: Array | None = None  # the same sum times SPARE, where float64 is not there to widen to

    @property
    def xp(self) -> Namespace:
        return namespace_of(self.value, self.error.dtype)

    @property
    def sum(self) -> Array:
        return self.value + self.error

    def merge(self, other: Total) -> Total:
        """Add with the rounding error kept (Knuth's two-sum)."""
        xp = namespace_of(self.value, (self.error + other.error).dtype)
        value = self.value + other.value
        part = value - self.value
        lost = (self.value - (value - part)) + (other.value - part)
        error = xp.astype(lost + (self.error + other.error), xp.result)
        # not finite where the sum is infinite, or its error too large for float32 (from 3e54 on)
        error = xp.where(xp.isfinite(error), error, xp.zeros_like(error))
        spare = None if self.spare is None or other.spare is None else self.spare + other.spare
        return Total(value, error, spare)

    def times(self, factor: Array) -> Total:
        """Multiply by a power of two, which is exact."""
        xp = self.xp
        return Total(self.value * factor, xp.astype(self.error * factor, xp.result))

    def minus(self, other: Total) -> Array:
        """Subtract; what both values share cancels exactly."""
        return (self.value - other.value) + (self.error - other.error)

    def over(self, other: Total) -> Array:
        """Divide, finite where the sums overflow but their ratio does not."""
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
    """Divide; nan or another constant, with zero gradient, where the denominator is 0."""
    zero = denominator == 0
    quotient = xp.quotient(numerator, xp.where(zero, xp.ones_like(denominator), denominator))
    return xp.where(zero, xp.full_like(quotient, otherwise), quotient)


def merge_fields(self: Any, other: Any) -> Any:
    """Merge field by field."""
    same_kind(self, other)
    with self.weight.xp.quiet():
        return type(self)(*(a.merge(b) for a, b in zip(self, other, strict=True)))


def same_kind(self: Any, other: Any) -> None:
    """Refuse to merge states of other metrics, libraries or shapes."""
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
    one, two = self.weight.xp.library, other.weight.xp.library
    if one is not two and not (one.absorbs(two) or two.absorbs(one)):
        raise TypeError(
            f"cannot merge a state of {one.name} arrays with one of {two.name} arrays: "
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
    """Sums of squares in three bins (Blue, 1978), so that none over- or underflows."""

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
        filled = medium > 0  # by its own: squares of small numbers have few digits here, or none
        # chosen by the data, which XLA cannot know: it would fold the square of a constant to 0
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
    """A root mean square that was found at once, and the sum of the weights it was found by."""

    value: Array
    own: Total
    weight: Total

    def root(self) -> Array:
        if self.weight is self.own:
            return self.value
        xp = self.own.xp  # the sum is divided by another number than that of the weights
        return self.value * xp.sqrt(ratio(xp, self.own.sum, self.weight.sum))


class Ratio(NamedTuple):
    """Two weighted sums, one over the other."""

    numerator: Total
    denominator: Total
    weight: Total

    def merge(self, other: Any) -> Any:
        """Merge field by field."""
        return merge_fields(self, other)

    def ratio(self) -> Array:
        return self.numerator.over(self.denominator)


class Counts(NamedTuple):
    """Counts of samples, or sums, one for each of some kinds, along one more axis."""

    counts: Total
    weight: Total

    def merge(self, other: Any) -> Any:
        """Merge field by field."""
        return merge_fields(self, other)

    def matrix(self, rows: int) -> Array:
        """Return the counts with their axis made into two."""
        xp, counts = self.counts.xp, self.counts.sum
        return xp.reshape(counts, (*counts.shape[:-1], rows, counts.shape[-1] // rows))


class Extremum(NamedTuple):
    """The largest of terms that are not negative."""

    value: Array
    weight: Total

    def merge(self, other: Extremum) -> Extremum:
        same_kind(self, other)
        xp = namespace_of(self.value, (self.weight.error + other.weight.error).dtype)
        largest = xp.maximum(self.value, other.value)
        return type(self)(largest, self.weight.merge(other.weight))


class Samples(NamedTuple):
    """The terms themselves and their weights, along the last axis; merging concatenates.

    Of several variables there is one more axis, the last but one.
    """

    values: Array
    weights: Array
    weight: Total

    def merge(self, other: Samples) -> Samples:
        same_kind(self, other)
        xp = namespace_of(self.values, (self.weight.error + other.weight.error).dtype)
        weights = [self.weights, other.weights]
        if self.weights.dtype != other.weights.dtype:  # counts beside weights
            weights = [xp.astype(one, xp.computing) for one in weights]
        return type(self)(
            xp.concat([self.values, other.values], axis=-1),
            xp.concat(weights, axis=-1),
            self.weight.merge(other.weight),
        )

    def thresholds(self) -> tuple[Array, Array]:
        """Return the weights of labels 1 and 0 at each score that there is, the highest first.

        The variables are a score and a label. Scores that are equal share one place; the places
        that are left are 0. A score of nan makes all of them nan.
        """
        xp = namespace_of(self.values, self.weight.error.dtype)
        score, label = self.values[..., 0, :], self.values[..., 1, :]
        weights = xp.astype(self.weights, xp.computing)
        n, kept = score.shape[-1], tuple(score.shape[:-1])
        lost = xp.any((weights > 0) & xp.isnan(score + label), axis=-1, keepdims=True)
        order = xp.argsort(-score, axis=-1)
        score, label, weights = (
            xp.take_along_axis(x, order, axis=-1) for x in (score, label, weights)
        )
        weights = xp.where(lost, xp.full_like(weights, math.nan), weights)
        at = xp.places(weights)
        before = xp.take_along_axis(score, xp.clip(at - 1, min=0), axis=-1)
        differs = xp.astype((at > 0) & (score != before), xp.counting)
        place = xp.cumulative_sum(differs, axis=-1)
        lines = math.prod(kept)
        place = xp.reshape(place, (lines, n))
        positive = xp.where(label > 0, weights, xp.zeros_like(weights))
        parts = (xp.reshape(x, (lines, n)) for x in (positive, weights - positive))
        one, zero = (xp.reshape(xp.bins(place, part, n), (*kept, n)) for part in parts)
        return one, zero

    def median(self) -> Array:
        """Return the weighted median; between two samples, their average; nan if any is nan."""
        xp = namespace_of(self.values, self.weight.error.dtype)
        if self.values.shape[-1] == 0:
            return self.weight.value  # nothing to sort; `empty` takes its place
        found = xp.library.median(self.values, self.weights)
        if found is not None:
            return found
        fixed = xp.stop_gradient(self.values)
        order = xp.argsort(fixed, axis=-1)
        values = xp.take_along_axis(fixed, order, axis=-1)
        beyond, bound = _beyond_half(xp, xp.take_along_axis(self.weights, order, axis=-1))

        def at(passed: Array) -> Array:
            index = xp.sum(xp.astype(passed, xp.counting), axis=-1, keepdims=True)
            index = xp.clip(index, max=values.shape[-1] - 1)
            return self._shared(xp, xp.take_along_axis(values, index, axis=-1))

        median = (at(beyond < -bound) + at(beyond <= bound)) / 2
        lost = ((self.weights > 0) & xp.isnan(self.values)) | ~xp.isfinite(self.weights)
        lost = xp.any(lost, axis=-1)
        return xp.where(lost, xp.full_like(median, float("nan")), median)

    def _shared(self, xp: Namespace, value: Array) -> Array:
        """Return one of the values; those equal to it share the derivative by their weights.

        Which of them a sort puts first is the library's own matter.
        """
        weights = xp.stop_gradient(xp.astype(self.weights, xp.computing))
        tied = (self.values == value) & (weights > 0)
        share = xp.where(tied, weights, xp.zeros_like(weights))
        whole = xp.sum(share, axis=-1)
        share = share / xp.expand_dims(xp.where(whole > 0, whole, xp.ones_like(whole)), axis=-1)
        mean = xp.sum(share * xp.where(tied, self.values, xp.zeros_like(share)), axis=-1)
        exact = value[..., 0] + (mean - xp.stop_gradient(mean))  # the mean itself is rounded
        return xp.where(xp.isfinite(mean), exact, mean)


def _beyond_half(xp: Namespace, weights: Array) -> tuple[Array, Array]:
    """Return the sum of the weights up to each less that of those after it, and what counts as 0.

    The median lies where it is 0. Rounded sums would hit or miss that by chance, each library in
    its own way. So the weights, over the largest of them, are cut into integers whose sums are
    exact. What is left is the rounding of each weight itself and of the division, at most eps of
    the sum; less than half of the smallest weight, so that no sample is passed over.
    """

    def beyond(numbers: Array) -> Array:
        upto = xp.cumulative_sum(numbers, axis=-1)
        return upto - (upto[..., -1:] - upto)

    if weights.dtype == xp.counting:
        return beyond(weights), 0
    weights, n = xp.stop_gradient(weights), weights.shape[-1]
    largest = xp.max(weights, axis=-1, keepdims=True)
    rest = weights / xp.where(largest > 0, largest, xp.ones_like(largest))
    smallest = xp.min(xp.where(rest > 0, rest, xp.ones_like(rest)), axis=-1, keepdims=True)
    bound = xp.minimum(xp.eps * xp.sum(rest, axis=-1, keepdims=True), smallest / 2)
    length = n.bit_length() if xp.is_known(n) else 24
    digits = max(1, (63 if xp.counting == xp.int64 else 31) - length)  # the sum of n of them fits
    found, unit = xp.zeros_like(rest), 1.0
    while unit * 2.0**length > xp.eps:  # until all that is cut off is less than rounding
        rest, unit = rest * 2.0**digits, unit * 2.0**-digits
        part = xp.floor(rest)
        rest = rest - part
        found = found + unit * xp.astype(beyond(xp.astype(part, xp.counting)), xp.computing)
    return found, bound


class Moments(NamedTuple):
    """Means of two variables and their centred second moments (Chan, Golub, LeVeque 1983).

    The variables are held times ``scale_a`` and ``scale_b``, powers of two that keep their squares
    in range. Both are the same for variables of one unit, which a formula may add or compare.
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
        """Merge about the common mean; exact up to rounding, in any order."""
        same_kind(self, other)
        xp = namespace_of(self.scale_a, (self.weight.error + other.weight.error).dtype)
        with xp.quiet():
            return self._about_the_common_mean(other, xp)

    def correlation(self, xp: Namespace) -> Array:
        """Return Pearson's correlation, which depends on no scale."""
        deviations = self.bb.sum * xp.sqrt(ratio(xp, self.aa.sum, self.bb.sum))  # s_a s_b
        return ratio(xp, self.ab.sum, deviations)

    def explained(self, xp: Namespace) -> Array:
        """Return 1 - the squares of a, errors, over those of b, targets, about their mean."""
        squares = self.aa.sum + self.weight.sum * self.mean_a.sum * self.mean_a.sum
        return 1 - ratio(xp, squares, self.bb.sum)

    def _about_the_common_mean(self, other: Moments, xp: Namespace) -> Moments:
        scale_a = xp.minimum(self.scale_a, other.scale_a)
        scale_b = xp.minimum(self.scale_b, other.scale_b)
        one, two = self._rescaled(scale_a, scale_b), other._rescaled(scale_a, scale_b)
        weight = self.weight.merge(other.weight)
        share = ratio(xp, two.weight.sum, weight.sum, 0.0)
        both = one.weight.sum * share  # w1 w2 / (w1 + w2)
        a, b = two.mean_a.minus(one.mean_a), two.mean_b.minus(one.mean_b)

        def plus(total: Total, extra: Array) -> Total:
            return total.merge(Total(extra, xp.zeros_like(total.error)))

        return type(self)(
            plus(one.mean_a, a * share),
            plus(one.mean_b, b * share),
            plus(one.aa.merge(two.aa), a * a * both),
            plus(one.ab.merge(two.ab), a * b * both),
            plus(one.bb.merge(two.bb), b * b * both),
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
    """Moments under the squares of the weights, and how many samples there are."""

    moments: Moments
    number: Total
    weight: Total

    def merge(self, other: Any) -> Any:
        """Merge field by field."""
        return merge_fields(self, other)

    def standard_error(self, mean: Array) -> Array:
        """Return that of the weighted mean of what the moments are of (Cochran, 1977)."""
        xp, moments = self.number.xp, self.moments
        apart = moments.mean_a.sum / moments.scale_a - mean
        squares = moments.aa.sum / (moments.scale_a * moments.scale_a)
        squares = squares + moments.weight.sum * apart * apart
        number = self.number.sum
        return xp.sqrt(squares * ratio(xp, number, number - 1)) / self.weight.sum


# States whose merge acts on each number of the result alone, so that many merge at once, stacked.
ELEMENTWISE = (Mean, RootMeanSquare, Ratio, Counts, Extremum, Moments, Spread)


def is_elementwise(state: Any) -> bool:
    """Whether a state merges so; one of a family of metrics says it of itself."""
    return isinstance(state, ELEMENTWISE) or getattr(state, "elementwise", False)


# --- which metric a state is of -------------------------------------------------------------------

_KINDS: WeakValueDictionary[tuple[type, Any], type] = WeakValueDictionary()


def made_by(state: Any, metric: Any) -> Any:
    """Return a state that knows its metric.

    Its type does, so that its tree, arrays and dtypes are those of every such state, and compilers
    take it for a constant.
    """
    kind = type(state)
    found = _KINDS.get((kind, metric))
    if found is None:
        body = {"__slots__": (), "made_by": metric, "plain_kind": kind, "__reduce__": _reduced}
        found = _KINDS.setdefault((kind, metric), type(kind.__name__, (kind,), body))
    return found(*state)


def maker(state: Any) -> Any:
    """Return the metric that a state knows it is of; None where it does not."""
    return getattr(type(state), "made_by", None)


def plain_kind(state: Any) -> Any:
    """Return the type of a state, whatever its metric."""
    return getattr(type(state), "plain_kind", type(state))


def _reduced(self: Any) -> tuple[Any, ...]:
    """Take the metric along in a pickle; one that cannot be pickled, as of a function, stays."""
    kind, metric = plain_kind(self), maker(self)
    try:
        pickle.dumps(metric)
    except Exception:  # whatever a metric of a user's raises
        return kind, tuple(self)
    return made_by, (kind(*self), metric)


# --- many states at once --------------------------------------------------------------------------


def leafwise(function: Callable[..., Any], *states: Any) -> Any:
    """Apply a function to the arrays of states, one from each."""
    first = states[0]
    if isinstance(first, tuple):
        return type(first)(*(leafwise(function, *parts) for parts in zip(*states, strict=True)))
    return None if any(leaf is None for leaf in states) else function(*states)


SOME = 4  # so few states are merged sooner than they are stacked


def fold(states: Sequence[Any], stack: Callable[[Sequence[Array]], Array]) -> Any:
    """Merge states of one metric: half of them with the other half, stacked where they can be."""
    for state in states[1:]:
        same_kind(states[0], state)
    alike = len({state.weight.error.dtype for state in states}) == 1
    if not (alike and is_elementwise(states[0])) or len(states) <= SOME:
        return reduce(lambda one, two: one.merge(two), states)
    stacked = leafwise(lambda *leaves: stack(leaves), *states)
    count, rest = len(states), []
    while count > 1:
        half, odd = divmod(count, 2)
        if odd:
            rest.append(leafwise(lambda x, last=count - 1: x[last, ...], stacked))
        low = leafwise(lambda x, h=half: x[:h, ...], stacked)
        stacked = low.merge(leafwise(lambda x, h=half: x[h : 2 * h, ...], stacked))
        count = half
    state = leafwise(lambda x: x[0, ...], stacked)
    for other in rest:
        state = state.merge(other)
    return state
