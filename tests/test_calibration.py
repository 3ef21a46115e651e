"""Calibration against sums in exact fractions, with bins made one by one, and scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from sklearn.calibration import calibration_curve

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import close

mpf = mpmath.mpf


def near(got: Any, want: Any, ulps: float = 8, size: float = 0.0) -> None:
    """Assert equality to some ULP of exact numbers, or of a larger size that cancels."""
    exact = np.asarray(want, object)
    close(got, np.asarray([float(x) for x in exact.flat]).reshape(exact.shape), ulps, size)


def draw(rng: np.random.Generator, n: int, classes: int = 3) -> tuple[Any, Any, Any]:
    """Draw probabilities of some classes, labels, and weights; often several samples are equal."""
    p = rng.uniform(size=(n, classes)) + 0.01
    p /= p.sum(axis=-1, keepdims=True)
    if rng.random() < 0.5:
        p = np.round(p * 8) / 8
    return p, rng.integers(0, classes, n), rng.uniform(0.25, 2.0, n)


Sample = tuple[Fraction, Fraction, Fraction]  # probability, whether it came true, weight


def exact(p: Any, y: Any, w: Any) -> list[Sample]:
    return [(Fraction(float(a)), Fraction(int(b)), Fraction(float(c)))
            for a, b, c in zip(p, y, w, strict=True)]  # fmt: skip


def binned(samples: Sequence[Sample], bins: int) -> list[list[Sample]]:
    """Return the samples of every bin of equal width; the k-th is above (k - 1) / bins."""
    of = lambda p: max(math.ceil(p * bins) - 1, 0)  # noqa: E731
    return [[s for s in samples if of(s[0]) == k] for k in range(bins)]


def sums(samples: Sequence[Sample]) -> tuple[Fraction, Fraction, Fraction]:
    """Return the weight, and the weighted sums of probabilities and of what came true."""
    total = lambda terms: sum(terms, Fraction(0))  # noqa: E731
    return (total(w for _, _, w in samples), total(w * p for p, _, w in samples),
            total(w * y for _, y, w in samples))  # fmt: skip


def calibration_error(samples: Sequence[Sample], bins: int, norm: str = "l1") -> Any:
    """The definition, bin by bin."""
    whole = sums(samples)[0]
    parts = [(n / whole, abs(y - p) / n) for n, p, y in map(sums, binned(samples, bins)) if n]
    if norm == "max":
        return max(gap for _, gap in parts)
    if norm == "l2":
        square = sum(share * gap**2 for share, gap in parts)
        return mpmath.sqrt(mpf(square.numerator) / square.denominator)
    return sum(share * gap for share, gap in parts)


def adaptive_error(samples: Sequence[Sample], bins: int) -> Fraction:
    """The definition: samples of one probability become one, and each bin takes its part of them."""
    whole, width = sums(samples)[0], sums(samples)[0] / bins
    gaps, start = [Fraction(0)] * bins, Fraction(0)
    for p in sorted({p for p, _, _ in samples}):
        weight, sure, true = sums([s for s in samples if s[0] == p])
        for k in range(bins):
            low, high = max(start, k * width), min(start + weight, (k + 1) * width)
            if high > low:
                gaps[k] += (true - sure) * (high - low) / weight
        start += weight
    return sum(map(abs, gaps)) / whole


def of_class(p: Any, y: Any, w: Any, k: int) -> list[Sample]:
    return exact(p[:, k], y == k, w)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_expected_calibration_error(norm: str) -> None:
    """Random samples of three classes, and the probabilities of one of them."""
    rng = np.random.default_rng(1)
    for _ in range(60):
        p, y, w = draw(rng, int(rng.integers(1, 30)))
        bins = int(rng.integers(1, 12))
        metric, binary = (kind(bins, norm) for kind in
                          (il.ExpectedCalibrationError, il.BinaryExpectedCalibrationError))  # fmt: skip
        best = np.argmax(p, axis=-1)
        for weights in (None, w):
            ones = np.ones(len(y)) if weights is None else weights
            want = calibration_error(exact(np.max(p, axis=-1), y == best, ones), bins, norm)
            near(metric(p, y, weights=weights), want, size=1.0)
            want = calibration_error(of_class(p, y, ones, 1), bins, norm)
            near(binary(p[:, 1], y == 1, weights=weights), want, size=1.0)


def test_classwise_and_adaptive() -> None:
    """The error of every class's probability, in bins of equal width and of equal weight."""
    rng = np.random.default_rng(2)
    for _ in range(60):
        p, y, w = draw(rng, int(rng.integers(1, 25)))
        bins = int(rng.integers(1, 9))
        for weights in (None, w):
            ones = np.ones(len(y)) if weights is None else weights
            classes = [of_class(p, y, ones, k) for k in range(3)]
            want = sum(calibration_error(c, bins) for c in classes) / 3
            near(il.ClasswiseCalibrationError(bins)(p, y, weights=weights), want, size=1.0)
            want = sum(adaptive_error(c, bins) for c in classes) / 3
            near(il.AdaptiveCalibrationError(bins)(p, y, weights=weights), want, 16, size=1.0)
            want = adaptive_error(classes[1], bins)
            one = il.BinaryAdaptiveCalibrationError(bins)
            near(one(p[:, 1], y == 1, weights=weights), want, 16, size=1.0)


