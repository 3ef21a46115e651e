"""States of many devices or processes, merged into the state of all samples."""

from __future__ import annotations

from typing import Any

from ._core.states import State


def across(state: State, axis_name: Any = None, *, group: Any = None) -> Any:
    """Merge the states of several devices or processes; each of them receives the merged state.

    With JAX, call it inside ``jax.shard_map`` (or ``vmap``, ``pmap``) with the name of the axis
    along which the samples are distributed; it performs one ``psum``. With PyTorch, every process
    of a ``torch.distributed`` group calls it; it performs one ``all_reduce``, and a second one, of
    lengths, for metrics whose state is the data. Each device or process may hold any number of
    samples; it may hold none, or only excluded ones. The states are merged in the same order
    everywhere, so that all devices receive the same bits.

    Distributed arrays (sharded JAX arrays, DTensors, Dask arrays) do not need this function: pass
    them to the metric.

    Parameters
    ----------
    state : state
        The result of `summary` for the samples of this device or process.
    axis_name : str or tuple of str
        With JAX: the axis or axes of the mesh.
    group : torch.distributed.ProcessGroup, optional
        With PyTorch: the processes; by default all of them.

    Returns
    -------
    state
        The merged state. It is differentiable: with JAX as ``psum`` is; with PyTorch, each process
        receives the gradient of the value over all samples with respect to its own samples.

    Raises
    ------
    TypeError
        For a state of another library, or if the axis name is missing with JAX.

    Examples
    --------
    >>> import isoloss as il
    >>> def step(predictions, targets):  # of one device
    ...     state = il.across(il.huber.summary(predictions, targets), "data")
    ...     return il.huber.compute(state)
    """
    return state.weight.xp.library.across(state, axis_name, group)
