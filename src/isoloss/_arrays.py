"""What comes in: one namespace, one device, one shape, one dtype, and which samples count."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from ._namespaces import (
    FLOATS,
    INTEGERS,
    RANGE,
    Array,
    Library,
    Namespace,
    dtype_name,
    library_of,
    rows,
)
from ._states import (
    SPARE,
    Extremum,
    Mean,
    Moments,
    Ratio,
    RootMeanSquare,
    Samples,
    Total,
    ratio,
)

Shape = tuple[int, ...]
_WIDTH = {"float16": 0, "bfloat16": 0, "float32": 0, "float64": 1, "float96": 2, "float128": 2}


def fail(subject: Any, message: str, kind: type[Exception] = ValueError) -> Exception:
    """Build an error that begins with the metric it is about."""
    return kind(f"{subject!r}: {message}")


# --- from whatever was passed to arrays of one library --------------------------------------------


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.generic))


def _as_array(subject: Any, name: str, value: Any) -> Array:
    """Return arrays as they are, everything with ``__array__`` and lists as NumPy arrays."""
    library = library_of(value)
    if library is not None:
        reason = library.refuse(value)
        if reason:
            raise fail(subject, f"{name}: {reason}", TypeError)
        return value
    if value is None:
        raise fail(subject, f"{name} must be an array, not None", TypeError)
    if type(value).__module__.startswith("scipy.sparse"):
        raise fail(
            subject, f"{name}: sparse arrays are not taken: pass {name}.toarray()", TypeError
        )
    if not (_is_scalar(value) or isinstance(value, Sequence) or hasattr(value, "__array__")):
        message = f"{name} must be an array, not {type(value).__name__} {abbreviated(value)}"
        raise fail(subject, f"{message}; convert it with numpy.asarray first", TypeError)
    try:
        return np.asarray(value)
    except ValueError as error:
        message = (
            f"{name} is a nested list of uneven lengths; pad it and mask the padding with where="
        )
        raise fail(subject, message) from error


def abbreviated(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _check_dtype(subject: Any, name: str, array: Array) -> str:
    dtype = dtype_name(array.dtype)
    if dtype in FLOATS or dtype in INTEGERS:
        return dtype
    fix = "convert it to a float or integer dtype first"
    if "complex" in dtype:
        fix = "take its real and imaginary parts, or its absolute value, first"
    elif "float8" in dtype or "float4" in dtype or "float6" in dtype:
        fix = "it holds too few digits to subtract; cast it to float32 first"
    elif dtype == "object":
        fix = "it holds Python objects (a missing value, perhaps); convert it with astype(float)"
    elif "str" in dtype or "bytes" in dtype:
        fix = "it holds text; convert it with astype(float)"
    raise fail(subject, f"{name} has dtype {dtype}: {fix}", TypeError)


_CONVERSION = {
    "NumPy": "numpy.asarray({})",
    "PyTorch": "torch.as_tensor({})",
    "JAX": "jax.numpy.asarray({})",
    "Dask": "dask.array.asarray({})",
}


def _one_library(subject: Any, named: dict[str, Array]) -> Library:
    """Return the one library of the arrays, or the one that takes in all others."""
    found: dict[str, Any] = {name: library_of(array) for name, array in named.items()}
    libraries: list[Library] = list(found.values())
    for library in libraries:
        if all(other is library or library.absorbs(other) for other in libraries):
            return library
    # keep what most of them are, NumPy last; change the first that does not go with it
    keep = max(libraries, key=lambda one: (libraries.count(one), one.name != "NumPy"))
    kept = next(name for name, one in found.items() if one is keep)
    change = next(n for n, one in found.items() if one is not keep and not keep.absorbs(one))
    how = _CONVERSION.get(keep.name, "{} in " + keep.name).format(change)
    message = f"{kept}: a {keep.name} array, {change}: a {found[change].name} array"
    raise fail(subject, f"{message}; convert one, e.g. {change} = {how}", TypeError)


def floating_like(subject: Any, name: str, value: Any, beside: Any) -> tuple[Library, Array]:
    """Return a value as a floating array of the library that it and what stands beside it share.

    Numbers and lists take the dtype of the array beside them too, integers the default float.
    """
    array, other = _as_array(subject, name, value), _as_array(subject, "targets", beside)
    dtype, dtype_beside = _check_dtype(subject, name, array), dtype_name(other.dtype)
    real = [a for a, given in ((array, value), (other, beside)) if a is given] or [array]
    library = _one_library(subject, dict(zip((name, "targets"), real, strict=False)))
    like = real[0] if library_of(real[0]) is library else real[-1]
    wide = library.has_float64(like)
    if array is not value and other is beside:
        dtype = dtype_beside
    if dtype not in FLOATS:
        dtype = library.default_float()
    if _WIDTH[dtype] and not wide:
        dtype = "float32"
    if library_of(array) is not library:
        array = library.convert(array, "float64" if wide else "float32", like)
    if dtype_name(array.dtype) != dtype:
        array = library.raw.astype(array, getattr(library.raw, dtype, other.dtype))
    return library, array


class Inputs:
    """The arguments of one call, checked: of one library, on one device, of shapes that agree.

    Nothing is converted and nothing of the size of the data is made: that is `batch`.
    """

    __slots__ = ("arrays", "axes", "library", "metric", "shape", "xp")

    def __init__(
        self,
        metric: Any,
        predictions: Any,
        targets: Any,
        weights: Any = None,
        where: Any = None,
        axis: int | Shape | None = None,
        event_axis: int | None = None,
    ) -> None:
        self.metric = metric
        given = {"predictions": predictions, "targets": targets, "weights": weights, "where": where}
        optional = ("weights", "where")
        given = {k: v for k, v in given.items() if v is not None or k not in optional}
        arrays = {name: _as_array(metric, name, value) for name, value in given.items()}
        names = {name: _check_dtype(metric, name, array) for name, array in arrays.items()}
        # Only what came as an array decides: numbers and lists follow the arrays beside them.
        real = {k: v for k, v in arrays.items() if v is given[k]} or arrays
        library = self.library = _one_library(metric, real)
        like = next(v for v in real.values() if library_of(v) is library)
        _check_devices(metric, library, real)
        if metric.kind == "sorted whole" and not library.sorts:
            message = f"it sorts all samples, which {library.name} does not; compute them first"
            names_real = ", ".join(f"{name}.compute()" for name in real)
            raise fail(metric, f"{message}: {names_real}", TypeError)
        wide = library.has_float64(like)
        votes = [names[k] for k in ("predictions", "targets") if k in real]
        xp = self.xp = library.namespace(_result_dtype(library, votes, names, wide), wide)
        for name, array in arrays.items():
            if library_of(array) is not library and (name != "where" or names[name] == "bool"):
                near = xp.result_name if names[name] in FLOATS else "float64"
                near = "bool" if name == "where" else near
                arrays[name] = library.convert(array, near, like)
        p, t, shape = _matching(metric, xp, arrays["predictions"], arrays["targets"], event_axis)
        arrays["predictions"], arrays["targets"], self.shape = p, t, shape
        self.axes = _normalised(metric, axis, len(shape))
        if "where" in arrays and names["where"] != "bool":
            message = f"where has dtype {names['where']}: it must be boolean; pass where=mask != 0"
            raise fail(metric, message, TypeError)
        for name in ("where", "weights"):
            if name in arrays:
                arrays[name] = _broadcast(metric, xp, name, arrays[name], shape)
        self.arrays = arrays

    @classmethod
    def checked(
        cls, metric: Any, arrays: dict[str, Array], result: str, wide: bool, axes: Shape
    ) -> Inputs:
        """Return inputs that were checked before, with other arrays of the same shapes."""
        self = cls.__new__(cls)
        library = library_of(arrays["targets"])
        assert library is not None
        self.metric, self.library, self.arrays, self.axes = metric, library, arrays, axes
        self.xp = library.namespace(result, wide)
        t = arrays["targets"]
        self.shape = tuple(t.shape[: t.ndim - len(metric.core[1])])
        return self

    def batch(self, index: tuple[Any, ...] = ()) -> Batch:
        """Convert the samples, or those at an index of the loss's shape, for the computation."""
        arrays, library, xp = self.arrays, self.library, self.xp
        if index:
            arrays = {name: array[index] for name, array in arrays.items()}
        p, t = library.cast(xp, arrays["predictions"]), library.cast(xp, arrays["targets"])
        mask, weights = arrays.get("where"), arrays.get("weights")
        if weights is not None:
            weights = library.cast(xp, weights)
            counted = weights != 0
            mask = counted if mask is None else mask & counted
            weights = xp.where(mask, weights, xp.zeros_like(weights))
        if mask is not None:
            domain = self.metric.domain
            p = _filled(xp, p, mask, domain.predictions.inside)
            t = _filled(xp, t, mask, domain.targets.inside)
        shape = self.shape
        if index:
            shape = tuple(t.shape[: len(shape)])
        return Batch(self.metric, xp, p, t, weights, mask, shape, self.axes)


