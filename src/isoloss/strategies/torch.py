"""PyTorch: eager training steps in blocks, with the slope kept for the backward pass.

Eager PyTorch pays for every kernel and for every array that goes through main memory. So the mean
of pointwise terms is one node of the graph: its forward pass goes through the data in blocks, and
first-order numbers give it the slope that its backward pass multiplies. Whatever asks for more than
that (a compiler, torch.func, forward mode, derivatives of derivatives) gets the plain way.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .._arrays import Batch, Totals, namespace_for
from .._jets import Jet, JetLibrary, plain
from .._namespaces import Array, Library, Namespace, library_of
from ..strategies.plain import fold, statistics, statistics_of_all, terms

if TYPE_CHECKING:
    from .._metric import Metric

__all__ = ["direct", "fold", "gathers", "statistics", "statistics_of_all", "terms"]

BLOCK = 1 << 17  # float64 blocks of this length stay in the cache, and occupy several threads
torch: Any = sys.modules["torch"]  # a compiler that reads sys.modules guards on all of it
_NUMBERS = (int, float, bool, type(None))


def direct(
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
    library = library_of(predictions)
    xp = _namespace(library, predictions, targets.dtype)
    if xp is None or not xp.wide or not _pointwise(metric):
        return None
    if torch.is_grad_enabled() and predictions.requires_grad:
        return _node(library)(predictions, targets, metric, xp)
    return _mean(metric, xp, predictions, targets)


def gathers(predictions: Array, targets: Array) -> list[Any]:
    """Return two tensors that are just numbers as NumPy arrays; nothing of others."""
    fit = (
        not torch.compiler.is_compiling()
        and not predictions.requires_grad
        and _plain_tensors(predictions, targets)
        and _namespace(library_of(predictions), predictions, targets.dtype) is not None
    )
    arrays = (predictions, targets) if fit else ()
    if any(x.dtype is torch.bfloat16 for x in arrays):  # NumPy has no such dtype
        return []
    return [x.numpy() for x in arrays]


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


def _namespace(library: Any, predictions: Array, dtype: Any) -> Namespace | None:
    key = predictions.dtype, dtype, torch.get_default_dtype()
    if key not in library.of_dtypes:
        library.of_dtypes[key] = namespace_for(library, predictions, *key[:2])
    return library.of_dtypes[key]


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

    class MeanOfTerms(torch.autograd.Function):  # type: ignore[misc]
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