def test_adaptive_as_published() -> None:
    """Of different probabilities whose number the bins divide: means of consecutive ones."""
    rng = np.random.default_rng(3)
    p, y = rng.permutation(np.arange(1, 25) / 32), rng.integers(0, 2, 24)
    order = np.argsort(p)
    parts = zip(np.split(p[order], 6), np.split(y[order], 6), strict=True)
    want = np.mean([abs(a.mean() - b.mean()) for a, b in parts])
    near(il.BinaryAdaptiveCalibrationError(bins=6)(p, y), want)


def test_adaptive_does_not_depend_on_the_order_of_ties() -> None:
    """Equal probabilities on both sides of an edge share their labels, however they are ordered."""
    metric = il.BinaryAdaptiveCalibrationError(bins=2)
    p = [0.25, 0.5, 0.5, 0.75]
    # half of the labels of 0.5 on each side: |(0 + 1/2)/2 - 3/8| and |(1/2 + 1)/2 - 5/8|
    assert metric(p, [0, 0, 1, 1]) == metric(p, [0, 1, 0, 1]) == 0.125


def test_more_bins_than_samples() -> None:
    """Bins of equal weight may lie within one sample; each sample is then alone in its bins."""
    p, y = np.array([0.25, 0.5, 0.875]), np.array([0, 1, 1])
    near(il.BinaryAdaptiveCalibrationError(bins=9)(p, y), np.mean(abs(y - p)))
    near(il.BinaryAdaptiveCalibrationError(bins=1)(p, y), abs(np.mean(y - p)))


def test_a_row_of_nan(backend: Backend) -> None:
    """A row that holds nothing but nan is nan, and the row beside it is what it is alone."""
    if backend.compiles:
        pytest.skip("JAX would compile for seconds; test_correlation.py has the same of ranks")
    nan = math.nan
    p = backend.array([[nan] * 4, [0.125, 0.25, 0.375, 0.5]], "float32")
    y = backend.array([[0, 1, 0, 1], [1, 0, 1, 0]], "int32")
    want = [nan, (0.875 + 0.25 + 0.625 + 0.5) / 4]  # each bin holds one sample
    close(il.BinaryAdaptiveCalibrationError(bins=4)(p, y, axis=-1), want, 0)
    both = backend.xp.stack([1 - p, p], axis=-1)
    # the gaps of the other label are minus these
    close(il.AdaptiveCalibrationError(bins=4)(both, y, axis=-1), want, 0)


def test_edges(backend: Backend) -> None:
    """A probability at an edge is in the bin below, in the dtype that it is written in."""
    tenths = [k / 10 for k in range(1, 11)]
    labels = [0, 1] * 5
    for dtype in ("float32", "float64"):
        if dtype in backend.dtypes:
            p, y = backend.array(tenths, dtype), backend.array(labels, dtype)
            number, _, true = backend.numbers(il.BinaryReliabilityDiagram(bins=10)(p, y))
            assert number == [1.0] * 10
            assert true == labels
    p, y = backend.array([0.0, 1.0], "float32"), backend.array([0.0, 0.0], "float32")
    number, _, _ = backend.numbers(il.BinaryReliabilityDiagram(bins=3)(p, y))
    assert number == [1.0, 0.0, 1.0]