class Batch:
    """Samples ready for the computation, in its dtype.

    ``predictions`` and ``targets`` hold a number inside the domain wherever ``mask`` is False:
    what stood there reaches neither value nor gradient. ``axes`` are the reduced ones of ``shape``.
    """

    __slots__ = ("axes", "mask", "metric", "predictions", "shape", "targets", "weights", "xp")

    def __init__(
        self,
        metric: Any,
        xp: Namespace,
        predictions: Array,
        targets: Array,
        weights: Array | None,
        mask: Array | None,
        shape: Shape,
        axes: Shape,
    ) -> None:
        self.metric, self.xp = metric, xp
        self.predictions, self.targets = predictions, targets
        self.weights, self.mask = weights, mask
        self.shape, self.axes = shape, axes


def _result_dtype(library: Library, votes: list[str], names: dict[str, str], wide: bool) -> str:
    """Return the widest floating dtype among the arrays, at least float32."""
    floats = [name for name in votes if name in FLOATS]
    if not votes:  # a number against a list: NumPy's own choice
        floats = [names[k] for k in ("predictions", "targets") if names[k] in FLOATS]
    result = max(floats, key=_WIDTH.__getitem__) if floats else library.default_float()
    return result if wide and _WIDTH[result] else "float32"


def namespace_for(library: Library, like: Array, *dtypes: Any) -> Namespace | None:
    """Return ``xp`` for arrays of one library, beside ``like``; None if a dtype is refused."""
    names = [dtype_name(dtype) for dtype in dtypes]
    if not all(name in FLOATS or name in INTEGERS for name in names):
        return None
    wide = library.has_float64(like)
    return library.namespace(_result_dtype(library, names, {}, wide), wide)


