"""NumPy: evaluation in blocks that fit the cache, and a fast path for small arrays.

Each block is converted, evaluated by the definition and summed before the next one is read. The
states of blocks merge as those of batches do. Temporary arrays do not grow with the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import copy_context
from functools import cache, cached_property, partial
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from .._core import primitives, special
from .._core.calls import Call, Options, Plan, Plans
from .._core.carrier import plain
from .._core.inputs import Batch, Inputs, namespace_for
from .._core.jets import Jet, JetLibrary
from .._core.library import Library
from .._core.metric import Metric
from .._core.passes import Arrays, InPlaceArrays, PassPlan
from .._core.plain import PlainLibrary
from .._core.states import (
    RANGE,
    SPARE,
    Mean,
    Moments,
    RootMeanSquare,
    Samples,
    Total,
    fold,
    is_elementwise,
    leafwise,
)
from .._core.threads import THREADS
from .._core.totals import Totals, totals_of
from .._core.types import Array, Namespace
from .._core.wrappers import Wrapper

# The bytes of a block and its temporaries. Larger blocks exceed the caches, smaller ones need more
# calls. Measured: 4 MiB is 10 % faster than 2 MiB; 1 MiB is 33 % slower.
CACHE = 1 << 22
TEMPORARIES = 4  # arrays of the size of a block that a typical definition holds at once
DIRECT = 1 << 15  # the largest number of samples for the fast path
PIECE = 1 << 13  # the longest dot product for which BLAS starts no threads
CHUNK = 256  # blocks that are submitted to threads at once
MIN_BLOCKS_FOR_THREADS = 8  # below this number of blocks, no threads are started
PENDING = 1 << 16  # numbers in the states that are merged at once
PILOT_SAMPLES = 1 << 9  # samples for a first estimate of the mean
MIN_TABLE_SIZE = 1 << 8  # up to this size, pairs are always counted by a table
MAX_NUMBERS_FOR_PAIRS = 1 << 12  # up to here, all pairs of a part are compared at once
MIN_NUMBERS_FOR_BITS = 1 << 11  # from here on, selecting by bits is faster than by branches
RARE_FRACTION = 1 / 16  # the fraction below which branch prediction is efficient

States = tuple[Any, ...]  # one state per metric
Box = tuple[slice, ...]  # a part of the shape of the loss


class NumPyLibrary(PlainLibrary):
    """NumPy, the library of lists and numbers too."""

    name = "NumPy"
    yields = True
    immediate = True
    multiplies_halves = False

    @cached_property
    def plans(self) -> Plans:
        """The cached plans of calls."""
        return Plans()

    def cast(self, xp: Namespace, array: Array) -> Array:
        """Convert an array to the dtype of the computation."""
        return array.astype(xp.computing, copy=False)

    def convert(self, array: np.ndarray, dtype: str, like: Array) -> Array:
        """Convert the dtype of a NumPy array."""
        return array.astype(dtype)

    def conversion(self, name: str) -> str:
        """Return the code that converts an array to NumPy."""
        return f"numpy.asarray({name})"

    def refuse(self, array: Array) -> str | None:
        """Return a remedy for masked arrays and matrices, which are not supported."""
        if isinstance(array, np.ma.MaskedArray):
            return "masked arrays are not taken: pass array.filled(0) and where=~array.mask"
        if isinstance(array, np.matrix):
            return "np.matrix is not taken (its * is a matrix product): pass np.asarray(matrix)"
        return None

    def overrides(self, result: str) -> dict[str, Any]:
        """Return faster functions; NumPy has no autodiff, so only values matter."""
        return {
            "stop_gradient": _same, "pick": _pick, "clip": _clamp, "sqrt": np.sqrt,
            "zeros_like": _zeros_like, "ones_like": _ones_like,
            "full_like": _full_like, "expand_dims": _expand_dims, "astype": _astype,
            "maximum": partial(_either, np.maximum), "minimum": partial(_either, np.minimum),
            "sum": _reduced(np.add.reduce), "max": _reduced(np.maximum.reduce),
            "min": _reduced(np.minimum.reduce), "any": _reduced(np.logical_or.reduce),
            "all": _reduced(np.logical_and.reduce),
            "where": partial(_where, result or "float64"), "log_ratio": _log_ratio,
            "relative_expm1": _relative_expm1, "log_cosh": _log_cosh,
            "take_along_axis": _take_along_axis,
            "bins": bincount, "bin_max": _bin_max_at, "rank": rank,
        }  # fmt: skip

    def primitives(self, xp: Namespace) -> dict[str, Any]:
        """Return the primitives over a namespace."""
        cross_entropy = partial(_label_cross_entropy, xp)
        return super().primitives(xp) | {"label_cross_entropy": cross_entropy}

    def _build(self, result: str, wide: bool) -> Namespace:
        xp: Any = super()._build(result, wide)
        xp.tweedie_deviance = partial(_tweedie_deviance, xp)
        namespace: Namespace = xp
        return namespace

    def value(self, metric: Metric, call: Call) -> Any:
        """Return the value of a call of a metric, by a plan for arrays of these kinds."""
        plan, named = self.plans.find(metric, call, _kinds, _Plan)
        return plan.value(named, call.denominator, call.empty)

    def within(self, labels: Array, highest: float) -> bool:
        """Whether labels are from 0 to the highest label."""
        return labels.size == 0 or bool(labels.min() >= 0 and labels.max() <= highest)

    def median(self, values: Array, weights: Array) -> Array | None:
        """Return the median of samples of equal weight, without sorting; else None."""
        if not (_all_ones(weights) or (weights.dtype.kind == "i" and np.all(weights == 1))):
            return None
        half, odd = divmod(values.shape[-1], 2)
        parts = np.partition(values, half, axis=-1)
        high = parts[..., half]
        low = high if odd else np.max(parts[..., :half], axis=-1)
        median: Array = (low + high) / 2
        return np.where(np.isnan(np.max(values, axis=-1)), values.dtype.type(math.nan), median)

    def places(self, x: Array, y: Array, weights: Array) -> tuple[Array, Array, Array] | None:
        """Return the ranks of x and y, ordered by y and then by x, for samples of equal weight."""
        if len(x) != 1 or not _all_ones(weights):
            return None
        digits = x.shape[-1].bit_length()
        both = (_place(y[0]) << digits) | _place(x[0])
        both.sort()  # sorting is faster than argsort
        return both[None] & ((1 << digits) - 1), both[None] >> digits, weights

    def balance(self, x: Array, y: Array, weights: Array) -> Array | None:
        """Return the number of concordant minus discordant pairs, from the result of `places`."""
        if len(x) != 1 or not _all_ones(weights):
            return None
        x, y = x[0], y[0]
        n, columns, rows = len(x), int(x.max()) + 1, int(y[-1]) + 1
        if columns * rows <= max(n, MIN_TABLE_SIZE):
            table = np.bincount(y * columns + x, minlength=columns * rows).reshape(rows, columns)
            before = np.cumsum(np.cumsum(table, axis=0), axis=1)
            until = before[:, -1:]
            # for each pair of y, samples of the higher y meet those of lower and of higher x
            balance = np.sum(table[1:, 1:] * before[:-1, :-1])
            balance -= np.sum(table[1:] * (until - before)[:-1])
            return np.array([float(balance)])
        ties = np.bincount(x), np.bincount(y)
        starts = np.flatnonzero((x[1:] != x[:-1]) | (y[1:] != y[:-1])) + 1
        joint_ties = np.diff(starts, prepend=0, append=n)  # numbers of samples equal in both
        twice_untied = (
            n * n - sum(int(np.dot(k, k)) for k in ties) + int(np.dot(joint_ties, joint_ties))
        )
        return np.array([twice_untied / 2 - 2 * _inversions(x)])

    def gathers(self, predictions: Array, targets: Array) -> list[Array]:
        """Return two NumPy arrays of numbers of one shape; an empty list for others."""
        fit = (
            type(predictions) is type(targets) is np.ndarray
            and predictions.shape == targets.shape
            and predictions.size > 0
            and self._of_dtypes(predictions, targets.dtype) is not None
        )
        return [predictions, targets] if fit else []

    def _of_dtypes(self, predictions: Array, dtype: Any) -> Namespace | None:
        key = predictions.dtype, dtype
        if key not in self.of_dtypes:
            self.of_dtypes[key] = namespace_for(self, predictions, *key)
        return self.of_dtypes[key]

    def statistics(self, metrics: Sequence[Metric], inputs: Inputs) -> States:
        """Return the states of several metrics that take the same inputs, in one pass."""
        blocks = _Blocks(metrics, inputs)
        if math.prod(inputs.shape) > blocks.size:
            try:
                return blocks.summarise(tuple(slice(0, n) for n in inputs.shape))
            except _WholeError:
                pass
        return blocks.evaluate(())

    def fold(self, states: Sequence[Any]) -> Any:
        """Merge the states of one metric."""
        return _fold(states)

    def terms(self, metric: Metric, inputs: Inputs) -> Array:
        """Return the weighted term of every sample, block by block for large inputs."""
        if math.prod(inputs.shape) <= block_size(inputs):
            return super().terms(metric, inputs)
        result = np.empty(inputs.shape, inputs.xp.result)
        for box in _all_boxes(inputs):
            batch = inputs.batch(box)
            terms = metric.terms(batch.xp, batch.predictions, batch.targets)
            result[box] = _NumPyTotals(batch).weighted(terms)
        return result

    def differentiated(
        self,
        function: Callable[..., Array],
        metric: Any,
        predictions: Any,
        targets: Any,
        options: dict[str, Any],
    ) -> tuple[Any, Any] | None:
        """Return value and gradient in blocks, for elementwise losses; else None."""
        if not _in_blocks(metric, predictions, targets, options):
            return None
        denominator = options.get("denominator")
        empty = options.get("empty", math.nan)
        inputs = Inputs(metric, predictions, targets, options.get("weights"), options.get("where"))
        with inputs.xp.quiet():
            state, slope = _value_and_slopes(metric, inputs, denominator, predictions.dtype)
        while isinstance(metric, Wrapper):  # the terms contain the factor already
            metric = metric.metric
        return metric.compute(state, denominator=denominator, empty=empty), slope

    def chunk_arrays(self, plan: PassPlan) -> Arrays:
        """Return the operations on the arrays of a chunk, in place."""
        return _ChunkArrays(plan)


LIBRARY = NumPyLibrary


# --- functions ------------------------------------------------------------------------------------


def _same(x: Array, /) -> Array:
    return x


def _clamp(x: Array, /, min: Any = None, max: Any = None) -> Array:  # noqa: A002
    """Clip; NumPy's ``clip`` takes five times as long for small arrays."""
    x = x if min is None else np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


