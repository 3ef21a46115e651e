"""Classification: cross-entropies, hinges and scores of one label per sample.

In every formula z is a logit, p a probability, y the label, and s(z) = 1 / (1 + exp(-z)); of many
classes, c is one.
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

# --- one label of two -----------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class SigmoidCrossEntropy(Loss):
    r"""Cross-entropy of labels and the logits of their probabilities.

    .. math:: -w_+ \, y \log s(z) - (1 - y) \log s(-z)

    where a smoothed label takes the place of y: ``y (1 - label_smoothing) + label_smoothing / 2``.

    Kind: pointwise; predictions ``(...)`` any logits, ±inf included; targets ``(...)`` between 0
    and 1 (soft labels are taken), nan outside. Exact at any logit, to second order: no sum of two
    large numbers, no probability rounded to 1.

    Parameters
    ----------
    pos_weight : float > 0, optional
        The weight of the positive labels, or an array of one for each class.
    label_smoothing : 0 <= float <= 1
        The share of the label that is spread over both classes.

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
    r"""Cross-entropy of labels and their probabilities.

    .. math:: -y \log p - (1 - y) \log(1 - p)

    where a smoothed label takes the place of y: ``y (1 - label_smoothing) + label_smoothing / 2``.

    Kind: pointwise; predictions and targets ``(...)`` between 0 and 1, nan outside. Nothing is
    clipped: a probability of 0 for what happened is inf (torch stops at 100, Keras at 16.1). A
    term whose factor is 0 is 0, with derivative 0.

    Parameters
    ----------
    label_smoothing : 0 <= float <= 1
        The share of the label that is spread over both classes.

    Examples
    --------
    >>> import isoloss as il
    >>> il.binary_cross_entropy([0.75, 0.0], [1.0, 0.0], reduction="none")
    array([0.28768207, 0.        ])

    References
    ----------
    Good (1952), *Rational Decisions*; scikit-learn's ``log_loss`` of two classes. With logits:
    `sigmoid_cross_entropy`, which is as exact near a probability of 1 as near 0.
    """

    domain: ClassVar[Domain] = Domain(UNIT, UNIT)

    label_smoothing: Share = 0.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        if is_zero(self.label_smoothing):
            return xp.binary_cross_entropy(prediction, target)
        return xp.binary_cross_entropy(prediction, *_smoothed(target, self.label_smoothing))


def _smoothed(label: Array, share: Number) -> tuple[Array, Array]:
    """Return the weights of a label's two classes, a share of it spread over both."""
    if is_zero(share):
        return label, 1 - label
    kept, spread = 1 - share, share / 2
    return kept * label + spread, kept * (1 - label) + spread


