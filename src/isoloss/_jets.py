"""Second-order numbers: a value with its first and second derivative, as arrays of any library.

A `Jet` passes through a definition in place of the predictions, so the same ``pointwise`` that
gives the loss gives its exact first and second derivative, on libraries without autodiff too.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

from . import _special
from ._namespaces import (
    FLOATS,
    Array,
    Library,
    Namespace,
    _clip,
    _curvature,
    _sech2,
    _slope,
    dtype_name,
    library_of,
)

_LOG2, _LOG10 = 1 / math.log(2), 1 / math.log(10)
# name -> (xp, x, f(x)) -> f'(x), f''(x); a plain 0.0 is a derivative that vanishes everywhere.
DERIVATIVES: dict[str, Any] = {
    "abs": lambda xp, x, y: (xp.sign(x), 0.0),
    "exp": lambda xp, x, y: (y, y),
    "expm1": lambda xp, x, y: (y + 1, y + 1),
    "log": lambda xp, x, y: (1 / x, None),  # the second is minus the square of the first
    "log1p": lambda xp, x, y: (1 / (1 + x), None),
    "log2": lambda xp, x, y: (_LOG2 / x, -_LOG2 / (x * x)),
    "log10": lambda xp, x, y: (_LOG10 / x, -_LOG10 / (x * x)),
    "reciprocal": lambda xp, x, y: (-y * y, 2 * y * y * y),
    "sqrt": lambda xp, x, y: (0.5 / y, -0.25 / (x * y)),
    "square": lambda xp, x, y: (2 * x, 2.0),
    "sin": lambda xp, x, y: (xp.cos(x), -y),
    "cos": lambda xp, x, y: (-xp.sin(x), -y),
    "sinh": lambda xp, x, y: (xp.cosh(x), y),
    "cosh": lambda xp, x, y: (xp.sinh(x), y),
    "tanh": lambda xp, x, y: (1 - y * y, -2 * y * (1 - y * y)),
    "atan": lambda xp, x, y: (1 / (1 + x * x), -2 * x / ((1 + x * x) * (1 + x * x))),
    "sqrt1pm1": lambda xp, x, y: (_slope(xp, x), _curvature(xp, x)),
    "log_cosh": lambda xp, x, y: (xp.tanh(x), _sech2(xp, x)),
    "sign": lambda xp, x, y: (0.0, 0.0),
    "floor": lambda xp, x, y: (0.0, 0.0),
    "ceil": lambda xp, x, y: (0.0, 0.0),
    "round": lambda xp, x, y: (0.0, 0.0),
    "trunc": lambda xp, x, y: (0.0, 0.0),
    **_special.DERIVATIVES,
}
# Functions of values alone: questions, whose answers are plain, and makers of constants.
QUESTIONS = ("isfinite", "isnan", "isinf", "any", "all", "logical_and", "logical_or", "logical_not")
CONSTANTS = (
    "argmax", "argmin", "argsort", "bin_of", "chosen", "count_nonzero", "full_like", "ones_like",
    "rank", "zeros_like",
)  # fmt: skip


_DTYPES = ("float", "int", "uint", "bool", "bfloat")


def _plus(x: Any, y: Any) -> Any:
    """Add derivatives, of which None is nothing."""
    return y if x is None else x if y is None else x + y


def _times(x: Any, y: Any) -> Any:
    """Multiply derivatives, of which None is nothing and the number 1 a slope of 1 everywhere."""
    if x is None or y is None:
        return None
    if isinstance(x, float) and x == 1:
        product = y
    else:
        product = x if isinstance(y, float) and y == 1 else x * y
    return float(product) if isinstance(product, int) else product  # a definition may write 2 * x


def _minus(x: Any, y: Any) -> Any:
    return x if y is None else -y if x is None else x - y


def _unclipped(x: Array, clipped: Array) -> Array:
    """Tell where the derivative of a clip is 1: inside, a bound included."""
    return x == clipped


class Carrier(_special.Differentiable):
    """An array that carries more than its value; what `Jet` and the tape's `Node` share."""

    __array_ufunc__ = None  # NumPy arrays leave the arithmetic to us
    value: Array
    varies: bool
    isoloss_library: CarrierLibrary

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        return int(self.value.ndim)

    @property
    def xp(self) -> Namespace:
        return self.isoloss_library.raw

    def __array_namespace__(self, api_version: str | None = None) -> Namespace:
        return self.isoloss_library.raw

    def __lt__(self, other: Any) -> Array:
        return self.value < plain(other)

    def __le__(self, other: Any) -> Array:
        return self.value <= plain(other)

    def __gt__(self, other: Any) -> Array:
        return self.value > plain(other)

    def __ge__(self, other: Any) -> Array:
        return self.value >= plain(other)

    def __eq__(self, other: object) -> Array:
        return self.value == plain(other)

    def __ne__(self, other: object) -> Array:
        return self.value != plain(other)

    def __and__(self, other: Any) -> Array:
        return self.value & plain(other)

    def __or__(self, other: Any) -> Array:
        return self.value | plain(other)

    def __invert__(self) -> Array:
        return ~self.value

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> Any:
        return self.xp.add(self, other)

    def __sub__(self, other: Any) -> Any:
        return self.xp.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.xp.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return self.xp.multiply(self, other)

    def __truediv__(self, other: Any) -> Any:
        return self.xp.divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.xp.divide(other, self)

    def __pow__(self, other: Any) -> Any:
        return self.xp.pow(self, other)

    def __neg__(self) -> Any:
        return self.xp.multiply(self, -1)

    def __abs__(self) -> Any:
        return self.xp.abs(self)

    def polynomial(self, coefficients: tuple[float, ...]) -> Any:
        return self.xp.polynomial(self, coefficients)

    def __rpow__(self, base: Any) -> Any:
        return self.xp.exp(self.xp.multiply(self, math.log(base)))

    __radd__ = __add__
    __rmul__ = __mul__
    __rand__ = __and__
    __ror__ = __or__