def _zeros_like(x: Array, /, *, dtype: Any = None) -> Array:
    """Return zeros; NumPy's ``zeros_like`` takes five times as long for small arrays."""
    return np.zeros(x.shape, x.dtype if dtype is None else dtype)


def _ones_like(x: Array, /, *, dtype: Any = None) -> Array:
    ones = np.empty(x.shape, x.dtype if dtype is None else dtype)
    ones.fill(1)
    return ones


def _where(computing: str, condition: Any, x1: Any, x2: Any) -> Array:
    """Select elementwise, by bit operations where the condition is irregular.

    NumPy's ``where`` branches for each number and takes ten times as long if the branches are
    mispredicted. If all numbers come from one side, that side is returned.
    """
    if isinstance(condition, bool):
        return x1 if condition else x2
    if condition.size >= MIN_NUMBERS_FOR_BITS and condition.flags.c_contiguous:
        selected = _of_many(condition, x1, x2)
        if selected is not None:
            return selected
    if isinstance(x1, (int, float)) and isinstance(x2, (int, float)):
        x1 = _full_like(condition, x1, dtype=computing)
    return np.where(condition, x1, x2)


def _of_many(condition: Array, x1: Any, x2: Any) -> Array | None:
    """Select by bits, or return one side if it has all numbers; None for branches."""
    shape = condition.shape
    first, second = (type(x) is np.ndarray and x.shape == shape for x in (x1, x2))
    if not (first or second):
        return None
    like, other = (x1, x2) if first else (x2, x1)
    alike = other.dtype == like.dtype if first and second else type(other) in (int, float)
    if not (alike and like.dtype.kind == "f" and like.flags.c_contiguous):
        return None
    count, size = np.count_nonzero(condition), condition.size
    if count == size and first:
        return x1
    if count == 0 and second:
        return x2
    usual = RARE_FRACTION * size < count < (1 - RARE_FRACTION) * size
    return _by_bits(condition, x1, x2, like) if usual and like.itemsize in _BITS else None


