"""Objectives and metrics of XGBoost and LightGBM, beside those that the libraries bring."""

from __future__ import annotations

import doctest
import pickle

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_linnerud,
    load_wine,
    make_friedman1,
)
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score

import isoloss as il
from isoloss.adapters import boosting
from isoloss.adapters.boosting import (
    best_constant,
    lightgbm_metric,
    lightgbm_objective,
    xgboost_metric,
    xgboost_objective,
)

DIABETES = load_diabetes(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
WINE = load_wine(return_X_y=True)
TRAIN, TEST = slice(0, None, 2), slice(1, None, 2)
ROUNDS = 20
QUIET = {"verbose": -1, "num_threads": 1}


def weights_of(y: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, len(y)).astype(float)


def of_xgboost(X, y, params, objective=None, weights=None):
    data = xgb.DMatrix(X, y, weight=weights)
    model = xgb.train({"nthread": 1, **params}, data, ROUNDS, obj=objective)
    return model.predict(xgb.DMatrix(X), output_margin=True)


def of_lightgbm(X, y, params, weights=None):
    params = {"boost_from_average": False, **QUIET, **params}
    return lgb.train(params, lgb.Dataset(X, y, weight=weights), ROUNDS).predict(X, raw_score=True)


# --- the objectives that the libraries have -------------------------------------------------------

BUILT_IN = [
    ("squared", DIABETES, il.half_squared_error, "reg:squarederror", 150.0, "l2", {}),
    ("logistic", CANCER, il.sigmoid_cross_entropy, "binary:logistic", 0.0, "binary", {}),
    ("softmax", WINE, il.softmax_cross_entropy, "multi:softprob", 0.5, "multiclass", {"num_class": 3}),
]  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", BUILT_IN, ids=[case[0] for case in BUILT_IN])
def test_xgboost_predicts_what_its_own_objective_does(case: tuple, weighted: bool) -> None:
    """The trees of a loss are those of XGBoost's own objective, to float32, weights included."""
    _, (X, y), loss, builtin, start, _, params = case
    weights = weights_of(y) if weighted else None
    own = start or 0.5  # a probability, to the logistic one
    expected = of_xgboost(X, y, {"objective": builtin, "base_score": own, **params}, None, weights)
    found = of_xgboost(X, y, {"base_score": start, **params}, xgboost_objective(loss), weights)
    assert np.ptp(expected) > 1
    if loss == il.half_squared_error:
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=4e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", BUILT_IN, ids=[case[0] for case in BUILT_IN])
def test_lightgbm_predicts_what_its_own_objective_does(case: tuple, weighted: bool) -> None:
    """The trees of a loss are those of LightGBM's own objective, weights included."""
    _, (X, y), loss, _, _, builtin, params = case
    weights = weights_of(y) + 1 if weighted else None
    expected = of_lightgbm(X, y, {"objective": builtin, **params}, weights)
    found = of_lightgbm(X, y, {"objective": lightgbm_objective(loss), **params}, weights)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_the_huber_loss_of_lightgbm() -> None:
    """The Huber loss gives LightGBM's own, whose Hessian is 1, to the last bit."""
    X, y = DIABETES
    expected = of_lightgbm(X, y, {"objective": "huber", "alpha": 30.0})
    found = of_lightgbm(X, y, {"objective": lightgbm_objective(il.Huber(delta=30.0))})
    np.testing.assert_array_equal(found, expected)


def test_the_pseudo_huber_loss_of_xgboost() -> None:
    """The pseudo-Huber loss gives XGBoost's own, to float32."""
    X, y = DIABETES
    y = y / 100
    own = {"objective": "reg:pseudohubererror", "base_score": 1.5}
    found = of_xgboost(X, y, {"base_score": 1.5}, xgboost_objective(il.pseudo_huber))
    np.testing.assert_allclose(found, of_xgboost(X, y, own), rtol=0, atol=1e-6)


def test_several_outputs() -> None:
    """Several outputs at once are XGBoost's own, with weights of the samples."""
    X, y = load_linnerud(return_X_y=True)
    weights = weights_of(y)
    own = {"objective": "reg:squarederror", "base_score": 50.0}
    expected = of_xgboost(X, y, own, None, weights)
    found = of_xgboost(
        X, y, {"base_score": 50.0}, xgboost_objective(il.half_squared_error), weights
    )
    assert expected.shape == (20, 3)
    np.testing.assert_array_equal(found, expected)


def test_a_huber_loss_is_not_led_astray_by_outliers() -> None:
    """With wrong targets among the right, Huber's held-out error is the least of four objectives."""
    X, y = make_friedman1(2000, noise=1.0, random_state=0)
    rng = np.random.default_rng(0)
    seen = y + (rng.random(len(y)) < 0.05) * rng.normal(0, 100, len(y))
    start = best_constant(il.huber, seen[TRAIN])

    def error(params: dict, objective: object = None) -> float:
        params = {"nthread": 1, "max_depth": 4, **params}
        data = xgb.DMatrix(X[TRAIN], seen[TRAIN])
        model = xgb.train(params, data, 100, obj=objective)
        return il.mae(model.predict(xgb.DMatrix(X[TEST])), y[TEST])

    huber = error({"base_score": start}, xgboost_objective(il.huber, hessian=1.0))
    pseudo = error({"base_score": start}, xgboost_objective(il.pseudo_huber, hessian=1.0))
    own = error({"objective": "reg:pseudohubererror", "base_score": start})
    squared = error({"objective": "reg:squarederror"})
    assert max(huber, pseudo) < 0.7 * min(own, squared)


# --- the interfaces of scikit-learn ---------------------------------------------------------------


def test_the_interfaces_of_scikit_learn_are_the_same_models() -> None:
    """XGBRegressor and LGBMRegressor predict as the native interface, weights included."""
    X, y = DIABETES
    w = weights_of(y) + 1
    objective = xgboost_objective(il.half_squared_error)
    model = xgb.XGBRegressor(objective=objective, n_estimators=ROUNDS, base_score=150.0, n_jobs=1)
    found = model.fit(X, y, sample_weight=w).predict(X)
    np.testing.assert_array_equal(found, of_xgboost(X, y, {"base_score": 150.0}, objective, w))
    objective = lightgbm_objective(il.half_squared_error)
    model = lgb.LGBMRegressor(objective=objective, n_estimators=ROUNDS, n_jobs=1, verbose=-1)
    found = model.fit(X, y, sample_weight=w).predict(X)
    np.testing.assert_array_equal(found, of_lightgbm(X, y, {"objective": objective}, w))


@pytest.mark.parametrize(("X", "y", "loss"), [
    (*CANCER, il.sigmoid_cross_entropy), (*WINE, il.softmax_cross_entropy)
])  # fmt: skip
def test_a_classifier_of_xgboost_predicts_probabilities(X: object, y: object, loss: object) -> None:
    """XGBClassifier turns logits into the probabilities of its own objective."""
    options = {"n_estimators": ROUNDS, "n_jobs": 1, "base_score": 0.5}
    ours = xgb.XGBClassifier(objective=xgboost_objective(loss), **options).fit(X, y)
    theirs = xgb.XGBClassifier(**options).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=2e-6)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_a_hinge_takes_the_labels_of_a_classifier() -> None:
    """The hinge, of labels -1 and 1, takes 0 and 1 as classifiers number them."""
    X, y = CANCER
    found = of_xgboost(X, y, {"base_score": 0.0}, xgboost_objective(il.hinge))
    assert accuracy_score(y, found > 0) > 0.97
    same = of_xgboost(X, 2 * y - 1, {"base_score": 0.0}, xgboost_objective(il.hinge))
    np.testing.assert_array_equal(found, same)