def test_reliability_diagram() -> None:
    """Weight, mean probability and share of each bin, also by column; an empty bin is nan."""
    rng = np.random.default_rng(4)
    for _ in range(30):
        p, y, w = draw(rng, int(rng.integers(1, 30)))
        best = np.argmax(p, axis=-1)
        for diagram, samples in (
            (il.ReliabilityDiagram(5)(p, y, weights=w), exact(np.max(p, axis=-1), y == best, w)),
            (il.BinaryReliabilityDiagram(5)(p[:, 1], y == 1, weights=w), of_class(p, y, w, 1)),
        ):
            parts = map(sums, binned(samples, 5))
            rows = [(n, a / n, b / n) if n else (0, np.nan, np.nan) for n, a, b in parts]
            near(diagram, np.array(rows, object).T)
    p, y, _ = draw(rng, 12)
    columns = il.BinaryReliabilityDiagram(4)(p[:, :2], np.stack([y == 0, y == 1], axis=-1), axis=0)
    assert columns.shape == (2, 3, 4)
    for k in range(2):
        near(columns[k], il.BinaryReliabilityDiagram(4)(p[:, k], y == k), 0)


def test_scikit_learn() -> None:
    """Random curves are those of scikit-learn, which leaves empty bins out."""
    rng = np.random.default_rng(5)
    for _ in range(400):
        n, bins = int(rng.integers(2, 40)), int(rng.integers(1, 12))
        p, y = rng.uniform(size=n), rng.integers(0, 2, n)
        y[:2] = 0, 1
        true, sure = calibration_curve(y, p, n_bins=bins)
        number, confidence, accuracy = il.BinaryReliabilityDiagram(bins)(p, y)
        near(confidence[number > 0], sure)
        near(accuracy[number > 0], true)


# --- scores taken apart ---------------------------------------------------------------------------


def test_brier_decomposition() -> None:
    """The three parts, in fractions."""
    rng = np.random.default_rng(6)
    for _ in range(60):
        p, y, w = draw(rng, int(rng.integers(2, 30)))
        samples = of_class(p, y, w, 1)
        whole, _, true = sums(samples)
        parts = [(n, a / n, b / n) for n, a, b in map(sums, binned(samples, 6)) if n]
        base = true / whole
        want = [sum(n * (a - b) ** 2 for n, a, b in parts) / whole,
                sum(n * (b - base) ** 2 for n, a, b in parts) / whole, base * (1 - base)]  # fmt: skip
        near(il.BrierDecomposition(6)(p[:, 1], y == 1, weights=w), want, 16, size=0.05)


def divergence(p: mpf, q: mpf) -> mpf:
    """The Kullback-Leibler divergence of one coin from another."""
    terms = ((a, b) for a, b in ((p, q), (1 - p, 1 - q)) if a)
    return mpmath.fsum(a * mpmath.log(a / b) if b else mpmath.inf for a, b in terms)


def log_loss_parts(samples: Sequence[Sample], bins: int) -> list[mpf]:
    number = lambda x: mpf(x.numerator) / x.denominator  # noqa: E731
    whole, _, true = map(number, sums(samples))
    parts = [
        tuple(map(number, (n, a / n, b / n))) for n, a, b in map(sums, binned(samples, bins)) if n
    ]
    base = true / whole
    return [mpmath.fsum(n * divergence(b, a) for n, a, b in parts) / whole,
            mpmath.fsum(n * divergence(b, base) for n, a, b in parts) / whole,
            -mpmath.fsum(x * mpmath.log(x) for x in (base, 1 - base) if x)]  # fmt: skip


