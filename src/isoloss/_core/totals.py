"""Weighted and masked sums over the samples of a batch, for definitions to call."""

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
    """The sums of a batch. Definitions pass terms; weights, mask and axes are applied here."""

    __slots__ = ("_axes", "_inputs", "xp")
    spares = True  # whether a scaled sum is kept for when the sum overflows

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

    def mark_invalid(self, terms: Array) -> Array:
        """Set terms to nan where the label is invalid."""
        wrong, xp = self._inputs.wrong, self.xp
        return terms if wrong is None else xp.where(wrong, xp.full_like(terms, math.nan), terms)

    def weighted(self, terms: Array) -> Array:
        """Multiply by the weights; excluded samples get 0."""
        inputs, xp = self._inputs, self.xp
        if terms.shape != inputs.shape and not agree(terms.shape, inputs.shape):
            shape, wanted = tuple(terms.shape), tuple(inputs.shape)
            message = f"pointwise returned shape {shape}; one term for each of {wanted} is needed"
            raise fail(inputs.metric, message)
        terms = self.mark_invalid(terms)
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
        """Sum the weights; without weights, return the exact count, also above 2**24."""
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
        """Summarise terms by their second moments under the squared weights."""
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
        """Summarise residuals by their root mean square, without over- or underflow."""
        xp, zero = self.xp, self.xp.zeros_like(residual)
        if xp.wide:  # squares of float32 stay in the range of float64
            medium = self(residual * residual)
            empty = medium._replace(value=xp.zeros_like(medium.value))
            return RootMeanSquare(empty, medium, empty, self._weight(medium.value))
        bound, scale = RANGE[dtype_name(residual.dtype)]
        size = xp.abs(residual)
        large, small = size > bound, size < 1 / bound
        within = xp.where(large, zero, residual)  # infinity times 0 would be nan
        # the factors depend on the data, because XLA would multiply constants first, 2^80 by 2^80
        bins = (
            residual * xp.where(large, scale, zero),
            within * xp.where(large | small, zero, xp.ones_like(zero)),
            within * xp.where(small, 1 / scale, zero),
        )
        big, medium, tiny = (self(part * part) for part in bins)
        return RootMeanSquare(big, medium, tiny, self._weight(medium.value))

    def largest(self, terms: Array) -> Extremum:
        """Summarise non-negative terms by the largest; ties share the gradient."""
        inputs, xp = self._inputs, self.xp
        if inputs.mask is not None:
            terms = xp.where(inputs.mask, terms, xp.zeros_like(terms))
        if 0 in terms.shape:
            value = self._sum(terms)
        else:
            value = self._squeeze(xp.max(terms, axis=self._axes, keepdims=True))
        return Extremum(value, self._weight(value))

    def counts(self, index: Array, size: int, *terms: Array) -> Counts:
        """Count the samples of each index below a size, and sum terms by index.

        The result has an additional last axis: the counts of all indices, then the sums of each
        term. A negative index marks an invalid sample and makes all entries nan.
        """
        inputs, xp = self._inputs, self.xp
        invalid = index < 0 if inputs.wrong is None else (index < 0) | inputs.wrong
        counted = ~invalid
        if inputs.mask is not None:
            invalid, counted = invalid & inputs.mask, counted & inputs.mask
        any_invalid = xp.expand_dims(self._any(invalid), axis=-1)
        # excluded samples go to an extra bin, which is dropped
        index = xp.where(counted, xp.astype(index, xp.counting), size)
        flat = xp.rows(index, self._axes)
        sums = [self._binned(flat, size, term) for term in (None, *terms)]
        value, error = (xp.concat(list(parts), axis=-1) for parts in zip(*sums, strict=True))
        value = xp.where(any_invalid, xp.full_like(value, math.nan), value)
        return Counts(Total(value, error), self._weight(value[..., 0]))

    def _any(self, marks: Array) -> Array:
        return self._squeeze(self.xp.any(marks, axis=self._axes, keepdims=True))

    def _binned(self, index: Array, size: int, term: Array | None) -> tuple[Array, Array]:
        """Sum the weights times a term by index; without both, return the exact count."""
        inputs, xp = self._inputs, self.xp
        leading, n = tuple(index.shape[:-1]), index.shape[-1]
        rows = math.prod(leading)
        index = xp.reshape(index, (rows, n))
        if inputs.weights is None and term is None:
            total = self._exact(xp.bins(index, None, size + 1))
        else:
            term = xp.ones_like(inputs.weights) if term is None else term
            weighted = xp.reshape(xp.rows(self.weighted(term), self._axes), (rows, n))
            value = xp.sums_by(index, weighted, size + 1)
            total = Total(value, xp.zeros_like(value, dtype=xp.result))
        value, error = (xp.reshape(x[:, :size], (*leading, size)) for x in total[:2])
        return value, error

    def _exact(self, count: Array) -> Total:
        """Split counts into a float and its rounding error."""
        xp = self.xp
        value = xp.astype(count, xp.computing)
        error = xp.zeros_like(count) if xp.wide else count - xp.astype(value, xp.counting)
        return Total(value, xp.astype(error, xp.result))

    def confusion(self, prediction: Array, target: Array, classes: int) -> Counts:
        """Count the samples of each pair of target and prediction."""
        return self.counts(target * classes + prediction, classes * classes)

    def samples(self, *variables: Array) -> Samples:
        """Return the variables and their weights along one last axis."""
        inputs, xp = self._inputs, self.xp
        first = self.mark_invalid(variables[0])
        weight = self._weight(self._sum(xp.zeros_like(first)))
        weights = inputs.weights
        if weights is None:
            ones = xp.ones_like(first, dtype=xp.bool) if inputs.mask is None else inputs.mask
            weights = xp.astype(ones, xp.counting)
        columns = [self._along(x) for x in (first, *variables[1:])]
        values = columns[0] if len(columns) == 1 else xp.stack(columns, axis=-2)
        return Samples(values, self._own(self._along(weights)), weight)

    def _along(self, x: Array) -> Array:
        """Move the samples of each result to the last axis."""
        return self.xp.rows(x, self._axes)

    def _own(self, weights: Array) -> Array:
        """Return weights that are 0 for samples of other results, such as other groups."""
        return weights

    def moments(self, a: Array, b: Array, *, one_unit: bool = True) -> Moments:
        """Summarise two variables by their means and centred second moments.

        With ``one_unit``, both have the same scale, so that a formula may add or compare them.
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

        def mean(pivot: Array, remainder: Array) -> Total:
            value = pivot + remainder
            return Total(value, xp.astype(remainder - (value - pivot), xp.result))

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
        """Return a value near the mean, without derivative; for constant data, the exact mean.

        Centred moments and their derivatives do not depend on the pivot.
        """
        xp = self.xp
        x = xp.stop_gradient(x)
        total = xp.stop_gradient(weight.sum)
        mean = ratio(xp, xp.stop_gradient(self(x).sum), total, 0.0)
        remainder = xp.stop_gradient(self(x - self._expand(mean)).sum)
        return mean + ratio(xp, remainder, total, 0.0)


class GroupedTotals(Totals):
    """Sums by group: one group axis replaces all sample axes."""

    __slots__ = ("_index", "_number")

    def __init__(self, inputs: Batch) -> None:
        super().__init__(inputs)
        groups, self._number = inputs.groups
        self._index = self.xp.reshape(groups, (1, -1))

    def _sum(self, terms: Array) -> Array:
        """Sum by group; excluded terms are 0 already."""
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
        """Count the included samples by index."""
        mask = self._inputs.mask
        if mask is not None:
            index = self.xp.where(self._flat(mask), index, self.xp.full_like(index, size))
        return self.xp.bins(index, None, size + 1)[:, :size]

    def largest(self, terms: Array) -> Extremum:
        """Summarise non-negative terms by the largest of each group."""
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
    """Return the sums over all samples of each result, or of each group."""
    return whole(inputs) if inputs.groups is None else GroupedTotals(inputs)
