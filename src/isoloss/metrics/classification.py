"""Classification: cross-entropies, hinge losses and accuracies for one label per sample.

In the formulas, z is a logit, p is a probability, y is the label, c is a class, and
s(z) = 1 / (1 + exp(-z)) is the sigmoid function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, final

from .._core.domains import (
    LOG_PROBABILITY,
    LOGITS,
    NON_NEGATIVE,
    REAL,
    UNIT,
    ZERO_OR_ONE,
    Domain,
    Interval,
    Labels,
)
from .._core.metric import Loss, SquaredLoss
from .._core.parameters import (
    Count,
    Integer,
    NonNegative,
    Number,
    Numbers,
    Positive,
    Share,
    is_zero,
)
from .._core.types import Array, Namespace
from .._core.wrappers import Exp

__all__ = [
    "Accuracy",
    "BinaryCrossEntropy",
    "BrierScore",
    "Hinge",
    "LogLoss",
    "MulticlassBrierScore",
    "MulticlassHinge",
    "NegativeLogLikelihood",
    "SigmoidCrossEntropy",
    "SigmoidFocal",
    "SoftmaxCrossEntropy",
    "SoftmaxCrossEntropyWithProbabilities",
    "SoftmaxFocal",
    "SquaredHinge",
    "TopKAccuracy",
    "ZeroOneLoss",
    "accuracy",
    "bce",
    "bce_with_logits",
    "binary_cross_entropy",
    "brier_score",
    "cross_entropy",
    "hinge",
    "log_loss",
    "multiclass_brier_score",
    "multiclass_hinge",
    "negative_log_likelihood",
    "nll",
    "perplexity",
    "sigmoid_cross_entropy",
    "sigmoid_focal",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_probabilities",
    "softmax_focal",
    "squared_hinge",
    "top_k_accuracy",
    "zero_one_loss",
]

MINUS_ONE_OR_ONE = Interval(-1.0, 1.0).without(-1.0, 1.0)

# --- binary labels --------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class SigmoidCrossEntropy(Loss):
    r"""Binary cross-entropy of labels, from logits.

    .. math:: -w_+ \, y \log s(z) - (1 - y) \log s(-z)

    A smoothed label ``y (1 - label_smoothing) + label_smoothing / 2`` replaces y.

    Predictions are logits, and may be ±inf. Targets may be soft labels. The value and its first and
    second derivatives are accurate for every logit: no large numbers are subtracted, and no
    probability is rounded to 1.

    Parameters
    ----------
    pos_weight : float > 0, optional
        The weight w_+ of the positive labels, or an array with one weight per class.
    label_smoothing : 0 <= float <= 1
        The share of each label that is spread evenly over both classes.

    Examples
    --------
    >>> import isoloss as il
    >>> il.sigmoid_cross_entropy([-15.0, 0.0], [0.0, 1.0], reduction="none")
    array([3.05902274e-07, 6.93147181e-01])

    References
    ----------
    Cox (1958), *The Regression Analysis of Binary Sequences*. torch's
    ``binary_cross_entropy_with_logits``, optax's ``sigmoid_binary_cross_entropy``.
    """

    domain: ClassVar[Domain] = Domain(targets=UNIT)

    pos_weight: Positive | None = None
    label_smoothing: Share = 0.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        if self.pos_weight is None and is_zero(self.label_smoothing):
            return xp.sigmoid_cross_entropy(prediction, target)
        yes, no = _smoothed(target, self.label_smoothing)
        yes = yes if self.pos_weight is None else yes * self.pos_weight
        return xp.sigmoid_cross_entropy(prediction, yes, no)


@final
@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    r"""Binary cross-entropy of labels, from probabilities.

    .. math:: -y \log p - (1 - y) \log(1 - p)

    A smoothed label ``y (1 - label_smoothing) + label_smoothing / 2`` replaces y.

    Predictions are probabilities of the label 1. Targets may be soft labels. A probability of 0 for
    the observed label gives inf; probabilities are not clipped (torch limits the loss to 100, Keras
    to 16.1). A term with the factor 0 is 0, with derivative 0.

    Parameters
    ----------
    label_smoothing : 0 <= float <= 1
        The share of each label that is spread evenly over both classes.

    Examples
    --------
    >>> import isoloss as il
    >>> il.binary_cross_entropy([0.75, 0.0], [1.0, 0.0], reduction="none")
    array([0.28768207, 0.        ])

    References
    ----------
    Good (1952), *Rational Decisions*; scikit-learn's ``log_loss`` for two classes.
    `sigmoid_cross_entropy` takes logits, and is equally accurate near the probabilities 0 and 1.
    """

    domain: ClassVar[Domain] = Domain(UNIT, UNIT)

    label_smoothing: Share = 0.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        if is_zero(self.label_smoothing):
            return xp.binary_cross_entropy(prediction, target)
        return xp.binary_cross_entropy(prediction, *_smoothed(target, self.label_smoothing))


def _smoothed(label: Array, share: Number) -> tuple[Array, Array]:
    """Return the weights of both classes, after a share of the label is spread over both."""
    if is_zero(share):
        return label, 1 - label
    kept, spread = 1 - share, share / 2
    return kept * label + spread, kept * (1 - label) + spread


@final
@dataclass(frozen=True)
class SigmoidFocal(Loss):
    r"""Focal loss: binary cross-entropy that down-weights confident correct predictions.

    .. math:: -\alpha_y (1 - q)^\gamma \log q, \quad q = s(z) \text{ for y = 1}, \; s(-z)
        \text{ for y = 0}

    Predictions are logits, and may be ±inf.

    Parameters
    ----------
    gamma : float >= 0
        The strength of the down-weighting; 0 gives the cross-entropy.
    alpha : 0 <= float <= 1, optional
        The weight of the label 1; the label 0 has the weight 1 - alpha. By default, both weights
        are 1.

    Examples
    --------
    >>> import isoloss as il
    >>> il.SigmoidFocal(gamma=2.0, alpha=0.25)([0.0], [1.0])
    np.float64(0.04332169878499658)

    References
    ----------
    Lin et al. (2017), *Focal Loss for Dense Object Detection*. The default alpha is 0.25 in
    torchvision and None in optax; Keras applies an alpha only on request.
    """

    domain: ClassVar[Domain] = Domain(targets=ZERO_OR_ONE)

    gamma: NonNegative = 2.0
    alpha: Share | None = None

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        yes = target > 0
        loss = _focal(xp, xp.where(yes, -prediction, prediction), self.gamma)
        return loss if self.alpha is None else xp.where(yes, self.alpha, 1 - self.alpha) * loss


@final
@dataclass(frozen=True)
class Hinge(Loss):
    r"""Hinge loss: the amount by which a score misses the margin.

    .. math:: \max(0, m - y z)

    Predictions are scores, and m is the margin. Labels 0 and 1 are not converted: pass
    ``2 * labels - 1``. Subgradient 0 at ``y z = margin``.

    Parameters
    ----------
    margin : float >= 0
        The score at which the loss of a correct prediction becomes 0. A margin of 0 gives the
        perceptron criterion.

    Examples
    --------
    >>> import isoloss as il
    >>> il.hinge([0.25, 3.0], [1.0, -1.0], reduction="none")
    array([0.75, 4.  ])

    References
    ----------
    Cortes and Vapnik (1995), *Support-Vector Networks*; scikit-learn's ``hinge_loss`` and Keras's
    ``hinge``, which converts labels 0 to -1.
    """

    domain: ClassVar[Domain] = Domain(targets=MINUS_ONE_OR_ONE)

    margin: NonNegative = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return _shortfall(xp, prediction, target, self.margin)


@final
@dataclass(frozen=True)
class SquaredHinge(SquaredLoss):
    r"""Squared hinge loss.

    .. math:: \max(0, m - y z)^2

    Predictions are scores, and m is the margin. At ``y z = margin`` the first and second
    derivatives are 0.

    Parameters
    ----------
    margin : float >= 0
        The score at which the loss of a correct prediction becomes 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.squared_hinge([0.5, 3.0], [1.0, -1.0], reduction="none")
    array([ 0.25, 16.  ])

    References
    ----------
    Lee and Mangasarian (2001), *SSVM*; Keras's ``squared_hinge``.
    """

    domain: ClassVar[Domain] = Domain(targets=MINUS_ONE_OR_ONE)

    margin: NonNegative = 1.0

    def residual(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return _shortfall(xp, prediction, target, self.margin)


def _shortfall(xp: Namespace, score: Array, label: Array, margin: Number) -> Array:
    short = margin - label * score
    return xp.where(short <= 0, 0.0, short)  # nan stays nan


@final
@dataclass(frozen=True)
class BrierScore(SquaredLoss):
    r"""Brier score: the squared error of a probability.

    .. math:: (p - y)^2

    Predictions are probabilities of the label 1. Targets may be soft labels. Despite the name,
    lower is better.

    Examples
    --------
    >>> import isoloss as il
    >>> il.brier_score([0.75, 0.5], [1.0, 0.0])
    np.float64(0.15625)

    References
    ----------
    Brier (1950), *Verification of Forecasts Expressed in Terms of Probability*, with a sum over
    both classes: ``Scaled(brier_score, 2)``. scikit-learn's ``brier_score_loss``.
    """

    domain: ClassVar[Domain] = Domain(UNIT, UNIT)

    def residual(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return prediction - target


# --- labels of several classes --------------------------------------------------------------------


@final
@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    r"""Softmax cross-entropy of integer labels, from logits.

    .. math:: \log \sum_c \exp z_c - z_y

    Predictions are logits; a logit of -inf excludes a class. The value and its first and second
    derivatives are accurate for all logits: the loss is computed from the odds of the other
    classes, so the small losses of confident predictions keep all their digits. If the classes are
    not on the last axis, pass ``event_axis``, for example ``event_axis=1``.

    Parameters
    ----------
    ignore_index : int, optional
        Samples with this label are excluded, as with ``where``.
    label_smoothing : 0 <= float <= 1
        The share of each label that is spread evenly over all classes.
    class_weights : tuple of float >= 0, optional
        The weight of each class. The weighted sum of the losses is divided by the sum of the
        weights of the labels.
    z_loss : float >= 0
        The factor of an additional term, the square of ``log sum exp z``.

    Examples
    --------
    >>> import isoloss as il
    >>> il.softmax_cross_entropy([[20.0, 0.0, 0.0]], [0])
    np.float64(4.1223072363804075e-09)

    References
    ----------
    Bridle (1990); label smoothing: Szegedy et al. (2016); z-loss: Chowdhery et al. (2022), *PaLM*.
    torch's ``cross_entropy`` expects the classes on axis 1 and ignores the label -100 by default.
    optax's ``softmax_cross_entropy_with_integer_labels`` treats the label -1 as the last class.
    """

    signature: ClassVar[str] = "(classes),()->()"
    domain: ClassVar[Domain] = Domain(LOGITS, Labels())
    ignore_index: Integer | None = None
    label_smoothing: Share = 0.0
    class_weights: Annotated[Numbers, NON_NEGATIVE] | None = None
    z_loss: NonNegative = 0.0

    @property
    def sizes(self) -> dict[str, int]:
        return _as_many(self.class_weights)

    def included(self, xp: Namespace, target: Array) -> Array | None:
        return None if self.ignore_index is None else target != self.ignore_index

    def importance(self, xp: Namespace, target: Array) -> Array | None:
        return None if self.class_weights is None else xp.chosen(self.class_weights, target)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        loss = xp.label_cross_entropy(prediction, target)
        if not is_zero(self.label_smoothing):
            loss = loss + self.label_smoothing * self._spread(xp, prediction, target, loss)
        return loss if is_zero(self.z_loss) else loss + _z_loss(xp, prediction, self.z_loss)

    def _spread(self, xp: Namespace, prediction: Array, target: Array, loss: Array) -> Array:
        """Return ``mean_c(w_c loss_c) / w_y - loss``, the term that label smoothing scales."""
        above = xp.pick(prediction, target)
        if self.class_weights is None:
            return above - xp.mean(prediction, axis=-1)
        weights = xp.constant(self.class_weights, prediction)
        own = xp.chosen(self.class_weights, target)
        whole = (loss + above) * xp.mean(weights) - xp.mean(weights * prediction, axis=-1)
        return whole / xp.where(own == 0, 1.0, own) - loss


def _z_loss(xp: Namespace, logits: Array, factor: Number) -> Array:
    highest, rest = xp.logsumexp(logits)
    return factor * (highest + rest) * (highest + rest)


def _as_many(weights: Any) -> dict[str, int]:
    if weights is None:
        return {}
    return {"classes": weights.shape[0] if hasattr(weights, "shape") else len(weights)}


@final
@dataclass(frozen=True)
class SoftmaxCrossEntropyWithProbabilities(Loss):
    r"""Softmax cross-entropy of target probabilities, from logits.

    .. math:: -\sum_c t_c \log \mathrm{softmax}(z)_c

    Predictions are logits; a logit of -inf excludes a class. A class with target probability 0
    contributes 0, even if its logit is -inf. For targets of only 0 and 1, the loss equals
    `softmax_cross_entropy`, also with class weights.

    Parameters
    ----------
    label_smoothing : 0 <= float <= 1
        The share of the probabilities that is spread evenly over all classes.
    class_weights : tuple of float >= 0, optional
        The weight of each class. The weighted sum of the losses is divided by the sum of
        ``w_c t_c``.
    z_loss : float >= 0
        The factor of an additional term, the square of ``log sum exp z``.

    Examples
    --------
    >>> import isoloss as il
    >>> il.softmax_cross_entropy_with_probabilities([[0.0, 0.0]], [[0.25, 0.75]])
    np.float64(0.6931471805599453)

    References
    ----------
    Bridle (1990). With class weights, torch's ``cross_entropy`` divides by n for probabilities, and
    by the sum of the weights for labels. optax's ``softmax_cross_entropy`` gives nan for a logit of
    -inf.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(LOGITS, UNIT)
    label_smoothing: Share = 0.0
    class_weights: Annotated[Numbers, NON_NEGATIVE] | None = None
    z_loss: NonNegative = 0.0

    @property
    def sizes(self) -> dict[str, int]:
        return _as_many(self.class_weights)

    def importance(self, xp: Namespace, target: Array) -> Array | None:
        if self.class_weights is None:
            return None
        return xp.sum(target * xp.constant(self.class_weights, target), axis=-1)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        share, smoothing = target, self.label_smoothing
        if not is_zero(smoothing):
            share = (1 - smoothing) * target + smoothing / target.shape[-1]
        if self.class_weights is not None:
            whole = xp.expand_dims(self.importance(xp, target), axis=-1)
            share = share * xp.constant(self.class_weights, target)
            share = share / xp.where(whole == 0, 1.0, whole)
        loss = xp.cross_entropy(prediction, share)
        return loss if is_zero(self.z_loss) else loss + _z_loss(xp, prediction, self.z_loss)


