"""Scorers for scikit-learn: use any metric in `cross_validate`, `GridSearchCV` and others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .._core.calls import Axis
from .._core.domains import Labels
from .._core.errors import fail
from .._core.metric import Metric
from ..evaluation import evaluate, named
from ..metrics.catalogue import as_metric
from ..metrics.classification import TopKAccuracy
from ..metrics.curves import ROCAUC, AveragePrecision
from ..validation import validate

try:
    from sklearn.base import BaseEstimator, is_classifier
    from sklearn.utils.metadata_routing import UNUSED
except ImportError as error:
    message = "isoloss.adapters.sklearn needs scikit-learn: pip install 'isoloss[sklearn]'"
    raise ImportError(message) from error

ResponseMethod = str | Sequence[str] | Callable[[Any, Any], Any]
_ORDERS = (ROCAUC, AveragePrecision, TopKAccuracy)  # depend only on the order of scores


def scorer(
    metrics: Metric | str | Iterable[Metric | str] | Mapping[str, Metric | str],
    *,
    response_method: ResponseMethod | None = None,
    pos_label: Any = None,
    axis: Axis = None,
) -> Scorer:
    """Return a scorer: a function of an estimator, X and y, for which greater is better.

    Metrics for which smaller is better are negated. For several metrics the scorer returns a dict,
    as required by `cross_validate` and ``GridSearchCV(refit="name")``: the estimator predicts once,
    and metrics share states. The scorer accepts ``sample_weight``; with metadata routing, call
    ``scorer(...).set_score_request(sample_weight=True)``.

    Labels may be of any type: the ``classes_`` of a classifier number them. Metrics of one number
    per sample (`roc_auc_score`, `brier_score`, `hinge`, ...) compare the positive class with all
    other classes.

    Parameters
    ----------
    metrics : metric, iterable of metrics, or mapping from names to metrics
        The metrics. The default name of a score is the public name of the metric, with the prefix
        ``neg_`` if the metric is negated.
    response_method : str, sequence of str, or function of an estimator and X, optional
        The method that returns the predictions; for a sequence, the first method that exists. The
        default is ``predict`` for metrics of labels and for estimators that are not classifiers,
        ``predict_proba`` for metrics of probabilities, and ``decision_function`` for metrics of
        logits. Metrics that depend only on the order of scores use ``decision_function`` or
        ``predict_proba``. A function provides other predictions:
        ``lambda estimator, X: estimator.predict(X, return_std=True)``.
    pos_label : label, optional
        The positive class; by default the second of two classes.
    axis : int, optional
        The option ``axis`` of the metrics; the score is the mean of the values. For several
        outputs, ``axis=0`` corresponds to scikit-learn's ``uniform_average``.

    Raises
    ------
    TypeError
        If ``metrics`` holds an object that is not a metric.
    ValueError
        During scoring: if the estimator lacks the method, a label was not seen in training, a
        metric of the positive class is used with more than two classes without ``pos_label``, a
        sample is outside the domain of a metric, or a value is not a single number.

    Examples
    --------
    >>> import isoloss as il
    >>> from isoloss.adapters.sklearn import scorer
    >>> from sklearn.linear_model import LinearRegression
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 7.0]
    >>> scorer(il.Huber(delta=2.0))
    Scorer(metrics=Huber(delta=2.0))
    >>> score = scorer([il.mae, il.r2_score])(LinearRegression().fit(X, y), X, y)
    >>> {name: round(value, 3) for name, value in score.items()}
    {'neg_mean_absolute_error': -1.0, 'r2_score': 0.834}
    """
    if isinstance(metrics, str):
        metrics = as_metric("scorer", metrics)
    if not isinstance(metrics, Iterable | Metric) or isinstance(metrics, type):
        raise TypeError(f"scorer takes metrics such as isoloss.huber, not {metrics!r}")
    several: Any = metrics if isinstance(metrics, Metric | Mapping) else tuple(metrics)
    made = Scorer(several, response_method, pos_label, axis)
    made.named()
    return made


class Scorer(BaseEstimator):  # type: ignore[misc]  # untyped; provides clone, repr and routing
    """A scorer, as returned by `scorer`."""

    __metadata_request__score = {"estimator": UNUSED}  # noqa: RUF012  # not metadata

    def __init__(
        self,
        metrics: Metric | tuple[Metric, ...] | Mapping[str, Metric],
        response_method: ResponseMethod | None = None,
        pos_label: Any = None,
        axis: Axis = None,
    ) -> None:
        self.metrics = metrics
        self.response_method = response_method
        self.pos_label = pos_label
        self.axis = axis

    def named(self) -> dict[str, Metric]:
        """Return the metrics by score name."""
        metrics = (self.metrics,) if isinstance(self.metrics, Metric) else self.metrics
        found = named("scorer", metrics)
        if isinstance(metrics, Mapping):
            return found
        return {("" if m.greater_is_better else "neg_") + name: m for name, m in found.items()}

    def score(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Return the score of a fitted estimator, or a dict of scores."""
        metrics, targets = self.named(), np.asarray(y)
        responses: dict[Any, Any] = {}
        groups: dict[Any, dict[str, Metric]] = {}  # metrics that take the same arrays
        for name, metric in metrics.items():
            method = _method(metric, estimator, self.response_method)
            if method not in responses:
                own = callable(method)
                responses[method] = method(estimator, X) if own else getattr(estimator, method)(X)
            alike = method, _kind(metric, estimator, targets), metric.elementwise
            groups.setdefault(alike, {})[name] = metric
        values: dict[str, Any] = {}
        for (method, kind, elementwise), group in groups.items():
            metric = next(iter(group.values()))
            arrays = self._arrays(metric, estimator, method, responses[method], targets, kind)
            weights = sample_weight
            if elementwise and weights is not None:  # one weight per sample, for several outputs
                weights = np.reshape(weights, (-1,) + (1,) * (targets.ndim - 1))
            found = evaluate(group, *arrays, weights=weights, axis=self.axis)
            for name, value in found.items():
                if np.any(np.isnan(value)):  # outside the domain: name the sample
                    validate(group[name], *arrays, weights=weights)
            values |= found
        scores = {name: self._score(metric, values[name]) for name, metric in metrics.items()}
        return scores.popitem()[1] if isinstance(self.metrics, Metric) else scores

    __call__ = score  # metadata routing looks for methods of this name

    def _arrays(
        self, metric: Metric, estimator: Any, method: Any, response: Any, targets: Any, kind: str
    ) -> tuple[Any, Any]:
        """Return predictions and targets, with labels as class numbers."""
        if kind == "values":
            if isinstance(response, list):  # one array of two-class probabilities per output
                response = np.stack([one[:, -1] for one in response], axis=1)
            return response, targets
        classes = np.asarray(estimator.classes_)
        if kind == "labels":
            if method == "predict":
                response = _numbers(metric, classes, response)
            return response, _numbers(metric, classes, targets)
        if self.pos_label is None and len(classes) > 2:
            message = f"the estimator has the classes {classes.tolist()}, and this metric is of "
            raise fail(metric, message + "one against the others: pass pos_label=")
        positive = classes[-1] if self.pos_label is None else self.pos_label
        column = _numbers(metric, classes, np.asarray([positive]), "pos_label=")[0]
        negative = -1 if kind == "signs" else 0
        if method == "predict":
            response = np.where(response == classes[column], 1, negative)
        elif np.ndim(response) == 2:
            response = response[:, column]
        elif column == 0 and not callable(method):
            response = -response  # the decision function of two classes is that of the second
        return response, np.where(targets == classes[column], 1, negative)

    def _score(self, metric: Metric, value: Any) -> float:
        """Return one number, for which greater is better."""
        value = np.asarray(value)
        if self.axis is None and value.shape != ():
            raise fail(metric, f"its value has the shape {value.shape}, and a score is one number")
        return float(np.mean(value)) if metric.greater_is_better else -float(np.mean(value))


