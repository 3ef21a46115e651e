"""Functions of losses that the array API standard lacks or does not fully specify.

Each function takes ``xp``, the namespace of definitions (see `library`), and is one formula for
every library. Where libraries disagree about a derivative (``abs`` at 0, ``clip`` at its bounds,
``sqrt`` at 0), the formula has the documented derivative. Where a library has a pitfall (Python
scalars in ``maximum``, a sequential sum along axis 0), the formula avoids it.

The special functions are formulas for float32 and float64. Those of the libraries differ in range,
and most are inaccurate in a tail: torch's ``ndtr(-10)`` is 0 in float32, and JAX's ``erfc(25)`` is
325 ULP off. `FUNCTIONS` become functions of ``xp``; `SLOPES` holds exact first derivatives for JAX,
and `DERIVATIVES` holds first and second derivatives for jets and the tape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from .types import Array, Functions, Namespace

_ROOT_2 = math.sqrt(2.0)
_ROOT_PI = math.sqrt(math.pi)
_ROOT_2PI = math.sqrt(2.0 * math.pi)
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Differentiable:
    """An array with derivatives, which has a single rule for a polynomial."""

    def polynomial(self, coefficients: tuple[float, ...]) -> Any:
        raise NotImplementedError


def polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Evaluate ``c0 + c1 x + c2 x^2 + ...`` by Horner's rule."""
    if isinstance(x, Differentiable):
        return x.polynomial(coefficients)
    result = 0.0 * x + coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result


def horner(coefficients: tuple[float, ...], x: Array) -> tuple[Array, Array, Array]:
    """Return a polynomial and its first and second derivative."""
    value, first, second = 0.0 * x + coefficients[-1], 0.0 * x, 0.0 * x
    for coefficient in reversed(coefficients[:-1]):
        second = second * x + first
        first = first * x + value
        value = value * x + coefficient
    return value, first, 2.0 * second


# --- functions that the standard lacks, or whose derivatives differ between libraries -------------


def where(xp: Namespace, dtype: Any, condition: Array, x1: Any, x2: Any) -> Array:
    """Select elementwise; two Python numbers take the dtype of the computation."""
    if isinstance(condition, bool):
        return x1 if condition else x2
    if isinstance(x1, (int, float)) and isinstance(x2, (int, float)):
        x1 = xp.full_like(condition, x1, dtype=dtype)
    return xp.where(condition, x1, x2)


def either(function: Callable[..., Array], xp: Namespace, x1: Any, x2: Any) -> Array:
    """``maximum`` or ``minimum`` of arrays and Python numbers; a tie shares the derivative."""
    if isinstance(x1, (int, float)):
        x1, x2 = x2, x1
    return function(x1, xp.full_like(x1, x2) if isinstance(x2, (int, float)) else x2)


def clip(xp: Functions, x: Array, /, min: Any = None, max: Any = None) -> Array:  # noqa: A002
    """Clip; the derivative at a bound is 1, as inside (JAX has 1/2, torch has 1)."""
    if min is not None:
        x = xp.where(x < min, min, x)
    return x if max is None else xp.where(x > max, max, x)


def sqrt(xp: Namespace, x: Array, /) -> Array:
    """Square root with derivative 0 at 0, as for every norm."""
    zero = x == 0
    return xp.where(zero, x, xp.sqrt(xp.where(zero, xp.ones_like(x), x)))


def xlogy(xp: Namespace, x: Array, y: Array, /) -> Array:
    """``x log(y)``; where x is 0, the value and the derivative are 0 for any y."""
    zero = x == 0
    return xp.where(zero, 0.0 * x, x * xp.log(xp.where(zero, xp.ones_like(y), y)))


def xlog1py(xp: Namespace, x: Array, y: Array, /) -> Array:
    """``x log(1 + y)``; where x is 0, the value and the derivative are 0 for any y."""
    zero = x == 0
    return xp.where(zero, 0.0 * x, x * xp.log1p(xp.where(zero, xp.zeros_like(y), y)))


def xlogy_back(xp: Namespace, g: Array, x: Array, y: Array, /) -> Array:
    """Multiply by the derivative of `xlogy` with respect to y; 0 where x is 0."""
    zero = x == 0
    return g * xp.where(zero, xp.zeros_like(y), x / xp.where(zero, xp.ones_like(y), y))


def xlog1py_back(xp: Namespace, g: Array, x: Array, y: Array, /) -> Array:
    """Multiply by the derivative of `xlog1py` with respect to y; 0 where x is 0."""
    return xlogy_back(xp, g, x, 1 + y)


def sigmoid_power_back(xp: Namespace, g: Array, x: Array, power: Any, value: Array, /) -> Array:
    """Multiply by the derivative of `sigmoid_power`, from its value."""
    return g * (power * value * xp.sigmoid(-x))


def softplus(xp: Namespace, x: Array, /) -> Array:
    """``log(1 + exp(x))``; value and first two derivatives are accurate everywhere."""
    above = x > 0
    tail = xp.log1p(xp.exp(xp.where(above, -x, x)))
    return xp.where(above, x, xp.zeros_like(x)) + tail


def sigmoid(xp: Namespace, x: Array, /) -> Array:
    """``1 / (1 + exp(-x))``; value and first two derivatives are accurate everywhere."""
    above = x > 0
    e = xp.exp(xp.where(above, -x, x))
    return xp.where(above, xp.ones_like(e), e) / (1 + e)


def sigmoid_power(xp: Namespace, x: Array, power: Any, /) -> Array:
    """``sigmoid(x)^power``, 0 where the sigmoid underflows.

    The value is computed as a power and the slope as that of ``exp(power log sigmoid(x))``, because
    each form is accurate for only one of them. No derivative divides by a small sigmoid.
    """
    base = xp.stop_gradient(xp.sigmoid(x))
    underflow = base == 0
    exponent_held = power if isinstance(power, (int, float)) else xp.stop_gradient(power)
    value = xp.where(underflow, xp.ones_like(base), base) ** exponent_held
    exponent = -power * xp.softplus(xp.where(underflow, xp.zeros_like(x), -x))
    return xp.where(
        underflow, xp.zeros_like(x), value * xp.exp(exponent - xp.stop_gradient(exponent))
    )


def huber(xp: Namespace, x: Array, y: Array, delta: Any, factor: Any = 1.0, /) -> Array:
    """``e^2 / 2`` for errors e up to delta, linear beyond, times a factor.

    The slope of the clipped error is 0 beyond delta. Its product with an infinite error would be
    nan; therefore the linear part uses the clipped error without its slope.
    """
    error = x - y
    near = xp.clip(error, -delta, delta)
    if isinstance(delta, (int, float)):
        held = xp.stop_gradient(near)
    else:  # the bound has a derivative
        held = xp.clip(xp.stop_gradient(error), -delta, delta)
    return near * factor * near / 2 + held * factor * (error - near)


