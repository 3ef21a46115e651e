"""Losses of embeddings: what a batch is, which of them are the same, and where peers go wrong.

Exact values are in conformance/reference/embedding.py.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Jax, installed
from conformance.kit.comparison import close

VIEWS: list[Any] = [
    il.info_nce, il.clip_loss, il.nt_xent, il.siglip, il.barlow_twins, il.vicreg,
    il.InfoNCE(temperature=1e-4), il.NTXent(temperature=1e-4), il.CLIP(temperature=1e-4),
]  # fmt: skip
BATCHED = [*VIEWS, il.supervised_contrastive]
batched = pytest.mark.parametrize("metric", BATCHED, ids=repr)
near = partial(close, size="largest")


def batch(metric: Any, shape: tuple[int, ...] = (6, 4), seed: int = 0) -> tuple[Any, Any]:
    """Draw what the metric takes."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=shape)
    if metric is il.supervised_contrastive:
        return rows, rng.integers(0, 3, shape[:-1])
    return rows, rows + rng.normal(size=shape) / 2


# --- pairs and triplets ---------------------------------------------------------------------------


def test_odd_norms() -> None:
    """Powers are those of absolute values: optax's of degree 1 and 3 have none, and are 0 or nan."""
    anchor, targets = [[0.0, 0.0]], ([[2.0, -2.0]], [[-1.0, 0.0]])
    for p, distance in ((1, 4.0), (3, 16 ** (1 / 3))):
        value, slope = il.value_and_gradient(il.TripletMargin(margin=1.0, p=p), anchor, targets)
        near(value, 1 + distance - 1, 2)
        share = 1 if p == 1 else 4 / 16 ** (2 / 3)
        near(slope, np.array([[-share - 1, share]]), 4)


def test_nothing_is_added() -> None:
    """A triplet or a pair whose distances are 0 costs the margin, to the last digit."""
    same = [[1.0, 2.0]]
    for p in (1, 1.5, 2, 3):
        value, slope = il.value_and_gradient(il.TripletMargin(p=p), same, (same, same))
        assert value == 1
        assert np.all(slope == 0)
    assert il.contrastive((same, same), [0.0]) == 0.5


def test_a_tuple_is_asked_for() -> None:
    """Who forgets one of the arrays is told which there are."""
    rows = np.zeros((2, 3))
    with pytest.raises(TypeError, match=r"targets must be a tuple \(positive, negative\)"):
        il.triplet_margin(rows, rows)
    for metric in (il.contrastive, il.cosine_embedding, il.margin_ranking):
        with pytest.raises(TypeError, match=r"predictions must be a tuple \(first, second\)"):
            metric(rows, rows)


def test_labels_are_not_guessed() -> None:
    """A label of another convention is nan, and not another loss."""
    pair = np.ones((1, 2)), np.ones((1, 2))
    assert np.isnan(il.contrastive(pair, [-1.0]))
    assert np.isnan(il.cosine_embedding(pair, [0.0]))
    assert np.isnan(il.margin_ranking(([1.0], [2.0]), [0.0]))


# --- all pairs of a batch -------------------------------------------------------------------------


@batched
def test_a_batch_is_a_sample(metric: Any) -> None:
    """The type says that batches do not merge into the whole; they merge to the mean of their values."""
    assert metric.kind == "batch-pairwise"
    a, b = batch(metric)
    one, two = (metric(a[part], b[part]) for part in (slice(3), slice(3, 6)))
    states = [metric.summary(a[part], b[part]) for part in (slice(3), slice(3, 6))]
    near(metric.compute(states[0].merge(states[1])), (one + two) / 2, 8)
    if getattr(metric, "temperature", 1.0) > 1e-3:  # below, one neighbour alone counts
        assert abs(metric(a, b) - (one + two) / 2) > 1e-6


@pytest.mark.parametrize("metric", [m for m in BATCHED if m is not il.vicreg], ids=repr)
def test_length_does_not_matter(metric: Any) -> None:
    """Cosines do not depend on lengths, correlations not on scales, far out too."""
    a, b = (np.float32(x) if x.dtype.kind == "f" else x for x in batch(metric))
    scale = (
        np.float32(2.0**80)
        if metric is il.barlow_twins
        else np.float32(2.0) ** np.arange(-60, 60, 20, dtype="float32")[:, None]
    )
    near(metric(scale * a, b), metric(a, b), 64)


@batched
def test_order_of_rows(metric: Any) -> None:
    """The order of the rows changes nothing, and reorders the gradient."""
    a, b = batch(metric)
    order = np.random.default_rng(1).permutation(6)
    (value, slope), (other, turned) = (
        il.value_and_gradient(metric, *arrays) for arrays in ((a, b), (a[order], b[order]))
    )
    near(other, value, 8)
    near(turned, slope[order], 64)


