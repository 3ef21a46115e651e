"""What comes in: one namespace, one device, one shape, one dtype, and which samples count."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import copy
from operator import index
from typing import Any

import numpy as np

from ._domains import Interval, Labels
from ._namespaces import (
    FLOATS,
    INTEGERS,
    RANGE,
    Array,
    Library,
    Namespace,
    dtype_name,
    library_of,
)
from ._states import (
    SPARE,
    Counts,
    Extremum,
    Mean,
    Moments,
    Ratio,
    RootMeanSquare,
    Samples,
    Spread,
    Total,
    ratio,
)

Shape = tuple[int, ...]
_OPTIONS = ("weights", "where", "groups")
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


def _have(name: str) -> str:
    """Return a name and the verb that goes with it."""
    return f"{name} {'have' if name.endswith('s') else 'has'}"


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
        fix = "it holds text; convert it with astype(float), or number its labels with numpy.unique"
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

    __slots__ = ("arrays", "axes", "library", "metric", "names", "number", "shape", "xp")

    def __init__(
        self,
        metric: Any,
        predictions: Any,
        targets: Any,
        weights: Any = None,
        where: Any = None,
        axis: int | Shape | None = None,
        event_axis: int | Shape | None = None,
        groups: Any = None,
        number: int | None = None,
    ) -> None:
        self.metric, self.number = metric, number
        self.names = _names(metric)
        given = {
            **members(metric, "predictions", self.names[0], predictions),
            **members(metric, "targets", self.names[1], targets),
        }
        data = tuple(given)
        optional = (("weights", weights), ("where", where), ("groups", groups))
        given |= {name: array for name, array in optional if array is not None}
        arrays = {name: _as_array(metric, name, value) for name, value in given.items()}
        names = {name: _check_dtype(metric, name, array) for name, array in arrays.items()}
        # Only what came as an array decides: numbers and lists follow the arrays beside them.
        real = {k: v for k, v in arrays.items() if v is given[k] and k != "groups"} or arrays
        library = self.library = _one_library(metric, real)
        like = next(v for v in real.values() if library_of(v) is library)
        _check_devices(metric, library, real)
        if metric.kind == "sorted whole" and not library.sorts:
            message = f"it sorts all samples, which {library.name} does not; compute them first"
            names_real = ", ".join(f"{name}.compute()" for name in real)
            raise fail(metric, f"{message}: {names_real}", TypeError)
        wide = library.has_float64(like)
        labels = {name for name, values in self.intervals() if isinstance(values, Labels)}
        either = {name for name, values in self.intervals() if getattr(values, "scores", False)}
        labels |= {"groups"} & arrays.keys()
        for name in labels - either:
            if names[name] in FLOATS:
                message = f"{_have(name)} dtype {names[name]}: labels must be integers"
                shape = getattr(arrays.get("predictions"), "shape", None)
                one_hot = name in data and arrays[name].shape == shape
                fix = f"{name}.argmax(-1)" if one_hot else f"{name}.astype(int)"
                raise fail(metric, f"{message}; convert them, e.g. {fix}", TypeError)
        votes = [names[k] for k in data if k in real]
        xp = self.xp = library.namespace(_result_dtype(library, votes, names, wide), wide)
        for name, array in arrays.items():
            if library_of(array) is not library and (name != "where" or names[name] == "bool"):
                near = xp.result_name if names[name] in FLOATS or not wide else "float64"
                if name in labels and names[name] not in FLOATS:
                    near = "int64" if wide else "int32"
                near = "bool" if name == "where" else near
                arrays[name] = library.convert(array, near, like)
        shape, arrays = _matching(metric, xp, arrays, self.cores(arrays), event_axis)
        self.shape, self.axes = shape, _normalised(metric, axis, len(shape))
        if "where" in arrays and names["where"] != "bool":
            message = f"where has dtype {names['where']}: it must be boolean; pass where=mask != 0"
            raise fail(metric, message, TypeError)
        if groups is not None and axis is not None:
            raise fail(metric, "groups= reduces all axes: leave out axis=")
        self.arrays = arrays
        for name in _OPTIONS:
            if name in arrays:
                arrays[name] = _broadcast(metric, xp, name, arrays[name], self._shape_of(name))

    @classmethod
    def checked(
        cls,
        metric: Any,
        arrays: dict[str, Array],
        result: str,
        wide: bool,
        axes: Shape,
        number: int | None,
    ) -> Inputs:
        """Return inputs that were checked before, but for sizes that were not known then."""
        self = cls.__new__(cls)
        self.metric, self.axes, self.number = metric, axes, number
        self.names = _names(metric)
        library = library_of(arrays[self.names[1][0]])
        assert library is not None
        self.library, self.xp = library, library.namespace(result, wide)
        cores = self.cores(arrays)
        self.shape, self.arrays = _matching(metric, self.xp, arrays, cores, None)
        for name in _OPTIONS:
            own = arrays[name].shape if name in arrays else self._shape_of(name)
            if not _agree(own, self._shape_of(name)):
                raise _misfit(metric, name, tuple(own), self._shape_of(name))
        return self

    def _shape_of(self, name: str) -> Shape:
        """Return the shape of weights, groups or a mask: that of the loss, or of its items."""
        items = self.metric.padding is not None and name == "where"
        return tuple(self.arrays[self.data[0]].shape) if items else self.shape

    @property
    def data(self) -> tuple[str, ...]:
        """The names of the arrays of predictions and targets."""
        return self.names[0] + self.names[1]

    @property
    def unweighted(self) -> bool:
        """Whether all samples count, and count alike."""
        return len(self.arrays) == len(self.data) and not self.metric.weighs

    def intervals(self) -> Iterator[tuple[str, Any]]:
        """Yield the name of each array and the interval its numbers lie in."""
        domain = self.metric.domain
        yield from zip(self.data, (*domain.of_predictions, *domain.of_targets), strict=True)

    def cores(self, arrays: dict[str, Array]) -> dict[str, tuple[str, ...]]:
        """Return the core dimensions of each array; labels in the place of scores have none."""
        parts: tuple[tuple[str, ...], ...] = sum(self.metric.parts, ())
        cores = dict(zip(self.data, parts, strict=True))
        for name, values in self.intervals():
            if getattr(values, "scores", False) and dtype_name(arrays[name].dtype) not in FLOATS:
                cores[name] = ()
        return cores

    def batch(self, index: tuple[Any, ...] = ()) -> Batch:
        """Convert the samples, or those at an index of the loss's shape, for the computation."""
        arrays, library, xp, metric = self.arrays, self.library, self.xp, self.metric
        if index:
            arrays = {name: array[index] for name, array in arrays.items()}
        data: dict[str, Array] = {}
        raw: dict[str, Array] = {}
        wrong = None
        for name, values in self.intervals():
            if isinstance(values, Interval):
                raw[name] = data[name] = library.cast(xp, arrays[name])
            else:
                raw[name], data[name], bad = self._labels(arrays[name], values)
                core = tuple(range(len(self.shape), bad.ndim))
                bad = xp.any(bad, axis=core) if core else bad
                wrong = bad if wrong is None else wrong | bad
        mask, weights = arrays.get("where"), arrays.get("weights")
        if weights is not None:
            weights = library.cast(xp, weights)
        if metric.padding is not None and mask is not None:
            for name, fill in zip(self.data, metric.padding, strict=True):
                data[name] = xp.where(mask, data[name], fill)
            mask = xp.any(mask, axis=-1)
        if weights is not None:
            mask = _and(mask, weights != 0)
        if metric.weighs:
            mask = _and(mask, metric.included(xp, self._together(raw, 1)))
        groups = arrays.get("groups")
        if groups is not None:
            groups = xp.astype(groups, xp.counting)
            known = (groups >= 0) & (groups < self.number)
            mask = _and(mask, known)
            groups = xp.where(known, groups, xp.zeros_like(groups))
        weights = self._exclude(data, weights, mask)
        # only now: what is excluded may hold anything
        factor = metric.importance(xp, self._together(data, 1)) if metric.weighs else None
        if factor is not None:
            weights = factor if weights is None else weights * factor
            mask = _and(mask, weights != 0)
            weights = self._exclude(data, weights, mask)
        if wrong is not None and mask is not None:
            wrong = wrong & mask
        p, t = self._together(data, 0), self._together(data, 1)
        shape = self.shape
        if index:
            first = data[self.names[1][0]]
            shape = tuple(first.shape[: len(shape)])
        group = None if groups is None else (groups, self.number)
        return Batch(metric, xp, p, t, weights, mask, shape, self.axes, wrong, group)

    def _exclude(
        self, data: dict[str, Array], weights: Array | None, mask: Array | None
    ) -> Array | None:
        """Replace what the mask leaves out by what is inside; return the weights, 0 there."""
        xp = self.xp
        if mask is not None:
            for name, values in self.intervals():
                data[name] = _filled(xp, data[name], mask, values.inside)
        return None if weights is None else xp.where(mask, weights, xp.zeros_like(weights))

    def among(self, values: Labels) -> Interval:
        """Return the interval of the labels there are."""
        lengths: dict[str, int] = {}
        for name, core in self.cores(self.arrays).items():
            shape = self.arrays[name].shape
            lengths |= dict(zip(core, shape[len(shape) - len(core) :], strict=True))
        return values.among(lengths)

    def _labels(self, array: Array, values: Labels) -> tuple[Array, Array, Array]:
        """Return labels as they came, labels that exist, and where the two differ."""
        xp = self.xp
        if dtype_name(array.dtype) in FLOATS:  # scores
            labels = xp.argmax(array, axis=-1)
            return labels, labels, xp.any(xp.isnan(array), axis=-1)
        labels, highest = xp.astype(array, xp.counting), self.among(values).high
        wrong = labels < 0
        if highest < math.inf:
            wrong = wrong | (labels > int(highest))
        return labels, xp.where(wrong, xp.zeros_like(labels), labels), wrong

    def _together(self, data: dict[str, Array], side: int) -> Any:
        """Return predictions (0) or targets (1), as a tuple where the metric takes one."""
        arrays = tuple(data[name] for name in self.names[side])
        named = (self.metric.prediction_names, self.metric.target_names)[side]
        return arrays if named else arrays[0]


