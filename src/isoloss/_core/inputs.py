"""The arguments of a call: their library, device, shapes and dtypes, and the sample mask."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from operator import index
from typing import Any

import numpy as np

from . import mistakes
from .domains import Interval, Labels
from .errors import fail, have
from .library import Library, library_of
from .types import FLOATS, INTEGERS, Array, Namespace, dtype_name

Shape = tuple[int, ...]
_OPTIONS = ("weights", "where", "groups")
_WIDTH = {"float16": 0, "bfloat16": 0, "float32": 0, "float64": 1, "float96": 2, "float128": 2}


# --- conversion of arguments to arrays of one library ---------------------------------------------


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.generic))


def as_array(subject: Any, name: str, value: Any) -> Array:
    """Return arrays unchanged; convert lists and objects with ``__array__`` to NumPy arrays."""
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
        raise fail(subject, mistakes.not_an_array(subject, name, value), TypeError)
    check_list(subject, name, value)
    try:
        return np.asarray(value)
    except ValueError as error:
        message = (
            f"{name} is a nested list of uneven lengths; pad it and mask the padding with where="
        )
        raise fail(subject, message) from error


def check_list(subject: Any, name: str, value: Any) -> None:
    """Raise for lists of arrays that NumPy cannot convert, or would convert to NumPy."""
    first = value
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    library = None if first is value else library_of(first)
    if library is not None and not library.immediate:
        code = f"{library.raw.__name__.removeprefix('array_api_compat.')}.stack({name})"
        message = f"{have(name)} the type {type(value).__name__}, of {library.name} arrays"
        raise fail(subject, f"{message}; make one array of it, {code}", TypeError)


def check_dtype(subject: Any, name: str, array: Array) -> str:
    """Return the name of a dtype; raise with a remedy if the dtype is not supported."""
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
        fix = mistakes.text(subject)
    raise fail(subject, f"{name} has dtype {dtype}: {fix}", TypeError)


def one_library(subject: Any, named: dict[str, Array]) -> Library:
    """Return the library of the arrays, or the one that accepts arrays of all the others."""
    by_name: dict[str, Any] = {name: library_of(array) for name, array in named.items()}
    libraries: list[Library] = list(by_name.values())
    for library in libraries:
        if all(other is library or library.absorbs(other) for other in libraries):
            return library
    # keep the most frequent library, preferably one that does not yield, and suggest to convert the
    # first array that does not fit
    keep = max(libraries, key=lambda library: (libraries.count(library), not library.yields))
    unchanged = next(name for name, library in by_name.items() if library is keep)
    change = next(
        name
        for name, library in by_name.items()
        if library is not keep and not keep.absorbs(library)
    )
    message = f"{unchanged}: a {keep.name} array, {change}: a {by_name[change].name} array"
    raise fail(
        subject, f"{message}; convert one, e.g. {change} = {keep.conversion(change)}", TypeError
    )


def floating_like(subject: Any, name: str, value: Any, beside: Any) -> tuple[Library, Array]:
    """Return a value as a floating array of the library that it shares with ``beside``.

    Numbers and lists take the dtype of ``beside``; integers become the default floating dtype.
    """
    array, beside_array = as_array(subject, name, value), as_array(subject, "targets", beside)
    dtype, dtype_beside = check_dtype(subject, name, array), dtype_name(beside_array.dtype)
    arrays = [
        converted
        for converted, value_given in ((array, value), (beside_array, beside))
        if converted is value_given
    ] or [array]
    library = one_library(subject, dict(zip((name, "targets"), arrays, strict=False)))
    like = arrays[0] if library_of(arrays[0]) is library else arrays[-1]
    has_float64 = library.has_float64(like)
    if array is not value and beside_array is beside:
        dtype = dtype_beside
    if dtype not in FLOATS:
        dtype = library.default_float()
    if _WIDTH[dtype] and not has_float64:
        dtype = "float32"
    if library_of(array) is not library:
        array = library.convert(array, "float64" if has_float64 else "float32", like)
    if dtype_name(array.dtype) != dtype:
        array = library.raw.astype(array, getattr(library.raw, dtype, beside_array.dtype))
    return library, array


class Inputs:
    """The checked arguments of a call: of one library, on one device, with matching shapes.

    The constructor only validates; `batch` converts and allocates.
    """

    __slots__ = (
        "arrays", "axes", "changes", "data", "highest", "intervals", "library", "metric", "names",
        "number", "scores", "shape", "weighs", "xp",
    )  # fmt: skip
    arrays: dict[str, Array]
    axes: Shape  # the reduced axes of `shape`
    changes: list[tuple[str, Callable[[Array], Array]]]  # conversions of the given arrays, by name
    data: tuple[str, ...]  # the names of the arrays of predictions and targets
    intervals: tuple[tuple[str, Any], ...]  # their domains, by name
    highest: dict[str, float]  # the last label of each array of labels
    library: Library
    scores: set[str]  # the arrays of scores, given instead of labels
    shape: Shape  # the shape of the loss
    weighs: bool  # whether targets decide which samples count, or how much
    xp: Namespace

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
        self._declare(metric, number)
        values_by_name = {
            **members(metric, "predictions", self.names[0], predictions),
            **members(metric, "targets", self.names[1], targets),
        }
        data = self.data
        optional = (("weights", weights), ("where", where), ("groups", groups))
        values_by_name |= {name: array for name, array in optional if array is not None}
        arrays = {name: as_array(metric, name, value) for name, value in values_by_name.items()}
        names = {name: check_dtype(metric, name, array) for name, array in arrays.items()}
        # Only arrays decide the library and the dtype: numbers and lists follow them.
        passed = {
            k: v for k, v in arrays.items() if v is values_by_name[k] and k != "groups"
        } or arrays
        library = self.library = one_library(metric, passed)
        like = next(v for v in passed.values() if library_of(v) is library)
        check_devices(metric, library, passed)
        if metric.kind == "sorted whole" and not library.sorts:
            message = f"it sorts all samples, which {library.name} does not; compute them first"
            names_real = ", ".join(f"{name}.compute()" for name in passed)
            raise fail(metric, f"{message}: {names_real}", TypeError)
        has_float64 = library.has_float64(like)
        labels = {name for name, values in self.intervals if isinstance(values, Labels)}
        scored = {name for name, values in self.intervals if getattr(values, "scores", False)}
        labels |= {"groups"} & arrays.keys()
        for name in labels - scored:
            if names[name] in FLOATS:
                message = f"{have(name)} dtype {names[name]}: labels must be integers"
                fix = mistakes.label_dtype(metric, name, arrays)
                raise fail(metric, f"{message}; {fix}", TypeError)
        dtypes = [names[k] for k in data if k in passed]
        result = _result_dtype(library, dtypes, names, has_float64)
        # float32 does not represent every integer
        has_integers = any(
            names[k] in INTEGERS and names[k] != "bool" for k in data if k not in labels
        )
        wide = library.widens(like) or (has_float64 and has_integers)
        xp = self.xp = library.namespace(result, wide)
        for name, array in arrays.items():
            if library_of(array) is not library and (name != "where" or names[name] == "bool"):
                dtype = xp.result_name if names[name] in FLOATS or not has_float64 else "float64"
                if name in labels and names[name] not in FLOATS:
                    dtype = "int64" if has_float64 else "int32"
                dtype = "bool" if name == "where" else dtype
                arrays[name] = library.convert(array, dtype, like)
        cores = self.cores(arrays)
        shape, arrays, self.changes = _matching(metric, xp, arrays, cores, event_axis)
        self.shape, self.axes = shape, _normalised(metric, axis, len(shape))
        if "where" in arrays and names["where"] != "bool":
            message = f"where has dtype {names['where']}: it must be boolean; pass where=mask != 0"
            raise fail(metric, message, TypeError)
        if groups is not None and axis is not None:
            raise fail(metric, "groups= reduces all axes: leave out axis=")
        self.arrays = arrays
        for name in _OPTIONS:
            if name in arrays and not agree(arrays[name].shape, self._shape_of(name)):
                change = partial(_broadcast, metric, xp, name, shape=self._shape_of(name))
                self.changes.append((name, change))
                arrays[name] = change(arrays[name])
        self._find_labels()

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
        """Return inputs that were checked before, except for sizes that were unknown then."""
        self = cls.__new__(cls)
        self._declare(metric, number)
        self.axes = axes
        library = library_of(arrays[self.names[1][0]])
        assert library is not None
        self.library, self.xp = library, library.namespace(result, wide)
        cores = self.cores(arrays)
        self.shape, self.arrays, self.changes = _matching(metric, self.xp, arrays, cores, None)
        for name in _OPTIONS:
            actual = arrays[name].shape if name in arrays else self._shape_of(name)
            if not agree(actual, self._shape_of(name)):
                raise _misfit(metric, name, tuple(actual), self._shape_of(name))
        self._find_labels()
        return self

    def _declare(self, metric: Any, number: int | None) -> None:
        """Store the names and domains that the metric declares."""
        self.metric, self.number, self.weighs = metric, number, metric.weighs
        self.names = (
            metric.prediction_names or ("predictions",),
            metric.target_names or ("targets",),
        )
        self.data = self.names[0] + self.names[1]
        domain = metric.domain
        values = (*domain.of_predictions, *domain.of_targets)
        self.intervals = tuple(zip(self.data, values, strict=True))

    def _find_labels(self) -> None:
        """Store the number of labels, and which arrays hold scores instead of labels."""
        labels = [(name, values) for name, values in self.intervals if isinstance(values, Labels)]
        self.highest = {name: self.among(values).high for name, values in labels}
        self.scores = {n for n, _ in labels if dtype_name(self.arrays[n].dtype) in FLOATS}

    def with_arrays(
        self, arrays: dict[str, Array], shape: Shape | None = None, axes: Shape | None = None
    ) -> Inputs:
        """Return these inputs with other arrays of the same dtypes, shapes and library."""
        other = Inputs.__new__(Inputs)
        other.metric, other.number, other.names = self.metric, self.number, self.names
        other.data, other.intervals, other.arrays = self.data, self.intervals, arrays
        other.highest, other.scores, other.changes = self.highest, self.scores, self.changes
        other.library, other.xp, other.weighs = self.library, self.xp, self.weighs
        other.shape = self.shape if shape is None else shape
        other.axes = self.axes if axes is None else axes
        return other

    def _shape_of(self, name: str) -> Shape:
        """Return the shape of weights, groups or a mask: of the loss, or of the items."""
        items = self.metric.padding is not None and name == "where"
        return tuple(self.arrays[self.data[0]].shape) if items else self.shape

    @property
    def unweighted(self) -> bool:
        """Whether all samples count with equal weight."""
        return len(self.arrays) == len(self.data) and not self.weighs

    def cores(self, arrays: dict[str, Array]) -> dict[str, tuple[str, ...]]:
        """Return the core dimensions of each array; labels have none, scores have classes."""
        parts: tuple[tuple[str, ...], ...] = sum(self.metric.parts, ())
        cores = dict(zip(self.data, parts, strict=True))
        for name, values in self.intervals:
            if getattr(values, "scores", False) and dtype_name(arrays[name].dtype) not in FLOATS:
                cores[name] = ()
        return cores

    def batch(self, index: tuple[Any, ...] = (), filled: int = 2) -> Batch:
        """Convert all samples, or those at an index into the loss's shape, for the computation.

        Excluded samples are replaced in predictions and targets (``filled=2``), in targets only
        (1), or not at all (0). In the last case the caller masks the results.
        """
        arrays, library, xp, metric = self.arrays, self.library, self.xp, self.metric
        if index:
            arrays = {name: array[index] for name, array in arrays.items()}
        data: dict[str, Array] = {}
        raw: dict[str, Array] = {}
        wrong = None
        for name, values in self.intervals:
            if isinstance(values, Interval):
                array = arrays[name]
                raw[name] = data[name] = (
                    array if array.dtype == xp.computing else library.cast(xp, array)
                )
            else:
                raw[name], data[name], invalid = self._labels(name, arrays[name])
                if invalid is None:
                    continue
                core = tuple(range(len(self.shape), invalid.ndim))
                invalid = xp.any(invalid, axis=core) if core else invalid
                wrong = invalid if wrong is None else wrong | invalid
        mask, weights = arrays.get("where"), arrays.get("weights")
        if weights is not None and weights.dtype != xp.computing:
            weights = library.cast(xp, weights)
        if metric.padding is not None and mask is not None:
            for name, fill in zip(self.data, metric.padding, strict=True):
                data[name] = xp.where(mask, data[name], fill)
            mask = xp.any(mask, axis=-1)
        masked_otherwise = mask is not None or self.weighs or "groups" in arrays
        if weights is not None:
            mask = _and(mask, weights != 0)
        if self.weighs:
            mask = _and(mask, metric.included(xp, self._together(raw, 1)))
        groups = arrays.get("groups")
        if groups is not None:
            groups = xp.astype(groups, xp.counting)
            in_range = (groups >= 0) & (groups < self.number)
            mask = _and(mask, in_range)
            groups = xp.where(in_range, groups, xp.zeros_like(groups))
        if mask is not None and library.immediate and mask.all():
            mask = None
        names = (*self.names[1], *self.names[0])[: (0, len(self.names[1]), len(self.data))[filled]]
        # samples that only their weight excludes have a weight of 0 already
        if mask is not None:
            excluded = self._exclude(data, weights if masked_otherwise else None, mask, names)
            weights = excluded if masked_otherwise else weights
        # only now: before, excluded samples may hold any value
        factor = metric.importance(xp, self._together(data, 1)) if self.weighs else None
        if factor is not None:
            weights = factor if weights is None else weights * factor
            mask = _and(mask, weights != 0)
            if mask is not None and library.immediate and mask.all():
                mask = None
            if mask is not None:
                weights = self._exclude(data, weights, mask, names)
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
        self,
        data: dict[str, Array],
        weights: Array | None,
        mask: Array,
        names: tuple[str, ...],
    ) -> Array | None:
        """Replace excluded samples by a number inside the domain, and set their weights to 0."""
        xp = self.xp
        for name, values in self.intervals:
            if name in names:
                data[name] = _filled(xp, data[name], mask, values.inside)
        return None if weights is None else xp.where(mask, weights, xp.zeros_like(weights))

    def settle(self) -> None:
        """Find out whether targets decide the weights; this does not depend on their values."""
        if self.weighs and 0 not in self.shape:
            xp, first = self.xp, (0,) * len(self.shape)
            zeros = {name: xp.zeros_like(self.arrays[name][first]) for name in self.names[1]}
            target = self._together(zeros, 1)
            decisions = self.metric.included(xp, target), self.metric.importance(xp, target)
            self.weighs = any(decision is not None for decision in decisions)

    def among(self, values: Labels) -> Interval:
        """Return the interval of the valid labels."""
        lengths: dict[str, int] = {}
        for name, core in self.cores(self.arrays).items():
            shape = self.arrays[name].shape
            lengths |= dict(zip(core, shape[len(shape) - len(core) :], strict=True))
        return values.among(lengths)

    def _labels(self, name: str, array: Array) -> tuple[Array, Array, Array | None]:
        """Return the given labels, valid labels, and the mask of invalid ones or None.

        A valid placeholder replaces each invalid label.
        """
        xp = self.xp
        if name in self.scores:
            labels = xp.argmax(array, axis=-1)
            return labels, labels, xp.any(xp.isnan(array), axis=-1)
        labels, highest = xp.astype(array, xp.counting), self.highest[name]
        if self.library.within(labels, highest):
            return labels, labels, None
        wrong = labels < 0
        if highest < math.inf:
            wrong = wrong | (labels > int(highest))
        return labels, xp.where(wrong, xp.zeros_like(labels), labels), wrong

    def _together(self, data: dict[str, Array], side: int) -> Any:
        """Return predictions (0) or targets (1), as a tuple if the metric takes a tuple."""
        named = self.metric.target_names if side else self.metric.prediction_names
        return tuple([data[name] for name in named]) if named else data[self.names[side][0]]


def members(metric: Any, what: str, names: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return the arrays of predictions or targets, by name."""
    if names == (what,):
        return {what: value}
    if not (isinstance(value, tuple) and len(value) == len(names)):
        kind = f"a tuple of {len(value)}" if isinstance(value, tuple) else type(value).__name__
        message = f"{what} must be a tuple ({', '.join(names)}), not {kind}"
        raise fail(metric, message, TypeError)
    return dict(zip(names, value, strict=True))


