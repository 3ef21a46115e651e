"""Reverse-mode gradients for libraries without autodiff: a tape that is itself an array namespace.

A `Node` passes through a metric in place of the predictions and remembers what was done to it;
`gradient` then walks back. It serves every metric, row-wise and whole-sample ones included.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from .carrier import DERIVATIVES, Carrier, CarrierLibrary, plain
from .special import horner
from .special import polynomial as evaluated
from .types import Array, Namespace

Pullback = Callable[[Array], Array]  # from the gradient of a result to that of an argument
_ORDER = count()


class Node(Carrier):
    """A value and how it came about."""

    def __init__(
        self,
        value: Array,
        library: CarrierLibrary,
        parents: tuple[tuple[Node, Pullback], ...] = (),
        varies: bool = False,
    ) -> None:
        self.value, self.isoloss_library, self.parents = value, library, parents
        self.order = next(_ORDER)
        self.varies = varies or bool(parents)

    def __getitem__(self, key: Any) -> Node:
        node: Node = self.xp.getitem(self, key)
        return node


def gradient(output: Node, variables: tuple[Node, ...], xp: Namespace) -> tuple[Array, ...]:
    """Return the derivatives of the sum of the output with respect to variables."""
    found = {id(output): xp.ones_like(output.value)}
    pending = {output.order: output}
    while pending:
        node = pending.pop(max(pending))
        incoming = found[id(node)]
        if not any(node is variable for variable in variables):
            del found[id(node)]
        for parent, pullback in node.parents:
            part = pullback(incoming)
            found[id(parent)] = found[id(parent)] + part if id(parent) in found else part
            pending[parent.order] = parent
    return tuple(found.get(id(one), xp.zeros_like(one.value)) for one in variables)


def _unbroadcast(xp: Namespace, array: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes along which an argument was repeated."""
    array = xp.sum(array, axis=tuple(range(array.ndim - len(shape))))
    repeated = tuple(i for i, n in enumerate(shape) if n == 1 and array.shape[i] != 1)
    return xp.sum(array, axis=repeated, keepdims=True) if repeated else array


