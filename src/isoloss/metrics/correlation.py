"""Correlation of ranks: agreement in the order of predictions and targets.

Only the order matters: a strictly increasing function of the predictions or of the targets does
not change the value. A sample of weight 3 counts as three equal samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

from .._core.carrier import plain
from .._core.library import namespace_of
from .._core.metric import Metric
from .._core.states import Samples, ratio
from .._core.totals import Totals
from .._core.types import Array, Namespace

__all__ = ["KendallTauB", "SpearmanCorrelation", "kendall_tau_b", "spearman"]

Ranks = tuple[Array, Array, Array]  # places (dense ranks) of two variables, and weights; (rows, n)
PLACES = 31  # binary digits of a place, if the number of samples is unknown


# --- places: dense ranks, from 0 on ---------------------------------------------------------------


def _numbered(xp: Namespace, *keys: Array) -> Array:
    """Number sorted tuples of keys from 0 on; equal tuples share a number."""
    at = xp.places(keys[0])
    before = xp.clip(at - 1, min=0)
    new = keys[0] != xp.take_along_axis(keys[0], before, axis=-1)
    for key in keys[1:]:
        new = new | (key != xp.take_along_axis(key, before, axis=-1))
    new = new & (at > 0)  # nan differs from itself, so that a first nan would count as new
    return xp.cumulative_sum(xp.astype(new, xp.counting), axis=-1)


def _reordered(xp: Namespace, order: Array, *arrays: Array) -> list[Array]:
    return [xp.take_along_axis(x, order, axis=-1) for x in arrays]


def _ranks(xp: Namespace, x: Array, y: Array, weights: Array) -> Ranks:
    """Return the places of x and y, sorted by y."""
    found = xp.library.places(x, y, weights)
    if found is not None:
        return found
    order = xp.argsort(x, axis=-1)
    x, y, weights = _reordered(xp, order, x, y, weights)
    x = _numbered(xp, x)
    order = xp.argsort(y, axis=-1)
    x, y, weights = _reordered(xp, order, x, y, weights)
    return x, _numbered(xp, y), weights


def _of_order(state: Samples, value: Callable[..., Array]) -> Array:
    """Return a function of the ranks, with gradient 0; nan if any included number is nan."""
    if state.values.shape[-1] == 0:
        return state.weight.value  # no samples to sort; `empty` replaces this value
    own = namespace_of(state.values, state.weight.error.dtype)
    lost = own.expand_dims(state.weights > 0, axis=-2) & own.isnan(state.values)
    nan = own.where(lost, state.values, own.zeros_like(state.values))
    values, weights = plain(own.stop_gradient(state.values)), plain(state.weights)
    xp = namespace_of(values, state.weight.error.dtype)
    kept, n = tuple(values.shape[:-2]), values.shape[-1]
    if weights.dtype != xp.counting:  # scaled, so that products of three do not overflow
        weights = weights * xp.power_of_two(xp.sum(weights, axis=-1, keepdims=True))
    x, y, weights = (
        xp.reshape(a, (-1, n)) for a in (values[..., 0, :], values[..., 1, :], weights)
    )
    found = xp.reshape(value(xp, *_ranks(xp, x, y, weights)), kept)
    return own.stop_gradient(found) + own.sum(own.sum(nan, axis=-1), axis=-1)


def _floating(xp: Namespace, *counts: Array) -> list[Array]:
    """Convert exact counts to floating-point numbers, before they are multiplied."""
    return [xp.astype(x, xp.computing) for x in counts]


class _OfRanks(Metric):
    """A metric of the order of predictions and targets."""

    kind: ClassVar[str] = "sorted whole"
    greater_is_better: ClassVar[bool] = True

    @property
    def source(self) -> Any:
        return "samples of prediction and target"

    @final
    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Samples:
        """Keep the samples."""
        return total.samples(prediction, target)


# --- Spearman -------------------------------------------------------------------------------------


def _off_the_middle(xp: Namespace, place: Array, weights: Array) -> Array:
    """Return for each sample the weight at lower places minus the weight at higher places.

    The result is twice the difference between the average rank of tied samples and the mean rank.
    """
    here = xp.bins(place, weights, place.shape[-1])
    upto = xp.cumulative_sum(here, axis=-1)
    less = (upto - here) - (upto[..., -1:] - upto)
    return xp.take_along_axis(less, place, axis=-1)


def _spearman(xp: Namespace, x: Array, y: Array, weights: Array) -> Array:
    a, b = (_off_the_middle(xp, place, weights) for place in (x, y))
    w, a, b = _floating(xp, weights, a, b)
    aa, ab, bb = (xp.sum(w * u * v, axis=-1) for u, v in ((a, a), (a, b), (b, b)))
    return ratio(xp, ab, bb * xp.sqrt(ratio(xp, aa, bb)))


@final
@dataclass(frozen=True)
class SpearmanCorrelation(_OfRanks):
    r"""Spearman's rank correlation: Pearson's correlation of the ranks.

    .. math:: \mathrm{cov}_w(R_p, R_y) / (s_{R_p} s_{R_y}), \quad
        R_{x, i} = \sum_j w_j \left([x_j < x_i] + \tfrac{1}{2} [x_j = x_i]\right)

    Equal numbers share their average rank.

    Inputs may be infinite. For a constant input the value is nan. The gradient is 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.spearman([0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 4.0, 3.0])
    np.float64(0.8)

    References
    ----------
    Spearman (1904), *The Proof and Measurement of Association between Two Things*; SciPy's
    ``spearmanr``. torchmetrics adds 1e-6 to the denominator.
    """

    def formula(self, xp: Namespace, state: Samples) -> Array:
        return _of_order(state, _spearman)


# --- Kendall --------------------------------------------------------------------------------------


def _unlike(xp: Namespace, place: Array, weights: Array) -> Array:
    """Return the sum, over pairs with different places, of the product of their weights."""
    here = xp.bins(place, weights, place.shape[-1])
    before = xp.cumulative_sum(here, axis=-1) - here
    here, before = _floating(xp, here, before)
    return xp.sum(here * before, axis=-1)


def _balance(xp: Namespace, x: Array, y: Array, weights: Array) -> Array:
    """Return the weight of the concordant pairs minus the weight of the discordant pairs.

    The places of two different x have equal binary digits above the first digit that differs. So
    each pair is counted once, at that digit. Among samples with equal higher digits, each sample
    with a 1 is compared with all samples with a 0: those with a lower y and those with a higher y.
    """
    found = xp.library.balance(x, y, weights)
    if found is not None:
        return found
    n = x.shape[-1]
    digits = max(n - 1, 0).bit_length() if type(n) is int else PLACES
    found = xp.sum(xp.zeros_like(weights, dtype=xp.computing), axis=-1)
    for digit in range(digits - 1, -1, -1):
        order = xp.argsort(x >> (digit + 1), axis=-1, stable=True)
        x, y, weights = _reordered(xp, order, x, y, weights)
        one = ((x >> digit) & 1) == 1
        high, low = (xp.where(side, weights, xp.zeros_like(weights)) for side in (one, ~one))
        higher_digits = _numbered(xp, x >> (digit + 1))
        both = _numbered(xp, higher_digits, y)
        before, until = _around(xp, both, low)
        start, end = _around(xp, higher_digits, low)
        high, less = _floating(xp, high, (before - start) - (end - until))
        found = found + xp.sum(high * less, axis=-1)
    return found


def _around(xp: Namespace, number: Array, weights: Array) -> list[Array]:
    """Return for each sample the weight of samples with a lower number, and up to its own."""
    here = xp.bins(number, weights, number.shape[-1])
    upto = xp.cumulative_sum(here, axis=-1)
    return _reordered(xp, number, upto - here, upto)


def _kendall(xp: Namespace, x: Array, y: Array, weights: Array) -> Array:
    a, b = (_unlike(xp, place, weights) for place in (x, y))
    return ratio(xp, _balance(xp, x, y, weights), b * xp.sqrt(ratio(xp, a, b)))


@final
@dataclass(frozen=True)
class KendallTauB(_OfRanks):
    r"""Kendall's tau-b: concordant pairs minus discordant pairs, with a correction for ties.

    .. math:: \frac{\sum_{i < j} w_i w_j \, \mathrm{sgn}(p_i - p_j) \, \mathrm{sgn}(y_i - y_j)}
        {\sqrt{\sum_{i < j} w_i w_j [p_i \ne p_j] \, \sum_{i < j} w_i w_j [y_i \ne y_j]}}

    The time grows as n log(n)^2 with the number n of samples. Inputs may be infinite. For a
    constant input the value is nan. The gradient is 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.kendall_tau_b([0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 4.0, 3.0])
    np.float64(0.6666666666666666)

    References
    ----------
    Kendall (1945), *The Treatment of Ties in Ranking Problems*; Knight (1966), *A Computer Method
    for Calculating Kendall's Tau with Ungrouped Data*; SciPy's ``kendalltau``.
    """

    def formula(self, xp: Namespace, state: Samples) -> Array:
        return _of_order(state, _kendall)


# --- default instances ----------------------------------------------------------------------------

spearman = SpearmanCorrelation()
kendall_tau_b = KendallTauB()
