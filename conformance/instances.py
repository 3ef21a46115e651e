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
from typing import Any, ClassVar

import numpy as np
import pytest

import isoloss as il
from isoloss._arrays import Inputs, Totals
from isoloss._domains import UNIT, Labels
from isoloss._metric import Wrapper
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


@dataclass(frozen=True)
class Together(il.Loss):
    """A loss whose predictions are a tuple of arrays, of one array with their values last.

    What holds for every metric is tested with this; the tuples themselves in tests/test_tuples.
    """

    metric: il.Loss
    signature: ClassVar[str] = "(values),()->()"

    @property
    def sizes(self) -> dict[str, int]:
        return {"values": len(self.metric.prediction_names)}

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        values = tuple(prediction[..., k] for k in range(len(self.metric.prediction_names)))
        return self.metric.terms(xp, values, target)


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
    "SoftmaxCrossEntropy": [
        {"label_smoothing": 0.25},
        {"class_weights": (1.0, 2.0, 0.5, 3.0), "label_smoothing": 0.25},
        {"z_loss": 0.5, "ignore_index": 2},
    ],
    "SoftmaxCrossEntropyWithProbabilities": [
        {"class_weights": (1.0, 2.0, 0.5, 3.0), "label_smoothing": 0.25, "z_loss": 0.5},
    ],
    "NegativeLogLikelihood": [{"ignore_index": 2}],
    "SoftmaxFocal": [{"gamma": 0.5, "alpha": (1.0, 2.0, 0.5, 3.0)}],
    "TopKAccuracy": [{"k": 2}],
    "CRPSEnsemble": [{"estimator": "ecdf"}],
    "EnergyScore": [{"estimator": "ecdf"}],
    "BinnedROCAUC": [{"thresholds": (-1.0, -0.25, 0.25, 1.0)}],
    "BinnedAveragePrecision": [{"thresholds": (-1.0, 0.0, 1.0)}],
    "ExpectedCalibrationError": [{"bins": 4, "norm": "l2"}],
    "BinaryExpectedCalibrationError": [{"bins": 4, "norm": "l2"}],
    "ClasswiseCalibrationError": [{"bins": 4}],
    "AdaptiveCalibrationError": [{"bins": 4}, {"bins": 1}],
    "BinaryAdaptiveCalibrationError": [{"bins": 4}],
    "ReliabilityDiagram": [],  # counts, and means of bins that may be empty: tests/test_calibration
    "BinaryReliabilityDiagram": [],
    "BrierDecomposition": [{"bins": 4}],
    "LogLossDecomposition": [{"bins": 4}],
    "MeanAbsoluteScaledError": [{"season": 2}],
    "RootMeanSquaredScaledError": [{"season": 2}],
    "OverallWeightedAverage": [{"season": 2}],
    "KlingGupta": [{"version": 2012}],
    "D2Tweedie": [{"power": power} for power in (1, 1.5, 2, 3)],
    "ConfusionMatrix": [{"num_classes": 4, "normalize": "true"}],
    "F1Score": [{"num_classes": 4}, {"num_classes": 4, "average": None}],
    "Recall": [{"num_classes": 4, "average": "weighted"}],
    "BinaryFBeta": [{"beta": 2.0}],
    "PSNR": [{"data_range": 255.0}],
    "SSIM": [{"data_range": 4.0, "window": 3}, {"data_range": 1.0, "window": 2, "sigma": 0.5}],
    "MultiScaleSSIM": [{"data_range": 2.0, "window": 2, "exponents": (0.4, 0.6), "k2": 1.0}],
    "FocalTversky": [{"gamma": 1.0}, {"gamma": 0.5, "alpha_fp": 1.0, "smoothing": 0.5}],
    "TweedieDeviance": [{"power": power} for power in (0, 1, 2, 3, 1.01, -1.0)],
    "JensenShannonDivergence": [{"beta": 0.125}],
    "AlphaDivergence": [{"alpha": alpha} for alpha in (1, 2.5, 0.125, 1.001)],
    "BetaDivergence": [{"beta": beta} for beta in (2, 1, 0, 1.5, 0.0625)],
    "RenyiDivergence": [{"alpha": alpha} for alpha in (1, 2.0, 1.001)],
    "Wasserstein1D": [{"positions": (-1.0, 0.5, 1.0, 4.0)}],
    "Barron": [{"alpha": -2.0, "scale": 2.0}, *({"alpha": x} for x in (0.0, 2.0**-10, 1.5, 3.0))],
    "Hampel": [{"a": 1.0, "b": 2.0, "c": 4.0}],
    "Linex": [{"a": -0.5}],
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
    """Return the names of the hyper-parameters that are real numbers from an interval."""
    found = [item for item in fields(metric) if "interval" in item.metadata]  # type: ignore[arg-type]
    found = [item for item in found if not item.metadata["whole"]]
    return [item.name for item in found if isinstance(getattr(metric, item.name), (int, float))]


