"""PyTorch: eager training steps in blocks, with the slope kept for the backward pass.

Eager PyTorch pays for every kernel and for every array that goes through main memory. So the mean
of pointwise terms is one node of the graph: its forward pass goes through the data in blocks, and
first-order numbers give it the slope that its backward pass multiplies. Whatever asks for more than
that (a compiler, torch.func, forward mode, derivatives of derivatives) gets the plain way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import array_api_compat.torch
import numpy as np
import torch

from .._core.carrier import plain
from .._core.inputs import Batch, namespace_for
from .._core.jets import Jet, JetLibrary
from .._core.library import Library
from .._core.metric import Metric
from .._core.passes import NOTHING, Arrays, InPlaceArrays, Plan, Tokens, gone_through
from .._core.plain import PlainLibrary
from .._core.primitives import shares
from .._core.special import clip as clip_of
from .._core.special import rows, sum_directly
from .._core.states import Samples, State, leafwise
from .._core.totals import Totals
from .._core.types import Array, Functions, Namespace, dtype_name

BLOCK = 1 << 17  # float64 blocks of this length stay in the cache, and occupy several threads
_NUMBERS = (int, float, bool, type(None))


class TorchLibrary(PlainLibrary):
    """PyTorch, its subclasses of tensors included."""

    name = "PyTorch"
    quiet = staticmethod(nullcontext)

    def has_float64(self, array: Array) -> bool:
        """Whether the device has float64: all but Apple's."""
        return bool(array.device.type != "mps")

    def default_float(self) -> str:
        """Return the name of torch's default dtype."""
        return dtype_name(torch.get_default_dtype())

    def device(self, array: Array) -> Any:
        """Return where the tensor lives."""
        return array.device

    def convert(self, array: np.ndarray, dtype: str, like: Array) -> Array:
        """Bring a NumPy array to the device of a tensor."""
        return torch.as_tensor(array.astype(dtype), device=like.device)

    def conversion(self, name: str) -> str:
        """Return the code that makes a tensor."""
        return f"torch.as_tensor({name})"

    def refuse(self, array: Array) -> str | None:
        """Refuse sparse tensors."""
        if array.layout != torch.strided:
            return "sparse tensors are not taken: pass tensor.to_dense()"
        return None

    def makes(self, array: Any) -> bool:
        """Whether an array is a tensor, of a subclass perhaps."""
        return isinstance(array, torch.Tensor)

    def remembers(self, kind: type) -> bool:
        """Whether a type may be remembered: a compiler guards on the dictionaries it reads."""
        plain_kind = kind in (torch.Tensor, torch.nn.Parameter)
        return plain_kind and not torch.compiler.is_compiling()

    def primitives(self, xp: Namespace) -> dict[str, Any]:
        """Return those that are not in `special`, whose forms torch differentiates."""
        return {"log_rest": lambda x: xp.logsumexp(x)[1], "shares": lambda x: shares(xp, x)}

    def overrides(self, result: str) -> dict[str, Any]:
        """Return what torch does faster, or as a compiler can read it."""
        raw = self.raw

        def total(x: Array, axes: tuple[int, ...]) -> Array:
            if torch.compiler.is_compiling() or x.numel() < 4096 or not axes:
                return sum_directly(raw, x, axes)
            return _sum_of_blocks(raw, x, axes)

        def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:  # noqa: A002
            # its derivative at a bound is the contract's, unless a bound is a tensor too
            numbers = all(b is None or isinstance(b, (int, float)) for b in (min, max))
            return torch.clamp(x, min, max) if numbers else clip_of(raw, x, min, max)

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
            # as accurate as the formulas, derivatives included; torch's ndtr is 0 below -10 in
            # float32, and its log_ndtr loses every digit above 4
            "erf": torch.special.erf,
            "erfc": torch.special.erfc,
            "moveaxis": lambda x, source, destination, /: torch.movedim(x, source, destination),
            # array_api_compat's forms index by masks, and look the namespace up while compiling
            "sign": torch.sign,
            "cumulative_sum": lambda x, /, *, axis: torch.cumsum(x, axis),
            **({"total": total} if result == "float64" else {}),
        }

    def direct(
        self,
        metric: Metric,
        predictions: Array,
        targets: Array,
        weights: Any,
        where: Any,
        axis: Any,
        keepdims: Any,
        reduction: Any,
        denominator: Any,
        empty: Any,
        event_axis: Any,
    ) -> Any | None:
        """Return the mean over all samples of two tensors; None asks for the general way."""
        if torch.compiler.is_compiling():
            return None
        if not (weights is where is axis is denominator is event_axis is None) or keepdims:
            return None
        if reduction != "mean" or not _plain_tensors(predictions, targets):
            return None
        xp = self._of_dtypes(predictions, targets.dtype)
        if xp is None or not xp.wide or not _pointwise(metric):
            return None
        if torch.is_grad_enabled() and predictions.requires_grad:
            return _node(self)(predictions, targets, metric, xp)
        return _mean(metric, xp, predictions, targets)

    def gathers(self, predictions: Array, targets: Array) -> list[Any]:
        """Return two tensors that are just numbers as NumPy arrays; nothing of others."""
        fit = (
            not torch.compiler.is_compiling()
            and not predictions.requires_grad
            and _plain_tensors(predictions, targets)
            and self._of_dtypes(predictions, targets.dtype) is not None
        )
        arrays = (predictions, targets) if fit else ()
        if any(x.dtype is torch.bfloat16 for x in arrays):  # NumPy has no such dtype
            return []
        return [x.numpy() for x in arrays]

    def _of_dtypes(self, predictions: Array, dtype: Any) -> Namespace | None:
        key = predictions.dtype, dtype, torch.get_default_dtype()
        if key not in self.of_dtypes:
            self.of_dtypes[key] = namespace_for(self, predictions, *key[:2])
        return self.of_dtypes[key]

    def from_gathered(self, numbers: np.ndarray) -> Array:
        """Return numbers that were gathered as a tensor."""
        return torch.from_numpy(numbers)

    def differentiated(
        self,
        function: Callable[..., Array],
        metric: Any,
        predictions: Any,
        targets: Any,
        options: dict[str, Any],
    ) -> tuple[Any, Any]:
        """Return value and gradient of ``function(metric, predictions, targets, **options)``."""
        call = torch.func.grad_and_value(lambda p: function(metric, p, targets, **options))
        slope, value = call(predictions)
        return value, slope

    def across(self, state: Any, axis_name: Any, group: Any) -> Any:
        """Merge the states of the processes of a group."""
        if axis_name is not None:
            raise TypeError("across takes axis_name= with JAX; with PyTorch, it takes group=")
        return _over_group(state, group)

    def looked_at(self, *arrays: Any) -> bool:
        """Whether something looks at the tensors that a pass in place would not serve."""
        return _watched(*arrays)

    def without_graph(self) -> AbstractContextManager[Any]:
        """Return a context in which no graph is made."""
        return torch.no_grad()

    def chunk_arrays(self, plan: Plan) -> Arrays:
        """Return the tensors of a chunk, changed in place."""
        return _ChunkArrays(plan)

    def total_of_tokens(self, plan: Plan, tokens: Tokens, rows: Any) -> Array:
        """Return the total of the losses, one node of the graph."""
        return _total_of_tokens(plan, tokens, rows)