def _names(metric: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return metric.prediction_names or ("predictions",), metric.target_names or ("targets",)


def members(metric: Any, what: str, names: tuple[str, ...], given: Any) -> dict[str, Any]:
    """Return the arrays that predictions or targets consist of, by name."""
    if names == (what,):
        return {what: given}
    if not (isinstance(given, tuple) and len(given) == len(names)):
        found = f"a tuple of {len(given)}" if isinstance(given, tuple) else type(given).__name__
        message = f"{what} must be a tuple ({', '.join(names)}), not {found}"
        raise fail(metric, message, TypeError)
    return dict(zip(names, given, strict=True))


class Batch:
    """Samples ready for the computation, in its dtype.

    ``predictions`` and ``targets`` hold a number inside the domain wherever ``mask`` is False:
    what stood there reaches neither value nor gradient. ``axes`` are the reduced ones of ``shape``.
    ``wrong`` marks samples that count and have a label that is none; another stands in its place.
    ``groups`` are the number of the group of each sample, and how many groups there are.
    """

    __slots__ = (
        "axes", "groups", "mask", "metric", "predictions", "shape", "targets", "weights", "wrong",
        "xp",
    )  # fmt: skip

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
        wrong: Array | None = None,
        groups: Any = None,
    ) -> None:
        self.metric, self.xp = metric, xp
        self.predictions, self.targets = predictions, targets
        self.weights, self.mask, self.wrong = weights, mask, wrong
        self.shape, self.axes, self.groups = shape, axes, groups