def plain(x: Any) -> Any:
    """Return the value without what it carries."""
    return x.value if isinstance(x, Carrier) else x


def varies(x: Any) -> bool:
    """Whether an argument, or one in a list of them, carries more than its value."""
    if isinstance(x, (list, tuple)):
        return any(map(varies, x))
    return isinstance(x, Carrier) and x.varies


class CarrierLibrary(Library):
    """The library of a carrier: another library's functions, with rules for what is carried."""

    def __init__(self, under: Library) -> None:
        super().__init__(ModuleType(f"isoloss.{type(self).__name__}"))
        self.under = under
        self.name = under.name
        self.quiet = under.quiet
        self.sorts = under.sorts

    def has_float64(self, array: Any) -> bool:
        return self.under.has_float64(plain(array))

    def default_float(self) -> str:
        return self.under.default_float()

    def absorbs(self, other: Library) -> bool:
        return other is self.under or self.under.absorbs(other)

    def convert(self, array: Any, dtype: str, like: Any) -> Any:
        if library_of(array) is not self.under:
            array = self.under.convert(array, dtype, plain(like))
        return self.constant(array)

    def constant(self, value: Array) -> Any:
        """Return an array as a carrier of nothing; some libraries refuse arithmetic with others.

        Integers and booleans stay what they are: nothing depends on them smoothly.
        """
        real = dtype_name(value.dtype) in FLOATS if hasattr(value, "dtype") else True
        return self.carrier(value) if real else value

    def carrier(self, value: Array) -> Any:
        """Return an array as a carrier of nothing."""
        raise NotImplementedError

    def rules(self, xp: Namespace) -> dict[str, Any]:
        """Return the functions that know what is carried, over the namespace ``xp``."""
        raise NotImplementedError

    def _build(self, result: str, wide: bool) -> Namespace:
        xp = self.under.namespace(result, wide)

        def question(name: str) -> Any:
            function = getattr(xp, name)
            return lambda x, *rest, **named: function(plain(x), *map(plain, rest), **named)

        def constant(name: str) -> Any:
            function = question(name)
            return lambda x, *rest, **named: self.constant(function(x, *rest, **named))

        functions = {name: question(name) for name in QUESTIONS}
        functions |= {name: constant(name) for name in CONSTANTS}
        for name, value in vars(xp).items():  # dtypes and numbers: nothing to differentiate
            if name.rstrip("0123456789") in _DTYPES or isinstance(value, float):
                functions[name] = value

        def unknown(name: str) -> Any:
            """Apply a function without a rule, to what does not vary."""
            function = getattr(xp, name)

            def call(*arguments: Any, **named: Any) -> Any:
                if any(varies(x) for x in arguments):
                    message = f"the derivative of xp.{name} is not known on {self.name}"
                    fix = "write it with others, or differentiate with JAX or PyTorch"
                    raise TypeError(f"{message}: {fix}")
                return self.constant(function(*map(plain, arguments), **named))

            return call

        self.raw.__dict__.update(functions | self.rules(xp), __getattr__=unknown)
        namespace = super()._build(result, wide)
        namespace.__dict__["__getattr__"] = unknown
        namespace.stop_gradient = lambda x: self.constant(plain(x))
        for name in ("total", "maximum", "minimum", "where", "sqrt1pm1", "log_cosh", "clip",
                     "bins", "bin_of", "chosen", "rank", *_special.DERIVATIVES):  # fmt: skip
            if name in vars(self.raw):
                setattr(namespace, name, getattr(self.raw, name))
        return namespace


