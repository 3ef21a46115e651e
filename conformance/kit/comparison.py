"""Equality of results up to units in the last place (ULP)."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from .trees import leaves

# significand bits, smallest normal exponent, largest finite number
_FORMATS = {
    "float16": (11, -14, Fraction((2**11 - 1) * 2**5)),
    "bfloat16": (8, -126, Fraction((2**8 - 1) * 2**120)),
    "float32": (24, -126, Fraction((2**24 - 1) * 2**104)),
    "float64": (53, -1022, Fraction((2**53 - 1) * 2**971)),
}
_MOST = 10**300  # ULP that a distance is given as at most
LEAST = 1 / 8  # the size that the largest number of a result is taken to have at least


def ulp(expected: Fraction, dtype: str) -> Fraction:
    """Return the spacing of a format's numbers around an exact number."""
    digits, least, _ = _FORMATS[dtype]
    if expected == 0:
        return Fraction(2) ** (least - digits + 1)
    size = abs(expected)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    return Fraction(2) ** (max(exponent, least) - digits + 1)


def distance(got: float, expected: str, dtype: str, *, flushes: bool = False) -> float:
    """Return how many ULP lie between a result and the exact number written in decimals.

    ``flushes``: the library replaces subnormal numbers by 0, so 0 is right below the normal range.
    """
    if expected in ("nan", "inf", "-inf"):
        want = float(expected)
        return 0.0 if got == want or (math.isnan(got) and math.isnan(want)) else math.inf
    exact, unit = _exact(expected, dtype)
    if not math.isfinite(got):
        overflows = abs(exact) > _FORMATS[dtype][2] + unit / 2
        return 0.0 if overflows and not math.isnan(got) and (got > 0) == (exact > 0) else math.inf
    if flushes and got == 0 and abs(exact) < Fraction(2) ** _FORMATS[dtype][1]:
        return 0.0
    # integers, as the arithmetic of fractions takes a tenth of the time of all comparisons
    numerator, denominator = got.as_integer_ratio()
    apart = abs(numerator * exact.denominator - exact.numerator * denominator) * unit.denominator
    units = denominator * exact.denominator * unit.numerator
    return min(apart, _MOST * units) / units


@functools.lru_cache(maxsize=4096)  # asked for by every mode, one after the other
def _exact(text: str, dtype: str) -> tuple[Fraction, Fraction]:
    """Return a number written in decimals, and its ULP."""
    exponent = text.lower().partition("e")[2]
    exact = Fraction(0 if exponent and int(exponent) < -5000 else text)
    return exact, ulp(exact, dtype)


def close(got: Any, want: Any, ulps: float, size: Any = 0.0) -> None:
    """Assert that results are within some ULP of what is expected, nan and inf in the same places.

    Both are arrays of any library, lists of numbers, or tuples of them, of the same shapes. The
    ULP is that of the dtype of the result; ``want`` has the same dtype or a wider one, never a
    narrower one. It is measured at each number expected, or at ``size`` where that is larger: a
    number, an array, or "largest" for the largest number of each array, of at least 1/8.
    """
    pairs = list(zip(_arrays(got), _arrays(want), strict=True))
    sizes = leaves(size) if isinstance(size, tuple) else [size] * len(pairs)
    for (result, expected), scale in zip(pairs, sizes, strict=True):
        _close_arrays(as_numpy(result), as_numpy(expected), ulps, scale)


def _arrays(tree: Any) -> list[Any]:
    """Return the arrays of a tree; a list of numbers is an array."""
    arrays = leaves(tree)
    numbers = isinstance(tree, list) and all(isinstance(x, (int, float)) for x in arrays)
    return [np.asarray(tree)] if numbers else arrays


def as_numpy(array: Any) -> np.ndarray:
    """Return an array of any library, on any of its devices, as one of NumPy."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    if hasattr(array, "to_device") and "array_api_strict" in type(array).__module__:
        array = array.to_device(type(array.device)("CPU_DEVICE"))
    return np.asarray(array)


def _close_arrays(got: Any, want: Any, ulps: float, size: float | Literal["largest"]) -> None:
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    if want.dtype.kind != "f":
        want = want.astype(np.float64)
    assert np.finfo(want.dtype).eps <= np.finfo(got.dtype).eps, f"{got.dtype} for {want.dtype}"
    finite = np.where(np.isfinite(want), np.abs(want), 0)
    if isinstance(size, str):
        size = np.maximum(np.max(finite, initial=0.0), LEAST)
    scale = np.maximum(finite, size)
    eps = float(np.finfo(got.dtype).eps)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(got.astype(want.dtype) - want)
        right = (got == want) | (apart <= ulps * eps * scale) | (np.isnan(got) & np.isnan(want))
        if np.all(right):
            return
        worst = np.max(np.where(right, 0, apart) / (eps * np.where(scale == 0, 1, scale)))
    raise AssertionError(f"{got!r} is not {want!r}: {worst:.3g} ULP apart, at most {ulps}")