def parameters(every: bool = True) -> Iterator[Any]:
    """Yield pytest parameters: a metric and the name of a number to differentiate by.

    Without ``every``, each number of each class once.
    """
    seen = set()
    for name, metric in ALL.items():
        for field in numeric(metric):
            jumps = field == "threshold"  # what a count depends on by jumps has no derivative
            # and the quantile of an even number of samples has two
            jumps = jumps or (isinstance(metric, il.D2Pinball) and metric.quantile == 0.5)
            if jumps or extra_shape(metric) or not (every or (type(metric), field) not in seen):
                continue
            interval = type(metric).__dataclass_fields__[field].metadata["interval"]
            at = getattr(metric, field)
            # the ends of an interval, and powers at which the domain changes, are no place to differentiate
            if at != 0 and all(interval.contains(x) for x in (at - 0.01, at + 0.01)):
                seen.add((type(metric), field))
                yield pytest.param(metric, field, id=f"{name}-{field}")


def _other_values(item: Any) -> list[Any]:
    """Return values of a parameter that differ from its default."""
    if isinstance(item.default, bool):
        return [not item.default]
    interval = item.metadata.get("interval")
    if interval is None:
        return []
    start = interval.inside if item.default in (MISSING, None) else item.default
    if item.metadata["whole"]:
        return [x for x in (int(start) + 1, 1) if x != item.default]
    candidates = [2 * start, start / 2, interval.inside] if isinstance(start, (int, float)) else []
    return [x for x in candidates if x != item.default and interval.contains(x)][:2]


def _variants(kind: type[il.Metric]) -> list[il.Metric]:
    required = {item.name for item in fields(kind) if item.default is MISSING}  # type: ignore[arg-type]
    if required == {"num_classes"} and kind.__name__ not in PARAMETERS:
        return [kind(num_classes=4)]  # type: ignore[call-arg]
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
    every = {name: m for m, name in found.items()} | {repr(m): m for m in WRAPPED}
    # of several arrays, those whose values can stand together in one
    alone = {name: m for name, m in every.items() if not (m.prediction_names or m.target_names)}
    pairs = {name: m for name, m in every.items() if m.prediction_names and not m.target_names}
    together = {f"{name} together": Together(m) for name, m in pairs.items()  # type: ignore[arg-type]
                if not any(m.parts[0])}  # fmt: skip
    return alone | together


ALL: dict[str, il.Metric] = _all()
"""Every instance, by its public name or its repr."""

NAMED: dict[str, il.Metric] = {
    k: m for k, m in ALL.items() if k.removesuffix(" together") in il.__all__ or m == Quartic()
}
"""The instances with a public name and the user's own: for what is too slow to do for all."""


def _numbers(
    rng: np.random.Generator, interval: Any, shape: tuple[int, ...], classes: int, dtype: str
) -> np.ndarray:
    """Draw numbers of ordinary size from inside an interval, or labels."""
    if isinstance(interval, Labels):
        if interval.scores:  # scores of classes, rather than labels
            return rng.normal(0.0, 1.5, shape).astype(dtype)
        known = interval.classes if isinstance(interval.classes, int) else classes
        return rng.integers(0, known, shape)
    return _real(rng, interval, shape).astype(dtype)


def _real(rng: np.random.Generator, interval: Any, shape: tuple[int, ...]) -> np.ndarray:
    low, high = interval.low, interval.high
    if interval.gap == (low, high):
        return rng.choice([low, high], shape)
    if low > -np.inf and high < np.inf:
        return rng.uniform(low + (high - low) / 64, high - (high - low) / 64, shape)
    size = np.exp(rng.normal(0.0, 0.5, shape))
    if low > -np.inf:
        return low + size
    return high - size if high < np.inf else rng.normal(0.0, 1.5, shape)


def inputs_of(metric: il.Metric) -> Any:
    """Return what metrics must share to be given the same arrays."""
    own = metric if isinstance(metric, Together) else None
    return metric.parts, metric.domain, metric.padding, *metric.sizes.items(), own


