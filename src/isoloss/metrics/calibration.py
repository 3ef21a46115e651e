"""Calibration: agreement of predicted probabilities with observed frequencies.

Samples are grouped into bins of predicted probability. Bins of equal width need constant memory.
Bins of equal weight need all samples in sorted order.
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
    """Return the bin of each probability, in ascending order; an edge belongs to the bin below."""
    edges = tuple(-_rounded(k / bins, xp.eps) for k in range(bins - 1, 0, -1))
    from_the_top = xp.bin_of(-sure, edges)
    return xp.where(from_the_top < 0, from_the_top, bins - 1 - from_the_top)


def _rounded(x: float, eps: float) -> float:
    """Round to the spacing ``eps`` of a dtype, so that 0.3 in float32 is at the edge 0.3."""
    fraction, exponent = math.frexp(x)
    return math.ldexp(round(fraction * 2 / eps) * eps / 2, exponent)


def _rows(state: Counts, number: int) -> tuple[Array, ...]:
    """Return the count of each bin, and the other sums of each bin."""
    matrix = state.matrix(number)
    return tuple(matrix[..., k, :] for k in range(number))


def _calibration_error(xp: Namespace, rows: Sequence[Array], norm: str) -> Array:
    """Return the norm over bins of the gap between mean probability and observed frequency."""
    number, sure, right = rows
    share = ratio(xp, number, xp.sum(number, axis=-1, keepdims=True) + 0 * number)
    gap = xp.abs(ratio(xp, right - sure, number, 0.0))
    if norm == "max":
        return xp.max(gap, axis=-1)
    if norm == "l2":
        return xp.sqrt(xp.sum(share * gap * gap, axis=-1))
    return xp.sum(share * gap, axis=-1)


def _diagram(xp: Namespace, number: Array, sure: Array, right: Array) -> Array:
    """Return the weight, the mean probability and the observed frequency of each bin."""
    return xp.stack([number, ratio(xp, sure, number), ratio(xp, right, number)], axis=-2)


# --- bins of equal width --------------------------------------------------------------------------


class _OfConfidence(Metric):
    """A metric of the confidence (the largest probability) of each sample, in bins."""

    signature: ClassVar[str] = "(classes),()->()"
    kind: ClassVar[str] = "counts"
    domain: ClassVar[Domain] = Domain(UNIT, Labels())
    bins: int

    @property
    def source(self) -> Any:
        return "confidence in bins", self.bins

    @final
    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Counts:
        """Sum the confidence and the correct predictions in each bin."""
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
        """Sum the probabilities and the labels in each bin."""
        sure = self._inside(xp, prediction, target, prediction)
        return total.counts(_bin_of(xp, sure, self.bins), self.bins, sure, target)


@final
@dataclass(frozen=True)
class ExpectedCalibrationError(_OfConfidence):
    r"""Expected calibration error: the gap between confidence and accuracy, averaged over bins.

    .. math:: \left(\sum_b \frac{n_b}{n} |acc_b - conf_b|^k\right)^{1/k}

    acc_b is the accuracy and conf_b is the mean confidence of the n_b samples in bin b.

    Predictions are probabilities. The predicted label is the first class with the largest
    probability. The confidence is the largest probability. Bins have equal width; a confidence at
    an edge belongs to the bin below the edge. If the difference of a bin is 0, the subgradient of
    the bin is 0.

    Parameters
    ----------
    bins : int >= 1
        The number of bins.
    norm : {"l1", "l2", "max"}
        "l1" uses k = 1, "l2" uses k = 2, and "max" gives the largest difference of non-empty bins.

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

    The bars denote the share of labels 1 and the mean probability of the n_b samples in bin b.

    Predictions are probabilities of the label 1. Targets may have any dtype. Bins have equal width
    from 0 to 1; a probability at an edge belongs to the bin below the edge. If the difference of a
    bin is 0, the subgradient of the bin is 0.

    Parameters
    ----------
    bins : int >= 1
        The number of bins.
    norm : {"l1", "l2", "max"}
        "l1" uses k = 1, "l2" uses k = 2, and "max" gives the largest difference of non-empty bins.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinaryExpectedCalibrationError(bins=2)([0.25, 0.25, 0.75, 0.75], [0, 0, 1, 0])
    np.float64(0.25)

    References
    ----------
    Naeini et al. (2015); torchmetrics's ``binary_calibration_error``. With the probabilities of
    both classes, `ExpectedCalibrationError` uses bins of the larger probability, which lies between
    1/2 and 1.
    """

    bins: Count = 15
    norm: Literal["l1", "l2", "max"] = "l1"

    def formula(self, xp: Namespace, state: Counts) -> Array:
        return _calibration_error(xp, _rows(state, 3), self.norm)


@final
@dataclass(frozen=True)
class ClasswiseCalibrationError(Metric):
    r"""Classwise expected calibration error: the mean of the calibration errors of all classes.

    .. math:: \frac{1}{K} \sum_c \sum_b \frac{n_{bc}}{n} |\bar y_{bc} - \bar p_{bc}|

    K is the number of classes. The bars denote the share of class c and the mean probability of
    class c, over the n_bc samples with this probability in bin b.

    Predictions are probabilities. Bins have equal width; a probability at an edge belongs to the
    bin below the edge. If the difference of a bin is 0, the subgradient of the bin is 0.

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
    r"""Reliability diagram: the weight, mean confidence and accuracy of each bin of confidence.

    .. math:: (n_b, \, conf_b, \, acc_b)

    The result has the shape ``(3, bins)``, after the axes that are not reduced. The first bin is
    the bin next to 0.

    Predictions are probabilities. The predicted label is the first class with the largest
    probability. The confidence is the largest probability. Bins have equal width; a confidence at
    an edge belongs to the bin below the edge. The means of an empty bin are nan, which plots omit.

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
    r"""Reliability diagram of probabilities of the label 1: the weight and both means of each bin.

    .. math:: (n_b, \, \bar p_b, \, \bar y_b)

    The bars denote the mean probability and the share of labels 1. The result has the shape
    ``(3, bins)``, after the axes that are not reduced. The first bin is the bin next to 0.

    Predictions are probabilities of the label 1. Targets may have any dtype. Bins have equal width;
    a probability at an edge belongs to the bin below the edge. The means of an empty bin are nan,
    which plots omit.

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
    Temperature*; scikit-learn's ``calibration_curve``, which omits empty bins.
    """

    bins: Count = 15

    def formula(self, xp: Namespace, state: Counts) -> Array:
        return _diagram(xp, *_rows(state, 3))


# --- decompositions of scores ---------------------------------------------------------------------


@final
@dataclass(frozen=True)
class BrierDecomposition(_OfProbability):
    r"""Decomposition of the Brier score into reliability, resolution and uncertainty.

    .. math:: \sum_b \frac{n_b}{n} (\bar p_b - \bar y_b)^2, \quad
        \sum_b \frac{n_b}{n} (\bar y_b - \bar y)^2, \quad \bar y (1 - \bar y)

    Bars denote means: with the index b over the n_b samples in bin b, otherwise over all samples.
    The result is an array of these three parts, after the axes that are not reduced. Reliability
    minus resolution plus uncertainty is the Brier score after each probability is replaced by the
    mean of its bin. The replacement has no effect if all probabilities in each bin are equal.

    Predictions are probabilities of the label 1. Targets may have any dtype. Bins have equal width;
    a probability at an edge belongs to the bin below the edge. Low reliability and high resolution
    are good; uncertainty depends only on the labels. For one of several classes, pass the
    probabilities of the class and ``labels == c``.

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
    Jolliffe (2008), *Two Extra Components in the Brier Score Decomposition*, on the variation
    within bins.
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
    """Return ``y log(y / p) - y + p``, where 0 log 0 is 0.

    The sum of these terms for both labels is a Kullback-Leibler divergence. No term is negative, so
    the sum does not cancel where p is near y.
    """
    none = p == 0
    known = xp.where(none, xp.ones_like(p), p)
    terms = xp.tweedie_deviance(known, xp.where(none, xp.ones_like(y), y), 1) / 2
    return xp.where(none, xp.where(y == 0, 0.0, math.inf), terms)