def huber_back(
    xp: Namespace, g: Array, x: Array, y: Array, delta: Any, factor: Any = 1.0, /
) -> Array:
    """Multiply by the derivative of `huber` with respect to x, finite at an infinite x."""
    return g * (factor * xp.clip(x - y, -delta, delta))


def sigmoid_cross_entropy(xp: Namespace, x: Array, yes: Array, no: Array | None = None, /) -> Array:
    """``yes softplus(-x) + no softplus(x)``; ``no`` defaults to 1 - yes. A share of 0 adds 0."""
    no = 1 - yes if no is None else no
    likely = x > 0
    far = xp.where(likely, x, -x)  # |x|, smooth at 0
    share = xp.where(likely, no, yes)
    linear = share * xp.where((share == 0) & xp.isinf(far), xp.zeros_like(far), far)
    return linear + (yes + no) * xp.log1p(xp.exp(-far))


def sigmoid_cross_entropy_back(
    xp: Namespace, g: Array, x: Array, yes: Array, no: Array | None = None, /
) -> Array:
    """Multiply by the derivative of `sigmoid_cross_entropy`, accurate for large logits."""
    no = 1 - yes if no is None else no
    return g * (no * xp.sigmoid(x) - yes * xp.sigmoid(-x))


def binary_cross_entropy(xp: Namespace, p: Array, yes: Array, no: Array | None = None, /) -> Array:
    """``-yes log(p) - no log(1 - p)``; ``no`` defaults to 1 - yes. A share of 0 adds 0."""
    no = 1 - yes if no is None else no
    return 0.0 - (xp.xlogy(yes, p) + xp.xlog1py(no, -p))  # never -0.0


def binary_cross_entropy_back(
    xp: Namespace, g: Array, p: Array, yes: Array, no: Array | None = None, /
) -> Array:
    """Multiply by the derivative of `binary_cross_entropy`; a share of 0 adds 0."""
    no = 1 - yes if no is None else no
    return xp.xlog1py_back(g, no, -p) - xp.xlogy_back(g, yes, p)


def log_ratio(xp: Namespace, x: Array, y: Array, /) -> Array:
    """``log(x / y)`` of positive numbers, accurate where x is near y."""
    near = xp.abs(x - y) < 0.5 * y
    a, b = xp.where(near, xp.ones_like(x), x), xp.where(near, xp.ones_like(y), y)
    ratio = xp.quotient(a, b)
    logarithm = xp.log(ratio)
    if not xp.wide:  # the ratio may be out of range; the difference of logarithms is accurate then
        extreme = xp.abs(logarithm) > (80 if xp.result_name == "float32" else 650)
        logarithm = xp.where(extreme, xp.log(a) - xp.log(b), logarithm)
    return xp.where(near, xp.log1p(xp.quotient(xp.where(near, x, y) - y, y)), logarithm)


_EXPM1_TAIL = tuple(1 / math.factorial(k + 2) for k in range(18))


def relative_expm1(xp: Namespace, x: Array, /) -> Array:
    """``(exp(x) - 1) / x - 1``, smooth and accurate near its zero at x = 0."""
    small = xp.abs(x) < 1.0
    inside = xp.where(small, x, xp.zeros_like(x))
    outside = xp.where(small, xp.ones_like(x), x)
    far = (xp.exp(outside) - 1) / outside - 1  # not expm1: its derivative, 1 + expm1, cancels
    # Horner's rule, written out: its slope is a digit more accurate
    tail = 0.0 * inside + _EXPM1_TAIL[-1]
    for coefficient in reversed(_EXPM1_TAIL[:-1]):
        tail = tail * inside + coefficient
    return xp.where(small, inside * tail, far)


# log gamma(2 + z) = (1 - Euler's constant) z + sum over k >= 2 of (-1)^k (zeta(k) - 1) z^k / k,
# with zeta(k) - 1 summed directly. The series converges like 2^-k (Abramowitz and Stegun 6.1.33).
_EULER = 0.57721566490153286061
_ZETA_LESS_ONE = tuple(
    math.fsum([n**-k for n in range(2, 60)] + [60.0 ** (1 - k) / (k - 1) + 60.0**-k / 2
               + k * 60.0 ** (-k - 1) / 12 - math.prod(range(k, k + 3)) * 60.0 ** (-k - 3) / 720
               + math.prod(range(k, k + 5)) * 60.0 ** (-k - 5) / 30240])
    for k in range(2, 36)
)  # fmt: skip
_LGAMMA_AT_2 = (
    0.0,
    1 - _EULER,
    *((-1) ** k * zeta / k for k, zeta in enumerate(_ZETA_LESS_ONE, start=2)),
)
# The Stirling series: B(2k) / (2k (2k - 1)) (Abramowitz and Stegun 6.1.41).
_STIRLING = (
    1 / 12,
    -1 / 360,
    1 / 1260,
    -1 / 1680,
    1 / 1188,
    -691 / 360360,
    1 / 156,
    -3617 / 122400,
)


def lgamma(xp: Namespace, x: Array, /) -> Array:
    """``log(gamma(x))`` for x > 0: a series about 2 below 8, Stirling's series above."""
    large = x > 8
    one = xp.ones_like(x)
    z = xp.where(large, 2 * one, x)
    low, lowest = z < 1.5, z < 0.5  # gamma(z) = gamma(z + 1) / z
    divisor = xp.where(low, z, one) * xp.where(lowest, z + 1, one)
    product, offset = one, xp.where(lowest, z, z - 1)  # not z + 1 - 2, which would round
    for _ in range(6):  # gamma(z) = (z - 1) gamma(z - 1), down to 1.5 < z <= 2.5
        above = z > 2.5
        product = product * xp.where(above, z - 1, one)
        z = xp.where(above, z - 1, z)
    series = polynomial(_LGAMMA_AT_2, xp.where(low, offset, z - 2))
    near = series + (xp.log(product) - xp.log(divisor))
    y = xp.where(large, x, xp.full_like(x, 9.0))
    tail = polynomial(_STIRLING, 1 / (y * y)) / y
    far = (y - 0.5) * (xp.log(y) - 1) + (0.5 * math.log(2 * math.pi) - 0.5 + tail)
    return xp.where(large, far, near)


_COSH_TAIL = tuple(1 / math.factorial(2 * k + 2) for k in range(9))  # (cosh(x) - 1) / x^2 in x^2


