"""Declaration of hyper-parameters, and their checks when a metric is constructed.

The annotation of a hyper-parameter states its allowed values: an `Interval`, integers or words.

    >>> from dataclasses import dataclass
    >>> from typing import Annotated
    >>> import isoloss as il
    >>> @dataclass(frozen=True)
    ... class Cauchy(il.Loss):
    ...     scale: il.Positive = 1.0
    ...     share: Annotated[float, il.Interval(low=0.0, high=1.0)] = 0.5
    ...     def pointwise(self, xp, prediction, target):
    ...         return self.share * xp.log1p(((prediction - target) / self.scale) ** 2)
    >>> Cauchy(scale=-1.0)
    Traceback (most recent call last):
        ...
    ValueError: Cauchy(scale=-1.0): scale must be finite and > 0, not -1.0

The values of arrays and tracers are not checked, because they may be learnt.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Protocol,
    Union,
    get_args,
    get_origin,
)

import numpy as np

from .domains import (
    AT_LEAST_ONE,
    BETWEEN_0_AND_1,
    NON_NEGATIVE,
    POSITIVE,
    REAL,
    UNIT,
    Interval,
)
from .errors import abbreviated, fail

# --- the types of hyper-parameters ----------------------------------------------------------------


class NumberArray(Protocol):
    """An array instead of a number: a learnt parameter, or one value per sample."""

    @property
    def shape(self) -> Any: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def ndim(self) -> Any: ...
    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...
    def __rtruediv__(self, other: Any, /) -> Any: ...
    def __pow__(self, other: Any, /) -> Any: ...
    def __rpow__(self, other: Any, /) -> Any: ...
    def __neg__(self) -> Any: ...
    def __abs__(self) -> Any: ...
    def __lt__(self, other: Any, /) -> Any: ...
    def __le__(self, other: Any, /) -> Any: ...
    def __gt__(self, other: Any, /) -> Any: ...
    def __ge__(self, other: Any, /) -> Any: ...
    def __len__(self) -> int: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __iter__(self) -> Any: ...


Number = float | NumberArray
Real = Annotated[Number, REAL]
Positive = Annotated[Number, POSITIVE]
NonNegative = Annotated[Number, NON_NEGATIVE]
Share = Annotated[Number, UNIT]
Level = Annotated[Number, BETWEEN_0_AND_1]
Count = Annotated[int, AT_LEAST_ONE]
Integer = Annotated[int, REAL]

if TYPE_CHECKING:  # a list or an array becomes a tuple
    Numbers = tuple[float, ...] | list[float] | NumberArray
else:
    Numbers = tuple[float, ...]


class Declared(NamedTuple):
    """The declaration of a hyper-parameter, read from its annotation."""

    interval: Interval | None = None  # of the number, or of each of several numbers
    whole: bool = False  # whether it is an integer
    several: bool = False  # whether it is a tuple of numbers
    allowed: tuple[Any, ...] = ()  # the allowed words or numbers


NOTHING = Declared()


class Parametrised:
    """A class whose annotations declare its parameters."""

    _declared: ClassVar[Mapping[str, Declared]] = {}

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        frame: Any = sys._getframe(1)  # names are resolved where the class is defined
        while frame.f_code.co_name in _MAKING:
            frame = frame.f_back
        declarations = dict(cls._declared)
        for name, annotation in inspect.get_annotations(cls).items():
            if isinstance(annotation, str):
                if annotation.startswith("ClassVar"):
                    continue
                try:
                    annotation = eval(annotation, frame.f_globals, frame.f_locals)
                except Exception:  # names that only type checkers know declare nothing
                    continue
            declarations[name] = _declared(annotation)
        cls._declared = declarations
        if "__repr__" not in vars(cls):  # a dataclass would write all parameters
            cls.__repr__ = Parametrised.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        """Return code that makes an equal metric: the parameters that differ from the default."""
        items: Any = fields(self) if is_dataclass(self) else ()
        values = {item.name: getattr(self, item.name, MISSING) for item in items if item.repr}
        written = [
            f"{name}={value!r}"
            for name, value in values.items()
            if value is not MISSING and not is_default(value, getattr(type(self), name, MISSING))
        ]
        return f"{type(self).__qualname__}({', '.join(written)})"


_MAKING = ("__init_subclass__", "__new__")  # functions between a class statement and its checks


def is_default(value: Any, default: Any) -> bool:
    """Whether a value is the default, or equal to it; an array is not."""
    return value is default or (type(value) is type(default) and _equal(value, default))


def _equal(value: Any, default: Any) -> bool:
    try:
        return bool(value == default)
    except Exception:  # an array or a tracer
        return False


def declared_of(metric: Any) -> Mapping[str, Declared]:
    """Return the declarations of the parameters of a metric or of a class of metrics."""
    return metric._declared  # type: ignore[no-any-return]


def _declared(annotation: Any) -> Declared:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        parts = [_declared(part) for part in get_args(annotation) if part is not type(None)]
        optional = type(None) in get_args(annotation)
        first = next((part for part in parts if part != NOTHING), NOTHING)
        return (
            first._replace(allowed=(*first.allowed, None)) if first.allowed and optional else first
        )
    if origin is Literal:
        return Declared(allowed=get_args(annotation))
    if origin is not Annotated:
        return NOTHING
    inner, *metadata = get_args(annotation)
    interval = next((item for item in metadata if isinstance(item, Interval)), None)
    if interval is None:
        return NOTHING
    if not interval.low < interval.high:
        raise ValueError(f"{interval!r} holds no number: low must be less than high")
    return Declared(interval, inner is int, get_origin(inner) is tuple)


# --- values ---------------------------------------------------------------------------------------


def is_zero(x: Any) -> bool:
    """Whether a hyper-parameter is the number 0; False for arrays and tracers."""
    return isinstance(x, (int, float)) and x == 0


def as_parameter(value: Any, several: bool) -> Any:
    """Return NumPy scalars as Python numbers, which never promote, and sequences as tuples."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if several and isinstance(value, np.ndarray) and value.ndim == 1:
        return tuple(value.tolist())
    return tuple(value) if isinstance(value, list) else value