def _result_dtype(library: Library, votes: list[str], names: dict[str, str], wide: bool) -> str:
    """Return the widest floating dtype among the arrays, at least float32."""
    floats = [name for name in votes if name in FLOATS]
    if not votes:  # a number against a list: NumPy's own choice
        floats = [dtype for k, dtype in names.items() if k not in _OPTIONS and dtype in FLOATS]
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
            are = "are" if first.endswith("s") else "is"
            message = (
                f"{first} {are} on device {device} and {name} on {other}; move one to the other"
            )
            raise fail(metric, message)


def _matching(
    metric: Any,
    xp: Namespace,
    arrays: dict[str, Array],
    cores: dict[str, tuple[str, ...]],
    event_axis: int | Shape | None,
) -> tuple[Shape, dict[str, Array]]:
    """Check the shapes against the signature; return the shape of the loss, and the arrays."""
    arrays = dict(arrays)
    if event_axis is not None:
        if not any(cores.values()):
            message = (
                f"event_axis={event_axis} does not apply: every element is a sample of its own"
            )
            raise fail(metric, message)
        for name, core in cores.items():
            if core:
                arrays[name] = _with_event_last(metric, xp, name, arrays[name], core, event_axis)
    sizes: dict[str, Any] = {}
    loops: dict[str, Shape] = {}
    for name, core in cores.items():
        shape = arrays[name].shape
        if len(shape) < len(core):
            message = f"{_have(name)} shape {tuple(shape)}: a last axis of {core[0]} is needed"
            raise fail(metric, message)
        own = dict(zip(core, shape[len(shape) - len(core) :], strict=True))
        for dimension, size in own.items():
            if size == 0:
                message = f"{_have(name)} shape {tuple(shape)}: the axis of {dimension} is empty"
                raise fail(metric, message)
            if metric.sizes.get(dimension, size) != size:
                known = metric.sizes[dimension]
                message = f"the axis of {dimension} has length {size}; the metric has {known}"
                raise fail(metric, message)
            if not _agree((sizes.setdefault(dimension, size),), (size,)):
                raise fail(metric, _shape_message(metric, arrays, cores))
        loops[name] = tuple(shape[: len(shape) - len(core)])
    if not any(cores.values()):  # only numbers and 0-d arrays broadcast
        whole = next((loop for loop in loops.values() if loop), ())
        for name, loop in loops.items():
            if loop == () != whole:
                arrays[name], loops[name] = xp.broadcast_to(arrays[name], whole), whole
    loop, *others = loops.values()
    if not all(_agree(loop, other) for other in others):
        raise fail(metric, _shape_message(metric, arrays, cores))
    return loop, arrays


