"""Functions of a row with derivatives in closed form, for every library.

A row is the last axis of the first argument; derivatives are with respect to this argument. JAX,
jets and the tape take their rules from here, so that no rule differentiates through the maximum of
a row, a mask or a guard. PyTorch differentiates the forms of `special`, which are written for this.

The largest numbers of a row are excluded from the sum of exponentials and counted, so that a small
remainder of the sum is accurate. They are identified by comparison, without their positions.
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

# The largest finite numbers, which replace infinity in sums.
_FAR = {"float32": float(np.finfo(np.float32).max), **dict.fromkeys(WIDE, sys.float_info.max)}
# The smallest normal numbers: exp is 1 between 0 and them.
_NEAR = {"float32": float(np.finfo(np.float32).tiny), **dict.fromkeys(WIDE, sys.float_info.min)}


class Primitive(NamedTuple):
    """A function of a row, its gradient, and its second derivative along a direction.

    Each takes ``xp``, the row, and the other arguments of the function. ``curvature`` and ``turn``
    take the direction as the last argument; ``turn`` is the derivative of the gradient along it.
    """

    value: Callable[..., Array]
    slope: Callable[..., Array]
    curvature: Callable[..., Array]
    turn: Callable[..., Array]


# --- the sum of exponentials ----------------------------------------------------------------------


def _column(xp: Namespace, x: Array) -> Array:
    return xp.expand_dims(x, axis=-1)


class _Row(NamedTuple):
    """The maximum h of a row x, and the sum of ``exp(x - h)``."""

    h: Array
    finite: Array  # h, or the nearest finite number
    below: Array  # x - finite
    number: Array  # the number of entries equal to h
    above: Array  # the sum of exp(x - h) over the other entries
    excess: Array  # the sum of exp(x - h) over all entries, minus 1; 0 where h is infinite


def _row(xp: Namespace, x: Array) -> _Row:
    """Sum with arithmetic only: compilers fuse it, but they write selections to memory."""
    h, far = xp.max(x, axis=-1), _FAR[dtype_name(x.dtype)]
    finite = xp.minimum(xp.maximum(h, -far), far)

    one = xp.of_each(finite, 1.0)
    z, top, whole = xp.alone(1, x, finite, one)
    number = x.shape[-1] - xp.sum(_apart(xp, _below(xp, z, top), whole), axis=-1)
    z, top, whole = xp.alone(2, x, finite, one)
    others = _below(xp, z, top)
    above = xp.sum(_apart(xp, others, whole) * xp.exp(others), axis=-1)
    excess = xp.where(xp.isinf(h), xp.zeros_like(h), above + (number - 1))
    return _Row(h, finite, _below(xp, *xp.alone(3, x, finite)), number, above, excess)


def _apart(xp: Namespace, below: Array, one: Array) -> Array:
    """Return 1 for a number below 0, and 0 for 0; this compiles to faster code than a sign.

    ``one`` holds a 1 per row, because compilers write a constant to memory in the data's shape.
    """
    least = -_NEAR[dtype_name(below.dtype)] * _column(xp, one)
    return xp.maximum(below, least) / least


def _below(xp: Namespace, x: Array, h: Array) -> Array:
    """Return x - h, exactly 0 at the maximum even if a product x is fused with the subtraction."""
    h = _column(xp, h)
    return xp.minimum(x, h) - h


def shares(xp: Namespace, x: Array) -> Array:
    """Return the softmax."""
    return _of_row(xp, _row(xp, x))


def _of_row(xp: Namespace, row: _Row) -> Array:
    return xp.exp(row.below) / (1 + _column(xp, row.excess))


def apart(xp: Namespace, x: Array, p: Array, v: Array) -> Array:
    """Return ``v - sum(p v)`` for p = softmax(x), accurate where one probability is nearly 1."""
    x = xp.stop_gradient(x)
    ties = xp.astype(x == xp.max(x, axis=-1, keepdims=True), v.dtype)
    number = xp.sum(ties, axis=-1, keepdims=True)
    v = v - xp.sum(ties * v, axis=-1, keepdims=True) / number
    return v - xp.sum(p * v, axis=-1, keepdims=True)


def shares_turn(xp: Namespace, x: Array, v: Array) -> Array:
    """Return the derivative of the softmax along v."""
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
    return xp.log1p(_row(xp, x).excess)


def _log_rest_slope(xp: Namespace, x: Array) -> Array:
    """Return the softmax minus the slope of the maximum, which ties share."""
    row = _row(xp, x)
    at_top = -row.above / (row.number * (1 + row.excess))
    return xp.where(row.below == 0, _column(xp, at_top), _of_row(xp, row))


def label_cross_entropy(xp: Namespace, x: Array, labels: Array) -> Array:
    """``-log(softmax(x))`` at the label; 0 if the label has the only infinite number."""
    ahead, _, excess = _beside(xp, x, labels)
    return xp.abs(ahead + xp.log1p(excess))


def _beside(xp: Namespace, x: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Return h - x[label], the sum of exp(x - h) over the other classes, and over all, minus 1.

    If the label has the maximum, both sums are accurate. The label is excluded by a factor:
    compilers fuse it, but they write selections to memory.
    """
    h, far, at_label = xp.max(x, axis=-1), _FAR[dtype_name(x.dtype)], xp.pick(x, labels)
    finite = xp.minimum(xp.maximum(h, -far), far)
    offset = xp.astype(xp.places(x), x.dtype) - _column(xp, xp.astype(labels, x.dtype))
    others = xp.sum(xp.minimum(xp.abs(offset), 1.0) * xp.exp(_below(xp, x, finite)), axis=-1)
    only_label = (at_label == math.inf) & (others == -0.0)
    ahead = xp.where(only_label, xp.full_like(at_label, -0.0), h - xp.minimum(at_label, h))
    return ahead, others, others + xp.expm1(-ahead)


