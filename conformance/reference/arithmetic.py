"""Numbers of 200 digits, alone or nested in lists, and their derivatives by differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mpmath import mp, mpf

# log(cosh(1e-30)) = 5e-61 and sums of 1e60 and 1e-60 lose up to 120 digits when written as in a
# textbook, which is how they are written here; 50 digits must remain.
mp.dps = 200

Function = Callable[[Any], mpf]


def xlogy(x: mpf, y: mpf) -> mpf:
    """x log(y), and its limit 0 at x = 0."""
    return mpf(0) if x == 0 else x * mp.log(y) if y > 0 else -mp.inf * x


# --- nested numbers -------------------------------------------------------------------------------


def exact(x: Any, labels: bool = False) -> Any:
    """The same nested numbers as mpf; labels stay integers."""
    if isinstance(x, (list, tuple)):
        return type(x)(exact(one, labels) for one in x)
    return x if labels and isinstance(x, int) else mpf(x)


def leaves(x: Any) -> list[Any]:
    """The numbers of nested lists and tuples, in order."""
    return [leaf for one in x for leaf in leaves(one)] if isinstance(x, (list, tuple)) else [x]


def rebuilt(like: Any, numbers: Iterator[Any]) -> Any:
    """The numbers in the nesting of another value."""
    if isinstance(like, (list, tuple)):
        return type(like)(rebuilt(one, numbers) for one in like)
    return next(numbers)


def moved(x: Any, place: int, step: mpf) -> Any:
    """The nested numbers, one of them moved."""
    return rebuilt(x, iter([n + step * (i == place) for i, n in enumerate(leaves(x))]))


def magnitude(x: Any) -> int:
    """The most digits that any of the nested numbers is away from 1."""
    sizes = (abs(int(mp.log10(abs(one)))) for one in leaves(x) if one and mp.isfinite(one))
    return max(sizes, default=0)


# --- derivatives ----------------------------------------------------------------------------------


def derivatives(function: Function, p: Any) -> tuple[list[mpf], list[mpf]]:
    """The first and the second derivative by each number, by central differences.

    Far out, and near 0, the second may be smaller than the value by four times as many digits. One
    that is 0 comes out as something small that depends on the step, which no other does.
    """
    first, second = [], []
    with mp.workdps(mp.dps + 4 * magnitude(p)):
        here = function(p)

        def pair(place: int, step: mpf) -> tuple[mpf, mpf]:
            high, low = function(moved(p, place, step)), function(moved(p, place, -step))
            return (high - low) / (2 * step), (high - 2 * here + low) / step**2

        for place, x in enumerate(leaves(p)):
            step = (abs(x) if x and mp.isfinite(x) else mpf(1)) * mpf(10) ** -45
            found = pair(place, step)
            if min(map(abs, found)) < mpf(10) ** -30:
                others = pair(place, 2 * step), pair(place, 3 * step)
                triples = zip(found, *others, strict=True)
                kept = [
                    max(abs(d - e), abs(d - f)) <= mpf(10) ** -30 * abs(d) for d, e, f in triples
                ]
                found = (kept[0] * found[0], kept[1] * found[1])
            first.append(found[0])
            second.append(found[1])
    return first, second
