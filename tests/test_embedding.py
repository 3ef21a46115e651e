"""Losses of embeddings: what a batch is, which of them are the same, and where peers go wrong.

Exact values are in conformance/reference/embedding.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import BACKENDS, installed

LIBRARIES = installed()
VIEWS: list[Any] = [
    il.info_nce, il.clip, il.nt_xent, il.siglip, il.barlow_twins, il.vicreg,
    il.InfoNCE(temperature=1e-4), il.NTXent(temperature=1e-4), il.CLIP(temperature=1e-4),
]  # fmt: skip
BATCHED = [*VIEWS, il.supervised_contrastive]
of_views = pytest.mark.parametrize("metric", VIEWS, ids=repr)
batched = pytest.mark.parametrize("metric", BATCHED, ids=repr)


def batch(metric: Any, shape: tuple[int, ...] = (6, 4), seed: int = 0) -> tuple[Any, Any]:
    """Draw what the metric takes."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=shape)
    if metric is il.supervised_contrastive:
        return rows, rng.integers(0, 3, shape[:-1])
    return rows, rows + rng.normal(size=shape) / 2


def close(got: Any, want: Any, ulps: float = 8) -> None:
    """Assert equality to some ULP of the largest number."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    size = max(np.max(np.abs(want), initial=0.0), 1 / 8)
    assert np.max(np.abs(got - want), initial=0.0) <= ulps * np.finfo(got.dtype).eps * size


# --- pairs and triplets ---------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_odd_norms(library: str) -> None:
    """Powers are those of absolute values: optax's of degree 1 and 3 have none, and are 0 or nan."""
    backend = BACKENDS[library]()
    array = lambda x: backend.array(x, "float32")  # noqa: E731
    anchor, targets = array([[0.0, 0.0]]), (array([[2.0, -2.0]]), array([[-1.0, 0.0]]))
    for p, near in ((1, 4.0), (3, 16 ** (1 / 3))):
        metric = il.TripletMargin(margin=1.0, p=p)
        value, slope = il.value_and_gradient(metric, anchor, targets)
        close(np.float32(backend.numbers(value)), np.float32(1 + near - 1), 2)
        share = 1 if p == 1 else 4 / 16 ** (2 / 3)
        want = np.array([[-share - 1, share]], np.float32)
        close(np.asarray(backend.numbers(slope), np.float32), want, 4)


def test_nothing_is_added() -> None:
    """A triplet whose distances are 0 costs the margin, to the last digit."""
    same = [[1.0, 2.0]]
    for p in (1, 1.5, 2, 3):
        value, slope = il.value_and_gradient(il.TripletMargin(p=p), same, (same, same))
        assert value == 1
        assert np.all(slope == 0)


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
    close(metric.compute(states[0].merge(states[1])), (one + two) / 2)
    if getattr(metric, "temperature", 1.0) > 1e-3:  # below, one neighbour alone counts
        assert abs(metric(a, b) - (one + two) / 2) > 1e-6
    stacked = [np.stack([x[:3], x[3:]]) for x in (a, b)]
    close(metric(*stacked, reduction="none"), [one, two])
    close(metric(*stacked, weights=[1.0, 3.0]), (one + 3 * two) / 4)


@batched
@pytest.mark.parametrize("library", LIBRARIES)
def test_length_does_not_matter(metric: Any, library: str) -> None:
    """Cosines do not depend on lengths, correlations not on scales, far out too."""
    if metric is il.vicreg:
        return
    backend = BACKENDS[library]()
    a, b = batch(metric)
    scale = (
        np.float32(2.0**80)
        if metric is il.barlow_twins
        else np.float32(2.0) ** np.arange(-60, 60, 20)[:, None]
    )
    array = lambda x: backend.array(x.tolist(), "int32" if x.dtype.kind == "i" else "float32")  # noqa: E731
    numbers = [np.float32(backend.numbers(metric(array(x), array(b)))) for x in (a, scale * a)]
    close(numbers[1], numbers[0], 64)


@batched
def test_order_of_rows(metric: Any) -> None:
    """The order of the rows changes nothing, and reorders the gradient."""
    a, b = batch(metric)
    order = np.random.default_rng(1).permutation(6)
    (value, slope), (other, turned) = (
        il.value_and_gradient(metric, *arrays) for arrays in ((a, b), (a[order], b[order]))
    )
    close(other, value)
    close(turned, slope[order], 64)


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