def _label_slope(xp: Namespace, x: Array, labels: Array) -> Array:
    """Return the softmax; at the label, minus the probability of the other classes."""
    h, far = xp.max(x, axis=-1), _FAR[dtype_name(x.dtype)]
    _, others, excess = _beside(xp, x, labels)
    p = xp.exp(_below(xp, *xp.alone(3, x, xp.minimum(xp.maximum(h, -far), far))))
    whole = _column(xp, 1 + excess)
    return xp.where(xp.at(x, labels), -_column(xp, others), p) / whole


def margin(xp: Namespace, x: Array, labels: Array) -> Array:
    """``log(sum(exp(x)))`` over all classes except the label, minus x at the label."""
    row = _row(xp, _others(xp, x, labels))
    return (row.h - xp.pick(x, labels)) + xp.log1p(row.excess)


def _others(xp: Namespace, x: Array, labels: Array) -> Array:
    return xp.where(xp.at(x, labels), xp.full_like(x, -math.inf), x)


def _margin_slope(xp: Namespace, x: Array, labels: Array) -> Array:
    return xp.where(xp.at(x, labels), -xp.ones_like(x), shares(xp, _others(xp, x, labels)))


def cross_entropy(xp: Namespace, x: Array, targets: Array) -> Array:
    """``-sum(targets log(softmax(x)))``; a target of 0 adds 0 for any x.

    The result is inf if a class of probability 0 has a target above 0.
    """
    row, far = _row(xp, x), _FAR[dtype_name(x.dtype)]
    low = xp.maximum(row.finite, 0.0) - far  # h - low is finite: times 0 it is 0
    least = xp.where(row.h > far, row.finite, low)
    ends = least, xp.of_each(low, 0.0), xp.of_each(low, 1.0)
    z, t, *ends = xp.alone(4, x, targets, *ends)
    least, zero, one = (_column(xp, end) for end in ends)
    impossible = xp.sum(t * xp.minimum(xp.maximum(least - z, zero), one), axis=-1) > 0
    below = _column(xp, row.finite) - xp.maximum(x, _column(xp, low))
    target_sum = xp.sum(targets, axis=-1)
    value = xp.sum(targets * below, axis=-1) + target_sum * xp.log_rest(x)
    value = xp.where(xp.isinf(row.h), xp.zeros_like(value), value)
    undefined = xp.full_like(value, math.nan)
    infinite = xp.where(row.h > -far, xp.full_like(value, math.inf), undefined)
    split = (row.h > far) & (row.number > 1) & (target_sum > 0)
    return xp.where(impossible, infinite, xp.where(split, undefined, value))


def _sums(xp: Namespace, x: Array, row: _Row, targets: Array) -> tuple[Array, Array]:
    """Return the sum of the targets, and the sum except at the maxima of x."""
    z, t, top, one = xp.alone(5, x, targets, row.finite, xp.of_each(row.finite, 1.0))
    others = xp.sum(_apart(xp, _below(xp, z, top), one) * t, axis=-1)
    return xp.sum(targets, axis=-1), others


def _cross_entropy_slope(xp: Namespace, x: Array, targets: Array) -> Array:
    """Return the softmax times the sum of the targets, minus the targets."""
    row = _row(xp, x)
    whole, others = _sums(xp, x, row, targets)
    plain = _column(xp, whole) * _of_row(xp, row) - targets
    sure = (row.below == 0) & _column(xp, row.excess < 0.25)  # the difference may cancel
    exact = others - whole * (row.excess / (1 + row.excess))
    return xp.where(sure, _column(xp, exact), plain)


