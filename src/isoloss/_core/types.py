"""What arrays, namespaces and dtypes are called here: by one name, whatever the library."""

from __future__ import annotations

from typing import Any

Array = Any  # an array of any library; the standard has no static type for it yet
Namespace = Any  # a module of array functions

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
