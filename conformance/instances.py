"""Every metric of the library, under more than its default parameters, and inputs from its domain.

The list is read off the public names: a metric added to them is tested by every law and transform
without a line here. `PARAMETERS` adds values worth testing; a class that is not in it, or that has
no default for a parameter, gets values from the interval the parameter is declared in.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np
import pytest

import isoloss as il
from isoloss.evaluation import name_of

DTYPE = os.environ.get("ISOLOSS_DTYPE", "float32")
"""The dtype of what is drawn; float64 where a library is run under a second setting."""


@dataclass(frozen=True)
class Quartic(il.Loss):
    """A user's own loss."""

    scale: float = 1.0

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        error = (prediction - target) / self.scale
        return error * error * error * error / 4 + xp.log1p(error * error)


PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "Huber": [{"delta": 2.0}, {"delta": 0.25}],
    "SmoothL1": [{"beta": 0.5}, {"beta": 0}],
    "PseudoHuber": [{"delta": 2.0}],
    "Pinball": [{"quantile": 0.9}],
    "MultiQuantile": [{"quantiles": (0.25, 0.75)}, {"quantiles": (0.5,)}],
    "Expectile": [{"level": 0.9}],
    "MeanAbsolutePercentageError": [{"epsilon": 1.0}],
    "PoissonNLL": [{"log_input": False}, {"full": True}, {"log_input": False, "full": True}],
    "SigmoidCrossEntropy": [{"pos_weight": 3.0}, {"label_smoothing": 0.25}],
    "SigmoidFocal": [{"gamma": 0.0}, {"gamma": 0.5, "alpha": 0.25}],
    "TweedieDeviance": [{"power": power} for power in (0, 1, 2, 3, 1.01, -1.0)],
}

WRAPPED: list[il.Metric] = [
    il.Root(il.mean_absolute_error),
    il.Root(il.Huber(2.0)),
    il.Root(il.half_squared_error),
    il.Root(il.Exp(il.mean_bias_error)),
    il.Scaled(il.mean_absolute_percentage_error, 100),
    il.Scaled(il.r2_score, -1.0),
    il.Scaled(il.root_mean_squared_error, 3.0),
    il.Exp(il.mean_bias_error),
    il.Exp(il.poisson_deviance),
    il.Exp(il.Root(il.mean_absolute_error)),
    Quartic(),
    Quartic(scale=2.0),
]


def numeric(metric: il.Metric) -> list[str]:
    """Return the names of the hyper-parameters that are numbers from an interval."""
    found = [item for item in fields(metric) if "interval" in item.metadata]  # type: ignore[arg-type]
    return [item.name for item in found if isinstance(getattr(metric, item.name), (int, float))]


def parameters() -> Iterator[Any]:
    """Yield pytest parameters: a metric and the name of a number to differentiate by."""
    for name, metric in ALL.items():
        for field in numeric(metric):
            interval = type(metric).__dataclass_fields__[field].metadata["interval"]
            at = getattr(metric, field)
            # the ends of an interval, and powers at which the domain changes, are no place to differentiate
            if at != 0 and all(interval.contains(x) for x in (at - 0.01, at + 0.01)):
                yield pytest.param(metric, field, id=f"{name}-{field}")


def _other_values(item: Any) -> list[Any]:
    """Return values of a parameter that differ from its default."""
    if isinstance(item.default, bool):
        return [not item.default]
    interval = item.metadata.get("interval")
    if interval is None:
        return []
    start = interval.inside if item.default in (MISSING, None) else item.default
    candidates = [2 * start, start / 2, interval.inside] if isinstance(start, (int, float)) else []
    return [x for x in candidates if x != item.default and interval.contains(x)][:2]


def _variants(kind: type[il.Metric]) -> list[il.Metric]:
    if kind.__name__ in PARAMETERS:
        return [kind(**chosen) for chosen in PARAMETERS[kind.__name__]]
    return [kind(**{item.name: x}) for item in fields(kind) for x in _other_values(item)]  # type: ignore[arg-type]


