"""The error of textbook formulas in float32, and of isoloss, against float64."""

import matplotlib.pyplot as plt
import numpy as np

import isoloss as il

FLOOR = 1e-9  # what is exact is drawn here


def error(computed, exact):
    return np.maximum(np.abs(np.asarray(computed, float) / exact - 1), FLOOR)


x = np.float32(np.logspace(-5, 2, 300))
exact = x.astype(float) + np.log1p(np.exp(-2 * x.astype(float))) - np.log(2)
small = x < 0.01  # where float64 cancels too, the series
exact[small] = (x.astype(float) ** 2 / 2 - x.astype(float) ** 4 / 12)[small]
with np.errstate(over="ignore"):
    textbook = np.log(np.cosh(x))
ours = il.log_cosh(x, np.zeros_like(x), reduction="none")

rng = np.random.default_rng(0)
offsets = np.logspace(0, 5, 40)
r2 = []
for offset in offsets:
    y = np.float32(offset + rng.normal(size=1000))
    p = np.float32(y + 0.5 * rng.normal(size=1000))
    t = y.astype(float)
    right = 1 - np.sum((p.astype(float) - t) ** 2) / np.sum((t - t.mean()) ** 2)
    sums = np.sum(y * y) - np.square(np.sum(y)) / np.float32(1000)
    with np.errstate(divide="ignore"):
        textbook_r2 = 1 - np.sum((p - y) ** 2) / sums
    r2.append((error(textbook_r2, right), error(il.r2(p, y), right)))

figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
left.loglog(x, error(textbook, exact), "C3.", markersize=3, label="log(cosh(x))")
left.loglog(x, error(ours, exact), "C0.", markersize=3, label="il.log_cosh")
left.axvspan(89.4, 100, color="C3", alpha=0.2)
left.set(title="log cosh in float32", xlabel="x", ylabel="relative error", ylim=(5e-10, 30))
left.legend(frameon=False)
right.loglog(offsets, [a for a, _ in r2], "C3.", label="by Σy² - (Σy)²/n")
right.loglog(offsets, [b for _, b in r2], "C0.", label="il.r2_score")
right.set(title="R2 of float32 targets far from 0", xlabel="mean of the targets", ylim=(5e-10, 30))
right.legend(frameon=False)
for axis in (left, right):
    axis.axhline(2.0**-24, color="0.6", linewidth=0.8, linestyle="--")
    axis.grid(alpha=0.3)
