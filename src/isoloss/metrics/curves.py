"""Curves: areas under the ROC curve and the precision-recall curve of binary labels.

In the formulas, s is a score, y the label and w the weight of a sample. For `ROCAUC` and
`BinnedROCAUC`, P and N are the total weights of the labels 1 and 0. Samples with equal scores are
ties: their order does not change the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, final

from .._core.domains import REAL, ZERO_OR_ONE, Domain
from .._core.metric import Metric
from .._core.parameters import Numbers
from .._core.states import Counts, Samples, ratio
from .._core.totals import Totals
from .._core.types import Array, Namespace

__all__ = [
    "ROCAUC",
    "AveragePrecision",
    "BinnedAveragePrecision",
    "BinnedROCAUC",
    "average_precision_score",
    "roc_auc_score",
]


def _area(xp: Namespace, positive: Array, negative: Array) -> Array:
    """Return the area under the ROC curve, from weights in descending score order."""
    before = xp.cumulative_sum(positive, axis=-1) - positive / 2  # a tie counts one half
    p, n = (xp.sum(x, axis=-1) for x in (positive, negative))
    return ratio(xp, ratio(xp, xp.sum(before * negative, axis=-1), n), p)


def _average_precision(xp: Namespace, positive: Array, negative: Array) -> Array:
    """Return the mean precision over the labels 1, from weights in descending score order."""
    found = xp.cumulative_sum(positive, axis=-1)
    seen = xp.cumulative_sum(positive + negative, axis=-1)
    precision = ratio(xp, found, seen, 0.0)
    return ratio(xp, xp.sum(positive * precision, axis=-1), xp.sum(positive, axis=-1))


class _OfSamples(Metric):
    """A metric of sorted scores and their labels."""

    kind: ClassVar[str] = "sorted whole"
    greater_is_better: ClassVar[bool] = True
    domain: ClassVar[Domain] = Domain(REAL, ZERO_OR_ONE)

    @property
    def source(self) -> Any:
        return "samples of score and label"

    @final
    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Samples:
        """Keep the samples."""
        return total.samples(self._inside(xp, prediction, target, prediction), target)


@final
@dataclass(frozen=True)
class ROCAUC(_OfSamples):
    r"""Area under the ROC curve: the share of correctly ordered pairs of labels 1 and 0.

    .. math:: \frac{1}{P N} \sum_{y_i = 1} \sum_{y_j = 0} w_i w_j
        \left([s_i > s_j] + \tfrac{1}{2} [s_i = s_j]\right)

    Predictions may be logits, probabilities or other scores: only their order matters. If only one
    label occurs, the result is nan, as in scikit-learn. `BinnedROCAUC` needs only constant memory.
    Gradient 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.roc_auc_score([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    np.float64(0.75)

    References
    ----------
    Mann and Whitney (1947); Hanley and McNeil (1982); scikit-learn's ``roc_auc_score``.
    """

    def formula(self, xp: Namespace, state: Samples) -> Array:
        return _area(xp, *state.thresholds())


@final
@dataclass(frozen=True)
class AveragePrecision(_OfSamples):
    r"""Average precision: the mean over the labels 1 of the precision at their scores.

    .. math:: \sum_k (R_k - R_{k - 1}) P_k

    P_k and R_k are the precision and the recall of the samples down to the k-th highest score.

    Predictions may be logits, probabilities or other scores: only their order matters. If no label
    is 1, the result is nan; scikit-learn returns 0 and warns. `BinnedAveragePrecision` needs only
    constant memory. Gradient 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.average_precision_score([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    np.float64(0.8333333333333333)

    References
    ----------
    Buckley and Voorhees (2000); scikit-learn's ``average_precision_score``.
    """

    def formula(self, xp: Namespace, state: Samples) -> Array:
        return _average_precision(xp, *state.thresholds())


class _OfBins(Metric):
    """A metric of the counts of both labels in bins between thresholds."""

    kind: ClassVar[str] = "counts"
    greater_is_better: ClassVar[bool] = True
    domain: ClassVar[Domain] = Domain(REAL, ZERO_OR_ONE)
    thresholds: Numbers

    @property
    def source(self) -> Any:
        return "scores between thresholds", self.thresholds

    @final
    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Counts:
        """Count both labels in each bin."""
        bins = len(self.thresholds) + 1
        known = (target == 0) | (target == 1)
        index = xp.bin_of(prediction, tuple(sorted(self.thresholds)))
        place = index + bins * xp.astype(target > 0, xp.counting)
        index = xp.where(known & (index >= 0), place, xp.full_like(place, -1))
        return total.counts(index, 2 * bins)

    def _of_labels(self, xp: Namespace, state: Counts) -> tuple[Array, Array]:
        """Return the counts of the labels 1 and 0, with the highest scores first."""
        both = xp.flip(state.matrix(2), axis=-1)
        return both[..., 1, :], both[..., 0, :]


@final
@dataclass(frozen=True)
class BinnedROCAUC(_OfBins):
    r"""Area under the ROC curve, computed from counts of scores between thresholds.

    .. math:: \frac{1}{P N} \sum_k N_k \left(\sum_{l > k} P_l + \tfrac{1}{2} P_k\right)

    P_k and N_k are the weights of the labels 1 and 0 in bin k.

    A bin contains the scores from one threshold up to, but not including, the next. Scores in one
    bin count as equal. If every score is a threshold, the value equals `ROCAUC`. If only one label
    occurs, the result is nan. Gradient 0.

    Parameters
    ----------
    thresholds : tuple of float
        The thresholds, in any order and on any scale: logits, probabilities or quantiles of the
        scores.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinnedROCAUC(thresholds=(-2.0, 0.0, 2.0))([-3.0, -1.0, 1.0, 3.0], [0, 1, 0, 1])
    np.float64(0.75)

    References
    ----------
    Hanley and McNeil (1982). Keras and torchmetrics use a uniform grid on [0, 1], for which small
    scores all fall into one bin.
    """

    thresholds: Annotated[Numbers, REAL]

    def formula(self, xp: Namespace, state: Counts) -> Array:
        return _area(xp, *self._of_labels(xp, state))


@final
@dataclass(frozen=True)
class BinnedAveragePrecision(_OfBins):
    r"""Average precision, computed from counts of scores between thresholds.

    .. math:: \sum_k (R_k - R_{k - 1}) P_k

    P_k and R_k are the precision and the recall of the samples down to the k-th highest threshold.

    A bin contains the scores from one threshold up to, but not including, the next. Scores in one
    bin count as equal. If every score is a threshold, the value equals `AveragePrecision`. If no
    label is 1, the result is nan. Gradient 0.

    Parameters
    ----------
    thresholds : tuple of float
        The thresholds, in any order and on any scale: logits, probabilities or quantiles of the
        scores.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinnedAveragePrecision(thresholds=(0.25, 0.5))([0.1, 0.3, 0.6, 0.9], [0, 1, 0, 1])
    np.float64(0.5833333333333333)

    References
    ----------
    Buckley and Voorhees (2000).
    """

    thresholds: Annotated[Numbers, REAL]

    def formula(self, xp: Namespace, state: Counts) -> Array:
        return _average_precision(xp, *self._of_labels(xp, state))


# --- default instances ----------------------------------------------------------------------------

roc_auc_score = ROCAUC()
average_precision_score = AveragePrecision()