@final
@dataclass(frozen=True)
class SigmoidFocal(Loss):
    r"""Focal loss: a cross-entropy that counts the less, the surer the right answer.

    .. math:: -\alpha_y (1 - q)^\gamma \log q, \quad q = s(z) \text{ for y = 1}, \; s(-z)
        \text{ for y = 0}

    Kind: pointwise; predictions ``(...)`` any logits, ±inf included; targets ``(...)`` 0 or 1, nan
    otherwise.

    Parameters
    ----------
    gamma : float >= 0
        How much sure answers are discounted; 0 is the cross-entropy.
    alpha : 0 <= float <= 1, optional
        The weight of the label 1; that of 0 is 1 - alpha. Without it, both are 1.

    Examples
    --------
    >>> import isoloss as il
    >>> il.SigmoidFocal(gamma=2.0, alpha=0.25)([0.0], [1.0])
    np.float64(0.04332169878499658)

    References
    ----------
    Lin et al. (2017), *Focal Loss for Dense Object Detection*. torchvision and optax have an alpha
    of 0.25 and none; Keras one that is off unless asked for.
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
    r"""Hinge loss: how far a score is from being right by a margin.

    .. math:: \max(0, m - y z)

    Kind: pointwise; predictions ``(...)`` any scores, targets ``(...)`` -1 or 1, nan otherwise:
    labels 0 and 1 are never guessed at (``2 * labels - 1``). Subgradient 0 at ``y z = margin``.

    Parameters
    ----------
    margin : float >= 0
        The score from which a right answer costs nothing; 0 is the perceptron's criterion.

    Examples
    --------
    >>> import isoloss as il
    >>> il.hinge([0.25, 3.0], [1.0, -1.0], reduction="none")
    array([0.75, 4.  ])

    References
    ----------
    Cortes and Vapnik (1995), *Support-Vector Networks*; scikit-learn's ``hinge_loss`` and Keras's
    ``hinge``, which turns labels 0 into -1.
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

    Kind: pointwise; predictions ``(...)`` any scores, targets ``(...)`` -1 or 1, nan otherwise.
    At ``y z = margin`` both derivatives are 0.

    Parameters
    ----------
    margin : float >= 0
        The score from which a right answer costs nothing.

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

    Kind: pointwise; predictions and targets ``(...)`` between 0 and 1, nan outside. Lower is
    better, for all its name.

    Examples
    --------
    >>> import isoloss as il
    >>> il.brier_score([0.75, 0.5], [1.0, 0.0])
    np.float64(0.15625)

    References
    ----------
    Brier (1950), *Verification of Forecasts Expressed in Terms of Probability*, who sums over both
    classes: ``Scaled(brier_score, 2)``. scikit-learn's ``brier_score_loss``.
    """

    domain: ClassVar[Domain] = Domain(UNIT, UNIT)

    def residual(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return prediction - target


# --- one label of many ----------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    r"""Cross-entropy of integer labels and the logits of all classes.

    .. math:: \log \sum_c \exp z_c - z_y

    Kind: row-wise; predictions ``(..., classes)`` any logits, of which -inf rules a class out;
    targets ``(...)`` integers from 0 to classes - 1, nan outside. Exact at any logits, to second
    order: computed from the odds of the other classes, so that sure answers keep all their digits.
    Another axis of classes than the last: ``event_axis=1``, say.

    Parameters
    ----------
    ignore_index : int, optional
        The label of samples that do not count, as with ``where``.
    label_smoothing : 0 <= float <= 1
        The share of each label that is spread over all classes evenly.
    class_weights : tuple of float >= 0, optional
        The weight of each class; the mean divides by the sum of the weights of the labels.
    z_loss : float >= 0
        Adds so much times the square of ``log sum exp z``.

    Examples
    --------
    >>> import isoloss as il
    >>> il.softmax_cross_entropy([[20.0, 0.0, 0.0]], [0])
    np.float64(4.1223072363804075e-09)

    References
    ----------
    Bridle (1990); label smoothing: Szegedy et al. (2016); z-loss: Chowdhery et al. (2022), *PaLM*.
    torch's ``cross_entropy`` has the classes on axis 1 and ignores -100 unless told otherwise;
    optax's ``softmax_cross_entropy_with_integer_labels`` takes the label -1 for the last class.
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
        """What smoothing adds: the mean loss of all labels, each with its weight, less this one."""
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
    r"""Cross-entropy of the probabilities of all classes and the logits of all classes.

    .. math:: -\sum_c t_c \log \mathrm{softmax}(z)_c

    Kind: row-wise; predictions ``(..., classes)`` any logits, of which -inf rules a class out;
    targets ``(..., classes)`` between 0 and 1, nan outside. A class of probability 0 contributes 0,
    whatever its logit. Of the probabilities 0 and 1, it is `softmax_cross_entropy`, with weights of
    classes too.

    Parameters
    ----------
    label_smoothing : 0 <= float <= 1
        The share of the probabilities that is spread over all classes evenly.
    class_weights : tuple of float >= 0, optional
        The weight of each class; the mean divides by the sum of w_c t_c.
    z_loss : float >= 0
        Adds so much times the square of ``log sum exp z``.

    Examples
    --------
    >>> import isoloss as il
    >>> il.softmax_cross_entropy_with_probabilities([[0.0, 0.0]], [[0.25, 0.75]])
    np.float64(0.6931471805599453)

    References
    ----------
    Bridle (1990). With weights, torch's ``cross_entropy`` divides by n for probabilities, and by
    the sum of the weights for labels; optax's ``softmax_cross_entropy`` is nan for a logit of -inf.
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
    r"""Negative log likelihood of integer labels, from the logarithms of probabilities.

    .. math:: -\log p_y

    Kind: row-wise; predictions ``(..., classes)`` logarithms of probabilities, -inf included;
    a row with a number above 0 is nan; targets ``(...)`` integers from 0 to classes - 1, nan
    outside.

    Parameters
    ----------
    ignore_index : int, optional
        The label of samples that do not count, as with ``where``.

    Examples
    --------
    >>> import isoloss as il
    >>> il.negative_log_likelihood([[-0.5, -0.9], [-2.0, -0.1]], [0, 1])
    np.float64(0.3)

    References
    ----------
    Fisher (1922). torch's ``nll_loss`` has the classes on axis 1; scikit-learn's ``log_loss`` takes
    probabilities: pass their logarithms.
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
    r"""Log loss: the negative log likelihood of integer labels, from probabilities.

    .. math:: -\log p_y

    Kind: row-wise; predictions ``(..., classes)`` probabilities, a row with a number outside 0 to 1
    is nan; targets ``(...)`` integers from 0 to classes - 1, nan outside. Probabilities are neither
    clipped nor divided by their sum: 0 for what happened gives inf.

    Examples
    --------
    >>> import isoloss as il
    >>> il.log_loss([[0.5, 0.5], [0.0, 1.0]], [0, 1])
    np.float64(0.34657359027997264)

    References
    ----------
    Good (1952). scikit-learn's ``log_loss``, which clips at the dtype's spacing; its form for
    probabilities of the label 1 alone is `BinaryCrossEntropy`.
    """

    signature: ClassVar[str] = "(classes),()->()"
    domain: ClassVar[Domain] = Domain(UNIT, Labels())

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return 0.0 - xp.log(xp.pick(prediction, target))


