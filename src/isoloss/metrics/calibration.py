"""Calibration: whether probabilities are as often right as they say.

Bins are of probabilities. Those of equal widths count in constant memory; those of equal weights
need all samples in order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, final

from .._core.domains import UNIT, ZERO_OR_ONE, Domain, Labels
from .._core.metric import Metric
from .._core.parameters import Count
from .._core.states import Counts, Samples, Total, ratio
from .._core.totals import Totals
from .._core.types import Array, Namespace

__all__ = [
    "AdaptiveCalibrationError",
    "BinaryAdaptiveCalibrationError",
    "BinaryExpectedCalibrationError",
    "BinaryReliabilityDiagram",
    "BrierDecomposition",
    "ClasswiseCalibrationError",
    "ExpectedCalibrationError",
    "LogLossDecomposition",
    "ReliabilityDiagram",
    "adaptive_calibration_error",
    "binary_adaptive_calibration_error",
    "binary_expected_calibration_error",
    "brier_decomposition",
    "classwise_calibration_error",
    "expected_calibration_error",
    "log_loss_decomposition",
]


def _bin_of(xp: Namespace, sure: Array, bins: int) -> Array:
    """Return the bin of each probability, the lowest first; one at an edge belongs below."""
    edges = tuple(-_rounded(k / bins, xp.eps) for k in range(bins - 1, 0, -1))
    from_the_top = xp.bin_of(-sure, edges)
    return xp.where(from_the_top < 0, from_the_top, bins - 1 - from_the_top)


def _rounded(x: float, eps: float) -> float:
    """Round as numbers of a dtype are, so that 0.3 in float32 is at the edge of 0.3."""
    fraction, exponent = math.frexp(x)
    return math.ldexp(round(fraction * 2 / eps) * eps / 2, exponent)


def _rows(state: Counts, number: int) -> tuple[Array, ...]:
    """Return the counts of the bins, and each of the sums."""
    matrix = state.matrix(number)
    return tuple(matrix[..., k, :] for k in range(number))


def _calibration_error(xp: Namespace, rows: Sequence[Array], norm: str) -> Array:
    """Return how far the mean probability of each bin is from what came true, over the bins."""
    number, sure, right = rows
    share = ratio(xp, number, xp.sum(number, axis=-1, keepdims=True) + 0 * number)
    gap = xp.abs(ratio(xp, right - sure, number, 0.0))
    if norm == "max":
        return xp.max(gap, axis=-1)
    if norm == "l2":
        return xp.sqrt(xp.sum(share * gap * gap, axis=-1))
    return xp.sum(share * gap, axis=-1)


def _diagram(xp: Namespace, number: Array, sure: Array, right: Array) -> Array:
    """Return the weight of each bin, its mean probability, and the share that came true."""
    return xp.stack([number, ratio(xp, sure, number), ratio(xp, right, number)], axis=-2)


# --- bins of equal widths -------------------------------------------------------------------------


class _OfConfidence(Metric):
    """A metric of the largest probability of each sample, in bins."""

    signature: ClassVar[str] = "(classes),()->()"
    kind: ClassVar[str] = "counts"
    domain: ClassVar[Domain] = Domain(UNIT, Labels())
    bins: int

    @property
    def source(self) -> Any:
        return "confidence in bins", self.bins

    @final
    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Counts:
        """Sum confidence and right answers in each bin."""
        answer = xp.argmax(prediction, axis=-1)
        sure = self._inside(xp, prediction, target, xp.pick(prediction, answer))
        right = xp.astype(target == answer, xp.computing)
        return total.counts(_bin_of(xp, sure, self.bins), self.bins, sure, right)


class _OfProbability(Metric):
    """A metric of the probability of the label 1, in bins."""

    kind: ClassVar[str] = "counts"
    domain: ClassVar[Domain] = Domain(UNIT, ZERO_OR_ONE)
    bins: int

    @property
    def source(self) -> Any:
        return "probability in bins", self.bins

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Counts:
        """Sum probabilities and labels in each bin."""
        sure = self._inside(xp, prediction, target, prediction)
        return total.counts(_bin_of(xp, sure, self.bins), self.bins, sure, target)


@final
@dataclass(frozen=True)
class ExpectedCalibrationError(_OfConfidence):
    r"""Expected calibration error: how far confidence is from accuracy, over bins of confidence.

    .. math:: \left(\sum_b \frac{n_b}{n} |acc_b - conf_b|^k\right)^{1/k}

    with the share of right answers and the mean confidence of the n_b samples in bin b.

    Kind: counts, which stream exactly; predictions ``(..., classes)`` probabilities, of which the
    first of the largest is the answer and its value the confidence, nan outside 0 to 1; targets
    ``(...)`` integers from 0 to classes - 1, nan outside. Bins have equal widths; a confidence at
    an edge is in the bin below it. Where a bin's difference is 0 its subgradient is 0.

    Parameters
    ----------
    bins : int >= 1
        The number of bins.
    norm : {"l1", "l2", "max"}
        k = 1; k = 2; or the largest difference of a bin that is not empty.

    Examples
    --------
    >>> import isoloss as il
    >>> il.ExpectedCalibrationError(bins=2)([[0.75, 0.25], [0.25, 0.75]], [0, 0])
    np.float64(0.25)

    References
    ----------
    Naeini et al. (2015); Guo et al. (2017), *On Calibration of Modern Neural Networks*;
    torchmetrics's ``multiclass_calibration_error``.
    """

    bins: Count = 15
    norm: Literal["l1", "l2", "max"] = "l1"

    def formula(self, xp: Namespace, state: Counts) -> Array:
        return _calibration_error(xp, _rows(state, 3), self.norm)


@final
@dataclass(frozen=True)
class BinaryExpectedCalibrationError(_OfProbability):
    r"""Expected calibration error of probabilities of the label 1.

    .. math:: \left(\sum_b \frac{n_b}{n} |\bar y_b - \bar p_b|^k\right)^{1/k}

    with the share of labels 1 and the mean probability of the n_b samples in bin b.

    Kind: counts, which stream exactly; predictions ``(...)`` probabilities, nan outside 0 to 1;
    targets ``(...)`` 0 or 1, of any dtype, nan otherwise. Bins have equal widths from 0 to 1; a
    probability at an edge is in the bin below it. Where a bin's difference is 0 its subgradient
    is 0.

    Parameters
    ----------
    bins : int >= 1
        The number of bins.
    norm : {"l1", "l2", "max"}
        k = 1; k = 2; or the largest difference of a bin that is not empty.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinaryExpectedCalibrationError(bins=2)([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 0])
    np.float64(0.25)

    References
    ----------
    Naeini et al. (2015); torchmetrics's ``binary_calibration_error``. With both classes as
    columns, `ExpectedCalibrationError` has bins of the larger probability, from 1/2 to 1, instead.
    """

    bins: Count = 15
    norm: Literal["l1", "l2", "max"] = "l1"

    def formula(self, xp: Namespace, state: Counts) -> Array:
        return _calibration_error(xp, _rows(state, 3), self.norm)


@final
@dataclass(frozen=True)
class ClasswiseCalibrationError(Metric):
    r"""Classwise expected calibration error: that of each class's probability, and their mean.

    .. math:: \frac{1}{K} \sum_c \sum_b \frac{n_{bc}}{n} |\bar y_{bc} - \bar p_{bc}|

    with the share of class c and the mean of its probability among the n_bc samples for which that
    lies in bin b, of K classes.

    Kind: counts, which stream exactly; predictions ``(..., classes)`` probabilities, nan outside 0
    to 1; targets ``(...)`` integers from 0 to classes - 1, nan outside. Bins have equal widths; a
    probability at an edge is in the bin below it. Where a bin's difference is 0 its subgradient
    is 0.

    Parameters
    ----------
    bins : int >= 1
        The number of bins of each class.

    Examples
    --------
    >>> import isoloss as il
    >>> il.ClasswiseCalibrationError(bins=2)([[0.75, 0.25], [0.25, 0.75]], [0, 0])
    np.float64(0.5)

    References
    ----------
    Kull et al. (2019), *Beyond temperature scaling: Obtaining well-calibrated multi-class
    probabilities with Dirichlet calibration*.
    """

    signature: ClassVar[str] = "(classes),()->()"
    kind: ClassVar[str] = "counts"
    domain: ClassVar[Domain] = Domain(UNIT, Labels())
    bins: Count = 15

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Counts:
        classes = []
        for k in range(prediction.shape[-1]):
            sure = self._inside(xp, prediction, target, prediction[..., k])
            right = xp.astype(target == k, xp.computing)
            classes.append(total.counts(_bin_of(xp, sure, self.bins), self.bins, sure, right))
        sums = zip(*(one.counts[:2] for one in classes), strict=True)
        value, error = (xp.concat(list(parts), axis=-1) for parts in sums)
        return Counts(Total(value, error), classes[0].weight)

    def formula(self, xp: Namespace, state: Counts) -> Array:
        counts = state.counts.sum
        counts = xp.reshape(counts, (*counts.shape[:-1], -1, 3, self.bins))
        rows = [counts[..., k, :] for k in range(3)]
        return xp.mean(_calibration_error(xp, rows, "l1"), axis=-1)


@final
@dataclass(frozen=True)
class ReliabilityDiagram(_OfConfidence):
    r"""Reliability diagram: of each bin of confidence, its weight, mean confidence and accuracy.

    .. math:: (n_b, \, conf_b, \, acc_b)

    as an array of shape ``(3, bins)``, after the axes that are kept; the bin next to 0 is the
    first.

    Kind: counts, which stream exactly; predictions ``(..., classes)`` probabilities, of which the
    first of the largest is the answer and its value the confidence, nan outside 0 to 1; targets
    ``(...)`` integers from 0 to classes - 1, nan outside. Bins have equal widths; a confidence at
    an edge is in the bin below it. The means of an empty bin are nan, which plots leave out.

    Parameters
    ----------
    bins : int >= 1
        The number of bins.

    Examples
    --------
    >>> import isoloss as il
    >>> number, confidence, accuracy = il.ReliabilityDiagram(bins=2)(
    ...     [[0.75, 0.25], [0.25, 0.75]], [0, 0])
    >>> accuracy
    array([nan, 0.5])

    References
    ----------
    DeGroot and Fienberg (1983), *The Comparison and Evaluation of Forecasters*; Guo et al. (2017).
    """

    bins: Count = 15

    def formula(self, xp: Namespace, state: Counts) -> Array:
        return _diagram(xp, *_rows(state, 3))


@final
@dataclass(frozen=True)
class BinaryReliabilityDiagram(_OfProbability):
    r"""Reliability diagram: of each bin of the probability of 1, its weight and both means.

    .. math:: (n_b, \, \bar p_b, \, \bar y_b)

    as an array of shape ``(3, bins)``, after the axes that are kept; the bin next to 0 is the
    first.

    Kind: counts, which stream exactly; predictions ``(...)`` probabilities, nan outside 0 to 1;
    targets ``(...)`` 0 or 1, of any dtype, nan otherwise. Bins have equal widths; a probability at
    an edge is in the bin below it. The means of an empty bin are nan, which plots leave out.

    Parameters
    ----------
    bins : int >= 1
        The number of bins.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinaryReliabilityDiagram(bins=2)([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 0])
    array([[2.  , 2.  ],
           [0.25, 0.75],
           [0.  , 0.5 ]])

    References
    ----------
    Murphy and Winkler (1977), *Reliability of Subjective Probability Forecasts of Precipitation and
    Temperature*; scikit-learn's ``calibration_curve``, which leaves empty bins out.
    """

    bins: Count = 15

    def formula(self, xp: Namespace, state: Counts) -> Array:
        return _diagram(xp, *_rows(state, 3))


# --- scores taken apart ---------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class BrierDecomposition(_OfProbability):
    r"""Brier score taken apart into reliability, resolution and uncertainty.

    .. math:: \sum_b \frac{n_b}{n} (\bar p_b - \bar y_b)^2, \quad
        \sum_b \frac{n_b}{n} (\bar y_b - \bar y)^2, \quad \bar y (1 - \bar y)

    with the means of the n_b samples in bin b, as an array of these three, after the axes that are
    kept. The first less the second and plus the third is the Brier score of the probabilities,
    each replaced by the mean of its bin: that of the forecasts themselves where those in a bin are
    equal.

    Kind: counts, which stream exactly; predictions ``(...)`` probabilities of the label 1, nan
    outside 0 to 1; targets ``(...)`` 0 or 1, of any dtype, nan otherwise. Bins have equal widths; a
    probability at an edge is in the bin below it. Low reliability and high resolution are good;
    uncertainty is that of the labels. For one of several classes, pass its column and
    ``labels == c``.

    Parameters
    ----------
    bins : int >= 1
        The number of bins.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BrierDecomposition(bins=2)([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 0])
    array([0.0625, 0.0625, 0.1875])

    References
    ----------
    Murphy (1973), *A New Vector Partition of the Probability Score*; Stephenson, Coelho and
    Jolliffe (2008), *Two Extra Components in the Brier Score Decomposition*, on what bins leave
    out.
    """

    bins: Count = 10

    def formula(self, xp: Namespace, state: Counts) -> Array:
        number, sure, ones = _rows(state, 3)
        whole = xp.sum(number, axis=-1)
        base = ratio(xp, xp.sum(ones, axis=-1), whole)
        gaps = ratio(xp, sure - ones, number, 0.0)
        apart = ratio(xp, ones, number, 0.0) - xp.expand_dims(base, axis=-1)
        squares = (xp.sum(number * x * x, axis=-1) for x in (gaps, apart))
        uncertainty = base * ratio(xp, xp.sum(number - ones, axis=-1), whole)
        return xp.stack([*(ratio(xp, x, whole) for x in squares), uncertainty], axis=-1)


def _divergence(xp: Namespace, p: Array, y: Array) -> Array:
    """Return y log(y / p) - y + p, of which two make a Kullback-Leibler divergence; 0 log 0 is 0.

    Neither part is negative, so that nothing cancels where p is near y.
    """
    none = p == 0
    known = xp.where(none, xp.ones_like(p), p)
    terms = xp.tweedie_deviance(known, xp.where(none, xp.ones_like(y), y), 1) / 2
    return xp.where(none, xp.where(y == 0, 0.0, math.inf), terms)


def _information(xp: Namespace, number: Array, sure: Array, right: Array) -> tuple[Array, ...]:
    """Return the parts of reliability, resolution and uncertainty that are one label's."""
    whole, base = (xp.sum(x, axis=-1, keepdims=True) for x in (number, right))
    expected = number * ratio(xp, base, whole)
    none = base == 0
    known = xp.where(none, xp.ones_like(base), base)
    missing = base * xp.log_ratio(xp.where(none, known, whole), known)
    divergences = (_divergence(xp, p, right) for p in (sure, expected))
    return (*(xp.sum(x, axis=-1) for x in divergences), missing[..., 0])


