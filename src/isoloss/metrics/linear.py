"""The cross-entropy of a linear layer: checks of its arguments, and the choice of the algorithm.

The pass over chunks of tokens is in `passes`. The plain form of the same loss computes the full
logit matrix. It is used for everything except values and first derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._core.carrier import CarrierLibrary
from .._core.errors import fail
from .._core.inputs import (
    Batch,
    Inputs,
    as_array,
    check_devices,
    check_dtype,
    namespace_for,
    one_library,
)
from .._core.library import library_of
from .._core.passes import PassPlan, Tokens, as_dtype
from .._core.states import Mean, Total, ratio
from .._core.totals import Totals
from .._core.types import FLOATS, Array, Namespace, dtype_name

LOGITS = 1 << 24  # logits per chunk, unless chunk= sets the number of tokens
_HALVES = ("float16", "bfloat16")
_NUMBERS = (int, float, type(None))


# --- arguments ------------------------------------------------------------------------------------


class Layer:
    """The checked arguments of one call.

    ``plain`` is a function of weight and bias that returns the plain form of the loss.
    """

    def __init__(
        self,
        loss: Any,
        plain: Callable[..., Any],
        layer: dict[str, Any],
        targets: Any,
        weights: Any,
        where: Any,
    ) -> None:
        given = {name: x for name, x in layer.items() if name != "bias" or x is not None}
        arrays = {name: as_array(loss, name, x) for name, x in given.items()}
        names = {name: check_dtype(loss, name, x) for name, x in arrays.items()}
        real = {name: x for name, x in arrays.items() if x is given[name]} or arrays
        beside = {} if library_of(targets) is None else {"targets": targets}
        self.library = one_library(loss, {**real, **beside})
        if isinstance(self.library, CarrierLibrary):
            message = "gradient() does not differentiate a linear layer"
            raise fail(loss, f"{message}; call value_and_gradient of the loss itself", TypeError)
        like = next(x for x in (*real.values(), targets) if library_of(x) is self.library)
        for name, x in arrays.items():
            if library_of(x) is not self.library:
                arrays[name] = self.library.convert(x, names[name], like)
        check_devices(loss, self.library, arrays)
        self.hidden, self.weight, self.bias = arrays["hidden"], arrays["weight"], arrays.get("bias")
        _check_shapes(loss, self.hidden, self.weight, self.bias)
        self.rows = plain(self.weight, self.bias)
        self.inputs = Inputs(self.rows, (self.hidden,), targets, weights, where)
        xp = namespace_for(self.library, self.weight, self.hidden.dtype, self.weight.dtype)
        assert xp is not None
        self.loss, self.xp = loss, xp

    @property
    def plan(self) -> PassPlan | None:
        """The facts that the pass depends on; None if only the plain form is possible."""
        loss, xp = self.loss, self.xp
        numbers = all(type(x) in _NUMBERS for x in (loss.label_smoothing, loss.z_loss))
        sizes = (*self.hidden.shape, *self.weight.shape)
        if not numbers or not all(type(n) is int for n in sizes) or self.library.lazy:
            return None
        chunk = loss.chunk or max(1, LOGITS // self.weight.shape[0])
        pair = [dtype_name(x.dtype) for x in (self.hidden, self.weight)]
        product = pair[0] if pair[0] == pair[1] and pair[0] in _HALVES else xp.result_name
        if not self.library.multiplies_halves:
            product = xp.result_name
        wide = xp.computing_name != xp.result_name
        return PassPlan(
            loss.label_smoothing, loss.z_loss, chunk, product, xp.result_name, wide, self.library
        )

    def tokens(self) -> Tokens:
        """Return the tokens flattened to one axis, with their weights and labels."""
        xp, arrays, loss = self.xp, self.inputs.arrays, self.loss
        mask, weights = arrays.get("where"), arrays.get("weights")
        if loss.ignore_index is not None:
            own = arrays["targets"] != loss.ignore_index
            mask = own if mask is None else mask & own
        if weights is not None:
            weights = self.library.cast(xp, weights)
            counted = weights != 0
            mask = counted if mask is None else mask & counted
            weights = xp.where(mask, weights, xp.zeros_like(weights))
        factor = xp.astype(mask, xp.computing) if weights is None and mask is not None else weights
        self.weights, self.mask = weights, mask
        hidden = xp.reshape(self.hidden, (-1, self.hidden.shape[-1]))
        if factor is not None:
            factor = xp.reshape(factor, (-1,))
        labels = xp.reshape(xp.astype(arrays["targets"], xp.counting), (-1,))
        return Tokens(hidden, self.weight, self.bias, factor, labels)

    def state(self, total: Array) -> Mean:
        """Return the state of the batch from the total of its losses."""
        xp, inputs = self.xp, self.inputs
        nothing = xp.zeros_like(inputs.arrays["targets"], dtype=xp.computing)
        batch = Batch(
            self.rows, xp, nothing, nothing, self.weights, self.mask, inputs.shape, inputs.axes
        )
        weight = Totals(batch).mean(nothing).weight
        return Mean(Total(total, xp.zeros_like(total, dtype=xp.result)), weight)


def _check_shapes(loss: Any, hidden: Array, weight: Array, bias: Array | None) -> None:
    if weight.ndim != 2:
        message = f"weight has shape {tuple(weight.shape)}: it must be (classes, features)"
        raise fail(loss, message)
    if weight.shape[0] == 0:
        raise fail(loss, f"weight has shape {tuple(weight.shape)}: it has a row for each class")
    if hidden.ndim == 0 or hidden.shape[-1] != weight.shape[1]:
        message = f"hidden has shape {tuple(hidden.shape)} and weight {tuple(weight.shape)}"
        if hidden.ndim and hidden.shape[-1] == weight.shape[0]:
            raise fail(loss, f"{message}; transpose it: weight.T")
        raise fail(loss, f"{message}; hidden must be (..., features), weight (classes, features)")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        need = f"one number for each of {weight.shape[0]} classes"
        raise fail(loss, f"bias has shape {tuple(bias.shape)}; it must be {need}")


def state_of(layer: Layer) -> Mean:
    """Return the state of a batch, computed in chunks if possible, else by the plain form."""
    plan, arrays = layer.plan, layer.inputs.arrays
    if plan is None or layer.library.looked_at(*arrays.values(), layer.weight, layer.bias):
        options = {name: arrays[name] for name in ("weights", "where") if name in arrays}
        rows, hidden = layer.rows, as_dtype(layer.xp, layer.hidden, layer.xp.result)
        state: Mean = rows.summary((hidden,), arrays["targets"], **options)
        return state
    tokens = layer.tokens()
    with layer.xp.quiet():
        return layer.state(layer.library.total_of_tokens(plan, tokens, layer.rows))


def value_and_gradients(
    layer: Layer, denominator: Any, mean: Callable[[Mean], Any]
) -> tuple[Any, tuple[Array, ...]]:
    """Return the mean of a batch and its gradients by hidden, weight and, if given, bias."""
    plan, xp = layer.plan, layer.xp
    if plan is None:
        message = f"{layer.library.name} has no gradients of this loss"
        raise fail(layer.loss, f"{message}; pass arrays in memory and parameters that are numbers")
    tokens = layer.tokens()
    given = (layer.hidden, layer.weight, layer.bias)
    needed = (True, True, layer.bias is not None)
    with xp.quiet(), layer.library.without_graph():
        total, _, slopes = layer.library.gone_through(plan, needed, tokens)
        state = layer.state(total)
        divisor = state.weight.sum if denominator is None else denominator + 0 * state.weight.sum
        scale = ratio(xp, xp.ones_like(divisor), divisor, 0.0)
        value = mean(state)
    found = []
    for slope, x in zip(slopes, given, strict=True):
        if slope is not None and x is not None:
            dtype = x.dtype if dtype_name(x.dtype) in FLOATS else xp.result
            slope *= xp.astype(scale, slope.dtype)
            found.append(xp.reshape(as_dtype(xp, slope, dtype), x.shape))
    return value, tuple(found)


def multiplied(xp: Namespace, hidden: Array, weight: Array, bias: Array | None) -> Array:
    """Return the full logit matrix of a layer, multiplied in the dtype of results."""
    hidden, weight = (as_dtype(xp, x, xp.result) for x in (hidden, weight))
    logits = xp.astype(xp.matmul(hidden, xp.permute_dims(weight, (1, 0))), xp.computing)
    return logits if bias is None else logits + xp.astype(bias, xp.computing)
