"""A linear layer under a cross-entropy, a chunk of tokens at a time: never are all logits there.

One pass over the tokens gives the total of the losses and, where they are asked for, its gradients
by what went in: while a chunk's logits are there, both are found.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

from .library import Library
from .types import Array, Namespace

BLOCK = 1024  # numbers that are added up before they are widened
Needed = tuple[bool, bool, bool]  # whether the gradients by hidden, weight and bias are
Slopes = tuple[Array | None, Array | None, Array | None]
NOTHING = (False, False, False)


class PassPlan(NamedTuple):
    """What a pass depends on besides arrays: what a compiled program is found by."""

    label_smoothing: float
    z_loss: float
    chunk: int  # tokens
    product: str  # the dtype that is multiplied
    result: str  # the dtype of what is computed of each logit
    wide: bool  # whether sums are in float64 beside it
    library: Library

    @property
    def xp(self) -> Namespace:
        return self.library.namespace(self.result, self.wide)


class Tokens(NamedTuple):
    """What a pass goes through: a layer, and tokens in one row, each with a factor of its loss."""

    hidden: Array
    weight: Array
    bias: Array | None
    factor: Array | None  # 0 for what does not count; without it, all count alike
    labels: Array


def as_dtype(xp: Namespace, x: Array, dtype: Any) -> Array:
    """Convert to a dtype; what has it already is not copied, as the standard would have it."""
    return x if x.dtype == dtype else xp.astype(x, dtype)


# --- one chunk ------------------------------------------------------------------------------------


class Arrays:
    """How a library changes the arrays of a chunk: here by making new ones."""

    def __init__(self, plan: PassPlan) -> None:
        self.plan, self.xp = plan, plan.xp
        self.dtype = getattr(self.xp, plan.result)
        self.product = getattr(self.xp, plan.product)

    def multiply(self, x: Array, y: Array) -> Array:
        """Multiply matrices; the result has the dtype of results."""
        return as_dtype(self.xp, self.xp.matmul(x, y), self.dtype)

    def logits(self, hidden: Array, weight: Array) -> Array:
        return self.multiply(hidden, self.xp.permute_dims(weight, (1, 0)))

    def sum(self, z: Array) -> Array:
        """Sum rows, in the dtype of sums."""
        return self.xp.sum(z, axis=-1, dtype=self.xp.computing)

    def exp(self, z: Array) -> Array:
        return self.xp.exp(z)

    def put(self, z: Array, labels: Array, values: Array) -> Array:
        """Return z with a value at the label of each row."""
        return self.xp.where(self.xp.at(z, labels), self.xp.expand_dims(values, axis=-1), z)

    def add_product(self, total: Array | None, x: Array, y: Array) -> Array:
        product = self.multiply(self.xp.permute_dims(x, (1, 0)), y)
        return product if total is None else total + product


class InPlaceArrays(Arrays):
    """Chunk after chunk has its logits in the same room, where nobody else sees them."""

    room: Array | None = None

    def sum(self, z: Array) -> Array:
        """Sum blocks, and their sums in the dtype of sums: nothing is widened whole."""
        xp, count = self.xp, z.shape[1] // BLOCK
        whole = z[:, : count * BLOCK]
        blocks = xp.sum(xp.reshape(whole, (len(z), count, BLOCK)), axis=-1)
        return xp.sum(blocks, axis=-1, dtype=xp.computing) + xp.sum(z[:, count * BLOCK :], axis=-1)


def of_chunk(
    arrays: Arrays, tokens: Tokens, needed: Needed, sums: tuple[Array | None, Array | None]
) -> tuple[Array, Array | None, tuple[Array | None, Array | None]]:
    """Return the losses of a chunk, the slopes by its tokens, and those added to ``sums``."""
    xp = arrays.xp
    hidden, weight, bias, factor, labels = tokens
    if factor is not None:  # what does not count may hold anything
        hidden = xp.where(xp.expand_dims(factor != 0, axis=-1), hidden, xp.zeros_like(hidden))
    z = arrays.logits(as_dtype(xp, hidden, arrays.product), weight)
    if bias is not None:
        z += bias
    losses, z = _cross_entropy(arrays, z, labels, factor, any(needed))
    if not any(needed):
        return losses, None, sums
    by_weight, by_bias = sums
    if needed[2]:
        by_bias = xp.sum(z, axis=0) if by_bias is None else by_bias + xp.sum(z, axis=0)
    slope = as_dtype(xp, z, arrays.product)
    if needed[1]:
        by_weight = arrays.add_product(by_weight, slope, as_dtype(xp, hidden, arrays.product))
    return losses, arrays.multiply(slope, weight) if needed[0] else None, (by_weight, by_bias)


def _cross_entropy(
    arrays: Arrays, z: Array, labels: Array, factor: Array | None, sloped: bool
) -> tuple[Array, Array]:
    """Return the losses of rows of logits, and the slopes of their weighted sum by each logit.

    The label's own logit is no part of the sum over classes, so that the loss and the slope of a
    sure answer have all their digits. ``z`` is used up.
    """
    xp, plan, column = arrays.xp, arrays.plan, partial(arrays.xp.expand_dims, axis=-1)
    smoothing, z_loss, classes = plan.label_smoothing, plan.z_loss, z.shape[-1]
    wrong = (labels < 0) | (labels >= classes)
    labels = xp.where(wrong, xp.zeros_like(labels), labels)
    own = xp.astype(xp.pick(z, labels), xp.computing)
    level = arrays.sum(z) / classes if smoothing else 0.0
    z = arrays.put(z, labels, xp.full_like(z[:, 0], -math.inf))
    top = xp.stop_gradient(xp.max(z, axis=-1))
    gone = xp.isinf(top)
    base = xp.where(gone, xp.zeros_like(top), top)
    z -= column(base)
    z = arrays.exp(z)
    total = arrays.sum(z)
    top, base = xp.astype(top, xp.computing), xp.astype(base, xp.computing)
    others = xp.where(gone, top, base + xp.log(xp.where(gone, xp.ones_like(total), total)))
    margin = others - own
    losses = xp.softplus(margin)
    ahead = margin > 0
    whole = xp.where(ahead, others, own) + xp.log1p(xp.exp(xp.where(ahead, -margin, margin)))
    if smoothing:
        losses = losses + smoothing * (own - level)
    if z_loss:
        losses = losses + z_loss * whole * whole
    losses = xp.where(wrong, xp.full_like(losses, math.nan), losses)
    if factor is not None:
        losses = xp.where(factor == 0, xp.zeros_like(losses), losses)
    if not sloped:
        return losses, z
    scale: Any = xp.ones_like(losses) if factor is None else factor
    scale = xp.where(wrong, xp.zeros_like(losses), scale)
    more = 2 * z_loss * whole if z_loss else 0.0
    z *= column(xp.astype(scale * (1 + more) * xp.exp(base - whole), arrays.dtype))
    own = smoothing + more * xp.sigmoid(-margin) - xp.sigmoid(margin)
    z = arrays.put(z, labels, xp.astype(scale * own, arrays.dtype))
    if smoothing:
        z -= column(xp.astype(scale * (smoothing / classes), arrays.dtype))
    return losses, z


# --- all chunks -----------------------------------------------------------------------------------


def gone_through(plan: PassPlan, needed: Needed, tokens: Tokens) -> tuple[Array, Array, Slopes]:
    """Return the total of the losses, the losses, and the slopes of the total, chunk by chunk."""
    arrays = plan.library.chunk_arrays(plan)
    xp, count = arrays.xp, tokens.hidden.shape[0]
    weight = as_dtype(xp, tokens.weight, arrays.product)
    bias = None if tokens.bias is None else as_dtype(xp, tokens.bias, arrays.dtype)
    losses: list[Array] = []
    by_hidden: list[Any] = []
    sums: tuple[Any, Any] = (None, None)
    for start in range(0, count, plan.chunk):
        some = slice(start, min(start + plan.chunk, count))
        factor = None if tokens.factor is None else tokens.factor[some]
        part = Tokens(tokens.hidden[some, :], weight, bias, factor, tokens.labels[some])
        loss, slope, sums = of_chunk(arrays, part, needed, sums)
        losses.append(loss)
        by_hidden.append(slope)
    if not losses:
        return _of_nothing(xp, tokens, needed)
    found = xp.concat(losses, axis=0)
    total = xp.sum(found if tokens.factor is None else found * tokens.factor)
    return total, found, (xp.concat(by_hidden, axis=0) if needed[0] else None, *sums)


def _of_nothing(xp: Namespace, tokens: Tokens, needed: Needed) -> tuple[Array, Array, Slopes]:
    none = xp.zeros_like(tokens.labels, dtype=xp.computing)
    slopes = (
        xp.zeros_like(x, dtype=xp.result) if need else None
        for x, need in zip(tokens[:3], needed, strict=True)
    )
    return xp.sum(none), none, tuple(slopes)  # type: ignore[return-value]
