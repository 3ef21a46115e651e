"""What comes in: one namespace, one device, one shape, one dtype, and which samples count."""

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


# --- from whatever was passed to arrays of one library --------------------------------------------


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.generic))


def as_array(subject: Any, name: str, value: Any) -> Array:
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
    """Refuse lists of arrays of a library that NumPy would take out of it, or fail to."""
    first = value
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    library = None if first is value else library_of(first)
    if library is not None and not library.immediate:
        made = f"{library.raw.__name__.removeprefix('array_api_compat.')}.stack({name})"
        message = f"{have(name)} the type {type(value).__name__}, of {library.name} arrays"
        raise fail(subject, f"{message}; make one array of it, {made}", TypeError)


def check_dtype(subject: Any, name: str, array: Array) -> str:
    """Return the name of a dtype, or say what to do instead."""
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
    """Return the one library of the arrays, or the one that takes in all others."""
    found: dict[str, Any] = {name: library_of(array) for name, array in named.items()}
    libraries: list[Library] = list(found.values())
    for library in libraries:
        if all(other is library or library.absorbs(other) for other in libraries):
            return library
    # keep what most of them are, what yields last; change the first that does not go with it
    keep = max(libraries, key=lambda one: (libraries.count(one), not one.yields))
    kept = next(name for name, one in found.items() if one is keep)
    change = next(n for n, one in found.items() if one is not keep and not keep.absorbs(one))
    message = f"{kept}: a {keep.name} array, {change}: a {found[change].name} array"
    raise fail(
        subject, f"{message}; convert one, e.g. {change} = {keep.conversion(change)}", TypeError
    )


def floating_like(subject: Any, name: str, value: Any, beside: Any) -> tuple[Library, Array]:
    """Return a value as a floating array of the library that it and what stands beside it share.

    Numbers and lists take the dtype of the array beside them too, integers the default float.
    """
    array, other = as_array(subject, name, value), as_array(subject, "targets", beside)
    dtype, dtype_beside = check_dtype(subject, name, array), dtype_name(other.dtype)
    real = [a for a, given in ((array, value), (other, beside)) if a is given] or [array]
    library = one_library(subject, dict(zip((name, "targets"), real, strict=False)))
    like = real[0] if library_of(real[0]) is library else real[-1]
    has_float64 = library.has_float64(like)
    if array is not value and other is beside:
        dtype = dtype_beside
    if dtype not in FLOATS:
        dtype = library.default_float()
    if _WIDTH[dtype] and not has_float64:
        dtype = "float32"
    if library_of(array) is not library:
        array = library.convert(array, "float64" if has_float64 else "float32", like)
    if dtype_name(array.dtype) != dtype:
        array = library.raw.astype(array, getattr(library.raw, dtype, other.dtype))
    return library, array