@final
@dataclass(frozen=True)
class NegativeLogLikelihood(Loss):
    r"""Negative log-likelihood of integer labels, from log-probabilities.

    .. math:: -\log p_y

    Predictions are log-probabilities, and may be -inf.

    Parameters
    ----------
    ignore_index : int, optional
        Samples with this label are excluded, as with ``where``.

    Examples
    --------
    >>> import isoloss as il
    >>> il.negative_log_likelihood([[-0.5, -0.9], [-2.0, -0.1]], [0, 1])
    np.float64(0.3)

    References
    ----------
    Fisher (1922). torch's ``nll_loss`` expects the classes on axis 1. scikit-learn's ``log_loss``
    takes probabilities: pass their logarithms.
    """

    signature: ClassVar[str] = "(classes),()->()"
    domain: ClassVar[Domain] = Domain(LOG_PROBABILITY, Labels())
    ignore_index: Integer | None = None

    def included(self, xp: Namespace, target: Array) -> Array | None:
        return None if self.ignore_index is None else target != self.ignore_index

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return -xp.pick(prediction, target)


@final
@dataclass(frozen=True)
class LogLoss(Loss):
    r"""Log loss: the negative log-likelihood of integer labels, from probabilities.

    .. math:: -\log p_y

    Predictions are probabilities. A probability of 0 for the observed label gives inf;
    probabilities are neither clipped nor normalised.

    Examples
    --------
    >>> import isoloss as il
    >>> il.log_loss([[0.5, 0.5], [0.0, 1.0]], [0, 1])
    np.float64(0.34657359027997264)

    References
    ----------
    Good (1952). scikit-learn's ``log_loss`` clips probabilities at the machine epsilon of the
    dtype. `BinaryCrossEntropy` takes probabilities of the label 1 only.
    """

    signature: ClassVar[str] = "(classes),()->()"
    domain: ClassVar[Domain] = Domain(UNIT, Labels())

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return 0.0 - xp.log(xp.pick(prediction, target))


