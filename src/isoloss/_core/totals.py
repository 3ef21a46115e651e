"""Sums over the samples of a batch that count: what a definition is given to summarise with."""

from __future__ import annotations

import math
from copy import copy

from .errors import fail
from .inputs import Batch, agree
from .states import (
    RANGE,
    SPARE,
    Counts,
    Extremum,
    Mean,
    Moments,
    Ratio,
    RootMeanSquare,
    Samples,
    Spread,
    Total,
    ratio,
)
from .types import Array, dtype_name


class Totals:
    """The sums of one batch. A definition calls it with terms; it never sees weights or axes."""

    __slots__ = ("_axes", "_inputs", "xp")
    spares = True  # whether a second sum stands by in case the first one overflows

    def __init__(self, inputs: Batch) -> None:
        self.xp = inputs.xp
        self._inputs = inputs
        self._axes = inputs.axes

    def __call__(self, terms: Array) -> Total:
        """Sum the weighted terms over the reduced axes."""
        xp = self.xp
        weighted = self.weighted(terms)
        value = self._sum(weighted)
        spare = None
        if self.spares and not xp.wide:
            spare = self._sum(weighted * SPARE[dtype_name(value.dtype)])
        return Total(value, xp.zeros_like(value, dtype=xp.result), spare)

    def lost(self, terms: Array) -> Array:
        """Make the terms of samples nan whose label is none."""
        wrong, xp = self._inputs.wrong, self.xp
        return terms if wrong is None else xp.where(wrong, xp.full_like(terms, math.nan), terms)

    def weighted(self, terms: Array) -> Array:
        """Multiply by the weights; what is excluded is 0."""
        inputs, xp = self._inputs, self.xp
        if terms.shape != inputs.shape and not agree(terms.shape, inputs.shape):
            found, wanted = tuple(terms.shape), tuple(inputs.shape)
            message = f"pointwise returned shape {found}; one term for each of {wanted} is needed"
            raise fail(inputs.metric, message)
        terms = self.lost(terms)
        if inputs.mask is not None:
            terms = xp.where(inputs.mask, terms, xp.zeros_like(terms))
        return terms if inputs.weights is None else terms * inputs.weights

    def _sum(self, terms: Array) -> Array:
        return self._squeeze(self.xp.total(terms, self._axes))

    def _squeeze(self, reduced: Array) -> Array:
        return self.xp.squeeze(reduced, axis=self._axes) if self._axes else reduced

    def _expand(self, reduced: Array) -> Array:
        for axis in self._axes:
            reduced = self.xp.expand_dims(reduced, axis=axis)
        return reduced

    def _weight(self, like: Array) -> Total:
        """Sum the weights; without weights it is a count, exact beyond 2**24."""
        inputs, xp = self._inputs, self.xp
        if inputs.weights is not None:
            value = self._sum(inputs.weights)
            return Total(value, xp.zeros_like(value, dtype=xp.result))
        size = 1
        for axis in self._axes:  # not math.prod: sizes may be symbolic
            size = size * inputs.shape[axis]
        if inputs.mask is not None:
            ones = xp.astype(inputs.mask, xp.counting)
            ones = xp.sum(ones, axis=self._axes, keepdims=True)
            count = self._squeeze(ones)
        else:
            count = xp.zeros_like(like, dtype=xp.counting) + size
        return self._exact(count)

    def mean(self, terms: Array) -> Mean:
        """Summarise terms by their mean."""
        total = self(terms)
        return Mean(total, self._weight(total.value))

    def mean_square(self, residual: Array) -> Mean:
        """Summarise residuals by the mean of their squares."""
        return self.mean(residual * residual)

    def spread(self, terms: Array) -> Spread:
        """Summarise terms by how far they are from their mean, each weighted twice."""
        inputs = self._inputs
        twice = copy(inputs)
        if inputs.weights is not None:
            twice.weights = inputs.weights * inputs.weights
        once = copy(inputs)
        once.weights = None
        moments = type(self)(twice).moments(terms, terms)
        like = moments.scale_a
        return Spread(moments, type(self)(once)._weight(like), self._weight(like))

    def ratio(self, numerator: Array, denominator: Array) -> Ratio:
        """Summarise two terms by the ratio of their sums."""
        above = self(numerator)
        return Ratio(above, self(denominator), self._weight(above.value))

    def root_mean_square(self, residual: Array) -> RootMeanSquare:
        """Summarise residuals by their root mean square, over their whole range."""
        xp, zero = self.xp, self.xp.zeros_like(residual)
        if xp.wide:  # the squares of float32 stay far inside the range of float64
            medium = self(residual * residual)
            nothing = medium._replace(value=xp.zeros_like(medium.value))
            return RootMeanSquare(nothing, medium, nothing, self._weight(medium.value))
        bound, scale = RANGE[dtype_name(residual.dtype)]
        size = xp.abs(residual)
        large, small = size > bound, size < 1 / bound
        within = xp.where(large, zero, residual)  # infinity times 0 would be nan
        # factors that depend on the data: XLA would multiply constants first, 2^80 by 2^80
        bins = (
            residual * xp.where(large, scale, zero),
            within * xp.where(large | small, zero, xp.ones_like(zero)),
            within * xp.where(small, 1 / scale, zero),
        )
        big, medium, tiny = (self(part * part) for part in bins)
        return RootMeanSquare(big, medium, tiny, self._weight(medium.value))

    def largest(self, terms: Array) -> Extremum:
        """Summarise terms that are not negative by the largest; ties share the gradient."""
        inputs, xp = self._inputs, self.xp
        if inputs.mask is not None:
            terms = xp.where(inputs.mask, terms, xp.zeros_like(terms))
        if 0 in terms.shape:
            value = self._sum(terms)
        else:
            value = self._squeeze(xp.max(terms, axis=self._axes, keepdims=True))
        return Extremum(value, self._weight(value))

    def counts(self, index: Array, size: int, *terms: Array) -> Counts:
        """Count the samples of each index below a size, and sum terms among them.

        The result has one more axis, last: the counts of all indices, then the sums of each term.
        An index below 0 is that of a sample which belongs nowhere, and makes all of them nan.
        """
        inputs, xp = self._inputs, self.xp
        bad = index < 0 if inputs.wrong is None else (index < 0) | inputs.wrong
        counted = ~bad
        if inputs.mask is not None:
            bad, counted = bad & inputs.mask, counted & inputs.mask
        lost = xp.expand_dims(self._any(bad), axis=-1)
        # what does not count has a bin of its own, which is left out again
        index = xp.where(counted, xp.astype(index, xp.counting), size)
        flat = xp.rows(index, self._axes)
        sums = [self._binned(flat, size, term) for term in (None, *terms)]
        value, error = (xp.concat(list(parts), axis=-1) for parts in zip(*sums, strict=True))
        value = xp.where(lost, xp.full_like(value, math.nan), value)
        return Counts(Total(value, error), self._weight(value[..., 0]))

    def _any(self, marks: Array) -> Array:
        return self._squeeze(self.xp.any(marks, axis=self._axes, keepdims=True))

    def _binned(self, index: Array, size: int, term: Array | None) -> tuple[Array, Array]:
        """Sum the weights times a term by index; without either it is a count, exact."""
        inputs, xp = self._inputs, self.xp
        kept, n = tuple(index.shape[:-1]), index.shape[-1]
        lines = math.prod(kept)
        index = xp.reshape(index, (lines, n))
        if inputs.weights is None and term is None:
            total = self._exact(xp.bins(index, None, size + 1))
        else:
            term = xp.ones_like(inputs.weights) if term is None else term
            weighted = xp.reshape(xp.rows(self.weighted(term), self._axes), (lines, n))
            value = xp.sums_by(index, weighted, size + 1)
            total = Total(value, xp.zeros_like(value, dtype=xp.result))
        value, error = (xp.reshape(x[:, :size], (*kept, size)) for x in total[:2])
        return value, error

    def _exact(self, count: Array) -> Total:
        """Return counts as sums, with what a float of 24 digits loses of them."""
        xp = self.xp
        value = xp.astype(count, xp.computing)
        lost = xp.zeros_like(count) if xp.wide else count - xp.astype(value, xp.counting)
        return Total(value, xp.astype(lost, xp.result))

    def confusion(self, prediction: Array, target: Array, classes: int) -> Counts:
        """Count the samples of each pair of target and prediction."""
        return self.counts(target * classes + prediction, classes * classes)

    def samples(self, *variables: Array) -> Samples:
        """Keep the variables, and their weights, along one last axis."""
        inputs, xp = self._inputs, self.xp
        first = self.lost(variables[0])
        weight = self._weight(self._sum(xp.zeros_like(first)))
        weights = inputs.weights
        if weights is None:
            ones = xp.ones_like(first, dtype=xp.bool) if inputs.mask is None else inputs.mask
            weights = xp.astype(ones, xp.counting)
        kept = [self._along(x) for x in (first, *variables[1:])]
        values = kept[0] if len(kept) == 1 else xp.stack(kept, axis=-2)
        return Samples(values, self._own(self._along(weights)), weight)

    def _along(self, x: Array) -> Array:
        """Bring the samples of each result along the last axis."""
        return self.xp.rows(x, self._axes)

    def _own(self, weights: Array) -> Array:
        """Return weights that are 0 for the samples of other results."""
        return weights

    def moments(self, a: Array, b: Array, *, one_unit: bool = True) -> Moments:
        """Summarise two variables by their means and centred second moments.

        Variables of one unit are held on one scale, so that a formula may add or compare them.
        """
        xp = self.xp
        sizes = [xp.stop_gradient(xp.abs(x)) for x in (a, b)]
        if one_unit:
            sizes = [xp.maximum(*sizes)]
        largest = [self.largest(size).value for size in sizes]
        scale_a, scale_b = xp.power_of_two(largest[0]), xp.power_of_two(largest[-1])
        a, b = a * self._expand(scale_a), b * self._expand(scale_b)
        weight = self._weight(scale_a)
        pivot_a, pivot_b = self._pivot(a, weight), self._pivot(b, weight)
        a, b = a - self._expand(pivot_a), b - self._expand(pivot_b)
        mean_a, mean_b = (ratio(xp, self(x).sum, weight.sum, 0.0) for x in (a, b))

        def centred(x: Array, y: Array, correction: Array) -> Total:
            total = self(x * y)
            return total._replace(value=total.value - weight.sum * correction, spare=None)

        def mean(pivot: Array, rest: Array) -> Total:
            value = pivot + rest
            return Total(value, xp.astype(rest - (value - pivot), xp.result))

        return Moments(
            mean(pivot_a, mean_a),
            mean(pivot_b, mean_b),
            centred(a, a, mean_a * mean_a),
            centred(a, b, mean_a * mean_b),
            centred(b, b, mean_b * mean_b),
            scale_a,
            scale_b,
            weight,
        )

    def _pivot(self, x: Array, weight: Total) -> Array:
        """Return nearly the mean, exactly so for a constant; a constant to differentiation.

        Centred moments do not depend on the pivot, so neither do their derivatives.
        """
        xp = self.xp
        x = xp.stop_gradient(x)
        total = xp.stop_gradient(weight.sum)
        mean = ratio(xp, xp.stop_gradient(self(x).sum), total, 0.0)
        rest = xp.stop_gradient(self(x - self._expand(mean)).sum)
        return mean + ratio(xp, rest, total, 0.0)


