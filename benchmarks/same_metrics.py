"""What scikit-learn or SciPy has too, on NumPy: half of their time at 1e3 samples, theirs at 1e6."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ratios import Case

import isoloss as il

GROUP = "Same metrics"
SIZES = {1_000: 0.5, 1_000_000: 1.0}  # and the most that the ratio may be
CLASSES = 10
Row = tuple[str, str, Callable[[], Any], Callable[[], Any]]


def same_metrics(sizes: dict[int, float] | None = None) -> Iterator[Case]:
    """Yield a row for each metric and size."""
    warnings.simplefilter("ignore")  # some peers warn at every call, which is not what is timed
    for size, target in (sizes or SIZES).items():
        for rows in (regression, binary, multiclass, ranking, order, distributions, vectors):
            for name, peer, ours, theirs in rows(size):
                yield Case(GROUP, name, size, peer, target, ours, theirs)


def groups() -> Iterator[Case]:
    """Yield a row for each number of groups: the values of all, against numbering their names."""
    import pandas as pd

    rng = np.random.default_rng(7)
    p, t = rng.normal(size=(2, 1_000_000))
    for number in (5, 1_000):
        names = np.array([f"group {k}" for k in range(number)])[rng.integers(0, number, p.size)]
        for kind, given in (("array", names), ("objects", names.astype(object))):
            ours = functools.partial(il.evaluate, [il.mse], p, t, groups=given)
            theirs = functools.partial(pd.factorize, given)
            work = f"evaluate of {number:,} groups by name, {kind}"
            yield Case("Groups", work, p.size, "pandas.factorize", 3, ours, theirs)


def _sklearn(metric: Any, name: str, p: Any, t: Any, /, **options: Any) -> Row:
    from sklearn import metrics

    peer = functools.partial(getattr(metrics, name), t, p, **options)
    kind = "".join(f", {key} {value}" for key, value in options.items() if key in SHOWN)
    return f"{name}{kind}", "scikit-learn", functools.partial(metric, p, t), peer


SHOWN = ("power", "alpha", "average", "beta", "k")


def regression(size: int) -> Iterator[Row]:
    """Means, moments and medians of numbers."""
    rng = np.random.default_rng(0)
    t = rng.normal(size=size)
    p = t + rng.normal(size=size)
    for name in ("mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "r2_score",
                 "explained_variance_score", "median_absolute_error", "max_error",
                 "mean_absolute_percentage_error", "d2_absolute_error_score"):  # fmt: skip
        yield _sklearn(getattr(il, name), name, p, t)
    for alpha in (0.5, 0.9):
        yield _sklearn(il.Pinball(quantile=alpha), "mean_pinball_loss", p, t, alpha=alpha)
        yield _sklearn(il.D2Pinball(quantile=alpha), "d2_pinball_score", p, t, alpha=alpha)
    yield _sklearn(il.TweedieDeviance(power=0), "mean_tweedie_deviance", p, t, power=0)
    y, q = rng.gamma(2.0, size=size) + 0.01, rng.gamma(2.0, size=size) + 0.01
    yield _sklearn(il.mean_squared_log_error, "mean_squared_log_error", q, y)
    yield _sklearn(il.root_mean_squared_log_error, "root_mean_squared_log_error", q, y)
    for name in ("poisson", "gamma"):
        yield _sklearn(getattr(il, f"{name}_deviance"), f"mean_{name}_deviance", q, y)
    counts = rng.poisson(1.0, size).astype(float)
    yield _sklearn(il.poisson_deviance, "mean_poisson_deviance", q, counts)
    for power in (-1.0, 1, 1.5, 2, 3):
        metric = il.TweedieDeviance(power=power)
        yield _sklearn(metric, "mean_tweedie_deviance", q, y, power=power)
        if power >= 1:
            metric = il.D2Tweedie(power=power)
            yield _sklearn(metric, "d2_tweedie_score", q, y, power=power)

    def log_cosh(p: Any, t: Any) -> Any:
        return np.log(np.cosh(p - t)).mean()

    if size > 1_000:  # of few, a call of anything costs more than the expression
        yield "log_cosh", "the expression", lambda: il.log_cosh(p, t), lambda: log_cosh(p, t)
    from scipy import special

    yield ("huber", "SciPy", lambda: il.huber(p, t),
           lambda: special.huber(1.0, p - t).mean())  # fmt: skip
    yield ("pseudo_huber", "SciPy", lambda: il.pseudo_huber(p, t),
           lambda: special.pseudo_huber(1.0, p - t).mean())  # fmt: skip


def binary(size: int) -> Iterator[Row]:
    """Scores and labels of two classes."""
    rng = np.random.default_rng(1)
    t = rng.integers(0, 2, size)
    p = np.clip(0.5 * t + 0.5 * rng.random(size), 0.01, 0.99)
    real, score = t.astype(float), np.round(p, 3)
    both = np.stack([1 - p, p], axis=-1)
    yield ("log_loss, binary", "scikit-learn", lambda: il.binary_cross_entropy(p, t),
           _sklearn(il.log_loss, "log_loss", p, t)[3])  # fmt: skip
    yield ("log_loss, two columns", *_sklearn(il.log_loss, "log_loss", both, t)[1:])
    yield _sklearn(il.brier_score, "brier_score_loss", p, t)
    signs = 2 * t - 1
    yield _sklearn(il.hinge, "hinge_loss", p - 0.5, signs)
    for name in ("roc_auc_score", "average_precision_score"):
        yield _sklearn(getattr(il, name), name, p, real)
        yield (f"{name}, equal scores", *_sklearn(getattr(il, name), name, score, real)[1:])
        yield (f"{name}, integer labels", *_sklearn(getattr(il, name), name, p, t)[1:])
    hard = (p > 0.5).astype(int)
    yield _sklearn(il.binary_accuracy, "accuracy_score", hard, t)
    for metric, name in ((il.binary_precision, "precision_score"),
                         (il.binary_recall, "recall_score"), (il.binary_f1_score, "f1_score"),
                         (il.binary_jaccard_score, "jaccard_score")):  # fmt: skip
        yield (f"{name}, binary", *_sklearn(metric, name, hard, t)[1:])
    yield _sklearn(il.BinaryFBeta(beta=2.0), "fbeta_score", hard, t, beta=2.0)
    yield ("d2_log_loss_score, two columns",
           *_sklearn(il.d2_log_loss_score, "d2_log_loss_score", both, t)[1:])  # fmt: skip


def multiclass(size: int) -> Iterator[Row]:
    """Scores and labels of many classes."""
    rng = np.random.default_rng(2)
    t = rng.integers(0, CLASSES, size)
    p = np.where(rng.random(size) < 0.7, t, rng.integers(0, CLASSES, size))
    yield _sklearn(il.accuracy, "accuracy_score", p, t)
    yield _sklearn(il.zero_one_loss, "zero_one_loss", p, t)
    for metric, name in ((il.ConfusionMatrix, "confusion_matrix"),
                         (il.BalancedAccuracy, "balanced_accuracy_score"),
                         (il.MatthewsCorrelation, "matthews_corrcoef"),
                         (il.CohenKappa, "cohen_kappa_score")):  # fmt: skip
        yield _sklearn(metric(num_classes=CLASSES), name, p, t)
    for average in ("macro", "micro", "weighted"):
        for metric, name in ((il.Precision, "precision_score"), (il.Recall, "recall_score"),
                             (il.F1Score, "f1_score"), (il.JaccardScore, "jaccard_score")):  # fmt: skip
            ours = metric(num_classes=CLASSES, average=average)
            yield _sklearn(ours, name, p, t, average=average)
    rows = size // CLASSES
    scores = rng.dirichlet(np.ones(CLASSES), rows)
    t = rng.integers(0, CLASSES, rows)
    labels = np.arange(CLASSES)
    yield ("log_loss, 10 classes", *_sklearn(il.log_loss, "log_loss", scores, t, labels=labels)[1:])
    yield ("d2_log_loss_score, 10 classes",
           *_sklearn(il.d2_log_loss_score, "d2_log_loss_score", scores, t, labels=labels)[1:])  # fmt: skip
    yield ("brier_score_loss, 10 classes",
           *_sklearn(il.multiclass_brier_score, "brier_score_loss", scores, t, labels=labels)[1:])  # fmt: skip
    yield ("d2_brier_score, 10 classes",
           *_sklearn(il.d2_brier_score, "d2_brier_score", scores, t, labels=labels)[1:])  # fmt: skip
    yield ("hinge_loss, 10 classes",
           *_sklearn(il.multiclass_hinge, "hinge_loss", scores, t, labels=labels)[1:])  # fmt: skip
    yield _sklearn(il.TopKAccuracy(k=3), "top_k_accuracy_score", scores, t, k=3, labels=labels)
    peer = _sklearn(il.accuracy, "accuracy_score", t, t)[3].func
    yield ("accuracy_score of scores", "scikit-learn", lambda: il.accuracy(scores, t),
           lambda: peer(t, scores.argmax(-1)))  # fmt: skip


def ranking(size: int) -> Iterator[Row]:
    """Lists of items."""
    rng = np.random.default_rng(3)
    items = min(100, size // 10)
    p = rng.normal(size=(size // items, items))
    t = rng.integers(0, 4, p.shape).astype(float)
    for k in (None, 10):
        for metric, name in ((il.DCG, "dcg_score"), (il.NDCG, "ndcg_score")):
            yield _sklearn(metric(k=k, gain="linear"), name, p, t, k=k)
    real = (t > 2).astype(float)
    yield ("label_ranking_average_precision_score",
           *_sklearn(il.mean_average_precision, "label_ranking_average_precision_score", p, real)[1:])  # fmt: skip


def order(size: int) -> Iterator[Row]:
    """Correlations."""
    from scipy import stats

    rng = np.random.default_rng(4)
    t = rng.normal(size=size)
    p = t + rng.normal(size=size)
    few, some = np.round(p), np.round(t, 1)
    pairs = {"": (p, t), ", equal numbers": (few, some)}
    for kind, (x, y) in pairs.items():
        for ours, name in ((il.pearson_correlation, "pearsonr"), (il.spearman, "spearmanr"),
                           (il.kendall_tau_b, "kendalltau")):  # fmt: skip
            peer = functools.partial(getattr(stats, name), x, y)
            yield f"{name}{kind}", "SciPy", functools.partial(ours, x, y), peer


def distributions(size: int) -> Iterator[Row]:
    """Probabilities."""
    from scipy import stats
    from scipy.spatial import distance

    rng = np.random.default_rng(5)
    for classes in (10, 100):
        p, t = (x / x.sum(-1, keepdims=True) for x in rng.random((2, size // classes, classes)))
        kind = f" of {classes:,}"
        yield (f"entropy{kind}", "SciPy", functools.partial(il.kl_divergence, p, t),
               functools.partial(stats.entropy, t, p, axis=-1))  # fmt: skip
        yield (f"jensenshannon{kind}", "SciPy", functools.partial(il.jensen_shannon_divergence, p, t),
               functools.partial(distance.jensenshannon, p, t, axis=-1))  # fmt: skip
    place = np.arange(size, dtype=float)
    p, t = (x / x.sum() for x in rng.random((2, size)))
    yield ("wasserstein_distance", "SciPy", lambda: il.wasserstein_1d(p[None], t[None]),
           lambda: stats.wasserstein_distance(place, place, p, t))  # fmt: skip


def vectors(size: int) -> Iterator[Row]:
    """Distances."""
    from scipy.spatial import distance
    from sklearn.metrics import pairwise

    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(2, size))
    for name, ours in (("cosine", il.cosine_distance), ("sqeuclidean", il.mse),
                       ("cityblock", il.mae), ("chebyshev", il.max_error),
                       ("correlation", il.pearson_correlation)):  # fmt: skip
        yield (f"{name} of two vectors", "SciPy", functools.partial(ours, a, b),
               functools.partial(getattr(distance, name), a, b))  # fmt: skip
    a, b = (x.reshape(-1, 100) for x in (a, b))
    yield ("cosine distances of rows", "scikit-learn", lambda: il.cosine_distance(a, b),
           lambda: pairwise.paired_cosine_distances(a, b).mean())  # fmt: skip