def test_quantiles_at_once() -> None:
    """Rows of quantiles are trained together: each has its share of the targets below it."""
    X, y = DIABETES
    objective = xgboost_objective(il.MultiQuantile(quantiles=(0.1, 0.5, 0.9)), hessian=0.01)
    params = {"num_class": 3, "base_score": 150.0, "max_depth": 2, "nthread": 1}
    model = xgb.train(params, xgb.DMatrix(X, y), 100, obj=objective)
    below = np.mean(y[:, None] < model.predict(xgb.DMatrix(X), output_margin=True), axis=0)
    np.testing.assert_allclose(below, [0.1, 0.5, 0.9], atol=0.06)


# --- weights, Hessians, errors --------------------------------------------------------------------


@pytest.mark.parametrize("make", [xgboost_objective, lightgbm_objective])
def test_weights_are_repetitions(make: object) -> None:
    """Gradients and Hessians are times the weights, which neither library multiplies by itself."""
    y, p, w = np.array([0.0, 1.0, 5.0]), np.array([0.5, 3.0, 1.0]), np.array([2.0, 0.0, 3.0])
    gradient, hessian = make(il.half_squared_error)(y, p, w)
    np.testing.assert_array_equal(gradient, [1.0, 0.0, -12.0])
    np.testing.assert_array_equal(hessian, w)
    gradient, hessian = make(il.mae)(y, p, w)
    np.testing.assert_array_equal(gradient, [2.0, 0.0, -3.0])
    np.testing.assert_array_equal(hessian, w)
    np.testing.assert_array_equal(make(il.huber, hessian=0.5)(y, p, w)[1], w / 2)


