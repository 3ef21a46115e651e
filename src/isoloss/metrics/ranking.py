"""Ranking: losses and metrics of lists of items, each with a score and a relevance.

In every formula s is a score, y is a relevance, i and j are items of one list, and r is a rank; the
highest score has rank 1. Items that ``where=`` excludes are not part of their list.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, final

from .._core.domains import LOGITS, NON_NEGATIVE, REAL, ZERO_OR_ONE, Domain
from .._core.metric import Loss
from .._core.parameters import Count, NonNegative, Number, Positive
from .._core.states import ratio
from .._core.types import Array, Namespace

__all__ = [
    "BPR",
    "DCG",
    "NDCG",
    "ApproxNDCG",
    "HitRate",
    "LambdaRank",
    "ListMLE",
    "ListNet",
    "MeanAveragePrecision",
    "MeanReciprocalRank",
    "PairwiseHinge",
    "PrecisionAtK",
    "RankNet",
    "RecallAtK",
    "approx_ndcg",
    "bpr",
    "dcg",
    "hit_rate",
    "lambda_rank",
    "list_mle",
    "listnet",
    "mean_average_precision",
    "mean_reciprocal_rank",
    "ndcg",
    "pairwise_hinge",
    "precision_at_k",
    "ranknet",
    "recall_at_k",
]


class _OfLists(Loss):
    """Base class of losses and metrics of lists; a nan in a list makes its term nan."""

    signature: ClassVar[str] = "(items),(items)->()"

    @abstractmethod
    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        """Return the term of each list."""

    @final
    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        """Return the term of each list; nan is checked first, as comparisons ignore it."""
        lost = xp.any(xp.isnan(prediction) | xp.isnan(target), axis=-1)
        return xp.where(lost, math.nan, self.of_list(xp, prediction, target))


# --- pairs of items -------------------------------------------------------------------------------


def _pairs(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """Return x of i and x of j for all pairs (i, j), of shapes (items, 1) and (1, items)."""
    return xp.expand_dims(x, axis=-1), xp.expand_dims(x, axis=-2)


def _before(xp: Namespace, x: Array) -> Array:
    """Return for all pairs (i, j) whether x_j > x_i, or x_j = x_i and j is earlier."""
    (one, other), (place, earlier) = _pairs(xp, x), _pairs(xp, xp.places(x))
    return (other > one) | ((other == one) & (earlier < place))


def _rank(xp: Namespace, before: Array) -> Array:
    """Return the rank of each item: 1 plus the number of items before it."""
    return 1.0 + xp.astype(xp.sum(xp.astype(before, xp.counting), axis=-1), xp.computing)


def _mean_over_pairs(
    xp: Namespace, score: Array, relevance: Array, cost: Callable[[Array], Array]
) -> Array:
    """Return the mean cost of s_j - s_i over the pairs in which i is more relevant than j."""
    (s, other), (y, less) = _pairs(xp, score), _pairs(xp, relevance)
    counts = (y > less) & (less > -math.inf)  # -inf marks an excluded item
    ahead = xp.where(counts, other - s, 0.0)
    total = xp.sum(xp.where(counts, cost(ahead), 0.0), axis=(-2, -1))
    number = xp.sum(xp.astype(counts, xp.computing), axis=(-2, -1))
    return total / xp.maximum(number, 1.0)


def _gain(xp: Namespace, relevance: Array, gain: str) -> Array:
    if gain == "linear":
        return relevance
    low = relevance < 1  # 2^y - 1 would lose digits by cancellation
    small = xp.expm1(math.log(2) * xp.where(low, relevance, 0.0))
    return xp.where(low, small, 2.0 ** xp.where(low, 1.0, relevance) - 1.0)


def _discount(xp: Namespace, rank: Array) -> Array:
    return 1 / xp.log2(1 + rank)


def _lost_discount(xp: Namespace, rank: Array, excess: Array) -> Array:
    """Return the loss of discount from a rank to the rank plus an excess, without cancellation.

    The identity is 1 / log(a) - 1 / log(b) = log(b / a) / (log(a) log(b)).
    """
    part = xp.log1p(excess / (1 + rank)) / xp.log(1 + rank + excess)
    return part * _discount(xp, rank)


# --- losses ---------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class ListNet(_OfLists):
    r"""ListNet loss: the cross-entropy of the softmax of the relevances and that of the scores.

    .. math:: -\sum_i \mathrm{softmax}(y)_i \log \mathrm{softmax}(s)_i

    Predictions are scores, and targets are relevances. A score or relevance of -inf excludes its
    item, as ``where`` does.

    Examples
    --------
    >>> import isoloss as il
    >>> il.listnet([[1.0, 0.0]], [[0.0, 0.0]])
    np.float64(0.8132616875182228)

    References
    ----------
    Cao et al. (2007), *Learning to Rank: From Pairwise Approach to Listwise Approach*, with top-one
    probabilities. optax's ``ranking_softmax_loss`` and rax's ``softmax_loss`` use the relevances
    instead of their softmax and do not normalise them. For lists whose relevances have the sums w,
    they equal ``softmax_cross_entropy_with_probabilities`` of ``targets / w`` with ``weights=w``
    and ``denominator=`` the number of lists.
    """

    padding: ClassVar[tuple[float, float] | None] = (-math.inf, -math.inf)
    domain: ClassVar[Domain] = Domain(LOGITS, LOGITS)

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        shares, _ = xp.softmax(relevance)
        return xp.cross_entropy(score, shares)


@final
@dataclass(frozen=True)
class ListMLE(_OfLists):
    r"""ListMLE loss: the negative log-likelihood of the order of the relevances.

    .. math:: \sum_i \log \sum_{j \ge i} \exp(s_j - s_i)

    The items are sorted by relevance, the highest first (Plackett-Luce model). Items of equal
    relevance keep their order in the list.

    Predictions are scores. Only the order of the targets matters; a target of -inf excludes its
    item. Memory grows with the square of the number of items.

    Examples
    --------
    >>> import isoloss as il
    >>> il.list_mle([[0.6, 0.8]], [[1.0, 0.0]])
    np.float64(0.7981388693815918)

    References
    ----------
    Xia et al. (2008), *Listwise Approach to Learning to Rank*. rax and TensorFlow Ranking break
    ties in relevance at random.
    """

    padding: ClassVar[tuple[float, float] | None] = (0.0, -math.inf)
    domain: ClassVar[Domain] = Domain(REAL, LOGITS)

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        (place, later), (_, other) = _pairs(xp, xp.places(score)), _pairs(xp, score)
        _, less = _pairs(xp, relevance)
        after = ~_before(xp, relevance) & (later != place) & (less > -math.inf)
        highest, rest = xp.logsumexp(xp.where(after, other, -math.inf))
        return xp.sum(xp.softplus((highest - score) + rest), axis=-1)


@final
@dataclass(frozen=True)
class RankNet(_OfLists):
    r"""RankNet loss: the mean logistic loss of the pairs of items of different relevance.

    .. math:: \frac{1}{n} \sum_{y_i > y_j} \log(1 + \exp(s_j - s_i))

    where n is the number of these pairs. A list without such a pair has the loss 0; to exclude it,
    give it the weight 0.

    Predictions are scores. Only the order of the targets matters; a target of -inf excludes its
    item. Memory grows with the square of the number of items.

    Examples
    --------
    >>> import isoloss as il
    >>> il.ranknet([[0.6, 0.8]], [[1.0, 0.0]])
    np.float64(0.7981388693815918)

    References
    ----------
    Burges et al. (2005), *Learning to Rank using Gradient Descent*. rax's and KerasRS's
    ``pairwise_logistic_loss`` sum over the pairs of a list, or divide by the number of items.
    """

    padding: ClassVar[tuple[float, float] | None] = (0.0, -math.inf)
    domain: ClassVar[Domain] = Domain(REAL, LOGITS)

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        return _mean_over_pairs(xp, score, relevance, xp.softplus)


@final
@dataclass(frozen=True)
class PairwiseHinge(_OfLists):
    r"""Mean hinge loss of the pairs of items of different relevance.

    .. math:: \frac{1}{n} \sum_{y_i > y_j} \max(0, m - (s_i - s_j))

    where n is the number of these pairs, and m is the margin. A list without such a pair has the
    loss 0.

    Predictions are scores. Only the order of the targets matters; a target of -inf excludes its
    item. Subgradient 0 at the margin. Memory grows with the square of the number of items.

    Parameters
    ----------
    margin : float >= 0
        The difference of scores, in favour of the more relevant item, from which a pair has the
        loss 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.pairwise_hinge([[0.5, 0.75, 3.0]], [[0.0, 1.0, 2.0]])
    np.float64(0.25)

    References
    ----------
    Herbrich et al. (2000); Joachims (2002), *Optimizing Search Engines using Clickthrough Data*.
    rax's ``pairwise_hinge_loss`` sums over the pairs of a list.
    """

    padding: ClassVar[tuple[float, float] | None] = (0.0, -math.inf)
    domain: ClassVar[Domain] = Domain(REAL, LOGITS)
    margin: NonNegative = 1.0

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        def cost(ahead: Array) -> Array:
            short = self.margin + ahead
            return xp.where(short <= 0, xp.zeros_like(short), short)

        return _mean_over_pairs(xp, score, relevance, cost)


@final
@dataclass(frozen=True)
class LambdaRank(_OfLists):
    r"""LambdaRank loss: logistic losses of pairs, weighted by the NDCG change if a pair is swapped.

    .. math:: \sum_{y_i > y_j} |\Delta_{ij}| \log(1 + \exp(s_j - s_i)), \quad
        \Delta_{ij} = \frac{(g_i - g_j)(d_i - d_j)}{\mathrm{IDCG}}, \; d = \frac{1}{\log_2(1 + r)}

    where g is the gain of `NDCG`, and IDCG is the largest possible `DCG`. The ranks r are the ranks
    of the scores; items of equal score keep their order in the list. Differentiation treats the
    ranks as constants: the gradient equals the lambdas of the reference.

    Predictions are scores, and targets are relevances. An item with the score -inf is ranked last.
    Such an item needs the relevance 0, and then adds 0 to the loss; with another relevance the loss
    can be inf or nan. A list without a relevant item has the loss 0. Memory grows with the square
    of the number of items.

    Parameters
    ----------
    gain : {"exponential", "linear"}
        Whether the gain is ``2^y - 1`` or y.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.lambda_rank([[1.0, 2.0, 0.0]], [[1.0, 0.0, 0.0]]):.6f}"
    '0.525701'

    References
    ----------
    Burges et al. (2006), *Learning to Rank with Nonsmooth Cost Functions*; Burges (2010). LightGBM
    also divides by the difference of the scores, except with ``lambdarank_norm=False``.
    """

    padding: ClassVar[tuple[float, float] | None] = (-math.inf, 0.0)
    domain: ClassVar[Domain] = Domain(LOGITS, NON_NEGATIVE)
    gain: Literal["exponential", "linear"] = "exponential"

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        rank = _rank(xp, _before(xp, xp.stop_gradient(score)))
        gain = _gain(xp, relevance, self.gain)
        ideal = xp.sum(gain * _discount(xp, _rank(xp, _before(xp, relevance))), axis=-1)
        (s, t), (y, z), (g, h), (r, q) = (_pairs(xp, x) for x in (score, relevance, gain, rank))
        change = xp.where(y > z, (g - h) * xp.abs(_lost_discount(xp, r, q - r)), 0.0)
        loss = change * xp.softplus(xp.where(y > z, t - s, 0.0))
        return ratio(xp, xp.sum(loss, axis=(-2, -1)), ideal, 0.0)


@final
@dataclass(frozen=True)
class ApproxNDCG(_OfLists):
    r"""ApproxNDCG loss: 1 minus an NDCG whose ranks are smooth functions of the scores.

    .. math:: 1 - \frac{1}{\mathrm{IDCG}} \sum_i \frac{g_i}{\log_2(1 + \hat r_i)}, \quad
        \hat r_i = 1 + \sum_{j \ne i} \frac{1}{1 + \exp((s_i - s_j) / t)}

    where g is the gain of `NDCG`, IDCG is the largest possible `DCG`, and t is the temperature.

    Predictions are scores, and targets are relevances. An item with the score -inf is ranked last.
    A list without a relevant item has the loss 0. Small losses are accurate: they are not computed
    as a difference from 1. Memory grows with the square of the number of items.

    Parameters
    ----------
    temperature : float > 0
        The scale of score differences. With a smaller temperature the loss is closer to 1 minus
        `NDCG`, and the gradient vanishes for more items.
    gain : {"exponential", "linear"}
        Whether the gain is ``2^y - 1`` or y.

    Examples
    --------
    >>> import isoloss as il
    >>> f"{il.approx_ndcg([[0.0, 0.25, 0.5]], [[0.0, 1.0, 2.0]]):.6f}"
    '0.045554'

    References
    ----------
    Qin, Liu and Li (2010), *A General Approximation Framework for Direct Optimization of
    Information Retrieval Measures*. TensorFlow Ranking's ``ApproxNDCGLoss`` and rax's
    ``approx_t12n`` equal this loss minus 1.
    """

    padding: ClassVar[tuple[float, float] | None] = (-math.inf, 0.0)
    domain: ClassVar[Domain] = Domain(LOGITS, NON_NEGATIVE)
    temperature: Positive = 0.1
    gain: Literal["exponential", "linear"] = "exponential"

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        before = _before(xp, relevance)
        rank, excess = _rank(xp, before), _excess(xp, score, before, self.temperature)
        gain = _gain(xp, relevance, self.gain)
        lost = xp.sum(gain * _lost_discount(xp, rank, excess), axis=-1)
        return ratio(xp, lost, xp.sum(gain * _discount(xp, rank), axis=-1), 0.0)


def _excess(xp: Namespace, score: Array, before: Array, temperature: Number) -> Array:
    """Return the smooth ranks minus the ranks of an order; small differences are accurate."""
    (s, other), (place, earlier) = _pairs(xp, score), _pairs(xp, xp.places(score))
    same = (place == earlier) | ((s == -math.inf) & (other == -math.inf))
    apart = xp.where(same, 0.0, other - s) / temperature
    wrong = xp.sigmoid(xp.where(before, -apart, apart))
    return xp.sum(xp.where(same, 0.0, xp.where(before, -wrong, wrong)), axis=-1)


@final
@dataclass(frozen=True)
class BPR(Loss):
    r"""Bayesian personalised ranking loss: the logistic loss of a preferred and another item.

    .. math:: \log(1 + \exp(t - s))

    Predictions are the scores s of chosen items; targets are the scores t of items that were not
    chosen. If both come from a model, differentiate with respect to both; the two derivatives
    differ only in sign. For all pairs of a list, use `ranknet`.

    Examples
    --------
    >>> import isoloss as il
    >>> il.bpr([2.0, 0.5], [1.0, 0.5], reduction="none")
    array([0.31326169, 0.69314718])

    References
    ----------
    Rendle et al. (2009), *BPR: Bayesian Personalized Ranking from Implicit Feedback*, who sum the
    loss and add a penalty on the weights of the model.
    """

    domain: ClassVar[Domain] = Domain(LOGITS, LOGITS)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.softplus(target - prediction)


# --- metrics of the order of scores ---------------------------------------------------------------


class _Ranked(NamedTuple):
    """Lists sorted by score, the highest first, with one entry per rank.

    Items of equal score share their mean gain, so that their order does not matter.
    """

    rank: Array  # 1, 2, 3, ...
    number: Array  # the number of items of this score
    within: Array  # the number of these items at earlier ranks
    total: Array  # the sum of the gains of these items
    found: Array  # the sum of the gains of the items of higher scores

    @property
    def gain(self) -> Array:
        """The mean gain of the items of this score."""
        return self.total / self.number


class _OfOrder(_OfLists):
    """Base class of metrics of the order of scores; ties give the mean over all orders."""

    greater_is_better: ClassVar[bool] = True
    padding: ClassVar[tuple[float, float] | None] = (-math.inf, 0.0)
    domain: ClassVar[Domain] = Domain(LOGITS, ZERO_OR_ONE)


def _ranked(xp: Namespace, score: Array, gain: Array) -> _Ranked:
    """Sort lists by score; an item of score -inf is not ranked and has the gain 0."""
    gain = xp.where(score > -math.inf, gain, 0.0)
    order = xp.argsort(-xp.stop_gradient(score), axis=-1)
    score, gain = (xp.take_along_axis(xp.stop_gradient(x), order, axis=-1) for x in (score, gain))
    differs = xp.astype(score[..., 1:] != score[..., :-1], xp.counting)
    first = xp.zeros_like(score[..., :1], dtype=xp.counting)
    group = xp.cumulative_sum(xp.concat([first, differs], axis=-1), axis=-1)
    (number, before), (total, found) = (_of_group(xp, x, group) for x in (xp.ones_like(gain), gain))
    rank = xp.astype(1 + xp.places(score), xp.computing)
    return _Ranked(rank, number, rank - 1 - before, total, found)


def _of_group(xp: Namespace, x: Array, group: Array) -> tuple[Array, Array]:
    """Return for each item the sum over its group, and the sum over the earlier groups."""
    n, shape = x.shape[-1], x.shape
    flat = xp.reshape(group, (-1, n))
    sums = xp.bins(flat, xp.reshape(x, (-1, n)), n)
    earlier = xp.cumulative_sum(sums, axis=-1) - sums
    one, two = (xp.take_along_axis(y, flat, axis=-1) for y in (sums, earlier))
    return xp.reshape(one, shape), xp.reshape(two, shape)


def _down_to(xp: Namespace, k: int | None, rank: Array, terms: Array) -> Array:
    """Return the sum of the terms of the first k ranks."""
    return xp.sum(terms if k is None else xp.where(rank <= k, terms, 0.0), axis=-1)


def _first(xp: Namespace, ranked: _Ranked) -> Array:
    """Return for each rank the probability that the first item of gain 1 is there."""
    left = ranked.number - ranked.within  # contains all relevant items, if none came earlier
    hazard = xp.minimum(ranked.total / left, 1.0)
    sure = hazard == 1  # exp(-1e5) is 0, and the logarithm of 0 would warn
    logs = xp.where(sure, -1e5, xp.log1p(xp.where(sure, 0.0, -hazard)))
    none = xp.cumulative_sum(logs, axis=-1)
    so_far = xp.concat([xp.zeros_like(none[..., :1]), none[..., :-1]], axis=-1)
    return hazard * xp.exp(so_far)


@final
@dataclass(frozen=True)
class DCG(_OfOrder):
    r"""Discounted cumulative gain: the sum of the gains of items, discounted by rank.

    .. math:: \sum_{r \le k} \frac{g_r}{\log_2(1 + r)}

    Predictions are scores, and targets are relevances. Items of equal score share their mean gain,
    so that the order of the items does not matter. An item with the score -inf is not ranked.
    Gradient 0.

    Parameters
    ----------
    k : int >= 1, optional
        The number of ranks to use; by default all.
    gain : {"exponential", "linear"}
        Whether the gain is ``2^y - 1`` or y.

    Examples
    --------
    >>> import isoloss as il
    >>> il.DCG(gain="linear")([[3.0, 2.0, 1.0]], [[3.0, 0.0, 2.0]])
    np.float64(4.0)

    References
    ----------
    Järvelin and Kekäläinen (2002), *Cumulated Gain-Based Evaluation of IR Techniques*; Burges et
    al. (2005) for the exponential gain; McSherry and Najork (2008) for ties. scikit-learn's
    ``dcg_score`` uses the linear gain.
    """

    domain: ClassVar[Domain] = Domain(LOGITS, NON_NEGATIVE)

    k: Count | None = None
    gain: Literal["exponential", "linear"] = "exponential"

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        ranked = _ranked(xp, score, _gain(xp, relevance, self.gain))
        return _down_to(xp, self.k, ranked.rank, ranked.gain * _discount(xp, ranked.rank))


@final
@dataclass(frozen=True)
class NDCG(_OfOrder):
    r"""Normalised discounted cumulative gain: the `DCG` divided by the `DCG` of the best order.

    .. math:: \mathrm{DCG}_k / \mathrm{IDCG}_k, \quad \mathrm{DCG}_k = \sum_{r \le k}
        \frac{g_r}{\log_2(1 + r)}

    Predictions are scores, and targets are relevances. Items of equal score share their mean gain,
    so that the order of the items does not matter. An item with the score -inf is not ranked, but
    the best order includes it. A list without a relevant item has the value 0, as in scikit-learn.
    To exclude such lists, pass ``weights=(targets > 0).any(-1)``. Gradient 0; for training, use
    `approx_ndcg` or `lambda_rank`.

    Parameters
    ----------
    k : int >= 1, optional
        The number of ranks to use; by default all.
    gain : {"exponential", "linear"}
        Whether the gain is ``2^y - 1`` or y.

    Examples
    --------
    >>> import isoloss as il
    >>> il.ndcg([[0.5, 2.0, 1.0]], [[0.0, 1.0, 3.0]])
    np.float64(0.7098097413968655)

    References
    ----------
    Järvelin and Kekäläinen (2002), *Cumulated Gain-Based Evaluation of IR Techniques*; Burges et
    al. (2005) for the exponential gain; McSherry and Najork (2008) for ties. scikit-learn's
    ``ndcg_score`` and torchmetrics's ``retrieval_normalized_dcg`` are ``NDCG(gain="linear")``.
    """

    domain: ClassVar[Domain] = Domain(LOGITS, NON_NEGATIVE)

    k: Count | None = None
    gain: Literal["exponential", "linear"] = "exponential"

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        gain = _gain(xp, relevance, self.gain)
        ranked = _ranked(xp, score, gain)
        best = xp.take_along_axis(gain, xp.argsort(-gain, axis=-1), axis=-1)
        discount = _discount(xp, ranked.rank)
        found, ideal = (
            _down_to(xp, self.k, ranked.rank, x * discount) for x in (ranked.gain, best)
        )
        return ratio(xp, found, ideal, 0.0)


@final
@dataclass(frozen=True)
class MeanAveragePrecision(_OfOrder):
    r"""Mean over lists of the average precision at the ranks of the relevant items.

    .. math:: \frac{1}{R} \sum_{r \le k} y_r P_r

    where ``P_r`` is the precision of the first r ranks, and R is the number of all relevant items
    of the list, ranked or not.

    Predictions are scores, which may be negative. Targets are 1 for relevant items. Ties give the
    mean over all orders of the tied items. An item with the score -inf is not ranked. A list
    without a relevant item has the value 0. To exclude such lists, pass
    ``weights=(targets > 0).any(-1)``. Gradient 0.

    Parameters
    ----------
    k : int >= 1, optional
        The number of ranks to use; by default all.

    Examples
    --------
    >>> import isoloss as il
    >>> il.mean_average_precision([[4.0, 3.0, 2.0, 1.0]], [[1.0, 0.0, 1.0, 0.0]])
    np.float64(0.8333333333333333)

    References
    ----------
    Buckley and Voorhees (2000); McSherry and Najork (2008) for ties. With k, trec_eval and rax also
    divide by R; torchmetrics divides by the number of relevant items in the first k ranks, and
    others divide by the smaller of R and k. torchmetrics excludes items with scores up to 0.
    """

    k: Count | None = None

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        ranked = _ranked(xp, score, relevance)
        # expected number of earlier relevant items of the same score, if this item is relevant
        others = xp.maximum(ranked.number - 1, 1.0)
        earlier = ranked.within * (ranked.total - 1) / others
        terms = ranked.gain * (ranked.found + earlier + 1) / ranked.rank
        return ratio(xp, _down_to(xp, self.k, ranked.rank, terms), xp.sum(relevance, axis=-1), 0.0)


@final
@dataclass(frozen=True)
class MeanReciprocalRank(_OfOrder):
    r"""Mean over lists of the reciprocal rank of the first relevant item.

    .. math:: 1 / \min \{r : y_r = 1\}

    Predictions are scores, which may be negative. Targets are 1 for relevant items. Ties give the
    mean over all orders of the tied items. An item with the score -inf is not ranked. A list
    without a relevant item in the first k ranks has the value 0. Gradient 0.

    Parameters
    ----------
    k : int >= 1, optional
        The number of ranks to use; by default all.

    Examples
    --------
    >>> import isoloss as il
    >>> il.mean_reciprocal_rank([[3.0, 2.0, 1.0]] * 2, [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    np.float64(0.75)

    References
    ----------
    Voorhees (1999), *The TREC-8 Question Answering Track Report*; McSherry and Najork (2008) for
    ties; torcheval uses the best order of tied items. torchmetrics excludes items with scores up to
    0.
    """

    k: Count | None = None

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        ranked = _ranked(xp, score, relevance)
        return _down_to(xp, self.k, ranked.rank, _first(xp, ranked) / ranked.rank)


@final
@dataclass(frozen=True)
class PrecisionAtK(_OfOrder):
    r"""Precision at k: the fraction of the first k ranks that hold relevant items.

    .. math:: \frac{1}{k} \sum_{r \le k} y_r

    Predictions are scores, which may be negative. Targets are 1 for relevant items. Ties give the
    mean over all orders of the tied items. An item with the score -inf is not ranked. Ranks beyond
    the end of a list count as not relevant. Gradient 0.

    Parameters
    ----------
    k : int >= 1
        The number of ranks to use.

    Examples
    --------
    >>> import isoloss as il
    >>> il.PrecisionAtK(k=2)([[0.9, 0.5, 0.1]], [[1.0, 0.0, 1.0]])
    np.float64(0.5)

    References
    ----------
    Voorhees and Harman (2005), *TREC*; McSherry and Najork (2008) for ties. torchmetrics with
    ``adaptive_k=True`` divides by the length of the list if it is less than k.
    """

    k: Count = 10

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        ranked = _ranked(xp, score, relevance)
        return _down_to(xp, self.k, ranked.rank, ranked.gain) / self.k


@final
@dataclass(frozen=True)
class RecallAtK(_OfOrder):
    r"""Recall at k: the fraction of the relevant items that are in the first k ranks.

    .. math:: \frac{1}{R} \sum_{r \le k} y_r

    where R is the number of relevant items of the list.

    Predictions are scores, which may be negative. Targets are 1 for relevant items. Ties give the
    mean over all orders of the tied items. An item with the score -inf is not ranked, but R
    includes it. A list without a relevant item has the value 0. To exclude such lists, pass
    ``weights=(targets > 0).any(-1)``. Gradient 0.

    Parameters
    ----------
    k : int >= 1
        The number of ranks to use.

    Examples
    --------
    >>> import isoloss as il
    >>> il.RecallAtK(k=2)([[0.9, 0.5, 0.1]], [[1.0, 0.0, 1.0]])
    np.float64(0.5)

    References
    ----------
    Voorhees and Harman (2005), *TREC*; McSherry and Najork (2008) for ties.
    """

    k: Count = 10

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        ranked = _ranked(xp, score, relevance)
        found = _down_to(xp, self.k, ranked.rank, ranked.gain)
        return ratio(xp, found, xp.sum(relevance, axis=-1), 0.0)


@final
@dataclass(frozen=True)
class HitRate(_OfOrder):
    r"""Hit rate: the fraction of the lists with a relevant item in the first k ranks.

    .. math:: \max_{r \le k} y_r

    Predictions are scores, which may be negative. Targets are 1 for relevant items. Ties give the
    mean over all orders of the tied items. An item with the score -inf is not ranked. Gradient 0.

    Parameters
    ----------
    k : int >= 1
        The number of ranks to use.

    Examples
    --------
    >>> import isoloss as il
    >>> il.HitRate(k=1)([[0.9, 0.5, 0.1], [0.1, 0.5, 0.9]], [[1.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    np.float64(0.5)

    References
    ----------
    Deshpande and Karypis (2004), *Item-Based Top-N Recommendation Algorithms*. torchmetrics's
    ``retrieval_hit_rate`` is the same. With one relevant item per list, scikit-learn's
    ``top_k_accuracy_score`` is the same.
    """

    k: Count = 10

    def of_list(self, xp: Namespace, score: Array, relevance: Array) -> Array:
        ranked = _ranked(xp, score, relevance)
        return _down_to(xp, self.k, ranked.rank, _first(xp, ranked))


# --- default instances ----------------------------------------------------------------------------

listnet = ListNet()
list_mle = ListMLE()
ranknet = RankNet()
pairwise_hinge = PairwiseHinge()
lambda_rank = LambdaRank()
approx_ndcg = ApproxNDCG()
bpr = BPR()
dcg = DCG()
ndcg = NDCG()
mean_average_precision = MeanAveragePrecision()
mean_reciprocal_rank = MeanReciprocalRank()
precision_at_k = PrecisionAtK()
recall_at_k = RecallAtK()
hit_rate = HitRate()