@final
@dataclass(frozen=True)
class SoftmaxFocal(Loss):
    r"""Multiclass focal loss: cross-entropy that down-weights confident correct predictions.

    .. math:: -\alpha_y (1 - q)^\gamma \log q, \quad q = \mathrm{softmax}(z)_y

    Predictions are logits; a logit of -inf excludes a class.

    Parameters
    ----------
    gamma : float >= 0
        The strength of the down-weighting; 0 gives the cross-entropy.
    alpha : tuple of float >= 0, optional
        The factor of the loss for each class. Unlike class weights, the factors do not change the
        divisor of the mean.

    Examples
    --------
    >>> import isoloss as il
    >>> il.softmax_focal([[0.0, 0.0]], [1])
    np.float64(0.17328679513998632)

    References
    ----------
    Lin et al. (2017), *Focal Loss for Dense Object Detection*. Keras multiplies by an alpha of 0.25
    by default: ``SoftmaxFocal(alpha=(0.25,) * classes)``.
    """

    signature: ClassVar[str] = "(classes),()->()"
    domain: ClassVar[Domain] = Domain(LOGITS, Labels())
    gamma: NonNegative = 2.0
    alpha: Annotated[Numbers, NON_NEGATIVE] | None = None

    @property
    def sizes(self) -> dict[str, int]:
        return _as_many(self.alpha)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        loss = _focal(xp, xp.margin(prediction, target), self.gamma)
        return loss if self.alpha is None else loss * xp.chosen(self.alpha, target)


