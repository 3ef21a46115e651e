"""Forecasting: scaled errors of series, skill over a reference, and what is explained of a deviance."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import mpmath
import numpy as np
import pytest
import sklearn.metrics

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import close
from conformance.kit.drawing import spoiled, wide

mpf = mpmath.mpf


def numbers(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    """Draw forecasts, and what was observed and a reference."""
    f, y, r = rng.normal(1.0, 1.0, (3, n)).astype("float32")
    return f, (y, r)


# --- scaled errors --------------------------------------------------------------------------------


def test_by_hand() -> None:
    """Small series, counted by hand."""
    future, training = [[5.0, 7.0]], [[2.0, 3.0, 1.0, 4.0]]
    # errors 1 and 2; naive errors 1, 2, 3
    assert il.mase([[6.0, 5.0]], (future, training)) == 0.75
    close(il.rmsse([[6.0, 5.0]], (future, training)), math.sqrt((5 / 2) / (14 / 3)), 1)
    # seasonal naive errors -1, 1
    assert il.MeanAbsoluteScaledError(season=2)([[6.0, 5.0]], (future, training)) == 1.5
    # one series of the mean error, whatever the other's units
    both = [[[6.0, 5.0], [600.0, 500.0]], ([[5.0, 7.0], [500.0, 700.0]], [[2.0, 3.0, 1.0, 4.0],
            [200.0, 300.0, 100.0, 400.0]])]  # fmt: skip
    close(il.mase(*both), 0.75, 1)
    assert il.mase(*both, reduction="none").tolist() == [0.75, 0.75]


def test_the_naive_forecast_has_error_one() -> None:
    """In its own training series, the seasonal naive forecast has a scaled error of 1."""
    z = np.random.default_rng(3).normal(size=(4, 10))
    for season in (1, 4):
        for metric in (il.MeanAbsoluteScaledError(season), il.RootMeanSquaredScaledError(season)):
            close(metric(z[:, :-season], (z[:, season:], z)), 1.0, 4)


def test_overall_weighted_average() -> None:
    """Both errors are means over all series before they are divided, as in M4."""
    rng = np.random.default_rng(4)
    f, y, r = rng.normal(2.0, 1.0, (3, 9, 3))
    z = rng.normal(2.0, 1.0, (9, 7))
    w = rng.integers(1, 5, 9)

    def mean(forecast: Any) -> list[Fraction]:
        exact = np.vectorize(Fraction, otypes=[object])
        error = abs(exact(forecast) - exact(y))
        size = abs(exact(forecast)) + abs(exact(y))
        scale = abs(exact(z[:, 1:]) - exact(z[:, :-1])).sum(axis=-1) / 6
        rows = (2 * error / size).sum(axis=-1) / 3, error.sum(axis=-1) / 3 / scale
        return [(w * row).sum() / int(w.sum()) for row in rows]

    (a, b), (c, d) = mean(f), mean(r)
    close(il.owa(f, (y, z, r), weights=w), float((a / c + b / d) / 2), 4)
    assert il.owa(r, (y, z, r)) == 1
    assert il.owa(y, (y, z, r)) == 0
    zero = np.zeros((2, 3))  # 0 / 0 is 0 in each error, not in their ratio
    assert np.isnan(il.owa(zero, (zero, z[:2], zero)))


@pytest.mark.parametrize("metric", [il.mase, il.rmsse], ids=repr)
def test_a_training_series_without_scale(backend: Backend, metric: il.Loss) -> None:
    """It makes its own series nan; masked, it reaches neither the value nor the gradient."""
    array = lambda x: backend.array(x, "float32")  # noqa: E731
    f, y = array([[1.0, 2.0], [1.0, 2.0]]), array([[2.0, 2.0], [1.0, 2.0]])
    z = array([[5.0, 5.0, 5.0], [1.0, 2.0, 3.0]])

    def results(f: Any, t: Any, where: Any) -> Any:
        masked = il.value_and_gradient(metric, f, t, where=where)
        return metric(f, t), metric(f, t, reduction="none"), masked, il.gradient(metric, f, t)

    where = backend.xp.asarray([False, True])
    mean, each, (value, slope), whole = backend.compiled(results)(f, (y, z), where)
    close(mean, np.nan, 0)
    close(each, np.array([np.nan, 0.0]), 0)
    close(value, 0.0, 0)
    close(slope, np.zeros((2, 2)), 0)
    assert np.isfinite(np.asarray(backend.numbers(whole))).all()


@pytest.mark.parametrize(
    "metric", [il.MeanAbsoluteScaledError(4), il.RootMeanSquaredScaledError(4)], ids=repr
)
def test_a_training_series_that_is_too_short(metric: il.Loss) -> None:
    """There is no season in it to compare with: the error says how many values are needed."""
    with pytest.raises(ValueError, match="training has 4 values; a season of 4 needs at least 5"):
        metric([[1.0, 2.0]], ([[1.0, 2.0]], [[1.0, 2.0, 3.0, 4.0]]))
    with pytest.raises(ValueError, match="training has 1 value; a season of 4 needs at least 5"):
        metric([[1.0, 2.0]], ([[1.0, 2.0]], [[1.0]]))


def test_series_of_different_lengths() -> None:
    """Each has a state of its own, and the states merge to the mean over all."""
    rng = np.random.default_rng(5)
    states, values = [], []
    for length in (4, 9, 6):
        f, y, z = rng.normal(size=(1, 2)), rng.normal(size=(1, 2)), rng.normal(size=(1, length))
        states.append(il.mase.summary(f, (y, z)))
        values.append(il.mase(f, (y, z)))
    merged = functools.reduce(lambda a, b: a.merge(b), states)
    close(il.mase.compute(merged), np.mean(values), 2)


@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_squares_out_of_range(size: float) -> None:
    """Squares of float32 over- and underflow; the errors and the scale do not."""
    f, y, z = (np.float32([[size * a for a in x]]) for x in ([3, 1], [0, 5], [0, 3, 7]))
    value, slope = il.value_and_gradient(il.rmsse, f, (y, z))
    close(value, 1.0, 4)
    close(slope * np.float32(size), np.array([[0.12, -0.16]]), 8)


# --- skill scores ---------------------------------------------------------------------------------


def test_skill_scores() -> None:
    """One minus a ratio of two values; the reference has skill 0, a perfect forecast 1."""
    f, (y, r) = numbers(np.random.default_rng(6), 9)
    for metric in (
        il.mse,
        il.rmse,
        il.mae,
        il.wape,
        il.median_absolute_error,
        il.Scaled(il.mse, 3.0),
    ):
        skill = il.SkillScore(metric)
        close(skill(f, (y, r)), 1 - float(metric(f, y)) / float(metric(r, y)), 2, 4)
        assert skill(r, (y, r)) == 0
        assert skill(y, (y, r)) == 1
        assert np.isnan(skill(f, (y, y)))
        assert skill.greater_is_better
    assert il.SkillScore(il.mse).kind == "sums"
    assert il.SkillScore(il.median_absolute_error).kind == "sorted whole"
    assert il.SkillScore(il.mse).signature == "(),((),())->()"


def test_skill_of_the_mean_is_r2() -> None:
    """Murphy (1988): over the mean of what was observed, the skill of the squared error is R2."""
    f, (y, _) = numbers(np.random.default_rng(7), 20)
    y = np.float64(y)
    mean = np.full_like(y, y.mean())
    close(il.SkillScore(il.mse)(f, (y, mean)), il.r2_score(f, y), 4, 4)


@dataclass(frozen=True)
class Standardised(il.Loss):
    """A user's own loss: predictions of two arrays, and targets that decide which samples count."""

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("location", "scale")

    @property
    def domain(self) -> il.Domain:
        return il.Domain((il.Interval(), il.Interval(low=0.0, low_open=True)))

    def included(self, xp: Any, target: Any) -> Any:
        return target > 0

    def importance(self, xp: Any, target: Any) -> Any:
        return target

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        location, scale = prediction
        return xp.abs(target - location) / scale + xp.log1p(scale)


