"""Losses and metrics of lists: against scikit-learn and the literature, with items masked and tied.

Exact values, by listing all orders that scores allow, are in conformance/reference/ranking.py.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import dcg_score, ndcg_score

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import close

LOSSES: list[Any] = [
    il.listnet, il.list_mle, il.ranknet, il.pairwise_hinge, il.lambda_rank, il.approx_ndcg,
    il.LambdaRank(gain="linear"), il.ApproxNDCG(temperature=0.5, gain="linear"),
]  # fmt: skip
GRADED: list[Any] = [il.dcg, il.ndcg, il.NDCG(k=2), il.DCG(k=3, gain="linear")]
BINARY: list[Any] = [
    il.mean_average_precision, il.MeanAveragePrecision(k=2), il.mean_reciprocal_rank,
    il.MeanReciprocalRank(k=2), il.precision_at_k, il.PrecisionAtK(k=2), il.recall_at_k,
    il.RecallAtK(k=2), il.hit_rate, il.HitRate(k=2),
]  # fmt: skip
every_metric = pytest.mark.parametrize("metric", LOSSES + GRADED + BINARY, ids=repr)
near = partial(close, size="largest")


def lists(metric: Any, shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw scores, some of them equal, and relevances that the metric is defined for."""
    rng = np.random.default_rng(seed)
    scores = (
        np.round(rng.normal(size=shape) * 2) / 2
        if metric in GRADED + BINARY
        else rng.normal(size=shape)
    )
    return scores, rng.integers(0, 2 if metric in BINARY else 4, shape).astype(float)


# --- against others -------------------------------------------------------------------------------


def test_scikit_learn() -> None:
    """Two hundred lists, most of them with ties in scores and relevances, give what scikit-learn does."""
    rng = np.random.default_rng(0)
    for n in (2, 3, 5, 20):
        for _ in range(50):
            k = None if rng.random() < 0.3 else int(rng.integers(1, n + 3))
            scores = (
                rng.integers(0, 6, (1, n)) - 2.5 if rng.random() < 0.7 else rng.normal(size=(1, n))
            )
            relevance = rng.integers(0, 4, (1, n)).astype(float) * (rng.random() < 0.95)
            near(
                il.DCG(k=k, gain="linear")(scores, relevance), dcg_score(relevance, scores, k=k), 8
            )
            near(
                il.NDCG(k=k, gain="linear")(scores, relevance),
                ndcg_score(relevance, scores, k=k),
                8,
            )
            exponential = 2**relevance - 1
            near(il.NDCG(k=k)(scores, relevance), ndcg_score(exponential, scores, k=k), 8)


def test_scikit_learn_documentation() -> None:
    """The examples of scikit-learn's own documentation, the one of tied scores included."""
    relevance = [[10.0, 0.0, 0.0, 1.0, 5.0]]
    for scores, k, dcg, ndcg in (
        ([[0.1, 0.2, 0.3, 4.0, 70.0]], None, 9.49, 0.69),
        ([[0.05, 1.1, 1.0, 0.5, 0.0]], None, 8.09, 0.49),
        ([[0.05, 1.1, 1.0, 0.5, 0.0]], 4, 7.99, 0.35),
        ([[1.0, 0.0, 0.0, 0.0, 1.0]], 1, 7.5, 0.75),
    ):
        if scores[0][0] != 0.05:
            assert abs(il.DCG(k=k, gain="linear")(scores, relevance) - dcg) < 0.01
        assert abs(il.NDCG(k=k, gain="linear")(scores, relevance) - ndcg) < 0.01


def test_literature() -> None:
    """Values from the literature and from documentation, with few digits."""
    # Järvelin and Kekäläinen's gains as in https://en.wikipedia.org/wiki/Discounted_cumulative_gain
    scores, gains = [[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]], [[3.0, 2.0, 3.0, 0.0, 1.0, 2.0]]
    assert abs(il.DCG(gain="linear")(scores, gains) - 6.861) < 5e-4
    assert abs(il.NDCG(gain="linear")(scores, gains) - 6.861 / 7.141) < 5e-4
    worst = [[3.0, 2.0, 1.0]], [[0.0, 1.0, 3.0]]
    assert abs(il.NDCG(gain="linear")(*worst) - 0.5869) < 5e-5
    assert abs(il.ndcg(*worst) - 0.5413) < 5e-5
    # Manning, Raghavan and Schütze (2008), section 8.4, over hits at ranks 1, 3 and 5
    found = [[5.0, 4.0, 3.0, 2.0, 1.0]], [[1.0, 0.0, 1.0, 0.0, 1.0]]
    near(il.mean_average_precision(*found), (1 + 2 / 3 + 3 / 5) / 3, 8)
    # TensorFlow Ranking's documentation of ListMLELoss and PairwiseLogisticLoss
    pair, ragged = ([0.6, 0.8], [1.0, 0.0]), ([0.5, 0.8, 0.4], [0.0, 1.0, 0.0])
    assert abs(il.list_mle([pair[0]], [pair[1]]) - 0.7981389) < 1e-7
    both = (il.list_mle([pair[0]], [pair[1]]) + il.list_mle([ragged[0]], [ragged[1]])) / 2
    assert abs(both - 1.1613163) < 1e-5  # it breaks ties at random, and fell on the first
    assert abs(il.ranknet([pair[0]], [pair[1]]) / 2 - 0.39906943) < 1e-8  # divided by the items


