"""Dask: every chunk is summarised where it lies, and the states merge in a tree; nothing computes.

One look at a chunk is enough for any metric whose states merge, so no chunk is kept for a second.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from itertools import count, product
from typing import Any

import numpy as np

from .._arrays import Inputs, _agree
from .._metric import Metric
from .._namespaces import Array
from .._states import leafwise
from ..strategies.numpy import fold as fold_numbers
from ..strategies.numpy import statistics_of_all as summarise_block
from ..strategies.numpy import terms as terms_of_block
from ..strategies.plain import fold
from ..strategies.plain import statistics_of_all as plain_statistics
from ..strategies.plain import terms as plain_terms

__all__ = ["fold", "statistics", "statistics_of_all", "terms"]

FEW = 16  # so many states are merged by one task


def statistics(metric: Metric, inputs: Inputs) -> Any:
    """Return the state of all samples, to be computed."""
    return statistics_of_all((metric,), inputs)[0]


def statistics_of_all(metrics: Sequence[Metric], inputs: Inputs) -> tuple[Any, ...]:
    """Return the states of several metrics that take the same inputs: one look at every chunk."""
    if not _of_numpy(inputs):
        return plain_statistics(metrics, inputs)
    dask, like = sys.modules["dask"], _of_one_sample(metrics, inputs)
    arrays = _aligned(inputs)
    chunks = arrays[inputs.data[0]].chunks[: len(inputs.shape)]
    parts = {name: array.to_delayed() for name, array in arrays.items()}
    summarise, merge, leaf = map(dask.delayed, (_summarise, _merge, _leaf))
    what = (
        tuple(metrics), inputs.xp.result_name, inputs.xp.wide, inputs.axes, inputs.number,
    )  # fmt: skip
    kept = [axis for axis in range(len(chunks)) if axis not in inputs.axes]

    def merged(place: tuple[int, ...]) -> Any:
        """Return the states at a place along the axes that are kept."""
        fixed = dict(zip(kept, place, strict=True))
        sides = ([fixed[k]] if k in fixed else range(len(c)) for k, c in enumerate(chunks))
        states = []
        for at in product(*sides):
            these = {name: part[at].reshape(-1)[0] if part.ndim > len(at) else part[at]
                     for name, part in parts.items()}  # fmt: skip
            states.append(summarise(*what, these))
        while len(states) > 1:
            states = [merge(states[k : k + FEW]) for k in range(0, len(states), FEW)]
        return states[0]

    places = list(product(*(range(len(chunks[axis])) for axis in kept)))
    found = {place: merged(place) for place in places}
    numbers = count()

    def assembled(one: Array) -> Array:
        number = next(numbers)

        def along(place: tuple[int, ...]) -> Array:
            if len(place) == len(kept):
                shape = tuple(chunks[axis][i] for axis, i in zip(kept, place, strict=True))
                shape += tuple(one.shape[len(kept) :])  # of classes, of groups
                value = leaf(found[place], number)
                return dask.array.from_delayed(value, shape, one.dtype)
            rows = [along((*place, i)) for i in range(len(chunks[kept[len(place)]]))]
            return dask.array.concatenate(rows, axis=len(place), allow_unknown_chunksizes=True)

        return along(())

    return tuple(leafwise(assembled, state) for state in like)


def terms(metric: Metric, inputs: Inputs) -> Array:
    """Return the weighted term of every sample, by one task for each chunk.

    So sizes that are not known yet are compared, and NumPy's warnings are off, where it runs.
    """
    if not _of_numpy(inputs):
        return plain_terms(metric, inputs)
    dask, xp, arrays = sys.modules["dask"].array, inputs.xp, _aligned(inputs)
    what = (metric, xp.result_name, xp.wide, inputs.axes, tuple(arrays))
    loop, pairs = tuple(range(len(inputs.shape))), []
    axis = count(len(loop))  # of classes, of features: each has a number of its own
    for array in arrays.values():
        pairs += [array, (*loop, *(next(axis) for _ in range(len(loop), array.ndim)))]
    return dask.blockwise(
        partial(_terms, *what), loop, *pairs, concatenate=True, align_arrays=False,
        meta=np.empty((0,) * len(loop), xp.result),
    )  # fmt: skip


def _of_numpy(inputs: Inputs) -> bool:
    return all(type(array._meta) is np.ndarray for array in inputs.arrays.values())


def _of_one_sample(metrics: Sequence[Metric], inputs: Inputs) -> tuple[Any, ...]:
    """Return states of the form and dtypes that the chunks' will have."""
    ndim = len(inputs.shape)
    ones = {
        name: np.ones((1,) * ndim + tuple(array.shape[ndim:]), array.dtype)
        for name, array in inputs.arrays.items()
    }
    xp = inputs.xp
    return _summarise(tuple(metrics), xp.result_name, xp.wide, inputs.axes, inputs.number, ones)


def _aligned(inputs: Inputs) -> dict[str, Array]:
    """Return the inputs in the chunks of the predictions, each with whole rows of features."""
    ndim = len(inputs.shape)
    loop = inputs.arrays[inputs.data[0]].chunks[:ndim]

    def chunked(array: Array) -> Array:
        wanted = (*loop, *((n,) for n in array.shape[ndim:]))
        # sizes that are unknown are compared where a chunk is evaluated
        alike = all(_agree(a, b) for a, b in zip(array.chunks, wanted, strict=True))
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
        return summarise_block(metrics, inputs)


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
        return terms_of_block(metric, inputs).astype(inputs.xp.result, copy=False)


def _merge(several: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(map(fold_numbers, zip(*several, strict=True)))


def _leaf(states: tuple[Any, ...], number: int) -> Array:
    leaves: list[Array] = []
    for state in states:
        leafwise(leaves.append, state)
    return np.asarray(leaves[number])
