"""A library under comparison: its functions by our names, and how its arrays are differentiated."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# many small programs are compiled, each for one call
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

from conformance.kit.backends import BACKENDS, Backend

Function = Callable[..., Any]


class NotOffered(Exception):  # noqa: N818
    """What an adapter raises where its library has no such option."""


@dataclass(eq=False)
class Peer:
    """An adapter. A function takes predictions, targets, and the options that its library has.

    What it does not take in its signature, ``weights`` or a hyper-parameter, it is not asked for.
    A name may carry a variant, after a colon; the cases are those of the name before it.
    """

    title: str
    packages: tuple[str, ...]
    array_library: str
    metrics: Mapping[str, Function]
    streamed: Mapping[str, Function] = field(default_factory=dict)
    """Functions of a list of batches, each predictions, targets, and weights if there are any."""
    unshaped: Mapping[str, Function] = field(default_factory=dict)
    """What is given arrays as they are, where the functions above reshape theirs."""
    differentiate: Function | None = None
    """In place of the array library's own reverse mode: from a function to that of its slopes."""
    bend: Function | None = None
    """In place of the array library's own second derivatives of terms: from a function and options."""

    def __post_init__(self) -> None:
        self.backend: Backend = BACKENDS[self.array_library]()

    @property
    def versions(self) -> str:
        versions = {name: importlib.metadata.version(name) for name in self.packages}
        return ", ".join(
            f"{name} {version.partition('+')[0]}" for name, version in versions.items()
        )

    @functools.cache  # noqa: B019
    def program(self, way: str, function: Function, *fixed: tuple[str, Any]) -> Function:
        """Return a function of predictions, targets and weights, if any: its value, slopes, bends.

        JAX compiles each operation in any case, which takes as long as to compile the whole.
        """

        def value(p: Any, t: Any, weights: Any = None) -> Any:
            weighted = {} if weights is None else {"weights": weights}
            return function(p, t, **dict(fixed), **weighted)

        if way == "bends" and self.bend is not None:
            return self.bend(function, dict(fixed))
        if self.array_library != "jax":
            return {"value": value, "slopes": self._slopes(value), "bends": self._bends(value)}[way]
        import jax

        slopes = jax.grad(value)
        bends = lambda p, t: jax.grad(lambda q: slopes(q, t).sum())(p) * len(t)  # noqa: E731
        eager = {"value": value, "slopes": slopes, "bends": bends}[way]
        compiled = jax.jit(eager)

        def either(*arrays: Any) -> Any:
            try:
                return compiled(*arrays)
            except Exception:  # what cannot be compiled is the matter of another family
                return eager(*arrays)

        return either

    def _slopes(self, value: Function) -> Function:
        if self.differentiate is not None:
            return self.differentiate(value)

        def slopes(p: Any, *rest: Any) -> Any:
            found = _torch_slopes(lambda q: value(q, *rest), p)
            return found and (found if isinstance(p, tuple) else found[0])

        return slopes

    def _bends(self, value: Function) -> Function:
        def bends(p: Any, t: Any) -> Any:
            inner = lambda q: _torch_slopes(lambda x: value(x, t), q, (q,), again=True)[0].sum()  # noqa: E731
            found = _torch_slopes(inner, p)
            none = self.backend.xp.zeros_like(p)  # a constant slope has no graph, or no storage
            return none if found is None else none + found[0] * len(t)

        return bends

    def compiled(self, function: Function, *arrays: Any) -> Any:
        """Return what the function gives inside the library's compiler, as one graph."""
        if self.array_library == "jax":
            import jax

            return jax.jit(function)(*arrays)
        import torch

        torch._dynamo.reset()
        return torch.compile(function, fullgraph=True, backend="eager")(*arrays)

    def mapped(self, function: Function, *arrays: Any) -> Any:
        """Return what the function gives for one of two equal batches, mapped over."""
        xp = self.backend.xp
        vmap = importlib.import_module("jax" if self.array_library == "jax" else "torch.func").vmap
        twice = [xp.stack([array, array]) for array in arrays]
        return vmap(function)(*twice)[1]


def _torch_slopes(
    function: Function, predictions: Any, leaves: Any = None, again: bool = False
) -> Any:
    import torch

    several = predictions if isinstance(predictions, tuple) else (predictions,)
    leaves = leaves or tuple(one.clone().requires_grad_() for one in several)
    value = function(leaves if isinstance(predictions, tuple) else leaves[0])
    if not value.requires_grad:
        return None
    return torch.autograd.grad(value, leaves, create_graph=again, materialize_grads=True)
