"""Curves of a metric: value, gradient and second derivative of one term, and their plots."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._core.domains import Interval, Labels
from .._core.metric import Metric
from ..derivatives import gradient_hessian
from . import output
from .errors import InputError

POINTS = 401
NAMES = ("value", "gradient", "curvature")


@dataclass(frozen=True)
class Curve:
    """One term and its derivatives over a range of predictions."""

    metric: Metric
    label: str
    x: np.ndarray
    rows: tuple[np.ndarray, np.ndarray, np.ndarray]

    @property
    def title(self) -> str:
        """Return the title of the plot."""
        return repr(self.metric)


class NoPictureError(Exception):
    """Raised with the reason if a metric has no curve."""


def curve(
    metric: Metric, target: float | None = None, ends: tuple[float, float] | None = None
) -> Curve:
    """Return the curve of a metric of scalar predictions, or of three logits."""
    if not metric.summable:
        raise NoPictureError(
            f"no picture: {metric!r} is no mean of terms, but a number of all samples "
            f"({metric.kind})"
        )
    predictions, targets = metric.domain.predictions, metric.domain.targets
    if metric.parts == ((("classes",),), ((),)) and isinstance(targets, Labels):
        return _of_logits(metric, predictions, ends or (-6.0, 6.0))
    plain = isinstance(predictions, Interval) and isinstance(targets, (Interval, Labels))
    if not plain or metric.parts != (((),), ((),)):
        raise NoPictureError(
            f"no picture: a term of {metric!r} is not of one prediction and one target, but of "
            f"{metric.signature.partition('->')[0]}"
        )
    if target is not None and not math.isfinite(target):
        raise InputError(f"--target {target:g}: write a finite number")
    if target is not None and isinstance(targets, Interval) and not targets.contains(target):
        raise InputError(f"--target {target:g}: targets of {metric!r} must be {targets}")
    of_residual = target is None and ends is None and _of_residual(metric)
    y = 0.0 if of_residual else _target(targets) if target is None else target
    x = np.linspace(*(ends or _ends(metric, predictions, y)), POINTS)
    x = x[predictions.contains(x)]
    if not len(x):
        raise InputError(f"--range: predictions of {metric!r} must be {predictions}")
    integers = isinstance(targets, Labels)
    t = np.full_like(x, y, dtype=np.int64 if integers else np.float64)
    label = "residual (prediction - target)" if of_residual else f"prediction (target {y:g})"
    value = metric(x, t, reduction="none")
    if not np.isfinite(value).any():
        message = f"no value of {metric!r} between {x[0]:g} and {x[-1]:g} is a finite number"
        raise InputError(f"{message}: choose --target and --range nearer to 0")
    return Curve(metric, label, x, (value, *gradient_hessian(metric, x, t)))


def _of_logits(metric: Metric, predictions: Any, ends: tuple[float, float]) -> Curve:
    """Return the curve over the logit or probability of the label, with three classes."""
    unit = isinstance(predictions, Interval) and predictions.high == 1.0
    x = np.linspace(*((0.005, 0.995) if unit else ends), POINTS)
    others = (1 - x) / 2 if unit else np.zeros_like(x)
    p = np.stack([x, others, others], axis=-1)
    labels = np.zeros(POINTS, dtype=np.int64)
    value = metric(p, labels, reduction="none")
    first, second = gradient_hessian(metric, p, labels)
    label = "probability of the label (of 3 classes)" if unit else "logit of the label, beside 0, 0"
    return Curve(metric, label, x, (value, first[:, 0], second[:, 0]))


def _of_residual(metric: Metric) -> bool:
    """Return whether a term depends only on prediction - target, by shifting both."""
    if metric.domain.bounded or isinstance(metric.domain.targets, Labels):
        return False
    x = np.linspace(-3.0, 3.0, 13)
    here, there = (metric(x + shift, np.full_like(x, shift), reduction="none") for shift in (0, 8))
    return bool(np.allclose(here, there, rtol=1e-12, atol=1e-12))


def _target(targets: Interval | Labels) -> float:
    """Return the target 1 for labels, otherwise a number inside the domain."""
    if isinstance(targets, Labels):
        return 1.0
    return 1.0 if targets.high == 1.0 and not targets.high_open else targets.inside


def _ends(metric: Metric, predictions: Interval, y: float) -> tuple[float, float]:
    """Return a range of predictions that includes the parameters, at which kinks lie."""
    targets = metric.domain.targets
    of_two = isinstance(targets, Labels) or (targets.low, targets.high) in ((0, 1), (-1, 1))
    if of_two and not predictions.bounded:  # logits or similar scores
        return -6.0, 6.0
    numbers = [v for v in vars(metric).values() if type(v) in (int, float) and abs(v) < 1e6]
    far = 2.5 * max([1.0, *map(abs, numbers)])
    low, high = y - far, y + far
    if predictions.low > -np.inf:
        low = predictions.low + (0.01 * far if predictions.low_open else 0.0)
    if predictions.high < np.inf:
        high = predictions.high - (0.01 * (predictions.high - low) if predictions.high_open else 0)
    return low, high


# --- pictures -------------------------------------------------------------------------------------


def in_terminal(curve: Curve, width: int, height: int = 11) -> str:
    """Return the three curves as text without colours."""
    import plotext

    figure = plotext.figure
    pictures = []
    for name, y in zip(NAMES, curve.rows, strict=True):
        figure.clear()
        figure.plot_size(min(width, 100), height)
        finite = np.isfinite(y)
        if not finite.any():
            continue
        x, numbers = curve.x[finite].tolist(), y[finite].tolist()
        figure.draw(figure.signal(x, numbers, marker="braille"))
        if np.ptp(y[finite]) == 0:  # centre a constant
            figure.ruler("y").lim(numbers[0] - 1, numbers[0] + 1)
        figure.title(name)
        figure.label(curve.label)
        pictures += [line.rstrip() for line in figure.build().string(colorless=True).splitlines()]
    return "\n".join(pictures)


def in_file(curve: Curve, path: Path) -> None:
    """Write the three curves side by side as PNG, SVG or PDF, by the file extension."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"{path}: pictures are written as .png, .svg or .pdf")
    output.check(path)
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(curve.title)
    axes = figure.subplots(1, 3)
    for axis, name, y, colour in zip(axes, NAMES, curve.rows, ("C0", "C1", "C2"), strict=True):
        axis.plot(curve.x, y, color=colour, linewidth=2)
        axis.set(title=name, xlabel=curve.label)
        axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower(), dpi=150)
    output.write(path, picture.getvalue())