_BITS: dict[int, Any] = {2: np.int16, 4: np.int32, 8: np.int64}


def _by_bits(condition: Array, x1: Any, x2: Any, like: Array) -> Array:
    """Select as ``x2 ^ ((x1 ^ x2) & mask)``; all bits of a mask entry are equal."""
    bits = _BITS[like.itemsize]
    mask = condition.view(np.int8).astype(bits)
    np.negative(mask, out=mask)
    bits1, bits2 = (np.asarray(x, like.dtype).view(bits) for x in (x1, x2))
    mask &= bits1 ^ bits2
    mask ^= bits2
    return mask.view(like.dtype)


def _full_like(x: Array, value: Any, /, *, dtype: Any = None) -> Array:
    full = np.empty(x.shape, x.dtype if dtype is None else dtype)
    full.fill(value)
    return full


def _expand_dims(x: Array, /, *, axis: int) -> Array:
    """Add an axis; NumPy's ``expand_dims`` takes ten times as long."""
    if axis == -1:
        return x[..., None]
    return x[None] if axis == 0 else np.expand_dims(x, axis)


def _reduced(reduce: Callable[..., Array]) -> Callable[..., Array]:
    """Return a reduction without NumPy's dispatch to other libraries."""

    def call(x: Array, /, *, axis: Any = None, keepdims: bool = False, **named: Any) -> Array:
        return reduce(x, axis=axis, keepdims=keepdims, **named)

    return call


def _either(function: Callable[..., Array], x1: Any, x2: Any, /) -> Array:
    """Return the larger or smaller of arrays and Python numbers, which do not promote."""
    return function(x2, x1) if isinstance(x1, (int, float)) else function(x1, x2)


def _astype(x: Array, dtype: Any, /, *, copy: bool = True) -> Array:
    return x.astype(dtype, copy=copy)


def _take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    """Take by index; NumPy's ``take_along_axis`` takes five times as long for a small row."""
    if axis == -1 and x.ndim == indices.ndim == 2:
        if len(x) == len(indices) == 1:
            return x[:, indices[0]]
        if len(x) == len(indices):
            return x[np.arange(len(x))[:, None], indices]
    return np.take_along_axis(x, indices, axis=axis)


def _label_cross_entropy(xp: Namespace, x: Array, labels: Array) -> Array:
    """``-log(softmax(x))`` at the label, in one pass if the rows are finite."""
    highest = np.maximum.reduce(x, axis=-1, keepdims=True)
    shares = np.exp(x - highest)
    top = shares == 1
    number = np.add.reduce(top, axis=-1)
    shares[top] = 0
    remainder = np.add.reduce(shares, axis=-1) + (number - 1)
    value = (highest[..., 0] - _pick(x, labels)) + np.log1p(remainder)
    if np.isfinite(np.add.reduce(value, axis=None)):
        return value
    # a row must not depend on the values of other rows
    return np.where(np.isfinite(value), value, primitives.label_cross_entropy(xp, x, labels))


def _pick(x: Array, labels: Array, /) -> Array:
    """Return the number at the label of each row."""
    rows = x.reshape(-1, x.shape[-1])
    return rows[np.arange(len(rows)), labels.ravel()].reshape(labels.shape)


def _log_ratio(x: Array, y: Array, /) -> Array:
    """``log(x / y)``, from the log1p of ``|x - y| / min(x, y)`` with the sign of x - y.

    The argument of the logarithm is not negative, so that it is accurate.
    """
    difference = x - y
    excess = np.abs(difference)
    excess /= np.minimum(x, y)
    logarithm = np.copysign(np.log1p(excess), difference)
    if np.max(excess, initial=0.0) < math.inf:
        return logarithm
    # the quotient is out of range or undefined
    return np.where(excess < math.inf, logarithm, np.log(x) - np.log(y))


# (exp(x) - 1 - x) / x^2 for -1 <= x <= 1, in powers of x: interpolated at 14 Chebyshev points in 60
# digits, within 2e-17.
_EXP_REST = (
    0.5, 0.16666666666666666, 0.04166666666666609, 0.008333333333333299, 0.0013888888888981404,
    0.00019841269841324198, 2.4801587246096818e-05, 2.7557319191381816e-06,
    2.755733506893373e-07, 2.5052117695907823e-08, 2.0874435575864273e-09,
    1.6057679623801638e-10, 1.1639194124150522e-11, 7.746178593018827e-13,
)  # fmt: skip


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Evaluate a polynomial of an array by Horner's rule, in place."""
    value = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        value += coefficient
        value *= x
    value += coefficients[0]
    return value


