"""The dtypes of the cases, and the numbers that they hold."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

FLOATS = ("float16", "bfloat16", "float32", "float64")
WIDE = ("float32", "float64")
INTEGERS = ("int8", "int32", "int64")


def rounded(x: Any, dtype: str) -> Any:
    """The nested numbers, each rounded to nearest even in the dtype; integers stay as they are."""
    if isinstance(x, (list, tuple)):
        return type(x)(rounded(one, dtype) for one in x)
    if dtype not in FLOATS:
        return x
    return to_bfloat16(x) if dtype == "bfloat16" else float(np.dtype(dtype).type(x))


def to_bfloat16(x: float) -> float:
    """The upper half of the float32 bits, after adding half of what is cut off (ties to even)."""
    (bits,) = struct.unpack("<I", struct.pack("<f", x))
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def of_weights(dtype: str) -> str:
    """The dtype of the weights of samples of a dtype."""
    return dtype if dtype in FLOATS else "float32"


def representable(x: float | int, dtype: str) -> bool:
    """Whether the number is exactly one of the dtype's finite numbers."""
    if dtype in FLOATS:
        return math.isfinite(x) and rounded(x, dtype) == x
    limits = np.iinfo(dtype)
    return isinstance(x, int) and limits.min <= x <= limits.max