def test_skill_of_several_arrays() -> None:
    """The reference's arrays follow the targets one by one; what targets decide they decide still."""
    metric, rng = Standardised(), np.random.default_rng(8)
    forecast, reference = (tuple(rng.uniform(1.0, 2.0, (2, 9))) for _ in range(2))
    y = rng.normal(size=9)
    skill = il.SkillScore(metric)
    assert skill.target_names == ("targets", "reference_location", "reference_scale")
    assert skill.signature == "((),()),((),(),())->()"
    value, slopes = il.value_and_gradient(skill, forecast, (y, *reference))
    close(value, 1 - metric(forecast, y) / metric(reference, y), 4, 4)
    for slope, own in zip(slopes, il.gradient(metric, forecast, y), strict=True):
        close(slope, -own / metric(reference, y), 8, np.max(np.abs(own)))
    with pytest.raises(TypeError, match=r"targets must be a tuple \(targets, reference_location, "):
        skill(forecast, y)


@dataclass(frozen=True)
class Listwise(il.Loss):
    """A user's own loss of lists, whose items may be left out."""

    signature: ClassVar[str] = "(items),(items)->()"
    padding: ClassVar[tuple[float, float] | None] = (0.0, 0.0)

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        return xp.sum(xp.abs(prediction - target), axis=-1)


