"""Embeddings: losses of pairs and triplets of vectors, and of all pairs of a batch.

In every formula a and b are vectors, u and v are vectors divided by their Euclidean norms, t is a
temperature, and i and j index the rows of a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, final

from .._core.domains import AT_LEAST_ONE, REAL, ZERO_OR_ONE, Domain, Interval, Labels
from .._core.metric import Loss
from .._core.parameters import NonNegative, Number, Positive, Real
from .._core.types import Array, Namespace

__all__ = [
    "CLIP",
    "BarlowTwins",
    "Contrastive",
    "CosineEmbedding",
    "InfoNCE",
    "MarginRanking",
    "NTXent",
    "SigLIP",
    "SupervisedContrastive",
    "TripletMargin",
    "VICReg",
    "barlow_twins",
    "clip_loss",
    "contrastive",
    "cosine_embedding",
    "info_nce",
    "margin_ranking",
    "nt_xent",
    "siglip",
    "supervised_contrastive",
    "triplet_margin",
    "vicreg",
]

MINUS_ONE_OR_ONE = Interval(-1.0, 1.0).without(-1.0, 1.0)


def _shortfall(xp: Namespace, short: Array) -> Array:
    """Return the positive part of a number, with derivative 0 at 0; nan stays nan."""
    return xp.where(short <= 0, 0.0, short)


# --- pairs and triplets ---------------------------------------------------------------------------


def _norm(xp: Namespace, x: Array, p: Any) -> Array:
    """Return the p-norm along the last axis, without overflow of powers; gradient 0 at 0."""
    if isinstance(p, (int, float)) and p == 2:
        return xp.euclidean_norm(x)
    size = xp.abs(x)
    largest = xp.max(xp.stop_gradient(size), axis=-1, keepdims=True)
    zero = largest == 0
    size = size / xp.where(zero, 1.0, largest)
    none = size == 0
    powers = xp.where(none, 1.0, size) ** p
    total, power = xp.sum(xp.where(none, 0.0, powers), axis=-1), 1 / p
    zero = zero[..., 0]
    root = xp.where(zero, 1.0, total) ** power
    return xp.where(zero, 0.0, largest[..., 0] * root)


@final
@dataclass(frozen=True)
class TripletMargin(Loss):
    r"""Triplet loss: an anchor must be nearer to a positive than to a negative by a margin.

    .. math:: \max(0, m + \|a - b_+\|_p - \|a - b_-\|_p)

    Predictions are the anchors a; targets are a tuple ``(positive, negative)``. Subgradient 0 at
    the margin. The gradient of a norm at 0 is 0. Distances of 1e30 or 1e-30 neither overflow nor
    underflow. If the targets also come from a model, differentiate with respect to them as well.

    Parameters
    ----------
    margin : float >= 0
        The difference of distances m from which a triplet has the loss 0.
    p : float >= 1
        The order of the norm.

    Examples
    --------
    >>> import isoloss as il
    >>> il.triplet_margin([[0.0, 0.0]], ([[3.0, 4.0]], [[0.0, 5.5]]))
    np.float64(0.5)

    References
    ----------
    Weinberger and Saul (2009); Schroff et al. (2015), *FaceNet*, with squared distances. torch's
    ``triplet_margin_loss`` adds 1e-6 to every difference. optax's adds 1e-6 to the sum of the
    powers and omits the absolute values, so that an odd p gives another function.
    """

    signature: ClassVar[str] = "(features),((features),(features))->()"
    target_names: ClassVar[tuple[str, ...]] = ("positive", "negative")
    domain: ClassVar[Domain] = Domain(REAL, (REAL, REAL))
    margin: NonNegative = 1.0
    p: Annotated[Number, AT_LEAST_ONE] = 2.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Any) -> Array:
        near, far = (_norm(xp, prediction - other, self.p) for other in target)
        return _shortfall(xp, self.margin + (near - far))


@final
@dataclass(frozen=True)
class Contrastive(Loss):
    r"""Contrastive loss: similar pairs must be close, and dissimilar pairs a margin apart.

    .. math:: \tfrac{1}{2} y \|a - b\|^2 + \tfrac{1}{2} (1 - y) \max(0, m - \|a - b\|)^2

    Predictions are a tuple ``(first, second)`` of vectors a and b. Targets are 1 for similar
    vectors and 0 for dissimilar vectors. The derivative is 0 for equal vectors and at the margin.

    Parameters
    ----------
    margin : float >= 0
        The distance m from which dissimilar vectors have the loss 0.

    Examples
    --------
    >>> import isoloss as il
    >>> first, second = [[0.0, 0.0], [0.0, 0.0]], [[0.6, 0.8], [0.3, 0.4]]
    >>> il.contrastive((first, second), [1.0, 0.0], reduction="none")
    array([0.5  , 0.125])

    References
    ----------
    Hadsell, Chopra and LeCun (2006), *Dimensionality Reduction by Learning an Invariant Mapping*,
    where the label of similar vectors is 0. pytorch-metric-learning's ``ContrastiveLoss`` does not
    square the distances, and excludes terms of 0 from the mean.
    """

    signature: ClassVar[str] = "((features),(features)),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("first", "second")
    domain: ClassVar[Domain] = Domain((REAL, REAL), ZERO_OR_ONE)
    margin: NonNegative = 1.0

    def pointwise(self, xp: Namespace, prediction: Any, target: Array) -> Array:
        apart = prediction[0] - prediction[1]
        short = _shortfall(xp, self.margin - _norm(xp, apart, 2))
        return xp.where(target > 0, xp.sum(apart * apart, axis=-1), short * short) / 2


@final
@dataclass(frozen=True)
class CosineEmbedding(Loss):
    r"""Cosine embedding loss: similar pairs must be parallel, others at an angle to each other.

    .. math:: 1 - \langle u, v \rangle \text{ for } y = 1, \quad
        \max(0, \langle u, v \rangle - m) \text{ for } y = -1

    Predictions are a tuple ``(first, second)`` of vectors. Targets are 1 for similar vectors and -1
    for dissimilar vectors. A zero vector has cosine 0 and gradient 0. Subgradient 0 at the margin.
    The loss is accurate for nearly parallel vectors.

    Parameters
    ----------
    margin : -1 <= float <= 1
        The cosine m up to which dissimilar vectors have the loss 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.cosine_embedding(([[3.0, 4.0]] * 2, [[4.0, 3.0]] * 2), [1.0, -1.0], reduction="none")
    array([0.04, 0.96])

    References
    ----------
    torch's ``cosine_embedding_loss``, which adds 1e-12 to the squared norms.
    """

    signature: ClassVar[str] = "((features),(features)),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("first", "second")
    domain: ClassVar[Domain] = Domain((REAL, REAL), MINUS_ONE_OR_ONE)
    margin: Annotated[Number, Interval(-1.0, 1.0)] = 0.0

    def pointwise(self, xp: Namespace, prediction: Any, target: Array) -> Array:
        u, v = (xp.unit_vector(x) for x in prediction)
        above = _shortfall(xp, xp.sum(u * v, axis=-1) - self.margin)
        return xp.where(target > 0, _distance(xp, u, v), above)


def _distance(xp: Namespace, u: Array, v: Array) -> Array:
    """Return ``1 - <u, v>`` of unit vectors along the last axis, without cancellation."""
    zero = xp.all(u == 0, axis=-1) | xp.all(v == 0, axis=-1)
    return xp.where(zero, 1.0, xp.sum((u - v) * (u - v), axis=-1) / 2)


@final
@dataclass(frozen=True)
class MarginRanking(Loss):
    r"""Margin ranking loss: the hinge loss of two scores and a label for the higher one.

    .. math:: \max(0, m - y (s_1 - s_2))

    Predictions are a tuple ``(first, second)`` of scores. Targets are 1 if the first score should
    be higher, and -1 if the second score should be higher. Subgradient 0 at the margin.

    Parameters
    ----------
    margin : float >= 0
        The difference of scores m, in the right direction, from which a pair has the loss 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.MarginRanking(margin=0.5)(([2.0, 2.0], [1.75, 0.0]), [1.0, -1.0], reduction="none")
    array([0.25, 2.5 ])

    References
    ----------
    Herbrich et al. (2000), *Large Margin Rank Boundaries for Ordinal Regression*; torch's
    ``margin_ranking_loss``. For all pairs of a list, use `pairwise_hinge`.
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("first", "second")
    domain: ClassVar[Domain] = Domain((REAL, REAL), MINUS_ONE_OR_ONE)
    margin: NonNegative = 0.0

    def pointwise(self, xp: Namespace, prediction: Any, target: Array) -> Array:
        return _shortfall(xp, self.margin - target * (prediction[0] - prediction[1]))