def _check_devices(metric: Any, library: Library, arrays: dict[str, Array]) -> None:
    devices = {k: library.device(v) for k, v in arrays.items() if library_of(v) is library}
    (first, device), *others = devices.items()
    for name, other in others:
        if other != device:
            message = f"{first} are on device {device} and {name} on {other}; move one to the other"
            raise fail(metric, message)


def _matching(
    metric: Any, xp: Namespace, p: Array, t: Array, event_axis: int | None
) -> tuple[Array, Array, Shape]:
    """Check the shapes against the signature; return the arrays and the shape of the loss."""
    core_p, core_t = metric.core
    if event_axis is not None:
        if not core_p + core_t:
            message = (
                f"event_axis={event_axis} does not apply: every element is a sample of its own"
            )
            raise fail(metric, message)
        for names, array in ((core_p, p), (core_t, t)):
            if names and not -array.ndim <= event_axis < array.ndim:
                message = f"event_axis={event_axis} is out of range for shape {tuple(array.shape)}"
                raise fail(metric, message)
        p = xp.moveaxis(p, event_axis, -1) if core_p else p
        t = xp.moveaxis(t, event_axis, -1) if core_t else t
    for name, names, array in (("predictions", core_p, p), ("targets", core_t, t)):
        if array.ndim < len(names):
            message = f"{name} have shape {tuple(array.shape)}: a last axis of {names[0]} is needed"
            raise fail(metric, message)
        if names and array.shape[-1] == 0:
            message = f"{name} have shape {tuple(array.shape)}: the axis of {names[0]} is empty"
            raise fail(metric, message)
    loop_p, loop_t = p.shape[: p.ndim - len(core_p)], t.shape[: t.ndim - len(core_t)]
    if not core_p + core_t:  # only numbers and 0-d arrays broadcast
        if p.ndim == 0 < t.ndim:
            p, loop_p = xp.broadcast_to(p, t.shape), t.shape
        elif t.ndim == 0 < p.ndim:
            t, loop_t = xp.broadcast_to(t, p.shape), p.shape
    sizes_p = dict(zip(core_p, p.shape[p.ndim - len(core_p) :], strict=True))
    sizes_t = dict(zip(core_t, t.shape[t.ndim - len(core_t) :], strict=True))
    for name, size in {**sizes_p, **sizes_t}.items():
        if metric.sizes.get(name, size) != size:
            message = f"the axis of {name} has length {size}; the metric has {metric.sizes[name]}"
            raise fail(metric, message)
    same_core = all(sizes_p.get(name, size) == size for name, size in sizes_t.items())
    if not (_agree(loop_p, loop_t) and same_core):
        raise fail(metric, _shape_message(metric, tuple(p.shape), tuple(t.shape)))
    return p, t, tuple(loop_p)


