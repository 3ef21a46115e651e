"""Segmentation: every mask of a few pixels, exactly; which axes are a sample; what is empty."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import as_numpy, close

PAIRS = list(itertools.product(itertools.product((0, 1), repeat=4), repeat=2))
P, T = (np.array(side, dtype="float32") for side in zip(*PAIRS, strict=True))


def counts(p: Any, t: Any) -> tuple[int, int, int]:
    """TP, FP and FN of one mask."""
    return sum(p & t), sum(p & ~t), sum(~p & t)


def quotient(above: Any, below: Any) -> Fraction:
    return Fraction(0) if below == 0 else Fraction(above) / Fraction(below)


LOSSES: list[tuple[il.Loss, Any]] = [
    (il.dice_loss, lambda tp, fp, fn: quotient(fp + fn, 2 * tp + fp + fn)),
    (il.jaccard_loss, lambda tp, fp, fn: quotient(fp + fn, tp + fp + fn)),
    (il.Tversky(alpha_fp=0.25, beta_fn=0.75),
     lambda tp, fp, fn: quotient(fp + 3 * fn, 4 * tp + fp + 3 * fn)),
    (il.DiceLoss(smoothing=1.0), lambda tp, fp, fn: Fraction(fp + fn, 2 * tp + fp + fn + 1)),
    (il.JaccardLoss(smoothing=1.0), lambda tp, fp, fn: Fraction(fp + fn, tp + fp + fn + 1)),
    (il.Tversky(smoothing=1.0), lambda tp, fp, fn: Fraction(fp + fn, 2 * tp + fp + fn + 2)),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "formula"), LOSSES, ids=[repr(m) for m, _ in LOSSES])
def test_every_mask(backend: Backend, metric: il.Loss, formula: Any) -> None:
    """Of all pairs of masks of four pixels, the losses are the ratios of counts; 0/0 is 0."""
    want = [float(formula(*counts(p > 0, t > 0))) for p, t in zip(P, T, strict=True)]
    p, t = backend.array(P, "float32"), backend.array(T, "float32")
    close(metric(p, t, reduction="none"), want, 1)


def test_lovasz_extends_the_jaccard_loss(backend: Backend) -> None:
    """Of all pairs of masks of four pixels, the extensions are the Jaccard losses of the classes."""
    sets = [counts(p > 0, t > 0) for p, t in zip(P, T, strict=True)]
    one = [quotient(fp + fn, tp + fp + fn) for tp, fp, fn in sets]
    none = [quotient(fp + fn, 4 - tp) for tp, fp, fn in sets]  # of the background
    pairs = zip(one, none, P, T, strict=True)
    both = [a if t.all() else b if not t.any() else (a + b) / 2 for a, b, p, t in pairs]
    p = backend.array(np.stack([1 - P, P], axis=-1), "float32")
    losses = il.lovasz_softmax(p, backend.array(T.astype("int32"), "int32"), reduction="none")
    close(losses, [float(x) for x in both], 1)
    # scores of 1 and -1 have hinge losses of 0 and 2
    scores = backend.array(2 * P - 1, "float32")
    losses = il.lovasz_hinge(scores, backend.array(T, "float32"), reduction="none")
    close(losses, [2 * float(x) for x in one], 1)


def choquet(errors: list[Fraction], region: set[int]) -> Fraction:
    """The integral over thresholds of the Jaccard loss of the pixels whose error is above."""
    total, levels = Fraction(0), sorted({Fraction(0), *errors})
    for low, high in itertools.pairwise(levels):
        wrong = {i for i, error in enumerate(errors) if error >= high}
        total += (high - low) * Fraction(len(wrong), len(wrong | region))
    return total


def test_lovasz_is_an_integral() -> None:
    """Of random samples, equal errors among them, the sum over sorted errors is the integral."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        n = int(rng.integers(1, 9))
        z, t = rng.integers(-8, 9, n) / 4, rng.integers(0, 2, n)
        exact = [
            max(Fraction(0), 1 - Fraction(x) * (2 * int(y) - 1)) for x, y in zip(z, t, strict=True)
        ]
        want = choquet(exact, set(np.flatnonzero(t)))
        close(il.lovasz_hinge(z, t), float(want), 2)
        p, y = rng.integers(0, 9, (n, 3)) / 8, rng.integers(0, 3, n)
        each = [
            choquet([abs(int(k == c) - Fraction(q)) for k, q in zip(y, p[:, c], strict=True)],
                    set(np.flatnonzero(y == c)))
            for c in set(y.tolist())
        ]  # fmt: skip
        close(il.lovasz_softmax(p, y), float(sum(each) / len(each)), 2)