CLASSES = 4


def shapes(metric: il.Metric, loop: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of predictions and targets for a loss of shape ``loop``."""
    core_p, core_t = metric.core
    sizes = metric.sizes
    return (
        (*loop, *(sizes.get(n, CLASSES) for n in core_p)),
        (*loop, *(sizes.get(n, CLASSES) for n in core_t)),
    )


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
    Rows of probabilities add up to 1. Labels are integers.
    """
    rng = np.random.default_rng([seed, *loop])
    inner = metric.metric if isinstance(metric, Together) else metric
    domain, (shape_p, shape_t) = inner.domain, shapes(metric, loop)
    if isinstance(metric, Together):
        columns = [_real(rng, one, loop) for one in domain.of_predictions]
        p = np.stack(columns, axis=-1).astype(dtype)
    else:
        p = _numbers(rng, domain.predictions, shape_p, CLASSES, dtype)
    t = _numbers(rng, domain.targets, shape_t, CLASSES, dtype)
    low = getattr(domain.targets, "low", -np.inf)  # labels have none
    if ends and low > -np.inf and not domain.targets.low_open:
        t.reshape(-1)[1::5] = low
    for x, interval, core in (
        (p, domain.predictions, inner.core[0]),
        (t, domain.targets, inner.core[1]),
    ):
        if core and interval == UNIT:
            x += np.asarray(x.sum(axis=-1, keepdims=True) == 0, x.dtype)  # no row of zeros
            x /= x.sum(axis=-1, keepdims=True)
    return p, t


def magnified(metric: il.Metric, t: np.ndarray, axis: Any = None) -> Any:
    """Return how many times the rounding of a mean of both signs is magnified, if one is divided by."""
    if not isinstance(metric, il.KlingGupta):
        return 1.0
    return 4 + 4 * np.mean(np.abs(t), axis=axis) / np.abs(np.mean(t, axis=axis))


def spoil(array: np.ndarray, place: Any, by: float) -> None:
    """Put what is no value, or no label, in some places."""
    array[place] = by if array.dtype.kind == "f" else -1


def excluded(
    metric: il.Metric, loop: tuple[int, ...], seed: int = 0, dtype: str = DTYPE
) -> tuple[np.ndarray, np.ndarray]:
    """Draw positive weights and a mask in which most samples count, and not all."""
    rng = np.random.default_rng([seed, 7, *loop])
    weights = rng.uniform(0.5, 2.0, loop).astype(dtype)
    mask = rng.uniform(size=loop) < 0.8
    mask.reshape(-1)[:3] = False, True, True
    return weights, mask


def integers(
    metric: il.Metric, loop: tuple[int, ...], seed: int = 0, dtype: str = "int32"
) -> tuple[np.ndarray, np.ndarray]:
    """Draw integers from the metric's domain; where scores would do, they are labels."""
    rng = np.random.default_rng([seed, *loop])
    inner = metric.metric if isinstance(metric, Together) else metric
    domain, (shape_p, shape_t) = inner.domain, shapes(metric, loop)
    if isinstance(metric, Together):
        columns = [_integers(rng, one, loop) for one in domain.of_predictions]
        return np.stack(columns, axis=-1).astype(dtype), _integers(
            rng, domain.targets, loop
        ).astype(dtype)
    shape_p = loop if getattr(domain.predictions, "scores", False) else shape_p
    p, t = _integers(rng, domain.predictions, shape_p), _integers(rng, domain.targets, shape_t)
    return p.astype(dtype), t.astype(dtype)


def _integers(rng: np.random.Generator, interval: Any, shape: tuple[int, ...]) -> np.ndarray:
    if isinstance(interval, Labels):
        return _numbers(rng, interval._replace(scores=False), shape, CLASSES, "int64")
    ends = () if interval.gap is None else interval.gap
    known = [x for x in (*ends, 1, 2, 3) if x >= 0 and x == int(x) and interval.contains(x)]
    return rng.choice(known, shape)


def wide(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return arrays in float64, and labels as they are."""
    return tuple(
        a if np.asarray(a).dtype.kind in "iu" else np.asarray(a, np.float64) for a in arrays
    )


def value(metric: Any, p: np.ndarray, t: np.ndarray, **options: Any) -> Any:
    """Return what any library must give, computed by NumPy in float64 from the same numbers."""
    return metric(*wide(p, t), **options)


def gradient(metric: Any, p: np.ndarray, t: np.ndarray, **options: Any) -> Any:
    """Return the gradient that any library must give, computed by NumPy in float64."""
    metric = one_number(metric) if isinstance(metric, il.Metric) else metric
    return il.gradient(metric, *wide(p, t), **options)


def extra_shape(metric: il.Metric) -> tuple[int, ...]:
    """Return the axes that a value has beyond those that are kept: one of classes, say."""
    return np.shape(metric(*draw(metric, (3,))))


def one_number(metric: il.Metric) -> Any:
    """Return the metric, or a function of its first number: what a gradient can be taken of."""
    axes = len(extra_shape(metric))
    if not axes:
        return metric

    def first(p: Any, t: Any, **options: Any) -> Any:
        found = metric(p, t, **options)
        for _ in range(axes):
            found = found[..., 0]
        return found

    return first


def difference(function: Any, at: float) -> Any:
    """Return the derivative of a function of one number, by a central difference."""
    step = 2.0**-18 * max(abs(at), 1 / 16)
    return (function(at + step) - function(at - step)) / (2 * step)


DIFFERENCE = {"float32": 200, "float64": 2**26}
"""How many ULP of a dtype a central difference may be off: it has about 28 bits, whatever the dtype."""


def close(got: Any, want: Any, ulps: float = 64) -> None:
    """Assert equality to some ULP, in the dtype of what was got, of the largest number expected."""
    got, want = np.asarray(got), np.asarray(want, dtype=np.float64)
    assert got.shape == want.shape
    size = max(np.max(np.abs(want), initial=0.0), 1 / 8)
    # subtracted in float64: the expected number is not rounded to what was got
    np.testing.assert_allclose(
        np.float64(got), want, rtol=0, atol=ulps * float(np.finfo(got.dtype).eps) * size
    )


# --- the few that have every structure ------------------------------------------------------------


class _Recorder:
    """A namespace that remembers which of its functions were asked for."""

    def __init__(self, xp: Any) -> None:
        self._xp, self.names = xp, set()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._xp, name)
        if callable(found) and not isinstance(found, type):
            self.names.add(name)
        return found


def _sort_of(values: Any) -> str:
    if isinstance(values, Labels):
        return "scores" if values.scores else "labels"
    return "bounded" if values.bounded else "real"


def features(metric: il.Metric) -> set[Any]:
    """Return what the engine may treat in a way of its own, and each function that is called."""
    batch = Inputs(metric, *draw(metric, (6,), dtype="float32")).batch()
    xp = batch.xp = _Recorder(batch.xp)
    with np.errstate(all="ignore"):
        state = metric.statistics(xp, batch.predictions, batch.targets, Totals(batch))
        metric.formula(xp, state)
    domain = metric.domain
    return {
        ("kind", metric.kind), ("parts", metric.parts), ("weighs", metric.weighs),
        *(("predictions", _sort_of(one)) for one in domain.of_predictions),
        *(("targets", _sort_of(one)) for one in domain.of_targets),
        ("state", type(state)), ("wrapper", isinstance(metric, Wrapper) and type(metric)),
        ("more axes", bool(extra_shape(metric))), *(("calls", name) for name in xp.names),
    }  # fmt: skip


def _cover(metrics: dict[str, il.Metric]) -> dict[str, il.Metric]:
    """Return some that have together every feature: each time the one that adds most, the first of them."""
    each = {name: features(metric) for name, metric in metrics.items()}
    left = set().union(*each.values())
    found = []
    while left:
        found.append(max(each, key=lambda name: len(each[name] & left)))
        left -= each[found[-1]]
    return {name: metrics[name] for name in metrics if name in found}


def _one_of_each_count(metrics: dict[str, il.Metric]) -> dict[str, il.Metric]:
    """Leave out metrics that are another ratio of the same counts; their numbers are compared exactly."""
    first: dict[Any, str] = {}
    for name, metric in metrics.items():
        first.setdefault(metric.source if metric.kind == "counts" else name, name)
    return {name: metrics[name] for name in first.values()}


STRUCTURES: dict[str, il.Metric] = _cover(NAMED | ALL)
"""A few that have together every structure and call every function: for what is slow."""

CENTRAL: dict[str, il.Metric] = _one_of_each_count(NAMED) | STRUCTURES
"""These and all with a name, but one only of those that differ in a ratio of the same counts."""
