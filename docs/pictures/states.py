"""The mean of the correlations of two batches is not the correlation of both."""

import matplotlib.pyplot as plt
import numpy as np
from themes import INK

import isoloss as il

rng = np.random.default_rng(1)
left = rng.normal(size=60)
batches = [(shift + left, shift - 0.8 * left + 0.4 * rng.normal(size=60)) for shift in (0.0, 6.0)]
r = il.pearson_correlation
states = [r.summary(*batch) for batch in batches]
alone = [float(r.compute(state)) for state in states]
whole = float(r.compute(states[0].merge(states[1])))

figure, (points, bars) = plt.subplots(
    1, 2, figsize=(8.5, 3.2), width_ratios=(3, 2), layout="constrained"
)
for number, batch in enumerate(batches, 1):
    points.scatter(*batch, s=14, label=f"batch {number}: r = {alone[number - 1]:.2f}")
points.set(xlabel="prediction", ylabel="target")
points.legend(frameon=False, loc="upper left")
labels = ["mean of the batches", "merged states", "all samples at once"]
values = [sum(alone) / 2, whole, float(r(*np.hstack(batches)))]
drawn = bars.barh(labels, values, color=["C3", "C0", "C0"])
bars.bar_label(drawn, fmt="%.3f", padding=4)
bars.axvline(0, color=INK, linewidth=0.8)
bars.set(xlim=(-1.9, 1.6), title="Pearson correlation")
bars.invert_yaxis()
