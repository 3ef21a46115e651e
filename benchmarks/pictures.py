"""The pictures: ratios against their targets, and time against length beside the memory's limit."""

from __future__ import annotations

import timeit
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt

import isoloss as il

OURS, PEER, MISSED, MUTED = "#0072b2", "#999999", "#d55e00", "#555555"
plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})


def ratios(report: dict[str, Any], path: Path) -> None:
    """Draw one bar for each row, on a logarithmic axis, with a tick at its target."""
    rows = report["results"][::-1]
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.2 * len(rows)), layout="constrained")
    places = np.arange(len(rows))
    colours = [OURS if row["met"] else MISSED for row in rows]
    axes.barh(places, [row["ratio"] for row in rows], color=colours, height=0.65)
    axes.scatter([row["target"] for row in rows], places, marker="|", s=90, color="black", zorder=3)
    labels = [f"{row['group']}: {row['work']}, {row['size']:,} / {row['peer']}" for row in rows]
    axes.set_yticks(places, labels, fontsize=7)
    for place, row in zip(places, rows, strict=True):
        axes.annotate(f"{row['ratio']:.2g}", (max(row["ratio"], row["target"]), place), xytext=(3, 0),
                      textcoords="offset points", va="center", fontsize=7, color=MUTED)  # fmt: skip
    axes.set_xscale("log")
    axes.axvline(1, color=MUTED, lw=0.8, ls=":")
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel("time of isoloss / time of the peer; the tick is the target")
    about = report["environment"]
    axes.set_title(f"{about['processor']}, {about['cores']} cores, {about['date']}", loc="left")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def measured() -> dict[str, list[tuple[int, float]]]:
    """Time the mean squared error at lengths from 10 to 1e8, ours, NumPy's and scikit-learn's."""
    from sklearn.metrics import mean_squared_error as sklearn

    calls = {
        "isoloss": il.mean_squared_error,
        "the NumPy expression": lambda p, t: ((p - t) ** 2).mean(),
        "scikit-learn": lambda p, t: sklearn(t, p),
        "reading both arrays": np.vdot,
    }
    longest = np.random.default_rng(0).random(10**8, dtype=np.float32)
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in calls}
    for exponent in range(1, 9):
        p, t = longest[: 10**exponent], longest[-(10**exponent) :]
        for name, call in calls.items():
            timer = timeit.Timer(lambda c=call, p=p, t=t: c(p, t))
            loops = 3 if exponent > 6 else timer.autorange()[0] // 4 + 1
            found[name].append((10**exponent, min(timer.repeat(3, loops)) / loops))
    return found


def lengths(lines: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Draw time against length, both logarithmic, and the bandwidth of memory as the limit."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    colours = dict(zip(lines, (OURS, PEER, "#cc79a7", "black"), strict=True))
    for name, points in lines.items():
        limit = name == "reading both arrays"
        style = {"ls": "--", "lw": 1} if limit else {"marker": "o", "ms": 4}
        axes.plot(*zip(*points, strict=True), color=colours[name], label=name, **style)
    size, seconds = lines["reading both arrays"][-1]
    bandwidth = 8 * size / seconds
    axes.annotate(f"{bandwidth / 1e9:.1f} GB/s", lines["reading both arrays"][-2], xytext=(8, -10),
                  textcoords="offset points", color=MUTED)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="samples (float32)", ylabel="seconds for one call",
             title="Mean squared error on NumPy")  # fmt: skip
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
