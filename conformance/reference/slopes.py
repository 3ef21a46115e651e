"""Derivatives that are written out, beside differences on both sides of a number."""

from __future__ import annotations

from collections.abc import Callable

from mpmath import mp, mpf

from .arithmetic import magnitude

DIGITS, STEP = 1000, 250


def confirmed(function: Callable[[mpf], mpf], x: mpf, first: mpf, second: mpf) -> bool:
    """Whether both derivatives are those of differences, or the contract's at a kink.

    Where the slope jumps, the contract's is the mean of both sides, or 0 where the loss is, and the
    second is 0. Where the second jumps, it is that of one side.
    """
    with mp.workdps(DIGITS + 4 * magnitude(x)):
        step = (min(abs(x), mpf(1)) or mpf(1)) * mpf(10) ** -STEP
        at = [function(x + k * step) for k in range(-2, 3)]
        slopes = (at[2] - at[1]) / step, (at[3] - at[2]) / step
        bends = [(at[k] - 2 * at[k + 1] + at[k + 2]) / step**2 for k in range(3)]
        middle, sides = bends[1], sorted(bends[::2])
        little = mpf(10) ** -100
        bent = sides[0] - little * abs(middle) <= middle <= sides[1] + little * abs(middle)
        lost = max(map(abs, at)) * mpf(10) ** (50 - mp.dps) / step  # to rounding
        slope, steepest = sum(slopes) / 2, max(map(abs, slopes))
        if abs(middle) * step > little * steepest + lost and not bent:
            return second == 0 and (near(first, slope, lost) or at[2] == first == 0)
        if sides[1] - sides[0] <= little * abs(middle):
            sides = [middle]
        return near(first, slope, lost + step * max(map(abs, bends))) and any(
            near(second, bend, lost / step) for bend in sides
        )


def near(one: mpf, two: mpf, lost: mpf) -> bool:
    """Whether two numbers agree to 45 digits, but for what differences lose."""
    return abs(one - two) <= mpf(10) ** -45 * abs(two) + lost
