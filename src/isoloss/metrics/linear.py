"""A linear layer under a cross-entropy, a chunk of tokens at a time: never are all logits there.

One pass over the tokens gives the total of the losses and, where they are asked for, its gradients
by what went in: while a chunk's logits are there, both are found. The plain form of the same loss,
all logits at once, takes over wherever more is asked for than a value and a first derivative.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache, partial
from typing import Any, NamedTuple

from .._arrays import (
    Batch,
    Inputs,
    Totals,
    _as_array,
    _check_devices,
    _check_dtype,
    _one_library,
    fail,
    namespace_for,
)
from .._jets import CarrierLibrary
from .._namespaces import FLOATS, Array, Library, Namespace, dtype_name, library_of
from .._states import Mean, Total, ratio

LOGITS = 1 << 24  # of a chunk, unless it was said how many tokens that has
BLOCK = 1024  # numbers that are added up before they are widened
PROGRAMS = 64  # how many compiled programs are kept
_HALVES = ("float16", "bfloat16")
_NUMBERS = (int, float, type(None))
Needed = tuple[bool, bool, bool]  # whether the gradients by hidden, weight and bias are
Slopes = tuple[Array | None, Array | None, Array | None]
NOTHING = (False, False, False)


class Plan(NamedTuple):
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


# --- what comes in --------------------------------------------------------------------------------


class Layer:
    """The arguments of one call, checked.

    ``plain`` makes the plain form of the loss, of a weight and a bias.
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
        arrays = {name: _as_array(loss, name, x) for name, x in given.items()}
        names = {name: _check_dtype(loss, name, x) for name, x in arrays.items()}
        real = {name: x for name, x in arrays.items() if x is given[name]} or arrays
        beside = {} if library_of(targets) is None else {"targets": targets}
        self.library = _one_library(loss, {**real, **beside})
        if isinstance(self.library, CarrierLibrary):
            message = "gradient does not go through a layer"
            raise fail(loss, f"{message}; call value_and_gradient of the loss itself", TypeError)
        like = next(x for x in (*real.values(), targets) if library_of(x) is self.library)
        for name, x in arrays.items():
            if library_of(x) is not self.library:
                arrays[name] = self.library.convert(x, names[name], like)
        _check_devices(loss, self.library, arrays)
        self.hidden, self.weight, self.bias = arrays["hidden"], arrays["weight"], arrays.get("bias")
        _check_shapes(loss, self.hidden, self.weight, self.bias)
        self.rows = plain(self.weight, self.bias)
        self.inputs = Inputs(self.rows, (self.hidden,), targets, weights, where)
        xp = namespace_for(self.library, self.weight, self.hidden.dtype, self.weight.dtype)
        assert xp is not None
        self.loss, self.xp = loss, xp

    @property
    def plan(self) -> Plan | None:
        """What the pass depends on; None where only the plain form will do."""
        loss, xp = self.loss, self.xp
        numbers = all(type(x) in _NUMBERS for x in (loss.label_smoothing, loss.z_loss))
        sizes = (*self.hidden.shape, *self.weight.shape)
        if not numbers or not all(type(n) is int for n in sizes) or self.library.name == "Dask":
            return None
        chunk = loss.chunk or max(1, LOGITS // self.weight.shape[0])
        pair = [dtype_name(x.dtype) for x in (self.hidden, self.weight)]
        product = pair[0] if pair[0] == pair[1] and pair[0] in _HALVES else xp.result_name
        if self.library.name == "NumPy":  # it has no fast product of half precision
            product = xp.result_name
        wide = xp.computing_name != xp.result_name
        return Plan(
            loss.label_smoothing, loss.z_loss, chunk, product, xp.result_name, wide, self.library
        )

    def tokens(self) -> Tokens:
        """Bring the tokens into one row."""
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
        """Return the state that a total of losses belongs to."""
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
    if hidden.ndim == 0 or hidden.shape[-1] != weight.shape[1]:
        message = f"hidden has shape {tuple(hidden.shape)} and weight {tuple(weight.shape)}"
        if hidden.ndim and hidden.shape[-1] == weight.shape[0]:
            raise fail(loss, f"{message}; turn the matrix round: weight.T")
        raise fail(loss, f"{message}; hidden must be (..., features), weight (classes, features)")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        need = f"one number for each of {weight.shape[0]} classes"
        raise fail(loss, f"bias has shape {tuple(bias.shape)}; it must be {need}")


def as_dtype(xp: Namespace, x: Array, dtype: Any) -> Array:
    """Convert to a dtype; what has it already is not copied, as the standard would have it."""
    return x if x.dtype == dtype else xp.astype(x, dtype)


def state_of(layer: Layer) -> Mean:
    """Return the state of a batch: by chunks, or by the plain form where only that will do."""
    plan, arrays = layer.plan, layer.inputs.arrays
    torch = layer.library.name == "PyTorch"
    if plan is None or (torch and _watched(*arrays.values(), layer.weight, layer.bias)):
        options = {name: arrays[name] for name in ("weights", "where") if name in arrays}
        rows, hidden = layer.rows, as_dtype(layer.xp, layer.hidden, layer.xp.result)
        state: Mean = rows.summary((hidden,), arrays["targets"], **options)
        return state
    tokens = layer.tokens()
    with layer.xp.quiet():
        if torch:
            return layer.state(_torch_total(plan, tokens, layer.rows))
        if layer.library.name == "JAX":
            return layer.state(_jax_total(plan)(*tokens))
        return layer.state(gone_through(plan, NOTHING, tokens)[0])


def value_and_gradients(
    layer: Layer, denominator: Any, mean: Callable[[Mean], Any]
) -> tuple[Any, tuple[Array, ...]]:
    """Return the mean of a batch and its gradients by what is there of hidden, weight and bias."""
    plan, xp = layer.plan, layer.xp
    if plan is None:
        message = f"{layer.library.name} has no pass that finds gradients"
        raise fail(layer.loss, f"{message}; pass arrays in memory and parameters that are numbers")
    tokens = layer.tokens()
    given = (layer.hidden, layer.weight, layer.bias)
    needed = (True, True, layer.bias is not None)
    with xp.quiet(), _without_graph(layer.library):
        through = _jax_pass(plan) if layer.library.name == "JAX" else partial(gone_through, plan)
        total, _, slopes = through(needed, tokens)
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


def _without_graph(library: Library) -> Any:
    return sys.modules["torch"].no_grad() if library.name == "PyTorch" else nullcontext()


def multiplied(xp: Namespace, hidden: Array, weight: Array, bias: Array | None) -> Array:
    """Return all logits of a layer, multiplied in the dtype of results."""
    hidden, weight = (as_dtype(xp, x, xp.result) for x in (hidden, weight))
    logits = xp.astype(xp.matmul(hidden, xp.permute_dims(weight, (1, 0))), xp.computing)
    return logits if bias is None else logits + xp.astype(bias, xp.computing)


# --- one chunk ------------------------------------------------------------------------------------


class Arrays:
    """How a library changes the arrays of a chunk: here by making new ones."""

    def __init__(self, plan: Plan) -> None:
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


class _InPlace(Arrays):
    """Chunk after chunk has its logits in the same room, where nobody else sees them."""

    room: Array | None = None

    def sum(self, z: Array) -> Array:
        """Sum blocks, and their sums in the dtype of sums: nothing is widened whole."""
        xp, count = self.xp, z.shape[1] // BLOCK
        whole = z[:, : count * BLOCK]
        blocks = xp.sum(xp.reshape(whole, (len(z), count, BLOCK)), axis=-1)
        return xp.sum(blocks, axis=-1, dtype=xp.computing) + xp.sum(z[:, count * BLOCK :], axis=-1)


class _NumPyArrays(_InPlace):
    def logits(self, hidden: Array, weight: Array) -> Array:
        if self.room is None or len(self.room) < len(hidden):
            self.room = self.xp.empty((len(hidden), len(weight)), dtype=self.dtype)
        room: Any = self.room
        return self.xp.matmul(hidden, weight.T, out=room[: len(hidden)])

    def exp(self, z: Array) -> Array:
        return self.xp.exp(z, out=z)

    def put(self, z: Array, labels: Array, values: Array) -> Array:
        z[self.xp.arange(len(z)), labels] = values
        return z

    def add_product(self, total: Array | None, x: Array, y: Array) -> Array:
        if total is None:
            return self.multiply(x.T, y)
        total += x.T @ y
        return total


class _TorchArrays(_InPlace):
    def logits(self, hidden: Array, weight: Array) -> Array:
        if self.room is None or len(self.room) < len(hidden):
            self.room = hidden.new_empty((len(hidden), len(weight)), dtype=self.dtype)
        room: Any = self.room
        z = room[: len(hidden)]
        if self.product == self.dtype:
            return sys.modules["torch"].mm(hidden, weight.t(), out=z)
        return z.copy_(hidden @ weight.t())

    def exp(self, z: Array) -> Array:
        return z.exp_()

    def put(self, z: Array, labels: Array, values: Array) -> Array:
        return z.scatter_(1, labels[:, None], values[:, None])

    def add_product(self, total: Array | None, x: Array, y: Array) -> Array:
        if total is None:
            return self.multiply(x.t(), y)
        return total.addmm_(x.t(), y) if x.dtype == total.dtype else total.add_(x.t() @ y)


class _JaxArrays(Arrays):
    def multiply(self, x: Array, y: Array) -> Array:
        return self.xp.matmul(x, y, preferred_element_type=self.dtype)


_ARRAYS = {"NumPy": _NumPyArrays, "PyTorch": _TorchArrays, "JAX": _JaxArrays}


def _of_chunk(
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


def gone_through(plan: Plan, needed: Needed, tokens: Tokens) -> tuple[Array, Array, Slopes]:
    """Return the total of the losses, the losses, and the slopes of the total, chunk by chunk."""
    arrays = _ARRAYS.get(plan.library.name, Arrays)(plan)
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
        loss, slope, sums = _of_chunk(arrays, part, needed, sums)
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


# --- PyTorch --------------------------------------------------------------------------------------


def _watched(*tensors: Any) -> bool:
    """Whether something looks at the tensors that a pass in place would not serve."""
    torch = sys.modules["torch"]
    return (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch.autograd.forward_ad._current_level >= 0
        or any(type(x) not in (torch.Tensor, torch.nn.Parameter) for x in tensors if x is not None)
    )


def _torch_total(plan: Plan, tokens: Tokens, rows: Any) -> Array:
    torch = sys.modules["torch"]
    device = tokens.hidden.device.type
    if torch.is_autocast_enabled(device):  # what torch.nn.functional.linear would do
        dtype = torch.get_autocast_dtype(device)
        plan = plan._replace(product=dtype_name(dtype))
    if not torch.is_grad_enabled():
        needed = NOTHING
    else:
        needed = tuple(x is not None and x.requires_grad for x in tokens[:3])  # type: ignore[assignment]
    if not any(needed) and not getattr(tokens.factor, "requires_grad", False):
        with torch.autocast(device, enabled=False):
            return gone_through(plan, NOTHING, tokens)[0]
    return _node(plan.library)(*tokens, plan, rows, needed)


def _node(library: Library) -> Any:
    """Return the node of the graph, a torch.autograd.Function, made once."""
    if "linear" not in library.kept:
        library.kept["linear"] = _make_node(sys.modules["torch"])
    return library.kept["linear"].apply


def _make_node(torch: Any) -> Any:
    class TotalOfLosses(torch.autograd.Function):  # type: ignore[misc]
        """The total of the losses, with its slopes kept for the backward pass."""

        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Array:
            *arrays, plan, rows, needed = arguments
            with torch.autocast(arrays[0].device.type, enabled=False):
                total, ctx.losses, ctx.slopes = gone_through(plan, needed, Tokens(*arrays))
            ctx.rows = rows
            ctx.save_for_backward(*arrays)
            return total

        @staticmethod
        def backward(ctx: Any, incoming: Array) -> tuple[Any, ...]:
            slopes, ctx.slopes = ctx.slopes, None
            arrays = ctx.saved_tensors
            if slopes is None or torch.is_grad_enabled():
                found = _again(torch, ctx.rows, arrays, ctx.needs_input_grad, incoming)
                return *found, None, None, None, None
            found = [
                None if slope is None else slope.mul_(incoming).to(x.dtype)
                for slope, x in zip(slopes, arrays, strict=False)
            ]
            by_factor = ctx.losses * incoming if ctx.needs_input_grad[3] else None
            return *found, by_factor, None, None, None, None

    return TotalOfLosses


def _again(
    torch: Any, rows: Any, arrays: Any, needed: tuple[bool, ...], incoming: Array
) -> list[Array | None]:
    """Return the gradients in a form that can be differentiated, or asked for twice."""
    create, wide = torch.is_grad_enabled(), torch.promote_types(arrays[0].dtype, arrays[1].dtype)
    with torch.enable_grad():
        given = [x if create or not need else x.detach().requires_grad_()
                 for x, need in zip(arrays[:4], needed, strict=False)]  # fmt: skip
        hidden, weight, bias, factor = given
        plain = type(rows)(rows.loss, weight, bias)
        value = plain((hidden.to(wide),), arrays[4], weights=factor, reduction="sum")
        asked = [x for x, need in zip(given, needed, strict=False) if need]
        found = iter(
            torch.autograd.grad(value, asked, incoming.to(value.dtype), create_graph=create)
        )
    return [next(found) if need else None for need in needed[:4]]


# --- JAX ------------------------------------------------------------------------------------------


@lru_cache(maxsize=PROGRAMS)
def _jax_pass(plan: Plan) -> Any:
    """Return the compiled pass, of what is needed and tokens."""
    return sys.modules["jax"].jit(partial(_scanned, plan), static_argnums=0)


@lru_cache(maxsize=PROGRAMS)
def _jax_total(plan: Plan) -> Callable[..., Array]:
    """Return the total of the losses as a function whose derivative is found beside its value."""
    jax, through = sys.modules["jax"], _jax_pass(plan)

    @jax.custom_jvp  # type: ignore[untyped-decorator]
    def total(*tokens: Any) -> Array:
        return through(NOTHING, Tokens(*tokens))[0]

    def moving(dx: Any) -> bool:
        return dx is not None and not isinstance(dx, jax.custom_derivatives.SymbolicZero)

    def with_slopes(primals: Any, tangents: Any) -> tuple[Array, Array]:
        moves = tuple(moving(dx) for dx in tangents[:4])
        value, losses, slopes = through(moves[:3], Tokens(*primals))
        change = jax.numpy.zeros_like(value)
        for slope, dx, move in zip((*slopes, losses), tangents[:4], moves, strict=True):
            if move:
                change += jax.numpy.sum(slope * dx.astype(slope.dtype)).astype(change.dtype)
        return value, change

    total.defjvp(with_slopes, symbolic_zeros=True)
    return total  # type: ignore[no-any-return]


def _scanned(plan: Plan, needed: Needed, tokens: Tokens) -> tuple[Array, Array, Slopes]:
    """Go through the chunks in a loop of XLA, all of one length: what is added does not count."""
    jax = sys.modules["jax"]
    jnp, arrays = jax.numpy, _JaxArrays(plan)
    count = tokens.hidden.shape[0]
    if count <= plan.chunk:
        return gone_through(plan, needed, tokens)
    chunks = -(-count // plan.chunk)
    length = -(-count // chunks)

    def cut(x: Array) -> Array:
        added = [(0, chunks * length - count)] + [(0, 0)] * (x.ndim - 1)
        return jnp.reshape(jnp.pad(x, added), (chunks, length, *x.shape[1:]))

    factor = tokens.factor
    if factor is None and chunks * length > count:
        factor = jnp.ones(count, arrays.xp.computing)
    weight = tokens.weight.astype(arrays.product)
    bias = None if tokens.bias is None else tokens.bias.astype(arrays.dtype)
    along = (cut(tokens.hidden), None if factor is None else cut(factor), cut(tokens.labels))

    def step(sums: Any, some: Any) -> Any:
        part = Tokens(some[0], weight, bias, some[1], some[2])
        losses, by_hidden, sums = _of_chunk(arrays, part, needed, sums)
        return sums, (losses, by_hidden)

    start = (
        jnp.zeros(weight.shape, arrays.dtype) if needed[1] else None,
        jnp.zeros(weight.shape[0], arrays.dtype) if needed[2] else None,
    )
    sums, (losses, by_hidden) = jax.lax.scan(step, start, along)
    losses = jnp.reshape(losses, (-1,))[:count]
    if needed[0]:
        by_hidden = jnp.reshape(by_hidden, (-1, weight.shape[1]))[:count]
    total = jnp.sum(losses if tokens.factor is None else losses * tokens.factor)
    return total, losses, (by_hidden, *sums)
