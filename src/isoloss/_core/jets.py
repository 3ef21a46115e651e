"""Jets: arrays of any library with their first and second derivatives.

A `Jet` replaces the predictions in a definition. Its ``pointwise`` then returns the loss and the
exact first and second derivatives, also on libraries without autodiff.
"""

from __future__ import annotations

from typing import Any

from . import special
from .carrier import DERIVATIVES, Carrier, CarrierLibrary, plain, varies
from .library import Library
from .primitives import PRIMITIVES
from .types import Array, Namespace


def _plus(x: Any, y: Any) -> Any:
    """Add derivatives; None means zero."""
    return y if x is None else x if y is None else x + y


def _times(x: Any, y: Any) -> Any:
    """Multiply derivatives; None means zero, 1.0 means a constant slope of one."""
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
    """Return where the derivative of a clip is 1: inside, including the bounds."""
    return x == clipped


class Jet(Carrier):
    """A value with its first and second derivative.

    A derivative may be None, which means 0 everywhere, or a float, which needs no array.
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
    """Apply a linear function of one array to the value and to the derivatives."""
    raw, shape = jet.isoloss_library.under.raw, jet.value.shape

    def of(part: Any) -> Any:
        if part is None or isinstance(part, float):
            return part
        # a summand may have had a smaller shape before broadcasting
        return function(part if part.shape == shape else raw.broadcast_to(part, shape))

    return Jet(function(jet.value), of(jet.first), of(jet.second), jet.isoloss_library)


class JetLibrary(CarrierLibrary):
    """The rules for jets; without ``second``, only the first derivative is computed."""

    def __init__(self, under: Library, second: bool = True) -> None:
        super().__init__(under)
        self.second = second

    def carrier(self, value: Array) -> Jet:
        return Jet(value, None, None, self)

    def rules(self, xp: Namespace) -> dict[str, Any]:
        library, second_order = self, self.second

        def parts(x: Any) -> tuple[Any, Any, Any]:
            return (x.value, x.first, x.second) if isinstance(x, Jet) else (x, None, None)

        def chain(x: Any, value: Array, first: Any, second: Any) -> Jet:
            _, x1, x2 = parts(x)
            slope, from_slope = _times(first, x1), _times(first, x2)
            if not second_order:
                from_curvature = None
            elif second is None:
                # squared last, to stay in range
                from_curvature = _times(_times(slope, slope), -1.0)
            else:
                flat = isinstance(second, float) and second == 0
                from_curvature = None if flat else _times(second, _times(x1, x1))
            return Jet(value, slope, _plus(from_curvature, from_slope), library)

        def unary(name: str) -> Any:
            def function(x: Any, /) -> Any:
                if not isinstance(x, Jet):
                    return library.constant(getattr(xp, name)(x))
                value = getattr(xp, name)(x.value)
                first, second, _ = DERIVATIVES[name]
                slope = first(xp, x.value, value)
                bend = second(xp, x.value, value) if second_order and second is not None else None
                return chain(x, value, slope, bend)

            return function

        def polynomial(x: Jet, coefficients: tuple[float, ...], /) -> Jet:
            if x.first is None:
                return library.carrier(special.polynomial(coefficients, x.value))
            return chain(x, *special.horner(coefficients, x.value))

        def add(x: Any, y: Any, /) -> Jet:
            (a, a1, a2), (b, b1, b2) = parts(x), parts(y)
            return Jet(a + b, _plus(a1, b1), _plus(a2, b2), library)

        def subtract(x: Any, y: Any, /) -> Jet:
            (a, a1, a2), (b, b1, b2) = parts(x), parts(y)
            return Jet(a - b, _minus(a1, b1), _minus(a2, b2), library)

        def multiply(x: Any, y: Any, /) -> Jet:
            (a, a1, a2), (b, b1, b2) = parts(x), parts(y)
            first = _times(a1, a + a) if x is y else _plus(_times(a1, b), _times(a, b1))
            cross = _times(_times(a1, b1), 2.0) if second_order else None
            return Jet(a * b, first, _plus(_plus(_times(a2, b), _times(a, b2)), cross), library)

        def divide(x: Any, y: Any, /) -> Jet:
            (a, a1, a2), (b, b1, b2) = parts(x), parts(y)
            quotient = a / b
            first = _plus(a1, _times(_times(quotient, b1), -1.0))
            first = None if first is None else first / b
            second = _plus(a2, _times(_times(quotient, b2), -1.0))
            if second_order:
                second = _plus(second, _times(_times(first, b1), -2.0))
            return Jet(quotient, first, None if second is None else second / b, library)

        def power(x: Any, n: Any, /) -> Jet:
            value, n = plain(x), plain(n)
            straight = isinstance(n, (int, float)) and n in (0, 1)  # not 0 * inf at x = 0
            first = float(n) if straight else n * value ** (n - 1)
            return chain(x, value**n, first, 0.0 if straight else n * ((n - 1) * value ** (n - 2)))

        def log_ratio(x: Any, y: Any, /) -> Any:
            """log(x / y), with the slopes of log(x) and log(y), as x / y may be out of range."""
            (a, a1, a2), (b, b1, b2) = parts(x), parts(y)
            slope_x, slope_y = (None if d is None else d / n for d, n in ((a1, a), (b1, b)))
            second = _minus(*(None if d is None else d / n for d, n in ((a2, a), (b2, b))))
            if second_order:
                second = _minus(_plus(second, _times(slope_y, slope_y)), _times(slope_x, slope_x))
            return Jet(xp.log_ratio(a, b), _minus(slope_x, slope_y), second, library)

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
            """Choose between derivatives; a constant slope on one side needs only the condition."""
            if u is None and v is None:
                return None
            if v is None and isinstance(u, float):
                return _times(u, xp.astype(condition, xp.computing))
            if u is None and isinstance(v, float):
                return _times(v, xp.astype(xp.logical_not(condition), xp.computing))
            return xp.where(condition, 0.0 if u is None else u, 0.0 if v is None else v)

        def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:  # noqa: A002
            if not isinstance(x, Jet) or isinstance(min, Carrier) or isinstance(max, Carrier):
                return special.clip(library.raw, x, min, max)
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
                if not varies(x):  # the result may be integers, which have no derivative
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
                """The largest or smallest number; ties share the derivative."""
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

            cross = _times(times(a1, b1), 2.0) if second_order else None
            second = _plus(_plus(times(a2, b), times(a, b2)), cross)
            return Jet(xp.matmul(a, b), _plus(times(a1, b), times(a, b1)), second, library)

        def bins(index: Array, weights: Any, size: int, /) -> Any:
            if not isinstance(weights, Jet):
                return library.constant(xp.bins(plain(index), weights, size))
            return _linear(lambda part: xp.bins(plain(index), part, size), filled(weights))

        def of_row(name: str) -> Any:
            entry = PRIMITIVES[name]

            def function(x: Any, /, *rest: Any) -> Any:
                if any(map(varies, rest)):  # no closed form for these derivatives
                    return getattr(special, name)(library.namespace(*kind), x, *rest)
                rest = tuple(map(plain, rest))
                value = getattr(xp, name)(plain(x), *rest)
                if not varies(x):
                    return library.constant(value)
                a, a1, a2 = parts(x)
                zero = xp.zeros_like(a)
                slope = entry.slope(xp, a, *rest)
                first, second = (
                    None if p is None else xp.sum(slope * (zero + p), axis=-1) for p in (a1, a2)
                )
                if second_order and a1 is not None:
                    second = _plus(entry.curvature(xp, a, *rest, zero + a1), second)
                return Jet(value, first, second, library)

            return function

        kind = (xp.result_name, xp.wide)
        names = ("sum", "mean", "reshape", "permute_dims", "squeeze", "expand_dims",
                 "broadcast_to", "astype", "moveaxis", "cumulative_sum", "flip")  # fmt: skip
        return {
            **{name: unary(name) for name in DERIVATIVES},
            **{name: linear(name) for name in names},
            **{name: of_row(name) for name in PRIMITIVES},
            "add": add, "multiply": multiply, "divide": divide, "pow": power, "where": where,
            "subtract": subtract, "clip": clip, "take_along_axis": take_along_axis, "bins": bins,
            "max": extremum("max"), "min": extremum("min"), "concat": joined("concat"),
            "polynomial": polynomial,
            "maximum": either("maximum"), "minimum": either("minimum"), "stack": joined("stack"),
            "matmul": matmul, "log_ratio": log_ratio, "chain": chain,
        }  # fmt: skip