def test_a_hessian_that_is_not_positive_is_1() -> None:
    """Where the second derivative is 0 or negative, the Hessian is 1; elsewhere it is exact."""
    y, p = np.zeros(3), np.array([0.0, 0.5, 4.0])
    np.testing.assert_array_equal(xgboost_objective(il.huber)(y, p)[1], [1.0, 1.0, 1.0])
    # of Cauchy's loss, log(1 + e^2 / 2), it is (1 - e^2 / 2) / (1 + e^2 / 2)^2
    scale = xgboost_objective(il.cauchy)(y, p)[1]
    assert scale[2] == 1.0
    ratio = (1 - 0.125) / (1 + 0.125) ** 2
    assert scale[1] / scale[0] == pytest.approx(ratio, rel=1e-14)


@pytest.mark.parametrize(
    ("make", "factor"), [(xgboost_objective, 2.0), (lightgbm_objective, 3 / 2)]
)
def test_rows_have_the_diagonal_of_the_library(make: object, factor: float) -> None:
    """The Hessian of a softmax is p (1 - p) times the factor of the library."""
    logits, labels = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]]), np.array([2.0, 0.0], "f4")
    p = np.exp(logits) / np.sum(np.exp(logits), axis=1, keepdims=True)
    gradient, hessian = make(il.softmax_cross_entropy)(labels, logits, np.array([1.0, 2.0]))
    weight = np.array([[1.0], [2.0]])
    np.testing.assert_allclose(gradient, weight * (p - np.eye(3)[[2, 0]]), rtol=1e-14)
    np.testing.assert_allclose(hessian, weight * factor * p * (1 - p), rtol=1e-14)


def test_objectives_are_cloned_pickled_and_printed() -> None:
    """Models with an objective and a metric pickle and clone; both print as they were made."""
    X, y = DIABETES
    objective, metric = xgboost_objective(il.Huber(delta=30.0)), xgboost_metric(il.r2_score)
    model = xgb.XGBRegressor(objective=objective, eval_metric=metric, n_estimators=3, n_jobs=1)
    copy = pickle.loads(pickle.dumps(model.fit(X, y)))
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))
    assert clone(model).objective == copy.objective == objective
    assert (
        repr(objective) == "Objective(metric=Huber(delta=30.0), hessian='exact', library='XGBoost')"
    )
    model = lgb.LGBMRegressor(objective=lightgbm_objective(il.log_cosh), n_estimators=3, verbose=-1)
    copy = pickle.loads(pickle.dumps(model.fit(X, y)))
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: xgboost_objective(1.0), TypeError, "takes metrics such as isoloss.huber, not 1.0"),
        (lambda: lightgbm_metric(il.Huber), TypeError, "takes metrics such as isoloss.huber, not <cl"),
        (lambda: lightgbm_objective(il.r2_score), ValueError, r"R2Score\(\): an objective needs one term"),
        (
            lambda: xgboost_objective(il.huber, hessian=0),
            ValueError,
            r"Huber\(\): hessian must be 'exact' or a number above 0, not 0",
        ),
        (
            lambda: xgboost_objective(il.huber, hessian="unit"),
            ValueError,
            "hessian must be 'exact' or a number above 0, not 'unit'",
        ),
        (
            lambda: xgboost_objective(il.poisson_deviance)(np.array([1.0, 2.0]), np.array([0.5, -1.0])),
            ValueError,
            r"PoissonDeviance\(\): predictions\[1\] is -1.0; predictions must be > 0",
        ),
        (
            lambda: xgboost_objective(il.softmax_cross_entropy)(np.array([3.0]), np.zeros((1, 3))),
            ValueError,
            r"targets\[0\] is 3; targets must be >= 0 and <= 2",
        ),
        (
            lambda: best_constant(il.softmax_cross_entropy, [0, 1]),
            ValueError,
            "best_constant needs a loss of one number a sample",
        ),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(make: object, kind: type, message: str) -> None:
    """What cannot be an objective, and a sample without a gradient, are errors that name it."""
    with pytest.raises(kind, match=message):
        make()