def softmax_divergence(xp: Namespace, x: Array, targets: Array) -> Array:
    """Return the Kullback-Leibler divergence of the targets t from p = softmax(x).

    It is computed as the sum of the non-negative terms ``t log(t / p) + p - t``. A term equals
    ``t (exp(-d) - 1 + d)`` with ``d = log(t / p)``: a power series for small d.
    """
    p, log_p = xp.softmax(x)
    positive = targets > 0
    d = xp.where(positive, xp.log(xp.where(positive, targets, 1.0)) - log_p, 2.0)
    d = xp.alone(6, d)[0]  # otherwise XLA splits the following into many kernels
    small = xp.abs(d) < 1
    u = xp.where(small, -d, xp.zeros_like(d))
    near = targets * u * u * polynomial(EXP_REMAINDER, u)
    far = xp.where(positive, targets * d, xp.zeros_like(d)) + (p - targets)
    high, low = xp.sum_in_two(targets)  # minus 1, the sum of p
    return xp.sum(xp.where(small, near, far), axis=-1) + ((high - 1) + low)


def _ratio(xp: Namespace, p: Array, targets: Array) -> tuple[Array, Array]:
    """Return ``t / p``, or 0 where t or p is 0, and the divisor: p, or 1 where p is 0."""
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
    """Return p - q for p = q exp(r) as ``(p + q) tanh(r / 2)``, accurate for small r."""
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
# the divergence differs from the cross-entropy by a constant, so that their derivatives are equal
PRIMITIVES["softmax_divergence"] = PRIMITIVES["cross_entropy"]._replace(value=softmax_divergence)


# --- directions -----------------------------------------------------------------------------------


def _length(xp: Namespace, x: Array) -> tuple[Array, Array, Array]:
    """Return a power of two, the norm of the row times this power, and where the norm is 0.

    A norm of 0 is replaced by 1.
    """
    unit = xp.power_of_two(xp.max(xp.abs(x), axis=-1, keepdims=True))
    part, same = xp.alone(9, x, unit)
    held = part * same
    square = xp.sum(held * held, axis=-1, keepdims=True)
    zero = square == 0
    return unit, xp.sqrt(xp.where(zero, xp.ones_like(square), square)), zero


def unit_vector(xp: Namespace, x: Array) -> Array:
    """Divide a row by its Euclidean norm; the zero vector is unchanged."""
    return _direction(xp, x, 10)


def direction(xp: Namespace, x: Array) -> Array:
    """Return `unit_vector`, recomputed so that compilers do not store it for derivatives."""
    return _direction(xp, x, 11)


def _direction(xp: Namespace, x: Array, use: int) -> Array:
    unit, length, _ = _length(xp, x)
    x, unit, inverse = xp.alone(use, x, unit, 1 / length)
    return x * unit * inverse


def inverse_norm(xp: Namespace, x: Array) -> Array:
    """Return the reciprocal of the Euclidean norm of a row; 0 for the zero vector."""
    unit, length, zero = _length(xp, x)
    return xp.where(zero, xp.zeros_like(length), unit / length)


def euclidean_norm(xp: Namespace, x: Array) -> Array:
    """Return the Euclidean norm of a row."""
    unit, length, zero = _length(xp, x)
    return xp.where(zero, xp.zeros_like(length), length / unit)[..., 0]


def norm_turn(xp: Namespace, x: Array, v: Array) -> Array:
    """Return the derivative of the norm along v; 0 at the zero vector."""
    return xp.sum(xp.direction(x) * v, axis=-1)


def direction_turn(xp: Namespace, x: Array, v: Array) -> Array:
    """Return the derivative of the direction of a row along v."""
    u, v = xp.direction(x), v * xp.inverse_norm(x)
    return v - u * xp.sum(u * v, axis=-1, keepdims=True)


def inverse_turn(xp: Namespace, x: Array, v: Array) -> Array:
    """Return the derivative of the reciprocal norm of a row along v."""
    u, inverse = xp.direction(x), xp.inverse_norm(x)
    return -inverse * xp.sum(u * (v * inverse), axis=-1, keepdims=True)


def cosine_distance(xp: Namespace, x: Array, y: Array) -> Array:
    """Return 1 minus the cosine of the angle between two rows; 1 for the zero vector."""
    difference = xp.unit_vector(x) - xp.unit_vector(y)
    distance = xp.sum(difference * difference, axis=-1)
    zero = (xp.inverse_norm(x) == 0) | (xp.inverse_norm(y) == 0)
    return xp.where(zero[..., 0], xp.ones_like(distance), distance / 2)


def cosine_slope(xp: Namespace, x: Array, y: Array, cosine: Array) -> Array:
    """Return the gradient of the cosine of the angle between two rows, by the first row."""
    u, v = xp.direction(x), xp.direction(y)
    return (v - u * _column(xp, cosine)) * xp.inverse_norm(x)


def distance_slope(xp: Namespace, x: Array, y: Array, distance: Array) -> Array:
    """Return the gradient of 1 minus the cosine by the first row, accurate if it is small."""
    u, v = xp.direction(x), xp.direction(y)
    return ((u - v) - u * _column(xp, distance)) * xp.inverse_norm(x)


def logsumexp(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """``log(sum(exp(x)))`` along the last axis, as the maximum and the excess over it."""
    return xp.max(x, axis=-1), xp.log_rest(x)
