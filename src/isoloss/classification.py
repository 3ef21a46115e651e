"""Classification: cross-entropies, hinges and scores of one label per sample.

In every formula z is a logit, p a probability, y the label, and s(z) = 1 / (1 + exp(-z)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from ._domains import NON_NEGATIVE, POSITIVE, UNIT, Domain, Interval
from ._metric import Loss, SquaredLoss, parameter
from ._namespaces import Array, Namespace

ZERO_OR_ONE = UNIT.without(0.0, 1.0)
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

    pos_weight: float | None = parameter(None, POSITIVE)
    label_smoothing: float = parameter(0.0, UNIT)

    @property
    def domain(self) -> Domain:
        return Domain(targets=UNIT)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        yes, no = _smoothed(target, self.label_smoothing)
        yes = yes if self.pos_weight is None else yes * self.pos_weight
        likely = prediction > 0
        far = xp.where(likely, prediction, -prediction)  # |z|, smooth at 0
        share = xp.where(likely, no, yes)
        linear = share * xp.where((share == 0) & xp.isinf(far), xp.zeros_like(far), far)
        return linear + (yes + no) * xp.log1p(xp.exp(-far))


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

    label_smoothing: float = parameter(0.0, UNIT)

    @property
    def domain(self) -> Domain:
        return Domain(UNIT, UNIT)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        yes, no = _smoothed(target, self.label_smoothing)
        return 0.0 - (xp.xlogy(yes, prediction) + xp.xlog1py(no, -prediction))  # never -0.0


def _smoothed(label: Array, share: float) -> tuple[Array, Array]:
    """Return the weights of a label's two classes, a share of it spread over both."""
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

    gamma: float = parameter(2.0, NON_NEGATIVE)
    alpha: float | None = parameter(None, UNIT)

    @property
    def domain(self) -> Domain:
        return Domain(targets=ZERO_OR_ONE)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        yes = target > 0
        wrong = xp.where(yes, -prediction, prediction)  # the logit of the other label
        lost, none = wrong == math.inf, xp.zeros_like(wrong)
        near = xp.where(lost, none, wrong)  # a slope of 0 times an infinite loss is no answer
        loss = xp.sigmoid_power(near, self.gamma) * xp.softplus(near) + xp.where(lost, wrong, none)
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

    margin: float = parameter(1.0, NON_NEGATIVE)

    @property
    def domain(self) -> Domain:
        return Domain(targets=MINUS_ONE_OR_ONE)

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

    margin: float = parameter(1.0, NON_NEGATIVE)

    @property
    def domain(self) -> Domain:
        return Domain(targets=MINUS_ONE_OR_ONE)

    def residual(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return _shortfall(xp, prediction, target, self.margin)


def _shortfall(xp: Namespace, score: Array, label: Array, margin: float) -> Array:
    short = margin - label * score
    return xp.where(short <= 0, xp.zeros_like(short), short)  # nan stays nan


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

    @property
    def domain(self) -> Domain:
        return Domain(UNIT, UNIT)

    def residual(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return prediction - target


# --- the members most people call -----------------------------------------------------------------

sigmoid_cross_entropy = SigmoidCrossEntropy()
binary_cross_entropy = BinaryCrossEntropy()
sigmoid_focal = SigmoidFocal()
hinge = Hinge()
squared_hinge = SquaredHinge()
brier_score = BrierScore()

bce_with_logits, bce = sigmoid_cross_entropy, binary_cross_entropy
