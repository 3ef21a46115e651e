"""The compared array libraries: their arrays, derivatives and transforms.

A library is imported when it is used. A transform takes a function and the arrays of its call.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from .._core.metric import Metric
from ..derivatives import gradient

Function = Callable[..., Any]
Places = tuple[int, ...]


def total(result: Any) -> Any:
    """Return the sum of all numbers of a result, the scalar that is differentiated."""
    if isinstance(result, Mapping):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        first, *others = map(total, result)
        return sum(others, first)
    return result.sum() if getattr(result, "ndim", 0) else result


class ArrayLibrary:
    """An array library: makes and reads its arrays, differentiates and transforms functions."""

    name = "numpy"
    module = "numpy"
    dtypes: tuple[str, ...] = ("float16", "float32", "float64")

    def __init__(self) -> None:
        self.xp: Any = importlib.import_module(self.module)

    def setting(self, dtype: str) -> AbstractContextManager[Any]:
        """Return a context in which the library supports a dtype."""
        return nullcontext()

    def namespace(self) -> Any:
        """Return the array API namespace of the library."""
        return array_namespace(self.array(np.zeros(1), "float32"))

    def array(self, numbers: np.ndarray, dtype: str | None) -> Any:
        """Return an array in a dtype; None keeps the dtype of the numbers."""
        return self.xp.asarray(numbers, dtype=None if dtype is None else getattr(self.xp, dtype))

    def numbers(self, array: Any) -> np.ndarray:
        """Return an array as a float64 NumPy array."""
        found = np.asarray(array)
        if found.dtype.kind not in "fiub" and found.dtype.name != "bfloat16":
            raise TypeError(f"a result has dtype {found.dtype}: real numbers are compared")
        return found.astype(np.float64)

    def dtype(self, array: Any) -> str:
        """Return the name of a dtype."""
        return str(getattr(array, "dtype", type(array).__name__)).rpartition(".")[2]

    def device(self, array: Any) -> str:
        """Return the name of a device; empty for a Python number."""
        return str(getattr(array, "device", ""))

    def default(self, dtype: str) -> str:
        """Return the dtype that replaces a dtype disabled by the settings of the library."""
        return dtype

    def gradients(self) -> dict[str, Callable[[Function, tuple[Any, ...], Places], Any]]:
        """Return the modes of differentiation by name."""
        return {}

    def hessian(self, function: Function, arrays: tuple[Any, ...], place: int) -> Any:
        """Return the Hessian with respect to one argument; None without autodiff."""
        return None

    def transforms(self) -> dict[str, Callable[[Function, tuple[Any, ...]], Any]]:
        """Return the transforms by name; each must give the result of a plain call."""
        return {}


class NumPy(ArrayLibrary):
    """NumPy, where only metrics of isoloss are differentiated."""

    def gradients(self) -> dict[str, Any]:
        def of_metric(function: Function, arrays: tuple[Any, ...], places: Places) -> Any:
            if not isinstance(function, Metric) or places != (0,):
                return None
            return (gradient(function, *arrays),)

        return {"isoloss": of_metric}


class Strict(ArrayLibrary):
    """NumPy restricted to the array API standard."""

    name = module = "array_api_strict"
    dtypes = ("float32", "float64")


class Dask(ArrayLibrary):
    """Dask arrays of two chunks, computed for the comparison."""

    name, module = "dask", "dask.array"

    def array(self, numbers: np.ndarray, dtype: str | None) -> Any:
        array = super().array(numbers, dtype)
        return array.rechunk({0: -(-array.shape[0] // 2)}) if array.ndim else array


class JAX(ArrayLibrary):
    """JAX: reverse and forward mode, plain and compiled; supports float64 with any setting."""

    name, module = "jax", "jax.numpy"
    dtypes = ("float16", "bfloat16", "float32", "float64")

    def __init__(self) -> None:
        super().__init__()
        self.jax = importlib.import_module("jax")
        self._derivatives: dict[tuple[str, int, Places], Function] = {}

    @contextmanager
    def setting(self, dtype: str) -> Iterator[None]:
        """Enable x64 for float64."""
        config, before = self.jax.config, self.jax.config.jax_enable_x64
        config.update("jax_enable_x64", before or dtype == "float64")
        try:
            yield
        finally:
            config.update("jax_enable_x64", before)

    def default(self, dtype: str) -> str:
        narrow = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
        return dtype if self.jax.config.jax_enable_x64 else narrow.get(dtype, dtype)

    def array(self, numbers: np.ndarray, dtype: str | None) -> Any:
        return super().array(numbers, dtype or self.default(numbers.dtype.name))

    def gradients(self) -> dict[str, Any]:
        jax = self.jax

        def by(name: str, transform: Any, compiled: bool) -> Any:
            def way(function: Function, arrays: tuple[Any, ...], places: Places) -> Any:
                key = name, id(function), places
                if key not in self._derivatives:  # further points reuse the compiled program
                    derivative = transform(lambda *a: total(function(*a)), argnums=places)
                    self._derivatives[key] = jax.jit(derivative) if compiled else derivative
                return self._derivatives[key](*arrays)

            return way

        return {
            "reverse": by("reverse", jax.grad, False),
            "forward": by("forward", jax.jacfwd, False),
            "reverse, jit": by("reverse, jit", jax.grad, True),
            "forward, jit": by("forward, jit", jax.jacfwd, True),
        }

    def hessian(self, function: Function, arrays: tuple[Any, ...], place: int) -> Any:
        return self.jax.hessian(lambda *a: total(function(*a)), argnums=place)(*arrays)

    def transforms(self) -> dict[str, Any]:
        jax = self.jax

        def export(function: Function, arrays: tuple[Any, ...]) -> Any:
            exported = importlib.import_module("jax.export").export(jax.jit(function))(*arrays)
            return exported.call(*arrays)

        def sharded(function: Function, arrays: tuple[Any, ...]) -> Any:
            devices = jax.device_count()
            mesh = jax.make_mesh((devices,), ("batch",))
            named, spec = jax.sharding.NamedSharding, jax.sharding.PartitionSpec

            def placed(array: Any) -> Any:
                even = array.ndim and array.shape[0] % devices == 0
                return jax.device_put(array, named(mesh, spec("batch") if even else spec()))

            return jax.jit(function)(*map(placed, arrays))

        return {
            "jit": lambda function, arrays: jax.jit(function)(*arrays),
            "vmap": lambda function, arrays: jax.vmap(function)(*arrays),
            "export": export,
            "sharded": sharded,
        }


class PyTorch(ArrayLibrary):
    """PyTorch: autograd, torch.func in both modes, torch.compile and torch.export."""

    name = module = "torch"
    dtypes = ("float16", "bfloat16", "float32", "float64")

    @contextmanager
    def setting(self, dtype: str) -> Iterator[None]:
        """Disable the trace log, which would add thousands of lines to a failed test's report."""
        log = logging.getLogger("torch.__trace")
        log.disabled, before = True, log.disabled
        try:
            yield
        finally:
            log.disabled = before

    def array(self, numbers: np.ndarray, dtype: str | None) -> Any:
        tensor = self.xp.from_numpy(np.array(numbers))
        return tensor if dtype is None else tensor.to(getattr(self.xp, dtype))

    def numbers(self, array: Any) -> np.ndarray:
        if not isinstance(array, self.xp.Tensor):
            return super().numbers(array)
        return np.asarray(array.detach().cpu().to(self.xp.float64).numpy())

    def gradients(self) -> dict[str, Any]:
        torch = self.xp

        def reverse(function: Function, arrays: tuple[Any, ...], places: Places) -> Any:
            leaves = [
                a.clone().requires_grad_() if k in places else a for k, a in enumerate(arrays)
            ]
            value = total(function(*leaves))
            wanted = [leaves[k] for k in places]
            if not value.requires_grad:
                return tuple(map(torch.zeros_like, wanted))
            found = torch.autograd.grad(value, wanted, allow_unused=True)
            pairs = zip(found, wanted, strict=True)
            return tuple(torch.zeros_like(x) if g is None else g for g, x in pairs)

        def by(transform: Any) -> Any:
            def way(function: Function, arrays: tuple[Any, ...], places: Places) -> Any:
                return transform(lambda *a: total(function(*a)), argnums=places)(*arrays)

            return way

        return {
            "reverse": reverse, "torch.func": by(torch.func.grad), "forward": by(torch.func.jacfwd)
        }  # fmt: skip

    def hessian(self, function: Function, arrays: tuple[Any, ...], place: int) -> Any:
        return self.xp.func.hessian(lambda *a: total(function(*a)), argnums=place)(*arrays)

    def transforms(self) -> dict[str, Any]:
        torch = self.xp

        def compiled(function: Function, arrays: tuple[Any, ...]) -> Any:
            # trace and rewrite only: generating code needs a C++ compiler, which may be missing
            torch.compiler.reset()
            whole = torch.compile(lambda *a: function(*a), fullgraph=True, backend="aot_eager")
            return whole(*arrays)

        def export(function: Function, arrays: tuple[Any, ...]) -> Any:
            class Module(torch.nn.Module):  # type: ignore[misc, name-defined]
                def forward(self, *a: Any) -> Any:
                    return function(*a)

            return torch.export.export(Module(), arrays).module()(*arrays)

        return {
            "compile": compiled,
            "vmap": lambda function, arrays: torch.func.vmap(function)(*arrays),
            "export": export,
        }


LIBRARIES: dict[str, type[ArrayLibrary]] = {
    kind.name: kind for kind in (NumPy, Strict, Dask, JAX, PyTorch)
}
UNLESS_NAMED = (NumPy.name, JAX.name, PyTorch.name)
"""What is compared where no library is named."""


def installed() -> list[str]:
    """Return the names of the installed libraries."""
    return [name for name in LIBRARIES if importlib.util.find_spec(name) is not None]


def compared(among: Sequence[str] | None = None) -> list[str]:
    """Return the installed libraries among the named ones, or among the default ones."""
    return [name for name in installed() if name in (UNLESS_NAMED if among is None else among)]
