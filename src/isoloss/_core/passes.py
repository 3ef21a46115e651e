"""Cross-entropy of a linear layer in chunks of tokens: the logits never exist all at once.

One pass over the tokens computes the total of the losses and, if needed, its gradients with respect
to the inputs, both from the logits of each chunk.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

from .library import Library
from .types import Array, Namespace

BLOCK = 1024  # numbers that are summed before the sum is widened
Needed = tuple[bool, bool, bool]  # whether the gradients by hidden, weight and bias are needed
Slopes = tuple[Array | None, Array | None, Array | None]
NOTHING = (False, False, False)


class PassPlan(NamedTuple):
    """The settings of a pass besides its arrays; the key of a compiled program."""

    label_smoothing: float
    z_loss: float
    chunk: int  # tokens
    product: str  # the dtype of matrix products
    result: str  # the dtype of computations per logit
    wide: bool  # whether sums are in float64
    library: Library

    @property
    def xp(self) -> Namespace:
        return self.library.namespace(self.result, self.wide)


class Tokens(NamedTuple):
    """The arrays of a pass: a linear layer, and a list of tokens with factors of their losses."""

    hidden: Array
    weight: Array
    bias: Array | None
    factor: Array | None  # 0 for excluded tokens; None for equal factors
    labels: Array


def as_dtype(xp: Namespace, x: Array, dtype: Any) -> Array:
    """Convert to a dtype, without the copy that the standard requires for an equal dtype."""
    return x if x.dtype == dtype else xp.astype(x, dtype)


# --- one chunk ------------------------------------------------------------------------------------


class Arrays:
    """Operations on the arrays of a chunk; here they make new arrays."""

    def __init__(self, plan: PassPlan) -> None:
        self.plan, self.xp = plan, plan.xp
        self.dtype = getattr(self.xp, plan.result)
        self.product = getattr(self.xp, plan.product)

    def multiply(self, x: Array, y: Array) -> Array:
        """Multiply matrices, with the result dtype."""
        return as_dtype(self.xp, self.xp.matmul(x, y), self.dtype)

    def logits(self, hidden: Array, weight: Array) -> Array:
        return self.multiply(hidden, self.xp.permute_dims(weight, (1, 0)))

    def sum(self, z: Array) -> Array:
        """Sum rows in the dtype of sums."""
        return self.xp.sum(z, axis=-1, dtype=self.xp.computing)

    def exp(self, z: Array) -> Array:
        return self.xp.exp(z)

    def put(self, z: Array, labels: Array, values: Array) -> Array:
        """Return z with the value at the label of each row replaced."""
        return self.xp.where(self.xp.at(z, labels), self.xp.expand_dims(values, axis=-1), z)

    def add_product(self, total: Array | None, x: Array, y: Array) -> Array:
        product = self.multiply(self.xp.permute_dims(x, (1, 0)), y)
        return product if total is None else total + product


class InPlaceArrays(Arrays):
    """Operations in place: all chunks reuse one logits buffer."""

    room: Array | None = None

    def sum(self, z: Array) -> Array:
        """Sum blocks, then their sums in the dtype of sums, so that no array is widened."""
        xp, count = self.xp, z.shape[1] // BLOCK
        whole = z[:, : count * BLOCK]
        blocks = xp.sum(xp.reshape(whole, (len(z), count, BLOCK)), axis=-1)
        return xp.sum(blocks, axis=-1, dtype=xp.computing) + xp.sum(z[:, count * BLOCK :], axis=-1)


def of_chunk(
    arrays: Arrays, tokens: Tokens, needed: Needed, sums: tuple[Array | None, Array | None]
) -> tuple[Array, Array | None, tuple[Array | None, Array | None]]:
    """Return the losses of a chunk, the slopes by its tokens, and the increased ``sums``."""
    xp = arrays.xp
    hidden, weight, bias, factor, labels = tokens
    if factor is not None:  # excluded tokens may hold any value
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

    The sum over classes excludes the logit of the label, so that the loss and the slope of a
    confident prediction are accurate. Overwrites ``z``.
    """
    xp, plan, column = arrays.xp, arrays.plan, partial(arrays.xp.expand_dims, axis=-1)
    smoothing, z_loss, classes = plan.label_smoothing, plan.z_loss, z.shape[-1]
    invalid = (labels < 0) | (labels >= classes)
    labels = xp.where(invalid, xp.zeros_like(labels), labels)
    own_logit = xp.astype(xp.pick(z, labels), xp.computing)
    level = arrays.sum(z) / classes if smoothing else 0.0
    z = arrays.put(z, labels, xp.full_like(z[:, 0], -math.inf))
    top = xp.stop_gradient(xp.max(z, axis=-1))
    infinite = xp.isinf(top)
    base = xp.where(infinite, xp.zeros_like(top), top)
    z -= column(base)
    z = arrays.exp(z)
    total = arrays.sum(z)
    top, base = xp.astype(top, xp.computing), xp.astype(base, xp.computing)
    others = xp.where(infinite, top, base + xp.log(xp.where(infinite, xp.ones_like(total), total)))
    margin = others - own_logit
    losses = xp.softplus(margin)
    ahead = margin > 0
    whole = xp.where(ahead, others, own_logit) + xp.log1p(xp.exp(xp.where(ahead, -margin, margin)))
    if smoothing:
        losses = losses + smoothing * (own_logit - level)
    if z_loss:
        losses = losses + z_loss * whole * whole
    losses = xp.where(invalid, xp.full_like(losses, math.nan), losses)
    if factor is not None:
        losses = xp.where(factor == 0, xp.zeros_like(losses), losses)
    if not sloped:
        return losses, z
    scale: Any = xp.ones_like(losses) if factor is None else factor
    scale = xp.where(invalid, xp.zeros_like(losses), scale)
    z_slope = 2 * z_loss * whole if z_loss else 0.0
    z *= column(xp.astype(scale * (1 + z_slope) * xp.exp(base - whole), arrays.dtype))
    label_slope = smoothing + z_slope * xp.sigmoid(-margin) - xp.sigmoid(margin)
    z = arrays.put(z, labels, xp.astype(scale * label_slope, arrays.dtype))
    if smoothing:
        z -= column(xp.astype(scale * (smoothing / classes), arrays.dtype))
    return losses, z