def _focal(xp: Namespace, wrong: Array, gamma: Number) -> Array:
    """Return the focal loss from the logit against the label."""
    lost, none = wrong == math.inf, xp.zeros_like(wrong)
    near = xp.where(lost, none, wrong)  # a slope of 0 times an infinite loss is nan
    return xp.sigmoid_power(near, gamma) * xp.softplus(near) + xp.where(lost, wrong, none)


@final
@dataclass(frozen=True)
class MulticlassHinge(Loss):
    r"""Multiclass hinge loss: the shortfall of the label's score from a margin over the others.

    .. math:: \max(0, m + \max_{c \ne y} z_c - z_y)

    Predictions are scores of at least two classes, and m is the margin. Subgradient 0 at the
    margin. Classes that tie for the largest score share the subgradient.

    Parameters
    ----------
    margin : float >= 0
        The lead of the label's score over all other scores at which the loss becomes 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.multiclass_hinge([[2.0, 1.5, 0.0]], [0])
    np.float64(0.5)

    References
    ----------
    Crammer and Singer (2001); scikit-learn's ``hinge_loss``. torch's ``multi_margin_loss`` sums the
    shortfalls over all classes and divides by the number of classes. Keras's ``categorical_hinge``
    includes a score of 0 among the other classes.
    """

    signature: ClassVar[str] = "(classes),()->()"
    domain: ClassVar[Domain] = Domain(REAL, Labels())
    margin: NonNegative = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        others = xp.where(xp.at(prediction, target), -math.inf, prediction)
        short = self.margin + (xp.max(others, axis=-1) - xp.pick(prediction, target))
        return xp.where(short <= 0, 0.0, short)


