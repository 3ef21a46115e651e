"""Robust losses at high precision, from the literature.

Each term is written as in a textbook, and again by another formula: the integral of the derivative
in another closed form, a hyperbolic function.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

from mpmath import mp, mpf

from .arithmetic import magnitude
from .definition import Mean, Special, integers
from .drawing import normal
from .rounding import WIDE

Formula = Callable[..., mpf]


def of_residual(formula: Formula) -> Formula:
    """A term of p and y from a formula of e = p - y, with digits enough for what cancels in it."""

    def term(p: mpf, y: mpf, **parameters: Any) -> mpf:
        e = p - y
        with mp.workdps(mp.dps + 4 * magnitude(e)):
            return formula(e, **parameters)

    return term


# --- Barron's family ------------------------------------------------------------------------------


def barron(e: mpf, *, alpha: float = 1.0, scale: float = 1.0) -> mpf:
    """Barron (2019), equations 8 and 9."""
    x, a = e / mpf(scale), mpf(alpha)
    if a == 2:
        return x**2 / 2
    if a == 0:
        return mp.log(x**2 / 2 + 1)
    if a == -mp.inf:
        return 1 - mp.exp(-(x**2) / 2)
    b = abs(a - 2)
    return b / a * ((x**2 / b + 1) ** (a / 2) - 1)


def barron_integral(e: mpf, *, alpha: float = 1.0, scale: float = 1.0) -> mpf:
    """The integral of x (x^2 / b + 1)^(alpha / 2 - 1): Gauss's function, Kummer's in the limit.

    Its series would be long far out. There x / sqrt(b) = sinh(t), and exp(2 y) - 1 is
    2 exp(y) sinh(y) for y = alpha log(cosh(t)) / 2.
    """
    x, a = e / mpf(scale), mpf(alpha)
    b = abs(a - 2)
    if a == 2:
        return x * x / 2
    with mp.workdps(80):  # nothing cancels
        if a == -mp.inf:
            return x**2 / 2 * mp.hyp1f1(1, 2, -(x**2) / 2)
        if abs(x) < 1000:
            return x**2 / 2 * mp.hyp2f1(1 - a / 2, 1, 2, -(x**2) / b)
        log = mp.log(mp.cosh(mp.asinh(x / mp.sqrt(b))))
        return 2 * b / a * mp.exp(a * log / 2) * mp.sinh(a * log / 2) if a else b * log


def charbonnier(e: mpf, *, scale: float = 1.0) -> mpf:
    """Barron (2019), table of special cases, alpha = 1."""
    return mp.sqrt((e / mpf(scale)) ** 2 + 1) - 1


def charbonnier_angle(e: mpf, *, scale: float = 1.0) -> mpf:
    """cosh(t) - 1 = 2 sinh(t / 2)^2, where x = sinh(t)."""
    return 2 * mp.sinh(mp.asinh(e / mpf(scale)) / 2) ** 2


def cauchy(e: mpf, *, scale: float = 1.0) -> mpf:
    """Barron (2019), alpha = 0."""
    return mp.log((e / mpf(scale)) ** 2 / 2 + 1)


def cauchy_complex(e: mpf, *, scale: float = 1.0) -> mpf:
    """1 + x^2 / 2 is the square of the absolute value of 1 + i x / sqrt(2)."""
    return 2 * mp.re(mp.log(mp.mpc(1, e / mpf(scale) / mp.sqrt(2))))


def geman_mcclure(e: mpf, *, scale: float = 1.0) -> mpf:
    """Barron (2019), alpha = -2."""
    x = e / mpf(scale)
    return 2 * x**2 / (x**2 + 4)


def geman_mcclure_rest(e: mpf, *, scale: float = 1.0) -> mpf:
    """What is missing to its bound."""
    return 2 - 8 / ((e / mpf(scale)) ** 2 + 4)


def welsch(e: mpf, *, scale: float = 1.0) -> mpf:
    """Barron (2019), alpha to -infinity."""
    return 1 - mp.exp(-((e / mpf(scale)) ** 2) / 2)


def welsch_sinh(e: mpf, *, scale: float = 1.0) -> mpf:
    """1 - exp(-2 t) = 2 exp(-t) sinh(t)."""
    t = (e / mpf(scale)) ** 2 / 4
    return 2 * mp.exp(-t) * mp.sinh(t)


# --- estimators of location -----------------------------------------------------------------------


def tukey(e: mpf, *, c: float = 4.6851) -> mpf:
    """Beaton and Tukey (1974); Maronna, Martin and Yohai (2006), equation 2.37, times c^2 / 6."""
    c = mpf(c)
    return c**2 / 6 * (1 - (1 - (e / c) ** 2) ** 3) if abs(e) <= c else c**2 / 6


def tukey_integral(e: mpf, *, c: float = 4.6851) -> mpf:
    """The integral of t (1 - t^2 / c^2)^2, term by term."""
    c = mpf(c)
    t = min(abs(e), c)
    return t**2 / 2 - t**4 / (2 * c**2) + t**6 / (6 * c**4)


def andrews(e: mpf, *, c: float = 1.339) -> mpf:
    """Andrews (1974): the integral of c sin(e / c) up to c pi."""
    c = mpf(c)
    return c**2 * (1 - mp.cos(e / c)) if abs(e) <= c * mp.pi else 2 * c**2


def andrews_half(e: mpf, *, c: float = 1.339) -> mpf:
    """By the sine of half the angle."""
    c = mpf(c)
    return 2 * (c * mp.sin(min(abs(e) / c, +mp.pi) / 2)) ** 2


def hampel(e: mpf, *, a: float = 1.7, b: float = 3.4, c: float = 8.5) -> mpf:
    """Andrews et al. (1972): each part as a polynomial of its own."""
    a, b, c, u = mpf(a), mpf(b), mpf(c), abs(e)
    if u <= a:
        return u**2 / 2
    if u <= b:
        return a * u - a**2 / 2
    if u <= c:
        return a * (c * u - u**2 / 2) / (c - b) - a * b**2 / (2 * (c - b)) - a**2 / 2
    return a * (b - a + c) / 2


def hampel_areas(e: mpf, *, a: float = 1.7, b: float = 3.4, c: float = 8.5) -> mpf:
    """The area under the derivative: a trapezium between any two corners."""
    a, b, c, u = mpf(a), mpf(b), mpf(c), abs(e)

    def slope(t: mpf) -> mpf:
        return min(t, a) if t <= b else max(mpf(0), a * (c - t) / (c - b))

    corners = sorted([mpf(0), *(t for t in (a, b, c) if t < u), u])
    return mp.fsum((t - s) * (slope(s) + slope(t)) / 2 for s, t in itertools.pairwise(corners))


def fair(e: mpf, *, c: float = 1.3998) -> mpf:
    """Fair (1974)."""
    x = abs(e) / mpf(c)
    return mpf(c) ** 2 * (x - mp.log(1 + x))


def fair_artanh(e: mpf, *, c: float = 1.3998) -> mpf:
    """log(1 + x) = 2 artanh(x / (2 + x))."""
    c, u = mpf(c), abs(e)
    return c * (u - 2 * c * mp.atanh(u / (2 * c + u)))


# --- asymmetric -----------------------------------------------------------------------------------


def linex(e: mpf, *, a: float = 1.0) -> mpf:
    """Zellner (1986), equation 2.2, b = 1."""
    return mp.exp(a * e) - a * e - 1


def linex_sinh(e: mpf, *, a: float = 1.0) -> mpf:
    """exp(y) - 1 = 2 exp(y / 2) sinh(y / 2)."""
    y = mpf(a) * e
    return 2 * mp.exp(y / 2) * mp.sinh(y / 2) - y


# --- declared -------------------------------------------------------------------------------------


def reals(rng: random.Random, parameters: dict[str, Any]) -> tuple[float, float]:
    """Prediction and target anywhere near 0."""
    return 2 * normal(rng), 2 * normal(rng)


DOUBLE = ("float64",)
Many = tuple[Special, ...]


def smooth(
    name: str, residuals: list[float], dtypes: tuple[str, ...] = WIDE, **parameters: Any
) -> Special:
    """Residuals of one size, whose derivatives are found by differences; the targets are 0."""
    zeros = [0.0] * len(residuals)
    return Special(name, residuals, zeros, parameters, smooth=True, dtypes=dtypes)


def tail(**parameters: Any) -> Special:
    """Residuals whose derivatives are about exp(-x^2 / 2): x^2 times their rounding is lost."""
    return Special("tail", [5.0, -7.0], [0.0, 0.0], parameters, smooth=True, condition=49.0)


def stated(
    name: str, residuals: list[float], first: list[float], second: list[float],
    dtypes: tuple[str, ...] = WIDE, **parameters: Any,
) -> Special:  # fmt: skip
    """Residuals whose derivatives are stated; the targets are 0."""
    zeros = [0.0] * len(residuals)
    return Special(name, residuals, zeros, parameters, first, second, dtypes=dtypes)


def everywhere(**parameters: Any) -> Many:
    """Residuals that are none, and those at which the square is out of range, or is lost beside 1."""
    return (
        smooth("zero", [0.0, -0.0], **parameters),
        smooth("tiny", [1e-30, -3e-30, 2.5e-30], **parameters),
        smooth("smallest", [1e-300, -3e-300], DOUBLE, **parameters),
        smooth("small", [1e-8, -3e-8, 2e-8], **parameters),
        smooth("one_side", [3e-4, 1e-4], **parameters),
        smooth("several", [0.5, -2.75, 3.25], **parameters),
    )


def far_out(**parameters: Any) -> Many:
    """Residuals so large that their squares overflow."""
    return (
        smooth("large", [1e6, -3e6], **parameters),
        smooth("huge", [1e30, -3e30], **parameters),
        smooth("largest", [1e300, -3e300], DOUBLE, **parameters),
    )


def constant(at: list[float], **parameters: Any) -> Special:
    """Residuals at which the loss no longer changes."""
    none = [0.0] * len(at)
    return stated("constant", at, none, none, **parameters)


BARRON = (
    *everywhere(),
    *far_out(),
    *(smooth("large", [1e6, -3e6], alpha=alpha) for alpha in (0.0, 0.5, -2.0, 1e-6)),
    *(smooth("huge", [1e30, -3e30], alpha=alpha) for alpha in (0.0, 0.5, 1e-6)),
    *(smooth("largest", [1e300, -3e300], DOUBLE, alpha=alpha) for alpha in (0.0, 0.5)),
    *(smooth("tiny", [1e-30, -3e-30], alpha=alpha) for alpha in (2.0, 0.0, -2.0, -1e6, -math.inf)),
    *(smooth("small", [1e-8, -3e-8], alpha=alpha) for alpha in (2.0, 0.0, -2.0, -1e6, -math.inf)),
    *(smooth("zero", [0.0], alpha=alpha) for alpha in (2.0, 0.0, 3.0, -2.0, -math.inf)),
    smooth("large", [1e6, -3e6], alpha=2.0),
    # the square divided by abs(alpha - 2) overflows, the loss does not
    smooth("range", [3e17, -1e18], alpha=2 - 2.0**-20),
    tail(alpha=-math.inf),
    tail(alpha=-1e6),
    constant([1e30, -1e20, 1e10], alpha=-math.inf),
    constant([1e30, -1e20, 1e15], alpha=-1e6),
)

DEFINITIONS = {
    name: Mean(
        of_residual(term),
        of_residual(other),
        reals,
        tuple(variants),
        (*special, integers([3, -2, 1, 0], [1, 1, 1, 4])),
    )
    for name, term, other, variants, special in (
        (
            "barron", barron, barron_integral,
            [
                {"alpha": 1.5, "scale": 0.75},
                *({"alpha": alpha} for alpha in (2.0, 0.0, -2.0, -math.inf)),  # the members
                *({"alpha": alpha} for alpha in (0.5, 3.0, 1e-6, 2 - 2.0**-20, -1e6)),
            ],
            BARRON,
        ),
        ("charbonnier", charbonnier, charbonnier_angle, [{"scale": 0.3}], [*everywhere(), *far_out()]),
        ("cauchy", cauchy, cauchy_complex, [{"scale": 0.3}], [*everywhere(), *far_out()]),
        ("geman_mcclure", geman_mcclure, geman_mcclure_rest, [{"scale": 0.3}], [*everywhere(), *far_out()]),
        (
            "welsch", welsch, welsch_sinh, [{"scale": 2.0}],
            [*everywhere(), tail(), constant([1e30, -1e20, 40.0, 1e4])],
        ),
        (
            "tukey", tukey, tukey_integral, [{"c": 8.0}],
            [
                *everywhere(c=4.0),
                smooth("end", [3.9990234375, -3.75], c=4.0),  # so near that 1 - x^2 would be rounded
                constant([4.0, -4.0, 5.0], c=4.0),
                constant([1e30, -1e20]),
            ],
        ),
        (
            "andrews", andrews, andrews_half, [{"c": 3.0}],
            [*everywhere(), constant([1e30, -1e20, 4.25])],
        ),
        (
            "hampel", hampel, hampel_areas, [{"a": 1.0, "b": 2.0, "c": 4.0}],
            [
                *everywhere(a=1.25, b=2.5, c=5.0),
                stated("linear", [1.0, -1.0], [1.0, -1.0], [1.0, 1.0], a=1.0, b=2.0, c=4.0),
                stated("levelling", [2.0, -2.0], [1.0, -1.0], [0.0, 0.0], a=1.0, b=2.0, c=4.0),
                stated("level", [4.0, -4.0], [0.0, 0.0], [-0.5, -0.5], a=1.0, b=2.0, c=4.0),
                stated("no_linear_part", [1.0, -1.0], [1.0, -1.0], [1.0, 1.0], a=1.0, b=1.0, c=2.0),
                smooth("end", [3.9990234375, -3.75], a=1.0, b=2.0, c=4.0),
                constant([4.5, -1e20, 1e30], a=1.0, b=2.0, c=4.0),
                constant([1e30, -1e20]),
            ],
        ),
        (
            "fair", fair, fair_artanh, [{"c": 3.0}],
            [*everywhere(), *far_out()],
        ),
        (
            "linex", linex, linex_sinh, [{"a": -0.5}, {"a": 2.0}],
            [
                *everywhere(),
                smooth("steep", [20.0, 21.0, 19.5]),
                smooth("steepest", [80.0, 79.0]),
                smooth("flat", [-20.0, -30.0]),
                stated("straight", [-1e30, -1e20], [-1.0, -1.0], [0.0, 0.0]),
                stated("straight", [1e30, 1e20], [2.0, 2.0], [0.0, 0.0], a=-2.0),
            ],
        ),
    )
}  # fmt: skip
