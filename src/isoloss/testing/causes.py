"""Likely causes of a disagreement of two array libraries, inferred from its pattern."""

from __future__ import annotations

import math

HALF = ("float16", "bfloat16")
MANY = 2.0**12  # ULP: above the rounding error of a sum of many numbers


def of_gradient(got: float, want: float) -> str:
    """Return the likely cause of different derivatives at one entry."""
    if math.isnan(got) or math.isnan(want):
        return (
            "a root, norm, power or logarithm at its edge, or where() around a branch that is "
            "infinite: choose the argument before the function, and the result after it"
        )
    if math.isinf(got) or math.isinf(want):
        return "an overflow on the way back: exp, or a division by something tiny"
    if not (got and want):
        return "abs at 0: JAX's derivative is 1, PyTorch's 0; maximum(x, -x) has 0 on both"
    ratio = abs(got / want)
    if ratio in (0.5, 2.0):
        return (
            "clip or maximum at a bound: JAX gives half of the derivative, PyTorch's clip all of "
            "it; where(x < low, low, x) says which"
        )
    return ""


def of_value(got: float, want: float, dtype: str) -> str:
    """Return the likely cause of different values at one entry."""
    if math.isfinite(got) == math.isfinite(want):
        return ""
    if dtype in HALF:
        largest = "65504" if dtype == "float16" else "3.4e38"
        return f"{dtype} ends at {largest}: compute in float32, and round the result"
    return "an overflow or 0/0 on the way that one library avoids: exp, a square, log of 0"


def of_distance(got: float, want: float, ulp: float) -> str:
    """Return the likely cause of a distance, from its size alone."""
    if ulp < MANY:
        return (
            "rounding: sums in another order, or a function of the library's own; ulp= is the bound"
        )
    if got and want and math.isfinite(got / want):
        return f"{got / want:.6g} times the other: another formula, or a mean for a sum"
    return ""


def of_dtype(got: str, want: str) -> str:
    """Return the likely cause of different dtypes."""
    return f"promotion: integers, or a scalar with a dtype, made {got} of what is {want}"
