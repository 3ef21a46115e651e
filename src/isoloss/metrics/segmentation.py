r"""Segmentation: how far predicted regions are from true ones.

Of the pixels of a sample, p is the probability that the prediction gives to one, t its target, and

.. math:: TP = \sum p t, \quad FP = \sum p (1 - t), \quad FN = \sum (1 - p) t

are what both have, what only the prediction has, and what only the target has.

A sample is what lies along the last axis, or along ``event_axis=``, which may be several axes: of
masks ``(batch, height, width)``, ``event_axis=(1, 2)`` makes every image a sample, and the loss
is the mean of theirs; ``event_axis=(0, 1, 2)`` makes all images one, and the loss is the ratio over
the batch. Of masks ``(batch, height, width, classes)``, ``event_axis=(1, 2)`` is the mean over
images and classes. No sigmoid or softmax is applied: predictions are probabilities, except where
scores are asked for. A pixel of p = t = 0 does not count in a ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from .._core.domains import REAL, UNIT, ZERO_OR_ONE, Domain, Labels
from .._core.metric import Loss
from .._core.parameters import NonNegative, Number, Positive, is_zero
from .._core.states import ratio
from .._core.types import Array, Namespace

__all__ = [
    "DiceLoss",
    "FocalTversky",
    "GeneralisedDice",
    "JaccardLoss",
    "LovaszHinge",
    "LovaszSoftmax",
    "Tversky",
    "dice_loss",
    "focal_tversky",
    "generalised_dice",
    "jaccard_loss",
    "lovasz_hinge",
    "lovasz_softmax",
    "tversky",
]

# --- ratios of what is right and what is wrong ----------------------------------------------------


def _regions(xp: Namespace, prediction: Array, target: Array, axis: int) -> tuple[Array, ...]:
    """Return TP, FP and FN."""
    products = prediction * target, prediction * (1 - target), (1 - prediction) * target
    return tuple(xp.sum(product, axis=axis) for product in products)


def _share(xp: Namespace, wrong: Array, right: Array) -> Array:
    """Return ``wrong / (wrong + right)``, 0 for 0/0.

    Neither it nor its derivative is a difference, as 1 minus a score and its derivative are: a
    small loss has all its digits, and so has the small slope of a large one.
    """
    more = wrong > right
    odds = ratio(xp, xp.where(more, right, wrong), xp.where(more, wrong, right), 0.0)
    return xp.quotient(xp.where(more, 1.0, odds), 1 + odds)


@final
@dataclass(frozen=True)
class DiceLoss(Loss):
    r"""Dice loss: what is wrong, among twice what is right and what is wrong.

    .. math:: 1 - \frac{2 TP + s}{\sum p + \sum t + s} = \frac{FP + FN}{2 TP + FP + FN + s}

    Kind: row-wise; predictions and targets ``(..., pixels)`` between 0 and 1 (soft targets are
    taken), a sample nan if one of its pixels is outside. The mean of the loss of each sample; with
    all axes in ``event_axis=``, the ratio over all. Where neither has a region, 0/0 is a loss of 0,
    with gradient 0. With soft targets it is not 0 at p = t.

    Parameters
    ----------
    smoothing : float >= 0
        What is added above and below, in pixels. It lets the loss of an empty target vanish with
        the prediction; without it that is 1 for any prediction but 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.dice_loss([0.75, 0.5, 0.0], [1.0, 0.0, 0.0])
    np.float64(0.3333333333333333)

    Two images, and the two as one:

    >>> masks, truth = [[[1.0, 0.0]], [[1.0, 1.0]]], [[[0.0, 1.0]], [[1.0, 1.0]]]
    >>> il.dice_loss(masks, truth, event_axis=(1, 2))
    np.float64(0.5)
    >>> il.dice_loss(masks, truth, event_axis=(0, 1, 2))
    np.float64(0.3333333333333333)

    References
    ----------
    Dice (1945); Drozdzal et al. (2016), *The Importance of Skip Connections*. MONAI's ``DiceLoss``
    has ``smoothing=1e-5``, segmentation_models's 0. optax's ``dice_loss`` adds its ``smooth`` of 1
    to TP, which is twice in 2 TP: ``DiceLoss(smoothing=2.0)`` is optax's default. Keras's ``dice``
    is the ratio over the batch. Milletari et al. (2016, *V-Net*) square p and t in the denominator,
    as MONAI's ``squared_pred=True`` does: another loss.
    """

    signature: ClassVar[str] = "(pixels),(pixels)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)
    smoothing: NonNegative = 0.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        overlap = xp.overlap(prediction, target)
        return _share(xp, overlap[..., 1], 2 * overlap[..., 0] + self.smoothing)


@final
@dataclass(frozen=True)
class JaccardLoss(Loss):
    r"""Jaccard loss: 1 minus the intersection over the union.

    .. math:: 1 - \frac{TP + s}{TP + FP + FN + s} = \frac{FP + FN}{TP + FP + FN + s}

    Kind: row-wise; predictions and targets ``(..., pixels)`` between 0 and 1 (soft targets are
    taken), a sample nan if one of its pixels is outside. Where neither has a region, 0/0 is a loss
    of 0, with gradient 0. With soft targets it is not 0 at p = t.

    Parameters
    ----------
    smoothing : float >= 0
        What is added above and below, in pixels.

    Examples
    --------
    >>> import isoloss as il
    >>> il.jaccard_loss([0.75, 0.5, 0.0], [1.0, 0.0, 0.0])
    np.float64(0.5)

    References
    ----------
    Jaccard (1912); Rahman and Wang (2016), *Optimizing Intersection-Over-Union in Deep Neural
    Networks*. MONAI's ``DiceLoss(jaccard=True)`` adds its 1e-5 to twice both:
    ``JaccardLoss(smoothing=5e-6)``.
    """

    signature: ClassVar[str] = "(pixels),(pixels)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)
    smoothing: NonNegative = 0.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        overlap = xp.overlap(prediction, target)
        return _share(xp, overlap[..., 1], overlap[..., 0] + self.smoothing)


def _tversky(
    xp: Namespace,
    prediction: Array,
    target: Array,
    of_extra: Number,
    of_missed: Number,
    more: Number,
) -> Array:
    right, extra, missed = _regions(xp, prediction, target, -1)
    return _share(xp, of_extra * extra + of_missed * missed, right + more)


@final
@dataclass(frozen=True)
class Tversky(Loss):
    r"""Tversky loss: a Dice loss that weighs what is extra and what is missed differently.

    .. math:: 1 - \frac{TP + s}{TP + \alpha FP + \beta FN + s}
        = \frac{\alpha FP + \beta FN}{TP + \alpha FP + \beta FN + s}

    With both weights 1/2 it is the Dice loss (of twice the smoothing), with both 1 the Jaccard
    loss.

    Kind: row-wise; predictions and targets ``(..., pixels)`` between 0 and 1 (soft targets are
    taken), a sample nan if one of its pixels is outside. Where 0/0, a loss of 0 with gradient 0.

    Parameters
    ----------
    alpha_fp, beta_fn : float >= 0
        The weights of what is extra and of what is missed.
    smoothing : float >= 0
        What is added above and below, in pixels.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Tversky(alpha_fp=0.25, beta_fn=0.75)([0.75, 0.5, 0.0], [1.0, 0.0, 0.0])
    np.float64(0.29411764705882354)

    References
    ----------
    Tversky (1977); Salehi et al. (2017), *Tversky Loss Function for Image Segmentation*, with the
    same alpha and beta, as in MONAI and segmentation_models. Abraham and Khan (2019) have them the
    other way round, and so has the code of Keras 3.15, whose text has not. optax's ``dice_loss`` is
    ``Tversky(smoothing=1.0)``, MONAI's ``TverskyLoss`` has a smoothing of 1e-5.
    """

    signature: ClassVar[str] = "(pixels),(pixels)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)
    alpha_fp: NonNegative = 0.5
    beta_fn: NonNegative = 0.5
    smoothing: NonNegative = 0.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return _tversky(xp, prediction, target, self.alpha_fp, self.beta_fn, self.smoothing)


@final
@dataclass(frozen=True)
class FocalTversky(Loss):
    r"""Focal Tversky loss: a Tversky loss whose slope grows where little is left to gain.

    .. math:: \left(\frac{\alpha FP + \beta FN}{TP + \alpha FP + \beta FN + s}\right)^{1 / \gamma}

    Kind: row-wise; predictions and targets ``(..., pixels)`` between 0 and 1 (soft targets are
    taken), a sample nan if one of its pixels is outside. At a loss of 0 the derivative is 0, where
    that of the power is infinite for gamma > 1; for gamma = 1 it is that of `Tversky`.

    Parameters
    ----------
    alpha_fp, beta_fn : float >= 0
        The weights of what is extra and of what is missed; those of the paper.
    gamma : float > 0
        The exponent is 1 / gamma, as in the paper, which recommends 4/3. Its authors' program, and
        segmentation_models's ``TverskyLoss``, have the exponent itself: their 0.75 is a gamma of
        4/3 here.
    smoothing : float >= 0
        What is added above and below, in pixels; the authors' program adds 1.

    Examples
    --------
    >>> import isoloss as il
    >>> il.FocalTversky(gamma=2.0)([0.75, 0.5, 0.0], [1.0, 0.0, 0.0])
    np.float64(0.5498414147691576)

    References
    ----------
    Abraham and Khan (2019), *A Novel Focal Tversky Loss Function*; what they call alpha, 0.7, is
    the weight of what is missed.
    """

    signature: ClassVar[str] = "(pixels),(pixels)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)
    alpha_fp: NonNegative = 0.3
    beta_fn: NonNegative = 0.7
    gamma: Positive = 4 / 3
    smoothing: NonNegative = 0.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        loss = _tversky(xp, prediction, target, self.alpha_fp, self.beta_fn, self.smoothing)
        if is_zero(self.gamma - 1):
            return loss
        none = loss == 0
        return xp.where(
            none, 0.0, xp.where(none, 1.0, loss) ** (1 / xp.parameter(self.gamma, loss))
        )


@final
@dataclass(frozen=True)
class GeneralisedDice(Loss):
    r"""Generalised Dice loss: one Dice ratio of all classes, the small ones weighted up.

    .. math:: 1 - \frac{2 \sum_c w_c TP_c}{\sum_c w_c \sum (p_c + t_c)}
        = \frac{\sum_c w_c (FP_c + FN_c)}{\sum_c w_c (2 TP_c + FP_c + FN_c)}, \quad
        w_c = \Big(\sum t_c\Big)^{-2}

    A class whose target is empty has no weight, and is left out; probabilities that it wrongly has
    are missed by the others. With no class at all, 0/0 is a loss of 0, with gradient 0.

    Kind: row-wise; predictions and targets ``(..., pixels, classes)`` between 0 and 1, a sample nan
    if one of them is outside. Two axes are a sample: flatten height and width, and all of the batch
    for the ratio over it.

    Examples
    --------
    >>> import isoloss as il
    >>> p, t = [[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    >>> il.generalised_dice(p, t)
    np.float64(0.29411764705882354)

    References
    ----------
    Sudre et al. (2017), *Generalised Dice Overlap as a Deep Learning Loss Function for Highly
    Unbalanced Segmentations*. MONAI's ``GeneralizedDiceLoss`` gives an absent class the largest
    weight of the others, and adds 1e-5 above and below. optax's
    ``multiclass_generalized_dice_loss`` is a weighted mean of Dice losses: another loss.
    """

    signature: ClassVar[str] = "(pixels, classes),(pixels, classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        volume = xp.sum(target, axis=-2)
        small = ratio(xp, xp.ones_like(volume), volume, 0.0)
        share = ratio(xp, small, xp.max(small, axis=-1, keepdims=True), 0.0)  # squared, in range
        right, extra, missed = _regions(xp, prediction, target, -2)
        wrong, right = (xp.sum(share * share * x, axis=-1) for x in (extra + missed, 2 * right))
        return _share(xp, wrong, right)


# --- the extension of the Jaccard loss to errors that are no 0 or 1 -------------------------------


def _growth(xp: Namespace, error: Array, truth: Array, axis: int) -> Array:
    """Return by how much each error makes the Jaccard loss grow, after all that are larger.

    After some errors, the loss of a region of G pixels is 1 - I / U: what is left of G, over G and
    the false ones so far. A miss makes it grow by 1 / U, a false one by I / (U - 1) - I / U.
    """
    order = xp.argsort(-xp.stop_gradient(error), axis=axis, stable=True)
    miss = xp.take_along_axis(xp.astype(truth, xp.counting), order, axis=axis)
    size = xp.sum(miss, axis=axis, keepdims=True)
    left = size - xp.cumulative_sum(miss, axis=axis)
    union = xp.astype(size + xp.cumulative_sum(1 - miss, axis=axis), xp.computing)
    before = xp.where(union == 1, 1.0, union - 1)
    growth = xp.where(miss > 0, 1.0, xp.astype(left, xp.computing) / before) / union
    growth = xp.where(union == 1, 1.0, growth)  # the first false one, where there is no region
    return xp.take_along_axis(growth, xp.argsort(order, axis=axis), axis=axis)


@final
@dataclass(frozen=True)
class LovaszHinge(Loss):
    r"""Lovász hinge: the Jaccard loss of a region, extended to hinge losses.

    .. math:: \sum_k \max(0, m_k) \left(J(m_1 \ldots m_k) - J(m_1 \ldots m_{k - 1})\right), \quad
        m = 1 - (2 t - 1) z

    over errors m in falling order, where J is the Jaccard loss that results if just those pixels
    are wrong. Convex in the scores z. Without a region, J is 1 from the first error on, and the
    loss is the largest.

    Kind: row-wise; predictions ``(..., pixels)`` any scores, of which those above 0 are the region;
    targets ``(..., pixels)`` 0 or 1, a sample nan otherwise. Subgradient 0 at m = 0; of equal
    errors the first is the larger. A pixel that must not count has t = 0 and a score of -1.

    Examples
    --------
    >>> import isoloss as il
    >>> il.lovasz_hinge([2.0, 0.5, -0.25], [1, 0, 1])
    np.float64(0.9166666666666666)

    References
    ----------
    Yu and Blaschko (2015); Berman et al. (2018), *The Lovász-Softmax Loss*. Their program's
    ``per_image=False`` is all axes in ``event_axis=``.
    """

    signature: ClassVar[str] = "(pixels),(pixels)->()"
    domain: ClassVar[Domain] = Domain(REAL, ZERO_OR_ONE)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        truth = target > 0
        error = xp.where(truth, 1 - prediction, 1 + prediction)
        growth = _growth(xp, error, truth, -1)
        return xp.sum(growth * xp.where(error <= 0, xp.zeros_like(error), error), axis=-1)


@final
@dataclass(frozen=True)
class LovaszSoftmax(Loss):
    r"""Lovász-softmax: the Jaccard losses of the classes, extended to probabilities.

    .. math:: \frac{1}{|C|} \sum_{c \in C} \sum_k m_{ck}
        \left(J_c(m_{c1} \ldots m_{ck}) - J_c(m_{c1} \ldots m_{c, k - 1})\right), \quad
        m_c = |[y = c] - p_c|

    over the classes C that the sample has, and for each over errors m in falling order, where J is
    the Jaccard loss that results if just those pixels are wrong.

    Kind: row-wise; predictions ``(..., pixels, classes)`` probabilities between 0 and 1, a sample
    nan if one is outside; targets ``(..., pixels)`` integers from 0 to classes - 1, nan outside.
    Flatten height and width, and all of the batch for the loss over it. Of equal errors the first
    is the larger.

    Examples
    --------
    >>> import isoloss as il
    >>> il.lovasz_softmax([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]], [0, 1, 1])
    np.float64(0.375)

    References
    ----------
    Berman et al. (2018), *The Lovász-Softmax Loss: A Tractable Surrogate for the Optimization of
    the Intersection-Over-Union Measure*, with ``classes="present"``.
    """

    signature: ClassVar[str] = "(pixels, classes),(pixels)->()"
    domain: ClassVar[Domain] = Domain(UNIT, Labels())

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        truth = xp.places(prediction) == xp.expand_dims(target, axis=-1)
        error = xp.where(truth, 1 - prediction, prediction)
        loss = xp.sum(error * _growth(xp, error, truth, -2), axis=-2)
        present = xp.any(truth, axis=-2)
        number = xp.sum(xp.astype(present, xp.computing), axis=-1)
        return xp.sum(xp.where(present, loss, xp.zeros_like(loss)), axis=-1) / number


# --- the members most people call -----------------------------------------------------------------

dice_loss = DiceLoss()
jaccard_loss = JaccardLoss()
tversky = Tversky()
focal_tversky = FocalTversky()
generalised_dice = GeneralisedDice()
lovasz_hinge = LovaszHinge()
lovasz_softmax = LovaszSoftmax()
