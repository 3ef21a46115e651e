"""Functions of a row with their derivatives in closed form: one entry serves every library.

A row is the last axis of the first argument, which is what is differentiated. JAX, the second-order
numbers and the tape take their rule from here, so that nothing differentiates through the largest
number of a row, a mask or a guard. PyTorch differentiates the forms of `special`, which are written
for that.

The largest numbers of a row are left out of the sum of exponentials, and counted, so that a small
rest has all its digits. Neither they nor their places are found: numbers are compared with them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .special import (
    EXP_REMAINDER,
    divergence,
    log_ratio_of_softmax,
    logits_divergence,
    polynomial,
)
from .types import WIDE, Array, Namespace, dtype_name

# The largest finite numbers, which take the place of infinity in sums.
_FAR = {"float32": float(np.finfo(np.float32).max), **dict.fromkeys(WIDE, sys.float_info.max)}
# The least positive numbers with all digits: exp is 1 between 0 and them.
_NEAR = {"float32": float(np.finfo(np.float32).tiny), **dict.fromkeys(WIDE, sys.float_info.min)}


class Primitive(NamedTuple):
    """A function of a row, its gradient, and its second derivative along a direction.

    Each takes ``xp``, the row, and what else the function takes; ``curvature`` takes the direction
    last. ``turn`` is how the gradient changes along it.
    """

    value: Callable[..., Array]
    slope: Callable[..., Array]
    curvature: Callable[..., Array]
    turn: Callable[..., Array]


# --- the sum of exponentials ----------------------------------------------------------------------


def _column(xp: Namespace, x: Array) -> Array:
    return xp.expand_dims(x, axis=-1)


class _Row(NamedTuple):
    """The largest number of a row, h, and the sum of the exponentials of all less h."""

    h: Array
    finite: Array  # that, or the finite number next to it
    below: Array  # x less that
    number: Array  # how many are the largest
    above: Array  # the sum of exp(x - h) of the others
    rest: Array  # the sum of all, less 1; 0 where h is infinite


def _row(xp: Namespace, x: Array) -> _Row:
    """Sum by arithmetic only: compilers fuse it, but write a selection to memory."""
    h, far = xp.max(x, axis=-1), _FAR[dtype_name(x.dtype)]
    finite = xp.minimum(xp.maximum(h, -far), far)

    one = xp.of_each(finite, 1.0)
    z, top, whole = xp.alone(1, x, finite, one)
    number = x.shape[-1] - xp.sum(_apart(xp, _below(xp, z, top), whole), axis=-1)
    z, top, whole = xp.alone(2, x, finite, one)
    others = _below(xp, z, top)
    above = xp.sum(_apart(xp, others, whole) * xp.exp(others), axis=-1)
    rest = xp.where(xp.isinf(h), xp.zeros_like(h), above + (number - 1))
    return _Row(h, finite, _below(xp, *xp.alone(3, x, finite)), number, above, rest)


def _apart(xp: Namespace, below: Array, one: Array) -> Array:
    """Return 1 for a number below 0, and 0 for 0; compilers take less time than for a sign.

    The number 1 is one of each row: they write a constant to memory in the shape of the data.
    """
    least = -_NEAR[dtype_name(below.dtype)] * _column(xp, one)
    return xp.maximum(below, least) / least


def _below(xp: Namespace, x: Array, h: Array) -> Array:
    """Return x - h, exactly 0 at the largest even if x is a product fused with the minus."""
    h = _column(xp, h)
    return xp.minimum(x, h) - h


def shares(xp: Namespace, x: Array) -> Array:
    """Return the softmax."""
    return _of_row(xp, _row(xp, x))


def _of_row(xp: Namespace, row: _Row) -> Array:
    return xp.exp(row.below) / (1 + _column(xp, row.rest))


def apart(xp: Namespace, x: Array, p: Array, v: Array) -> Array:
    """Return ``v - sum(p v)`` for p the softmax of x, exactly where one share is nearly 1."""
    x = xp.stop_gradient(x)
    ties = xp.astype(x == xp.max(x, axis=-1, keepdims=True), v.dtype)
    number = xp.sum(ties, axis=-1, keepdims=True)
    v = v - xp.sum(ties * v, axis=-1, keepdims=True) / number
    return v - xp.sum(p * v, axis=-1, keepdims=True)


def shares_turn(xp: Namespace, x: Array, v: Array) -> Array:
    """Return how the softmax changes along v."""
    p = xp.shares(x)
    return p * apart(xp, x, p, v)


def _curvature(xp: Namespace, x: Array, v: Array) -> Array:
    """Return the variance of v under the softmax."""
    p = xp.shares(x)
    v = apart(xp, x, p, v)
    return xp.sum(p * v * v, axis=-1)


# --- primitives -----------------------------------------------------------------------------------


def log_rest(xp: Namespace, x: Array) -> Array:
    """``log(sum(exp(x - max(x))))``."""
    return xp.log1p(_row(xp, x).rest)


def _log_rest_slope(xp: Namespace, x: Array) -> Array:
    """Return the softmax less the slope of the largest, which those that are equal share."""
    row = _row(xp, x)
    at_top = -row.above / (row.number * (1 + row.rest))
    return xp.where(row.below == 0, _column(xp, at_top), _of_row(xp, row))


def label_cross_entropy(xp: Namespace, x: Array, labels: Array) -> Array:
    """``-log(softmax(x))`` at the label; 0 where that is the only infinite number."""
    ahead, _, rest = _beside(xp, x, labels)
    return xp.abs(ahead + xp.log1p(rest))


def _beside(xp: Namespace, x: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Return h less the label's number, the sum of exp(x - h) but for it, and that of all, less 1.

    The second has all digits where the label's number is the largest, and so has then the third.
    The label is left out by a factor: compilers fuse it, but write a selection to memory.
    """
    h, far, own = xp.max(x, axis=-1), _FAR[dtype_name(x.dtype)], xp.pick(x, labels)
    finite = xp.minimum(xp.maximum(h, -far), far)
    apart = xp.astype(xp.places(x), x.dtype) - _column(xp, xp.astype(labels, x.dtype))
    others = xp.sum(xp.minimum(xp.abs(apart), 1.0) * xp.exp(_below(xp, x, finite)), axis=-1)
    alone = (own == math.inf) & (others == -0.0)
    ahead = xp.where(alone, xp.full_like(own, -0.0), h - xp.minimum(own, h))
    return ahead, others, others + xp.expm1(-ahead)