@final
@dataclass(frozen=True)
class LogLossDecomposition(_OfProbability):
    r"""Log loss taken apart into reliability, resolution and uncertainty.

    .. math:: \sum_b \frac{n_b}{n} D(\bar y_b \| \bar p_b), \quad
        \sum_b \frac{n_b}{n} D(\bar y_b \| \bar y), \quad
        -\bar y \log \bar y - (1 - \bar y) \log(1 - \bar y)

    with the Kullback-Leibler divergence D and the means of the n_b samples in bin b, as an array of
    these three, after the axes that are kept. The first less the second and plus the third is the
    log loss of the probabilities, each replaced by the mean of its bin: that of the forecasts
    themselves where those in a bin are equal.

    Kind: counts, which stream exactly; predictions ``(...)`` probabilities of the label 1, nan
    outside 0 to 1; targets ``(...)`` 0 or 1, of any dtype, nan otherwise. Bins have equal widths; a
    probability at an edge is in the bin below it. In nats. Where all of a bin is sure of what did
    not happen, reliability is inf.

    Parameters
    ----------
    bins : int >= 1
        The number of bins.

    Examples
    --------
    >>> import isoloss as il
    >>> il.LogLossDecomposition(bins=2)([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 0])
    array([0.21576155, 0.21576155, 0.56233514])

    References
    ----------
    Weijs, van Nooijen and van de Giesen (2010), *Kullback-Leibler Divergence as a Forecast Skill
    Score with Classic Reliability-Resolution-Uncertainty Decomposition*, in bits.
    """

    bins: Count = 10

    @property
    def source(self) -> Any:
        return "probabilities of both labels in bins", self.bins

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Counts:
        sure = self._inside(xp, prediction, target, prediction)
        index = _bin_of(xp, sure, self.bins)
        return total.counts(index, self.bins, sure, 1 - sure, target, 1 - target)

    def formula(self, xp: Namespace, state: Counts) -> Array:
        number, sure, unsure, ones, zeros = _rows(state, 5)
        whole = xp.sum(number, axis=-1, keepdims=True)
        of_each = (_information(xp, number, *pair) for pair in ((sure, ones), (unsure, zeros)))
        parts = [ratio(xp, one + two, whole[..., 0]) for one, two in zip(*of_each, strict=True)]
        return xp.stack(parts, axis=-1)