LIBRARY = TorchLibrary


def namespace() -> Any:
    """Return the functions of the standard over tensors."""
    return array_api_compat.torch


def _sum_of_blocks(xp: Functions, x: Array, axes: tuple[int, ...]) -> Array:
    """Sum, keeping dimensions, in blocks of blocks: torch's own sum is 11 ULP off at 1e7."""
    x, shape = rows(xp, x, axes), tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    block = 128
    while x.shape[-1] > block:
        whole = x.shape[-1] - x.shape[-1] % block
        sums = xp.sum(xp.reshape(x[..., :whole], (*x.shape[:-1], -1, block)), axis=-1)
        rest = xp.sum(x[..., whole:], axis=-1, keepdims=True)
        x = xp.concat([sums, rest], axis=-1)
    return xp.reshape(xp.sum(x, axis=-1), shape)


# --- the mean of terms as one node of the graph ---------------------------------------------------


def _plain_tensors(p: Array, t: Array) -> bool:
    """Whether two tensors are just numbers, of one shape, that no transform looks at."""
    n = p.numel()
    return (
        (type(t) is torch.Tensor and not t.requires_grad)
        and p.shape == t.shape
        and n > 0
        and p.device.type == t.device.type == "cpu"
        and p.layout is t.layout is torch.strided
        and not (p.is_neg() or t.is_neg())
        and (n <= BLOCK or (p.is_contiguous() and t.is_contiguous()))
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_dispatch_stack() == 0
        and torch.autograd.forward_ad._current_level < 0
    )