def test_skill_of_lists() -> None:
    """Items that are left out are left out of the reference too."""
    f, y, r = np.random.default_rng(9).normal(size=(3, 4, 5))
    m = np.arange(5) < np.array([[5], [2], [3], [1]])
    found = il.SkillScore(Listwise())(spoiled(f, ~m, np.nan), spoiled((y, r), ~m, np.nan), where=m)
    errors = [np.sum(abs(x - y) * m) for x in (f, r)]
    close(found, 1 - errors[0] / errors[1], 4, 4)


def test_skill_needs_an_error() -> None:
    """A score, of which more is better, has no such ratio."""
    with pytest.raises(
        ValueError, match="metric must be an error, which is 0 for a perfect forecast"
    ):
        il.SkillScore(il.r2_score)
    with pytest.raises(TypeError, match="metric must be a metric such as"):
        il.SkillScore(0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="denominator= divides a mean, and this metric is not one"):
        il.SkillScore(il.mse)([1.0], ([1.0], [2.0]), denominator=2.0)
    with pytest.raises(ValueError, match="needs one term per sample"):
        il.SkillScore(il.mse)([1.0], ([1.0], [2.0]), reduction="none")


def test_skills_share_their_states() -> None:
    """Skills of metrics that share a state share it too, and evaluate gives what calls give."""
    metrics = {"mse": il.SkillScore(il.mse), "rmse": il.SkillScore(il.rmse),
               "half": il.SkillScore(il.half_squared_error), "mae": il.SkillScore(il.mae)}  # fmt: skip
    f, t = numbers(np.random.default_rng(10), 9)
    found = il.evaluate(metrics, f, t)
    for name, metric in metrics.items():
        close(found[name], metric(f, t), 1, 1)
    assert metrics["mse"].source == metrics["half"].source != metrics["mae"].source


# --- hydrology ------------------------------------------------------------------------------------


def test_nash_sutcliffe() -> None:
    """It is the coefficient of determination, from the same state."""
    f, (y, _) = numbers(np.random.default_rng(11), 20)
    assert il.nash_sutcliffe(f, y) == il.r2_score(f, y)
    assert il.nash_sutcliffe.source == il.r2_score.source


def kling_gupta(f: Any, y: Any, w: Any, version: int) -> mpf:
    f, y, w = ([mpf(float(x)) for x in one] for one in (f, y, w))
    mean = lambda x: mpmath.fdot(w, x) / mpmath.fsum(w)  # noqa: E731
    a, b = mean(f), mean(y)
    cov = lambda x, u, z, v: mean([(p - u) * (q - v) for p, q in zip(x, z, strict=True)])  # noqa: E731
    s, t = mpmath.sqrt(cov(f, a, f, a)), mpmath.sqrt(cov(y, b, y, b))
    varied = s / t if version == 2009 else (s / a) / (t / b)
    return 1 - mpmath.sqrt(
        (cov(f, a, y, b) / (s * t) - 1) ** 2 + (varied - 1) ** 2 + (a / b - 1) ** 2
    )


@pytest.mark.parametrize("version", [2009, 2012])
def test_kling_gupta(version: int) -> None:
    """Both definitions, at high precision; weighted; of one unit or another."""
    rng = np.random.default_rng(12)
    metric = il.KlingGupta(version)
    for n in (2, 5, 30):
        f, y, w = rng.gamma(2.0, size=(3, n))
        with mpmath.workdps(40):
            close(metric(f, y, weights=w), float(kling_gupta(f, y, w, version)), 16, 4)
        close(metric(2.0**500 * f, 2.0**500 * y), metric(f, y), 4, 4)


def test_kling_gupta_at_its_ends(backend: Backend) -> None:
    """1 and no slope for what was observed; nan where correlation or a ratio of means is none."""
    y, same = [1.0, 2.0, 4.0], [2.0, 2.0, 2.0]
    pairs = ((y, y), (same, y), (y, same), (y, [-1.0, 0.0, 1.0]), ([2.0, 4.0, 8.0], y))
    f, t = (backend.array(np.transpose(x).tolist(), "float32") for x in zip(*pairs, strict=True))

    def results(f: Any, t: Any, observed: Any) -> Any:
        metrics = [il.KlingGupta(version) for version in (2009, 2012)]
        slopes = [il.gradient(metric, observed, observed) for metric in metrics]
        return [metric(f, t, axis=0) for metric in metrics], slopes

    values, slopes = backend.compiled(results)(f, t, backend.array(y, "float32"))
    # twice what was observed: r = 1, variability and bias 2; the variation is as it was
    for value, twice in zip(values, (1 - math.sqrt(2), 0.0), strict=True):
        close(value, np.array([1.0, np.nan, np.nan, np.nan, twice]), 4, 2)
        assert backend.numbers(value)[0] == 1
    for slope in slopes:
        assert backend.numbers(slope) == [0.0] * 3
    with pytest.raises(ValueError, match="version must be one of 2009, 2012, not 2010"):
        il.KlingGupta(2010)