class Inputs:
    """The arguments of one call, checked: of one library, on one device, of shapes that agree.

    Nothing is converted and nothing of the size of the data is made: that is `batch`.
    """

    __slots__ = (
        "arrays", "axes", "changes", "data", "highest", "intervals", "library", "metric", "names",
        "number", "scores", "shape", "weighs", "xp",
    )  # fmt: skip
    arrays: dict[str, Array]
    axes: Shape  # the reduced ones of `shape`
    changes: list[tuple[str, Callable[[Array], Array]]]  # what was done to arrays as they came
    data: tuple[str, ...]  # the names of the arrays of predictions and targets
    intervals: tuple[tuple[str, Any], ...]  # where the numbers of each of these lie
    highest: dict[str, float]  # the last label of each array of labels
    library: Library
    scores: set[str]  # the arrays of scores in the place of labels
    shape: Shape  # that of the loss
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
        given = {
            **members(metric, "predictions", self.names[0], predictions),
            **members(metric, "targets", self.names[1], targets),
        }
        data = self.data
        optional = (("weights", weights), ("where", where), ("groups", groups))
        given |= {name: array for name, array in optional if array is not None}
        arrays = {name: as_array(metric, name, value) for name, value in given.items()}
        names = {name: check_dtype(metric, name, array) for name, array in arrays.items()}
        # Only what came as an array decides: numbers and lists follow the arrays beside them.
        real = {k: v for k, v in arrays.items() if v is given[k] and k != "groups"} or arrays
        library = self.library = one_library(metric, real)
        like = next(v for v in real.values() if library_of(v) is library)
        check_devices(metric, library, real)
        if metric.kind == "sorted whole" and not library.sorts:
            message = f"it sorts all samples, which {library.name} does not; compute them first"
            names_real = ", ".join(f"{name}.compute()" for name in real)
            raise fail(metric, f"{message}: {names_real}", TypeError)
        has_float64 = library.has_float64(like)
        labels = {name for name, values in self.intervals if isinstance(values, Labels)}
        either = {name for name, values in self.intervals if getattr(values, "scores", False)}
        labels |= {"groups"} & arrays.keys()
        for name in labels - either:
            if names[name] in FLOATS:
                message = f"{have(name)} dtype {names[name]}: labels must be integers"
                fix = mistakes.label_dtype(metric, name, arrays)
                raise fail(metric, f"{message}; {fix}", TypeError)
        votes = [names[k] for k in data if k in real]
        result = _result_dtype(library, votes, names, has_float64)
        # float32 does not hold every integer
        counts = any(names[k] in INTEGERS and names[k] != "bool" for k in data if k not in labels)
        wide = library.widens(like) or (has_float64 and counts)
        xp = self.xp = library.namespace(result, wide)
        for name, array in arrays.items():
            if library_of(array) is not library and (name != "where" or names[name] == "bool"):
                near = xp.result_name if names[name] in FLOATS or not has_float64 else "float64"
                if name in labels and names[name] not in FLOATS:
                    near = "int64" if has_float64 else "int32"
                near = "bool" if name == "where" else near
                arrays[name] = library.convert(array, near, like)
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
        """Return inputs that were checked before, but for sizes that were not known then."""
        self = cls.__new__(cls)
        self._declare(metric, number)
        self.axes = axes
        library = library_of(arrays[self.names[1][0]])
        assert library is not None
        self.library, self.xp = library, library.namespace(result, wide)
        cores = self.cores(arrays)
        self.shape, self.arrays, self.changes = _matching(metric, self.xp, arrays, cores, None)
        for name in _OPTIONS:
            own = arrays[name].shape if name in arrays else self._shape_of(name)
            if not agree(own, self._shape_of(name)):
                raise _misfit(metric, name, tuple(own), self._shape_of(name))
        self._find_labels()
        return self

    def _declare(self, metric: Any, number: int | None) -> None:
        """Note what the metric says of its arrays."""
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
        """Note how many labels there are."""
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
        """Return the shape of weights, groups or a mask: that of the loss, or of its items."""
        items = self.metric.padding is not None and name == "where"
        return tuple(self.arrays[self.data[0]].shape) if items else self.shape

    @property
    def unweighted(self) -> bool:
        """Whether all samples count, and count alike."""
        return len(self.arrays) == len(self.data) and not self.weighs

    def cores(self, arrays: dict[str, Array]) -> dict[str, tuple[str, ...]]:
        """Return the core dimensions of each array; labels in the place of scores have none."""
        parts: tuple[tuple[str, ...], ...] = sum(self.metric.parts, ())
        cores = dict(zip(self.data, parts, strict=True))
        for name, values in self.intervals:
            if getattr(values, "scores", False) and dtype_name(arrays[name].dtype) not in FLOATS:
                cores[name] = ()
        return cores

    def batch(self, index: tuple[Any, ...] = (), filled: int = 2) -> Batch:
        """Convert the samples, or those at an index of the loss's shape, for the computation.

        Excluded samples are replaced in predictions and targets (``filled=2``), in targets only
        (1), or not at all (0): then the caller masks the results.
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
                raw[name], data[name], bad = self._labels(name, arrays[name])
                if bad is None:
                    continue
                core = tuple(range(len(self.shape), bad.ndim))
                bad = xp.any(bad, axis=core) if core else bad
                wrong = bad if wrong is None else wrong | bad
        mask, weights = arrays.get("where"), arrays.get("weights")
        if weights is not None and weights.dtype != xp.computing:
            weights = library.cast(xp, weights)
        if metric.padding is not None and mask is not None:
            for name, fill in zip(self.data, metric.padding, strict=True):
                data[name] = xp.where(mask, data[name], fill)
            mask = xp.any(mask, axis=-1)
        others = mask is not None or self.weighs or "groups" in arrays
        if weights is not None:
            mask = _and(mask, weights != 0)
        if self.weighs:
            mask = _and(mask, metric.included(xp, self._together(raw, 1)))
        groups = arrays.get("groups")
        if groups is not None:
            groups = xp.astype(groups, xp.counting)
            known = (groups >= 0) & (groups < self.number)
            mask = _and(mask, known)
            groups = xp.where(known, groups, xp.zeros_like(groups))
        if mask is not None and library.immediate and mask.all():
            mask = None
        names = (*self.names[1], *self.names[0])[: (0, len(self.names[1]), len(self.data))[filled]]
        # what nothing but its weight excludes has a weight of 0 already
        if mask is not None:
            excluded = self._exclude(data, weights if others else None, mask, names)
            weights = excluded if others else weights
        # only now: what is excluded may hold anything
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
        """Replace what the mask leaves out by what is inside; return the weights, 0 there."""
        xp = self.xp
        for name, values in self.intervals:
            if name in names:
                data[name] = _filled(xp, data[name], mask, values.inside)
        return None if weights is None else xp.where(mask, weights, xp.zeros_like(weights))

    def settle(self) -> None:
        """Ask the metric whether targets decide anything; that does not depend on their numbers."""
        if self.weighs and 0 not in self.shape:
            xp, first = self.xp, (0,) * len(self.shape)
            zeros = {name: xp.zeros_like(self.arrays[name][first]) for name in self.names[1]}
            target = self._together(zeros, 1)
            answers = self.metric.included(xp, target), self.metric.importance(xp, target)
            self.weighs = any(answer is not None for answer in answers)

    def among(self, values: Labels) -> Interval:
        """Return the interval of the labels there are."""
        lengths: dict[str, int] = {}
        for name, core in self.cores(self.arrays).items():
            shape = self.arrays[name].shape
            lengths |= dict(zip(core, shape[len(shape) - len(core) :], strict=True))
        return values.among(lengths)

    def _labels(self, name: str, array: Array) -> tuple[Array, Array, Array | None]:
        """Return labels as they came, labels that exist, and where the two differ if they do."""
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
        """Return predictions (0) or targets (1), as a tuple where the metric takes one."""
        named = self.metric.target_names if side else self.metric.prediction_names
        return tuple([data[name] for name in named]) if named else data[self.names[side][0]]


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


def _result_dtype(
    library: Library, votes: list[str], names: dict[str, str], has_float64: bool
) -> str:
    """Return the widest floating dtype among the arrays, at least float32."""
    floats = [name for name in votes if name in FLOATS]
    if not votes:  # a number against a list: NumPy's own choice
        floats = [dtype for k, dtype in names.items() if k not in _OPTIONS and dtype in FLOATS]
    result = max(floats, key=_WIDTH.__getitem__) if floats else library.default_float()
    return result if has_float64 and _WIDTH[result] else "float32"


def namespace_for(library: Library, like: Array, *dtypes: Any) -> Namespace | None:
    """Return ``xp`` for arrays of one library, beside ``like``; None if a dtype is refused."""
    names = [dtype_name(dtype) for dtype in dtypes]
    if not all(name in FLOATS or name in INTEGERS for name in names):
        return None
    result = _result_dtype(library, names, {}, library.has_float64(like))
    return library.namespace(result, library.widens(like))


def check_devices(metric: Any, library: Library, arrays: dict[str, Array]) -> None:
    """Refuse arrays of one library that live on several devices."""
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

    Return the shape of the loss, the arrays, and what was done to those as they came.
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
        own = dict(zip(core, shape[len(shape) - len(core) :], strict=True))
        for dimension, size in own.items():
            if size == 0:
                message = f"{have(name)} shape {tuple(shape)}: the axis of {dimension} is empty"
                raise fail(metric, message)
            if metric.sizes.get(dimension, size) != size:
                known = metric.sizes[dimension]
                message = f"the axis of {dimension} has length {size}; the metric has {known}"
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


def agree(one: Sequence[Any], two: Sequence[Any]) -> bool:
    """Compare shapes; a nan is a size that Dask does not know yet."""
    return len(one) == len(two) and all(
        a == b or a != a or b != b for a, b in zip(one, two, strict=True)
    )


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
    padded = (1,) * (len(shape) - len(own)) + own
    if len(own) > len(shape) or not all(
        n == 1 or agree((n,), (m,)) for n, m in zip(padded, shape, strict=True)
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
