"""Scorers of scikit-learn: the values of its own, and what its tools ask of a scorer."""

from __future__ import annotations

import doctest
import importlib.util
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_linnerud, load_wine
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import BayesianRidge, LogisticRegression, Ridge
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    get_scorer,
    hinge_loss,
    make_scorer,
    mean_squared_error,
    roc_auc_score,
    top_k_accuracy_score,
)
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import isoloss as il
from isoloss import adapters
from isoloss.adapters import sklearn as adapter
from isoloss.adapters.sklearn import scorer
from isoloss.testing import assert_close_ulp

DIABETES = load_diabetes(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
NAMED = CANCER[0], np.array(["malignant", "benign"])[CANCER[1]]  # in the order of their names: 1, 0
WINE = load_wine(return_X_y=True)
SPREAD = WINE[0], np.array([30, -10, 20])[WINE[1]]  # labels that number nothing


def classifier() -> object:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01))


def weights_of(y: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, len(y)).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("metric", "name", "ulp"),
    [
        (il.mean_squared_error, "neg_mean_squared_error", 1),
        (il.mean_absolute_error, "neg_mean_absolute_error", 1),
        (il.root_mean_squared_error, "neg_root_mean_squared_error", 1),
        (il.median_absolute_error, "neg_median_absolute_error", 0),
        (il.max_error, "neg_max_error", 0),
        (il.poisson_deviance, "neg_mean_poisson_deviance", 1),
        (il.mape, "neg_mean_absolute_percentage_error", 1),
        (il.r2_score, "r2", 2),
        (
            il.explained_variance_score,
            "explained_variance",
            4,
        ),  # 2.7 from the exact one, theirs 1.3
    ],
)
def test_scores_of_regression_are_scikit_learns(
    metric: il.Metric, name: str, ulp: float, weighted: bool
) -> None:
    """A regression score is that of scikit-learn's scorer, sign included, weights too."""
    X, y = DIABETES
    model = Ridge(alpha=0.1).fit(X[::2], y[::2])
    options = {"sample_weight": weights_of(y)} if weighted and name != "neg_max_error" else {}
    ours, theirs = scorer(metric)(model, X, y, **options), get_scorer(name)(model, X, y, **options)
    assert type(ours) is float
    assert_close_ulp(np.asarray(ours), np.asarray(float(theirs)), ulp)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("data", [CANCER, NAMED], ids=["numbers", "names"])
@pytest.mark.parametrize(
    ("metric", "theirs", "ulp"),
    [
        (il.roc_auc_score, get_scorer("roc_auc"), 1),
        (il.log_loss, get_scorer("neg_log_loss"), 1),
        (il.accuracy, get_scorer("accuracy"), 1),
        (il.F1Score(num_classes=2), get_scorer("f1_macro"), 1),
        (il.BalancedAccuracy(num_classes=2), make_scorer(balanced_accuracy_score), 1),
        (il.MatthewsCorrelation(num_classes=2), get_scorer("matthews_corrcoef"), 2),
        (il.roc_auc_score, make_scorer(roc_auc_score, response_method="predict_proba"), 1),
    ],
)
def test_scores_of_two_classes_are_scikit_learns(
    metric: il.Metric, theirs: object, ulp: float, data: tuple, weighted: bool
) -> None:
    """A score of two classes is scikit-learn's, whatever the labels are."""
    X, y = data
    model = classifier().fit(X, y)
    options = {"sample_weight": weights_of(y)} if weighted else {}
    method = getattr(theirs, "_response_method", None)
    chosen = {"response_method": method} if method == "predict_proba" else {}
    ours = scorer(metric, **chosen)(model, X, y, **options)
    assert_close_ulp(np.asarray(ours), np.asarray(float(theirs(model, X, y, **options))), ulp)


@pytest.mark.parametrize("positive", ["malignant", "benign"])
def test_the_positive_class_is_chosen_by_its_label(positive: str) -> None:
    """Metrics of one class against the other are of `pos_label`, the second class by default."""
    X, y = NAMED
    model = classifier().fit(X, y)
    is_it, column = y == positive, model.classes_.tolist().index(positive)
    probability = model.predict_proba(X)[:, column]
    score = scorer(
        [il.brier_score, il.binary_f1_score, il.roc_auc_score, il.hinge], pos_label=positive
    )(model, X, y)
    expected = {
        "neg_brier_score": -brier_score_loss(is_it, probability),
        "binary_f1_score": f1_score(y, model.predict(X), pos_label=positive),
        "roc_auc_score": roc_auc_score(is_it, probability),
        "neg_hinge": -hinge_loss(y, model.decision_function(X)),  # the same from both sides
    }
    assert list(score) == list(expected)
    for name, value in expected.items():
        assert_close_ulp(np.asarray(score[name]), np.asarray(float(value)), 1)
    if positive == "malignant":  # the second in the order of names
        assert score["neg_brier_score"] == scorer(il.brier_score)(model, X, y)


