"""The command `isoloss parity`: select functions and compare them on all libraries."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import isoloss

from .._core.domains import Interval
from .._core.metric import Metric
from ..testing.distance import FORMATS
from ..testing.libraries import LIBRARIES, compared
from ..testing.parity import Case, Report, compare
from .catalogue import entries
from .errors import InputError, close_to

# One metric of each kind: smooth, kinked, exponential, logarithmic, power, bounded domain.
SOME = (
    "mean_squared_error", "mean_absolute_error", "huber", "log_cosh", "pinball", "poisson_deviance",
    "tweedie_deviance", "sigmoid_cross_entropy", "hinge", "barron",
)  # fmt: skip
FAR = 4.0


def own_cases(every: bool, shape: Sequence[int]) -> list[Case]:
    """Return cases of pointwise metrics of isoloss, with inputs from their domains."""
    found = [
        entry.metric for entry in entries() if entry.metric is not None and _pointwise(entry.metric)
    ]
    if not every:
        found = [getattr(isoloss, name) for name in SOME]
    return [case_of(metric, shape) for metric in found]


def _pointwise(metric: Metric) -> bool:
    sides = (metric.domain.predictions, metric.domain.targets)
    real = all(isinstance(side, Interval) for side in sides)
    return metric.summable and metric.elementwise and real


def case_of(metric: Metric, shape: Sequence[int]) -> Case:
    """Return the case of a metric with one prediction and one target per sample."""
    if not _pointwise(metric):
        raise InputError(
            f"{metric!r} is not of one prediction and one target for each sample: give its inputs "
            "in a Case of isoloss.testing"
        )
    rng = np.random.default_rng(0)
    inputs = tuple(
        _drawn(interval, rng, shape)
        for interval in (metric.domain.predictions, metric.domain.targets)
    )
    return Case(metric, inputs, name=repr(metric))


def _drawn(interval: Interval, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    low, high = max(interval.low, -FAR), min(interval.high, FAR)
    if interval.gap == (interval.low, interval.high):
        return rng.choice([interval.low, interval.high], size=shape)
    edge = (high - low) / 64
    return rng.uniform(low + edge, high - edge, size=shape)


def cases_of(text: str, arguments: int, shape: Sequence[int]) -> list[Case]:
    """Return the cases of ``package.module:name``: a function, metric, case or list of cases."""
    thing = loaded(text)
    if isinstance(thing, Case):
        return [thing]
    if isinstance(thing, (list, tuple)) and thing and all(isinstance(x, Case) for x in thing):
        return list(thing)
    if isinstance(thing, Metric):
        return [case_of(thing, shape)]
    functions = list(thing.values()) if isinstance(thing, Mapping) else [thing]
    if not functions or not all(map(callable, functions)):
        raise InputError(
            f"{text} is a {type(thing).__name__}: parity takes a function, a metric, a Case of "
            "isoloss.testing or a list of them"
        )
    if isinstance(thing, Mapping) and set(thing) - set(LIBRARIES):
        wrong = next(iter(set(thing) - set(LIBRARIES)))
        raise InputError(f"{text} has a key {wrong!r}: the keys are {', '.join(LIBRARIES)}")
    rng = np.random.default_rng(0)
    inputs = tuple(rng.normal(size=shape) for _ in range(arguments))
    function: Any = thing
    return [Case(function, inputs, name=text.rpartition(":")[2])]


def loaded(text: str) -> Any:
    """Return an object from a module of the working directory or an installed module."""
    name, colon, path = text.partition(":")
    if not (name and colon and path):
        code = f"isoloss:{text}" if text in dir(isoloss) else "package.module:function"
        raise InputError(f"{text!r}: write {code}")
    sys.path.insert(0, "")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise InputError(f"{name} cannot be imported: {error}") from error
        raise InputError(f"there is no module {error.name!r}, here or installed") from error
    except Exception as error:  # the user's file may raise any exception
        raise InputError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove("")
    thing: Any = module
    for part in path.split("."):
        if not hasattr(thing, part):
            names = [one for one in vars(thing) if not one.startswith("_")]
            raise InputError(f"{name} has no {path!r}{close_to(part, names)}")
        thing = getattr(thing, part)
    return thing


def reports(
    cases: Iterable[Case], libraries: Sequence[str], dtypes: Sequence[str], ulp: float
) -> Iterator[Report]:
    """Yield the comparisons of each case."""
    for option, names, known in (("library", libraries, LIBRARIES), ("dtype", dtypes, FORMATS)):
        for name in names:
            if name not in known:
                raise InputError(f"--{option} {name}: use {', '.join(known)}")
    there = compared(libraries or None)
    for name in libraries:
        if name not in there:
            raise InputError(f"--library {name}: it is not installed")
    if len(there) < 2:
        raise InputError(
            f"only {', '.join(there)} is compared: name another --library, or "
            "pip install 'isoloss[jax,torch]'"
        )
    for case in cases:
        own: dict[str, Any] = {"kinks": case.kinks, "contract": case.contract, "name": str(case)}
        options = {"libraries": there, "dtypes": tuple(dtypes), "ulp": ulp, **own, **case.options}
        try:
            yield compare(case.function, *case.inputs, **options)
        except (TypeError, ValueError) as error:
            raise InputError(f"{case}: {error}") from error