def _all() -> dict[str, il.Metric]:
    public = [getattr(il, name) for name in il.__all__]
    found = {thing: name_of(thing) for thing in public if isinstance(thing, il.Metric)}
    for thing in public:
        if (
            inspect.isclass(thing)
            and issubclass(thing, il.Metric)
            and not inspect.isabstract(thing)
        ) and "metric" not in {item.name for item in fields(thing)}:  # type: ignore[arg-type]
            found |= {metric: repr(metric) for metric in _variants(thing) if metric not in found}
    return {name: m for m, name in found.items()} | {repr(m): m for m in WRAPPED}


ALL: dict[str, il.Metric] = _all()
"""Every instance, by its public name or its repr."""

NAMED: dict[str, il.Metric] = {k: m for k, m in ALL.items() if k in il.__all__ or m == Quartic()}
"""The instances with a public name and the user's own: for what is too slow to do for all."""


def _numbers(rng: np.random.Generator, interval: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Draw numbers of ordinary size from inside an interval."""
    low, high = interval.low, interval.high
    if interval.gap == (low, high):
        return rng.choice([low, high], shape)
    if low > -np.inf and high < np.inf:
        return rng.uniform(low + (high - low) / 64, high - (high - low) / 64, shape)
    size = np.exp(rng.normal(0.0, 0.5, shape))
    if low > -np.inf:
        return low + size
    return high - size if high < np.inf else rng.normal(0.0, 1.5, shape)


def shapes(metric: il.Metric, loop: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of predictions and targets for a loss of shape ``loop``."""
    core_p, core_t = metric.core
    sizes = metric.sizes
    return (*loop, *(sizes.get(n, 4) for n in core_p)), (*loop, *(sizes.get(n, 4) for n in core_t))


def draw(
    metric: il.Metric,
    loop: tuple[int, ...],
    seed: int = 0,
    dtype: str = DTYPE,
    ends: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw predictions and targets from the metric's domain, as numbers that ``dtype`` holds.

    With ``ends``, every fifth target lies at the closed lower end of its interval, where many
    formulas have a branch of their own; predictions stay inside, where the metric is smooth.
    """
    rng = np.random.default_rng([seed, *loop])
    shape_p, shape_t = shapes(metric, loop)
    domain = metric.domain
    p = _numbers(rng, domain.predictions, shape_p).astype(dtype)
    t = _numbers(rng, domain.targets, shape_t).astype(dtype)
    if ends and domain.targets.low > -np.inf and not domain.targets.low_open:
        t.reshape(-1)[1::5] = domain.targets.low
    return p, t


def excluded(
    metric: il.Metric, loop: tuple[int, ...], seed: int = 0, dtype: str = DTYPE
) -> tuple[np.ndarray, np.ndarray]:
    """Draw positive weights and a mask in which most samples count, and not all."""
    rng = np.random.default_rng([seed, 7, *loop])
    weights = rng.uniform(0.5, 2.0, loop).astype(dtype)
    mask = rng.uniform(size=loop) < 0.8
    mask.reshape(-1)[:3] = False, True, True
    return weights, mask


def wide(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return arrays in float64."""
    return tuple(np.asarray(a, dtype=np.float64) for a in arrays)


def value(metric: Any, p: np.ndarray, t: np.ndarray, **options: Any) -> Any:
    """Return what any library must give, computed by NumPy in float64 from the same numbers."""
    return metric(*wide(p, t), **options)


def gradient(metric: Any, p: np.ndarray, t: np.ndarray, **options: Any) -> Any:
    """Return the gradient that any library must give, computed by NumPy in float64."""
    return il.gradient(metric, *wide(p, t), **options)


def difference(function: Any, at: float) -> Any:
    """Return the derivative of a function of one number, by a central difference."""
    step = 2.0**-18
    return (function(at + step) - function(at - step)) / (2 * step)


DIFFERENCE = {"float32": 200, "float64": 2**24}
"""How many ULP of a dtype a central difference may be off: it has about 30 bits, whatever the dtype."""


def close(got: Any, want: Any, ulps: float = 64) -> None:
    """Assert equality to some ULP, in the dtype of what was got, of the largest number expected."""
    got, want = np.asarray(got), np.asarray(want, dtype=np.float64)
    assert got.shape == want.shape
    size = max(np.max(np.abs(want), initial=0.0), 1 / 8)
    # subtracted in float64: the expected number is not rounded to what was got
    np.testing.assert_allclose(
        np.float64(got), want, rtol=0, atol=ulps * float(np.finfo(got.dtype).eps) * size
    )