def test_scikit_learn() -> None:
    """Of masks, Dice and Jaccard losses are 1 minus scikit-learn's scores, the empty one included."""
    from sklearn.metrics import f1_score, jaccard_score

    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (2, 200, 6)) * rng.integers(0, 2, (2, 200, 1))
    for p, t in zip(*masks, strict=True):
        close(il.dice_loss(p, t), 1 - f1_score(t, p, zero_division=1.0), 4, 1 / 8)
        if p.any() or t.any():
            close(il.jaccard_loss(p, t), 1 - jaccard_score(t, p), 4, 1 / 8)


RNG = np.random.default_rng(0)
BATCH = RNG.uniform(size=(2, 3, 4, 5)).astype("float32")  # images, height, width, classes
TRUTH = RNG.integers(0, 2, BATCH.shape).astype("float32")


def ratio(p: Any, t: Any) -> float:
    """Return the Dice loss of all there is."""
    return float(1 - 2 * np.sum(np.float64(p) * t) / np.sum(np.float64(p) + t))


@pytest.mark.parametrize("axes", [(3,), (1, 2), (1, 2, 3), (0, 1, 2), (0, 1, 2, 3)])
def test_which_axes_are_a_sample(axes: tuple[int, ...]) -> None:
    """event_axis says what one ratio is over: a row, an image, a class of an image, all there is."""
    rest = [k for k in range(4) if k not in axes]
    flat = [np.moveaxis(x, rest, range(len(rest))) for x in (BATCH, TRUTH)]
    flat = [x.reshape(math.prod(x.shape[: len(rest)]), -1) for x in flat]
    want = np.mean([ratio(*pair) for pair in zip(*flat, strict=True)])
    close(il.dice_loss(BATCH, TRUTH, event_axis=axes), want, 1)


def test_images_of_several_axes(backend: Backend) -> None:
    """On every library, a mask leaves out whole images, and axes that are left stay."""
    a, b = backend.array(BATCH, "float32"), backend.array(TRUTH, "float32")
    each = il.dice_loss(a, b, event_axis=(1, 2), axis=0)
    want = [[ratio(BATCH[n, ..., c], TRUTH[n, ..., c]) for c in range(5)] for n in range(2)]
    close(each, np.mean(want, axis=0), 1)
    first = backend.array([True, False], "bool")
    value, slope = il.value_and_gradient(il.dice_loss, a, b, event_axis=(1, 2, 3), where=first)
    close(value, ratio(BATCH[0], TRUTH[0]), 1)
    assert not np.any(as_numpy(slope)[1])


EMPTY: list[il.Loss] = [
    il.dice_loss, il.jaccard_loss, il.tversky, il.focal_tversky, il.FocalTversky(smoothing=1.0),
]  # fmt: skip


@pytest.mark.parametrize("metric", EMPTY, ids=repr)
def test_nothing_to_find(backend: Backend, metric: il.Loss) -> None:
    """Nothing found where there is nothing: a loss of 0, its gradient and curvature too."""
    none = backend.array([[0.0, 0.0, 0.0]], "float32")
    value, slope = il.value_and_gradient(metric, none, none)
    assert float(value) == 0.0
    assert not np.any(as_numpy(slope))
    for part in il.gradient_hessian(metric, none, none):
        assert not np.any(as_numpy(part))