class GroupedTotals(Totals):
    """Sums of each of some groups, along one axis in the place of all the samples'."""

    __slots__ = ("_index", "_number")

    def __init__(self, inputs: Batch) -> None:
        super().__init__(inputs)
        groups, self._number = inputs.groups
        self._index = self.xp.reshape(groups, (1, -1))

    def _sum(self, terms: Array) -> Array:
        """Sum by group; terms that do not count are 0 already."""
        return self.xp.sums_by(self._index, self._flat(terms), self._number)[0, :]

    def _flat(self, x: Array) -> Array:
        return self.xp.reshape(x, (1, -1))

    def _expand(self, reduced: Array) -> Array:
        taken = self.xp.take(reduced, self._index[0, :], axis=0)
        return self.xp.reshape(taken, self._inputs.shape)

    def _weight(self, like: Array) -> Total:
        inputs, xp = self._inputs, self.xp
        if inputs.weights is not None:
            value = self._sum(inputs.weights)
            return Total(value, xp.zeros_like(value, dtype=xp.result))
        return self._exact(self._counted(self._index, self._number)[0, :])

    def _counted(self, index: Array, size: int) -> Array:
        """Count by index the samples that count."""
        mask = self._inputs.mask
        if mask is not None:
            index = self.xp.where(self._flat(mask), index, self.xp.full_like(index, size))
        return self.xp.bins(index, None, size + 1)[:, :size]

    def largest(self, terms: Array) -> Extremum:
        """Summarise terms that are not negative by the largest of each group."""
        inputs, xp = self._inputs, self.xp
        if inputs.mask is not None:
            terms = xp.where(inputs.mask, terms, xp.zeros_like(terms))
        if 0 in terms.shape:
            value = self._sum(terms)
        else:
            value = xp.bin_max(self._index, self._flat(terms), self._number)[0, :]
        return Extremum(value, self._weight(value))

    def _any(self, marks: Array) -> Array:
        marks = self._flat(self.xp.astype(marks, self.xp.counting))
        return self.xp.bins(self._index, marks, self._number)[0, :] > 0

    def _binned(self, index: Array, size: int, term: Array | None) -> tuple[Array, Array]:
        xp, last = self.xp, size * self._number
        both = xp.where(index == size, last, self._index[0, :] * size + index)
        value, error = super()._binned(both, last, term)
        shape = (self._number, size)
        return xp.reshape(value, shape), xp.reshape(error, shape)

    def _along(self, x: Array) -> Array:
        flat = self._flat(x)
        return self.xp.broadcast_to(flat, (self._number, flat.shape[-1]))

    def _own(self, weights: Array) -> Array:
        xp = self.xp
        group = xp.cumulative_sum(xp.ones_like(weights, dtype=xp.counting), axis=0) - 1
        return xp.where(group == self._index, weights, xp.zeros_like(weights))


def totals_of(inputs: Batch, whole: type[Totals] = Totals) -> Totals:
    """Return the sums over the whole of each result, or of each group."""
    return whole(inputs) if inputs.groups is None else GroupedTotals(inputs)
