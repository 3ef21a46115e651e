"""Reverse-mode gradients for libraries without autodiff: a tape with an array namespace.

A `Node` replaces the predictions in a metric and records the operations; `gradient` then computes
the derivatives backwards. The tape supports every metric, also of rows and of whole samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from typing import Any, ClassVar

from . import special
from .carrier import DERIVATIVES, Carrier, CarrierLibrary, plain, varies
from .primitives import PRIMITIVES
from .special import horner
from .special import polynomial as evaluated
from .types import Array, Namespace, dtype_name

Pullback = Callable[[Array], Array]  # from the gradient of a result to that of an argument
_ORDER = count()


class Node(Carrier):
    """A value and the operation that produced it.

    The value is computed on first use, because a gradient often does not need it: not that of the
    output, nor those of the operands of a sum.
    """

    # The results of xp.sum are kept for a second pass; those of the method are not.
    reductions: ClassVar[dict[str, str]] = {"sum": "sum_of_carrier"}

    def __init__(
        self,
        value: Array,
        library: CarrierLibrary,
        parents: tuple[tuple[Node, Pullback], ...] = (),
        varies: bool = False,
        evaluate: Callable[[], Array] | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        self._value, self.isoloss_library, self.parents = value, library, parents
        self._evaluate, self._shape = evaluate, shape
        self.operands: tuple[Any, Any] | None = None  # the operands of a difference
        self.by_number = evaluate is not None  # elementwise, with broadcast arguments
        self.order = next(_ORDER)
        self.varies = varies or bool(parents)

    @property
    def value(self) -> Array:
        """The array, computed once."""
        if self._evaluate is not None:
            self._value, self._evaluate = self._evaluate(), None
        return self._value

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape; known without the value if it is the shape of the arguments."""
        return tuple(self.value.shape) if self._shape is None else self._shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Node:
        node: Node = self.xp.getitem(self, key)
        return node


def gradient(
    output: Node, variables: tuple[Node, ...], xp: Namespace, seed: Array | None = None
) -> tuple[Array, ...]:
    """Return the gradients of ``sum(seed * output)`` with respect to variables."""
    gradients = {id(output): xp.ones_like(output.value) if seed is None else seed}
    pending = {output.order: output}
    while pending:
        node = pending.pop(max(pending))
        incoming = gradients[id(node)]
        if not any(node is variable for variable in variables):
            del gradients[id(node)]
        if node.parents and not node.by_number and tuple(incoming.shape) != node.shape:
            incoming = xp.broadcast_to(incoming, node.shape)
        for parent, pullback in node.parents:
            part = pullback(incoming)
            gradients[id(parent)] = (
                gradients[id(parent)] + part if id(parent) in gradients else part
            )
            pending[parent.order] = parent
    slopes = []
    for variable in variables:
        slope = gradients.get(id(variable))
        if slope is None:
            slope = xp.zeros_like(variable.value)
        elif tuple(slope.shape) != variable.shape:  # constant along an axis
            slope = slope + xp.zeros_like(variable.value)
        slopes.append(slope)
    return tuple(slopes)


