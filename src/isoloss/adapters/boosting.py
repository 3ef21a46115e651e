"""Objectives and metrics for XGBoost and LightGBM, for their native and scikit-learn interfaces.

This module imports neither library: the objectives and metrics are functions of the arrays that the
libraries pass. With a custom objective, both libraries leave the weighting to the objective, do not
start from an average, and predict raw values such as logits. (Only `XGBClassifier` converts these
to probabilities, as for its own objective.)
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

    Weights, several outputs and several classes (``num_class``) are supported. XGBoost starts from
    ``base_score``, which is 0.5 by default: pass `best_constant`. `XGBClassifier` interprets
    ``base_score`` as a probability; keep 0.5 there.

    Parameters
    ----------
    loss : metric
        A loss with one term per sample. Classification losses must take logits. The loss
        `half_squared_error` corresponds to XGBoost's ``reg:squarederror``,
        `sigmoid_cross_entropy` to ``binary:logistic``, and `softmax_cross_entropy` to
        ``multi:softprob``. Hinge losses also accept labels 0 and 1.
    hessian : "exact" or float
        "exact" is the second derivative, or 1 where the second derivative is not positive, as for
        an absolute error. For several classes it is twice the diagonal of the Hessian, as in
        XGBoost, which bounds the whole matrix from above. A number is used for every sample. The
        number 1 suits robust losses: leaf values are then means of gradients, and steps stay
        small where a loss is nearly linear.

    Returns
    -------
    Objective
        The objective can be pickled, compares by value, and prints its parameters.

    Raises
    ------
    TypeError
        If ``loss`` is not a metric.
    ValueError
        If the metric does not have one term per sample, or ``hessian`` is not positive; during
        training, if a prediction or a target is outside the domain of the loss.

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

    The parameters are those of `xgboost_objective`. Without ``boost_from_average``,
    `half_squared_error`, ``Huber(delta=alpha)``, `sigmoid_cross_entropy` and
    `softmax_cross_entropy` equal LightGBM's ``l2``, ``huber``, ``binary`` and ``multiclass`` to the
    last bit. For this, the diagonal of K classes is multiplied by K / (K - 1). LightGBM starts from
    0: pass `best_constant` as ``init_score`` of every data set, and add it to the predictions.

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

    XGBoost stops early if the metric no longer decreases. Metrics for which greater is better are
    therefore negated, and their names start with ``neg_``. With a custom objective the metric
    receives raw predictions, with a built-in objective probabilities.

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

    The metric tells LightGBM whether greater is better, for early stopping. LightGBM also reports
    its own metric, and stops early by either, unless ``metric="none"``.

    Examples
    --------
    >>> import numpy as np, isoloss as il
    >>> from isoloss.adapters.boosting import lightgbm_metric
    >>> lightgbm_metric(il.r2_score)(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    ('r2_score', 0.5, True)
    """
    return LightGBMMetric(metric)


def best_constant(loss: Metric, targets: Any, *, weights: Any = None) -> Any:
    """Return the constant prediction with the smallest loss, as the start of boosting.

    Parameters
    ----------
    loss : metric
        A loss of one number per sample. If the loss has several minima, one of them is returned.
    targets, weights : array
        As in a call of the loss.

    Raises
    ------
    ValueError
        If the loss takes several numbers per sample.

    Examples
    --------
    >>> import isoloss as il
    >>> from isoloss.adapters.boosting import best_constant
    >>> round(best_constant(il.mae, [1.0, 2.0, 30.0]), 6)
    2.0
    """
    from scipy.optimize import minimize_scalar  # installed with XGBoost and LightGBM

    if not loss.elementwise:
        raise fail(loss, "best_constant needs a loss of one number a sample")
    targets = _targets(loss, np.asarray(targets))

    def value(constant: float) -> float:
        found = float(loss(np.full(targets.shape, constant), targets, weights=weights))
        return found if found == found else np.inf  # outside the domain

    low, high = np.quantile(targets, [0.25, 0.75])
    with np.errstate(invalid="ignore"):  # the search may fit a parabola through infinite values
        best: Any = minimize_scalar(value, bracket=(low, high if high > low else low + 1))
    return float(best.x)