def _label_slope(xp: Namespace, x: Array, labels: Array) -> Array:
    """Return the softmax; at the label less 1, which is the share of the others."""
    h, far = xp.max(x, axis=-1), _FAR[dtype_name(x.dtype)]
    _, others, rest = _beside(xp, x, labels)
    p = xp.exp(_below(xp, *xp.alone(3, x, xp.minimum(xp.maximum(h, -far), far))))
    whole = _column(xp, 1 + rest)
    return xp.where(xp.at(x, labels), -_column(xp, others), p) / whole


def margin(xp: Namespace, x: Array, labels: Array) -> Array:
    """``log(sum(exp(x)))`` of all numbers but the label's, less the label's."""
    row = _row(xp, _others(xp, x, labels))
    return (row.h - xp.pick(x, labels)) + xp.log1p(row.rest)


def _others(xp: Namespace, x: Array, labels: Array) -> Array:
    return xp.where(xp.at(x, labels), xp.full_like(x, -math.inf), x)


def _margin_slope(xp: Namespace, x: Array, labels: Array) -> Array:
    return xp.where(xp.at(x, labels), -xp.ones_like(x), shares(xp, _others(xp, x, labels)))


def cross_entropy(xp: Namespace, x: Array, targets: Array) -> Array:
    """``-sum(targets log(softmax(x)))``; a target of 0 adds 0, whatever x is.

    It is inf where a class that is ruled out has a target above 0, and where +inf loses to another.
    """
    row, far = _row(xp, x), _FAR[dtype_name(x.dtype)]
    low = xp.maximum(row.finite, 0.0) - far  # h less that is finite: times 0 it is 0
    least = xp.where(row.h > far, row.finite, low)
    ends = least, xp.of_each(low, 0.0), xp.of_each(low, 1.0)
    z, t, *ends = xp.alone(4, x, targets, *ends)
    least, none, one = (_column(xp, end) for end in ends)
    lost = xp.sum(t * xp.minimum(xp.maximum(least - z, none), one), axis=-1) > 0
    below = _column(xp, row.finite) - xp.maximum(x, _column(xp, low))
    whole = xp.sum(targets, axis=-1)
    value = xp.sum(targets * below, axis=-1) + whole * xp.log_rest(x)
    value = xp.where(xp.isinf(row.h), xp.zeros_like(value), value)
    nothing = xp.full_like(value, math.nan)
    infinite = xp.where(row.h > -far, xp.full_like(value, math.inf), nothing)
    split = (row.h > far) & (row.number > 1) & (whole > 0)
    return xp.where(lost, infinite, xp.where(split, nothing, value))


