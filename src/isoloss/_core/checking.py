"""Checks of the values of predictions and targets, for `validate` and for `checked` calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .calls import several
from .domains import LOGITS, NON_NEGATIVE, UNIT, ZERO_OR_ONE, Interval, Labels
from .errors import fail
from .inputs import Batch, Inputs
from .library import library_of
from .types import INTEGERS, Array, Namespace, dtype_name

# The number of open `checked` blocks in the process. A call reads this number first: it is cheap.
# If it is not 0, the call checks whether a block belongs to its own thread or task.
open_blocks = 0
_CHECKED: ContextVar[bool] = ContextVar("isoloss_checked", default=False)
_LOCK = threading.Lock()
_NEAR = 1e-3  # tolerance of the sum of a row of probabilities
_NEAR_OF_HALVES = 2e-2  # the tolerance in float16 and bfloat16


@contextmanager
def block() -> Iterator[None]:
    """Check the calls of this thread or task."""
    global open_blocks
    token = _CHECKED.set(True)
    try:
        with _LOCK:
            open_blocks += 1
        yield
    finally:
        with _LOCK:
            open_blocks -= 1
        _CHECKED.reset(token)


class _UnknownError(TypeError):
    """Raised if values are unknown, because a function is traced or an array is lazy."""


def _known(array: Array) -> bool:
    """Return the truth value of an array of one element; raise if it is unknown."""
    try:
        return bool(array)
    except Exception as error:
        raise _UnknownError from error


def check_call(
    metric: Any, data: tuple[Any, Any], options: dict[str, Any], value: Any = None
) -> None:
    """Check the inputs of a call in a `checked` block, and its result if there is one."""
    first = data[0][0] if isinstance(data[0], tuple) and data[0] else data[0]
    library = library_of(first)
    if (library is not None and not library.is_concrete(first)) or not _CHECKED.get():
        return
    token = _CHECKED.set(False)  # metrics that the checks call are not checked again
    try:
        weights, where, axis = (options.get(name) for name in ("weights", "where", "event_axis"))
        check_values(metric, *data, weights, where, axis)
        if value is not None:
            _check_result(metric, data, options, value)
    except _UnknownError:
        return
    except TypeError as error:
        if not isinstance(error.__cause__, _UnknownError):
            raise
    finally:
        _CHECKED.reset(token)


def _check_result(metric: Any, data: tuple[Any, Any], options: dict[str, Any], value: Any) -> None:
    """Raise if the result of a call is nan although all inputs are in the domain."""
    inputs = Inputs(metric, *data, None, None, None, options.get("event_axis"))
    xp = inputs.xp
    if not _known(xp.any(xp.isnan(inputs.library.raw.asarray(value)))):
        return
    if metric.summable:
        names = ("weights", "where", "event_axis")
        present = {name: options[name] for name in names if options.get(name) is not None}
        wrong = xp.isnan(metric(*data, reduction="none", **present))
        if _known(xp.any(wrong)):
            index = _index(xp, wrong)
            raise fail(metric, f"the term of sample {index} is nan, though its values are allowed")
    raise fail(
        metric,
        "the value is nan, though every prediction and target is allowed: it is not defined for "
        "these samples together (no sample, or no variance, in one of its averages)",
    )


def check_values(
    metric: Any, predictions: Any, targets: Any, weights: Any, where: Any, event_axis: Any
) -> None:
    """Raise if a value is outside the domain of a metric; the error names the first one."""
    inputs = Inputs(metric, predictions, targets, weights, where, None, event_axis)
    try:
        with inputs.library.without_graph():
            _check_inputs(inputs)
    except _UnknownError as error:
        message = "validate looks at values, which are not known here (under jit or vmap, say)"
        raise fail(metric, f"{message}; call it outside the function", TypeError) from error


def _check_inputs(inputs: Inputs) -> None:
    metric, xp, arrays = inputs.metric, inputs.xp, inputs.arrays
    batch = inputs.batch()
    if "weights" in arrays:
        cast = _counted(xp, batch, inputs.library.cast(xp, arrays["weights"]))
        _check(metric, xp, "weights", cast, NON_NEGATIVE)
    limit = 2.0**53 if xp.computing_name == "float64" else 2.0**24
    whole = Interval(-limit, limit)
    data = (*several(batch.predictions), *several(batch.targets))
    for (name, values), array in zip(inputs.intervals, data, strict=True):
        integers = dtype_name(arrays[name].dtype) in INTEGERS
        if isinstance(values, Interval):
            _check(metric, xp, name, array, values, hint=_likely(inputs, data, name, values))
            if integers:
                _check(metric, xp, name, array, whole, f"to be exact in {xp.computing_name}")
        elif integers:
            labels = xp.astype(arrays[name], xp.counting)
            _check(metric, xp, name, _counted(xp, batch, labels), inputs.among(values))
        else:
            _check(metric, xp, name, inputs.library.cast(xp, arrays[name]), LOGITS)
    if batch.mask is not None and not _known(xp.any(batch.mask)):
        raise fail(metric, "no sample counts: where= and weights= exclude all of them")
    _check_rows(inputs, batch, data)
    _check_scores(inputs, batch, data)
    _check_indicators(inputs, batch)


def _counted(xp: Namespace, batch: Batch, array: Array) -> Array:
    """Return an array with excluded samples set to 0."""
    mask = batch.mask
    if mask is None:
        return array
    for _ in range(array.ndim - mask.ndim):  # several labels per sample
        mask = xp.expand_dims(mask, axis=-1)
    return xp.where(mask, array, xp.zeros_like(array))


def _likely(inputs: Inputs, data: tuple[Array, ...], name: str, values: Interval) -> str:
    """Return the likely cause of a value outside an interval, as the end of a message."""
    xp, core = inputs.xp, inputs.cores(inputs.arrays)[name]
    if name == "predictions" and values == UNIT:
        function = "softmax" if core == ("classes",) else "a sigmoid"
        return f"; for logits use a loss that takes logits, or apply {function} first"
    if name == "targets" and values == ZERO_OR_ONE and inputs.data == ("predictions", "targets"):
        predictions, targets = data
        swapped = predictions.shape == targets.shape and predictions.size != 0
        if swapped and _known(xp.all(values.contains(predictions))):
            return "; are predictions and targets swapped?"
    if name == "predictions" and values == Interval(high=0.0, infinite=True):
        return (
            ", as logarithms of probabilities are; take the log of probabilities, or use log_loss"
        )
    return ""


def _check_rows(inputs: Inputs, batch: Batch, data: tuple[Array, ...]) -> None:
    """Check that rows of class probabilities sum to 1."""
    xp, metric = inputs.xp, inputs.metric
    for (name, values), array in zip(inputs.intervals, data, strict=True):
        if values != UNIT or inputs.cores(inputs.arrays)[name] != ("classes",):
            continue
        half = "16" in dtype_name(inputs.arrays[name].dtype)
        sums = xp.sum(array, axis=-1)
        wrong = xp.abs(sums - 1.0) > (_NEAR_OF_HALVES if half else _NEAR)
        if batch.mask is not None:
            wrong = wrong & batch.mask
        if _known(xp.any(wrong)):
            index = _index(xp, wrong)
            first = float(xp.reshape(sums, (-1,))[_first(xp, wrong)])
            message = (
                f"the row {name}{index} sums to {first:.6g}; probabilities of classes sum to 1"
            )
            raise fail(metric, f"{message}: divide each row by its sum")


def _check_scores(inputs: Inputs, batch: Batch, data: tuple[Array, ...]) -> None:
    """Check that predictions are probabilities if the threshold is between 0 and 1."""
    metric, xp = inputs.metric, inputs.xp
    threshold = getattr(metric, "threshold", None)
    if not isinstance(threshold, float) or not 0 < threshold < 1:
        return
    hint = (
        f", where threshold={threshold}; for logits pass a sigmoid of them, or threshold=0.0 "
        "when the metric is made"
    )
    _check(metric, xp, "predictions", _counted(xp, batch, data[0]), UNIT, hint=hint)


def _check_indicators(inputs: Inputs, batch: Batch) -> None:
    """Check that targets of several classes are labels, not rows of 0 and 1."""
    metric, arrays = inputs.metric, inputs.arrays
    classes = metric.sizes.get("classes", 0)
    domain, xp = metric.domain, inputs.xp
    if classes < 3 or not isinstance(domain.targets, Labels):
        return
    if inputs.scores or arrays["targets"].ndim < 2 or arrays["targets"].shape[-1] != classes:
        return
    if _known(xp.all(arrays["targets"] <= 1)) and _known(xp.all(arrays["predictions"] <= 1)):
        raise fail(
            metric,
            f"predictions and targets have shape {tuple(arrays['targets'].shape)} and hold 0 and 1 "
            f"alone, as indicators of {classes} classes do, and not labels from 0 to "
            f"{classes - 1}; "
            "for several labels at once use a binary metric with axis=0, such as binary_f1_score",
        )


def _first(xp: Namespace, wrong: Array) -> int:
    return int(xp.argmax(xp.astype(xp.reshape(wrong, (-1,)), xp.int32)))


def _index(xp: Namespace, wrong: Array) -> str:
    """Return the first index at which a condition holds, as text such as ``[0, 2]``."""
    first, index = _first(xp, wrong), []
    for size in reversed(wrong.shape):
        first, place = divmod(first, size)
        index.append(str(place))
    return f"[{', '.join(reversed(index))}]" if index else ""


def _check(
    metric: Any,
    xp: Namespace,
    name: str,
    array: Array,
    interval: Interval,
    why: str = "",
    hint: str = "",
) -> None:
    known = ~xp.isnan(array) if interval.infinite else xp.isfinite(array)
    wrong = ~(known & interval.contains(array))
    if not _known(xp.any(wrong)):
        return
    value = xp.reshape(array, (-1,))[_first(xp, wrong)]
    value = int(value) if "int" in dtype_name(array.dtype) else float(value)
    allowed = "a number, not nan" if interval.infinite else "finite"
    need = f"{interval} {why}".strip() if interval.bounded else allowed
    hint = hint if value == value else ""
    raise fail(metric, f"{name}{_index(xp, wrong)} is {value}; {name} must be {need}{hint}")
