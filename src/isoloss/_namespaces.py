"""The namespaces definitions are written against: the array API standard, and what it leaves out.

A definition receives one argument ``xp``. It holds every function of the user's own array library,
with three kinds of change, made here and nowhere else:

* where libraries disagree about a derivative (``abs`` at 0, ``clip`` at its bounds, ``sqrt`` at 0),
  a form whose derivative is the contract's on every library;
* where a library has a trap (Python scalars in ``maximum``, a sequential sum along axis 0), a form
  without it;
* what the standard lacks: ``xlogy``, ``softplus``, ``lgamma``, ``log_ratio``, ``relative_expm1``,
  ``log_cosh``, ``stop_gradient``, and ``eps``, the spacing of 1 in the dtype of the result.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

from . import _special
from ._special import _polynomial

Array = Any  # an array of any library; the standard has no static type for it yet
Namespace = Any  # a module of array functions

FLOATS = ("float16", "bfloat16", "float32", "float64", "float96", "float128")
WIDE = ("float64", "float96", "float128")  # the last two are NumPy's longdouble
INTEGERS = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
# Where float64 is not there to widen to, residuals beyond the bound (or under its reciprocal) are
# multiplied (or divided) by the scale before they are squared. Powers of two: scaling is exact.
RANGE = {"float32": (2.0**40, 2.0**-80), **dict.fromkeys(WIDE, (2.0**400, 2.0**-700))}


_NAMES: dict[tuple[type, Any], str] = {}


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype of any library: ``float32``, ``bfloat16``, ``int64``, ..."""
    key = (type(dtype), dtype)  # dtypes of two libraries may hash alike, and must not be compared
    name = _NAMES.get(key)
    if name is None:
        name = str(getattr(dtype, "name", None) or str(dtype).rpartition(".")[2].rstrip("'>"))
        _NAMES[key] = name
    return name


# --- functions that the standard lacks, or whose derivatives the libraries disagree on ------------


def _where(xp: Namespace, dtype: Any, condition: Array, x1: Any, x2: Any) -> Array:
    """Select elementwise; two Python numbers take the dtype of the computation, no default."""
    if isinstance(condition, bool):
        return x1 if condition else x2
    if isinstance(x1, (int, float)) and isinstance(x2, (int, float)):
        x1 = xp.full_like(condition, x1, dtype=dtype)
    return xp.where(condition, x1, x2)


def _either(function: Callable[..., Array], xp: Namespace, x1: Any, x2: Any) -> Array:
    """``maximum`` or ``minimum`` of arrays and Python numbers; a tie shares the derivative."""
    if isinstance(x1, (int, float)):
        x1, x2 = x2, x1
    return function(x1, xp.full_like(x1, x2) if isinstance(x2, (int, float)) else x2)


def _clip(xp: Namespace, x: Array, /, min: Any = None, max: Any = None) -> Array:  # noqa: A002
    """Clip; the derivative at a bound is that of the inside (JAX: 1/2, torch: 1)."""
    if min is not None:
        x = xp.where(x < min, min, x)
    return x if max is None else xp.where(x > max, max, x)


def _clamp(x: Array, /, min: Any = None, max: Any = None) -> Array:  # noqa: A002
    """Clip on NumPy, whose own ``clip`` costs five times as much on small arrays."""
    x = x if min is None else np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


def _zeros_like(x: Array, /, *, dtype: Any = None) -> Array:
    """Return zeros on NumPy, whose own ``zeros_like`` costs five times as much on small arrays."""
    return np.zeros(x.shape, x.dtype if dtype is None else dtype)


def _ones_like(x: Array, /, *, dtype: Any = None) -> Array:
    ones = np.empty(x.shape, x.dtype if dtype is None else dtype)
    ones.fill(1)
    return ones


def _bincount(index: Array, weights: Array | None, size: int, /) -> Array:
    """Count on NumPy, in one pass over all rows."""
    count = index.shape[0]
    if count > 1:
        index = index + size * np.arange(count)[:, None]
    if weights is not None and weights.dtype.itemsize > 8:  # NumPy's counts in float64
        wide = np.zeros(count * size, weights.dtype)
        np.add.at(wide, index.ravel(), weights.ravel())
        return wide.reshape(count, size)
    flat = None if weights is None else weights.ravel()
    sums = np.bincount(index.ravel(), flat, minlength=count * size).reshape(count, size)
    return sums if weights is None else sums.astype(weights.dtype, copy=False)


def _bin_max_at(index: Array, x: Array, size: int, /) -> Array:
    found = np.zeros((x.shape[0], size), x.dtype)
    np.maximum.at(found, (np.arange(x.shape[0])[:, None], index), x)
    return found


def _sqrt(xp: Namespace, x: Array, /) -> Array:
    """Square root whose derivative at 0 is 0, as for every norm."""
    zero = x == 0
    return xp.where(zero, x, xp.sqrt(xp.where(zero, xp.ones_like(x), x)))


def _xlogy(xp: Namespace, x: Array, y: Array, /) -> Array:
    """``x log(y)``, 0 where x is 0 whatever y is, with derivative 0 there."""
    zero = x == 0
    return xp.where(zero, 0.0 * x, x * xp.log(xp.where(zero, xp.ones_like(y), y)))


def _xlog1py(xp: Namespace, x: Array, y: Array, /) -> Array:
    """``x log(1 + y)``, 0 where x is 0 whatever y is, with derivative 0 there."""
    zero = x == 0
    return xp.where(zero, 0.0 * x, x * xp.log1p(xp.where(zero, xp.zeros_like(y), y)))


def _softplus(xp: Namespace, x: Array, /) -> Array:
    """``log(1 + exp(x))``, exact in both tails, at 0 and to second order."""
    above = x > 0
    tail = xp.log1p(xp.exp(xp.where(above, -x, x)))
    return xp.where(above, x, xp.zeros_like(x)) + tail


def _sigmoid(xp: Namespace, x: Array, /) -> Array:
    """``1 / (1 + exp(-x))``, exact in both tails, at 0 and to second order."""
    above = x > 0
    e = xp.exp(xp.where(above, -x, x))
    return xp.where(above, xp.ones_like(e), e) / (1 + e)


