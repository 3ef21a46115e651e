"""torch.nn.functional: class axis 1, weights in some, KL of logarithms of the predictions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from .peer import Peer

NONE = -100  # what `ignore_index` is where there is none


def class_weights(chosen: Any, like: Any) -> Any:
    return None if chosen is None else torch.tensor(chosen, dtype=like.dtype)


def cross_entropy(p, t, /, ignore_index=None, label_smoothing=0.0, class_weights=None):
    weight = None if class_weights is None else torch.tensor(class_weights, dtype=p.dtype)
    ignored = NONE if ignore_index is None else ignore_index
    return F.cross_entropy(
        p, t.long(), weight, ignore_index=ignored, label_smoothing=label_smoothing
    )


def soft_cross_entropy(p, t, /, label_smoothing=0.0, class_weights=None):
    weight = None if class_weights is None else torch.tensor(class_weights, dtype=p.dtype)
    return F.cross_entropy(p, t, weight, label_smoothing=label_smoothing)


def ctc(p, t, /, blank=0):
    labels, frames, lengths = (x.long() for x in t)
    logs = F.log_softmax(p, -1).transpose(0, 1)
    return F.ctc_loss(logs, labels, frames, lengths, blank=blank, reduction="none").mean()


def binary_cross_entropy(p, t, /, weights=None):
    if weights is None:
        return F.binary_cross_entropy(p, t)
    return F.binary_cross_entropy(p, t, weight=weights, reduction="sum") / weights.sum()


def triplet_margin(anchor, others, /, margin=1.0, p=2.0):
    return F.triplet_margin_loss(anchor, *others, margin=margin, p=p, eps=0.0)


METRICS = {
    "mean_squared_error": lambda p, t, /, weights=None: F.mse_loss(p, t, weight=weights),
    "root_mean_squared_error": lambda p, t, /, weights=None: F.mse_loss(p, t, weight=weights).sqrt(),
    "half_squared_error": lambda p, t, /, weights=None: F.mse_loss(p, t, weight=weights) / 2,
    "mean_absolute_error": lambda p, t, /, weights=None: F.l1_loss(p, t, weight=weights),
    "huber": lambda p, t, /, weights=None, delta=1.0: F.huber_loss(p, t, delta=delta, weight=weights),
    "smooth_l1": lambda p, t, /, beta=1.0: F.smooth_l1_loss(p, t, beta=beta),
    "poisson_nll": lambda p, t, /, log_input=True, full=False: F.poisson_nll_loss(
        p, t, log_input=log_input, full=full
    ),
    "gaussian_nll": lambda p, t, /, full=True: F.gaussian_nll_loss(
        p[0], t, p[1], full=full, eps=1e-38
    ),
    "gaussian_nll: default eps": lambda p, t, /: F.gaussian_nll_loss(p[0], t, p[1], full=True),
    "cosine_similarity": lambda p, t, /: F.cosine_similarity(p, t, dim=-1).mean(),
    "cosine_distance": lambda p, t, /: 1 - F.cosine_similarity(p, t, dim=-1).mean(),
    "binary_cross_entropy": binary_cross_entropy,
    "sigmoid_cross_entropy": lambda p, t, /, pos_weight=None: F.binary_cross_entropy_with_logits(
        p, t, pos_weight=class_weights(pos_weight, p)
    ),
    "softmax_cross_entropy": cross_entropy,
    "softmax_cross_entropy_with_probabilities": soft_cross_entropy,
    "negative_log_likelihood": lambda p, t, /, ignore_index=None: F.nll_loss(
        p, t.long(), ignore_index=NONE if ignore_index is None else ignore_index
    ),
    "log_loss": lambda p, t, /: F.nll_loss(p.log(), t.long()),
    "perplexity": lambda p, t, /: F.cross_entropy(p, t.long()).exp(),
    "kl_divergence": lambda p, t, /: F.kl_div(p.log(), t, reduction="batchmean"),
    "kl_divergence_with_logits": lambda p, t, /: F.kl_div(
        F.log_softmax(p, -1), t, reduction="batchmean"
    ),
    "hinge": lambda p, t, /, margin=1.0: F.margin_ranking_loss(p, torch.zeros_like(p), t, margin),
    "margin_ranking": lambda p, t, /, margin=0.0: F.margin_ranking_loss(*p, t, margin),
    "cosine_embedding": lambda p, t, /, margin=0.0: F.cosine_embedding_loss(*p, t, margin),
    "triplet_margin": triplet_margin,
    "bpr": lambda p, t, /: F.soft_margin_loss(p - t, torch.ones_like(p)),
    "dpo": lambda p, t, /, beta=0.1: F.soft_margin_loss(
        beta * ((p[0] - p[1]) - (t[0] - t[1])), torch.ones_like(p[0])
    ),
    "ctc": ctc,
    "default_weighting": lambda p, t, /, weights: F.l1_loss(p, t, weight=weights),
}  # fmt: skip


def peer() -> Peer:
    return Peer("torch.nn.functional", ("torch",), "torch", METRICS)
