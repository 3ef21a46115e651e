"""The array libraries under test, each behind the same few verbs."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import Any

Function = Callable[[Any], Any]


class Backend:
    """An array library: how to make its arrays, read them, and differentiate with it."""

    name = "numpy"
    float64 = True  # whether it computes in float64
    flushes = False  # whether it replaces subnormal numbers by 0
    dtypes: tuple[str, ...] = ("float16", "float32", "float64")
    modes = ("isoloss",)  # the ways it differentiates

    def __init__(self) -> None:
        self.xp = importlib.import_module(self.name)

    @property
    def label(self) -> str:
        """What the table of errors calls the library, under the setting it is run in."""
        return self.name

    def array(self, numbers: Any, dtype: str) -> Any:
        return self.xp.asarray(numbers, dtype=getattr(self.xp, dtype))

    def numbers(self, array: Any) -> Any:
        """Return an array as nested lists of Python numbers."""
        return array.tolist()

    def padded(
        self, predictions: Any, targets: Any, options: dict[str, Any]
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Return a batch in a form of which the library has few programs: what is added, masked."""
        return predictions, targets, options

    def dtype(self, array: Any) -> str:
        return str(array.dtype).rpartition(".")[2]

    def gradient(
        self, mode: str, function: Any, predictions: Any, targets: Any, **options: Any
    ) -> Any:
        """Return d function / d predictions, by one of the library's modes."""
        import isoloss

        return isoloss.gradient(function, predictions, targets, **options)


class Strict(Backend):
    """NumPy, refusing what the standard does not promise; its devices are only simulated.

    ``no_float64`` and ``no_x64`` refuse the dtypes of 64 bits, as MPS and TPU do.
    """

    name = "array_api_strict"
    dtypes = ("float32", "float64")

    def __init__(self) -> None:
        super().__init__()
        self.device = self.xp.Device(os.environ.get("ISOLOSS_STRICT_DEVICE", "CPU_DEVICE"))
        self.float64 = "no_" not in str(self.device)
        if not self.float64:
            self.dtypes = self.dtypes[:-1]

    @property
    def label(self) -> str:
        return self.name if self.float64 else f"{self.name} float32"

    def array(self, numbers: Any, dtype: str) -> Any:
        return self.xp.asarray(numbers, dtype=getattr(self.xp, dtype), device=self.device)

    def numbers(self, array: Any) -> Any:
        import numpy as np

        return np.asarray(array.to_device(self.xp.Device("CPU_DEVICE"))).tolist()


class Jax(Backend):
    name = "jax"
    flushes = True
    dtypes = ("float16", "bfloat16", "float32", "float64")
    modes = ("isoloss", "forward", "jitted")  # the first is reverse mode, not compiled
    length = 32  # samples are padded to it: one compilation serves all cases

    @property
    def label(self) -> str:
        return f"{self.name} x64" if self.float64 else self.name

    def __init__(self) -> None:
        self.jax = importlib.import_module("jax")
        self.xp = self.jax.numpy
        self.float64 = bool(self.jax.config.jax_enable_x64)
        if not self.float64:
            self.dtypes = self.dtypes[:-1]

        def derivative(transform: Any) -> Any:
            def compiled(metric: Any, p: Any, t: Any, weights: Any, where: Any) -> Any:
                return transform(lambda q: metric(q, t, weights=weights, where=where))(p)

            return self.jax.jit(compiled, static_argnums=0)

        self.compiled = {
            "forward": derivative(self.jax.jacfwd),
            "jitted": derivative(self.jax.grad),
        }

    def gradient(
        self, mode: str, function: Any, predictions: Any, targets: Any, **options: Any
    ) -> Any:
        if mode == "isoloss":
            return super().gradient(mode, function, predictions, targets, **options)
        p, t, options = self.padded(predictions, targets, options)
        found = self.compiled[mode](function, p, t, options["weights"], options["where"])
        return found[: len(targets)]

    def padded(
        self, predictions: Any, targets: Any, options: dict[str, Any]
    ) -> tuple[Any, Any, dict[str, Any]]:
        samples, xp = len(targets), self.xp
        if "where" in options:  # padded already
            return predictions, targets, options

        def longer(array: Any) -> Any:
            shape = (self.length - samples, *array.shape[1:])
            return xp.concatenate([array, xp.ones(shape, array.dtype)])

        weights = longer(options.get("weights", xp.ones(samples, xp.float32)))
        where = xp.arange(self.length) < samples
        return longer(predictions), longer(targets), {"weights": weights, "where": where}


class Torch(Backend):
    name = "torch"
    dtypes = ("float16", "bfloat16", "float32", "float64")
    modes = ("isoloss", "reverse", "func", "forward")

    def __init__(self) -> None:
        super().__init__()
        default = os.environ.get("ISOLOSS_DTYPE", "float32")
        self.xp.set_default_dtype(getattr(self.xp, default))

    def array(self, numbers: Any, dtype: str) -> Any:
        return self.xp.tensor(
            numbers, dtype=self.xp.float64 if dtype.startswith(("float", "bfloat")) else None
        ).to(getattr(self.xp, dtype))

    def numbers(self, array: Any) -> Any:
        return array.detach().tolist()

    def gradient(
        self, mode: str, function: Any, predictions: Any, targets: Any, **options: Any
    ) -> Any:
        torch = self.xp
        closed = lambda p: function(p, targets, **options)  # noqa: E731
        if mode == "isoloss":
            return super().gradient(mode, function, predictions, targets, **options)
        if mode == "reverse":
            leaf = predictions.clone().requires_grad_()
            return torch.autograd.grad(closed(leaf), leaf)[0]
        return (torch.func.grad if mode == "func" else torch.func.jacfwd)(closed)(predictions)


BACKENDS: dict[str, type[Backend]] = {kind.name: kind for kind in (Backend, Strict, Jax, Torch)}


def installed() -> list[str]:
    """Return the names of the libraries that this environment has."""
    return [name for name in BACKENDS if importlib.util.find_spec(name) is not None]
