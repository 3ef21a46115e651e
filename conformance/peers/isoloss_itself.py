"""isoloss: the same names, and nothing to adapt."""

from __future__ import annotations

import inspect
from typing import Any

import isoloss as il

from .peer import Function, Peer

# what optax and Keras have too: of more, JAX would compile programs for minutes
ON_JAX = (
    "F1Score",
    "JaccardScore",
    "accuracy",
    "binary_accuracy",
    "binary_cross_entropy",
    "binary_precision",
    "binary_recall",
    "bpr",
    "concordance_correlation",
    "cosine_distance",
    "cosine_similarity",
    "ctc",
    "dice_loss",
    "dpo",
    "half_squared_error",
    "hinge",
    "huber",
    "kl_divergence",
    "kl_divergence_with_logits",
    "listnet",
    "log_cosh",
    "log_loss",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_log_error",
    "multiclass_hinge",
    "pearson_correlation",
    "perplexity",
    "poisson_nll",
    "r2_score",
    "roc_auc_score",
    "root_mean_squared_error",
    "sigmoid_cross_entropy",
    "sigmoid_focal",
    "softmax_cross_entropy",
    "softmax_cross_entropy_with_probabilities",
    "softmax_focal",
    "squared_hinge",
    "top_k_accuracy",
    "triplet_margin",
    "tversky",
)
ELSEWHERE = (
    "BalancedAccuracy",
    "CohenKappa",
    "ConfusionMatrix",
    "FBeta",
    "MatthewsCorrelation",
    "NegativePredictiveValue",
    "PSNR",
    "Precision",
    "Recall",
    "SSIM",
    "Specificity",
    "average_precision_score",
    "binary_expected_calibration_error",
    "binary_f1_score",
    "binary_jaccard_score",
    "binary_negative_predictive_value",
    "binary_specificity",
    "cosine_embedding",
    "d2_absolute_error_score",
    "d2_brier_score",
    "d2_log_loss_score",
    "d2_pinball_score",
    "d2_tweedie_score",
    "dcg",
    "expected_calibration_error",
    "explained_variance_score",
    "gamma_deviance",
    "gaussian_nll",
    "hit_rate",
    "jensen_shannon_divergence",
    "kendall_tau_b",
    "margin_ranking",
    "max_error",
    "mean_average_precision",
    "mean_reciprocal_rank",
    "median_absolute_error",
    "multiclass_brier_score",
    "ndcg",
    "negative_log_likelihood",
    "pinball",
    "poisson_deviance",
    "precision_at_k",
    "recall_at_k",
    "root_mean_squared_log_error",
    "smooth_l1",
    "spearman",
    "symmetric_mean_absolute_percentage_error",
    "tweedie_deviance",
    "weighted_absolute_percentage_error",
    "zero_one_loss",
)
LIBRARIES = {"numpy": ("NumPy", "numpy"), "jax": ("JAX", "jax"), "torch": ("PyTorch", "torch")}


def made(name: str, parameters: dict[str, Any]) -> il.Metric:
    default = getattr(il, name)
    kind = default if inspect.isclass(default) else type(default)
    return kind(**parameters) if parameters else default


def of(name: str) -> Function:
    """Return a function that takes exactly the options of a metric."""

    def function(p: Any, t: Any, /, weights: Any = None, **parameters: Any) -> Any:
        return made(name, parameters)(p, t, weights=weights)

    function.name = name  # type: ignore[attr-defined]
    return function


def streamed(name: str) -> Function:
    def function(batches: Any, _: Any = None, /, **parameters: Any) -> Any:
        return il.over_batches({name: made(name, parameters)}, batches)[name]

    return function


def compiled_by_jax(p: Any, t: Any) -> Any:
    import jax

    arrays = (jax.numpy.asarray(x.tolist()) for x in (p, t))
    return float(jax.jit(il.mean_squared_error)(*arrays))


def negation(p: Any, t: Any) -> list[Any]:
    return [il.Scaled(il.r2_score, -1.0)(p, t), il.Scaled(il.r2_score, 1.0)(p, t)]


def two_thresholds(batches: Any, _: Any = None) -> list[Any]:
    chosen = {str(x): il.BinaryAccuracy(threshold=x) for x in (0.5, 0.7)}
    return list(il.over_batches(chosen, batches).values())


# what has no name of its own: a case is about how a library does it
SPECIAL: dict[str, Function] = {
    "default_weighting": of("mean_absolute_error"),
    "accuracy_of_logits": lambda p, t: il.BinaryAccuracy(threshold=0.0)(p, t),
    "negation": negation,
    "compiled_by_jax": compiled_by_jax,
}
SPECIAL_STREAMED: dict[str, Function] = {
    "many_samples": streamed("mean_absolute_error"),
    "two_thresholds": two_thresholds,
}


def peer(library: str) -> Peer:
    title, package = LIBRARIES[library]
    names = ON_JAX if library == "jax" else (*ON_JAX, *ELSEWHERE)
    metrics = {name: of(name) for name in names} | SPECIAL
    batches = {name: streamed(name) for name in names} | SPECIAL_STREAMED
    found = Peer(f"isoloss ({title})", ("isoloss", package), package, metrics, batches)
    if library == "numpy":  # which has no derivatives of its own
        found.differentiate = lambda value: (
            lambda p, t, w=None: il.gradient(lambda q, _: value(q, t, w), p, t)
        )
        found.bend = lambda function, parameters: (
            lambda p, t: il.gradient_hessian(made(function.name, parameters), p, t)[1]
        )
    return found
