"""sklearn.metrics: targets first, labels as they are, NumPy and no derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn.metrics as sm

from .peer import Peer


def of(function: Any, **fixed: Any) -> Any:
    """Return a function of predictions and targets, with weights."""
    return lambda p, t, /, weights=None: function(t, p, sample_weight=weights, **fixed)


def classes_of(function: Any, **fixed: Any) -> Any:
    """Return a function of labels; the number of classes is read off them."""

    def counted(p, t, /, num_classes, weights=None, **chosen):
        return function(t, p, sample_weight=weights, **fixed, **chosen)

    return counted


def averaged(function: Any) -> Any:
    return lambda p, t, /, num_classes, average="macro", weights=None: function(
        t, p, average=average, zero_division=0.0, sample_weight=weights
    )


def binary(function: Any) -> Any:
    return lambda p, t, /, threshold=0.5, weights=None: function(
        t, p >= threshold, sample_weight=weights
    )


def fbeta(p, t, /, num_classes, beta=1.0, average="macro", weights=None):
    return sm.fbeta_score(
        t, p, beta=beta, average=average, zero_division=0.0, sample_weight=weights
    )


def gains(t: Any, gain: str) -> Any:
    return 2.0**t - 1 if gain == "exponential" else t


def labels(p: Any) -> Any:
    return np.arange(p.shape[-1])


def under_jax_jit(p, t, /):
    import jax

    return jax.jit(sm.mean_squared_error)(jax.numpy.asarray(t), jax.numpy.asarray(p))


METRICS = {
    "mean_squared_error": of(sm.mean_squared_error),
    "root_mean_squared_error": of(sm.root_mean_squared_error),
    "mean_absolute_error": of(sm.mean_absolute_error),
    "median_absolute_error": of(sm.median_absolute_error),
    "max_error": lambda p, t, /: sm.max_error(t, p),
    "mean_absolute_percentage_error": of(sm.mean_absolute_percentage_error),
    "mean_squared_log_error": of(sm.mean_squared_log_error),
    "root_mean_squared_log_error": of(sm.root_mean_squared_log_error),
    "pinball": lambda p, t, /, quantile=0.5, weights=None: sm.mean_pinball_loss(
        t, p, alpha=quantile, sample_weight=weights
    ),
    "poisson_deviance": of(sm.mean_poisson_deviance),
    "gamma_deviance": of(sm.mean_gamma_deviance),
    "tweedie_deviance": lambda p, t, /, power=1.5, weights=None: sm.mean_tweedie_deviance(
        t, p, power=power, sample_weight=weights
    ),
    "r2_score": of(sm.r2_score),
    "explained_variance_score": of(sm.explained_variance_score),
    "d2_absolute_error_score": of(sm.d2_absolute_error_score),
    "d2_pinball_score": lambda p, t, /, quantile=0.5, weights=None: sm.d2_pinball_score(
        t, p, alpha=quantile, sample_weight=weights
    ),
    "d2_tweedie_score": lambda p, t, /, power=0.0, weights=None: sm.d2_tweedie_score(
        t, p, power=power, sample_weight=weights
    ),
    "d2_log_loss_score": lambda p, t, /, weights=None: sm.d2_log_loss_score(
        t, p, labels=labels(p), sample_weight=weights
    ),
    "d2_brier_score": lambda p, t, /, weights=None: sm.d2_brier_score(
        t, p, labels=labels(p), sample_weight=weights
    ),
    "log_loss": lambda p, t, /, weights=None: sm.log_loss(
        t, p, labels=labels(p), sample_weight=weights
    ),
    "multiclass_brier_score": lambda p, t, /, weights=None: sm.brier_score_loss(
        t, p, labels=labels(p), scale_by_half=False, sample_weight=weights
    ),
    "hinge": lambda p, t, /, weights=None: sm.hinge_loss(
        t, p, labels=[-1, 1], sample_weight=weights
    ),
    "multiclass_hinge": lambda p, t, /, weights=None: sm.hinge_loss(
        t, p, labels=labels(p), sample_weight=weights
    ),
    "accuracy": lambda p, t, /, weights=None: sm.accuracy_score(
        t, p.argmax(-1), sample_weight=weights
    ),
    "zero_one_loss": lambda p, t, /, weights=None: sm.zero_one_loss(
        t, p.argmax(-1), sample_weight=weights
    ),
    "top_k_accuracy": lambda p, t, /, k=5, weights=None: sm.top_k_accuracy_score(
        t, p, k=k, labels=labels(p), sample_weight=weights
    ),
    "Precision": averaged(sm.precision_score),
    "Recall": averaged(sm.recall_score),
    "F1Score": averaged(sm.f1_score),
    "FBeta": fbeta,
    "JaccardScore": averaged(sm.jaccard_score),
    "ConfusionMatrix": classes_of(sm.confusion_matrix),
    "BalancedAccuracy": classes_of(sm.balanced_accuracy_score),
    "CohenKappa": classes_of(sm.cohen_kappa_score),
    "MatthewsCorrelation": classes_of(sm.matthews_corrcoef),
    "binary_accuracy": binary(sm.accuracy_score),
    "binary_precision": binary(sm.precision_score),
    "binary_recall": binary(sm.recall_score),
    "binary_f1_score": binary(sm.f1_score),
    "binary_jaccard_score": binary(sm.jaccard_score),
    "roc_auc_score": of(sm.roc_auc_score),
    "average_precision_score": of(sm.average_precision_score),
    "ndcg": lambda p, t, /, k=None, gain="exponential", weights=None: sm.ndcg_score(
        gains(t, gain), p, k=k, sample_weight=weights
    ),
    "dcg": lambda p, t, /, k=None, gain="exponential", weights=None: sm.dcg_score(
        gains(t, gain), p, k=k, sample_weight=weights
    ),
    "default_weighting": of(sm.mean_absolute_error),
    "accuracy_of_logits": lambda p, t, /: sm.accuracy_score(t, p > 0),
    "compiled_by_jax": under_jax_jit,
}


def peer() -> Peer:
    return Peer("scikit-learn", ("scikit-learn",), "numpy", METRICS)
