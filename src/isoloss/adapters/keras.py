"""Keras 3 on JAX or PyTorch: losses and metrics for ``compile``, ``fit`` and ``evaluate``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

try:
    import keras
    from keras import ops
    from keras.src.backend import get_keras_mask  # used by Keras's losses; it has no public name
except ImportError as error:
    message = "isoloss.adapters.keras needs Keras 3: pip install 'isoloss[keras]'"
    if error.name != "keras":  # its backend is missing; the default backend is TensorFlow
        message = f"Keras does not start ({error}): set the environment variable KERAS_BACKEND to "
        message += "jax or torch before keras is imported"
    raise ImportError(message) from error

import isoloss

from .._core import metric as core
from .._core.calls import Axis
from .._core.domains import Labels
from .._core.states import leafwise
from ..metrics.catalogue import as_metric, name_of

if keras.backend.backend() not in ("jax", "torch", "numpy"):
    raise ImportError(
        f"Keras computes with {keras.backend.backend()}, isoloss with JAX, PyTorch and NumPy: "
        "set the environment variable KERAS_BACKEND to jax or torch before keras is imported"
    )

NO_LABEL = -(2**31)  # replaces labels that are not integers, so that the sample gives nan
BINNED = {"ROCAUC": "BinnedROCAUC", "AveragePrecision": "BinnedAveragePrecision"}


@keras.saving.register_keras_serializable(package="isoloss")
class Loss(keras.losses.Loss):
    """A loss for ``model.compile(loss=...)``.

    ``reduction`` and weights have the meaning of Keras, so that the loss can replace a loss of
    Keras. Samples that are masked or have weight 0 reach neither value nor gradient, even if they
    hold nan. Labels may have a last axis of length 1, and may be floats with integer values.

    Parameters
    ----------
    loss : metric
        A loss such as ``isoloss.huber``. For a loss of logits, the model must end without an
        activation. A loss of several predictions, such as ``isoloss.gaussian_nll``, takes them
        along the last axis of ``y_pred`` or as a tuple.
    reduction : str or None
        ``"sum_over_batch_size"`` or ``"mean"``: the weighted sum divided by the number of samples
        that are not masked; ``"mean_with_sample_weight"``: the weighted sum divided by the sum of
        the weights, as elsewhere in isoloss; ``"sum"``; ``"none"`` or None: one value per sample.
        For a loss without one term per sample, every mean is the weighted value.
    event_axis : int or tuple of int, optional
        The axis of classes or pixels; the last axis by default.
    name : str, optional
        The name of the loss; by default its name in `isoloss.evaluate`.

    Raises
    ------
    TypeError
        If ``loss`` is not a metric.
    ValueError
        If the reduction is unknown, or needs one term per sample and the loss has no such terms.

    Examples
    --------
    >>> import isoloss as il
    >>> from isoloss.adapters.keras import Loss
    >>> float(Loss(il.mean_absolute_error)([1.0, 1.0], [[0.0], [0.0]], sample_weight=[1.0, 0.0]))
    0.5
    """

    def __init__(
        self,
        loss: core.Metric | str,
        *,
        reduction: str | None = "sum_over_batch_size",
        event_axis: Axis = None,
        name: str | None = None,
    ) -> None:
        loss = as_metric(type(self).__name__, loss)
        super().__init__(name=name or name_of(loss), reduction=reduction or "none")
        if self.reduction in ("sum", "none") and not loss.summable:
            raise ValueError(
                f"Loss({loss!r}): reduction={reduction!r} needs one term per sample; "
                "only 'sum_over_batch_size' and 'mean_with_sample_weight' apply"
            )
        self.metric, self.event_axis = loss, event_axis

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the loss."""
        loss, reduction = self.metric, self.reduction
        p, t, options = _arguments(loss, y_true, y_pred, sample_weight, self.event_axis)
        columns = p.shape[-1] if loss.elementwise and len(p.shape) > 1 else None
        if reduction == "none":  # in Keras, the loss of a row is the mean over its columns
            terms = loss(p, t, **options, reduction="none")
            return terms if columns is None else ops.mean(terms, axis=-1)
        if reduction == "sum":
            return loss(p, t, **options, reduction="sum") / (columns or 1)
        if reduction != "mean_with_sample_weight" and sample_weight is not None and loss.averages:
            unweighted = loss.summary(p, t, **dict(options, weights=None))
            options["denominator"] = unweighted.weight.sum
        return loss(p, t, **options, empty=0.0)

    def get_config(self) -> dict[str, Any]:
        return {
            "loss": _as_config(self.metric),
            "reduction": self.reduction,
            "event_axis": self.event_axis,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        return cls(**_from_config(config))


@keras.saving.register_keras_serializable(package="isoloss")
class Metric(keras.metrics.Metric):
    """A metric for ``model.compile(metrics=...)`` or ``weighted_metrics``, exact over batches.

    The variables hold the merged state of all batches, so the value is the value of all samples
    together. Samples that are masked or have weight 0 are excluded, and means divide by the sum of
    the weights. The value is nan before the first sample. Predictions and labels have the same
    format as for `Loss`.

    Parameters
    ----------
    metric : metric
        A metric such as ``isoloss.r2_score``. Metrics whose state holds all samples, such as
        ``isoloss.roc_auc_score``, are not supported: variables have fixed shapes.
    event_axis : int or tuple of int, optional
        The axis of classes or pixels; the last axis by default.
    name : str, optional
        The name of the metric; by default its name in `isoloss.evaluate`.

    Raises
    ------
    TypeError
        If ``metric`` is not a metric.
    ValueError
        If the state of the metric holds all samples.

    Examples
    --------
    >>> import isoloss as il
    >>> from isoloss.adapters.keras import Metric
    >>> metric = Metric(il.r2_score)
    >>> metric.update_state([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    >>> metric.update_state([6.0], [6.0])
    >>> round(float(metric.result()), 4)
    0.9286
    """

    def __init__(
        self, metric: core.Metric | str, *, event_axis: Axis = None, name: str | None = None
    ) -> None:
        metric = as_metric(type(self).__name__, metric)
        if metric.kind == "sorted whole":
            binned = BINNED.get(type(metric).__name__)
            instead = f"use isoloss.{binned}, or " if binned else ""
            raise ValueError(
                f"Metric({metric!r}): its state is the data, and Keras's variables cannot grow; "
                f"{instead}call it on model.predict(x), after an epoch in a callback"
            )
        super().__init__(name=name or name_of(metric))
        self.metric, self.event_axis = metric, event_axis
        self._layout: Any = None  # the structure of the state, with indices of variables as leaves

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        p, t, options = _arguments(self.metric, y_true, y_pred, sample_weight, self.event_axis)
        state = self.metric.summary(p, t, **options)
        # building a model passes meta tensors, whose states have another structure
        device = getattr(state.weight.value, "device", None)  # a tracer has none
        if getattr(device, "type", None) != "meta":
            self._add(state)

    def result(self) -> Any:
        """Return the value of all samples so far."""
        return ops.convert_to_tensor(
            float("nan") if self._layout is None else self.metric.compute(self._state())
        )

    def merge_state(self, metrics: Iterable[Metric]) -> None:
        """Add the samples of other metrics of the same kind, which stay unchanged."""
        for other in metrics:
            if (other.metric, other.event_axis) != (self.metric, self.event_axis):
                raise ValueError(f"cannot merge {other.metric!r} into {self.metric!r}")
            if other._layout is not None:
                self._add(other._state())

    def _state(self) -> Any:
        return leafwise(lambda i: self.variables[i].value, self._layout)

    def _add(self, state: Any) -> None:
        if self._layout is None:
            leaves: list[Any] = []
            leafwise(leaves.append, state)
            numbers = iter(range(len(leaves)))
            self._layout = leafwise(lambda _: next(numbers), state)
            for leaf in leaves:
                dtype = keras.backend.standardize_dtype(leaf.dtype)
                self.add_variable(tuple(leaf.shape), "zeros", dtype=dtype)
        held = self._state()
        # Keras resets variables to 0, which is not a valid state: the scale of moments is not 0
        nothing, merged = held.weight.value == 0, iter(self.variables)
        leafwise(
            lambda first, both: next(merged).assign(ops.where(nothing, first, both)),
            state,
            held.merge(state),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "metric": _as_config(self.metric),
            "event_axis": self.event_axis,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(**_from_config(config))


# --- arguments of Keras, converted for isoloss ----------------------------------------------------


def _arguments(
    metric: core.Metric, y_true: Any, y_pred: Any, sample_weight: Any, event_axis: Axis
) -> tuple[Any, Any, dict[str, Any]]:
    """Return the predictions, targets and options of a call, with the ranks of the metric."""
    mask = None if isinstance(y_pred, tuple) else get_keras_mask(y_pred)
    predictions: Any = _tensors(y_pred)
    core_p, core_t = metric.core
    names = metric.prediction_names
    if names and not isinstance(y_pred, tuple) and not any(metric.parts[0]):
        if predictions.shape[-1:] != (len(names),):
            raise ValueError(
                f"{metric!r}: y_pred has shape {tuple(predictions.shape)}; its last axis must "
                f"hold {', '.join(names)}, as that of Dense({len(names)}) does"
            )
        predictions = tuple(predictions[..., number] for number in range(len(names)))
    first = predictions[0] if isinstance(predictions, tuple) else predictions
    whole, events = len(first.shape), len(core_p)
    if event_axis is not None:
        events = len(event_axis) if isinstance(event_axis, tuple) else 1
    rank = whole - events  # number of sample axes
    targets: Any = _tensors(y_true)
    if not isinstance(targets, tuple):
        wanted = whole - len(core_p) + len(core_t) if core_t else rank
        if len(targets.shape) == wanted + 1 and targets.shape[-1] == 1:
            targets = ops.squeeze(targets, axis=-1)
        elif len(targets.shape) == wanted - 1 and first.shape[-1] == 1 and not core_t:
            targets = ops.expand_dims(targets, axis=-1)
        if isinstance(metric.domain.of_targets[0], Labels):
            targets = _labels(targets)
    options: dict[str, Any] = {"event_axis": event_axis}
    if sample_weight is not None:
        options["weights"] = _of_rank(_tensors(sample_weight), rank)
    if mask is not None:
        options["where"] = _of_rank(ops.cast(mask, "bool"), whole if metric.padding else rank)
    return predictions, targets, options


def _tensors(given: Any) -> Any:
    return tuple(map(_tensors, given)) if isinstance(given, tuple) else ops.convert_to_tensor(given)


def _labels(targets: Any) -> Any:
    """Return labels as integers; Keras may pass floats."""
    if "int" in keras.backend.standardize_dtype(targets.dtype):
        return targets
    targets = ops.cast(targets, "float32")
    whole = targets == ops.floor(targets)
    return ops.where(whole, ops.cast(ops.where(whole, targets, 0), "int32"), NO_LABEL)


def _of_rank(x: Any, rank: int) -> Any:
    """Return weights or a mask with one axis per sample axis."""
    if len(x.shape) == rank + 1 and x.shape[-1] == 1:
        return ops.squeeze(x, axis=-1)
    while 0 < len(x.shape) < rank:
        x = ops.expand_dims(x, axis=-1)
    return x


# --- configs of saved models ----------------------------------------------------------------------


def _as_config(value: Any) -> Any:
    """Return a metric or a hyper-parameter in a form for JSON."""
    if isinstance(value, core.Metric):
        kind = type(value)
        if getattr(isoloss, kind.__name__, kind) is not kind:
            raise TypeError(
                f"{value!r} has the name of one of isoloss: rename its class to save it"
            )
        return {
            "metric": kind.__name__,
            "parameters": {
                item.name: _as_config(getattr(value, item.name))
                for item in fields(value)  # type: ignore[arg-type]
            },
        }
    if isinstance(value, tuple):
        return [_as_config(one) for one in value]
    if isinstance(value, (str, int, float, type(None))):
        return value
    raise TypeError(f"a saved model holds numbers, not {value!r}: make the metric of numbers")


def _from_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments stored in a config."""
    return {name: _read(value) for name, value in config.items()}


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_read, value))
    if not isinstance(value, dict):
        return value
    name = value["metric"]
    kind = getattr(isoloss, name, None) or keras.saving.get_registered_object(name)
    if kind is None:
        raise ValueError(
            f"there is no metric {name!r}: load with custom_objects={{{name!r}: {name}}}, its class"
        )
    return kind(**{name: _read(part) for name, part in value["parameters"].items()})
