"""Error messages for common mistakes, with the code that corrects them.

A call that succeeds does not run this module.
"""

from __future__ import annotations

import difflib
import inspect
import linecache
import re
from dataclasses import MISSING, fields
from types import ModuleType
from typing import Any

from .domains import ZERO_OR_ONE, Labels
from .errors import abbreviated, fail, have
from .parameters import declared_of
from .types import INTEGERS, Namespace, dtype_name

# The names of options and arguments in other libraries, and the names in isoloss.
_OPTIONS = {
    "sample_weight": "weights", "weight": "weights", "mask": "where", "dim": "axis",
    "keepdim": "keepdims",
}  # fmt: skip
_PREDICTIONS = (
    "y_pred", "y_score", "y_prob", "y_proba", "y_hat", "preds", "pred", "prediction", "input",
    "inputs", "output", "outputs", "logits", "log_probs", "probs", "scores",
)  # fmt: skip
_TARGETS = ("y_true", "y", "target", "labels", "label", "ground_truth", "truth")
_ARGUMENTS = {
    **dict.fromkeys(_PREDICTIONS, "predictions"), **dict.fromkeys(_TARGETS, "targets"),
}  # fmt: skip


# --- calls of a metric ----------------------------------------------------------------------------


def wrong_call(
    metric: Any, method: Any, data: tuple[Any, Any], extra: tuple[Any, ...], unknown: dict[str, Any]
) -> Exception:
    """Build the error for a call whose arguments do not match the signature of the method."""
    if extra:
        return _too_many(metric, data[0], extra)
    for name in unknown:
        if _ARGUMENTS.get(name) in ("predictions", "targets"):
            renames = " and ".join(
                f"{_ARGUMENTS[name_used]}= instead of {name_used}="
                for name_used in unknown
                if name_used in _ARGUMENTS
            )
            return fail(metric, f"write {renames}; predictions come first, then targets", TypeError)
    if unknown:
        return _unknown_option(metric, unknown, method)
    missing = [n for n, x in zip(("predictions", "targets"), data, strict=True) if x is MISSING]
    are = "are" if missing[-1].endswith("s") else "is"
    message = f"{' and '.join(missing)} {are} missing; pass (predictions, targets)"
    return fail(metric, message, TypeError)


def _too_many(metric: Any, first: Any, extra: tuple[Any, ...]) -> Exception:
    """Build the error for a third positional argument."""
    if hasattr(first, "fit") or hasattr(first, "predict"):
        message = (
            f"it was called with an estimator, {type(first).__name__}; for scoring= pass "
            f"isoloss.adapters.sklearn.scorer({_written(metric)})"
        )
        return fail(metric, message, TypeError)
    count = 2 + len(extra)
    message = f"it takes predictions and targets, not {count} arrays in a row; options have names"
    return fail(metric, f"{message}: pass weights as weights=", TypeError)


def _written(metric: Any) -> str:
    """Return the code of a metric."""
    return f"isoloss.{metric!r}"


def _unknown_option(metric: Any, unknown: dict[str, Any], method: Any) -> Exception:
    """Build the error for an unknown option; the message suggests a known option."""
    name, value = next(iter(unknown.items()))
    if name in (item.name for item in fields(metric)):
        code = f"{type(metric).__name__}({name}={abbreviated(value)})"
        fix = f"{name} is a hyper-parameter; make the metric with it: {code}(predictions, targets)"
        return fail(metric, fix, TypeError)
    options = [
        n for n, p in inspect.signature(method).parameters.items() if p.kind is p.KEYWORD_ONLY
    ]
    candidates = [_OPTIONS.get(name, ""), *difflib.get_close_matches(name, options, 1)]
    suggestion = next((f"use {option}=" for option in candidates if option in options), None)
    core = next((core[0] for part in metric.parts for core in part if core), None)
    if name == "dim" and core is not None:
        suggestion = f"use event_axis= for the axis of {core}, or axis= for the axes to reduce"
    fix = suggestion or f"the options are {', '.join(options)}"
    return fail(metric, f"there is no option {name}=; {fix}", TypeError)


# --- construction of a metric ---------------------------------------------------------------------


