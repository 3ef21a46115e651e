"""The interface of an array library to the engine, and the construction of the namespace ``xp``.

A definition receives one argument ``xp``. It contains every function of the user's array library,
with the changes that this library needs, and functions of `special` that the standard lacks, such
as ``xlogy``, ``softplus``, ``lgamma``, ``log_ratio``, ``relative_expm1``, ``log_cosh`` and
``stop_gradient``. ``xp.eps`` is the spacing of 1 in the dtype of the result.

The module of ``isoloss.libraries`` with the name of a library implements the interface. It is
imported with the first array of that library.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import array_api_compat
import numpy as np

from .primitives import PRIMITIVES, logsumexp, shares
from .special import FUNCTIONS, either, sum_directly, sum_of_rows, where
from .types import FLOATS, INTEGERS, WIDE, Array, Functions, Namespace, dtype_name

if TYPE_CHECKING:
    from .calls import Call
    from .inputs import Inputs
    from .metric import Metric
    from .passes import Arrays, Needed, PassPlan, Slopes, Tokens

_EPS = {"float32": 2.0**-23, "float64": 2.0**-52}


# --- the interface of a library -------------------------------------------------------------------


class Library:
    """The interface of one array library; there is one object per library.

    `PlainLibrary` evaluates definitions as written; the modules of ``isoloss.libraries`` override
    what differs for one library.
    """

    name = "array"
    sorts = True  # whether it sorts along an axis, for metrics of sorted samples
    immediate = False  # whether its arrays are NumPy arrays, whose values can be read at once
    lazy = False  # whether its arrays have no values until they are computed
    yields = False  # whether its arrays are converted when mixed with another library
    multiplies_halves = True  # whether it has a fast matrix product in half precision
    # Documented results (inf on overflow, nan outside a domain) do not warn.
    quiet: Callable[[], Any] = staticmethod(partial(np.errstate, all="ignore"))

    def __init__(self, raw: Functions) -> None:
        self.raw = raw
        self.of_dtypes: dict[tuple[Any, ...], Namespace | None] = {}  # a cache of the fast paths
        self.cache: dict[str, Any] = {}  # objects that an evaluation creates once
        self._namespaces: dict[tuple[str, bool], Namespace] = {}

    # --- its arrays

    def has_float64(self, array: Array) -> bool:
        """Whether the device of the array supports float64."""
        return True

    def widens(self, array: Array) -> bool:
        """Whether float32 data is computed in float64, as with blocks that fit a cache."""
        return self.has_float64(array)

    def default_float(self) -> str:
        """Return the name of the dtype that integers become."""
        return "float64"

    def device(self, array: Array) -> Any:
        """Return the device of the array, or None if the library checks devices itself."""
        return None

    def convert(self, array: np.ndarray, dtype: str, like: Array) -> Array:
        """Convert a NumPy array to this library, on the device of ``like``."""
        return self.raw.asarray(array.astype(dtype), device=array_api_compat.device(like))

    def constant_like(self, dtype: str, numbers: Any, like: Array, /) -> Array:
        """Convert numbers, or an array of the user, to an array on the device of ``like``."""
        if isinstance(numbers, (tuple, list)):
            return self.convert(np.asarray(numbers, dtype="float64"), dtype, like)
        return self.raw.astype(numbers, getattr(self.raw, dtype))

    def cast(self, xp: Namespace, array: Array) -> Array:
        """Convert an array of this library to the dtype of the computation."""
        return xp.astype(array, xp.computing)

    def columns(self, function: Callable[[Any], tuple[Array, Array]], like: Array) -> Any:
        """Call a function for each index of the last axis; stack its two results along it."""
        pairs = [function(k) for k in range(like.shape[-1])]
        return tuple(self.raw.stack(parts, axis=-1) for parts in zip(*pairs, strict=True))

    def absorbs(self, other: Library) -> bool:
        """Whether arrays of another library are accepted beside this one's, and converted."""
        return False

    def refuse(self, array: Array) -> str | None:
        """Return a remedy if the array is of an unsupported kind, else None."""
        return None

    def conversion(self, name: str) -> str:
        """Return the code that converts an array of another library to this one."""
        return f"{name} in {self.name}"

    def laid_out(self, array: Array, like: Array) -> Array:
        """Return an array with the layout, such as the chunks, of another of its shape."""
        return array

    def gathers(self, predictions: Array, targets: Array) -> list[Any]:
        """Return a small batch as NumPy arrays if that is free, else an empty list."""
        return []

    def from_gathered(self, numbers: np.ndarray) -> Array:
        """Return gathered numbers as an array of this library."""
        return numbers

    def looked_at(self, *arrays: Any) -> bool:
        """Whether a transform observes the arrays, so that passes must not write in place."""
        return False

    def names_states(self) -> bool:
        """Whether a state may get its own type: not while a compiler traces."""
        return True

    def is_concrete(self, array: Any) -> bool:
        """Whether the values of an array can be read: not those of a tracer."""
        return True

    def without_graph(self) -> AbstractContextManager[Any]:
        """Return a context in which no graph is recorded for derivatives."""
        return nullcontext()

    # --- evaluation

    def value(self, metric: Metric, call: Call) -> Any:
        """Return the value of a call of a metric."""
        raise NotImplementedError

    def within(self, labels: Array, highest: float) -> bool:
        """Whether labels are known to be in range; False if the check would synchronise."""
        return False

    def statistics(self, metrics: Sequence[Metric], inputs: Inputs) -> tuple[Any, ...]:
        """Return the states of several metrics that take the same inputs."""
        raise NotImplementedError

    def terms(self, metric: Metric, inputs: Inputs) -> Array:
        """Return the weighted term of every sample; excluded samples have 0."""
        raise NotImplementedError

    def fold(self, states: Sequence[Any]) -> Any:
        """Merge the states of one metric."""
        raise NotImplementedError

    def median(self, values: Array, weights: Array) -> Array | None:
        """Return the weighted median along the last axis by a fast path; None without one."""
        return None

    def places(self, x: Array, y: Array, weights: Array) -> tuple[Array, Array, Array] | None:
        """Return positions among sorted numbers by a fast path; None without one."""
        return None

    def balance(self, x: Array, y: Array, weights: Array) -> Array | None:
        """Return the weight of concordant minus discordant pairs by a fast path, or None."""
        return None

    def differentiated(
        self,
        function: Callable[..., Array],
        metric: Any,
        predictions: Any,
        targets: Any,
        options: dict[str, Any],
    ) -> tuple[Any, Any] | None:
        """Return value and gradient of ``function(metric, predictions, targets, **options)``.

        None if the library does not differentiate: then the tape does.
        """
        return None

    def across(self, state: Any, axis_name: Any, group: Any) -> Any:
        """Merge the states of several devices or processes; each receives the result."""
        raise NotImplementedError

    # --- a linear layer under a cross-entropy, see `passes`

    def chunk_arrays(self, plan: PassPlan) -> Arrays:
        """Return the operations on the arrays of a chunk of tokens."""
        raise NotImplementedError

    def gone_through(
        self, plan: PassPlan, needed: Needed, tokens: Tokens
    ) -> tuple[Array, Array, Slopes]:
        """Return the total of the losses, the losses and the slopes of the total."""
        raise NotImplementedError

    def total_of_tokens(self, plan: PassPlan, tokens: Tokens, rows: Any) -> Array:
        """Return the total of the losses in a form that autodiff can differentiate.

        ``rows`` is the generic form of the loss.
        """
        raise NotImplementedError

    # --- for a compiler that may trace the first call

    def makes(self, array: Any) -> bool:
        """Whether an array belongs to this library; used for libraries with a compiler."""
        return False

    def remembers(self, kind: type) -> bool:
        """Whether a type of arrays may be cached: not while a compiler traces."""
        return False

    # --- its namespace

    def overrides(self, result: str) -> dict[str, Any]:
        """Return the functions that replace generic forms for this library."""
        return {}

    def primitives(self, xp: Namespace) -> dict[str, Any]:
        """Return the primitives over a namespace."""
        functions = {name: entry.value for name, entry in PRIMITIVES.items()}
        functions |= {"logsumexp": logsumexp, "shares": shares}
        return {name: partial(function, xp) for name, function in functions.items()}

    def namespace(self, result: str, wide: bool) -> Namespace:
        """Return ``xp`` for results of one dtype, computed in float64 where ``wide``."""
        xp = self._namespaces.get((result, wide))
        if xp is None:
            xp = self._namespaces.setdefault((result, wide), self._build(result, wide))
        return xp

    def _build(self, result: str, wide: bool) -> Namespace:
        return self._over(self.raw, result, wide)

    def _over(self, raw: Functions, result: str, wide: bool) -> Namespace:
        """Make a namespace from the functions of the library."""
        xp: Any = ModuleType(f"isoloss.{self.name}")
        xp.__dict__.update({k: v for k, v in vars(raw).items() if not k.startswith("__")})
        computing = "float64" if wide and result == "float32" else result
        changed: dict[str, Any] = {
            "library": self,
            "quiet": self.quiet,
            "wide": wide and result == "float32",
            "result": getattr(raw, result),
            "result_name": result,
            "computing_name": computing,
            "computing": getattr(raw, computing),
            "counting": raw.int64 if wide or result != "float32" else raw.int32,
            "eps": _EPS.get(result) or float(np.finfo(result).eps),
            "where": partial(where, raw, getattr(raw, computing)),
            "maximum": partial(either, raw.maximum, raw),
            "minimum": partial(either, raw.minimum, raw),
            "stop_gradient": lambda x: x,
            # returns the result of an earlier pass over the same definition, if there was one
            "remembered": lambda evaluate: evaluate(),
            # a barrier: compilers must not share computations across it
            "alone": lambda use, *arrays: arrays,
            "of_each": self.raw.full_like,
            "quotient": operator.truediv,
            # whether a size is a number, not a symbol of an exported program
            "is_known": lambda size: type(size) is int,
            "constant": partial(self.constant_like, computing),
            # float32 results summed in float64 have 29 spare bits, in any order of summation
            "total": partial(sum_of_rows if result == computing else sum_directly, raw),
            **self.overrides(computing if result == computing else ""),
        }
        xp.__dict__.update(changed)
        for function in FUNCTIONS:
            name = function.__name__
            if name not in changed:
                # sqrt calls the library's own sqrt; other functions call the replaced forms
                setattr(xp, name, partial(function, raw if name == "sqrt" else xp))
        xp.__dict__.update(self.primitives(xp))
        namespace: Namespace = xp
        return namespace