def test_scores_of_many_classes_are_scikit_learns() -> None:
    """The scores of three classes with labels in no order, in folds, are scikit-learn's."""
    X, y = SPREAD
    ours = [il.log_loss, il.accuracy, il.F1Score(num_classes=3), il.TopKAccuracy(k=2)]
    theirs = {
        "neg_log_loss": "neg_log_loss",
        "accuracy": "accuracy",
        "f1": "f1_macro",
        "top_k": make_scorer(top_k_accuracy_score, response_method="decision_function"),
    }
    one = cross_validate(classifier(), X, y, scoring=scorer(dict(zip(theirs, ours, strict=True))))
    two = cross_validate(classifier(), X, y, scoring=theirs)
    for name in theirs:
        sign = -1 if name == "neg_log_loss" else 1
        assert sign * one[f"test_{name}"][0] > 0
        assert_close_ulp(one[f"test_{name}"], two[f"test_{name}"], 1)


def test_one_class_of_many_against_the_others() -> None:
    """With `pos_label`, a binary metric is of one class against all others."""
    X, y = SPREAD
    model = classifier().fit(X, y)
    column = model.classes_.tolist().index(20)
    expected = roc_auc_score(y == 20, model.predict_proba(X)[:, column])
    found = scorer(il.roc_auc_score, pos_label=20, response_method="predict_proba")(model, X, y)
    assert_close_ulp(np.asarray(found), np.asarray(float(expected)), 1)
    predicted = scorer(il.binary_f1_score, pos_label=20, response_method="predict")(model, X, y)
    assert_close_ulp(
        np.asarray(predicted), np.asarray(f1_score(y == 20, model.predict(X) == 20)), 4
    )


def test_the_cross_entropy_of_logits_is_the_log_loss() -> None:
    """Losses of logits are given the decision function: they equal the log loss of probabilities."""
    for (X, y), loss in ((NAMED, il.sigmoid_cross_entropy), (SPREAD, il.softmax_cross_entropy)):
        model = classifier().fit(X, y)
        found, expected = scorer(loss)(model, X, y), get_scorer("neg_log_loss")(model, X, y)
        assert_close_ulp(np.asarray(found), np.asarray(float(expected)), 1)


@pytest.mark.parametrize("weighted", [False, True])
def test_several_outputs_are_averaged(weighted: bool) -> None:
    """With axis=0 a score is the mean over outputs, scikit-learn's uniform average."""
    X, y = load_linnerud(return_X_y=True)
    # means of four integers: exact, where a linear model's numbers depend on the threads of LAPACK
    model = KNeighborsRegressor(4, algorithm="kd_tree").fit(X, y)
    options = {"sample_weight": weights_of(y) + 1} if weighted else {}
    for metric, name in ((il.r2_score, "r2"), (il.rmse, "neg_root_mean_squared_error")):
        found = scorer(metric, axis=0)(model, X, y, **options)
        expected = get_scorer(name)(model, X, y, **options)
        assert_close_ulp(np.asarray(found), np.asarray(float(expected)), 1)
    found = scorer(il.mse)(model, X, y, **options)
    assert found == pytest.approx(-mean_squared_error(y, model.predict(X), **options), rel=1e-15)


def test_probabilities_of_several_labels() -> None:
    """Of several labels at once, which some estimators predict as a list, each is one of two."""
    X, y = WINE
    indicators = np.stack([y == 0, y == 2], axis=1).astype(int)
    model = KNeighborsClassifier().fit(X, indicators)
    expected = np.mean(
        [brier_score_loss(indicators[:, k], model.predict_proba(X)[k][:, 1]) for k in (0, 1)]
    )
    assert scorer(il.brier_score)(model, X, indicators) == pytest.approx(-expected, rel=1e-15)


class Counting(Ridge):
    """A model that counts its predictions."""

    calls = 0

    def predict(self, X: object) -> object:
        type(self).calls += 1
        return super().predict(X)