def log_cosh(xp: Namespace, x: Array, /) -> Array:
    """``log(cosh(x))``, without cancellation near 0 and without overflow."""
    a = xp.abs(x)
    small = a < 1.0
    inside, far = xp.where(small, x, xp.zeros_like(x)), xp.where(small, xp.ones_like(x), a)
    square = inside * inside
    near = xp.log1p(square * polynomial(_COSH_TAIL, square))
    return xp.where(small, near, far - math.log(2) + xp.log1p(xp.exp(-2 * far)))


def sqrt1pm1(xp: Namespace, x: Array, /) -> Array:
    """``sqrt(1 + x^2) - 1`` without cancellation, also in the first two derivatives."""
    a = xp.abs(x)
    near = a < 64.0
    inside, outside = xp.where(near, x, xp.zeros_like(x)), xp.where(near, xp.full_like(a, 64.0), a)
    square = inside * inside
    u = 1 / outside  # the series of sqrt(1 + x^2) - |x| in 1 / x
    far = polynomial((1 / 2, -1 / 8, 1 / 16, -5 / 128), u * u) * u
    return xp.where(near, square / (1 + xp.sqrt(1 + square)), (outside - 1) + far)


def slope(xp: Namespace, x: Array) -> Array:
    """``x / sqrt(1 + x^2)``, the derivative of `sqrt1pm1`, without squaring a large number."""
    a = xp.abs(x)
    far = a > 1
    small, u = xp.where(far, xp.zeros_like(x), x), 1 / xp.where(far, a, xp.ones_like(a))
    return xp.where(far, xp.sign(x) / xp.sqrt(1 + u * u), small / xp.sqrt(1 + small * small))


def curvature(xp: Namespace, x: Array) -> Array:
    """``(1 + x^2)^(-3/2)``, the derivative of `slope`."""
    a = xp.abs(x)
    far = a > 1
    small, u = xp.where(far, xp.zeros_like(x), x), 1 / xp.where(far, a, xp.ones_like(a))
    root = xp.where(far, u / xp.sqrt(1 + u * u), 1 / xp.sqrt(1 + small * small))
    return root * root * root


def tanh(xp: Namespace, x: Array) -> Array:
    """Return the hyperbolic tangent, the derivative of `log_cosh`."""
    return xp.tanh(x)


def sech2(xp: Namespace, x: Array) -> Array:
    """``1 / cosh(x)^2`` without overflow or cancellation."""
    e = xp.exp(-2 * xp.abs(x))
    return 4 * e / ((1 + e) * (1 + e))


def tweedie_deviance(xp: Namespace, p: Array, y: Array, power: Any) -> Array:
    """Return the unit deviance of any power, continuous in the power at 1 and 2.

    With a = 1 - power, b = 2 - power and M = log(p / y), half of the deviance is the difference of
    ``(p^b - y^b) / b`` and ``(y p^a - y^b) / a``. Each equals ``y^b M (1 + rel(c M))``, with c = b
    or c = a and rel(x) = (exp(x) - 1) / x - 1. This form is used where c M is small. Where both are
    small, the difference of the two rel is taken. Elsewhere the powers are subtracted, so that the
    derivative ``2 (p - y) p^-power`` is a difference of powers too.

    The deviance equals ``unit^-b`` times the deviance of p and y multiplied by ``unit``. With a
    unit near 1 / p, the powers of p and their slopes are in range.
    """
    if isinstance(power, (int, float)) and power == 0:
        return (y - p) * (y - p)
    a, b = 1 - power, 2 - power
    scale = xp.ones_like(p)
    if not xp.wide:
        unit = xp.power_of_two(xp.stop_gradient(p))
        p, y, scale = p * unit, y * unit, unit**-b
    positive = y > 0
    z = xp.where(positive, y, p)
    start, end, log_ratio = z**b, p**b, xp.log_ratio(p, z)

    def difference(c: Any, reached: Array) -> Array:
        small = xp.abs(c * log_ratio) < 1
        inside = xp.where(small, c * log_ratio, xp.zeros_like(p))
        divisor = xp.where(c == 0, 1.0, c)
        near = start * log_ratio * (1 + xp.relative_expm1(inside))
        return xp.where(small, near, (reached - start) / divisor)

    far = difference(b, end) - difference(a, end * xp.quotient(z, p))
    rel_a, rel_b = xp.relative_expm1(a * log_ratio), xp.relative_expm1(b * log_ratio)
    near = xp.abs(log_ratio) * (abs(a) + abs(b)) < 2
    terms = xp.where(near, start * log_ratio * (rel_b - rel_a), far)
    divisor_a, divisor_b = xp.where(a == 0, 1.0, a), xp.where(b == 0, 1.0, b)
    # not 1 / divisor_b: a power may be an array of a narrower dtype
    at_most_zero = end * (xp.ones_like(p) / divisor_b - xp.quotient(y, p) / divisor_a)
    return 2 * (scale * xp.where(positive, terms, at_most_zero))


def tweedie_slopes(xp: Namespace, p: Array, y: Array, power: float) -> tuple[Array, Array]:
    """Return the first and second derivatives of `tweedie_deviance` with respect to p.

    The first is ``2 (p - y) p^-power``; these steps do not overflow if the result does not.
    """
    share, root = (p - y) / p, p ** ((power - 1) / 2)
    first = xp.where(share == 0, xp.zeros_like(share), 2 * share / root / root)
    return first, 2 * (1 - power * share) / root / root / p