def test_log_loss_decomposition() -> None:
    """The three parts, at high precision."""
    rng = np.random.default_rng(7)
    with mpmath.workdps(50):
        for _ in range(60):
            p, y, w = draw(rng, int(rng.integers(2, 30)))
            want = log_loss_parts(of_class(p, y, w, 1), 6)
            near(il.LogLossDecomposition(6)(p[:, 1], y == 1, weights=w), want, 16, size=0.05)


@pytest.mark.parametrize("gap", [1e-4, 1e-7, 1e-9])
def test_nearly_reliable(gap: float) -> None:
    """Divergences that are the square of a small gap keep their digits; so do rare events."""
    p, y = np.array([0.25 + gap] * 4 + [0.75 - gap] * 4), np.array([1, 0, 0, 0, 1, 1, 1, 0])
    with mpmath.workdps(60):
        want = log_loss_parts(exact(p, y, np.ones(8)), 10)
    parts = il.LogLossDecomposition(10)(p, y)
    # the sum of four probabilities is rounded, which the gap feels
    near(parts[0], want[0], 4 / gap)
    near(parts[1:], want[1:], 8)
    rare = np.array([1] + [0] * 99_999)
    with mpmath.workdps(50):
        _, _, uncertainty = log_loss_parts(exact(np.full(2, 0.5), [1, 0], [1, 99_999]), 10)
    near(il.LogLossDecomposition(10)(np.full(100_000, 0.5), rare)[2], uncertainty, 4)


@pytest.mark.parametrize(
    ("metric", "score"),
    [
        (il.BrierDecomposition(20), il.brier_score),
        (il.LogLossDecomposition(20), il.binary_cross_entropy),
    ],
    ids=["brier", "log loss"],
)
def test_parts_make_the_score(metric: il.Metric, score: il.Metric) -> None:
    """Where forecasts in a bin are equal: reliability less resolution plus uncertainty."""
    rng = np.random.default_rng(8)
    p, y = rng.integers(1, 20, 50) / 20, rng.integers(0, 2, 50).astype(float)
    reliability, resolution, uncertainty = metric(p, y)
    close(reliability - resolution + uncertainty, score(p, y), 8, 1.0)


def test_ends(backend: Backend) -> None:
    """Sure and right costs nothing, sure and wrong is infinitely unreliable; one label is no risk."""
    array = lambda x: backend.array(x, "float32")  # noqa: E731
    ends, ones = array([0.0, 1.0]), array([1.0, 1.0])
    close(il.log_loss_decomposition(ends, ends), [0.0, math.log(2), math.log(2)], 2)
    close(il.log_loss_decomposition(ends, ones), [math.inf, 0.0, 0.0], 0)
    close(il.brier_decomposition(ends, ones), [0.5, 0.0, 0.0], 0)


def test_outside() -> None:
    """A probability outside 0 to 1, a label that is none: nan, never a plausible number."""
    binary = (il.binary_expected_calibration_error, il.binary_adaptive_calibration_error,
              il.brier_decomposition, il.log_loss_decomposition)  # fmt: skip
    for metric in binary:
        for p, y in (([1.25, 0.5], [1, 0]), ([0.25, 0.5], [2, 0]), ([0.25, 0.5], [0.5, 0])):
            assert np.all(np.isnan(metric(p, y)))
            assert not np.any(np.isnan(metric(p, y, where=[False, True])))
    for metric in (il.expected_calibration_error, il.classwise_calibration_error,
                   il.adaptive_calibration_error):  # fmt: skip
        for p, y in (([[1.5, 0.0], [0.5, 0.5]], [1, 0]), ([[0.5, 0.5], [0.5, 0.5]], [2, 0])):
            assert np.isnan(metric(p, y))
            assert not np.isnan(metric(p, y, where=[False, True]))


def test_gradients() -> None:
    """Confidence is what is differentiated: each probability pulls its bin by its share."""
    p, y = np.array([0.2, 0.3, 0.7, 0.9]), [1.0, 0.0, 0.0, 0.0]
    # in two bins, means 1/4 and 8/10 against 1/2 and 0
    want = [-0.25, -0.25, 0.25, 0.25]
    for metric in (il.BinaryExpectedCalibrationError(2), il.BinaryAdaptiveCalibrationError(2)):
        close(il.gradient(metric, p, y), want, 4)