# --- what is explained of a deviance --------------------------------------------------------------

POWERS = (0, 1, 1.5, 2, 3, -1.0)


def positive(rng: np.random.Generator, power: float, n: int) -> tuple[Any, Any, Any]:
    """Draw means, targets of a Tweedie distribution's domain, and weights."""
    f, y, w = rng.gamma(2.0, size=(3, n)) + 0.1
    if power == 0:
        f -= 2
        y -= 2
    elif 1 <= power < 2:
        y *= rng.random(n) < 0.7
    elif power < 0:
        y -= 0.5
    return f, y, w


@pytest.mark.parametrize("power", POWERS)
def test_d2_tweedie_is_that_of_scikit_learn(power: float) -> None:
    """A hundred random cases, weighted and not."""
    rng, metric = np.random.default_rng(13), il.D2Tweedie(power)
    for _ in range(100):
        f, y, w = positive(rng, power, int(rng.integers(6, 30)))
        for weights in (None, w):
            if np.ptp(y) and np.average(y, weights=weights) > 0:
                want = sklearn.metrics.d2_tweedie_score(y, f, sample_weight=weights, power=power)
                close(metric(f, y, weights=weights), want, 128, 4)


def deviance(y: mpf, mean: mpf, power: float) -> mpf:
    """The unit deviance, from its integral: 2 times that of (y - m) / m^power, from the mean to y."""
    if not y:
        return 2 * mean ** (2 - mpf(power)) / (2 - mpf(power))
    return -2 * mpmath.quad(lambda m: (m - y) / m ** mpf(power), [mean, y])


@pytest.mark.parametrize("power", [1, 1.5, 2, 3])
@pytest.mark.parametrize("spread", [1e-3, 1e-7, 1e-10])
def test_d2_of_nearly_equal_targets(power: float, spread: float) -> None:
    """The deviance of the mean is not a difference of sums, of batches neither."""
    rng, metric = np.random.default_rng(14), il.D2Tweedie(power)
    y = 1000 * (1 + spread * rng.normal(size=12))
    f = 1000 * (1 + spread * rng.normal(size=12))
    with mpmath.workdps(60):
        exact = [mpf(x) for x in y.tolist()]
        mean = mpmath.fsum(exact) / 12
        best = mpmath.fsum(deviance(x, mean, power) for x in exact)
        of_f = mpmath.fsum(
            deviance(x, mpf(m), power) for x, m in zip(exact, f.tolist(), strict=True)
        )
        want = 1 - of_f / best
    close(metric(f, y), float(want), 16, 4)
    states = [metric.summary(f[a:b], y[a:b]) for a, b in ((0, 1), (1, 1), (1, 5), (5, 12))]
    for order in itertools.permutations(states):
        merged = functools.reduce(lambda a, b: a.merge(b), order)
        close(metric.compute(merged), float(want), 32, 4)


@pytest.mark.parametrize("power", POWERS)
def test_d2_of_batches(power: float) -> None:
    """Batches merge to the whole, though a batch may have no positive target."""
    rng, metric = np.random.default_rng(15), il.D2Tweedie(power)
    f, y, _ = (x.astype("float32") for x in positive(rng, power, 12))
    y[:4] = np.abs(y[:4])
    if power < 2:
        y[:4] *= 0 if power >= 1 else -0.25
    if power < 0:
        y[0] = 0.5
        assert y[:4].mean() < 0  # in a batch with a positive target
    want = metric(*wide(f, y))
    parts = [
        metric.summary(f[s], y[s]) for s in (slice(0, 4), slice(4, 5), slice(5, 5), slice(5, 12))
    ]
    for order in (parts, parts[::-1], [parts[2], parts[1], parts[3], parts[0]]):
        merged = functools.reduce(lambda a, b: a.merge(b), order)
        close(metric.compute(merged), want, 16, 4)


