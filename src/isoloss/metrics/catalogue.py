"""Which metrics there are: their families, which load when first used, and their names."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType

from .._core.metric import Metric
from .._core.wrappers import Wrapper
from .names import FAMILIES

NAMES: tuple[str, ...] = tuple(name for names in FAMILIES.values() for name in names)


def family(name: str) -> ModuleType:
    """Return the module of a family, imported where it is not yet."""
    return import_module(f"{__package__}.{name}")


def families() -> tuple[ModuleType, ...]:
    """Return the modules of all families, in the order in which pages and lists present them."""
    return tuple(map(family, FAMILIES))


def family_of(metric: Metric) -> str:
    """Return the family that defines a metric, or the metric it is made of; "" of a user's own."""
    while isinstance(metric, Wrapper):
        metric = metric.metric
    package, _, name = type(metric).__module__.rpartition(".")
    return name if package == __package__ and name in FAMILIES else ""


@cache
def _names_of_members(name: str) -> dict[Metric, str]:
    """Return the first public name of every metric of a family."""
    found: dict[Metric, str] = {}
    for public, member in vars(family(name)).items():
        if isinstance(member, Metric):
            found.setdefault(member, public)
    return found


def name_of(metric: Metric) -> str:
    """Return the public name of a metric, or its repr where its parameters are not the default."""
    home = family_of(metric)
    try:
        known = _names_of_members(home).get(metric) if home else None
    except TypeError:  # a hyper-parameter is an array, which has no hash
        known = None
    return known or repr(metric)