def _pointwise(metric: Any) -> bool:
    """Whether a metric is a mean of terms of one number each, and its parameters are numbers."""
    while hasattr(metric, "metric"):
        if not all(type(x) in _NUMBERS for k, x in vars(metric).items() if k != "metric"):
            return False
        if not metric.summable:
            return False
        metric = metric.metric
    if not (metric.summable and metric.elementwise):
        return False
    return all(type(x) in _NUMBERS for x in vars(metric).values())


def _blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    if arrays[0].numel() <= BLOCK:
        yield arrays
    else:
        yield from zip(*(array.view(-1).split(BLOCK) for array in arrays), strict=True)


def _mean(metric: Metric, xp: Namespace, predictions: Array, targets: Array) -> Array:
    """Return the mean of the terms, summed in float64."""
    computing, sums = xp.computing, []
    for p, t in _blocks(predictions, targets):
        p, t = p.to(computing), t.to(computing)
        found = _checked(metric, xp, p, metric.terms(xp, p, t))
        if predictions.numel() <= BLOCK:
            return found.mean().to(xp.result)
        sums.append(found.sum())
    return _total(sums, predictions, xp)


def _checked(metric: Metric, xp: Namespace, p: Array, found: Array) -> Array:
    if plain(found).shape != p.shape:
        Totals(Batch(metric, xp, p, p, None, None, tuple(p.shape), ())).weighted(plain(found))
    return found


def _node(library: Any) -> Any:
    """Return the node of the graph, a torch.autograd.Function, made once."""
    if "node" not in library.kept:
        library.kept["node"] = _make_node(library)
    return library.kept["node"].apply


def _make_node(library: Library) -> Any:
    jets = JetLibrary(library, second=False)

    class MeanOfTerms(torch.autograd.Function):
        """The mean of pointwise terms, with its slope kept for the backward pass."""

        @staticmethod
        def forward(ctx: Any, p: Array, t: Array, metric: Metric, xp: Namespace) -> Array:
            value, ctx.slope = _mean_and_slope(metric, xp, jets, p, t)
            ctx.metric = metric
            ctx.save_for_backward(p, t)
            return value

        @staticmethod
        def backward(ctx: Any, incoming: Array) -> tuple[Any, ...]:
            slope, ctx.slope = ctx.slope, None
            p, t = ctx.saved_tensors
            if slope is None or torch.is_grad_enabled() or incoming.dim():
                return _again(ctx.metric, p, t, incoming), None, None, None
            if torch._C._are_functorch_transforms_active():
                return (slope * incoming).to(p.dtype), None, None, None
            return slope.mul_(incoming).to(p.dtype), None, None, None

    return MeanOfTerms


def _again(metric: Metric, p: Array, t: Array, incoming: Array) -> Array:
    """Return the gradient in a form that can be differentiated, or asked for twice."""
    create = torch.is_grad_enabled()
    with torch.enable_grad():
        leaf = p if create else p.detach().requires_grad_()
        value = metric.evaluated(leaf, t, None, None, None, False, "mean", None, float("nan"), None)
        return torch.autograd.grad(value, leaf, incoming, create_graph=create)[0]


def _mean_and_slope(
    metric: Metric, xp: Namespace, jets: JetLibrary, predictions: Array, targets: Array
) -> tuple[Array, Array]:
    """Return the mean of the terms and its gradient, in one pass."""
    computing, n = xp.computing, predictions.numel()
    jxp, sums = jets.namespace(xp.result_name, xp.wide), []
    # half precision would lose a slope over n that a scaled loss multiplies up again
    kind = xp.result if predictions.dtype.itemsize == 2 else predictions.dtype
    whole = torch.empty_like(predictions, dtype=kind) if n > BLOCK else None
    for p, t, *out in _blocks(predictions, targets, *([] if whole is None else [whole])):
        p, t = p.to(computing), t.to(computing)
        jet = _checked(metric, jxp, p, metric.terms(jxp, Jet(p, 1.0, None, jets), t))
        slope = jet.first if isinstance(jet, Jet) and jet.first is not None else 0.0
        if isinstance(slope, float):
            slope = torch.full_like(p, slope)
        if whole is None:
            return plain(jet).mean().to(xp.result), (slope / n).to(kind)
        torch.div(slope, n, out=out[0])
        sums.append(plain(jet).sum())
    return _total(sums, predictions, xp), whole