# --- all chunks -----------------------------------------------------------------------------------


def gone_through(plan: PassPlan, needed: Needed, tokens: Tokens) -> tuple[Array, Array, Slopes]:
    """Return the total of the losses, the losses and the slopes of the total, chunk by chunk."""
    arrays = plan.library.chunk_arrays(plan)
    xp, count = arrays.xp, tokens.hidden.shape[0]
    weight = as_dtype(xp, tokens.weight, arrays.product)
    bias = None if tokens.bias is None else as_dtype(xp, tokens.bias, arrays.dtype)
    losses: list[Array] = []
    by_hidden: list[Any] = []
    sums: tuple[Any, Any] = (None, None)
    for start in range(0, count, plan.chunk):
        span = slice(start, min(start + plan.chunk, count))
        factor = None if tokens.factor is None else tokens.factor[span]
        chunk = Tokens(tokens.hidden[span, :], weight, bias, factor, tokens.labels[span])
        loss, slope, sums = of_chunk(arrays, chunk, needed, sums)
        losses.append(loss)
        by_hidden.append(slope)
    if not losses:
        return _of_nothing(xp, tokens, needed)
    all_losses = xp.concat(losses, axis=0)
    total = xp.sum(all_losses if tokens.factor is None else all_losses * tokens.factor)
    return total, all_losses, (xp.concat(by_hidden, axis=0) if needed[0] else None, *sums)


def _of_nothing(xp: Namespace, tokens: Tokens, needed: Needed) -> tuple[Array, Array, Slopes]:
    none = xp.zeros_like(tokens.labels, dtype=xp.computing)
    slopes = (
        xp.zeros_like(x, dtype=xp.result) if need else None
        for x, need in zip(tokens[:3], needed, strict=True)
    )
    return xp.sum(none), none, tuple(slopes)  # type: ignore[return-value]
