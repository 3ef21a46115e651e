"""Counts, curves and calibration: exact, equal to scikit-learn's, of any size, on every library."""

from __future__ import annotations

import functools
import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sklearn

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import as_numpy, close

CASES = 160  # random ones: perfect ones, single samples and absent classes among them
same = functools.partial(close, ulps=16, size=1.0)  # scikit-learn rounds its sums elsewhere


def labelled(seed: int) -> tuple[int, np.ndarray, np.ndarray, np.ndarray | None]:
    """Draw classes, some of which are absent, labels that are often right, and weights or none."""
    rng = np.random.default_rng(seed)
    classes, n = int(rng.integers(1, 7)), int(rng.integers(1, 30))
    some = [rng.permutation(classes)[: rng.integers(1, classes + 1)] for _ in range(2)]
    targets, predictions = (rng.choice(one, n) for one in some)
    if rng.random() < 0.2:
        predictions = targets.copy()
    return classes, predictions, targets, None if rng.random() < 0.5 else rng.uniform(0.1, 3, n)


AVERAGED = {
    "Precision": sklearn.precision_score,
    "Recall": sklearn.recall_score,
    "F1Score": sklearn.f1_score,
    "DiceScore": sklearn.f1_score,
    "JaccardScore": sklearn.jaccard_score,
    "FBeta": functools.partial(sklearn.fbeta_score, beta=0.5),
}