def _information(xp: Namespace, number: Array, sure: Array, right: Array) -> tuple[Array, ...]:
    """Return the contributions of one label to reliability, resolution and uncertainty."""
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
    r"""Decomposition of the log loss into reliability, resolution and uncertainty, in nats.

    .. math:: \sum_b \frac{n_b}{n} D(\bar y_b \| \bar p_b), \quad
        \sum_b \frac{n_b}{n} D(\bar y_b \| \bar y), \quad
        -\bar y \log \bar y - (1 - \bar y) \log(1 - \bar y)

    D is the Kullback-Leibler divergence. Bars denote means: with the index b over the n_b samples
    in bin b, otherwise over all samples. The result is an array of these three parts, after the
    axes that are not reduced. Reliability minus resolution plus uncertainty is the log loss after
    each probability is replaced by the mean of its bin. The replacement has no effect if all
    probabilities in each bin are equal.

    Predictions are probabilities of the label 1. Targets may have any dtype. Bins have equal width;
    a probability at an edge belongs to the bin below the edge. If all probabilities in a bin are 0
    for a label that occurs in the bin, reliability is inf.

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


# --- bins of equal weight -------------------------------------------------------------------------


def _of_equal_bins(xp: Namespace, state: Samples, bins: int, first: int) -> Array:
    """Return the mean over classes, numbered from ``first``, of the gap over their bins."""
    if state.values.shape[-1] == 0:
        return state.weight.value  # no samples to sort; the option `empty` gives the value
    counted = xp.expand_dims(state.weights > 0, axis=-2)  # nan in another group has no effect
    values = xp.where(counted, state.values, xp.zeros_like(state.values))
    sure, label = values[..., :-1, :], values[..., -1:, :]
    number = xp.cumulative_sum(xp.ones_like(sure), axis=-2) - 1
    right = xp.astype(label == number + first, xp.computing)
    weights = xp.expand_dims(xp.astype(state.weights, xp.computing), axis=-2)
    arrays = (sure, right, xp.broadcast_to(weights, sure.shape))
    gaps = _gap(xp, bins, *(xp.reshape(x, (-1, sure.shape[-1])) for x in arrays))
    return xp.mean(xp.reshape(gaps, sure.shape[:-1]), axis=-1)


def _gap(xp: Namespace, bins: int, sure: Array, right: Array, weights: Array) -> Array:
    """Return the mean gap between probability and observed frequency, in bins of equal weight.

    The gaps are accumulated in the order of the probabilities. The gap of a bin is the increase of
    the accumulated gap between the edges of the bin. An edge among samples of equal probability
    divides all of these samples in the same proportion.
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
    """Return the rank of each number among the distinct numbers, in ascending order."""
    order = xp.argsort(x, axis=-1)
    x = xp.take_along_axis(x, order, axis=-1)
    at = xp.places(x)
    new = x != xp.take_along_axis(x, xp.clip(at - 1, min=0), axis=-1)
    new = new & (at > 0)  # the first number has no predecessor; nan differs from itself
    place = xp.cumulative_sum(xp.astype(new, xp.counting), axis=-1)
    return xp.take_along_axis(place, xp.argsort(order, axis=-1), axis=-1)


