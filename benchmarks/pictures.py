"""The pictures: ratios by group, and time against length beside the memory's limit."""

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
    """Draw one line of points for each group, on a logarithmic axis; colour says if a target is met."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in report["results"]:
        groups.setdefault(row["group"], []).append(row)
    size = (9, 1.2 + 0.5 * len(groups))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    for place, rows in enumerate(groups.values()):
        # spread over the line, so that points do not cover others
        heights = place + np.linspace(-0.3, 0.3, len(rows) + 2)[1:-1]
        colours = [OURS if row["met"] else MISSED for row in rows]
        axes.scatter([row["ratio"] for row in rows], heights, s=12, color=colours)
    met = [f"{sum(row['met'] for row in rows)} of {len(rows)} met" for rows in groups.values()]
    axes.set_yticks(range(len(groups)), [f"{n}: {m}" for n, m in zip(groups, met, strict=True)])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1, color=MUTED, lw=0.8, ls=":")
    axes.set_xlabel("isoloss / the peer (bytes of the group Memory, seconds of the others)")
    about = report["environment"]
    axes.set_title(f"{about['processor']}, {about['cores']} cores, {about['date']}", loc="left")
    for colour, label in ((OURS, "target met"), (MISSED, "target missed")):
        axes.scatter([], [], s=12, color=colour, label=label)
    axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 1.14), ncols=2)
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
