"""Which metrics there are: their families, which load when first used, and their names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import MISSING, fields, replace
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from .._core.metric import Metric
from .._core.naming import name_of as name_of
from .._core.wrappers import Wrapper
from .names import FAMILIES

NAMES: tuple[str, ...] = tuple(name for names in FAMILIES.values() for name in names)


RENAMED = {"clip": "clip_loss"}  # public names of before, and those of now


def family(name: str) -> ModuleType:
    """Return the module of a family, imported where it is not yet."""
    return import_module(f"{__package__}.{name}")


def families() -> tuple[ModuleType, ...]:
    """Return the modules of all families, in the order in which pages and lists present them."""
    return tuple(map(family, FAMILIES))


# --- finding metrics by name ----------------------------------------------------------------------


def list_metrics(
    word: str = "", *, family: str | None = None, greater_is_better: bool | None = None
) -> list[str]:
    """Return the names of the metrics, each once: `get` makes a metric of a name.

    A metric is listed by its first name, without its aliases; a class whose parameters have no
    default by the name of the class.

    Parameters
    ----------
    word : str
        A part of a name or an alias, in any case; all metrics by default.
    family : str, optional
        A family, such as ``"robust"``: the page of the documentation that the metrics are on.
    greater_is_better : bool, optional
        True for scores, False for errors and losses.

    Raises
    ------
    ValueError
        For a family that there is not.

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
    """Return the metrics of a family with all their public names, then the classes without one."""
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
    """Return the metric of a name, an alias or a class; with parameters, one that has these.

    Everything that takes a metric, or several, takes names as well.

    Raises
    ------
    ValueError
        For a name that there is not, with the nearest that there is.
    TypeError
        For a parameter that the metric does not have, or one without a default that is missing.

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
    """Return the metric or the class of metrics that a public name is; None of any other name."""
    home = next((home for home, names in FAMILIES.items() if name in names), None)
    thing = None if home is None else getattr(family(home), name)
    declared = isinstance(thing, type) and issubclass(thing, Metric)
    return thing if declared or isinstance(thing, Metric) else None


def renamed(name: str) -> str:
    """Return the words for what an old name is called now; nothing for any other name."""
    return f": it is called {RENAMED[name]}" if name in RENAMED else ""


def _meant(name: str, known: Iterable[str]) -> str:
    """Return the question for the nearest name that there is; nothing if none is near."""
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def as_metric(caller: str, metric: Any) -> Metric:
    """Return the metric that was passed to a function, itself or by its name."""
    if isinstance(metric, str):
        try:
            return get(metric)
        except (TypeError, ValueError) as error:
            raise type(error)(str(error).replace("get:", f"{caller}:", 1)) from None
    if not isinstance(metric, Metric):
        raise TypeError(f"{caller} takes metrics such as isoloss.huber, not {metric!r}")
    return metric