def test_several_metrics_predict_once() -> None:
    """Several metrics take one prediction, and each gives what it gives alone."""
    X, y = DIABETES
    model = Counting().fit(X, y)
    metrics = [il.mse, il.Huber(delta=10.0), il.r2_score]
    Counting.calls = 0
    score = scorer(metrics)(model, X, y)
    assert Counting.calls == 1
    names = ["neg_mean_squared_error", "neg_Huber(delta=10.0)", "r2_score"]
    assert list(score) == names
    for name, metric in zip(names, metrics, strict=True):
        assert_close_ulp(np.asarray(score[name]), np.asarray(scorer(metric)(model, X, y)), 1)


def test_grid_search_finds_what_scikit_learns_scorer_finds() -> None:
    """GridSearchCV refits by one of several scores, in processes of its own."""
    X, y = DIABETES
    grid = {"alpha": [0.001, 0.1, 10.0]}
    scoring = scorer([il.mse, il.r2_score])
    search = GridSearchCV(Ridge(), grid, scoring=scoring, refit="neg_mean_squared_error", n_jobs=2)
    other = GridSearchCV(Ridge(), grid, scoring="neg_mean_squared_error").fit(X, y)
    search.fit(X, y)
    assert search.best_params_ == other.best_params_ != {"alpha": 10.0}
    ours = search.cv_results_["mean_test_neg_mean_squared_error"]
    assert_close_ulp(ours, other.cv_results_["mean_test_score"], 1)


def test_one_of_several_scorers() -> None:
    """A scorer goes beside scikit-learn's in a dict."""
    X, y = DIABETES
    found = cross_validate(Ridge(), X, y, scoring={"ours": scorer(il.mae), "theirs": "r2"})
    assert_close_ulp(
        found["test_ours"], cross_val_score(Ridge(), X, y, scoring="neg_mean_absolute_error"), 2
    )


def test_permutation_importance() -> None:
    """Other tools take scores of several metrics too: what matters most is what the fit says."""
    X, y = DIABETES
    model = Ridge(alpha=0.1).fit(X, y)
    found = permutation_importance(
        model, X, y, scoring=scorer([il.mse, il.mae]), n_repeats=2, random_state=0
    )
    expected = permutation_importance(
        model, X, y, scoring="neg_mean_squared_error", n_repeats=2, random_state=0
    )
    ours = found["neg_mean_squared_error"].importances_mean
    np.testing.assert_allclose(ours, expected.importances_mean, rtol=1e-10, atol=1e-9)


def test_scorers_are_cloned_pickled_and_printed() -> None:
    """A scorer prints as it was made, and survives clone and pickle."""
    X, y = DIABETES
    model = Ridge().fit(X, y)
    made = scorer(il.Huber(delta=2.0), response_method="predict")
    assert repr(made) == "Scorer(metrics=Huber(delta=2.0), response_method='predict')"
    for copy in (clone(made), pickle.loads(pickle.dumps(made))):
        assert repr(copy) == repr(made)
        assert copy(model, X, y) == made(model, X, y)
    grid = clone(GridSearchCV(Ridge(), {}, scoring=made))
    assert grid.scoring.metrics == il.Huber(delta=2.0)


def test_metadata_routing_brings_the_weights() -> None:
    """Under metadata routing, folds are scored with weights if asked, and an error says how to."""
    X, y = DIABETES
    w = weights_of(y)
    with sklearn.config_context(enable_metadata_routing=True):
        model = Ridge().set_fit_request(sample_weight=False)
        asked = scorer(il.mse).set_score_request(sample_weight=True)
        theirs = make_scorer(mean_squared_error, greater_is_better=False).set_score_request(
            sample_weight=True
        )
        params = {"sample_weight": w}
        found = cross_val_score(model, X, y, scoring=asked, params=params)
        expected = cross_val_score(model, X, y, scoring=theirs, params=params)
        several = scorer([il.mse, il.r2_score]).set_score_request(sample_weight=True)
        both = cross_validate(model, X, y, scoring=several, params=params)
        refused = scorer(il.mse)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            cross_val_score(model, X, y, scoring=refused, params=params)
        with pytest.raises(TypeError, match="estimator"):  # no metadata of a score
            refused.set_score_request(estimator=True)
    assert_close_ulp(found, expected, 1)
    assert_close_ulp(both["test_neg_mean_squared_error"], expected, 1)
    assert not np.array_equal(found, cross_val_score(Ridge(), X, y, scoring=asked))