def _with_event_last(
    metric: Any,
    xp: Namespace,
    name: str,
    array: Array,
    core: tuple[str, ...],
    event_axis: int | Shape,
) -> Array:
    """Move the event axes last; several of them become one where a sample has one axis."""
    axes = event_axis if isinstance(event_axis, (tuple, list)) else (event_axis,)
    ndim = array.ndim
    if not all(isinstance(axis, int) and -ndim <= axis < ndim for axis in axes):
        message = f"event_axis={event_axis} is out of range for shape {tuple(array.shape)}"
        raise fail(metric, message)
    axes = tuple(axis % ndim for axis in axes)
    if len(set(axes)) < len(axes) or (len(core) > 1 and len(axes) != len(core)):
        message = f"event_axis={event_axis} must be {len(core)} different axes: {', '.join(core)}"
        raise fail(metric, message)
    if len(axes) == 1:
        return xp.moveaxis(array, axes[0], -1)
    rest = tuple(axis for axis in range(ndim) if axis not in axes)
    array = xp.permute_dims(array, (*rest, *axes))
    return xp.reshape(array, (*array.shape[: len(rest)], -1)) if len(core) == 1 else array


def _agree(one: Sequence[Any], two: Sequence[Any]) -> bool:
    """Compare shapes; a nan is a size that Dask does not know yet."""
    return len(one) == len(two) and all(
        a == b or a != a or b != b for a, b in zip(one, two, strict=True)
    )


