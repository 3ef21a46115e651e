"""The array libraries under test, each behind the same few verbs."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .trees import Tree, tree_map


class Backend:
    """An array library: how to make its arrays, read them, and differentiate with it."""

    name = "numpy"
    float64 = True  # whether it computes in float64
    compiles = False  # a program for every metric, hyper-parameter and dtype, which takes time
    flushes = False  # whether it replaces subnormal numbers by 0
    dtypes: tuple[str, ...] = ("float16", "float32", "float64")
    modes = ("isoloss",)  # the ways it differentiates

    def __init__(self) -> None:
        self.xp = importlib.import_module(self.name)

    @property
    def label(self) -> str:
        """What the table of errors calls the library, under the setting it is run in."""
        return self.name

    @property
    def widest(self) -> str:
        """The dtype that everything up to it is computed in."""
        return "float64" if self.float64 else "float32"

    def array(self, numbers: Any, dtype: str) -> Any:
        return self.xp.asarray(numbers, dtype=getattr(self.xp, dtype))

    def given(self, tree: Tree) -> Tree:
        """Return arrays of NumPy as the library's; labels are int32, which every device has."""
        dtypes = {"int64": "int32"}
        return tree_map(lambda x: self.array(x, dtypes.get(str(x.dtype), str(x.dtype))), tree)

    def numbers(self, array: Any) -> Any:
        """Return an array as nested lists of Python numbers."""
        return array.tolist()

    def padded(
        self, predictions: Any, targets: Any, options: dict[str, Any]
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Return a batch in a form of which the library has few programs: what is added, masked."""
        return predictions, targets, options

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of arrays as one program, where each operation would be one of its own."""
        return function

    def dtype(self, array: Any) -> str:
        return str(array.dtype).rpartition(".")[2]

    def gradient(
        self, mode: str, function: Any, predictions: Any, targets: Any, **options: Any
    ) -> Any:
        """Return d function / d predictions, by one of the library's modes."""
        import isoloss

        return isoloss.gradient(function, predictions, targets, **options)

    def every_way(
        self, modes: Sequence[str], metric: Any, p: Any, t: Any, **options: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return the gradient by each mode; where they come from one program, the value as well."""
        return None, {mode: self.gradient(mode, metric, p, t, **options) for mode in modes}

    def gradient_hessian(self, metric: Any, p: Any, t: Any) -> tuple[Any, Any]:
        """Return the first and the second derivatives of the terms."""
        import isoloss

        return isoloss.gradient_hessian(metric, p, t)


class Strict(Backend):
    """NumPy, refusing what the standard does not promise; its devices are only simulated.

    ``no_float64`` and ``no_x64`` refuse the dtypes of 64 bits, as MPS and TPU do.
    """

    name = "array_api_strict"
    dtypes = ("float32", "float64")

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        device = device or os.environ.get("ISOLOSS_STRICT_DEVICE", "CPU_DEVICE")
        self.device = self.xp.Device(device)
        self.float64 = "no_" not in str(self.device)
        if not self.float64:
            self.dtypes = self.dtypes[:-1]

    @property
    def label(self) -> str:
        return self.name if self.float64 else f"{self.name} float32"

    def array(self, numbers: Any, dtype: str) -> Any:
        return self.xp.asarray(numbers, dtype=getattr(self.xp, dtype), device=self.device)

    def numbers(self, array: Any) -> Any:
        return np.asarray(array.to_device(self.xp.Device("CPU_DEVICE"))).tolist()


class Jax(Backend):
    name = "jax"
    compiles = True
    flushes = True
    dtypes = ("float16", "bfloat16", "float32", "float64")
    modes = ("isoloss", "forward")  # the first is a compiled program of reverse mode
    length = 32  # samples are padded to it: one compilation serves all cases

    # XLA rewrites and fuses a program as ever, which is what can go wrong at an edge. Machine code
    # is not optimised, nor made by way of MLIR, nor in parts: all that takes ten times as long.
    QUICK = {
        "xla_backend_optimization_level": 0,
        "xla_cpu_use_fusion_emitters": False,
        "xla_cpu_parallel_codegen_split_count": 1,
    }

    @property
    def label(self) -> str:
        return f"{self.name} x64" if self.float64 else self.name

    def __init__(self) -> None:
        self.jax = importlib.import_module("jax")
        self.xp = self.jax.numpy
        self.float64 = bool(self.jax.config.jax_enable_x64)
        # half precision is converted, whatever the setting, and measured under the first
        self.dtypes = self.dtypes[2:] if self.float64 else self.dtypes[:-1]

        self.program = self.compiled(self._every_way, static_argnums=(0, 1))
        self.bent = self.compiled(super().gradient_hessian, static_argnums=0)
        self.forward = self.jax.jit(self._forward, static_argnums=0)

    def compiled(self, function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        return self.jax.jit(function, compiler_options=self.QUICK, **options)

    def _forward(self, metric: Any, p: Any, t: Any, options: dict[str, Any]) -> Any:
        return self.jax.jacfwd(lambda q: metric(q, t, **options))(p)

    def _every_way(
        self, metric: Any, modes: Sequence[str], p: Any, t: Any, options: dict[str, Any]
    ) -> Any:
        value, slope = self.jax.value_and_grad(lambda q: metric(q, t, **options))(p)
        forward = self._forward(metric, p, t, options) if "forward" in modes else None
        return value, slope, forward

    def every_way(
        self, modes: Sequence[str], metric: Any, p: Any, t: Any, **options: Any
    ) -> tuple[Any, dict[str, Any]]:
        if "where" not in options:
            return super().every_way(modes, metric, p, t, **options)
        value, *slopes = self.program(metric, tuple(modes), p, t, options)
        return value, dict(zip(self.modes, slopes, strict=True))

    def gradient_hessian(self, metric: Any, p: Any, t: Any) -> tuple[Any, Any]:
        first, second = self.bent(metric, p, t)
        return first, second

    def gradient(
        self, mode: str, function: Any, predictions: Any, targets: Any, **options: Any
    ) -> Any:
        if mode == "isoloss":
            return super().gradient(mode, function, predictions, targets, **options)
        return self.forward(function, predictions, targets, options)

    def array(self, numbers: Any, dtype: str) -> Any:
        return self.xp.asarray(np.asarray(numbers, dtype=getattr(self.xp, dtype)))

    def padded(
        self, predictions: Any, targets: Any, options: dict[str, Any]
    ) -> tuple[Any, Any, dict[str, Any]]:
        samples = len(self.jax.tree.leaves(targets)[0])
        if "where" in options:  # padded already
            return predictions, targets, options

        def longer(arrays: Any) -> Any:
            def one(array: Any) -> Any:  # by NumPy, which compiles nothing
                extra = np.ones((self.length - samples, *array.shape[1:]), array.dtype)
                return self.xp.asarray(np.concatenate([np.asarray(array), extra]))

            return self.jax.tree.map(one, arrays)

        weights = longer(options.get("weights", np.ones(samples, np.float32)))
        where = self.xp.asarray(np.arange(self.length) < samples)
        return longer(predictions), longer(targets), {"weights": weights, "where": where}


class Torch(Backend):
    name = "torch"
    dtypes = ("float16", "bfloat16", "float32", "float64")
    modes = ("isoloss", "reverse", "forward")  # the first is torch.func.grad

    def __init__(self) -> None:
        super().__init__()
        default = os.environ.get("ISOLOSS_DTYPE", "float32")
        self.xp.set_default_dtype(getattr(self.xp, default))
        if (
            default == "float64"
        ):  # all are measured under the other default; one tells if it matters
            self.dtypes = ("float32",)

    def array(self, numbers: Any, dtype: str) -> Any:
        return self.xp.tensor(
            numbers, dtype=self.xp.float64 if dtype.startswith(("float", "bfloat")) else None
        ).to(getattr(self.xp, dtype))

    def numbers(self, array: Any) -> Any:
        return array.detach().tolist()

    def gradient(
        self, mode: str, function: Any, predictions: Any, targets: Any, **options: Any
    ) -> Any:
        torch, several = self.xp, isinstance(predictions, tuple)
        arrays = predictions if several else (predictions,)
        closed = lambda *p: function(p if several else p[0], targets, **options)  # noqa: E731
        if mode == "isoloss":
            return super().gradient(mode, function, predictions, targets, **options)
        if mode == "reverse":
            leaves = [array.clone().requires_grad_() for array in arrays]
            value = closed(*leaves)
            if not value.requires_grad:  # constant between places where it jumps
                slopes = tuple(torch.zeros_like(leaf) for leaf in leaves)
            else:
                slopes = torch.autograd.grad(value, leaves)
        else:
            slopes = torch.func.jacfwd(closed, argnums=tuple(range(len(arrays))))(*arrays)
        return slopes if several else slopes[0]


BACKENDS: dict[str, type[Backend]] = {kind.name: kind for kind in (Backend, Strict, Jax, Torch)}


def installed() -> list[str]:
    """Return the names of the libraries that this environment has."""
    return [name for name in BACKENDS if importlib.util.find_spec(name) is not None]