# --- all pairs of a batch -------------------------------------------------------------------------


class _OfBatch(Loss):
    """Base class of losses of a whole batch, which depend on the rows that share a batch."""

    signature: ClassVar[str] = "(batch, features),(batch, features)->()"
    kind: ClassVar[str] = "batch-pairwise"


def _cosines(xp: Namespace, a: Array, b: Array) -> Array:
    """Return the cosines of all rows of a and all rows of b; 0 for a zero vector."""
    return xp.matmul(xp.unit_vector(a), xp.moveaxis(xp.unit_vector(b), -1, -2))


def _own(xp: Namespace, pairs: Array) -> Array:
    """Return the index of each row of a square matrix of pairs: 0, 1, 2, ..."""
    return xp.places(pairs[..., 0])


def _choice(xp: Namespace, logits: Array, label: Array) -> Array:
    """Return the cross-entropy of the logits and labels, averaged over the rows of a batch."""
    return xp.mean(xp.label_cross_entropy(logits, label), axis=-1)


def _but_self(xp: Namespace, logits: Array) -> Array:
    """Set the logits of the pairs of a row with itself to -inf."""
    return xp.where(xp.at(logits, _own(xp, logits)), -math.inf, logits)


@final
@dataclass(frozen=True)
class InfoNCE(_OfBatch):
    r"""InfoNCE loss: the cross-entropy of identifying the key of a query in the batch.

    .. math:: -\frac{1}{n} \sum_i \log \frac{\exp(\langle u_i, v_i \rangle / t)}
        {\sum_j \exp(\langle u_i, v_j \rangle / t)}

    Predictions are the queries, and targets are the keys; row i of the targets is the key of row i
    of the predictions. The lengths of the vectors do not matter; a zero vector has cosine 0 and
    gradient 0. If the targets also come from a model, differentiate with respect to them as well.
    Small losses are as accurate as the cosines. For other similarities, pass their logits and the
    labels 0, 1, 2, ... to `softmax_cross_entropy`. Over several batches, the result is the mean
    of the values of the batches.

    Parameters
    ----------
    temperature : float > 0
        The divisor t of the cosines.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.InfoNCE(temperature=0.5)([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]):.6f}"
    '0.126928'

    References
    ----------
    Van den Oord et al. (2018), *Representation Learning with Contrastive Predictive Coding*; He et
    al. (2020), *MoCo*, for the cosine and the temperature. `clip_loss` is the symmetric form.
    """

    temperature: Positive = 0.07

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        logits = _cosines(xp, prediction, target) / self.temperature
        return _choice(xp, logits, _own(xp, logits))


