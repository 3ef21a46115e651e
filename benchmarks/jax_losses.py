"""Losses of JAX, compiled, beside optax: values, and values with their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ratios import Case, Result

import isoloss as il

TARGET = 1.1


def _mean(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return lambda p, t: function(p, t, **options).mean()


def losses() -> Iterator[Case | Result]:
    """Yield compiled calls and gradients."""
    import jax
    import jax.numpy as jnp
    from optax import losses as optax

    def divergence(z: Any, t: Any) -> Any:
        return optax.kl_divergence(jax.nn.log_softmax(z), t).mean()

    def dice(p: Any, t: Any) -> Any:
        return (1 - 2 * (p * t).sum(-1) / (p.sum(-1) + t.sum(-1))).mean()

    def info_nce(p: Any, t: Any) -> Any:
        p, t = (x / jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (p, t))
        labels = jnp.arange(len(p))
        return optax.softmax_cross_entropy_with_integer_labels(p @ t.T / 0.07, labels).mean()

    of_labels = _mean(optax.softmax_cross_entropy_with_integer_labels)
    keys = iter(jax.random.split(jax.random.key(0), 64))

    def normal(*shape: int) -> Any:
        return jax.random.normal(next(keys), shape)

    def labels(n: int, classes: int) -> Any:
        return jax.random.randint(next(keys), (n,), 0, classes)

    rows: list[tuple[str, Any, Any, Any]] = []
    for size in (1_000, 1_000_000, 10_000_000):
        p, t = 2 * normal(size), normal(size)
        rows += [
            ("mean_squared_error", il.mse, _mean(optax.squared_error), (p, t)),
            ("huber", il.huber, _mean(optax.huber_loss), (p, t)),
            ("log_cosh", il.log_cosh, _mean(optax.log_cosh), (p, t)),
            ("sigmoid_cross_entropy", il.sigmoid_cross_entropy,
             _mean(optax.sigmoid_binary_cross_entropy), (p, (t > 0).astype("float32"))),
        ]  # fmt: skip
    for n, classes in ((32, 10), (100_000, 10), (8192, 1000), (1024, 32_000)):
        work = f"softmax_cross_entropy {n} x {classes}"
        data = 3 * normal(n, classes), labels(n, classes)
        rows.append((work, il.softmax_cross_entropy, of_labels, data))
    z, shares = 3 * normal(8192, 1000), jax.nn.softmax(normal(8192, 1000))
    soft = il.softmax_cross_entropy_with_probabilities
    a, b = normal(8192, 256), normal(8192, 256)
    p, t = jax.nn.sigmoid(normal(16, 65_536)), (normal(16, 65_536) > 0).astype("float32")
    rows += [
        ("softmax_cross_entropy_with_probabilities 8192 x 1000", soft,
         _mean(optax.softmax_cross_entropy), (z, shares)),
        ("kl_divergence_with_logits 8192 x 1000", il.kl_divergence_with_logits, divergence,
         (z, shares)),
        ("cosine_similarity 8192 x 256", il.cosine_similarity, _mean(optax.cosine_similarity),
         (a, b)),
        ("dice_loss 16 x 65536", il.dice_loss, dice, (p, t)),
        ("info_nce 1024 x 256", il.info_nce, info_nce, (a[:1024], b[:1024])),
    ]  # fmt: skip
    for work, ours, theirs, data in rows:
        for kind, transform in (("", lambda f: f), (", value and gradient", jax.value_and_grad)):
            both = (jax.jit(transform(lambda p, t, f=f: f(p, t))) for f in (ours, theirs))
            calls = (partial(lambda f, d: jax.block_until_ready(f(*d)), f, data) for f in both)
            row = ("JAX jitted", f"{work}{kind}", data[0].size, "optax jitted")
            yield Case(*row, TARGET, *calls)