def _relative_expm1(x: Array, /) -> Array:
    """``(exp(x) - 1) / x - 1``, with the short polynomial that suffices for the value."""
    size = np.abs(x)
    inside = np.max(size, initial=0.0) < 1
    near = x if inside else np.minimum(np.maximum(x, -1.0), 1.0)
    close = _polynomial(_EXP_REST, near)
    close *= near
    if inside:
        return close
    outside = np.copysign(np.maximum(size, 1.0), x)
    far = np.expm1(outside)
    far /= outside
    far -= 1
    return _where("float64", size < 1, close, far)


def _near_rest(x: Array) -> tuple[Array, Array]:
    """Return ``exp(x) - 1 - x`` for x between -1 and 1, and the mask of these x."""
    near = np.minimum(np.maximum(x, -1.0), 1.0)
    close = _polynomial(_EXP_REST, near)
    close *= near
    close *= near
    return close, near == x


def _log_cosh(x: Array, /) -> Array:
    """``log(cosh(x))`` as half of ``log(1 + sinh(x)^2)``, which is accurate near 0."""
    square = np.sinh(x)
    square *= square
    value = np.log1p(square, out=square if square.ndim else None)
    value *= 0.5
    if np.max(value, initial=0.0) < math.inf:
        return value
    return np.where(value < math.inf, value, np.abs(x) - math.log(2))


def _tweedie_deviance(xp: Namespace, p: Array, y: Array, power: Any, /) -> Array:
    """Return the unit deviance of any power.

    Some powers have a form without logarithms. The others use the formula that is explained in
    `special`; here each function is evaluated once.
    """
    if not isinstance(power, (int, float)) or power == 0:
        return special.tweedie_deviance(xp, p, y, power)
    if power == 1.5:
        root = np.sqrt(p)
        relative = (p - y) / (root + np.sqrt(y))
        return 4 * relative * (relative / root)
    if power == 3:
        relative = (p - y) / p
        return relative * (relative / y)
    if power == 2:
        log_ratio = _log_ratio(y, p)
        close, near = _near_rest(log_ratio)
        return 2 * _where("float64", near, close, (y - p) / p - log_ratio)
    sizes = [abs(c) for c in (1 - power, 2 - power)]
    if 4 * min(size for size in sizes if size) < sum(sizes):  # near a limit, but not at it
        return special.tweedie_deviance(xp, p, y, power)
    a, b = 1 - power, 2 - power
    above = y > 0
    z = _where("float64", above, y, p)
    if power == 1:
        log_ratio = _log_ratio(p, z)
        close, near = _near_rest(log_ratio)
        return 2 * _where("float64", near & above, close * z, (p - y) - y * log_ratio)
    start, end, log_ratio = z**b, p**b, _log_ratio(p, z)
    near = np.abs(log_ratio) < 2 / (abs(a) + abs(b))
    rel_a, rel_b = (_relative_expm1(c * log_ratio) if c else 0.0 for c in (a, b))
    close = start * log_ratio
    of_a = (end * (z / p) - start) / a if a else close
    of_b = (end - start) / b if b else close
    half = _where("float64", near, close * (rel_b - rel_a), of_b - of_a)
    if np.count_nonzero(above) < above.size:
        at_most_0 = end / (b or 1) - (end * y / p) / (a or 1)
        half = np.where(above, half, at_most_0)
    return 2 * half


def bincount(index: Array, weights: Array | None, size: int, /) -> Array:
    """Count, or sum the weights, by index, in one pass over all rows."""
    count = index.shape[0]
    if _all_ones(weights):
        weights = None
    if count > 1:
        index = index + size * np.arange(count)[:, None]
    if weights is not None and weights.dtype.itemsize > 8:  # NumPy's bincount uses float64
        wide = np.zeros(count * size, weights.dtype)
        np.add.at(wide, index.ravel(), weights.ravel())
        return wide.reshape(count, size)
    flat = None if weights is None else weights.ravel()
    sums = np.bincount(index.ravel(), flat, minlength=count * size).reshape(count, size)
    return sums if weights is None else sums.astype(weights.dtype, copy=False)


def _all_ones(weights: Array | None) -> bool:
    """Whether weights are a single 1, broadcast to all samples."""
    if weights is None or weights.dtype.kind != "i" or not weights.size or any(weights.strides):
        return False
    return bool(weights[(0,) * weights.ndim] == 1)


def _bin_max_at(index: Array, x: Array, size: int, /) -> Array:
    largest = np.zeros((x.shape[0], size), x.dtype)
    np.maximum.at(largest, (np.arange(x.shape[0])[:, None], index), x)
    return largest


def rank(x: Array, /) -> Array:
    """Rank, with a single sort if there are no ties."""
    order = np.argsort(x, axis=-1)
    ordered = np.take_along_axis(x, order, axis=-1)
    if np.any(ordered[..., 1:] == ordered[..., :-1]):
        first, last = (np.argsort(np.argsort(y, stable=True)) for y in (x, -x))
        return (first - last + (x.shape[-1] + 1)).astype(x.dtype) / 2
    ranks = np.empty_like(x)
    places = np.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    np.put_along_axis(ranks, order, np.broadcast_to(places, x.shape), axis=-1)
    return ranks


def _place(x: Array) -> Array:
    """Return the index of each number among the sorted distinct numbers."""
    order = np.argsort(x)
    ordered = x[order]
    place = np.empty(len(x), np.int64)
    place[order] = np.cumsum(np.concatenate(([False], ordered[1:] != ordered[:-1])))
    return place