def _sigmoid_power(xp: Namespace, x: Array, power: Any, /) -> Array:
    """``sigmoid(x)^power``, whose derivatives do not divide by a tail; 0 where that has none left.

    The value is a power, the slope that of ``exp(power log sigmoid(x))``: each is exact alone.
    """
    base = xp.stop_gradient(xp.sigmoid(x))
    gone = base == 0
    held = power if isinstance(power, (int, float)) else xp.stop_gradient(power)
    value = xp.where(gone, xp.ones_like(base), base) ** held
    exponent = -power * xp.softplus(xp.where(gone, xp.zeros_like(x), -x))
    return xp.where(gone, xp.zeros_like(x), value * xp.exp(exponent - xp.stop_gradient(exponent)))


def _log_ratio(xp: Namespace, x: Array, y: Array, /) -> Array:
    """``log(x / y)`` of positive numbers, without the rounding of ``x / y`` where x is near y."""
    near = xp.abs(x - y) < 0.5 * y
    ratio = xp.quotient(xp.where(near, xp.ones_like(x), x), xp.where(near, xp.ones_like(y), y))
    return xp.where(near, xp.log1p(xp.quotient(xp.where(near, x, y) - y, y)), xp.log(ratio))


_EXPM1_TAIL = tuple(1 / math.factorial(k + 2) for k in range(18))


def _relative_expm1(xp: Namespace, x: Array, /) -> Array:
    """``(exp(x) - 1) / x - 1``, smooth and exact through its zero at x = 0."""
    small = xp.abs(x) < 1.0
    inside = xp.where(small, x, xp.zeros_like(x))
    outside = xp.where(small, xp.ones_like(x), x)
    far = (xp.exp(outside) - 1) / outside - 1  # not expm1: its derivative, 1 + expm1, cancels
    tail = 0.0 * inside + _EXPM1_TAIL[-1]  # step by step: so its slope is a digit more exact
    for coefficient in reversed(_EXPM1_TAIL[:-1]):
        tail = tail * inside + coefficient
    return xp.where(small, inside * tail, far)


# log gamma(2 + z) = (1 - Euler's constant) z + sum over k >= 2 of (-1)^k (zeta(k) - 1) z^k / k,
# with zeta(k) - 1 summed directly: it converges like 2^-k (Abramowitz and Stegun 6.1.33).
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


def _lgamma(xp: Namespace, x: Array, /) -> Array:
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
    series = _polynomial(_LGAMMA_AT_2, xp.where(low, offset, z - 2))
    near = series + (xp.log(product) - xp.log(divisor))
    y = xp.where(large, x, xp.full_like(x, 9.0))
    tail = _polynomial(_STIRLING, 1 / (y * y)) / y
    far = (y - 0.5) * (xp.log(y) - 1) + (0.5 * math.log(2 * math.pi) - 0.5 + tail)
    return xp.where(large, far, near)


_COSH_TAIL = tuple(1 / math.factorial(2 * k + 2) for k in range(9))  # (cosh(x) - 1) / x^2 in x^2


def _log_cosh(xp: Namespace, x: Array, /) -> Array:
    """``log(cosh(x))`` without cancellation near 0 or overflow far out."""
    a = xp.abs(x)
    small = a < 1.0
    inside, far = xp.where(small, x, xp.zeros_like(x)), xp.where(small, xp.ones_like(x), a)
    square = inside * inside
    near = xp.log1p(square * _polynomial(_COSH_TAIL, square))
    return xp.where(small, near, far - math.log(2) + xp.log1p(xp.exp(-2 * far)))


def _sqrt1pm1(xp: Namespace, x: Array, /) -> Array:
    """``sqrt(1 + x^2) - 1`` without cancellation, at any x, to second order."""
    a = xp.abs(x)
    near = a < 64.0
    inside, outside = xp.where(near, x, xp.zeros_like(x)), xp.where(near, xp.full_like(a, 64.0), a)
    square = inside * inside
    u = 1 / outside  # the series of sqrt(1 + x^2) - |x| in 1 / x
    far = _polynomial((1 / 2, -1 / 8, 1 / 16, -5 / 128), u * u) * u
    return xp.where(near, square / (1 + xp.sqrt(1 + square)), (outside - 1) + far)


def _slope(xp: Namespace, x: Array) -> Array:
    """``x / sqrt(1 + x^2)``, the derivative of `_sqrt1pm1`, without squaring a large number."""
    a = xp.abs(x)
    far = a > 1
    small, u = xp.where(far, xp.zeros_like(x), x), 1 / xp.where(far, a, xp.ones_like(a))
    return xp.where(far, xp.sign(x) / xp.sqrt(1 + u * u), small / xp.sqrt(1 + small * small))


def _curvature(xp: Namespace, x: Array) -> Array:
    """``(1 + x^2)^(-3/2)``, the derivative of `_slope`."""
    a = xp.abs(x)
    far = a > 1
    small, u = xp.where(far, xp.zeros_like(x), x), 1 / xp.where(far, a, xp.ones_like(a))
    root = xp.where(far, u / xp.sqrt(1 + u * u), 1 / xp.sqrt(1 + small * small))
    return root * root * root


def _tanh(xp: Namespace, x: Array) -> Array:
    return xp.tanh(x)


def _sech2(xp: Namespace, x: Array) -> Array:
    """``1 / cosh(x)^2`` without overflow or cancellation."""
    e = xp.exp(-2 * xp.abs(x))
    return 4 * e / ((1 + e) * (1 + e))


def _tweedie_deviance(xp: Namespace, p: Array, y: Array, power: Any) -> Array:
    """Return the unit deviance of any power, smooth through its limits at 1 and 2.

    With a = 1 - power, b = 2 - power and M = log(p / y), half of it is the difference of
    ``(p^b - y^b) / b`` and ``(y p^a - y^b) / a``. Each is ``y^b M (1 + rel(c M))`` for c = b and a,
    where rel(x) = (exp(x) - 1) / x - 1: that serves where c M is small, and where both are, the
    difference is taken of the two rel alone. Far out the powers themselves are subtracted, so that
    the derivative is a difference of powers too, ``2 (p - y) p^-power``.
    """
    if isinstance(power, (int, float)) and power == 0:
        return (y - p) * (y - p)
    a, b = 1 - power, 2 - power
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
    one, two = xp.where(a == 0, 1.0, a), xp.where(b == 0, 1.0, b)
    # not 1 / two: a power may be an array of its own, narrower dtype
    at_most_zero = end * (xp.ones_like(p) / two - xp.quotient(y, p) / one)
    return 2 * xp.where(positive, terms, at_most_zero)


