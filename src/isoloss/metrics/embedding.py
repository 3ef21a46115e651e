"""Embeddings: losses of pairs and triplets of vectors, and of all pairs of a batch.

In every formula a and b are vectors, u and v vectors divided by their Euclidean norms, t is a
temperature, and i and j count the rows of a batch.
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
    """Return what is positive; at 0 with derivative 0. nan stays nan."""
    return xp.where(short <= 0, 0.0, short)


# --- pairs and triplets ---------------------------------------------------------------------------


def _norm(xp: Namespace, x: Array, p: Any) -> Array:
    """Return the p-norm along the last axis, without powers out of range; gradient 0 at 0."""
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
    r"""Triplet loss: how far an anchor is from being nearer to a positive by a margin.

    .. math:: \max(0, m + \|a - b_+\|_p - \|a - b_-\|_p)

    Kind: row-wise; predictions ``(..., features)`` the anchors, targets a tuple ``(positive,
    negative)`` of arrays ``(..., features)``, all of any real numbers. Subgradient 0 at the margin,
    gradient 0 of a norm at 0; lengths of 1e30 or 1e-30 do not matter. Where the targets are a
    model's too, differentiate by them as well.

    Parameters
    ----------
    margin : float >= 0
        By how much the negative must be farther for a triplet to cost nothing, as a distance.
    p : float >= 1
        The degree of the norm.

    Examples
    --------
    >>> import isoloss as il
    >>> il.triplet_margin([[0.0, 0.0]], ([[3.0, 4.0]], [[0.0, 5.5]]))
    np.float64(0.5)

    References
    ----------
    Weinberger and Saul (2009); Schroff et al. (2015), *FaceNet*, with squared distances. torch's
    ``triplet_margin_loss`` adds 1e-6 to every difference; optax's adds it to the sum of the powers,
    which it takes without their absolute values, so that an odd p is another function there.
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
    r"""Contrastive loss: pairs that are alike are drawn together, others a margin apart.

    .. math:: \tfrac{1}{2} y \|a - b\|^2 + \tfrac{1}{2} (1 - y) \max(0, m - \|a - b\|)^2

    Kind: row-wise; predictions a tuple ``(first, second)`` of arrays ``(..., features)``, of any
    real numbers; targets ``(...)`` 1 for vectors that are alike, 0 for others, nan otherwise. The
    derivative of the norm at 0 is 0, and so is that at the margin.

    Parameters
    ----------
    margin : float >= 0
        The distance from which vectors that are not alike cost nothing.

    Examples
    --------
    >>> import isoloss as il
    >>> first, second = [[0.0, 0.0], [0.0, 0.0]], [[0.6, 0.8], [0.3, 0.4]]
    >>> il.contrastive((first, second), [1.0, 0.0], reduction="none")
    array([0.5  , 0.125])

    References
    ----------
    Hadsell, Chopra and LeCun (2006), *Dimensionality Reduction by Learning an Invariant Mapping*,
    where the label is 0 for vectors that are alike. pytorch-metric-learning's ``ContrastiveLoss``
    does not square, and leaves out terms of 0.
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
    r"""Cosine loss of pairs: those that are alike point one way, others at an angle at least.

    .. math:: 1 - \langle u, v \rangle \text{ for } y = 1, \quad
        \max(0, \langle u, v \rangle - m) \text{ for } y = -1

    Kind: row-wise; predictions a tuple ``(first, second)`` of arrays ``(..., features)``, of any
    real numbers; targets ``(...)`` 1 for vectors that are alike, -1 for others, nan otherwise. A
    zero vector has cosine 0 and gradient 0; subgradient 0 at the margin. Exact for nearly parallel
    vectors.

    Parameters
    ----------
    margin : -1 <= float <= 1
        The cosine down from which vectors that are not alike cost nothing.

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
    r"""Hinge loss of two scores, of which the label says which is to be higher.

    .. math:: \max(0, m - y (s_1 - s_2))

    Kind: pointwise; predictions a tuple ``(first, second)`` of arrays ``(...)``, any real numbers;
    targets ``(...)`` 1 where the first is to be higher, -1 where the second is, nan otherwise.
    Subgradient 0 at the margin.

    Parameters
    ----------
    margin : float >= 0
        By how much the one must be higher for a pair to cost nothing.

    Examples
    --------
    >>> import isoloss as il
    >>> il.MarginRanking(margin=0.5)(([2.0, 2.0], [1.75, 0.0]), [1.0, -1.0], reduction="none")
    array([0.25, 2.5 ])

    References
    ----------
    Herbrich et al. (2000), *Large Margin Rank Boundaries for Ordinal Regression*; torch's
    ``margin_ranking_loss``. Of all the pairs of a list: `pairwise_hinge`.
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("first", "second")
    domain: ClassVar[Domain] = Domain((REAL, REAL), MINUS_ONE_OR_ONE)
    margin: NonNegative = 0.0

    def pointwise(self, xp: Namespace, prediction: Any, target: Array) -> Array:
        return _shortfall(xp, self.margin - target * (prediction[0] - prediction[1]))


# --- all pairs of a batch -------------------------------------------------------------------------


class _OfBatch(Loss):
    """A loss whose sample is a whole batch: it depends on which rows share one."""

    signature: ClassVar[str] = "(batch, features),(batch, features)->()"
    kind: ClassVar[str] = "batch-pairwise"


def _cosines(xp: Namespace, a: Array, b: Array) -> Array:
    """Return the cosine of every row with every row; 0 for a zero vector."""
    return xp.matmul(xp.unit_vector(a), xp.moveaxis(xp.unit_vector(b), -1, -2))


def _own(xp: Namespace, pairs: Array) -> Array:
    """Return the number of each row of a square of pairs: 0, 1, 2, ..."""
    return xp.places(pairs[..., 0])


def _choice(xp: Namespace, logits: Array, label: Array) -> Array:
    """Return the mean over the rows of the cross-entropy of choosing the label among all."""
    return xp.mean(xp.label_cross_entropy(logits, label), axis=-1)


def _but_self(xp: Namespace, logits: Array) -> Array:
    """Rule out the pairs of a row with itself."""
    return xp.where(xp.at(logits, _own(xp, logits)), -math.inf, logits)


@final
@dataclass(frozen=True)
class InfoNCE(_OfBatch):
    r"""InfoNCE: the cross-entropy of telling the key of a query among the keys of the batch.

    .. math:: -\frac{1}{n} \sum_i \log \frac{\exp(\langle u_i, v_i \rangle / t)}
        {\sum_j \exp(\langle u_i, v_j \rangle / t)}

    Kind: batch-pairwise, so that the value depends on which rows share a batch, and states of
    batches merge to the mean of their values, not to the value of the whole. Predictions ``(...,
    batch, features)`` the queries, targets ``(..., batch, features)`` the keys, row by row their
    own, both of any real numbers: lengths do not matter, and a zero vector has cosine 0 and
    gradient 0. Where the targets are a model's too, differentiate by them as well. A sure answer
    keeps the digits that the cosines have. Of logits of other similarities, it is
    `softmax_cross_entropy` with the labels 0, 1, 2, ...

    Parameters
    ----------
    temperature : float > 0
        The difference of cosines that counts as one.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.InfoNCE(temperature=0.5)([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]):.6f}"
    '0.126928'

    References
    ----------
    Van den Oord et al. (2018), *Representation Learning with Contrastive Predictive Coding*; He et
    al. (2020), *MoCo*, for the cosine and the temperature. Both ways at once: `clip_loss`.
    """

    temperature: Positive = 0.07

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        logits = _cosines(xp, prediction, target) / self.temperature
        return _choice(xp, logits, _own(xp, logits))


@final
@dataclass(frozen=True)
class CLIP(_OfBatch):
    r"""CLIP's loss: telling the text of an image, and the image of a text, in the batch.

    .. math:: -\frac{1}{2 n} \sum_i \left(
        \log \frac{\exp(\langle u_i, v_i \rangle / t)}{\sum_j \exp(\langle u_i, v_j \rangle / t)} +
        \log \frac{\exp(\langle u_i, v_i \rangle / t)}{\sum_j \exp(\langle u_j, v_i \rangle / t)}
        \right)

    Kind: batch-pairwise, so that the value depends on which rows share a batch, and states of
    batches merge to the mean of their values, not to the value of the whole. Predictions and
    targets ``(..., batch, features)`` of any real numbers, row by row a pair: lengths do not
    matter, and a zero vector has cosine 0 and gradient 0. Both are a model's: differentiate by
    both.

    Parameters
    ----------
    temperature : float > 0
        The difference of cosines that counts as one; it may be an array, and learnt.

    Examples
    --------
    >>> import isoloss as il
    >>> il.CLIP(temperature=0.5)([[1.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]])  # log 2
    np.float64(0.6931471805599453)

    References
    ----------
    Radford et al. (2021), *Learning Transferable Visual Models From Natural Language Supervision*,
    where the logarithm of the reciprocal temperature is learnt, and at most log(100).
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
    r"""NT-Xent: telling the other view of a sample among all other views of the batch.

    .. math:: -\frac{1}{2 n} \sum_{i = 1}^{2 n} \log \frac{\exp(\langle u_i, u_{i'} \rangle / t)}
        {\sum_{j \ne i} \exp(\langle u_i, u_j \rangle / t)}

    over the 2n views u of both arrays, with i' the other view of the sample of i.

    Kind: batch-pairwise, so that the value depends on which rows share a batch, and states of
    batches merge to the mean of their values, not to the value of the whole. Predictions and
    targets ``(..., batch, features)`` of any real numbers, row by row the two views of a sample:
    lengths do not matter, and a zero vector has cosine 0 and gradient 0. Both are a model's:
    differentiate by both.

    Parameters
    ----------
    temperature : float > 0
        The difference of cosines that counts as one.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.nt_xent([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]):.6f}"
    '0.239545'

    References
    ----------
    Chen et al. (2020), *SimCLR*. optax's ``ntxent`` of the views one after the other, labelled 0 to
    n - 1 twice; of more views than two, its denominators leave out the other positives, where
    `supervised_contrastive` keeps them.
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
    r"""Supervised contrastive loss: telling the rows of the same label among all other rows.

    .. math:: -\frac{1}{n} \sum_i \frac{1}{|P_i|} \sum_{p \in P_i} \log
        \frac{\exp(\langle u_i, u_p \rangle / t)}{\sum_{j \ne i} \exp(\langle u_i, u_j \rangle / t)}

    with the other rows ``P_i`` of the label of i, over the n rows that have any; 0 where none has.

    Kind: batch-pairwise, so that the value depends on which rows share a batch, and states of
    batches merge to the mean of their values, not to the value of the whole. Predictions ``(...,
    batch, features)`` of any real numbers: lengths do not matter, and a zero vector has cosine 0
    and gradient 0. Targets ``(..., batch)`` integers from 0, nan below.

    Parameters
    ----------
    temperature : float > 0
        The difference of cosines that counts as one.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.supervised_contrastive([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [0, 0, 1]):.5e}"
    '4.53989e-05'

    References
    ----------
    Khosla et al. (2020), *Supervised Contrastive Learning*, equation 2 (the sum outside the
    logarithm). The authors' code counts rows without a positive as 0.
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
    r"""SigLIP's loss: telling of every image and every text of the batch whether they are a pair.

    .. math:: -\frac{1}{n} \sum_i \sum_j \log
        \frac{1}{1 + \exp(-y_{ij} (\langle u_i, v_j \rangle / t + b))}

    with ``y_ij`` 1 for i = j and -1 otherwise.

    Kind: batch-pairwise, so that the value depends on which rows share a batch, and states of
    batches merge to the mean of their values, not to the value of the whole. Predictions and
    targets ``(..., batch, features)`` of any real numbers, row by row a pair: lengths do not
    matter, and a zero vector has cosine 0 and gradient 0. Both are a model's: differentiate by
    both.

    Parameters
    ----------
    temperature : float > 0
        The difference of cosines that counts as one; it may be an array, and learnt.
    bias : float
        The logit of orthogonal vectors; it may be an array, and learnt.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.siglip([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 3.0]]):.6f}"
    '0.693193'

    References
    ----------
    Zhai et al. (2023), *Sigmoid Loss for Language Image Pre-Training*, where the logarithm of the
    reciprocal temperature is learnt, from log(10).
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
    """Return each feature less its mean over the batch, which becomes the last axis.

    A feature that is constant is exactly 0: the mean is taken of what is left of a first row.
    """
    x = xp.moveaxis(x, -1, -2)
    x = x - xp.stop_gradient(x)[..., :1]
    return x - xp.mean(x, axis=-1, keepdims=True)


def _off_diagonal(xp: Namespace, square: Array) -> Array:
    """Return the sum of the squares of what is not on the diagonal."""
    off = xp.where(xp.at(square, _own(xp, square)), 0.0, square)
    return xp.sum(off * off, axis=(-2, -1))


@final
@dataclass(frozen=True)
class BarlowTwins(_OfBatch):
    r"""Barlow Twins' loss: features of two views correlate with themselves, not with each other.

    .. math:: \sum_k (1 - C_{kk})^2 + \lambda \sum_k \sum_{l \ne k} C_{kl}^2

    with the correlation ``C_kl`` over the batch of feature k of one view and l of the other.

    Kind: batch-pairwise, so that the value depends on which rows share a batch, and states of
    batches merge to the mean of their values, not to the value of the whole. Predictions and
    targets ``(..., batch, features)`` of any real numbers, row by row the two views of a sample. A
    feature that is constant has correlation 0 and gradient 0. Both are a model's: differentiate by
    both.

    Parameters
    ----------
    off_diagonal : float >= 0
        The weight of the correlations of different features, lambda above.

    Examples
    --------
    >>> import isoloss as il
    >>> views = [[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]], [[2.0, 1.0], [0.0, 2.0], [-2.0, 2.0]]
    >>> f"{il.barlow_twins(*views):.6f}"
    '0.007500'

    References
    ----------
    Zbontar et al. (2021), *Barlow Twins: Self-Supervised Learning via Redundancy Reduction*. The
    authors' code adds 1e-5 to the variances, and has a weight of 0.0051.
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
    r"""VICReg: views agree, features vary, and no two features do so together.

    .. math:: \lambda \frac{1}{n d} \sum_i \|a_i - b_i\|^2
        + \mu \, (V(a) + V(b)) + \nu \, (C(a) + C(b))

    .. math:: V(a) = \frac{1}{d} \sum_k \max\left(0, 1 - \sqrt{S_{kk} + \epsilon}\right), \quad
        C(a) = \frac{1}{d} \sum_k \sum_{l \ne k} S_{kl}^2

    with the covariance ``S_kl`` of features k and l over the n rows, divided by n - 1.

    Kind: batch-pairwise, so that the value depends on which rows share a batch, and states of
    batches merge to the mean of their values, not to the value of the whole. Predictions and
    targets ``(..., batch, features)`` of any real numbers, row by row the two views of a sample, of
    two samples at least: nan of one. Where a root is 1 the derivative of its term is 0. Both are a
    model's: differentiate by both.

    Parameters
    ----------
    invariance, variance, covariance : float >= 0
        The weights of the three terms: lambda, mu and nu above.
    epsilon : float >= 0
        What the definition adds to the variances.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.vicreg([[1.0, 0.0], [-1.0, 0.5]], [[1.0, 0.0], [-1.0, 0.0]]):.6f}"
    '22.266315'

    References
    ----------
    Bardes, Ponce and LeCun (2022), *VICReg*, algorithm 1. Its equation 5 divides the first term by
    n alone: ``invariance=25 * d``. The authors' code, and most that follow it, halve the second:
    ``variance=12.5``.
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


# --- the members most people call -----------------------------------------------------------------

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
