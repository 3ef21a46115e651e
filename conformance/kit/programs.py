"""All cases of a metric in few of JAX's programs: samples are padded to one length.

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
from isoloss._core.parameters import declared_of

from .drawing import of_items
from .metrics import numeric
from .records import varied
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


def rare(backend: Jax, cases: Sequence[Case]) -> list[bool]:
    """Tell which cases need a program for hyper-parameters that one or two cases have."""
    found = [False] * len(cases)
    for places in _programs(backend, cases):
        if len(places) < 3 and varied(cases[places[0]].record):
            for k in places:
                found[k] = True
    return found


def _programs(backend: Jax, cases: Sequence[Case]) -> Iterable[list[int]]:
    """Return the places of the cases that share a program, for every program."""
    groups: dict[Any, list[int]] = defaultdict(list)
    for k, case in enumerate(cases):
        shapes = [(x.shape[1:], x.dtype) for x in leaves(_inputs(backend, case))]
        groups[(_static(backend, case.metric), *shapes)].append(k)
    return groups.values()


def _by_program(
    backend: Jax, cases: Sequence[Case], together: Callable[..., Iterable[Any]]
) -> list[Any]:
    results: dict[int, Any] = {}
    for places in _programs(backend, cases):
        results |= zip(places, together(backend, [cases[k] for k in places]), strict=True)
    return [results[k] for k in range(len(cases))]


# --- what is an argument of a program -------------------------------------------------------------


def _traced(backend: Jax, metric: il.Metric) -> list[str]:
    """Return the names of the hyper-parameters that are arguments: of those inside their interval."""
    if not backend.float64:
        return []
    kind, found = type(metric), []
    for name in numeric(metric):
        number, interval = getattr(metric, name), declared_of(metric)[name].interval
        asks = (kind, name) in BRANCHES and BRANCHES[kind, name](number)
        if number not in interval[:2] and not asks:
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


def _arguments(backend: Jax, case: Case) -> tuple[Tree, Tree, Any, Any, dict[str, Any]]:
    """Return predictions, targets, weights, mask and hyper-parameters of one case.

    What pads the samples is nan or no label, and is excluded: it must reach no result.
    """
    weights = case.options.get("weights", np.ones(case.count, backend.widest))
    where = of_items(case.metric, np.arange(LENGTH) < case.count)
    names = _traced(backend, case.metric)
    numbers = {name: np.asarray(getattr(case.metric, name), backend.widest) for name in names}
    return *tree_map(_padded, _inputs(backend, case)), _padded(weights, 1.0), where, numbers


def _padded(array: np.ndarray, by: float | None = None) -> np.ndarray:
    if by is None:
        by = np.nan if array.dtype.kind == "f" else -1
    extra = np.full((LENGTH - len(array), *array.shape[1:]), by, array.dtype)
    return np.concatenate([array, extra])


# --- programs -------------------------------------------------------------------------------------


def _evaluated_together(
    backend: Jax, cases: Sequence[Case]
) -> Iterable[tuple[Any, dict[str, Any]]]:
    differentiated = any(case.differentiated for case in cases)
    typical = any(case.typical for case in cases)

    def call(p: Tree, t: Tree, weights: Any, where: Any, numbers: dict[str, Any]) -> Any:
        return dataclasses.replace(cases[0].metric, **numbers)(p, t, weights=weights, where=where)

    def every_way(*arguments: Any) -> dict[str, Any]:
        if not differentiated:
            return {"value": call(*arguments)}
        value, slopes = backend.jax.value_and_grad(call)(*arguments)
        results = {"value": value, "reverse": slopes}
        if typical and backend.float64:
            results["forward"] = backend.jax.jacfwd(call)(*arguments)
        return results

    as_users_do = typical and not backend.float64
    program = (backend.jax.jit if as_users_do else backend.compiled)(every_way)
    for case in cases:
        results = backend.jax.device_get(program(*_arguments(backend, case)))
        value = results.pop("value")
        modes = ["reverse"] if case.dtype != backend.widest else list(results)
        slopes = {
            mode: _of_samples(backend, case, results[mode])
            for mode in modes if case.differentiated
        }  # fmt: skip
        yield _rounded(case, value), slopes


def _bent_together(backend: Jax, cases: Sequence[Case]) -> Iterable[tuple[Tree, Tree]]:
    def call(p: Tree, t: Tree, weights: Any, where: Any, numbers: dict[str, Any]) -> Any:
        metric = dataclasses.replace(cases[0].metric, **numbers)
        return il.gradient_hessian(metric, p, t, where=where)

    program = backend.compiled(call)
    for case in cases:
        derivatives = backend.jax.device_get(program(*_arguments(backend, case)))
        yield tuple(_of_samples(backend, case, one) for one in derivatives)


def _rounded(case: Case, value: Any) -> Any:
    """Return a value in the dtype that the case promises, to which a call rounds at its end."""
    single = "float" in case.dtype and case.dtype != "float64"
    with np.errstate(over="ignore"):
        return value.astype(np.float32) if single else value


def _of_samples(backend: Jax, case: Case, slopes: Tree) -> Tree:
    """Return what the samples of one case have, in their dtype; what pads them has none."""
    for array in leaves(slopes):
        assert not array[case.count :].any(), f"{case.record['case']}: excluded, with a slope"
    dtype = backend.xp.dtype(case.dtype)
    with np.errstate(over="ignore"):
        return tree_map(lambda x: x[: case.count].astype(dtype), slopes)