def check_parameter(metric: Any, name: str, value: Any, declared: Declared) -> None:
    """Check a hyper-parameter against its declaration; values of arrays are not checked."""
    interval, whole, several, allowed = declared
    if allowed:
        if value not in allowed:
            words = ", ".join(map(repr, allowed))
            raise fail(metric, f"{name} must be one of {words}, not {value!r}")
        return
    if several and hasattr(value, "shape"):
        return
    if several and not (isinstance(value, tuple) and value):
        message = f"{name} must be a tuple of numbers, not {value!r}"
        raise fail(metric, message, TypeError)
    if whole and type(value) is not int:
        message = f"{name} must be an integer, not {value!r}"
        raise fail(metric, message, TypeError)
    if interval is not None:
        for number in value if several and isinstance(value, tuple) else (value,):
            _check_number(metric, name, number, interval)


def _check_number(metric: Any, name: str, value: Any, interval: Interval) -> None:
    """Check a number; reading values of arrays and tracers would break transforms."""
    if isinstance(value, (str, bytes, type(None), bool, complex, tuple)):
        raise fail(metric, f"{name} must be a number, not {value!r}", TypeError)
    if type(value) not in (int, float):
        text = isinstance(value, np.ndarray) and value.dtype.kind not in "biuf"
        if text or not hasattr(value, "shape"):
            message = f"{name} must be a number or an array of them, not {abbreviated(value)}"
            raise fail(metric, message, TypeError)
        return
    finite = abs(value) < math.inf or (interval.infinite and value == value)
    if not (finite and interval.contains(value)):
        need = str(interval) if interval.infinite else f"finite and {interval}"
        raise fail(metric, f"{name} must be {need}, not {value}")
