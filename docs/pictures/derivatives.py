"""Four functions at their kinks, and the derivatives three libraries give there."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import torch

import isoloss as il

x = np.linspace(-1, 1, 401)


def by_jax(function, at=0.0):
    return float(jax.grad(function)(jnp.float32(at)))


def by_torch(function, at=0.0):
    return float(torch.func.grad(function)(torch.tensor(at)))


def ours(metric):
    return float(il.gradient(metric, np.zeros(1), np.zeros(1))[0])


def jax_cosine(p):
    one, two = jnp.stack([p, 0 * p]), jnp.ones(2)
    return one @ two / (jnp.linalg.norm(one) * jnp.linalg.norm(two))


def torch_cosine(p):
    return torch.nn.functional.cosine_similarity(torch.stack([p, 0 * p]), torch.ones(2), dim=0)


cases = [
    ("|e|", np.abs(x), by_jax(jnp.abs), by_torch(torch.abs), ours(il.mae)),
    (
        "root of the mean of e²", np.abs(x),
        by_jax(lambda p: jnp.sqrt(p * p)), by_torch(lambda p: torch.sqrt(p * p)), ours(il.rmse),
    ),
    (
        "cosine of (e, 0) and (1, 1)", np.sign(x) / np.sqrt(2),
        by_jax(jax_cosine), by_torch(torch_cosine),
        float(il.gradient(il.cosine_similarity, np.zeros(2), np.ones(2))[0]),
    ),
    (
        "hinge, y = 1, at the margin", np.maximum(0, -x),
        by_jax(lambda p: jnp.maximum(0, -p)), by_torch(lambda p: torch.clamp(-p, min=0)),
        float(il.gradient(il.hinge, np.ones(1), np.ones(1))[0]),
    ),
]  # fmt: skip

figure, axes = plt.subplots(2, 2, figsize=(8.5, 6), layout="constrained")
for axis, (title, value, *slopes) in zip(axes.flat, cases, strict=True):
    axis.plot(x, value, color="0.75", linewidth=3)
    for slope, name, style in zip(
        slopes, ("JAX", "PyTorch", "isoloss"), ("C1--", "C3:", "C0-"), strict=True
    ):
        shown = f"{name}: {slope:.3g}"
        if abs(slope) < 10:
            near = x[np.abs(x) < 0.4]
            axis.plot(near, slope * near, style, linewidth=2, label=shown)
        else:
            axis.plot([], [], style, label=shown)
    axis.set(title=title, ylim=(-0.8, 1.5))
    axis.legend(frameon=False, loc="best", title="derivative at 0")