@final
@dataclass(frozen=True)
class AdaptiveCalibrationError(Metric):
    r"""Adaptive calibration error: the calibration error of every class, over bins of equal weight.

    .. math:: \frac{1}{K B} \sum_c \sum_b |\bar y_{bc} - \bar p_{bc}|

    K is the number of classes, and B is the number of bins. For each class c, the samples are
    sorted by the probability of the class and divided into bins of equal weight. The bars denote
    the share of class c and the mean probability of class c in bin b.

    Predictions are probabilities. Weights are divided exactly: an edge inside a sample, or among
    samples of equal probability, divides the weight of all these samples in the same proportion.
    The order of the samples does not change the result. If the difference of a bin is 0, the
    subgradient of the bin is 0. `ClasswiseCalibrationError` needs only constant memory.

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
    Nixon et al. (2019), *Measuring Calibration in Deep Learning*, where all bins except the last
    have the same number of samples.
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
    r"""Adaptive calibration error of probabilities of the label 1, over bins of equal weight.

    .. math:: \frac{1}{B} \sum_b |\bar y_b - \bar p_b|

    The samples are sorted by probability and divided into B bins of equal weight. The bars denote
    the share of labels 1 and the mean probability in bin b.

    Predictions are probabilities of the label 1. Targets may have any dtype. Weights are divided
    exactly: an edge inside a sample, or among samples of equal probability, divides the weight of
    all these samples in the same proportion. The order of the samples does not change the result.
    If the difference of a bin is 0, the subgradient of the bin is 0.
    `BinaryExpectedCalibrationError` needs only constant memory.

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


# --- default instances ----------------------------------------------------------------------------

expected_calibration_error = ExpectedCalibrationError()
binary_expected_calibration_error = BinaryExpectedCalibrationError()
classwise_calibration_error = ClasswiseCalibrationError()
adaptive_calibration_error = AdaptiveCalibrationError()
binary_adaptive_calibration_error = BinaryAdaptiveCalibrationError()
brier_decomposition = BrierDecomposition()
log_loss_decomposition = LogLossDecomposition()
