"""One declaration and what is derived from it."""

import matplotlib.pyplot as plt
import numpy as np

import isoloss as il

error = np.linspace(-3, 3, 601)
zero = np.zeros_like(error)
loss = il.Huber(delta=1.0)
value = loss(error, zero, reduction="none")
gradient, curvature = il.gradient_hessian(loss, error, zero)
batches = np.random.default_rng(0).normal(size=(8, 50))
states = [loss.summary(batch, np.zeros(50)) for batch in batches]
merged = [states[0]]
for state in states[1:]:
    merged.append(merged[-1].merge(state))

figure, axes = plt.subplots(2, 2, figsize=(8.5, 5), layout="constrained")
for axis, line, title in zip(
    axes.flat, (value, gradient, curvature), ("value", "gradient", "curvature"), strict=False
):
    axis.plot(error, line, color="C0", linewidth=2)
    axis.set(title=f"{title} of Huber(delta=1)", xlabel="prediction - target")
    axis.grid(alpha=0.3)
axes.flat[3].plot(
    range(1, 9), [loss.compute(state) for state in states], "o", label="of each batch"
)
axes.flat[3].plot(range(1, 9), [loss.compute(state) for state in merged], "-", label="merged")
axes.flat[3].set(title="states of a stream", xlabel="batches")
axes.flat[3].legend(frameon=False)
axes.flat[3].grid(alpha=0.3)
