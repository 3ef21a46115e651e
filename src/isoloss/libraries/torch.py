"""PyTorch: the sum of the terms of a loss is one node of the graph.

Eager PyTorch has a cost per kernel and per array in main memory. The forward pass of the node
evaluates the definition with kernels of torch outside autograd, in the width of the data. The
backward pass evaluates it on a tape. Autograd differentiates definitions for which the tape has no
rule, and everything besides a gradient: compilers, torch.func, forward mode and higher derivatives.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from types import ModuleType
from typing import Any, NamedTuple

import array_api_compat.torch
import numpy as np
import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from .._core import special
from .._core.calls import Call, Options, Plan, Plans, evaluate, is_float, several
from .._core.carrier import plain
from .._core.domains import Interval
from .._core.inputs import Batch, Inputs, namespace_for
from .._core.library import Library
from .._core.metric import Loss, Metric, SquaredLoss
from .._core.passes import NOTHING, Arrays, InPlaceArrays, PassPlan, Tokens, gone_through
from .._core.plain import PlainLibrary
from .._core.primitives import PRIMITIVES, shares
from .._core.special import clip as clip_of
from .._core.special import log_ratio as log_ratio_of
from .._core.special import rows, sum_directly
from .._core.states import Mean, Samples, State, Total, leafwise
from .._core.tape import Node, TapeLibrary
from .._core.tape import gradient as walk_back
from .._core.totals import Totals
from .._core.types import Array, Functions, Namespace, dtype_name
from .._core.wrappers import Exp, Root, Scaled

_TENSORS = (torch.Tensor, torch.nn.Parameter)
# the kernels of torch.nn.functional; their reductions are numbers
_KERNELS_OF_TORCH: Any = getattr(torch._C, "_nn")  # noqa: B009 - not in the stubs
_MEAN_OF_LOGITS = torch.binary_cross_entropy_with_logits
_NUMBERS = (int, float, bool, str, type(None))
_HALVES = (torch.float16, torch.bfloat16)


class TorchLibrary(PlainLibrary):
    """PyTorch, including subclasses of tensors."""

    name = "PyTorch"
    quiet = staticmethod(nullcontext)

    @cached_property
    def plans(self) -> Plans:
        """The cached plans of calls."""
        return Plans()

    @cached_property
    def kernels(self) -> EagerKernels:
        """The functions of nodes of the graph."""
        return EagerKernels(self.raw)

    @cached_property
    def narrow_kernels(self) -> NarrowKernels:
        """The functions for losses that accept float16 and bfloat16 without conversion."""
        return NarrowKernels(self.raw)

    def has_float64(self, array: Array) -> bool:
        """Whether the device supports float64: all except Apple's."""
        return bool(array.device.type != "mps")

    def widens(self, array: Array) -> bool:
        """Whether the device is a CPU."""
        return bool(array.device.type == "cpu")

    def default_float(self) -> str:
        """Return the name of torch's default dtype."""
        return dtype_name(torch.get_default_dtype())

    def device(self, array: Array) -> Any:
        """Return the device of the tensor."""
        return array.device

    def convert(self, array: np.ndarray, dtype: str, like: Array) -> Array:
        """Convert a NumPy array to a tensor on the device of ``like``."""
        return torch.as_tensor(array.astype(dtype), device=like.device)

    def conversion(self, name: str) -> str:
        """Return the code that converts an array to a tensor."""
        return f"torch.as_tensor({name})"

    def refuse(self, array: Array) -> str | None:
        """Return a remedy for sparse tensors, which are not supported."""
        if array.layout != torch.strided:
            return "sparse tensors are not taken: pass tensor.to_dense()"
        return None

    def makes(self, array: Any) -> bool:
        """Whether an array is a tensor or an instance of a subclass."""
        return isinstance(array, torch.Tensor)

    def remembers(self, kind: type) -> bool:
        """Whether a type may be cached: a compiler guards on the dictionaries that it reads."""
        plain_kind = kind in (torch.Tensor, torch.nn.Parameter)
        return plain_kind and not torch.compiler.is_compiling()

    def primitives(self, xp: Namespace) -> dict[str, Any]:
        """Return the primitives without a form in `special`; autograd handles the others."""
        return {"log_rest": lambda x: xp.logsumexp(x)[1], "shares": partial(shares, xp)}

    def overrides(self, result: str) -> dict[str, Any]:
        """Return functions that are faster in torch, or that its compiler can trace."""
        raw = self.raw

        def total(x: Array, axes: tuple[int, ...]) -> Array:
            if torch.compiler.is_compiling() or x.numel() < 4096 or not axes:
                return sum_directly(raw, x, axes)
            return _sum_of_blocks(raw, x, axes)

        def total_of_float32(x: Array, axes: tuple[int, ...]) -> Array:
            if not axes or x.device.type == "mps":
                return sum_directly(raw, x, axes)
            if torch.compiler.is_compiling():
                return x.sum(axes, keepdim=True, dtype=torch.float64).to(x.dtype)
            return _sum_in_pieces(x, axes).to(x.dtype)

        def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:  # noqa: A002
            # torch.clamp has the documented derivative at a bound, except for tensor bounds
            numbers = all(b is None or isinstance(b, (int, float)) for b in (min, max))
            return torch.clamp(x, min, max) if numbers else clip_of(raw, x, min, max)

        def bins(index: Array, weights: Array | None, size: int, /) -> Array:
            ones = torch.ones_like(index) if weights is None else weights
            return ones.new_zeros((index.shape[0], size)).scatter_add(-1, index.long(), ones)

        quotients: Any = ModuleType("isoloss.torch")
        settings = {"quotient": torch.div, "wide": not result, "result_name": result}
        quotients.__dict__.update(vars(raw), **settings)
        ratio_of = partial(log_ratio_of, quotients)

        def log_ratio(x: Array, y: Array, /) -> Array:
            """log(x / y), with the slopes of log(x) and log(y), as x / y may be out of range."""
            value = ratio_of(x.detach(), y.detach())
            slopes = torch.log(x) - torch.log(y)
            return torch.where(torch.isfinite(slopes), value + (slopes - slopes.detach()), value)

        return {
            "clip": clip,
            "bins": bins,
            "bin_max": lambda index, x, size: x.new_zeros((x.shape[0], size)).scatter_reduce(
                -1, index.long(), x, "amax"
            ),
            # to a compiler, symbols look like numbers
            "is_known": lambda size: type(size) is int and not torch.compiler.is_compiling(),
            "places": _places,
            "stop_gradient": lambda x: x.detach(),
            "take_along_axis": lambda x, indices, /, *, axis: torch.gather(x, axis, indices.long()),
            "lgamma": torch.lgamma,
            # as accurate as the formulas, including derivatives. torch's ndtr and log_ndtr are not:
            # in float32, ndtr is 0 below -10, and log_ndtr has no correct digit above 4
            "erf": torch.special.erf,
            "erfc": torch.special.erfc,
            "moveaxis": lambda x, source, destination, /: torch.movedim(x, source, destination),
            # those of array_api_compat index by masks, and look up the namespace while compiling
            "sign": torch.sign,
            "cumulative_sum": lambda x, /, *, axis: torch.cumsum(x, axis),
            **({"total": total} if result == "float64" else {}),
            **({"total": total_of_float32} if result == "float32" else {}),
            **({"log_ratio": log_ratio} if result else {}),
        }

    def value(self, metric: Metric, call: Call) -> Any:
        """Return the value of a call; losses are evaluated as a node of the graph."""
        if torch.compiler.is_compiling() or getattr(call.denominator, "requires_grad", False):
            return evaluate(metric, call)
        plan, named = self.plans.find(metric, call, _kinds, _plan_of)
        return plan.value(named, call.denominator, call.empty)

    def gathers(self, predictions: Array, targets: Array) -> list[Any]:
        """Return two tensors of numbers as NumPy arrays; an empty list for others."""
        p, t = predictions, targets
        if not (type(p) in _TENSORS and type(t) in _TENSORS and p.shape == t.shape):
            return []
        if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
            return []
        key = p.dtype, t.dtype, torch.get_default_dtype()
        if torch._C._are_functorch_transforms_active() or self._of_dtypes(p, key) is None:
            return []
        try:  # raises for devices, layouts and dtypes without a NumPy array
            numbers = [(x.detach() if x.requires_grad else x).numpy() for x in (p, t)]
        except (TypeError, RuntimeError):
            return []
        return numbers if numbers[0].size else []

    def _of_dtypes(self, predictions: Array, key: tuple[Any, ...]) -> Namespace | None:
        if key not in self.of_dtypes:
            self.of_dtypes[key] = namespace_for(self, predictions, *key[:2])
        return self.of_dtypes[key]

    def from_gathered(self, numbers: np.ndarray) -> Array:
        """Return gathered numbers as a tensor."""
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
        return _over_group(self, state, group)

    def looked_at(self, *arrays: Any) -> bool:
        """Whether a transform observes the tensors, so that passes must not write in place."""
        return _watched(*arrays)

    def is_concrete(self, array: Array) -> bool:
        """Whether the values of a tensor can be read: a compiler would break its graph."""
        return not torch.compiler.is_compiling()

    def names_states(self) -> bool:
        """Whether a state may get its own type: a compiler cannot create one."""
        return not torch.compiler.is_compiling()

    def without_graph(self) -> AbstractContextManager[Any]:
        """Return a context in which no graph is recorded."""
        return torch.no_grad()

    def chunk_arrays(self, plan: PassPlan) -> Arrays:
        """Return the operations on the tensors of a chunk, in place."""
        return _ChunkArrays(plan)

    def total_of_tokens(self, plan: PassPlan, tokens: Tokens, rows: Any) -> Array:
        """Return the total of the losses, as one node of the graph."""
        return _total_of_tokens(plan, tokens, rows)