def test_scores_up_to_zero_count() -> None:
    """Items of score 0 or below are ranked like any: torchmetrics leaves them out, and answers 0."""
    scores, labels = [[-3.0, -2.0, -1.0, 0.0]], [[0.0, 0.0, 0.0, 1.0]]
    for metric in (il.mean_average_precision, il.mean_reciprocal_rank, il.HitRate(k=1)):
        assert metric(scores, labels) == 1
        assert metric(np.asarray(scores) - 10, labels) == 1


def test_average_precision_divides_by_all_that_is_relevant() -> None:
    """Of two relevant items, one found at rank 1 is half of them: torchmetrics answers 1."""
    assert il.MeanAveragePrecision(k=1)([[2.0, 1.0]], [[1.0, 1.0]]) == 0.5


def test_short_lists() -> None:
    """Ranks beyond the end of a list are not relevant."""
    one = [[1.0, 2.0]], [[1.0, 1.0]]
    assert il.precision_at_k(*one) == 0.2
    assert il.recall_at_k(*one) == il.hit_rate(*one) == il.ndcg(*one) == 1


# --- items that are masked, tied, reordered -------------------------------------------------------


PLACES, ITEMS = [1, 2, 4, 5, 7], 9
"""Where the items that count stand among others that do not."""


def among_others(metric: Any, bad: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a list of five items among four that hold ``bad``, and the mask of the five."""
    mask = np.zeros((1, ITEMS), dtype=bool)
    mask[:, PLACES] = True
    p, t = np.full((2, 1, ITEMS), bad)
    p[mask], t[mask] = (x[0] for x in lists(metric, (1, len(PLACES))))
    return p, t, mask


@every_metric
def test_masked_items_are_removed(metric: Any) -> None:
    """What where= leaves out reaches neither value nor gradient, whatever it holds."""
    want, slope = il.value_and_gradient(metric, *lists(metric, (1, len(PLACES))))
    for bad in (np.nan, np.inf, -np.inf, 1e30, 0.0, 2.0):
        p, t, mask = among_others(metric, bad)
        value, gradient = il.value_and_gradient(metric, p, t, where=mask)
        near(value, want, 8)
        near(gradient[:, PLACES], slope, 16)
        assert np.all(gradient[~mask] == 0)


def test_masked_items_are_removed_elsewhere(backend: Backend) -> None:
    """No library differentiates through items that are left out, whatever each loss puts there."""
    metrics = [*LOSSES, il.ndcg, il.mean_average_precision]
    dtype = backend.widest
    drawn = [among_others(metric, np.nan) for metric in metrics]
    arrays = [
        (*(backend.array(x.tolist(), dtype) for x in (p, t)), backend.xp.asarray(mask))
        for p, t, mask in drawn
    ]

    def all_of_them(arrays: Any) -> Any:
        return [
            il.value_and_gradient(metric, p, t, where=mask)
            for metric, (p, t, mask) in zip(metrics, arrays, strict=True)
        ]

    results = backend.compiled(all_of_them)(arrays)
    for metric, (_, _, mask), (value, slope) in zip(metrics, drawn, results, strict=True):
        want, kept = il.value_and_gradient(metric, *lists(metric, (1, len(PLACES))))
        whole = np.zeros(mask.shape)
        whole[mask] = kept[0]
        near(value, want, 8)
        near(slope, whole, 16)
        assert np.all(np.asarray(backend.numbers(slope))[~mask] == 0)


@every_metric
def test_masked_lists_are_removed(metric: Any) -> None:
    """A list without items does not count, nor one of weight 0; lists have a length each."""
    scores, relevance = lists(metric, (4, 6))
    mask = np.arange(6) < np.array([[6], [0], [2], [4]])
    weights = np.array([1.0, 5.0, 0.0, 3.0])
    scores[1], relevance[1] = np.nan, -7.0
    value = metric(scores, relevance, where=mask, weights=weights)
    one, two = (
        metric(scores[i : i + 1, :n], relevance[i : i + 1, :n]) for i, n in ((0, 6), (3, 4))
    )
    near(value, (one + 3 * two) / 4, 8)
    slope = il.gradient(metric, scores, relevance, where=mask, weights=weights)
    assert np.all(slope[1:3] == 0)
    assert np.all(slope[~mask] == 0)
    terms = metric(scores, relevance, where=mask, reduction="none")
    assert terms.shape == (4,)
    assert terms[1] == 0
    with pytest.raises(ValueError, match="broadcast"):
        metric(scores, relevance, where=np.ones((3, 6), dtype=bool))


@pytest.mark.parametrize("metric", GRADED + BINARY, ids=repr)
def test_order_of_items(metric: Any) -> None:
    """Where scores are equal, the order of the items changes nothing."""
    scores, relevance = lists(metric, (20, 7), seed=1)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(7)
        near(metric(scores[:, order], relevance[:, order]), metric(scores, relevance), 2)


@every_metric
def test_nan_is_not_lost(metric: Any) -> None:
    """A nan among scores or relevances makes its list nan, and no other."""
    for place in (0, 1):
        arrays = lists(metric, (3, 5))
        arrays[place][1, 2] = np.nan
        terms = metric(*arrays, reduction="none")
        assert np.isnan(terms).tolist() == [False, True, False]


@every_metric
def test_of_one_item(metric: Any) -> None:
    """A list of one item has a value and a finite gradient."""
    for relevance in (0.0, 1.0):
        value, slope = il.value_and_gradient(metric, [[2.0]], [[relevance]])
        assert np.isfinite(value)
        assert slope == 0


@every_metric
def test_nothing_relevant(metric: Any) -> None:
    """A list without a relevant item is 0 for all that looks for one; a weight leaves it out."""
    scores, relevance = lists(metric, (3, 5))
    relevance[1] = 0
    if metric not in (il.listnet, il.list_mle):
        assert metric(scores[1:2], relevance[1:2]) == 0
        assert np.all(il.gradient(metric, scores[1:2], relevance[1:2]) == 0)
    weights = (relevance > 0).any(-1)
    near(metric(scores, relevance, weights=weights), metric(scores[weights], relevance[weights]), 8)


def test_not_ranked() -> None:
    """An item of score -inf is not found, and counts among what was to be found."""
    scores, labels = [[1.0, -np.inf, 2.0]], [[1.0, 1.0, 0.0]]
    assert il.RecallAtK(k=3)(scores, labels) == 0.5
    assert il.MeanAveragePrecision()(scores, labels) == 0.25
    assert il.DCG(gain="linear")(scores, labels) == 1 / np.log2(3)
    assert il.HitRate(k=3)([[-np.inf, 1.0]], [[1.0, 0.0]]) == 0


def test_relevances_outside() -> None:
    """Negative relevances and labels that are none make the list nan; those of an order may be any."""
    assert np.isnan(il.ndcg([[1.0, 2.0]], [[-1.0, 1.0]]))
    assert np.isnan(il.lambda_rank([[1.0, 2.0]], [[-1.0, 1.0]]))
    assert np.isnan(il.hit_rate([[1.0, 2.0]], [[2.0, 1.0]]))
    near(il.ranknet([[1.0, 2.0]], [[-1.0, -0.5]]), np.log1p(np.exp(-1)), 8)
    with pytest.raises(ValueError, match=r"targets\[0, 1\] is 3.0; targets must be 0 or 1"):
        il.validate(il.hit_rate, [[1.0, 2.0]], [[0.0, 3.0]])
    masked = np.array([[True, False]])
    for metric in LOSSES + GRADED + BINARY:
        il.validate(metric, [[1.0, np.nan]], [[1.0, -3.0]], where=masked)


# --- what losses have to do with each other, and with metrics -------------------------------------


def test_bpr_is_ranknet_of_two() -> None:
    """The loss of a chosen item before another is RankNet's of the list of both."""
    scores = np.random.default_rng(0).normal(size=(2, 7))
    want = il.ranknet(scores.T, np.tile([1.0, 0.0], (7, 1)), reduction="none")
    near(il.bpr(*scores, reduction="none"), want, 8)


def test_approximation_becomes_exact() -> None:
    """At low temperatures the approximate NDCG is the NDCG, and its gradient is 0."""
    scores, relevance = np.random.default_rng(0).normal(size=(5, 6)), lists(il.ndcg, (5, 6))[1]
    for gain in ("exponential", "linear"):
        cold = il.ApproxNDCG(temperature=1e-12, gain=gain)
        near(cold(scores, relevance), 1 - il.NDCG(gain=gain)(scores, relevance), 8)
        assert np.all(il.gradient(cold, scores, relevance) == 0)


def test_lambdas() -> None:
    """LambdaRank's gradient is the lambdas: the slope of each pair's loss times a change of the NDCG."""
    scores, relevance = np.random.default_rng(3).normal(size=5), np.array([3.0, 0.0, 1.0, 0.0, 2.0])
    lambdas = np.zeros(5)
    for i in range(5):
        for j in range(5):
            if relevance[i] > relevance[j]:
                swapped = scores.copy()
                swapped[[i, j]] = scores[[j, i]]
                change = abs(il.ndcg([scores], [relevance]) - il.ndcg([swapped], [relevance]))
                push = change / (1 + np.exp(scores[i] - scores[j]))
                lambdas[i] -= push
                lambdas[j] += push
    near(il.gradient(il.lambda_rank, [scores], [relevance]), lambdas[None], 32)


def test_items_on_another_axis() -> None:
    """event_axis= says where the items are."""
    scores, relevance = lists(il.ndcg, (3, 5))
    for metric in (il.ndcg, il.listnet, il.ranknet):
        near(metric(scores.T, relevance.T, event_axis=0), metric(scores, relevance), 0)