# --- bins of equal weights ------------------------------------------------------------------------


def _of_equal_bins(xp: Namespace, state: Samples, bins: int, first: int) -> Array:
    """Return the mean over classes, the first of them of that label, of the gap over their bins."""
    if state.values.shape[-1] == 0:
        return state.weight.value  # nothing to sort; `empty` takes its place
    counted = xp.expand_dims(state.weights > 0, axis=-2)  # of other groups, even nan is no matter
    values = xp.where(counted, state.values, xp.zeros_like(state.values))
    sure, label = values[..., :-1, :], values[..., -1:, :]
    number = xp.cumulative_sum(xp.ones_like(sure), axis=-2) - 1
    right = xp.astype(label == number + first, xp.computing)
    weights = xp.expand_dims(xp.astype(state.weights, xp.computing), axis=-2)
    arrays = (sure, right, xp.broadcast_to(weights, sure.shape))
    gaps = _gap(xp, bins, *(xp.reshape(x, (-1, sure.shape[-1])) for x in arrays))
    return xp.mean(xp.reshape(gaps, sure.shape[:-1]), axis=-1)


def _gap(xp: Namespace, bins: int, sure: Array, right: Array, weights: Array) -> Array:
    """Return the mean gap between probability and what came true, over bins of equal weight.

    In the order of probability, the gaps are added up, and a bin has what they grow by from one of
    its edges to the other. An edge among samples of one probability divides all of them alike.
    """
    n = sure.shape[-1]
    place = _places(xp, xp.stop_gradient(sure))
    here, gap = (xp.bins(place, x, n) for x in (weights, weights * (right - sure)))
    upto, gaps = (xp.cumulative_sum(x, axis=-1) for x in (here, gap))
    whole, last = upto[..., -1:], gaps[..., -1:]
    reached = [xp.zeros_like(last)]
    for k in range(1, bins):
        edge = whole * (k / bins)
        index = xp.sum(xp.astype(upto <= edge, xp.counting), axis=-1, keepdims=True)
        index = xp.clip(index, max=n - 1)
        beyond, width, rise, total = (
            xp.take_along_axis(x, index, axis=-1) for x in (upto, here, gap, gaps)
        )
        reached.append(total - rise * ratio(xp, beyond - edge, width, 0.0))
    reached.append(last)
    steps = (xp.abs(b - a) for a, b in pairwise(reached))
    return ratio(xp, xp.sum(xp.concat(list(steps), axis=-1), axis=-1), whole[..., 0])


