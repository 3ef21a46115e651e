"""keras: targets first, classes last; the losses as classes, the rest as metrics, on either backend.

The reduction is the one that divides by the sum of the weights; percentages and signs are undone.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from .peer import NotOffered, Peer

LIBRARIES = {"jax": "JAX", "torch": "PyTorch"}
MEAN = "mean_with_sample_weight"


def peer(backend: str) -> Peer:
    os.environ["KERAS_BACKEND"] = backend
    keras = importlib.import_module("keras")
    losses, metrics, ops = keras.losses, keras.metrics, keras.ops

    def column(x: Any) -> Any:
        return x[:, None] if x.ndim == 1 else x  # a sample is a row: the last axis is averaged

    def loss(kind: Any, factor: float = 1.0, **names: str) -> Any:
        """Return a function, of whose options `names` says what they are here."""

        def value(p, t, /, weights=None, **chosen):
            mapped = {names[name]: x for name, x in chosen.items()}
            call = kind(reduction=MEAN, **mapped)
            return call(column(t), column(p), sample_weight=weights) * factor

        return with_options(value, names)

    def log_loss(p, t, /, weights=None):
        return losses.SparseCategoricalCrossentropy(reduction=MEAN)(t, p, sample_weight=weights)

    def metric(kind: Any, shape: Any = column, **fixed: Any) -> Any:
        def value(p, t, /, weights=None):
            one = kind(**fixed)
            one.update_state(shape(t), shape(p), sample_weight=weights)
            return one.result()

        return value

    def correlation(kind: Any) -> Any:
        # a row is a sample of its own, so that there is one weight for all of it
        return lambda p, t, /: metric(kind, **along)(p, t)

    def over_batches(kind: Any, shape: Any = column, **fixed: Any) -> Any:
        def value(batches, _=None, /):
            one = kind(**fixed)
            for p, t, *w in batches:
                one.update_state(shape(t), shape(p), sample_weight=w[0] if w else None)
            return one.result()

        return value

    def one_hot(t: Any, p: Any) -> Any:
        return ops.one_hot(t, p.shape[-1])

    def cross_entropy(p, t, /, weights=None, ignore_index=None):
        call = losses.SparseCategoricalCrossentropy(
            from_logits=True, ignore_class=ignore_index, reduction=MEAN
        )
        return call(t, p, sample_weight=weights)

    def soft_cross_entropy(p, t, /, weights=None, label_smoothing=0.0):
        call = losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=label_smoothing, reduction=MEAN
        )
        return call(t, p, sample_weight=weights)

    def sigmoid_cross_entropy(p, t, /, weights=None, label_smoothing=0.0):
        call = losses.BinaryCrossentropy(
            from_logits=True, label_smoothing=label_smoothing, reduction=MEAN
        )
        return call(column(t), column(p), sample_weight=weights)

    def sigmoid_focal(p, t, /, weights=None, gamma=2.0, alpha=None):
        balanced = {} if alpha is None else {"apply_class_balancing": True, "alpha": alpha}
        call = losses.BinaryFocalCrossentropy(
            from_logits=True, gamma=gamma, reduction=MEAN, **balanced
        )
        return call(column(t), column(p), sample_weight=weights)

    def softmax_focal(p, t, /, weights=None, gamma=2.0):
        call = losses.CategoricalFocalCrossentropy(
            from_logits=True, gamma=gamma, alpha=1.0, reduction=MEAN
        )
        return call(one_hot(t, p), p, sample_weight=weights)

    def multiclass_hinge(p, t, /, weights=None):
        return losses.CategoricalHinge(reduction=MEAN)(one_hot(t, p), p, sample_weight=weights)

    def poisson(p, t, /, log_input=True, weights=None):
        if log_input:
            raise NotOffered
        return losses.Poisson(reduction=MEAN)(column(t), column(p), sample_weight=weights)

    def dice(p, t, /):
        return ops.mean(losses.Dice(axis=1, reduction="none")(t, p))

    def tversky(p, t, /, alpha_fp=0.5, beta_fn=0.5):
        call = losses.Tversky(alpha=alpha_fp, beta=beta_fn, axis=1, reduction="none")
        return ops.mean(call(t, p))

    def many_samples(batches, _=None, /):
        one = metrics.Mean()
        for p, t, w in batches:
            one.update_state(abs(p - t), sample_weight=w)
        return one.result()

    def f_score(beta: float) -> Any:
        def value(p, t, /, num_classes, average="macro", weights=None):
            one = metrics.FBetaScore(average=average, beta=beta)
            one.update_state(
                ops.one_hot(t, num_classes), ops.one_hot(p, num_classes), sample_weight=weights
            )
            return one.result()

        return value

    def jaccard(p, t, /, num_classes, weights=None):
        one = metrics.MeanIoU(num_classes=num_classes)
        one.update_state(t, p, sample_weight=weights)
        return one.result()

    def at_threshold(kind: Any) -> Any:
        def value(p, t, /, threshold=0.5, weights=None):
            one = kind(thresholds=0.5)  # which must lie in [0, 1]
            one.update_state(t, ops.cast(p >= threshold, "float32"), sample_weight=weights)
            return one.result()

        return value

    def binary_accuracy(p, t, /, threshold=0.5, weights=None):
        one = metrics.BinaryAccuracy()
        one.update_state(
            column(t), column(ops.cast(p >= threshold, "float32")), sample_weight=weights
        )
        return one.result()

    def top_k(p, t, /, k=5, weights=None):
        one = metrics.SparseTopKCategoricalAccuracy(k=k)
        one.update_state(t, p, sample_weight=weights)
        return one.result()

    along = {"shape": lambda x: x[None], "axis": -1}
    found: dict[str, Any] = {
        "mean_squared_error": loss(losses.MeanSquaredError),
        "mean_squared_error: the function": lambda p, t, /: ops.mean(
            losses.mean_squared_error(column(t), column(p))
        ),
        "mean_absolute_error": loss(losses.MeanAbsoluteError),
        "mean_absolute_percentage_error": loss(losses.MeanAbsolutePercentageError, 0.01),
        "mean_squared_log_error": loss(losses.MeanSquaredLogarithmicError),
        "root_mean_squared_error": metric(metrics.RootMeanSquaredError),
        "huber": loss(losses.Huber, delta="delta"),
        "log_cosh": loss(losses.LogCosh),
        "poisson_nll": poisson,
        "cosine_similarity": loss(losses.CosineSimilarity, -1.0),
        "binary_cross_entropy": loss(losses.BinaryCrossentropy, label_smoothing="label_smoothing"),
        "sigmoid_cross_entropy": sigmoid_cross_entropy,
        "sigmoid_focal": sigmoid_focal,
        "hinge": loss(losses.Hinge),
        "squared_hinge": loss(losses.SquaredHinge),
        "softmax_cross_entropy": cross_entropy,
        "softmax_cross_entropy_with_probabilities": soft_cross_entropy,
        "log_loss": log_loss,
        "softmax_focal": softmax_focal,
        "multiclass_hinge": multiclass_hinge,
        "kl_divergence": loss(losses.KLDivergence),
        "dice_loss": dice,
        "tversky": tversky,
        "r2_score": metric(metrics.R2Score),
        "pearson_correlation": correlation(metrics.PearsonCorrelation),
        "concordance_correlation": correlation(metrics.ConcordanceCorrelation),
        "accuracy": metric(metrics.SparseCategoricalAccuracy, lambda x: x),
        "top_k_accuracy": top_k,
        "binary_accuracy": binary_accuracy,
        "binary_precision": at_threshold(metrics.Precision),
        "binary_recall": at_threshold(metrics.Recall),
        "F1Score": f_score(1.0),
        "JaccardScore": jaccard,
        "roc_auc_score": metric(metrics.AUC, lambda x: x),
        "default_weighting": lambda p, t, /, weights: losses.MeanAbsoluteError()(
            column(t), column(p), sample_weight=weights
        ),
    }  # fmt: skip
    streamed = {
        "mean_squared_error": over_batches(metrics.MeanSquaredError),
        "mean_absolute_error": over_batches(metrics.MeanAbsoluteError),
        "root_mean_squared_error": over_batches(metrics.RootMeanSquaredError),
        "mean_squared_log_error": over_batches(metrics.MeanSquaredLogarithmicError),
        "log_cosh": over_batches(metrics.LogCoshError),
        "cosine_similarity": over_batches(metrics.CosineSimilarity),
        "kl_divergence": over_batches(metrics.KLDivergence),
        "hinge": over_batches(metrics.Hinge),
        "squared_hinge": over_batches(metrics.SquaredHinge),
        "binary_cross_entropy": over_batches(metrics.BinaryCrossentropy),
        "softmax_cross_entropy": over_batches(
            metrics.SparseCategoricalCrossentropy, lambda x: x, from_logits=True
        ),
        "accuracy": over_batches(metrics.SparseCategoricalAccuracy, lambda x: x),
        "r2_score": over_batches(metrics.R2Score),
        "pearson_correlation": over_batches(metrics.PearsonCorrelation, **along),
        "concordance_correlation": over_batches(metrics.ConcordanceCorrelation, **along),
        "roc_auc_score": over_batches(metrics.AUC, lambda x: x),
        "many_samples": many_samples,
    }

    def mean_of(function: Any) -> Any:
        return lambda p, t, /: ops.mean(function(t, p))

    as_they_are = {
        name: mean_of(function)
        for name, function in {
            "mean_squared_error": losses.mean_squared_error,
            "mean_absolute_error": losses.mean_absolute_error,
            "mean_squared_log_error": losses.mean_squared_logarithmic_error,
            "huber": losses.huber,
            "log_cosh": losses.log_cosh,
            "binary_cross_entropy": losses.binary_crossentropy,
            "hinge": losses.hinge,
            "squared_hinge": losses.squared_hinge,
        }.items()
    }
    return Peer(f"Keras ({LIBRARIES[backend]})", ("keras", backend), backend, found, streamed,
                as_they_are)  # fmt: skip


def with_options(function: Any, names: Any) -> Any:
    """Give a function of any options the signature of those that it has."""
    import inspect

    kinds = inspect.Parameter
    parameters = [kinds(x, kinds.POSITIONAL_ONLY) for x in "pt"]
    parameters += [kinds(x, kinds.KEYWORD_ONLY, default=None) for x in ("weights", *names)]
    function.__signature__ = inspect.Signature(parameters)
    return function