def _shape_message(metric: Any, arrays: dict[str, Array], cores: dict[str, tuple[str, ...]]) -> str:
    shapes = {name: tuple(arrays[name].shape) for name in cores}
    (first, p), *others = shapes.items()
    *some, last = (f"{name} {shape}" for name, shape in others)
    message = ", ".join([f"{_have(first)} shape {p}", *some]) + f" and {last}"
    if len(set(cores.values())) > 1:
        want = {
            name: f"(..., {', '.join(core)})" if core else "(...)" for name, core in cores.items()
        }
        of_first = want.pop(first)
        where = " and ".join(
            f"{name} {'are' if name.endswith('s') else 'is'} {shape}"
            for name, shape in want.items()
        )
        return f"{message}; {first} must be {of_first} where {where}"
    message += "; they must be the same"
    for name, t in others:
        for long, which, short in ((p, first, t), (t, name, p)):
            if len(long) == len(short) + 1:
                extra = [
                    i for i, n in enumerate(long) if n == 1 and long[:i] + long[i + 1 :] == short
                ]
                if extra:
                    drop = f"{which}.squeeze({extra[-1]})"
                    return f"{message}: drop the axis of length 1 with {drop}"
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
    if len(own) > len(shape) or not all(
        n == 1 or _agree((n,), (m,)) for n, m in zip(padded, shape, strict=True)
    ):
        raise _misfit(metric, name, own, shape)
    return xp.broadcast_to(array, shape)


def _misfit(metric: Any, name: str, own: Shape, shape: Shape) -> Exception:
    message = f"{name} have shape {own}, which does not broadcast to the loss's shape {shape}"
    if len(own) < len(shape) and own == shape[: len(own)]:
        index = ", ".join([":"] * len(own) + ["None"] * (len(shape) - len(own)))
        message += f"; add axes with {name}[{index}]"
    return fail(metric, message)