@final
@dataclass(frozen=True)
class MulticlassBrierScore(Loss):
    r"""Multiclass Brier score: the sum of the squared errors of all probabilities.

    .. math:: \sum_c (p_c - [c = y])^2

    Predictions are probabilities. For rows that sum to 1, the score lies between 0 and 2. Despite
    the name, lower is better.

    Examples
    --------
    >>> import isoloss as il
    >>> il.multiclass_brier_score([[0.5, 0.25, 0.25]], [0])
    np.float64(0.375)

    References
    ----------
    Brier (1950), *Verification of Forecasts Expressed in Terms of Probability*. scikit-learn's
    ``brier_score_loss`` with ``scale_by_half=False``.
    """

    signature: ClassVar[str] = "(classes),()->()"
    domain: ClassVar[Domain] = Domain(UNIT, Labels())

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        right = xp.astype(xp.at(prediction, target), xp.computing)
        return xp.sum((prediction - right) * (prediction - right), axis=-1)


# --- accuracies -----------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Accuracy(Loss):
    r"""Accuracy: the share of the samples with a correctly predicted label.

    .. math:: [\hat y = y]

    For scores, the predicted label is the first class with the largest score. A row of scores that
    contains nan is nan. If predictions are integers, the number of classes is unknown, and labels
    have no upper limit.

    Examples
    --------
    >>> import isoloss as il
    >>> il.accuracy([[0.1, 0.9], [0.7, 0.3]], [1, 1])
    np.float64(0.5)
    >>> il.accuracy([1, 0, 2], [1, 1, 2])
    np.float64(0.6666666666666666)

    References
    ----------
    scikit-learn's ``accuracy_score``; torchmetrics's ``multiclass_accuracy`` is `BalancedAccuracy`
    by default.
    """

    signature: ClassVar[str] = "(classes),()->()"
    greater_is_better: ClassVar[bool] = True
    domain: ClassVar[Domain] = Domain(Labels(scores=True), Labels())

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.astype(prediction == target, xp.computing)