def _inversions(x: Array) -> int:
    """Count the pairs in which the earlier rank is the larger.

    The ranks are split stably into a lower and a higher half, and each half again. A low rank moves
    past all higher ranks before it; these moves are counted. The last parts are short; all pairs in
    them are compared, in 8-bit integers.
    """
    n = len(x)
    digits = max(n - 1, 1).bit_length()
    order = (x << digits) | np.arange(n)  # ties are in order
    order.sort()
    order &= (1 << digits) - 1
    places = np.arange(1 << digits, dtype=np.int32)  # padded ranks are in order too
    places[order] = places[:n].copy()
    short = min(digits, 8 if n <= MAX_NUMBERS_FOR_PAIRS else 7)
    count = 0
    for digit in range(digits - 1, short - 1, -1):
        half = 1 << digit
        high = (places & half) != 0
        ups, downs = np.flatnonzero(high), np.flatnonzero(~high)
        count += int(downs.sum())
        parts = len(downs) // half
        places = np.stack([places[k].reshape(parts, half) for k in (downs, ups)], axis=1).ravel()
        # minus their positions if each part were sorted
        count -= half * (half - 1) // 2 * parts + half * (2 * half) * (parts * (parts - 1) // 2)
    rows = (places & ((1 << short) - 1)).astype(np.uint8).reshape(-1, 1 << short)
    if n <= MAX_NUMBERS_FOR_PAIRS:
        pairs = rows[:, :, None] > rows[:, None, :]
        pairs &= _later(1 << short)
        return count + int(np.count_nonzero(pairs))
    columns = np.ascontiguousarray(rows.T)
    steps = range(1, 1 << short)
    return count + sum(int(np.count_nonzero(columns[:-k] > columns[k:])) for k in steps)


@cache
def _later(size: int) -> Array:
    """Return a mask of the pairs of positions whose second is not the earlier."""
    return np.triu(np.ones((size, size), bool))


# --- a call ---------------------------------------------------------------------------------------


