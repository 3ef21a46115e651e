"""Type names for arrays and namespaces, and names of dtypes, common to all libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .library import Library


Array = Any  # an array of any library; the standard does not define a static type yet
Functions = Any  # the module of array functions of a library


class Namespace(Protocol):
    """``xp``: the functions of the standard and of `special`, for one result dtype."""

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
    def wide(self) -> bool: ...  # whether float32 results are computed in float64
    @property
    def eps(self) -> float: ...  # the spacing of 1 in the dtype of results
    def __getattr__(self, name: str) -> Any: ...


FLOATS = ("float16", "bfloat16", "float32", "float64", "float96", "float128")
WIDE = ("float64", "float96", "float128")  # the last two are NumPy's longdouble
INTEGERS = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))

_NAMES: dict[tuple[type, Any], str] = {}


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype of any library: ``float32``, ``bfloat16``, ``int64``, ..."""
    key = (type(dtype), dtype)  # the type avoids comparing dtypes of two libraries
    name = _NAMES.get(key)
    if name is None:
        name = str(getattr(dtype, "name", None) or str(dtype).rpartition(".")[2].rstrip("'>"))
        _NAMES[key] = name
    return name
