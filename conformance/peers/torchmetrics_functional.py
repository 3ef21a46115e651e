"""torchmetrics: functions, and the modular classes over batches; no weights, classes second."""

from __future__ import annotations

from typing import Any

import torch
import torchmetrics as tc
import torchmetrics.functional as tm
import torchmetrics.functional.classification as tf

from .peer import Peer


def averaged(function: Any) -> Any:
    return lambda p, t, /, num_classes, average="macro": function(
        p, t, num_classes=num_classes, average=average
    )


def counted(function: Any) -> Any:
    return lambda p, t, /, num_classes: function(p, t, num_classes=num_classes)


def fbeta(p, t, /, num_classes, beta=1.0, average="macro"):
    return tf.multiclass_fbeta_score(p, t, beta=beta, num_classes=num_classes, average=average)


def binary(function: Any) -> Any:
    """Return a function of scores; they are cut here, for it may take them for logits."""
    return lambda p, t, /, threshold=0.5: function((p >= threshold).int(), t)


def for_each_query(function: Any, k: int | None = None) -> Any:
    def mean(p, t, /, k=k):
        rows = [function(a, b.int(), top_k=k) for a, b in zip(p, t, strict=True)]
        return torch.stack(rows).mean()

    return mean


def average_precision(p, t, /):
    # of the first k it is another quantity, divided by the hits among them
    return for_each_query(tm.retrieval_average_precision)(p, t)


def reciprocal_rank(p, t, /):
    found = [tm.retrieval_reciprocal_rank(a, b.int()) for a, b in zip(p, t, strict=True)]
    return torch.stack(found).mean()


def ndcg(p, t, /, k=None, gain="exponential"):
    t = 2.0**t - 1 if gain == "exponential" else t
    rows = [tm.retrieval_normalized_dcg(a, b, top_k=k) for a, b in zip(p, t, strict=True)]
    return torch.stack(rows).mean()


def over_batches(kind: Any, **fixed: Any) -> Any:
    """Return a function of batches, of a class."""

    def value(batches, _=None, /, **parameters):
        metric = kind(**fixed, **parameters)
        for p, t in batches:
            metric.update(p, t)
        return metric.compute()

    return value


def many_samples(batches, _=None, /):
    metric = tc.MeanMetric()
    for p, t, w in batches:
        metric.update((p - t).abs(), w)
    return metric.compute()


def two_thresholds(batches, _=None, /):
    kind = tc.classification.BinaryAccuracy
    metrics = tc.MetricCollection({"low": kind(threshold=0.5), "high": kind(threshold=0.7)})
    for p, t in batches:
        metrics.update(p, t)
    found = metrics.compute()
    return [found["low"], found["high"]]


def negation(p, t, /):
    metric = tc.R2Score()
    metric.update(1e4 * p, 1e4 * t)
    return [(-metric).compute(), (+metric).compute()]


def calibration(p, t, /, bins=15, norm="l1"):
    return tf.multiclass_calibration_error(p, t, num_classes=p.shape[-1], n_bins=bins, norm=norm)


def image(function: Any) -> Any:
    return lambda p, t, /, data_range: function(p[:, None], t[:, None], data_range=data_range)