class Batch:
    """Samples ready for the computation, in its dtype.

    ``predictions`` and ``targets`` hold a number inside the domain wherever ``mask`` is False, so
    that excluded samples affect neither the value nor the gradient. ``axes`` are the reduced axes
    of ``shape``. ``wrong`` marks included samples whose label is invalid; a valid placeholder
    replaces the label. ``groups`` holds the group of each sample and the number of groups.
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


def _result_dtype(
    library: Library, votes: list[str], names: dict[str, str], has_float64: bool
) -> str:
    """Return the widest floating dtype among the arrays, at least float32."""
    floats = [name for name in votes if name in FLOATS]
    if not votes:  # numbers and lists only: the dtype that NumPy chose
        floats = [dtype for k, dtype in names.items() if k not in _OPTIONS and dtype in FLOATS]
    result = max(floats, key=_WIDTH.__getitem__) if floats else library.default_float()
    return result if has_float64 and _WIDTH[result] else "float32"


def namespace_for(library: Library, like: Array, *dtypes: Any) -> Namespace | None:
    """Return ``xp`` for arrays of one library; None if a dtype is not supported."""
    names = [dtype_name(dtype) for dtype in dtypes]
    if not all(name in FLOATS or name in INTEGERS for name in names):
        return None
    result = _result_dtype(library, names, {}, library.has_float64(like))
    return library.namespace(result, library.widens(like))


def check_devices(metric: Any, library: Library, arrays: dict[str, Array]) -> None:
    """Raise if arrays of one library are on different devices."""
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
) -> tuple[Shape, dict[str, Array], list[tuple[str, Callable[[Array], Array]]]]:
    """Check the shapes against the signature.

    Return the shape of the loss, the converted arrays, and the conversions by name.
    """
    arrays = dict(arrays)
    changes: list[tuple[str, Callable[[Array], Array]]] = []
    if event_axis is not None:
        if not any(cores.values()):
            message = (
                f"event_axis={event_axis} does not apply: every element is a sample of its own"
            )
            raise fail(metric, message)
        for name, core in cores.items():
            if core:
                change = partial(
                    _with_event_last, metric, xp, name, core=core, event_axis=event_axis
                )
                changes.append((name, change))
                arrays[name] = change(arrays[name])
    sizes: dict[str, Any] = {}
    loops: dict[str, Shape] = {}
    for name, core in cores.items():
        shape = arrays[name].shape
        if len(shape) < len(core):
            message = f"{have(name)} shape {tuple(shape)}: a last axis of {core[0]} is needed"
            raise fail(metric, message)
        lengths = dict(zip(core, shape[len(shape) - len(core) :], strict=True))
        for dimension, size in lengths.items():
            if size == 0:
                message = f"{have(name)} shape {tuple(shape)}: the axis of {dimension} is empty"
                raise fail(metric, message)
            if metric.sizes.get(dimension, size) != size:
                expected = metric.sizes[dimension]
                message = f"the axis of {dimension} has length {size}; the metric has {expected}"
                raise fail(metric, message)
            if not agree((sizes.setdefault(dimension, size),), (size,)):
                raise fail(metric, mistakes.shapes(metric, arrays, cores))
        loops[name] = tuple(shape[: len(shape) - len(core)])
    if not any(cores.values()):  # only numbers and 0-d arrays broadcast
        whole = next((loop for loop in loops.values() if loop), ())
        for name, loop in loops.items():
            if loop == () != whole:
                change = partial(xp.broadcast_to, shape=whole)
                changes.append((name, change))
                arrays[name], loops[name] = change(arrays[name]), whole
    loop, *others = loops.values()
    if not all(agree(loop, other) for other in others):
        raise fail(metric, mistakes.shapes(metric, arrays, cores))
    return loop, arrays, changes


def _with_event_last(
    metric: Any,
    xp: Namespace,
    name: str,
    array: Array,
    core: tuple[str, ...],
    event_axis: int | Shape,
) -> Array:
    """Move the event axes last; several axes are flattened if the metric expects one."""
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
    other_axes = tuple(axis for axis in range(ndim) if axis not in axes)
    array = xp.permute_dims(array, (*other_axes, *axes))
    return xp.reshape(array, (*array.shape[: len(other_axes)], -1)) if len(core) == 1 else array


def agree(shape: Sequence[Any], other: Sequence[Any]) -> bool:
    """Compare shapes; a nan is a size that Dask does not know yet."""
    return len(shape) == len(other) and all(
        a == b or a != a or b != b for a, b in zip(shape, other, strict=True)
    )


def _normalised(metric: Any, axis: int | Shape | None, ndim: int) -> Shape:
    """Return the reduced axes as sorted non-negative numbers; None means all axes."""
    if axis is None:
        return tuple(range(ndim))
    try:
        axes = tuple(map(index, axis)) if isinstance(axis, (tuple, list)) else (index(axis),)
    except TypeError:
        message = f"axis={axis!r} must be None, an integer or a tuple of integers"
        raise fail(metric, message, TypeError) from None
    if any(not -ndim <= number < ndim for number in axes):
        raise fail(metric, f"axis={axis} is out of range for a loss with {ndim} axes")
    reduced = tuple(sorted(number % ndim for number in axes))
    if len(set(reduced)) < len(reduced):
        raise fail(metric, f"axis={axis} names an axis twice")
    return reduced


def _broadcast(metric: Any, xp: Namespace, name: str, array: Array, shape: Shape) -> Array:
    """Broadcast weights or a mask to the shape of the loss; raise if they do not fit."""
    given_shape = tuple(array.shape)
    padded = (1,) * (len(shape) - len(given_shape)) + given_shape
    if len(given_shape) > len(shape) or not all(
        n == 1 or agree((n,), (m,)) for n, m in zip(padded, shape, strict=True)
    ):
        raise _misfit(metric, name, given_shape, shape)
    return xp.broadcast_to(array, shape)


def _misfit(metric: Any, name: str, given_shape: Shape, shape: Shape) -> Exception:
    message = (
        f"{name} have shape {given_shape}, which does not broadcast to the loss's shape {shape}"
    )
    if len(given_shape) < len(shape) and given_shape == shape[: len(given_shape)]:
        index = ", ".join([":"] * len(given_shape) + ["None"] * (len(shape) - len(given_shape)))
        message += f"; add axes with {name}[{index}]"
    return fail(metric, message)


def _and(mask: Array | None, other: Array | None) -> Array | None:
    """Combine two masks; None means True everywhere."""
    if mask is None or other is None:
        return other if mask is None else mask
    return mask & other


def _filled(xp: Namespace, array: Array, mask: Array, inside: float) -> Array:
    for _ in range(array.ndim - mask.ndim):
        mask = xp.expand_dims(mask, axis=-1)
    return xp.where(mask, array, inside)