def test_the_best_constant() -> None:
    """It is the mean, the median, a quantile, the log-odds, the log of the mean: by the loss."""
    y = DIABETES[1]
    z = CANCER[1]
    for loss, targets, expected in (
        (il.mse, y, np.mean(y)),
        (il.mae, y[:-1], np.median(y[:-1])),
        (il.Pinball(quantile=0.9), y, np.quantile(y, 0.9)),
        (il.sigmoid_cross_entropy, z, np.log(np.mean(z) / (1 - np.mean(z)))),
        (il.poisson_nll, y, np.log(np.mean(y))),
        (il.poisson_deviance, y, np.mean(y)),
        (il.mae, np.full(4, 7.0), 7.0),
        (il.poisson_deviance, np.array([0.0] * 7 + [1e-3]), 1.25e-4),  # beside the domain's end
    ):
        assert best_constant(loss, targets) == pytest.approx(expected, rel=1e-6)
    w = weights_of(y)
    assert best_constant(il.mse, y, weights=w) == pytest.approx(np.average(y, weights=w), rel=1e-6)


# --- metrics --------------------------------------------------------------------------------------


def test_a_score_stops_xgboost_at_its_best() -> None:
    """Early stopping by a score keeps the round where it is greatest, by both interfaces."""
    X, y = DIABETES
    w = weights_of(y)
    params = {"objective": "reg:squarederror", "nthread": 1, "eta": 0.5}
    history: dict = {}
    model = xgb.train(
        params, xgb.DMatrix(X[TRAIN], y[TRAIN]), 60,
        evals=[(xgb.DMatrix(X[TEST], y[TEST], weight=w[TEST]), "test")],
        custom_metric=xgboost_metric(il.r2_score), early_stopping_rounds=8,
        evals_result=history, verbose_eval=False,
    )  # fmt: skip
    values = history["test"]["neg_r2_score"]
    best = int(np.argmin(values))
    assert 0 < model.best_iteration == best < len(values) - 1 == best + 8
    predicted = model.predict(xgb.DMatrix(X[TEST]), iteration_range=(0, best + 1))
    expected = r2_score(y[TEST], predicted, sample_weight=w[TEST])
    assert values[best] == pytest.approx(-expected, rel=1e-5)  # printed and parsed by XGBoost
    same = xgb.XGBRegressor(
        n_estimators=60, learning_rate=0.5, n_jobs=1, early_stopping_rounds=8,
        eval_metric=xgboost_metric(il.r2_score),
    )  # fmt: skip
    same.fit(X[TRAIN], y[TRAIN], eval_set=[(X[TEST], y[TEST])],
             sample_weight_eval_set=[w[TEST]], verbose=False)  # fmt: skip
    assert same.best_iteration == best
    assert list(same.evals_result()["validation_0"]) == ["rmse", "neg_r2_score"]


def test_a_score_stops_lightgbm_at_its_best() -> None:
    """Early stopping by a score keeps the round where it is greatest, by both interfaces."""
    X, y = DIABETES
    w = weights_of(y)
    history: dict = {}
    stop = lgb.early_stopping(8, verbose=False)
    train = lgb.Dataset(X[TRAIN], y[TRAIN])
    model = lgb.train(
        {"objective": "l2", "metric": "none", "learning_rate": 0.3, **QUIET}, train, 80,
        valid_sets=[lgb.Dataset(X[TEST], y[TEST], weight=w[TEST], reference=train)],
        feval=[lightgbm_metric(il.r2_score)],
        callbacks=[stop, lgb.record_evaluation(history)],
    )  # fmt: skip
    values = history["valid_0"]["r2_score"]
    best = int(np.argmax(values))
    assert 0 < model.best_iteration - 1 == best < len(values) - 1 == best + 8
    expected = r2_score(y[TEST], model.predict(X[TEST]), sample_weight=w[TEST])
    assert values[best] == pytest.approx(expected, rel=1e-6)  # of float32 targets
    same = lgb.LGBMRegressor(
        n_estimators=80, learning_rate=0.3, metric="none", n_jobs=1, verbose=-1
    )
    same.fit(X[TRAIN], y[TRAIN], eval_X=X[TEST], eval_y=y[TEST], eval_sample_weight=[w[TEST]],
             eval_metric=lightgbm_metric(il.r2_score), callbacks=[stop])  # fmt: skip
    assert same.best_iteration_ - 1 == best


