"""How far two arrays are apart, in units in the last place."""

from __future__ import annotations

from typing import Any

import numpy as np

# digits of the significand, exponent of the smallest normal number
FORMATS = {
    "float16": (11, -14),
    "bfloat16": (8, -126),
    "float32": (24, -126),
    "float64": (53, -1022),
}
SMALL = 2.0**-4  # of the largest: what was subtracted is larger than what is left


def in_ulp(got: Any, want: Any, dtype: str) -> np.ndarray:
    """Return how many ULP of a dtype lie between numbers, entry by entry.

    Of an entry that is less than 1/16 of the largest, in ULP of that: it may be a difference
    of numbers as large. Two nan are equal, and so are infinite numbers of one sign. The
    distance to nan or to infinity is infinite.
    """
    a, b = (np.asarray(x, dtype=np.float64) for x in (got, want))
    finite = np.isfinite(a) & np.isfinite(b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    sizes = np.abs(np.where(finite, b, 0.0))
    sizes = np.maximum(sizes, SMALL * sizes.max(initial=0.0))
    digits, least = FORMATS[dtype]
    exponents = np.maximum(np.frexp(sizes)[1] - 1, least)
    apart = np.abs(np.where(finite, a, 0.0) - np.where(finite, b, 0.0))
    scaled = np.ldexp(apart, digits - 1 - exponents)
    return np.where(same, 0.0, np.where(finite, scaled, np.inf))