def _agree(one: Sequence[Any], two: Sequence[Any]) -> bool:
    """Compare shapes; a nan is a size that Dask does not know yet."""
    return len(one) == len(two) and all(
        a == b or a != a or b != b for a, b in zip(one, two, strict=True)
    )


def _shape_message(metric: Any, p: Shape, t: Shape) -> str:
    core_p, core_t = metric.core
    message = f"predictions have shape {p} and targets {t}"
    if core_p != core_t:
        want = f"(..., {', '.join(core_p)})" if core_p else "(...)"
        return f"{message}; predictions must be {want} where targets are (...)"
    message += "; they must be the same"
    for long, name, short in ((p, "predictions", t), (t, "targets", p)):
        if len(long) == len(short) + 1:
            extra = [i for i, n in enumerate(long) if n == 1 and long[:i] + long[i + 1 :] == short]
            if extra:
                return f"{message}: drop the axis of length 1 with {name}.squeeze({extra[-1]})"
    return message


def _normalised(metric: Any, axis: int | Shape | None, ndim: int) -> Shape:
    """Return the reduced axes as sorted non-negative numbers; None is all of them."""
    if axis is None:
        return tuple(range(ndim))
    try:
        axes = tuple(map(index, axis)) if isinstance(axis, (tuple, list)) else (index(axis),)
    except TypeError:
        message = f"axis={axis!r} must be None, an integer or a tuple of integers"
        raise fail(metric, message, TypeError) from None
    if any(not -ndim <= a < ndim for a in axes):
        raise fail(metric, f"axis={axis} is out of range for a loss with {ndim} axes")
    found = tuple(sorted(a % ndim for a in axes))
    if len(set(found)) < len(found):
        raise fail(metric, f"axis={axis} names an axis twice")
    return found