def _and(one: Array | None, two: Array | None) -> Array | None:
    """Tell where both hold; None holds everywhere."""
    if one is None or two is None:
        return two if one is None else one
    return one & two


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

    def lost(self, terms: Array) -> Array:
        """Make the terms of samples nan whose label is none."""
        wrong, xp = self._inputs.wrong, self.xp
        return terms if wrong is None else xp.where(wrong, xp.full_like(terms, math.nan), terms)

    def weighted(self, terms: Array) -> Array:
        """Multiply by the weights; what is excluded is 0."""
        inputs, xp = self._inputs, self.xp
        if terms.shape != inputs.shape and not _agree(terms.shape, inputs.shape):
            found, wanted = tuple(terms.shape), tuple(inputs.shape)
            message = f"pointwise returned shape {found}; one term for each of {wanted} is needed"
            raise fail(inputs.metric, message)
        terms = self.lost(terms)
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
        return self._exact(count)

    def mean(self, terms: Array) -> Mean:
        """Summarise terms by their mean."""
        total = self(terms)
        return Mean(total, self._weight(total.value))

    def mean_square(self, residual: Array) -> Mean:
        """Summarise residuals by the mean of their squares."""
        return self.mean(residual * residual)

    def spread(self, terms: Array) -> Spread:
        """Summarise terms by how far they are from their mean, each weighted twice."""
        inputs = self._inputs
        twice = copy(inputs)
        if inputs.weights is not None:
            twice.weights = inputs.weights * inputs.weights
        once = copy(inputs)
        once.weights = None
        moments = type(self)(twice).moments(terms, terms)
        like = moments.scale_a
        return Spread(moments, type(self)(once)._weight(like), self._weight(like))

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
        within = xp.where(large, zero, residual)  # infinity times 0 would be nan
        # factors that depend on the data: XLA would multiply constants first, 2^80 by 2^80
        bins = (
            residual * xp.where(large, scale, zero),
            within * xp.where(large | small, zero, xp.ones_like(zero)),
            within * xp.where(small, 1 / scale, zero),
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

    def counts(self, index: Array, size: int, *terms: Array) -> Counts:
        """Count the samples of each index below a size, and sum terms among them.

        The result has one more axis, last: the counts of all indices, then the sums of each term.
        An index below 0 is that of a sample which belongs nowhere, and makes all of them nan.
        """
        inputs, xp = self._inputs, self.xp
        bad = index < 0 if inputs.wrong is None else (index < 0) | inputs.wrong
        counted = ~bad
        if inputs.mask is not None:
            bad, counted = bad & inputs.mask, counted & inputs.mask
        lost = xp.expand_dims(self._any(bad), axis=-1)
        # what does not count has a bin of its own, which is left out again
        index = xp.where(counted, xp.astype(index, xp.counting), size)
        flat = xp.rows(index, self._axes)
        sums = [self._binned(flat, size, term) for term in (None, *terms)]
        value, error = (xp.concat(list(parts), axis=-1) for parts in zip(*sums, strict=True))
        value = xp.where(lost, xp.full_like(value, math.nan), value)
        return Counts(Total(value, error), self._weight(value[..., 0]))

    def _any(self, marks: Array) -> Array:
        return self._squeeze(self.xp.any(marks, axis=self._axes, keepdims=True))

    def _binned(self, index: Array, size: int, term: Array | None) -> tuple[Array, Array]:
        """Sum the weights times a term by index; without either it is a count, exact."""
        inputs, xp = self._inputs, self.xp
        kept, n = tuple(index.shape[:-1]), index.shape[-1]
        lines = math.prod(kept)
        index = xp.reshape(index, (lines, n))
        if inputs.weights is None and term is None:
            total = self._exact(xp.bins(index, None, size + 1))
        else:
            term = xp.ones_like(inputs.weights) if term is None else term
            weighted = xp.reshape(xp.rows(self.weighted(term), self._axes), (lines, n))
            value = xp.sums_by(index, weighted, size + 1)
            total = Total(value, xp.zeros_like(value, dtype=xp.result))
        value, error = (xp.reshape(x[:, :size], (*kept, size)) for x in total[:2])
        return value, error

    def _exact(self, count: Array) -> Total:
        """Return counts as sums, with what a float of 24 digits loses of them."""
        xp = self.xp
        value = xp.astype(count, xp.computing)
        lost = xp.zeros_like(count) if xp.wide else count - xp.astype(value, xp.counting)
        return Total(value, xp.astype(lost, xp.result))

    def confusion(self, prediction: Array, target: Array, classes: int) -> Counts:
        """Count the samples of each pair of target and prediction."""
        return self.counts(target * classes + prediction, classes * classes)

    def samples(self, *variables: Array) -> Samples:
        """Keep the variables, and their weights, along one last axis."""
        inputs, xp = self._inputs, self.xp
        first = self.lost(variables[0])
        weight = self._weight(self._sum(xp.zeros_like(first)))
        weights = inputs.weights
        if weights is None:
            ones = xp.ones_like(first, dtype=xp.bool) if inputs.mask is None else inputs.mask
            weights = xp.astype(ones, xp.counting)
        kept = [self._along(x) for x in (first, *variables[1:])]
        values = kept[0] if len(kept) == 1 else xp.stack(kept, axis=-2)
        return Samples(values, self._own(self._along(weights)), weight)

    def _along(self, x: Array) -> Array:
        """Bring the samples of each result along the last axis."""
        return self.xp.rows(x, self._axes)

    def _own(self, weights: Array) -> Array:
        """Return weights that are 0 for the samples of other results."""
        return weights

    def moments(self, a: Array, b: Array, *, one_unit: bool = True) -> Moments:
        """Summarise two variables by their means and centred second moments.

        Variables of one unit are held on one scale, so that a formula may add or compare them.
        """
        xp = self.xp
        sizes = [xp.stop_gradient(xp.abs(x)) for x in (a, b)]
        if one_unit:
            sizes = [xp.maximum(*sizes)]
        largest = [self.largest(size).value for size in sizes]
        scale_a, scale_b = xp.power_of_two(largest[0]), xp.power_of_two(largest[-1])
        a, b = a * self._expand(scale_a), b * self._expand(scale_b)
        weight = self._weight(scale_a)
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
            scale_a,
            scale_b,
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


class GroupedTotals(Totals):
    """Sums of each of some groups, along one axis in the place of all the samples'."""

    __slots__ = ("_index", "_number")

    def __init__(self, inputs: Batch) -> None:
        super().__init__(inputs)
        groups, self._number = inputs.groups
        self._index = self.xp.reshape(groups, (1, -1))

    def _sum(self, terms: Array) -> Array:
        """Sum by group; terms that do not count are 0 already."""
        return self.xp.sums_by(self._index, self._flat(terms), self._number)[0, :]

    def _flat(self, x: Array) -> Array:
        return self.xp.reshape(x, (1, -1))

    def _expand(self, reduced: Array) -> Array:
        taken = self.xp.take(reduced, self._index[0, :], axis=0)
        return self.xp.reshape(taken, self._inputs.shape)

    def _weight(self, like: Array) -> Total:
        inputs, xp = self._inputs, self.xp
        if inputs.weights is not None:
            value = self._sum(inputs.weights)
            return Total(value, xp.zeros_like(value, dtype=xp.result))
        return self._exact(self._counted(self._index, self._number)[0, :])

    def _counted(self, index: Array, size: int) -> Array:
        """Count by index the samples that count."""
        mask = self._inputs.mask
        if mask is not None:
            index = self.xp.where(self._flat(mask), index, self.xp.full_like(index, size))
        return self.xp.bins(index, None, size + 1)[:, :size]

    def largest(self, terms: Array) -> Extremum:
        """Summarise terms that are not negative by the largest of each group."""
        inputs, xp = self._inputs, self.xp
        if inputs.mask is not None:
            terms = xp.where(inputs.mask, terms, xp.zeros_like(terms))
        if 0 in terms.shape:
            value = self._sum(terms)
        else:
            value = xp.bin_max(self._index, self._flat(terms), self._number)[0, :]
        return Extremum(value, self._weight(value))

    def _any(self, marks: Array) -> Array:
        marks = self._flat(self.xp.astype(marks, self.xp.counting))
        return self.xp.bins(self._index, marks, self._number)[0, :] > 0

    def _binned(self, index: Array, size: int, term: Array | None) -> tuple[Array, Array]:
        xp, last = self.xp, size * self._number
        both = xp.where(index == size, last, self._index[0, :] * size + index)
        value, error = super()._binned(both, last, term)
        shape = (self._number, size)
        return xp.reshape(value, shape), xp.reshape(error, shape)

    def _along(self, x: Array) -> Array:
        flat = self._flat(x)
        return self.xp.broadcast_to(flat, (self._number, flat.shape[-1]))

    def _own(self, weights: Array) -> Array:
        xp = self.xp
        group = xp.cumulative_sum(xp.ones_like(weights, dtype=xp.counting), axis=0) - 1
        return xp.where(group == self._index, weights, xp.zeros_like(weights))


def totals_of(inputs: Batch, whole: type[Totals] = Totals) -> Totals:
    """Return the sums over the whole of each result, or of each group."""
    return whole(inputs) if inputs.groups is None else GroupedTotals(inputs)