@final
@dataclass(frozen=True)
class SoftmaxFocal(Loss):
    r"""Focal loss of many classes: a cross-entropy that counts the less, the surer the answer.

    .. math:: -\alpha_y (1 - q)^\gamma \log q, \quad q = \mathrm{softmax}(z)_y

    Kind: row-wise; predictions ``(..., classes)`` any logits, of which -inf rules a class out;
    targets ``(...)`` integers from 0 to classes - 1, nan outside.

    Parameters
    ----------
    gamma : float >= 0
        How much sure answers are discounted; 0 is the cross-entropy.
    alpha : tuple of float >= 0, optional
        A factor of the loss of each class; unlike class weights, they are no part of the divisor.

    Examples
    --------
    >>> import isoloss as il
    >>> il.softmax_focal([[0.0, 0.0]], [1])
    np.float64(0.17328679513998632)

    References
    ----------
    Lin et al. (2017), *Focal Loss for Dense Object Detection*. Keras multiplies by an alpha of 0.25
    unless told otherwise: ``SoftmaxFocal(alpha=(0.25,) * classes)``.
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
    """Return the focal loss of the logit of the wrong answer."""
    lost, none = wrong == math.inf, xp.zeros_like(wrong)
    near = xp.where(lost, none, wrong)  # a slope of 0 times an infinite loss is no answer
    return xp.sigmoid_power(near, gamma) * xp.softplus(near) + xp.where(lost, wrong, none)


@final
@dataclass(frozen=True)
class MulticlassHinge(Loss):
    r"""Hinge loss of many classes: how far the right one is from being first by a margin.

    .. math:: \max(0, m + \max_{c \ne y} z_c - z_y)

    Kind: row-wise; predictions ``(..., classes)`` any scores, of two classes at least; targets
    ``(...)`` integers from 0 to classes - 1, nan outside. Subgradient 0 at the margin; classes that
    tie for the largest score share it.

    Parameters
    ----------
    margin : float >= 0
        By how much the right class must be first for the loss to be 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.multiclass_hinge([[2.0, 1.5, 0.0]], [0])
    np.float64(0.5)

    References
    ----------
    Crammer and Singer (2001); scikit-learn's ``hinge_loss``. torch's ``multi_margin_loss`` adds up
    the shortfalls of all classes and divides by their number. Keras's ``categorical_hinge`` counts
    a score of 0 among the other classes.
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
    r"""Brier score of many classes: the squared errors of all probabilities.

    .. math:: \sum_c (p_c - [c = y])^2

    Kind: row-wise; predictions ``(..., classes)`` between 0 and 1, nan outside; targets ``(...)``
    integers from 0 to classes - 1, nan outside. From 0 to 2; lower is better, for all its name.

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


# --- scores of labels -----------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Accuracy(Loss):
    r"""Share of the samples whose label is predicted.

    .. math:: [\hat y = y]

    Kind: row-wise; predictions ``(...)`` integer labels, or ``(..., classes)`` floating scores, of
    which the first of the largest is the prediction; targets ``(...)`` integers from 0, below
    classes if that is known, nan outside. A row with a score of nan is nan.

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
    unless told otherwise.
    """

    signature: ClassVar[str] = "(classes),()->()"
    greater_is_better: ClassVar[bool] = True
    domain: ClassVar[Domain] = Domain(Labels(scores=True), Labels())

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.astype(prediction == target, xp.computing)


@final
@dataclass(frozen=True)
class ZeroOneLoss(Loss):
    r"""Share of the samples whose label is not predicted.

    .. math:: [\hat y \ne y]

    Kind: row-wise; inputs as for `Accuracy`, which is 1 minus this.

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
    r"""Share of the samples whose label is among the k classes of the largest scores.

    .. math:: [\#\{c : s_c > s_y\} + \#\{c < y : s_c = s_y\} < k]

    Kind: row-wise; predictions ``(..., classes)`` any scores, targets ``(...)`` integers from 0 to
    classes - 1, nan outside. Of equal scores, the class that comes first is the first; a row with a
    score of nan is nan.

    Parameters
    ----------
    k : int >= 1
        How many classes are looked at; from the number of classes on, all are right.

    Examples
    --------
    >>> import isoloss as il
    >>> il.TopKAccuracy(k=2)([[0.5, 0.25, 0.125], [0.5, 0.25, 0.125]], [1, 2])
    np.float64(0.5)

    References
    ----------
    Russakovsky et al. (2015), *ImageNet*. scikit-learn's ``top_k_accuracy_score`` has a k of 2 by
    default, and the last of equal scores first.
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


# --- the members most people call -----------------------------------------------------------------

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