def test_d2_outside_its_domain() -> None:
    """What a distribution cannot give is nan, and so are constant targets and a mean of nothing."""
    for power, f, y in ((1, [1.0, 0.0], [1.0, 2.0]), (1, [1.0, 2.0], [1.0, -2.0]), (2, [1.0, 2.0], [0.0, 1.0]),
                        (1, [1.0, 2.0], [3.0, 3.0]), (1.5, [1.0, 2.0], [0.0, 0.0]), (0, [1.0, 2.0], [0.1, 0.1]),
                        (-1.0, [1.0, 2.0], [-1.0, 0.5]), (3, [1.0, 2.0], [0.1, 0.1])):  # fmt: skip
        assert np.isnan(il.D2Tweedie(power)(f, y)), (power, f, y)


def pinball(short: Any, quantile: float) -> Any:
    return np.maximum(quantile * short, (quantile - 1) * short)


@pytest.mark.parametrize("quantile", [0.5, 0.1, 0.75])
def test_d2_pinball_is_that_of_scikit_learn(quantile: float) -> None:
    """A hundred random cases with weights, ties included; the reference is the best constant."""
    rng, metric = np.random.default_rng(16), il.D2Pinball(quantile)
    for _ in range(100):
        n = int(rng.integers(2, 30))
        f, y, w = rng.normal(size=n), rng.normal(size=n), rng.uniform(0.25, 2.0, n)
        if rng.random() < 0.5:
            y = np.round(y)
        if np.ptp(y) == 0:
            continue
        for weights in (w, None):
            want = sklearn.metrics.d2_pinball_score(y, f, sample_weight=weights, alpha=quantile)
            losses = [
                np.average(pinball(y - c, quantile), weights=weights) for c in (f, *y[:, None])
            ]
            close(metric(f, y, weights=weights), 1 - losses[0] / min(losses[1:]), 64, 4)
            close(metric(f, y, weights=weights), want, 128, 4)
        if quantile == 0.5:
            close(metric(f, y), sklearn.metrics.d2_absolute_error_score(y, f), 64, 4)
            close(metric(f, y), 1 - np.mean(abs(f - y)) / np.mean(abs(y - np.median(y))), 64, 4)


def test_d2_pinball_gradient(backend: Backend) -> None:
    """It is that of the pinball loss; where a forecast is right, the average of both sides."""
    y = backend.array([0.0, 1.0, 2.0, 5.0], "float32")
    f = backend.array([1.0, 1.0, 1.0, 1.0], "float32")
    # the best constants are from 1 to 2, with a loss of 6 halves
    want = np.array([-1 / 6, 0.0, 1 / 6, 1 / 6])
    for mode in backend.modes:
        close(backend.gradient(mode, il.d2_absolute_error_score, f, y), want, 4)


@pytest.mark.parametrize(
    ("metric", "other"),
    [
        (il.d2_log_loss_score, sklearn.metrics.d2_log_loss_score),
        (il.d2_brier_score, getattr(sklearn.metrics, "d2_brier_score", None)),
    ],
    ids=["log loss", "brier"],
)
def test_d2_of_labels(metric: il.Metric, other: Any) -> None:
    """A hundred random cases are what scikit-learn answers, where it has the function."""
    if other is None:
        pytest.skip("scikit-learn has it from 1.8 on")
    rng = np.random.default_rng(17)
    for _ in range(100):
        n, classes = int(rng.integers(3, 30)), int(rng.integers(2, 5))
        p, w = rng.uniform(0.05, 1.0, (n, classes)), rng.uniform(0.25, 2.0, n)
        p /= p.sum(axis=-1, keepdims=True)
        y = rng.integers(0, classes, n)
        y[:2] = 0, 1
        for weights in (None, w):
            want = other(y, p, sample_weight=weights, labels=np.arange(classes))
            close(metric(p, y, weights=weights), want, 64, 4)


def test_d2_of_labels_at_the_ends(backend: Backend) -> None:
    """Certain and right is 1, certain and wrong -inf; one class, with nothing to explain, is nan."""
    sure = [[[1.0, 0.0]] * 4, [[0.0, 1.0]] * 4]  # two samples, of four problems
    p, y = backend.array(sure, "float32"), backend.array([[0, 1, 0, 0], [1, 0, 0, 2]], "int32")
    metrics = il.d2_log_loss_score, il.d2_brier_score
    scores = backend.compiled(lambda p, y: [metric(p, y, axis=0) for metric in metrics])(p, y)
    for score, wrong in zip(scores, (-math.inf, -3.0), strict=True):
        close(score, np.array([1.0, wrong, np.nan, np.nan]), 0)