# --- the library of an array ----------------------------------------------------------------------

_LIBRARIES: dict[int, Library] = {}
_OF_TYPE: dict[type, Library] = {}
_TRACED: dict[str, Library] = {}  # the imported libraries of `libraries.TRACED`
_FOLDER = f"{__name__.rpartition('._core')[0]}.libraries"


def library_of(array: Array) -> Library | None:
    """Return the library of an array, or None for anything that is not an array."""
    known = _OF_TYPE.get(type(array))
    if known is not None:
        return known
    if isinstance(array, (tuple, list, int, float)):  # a compiler must not trace the rest
        return None
    carried: Library | None = getattr(array, "isoloss_library", None)  # of a carrier
    if carried is not None:
        return carried
    if isinstance(array, np.generic):
        return None
    if isinstance(array, np.ndarray):
        raw: Functions = np  # array_api_compat.numpy costs 77 ms to import and adds nothing
    else:
        _prepare_traced()
        for traced in tuple(_TRACED.values()):  # a copy: another thread may add to it
            if traced.makes(array):
                if traced.remembers(type(array)):
                    _OF_TYPE[type(array)] = traced
                return traced
        if not array_api_compat.is_array_api_obj(array):
            return None
        raw = array_api_compat.array_namespace(array)
    library = _OF_TYPE[type(array)] = _library(raw)
    return library


