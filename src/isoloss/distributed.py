"""States of many devices or processes, merged into the state of all samples."""

from __future__ import annotations

from typing import Any

from ._core.states import State


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
    return state.weight.xp.library.across(state, axis_name, group)