@final
@dataclass(frozen=True)
class ZeroOneLoss(Loss):
    r"""Zero-one loss: the share of the samples with an incorrectly predicted label.

    .. math:: [\hat y \ne y]

    The loss equals 1 minus `Accuracy`, with the same treatment of scores, ties and nan.

    Examples
    --------
    >>> import isoloss as il
    >>> il.zero_one_loss([1, 0, 2, 2], [1, 1, 2, 2])
    np.float64(0.25)

    References
    ----------
    scikit-learn's ``zero_one_loss``.
    """

    signature: ClassVar[str] = "(classes),()->()"
    domain: ClassVar[Domain] = Domain(Labels(scores=True), Labels())

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.astype(prediction != target, xp.computing)


@final
@dataclass(frozen=True)
class TopKAccuracy(Loss):
    r"""Top-k accuracy: the share of the samples with the label among the k highest scores.

    .. math:: [\#\{c : s_c > s_y\} + \#\{c < y : s_c = s_y\} < k]

    Among classes with equal scores s, the first class ranks highest. A row that contains nan is
    nan.

    Parameters
    ----------
    k : int >= 1
        The number of top classes to consider. If k is at least the number of classes, every sample
        is correct.

    Examples
    --------
    >>> import isoloss as il
    >>> il.TopKAccuracy(k=2)([[0.5, 0.25, 0.125], [0.5, 0.25, 0.125]], [1, 2])
    np.float64(0.5)

    References
    ----------
    Russakovsky et al. (2015), *ImageNet*. scikit-learn's ``top_k_accuracy_score`` has k = 2 by
    default, and ranks the last of equal scores highest.
    """

    signature: ClassVar[str] = "(classes),()->()"
    greater_is_better: ClassVar[bool] = True
    domain: ClassVar[Domain] = Domain(REAL, Labels())
    k: Count = 5

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        score = xp.expand_dims(xp.pick(prediction, target), axis=-1)
        earlier = (prediction == score) & (xp.places(prediction) < xp.expand_dims(target, axis=-1))
        before = xp.sum(xp.astype((prediction > score) | earlier, xp.counting), axis=-1)
        lost = xp.any(xp.isnan(prediction), axis=-1)
        return xp.where(lost, math.nan, xp.where(before < self.k, 1.0, 0.0))


# --- default instances ----------------------------------------------------------------------------

sigmoid_cross_entropy = SigmoidCrossEntropy()
binary_cross_entropy = BinaryCrossEntropy()
sigmoid_focal = SigmoidFocal()
hinge = Hinge()
squared_hinge = SquaredHinge()
brier_score = BrierScore()
softmax_cross_entropy = SoftmaxCrossEntropy()
softmax_cross_entropy_with_probabilities = SoftmaxCrossEntropyWithProbabilities()
negative_log_likelihood = NegativeLogLikelihood()
log_loss = LogLoss()
softmax_focal = SoftmaxFocal()
multiclass_hinge = MulticlassHinge()
multiclass_brier_score = MulticlassBrierScore()
perplexity = Exp(softmax_cross_entropy)
accuracy = Accuracy()
zero_one_loss = ZeroOneLoss()
top_k_accuracy = TopKAccuracy()

bce_with_logits, bce = sigmoid_cross_entropy, binary_cross_entropy
cross_entropy, nll = softmax_cross_entropy, negative_log_likelihood