def _sums(xp: Namespace, x: Array, row: _Row, targets: Array) -> tuple[Array, Array]:
    """Sum the targets, and those of all but the largest."""
    z, t, top, one = xp.alone(5, x, targets, row.finite, xp.of_each(row.finite, 1.0))
    others = xp.sum(_apart(xp, _below(xp, z, top), one) * t, axis=-1)
    return xp.sum(targets, axis=-1), others


def _cross_entropy_slope(xp: Namespace, x: Array, targets: Array) -> Array:
    """Return the softmax times the sum of the targets, less the targets."""
    row = _row(xp, x)
    whole, others = _sums(xp, x, row, targets)
    plain = _column(xp, whole) * _of_row(xp, row) - targets
    sure = (row.below == 0) & _column(xp, row.rest < 0.25)  # where the difference may cancel
    exact = others - whole * (row.rest / (1 + row.rest))
    return xp.where(sure, _column(xp, exact), plain)


def softmax_divergence(xp: Namespace, x: Array, targets: Array) -> Array:
    """Return the Kullback-Leibler divergence of the targets t from p = softmax(x).

    It is a sum of ``t log(t / p) + p - t``, none of which is negative: of ``t (exp(-d) - 1 + d)``
    with ``d = log(t / p)``, which is a power series where d is small.
    """
    p, log_p = xp.softmax(x)
    positive = targets > 0
    d = xp.where(positive, xp.log(xp.where(positive, targets, 1.0)) - log_p, 2.0)
    d = xp.alone(6, d)[0]  # or XLA cuts what follows into many pieces
    small = xp.abs(d) < 1
    u = xp.where(small, -d, xp.zeros_like(d))
    near = targets * u * u * polynomial(EXP_REMAINDER, u)
    far = xp.where(positive, targets * d, xp.zeros_like(d)) + (p - targets)
    high, low = xp.sum_in_two(targets)  # less 1, the sum of p
    return xp.sum(xp.where(small, near, far), axis=-1) + ((high - 1) + low)


def _ratio(xp: Namespace, p: Array, targets: Array) -> tuple[Array, Array]:
    """Return ``t / p``, 0 where one of them is, and p, or 1 for 0."""
    positive = p > 0
    divisor = xp.where(positive, p, 1.0)
    return xp.where(positive, targets, 0.0) / divisor, divisor


def _divergence_slope(xp: Namespace, p: Array, targets: Array) -> Array:
    return -_ratio(xp, p, targets)[0]


def _divergence_turn(xp: Namespace, p: Array, targets: Array, v: Array) -> Array:
    ratio, divisor = _ratio(xp, p, targets)
    return ratio * (v / divisor)


def _divergence_curvature(xp: Namespace, p: Array, targets: Array, v: Array) -> Array:
    return xp.sum(_divergence_turn(xp, p, targets, v) * v, axis=-1)


def _logits_slope(xp: Namespace, x: Array, y: Array, temperature: Any) -> Array:
    """Return p - q for p = q exp(r) as ``(p + q) tanh(r / 2)``, exact where r is small."""
    p, q, ratio = log_ratio_of_softmax(xp, x, y, temperature)
    none = q == 0
    half = xp.where(none, xp.zeros_like(ratio), ratio / 2)
    return temperature * xp.where(none, p, (p + q) * xp.tanh(half))


PRIMITIVES: dict[str, Primitive] = {
    "logits_divergence": Primitive(
        logits_divergence,
        _logits_slope,
        lambda xp, x, y, temperature, v: _curvature(xp, x / temperature, v),
        lambda xp, x, y, temperature, v: shares_turn(xp, x / temperature, v),
    ),
    "divergence": Primitive(divergence, _divergence_slope, _divergence_curvature, _divergence_turn),
    "log_rest": Primitive(log_rest, _log_rest_slope, _curvature, shares_turn),
    "label_cross_entropy": Primitive(
        label_cross_entropy,
        _label_slope,
        lambda xp, x, labels, v: _curvature(xp, x, v),
        lambda xp, x, labels, v: shares_turn(xp, x, v),
    ),
    "margin": Primitive(
        margin,
        _margin_slope,
        lambda xp, x, labels, v: _curvature(xp, _others(xp, x, labels), v),
        lambda xp, x, labels, v: shares_turn(xp, _others(xp, x, labels), v),
    ),
    "cross_entropy": Primitive(
        cross_entropy,
        _cross_entropy_slope,
        lambda xp, x, targets, v: xp.sum(targets, axis=-1) * _curvature(xp, x, v),
        lambda xp, x, targets, v: xp.sum(targets, axis=-1, keepdims=True) * shares_turn(xp, x, v),
    ),
}
# the divergence differs from the cross-entropy by a constant: their derivatives are the same
PRIMITIVES["softmax_divergence"] = PRIMITIVES["cross_entropy"]._replace(value=softmax_divergence)


