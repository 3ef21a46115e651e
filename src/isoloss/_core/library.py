"""What the engine must know of an array library, and how the namespace ``xp`` is made of it.

A definition receives one argument ``xp``. It holds every function of the user's own array library,
with what that library changes, and the functions of `special` that the standard lacks: ``xlogy``,
``softplus``, ``lgamma``, ``log_ratio``, ``relative_expm1``, ``log_cosh``, ``stop_gradient``, and
``eps``, the spacing of 1 in the dtype of the result.

What is known of one library stands in a file of ``isoloss.libraries`` that is called as the library
is, and is loaded when one of its arrays arrives.
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


# --- what a library must answer -------------------------------------------------------------------


class Library:
    """What the engine must know of one array library, found once and remembered.

    `PlainLibrary` evaluates definitions as they are written; the files of ``isoloss.libraries``
    say what is different with one library.
    """

    name = "array"
    sorts = True  # whether it sorts along an axis, for the metrics that need the sorted whole
    immediate = False  # whether its arrays are NumPy's own, whose numbers are there to be asked for
    lazy = False  # whether its arrays hold no numbers before they are computed
    yields = False  # whether its arrays are the ones to convert, beside those of another library
    multiplies_halves = True  # whether it has a fast product of matrices of half precision
    # Results that are documented (the inf of an overflow, the nan outside a domain) do not warn.
    quiet: Callable[[], Any] = staticmethod(partial(np.errstate, all="ignore"))

    def __init__(self, raw: Functions) -> None:
        self.raw = raw
        self.of_dtypes: dict[tuple[Any, ...], Namespace | None] = {}  # filled by the short ways
        self.kept: dict[str, Any] = {}  # what an evaluation makes once
        self._namespaces: dict[tuple[str, bool], Namespace] = {}

    # --- its arrays

    def has_float64(self, array: Array) -> bool:
        """Whether the array's device computes in float64."""
        return True

    def widens(self, array: Array) -> bool:
        """Whether float32 data is computed in float64, as it is where blocks stay in a cache."""
        return self.has_float64(array)

    def default_float(self) -> str:
        """Return the name of the dtype that integers become."""
        return "float64"

    def device(self, array: Array) -> Any:
        """Return where the array lives, or None where the library takes care of that itself."""
        return None

    def convert(self, array: np.ndarray, dtype: str, like: Array) -> Array:
        """Bring a NumPy array into this library, beside the array ``like``."""
        return self.raw.asarray(array.astype(dtype), device=array_api_compat.device(like))

    def constant_like(self, dtype: str, numbers: Any, like: Array, /) -> Array:
        """Bring numbers, or an array of the user's, beside an array."""
        if isinstance(numbers, (tuple, list)):
            return self.convert(np.asarray(numbers, dtype="float64"), dtype, like)
        return self.raw.astype(numbers, getattr(self.raw, dtype))

    def cast(self, xp: Namespace, array: Array) -> Array:
        """Bring an array of this library to the dtype of the computation."""
        return xp.astype(array, xp.computing)

    def columns(self, function: Callable[[Any], tuple[Array, Array]], like: Array) -> Any:
        """Call a function for each place of the last axis; stack its two results along it."""
        pairs = [function(k) for k in range(like.shape[-1])]
        return tuple(self.raw.stack(parts, axis=-1) for parts in zip(*pairs, strict=True))

    def absorbs(self, other: Library) -> bool:
        """Whether arrays of another library may stand beside this one's, and are converted."""
        return False

    def refuse(self, array: Array) -> str | None:
        """Say what to do instead, if the array is of a kind that losses cannot take."""
        return None

    def conversion(self, name: str) -> str:
        """Return the code that makes an array of this library of another one's."""
        return f"{name} in {self.name}"

    def laid_out(self, array: Array, like: Array) -> Array:
        """Return an array in the parts of another one of its shape."""
        return array

    def gathers(self, predictions: Array, targets: Array) -> list[Any]:
        """Return the numbers of a small batch as NumPy arrays, where that costs nothing."""
        return []

    def from_gathered(self, numbers: np.ndarray) -> Array:
        """Return numbers that were gathered as an array of this library."""
        return numbers

    def looked_at(self, *arrays: Any) -> bool:
        """Whether something looks at arrays that a pass which writes into them would not serve."""
        return False

    def names_states(self) -> bool:
        """Whether a state may be given a type of its own: not while a compiler looks."""
        return True

    def is_concrete(self, array: Any) -> bool:
        """Whether the numbers of an array are there to be looked at: not those of a tracer."""
        return True

    def without_graph(self) -> AbstractContextManager[Any]:
        """Return a context in which nothing is kept for derivatives."""
        return nullcontext()

    # --- how a metric is evaluated

    def value(self, metric: Metric, call: Call) -> Any:
        """Return what a call of a metric returns."""
        raise NotImplementedError

    def within(self, labels: Array, highest: float) -> bool:
        """Whether labels are known to be from 0 to a highest one; False where asking would wait."""
        return False

    def statistics(self, metrics: Sequence[Metric], inputs: Inputs) -> tuple[Any, ...]:
        """Return the states of several metrics that take the same inputs."""
        raise NotImplementedError

    def terms(self, metric: Metric, inputs: Inputs) -> Array:
        """Return the weighted term of every sample, 0 where it is excluded."""
        raise NotImplementedError

    def fold(self, states: Sequence[Any]) -> Any:
        """Merge the states of one metric."""
        raise NotImplementedError

    def median(self, values: Array, weights: Array) -> Array | None:
        """Return the weighted median along the last axis by a short way; None if there is none."""
        return None

    def places(self, x: Array, y: Array, weights: Array) -> tuple[Array, Array, Array] | None:
        """Return places among sorted numbers by a short way, as `correlation`; None without one."""
        return None

    def balance(self, x: Array, y: Array, weights: Array) -> Array | None:
        """Return the weight of pairs in order less that of others by a short way, or None."""
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

        None where the library does not differentiate: the tape does.
        """
        return None

    def across(self, state: Any, axis_name: Any, group: Any) -> Any:
        """Merge the states of many devices or processes; all receive the result."""
        raise NotImplementedError

    # --- a linear layer under a cross-entropy, see `passes`

    def chunk_arrays(self, plan: PassPlan) -> Arrays:
        """Return how the arrays of a chunk of tokens are changed."""
        raise NotImplementedError

    def gone_through(
        self, plan: PassPlan, needed: Needed, tokens: Tokens
    ) -> tuple[Array, Array, Slopes]:
        """Return the total of the losses, the losses, and the slopes of the total."""
        raise NotImplementedError

    def total_of_tokens(self, plan: PassPlan, tokens: Tokens, rows: Any) -> Array:
        """Return the total of the losses, for what differentiates to differentiate.

        ``rows`` is the plain form of the loss.
        """
        raise NotImplementedError

    # --- for a compiler that may trace the first call

    def makes(self, array: Any) -> bool:
        """Whether an array is one of this library; asked of the libraries with a compiler."""
        return False

    def remembers(self, kind: type) -> bool:
        """Whether a type of arrays may be remembered: not while a compiler looks."""
        return False

    # --- its namespace

    def overrides(self, result: str) -> dict[str, Any]:
        """Return the functions in which this library differs from the generic forms."""
        return {}

    def primitives(self, xp: Namespace) -> dict[str, Any]:
        """Return the primitives over a namespace."""
        functions = {name: entry.value for name, entry in PRIMITIVES.items()}
        functions |= {"logsumexp": logsumexp, "shares": shares}
        return {name: partial(function, xp) for name, function in functions.items()}

    def namespace(self, result: str, wide: bool) -> Namespace:
        """Return ``xp`` for results of one dtype, computed in float64 where ``wide``."""
        found = self._namespaces.get((result, wide))
        if found is None:
            found = self._namespaces.setdefault((result, wide), self._build(result, wide))
        return found

    def _build(self, result: str, wide: bool) -> Namespace:
        return self._over(self.raw, result, wide)

    def _over(self, raw: Functions, result: str, wide: bool) -> Namespace:
        """Make a namespace over the functions of the library."""
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
            # a result that may be there from an earlier pass over the same definition
            "remembered": lambda evaluate: evaluate(),
            # a barrier: a compiler must not share computations across it
            "alone": lambda use, *arrays: arrays,
            "of_each": self.raw.full_like,
            "quotient": operator.truediv,
            # whether a size is a number, not the name of one in a program that is exported
            "is_known": lambda size: type(size) is int,
            "constant": partial(self.constant_like, computing),
            # float32 results summed in float64 have 29 bits to spare, whatever the order
            "total": partial(sum_of_rows if result == computing else sum_directly, raw),
            **self.overrides(computing if result == computing else ""),
        }
        xp.__dict__.update(changed)
        for function in FUNCTIONS:
            name = function.__name__
            if name not in changed:
                # sqrt is written with the library's own sqrt, the others with the changed forms
                setattr(xp, name, partial(function, raw if name == "sqrt" else xp))
        xp.__dict__.update(self.primitives(xp))
        made: Namespace = xp
        return made


# --- which library an array is of -----------------------------------------------------------------

_LIBRARIES: dict[int, Library] = {}
_OF_TYPE: dict[type, Library] = {}
_TRACED: dict[str, Library] = {}  # those of `libraries.TRACED` that are imported
_FOLDER = f"{__name__.rpartition('._core')[0]}.libraries"


def library_of(array: Array) -> Library | None:
    """Return the library of an array, or None for anything that is not an array."""
    known = _OF_TYPE.get(type(array))
    if known is not None:
        return known
    if isinstance(array, (tuple, list, int, float)):  # a compiler must not look into the rest
        return None
    own: Library | None = getattr(array, "isoloss_library", None)  # arrays over arrays: their own
    if own is not None:
        return own
    if isinstance(array, np.generic):
        return None
    if isinstance(array, np.ndarray):
        raw: Functions = np  # array_api_compat.numpy costs 77 ms to import and adds nothing
    else:
        _prepare_traced()
        for traced in tuple(_TRACED.values()):  # another thread may add to them
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
    """Import what is known of one library: its file is called as the library is."""
    return import_module(f"{_FOLDER}.{name}" if name else _FOLDER)


def _library(raw: Functions) -> Library:
    """Return the one object of a library, also to threads that ask for it at the same time."""
    known = _LIBRARIES.get(id(raw))
    if known is None:
        # glibc returns freed arrays to the system from 128 KiB on, so that the pages of every block
        # would be faulted in again, at several times the cost of the work; once a larger array was
        # freed, it keeps what is smaller
        np.empty(12 << 20, dtype=np.uint8)
        name = raw.__name__.removeprefix("array_api_compat.").partition(".")[0]
        if find_spec(f"{_FOLDER}.{name}") is None:
            name = "generic"
        # several threads may get here; the object that is there first serves all of them
        known = _LIBRARIES.setdefault(id(raw), _loaded(name).LIBRARY(raw))
    return known


def _prepare_traced() -> None:
    """Build everything for libraries with a compiler that may trace the first call already."""
    for name in _loaded("").TRACED:
        if name not in _TRACED and name in sys.modules:
            library = _library(_loaded(name).namespace())
            for dtype in (*FLOATS, *INTEGERS):  # remembered before a compiler sees the dictionary
                if hasattr(library.raw, dtype):
                    dtype_name(getattr(library.raw, dtype))
            for result in ("float32", "float64"):
                for wide in (True, False):
                    library.namespace(result, wide)
            _TRACED[name] = library  # last: other threads go on as soon as it is there


# What torch.compiler.assume_constant_result sets, without importing torch for it: a first call
# that is being compiled runs this function, where tracing it would fail.
_prepare_traced._dynamo_marked_constant = True  # type: ignore[attr-defined]


def namespace_of(array: Array, result: Any) -> Namespace:
    """Return ``xp`` for an array of a state, whose results have the dtype ``result``."""
    library = library_of(array)
    if library is None:  # a NumPy scalar: what NumPy's reductions to 0-d return
        library = _library(np)
    widened = library.widens(array) or dtype_name(array.dtype) in WIDE
    return library.namespace(dtype_name(result), widened)