@final
@dataclass(frozen=True)
class CLIP(_OfBatch):
    r"""CLIP loss: the cross-entropies of identifying the text of an image, and the reverse.

    .. math:: -\frac{1}{2 n} \sum_i \left(
        \log \frac{\exp(\langle u_i, v_i \rangle / t)}{\sum_j \exp(\langle u_i, v_j \rangle / t)} +
        \log \frac{\exp(\langle u_i, v_i \rangle / t)}{\sum_j \exp(\langle u_j, v_i \rangle / t)}
        \right)

    Row i of the predictions and row i of the targets are a pair. The lengths of the vectors do not
    matter; a zero vector has cosine 0 and gradient 0. If both come from a model, differentiate with
    respect to both. Over several batches, the result is the mean of the values of the batches.

    Parameters
    ----------
    temperature : float > 0
        The divisor t of the cosines; it may be an array, so that it can be learnt.

    Examples
    --------
    >>> import isoloss as il
    >>> il.CLIP(temperature=0.5)([[1.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]])  # log 2
    np.float64(0.6931471805599453)

    References
    ----------
    Radford et al. (2021), *Learning Transferable Visual Models From Natural Language Supervision*,
    where the logarithm of the reciprocal temperature is learnt, with an upper limit of log(100).
    """

    temperature: Positive = 0.07

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        logits = _cosines(xp, prediction, target) / self.temperature
        both = (logits, xp.moveaxis(logits, -1, -2))
        one, other = (_choice(xp, x, _own(xp, x)) for x in both)
        return (one + other) / 2


@final
@dataclass(frozen=True)
class NTXent(_OfBatch):
    r"""NT-Xent loss: the cross-entropy of identifying the other view of a sample in the batch.

    .. math:: -\frac{1}{2 n} \sum_{i = 1}^{2 n} \log \frac{\exp(\langle u_i, u_{i'} \rangle / t)}
        {\sum_{j \ne i} \exp(\langle u_i, u_j \rangle / t)}

    where u are the 2n views in both arrays, and i' is the other view of the same sample as i.

    Row i of the predictions and row i of the targets are the two views of a sample. The lengths of
    the vectors do not matter; a zero vector has cosine 0 and gradient 0. If both come from a model,
    differentiate with respect to both. Over several batches, the result is the mean of the values
    of the batches.

    Parameters
    ----------
    temperature : float > 0
        The divisor t of the cosines.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.nt_xent([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]):.6f}"
    '0.239545'

    References
    ----------
    Chen et al. (2020), *SimCLR*. optax's ``ntxent`` takes both arrays concatenated, with the labels
    0 to n - 1 twice. With more than two views per sample, its denominators exclude the other
    positives; those of `supervised_contrastive` include them.
    """

    temperature: Positive = 0.5

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        views, n = xp.concat([prediction, target], axis=-2), prediction.shape[-2]
        logits = _but_self(xp, _cosines(xp, views, views) / self.temperature)
        place = _own(xp, logits)
        return _choice(xp, logits, xp.where(place < n, place + n, place - n))


