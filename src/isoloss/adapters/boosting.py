"""Objectives and metrics of XGBoost and LightGBM, for their own interfaces and scikit-learn's.

Neither library is imported: these are functions of the arrays that they hand over. Both leave the
weighting to an objective of one's own, start from no average, and predict what the loss is of, such
as logits. (`XGBClassifier` alone turns them into probabilities, as for its own objective.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np

from .._core.domains import Labels
from .._core.errors import fail
from .._core.metric import Metric
from ..derivatives import gradient_hessian
from ..metrics.catalogue import as_metric, name_of
from ..validation import validate

Hessian = Literal["exact"] | float


def xgboost_objective(loss: Metric, *, hessian: Hessian = "exact") -> Objective:
    """Return a loss as an objective: ``xgb.train(obj=)``, ``XGBRegressor(objective=)``.

    Weights, several outputs and rows of classes (``num_class``) are taken as they come. XGBoost
    starts from ``base_score``, 0.5 without it: pass `best_constant` (`XGBClassifier` takes it as a
    probability, and 0.5 is right for it).

    Parameters
    ----------
    loss : metric
        A loss with one term per sample; of logits, where there are classes. XGBoost's own
        ``reg:squarederror`` is `half_squared_error`; ``binary:logistic``, `sigmoid_cross_entropy`;
        ``multi:softprob``, `softmax_cross_entropy`. A hinge takes labels 0 and 1 too.
    hessian : "exact" or float
        "exact" is the second derivative, or 1 where that is not positive: of an absolute error
        everywhere. Of rows it is the diagonal times 2, as XGBoost takes it, which bounds the whole
        matrix from above. A number is taken for every sample: with 1, which suits robust losses,
        leaves are means of gradients, and no step runs off where a loss is nearly straight.

    Returns
    -------
    Objective
        It pickles, compares by value, and prints as it was made.

    Raises
    ------
    TypeError
        For anything that is not a metric.
    ValueError
        For a metric without one term per sample, a Hessian that is not positive; when training,
        for a prediction or a target outside the loss's domain.

    Examples
    --------
    >>> import numpy as np, isoloss as il
    >>> from isoloss.adapters.boosting import xgboost_objective
    >>> objective = xgboost_objective(il.half_squared_error)
    >>> objective(np.array([1.0, 2.0]), np.array([1.5, 0.0]))  # as scikit-learn's interface calls
    (array([ 0.5, -2. ]), array([1., 1.]))
    """
    return Objective(loss, hessian, "XGBoost")


def lightgbm_objective(loss: Metric, *, hessian: Hessian = "exact") -> Objective:
    """Return a loss as an objective: ``params={"objective": ...}``, ``LGBMRegressor(objective=)``.

    As `xgboost_objective`. LightGBM's own ``l2``, ``huber``, ``binary`` and ``multiclass``, without
    ``boost_from_average``, are `half_squared_error`, ``Huber(delta=alpha)``,
    `sigmoid_cross_entropy` and `softmax_cross_entropy` to the last bit; rows take the factor
    K / (K - 1) of K classes for that. LightGBM starts from 0: pass `best_constant` as
    ``init_score`` of every data set, and add it to the predictions.

    Examples
    --------
    >>> import isoloss as il
    >>> from isoloss.adapters.boosting import lightgbm_objective
    >>> lightgbm_objective(il.Pinball(quantile=0.9), hessian=1.0)
    Objective(metric=Pinball(quantile=0.9), hessian=1.0, library='LightGBM')
    """
    return Objective(loss, hessian, "LightGBM")


def xgboost_metric(metric: Metric) -> XGBoostMetric:
    """Return a metric for XGBoost: ``xgb.train(custom_metric=)``, ``XGBRegressor(eval_metric=)``.

    XGBoost stops early where a metric no longer falls. So one of which the greater is better is
    negated, and called by its name with ``neg_`` before it. With an objective of one's own the
    predictions are raw, those of a built-in one are probabilities.

    Examples
    --------
    >>> import numpy as np, isoloss as il
    >>> from isoloss.adapters.boosting import xgboost_metric
    >>> metric = xgboost_metric(il.r2_score)
    >>> metric.name, metric(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    ('neg_r2_score', -0.5)
    """
    return XGBoostMetric(metric)


def lightgbm_metric(metric: Metric) -> LightGBMMetric:
    """Return a metric for LightGBM: ``lgb.train(feval=)``, ``LGBMRegressor.fit(eval_metric=)``.

    It says whether the greater is better, and early stopping goes by that. LightGBM reports its
    own metric beside it, and stops by either, unless ``metric="none"``.

    Examples
    --------
    >>> import numpy as np, isoloss as il
    >>> from isoloss.adapters.boosting import lightgbm_metric
    >>> lightgbm_metric(il.r2_score)(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    ('r2_score', 0.5, True)
    """
    return LightGBMMetric(metric)


def best_constant(loss: Metric, targets: Any, *, weights: Any = None) -> Any:
    """Return the one prediction for all samples that has the least loss: where to start boosting.

    Parameters
    ----------
    loss : metric
        A loss of one number a sample; of one with several minima, it is one of them.
    targets, weights : array
        As in a call of the loss.

    Raises
    ------
    ValueError
        For a loss of several numbers a sample.

    Examples
    --------
    >>> import isoloss as il
    >>> from isoloss.adapters.boosting import best_constant
    >>> round(best_constant(il.mae, [1.0, 2.0, 30.0]), 6)
    2.0
    """
    from scipy.optimize import minimize_scalar  # with XGBoost and with LightGBM

    if not loss.elementwise:
        raise fail(loss, "best_constant needs a loss of one number a sample")
    targets = _targets(loss, np.asarray(targets))

    def value(constant: float) -> float:
        found = float(loss(np.full(targets.shape, constant), targets, weights=weights))
        return found if found == found else np.inf  # outside the domain

    low, high = np.quantile(targets, [0.25, 0.75])
    with np.errstate(invalid="ignore"):  # it tries a parabola through infinity
        best: Any = minimize_scalar(value, bracket=(low, high if high > low else low + 1))
    return float(best.x)


@dataclass(frozen=True)
class _Boosting(ABC):
    """What both libraries, by both interfaces, call in the same two ways."""

    metric: Metric

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", as_metric("boosting", self.metric))

    # LightGBM counts the arguments, XGBoost looks for the name of the third
    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> Any:
        """Take (predictions, data set), or (targets, predictions, weights) of scikit-learn's."""
        if hasattr(second, "get_label"):
            predictions, targets, sample_weight = first, second.get_label(), second.get_weight()
        else:
            targets, predictions = first, second
        targets = _targets(self.metric, np.asarray(targets))
        weights = None
        if sample_weight is not None and len(sample_weight):  # XGBoost's are empty without any
            weights = np.asarray(sample_weight)
            if self.metric.elementwise:
                weights = _beside(weights, targets)
        return self.answer(np.asarray(predictions), targets, weights)

    @abstractmethod
    def answer(self, predictions: Any, targets: Any, weights: Any) -> Any:
        """Return what the library asks for."""


def _targets(metric: Metric, targets: Any) -> Any:
    """Return targets, which both libraries hold as float32, as a metric takes them."""
    values = metric.domain.of_targets[0]
    if isinstance(values, Labels):
        return targets.astype(np.int64)
    if values.gap == (-1, 1):
        return np.where(targets > 0, 1, -1)
    return targets


def _beside(weights: Any, array: Any) -> Any:
    """Return weights of samples in as many dimensions as an array has."""
    return weights.reshape(weights.shape + (1,) * (array.ndim - weights.ndim))


@final
@dataclass(frozen=True)
class Objective(_Boosting):
    """What `xgboost_objective` and `lightgbm_objective` return."""

    hessian: Hessian = "exact"
    library: Literal["XGBoost", "LightGBM"] = "XGBoost"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.metric.summable:
            message = "an objective needs one term per sample, which this metric does not have"
            raise fail(self.metric, message)
        hessian = self.hessian
        if hessian != "exact" and not (isinstance(hessian, (int, float)) and 0 < hessian < np.inf):
            message = f"hessian must be 'exact' or a number above 0, not {hessian!r}"
            raise fail(self.metric, message)

    def answer(self, predictions: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        """Return the gradient and the Hessian of every sample, times its weight."""
        # outside the domain the gradient is 0, and the sample would never be learnt
        if not np.isfinite(self.metric(predictions, targets, weights=weights)):
            validate(self.metric, predictions, targets, weights=weights)
        first, second = gradient_hessian(self.metric, predictions, targets, weights=weights)
        ones = np.ones_like(first)
        if weights is not None:
            ones *= _beside(weights, ones)
        if self.hessian != "exact":
            return first, self.hessian * ones
        if self.metric.core[0]:  # steps by the diagonal alone would be too long
            classes = predictions.shape[-1]
            second = second * (2 if self.library == "XGBoost" else classes / (classes - 1))
        return first, np.where(second > 0, second, ones)


@final
@dataclass(frozen=True)
class XGBoostMetric(_Boosting):
    """What `xgboost_metric` returns."""

    @property
    def name(self) -> str:
        """The name of the metric, with ``neg_`` before it where it is negated."""
        return ("neg_" if self.metric.greater_is_better else "") + name_of(self.metric)

    __name__: ClassVar[Any] = name  # XGBoost's interface of scikit-learn asks for it

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> Any:
        value = super().__call__(first, second, sample_weight)
        return (self.name, value) if hasattr(second, "get_label") else value

    def answer(self, predictions: Any, targets: Any, weights: Any) -> float:
        """Return the value that is to fall."""
        value = float(self.metric(predictions, targets, weights=weights))
        return -value if self.metric.greater_is_better else value


@final
@dataclass(frozen=True)
class LightGBMMetric(_Boosting):
    """What `lightgbm_metric` returns."""

    def answer(self, predictions: Any, targets: Any, weights: Any) -> tuple[str, float, bool]:
        """Return a name, the value, and whether the greater is better."""
        value = float(self.metric(predictions, targets, weights=weights))
        return name_of(self.metric), value, self.metric.greater_is_better