LIBRARY = TorchLibrary


def namespace() -> Any:
    """Return the functions of the standard for tensors."""
    return array_api_compat.torch


def _sum_of_blocks(xp: Functions, x: Array, axes: tuple[int, ...]) -> Array:
    """Sum, keeping dimensions, in nested blocks: torch's sum of 1e7 numbers is 11 ULP off."""
    x, shape = rows(xp, x, axes), tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    block = 128
    while x.shape[-1] > block:
        whole = x.shape[-1] - x.shape[-1] % block
        sums = xp.sum(xp.reshape(x[..., :whole], (*x.shape[:-1], -1, block)), axis=-1)
        tail = xp.sum(x[..., whole:], axis=-1, keepdims=True)
        x = xp.concat([sums, tail], axis=-1)
    return xp.reshape(xp.sum(x, axis=-1), shape)


def _places(x: Array, /) -> Array:
    """Return 0, 1, 2, ... along the last axis; for a subclass, in that subclass."""
    if type(x) in _TENSORS:
        return torch.arange(x.shape[-1], device=x.device).expand(x.shape)
    return torch.ones_like(x, dtype=torch.int64).cumsum(-1) - 1


# --- the sum of terms as one node of the graph ---------------------------------------------------

BLOCK = 1 << 20  # numbers of a block: smaller blocks cost calls, larger ones exceed the cache
MAX_SAMPLES_FOR_KERNEL = 1 << 10  # the largest number of samples for a mean kernel of torch
MAX_LOGITS_FOR_KERNEL = 1 << 13  # the largest number of logits for such a kernel
_LEAST, _MOST = 1e-20, 1e30  # bounds of means and sums of squares without overflow or underflow
_LEAST_LOSS = 1e-7  # the least loss that is accurate as the logarithm of a probability
_LEAST_MEAN = 1e-5  # the least accurate mean of terms with errors of 4e-15
_NO_LABEL = -(1 << 60)  # an ignore_index that no label equals
_LEAST_SHARE = 1e-30  # the least probability that is accurate
_PART = 1 << 5  # the least number of entries of a row that are summed in the data's width
_FUSED = 1 << 12  # numbers that are summed in the data's width; these sums are added in float64


class EagerKernels(TorchLibrary):
    """Functions of tensors outside autograd, in the width of the data, for nodes of the graph.

    The backward pass evaluates the definition again, on a tape. Results with one number per row,
    such as a cross-entropy, are kept from the forward pass and not recomputed.
    """

    def __init__(self, raw: Functions) -> None:
        super().__init__(raw)
        self.plain = TorchLibrary(raw)
        self.rows = _RowMemory()
        self.tape = TapeLibrary(self)

    def widens(self, array: Array) -> bool:
        """Return False: arrays of the size of the data are not wider than the data."""
        return False

    def within(self, labels: Array, highest: float) -> bool:
        """Whether labels are from 0 to the highest label; checked only on a CPU."""
        if labels.device.type != "cpu" or labels.numel() == 0:
            return False
        return labels.amin().item() >= 0 and labels.amax().item() <= highest  # type: ignore[no-any-return]

    def cast(self, xp: Namespace, array: Array) -> Array:
        """Convert a tensor to the dtype of the computation, without a copy if it has this dtype."""
        return array.to(xp.computing)

    def primitives(self, xp: Namespace) -> dict[str, Any]:
        """Return the primitives; their results are kept for the backward pass."""
        functions = Library.primitives(self, xp) | {
            "label_cross_entropy": _label_cross_entropy,
            "margin": _margin,
            "cross_entropy": _cross_entropy,
            "softmax_divergence": self._softmax_divergence,
            "divergence": self._divergence,
            "logits_divergence": self._logits_divergence,
        }
        return functions | {name: self.rows.recorded(functions[name]) for name in PRIMITIVES}

    def _softmax_divergence(self, x: Array, shares: Array) -> Array:
        if x.dtype == torch.float32:
            value = _softmax_divergence(x, shares)
            if x.device.type != "cpu" or _finite(value):
                return value
        plain = self.plain.namespace(dtype_name(x.dtype), False)
        return special.softmax_divergence(plain, x, shares)

    def _divergence(self, p: Array, shares: Array) -> Array:
        if p.dtype == torch.float32:
            value = _divergence(p, shares)
            if p.device.type != "cpu" or _finite(value):
                return value
        return special.divergence(self.namespace(dtype_name(p.dtype), False), p, shares)

    def _logits_divergence(self, x: Array, y: Array, temperature: Any) -> Array:
        if x.dtype == torch.float32:
            value = _logits_divergence(x, y, temperature)
            if x.device.type != "cpu" or _finite(value):
                return value
        plain = self.plain.namespace(dtype_name(x.dtype), False)
        return special.logits_divergence(plain, x, y, temperature)

    def overrides(self, result: str) -> dict[str, Any]:
        """Return kernels of torch, fused or in place, and their derivatives."""
        rows, raw = self.rows, self.raw
        return {
            **super().overrides(result),
            "counting": torch.int64,  # required by gather and scatter
            "total": _sum_in_pieces,
            "sum": rows.recorded(_row_sum),
            "sqrt": torch.sqrt,
            "log_back": torch.div,
            "sqrt_back": lambda g, x: x.rsqrt().nan_to_num_(math.nan, 0.0).mul_(0.5 * g),
            "softplus": lambda x: torch.logaddexp(
                x, torch.zeros((), dtype=x.dtype, device=x.device)
            ),
            "softplus_back": lambda g, x: torch.sigmoid(x).mul_(g),
            "sigmoid": torch.sigmoid,
            "log_cosh": _log_cosh,
            "remembered": rows.remembered,
            "added_along_axis": lambda g, x, indices, axis: torch.zeros_like(x).scatter_add_(
                axis, indices, g
            ),
            "overlap": rows.recorded(_overlap),
            "cosine": rows.recorded(_cosine),
            "cosine_back": _cosine_back,
            "sigmoid_power": lambda x, power: torch.sigmoid(x).pow_(power),
            "unit_vector": _unit_vector,
            "unit_vector_back": _unit_vector_back,
            "euclidean_norm": rows.recorded(_euclidean_norm),
            "euclidean_norm_back": _euclidean_norm_back,
            "xlogy": torch.xlogy,
            "xlogy_back": _over,
            "xlog1py": torch.special.xlog1py,
            "xlog1py_back": lambda g, x, y: _over(g, x, 1 + y),
            "sqrt1pm1": _sqrt1pm1,
            "sqrt1pm1_back": lambda g, x: torch.atan(x).sin_().mul_(g),  # finite at infinity
            "huber": _huber,
            "huber_back": _huber_back,
            "sigmoid_cross_entropy": partial(_sigmoid_cross_entropy, raw),
            "sigmoid_cross_entropy_back": _sigmoid_cross_entropy_back,
            "binary_cross_entropy": _binary_cross_entropy,
            "binary_cross_entropy_back": _binary_cross_entropy_back,
            "label_cross_entropy_back": _label_cross_entropy_back,
            "margin_back": _margin_back,
            "cross_entropy_back": _cross_entropy_back,
            "softmax_divergence_back": _cross_entropy_back,
            "divergence_back": _divergence_back,
            "logits_divergence_back": _logits_divergence_back,
        }


class NarrowKernels(EagerKernels):
    """Functions that accept float16 and bfloat16, and return slopes of the same dtype."""

    NAMES = ("label_cross_entropy",)

    def cast(self, xp: Namespace, array: Array) -> Array:
        """Return a narrow tensor unchanged."""
        return array if array.dtype in _HALVES else super().cast(xp, array)


