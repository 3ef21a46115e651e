"""Every metric of the library, under more than its default parameters.

The list is read off the public names: a metric added to them is tested by every law and transform
without a line here. `PARAMETERS` adds values worth testing; a class that is not in it, or that has
no default for a parameter, gets values from the interval the parameter is declared in.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any

import pytest

import isoloss as il
from isoloss._core.parameters import declared_of
from isoloss.evaluation import name_of

from .expected import extra_shape


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
    "ReliabilityDiagram": [{"bins": 2}],
    "BinaryReliabilityDiagram": [{"bins": 2}],
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
    il.mean_squared_error + 0.5 * il.mean_absolute_error,
    il.poisson_deviance + il.Huber(2.0),
    il.Exp(il.poisson_deviance),
    il.Exp(il.Root(il.mean_absolute_error)),
    il.Root(il.Exp(il.gaussian_nll)),
    il.SkillScore(il.mean_squared_error),
    il.SkillScore(il.max_error),
    il.SkillScore(il.Scaled(il.root_mean_squared_error, 2.0)),
    il.SkillScore(il.gaussian_nll),
    il.SkillScore(il.softmax_cross_entropy),
    Quartic(),
    Quartic(scale=2.0),
]


def numeric(metric: il.Metric) -> list[str]:
    """Return the names of the hyper-parameters that are real numbers from an interval."""
    found = [name for name, one in declared_of(metric).items() if one.interval and not one.whole]
    return [name for name in found if isinstance(getattr(metric, name, None), (int, float))]


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
            interval = declared_of(metric)[field].interval
            at = getattr(metric, field)
            # the ends of an interval, and powers at which the domain changes, are no place to differentiate
            if at != 0 and all(interval.contains(x) for x in (at - 0.01, at + 0.01)):
                seen.add((type(metric), field))
                yield pytest.param(metric, field, id=f"{name}-{field}")


def _other_values(kind: type[il.Metric], item: Any) -> list[Any]:
    """Return values of a parameter that differ from its default."""
    if isinstance(item.default, bool):
        return [not item.default]
    interval, whole, *_ = declared_of(kind)[item.name]
    if interval is None:
        return []
    start = interval.inside if item.default in (MISSING, None) else item.default
    if whole:
        return [x for x in (int(start) + 1, 1) if x != item.default]
    candidates = [2 * start, start / 2, interval.inside] if isinstance(start, (int, float)) else []
    return [x for x in candidates if x != item.default and interval.contains(x)][:2]


def _variants(kind: type[il.Metric]) -> list[il.Metric]:
    required = {item.name for item in fields(kind) if item.default is MISSING}  # type: ignore[arg-type]
    if required == {"num_classes"} and kind.__name__ not in PARAMETERS:
        return [kind(num_classes=4)]  # type: ignore[call-arg]
    if kind.__name__ in PARAMETERS:
        return [kind(**chosen) for chosen in PARAMETERS[kind.__name__]]
    return [kind(**{item.name: x}) for item in fields(kind) for x in _other_values(kind, item)]  # type: ignore[arg-type]


def concrete_classes() -> list[type[il.Metric]]:
    """Return every public class that can be made without another metric."""
    public = (getattr(il, name) for name in il.__all__)
    kinds = [x for x in public if inspect.isclass(x) and issubclass(x, il.Metric)]
    concrete = [kind for kind in kinds if not inspect.isabstract(kind)]
    return [x for x in concrete if not {"metric", "losses"} & {item.name for item in fields(x)}]  # type: ignore[arg-type]


def _all() -> dict[str, il.Metric]:
    public = [getattr(il, name) for name in il.__all__]
    names = {thing: name_of(thing) for thing in public if isinstance(thing, il.Metric)}
    for kind in concrete_classes():
        names |= {metric: repr(metric) for metric in _variants(kind) if metric not in names}
    return {name: metric for metric, name in names.items()} | {repr(m): m for m in WRAPPED}


ALL: dict[str, il.Metric] = _all()
"""Every instance, by its public name or its repr."""

NAMED: dict[str, il.Metric] = {k: m for k, m in ALL.items() if k in il.__all__ or m == Quartic()}
"""The instances with a public name and the user's own: for what is too slow to do for all."""
