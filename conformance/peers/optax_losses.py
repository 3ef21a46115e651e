"""optax.losses: one number a sample, whose mean is the caller's; classes last; logarithms for KL."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax.losses as ol

from .peer import Peer


def soft_cross_entropy(p, t, /, label_smoothing=0.0):
    # the variant that is safe for logits of -inf
    return ol.safe_softmax_cross_entropy(p, ol.smooth_labels(t, label_smoothing))


def cross_entropy(p, t, /, label_smoothing=0.0):
    if label_smoothing:
        return soft_cross_entropy(p, jax.nn.one_hot(t, p.shape[-1]), label_smoothing)
    return ol.softmax_cross_entropy_with_integer_labels(p, t)


def triplet_margin(anchor, others, /, margin=1.0, p=2.0):
    return ol.triplet_margin_loss(anchor, *others, norm_degree=p, margin=margin, eps=1e-12)


def dice(p, t, /, smoothing=0.0):
    # which refuses what does not add up to 1: an image of two classes, the first left out;
    # what is added to 2 TP here is added to TP there
    p, t = (jnp.stack([1 - x, x], axis=-1) for x in (p, t))
    return ol.dice_loss(p, t, smooth=smoothing / 2, apply_softmax=False, ignore_background=True)


def ctc(p, t, /, blank=0):
    labels, frames, lengths = t
    padded = lambda size, n: (jnp.arange(size) >= n[:, None]).astype(p.dtype)  # noqa: E731
    return ol.ctc_loss(
        p, padded(p.shape[1], frames), labels, padded(labels.shape[1], lengths), blank_id=blank
    )


def dpo(p, t, /, beta=0.1):
    gain = beta * ((p[0] - p[1]) - (t[0] - t[1]))
    return ol.sigmoid_binary_cross_entropy(gain, jnp.ones_like(gain))


EACH: dict[str, Any] = {
    "mean_squared_error": lambda p, t, /: ol.squared_error(p, t),
    "half_squared_error": lambda p, t, /: ol.l2_loss(p, t),
    "huber": lambda p, t, /, delta=1.0: ol.huber_loss(p, t, delta=delta),
    "log_cosh": lambda p, t, /: ol.log_cosh(p, t),
    "cosine_similarity": lambda p, t, /: ol.cosine_similarity(p, t),
    "cosine_distance": lambda p, t, /: ol.cosine_distance(p, t),
    "hinge": lambda p, t, /: ol.hinge_loss(p, t),
    "multiclass_hinge": lambda p, t, /: ol.multiclass_hinge_loss(p, t),
    "sigmoid_cross_entropy": lambda p, t, /, label_smoothing=0.0: ol.sigmoid_binary_cross_entropy(
        p, t * (1 - label_smoothing) + label_smoothing / 2
    ),
    "sigmoid_focal": lambda p, t, /, gamma=2.0, alpha=None: ol.sigmoid_focal_loss(
        p, t, gamma=gamma, alpha=alpha
    ),
    "softmax_cross_entropy": cross_entropy,
    "softmax_cross_entropy_with_probabilities": soft_cross_entropy,
    "kl_divergence": lambda p, t, /: ol.kl_divergence(jnp.log(p), t),
    "kl_divergence_with_logits": lambda p, t, /: ol.kl_divergence(jax.nn.log_softmax(p), t),
    "listnet": lambda p, t, /: ol.ranking_softmax_loss(p, jax.nn.softmax(t)),
    "triplet_margin": triplet_margin,
    "dice_loss": dice,
    "ctc": ctc,
    "bpr": lambda p, t, /: ol.sigmoid_binary_cross_entropy(p - t, jnp.ones_like(p)),
    "dpo": dpo,
}


def mean_of(each: Any) -> Any:
    @functools.wraps(each)  # whose parameters are what it is asked for
    def mean(*arrays: Any, **parameters: Any) -> Any:
        return jnp.mean(each(*arrays, **parameters))

    return mean


METRICS = {name: mean_of(each) for name, each in EACH.items()} | {
    "root_mean_squared_error": lambda p, t, /: jnp.sqrt(jnp.mean(ol.squared_error(p, t))),
    "perplexity": lambda p, t, /: jnp.exp(
        jnp.mean(ol.softmax_cross_entropy_with_integer_labels(p, t))
    ),
}


def peer() -> Peer:
    return Peer("optax", ("optax", "jax"), "jax", METRICS)