def power_of_two(xp: Namespace, size: Array) -> Array:
    """Return a power of two that scales numbers of this size so that squares are in range."""
    factor = one = xp.ones_like(size)
    if xp.wide:
        return one
    step = 32 if xp.result_name == "float32" else 256
    for exponent in (step, 2 * step, 3 * step):
        far = 2.0 ** (exponent - step // 2)
        factor = xp.where(size > far, one * 2.0**-exponent, factor)
        factor = xp.where(size < 1 / far, one * 2.0**exponent, factor)
    return factor


def symmetric_percentage(xp: Namespace, x: Array, y: Array, /) -> Array:
    """``2 |x - y| / (|x| + |y|)``, 0 where both are 0; derivatives without cancellation."""
    p, t = xp.abs(x), xp.abs(y)
    scale = p / 2 + t / 2
    differ = x * xp.sign(y) < 0  # in sign: then constant
    scale = xp.where((scale == 0) | differ, xp.ones_like(scale), scale)
    far = p > 3 * t
    share = xp.quotient(xp.where(far, t, xp.abs(x - y)), scale)
    return xp.where(differ, 2 * xp.ones_like(p), xp.where(far, 2 - 2 * share, share))


def unit_vector(xp: Namespace, x: Array, /) -> Array:
    """Divide by the Euclidean norm along the last axis; zero vectors stay 0, with gradient 0."""
    size = xp.max(xp.abs(xp.stop_gradient(x)), axis=-1, keepdims=True)
    x = x * xp.power_of_two(size)
    square = xp.sum(x * x, axis=-1, keepdims=True)
    zero = square == 0
    return xp.where(zero, xp.zeros_like(x), x / xp.sqrt(xp.where(zero, 1.0, square)))


def cosine(xp: Namespace, x: Array, y: Array, /) -> Array:
    """Return the cosine of the angle between two rows; 0 for the zero vector, with gradient 0."""
    return xp.sum(xp.unit_vector(x) * xp.unit_vector(y), axis=-1)


def cosine_distance(xp: Namespace, x: Array, y: Array, /) -> Array:
    """Return 1 minus the cosine, without cancellation."""
    a, b = xp.unit_vector(x), xp.unit_vector(y)
    distance = xp.sum((a - b) * (a - b), axis=-1) / 2
    zero = xp.all(x == 0, axis=-1) | xp.all(y == 0, axis=-1)
    return xp.where(zero, xp.ones_like(distance), distance)


# --- classes along the last axis ------------------------------------------------------------------


def pick(xp: Namespace, x: Array, labels: Array, /) -> Array:
    """Return the number at the label of each row."""
    return xp.take_along_axis(x, xp.expand_dims(labels, axis=-1), axis=-1)[..., 0]


def places(xp: Namespace, x: Array, /) -> Array:
    """Return 0, 1, 2, ... along the last axis, computed from x so that device and type match."""
    return xp.cumulative_sum(xp.ones_like(x, dtype=xp.counting), axis=-1) - 1


def at(xp: Namespace, x: Array, labels: Array, /) -> Array:
    """Return where the index along the last axis equals the label."""
    return xp.places(x) == xp.expand_dims(labels, axis=-1)


def added_along_axis(xp: Namespace, g: Array, x: Array, indices: Array, axis: int, /) -> Array:
    """Add numbers to zeros like x, at the indices that `take_along_axis` reads."""
    ones = xp.ones_like(x, dtype=xp.counting)
    place, result = xp.cumulative_sum(ones, axis=axis) - 1, xp.zeros_like(x)
    before = (slice(None),) * (axis % x.ndim)
    for k in range(indices.shape[axis]):
        slot = (*before, slice(k, k + 1), ...)
        result = result + xp.where(place == indices[slot], g[slot], 0.0)
    return result


def overlap(xp: Namespace, x: Array, y: Array, /) -> Array:
    """Return per row the intersection and the symmetric difference of soft sets: (..., 2)."""
    both, alone = xp.sum(x * y, axis=-1), xp.sum(x * (1 - y) + (1 - x) * y, axis=-1)
    return xp.stack([both, alone], axis=-1)


def overlap_back(xp: Namespace, g: Array, x: Array, y: Array, /) -> Array:
    """Multiply by the derivative of `overlap` with respect to x."""
    both, alone = g[..., 0:1], g[..., 1:2]
    return alone + (both - 2 * alone) * y


def exponentials(xp: Namespace, x: Array, /, but: Array | None = None) -> tuple[Array, Array]:
    """Return the maximum h of each row, and ``sum(exp(x - h)) - 1``.

    The label ``but`` is excluded, if given. The sum excludes the maximum, so that a small sum is
    accurate. Infinite numbers, and rows of -inf only, give the limits.
    """
    if but is not None:
        x = xp.where(xp.at(x, but), xp.full_like(x, -math.inf), x)
    top = xp.argmax(x, axis=-1)
    highest = xp.pick(x, top)
    infinite = xp.isinf(highest)
    base = xp.expand_dims(xp.where(infinite, xp.zeros_like(highest), highest), axis=-1)
    excluded = xp.logical_or(xp.at(x, top), xp.expand_dims(infinite, axis=-1))
    terms = xp.exp(xp.where(excluded, xp.zeros_like(x), x - base))
    return highest, xp.sum(xp.where(excluded, xp.zeros_like(x), terms), axis=-1)


def logsumexp(xp: Namespace, x: Array, /) -> tuple[Array, Array]:
    """``log(sum(exp(x)))`` along the last axis, as the maximum and the excess over it."""
    highest, excess = xp.exponentials(x)
    return highest, xp.log1p(excess)


def softmax(xp: Namespace, logits: Array, /) -> tuple[Array, Array]:
    """Return probabilities and their logarithms, both accurate."""
    highest, excess = (xp.expand_dims(part, axis=-1) for part in xp.logsumexp(logits))
    below = xp.where(logits == math.inf, xp.zeros_like(logits), logits - highest)
    return xp.exp(below) * xp.exp(-excess), below - excess


def margin(xp: Namespace, x: Array, labels: Array, /) -> Array:
    """``log(sum(exp(x)))`` over all classes except the label, minus x at the label.

    For two classes, this is the difference of their logits.
    """
    highest, excess = xp.exponentials(x, labels)
    return (highest - xp.pick(x, labels)) + xp.log1p(excess)


def label_cross_entropy(xp: Namespace, x: Array, labels: Array, /) -> Array:
    """``-log(softmax(x))`` at the label: softplus of the margin, accurate for large margins."""
    highest, excess = xp.exponentials(x, labels)
    ahead = highest - xp.pick(x, labels)
    above = ahead > 0
    e = xp.exp(xp.where(above, -ahead, ahead))
    return xp.where(above, ahead, xp.zeros_like(e)) + xp.log1p(
        xp.where(above, excess + e, e + e * excess)
    )


def cross_entropy(xp: Namespace, x: Array, shares: Array, /) -> Array:
    """``-sum(shares log(softmax(x)))`` along the last axis; a share of 0 adds 0 for any x."""
    highest, excess = xp.logsumexp(x)
    below = xp.expand_dims(highest, axis=-1) - x
    infinite = x == math.inf  # a single one has loss 0; two give nan, as inf - inf does
    alone = xp.sum(xp.astype(infinite, x.dtype), axis=-1, keepdims=True) == 1
    hidden = ((shares == 0) & ~xp.isfinite(below)) | (infinite & alone)
    below = xp.where(hidden, xp.zeros_like(x), below)
    return xp.sum(shares * (below + xp.expand_dims(excess, axis=-1)), axis=-1)


def sum_in_two(xp: Namespace, x: Array, /) -> tuple[Array, Array]:
    """Return the sum along the last axis as two numbers, of which the first is exact.

    The leading digits of all numbers, down to a common position, are summed without rounding (Rump,
    Ogita and Oishi 2008). Where float32 is summed in float64, a plain sum is accurate enough.
    """
    if xp.wide:
        total = xp.sum(x, axis=-1)
        return total, xp.zeros_like(total)
    size = 4 * xp.sum(xp.abs(xp.stop_gradient(x)), axis=-1, keepdims=True)
    (first, unit), (second, same) = xp.alone(7, x, size), xp.alone(8, x, size)
    low = xp.sum(second - ((same + second) - same), axis=-1)
    return xp.sum((unit + first) - unit, axis=-1), low


def softmax_divergence(xp: Namespace, x: Array, target: Array, /) -> Array:
    """Return the Kullback-Leibler divergence of the target from ``softmax(x)``."""
    p, log_p = xp.softmax(x)
    positive = target > 0
    log_ratio = xp.log(xp.where(positive, target, 1.0)) - xp.where(positive, log_p, 0.0)
    near = positive & (xp.abs(log_ratio) < 8)
    close = xp.tweedie_deviance(xp.where(near, p, 1.0), xp.where(near, target, 1.0), 1) / 2
    terms = xp.where(near, close, target * xp.where(near, 0.0, log_ratio) + (p - target))
    high, low = xp.sum_in_two(target)  # less 1, the sum of p
    return xp.sum(terms, axis=-1) + ((high - 1) + low)


# log(1 + x) = 2 (s + s^3 / 3 + s^5 / 5 + ...), s = x / (2 + x) (Abramowitz and Stegun 4.1.27).
_ATANH_TAIL = tuple(1 / (2 * k + 3) for k in range(27))


def divergence(xp: Namespace, p: Array, target: Array, /) -> Array:
    """Return the sum of ``t log(t / p)`` along the last axis, accurate where p is near t.

    Near t, with d = t - p and s = d / (t + p), a term is the sum of d and of the second-order term
    ``s (d + 2 t (artanh(s) / s - 1))``. The sum of all d nearly vanishes and has to be exact.
    """
    both = (p > 0) & (target > 0)
    impossible = xp.any((p == 0) & (target > 0), axis=-1)
    p, t = xp.where(both, p, 1.0), xp.where(both, target, 1.0)
    near = 2 * xp.abs(t - p) < t + p
    d = xp.where(near, t - p, 0.0)
    s = d / (t + p)
    close = s * (d + 2 * t * (s * s * polynomial(_ATANH_TAIL, s * s)))
    ratio = xp.quotient(xp.minimum(t, p), xp.maximum(t, p))  # in range
    terms = xp.where(near, close, t * (xp.sign(p - t) * xp.log(ratio)))
    high, low = xp.sum_in_two(d)
    return xp.sum(terms, axis=-1) + (high + low) + xp.where(impossible, math.inf, 0.0)


def logits_divergence(xp: Namespace, x: Array, y: Array, temperature: Any, /) -> Array:
    """Return the divergence of ``p = softmax(x / T)`` from ``q = softmax(y / T)``, times T^2.

    With p = q exp(r), it is computed as the sum of the non-negative terms ``p - q - q r``. A term
    is ``q (exp(r) - 1 - r)`` for small r, and p where q is 0.
    """
    p, q, ratio = log_ratio_of_softmax(xp, x, y, temperature)
    none = q == 0
    ratio = xp.where(none, xp.zeros_like(q), ratio)
    small = xp.abs(ratio) < 1
    near = xp.where(small, ratio, xp.zeros_like(q))
    far = p - q * (1 + xp.where(small, xp.zeros_like(q), ratio))
    terms = xp.where(small & ~none, q * near * xp.relative_expm1(near), far)
    return temperature * temperature * xp.sum(terms, axis=-1)


def log_ratio_of_softmax(
    xp: Namespace, x: Array, y: Array, temperature: Any
) -> tuple[Array, Array, Array]:
    """Return ``p = softmax(x / T)``, ``q = softmax(y / T)``, and log(p / q).

    The last is the difference of the logits minus the logarithm of ``sum(q exp(difference))``.
    Where p is near q, this is accurate, while the difference of both logarithms cancels.
    """
    (p, log_p), (q, log_q) = (xp.softmax(z / temperature) for z in (x, y))
    known = ~(xp.isinf(x) | xp.isinf(y))
    difference = xp.where(known, x - y, xp.zeros_like(p)) / temperature
    rounded, top = log_p - log_q, log_q == xp.max(log_q, axis=-1, keepdims=True)

    def of_the_top(numbers: Array) -> Array:
        """Return the number at the maximum of log_q; of ties, the larger number."""
        return xp.max(xp.where(top, numbers, xp.full_like(q, -math.inf)), axis=-1, keepdims=True)

    known = xp.all(known | ~top, axis=-1, keepdims=True) & known
    from_top = difference - of_the_top(difference)
    close = xp.where(known, xp.abs(from_top) < 1, log_p == log_q)  # both may be -inf
    near = xp.all(close, axis=-1)
    small = xp.where(xp.expand_dims(near, axis=-1) & known, from_top, xp.zeros_like(q))
    change = xp.sum(q * (small + small * xp.relative_expm1(small)), axis=-1)
    of_top = xp.where(near, -xp.log1p(change), of_the_top(rounded)[..., 0])
    return p, q, xp.where(known, from_top + xp.expand_dims(of_top, axis=-1), rounded)


def parameter(xp: Namespace, number: Any, like: Array, /) -> Any:
    """Return a hyper-parameter; arrays are converted to the dtype of the computation, unrounded."""
    return number if isinstance(number, (int, float)) else xp.constant(number, like)


def chosen(xp: Namespace, numbers: Any, labels: Array, /) -> Array:
    """Return ``numbers[label]`` for each label."""
    table, index = xp.constant(numbers, labels), xp.reshape(labels, (-1,))
    return xp.reshape(xp.take(table, index, axis=0), labels.shape)


def bins(xp: Namespace, index: Array, weights: Array | None, size: int, /) -> Array:
    """Sum the weights, or count, by index in each row: shapes (rows, n) to (rows, size)."""
    ones = xp.ones_like(index) if weights is None else weights
    none = xp.zeros_like(ones)
    sums = [xp.sum(xp.where(index == k, ones, none), axis=-1) for k in range(size)]
    return xp.stack(sums, axis=-1)


def bin_max(xp: Namespace, index: Array, x: Array, size: int, /) -> Array:
    """Return the largest non-negative number by index in each row; 0 without numbers."""
    none = xp.zeros_like(x)
    return xp.stack([xp.max(xp.where(index == k, x, none), axis=-1) for k in range(size)], axis=-1)


def sums_by(xp: Namespace, index: Array, weights: Array, size: int, /) -> Array:
    """Sum the weights by index as `bins` does, in pieces, so that sequential sums are short."""
    num_rows, n = index.shape
    pieces = max(1, min(n // 64, n // size)) if xp.is_known(n) else 1
    if pieces == 1:
        return xp.bins(index, weights, size)
    missing = -n % pieces

    def cut(x: Array, fill: int) -> Array:
        if missing:  # pad the last piece
            x = xp.concat([x, xp.full_like(x[:, :missing], fill)], axis=-1)
        return xp.reshape(x, (num_rows * pieces, (n + missing) // pieces))

    parts = xp.bins(cut(index, size - 1), cut(weights, 0), size)
    return xp.total(xp.reshape(parts, (num_rows, pieces, size)), (1,))[:, 0, :]


def bin_of(xp: Namespace, x: Array, edges: tuple[float, ...], /) -> Array:
    """Return the number of ascending edges that are at most x; -1 for nan."""
    grid = xp.constant(edges, x)
    count = xp.reshape(xp.searchsorted(grid, xp.reshape(x, (-1,)), side="right"), x.shape)
    return xp.where(xp.isnan(x), xp.full_like(count, -1), count)


def scan(xp: Namespace, step: Callable[..., Any], state: Any, /, *sequences: Array) -> Any:
    """Apply a step to a state for each item of sequences, along their second-to-last axis."""
    for t in range(sequences[0].shape[-2]):
        state = step(state, *(x[..., t, :] for x in sequences))
    return state


def rows(xp: Functions, x: Array, axes: tuple[int, ...], /) -> Array:
    """Move the reduced axes last and flatten them, in row order: shape ``(kept..., n)``."""
    kept_axes = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in kept_axes)
    if kept_axes + axes != tuple(range(x.ndim)):
        x = xp.reshape(xp.permute_dims(x, kept_axes + axes), (-1,))  # flat first, to force the copy
    return xp.reshape(x, (*shape, math.prod(x.shape) // max(math.prod(shape), 1)))


def sum_of_rows(xp: Functions, x: Array, axes: tuple[int, ...]) -> Array:
    """Sum along rows, keeping dimensions: NumPy sums pairwise only along the last axis."""
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return xp.reshape(xp.sum(rows(xp, x, axes), axis=-1), shape)


def sum_directly(xp: Functions, x: Array, axes: tuple[int, ...]) -> Array:
    """Sum with the library's own function, keeping dimensions."""
    return xp.sum(x, axis=axes, keepdims=True)


# --- the error function and the normal distribution -----------------------------------------------

# erf(x) = 2 / sqrt(pi) x (sum over k of (-1)^k x^2k / (k! (2k + 1))), Abramowitz and Stegun 7.1.5.
_ERF_AT_0 = tuple((-1) ** k * 2.0 / (_ROOT_PI * math.factorial(k) * (2 * k + 1)) for k in range(20))
# (m(y) - y) (1 + y / 4) / 4 in powers of (4 - y) / (4 + y), where m is the normal density divided
# by its upper tail: interpolated at 60 Chebyshev points in 60 digits.
_MILLS = (
    0.45121428897894217, 0.2955511253798199, 0.1004891759515572,
    -0.01687948198071023, -0.034556122869683355, -0.008425916912605828,
    0.007914131869764295, 0.005200113562880667, -0.0011221474370033215,
    -0.0019903526223409742, -9.33967761255306e-05, 0.0006214469190987625,
    0.00014871545914509665, -0.00016636867794980094, -7.232804887044163e-05,
    3.756596429412794e-05, 2.623425141500738e-05, -6.361423513905624e-06,
    -7.948192361163694e-06, 3.0250718270462195e-07, 2.053524906590904e-06,
    3.521125202215536e-07, -4.4279097571909116e-07, -1.9582047671358907e-07,
    7.431793650949761e-08, 6.27732395396334e-08, -8.148325388153719e-09,
    -1.2608640608609e-08, 2.718406874804387e-10, 1.2286347728231882e-09,
    3.92700641138163e-11,
)  # fmt: skip


def _tail_excess(xp: Namespace, y: Array) -> Array:
    """``m(y) - y`` for y >= 0, where m(y) is the normal density divided by the tail above y."""
    share = 4 / (4 + y)
    return share * polynomial(_MILLS, 2 * share - 1)


def _exp_of_square(xp: Namespace, x: Array, factor: float) -> Array:
    """``exp(factor x^2)`` for a negative factor, without the rounding error of a large square."""
    x = xp.clip(x, min=-64.0, max=64.0)
    near = xp.round(16 * x) / 16  # few digits, so that its square is exact
    whole = xp.exp(factor * near * near)
    # not the product of two exponentials, which XLA would merge
    return whole + whole * xp.expm1(factor * (x - near) * (x + near))


def _density(xp: Namespace, x: Array) -> Array:
    """``exp(-x^2 / 2) / sqrt(2 pi)``, the density of the normal distribution."""
    return _exp_of_square(xp, x, -0.5) / _ROOT_2PI


def _far_erfc(xp: Namespace, x: Array) -> Array:
    """``erfc(x)`` for x >= 0.5."""
    scaled = x + _tail_excess(xp, _ROOT_2 * x) / _ROOT_2
    return _exp_of_square(xp, x, -1.0) / (_ROOT_PI * scaled)


def erf(xp: Namespace, x: Array, /) -> Array:
    """Error function: 2 / sqrt(pi) times the integral of ``exp(-t^2)`` from 0 to x."""
    size = xp.abs(x)
    small = size < 1
    inside = xp.where(small, x, xp.zeros_like(x))
    outside = xp.where(small, xp.ones_like(x), xp.clip(size, max=64.0))
    near = inside * polynomial(_ERF_AT_0, inside * inside)
    return xp.where(small, near, xp.sign(x) * (1 - _far_erfc(xp, outside)))


def erfc(xp: Namespace, x: Array, /) -> Array:
    """``1 - erf(x)``, accurate in the tail."""
    far = x > 0.5
    half = xp.full_like(x, 0.5)
    outside = xp.where(far, xp.clip(x, max=64.0), half)
    return xp.where(far, _far_erfc(xp, outside), 1 - xp.erf(xp.where(far, half, x)))


def ndtr(xp: Namespace, x: Array, /) -> Array:
    """Distribution function of the normal distribution, accurate in the lower tail."""
    low = x < -1
    depth = xp.where(low, -xp.clip(x, min=-64.0), xp.ones_like(x))
    tail = _density(xp, depth) / (depth + _tail_excess(xp, depth))
    return xp.where(low, tail, 0.5 + 0.5 * xp.erf(xp.where(low, xp.zeros_like(x), x) / _ROOT_2))


def log_ndtr(xp: Namespace, x: Array, /) -> Array:
    """Logarithm of the normal distribution function, accurate in both tails."""
    low = x < 0
    depth = xp.where(low, -x, xp.zeros_like(x))
    tail = -_HALF_LOG_2PI - xp.log(depth + _tail_excess(xp, depth)) - depth * (0.5 * depth)
    return xp.where(low, tail, xp.log1p(-xp.ndtr(xp.where(low, xp.zeros_like(x), -x))))


def _reversed_hazard(xp: Namespace, x: Array) -> Array:
    """Normal density divided by the lower tail: the derivative of `log_ndtr`."""
    low = x < 0
    depth, height = xp.where(low, -x, xp.zeros_like(x)), xp.where(low, xp.zeros_like(x), x)
    return xp.where(low, depth + _tail_excess(xp, depth), _density(xp, height) / xp.ndtr(height))


def _hazard_slope(xp: Namespace, x: Array, hazard: Array) -> Array:
    """The derivative of `_reversed_hazard`, from its value."""
    low = x < 0
    excess = _tail_excess(xp, xp.where(low, -x, xp.zeros_like(x)))
    return -hazard * xp.where(low, excess, hazard + xp.where(low, xp.zeros_like(x), x))


# --- gamma functions without cancellation ---------------------------------------------------------

# The error of Stirling's formula at 1 / t, divided by t, in powers of 2 t - 1 for 0 <= t <= 1:
# interpolated at 60 Chebyshev points in 60 digits.
_STIRLING_ERROR = (
    0.0826813919108186, -0.0012300100649059083, -0.0004851043881010359,
    0.00010076829937174882, -1.2621643029088812e-06, -6.404042343899916e-06,
    2.5473662094685148e-06, -4.2740730508409587e-07, -1.1717279238507018e-07,
    1.2998244537709444e-07, -5.988629480797232e-08, 1.5396043590785008e-08,
    1.2324535883203946e-09, -4.21719230572717e-09, 2.945097360284988e-09,
    -1.3641896013648105e-09, 4.748312546082518e-10, -1.347105296688458e-11,
    -2.6499743739860614e-10, 1.7910125295270675e-10, 8.832685827118941e-11,
    -4.888886151492002e-11, -1.2886906954306407e-10, 6.233742083375551e-11,
    6.114792362495952e-11, -3.659852280539227e-11, -9.197101301246291e-12,
    6.592808527254165e-12,
)  # fmt: skip


def _near_0(x: Array) -> Array:
    """Whether log(1 + x) is computed from its series: abs(s) < 1/2."""
    return (x > -2 / 3) & (x < 2)


def relative_log1p(xp: Namespace, x: Array, /) -> Array:
    """``1 - log(1 + x) / x``, smooth and accurate near its zero at x = 0."""
    near = _near_0(x)
    inside = xp.where(near, x, xp.zeros_like(x))
    outside = xp.where(near, xp.ones_like(x), x)
    s = inside / (2 + inside)
    series = s - 2 * s * s * polynomial(_ATANH_TAIL, s * s) / (2 + inside)
    return xp.where(near, series, 1 - xp.quotient(xp.log1p(outside), outside))


# (exp(x) - 1 - x) / x^2
EXP_REMAINDER = tuple(1 / math.factorial(k + 2) for k in range(18))


def exp_remainder(xp: Namespace, x: Array, /) -> Array:
    """``(exp(x) - 1 - x) / x^2``, smooth and accurate near x = 0, where it is 1/2."""
    near = xp.abs(x) < 1
    inside = xp.where(near, x, xp.zeros_like(x))
    outside = xp.where(near, xp.ones_like(x), x)
    far = xp.quotient(xp.quotient(xp.exp(outside) - 1, outside) - 1, outside)
    return xp.where(near, polynomial(EXP_REMAINDER, inside), far)


def stirling_error(xp: Namespace, t: Array, /) -> Array:
    """``log(gamma(x + 1)) - (x + 1/2) log(x) + x - log(2 pi) / 2`` at x = 1 / t, for t >= 0.

    A difference of log(gamma) is a difference of these errors plus terms that cancel analytically.
    """
    above = t <= 1  # x >= 1
    x = xp.quotient(xp.ones_like(t), xp.where(above, xp.ones_like(t), t))
    share = xp.where(above, t, 1 / (1 + x))  # gamma(x + 1) = gamma(x + 2) / (x + 1)
    series = share * polynomial(_STIRLING_ERROR, 2 * share - 1)
    step = (x + 0.5) * (xp.log1p(x) - xp.log(x)) - 1
    return series + xp.where(above, xp.zeros_like(t), step)


def student_t(xp: Namespace, freedom: Array, error: Array, scale: Array, /) -> Array:
    """Negative log density of Student's t distribution; normal for infinite freedom."""
    one, zero = xp.ones_like(freedom), xp.zeros_like(error)
    h = xp.quotient(one, freedom)
    constant = _HALF_LOG_2PI + xp.log(scale) + 0.5 * xp.relative_log1p(h)
    constant = constant + xp.stirling_error(2 * h) - xp.stirling_error(2 * h / (1 + h))
    root = xp.sqrt(xp.where(h == 0, one, freedom))
    size = xp.abs(error)
    overflow = (h > 0) & (size > 2.0**30 * root * scale)  # the square of the ratio would overflow
    z = xp.quotient(xp.where(overflow, zero, error), scale)
    ratio = xp.where(h == 0, zero, xp.quotient(z, root))
    small = xp.abs(ratio) < 1
    near = xp.where(small, ratio, zero)
    relative = 1 - xp.relative_log1p(near * near)  # log(1 + z^2 / freedom) / (z^2 / freedom)
    z = xp.where(small, z, zero)
    far = xp.where(small, zero, ratio)
    logarithm = xp.log1p(far * far)
    beyond = xp.log(xp.where(overflow, size, one)) - xp.log(xp.where(overflow, root * scale, one))
    logarithm = xp.where(overflow, 2 * beyond, logarithm)
    finite = xp.where(small & ~overflow, one, freedom)
    return constant + 0.5 * (1 + h) * z * z * relative + 0.5 * (1 + finite) * logarithm


def _saturated(xp: Namespace, y: Array) -> Array:
    """``log(y!) - y log(y) + y``: the Poisson loss of the count y for the rate y."""
    above, zero, one = y >= 1, xp.zeros_like(y), xp.ones_like(y)
    large, small = xp.where(above, y, one), xp.where(above, zero, y)
    error = xp.stirling_error(xp.quotient(one, large + small))
    low = (small + 0.5) * xp.log1p(small) - xp.xlogy(small, small) - 1
    remainder = xp.where(above, 0.5 * xp.log(large), low)
    return xp.where(y == 0, zero, _HALF_LOG_2PI + remainder + error)


def _poisson_excess(xp: Namespace, y: Array, rate: Array, error: Array) -> Array:
    """``y log(y / rate) - error``; error = y - rate is passed because it is more accurate."""
    one, zero = xp.ones_like(y), xp.zeros_like(y)
    count = xp.where(y == 0, one, y)
    relative = -xp.quotient(error, count)
    near = (y > 0) & _near_0(relative)
    plain = near | (y == 0)
    logarithm = xp.log_ratio(xp.where(plain, one, rate), xp.where(plain, one, count))
    inside = -error * xp.relative_log1p(xp.where(near, relative, zero))
    return xp.where(near, inside, -error - y * logarithm)


def negative_binomial(xp: Namespace, mean: Array, dispersion: Array, y: Array, /) -> Array:
    """Negative log probability of a count, by saddle points: a sum of positive terms.

    The terms are the loss of the saturated model, the excess of the prediction, and the remainder
    of three log(gamma) (Loader 2000, *Fast and Accurate Computation of Binomial Probabilities*). No
    term contains 1 / dispersion, so that a dispersion of 0 gives the Poisson distribution.
    """
    one, zero = xp.ones_like(mean), xp.zeros_like(mean)
    large = dispersion > 1  # then 1 + dispersion * mean is divided by the dispersion
    unit = xp.quotient(one, xp.where(large, dispersion, one))
    factor = xp.where(large, one, dispersion)
    at_mean, at_y = unit + factor * mean, unit + factor * y
    error = xp.quotient(y - mean, at_mean)
    gap, relative = unit * error, factor * error  # relative = dispersion * gap
    rate = mean * xp.quotient(at_y, at_mean)  # y - gap
    near = _near_0(relative)
    logarithm = xp.log_ratio(xp.where(near, one, at_y), xp.where(near, one, at_mean))
    outside = gap - logarithm * xp.quotient(unit, xp.where(near, one, factor))
    inside = gap * xp.relative_log1p(xp.where(near, relative, zero))
    added = xp.where(near, inside, outside) + _poisson_excess(xp, y, rate, gap)
    some = y > 0  # for a count of 0, the following terms and their derivatives are 0
    wide = xp.where(large & some, xp.log(at_y) - xp.log(unit), xp.log1p(factor * y))
    of_one, of_sum = (xp.where(some, t, zero) for t in (dispersion, xp.quotient(factor, at_y)))
    gammas = xp.stirling_error(of_one) - xp.stirling_error(of_sum)
    return _saturated(xp, y) + (added + (0.5 * wide + gammas))


# --- ensembles ------------------------------------------------------------------------------------


def rank(xp: Namespace, x: Array, /) -> Array:
    """Rank along the last axis, from 1; ties have the mean of their ranks. No derivative."""
    x = xp.stop_gradient(x)
    first, last = (xp.argsort(xp.argsort(y, axis=-1, stable=True), axis=-1) for y in (x, -x))
    return xp.astype(first - last + (x.shape[-1] + 1), xp.computing) / 2


def absolute_power(xp: Namespace, x: Array, power: Any, /) -> Array:
    """``|x|^power``, with derivative 0 at 0."""
    zero = x == 0
    return xp.where(zero, xp.zeros_like(x), xp.abs(xp.where(zero, xp.ones_like(x), x)) ** power)


def euclidean_norm(xp: Namespace, x: Array, /) -> Array:
    """Euclidean norm along the last axis, with derivative 0 at 0."""
    size = xp.max(xp.abs(xp.stop_gradient(x)), axis=-1, keepdims=True)
    factor = xp.power_of_two(size)  # 1 where float32 is computed in float64
    x = x * factor
    return xp.sqrt(xp.sum(x * x, axis=-1)) / xp.squeeze(factor, axis=-1)


# --- tables for the namespaces and the rules of differentiation -----------------------------------

FUNCTIONS: tuple[Callable[..., Array], ...] = (
    clip, sqrt, huber, huber_back, sigmoid_cross_entropy, sigmoid_cross_entropy_back, xlogy,
    binary_cross_entropy, binary_cross_entropy_back,
    xlogy_back, xlog1py, xlog1py_back, softplus, sigmoid, sigmoid_power, sigmoid_power_back,
    log_ratio, relative_expm1, lgamma, log_cosh, sqrt1pm1, tweedie_deviance, power_of_two,
    symmetric_percentage, unit_vector, cosine, cosine_distance,
    added_along_axis, overlap, overlap_back, pick, places, at, exponentials, logsumexp, softmax,
    margin, label_cross_entropy, cross_entropy, sum_in_two, softmax_divergence, divergence,
    logits_divergence, parameter, chosen,
    bins, bin_max, bin_of, sums_by, rows, scan,
    erf, erfc, ndtr, log_ndtr, relative_log1p, exp_remainder, stirling_error,
    student_t, negative_binomial, rank, absolute_power, euclidean_norm,
)  # fmt: skip


_2_OVER_ROOT_PI = 2 / _ROOT_PI
# by name, the derivative as a function of (xp, x), in a form whose derivative is accurate too
SLOPES: dict[str, Callable[..., Array]] = {
    "erf": lambda xp, x: _2_OVER_ROOT_PI * _exp_of_square(xp, x, -1.0),
    "erfc": lambda xp, x: -_2_OVER_ROOT_PI * _exp_of_square(xp, x, -1.0),
    "ndtr": _density,
    "log_ndtr": _reversed_hazard,
}


class Slopes(NamedTuple):
    """The derivatives of a function f, each a function of (xp, x, f(x)).

    If ``second`` is None, the second derivative is minus the square of the first.
    """

    first: Callable[..., Any]
    second: Callable[..., Any] | None
    by_value: bool = False  # whether the first uses f(x)


def _with_second(name: str, factor: float) -> Slopes:
    """Return the derivatives of an integral of ``exp(factor x^2 / 2)``."""

    def second(xp: Namespace, x: Array, y: Array) -> Array:
        return factor * xp.clip(x, min=-64.0, max=64.0) * SLOPES[name](xp, x)

    return Slopes(lambda xp, x, y: SLOPES[name](xp, x), second)


DERIVATIVES: dict[str, Slopes] = {
    "erf": _with_second("erf", -2.0),
    "erfc": _with_second("erfc", -2.0),
    "ndtr": _with_second("ndtr", -1.0),
    "log_ndtr": Slopes(
        lambda xp, x, y: _reversed_hazard(xp, x),
        lambda xp, x, y: _hazard_slope(xp, x, _reversed_hazard(xp, x)),
    ),
}
