"""What arrays, namespaces and dtypes are called here: by one name, whatever the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .library import Library


Array = Any  # an array of any library; the standard has no static type for it yet
Functions = Any  # a module of array functions, as the library itself has them


class Namespace(Protocol):
    """``xp``: the functions of the standard, and of `special`, for results of one dtype."""

    @property
    def library(self) -> Library: ...
    @property
    def result(self) -> Any: ...  # the dtype of results
    @property
    def result_name(self) -> str: ...
    @property
    def computing(self) -> Any: ...  # the dtype of the computation
    @property
    def computing_name(self) -> str: ...
    @property
    def counting(self) -> Any: ...  # the dtype of counts and labels
    @property
    def wide(self) -> bool: ...  # whether results of float32 are computed in float64
    @property
    def eps(self) -> float: ...  # the spacing of 1 in the dtype of results
    def __getattr__(self, name: str) -> Any: ...


FLOATS = ("float16", "bfloat16", "float32", "float64", "float96", "float128")
WIDE = ("float64", "float96", "float128")  # the last two are NumPy's longdouble
INTEGERS = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))

_NAMES: dict[tuple[type, Any], str] = {}


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype of any library: ``float32``, ``bfloat16``, ``int64``, ..."""
    key = (type(dtype), dtype)  # dtypes of two libraries may hash alike, and must not be compared
    name = _NAMES.get(key)
    if name is None:
        name = str(getattr(dtype, "name", None) or str(dtype).rpartition(".")[2].rstrip("'>"))
        _NAMES[key] = name
    return name