def wrong_construction(
    cls: Any, names: tuple[str, ...], arguments: tuple[Any, ...], parameters: dict[str, Any]
) -> Exception | None:
    """Build the error for unknown arguments of a class; None if all are parameters.

    ``names`` are the parameters of the class in order.
    """
    fits = True
    try:
        inspect.signature(cls.__init__).bind(None, *arguments, **parameters)
    except TypeError:
        fits = False
    arrays = [x for x in arguments if getattr(x, "shape", ())]
    listed = [x for x in arguments if isinstance(x, list)]
    integers = any(dtype_name(x.dtype) in INTEGERS for x in arrays if hasattr(x, "dtype"))
    if len(arrays) >= 2 and (integers or not (fits and _takes_arrays(cls, names))):
        return TypeError(_made_first(cls))
    if fits:
        return None
    if len(arrays) + len(listed) >= 2 or parameters.keys() & _ARGUMENTS.keys():
        return TypeError(_made_first(cls))
    unknown = [name for name in parameters if name not in names]
    if not unknown:
        if len(arguments) > len(names):
            return TypeError(_made_first(cls))
        return None  # a missing or repeated parameter, which Python names
    name = unknown[0]
    if name in _CALL_OPTIONS or name in _OPTIONS:
        option = _OPTIONS.get(name, name)
        message = f"{name}= is not a parameter; {option}= is an option of the call"
        return TypeError(
            f"{cls.__name__}: {message}: {_template(cls)}(predictions, targets, {option}=...)"
        )
    close = difflib.get_close_matches(name, names, 1)
    fix = f"did you mean {close[0]}?" if close else _parameters_of(names)
    return TypeError(f"{cls.__name__}: there is no parameter {name}=; {fix}")


_CALL_OPTIONS = ("weights", "where", "axis", "keepdims", "reduction", "denominator", "event_axis")


def _parameters_of(names: tuple[str, ...]) -> str:
    return f"the parameters are {', '.join(names)}" if names else "it has no parameters"


def _takes_arrays(cls: Any, names: tuple[str, ...]) -> bool:
    """Whether the first parameter is a number, and may be a learnt array."""
    item, declared = cls.__dataclass_fields__[names[0]], declared_of(cls).get(names[0])
    whole = declared is not None and declared.whole
    return not (whole or isinstance(item.default, bool) or item.default is None)


def _template(cls: Any) -> str:
    """Return the code that constructs a metric of a class, with its required parameters."""
    items = cls.__dataclass_fields__.values()
    required = [
        item.name
        for item in items
        if item.name in cls.__match_args__ and item.default is item.default_factory is MISSING
    ]
    return f"{cls.__name__}({', '.join(f'{name}=...' for name in required)})"


def _made_first(cls: Any) -> str:
    message = "it is a class: make the metric, then call it"
    return f"{cls.__name__}: {message}: {_template(cls)}(predictions, targets)"


# --- arguments ------------------------------------------------------------------------------------


def label_dtype(metric: Any, name: str, arrays: dict[str, Any]) -> str:
    """Return the remedy for labels with a floating dtype."""
    array, shape = arrays[name], None
    predictions = arrays.get("predictions")
    if name == "targets" and predictions is not None:
        shape = getattr(predictions, "shape", None)
        if dtype_name(predictions.dtype) in INTEGERS:
            return "predictions are integers: are the two swapped? pass (predictions, targets)"
    if name in ("predictions", "targets") and array.shape == shape and array.ndim > 1:
        return f"convert them, e.g. {name}.argmax(-1)"
    return f"convert them, e.g. {as_integers(name, array)}"


def as_integers(name: str, array: Any) -> str:
    """Return the code that converts an array to integers."""
    if hasattr(array, "astype"):
        return f"{name}.astype(int)"
    return f"{name}.to(int)" if hasattr(array, "to") else f"xp.astype({name}, xp.int64)"


def shapes(metric: Any, arrays: dict[str, Any], cores: dict[str, tuple[str, ...]]) -> str:
    """Return the message for shapes that do not match, with a remedy."""
    sizes = {name: tuple(arrays[name].shape) for name in cores}
    (first, p), *others = sizes.items()
    *middle, last = (f"{name} {shape}" for name, shape in others)
    message = ", ".join([f"{have(first)} shape {p}", *middle]) + f" and {last}"
    hint = _hint(metric, arrays, cores, sizes)
    if len(set(cores.values())) > 1:
        expected = {
            n: f"(..., {', '.join(core)})" if core else "(...)" for n, core in cores.items()
        }
        first_expected = expected.pop(first)
        where = " and ".join(
            f"{name} {'are' if name.endswith('s') else 'is'} {shape}"
            for name, shape in expected.items()
        )
        message = f"{message}; {first} must be {first_expected} where {where}"
        return f"{message}: {hint}" if hint else message
    return f"{message}; they must be the same{f': {hint}' if hint else ''}"