def test_predictions_of_a_function() -> None:
    """A function makes the predictions that no method does: here a mean and a variance."""
    X, y = DIABETES
    model = BayesianRidge().fit(X, y)

    def gaussian(estimator: BayesianRidge, X: np.ndarray) -> tuple:
        mean, deviation = estimator.predict(X, return_std=True)
        return mean, deviation**2

    mean, variance = gaussian(model, X)
    expected = -0.5 * np.mean(np.log(2 * np.pi * variance) + (y - mean) ** 2 / variance)
    found = scorer(il.gaussian_nll, response_method=gaussian)(model, X, y)
    assert found == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: scorer("msee"), "scorer: there is no metric 'msee'"),
        (lambda: scorer(il.Huber), "scorer takes metrics such as isoloss.huber, not <class"),
        (lambda: scorer([il.mse, 2]), "scorer takes metrics such as isoloss.huber, not 2"),
    ],
)
def test_what_is_no_metric_is_refused(make: object, message: str) -> None:
    """Anything that is not a metric is refused before anything is fitted."""
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            scorer(il.brier_score),
            r"BrierScore\(\): the estimator has the classes \[-10, 20, 30\], and this metric is of one "
            "against the others: pass pos_label=",
        ),
        (
            scorer(il.brier_score, pos_label=7),
            r"BrierScore\(\): pos_label= holds 7, and the estimator has seen the classes \[-10, 20, 30\]",
        ),
        (
            scorer([il.accuracy, il.F1Score(num_classes=2)]),
            "the estimator has 3 classes: pass num_classes=3",
        ),
        (
            scorer(il.ConfusionMatrix(num_classes=3)),
            r"its value has the shape \(3, 3\), and a score is one number",
        ),
    ],
)
def test_errors_name_the_classes_and_the_fix(made: object, message: str) -> None:
    """What a metric cannot be of is an error, which names the classes and the fix."""
    X, y = SPREAD
    with pytest.raises(ValueError, match=message):
        made(classifier().fit(X, y), X, y)


def test_a_label_that_was_not_seen_is_an_error() -> None:
    """A label that the estimator has not seen is named: no score stands for it."""
    X, y = SPREAD
    model = classifier().fit(X, y)
    with pytest.raises(
        ValueError, match=r"y holds 40, and the estimator has seen the classes \[-10, 20"
    ):
        scorer(il.log_loss)(model, X, np.where(y == 30, 40, y))


def test_what_is_outside_the_domain_is_named() -> None:
    """A score that would be nan says which sample is to blame; of constant targets it is nan."""
    X, y = DIABETES
    with pytest.raises(
        ValueError, match=r"ROCAUC\(\): targets\[0\] is 151.0; targets must be 0 or 1"
    ):
        scorer(il.roc_auc_score)(Ridge().fit(X, y), X, y)
    model = Ridge().fit(X, np.ones(len(X)))
    assert np.isnan(scorer(il.r2_score)(model, X, np.ones(len(X))))


def test_a_method_that_is_missing_is_named() -> None:
    """An estimator without the method that a metric needs is an error that says so."""
    X, y = CANCER
    message = r"BrierScore\(\): LinearSVC has no predict_proba; pass response_method="
    with pytest.raises(ValueError, match=message):
        scorer(il.brier_score)(LinearSVC().fit(StandardScaler().fit_transform(X), y), X, y)


@pytest.mark.parametrize(
    ("adapter", "missing", "message"),
    [
        ("sklearn", "sklearn", "needs scikit-learn: pip install 'isoloss[sklearn]'"),
        ("optax", "optax", "needs optax and JAX: pip install 'isoloss[optax]'"),
    ],
)
def test_a_missing_library_says_how_to_get_it(
    adapter: str, missing: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its library, an adapter is an ImportError that names the extra."""
    for name in [missing, *(name for name in sys.modules if name.startswith(f"{missing}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    path = Path(adapters.__file__).with_name(f"{adapter}.py")
    spec = importlib.util.spec_from_file_location("isoloss.adapters.fresh", path)
    with pytest.raises(ImportError, match=re.escape(message)):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_adapters_bring_no_library_of_their_own() -> None:
    """The package of adapters, and that of boosting, import nothing but isoloss and NumPy."""
    script = (
        "import sys, isoloss.adapters.boosting; print(sorted({'sklearn', 'scipy', 'xgboost',"
        " 'lightgbm', 'optax', 'jax', 'torch', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_examples_in_docstrings_run() -> None:
    """The examples print what they say."""
    result = doctest.testmod(adapter)
    assert result.attempted > 0
    assert result.failed == 0