def _places(xp: Namespace, x: Array) -> Array:
    """Return the place of each number among the different ones in sorted order."""
    order = xp.argsort(x, axis=-1)
    x = xp.take_along_axis(x, order, axis=-1)
    at = xp.places(x)
    new = x != xp.take_along_axis(x, xp.clip(at - 1, min=0), axis=-1)
    new = new & (at > 0)  # nan differs from itself: all of a row would have one number too many
    place = xp.cumulative_sum(xp.astype(new, xp.counting), axis=-1)
    return xp.take_along_axis(place, xp.argsort(order, axis=-1), axis=-1)


@final
@dataclass(frozen=True)
class AdaptiveCalibrationError(Metric):
    r"""Adaptive calibration error: over bins of equal weight, of every class's probability.

    .. math:: \frac{1}{K B} \sum_c \sum_b |\bar y_{bc} - \bar p_{bc}|

    with the share of class c and the mean of its probability in bin b: the b-th of the B parts of
    equal weight into which the samples fall in the order of that probability, of K classes.

    Kind: sorted whole; predictions ``(..., classes)`` probabilities, nan outside 0 to 1; targets
    ``(...)`` integers from 0 to classes - 1, nan outside. Its state is the data: merging
    concatenates, so it does not stream in constant memory (`ClasswiseCalibrationError` does).
    Weights are divided exactly: an edge inside a sample, or among samples of one probability, gives
    each side its part of them all, so the order of samples does not matter. Where a bin's
    difference is 0 its subgradient is 0.

    Parameters
    ----------
    bins : int >= 1
        The number of bins of each class.

    Examples
    --------
    >>> import isoloss as il
    >>> il.AdaptiveCalibrationError(bins=2)([[0.75, 0.25], [0.25, 0.75]], [0, 0])
    np.float64(0.5)

    References
    ----------
    Nixon et al. (2019), *Measuring Calibration in Deep Learning*, where bins have the same number
    of samples but for the last.
    """

    signature: ClassVar[str] = "(classes),()->()"
    kind: ClassVar[str] = "sorted whole"
    domain: ClassVar[Domain] = Domain(UNIT, Labels())
    bins: Count = 15

    @property
    def source(self) -> Any:
        return "samples of probabilities and label"

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Samples:
        first, *rest = (prediction[..., k] for k in range(prediction.shape[-1]))
        first = self._inside(xp, prediction, target, first)
        return total.samples(first, *rest, xp.astype(target, xp.computing))

    def formula(self, xp: Namespace, state: Samples) -> Array:
        return _of_equal_bins(xp, state, self.bins, 0)