# --- directions -----------------------------------------------------------------------------------


def _length(xp: Namespace, x: Array) -> tuple[Array, Array, Array]:
    """Return a power of two, and the Euclidean norm of the row times that, and whether that is 0.

    Where it is, 1 stands for it.
    """
    unit = xp.power_of_two(xp.max(xp.abs(x), axis=-1, keepdims=True))
    part, same = xp.alone(9, x, unit)
    held = part * same
    square = xp.sum(held * held, axis=-1, keepdims=True)
    zero = square == 0
    return unit, xp.sqrt(xp.where(zero, xp.ones_like(square), square)), zero


def unit_vector(xp: Namespace, x: Array) -> Array:
    """Divide a row by its Euclidean norm; the zero vector stays."""
    return _direction(xp, x, 10)


def direction(xp: Namespace, x: Array) -> Array:
    """Return `unit_vector`, computed apart so that compilers do not store it for derivatives."""
    return _direction(xp, x, 11)


def _direction(xp: Namespace, x: Array, use: int) -> Array:
    unit, length, _ = _length(xp, x)
    x, unit, inverse = xp.alone(use, x, unit, 1 / length)
    return x * unit * inverse


def inverse_norm(xp: Namespace, x: Array) -> Array:
    """Return one over the Euclidean norm of a row, and 0 for the zero vector."""
    unit, length, zero = _length(xp, x)
    return xp.where(zero, xp.zeros_like(length), unit / length)


def euclidean_norm(xp: Namespace, x: Array) -> Array:
    """Return the root of the sum of the squares of a row."""
    unit, length, zero = _length(xp, x)
    return xp.where(zero, xp.zeros_like(length), length / unit)[..., 0]


def norm_turn(xp: Namespace, x: Array, v: Array) -> Array:
    """Return the derivative of the norm along v; 0 at the zero vector."""
    return xp.sum(xp.direction(x) * v, axis=-1)


def direction_turn(xp: Namespace, x: Array, v: Array) -> Array:
    """Return how the direction of a row changes along v."""
    u, v = xp.direction(x), v * xp.inverse_norm(x)
    return v - u * xp.sum(u * v, axis=-1, keepdims=True)


def inverse_turn(xp: Namespace, x: Array, v: Array) -> Array:
    """Return how one over the norm of a row changes along v."""
    u, inverse = xp.direction(x), xp.inverse_norm(x)
    return -inverse * xp.sum(u * (v * inverse), axis=-1, keepdims=True)


def cosine_distance(xp: Namespace, x: Array, y: Array) -> Array:
    """Return 1 less the cosine of the angle between two rows; 1 for the zero vector."""
    apart = xp.unit_vector(x) - xp.unit_vector(y)
    distance = xp.sum(apart * apart, axis=-1)
    zero = (xp.inverse_norm(x) == 0) | (xp.inverse_norm(y) == 0)
    return xp.where(zero[..., 0], xp.ones_like(distance), distance / 2)


def cosine_slope(xp: Namespace, x: Array, y: Array, cosine: Array) -> Array:
    """Return how the cosine of the angle between two rows changes with the first."""
    u, v = xp.direction(x), xp.direction(y)
    return (v - u * _column(xp, cosine)) * xp.inverse_norm(x)


def distance_slope(xp: Namespace, x: Array, y: Array, distance: Array) -> Array:
    """Return how 1 less the cosine changes, exactly where that is small."""
    u, v = xp.direction(x), xp.direction(y)
    return ((u - v) - u * _column(xp, distance)) * xp.inverse_norm(x)


def logsumexp(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """``log(sum(exp(x)))`` along the last axis, as the largest number and what is above it."""
    return xp.max(x, axis=-1), xp.log_rest(x)