def _broadcast(metric: Any, xp: Namespace, name: str, array: Array, shape: Shape) -> Array:
    """Broadcast weights or a mask to the shape of the loss, never beyond it."""
    own = tuple(array.shape)
    if _agree(own, shape):
        return array
    padded = (1,) * (len(shape) - len(own)) + own
    if len(own) > len(shape) or any(n != 1 and n != m for n, m in zip(padded, shape, strict=True)):
        message = f"{name} have shape {own}, which does not broadcast to the loss's shape {shape}"
        if len(own) < len(shape) and own == shape[: len(own)]:
            index = ", ".join([":"] * len(own) + ["None"] * (len(shape) - len(own)))
            message += f"; add axes with {name}[{index}]"
        raise fail(metric, message)
    return xp.broadcast_to(array, shape)


def _filled(xp: Namespace, array: Array, mask: Array, inside: float) -> Array:
    for _ in range(array.ndim - mask.ndim):
        mask = xp.expand_dims(mask, axis=-1)
    return xp.where(mask, array, inside)


# --- reductions over the samples that count -------------------------------------------------------


class Totals:
    """The sums of one batch. A definition calls it with terms; it never sees weights or axes."""

    __slots__ = ("_axes", "_inputs", "xp")
    spares = True  # whether a second sum stands by in case the first one overflows

    def __init__(self, inputs: Batch) -> None:
        self.xp = inputs.xp
        self._inputs = inputs
        self._axes = inputs.axes

    def __call__(self, terms: Array) -> Total:
        """Sum the weighted terms over the reduced axes."""
        xp = self.xp
        weighted = self.weighted(terms)
        value = self._sum(weighted)
        spare = None
        if self.spares and not xp.wide:
            spare = self._sum(weighted * SPARE[dtype_name(value.dtype)])
        return Total(value, xp.zeros_like(value, dtype=xp.result), spare)

    def weighted(self, terms: Array) -> Array:
        """Multiply by the weights; what is excluded is 0."""
        inputs, xp = self._inputs, self.xp
        if terms.shape != inputs.shape and not _agree(terms.shape, inputs.shape):
            found, wanted = tuple(terms.shape), tuple(inputs.shape)
            message = f"pointwise returned shape {found}; one term for each of {wanted} is needed"
            raise fail(inputs.metric, message)
        if inputs.mask is not None:
            terms = xp.where(inputs.mask, terms, xp.zeros_like(terms))
        return terms if inputs.weights is None else terms * inputs.weights

    def _sum(self, terms: Array) -> Array:
        return self._squeeze(self.xp.total(terms, self._axes))

    def _squeeze(self, reduced: Array) -> Array:
        return self.xp.squeeze(reduced, axis=self._axes) if self._axes else reduced

    def _expand(self, reduced: Array) -> Array:
        for axis in self._axes:
            reduced = self.xp.expand_dims(reduced, axis=axis)
        return reduced

    def _weight(self, like: Array) -> Total:
        """Sum the weights; without weights it is a count, exact beyond 2**24."""
        inputs, xp = self._inputs, self.xp
        if inputs.weights is not None:
            value = self._sum(inputs.weights)
            return Total(value, xp.zeros_like(value, dtype=xp.result))
        size = 1
        for axis in self._axes:  # not math.prod: sizes may be symbolic
            size = size * inputs.shape[axis]
        if inputs.mask is not None:
            ones = xp.astype(inputs.mask, xp.counting)
            ones = xp.sum(ones, axis=self._axes, keepdims=True)
            count = self._squeeze(ones)
        else:
            count = xp.zeros_like(like, dtype=xp.counting) + size
        value = xp.astype(count, xp.computing)
        lost = xp.zeros_like(count) if xp.wide else count - xp.astype(value, xp.counting)
        return Total(value, xp.astype(lost, xp.result))

    def mean(self, terms: Array) -> Mean:
        """Summarise terms by their mean."""
        total = self(terms)
        return Mean(total, self._weight(total.value))

    def mean_square(self, residual: Array) -> Mean:
        """Summarise residuals by the mean of their squares."""
        return self.mean(residual * residual)

    def ratio(self, numerator: Array, denominator: Array) -> Ratio:
        """Summarise two terms by the ratio of their sums."""
        above = self(numerator)
        return Ratio(above, self(denominator), self._weight(above.value))

    def root_mean_square(self, residual: Array) -> RootMeanSquare:
        """Summarise residuals by their root mean square, over their whole range."""
        xp, zero = self.xp, self.xp.zeros_like(residual)
        if xp.wide:  # the squares of float32 stay far inside the range of float64
            medium = self(residual * residual)
            nothing = medium._replace(value=xp.zeros_like(medium.value))
            return RootMeanSquare(nothing, medium, nothing, self._weight(medium.value))
        bound, scale = RANGE[dtype_name(residual.dtype)]
        size = xp.abs(residual)
        large, small = size > bound, size < 1 / bound
        # factors that depend on the data: XLA would multiply constants first, 2^80 by 2^80
        bins = (
            residual * xp.where(large, scale, zero),
            residual * xp.where(large | small, zero, xp.ones_like(zero)),
            residual * xp.where(small, 1 / scale, zero),
        )
        big, medium, tiny = (self(part * part) for part in bins)
        return RootMeanSquare(big, medium, tiny, self._weight(medium.value))

    def largest(self, terms: Array) -> Extremum:
        """Summarise terms that are not negative by the largest; ties share the gradient."""
        inputs, xp = self._inputs, self.xp
        if inputs.mask is not None:
            terms = xp.where(inputs.mask, terms, xp.zeros_like(terms))
        if 0 in terms.shape:
            value = self._sum(terms)
        else:
            value = self._squeeze(xp.max(terms, axis=self._axes, keepdims=True))
        return Extremum(value, self._weight(value))

    def samples(self, terms: Array) -> Samples:
        """Keep the terms, and their weights, along one last axis."""
        inputs, xp = self._inputs, self.xp
        weight = self._weight(self._sum(xp.zeros_like(terms)))
        weights = inputs.weights
        if weights is None:
            ones = xp.ones_like(terms, dtype=xp.bool) if inputs.mask is None else inputs.mask
            weights = xp.astype(ones, xp.counting)
        return Samples(rows(xp, terms, self._axes), rows(xp, weights, self._axes), weight)

    def moments(self, a: Array, b: Array) -> Moments:
        """Summarise two variables by their means and centred second moments."""
        xp = self.xp
        sizes = xp.stop_gradient(xp.maximum(xp.abs(a), xp.abs(b)))
        scale = xp.power_of_two(self.largest(sizes).value)
        a, b = a * self._expand(scale), b * self._expand(scale)
        weight = self._weight(scale)
        pivot_a, pivot_b = self._pivot(a, weight), self._pivot(b, weight)
        a, b = a - self._expand(pivot_a), b - self._expand(pivot_b)
        mean_a, mean_b = (ratio(xp, self(x).sum, weight.sum, 0.0) for x in (a, b))

        def centred(x: Array, y: Array, correction: Array) -> Total:
            total = self(x * y)
            return total._replace(value=total.value - weight.sum * correction, spare=None)

        def mean(pivot: Array, rest: Array) -> Total:
            value = pivot + rest
            return Total(value, xp.astype(rest - (value - pivot), xp.result))

        return Moments(
            mean(pivot_a, mean_a),
            mean(pivot_b, mean_b),
            centred(a, a, mean_a * mean_a),
            centred(a, b, mean_a * mean_b),
            centred(b, b, mean_b * mean_b),
            scale,
            weight,
        )

    def _pivot(self, x: Array, weight: Total) -> Array:
        """Return nearly the mean, exactly so for a constant; a constant to differentiation.

        Centred moments do not depend on the pivot, so neither do their derivatives.
        """
        xp = self.xp
        x = xp.stop_gradient(x)
        total = xp.stop_gradient(weight.sum)
        mean = ratio(xp, xp.stop_gradient(self(x).sum), total, 0.0)
        rest = xp.stop_gradient(self(x - self._expand(mean)).sum)
        return mean + ratio(xp, rest, total, 0.0)