class TapeLibrary(CarrierLibrary):
    """Rules that record."""

    def carrier(self, value: Array) -> Node:
        return Node(value, self)

    def rules(self, xp: Namespace) -> dict[str, Any]:
        library = self

        def record(value: Array, *arguments: tuple[Any, Pullback]) -> Any:
            """Make a node; a constant has no parents, and nothing is kept for it."""
            parents = tuple((x, back) for x, back in arguments if isinstance(x, Node) and x.varies)
            return Node(value, library, parents) if parents else library.constant(value)

        def shaped(x: Any, pullback: Pullback) -> tuple[Any, Pullback]:
            if not isinstance(x, Node):
                return x, pullback
            return x, lambda g: _unbroadcast(xp, pullback(g), x.shape)

        def unary(name: str) -> Any:
            def function(x: Any, /) -> Any:
                value = getattr(xp, name)(plain(x))
                back = lambda g: g * DERIVATIVES[name](xp, plain(x), value)[0]  # noqa: E731
                return record(value, (x, back))

            return function

        def polynomial(x: Node, coefficients: tuple[float, ...], /) -> Any:
            a = plain(x)
            value = evaluated(coefficients, a)
            return record(value, (x, lambda g: g * horner(coefficients, a)[1]))

        def add(x: Any, y: Any, /) -> Any:
            return record(plain(x) + plain(y), shaped(x, lambda g: g), shaped(y, lambda g: g))

        def multiply(x: Any, y: Any, /) -> Any:
            a, b = plain(x), plain(y)
            return record(a * b, shaped(x, lambda g: g * b), shaped(y, lambda g: g * a))

        def divide(x: Any, y: Any, /) -> Any:
            a, b = plain(x), plain(y)
            quotient = a / b
            return record(
                quotient, shaped(x, lambda g: g / b), shaped(y, lambda g: -(g * quotient) / b)
            )

        def power(x: Any, n: Any, /) -> Any:
            a, n = plain(x), plain(n)
            return record(a**n, shaped(x, lambda g: g * (n * a ** (n - 1))))

        def chain(x: Node, value: Array, first: Array, second: Array) -> Any:
            return record(value, (x, lambda g: g * first))

        def log_ratio(x: Any, y: Any, /) -> Any:
            """log(x / y), by the slopes of log(x) and log(y): x / y may be out of range."""
            a, b = plain(x), plain(y)
            value = xp.log_ratio(a, b)
            return record(value, shaped(x, lambda g: g / a), shaped(y, lambda g: -g / b))

        def where(condition: Array, x: Any, y: Any, /) -> Any:
            if isinstance(condition, bool):
                return x if condition else y
            condition = plain(condition)
            return record(
                xp.where(condition, plain(x), plain(y)),
                shaped(x, lambda g: xp.where(condition, g, 0.0)),
                shaped(y, lambda g: xp.where(condition, 0.0, g)),
            )

        def either(name: str) -> Any:
            def function(x: Any, y: Any, /) -> Any:
                a, b = plain(x), plain(y)
                value = getattr(xp, name)(a, b)
                tie = a == b
                return record(
                    value,
                    shaped(x, lambda g: xp.where(tie, g / 2, xp.where(value == a, g, 0.0))),
                    shaped(y, lambda g: xp.where(tie, g / 2, xp.where(value == b, g, 0.0))),
                )

            return function

        def expanded(reduced: Array, axis: Any, keepdims: bool, ndim: int) -> Array:
            axes = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
            for one in () if keepdims else sorted(a % ndim for a in axes):
                reduced = xp.expand_dims(reduced, axis=one)
            return reduced

        def total(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
            a = plain(x)
            value = xp.sum(a, axis=axis, keepdims=keepdims)
            back = lambda g: xp.broadcast_to(expanded(g, axis, keepdims, a.ndim), a.shape)  # noqa: E731
            return record(value, (x, back))

        def mean(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
            value = total(x, axis, keepdims=keepdims)
            length = 1
            for one, other in zip(
                x.shape, expanded(plain(value), axis, keepdims, x.ndim).shape, strict=True
            ):
                length *= one // other
            return value / length

        def largest(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
            a = plain(x)
            top = xp.max(a, axis=axis, keepdims=True)
            tied = xp.astype(a == top, a.dtype)
            share = tied / xp.sum(tied, axis=axis, keepdims=True)
            value = xp.max(a, axis=axis, keepdims=keepdims)
            return record(value, (x, lambda g: expanded(g, axis, keepdims, a.ndim) * share))

        def smallest(x: Any, /, **named: Any) -> Any:
            return -largest(-x, **named)

        def accurate(x: Any, axes: tuple[int, ...]) -> Any:
            a = plain(x)
            return record(xp.total(a, axes), (x, lambda g: xp.broadcast_to(g, a.shape)))

        def shape_of(name: str) -> Any:
            def function(x: Any, /, *rest: Any, **named: Any) -> Any:
                a = plain(x)
                value = getattr(xp, name)(a, *rest, **named)
                return record(value, (x, lambda g: xp.reshape(g, a.shape)))

            return function

        def broadcast_to(x: Any, /, shape: tuple[int, ...]) -> Any:
            return record(xp.broadcast_to(plain(x), shape), shaped(x, lambda g: g))

        def permute_dims(x: Any, /, axes: tuple[int, ...]) -> Any:
            inverse = tuple(sorted(range(len(axes)), key=axes.__getitem__))
            return record(
                xp.permute_dims(plain(x), axes), (x, lambda g: xp.permute_dims(g, inverse))
            )

        def moveaxis(x: Any, source: int, destination: int, /) -> Any:
            back = lambda g: xp.moveaxis(g, destination, source)  # noqa: E731
            return record(xp.moveaxis(plain(x), source, destination), (x, back))

        def flip(x: Any, /, *, axis: Any = None) -> Any:
            return record(xp.flip(plain(x), axis=axis), (x, lambda g: xp.flip(g, axis=axis)))

        def matmul(x: Any, y: Any, /) -> Any:
            a, b = plain(x), plain(y)
            return record(
                xp.matmul(a, b),
                shaped(x, lambda g: xp.matmul(g, xp.moveaxis(b, -1, -2))),
                shaped(y, lambda g: xp.matmul(xp.moveaxis(a, -1, -2), g)),
            )

        def astype(x: Any, dtype: Any, /) -> Any:
            a = plain(x)
            return record(xp.astype(a, dtype), (x, lambda g: xp.astype(g, a.dtype)))

        def column(x: Array, axis: int, k: int) -> Array:
            return x[(slice(None),) * (axis % x.ndim) + (k, ...)]

        def stack(arrays: list[Any], /, *, axis: int = 0) -> Any:
            value = xp.stack([plain(x) for x in arrays], axis=axis)
            backs = ((x, lambda g, k=k: column(g, axis, k)) for k, x in enumerate(arrays))
            return record(value, *backs)

        def along(x: Any, axis: int) -> Array:
            """Return 0, 1, 2, ... along an axis, without creating an array from nothing."""
            return xp.cumulative_sum(xp.ones_like(x, dtype=xp.counting), axis=axis) - 1

        def cumulative_sum(x: Any, /, *, axis: int = -1) -> Any:
            def back(g: Array) -> Array:
                return xp.sum(g, axis=axis, keepdims=True) - xp.cumulative_sum(g, axis=axis) + g

            return record(xp.cumulative_sum(plain(x), axis=axis), (x, back))

        def bins(index: Array, weights: Any, size: int, /) -> Any:
            at, value = plain(index), xp.bins(plain(index), plain(weights), size)
            return record(value, (weights, lambda g: xp.take_along_axis(g, at, axis=-1)))

        def concat(arrays: list[Any], /, *, axis: int = 0) -> Any:
            value, backs, start = xp.concat([plain(x) for x in arrays], axis=axis), [], 0
            for x in arrays:
                part = slice(start, start := start + x.shape[axis])
                where = (slice(None),) * (axis % x.ndim) + (part, ...)
                backs.append((x, lambda g, where=where: g[where]))
            return record(value, *backs)

        def getitem(x: Any, key: Any) -> Any:
            a = plain(x)

            def back(g: Array) -> Array:
                if (
                    isinstance(key, tuple)
                    and key[0] is ...
                    and isinstance(key[1], int)
                    and len(key) == 2
                ):
                    last = key[1] % a.shape[-1]  # [..., k], without writing into an array
                    return xp.where(along(a, -1) == last, xp.expand_dims(g, axis=-1), 0.0)
                whole = xp.zeros_like(a)
                whole[key] = g
                return whole

            return record(a[key], (x, back))

        def take_along_axis(x: Any, indices: Array, /, *, axis: int = -1) -> Any:
            a = plain(x)

            def back(g: Array) -> Array:
                place, result = along(a, axis), xp.zeros_like(a)
                for k in range(indices.shape[axis]):
                    at = xp.expand_dims(column(plain(indices), axis, k), axis=axis)
                    part = xp.expand_dims(column(g, axis, k), axis=axis)
                    result = result + xp.where(place == at, part, 0.0)
                return result

            return record(xp.take_along_axis(a, plain(indices), axis=axis), (x, back))

        return {
            **{name: unary(name) for name in DERIVATIVES},
            **{name: shape_of(name) for name in ("reshape", "squeeze", "expand_dims")},
            "add": add, "multiply": multiply, "divide": divide, "pow": power, "where": where,
            "subtract": lambda x, y, /: add(x, -y),
            "maximum": either("maximum"), "minimum": either("minimum"),
            "sum": total, "mean": mean, "max": largest, "total": accurate,
            "broadcast_to": broadcast_to, "permute_dims": permute_dims, "moveaxis": moveaxis,
            "matmul": matmul, "log_ratio": log_ratio, "chain": chain,
            "astype": astype, "stack": stack, "getitem": getitem,
            "take_along_axis": take_along_axis, "cumulative_sum": cumulative_sum,
            "bins": bins, "concat": concat, "min": smallest, "flip": flip, "polynomial": polynomial,
        }  # fmt: skip