METRICS = {
    "mean_squared_error": lambda p, t, /: tm.mean_squared_error(p, t),
    "root_mean_squared_error": lambda p, t, /: tm.mean_squared_error(p, t, squared=False),
    "mean_absolute_error": lambda p, t, /: tm.mean_absolute_error(p, t),
    "log_cosh": lambda p, t, /: tm.regression.log_cosh_error(p, t),
    "mean_absolute_percentage_error": lambda p, t, /: tm.mean_absolute_percentage_error(p, t),
    "symmetric_mean_absolute_percentage_error": lambda p, t, /: (
        tm.symmetric_mean_absolute_percentage_error(p, t)
    ),
    "weighted_absolute_percentage_error": lambda p, t, /: (
        tm.weighted_mean_absolute_percentage_error(p, t)
    ),
    "mean_squared_log_error": lambda p, t, /: tm.mean_squared_log_error(p, t),
    "poisson_deviance": lambda p, t, /: tm.tweedie_deviance_score(p, t, power=1.0),
    "gamma_deviance": lambda p, t, /: tm.tweedie_deviance_score(p, t, power=2.0),
    "tweedie_deviance": lambda p, t, /, power=1.5: tm.tweedie_deviance_score(p, t, power=power),
    "cosine_similarity": lambda p, t, /: tm.cosine_similarity(p, t, reduction="mean"),
    "r2_score": lambda p, t, /: tm.r2_score(p, t),
    "explained_variance_score": lambda p, t, /: tm.explained_variance(p, t),
    "pearson_correlation": lambda p, t, /: tm.pearson_corrcoef(p, t),
    "spearman": lambda p, t, /: tm.spearman_corrcoef(p, t),
    "kendall_tau_b": lambda p, t, /: tm.kendall_rank_corrcoef(p, t),
    "kl_divergence": lambda p, t, /: tm.kl_divergence(t, p),
    "jensen_shannon_divergence": lambda p, t, /: tm.regression.jensen_shannon_divergence(p, t),
    "perplexity": lambda p, t, /: tm.text.perplexity(p[None], t[None].long()),
    "accuracy": lambda p, t, /: tf.multiclass_accuracy(
        p, t, num_classes=p.shape[-1], average="micro"
    ),
    "top_k_accuracy": lambda p, t, /, k=5: tf.multiclass_accuracy(
        p, t.long(), num_classes=p.shape[-1], average="micro", top_k=k
    ),
    "Precision": averaged(tf.multiclass_precision),
    "Recall": averaged(tf.multiclass_recall),
    "F1Score": averaged(tf.multiclass_f1_score),
    "FBeta": fbeta,
    "Specificity": averaged(tf.multiclass_specificity),
    "NegativePredictiveValue": averaged(tf.multiclass_negative_predictive_value),
    "JaccardScore": averaged(tf.multiclass_jaccard_index),
    "ConfusionMatrix": lambda p, t, /, num_classes, normalize=None: tf.multiclass_confusion_matrix(
        p, t, num_classes=num_classes, normalize=normalize
    ),
    "CohenKappa": counted(tf.multiclass_cohen_kappa),
    "MatthewsCorrelation": counted(tf.multiclass_matthews_corrcoef),
    "binary_accuracy": binary(tf.binary_accuracy),
    "binary_precision": binary(tf.binary_precision),
    "binary_recall": binary(tf.binary_recall),
    "binary_f1_score": binary(tf.binary_f1_score),
    "binary_specificity": binary(tf.binary_specificity),
    "binary_negative_predictive_value": binary(tf.binary_negative_predictive_value),
    "binary_jaccard_score": binary(tf.binary_jaccard_index),
    "roc_auc_score": lambda p, t, /: tf.binary_auroc(p, t.int()),
    "average_precision_score": lambda p, t, /: tf.binary_average_precision(p, t.int()),
    "expected_calibration_error": calibration,
    "binary_expected_calibration_error": lambda p, t, /, bins=15, norm="l1": (
        tf.binary_calibration_error(p, t.int(), n_bins=bins, norm=norm)
    ),
    "mean_average_precision": average_precision,
    "mean_reciprocal_rank": reciprocal_rank,
    "precision_at_k": for_each_query(tm.retrieval_precision, 10),
    "recall_at_k": for_each_query(tm.retrieval_recall, 10),
    "hit_rate": for_each_query(tm.retrieval_hit_rate, 10),
    "ndcg": ndcg,
    "PSNR": lambda p, t, /, data_range: tm.peak_signal_noise_ratio(p, t, data_range=data_range),
    "SSIM": image(tm.structural_similarity_index_measure),
    "accuracy_of_logits": lambda p, t, /: tf.binary_accuracy(p, t.int()),
    "negation": negation,
}

STREAMED = {
    "mean_squared_error": over_batches(tc.MeanSquaredError),
    "root_mean_squared_error": over_batches(tc.MeanSquaredError, squared=False),
    "mean_absolute_error": over_batches(tc.MeanAbsoluteError),
    "log_cosh": over_batches(tc.LogCoshError),
    "mean_absolute_percentage_error": over_batches(tc.MeanAbsolutePercentageError),
    "symmetric_mean_absolute_percentage_error": over_batches(
        tc.SymmetricMeanAbsolutePercentageError
    ),
    "weighted_absolute_percentage_error": over_batches(tc.WeightedMeanAbsolutePercentageError),
    "mean_squared_log_error": over_batches(tc.MeanSquaredLogError),
    "poisson_deviance": over_batches(tc.TweedieDevianceScore, power=1.0),
    "gamma_deviance": over_batches(tc.TweedieDevianceScore, power=2.0),
    "r2_score": over_batches(tc.R2Score),
    "explained_variance_score": over_batches(tc.ExplainedVariance),
    "pearson_correlation": over_batches(tc.PearsonCorrCoef),
    "spearman": over_batches(tc.SpearmanCorrCoef),
    "cosine_similarity": over_batches(tc.CosineSimilarity, reduction="mean"),
    "BalancedAccuracy": over_batches(tc.classification.MulticlassAccuracy, average="macro"),
    "CohenKappa": over_batches(tc.classification.MulticlassCohenKappa),
    "MatthewsCorrelation": over_batches(tc.classification.MulticlassMatthewsCorrCoef),
    "F1Score": over_batches(tc.classification.MulticlassF1Score),
    "roc_auc_score": over_batches(tc.classification.BinaryAUROC),
    "many_samples": many_samples,
    "two_thresholds": two_thresholds,
}


def peer() -> Peer:
    return Peer("torchmetrics", ("torchmetrics", "torch"), "torch", METRICS, STREAMED)