@cache
def _loaded(name: str) -> Any:
    """Import the module of a library; it has the name of the library."""
    return import_module(f"{_FOLDER}.{name}" if name else _FOLDER)


def _library(raw: Functions) -> Library:
    """Return the single object of a library; concurrent threads receive the same object."""
    known = _LIBRARIES.get(id(raw))
    if known is None:
        # glibc returns freed arrays of 128 KiB and more to the system. The pages of every block are
        # then faulted in again, at several times the cost of the computation. After a larger array
        # is freed, glibc keeps smaller ones.
        np.empty(12 << 20, dtype=np.uint8)
        name = raw.__name__.removeprefix("array_api_compat.").partition(".")[0]
        if find_spec(f"{_FOLDER}.{name}") is None:
            name = "generic"
        # several threads may arrive here; all of them use the first object
        known = _LIBRARIES.setdefault(id(raw), _loaded(name).LIBRARY(raw))
    return known


def _prepare_traced() -> None:
    """Prepare libraries whose compiler may trace the first call already."""
    for name in _loaded("").TRACED:
        if name not in _TRACED and name in sys.modules:
            library = _library(_loaded(name).namespace())
            for dtype in (*FLOATS, *INTEGERS):  # cached before a compiler traces the dictionary
                if hasattr(library.raw, dtype):
                    dtype_name(getattr(library.raw, dtype))
            for result in ("float32", "float64"):
                for wide in (True, False):
                    library.namespace(result, wide)
            _TRACED[name] = library  # last, because other threads use it at once


# The attribute that torch.compiler.assume_constant_result sets, without importing torch: a compiled
# first call runs this function instead of tracing it, which would fail.
_prepare_traced._dynamo_marked_constant = True  # type: ignore[attr-defined]


def namespace_of(array: Array, result: Any) -> Namespace:
    """Return ``xp`` for an array of a state, whose results have the dtype ``result``."""
    library = library_of(array)
    if library is None:  # a NumPy scalar, as from a reduction to 0-d
        library = _library(np)
    widened = library.widens(array) or dtype_name(array.dtype) in WIDE
    return library.namespace(dtype_name(result), widened)