def test_an_error_stops_at_its_least() -> None:
    """Early stopping by an error keeps the round where it is least, in both libraries."""
    X, y = DIABETES
    history: dict = {}
    model = xgb.train(
        {"nthread": 1, "eta": 0.5}, xgb.DMatrix(X[TRAIN], y[TRAIN]), 60,
        evals=[(xgb.DMatrix(X[TEST], y[TEST]), "test")], early_stopping_rounds=8,
        custom_metric=xgboost_metric(il.mae), evals_result=history, verbose_eval=False,
    )  # fmt: skip
    values = history["test"]["mean_absolute_error"]
    assert 0 < model.best_iteration == int(np.argmin(values)) < len(values) - 1
    train = lgb.Dataset(X[TRAIN], y[TRAIN])
    model = lgb.train(
        {"objective": "l2", "metric": "none", "learning_rate": 0.3, **QUIET}, train, 80,
        valid_sets=[lgb.Dataset(X[TEST], y[TEST], reference=train)],
        feval=lightgbm_metric(il.mae),
        callbacks=[lgb.early_stopping(8, verbose=False), lgb.record_evaluation(history)],
    )  # fmt: skip
    values = history["valid_0"]["mean_absolute_error"]
    assert 0 < model.best_iteration - 1 == int(np.argmin(values)) < len(values) - 1


def test_metrics_see_logits_of_ones_own_objective_and_probabilities_of_built_in_ones() -> None:
    """A metric of logits goes with one's own objective, one of probabilities with a built-in one."""
    X, y = CANCER
    data = xgb.DMatrix(X, y)

    def last(params: dict, metric: il.Metric, objective: object = None) -> float:
        history: dict = {}
        xgb.train({"nthread": 1, **params}, data, 5, obj=objective, evals=[(data, "it")],
                  custom_metric=xgboost_metric(metric), evals_result=history, verbose_eval=False)  # fmt: skip
        return list(history["it"].values())[-1][-1]

    objective = xgboost_objective(il.sigmoid_cross_entropy)
    of_logits = last({"base_score": 0.0}, il.sigmoid_cross_entropy, objective)
    own = {"objective": "binary:logistic", "base_score": 0.5}
    assert of_logits == pytest.approx(last(own, il.binary_cross_entropy), rel=1e-5)
    history: dict = {}
    train = lgb.Dataset(*WINE)
    model = lgb.train(
        {"objective": "multiclass", "num_class": 3, "metric": "none", **QUIET}, train, 5,
        valid_sets=[train], feval=[lightgbm_metric(il.log_loss), lightgbm_metric(il.accuracy)],
        callbacks=[lgb.record_evaluation(history)],
    )  # fmt: skip
    expected = log_loss(WINE[1], model.predict(WINE[0]))
    assert history["training"]["log_loss"][-1] == pytest.approx(expected, rel=1e-12)
    expected = accuracy_score(WINE[1], model.predict(WINE[0]).argmax(axis=1))
    assert history["training"]["accuracy"][-1] == expected


def test_starting_from_the_best_constant_saves_rounds() -> None:
    """From the best constant, LightGBM's first rounds are as good as with its own average."""
    X, y = DIABETES
    start = best_constant(il.half_squared_error, y)
    data = lgb.Dataset(X, y, init_score=np.full(len(y), start))
    params = {"objective": lightgbm_objective(il.half_squared_error), **QUIET}
    found = start + lgb.train(params, data, ROUNDS).predict(X)
    own = lgb.train({"objective": "l2", **QUIET}, lgb.Dataset(X, y), ROUNDS).predict(X)
    np.testing.assert_allclose(found, own, rtol=1e-5)
    assert mean_squared_error(y, found) < mean_squared_error(y, of_lightgbm(X, y, params))


def test_examples_in_docstrings_run() -> None:
    """The examples print what they say."""
    result = doctest.testmod(boosting)
    assert result.attempted > 0
    assert result.failed == 0