@final
@dataclass(frozen=True)
class BinaryAdaptiveCalibrationError(Metric):
    r"""Adaptive calibration error of probabilities of the label 1: over bins of equal weight.

    .. math:: \frac{1}{B} \sum_b |\bar y_b - \bar p_b|

    with the share of labels 1 and the mean probability in bin b: the b-th of the B parts of equal
    weight into which the samples fall in the order of probability.

    Kind: sorted whole; predictions ``(...)`` probabilities, nan outside 0 to 1; targets ``(...)`` 0
    or 1, of any dtype, nan otherwise. Its state is the data: merging concatenates, so it does not
    stream in constant memory (`BinaryExpectedCalibrationError` does). Weights are divided exactly:
    an edge inside a sample, or among samples of one probability, gives each side its part of them
    all, so the order of samples does not matter. Where a bin's difference is 0 its subgradient
    is 0.

    Parameters
    ----------
    bins : int >= 1
        The number of bins.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinaryAdaptiveCalibrationError(bins=2)([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 0])
    np.float64(0.25)

    References
    ----------
    Nguyen and O'Connor (2015), *Posterior calibration and exploratory analysis for natural language
    processing models*; Nixon et al. (2019).
    """

    kind: ClassVar[str] = "sorted whole"
    domain: ClassVar[Domain] = Domain(UNIT, ZERO_OR_ONE)
    bins: Count = 15

    @property
    def source(self) -> Any:
        return "samples of probability and label"

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Samples:
        return total.samples(self._inside(xp, prediction, target, prediction), target)

    def formula(self, xp: Namespace, state: Samples) -> Array:
        return _of_equal_bins(xp, state, self.bins, 1)


# --- the members most people call -----------------------------------------------------------------

expected_calibration_error = ExpectedCalibrationError()
binary_expected_calibration_error = BinaryExpectedCalibrationError()
classwise_calibration_error = ClasswiseCalibrationError()
adaptive_calibration_error = AdaptiveCalibrationError()
binary_adaptive_calibration_error = BinaryAdaptiveCalibrationError()
brier_decomposition = BrierDecomposition()
log_loss_decomposition = LogLossDecomposition()