@pytest.mark.parametrize("name", AVERAGED)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
def test_ratios_equal_scikit_learn(name: str, average: str | None) -> None:
    """Ratios of counts are scikit-learn's on random, degenerate and absent classes."""
    for seed in range(CASES // 4):
        classes, p, t, w = labelled(seed)
        options = {"beta": 0.5} if name == "FBeta" else {}
        metric = getattr(il, name)(classes, average, **options)
        labels = list(range(classes)) if average is None else None
        want = AVERAGED[name](
            t, p, labels=labels, average=average, sample_weight=w, zero_division=0
        )
        same(metric(p, t, weights=w), want)


def matrix(
    p: np.ndarray, t: np.ndarray, w: np.ndarray | None, classes: int
) -> list[list[Fraction]]:
    """Count in fractions."""
    counts = [[Fraction(0)] * classes for _ in range(classes)]
    for a, b, one in zip(p, t, np.ones(len(p)) if w is None else w, strict=True):
        counts[b][a] += Fraction(float(one))
    return counts


def of_others(counts: list[list[Fraction]], c: int) -> tuple[Fraction, Fraction, Fraction]:
    """Return TN, FP and FN of a class."""
    n, fp = sum(map(sum, counts)), sum(row[c] for row in counts) - counts[c][c]
    fn = sum(counts[c]) - counts[c][c]
    return n - fp - fn - counts[c][c], fp, fn


def test_ratios_of_the_other_classes() -> None:
    """Specificity and negative predictive value, which scikit-learn lacks, are those of fractions."""
    for seed in range(CASES):
        classes, p, t, w = labelled(seed)
        counts = matrix(p, t, w, classes)
        for metric, missing in ((il.Specificity, 1), (il.NegativePredictiveValue, 2)):
            scores = []
            for c in range(classes):
                others = of_others(counts, c)
                below = others[0] + others[missing]
                scores.append(float(others[0] / below) if below else 0.0)
            same(metric(classes, None)(p, t, weights=w), scores)
            named = [s for c, s in enumerate(scores) if any(counts[c]) or any(r[c] for r in counts)]
            same(metric(classes)(p, t, weights=w), math.fsum(named) / len(named))


def test_scores_of_the_whole_matrix_equal_scikit_learn() -> None:
    """Accuracy, its balanced forms, Matthews's correlation and Cohen's kappa are scikit-learn's."""
    for seed in range(CASES):
        classes, p, t, w = labelled(seed)
        options = {"sample_weight": w}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes that no target names, and of 0 / 0
            balanced = sklearn.balanced_accuracy_score(t, p, **options)
            adjusted = sklearn.balanced_accuracy_score(t, p, adjusted=True, **options)
            kappa = sklearn.cohen_kappa_score(t, p, **options)
            matthews = sklearn.matthews_corrcoef(t, p, **options)
        same(il.accuracy(p, t, weights=w), sklearn.accuracy_score(t, p, **options))
        same(il.zero_one_loss(p, t, weights=w), 1 - sklearn.accuracy_score(t, p, **options))
        same(il.BalancedAccuracy(classes)(p, t, weights=w), balanced)
        if len(set(t)) > 1:
            same(il.Informedness(classes)(p, t, weights=w), adjusted)
        else:
            assert np.isnan(il.Informedness(classes)(p, t, weights=w))
        same(il.CohenKappa(classes)(p, t, weights=w), kappa)
        assert abs(il.MatthewsCorrelation(classes)(p, t, weights=w) - matthews) <= 32 * 2.0**-52


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_confusion_matrix_equals_scikit_learn(normalize: str | None) -> None:
    """Rows are the targets' classes, columns the predictions'."""
    for seed in range(CASES // 4):
        classes, p, t, w = labelled(seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "A single label was found", UserWarning)
            want = sklearn.confusion_matrix(
                t, p, labels=range(classes), sample_weight=w, normalize=normalize
            )
        same(il.ConfusionMatrix(classes, normalize)(p, t, weights=w), want)


def scored(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Draw scores, often equal ones, labels of two kinds, and weights or none."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 40))
    scores = rng.normal(size=n)
    scores = np.round(scores) if rng.random() < 0.6 else scores
    return scores, rng.integers(0, 2, n), None if rng.random() < 0.5 else rng.uniform(0.1, 3, n)


def test_curves_equal_scikit_learn() -> None:
    """Areas and average precisions are scikit-learn's, with ties and weights; one kind alone is nan."""
    for seed in range(CASES):
        s, t, w = scored(seed)
        both = 0 < t.sum() < len(t)
        area, precision = (
            m(s, t, weights=w) for m in (il.roc_auc_score, il.average_precision_score)
        )
        same(area, sklearn.roc_auc_score(t, s, sample_weight=w) if both else math.nan)
        some = t.sum() > 0
        same(
            precision, sklearn.average_precision_score(t, s, sample_weight=w) if some else math.nan
        )
        grid = tuple(np.unique(s))
        same(il.BinnedROCAUC(grid)(s, t, weights=w), area)
        same(il.BinnedAveragePrecision(grid[::-1])(s, t, weights=w), precision)


BINARY = {
    "binary_accuracy": sklearn.accuracy_score,
    "binary_precision": functools.partial(sklearn.precision_score, zero_division=0),
    "binary_recall": functools.partial(sklearn.recall_score, zero_division=0),
    "binary_f1_score": functools.partial(sklearn.f1_score, zero_division=0),
    "binary_jaccard_score": functools.partial(sklearn.jaccard_score, zero_division=0),
    "binary_specificity": functools.partial(sklearn.recall_score, pos_label=0, zero_division=0),
    "binary_negative_predictive_value": functools.partial(
        sklearn.precision_score, pos_label=0, zero_division=0
    ),
}


@pytest.mark.parametrize("name", BINARY)
def test_scores_by_a_threshold_equal_scikit_learn(name: str) -> None:
    """A score at the threshold is positive; labels may be of any dtype."""
    for seed in range(CASES // 4):
        s, t, w = scored(seed)
        metric = type(getattr(il, name))(threshold=float(np.median(s)))
        want = BINARY[name](t, (s >= np.median(s)).astype(int), sample_weight=w)
        for labels in (t, t.astype(float), t.astype(bool), t.astype("uint8")):
            same(metric(s, labels, weights=w), want)


def test_every_library(backend: Backend) -> None:
    """A matrix, one of its ratios and a curve are NumPy's, of labels and of scores, along any axis."""
    rng = np.random.default_rng(5)
    scores, t = rng.normal(size=(3, 40, 4)).astype("float32"), rng.integers(0, 4, (3, 40))
    w = rng.uniform(0.5, 2, (3, 40)).astype("float32")
    labels = scores.argmax(-1)
    of_scores, of_labels = backend.array(scores, "float32"), backend.array(labels, "int32")
    targets, weights = backend.array(t, "int32"), backend.array(w, "float32")
    matrix, recall = il.ConfusionMatrix(4), il.Recall(4, None)
    for p in (of_scores, of_labels):
        close(matrix(p, targets), matrix(labels, t), 0)
    kept = {"axis": 0, "keepdims": True}
    close(matrix(of_scores, targets, **kept), matrix(labels, t, **kept), 0)
    for metric in (matrix, recall):
        want = metric(labels, t, weights=np.float64(w), axis=1)
        close(metric(of_labels, targets, weights=weights, axis=1), want, 8, 1.0)
    s, y = scores[..., 0], t > 1
    binned = il.BinnedROCAUC((-1.0, 0.0, 1.0))
    area = binned(backend.array(s, "float32"), backend.array(y, "int32"), axis=1)
    close(area, binned(np.float64(s), y, axis=1), 8, 1.0)


def counted(state: Any) -> int:
    """Return the first of the counts of a state."""
    return int(as_numpy(state.counts.value)[0]) + int(as_numpy(state.counts.error)[0])


def test_counts_are_exact(backend: Backend) -> None:
    """Counts go on beyond 2^24, where a float32 would stop, in one batch and over batches."""
    size = 2**22
    p = backend.xp.asarray(np.zeros(size, dtype="int32"))
    metric = il.ConfusionMatrix(2)
    merged = state = metric.summary(p, p)
    assert counted(state) == size
    for _ in range(2):
        merged = merged.merge(merged)
    one = metric.summary(p[:1], p[:1])
    for _ in range(3):
        merged = merged.merge(one)
    assert counted(merged) == 4 * size + 3
    if not backend.float64:
        p = backend.xp.asarray(np.zeros(4 * size + 1, dtype="uint8"))
        assert counted(metric.summary(p, p)) == 4 * size + 1


def test_one_matrix_is_shared() -> None:
    """All metrics of a confusion matrix are computed from one, which is made once."""
    from isoloss.evaluation import Shared, named

    metrics = [
        il.F1Score(3),
        il.Precision(3, None),
        il.MatthewsCorrelation(3),
        il.ConfusionMatrix(3),
    ]
    shared = Shared(named("evaluate", metrics))
    assert len(shared.states(np.array([0, 1, 2]), np.array([0, 2, 2]))) == 1
    binary = Shared(
        named("evaluate", [il.binary_recall, il.binary_precision, il.BinaryRecall(0.25)])
    )
    assert len(binary.states(np.array([0.1, 0.6]), np.array([0, 1]))) == 2


def test_what_is_no_label(backend: Backend) -> None:
    """A label outside, or a nan among scores, makes the whole nan unless it is excluded."""
    metric = il.F1Score(3)
    p, t = backend.array([0, 1, 1, 2], "int32"), backend.array([0, 1, 2, 3], "int32")
    z = backend.array([[1.0, 0, 0], [0, math.nan, 0], [0, 0, 1], [0, 0, 1]], "float32")
    known = backend.array([0, 1, 2, 2], "int32")
    every = backend.array([True] * 4, "bool")
    for scores, labels, wrong in ((p, t, 3), (z, known, 1)):
        others = backend.array([k != wrong for k in range(4)], "bool")
        assert np.isnan(float(metric(scores, labels, where=every)))
        assert np.isfinite(float(metric(scores, labels, where=others)))
    with pytest.raises(ValueError, match=r"targets\[3\] is 3; targets must be >= 0 and <= 2"):
        il.validate(metric, p, t)
    s, y = backend.array([0.5, math.nan, 0.25], "float32"), backend.array([0, 1, 1], "int32")
    finite, two = backend.array([0.5, 1.0, 0.25], "float32"), backend.array([0, 1, 2], "int32")
    binned = il.BinnedROCAUC((0.0,))
    assert np.isnan(float(binned(s, y)))
    assert np.isnan(float(binned(finite, two)))


def calibrated(p: np.ndarray, t: np.ndarray, w: np.ndarray, bins: int) -> list[list[Fraction]]:
    """Sum weights, confidences and right answers of each bin, in fractions."""
    sums = [[Fraction(0)] * 3 for _ in range(bins)]
    for row, label, weight in zip(p, t, w, strict=True):
        sure = Fraction(float(max(row)))
        place = next(k for k in range(bins) if sure <= Fraction((k + 1) / bins))
        for j, number in enumerate((Fraction(1), sure, Fraction(int(np.argmax(row) == label)))):
            sums[place][j] += Fraction(float(weight)) * number
    return sums


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_expected_calibration_error(norm: str) -> None:
    """It is that of fractions; batches merge to the whole's, however uneven."""
    rng = np.random.default_rng(1)
    for bins in (1, 4, 15):
        p = rng.uniform(0.01, 1, (60, 3))
        p /= p.sum(axis=-1, keepdims=True)
        t, w = rng.integers(0, 3, 60), rng.uniform(0.5, 2, 60)
        filled = [s for s in calibrated(p, t, w, bins) if s[0]]
        gaps = [(s[0] / sum(f[0] for f in filled), abs(s[2] - s[1]) / s[0]) for s in filled]
        want = {
            "l1": float(sum(a * b for a, b in gaps)),
            "l2": math.sqrt(sum(a * b * b for a, b in gaps)),
            "max": float(max(b for _, b in gaps)),
        }[norm]
        metric = il.ExpectedCalibrationError(bins, norm)
        same(metric(p, t, weights=w), want)
        parts = [
            metric.summary(p[s], t[s], weights=w[s])
            for s in (slice(7), slice(7, 50), slice(50, 60))
        ]
        same(metric.compute(parts[0].merge(parts[1]).merge(parts[2])), want)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: il.F1Score(3, "mean"), "average must be one of 'macro', 'micro', 'weighted', None, not 'mean'"),
        (lambda: il.F1Score(2.5), "num_classes must be an integer, not 2.5"),
        (lambda: il.F1Score(0), "num_classes must be finite and >= 1, not 0"),
        (lambda: il.BinnedROCAUC(200), "thresholds must be a tuple of numbers, not 200"),
        (lambda: il.TopKAccuracy(1.5), "k must be an integer, not 1.5"),
    ],
)  # fmt: skip
def test_wrong_parameters(make: Any, text: str) -> None:
    """A wrong parameter is named with what it may be."""
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert str(error.value).endswith(text)