def test_conventions_of_others() -> None:
    """The smoothing of optax, MONAI and of the authors of the focal Tversky loss, by their formulas."""
    p, t = np.array([0.75, 0.5, 0.25, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    tp, predicted, true = np.sum(p * t), np.sum(p), np.sum(t)
    fp, fn = predicted - tp, true - tp
    optax = 1 - (tp + 1) / (tp + 0.5 * fp + 0.5 * fn + 1)
    close(il.DiceLoss(smoothing=2.0)(p, t), optax, 2)
    close(il.Tversky(smoothing=1.0)(p, t), optax, 2)
    monai = 1 - (2 * tp + 1e-5) / (predicted + true + 1e-5)
    close(il.DiceLoss(smoothing=1e-5)(p, t), monai, 2)
    jaccard = 1 - (2 * tp + 1e-5) / (2 * (predicted + true - tp) + 1e-5)
    close(il.JaccardLoss(smoothing=5e-6)(p, t), jaccard, 2)
    authors = (1 - (tp + 1) / (tp + 0.7 * fn + 0.3 * fp + 1)) ** 0.75
    close(il.FocalTversky(smoothing=1.0)(p, t), authors, 4)
    close(il.Tversky(alpha_fp=1.0, beta_fn=1.0)(p, t), il.jaccard_loss(p, t), 1)
    close(il.FocalTversky(gamma=1.0)(p, t), il.Tversky(0.3, 0.7)(p, t), 0)


def test_absent_classes(backend: Backend) -> None:
    """A class without a target has no part in the generalised Dice loss, nor a gradient."""
    p = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]], dtype="float32")
    t = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]], dtype="float32")
    a, b = backend.array(p, "float32"), backend.array(t, "float32")
    value, slope = il.value_and_gradient(il.generalised_dice, a, b)
    close(value, il.generalised_dice(a[:, :2], b[:, :2]), 0)
    assert not np.any(as_numpy(slope)[:, 2])
    assert np.all(as_numpy(slope)[:, :2])
    assert float(il.generalised_dice(a, 0 * b)) == 0.0
    # the rarer class counts for more: each weight is 1 over the square of its volume
    wrong, whole = np.sum(np.abs(p - t), axis=0), np.sum(p + t, axis=0)
    want = (wrong[0] + wrong[1] / 4) / (whole[0] + whole[1] / 4)
    close(value, np.float64(want), 1)


def test_equal_errors(backend: Backend) -> None:
    """Of equal errors the first is the larger, on every library: the derivative is one and the same."""
    z, t = backend.array([0.0] * 5, "float32"), backend.array([0, 1, 1, 0, 0], "float32")
    close(il.gradient(il.lovasz_hinge, z, t), [1 / 3, -1 / 3, -1 / 3, 0.0, 0.0], 1)
    p = backend.array([[0.5, 0.5]] * 4, "float32")
    slope = il.gradient(il.lovasz_softmax, p, backend.array([0, 1, 0, 1], "int32"))
    close(slope, [[-1 / 4, 1 / 6], [1 / 12, -1 / 6], [-1 / 6, 1 / 24], [0.0, -1 / 8]], 1)


def test_labels_outside(backend: Backend) -> None:
    """A label that is none makes its sample nan, and no other; validate names it."""
    p = backend.array(np.full((3, 2, 3), 0.25), "float32")
    t = backend.array([[0, 1], [0, -1], [3, 0]], "int32")
    terms = as_numpy(il.lovasz_softmax(p, t, reduction="none"))
    assert np.isnan(terms).tolist() == [False, True, True]
    with pytest.raises(ValueError, match=r"^LovaszSoftmax\(\): targets\[1, 1\] is -1; "):
        il.validate(il.lovasz_softmax, p, t)


@pytest.mark.parametrize(
    ("metric", "p", "t"),
    [
        (il.dice_loss, [1.5, 0.5], [0.0, 1.0]),
        (il.tversky, [0.5, 0.5], [0.0, -1.0]),
        (il.lovasz_hinge, [0.5, 0.5], [0.0, 0.5]),
        (il.generalised_dice, [[0.5, 1.5]], [[0.0, 1.0]]),
        (il.lovasz_softmax, [[0.5, 1.5]], [0]),
    ],
    ids=repr,
)
def test_outside_the_domain(backend: Backend, metric: il.Loss, p: Any, t: Any) -> None:
    """One pixel outside makes its sample nan."""
    dtype = "int32" if metric is il.lovasz_softmax else "float32"
    assert math.isnan(float(metric(backend.array(p, "float32"), backend.array(t, dtype))))


def test_many_pixels() -> None:
    """The slopes of 200,000 pixels, by NumPy: as large as the Jaccard loss grows, which is to 1."""
    rng = np.random.default_rng(0)
    z, t = rng.uniform(-0.9, 0.9, 200_000), rng.integers(0, 2, 200_000)
    slope = il.gradient(il.lovasz_hinge, z, t)
    assert abs(np.sum(np.abs(slope)) - 1) < 1e-12
    assert np.all(np.sign(slope) == 1 - 2 * t)


def test_validate_names_the_pixel() -> None:
    """A label that is none is named with its place, unless its image is left out."""
    p = np.full((2, 3, 2), 0.5)
    labels = [[0, 1, 1], [0, 5, 1]]
    with pytest.raises(ValueError, match=r"targets\[1, 1\] is 5; targets must be"):
        il.validate(il.lovasz_softmax, p, labels)
    il.validate(il.lovasz_softmax, p, labels, where=[True, False])