class Jet(Carrier):
    """A value with its first and second derivative.

    A derivative may be None, which is 0 everywhere, or a number, which costs no array.
    """

    def __init__(self, value: Array, first: Any, second: Any, library: CarrierLibrary) -> None:
        self.value, self.first, self.second, self.isoloss_library = value, first, second, library

    @property
    def varies(self) -> bool:  # type: ignore[override]
        """Whether there is a derivative."""
        return self.first is not None or self.second is not None

    def __getitem__(self, key: Any) -> Jet:
        return _linear(lambda part: part[key], self)


def _linear(function: Any, jet: Jet) -> Jet:
    """Apply a linear function of one array to value and derivatives alike."""
    raw, shape = jet.isoloss_library.under.raw, jet.value.shape

    def of(part: Any) -> Any:
        if part is None or isinstance(part, float):
            return part
        # what was added may have had fewer rows or columns than what it was added to
        return function(part if part.shape == shape else raw.broadcast_to(part, shape))

    return Jet(function(jet.value), of(jet.first), of(jet.second), jet.isoloss_library)


class JetLibrary(CarrierLibrary):
    """Rules for second-order numbers; those of first order leave the second derivative out."""

    def __init__(self, under: Library, second: bool = True) -> None:
        super().__init__(under)
        self.second = second

    def carrier(self, value: Array) -> Jet:
        return Jet(value, None, None, self)

    def rules(self, xp: Namespace) -> dict[str, Any]:
        library, curved = self, self.second

        def parts(x: Any) -> tuple[Any, Any, Any]:
            return (x.value, x.first, x.second) if isinstance(x, Jet) else (x, None, None)

        def chain(x: Any, value: Array, first: Any, second: Any) -> Jet:
            _, x1, x2 = parts(x)
            slope, straight = _times(first, x1), _times(first, x2)
            if not curved:
                bent = None
            elif second is None:
                bent = _times(_times(slope, slope), -1.0)  # squared last: in range where x is not
            else:
                flat = isinstance(second, float) and second == 0
                bent = None if flat else _times(second, _times(x1, x1))
            return Jet(value, slope, _plus(bent, straight), library)

        def unary(name: str) -> Any:
            def function(x: Any, /) -> Any:
                if not isinstance(x, Jet):
                    return library.constant(getattr(xp, name)(x))
                value = getattr(xp, name)(x.value)
                return chain(x, value, *DERIVATIVES[name](xp, x.value, value))

            return function

        def polynomial(x: Jet, coefficients: tuple[float, ...], /) -> Jet:
            if x.first is None:
                return library.carrier(_special._polynomial(coefficients, x.value))
            return chain(x, *_special.horner(coefficients, x.value))

        def add(x: Any, y: Any, /) -> Jet:
            (a, a1, a2), (b, b1, b2) = parts(x), parts(y)
            return Jet(a + b, _plus(a1, b1), _plus(a2, b2), library)

        def subtract(x: Any, y: Any, /) -> Jet:
            (a, a1, a2), (b, b1, b2) = parts(x), parts(y)
            return Jet(a - b, _minus(a1, b1), _minus(a2, b2), library)

        def multiply(x: Any, y: Any, /) -> Jet:
            (a, a1, a2), (b, b1, b2) = parts(x), parts(y)
            first = _times(a1, a + a) if x is y else _plus(_times(a1, b), _times(a, b1))
            cross = _times(_times(a1, b1), 2.0) if curved else None
            return Jet(a * b, first, _plus(_plus(_times(a2, b), _times(a, b2)), cross), library)

        def divide(x: Any, y: Any, /) -> Jet:
            (a, a1, a2), (b, b1, b2) = parts(x), parts(y)
            quotient = a / b
            first = _plus(a1, _times(_times(quotient, b1), -1.0))
            first = None if first is None else first / b
            second = _plus(a2, _times(_times(quotient, b2), -1.0))
            if curved:
                second = _plus(second, _times(_times(first, b1), -2.0))
            return Jet(quotient, first, None if second is None else second / b, library)

        def power(x: Any, n: Any, /) -> Jet:
            value, n = plain(x), plain(n)
            straight = isinstance(n, (int, float)) and n in (0, 1)  # 0 * inf at x = 0 is no answer
            first = float(n) if straight else n * value ** (n - 1)
            return chain(x, value**n, first, 0.0 if straight else n * ((n - 1) * value ** (n - 2)))

        def where(condition: Array, x: Any, y: Any, /) -> Any:
            if isinstance(condition, bool):
                return x if condition else y
            condition = plain(condition)
            (a, *u), (b, *v) = parts(x), parts(y)
            first, second = (choose(condition, *pair) for pair in zip(u, v, strict=True))
            value = xp.where(condition, a, b)
            if first is None and second is None:
                return library.constant(value)
            return Jet(value, first, second, library)

        def choose(condition: Array, u: Any, v: Any) -> Any:
            """Choose between derivatives; a slope of 1 on one side is the condition itself."""
            if u is None and v is None:
                return None
            if v is None and isinstance(u, float):
                return _times(u, xp.astype(condition, xp.computing))
            if u is None and isinstance(v, float):
                return _times(v, xp.astype(xp.logical_not(condition), xp.computing))
            return xp.where(condition, 0.0 if u is None else u, 0.0 if v is None else v)

        def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:  # noqa: A002
            if not isinstance(x, Jet) or isinstance(min, Carrier) or isinstance(max, Carrier):
                return _clip(library.raw, x, min, max)
            value = xp.clip(x.value, min, max)
            inside = _unclipped(x.value, value)
            first, second = (choose(inside, part, None) for part in (x.first, x.second))
            return Jet(value, first, second, library)

        def either(name: str) -> Any:
            def function(x: Any, y: Any, /) -> Any:
                value = getattr(xp, name)(plain(x), plain(y))
                share = 0.5 * (
                    xp.astype(value == plain(x), value.dtype)
                    + (1 - xp.astype(value == plain(y), value.dtype))
                )
                mixed = add(multiply(share, x), multiply(1 - share, y))
                return Jet(value, mixed.first, mixed.second, library)

            return function

        def linear(name: str) -> Any:
            def function(x: Any, /, *rest: Any, **named: Any) -> Any:
                if not varies(x):  # which may become integers, that stay what they are
                    return library.constant(getattr(xp, name)(plain(x), *rest, **named))
                if name in ("sum", "cumulative_sum"):  # a slope of 1 adds up
                    x = filled(x)
                return _linear(lambda part: getattr(xp, name)(part, *rest, **named), x)

            return function

        def filled(x: Jet) -> Jet:
            zero = xp.zeros_like(x.value)
            first, second = (zero + p if isinstance(p, float) else p for p in (x.first, x.second))
            return Jet(x.value, first, second, library)

        def joined(name: str) -> Any:
            def function(jets: Any, /, *, axis: int = 0) -> Any:
                if not any(isinstance(jet, Jet) for jet in jets):
                    return library.constant(getattr(xp, name)(jets, axis=axis))
                zeros = [xp.zeros_like(plain(jet)) for jet in jets]
                columns = zip(*map(parts, jets), strict=True)
                whole = (
                    [zero if p is None else zero + p if isinstance(p, float) else p
                     for p, zero in zip(column, zeros, strict=True)]
                    for column in columns
                )  # fmt: skip
                value, first, second = (getattr(xp, name)(column, axis=axis) for column in whole)
                return Jet(value, first, second, library)

            return function

        def extremum(name: str) -> Any:
            def function(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
                """The largest or smallest; those that are equal to it share the derivative."""
                if not isinstance(x, Jet):
                    return library.constant(getattr(xp, name)(x, axis=axis, keepdims=keepdims))
                value, first, second = parts(x)
                top = getattr(xp, name)(value, axis=axis, keepdims=True)
                tied = xp.astype(value == top, value.dtype)
                share = tied / xp.sum(tied, axis=axis, keepdims=True)
                first, second = (
                    None if p is None else xp.sum(share * p, axis=axis, keepdims=keepdims)
                    for p in (first, second)
                )
                value = getattr(xp, name)(value, axis=axis, keepdims=keepdims)
                return Jet(value, first, second, library)

            return function

        def take_along_axis(x: Any, indices: Array, /, *, axis: int = -1) -> Any:
            if not isinstance(x, Jet):
                return library.constant(xp.take_along_axis(x, plain(indices), axis=axis))
            x = filled(x)
            return _linear(lambda part: xp.take_along_axis(part, plain(indices), axis=axis), x)

        def matmul(x: Any, y: Any, /) -> Jet:
            (a, a1, a2), (b, b1, b2) = (
                parts(filled(z) if isinstance(z, Jet) else z) for z in (x, y)
            )

            def times(u: Any, v: Any) -> Any:
                return None if u is None or v is None else xp.matmul(u, v)

            cross = _times(times(a1, b1), 2.0) if curved else None
            second = _plus(_plus(times(a2, b), times(a, b2)), cross)
            return Jet(xp.matmul(a, b), _plus(times(a1, b), times(a, b1)), second, library)

        def bins(index: Array, weights: Any, size: int, /) -> Any:
            if not isinstance(weights, Jet):
                return library.constant(xp.bins(plain(index), weights, size))
            return _linear(lambda part: xp.bins(plain(index), part, size), filled(weights))

        names = ("sum", "mean", "reshape", "permute_dims", "squeeze", "expand_dims",
                 "broadcast_to", "astype", "moveaxis", "cumulative_sum", "flip")  # fmt: skip
        return {
            **{name: unary(name) for name in DERIVATIVES},
            **{name: linear(name) for name in names},
            "add": add, "multiply": multiply, "divide": divide, "pow": power, "where": where,
            "subtract": subtract, "clip": clip, "take_along_axis": take_along_axis, "bins": bins,
            "max": extremum("max"), "min": extremum("min"), "concat": joined("concat"),
            "polynomial": polynomial,
            "maximum": either("maximum"), "minimum": either("minimum"), "stack": joined("stack"),
            "matmul": matmul,
        }  # fmt: skip