def _kinds(arrays: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Return shapes, dtypes and devices of tensors, on which a plan depends.

    None for tensors other than plain ones, and if a transform other than autograd is active.
    """
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return None
    if torch._C._len_torch_dispatch_stack() and any(
        getattr(mode, "_mode_key", None) is not None for mode in _get_current_dispatch_mode_stack()
    ):  # a mode of torch that traces a program
        return None
    kinds: list[Any] = [torch.get_default_dtype()]
    for x in arrays:
        if x is None:
            kinds.append(None)
        elif type(x) in _TENSORS and x.layout is torch.strided and x.device.type != "mps":
            kinds.append((x.shape, x.dtype, x.device))
        else:
            return None
    return tuple(kinds)


def _loss_under(metric: Any) -> Loss | None:
    """Return the loss inside Root, Scaled and Exp, if all hyper-parameters are numbers."""
    while True:
        for value in vars(metric).values():
            for parameter in value if isinstance(value, tuple) else (value,):
                if type(parameter) not in _NUMBERS and not isinstance(parameter, Metric):
                    return None
        if not isinstance(metric, (Root, Scaled, Exp)):
            return metric if isinstance(metric, Loss) else None
        metric = metric.metric


def _rooted(metric: Any) -> bool:
    """Whether a metric takes the root of a squared loss."""
    while isinstance(metric, (Root, Scaled, Exp)):
        if isinstance(metric, Root) and isinstance(metric.metric, SquaredLoss):
            return True
        metric = metric.metric
    return False


def _plan_of(metric: Metric, inputs: Inputs, options: Options) -> Plan:
    """Return the plan of a metric: from the sum of terms if the metric is a loss."""
    loss = _loss_under(metric)
    eager = _kinds(tuple(inputs.arrays.values())) is not None
    if loss is None or not eager or 0 in inputs.shape:
        return Plan(metric, inputs, options)
    single = inputs.xp.result_name == "float32"
    predictions = [inputs.arrays[name] for name in inputs.names[0]]
    fits = (
        all(isinstance(values, Interval) for values in loss.domain.of_predictions)
        and all(x.is_floating_point() for x in predictions)
        and (metric is loss or options.reduction != "none")
        and (loss.padding is None or "where" not in inputs.arrays)
        # otherwise the squares may overflow or underflow in the dtype of their sum
        and (not _rooted(metric) or (single and inputs.unweighted))
    )
    return _LossPlan(metric, loss, inputs, options) if fits else Plan(metric, inputs, options)


class _LossPlan(Plan):
    """The evaluation of a loss for arrays of given shapes and dtypes, as a node."""

    def __init__(self, metric: Metric, loss: Loss, inputs: Inputs, options: Options) -> None:
        super().__init__(metric, inputs, options)
        library: Any = inputs.library
        device = inputs.arrays[inputs.data[0]].device.type
        self.on_cpu = device == "cpu"
        self.device, self.casts = device, torch.amp.is_autocast_available(device)
        self.largest = max([x.numel() for x in inputs.arrays.values()])
        inputs_given = inputs.arrays
        self.loss = loss
        self.predictions = inputs.names[0]
        self.xp, reduction = inputs.xp, options.reduction
        axes = () if reduction == "none" else inputs.axes
        # whether a sum of squares is computed from the residuals
        single = self.xp.result is torch.float32
        squares = isinstance(loss, SquaredLoss) and reduction != "none"
        unweighted = len(self.array_names) == len(inputs.data) and not inputs.weighs
        self.squares = squares and single and unweighted
        self.kernel = _kernel_of(loss, self.squares)
        narrow = self.kernel is not None and self.kernel.name in NarrowKernels.NAMES
        self.kernels = library.narrow_kernels if narrow else library.kernels
        self.node_inputs = inputs = inputs.with_arrays({}, axes=axes)  # in the data's width
        inputs.library, inputs.xp = self.kernels, self.kernels.namespace(self.xp.result_name, False)
        self.tape_xp = self.kernels.tape.namespace(self.xp.result_name, False)
        self.whole = len(axes) == len(inputs.shape)
        self.size = math.prod([inputs.shape[axis] for axis in axes])
        self.filled = 1 if inputs.weighs else 0
        self.recorded = True  # whether the tape supports the definition
        domain = (*loss.domain.of_predictions, *loss.domain.of_targets)
        self.bounded = tuple(
            (k, values)
            for k, values in enumerate(domain)
            if isinstance(values, Interval) and values.bounded
        )
        # whether a batch is the arrays unchanged; masked samples may be outside a domain
        unsure = "where" in self.array_names and (self.bounded or inputs.highest)
        self.plain = not (inputs.weighs or inputs.scores or unsure)
        # whether the node divides the sum, by the number of samples or by the sum of the weights
        self.mean = metric is loss and reduction == "mean" and not options.divided
        self.summed = metric is loss and reduction != "mean"
        self.dtype = self.xp.result if self.mean or self.summed else torch.float64
        few = (
            self.on_cpu
            and self.whole
            and self.size <= MAX_SAMPLES_FOR_KERNEL
            and self.largest <= MAX_LOGITS_FOR_KERNEL
        )
        kinds = {name: x.dtype for name, x in inputs_given.items() if name not in inputs.highest}
        alike = all(kind is torch.float32 for kind in kinds.values())
        fits = few and alike and unweighted and self.mean
        self.by_torch: Any = _mean_by_torch(self.kernel, bool(self.bounded)) if fits else None
        self.double = self.on_cpu and not single  # the mean may be finite if the sum is not

    def value(self, arrays: dict[str, Array], denominator: Any, empty: Any) -> Any:
        """Return the value from the sum of the terms."""
        predictions = [arrays[name] for name in self.predictions]
        graph = False
        for name, x in arrays.items():
            if x.requires_grad:
                if name not in self.predictions:
                    return super().value(arrays, denominator, empty)
                graph = torch.is_grad_enabled()
        if type(empty) is not float and not is_float(empty):
            return super().value(arrays, denominator, empty)  # raises
        if self.by_torch is not None:
            function, slope = self.by_torch
            if graph and slope is not None:
                mean = MeanByTorch.apply(self, *arrays.values())
            else:
                mean = function(*arrays.values())
            if mean is not None:
                return self._with_kept_axes(mean)
        if graph:
            total, weight = SumOfTerms.apply(self, arrays, empty, *predictions)
        else:
            total, weight, _ = _total(self, arrays)
            total = self.divided(total, weight, empty)
        if self.double and not _finite(total) and (weight is None or bool(weight.all())):
            return super().value(arrays, denominator, empty)
        if not (self.mean or self.summed):
            total = self._from_state(total, weight, denominator, empty)
        return self._with_kept_axes(total)

    def _with_kept_axes(self, value: Array) -> Array:
        for axis in self.kept_axes:
            value = value.unsqueeze(axis)
        return value

    def divided(self, total: Array, weight: Array | None, empty: float) -> Array:
        """Return the mean or the sum, in the dtype of the result of the node."""
        if not self.mean:
            return total if total.dtype is self.dtype else total.to(self.dtype)
        if weight is None:
            return (total / self.size).to(self.dtype)
        value = total / weight
        if weight.device.type != "cpu" or not bool(weight.all()):
            value = torch.where(weight == 0, empty, value)
        return value.to(self.dtype)

    def divisor(self, weight: Array | None) -> Any:
        """Return the divisor of the slopes, or None; it is inf if no sample counts."""
        if not self.mean:
            return None
        return self.size if weight is None else torch.where(weight == 0, math.inf, weight)

    def _from_state(
        self, total: Array, weight: Array | None, denominator: Any, empty: float
    ) -> Array:
        """Return the value of a state, as a function that autograd differentiates."""
        zero = torch.zeros_like(total, dtype=self.xp.result)
        if weight is None:
            weight = torch.full_like(total, self.size, requires_grad=False)
        state = Mean(Total(total, zero), Total(weight.to(torch.float64), zero))
        if self.options.reduction == "sum":
            return self.metric.sum(state).to(self.xp.result)
        return self.metric.value(self.xp, state, denominator, empty).to(self.xp.result)

    def blocks(self, arrays: dict[str, Array]) -> Sequence[_Block]:
        """Return the samples in blocks; a single block for few samples, or not on a CPU."""
        shape, axes, largest = self.node_inputs.shape, self.node_inputs.axes, self.largest
        if largest <= 2 * BLOCK or not (self.whole and self.on_cpu):
            return (_Block(arrays, shape, axes, ()),)
        ndim = len(shape)
        if ndim > 1 and all(x.is_contiguous() for x in arrays.values()):
            count = math.prod(shape)
            arrays = {name: x.reshape(count, *x.shape[ndim:]) for name, x in arrays.items()}
            shape, axes = (count,), (0,)
        size = max(1, BLOCK * shape[0] // largest)
        starts = range(0, shape[0], size)
        return [_Block(arrays, shape, axes, (slice(start, start + size),)) for start in starts]

    def batch(self, block: _Block, known: bool = False) -> Batch:
        """Return the samples of a block, in the dtype of the computation.

        ``known`` means that the labels were checked before and are valid.
        """
        arrays, shape, axes, index = block
        inputs = self.node_inputs
        chosen = {name: x[index] if index else x for name, x in arrays.items()}
        labels, xp, loss = inputs.highest, inputs.xp, self.loss
        for name, x in chosen.items() if self.plain else ():
            dtype = xp.counting if name in labels else xp.computing
            if x.dtype is not dtype and name != "where":
                chosen[name] = x.to(dtype) if name in labels else self.kernels.cast(xp, x)
        if not self.plain or not (
            known or all(self.kernels.within(chosen[name], labels[name]) for name in labels)
        ):
            return inputs.with_arrays(arrays, shape, axes).batch(index, filled=self.filled)
        mask = chosen.pop("where", None)
        weights = chosen.pop("weights", None)
        if weights is not None and mask is not None:
            weights = _where(mask, weights)
        elif weights is not None and not self.on_cpu:
            mask = weights != 0  # on a CPU, only if a term is not finite
        sides = tuple(chosen.values())
        if index:
            shape = (sides[0].shape[0], *shape[1:])
        count = len(self.predictions)
        p, t = sides[:count], sides[count:]
        p, t = p if loss.prediction_names else p[0], t if loss.target_names else t[0]
        return Batch(loss, xp, p, t, weights, mask, shape, axes)


class _Stand:
    """A placeholder for an array, to find the function that a definition calls."""

    def __sub__(self, other: Any) -> _Kernel:
        return _Kernel("difference", (self, other))


class _Applied:
    """A namespace that records the function that is called."""

    def __getattr__(self, name: str) -> Callable[..., _Kernel]:
        def call(*arguments: Any) -> _Kernel:
            if name == "abs" and getattr(arguments[0], "name", None) == "difference":
                return _Kernel("absolute_difference", arguments[0].arguments)
            return _Kernel(name, arguments)

        return call


class _Kernel(NamedTuple):
    """A loss that is a single function of predictions, targets and numbers, with its slope."""

    name: str
    arguments: tuple[Any, ...]

    def slope(self, xp: Namespace, g: Array, x: Array, y: Array, kept: list[Any]) -> Array:
        """Return g times the derivative by predictions; of a residual, that of its square."""
        if self.name == "difference":
            return torch.ops.aten.mse_loss_backward(g, x, y, 0)
        if self.name == "absolute_difference":
            return (x - y).sign_().mul_(g)
        pulled, parameters = getattr(xp, f"{self.name}_back"), self.arguments[2:]
        if self.name not in (*PRIMITIVES, "cosine"):
            return pulled(g, x, y, *parameters)
        value = kept[0] if kept else None
        if value is None:
            value = getattr(xp, self.name)(x, y, *parameters)
        return pulled(g, x, y, *parameters, value)


def _mean_by_torch(kernel: _Kernel | None, bounded: bool) -> tuple[Any, Any] | None:
    """Return torch's function for a mean, and a slope if torch's second derivative is wrong.

    The mean is computed in float64: in float32, a sum of 30 numbers is 3 ULP off, one of 1000 is 6.
    """
    if kernel is None:
        return None
    if kernel.name == "sigmoid_cross_entropy":
        return (
            _sigmoid_cross_entropy_by_torch,
            lambda g, x, y: _sigmoid_cross_entropy_back(g / x.numel(), x, y),
        )
    if bounded:  # the other functions do not check the domain
        return None
    if kernel.name == "difference":
        return lambda x, y: _KERNELS_OF_TORCH.mse_loss(x.double(), y.double(), 1).float(), None
    if kernel.name == "absolute_difference":
        return (
            lambda x, y: (x.double() - y).abs_().mean().float(),
            lambda g, x, y: (x - y).sign_().mul_(g / x.numel()),
        )
    if kernel.name == "label_cross_entropy":
        return _cross_entropy_by_torch, None
    if kernel.name == "huber":
        delta, factor = (*map(float, kernel.arguments[2:]), 1.0)[:2]
        return (
            lambda x, y: _huber(x.double(), y.double(), delta, factor, reduction=1).float(),
            lambda g, x, y: _huber_back(g / x.numel(), x, y, delta, factor),
        )
    return None


def _cross_entropy_by_torch(x: Array, labels: Array) -> Array | None:
    """Return a mean that is accurate in float64; None if it is not, or for invalid labels.

    The terms and the slopes have errors of 1e-16; therefore every term must exceed `_LEAST_LOSS`.
    """
    x, labels = x.reshape(-1, x.shape[-1]).double(), labels.reshape(-1).long()
    try:
        if not x.requires_grad:
            mean = _KERNELS_OF_TORCH.cross_entropy_loss(x, labels, None, 1, _NO_LABEL, 0.0)
            return mean.float() if _LEAST_LOSS < mean.item() < math.inf else None
        terms = _KERNELS_OF_TORCH.cross_entropy_loss(x, labels, None, 0, _NO_LABEL, 0.0)
    except IndexError:
        return None
    mean = terms.mean()
    accurate = terms.detach().amin().item() > _LEAST_LOSS and mean.item() < math.inf
    return mean.float() if accurate else None


def _sigmoid_cross_entropy_by_torch(x: Array, yes: Array) -> Array | None:
    """Return a mean that is accurate in float64; None if it is not, or for invalid labels."""
    least, most = torch.aminmax(yes)
    if not 0 <= least.item() <= most.item() <= 1:
        return None
    mean = _MEAN_OF_LOGITS(x.double(), yes.double(), None, None, 1)
    return mean.float() if _LEAST_MEAN < mean.item() < math.inf else None


class MeanByTorch(torch.autograd.Function):
    """A mean by a kernel of torch, with its slope by another kernel."""

    @staticmethod
    def forward(ctx: Any, step: _LossPlan, *arrays: Array) -> Array:
        ctx.step = step
        ctx.save_for_backward(*arrays)
        return step.by_torch[0](*arrays)

    @staticmethod
    def backward(ctx: Any, *of_results: Array) -> tuple[Any, ...]:
        step, arrays, (incoming,) = ctx.step, ctx.saved_tensors, of_results
        if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
            named = dict(zip(step.array_names, arrays, strict=True))
            return None, *_again(step, named, incoming / step.size), None
        return None, step.by_torch[1](incoming, *arrays), None


def _kernel_of(loss: Loss, squares: bool) -> _Kernel | None:
    """Return the function that a loss consists of, if it has a slope in `_KERNELS`."""
    x, y = _Stand(), _Stand()
    arguments: Any = _Applied(), x, y
    try:
        kernel = loss.residual(*arguments) if squares else loss.pointwise(*arguments)  # type: ignore[attr-defined]
    except Exception:  # it does more than call one function
        return None
    if not isinstance(kernel, _Kernel) or kernel.arguments[:2] != (x, y):
        return None
    names = (*_KERNELS, "difference") if squares else _KERNELS
    numbers = all(type(number) in _NUMBERS for number in kernel.arguments[2:])
    return kernel if numbers and kernel.name in names else None


# The functions with a slope function that takes the same arguments.
_KERNELS = ("huber", "sigmoid_cross_entropy", "binary_cross_entropy", "label_cross_entropy",
            "cross_entropy", "softmax_divergence", "divergence", "logits_divergence", "cosine",
            "absolute_difference")  # fmt: skip


class _Block(NamedTuple):
    """Arrays of samples, their shape and reduced axes, and the index of the block."""

    arrays: dict[str, Array]
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    place: tuple[slice, ...]


class _RowMemory(threading.local):
    """Results of functions of rows in the forward pass, in the order of their calls."""

    def __init__(self) -> None:
        self.results: list[Array] | None = None
        self.replay: Iterator[Array] | None = None

    def recorded(self, function: Callable[..., Array]) -> Callable[..., Array]:
        """Return a function whose results are recorded while a node of the graph is made."""

        def call(*arguments: Any, **named: Any) -> Array:
            results, self.results = self.results, None  # nested calls are not recorded
            try:
                result = function(*arguments, **named)
            finally:
                self.results = results
            if results is not None:
                small = result.numel() * 8 <= arguments[0].numel()
                results.append(result if small else None)
            return result

        return call

    def remembered(self, evaluate: Callable[[], Array]) -> Array:
        """Return the recorded result, or evaluate the function."""
        result = None if self.replay is None else next(self.replay)
        return evaluate() if result is None else result


def _row_sum(x: Array, /, *, axis: Any = None, keepdims: bool = False) -> Array:
    """Sum in float64 and round once, because roundings over many classes would add up."""
    if axis == ():
        return x
    axes = tuple(range(x.ndim)) if axis is None else axis
    if not x.is_floating_point():
        return x.sum(axes, keepdim=keepdims)
    last = axes in (-1, (-1,), x.ndim - 1, (x.ndim - 1,))
    if last and x.dtype == torch.float32:
        return _sum_of_last(x, keepdims).to(x.dtype)
    return x.sum(axes, keepdim=keepdims, dtype=torch.float64).to(x.dtype)


def _sum_of_last(x: Array, keepdims: bool = False) -> Array:
    """Sum rows of float32 in float64; on a CPU, sum parts in float32 first.

    On a CPU, a sum in float64 allocates a float64 copy of its input.
    """
    if x.device.type != "cpu":
        return x.sum(-1, keepdim=keepdims, dtype=torch.float64)
    part = max(_PART, 1 << (x.shape[-1].bit_length() // 2))  # about as many entries as parts
    whole = x.shape[-1] // part * part
    if whole < 4 * part:
        return x.sum(-1, keepdim=keepdims, dtype=torch.float64)
    parts = x[..., :whole].unflatten(-1, (-1, part)).sum(-1)
    total = parts.sum(-1, keepdim=keepdims, dtype=torch.float64)
    if whole < x.shape[-1]:
        total += x[..., whole:].sum(-1, keepdim=keepdims, dtype=torch.float64)
    return total


def _sum_in_pieces(x: Array, axes: tuple[int, ...]) -> Array:
    """Sum pieces in the width of the data, and add these sums in float64."""
    if not axes:
        return x.to(torch.float64)
    if x.dtype == torch.float64 and x.numel() > _FUSED:
        return _sum_of_blocks(array_api_compat.torch, x, axes)
    if x.numel() <= _FUSED:
        return x.sum(axes, keepdim=True, dtype=torch.float64)
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    if len(axes) == x.ndim:
        return _sum_of_all(x.reshape(-1)).reshape(shape)
    flat = rows(array_api_compat.torch, x, axes)
    whole = flat.shape[-1] // _FUSED * _FUSED
    sums = flat[..., whole:].sum(-1, dtype=torch.float64)
    if whole:
        pieces = flat[..., :whole].reshape(*flat.shape[:-1], -1, _FUSED).sum(-1)
        sums = sums + pieces.sum(-1, dtype=torch.float64)
    return sums.reshape(shape)


def _sum_of_all(x: Array) -> Array:
    """Sum a row of more than `_FUSED` numbers."""
    whole = len(x) // _FUSED * _FUSED
    total = x[:whole].view(-1, _FUSED).sum(-1).sum(dtype=torch.float64)
    return total.add_(x[whole:].sum(dtype=torch.float64)) if whole < len(x) else total


def _log_cosh(x: Array) -> Array:
    """``log(cosh(x))``, as ``log1p(2 sinh(x / 2)^2)`` up to 20, and linear beyond.

    The square doubles relative errors. On a CPU, where blocks fit the cache, float64 is used.
    """
    wide = x.to(torch.float64) if x.device.type == "cpu" else x
    near = wide.clamp(-20.0, 20.0)
    beyond = (wide - near).abs_()
    half = near.mul_(0.5).sinh_()
    return half.mul_(half).mul_(2.0).log1p_().add_(beyond).to(x.dtype)


def _finite(x: Array) -> bool:
    """Whether the sum of a tensor on a CPU is finite."""
    return math.isfinite(x.sum().item())


def _usual(highest: Array) -> bool:
    """Whether the maxima of all rows are finite; False if the check would synchronise."""
    return highest.device.type == "cpu" and _finite(highest)


def _rest(x: Array, highest: Array, usual: bool) -> Array:
    """Return ``sum(exp(x - highest)) - 1`` per row, accurately; 0 for an infinite maximum."""
    e = (x - highest).exp_()
    total = e.sum(-1, keepdim=True)
    remainder = e.frac_().sum(-1, keepdim=True)  # without the ones, which are the maxima
    remainder = total.sub_(remainder).round_().sub_(1).add_(remainder)
    return remainder if usual else torch.where(highest.isinf(), 0.0, remainder)


def _binary_cross_entropy(p: Array, yes: Array, no: Array | None = None) -> Array:
    """Return ``-yes log(p) - no log(1 - p)``; torch's kernel clamps at 100."""
    if no is None and p.device.type == "cpu" and p.numel():
        (low, high), (least, most) = (map(float, torch.aminmax(x)) for x in (p, yes))
        if torch.finfo(p.dtype).tiny < low and high < 1 and least >= 0 and most <= 1:
            return torch.ops.aten.binary_cross_entropy(p, yes, None, 0)
    against = yes - 1 if no is None else -no
    return torch.special.xlog1py(against, -p).sub_(torch.xlogy(yes, p))


def _binary_cross_entropy_back(g: Array, p: Array, yes: Array, no: Array | None = None) -> Array:
    if no is not None:
        return _over(g, no, 1 - p).sub_(_over(g, yes, p))
    slope = torch.ops.aten.logit_backward(p - yes, p)  # (p - yes) / (p (1 - p))
    if p.device.type != "cpu" or not _finite(slope):  # nan where both are 0 or both are 1
        slope = torch.where(slope.isnan(), torch.rsub(p, 1, alpha=2), slope)
    return slope.mul_(g)


def _ahead_and_rest(x: Array, labels: Array) -> tuple[Array, Array]:
    """Return the maximum minus the logit of the label, and ``sum(exp(x - maximum)) - 1``.

    The sum excludes the exponential of the label, so that it is accurate if the label has the
    maximum.
    """
    dtype, index = _computed_in(x), labels.unsqueeze(-1)
    highest, at_label = x.amax(-1, keepdim=True).to(dtype), x.gather(-1, index).to(dtype)
    # an infinite logit of the label has loss 0 if it is the only infinite logit
    ahead, usual = highest - at_label, _usual(highest)
    if not usual and highest.device.type == "cpu":
        only_label = (at_label == math.inf) & ((x == math.inf).sum(-1, keepdim=True) == 1)
        ahead = torch.where(only_label, 0.0, ahead)
    others = (x - highest).exp_().scatter_(-1, index, 0.0).sum(-1, keepdim=True)
    rest = others.add_(torch.expm1(-ahead))
    if not usual:
        rest = torch.where(highest.isinf(), 0.0, rest)
    return ahead.squeeze(-1), rest.squeeze(-1)


def _label_cross_entropy(x: Array, labels: Array) -> Array:
    # torch's softmax is slow along a short, contiguous last axis
    short = x.shape[-1] < 16 and x.is_contiguous()
    if x.device.type == "cpu" and x.numel() and not short:
        value = _by_shares(x, labels)
        if value is not None:
            return value
    ahead, rest = _ahead_and_rest(x, labels)
    return ahead.add_(rest.log1p_())


def _by_shares(x: Array, labels: Array) -> Array | None:
    """Return ``log(1 + others / own)`` of probabilities; their normalisation cancels.

    None if the probability of a label is nearly 0 or nan.
    """
    p, index = _softmax(x), labels.unsqueeze(-1)
    own = p.gather(-1, index)
    if not own.amin().item() > _LEAST_SHARE:  # nan too
        return None
    return p.scatter_(-1, index, 0.0).sum(-1, keepdim=True).div_(own).log1p_().squeeze(-1)


def _computed_in(x: Array) -> Any:
    """Return the dtype in which the softmax is computed."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _softmax(x: Array) -> Array:
    """Return the softmax with the memory layout of the logits, also if an axis was moved last."""
    if not x.is_contiguous():
        for axis in range(x.ndim - 1):
            as_it_was = x.movedim(-1, axis)
            if as_it_was.is_contiguous():
                return _softmax_along(as_it_was, axis).movedim(axis, -1)
    return _softmax_along(x, -1)


def _softmax_along(x: Array, axis: int) -> Array:
    kind = _computed_in(x)
    if x.dtype is kind:
        return torch.softmax(x, axis)
    wide = x.to(kind)
    return torch.softmax(wide, axis, out=wide)  # in the same memory


def _probabilities(x: Array) -> Array:
    """Return the softmax; 0 in rows with an infinite logit, whose slope is 0."""
    p = _softmax(x)
    if x.device.type == "cpu" and not _finite(p[..., 0]):
        p = torch.where((x == math.inf).any(-1, keepdim=True), 0.0, p)
    return p


def _label_cross_entropy_back(g: Array, x: Array, labels: Array, value: Array) -> Array:
    """Return the softmax, minus 1 at the label, accurately from the loss of the label."""
    p = _probabilities(x)
    g = g.to(p.dtype)
    label_slope, g = torch.expm1(-value).mul_(g).to(x.dtype), g.unsqueeze(-1)
    narrow = x.dtype is not p.dtype
    slope = torch.mul(p, g, out=torch.empty_like(x)) if narrow else p.mul_(g)
    return slope.scatter_(-1, labels.unsqueeze(-1), label_slope.unsqueeze(-1))


def _margin(x: Array, labels: Array) -> Array:
    """Return the margin in float64; its softplus is the cross-entropy."""
    ahead, rest = (part.to(torch.float64) for part in _ahead_and_rest(x, labels))
    loss = ahead + rest.log1p()
    return torch.expm1(-loss).neg_().log_().add_(loss)


def _margin_back(g: Array, x: Array, labels: Array, value: Array) -> Array:
    """Return the softmax over the other classes, and -1 at the label."""
    together = torch.sigmoid(value)
    over = torch.where(together == 0, 0.0, g / together)
    slope = _probabilities(x).mul_(over.to(x.dtype).unsqueeze(-1))
    return slope.scatter_(-1, labels.unsqueeze(-1), -g.to(x.dtype).unsqueeze(-1))


def _cross_entropy(x: Array, shares: Array) -> Array:
    highest = x.amax(-1, keepdim=True)
    usual = _usual(highest)
    rest = _rest(x, highest, usual).log1p_().squeeze(-1)
    below = x - highest
    if x.device.type != "cpu":
        below = below.masked_fill_(shares == 0, 0.0)
    elif not _finite(below):
        hidden = (shares == 0) & ~torch.isfinite(below)
        if not usual:
            infinite = x == math.inf
            hidden |= infinite & (infinite.sum(-1, keepdim=True) == 1)
        below = below.masked_fill_(hidden, 0.0)
    return shares.sum(-1) * rest - below.mul_(shares).sum(-1)


def _cross_entropy_back(g: Array, x: Array, shares: Array, value: Array) -> Array:
    g = g.to(x.dtype).unsqueeze(-1)
    slope = _probabilities(x).mul_(shares.sum(-1, keepdim=True) * g)
    return slope.addcmul_(shares, g, value=-1)


def _scaled(x: Array) -> tuple[Array, Array, Array]:
    """Return scaled rows, the scale, and the norms of the scaled rows.

    The squares of float32 are summed in float64. Rows of float64 are scaled to a size near 1.
    """
    scale = torch.ones((), dtype=x.dtype, device=x.device)
    if x.dtype == torch.float64:
        exponent = torch.frexp(x.abs().amax(-1, keepdim=True)).exponent
        scale = torch.ldexp(scale.expand(exponent.shape), -exponent.clamp(-1000, 1000))
        x = x * scale
    norm = torch.linalg.vector_norm(x, 2, -1, keepdim=True, dtype=torch.float64).to(x.dtype)
    return x, scale, norm


def _unit_vector(x: Array) -> Array:
    """Divide by the norm; the zero vector is unchanged."""
    x, _, norm = _scaled(x)
    return x / torch.where(norm == 0, 1.0, norm)


def _unit_vector_back(g: Array, x: Array, unit: Array) -> Array:
    _, scale, norm = _scaled(x)
    along = (g * unit).sum(-1, keepdim=True)
    over = torch.where(norm == 0, 0.0, scale / norm)
    return torch.addcmul(g.expand(x.shape), unit, along, value=-1).mul_(over)


def _products(x: Array, y: Array) -> tuple[Array, Array, Array] | None:
    """Return the inner products xy, xx and yy of rows; None if squares are out of range.

    Also None if the check would synchronise with a device.
    """
    if x.device.type != "cpu":
        return None
    xy, xx, yy = (_row_sum(a * b, axis=-1) for a, b in ((x, y), (x, x), (y, y)))
    low, high = (1e-20, 1e30) if x.dtype == torch.float32 else (1e-200, 1e200)
    squares = torch.stack([xx, yy])
    if squares.numel() and not low < squares.min().item() <= squares.max().item() < high:
        return None
    return xy, xx, yy


def _cosine(x: Array, y: Array) -> Array:
    """Return the cosine between rows; without unit vectors if squares are in range."""
    products = _products(x, y)
    if products is None:
        return _row_sum(_unit_vector(x) * _unit_vector(y), axis=-1)
    xy, xx, yy = products
    return xy / (xx.sqrt() * yy.sqrt())


def _cosine_back(g: Array, x: Array, y: Array, value: Array) -> Array:
    g, products = g.unsqueeze(-1), _products(x, y)
    if products is None:
        return _unit_vector_back(g * _unit_vector(y), x, _unit_vector(x))
    _, xx, yy = (product.unsqueeze(-1) for product in products)
    slope = y * (g / (xx.sqrt() * yy.sqrt()))
    return slope.addcmul_(x, g * value.unsqueeze(-1) / xx, value=-1)


def _euclidean_norm(x: Array) -> Array:
    """Return the norm, in float64 on a CPU and for long rows, where this is cheap."""
    if x.dtype == torch.float32 and (x.device.type == "cpu" or x.shape[-1] >= 8):
        return torch.linalg.vector_norm(x, 2, -1, dtype=torch.float64)
    _, scale, norm = _scaled(x)
    return (norm / scale).squeeze(-1)


def _euclidean_norm_back(g: Array, x: Array, value: Array) -> Array:
    value = torch.where(value == 0, 1.0, value).to(x.dtype).unsqueeze(-1)
    return (x / value).mul_(g.to(x.dtype).unsqueeze(-1))


def _overlap(x: Array, y: Array) -> Array:
    both, alone = _row_sum(x * y, axis=-1), _row_sum(torch.lerp(y, 1 - y, x), axis=-1)
    return torch.stack([both, alone], -1)


def _sqrt1pm1(x: Array) -> Array:
    one = torch.ones((), dtype=x.dtype, device=x.device)
    value = (x / torch.hypot(x, one).add_(1)).mul_(x)
    if x.device.type == "cpu" and _finite(value):
        return value
    return torch.where(x.isinf(), x.abs(), value)


def _over(g: Array, x: Array, y: Array) -> Array:
    """Return g x / y; 0 where x is 0, for any y."""
    slope = (x / y).mul_(g)
    if x.device.type == "cpu" and _finite(slope):
        return slope
    return slope.masked_fill_(x == 0, 0.0)


def _huber(x: Array, y: Array, delta: Any, factor: Any = 1.0, reduction: int = 0) -> Array:
    value = _KERNELS_OF_TORCH.huber_loss(x, y, reduction, float(delta))
    return value if factor == 1 else value.mul_(factor)


def _huber_back(g: Array, x: Array, y: Array, delta: Any, factor: Any = 1.0) -> Array:
    g = g if factor == 1 else g * factor
    return torch.ops.aten.huber_loss_backward(g, x, y, 0, float(delta))


def _hard(yes: Array, no: Array | None) -> bool:
    """Whether all targets are 0 or 1; False if the check would synchronise."""
    return no is None and yes.device.type == "cpu" and not bool(yes.frac().sum())


def _softplus(x: Array) -> Array:
    """Return ``log(1 + exp(x))``; above the threshold, it rounds to x."""
    return torch.nn.functional.softplus(x, threshold=40.0)


def _turned(x: Array, yes: Array) -> Array:
    """Return x where the target is 0, and -x where it is 1."""
    return torch.addcmul(x, x, yes, value=-2)


def _sigmoid_cross_entropy(xp: Functions, x: Array, yes: Array, no: Array | None = None) -> Array:
    """Return ``yes softplus(-x) + no softplus(x)``; infinite logits use the general form."""
    if x.device.type == "cpu":
        if _hard(yes, no):
            value = _softplus(_turned(x, yes))
        else:  # a single exponential, which costs more than passes in the cache
            above = x.clamp(min=0)
            tail = x.abs().neg_().exp_().log1p_()
            below = above - x
            if no is None:
                value = torch.lerp(above, below, yes).add_(tail)
            else:
                value = above.mul_(no).addcmul_(below, yes).addcmul_(tail, yes + no)
        finite = _finite(value)
        return value if finite else special.sigmoid_cross_entropy(xp, x, yes, no)
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    value, other = torch.logaddexp(x, zero), torch.logaddexp(-x, zero)
    return torch.lerp(value, other, yes) if no is None else value.mul_(no).addcmul_(other, yes)


def _sigmoid_cross_entropy_back(g: Array, x: Array, yes: Array, no: Array | None = None) -> Array:
    if _hard(yes, no):
        share = _turned(x, yes).sigmoid_()
        if _finite(share):
            return torch.addcmul(share, share, yes, value=-2).mul_(g)
    positive = torch.sigmoid(x)
    if x.device.type == "cpu":
        negative = (-x).sigmoid_().neg_()  # accurate if it is small
    else:
        negative = torch.nn.functional.logsigmoid(x).expm1_()
    slope = (
        torch.lerp(positive, negative, yes)
        if no is None
        else positive.mul_(no).addcmul_(negative, yes)
    )
    return slope.mul_(g)


def _softmax_divergence(x: Array, shares: Array) -> Array:
    """Sum ``t (l + expm1(-l))`` for l = log(t / p), which is t l - t + p, and correct the sum.

    The error of a small l enters squared, so that l need not be accurate for p near 1.
    """
    below = x - x.amax(-1, keepdim=True)
    whole = _sum_of_last(below.exp(), keepdims=True)
    log_p = below.sub_(whole.log_().to(x.dtype))
    ratio = shares.log().sub_(log_p)
    terms = (-ratio).expm1_().add_(ratio).mul_(shares)
    terms = torch.where(shares == 0, log_p.exp_(), terms)
    missing = _sum_of_last(shares) - 1  # minus the sum of p
    return (_sum_of_last(terms) + missing).to(x.dtype)


# artanh(s) / s^3 - 1 / s^2 is approximated by ``b + c / (1 - a s^2)`` up to s = 1/3. The relative
# error of the divergence is at most 9e-8. Fitted to values of mpmath, minimising the error times s.
_ARTANH = (0.72353545, 0.05706515, 0.27626979)


def _artanh_tail(square: Array) -> Array:
    """Return ``artanh(s) / s - 1`` for a square s^2 up to 1 / 9."""
    pole, *rest = _ARTANH
    constant, factor = (torch.full((), x, dtype=square.dtype, device=square.device) for x in rest)
    over = torch.rsub(square, 1, alpha=pole)
    return torch.addcdiv(constant, factor, over).mul_(square)


def _divergence(p: Array, shares: Array) -> Array:
    """Sum ``t log(t / p)``; near p, with the form of `special.divergence`.

    Farther from p, rounding of the logarithms matters. On a CPU they are computed in float64.
    """
    if p.device.type == "cpu":
        p, shares = p.to(torch.float64), shares.to(torch.float64)
    ratio = shares / p  # nan only where both are 0, where the term is 0
    terms = torch.xlogy(shares, ratio)
    difference = shares - p
    s = difference / (shares + p)
    square = s.square()
    near = square < 1 / 9
    close = torch.addcmul(difference, shares, _artanh_tail(square), value=2).mul_(s)
    terms = torch.where(near, close, terms).nansum(-1, dtype=torch.float64)
    return terms.add_((difference * near).sum(-1, dtype=torch.float64)).to(torch.float32)


def _divergence_back(g: Array, p: Array, shares: Array, value: Array) -> Array:
    slope = (shares / p).nan_to_num_(0.0, 0.0, 0.0)  # 0 where p is 0
    return slope.mul_(-g.to(p.dtype).unsqueeze(-1))


def _softened(x: Array, temperature: Any) -> Array:
    return torch.softmax(x if temperature == 1 else x / temperature, -1)


class _Halves(NamedTuple):
    """Two softmaxes p and q, and half of the difference of their logits, centred under q."""

    p: Array
    q: Array
    half: Array
    mean: Array  # the mean that was subtracted last


def _halves(x: Array, y: Array, temperature: Any) -> _Halves:
    """Return the terms that compare two softmaxes; a class with q = 0 < p gets a large half.

    On a CPU, all arrays are in float64.
    """
    if x.device.type == "cpu":
        x, y = x.to(torch.float64), y.to(torch.float64)
    p, q = _softened(x, temperature), _softened(y, temperature)
    # subtract an estimate of the mean first, so that the mean of the remainder is accurate
    highest = x.amax(-1, keepdim=True) - y.amax(-1, keepdim=True)
    half = (x - y).sub_(highest).mul_(0.5 / temperature).clamp_(max=1e30)
    mean = (q * half).nansum(-1, keepdim=True, dtype=torch.float64).to(x.dtype)
    return _Halves(p, q, half.sub_(mean), mean)


def _logits_divergence(x: Array, y: Array, temperature: Any) -> Array:
    """Sum ``p - q - q r`` for ``p = q exp(r)``, where r is twice the half minus the divergence.

    The divergence in r may be approximate, because its error hardly changes the sum. It is computed
    from the logarithms of the largest probabilities, or, if these cancel, as the mean of r^2 / 2.
    """
    p, q, half, mean = _halves(x, y, temperature)
    spread = half.square().mul_(q).nansum(-1, keepdim=True, dtype=torch.float64).mul_(2)
    tops = (q.amax(-1, keepdim=True) / p.amax(-1, keepdim=True)).to(torch.float64).log_()
    divergence = tops - 2 * mean
    cancels = (divergence - spread).abs_() < 8 * torch.finfo(p.dtype).eps
    divergence = torch.where(cancels, spread, divergence).to(p.dtype)
    half = half.sub_(0.5 * divergence)
    share = half.tanh()  # (p - q) / (p + q)
    square = share.square()
    near = square < 1 / 9
    far = torch.addcmul(p - q, q, half, value=-2)
    close = torch.addcmul((p + q).mul_(square), share.mul_(q), _artanh_tail(square), value=-2)
    value = torch.where(near, close, far).nansum(-1, dtype=torch.float64)
    value = torch.where(divergence.isinf().squeeze(-1), math.inf, value)
    return value.mul_(temperature * temperature).to(x.dtype)


def _logits_divergence_back(g: Array, x: Array, y: Array, temperature: Any, value: Array) -> Array:
    """Return p - q, computed as ``(p + q) tanh(r / 2)`` for small r and divergence."""
    p, q, half, _ = _halves(x, y, temperature)
    value = value / (temperature * temperature)
    half = half.sub_(torch.where(value < 1, value / 2, math.inf).unsqueeze(-1))
    slope = torch.where(half.abs() < 0.5, half.tanh().mul_(p + q), p - q).to(x.dtype)
    return slope.mul_((g * temperature).to(x.dtype).unsqueeze(-1))


def _terms(step: _LossPlan, batch: Batch, inside: Any) -> Any:
    """Return the terms, or the residuals of squared terms, before weights and masks."""
    xp, p, t = batch.xp, batch.predictions, batch.targets
    loss: Loss = step.loss
    if step.squares and isinstance(loss, SquaredLoss):
        values = loss.residual(xp, p, t)
    else:
        values = loss.pointwise(xp, p, t)
    return step.loss._inside(xp, p, t, values) if inside is False else values


def _inside(step: _LossPlan, batch: Batch) -> Any:
    """Whether all numbers are inside the domain, as a bool or as a tensor with one element.

    A number outside makes its term and the sum nan. A tensor avoids a synchronisation, and the
    backward pass does not check each number again.
    """
    if not step.bounded:
        return True
    sides = (*several(batch.predictions), *several(batch.targets))
    inside: Any = True
    for place, interval in step.bounded:
        array = sides[place]
        if not (step.on_cpu or (step.whole and batch.mask is None)):
            return False
        if interval.gap is not None:  # extrema do not reveal numbers in the gap
            inside = inside & interval.contains(array).all()
        elif array.numel() and step.on_cpu:
            lowest, highest = array.amin().item(), array.amax().item()  # faster than aminmax
            inside = inside & (interval.contains(lowest) and interval.contains(highest))
        elif array.numel():
            inside = inside & interval.contains(torch.stack(torch.aminmax(array))).all()
    return bool(inside) if step.on_cpu else inside


def _masked(step: _LossPlan, batch: Batch, terms: Array) -> Array:
    """Multiply terms by the weights; set those of invalid labels to nan and excluded ones to 0."""
    if tuple(terms.shape) != tuple(batch.shape):
        Totals(batch).weighted(terms)  # raises with the shapes
    if batch.weights is not None:
        terms = terms * batch.weights
    if batch.wrong is not None:
        terms = torch.where(batch.wrong, math.nan, terms)
    return terms if batch.mask is None else _where(batch.mask, terms)


def _where(mask: Array, x: Array) -> Array:
    """Return x where the mask is True, and 0 elsewhere, for any x."""
    if x.device.type == "cpu":  # a product takes a seventh of the time of torch.where
        product = x * mask
        if _finite(product):
            return product
    return torch.where(mask, x, 0.0)


def _total(step: _LossPlan, arrays: dict[str, Array]) -> tuple[Array, Array | None, list[Any]]:
    """Return the sums of the terms and of the weights, and data for the backward pass."""
    if step.casts and torch.is_autocast_enabled(step.device):  # a loss is computed in float32
        with torch.autocast(step.device, enabled=False):
            return _total(step, arrays)
    memory, total, weight, kept = step.kernels.rows, None, None, []
    for block in step.blocks(arrays):
        batch = step.batch(block)
        results: list[Any] = []
        terms: Any = None
        memory.results = results
        try:
            inside = _inside(step, batch)
            part = None if inside is False else _difference_squared(step, batch)
            if part is None:
                terms = _terms(step, batch, inside)
                part = _added(step, batch, _masked(step, batch, terms))
        finally:
            memory.results = None
        check_weights = step.on_cpu and batch.weights is not None and batch.mask is None
        if check_weights and not _finite(part):  # samples of weight 0 may hold any value
            batch.mask = batch.weights != 0
            part = _added(step, batch, _masked(step, batch, terms))
        if isinstance(inside, torch.Tensor):
            part = torch.where(inside, part, math.nan)
        kept.append((results, inside, batch.mask is not None, batch.wrong is None))
        total = part if total is None else total + part
        if not step.summed and (batch.weights is not None or batch.mask is not None):
            block_weight = _weight(batch)
            weight = block_weight if weight is None else weight + block_weight
    assert total is not None
    return total, weight, kept


def _weight(batch: Batch) -> Array:
    """Return the sum of the weights, or the number of samples that count."""
    if batch.weights is not None:
        return _squeezed(batch.weights, batch.axes)
    mask: Any = batch.mask
    return mask.sum(batch.axes) if batch.axes else mask.to(torch.float64)


def _squeezed(x: Array, axes: tuple[int, ...]) -> Array:
    if axes and x.numel() <= _FUSED:
        return x.sum(axes, dtype=torch.float64)
    if len(axes) == x.ndim and axes and x.dtype != torch.float64:
        return _sum_of_all(x.reshape(-1))
    return _sum_in_pieces(x, axes).squeeze(axes) if axes else x


def _difference_squared(step: _LossPlan, batch: Batch) -> Array | None:
    """Return the sum of squared differences by a kernel; None if it does not apply."""
    if not (step.squares and step.kernel is not None and step.on_cpu and step.whole):
        return None
    squares = _KERNELS_OF_TORCH.mse_loss(batch.predictions, batch.targets, 0)
    total = _squeezed(squares, batch.axes)
    return total if _usual_sum(total, squares) else None


def _usual_sum(total: Array, squares: Array) -> bool:
    """Whether no relevant square is out of the range of float32."""
    return bool(_LEAST * squares.numel() < total.item() < _MOST)


def _added(step: _LossPlan, batch: Batch, terms: Array) -> Array:
    """Return the sum of the terms, or of their squares."""
    if not step.squares:
        return _squeezed(terms, batch.axes)
    if step.on_cpu and step.whole and step.kernel is None:
        squares = terms * terms
        total = _squeezed(squares, batch.axes)
        if _usual_sum(total, squares):
            return total
    return torch.linalg.vector_norm(terms, 2, batch.axes, dtype=torch.float64).square()


def _slopes(
    step: _LossPlan, arrays: dict[str, Array], incoming: Array, kept: list[Any]
) -> tuple[Array, ...]:
    """Return the derivatives of the sum, times the incoming derivatives."""
    predictions = [arrays[name] for name in step.predictions]
    whole: list[Any] = [None] * len(predictions)
    if step.casts and torch.is_autocast_enabled(step.device):
        with torch.autocast(step.device, enabled=False):
            return _slopes(step, arrays, incoming, kept)
    for block, memory in zip(step.blocks(arrays), kept, strict=True):
        slopes, index = _slopes_of_block(step, block, incoming, memory), block.place
        for k, (p, slope) in enumerate(zip(predictions, slopes, strict=True)):
            if not index:
                slope = slope if slope.dtype is p.dtype else slope.to(p.dtype)
                laid_out = slope.stride() == p.stride() and 0 not in p.stride()
                whole[k] = slope if laid_out else slope.contiguous()
                continue
            if whole[k] is None:
                whole[k] = torch.empty_like(p, memory_format=torch.contiguous_format)
            flat = len(block.shape) < len(step.node_inputs.shape)
            out = whole[k].view(-1, *slope.shape[1:]) if flat else whole[k]
            out[index].copy_(slope)
    return tuple(whole)


def _slopes_of_block(
    step: _LossPlan, block: _Block, incoming: Array, memory: Any
) -> tuple[Array, ...]:
    results, inside, masked, labels_valid = memory
    kernels, dtype = step.kernels, step.node_inputs.xp.computing
    batch = step.batch(block, labels_valid)
    if masked and batch.mask is None:
        batch.mask = batch.weights != 0
    if step.kernel is not None and inside is not False:
        x, seed = batch.predictions, _seed(step, batch, incoming, dtype)
        slope = step.kernel.slope(batch.xp, seed, x, batch.targets, results)
        if batch.mask is not None:  # excluded samples may hold any value: 0 times inf is nan
            slope = _of_samples_that_count(batch.mask, slope)
        return (slope,)
    nodes = tuple(Node(x, kernels.tape, varies=True) for x in several(batch.predictions))
    batch.predictions = nodes if isinstance(batch.predictions, tuple) else nodes[0]
    batch.xp = step.tape_xp
    kernels.rows.replay = replay = iter(results)
    try:
        output = _terms(step, batch, inside)
        if next(replay, replay) is not replay:
            raise ValueError("the tape asked for fewer results than were kept")
        if not isinstance(output, Node):  # nothing depends on the predictions
            zero = torch.zeros((), dtype=dtype, device=incoming.device)
            return tuple(zero.expand(node.shape) for node in nodes)
        seed = _seed(step, batch, incoming, dtype)
        if step.squares:
            output, seed = _before_square(output, seed)
        slopes = walk_back(output, nodes, step.node_inputs.xp, seed)
    finally:
        kernels.rows.replay = None
    if batch.mask is not None:  # excluded samples may hold any value: 0 times inf is nan
        slopes = tuple(_of_samples_that_count(batch.mask, slope) for slope in slopes)
    return tuple(s.expand(node.shape) for s, node in zip(slopes, nodes, strict=True))


def _of_samples_that_count(mask: Array, slope: Array) -> Array:
    return _where(mask.reshape(*mask.shape, *[1] * (slope.ndim - mask.ndim)), slope)


def _seed(step: _LossPlan, batch: Batch, incoming: Array, dtype: Any) -> Array:
    """Return the factor of the derivatives of the terms: a number, or one per sample."""
    seed = incoming
    for axis in batch.axes if seed.ndim else ():
        seed = seed.unsqueeze(axis)
    seed = seed if seed.dtype is dtype else seed.to(dtype)
    if batch.weights is not None:
        seed = seed * batch.weights
    if batch.wrong is not None:
        seed = torch.where(batch.wrong, 0.0, seed)
    return seed if step.loss.elementwise and seed.ndim == 0 else seed.expand(batch.shape)


def _before_square(residual: Node, seed: Array) -> tuple[Node, Array]:
    """Return the residual or its first operand, and the derivative of the squares by it."""
    if residual.operands is not None:
        x, y = residual.operands
        if isinstance(x, Node) and not isinstance(y, Node) and x.shape == tuple(y.shape):
            return x, torch.ops.aten.mse_loss_backward(seed, plain(x), y, 0)
    return residual, plain(residual) * (2 * seed)


class SumOfTerms(torch.autograd.Function):
    """The sum of the terms; the backward pass evaluates the terms again, on a tape."""

    @staticmethod
    def forward(
        ctx: Any, step: _LossPlan, arrays: dict[str, Array], empty: float, *predictions: Array
    ) -> Any:
        total, weight, ctx.kept = _total(step, arrays)
        ctx.step, ctx.divisor = step, step.divisor(weight)
        ctx.save_for_backward(*arrays.values())
        if weight is not None:
            ctx.mark_non_differentiable(weight)
        return step.divided(total, weight, empty), weight

    @staticmethod
    def backward(ctx: Any, *of_results: Array) -> tuple[Any, ...]:
        incoming, step = of_results[0], ctx.step
        if ctx.divisor is not None:
            incoming = incoming / ctx.divisor
        arrays = dict(zip(step.array_names, ctx.saved_tensors, strict=True))
        transformed = torch.is_grad_enabled() or torch._C._are_functorch_transforms_active()
        if step.recorded and not transformed:
            try:
                slopes = _slopes(step, arrays, incoming, ctx.kept)
                return None, None, None, *slopes
            except Exception:  # a definition calls a function without a rule
                step.recorded = False
        return None, None, None, *_again(step, arrays, incoming)


def _again(step: _LossPlan, arrays: dict[str, Array], incoming: Array) -> tuple[Array, ...]:
    """Return the derivatives in a form that can be differentiated."""
    create = torch.is_grad_enabled()
    with torch.enable_grad():
        leaves = tuple(
            p if p.requires_grad else p.detach().requires_grad_()
            for p in (arrays[name] for name in step.predictions)
        )
        arrays = arrays | dict(zip(step.predictions, leaves, strict=True))
        inputs = step.inputs.with_arrays(arrays, axes=step.node_inputs.axes)
        batch = inputs.batch()
        totals = Totals(batch)
        terms = step.loss.terms(batch.xp, batch.predictions, batch.targets)
        total = totals._sum(totals.weighted(terms))
        return torch.autograd.grad(total, leaves, incoming.to(total.dtype), create_graph=create)


# --- processes ------------------------------------------------------------------------------------


def _over_group(library: TorchLibrary, state: State, group: Any) -> Any:
    here = torch.distributed.get_rank(group)
    # float64 represents counts and every narrower float exactly
    wide = torch.float64 if library.has_float64(state.weight.value) else torch.float32
    leaves: list[Array] = []
    leafwise(leaves.append, state)
    lengths = [[leaf.numel() for leaf in leaves]] * torch.distributed.get_world_size(group)
    if isinstance(state, Samples):
        counted = not state.weights.is_floating_point()
        own_lengths = torch.tensor([*lengths[here], counted], device=leaves[0].device)
        rows = own_lengths.new_zeros((len(lengths), len(own_lengths)))
        rows[here] = own_lengths
        torch.distributed.all_reduce(rows, group=group)
        lengths = rows[:, :-1].tolist()
        if not rows[:, -1].all():  # all processes need one dtype
            state = state._replace(weights=state.weights.to(wide))
    rows = torch.zeros((len(lengths), max(map(sum, lengths))), dtype=wide, device=leaves[0].device)
    own_row = torch.cat([leaf.detach().reshape(-1).to(wide) for leaf in leaves])
    rows[here, : own_row.numel()] = own_row
    torch.distributed.all_reduce(rows, group=group)

    def of(process: int) -> Any:
        parts = iter(rows[process, : sum(lengths[process])].split(lengths[process]))

        def leaf(like: Array) -> Array:
            part = next(parts)
            shape = like.shape if part.numel() == like.numel() else (*like.shape[:-1], -1)
            return part.reshape(shape).to(like.dtype)

        return leafwise(leaf, state)

    states = [state if process == here else of(process) for process in range(len(lengths))]
    return library.fold(states)


# --- a linear layer under a cross-entropy ---------------------------------------------------------


class _ChunkArrays(InPlaceArrays):
    """Operations in place: all chunks reuse one logits buffer."""

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
    """Whether a transform observes the tensors, so that passes must not write in place."""
    return (
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or forward_ad._current_level >= 0
        or any(type(x) not in (torch.Tensor, torch.nn.Parameter) for x in tensors if x is not None)
    )


def _total_of_tokens(plan: PassPlan, tokens: Tokens, rows: Any) -> Array:
    device = tokens.hidden.device.type
    if torch.is_autocast_enabled(device):  # as torch.nn.functional.linear does
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
    """Return the node of the graph, a cached torch.autograd.Function."""
    if "linear" not in library.cache:
        library.cache["linear"] = _make_total_node()
    return library.cache["linear"].apply


def _make_total_node() -> Any:
    class TotalOfLosses(torch.autograd.Function):
        """The total of the losses; its slopes are kept for the backward pass."""

        @staticmethod
        def forward(ctx: Any, *arguments: Any) -> Array:
            *arrays, plan, rows, needed = arguments
            with torch.autocast(arrays[0].device.type, enabled=False):
                total, ctx.losses, ctx.slopes = gone_through(plan, needed, Tokens(*arrays))
            ctx.rows = rows
            ctx.save_for_backward(*arrays)
            return total

        @staticmethod
        def backward(ctx: Any, *of_results: Array) -> tuple[Any, ...]:
            incoming, slopes, ctx.slopes = of_results[0], ctx.slopes, None
            arrays = ctx.saved_tensors
            if slopes is None or torch.is_grad_enabled():
                gradients = _total_again(ctx.rows, arrays, ctx.needs_input_grad, incoming)
                return *gradients, None, None, None, None
            gradients = [
                None if slope is None else slope.mul_(incoming).to(x.dtype)
                for slope, x in zip(slopes, arrays, strict=False)
            ]
            by_factor = ctx.losses * incoming if ctx.needs_input_grad[3] else None
            return *gradients, by_factor, None, None, None, None

    return TotalOfLosses


def _total_again(
    rows: Any, arrays: Any, needed: tuple[bool, ...], incoming: Array
) -> list[Array | None]:
    """Return the gradients in a form that can be differentiated or computed again."""
    create, wide = torch.is_grad_enabled(), torch.promote_types(arrays[0].dtype, arrays[1].dtype)
    with torch.enable_grad():
        leaves = [x if create or not need else x.detach().requires_grad_()
                 for x, need in zip(arrays[:4], needed, strict=False)]  # fmt: skip
        hidden, weight, bias, factor = leaves
        loss = type(rows)(rows.loss, weight, bias)
        value = loss((hidden.to(wide),), arrays[4], weights=factor, reduction="sum")
        wanted = [x for x, need in zip(leaves, needed, strict=False) if need]
        gradients = iter(
            torch.autograd.grad(value, wanted, incoming.to(value.dtype), create_graph=create)
        )
    return [next(gradients) if need else None for need in needed[:4]]
