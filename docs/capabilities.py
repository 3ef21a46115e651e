"""Write docs/capabilities.md, the capabilities of each metric. With --check, compare.

python docs/capabilities.py [--check]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

import isoloss as il
from isoloss._core.domains import Labels
from isoloss.metrics.catalogue import families

PAGE = Path(__file__).with_name("capabilities.md")
HEAD = """\
# Capabilities of each metric

The table lists the capabilities of each metric, found by calling it on NumPy (`python docs/capabilities.py`).
Every metric supports weights, masks, axes, groups and batches, and works on every library, under `jit`,
`vmap` and `torch.compile`. The [conformance suite](accuracy.md) tests this.

- *kind*: how states merge, see [states](ideas/states.md). The value of a batch-pairwise metric depends on
  the division of the data into batches.
- *inputs*: the core dimensions of predictions and targets. Each name is an axis that belongs to one sample.
- *state*: how many numbers a state holds, or "grows" if it holds the samples.
- *terms*: the metric has one term per sample, and supports `reduction="none"`, `"sum"` and standard errors.
- *gradient*: the metric has a gradient with respect to predictions; "0" for counts, which are piecewise
  constant.
- *curvature*: `gradient_hessian` returns the second derivatives, for boosting.
- *denominator*: the metric is a mean and accepts `denominator=`, for exact gradient accumulation.

| metric | kind | inputs | state | terms | gradient | curvature | denominator |
|---|---|---|---|---|---|---|---|
"""
SIZES = {"height": 12, "width": 12, "history": 9, "label": 2, "time": 6}  # all other dimensions: 4
CHOSEN = {"num_classes": 4, "data_range": 4.0, "thresholds": (0.25, 0.5, 0.75),
          "window": 3, "exponents": (0.4, 0.6)}  # fmt: skip


def numbers(rng: np.random.Generator, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Draw numbers or labels from a domain."""
    if isinstance(values, Labels):
        if values.scores:
            return rng.normal(size=shape)
        return rng.integers(0, values.classes if isinstance(values.classes, int) else 4, shape)
    low, high = max(values.low, -2.0), min(values.high, max(values.low, -2.0) + 4.0)
    if values.gap == (values.low, values.high):
        return rng.choice([low, high], shape)
    return rng.uniform(low + 1 / 64, high - 1 / 64, shape)


def draw(metric: il.Metric, samples: int) -> tuple[Any, Any]:
    """Draw predictions and targets for a number of samples."""
    rng = np.random.default_rng(samples)
    sides = []
    intervals = (metric.domain.of_predictions, metric.domain.of_targets)
    for parts, among in zip(metric.parts, intervals, strict=True):
        arrays = []
        for core, values in zip(parts, among, strict=True):
            inner = [metric.sizes.get(name, SIZES.get(name, 4)) for name in core]
            x = numbers(rng, values, (samples, *inner))
            if (
                core and getattr(values, "high", 0) == 1 and not values.gap
            ):  # rows of probabilities sum to 1
                x = x / x.sum(axis=-1, keepdims=True)
            arrays.append(x)
        sides.append(tuple(arrays) if len(arrays) > 1 else arrays[0])
    return sides[0], sides[1]


def can(function: Callable[[], Any]) -> bool:
    """Return whether a call raises no error."""
    try:
        function()
    except (TypeError, ValueError, NotImplementedError):
        return False
    return True


def held(state: Any) -> int:
    """Return the number of numbers in a state."""
    if isinstance(state, tuple):
        return sum(held(part) for part in state)
    return 0 if state is None else np.size(state)


def gradient(metric: il.Metric, p: Any, t: Any) -> str:
    """Return the cell of the gradient: "yes", "0", or empty without a gradient."""
    try:
        found = il.gradient(metric, p, t)
    except (TypeError, ValueError):
        return ""
    parts = found if isinstance(found, tuple) else (found,)
    return "yes" if any(np.any(part) for part in parts) else "0"


def row(name: str, metric: il.Metric) -> str:
    """Return the row of one metric."""
    p, t = draw(metric, 6)
    metric(p, t)  # an error here is an error of this script
    few, many = (held(metric.summary(*draw(metric, n))) for n in (6, 48))
    cells = [
        f"`{name}`",
        metric.kind,
        f"`{metric.signature.partition('->')[0]}`",
        str(few) if few == many else "grows",
        "yes" if can(lambda: metric(p, t, reduction="none")) else "",
        gradient(metric, p, t),
        "yes" if can(lambda: il.gradient_hessian(metric, p, t)) else "",
        "yes" if can(lambda: metric(p, t, denominator=6.0)) else "",
    ]
    return f"| {' | '.join(cells)} |\n"


def metrics() -> dict[str, il.Metric]:
    """Return every metric by its first public name, with CHOSEN for required parameters."""
    public = {
        name: thing
        for family in families()
        for name, thing in vars(family).items()
        if name in il.__all__
    }
    found: dict[il.Metric, str] = {}
    for name, thing in public.items():
        if isinstance(thing, il.Metric):
            found.setdefault(thing, name)
    kinds = {type(metric) for metric in found}
    for name, thing in public.items():
        declared = isinstance(thing, type) and is_dataclass(thing) and issubclass(thing, il.Metric)
        if declared and thing not in kinds:
            asked = {item.name for item in fields(thing) if item.default is MISSING}
            if asked <= CHOSEN.keys():
                names = CHOSEN.keys() & {item.name for item in fields(thing)}
                found[thing(**{one: CHOSEN[one] for one in names})] = name
    return {name: metric for metric, name in found.items()}


def main() -> int:
    """Write the page, or compare it with a new one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    page = HEAD + "".join(row(*pair) for pair in metrics().items())
    if check:
        stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page
        if stale:
            print("stale; run python docs/capabilities.py")
        return int(stale)
    PAGE.write_text(page, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
