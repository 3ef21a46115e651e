"""Dask: one task summarises each chunk, and the states merge in a tree; evaluation is lazy.

A metric whose states merge needs one pass over each chunk, so that no chunk is kept in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count, product
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from .._core.calls import several
from .._core.errors import fail
from .._core.inputs import Inputs, agree
from .._core.metric import Metric
from .._core.plain import PlainLibrary
from .._core.special import sum_of_rows
from .._core.states import leafwise
from .._core.types import Array
from .numpy import bincount, rank

FEW = 16  # states merged by one task


class DaskLibrary(PlainLibrary):
    """Dask, with lazy arrays in chunks."""

    name = "Dask"
    sorts = False  # not along an axis of several chunks
    lazy = True

    def is_concrete(self, array: Array) -> bool:
        """Whether values can be read: no, because this would compute the array."""
        return False

    def conversion(self, name: str) -> str:
        """Return the code that converts an array to Dask."""
        return f"dask.array.asarray({name})"

    def laid_out(self, array: Array, like: Array) -> Array:
        """Return an array with the chunks of another one."""
        return array.rechunk(like.chunks)

    def overrides(self, result: str) -> dict[str, Any]:
        """Return functions that preserve chunks, also of unknown sizes."""

        def block(part: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
            return sum_of_rows(np, part, tuple(axis))

        def total(x: Array, axes: tuple[int, ...]) -> Array:
            """Sum every chunk accurately, then the sums; chunk sizes may be unknown."""
            reduce = partial(da.reduction, chunk=block, aggregate=block, dtype=x.dtype)
            return reduce(x, axis=axes, keepdims=True) if axes else x

        def expand_dims(x: Array, /, *, axis: int) -> Array:
            """Add an axis by indexing, because Dask's own function needs the chunk sizes."""
            return x[(slice(None),) * (axis % (x.ndim + 1)) + (None,)]

        def whole(x: Array, axis: int) -> Array:
            """Merge the chunks along an axis."""
            return x.rechunk({axis % x.ndim: -1})

        def argsort(x: Array, /, *, axis: int = -1, stable: bool = True) -> Array:
            sort = partial(np.argsort, axis=axis, stable=stable)
            return da.map_blocks(sort, whole(x, axis), dtype=np.int64)

        def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
            take, x = partial(np.take_along_axis, axis=axis), whole(x, axis)
            pairs = list(zip(x.chunks, indices.chunks, strict=True))
            others = {k: pair for k, pair in enumerate(pairs) if k != axis % x.ndim}
            alike = {k: of_x for k, (of_x, of_i) in others.items() if sum(of_x) == sum(of_i)}
            indices = indices.rechunk(alike)
            chunks = [of_i if sum(of_x) == 1 else of_x for of_x, of_i in pairs]
            chunks[axis] = indices.chunks[axis]  # the length may differ from that of x
            return da.map_blocks(take, x, indices, chunks=tuple(chunks), dtype=x.dtype)

        def bins(index: Array, weights: Array | None, size: int, /) -> Array:
            """Count every chunk in one pass, then add the counts, without a task per bin."""
            arrays = (index,) if weights is None else (index, weights.rechunk(index.chunks))
            dtype = np.dtype(np.int64) if weights is None else weights.dtype
            rows, columns = index.chunks
            counts = da.map_blocks(
                partial(_bins_of_chunk, size), *arrays, new_axis=2, dtype=dtype,
                chunks=(rows, (1,) * len(columns), (size,)), meta=np.empty((0, 0, 0), dtype),
            )  # fmt: skip
            return counts.sum(axis=1)

        def broadcast_to(x: Array, /, shape: tuple[int, ...]) -> Array:
            """Repeat inside every chunk, because Dask's own function needs known sizes."""
            if all(n == n for n in x.shape):
                return da.broadcast_to(x, shape)
            x = x[(None,) * (len(shape) - x.ndim)]
            repeats = {k: n for k, n in enumerate(shape) if x.shape[k] == 1 and n != 1}
            chunks = tuple((repeats[k],) if k in repeats else c for k, c in enumerate(x.chunks))
            return da.map_blocks(partial(_repeated, repeats), x, chunks=chunks, dtype=x.dtype)

        def cumulative_sum(x: Array, /, *, axis: int) -> Array:
            """Merge chunks of unknown sizes first; Dask fails for several such chunks."""
            x = x if all(n == n for n in x.shape) else whole(x, axis)
            return self.raw.cumulative_sum(x, axis=axis)

        def reshape(x: Array, /, shape: tuple[int, ...]) -> Array:
            """Reshape the axes after those of unknown sizes, inside every chunk."""
            leading = max((k + 1 for k, n in enumerate(shape) if n != n), default=0)
            if leading == 0:
                return self.raw.reshape(x, shape)
            size, trailing = math.prod(x.shape[leading:]), shape[leading:]
            trailing = tuple(-(size // math.prod(trailing)) if n == -1 else n for n in trailing)
            x = x.rechunk(dict.fromkeys(range(leading, x.ndim), -1))
            return da.map_blocks(
                partial(_reshaped, leading, trailing), x, drop_axis=range(leading, x.ndim),
                new_axis=range(leading, len(shape)), meta=np.empty((0,) * len(shape), x.dtype),
                chunks=(*x.chunks[:leading], *((n,) for n in trailing)),
            )  # fmt: skip

        stack, concat = (
            partial(function, allow_unknown_chunksizes=True)
            for function in (da.stack, da.concatenate)
        )
        return {
            "total": total, "expand_dims": expand_dims, "stack": stack, "argsort": argsort,
            "take_along_axis": take_along_axis, "bins": bins, "broadcast_to": broadcast_to,
            "rank": _rank, "reshape": reshape, "concat": concat, "cumulative_sum": cumulative_sum,
        }  # fmt: skip

    def statistics(self, metrics: Sequence[Metric], inputs: Inputs) -> tuple[Any, ...]:
        """Return the states of several metrics of the same inputs, in one pass over the chunks."""
        if not _of_numpy(inputs):
            return super().statistics(metrics, inputs)
        like = _of_one_sample(metrics, inputs)
        arrays = _aligned(inputs)
        chunks = arrays[inputs.data[0]].chunks[: len(inputs.shape)]
        parts = {name: array.to_delayed() for name, array in arrays.items()}
        summarise, merge, leaf = map(delayed, (_summarise, _merge, _leaf))
        settings = (
            tuple(metrics), inputs.xp.result_name, inputs.xp.wide, inputs.axes, inputs.number,
        )  # fmt: skip
        kept = [axis for axis in range(len(chunks)) if axis not in inputs.axes]

        def merged(place: tuple[int, ...]) -> Any:
            """Return the states at an index along the axes that are not reduced."""
            fixed = dict(zip(kept, place, strict=True))
            sides = ([fixed[k]] if k in fixed else range(len(c)) for k, c in enumerate(chunks))
            states = []
            for index in product(*sides):
                chunk_arrays = {
                    name: part[index].reshape(-1)[0] if part.ndim > len(index) else part[index]
                    for name, part in parts.items()
                }
                states.append(summarise(*settings, chunk_arrays))
            while len(states) > 1:
                states = [merge(states[k : k + FEW]) for k in range(0, len(states), FEW)]
            return states[0]

        places = list(product(*(range(len(chunks[axis])) for axis in kept)))
        states_at = {place: merged(place) for place in places}
        numbers = count()

        def assembled(leaf_like: Array) -> Array:
            number = next(numbers)

            def along(place: tuple[int, ...]) -> Array:
                if len(place) == len(kept):
                    shape = tuple(chunks[axis][i] for axis, i in zip(kept, place, strict=True))
                    shape += tuple(leaf_like.shape[len(kept) :])  # axes of classes or groups
                    value = leaf(states_at[place], number)
                    return da.from_delayed(value, shape, leaf_like.dtype)
                rows = [along((*place, i)) for i in range(len(chunks[kept[len(place)]]))]
                return da.concatenate(rows, axis=len(place), allow_unknown_chunksizes=True)

            return along(())

        return tuple(leafwise(assembled, state) for state in like)

    def terms(self, metric: Metric, inputs: Inputs) -> Array:
        """Return the weighted term of every sample, with one task per chunk.

        The task compares sizes that are unknown before, and disables NumPy's warnings.
        """
        if not _of_numpy(inputs):
            return super().terms(metric, inputs)
        xp, arrays = inputs.xp, _aligned(inputs)
        settings = (metric, xp.result_name, xp.wide, inputs.axes, tuple(arrays))
        loop, pairs = tuple(range(len(inputs.shape))), []
        axis = count(len(loop))  # core axes: each has a separate number
        for array in arrays.values():
            pairs += [array, (*loop, *(next(axis) for _ in range(len(loop), array.ndim)))]
        return da.blockwise(
            partial(_terms, *settings), loop, *pairs, concatenate=True, align_arrays=False,
            meta=np.empty((0,) * len(loop), xp.result),
        )  # fmt: skip

    def differentiated(
        self,
        function: Callable[..., Array],
        metric: Any,
        predictions: Any,
        targets: Any,
        options: dict[str, Any],
    ) -> None:
        """Raise for unknown sizes; otherwise the tape differentiates."""
        for array in several(predictions):
            if any(n != n for n in array.shape):
                message = f"predictions have shape {array.shape}, which Dask does not know yet"
                raise fail(metric, f"{message}: call predictions.compute_chunk_sizes() first")


LIBRARY = DaskLibrary


# --- functions ------------------------------------------------------------------------------------


def _bins_of_chunk(size: int, index: Array, weights: Array | None = None) -> Array:
    return bincount(index, weights, size)[:, None, :]


def _reshaped(leading: int, trailing: tuple[int, ...], part: Array) -> Array:
    return np.reshape(part, part.shape[:leading] + trailing)


def _repeated(repeats: dict[int, int], part: Array) -> Array:
    shape: Any = tuple(repeats.get(k, n) for k, n in enumerate(part.shape))
    return np.broadcast_to(part, shape)


def _rank(x: Array, /) -> Array:
    """Rank with NumPy, after merging the chunks along the last axis."""
    return x.rechunk({x.ndim - 1: -1}).map_blocks(rank, dtype=x.dtype)


# --- chunks ---------------------------------------------------------------------------------------


def _of_numpy(inputs: Inputs) -> bool:
    return all(type(array._meta) is np.ndarray for array in inputs.arrays.values())


def _of_one_sample(metrics: Sequence[Metric], inputs: Inputs) -> tuple[Any, ...]:
    """Return states with the structure and dtypes of the states of the chunks."""
    ndim = len(inputs.shape)
    ones = {
        name: np.ones((1,) * ndim + tuple(array.shape[ndim:]), array.dtype)
        for name, array in inputs.arrays.items()
    }
    xp = inputs.xp
    return _summarise(tuple(metrics), xp.result_name, xp.wide, inputs.axes, inputs.number, ones)


def _aligned(inputs: Inputs) -> dict[str, Array]:
    """Return the inputs with the chunks of the predictions; core axes have one chunk."""
    ndim = len(inputs.shape)
    loop = inputs.arrays[inputs.data[0]].chunks[:ndim]

    def chunked(array: Array) -> Array:
        wanted = (*loop, *((n,) for n in array.shape[ndim:]))
        # the tasks compare unknown sizes
        alike = all(agree(a, b) for a, b in zip(array.chunks, wanted, strict=True))
        return array if alike else array.rechunk(wanted)

    return {name: chunked(array) for name, array in inputs.arrays.items()}


# --- the tasks ------------------------------------------------------------------------------------


def _summarise(
    metrics: tuple[Metric, ...],
    result: str,
    wide: bool,
    axes: tuple[int, ...],
    number: int | None,
    arrays: dict[str, Array],
) -> tuple[Any, ...]:
    inputs = Inputs.checked(metrics[0], arrays, result, wide, axes, number)
    with inputs.xp.quiet():
        return inputs.library.statistics(metrics, inputs)


def _terms(
    metric: Metric,
    result: str,
    wide: bool,
    axes: tuple[int, ...],
    names: tuple[str, ...],
    *chunks: Array,
) -> Array:
    inputs = Inputs.checked(metric, dict(zip(names, chunks, strict=True)), result, wide, axes, None)
    with inputs.xp.quiet():
        return inputs.library.terms(metric, inputs).astype(inputs.xp.result, copy=False)


def _merge(several: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(states[0].weight.xp.library.fold(states) for states in zip(*several, strict=True))


def _leaf(states: tuple[Any, ...], number: int) -> Array:
    leaves: list[Array] = []
    for state in states:
        leafwise(leaves.append, state)
    return np.asarray(leaves[number])