def _hint(
    metric: Any,
    arrays: dict[str, Any],
    cores: dict[str, tuple[str, ...]],
    sizes: dict[str, tuple[int, ...]],
) -> str | None:
    """Return the remedy for shapes that do not match, if the mistake is a known one."""
    if tuple(sizes) != ("predictions", "targets"):
        return _length_one(sizes)
    p, t = sizes["predictions"], sizes["targets"]
    core, core_t = cores["predictions"], cores["targets"]
    if core and not core_t:
        return _rows_and_labels(metric, arrays, p, t, core[0])
    if p == (*t, 2) and metric.domain.targets == ZERO_OR_ONE:
        return f"pass the probabilities of class 1, predictions[{':, ' * len(t)}1]"
    return _length_one(sizes)


def _rows_and_labels(
    metric: Any, arrays: dict[str, Any], p: tuple[int, ...], t: tuple[int, ...], core: str
) -> str | None:
    """Return the remedy if predictions are rows, such as of classes, and targets are numbers."""
    if len(t) == len(p) and t[-1] == 1 and t[:-1] == p[:-1]:
        return f"drop the axis of length 1 with targets.squeeze({len(t) - 1})"
    for axis in range(len(p) - 1):
        if p[:axis] + p[axis + 1 :] == t:
            return f"the {core} are on axis {axis}; pass event_axis={axis}"
    if p != t or not isinstance(metric.domain.targets, Labels):
        return None
    if len(p) > 1:
        return "the targets look one-hot; pass targets.argmax(-1)"
    array = arrays["predictions"]
    if not isinstance(metric.domain.predictions, Labels) or dtype_name(array.dtype) in INTEGERS:
        return None
    message = f"for labels pass integers, e.g. {as_integers('predictions', array)}"
    return f"{message}; scores need an axis of {core}"


def _length_one(sizes: dict[str, tuple[int, ...]]) -> str | None:
    """Return the remedy if one array has an additional axis of length 1."""
    (first, p), *others = sizes.items()
    for name, t in others:
        for long, which, short in ((p, first, t), (t, name, p)):
            if len(long) == len(short) + 1:
                extra = [
                    i for i, n in enumerate(long) if n == 1 and long[:i] + long[i + 1 :] == short
                ]
                if extra:
                    return f"drop the axis of length 1 with {which}.squeeze({extra[-1]})"
    return None


def text(subject: Any) -> str:
    """Return the remedy for an array of text."""
    domain = getattr(subject, "domain", None)
    values = (*domain.of_predictions, *domain.of_targets) if domain is not None else ()
    if any(isinstance(x, Labels) or x == ZERO_OR_ONE for x in values):
        return (
            "it holds text; number the labels of both arrays together, "
            "names, codes = numpy.unique([targets, predictions], return_inverse=True)"
        )
    return "it holds text; convert it with astype(float)"


def not_an_array(subject: Any, name: str, value: Any) -> str:
    """Return the message for an argument that cannot be converted to an array."""
    kind = f"{type(value).__module__}.{type(value).__name__}"
    if kind in ("xgboost.core.DMatrix", "xgboost.core.QuantileDMatrix", "lightgbm.basic.Dataset"):
        module = kind.partition(".")[0]
        options = "objective= and obj=" if module == "xgboost" else "objective="
        return (
            f"{name} must be an array, not {type(value).__name__}; for {options} pass "
            f"isoloss.adapters.boosting.{module}_objective({_written(subject)})"
        )
    if hasattr(value, "fit") or hasattr(value, "predict"):
        return (
            f"{name} must be an array, not an estimator, {type(value).__name__}; for scoring= pass "
            f"isoloss.adapters.sklearn.scorer({_written(subject)})"
        )
    message = f"{name} must be an array, not {type(value).__name__} {abbreviated(value)}"
    return f"{message}; convert it with numpy.asarray first"


# --- definitions ----------------------------------------------------------------------------------


def foreign_function(metric: Any, xp: Namespace, error: Exception) -> Exception | None:
    """Build the error for a definition that calls a function of a library instead of ``xp``.

    The failing line is read from the source. None if it does not call a function of a module.
    """
    trace, frame, line = error.__traceback__, None, 0
    module_name = type(metric).__module__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == module_name:
            frame, line = trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
    if frame is None:
        return None
    source = linecache.getline(frame.f_code.co_filename, line)
    for alias, name in re.findall(r"\b(\w+(?:\.\w+)*)\.(\w+)\(", source):
        module: Any = frame.f_globals.get(alias.partition(".")[0])
        if isinstance(module, ModuleType) and alias.partition(".")[0] not in frame.f_locals:
            message = (
                f"{frame.f_code.co_name} calls {alias}.{name}, which takes arrays of one library"
            )
            fix = f"use xp.{name}" if hasattr(xp, name) else "use functions of xp"
            return fail(metric, f"{message} and has no derivative here; {fix}", TypeError)
    return None