def _unbroadcast(xp: Namespace, array: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes along which an argument was broadcast."""
    if tuple(array.shape) == shape:
        return array
    added = array.ndim - len(shape)
    if added:
        array = xp.sum(array, axis=tuple(range(added)))
    repeated = tuple(i for i, n in enumerate(shape) if n == 1 and array.shape[i] != 1)
    return xp.sum(array, axis=repeated, keepdims=True) if repeated else array


class TapeLibrary(CarrierLibrary):
    """The rules for nodes: functions that record their operation."""

    def carrier(self, value: Array) -> Node:
        return Node(value, self)

    def rules(self, xp: Namespace) -> dict[str, Any]:
        library, key = self, (xp.result_name, xp.wide)

        def record(value: Array, *arguments: tuple[Any, Pullback]) -> Any:
            """Make a node, or a constant if no argument has a derivative."""
            parents = tuple((x, back) for x, back in arguments if isinstance(x, Node) and x.varies)
            return Node(value, library, parents) if parents else library.constant(value)

        def record_later(evaluate: Callable[[], Array], *arguments: tuple[Any, Pullback]) -> Any:
            """Make a node of an elementwise operation, which is evaluated on first use."""
            if not any(isinstance(x, Node) and x.varies for x, _ in arguments):
                return library.constant(evaluate())
            shapes = {tuple(x.shape) for x, _ in arguments if hasattr(x, "shape")}
            shape = next(iter(shapes)) if len(shapes) == 1 else None
            node = Node(None, library, (), evaluate=evaluate, shape=shape)
            node.varies = True

            def back_to(x: Node, pullback: Pullback) -> Pullback:
                def back(g: Array) -> Array:
                    if x.shape == node.shape:
                        return pullback(g)
                    if tuple(g.shape) != node.shape:
                        g = xp.broadcast_to(g, node.shape)
                    return _unbroadcast(xp, pullback(g), x.shape)

                return back

            node.parents = tuple(
                (x, back_to(x, back)) for x, back in arguments if isinstance(x, Node) and x.varies
            )
            return node

        def shaped(x: Any, pullback: Pullback) -> tuple[Any, Pullback]:
            if not isinstance(x, Node):
                return x, pullback
            return x, lambda g: _unbroadcast(xp, pullback(g), x.shape)

        def unary(name: str) -> Any:
            pulled = getattr(xp, f"{name}_back", None)

            def function(x: Any, /) -> Any:
                def back(g: Array) -> Array:
                    if pulled is not None:  # a kernel
                        return pulled(g, plain(x))
                    slopes = DERIVATIVES[name]
                    return g * slopes.first(
                        xp, plain(x), plain(result) if slopes.by_value else None
                    )

                result = record_later(lambda: getattr(xp, name)(plain(x)), (x, back))
                return result

            return function

        def polynomial(x: Node, coefficients: tuple[float, ...], /) -> Any:
            back = lambda g: g * horner(coefficients, plain(x))[1]  # noqa: E731
            return record_later(lambda: evaluated(coefficients, plain(x)), (x, back))

        def add(x: Any, y: Any, /) -> Any:
            same = lambda g: g  # noqa: E731
            return record_later(lambda: plain(x) + plain(y), (x, same), (y, same))

        def subtract(x: Any, y: Any, /) -> Any:
            result = record_later(lambda: plain(x) - plain(y), (x, lambda g: g), (y, lambda g: -g))
            if isinstance(result, Node):
                result.operands = x, y
            return result

        def multiply(x: Any, y: Any, /) -> Any:
            return record_later(
                lambda: plain(x) * plain(y),
                (x, lambda g: g * plain(y)),
                (y, lambda g: g * plain(x)),
            )

        def divide(x: Any, y: Any, /) -> Any:
            result = record_later(
                lambda: plain(x) / plain(y),
                (x, lambda g: g / plain(y)),
                (y, lambda g: -(g * plain(result)) / plain(y)),
            )
            return result

        def power(x: Any, n: Any, /) -> Any:
            n = plain(n)
            back = lambda g: g * (n * plain(x) ** (n - 1))  # noqa: E731
            return record_later(lambda: plain(x) ** n, (x, back))

        def chain(x: Node, value: Array, first: Array, second: Array) -> Any:
            return record(value, (x, lambda g: g * first))

        def log_ratio(x: Any, y: Any, /) -> Any:
            """log(x / y), with the slopes of log(x) and log(y), as x / y may be out of range."""
            a, b = plain(x), plain(y)
            value = xp.log_ratio(a, b)
            return record(value, shaped(x, lambda g: g / a), shaped(y, lambda g: -g / b))

        def where(condition: Array, x: Any, y: Any, /) -> Any:
            if isinstance(condition, bool):
                return x if condition else y
            condition = plain(condition)
            return record_later(
                lambda: xp.where(condition, plain(x), plain(y)),
                (x, lambda g: xp.where(condition, g, 0.0)),
                (y, lambda g: xp.where(condition, 0.0, g)),
                (condition, lambda g: g),
            )

        def difference(name: str) -> Any:
            """Record a function of the difference of its first two arguments."""
            function, pulled = getattr(xp, name), getattr(xp, f"{name}_back")

            def call(x: Any, y: Any, *rest: Any) -> Any:
                return record_later(
                    lambda: function(plain(x), plain(y), *rest),
                    (x, lambda g: pulled(g, plain(x), plain(y), *rest)),
                    (y, lambda g: -pulled(g, plain(x), plain(y), *rest)),
                )

            return call

        def times_logarithm(name: str, logarithm: str) -> Any:
            def by_factor(x: Any, y: Any) -> Array:
                zero, one = plain(x) == 0, 1.0 if name == "xlogy" else 0.0
                factor: Array = getattr(xp, logarithm)(xp.where(zero, one, plain(y)))
                return factor

            def call(x: Any, y: Any, /) -> Any:
                return record_later(
                    lambda: getattr(xp, name)(plain(x), plain(y)),
                    (x, lambda g: g * by_factor(x, y)),
                    (y, lambda g: getattr(xp, f"{name}_back")(g, plain(x), plain(y))),
                )

            return call

        def overlap(x: Any, y: Any, /) -> Any:
            value = xp.remembered(lambda: xp.overlap(plain(x), plain(y)))
            return record(
                value,
                (x, lambda g: xp.overlap_back(g, plain(x), plain(y))),
                (y, lambda g: xp.overlap_back(g, plain(y), plain(x))),
            )

        def sigmoid_power(x: Any, power: Any, /) -> Any:
            def back(g: Array) -> Array:
                return xp.sigmoid_power_back(g, plain(x), plain(power), plain(result))

            result = record_later(lambda: xp.sigmoid_power(plain(x), plain(power)), (x, back))
            return result

        def softplus(x: Any, /) -> Any:
            if not hasattr(xp, "softplus_back"):  # a kernel
                return special.softplus(library.namespace(*key), x)
            return record_later(
                lambda: xp.softplus(plain(x)), (x, lambda g: xp.softplus_back(g, plain(x)))
            )

        def unit_vector(x: Any, /) -> Any:
            if not hasattr(xp, "unit_vector_back"):  # a kernel
                return special.unit_vector(library.namespace(*key), x)

            def back(g: Array) -> Array:
                return xp.unit_vector_back(g, plain(x), plain(result))

            result = record_later(lambda: xp.unit_vector(plain(x)), (x, back))
            return result

        def cosine(x: Any, y: Any, /) -> Any:
            if not hasattr(xp, "cosine_back"):  # a kernel
                return special.cosine(library.namespace(*key), x, y)
            value = xp.remembered(lambda: xp.cosine(plain(x), plain(y)))
            return record(
                value,
                (x, lambda g: xp.cosine_back(g, plain(x), plain(y), value)),
                (y, lambda g: xp.cosine_back(g, plain(y), plain(x), value)),
            )

        def euclidean_norm(x: Any, /) -> Any:
            if not hasattr(xp, "euclidean_norm_back"):  # a kernel
                return special.euclidean_norm(library.namespace(*key), x)
            value = xp.remembered(lambda: xp.euclidean_norm(plain(x)))
            return record(value, (x, lambda g: xp.euclidean_norm_back(g, plain(x), value)))

        def of_two(name: str) -> Any:
            """Record a cross-entropy of two classes and their probabilities."""
            function, pulled = getattr(xp, name), getattr(xp, f"{name}_back")

            def call(x: Any, yes: Any, no: Any = None, /) -> Any:
                if any(isinstance(share, Node) and share.varies for share in (yes, no)):
                    return getattr(special, name)(library.namespace(*key), x, yes, no)
                shares = plain(yes), plain(no)
                return record_later(
                    lambda: function(plain(x), *shares),
                    (x, lambda g: pulled(g, plain(x), *shares)),
                    (shares[0], lambda g: g),
                )

            return call

        def either(name: str) -> Any:
            def function(x: Any, y: Any, /) -> Any:
                def back(argument: Any, other: Any) -> Pullback:
                    def pull(g: Array) -> Array:
                        a, b = plain(argument), plain(other)
                        ahead = a > b if name == "maximum" else a < b
                        return xp.where(a == b, g / 2, xp.where(ahead, g, 0.0))

                    return pull

                return record_later(
                    lambda: getattr(xp, name)(plain(x), plain(y)), (x, back(x, y)), (y, back(y, x))
                )

            return function

        def of_row(name: str) -> Any:
            slope, pulled = PRIMITIVES[name].slope, getattr(xp, f"{name}_back", None)

            def call(x: Any, /, *rest: Any) -> Any:
                if any(map(varies, rest)):  # no closed form for these derivatives
                    return getattr(special, name)(library.namespace(*key), x, *rest)
                rest = tuple(map(plain, rest))
                value = xp.remembered(lambda: getattr(xp, name)(plain(x), *rest))

                def back(g: Array) -> Array:
                    if pulled is not None:  # a kernel
                        return pulled(g, plain(x), *rest, value)
                    return xp.expand_dims(g, axis=-1) * slope(xp, plain(x), *rest)

                return record(value, (x, back))

            return call

        def expanded(reduced: Array, axis: Any, keepdims: bool, ndim: int) -> Array:
            axes = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
            for reduced_axis in () if keepdims else sorted(a % ndim for a in axes):
                reduced = xp.expand_dims(reduced, axis=reduced_axis)
            return reduced

        def total(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
            value = xp.remembered(lambda: xp.sum(plain(x), axis=axis, keepdims=keepdims))
            return record(value, (x, lambda g: expanded(g, axis, keepdims, x.ndim)))

        def sum_of_carrier(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
            """Sum as the method of an array does; the result is not kept for a second pass."""
            value = xp.sum(plain(x), axis=axis, keepdims=keepdims)
            return record(value, (x, lambda g: expanded(g, axis, keepdims, x.ndim)))

        def mean(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
            axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
            length = math.prod(x.shape[k] for k in axes)
            return sum_of_carrier(x, axis, keepdims=keepdims) / length

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
            return record(xp.total(a, axes), (x, lambda g: g))

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

        def of_width(a: Array) -> Namespace:
            """Return the functions for the dtype of an array; methods serve every dtype."""
            return self.under.namespace(dtype_name(a.dtype), False)

        def getitem(x: Any, key: Any) -> Any:
            a = plain(x)

            def back(g: Array) -> Array:
                if (
                    isinstance(key, tuple)
                    and key[0] is ...
                    and isinstance(key[1], int)
                    and len(key) == 2
                ):
                    last = key[1] % a.shape[-1]  # [..., k]: no write into an array
                    places = of_width(a).places(a)
                    return xp.where(places == last, xp.expand_dims(g, axis=-1), 0.0)
                whole = xp.zeros_like(a)
                whole[key] = g
                return whole

            return record(a[key], (x, back))

        def take_along_axis(x: Any, indices: Array, /, *, axis: int = -1) -> Any:
            a = plain(x)

            def back(g: Array) -> Array:
                return of_width(a).added_along_axis(g, a, plain(indices), axis)

            return record(xp.take_along_axis(a, plain(indices), axis=axis), (x, back))

        return {
            **{name: unary(name) for name in DERIVATIVES},
            **{name: of_row(name) for name in PRIMITIVES},
            **{name: shape_of(name) for name in ("reshape", "squeeze", "expand_dims")},
            "add": add, "multiply": multiply, "divide": divide, "pow": power, "where": where,
            "subtract": subtract, "huber": difference("huber"), "overlap": overlap,
            "xlogy": times_logarithm("xlogy", "log"),
            "xlog1py": times_logarithm("xlog1py", "log1p"),
            "sigmoid_power": sigmoid_power, "unit_vector": unit_vector, "cosine": cosine,
            "softplus": softplus, "euclidean_norm": euclidean_norm,
            **{name: of_two(name) for name in ("sigmoid_cross_entropy", "binary_cross_entropy")},
            "maximum": either("maximum"), "minimum": either("minimum"),
            "sum": total, "sum_of_carrier": sum_of_carrier, "mean": mean, "max": largest,
            "total": accurate,
            "broadcast_to": broadcast_to, "permute_dims": permute_dims, "moveaxis": moveaxis,
            "matmul": matmul, "log_ratio": log_ratio, "chain": chain,
            "astype": astype, "stack": stack, "getitem": getitem,
            "take_along_axis": take_along_axis, "cumulative_sum": cumulative_sum,
            "bins": bins, "concat": concat, "min": smallest, "flip": flip, "polynomial": polynomial,
        }  # fmt: skip
