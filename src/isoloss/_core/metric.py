"""The two base classes of a definition, `Metric` and `Loss`.

A definition is a frozen dataclass: its fields are the hyper-parameters, and one method states the
mathematics. This module derives the rest. Every class is abstract or final: to change a metric,
wrap it.
"""

from __future__ import annotations

import inspect
import math
import re
from abc import ABC, abstractmethod
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Never, Self, TypeVar, final, overload

from . import checking
from .calls import Axis, Call, Options, Reduction, answer, evaluate, is_float, several
from .docstrings import with_inputs
from .domains import EVERYWHERE, Domain, Interval
from .errors import abbreviated, fail
from .inputs import Inputs
from .library import library_of
from .mistakes import foreign_function, wrong_call, wrong_construction
from .naming import CallDocumentation, name_of
from .parameters import (
    Declared,
    NumberArray,
    Parametrised,
    as_parameter,
    check_parameter,
    declared_of,
)
from .states import Mean, State, Total, made_by, maker
from .totals import Totals
from .types import Array, Namespace, dtype_name

if TYPE_CHECKING:
    from .wrappers import Scaled, Sum

ArrayT = TypeVar("ArrayT", bound=NumberArray)  # a result is of the type of the predictions
Dimensions = tuple[str, ...]
Core = tuple[Dimensions, Dimensions]
Parts = tuple[tuple[Dimensions, ...], tuple[Dimensions, ...]]


def _parse(signature: str) -> Parts:
    """Return the core dimensions of each array: "((),(k)),()->()" gives (((), ("k",)), ((),))."""
    sides, depth = [""], 0
    for character in signature.partition("->")[0]:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            sides.append("")
        else:
            sides[-1] += character
    predictions, targets = (
        tuple(tuple(re.findall(r"\w+", core)) for core in re.findall(r"\(([^()]*)\)", side))
        for side in sides
    )
    return predictions, targets


