"""Distances in units in the last place, in exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

# significand bits, smallest normal exponent, largest finite number
_FORMATS = {
    "float16": (11, -14, Fraction((2**11 - 1) * 2**5)),
    "bfloat16": (8, -126, Fraction((2**8 - 1) * 2**120)),
    "float32": (24, -126, Fraction((2**24 - 1) * 2**104)),
    "float64": (53, -1022, Fraction((2**53 - 1) * 2**971)),
}


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
    exponent = expected.lower().partition("e")[2]
    exact = Fraction(0 if exponent and int(exponent) < -5000 else expected)
    if not math.isfinite(got):
        overflows = abs(exact) > _FORMATS[dtype][2] + ulp(exact, dtype) / 2
        return 0.0 if overflows and not math.isnan(got) and (got > 0) == (exact > 0) else math.inf
    if flushes and got == 0 and abs(exact) < Fraction(2) ** _FORMATS[dtype][1]:
        return 0.0
    return float(min(abs(Fraction(got) - exact) / ulp(exact, dtype), Fraction(10) ** 300))