@dataclass(frozen=True)
class _Boosting(ABC):
    """Base class: the two call signatures shared by both libraries and both interfaces."""

    metric: Metric

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", as_metric("boosting", self.metric))

    # LightGBM counts the arguments; XGBoost checks the name of the third one
    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> Any:
        """Call with (predictions, data set), or scikit-learn's (targets, predictions, weights)."""
        if hasattr(second, "get_label"):
            predictions, targets, sample_weight = first, second.get_label(), second.get_weight()
        else:
            targets, predictions = first, second
        targets = _targets(self.metric, np.asarray(targets))
        weights = None
        if sample_weight is not None and len(sample_weight):  # empty in XGBoost without weights
            weights = np.asarray(sample_weight)
            if self.metric.elementwise:
                weights = _beside(weights, targets)
        return self.answer(np.asarray(predictions), targets, weights)

    @abstractmethod
    def answer(self, predictions: Any, targets: Any, weights: Any) -> Any:
        """Return the result in the format of the library."""


def _targets(metric: Metric, targets: Any) -> Any:
    """Convert targets, which both libraries store as float32, to the domain of a metric."""
    values = metric.domain.of_targets[0]
    if isinstance(values, Labels):
        return targets.astype(np.int64)
    if values.gap == (-1, 1):
        return np.where(targets > 0, 1, -1)
    return targets


def _beside(weights: Any, array: Any) -> Any:
    """Return weights of samples with the number of dimensions of an array."""
    return weights.reshape(weights.shape + (1,) * (array.ndim - weights.ndim))


@final
@dataclass(frozen=True)
class Objective(_Boosting):
    """An objective, as returned by `xgboost_objective` and `lightgbm_objective`."""

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
        """Return the gradient and the Hessian of every sample, multiplied by its weight."""
        # the gradient outside the domain is 0, so training would silently ignore the sample
        if not np.isfinite(self.metric(predictions, targets, weights=weights)):
            validate(self.metric, predictions, targets, weights=weights)
        first, second = gradient_hessian(self.metric, predictions, targets, weights=weights)
        ones = np.ones_like(first)
        if weights is not None:
            ones *= _beside(weights, ones)
        if self.hessian != "exact":
            return first, self.hessian * ones
        if self.metric.core[0]:  # steps with the diagonal alone would be too long
            classes = predictions.shape[-1]
            second = second * (2 if self.library == "XGBoost" else classes / (classes - 1))
        return first, np.where(second > 0, second, ones)


@final
@dataclass(frozen=True)
class XGBoostMetric(_Boosting):
    """A metric for XGBoost, as returned by `xgboost_metric`."""

    @property
    def name(self) -> str:
        """The name of the metric, with the prefix ``neg_`` if the value is negated."""
        return ("neg_" if self.metric.greater_is_better else "") + name_of(self.metric)

    __name__: ClassVar[Any] = name  # required by XGBoost's scikit-learn interface

    def __call__(self, first: Any, second: Any, sample_weight: Any = None) -> Any:
        value = super().__call__(first, second, sample_weight)
        return (self.name, value) if hasattr(second, "get_label") else value

    def answer(self, predictions: Any, targets: Any, weights: Any) -> float:
        """Return the value to minimise."""
        value = float(self.metric(predictions, targets, weights=weights))
        return -value if self.metric.greater_is_better else value


@final
@dataclass(frozen=True)
class LightGBMMetric(_Boosting):
    """A metric for LightGBM, as returned by `lightgbm_metric`."""

    def answer(self, predictions: Any, targets: Any, weights: Any) -> tuple[str, float, bool]:
        """Return the name, the value, and whether greater is better."""
        value = float(self.metric(predictions, targets, weights=weights))
        return name_of(self.metric), value, self.metric.greater_is_better
