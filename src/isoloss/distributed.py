"""States of many devices or processes, merged into the state of all samples."""

from __future__ import annotations

import sys
from typing import Any

from ._namespaces import Array, library_of
from ._states import Samples, State, leafwise


def across(state: State, axis_name: Any = None, *, group: Any = None) -> Any:
    """Merge the states that devices or processes made of their shares; all receive the result.

    Inside ``jax.shard_map`` (or ``vmap``, ``pmap``), with the name of the axis that the samples
    are spread along, it takes one ``psum``. With PyTorch, every process of a ``torch.distributed``
    group calls it, and it takes one ``all_reduce`` (and a second one, of lengths, for the metrics
    whose state is the data). Shares may be of any length, empty or wholly masked included. The
    states are merged in the same order everywhere, so all receive the same bits.

    Arrays that are spread already, sharded JAX arrays, DTensors and Dask arrays, need none of
    this: pass them to the metric.

    Parameters
    ----------
    state : state
        What `summary` returned for the samples that lie here.
    axis_name : str or tuple of str
        With JAX, the axis or axes of the mesh.
    group : torch.distributed.ProcessGroup, optional
        With PyTorch, the processes; by default all of them.

    Returns
    -------
    state
        Differentiable, with JAX as ``psum`` is; with PyTorch, each process receives the
        gradient of the value of all samples with respect to its own.

    Raises
    ------
    TypeError
        For a state of another library, or without the axis that JAX needs.

    Examples
    --------
    >>> import isoloss as il
    >>> def step(predictions, targets):  # of one device
    ...     state = il.across(il.huber.summary(predictions, targets), "data")
    ...     return il.huber.compute(state)
    """
    library = library_of(state.weight.value)
    name = "NumPy" if library is None else library.name
    if name == "JAX":
        if axis_name is None:
            raise TypeError("across needs the name of the axis that samples are spread along")
        return _over_axis(state, axis_name)
    if name != "PyTorch":
        raise TypeError(
            f"across merges states of JAX and PyTorch, not of {name}: "
            "collect the states in one process and merge them there with state.merge(other)"
        )
    if axis_name is not None:
        raise TypeError("across takes axis_name= with JAX; with PyTorch, it takes group=")
    return _over_group(state, group)


def _over_axis(state: State, axis_name: Any) -> Any:
    """Sum arrays in which each device fills a row of its own: its result varies nowhere."""
    jax = sys.modules["jax"]
    count, here = jax.lax.axis_size(axis_name), jax.lax.axis_index(axis_name)

    def row(leaf: Array) -> Array:
        return jax.numpy.zeros((count, *leaf.shape), leaf.dtype).at[here].set(leaf)

    rows = jax.lax.psum(leafwise(row, state), axis_name)
    states = [leafwise(lambda leaf, i=i: leaf[i], rows) for i in range(count)]
    return state.weight.xp.strategy.fold(states)


def _over_group(state: State, group: Any) -> Any:
    torch = sys.modules["torch"]
    here = torch.distributed.get_rank(group)
    wide = state.weight.xp.computing  # float64 holds counts and every float exactly
    leaves: list[Array] = []
    leafwise(leaves.append, state)
    lengths = [[leaf.numel() for leaf in leaves]] * torch.distributed.get_world_size(group)
    if isinstance(state, Samples):
        counted = not state.weights.is_floating_point()
        mine = torch.tensor([*lengths[here], counted], device=leaves[0].device)
        rows = mine.new_zeros((len(lengths), len(mine)))
        rows[here] = mine
        torch.distributed.all_reduce(rows, group=group)
        lengths = rows[:, :-1].tolist()
        if not rows[:, -1].all():  # counts beside weights would take the dtype of either
            state = state._replace(weights=state.weights.to(wide))
    rows = torch.zeros((len(lengths), max(map(sum, lengths))), dtype=wide, device=leaves[0].device)
    own = torch.cat([leaf.detach().reshape(-1).to(wide) for leaf in leaves])
    rows[here, : own.numel()] = own
    torch.distributed.all_reduce(rows, group=group)

    def of(process: int) -> Any:
        parts = iter(rows[process, : sum(lengths[process])].split(lengths[process]))

        def leaf(mine: Array) -> Array:
            part = next(parts)
            shape = mine.shape if part.numel() == mine.numel() else (*mine.shape[:-1], -1)
            return part.reshape(shape).to(mine.dtype)

        return leafwise(leaf, state)

    states = [state if process == here else of(process) for process in range(len(lengths))]
    return state.weight.xp.strategy.fold(states)
