"""Distance of two arrays in units in the last place (ULP)."""

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
SMALL = 2.0**-4  # of the largest entry; smaller entries may be differences of large numbers


def in_ulp(got: Any, want: Any, dtype: str) -> np.ndarray:
    """Return the distance of two arrays in ULP of a dtype, for each entry.

    If an entry is smaller than 1/16 of the largest entry, the ULP is that of 1/16 of the largest
    entry: the small entry may be a difference of larger numbers. Two nan are equal, and so are
    infinities of the same sign. Any other distance to nan or infinity is infinite.
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
