"""All cases of a metric in few of JAX's programs: samples padded to one length, cases stacked.

Without x64, there is a program for each metric, shape and hyper-parameter, and what has the default
parameters is compiled as users compile it. With x64, hyper-parameters are traced, so that one program
serves them all, and forward mode stands beside reverse mode. Numbers are given in the dtype that is
computed in; test_transforms_jax.py compares them with numbers that are converted to it.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import isoloss as il
from isoloss._core.domains import Labels

from .drawing import of_items
from .metrics import numeric
from .trees import Tree, leaves, tree_map

if TYPE_CHECKING:
    from .backends import Jax
    from .records import Case

LENGTH = 32
BRANCHES: dict[tuple[type[il.Metric], str], Callable[[float], bool]] = {
    (il.TweedieDeviance, "power"): lambda power: power < 1,
    (il.D2Tweedie, "power"): lambda power: power < 1,
    (il.BetaDivergence, "beta"): lambda beta: beta == 2,
    (il.FocalTversky, "gamma"): lambda gamma: gamma == 1,
}
"""Where a formula asks for the number itself, which nobody knows of a tracer."""


def evaluated(backend: Jax, cases: Sequence[Case]) -> list[tuple[Any, dict[str, Any]]]:
    """Return the value of every case, and its gradient by mode."""
    return _by_program(backend, cases, _evaluated_together)


def bent(backend: Jax, cases: Sequence[Case]) -> list[tuple[Tree, Tree]]:
    """Return the first and the second derivatives of the terms of every case."""
    return _by_program(backend, cases, _bent_together)


def _by_program(
    backend: Jax, cases: Sequence[Case], together: Callable[..., Iterable[Any]]
) -> list[Any]:
    groups: dict[Any, list[int]] = defaultdict(list)
    for k, case in enumerate(cases):
        shapes = [(x.shape[1:], x.dtype) for x in leaves(_inputs(backend, case))]
        groups[(_static(backend, case.metric), *shapes)].append(k)
    results: dict[int, Any] = {}
    for places in groups.values():
        results |= zip(places, together(backend, [cases[k] for k in places]), strict=True)
    return [results[k] for k in range(len(cases))]


# --- what is an argument of a program -------------------------------------------------------------


def _traced(backend: Jax, metric: il.Metric) -> list[str]:
    """Return the names of the hyper-parameters that are arguments: of those inside their interval."""
    if not backend.float64:
        return []
    kind, found = type(metric), []
    for name in numeric(metric):
        number, declared = getattr(metric, name), kind.__dataclass_fields__[name].metadata
        asks = (kind, name) in BRANCHES and BRANCHES[kind, name](number)
        if number not in declared["interval"][:2] and not asks:
            found.append(name)
    return found


def _static(backend: Jax, metric: il.Metric) -> Any:
    """Return what metrics must share to share a program."""
    names = _traced(backend, metric)
    if not names:
        return metric
    others = (f.name for f in dataclasses.fields(metric) if f.name not in names)  # type: ignore[arg-type]
    return type(metric), *names, *((name, getattr(metric, name)) for name in others)


def _inputs(backend: Jax, case: Case) -> tuple[Tree, Tree]:
    """Return predictions and targets in the dtype computed in, labels as integers."""
    # a metric with epsilon, or edges of bins, rounds them to the dtype of its result
    rounds = getattr(case.metric, "epsilon", 0.0) is None or hasattr(case.metric, "bins")
    single = rounds and "float" in case.dtype and case.dtype != "float64"
    dtype = "float32" if single else backend.widest

    def converted(array: np.ndarray, values: Any) -> np.ndarray:
        whole = array.dtype.kind != "f"
        labels = whole and (isinstance(values, Labels) or "float" in case.dtype)
        return array.astype("int32" if labels else dtype)

    domain = case.metric.domain
    p, t = (
        tuple(map(converted, side, of_each)) if isinstance(side, tuple) else converted(side, of_each[0])
        for side, of_each in ((case.predictions, domain.of_predictions), (case.targets, domain.of_targets))
    )  # fmt: skip
    return p, t


def _stacked(backend: Jax, cases: Sequence[Case]) -> tuple[Tree, Tree, Any, Any, dict[str, Any]]:
    """Return predictions, targets, weights, mask and hyper-parameters, the first axis that of cases.

    What pads the samples is nan or no label, and is excluded: it must reach no result.
    """
    rows = []
    for case in cases:
        weights = case.options.get("weights", np.ones(case.count, backend.widest))
        where = of_items(case.metric, np.arange(LENGTH) < case.count)
        rows.append((*tree_map(_padded, _inputs(backend, case)), _padded(weights, 1.0), where))
    numbers = {
        name: np.asarray([getattr(case.metric, name) for case in cases], backend.widest)
        for name in _traced(backend, cases[0].metric)
    }
    return *tree_map(lambda *arrays: np.stack(arrays), *rows), numbers


def _padded(array: np.ndarray, by: float | None = None) -> np.ndarray:
    if by is None:
        by = np.nan if array.dtype.kind == "f" else -1
    extra = np.full((LENGTH - len(array), *array.shape[1:]), by, array.dtype)
    return np.concatenate([array, extra])


# --- programs -------------------------------------------------------------------------------------


def _evaluated_together(
    backend: Jax, cases: Sequence[Case]
) -> Iterable[tuple[Any, dict[str, Any]]]:
    def call(p: Tree, t: Tree, weights: Any, where: Any, numbers: dict[str, Any]) -> Any:
        return dataclasses.replace(cases[0].metric, **numbers)(p, t, weights=weights, where=where)

    typical = any(case.typical for case in cases)
    if not any(case.differentiated for case in cases):
        values, slopes = _run(backend, call, cases), {}
    elif typical and backend.float64:

        def both(*case: Any) -> Any:
            return backend.jax.value_and_grad(call)(*case), backend.jax.jacfwd(call)(*case)

        (values, reverse), forward = _run(backend, both, cases)
        slopes = {"reverse": reverse, "forward": forward}
    else:
        as_users_do = backend.jax.jit if typical else None
        values, reverse = _run(backend, backend.jax.value_and_grad(call), cases, as_users_do)
        slopes = {"reverse": reverse}
    for k, case in enumerate(cases):
        modes = ["reverse"] if case.dtype != backend.widest else list(slopes)
        slope = {
            mode: _of_samples(backend, case, slopes[mode], k)
            for mode in modes if case.differentiated
        }  # fmt: skip
        yield _rounded(case, values[k]), slope


def _bent_together(backend: Jax, cases: Sequence[Case]) -> Iterable[tuple[Tree, Tree]]:
    def call(p: Tree, t: Tree, weights: Any, where: Any, numbers: dict[str, Any]) -> Any:
        metric = dataclasses.replace(cases[0].metric, **numbers)
        return il.gradient_hessian(metric, p, t, where=where)

    derivatives = _run(backend, call, cases)
    for k, case in enumerate(cases):
        yield tuple(_of_samples(backend, case, one, k) for one in derivatives)


def _run(
    backend: Jax, function: Callable[..., Any], cases: Sequence[Case], compiled: Any = None
) -> Any:
    program = (compiled or backend.compiled)(backend.jax.vmap(function))
    return backend.jax.device_get(program(*_stacked(backend, cases)))


def _rounded(case: Case, value: Any) -> Any:
    """Return a value in the dtype that the case promises, to which a call rounds at its end."""
    single = "float" in case.dtype and case.dtype != "float64"
    with np.errstate(over="ignore"):
        return value.astype(np.float32) if single else value


def _of_samples(backend: Jax, case: Case, slopes: Tree, place: int) -> Tree:
    """Return what the samples of one case have, in their dtype; what pads them has none."""
    slope = tree_map(lambda x: x[place], slopes)
    for array in leaves(slope):
        assert not array[case.count :].any(), f"{case.record['case']}: excluded, with a slope"
    dtype = backend.xp.dtype(case.dtype)
    with np.errstate(over="ignore"):
        return tree_map(lambda x: x[: case.count].astype(dtype), slope)