def _kinds(arrays: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Return dtypes and shapes, on which a plan depends; None for subclasses of arrays."""
    kinds: list[Any] = []
    for x in arrays:
        if x is None:
            kinds.append(None)
        elif type(x) is np.ndarray:
            kinds.append((x.dtype, x.shape))
        else:
            return None
    return tuple(kinds)


class _Plan(Plan):
    """A plan that evaluates inputs that fit the cache at once."""

    def __init__(self, metric: Metric, inputs: Inputs, options: Options) -> None:
        super().__init__(metric, inputs, options)
        size = math.prod(inputs.shape)
        fits = type(inputs.library) is NumPyLibrary and size <= block_size(inputs)
        self.whole = fits and options.reduction != "none"
        # whether the inputs are two arrays of numbers without a mask
        self.pair = (
            inputs.arrays.keys() <= {"predictions", "targets", "weights"}
            and not inputs.weighs
            and not inputs.highest
        )
        # a mean is first computed as the ratio of two sums, which are then checked
        self.short = self.whole and metric.averages and 0 < size <= DIRECT and not options.divided

    def value(self, arrays: dict[str, Array], denominator: Any, empty: Any) -> Any:
        """Return the value of the metric for arrays by name."""
        if not self.whole:
            return super().value(arrays, denominator, empty)
        metric, batch = self.metric, self._batch(arrays)
        xp, p, t, sums = batch.xp, batch.predictions, batch.targets, self.options.reduction == "sum"
        value: Any = None
        with xp.quiet():
            if self.short and type(empty) is float:
                try:
                    state = metric.statistics(xp, p, t, _ShortTotals(batch))
                    value = metric.sum(state) if sums else metric.formula(xp, state)
                except _OutOfRangeError:
                    pass
            if value is None:
                state = metric.statistics(xp, p, t, _NumPyTotals(batch))
                value = metric.sum(state) if sums else metric.value(xp, state, denominator, empty)
            for axis in self.kept_axes:
                value = np.expand_dims(value, axis)
            if isinstance(value, np.floating):
                return xp.result(value)
            return value.astype(xp.result, copy=False)[()]

    def _batch(self, arrays: dict[str, Array]) -> Batch:
        """Return the batch; directly if the inputs are numbers and all samples count."""
        inputs = self.inputs
        weights: Any = arrays.get("weights")
        if not self.pair or (weights is not None and not weights.all()):
            return inputs.with_arrays(arrays).batch()
        dtype = inputs.xp.computing
        numbers = [x.astype(dtype, copy=False) for x in arrays.values()]
        p, t, *others = numbers
        weights = others[0] if others else None
        return Batch(self.metric, inputs.xp, p, t, weights, None, inputs.shape, inputs.axes)


class _OutOfRangeError(ArithmeticError):
    """A sum is not finite or out of range, so that the general evaluation is needed."""


class _Quotient(NamedTuple):
    """A computed mean, used instead of a state."""

    value: Any
    total: Total

    def mean(self) -> Any:
        return self.value


class _NumPyTotals(Totals):
    """Sums that inspect their value, which is possible only for concrete arrays."""

    __slots__ = ()

    def __call__(self, terms: Array) -> Total:
        xp = self.xp
        weighted = self.weighted(terms)
        value = self._sum(weighted)
        if xp.wide:
            return Total(value, self._zero(value))
        scale = SPARE[xp.computing_name]
        finite = np.isfinite(value).all()
        spare = value * scale if finite else self._sum(weighted * scale)
        return Total(value, self._zero(value), spare)

    def _zero(self, like: Array) -> Array:
        return np.zeros(like.shape, self.xp.result) if like.shape else self.xp.result(0)

    def _weight(self, like: Array) -> Total:
        inputs, xp = self._inputs, self.xp
        if inputs.weights is not None:
            value = self._sum(inputs.weights)
        elif inputs.mask is not None:
            value = xp.computing(np.count_nonzero(inputs.mask, axis=self._axes))[()]
        else:
            count = math.prod(inputs.shape[axis] for axis in self._axes)
            value = np.full(like.shape, count, xp.computing) if like.shape else xp.computing(count)
        return Total(value, self._zero(value))

    def mean_square(self, residual: Array) -> Mean:
        """Summarise residuals by the mean of their squares, by BLAS without an array of squares."""
        if not (self.xp.wide and residual.flags.c_contiguous and len(self._axes) == residual.ndim):
            return super().mean_square(residual)
        weighted = self.weighted(residual)
        if self._inputs.weights is None:
            value = _dot(weighted.ravel(), weighted.ravel())
        else:
            value = _dot(weighted.ravel(), residual.ravel())
        total = Total(value, self._zero(value))
        return Mean(total, self._weight(value))

    def root_mean_square(self, residual: Array) -> RootMeanSquare:
        """Summarise residuals by their root mean square, in one bin if squares are in range."""
        xp = self.xp
        if xp.wide or not (residual.flags.c_contiguous and len(self._axes) == residual.ndim):
            return super().root_mean_square(residual)
        weighted = self.weighted(residual).ravel()
        unweighted = self._inputs.weights is None
        value = _dot(weighted, weighted if unweighted else residual.ravel())
        bound, scale = RANGE[xp.computing_name]
        if not scale < value < bound * bound:
            return super().root_mean_square(residual)
        zero = self._zero(value)
        empty = Total(xp.computing(0), zero, xp.computing(0))
        medium = Total(value, zero, value * SPARE[xp.computing_name])
        return RootMeanSquare(empty, medium, empty, self._weight(value))

    def moments(self, a: Array, b: Array, *, one_unit: bool = True) -> Moments:
        """Summarise two variables in float64 without scaling, if their squares are in range."""
        inputs, xp = self._inputs, self.xp
        flat = a.flags.c_contiguous and b.flags.c_contiguous and len(self._axes) == a.ndim
        direct = flat and a.size and inputs.mask is None and inputs.weights is None
        if not (direct and xp.computing is np.float64):
            return super().moments(a, b, one_unit=one_unit)
        mean_a, rest_a, u = _centred(self.mark_invalid(a).ravel())
        mean_b, rest_b, v = _centred(self.mark_invalid(b).ravel())
        pairs = ((u, u, rest_a, rest_a), (u, v, rest_a, rest_b), (v, v, rest_b, rest_b))
        aa, ab, bb = (_dot(x, y) - a.size * of_x * of_y for x, y, of_x, of_y in pairs)
        if not (_in_range(mean_a.value, aa, u) and _in_range(mean_b.value, bb, v)):
            return super().moments(a, b, one_unit=one_unit)
        zero, scale = self._zero(aa), xp.computing(1)
        squares = [Total(x, zero) for x in (aa, ab, bb)]
        weight = self._weight(scale)
        return Moments(mean_a, mean_b, squares[0], squares[1], squares[2], scale, scale, weight)

    def samples(self, *variables: Array) -> Samples:
        """Return the variables; equal weights take no memory."""
        inputs = self._inputs
        if not (inputs.weights is inputs.mask is None) or self.xp.counting is not np.int64:
            return super().samples(*variables)
        columns = [self._along(x) for x in (self.mark_invalid(variables[0]), *variables[1:])]
        values = columns[0] if len(columns) == 1 else np.stack(columns, axis=-2)
        like = np.zeros(columns[0].shape[:-1], values.dtype)[()]
        shape = columns[0].shape
        weights = np.ndarray(shape, np.int64, _ONE, strides=(0,) * len(shape))
        return Samples(values, weights, self._weight(like))

    def _sum(self, terms: Array) -> Array:
        if self.xp.wide or (len(self._axes) == terms.ndim and terms.flags.c_contiguous):
            return np.add.reduce(terms, axis=self._axes)
        kept_axes = [axis for axis in range(terms.ndim) if axis not in self._axes]
        rows = terms.transpose(*kept_axes, *self._axes)
        rows = rows.reshape(*rows.shape[: len(kept_axes)], -1)
        # NumPy sums pairwise only along a contiguous axis
        return np.add.reduce(np.ascontiguousarray(rows), axis=-1)


_ONE = np.int64(1).tobytes()  # read-only, because all weights share it


def _centred(x: Array) -> tuple[Total, Array, Array]:
    """Return the mean, the mean of the deviations from a pivot, and these deviations.

    The pivot is the sample nearest to the mean of a subset. Then the mean of a constant is exact,
    and data that differ by a constant have the same deviations. The pivot need not be the mean:
    the correction of the squares must only be small.
    """
    subset = x[:: max(1, x.size // PILOT_SAMPLES)]
    pivot = subset[np.argmin(np.abs(subset - np.add.reduce(subset) / subset.size))]
    deviations = x - pivot
    offset = np.add.reduce(deviations) / x.size
    mean = pivot + offset
    remainder = offset
    if x.size <= DIRECT or x.size * offset * offset > _dot(deviations, deviations) / 16:
        deviations -= offset
        remainder = np.add.reduce(deviations) / x.size
    return (
        Total(mean, (offset - (mean - pivot)) + (remainder if remainder is not offset else 0)),
        remainder,
        deviations,
    )


def _in_range(mean: Any, square: Any, deviations: Array) -> bool:
    """Whether the squares of a mean and of deviations are well inside the range of float64."""
    bound, size = RANGE["float64"][0], abs(mean)
    if not size < bound:
        return False
    # for constant data, the mean determines the scale of states to merge with
    return bool(1 / bound < square < bound) or (bool(1 / bound < size) and not np.any(deviations))


def _dot(x: Array, y: Array) -> Array:
    """Sum products in float64, in pieces too short for BLAS to start threads."""
    if len(x) <= PIECE:
        return np.dot(x, y)
    whole = len(x) - len(x) % PIECE
    parts = np.vecdot(x[:whole].reshape(-1, PIECE), y[:whole].reshape(-1, PIECE))
    return np.float64(np.add.reduce(parts) + np.dot(x[whole:], y[whole:]))


class _ShortTotals(_NumPyTotals):
    """Means of small arrays; raises `_OutOfRangeError` if the base class is needed."""

    __slots__ = ()

    def mean(self, terms: Array) -> Any:
        """Summarise terms by their mean."""
        inputs = self._inputs
        if inputs.mask is inputs.wrong is None and terms.shape == inputs.shape:
            terms = terms if inputs.weights is None else terms * inputs.weights
        else:
            terms = self.weighted(terms)
        return self._mean(self._sum(terms))

    def _mean(self, value: Any) -> Any:
        inputs, axes = self._inputs, self._axes
        weight: Any
        if inputs.weights is not None:
            weight = self._sum(inputs.weights)
        elif inputs.mask is not None:
            weight = np.add.reduce(inputs.mask, axis=axes, dtype=np.float64)
        else:
            weight = math.prod([inputs.shape[axis] for axis in axes])
        scalar = isinstance(value, np.floating)
        finite = math.isfinite(value) if scalar else np.add.reduce(abs(value), axis=None) < math.inf
        if not (finite and (inputs.weights is inputs.mask or np.minimum.reduce(weight, None) > 0)):
            raise _OutOfRangeError
        return _Quotient(value / weight, Total(value, 0.0))

    def mean_square(self, residual: Array) -> Any:
        """Summarise residuals by the mean of their squares."""
        if self.xp.wide and residual.flags.c_contiguous and len(self._axes) == residual.ndim:
            flat = self.weighted(residual).ravel()
            return self._mean(_dot(flat, residual.ravel()))
        return self.mean(residual * residual)

    def root_mean_square(self, residual: Array) -> Any:
        """Summarise residuals by their mean square, whose root is accurate in this range."""
        mean = self.mean_square(residual)
        bound, scale = RANGE[self.xp.computing_name]
        value = mean.total.value
        lowest, highest = np.minimum.reduce(value, None), np.maximum.reduce(value, None)
        if not scale < lowest <= highest < bound * bound:
            raise _OutOfRangeError  # some squares may be out of range
        return mean


# --- blocks ---------------------------------------------------------------------------------------


class _WholeError(TypeError):
    """A state does not merge elementwise, and needs all samples at once."""


class _Blocks:
    """One pass over inputs too large for the cache."""

    def __init__(self, metrics: Sequence[Metric], inputs: Inputs) -> None:
        self.metrics, self.inputs = metrics, inputs
        self.size = block_size(inputs)
        strides = [inputs.arrays[name].strides for name in inputs.data]
        far = [max(abs(s[axis]) for s in strides) for axis in range(len(inputs.shape))]
        self.outermost_first = sorted(range(len(far)), key=far.__getitem__, reverse=True)

    def evaluate(self, box: Box | tuple[()]) -> States:
        """Return the states of one block."""
        batch = self.inputs.batch(box)
        xp, p, t = batch.xp, batch.predictions, batch.targets
        totals = totals_of(batch, _NumPyTotals)
        states = tuple(metric.statistics(xp, p, t, totals) for metric in self.metrics)
        if box and not all(map(is_elementwise, states)):
            raise _WholeError
        return states

    def summarise(self, box: Box) -> States:
        """Return the states of a box: of a block, or of smaller boxes, joined or merged."""
        if _volume(box) <= self.size:
            return self.evaluate(box)
        reduced, axis = self.inputs.axes, self._next(box)
        if axis in reduced:
            return _merged(_mapped(self.summarise, self._along_reduced(box)))
        place = sum(other not in reduced for other in range(axis))
        parts = [self.summarise(part) for part in self._cut(box, axis)]
        return tuple(_joined(column, place) for column in zip(*parts, strict=True))

    def _along_reduced(self, box: Box) -> Iterator[Box]:
        """Split along reduced axes, as long as they are the outermost ones."""
        axis = self._next(box)
        if _volume(box) <= self.size or axis not in self.inputs.axes:
            yield box
        else:
            for part in self._cut(box, axis):
                yield from self._along_reduced(part)

    def _next(self, box: Box) -> int:
        """Return the axis to split: the outermost, but first those of a large result."""
        axes = [axis for axis in self.outermost_first if box[axis].stop - box[axis].start > 1]
        kept_axes = [axis for axis in axes if axis not in self.inputs.axes]
        if kept_axes and _volume([box[axis] for axis in kept_axes]) > self.size // 8:
            return kept_axes[0]
        return axes[0] if axes else 0

    def _cut(self, box: Box, axis: int) -> Iterator[Box]:
        """Split an axis into equal parts, as large as a block allows."""
        start, stop = box[axis].start, box[axis].stop
        step = max(1, self.size * (stop - start) // _volume(box))
        step = -(-(stop - start) // -(-(stop - start) // step))
        for first in range(start, stop, step):
            yield (*box[:axis], slice(first, min(first + step, stop)), *box[axis + 1 :])


def block_size(inputs: Inputs) -> int:
    """Return the number of samples that fit the cache, including temporaries."""
    item = np.dtype(inputs.xp.computing).itemsize
    arrays = inputs.arrays
    core = max(math.prod(arrays[k].shape[len(inputs.shape) :]) for k in inputs.data)
    return max(1, CACHE // int(item * core * (len(arrays) + TEMPORARIES)))


def _volume(box: Sequence[slice]) -> int:
    return int(math.prod(side.stop - side.start for side in box))


# --- threads --------------------------------------------------------------------------------------


def _mapped(function: Callable[[Box], States], boxes: Iterator[Box]) -> Iterator[States]:
    """Evaluate boxes in order, on the requested number of threads."""
    number, first = THREADS.get(), list(islice(boxes, MIN_BLOCKS_FOR_THREADS))
    if number == 1 or len(first) < MIN_BLOCKS_FOR_THREADS:
        yield from map(function, chain(first, boxes))
        return
    from concurrent.futures import ThreadPoolExecutor  # a fifth of the time to import isoloss

    # threads inherit the caller's errstate, and start no further threads
    contexts = [copy_context() for _ in range(CHUNK)]
    for context in contexts:
        context.run(THREADS.set, 1)
    waiting = chain(first, boxes)
    with ThreadPoolExecutor(number) as pool:
        while group := list(islice(waiting, CHUNK)):
            yield from pool.map(lambda context, box: context.run(function, box), contexts, group)


# --- many states at once --------------------------------------------------------------------------


def _merged(all_states: Iterable[States]) -> States:
    """Merge the states of many blocks, holding a bounded number at a time."""
    pending: list[States] = []
    capacity = 0
    for states in all_states:
        pending.append(states)
        capacity = capacity or max(16, PENDING // max(map(_largest, states)))
        if len(pending) == capacity:
            pending = [_folded(pending)]
    return _folded(pending)


def _largest(state: Any) -> int:
    sizes = [1]
    leafwise(lambda leaf: sizes.append(np.size(leaf)), state)
    return max(sizes)


def _folded(pending: list[States]) -> States:
    return tuple(map(_fold, zip(*pending, strict=True)))


def _fold(states: Sequence[Any]) -> Any:
    return fold(states, np.array)


def _joined(states: Sequence[Any], axis: int) -> Any:
    """Concatenate states along an axis that is not reduced."""
    return leafwise(lambda *leaves: np.concatenate(leaves, axis=axis), *states)


# --- value and slope in one pass ------------------------------------------------------------------


def _value_and_slopes(
    metric: Metric, inputs: Inputs, divisor: Any, dtype: Any
) -> tuple[Mean, Array]:
    """Return the state and the gradient of a pointwise metric, in one pass.

    The slopes are those of the weighted sum, divided by ``divisor`` or by the sum of the weights.
    """
    library = inputs.library
    jets = _jets_over(library)
    xp = jets.namespace(inputs.xp.result_name, inputs.xp.wide)
    if divisor is None:
        divisor = _sum_of_weights(inputs)
    scale = 1 / divisor if divisor != 0 else 0.0
    slopes = np.empty(inputs.shape, dtype)

    def evaluate(box: Box) -> States:
        batch = inputs.batch(box)
        totals = _NumPyTotals(batch)
        jet = metric.terms(xp, Jet(batch.predictions, 1.0, None, jets), batch.targets)
        slope = jet.first if isinstance(jet, Jet) else None
        slope = np.zeros(batch.shape) if slope is None else slope * scale
        slopes[box] = totals.weighted(np.broadcast_to(slope, batch.shape))
        return (totals.mean(plain(jet)),)

    return _merged(_mapped(evaluate, _all_boxes(inputs)))[0], slopes


def _jets_over(library: Library) -> JetLibrary:
    """Return the first-order jets over a library, from a cache."""
    if "jets" not in library.cache:
        library.cache["jets"] = JetLibrary(library, second=False)
    jets: JetLibrary = library.cache["jets"]
    return jets


def _all_boxes(inputs: Inputs) -> Iterator[Box]:
    whole = tuple(slice(0, n) for n in inputs.shape)
    return _Blocks((), inputs)._along_reduced(whole)


def _sum_of_weights(inputs: Inputs) -> float:
    if inputs.unweighted:
        return math.prod(inputs.shape)

    def weight_of(box: Box) -> float:
        batch = inputs.batch(box)
        return float(_NumPyTotals(batch)._weight(np.float64(0)).value)

    return math.fsum(weight_of(box) for box in _all_boxes(inputs))


def _in_blocks(metric: Any, predictions: Any, targets: Any, options: dict[str, Any]) -> bool:
    """Whether the gradient is that of a weighted sum of elementwise terms."""
    if not (isinstance(metric, Metric) and metric.summable):
        return False
    denominator = options.get("denominator", 1)
    return (
        metric.elementwise
        and options.keys() <= {"weights", "where", "denominator", "empty"}
        and type(denominator) in (int, float)
        and denominator > 0
        and getattr(targets, "shape", None) == predictions.shape
        and 0 not in predictions.shape
    )


# --- a linear layer under a cross-entropy ---------------------------------------------------------


class _ChunkArrays(InPlaceArrays):
    """Operations in place: all chunks reuse one logits buffer."""

    def logits(self, hidden: Array, weight: Array) -> Array:
        if self.room is None or len(self.room) < len(hidden):
            self.room = self.xp.empty((len(hidden), len(weight)), dtype=self.dtype)
        room: Any = self.room
        return self.xp.matmul(hidden, weight.T, out=room[: len(hidden)])

    def exp(self, z: Array) -> Array:
        return self.xp.exp(z, out=z)

    def put(self, z: Array, labels: Array, values: Array) -> Array:
        z[self.xp.arange(len(z)), labels] = values
        return z

    def add_product(self, total: Array | None, x: Array, y: Array) -> Array:
        if total is None:
            return self.multiply(x.T, y)
        total += x.T @ y
        return total
