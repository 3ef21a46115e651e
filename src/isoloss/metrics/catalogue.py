"""The catalogue of metrics: families, which are imported on first use, and public names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields, replace
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from .._core.errors import nearest
from .._core.metric import Metric
from .._core.naming import name_of as name_of
from .._core.wrappers import Wrapper
from .names import FAMILIES

NAMES: tuple[str, ...] = tuple(name for names in FAMILIES.values() for name in names)


RENAMED = {"clip": "clip_loss"}  # former public names and their replacements


def family(name: str) -> ModuleType:
    """Return the module of a family; import it on first use."""
    return import_module(f"{__package__}.{name}")


def families() -> tuple[ModuleType, ...]:
    """Return the modules of all families, in the order of the documentation."""
    return tuple(map(family, FAMILIES))


# --- finding metrics by name ----------------------------------------------------------------------


def list_metrics(
    word: str = "", *, family: str | None = None, greater_is_better: bool | None = None
) -> list[str]:
    """Return the names of the metrics, without aliases; `get` returns the metric of a name.

    A class with required parameters is listed by the name of the class.

    Parameters
    ----------
    word : str
        A part of a name or alias, regardless of case; by default all metrics are returned.
    family : str, optional
        A family, such as ``"robust"``. Each family is a page of the documentation.
    greater_is_better : bool, optional
        True for scores, False for errors and losses; by default both are returned.

    Raises
    ------
    ValueError
        If the family does not exist.

    Examples
    --------
    >>> import isoloss as il
    >>> il.list_metrics("tukey")
    ['tukey']
    >>> il.list_metrics("error", family="regression", greater_is_better=False)[:2]
    ['mean_squared_error', 'root_mean_squared_error']
    """
    if family is not None and family not in FAMILIES:
        message = f"there is no family {family!r}{_meant(family, FAMILIES)}"
        raise ValueError(f"list_metrics: {message}; the families are {', '.join(FAMILIES)}")
    return [
        names[0]
        for home in (FAMILIES if family is None else (family,))
        for names, metric in _metrics_of(home)
        if any(word.lower() in name.lower() for name in names)
        and greater_is_better in (None, metric.greater_is_better)
    ]


@cache
def _metrics_of(name: str) -> list[tuple[list[str], Any]]:
    """Return the metrics of a family with all their names, then the classes without an instance."""
    module, public = family(name), FAMILIES[name]
    members = {k: thing for k, thing in vars(module).items() if k in public}
    found: dict[int, tuple[list[str], Any]] = {}
    for public_name, thing in members.items():
        if isinstance(thing, Metric):
            found.setdefault(id(thing), ([], thing))[0].append(public_name)
    kinds = {type(metric) for _, metric in found.values()}
    for public_name, thing in members.items():
        if isinstance(thing, type) and issubclass(thing, Metric) and thing not in kinds:
            found[id(thing)] = [public_name], thing
    return list(found.values())


def get(name: str, **parameters: Any) -> Metric:
    """Return the metric with a given name, alias or class name, and with the given parameters.

    Every function that takes metrics also takes their names.

    Raises
    ------
    ValueError
        If the name does not exist; the message proposes the nearest name.
    TypeError
        If the metric does not have a given parameter, or if a required parameter is missing.

    Examples
    --------
    >>> import isoloss as il
    >>> il.get("mse")
    MeanSquaredError()
    >>> il.get("huber", delta=2.0)
    Huber(delta=2.0)
    >>> il.get("hubre")
    Traceback (most recent call last):
        ...
    ValueError: get: there is no metric 'hubre'; did you mean 'huber'? (isoloss.list_metrics())
    """
    if not isinstance(name, str):
        raise TypeError(f"get takes the name of a metric, such as 'huber', not {name!r}")
    thing = _public(name)
    if thing is None:
        meant = renamed(name) or _meant(name, NAMES)
        raise ValueError(f"get: there is no metric {name!r}{meant} (isoloss.list_metrics())")
    cls = type(thing) if isinstance(thing, Metric) else thing
    if parameters and issubclass(cls, Wrapper):
        raise TypeError(f"get: {name} is {thing!r} and has no parameters; wrap another metric")
    known = {item.name: item for item in fields(cast(Any, cls))}
    for given in parameters:
        if given not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            message = f"{cls.__name__} has no parameter {given!r}{_meant(given, known)}; {has}"
            raise TypeError(f"get: {message}")
    if isinstance(thing, Metric):
        made: Metric = replace(cast(Any, thing), **parameters) if parameters else thing
        return made
    missing = [k for k, item in known.items() if item.default is MISSING and k not in parameters]
    if missing:
        call = ", ".join([repr(name), *(f"{k}=..." for k in missing)])
        raise TypeError(f"get: {cls.__name__} needs {', '.join(missing)}: get({call})")
    return cast(Metric, cls(**parameters))


def _public(name: str) -> Any:
    """Return the metric or metric class of a public name, and None for any other name."""
    home = next((home for home, names in FAMILIES.items() if name in names), None)
    thing = None if home is None else getattr(family(home), name)
    declared = isinstance(thing, type) and issubclass(thing, Metric)
    return thing if declared or isinstance(thing, Metric) else None


def renamed(name: str) -> str:
    """Return the hint for a former name, and an empty string for any other name."""
    return f": it is called {RENAMED[name]}" if name in RENAMED else ""


def _meant(name: str, known: Iterable[str]) -> str:
    """Return the question for the nearest known name, or "" if none is near."""
    names = nearest(name, known)
    return f"; did you mean {names[0]!r}?" if names else ""


def as_metric(caller: str, metric: Any) -> Metric:
    """Return the metric that was passed to a function as a metric or as a name."""
    if isinstance(metric, str):
        try:
            return get(metric)
        except (TypeError, ValueError) as error:
            raise type(error)(str(error).replace("get:", f"{caller}:", 1)) from None
    if not isinstance(metric, Metric):
        raise TypeError(f"{caller} takes metrics such as isoloss.huber, not {metric!r}")
    return metric
