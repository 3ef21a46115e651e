"""PyTorch: a loss as a module, and a meter of metrics over batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import fields, replace
from typing import Any

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    message = "isoloss.adapters.torch needs PyTorch: pip install 'isoloss[torch]'"
    raise ImportError(message) from error

import numpy as np

from .._core.calls import Axis, Reduction
from .._core.metric import Metric
from .._core.states import ELEMENTWISE, Samples, Total, leafwise
from ..evaluation import one_or_more
from ..metrics.catalogue import as_metric
from ..metrics.forecasting import DevianceMoments, Pair
from ..streaming import Accumulator

# The types of states and of their parts, by field names.
_KINDS: dict[tuple[str, ...], Any] = {
    kind._fields: kind for kind in (Total, *ELEMENTWISE, Samples, Pair, DevianceMoments)
}


class Criterion(nn.Module):
    """A loss as a module, in place of ``torch.nn.MSELoss`` and others.

    A hyper-parameter that is an ``nn.Parameter`` is learnt with the model; any other tensor becomes
    a buffer. Both move with ``to``, and ``state_dict`` has them by name.

    Parameters
    ----------
    loss : metric, or class of a metric
        A loss such as `isoloss.huber` or `isoloss.Huber`.
    reduction, axis, event_axis, empty
        Options of the call of the metric. Classes are on the last axis by default; pass
        ``event_axis=1`` for PyTorch's order.
    **parameters
        Hyper-parameters of the loss.

    Raises
    ------
    TypeError
        If ``loss`` is not a metric, or does not have a hyper-parameter.
    ValueError
        If the value of a hyper-parameter or an option is invalid.

    Examples
    --------
    >>> import isoloss as il, torch
    >>> from isoloss.adapters.torch import Criterion
    >>> criterion = Criterion(il.Huber, delta=2.0)
    >>> criterion
    Criterion(Huber(delta=2.0))
    >>> criterion(torch.tensor([1.0, 5.0]), torch.tensor([1.0, 1.0]))
    tensor(3.)
    >>> criterion = Criterion(il.Barron, alpha=torch.nn.Parameter(torch.tensor(1.0)))
    >>> [name for name, _ in criterion.named_parameters()]
    ['alpha']
    """

    _plain: Metric  # the loss, with defaults in place of learnt hyper-parameters

    def __init__(
        self,
        loss: Metric | type[Metric],
        *,
        reduction: Reduction = "mean",
        axis: Axis = None,
        event_axis: Axis = None,
        empty: float = float("nan"),
        **parameters: Any,
    ) -> None:
        super().__init__()
        metric = _made(loss, parameters)
        if reduction not in ("mean", "sum", "none"):
            message = f"reduction={reduction!r} is unknown; use 'mean', 'sum' or 'none'"
            raise ValueError(f"Criterion({metric!r}): {message}")
        if reduction != "mean" and not metric.summable:
            message = f"reduction={reduction!r} needs one term per sample; only 'mean' applies"
            raise ValueError(f"Criterion({metric!r}): {message}")
        self.options: dict[str, Any] = {
            "reduction": reduction, "axis": axis, "event_axis": event_axis, "empty": empty,
        }  # fmt: skip
        self._held: list[str] = []
        for item in fields(metric):  # type: ignore[arg-type]
            value, instead = getattr(metric, item.name), item.default
            if isinstance(value, nn.Parameter):
                self.register_parameter(item.name, value)
            elif isinstance(value, Tensor):
                self.register_buffer(item.name, value)
            elif isinstance(value, Metric) and (inner := Criterion(value))._held:
                self.add_module(item.name, inner)
                instead = inner._plain
            else:
                continue
            self._held.append(item.name)
            metric = replace(metric, **{item.name: instead})  # type: ignore[type-var]
        self._plain = metric

    @property
    def loss(self) -> Metric:
        """The loss with the current hyper-parameters."""
        if not self._held:
            return self._plain
        held = {name: getattr(self, name) for name in self._held}
        held |= {name: one.loss for name, one in held.items() if isinstance(one, Criterion)}
        return replace(self._plain, **held)  # type: ignore[type-var]

    def forward(
        self,
        predictions: Any,
        targets: Any,
        weights: Any = None,
        where: Any = None,
        **options: Any,
    ) -> Tensor:
        """Return the loss, with the arguments and options of a call of the metric."""
        options = self.options | options
        loss: Tensor = self.loss(predictions, targets, weights=weights, where=where, **options)
        return loss

    def __repr__(self) -> str:
        usual = {"reduction": "mean", "axis": None, "event_axis": None}
        options = [f", {k}={self.options[k]!r}" for k in usual if self.options[k] != usual[k]]
        return f"Criterion({_detached(self.loss)!r}{''.join(options)})"


def _made(loss: Any, parameters: dict[str, Any]) -> Metric:
    """Return a metric with some of its hyper-parameters replaced."""
    if isinstance(loss, str):
        loss = as_metric("Criterion", loss)
    kind = loss if isinstance(loss, type) else type(loss)
    if not issubclass(kind, Metric):
        raise TypeError(f"Criterion takes a loss such as isoloss.huber, not {loss!r}")
    names = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    for name in parameters:
        if name not in names:
            have = f"the hyper-parameters are {', '.join(names)}" if names else "there are none"
            if name in ("weight", "weights", "mask", "where", "denominator"):
                have = "weights=, where= and denominator= go with each call of the criterion"
            raise TypeError(f"Criterion: {kind.__name__} has no hyper-parameter {name}; {have}")
    made: Metric = loss(**parameters) if isinstance(loss, type) else replace(loss, **parameters)
    return made


def _detached(metric: Metric) -> Metric:
    """Return a metric with detached tensors, which print like numbers."""
    found = {
        name: _detached(value) if isinstance(value, Metric) else value.detach()
        for name, value in vars(metric).items()
        if isinstance(value, (Metric, Tensor))
    }
    return replace(metric, **found)  # type: ignore[type-var]


class Meter:
    """Metrics over all added batches, such as a training epoch or a validation.

    A meter is an `isoloss.Accumulator` of tensors. Batches may be on any device, and `sync` merges
    the processes of ``torch.distributed``. No autograd graph is kept. Metrics with the same
    declared statistics share a state.

    Parameters
    ----------
    metrics : metric, iterable of metrics, or mapping from names to metrics
        For one metric, `compute` returns the value; for several, a dict of values by name, as
        `isoloss.evaluate` does.
    axis, event_axis, num_groups, standard_error
        Options of `isoloss.over_batches`.

    Examples
    --------
    >>> import isoloss as il, torch
    >>> from isoloss.adapters.torch import Meter
    >>> meter = Meter([il.mean_squared_error, il.r2_score])
    >>> meter.update(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0]))
    >>> meter.update(torch.tensor([5.0]), torch.tensor([5.0]))
    >>> meter.compute()
    {'mean_squared_error': tensor(0.3333), 'r2_score': tensor(0.8750)}
    """

    def __init__(
        self,
        metrics: Metric | Iterable[Metric] | Mapping[str, Metric],
        *,
        axis: Axis = None,
        event_axis: Axis = None,
        num_groups: int | None = None,
        standard_error: bool = False,
    ) -> None:
        self._one = isinstance(metrics, (Metric, str))
        self._metrics = one_or_more("Meter", metrics)
        self._options: dict[str, Any] = {
            "axis": axis, "event_axis": event_axis, "num_groups": num_groups,
            "standard_error": standard_error,
        }  # fmt: skip
        self.reset()

    def __repr__(self) -> str:
        return f"Meter({', '.join(self._metrics)})"

    def _empty(self) -> Accumulator:
        metrics = next(iter(self._metrics.values())) if self._one else self._metrics
        return Accumulator(metrics, **self._options)

    def reset(self) -> None:
        """Remove all batches."""
        self._held = self._empty()
        self._device: torch.device | None = None  # device of the states

    @torch.no_grad()
    def update(
        self,
        predictions: Any,
        targets: Any,
        weights: Any = None,
        where: Any = None,
        groups: Any = None,
    ) -> None:
        """Add a batch of tensors or array-likes; a rejected batch changes nothing."""
        self._add(self._of_batch(predictions, targets, weights, where, groups))

    @torch.no_grad()
    def __call__(
        self,
        predictions: Any,
        targets: Any,
        weights: Any = None,
        where: Any = None,
        groups: Any = None,
    ) -> Any:
        """Add a batch and return the values of this batch."""
        batch = self._of_batch(predictions, targets, weights, where, groups)
        self._add(batch)
        return batch.compute()

    @torch.no_grad()
    def compute(self) -> Any:
        """Return the values of all samples of this process; `sync` merges all processes.

        Raises
        ------
        RuntimeError
            If no batch was added.
        """
        if not self._held.states():
            raise RuntimeError(
                f"{self!r} has no value yet: call update(predictions, targets) first"
            )
        return self._held.compute()

    def merge(self, *others: Meter) -> None:
        """Add the samples of other meters of the same metrics, which stay unchanged."""
        for other in others:
            self._load(other.state_dict())

    def sync(self, group: Any = None) -> Meter:
        """Return a meter of the samples of all processes; this meter stays unchanged.

        Every process of the ``torch.distributed`` group must call `sync`, including processes
        without a batch. All processes receive the same bits. Without ``torch.distributed``, the
        result has the samples of this process.
        """
        mine, device = copy(self), self._device
        mine._held = self._moved("cpu")
        gathered = [mine.state_dict()]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            gathered *= torch.distributed.get_world_size(group)
            torch.distributed.all_gather_object(gathered, mine.state_dict(), group=group)
        mine.reset()
        for saved in gathered:
            mine._load(saved)
        return mine if device is None else mine.to(device)

    def to(self, device: Any) -> Meter:
        """Move the states to a device; a batch on another device also moves them."""
        self._held = self._moved(device)
        if self._device is not None:
            self._device = torch.device(device)
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return the states as dicts of tensors, for ``torch.save`` and ``torch.load``."""
        states = self._held.states()
        return {
            name: {"metric": self._text(name), "state": _packed(state)}
            for name, state in states.items()
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Replace the states by those of a meter of the same metrics."""
        before = self._held
        self.reset()
        try:
            self._load(saved)
        except Exception:
            self._held = before
            raise

    def _text(self, name: str) -> str:
        return repr(self._metrics.get(name, name))

    @torch.no_grad()
    def _of_batch(self, predictions: Any, targets: Any, *others: Any) -> Accumulator:
        """Return the states of one batch."""
        batch = self._empty()
        names = ("weights", "where", "groups")
        options = {name: _tensors(x) for name, x in zip(names, others, strict=True)}
        batch.update(_tensors(predictions), _tensors(targets), **options)
        batch.states()  # may reject a batch of few numbers
        return batch

    @torch.no_grad()
    def _add(self, batch: Accumulator) -> None:
        """Add the states of a batch on the device of the batch."""
        state = next(iter(batch.states().values()))
        device = state.weight.value.device
        if self._device not in (None, device):
            self.to(device)
        self._held.merge(batch)
        self._device = device

    @torch.no_grad()
    def _moved(self, device: Any) -> Accumulator:
        moved = self._empty()
        states = self._held.states().items()
        moved.merge({name: _moved(state, device) for name, state in states})
        return moved

    def _load(self, saved: Mapping[str, Any]) -> None:
        """Add the states of another meter."""
        if not saved:
            return
        own = {name: self._text(name) for name in (*self._metrics, *saved)}
        theirs = {
            k: one.get("metric") if isinstance(one, dict) else one for k, one in saved.items()
        }
        if own != theirs:
            raise ValueError(f"{self!r} holds {own}, and the other held {theirs}: make them alike")
        states = {name: _unpacked(one["state"]) for name, one in saved.items()}
        if self._device is not None:
            states = {name: _moved(state, self._device) for name, state in states.items()}
        self._held.merge(states)
        self._device = next(iter(states.values())).weight.value.device


def _tensors(given: Any) -> Any:
    """Return arrays and lists as tensors, and a tuple as a tuple of tensors."""
    if isinstance(given, tuple):
        return tuple(map(_tensors, given))
    if given is None or isinstance(given, Tensor):
        return given
    return torch.tensor(given if isinstance(given, (list, int, float)) else np.asarray(given))


def _moved(state: Any, device: Any) -> Any:
    return leafwise(lambda leaf: leaf.to(device), state)


def _packed(state: Any) -> Any:
    if not isinstance(state, tuple):
        return state
    return {name: _packed(part) for name, part in state._asdict().items()}  # type: ignore[attr-defined]


def _unpacked(saved: Any) -> Any:
    if not isinstance(saved, dict):
        return saved
    return _KINDS[tuple(saved)](*map(_unpacked, saved.values()))
