r"""Segmentation losses: differences between predicted and true regions.

For each pixel, p is the predicted probability and t is the target. The sums over the pixels of a
sample are

.. math:: TP = \sum p t, \quad FP = \sum p (1 - t), \quad FN = \sum (1 - p) t

the true positives, the false positives and the false negatives.

The pixels of a sample lie along the last axis, or along the axes in ``event_axis=``. For masks
``(batch, height, width)``, ``event_axis=(1, 2)`` treats every image as a sample, and the loss is
the mean over the images. ``event_axis=(0, 1, 2)`` treats the batch as one sample, and the loss is
the ratio over the batch. For masks ``(batch, height, width, classes)``, ``event_axis=(1, 2)`` gives
the mean over images and classes. Predictions are probabilities, except for `lovasz_hinge`, which
takes scores. No loss applies a sigmoid or a softmax. A pixel with p = t = 0 affects no ratio.
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

# --- ratios of regions ----------------------------------------------------------------------------


def _regions(xp: Namespace, prediction: Array, target: Array, axis: int) -> tuple[Array, ...]:
    """Return TP, FP and FN."""
    products = prediction * target, prediction * (1 - target), (1 - prediction) * target
    return tuple(xp.sum(product, axis=axis) for product in products)


def _share(xp: Namespace, wrong: Array, right: Array) -> Array:
    """Return ``wrong / (wrong + right)``, or 0 for 0/0.

    The quotient avoids the cancellation of 1 minus a score, in the value and in the derivative. A
    small loss and the small slope of a large loss keep their accuracy.
    """
    more = wrong > right
    odds = ratio(xp, xp.where(more, right, wrong), xp.where(more, wrong, right), 0.0)
    return xp.quotient(xp.where(more, 1.0, odds), 1 + odds)


@final
@dataclass(frozen=True)
class DiceLoss(Loss):
    r"""Dice loss: 1 minus the Dice coefficient of the predicted and the true region.

    .. math:: 1 - \frac{2 TP + s}{\sum p + \sum t + s} = \frac{FP + FN}{2 TP + FP + FN + s}

    Targets may be soft; the loss is then not 0 at p = t. The loss is averaged over the samples.
    With all axes in ``event_axis=``, the loss is one ratio over all pixels. If both regions are
    empty, the ratio 0/0 counts as a loss of 0 with gradient 0.

    Parameters
    ----------
    smoothing : float >= 0
        Added to the numerator and the denominator of the Dice coefficient, in pixels. For an empty
        target, the loss then tends to 0 as the prediction tends to 0. Without smoothing, the loss
        of an empty target is 1 for every prediction except 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.dice_loss([0.75, 0.5, 0.0], [1.0, 0.0, 0.0])
    np.float64(0.3333333333333333)

    The mean over two images, and the ratio over both:

    >>> masks, truth = [[[1.0, 0.0]], [[1.0, 1.0]]], [[[0.0, 1.0]], [[1.0, 1.0]]]
    >>> il.dice_loss(masks, truth, event_axis=(1, 2))
    np.float64(0.5)
    >>> il.dice_loss(masks, truth, event_axis=(0, 1, 2))
    np.float64(0.3333333333333333)

    References
    ----------
    Dice (1945); Drozdzal et al. (2016), *The Importance of Skip Connections*. MONAI's ``DiceLoss``
    uses ``smoothing=1e-5``; that of segmentation_models uses 0. optax's ``dice_loss`` adds its
    ``smooth`` of 1 to TP and therefore 2 to 2 TP: its default is ``DiceLoss(smoothing=2.0)``.
    Keras's ``dice`` is the ratio over the batch. Milletari et al. (2016, *V-Net*) define another
    loss, with squared p and t in the denominator, as does MONAI with ``squared_pred=True``.
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

    Targets may be soft; the loss is then not 0 at p = t. If both regions are empty, the ratio 0/0
    counts as a loss of 0 with gradient 0.

    Parameters
    ----------
    smoothing : float >= 0
        Added to the numerator and the denominator of the Jaccard index, in pixels.

    Examples
    --------
    >>> import isoloss as il
    >>> il.jaccard_loss([0.75, 0.5, 0.0], [1.0, 0.0, 0.0])
    np.float64(0.5)

    References
    ----------
    Jaccard (1912); Rahman and Wang (2016), *Optimizing Intersection-Over-Union in Deep Neural
    Networks*. MONAI's ``DiceLoss(jaccard=True)`` adds 1e-5 to twice the numerator and twice the
    denominator: ``JaccardLoss(smoothing=5e-6)``.
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
    r"""Tversky loss: a Dice loss with separate weights of false positives and false negatives.

    .. math:: 1 - \frac{TP + s}{TP + \alpha FP + \beta FN + s}
        = \frac{\alpha FP + \beta FN}{TP + \alpha FP + \beta FN + s}

    With both weights 1/2, the loss equals the Dice loss with twice the smoothing. With both weights
    1, the loss equals the Jaccard loss.

    Targets may be soft. A ratio 0/0 counts as a loss of 0 with gradient 0.

    Parameters
    ----------
    alpha_fp, beta_fn : float >= 0
        The weights of the false positives and of the false negatives.
    smoothing : float >= 0
        Added to the numerator and the denominator of the Tversky index, in pixels.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Tversky(alpha_fp=0.25, beta_fn=0.75)([0.75, 0.5, 0.0], [1.0, 0.0, 0.0])
    np.float64(0.29411764705882354)

    References
    ----------
    Tversky (1977); Salehi et al. (2017), *Tversky Loss Function for Image Segmentation*, with the
    same alpha and beta, as in MONAI and segmentation_models. Abraham and Khan (2019) swap them.
    Keras 3.15's code also swaps them, although its documentation does not. optax's ``dice_loss`` is
    ``Tversky(smoothing=1.0)``. MONAI's ``TverskyLoss`` uses a smoothing of 1e-5.
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
    r"""Focal Tversky loss: a power of the Tversky loss that is steeper for small losses.

    .. math:: \left(\frac{\alpha FP + \beta FN}{TP + \alpha FP + \beta FN + s}\right)^{1 / \gamma}

    Targets may be soft. At a loss of 0 the derivative is 0, although the derivative of the power is
    infinite for gamma > 1. For gamma = 1 the derivative equals that of `Tversky`.

    Parameters
    ----------
    alpha_fp, beta_fn : float >= 0
        The weights of the false positives and of the false negatives; the defaults are from the
        paper.
    gamma : float > 0
        The exponent is 1 / gamma, as in the paper, which recommends 4/3. The authors' code and
        segmentation_models's ``TverskyLoss`` take the exponent itself: their 0.75 equals
        ``gamma=4 / 3``.
    smoothing : float >= 0
        Added to the numerator and the denominator of the Tversky index, in pixels; the authors'
        code adds 1.

    Examples
    --------
    >>> import isoloss as il
    >>> il.FocalTversky(gamma=2.0)([0.75, 0.5, 0.0], [1.0, 0.0, 0.0])
    np.float64(0.5498414147691576)

    References
    ----------
    Abraham and Khan (2019), *A Novel Focal Tversky Loss Function*; their alpha of 0.7 is the weight
    of the false negatives.
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
    r"""Generalised Dice loss: one Dice ratio over all classes, with more weight on small classes.

    .. math:: 1 - \frac{2 \sum_c w_c TP_c}{\sum_c w_c \sum (p_c + t_c)}
        = \frac{\sum_c w_c (FP_c + FN_c)}{\sum_c w_c (2 TP_c + FP_c + FN_c)}, \quad
        w_c = \Big(\sum t_c\Big)^{-2}

    A class with an empty target has the weight 0 and is excluded. Probability assigned to such a
    class still counts as missing in the other classes. If all targets are empty, the ratio 0/0
    counts as a loss of 0 with gradient 0.

    A sample has two axes, pixels and classes: flatten height and width into one axis. For the ratio
    over a batch, flatten the batch into the pixels as well.

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
    weight of the others, and adds 1e-5 to the numerator and the denominator. optax's
    ``multiclass_generalized_dice_loss`` is a different loss, a weighted mean of Dice losses.
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


# --- the Jaccard loss, extended to real-valued errors ---------------------------------------------


def _growth(xp: Namespace, error: Array, truth: Array, axis: int) -> Array:
    """Return the increase of the Jaccard loss by each error, after all larger errors.

    The Jaccard loss is 1 - I / U. The intersection I is the number of region pixels without an
    error so far, and the union U is the size of the region plus the false positives so far. A false
    negative adds 1 / U to the loss; a false positive adds I / (U - 1) - I / U.
    """
    order = xp.argsort(-xp.stop_gradient(error), axis=axis, stable=True)
    miss = xp.take_along_axis(xp.astype(truth, xp.counting), order, axis=axis)
    size = xp.sum(miss, axis=axis, keepdims=True)
    left = size - xp.cumulative_sum(miss, axis=axis)
    union = xp.astype(size + xp.cumulative_sum(1 - miss, axis=axis), xp.computing)
    before = xp.where(union == 1, 1.0, union - 1)
    growth = xp.where(miss > 0, 1.0, xp.astype(left, xp.computing) / before) / union
    growth = xp.where(union == 1, 1.0, growth)  # the first false positive of an empty region
    return xp.take_along_axis(growth, xp.argsort(order, axis=axis), axis=axis)


@final
@dataclass(frozen=True)
class LovaszHinge(Loss):
    r"""Lovász hinge loss: a convex extension of the Jaccard loss to the hinge losses of the pixels.

    .. math:: \sum_k \max(0, m_k) \left(J(m_1 \ldots m_k) - J(m_1 \ldots m_{k - 1})\right), \quad
        m = 1 - (2 t - 1) z

    The errors m are sorted in descending order, and J is the Jaccard loss of a prediction that is
    wrong at exactly these pixels. The loss is convex in the scores z. If the target is empty, J is
    1 from the first error on, and the loss is the largest error, or 0 if no error is positive.

    Predictions are scores; the predicted region is the set of scores above 0. Subgradient 0 at
    m = 0. Equal errors are sorted by position. To exclude a pixel, give it the target 0 and the
    score -1.

    Examples
    --------
    >>> import isoloss as il
    >>> il.lovasz_hinge([2.0, 0.5, -0.25], [1, 0, 1])
    np.float64(0.9166666666666666)

    References
    ----------
    Yu and Blaschko (2015); Berman et al. (2018), *The Lovász-Softmax Loss*. Their code with
    ``per_image=False`` corresponds to all axes in ``event_axis=``.
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
    r"""Lovász-softmax loss: the mean Jaccard loss of the classes, extended to probabilities.

    .. math:: \frac{1}{|C|} \sum_{c \in C} \sum_k m_{ck}
        \left(J_c(m_{c1} \ldots m_{ck}) - J_c(m_{c1} \ldots m_{c, k - 1})\right), \quad
        m_c = |[y = c] - p_c|

    C is the set of classes that occur in the targets of the sample. The errors m of each class are
    sorted in descending order, and J is the Jaccard loss of a prediction that is wrong at exactly
    these pixels.

    Predictions are probabilities. Flatten height and width into the pixel axis; for the loss over a
    batch, flatten the batch as well. Equal errors are sorted by position.

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


# --- default instances ----------------------------------------------------------------------------

dice_loss = DiceLoss()
jaccard_loss = JaccardLoss()
tversky = Tversky()
focal_tversky = FocalTversky()
generalised_dice = GeneralisedDice()
lovasz_hinge = LovaszHinge()
lovasz_softmax = LovaszSoftmax()