def _power_of_two(xp: Namespace, size: Array) -> Array:
    """Return the power of two that brings numbers of this size where their squares are in range."""
    factor = one = xp.ones_like(size)
    if xp.wide:
        return one
    step = 32 if xp.result_name == "float32" else 256
    for exponent in (step, 2 * step, 3 * step):
        far = 2.0 ** (exponent - step // 2)
        factor = xp.where(size > far, one * 2.0**-exponent, factor)
        factor = xp.where(size < 1 / far, one * 2.0**exponent, factor)
    return factor


def _symmetric_percentage(xp: Namespace, x: Array, y: Array, /) -> Array:
    """``2 |x - y| / (|x| + |y|)``, 0 where both are 0; its derivatives do not cancel."""
    p, t = xp.abs(x), xp.abs(y)
    scale = p / 2 + t / 2
    scale = xp.where(scale == 0, xp.ones_like(scale), scale)
    near, far = xp.quotient(xp.abs(x - y), scale), 2 - 2 * xp.quotient(t, scale)
    differ = x * xp.sign(y) < 0  # in sign: constant
    return xp.where(differ, 2 * xp.ones_like(p), xp.where(p > 3 * t, far, near))


def _unit_vector(xp: Namespace, x: Array, /) -> Array:
    """Divide by the Euclidean norm along the last axis; the zero vector stays, with gradient 0."""
    size = xp.max(xp.abs(xp.stop_gradient(x)), axis=-1, keepdims=True)
    x = x * xp.power_of_two(size)
    square = xp.sum(x * x, axis=-1, keepdims=True)
    zero = square == 0
    return xp.where(zero, xp.zeros_like(x), x / xp.sqrt(xp.where(zero, 1.0, square)))


# --- classes along the last axis ------------------------------------------------------------------


def _pick(xp: Namespace, x: Array, labels: Array, /) -> Array:
    """Return the number at each label, along the last axis."""
    return xp.take_along_axis(x, xp.expand_dims(labels, axis=-1), axis=-1)[..., 0]


def _places(xp: Namespace, x: Array, /) -> Array:
    """Return 0, 1, 2, ... along the last axis, without creating an array from nothing."""
    return xp.cumulative_sum(xp.ones_like(x, dtype=xp.counting), axis=-1) - 1


def _at(xp: Namespace, x: Array, labels: Array, /) -> Array:
    """Tell for each place along the last axis whether it is the label's."""
    return xp.places(x) == xp.expand_dims(labels, axis=-1)


def _exponentials(xp: Namespace, x: Array, /, but: Array | None = None) -> tuple[Array, Array]:
    """Return the largest number of each row, h, and ``sum(exp(x - h)) - 1``.

    ``but`` is a label whose number is left out. The largest is no part of the sum, so that a small
    one has all its digits. Infinite numbers and rows of -inf alone have their limits.
    """
    if but is not None:
        x = xp.where(xp.at(x, but), xp.full_like(x, -math.inf), x)
    top = xp.argmax(x, axis=-1)
    highest = xp.pick(x, top)
    lost = xp.isinf(highest)
    base = xp.expand_dims(xp.where(lost, xp.zeros_like(highest), highest), axis=-1)
    out = xp.logical_or(xp.at(x, top), xp.expand_dims(lost, axis=-1))
    terms = xp.exp(xp.where(out, xp.zeros_like(x), x - base))
    return highest, xp.sum(xp.where(out, xp.zeros_like(x), terms), axis=-1)


def _logsumexp(xp: Namespace, x: Array, /) -> tuple[Array, Array]:
    """``log(sum(exp(x)))`` along the last axis, as the largest number and what is above it."""
    highest, rest = xp.exponentials(x)
    return highest, xp.log1p(rest)


def _softmax(xp: Namespace, logits: Array, /) -> tuple[Array, Array]:
    """Return probabilities and their logarithms; each is exact where the other is rounded."""
    highest, rest = (xp.expand_dims(part, axis=-1) for part in xp.logsumexp(logits))
    below = xp.where(logits == math.inf, xp.zeros_like(logits), logits - highest)
    return xp.exp(below) * xp.exp(-rest), below - rest


def _margin(xp: Namespace, x: Array, labels: Array, /) -> Array:
    """``log(sum(exp(x)))`` of all numbers but the label's, less the label's: the logit against it.

    Of two classes it is the difference of their logits, and many classes are those two.
    """
    highest, rest = xp.exponentials(x, labels)
    return (highest - xp.pick(x, labels)) + xp.log1p(rest)


def _label_cross_entropy(xp: Namespace, x: Array, labels: Array, /) -> Array:
    """``-log(softmax(x))`` at the label: softplus of the margin, exact where that is far."""
    highest, rest = xp.exponentials(x, labels)
    ahead = highest - xp.pick(x, labels)
    above = ahead > 0
    e = xp.exp(xp.where(above, -ahead, ahead))
    return xp.where(above, ahead, xp.zeros_like(e)) + xp.log1p(
        xp.where(above, rest + e, e + e * rest)
    )


def _cross_entropy(xp: Namespace, shares: Array, x: Array, /) -> Array:
    """``-sum(shares log(softmax(x)))`` along the last axis; a share of 0 adds 0, whatever x is."""
    highest, rest = xp.logsumexp(x)
    below = xp.expand_dims(highest, axis=-1) - x
    infinite = x == math.inf  # one alone loses nothing; two are nan, as inf - inf is
    alone = xp.sum(xp.astype(infinite, x.dtype), axis=-1, keepdims=True) == 1
    hidden = ((shares == 0) & ~xp.isfinite(below)) | (infinite & alone)
    below = xp.where(hidden, xp.zeros_like(x), below)
    return xp.sum(shares * (below + xp.expand_dims(rest, axis=-1)), axis=-1)


def _parameter(xp: Namespace, number: Any, like: Array, /) -> Any:
    """Return a hyper-parameter; an array takes the computation's dtype before it is rounded."""
    return number if isinstance(number, (int, float)) else xp.constant(number, like)


def _chosen(xp: Namespace, numbers: Any, labels: Array, /) -> Array:
    """Return one of some numbers for each label."""
    table, index = xp.constant(numbers, labels), xp.reshape(labels, (-1,))
    return xp.reshape(xp.take(table, index, axis=0), labels.shape)


def _bins(xp: Namespace, index: Array, weights: Array | None, size: int, /) -> Array:
    """Sum the weights, or count, by index in each row: shapes (rows, n) to (rows, size)."""
    ones = xp.ones_like(index) if weights is None else weights
    none = xp.zeros_like(ones)
    sums = [xp.sum(xp.where(index == k, ones, none), axis=-1) for k in range(size)]
    return xp.stack(sums, axis=-1)


def _bin_max(xp: Namespace, index: Array, x: Array, size: int, /) -> Array:
    """Return the largest by index in each row of numbers that are not negative; 0 where none is."""
    none = xp.zeros_like(x)
    return xp.stack([xp.max(xp.where(index == k, x, none), axis=-1) for k in range(size)], axis=-1)


def _sums_by(xp: Namespace, index: Array, weights: Array, size: int, /) -> Array:
    """Sum the weights by index as `bins` does, in pieces, so that no sum is of many in a row."""
    lines, n = index.shape
    pieces = max(1, min(n // 64, n // size)) if xp.is_known(n) else 1
    if pieces == 1:
        return xp.bins(index, weights, size)
    missing = -n % pieces

    def cut(x: Array, fill: int) -> Array:
        if missing:  # the last piece is filled up
            x = xp.concat([x, xp.full_like(x[:, :missing], fill)], axis=-1)
        return xp.reshape(x, (lines * pieces, (n + missing) // pieces))

    parts = xp.bins(cut(index, size - 1), cut(weights, 0), size)
    return xp.total(xp.reshape(parts, (lines, pieces, size)), (1,))[:, 0, :]


def _bin_of(xp: Namespace, x: Array, edges: tuple[float, ...], /) -> Array:
    """Return how many of the ascending edges are at most each number; -1 for nan."""
    grid = xp.constant(edges, x)
    found = xp.reshape(xp.searchsorted(grid, xp.reshape(x, (-1,)), side="right"), x.shape)
    return xp.where(xp.isnan(x), xp.full_like(found, -1), found)


def _scan(xp: Namespace, step: Callable[..., Any], state: Any, /, *sequences: Array) -> Any:
    """Take a state through the steps of sequences, along their last axis but one."""
    for t in range(sequences[0].shape[-2]):
        state = step(state, *(x[..., t, :] for x in sequences))
    return state


def _rows(xp: Namespace, x: Array, axes: tuple[int, ...], /) -> Array:
    """Bring the reduced axes last and into one, in row order: shape ``(kept..., n)``."""
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in kept)
    if kept + axes != tuple(range(x.ndim)):
        x = xp.reshape(xp.permute_dims(x, kept + axes), (-1,))  # flat first: forces the copy
    return xp.reshape(x, (*shape, math.prod(x.shape) // max(math.prod(shape), 1)))


_FUNCTIONS: tuple[Callable[..., Array], ...] = (
    _clip, _sqrt, _xlogy, _xlog1py, _softplus, _sigmoid, _sigmoid_power, _log_ratio,
    _relative_expm1, _lgamma, _log_cosh, _sqrt1pm1, _tweedie_deviance, _power_of_two,
    _symmetric_percentage, _unit_vector, _pick, _places, _at, _exponentials, _logsumexp, _softmax,
    _margin, _label_cross_entropy, _cross_entropy, _parameter, _chosen, _bins, _bin_max, _bin_of,
    _sums_by, _rows, _scan,
    *_special.FUNCTIONS,
)  # fmt: skip


def _sum_of_rows(xp: Namespace, x: Array, axes: tuple[int, ...]) -> Array:
    """Sum, keeping dimensions, along rows: NumPy sums pairwise there, sequentially elsewhere."""
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return xp.reshape(xp.sum(_rows(xp, x, axes), axis=-1), shape)


def _sum_of_blocks(xp: Namespace, x: Array, axes: tuple[int, ...]) -> Array:
    """Sum, keeping dimensions, in blocks of blocks: torch's own sum is 11 ULP off at 1e7."""
    x, shape = _rows(xp, x, axes), tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    block = 128
    while x.shape[-1] > block:
        whole = x.shape[-1] - x.shape[-1] % block
        sums = xp.sum(xp.reshape(x[..., :whole], (*x.shape[:-1], -1, block)), axis=-1)
        rest = xp.sum(x[..., whole:], axis=-1, keepdims=True)
        x = xp.concat([sums, rest], axis=-1)
    return xp.reshape(xp.sum(x, axis=-1), shape)


def _sum_directly(xp: Namespace, x: Array, axes: tuple[int, ...]) -> Array:
    return xp.sum(x, axis=axes, keepdims=True)


# --- one Library per array library ----------------------------------------------------------------


class Library:
    """What the engine must know about one array library, found once and remembered."""

    name = "array"
    strategy = "isoloss.strategies.plain"
    sorts = True  # whether it sorts along an axis, for the metrics that need the sorted whole
    # Results that are documented (the inf of an overflow, the nan outside a domain) do not warn.
    quiet: Callable[[], Any] = staticmethod(partial(np.errstate, all="ignore"))

    def __init__(self, raw: Namespace) -> None:
        self.raw = raw
        self.of_dtypes: dict[tuple[Any, ...], Namespace | None] = {}  # filled by strategies
        self.kept: dict[str, Any] = {}  # what a strategy makes once
        self._namespaces: dict[tuple[str, bool], Namespace] = {}
        # the strategy's short way for common calls, if it has one; it may answer None
        self.direct = getattr(import_module(self.strategy), "direct", None)
        # the numbers of a batch as NumPy arrays, where that costs nothing: small ones are collected
        self.gathers = getattr(import_module(self.strategy), "gathers", None)

    def has_float64(self, array: Array) -> bool:
        """Whether the array's device computes in float64."""
        return True

    def default_float(self) -> str:
        """Return the name of the dtype that integers become."""
        return "float64"

    def device(self, array: Array) -> Any:
        """Return where the array lives, or None where the library takes care of that itself."""
        return None

    def convert(self, array: np.ndarray, dtype: str, like: Array) -> Array:
        """Bring a NumPy array into this library, beside the array ``like``."""
        return self.raw.asarray(array.astype(dtype), device=array_api_compat.device(like))

    def constant_like(self, dtype: str, numbers: Any, like: Array, /) -> Array:
        """Bring numbers, or an array of the user's, beside an array."""
        if isinstance(numbers, (tuple, list)):
            return self.convert(np.asarray(numbers, dtype="float64"), dtype, like)
        return self.raw.astype(numbers, getattr(self.raw, dtype))

    def cast(self, xp: Namespace, array: Array) -> Array:
        """Bring an array of this library to the dtype of the computation."""
        return xp.astype(array, xp.computing)

    def columns(self, function: Callable[[Any], tuple[Array, Array]], like: Array) -> Any:
        """Call a function for each place of the last axis; stack its two results along it."""
        pairs = [function(k) for k in range(like.shape[-1])]
        return tuple(self.raw.stack(parts, axis=-1) for parts in zip(*pairs, strict=True))

    def absorbs(self, other: Library) -> bool:
        """Whether arrays of another library may stand beside this one's, and are converted."""
        return False

    def refuse(self, array: Array) -> str | None:
        """Say what to do instead, if the array is of a kind that losses cannot take."""
        return None

    def overrides(self, result: str) -> dict[str, Any]:
        """Return the functions in which this library differs from the generic forms."""
        return {}

    def namespace(self, result: str, wide: bool) -> Namespace:
        """Return ``xp`` for results of one dtype, computed in float64 where ``wide``."""
        found = self._namespaces.get((result, wide))
        if found is None:
            found = self._namespaces.setdefault((result, wide), self._build(result, wide))
        return found

    def _build(self, result: str, wide: bool) -> Namespace:
        raw = self.raw
        xp = ModuleType(f"isoloss.{self.name}")
        xp.__dict__.update({k: v for k, v in vars(raw).items() if not k.startswith("__")})
        computing = "float64" if wide and result == "float32" else result
        changed: dict[str, Any] = {
            "strategy": import_module(self.strategy),
            "quiet": self.quiet,
            "wide": wide and result == "float32",
            "result": getattr(raw, result),
            "result_name": result,
            "computing_name": computing,
            "computing": getattr(raw, computing),
            "counting": raw.int64 if wide or result != "float32" else raw.int32,
            "eps": _EPS.get(result) or float(np.finfo(result).eps),
            "where": partial(_where, raw, getattr(raw, computing)),
            "maximum": partial(_either, raw.maximum, raw),
            "minimum": partial(_either, raw.minimum, raw),
            "stop_gradient": lambda x: x,
            "quotient": operator.truediv,
            # whether a size is a number, not the name of one in a program that is exported
            "is_known": lambda size: type(size) is int,
            "constant": partial(self.constant_like, computing),
            # float32 results summed in float64 have 29 bits to spare, whatever the order
            "total": partial(_sum_of_rows if result == computing else _sum_directly, raw),
            **_special.native(self.name),
            **self.overrides(computing if result == computing else ""),
        }
        xp.__dict__.update(changed)
        for function in _FUNCTIONS:
            name = function.__name__[1:]
            if name not in changed:
                # sqrt is written with the library's own sqrt, the others with the changed forms
                setattr(xp, name, partial(function, raw if name == "sqrt" else xp))
        return xp


class NumPyLibrary(Library):
    name = "NumPy"
    strategy = "isoloss.strategies.numpy"

    def cast(self, xp: Namespace, array: Array) -> Array:
        return array.astype(xp.computing, copy=False)

    def convert(self, array: np.ndarray, dtype: str, like: Array) -> Array:
        return array.astype(dtype)

    def refuse(self, array: Array) -> str | None:
        if isinstance(array, np.ma.MaskedArray):
            return "masked arrays are not taken: pass array.filled(0) and where=~array.mask"
        if isinstance(array, np.matrix):
            return "np.matrix is not taken (its * is a matrix product): pass np.asarray(matrix)"
        return None

    def overrides(self, result: str) -> dict[str, Any]:
        # NumPy does not differentiate: what the other forms do for a derivative is not needed
        return {
            "clip": _clamp, "sqrt": np.sqrt, "zeros_like": _zeros_like, "ones_like": _ones_like,
            "bins": _bincount, "bin_max": _bin_max_at,
        }  # fmt: skip


class TorchLibrary(Library):
    name = "PyTorch"
    strategy = "isoloss.strategies.torch"
    quiet = staticmethod(nullcontext)

    def has_float64(self, array: Array) -> bool:
        return bool(array.device.type != "mps")

    def default_float(self) -> str:
        return dtype_name(sys.modules["torch"].get_default_dtype())

    def device(self, array: Array) -> Any:
        return array.device

    def convert(self, array: np.ndarray, dtype: str, like: Array) -> Array:
        torch = sys.modules["torch"]
        return torch.as_tensor(array.astype(dtype), device=like.device)

    def refuse(self, array: Array) -> str | None:
        if array.layout != _TORCH["module"].strided:
            return "sparse tensors are not taken: pass tensor.to_dense()"
        return None

    def overrides(self, result: str) -> dict[str, Any]:
        torch, raw = sys.modules["torch"], self.raw

        def total(x: Array, axes: tuple[int, ...]) -> Array:
            if torch.compiler.is_compiling() or x.numel() < 4096 or not axes:
                return _sum_directly(raw, x, axes)
            return _sum_of_blocks(raw, x, axes)

        def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:  # noqa: A002
            # its derivative at a bound is the contract's, unless a bound is a tensor too
            numbers = all(b is None or isinstance(b, (int, float)) for b in (min, max))
            return torch.clamp(x, min, max) if numbers else _clip(raw, x, min, max)

        def bins(index: Array, weights: Array | None, size: int, /) -> Array:
            ones = torch.ones_like(index) if weights is None else weights
            return ones.new_zeros((index.shape[0], size)).scatter_add(-1, index, ones)

        return {
            "clip": clip,
            "bins": bins,
            "bin_max": lambda index, x, size: x.new_zeros((x.shape[0], size)).scatter_reduce(
                -1, index, x, "amax"
            ),
            # a compiler takes the names for numbers
            "is_known": lambda size: type(size) is int and not torch.compiler.is_compiling(),
            "stop_gradient": lambda x: x.detach(),
            "take_along_axis": lambda x, indices, /, *, axis: torch.gather(x, axis, indices),
            "lgamma": torch.lgamma,
            "moveaxis": lambda x, source, destination, /: torch.movedim(x, source, destination),
            # array_api_compat's forms index by masks, and look the namespace up while compiling
            "sign": torch.sign,
            "cumulative_sum": lambda x, /, *, axis: torch.cumsum(x, axis),
            **({"total": total} if result == "float64" else {}),
        }


class JaxLibrary(Library):
    name = "JAX"
    strategy = "isoloss.strategies.jax"
    quiet = staticmethod(nullcontext)

    def absorbs(self, other: Library) -> bool:
        return other.name == "NumPy"

    def has_float64(self, array: Array) -> bool:
        return bool(sys.modules["jax"].config.jax_enable_x64)

    def default_float(self) -> str:
        return "float64" if self.has_float64(None) else "float32"

    def convert(self, array: np.ndarray, dtype: str, like: Array) -> Array:
        return self.raw.asarray(array.astype(dtype))

    def columns(self, function: Callable[[Any], tuple[Array, Array]], like: Array) -> Any:
        jax = sys.modules["jax"]
        if not isinstance(like, jax.core.Tracer):  # eager: a loop of XLA is compiled at every call
            return super().columns(function, like)
        pairs = jax.lax.map(function, jax.numpy.arange(like.shape[-1]))
        return tuple(jax.numpy.moveaxis(parts, 0, -1) for parts in pairs)

    def overrides(self, result: str) -> dict[str, Any]:
        jax, raw = sys.modules["jax"], self.raw
        return {
            # jnp.abs has derivative 1 at 0; a tie of maximum shares +1 and -1: 0
            "abs": lambda x, /: raw.maximum(x, -x),
            "maximum": raw.maximum,
            "minimum": raw.minimum,
            "stop_gradient": jax.lax.stop_gradient,
            "bins": _jax_bins,
            "bin_max": _jax_bin_max,
            "chosen": _jax_chosen,
            "bin_of": _jax_bin_of,
            "rows": _jax_rows,
            "sums_by": _jax_sums_by,
            "scan": _jax_scan,
            **_jax_rules(jax),
            "total": partial(_sum_directly, raw),
        }


def _jax_bins(index: Array, weights: Array | None, size: int, /) -> Array:
    """Add up by index."""
    jnp = sys.modules["jax"].numpy
    ones = jnp.ones_like(index) if weights is None else weights

    def bins(index: Array, ones: Array) -> Array:
        row = jnp.arange(index.shape[0])[:, None]
        return jnp.zeros((index.shape[0], size), ones.dtype).at[row, index].add(ones)

    return _spread(bins, lambda rows, _: (rows, None), index, ones)


def _jax_sums_by(index: Array, weights: Array, size: int, /) -> Array:
    jnp = sys.modules["jax"].numpy
    xp = ModuleType("isoloss.jax")
    known = lambda size: type(size) is int  # noqa: E731 - not the name of a size, in an export
    parts = {"bins": _jax_bins, "total": partial(_sum_directly, jnp), "is_known": known}
    xp.__dict__.update(vars(jnp), **parts)
    return _spread(
        lambda index, weights: _sums_by(xp, index, weights, size),
        lambda rows, _: (rows, None), index, weights,
    )  # fmt: skip


def _jax_bin_of(x: Array, edges: tuple[float, ...], /) -> Array:
    """Return how many of the ascending edges are at most each number; -1 for nan."""
    jnp = sys.modules["jax"].numpy

    def bin_of(x: Array) -> Array:
        found = jnp.searchsorted(jnp.asarray(edges, x.dtype), x, side="right")
        return jnp.where(jnp.isnan(x), -1, found)

    return _spread(bin_of, lambda *axes: axes, x)


def _jax_rows(x: Array, axes: tuple[int, ...], /) -> Array:
    """Bring the reduced axes last and into one, spread as all of them were."""
    kept = tuple(i for i in range(x.ndim) if i not in axes)

    def spec(*names: Any) -> tuple[Any, ...]:
        those = (name if isinstance(name, tuple) else (name,) for name in (names[i] for i in axes))
        together = tuple(name for some in those for name in some if name is not None)
        return (*(names[i] for i in kept), together or None)

    return _spread(lambda x: _rows(sys.modules["jax"].numpy, x, axes), spec, x)


def _spread(
    function: Callable[..., Array], spec: Callable[..., tuple[Any, ...]], *arrays: Array
) -> Array:
    """Call a function that JAX has no rule for where axes of a mesh are explicit.

    ``spec`` gives the axes that the result is spread along, from those of the first array.
    """
    jax = sys.modules["jax"]
    sharding = jax.typeof(arrays[0]).sharding
    if all(axis is None for axis in sharding.spec):
        return function(*arrays)
    out = jax.sharding.NamedSharding(
        sharding.mesh, jax.sharding.PartitionSpec(*spec(*sharding.spec))
    )
    return jax.sharding.auto_axes(function, axes=sharding.mesh.axis_names, out_sharding=out)(
        *arrays
    )


def _jax_chosen(numbers: Any, labels: Array, /) -> Array:
    """Return one of some numbers for each label, by comparing: a gather knows no explicit mesh."""
    jnp = sys.modules["jax"].numpy
    table = jnp.asarray(numbers)
    return jnp.sum(jnp.where(labels[..., None] == jnp.arange(len(table)), table, 0), axis=-1)


def _jax_bin_max(index: Array, x: Array, size: int, /) -> Array:
    jnp = sys.modules["jax"].numpy
    row = jnp.arange(index.shape[0])[:, None]
    return jnp.zeros((index.shape[0], size), x.dtype).at[row, index].max(x)


def _jax_scan(step: Callable[..., Any], state: Any, /, *sequences: Array) -> Any:
    """Take a state through the steps of sequences in a loop of XLA, whose length costs nothing."""
    jax = sys.modules["jax"]
    along = tuple(jax.numpy.moveaxis(x, -2, 0) for x in sequences)
    return jax.lax.scan(lambda state, x: (step(state, *x), None), state, along)[0]


def _jax_rules(jax: Any) -> dict[str, Any]:
    """Return functions whose derivative, as JAX composes it, leaves the range of float32.

    JAX computes in float32 unless told otherwise, so what float64 absorbs elsewhere matters here.
    """

    def with_slope(function: Callable[..., Array], slope: Callable[..., Array]) -> Any:
        ruled = jax.custom_jvp(function)
        ruled.defjvp(lambda x, dx: (ruled(*x), slope(*x) * dx[0]))
        return ruled

    quotient = jax.custom_jvp(operator.truediv)

    def quotient_jvp(primals: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = primals, tangents
        result = quotient(x, y)
        if not isinstance(dy, jax.custom_derivatives.SymbolicZero):  # result may be inf
            lost = result * dy
            dx = -lost if isinstance(dx, jax.custom_derivatives.SymbolicZero) else dx - lost
        return result, quotient(dx, y)  # JAX's own rule squares y

    quotient.defjvp(quotient_jvp, symbolic_zeros=True)
    xp = ModuleType("isoloss.jax")
    xp.__dict__.update(vars(jax.numpy), abs=lambda x: jax.numpy.maximum(x, -x))

    def log1p(x: Array) -> Array:
        """Correct log(1 + x) by the rounding of 1 + x (Kahan): JAX's own is 117 ULP off."""
        u = jax.lax.optimization_barrier(1 + x)  # or XLA takes u - 1 for x
        lost = xp.where((u == 1) | xp.isinf(u), 1.0, u - 1)
        return xp.where(u == 1, x, xp.where(xp.isinf(u), u, xp.log(u) * (x / lost)))

    def bounded(x: Array, bound: float) -> Array:
        return xp.sign(x) * xp.minimum(xp.abs(x), bound)

    def bounded_jvp(bound: float, primals: Any, tangents: Any) -> Any:
        (x,), (dx,) = primals, tangents
        return symmetric(x, bound), xp.where(xp.abs(x) <= bound, dx, xp.zeros_like(dx))

    symmetric = jax.custom_jvp(bounded, nondiff_argnums=(1,))
    symmetric.defjvp(bounded_jvp)

    def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:  # noqa: A002
        """Clip; on a CPU, XLA sums selections an order of magnitude slower than products."""
        if isinstance(max, (int, float)) and isinstance(min, (int, float)) and min == -max:
            return symmetric(x, max)
        return _clip(jax.numpy, x, min, max)

    exact = ModuleType("isoloss.jax")
    exact.__dict__.update(vars(xp), log1p=log1p, quotient=quotient)
    log_ratio = jax.custom_jvp(partial(_log_ratio, exact))

    def log_ratio_jvp(primals: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = primals, tangents
        # XLA makes 1 / (x y) of the chain rule's 1 / (x / y) / y, which may overflow
        return log_ratio(x, y), quotient(dx, x) - quotient(dy, y)

    log_ratio.defjvp(log_ratio_jvp)
    rules = {
        "clip": clip,
        "log_ratio": log_ratio,
        "quotient": quotient,
        "log1p": with_slope(log1p, lambda x: quotient(xp.ones_like(x), 1 + x)),
    }
    for function, slope, curvature in ((_sqrt1pm1, _slope, _curvature), (_log_cosh, _tanh, _sech2)):
        ruled = with_slope(partial(slope, xp), partial(curvature, xp))
        rules[function.__name__[1:]] = with_slope(partial(function, xp), ruled)
    xp.__dict__["log1p"] = rules["log1p"]
    for name, slope in _special.SLOPES.items():
        rules[name] = with_slope(partial(getattr(_special, f"_{name}"), xp), partial(slope, xp))
        setattr(xp, name, rules[name])
    return rules


class StrictLibrary(Library):
    name = "array_api_strict"

    def has_float64(self, array: Array) -> bool:
        return "no_float64" not in str(array.device) and "no_x64" not in str(array.device)

    def device(self, array: Array) -> Any:
        return array.device

    def overrides(self, result: str) -> dict[str, Any]:
        raw = self.raw

        def kept(function: Callable[..., Array]) -> Callable[..., Array]:
            """Sum integers in their own dtype: the device no_x64 lacks the default one, int64."""
            return lambda x, /, **named: function(x, **{"dtype": x.dtype, **named})

        return {"sum": kept(raw.sum), "cumulative_sum": kept(raw.cumulative_sum)}


class DaskLibrary(Library):
    name = "Dask"
    strategy = "isoloss.strategies.dask"
    sorts = False  # not along an axis of several chunks

    def overrides(self, result: str) -> dict[str, Any]:
        dask = sys.modules["dask.array"]

        def block(part: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
            return _sum_of_rows(np, part, tuple(axis))

        def total(x: Array, axes: tuple[int, ...]) -> Array:
            """Sum every chunk accurately, then the sums: chunks stay as they are, known or not."""
            reduce = partial(dask.reduction, chunk=block, aggregate=block, dtype=x.dtype)
            return reduce(x, axis=axes, keepdims=True) if axes else x

        def expand_dims(x: Array, /, *, axis: int) -> Array:
            """Index: Dask's own form reshapes, which needs to know the sizes of the chunks."""
            return x[(slice(None),) * (axis % (x.ndim + 1)) + (None,)]

        def whole(x: Array, axis: int) -> Array:
            """Bring a row into one chunk, as those of samples are."""
            return x.rechunk({axis % x.ndim: -1})

        def argsort(x: Array, /, *, axis: int = -1, stable: bool = True) -> Array:
            sort = partial(np.argsort, axis=axis, stable=stable)
            return dask.map_blocks(sort, whole(x, axis), dtype=np.int64)

        def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
            take, x = partial(np.take_along_axis, axis=axis), whole(x, axis)
            pairs = list(zip(x.chunks, indices.chunks, strict=True))
            others = {k: pair for k, pair in enumerate(pairs) if k != axis % x.ndim}
            alike = {k: one for k, (one, two) in others.items() if sum(one) == sum(two)}
            indices = indices.rechunk(alike)
            chunks = [two if sum(one) == 1 else one for one, two in pairs]
            chunks[axis] = indices.chunks[axis]  # there may be more, or fewer, than x has numbers
            return dask.map_blocks(take, x, indices, chunks=tuple(chunks), dtype=x.dtype)

        def bins(index: Array, weights: Array | None, size: int, /) -> Array:
            """Count every chunk in one pass, then add up the counts: no task for every bin."""
            arrays = (index,) if weights is None else (index, weights.rechunk(index.chunks))
            dtype = np.dtype(np.int64) if weights is None else weights.dtype
            rows, columns = index.chunks
            counts = dask.map_blocks(
                partial(_bins_of_chunk, size), *arrays, new_axis=2, dtype=dtype,
                chunks=(rows, (1,) * len(columns), (size,)), meta=np.empty((0, 0, 0), dtype),
            )  # fmt: skip
            return counts.sum(axis=1)

        def broadcast_to(x: Array, /, shape: tuple[int, ...]) -> Array:
            """Repeat inside of every chunk; Dask's own form refuses unknown sizes."""
            if all(n == n for n in x.shape):
                return dask.broadcast_to(x, shape)
            x = x[(None,) * (len(shape) - x.ndim)]
            repeats = {k: n for k, n in enumerate(shape) if x.shape[k] == 1 and n != 1}
            chunks = tuple((repeats[k],) if k in repeats else c for k, c in enumerate(x.chunks))
            return dask.map_blocks(partial(_repeated, repeats), x, chunks=chunks, dtype=x.dtype)

        def cumulative_sum(x: Array, /, *, axis: int) -> Array:
            """Add up rows of one chunk where sizes are unknown; Dask fails at several chunks."""
            x = x if all(n == n for n in x.shape) else whole(x, axis)
            return self.raw.cumulative_sum(x, axis=axis)

        def reshape(x: Array, /, shape: tuple[int, ...]) -> Array:
            """Reshape what follows the axes of unknown sizes, inside of every chunk."""
            kept = max((k + 1 for k, n in enumerate(shape) if n != n), default=0)
            if kept == 0:
                return self.raw.reshape(x, shape)
            size, rest = math.prod(x.shape[kept:]), shape[kept:]
            rest = tuple(-(size // math.prod(rest)) if n == -1 else n for n in rest)
            x = x.rechunk(dict.fromkeys(range(kept, x.ndim), -1))
            return dask.map_blocks(
                partial(_reshaped, kept, rest), x, drop_axis=range(kept, x.ndim),
                new_axis=range(kept, len(shape)), meta=np.empty((0,) * len(shape), x.dtype),
                chunks=(*x.chunks[:kept], *((n,) for n in rest)),
            )  # fmt: skip

        stack, concat = (
            partial(function, allow_unknown_chunksizes=True)
            for function in (dask.stack, dask.concatenate)
        )
        return {
            "total": total, "expand_dims": expand_dims, "stack": stack, "argsort": argsort,
            "take_along_axis": take_along_axis, "bins": bins, "broadcast_to": broadcast_to,
            "reshape": reshape, "concat": concat, "cumulative_sum": cumulative_sum,
        }  # fmt: skip


def _bins_of_chunk(size: int, index: Array, weights: Array | None = None) -> Array:
    return _bincount(index, weights, size)[:, None, :]


def _reshaped(kept: int, rest: tuple[int, ...], part: Array) -> Array:
    return np.reshape(part, part.shape[:kept] + rest)


def _repeated(repeats: dict[int, int], part: Array) -> Array:
    shape: Any = tuple(repeats.get(k, n) for k, n in enumerate(part.shape))
    return np.broadcast_to(part, shape)


_LIBRARIES: dict[int, Library] = {}
_OF_TYPE: dict[type, Library] = {}
_TORCH: dict[str, Any] = {}  # a compiler that reads sys.modules guards on all of it
_KINDS: dict[str, type[Library]] = {
    "numpy": NumPyLibrary,
    "jax.numpy": JaxLibrary,
    "torch": TorchLibrary,
    "array_api_strict": StrictLibrary,
    "dask.array": DaskLibrary,
}


def library_of(array: Array) -> Library | None:
    """Return the library of an array, or None for anything that is not an array."""
    known = _OF_TYPE.get(type(array))
    if known is not None:
        return known
    if isinstance(array, (tuple, list, int, float)):  # a compiler must not look into the rest
        return None
    own: Library | None = getattr(array, "isoloss_library", None)  # arrays over arrays: their own
    if own is not None:
        return own
    if isinstance(array, np.generic):
        return None
    if isinstance(array, np.ndarray):
        raw: Namespace = np  # array_api_compat.numpy costs 77 ms to import and adds nothing
    else:
        _prepare_torch()
        torch = _TORCH.get("module")
        if torch is not None and isinstance(array, torch.Tensor):
            # a compiler guards on the dictionaries it reads: while it looks, none may change
            library: Library = _TORCH["library"]
            plain = type(array) in (torch.Tensor, torch.nn.Parameter)
            if plain and not torch.compiler.is_compiling():
                _OF_TYPE[type(array)] = library
            return library
        if not array_api_compat.is_array_api_obj(array):
            return None
        raw = array_api_compat.array_namespace(array)
    library = _OF_TYPE[type(array)] = _library(raw)
    return library


def _library(raw: Namespace) -> Library:
    """Return the one object of a library, also to threads that ask for it at the same time."""
    known = _LIBRARIES.get(id(raw))
    if known is None:
        # glibc returns freed arrays to the system from 128 KiB on, so that the pages of every block
        # would be faulted in again, at several times the cost of the work; once a larger array was
        # freed, it keeps what is smaller
        np.empty(12 << 20, dtype=np.uint8)
        name = raw.__name__.removeprefix("array_api_compat.")
        # several threads may get here; the object that is there first serves all of them
        known = _LIBRARIES.setdefault(id(raw), _KINDS.get(name, Library)(raw))
    return known


def _prepare_torch() -> None:
    """Build everything for PyTorch at once: a compiler may trace the first call already."""
    if not _TORCH and "torch" in sys.modules:
        library = _library(import_module("array_api_compat.torch"))
        torch = sys.modules["torch"]
        for name in (*FLOATS, *INTEGERS):  # remembered before a compiler sees the dictionary
            if hasattr(torch, name):
                dtype_name(getattr(torch, name))
        for result in ("float32", "float64"):
            for wide in (True, False):
                library.namespace(result, wide)
        # last, and at once: other threads go on as soon as it is there
        _TORCH.update(library=library, module=torch)


# What torch.compiler.assume_constant_result sets, without importing torch for it: a first call
# that is being compiled runs this function, where tracing it would fail.
_prepare_torch._dynamo_marked_constant = True  # type: ignore[attr-defined]


def namespace_of(array: Array, result: Any) -> Namespace:
    """Return ``xp`` for an array of a state, whose results have the dtype ``result``."""
    library = library_of(array)
    if library is None:  # a NumPy scalar: what NumPy's reductions to 0-d return
        library = _library(np)
    return library.namespace(dtype_name(result), library.has_float64(array))