@final
@dataclass(frozen=True)
class SupervisedContrastive(_OfBatch):
    r"""Supervised contrastive loss: the cross-entropy of identifying the rows of the same label.

    .. math:: -\frac{1}{n} \sum_i \frac{1}{|P_i|} \sum_{p \in P_i} \log
        \frac{\exp(\langle u_i, u_p \rangle / t)}{\sum_{j \ne i} \exp(\langle u_i, u_j \rangle / t)}

    where ``P_i`` is the set of the other rows with the label of i. The outer sum is over the n rows
    with a non-empty ``P_i``; if there are no such rows, the loss is 0.

    Predictions are vectors, and targets are their labels. The lengths of the vectors do not matter;
    a zero vector has cosine 0 and gradient 0. Over several batches, the result is the mean of the
    values of the batches.

    Parameters
    ----------
    temperature : float > 0
        The divisor t of the cosines.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.supervised_contrastive([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [0, 0, 1]):.5e}"
    '4.53989e-05'

    References
    ----------
    Khosla et al. (2020), *Supervised Contrastive Learning*, equation 2 (with the sum outside the
    logarithm). The authors' code averages over all rows; rows without a positive add 0.
    """

    signature: ClassVar[str] = "(batch, features),(batch)->()"
    domain: ClassVar[Domain] = Domain(REAL, Labels())
    temperature: Positive = 0.1

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        logits = _but_self(xp, _cosines(xp, prediction, prediction) / self.temperature)
        one, other = xp.expand_dims(target, axis=-1), xp.expand_dims(target, axis=-2)
        alike = xp.astype((one == other) & (logits > -math.inf), xp.computing)
        number = xp.sum(alike, axis=-1)
        shares = alike / xp.expand_dims(xp.maximum(number, 1.0), axis=-1)
        total = xp.sum(xp.cross_entropy(logits, shares), axis=-1)
        return total / xp.maximum(xp.sum(xp.minimum(number, 1.0), axis=-1), 1.0)


@final
@dataclass(frozen=True)
class SigLIP(_OfBatch):
    r"""SigLIP loss: the logistic losses of classifying each image and text as a pair or not.

    .. math:: -\frac{1}{n} \sum_i \sum_j \log
        \frac{1}{1 + \exp(-y_{ij} (\langle u_i, v_j \rangle / t + b))}

    where ``y_ij`` is 1 for i = j and -1 otherwise.

    Row i of the predictions and row i of the targets are a pair. The lengths of the vectors do not
    matter; a zero vector has cosine 0 and gradient 0. If both come from a model, differentiate with
    respect to both. Over several batches, the result is the mean of the values of the batches.

    Parameters
    ----------
    temperature : float > 0
        The divisor t of the cosines; it may be an array, so that it can be learnt.
    bias : float
        The logit b of orthogonal vectors; it may be an array, so that it can be learnt.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.siglip([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]):.6f}"
    '0.693193'

    References
    ----------
    Zhai et al. (2023), *Sigmoid Loss for Language Image Pre-Training*, where the logarithm of the
    reciprocal temperature is learnt, with the initial value log(10).
    """

    temperature: Positive = 0.1
    bias: Real = -10.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        logits = _cosines(xp, prediction, target) / self.temperature + self.bias
        pair = xp.at(logits, _own(xp, logits))
        loss = xp.softplus(xp.where(pair, -logits, logits))
        return xp.mean(xp.sum(loss, axis=-1), axis=-1)


# --- features across a batch ----------------------------------------------------------------------


def _centred(xp: Namespace, x: Array) -> Array:
    """Return each feature minus its mean over the batch, with the batch as the last axis.

    The first row is subtracted before the mean is taken, so that a constant feature is exactly 0.
    """
    x = xp.moveaxis(x, -1, -2)
    x = x - xp.stop_gradient(x)[..., :1]
    return x - xp.mean(x, axis=-1, keepdims=True)