@batched
def test_of_a_zero_vector(metric: Any) -> None:
    """A zero vector, and a constant feature, have a finite value and gradient, the zero vector's 0."""
    a, b = batch(metric)
    a[2], a[:, 1] = 0.0, 0.0
    value, slope = il.value_and_gradient(metric, a, b)
    assert np.isfinite(value)
    assert np.all(np.isfinite(slope))
    if metric not in (il.barlow_twins, il.vicreg):
        assert np.all(slope[2] == 0)


@pytest.mark.skipif("torch" not in installed(), reason="needs PyTorch")
@pytest.mark.parametrize("metric", VIEWS, ids=repr)
def test_gradient_of_the_other_view(metric: Any) -> None:
    """Targets are a model's too: the gradient by them is that of the views exchanged."""
    import torch

    a, b = batch(metric)
    leaf = torch.tensor(b, requires_grad=True)
    metric(torch.tensor(a), leaf).backward()
    near(leaf.grad, by_the_other(metric, a, b), 512)


@pytest.mark.skipif("jax" not in installed(), reason="needs JAX")
def test_gradient_of_the_other_view_in_jax() -> None:
    """JAX's gradient by targets is that of the views exchanged, in either direction."""
    import jax

    a, b = (x.astype("float32") for x in batch(il.clip_loss))
    metrics = il.info_nce, il.barlow_twins
    both = Jax().compiled(lambda a, b: [jax.grad(metric, 1)(a, b) for metric in metrics])
    for metric, slope in zip(metrics, both(a, b), strict=True):
        want = by_the_other(metric, a.astype("float64"), b.astype("float64"))
        close(slope, want, 512, float(np.max(np.abs(want))))


def by_the_other(metric: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the gradient by targets, from the gradients by predictions of exchanged views."""
    exchanged = il.gradient(metric, b, a)
    if not isinstance(metric, il.InfoNCE):
        return exchanged
    return 2 * il.gradient(il.CLIP(metric.temperature), b, a) - exchanged  # the mean of both ways


def test_labels_of_a_batch() -> None:
    """Labels are integers, and only their equality matters; one below 0 makes its batch nan."""
    rows, labels = batch(il.supervised_contrastive)
    value = il.supervised_contrastive(rows, labels)
    assert value == il.supervised_contrastive(rows, labels + 2**40)
    labels[0] = -1
    assert np.isnan(il.supervised_contrastive(rows, labels))
    two = il.supervised_contrastive(
        np.stack([rows] * 2), np.stack([labels, labels + 1]), reduction="none"
    )
    assert np.isnan(two).tolist() == [True, False]
    with pytest.raises(TypeError, match="labels must be integers"):
        il.supervised_contrastive(rows, labels.astype(float))
    assert np.isnan(il.supervised_contrastive(np.full((2, 3), np.nan), [0, 1]))


# --- which of them are the same -------------------------------------------------------------------


def test_both_ways() -> None:
    """CLIP's loss is the mean of InfoNCE's of either direction."""
    a, b = batch(il.clip_loss)
    near(il.clip_loss(a, b), (il.info_nce(a, b) + il.info_nce(b, a)) / 2, 8)


def test_two_views_are_a_label() -> None:
    """Of two views of each label, the supervised contrastive loss is NT-Xent's."""
    a, b = batch(il.nt_xent)
    labels = np.tile(np.arange(6), 2)
    for temperature in (0.1, 0.5):
        one = il.NTXent(temperature)(a, b)
        near(il.SupervisedContrastive(temperature)(np.concatenate([a, b]), labels), one, 8)


def test_info_nce_is_a_cross_entropy() -> None:
    """Of unit vectors, it is the cross-entropy of their inner products and the labels 0, 1, 2, ..."""
    a, b = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in batch(il.info_nce))
    near(il.InfoNCE(0.25)(a, b), il.softmax_cross_entropy(a @ b.T / 0.25, np.arange(6)), 32)


def test_margin_ranking_is_a_hinge() -> None:
    """Of the difference of both scores, it is the hinge loss."""
    first, second = np.random.default_rng(0).normal(size=(2, 9))
    label = np.where(np.arange(9) % 2, 1.0, -1.0)
    for margin in (0.0, 0.5):
        want = il.Hinge(margin)(first - second, label)
        near(il.MarginRanking(margin)((first, second), label), want, 8)


def test_sure_answers() -> None:
    """The loss of an answer that is nearly sure has its digits: exp(-20) is not 0 in float32."""
    a, b = np.eye(2, dtype="float32"), np.eye(2, dtype="float32")
    assert abs(il.InfoNCE(0.05)(a, b) / math.log1p(math.exp(-20)) - 1) <= 2.0**-23
    assert il.InfoNCE(1e-4)(a, b[::-1].copy()) == np.float32(1e4)