class Metric(Parametrised, ABC):
    """A number computed from predictions and targets: a formula of the merged states of batches."""

    signature: ClassVar[str] = "(),()->()"
    parts: ClassVar[Parts] = (((),), ((),))  # the core dimensions of every array
    core: ClassVar[Core] = ((), ())  # core dimensions of the first prediction and target arrays
    prediction_names: ClassVar[tuple[str, ...]] = ()  # if predictions are a tuple of arrays
    target_names: ClassVar[tuple[str, ...]] = ()  # if targets are a tuple of arrays
    weighs: ClassVar[bool] = False  # whether targets decide which samples count, or how much
    elementwise: ClassVar[bool] = True  # a sample is two numbers, and targets decide no weights
    # fill values for masked items, for metrics whose sample is a list of items
    padding: ClassVar[tuple[float, float] | None] = None
    domain: ClassVar[Domain] = EVERYWHERE  # the intervals in which the metric is defined
    kind: ClassVar[str] = "sums"  # of the state: see `docstrings`
    greater_is_better: ClassVar[bool] = False
    averages: ClassVar[bool] = False  # a mean: denominator= can replace the sum of the weights
    summable: ClassVar[bool] = False  # one term per sample: reduction="sum" and "none"

    __array_ufunc__ = None  # makes NumPy scalars defer `scalar * metric` to the metric

    if not TYPE_CHECKING:  # type checkers would read it as the name of the class

        @property
        def __name__(self):
            """The public name, as of a function; the repr if the parameters are not the default."""
            return name_of(self)

    def __dir__(self) -> list[str]:
        """List only what users need; the methods of a definition are listed on its class."""
        special = [name for name in super().__dir__() if name.startswith("_")]
        used = ("compute", "domain", "greater_is_better", "kind", "signature", "summary")
        items: Any = fields(self) if is_dataclass(self) else ()
        return [*special, *used, *(item.name for item in items)]

    def __add__(self, other: Metric) -> Sum:
        from .wrappers import Sum

        return Sum((self, other)) if isinstance(other, Metric) else NotImplemented

    def __radd__(self, other: Any) -> Metric:
        return self if type(other) is int and other == 0 else NotImplemented  # `sum` starts from 0

    def __sub__(self, other: Metric) -> Sum:
        return self + -1 * other if isinstance(other, Metric) else NotImplemented

    def __mul__(self, factor: Any) -> Scaled:
        from .wrappers import Scaled

        return NotImplemented if isinstance(factor, Metric) else Scaled(self, factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> Scaled:
        return NotImplemented if isinstance(divisor, Metric) else self * (1 / divisor)

    def __neg__(self) -> Scaled:
        return -1 * self

    def __new__(cls, *arguments: Any, **parameters: Any) -> Self:
        """Raise if data arrays or unknown parameters are passed to the constructor."""
        names = getattr(cls, "__match_args__", None)  # the fields of a dataclass
        if names is not None and (len(arguments) > 1 or not parameters.keys() <= {*names}):
            error = wrong_construction(cls, names, arguments, parameters)
            if error is not None:
                raise error
        return super().__new__(cls)

    @property
    def sizes(self) -> dict[str, int]:
        """The lengths of core dimensions that the hyper-parameters fix."""
        return {}

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if isinstance(cls.__dict__.get("signature"), str):
            cls.parts = _parse(cls.signature)
            cls.core = cls.parts[0][0], cls.parts[1][0]
        if not isinstance(cls.parts, property):  # a wrapper takes them from its metric
            cls.weighs = (cls.included, cls.importance) != (Metric.included, Metric.importance)
            named = cls.prediction_names + cls.target_names
            cls.elementwise = cls.parts == (((),), ((),)) and not (cls.weighs or named)
        if isinstance(cls.__dict__.get("__doc__"), str):
            cls.__doc__ = CallDocumentation(with_inputs(cls))  # type: ignore[assignment]
        for base in cls.__bases__:
            if issubclass(base, Metric) and not base.__abstractmethods__:
                raise TypeError(
                    f"{cls.__name__} subclasses {base.__name__}, which is final: "
                    "wrap an instance of it, as Root and Scaled do, or subclass Loss"
                )

    def included(self, xp: Namespace, target: Array) -> Array | None:
        """Return a mask of the samples that count, from their targets; None if all count."""
        return None

    def importance(self, xp: Namespace, target: Array) -> Array | None:
        """Return a factor of the weight of each sample, from its target; None without one."""
        return None

    @abstractmethod
    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> State:
        """Summarise one batch in a state; ``total`` weights, masks and sums terms."""

    @abstractmethod
    def formula(self, xp: Namespace, state: Any) -> Array:
        """Return the value of a state."""

    def __post_init__(self) -> None:
        """Check the hyper-parameters."""
        check_fields(self)

    @property
    def source(self) -> Any:
        """A key for the statistics: metrics with equal keys share a state in `evaluate`."""
        return self

    def source_in(self, xp: Namespace) -> Any:
        """The key for the statistics when they are computed in this namespace."""
        return self.source

    def _compares(self) -> bool:
        """Whether metrics compare by value; array parameters, such as learnt ones, do not."""
        values = [x for value in vars(self).values() for x in several(value)]
        return not any(
            hasattr(x, "shape") or (isinstance(x, Metric) and not x._compares()) for x in values
        )

    def _takes(self, xp: Namespace, other: Metric) -> bool:
        """Whether this metric accepts a state of another; always if they cannot be compared."""
        return not self._compares() or other.source in (self.source, self.source_in(xp))

    def terms(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        """Return one term per sample, for metrics that have terms."""
        raise fail(self, "it has no term per sample")

    def sum(self, state: Any) -> Array:
        """Return the sum of the terms, for metrics that have terms."""
        raise fail(self, "it has no term per sample")

    def _inside(self, xp: Namespace, prediction: Array, target: Array, values: Array) -> Array:
        """Set the values of samples outside the domain to nan."""
        domain = self.domain
        if not domain.bounded:
            return values
        arrays = (*several(prediction), *several(target))
        intervals, cores = (*domain.of_predictions, *domain.of_targets), sum(self.parts, ())
        inside: Any = True
        for array, interval, core in zip(arrays, intervals, cores, strict=True):
            if isinstance(interval, Interval) and interval.bounded:
                axes = tuple(range(-len(core), 0))
                inside = inside & (
                    interval.contains_all(xp, array, axes) if core else interval.contains(array)
                )
        return xp.where(inside, values, math.nan)

    @overload
    def __call__(
        self,
        predictions: ArrayT,
        targets: Any,
        *,
        weights: Any = ...,
        where: Any = ...,
        axis: Axis = ...,
        keepdims: bool = ...,
        reduction: Reduction = ...,
        denominator: Any = ...,
        empty: float = ...,
        event_axis: Axis = ...,
    ) -> ArrayT: ...
    @overload
    def __call__(
        self,
        predictions: Any,
        targets: Any,
        *,
        weights: Any = ...,
        where: Any = ...,
        axis: Axis = ...,
        keepdims: bool = ...,
        reduction: Reduction = ...,
        denominator: Any = ...,
        empty: float = ...,
        event_axis: Axis = ...,
    ) -> Any: ...
    @final
    def __call__(
        self,
        predictions: Any,
        targets: Any,
        *extra: Never,
        weights: Any = None,
        where: Any = None,
        axis: Axis = None,
        keepdims: bool = False,
        reduction: Reduction = "mean",
        denominator: Any = None,
        empty: float = math.nan,
        event_axis: Axis = None,
        **unknown: Never,
    ) -> Any:
        """Return the value of the metric for predictions and targets.

        Parameters
        ----------
        predictions, targets : array, or tuple of arrays for some metrics
            Arrays of NumPy, JAX, PyTorch or any array API library. Their sample axes must agree.
        weights : array, optional
            Broadcast to the shape of the loss. A sample of weight 0 is excluded.
        where : boolean array, optional
            The samples that count. Excluded samples affect neither the value nor the gradient.
        axis : int or tuple of int, optional
            Axes of the loss to reduce; all of them by default.
        keepdims : bool
            Keep the reduced axes with length 1.
        reduction : {"mean", "sum", "none"}
            ``sum(w * loss) / sum(w)``, ``sum(w * loss)``, or ``w * loss`` for every sample.
        denominator : number or array, optional
            Replaces the sum of the weights as the divisor of the mean.
        empty : float
            The value if no sample counts; its gradient is zero.
        event_axis : int or tuple of int, optional
            The axis of classes, features or members, for metrics that have one; by default the
            last axis. Several axes are flattened if the metric expects one.
        """
        if unknown or extra or targets is MISSING:
            data = predictions, targets
            raise wrong_call(self, Metric.__call__, data, extra, unknown)
        options = Options(axis, keepdims, reduction, event_axis, denominator is not None)
        call = Call(predictions, targets, weights, where, options, denominator, empty)
        first = predictions[0] if isinstance(predictions, tuple) and predictions else predictions
        library = library_of(first)
        value = evaluate(self, call) if library is None else library.value(self, call)
        if checking.open_blocks:
            given = {"weights": weights, "where": where, "event_axis": event_axis}
            checking.check_call(self, (predictions, targets), given, value)
        return value

    @final
    def summary(
        self,
        predictions: Any,
        targets: Any,
        *extra: Never,
        weights: Any = None,
        where: Any = None,
        axis: Axis = None,
        event_axis: Axis = None,
        groups: Any = None,
        num_groups: int | None = None,
        **unknown: Never,
    ) -> Any:
        """Return the state of one batch; states of several batches ``merge``.

        With ``groups``, an integer from 0 to num_groups - 1 for each sample, the state and the
        values computed from it have one entry per group. A sample with another integer is excluded.
        """
        inputs = self.inputs(
            predictions, targets, *extra, weights=weights, where=where, axis=axis,
            event_axis=event_axis, groups=groups, num_groups=num_groups, **unknown,
        )  # fmt: skip
        library = inputs.library
        with inputs.xp.quiet():
            (state,) = library.statistics((self,), inputs)
        named = library.names_states() and self._compares()
        return made_by(state, self) if named else state

    @final
    def inputs(
        self,
        predictions: Any,
        targets: Any,
        *extra: Never,
        weights: Any = None,
        where: Any = None,
        axis: Axis = None,
        event_axis: Axis = None,
        groups: Any = None,
        num_groups: int | None = None,
        **unknown: Never,
    ) -> Inputs:
        """Check the arguments of `summary`."""
        if unknown or extra or targets is MISSING:
            raise wrong_call(self, Metric.summary, (predictions, targets), extra, unknown)
        if (groups is None) != (num_groups is None):
            message = "groups= and num_groups= go together: the group of each sample, and how many"
            raise fail(self, f"{message} there are", TypeError)
        if num_groups is not None and not (type(num_groups) is int and num_groups > 0):
            raise fail(self, f"num_groups must be an integer above 0, not {num_groups!r}")
        if num_groups is not None and num_groups >= 2**31:
            raise fail(self, f"num_groups={num_groups} is too large; it must be below 2**31")
        inputs = Inputs(
            self, predictions, targets, weights, where, axis, event_axis, groups, num_groups
        )
        if checking.open_blocks:
            given = {"weights": weights, "where": where, "event_axis": event_axis}
            checking.check_call(self, (predictions, targets), given)
        return inputs

    @final
    def compute(self, state: Any, *, denominator: Any = None, empty: float = math.nan) -> Any:
        """Return the value of a state, in the dtype of its data."""
        if not hasattr(state, "weight"):
            message = f"compute needs a state made by summary, not {type(state).__name__}"
            raise fail(self, message, TypeError)
        xp, other = state.weight.xp, maker(state)
        if other is not None and other is not self and not self._takes(xp, other):
            message = f"the state is one of {other!r}; compute it with {other!r}, or make one with"
            raise fail(self, f"{message} the summary of {self!r}", TypeError)
        with xp.quiet():
            return answer(xp.astype(self.value(xp, state, denominator, empty), xp.result))

    @final
    def value(self, xp: Namespace, state: Any, denominator: Any, empty: float) -> Array:
        """Return the value of a state; ``empty`` if no sample counts."""
        weight: Total = state.weight
        if not is_float(empty):
            raise fail(self, f"empty={abbreviated(empty)} must be a number", TypeError)
        if denominator is not None:
            if not self.averages:
                raise fail(self, "denominator= divides a mean, and this metric is not one")
            divisor = self._divisor(xp, weight, denominator)
            weight = Total(divisor, xp.zeros_like(weight.error))
            state = state._replace(weight=weight)
        try:
            value = self.formula(xp, state)
        except AttributeError as error:
            if error.obj is not state:
                raise
            message = f"the state is a {type(state).__name__}, which this metric does not make"
            raise fail(self, message, TypeError) from error
        nothing = weight.value == 0
        for _ in range(value.ndim - nothing.ndim):  # one value per class
            nothing = xp.expand_dims(nothing, axis=-1)
        return xp.where(nothing, xp.full_like(value, empty), value)

    def _divisor(self, xp: Namespace, weight: Total, denominator: Any) -> Array:
        """Return the divisor of a mean; raise if it is not a number or an array."""
        if isinstance(denominator, (int, float)):
            if denominator < 0 or denominator != denominator:
                raise fail(self, f"denominator={denominator} must be a number of at least 0")
        elif isinstance(denominator, (str, bytes, complex)) or (
            hasattr(denominator, "dtype") and "complex" in dtype_name(denominator.dtype)
        ):
            message = f"denominator={abbreviated(denominator)} must be a number"
            raise fail(self, message, TypeError)
        try:
            return xp.zeros_like(weight.value) + denominator
        except (TypeError, OverflowError) as error:
            message = f"denominator={abbreviated(denominator)} must be a number or an array of them"
            raise fail(self, message, TypeError) from error


# With these defaults, a call without targets raises an error that shows the right call. Type
# checkers and `help` still see that both arguments are required.
for _method in (Metric.__call__, Metric.summary, Metric.inputs):
    _signature = inspect.signature(_method)
    _shown = [p for p in _signature.parameters.values() if p.name not in ("extra", "unknown")]
    vars(_method)["__signature__"] = _signature.replace(parameters=_shown)
    _method.__defaults__ = (MISSING, MISSING)


def check_fields(metric: Any) -> None:
    """Check hyper-parameters; NumPy scalars become Python numbers, which never promote."""
    if not type(metric).__dataclass_params__.frozen:
        message = "declare it with @dataclass(frozen=True): metrics are compared and hashed"
        raise fail(metric, message, TypeError)
    declarations = declared_of(metric)
    for item in fields(metric):
        value = getattr(metric, item.name)
        if isinstance(value, Metric):  # the wrapped metric checks its own fields
            continue
        default = getattr(type(metric), item.name, ...)  # compilers cannot read item.default
        declared = declarations.get(item.name, Declared(several=isinstance(default, tuple)))
        value = as_parameter(value, declared.several)
        object.__setattr__(metric, item.name, value)
        if isinstance(default, bool) and not isinstance(value, bool):
            raise fail(metric, f"{item.name} must be True or False, not {value!r}", TypeError)
        if value is not None or default is not None:
            check_parameter(metric, item.name, value, declared)


class Loss(Metric):
    """A metric with one term per sample; its value is their weighted mean."""

    kind: ClassVar[str] = "mean"
    averages: ClassVar[bool] = True
    summable: ClassVar[bool] = True

    @abstractmethod
    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        """Return one term per sample."""

    @final
    def terms(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        """Return the terms, nan outside the domain."""
        try:
            values = self.pointwise(xp, prediction, target)
        except Exception as error:
            foreign = foreign_function(self, xp, error)
            if foreign is None:
                raise
            raise foreign from error
        bounded = self.domain.bounded
        return self._inside(xp, prediction, target, values) if bounded else values

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Mean:
        """Sum the terms."""
        return total.mean(self.terms(xp, prediction, target))

    @final
    def formula(self, xp: Namespace, state: Mean) -> Array:
        """Divide the sum of the terms by the sum of the weights."""
        return state.mean()

    @final
    def sum(self, state: Mean) -> Array:
        """Return the sum of the terms."""
        return state.total.sum


class SquaredLoss(Loss):
    """A loss that is the square of a residual, whose `Root` avoids overflow and underflow."""

    @abstractmethod
    def residual(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        """Return the residual."""

    @final
    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        """Return the squared residual."""
        residual = self.residual(xp, prediction, target)
        return residual * residual

    @final
    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Mean:
        """Sum the squares."""
        residual = self.residual(xp, prediction, target)
        return total.mean_square(self._inside(xp, prediction, target, residual))