def _total(sums: list[Array], predictions: Array, xp: Namespace) -> Array:
    total = torch.stack(sums).sum() / predictions.numel()
    return total.to(xp.result)


# --- processes ------------------------------------------------------------------------------------


def _over_group(state: State, group: Any) -> Any:
    here = torch.distributed.get_rank(group)
    wide = state.weight.xp.computing  # float64 holds counts and every float exactly
    leaves: list[Array] = []
    leafwise(leaves.append, state)
    lengths = [[leaf.numel() for leaf in leaves]] * torch.distributed.get_world_size(group)
    if isinstance(state, Samples):
        counted = not state.weights.is_floating_point()
        mine = torch.tensor([*lengths[here], counted], device=leaves[0].device)
        rows = mine.new_zeros((len(lengths), len(mine)))
        rows[here] = mine
        torch.distributed.all_reduce(rows, group=group)
        lengths = rows[:, :-1].tolist()
        if not rows[:, -1].all():  # counts beside weights would take the dtype of either
            state = state._replace(weights=state.weights.to(wide))
    rows = torch.zeros((len(lengths), max(map(sum, lengths))), dtype=wide, device=leaves[0].device)
    own = torch.cat([leaf.detach().reshape(-1).to(wide) for leaf in leaves])
    rows[here, : own.numel()] = own
    torch.distributed.all_reduce(rows, group=group)

    def of(process: int) -> Any:
        parts = iter(rows[process, : sum(lengths[process])].split(lengths[process]))

        def leaf(mine: Array) -> Array:
            part = next(parts)
            shape = mine.shape if part.numel() == mine.numel() else (*mine.shape[:-1], -1)
            return part.reshape(shape).to(mine.dtype)

        return leafwise(leaf, state)

    states = [state if process == here else of(process) for process in range(len(lengths))]
    return state.weight.xp.library.fold(states)


# --- a linear layer under a cross-entropy ---------------------------------------------------------


class _ChunkArrays(InPlaceArrays):
    """Chunk after chunk in the same room."""

    def logits(self, hidden: Array, weight: Array) -> Array:
        if self.room is None or len(self.room) < len(hidden):
            self.room = hidden.new_empty((len(hidden), len(weight)), dtype=self.dtype)
        room: Any = self.room
        z = room[: len(hidden)]
        if self.product == self.dtype:
            return torch.mm(hidden, weight.t(), out=z)
        return z.copy_(hidden @ weight.t())

    def exp(self, z: Array) -> Array:
        return z.exp_()

    def put(self, z: Array, labels: Array, values: Array) -> Array:
        return z.scatter_(1, labels[:, None], values[:, None])

    def add_product(self, total: Array | None, x: Array, y: Array) -> Array:
        if total is None:
            return self.multiply(x.t(), y)
        return total.addmm_(x.t(), y) if x.dtype == total.dtype else total.add_(x.t() @ y)


def _watched(*tensors: Any) -> bool:
    """Whether something looks at the tensors that a pass in place would not serve."""
    return (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch.autograd.forward_ad._current_level >= 0
        or any(type(x) not in (torch.Tensor, torch.nn.Parameter) for x in tensors if x is not None)
    )


def _total_of_tokens(plan: Plan, tokens: Tokens, rows: Any) -> Array:
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
    return _total_node(plan.library)(*tokens, plan, rows, needed)


def _total_node(library: Library) -> Any:
    """Return the node of the graph, a torch.autograd.Function, made once."""
    if "linear" not in library.kept:
        library.kept["linear"] = _make_total_node()
    return library.kept["linear"].apply


def _make_total_node() -> Any:
    class TotalOfLosses(torch.autograd.Function):
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
                found = _total_again(ctx.rows, arrays, ctx.needs_input_grad, incoming)
                return *found, None, None, None, None
            found = [
                None if slope is None else slope.mul_(incoming).to(x.dtype)
                for slope, x in zip(slopes, arrays, strict=False)
            ]
            by_factor = ctx.losses * incoming if ctx.needs_input_grad[3] else None
            return *found, by_factor, None, None, None, None

    return TotalOfLosses


def _total_again(
    rows: Any, arrays: Any, needed: tuple[bool, ...], incoming: Array
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
