"""The array libraries under test, each behind the same few verbs."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from . import programs
from .trees import Tree, tree_map

if TYPE_CHECKING:
    from .records import Case


class Backend:
    """An array library: how to make its arrays, read them, and differentiate with it."""

    name = "numpy"
    float64 = True  # whether it computes in float64
    widens = True  # whether it computes in float64 what is narrower
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

    def stored(self, numbers: Any, dtype: str) -> Any:
        """Return stored numbers as an array that `evaluated` takes."""
        return self.array(numbers, dtype)

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

    def evaluated(self, cases: Sequence[Case]) -> Iterable[tuple[Any, dict[str, Any]]]:
        """Return the value of every case, and its gradient by each of the library's modes."""
        for case in cases:
            given = (case.metric, case.predictions, case.targets)
            # all ways once, in the dtype that is computed in
            modes = self.modes if case.dtype == self.widest else self.modes[:1]
            slopes = {
                mode: self.gradient(mode, *given, **case.options)
                for mode in modes
                if case.differentiated
            }
            yield case.metric(*given[1:], **case.options), slopes

    def rare(self, cases: Sequence[Case]) -> list[bool]:
        """Tell which cases are too few for what they cost in every run."""
        return [False] * len(cases)

    def bent(self, cases: Sequence[Case]) -> Iterable[tuple[Tree, Tree]]:
        """Return the first and the second derivatives of the terms of every case."""
        import isoloss

        return (isoloss.gradient_hessian(c.metric, c.predictions, c.targets) for c in cases)


class Strict(Backend):
    """NumPy, refusing what the standard does not promise; its devices are only simulated.

    ``no_float64`` and ``no_x64`` refuse the dtypes of 64 bits, as MPS and TPU do. What is converted
    is measured with NumPy: here each device has the cases of the dtype that it computes in.
    """

    name = "array_api_strict"

    def __init__(self, device: str | None = None) -> None:
        super().__init__()
        device = device or os.environ.get("ISOLOSS_STRICT_DEVICE", "CPU_DEVICE")
        self.device = self.xp.Device(device)
        self.float64 = self.widens = "no_" not in str(self.device)
        self.dtypes = (self.widest,)

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

    # XLA rewrites and fuses a program as ever, which is what can go wrong at an edge. Machine code
    # is not optimised, nor made by way of MLIR, nor in parts: all that takes ten times as long.
    QUICK: ClassVar[dict[str, Any]] = {
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
        self.float64 = self.widens = bool(self.jax.config.jax_enable_x64)
        # half precision is converted, whatever the setting, and measured under the first
        self.dtypes = self.dtypes[2:] if self.float64 else self.dtypes[:-1]

    def array(self, numbers: Any, dtype: str) -> Any:
        return self.xp.asarray(np.asarray(numbers, dtype=getattr(self.xp, dtype)))

    def stored(self, numbers: Any, dtype: str) -> Any:
        return np.asarray(numbers, self.widest if "float" in dtype else "int64")

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self.jax.jit(function, compiler_options=self.QUICK)

    def rare(self, cases: Sequence[Case]) -> list[bool]:
        # with x64, hyper-parameters are traced: one program serves all numbers
        return super().rare(cases) if self.float64 else programs.rare(self, cases)

    def evaluated(self, cases: Sequence[Case]) -> Iterable[tuple[Any, dict[str, Any]]]:
        return programs.evaluated(self, cases)

    def bent(self, cases: Sequence[Case]) -> Iterable[tuple[Tree, Tree]]:
        return programs.bent(self, cases)


class Torch(Backend):
    name = "torch"
    widens = False  # sums alone
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