def _off_diagonal(xp: Namespace, square: Array) -> Array:
    """Return the sum of the squares of the off-diagonal entries."""
    off = xp.where(xp.at(square, _own(xp, square)), 0.0, square)
    return xp.sum(off * off, axis=(-2, -1))


@final
@dataclass(frozen=True)
class BarlowTwins(_OfBatch):
    r"""Barlow Twins loss: the squared distance of the correlation matrix from the identity.

    .. math:: \sum_k (1 - C_{kk})^2 + \lambda \sum_k \sum_{l \ne k} C_{kl}^2

    where ``C_kl`` is the correlation, over the batch, of feature k of one view and feature l of the
    other view.

    Row i of the predictions and row i of the targets are the two views of a sample. A constant
    feature has correlation 0 and gradient 0. If both come from a model, differentiate with respect
    to both. Over several batches, the result is the mean of the values of the batches.

    Parameters
    ----------
    off_diagonal : float >= 0
        The weight lambda of the correlations of different features.

    Examples
    --------
    >>> import isoloss as il
    >>> views = [[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]], [[2.0, 1.0], [0.0, 2.0], [-2.0, 2.0]]
    >>> f"{il.barlow_twins(*views):.6f}"
    '0.007500'

    References
    ----------
    Zbontar et al. (2021), *Barlow Twins: Self-Supervised Learning via Redundancy Reduction*. The
    authors' code adds 1e-5 to the variances and uses a weight of 0.0051.
    """

    off_diagonal: NonNegative = 0.005

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        u, v = (xp.unit_vector(_centred(xp, x)) for x in (prediction, target))
        short = _distance(xp, u, v)
        across = _off_diagonal(xp, xp.matmul(u, xp.moveaxis(v, -1, -2)))
        return xp.sum(short * short, axis=-1) + self.off_diagonal * across


@final
@dataclass(frozen=True)
class VICReg(_OfBatch):
    r"""VICReg loss: a sum of invariance, variance and covariance penalties.

    .. math:: \lambda \frac{1}{n d} \sum_i \|a_i - b_i\|^2
        + \mu \, (V(a) + V(b)) + \nu \, (C(a) + C(b))

    .. math:: V(a) = \frac{1}{d} \sum_k \max\left(0, 1 - \sqrt{S_{kk} + \epsilon}\right), \quad
        C(a) = \frac{1}{d} \sum_k \sum_{l \ne k} S_{kl}^2

    where ``S_kl`` is the covariance of features k and l over the n rows, with the divisor n - 1,
    and d is the number of features.

    Row i of the predictions and row i of the targets are the two views of a sample. A batch needs
    at least two samples; the loss of one sample is nan. If a root is 1, the derivative of its term
    is 0. If both arrays come from a model, differentiate with respect to both. Over several
    batches, the result is the mean of the values of the batches.

    Parameters
    ----------
    invariance, variance, covariance : float >= 0
        The weights lambda, mu and nu of the three terms.
    epsilon : float >= 0
        Added to the variances, as in the definition.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.vicreg([[1.0, 0.0], [-1.0, 0.5]], [[1.0, 0.0], [-1.0, 0.0]]):.6f}"
    '22.266315'

    References
    ----------
    Bardes, Ponce and LeCun (2022), *VICReg*, algorithm 1. Their equation 5 divides the first term
    by n only: ``invariance=25 * d``. The authors' code, and most code derived from it, halves the
    second term: ``variance=12.5``.
    """

    invariance: NonNegative = 25.0
    variance: NonNegative = 25.0
    covariance: NonNegative = 1.0
    epsilon: NonNegative = 1e-4

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        apart, (n, features) = prediction - target, prediction.shape[-2:]
        loss = self.invariance * xp.mean(apart * apart, axis=(-2, -1))
        for x in (_centred(xp, prediction), _centred(xp, target)):
            spread = xp.sqrt(xp.sum(x * x, axis=-1) / (n - 1) + self.epsilon)
            together = _off_diagonal(xp, xp.matmul(x, xp.moveaxis(x, -1, -2)) / (n - 1))
            loss = loss + self.variance * xp.mean(_shortfall(xp, 1 - spread), axis=-1)
            loss = loss + self.covariance * together / features
        return loss


# --- default instances ----------------------------------------------------------------------------

triplet_margin = TripletMargin()
contrastive = Contrastive()
cosine_embedding = CosineEmbedding()
margin_ranking = MarginRanking()
info_nce = InfoNCE()
clip_loss = CLIP()
nt_xent = NTXent()
supervised_contrastive = SupervisedContrastive()
siglip = SigLIP()
barlow_twins = BarlowTwins()
vicreg = VICReg()