def _kind(metric: Metric, estimator: Any, targets: Any) -> str:
    """Return the kind of targets of a metric: values, labels, 0 and 1, or -1 and 1."""
    values = metric.domain.of_targets[0]
    if not is_classifier(estimator) or targets.ndim != 1:
        return "values"
    if isinstance(values, Labels):
        classes = list(estimator.classes_)
        if isinstance(values.classes, int) and values.classes < len(classes):
            message = f"the estimator has {len(classes)} classes: pass num_classes={len(classes)}"
            raise fail(metric, message)
        return "labels"
    if not metric.elementwise or values.high != 1:
        return "values"
    return "signs" if values.low == -1 else "zero or one"


def _method(metric: Metric, estimator: Any, chosen: ResponseMethod | None) -> Any:
    """Return the name of the prediction method, or the prediction function."""
    if callable(chosen):
        return chosen
    names = chosen or _default_methods(metric, estimator)
    names = (names,) if isinstance(names, str) else names
    found = next((name for name in names if hasattr(estimator, name)), None)
    if found is None:
        message = f"{type(estimator).__name__} has no {' or '.join(names)}; pass response_method="
        raise fail(metric, message)
    return found


def _default_methods(metric: Metric, estimator: Any) -> str | tuple[str, ...]:
    predictions, targets = metric.domain.of_predictions[0], metric.domain.of_targets[0]
    of_labels = isinstance(targets, Labels) or targets.high == 1
    if not (is_classifier(estimator) and of_labels) or isinstance(predictions, Labels):
        return "predict"
    if isinstance(metric, _ORDERS):
        return "decision_function", "predict_proba"
    # a threshold between 0 and 1 applies to probabilities
    if predictions.high == 1 or 0 < getattr(metric, "threshold", 0) < 1:
        return "predict_proba"
    return "decision_function"


def _numbers(metric: Metric, classes: Any, labels: Any, what: str = "y") -> Any:
    """Return the positions of labels among the classes."""
    order = np.argsort(classes)
    places = order[np.searchsorted(classes, labels, sorter=order).clip(max=len(classes) - 1)]
    unseen = classes[places] != labels
    if np.any(unseen):
        label = np.asarray(labels)[unseen].tolist()[0]
        message = f"{what} holds {label!r}, and the estimator has seen the classes "
        raise fail(metric, message + str(classes.tolist()))
    return places