@of_views
@pytest.mark.parametrize("library", [name for name in LIBRARIES if name in ("jax", "torch")])
def test_gradient_of_the_other_view(metric: Any, library: str) -> None:
    """Targets are a model's too: the gradient by them is that of the views exchanged."""
    a, b = (x.astype("float32") for x in batch(metric))
    if library == "jax":
        jax = pytest.importorskip("jax")
        found = np.asarray(jax.grad(metric, argnums=1)(*map(jax.numpy.asarray, (a, b))))
    else:
        torch = pytest.importorskip("torch")
        leaf = torch.tensor(b).requires_grad_()
        metric(torch.tensor(a), leaf).backward()
        found = leaf.grad.numpy()
    if isinstance(metric, il.InfoNCE):  # which is one way only
        both = il.CLIP(metric.temperature)
        want = 2 * il.gradient(both, b.astype("float64"), a.astype("float64"))
        want = want - il.gradient(metric, b.astype("float64"), a.astype("float64"))
    else:
        want = il.gradient(metric, b.astype("float64"), a.astype("float64"))
    size = np.max(np.abs(want))
    assert np.max(np.abs(found - want)) <= 2**-14 * size


@pytest.mark.parametrize("kind", [il.CLIP, il.SigLIP, il.InfoNCE, il.NTXent])
@pytest.mark.parametrize("library", [name for name in LIBRARIES if name in ("jax", "torch")])
def test_temperature_is_learnt(kind: Any, library: str) -> None:
    """A temperature may be an array; its derivative is that of differences."""
    a, b = batch(il.clip)
    step = 2.0**-16
    want = (kind(0.5 + step)(a, b) - kind(0.5 - step)(a, b)) / (2 * step)
    if library == "jax":
        jax = pytest.importorskip("jax")
        p, t = map(jax.numpy.asarray, (a, b))
        found = float(jax.grad(lambda x: kind(x)(p, t))(0.5))
    else:
        torch = pytest.importorskip("torch")
        leaf = torch.tensor(0.5, dtype=torch.float64).requires_grad_()
        kind(leaf)(torch.tensor(a), torch.tensor(b)).backward()
        found = float(leaf.grad)
    digits = 18 if library == "jax" else 26  # float32; float64, of which a difference has half
    assert abs(found - want) <= 2.0**-digits * abs(want)


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
    a, b = batch(il.clip)
    close(il.clip(a, b), (il.info_nce(a, b) + il.info_nce(b, a)) / 2)


def test_two_views_are_a_label() -> None:
    """Of two views of each label, the supervised contrastive loss is NT-Xent's."""
    a, b = batch(il.nt_xent)
    labels = np.tile(np.arange(6), 2)
    for temperature in (0.1, 0.5):
        one = il.NTXent(temperature)(a, b)
        close(il.SupervisedContrastive(temperature)(np.concatenate([a, b]), labels), one)


def test_info_nce_is_a_cross_entropy() -> None:
    """Of unit vectors, it is the cross-entropy of their inner products and the labels 0, 1, 2, ..."""
    a, b = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in batch(il.info_nce))
    close(il.InfoNCE(0.25)(a, b), il.softmax_cross_entropy(a @ b.T / 0.25, np.arange(6)), 32)


def test_margin_ranking_is_a_hinge() -> None:
    """Of the difference of both scores, it is the hinge loss."""
    first, second = np.random.default_rng(0).normal(size=(2, 9))
    label = np.where(np.arange(9) % 2, 1.0, -1.0)
    for margin in (0.0, 0.5):
        want = il.Hinge(margin)(first - second, label)
        close(il.MarginRanking(margin)((first, second), label), want)


def test_sure_answers() -> None:
    """The loss of an answer that is nearly sure has its digits: exp(-20) is not 0 in float32."""
    a, b = np.eye(2, dtype="float32"), np.eye(2, dtype="float32")
    assert abs(il.InfoNCE(0.05)(a, b) / math.log1p(math.exp(-20)) - 1) <= 2.0**-23
    assert il.InfoNCE(1e-4)(a, b[::-1].copy()) == np.float32(1e4)
